//! Runs the rates of a search one after the other, and makes one result of them.

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use super::Settings;
use super::probe::point;
use super::search::{CONFIRM_TIMES, Search, Step};
use crate::bench::attempt::Attempt;
use crate::bench::measure::Fault;
use crate::bench::plan::{BenchPlan, LoadModel, Stage, StageName};
use crate::bench::report::{
    Curve, CurvePoint, Gate, GateOutcome, LimitedBy, ProbeOutcome, Purpose, ResultDocument, Status,
};
use crate::terminal::number;

/// How long the flood is measured that says where to begin.
const FLOOD: Duration = Duration::from_secs(2);
/// Of what it carried, the share at which the search begins.
const FIRST_SHARE: f64 = 0.25;

/// What is known so far.
struct Findings {
    search: Search,
    points: Vec<CurvePoint>,
    /// The results of the rates that passed, of each its longest measurement: which of them is the answer is known at
    /// the end.
    passed: Vec<(f64, ResultDocument)>,
    /// The result of the last rate.
    last: Option<ResultDocument>,
    /// Why the search ended before its end.
    stopped: Option<String>,
}

/// Looks for the highest rate. `measure` runs a plan; `say` is given a line about what comes next, and the point that has
/// been measured.
///
/// # Errors
/// Those of `measure`.
pub(crate) async fn find(
    plan: &BenchPlan,
    settings: &Settings,
    mut measure: impl AsyncFnMut(BenchPlan) -> Result<Attempt>,
    mut say: impl FnMut(&str),
) -> Result<Attempt> {
    let began = Instant::now();
    let start = match settings.from {
        Some(rate) => rate,
        None => {
            say("find: a short flood shows where to begin");
            let flood =
                measure(with_stage(plan, StageName::Flood, LoadModel::ClosedLoop, settings.settle, FLOOD)).await?;
            let carried = flood.document.traffic.sent_per_s.filter(|rate| *rate > 0.0);
            match carried {
                Some(rate) if flood.has_load && flood.document.status != Status::Failed => rate * FIRST_SHARE,
                _ => return Ok(flood),
            }
        }
    };
    let mut findings =
        Findings { search: Search::new(start), points: Vec::new(), passed: Vec::new(), last: None, stopped: None };
    while let Step::Try(rate, purpose) = findings.search.next() {
        let times = if purpose == Purpose::Confirm { CONFIRM_TIMES } else { 1 };
        let duration = settings.duration(rate) * times;
        if began.elapsed() + settings.settle + duration > settings.limit {
            let limit = number::duration(settings.limit.as_nanos() as u64);
            findings.stopped = Some(format!("the time limit of {limit} (--find-limit) ended the search"));
            break;
        }
        let left = (settings.settle + settings.duration(rate)) * findings.search.left();
        say(&format!("find: {}/s ({}), about {} left", number::rate(rate), purpose.text(), rounded(left),));
        let model = LoadModel::OpenLoop { rate };
        let attempt = measure(with_stage(plan, StageName::Paced, model, settings.settle, duration)).await?;
        if !attempt.has_load && findings.points.is_empty() {
            return Ok(attempt);
        }
        let is_interrupted = attempt.document.status == Status::Partial && attempt.document.run.error.is_none();
        if !attempt.has_load || is_interrupted {
            let why = attempt.document.run.error.unwrap_or_else(|| "interrupted".to_owned());
            findings.stopped = Some(format!("the search was ended: {why}"));
            break;
        }
        findings.note(attempt.document, &settings.slo, rate, purpose);
        if let Some(point) = findings.points.last() {
            say(&super::text::point_line(point));
        }
    }
    Ok(findings.attempt(settings))
}

/// The plan with one stage.
fn with_stage(plan: &BenchPlan, name: StageName, model: LoadModel, warmup: Duration, duration: Duration) -> BenchPlan {
    BenchPlan { stages: vec![Stage { name, model, warmup, duration: Some(duration), count: None }], ..plan.clone() }
}

/// A time that is an estimate.
fn rounded(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

impl Findings {
    fn note(&mut self, document: ResultDocument, slo: &Gate, rate: f64, purpose: Purpose) {
        let point = point(&document, slo, rate, purpose);
        let outcome = point.outcome;
        self.search.note(rate, purpose, outcome);
        self.points.push(point);
        if outcome == ProbeOutcome::Pass {
            let length = |document: &ResultDocument| document.stages.iter().map(|stage| stage.duration_ns).sum::<u64>();
            match self.passed.iter_mut().find(|(known, _)| *known == rate) {
                None => self.passed.push((rate, document.clone())),
                Some((_, known)) if length(known) <= length(&document) => *known = document.clone(),
                Some(_) => {}
            }
        }
        self.last = Some(document);
    }

    /// One result: that of the answer, with the curve.
    fn attempt(self, settings: &Settings) -> Attempt {
        let curve = self.curve(settings);
        let best = self.search.best();
        let answer = self.passed.into_iter().find(|(rate, _)| Some(*rate) == best);
        let mut document = answer.map(|(_, document)| document).or(self.last).unwrap_or_default();
        document.gates = settings.slo.evaluate(&document, None);
        if curve.rate_per_s.is_none() && document.gates.iter().all(|gate| gate.pass) {
            // It met the conditions, and failed otherwise: messages that could not be sent, or a backlog that grew.
            let (expr, reason) = (settings.slo.text(), curve.limit.clone());
            document.gates = vec![GateOutcome { expr, value: None, limit: None, pass: false, reason }];
        }
        match (curve.limited_by, curve.rate_per_s) {
            (LimitedBy::Time, _) => {
                document.run.error = curve.limit.clone();
                document.set_status(Status::Partial);
            }
            (LimitedBy::Generator, _) => {
                document.invalid.push(Fault {
                    code: "generator-limit".to_owned(),
                    text: curve.limit.clone().unwrap_or_default(),
                    next_step:
                        "run mqbench on another machine, or with more --threads; 'mqbench self' measures its ceiling"
                            .to_owned(),
                });
                document.set_status(Status::Invalid);
            }
            // What the lowest rate did is the answer: it does not meet what was asked for, and that fails the gate.
            (LimitedBy::Slo, _) => {}
        }
        document.curve = Some(curve);
        Attempt { document, status: None, has_load: true }
    }

    fn curve(&self, settings: &Settings) -> Curve {
        let (rate, above) = (self.search.best(), self.search.above());
        let reason = |outcome: ProbeOutcome| {
            let point = self.points.iter().rev().find(|point| point.outcome == outcome);
            point.and_then(|point| point.reason.clone()).unwrap_or_default()
        };
        let (limited_by, limit) = if let Some(why) = &self.stopped {
            (LimitedBy::Time, why.clone())
        } else if self.search.is_unfit() {
            let at_least =
                rate.map_or_else(String::new, |rate| format!("; the path carries at least {}/s", number::rate(rate)));
            let why = reason(ProbeOutcome::Unfit);
            (LimitedBy::Generator, format!("mqbench or this machine was the limit, not the broker: {why}{at_least}"))
        } else {
            (LimitedBy::Slo, reason(ProbeOutcome::Miss))
        };
        let stands = rate.is_none() || above.is_some() || limited_by != LimitedBy::Slo;
        let (limited_by, limit) = if stands {
            (limited_by, limit)
        } else {
            let why = format!("{} rates were tried, with outcomes that contradict each other", self.points.len());
            (LimitedBy::Time, why)
        };
        let has_e2e = self.last.as_ref().is_some_and(|document| document.latency.e2e.is_some());
        Curve {
            slo: settings.slo.text(),
            rate_per_s: rate,
            confirmed: self.search.is_confirmed(),
            above_per_s: above.map(|(rate, _)| rate),
            above_fails: above.and_then(|(_, outcome)| match outcome {
                ProbeOutcome::Unfit => None,
                outcome => Some(outcome == ProbeOutcome::Miss),
            }),
            limited_by,
            limit: Some(limit).filter(|limit| !limit.is_empty()),
            latency: if has_e2e { "e2e" } else { "ack" }.to_owned(),
            probe_ns: settings.probe.as_nanos() as u64,
            points: self.points.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_that_of_the_answer_also_where_a_higher_rate_passed_by_chance() {
        let slo = Gate::parse("lost == 0").unwrap();
        let mut findings =
            Findings { search: Search::new(100.0), points: Vec::new(), passed: Vec::new(), last: None, stopped: None };
        let mut number = 0;
        let mut note = |rate: f64, lost: u64| {
            number += 1;
            let mut document = ResultDocument::default();
            document.run.name = Some(format!("{rate} {number}"));
            (document.traffic.offered, document.traffic.sent) = (Some(1), Some(1));
            (document.delivery.counts.expected, document.delivery.counts.lost) = (Some(1_000), Some(lost));
            let Step::Try(tried, purpose) = findings.search.next() else { panic!("it has ended before {rate}") };
            assert_eq!(tried, rate, "{purpose:?}");
            findings.note(document, &slo, rate, purpose);
        };
        // 110 passes by chance once, after 100 was confirmed, and fails when it is to be confirmed itself.
        for (rate, lost) in
            [(100.0, 0), (200.0, 1), (141.0, 1), (119.0, 1), (109.0, 1), (104.0, 0), (104.0, 0), (114.0, 0)]
        {
            note(rate, lost);
        }
        for (rate, lost) in [(143.0, 1), (128.0, 1), (121.0, 1), (117.0, 1), (114.0, 1), (109.0, 1), (114.0, 1)] {
            note(rate, lost);
        }
        let settings = Settings { slo, probe: FLOOD, settle: FLOOD, from: None, limit: FLOOD };
        let Attempt { document, .. } = findings.attempt(&settings);
        assert_eq!(document.run.name.as_deref(), Some("104 7"), "its confirmation");
        assert_eq!(document.curve.unwrap().rate_per_s, Some(104.0));
        assert!(document.gates.iter().all(|gate| gate.pass));
    }
}
