//! `mqbench conn`: connecting, holding and the last answers are one stage, measured from t0 to the end of the hold. A
//! failed connect ends nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::super::clock::round_to_tick;
use super::super::shard::Command;
use super::super::shared::StageRun;
use super::census::TargetConnections;
use super::stage::StageDriver;
use super::usage::UsageMeter;
use super::{Coordinator, POLL_INTERVAL, RunError, RunProgress, SECOND_NS, START_DELAY, StageOutcome};
use crate::bench::plan::{LoadModel, Stage, StageName};
use crate::bench::system::resident_bytes;

/// Connects all clients and holds them. Returns how long connecting took, and the outcome.
///
/// # Errors
/// When a thread could not start.
pub(super) async fn run_hold(
    coordinator: &mut Coordinator,
    progress: &mut impl FnMut(RunProgress),
) -> Result<(u64, StageOutcome), RunError> {
    let run =
        StageRun { number: 1, rate: None, start_ns: 0, from_ns: 0, to_ns: u64::MAX, count: None, stamp_shift_ns: 0 };
    let mut hold =
        HoldDriver { driver: StageDriver::new(coordinator, run, StageName::Conn), next_second_ns: SECOND_NS };
    let (clock, plan) = (hold.coordinator().shared.clock, hold.coordinator().shared.plan.clone());
    let resident_at_start = resident_bytes();
    let meter = UsageMeter::start(hold.coordinator().read_process());
    hold.driver.request_second();
    while !hold.coordinator().is_ready() && !hold.coordinator().shared.is_halted() {
        let connected = hold.coordinator().census.connected() as usize;
        progress(RunProgress::Connecting { connected, clients: plan.own_clients() });
        hold.collect(u64::MAX).await;
        if let Some(error) = hold.coordinator().start_error.take() {
            return Err(error);
        }
    }
    let connect_ns = clock.now_ns();
    let from_ns = round_to_tick(connect_ns + START_DELAY.as_nanos() as u64);
    let to_ns = round_to_tick(from_ns + plan.hold.as_nanos() as u64);
    hold.coordinator().begin(StageRun { from_ns, to_ns, ..run });
    let mut memory = resident_bytes();
    while clock.now_ns() < to_ns && hold.coordinator().census.open() > 0 && !hold.coordinator().shared.is_halted() {
        let elapsed = Duration::from_nanos(clock.now_ns().saturating_sub(from_ns));
        let open = hold.coordinator().census.open();
        let second = hold.driver.totals.watched();
        progress(RunProgress::Holding { open, elapsed, duration: plan.hold, second });
        hold.collect(to_ns).await;
        memory = resident_bytes().or(memory);
    }
    hold.driver.run.to_ns = clock.now_ns().min(to_ns);
    let usage = meter.usage(hold.coordinator().read_process());
    let open = hold.coordinator().census.open();
    let drain_from_ns = clock.now_ns();
    hold.wait_for_pongs(plan.drain).await;
    let drain_ns = clock.now_ns() - drain_from_ns;
    hold.driver.settle().await;
    let model = plan.connect_rate.map_or(LoadModel::ClosedLoop, |rate| LoadModel::OpenLoop { rate });
    let stage = Stage { name: StageName::Conn, model, warmup: Duration::ZERO, duration: Some(plan.hold), count: None };
    let connected = hold.coordinator().census.connected();
    let connects = hold.driver.totals.sum.shares.iter().map(|share| share.recorder.counters.connects);
    let lost: Vec<u64> = hold.driver.coordinator.census.targets().iter().map(|target| target.lost).collect();
    let connections = connects.zip(lost).map(|(open, lost)| TargetConnections { open, lost }).collect();
    let mut outcome = hold.driver.outcome(stage, usage, drain_ns, connections);
    for row in &mut outcome.series.rows {
        row.connects.get_or_insert(0);
    }
    outcome.connected = connected;
    outcome.usage.resident_bytes = memory;
    outcome.clients_bytes = memory
        .zip(resident_at_start)
        .map(|(now, start)| now.saturating_sub(start))
        .and_then(|bytes| bytes.checked_div(open));
    Ok((connect_ns, outcome))
}

struct HoldDriver<'a> {
    driver: StageDriver<'a>,
    next_second_ns: u64,
}

impl HoldDriver<'_> {
    const fn coordinator(&mut self) -> &mut Coordinator {
        self.driver.coordinator
    }

    /// Handles reports for a moment, and requests those of each second.
    async fn collect(&mut self, until_ns: u64) {
        let clock = self.coordinator().shared.clock;
        let now_ns = clock.now_ns();
        if now_ns >= self.next_second_ns {
            self.driver.request_second();
            self.next_second_ns += SECOND_NS;
        }
        let wake_ns = (now_ns + POLL_INTERVAL.as_nanos() as u64).min(self.next_second_ns).min(until_ns);
        self.driver.collect_until(clock.at(wake_ns).into()).await;
    }

    /// Waits for the answers to the last pings, at most for the drain time.
    async fn wait_for_pongs(&mut self, drain: Duration) {
        let deadline = Instant::now() + drain;
        loop {
            let asked = Instant::now();
            self.coordinator().shards.send(&Command::Second);
            let rounds = self.driver.totals.rounds();
            while self.driver.totals.rounds() == rounds && asked.elapsed() < Duration::from_secs(1) {
                self.driver.collect_until(Instant::now() + POLL_INTERVAL).await;
            }
            let recorder = &self.driver.totals.sum.recorder;
            let answered = recorder.latency.ping.histogram().map_or(0, |pings| pings.count());
            let pings = recorder.counters.pings;
            let lost: u64 = self.coordinator().census.lost_in_stage().values().sum();
            let is_over = self.coordinator().shared.is_halted() || Instant::now() >= deadline;
            if answered + lost >= pings || is_over {
                return;
            }
        }
    }
}
