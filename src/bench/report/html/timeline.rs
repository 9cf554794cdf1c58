//! What happened second by second: the heat map and the strips, all on the time axis of the run.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::chart::{Band, Chart, Panel, Scale, Table, Tick, WIDTH, number, path};
use super::columns::{Column, Columns, Measure, Spread};
use super::text::{instant, known, name};
use crate::bench::measure::{Buckets, IntervalRow};
use crate::bench::report::document::ResultDocument;
use crate::terminal::number::{bytes, duration, grouped, percent, rate, si};

/// Shades of the heat map.
const SHADES: usize = 7;
/// A `$SYS` topic that is drawn, by its end.
struct SysFigure {
    topic: &'static str,
    is_counter: bool,
    form: Form,
}

/// Those that say something about a load, by the names of mosquitto, mqbroker and HiveMQ, or of EMQX.
const SYS: &[SysFigure] = &[
    SysFigure { topic: "publish/messages/received", is_counter: true, form: si },
    SysFigure { topic: "metrics/messages/received", is_counter: true, form: si },
    SysFigure { topic: "publish/messages/sent", is_counter: true, form: si },
    SysFigure { topic: "metrics/messages/sent", is_counter: true, form: si },
    SysFigure { topic: "publish/messages/dropped", is_counter: true, form: si },
    SysFigure { topic: "metrics/messages/dropped", is_counter: true, form: si },
    SysFigure { topic: "/clients/connected", is_counter: false, form: si },
    SysFigure { topic: "/heap/current", is_counter: false, form: bytes },
    SysFigure { topic: "/store/messages/count", is_counter: false, form: si },
];
/// Stages that are marked.
const MOST_BANDS: usize = 60;

/// How a figure of a panel is written.
type Form = fn(f64) -> String;

/// A line of a panel.
struct Line {
    name: &'static str,
    /// Its color, and whether it is filled.
    class: &'static str,
    measure: Measure,
}

const fn line(name: &'static str, class: &'static str, measure: Measure) -> Line {
    Line { name, class, measure }
}

/// The latencies of a second that are drawn.
type BucketsOf = fn(&IntervalRow) -> Option<&Buckets>;

/// The run on its time axis.
pub(super) struct Timeline<'a> {
    /// Begins every id.
    prefix: &'a str,
    document: &'a ResultDocument,
    columns: Columns<'a>,
    baseline: Option<Columns<'a>>,
    from_ns: u64,
    to_ns: u64,
    bands: Vec<Band>,
}

impl<'a> Timeline<'a> {
    /// The time axis of a run, with the seconds of a baseline to draw beside it.
    pub(super) fn of(prefix: &'a str, document: &'a ResultDocument, baseline: Option<&'a ResultDocument>) -> Self {
        let columns = Columns::of(document.series.as_ref());
        let baseline = baseline.map(|baseline| Columns::of(baseline.series.as_ref()));
        let phases =
            document.phases.iter().map(|phase| (phase.start_ns, phase.start_ns.saturating_add(phase.duration_ns)));
        let columns_at = columns.list.iter().map(|column| (column.from_ns, column.to_ns));
        let (from_ns, to_ns) =
            phases.chain(columns_at).reduce(|all, next| (all.0.min(next.0), all.1.max(next.1))).unwrap_or_default();
        let mut timeline = Self { prefix, document, columns, baseline, from_ns, to_ns, bands: Vec::new() };
        let band = |stage: &crate::bench::report::stage::Stage| Band {
            name: name(&stage.name),
            from: timeline.share(stage.start_ns),
            to: timeline.share(stage.start_ns.saturating_add(stage.duration_ns)),
        };
        timeline.bands = document.stages.iter().take(MOST_BANDS).map(band).collect();
        timeline
    }

    /// All its figures.
    pub(super) fn render(&self, level: u8) -> Markup {
        if self.columns.list.is_empty() {
            return html! { p { "No second was recorded: the run ended before, or its result does not have them." } };
        }
        html! {
            p class="note" {
                "All on one axis: the time since the run began. Between the marks of a stage is its measured time."
                @if self.columns.rows_each > 1 {
                    " A column is up to " (instant(self.columns.rows_each as f64 * self.columns.row_s))
                    ": lines show the highest, rates their mean with the range from the lowest to the highest."
                }
                @if self.baseline.is_some() { " Dashed lines are the baseline's." }
            }
            (self.latency().render(level))
            @for chart in [self.rates(), self.generator(), self.broker()].into_iter().flatten() {
                (chart.render(level))
            }
        }
    }

    fn share(&self, at_ns: u64) -> f64 {
        let length = self.to_ns.saturating_sub(self.from_ns).max(1) as f64;
        (at_ns.saturating_sub(self.from_ns) as f64 / length).clamp(0.0, 1.0)
    }

    /// Left and right end of a column in units of the drawing.
    fn sides(&self, column: &Column<'_>) -> (f64, f64) {
        let [from, to] = [column.from_ns, column.to_ns].map(|at| self.share(at) * WIDTH);
        (from, to.max(from + 0.5))
    }

    fn seconds(&self, at_ns: u64) -> String {
        instant(at_ns as f64 / 1e9)
    }

    /// About six places on the time axis.
    fn ticks(&self) -> Vec<Tick> {
        let (from, to) = (self.from_ns as f64 / 1e9, self.to_ns as f64 / 1e9);
        let steps = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0];
        let longer = (1..).map(|power| 3600.0 * 2_f64.powi(power));
        // The labels of hours are longer.
        let most = if to < 3600.0 { 6.0 } else { 4.0 };
        let step = steps.into_iter().chain(longer.take(60)).find(|step| (to - from) / step <= most).unwrap_or(f64::MAX);
        let first = (from / step).ceil();
        let all = (0..7).map(|place| (first + f64::from(place)) * step).take_while(|at| *at <= to);
        let label = |at: f64| Tick { share: self.share((at * 1e9) as u64), label: instant(at) };
        all.map(label).collect()
    }

    /// One chart on the time axis; `figures` are named in the table and at each place.
    fn chart(&self, id: &str, title: &str, description: String, panels: Vec<Panel>, figures: &[(Line, Form)]) -> Chart {
        let figure = |column: &Column<'_>, line: &Line, form: Form| {
            known(column.spread(line.measure), |spread| self.spread_text(line, spread, form))
        };
        let head = std::iter::once("Time".to_owned()).chain(figures.iter().map(|(line, _)| line.name.to_owned()));
        let row = |column: &Column<'_>| {
            let time = format!("{} to {}", self.seconds(column.from_ns), self.seconds(column.to_ns));
            std::iter::once(time).chain(figures.iter().map(|(line, form)| figure(column, line, *form))).collect()
        };
        let rows: Vec<Vec<String>> = self.columns.list.iter().map(row).collect();
        let head: Vec<String> = head.collect();
        let places = html! {
            @for (column, row) in self.columns.list.iter().zip(&rows) {
                @let (from, to) = self.sides(column);
                rect class="place" x=(number(from)) width=(number(to - from)) y="0" height="1" {
                    title {
                        (row[0])
                        @for (name, figure) in head.iter().zip(row).skip(1) { "\n" (name) ": " (figure) }
                    }
                }
            }
        };
        Chart {
            id: format!("{}-{id}", self.prefix),
            title: title.to_owned(),
            description,
            legend: legend(figures.iter().map(|(line, _)| (line.class, line.name)), self.baseline.is_some()),
            panels,
            ticks: self.ticks(),
            bands: self.bands.clone(),
            is_time: true,
            places,
            note: None,
            table: Table { head, rows },
        }
    }

    fn spread_text(&self, line: &Line, spread: Spread, form: Form) -> String {
        match line.measure {
            Measure::Rate(_) if self.columns.rows_each > 1 && spread.low < spread.high => {
                format!("{} ({} to {})", form(spread.mean), form(spread.low), form(spread.high))
            }
            Measure::Rate(_) => form(spread.mean),
            Measure::Gauge(_) => form(spread.high),
        }
    }

    /// A panel with these lines; `None` where none of them was measured.
    fn panel(&self, title: &str, height: f64, form: Form, lines: &[&Line], floor: f64) -> Option<Panel> {
        let lines: Vec<&&Line> = lines.iter().filter(|line| self.columns.has(line.measure)).collect();
        let of_baseline = |line: &Line| self.baseline.as_ref().and_then(|columns| columns.highest(line.measure));
        let highest = lines
            .iter()
            .flat_map(|line| [self.columns.highest(line.measure), of_baseline(line)])
            .flatten()
            .map(|(highest, _)| highest)
            .reduce(f64::max)?;
        let scale = Scale::from_zero(highest.max(floor));
        let y = |value: f64| height * (1.0 - scale.share(value));
        let data = html! {
            @for line in &lines {
                @if let Some(columns) = &self.baseline {
                    path class=(format!("line baseline {}", line.class)) d=(self.steps(columns, line, |spread| y(spread.mean))) {}
                }
                @if line.class.contains("filled") {
                    path class=(line.class) d=(self.bars(line, height, y)) {}
                } @else {
                    @if matches!(line.measure, Measure::Rate(_)) && self.columns.rows_each > 1 {
                        path class=(format!("range {}", line.class)) d=(self.range(line, y)) {}
                        path class=(format!("line {}", line.class))
                            d=(self.steps(&self.columns, line, |spread| y(spread.mean))) {}
                    } @else {
                        path class=(format!("line {}", line.class))
                            d=(self.steps(&self.columns, line, |spread| y(spread.high))) {}
                    }
                }
            }
        };
        Some(Panel { title: title.to_owned(), height, data, ticks: scale.ticks(form) })
    }

    /// A line with a step for each column.
    fn steps(&self, columns: &Columns<'_>, line: &Line, y: impl Fn(Spread) -> f64) -> String {
        let mut last = None;
        let points = columns.list.iter().flat_map(|column| {
            let is_next = last == Some(column.from_ns);
            last = Some(column.to_ns);
            let (from, to) = self.sides(column);
            let gap = if is_next { None } else { Some(None) };
            let height = column.spread(line.measure).map(&y);
            let ends = [from, to].map(|x| height.map(|height| (x, height)));
            gap.into_iter().chain(ends)
        });
        path(points.collect::<Vec<_>>())
    }

    /// The range of each column.
    fn range(&self, line: &Line, y: impl Fn(f64) -> f64) -> String {
        let mut path = String::new();
        for column in &self.columns.list {
            if let Some(spread) = column.spread(line.measure) {
                let (from, to) = self.sides(column);
                push_cell(&mut path, from, to, y(spread.high), y(spread.low));
            }
        }
        path
    }

    /// A bar for each column with more than nothing.
    fn bars(&self, line: &Line, height: f64, y: impl Fn(f64) -> f64) -> String {
        let mut path = String::new();
        for column in &self.columns.list {
            if let Some(spread) = column.spread(line.measure).filter(|spread| spread.high > 0.0) {
                let (from, to) = self.sides(column);
                push_cell(&mut path, from, to, y(spread.high).min(height - 2.0), height);
            }
        }
        path
    }

    /// The heat map.
    fn latency(&self) -> Chart {
        let all: [(&str, BucketsOf); 3] = [
            ("End-to-end latency", |row| row.e2e_buckets.as_ref()),
            ("Round-trip time", |row| row.rtt_buckets.as_ref()),
            ("Time to acknowledgement", |row| row.ack_buckets.as_ref()),
        ];
        let measured = |of: BucketsOf| self.columns.list.iter().any(|column| column.buckets(of).is_some());
        let (title, of) = all.into_iter().find(|(_, of)| measured(*of)).unwrap_or(all[0]);
        let is_e2e = title == all[0].0;
        let buckets: Vec<Option<Buckets>> = self.columns.list.iter().map(|column| column.buckets(of)).collect();
        let lines = [
            (line("median", "c6", Measure::Gauge(|row| row.e2e_p50.map(|ns| ns as f64))), latency_text as Form),
            (line("p99", "c2", Measure::Gauge(|row| row.e2e_p99.map(|ns| ns as f64))), latency_text),
            (line("longest", "c5", Measure::Gauge(|row| row.e2e_max.map(|ns| ns as f64))), latency_text),
        ];
        let edges = buckets.iter().flatten().flat_map(Buckets::iter).map(|(low, high, _)| (low as f64, high as f64));
        let of_lines = lines.iter().flat_map(|(line, _)| {
            let spreads = self.columns.list.iter().filter_map(|column| column.spread(line.measure));
            spreads.map(|spread| (spread.low, spread.high))
        });
        let ends = edges.chain(of_lines).reduce(|all, next| (all.0.min(next.0), all.1.max(next.1)));
        let (lowest, highest) = ends.unwrap_or((1e6, 1e6));
        // Some air above the longest.
        let scale = Scale::logarithmic(lowest.max(500.0), highest * 1.3);
        let height = 240.0;
        let y = |value: f64| height * (1.0 - scale.share(value));
        let data = html! {
            path class="silence" d=(self.silence(height)) {}
            (self.cells(&buckets, y))
            @for (line, _) in &lines {
                @if let Some(columns) = &self.baseline {
                    path class=(format!("line baseline {}", line.class)) d=(self.steps(columns, line, |spread| y(spread.high))) {}
                }
                path class=(format!("halo {}", line.class)) d=(self.steps(&self.columns, line, |spread| y(spread.high))) {}
                path class=(format!("line {}", line.class)) d=(self.steps(&self.columns, line, |spread| y(spread.high))) {}
            }
        };
        let panel = Panel { title: title.to_owned(), height, data, ticks: scale.ticks(latency_text) };
        let longest = &lines[2].0;
        let description = match self.columns.highest(longest.measure) {
            Some((longest, column)) => format!(
                "{title} from {} to {}; the longest is in the column that begins {} after the start.",
                latency_text(lowest),
                latency_text(longest),
                self.seconds(column.from_ns)
            ),
            None if ends.is_some() => format!("{title} from {} to {}.", latency_text(lowest), latency_text(highest)),
            None => format!("{title}: none was measured."),
        };
        let figures: &[(Line, Form)] = if is_e2e { &lines } else { &[] };
        let mut chart = self.chart("latency", "Latency over time", description, vec![panel], figures);
        let most = buckets.iter().flatten().flat_map(Buckets::iter).map(|(.., count)| count).max();
        if let Some(most) = most {
            chart.legend = html! { (chart.legend) (shades(most, !self.silence(1.0).is_empty())) };
            if !is_e2e {
                chart.table = bucket_table(self, &buckets);
            }
        }
        chart
    }

    /// The columns in which nothing arrived although something could have.
    fn silence(&self, height: f64) -> String {
        let delivered = Measure::Rate(|row| row.delivered);
        let in_flight = Measure::Gauge(|row| row.backlog.map(|count| count as f64));
        let mut path = String::new();
        for column in &self.columns.list {
            let is_waiting = column.spread(in_flight).is_some_and(|spread| spread.high > 0.0);
            if is_waiting && column.spread(delivered).is_some_and(|spread| spread.low == 0.0) {
                let (from, to) = self.sides(column);
                push_cell(&mut path, from, to, 0.0, height);
            }
        }
        path
    }

    /// The cells of the heat map, all of one shade in one path.
    fn cells(&self, buckets: &[Option<Buckets>], y: impl Fn(f64) -> f64) -> Markup {
        let most = buckets.iter().flatten().flat_map(Buckets::iter).map(|(.., count)| count).max().unwrap_or(1);
        let mut paths = vec![String::new(); SHADES];
        for (column, buckets) in self.columns.list.iter().zip(buckets) {
            let (from, to) = self.sides(column);
            for (low, high, count) in buckets.iter().flat_map(Buckets::iter).filter(|(.., count)| *count > 0) {
                push_cell(&mut paths[shade(count, most)], from, to, y(high as f64), y(low as f64));
            }
        }
        html! {
            @for (shade, path) in paths.iter().enumerate() {
                @if !path.is_empty() { path class=(format!("heat h{shade}")) d=(path) {} }
            }
        }
    }

    fn rates(&self) -> Option<Chart> {
        let lines = [
            (line("delivered", "c3 wide", Measure::Rate(|row| row.delivered)), per_second as Form),
            (line("acknowledged", "c4", Measure::Rate(|row| row.acked)), per_second),
            (line("sent", "c1", Measure::Rate(|row| row.sent)), per_second),
            (line("connections made", "c3", Measure::Rate(|row| row.connects)), per_second),
            (line("lost", "c5 filled", Measure::Rate(|row| row.lost)), per_second),
            (line("skipped", "c2 filled", Measure::Rate(|row| row.skipped)), per_second),
        ];
        let lines = self.measured(lines.into());
        let shown = |is_fault: bool| -> Vec<&Line> {
            lines.iter().map(|(line, _)| line).filter(|line| line.class.contains("filled") == is_fault).collect()
        };
        let panels = [
            self.panel("Messages per second", 120.0, si, &shown(false), 0.0),
            self.panel("Lost and skipped per second", 50.0, si, &shown(true), 1.0),
        ];
        let delivery = &self.document.delivery;
        let description = format!(
            "Messages per second over time{}. In the whole run: lost {}, not sent {}.",
            self.highest_of(&lines),
            super::text::count(delivery.counts.lost),
            super::text::count(delivery.not_sent)
        );
        self.strip("rates", "Rates and losses", description, panels, &lines)
    }

    fn generator(&self) -> Option<Chart> {
        let lines = self.measured(vec![
            (line("own CPU", "c1", Measure::Gauge(|row| row.cpu_pct)), percent as Form),
            (line("send lag", "c2", Measure::Gauge(|row| row.sched_lag_max.map(|ns| ns as f64))), latency_text),
            (line("in flight", "c4", Measure::Gauge(|row| row.backlog.map(|count| count as f64))), whole),
            (line("connections", "c3", Measure::Gauge(|row| row.conns.map(|count| count as f64))), whole),
        ]);
        let panel = |title: &str, name: &str, form: Form, floor: f64| {
            let (line, _) = lines.iter().find(|(line, _)| line.name == name)?;
            self.panel(title, 54.0, form, &[line], floor)
        };
        let panels = [
            panel("Own CPU, percent of one core", "own CPU", percent, 10.0),
            panel("Longest send lag", "send lag", latency_text, 1e5),
            panel("Messages in flight", "in flight", si, 1.0),
            panel("Open connections", "connections", si, 1.0),
        ];
        let description = format!("What the load generator itself did{}.", self.highest_of(&lines));
        self.strip("generator", "The generator itself", description, panels, &lines)
    }

    fn broker(&self) -> Option<Chart> {
        let lines = self.measured(vec![
            (line("broker's CPU", "c1", Measure::Gauge(|row| row.broker_cpu_pct)), percent as Form),
            (line("broker's memory", "c3", Measure::Gauge(|row| row.broker_rss_bytes.map(|size| size as f64))), bytes),
        ]);
        let panel = |title: &str, name: &str, form: Form| {
            let (line, _) = lines.iter().find(|(line, _)| line.name == name)?;
            self.panel(title, 54.0, form, &[line], 1.0)
        };
        let mut panels = vec![
            panel("Broker's CPU, % of one core", "broker's CPU", percent),
            panel("Broker's resident memory", "broker's memory", bytes),
        ];
        let topics = self.document.broker.sys.iter().flatten();
        let shown = SYS.iter().filter_map(|figure| {
            let (topic, samples) = topics.clone().find(|(topic, _)| topic.ends_with(figure.topic))?;
            Some((topic, self.sys_panel(samples, figure)?))
        });
        let (names, of_sys): (Vec<&String>, Vec<Panel>) = shown.unzip();
        panels.extend(of_sys.into_iter().map(Some));
        let names = names.iter().map(|topic| name(topic)).collect::<Vec<_>>().join(", ");
        let sys = if names.is_empty() { names } else { format!(" From its $SYS topics: {names}.") };
        let description = format!("What the broker did{}.{sys}", self.highest_of(&lines));
        let mut chart = self.strip("broker", "The broker", description, panels, &lines)?;
        if !sys.is_empty() {
            chart.note = Some(format!("{} All values of all topics are in the raw data.", sys.trim_start()));
        }
        Some(chart)
    }

    /// The values of a `$SYS` topic; of a counter how much it grew per second.
    fn sys_panel(&self, samples: &[(u64, f64)], figure: &SysFigure) -> Option<Panel> {
        let finite = samples.iter().filter(|(_, value)| value.is_finite());
        let values: Vec<(u64, f64)> = if figure.is_counter {
            let pairs = finite.clone().zip(finite.skip(1));
            let growth = pairs.map(|((before_ns, before), (at_ns, value))| {
                let seconds = at_ns.saturating_sub(*before_ns) as f64 / 1e9;
                (*at_ns, (value - before).max(0.0) / seconds)
            });
            growth.filter(|(_, value)| value.is_finite()).collect()
        } else {
            // A value holds until the next one.
            let last = samples.last().map(|(_, value)| (self.to_ns, *value));
            finite.copied().chain(last.filter(|(_, value)| value.is_finite())).collect()
        };
        let highest = values.iter().map(|(_, value)| *value).reduce(f64::max)?;
        let height = 40.0;
        let scale = Scale::from_zero(highest);
        let place = |at_ns: u64, value: f64| Some((self.share(at_ns) * WIDTH, height * (1.0 - scale.share(value))));
        // Of several samples the highest.
        let drawn = values.chunks(values.len().div_ceil(1_000).max(1)).filter_map(|chunk| {
            let highest = chunk.iter().map(|(_, value)| *value).reduce(f64::max)?;
            Some((chunk.first()?.0, highest))
        });
        let data = html! { path class="line dots c4" d=(path(drawn.map(|(at_ns, value)| place(at_ns, value)))) {} };
        // The beginning, which names the broker, is in the note: there is no room for it on a telephone.
        let unit = if figure.is_counter { "/s" } else { "" };
        let title = format!("{}{unit}", figure.topic.trim_start_matches('/'));
        Some(Panel { title, height, data, ticks: scale.ticks(figure.form) })
    }

    fn measured(&self, lines: Vec<(Line, Form)>) -> Vec<(Line, Form)> {
        lines.into_iter().filter(|(line, _)| self.columns.has(line.measure)).collect()
    }

    /// The highest figure of each line in words.
    fn highest_of(&self, lines: &[(Line, Form)]) -> String {
        let mut text = String::new();
        for (line, form) in lines {
            if let Some((highest, column)) = self.columns.highest(line.measure) {
                // Writing to a String does not fail.
                let _ = write!(text, "; {} at most {} (at {})", line.name, form(highest), self.seconds(column.from_ns));
            }
        }
        text
    }

    fn strip(
        &self,
        id: &str,
        title: &str,
        description: String,
        panels: impl IntoIterator<Item = Option<Panel>>,
        lines: &[(Line, Form)],
    ) -> Option<Chart> {
        let panels: Vec<Panel> = panels.into_iter().flatten().collect();
        (!panels.is_empty()).then(|| self.chart(id, title, description, panels, lines))
    }
}

/// The shade of a cell: by the order of magnitude, so that one message in a million is seen.
fn shade(count: u64, most: u64) -> usize {
    let share = (count as f64).ln_1p() / (most.max(1) as f64).ln_1p();
    ((share * SHADES as f64) as usize).min(SHADES - 1)
}

fn push_cell(path: &mut String, from: f64, to: f64, top: f64, bottom: f64) {
    let (width, height) = (number(to - from), number((bottom - top).max(0.8)));
    // Writing to a String does not fail.
    let _ = write!(path, "M{} {}h{width}v{height}h-{width}z", number(from), number(top));
}

/// The names of the colors.
fn legend<'a>(lines: impl Iterator<Item = (&'a str, &'a str)>, has_baseline: bool) -> Markup {
    html! {
        ul class="legend" {
            @for (class, name) in lines { li { span class=(format!("key {class}")) {} (name) } }
            @if has_baseline { li { span class="key dashed" {} "baseline" } }
        }
    }
}

/// The shades of the heat map.
fn shades(most: u64, has_silence: bool) -> Markup {
    html! {
        p class="shades" {
            "messages in a cell: 1 "
            @for shade in 0..SHADES { span class=(format!("cell h{shade}")) {} }
            " " (grouped(most))
            @if has_silence { span class="silent" { span class="cell silence" {} " nothing arrived" } }
        }
    }
}

/// Where only the buckets are known: how many samples each column has, and the bounds of all of them.
fn bucket_table(timeline: &Timeline<'_>, buckets: &[Option<Buckets>]) -> Table {
    let row = |(column, buckets): (&Column<'_>, &Option<Buckets>)| {
        let ends =
            buckets.iter().flat_map(Buckets::iter).reduce(|all, next| (all.0, next.1, all.2.saturating_add(next.2)));
        vec![
            format!("{} to {}", timeline.seconds(column.from_ns), timeline.seconds(column.to_ns)),
            known(ends, |(.., count)| grouped(count)),
            known(ends, |(low, ..)| duration(low)),
            known(ends, |(_, high, _)| duration(high)),
        ]
    };
    let head = ["Time", "samples", "none below", "none above"].map(str::to_owned).into();
    Table { head, rows: timeline.columns.list.iter().zip(buckets).map(row).collect() }
}

fn latency_text(ns: f64) -> String {
    duration(ns.max(0.0) as u64)
}

fn per_second(value: f64) -> String {
    format!("{}/s", rate(value))
}

fn whole(value: f64) -> String {
    grouped(value.max(0.0) as u64)
}
