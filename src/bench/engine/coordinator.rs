//! The run as a whole: starts the threads, drives them through the stages, and puts together what they recorded.

mod census;
mod hold;
mod outcome;
mod pace;
mod shards;
mod stage;
mod stall;
#[cfg(test)]
mod tests;
mod usage;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use self::census::Census;
use self::hold::run_hold;
pub(crate) use self::outcome::{RunError, RunOutcome, RunProgress, StageOutcome, StreamOutcome, TargetOutcome};
pub(crate) use self::pace::Overload;
use self::shards::{Shards, StartShard};
use self::stage::StageDriver;
use self::usage::ProcessWatch;
#[cfg(test)]
pub(crate) use self::usage::Usage;
use super::clock::{Clock, now, round_to_tick};
use super::shard::{self, Command, Report};
use super::shared::{Shared, StageRun};
use super::subscriber::LateMessages;
use super::together::{Together, lateness};
use crate::bench::measure::{LiveFigures, LiveStage, Recorder};
use crate::bench::plan::{BenchPlan, ClientKind, LoadModel, Stage};
use crate::bench::system::ProcessUse;
use crate::mqtt::QoS;
use crate::transport::{ConnectError, TlsClient, resolve};

/// From the command to the first message: all threads have the command by then.
const START_DELAY: Duration = Duration::from_millis(20);

/// How often the coordinator looks for the end of a stage and of a drain.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

const SECOND_NS: u64 = 1_000_000_000;

/// The time of the start in the stamps of shards, whose own clocks began to count at different times.
const STAMPED_START_NS: u64 = 3_600 * SECOND_NS;

/// Runs a plan. `interrupt` ends the load early, but not the drain; `progress` is called repeatedly, and `live` gets the
/// figures of each second.
///
/// # Errors
/// Only before the load: what fails afterwards is part of the outcome.
pub(crate) async fn run(
    plan: BenchPlan,
    tls: Option<TlsClient>,
    interrupt: impl Future<Output = ()>,
    progress: impl FnMut(RunProgress),
    live: Option<Arc<LiveFigures>>,
    together: Option<Together>,
) -> Result<RunOutcome, RunError> {
    run_with(plan, tls, interrupt, progress, (live, together), shard::on_thread).await
}

/// [`run`] without threads: the shards are tasks of the caller's `LocalSet`, on the clock of its runtime.
#[cfg(test)]
pub(crate) async fn run_in_place(
    plan: BenchPlan,
    interrupt: impl Future<Output = ()>,
    progress: impl FnMut(RunProgress),
) -> Result<RunOutcome, RunError> {
    run_with(plan, None, interrupt, progress, (None, None), shard::in_place).await
}

async fn run_with(
    mut plan: BenchPlan,
    tls: Option<TlsClient>,
    interrupt: impl Future<Output = ()>,
    mut progress: impl FnMut(RunProgress),
    (live, mut together): (Option<Arc<LiveFigures>>, Option<Together>),
    start_shard: StartShard,
) -> Result<RunOutcome, RunError> {
    tokio::pin!(interrupt);
    let clients = plan.own_clients();
    let resolved = tokio::select! {
        resolved = resolve_brokers(&mut plan) => resolved,
        () = &mut interrupt => return Err(RunError::Interrupted),
    };
    let dns = resolved.map_err(|error| RunError::Client { client: 0, clients, error: error.into() })?;
    let is_hold = plan.idlers > 0;
    let mut start_late = None;
    if let Some(together) = together.as_mut().filter(|_| is_hold) {
        // Connecting is the load.
        together.set_ready();
        let start = tokio::select! {
            start = together.start() => start?,
            () = &mut interrupt => return Err(RunError::Interrupted),
        };
        tokio::select! {
            () = tokio::time::sleep_until(start.into()) => {}
            () = &mut interrupt => return Err(RunError::Interrupted),
        }
        start_late = Some(lateness(start, now()));
    }
    let mut coordinator = Coordinator::start(plan, tls.as_ref(), start_shard)?;
    (coordinator.live, coordinator.together, coordinator.start_late) = (live, together, start_late);
    let shared = coordinator.shared.clone();
    let record_dns =
        |recorder: &mut Recorder| dns.iter().for_each(|took| recorder.latency.dns.record(took.as_nanos() as i64));
    let outcome = if is_hold {
        let hold = halt_on(&mut interrupt, &shared, run_hold(&mut coordinator, &mut progress)).await;
        hold.map(|(connect_ns, mut stage)| {
            record_dns(&mut stage.recorder);
            (Recorder::default(), connect_ns, vec![stage])
        })
    } else {
        let connect = tokio::select! {
            connect = coordinator.connect(&mut progress) => connect,
            () = &mut interrupt => Err(RunError::Interrupted),
        };
        let connect_ns = shared.clock.now_ns();
        match connect {
            Ok(mut connect) => {
                record_dns(&mut connect);
                let start = tokio::select! {
                    start = coordinator.start_together(&mut progress) => start,
                    () = &mut interrupt => Err(RunError::Interrupted),
                };
                match start {
                    Ok(()) => {
                        let stages = coordinator.run_stages(&mut interrupt, &mut progress).await;
                        Ok((connect, connect_ns, stages))
                    }
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    };
    match outcome {
        Ok((connect, connect_ns, stages)) => Ok(coordinator.finish(connect, connect_ns, stages).await),
        Err(error) => {
            coordinator.shards.end(drop).await;
            Err(error)
        }
    }
}

/// Runs `work`. An interruption halts the load, and `work` still drains and settles.
async fn halt_on<T>(
    interrupt: &mut (impl Future<Output = ()> + Unpin),
    shared: &Shared,
    work: impl Future<Output = T>,
) -> T {
    tokio::pin!(work);
    tokio::select! {
        outcome = &mut work => outcome,
        () = interrupt => {
            shared.halt();
            work.await
        }
    }
}

/// Resolves all brokers. Returns how long each took.
async fn resolve_brokers(plan: &mut BenchPlan) -> Result<Vec<Duration>, ConnectError> {
    let mut took = Vec::new();
    for target in 0..plan.targets.count() {
        let mut transport = plan.targets.transport(&plan.transport, target);
        // All its addresses: each client takes those of its source address's family.
        transport.bind = None;
        took.push(resolve(&mut transport).await?);
        plan.targets.found(target, transport.resolved);
    }
    Ok(took)
}

/// Drives the threads of a run.
struct Coordinator {
    shared: Arc<Shared>,
    shards: Shards,
    census: Census,
    /// Threads that have nothing more to connect.
    ready: usize,
    /// A thread could not start.
    start_error: Option<RunError>,
    /// How long there had been no progress when a load that only a count ends was given up.
    stalled: Option<Duration>,
    stages_begun: u32,
    /// Messages that arrived after their drain had ended.
    late: Vec<LateMessages>,
    /// The broker's process, where it is on this machine and known.
    process: Option<ProcessWatch>,
    /// Where others look at the figures while the run goes on.
    live: Option<Arc<LiveFigures>>,
    /// How this shard starts together with the others.
    together: Option<Together>,
    /// When it is to start.
    start: Option<std::time::Instant>,
    /// How long after that it did.
    start_late: Option<Duration>,
}

impl Coordinator {
    fn start(plan: BenchPlan, tls: Option<&TlsClient>, start_shard: StartShard) -> Result<Self, RunError> {
        let census = Census::new(&plan);
        let process = plan.broker_pid.map(ProcessWatch::start);
        let shared = Arc::new(Shared::new(plan, Clock::start()));
        let shards = Shards::start(&shared, tls, start_shard)?;
        Ok(Self {
            shared,
            shards,
            census,
            ready: 0,
            start_error: None,
            stalled: None,
            stages_begun: 0,
            late: Vec::new(),
            process,
            live: None,
            together: None,
            start: None,
            start_late: None,
        })
    }

    /// Shows what was recorded of a stage.
    fn show(&self, stage: impl FnOnce() -> LiveStage) {
        if let Some(live) = &self.live {
            live.update(stage());
        }
    }

    /// What the broker's process has used up to now.
    fn read_process(&mut self) -> Option<ProcessUse> {
        self.process.as_mut()?.read()
    }

    /// Waits until all clients are connected. Returns how long that took them.
    async fn connect(&mut self, progress: &mut impl FnMut(RunProgress)) -> Result<Recorder, RunError> {
        let clients = self.shared.plan.own_clients();
        let (mut connected, mut ready) = (0, 0);
        let mut total = Recorder::default();
        while ready < self.shards.count() {
            match self.shards.report().await {
                Some(Report::Connected { .. }) => {
                    connected += 1;
                    progress(RunProgress::Connecting { connected, clients });
                }
                Some(Report::Ready(recorder)) => {
                    total.merge(&recorder);
                    ready += 1;
                }
                Some(Report::Failed { client, error }) => return Err(RunError::Client { client, clients, error }),
                Some(Report::NoRuntime(error)) => return Err(RunError::Thread(error)),
                Some(Report::Ended) | None => return Err(RunError::Thread(io::Error::other("it ended unexpectedly"))),
                Some(other) => self.handle_report(other),
            }
        }
        Ok(total)
    }

    /// Waits for the other shards, if there are any. Connections that are lost meanwhile count as lost in the load.
    async fn start_together(&mut self, progress: &mut impl FnMut(RunProgress)) -> Result<(), RunError> {
        let Some(mut together) = self.together.take() else { return Ok(()) };
        together.set_ready();
        progress(RunProgress::Waiting);
        let start = loop {
            tokio::select! {
                start = together.start() => break start?,
                report = self.shards.report() => match report {
                    Some(report) => self.handle_report(report),
                    None => return Err(RunError::Thread(io::Error::other("all threads ended unexpectedly"))),
                },
            }
        };
        (self.together, self.start) = (Some(together), Some(start));
        Ok(())
    }

    /// Runs the stages of the plan, up to the one that an interruption or a failure ends.
    async fn run_stages(
        &mut self,
        interrupt: &mut (impl Future<Output = ()> + Unpin),
        progress: &mut impl FnMut(RunProgress),
    ) -> Vec<StageOutcome> {
        let shared = self.shared.clone();
        let mut outcomes: Vec<StageOutcome> = Vec::new();
        for stage in shared.plan.stages.clone() {
            let (before, planned, mut spent) = (outcomes.len().checked_sub(1), stage.duration, Duration::ZERO);
            let mut next = Some(stage);
            // A stage whose schedule is not kept is followed by an attempt at a lower rate.
            while let Some(stage) = next.take() {
                let before = before.map(|before| &outcomes[before]);
                let Some(run) = self.stage_run(&stage, before) else { return outcomes };
                let load = StageDriver::new(self, run, stage.name).run_load(stage, progress);
                let mut outcome = halt_on(interrupt, &shared, load).await;
                let ends = shared.is_halted() || self.has_collapsed() || self.stalled.is_some();
                spent += Duration::from_nanos(outcome.measured_ns);
                let lower = outcome.stage.stepped_down(planned, spent).filter(|_| !ends);
                let fault = outcome.pace_fault(&shared.plan, self.census.lost().is_empty());
                if let Some((lower, fault)) = lower.zip(fault) {
                    (outcome.given_up, next) = (Some(fault), Some(lower));
                }
                outcomes.push(outcome);
                if ends {
                    return outcomes;
                }
            }
        }
        outcomes
    }

    /// When a stage is to happen. None when its rate is a share of a stage that carried nothing.
    fn stage_run(&mut self, stage: &Stage, before: Option<&StageOutcome>) -> Option<StageRun> {
        let rate = match stage.model {
            LoadModel::ClosedLoop => None,
            LoadModel::OpenLoop { rate } => Some(rate),
            LoadModel::OpenLoopShare { share } => {
                Some(share * self.carried_per_s(before?)?).filter(|rate| *rate > 0.0).map(Some)?
            }
        };
        self.stages_begun += 1;
        let clock = self.shared.clock;
        let soon_ns = round_to_tick(clock.now_ns() + START_DELAY.as_nanos() as u64);
        let start_ns = self.start.map_or(soon_ns, |start| round_to_tick(clock.ns(start)));
        let stamp_shift_ns = self.start.map_or(0, |_| STAMPED_START_NS.wrapping_sub(start_ns));
        let from_ns = round_to_tick(start_ns + stage.warmup.as_nanos() as u64);
        let to_ns = stage.duration.map_or(u64::MAX, |duration| round_to_tick(from_ns + duration.as_nanos() as u64));
        Some(StageRun { number: self.stages_begun, rate, start_ns, from_ns, to_ns, count: stage.count, stamp_shift_ns })
    }

    /// Messages per second that a stage carried: delivered to all subscribers, else acknowledged, else sent. None where
    /// no time was measured.
    fn carried_per_s(&self, outcome: &StageOutcome) -> Option<f64> {
        let counters = &outcome.recorder.counters;
        let plan = &self.shared.plan;
        let carried = match (plan.subscribers, plan.qos) {
            (0, QoS::AtMostOnce) => counters.sent as f64,
            (0, _) => counters.acked as f64,
            _ => {
                let copies: usize = (0..plan.publishers).map(|stream| plan.routes.receivers_of(stream).count).sum();
                counters.delivered as f64 * plan.publishers as f64 / copies.max(1) as f64
            }
        };
        (outcome.measured_ns > 0).then(|| carried * 1e9 / outcome.measured_ns as f64)
    }

    /// Begins a stage on all threads, or changes its end.
    fn begin(&self, run: StageRun) {
        self.shared.begin(run);
        self.shards.send(&Command::Begin(run));
    }

    /// Handles reports that may come at any time.
    fn handle_report(&mut self, report: Report) {
        match report {
            Report::Lost { kind, target, cause } => self.census.on_lost(kind, target, cause),
            Report::Reconnected { kind, target } => self.census.on_reconnected(kind, target),
            Report::WindowReduced { window } => self.census.on_window_reduced(window),
            Report::Connected { target } => self.census.on_connected(target),
            Report::Failed { client, error } => self.census.on_failed(client, error),
            Report::NoRuntime(error) => self.start_error = Some(RunError::Thread(error)),
            Report::Ready(_) => self.ready += 1,
            Report::Late(late) => self.late.extend(late),
            // No thread gets the command before the load is over.
            Report::Begun { late } => self.start_late = self.start_late.max(Some(late)),
            Report::Ended => {
                self.shards.note_ended();
                self.census.on_thread_ended();
            }
            Report::Second { .. } | Report::Missing(_) | Report::Stopped | Report::Settled(_) => {}
        }
    }

    /// Whether all threads have nothing more to connect.
    const fn is_ready(&self) -> bool {
        self.ready >= self.shards.count()
    }

    /// Whether a side has lost all its connections. Clients that reconnect are waited for: to the end of the stage, and
    /// where only a count ends it, as long as for any connection.
    fn has_collapsed(&self) -> bool {
        let plan = &self.shared.plan;
        if self.shards.running() < self.shards.count() {
            return true;
        }
        let is_endless = || plan.stages.iter().any(|stage| stage.duration.is_none());
        self.census
            .side_gone_for()
            .is_some_and(|gone_for| plan.reconnect.is_none() || is_endless() && gone_for >= plan.transport.timeout)
    }

    /// Ends all threads and puts the outcome together.
    async fn finish(mut self, connect: Recorder, connect_ns: u64, mut stages: Vec<StageOutcome>) -> RunOutcome {
        let (collapsed, interrupted) = (self.has_collapsed(), self.shared.is_halted());
        let (plan, census) = (&self.shared.plan, &mut self.census);
        let idlers = plan.own_count(ClientKind::Idler) as u64;
        let is_hold = plan.idlers > 0;
        // Of the clients that hold only those that were connected can be away.
        let accounted = census.open() + if is_hold { census.failed() } else { 0 };
        let unconnected = if is_hold && interrupted { idlers - census.connected() - census.failed() } else { 0 };
        let outcome = RunOutcome {
            connect,
            connect_ns,
            lost: census.lost().clone(),
            away: (plan.own_clients() as u64).saturating_sub(accounted + unconnected),
            narrowed: census.smallest_window(),
            first_failure: census.take_first_failure(),
            interrupted,
            collapsed,
            stalled: self.stalled,
            tls: self.shared.tls.get().cloned(),
            t0: Some(self.shared.clock.at(0)),
            start_late: self.start_late,
            broker_ended: self.process.as_ref().is_some_and(ProcessWatch::has_ended),
            limits: self.shared.limits.get().copied(),
            stages: Vec::new(),
        };
        let mut late = self.late;
        self.shards
            .end(|report| {
                if let Report::Late(more) = report {
                    late.extend(more);
                }
            })
            .await;
        for late in late {
            // Stages count from 1, and each has an outcome.
            if let Some(outcome) = stages.get_mut(late.stage as usize - 1) {
                outcome.add_late(late);
            }
        }
        RunOutcome { stages, ..outcome }
    }
}
