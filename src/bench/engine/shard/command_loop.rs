//! A shard executes the coordinator's commands while its clients work.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use super::super::disconnect::clean_up;
use super::super::publisher::Publisher;
use super::super::shared::Shared;
use super::super::subscriber::{Deliveries, LateMessages, Subscriber};
use super::messages::{Command, Report, Settled};
use super::role::Role;
use super::state::ShardState;
use crate::bench::plan::ClientKind;
use crate::bench::system::thread_cpu;
use crate::options::ClientName;

/// How often waiting clients look at the clock: for the end of a stage, silence, Keep Alive.
const TICK: Duration = Duration::from_millis(100);

/// Ledgers that are looked at each second for those who watch.
const MOST_COUNTED: usize = 100_000;

/// Enough to clean up for clients without a connection; a broker that hangs does not hold up the end.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(2);

/// The clients of a shard that have ledgers to settle.
#[derive(Default)]
pub(super) struct ShardClients {
    pub(super) publishers: Vec<Rc<RefCell<Publisher>>>,
    pub(super) subscribers: Vec<Rc<RefCell<Subscriber>>>,
}

/// Starts the task that wakes clients when they are due.
pub(super) fn start_pacer(state: &Rc<ShardState>) -> JoinHandle<()> {
    let state = state.clone();
    tokio::task::spawn_local(async move {
        let wake = |index| state.tasks.wake(index);
        if let Err(error) = state.pacer.run(state.shared.clock, state.shared.plan.busy_poll, wake).await {
            let cause = format!("no timer: {error}");
            state.report(Report::Lost { kind: ClientKind::Publisher, target: 0, cause });
        }
    })
}

/// Executes commands until [`Command::End`], or until the coordinator has ended.
pub(super) async fn command_loop(
    state: &ShardState,
    commands: &mut UnboundedReceiver<Command>,
    clients: &ShardClients,
) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let is_own = state.shared.plan.client == ClientName::Mqbench;
        let coalescing =
            is_own && !state.shared.plan.latency && state.stage().is_some_and(|stage| stage.rate.is_none());
        tokio::select! {
            biased;
            command = commands.recv() => match command {
                None | Some(Command::End) => return clients.report_late(state),
                Some(command) => clients.carry_out(command, state),
            },
            // Idlers ask for the wake-ups that they need: to wake thousands each time would cost a full core.
            _ = tick.tick(), if state.shared.plan.idlers == 0 => state.tasks.wake_all(),
            () = tokio::task::yield_now(), if coalescing => state.coalescing.sleep(),
        }
    }
}

/// Disconnects all clients, and cleans up for those without a connection.
pub(super) async fn disconnect_all(state: &Rc<ShardState>, timeout: Duration) {
    state.tasks.end_all(timeout).await;
    let left_behind = state.take_left_behind();
    let clean_up_all = async {
        for (client, publishes) in left_behind {
            clean_up(&state.shared, state.tls.as_ref(), client, publishes).await;
        }
    };
    let _ = tokio::time::timeout(CLEAN_UP_TIMEOUT, clean_up_all).await;
}

impl ShardClients {
    fn carry_out(&self, command: Command, state: &ShardState) {
        match command {
            Command::Begin(stage) => {
                state.begin_stage(stage);
                state.tasks.wake_all();
            }
            Command::Second => {
                let (shard, recorder) = (state.number(), state.recorders.take());
                let cpu = thread_cpu();
                state.report(Report::Second { shard, recorder, cpu, missing: self.overtaken(&state.shared) });
            }
            Command::Missing => {
                let stage = state.stage().map_or(0, |stage| stage.number);
                let missing = |subscriber: &Rc<RefCell<Subscriber>>| subscriber.borrow().missing(&state.shared, stage);
                state.report(Report::Missing(self.subscribers.iter().map(missing).sum()));
            }
            Command::Stop => self.stop(state),
            Command::Settle => self.settle(state),
            Command::End => {}
        }
    }

    /// Messages that are missing at the subscribers; not counted where that would take more than a moment.
    fn overtaken(&self, shared: &Shared) -> u64 {
        if self.subscribers.len().saturating_mul(shared.plan.publishers) > MOST_COUNTED {
            return 0;
        }
        self.subscribers.iter().map(|subscriber| subscriber.borrow().overtaken()).sum()
    }

    fn stop(&self, state: &ShardState) {
        for publisher in &self.publishers {
            let mut publisher = publisher.borrow_mut();
            let target = state.shared.plan.target_of(publisher.stream());
            if publisher.is_retired(&state.shared) {
                // Nothing wakes it for a stage that began later; the slots of that stage are its own nevertheless.
                publisher.on_wait(state);
            }
            publisher.settle(&state.shared, &mut state.recorder(target));
        }
        state.report(Report::Stopped);
    }

    fn settle(&self, state: &ShardState) {
        let (shared, now_ns) = (&*state.shared, state.shared.clock.now_ns());
        let mut outages = state.take_outages();
        let mut downgraded = 0;
        for publisher in &self.publishers {
            let mut publisher = publisher.borrow_mut();
            publisher.add_open_outage(now_ns, &mut outages);
            downgraded += publisher.take_downgraded();
        }
        let recorder = *state.recorders.take();
        let mut shares = state.recorders.take_shares();
        self.report_late(state);
        let mut deliveries = Deliveries::default();
        let stage = state.end_stage();
        for subscriber in &self.subscribers {
            let mut subscriber = subscriber.borrow_mut();
            let mut settled = Deliveries::default();
            subscriber.settle(shared, stage, &mut settled);
            subscriber.add_open_outages(shared, now_ns, &mut outages);
            deliveries.merge(&settled);
            let client = shared.plan.client_of(ClientKind::Subscriber, subscriber.number());
            if let Some(share) = shares.get_mut(shared.plan.target_of(client)) {
                settled.streams.values().for_each(|delivery| share.delivery.merge(delivery));
            }
        }
        let spans = state.take_spans();
        let settled = Settled { recorder, deliveries, downgraded, spans, outages, shares };
        state.report(Report::Settled(Box::new(settled)));
    }

    fn report_late(&self, state: &ShardState) {
        let late: Vec<LateMessages> = self
            .subscribers
            .iter()
            .flat_map(|subscriber| subscriber.borrow_mut().take_late().collect::<Vec<_>>())
            .collect();
        if !late.is_empty() {
            state.report(Report::Late(late));
        }
    }
}
