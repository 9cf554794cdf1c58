//! The delivery ledger: which messages of one stream reached one subscriber, exactly and in bounded memory.
//!
//! It keeps the next sequence number that it expects and the ranges that are missing below it. Delivered, duplicate,
//! late and lost messages follow from that. A stream in order costs a compare and an increment.

use std::collections::VecDeque;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most missing ranges that a ledger remembers; 16 bytes each. The oldest is given up when there are more.
pub(super) const MAX_GAPS: usize = 1024;

/// The same for a group of subscribers: what is in flight to its members is missing until it has come, and with many
/// members next to every message is a range.
pub(super) const MAX_GROUP_GAPS: usize = 16 * MAX_GAPS;

/// What an arrival was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Observed {
    /// First arrival, and no message with a higher number arrived before it.
    New,
    /// First arrival, but after a message with a higher number: delivered, and reordered.
    Late,
    /// A duplicate (or missing for so long that it was given up).
    Duplicate,
}

/// The ledger of one stream at one subscriber. An idle one is 48 bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamLedger {
    /// Highest sequence number seen, plus one.
    next: u64,
    /// Measured messages that arrived the first time.
    delivered: u64,
    duplicates: u64,
    dup_flagged: u64,
    reordered: u64,
    gaps: Option<Box<Gaps>>,
}

/// What is missing below `next`, made when the first gap opens.
#[derive(Clone, Debug, Default)]
struct Gaps {
    /// Missing ranges in ascending order, none empty, none touching another.
    missing: VecDeque<Range<u64>>,
    /// Sum of their lengths.
    total: u64,
    /// Missing messages that were given up because of the limit.
    given_up: u64,
    /// Where a number below this was missing, that is forgotten.
    forgotten_below: u64,
    /// Longest range that was given up.
    longest_given_up: u64,
    /// Measured arrivals below `forgotten_below`: late or duplicate, which is unknown.
    unjudged: u64,
}

impl StreamLedger {
    /// A ledger that expects 0 first.
    pub(crate) const fn new() -> Self {
        Self::starting_at(0)
    }

    /// A ledger that expects `next` first, for a subscriber that joins a running stream; messages below it count
    /// neither as lost nor, if they arrive, as delivered.
    pub(crate) const fn starting_at(next: u64) -> Self {
        Self { next, delivered: 0, duplicates: 0, dup_flagged: 0, reordered: 0, gaps: None }
    }

    /// Enters an arrival. `dup_flag` is the DUP flag of the PUBLISH; `measured`: the message's intended time lies in
    /// the measured window. Only such messages are counted; all are remembered.
    #[inline]
    pub(crate) fn observe(&mut self, sequence: u64, dup_flag: bool, measured: bool) -> Observed {
        if sequence == self.next {
            self.next = sequence.saturating_add(1);
            self.delivered += u64::from(measured);
            return Observed::New;
        }
        self.observe_out_of_order(sequence, dup_flag, measured, MAX_GAPS)
    }

    /// As [`observe`](Self::observe), where the messages of the stream come on several ways, to the members of a group:
    /// what fills a gap is late only if the member that got it has got a later message before (`overtaken`).
    #[inline]
    pub(super) fn observe_at_member(
        &mut self,
        sequence: u64,
        dup_flag: bool,
        measured: bool,
        overtaken: bool,
    ) -> Observed {
        if sequence == self.next {
            self.next = sequence.saturating_add(1);
            self.delivered += u64::from(measured);
            return Observed::New;
        }
        match self.observe_out_of_order(sequence, dup_flag, measured, MAX_GROUP_GAPS) {
            Observed::Late if !overtaken => {
                self.reordered -= u64::from(measured);
                Observed::New
            }
            arrival => arrival,
        }
    }

    /// Highest sequence number seen, plus one.
    #[inline]
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Messages below [`next`](Self::next) that have not arrived, measured or not.
    pub(crate) fn missing(&self) -> u64 {
        self.gaps.as_ref().map_or(0, |gaps| gaps.total + gaps.given_up)
    }

    /// How many of the sequence numbers in a range have not arrived.
    pub(crate) fn missing_in(&self, range: &Range<u64>) -> u64 {
        let tail = range.end.saturating_sub(self.next.max(range.start));
        let gaps = self.gaps.iter().flat_map(|gaps| &gaps.missing);
        tail + gaps.map(|gap| gap.end.min(range.end).saturating_sub(gap.start.max(range.start))).sum::<u64>()
    }

    /// The account of the measured messages, where `sent` are the sequence numbers of all that were sent with their
    /// intended time in the measured window. What has not arrived by now is lost.
    ///
    /// `delivered_once` was counted on arrival and `lost` is what is missing in the ranges, so that
    /// [`Delivery::adds_up`] compares two independent counts; only where ranges were given up is `lost` the difference.
    pub(crate) fn settle(&self, sent: Range<u64>) -> Delivery {
        let expected = sent.end.saturating_sub(sent.start);
        let tail = sent.end.saturating_sub(self.next.max(sent.start));
        let mut delivery = Delivery {
            expected,
            delivered_once: self.delivered,
            lost: tail,
            duplicates: self.duplicates,
            dup_flagged: self.dup_flagged,
            reordered: self.reordered,
            max_gap: tail,
            ..Delivery::default()
        };
        if let Some(gaps) = &self.gaps {
            for range in &gaps.missing {
                let lost = range.end.min(sent.end).saturating_sub(range.start.max(sent.start));
                delivery.lost += lost;
                // The last gap may extend into the tail that never arrived.
                let run = if lost > 0 && range.end == self.next { lost + tail } else { lost };
                delivery.max_gap = delivery.max_gap.max(run);
            }
            if gaps.given_up > 0 {
                delivery.lost = expected.saturating_sub(self.delivered);
                delivery.max_gap = delivery.max_gap.max(gaps.longest_given_up.min(delivery.lost));
            }
            delivery.overflowed = gaps.given_up;
            delivery.unjudged = gaps.unjudged;
        }
        delivery
    }

    /// The missing ranges below [`next`](Self::next), flat, and of those that were given up sum and longest.
    pub(super) fn gaps(&self) -> (Vec<u64>, [u64; 2]) {
        let Some(gaps) = &self.gaps else { return (Vec::new(), [0; 2]) };
        let missing = gaps.missing.iter().flat_map(|gap| [gap.start, gap.end]).collect();
        (missing, [gaps.given_up, gaps.longest_given_up])
    }

    /// A ledger for [`settle`](Self::settle) out of its parts, which may come from a file: ranges that cannot be are
    /// left out.
    pub(super) fn restored(next: u64, delivered: u64, missing: &[u64], given_up: [u64; 2]) -> Self {
        let mut ledger = Self { delivered, ..Self::starting_at(next) };
        if !missing.is_empty() || given_up[0] > 0 {
            let mut gaps = Gaps { given_up: given_up[0], longest_given_up: given_up[1], ..Gaps::default() };
            let mut below = 0;
            for gap in missing.chunks_exact(2) {
                if gap[0] >= below && gap[0] < gap[1] && gap[1] <= next {
                    gaps.missing.push_back(gap[0]..gap[1]);
                    below = gap[1];
                }
            }
            ledger.gaps = Some(Box::new(gaps));
        }
        ledger
    }

    #[cold]
    fn observe_out_of_order(&mut self, sequence: u64, dup_flag: bool, measured: bool, most: usize) -> Observed {
        if sequence > self.next {
            self.gaps.get_or_insert_default().open(self.next..sequence, most);
            self.next = sequence.saturating_add(1);
            self.delivered += u64::from(measured);
            return Observed::New;
        }
        if let Some(gaps) = &mut self.gaps {
            if gaps.fill(sequence, most) {
                self.delivered += u64::from(measured);
                self.reordered += u64::from(measured);
                return Observed::Late;
            }
            if sequence < gaps.forgotten_below {
                gaps.unjudged += u64::from(measured);
                return Observed::Duplicate;
            }
        }
        self.duplicates += u64::from(measured);
        self.dup_flagged += u64::from(measured && dup_flag);
        Observed::Duplicate
    }
}

impl Gaps {
    /// Adds a range above all others; `most` are kept.
    fn open(&mut self, range: Range<u64>, most: usize) {
        self.total += range.end - range.start;
        self.missing.push_back(range);
        self.keep_to(most);
    }

    /// Takes a number out of the missing ones; false when it is not missing.
    fn fill(&mut self, sequence: u64, most: usize) -> bool {
        let index = self.missing.partition_point(|range| range.end <= sequence);
        let Some(range) = self.missing.get_mut(index).filter(|range| range.start <= sequence) else {
            return false;
        };
        self.total -= 1;
        match (sequence == range.start, sequence + 1 == range.end) {
            (true, true) => {
                self.missing.remove(index);
            }
            (true, false) => range.start += 1,
            (false, true) => range.end -= 1,
            (false, false) => {
                let below = range.start..sequence;
                range.start = sequence + 1;
                self.missing.insert(index, below);
                self.keep_to(most);
            }
        }
        true
    }

    fn keep_to(&mut self, most: usize) {
        if self.missing.len() > most
            && let Some(oldest) = self.missing.pop_front()
        {
            let length = oldest.end - oldest.start;
            self.total -= length;
            self.given_up += length;
            self.longest_given_up = self.longest_given_up.max(length);
            self.forgotten_below = oldest.end;
        }
    }
}

/// What became of the messages of a stream at a subscriber, or of many streams: merge adds them up. `u64` where a ledger
/// was settled; in the result document `Option<u64>`, null where a count is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Delivery")]
pub struct Delivery<T = u64> {
    /// Messages sent in the window, times their subscribers.
    pub expected: T,
    /// Arrived at least once.
    pub delivered_once: T,
    /// Not arrived when the drain ended.
    pub lost: T,
    /// Arrivals beyond the first.
    pub duplicates: T,
    /// Of these, with the DUP flag.
    pub dup_flagged: T,
    /// Arrived after a later message of their stream.
    pub reordered: T,
    /// Arrived after the drain.
    pub late: T,
    /// Arrived with different contents than were sent.
    pub corrupt: T,
    /// Missing messages that the ledger gave up to bound its memory; they are part of `lost`.
    pub overflowed: T,
    /// Arrivals that the ledger could not classify as late or duplicate.
    pub unjudged: T,
    /// Longest run of lost messages in one stream.
    pub max_gap: T,
}

impl<T: Copy + Ord> Delivery<T> {
    /// The same counts as something else.
    pub fn map<U>(self, make: impl Fn(T) -> U) -> Delivery<U> {
        Delivery {
            expected: make(self.expected),
            delivered_once: make(self.delivered_once),
            lost: make(self.lost),
            duplicates: make(self.duplicates),
            dup_flagged: make(self.dup_flagged),
            reordered: make(self.reordered),
            late: make(self.late),
            corrupt: make(self.corrupt),
            overflowed: make(self.overflowed),
            unjudged: make(self.unjudged),
            max_gap: make(self.max_gap),
        }
    }

    /// Adds the counts of another with `add`; the longest gap is the longest of both.
    pub fn merge_by(&mut self, other: &Self, add: impl Fn(&mut T, T)) {
        add(&mut self.expected, other.expected);
        add(&mut self.delivered_once, other.delivered_once);
        add(&mut self.lost, other.lost);
        add(&mut self.duplicates, other.duplicates);
        add(&mut self.dup_flagged, other.dup_flagged);
        add(&mut self.reordered, other.reordered);
        add(&mut self.late, other.late);
        add(&mut self.corrupt, other.corrupt);
        add(&mut self.overflowed, other.overflowed);
        add(&mut self.unjudged, other.unjudged);
        self.max_gap = self.max_gap.max(other.max_gap);
    }
}

impl Delivery {
    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Self) {
        self.merge_by(other, |sum, part| *sum = sum.saturating_add(part));
    }

    /// Takes messages that the broker refused out of what was expected: they were not sent on, and are not lost. (One
    /// that came all the same was no loss to begin with.)
    pub fn excuse(&mut self, refused: u64) {
        let excused = refused.min(self.lost);
        self.expected -= excused;
        self.lost -= excused;
    }

    /// Whether the sent messages equal the delivered plus the lost ones. A ledger where this is false measured
    /// something else than was sent, and makes the run invalid. Check it for every stream: sums may hide two faults
    /// that cancel out.
    pub const fn adds_up(&self) -> bool {
        matches!(self.delivered_once.checked_add(self.lost), Some(sum) if sum == self.expected)
    }
}

#[cfg(test)]
mod tests;
