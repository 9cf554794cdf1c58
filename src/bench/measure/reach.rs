//! What each end of a stream knows of it, where publisher and subscriber are in different processes: the sequence
//! numbers that were sent, and those that arrived. What was lost follows once both are in one place.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ledger::{Delivery, StreamLedger};

/// What a shard sent and received of the measured messages of a stage, by sequence numbers; null unless publishers and
/// subscribers of a stream may be in different shards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reach {
    /// A row for each stream: stream, first measured sequence number, the one after the last, refused by the broker.
    pub sent: Vec<(u64, u64, u64, u64)>,
    /// Receivers of a stream that received the same of it, together.
    pub received: Vec<Received>,
}

/// What some receivers received of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Received {
    /// Number of the publisher.
    pub stream: u64,
    /// Measured messages that each of them received.
    pub delivered: u64,
    /// The sequence number after the highest that arrived.
    pub next: u64,
    /// The sequence numbers below it that did not arrive: first of a gap, the one after its last, of the next gap ….
    pub missing: Vec<u64>,
    /// Missing messages that the ledger gave up to bound its memory, and the longest run of them.
    pub given_up: [u64; 2],
    /// How many receivers these are.
    pub receivers: u64,
    /// Arrivals beyond the first of all of them; of these with DUP; reordered; corrupt; neither late nor duplicate for
    /// certain.
    pub faults: [u64; 5],
}

impl Received {
    /// What one receiver has received.
    pub(crate) fn of(stream: usize, ledger: &StreamLedger, delivery: &Delivery, corrupt: u64) -> Self {
        let (missing, given_up) = ledger.gaps();
        Self {
            stream: stream as u64,
            delivered: delivery.delivered_once,
            next: ledger.next(),
            missing,
            given_up,
            receivers: 1,
            faults: [delivery.duplicates, delivery.dup_flagged, delivery.reordered, corrupt, delivery.unjudged],
        }
    }

    /// Whether both can be one row.
    fn is_like(&self, other: &Self) -> bool {
        let key = |it: &Self| (it.stream, it.delivered, it.next, it.given_up);
        key(self) == key(other) && self.missing == other.missing
    }

    /// The account of one of these receivers, where `sent` was sent to it.
    fn settle(&self, sent: std::ops::Range<u64>) -> Delivery {
        StreamLedger::restored(self.next, self.delivered, &self.missing, self.given_up).settle(sent)
    }
}

impl Reach {
    /// Adds what another shard knows. The order does not matter.
    pub fn merge(&mut self, other: Self) {
        self.sent.extend(other.sent);
        self.received.extend(other.received);
        self.pack();
    }

    /// Sorts the rows, and joins those that are alike.
    pub fn pack(&mut self) {
        // Two sorted lists are merged, which a stable sort notices.
        self.sent.sort();
        self.received.sort();
        self.received.dedup_by(|row, kept| {
            let is_like = kept.is_like(row);
            if is_like {
                kept.receivers = kept.receivers.saturating_add(row.receivers);
                for (sum, count) in kept.faults.iter_mut().zip(row.faults) {
                    *sum = sum.saturating_add(count);
                }
            }
            is_like
        });
    }

    /// What became of the messages of each stream, its receivers together, and how many accounts do not add up. Streams
    /// of which nobody says that they were sent are left out.
    pub fn settle(&self) -> (BTreeMap<u64, Delivery>, u64) {
        let sent: BTreeMap<u64, (u64, u64, u64)> =
            self.sent.iter().map(|(stream, from, to, refused)| (*stream, (*from, *to, *refused))).collect();
        let (mut streams, mut unbalanced) = (BTreeMap::<u64, Delivery>::new(), 0);
        for row in &self.received {
            let Some((from, to, refused)) = sent.get(&row.stream) else { continue };
            let mut one = row.settle(*from..(*to).max(*from));
            unbalanced += u64::from(!one.adds_up()) * row.receivers;
            one.excuse(*refused);
            let [duplicates, dup_flagged, reordered, corrupt, unjudged] = row.faults;
            // Of the faults a row has the sum of its receivers, of all else what one of them has.
            streams.entry(row.stream).or_default().merge(&Delivery {
                duplicates,
                dup_flagged,
                reordered,
                corrupt,
                unjudged,
                max_gap: one.max_gap,
                ..one.map(|count| count.saturating_mul(row.receivers))
            });
        }
        (streams, unbalanced)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is settled from the rows of several shards is what the ledgers themselves say, however the receivers are
        /// split, and in any order.
        #[test]
        fn rows_of_many_shards_say_what_the_ledgers_say(
            arrivals in prop::collection::vec((0usize..4, 0u64..60, any::<bool>()), 0..400),
            from in 0u64..20, length in 0u64..50, split in 1usize..4, turned in any::<bool>(),
        ) {
            let mut ledgers = vec![StreamLedger::new(); 4];
            let sent = from..from + length;
            for (receiver, sequence, dup) in arrivals {
                // What was never sent does not arrive.
                if sequence < sent.end {
                    ledgers[receiver].observe(sequence, dup, sent.contains(&sequence));
                }
            }
            let mut expected = Delivery::default();
            let mut parts = vec![Reach::default(); split];
            for (receiver, ledger) in ledgers.iter().enumerate() {
                let delivery = ledger.settle(sent.clone());
                expected.merge(&delivery);
                // The receivers' shard does not know what was sent.
                parts[receiver % split].received.push(Received::of(7, ledger, &ledger.settle(0..0), 0));
            }
            parts[split - 1].sent.push((7, sent.start, sent.end, 0));
            parts.iter_mut().for_each(Reach::pack);
            if turned {
                parts.reverse();
            }
            let mut whole = Reach::default();
            parts.into_iter().for_each(|part| whole.merge(part));
            let (streams, unbalanced) = whole.settle();
            prop_assert_eq!(unbalanced, 0);
            prop_assert_eq!(streams[&7], expected);
            let text = serde_json::to_string(&whole).unwrap();
            prop_assert_eq!(serde_json::from_str::<Reach>(&text).unwrap(), whole);
        }
    }

    #[test]
    fn hostile_rows_are_settled_without_harm() {
        let row = Received {
            stream: 1,
            delivered: u64::MAX,
            next: 3,
            missing: vec![9, 2, 5, 5, u64::MAX],
            given_up: [u64::MAX; 2],
            receivers: u64::MAX,
            faults: [u64::MAX; 5],
        };
        let mut reach = Reach { sent: vec![(1, 9, 2, 7), (2, 0, u64::MAX, 0)], received: vec![row.clone(), row] };
        reach.pack();
        assert!(reach.settle().1 > 0, "it does not add up");
    }
}
