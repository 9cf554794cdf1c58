//! The figures of runs, out of their result documents, and what several of them come to.

use std::collections::BTreeSet;

use crate::bench::measure::median;
use crate::bench::report::{Metric, ResultDocument, RunFigures, RunStatistics, Status, interval_of_median, number};

/// Figures by which the run in the middle is chosen: the first one that the runs have.
const MIDDLE_BY: [&str; 6] = ["e2e.p99", "ack.p99", "connack.p99", "delivered_per_s", "acked_per_s", "sent_per_s"];

/// The runs of a result: those of `--runs`, or the one that it is.
pub(crate) fn runs_of(document: &ResultDocument) -> Vec<RunFigures> {
    document.runs.clone().unwrap_or_else(|| vec![figures_of(document)])
}

/// The figures of one run.
pub(crate) fn figures_of(document: &ResultDocument) -> RunFigures {
    let figures = Metric::all().filter_map(|metric| {
        let value = metric.read(document).filter(|value| value.is_finite()).and_then(number)?;
        Some((metric.name(), Some(value)))
    });
    let fault = document.invalid.first().map(|fault| fault.text.clone());
    RunFigures {
        number: 1,
        id: document.run.id.clone(),
        started_at: document.run.started_at.clone(),
        urls: document.target.urls.clone(),
        status: document.status,
        error: document.run.error.clone().or(fault),
        shown: false,
        figures: figures.collect(),
    }
}

/// Numbers the runs, and enters null for what only some of them measured.
pub(crate) fn align(runs: &mut [RunFigures]) {
    let names: BTreeSet<String> = runs.iter().flat_map(|run| run.figures.keys().cloned()).collect();
    for (number, run) in (1..).zip(runs) {
        run.number = number;
        for name in &names {
            run.figures.entry(name.clone()).or_insert(None);
        }
    }
}

/// One result out of several runs of a plan: the run in the middle, with the figures and the medians of all. `planned` is
/// how many there were to be. `None` where there was no run.
pub(crate) fn enter_runs(mut documents: Vec<ResultDocument>, planned: usize) -> Option<ResultDocument> {
    let mut runs: Vec<RunFigures> = documents.iter().map(figures_of).collect();
    align(&mut runs);
    let shown = middle(&runs)?;
    runs[shown].shown = true;
    let mut document = documents.swap_remove(shown);
    judge(&mut document, &runs, planned);
    let names: Vec<String> = runs[0].figures.keys().cloned().collect();
    let statistics = names.into_iter().map(|name| {
        let values = RunFigures::values(&runs, &name).unwrap_or_default();
        let ci95 = interval_of_median(&values).and_then(|[low, high]| Some([number(low)?, number(high)?]));
        (name, RunStatistics { median: median(values).and_then(number), ci95 })
    });
    document.stats = Some(statistics.collect());
    document.runs = Some(runs);
    Some(document)
}

/// How runs ended together: a failed one fails them all; those that are not valid are left out as long as most are.
fn judge(document: &mut ResultDocument, runs: &[RunFigures], planned: usize) {
    let of = |status: Status| runs.iter().filter(move |run| run.status == status);
    let (count, invalid) = (runs.len(), of(Status::Invalid).count());
    let why = |run: &RunFigures| {
        let error = run.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
        format!("run {} of {planned}{error}", run.number)
    };
    document.run.error = None;
    if let Some(failed) = of(Status::Failed).next() {
        document.run.error = Some(why(failed));
        document.set_status(Status::Failed);
    } else if 2 * invalid > count {
        // The faults are those of the run that is shown.
        document.set_status(Status::Invalid);
    } else {
        document.invalid.clear();
        let partial = count < planned || of(Status::Partial).next().is_some();
        document.set_status(if partial { Status::Partial } else { Status::Ok });
        if let Some(first) = of(Status::Invalid).next() {
            let left_out = if invalid == 1 { "1 run is" } else { "some runs are" };
            document.warn("runs-left-out", format!("{left_out} not valid and not part of the medians: {}", why(first)));
        }
    }
    if count < planned {
        document.warn("runs-missing", format!("{count} of {planned} runs were made"));
    }
}

/// The run that the document shows: of the valid ones the one nearest to their median; of others, where most are not
/// valid, the first of these.
fn middle(runs: &[RunFigures]) -> Option<usize> {
    let is_valid = |run: &RunFigures| run.status.has_figures();
    let valid = runs.iter().filter(|run| is_valid(run)).count();
    if 2 * valid < runs.len() || valid == 0 {
        return runs.iter().position(|run| !is_valid(run));
    }
    let by = MIDDLE_BY.iter().find_map(|name| Some((*name, median(RunFigures::values(runs, name)?)?)));
    let Some((name, median)) = by else { return runs.iter().position(is_valid) };
    let distance = |run: &RunFigures| run.get(name).map_or(f64::INFINITY, |value| (value - median).abs());
    let places = (0..runs.len()).filter(|place| is_valid(&runs[*place]));
    places.min_by(|one, other| distance(&runs[*one]).total_cmp(&distance(&runs[*other])))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::measure::Fault;

    /// A result with these figures.
    pub(in crate::bench::compare) fn document(delivered_per_s: f64, lost: u64) -> ResultDocument {
        let mut document = ResultDocument::default();
        document.traffic.sent = Some(1_000);
        document.traffic.delivered_per_s = Some(delivered_per_s);
        (document.delivery.counts.expected, document.delivery.counts.lost) = (Some(1_000), Some(lost));
        document
    }

    fn invalid(text: &str) -> ResultDocument {
        let mut invalid = document(1.0, 500);
        invalid.set_status(Status::Invalid);
        invalid.invalid.push(Fault { text: text.to_owned(), ..Fault::default() });
        invalid
    }

    #[test]
    fn several_runs_are_one_result() {
        let documents = [5.0, 1.0, 3.0, 4.0, 2.0].map(|rate| document(rate, 0)).to_vec();
        let result = enter_runs(documents, 5).unwrap();
        assert_eq!((result.status, result.traffic.delivered_per_s), (Status::Ok, Some(3.0)), "the one in the middle");
        let runs = result.runs.as_ref().unwrap();
        assert_eq!(runs.iter().map(|run| (run.number, run.shown)).collect::<Vec<_>>()[2], (3, true));
        let stats = &result.stats.as_ref().unwrap()["delivered_per_s"];
        let interval = stats.ci95.clone().map(|ends| ends.map(|end| end.as_f64().unwrap()));
        assert_eq!((stats.median.as_ref().unwrap().as_f64(), interval), (Some(3.0), Some([1.0, 5.0])));
        assert_eq!(enter_runs(Vec::new(), 5), None);
    }

    #[test]
    fn what_only_some_runs_measured_is_null() {
        let mut without = document(2.0, 0);
        without.traffic.delivered_per_s = None;
        let result = enter_runs(vec![document(1.0, 0), without], 2).unwrap();
        assert_eq!(result.runs.unwrap()[1].figures["delivered_per_s"], None);
        assert_eq!(result.stats.unwrap()["delivered_per_s"], RunStatistics::default());
    }

    #[test]
    fn a_run_that_is_not_valid_is_left_out_and_most_of_them_are_not() {
        let result = enter_runs(vec![document(1.0, 0), invalid("too late"), document(3.0, 0)], 3).unwrap();
        assert_eq!((result.status, result.invalid.len()), (Status::Ok, 0));
        assert!(result.warnings[0].text.contains("run 2 of 3: too late"), "{:?}", result.warnings);
        assert_eq!(result.stats.unwrap()["lost"].median, Some(0.into()));
        let result = enter_runs(vec![document(1.0, 0), invalid("too late"), invalid("later")], 3).unwrap();
        assert_eq!((result.status, result.invalid[0].text.as_str()), (Status::Invalid, "too late"));
    }

    #[test]
    fn runs_that_are_missing_or_failed_are_named() {
        let result = enter_runs(vec![document(1.0, 0), document(2.0, 0)], 5).unwrap();
        assert_eq!((result.status, result.warnings[0].text.as_str()), (Status::Partial, "2 of 5 runs were made"));
        let mut failed = document(0.0, 0);
        failed.set_status(Status::Failed);
        failed.run.error = Some("connection refused".to_owned());
        let result = enter_runs(vec![document(1.0, 0), failed], 5).unwrap();
        assert_eq!(
            (result.status, result.run.error.as_deref()),
            (Status::Failed, Some("run 2 of 5: connection refused"))
        );
    }
}
