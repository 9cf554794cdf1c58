//! Gates: what is read, what is refused with which words, what passes.

use super::example::{self, assemble};
use crate::bench::report::document::GateOutcome;
use crate::bench::report::{Gate, ResultDocument, RunFigures, Status};

fn outcomes(gate: &str, document: &ResultDocument) -> Vec<GateOutcome> {
    Gate::parse(gate).unwrap_or_else(|error| panic!("{error}")).evaluate(document, None)
}

fn passes(gate: &str) -> bool {
    outcomes(gate, &example::document()).iter().all(|outcome| outcome.pass)
}

#[test]
fn conditions_hold_or_not() {
    // The paced stage: the median is the 10,000th of 20,000 samples from 45 µs to 135 µs, about 90 µs.
    for gate in [
        "e2e.p50<=91us",
        "e2e.p50 >= 89µs",
        "ack.p50 < 0.1ms",
        "e2e.p99.9 > 100000ns",
        "e2e.max < 1s",
        "sched_lag.mean<5us",
        "lost==0",
        "lost == 0 && duplicates == 0&&reordered<1",
        "sent == 617.28k",
        "sent_per_s >= 123k",
        "sent_per_s<0.2M",
        "expected == 925920",
        "loss_pct <= 0.1%",
        "cpu_pct != 0",
        "rejected == 0",
    ] {
        assert!(passes(gate), "{gate}: {:?}", outcomes(gate, &example::document()));
    }
    for gate in ["e2e.p50<=45us", "lost > 0", "lost==0 && sent_per_s>=1M", "expected != 925920", "acked_per_s < 1"] {
        assert!(!passes(gate), "{gate}");
    }
}

#[test]
fn an_outcome_is_written_in_the_units_of_the_document() {
    let outcome = &outcomes("e2e.p99 <= 0.3ms", &example::document())[0];
    let value = serde_json::to_value(outcome).unwrap();
    assert_eq!(value["expr"], "e2e.p99 <= 0.3ms");
    assert_eq!(value["limit"], 300_000);
    assert!(value["value"].is_u64() && value["pass"] == true, "{value}");
}

#[test]
fn what_was_not_measured_fails() {
    for gate in ["e2e.p99.99 < 1s", "pubrec.p50 > 0ns", "pubrec.p50 != 1ns", "rss_bytes > 0"] {
        let outcome = &outcomes(gate, &example::document())[0];
        assert_eq!((&outcome.value, outcome.pass), (&None, false), "{gate}");
    }
}

#[test]
fn no_message_is_no_message_without_fault() {
    let mut stage = example::stage(0, 0, 90_000);
    (stage.not_sent, stage.offered) = (Some(3_000_000), Some(3_000_000));
    stage.recorder.counters.held_back = 3_000_000;
    let overloaded = assemble(example::context(), vec![stage]);
    for gate in ["lost == 0", "duplicates == 0", "reordered == 0", "max_gap == 0", "unacked == 0", "loss_pct <= 1%"] {
        let outcome = &outcomes(gate, &overloaded)[0];
        assert_eq!((&outcome.value, outcome.pass), (&None, false), "{gate}");
    }
    assert!(!outcomes("not_sent == 0", &overloaded)[0].pass && outcomes("not_sent > 1M", &overloaded)[0].pass);
    let mut kept = example::stage(0, 1_000, 90_000);
    kept.not_sent = Some(0);
    let kept = assemble(example::context(), vec![kept]);
    assert!(outcomes("not_sent == 0 && lost == 0", &kept).iter().all(|outcome| outcome.pass));
}

#[test]
fn an_invalid_or_failed_run_fails_every_gate() {
    let mut stages = example::two_stages();
    stages[1].clock_back_ns = 1;
    let invalid = assemble(example::context(), stages);
    assert!(outcomes("lost == 0 && sent > 0", &invalid).iter().all(|outcome| !outcome.pass && outcome.value.is_some()));
    let mut context = example::context();
    context.run.error = Some("connection refused".to_owned());
    let failed = assemble(context, example::two_stages());
    assert!(!outcomes("lost == 0", &failed)[0].pass);
}

fn error(gate: &str) -> String {
    Gate::parse(gate).expect_err(gate).to_string()
}

#[test]
fn a_typo_names_what_exists() {
    for (gate, hint) in [
        ("p99 < 20ms", "no metric 'p99'; write e2e.p99 (publish to delivery) or ack.p99"),
        ("max<1s", "write e2e.max"),
        ("e2e.p98<=1ms", "did you mean 'e2e.p9"),
        ("e2e.p999<=1ms", "did you mean 'e2e.p99.9"),
        ("losst==0", "did you mean 'lost'"),
        ("sent_per_sec>1k", "did you mean 'sent_per_s'"),
        ("e2ee.p99<1ms", "did you mean 'e2e.p99'"),
        ("latency.e2e.p99<1ms", "no metric 'latency.e2e.p99'"),
        ("zzz==0", "Metrics: latencies ("),
        ("e2e<1ms", "no metric 'e2e'"),
        ("==0", "no metric ''"),
    ] {
        let message = error(gate);
        assert!(message.contains(hint), "{gate}: {message}");
        assert!(message.contains("sched_lag") && message.contains("delivered_per_s"), "{message}");
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    for (gate, words) in [
        ("", "a condition is empty"),
        ("lost==0 &&", "a condition is empty"),
        ("lost", "no comparison"),
        ("lost ! 0", "no comparison"),
        ("lost=0", "write '=='"),
        ("lost==", "'' is not a number"),
        ("lost==none", "'none' is not a number"),
        ("lost==nan", "'nan' is not a number"),
        ("lost==1e3", "'e3' does not fit"),
        ("lost==0 || sent>1", "does not fit"),
        ("lost<=5%", "a count or rate takes k, M or G"),
        ("e2e.p99<=20", "20ms"),
        ("e2e.p99<=20m", "a latency takes ns"),
        ("e2e.p99<=20k", "a latency takes ns"),
        ("loss_pct<=1k", "a share takes %"),
        ("e2e.p99<==20ms", "is not a number"),
    ] {
        let message = error(gate);
        assert!(message.starts_with("gate '") && message.contains(words), "{gate}: {message}");
    }
}

/// The same run with another median of its paced stage.
fn run_of(typical_ns: i64) -> ResultDocument {
    assemble(example::context(), vec![example::stage(0, 308_640, typical_ns)])
}

fn versus(gate: &str, document: &ResultDocument, baseline: Option<&ResultDocument>) -> GateOutcome {
    let gate = Gate::parse(gate).unwrap_or_else(|error| panic!("{error}"));
    assert!(gate.needs_baseline());
    gate.evaluate(document, baseline).remove(0)
}

#[test]
fn a_change_against_a_baseline_holds_or_not() {
    let (base, slower) = (run_of(100_000), run_of(112_000));
    for (gate, holds) in [
        ("vs(e2e.p50) <= +13%", true),
        ("vs( e2e.p50 )<=11%", false),
        ("vs(e2e.p50) >= +11 %", true),
        ("vs(e2e.p99) > 13%", false),
        ("vs(delivered_per_s) >= -5%", true),
        ("vs(lost) <= 0%", true),
        ("vs(lost) != 0%", false),
    ] {
        let outcome = versus(gate, &slower, Some(&base));
        assert_eq!(outcome.pass, holds, "{gate}: {outcome:?}");
        assert_eq!(outcome.reason.is_none(), holds, "{outcome:?}");
    }
    let outcome = versus("vs(e2e.p50) <= +10%", &slower, Some(&base));
    let value = outcome.value.and_then(|value| value.as_f64()).unwrap();
    assert!((11.5..12.5).contains(&value) && outcome.limit == Some(10.into()), "{value}");
    assert_eq!(outcome.reason.unwrap(), "e2e.p50 changed by +12 % from 99.9 µs to 112 µs");
    let (gate, faster) = ("vs(e2e.p50) <= +10%", run_of(80_000));
    assert!(versus(gate, &faster, Some(&base)).pass);
}

#[test]
fn a_change_that_cannot_be_known_fails_with_a_reason() {
    let (base, new) = (run_of(100_000), run_of(100_000));
    let reason = |gate: &str, new: &ResultDocument, base: Option<&ResultDocument>| {
        let outcome = versus(gate, new, base);
        assert!(!outcome.pass && outcome.value.is_none(), "{outcome:?}");
        outcome.reason.unwrap()
    };
    assert!(reason("vs(e2e.p50) <= +10%", &new, None).contains("add --baseline"));
    assert_eq!(reason("vs(pubrec.p50) <= +10%", &new, Some(&base)), "pubrec was not measured in this run");
    let mut unmeasured = base.clone();
    unmeasured.latency.e2e = None;
    let words = reason("vs(e2e.p50) <= +10%", &new, Some(&unmeasured));
    assert_eq!(words, "in the baseline, e2e was not measured in this run");
    let mut lossy = new.clone();
    lossy.delivery.counts.lost = Some(7);
    assert!(reason("vs(lost) <= +10%", &lossy, Some(&base)).contains("was 0 in the baseline"));
    let mut invalid = base.clone();
    invalid.set_status(Status::Invalid);
    assert!(reason("vs(e2e.p50) <= +10%", &new, Some(&invalid)).starts_with("the baseline is not valid"));
    invalid.set_status(Status::Ok);
    let mut document = new;
    document.set_status(Status::Invalid);
    let outcome = versus("vs(e2e.p50) <= +10%", &document, Some(&base));
    assert!(
        !outcome.pass && outcome.reason.unwrap().starts_with("the run is not valid"),
        "an invalid run passes no gate"
    );
}

#[test]
fn a_failed_gate_has_a_reason() {
    let reason = |gate: &str| outcomes(gate, &example::document())[0].reason.clone();
    assert_eq!(reason("lost == 0"), None);
    assert_eq!(reason("sent >= 1M").unwrap(), "sent is 617,280");
    assert!(reason("e2e.p50 <= 45us").unwrap().starts_with("e2e.p50 is "));
    assert_eq!(reason("e2e.p99.99 < 1s").unwrap(), "e2e.p99.99 is not given: 20,000 samples are too few for it");
    assert_eq!(reason("pubrec.p50 > 0ns").unwrap(), "pubrec was not measured in this run");
    assert_eq!(reason("rss_bytes > 0").unwrap(), "rss_bytes was not measured in this run");
}

#[test]
fn of_several_runs_the_median_counts_and_of_what_went_wrong_the_worst() {
    let mut document = example::document();
    let run = |p99: u64, lost: u64, status| {
        let figures = [("e2e.p99", p99), ("lost", lost), ("sent", 7)];
        let figures = figures.into_iter().map(|(name, value)| (name.to_owned(), Some(value.into()))).collect();
        RunFigures { status, figures, ..RunFigures::default() }
    };
    document.runs = Some(vec![
        run(10_000_000, 0, Status::Ok),
        run(90_000_000, 0, Status::Ok),
        run(20_000_000, 3, Status::Ok),
        run(1, 99, Status::Invalid),
    ]);
    for (gate, holds) in [
        ("e2e.p99 == 20ms", true),
        ("e2e.p99 < 20ms", false),
        ("lost == 3", true),
        ("lost == 0", false),
        ("e2e.p50 > 0ns", false),
    ] {
        assert_eq!(outcomes(gate, &document)[0].pass, holds, "{gate}: {:?}", outcomes(gate, &document));
    }
}

#[test]
fn a_change_is_read_and_refused() {
    assert!(error("vs(e2e.p98) <= +10%").contains("no metric 'e2e.p98'"));
    assert!(error("vs(e2e.p99) <= 10ms").contains("percent"));
    assert!(error("vs(e2e.p99) <= 10").contains("percent"));
    assert!(!Gate::parse("lost == 0").unwrap().needs_baseline());
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_strange(gate: String, tail in "[a-z0-9_.<>=!&%()+ -]{0,30}") {
        let _ = Gate::parse(&gate);
        let _ = Gate::parse(&tail);
        let _ = Gate::parse(&format!("e2e.p99<={tail}"));
    }
}
