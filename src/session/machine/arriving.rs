//! PUBLISH from the broker (§3.3), its topic alias, and when it is acknowledged (§4.3).

use super::Session;
use crate::mqtt::wire::{AckKind, PacketType, Publish};
use crate::mqtt::{PropertyName, QoS, ReasonCode};
use crate::session::SessionError;
use crate::session::handler::{Acknowledge, Delivery, Handler, Kept, Receipt};
use crate::session::inbound::Arrival;

impl<K: Kept> Session<K> {
    pub(super) fn handle_publish<H: Handler<K>>(
        &mut self,
        publish: Publish<'_>,
        handler: &mut H,
    ) -> Result<(), SessionError> {
        let alias = if self.version.is_v5() { publish.properties.number(PropertyName::TopicAlias) } else { None };
        let Some(alias) = alias else { return self.deliver(&publish, handler) };
        let alias = alias as u16; // a Two Byte Integer on the wire, never 0
        let invalid = |what| refused(what, ReasonCode::TOPIC_ALIAS_INVALID);
        if alias > self.alias_maximum {
            return Err(invalid("carries a topic alias above the announced maximum"));
        }
        if !publish.topic.is_empty() {
            self.inbound.learn_alias(alias, publish.topic);
            return self.deliver(&publish, handler);
        }
        let topic =
            self.inbound.take_alias(alias).ok_or_else(|| invalid("carries a topic alias that means nothing"))?;
        let delivered = self.deliver(&Publish { topic: &topic, ..publish }, handler);
        self.inbound.put_alias_back(alias, topic);
        delivered
    }

    fn deliver<H: Handler<K>>(&mut self, publish: &Publish<'_>, handler: &mut H) -> Result<(), SessionError> {
        let identifier = publish.packet_identifier;
        let receipt = Receipt { qos: publish.qos, packet_identifier: identifier, connection: self.connection };
        let delivery = Delivery { publish, receipt };
        if publish.qos == QoS::AtMostOnce {
            handler.on_message(&delivery);
            return Ok(());
        }
        let exactly_once = publish.qos == QoS::ExactlyOnce;
        if !exactly_once || self.inbound.is_new(identifier) {
            if self.version.is_v5() && self.inbound.in_flight() >= self.receive_maximum {
                let what = "exceeds the Receive Maximum that was announced";
                return Err(refused(what, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED));
            }
            self.inbound.begins();
        }
        let arrival = if exactly_once { self.inbound.arrive(identifier) } else { Arrival::New };
        match arrival {
            Arrival::New => match handler.on_message(&delivery) {
                Acknowledge::Now => self.acknowledge_now(receipt),
                Acknowledge::Later if exactly_once => self.inbound.wait_for_owner(identifier),
                Acknowledge::Later => {}
            },
            Arrival::Answered => self.put_ack(AckKind::Pubrec, identifier),
            Arrival::Waiting => {}
        }
        Ok(())
    }

    /// Acknowledges a message for which the handler said [`Acknowledge::Later`]. Messages are to be acknowledged in
    /// the order in which they came (MQTT-4.6.0-2, -3), each once. A QoS 1 receipt of an earlier connection is not
    /// answered, since the broker sends the message again; a QoS 2 message is remembered as received, and answered
    /// where the broker has already sent it again. A receipt of a session that the broker has lost does nothing.
    pub fn acknowledge(&mut self, receipt: Receipt) {
        if receipt.connection.wrapping_sub(self.session_began) > u32::MAX / 2 {
            return;
        }
        let mut answers = receipt.connection == self.connection;
        if receipt.qos == QoS::ExactlyOnce {
            answers |= self.inbound.take_asked_again(receipt.packet_identifier);
            answers &= self.inbound.owner_acknowledged(receipt.packet_identifier);
        }
        if answers && self.is_open() {
            self.acknowledge_now(receipt);
        }
    }

    /// Messages of QoS 2 that were acknowledged and not released: PUBREL is owed for them, and PUBCOMP after it.
    pub fn unreleased(&self) -> usize {
        self.inbound.unreleased()
    }

    fn acknowledge_now(&mut self, receipt: Receipt) {
        match receipt.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => {
                self.inbound.ends();
                self.put_ack(AckKind::Puback, receipt.packet_identifier);
            }
            QoS::ExactlyOnce => self.put_ack(AckKind::Pubrec, receipt.packet_identifier),
        }
    }
}

fn refused(what: &'static str, reason: ReasonCode) -> SessionError {
    SessionError::Unexpected { packet: PacketType::Publish, what, reason }
}
