//! One thread of the load: it owns its connections, buffers and recorder, and runs them on a runtime of its own.

use std::cell::{Cell, RefCell, RefMut};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::LocalSet;

use super::clock;
use super::connect::{self, Ready};
use super::echo::{Responder, ResponderEars};
use super::link::Link;
use super::pacer::Pacer;
use super::process::{CpuTime, thread_cpu};
use super::publisher::{Pause, Publisher, PublisherEars};
use super::reconnect::{self, Early};
use super::shared::{Shared, StageRun};
use super::subscriber::{Deliveries, LateMessages, SubscriberEars, Subscriptions};
use crate::bench::measure::{Delivery, Outages, Recorder, Together};
use crate::bench::plan::{Part, Schedule};
use crate::client::ClientError;
use crate::session::{self, Handler};
use crate::transport::{TlsClient, io_text};

/// One read takes at most this much.
const READ_BUFFER: usize = 128 * 1024;

/// How often waiting clients look at the clock: the end of a stage, silence, Keep Alive.
const TICK: Duration = Duration::from_millis(100);

/// Without latencies nobody minds when an acknowledgement is read, and reading them in bulk saves most of the CPU time
/// that they cost: one wake-up serves many. The thread sleeps as long as no publisher runs out of messages in flight
/// meanwhile, within these bounds.
const SHORTEST_SLEEP: Duration = Duration::from_micros(50);
const LONGEST_SLEEP: Duration = Duration::from_millis(10);

/// Plenty for a DISCONNECT; a broker that hangs does not keep us.
const GOODBYE: Duration = Duration::from_secs(2);

/// Writes of one publisher before others get their turn.
const TURNS: usize = 4;

/// What the coordinator asks of a shard.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// Carry out a stage; the same number again changes its end.
    Begin(StageRun),
    /// Hand over what was recorded since the last second.
    Second,
    /// Say how many measured messages are still to come.
    Missing,
    /// The drain is over: settle the ledgers.
    Settle,
    /// Clean up, disconnect, end.
    End,
}

/// What a shard tells the coordinator.
#[derive(Debug)]
pub(super) enum Report {
    /// One more client is connected (and subscribed).
    Connected { target: usize },
    /// All clients are; what connecting took.
    Ready(Box<Recorder>),
    /// A client could not connect; the shard has given up.
    Failed { client: usize, error: ClientError },
    /// What one second brought.
    Second { shard: usize, recorder: Box<Recorder>, cpu: Option<CpuTime> },
    /// A connection is gone.
    Lost { part: Part, target: usize, cause: String },
    /// One that was gone is there again.
    Back { part: Part, target: usize },
    /// So many measured messages are still to come.
    Missing(u64),
    /// A stage is settled.
    Settled {
        recorder: Box<Recorder>,
        deliveries: Deliveries,
        downgraded: u64,
        last_event_ns: u64,
        outages: Outages,
        /// What each broker has of it, where there are several.
        shares: Vec<Share>,
    },
    /// Messages came when their drain had ended.
    Late(Vec<LateMessages>),
    /// The system has no means for the thread's event loop.
    NoRuntime(io::Error),
    /// The thread is at its end.
    Ended,
}

/// What of a stage went over the connections to one broker.
#[derive(Clone, Debug, Default)]
pub struct Share {
    /// Counted and timed there.
    pub recorder: Recorder,
    /// The account of the subscribers there.
    pub delivery: Delivery,
}

/// What the tasks of a shard share. One thread: cells instead of locks.
pub(super) struct ShardState {
    number: usize,
    pub(super) shared: Arc<Shared>,
    input: RefCell<Vec<u8>>,
    out: RefCell<Vec<u8>>,
    /// One for each broker, of which there is mostly one.
    recorders: Vec<RefCell<Box<Recorder>>>,
    /// What each of several brokers had in earlier seconds of the stage.
    shares: RefCell<Vec<Share>>,
    outages: RefCell<Outages>,
    /// Clients without a connection that have left something on the broker: global number, and whether they publish.
    left_behind: RefCell<Vec<(usize, bool)>>,
    pub(super) tls: Option<TlsClient>,
    stage: Cell<Option<StageRun>>,
    /// The schedule of the stage, where it is an open loop.
    schedule: RefCell<Option<Schedule>>,
    /// When the last message was sent, acknowledged or delivered in the measured window.
    last_event_ns: Cell<u64>,
    /// A publisher had little in flight any more when it was looked at.
    starved: Cell<bool>,
    ending: Cell<bool>,
    /// Clients whose task has not ended, and the word when none is left.
    at_work: Cell<usize>,
    all_gone: Notify,
    wakers: RefCell<Vec<Option<Waker>>>,
    pacer: Pacer,
    reports: UnboundedSender<Report>,
}

impl ShardState {
    fn new(number: usize, shared: Arc<Shared>, tls: Option<TlsClient>, reports: UnboundedSender<Report>) -> Rc<Self> {
        let targets = shared.plan.targets.count();
        Rc::new(Self {
            number,
            shared,
            input: RefCell::new(vec![0; READ_BUFFER]),
            out: RefCell::new(Vec::new()),
            recorders: (0..targets).map(|_| RefCell::default()).collect(),
            shares: RefCell::new(vec![Share::default(); if targets > 1 { targets } else { 0 }]),
            outages: RefCell::default(),
            left_behind: RefCell::default(),
            tls,
            stage: Cell::new(None),
            schedule: RefCell::new(None),
            last_event_ns: Cell::new(0),
            starved: Cell::new(false),
            ending: Cell::new(false),
            at_work: Cell::new(0),
            all_gone: Notify::new(),
            wakers: RefCell::default(),
            pacer: Pacer::default(),
            reports,
        })
    }

    pub(super) fn report(&self, report: Report) {
        // A coordinator that is gone needs no reports.
        let _ = self.reports.send(report);
    }

    fn wake_all(&self) {
        self.wakers.borrow().iter().flatten().for_each(Waker::wake_by_ref);
    }

    /// Whether this moment is in the measured window.
    fn measures(&self, now_ns: u64) -> bool {
        self.stage.get().is_some_and(|stage| stage.measures(now_ns))
    }

    /// Notes the moment if messages were counted at it: where a count ends the stage, the last one is its end. Bytes that
    /// are none — PINGRESP, somebody else's messages — do not make it longer.
    fn note_event(&self, counted: bool, now_ns: u64) {
        if counted {
            self.last_event_ns.set(now_ns);
        }
    }

    /// The shard's number.
    pub(super) const fn number(&self) -> usize {
        self.number
    }

    /// The present stage.
    pub(super) const fn stage(&self) -> Option<StageRun> {
        self.stage.get()
    }

    /// Asks for a wake-up of a client.
    pub(super) fn schedule_wake(&self, due_ns: u64, index: usize) {
        self.pacer.schedule(due_ns, index);
    }

    /// Sends what the session of a link has to say.
    pub(super) fn send_output(&self, link: &mut Link, context: &mut Context<'_>) -> io::Result<usize> {
        link.send_output(context, &mut self.out.borrow_mut())
    }

    /// The recorder of a broker.
    pub(super) fn recorder(&self, target: usize) -> RefMut<'_, Box<Recorder>> {
        self.recorders[target].borrow_mut()
    }

    fn take_recorder(&self) -> Box<Recorder> {
        if let [only] = &self.recorders[..] {
            return std::mem::take(&mut *only.borrow_mut());
        }
        let mut total = Box::<Recorder>::default();
        for (recorder, share) in self.recorders.iter().zip(&mut *self.shares.borrow_mut()) {
            let recorder = std::mem::take(&mut *recorder.borrow_mut());
            share.recorder.merge(&recorder);
            total.merge(&recorder);
        }
        total
    }

    /// Remembers how to wake a client.
    fn remember(&self, index: usize, context: &Context<'_>) {
        let place = &mut self.wakers.borrow_mut()[index];
        match place {
            Some(waker) if waker.will_wake(context.waker()) => {}
            _ => *place = Some(context.waker().clone()),
        }
    }
}

/// Starts a shard on a thread of its own; the first argument is its number.
pub(super) fn on_thread(
    shard: usize,
    shared: Arc<Shared>,
    tls: Option<TlsClient>,
    commands: UnboundedReceiver<Command>,
    reports: UnboundedSender<Report>,
) -> io::Result<Option<JoinHandle<()>>> {
    let main = move || run(shard, shared, tls, commands, reports);
    std::thread::Builder::new().name(format!("load-{shard}")).spawn(main).map(Some)
}

/// Starts a shard as a local task.
#[cfg(test)]
pub(super) fn in_place(
    shard: usize,
    shared: Arc<Shared>,
    tls: Option<TlsClient>,
    commands: UnboundedReceiver<Command>,
    reports: UnboundedSender<Report>,
) -> io::Result<Option<JoinHandle<()>>> {
    tokio::task::spawn_local(async move {
        let _ended = Ended(reports.clone());
        live(shard, shared, tls, commands, reports).await;
    });
    Ok(None)
}

/// Runs a shard to its end. The thread's main function.
fn run(
    shard: usize,
    shared: Arc<Shared>,
    tls: Option<TlsClient>,
    commands: UnboundedReceiver<Command>,
    reports: UnboundedSender<Report>,
) {
    // Also where the thread panics: nobody is to wait for it.
    let _ended = Ended(reports.clone());
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Err(error) => drop(reports.send(Report::NoRuntime(error))),
        Ok(runtime) => {
            let local = LocalSet::new();
            local.block_on(&runtime, live(shard, shared, tls, commands, reports));
            drop(local);
            // A name look-up that hangs must not keep the program from ending.
            runtime.shutdown_background();
        }
    }
}

/// Says that a shard has come to its end, however it does.
pub(super) struct Ended(pub(super) UnboundedSender<Report>);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.send(Report::Ended);
    }
}

/// The life of a shard, on a runtime with local tasks.
async fn live(
    shard: usize,
    shared: Arc<Shared>,
    tls: Option<TlsClient>,
    mut commands: UnboundedReceiver<Command>,
    reports: UnboundedSender<Report>,
) {
    if shared.plan.idlers > 0 {
        return super::hold::live(ShardState::new(shard, shared, tls, reports), commands).await;
    }
    let connected = || {
        let _ = reports.send(Report::Connected { target: 0 });
    };
    let (mut joined, mut tasks) = (Vec::new(), connect::Joining::new());
    let outcome = tokio::select! {
        outcome = connect::all(shard, &shared, tls.as_ref(), connected, &mut joined, &mut tasks) => Some(outcome),
        // Nothing but End comes before Ready.
        _ = commands.recv() => None,
    };
    let ready = outcome.map(|outcome| outcome.and_then(|()| connect::ready(&shared, &mut joined)));
    let Ready { publishers, subscribers, responders, recorder } = match ready {
        Some(Ok(ready)) => ready,
        ended => {
            if let Some(Err((client, error))) = ended {
                let _ = reports.send(Report::Failed { client, error });
            }
            let _ = tokio::time::timeout(GOODBYE, connect::see_off(&shared, tls.as_ref(), joined, tasks)).await;
            return;
        }
    };
    let state = ShardState::new(shard, shared, tls, reports);
    state.report(Report::Ready(recorder));
    let publishers: Vec<_> = publishers.into_iter().map(|(link, publisher)| (link, shared_cell(publisher))).collect();
    let subscribers: Vec<_> = subscribers.into_iter().map(|(link, own)| (link, shared_cell(own))).collect();
    let own = Own {
        publishers: publishers.iter().map(|(_, publisher)| publisher.clone()).collect(),
        subscriptions: subscribers.iter().map(|(_, subscriptions)| subscriptions.clone()).collect(),
    };
    publishers.into_iter().for_each(|(link, publisher)| Client::spawn(&state, link, publisher));
    subscribers.into_iter().for_each(|(link, subscriptions)| Client::spawn(&state, link, subscriptions));
    responders.into_iter().for_each(|(link, responder)| Client::spawn(&state, link, shared_cell(responder)));
    let pacer = start_pacer(&state);
    obey(&state, &mut commands, &own).await;
    pacer.abort();
    part(&state, GOODBYE).await;
}

/// Wakes clients at their times.
pub(super) fn start_pacer(state: &Rc<ShardState>) -> tokio::task::JoinHandle<()> {
    let pacing = state.clone();
    tokio::task::spawn_local(async move {
        if let Err(error) = pacing.pacer.run(pacing.shared.clock, pacing.shared.plan.busy_poll, &pacing.wakers).await {
            let cause = format!("no timer: {error}");
            pacing.report(Report::Lost { part: Part::Publisher, target: 0, cause });
        }
    })
}

/// All clients say goodbye, and what those have left who cannot is taken back.
pub(super) async fn part(state: &Rc<ShardState>, patience: Duration) {
    state.ending.set(true);
    state.wake_all();
    if state.at_work.get() > 0 {
        let _ = tokio::time::timeout(patience, state.all_gone.notified()).await;
    }
    let left_behind = state.left_behind.take();
    let clear = async {
        for (client, publishes) in left_behind {
            connect::clear(&state.shared, state.tls.as_ref(), client, publishes).await;
        }
    };
    let _ = tokio::time::timeout(GOODBYE, clear).await;
}

fn shared_cell<T>(value: T) -> Rc<RefCell<T>> {
    Rc::new(RefCell::new(value))
}

/// The clients' states, for settling.
#[derive(Default)]
pub(super) struct Own {
    publishers: Vec<Rc<RefCell<Publisher>>>,
    subscriptions: Vec<Rc<RefCell<Subscriptions>>>,
}

/// Carries out commands until End, or until the coordinator is gone.
pub(super) async fn obey(state: &ShardState, commands: &mut UnboundedReceiver<Command>, own: &Own) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut sleep = SHORTEST_SLEEP;
    loop {
        let coalescing = !state.shared.plan.latency && state.stage.get().is_some_and(|stage| stage.rate.is_none());
        tokio::select! {
            biased;
            command = commands.recv() => match command {
                None | Some(Command::End) => return report_late(state, own),
                Some(Command::Begin(stage)) => {
                    if state.stage.replace(Some(stage)).is_none_or(|before| before.number != stage.number) {
                        let plan = &state.shared.plan;
                        let schedule = stage.rate.map(|rate| Schedule::new(plan.arrival, rate, plan.seed));
                        *state.schedule.borrow_mut() = schedule;
                    }
                    state.wake_all();
                }
                Some(Command::Second) => {
                    let (shard, recorder) = (state.number, state.take_recorder());
                    state.report(Report::Second { shard, recorder, cpu: thread_cpu() });
                }
                Some(Command::Missing) => {
                    let stage = state.stage.get().map_or(0, |stage| stage.number);
                    let missing = own.subscriptions.iter().map(|own| own.borrow().missing(&state.shared, stage)).sum();
                    state.report(Report::Missing(missing));
                }
                Some(Command::Settle) => settle(state, own),
            },
            // Clients that only hold ask for the wake-ups that they need: thousands of others would cost a processor.
            _ = tick.tick(), if state.shared.plan.idlers == 0 => state.wake_all(),
            () = tokio::task::yield_now(), if coalescing => {
                let starved = state.starved.replace(false);
                sleep = if starved { sleep / 2 } else { sleep + sleep / 8 }.clamp(SHORTEST_SLEEP, LONGEST_SLEEP);
                std::thread::sleep(sleep);
            }
        }
    }
}

fn settle(state: &ShardState, own: &Own) {
    let (shared, now_ns) = (&*state.shared, state.shared.clock.now_ns());
    let mut outages = state.outages.take();
    let mut downgraded = 0;
    for publisher in &own.publishers {
        let mut publisher = publisher.borrow_mut();
        let target = shared.plan.target_of(publisher.stream);
        publisher.settle(shared, &mut state.recorder(target));
        publisher.note_open_outage(now_ns, &mut outages);
        downgraded += publisher.take_downgraded();
    }
    let recorder = state.take_recorder();
    let mut shares = std::mem::take(&mut *state.shares.borrow_mut());
    state.shares.borrow_mut().resize(shares.len(), Share::default());
    report_late(state, own);
    let mut deliveries = Deliveries::default();
    let stage = state.stage.take().map_or(0, |stage| stage.number);
    for subscriptions in &own.subscriptions {
        let mut subscriptions = subscriptions.borrow_mut();
        let mut settled = Deliveries::default();
        subscriptions.settle(shared, stage, &mut settled);
        subscriptions.note_open_outages(shared, now_ns, &mut outages);
        deliveries.merge(&settled);
        let client = shared.plan.client_of(Part::Subscriber, subscriptions.subscriber);
        if let Some(share) = shares.get_mut(shared.plan.target_of(client)) {
            settled.streams.values().for_each(|delivery| share.delivery.merge(delivery));
        }
    }
    let last_event_ns = state.last_event_ns.take();
    state.report(Report::Settled { recorder, deliveries, downgraded, last_event_ns, outages, shares });
}

fn report_late(state: &ShardState, own: &Own) {
    let late: Vec<LateMessages> =
        own.subscriptions.iter().flat_map(|own| own.borrow_mut().take_late().collect::<Vec<_>>()).collect();
    if !late.is_empty() {
        state.report(Report::Late(late));
    }
}

/// Why a client's task ends.
pub(super) enum End {
    /// It was told to.
    Asked,
    /// The connection is gone.
    Lost(String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Lost(io_text(&error))
    }
}

/// What a client does with its connection.
pub(super) trait Role: Unpin + 'static {
    /// What it is in the plan.
    const PART: Part;

    /// Does all that can be done now.
    fn drive(
        &mut self,
        state: &ShardState,
        index: usize,
        link: &mut Link,
        context: &mut Context<'_>,
    ) -> Result<(), End>;

    /// Its number among those that do the same.
    fn number(&self) -> usize;

    /// The connection is gone: nobody is to wait for what was under way.
    fn lose(&mut self, shared: &Shared, now_ns: u64);

    /// It does not come back.
    fn abandon(&mut self, _shared: &Shared) {}

    /// Called now and then while the connection is gone and is to come back.
    fn wait(&mut self, _state: &ShardState) {}

    /// The connection is there again.
    fn resume(&mut self, _shared: &Shared) {}

    /// Who takes messages that come while it connects again, where any may come.
    fn early(&self) -> Option<Box<dyn Early>> {
        None
    }
}

impl Role for Rc<RefCell<Publisher>> {
    const PART: Part = Part::Publisher;

    fn drive(
        &mut self,
        state: &ShardState,
        index: usize,
        link: &mut Link,
        context: &mut Context<'_>,
    ) -> Result<(), End> {
        drive_publisher(state, index, link, &mut self.borrow_mut(), context)
    }

    fn number(&self) -> usize {
        self.borrow().stream
    }

    fn lose(&mut self, shared: &Shared, now_ns: u64) {
        self.borrow_mut().lose(shared, now_ns);
    }

    fn abandon(&mut self, shared: &Shared) {
        self.borrow_mut().abandon(shared);
    }

    fn wait(&mut self, state: &ShardState) {
        let now_ns = state.shared.clock.now_ns();
        let schedule = || state.schedule.borrow().clone();
        let mut publisher = self.borrow_mut();
        publisher.follow(state.stage.get().as_ref(), schedule, &state.shared, now_ns);
        publisher.wait(&state.shared, now_ns);
    }
}

impl Role for Rc<RefCell<Subscriptions>> {
    const PART: Part = Part::Subscriber;

    fn drive(&mut self, state: &ShardState, _: usize, link: &mut Link, context: &mut Context<'_>) -> Result<(), End> {
        drive_subscriber(state, link, &mut self.borrow_mut(), context)
    }

    fn number(&self) -> usize {
        self.borrow().subscriber
    }

    fn lose(&mut self, shared: &Shared, now_ns: u64) {
        self.borrow_mut().lose(shared, now_ns);
    }

    fn resume(&mut self, shared: &Shared) {
        self.borrow_mut().resume(shared);
    }

    fn early(&self) -> Option<Box<dyn Early>> {
        Some(Box::new(self.clone()))
    }
}

impl Early for Rc<RefCell<Subscriptions>> {
    fn take(&mut self, state: &ShardState, target: usize, delivery: &session::Delivery<'_>) {
        let shared = &*state.shared;
        let now_ns = shared.clock.now_ns();
        let subscriptions = &mut *self.borrow_mut();
        subscriptions.resume(shared);
        let (stage, measuring) = (state.stage.get(), state.measures(now_ns));
        let (stage, together) = (stage.as_ref(), Together::ending_at(now_ns));
        let recorder = &mut state.recorder(target);
        let before = recorder.counters.delivered;
        let mut ears = SubscriberEars { subscriptions, shared, recorder, stage, now_ns, measuring, together };
        // Acknowledged at once, as all are.
        let _ = ears.message(delivery);
        ears.end();
        state.note_event(recorder.counters.delivered > before, now_ns);
    }

    fn give_up(&mut self, state: &ShardState) {
        let (shared, now_ns) = (&*state.shared, state.shared.clock.now_ns());
        let mut subscriptions = self.borrow_mut();
        if subscriptions.is_there() {
            subscriptions.end_outages(shared, now_ns, &mut state.outages.borrow_mut());
            subscriptions.wake_publishers(shared);
            subscriptions.lose(shared, now_ns);
        }
    }
}

impl Role for Rc<RefCell<Responder>> {
    const PART: Part = Part::Responder;

    fn drive(&mut self, state: &ShardState, _: usize, link: &mut Link, context: &mut Context<'_>) -> Result<(), End> {
        drive_responder(state, link, &mut self.borrow_mut(), context)
    }

    fn number(&self) -> usize {
        self.borrow().number
    }

    fn lose(&mut self, _shared: &Shared, _now_ns: u64) {
        self.borrow_mut().forget();
    }

    fn early(&self) -> Option<Box<dyn Early>> {
        Some(Box::new(self.clone()))
    }
}

impl Early for Rc<RefCell<Responder>> {
    fn take(&mut self, state: &ShardState, target: usize, delivery: &session::Delivery<'_>) {
        let shared = &*state.shared;
        let measuring = state.measures(shared.clock.now_ns());
        let (responder, recorder) = (&mut *self.borrow_mut(), &mut state.recorder(target));
        // Acknowledged at once, as all are.
        let _ = ResponderEars { responder, shared, recorder, measuring }.message(delivery);
    }

    fn give_up(&mut self, _state: &ShardState) {
        self.borrow_mut().forget();
    }
}

/// A client's life, as a task. Not an async function: that would keep its arguments twice, and a client's task is kept
/// thousands of times.
pub(super) struct Client<R> {
    state: Rc<ShardState>,
    index: usize,
    role: R,
    life: Life,
}

// Nearly all clients are at work nearly all the time: a box would only cost.
#[expect(clippy::large_enum_variant)]
enum Life {
    Working(Link),
    /// Connecting again.
    Away(Pin<Box<dyn Future<Output = Link>>>),
    /// Boxed: it need not lie in the task all the while before.
    Leaving(Pin<Box<dyn Future<Output = ()>>>),
    Over,
}

impl<R: Role> Client<R> {
    pub(super) fn spawn(state: &Rc<ShardState>, link: Link, role: R) {
        state.at_work.set(state.at_work.get() + 1);
        let index = state.wakers.borrow().len();
        state.wakers.borrow_mut().push(None);
        tokio::task::spawn_local(Self { state: state.clone(), index, role, life: Life::Working(link) });
    }

    /// Its global number.
    fn client(&self) -> usize {
        self.state.shared.plan.client_of(R::PART, self.role.number())
    }

    /// Goes one step on. None: nothing can be done now.
    fn step(&mut self, context: &mut Context<'_>) -> Option<()> {
        self.state.remember(self.index, context);
        match &mut self.life {
            Life::Working(link) => {
                let end = if self.state.ending.get() {
                    End::Asked
                } else {
                    self.role.drive(&self.state, self.index, link, context).err()?
                };
                self.end(end);
            }
            Life::Away(_) if self.state.ending.get() => self.leave_behind(),
            Life::Away(connecting) => match connecting.as_mut().poll(context) {
                Poll::Pending => {
                    self.role.wait(&self.state);
                    return None;
                }
                Poll::Ready(link) => self.come_back(link),
            },
            Life::Leaving(leave) => match leave.as_mut().poll(context) {
                Poll::Pending => return None,
                Poll::Ready(()) => self.life = Life::Over,
            },
            Life::Over => return None,
        }
        Some(())
    }

    fn end(&mut self, end: End) {
        let Life::Working(link) = std::mem::replace(&mut self.life, Life::Over) else { return };
        let (state, client, publishes) = (self.state.clone(), self.client(), R::PART == Part::Publisher);
        match end {
            End::Asked => {
                let leave =
                    async move { connect::leave(&state.shared, state.tls.as_ref(), link, client, publishes).await };
                self.life = Life::Leaving(Box::pin(leave));
            }
            End::Lost(cause) => {
                self.role.lose(&state.shared, state.shared.clock.now_ns());
                state.report(Report::Lost { part: R::PART, target: link.target(), cause });
                if let Some(interval) = state.shared.plan.reconnect {
                    let (_, session, _) = link.into_parts();
                    self.life =
                        Life::Away(Box::pin(reconnect::again(state, client, session, interval, self.role.early())));
                } else {
                    self.role.abandon(&state.shared);
                    self.leave_behind();
                }
            }
        }
    }

    /// Ends without a goodbye: there is no connection to say it on.
    fn leave_behind(&mut self) {
        self.life = Life::Over;
        self.state.wakers.borrow_mut()[self.index] = None;
        let publishes = R::PART == Part::Publisher;
        if connect::leaves_something(&self.state.shared, publishes) {
            self.state.left_behind.borrow_mut().push((self.client(), publishes));
        }
    }

    fn come_back(&mut self, link: Link) {
        self.role.resume(&self.state.shared);
        self.state.recorder(link.target()).counters.reconnects += 1;
        self.state.report(Report::Back { part: R::PART, target: link.target() });
        self.life = Life::Working(link);
    }
}

impl<R: Role> Future for Client<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let client = self.get_mut();
        while client.step(context).is_some() {}
        if matches!(client.life, Life::Over) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<R> Drop for Client<R> {
    fn drop(&mut self) {
        let left = self.state.at_work.get() - 1;
        self.state.at_work.set(left);
        if left == 0 {
            self.state.all_gone.notify_one();
        }
    }
}

/// Reads requests and sends their answers until there is nothing left to do now.
fn drive_responder(
    state: &ShardState,
    link: &mut Link,
    responder: &mut Responder,
    context: &mut Context<'_>,
) -> Result<(), End> {
    let shared = &*state.shared;
    for _ in 0..TURNS {
        let more = read_batch(state, link, context, |session, bytes, now, recorder| {
            let measuring = state.stage.get().is_some_and(|stage| stage.measures(shared.clock.ns(now)));
            let mut ears = ResponderEars { responder, shared, recorder, measuring };
            session.handle_input(bytes, now, &mut ears)
        })?;
        link.flush(context)?;
        responder.answer(link, context, &mut state.out.borrow_mut())?;
        link.send_output(context, &mut state.out.borrow_mut())?;
        if !more {
            return Ok(());
        }
    }
    context.waker().wake_by_ref();
    Ok(())
}

/// Reads acknowledgements and fills the window until there is nothing left to do now.
fn drive_publisher(
    state: &ShardState,
    index: usize,
    link: &mut Link,
    publisher: &mut Publisher,
    context: &mut Context<'_>,
) -> Result<(), End> {
    let shared = &*state.shared;
    let stage = state.stage.get();
    // First, so that a delivery between here and the look at the window is not missed.
    shared.stream(publisher.stream).room.register(context.waker());
    publisher.follow(stage.as_ref(), || state.schedule.borrow().clone(), shared, shared.clock.now_ns());
    for _ in 0..TURNS {
        let more = read_batch(state, link, context, |session, bytes, now, recorder| {
            let now_ns = shared.clock.ns(now);
            let measuring = state.measures(now_ns);
            recorder.counters.wire_bytes_in += if measuring { bytes.len() as u64 } else { 0 };
            let stage = stage.as_ref();
            let latency = shared.plan.latency;
            let together = Together::ending_at(now_ns);
            let counts = &mut publisher.ears;
            let before = counts.completed();
            let mut ears = PublisherEars { counts, recorder, stage, now_ns, measuring, latency, together };
            let handled = session.handle_input(bytes, now, &mut ears);
            ears.end();
            state.note_event(measuring && publisher.ears.completed() > before, now_ns);
            handled
        })?;
        publisher.publish_counts(shared);
        if shared.plan.reconnect.is_some() {
            publisher.end_outage(shared.clock.now_ns(), &mut state.outages.borrow_mut());
        }
        if publisher.is_starved(link, shared) {
            state.starved.set(true);
        }
        let recorder = &mut state.recorder(link.target());
        let sent = recorder.counters.sent;
        if !link.is_writable() {
            let taken = link.flush(context)?;
            publisher.note_written(taken, shared.clock.now_ns(), shared, recorder);
        }
        let pause = publisher.fill(link, context, shared, recorder, &mut state.out.borrow_mut())?;
        link.send_output(context, &mut state.out.borrow_mut())?;
        state.note_event(recorder.counters.sent > sent, shared.clock.now_ns());
        count_written(state, link, recorder);
        match pause {
            Pause::Turn => continue,
            Pause::Until(due_ns) => {
                if publisher.schedule(due_ns) {
                    state.pacer.schedule(due_ns, index);
                }
            }
            Pause::Waiting => {}
        }
        if !more {
            return Ok(());
        }
    }
    // Others first.
    context.waker().wake_by_ref();
    Ok(())
}

fn drive_subscriber(
    state: &ShardState,
    link: &mut Link,
    subscriptions: &mut Subscriptions,
    context: &mut Context<'_>,
) -> Result<(), End> {
    let shared = &*state.shared;
    let stage = state.stage.get();
    for _ in 0..TURNS {
        let more = read_batch(state, link, context, |session, bytes, now, recorder| {
            let now_ns = shared.clock.ns(now);
            let measuring = state.measures(now_ns);
            if measuring {
                recorder.counters.wire_bytes_in += bytes.len() as u64;
            }
            let (stage, together) = (stage.as_ref(), Together::ending_at(now_ns));
            let before = recorder.counters.delivered;
            let mut ears = SubscriberEars { subscriptions, shared, recorder, stage, now_ns, measuring, together };
            let handled = session.handle_input(bytes, now, &mut ears);
            ears.end();
            state.note_event(recorder.counters.delivered > before, now_ns);
            handled
        })?;
        if shared.plan.reconnect.is_some() {
            subscriptions.end_outages(shared, shared.clock.now_ns(), &mut state.outages.borrow_mut());
        }
        subscriptions.wake_publishers(shared);
        link.flush(context)?;
        link.send_output(context, &mut state.out.borrow_mut())?;
        count_written(state, link, &mut state.recorder(link.target()));
        if !more {
            return Ok(());
        }
    }
    context.waker().wake_by_ref();
    Ok(())
}

/// Counts what the socket has taken, all packets with their headers.
fn count_written(state: &ShardState, link: &mut Link, recorder: &mut Recorder) {
    let written = link.take_written();
    if written > 0 && state.measures(state.shared.clock.now_ns()) {
        recorder.counters.wire_bytes_out += written;
    }
}

/// Reads once and hands the bytes to the session; looks at the session's clock where nothing came. Says whether the
/// buffer was full, so that there may be more.
pub(super) fn read_batch(
    state: &ShardState,
    link: &mut Link,
    context: &mut Context<'_>,
    handle: impl FnOnce(&mut super::link::BenchSession, &[u8], Instant, &mut Recorder) -> Result<(), session::SessionError>,
) -> Result<bool, End> {
    let input = &mut *state.input.borrow_mut();
    match link.poll_read(context, input) {
        Poll::Ready(Ok(0)) => Err(End::Lost("the broker closed the connection".to_owned())),
        Poll::Ready(Ok(count)) => {
            let recorder = &mut state.recorder(link.target());
            let handled = handle(&mut link.session, &input[..count], clock::now(), recorder);
            handled.map_err(|error| End::Lost(error.to_string()))?;
            Ok(true)
        }
        Poll::Ready(Err(error)) => Err(error.into()),
        Poll::Pending => {
            let now = clock::now();
            if link.session.poll_timeout().is_some_and(|deadline| now >= deadline) {
                link.session.handle_timeout(now).map_err(|error| End::Lost(error.to_string()))?;
            }
            Ok(false)
        }
    }
}
