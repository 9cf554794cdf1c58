//! The accounts of a stage: delivery, clients, generator. Every field that was not measured is null.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::stream::{StreamAccount, worst_first};
use super::traffic::{Sides, rounded};
use crate::bench::measure::{self, Counters, Delivery, GeneratorHealth, Outages, Verdict};

/// What became of the messages. `expected = delivered_once + lost`; duplicates and what was never sent are apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryAccount {
    /// Messages sent in the window, times their subscribers.
    pub expected: Option<u64>,
    /// Arrived at least once.
    pub delivered_once: Option<u64>,
    /// Not arrived when the drain ended.
    pub lost: Option<u64>,
    /// Messages that were due in the window, or that a count asked for, and were never sent: neither expected nor lost.
    /// Those that `--behind skip` gave up are part of them. Null where neither schedule nor count says how many there
    /// should be.
    pub not_sent: Option<u64>,
    /// Arrivals beyond the first.
    pub duplicates: Option<u64>,
    /// Of these, with the DUP flag.
    pub dup_flagged: Option<u64>,
    /// Arrived after a later message of their stream.
    pub reordered: Option<u64>,
    /// Arrived after the drain.
    pub late: Option<u64>,
    /// Arrived with another content than was sent.
    pub corrupt: Option<u64>,
    /// Messages of somebody else; null where all of them are (`mqbench sub`).
    pub foreign: Option<u64>,
    /// Retained messages that came because of the subscriptions, and are not among the delivered ones (`mqbench sub`).
    pub retained: Option<u64>,
    /// Sent and not acknowledged when the drain ended.
    pub unacked: Option<u64>,
    /// Places of the window that were freed because nothing had arrived for a second or for four round trips; null
    /// where deliveries free no places.
    pub freed_by_silence: Option<u64>,
    /// Acknowledged with "no matching subscribers" (0x10).
    pub no_subscriber: Option<u64>,
    /// Refused by the broker, by reason code.
    pub rejected: Option<BTreeMap<String, u64>>,
    /// Missing messages that the ledger gave up to bound its memory; they are part of `lost`.
    pub overflowed: Option<u64>,
    /// Arrivals that the ledger could not tell late or duplicate.
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
    /// [`STREAMS`](super::stream::STREAMS) of them, the worst first.
    pub streams: Option<Vec<StreamAccount>>,
}

/// A time in which a stream got nothing through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// Number of the publisher.
    pub stream: u64,
    /// Since t0.
    pub start_ns: u64,
    /// How long.
    pub dur_ns: u64,
    /// Whether something got through again; otherwise it lasted to the end of the stage.
    pub ended: bool,
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
            not_sent: None,
            duplicates: ledger.map(|ledger| ledger.duplicates),
            dup_flagged: ledger.map(|ledger| ledger.dup_flagged),
            reordered: ledger.map(|ledger| ledger.reordered),
            late: ledger.map(|ledger| ledger.late),
            corrupt: own(counters.corrupt),
            foreign: own(counters.foreign),
            retained: (sides.subscribers && !sides.publishers).then_some(counters.retained),
            unacked: unacked.filter(|_| sides.acknowledged),
            freed_by_silence: None,
            no_subscriber: sides.acknowledged.then_some(counters.no_subscriber),
            rejected: sides.acknowledged.then(rejected),
            overflowed: ledger.map(|ledger| ledger.overflowed),
            unjudged: ledger.map(|ledger| ledger.unjudged),
            max_gap: ledger.map(|ledger| ledger.max_gap),
            outages: None,
            outage_count: None,
            outage_max_ns: None,
            streams: None,
        }
    }

    /// The same with the account of each stream.
    pub fn with_streams(mut self, streams: &[StreamAccount]) -> Self {
        self.streams = (!streams.is_empty()).then(|| worst_first(streams.to_vec()));
        self
    }

    /// Messages matched by their order: what the order would tell is not known.
    pub fn forget_order(&mut self) {
        (self.duplicates, self.dup_flagged, self.reordered, self.late) = (None, None, None, None);
        self.streams.iter_mut().flatten().for_each(StreamAccount::forget_order);
    }

    /// Enters the outages of a stage.
    pub fn with_outages(mut self, outages: Option<&Outages>) -> Self {
        let of = |outage: &measure::Outage| Outage {
            stream: outage.stream,
            start_ns: outage.start_ns,
            dur_ns: outage.dur_ns,
            ended: outage.ended,
        };
        self.outages = outages.map(|outages| outages.kept.iter().map(of).collect());
        self.outage_count = outages.map(|outages| outages.count);
        self.outage_max_ns = outages.filter(|outages| outages.count > 0).map(|outages| outages.longest_ns);
        self
    }

    /// Adds the account of another stage.
    pub fn merge(&mut self, other: &Self) {
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
        if let Some(outages) = &other.outages {
            self.outages.get_or_insert_default().extend(outages.iter().cloned());
        }
        if let Some(streams) = &other.streams {
            let mut sums = self.streams.take().unwrap_or_default();
            for stream in streams {
                match sums.iter_mut().find(|sum| sum.stream == stream.stream) {
                    Some(sum) => sum.merge(stream),
                    None => sums.push(stream.clone()),
                }
            }
            self.streams = Some(worst_first(sums));
        }
    }
}

/// Connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clients {
    /// Asked for.
    pub planned: Option<u64>,
    /// Connected when the stage began.
    pub connected: Option<u64>,
    /// Connects that failed.
    pub failed: Option<u64>,
    /// Connections that came up again.
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
    /// Takes the counts of failures and reconnects from counters.
    pub fn with_counters(mut self, counters: &Counters) -> Self {
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

/// The generator: what it used and whether it was able to measure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// User CPU, percent of one core.
    pub cpu_user_pct: Option<f64>,
    /// System CPU, percent of one core.
    pub cpu_sys_pct: Option<f64>,
    /// CPU time of the window, nanoseconds.
    pub cpu_ns: Option<u64>,
    /// CPU time a message (each sent and each delivered one counts), nanoseconds.
    pub cpu_ns_per_message: Option<u64>,
    /// The busiest thread, percent.
    pub max_thread_pct: Option<f64>,
    /// Resident memory.
    pub rss_bytes: Option<u64>,
    /// Resident memory a client.
    pub bytes_per_client: Option<u64>,
    /// Context switches of the load's threads.
    pub ctx_switches: Option<u64>,
    /// TCP segments that the machine sent again, all programs together.
    pub tcp_retrans: Option<u64>,
    /// CPU time that the hypervisor took, percent.
    pub steal_pct: Option<f64>,
    /// CPU time that control groups leave this process, in processors; null where nothing limits it.
    pub cpu_quota_cores: Option<f64>,
    /// Periods of that quota in which the process wanted to run; null as before.
    pub quota_periods: Option<u64>,
    /// Of these, those in which it was stopped because the quota was used up.
    pub throttled_periods: Option<u64>,
    /// How long it was stopped, all processors together.
    pub throttled_ns: Option<u64>,
    /// What this generator can, from its own calibration.
    pub ceiling_per_s: Option<f64>,
    /// How far it was from that.
    pub headroom_pct: Option<f64>,
    /// `ok`, `suspect` or `bottleneck`; null where nothing was measured.
    pub verdict: Option<String>,
    /// What speaks against it.
    pub reasons: Vec<String>,
}

impl From<GeneratorHealth> for Generator {
    fn from(health: GeneratorHealth) -> Self {
        Self {
            cpu_user_pct: health.cpu_user_pct.map(rounded),
            cpu_sys_pct: health.cpu_sys_pct.map(rounded),
            cpu_ns: health.cpu_ns,
            cpu_ns_per_message: health.cpu_ns_per_message,
            max_thread_pct: health.max_thread_pct.map(rounded),
            rss_bytes: health.rss_bytes,
            ctx_switches: health.ctx_switches,
            tcp_retrans: health.tcp_retrans,
            steal_pct: health.steal_pct.map(rounded),
            cpu_quota_cores: health.cpu_quota.map(rounded),
            quota_periods: health.throttling.map(|throttling| throttling.periods),
            throttled_periods: health.throttling.map(|throttling| throttling.throttled),
            throttled_ns: health.throttling.map(|throttling| throttling.throttled_ns),
            ceiling_per_s: health.ceiling_per_s.map(rounded),
            headroom_pct: health.headroom_pct.map(rounded),
            verdict: Some(health.verdict.as_str().to_owned()),
            reasons: health.reasons,
            ..Self::default()
        }
    }
}

impl Generator {
    /// All stages together, each with its name, window (ns), messages and generator: CPU over the sum of the windows,
    /// the worst verdict, every reason with its stage.
    pub fn of_stages<'a>(stages: impl Iterator<Item = (&'a str, u64, u64, &'a Self)> + Clone) -> Self {
        let window: u64 = stages.clone().map(|(_, window_ns, ..)| window_ns).sum();
        let messages: u64 = stages.clone().map(|(_, _, messages, _)| messages).sum();
        // Shares of windows of different length: weighted, and unknown when one is.
        let mean = |share: fn(&Self) -> Option<f64>| {
            let parts: Option<f64> =
                stages.clone().map(|(_, window_ns, _, stage)| share(stage).map(|share| share * window_ns as f64)).sum();
            parts.filter(|_| window > 0).map(|sum| rounded(sum / window as f64))
        };
        let highest = |share: fn(&Self) -> Option<f64>| {
            stages.clone().filter_map(|(.., stage)| share(stage)).max_by(f64::total_cmp)
        };
        let cpu_ns: Option<u64> = stages.clone().map(|(.., stage)| stage.cpu_ns).sum();
        let sum = |count: fn(&Self) -> Option<u64>| {
            let sum: Option<u64> = stages.clone().map(|(.., stage)| count(stage)).sum();
            sum.filter(|_| window > 0)
        };
        let verdicts = stages.clone().filter_map(|(.., stage)| stage.verdict.as_deref());
        let worst = verdicts.max_by_key(|&verdict| severity(verdict));
        Self {
            cpu_user_pct: mean(|stage| stage.cpu_user_pct),
            cpu_sys_pct: mean(|stage| stage.cpu_sys_pct),
            cpu_ns: cpu_ns.filter(|_| window > 0),
            cpu_ns_per_message: cpu_ns.and_then(|time| time.checked_div(messages)),
            max_thread_pct: highest(|stage| stage.max_thread_pct),
            ctx_switches: sum(|stage| stage.ctx_switches),
            tcp_retrans: sum(|stage| stage.tcp_retrans),
            rss_bytes: stages.clone().filter_map(|(.., stage)| stage.rss_bytes).max(),
            bytes_per_client: stages.clone().filter_map(|(.., stage)| stage.bytes_per_client).max(),
            steal_pct: highest(|stage| stage.steal_pct),
            cpu_quota_cores: stages.clone().filter_map(|(.., stage)| stage.cpu_quota_cores).min_by(f64::total_cmp),
            quota_periods: sum(|stage| stage.quota_periods),
            throttled_periods: sum(|stage| stage.throttled_periods),
            throttled_ns: sum(|stage| stage.throttled_ns),
            ceiling_per_s: highest(|stage| stage.ceiling_per_s),
            headroom_pct: stages.clone().filter_map(|(.., stage)| stage.headroom_pct).min_by(f64::total_cmp),
            verdict: worst.map(str::to_owned),
            reasons: stages
                .flat_map(|(name, _, _, stage)| stage.reasons.iter().map(move |reason| format!("{name}: {reason}")))
                .collect(),
        }
    }
}

fn severity(verdict: &str) -> usize {
    [Verdict::Ok, Verdict::Suspect, Verdict::Bottleneck]
        .iter()
        .position(|known| known.as_str() == verdict)
        .unwrap_or_default()
}

/// What was measured in one stage only is the sum; what was measured in none stays null.
pub(super) fn add(sum: &mut Option<u64>, part: Option<u64>) {
    if let Some(part) = part {
        *sum = Some(sum.unwrap_or_default() + part);
    }
}

fn merge_counts(sum: &mut Option<BTreeMap<String, u64>>, part: &Option<BTreeMap<String, u64>>) {
    if let Some(part) = part {
        let sum = sum.get_or_insert_default();
        for (key, count) in part {
            *sum.entry(key.clone()).or_default() += count;
        }
    }
}
