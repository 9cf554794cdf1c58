//! The sum of a stage over the parts of a run. Each struct is taken apart as a whole, so that a new field finds its rule
//! here.

use anyhow::{Context as _, Result};

use crate::bench::measure::{Fault, Generator, IntervalRow, Latency, Outage, Reach, Series, common_silences, rounded};
use crate::bench::report::delivery::{Clients, DeliveryAccount, StreamAccount, add, worst_first};
use crate::bench::report::latency::{LatencySummary, LatencyTable};
use crate::bench::report::stage::{Phase, Stage, Target};
use crate::bench::report::traffic::Traffic;
use crate::bench::system::ProcessUse;

/// Outages that a document lists one by one.
const MOST_OUTAGES: usize = 1_000;

impl Stage {
    /// Says of which part the streams are, and gives the rows the precision of a sum.
    pub(super) fn set_part(&mut self, part: &str) {
        for row in self.series.iter_mut().flat_map(|series| &mut series.rows) {
            row.cpu_pct = row.cpu_pct.map(rounded);
        }
        let targets = self.targets.iter_mut().flatten().map(|target| &mut target.delivery);
        for delivery in std::iter::once(&mut self.delivery).chain(targets) {
            delivery.streams.iter_mut().flatten().for_each(|stream| stream.part = Some(part.to_owned()));
        }
    }

    /// The sum of this stage and that of another part. Rates are added: the parts ran at the same time.
    pub(super) fn with_part(&self, other: &Self) -> Result<Self> {
        let place = || format!("stage {}", self.name);
        let highest_percentile = lower_percentile(&self.highest_percentile, &other.highest_percentile);
        let mut latency = latencies(&self.latency, &other.latency).with_context(place)?;
        if let Some(highest) = &highest_percentile {
            latency.withhold_above(highest);
        }
        let (start_ns, duration_ns) =
            both_times((self.start_ns, self.duration_ns), (other.start_ns, other.duration_ns));
        let traffic = traffic(&self.traffic, &other.traffic);
        let messages = traffic.sent.unwrap_or_default() + traffic.delivered.unwrap_or_default();
        Ok(Self {
            name: self.name.clone(),
            model: self.model,
            qos: self.qos,
            start_ns,
            duration_ns,
            given_up: lines(&self.given_up, &other.given_up),
            highest_percentile,
            phases: phases(&self.phases, &other.phases),
            clients: clients(&self.clients, &other.clients),
            delivery: delivery(&self.delivery, &other.delivery),
            reach: reach(self.reach.as_ref(), other.reach.as_ref()),
            latency,
            series: series(self.series.as_ref(), other.series.as_ref()),
            silences: self
                .silences
                .as_ref()
                .zip(other.silences.as_ref())
                .map(|(one, other)| common_silences(one, other)),
            generator: generator(&self.generator, &other.generator, messages),
            traffic,
            targets: targets(self.targets.as_deref(), other.targets.as_deref()).with_context(place)?,
            broker: busier(self.broker.clone(), other.broker.clone()),
            invalid: super::union(self.invalid.clone(), other.invalid.clone(), |fault: &Fault| {
                (fault.code.clone(), fault.text.clone())
            }),
        })
    }
}

fn reach(one: Option<&Reach>, other: Option<&Reach>) -> Option<Reach> {
    let mut sum = one.or(other)?.clone();
    if let (Some(_), Some(other)) = (one, other) {
        sum.merge(other.clone());
    }
    Some(sum)
}

/// The time that holds both, each as start and length.
fn both_times(one: (u64, u64), other: (u64, u64)) -> (u64, u64) {
    let start = one.0.min(other.0);
    let end = one.0.saturating_add(one.1).max(other.0.saturating_add(other.1));
    (start, end - start)
}

fn lower_percentile(one: &Option<String>, other: &Option<String>) -> Option<String> {
    let height = |name: &&String| name.parse::<f64>().unwrap_or_default();
    one.iter().chain(other).min_by(|one, other| height(one).total_cmp(&height(other))).cloned()
}

/// The lines of both texts, each once.
fn lines(one: &Option<String>, other: &Option<String>) -> Option<String> {
    let lines: std::collections::BTreeSet<&str> = one.iter().chain(other).flat_map(|text| text.lines()).collect();
    (one.is_some() || other.is_some()).then(|| lines.into_iter().collect::<Vec<_>>().join("\n"))
}

fn phases(one: &[Phase], other: &[Phase]) -> Vec<Phase> {
    let mut sum: Vec<Phase> = one.to_vec();
    for phase in other {
        match sum.iter_mut().find(|known| known.name == phase.name) {
            Some(known) => {
                let times = ((known.start_ns, known.duration_ns), (phase.start_ns, phase.duration_ns));
                (known.start_ns, known.duration_ns) = both_times(times.0, times.1);
            }
            None => sum.push(phase.clone()),
        }
    }
    sum.sort_by(|one, other| (one.start_ns, &one.name).cmp(&(other.start_ns, &other.name)));
    sum
}

/// What one part has and the other has not is what the one has.
fn sum<T: Copy>(one: Option<T>, other: Option<T>, add: fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(add(one, other)),
        (one, other) => one.or(other),
    }
}

fn count(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    sum(one, other, u64::saturating_add)
}

/// The sum in thousandths, as documents have them: whatever the order of the parts, it is the same to the last digit.
fn rate(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    let thousandths = |rate: f64| (rate * 1e3).round();
    sum(one.map(thousandths), other.map(thousandths), |one, other| one + other).map(|sum| sum / 1e3)
}

fn highest(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    sum(one, other, f64::max)
}

fn lowest(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    sum(one, other, f64::min)
}

fn clients(one: &Clients, other: &Clients) -> Clients {
    let mut all = one.clone();
    let Clients { planned, connected, failed, reconnects, max_open, errors, lost, losses } = other;
    for (sum, part) in [
        (&mut all.planned, planned),
        (&mut all.connected, connected),
        (&mut all.failed, failed),
        (&mut all.reconnects, reconnects),
        (&mut all.max_open, max_open),
        (&mut all.lost, lost),
    ] {
        add(sum, *part);
    }
    crate::bench::report::delivery::merge_counts(&mut all.errors, errors);
    crate::bench::report::delivery::merge_counts(&mut all.losses, losses);
    all
}

fn traffic(one: &Traffic, other: &Traffic) -> Traffic {
    let packets = one.packets.clone().zip(other.packets.as_ref()).map(|(mut packets, other)| {
        for (name, count) in other {
            let sum = packets.entry(name.clone()).or_insert(Some(0));
            *sum = sum.zip(*count).map(|(one, other)| one.saturating_add(other));
        }
        packets
    });
    Traffic {
        offered_per_s: rate(one.offered_per_s, other.offered_per_s),
        sent_per_s: rate(one.sent_per_s, other.sent_per_s),
        acked_per_s: rate(one.acked_per_s, other.acked_per_s),
        delivered_per_s: rate(one.delivered_per_s, other.delivered_per_s),
        offered: count(one.offered, other.offered),
        sent: count(one.sent, other.sent),
        sent_again: count(one.sent_again, other.sent_again),
        acked: count(one.acked, other.acked),
        delivered: count(one.delivered, other.delivered),
        skipped: count(one.skipped, other.skipped),
        held_back: count(one.held_back, other.held_back),
        bytes_out: count(one.bytes_out, other.bytes_out),
        bytes_in: count(one.bytes_in, other.bytes_in),
        payload_bytes_out: count(one.payload_bytes_out, other.payload_bytes_out),
        payload_bytes_in: count(one.payload_bytes_in, other.payload_bytes_in),
        bytes_out_per_s: rate(one.bytes_out_per_s, other.bytes_out_per_s),
        bytes_in_per_s: rate(one.bytes_in_per_s, other.bytes_in_per_s),
        payload_out_per_s: rate(one.payload_out_per_s, other.payload_out_per_s),
        goodput_bytes_per_s: rate(one.goodput_bytes_per_s, other.goodput_bytes_per_s),
        packets,
    }
}

/// Counts are added; of the worst streams of both the worst are kept, and of the first outages the first: what is left
/// out is left out in every order.
fn delivery(one: &DeliveryAccount, other: &DeliveryAccount) -> DeliveryAccount {
    let mut all = one.clone();
    all.add_counts(other);
    if let (Some(expected), Some(delivered)) = (all.counts.expected, all.counts.delivered_once) {
        all.counts.lost = all.counts.lost.map(|_| expected.saturating_sub(delivered));
    }
    all.streams = sum_of_lists(&one.streams, &other.streams, |streams: Vec<StreamAccount>| worst_first(streams));
    all.outages = sum_of_lists(&one.outages, &other.outages, |mut outages: Vec<Outage>| {
        outages.sort_by_key(|outage| (outage.start_ns, outage.stream, outage.dur_ns, outage.ended));
        outages.truncate(MOST_OUTAGES);
        outages
    });
    all
}

fn sum_of_lists<T: Clone>(one: &Option<Vec<T>>, other: &Option<Vec<T>>, keep: fn(Vec<T>) -> Vec<T>) -> Option<Vec<T>> {
    let all: Vec<T> = one.iter().chain(other).flatten().cloned().collect();
    (one.is_some() || other.is_some()).then(|| keep(all))
}

/// The latencies of both: of the samples, as if one histogram had seen them all.
fn latencies(one: &LatencyTable, other: &LatencyTable) -> Result<LatencyTable> {
    let mut fault = None;
    let table = one.map(|name, one| {
        let other = other.get(name);
        let sum = match (one, other) {
            (Some(one), Some(other)) => latency(one, other).with_context(|| format!("latency {name}")).map(Some),
            (one, other) => Ok(one.as_ref().or(other).cloned()),
        };
        sum.unwrap_or_else(|error| {
            fault.get_or_insert(error);
            None
        })
    });
    fault.map_or(Ok(table), Err)
}

fn latency(one: &LatencySummary, other: &LatencySummary) -> Result<LatencySummary> {
    let mut histogram = one.histogram()?;
    histogram.merge(&other.histogram()?);
    // Parts of one plan have the same basis.
    let basis = one.basis.as_str().max(&other.basis);
    LatencySummary::of(&Latency::from(histogram), basis).context("it has no samples")
}

/// Second by second since the start of each part. Where rows have another length, or a part has none, there is no sum.
fn series(one: Option<&Series>, other: Option<&Series>) -> Option<Series> {
    let (one, other) = one.zip(other).filter(|(one, other)| one.interval_ns == other.interval_ns)?;
    let (short, long) = if one.rows.len() <= other.rows.len() { (one, other) } else { (other, one) };
    let mut rows = long.rows.clone();
    rows.iter_mut().zip(&short.rows).for_each(|(sum, row)| *sum = interval(sum, row));
    Some(Series { interval_ns: long.interval_ns, rows })
}

fn interval(one: &IntervalRow, other: &IntervalRow) -> IntervalRow {
    let mut buckets = [&one.e2e_buckets, &one.rtt_buckets, &one.ack_buckets].map(Clone::clone);
    let others = [&other.e2e_buckets, &other.rtt_buckets, &other.ack_buckets];
    for (sum, part) in buckets.iter_mut().zip(others) {
        if let Some(part) = part {
            sum.get_or_insert_default().merge(part);
        }
    }
    let [e2e_buckets, rtt_buckets, ack_buckets] = buckets;
    IntervalRow {
        t_ns: one.t_ns.min(other.t_ns),
        sent: count(one.sent, other.sent),
        acked: count(one.acked, other.acked),
        delivered: count(one.delivered, other.delivered),
        skipped: count(one.skipped, other.skipped),
        lost: count(one.lost, other.lost),
        // As of several seconds: not above the largest.
        e2e_p50: one.e2e_p50.max(other.e2e_p50),
        e2e_p99: one.e2e_p99.max(other.e2e_p99),
        e2e_max: one.e2e_max.max(other.e2e_max),
        e2e_buckets,
        rtt_buckets,
        ack_buckets,
        sched_lag_max: one.sched_lag_max.max(other.sched_lag_max),
        conns: count(one.conns, other.conns),
        connects: count(one.connects, other.connects),
        cpu_pct: rate(one.cpu_pct, other.cpu_pct),
        backlog: count(one.backlog, other.backlog),
        // Those that look at one broker see the same process.
        broker_cpu_pct: highest(one.broker_cpu_pct, other.broker_cpu_pct),
        broker_rss_bytes: one.broker_rss_bytes.max(other.broker_rss_bytes),
    }
}

/// The generators of both parts; `messages` are those of both together.
fn generator(one: &Generator, other: &Generator, messages: u64) -> Generator {
    let cpu_ns = count(one.cpu_ns, other.cpu_ns);
    let mut reasons = [&one.reasons[..], &other.reasons].concat();
    reasons.sort();
    reasons.dedup();
    Generator {
        cpu_user_pct: rate(one.cpu_user_pct, other.cpu_user_pct),
        cpu_sys_pct: rate(one.cpu_sys_pct, other.cpu_sys_pct),
        cpu_ns,
        cpu_ns_per_message: cpu_ns.and_then(|time| time.checked_div(messages)),
        max_thread_pct: highest(one.max_thread_pct, other.max_thread_pct),
        rss_bytes: count(one.rss_bytes, other.rss_bytes),
        bytes_per_client: one.bytes_per_client.max(other.bytes_per_client),
        ctx_switches: count(one.ctx_switches, other.ctx_switches),
        tcp_retrans: count(one.tcp_retrans, other.tcp_retrans),
        steal_pct: highest(one.steal_pct, other.steal_pct),
        cpu_quota_cores: lowest(one.cpu_quota_cores, other.cpu_quota_cores),
        quota_periods: count(one.quota_periods, other.quota_periods),
        throttled_periods: count(one.throttled_periods, other.throttled_periods),
        throttled_ns: count(one.throttled_ns, other.throttled_ns),
        ceiling_per_s: rate(one.ceiling_per_s, other.ceiling_per_s),
        headroom_pct: lowest(one.headroom_pct, other.headroom_pct),
        verdict: one.verdict.max(other.verdict),
        reasons,
    }
}

/// The rows of both, by their brokers.
fn targets(one: Option<&[Target]>, other: Option<&[Target]>) -> Result<Option<Vec<Target>>> {
    if one.is_none() && other.is_none() {
        return Ok(None);
    }
    let mut all: Vec<Target> = one.unwrap_or_default().to_vec();
    for target in other.unwrap_or_default() {
        match all.iter_mut().find(|known| known.url == target.url) {
            None => all.push(target.clone()),
            Some(known) => {
                *known = Target {
                    url: target.url.clone(),
                    clients: clients(&known.clients, &target.clients),
                    traffic: traffic(&known.traffic, &target.traffic),
                    delivery: delivery(&known.delivery, &target.delivery),
                    latency: latencies(&known.latency, &target.latency)?,
                }
            }
        }
    }
    all.sort_by(|one, other| one.url.cmp(&other.url));
    Ok(Some(all))
}

/// Parts that look at one broker see the same process: the account with the most CPU time.
fn busier(one: Option<ProcessUse>, other: Option<ProcessUse>) -> Option<ProcessUse> {
    let used = |process: &Option<ProcessUse>| process.as_ref().map(|process| process.cpu_ns);
    match used(&one).cmp(&used(&other)) {
        std::cmp::Ordering::Less => other,
        std::cmp::Ordering::Equal => super::richer(one, other),
        std::cmp::Ordering::Greater => one,
    }
}
