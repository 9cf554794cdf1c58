//! Comparisons and medians on a terminal, in 60 columns.

use crate::bench::report::{
    CompareVerdict, Comparison, Metric, MetricComparison, ResultDocument, RunFigures, Side, SideFigure, signed_percent,
};
use crate::terminal::number::{UNKNOWN, counted};
use crate::terminal::{Align, Cell, Colors, Paint, Table, escape, wrapped};

/// From this width on a table has room for intervals.
const WIDE: usize = 76;

/// Figures of which medians are shown.
const MEDIANS: [&str; 10] = [
    "sent_per_s",
    "acked_per_s",
    "delivered_per_s",
    "e2e.p50",
    "e2e.p99",
    "ack.p50",
    "ack.p99",
    "connack.p50",
    "connack.p99",
    "lost",
];

/// One comparison: its verdict, both sides, the table, why it cannot say something, what else to know.
pub(crate) fn comparison_text(comparison: &Comparison, width: usize, colors: Colors) -> String {
    let mut text = headline(comparison, width, colors);
    for (what, side) in [("base", &comparison.base), ("new ", &comparison.new)] {
        text.push_str(&wrapped(&format!("  {what}  "), &escape(&side_text(side)), width));
    }
    if !comparison.plan_differences.is_empty() {
        let differences: Vec<String> = comparison.plan_differences.iter().map(|it| it.text()).collect();
        text.push_str(&wrapped("  plan  ", &escape(&differences.join(", ")), width));
    }
    text.push_str(&table(comparison, width, colors));
    let rows = comparison.metrics.iter().filter(|metric| is_shown(metric)).count();
    // One reason for all is said above.
    for (reason, names) in reasons(comparison).into_iter().filter(|(_, names)| names.len() < rows) {
        let names = match &names[..] {
            [first, second, third, _, _, ..] => format!("{first}, {second}, {third} and {} more", names.len() - 3),
            names => names.join(", "),
        };
        text.push_str(&wrapped("  cannot say: ", &escape(&format!("{names}: {reason}")), width));
    }
    for note in &comparison.notes {
        text.push_str(&wrapped("  Note: ", &escape(note), width));
    }
    text
}

/// The verdict, and what it rests on.
fn headline(comparison: &Comparison, width: usize, colors: Colors) -> String {
    let named = |verdict| {
        let metrics = comparison.metrics.iter().filter(move |metric| metric.counts && metric.verdict == verdict);
        metrics.map(|metric| format!("{} {}", metric.metric, delta(metric))).collect::<Vec<_>>().join(", ")
    };
    let (verdict, paint) = (comparison.verdict, paint(comparison.verdict));
    let tolerance = comparison.tolerance_pct;
    let what = match verdict {
        CompareVerdict::Worse | CompareVerdict::Better => named(verdict),
        CompareVerdict::Same => format!("no figure that counts changed by more than {tolerance} %"),
        CompareVerdict::CannotSay => {
            let counting = comparison.metrics.iter().filter(|metric| metric.counts);
            counting
                .clone()
                .find_map(|metric| metric.reason.clone())
                .unwrap_or_else(|| "nothing was measured".to_owned())
        }
    };
    let first = format!("{}  ", colors.paint(paint, verdict.text()));
    wrapped(&first, &escape(&what), width)
}

const fn paint(verdict: CompareVerdict) -> Paint {
    match verdict {
        CompareVerdict::Better => Paint::Good,
        CompareVerdict::Worse => Paint::Bad,
        CompareVerdict::Same => Paint::Heading,
        CompareVerdict::CannotSay => Paint::Warning,
    }
}

/// A side in a line: what it is called, its broker, how many runs.
pub(super) fn side_text(side: &Side) -> String {
    let valid = side.runs.iter().filter(|run| run.status.has_figures()).count();
    let mut parts = vec![side.name.clone()];
    parts.extend(side.broker.clone());
    parts.push(counted(valid as u64, "valid run", "valid runs"));
    parts.join(", ")
}

/// Whether a row says anything: what went wrong nowhere is left out, but for loss.
pub(super) fn is_shown(metric: &MetricComparison) -> bool {
    let some =
        |figure: &SideFigure| figure.median.as_ref().and_then(serde_json::Number::as_f64).is_some_and(|it| it > 0.0);
    let differs = metric.verdict != CompareVerdict::Same && metric.base.median.is_some() && metric.new.median.is_some();
    metric.metric == "lost" || some(&metric.base) || some(&metric.new) || differs && !is_zero(metric)
}

/// Whether no run of either side has any.
fn is_zero(metric: &MetricComparison) -> bool {
    metric.delta_pct == Some(0.0) && [&metric.base, &metric.new].iter().all(|side| side.median == Some(0.into()))
}

fn table(comparison: &Comparison, width: usize, colors: Colors) -> String {
    let wide = width >= WIDE;
    let columns = if wide { 4 } else { 3 };
    let mut table = Table::new([&[Align::Left], &[Align::Right; 4][..columns], &[Align::Left]].concat());
    let mut heads = vec!["", "base", "new", "change"];
    if wide {
        heads.push("95 % interval");
    }
    table.row(heads.into_iter().map(|head| Cell::painted(Paint::Faint, head)));
    for metric in comparison.metrics.iter().filter(|metric| is_shown(metric)) {
        let mut cells: Vec<Cell> = vec![
            metric.metric.clone().into(),
            figure(&metric.metric, &metric.base).into(),
            figure(&metric.metric, &metric.new).into(),
            delta(metric).into(),
        ];
        if wide {
            cells.push(interval(metric).into());
        }
        let verdict = metric.verdict.text();
        cells.push(if metric.counts {
            Cell::painted(paint(metric.verdict), verdict)
        } else {
            Cell::painted(Paint::Faint, verdict)
        });
        table.row(cells);
    }
    table.render(colors)
}

/// A median in the unit of its figure.
pub(super) fn figure(name: &str, side: &SideFigure) -> String {
    let value = side.median.as_ref().and_then(serde_json::Number::as_f64);
    Metric::find(name).zip(value).map_or_else(|| UNKNOWN.to_owned(), |(metric, value)| metric.shown(value))
}

/// The change of the medians.
pub(super) fn delta(metric: &MetricComparison) -> String {
    metric.delta_pct.map_or_else(|| UNKNOWN.to_owned(), signed_percent)
}

/// Its interval: `+12 to +31 %`.
pub(super) fn interval(metric: &MetricComparison) -> String {
    let Some([low, high]) = metric.delta_ci95_pct else { return UNKNOWN.to_owned() };
    format!("{} to {}", signed_percent(low).trim_end_matches(" %"), signed_percent(high))
}

/// Why something cannot be said, with the figures for which that is so.
pub(super) fn reasons(comparison: &Comparison) -> Vec<(&str, Vec<&str>)> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for metric in comparison.metrics.iter().filter(|metric| is_shown(metric)) {
        let Some(reason) = metric.reason.as_deref() else { continue };
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(&metric.metric),
            None => reasons.push((reason, vec![&metric.metric])),
        }
    }
    reasons
}

/// The medians of a result of several runs.
pub(crate) fn medians_text(document: &ResultDocument, width: usize, colors: Colors) -> String {
    let (Some(runs), Some(stats)) = (&document.runs, &document.stats) else { return String::new() };
    let valid = runs.iter().filter(|run| run.status.has_figures()).count();
    let shown = runs.iter().find(|run| run.shown).map_or(0, |run| run.number);
    let title = colors.paint(Paint::Heading, "runs");
    let of = format!("{} of {} valid; the figures above are those of run {shown}", valid, runs.len());
    let mut text = wrapped(&format!("{title}  "), &of, width);
    let mut table = Table::new([Align::Left, Align::Right, Align::Right, Align::Right, Align::Right]);
    let heads = ["", "median", "95 % interval", "least", "most"];
    table.row(heads.into_iter().map(|head| Cell::painted(Paint::Faint, head)));
    for name in MEDIANS {
        let (Some(metric), Some(statistics)) = (Metric::find(name), stats.get(name)) else { continue };
        let value = |number: &serde_json::Number| metric.shown(number.as_f64().unwrap_or_default());
        let median = statistics.median.as_ref().map_or_else(|| UNKNOWN.to_owned(), value);
        let interval = statistics
            .ci95
            .as_ref()
            .map_or_else(|| UNKNOWN.to_owned(), |[low, high]| format!("{} to {}", value(low), value(high)));
        let values = RunFigures::values(runs, name).unwrap_or_default();
        let ends = [f64::min, f64::max].map(|end| {
            let end = values.iter().copied().reduce(end);
            end.map_or_else(|| UNKNOWN.to_owned(), |end| metric.shown(end))
        });
        // Both ends of an interval are what a narrow table has room for.
        let cells = match width >= WIDE {
            true => vec![name.to_owned(), median, interval, ends[0].clone(), ends[1].clone()],
            false => vec![name.to_owned(), median, interval],
        };
        table.row(cells);
    }
    text.push_str(&table.render(colors));
    text
}
