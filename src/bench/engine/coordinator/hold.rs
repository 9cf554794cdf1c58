//! Leading `mqbench conn`: connecting, holding and the last answers are one stage, measured from t0 to the end of the
//! hold. A connect that fails ends nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::super::clock::round_to_tick;
use super::super::shard::Command;
use super::super::shared::StageRun;
use super::{Coordinator, LEAD, LOOK, RunError, RunProgress, SECOND_NS, StageOutcome, StageTotals, Usage};
use crate::bench::plan::{ClientKind, LoadModel, Stage, StageName};
use crate::bench::system::{MachineCounters, process_cpu, resident_bytes};

impl Coordinator {
    /// Connects all clients, holds them, and gives back how long connecting took and what all of it brought.
    ///
    /// # Errors
    /// When a thread could not be had.
    pub(super) async fn hold(
        &mut self,
        progress: &mut impl FnMut(RunProgress),
    ) -> Result<(u64, StageOutcome), RunError> {
        let (clock, hold) = (self.shared.clock, self.shared.plan.hold);
        let mut totals = StageTotals::default();
        let mut run = StageRun { number: 1, rate: None, start_ns: 0, from_ns: 0, to_ns: u64::MAX, count: None };
        let (cpu_at_start, resident_at_start, broker_at_start) = (process_cpu(), resident_bytes(), self.broker_use());
        let machine_at_start = MachineCounters::read();
        let mut second = Second { next_ns: SECOND_NS };
        self.tell(Command::Second);
        let clients = self.shared.plan.idlers;
        while self.ready < self.shards.len() && !self.shared.is_halted() {
            progress(RunProgress::Connecting { connected: self.joined as usize, clients });
            self.look(&mut second, u64::MAX, &run, &mut totals).await;
            if let Some(error) = self.broken.take() {
                return Err(error);
            }
        }
        let connect_ns = clock.now_ns();
        let from_ns = round_to_tick(connect_ns + LEAD.as_nanos() as u64);
        let to_ns = round_to_tick(from_ns + hold.as_nanos() as u64);
        self.tell(Command::Begin(StageRun { from_ns, to_ns, ..run }));
        let mut memory = resident_bytes();
        while clock.now_ns() < to_ns && self.open() > 0 && !self.shared.is_halted() {
            let elapsed = Duration::from_nanos(clock.now_ns().saturating_sub(from_ns));
            progress(RunProgress::Holding { open: self.open(), elapsed, duration: hold });
            self.look(&mut second, to_ns, &run, &mut totals).await;
            memory = resident_bytes().or(memory);
        }
        run.to_ns = clock.now_ns().min(to_ns);
        let cpu = process_cpu().zip(cpu_at_start).map(|(now, start)| now.since(start));
        let broker = self.broker_use().zip(broker_at_start).map(|(now, start)| now.since(&start));
        let (open, machine) = (self.open(), MachineCounters::read().since(machine_at_start));
        let drain_from_ns = clock.now_ns();
        self.wait_for_answers(&run, &mut totals).await;
        let drain_ns = clock.now_ns() - drain_from_ns;
        self.settle(&run, &mut totals).await;
        let model = self.shared.plan.connect_rate.map_or(LoadModel::ClosedLoop, |rate| LoadModel::OpenLoop { rate });
        let stage = Stage { name: StageName::Conn, model, warmup: Duration::ZERO, duration: Some(hold), count: None };
        let usage = Usage { cpu, machine, resident: memory };
        let mut outcome = self.outcome(stage, run, totals, usage, drain_ns);
        for row in &mut outcome.series.rows {
            row.connects.get_or_insert(0);
        }
        outcome.connected = self.joined;
        outcome.max_open = self.max_open;
        outcome.lost = self.lost_in_stage.clone();
        outcome.broker = broker;
        outcome.clients_bytes = memory
            .zip(resident_at_start)
            .map(|(now, start)| now.saturating_sub(start))
            .and_then(|bytes| bytes.checked_div(open));
        for (target, (_, lost)) in outcome.targets.iter_mut().zip(&self.targets) {
            (target.connected, target.lost) = (target.share.recorder.counters.connects, *lost);
        }
        Ok((connect_ns, outcome))
    }

    /// A client that holds is connected.
    pub(super) fn count_idler(&mut self, target: usize) {
        self.joined += 1;
        self.left.entry(ClientKind::Idler).or_insert(0);
        self.count_client(ClientKind::Idler, target, true);
        self.max_open = self.max_open.max(self.open());
    }

    /// Takes reports for a moment, and asks for those of the seconds.
    async fn look(&mut self, second: &mut Second, until_ns: u64, run: &StageRun, totals: &mut StageTotals) {
        let clock = self.shared.clock;
        let now_ns = clock.now_ns();
        if now_ns >= second.next_ns {
            self.tell(Command::Second);
            second.next_ns += SECOND_NS;
        }
        let wake_ns = (now_ns + LOOK.as_nanos() as u64).min(second.next_ns).min(until_ns);
        self.collect_until(clock.at(wake_ns).into(), run, totals).await;
    }

    /// Waits for the answers to the pings of the last moment, as long as for messages under way.
    async fn wait_for_answers(&mut self, run: &StageRun, totals: &mut StageTotals) {
        let deadline = Instant::now() + self.shared.plan.drain;
        loop {
            let asked = Instant::now();
            self.tell(Command::Second);
            let rounds = totals.rounds;
            while totals.rounds == rounds && asked.elapsed() < Duration::from_secs(1) {
                self.collect_until(Instant::now() + LOOK, run, totals).await;
            }
            let answered = totals.total.latency.ping.histogram().map_or(0, |pings| pings.count());
            let lost: u64 = self.lost_in_stage.values().sum();
            if answered + lost >= totals.total.counters.pings || self.shared.is_halted() || Instant::now() >= deadline {
                return;
            }
        }
    }
}

/// When the next second is over.
struct Second {
    next_ns: u64,
}
