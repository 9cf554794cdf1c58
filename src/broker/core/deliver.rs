//! Messages on their way to subscribers: encoded once for all who get the same bytes, sent, queued or dropped.

use std::sync::Arc;
use std::time::Instant;

use super::connection::{Connection, Route};
use super::output::SHARED_FROM;
use super::publish::stored_message;
use super::retained::Retained;
use super::session::Delivery;
use super::subscriptions::Subscriber;
use super::{
    Action, Change, ConnectionId, Core, DeliveryOptions, Event, MessageParts, NONE, PacketEvent, Settings,
    StoredMessage,
};
use crate::mqtt::wire::{PublishHead, append_number_property};
use crate::mqtt::{PropertyName, QoS};
use crate::session::outbound::Slot;

/// Retained messages are sent while less than this waits to be written.
pub(super) const WALK_OUTPUT: usize = 256 * 1024;
/// Most nodes of the retained tree that one call looks at.
const WALK_STEPS: usize = 4096;

/// What the bytes of a delivery depend on, beside the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Variant {
    v5: bool,
    qos: QoS,
    retain: bool,
    dup: bool,
    identifier: u32,
}

/// The last encoding of the message that is being delivered.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    variant: Option<Variant>,
    /// The packet, without its payload where that is shared.
    bytes: Vec<u8>,
    identifier_at: usize,
    /// Properties that the broker adds.
    added: Vec<u8>,
}

impl Encoded {
    /// Another message begins.
    fn begin(&mut self) {
        self.variant = None;
    }

    #[inline]
    fn encode(&mut self, parts: &MessageParts<'_>, variant: Variant, now: Instant) {
        if self.variant == Some(variant) {
            return;
        }
        self.variant = Some(variant);
        parts.added_properties(variant.identifier, now, &mut self.added);
        let head = PublishHead {
            dup: variant.dup,
            qos: variant.qos,
            retain: variant.retain,
            topic: parts.topic,
            packet_identifier: 0,
            properties: variant.v5.then_some([parts.properties, &self.added]),
        };
        self.bytes.clear();
        self.identifier_at = head.append(parts.payload.len(), &mut self.bytes);
        if parts.payload.len() < SHARED_FROM {
            self.bytes.extend_from_slice(parts.payload);
        }
    }
}

/// One delivery of a message that is to be written now.
#[derive(Clone, Copy, Debug)]
struct Writing {
    qos: QoS,
    retain: bool,
    dup: bool,
    identifier: u32,
    packet_identifier: u16,
}

impl Core {
    /// Delivers a message to all who were found for its topic; whether there was anybody.
    pub(super) fn deliver_all(
        &mut self,
        publisher: u32,
        connection: ConnectionId,
        route: &Route,
        parts: &MessageParts<'_>,
        stored: &mut Option<Arc<StoredMessage>>,
        now: Instant,
    ) -> bool {
        self.encoded.begin();
        let matched = &route.matched;
        for subscriber in &matched.subscribers {
            self.deliver(publisher, connection, subscriber, parts, stored, now);
        }
        for group in &matched.groups {
            let sessions = &self.sessions;
            let is_connected = |id| sessions.get(id).is_some_and(|session| session.connection != NONE);
            if let Some(subscriber) = self.subscriptions.next_of(group, is_connected) {
                self.deliver(publisher, connection, &subscriber, parts, stored, now);
            }
        }
        !matched.subscribers.is_empty() || !matched.groups.is_empty()
    }

    #[inline]
    fn deliver(
        &mut self,
        publisher: u32,
        from: ConnectionId,
        subscriber: &Subscriber,
        parts: &MessageParts<'_>,
        stored: &mut Option<Arc<StoredMessage>>,
        now: Instant,
    ) {
        if subscriber.no_local && subscriber.session == publisher {
            return;
        }
        let Some(session) = self.sessions.get_mut(subscriber.session) else { return };
        if self.access.checks_reads() && !self.access.allows(&session.who, Action::Read, parts.topic) {
            return;
        }
        let qos = parts.qos.min(subscriber.qos);
        let retain = parts.retain && subscriber.retain_as_published;
        let identifier = subscriber.identifier;
        let to = session.connection;
        if qos == QoS::AtMostOnce && to != NONE {
            let limit = self.settings.max_output_bytes;
            if let Some(connection) = self.connections.get_mut(to)
                && limit > 0
                && connection.output.len() >= limit
            {
                self.statistics.publishes_dropped += 1;
                if !std::mem::replace(&mut connection.dropping, true)
                    && let Some(log) = &mut self.log
                {
                    log.event(&Event::Dropping { client: &session.who.client_id });
                }
                return;
            }
            let writing = Writing { qos, retain, dup: false, identifier, packet_identifier: 0 };
            self.write_publish(to, parts, writing, publisher, stored, now);
            if self.settings.backpressure_bytes > 0 {
                self.hold_publisher(from, to);
            }
            return;
        }
        if qos == QoS::AtMostOnce && !(self.settings.queue_qos0_messages && session.is_durable()) {
            return;
        }
        let message = Arc::clone(stored_message(publisher, parts, stored));
        let number = session.next_number;
        session.next_number += 1;
        let delivery = Delivery { message, number, identifier, qos, retain };
        if to != NONE && session.queue.is_empty() && session.has_room(self.settings.max_inflight_bytes) {
            self.record_queued(subscriber.session, &delivery);
            self.send(subscriber.session, delivery, parts, stored, now);
        } else {
            self.enqueue(subscriber.session, delivery);
        }
    }

    /// With back-pressure: a publisher to a client that does not keep up is not read from until it does.
    fn hold_publisher(&mut self, from: ConnectionId, to: ConnectionId) {
        let Some(receiver) = self.connections.get_mut(to) else { return };
        if receiver.output.len() < self.settings.backpressure_bytes {
            return;
        }
        if !std::mem::replace(&mut receiver.congested, true) {
            self.congested += 1;
        }
        if let Some(publisher) = self.connections.get_mut(from)
            && !std::mem::replace(&mut publisher.blocked, true)
        {
            self.blocked.push(from);
        }
    }

    fn record_queued(&mut self, session: u32, delivery: &Delivery) {
        if let (Some(journal), Some(session)) = (&mut self.journal, self.sessions.get(session))
            && session.is_durable()
        {
            let Delivery { message, number, identifier, qos, retain } = delivery;
            let options = DeliveryOptions { qos: *qos, retain: *retain, identifier: *identifier };
            let client_id = &session.who.client_id;
            journal.record(&Change::Queued { client_id, number: *number, message, delivery: options });
        }
    }

    pub(super) fn record_done(&mut self, session: u32, number: u64) {
        if let (Some(journal), Some(session)) = (&mut self.journal, self.sessions.get(session))
            && session.is_durable()
        {
            journal.record(&Change::Done { client_id: &session.who.client_id, number });
        }
    }

    /// Lets a message wait for a client that is away or has enough to do; drops it where too many wait.
    fn enqueue(&mut self, session_id: u32, delivery: Delivery) {
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let size = delivery.message.size();
        if session.queue.len() >= Settings::at_most(self.settings.max_queued_messages)
            || session.queued_bytes + size > Settings::at_most(self.settings.max_queued_bytes)
        {
            self.statistics.publishes_dropped += 1;
            if !std::mem::replace(&mut session.dropping, true)
                && let Some(log) = &mut self.log
            {
                log.event(&Event::Dropping { client: &session.who.client_id });
            }
            return;
        }
        self.record_queued(session_id, &delivery);
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        session.queued_bytes += size;
        self.statistics.stored_bytes += size as u64;
        self.statistics.stored_messages += 1;
        session.queue.push_back(delivery);
    }

    /// Sends a QoS 1 or 2 message; there is room for it.
    fn send(
        &mut self,
        session_id: u32,
        delivery: Delivery,
        parts: &MessageParts<'_>,
        stored: &mut Option<Arc<StoredMessage>>,
        now: Instant,
    ) {
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let Delivery { number, identifier, qos, retain, .. } = delivery;
        let (to, size) = (session.connection, delivery.message.size());
        let publisher = delivery.message.publisher;
        let Some(place) = Slot::of(qos, delivery) else { return };
        let Some(packet_identifier) = session.outbound.insert(place) else { return };
        session.bytes_in_flight += size;
        self.statistics.stored_bytes += size as u64;
        self.statistics.stored_messages += 1;
        if session.is_durable()
            && let Some(journal) = &mut self.journal
        {
            journal.record(&Change::Sent { client_id: &session.who.client_id, number, packet_identifier });
        }
        let writing = Writing { qos, retain, dup: false, identifier, packet_identifier };
        if !self.write_publish(to, parts, writing, publisher, stored, now) {
            // Too large for this client: as if it had been delivered (MQTT-3.1.2-25).
            self.finish(session_id, packet_identifier);
        }
    }

    /// A message is done: its place is free.
    pub(super) fn finish(&mut self, session_id: u32, packet_identifier: u16) {
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        if let Slot::Puback(done) | Slot::Pubrec(done) | Slot::Pubcomp(done) =
            session.outbound.remove(packet_identifier)
        {
            self.settle(session_id, &done);
        }
    }

    /// What is counted for a message in flight that is done.
    pub(super) fn settle(&mut self, session_id: u32, done: &Delivery) {
        let size = done.message.size();
        if let Some(session) = self.sessions.get_mut(session_id) {
            session.bytes_in_flight -= size;
        }
        self.statistics.stored_bytes -= size as u64;
        self.statistics.stored_messages -= 1;
        if self.journal.is_some() {
            self.record_done(session_id, done.number);
        }
    }

    /// Appends a PUBLISH to a connection's output; false if the client takes none of that size.
    #[inline]
    fn write_publish(
        &mut self,
        to: ConnectionId,
        parts: &MessageParts<'_>,
        writing: Writing,
        publisher: u32,
        stored: &mut Option<Arc<StoredMessage>>,
        now: Instant,
    ) -> bool {
        let Some(connection) = self.connections.get_mut(to) else { return true };
        let Writing { qos, retain, dup, identifier, packet_identifier } = writing;
        let before = connection.output.len();
        let v5 = connection.version.is_v5();
        let shared = parts.payload.len() >= SHARED_FROM;
        if connection.aliases_out.is_some() {
            if !write_with_alias(connection, &mut self.pool, &mut self.encoded.added, parts, writing, now) {
                return false;
            }
        } else {
            let identifier = if v5 { identifier } else { 0 };
            self.encoded.encode(parts, Variant { v5, qos, retain, dup, identifier }, now);
            let size = self.encoded.bytes.len() + if shared { parts.payload.len() } else { 0 };
            if !connection.takes(size) {
                return false;
            }
            let encoded = &self.encoded;
            connection.output.append(&mut self.pool, |out| {
                let start = out.len();
                out.extend_from_slice(&encoded.bytes);
                if qos != QoS::AtMostOnce {
                    let at = start + encoded.identifier_at;
                    out[at..at + 2].copy_from_slice(&packet_identifier.to_be_bytes());
                }
            });
        }
        if shared {
            connection.output.append_shared(stored_message(publisher, parts, stored).payload());
        }
        self.statistics.publishes_sent += 1;
        self.statistics.messages_sent += 1;
        self.statistics.publish_bytes_sent += parts.payload.len() as u64;
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(to);
        }
        if self.logs_packets {
            let (topic, size) = (parts.topic, parts.payload.len());
            let count = connection.output.len() - before;
            self.log_sending(to, PacketEvent::Publish { dup, qos, retain, packet_identifier, topic, size });
            if self.logs_bytes {
                self.log_sent_bytes(to, count);
            }
        }
        true
    }

    /// Continues a session: what is to be sent again, what waits, retained messages; as far as the client takes them.
    pub(super) fn advance(&mut self, session_id: u32, now: Instant) {
        loop {
            let Some(session) = self.sessions.get_mut(session_id) else { return };
            let to = session.connection;
            if to == NONE {
                return;
            }
            if session.outbound.resending() {
                if session.outbound.sent() >= usize::from(session.window) {
                    return;
                }
                let Some((identifier, place)) = session.outbound.next_to_resend() else { return };
                let place = place.clone();
                self.send_again(session_id, to, identifier, &place, now);
                continue;
            }
            if !session.queue.is_empty() && session.has_room(self.settings.max_inflight_bytes) {
                let Some(delivery) = session.queue.pop_front() else { return };
                let size = delivery.message.size();
                session.queued_bytes -= size;
                session.dropping = false;
                self.statistics.stored_bytes -= size as u64;
                self.statistics.stored_messages -= 1;
                // The access list may have changed since the message was queued.
                let may_read = !self.access.checks_reads()
                    || self.access.allows(&session.who, Action::Read, delivery.message.topic());
                if !may_read || delivery.message.is_expired(now) {
                    self.record_done(session_id, delivery.number);
                    continue;
                }
                self.encoded.begin();
                let message = Arc::clone(&delivery.message);
                let Delivery { identifier, qos, retain, number, .. } = delivery;
                if qos == QoS::AtMostOnce {
                    let writing = Writing { qos, retain, dup: false, identifier, packet_identifier: 0 };
                    let publisher = message.publisher;
                    self.write_publish(to, &message.parts(), writing, publisher, &mut Some(Arc::clone(&message)), now);
                    self.record_done(session_id, number);
                } else {
                    self.send(session_id, delivery, &message.parts(), &mut Some(Arc::clone(&message)), now);
                }
                continue;
            }
            return self.walk(session_id, to, now);
        }
    }

    fn send_again(&mut self, session: u32, to: ConnectionId, identifier: u16, place: &Slot<Delivery>, now: Instant) {
        match place {
            Slot::Pubcomp(_) => {
                self.acknowledge(to, crate::mqtt::wire::AckKind::Pubrel, identifier, crate::mqtt::ReasonCode::SUCCESS);
            }
            Slot::Puback(delivery) | Slot::Pubrec(delivery) => {
                self.encoded.begin();
                let message = &delivery.message;
                let writing = Writing {
                    qos: delivery.qos,
                    retain: delivery.retain,
                    dup: true,
                    identifier: delivery.identifier,
                    packet_identifier: identifier,
                };
                let mut stored = Some(Arc::clone(message));
                if !self.write_publish(to, &message.parts(), writing, message.publisher, &mut stored, now) {
                    self.finish(session, identifier);
                }
            }
            Slot::Free | Slot::Suback | Slot::Unsuback => {}
        }
    }

    /// Sends retained messages that the session's subscriptions asked for.
    fn walk(&mut self, session_id: u32, to: ConnectionId, now: Instant) {
        let mut steps = WALK_STEPS;
        loop {
            let Some(session) = self.sessions.get_mut(session_id) else { return };
            let Some(walk) = session.walk_mut() else { return };
            let subscriber = *walk.subscription();
            // If the client does not keep up, the walk continues when output was written or an acknowledgement came.
            if self.connections.get(to).is_none_or(|connection| connection.output.len() >= WALK_OUTPUT) {
                return;
            }
            if subscriber.qos > QoS::AtMostOnce
                && (!session.queue.is_empty() || !session.has_room(self.settings.max_inflight_bytes))
            {
                return;
            }
            let Some(walk) = session.walk_mut() else { return };
            let Some(message) = self.retained.next(walk, &mut steps, now) else {
                if !Retained::is_done(walk) {
                    return self.set_pending(session_id);
                }
                if let Some(walk) = session.pop_walk() {
                    self.retained.end(walk);
                }
                continue;
            };
            if self.access.checks_reads() && !self.access.allows(&session.who, Action::Read, message.topic()) {
                continue;
            }
            self.encoded.begin();
            let parts = message.parts();
            let qos = parts.qos.min(subscriber.qos);
            let mut stored = Some(Arc::clone(&message));
            if qos == QoS::AtMostOnce {
                let identifier = subscriber.identifier;
                let writing = Writing { qos, retain: true, dup: false, identifier, packet_identifier: 0 };
                self.write_publish(to, &parts, writing, message.publisher, &mut stored, now);
            } else {
                let number = session.next_number;
                session.next_number += 1;
                let delivery = Delivery {
                    message: Arc::clone(&message),
                    number,
                    identifier: subscriber.identifier,
                    qos,
                    retain: true,
                };
                self.record_queued(session_id, &delivery);
                self.send(session_id, delivery, &parts, &mut stored, now);
            }
        }
    }
}

/// As [`Core::write_publish`], for a client that takes topic aliases: the first topics get one each.
#[cold]
fn write_with_alias(
    connection: &mut Connection,
    pool: &mut super::output::Pool,
    added: &mut Vec<u8>,
    parts: &MessageParts<'_>,
    writing: Writing,
    now: Instant,
) -> bool {
    let most = connection.max_packet_size as usize;
    let Some(aliases) = &mut connection.aliases_out else { return false };
    let known = aliases.topics.iter().position(|topic| **topic == *parts.topic);
    let is_new = known.is_none() && aliases.topics.len() < usize::from(aliases.maximum);
    let alias = known.or(is_new.then_some(aliases.topics.len())).map(|index| index as u32 + 1);
    parts.added_properties(writing.identifier, now, added);
    if let Some(alias) = alias {
        append_number_property(PropertyName::TopicAlias, alias, added);
    }
    let head = PublishHead {
        dup: writing.dup,
        qos: writing.qos,
        retain: writing.retain,
        topic: if known.is_some() { "" } else { parts.topic },
        packet_identifier: writing.packet_identifier,
        properties: Some([parts.properties, added]),
    };
    if head.size(parts.payload.len()) > most {
        return false;
    }
    connection.output.append(pool, |out| {
        head.append(parts.payload.len(), out);
        if parts.payload.len() < SHARED_FROM {
            out.extend_from_slice(parts.payload);
        }
    });
    if is_new {
        aliases.topics.push(parts.topic.into());
    }
    true
}
