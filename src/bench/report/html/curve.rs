//! Latency by percentile: the share of messages that took no longer, with as much room for each further nine.

use maud::{Markup, html};

use super::chart::{Chart, Panel, Scale, Table, Tick, WIDTH, path};
use super::text::known;
use crate::bench::report::latency::LatencySummary;
use crate::terminal::number::{duration, grouped};

/// Samples above a percentile without which it means little; the line is dashed from there on.
const SAMPLES_ABOVE: u64 = 10;
/// Nines at which the axis ends, whatever the number of samples.
const MOST_NINES: f64 = 8.0;
/// Lines of one drawing.
const MOST_LINES: usize = 8;

/// One latency to draw.
pub(super) struct Sample<'a> {
    pub name: String,
    pub latency: &'a LatencySummary,
    /// Another run's, to compare with.
    pub is_baseline: bool,
    /// The highest percentile that the run gives, where it is not that of its number of samples.
    pub highest_percentile: Option<&'a str>,
}

/// A share of the samples and the longest latency of them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    /// Nines: 1 is 90 %, 2 is 99 %.
    nines: f64,
    ns: f64,
    /// Whether enough samples lie above it.
    is_firm: bool,
}

/// The curves; `None` where there is nothing to draw.
pub(super) fn chart(id: String, samples: &[Sample<'_>]) -> Option<Chart> {
    let samples = &samples[..samples.len().min(MOST_LINES)];
    let curves: Vec<Vec<Point>> = samples.iter().map(points).collect();
    let all = || curves.iter().flatten();
    let nines = all().map(|point| point.nines).reduce(f64::max)?.clamp(1.0, MOST_NINES);
    let lowest = all().map(|point| point.ns).reduce(f64::min)?;
    let highest = all().map(|point| point.ns).reduce(f64::max)?;
    let scale = Scale::logarithmic(lowest.max(500.0), highest);
    let height = 260.0;
    let place = |point: &Point| (point.nines / nines * WIDTH, height * (1.0 - scale.share(point.ns)));
    let data = html! {
        @for (curve, class) in curves.iter().zip(classes(samples)) {
            @let firm = curve.iter().take_while(|point| point.is_firm).count();
            path class=(format!("line {class}")) d=(path(curve[..firm].iter().map(|point| Some(place(point))))) {}
            path class=(format!("line loose {class}"))
                d=(path(curve[firm.saturating_sub(1)..].iter().map(|point| Some(place(point))))) {}
        }
    };
    // Where there are many, only some have room.
    let named = (0..=nines.floor() as usize).filter(|count| nines < 4.5 || matches!(count, 1..=3 | 5 | 7));
    let ticks = named.map(|count| Tick { share: count as f64 / nines, label: percentile(count) });
    let longest = samples.iter().map(|sample| format!("{}: {}", sample.name, in_words(sample.latency)));
    Some(Chart {
        id,
        title: "Latency by percentile".to_owned(),
        description: format!("{}.", longest.collect::<Vec<_>>().join("; ")),
        legend: legend(samples),
        panels: vec![Panel { title: "No longer than".to_owned(), height, data, ticks: scale.ticks(latency_text) }],
        ticks: ticks.collect(),
        bands: Vec::new(),
        is_time: false,
        places: Markup::default(),
        note: Some(
            "To the right the share of messages, with as much room for each further nine. Dashed: fewer than ten \
             messages lie above, or this machine was too busy to tell."
                .to_owned(),
        ),
        table: table(samples),
    })
}

/// The points of a curve, as many as can be distinguished.
fn points(sample: &Sample<'_>) -> Vec<Point> {
    let latency = sample.latency;
    let limit = sample.highest_percentile.and_then(|text| text.parse::<f64>().ok()).map_or(f64::MAX, nines_of);
    let histogram = latency.histogram().ok();
    let Some(histogram) = histogram.filter(|histogram| !histogram.is_empty()) else {
        let known = latency.p.named().filter_map(|(name, ns)| Some((nines_of(name.parse().ok()?), ns?)));
        return known.map(|(nines, ns)| Point { nines, ns: ns as f64, is_firm: nines <= limit }).collect();
    };
    let total = histogram.count();
    let nines_at = |count: u64| if count == 0 { 0.0 } else { -((total - count) as f64 / total as f64).log10() };
    // The last sample is at the share of all but itself: 100 % has no place.
    let end = (total as f64).log10().max(0.3);
    let mut points: Vec<Point> = Vec::new();
    let mut below = 0_u64;
    for (ns, count) in histogram.recorded() {
        below = below.saturating_add(count).min(total);
        let nines = if below == total { end } else { nines_at(below) }.min(MOST_NINES);
        let is_firm = total - below >= SAMPLES_ABOVE && nines <= limit + 1e-9;
        let point = Point { nines, ns: ns.max(1) as f64, is_firm };
        let is_near = |anchor: &Point| {
            (nines - anchor.nines).abs() < 0.004
                && (point.ns / anchor.ns - 1.0).abs() < 0.01
                && anchor.is_firm == is_firm
        };
        // Of those that lie together the last one, so that none is drawn shorter than it was; the longest is its own.
        let lies_together = below < total && points.len() > 1 && points.get(points.len() - 2).is_some_and(is_near);
        match points.last_mut() {
            Some(last) if lies_together => *last = point,
            _ => points.push(point),
        }
    }
    // From the shortest on.
    if let Some(first) = points.first().copied() {
        points.insert(0, Point { nines: 0.0, ..first });
    }
    points
}

fn nines_of(percent: f64) -> f64 {
    let share = (1.0 - percent / 100.0).clamp(1e-12, 1.0);
    -share.log10()
}

/// The percentile with this number of nines.
fn percentile(nines: usize) -> String {
    match nines {
        0 => "shortest".to_owned(),
        1 => "p90".to_owned(),
        2 => "p99".to_owned(),
        more => format!("p99.{}", "9".repeat(more - 2)),
    }
}

/// The colors of the lines; a baseline is that of the first, dashed.
fn classes<'a>(samples: &'a [Sample<'a>]) -> impl Iterator<Item = String> + 'a {
    let colors = ["c1", "c2", "c3", "c4", "c5", "c6"];
    let mut next = 0;
    samples.iter().map(move |sample| {
        if sample.is_baseline {
            return "c1 baseline".to_owned();
        }
        next += 1;
        colors[(next - 1) % colors.len()].to_owned()
    })
}

fn legend(samples: &[Sample<'_>]) -> Markup {
    html! {
        ul class="legend" {
            @for (sample, class) in samples.iter().zip(classes(samples)) {
                li { span class=(format!("key {}", class.replace("baseline", "dashed"))) {} (sample.name) }
            }
        }
    }
}

fn in_words(latency: &LatencySummary) -> String {
    let of = |name: &str, ns: Option<u64>| ns.map(|ns| format!("{name} {}", duration(ns)));
    let all = [of("median", latency.p.p50), of("p99", latency.p.p99), of("longest", Some(latency.max))];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// All percentiles of these latencies.
pub(super) fn table(samples: &[Sample<'_>]) -> Table {
    let head = ["", "p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "longest", "mean", "samples", "measured"];
    let row = |sample: &Sample<'_>| {
        let latency = sample.latency;
        let percentiles = latency.p.named().map(|(_, ns)| known(ns, duration));
        let rest =
            [duration(latency.max), duration(latency.mean), grouped(latency.count), super::text::name(&latency.basis)];
        std::iter::once(sample.name.clone()).chain(percentiles).chain(rest).collect()
    };
    Table { head: head.map(str::to_owned).into(), rows: samples.iter().map(row).collect() }
}

fn latency_text(ns: f64) -> String {
    duration(ns.max(0.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::Latency;

    fn summary(values: impl Iterator<Item = i64>) -> LatencySummary {
        let mut latency = Latency::default();
        values.for_each(|value| latency.record(value));
        LatencySummary::of(&latency, "test").unwrap()
    }

    fn sample(latency: &LatencySummary) -> Sample<'_> {
        Sample { name: "e2e".to_owned(), latency, is_baseline: false, highest_percentile: None }
    }

    /// The latency at this number of nines, as the drawn line has it.
    fn at(points: &[Point], nines: f64) -> f64 {
        let after = points.iter().position(|point| point.nines >= nines).unwrap();
        let (one, other) = (points[after.saturating_sub(1)], points[after]);
        let share = if other.nines > one.nines { (nines - one.nines) / (other.nines - one.nines) } else { 1.0 };
        one.ns + (other.ns - one.ns) * share
    }

    #[test]
    fn a_curve_goes_through_the_percentiles_and_ends_at_the_longest() {
        let latency = summary((1..=200_000).map(|value| value * 1_000));
        let points = points(&sample(&latency));
        assert!(points.len() < 3_000, "{} points", points.len());
        assert!(points.is_sorted_by(|one, other| one.nines <= other.nines && one.ns <= other.ns));
        for (name, expected) in latency.p.named() {
            let (found, expected) = (at(&points, nines_of(name.parse().unwrap())), expected.unwrap() as f64);
            assert!((found / expected - 1.0).abs() < 0.02, "p{name}: {found} is not {expected}");
        }
        let last = points.last().unwrap();
        assert_eq!((last.ns, last.is_firm), (200_000_000.0, false));
        assert!(points.iter().filter(|point| !point.is_firm).count() >= 1);
    }

    #[test]
    fn one_sample_a_broken_histogram_and_none_are_drawn_sensibly() {
        let one = summary([5_000].into_iter());
        assert!(chart("c".to_owned(), &[sample(&one)]).is_some());
        let mut broken = summary((1..=5_000).map(|value| value * 100));
        broken.hdr = Some("<b>no histogram".to_owned());
        let found = points(&sample(&broken));
        assert_eq!(found.len(), broken.p.named().filter(|(_, ns)| ns.is_some()).count(), "the percentiles alone");
        assert!(chart("c".to_owned(), &[]).is_none());
    }

    #[test]
    fn above_the_highest_percentile_nothing_is_firm() {
        let latency = summary((1..=200_000).map(|value| value * 1_000));
        let limited = Sample { highest_percentile: Some("90"), ..sample(&latency) };
        assert!(points(&limited).iter().all(|point| point.is_firm == (point.nines <= 1.0 + 1e-9)));
    }
}
