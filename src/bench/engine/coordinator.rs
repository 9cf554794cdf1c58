//! The run as a whole: starts the threads, leads them through the stages, drains, settles, and puts together what they
//! recorded.

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
use super::process::{CpuTime, process_cpu, resident_bytes};
use super::shard::{self, Command, Report};
use super::shared::{Shared, StageRun};
use crate::bench::measure::{Delivery, IntervalRow, Recorder};
use crate::bench::plan::{BenchPlan, LoadModel, Stage, StageName};
use crate::client::ClientError;
use crate::mqtt::QoS;
use crate::transport::{TlsClient, resolve};

/// From the word to the first message: all threads have it by then.
const LEAD: Duration = Duration::from_millis(20);

/// From an interruption to the end of the load: all threads have heard of it by then, also on a busy machine, and agree
/// on which messages were measured.
const CUT_LEAD: Duration = Duration::from_millis(200);

/// How long the threads have for their goodbyes.
const PARTING: Duration = Duration::from_secs(5);

/// How often the end of a stage and of a drain is looked for.
const LOOK: Duration = Duration::from_millis(10);

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
    /// The same second by second.
    pub rows: Vec<IntervalRow>,
    /// The account of the deliveries; none without subscribers.
    pub delivery: Option<Delivery>,
    /// Ledgers that do not add up.
    pub unbalanced: u64,
    /// Slots of the schedule in the measured window.
    pub offered: Option<u64>,
    /// QoS 2 messages that the broker acknowledged as QoS 1.
    pub downgraded: u64,
    /// Messages sent and neither acknowledged nor refused when the drain was over.
    pub unacknowledged: u64,
    /// CPU time of the load's threads in the measured window; of the process where threads are not told apart.
    pub cpu: Option<CpuTime>,
    /// CPU time of the busiest thread in it.
    pub busiest_thread: Option<CpuTime>,
    /// Resident memory at its end.
    pub resident_bytes: Option<u64>,
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
    /// Ctrl-C ended it.
    pub interrupted: bool,
    /// All publishers, or all subscribers, were lost.
    pub collapsed: bool,
}

struct Shard {
    commands: UnboundedSender<Command>,
    thread: JoinHandle<()>,
}

/// Leads the threads of a run.
struct Coordinator {
    shared: Arc<Shared>,
    shards: Vec<Shard>,
    reports: UnboundedReceiver<Report>,
    lost: BTreeMap<String, u64>,
    publishers_left: usize,
    subscribers_left: usize,
    stages_begun: u32,
    /// What of earlier stages was never acknowledged.
    unacknowledged_before: u64,
}

/// Carries out a plan. `interrupt` ends the load early (the drain still happens); `progress` is called now and then.
///
/// # Errors
/// Only before the load: afterwards whatever goes wrong is part of the outcome.
pub async fn run(
    mut plan: BenchPlan,
    tls: Option<TlsClient>,
    interrupt: impl Future<Output = ()>,
    mut progress: impl FnMut(Progress),
) -> Result<RunOutcome, RunError> {
    tokio::pin!(interrupt);
    let clients = plan.clients();
    let resolved = tokio::select! {
        resolved = resolve(&mut plan.transport) => resolved,
        () = &mut interrupt => return Err(RunError::Interrupted),
    };
    let dns = resolved.map_err(|error| RunError::Client { client: 0, clients, error: error.into() })?;
    let stages = plan.stages.clone();
    let shared = Arc::new(Shared::new(plan, Clock::start()));
    let mut coordinator = Coordinator::start(shared.clone(), tls.as_ref())?;
    let connect = tokio::select! {
        connect = coordinator.connect(&mut progress) => connect,
        () = &mut interrupt => Err(RunError::Interrupted),
    };
    let connect_ns = shared.clock.now_ns();
    let connect = match connect {
        Ok(mut connect) => {
            connect.latency.dns.record(dns.as_nanos() as i64);
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
        if shared.is_halted() || coordinator.has_collapsed() {
            break;
        }
    }
    let collapsed = coordinator.has_collapsed();
    let lost = coordinator.end().await;
    Ok(RunOutcome { connect, connect_ns, stages: outcomes, lost, interrupted: shared.is_halted(), collapsed })
}

/// The parts of a stage while it runs.
#[derive(Default)]
struct Gathering {
    total: Recorder,
    rows: Vec<IntervalRow>,
    /// What has come of the second that is being gathered, and from how many shards.
    second: Recorder,
    reported: usize,
    /// For each thread its CPU time at its first report, and what it has used since.
    threads: BTreeMap<usize, (CpuTime, CpuTime)>,
    delivery: Delivery,
    unbalanced: u64,
    downgraded: u64,
    last_event_ns: u64,
    settled: usize,
}

impl Gathering {
    fn take_second(&mut self, shard: usize, recorder: &Recorder, cpu: Option<CpuTime>, shards: usize, row_ns: u64) {
        self.second.merge(recorder);
        self.reported += 1;
        if let Some(cpu) = cpu {
            let (first, used) = self.threads.entry(shard).or_insert((cpu, CpuTime::default()));
            *used = cpu.since(*first);
        }
        if self.reported == shards {
            self.reported = 0;
            let second = std::mem::take(&mut self.second);
            self.rows.push(IntervalRow::of(&second, row_ns));
            self.total.merge(&second);
        }
    }
}

impl Coordinator {
    fn start(shared: Arc<Shared>, tls: Option<&TlsClient>) -> Result<Self, RunError> {
        let (sender, reports) = unbounded_channel();
        let mut shards = Vec::new();
        for shard in 0..shared.plan.threads {
            let (commands, receiver) = unbounded_channel();
            let (shared, tls, sender) = (shared.clone(), tls.cloned(), sender.clone());
            let thread = std::thread::Builder::new()
                .name(format!("load-{shard}"))
                .spawn(move || shard::run(shard, shared, tls, receiver, sender))?;
            shards.push(Shard { commands, thread });
        }
        let (publishers_left, subscribers_left) = (shared.plan.publishers, shared.plan.subscribers);
        let lost = BTreeMap::new();
        Ok(Self {
            shared,
            shards,
            reports,
            lost,
            publishers_left,
            subscribers_left,
            stages_begun: 0,
            unacknowledged_before: 0,
        })
    }

    async fn connect(&mut self, progress: &mut impl FnMut(Progress)) -> Result<Recorder, RunError> {
        let clients = self.shared.plan.clients();
        let (mut connected, mut ready) = (0, 0);
        let mut total = Recorder::default();
        while ready < self.shards.len() {
            match self.reports.recv().await {
                Some(Report::Connected) => {
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
        if let Report::Lost { publisher, cause } = report {
            *self.lost.entry(cause).or_default() += 1;
            let left = if publisher { &mut self.publishers_left } else { &mut self.subscribers_left };
            *left = left.saturating_sub(1);
        }
    }

    fn has_collapsed(&self) -> bool {
        let plan = &self.shared.plan;
        (self.publishers_left == 0 && plan.publishers > 0) || (self.subscribers_left == 0 && plan.subscribers > 0)
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
        self.tell(Command::Begin(run));
        self.warm_up(&stage, &run, &mut gathering, progress).await;
        let cpu_at_start = process_cpu();
        self.tell(Command::Second);
        let mut cut = false;
        let mut next_second_ns = run.from_ns + SECOND_NS;
        loop {
            let now_ns = clock.now_ns();
            if (self.shared.is_halted() || self.has_collapsed()) && !cut {
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
            let row = gathering.rows.last().copied();
            progress(Progress::Measuring { stage: stage.name, elapsed, duration: stage.duration, row });
            let wake_ns = (now_ns + LOOK.as_nanos() as u64).min(run.to_ns).min(next_second_ns);
            self.gather_until(clock.at(wake_ns).into(), &run, &mut gathering).await;
        }
        self.tell(Command::Second);
        let cpu = process_cpu().zip(cpu_at_start).map(|(now, start)| now.since(start));
        let resident_bytes = resident_bytes();
        let drain_from_ns = clock.now_ns();
        self.drain(&stage, &run, &mut gathering, progress).await;
        let drain_ns = clock.now_ns() - drain_from_ns;
        self.settle(&run, &mut gathering).await;
        self.outcome(stage, run, gathering, cpu, resident_bytes, drain_ns)
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
            let outstanding = self.shared.outstanding(acknowledged);
            if (outstanding == 0 && (self.all_sent(run) || self.shared.plan.publishers == 0))
                || Instant::now() >= deadline
                || self.has_collapsed()
            {
                return;
            }
            progress(Progress::Draining { stage: stage.name, outstanding });
            let look = (Instant::now() + LOOK).min(deadline);
            self.gather_until(look, run, gathering).await;
        }
    }

    async fn settle(&mut self, run: &StageRun, gathering: &mut Gathering) {
        self.tell(Command::Settle);
        // A thread answers at once; one that cannot has ended. Its part is missing in the account, and makes it invalid.
        let deadline = Instant::now() + Duration::from_secs(5);
        while gathering.settled < self.shards.len() && Instant::now() < deadline {
            self.gather_until(Instant::now() + LOOK, run, gathering).await;
        }
        gathering.unbalanced += (self.shards.len() - gathering.settled) as u64;
    }

    /// Takes reports until a moment.
    async fn gather_until(&mut self, moment: Instant, run: &StageRun, gathering: &mut Gathering) {
        let shards = self.shards.len();
        while let Ok(Some(report)) = tokio::time::timeout_at(moment, self.reports.recv()).await {
            match report {
                Report::Second { shard, recorder, cpu } => {
                    let row_ns = run.from_ns + (gathering.rows.len() as u64).saturating_sub(1) * SECOND_NS;
                    gathering.take_second(shard, &recorder, cpu, shards, row_ns);
                }
                Report::Settled { recorder, delivery, unbalanced, downgraded, last_event_ns } => {
                    gathering.total.merge(&recorder);
                    gathering.delivery.merge(&delivery);
                    gathering.unbalanced += unbalanced;
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

    fn outcome(
        &mut self,
        stage: Stage,
        run: StageRun,
        gathering: Gathering,
        cpu: Option<CpuTime>,
        resident_bytes: Option<u64>,
        drain_ns: u64,
    ) -> StageOutcome {
        // Where a count may have ended the stage, the last event is the end.
        let end_ns = if run.count.is_some() { gathering.last_event_ns.min(run.to_ns) } else { run.to_ns };
        let sum = |count: fn(&super::shared::Stream) -> u64| self.shared.streams().map(count).sum::<u64>();
        let unacknowledged = sum(|stream| {
            let sent = stream.sent.load(Ordering::Acquire);
            sent.saturating_sub(stream.completed.load(Ordering::Acquire))
        });
        let own_unacknowledged = unacknowledged.saturating_sub(self.unacknowledged_before);
        self.unacknowledged_before = unacknowledged;
        let offered = run.rate.map(|_| sum(|stream| stream.offered.load(Ordering::Acquire)));
        let mut rows = gathering.rows;
        // The first report only begins the count of seconds.
        rows.drain(..1.min(rows.len()));
        // The last one is a row only if it is a whole second.
        rows.truncate(end_ns.saturating_sub(run.from_ns).div_euclid(SECOND_NS) as usize);
        StageOutcome {
            rate: run.rate,
            start_ns: run.start_ns,
            from_ns: run.from_ns,
            measured_ns: end_ns.saturating_sub(run.from_ns),
            drain_ns,
            recorder: gathering.total,
            rows,
            delivery: (self.shared.plan.subscribers > 0 && self.shared.plan.publishers > 0)
                .then_some(gathering.delivery),
            unbalanced: gathering.unbalanced,
            offered,
            downgraded: gathering.downgraded,
            unacknowledged: if self.shared.plan.qos == QoS::AtMostOnce { 0 } else { own_unacknowledged },
            // The load's own threads, where the system tells them apart: an embedded broker is in this process too.
            cpu: gathering.threads.values().map(|(_, used)| *used).reduce(CpuTime::plus).or(cpu),
            busiest_thread: gathering.threads.values().map(|(_, used)| *used).max_by_key(|used| used.total_ns()),
            resident_bytes,
            stage,
        }
    }

    /// Ends all threads and gives back what connections were lost.
    async fn end(mut self) -> BTreeMap<String, u64> {
        self.tell(Command::End);
        let mut running = self.shards.len();
        let deadline = Instant::now() + PARTING;
        while running > 0 {
            match tokio::time::timeout_at(deadline, self.reports.recv()).await {
                Ok(Some(Report::Ended)) => running -= 1,
                Ok(Some(_)) => {}
                // A thread that hangs ends with the process.
                Ok(None) | Err(_) => return self.lost,
            }
        }
        for shard in self.shards {
            // Its outcome was reported.
            let _ = shard.thread.join();
        }
        self.lost
    }
}
