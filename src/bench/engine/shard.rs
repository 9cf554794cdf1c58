//! One thread of the load: it owns its connections, buffers and recorder, and runs them on a runtime of its own.

use std::cell::{Cell, RefCell};
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
use super::link::Link;
use super::pacer::Pacer;
use super::process::{CpuTime, thread_cpu};
use super::publisher::{Pause, Publisher, PublisherEars};
use super::shared::{Shared, StageRun};
use super::subscriber::{Deliveries, LateMessages, SubscriberEars, Subscriptions};
use crate::bench::measure::Recorder;
use crate::bench::plan::Schedule;
use crate::client::ClientError;
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
    Connected,
    /// All clients are; what connecting took.
    Ready(Box<Recorder>),
    /// A client could not connect; the shard has given up.
    Failed { client: usize, error: ClientError },
    /// What one second brought.
    Second { shard: usize, recorder: Box<Recorder>, cpu: Option<CpuTime> },
    /// A connection is gone.
    Lost { publisher: bool, cause: String },
    /// So many measured messages are still to come.
    Missing(u64),
    /// A stage is settled.
    Settled { recorder: Box<Recorder>, deliveries: Deliveries, downgraded: u64, last_event_ns: u64 },
    /// Messages came when their drain had ended.
    Late(Vec<LateMessages>),
    /// The system has no means for the thread's event loop.
    NoRuntime(io::Error),
    /// The thread is at its end.
    Ended,
}

/// What the tasks of a shard share. One thread: cells instead of locks.
pub(super) struct ShardState {
    number: usize,
    pub(super) shared: Arc<Shared>,
    input: RefCell<Vec<u8>>,
    out: RefCell<Vec<u8>>,
    recorder: RefCell<Box<Recorder>>,
    stage: Cell<Option<StageRun>>,
    /// The schedule of the stage, where it is an open loop.
    schedule: RefCell<Option<Schedule>>,
    /// When the last measured message was acknowledged or delivered.
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
    fn report(&self, report: Report) {
        // A coordinator that is gone needs no reports.
        let _ = self.reports.send(report);
    }

    fn wake_all(&self) {
        self.wakers.borrow().iter().flatten().for_each(Waker::wake_by_ref);
    }

    /// Whether this moment, at which something came, is in the measured window.
    fn measures(&self, now_ns: u64) -> bool {
        let measures = self.stage.get().is_some_and(|stage| stage.measures(now_ns));
        if measures {
            self.last_event_ns.set(now_ns);
        }
        measures
    }

    fn take_recorder(&self) -> Box<Recorder> {
        std::mem::take(&mut *self.recorder.borrow_mut())
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
        live(shard, shared, tls, commands, reports.clone()).await;
        let _ = reports.send(Report::Ended);
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
    let ended = reports.clone();
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
    let _ = ended.send(Report::Ended);
}

/// The life of a shard, on a runtime with local tasks.
async fn live(
    shard: usize,
    shared: Arc<Shared>,
    tls: Option<TlsClient>,
    mut commands: UnboundedReceiver<Command>,
    reports: UnboundedSender<Report>,
) {
    let connected = || {
        let _ = reports.send(Report::Connected);
    };
    let mut joined = Vec::new();
    let outcome = tokio::select! {
        outcome = connect::all(shard, &shared, tls.as_ref(), connected, &mut joined) => Some(outcome),
        // Nothing but End comes before Ready.
        _ = commands.recv() => None,
    };
    let ready = match outcome {
        Some(Ok(())) => connect::ready(&shared, joined),
        ended => {
            if let Some(Err((client, error))) = ended {
                let _ = reports.send(Report::Failed { client, error });
            }
            let _ = tokio::time::timeout(GOODBYE, connect::see_off(&shared, joined)).await;
            return;
        }
    };
    let Ready { publishers, subscribers, recorder } = match ready {
        Ok(ready) => ready,
        Err((client, error)) => {
            let _ = reports.send(Report::Failed { client, error });
            return;
        }
    };
    let clients = publishers.len() + subscribers.len();
    let state = Rc::new(ShardState {
        number: shard,
        shared,
        input: RefCell::new(vec![0; READ_BUFFER]),
        out: RefCell::new(Vec::new()),
        recorder: RefCell::default(),
        stage: Cell::new(None),
        schedule: RefCell::new(None),
        last_event_ns: Cell::new(0),
        starved: Cell::new(false),
        ending: Cell::new(false),
        at_work: Cell::new(0),
        all_gone: Notify::new(),
        wakers: RefCell::new(vec![None; clients]),
        pacer: Pacer::default(),
        reports,
    });
    state.report(Report::Ready(recorder));
    let publishers: Vec<_> = publishers.into_iter().map(|(link, publisher)| (link, shared_cell(publisher))).collect();
    let subscribers: Vec<_> = subscribers.into_iter().map(|(link, own)| (link, shared_cell(own))).collect();
    let own = Own {
        publishers: publishers.iter().map(|(_, publisher)| publisher.clone()).collect(),
        subscriptions: subscribers.iter().map(|(_, subscriptions)| subscriptions.clone()).collect(),
    };
    for (index, (link, publisher)) in publishers.into_iter().enumerate() {
        Client::spawn(&state, index, link, publisher);
    }
    for (index, (link, subscriptions)) in subscribers.into_iter().enumerate() {
        Client::spawn(&state, own.publishers.len() + index, link, subscriptions);
    }
    let pacing = state.clone();
    let pacer = tokio::task::spawn_local(async move {
        if let Err(error) = pacing.pacer.run(pacing.shared.clock, pacing.shared.plan.busy_poll, &pacing.wakers).await {
            pacing.report(Report::Lost { publisher: true, cause: format!("no timer: {error}") });
        }
    });
    obey(&state, &mut commands, &own).await;
    pacer.abort();
    state.ending.set(true);
    state.wake_all();
    if state.at_work.get() > 0 {
        let _ = tokio::time::timeout(GOODBYE, state.all_gone.notified()).await;
    }
}

fn shared_cell<T>(value: T) -> Rc<RefCell<T>> {
    Rc::new(RefCell::new(value))
}

/// The clients' states, for settling.
struct Own {
    publishers: Vec<Rc<RefCell<Publisher>>>,
    subscriptions: Vec<Rc<RefCell<Subscriptions>>>,
}

/// Carries out commands until End, or until the coordinator is gone.
async fn obey(state: &ShardState, commands: &mut UnboundedReceiver<Command>, own: &Own) {
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
            _ = tick.tick() => state.wake_all(),
            () = tokio::task::yield_now(), if coalescing => {
                let starved = state.starved.replace(false);
                sleep = if starved { sleep / 2 } else { sleep + sleep / 8 }.clamp(SHORTEST_SLEEP, LONGEST_SLEEP);
                std::thread::sleep(sleep);
            }
        }
    }
}

fn settle(state: &ShardState, own: &Own) {
    let mut downgraded = 0;
    for publisher in &own.publishers {
        let mut publisher = publisher.borrow_mut();
        publisher.settle(&state.shared, &mut state.recorder.borrow_mut());
        downgraded += publisher.take_downgraded();
    }
    report_late(state, own);
    let mut deliveries = Deliveries::default();
    let stage = state.stage.take().map_or(0, |stage| stage.number);
    for subscriptions in &own.subscriptions {
        subscriptions.borrow_mut().settle(&state.shared, stage, &mut deliveries);
    }
    let (recorder, last_event_ns) = (state.take_recorder(), state.last_event_ns.take());
    state.report(Report::Settled { recorder, deliveries, downgraded, last_event_ns });
}

fn report_late(state: &ShardState, own: &Own) {
    let late: Vec<LateMessages> =
        own.subscriptions.iter().flat_map(|own| own.borrow_mut().take_late().collect::<Vec<_>>()).collect();
    if !late.is_empty() {
        state.report(Report::Late(late));
    }
}

/// Why a client's task ends.
enum End {
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
trait Role: Unpin + 'static {
    /// Whether it publishes.
    const PUBLISHES: bool;

    /// Does all that can be done now.
    fn drive(
        &mut self,
        state: &ShardState,
        index: usize,
        link: &mut Link,
        context: &mut Context<'_>,
    ) -> Result<(), End>;

    /// Its global number.
    fn number(&self, shared: &Shared) -> usize;

    /// The connection is gone: nobody is to wait for it.
    fn abandon(&mut self, shared: &Shared);
}

impl Role for Rc<RefCell<Publisher>> {
    const PUBLISHES: bool = true;

    fn drive(
        &mut self,
        state: &ShardState,
        index: usize,
        link: &mut Link,
        context: &mut Context<'_>,
    ) -> Result<(), End> {
        drive_publisher(state, index, link, &mut self.borrow_mut(), context)
    }

    fn number(&self, _shared: &Shared) -> usize {
        self.borrow().stream
    }

    fn abandon(&mut self, shared: &Shared) {
        self.borrow_mut().abandon(shared);
    }
}

impl Role for Rc<RefCell<Subscriptions>> {
    const PUBLISHES: bool = false;

    fn drive(&mut self, state: &ShardState, _: usize, link: &mut Link, context: &mut Context<'_>) -> Result<(), End> {
        drive_subscriber(state, link, &mut self.borrow_mut(), context)
    }

    fn number(&self, shared: &Shared) -> usize {
        shared.plan.publishers + self.borrow().subscriber
    }

    fn abandon(&mut self, shared: &Shared) {
        self.borrow_mut().abandon(shared);
    }
}

/// A client's life, as a task. Not an async function: that would keep its arguments twice, and a client's task is kept
/// thousands of times.
struct Client<R> {
    state: Rc<ShardState>,
    index: usize,
    role: R,
    life: Life,
}

// Nearly all clients are at work nearly all the time: a box would only cost.
#[expect(clippy::large_enum_variant)]
enum Life {
    Working(Link),
    /// Boxed: it need not lie in the task all the while before.
    Leaving(Pin<Box<dyn Future<Output = ()>>>),
    Over,
}

impl<R: Role> Client<R> {
    fn spawn(state: &Rc<ShardState>, index: usize, link: Link, role: R) {
        state.at_work.set(state.at_work.get() + 1);
        tokio::task::spawn_local(Self { state: state.clone(), index, role, life: Life::Working(link) });
    }

    fn work(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        if self.state.ending.get() {
            return Err(End::Asked);
        }
        self.state.remember(self.index, context);
        match &mut self.life {
            Life::Working(link) => self.role.drive(&self.state, self.index, link, context),
            Life::Leaving(_) | Life::Over => Ok(()),
        }
    }

    fn end(&mut self, end: End) {
        let life = std::mem::replace(&mut self.life, Life::Over);
        match (end, life) {
            (End::Asked, Life::Working(link)) => {
                let (shared, number) = (self.state.shared.clone(), self.role.number(&self.state.shared));
                let leave = async move { connect::leave(&shared, link, number, R::PUBLISHES).await };
                self.life = Life::Leaving(Box::pin(leave));
            }
            (End::Lost(cause), _) => {
                self.role.abandon(&self.state.shared);
                self.state.wakers.borrow_mut()[self.index] = None;
                self.state.report(Report::Lost { publisher: R::PUBLISHES, cause });
            }
            (End::Asked, life) => self.life = life,
        }
    }
}

impl<R: Role> Future for Client<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let client = self.get_mut();
        if matches!(client.life, Life::Working(_)) {
            match client.work(context) {
                Ok(()) => return Poll::Pending,
                Err(end) => client.end(end),
            }
        }
        match &mut client.life {
            Life::Leaving(leave) => leave.as_mut().poll(context),
            Life::Working(_) | Life::Over => Poll::Ready(()),
        }
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
            let mut ears = PublisherEars { counts: &mut publisher.ears, recorder, stage, now_ns, measuring, latency };
            session.handle_input(bytes, now, &mut ears)
        })?;
        publisher.publish_counts(shared);
        if publisher.is_starved(link, shared) {
            state.starved.set(true);
        }
        let recorder = &mut state.recorder.borrow_mut();
        if !link.is_writable() {
            let taken = link.flush(context)?;
            publisher.note_written(taken, shared.clock.now_ns(), shared, recorder);
        }
        let pause = publisher.fill(link, context, shared, recorder, &mut state.out.borrow_mut())?;
        link.send_output(context, &mut state.out.borrow_mut())?;
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
            let mut ears = SubscriberEars { subscriptions, shared, recorder, stage: stage.as_ref(), now_ns, measuring };
            session.handle_input(bytes, now, &mut ears)
        })?;
        subscriptions.wake_publishers(shared);
        link.flush(context)?;
        link.send_output(context, &mut state.out.borrow_mut())?;
        count_written(state, link, &mut state.recorder.borrow_mut());
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
fn read_batch(
    state: &ShardState,
    link: &mut Link,
    context: &mut Context<'_>,
    handle: impl FnOnce(
        &mut super::link::BenchSession,
        &[u8],
        Instant,
        &mut Recorder,
    ) -> Result<(), crate::session::SessionError>,
) -> Result<bool, End> {
    let input = &mut *state.input.borrow_mut();
    match link.poll_read(context, input) {
        Poll::Ready(Ok(0)) => Err(End::Lost("the broker closed the connection".to_owned())),
        Poll::Ready(Ok(count)) => {
            let recorder = &mut state.recorder.borrow_mut();
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
