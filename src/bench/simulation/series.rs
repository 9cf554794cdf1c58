//! Several runs: the search finds the knee of a broker that has one, repeats are as many as were asked for.

use std::cell::RefCell;
use std::time::Duration;

use serde_json::Value;

use super::script::{Copy, ReceivedPublish, Script, ms};
use super::{ADDRESS, options_of, simulate_plan};
use crate::bench::attempt::Attempt;
use crate::bench::compare;
use crate::bench::find::{self, Settings};
use crate::bench::plan::{RunTag, Target, bench_plan};
use crate::bench::report::{Gate, LimitedBy, ProbeOutcome, Purpose, ResultDocument};
use crate::options::Environment;

/// A broker that delivers in 5 ms what it is given up to `per_second`; what comes faster stands in line.
fn with_knee(per_second: f64) -> Script {
    let free_at = RefCell::new(Duration::ZERO);
    let copies = move |publish: &ReceivedPublish, _: u64| {
        let mut free_at = free_at.borrow_mut();
        let begins = publish.at.max(*free_at);
        *free_at = begins + Duration::from_secs_f64(1.0 / per_second);
        vec![Copy::later(begins - publish.at)]
    };
    Script { deliver_after: ms(5), copies: Box::new(copies), ..Script::default() }
}

/// What `mqbench find` comes to against a broker of this script, which is started anew for each rate.
fn find_with(
    settings: &Settings,
    arguments: &str,
    script: impl Fn() -> Script,
    mut change: impl FnMut(usize, &mut ResultDocument),
) -> (ResultDocument, Vec<String>) {
    let environment = Environment::fixed([], []);
    let plan = bench_plan(&options_of(arguments), &environment, &Target::AsTyped).unwrap();
    let (mut said, mut probe) = (Vec::new(), 0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let found = tokio::task::LocalSet::new().block_on(&runtime, async {
        let measure = async |plan| {
            let mut document = simulate_plan(plan, script(), super::FOR_EVER).await.document.unwrap();
            // The machine below is real, and its load is no part of the simulation.
            document.generator.verdict = None;
            change(probe, &mut document);
            probe += 1;
            Ok(Attempt { document, status: None, has_load: true })
        };
        find::find(&plan, settings, measure, |line| said.push(line.to_owned())).await.unwrap()
    });
    (found.document, said)
}

fn settings(slo: &str) -> Settings {
    Settings {
        slo: Gate::parse(slo).unwrap(),
        probe: Duration::from_secs(2),
        settle: ms(500),
        from: None,
        limit: Duration::from_secs(600),
    }
}

const PLAN: &str = "-q 1 --pubs 2 --subs 2 -M 100 --seed 1";

#[test]
fn a_broker_with_a_knee_is_found_out() {
    let (document, said) = find_with(&settings("e2e.p99 < 20ms && lost == 0"), PLAN, || with_knee(1_000.0), |_, _| {});
    let curve = document.curve.as_ref().unwrap();
    let rate = curve.rate_per_s.unwrap();
    // What 1,000 a second take a little more of stands in line for 15 ms only in the end.
    assert!((950.0..=1_010.0).contains(&rate), "{rate}: {said:#?}");
    assert_eq!((curve.confirmed, curve.above_fails, curve.limited_by), (true, Some(true), LimitedBy::Slo));
    assert!(document.gates.iter().all(|gate| gate.pass), "{:?}", document.gates);
    assert_eq!(document.traffic.offered_per_s, Some(rate), "the result is that of the answer");
    assert_eq!(document.stages[0].duration_ns, 6_000_000_000, "its long measurement");
    let above = curve.points.last().unwrap();
    assert_eq!((above.purpose, above.outcome), (Purpose::Above, ProbeOutcome::Miss));
    assert!(above.reason.is_some());
    assert!(curve.points.iter().all(|point| (point.rate_per_s > rate) == (point.outcome == ProbeOutcome::Miss)));
    assert!(said[1].starts_with("find: ") && said[1].contains(" left"), "{said:?}");
    // Nothing about it is chance.
    let (again, _) = find_with(&settings("e2e.p99 < 20ms && lost == 0"), PLAN, || with_knee(1_000.0), |_, _| {});
    assert_eq!(again.curve.unwrap().rate_per_s, Some(rate));
}

#[test]
fn the_objective_decides_where_the_knee_is() {
    // Every message beyond the 600th of a run that lasts 3 s is lost: 200 a second are carried.
    let lossy = || {
        let copies = |publish: &ReceivedPublish, _: u64| {
            let allowed = 200.0 * (publish.at.as_secs_f64() + 0.25);
            if publish.ordinal as f64 <= allowed { vec![Copy::RIGHT] } else { Vec::new() }
        };
        Script { deliver_after: ms(5), copies: Box::new(copies), ..Script::default() }
    };
    let from = Settings { from: Some(50.0), ..settings("loss_pct <= 0%") };
    let (document, _) = find_with(&from, PLAN, lossy, |_, _| {});
    let curve = document.curve.unwrap();
    let rate = curve.rate_per_s.unwrap();
    assert!((190.0..=225.0).contains(&rate), "{rate}");
    let missed = curve.points.iter().filter(|point| point.outcome == ProbeOutcome::Miss);
    assert!(missed.clone().count() > 1 && missed.clone().all(|point| point.loss_pct.unwrap() > 0.0));
}

#[test]
fn a_broker_that_never_meets_it_fails_the_gate() {
    let slow = || Script { deliver_after: ms(50), ..Script::default() };
    let from = Settings { from: Some(8.0), ..settings("e2e.p50 < 20ms") };
    let (document, _) = find_with(&from, PLAN, slow, |_, _| {});
    assert_eq!(document.curve.as_ref().unwrap().rate_per_s, None);
    assert_eq!(document.exit_status().code(), 3, "{:?}", document.gates);
}

#[test]
fn what_the_generator_could_not_do_is_not_the_brokers_limit() {
    let limit = |_: usize, document: &mut ResultDocument| {
        if document.traffic.offered_per_s.is_some_and(|rate| rate > 500.0) {
            document.generator.verdict = Some(crate::bench::measure::Verdict::Bottleneck);
            document.generator.reasons = vec!["a thread was busy for 97 % of the time".to_owned()];
        }
    };
    let (document, _) = find_with(&settings("e2e.p99 < 20ms"), PLAN, || with_knee(1_000.0), limit);
    let curve = document.curve.as_ref().unwrap();
    assert_eq!((curve.limited_by, curve.above_fails), (LimitedBy::Generator, None));
    let limit = curve.limit.as_ref().unwrap();
    assert!(limit.contains("97 % of the time") && limit.contains("carries at least"), "{limit}");
    assert!((470.0..=500.0).contains(&curve.rate_per_s.unwrap()));
    assert_eq!(document.exit_status().code(), 4);
}

#[test]
fn a_time_limit_keeps_what_is_known() {
    let short = Settings { limit: Duration::from_secs(15), ..settings("e2e.p99 < 20ms") };
    let (document, _) = find_with(&short, PLAN, || with_knee(1_000.0), |_, _| {});
    let curve = document.curve.as_ref().unwrap();
    assert_eq!((curve.limited_by, curve.confirmed, curve.above_per_s), (LimitedBy::Time, false, None));
    assert!(curve.rate_per_s.is_some_and(|rate| rate <= 1_000.0) && curve.points.len() > 2);
    assert!(curve.limit.as_ref().unwrap().contains("15.0 s (--find-limit)"), "{:?}", curve.limit);
    assert_eq!(document.exit_status().code(), 1);
}

/// A series of runs against a broker of this script, interrupted while it is between two of them.
fn series(runs: usize, sides: usize, interrupt_after: usize) -> Vec<(compare::Turn, ResultDocument)> {
    let environment = Environment::fixed([], []);
    let plan =
        bench_plan(&options_of("-q 1 --rate 500 --duration 2 --pubs 1 --subs 1"), &environment, &Target::AsTyped);
    let plan = plan.unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let attempts = tokio::task::LocalSet::new().block_on(&runtime, async {
        let measure = async |turn: compare::Turn| {
            let plan = plan.again(RunTag(turn.number as u16));
            let script = Script { deliver_after: ms(4 + turn.number as u64), ..Script::default() };
            let document = simulate_plan(plan, script, super::FOR_EVER).await.document.unwrap();
            Ok(Attempt { document, status: None, has_load: true })
        };
        let mut pauses = 0;
        let pause = async |time| {
            assert_eq!(time, ms(700));
            pauses += 1;
            pauses >= interrupt_after
        };
        compare::run_series(&compare::turns(runs, sides, 1), ms(700), measure, pause).await.unwrap()
    });
    attempts.into_iter().map(|(turn, attempt)| (turn, attempt.document)).collect()
}

#[test]
fn repeats_have_the_median_of_what_they_measured() {
    let documents: Vec<_> = series(5, 1, usize::MAX).into_iter().map(|(_, document)| document).collect();
    let ids: Vec<_> = documents.iter().map(|document| document.run.id.clone().unwrap()).collect();
    assert_eq!(ids, ["0001", "0002", "0003", "0004", "0005"]);
    let result = compare::enter_runs(documents, 5).unwrap();
    let value = serde_json::to_value(&result).unwrap();
    assert_eq!(value["stats"]["e2e.p50"]["median"], 7_000_000, "5 to 9 ms");
    assert_eq!(value["stats"]["e2e.p50"]["ci95"], serde_json::json!([5_000_000, 9_000_000]));
    assert_eq!((&value["run"]["id"], &value["latency"]["e2e"]["p"]["50"]), (&"0003".into(), &Value::from(7_000_000)));
    assert_eq!(value["runs"].as_array().unwrap().len(), 5);
    assert_eq!(value["status"], "ok");
}

#[test]
fn what_an_interruption_leaves_is_a_partial_result() {
    let documents: Vec<_> = series(5, 1, 3).into_iter().map(|(_, document)| document).collect();
    let result = compare::enter_runs(documents, 5).unwrap();
    assert_eq!((result.runs.as_ref().unwrap().len(), result.exit_status().code()), (3, 1));
    assert!(result.warnings.iter().any(|warning| warning.text == "3 of 5 runs were made"));
}

#[test]
fn two_brokers_take_turns() {
    let turns = series(3, 2, usize::MAX);
    assert_eq!(turns.len(), 6);
    for side in [0, 1] {
        assert_eq!(turns.iter().filter(|(turn, _)| turn.side == side).count(), 3);
    }
    assert!(ADDRESS.contains(':'));
}
