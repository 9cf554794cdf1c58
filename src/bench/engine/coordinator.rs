//! The run as a whole: starts the threads, leads them through the stages, drains, settles, and puts together what they
//! recorded.

mod hold;
mod outcome;
mod pace;
mod stage;
mod stall;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

pub use self::outcome::{RunError, RunOutcome, RunProgress, StageOutcome, StreamOutcome, TargetOutcome};
use self::stage::Usage;
use super::clock::{Clock, round_to_tick};
use super::shard::{self, Command, Report};
use super::shared::{Shared, StageRun};
use super::stage_totals::StageTotals;
use super::subscriber::LateMessages;
use crate::bench::measure::Recorder;
use crate::bench::plan::{BenchPlan, ClientKind, LoadModel, Stage};
use crate::client::ClientError;
use crate::mqtt::QoS;
use crate::transport::{ConnectError, TlsClient, resolve};

/// From the word to the first message: all threads have it by then.
const LEAD: Duration = Duration::from_millis(20);

/// How long the threads have for their goodbyes.
const PARTING: Duration = Duration::from_secs(5);

/// How often the end of a stage and of a drain is looked for.
const LOOK: Duration = Duration::from_millis(10);

const SECOND_NS: u64 = 1_000_000_000;

struct Shard {
    commands: UnboundedSender<Command>,
    /// None where it does not live on a thread of its own.
    thread: Option<JoinHandle<()>>,
}

/// Leads the threads of a run.
struct Coordinator {
    shared: Arc<Shared>,
    shards: Vec<Shard>,
    reports: UnboundedReceiver<Report>,
    lost: BTreeMap<String, u64>,
    /// The same of the present stage.
    lost_in_stage: BTreeMap<String, u64>,
    /// Clients that are connected, by what they do.
    left: BTreeMap<ClientKind, usize>,
    /// Clients of each broker that are connected, and losses in the present stage.
    targets: Vec<(u64, u64)>,
    max_open: u64,
    /// Clients that were connected while connecting was measured.
    joined: u64,
    /// Shards that have nothing more to connect.
    ready: usize,
    failed: u64,
    first_failure: Option<(usize, ClientError)>,
    /// A thread could not begin.
    broken: Option<RunError>,
    /// Threads that ended though nobody had told them to.
    ended: usize,
    /// How long nothing had come through when a load that only a count ends was given up.
    stalled: Option<Duration>,
    /// The smallest window that losses have left to a publisher.
    narrowed: Option<u16>,
    /// Since when nobody has been left on one side.
    gone_since: Option<Instant>,
    stages_begun: u32,
    /// What came when its drain had ended.
    late: Vec<LateMessages>,
}

/// How a shard is started: [`shard::on_thread`], or whatever a test has instead.
type StartShard = fn(
    usize,
    Arc<Shared>,
    Option<TlsClient>,
    UnboundedReceiver<Command>,
    UnboundedSender<Report>,
) -> io::Result<Option<JoinHandle<()>>>;

/// Carries out a plan. `interrupt` ends the load early (the drain still happens); `progress` is called now and then.
///
/// # Errors
/// Only before the load: afterwards whatever goes wrong is part of the outcome.
pub async fn run(
    plan: BenchPlan,
    tls: Option<TlsClient>,
    interrupt: impl Future<Output = ()>,
    progress: impl FnMut(RunProgress),
) -> Result<RunOutcome, RunError> {
    run_with(plan, tls, interrupt, progress, shard::on_thread).await
}

/// [`run`] without threads: the shards are tasks of the caller's `LocalSet`, and live by the clock of its runtime.
#[cfg(test)]
pub async fn run_in_place(
    plan: BenchPlan,
    interrupt: impl Future<Output = ()>,
    progress: impl FnMut(RunProgress),
) -> Result<RunOutcome, RunError> {
    run_with(plan, None, interrupt, progress, shard::in_place).await
}

async fn run_with(
    mut plan: BenchPlan,
    tls: Option<TlsClient>,
    interrupt: impl Future<Output = ()>,
    mut progress: impl FnMut(RunProgress),
    start_shard: StartShard,
) -> Result<RunOutcome, RunError> {
    tokio::pin!(interrupt);
    let clients = plan.clients();
    let resolved = tokio::select! {
        resolved = find_brokers(&mut plan) => resolved,
        () = &mut interrupt => return Err(RunError::Interrupted),
    };
    let dns = resolved.map_err(|error| RunError::Client { client: 0, clients, error: error.into() })?;
    let stages = plan.stages.clone();
    let shared = Arc::new(Shared::new(plan, Clock::start()));
    let mut coordinator = Coordinator::start(shared.clone(), tls.as_ref(), start_shard)?;
    if shared.plan.idlers > 0 {
        let outcome = {
            let hold = coordinator.hold(&mut progress);
            tokio::pin!(hold);
            tokio::select! {
                outcome = &mut hold => outcome,
                () = &mut interrupt => {
                    shared.halt();
                    hold.await
                }
            }
        };
        return Ok(match outcome {
            Ok((connect_ns, mut stage)) => {
                dns.iter().for_each(|took| stage.recorder.latency.dns.record(took.as_nanos() as i64));
                coordinator.conclude(Recorder::default(), connect_ns, vec![stage]).await
            }
            Err(error) => {
                coordinator.end().await;
                return Err(error);
            }
        });
    }
    let connect = tokio::select! {
        connect = coordinator.connect(&mut progress) => connect,
        () = &mut interrupt => Err(RunError::Interrupted),
    };
    let connect_ns = shared.clock.now_ns();
    let connect = match connect {
        Ok(mut connect) => {
            dns.iter().for_each(|took| connect.latency.dns.record(took.as_nanos() as i64));
            connect
        }
        Err(error) => {
            coordinator.end().await;
            return Err(error);
        }
    };
    let mut outcomes: Vec<StageOutcome> = Vec::new();
    'stages: for stage in stages {
        let (before, whole, mut spent) = (outcomes.len().checked_sub(1), stage.duration, Duration::ZERO);
        let mut next = Some(stage);
        // A stage whose schedule is not kept is followed by an attempt at a lower rate.
        while let Some(stage) = next.take() {
            let before = before.map(|before| &outcomes[before]);
            let Some(run) = coordinator.stage_run(&stage, before) else { break 'stages };
            let mut outcome = {
                let load = coordinator.carry_out(stage, run, &mut progress);
                tokio::pin!(load);
                tokio::select! {
                    outcome = &mut load => outcome,
                    () = &mut interrupt => {
                        // The stage sees it, ends the load, drains and settles.
                        shared.halt();
                        load.await
                    }
                }
            };
            let ends = shared.is_halted() || coordinator.has_collapsed() || coordinator.stalled.is_some();
            spent += Duration::from_nanos(outcome.measured_ns);
            let lower = outcome.stage.stepped_down(whole, spent).filter(|_| !ends);
            if let Some((lower, fault)) = lower.zip(outcome.pace_fault(&shared.plan, coordinator.lost.is_empty())) {
                (outcome.given_up, next) = (Some(fault), Some(lower));
            }
            outcomes.push(outcome);
            if ends {
                break 'stages;
            }
        }
    }
    Ok(coordinator.conclude(connect, connect_ns, outcomes).await)
}

/// Looks all brokers up. Gives back how long each took.
async fn find_brokers(plan: &mut BenchPlan) -> Result<Vec<Duration>, ConnectError> {
    let mut took = Vec::new();
    for target in 0..plan.targets.count() {
        let mut transport = plan.targets.transport(&plan.transport, target);
        // All its addresses: each client takes those of its own source's family.
        transport.bind = None;
        took.push(resolve(&mut transport).await?);
        plan.targets.found(target, transport.resolved);
    }
    Ok(took)
}

impl Coordinator {
    fn start(shared: Arc<Shared>, tls: Option<&TlsClient>, start_shard: StartShard) -> Result<Self, RunError> {
        let (sender, reports) = unbounded_channel();
        let mut shards = Vec::new();
        for shard in 0..shared.plan.threads {
            let (commands, receiver) = unbounded_channel();
            let thread = start_shard(shard, shared.clone(), tls.cloned(), receiver, sender.clone())?;
            shards.push(Shard { commands, thread });
        }
        let plan = &shared.plan;
        let left = [
            (ClientKind::Publisher, plan.publishers),
            (ClientKind::Subscriber, plan.subscribers),
            (ClientKind::Responder, plan.responders),
        ];
        let left = left.into_iter().filter(|(_, clients)| *clients > 0).collect();
        let mut targets = vec![(0, 0); plan.targets.count()];
        (0..plan.clients() - plan.idlers).for_each(|client| targets[plan.target_of(client)].0 += 1);
        Ok(Self {
            shared,
            shards,
            reports,
            lost: BTreeMap::new(),
            lost_in_stage: BTreeMap::new(),
            left,
            targets,
            max_open: 0,
            joined: 0,
            ready: 0,
            failed: 0,
            first_failure: None,
            broken: None,
            ended: 0,
            stalled: None,
            narrowed: None,
            gone_since: None,
            stages_begun: 0,
            late: Vec::new(),
        })
    }

    async fn connect(&mut self, progress: &mut impl FnMut(RunProgress)) -> Result<Recorder, RunError> {
        let clients = self.shared.plan.clients();
        let (mut connected, mut ready) = (0, 0);
        let mut total = Recorder::default();
        while ready < self.shards.len() {
            match self.reports.recv().await {
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
                Some(Report::Ended) | None => return Err(RunError::Thread(io::Error::other("it ended by itself"))),
                Some(other) => self.note(other),
            }
        }
        Ok(total)
    }

    /// Reports that may come at any time.
    fn note(&mut self, report: Report) {
        match report {
            Report::Lost { kind, target, cause } => {
                *self.lost.entry(cause.clone()).or_default() += 1;
                *self.lost_in_stage.entry(cause).or_default() += 1;
                self.targets[target].1 += 1;
                self.count_client(kind, target, false);
            }
            Report::Reconnected { kind, target } => self.count_client(kind, target, true),
            Report::WindowReduced { window } => {
                self.narrowed = Some(self.narrowed.map_or(window, |narrowed| narrowed.min(window)));
            }
            Report::Connected { target } => self.count_idler(target),
            Report::NoRuntime(error) => self.broken = Some(RunError::Thread(error)),
            Report::Ready(_) => self.ready += 1,
            Report::Failed { client, error } => {
                self.failed += 1;
                self.first_failure.get_or_insert((client, error));
            }
            Report::Late(late) => self.late.extend(late),
            // None is told to before the load is over.
            Report::Ended => {
                self.ended += 1;
                let cause = "a thread of mqbench ended by itself; please report this as a bug".to_owned();
                *self.lost.entry(cause.clone()).or_default() += 1;
                *self.lost_in_stage.entry(cause).or_default() += 1;
            }
            _ => {}
        }
    }

    /// A client is connected, or is not any more.
    fn count_client(&mut self, kind: ClientKind, target: usize, is_there: bool) {
        let count = |number: u64| if is_there { number + 1 } else { number.saturating_sub(1) };
        self.targets[target].0 = count(self.targets[target].0);
        if let Some(left) = self.left.get_mut(&kind) {
            *left = count(*left as u64) as usize;
        }
        self.max_open = self.max_open.max(self.open());
        let nobody = self.left.values().any(|left| *left == 0);
        self.gone_since = if nobody { self.gone_since.or_else(|| Some(Instant::now())) } else { None };
    }

    /// Connections that are open.
    fn open(&self) -> u64 {
        self.left.values().map(|left| *left as u64).sum()
    }

    /// Whether nobody is left on one side. Clients that connect again may come back, so it is waited for them: to the end
    /// of the stage, and where only a count ends it as long as for any connection.
    fn has_collapsed(&self) -> bool {
        let plan = &self.shared.plan;
        let is_endless = plan.stages.iter().any(|stage| stage.duration.is_none());
        if self.ended > 0 {
            return true;
        }
        match (self.gone_since, plan.reconnect) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(since), Some(_)) => is_endless && since.elapsed() >= plan.transport.timeout,
        }
    }

    /// Ends all threads and puts the outcome batch.
    async fn conclude(mut self, connect: Recorder, connect_ns: u64, mut stages: Vec<StageOutcome>) -> RunOutcome {
        let (collapsed, interrupted, narrowed) = (self.has_collapsed(), self.shared.is_halted(), self.narrowed);
        let plan = &self.shared.plan;
        let there = self.open() + if plan.idlers > 0 { self.failed } else { 0 };
        // Of those that hold only who was connected can be away.
        let unconnected =
            if plan.idlers > 0 && interrupted { plan.idlers as u64 - self.joined - self.failed } else { 0 };
        let away = (plan.clients() as u64).saturating_sub(there + unconnected);
        let (first_failure, stalled, tls) = (self.first_failure.take(), self.stalled, self.shared.tls.get().cloned());
        let (lost, late) = self.end().await;
        for late in late {
            // Stages count from 1, and each has an outcome.
            if let Some(outcome) = stages.get_mut(late.stage as usize - 1) {
                outcome.note_late(late);
            }
        }
        RunOutcome {
            connect,
            connect_ns,
            stages,
            lost,
            away,
            narrowed,
            first_failure,
            interrupted,
            collapsed,
            stalled,
            tls,
        }
    }

    fn tell(&self, command: Command) {
        if let Command::Begin(run) = &command {
            self.shared.begin(*run);
        }
        for shard in &self.shards {
            // A shard that has ended needs no command.
            let _ = shard.commands.send(command.clone());
        }
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
        let start_ns = round_to_tick(self.shared.clock.now_ns() + LEAD.as_nanos() as u64);
        let from_ns = round_to_tick(start_ns + stage.warmup.as_nanos() as u64);
        let to_ns = stage.duration.map_or(u64::MAX, |duration| round_to_tick(from_ns + duration.as_nanos() as u64));
        Some(StageRun { number: self.stages_begun, rate, start_ns, from_ns, to_ns, count: stage.count })
    }

    /// Messages a second that a stage carried to their end: delivered to all subscribers, else acknowledged, else sent.
    /// None where no time was measured.
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

    /// Ends all threads and gives back what connections were lost, and what came after its drain.
    async fn end(mut self) -> (BTreeMap<String, u64>, Vec<LateMessages>) {
        self.tell(Command::End);
        let mut running = self.alive();
        let deadline = Instant::now() + PARTING;
        while running > 0 {
            match tokio::time::timeout_at(deadline, self.reports.recv()).await {
                Ok(Some(Report::Ended)) => running -= 1,
                Ok(Some(Report::Late(late))) => self.late.extend(late),
                Ok(Some(_)) => {}
                // A thread that hangs ends with the process.
                Ok(None) | Err(_) => return (self.lost, self.late),
            }
        }
        for thread in self.shards.into_iter().filter_map(|shard| shard.thread) {
            // Its outcome was reported.
            let _ = thread.join();
        }
        (self.lost, self.late)
    }
}
