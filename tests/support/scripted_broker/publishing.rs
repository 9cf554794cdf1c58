//! What a scripted broker does with a PUBLISH that it receives.

use std::time::Instant;

use bytes::Bytes;
use mqtools::mqtt::wire::{Ack, AckKind, Packet, Publish};
use mqtools::mqtt::{Message, PropertyName, QoS, ReasonCode};

use super::connection::Connection;
use super::log::Received;
use super::script::{Action, Script};
use super::state::State;

impl Connection {
    /// Sends the last acknowledgement of a PUBLISH; false when it does not leave.
    pub(super) fn finish(&mut self, state: &mut State, ack: Ack, payload: Option<Bytes>) -> bool {
        let (kind, identifier) = (ack.kind.packet_type(), ack.packet_identifier);
        // Taken before it is on its way: a client that has it must not find its place taken because this thread was kept
        // from going on.
        let at = Instant::now() + state.script.delay_of(kind).unwrap_or_default();
        if !state.answer(&self.outbox, self.version, &Packet::Ack(ack)) {
            return false;
        }
        self.unacknowledged.insert(identifier, Some(at));
        if let Some(payload) = payload.filter(|_| !state.script.without_log) {
            state.log.acknowledged.push(payload);
        }
        true
    }

    pub(super) fn publish(
        &mut self,
        state: &mut State,
        publish: &Publish<'_>,
        size: usize,
        ordinal: u64,
        goes_on: bool,
    ) {
        let Some(message) = self.message(state, publish) else { return };
        let (identifier, dup) = (publish.packet_identifier, publish.dup);
        if !state.script.without_log {
            let message = message.clone();
            state.log.received.push((self.number, Received::Publish { message, packet_identifier: identifier, dup }));
        }
        let Some(number) = self.session else {
            return self.violated(state, ReasonCode::PROTOCOL_ERROR, "the first packet is no CONNECT");
        };
        if !goes_on || self.deaf || !self.within_limits(state, publish, size) {
            return;
        }
        let unreleased = state.sessions.get(&number).map_or(0, |session| session.unreleased.len());
        let is_too_many =
            publish.qos == QoS::ExactlyOnce && state.script.most_unreleased.is_some_and(|most| unreleased >= most);
        if is_too_many || state.script.hated_payload.as_deref() == Some(&message.payload[..]) {
            Action::Cut.perform(&self.outbox, self.version);
            return;
        }
        let refused = state.script.refuse_publishes.as_ref();
        let refused = refused.filter(|(which, _)| which.contain(ordinal)).map(|(_, reason)| *reason);
        let reason = refused.filter(|_| self.version.is_v5()).unwrap_or(ReasonCode::SUCCESS);
        let first = !state.sessions.get(&number).is_some_and(|session| session.unreleased.contains_key(&identifier));
        let puback = publish.qos == QoS::AtLeastOnce || state.script.qos2_with_puback;
        if refused.is_none() && (first || publish.qos != QoS::ExactlyOnce) {
            self.accept(state, number, &message);
        }
        match publish.qos {
            QoS::AtMostOnce => {}
            _ if puback || reason.is_error() => {
                let kind = if puback { AckKind::Puback } else { AckKind::Pubrec };
                let payload = refused.is_none().then(|| message.payload.clone());
                self.finish(state, Ack::with_reason(kind, identifier, reason), payload);
            }
            _ => {
                if first && let Some(session) = state.sessions.get_mut(&number) {
                    session.unreleased.insert(identifier, message.payload.clone());
                }
                let pubrec = Ack::success(AckKind::Pubrec, identifier);
                state.answer(&self.outbox, self.version, &Packet::Ack(pubrec));
            }
        }
    }

    fn accept(&mut self, state: &mut State, number: u64, message: &Message) {
        state.log.counts.accepted += 1;
        if !state.script.without_log {
            state.log.accepted.push(message.payload.clone());
        }
        state.route(number, message);
    }

    /// The message with its topic, whichever way that was given.
    fn message(&mut self, state: &mut State, publish: &Publish<'_>) -> Option<Message> {
        let mut message = publish.to_message();
        let alias = publish.properties.number(PropertyName::TopicAlias).map(|alias| alias as u16);
        let Some(alias) = alias else { return Some(message) };
        message.properties.remove(PropertyName::TopicAlias);
        let maximum = state.script.limit(PropertyName::TopicAliasMaximum).unwrap_or(0);
        if u32::from(alias) > maximum {
            self.violated(state, ReasonCode::TOPIC_ALIAS_INVALID, format!("topic alias {alias} is above {maximum}"));
            return None;
        }
        if !message.topic.is_empty() {
            self.aliases.insert(alias, message.topic.clone());
        } else if let Some(topic) = self.aliases.get(&alias) {
            message.topic.clone_from(topic);
        } else {
            self.violated(state, ReasonCode::PROTOCOL_ERROR, format!("topic alias {alias} is not set"));
            return None;
        }
        Some(message)
    }

    /// Whether a PUBLISH keeps to what CONNACK said and to the rules of Packet Identifiers.
    fn within_limits(&mut self, state: &mut State, publish: &Publish<'_>, size: usize) -> bool {
        let limit = |name| state.script.limit(name).filter(|_| self.version.is_v5());
        let (largest, best) = (limit(PropertyName::MaximumPacketSize), limit(PropertyName::MaximumQos));
        let window = limit(PropertyName::ReceiveMaximum).unwrap_or(65_535) as usize;
        if largest.is_some_and(|largest| size > largest as usize) {
            self.violated(state, ReasonCode::PACKET_TOO_LARGE, format!("a PUBLISH of {size} bytes is too large"));
            return false;
        }
        if best.is_some_and(|best| u32::from(publish.qos.number()) > best) {
            self.violated(state, ReasonCode(0x9B), "QoS above the Maximum QoS");
            return false;
        }
        if publish.qos == QoS::AtMostOnce {
            return true;
        }
        let now = Instant::now();
        if self.unacknowledged.len() >= window {
            self.unacknowledged.retain(|_, at| at.is_none_or(|at| at > now));
        }
        let before = self.unacknowledged.insert(publish.packet_identifier, None);
        if before.is_some_and(|at| at.is_none_or(|at| at > now)) && !publish.dup {
            state.violation(self.number, format!("packet identifier {} is in use", publish.packet_identifier));
        }
        if self.unacknowledged.len() > window {
            self.violated(state, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED, format!("more than {window} in flight"));
            return false;
        }
        true
    }
}

impl Script {
    /// A limit that CONNACK states.
    fn limit(&self, name: PropertyName) -> Option<u32> {
        self.connack.iter().find(|property| property.name() == name).and_then(|property| property.value().number())
    }
}
