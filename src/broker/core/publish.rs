//! PUBLISH from a client (§3.3), to the point where it is routed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::Route;
use super::reading::Fault;
use super::topic_tree::MAX_LEVELS;
use super::{Action, Cause, Change, ConnectionId, Core, Event, MessageParts, NONE, PacketEvent, StoredMessage};
use crate::mqtt::wire::{Ack, AckKind, PropertiesRef, Publish, PublishProperties, Scan, scan};
use crate::mqtt::{Message, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode, filter_matches};

impl Core {
    pub(super) fn handle_publish(&mut self, id: ConnectionId, publish: Publish<'_>, now: Instant) -> Result<(), Fault> {
        let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
        self.statistics.publishes_received += 1;
        self.statistics.publish_bytes_received += publish.payload.len() as u64;
        if publish.dup && publish.qos == QoS::AtMostOnce {
            return Err(Fault::malformed("PUBLISH with QoS 0 and DUP"));
        }
        if publish.qos > connection.max_qos {
            return Err(Fault::new(ReasonCode(0x9B), Cause::QosNotSupported));
        }
        if publish.retain && !self.settings.retain_available {
            return Err(Fault::new(ReasonCode(0x9A), Cause::RetainNotSupported));
        }
        let PublishProperties::Read(list) = publish.properties else { return Ok(()) };
        if list.is_empty() {
            let parts = MessageParts {
                topic: publish.topic,
                payload: publish.payload,
                properties: &[],
                qos: publish.qos,
                retain: publish.retain,
                expires: None,
            };
            return self.take_message(id, &publish, &parts, now);
        }
        let mut properties = std::mem::take(&mut self.properties);
        let filtered = filter_properties(list, &mut properties)?;
        let mut alias_topic = None;
        if let Some(alias) = filtered.topic_alias {
            if alias == 0 || alias > connection.max_topic_alias {
                return Err(Fault::new(ReasonCode::TOPIC_ALIAS_INVALID, Cause::TopicAlias));
            }
            let index = usize::from(alias) - 1;
            if connection.aliases_in.len() <= index {
                connection.aliases_in.resize(index + 1, String::new());
            }
            if publish.topic.is_empty() {
                // Taken out while it is borrowed, and put back.
                let topic = std::mem::take(&mut connection.aliases_in[index]);
                if topic.is_empty() {
                    return Err(Fault::protocol("PUBLISH with a topic alias that was never set"));
                }
                alias_topic = Some((index, topic));
            } else {
                publish.topic.clone_into(&mut connection.aliases_in[index]);
            }
        }
        let parts = MessageParts {
            topic: alias_topic.as_ref().map_or(publish.topic, |(_, topic)| topic),
            payload: publish.payload,
            properties: &properties,
            qos: publish.qos,
            retain: publish.retain,
            expires: filtered.expiry.map(|seconds| now + Duration::from_secs(u64::from(seconds))),
        };
        let result = self.take_message(id, &publish, &parts, now);
        self.properties = properties;
        if let Some((index, topic)) = alias_topic
            && let Some(connection) = self.connections.get_mut(id)
            && let Some(place) = connection.aliases_in.get_mut(index)
        {
            *place = topic;
        }
        result
    }

    /// A PUBLISH whose properties are read.
    fn take_message(
        &mut self,
        id: ConnectionId,
        publish: &Publish<'_>,
        parts: &MessageParts<'_>,
        now: Instant,
    ) -> Result<(), Fault> {
        let identifier = publish.packet_identifier;
        if parts.topic.len() >= MAX_LEVELS && memchr::memchr_iter(b'/', parts.topic.as_bytes()).count() >= MAX_LEVELS {
            return Err(Fault::malformed("PUBLISH to a topic of more than 200 levels"));
        }
        // The decoder leaves it to us, for a client may read what some brokers send (MQTT-3.3.2-2).
        if memchr::memchr2(b'+', b'#', parts.topic.as_bytes()).is_some() {
            return Err(Fault::malformed("PUBLISH to a topic with a wildcard"));
        }
        let Some(connection) = self.connections.get(id) else { return Ok(()) };
        let (session_id, version) = (connection.session, connection.version);
        let Some(session) = self.sessions.get(session_id) else { return Ok(()) };
        let event = PacketEvent::Publish {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            packet_identifier: identifier,
            topic: parts.topic,
            size: parts.payload.len(),
        };
        let too_large = self.settings.message_size_limit > 0 && parts.payload.len() > self.settings.message_size_limit;
        let full = self.settings.memory_limit > 0
            && self.statistics.stored_bytes + self.retained.bytes() as u64 > self.settings.memory_limit as u64;
        let refusal = if too_large {
            Some(ReasonCode::PACKET_TOO_LARGE)
        } else if full {
            Some(ReasonCode(0x97))
        } else if is_reserved(parts.topic) || !self.access.allows(&session.who, Action::Publish, parts.topic) {
            Some(ReasonCode::NOT_AUTHORIZED)
        } else {
            None
        };
        if let Some(reason) = refusal {
            if let Some(log) = &mut self.log {
                log.event(&Event::Denied { client: &session.who.client_id, packet: event, too_large });
            }
            let kind = if publish.qos == QoS::ExactlyOnce { AckKind::Pubrec } else { AckKind::Puback };
            if publish.qos != QoS::AtMostOnce {
                self.acknowledge(id, kind, identifier, reason);
            }
            return Ok(());
        }
        self.log_received(id, event);
        match publish.qos {
            QoS::AtMostOnce => {
                self.route(session_id, id, parts, &mut None, now);
            }
            QoS::AtLeastOnce => {
                let matched = self.route(session_id, id, parts, &mut None, now);
                let reason = if matched { ReasonCode::SUCCESS } else { ReasonCode::NO_MATCHING_SUBSCRIBERS };
                self.acknowledge(id, AckKind::Puback, identifier, reason);
            }
            QoS::ExactlyOnce => self.hold(id, session_id, version, identifier, parts)?,
        }
        Ok(())
    }

    /// A QoS 2 message is kept until its PUBREL, as in mosquitto: subscribers get it only then.
    fn hold(
        &mut self,
        id: ConnectionId,
        session_id: u32,
        version: ProtocolVersion,
        identifier: u16,
        parts: &MessageParts<'_>,
    ) -> Result<(), Fault> {
        let Some(session) = self.sessions.get_mut(session_id) else { return Ok(()) };
        let held = session.held.get_or_insert_default();
        if !held.contains(identifier) {
            let most = usize::from(self.settings.max_inflight_messages);
            // Clients of 3.1.1 know of no limit but the 65,535 identifiers.
            if version.is_v5() && most > 0 && held.len() >= most {
                return Err(Fault::new(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED, Cause::ReceiveMaximum));
            }
            let mut message = StoredMessage::new(parts);
            message.publisher = session_id;
            let message = Arc::new(message);
            if session.is_durable()
                && let Some(journal) = &mut self.journal
            {
                let client_id = &session.who.client_id;
                journal.record(&Change::Held { client_id, packet_identifier: identifier, message: &message });
            }
            session.held.get_or_insert_default().insert(identifier, message);
        }
        self.acknowledge(id, AckKind::Pubrec, identifier, ReasonCode::SUCCESS);
        Ok(())
    }

    /// PUBREL arrived: the message is delivered.
    pub(super) fn release(&mut self, id: ConnectionId, identifier: u16, now: Instant) {
        let Some(session_id) = self.connections.get(id).map(|connection| connection.session) else { return };
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let reason = match session.held.as_mut().and_then(|held| held.release(identifier)) {
            Some(message) => {
                if session.is_durable()
                    && let Some(journal) = &mut self.journal
                {
                    let client_id = &session.who.client_id;
                    journal.record(&Change::Released { client_id, packet_identifier: identifier });
                }
                let stored = Arc::clone(&message);
                self.route(session_id, id, &message.parts(), &mut Some(stored), now);
                ReasonCode::SUCCESS
            }
            None => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
        };
        self.acknowledge(id, AckKind::Pubcomp, identifier, reason);
    }

    /// Appends an acknowledgement.
    pub(super) fn acknowledge(&mut self, id: ConnectionId, kind: AckKind, identifier: u16, reason: ReasonCode) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let version = connection.version;
        let code = if version.is_v5() { reason.0 } else { 0 };
        self.log_sending(
            id,
            match kind {
                AckKind::Puback => PacketEvent::Puback(identifier, code),
                AckKind::Pubrec => PacketEvent::Pubrec(identifier, code),
                AckKind::Pubrel => PacketEvent::Pubrel(identifier),
                AckKind::Pubcomp => PacketEvent::Pubcomp(identifier, code),
            },
        );
        self.statistics.messages_sent += 1;
        self.put(id, |out| {
            // Without properties there is nothing in it that could fail.
            let _ = Ack::with_reason(kind, identifier, reason).encode(version, out);
        });
    }

    /// Sends a message to all who subscribe to its topic and retains it; whether there was anybody. `stored` is the
    /// message as it is kept, made when the first one needs it.
    pub(super) fn route(
        &mut self,
        publisher: u32,
        connection: ConnectionId,
        parts: &MessageParts<'_>,
        stored: &mut Option<Arc<StoredMessage>>,
        now: Instant,
    ) -> bool {
        if parts.retain && self.settings.retain_available {
            self.retain(publisher, parts, stored);
        }
        let mut route = match self.connections.get_mut(connection) {
            Some(connection) => connection.route.take(),
            None => self.spare_route.take(),
        }
        .unwrap_or_default();
        if route.generation != self.subscriptions.generation() || route.topic != parts.topic {
            self.find_route(&mut route, parts.topic);
        }
        let matched = self.deliver_all(publisher, connection, &route, parts, stored, now);
        if route.matched.subscribers.len() > KEPT_TARGETS {
            route = Box::default();
        }
        match self.connections.get_mut(connection) {
            Some(connection) if !connection.is_closing() => connection.route = Some(route),
            _ => self.spare_route = Some(route),
        }
        matched
    }

    fn find_route(&mut self, route: &mut Route, topic: &str) {
        route.generation = self.subscriptions.generation();
        topic.clone_into(&mut route.topic);
        self.subscriptions.matching(topic, &mut route.matched);
        if route.matched.subscribers.len() < 2 {
            return;
        }
        // Before 5.0 a client gets one copy however many of its subscriptions match, at the highest QoS of them
        // (MQTT-3.3.5-1 of 3.1.1).
        let serial = self.next_serial() as u32;
        let list = &mut route.matched.subscribers;
        let mut kept = 0;
        for index in 0..list.len() {
            let subscriber = list[index];
            if let Some(session) = self.sessions.get_mut(subscriber.session)
                && !session.version.is_v5()
            {
                // The mark alone would do, were it not that its number comes round one day.
                let place = session.seen.1 as usize;
                if session.seen.0 == serial && place < kept && list[place].session == subscriber.session {
                    list[place].qos = list[place].qos.max(subscriber.qos);
                    continue;
                }
                session.seen = (serial, kept as u32);
            }
            list[kept] = subscriber;
            kept += 1;
        }
        list.truncate(kept);
    }

    fn retain(&mut self, publisher: u32, parts: &MessageParts<'_>, stored: &mut Option<Arc<StoredMessage>>) {
        if parts.payload.is_empty() {
            if self.retained.clear(parts.topic) {
                self.record(&Change::RetainedCleared { topic: parts.topic });
            }
            return;
        }
        let message = Arc::clone(stored_message(publisher, parts, stored));
        if self.journal.is_some() && !parts.topic.starts_with("$SYS/") {
            self.record(&Change::Retained { message: &message });
        }
        self.retained.set(message);
    }

    /// Publishes a message of the broker's own or of the program around it.
    pub fn publish(&mut self, message: &Message, now: Instant) {
        if let Some(stored) = self.store_message(message, now) {
            let stored = Arc::new(stored);
            self.route(NONE, NONE, &stored.parts(), &mut Some(Arc::clone(&stored)), now);
        }
    }

    /// A message as it is kept. Nothing where it cannot be written as a PUBLISH.
    pub(super) fn store_message(&mut self, message: &Message, now: Instant) -> Option<StoredMessage> {
        let mut bytes = Vec::new();
        Publish::of(message, 1, false).encode(ProtocolVersion::V5, &mut bytes).ok()?;
        let Ok(Scan::Frame(frame)) = scan(&bytes, usize::MAX) else { return None };
        let publish = Publish::decode(frame, ProtocolVersion::V5).ok()?;
        let PublishProperties::Read(list) = publish.properties else { return None };
        let mut properties = Vec::new();
        let filtered = filter_properties(list, &mut properties).ok()?;
        Some(StoredMessage::new(&MessageParts {
            topic: publish.topic,
            payload: publish.payload,
            properties: &properties,
            qos: publish.qos,
            retain: publish.retain,
            expires: filtered.expiry.map(|seconds| now + Duration::from_secs(u64::from(seconds))),
        }))
    }
}

/// Above this many receivers what was found for a topic is not kept for the next message.
const KEPT_TARGETS: usize = 256;

/// The message as it is kept.
pub(super) fn stored_message<'a>(
    publisher: u32,
    parts: &MessageParts<'_>,
    stored: &'a mut Option<Arc<StoredMessage>>,
) -> &'a Arc<StoredMessage> {
    stored.get_or_insert_with(|| {
        let mut message = StoredMessage::new(parts);
        message.publisher = publisher;
        Arc::new(message)
    })
}

/// Topics that only the broker publishes to, except the one for the state of mosquitto's bridges.
#[inline]
pub(super) fn is_reserved(topic: &str) -> bool {
    topic.starts_with('$') && is_of_the_broker(topic) && !filter_matches("$SYS/broker/connection/+/state", topic)
}

fn is_of_the_broker(topic: &str) -> bool {
    topic == "$SYS" || topic.starts_with("$SYS/") || topic.starts_with("$CONTROL/") || topic.starts_with("$share/")
}

/// What the broker itself reads in the properties of a PUBLISH.
struct Filtered {
    topic_alias: Option<u16>,
    expiry: Option<u32>,
}

/// Splits a property list into what is forwarded as it is (MQTT-3.3.2-4 and others) and what the broker acts on.
fn filter_properties(list: PropertiesRef<'_>, forwarded: &mut Vec<u8>) -> Result<Filtered, Fault> {
    forwarded.clear();
    let mut filtered = Filtered { topic_alias: None, expiry: None };
    for (property, bytes) in list.raw() {
        match (property.name(), property.value()) {
            (PropertyName::TopicAlias, PropertyValue::TwoByte(alias)) => filtered.topic_alias = Some(*alias),
            (PropertyName::MessageExpiryInterval, PropertyValue::FourByte(seconds)) => {
                filtered.expiry = Some(*seconds);
            }
            // Only a server sends it (MQTT-3.3.4-6).
            (PropertyName::SubscriptionIdentifier, _) => {
                return Err(Fault::protocol("PUBLISH with a subscription identifier, which only a server sends"));
            }
            // MQTT-3.3.2-14.
            (PropertyName::ResponseTopic, PropertyValue::Utf8(topic)) if topic.contains(['+', '#']) => {
                return Err(Fault::protocol("PUBLISH with a wildcard in its response topic"));
            }
            _ => forwarded.extend_from_slice(bytes),
        }
    }
    Ok(filtered)
}
