//! A shard whose clients are those of another library (`--client rumqttc`): two tasks per client, as an application
//! would have them. One polls the library's event loop, the other hands it what is due. Schedule, window, stamps and
//! ledgers are those of the engine.

mod connection;
mod publish;
mod subscribe;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::connection::{LibraryClient, LibraryEvent, LibraryLoop};
use self::publish::{Feeder, Lane, poll_publisher};
use self::subscribe::poll_subscriber;
use super::DISCONNECT_TIMEOUT;
use super::command_loop::{ShardClients, command_loop, disconnect_all, start_pacer};
use super::messages::{Command, Report};
use super::state::ShardState;
use crate::bench::engine::connect::filters_of;
use crate::bench::engine::connect_all::{CONCURRENT_CONNECTS, ConnectFault, clients_of, wait_until_due};
use crate::bench::engine::disconnect::needs_clean_up;
use crate::bench::engine::ledgers::Groups;
use crate::bench::engine::packets::Packets;
use crate::bench::engine::publisher::Publisher;
use crate::bench::engine::shared::Shared;
use crate::bench::engine::subscriber::Subscriber;
use crate::bench::measure::Recorder;
use crate::bench::plan::{ClientKind, WindowRule};
use crate::client::ClientError;
use crate::mqtt::QoS;
use crate::mqtt::wire::MAX_PACKET_SIZE;
use crate::session::PublishError;

/// Topic filters per SUBSCRIBE: some brokers (AWS IoT) accept no more.
const FILTERS_PER_SUBSCRIBE: usize = 8;

/// Requests that wait for the event loop where no window limits them.
const REQUESTS_WITHOUT_WINDOW: u16 = 100;

/// A client that the broker has accepted.
struct ConnectedClient {
    number: usize,
    client: LibraryClient,
    events: LibraryLoop,
    /// From the start of its connect to CONNACK.
    took: Duration,
    /// From SUBSCRIBE to the last SUBACK.
    suback: Option<Duration>,
    /// Messages in flight that broker and plan allow.
    window: u16,
    /// Retained messages that arrived before the last SUBACK.
    retained: u64,
}

/// Runs a shard of such clients to its end.
pub(super) async fn run_library_shard(state: Rc<ShardState>, mut commands: UnboundedReceiver<Command>) {
    let shared = state.shared.clone();
    let mut clients = ShardClients::default();
    let connected = tokio::select! {
        connected = connect_all(&state, &mut clients) => connected,
        // Nothing but End is sent before Ready.
        _ = commands.recv() => {
            disconnect_all(&state, DISCONNECT_TIMEOUT).await;
            return;
        }
    };
    match connected {
        Ok(recorder) => state.report(Report::Ready(recorder)),
        Err((client, error)) => {
            state.report(Report::Failed { client, error });
            disconnect_all(&state, DISCONNECT_TIMEOUT).await;
            return;
        }
    }
    let pacer = start_pacer(&state);
    command_loop(&state, &mut commands, &clients).await;
    pacer.abort();
    if shared.plan.retain {
        // rumqttc has no way to wait until a last message is delivered.
        for publisher in &clients.publishers {
            let stream = publisher.borrow().stream();
            state.add_left_behind(shared.plan.client_of(ClientKind::Publisher, stream), true);
        }
    }
    disconnect_all(&state, DISCONNECT_TIMEOUT).await;
}

/// Connects all clients of a shard, publishers last, and starts their tasks.
async fn connect_all(state: &Rc<ShardState>, clients: &mut ShardClients) -> Result<Box<Recorder>, ConnectFault> {
    let shared = &state.shared;
    let started = Instant::now();
    let mut recorder = Box::<Recorder>::default();
    let mut groups = Groups::new();
    for (kind, numbers) in clients_of(state.number(), shared) {
        let mut waiting = numbers.into_iter();
        let mut pending: JoinSet<Result<ConnectedClient, ConnectFault>> = JoinSet::new();
        // In the order of their numbers, so that the first member of a group is the same in every run.
        let mut ready = Vec::new();
        loop {
            for number in waiting.by_ref().take(CONCURRENT_CONNECTS - pending.len()) {
                pending.spawn_local(connect_one(shared.clone(), kind, number, started));
            }
            match pending.join_next().await {
                None => break,
                // Tasks are neither aborted nor panic; if one did, its client would be missing in the count.
                Some(Err(_)) => {}
                Some(Ok(connected)) => {
                    ready.push(connected?);
                    state.report(Report::Connected { target: 0 });
                }
            }
        }
        ready.sort_by_key(|connected| connected.number);
        for connected in ready {
            recorder.counters.retained += connected.retained;
            if let Some(took) = connected.suback {
                recorder.latency.suback.record(took.as_nanos() as i64);
            }
            match kind {
                ClientKind::Publisher => start_publisher(state, connected, clients)?,
                _ => start_subscriber(state, connected, &mut groups, clients),
            }
        }
    }
    Ok(recorder)
}

/// Connects one client when it is due, and subscribes it where it receives messages.
async fn connect_one(
    shared: Arc<Shared>,
    kind: ClientKind,
    number: usize,
    started: Instant,
) -> Result<ConnectedClient, ConnectFault> {
    let plan = &shared.plan;
    let client = plan.client_of(kind, number);
    wait_until_due(plan, kind, number, started).await;
    connect(&shared, kind, number, client).await.map_err(|error| (client, error))
}

async fn connect(
    shared: &Shared,
    kind: ClientKind,
    number: usize,
    client: usize,
) -> Result<ConnectedClient, ClientError> {
    let plan = &shared.plan;
    let target = plan.transport_of(client).address.to_string();
    let window = if plan.window_rule == WindowRule::None { REQUESTS_WITHOUT_WINDOW } else { plan.window };
    let (sender, mut events) = connection::open(plan, client, window, usize::from(window));
    let begun = Instant::now();
    let receive_maximum = events.connect(&target).await?;
    let took = begun.elapsed();
    let mut connected = ConnectedClient {
        number,
        client: sender,
        events,
        took,
        suback: None,
        window: window.min(receive_maximum.unwrap_or(u16::MAX)),
        retained: 0,
    };
    if kind == ClientKind::Subscriber {
        let begun = Instant::now();
        let filters = filters_of(shared, kind, number);
        let subscribe = connected.subscribe(&filters, plan.qos, &target);
        let timeout = plan.transport.timeout;
        let waited = || ClientError::Unanswered { target: target.clone(), packet: "SUBSCRIBE", waited: timeout };
        tokio::time::timeout(timeout, subscribe).await.map_err(|_| waited())??;
        connected.suback = Some(begun.elapsed());
    }
    Ok(connected)
}

impl ConnectedClient {
    async fn subscribe(&mut self, filters: &[String], qos: QoS, target: &str) -> Result<(), ClientError> {
        let target = || target.to_owned();
        for filters in filters.chunks(FILTERS_PER_SUBSCRIBE) {
            if !self.client.subscribe(filters, qos) {
                let cause = Some("rumqttc does not accept the topic filters".to_owned());
                return Err(ClientError::Lost { target: target(), cause, before_connack: false, hint: None });
            }
            let answers = loop {
                match self.events.next(&target()).await? {
                    LibraryEvent::Subscribed(answers) => break answers,
                    LibraryEvent::Arrived(message) => self.retained += u64::from(message.retain),
                    _ => {}
                }
            };
            for (filter, answer) in filters.iter().zip(answers) {
                match answer {
                    Err(reason) => {
                        return Err(ClientError::SubscribeRefused { target: target(), filter: filter.clone(), reason });
                    }
                    Ok(granted) if granted < qos.number() => {
                        return Err(ClientError::SubscribeDowngraded { target: target(), asked: qos, granted });
                    }
                    Ok(_) => {}
                }
            }
        }
        Ok(())
    }
}

fn start_publisher(
    state: &Rc<ShardState>,
    connected: ConnectedClient,
    clients: &mut ShardClients,
) -> Result<(), ConnectFault> {
    let plan = &state.shared.plan;
    let ConnectedClient { number, client, events, took, window, .. } = connected;
    let packets = Packets::new(plan, number, MAX_PACKET_SIZE);
    let packets = packets.map_err(|error| (number, ClientError::Publish(PublishError::from(error))))?;
    let publisher = Rc::new(RefCell::new(Publisher::new(number, packets, plan.qos, took)));
    clients.publishers.push(publisher.clone());
    let lane = Rc::new(RefCell::new(Lane::new(plan, number, client, window)));
    let index = state.tasks.add();
    let guard = TaskGuard(state.clone());
    let feeder = Feeder { state: state.clone(), index, publisher: publisher.clone(), lane: lane.clone() };
    tokio::task::spawn_local(feeder);
    tokio::task::spawn_local(poll_publisher(guard, index, publisher, lane, events));
    Ok(())
}

fn start_subscriber(
    state: &Rc<ShardState>,
    connected: ConnectedClient,
    groups: &mut Groups,
    clients: &mut ShardClients,
) {
    let subscriber = Rc::new(RefCell::new(Subscriber::new(&state.shared, connected.number, groups)));
    clients.subscribers.push(subscriber.clone());
    let index = state.tasks.add();
    let guard = TaskGuard(state.clone());
    tokio::task::spawn_local(poll_subscriber(guard, index, subscriber, connected.client, connected.events));
}

/// The task of a client counts as one of the shard's until it ends.
struct TaskGuard(Rc<ShardState>);

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.tasks.remove_one();
    }
}

/// The connection was lost for good; the client's number is global.
fn leave(state: &ShardState, index: usize, kind: ClientKind, client: usize, error: &ClientError) {
    let target = state.shared.plan.target_of(client);
    state.report(Report::Lost { kind, target, cause: error.cause() });
    state.tasks.remove_waker(index);
    let publishes = kind == ClientKind::Publisher;
    // Where messages are retained, all publishers are cleaned up at the end.
    if !publishes && needs_clean_up(&state.shared, publishes) {
        state.add_left_behind(client, publishes);
    }
}
