//! Connects the clients of a shard before the load, and keeps them connected until all are ready.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::clock;
use super::connect::{ConnectHandler, ConnectLatencies, connect};
use super::disconnect::disconnect;
use super::ledgers::Groups;
use super::link::{BenchSession, Link};
use super::packets::Packets;
use super::publisher::Publisher;
use super::responder::Responder;
use super::shared::Shared;
use super::subscriber::Subscriber;
use crate::bench::measure::Recorder;
use crate::bench::plan::{BenchPlan, ClientKind};
use crate::client::ClientError;
use crate::transport::TlsClient;

/// Connects in progress at once per shard; the listen queue of a broker is often 128.
pub(super) const CONCURRENT_CONNECTS: usize = 64;

/// The same where connects follow a rate: the schedule must not wait for the broker, but each connect in progress takes
/// kilobytes.
const CONCURRENT_SCHEDULED_CONNECTS: usize = 1024;

/// How often connected clients are kept alive while others connect.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_millis(250);

/// Reads per client each time, and bytes per read.
const READS: usize = 4;
const READ_BUFFER: usize = 32 * 1024;

/// Connects that one thread of a plan has in progress at once.
pub(crate) fn concurrent_connects(plan: &BenchPlan) -> usize {
    if plan.idlers > 0 && plan.connect_rate.is_some() { CONCURRENT_SCHEDULED_CONNECTS } else { CONCURRENT_CONNECTS }
}

/// A connected client, by its number among the clients of its kind.
pub(super) struct ConnectedClient {
    kind: ClientKind,
    number: usize,
    link: Link,
    latencies: ConnectLatencies,
}

/// Why a client could not connect, with its global number.
pub(super) type ConnectFault = (usize, ClientError);

/// Clients that are connecting, and those that finished and were not collected yet.
pub(super) type PendingConnects = JoinSet<Result<ConnectedClient, ConnectFault>>;

/// The clients of a shard, ready for the load.
pub(super) struct ReadyClients {
    pub(super) publishers: Vec<(Link, Publisher)>,
    pub(super) subscribers: Vec<(Link, Subscriber)>,
    pub(super) responders: Vec<(Link, Responder)>,
    /// How long connecting took.
    pub(super) recorder: Box<Recorder>,
}

/// The clients of a shard by their numbers, in the order in which they connect: every receiver is there before the
/// first publisher.
pub(super) fn clients_of(shard: usize, shared: &Shared) -> [(ClientKind, Vec<usize>); 3] {
    let plan = &shared.plan;
    [ClientKind::Responder, ClientKind::Subscriber, ClientKind::Publisher].map(|kind| {
        let numbers = plan.own(kind).filter(|number| plan.thread_of(kind, *number) == shard).collect();
        (kind, numbers)
    })
}

/// Connects all clients of a shard, publishers last, adds them to `connected` and calls `on_connect` for each.
///
/// # Errors
/// The first client that cannot connect. The caller then passes `connected` and `pending` to [`abort_all`].
pub(super) async fn connect_all(
    shard: usize,
    shared: &Arc<Shared>,
    tls: Option<&TlsClient>,
    on_connect: impl Fn(),
    connected: &mut Vec<ConnectedClient>,
    pending: &mut PendingConnects,
) -> Result<(), ConnectFault> {
    let started = Instant::now();
    let mut interval = tokio::time::interval(KEEP_ALIVE_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut input, mut out) = (vec![0; READ_BUFFER], Vec::new());
    for (kind, numbers) in clients_of(shard, shared) {
        let mut waiting = numbers.into_iter();
        loop {
            // A connecting client takes kilobytes, a connected one hundreds of bytes.
            for number in waiting.by_ref().take(CONCURRENT_CONNECTS - pending.len()) {
                pending.spawn_local(connect_one(shared.clone(), tls.cloned(), kind, number, started));
            }
            let ended = tokio::select! {
                ended = pending.join_next() => ended,
                _ = interval.tick() => {
                    keep_all_alive(shared, connected, &mut input, &mut out).await?;
                    continue;
                }
            };
            match ended {
                None => break,
                // Tasks are neither aborted nor panic; if one did, its client would be missing in the count.
                Some(Err(_)) => {}
                Some(Ok(outcome)) => {
                    connected.push(outcome?);
                    on_connect();
                }
            }
        }
    }
    Ok(())
}

/// The place of a client in the order in which a plan connects them.
const fn connect_position(plan: &BenchPlan, kind: ClientKind, number: usize) -> usize {
    match kind {
        ClientKind::Responder | ClientKind::Idler => number,
        ClientKind::Subscriber => plan.responders + number,
        ClientKind::Publisher => plan.responders + plan.subscribers + number,
    }
}

/// Waits until this client is due to connect.
pub(super) async fn wait_until_due(plan: &BenchPlan, kind: ClientKind, number: usize, started: Instant) {
    if let Some(rate) = plan.connect_rate {
        let position = connect_position(plan, kind, number);
        tokio::time::sleep_until(started + Duration::from_secs_f64(position as f64 / rate)).await;
    }
}

/// Connects one client when it is due.
async fn connect_one(
    shared: Arc<Shared>,
    tls: Option<TlsClient>,
    kind: ClientKind,
    number: usize,
    started: Instant,
) -> Result<ConnectedClient, ConnectFault> {
    let plan = &shared.plan;
    let client = plan.client_of(kind, number);
    wait_until_due(plan, kind, number, started).await;
    let mut session = BenchSession::new(clock::now());
    match connect(&shared, tls.as_ref(), client, &mut session, None).await {
        Ok((connection, latencies)) => {
            let link = Link::new(connection, session, plan.target_of(client));
            Ok(ConnectedClient { kind, number, link, latencies })
        }
        Err(error) => Err((client, error)),
    }
}

/// Reads what arrived for the connected clients and sends their pings: others may take longer to connect than Keep
/// Alive lasts. Fails with the first connection that was lost.
async fn keep_all_alive(
    shared: &Shared,
    connected: &mut [ConnectedClient],
    input: &mut [u8],
    out: &mut Vec<u8>,
) -> Result<(), ConnectFault> {
    // All in one poll: a task's fair share of reads would leave out the same clients each time.
    let all = std::future::poll_fn(|context| {
        Poll::Ready(connected.iter_mut().try_for_each(|connected| {
            let client = shared.plan.client_of(connected.kind, connected.number);
            connected.keep_alive(shared, context, input, out).map_err(|error| (client, error))
        }))
    });
    tokio::task::unconstrained(all).await
}

impl ConnectedClient {
    fn keep_alive(
        &mut self,
        shared: &Shared,
        context: &mut Context<'_>,
        input: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        let link = &mut self.link;
        let client = shared.plan.client_of(self.kind, self.number);
        let target = || shared.plan.transport_of(client).address.to_string();
        let lost = |error: Option<&std::io::Error>| ClientError::lost(target(), error, false);
        let failed = |error| ClientError::Session { target: target(), error };
        for _ in 0..READS {
            match link.poll_read(context, input) {
                Poll::Ready(Ok(0)) => return Err(lost(None)),
                Poll::Ready(Ok(count)) => link
                    .session
                    .handle_input(&input[..count], clock::now(), &mut ConnectHandler::default())
                    .map_err(failed)?,
                Poll::Ready(Err(error)) => return Err(lost(Some(&error))),
                Poll::Pending => break,
            }
        }
        let now = clock::now();
        if link.session.poll_timeout().is_some_and(|deadline| now >= deadline) {
            link.handle_timeout(now).map_err(failed)?;
        }
        link.flush(context).and_then(|_| link.send_output(context, out)).map_err(|error| lost(Some(&error)))?;
        Ok(())
    }
}

/// Takes the connected clients out of `connected` and builds publishers, subscribers and responders from them.
///
/// # Errors
/// The first message that cannot be sent. The caller then passes `connected` to [`abort_all`].
pub(super) fn build_clients(
    shared: &Shared,
    connected: &mut Vec<ConnectedClient>,
) -> Result<ReadyClients, ConnectFault> {
    connected.sort_by_key(|connected| connected.number);
    let packets = |connected: &ConnectedClient| {
        let limit = connected.link.session.limits().maximum_packet_size;
        let packets = Packets::new(&shared.plan, connected.number, limit);
        packets.map_err(|error| (connected.number, ClientError::Publish(error.into())))
    };
    let publishers = connected.iter().filter(|connected| connected.kind == ClientKind::Publisher);
    let mut packets = publishers.map(packets).collect::<Result<Vec<_>, _>>()?.into_iter();
    let mut groups = Groups::new();
    let mut ready = ReadyClients {
        publishers: Vec::new(),
        subscribers: Vec::new(),
        responders: Vec::new(),
        recorder: Box::default(),
    };
    for ConnectedClient { kind, number, link, latencies } in connected.drain(..) {
        latencies.record(&mut ready.recorder);
        match kind {
            ClientKind::Subscriber => ready.subscribers.push((link, Subscriber::new(shared, number, &mut groups))),
            ClientKind::Publisher => {
                // One for each publisher, in this order.
                let publisher =
                    packets.next().map(|packets| Publisher::new(number, packets, shared.plan.qos, latencies.connack()));
                ready.publishers.extend(publisher.map(|publisher| (link, publisher)));
            }
            ClientKind::Responder => ready.responders.push((link, Responder::new(number, shared))),
            // The shard that holds connections makes its own.
            ClientKind::Idler => {}
        }
    }
    Ok(ready)
}

/// Disconnects clients whose load never started, without will messages and without leaving sessions. Connects in
/// progress are dropped; each disconnects as far as it got.
pub(super) async fn abort_all(
    shared: &Shared,
    tls: Option<&TlsClient>,
    mut connected: Vec<ConnectedClient>,
    mut pending: PendingConnects,
) {
    while let Some(ended) = pending.try_join_next() {
        connected.extend(ended.ok().and_then(Result::ok));
    }
    drop(pending);
    for ConnectedClient { kind, number, link, .. } in connected {
        disconnect(shared, tls, link, shared.plan.client_of(kind, number), false).await;
    }
}
