//! The delivery of a stage, of each of its streams and of its connections. What was not measured is null.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::traffic::Sides;
use crate::bench::measure::{Counters, Delivery, Outage, Outages, Reach, Received};

/// Streams that a document lists one by one.
const MOST_STREAMS: usize = 100;

/// Delivery. `expected = delivered_once + lost`; duplicates and what was never sent are apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryAccount {
    /// Messages sent in the window, times their subscribers.
    pub expected: Option<u64>,
    /// Arrived at least once.
    pub delivered_once: Option<u64>,
    /// Not arrived when the drain ended.
    pub lost: Option<u64>,
    /// Messages that were due in the window, or that a count asked for, and were never sent: neither expected nor lost.
    /// With a schedule it is what `offered` and `sent` differ by; what `--behind skip` gave up is part of it. Null
    /// where neither schedule nor count gives a number to compare with.
    pub not_sent: Option<u64>,
    /// Arrivals beyond the first.
    pub duplicates: Option<u64>,
    /// Of these, with the DUP flag.
    pub dup_flagged: Option<u64>,
    /// Arrived after a later message of their stream.
    pub reordered: Option<u64>,
    /// Arrived after the drain.
    pub late: Option<u64>,
    /// Arrived with different contents than were sent.
    pub corrupt: Option<u64>,
    /// Messages of others on the same topics; null where all of them are (`mqbench sub`).
    pub foreign: Option<u64>,
    /// Retained messages that came because of the subscriptions, and are not among the delivered ones (`mqbench sub`).
    pub retained: Option<u64>,
    /// Sent and not acknowledged when the drain ended.
    pub unacked: Option<u64>,
    /// Slots of the window that were freed because nothing had arrived for a second or for four round trips; null
    /// where deliveries free no slots.
    pub freed_by_silence: Option<u64>,
    /// Acknowledged with "no matching subscribers" (0x10).
    pub no_subscriber: Option<u64>,
    /// Refused by the broker, by reason code.
    pub rejected: Option<BTreeMap<String, u64>>,
    /// Missing messages that the ledger gave up to bound its memory; they are part of `lost`.
    pub overflowed: Option<u64>,
    /// Arrivals that the ledger could not classify as late or duplicate.
    pub unjudged: Option<u64>,
    /// Longest run of lost messages in one stream.
    pub max_gap: Option<u64>,
    /// Times without delivery, by stream: the first thousand; null unless lost connections are made again.
    pub outages: Option<Vec<Outage>>,
    /// How many there were.
    pub outage_count: Option<u64>,
    /// The longest.
    pub outage_max_ns: Option<u64>,
    /// The account of each stream, its subscribers together: the worst
    /// hundred of them, the worst first.
    pub streams: Option<Vec<StreamAccount>>,
}

impl DeliveryAccount {
    /// The account of a stage; `ledger` where there are subscribers that kept one.
    pub fn of(ledger: Option<&Delivery>, counters: &Counters, sides: Sides, unacked: Option<u64>) -> Self {
        let own = |count: u64| (sides.publishers && sides.subscribers).then_some(count);
        let rejected = || counters.rejected.iter().map(|(reason, count)| (reason.to_string(), *count)).collect();
        Self {
            expected: ledger.map(|ledger| ledger.expected),
            delivered_once: ledger.map(|ledger| ledger.delivered_once),
            lost: ledger.map(|ledger| ledger.lost),
            duplicates: ledger.map(|ledger| ledger.duplicates),
            dup_flagged: ledger.map(|ledger| ledger.dup_flagged),
            reordered: ledger.map(|ledger| ledger.reordered),
            late: ledger.map(|ledger| ledger.late),
            corrupt: own(counters.corrupt),
            foreign: own(counters.foreign),
            retained: (sides.subscribers && !sides.publishers).then_some(counters.retained),
            unacked: unacked.filter(|_| sides.acknowledged),
            no_subscriber: sides.acknowledged.then_some(counters.no_subscriber),
            rejected: sides.acknowledged.then(rejected),
            overflowed: ledger.map(|ledger| ledger.overflowed),
            unjudged: ledger.map(|ledger| ledger.unjudged),
            max_gap: ledger.map(|ledger| ledger.max_gap),
            ..Self::default()
        }
    }

    /// The same with what a shard knows of what it received, where others have sent some of it.
    pub fn with_received(mut self, reach: Option<&Reach>) -> Self {
        let Some(reach) = reach else { return self };
        let sum = |count: fn(&Received) -> u64| Some(reach.received.iter().map(count).sum());
        self.delivered_once = sum(|row| row.delivered.saturating_mul(row.receivers));
        self.overflowed = sum(|row| row.given_up[0].saturating_mul(row.receivers));
        self.duplicates = sum(|row| row.faults[0]);
        self.dup_flagged = sum(|row| row.faults[1]);
        self.reordered = sum(|row| row.faults[2]);
        self.unjudged = sum(|row| row.faults[4]);
        self
    }

    /// Enters what became of the messages of each stream, once both of its ends are known.
    pub fn settle(&mut self, streams: &BTreeMap<u64, Delivery>) {
        let mut total = Delivery::default();
        streams.values().for_each(|stream| total.merge(stream));
        (self.expected, self.delivered_once) = (Some(total.expected), Some(total.delivered_once));
        (self.lost, self.max_gap) = (Some(total.lost), Some(total.max_gap));
        let accounts = streams.iter().map(|(number, stream)| StreamAccount::of(*number as usize, Some(stream), None));
        self.streams = Some(worst_first(accounts.collect())).filter(|streams| !streams.is_empty());
    }

    /// The same with the account of each stream.
    pub fn with_streams(mut self, streams: Vec<StreamAccount>) -> Self {
        self.streams = (!streams.is_empty()).then(|| worst_first(streams));
        self
    }

    /// Messages matched by their order: what follows from the order is not known.
    pub fn forget_order(&mut self) {
        (self.duplicates, self.dup_flagged, self.reordered, self.late) = (None, None, None, None);
        self.streams.iter_mut().flatten().for_each(StreamAccount::forget_order);
    }

    /// Enters the outages of a stage.
    pub fn with_outages(mut self, outages: Option<&Outages>) -> Self {
        self.outages = outages.map(|outages| outages.kept.clone());
        self.outage_count = outages.map(|outages| outages.count);
        self.outage_max_ns = outages.filter(|outages| outages.count > 0).map(|outages| outages.longest_ns);
        self
    }

    /// Adds the counts of another account.
    pub fn add_counts(&mut self, other: &Self) {
        add(&mut self.outage_count, other.outage_count);
        self.outage_max_ns = self.outage_max_ns.max(other.outage_max_ns);
        add(&mut self.expected, other.expected);
        add(&mut self.delivered_once, other.delivered_once);
        add(&mut self.lost, other.lost);
        add(&mut self.not_sent, other.not_sent);
        add(&mut self.duplicates, other.duplicates);
        add(&mut self.dup_flagged, other.dup_flagged);
        add(&mut self.reordered, other.reordered);
        add(&mut self.late, other.late);
        add(&mut self.corrupt, other.corrupt);
        add(&mut self.foreign, other.foreign);
        add(&mut self.retained, other.retained);
        add(&mut self.unacked, other.unacked);
        add(&mut self.freed_by_silence, other.freed_by_silence);
        add(&mut self.no_subscriber, other.no_subscriber);
        add(&mut self.overflowed, other.overflowed);
        add(&mut self.unjudged, other.unjudged);
        self.max_gap = self.max_gap.max(other.max_gap);
        merge_counts(&mut self.rejected, &other.rejected);
    }

    /// Adds the account of another stage.
    pub fn merge(&mut self, other: &Self) {
        self.add_counts(other);
        if let Some(outages) = &other.outages {
            self.outages.get_or_insert_default().extend(outages.iter().cloned());
        }
        if let Some(streams) = &other.streams {
            let mut sums = self.streams.take().unwrap_or_default();
            for stream in streams {
                match sums.iter_mut().find(|sum| (sum.stream, &sum.part) == (stream.stream, &stream.part)) {
                    Some(sum) => sum.merge(stream),
                    None => sums.push(stream.clone()),
                }
            }
            self.streams = Some(worst_first(sums));
        }
    }
}

/// The delivery of one publisher's messages. Null as in [`DeliveryAccount`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamAccount {
    /// Number of the publisher.
    pub stream: u64,
    /// The part of a merged result that it belongs to, as its run's tag and host; null in a single run.
    pub part: Option<String>,
    /// Messages sent in the window, times their subscribers.
    pub expected: Option<u64>,
    /// Arrived at least once.
    pub delivered_once: Option<u64>,
    /// Not arrived when the drain ended.
    pub lost: Option<u64>,
    /// Arrivals beyond the first.
    pub duplicates: Option<u64>,
    /// Of these, with the DUP flag.
    pub dup_flagged: Option<u64>,
    /// Arrived after a later message.
    pub reordered: Option<u64>,
    /// Arrived after the drain.
    pub late: Option<u64>,
    /// Arrived with different contents than were sent.
    pub corrupt: Option<u64>,
    /// Sent and not acknowledged when the drain ended.
    pub unacked: Option<u64>,
    /// Refused by the broker, whatever the reason.
    pub rejected: Option<u64>,
    /// Longest run of lost messages.
    pub max_gap: Option<u64>,
}

impl StreamAccount {
    /// The account of a stream; `ledger` where somebody subscribes to it.
    pub fn of(stream: usize, ledger: Option<&Delivery>, unacked: Option<u64>) -> Self {
        let count = |count: fn(&Delivery) -> u64| ledger.map(count);
        Self {
            stream: stream as u64,
            part: None,
            expected: count(|ledger| ledger.expected),
            delivered_once: count(|ledger| ledger.delivered_once),
            lost: count(|ledger| ledger.lost),
            duplicates: count(|ledger| ledger.duplicates),
            dup_flagged: count(|ledger| ledger.dup_flagged),
            reordered: count(|ledger| ledger.reordered),
            late: count(|ledger| ledger.late),
            corrupt: count(|ledger| ledger.corrupt),
            unacked,
            rejected: count(|ledger| ledger.refused).filter(|_| unacked.is_some()),
            max_gap: count(|ledger| ledger.max_gap),
        }
    }

    /// Messages matched by their order: nothing but how many came is known.
    fn forget_order(&mut self) {
        (self.duplicates, self.dup_flagged, self.reordered, self.late) = (None, None, None, None);
    }

    /// What is wrong with the stream, by weight: the worst stream has the most.
    pub fn faults(&self) -> [u64; 7] {
        [self.lost, self.corrupt, self.duplicates, self.reordered, self.rejected, self.unacked, self.late]
            .map(Option::unwrap_or_default)
    }

    fn merge(&mut self, other: &Self) {
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

/// The worst streams first; those that are equally good by their numbers and parts.
pub(super) fn worst_first(mut streams: Vec<StreamAccount>) -> Vec<StreamAccount> {
    streams.sort_by(|one, other| {
        let by_number = || (one.stream, &one.part).cmp(&(other.stream, &other.part));
        other.faults().cmp(&one.faults()).then_with(by_number)
    });
    streams.truncate(MOST_STREAMS);
    streams
}

/// Connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Clients {
    /// Asked for.
    pub planned: Option<u64>,
    /// Connected when the stage began.
    pub connected: Option<u64>,
    /// Connects that failed.
    pub failed: Option<u64>,
    /// Connections that were made again.
    pub reconnects: Option<u64>,
    /// Most open at one time.
    pub max_open: Option<u64>,
    /// Connects that failed, by cause.
    pub errors: Option<BTreeMap<String, u64>>,
    /// Connections that were lost.
    pub lost: Option<u64>,
    /// The same by cause.
    pub losses: Option<BTreeMap<String, u64>>,
}

impl Clients {
    /// Takes the counts of failed connects from counters.
    pub fn with_failures(mut self, counters: &Counters) -> Self {
        self.failed = Some(counters.connect_failures.values().sum());
        self.errors =
            Some(counters.connect_failures.iter().map(|(cause, count)| (cause.to_string(), *count)).collect());
        self
    }

    /// Adds a later stage of the same clients: connections are the same ones, failures are further ones.
    pub fn merge(&mut self, other: &Self) {
        self.planned = self.planned.max(other.planned);
        self.connected = self.connected.max(other.connected);
        self.max_open = self.max_open.max(other.max_open);
        add(&mut self.failed, other.failed);
        add(&mut self.reconnects, other.reconnects);
        merge_counts(&mut self.errors, &other.errors);
        add(&mut self.lost, other.lost);
        merge_counts(&mut self.losses, &other.losses);
    }
}

/// What was measured in one stage only is the sum; what was measured in none stays null.
pub(super) fn add(sum: &mut Option<u64>, part: Option<u64>) {
    if let Some(part) = part {
        *sum = Some(sum.unwrap_or_default().saturating_add(part));
    }
}

pub(super) fn merge_counts(sum: &mut Option<BTreeMap<String, u64>>, part: &Option<BTreeMap<String, u64>>) {
    if let Some(part) = part {
        let sum = sum.get_or_insert_default();
        for (key, count) in part {
            let sum = sum.entry(key.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
}
