//! What the coordinator collects of a stage while it runs: seconds, totals, the CPU time of the threads, deliveries.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::shard::Settled;
use super::watched::WatchedSecond;
use crate::bench::measure::{IntervalRow, Latencies, Latency, Percentile, Recorder, Timeline, percent, rounded};
use crate::bench::system::{CpuTime, ProcessUse};

/// A second with less than this part of what the best one brought is one in which the broker stood still for long
/// enough to fall behind; one that is too slow is so in every second.
const PART_OF_BEST: f64 = 0.6;

/// The totals of a stage.
#[derive(Default)]
pub(super) struct StageTotals {
    /// What was recorded up to the last second, and what the threads have settled.
    pub(super) sum: Settled,
    pub(super) timeline: Timeline,
    /// The last whole second.
    last_second: Option<IntervalRow>,
    /// The same for those who watch.
    watched: Option<Arc<WatchedSecond>>,
    /// Messages that threads found missing at the end of the second that is being collected.
    missing_now: u64,
    /// How often all threads have reported a second. The first time only starts the first second: what a busy thread
    /// did before it saw the command belongs to it.
    rounds: u64,
    /// The second that is being collected, and how many threads have reported it.
    second: Recorder,
    reported: usize,
    /// For each thread its CPU time at the first report, and what it has used since.
    threads: BTreeMap<usize, (CpuTime, CpuTime)>,
    /// What all threads had used at the end of the last second.
    used_before: CpuTime,
    /// What the broker's process had used at the end of the last second, and when that was.
    process: Option<(u64, ProcessUse)>,
    /// What it used in the last second: percent of a core, and memory.
    process_second: Option<(f64, Option<u64>)>,
    /// Threads whose publishers have stopped, and threads that have settled.
    pub(super) stopped: usize,
    pub(super) settled: usize,
    /// Measured messages that are still to arrive, and how many threads have counted theirs.
    pub(super) missing: (u64, usize),
}

/// What is known about a second next to its recorders.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecondContext {
    /// Threads that report.
    pub(super) shards: usize,
    /// When the second began.
    pub(super) row_ns: u64,
    /// Open connections.
    pub(super) connections: u64,
    /// Messages that were sent and are not delivered or acknowledged yet.
    pub(super) backlog: u64,
}

/// p50 and p99 of the time that a load is about.
fn watched_time(latency: &Latencies) -> [Option<u64>; 2] {
    let times = [&latency.e2e, &latency.ack, &latency.ping];
    let Some(time) = times.into_iter().find_map(Latency::histogram) else { return [None; 2] };
    [Percentile::P50, Percentile::P99].map(|percentile| time.percentile(percentile))
}

impl StageTotals {
    /// Adds the report of one thread for a second; `context` gets the number of whole seconds before it.
    pub(super) fn add_second(
        &mut self,
        shard: usize,
        recorder: &Recorder,
        cpu: Option<CpuTime>,
        context: impl FnOnce(u64) -> SecondContext,
    ) {
        self.second.merge(recorder);
        self.reported += 1;
        if let Some(cpu) = cpu {
            let (first, used) = self.threads.entry(shard).or_insert((cpu, CpuTime::default()));
            *used = cpu.since(*first);
        }
        let context = context(self.seconds());
        if self.reported < context.shards {
            return;
        }
        self.reported = 0;
        let used = self.used();
        let used_before = std::mem::replace(&mut self.used_before, used.unwrap_or_default());
        if self.rounds > 0 {
            let second = std::mem::take(&mut self.second);
            let process = self.process_second.take();
            let row = IntervalRow {
                broker_cpu_pct: process.map(|(cpu, _)| cpu),
                broker_rss_bytes: process.and_then(|(_, memory)| memory),
                conns: Some(context.connections),
                backlog: Some(context.backlog),
                cpu_pct: used.map(|used| used.since(used_before).total_ns() as f64 / 1e7),
                ..IntervalRow::of(&second, context.row_ns)
            };
            self.last_second = Some(row.clone());
            self.sum.recorder.merge(&second);
            self.watched = self.watch(&second).map(Arc::new);
            self.timeline.push(row);
        }
        self.rounds += 1;
        self.missing_now = 0;
    }

    /// Notes how many messages a thread found missing; before its second is added.
    pub(super) const fn note_missing(&mut self, missing: u64) {
        self.missing_now += missing;
    }

    /// The last second with what came before it.
    fn watch(&self, second: &Recorder) -> Option<WatchedSecond> {
        let row = self.last_second()?;
        let Recorder { counters, latency } = &self.sum.recorder;
        Some(WatchedSecond {
            number: self.rounds,
            sent: second.counters.sent,
            acked: second.counters.acked,
            delivered: second.counters.delivered,
            connections: row.conns.unwrap_or_default(),
            in_flight: row.backlog.unwrap_or_default(),
            cpu_pct: row.cpu_pct,
            time: watched_time(&second.latency),
            time_so_far: watched_time(latency),
            sent_so_far: counters.sent,
            missing: self.missing_now,
            repeated: counters.repeated,
            refused: counters.rejected.values().sum(),
        })
    }

    /// A second ends, and this is what the broker's process has used up to now.
    pub(super) fn note_process(&mut self, now_ns: u64, process: Option<ProcessUse>) {
        let before = std::mem::replace(&mut self.process, process.map(|process| (now_ns, process)));
        self.process_second = before.zip(self.process.as_ref()).and_then(|((before_ns, before), (_, now))| {
            let elapsed_ns = now_ns.saturating_sub(before_ns) as f64;
            let cpu = percent(now.since(&before).cpu_ns as f64, elapsed_ns)?;
            Some((rounded(cpu), now.rss_bytes))
        });
    }

    /// Adds what one thread has settled.
    pub(super) fn add_settled(&mut self, settled: Settled) {
        self.sum.merge(settled);
        self.settled += 1;
    }

    /// How often all threads have reported a second.
    pub(super) const fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Whole seconds that were collected.
    pub(super) const fn seconds(&self) -> u64 {
        self.rounds.saturating_sub(1)
    }

    /// The last whole second.
    pub(super) const fn last_second(&self) -> Option<&IntervalRow> {
        self.last_second.as_ref()
    }

    /// Whether there was a second in which much less arrived than in others.
    pub(super) fn stood_still(&self) -> bool {
        let rows = self.timeline.rows();
        let arrived = |row: &IntervalRow| row.delivered.max(row.acked).unwrap_or_default();
        let most = rows.iter().map(arrived).max().unwrap_or_default();
        rows.iter().any(|row| (arrived(row) as f64) < PART_OF_BEST * most as f64)
    }

    /// The last whole second for those who watch.
    pub(super) fn watched(&self) -> Option<Arc<WatchedSecond>> {
        self.watched.clone()
    }

    /// CPU time of the load's threads, where the system distinguishes threads.
    pub(super) fn used(&self) -> Option<CpuTime> {
        self.threads.values().map(|(_, used)| *used).reduce(CpuTime::plus)
    }

    /// CPU time of the busiest thread.
    pub(super) fn busiest(&self) -> Option<CpuTime> {
        self.threads.values().map(|(_, used)| *used).max_by_key(|used| used.total_ns())
    }
}
