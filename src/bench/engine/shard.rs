//! One thread of the load: it owns its connections, buffers and recorder, and runs them on a runtime of its own.

mod client;
mod dispatch;
mod role;
mod state;
mod turn;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::LocalSet;

pub(super) use self::client::{Client, End};
pub use self::dispatch::Share;
pub(super) use self::dispatch::{Command, Report};
pub(super) use self::role::Role;
pub(super) use self::state::ShardState;
pub(super) use self::turn::read_batch;
use super::connect::{self, Ready};
use super::publisher::Publisher;
use super::shared::Shared;
use super::subscriber::{Deliveries, LateMessages, Subscriptions};
use crate::bench::plan::{Part, Schedule};
use crate::bench::system::thread_cpu;
use crate::transport::TlsClient;

/// How often waiting clients look at the clock: the end of a stage, silence, Keep Alive.
const TICK: Duration = Duration::from_millis(100);

/// Without latencies nobody minds when an acknowledgement is read, and reading them in bulk saves most of the CPU time
/// that they cost: one wake-up serves many. The thread sleeps as long as no publisher runs out of messages in flight
/// meanwhile, within these bounds.
const SHORTEST_SLEEP: Duration = Duration::from_micros(50);
const LONGEST_SLEEP: Duration = Duration::from_millis(10);

/// Plenty for a DISCONNECT; a broker that hangs does not keep us.
const GOODBYE: Duration = Duration::from_secs(2);

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
                Some(Command::Stop) => stop(state, own),
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

fn stop(state: &ShardState, own: &Own) {
    for publisher in &own.publishers {
        let mut publisher = publisher.borrow_mut();
        let target = state.shared.plan.target_of(publisher.stream);
        if publisher.is_gone(&state.shared) {
            // Nobody has woken it for a stage that began later; its slots belong to that all the same.
            publisher.wait(state);
        }
        publisher.settle(&state.shared, &mut state.recorder(target));
    }
    state.report(Report::Stopped);
}

fn settle(state: &ShardState, own: &Own) {
    let (shared, now_ns) = (&*state.shared, state.shared.clock.now_ns());
    let mut outages = state.outages.take();
    let mut downgraded = 0;
    for publisher in &own.publishers {
        let mut publisher = publisher.borrow_mut();
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
    let spans = state.spans.take();
    state.report(Report::Settled { recorder, deliveries, downgraded, spans, outages, shares });
}

fn report_late(state: &ShardState, own: &Own) {
    let late: Vec<LateMessages> =
        own.subscriptions.iter().flat_map(|own| own.borrow_mut().take_late().collect::<Vec<_>>()).collect();
    if !late.is_empty() {
        state.report(Report::Late(late));
    }
}
