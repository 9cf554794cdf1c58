//! The ledger of a group that shares a subscription: every message goes to one of its members, so only all of them
//! together know what is missing.
//!
//! It is as exact as the ledger of one subscriber. Two things differ. Messages that are in flight to different members
//! may overtake each other, so reordering is judged for each member by itself. And a hole in the sequence is no sign of
//! a loss, so the position that frees a publisher's window counts what has come.

use super::ledger::{Observed, StreamLedger};

/// A gap that has lasted this long is no longer waited for.
const PATIENCE_NS: u64 = 1_000_000_000;

/// The ledger of one stream in a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupLedger {
    ledger: StreamLedger,
    /// What [`Self::position`] returns.
    position: u64,
    /// How many of the missing messages have been missing for a second: they are not waited for.
    given_up: u64,
    /// Fewest that were missing since `since_ns`.
    fewest: u64,
    since_ns: u64,
}

/// How far one member has come in one stream: the lower half of the number that it expects next, four bytes because
/// there is one for every member and stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemberMark(u32);

impl MemberMark {
    /// Whether the member has had a later message than this one; if not, this one is now the latest. Correct as long as
    /// a member is less than 2³¹ messages behind.
    #[inline]
    fn pass(&mut self, sequence: u64) -> bool {
        let next = (sequence as u32).wrapping_add(1);
        let overtaken = next.wrapping_sub(self.0).cast_signed() <= 0;
        if !overtaken {
            self.0 = next;
        }
        overtaken
    }
}

impl GroupLedger {
    /// Highest sequence number that a member has seen, plus one.
    #[inline]
    pub(crate) const fn next(&self) -> u64 {
        self.ledger.next()
    }

    /// Enters an arrival at the member whose mark is given; otherwise as [`StreamLedger::observe`]. `now_ns` never goes
    /// back.
    #[inline]
    pub(crate) fn observe(
        &mut self,
        mark: &mut MemberMark,
        sequence: u64,
        dup_flag: bool,
        measured: bool,
        now_ns: u64,
    ) -> Observed {
        let overtaken = mark.pass(sequence);
        let arrival = self.ledger.observe_at_member(sequence, dup_flag, measured, overtaken);
        let missing = self.ledger.missing();
        self.fewest = self.fewest.min(missing);
        if now_ns.saturating_sub(self.since_ns) >= PATIENCE_NS {
            self.given_up = self.fewest;
            self.fewest = missing;
            self.since_ns = now_ns;
        }
        let waited_for = missing.saturating_sub(self.given_up);
        self.position = self.position.max(self.ledger.next().saturating_sub(waited_for));
        arrival
    }

    /// How many messages of the stream need no longer be waited for: those that have come to a member, and those that
    /// have been missing for a second. It never falls.
    #[inline]
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// What has come and what has not, to all members together.
    pub(crate) const fn ledger(&self) -> &StreamLedger {
        &self.ledger
    }

    /// Begins anew at `next`: what is missing below it is forgotten. Returns the ledger until here.
    pub(crate) fn restart(&mut self, next: u64) -> StreamLedger {
        self.position = self.position.max(next);
        (self.given_up, self.fewest) = (0, 0);
        std::mem::replace(&mut self.ledger, StreamLedger::starting_at(next))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::ledger::Delivery;
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn members_that_take_turns_lose_and_reorder_nothing() {
        let mut group = GroupLedger::default();
        let mut marks = [MemberMark::default(); 2];
        // The first member is read first, then the second one.
        for sequence in (0..100).step_by(2) {
            group.observe(&mut marks[0], sequence, false, true, 0);
        }
        assert_eq!((group.next(), group.position()), (99, 50), "a hole is under way, and not lost");
        for sequence in (1..100).step_by(2) {
            assert_eq!(group.observe(&mut marks[1], sequence, false, true, 0), Observed::New);
        }
        assert_eq!(group.position(), 100);
        let delivery = group.ledger().settle(0..100);
        assert_eq!(delivery, Delivery { expected: 100, delivered_once: 100, ..Delivery::default() });
    }

    #[test]
    fn a_member_that_sees_an_older_message_is_reordered_and_a_second_member_that_sees_it_a_duplicate() {
        let mut group = GroupLedger::default();
        let mut marks = [MemberMark::default(); 2];
        assert_eq!(group.observe(&mut marks[0], 1, false, true, 0), Observed::New);
        assert_eq!(group.observe(&mut marks[0], 0, false, true, 0), Observed::Late);
        assert_eq!(group.observe(&mut marks[1], 0, true, true, 0), Observed::Duplicate);
        let delivery = group.ledger().settle(0..2);
        assert_eq!((delivery.reordered, delivery.duplicates, delivery.dup_flagged), (1, 1, 1));
    }

    #[test]
    fn what_is_lost_is_given_up_after_a_second_and_stays_lost() {
        let mut group = GroupLedger::default();
        let mut mark = MemberMark::default();
        let mut now_ns = 0;
        for sequence in (0..4_000).filter(|sequence| !(10..20).contains(sequence)) {
            group.observe(&mut mark, sequence, false, true, now_ns);
            now_ns += MS;
            if sequence == 500 {
                assert_eq!(group.position(), 491, "ten are still waited for");
            }
        }
        assert_eq!(group.position(), 4_000);
        let delivery = group.ledger().settle(0..4_000);
        assert_eq!((delivery.lost, delivery.max_gap), (10, 10));
        group.restart(4_000);
        group.observe(&mut mark, 4_000, false, true, now_ns);
        assert_eq!(group.position(), 4_001);
    }

    #[test]
    fn a_mark_goes_around() {
        let mut mark = MemberMark(u32::MAX - 1);
        assert!(!mark.pass(u64::from(u32::MAX) - 1));
        assert!(!mark.pass(u64::from(u32::MAX)));
        assert!(!mark.pass(u64::from(u32::MAX) + 1));
        assert!(mark.pass(u64::from(u32::MAX)));
    }

    /// Copies of a message, each with its member and how far it is moved back, and whether it has the DUP flag.
    fn fate(members: usize) -> impl Strategy<Value = Vec<(usize, u8, bool)>> {
        let copy = (0..members, prop_oneof![4 => Just(0u8), 1 => 1..40u8], any::<bool>());
        prop_oneof![
            6 => prop::collection::vec(copy.clone(), 1),
            1 => Just(Vec::new()),
            1 => prop::collection::vec(copy, 2..4),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_a_model_that_remembers_everything(
            fates in prop::collection::vec(fate(4), 1..400), warm_up in 0u64..100, after in 0u64..50,
        ) {
            let total = fates.len() as u64;
            let from = warm_up.min(total);
            let to = total.saturating_sub(after).max(from);
            let mut arrivals = Vec::new();
            for (sequence, copies) in fates.iter().enumerate() {
                for (member, delay, dup) in copies {
                    arrivals.push((sequence as u64 + u64::from(*delay), sequence as u64, *member, *dup));
                }
            }
            arrivals.sort_by_key(|arrival| arrival.0);

            let mut group = GroupLedger::default();
            let mut marks = [MemberMark::default(); 4];
            let mut seen: HashMap<u64, u64> = HashMap::new();
            let mut highest = [None; 4];
            let (mut duplicates, mut flagged, mut reordered) = (0, 0, 0);
            for (_, sequence, member, dup) in arrivals {
                let measured = (from..to).contains(&sequence);
                let copies = seen.entry(sequence).or_default();
                *copies += 1;
                let truth = match (*copies, highest[member]) {
                    (2.., _) => Observed::Duplicate,
                    (_, Some(highest)) if sequence < highest => Observed::Late,
                    _ => Observed::New,
                };
                highest[member] = highest[member].max(Some(sequence));
                duplicates += u64::from(measured && truth == Observed::Duplicate);
                flagged += u64::from(measured && truth == Observed::Duplicate && dup);
                reordered += u64::from(measured && truth == Observed::Late);
                let before = group.position();
                prop_assert_eq!(group.observe(&mut marks[member], sequence, dup, measured, 0), truth);
                prop_assert_eq!(group.position(), seen.len() as u64, "what has come, and no more");
                prop_assert!(group.position() >= before);
            }
            let lost = (from..to).filter(|sequence| !seen.contains_key(sequence)).count() as u64;
            let mut run = 0u64;
            let runs = (from..to).map(|sequence| {
                run = if seen.contains_key(&sequence) { 0 } else { run + 1 };
                run
            });
            let max_gap = runs.max().unwrap_or(0);
            let delivery = group.ledger().settle(from..to);
            prop_assert!(delivery.adds_up());
            prop_assert_eq!(delivery, Delivery {
                expected: to - from, delivered_once: to - from - lost, lost, duplicates, dup_flagged: flagged, reordered,
                max_gap, ..Delivery::default()
            });
        }
    }
}
