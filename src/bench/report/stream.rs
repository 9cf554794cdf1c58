//! The account of one stream: what became of the messages of one publisher.

use serde::{Deserialize, Serialize};

use super::account::add;
use crate::bench::measure::Delivery;

/// Streams that a document tells one by one.
pub const STREAMS: usize = 100;

/// What became of the messages of one publisher. Null as in [`DeliveryAccount`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in DeliveryAccount")]
pub struct StreamAccount {
    /// Number of the publisher.
    pub stream: u64,
    pub expected: Option<u64>,
    pub delivered_once: Option<u64>,
    pub lost: Option<u64>,
    pub duplicates: Option<u64>,
    pub dup_flagged: Option<u64>,
    pub reordered: Option<u64>,
    pub late: Option<u64>,
    pub corrupt: Option<u64>,
    pub unacked: Option<u64>,
    /// Refused by the broker, whatever the reason.
    pub rejected: Option<u64>,
    pub max_gap: Option<u64>,
}

impl StreamAccount {
    /// The account of a stream; `ledger` where somebody subscribes to it.
    pub fn of(stream: usize, ledger: Option<&Delivery>, unacked: Option<u64>) -> Self {
        let told = |count: fn(&Delivery) -> u64| ledger.map(count);
        Self {
            stream: stream as u64,
            expected: told(|ledger| ledger.expected),
            delivered_once: told(|ledger| ledger.delivered_once),
            lost: told(|ledger| ledger.lost),
            duplicates: told(|ledger| ledger.duplicates),
            dup_flagged: told(|ledger| ledger.dup_flagged),
            reordered: told(|ledger| ledger.reordered),
            late: told(|ledger| ledger.late),
            corrupt: told(|ledger| ledger.corrupt),
            unacked,
            rejected: told(|ledger| ledger.refused).filter(|_| unacked.is_some()),
            max_gap: told(|ledger| ledger.max_gap),
        }
    }

    /// Messages matched by their order: nothing but how many came is known.
    pub(super) fn forget_order(&mut self) {
        (self.duplicates, self.dup_flagged, self.reordered, self.late) = (None, None, None, None);
    }

    /// What is wrong with the stream, by weight: the worst stream has the most.
    pub fn faults(&self) -> [u64; 7] {
        [self.lost, self.corrupt, self.duplicates, self.reordered, self.rejected, self.unacked, self.late]
            .map(Option::unwrap_or_default)
    }

    pub(super) fn merge(&mut self, other: &Self) {
        add(&mut self.expected, other.expected);
        add(&mut self.delivered_once, other.delivered_once);
        add(&mut self.lost, other.lost);
        add(&mut self.duplicates, other.duplicates);
        add(&mut self.dup_flagged, other.dup_flagged);
        add(&mut self.reordered, other.reordered);
        add(&mut self.late, other.late);
        add(&mut self.corrupt, other.corrupt);
        add(&mut self.unacked, other.unacked);
        add(&mut self.rejected, other.rejected);
        self.max_gap = self.max_gap.max(other.max_gap);
    }
}

/// The worst streams first; those that are equally good by their numbers.
pub(super) fn worst_first(mut streams: Vec<StreamAccount>) -> Vec<StreamAccount> {
    streams.sort_by_key(|stream| (std::cmp::Reverse(stream.faults()), stream.stream));
    streams.truncate(STREAMS);
    streams
}
