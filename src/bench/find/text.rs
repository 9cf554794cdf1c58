//! The curve on a terminal, in 60 columns.

use crate::bench::report::{Curve, CurvePoint, LimitedBy, ProbeOutcome};
use crate::terminal::number::{UNKNOWN, duration, percent, rate};
use crate::terminal::{Align, Cell, Colors, Paint, Table, escape, wrapped};

/// What was found, and the table of the rates.
pub(crate) fn curve_text(curve: &Curve, width: usize, colors: Colors) -> String {
    let mut text = format!("{}  {}\n", colors.paint(Paint::Heading, "find"), escape(&curve.slo));
    text.push_str(&wrapped("  ", &escape(&answer(curve)), width));
    let mut points: Vec<&CurvePoint> = curve.points.iter().collect();
    points.sort_by(|one, other| one.rate_per_s.total_cmp(&other.rate_per_s));
    let has_broker = points.iter().any(|point| point.broker_cpu_pct.is_some());
    let columns = if has_broker { 7 } else { 6 };
    let mut table = Table::new([&[Align::Right; 6][..columns - 1], &[Align::Left]].concat());
    let mut heads = vec!["rate/s", "p50", "p99", "loss", "CPU"];
    if has_broker {
        heads.push("broker");
    }
    table.row(heads.into_iter().map(|head| Cell::painted(Paint::Faint, head)));
    for point in points {
        let mut cells: Vec<Cell> = vec![
            rate(point.rate_per_s).into(),
            known(point.p50, duration).into(),
            known(point.p99, duration).into(),
            known(point.loss_pct, percent).into(),
            known(point.cpu_pct, percent).into(),
        ];
        if has_broker {
            cells.push(known(point.broker_cpu_pct, percent).into());
        }
        cells.push(match point.outcome {
            ProbeOutcome::Pass => Cell::painted(Paint::Good, "pass"),
            ProbeOutcome::Miss => Cell::painted(Paint::Bad, "miss"),
            ProbeOutcome::Unfit => Cell::painted(Paint::Warning, "unfit"),
        });
        table.row(cells);
    }
    text.push_str(&table.render(colors));
    text
}

/// The answer in a sentence or two.
fn answer(curve: &Curve) -> String {
    let reason = curve.limit.as_deref().map_or_else(String::new, |limit| format!(": {limit}"));
    let Some(found) = curve.rate_per_s else {
        return format!("no rate that was tried meets it{reason}");
    };
    let found = rate(found);
    let confirmed = if curve.confirmed { ", confirmed" } else { ", not confirmed" };
    let above = curve.above_per_s.map(rate).unwrap_or_default();
    match (curve.limited_by, curve.above_fails) {
        (LimitedBy::Slo, Some(true)) => {
            let why = curve.points.last().and_then(|point| point.reason.as_deref()).unwrap_or_default();
            format!("{found}/s meets it{confirmed}; {above}/s does not: {why}")
        }
        (LimitedBy::Generator, _) => format!("{found}/s meets it{confirmed}; more could not be measured{reason}"),
        _ => format!("{found}/s meets it{confirmed}{reason}"),
    }
}

/// One rate in a line, while the search runs.
pub(super) fn point_line(point: &CurvePoint) -> String {
    let outcome = match point.outcome {
        ProbeOutcome::Pass => "meets it",
        ProbeOutcome::Miss => "does not",
        ProbeOutcome::Unfit => "not measurable here",
    };
    let reason = point.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
    let p99 = known(point.p99, duration);
    format!("find: {}/s {outcome}, p99 {p99}{}", rate(point.rate_per_s), escape(&reason))
}

fn known<T>(value: Option<T>, form: fn(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::Purpose;

    fn curve() -> Curve {
        let point = |rate_per_s, p99, outcome, reason: Option<&str>| CurvePoint {
            purpose: Purpose::Bisect,
            rate_per_s,
            p50: Some(41_000),
            p99: Some(p99),
            loss_pct: Some(0.0),
            cpu_pct: Some(31.0),
            broker_cpu_pct: Some(97.2),
            outcome,
            reason: reason.map(str::to_owned),
            ..CurvePoint::default()
        };
        Curve {
            slo: "e2e.p99 < 10ms && lost == 0".to_owned(),
            rate_per_s: Some(105_910.0),
            confirmed: true,
            above_per_s: Some(116_000.0),
            above_fails: Some(true),
            points: vec![
                point(200_000.0, 123_000_000, ProbeOutcome::Miss, Some("e2e.p99 is 123 ms")),
                point(105_910.0, 9_310_000, ProbeOutcome::Pass, None),
                point(116_000.0, 23_000_000, ProbeOutcome::Miss, Some("e2e.p99 is 23.0 ms")),
            ],
            ..Curve::default()
        }
    }

    #[test]
    fn the_answer_and_the_knee_fit_sixty_columns() {
        let text = curve_text(&curve(), 60, Colors::OFF);
        let expected = "\
find  e2e.p99 < 10ms && lost == 0
  105,910/s meets it, confirmed; 116,000/s does not: e2e.p99
  is 23.0 ms
   rate/s      p50      p99  loss   CPU  broker
  105,910  41.0 µs  9.31 ms   0 %  31 %    97 %  pass
  116,000  41.0 µs  23.0 ms   0 %  31 %    97 %  miss
  200,000  41.0 µs   123 ms   0 %  31 %    97 %  miss
";
        assert_eq!(text, expected, "\n{text}");
    }

    #[test]
    fn a_limit_that_is_not_the_brokers_is_printed() {
        let mut curve = curve();
        (curve.limited_by, curve.above_fails) = (LimitedBy::Generator, None);
        curve.limit = Some("mqbench or this machine was the limit, not the broker: a thread was busy".to_owned());
        assert!(answer(&curve).contains("more could not be measured: mqbench or this machine was the limit"));
        (curve.limited_by, curve.confirmed) = (LimitedBy::Time, false);
        curve.limit = Some("the time limit of 15 min ended the search".to_owned());
        assert_eq!(answer(&curve), "105,910/s meets it, not confirmed: the time limit of 15 min ended the search");
        (curve.limited_by, curve.rate_per_s) = (LimitedBy::Slo, None);
        curve.limit = Some("lost is 7".to_owned());
        assert_eq!(answer(&curve), "no rate that was tried meets it: lost is 7");
    }
}
