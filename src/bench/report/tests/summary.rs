//! The summary as it looks.

use super::example::{self, assemble, assemble_for, bare_context};
use crate::bench::engine::{RunOutcome, StageOutcome, StreamOutcome};
use crate::bench::measure::Delivery;
use crate::bench::plan::Stage;
use crate::bench::plan::from_options::tests::plan_of;
use crate::bench::report::{Gate, ResultDocument, summary};
use crate::terminal::Colors;

fn gated(mut document: ResultDocument) -> ResultDocument {
    let gates = ["e2e.p99 <= 1ms && lost == 0", "e2e.p99.99 < 1s"].map(|gate| Gate::parse(gate).unwrap());
    Gate::apply(&gates, &mut document, None);
    document
}

fn of(change: fn(&mut StageOutcome)) -> String {
    of_plan(&["-q", "1", "--clients", "1"], change)
}

fn of_plan(arguments: &[&str], change: fn(&mut StageOutcome)) -> String {
    let mut stage = example::stage(0, 308_640, 90_000);
    change(&mut stage);
    let run = RunOutcome { stages: vec![stage], ..RunOutcome::default() };
    let document = gated(assemble_for(&plan_of(arguments).unwrap(), example::context(), run));
    summary(&document, 100, Colors::OFF, true)
}

/// A page is as wide as it should be, and no number stands apart from its unit.
fn check_width(text: &str, width: usize) {
    for line in text.lines() {
        assert!(line.chars().count() <= width, "{line:?} is wider than {width}:\n{text}");
        assert!(!["%", "µs", "ms", "s", "B", "MB/s"].contains(&line.split_whitespace().next().unwrap_or("")), "{text}");
    }
}

/// The whole page, to be looked at.
const TWO_STAGES: &str = include_str!("two_stages.txt");
/// What --details adds.
const DETAILS: &str = include_str!("details_of_two_stages.txt");

fn without_version(text: &str) -> String {
    text.replacen(env!("CARGO_PKG_VERSION"), "VERSION", 1)
}

#[test]
fn two_stages_at_a_glance() {
    let text = without_version(&summary(&gated(example::document()), 100, Colors::OFF, false));
    assert_eq!(text, TWO_STAGES, "\n{text}");
}

#[test]
fn color_changes_no_letter() {
    let document = gated(example::document());
    let colored = summary(&document, 100, Colors::ON, false);
    let mut plain = String::new();
    let mut parts = colored.split('\x1b');
    plain.push_str(parts.next().unwrap());
    parts.for_each(|part| plain.push_str(part.split_once('m').unwrap().1));
    assert_ne!(colored, plain);
    assert_eq!(without_version(&plain), TWO_STAGES);
    assert!(!summary(&document, 100, Colors::OFF, true).contains('\x1b'));
}

#[test]
fn every_width_has_whole_lines_and_whole_numbers() {
    let lossy = |stage: &mut StageOutcome| {
        stage.recorder.counters.on_time = 300_000;
        let delivery = stage.delivery.as_mut().unwrap();
        (delivery.delivered_once, delivery.lost, delivery.max_gap, delivery.duplicates) = (308_600, 40, 7, 123_456);
    };
    let mut stage = example::stage(0, 308_640, 90_000);
    lossy(&mut stage);
    let faulty = gated(assemble(example::context(), vec![stage]));
    for document in [gated(example::document()), faulty] {
        for (width, details) in [60, 80, 120].into_iter().flat_map(|width| [(width, false), (width, true)]) {
            check_width(&summary(&document, width, Colors::OFF, details), width);
        }
    }
}

#[test]
fn details_have_every_figure_and_every_basis() {
    let text = without_version(&summary(&gated(example::document()), 100, Colors::OFF, true));
    assert!(text.starts_with(TWO_STAGES.split("\n2025").next().unwrap().trim_end()), "{text}");
    assert!(text.contains(DETAILS), "{text}");
    let narrow = summary(&gated(example::document()), 72, Colors::OFF, true);
    assert!(narrow.contains("e2e from intended send; e2e service from actual send;"), "{narrow}");
}

#[test]
fn an_invalid_run_begins_with_its_reason() {
    let text = of(|stage| stage.recorder.counters.on_time = 300_000);
    assert!(text.starts_with("INVALID: only 300000 of 308640 offered messages were sent"), "{text}");
    assert!(text.contains("\nNext: lower --rate") && text.contains("gates  0 of 3 passed"), "{text}");
    assert!(text.contains("FAIL  lost == 0: the run is not valid: only 300000"), "{text}");
}

#[test]
fn loss_has_a_count_a_share_and_a_warning() {
    let text = of(|stage| {
        let delivery = stage.delivery.as_mut().unwrap();
        (delivery.delivered_once, delivery.lost, delivery.max_gap) = (308_600, 40, 7);
    });
    assert!(text.contains("308,600 of 308,640, lost 40 (0.01 %), duplicates 0, reordered 0, longest gap 7"), "{text}");
    assert!(text.contains("Lost 40 of 308,640 messages (0.01 %)."), "{text}");
    assert!(text.contains("FAIL  lost == 0: lost is 40"), "{text}");
}

#[test]
fn the_worst_streams_are_named_where_there_are_several() {
    let text = of(|stage| {
        let faulty = Delivery { expected: 1_000, delivered_once: 993, lost: 7, max_gap: 4, ..Delivery::default() };
        let clean = Delivery { expected: 1_000, delivered_once: 1_000, ..Delivery::default() };
        let late = Delivery { late: 2, lost: 9, ..faulty };
        let outcome = |delivery| StreamOutcome { delivery: Some(delivery), ..StreamOutcome::default() };
        stage.streams = (0..).zip([clean, faulty, late].map(outcome)).collect();
    });
    let expected = "\
  stream     2 of 1,000: lost 9, longest gap 4, late 2
  stream     1 of 1,000: lost 7, longest gap 4
";
    assert!(text.contains(expected), "{text}");
    assert!(!text.contains("stream     0"), "{text}");
}

#[test]
fn messages_that_were_not_sent_have_a_row_with_their_rate() {
    let text = of(|stage| {
        (stage.recorder.counters.skipped, stage.recorder.counters.held_back) = (5_000, 5_000);
        stage.not_sent = Some(6_000);
    });
    let row = text.lines().find(|line| line.starts_with("  not sent")).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["not", "sent", "1,200", "6,000"]);
    assert!(text.contains("6,000 messages of the plan not sent."), "{text}");
}

#[test]
fn what_was_not_measured_is_not_shown_as_zero() {
    let text = of_plan(&["pub", "--clients", "1"], |stage| {
        stage.delivery = None;
        stage.recorder.latency = Default::default();
    });
    assert!(!text.contains("acked") && !text.contains("delivered ") && !text.contains("p50"), "{text}");
    assert!(text.contains("FAIL  lost == 0: lost was not measured"), "{text}");
}

#[test]
fn a_flood_alone_shows_latencies_with_their_basis() {
    let text = of(|stage| (stage.rate, stage.offered, stage.stage) = (None, None, Stage::default()));
    assert!(text.contains("from actual send, closed loop"), "{text}");
}

#[test]
fn a_failed_run_and_hostile_names_are_printed_safely() {
    let mut context = example::context();
    context.run.error = Some("connecting to mqtt://h:1883: \x1b[2J refused".to_owned());
    context.target.broker.as_mut().unwrap().name = Some("evil\x1b]0;title\u{7}".to_owned());
    let text = summary(&assemble(context, Vec::new()), 100, Colors::OFF, true);
    assert!(text.starts_with("FAILED: connecting to mqtt://h:1883: \\u{1b}[2J refused\n"), "{text}");
    assert!(text.contains("evil\\u{1b}]0;title\\u{7}") && !text.contains('\x1b'), "{text}");
    let nothing = summary(&assemble(bare_context(), Vec::new()), 0, Colors::OFF, true);
    assert!(nothing.starts_with("mqbench "), "{nothing}");
}
