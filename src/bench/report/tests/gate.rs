//! Gates: what is read, what is refused with which words, what passes.

use super::example::{self, assemble};
use crate::bench::report::document::GateOutcome;
use crate::bench::report::{Gate, ResultDocument};

fn outcomes(gate: &str, document: &ResultDocument) -> Vec<GateOutcome> {
    Gate::parse(gate).unwrap_or_else(|error| panic!("{error}")).evaluate(document)
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

#[test]
fn a_baseline_is_read_and_refused() {
    assert!(error("vs(e2e.p99) <= +10%").contains("--baseline"));
    assert!(error("vs( lost )<=-5%").contains("--baseline"));
    assert!(error("vs(e2e.p98) <= +10%").contains("no metric 'e2e.p98'"));
    assert!(error("vs(e2e.p99) <= 10ms").contains("percent"));
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_strange(gate: String, tail in "[a-z0-9_.<>=!&%()+ -]{0,30}") {
        let _ = Gate::parse(&gate);
        let _ = Gate::parse(&tail);
        let _ = Gate::parse(&format!("e2e.p99<={tail}"));
    }
}
