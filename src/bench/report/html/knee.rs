//! Latency by rate, as `mqbench find` measured it: where the path no longer meets what was asked for.

use maud::{Markup, html};

use super::chart::{Chart, Panel, Scale, Table, WIDTH, number, path};
use super::text::{known, name, sentence};
use crate::bench::report::curve::{Curve, CurvePoint, LimitedBy, ProbeOutcome};
use crate::terminal::number::{duration, percent, rate, si};

/// Rates that are drawn.
const MOST_POINTS: usize = 500;

/// What was found, in words, and the curve.
pub(super) fn render(id: String, curve: &Curve, level: u8) -> Markup {
    html! {
        p { (answer(curve)) }
        @if let Some(limit) = &curve.limit { p class="note" { (sentence(limit)) } }
        @if let Some(chart) = chart(id, curve) { (chart.render(level)) }
    }
}

fn answer(curve: &Curve) -> String {
    let slo = name(&curve.slo);
    let Some(found) = curve.rate_per_s else { return format!("No rate was found that meets {slo}.") };
    let confirmed = if curve.confirmed { "confirmed by a longer measurement" } else { "not confirmed" };
    let above = match (curve.above_per_s, curve.above_fails) {
        (Some(above), Some(true)) => format!("; {}/s does not meet it", rate(above)),
        (Some(above), Some(false)) => format!("; {}/s met it too", rate(above)),
        _ => String::new(),
    };
    let limit = match curve.limited_by {
        LimitedBy::Slo => "",
        LimitedBy::Generator => ". This machine was the limit: the path may carry more",
        LimitedBy::Time => ". The time was over: the rate may be higher",
    };
    format!("{}/s is the highest rate that meets {slo}, {confirmed}{above}{limit}.", rate(found))
}

fn chart(id: String, curve: &Curve) -> Option<Chart> {
    let mut points: Vec<&CurvePoint> = curve.points.iter().filter(|point| point.rate_per_s.is_finite()).collect();
    points.sort_by(|one, other| one.rate_per_s.total_cmp(&other.rate_per_s));
    points.truncate(MOST_POINTS);
    let latencies = || points.iter().flat_map(|point| [point.p50, point.p99]).flatten().map(|ns| ns as f64);
    let (lowest, highest) = (latencies().reduce(f64::min)?, latencies().reduce(f64::max)?);
    let across = Scale::from_zero(points.last()?.rate_per_s);
    let scale = Scale::logarithmic(lowest / 1.3, highest * 1.3);
    let height = 240.0;
    let x = |per_second: f64| across.share(per_second) * WIDTH;
    let y = |ns: u64| height * (1.0 - scale.share(ns as f64));
    type Read = fn(&CurvePoint) -> Option<u64>;
    let lines: [(&str, &str, Read); 2] = [("median", "c1", |point| point.p50), ("p99", "c2", |point| point.p99)];
    let data = html! {
        @if let Some(found) = curve.rate_per_s {
            path class="line c3 baseline" d=(path([Some((x(found), 0.0)), Some((x(found), height))])) {}
        }
        @for (_, class, read) in &lines {
            @let known = points.iter().filter_map(|point| Some((point, read(point)?)));
            path class=(format!("line {class}"))
                d=(path(known.clone().map(|(point, ns)| Some((x(point.rate_per_s), y(ns)))))) {}
            @for (point, ns) in known {
                @let place = format!("M{} {}h0", number(x(point.rate_per_s)), number(y(ns)));
                path class=(format!("line dot {}", if point.outcome == ProbeOutcome::Pass { "c3" } else { "c5" })) d=(place) {}
                // A ring is what did not pass.
                @if point.outcome != ProbeOutcome::Pass { path class="line ring" d=(place) {} }
            }
        }
    };
    let keys = [("c1", "median"), ("c2", "p99"), ("c3 dashed", "the rate that was found")];
    let legend = html! {
        ul class="legend" {
            @for (class, text) in keys { li { span class=(format!("key {class}")) {} (text) } }
            li { "filled: met, ring: not met" }
        }
    };
    Some(Chart {
        id,
        title: "Latency by rate".to_owned(),
        description: answer(curve),
        legend,
        panels: vec![Panel {
            title: format!("Latency ({})", name(&curve.latency)),
            height,
            data,
            ticks: scale.ticks(|ns| duration(ns as u64)),
        }],
        ticks: across.ticks(|per_second| format!("{}/s", si(per_second))),
        bands: Vec::new(),
        is_time: false,
        places: Markup::default(),
        note: None,
        table: table(curve),
    })
}

/// The rates in the order in which they were tried.
fn table(curve: &Curve) -> Table {
    let row = |point: &CurvePoint| {
        let outcome = match point.outcome {
            ProbeOutcome::Pass => "met",
            ProbeOutcome::Miss => "not met",
            ProbeOutcome::Unfit => "not measured: this machine did not keep up",
        };
        vec![
            format!("{}/s", rate(point.rate_per_s)),
            point.purpose.text().to_owned(),
            known(point.delivered_per_s.or(point.sent_per_s), rate),
            known(point.p50, duration),
            known(point.p99, duration),
            known(point.loss_pct, percent),
            known(point.cpu_pct, percent),
            known(point.broker_cpu_pct, percent),
            outcome.to_owned(),
            known(point.reason.as_deref(), name),
        ]
    };
    let head =
        ["Rate", "tried to", "carried/s", "median", "p99", "lost", "own CPU", "broker's CPU", "outcome", "because"];
    Table { head: head.map(str::to_owned).into(), rows: curve.points.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(rate_per_s: f64, p99: u64, outcome: ProbeOutcome) -> CurvePoint {
        CurvePoint { rate_per_s, p50: Some(p99 / 4), p99: Some(p99), outcome, ..CurvePoint::default() }
    }

    #[test]
    fn what_was_found_is_printed_and_drawn() {
        let curve = Curve {
            slo: "e2e.p99<10ms <b>".to_owned(),
            rate_per_s: Some(20_000.0),
            confirmed: true,
            above_per_s: Some(22_000.0),
            above_fails: Some(true),
            points: vec![
                point(10_000.0, 1_000_000, ProbeOutcome::Pass),
                point(40_000.0, 90_000_000, ProbeOutcome::Miss),
                point(20_000.0, 4_000_000, ProbeOutcome::Pass),
            ],
            ..Curve::default()
        };
        let text = render("k".to_owned(), &curve, 3).into_string();
        assert!(
            text.contains("20,000/s is the highest rate that meets e2e.p99&lt;10ms &lt;b&gt;, confirmed"),
            "{text}"
        );
        assert!(text.contains("22,000/s does not meet it"));
        assert_eq!(text.matches("line dot c3").count(), 4, "two of two lines met it");
        assert_eq!(text.matches("line ring").count(), 2);
        // From left to right, whatever the order of the search was.
        let line = text.split("line c2\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        let across: Vec<f64> = line[1..].split('L').map(|at| at.split(' ').next().unwrap().parse().unwrap()).collect();
        assert!(across.is_sorted() && across.len() == 3, "{across:?}");
    }

    #[test]
    fn a_search_that_found_nothing_is_no_drawing() {
        let text = render("k".to_owned(), &Curve { slo: "lost == 0".to_owned(), ..Curve::default() }, 3).into_string();
        assert!(text.contains("No rate was found that meets lost == 0.") && !text.contains("<svg"));
    }
}
