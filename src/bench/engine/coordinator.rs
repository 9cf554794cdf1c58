//! The run as a whole: starts the threads, leads them through the stages, drains, settles, and puts together what they
//! recorded.

mod hold;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::clock::{Clock, stampable};
use super::gathering::{Gathering, Moment};
use super::machine::MachineCounters;
use super::process::{CpuTime, process_cpu, resident_bytes};
use super::shard::{self, Command, Report, Share};
use super::shared::{Shared, StageRun, Stream};
use super::subscriber::{Deliveries, LateMessages};
use crate::bench::broker_process::{ProcessUse, process_use};
use crate::bench::measure::{Delivery, IntervalRow, Outages, Recorder};
use crate::bench::plan::{BenchPlan, LoadModel, Part, Stage, StageName};
use crate::client::ClientError;
use crate::mqtt::QoS;
use crate::transport::{ConnectError, TlsClient, resolve};

/// From the word to the first message: all threads have it by then.
const LEAD: Duration = Duration::from_millis(20);

/// From an interruption to the end of the load: all threads have heard of it by then, also on a busy machine, and agree
/// on which messages were measured.
const CUT_LEAD: Duration = Duration::from_millis(200);

/// How long the threads have for their goodbyes.
const PARTING: Duration = Duration::from_secs(5);

/// How often the end of a stage and of a drain is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// Streams without faults whose account is kept by itself.
const CLEAN_STREAMS: usize = 100;

const SECOND_NS: u64 = 1_000_000_000;

/// How far a run has come, for whoever shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// Clients are connecting.
    Connecting {
        /// Connected.
        connected: usize,
        /// Of how many.
        clients: usize,
    },
    /// Connections are held.
    Holding {
        /// Open.
        open: u64,
        /// Held so far.
        elapsed: Duration,
        /// Of how long.
        duration: Duration,
    },
    /// Load before the measurement.
    WarmUp(StageName),
    /// Load, measured.
    Measuring {
        /// Which stage.
        stage: StageName,
        /// Measured so far.
        elapsed: Duration,
        /// Of how much, where time limits it.
        duration: Option<Duration>,
        /// What the last whole second brought.
        row: Option<IntervalRow>,
    },
    /// Waiting for what is under way.
    Draining {
        /// Which stage.
        stage: StageName,
        /// Messages.
        outstanding: u64,
    },
}

/// Why a run could not begin.
#[derive(Debug, Error)]
pub enum RunError {
    /// A client could not connect or subscribe.
    #[error("client {client} of {clients}: {error}")]
    Client {
        /// Its global number.
        client: usize,
        /// How many there are.
        clients: usize,
        /// Why.
        error: ClientError,
    },
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// Interrupted while connecting.
    #[error("interrupted before the load began")]
    Interrupted,
}

/// What a stage brought.
#[derive(Debug)]
pub struct StageOutcome {
    /// As it was planned.
    pub stage: Stage,
    /// The schedule's rate, messages a second; none in a closed loop.
    pub rate: Option<f64>,
    /// When the load began, ns since t0.
    pub start_ns: u64,
    /// When measuring began.
    pub from_ns: u64,
    /// How long was measured.
    pub measured_ns: u64,
    /// How long the drain took.
    pub drain_ns: u64,
    /// What was recorded.
    pub recorder: Recorder,
    /// The same second by second; of long stages several seconds are a row.
    pub rows: Vec<IntervalRow>,
    /// The account of the deliveries; none without subscribers.
    pub delivery: Option<Delivery>,
    /// The same by stream, its subscribers together: those with faults, and the first ones of the others.
    pub streams: BTreeMap<usize, StreamOutcome>,
    /// Ledgers that do not add up.
    pub unbalanced: u64,
    /// Slots of the schedule in the measured window.
    pub offered: Option<u64>,
    /// QoS 2 messages that the broker acknowledged as QoS 1.
    pub downgraded: u64,
    /// Measured messages that were neither acknowledged nor refused when the drain was over.
    pub unacknowledged: u64,
    /// CPU time of the load's threads in the measured window; of the process where threads are not told apart.
    pub cpu: Option<CpuTime>,
    /// CPU time of the busiest thread in it.
    pub busiest_thread: Option<CpuTime>,
    /// Resident memory at its end.
    pub resident_bytes: Option<u64>,
    /// What the machine as a whole did in it.
    pub machine: MachineCounters,
    /// Of this, what came with the clients; where only clients are measured.
    pub clients_bytes: Option<u64>,
    /// Connections that were there when the stage began; with [`StageName::Conn`] all that were made.
    pub connected: u64,
    /// Most that were open at one time.
    pub max_open: u64,
    /// How far the monotonic clock went back while it was measured.
    pub clock_back_ns: u64,
    /// Connections that were lost in the stage, by cause.
    pub lost: BTreeMap<String, u64>,
    /// Times without delivery, where lost connections are made again.
    pub outages: Option<Outages>,
    /// What each broker has of it, where there are several.
    pub targets: Vec<TargetOutcome>,
    /// What the broker's process used in the measured window, where it is on this machine and known.
    pub broker: Option<ProcessUse>,
}

/// What one of several brokers has of a stage.
#[derive(Clone, Debug, Default)]
pub struct TargetOutcome {
    /// Counted, timed and settled there.
    pub share: Share,
    /// Connections that were there when the stage began.
    pub connected: u64,
    /// Of these, lost in it, with those that came back and were lost again.
    pub lost: u64,
}

/// What became of one stream's measured messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamOutcome {
    /// At its subscribers, where there are any.
    pub delivery: Option<Delivery>,
    /// Neither acknowledged nor refused.
    pub unacknowledged: u64,
}

impl StreamOutcome {
    /// Whether everything came, once and in order.
    pub fn is_clean(&self) -> bool {
        let Delivery { lost, duplicates, reordered, late, corrupt, refused, .. } = self.delivery.unwrap_or_default();
        [self.unacknowledged, lost, duplicates, reordered, late, corrupt, refused] == [0; 7]
    }
}

impl StageOutcome {
    /// Notes that messages came when the drain had ended.
    fn note_late(&mut self, late: LateMessages) {
        let of_stream = self.streams.get_mut(&late.stream).and_then(|stream| stream.delivery.as_mut());
        for delivery in [self.delivery.as_mut(), of_stream].into_iter().flatten() {
            delivery.late += late.count;
        }
    }
}

/// What a run brought.
#[derive(Debug)]
pub struct RunOutcome {
    /// Latencies of connecting.
    pub connect: Recorder,
    /// How long connecting took, all clients together.
    pub connect_ns: u64,
    /// The stages that were begun.
    pub stages: Vec<StageOutcome>,
    /// Connections that were lost, by cause.
    pub lost: BTreeMap<String, u64>,
    /// Connections that were lost and were not there again at the end of the load.
    pub away: u64,
    /// The first connect that failed and was only counted: the client's global number, and why.
    pub first_failure: Option<(usize, ClientError)>,
    /// Ctrl-C ended it.
    pub interrupted: bool,
    /// All publishers, or all subscribers, were lost.
    pub collapsed: bool,
    /// How long nothing had come through when a load that only a count ends was given up.
    pub stalled: Option<Duration>,
}

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
    left: BTreeMap<Part, usize>,
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
    progress: impl FnMut(Progress),
) -> Result<RunOutcome, RunError> {
    run_with(plan, tls, interrupt, progress, shard::on_thread).await
}

/// [`run`] without threads: the shards are tasks of the caller's `LocalSet`, and live by the clock of its runtime.
#[cfg(test)]
pub async fn run_in_place(
    plan: BenchPlan,
    interrupt: impl Future<Output = ()>,
    progress: impl FnMut(Progress),
) -> Result<RunOutcome, RunError> {
    run_with(plan, None, interrupt, progress, shard::in_place).await
}

async fn run_with(
    mut plan: BenchPlan,
    tls: Option<TlsClient>,
    interrupt: impl Future<Output = ()>,
    mut progress: impl FnMut(Progress),
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
                    shared.halt.store(true, Ordering::Relaxed);
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
    for stage in stages {
        let Some(run) = coordinator.stage_run(&stage, outcomes.last()) else { break };
        let outcome = {
            let load = coordinator.carry_out(stage, run, &mut progress);
            tokio::pin!(load);
            tokio::select! {
                outcome = &mut load => outcome,
                () = &mut interrupt => {
                    // The stage sees it, ends the load, drains and settles.
                    shared.halt.store(true, Ordering::Relaxed);
                    load.await
                }
            }
        };
        outcomes.push(outcome);
        if shared.is_halted() || coordinator.has_collapsed() || coordinator.stalled.is_some() {
            break;
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
            (Part::Publisher, plan.publishers),
            (Part::Subscriber, plan.subscribers),
            (Part::Responder, plan.responders),
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
            gone_since: None,
            stages_begun: 0,
            late: Vec::new(),
        })
    }

    async fn connect(&mut self, progress: &mut impl FnMut(Progress)) -> Result<Recorder, RunError> {
        let clients = self.shared.plan.clients();
        let (mut connected, mut ready) = (0, 0);
        let mut total = Recorder::default();
        while ready < self.shards.len() {
            match self.reports.recv().await {
                Some(Report::Connected { .. }) => {
                    connected += 1;
                    progress(Progress::Connecting { connected, clients });
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
            Report::Lost { part, target, cause } => {
                *self.lost.entry(cause.clone()).or_default() += 1;
                *self.lost_in_stage.entry(cause).or_default() += 1;
                self.targets[target].1 += 1;
                self.count_client(part, target, false);
            }
            Report::Back { part, target } => self.count_client(part, target, true),
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
    fn count_client(&mut self, part: Part, target: usize, is_there: bool) {
        let count = |number: u64| if is_there { number + 1 } else { number.saturating_sub(1) };
        self.targets[target].0 = count(self.targets[target].0);
        if let Some(left) = self.left.get_mut(&part) {
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

    /// Ends all threads and puts the outcome together.
    async fn conclude(mut self, connect: Recorder, connect_ns: u64, mut stages: Vec<StageOutcome>) -> RunOutcome {
        let (collapsed, interrupted) = (self.has_collapsed(), self.shared.is_halted());
        let plan = &self.shared.plan;
        let there = self.open() + if plan.idlers > 0 { self.failed } else { 0 };
        // Of those that hold only who was connected can be away.
        let unconnected =
            if plan.idlers > 0 && interrupted { plan.idlers as u64 - self.joined - self.failed } else { 0 };
        let away = (plan.clients() as u64).saturating_sub(there + unconnected);
        let (first_failure, stalled) = (self.first_failure.take(), self.stalled);
        let (lost, late) = self.end().await;
        for late in late {
            // Stages count from 1, and each has an outcome.
            if let Some(outcome) = stages.get_mut(late.stage as usize - 1) {
                outcome.note_late(late);
            }
        }
        RunOutcome { connect, connect_ns, stages, lost, away, first_failure, interrupted, collapsed, stalled }
    }

    fn tell(&self, command: Command) {
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
        let start_ns = stampable(self.shared.clock.now_ns() + LEAD.as_nanos() as u64);
        let from_ns = stampable(start_ns + stage.warmup.as_nanos() as u64);
        let to_ns = stage.duration.map_or(u64::MAX, |duration| stampable(from_ns + duration.as_nanos() as u64));
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

    async fn carry_out(
        &mut self,
        stage: Stage,
        mut run: StageRun,
        progress: &mut impl FnMut(Progress),
    ) -> StageOutcome {
        let clock = self.shared.clock;
        let mut gathering = Gathering::default();
        let open_at_start = self.begin_stage();
        self.tell(Command::Begin(run));
        self.warm_up(&stage, &run, &mut gathering, progress).await;
        let (cpu_at_start, machine_at_start, broker_at_start) =
            (process_cpu(), MachineCounters::read(), self.broker_use());
        self.tell(Command::Second);
        let mut cut = false;
        let mut next_second_ns = run.from_ns + SECOND_NS;
        let mut standstill = Standstill::watch(&self.shared, &run);
        let (mut last_ns, mut clock_back_ns) = (0, 0);
        loop {
            let now_ns = clock.now_ns();
            clock_back_ns += last_ns.max(now_ns) - now_ns;
            last_ns = now_ns;
            if stage.duration.is_none() && !cut {
                self.stalled = standstill.since(&self.shared, now_ns);
            }
            if (self.shared.is_halted() || self.has_collapsed() || self.stalled.is_some()) && !cut {
                cut = true;
                run.to_ns = run.to_ns.min(stampable(now_ns + CUT_LEAD.as_nanos() as u64));
                self.tell(Command::Begin(run));
            }
            if now_ns >= run.to_ns || self.all_sent(&run) {
                break;
            }
            if now_ns >= next_second_ns {
                self.tell(Command::Second);
                next_second_ns += SECOND_NS;
            }
            let elapsed = Duration::from_nanos(now_ns.saturating_sub(run.from_ns));
            let row = gathering.last_second;
            progress(Progress::Measuring { stage: stage.name, elapsed, duration: stage.duration, row });
            let wake_ns = (now_ns + LOOK.as_nanos() as u64).min(run.to_ns).min(next_second_ns);
            self.gather_until(clock.at(wake_ns).into(), &run, &mut gathering).await;
        }
        self.tell(Command::Second);
        let cpu = process_cpu().zip(cpu_at_start).map(|(now, start)| now.since(start));
        let usage = Usage { cpu, machine: MachineCounters::read().since(machine_at_start), resident: resident_bytes() };
        let broker = self.broker_use().zip(broker_at_start).map(|(now, start)| now.since(&start));
        let drain_from_ns = clock.now_ns();
        self.drain(&stage, &run, &mut gathering, progress).await;
        let drain_ns = clock.now_ns() - drain_from_ns;
        self.settle(&run, &mut gathering).await;
        let outcome = self.outcome(stage, run, gathering, usage, drain_ns);
        StageOutcome { broker, clock_back_ns, ..self.with_clients(outcome, &open_at_start) }
    }

    /// Begins to count losses anew. Gives back how many clients of each broker are connected.
    fn begin_stage(&mut self) -> Vec<u64> {
        self.lost_in_stage.clear();
        self.targets.iter_mut().for_each(|(_, lost)| *lost = 0);
        self.max_open = self.open();
        self.targets.iter().map(|(open, _)| *open).collect()
    }

    /// Adds what became of the clients in the stage.
    fn with_clients(&self, mut outcome: StageOutcome, open_at_start: &[u64]) -> StageOutcome {
        outcome.connected = open_at_start.iter().sum();
        outcome.max_open = self.max_open;
        outcome.lost = self.lost_in_stage.clone();
        for ((target, connected), (_, lost)) in outcome.targets.iter_mut().zip(open_at_start).zip(&self.targets) {
            (target.connected, target.lost) = (*connected, *lost);
        }
        outcome
    }

    /// What the broker's process has used up to now.
    fn broker_use(&self) -> Option<ProcessUse> {
        // It may have ended meanwhile.
        self.shared.plan.broker_pid.and_then(|pid| process_use(pid).ok())
    }

    /// The load before the measurement.
    async fn warm_up(
        &mut self,
        stage: &Stage,
        run: &StageRun,
        gathering: &mut Gathering,
        progress: &mut impl FnMut(Progress),
    ) {
        let clock = self.shared.clock;
        while clock.now_ns() < run.from_ns && !self.shared.is_halted() && !self.has_collapsed() {
            progress(Progress::WarmUp(stage.name));
            let wake_ns = (clock.now_ns() + LOOK.as_nanos() as u64).min(run.from_ns);
            self.gather_until(clock.at(wake_ns).into(), run, gathering).await;
        }
    }

    /// Whether every publisher has sent all that the stage asks for.
    fn all_sent(&self, run: &StageRun) -> bool {
        self.shared.plan.publishers > 0
            && self.shared.streams().all(|stream| stream.done.load(Ordering::Acquire) >= run.number)
    }

    /// Waits until everything that was sent has come where it is to, or the plan's patience ends.
    async fn drain(
        &mut self,
        stage: &Stage,
        run: &StageRun,
        gathering: &mut Gathering,
        progress: &mut impl FnMut(Progress),
    ) {
        let acknowledged = self.shared.plan.qos != QoS::AtMostOnce;
        let deadline = Instant::now() + self.shared.plan.drain;
        loop {
            let mut outstanding = self.shared.outstanding(acknowledged);
            if outstanding == 0 && (self.all_sent(run) || self.shared.plan.publishers == 0) {
                // Positions only tell the last one that came; the ledgers know the gaps below it.
                outstanding = self.missing(run, gathering, deadline).await;
                if outstanding == 0 {
                    return;
                }
            }
            if Instant::now() >= deadline || self.has_collapsed() {
                return;
            }
            progress(Progress::Draining { stage: stage.name, outstanding });
            let look = (Instant::now() + LOOK).min(deadline);
            self.gather_until(look, run, gathering).await;
        }
    }

    /// Measured messages that the ledgers still wait for.
    async fn missing(&mut self, run: &StageRun, gathering: &mut Gathering, deadline: Instant) -> u64 {
        gathering.missing = (0, 0);
        self.tell(Command::Missing);
        while gathering.missing.1 < self.shards.len() && Instant::now() < deadline {
            self.gather_until((Instant::now() + LOOK).min(deadline), run, gathering).await;
        }
        gathering.missing.0
    }

    async fn settle(&mut self, run: &StageRun, gathering: &mut Gathering) {
        self.tell(Command::Settle);
        // A thread answers at once; one that cannot has ended. Its part is missing in the account, and makes it invalid.
        let deadline = Instant::now() + Duration::from_secs(5);
        while gathering.settled < self.shards.len() && Instant::now() < deadline {
            self.gather_until(Instant::now() + LOOK, run, gathering).await;
        }
        gathering.deliveries.unbalanced += (self.shards.len() - gathering.settled) as u64;
    }

    /// Takes reports until a moment.
    async fn gather_until(&mut self, moment: Instant, run: &StageRun, gathering: &mut Gathering) {
        let shards = self.shards.len();
        while let Ok(Some(report)) = tokio::time::timeout_at(moment, self.reports.recv()).await {
            match report {
                Report::Second { shard, recorder, cpu } => {
                    gathering.take_second(shard, &recorder, cpu, |gathering| self.moment(run, gathering));
                }
                Report::Missing(missing) => {
                    gathering.missing = (gathering.missing.0 + missing, gathering.missing.1 + 1);
                    if gathering.missing.1 == shards {
                        return;
                    }
                }
                Report::Settled { recorder, deliveries, downgraded, last_event_ns, outages, shares } => {
                    gathering.outages.merge(&outages);
                    gathering.shares.resize_with(shares.len(), Share::default);
                    for (total, share) in gathering.shares.iter_mut().zip(&shares) {
                        total.recorder.merge(&share.recorder);
                        total.delivery.merge(&share.delivery);
                    }
                    gathering.total.merge(&recorder);
                    gathering.deliveries.merge(&deliveries);
                    gathering.downgraded += downgraded;
                    gathering.last_event_ns = gathering.last_event_ns.max(last_event_ns);
                    gathering.settled += 1;
                    if gathering.settled == shards {
                        return;
                    }
                }
                other => self.note(other),
            }
        }
    }

    fn moment(&self, run: &StageRun, gathering: &Gathering) -> Moment {
        Moment {
            shards: self.shards.len(),
            row_ns: run.from_ns + gathering.rounds.saturating_sub(1) * SECOND_NS,
            connections: self.open(),
            backlog: self.shared.outstanding(self.shared.plan.qos != QoS::AtMostOnce),
        }
    }

    /// The account of each stream: those with faults, and so many of the others that small runs show all.
    fn streams(&self, run: &StageRun, deliveries: &Deliveries) -> BTreeMap<usize, StreamOutcome> {
        let acknowledged = self.shared.plan.qos != QoS::AtMostOnce;
        let outcome = |(number, stream): (usize, &Stream)| {
            let unacknowledged = if acknowledged { stream.unanswered_in(run.number) } else { 0 };
            (number, StreamOutcome { delivery: deliveries.streams.get(&number).copied(), unacknowledged })
        };
        let streams = self.shared.streams().enumerate().map(outcome);
        streams.filter(|(number, outcome)| *number < CLEAN_STREAMS || !outcome.is_clean()).collect()
    }

    fn outcome(&self, stage: Stage, run: StageRun, gathering: Gathering, usage: Usage, drain_ns: u64) -> StageOutcome {
        // Where a count may have ended the stage, the last event is the end.
        let end_ns = if run.count.is_some() { gathering.last_event_ns.min(run.to_ns) } else { run.to_ns };
        // An interruption may come before measuring has begun.
        let from_ns = run.from_ns.min(run.to_ns);
        let plan = &self.shared.plan;
        let offered = |stream: &Stream| stream.offered.load(Ordering::Acquire);
        let streams = self.streams(&run, &gathering.deliveries);
        let mut delivery = Delivery::default();
        gathering.deliveries.streams.values().for_each(|stream| delivery.merge(stream));
        let (used, busiest_thread) = (gathering.used(), gathering.busiest());
        StageOutcome {
            rate: run.rate,
            start_ns: run.start_ns,
            from_ns,
            measured_ns: end_ns.saturating_sub(from_ns),
            drain_ns,
            recorder: gathering.total,
            rows: gathering.timeline.into_rows(end_ns.saturating_sub(from_ns)),
            delivery: (plan.subscribers > 0 && plan.publishers > 0).then_some(delivery),
            unbalanced: gathering.deliveries.unbalanced,
            offered: run.rate.map(|_| self.shared.streams().map(offered).sum()),
            downgraded: gathering.downgraded,
            unacknowledged: streams.values().map(|stream| stream.unacknowledged).sum(),
            streams,
            // The load's own threads, where the system tells them apart: an embedded broker is in this process too.
            cpu: used.or(usage.cpu),
            busiest_thread,
            resident_bytes: usage.resident,
            machine: usage.machine,
            clients_bytes: None,
            connected: 0,
            max_open: 0,
            clock_back_ns: 0,
            lost: BTreeMap::new(),
            outages: self.shared.plan.reconnect.map(|_| gathering.outages),
            targets: gathering
                .shares
                .into_iter()
                .map(|share| TargetOutcome { share, ..TargetOutcome::default() })
                .collect(),
            broker: None,
            stage,
        }
    }

    /// Ends all threads and gives back what connections were lost, and what came after its drain.
    async fn end(mut self) -> (BTreeMap<String, u64>, Vec<LateMessages>) {
        self.tell(Command::End);
        let mut running = self.shards.len() - self.ended;
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

/// Watches whether a load that only a count ends goes on at all.
struct Standstill {
    /// Nothing may come through for so long.
    patience_ns: u64,
    /// What had been sent, answered and delivered, and when that changed last.
    known: u64,
    since_ns: u64,
    next_look_ns: u64,
}

impl Standstill {
    fn watch(shared: &Shared, run: &StageRun) -> Self {
        let plan = &shared.plan;
        let patience = plan.drain.max(plan.transport.timeout).as_nanos() as u64;
        // A slow schedule is none: every publisher has its turn meanwhile, and a Poisson process its pauses.
        let slots = plan.publishers as f64 + 20.0;
        let pause = run.rate.map_or(0.0, |rate| slots * plan.arrival.slots_at_once() as f64 / rate * 1e9);
        let patience_ns = patience.saturating_add(pause as u64);
        Self { patience_ns, known: 0, since_ns: run.from_ns, next_look_ns: run.from_ns }
    }

    /// For how long nothing has come through, where that is too long.
    fn since(&mut self, shared: &Shared, now_ns: u64) -> Option<Duration> {
        if now_ns < self.next_look_ns {
            return None;
        }
        self.next_look_ns = now_ns + SECOND_NS / 10;
        let known = shared.progress();
        if std::mem::replace(&mut self.known, known) != known {
            self.since_ns = now_ns;
        }
        let still_ns = now_ns.saturating_sub(self.since_ns);
        (still_ns >= self.patience_ns).then(|| Duration::from_nanos(still_ns))
    }
}

/// What process and machine have used in the measured window.
struct Usage {
    cpu: Option<CpuTime>,
    resident: Option<u64>,
    machine: MachineCounters,
}
