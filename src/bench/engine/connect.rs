//! Connects one client, and subscribes it where it receives messages.

use std::time::Duration;

use tokio::time::Instant;

use super::link::{BenchSession, SendRecord};
use super::request::{request_topic, response_topic};
use super::shared::Shared;
use crate::bench::measure::Recorder;
use crate::bench::plan::{ClientKind, SHARE};
use crate::client::{ClientError, DisconnectGuard, Established, establish, exchange};
use crate::mqtt::wire::{Suback, Subscribe, SubscribeFilter};
use crate::mqtt::{PropertyName, QoS, ReasonCode};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, PublishError};
use crate::transport::{Address, ConnectTimings, Connection, TlsClient};

/// Topic filters per SUBSCRIBE: some brokers (AWS IoT) accept no more.
const FILTERS_PER_SUBSCRIBE: usize = 8;
/// SUBSCRIBE packets of one client that are sent together.
const SUBSCRIBES_IN_FLIGHT: usize = 25;

/// How long the steps of a connection took.
pub(super) struct ConnectLatencies {
    steps: ConnectTimings,
    connack: Duration,
    suback: Option<Duration>,
    /// Retained messages that arrived before SUBACK.
    retained: u64,
}

impl ConnectLatencies {
    /// From CONNECT to CONNACK.
    pub(super) const fn connack(&self) -> Duration {
        self.connack
    }

    pub(super) fn record(&self, recorder: &mut Recorder) {
        let ns = |duration: Duration| duration.as_nanos() as i64;
        // The name was resolved once for all clients.
        recorder.latency.connect_tcp.record(ns(self.steps.tcp));
        recorder.latency.connack.record(ns(self.connack));
        let ConnectTimings { proxy, tls, web_socket, .. } = self.steps;
        for (latency, took) in [
            (&mut recorder.latency.connect_proxy, proxy),
            (&mut recorder.latency.connect_tls, tls),
            (&mut recorder.latency.connect_ws, web_socket),
            (&mut recorder.latency.suback, self.suback),
        ] {
            if let Some(took) = took {
                latency.record(ns(took));
            }
        }
        recorder.counters.retained += self.retained;
    }
}

/// Handles the packets of a client that reconnects, until its task has the new connection.
pub(super) trait EarlyHandler {
    /// A message arrived.
    fn on_message(&mut self, delivery: &Delivery<'_>);

    /// Writes a message of an earlier connection again, see [`Handler::rewrite`].
    fn rewrite(&mut self, kept: &SendRecord, packet: (u16, bool), out: &mut Vec<u8>) -> bool;

    /// The most messages in flight on the new connection, where losses reduced it.
    fn window_limit(&self) -> Option<u16>;

    /// The new connection was lost before the task had it.
    fn on_failed(&mut self);
}

/// Connects a client by its global number, and subscribes it where it receives messages. A session that was connected
/// before is continued; `early` handles what arrives meanwhile.
pub(super) async fn connect(
    shared: &Shared,
    tls: Option<&TlsClient>,
    client: usize,
    session: &mut BenchSession,
    early: Option<&mut dyn EarlyHandler>,
) -> Result<(Connection, ConnectLatencies), ClientError> {
    let plan = &shared.plan;
    let mut config = plan.session_of(client);
    if let Some(limit) = early.as_ref().and_then(|early| early.window_limit()) {
        config.window = config.window.min(limit);
    }
    let transport = plan.transport_of(client);
    let mut handler = ConnectHandler { subacks: Vec::new(), early, retained: 0 };
    let Established { mut connection, timings, connack } =
        establish(&transport, tls, &config, session, &mut handler).await?;
    let mut guard = DisconnectGuard::new(&mut connection);
    let (kind, number) = plan.kind_of(client);
    if matches!(kind, ClientKind::Publisher | ClientKind::Responder) {
        check_limits(shared, session)?;
    }
    let mut suback = None;
    if matches!(kind, ClientKind::Subscriber | ClientKind::Responder) {
        let started = Instant::now();
        let filters = filters_of(shared, kind, number);
        subscribe(shared, &filters, &transport.address, guard.connection(), session, &mut handler).await?;
        suback = Some(started.elapsed());
    }
    guard.disarm();
    // Another thread may have been first, here and below.
    let _ = shared.limits.set(*session.limits());
    if shared.tls.get().is_none()
        && let Some(agreed) = connection.tls_info()
    {
        let _ = shared.tls.set(agreed);
    }
    Ok((connection, ConnectLatencies { steps: timings, connack, suback, retained: handler.retained }))
}

/// Reports before the load starts what CONNACK does not allow.
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

/// The topic filters of a client: the streams that a subscriber receives, or the requests that a responder answers.
pub(super) fn filters_of(shared: &Shared, kind: ClientKind, number: usize) -> Vec<String> {
    let plan = &shared.plan;
    match kind {
        ClientKind::Responder => vec![request_topic(&plan.topic_of(number))],
        // `echo` has one subscriber per publisher, for the responses to it.
        _ if plan.responders > 0 => vec![response_topic(&plan.topic_of(number))],
        _ => plan.routes.filters_of(number, |client| plan.names_of(client)),
    }
}

async fn subscribe(
    shared: &Shared,
    filters: &[String],
    address: &Address,
    connection: &mut Connection,
    session: &mut BenchSession,
    handler: &mut ConnectHandler<'_>,
) -> Result<(), ClientError> {
    let plan = &shared.plan;
    let target = address.to_string();
    if let Some(filter) = filters.iter().find(|filter| filter.starts_with(SHARE))
        && !session.limits().shared_subscription_available
    {
        let (filter, reason) = (filter.clone(), ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED);
        return Err(ClientError::SubscribeRefused { target, filter, reason });
    }
    for filters in filters.chunks(FILTERS_PER_SUBSCRIBE * SUBSCRIBES_IN_FLIGHT) {
        let mut requested = Vec::new();
        for filters in filters.chunks(FILTERS_PER_SUBSCRIBE) {
            let with_qos =
                |filter: &String| SubscribeFilter { filter: filter.clone(), qos: plan.qos, ..Default::default() };
            let properties = plan.subscribe_properties.clone();
            let subscribe =
                Subscribe { packet_identifier: 0, properties, filters: filters.iter().map(with_qos).collect() };
            requested.push((session.subscribe(subscribe)?, filters));
        }
        while !requested.is_empty() {
            let exchange = exchange(connection, session, handler, &target, |_, handler| !handler.subacks.is_empty());
            let Ok(answered) = tokio::time::timeout(plan.transport.timeout, exchange).await else {
                let waited = plan.transport.timeout;
                return Err(ClientError::Unanswered { target, packet: "SUBSCRIBE", waited });
            };
            answered?;
            for suback in handler.subacks.drain(..) {
                let position = requested.iter().position(|(identifier, _)| *identifier == suback.packet_identifier);
                if let Some(position) = position {
                    check_granted(requested.swap_remove(position).1, &suback, plan.qos, &target)?;
                }
            }
        }
    }
    Ok(())
}

/// Fails unless SUBACK grants every filter the QoS that was requested.
fn check_granted(filters: &[String], suback: &Suback, qos: QoS, target: &str) -> Result<(), ClientError> {
    let target = || target.to_owned();
    if let Some((filter, reason)) = filters.iter().zip(&suback.reasons).find(|(_, reason)| reason.is_error()) {
        return Err(ClientError::SubscribeRefused { target: target(), filter: filter.clone(), reason: *reason });
    }
    match suback.reasons.iter().find(|granted| granted.0 < qos.number()) {
        Some(granted) => Err(ClientError::SubscribeDowngraded { target: target(), asked: qos, granted: granted.0 }),
        None => Ok(()),
    }
}

/// Handles what arrives while a client connects, or waits for the others to connect.
#[derive(Default)]
pub(super) struct ConnectHandler<'a> {
    subacks: Vec<Suback>,
    early: Option<&'a mut dyn EarlyHandler>,
    /// Retained messages that `early` did not take.
    retained: u64,
}

impl Handler<SendRecord> for ConnectHandler<'_> {
    /// Before the load only messages of earlier runs can arrive, which do not count. During the load a kept session
    /// delivers after CONNACK what waited for it, and retained messages arrive next to SUBACK.
    fn on_message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        if let Some(early) = &mut self.early {
            early.on_message(delivery);
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
