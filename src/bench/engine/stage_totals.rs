//! What the coordinator gathers of a stage while it runs: seconds, totals, what threads used, what was delivered.

use std::collections::BTreeMap;

use super::shard::TargetShare;
use super::subscriber::Deliveries;
use crate::bench::measure::{IntervalRow, Outages, Recorder, Spans, Timeline};
use crate::bench::system::CpuTime;

/// The parts of a stage.
#[derive(Default)]
pub(super) struct StageTotals {
    pub(super) total: Recorder,
    pub(super) timeline: Timeline,
    /// The last whole second.
    pub(super) last_second: Option<IntervalRow>,
    /// How often all shards have reported. The first time only begins the count of seconds: what a busy thread has done
    /// before it gets round to that is of the first one.
    pub(super) rounds: u64,
    /// What has come of the second that is being gathered, and from how many shards.
    second: Recorder,
    reported: usize,
    /// For each thread what it had used at its first report, and what it has used since.
    threads: BTreeMap<usize, (CpuTime, CpuTime)>,
    /// What all threads had used when the last second ended.
    used_before: CpuTime,
    pub(super) deliveries: Deliveries,
    pub(super) downgraded: u64,
    pub(super) spans: Spans,
    /// Shards whose publishers have stopped, and shards that have settled.
    pub(super) stopped: usize,
    pub(super) settled: usize,
    /// Measured messages that are still to come, and how many shards have said so.
    pub(super) missing: (u64, usize),
    pub(super) outages: Outages,
    /// What each broker has, where there are several.
    pub(super) shares: Vec<TargetShare>,
}

/// What is known beside the recorders when a second has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecondContext {
    /// Threads that report.
    pub(super) shards: usize,
    /// When the second began.
    pub(super) row_ns: u64,
    /// Open connections.
    pub(super) connections: u64,
    /// Messages that are sent and not yet where they are to be.
    pub(super) backlog: u64,
}

impl StageTotals {
    pub(super) fn take_second(
        &mut self,
        shard: usize,
        recorder: &Recorder,
        cpu: Option<CpuTime>,
        moment: impl FnOnce(&Self) -> SecondContext,
    ) {
        self.second.merge(recorder);
        self.reported += 1;
        if let Some(cpu) = cpu {
            let (first, used) = self.threads.entry(shard).or_insert((cpu, CpuTime::default()));
            *used = cpu.since(*first);
        }
        let moment = moment(self);
        if self.reported == moment.shards {
            self.reported = 0;
            let used = self.used();
            let used_before = std::mem::replace(&mut self.used_before, used.unwrap_or_default());
            if self.rounds > 0 {
                let second = std::mem::take(&mut self.second);
                let row = IntervalRow {
                    conns: Some(moment.connections),
                    backlog: Some(moment.backlog),
                    cpu_pct: used.map(|used| used.since(used_before).total_ns() as f64 / 1e7),
                    ..IntervalRow::of(&second, moment.row_ns)
                };
                self.last_second = Some(row);
                self.timeline.push(row);
                self.total.merge(&second);
            }
            self.rounds += 1;
        }
    }

    /// What the threads of the load have used, where the system tells them apart.
    pub(super) fn used(&self) -> Option<CpuTime> {
        self.threads.values().map(|(_, used)| *used).reduce(CpuTime::plus)
    }

    /// The same of the busiest thread.
    pub(super) fn busiest(&self) -> Option<CpuTime> {
        self.threads.values().map(|(_, used)| *used).max_by_key(|used| used.total_ns())
    }
}
