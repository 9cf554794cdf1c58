//! The ledger against worked examples and against a model that remembers every message.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn observe_all(ledger: &mut StreamLedger, sequences: impl IntoIterator<Item = u64>) {
    for sequence in sequences {
        ledger.observe(sequence, false, true);
    }
}

#[test]
fn an_idle_ledger_is_small() {
    assert!(size_of::<StreamLedger>() <= 64, "{} bytes", size_of::<StreamLedger>());
}

#[test]
fn in_order_nothing_is_allocated_and_nothing_lost() {
    let mut ledger = StreamLedger::new();
    for sequence in 0..1000 {
        assert_eq!(ledger.observe(sequence, false, true), Observed::New);
    }
    assert!(ledger.gaps.is_none());
    let delivery = ledger.settle(0..1000);
    assert_eq!(delivery, Delivery { expected: 1000, delivered_once: 1000, ..Delivery::default() });
}

#[test]
fn a_gap_that_fills_is_reordering_and_no_loss() {
    let mut ledger = StreamLedger::new();
    assert_eq!(ledger.observe(2, false, true), Observed::New);
    assert_eq!(ledger.missing(), 2);
    assert_eq!(ledger.observe(0, false, true), Observed::Late);
    assert_eq!(ledger.observe(1, true, true), Observed::Late);
    assert_eq!(ledger.observe(1, true, true), Observed::Duplicate);
    assert_eq!(ledger.observe(1, false, true), Observed::Duplicate);
    let delivery = ledger.settle(0..3);
    assert_eq!((delivery.delivered_once, delivery.lost, delivery.reordered), (3, 0, 2));
    assert_eq!((delivery.duplicates, delivery.dup_flagged), (2, 1));
    assert!(delivery.adds_up());
}

#[test]
fn what_never_came_at_the_end_is_lost() {
    let mut ledger = StreamLedger::new();
    observe_all(&mut ledger, [0, 1, 2]);
    let delivery = ledger.settle(0..10);
    assert_eq!((delivery.lost, delivery.max_gap), (7, 7));
    let nothing = StreamLedger::new().settle(5..10);
    assert_eq!((nothing.expected, nothing.lost), (5, 5));
    assert!(nothing.adds_up());
}

#[test]
fn warm_up_is_remembered_and_not_counted() {
    let mut ledger = StreamLedger::new();
    for sequence in [0, 1, 4, 3, 3] {
        ledger.observe(sequence, false, false);
    }
    observe_all(&mut ledger, [5, 7, 8]);
    ledger.observe(9, false, false); // after the window
    let delivery = ledger.settle(5..9);
    assert_eq!((delivery.expected, delivery.delivered_once, delivery.lost), (4, 3, 1));
    assert_eq!((delivery.duplicates, delivery.reordered), (0, 0));
    assert!(delivery.adds_up());
}

#[test]
fn a_measured_message_that_was_never_sent_does_not_add_up() {
    let mut ledger = StreamLedger::new();
    observe_all(&mut ledger, 0..5);
    assert!(!ledger.settle(0..4).adds_up());
}

#[test]
fn refused_messages_are_neither_expected_nor_lost() {
    let mut ledger = StreamLedger::new();
    observe_all(&mut ledger, [0, 1, 3]);
    let mut delivery = ledger.settle(0..6);
    delivery.excuse(2);
    assert_eq!((delivery.expected, delivery.delivered_once, delivery.lost), (4, 3, 1));
    assert!(delivery.adds_up());
    delivery.excuse(5);
    assert_eq!((delivery.expected, delivery.lost), (3, 0), "what came was not refused");
}

#[test]
fn joining_late_is_no_loss() {
    let mut ledger = StreamLedger::starting_at(100);
    observe_all(&mut ledger, [100, 101]);
    assert_eq!(ledger.observe(99, false, false), Observed::Duplicate);
    let delivery = ledger.settle(100..102);
    assert_eq!((delivery.delivered_once, delivery.lost, delivery.duplicates), (2, 0, 0));
}

#[test]
fn beyond_the_cap_the_oldest_gaps_are_given_up_as_lost() {
    let mut ledger = StreamLedger::new();
    let last = 2 * (MAX_GAPS as u64 + 10);
    observe_all(&mut ledger, (0..=last).step_by(2)); // every odd number is missing
    assert_eq!(ledger.missing(), MAX_GAPS as u64 + 10);
    assert_eq!(ledger.observe(1, false, true), Observed::Duplicate, "given up");
    assert_eq!(ledger.observe(last - 1, false, true), Observed::Late, "still known");
    let delivery = ledger.settle(0..last + 1);
    assert_eq!((delivery.overflowed, delivery.unjudged, delivery.duplicates), (10, 1, 0));
    assert_eq!(delivery.lost, MAX_GAPS as u64 + 9);
    assert_eq!(delivery.max_gap, 1);
    assert!(delivery.adds_up());
}

#[test]
fn no_number_is_too_high() {
    let mut ledger = StreamLedger::new();
    ledger.observe(u64::MAX, false, true);
    ledger.observe(u64::MAX, false, true);
    ledger.observe(u64::MAX - 1, false, true);
    assert_eq!(ledger.next(), u64::MAX);
}

/// What the network does to one message: how often it comes and how far it is moved back.
fn fate() -> impl Strategy<Value = (u8, u8, bool)> {
    (
        prop_oneof![6 => Just(1u8), 1 => Just(0), 1 => Just(2), 1 => Just(3)],
        prop_oneof![5 => Just(0u8), 1 => 1..40u8],
        any::<bool>(),
    )
}

proptest! {
    #[test]
    fn agrees_with_a_model_that_remembers_everything(
        fates in prop::collection::vec(fate(), 1..400),
        warm_up in 0usize..100,
        after in 0usize..50,
    ) {
        let total = fates.len() as u64;
        let from = (warm_up as u64).min(total);
        let to = total.saturating_sub(after as u64).max(from);
        let mut arrivals = Vec::new();
        for (sequence, (copies, delay, dup)) in fates.iter().enumerate() {
            for copy in 0..u64::from(*copies) {
                arrivals.push((sequence as u64 + u64::from(*delay) * (copy + 1), sequence as u64, *dup && copy > 0));
            }
        }
        arrivals.sort_by_key(|arrival| arrival.0);

        let mut ledger = StreamLedger::new();
        let mut seen: HashMap<u64, u64> = HashMap::new();
        let mut highest = None;
        let (mut duplicates, mut flagged, mut reordered) = (0, 0, 0);
        for (_, sequence, dup) in arrivals {
            let measured = (from..to).contains(&sequence);
            let copies = seen.entry(sequence).or_default();
            *copies += 1;
            let truth = match (*copies, highest) {
                (2.., _) => Observed::Duplicate,
                (_, Some(highest)) if sequence < highest => Observed::Late,
                _ => Observed::New,
            };
            highest = highest.max(Some(sequence));
            duplicates += u64::from(measured && truth == Observed::Duplicate);
            flagged += u64::from(measured && truth == Observed::Duplicate && dup);
            reordered += u64::from(measured && truth == Observed::Late);
            prop_assert_eq!(ledger.observe(sequence, dup, measured), truth);
        }

        let lost = (from..to).filter(|sequence| !seen.contains_key(sequence)).count() as u64;
        let mut run = 0u64;
        let max_gap = (from..to)
            .map(|sequence| {
                run = if seen.contains_key(&sequence) { 0 } else { run + 1 };
                run
            })
            .max()
            .unwrap_or(0);
        prop_assert_eq!(ledger.missing_in(&(from..to)), lost);
        let delivery = ledger.settle(from..to);
        prop_assert!(delivery.adds_up());
        prop_assert_eq!(ledger.next(), highest.map_or(0, |highest| highest + 1));
        prop_assert_eq!(delivery, Delivery {
            expected: to - from, delivered_once: to - from - lost, lost, duplicates, dup_flagged: flagged, reordered,
            max_gap, ..Delivery::default()
        });
    }
}
