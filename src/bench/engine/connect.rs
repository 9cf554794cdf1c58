//! The beginning and the end of clients: connect, subscribe; clean up, disconnect.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::clock;
use super::echo::{Responder, request_topic, response_topic};
use super::ledgers::Groups;
use super::link::{BenchSession, Link, SendRecord};
use super::packets::Packets;
use super::publisher::Publisher;
use super::shared::Shared;
use super::subscriber::Subscriptions;
use crate::bench::measure::Recorder;
use crate::bench::plan::{Part, SHARE};
use crate::client::{ClientError, DisconnectGuard, Established, establish, exchange};
use crate::mqtt::wire::{PublishTemplate, Suback, Subscribe, SubscribeFilter};
use crate::mqtt::{Message, Properties, Property, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, PublishError, SessionConfig};
use crate::transport::{Address, ConnectTimings, Connection, TlsClient};

/// Connects under way at once in a shard; a broker's listen queue is often 128.
pub(super) const AT_ONCE: usize = 64;

/// How often clients that are connected are looked after while others connect.
const ROUND: Duration = Duration::from_millis(250);

/// Reads of a client in one such round, and bytes of each.
const READS: usize = 4;
const READ_BUFFER: usize = 32 * 1024;

/// Topic filters in one SUBSCRIBE: some brokers (AWS IoT) take no more.
const FILTERS_AT_ONCE: usize = 8;
/// SUBSCRIBEs of a client that are sent together.
const SUBSCRIBES_AT_ONCE: usize = 25;

/// The clients of a shard, connected.
pub(super) struct Ready {
    pub(super) publishers: Vec<(Link, Publisher)>,
    pub(super) subscribers: Vec<(Link, Subscriptions)>,
    pub(super) responders: Vec<(Link, Responder)>,
    pub(super) recorder: Box<Recorder>,
}

/// The clients of a shard by their numbers, in the order in which they connect: everybody who listens is there before
/// the first publisher. A subscriber is on the thread of its first publisher, so that streams between two clients stay
/// on one thread.
fn clients_of(shard: usize, shared: &Shared) -> [(Part, Vec<usize>); 3] {
    let plan = &shared.plan;
    let own = |count: usize| (0..count).filter(|number| number % plan.threads == shard).collect();
    let spread = |subscriber: usize| {
        let streams = plan.routes.streams_of(subscriber);
        // Several subscribers of one stream would all sit on its publisher's thread. The members of a group keep one
        // ledger, and are together on one thread.
        let spread = plan.routes.is_everything_for_all() || plan.subscribers > plan.publishers;
        (if spread { plan.routes.receiver_of(subscriber) } else { streams.first }) % plan.threads
    };
    let subscribers = (0..plan.subscribers).filter(|subscriber| spread(*subscriber) == shard).collect();
    [(Part::Responder, own(plan.responders)), (Part::Subscriber, subscribers), (Part::Publisher, own(plan.publishers))]
}

/// A client that is connected, by its number among those that do the same.
pub(super) struct Joined {
    part: Part,
    number: usize,
    client: Client,
}

/// Clients that connect, and those that have and were not looked at yet.
pub(super) type Joining = JoinSet<Result<Joined, (usize, ClientError)>>;

/// Connects all clients of a shard, publishers last, puts them into `joined` and calls `connected` for each. Ends with
/// the first that cannot, and its global number; those in `joined`, and in `tasks` where it ended before, are then to be
/// seen off.
pub(super) async fn all(
    shard: usize,
    shared: &Arc<Shared>,
    tls: Option<&TlsClient>,
    connected: impl Fn(),
    joined: &mut Vec<Joined>,
    tasks: &mut Joining,
) -> Result<(), (usize, ClientError)> {
    let started = Instant::now();
    let mut round = tokio::time::interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut input, mut out) = (vec![0; READ_BUFFER], Vec::new());
    for (part, numbers) in clients_of(shard, shared) {
        let mut waiting = numbers.into_iter();
        loop {
            // A connecting client takes kilobytes, a connected one hundreds of bytes: only some connect at a time.
            for number in waiting.by_ref().take(AT_ONCE - tasks.len()) {
                tasks.spawn_local(connect_one(shared.clone(), tls.cloned(), part, number, started));
            }
            let connected_one = tokio::select! {
                outcome = tasks.join_next() => outcome,
                _ = round.tick() => {
                    look_after(shared, joined, &mut input, &mut out).await?;
                    continue;
                }
            };
            match connected_one {
                None => break,
                // A task is neither aborted nor does it panic; if it did, its client would be missing in the count.
                Some(Err(_)) => {}
                Some(Ok(outcome)) => {
                    joined.push(outcome?);
                    connected();
                }
            }
        }
    }
    Ok(())
}

/// Reads what came for the clients that are connected, and keeps their connections alive: others may take longer to
/// connect than the broker waits for a sign of life. Ends with the first that was lost.
async fn look_after(
    shared: &Shared,
    joined: &mut [Joined],
    input: &mut [u8],
    out: &mut Vec<u8>,
) -> Result<(), (usize, ClientError)> {
    // All of them in one go: a task's fair share of reads would leave out the same ones each time.
    let all = std::future::poll_fn(|context| {
        Poll::Ready(joined.iter_mut().try_for_each(|joined| {
            let client = shared.plan.client_of(joined.part, joined.number);
            joined.keep_alive(shared, context, input, out).map_err(|error| (client, error))
        }))
    });
    tokio::task::unconstrained(all).await
}

impl Joined {
    fn keep_alive(
        &mut self,
        shared: &Shared,
        context: &mut Context<'_>,
        input: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        let Client { link, .. } = &mut self.client;
        let client = shared.plan.client_of(self.part, self.number);
        let target = || shared.plan.transport_of(client).address.to_string();
        let lost = |error: Option<&std::io::Error>| ClientError::lost(target(), error, false);
        let failed = |error| ClientError::Session { target: target(), error };
        for _ in 0..READS {
            match link.poll_read(context, input) {
                Poll::Ready(Ok(0)) => return Err(lost(None)),
                Poll::Ready(Ok(count)) => link
                    .session
                    .handle_input(&input[..count], clock::now(), &mut ConnectEars::default())
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

/// Makes publishers and subscribers of connected clients, and takes them out of `joined`. Ends with the first message
/// that cannot be sent; all clients are then to be seen off.
pub(super) fn ready(shared: &Shared, joined: &mut Vec<Joined>) -> Result<Ready, (usize, ClientError)> {
    joined.sort_by_key(|joined| joined.number);
    let packets = |joined: &Joined| {
        let limit = joined.client.link.session.limits().maximum_packet_size;
        let packets = Packets::new(&shared.plan, joined.number, limit);
        packets.map_err(|error| (joined.number, ClientError::Publish(error.into())))
    };
    let publishers = joined.iter().filter(|joined| joined.part == Part::Publisher);
    let mut packets = publishers.map(packets).collect::<Result<Vec<_>, _>>()?.into_iter();
    let mut groups = Groups::new();
    let mut ready =
        Ready { publishers: Vec::new(), subscribers: Vec::new(), responders: Vec::new(), recorder: Box::default() };
    for Joined { part, number, client: Client { link, times } } in joined.drain(..) {
        times.record(&mut ready.recorder);
        match part {
            Part::Subscriber => ready.subscribers.push((link, Subscriptions::new(shared, number, &mut groups))),
            Part::Publisher => {
                // There are those of each publisher, in this order.
                let publisher =
                    packets.next().map(|packets| Publisher::new(number, packets, shared.plan.qos, times.connack));
                ready.publishers.extend(publisher.map(|publisher| (link, publisher)));
            }
            Part::Responder => ready.responders.push((link, Responder::new(number, shared))),
            // These are connected elsewhere.
            Part::Idler => {}
        }
    }
    Ok(ready)
}

/// Sees off clients whose load never began: no will is published and no session stays. Those that still connect are
/// dropped, and say goodbye as they are.
pub(super) async fn see_off(shared: &Shared, tls: Option<&TlsClient>, mut joined: Vec<Joined>, mut tasks: Joining) {
    while let Some(ended) = tasks.try_join_next() {
        joined.extend(ended.ok().and_then(Result::ok));
    }
    drop(tasks);
    for Joined { part, number, client } in joined {
        leave(shared, tls, client.link, shared.plan.client_of(part, number), false).await;
    }
}

/// Connects one client when its time has come.
async fn connect_one(
    shared: Arc<Shared>,
    tls: Option<TlsClient>,
    part: Part,
    number: usize,
    started: Instant,
) -> Result<Joined, (usize, ClientError)> {
    let plan = &shared.plan;
    let client = plan.client_of(part, number);
    let position = match part {
        Part::Responder | Part::Idler => number,
        Part::Subscriber => plan.responders + number,
        Part::Publisher => plan.responders + plan.subscribers + number,
    };
    if let Some(rate) = plan.connect_rate {
        tokio::time::sleep_until(started + Duration::from_secs_f64(position as f64 / rate)).await;
    }
    let mut session = BenchSession::new(clock::now());
    match join(&shared, tls.as_ref(), client, &mut session, None, None).await {
        Ok((connection, times)) => {
            let link = Link::new(connection, session, plan.target_of(client));
            Ok(Joined { part, number, client: Client { link, times } })
        }
        Err(error) => Err((client, error)),
    }
}

/// The topic filters that a client subscribes to: those of the streams that a subscriber gets, or the requests that a
/// responder answers.
fn filters_of(shared: &Shared, part: Part, number: usize) -> Vec<String> {
    let plan = &shared.plan;
    match part {
        Part::Responder => vec![request_topic(&plan.topic_of(number))],
        // An echo has as many subscribers as publishers, each with a stream of its own.
        _ if plan.responders > 0 => vec![response_topic(&plan.topic_of(number))],
        _ => plan.routes.filters_of(number, |client| plan.names_of(client)),
    }
}

/// A client that has connected, and subscribed where it is to.
struct Client {
    link: Link,
    times: Times,
}

/// How long the steps of a connection took.
pub(super) struct Times {
    steps: ConnectTimings,
    connack: Duration,
    suback: Option<Duration>,
    /// Retained messages that came beside SUBACK.
    retained: u64,
}

impl Times {
    pub(super) fn record(&self, recorder: &mut Recorder) {
        let ns = |duration: Duration| duration.as_nanos() as i64;
        // The name was looked up once for all.
        recorder.latency.connect_tcp.record(ns(self.steps.tcp));
        recorder.latency.connack.record(ns(self.connack));
        let ConnectTimings { proxy, tls, web_socket, .. } = self.steps;
        for (latency, took) in [
            (&mut recorder.latency.connect_proxy, proxy),
            (&mut recorder.latency.connect_tls, tls),
            (&mut recorder.latency.connect_ws, web_socket),
        ] {
            if let Some(took) = took {
                latency.record(ns(took));
            }
        }
        if let Some(suback) = self.suback {
            recorder.latency.suback.record(ns(suback));
        }
        recorder.counters.retained += self.retained;
    }
}

/// Connects a client by its global number, and subscribes where it is to. A session that was connected before goes on;
/// `early` takes the messages that come before that is done. `window` is the most in flight, where it is not the plan's.
pub(super) async fn join(
    shared: &Shared,
    tls: Option<&TlsClient>,
    client: usize,
    session: &mut BenchSession,
    window: Option<u16>,
    early: Option<&mut dyn EarlyPackets>,
) -> Result<(Connection, Times), ClientError> {
    let plan = &shared.plan;
    let mut config = plan.session_of(client);
    config.window = window.map_or(config.window, |window| window.min(config.window));
    let transport = plan.transport_of(client);
    let mut ears = ConnectEars { subacks: Vec::new(), early, retained: 0 };
    let Established { mut connection, timings, connack } =
        establish(&transport, tls, &config, session, &mut ears).await?;
    let mut guard = DisconnectGuard::new(&mut connection);
    let (part, number) = plan.part_of(client);
    if matches!(part, Part::Publisher | Part::Responder) {
        check_limits(shared, session)?;
    }
    let mut suback = None;
    if matches!(part, Part::Subscriber | Part::Responder) {
        let started = Instant::now();
        let topics = filters_of(shared, part, number);
        subscribe(shared, topics, &transport.address, guard.connection(), session, &mut ears).await?;
        suback = Some(started.elapsed());
    }
    guard.disarm();
    if shared.tls.get().is_none()
        && let Some(agreed) = connection.tls_info()
    {
        // Another thread may have been first.
        let _ = shared.tls.set(agreed);
    }
    Ok((connection, Times { steps: timings, connack, suback, retained: ears.retained }))
}

/// What the broker's CONNACK does not allow is told before the load.
fn check_limits(shared: &Shared, session: &BenchSession) -> Result<(), ClientError> {
    let (plan, limits) = (&shared.plan, session.limits());
    if plan.qos > limits.maximum_qos {
        return Err(PublishError::QosNotSupported(limits.maximum_qos).into());
    }
    if plan.retain && !limits.retain_available {
        return Err(PublishError::RetainNotAvailable.into());
    }
    let (alias, maximum) = (plan.publish_properties.number(PropertyName::TopicAlias), limits.topic_alias_maximum);
    if let Some(alias) = alias.filter(|alias| *alias > u32::from(maximum)) {
        // A Two Byte Integer.
        return Err(PublishError::TopicAlias { alias: alias as u16, maximum }.into());
    }
    Ok(())
}

async fn subscribe(
    shared: &Shared,
    topics: Vec<String>,
    address: &Address,
    connection: &mut Connection,
    session: &mut BenchSession,
    ears: &mut ConnectEars<'_>,
) -> Result<(), ClientError> {
    let plan = &shared.plan;
    let target = address.to_string();
    if let Some(filter) = topics.iter().find(|filter| filter.starts_with(SHARE))
        && !session.limits().shared_subscription_available
    {
        let (filter, reason) = (filter.clone(), ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED);
        return Err(ClientError::SubscribeRefused { target, filter, reason });
    }
    for topics in topics.chunks(FILTERS_AT_ONCE * SUBSCRIBES_AT_ONCE) {
        let mut asked = Vec::new();
        for topics in topics.chunks(FILTERS_AT_ONCE) {
            let filters = topics.iter().map(|topic| SubscribeFilter {
                filter: topic.clone(),
                qos: plan.qos,
                ..Default::default()
            });
            let properties = plan.subscribe_properties.clone();
            let subscribe = Subscribe { packet_identifier: 0, properties, filters: filters.collect() };
            asked.push((session.subscribe(subscribe)?, topics));
        }
        while !asked.is_empty() {
            let wait = exchange(connection, session, ears, &target, |_, ears| !ears.subacks.is_empty());
            match tokio::time::timeout(plan.transport.timeout, wait).await {
                Ok(done) => done?,
                Err(_) => {
                    return Err(ClientError::Unanswered {
                        target,
                        packet: "SUBSCRIBE",
                        waited: plan.transport.timeout,
                    });
                }
            }
            for granted in ears.subacks.drain(..) {
                let answered = asked.iter().position(|(identifier, _)| *identifier == granted.packet_identifier);
                let Some(answered) = answered else { continue };
                let (_, topics) = asked.swap_remove(answered);
                if let Some((filter, reason)) =
                    topics.iter().zip(&granted.reasons).find(|(_, reason)| reason.is_error())
                {
                    return Err(ClientError::SubscribeRefused { target, filter: filter.clone(), reason: *reason });
                }
                if let Some(granted) = granted.reasons.iter().find(|granted| granted.0 < plan.qos.number()) {
                    return Err(ClientError::SubscribeDowngraded { target, asked: plan.qos, granted: granted.0 });
                }
            }
        }
    }
    Ok(())
}

/// Who handles what comes for a client while it is connecting again.
pub(super) trait EarlyPackets {
    /// A message came.
    fn take(&mut self, delivery: &Delivery<'_>);

    /// Writes a message of an earlier connection again, see [`Handler::rewrite`].
    fn rewrite(&mut self, kept: &SendRecord, packet: (u16, bool), out: &mut Vec<u8>) -> bool;
}

/// Ears while connecting.
#[derive(Default)]
struct ConnectEars<'a> {
    subacks: Vec<Suback>,
    early: Option<&'a mut dyn EarlyPackets>,
    /// Retained messages that `early` has not taken.
    retained: u64,
}

impl Handler<SendRecord> for ConnectEars<'_> {
    /// Before the load only what an earlier run has left can come; it is not ours. In the middle of it a session that was
    /// kept delivers behind CONNACK what has waited for it, and others deliver beside SUBACK.
    fn on_message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        if let Some(early) = &mut self.early {
            early.take(delivery);
        } else if delivery.publish.retain {
            self.retained += 1;
        }
        Acknowledge::Now
    }

    fn on_completed(&mut self, _completion: Completion<'_, SendRecord>) {}

    fn rewrite(&mut self, kept: &SendRecord, packet_identifier: u16, dup: bool, out: &mut Vec<u8>) -> bool {
        self.early.as_mut().is_some_and(|early| early.rewrite(kept, (packet_identifier, dup), out))
    }

    fn on_event(&mut self, event: Event) {
        if let Event::Subscribed(suback) = event {
            self.subacks.push(suback);
        }
    }
}

/// Takes back what a client has left on the broker — its retained message, its session — and disconnects. Whatever
/// fails here fails silently: the broker may be gone.
pub(super) async fn leave(shared: &Shared, tls: Option<&TlsClient>, link: Link, client: usize, publishes: bool) {
    let plan = &shared.plan;
    let (mut connection, mut session, mut out) = link.into_parts();
    session.take_output(&mut out);
    if publishes && plan.retain {
        take_retained_back(shared, client, &mut out);
    }
    let mut properties = Properties::new();
    let expiry = plan.session.connect_properties.number(PropertyName::SessionExpiryInterval);
    if plan.session.version == ProtocolVersion::V5
        && expiry.is_some_and(|seconds| seconds > 0)
        && let Ok(expiry) = Property::new(PropertyName::SessionExpiryInterval, PropertyValue::FourByte(0))
    {
        properties.push(expiry);
    }
    let _ = session.disconnect(ReasonCode::SUCCESS, properties);
    session.take_output(&mut out);
    let _ = connection.write_all(&out).await;
    let _ = connection.shutdown().await;
    if !plan.session.clean_start && plan.session.version != ProtocolVersion::V5 {
        // Before 5.0 only a connection with a clean session ends a session that was kept.
        clear(shared, tls, client, false).await;
    }
}

/// Appends what takes a client's retained message away.
fn take_retained_back(shared: &Shared, client: usize, out: &mut Vec<u8>) {
    let plan = &shared.plan;
    let topic = plan.topic_of(client);
    let empty = Message { topic, payload: Bytes::new(), qos: QoS::AtMostOnce, retain: true, ..Message::default() };
    if let Ok(template) = PublishTemplate::new(&empty, plan.session.version) {
        template.append(0, &[], out);
    }
}

/// Whether a client that just goes away leaves something on the broker.
pub(super) fn leaves_something(shared: &Shared, publishes: bool) -> bool {
    let plan = &shared.plan;
    let expiry = plan.session.connect_properties.number(PropertyName::SessionExpiryInterval);
    (publishes && plan.retain) || !plan.session.clean_start || expiry.is_some_and(|seconds| seconds > 0)
}

/// Takes back what a client has left on the broker, with a connection of its own: for one whose connection was lost.
/// Whatever fails here fails silently: the broker may be gone.
pub(super) async fn clear(shared: &Shared, tls: Option<&TlsClient>, client: usize, publishes: bool) {
    let plan = &shared.plan;
    let mut config = SessionConfig { clean_start: true, will: None, ..plan.session_of(client) };
    config.connect_properties.remove(PropertyName::SessionExpiryInterval);
    let mut session = BenchSession::new(clock::now());
    let mut ears = ConnectEars::default();
    let transport = plan.transport_of(client);
    if let Ok(Established { mut connection, .. }) = establish(&transport, tls, &config, &mut session, &mut ears).await {
        let mut out = Vec::new();
        if publishes && plan.retain {
            take_retained_back(shared, client, &mut out);
        }
        let _ = session.disconnect(ReasonCode::SUCCESS, Properties::new());
        session.take_output(&mut out);
        let _ = connection.write_all(&out).await;
        let _ = connection.shutdown().await;
    }
}
