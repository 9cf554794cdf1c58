//! `mqbench conn`: clients connect at their slots, are held, and ping. A connect that fails is counted by its cause and
//! ends nothing.

use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use super::cause::connect_failure;
use super::clock;
use super::connect;
use super::link::{BenchSession, Link, SendRecord};
use super::pacer::PreciseTimer;
use super::shard::{self, Client, Command, End, Own, Report, Role, ShardState};
use super::shared::{Shared, StageRun};
use crate::bench::measure::Recorder;
use crate::bench::plan::{BenchPlan, Draws, Part};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler};

/// Connects under way at once in a shard with a rate: a schedule is not to wait for the broker, but what connects takes
/// kilobytes.
const SCHEDULED_AT_ONCE: usize = 1024;

/// When the first client is to connect, after t0: all threads are there by then.
const FIRST_SLOT_NS: u64 = 10_000_000;

/// Goodbyes of so many clients take a second.
const GOODBYES_A_SECOND: usize = 5_000;

/// What the draws of ping phases are for.
const PHASES: u64 = 0x70_69_6e_67;

/// Connects that a thread of a plan has under way at once.
pub fn connects_at_once(plan: &BenchPlan) -> usize {
    if plan.idlers > 0 && plan.connect_rate.is_some() { SCHEDULED_AT_ONCE } else { connect::AT_ONCE }
}

/// The life of a shard that connects and holds.
pub(super) async fn live(state: Rc<ShardState>, mut commands: UnboundedReceiver<Command>) {
    let pacer = shard::start_pacer(&state);
    let connecting = tokio::task::spawn_local(connect_all(state.clone()));
    shard::obey(&state, &mut commands, &Own::default()).await;
    connecting.abort();
    pacer.abort();
    let clients = state.shared.plan.idlers / state.shared.plan.threads;
    let patience = Duration::from_secs(2 + (clients / GOODBYES_A_SECOND) as u64);
    shard::part(&state, patience).await;
}

/// When a client is to connect, where the plan has a rate.
fn slot_ns(shared: &Shared, client: usize) -> Option<u64> {
    shared.plan.connect_rate.map(|rate| FIRST_SLOT_NS + (client as f64 / rate * 1e9) as u64)
}

async fn connect_all(state: Rc<ShardState>) {
    let plan = &state.shared.plan;
    let clock = state.shared.clock;
    let timer = PreciseTimer::new().ok();
    let most = connects_at_once(plan);
    let mut tasks = JoinSet::new();
    for client in (0..plan.idlers).filter(|client| client % plan.threads == state.number()) {
        let slot_ns = slot_ns(&state.shared, client);
        if let Some(slot_ns) = slot_ns {
            let wait = Duration::from_nanos(slot_ns.saturating_sub(clock.now_ns()));
            let slept = match &timer {
                _ if wait.is_zero() => Ok(()),
                Some(timer) => timer.sleep(wait).await,
                None => Err(std::io::ErrorKind::Unsupported.into()),
            };
            if slept.is_err() {
                tokio::time::sleep(wait).await;
            }
        }
        let mut held_back = false;
        while tasks.len() >= most {
            held_back = slot_ns.is_some();
            let _ = tasks.join_next().await;
        }
        while tasks.try_join_next().is_some() {}
        tasks.spawn_local(connect_one(state.clone(), client, slot_ns, held_back));
    }
    while tasks.join_next().await.is_some() {}
    state.report(Report::Ready(Box::default()));
}

/// Connects a client that is due and puts it to work.
async fn connect_one(state: Rc<ShardState>, client: usize, slot_ns: Option<u64>, held_back: bool) {
    let shared = &state.shared;
    let target = shared.plan.target_of(client);
    let started_ns = shared.clock.now_ns();
    let mut session = BenchSession::new(clock::now());
    let outcome = connect::join(shared, state.tls.as_ref(), client, &mut session, None, None).await;
    let mut recorder = state.recorder(target);
    let Recorder { counters, latency } = &mut **recorder;
    if held_back {
        counters.held_back += 1;
    } else if let Some(slot_ns) = slot_ns {
        latency.sched_lag.record_between(slot_ns, started_ns);
    }
    match outcome {
        Ok((connection, times)) => {
            counters.connects += 1;
            latency.connect.record_between(slot_ns.unwrap_or(started_ns), shared.clock.now_ns());
            times.record(&mut recorder);
            drop(recorder);
            Client::spawn(&state, Link::new(connection, session, target), Idler::new(client));
            state.report(Report::Connected { target });
        }
        Err(error) => {
            counters.count_connect_failure(connect_failure(&error));
            state.report(Report::Failed { client, error });
        }
    }
}

/// A client that is connected and pings, each at a phase of its own.
pub(super) struct Idler {
    client: usize,
    /// When the next ping is due; none while nothing is measured.
    due_ns: Option<u64>,
    /// When the ping was sent that has not been answered.
    pinged_ns: Option<u64>,
    /// The wake-up that the pacer has been asked for.
    scheduled_ns: u64,
}

impl Idler {
    const fn new(client: usize) -> Self {
        Self { client, due_ns: None, pinged_ns: None, scheduled_ns: 0 }
    }

    /// When it pings first: at its place in the interval, so that thousands do not ping at the same moment.
    fn first_ns(&self, shared: &Shared, run: &StageRun) -> u64 {
        let phase = Draws::new(shared.plan.seed, PHASES).uniform(self.client as u64);
        run.from_ns + (phase * shared.plan.ping_interval.as_nanos() as f64) as u64
    }

    /// Pings if it is time; one that is still unanswered is not overtaken.
    fn ping(&mut self, state: &ShardState, run: &StageRun, link: &mut Link, now_ns: u64) {
        let interval_ns = state.shared.plan.ping_interval.as_nanos() as u64;
        let mut due_ns = self.due_ns.unwrap_or_else(|| self.first_ns(&state.shared, run));
        if due_ns <= now_ns && due_ns < run.to_ns {
            if self.pinged_ns.is_none() {
                link.session.ping();
                self.pinged_ns = Some(now_ns);
                state.recorder(link.target()).counters.pings += 1;
            }
            while due_ns <= now_ns {
                due_ns = due_ns.saturating_add(interval_ns.max(1));
            }
        }
        // After the end nothing is due: a wake-up for it would come again at once, for ever.
        self.due_ns = Some(if due_ns < run.to_ns { due_ns } else { u64::MAX });
    }

    /// Asks to be woken at the next time at which there is something to do.
    fn schedule(&mut self, state: &ShardState, index: usize, link: &Link, now_ns: u64) {
        let clock = state.shared.clock;
        let keep_alive_ns = link.session.poll_timeout().map(|deadline| clock.ns(deadline));
        let Some(next_ns) = self.due_ns.into_iter().chain(keep_alive_ns).min() else { return };
        if next_ns == u64::MAX {
            return;
        }
        if self.scheduled_ns <= now_ns || next_ns < self.scheduled_ns {
            self.scheduled_ns = next_ns;
            state.schedule_wake(next_ns, index);
        }
    }
}

impl Role for Idler {
    const PART: Part = Part::Idler;

    fn drive(
        &mut self,
        state: &ShardState,
        index: usize,
        link: &mut Link,
        context: &mut Context<'_>,
    ) -> Result<(), End> {
        let clock = state.shared.clock;
        loop {
            let more = shard::read_batch(state, link, context, true, |session, bytes, now, recorder| {
                let mut ears = IdlerEars { pinged_ns: &mut self.pinged_ns, recorder, now_ns: clock.ns(now) };
                session.handle_input(bytes, now, &mut ears)
            })?;
            if !more {
                break;
            }
        }
        let now_ns = clock.now_ns();
        if let Some(run) = state.stage() {
            self.ping(state, &run, link, now_ns);
        }
        link.flush(context)?;
        if link.session.output_len() > 0 {
            state.send_output(link, context)?;
            link.session.handle_written(clock::now(), !link.is_writable());
        }
        self.schedule(state, index, link, now_ns);
        Ok(())
    }

    fn number(&self) -> usize {
        self.client
    }

    fn lose(&mut self, _state: &ShardState, _link: &Link, _now_ns: u64) {}
}

struct IdlerEars<'a> {
    pinged_ns: &'a mut Option<u64>,
    recorder: &'a mut Recorder,
    now_ns: u64,
}

impl Handler<SendRecord> for IdlerEars<'_> {
    fn on_message(&mut self, _delivery: &Delivery<'_>) -> Acknowledge {
        // It subscribes to nothing; a broker may deliver what an earlier client of this id had asked for.
        self.recorder.counters.foreign += 1;
        Acknowledge::Now
    }

    fn on_completed(&mut self, _completion: Completion<'_, SendRecord>) {}

    fn on_event(&mut self, event: Event) {
        // The answer to a ping of Keep Alive's own has no start.
        if event == Event::Pong
            && let Some(pinged_ns) = self.pinged_ns.take()
        {
            self.recorder.latency.ping.record_between(pinged_ns, self.now_ns);
        }
    }
}
