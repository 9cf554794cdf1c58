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
    /// What became of the messages, all streams together.
    #[serde(flatten)]
    pub counts: Delivery<Option<u64>>,
    /// Messages that were due in the window, or that a count asked for, and were never sent: neither expected nor lost.
    /// With a schedule it is what `offered` and `sent` differ by; what `--behind skip` gave up is part of it. Null
    /// where neither schedule nor count gives a number to compare with.
    pub not_sent: Option<u64>,
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
            counts: Delivery { corrupt: own(counters.corrupt), ..known(ledger) },
            foreign: own(counters.foreign),
            retained: (sides.subscribers && !sides.publishers).then_some(counters.retained),
            unacked: unacked.filter(|_| sides.acknowledged),
            no_subscriber: sides.acknowledged.then_some(counters.no_subscriber),
            rejected: sides.acknowledged.then(rejected),
            ..Self::default()
        }
    }

    /// The same with what a shard knows of what it received, where others have sent some of it.
    pub fn with_received(mut self, reach: Option<&Reach>) -> Self {
        let Some(reach) = reach else { return self };
        let sum = |count: fn(&Received) -> u64| Some(reach.received.iter().map(count).sum());
        self.counts = Delivery {
            delivered_once: sum(|row| row.delivered.saturating_mul(row.receivers)),
            overflowed: sum(|row| row.given_up[0].saturating_mul(row.receivers)),
            duplicates: sum(|row| row.faults[0]),
            dup_flagged: sum(|row| row.faults[1]),
            reordered: sum(|row| row.faults[2]),
            unjudged: sum(|row| row.faults[4]),
            ..self.counts
        };
        self
    }

    /// Enters what became of the messages of each stream, once both of its ends are known.
    pub fn settle(&mut self, streams: &BTreeMap<u64, Delivery>) {
        let mut total = Delivery::default();
        streams.values().for_each(|stream| total.merge(stream));
        let Delivery { expected, delivered_once, lost, max_gap, .. } = total.map(Some);
        self.counts = Delivery { expected, delivered_once, lost, max_gap, ..self.counts };
        let accounts = streams.iter().map(|(number, stream)| StreamAccount::of(*number, Some(stream), None, None));
        self.streams = Some(worst_first(accounts.collect())).filter(|streams| !streams.is_empty());
    }

    /// The same with the account of each stream.
    pub fn with_streams(mut self, streams: Vec<StreamAccount>) -> Self {
        self.streams = (!streams.is_empty()).then(|| worst_first(streams));
        self
    }

    /// Messages matched by their order: what follows from the order is not known.
    pub fn forget_order(&mut self) {
        let streams = self.streams.iter_mut().flatten().map(|stream| &mut stream.counts);
        for counts in std::iter::once(&mut self.counts).chain(streams) {
            *counts = Delivery { duplicates: None, dup_flagged: None, reordered: None, late: None, ..*counts };
        }
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
        self.counts.merge_by(&other.counts, add);
        add(&mut self.outage_count, other.outage_count);
        self.outage_max_ns = self.outage_max_ns.max(other.outage_max_ns);
        add(&mut self.not_sent, other.not_sent);
        add(&mut self.foreign, other.foreign);
        add(&mut self.retained, other.retained);
        add(&mut self.unacked, other.unacked);
        add(&mut self.freed_by_silence, other.freed_by_silence);
        add(&mut self.no_subscriber, other.no_subscriber);
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
    /// What became of the messages, all its subscribers together.
    #[serde(flatten)]
    pub counts: Delivery<Option<u64>>,
    /// Sent and not acknowledged when the drain ended.
    pub unacked: Option<u64>,
    /// Refused by the broker, whatever the reason.
    pub rejected: Option<u64>,
}

impl StreamAccount {
    /// The account of a stream; `ledger` where somebody subscribes to it.
    pub fn of(stream: u64, ledger: Option<&Delivery>, unacked: Option<u64>, rejected: Option<u64>) -> Self {
        Self { stream, part: None, counts: known(ledger), unacked, rejected }
    }

    /// What is wrong with the stream, by weight: the worst stream has the most.
    pub fn faults(&self) -> [u64; 7] {
        let Delivery { lost, corrupt, duplicates, reordered, late, .. } = self.counts;
        [lost, corrupt, duplicates, reordered, self.rejected, self.unacked, late].map(Option::unwrap_or_default)
    }

    fn merge(&mut self, other: &Self) {
        self.counts.merge_by(&other.counts, add);
        add(&mut self.unacked, other.unacked);
        add(&mut self.rejected, other.rejected);
    }
}

/// The counts of a ledger in a document.
fn known(ledger: Option<&Delivery>) -> Delivery<Option<u64>> {
    ledger.map_or_else(Delivery::default, |ledger| ledger.map(Some))
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
