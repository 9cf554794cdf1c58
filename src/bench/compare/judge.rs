//! Compares two sides, figure by figure.
//!
//! A verdict needs runs on both sides, for a single run does not show how far runs scatter. What counts is the interval
//! of the change of the medians: all of it beyond nothing and the change beyond the tolerance is better or worse; all of
//! it within the tolerance is the same; everything else cannot be said.

use std::collections::BTreeSet;

use serde_json::Value;

use super::figures::{align, runs_of};
use crate::bench::measure::median;
use crate::bench::report::{
    CONFIDENCE_PCT, CompareVerdict, Comparison, Kind, Metric, MetricComparison, RESAMPLES, ResultDocument, RunFigures,
    SEED, Side, SideFigure, can_differ, interval_of_change, interval_of_median, number, percent_change,
    plan_differences, signed_percent,
};
use crate::terminal::number::{counted, rate};

/// A figure that is compared.
struct Compared {
    name: &'static str,
    higher_is_better: bool,
    /// A change for the worse is a regression. Of figures with the same letter only the first one that the base
    /// measured counts: the rates of one load hang together.
    counts: Option<char>,
}

const fn compared(name: &'static str, higher_is_better: bool, counts: Option<char>) -> Compared {
    Compared { name, higher_is_better, counts }
}

/// The figures that are compared, in the order in which they are shown.
const COMPARED: &[Compared] = &[
    compared("delivered_per_s", true, Some('r')),
    compared("acked_per_s", true, Some('r')),
    compared("sent_per_s", true, Some('r')),
    compared("e2e.p50", false, Some('m')),
    compared("e2e.p99", false, Some('t')),
    compared("ack.p50", false, Some('m')),
    compared("ack.p99", false, Some('t')),
    compared("connack.p50", false, Some('m')),
    compared("connack.p99", false, Some('t')),
    compared("lost", false, Some('l')),
    compared("not_sent", false, Some('n')),
    compared("duplicates", false, Some('d')),
    compared("reordered", false, Some('o')),
    compared("corrupt", false, Some('c')),
    compared("rejected", false, Some('j')),
    compared("connect_failed", false, Some('f')),
    compared("ping.p50", false, None),
    compared("ping.p99", false, None),
    compared("e2e.p90", false, None),
    compared("e2e.p99.9", false, None),
    compared("e2e.max", false, None),
    compared("broker.cpu_pct", false, None),
    compared("broker.rss_bytes", false, None),
];

/// Percent up to which a change is no difference.
pub(crate) type Tolerance = f64;

/// One side: results of one plan, in any number, and what to call them.
pub(crate) struct Group<'a> {
    /// What the table calls it.
    pub(crate) name: String,
    /// At least one.
    pub(crate) documents: Vec<&'a ResultDocument>,
}

impl Group<'_> {
    fn side(&self) -> Side {
        let mut runs: Vec<RunFigures> = self.documents.iter().flat_map(|document| runs_of(document)).collect();
        align(&mut runs);
        let first = self.documents.first();
        let broker = first.and_then(|document| document.target.broker.as_ref()).map(|broker| {
            [broker.name.as_deref(), broker.version.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ")
        });
        Side {
            name: self.name.clone(),
            urls: first.map(|document| document.target.urls.clone()).unwrap_or_default(),
            broker: broker.filter(|broker| !broker.is_empty()),
            description: first.and_then(|document| document.run.description.clone()),
            tool_version: first.map(|document| document.tool.version.clone()).unwrap_or_default(),
            host: first.and_then(|document| document.env.host.clone()),
            runs,
        }
    }

    /// The rate of the stage whose latencies are compared.
    fn paced_at(&self) -> Option<f64> {
        self.documents.first()?.stages.iter().rev().find_map(|stage| stage.traffic.offered_per_s)
    }
}

/// Compares two sides. With `any_plan`, also where their plans differ.
pub(crate) fn compare(base: &Group<'_>, new: &Group<'_>, tolerance_pct: Tolerance, any_plan: bool) -> Comparison {
    let mut comparison = Comparison {
        base: base.side(),
        new: new.side(),
        confidence_pct: CONFIDENCE_PCT,
        resamples: RESAMPLES,
        seed: SEED,
        tolerance_pct,
        ..Comparison::default()
    };
    for document in base.documents.iter().skip(1).chain(&new.documents) {
        for difference in plan_differences(&plan(base.documents[0]), &plan(document)) {
            if !comparison.plan_differences.contains(&difference) {
                comparison.plan_differences.push(difference);
            }
        }
    }
    let other_plan = (!any_plan && !comparison.plan_differences.is_empty()).then(|| {
        let named: Vec<String> = comparison.plan_differences.iter().take(3).map(|it| it.text()).collect();
        format!("the plans differ: {}", named.join(", "))
    });
    let is_empty = |side: &Side| side.runs.iter().all(|run| !run.status.has_figures());
    let without_runs = match (is_empty(&comparison.base), is_empty(&comparison.new)) {
        (false, false) => None,
        (true, true) => Some("no run of either side is valid".to_owned()),
        (true, false) => Some("no run of the base is valid".to_owned()),
        (false, true) => Some("no run of the new side is valid".to_owned()),
    };
    let mut counted = BTreeSet::new();
    for compared in COMPARED {
        let Some(metric) = Metric::find(compared.name) else { continue };
        let values = |side: &Side| RunFigures::values(&side.runs, compared.name);
        let (before, after) = (values(&comparison.base), values(&comparison.new));
        if before.is_none() && after.is_none() {
            continue;
        }
        let counts = compared.counts.is_some_and(|letter| before.is_some() && counted.insert(letter));
        let mut found = judge(metric, compared, before.as_deref(), after.as_deref(), tolerance_pct);
        found.counts = counts;
        if let Some(reason) = without_runs.as_ref().or(other_plan.as_ref()) {
            (found.verdict, found.reason) = (CompareVerdict::CannotSay, Some(reason.clone()));
        }
        comparison.metrics.push(found);
    }
    comparison.metrics.sort_by_key(|metric| !metric.counts);
    sum_up(&mut comparison);
    comparison.notes = notes(&comparison, base, new);
    comparison
}

/// The plan by the names of its settings.
fn plan(document: &ResultDocument) -> Value {
    serde_json::to_value(&document.plan).unwrap_or_default()
}

/// The verdict over all figures that count.
fn sum_up(comparison: &mut Comparison) {
    let counting = || comparison.metrics.iter().filter(|metric| metric.counts);
    let all = |verdict| counting().all(|metric| metric.verdict == verdict);
    let regressions: Vec<String> =
        counting().filter(|it| it.verdict == CompareVerdict::Worse).map(|it| it.metric.clone()).collect();
    comparison.verdict = if !regressions.is_empty() {
        CompareVerdict::Worse
    } else if counting().any(|metric| metric.verdict == CompareVerdict::Better) {
        CompareVerdict::Better
    } else if counting().next().is_some() && all(CompareVerdict::Same) {
        CompareVerdict::Same
    } else {
        CompareVerdict::CannotSay
    };
    comparison.regressions = regressions;
}

/// What to know beside the figures.
fn notes(comparison: &Comparison, base: &Group<'_>, new: &Group<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    for (what, side) in [("base", &comparison.base), ("new", &comparison.new)] {
        for run in side.runs.iter().filter(|run| !run.status.has_figures()) {
            let error = run.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
            notes.push(format!("{what}: run {} is not valid and was left out{error}", run.number));
        }
    }
    let (one, other) = (&comparison.base, &comparison.new);
    if let (Some(before), Some(after)) = (&one.host, &other.host)
        && before != after
    {
        notes.push(format!("the load came from different machines: {before} and {after}"));
    }
    if one.tool_version != other.tool_version {
        notes.push(format!(
            "measured by different versions of mqbench: {} and {}",
            one.tool_version, other.tool_version
        ));
    }
    if let (Some(before), Some(after)) = (base.paced_at(), new.paced_at())
        && (before - after).abs() > 0.1 * before.max(after)
    {
        let (before, after) = (rate(before), rate(after));
        notes.push(format!(
            "latency was measured at different rates, {before}/s and {after}/s: --rate gives both sides the same load"
        ));
    }
    notes
}

/// Compares one figure.
fn judge(
    metric: Metric,
    compared: &Compared,
    base: Option<&[f64]>,
    new: Option<&[f64]>,
    tolerance_pct: f64,
) -> MetricComparison {
    let side = |values: Option<&[f64]>| {
        let values = values.unwrap_or_default();
        let ci95 = interval_of_median(values).and_then(|[low, high]| Some([number(low)?, number(high)?]));
        SideFigure { runs: values.len() as u64, median: median(values.to_vec()).and_then(number), ci95 }
    };
    let mut found = MetricComparison {
        metric: compared.name.to_owned(),
        unit: unit(metric).to_owned(),
        higher_is_better: compared.higher_is_better,
        counts: false,
        base: side(base),
        new: side(new),
        delta_pct: None,
        delta_ci95_pct: None,
        verdict: CompareVerdict::CannotSay,
        reason: None,
    };
    let judged = match (base, new) {
        (Some(base), Some(new)) => judge_values(&mut found, metric.is_fault(), base, new, tolerance_pct),
        (Some(_), None) => Err("the new side did not measure it".to_owned()),
        _ => Err("the base did not measure it".to_owned()),
    };
    match judged {
        Ok(verdict) => found.verdict = verdict,
        Err(reason) => found.reason = Some(reason),
    }
    found
}

/// The verdict on values of both sides, or why there is none.
fn judge_values(
    found: &mut MetricComparison,
    is_fault: bool,
    base: &[f64],
    new: &[f64],
    tolerance_pct: f64,
) -> Result<CompareVerdict, String> {
    let (before, after) = (median(base.to_vec()).unwrap_or_default(), median(new.to_vec()).unwrap_or_default());
    found.delta_pct = percent_change(before, after);
    found.delta_ci95_pct = interval_of_change(base, new, percent_change);
    let is_none = |values: &[f64]| values.iter().all(|value| *value == 0.0);
    if is_none(base) && is_none(new) {
        found.delta_pct = Some(0.0);
        return Ok(CompareVerdict::Same);
    }
    if !can_differ(base.len(), new.len()) {
        return Err(too_few(base.len(), new.len()));
    }
    let faulty = |values: &[f64]| values.iter().filter(|value| **value > 0.0).count();
    if is_fault && (before == 0.0 || after == 0.0) {
        // A change from nothing has no size.
        return match (faulty(base), faulty(new)) {
            (0, all) if all == new.len() => Ok(CompareVerdict::Worse),
            (all, 0) if all == base.len() => Ok(CompareVerdict::Better),
            (some, others) => Err(format!(
                "there were some in {some} of {} runs before and in {others} of {} now",
                base.len(),
                new.len()
            )),
        };
    }
    let (delta, [low, high]) = found
        .delta_pct
        .zip(found.delta_ci95_pct)
        .ok_or("the base is 0 in some runs, so that a change in percent has no meaning")?;
    let is_higher = low > 0.0 && delta >= tolerance_pct;
    let is_lower = high < 0.0 && delta <= -tolerance_pct;
    if is_higher || is_lower {
        return Ok(if is_higher == found.higher_is_better { CompareVerdict::Better } else { CompareVerdict::Worse });
    }
    if low >= -tolerance_pct && high <= tolerance_pct {
        return Ok(CompareVerdict::Same);
    }
    Err(format!(
        "the runs scatter: the change lies between {} and {}; more runs, or longer ones, narrow that",
        signed_percent(low),
        signed_percent(high)
    ))
}

/// Why so few runs say nothing.
fn too_few(base: usize, new: usize) -> String {
    let need = "from 4 runs each on a difference can be distinguished from chance (--runs 5)";
    match (base, new) {
        (1, 1) => format!("one run each does not show how far runs scatter: {need}"),
        _ => {
            let (base, new) = (counted(base as u64, "run", "runs"), counted(new as u64, "run", "runs"));
            format!("{base} against {new} are too few: {need}")
        }
    }
}

fn unit(metric: Metric) -> &'static str {
    let name = metric.name();
    match metric.kind() {
        Kind::Latency => "ns",
        Kind::Percent => "%",
        Kind::Number if name.ends_with("_per_s") => "per_s",
        Kind::Number if name.ends_with("_bytes") => "bytes",
        Kind::Number if name.starts_with("connect") => "connections",
        Kind::Number => "messages",
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::document;
    use super::*;
    use crate::bench::report::Status;
    use crate::template::Draws;

    fn compared_to(base: &[ResultDocument], new: &[ResultDocument]) -> Comparison {
        compare(&group("a", base), &group("b", new), 5.0, false)
    }

    fn group<'a>(name: &str, documents: &'a [ResultDocument]) -> Group<'a> {
        Group { name: name.to_owned(), documents: documents.iter().collect() }
    }

    fn rates(rates: &[f64]) -> Vec<ResultDocument> {
        rates.iter().map(|rate| document(*rate, 0)).collect()
    }

    fn metric<'a>(comparison: &'a Comparison, name: &str) -> &'a MetricComparison {
        comparison.metrics.iter().find(|metric| metric.metric == name).unwrap()
    }

    const STEADY: [f64; 5] = [1000.0, 1010.0, 990.0, 1005.0, 995.0];

    #[test]
    fn every_verdict_has_its_cause() {
        let times = |factor: f64| STEADY.map(|rate| rate * factor);
        for (factor, verdict, exit) in [
            (1.0, CompareVerdict::Same, false),
            (1.02, CompareVerdict::Same, false),
            (1.3, CompareVerdict::Better, false),
            (0.8, CompareVerdict::Worse, true),
        ] {
            let comparison = compared_to(&rates(&STEADY), &rates(&times(factor)));
            let rate = metric(&comparison, "delivered_per_s");
            assert_eq!((rate.verdict, rate.counts, rate.reason.as_ref()), (verdict, true, None), "{factor}: {rate:?}");
            assert_eq!(comparison.verdict, verdict);
            assert_eq!(comparison.regressions == ["delivered_per_s"], exit);
            assert!((rate.delta_pct.unwrap() - 100.0 * (factor - 1.0)).abs() < 0.01, "{rate:?}");
            let [low, high] = rate.delta_ci95_pct.unwrap();
            assert!(low <= rate.delta_pct.unwrap() && rate.delta_pct.unwrap() <= high);
        }
    }

    #[test]
    fn a_verdict_that_is_impossible_has_a_reason() {
        let reason = |base: &[ResultDocument], new: &[ResultDocument]| {
            let comparison = compared_to(base, new);
            let rate = metric(&comparison, "delivered_per_s");
            assert_eq!((rate.verdict, comparison.regressions.len()), (CompareVerdict::CannotSay, 0));
            assert_eq!(comparison.verdict == CompareVerdict::CannotSay, rate.counts, "the base decides what counts");
            rate.reason.clone().unwrap()
        };
        assert!(reason(&rates(&[1000.0]), &rates(&[10.0])).starts_with("one run each does not show"));
        assert!(reason(&rates(&[1.0, 2.0, 3.0]), &rates(&[10.0; 3])).starts_with("3 runs against 3 runs are too few"));
        let scattered = reason(&rates(&[500.0, 1500.0, 1000.0, 700.0, 1300.0]), &rates(&STEADY));
        assert!(scattered.starts_with("the runs scatter: the change lies between -"), "{scattered}");
        let mut null = rates(&STEADY);
        null[3].traffic.delivered_per_s = None;
        assert_eq!(reason(&rates(&STEADY), &null), "the new side did not measure it");
        assert_eq!(reason(&null, &rates(&STEADY)), "the base did not measure it");
        let at_qos = |qos: u8| {
            let mut documents = rates(&STEADY);
            documents.iter_mut().for_each(|document| document.plan["qos"] = qos.into());
            documents
        };
        let other = at_qos(2);
        assert_eq!(reason(&at_qos(0), &other), "the plans differ: qos 0 → 2");
        let any = compare(&group("a", &rates(&STEADY.map(|rate| rate * 2.0))), &group("b", &other), 5.0, true);
        assert_eq!((any.verdict, any.plan_differences.len()), (CompareVerdict::Worse, 1));
    }

    #[test]
    fn a_run_that_is_not_valid_is_left_out_and_named() {
        let mut new = rates(&[1000.0, 1001.0, 1002.0, 1003.0, 10.0]);
        new[4].set_status(Status::Invalid);
        let comparison = compared_to(&rates(&STEADY), &new);
        assert_eq!(metric(&comparison, "delivered_per_s").verdict, CompareVerdict::Same);
        assert_eq!(comparison.notes, ["new: run 5 is not valid and was left out"]);
        new.iter_mut().for_each(|document| document.set_status(Status::Invalid));
        let comparison = compared_to(&rates(&STEADY), &new);
        assert_eq!(comparison.verdict, CompareVerdict::CannotSay);
    }

    #[test]
    fn loss_where_there_was_none_is_worse_and_a_single_loss_is_chance() {
        let lossy = |lost: [u64; 5]| lost.map(|lost| document(1000.0, lost)).to_vec();
        let verdict = |base: [u64; 5], new: [u64; 5]| {
            let comparison = compared_to(&lossy(base), &lossy(new));
            let lost = metric(&comparison, "lost");
            (lost.verdict, lost.reason.clone())
        };
        assert_eq!(verdict([0; 5], [0; 5]), (CompareVerdict::Same, None));
        assert_eq!(verdict([0; 5], [1, 9, 3, 4, 5]), (CompareVerdict::Worse, None));
        assert_eq!(verdict([1, 9, 3, 4, 5], [0; 5]), (CompareVerdict::Better, None));
        let reason = "there were some in 0 of 5 runs before and in 1 of 5 now".to_owned();
        assert_eq!(verdict([0; 5], [0, 0, 9, 0, 0]), (CompareVerdict::CannotSay, Some(reason)));
        assert_eq!(verdict([100; 5], [300; 5]).0, CompareVerdict::Worse);
    }

    #[test]
    fn chance_seldom_looks_like_a_difference() {
        // Runs of one broker scatter by 10 %. Of 120 comparisons of five runs with five, how many find a difference?
        let draws = Draws::new(7, 7);
        let run = |place: u64| 1000.0 * (1.0 + 0.1 * normal(draws, place));
        let (mut wrong, trials) = (0, 120);
        for trial in 0..trials {
            let five = |side: u64| (0..5).map(|place| run((trial * 2 + side) * 5 + place)).collect::<Vec<f64>>();
            let mut found = MetricComparison { higher_is_better: true, ..MetricComparison::default() };
            let verdict = judge_values(&mut found, false, &five(0), &five(1), 5.0);
            wrong += u64::from(matches!(verdict, Ok(CompareVerdict::Better | CompareVerdict::Worse)));
        }
        assert!(wrong <= trials / 12, "{wrong} of {trials}");
    }

    /// A normal number.
    fn normal(draws: Draws, place: u64) -> f64 {
        let radius = (-2.0_f64 * draws.uniform(2 * place).ln()).sqrt();
        radius * (std::f64::consts::TAU * draws.uniform(2 * place + 1)).cos()
    }
}
