//! A drawing: panels above each other on one horizontal axis, as inline SVG.
//!
//! What is data is stretched to the width of the page (a nested SVG of 1,000 units), what is text is not: it is placed
//! by percentages and keeps its size on a telephone.

use std::fmt::Write as _;

use maud::{Markup, html};

/// Width of the data in units of the drawing.
pub(super) const WIDTH: f64 = 1000.0;
/// Room for the title of a panel.
const TITLE: f64 = 26.0;
/// Room below the panels for the horizontal axis.
const AXIS: f64 = 24.0;
/// Room above the panels for the names of bands.
const BANDS: f64 = 18.0;
/// A band that is narrower has no room for its name.
const NAMED_BAND: f64 = 0.12;

/// Characters for which there is room from end to end on a telephone.
const CHARACTERS: f64 = 34.0;

/// A part of the horizontal axis, such as a stage.
#[derive(Clone)]
pub(super) struct Band {
    pub name: String,
    pub from: f64,
    pub to: f64,
}

/// A place on an axis with its label.
pub(super) struct Tick {
    /// From 0, at the left or at the bottom, to 1.
    pub share: f64,
    pub label: String,
}

/// One panel.
pub(super) struct Panel {
    pub title: String,
    pub height: f64,
    /// In units of [`WIDTH`] by `height`, y downwards.
    pub data: Markup,
    pub ticks: Vec<Tick>,
}

/// A drawing with its words.
pub(super) struct Chart {
    /// Unique in the page.
    pub id: String,
    pub title: String,
    /// What it shows in a sentence or two, for those who do not see it.
    pub description: String,
    pub legend: Markup,
    pub panels: Vec<Panel>,
    pub ticks: Vec<Tick>,
    pub bands: Vec<Band>,
    /// Whether its axis is the time of the run, which it shares with others.
    pub is_time: bool,
    /// What lies above everything and has a title for each place; in units of [`WIDTH`] by 1.
    pub places: Markup,
    /// A word on how to read it.
    pub note: Option<String>,
    /// The same as a table.
    pub table: Table,
}

/// A table of figures.
pub(super) struct Table {
    pub head: Vec<String>,
    /// The first cell names the row.
    pub rows: Vec<Vec<String>>,
}

/// Rows of a table that are shown.
pub(super) const MOST_ROWS: usize = 400;

impl Table {
    /// The table with a name for those who do not see it, in a frame that scrolls where it is too wide.
    pub(super) fn render(&self, name: &str) -> Markup {
        let left_out = self.rows.len().saturating_sub(MOST_ROWS);
        html! {
            div class="scroll" tabindex="0" role="region" aria-label=(format!("{name}, table")) {
                table {
                    thead { tr {
                        @for head in &self.head { @if head.is_empty() { td {} } @else { th scope="col" { (head) } } }
                    } }
                    tbody {
                        @for row in self.rows.iter().take(MOST_ROWS) {
                            tr {
                                @for (place, cell) in row.iter().enumerate() {
                                    @if place == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
            @if left_out > 0 { p class="note" { "Rows that are left out here and are in the raw data: " (left_out) } }
        }
    }
}

impl Chart {
    /// The figure; its heading has this level.
    pub(super) fn render(&self, level: u8) -> Markup {
        let above = if self.bands.is_empty() { 0.0 } else { BANDS };
        let data_height: f64 = above + self.panels.iter().map(|panel| TITLE + panel.height).sum::<f64>();
        let (title, description) = (format!("{}-title", self.id), format!("{}-text", self.id));
        html! {
            figure id=(self.id) {
                (heading(level, &self.title))
                (self.legend)
                div class="plot" {
                    svg role="img" class=(if self.is_time { "chart time" } else { "chart" }) width="100%"
                        height=(data_height + AXIS) aria-labelledby=(format!("{title} {description}")) {
                        title id=(title) { (self.title) }
                        desc id=(description) { (self.description) }
                        (self.bands_drawn(data_height))
                        (self.panels_drawn(above))
                        @for tick in &self.ticks {
                            line class="tick" x1=(percent(tick.share)) x2=(percent(tick.share)) y1=(data_height)
                                y2=(data_height + 5.0) {}
                            text class="label" x=(percent(tick.share)) y=(data_height + 18.0) text-anchor="middle" {
                                (tick.label)
                            }
                        }
                        svg y=(above) width="100%" height=(data_height - above) viewBox=(format!("0 0 {WIDTH} 1"))
                            preserveAspectRatio="none" {
                            (self.places)
                        }
                    }
                }
                @if let Some(note) = &self.note { figcaption { (note) } }
                @if !self.table.rows.is_empty() {
                    details {
                        summary { "The figures as a table" span class="unseen" { ": " (self.title) } }
                        (self.table.render(&format!("{}, as a table", self.title)))
                    }
                }
            }
        }
    }

    fn bands_drawn(&self, height: f64) -> Markup {
        let labels = self.bands.iter().scan(0.0, |free_from, band| {
            // Bands of a strange document may lie over each other.
            let share = band.to - band.from.max(*free_from);
            let has_room = share >= NAMED_BAND && band.from >= *free_from;
            *free_from = band.to.max(*free_from);
            let most = (share * CHARACTERS) as usize;
            let is_whole = band.name.chars().count() <= most;
            let label = band.name.chars().take(if is_whole { most } else { most.saturating_sub(1) });
            Some(has_room.then(|| label.chain((!is_whole).then_some('…')).collect::<String>()))
        });
        html! {
            @for (band, label) in self.bands.iter().zip(labels) {
                @let (from, to) = (percent(band.from), percent(band.to));
                line class="band" x1=(from) x2=(from) y1="0" y2=(height) {}
                line class="band" x1=(to) x2=(to) y1="0" y2=(height) {}
                @if let Some(label) = label { text class="label" x=(from) dx="4" y="12" { (label) } }
            }
        }
    }

    fn panels_drawn(&self, above: f64) -> Markup {
        let tops = self.panels.iter().scan(above, |next, panel| {
            let top = *next + TITLE;
            *next = top + panel.height;
            Some(top)
        });
        html! {
            @for (panel, top) in self.panels.iter().zip(tops) {
                rect class="ground" x="0" y=(top) width="100%" height=(panel.height) {}
                @for tick in &panel.ticks {
                    @let y = number(top + panel.height * (1.0 - tick.share));
                    line class="grid" x1="0" x2="100%" y1=(y) y2=(y) {}
                    text class="label" x="-6" y=(y) dy="4" text-anchor="end" { (tick.label) }
                }
                svg y=(top) width="100%" height=(panel.height) preserveAspectRatio="none"
                    viewBox=(format!("0 0 {WIDTH} {}", panel.height)) {
                    (panel.data)
                }
                text class="panel" x="0" y=(top - 6.0) { (panel.title) }
            }
        }
    }
}

/// A heading of this level.
pub(super) fn heading(level: u8, text: &str) -> Markup {
    html! {
        @match level {
            0..=2 => h2 { (text) },
            3 => h3 { (text) },
            4 => h4 { (text) },
            _ => h5 { (text) },
        }
    }
}

/// A scale from one value to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    is_logarithmic: bool,
}

impl Scale {
    /// From 0 to a round number that is not below `highest`.
    pub(super) fn from_zero(highest: f64) -> Self {
        Self { from: 0.0, to: round_up(highest), is_logarithmic: false }
    }

    /// From one value to another, both above 0, by their orders of magnitude. Never empty.
    pub(super) fn logarithmic(lowest: f64, highest: f64) -> Self {
        let from = if lowest.is_finite() { lowest.max(1.0) } else { 1.0 };
        let to = if highest.is_finite() { highest.max(from * 2.0) } else { from * 2.0 };
        Self { from, to, is_logarithmic: true }
    }

    /// Where a value lies, from 0 to 1; what lies outside is at the end.
    pub(super) fn share(&self, value: f64) -> f64 {
        let share = if self.is_logarithmic {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }

    /// Its ticks.
    pub(super) fn ticks(&self, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let values: Vec<f64> = if self.is_logarithmic {
            let powers = self.from.log10().floor() as i32..=self.to.log10().ceil() as i32;
            let factors: &[f64] = if powers.clone().count() > 4 { &[1.0] } else { &[1.0, 3.0] };
            let all = powers.flat_map(|power| factors.iter().map(move |factor| factor * 10_f64.powi(power)));
            all.filter(|value| (self.from..=self.to).contains(value)).collect()
        } else {
            vec![self.from, (self.from + self.to) / 2.0, self.to]
        };
        values.into_iter().map(|value| Tick { share: self.share(value), label: short(&label(value)) }).collect()
    }
}

/// A figure without the zeros at its end: `1 ms` for `1.00 ms`.
fn short(text: &str) -> String {
    let (figure, unit) = text.split_once(' ').map_or((text, ""), |(figure, unit)| (figure, unit));
    let figure = if figure.contains('.') { figure.trim_end_matches('0').trim_end_matches('.') } else { figure };
    format!("{figure} {unit}").trim_end().to_owned()
}

/// The next of 1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10, 12 … that is not below a value: half of each is a short number.
fn round_up(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= value * 0.999_999).unwrap_or(10.0);
    step * power
}

/// A path through points; `None` is a gap.
pub(super) fn path(points: impl IntoIterator<Item = Option<(f64, f64)>>) -> String {
    let mut path = String::new();
    let mut is_drawing = false;
    for point in points {
        if let Some((x, y)) = point {
            let _ = write!(path, "{}{} {}", if is_drawing { "L" } else { "M" }, number(x), number(y));
        }
        is_drawing = point.is_some();
    }
    path
}

/// A coordinate with one decimal at most.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn percent(share: f64) -> String {
    format!("{}%", number(share.clamp(0.0, 1.0) * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_hold_whatever_they_are_made_of() {
        for highest in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e-9, 0.7, 3.0, 99.0, 100.0, 1e300] {
            for scale in [Scale::from_zero(highest), Scale::logarithmic(highest, highest)] {
                for value in [f64::NAN, 0.0, highest, f64::INFINITY] {
                    assert!((0.0..=1.0).contains(&scale.share(value)), "{scale:?} {value}");
                }
                assert!(scale.ticks(|value| value.to_string()).len() < 400);
            }
        }
        assert_eq!(Scale::from_zero(97.0).to, 100.0);
        assert_eq!(Scale::from_zero(5_200.0).to, 6_000.0);
        let scale = Scale::logarithmic(1_000.0, 1_000_000.0);
        assert!((scale.share(31_623.0) - 0.5).abs() < 1e-4);
    }

    #[test]
    fn labels_have_no_zeros_at_their_end() {
        for (text, expected) in [("1.00 ms", "1 ms"), ("0.500", "0.5"), ("10", "10"), ("12.5 k", "12.5 k"), ("–", "–")]
        {
            assert_eq!(short(text), expected);
        }
    }

    #[test]
    fn a_path_has_gaps_where_nothing_was_measured() {
        let points = [Some((0.0, 1.0)), Some((10.0, 2.25)), None, Some((20.0, 3.0))];
        assert_eq!(path(points), "M0 1L10 2.2M20 3");
        assert_eq!(path([]), "");
    }
}
