//! The receiving half of a session: PUBLISH from the broker (§3.3), its topic alias, and when it is acknowledged
//! (§4.3).

use super::SessionError;
use super::handler::{Acknowledge, Delivery, Handler, Receipt};
use super::inbound::{Inbound, Repetition};
use super::output::Output;
use crate::mqtt::wire::{Ack, AckKind, Connect, Packet, PacketType, Publish};
use crate::mqtt::{PropertyName, QoS, ReasonCode};

/// What was received and is not finished, and the limits that CONNECT has announced for it.
#[derive(Debug)]
pub(super) struct Receiving {
    inbound: Inbound,
    receive_maximum: usize,
    alias_maximum: u16,
    /// Counts connections, so that a late acknowledgement is not taken for one of this connection.
    connection: u32,
    /// The connection with which the broker's present session began.
    session_began: u32,
}

impl Receiving {
    pub(super) fn new() -> Self {
        Self {
            inbound: Inbound::default(),
            receive_maximum: usize::from(u16::MAX),
            alias_maximum: 0,
            connection: 0,
            session_began: 0,
        }
    }

    /// A new connection begins with this CONNECT.
    pub(super) fn start(&mut self, connect: &Connect) {
        // Before 5.0 properties are not written, so they have announced nothing.
        let announced = |name| connect.properties.number(name).filter(|_| connect.version.is_v5());
        self.receive_maximum =
            announced(PropertyName::ReceiveMaximum).map_or(usize::from(u16::MAX), |maximum| maximum as usize);
        self.alias_maximum = announced(PropertyName::TopicAliasMaximum).map_or(0, |maximum| maximum as u16);
        self.connection = self.connection.wrapping_add(1);
        self.inbound.connection_begins();
    }

    /// The broker has lost the session of earlier connections.
    pub(super) fn session_lost(&mut self) {
        self.inbound.session_lost();
        self.session_began = self.connection;
    }

    pub(super) fn handle_publish<K, H: Handler<K>>(
        &mut self,
        publish: Publish<'_>,
        output: &mut Output,
        handler: &mut H,
    ) -> Result<(), SessionError> {
        let alias = if output.version().is_v5() { publish.properties.number(PropertyName::TopicAlias) } else { None };
        let Some(alias) = alias else { return self.deliver(&publish, output, handler) };
        let alias = alias as u16; // a Two Byte Integer on the wire, never 0
        let invalid = |what| refused(what, ReasonCode::TOPIC_ALIAS_INVALID);
        if alias > self.alias_maximum {
            return Err(invalid("carries a topic alias above the announced maximum"));
        }
        if !publish.topic.is_empty() {
            self.inbound.learn_alias(alias, publish.topic);
            return self.deliver(&publish, output, handler);
        }
        let topic = self.inbound.take_alias(alias).ok_or_else(|| invalid("carries an unknown topic alias"))?;
        let delivered = self.deliver(&Publish { topic: &topic, ..publish }, output, handler);
        self.inbound.put_alias_back(alias, topic);
        delivered
    }

    fn deliver<K, H: Handler<K>>(
        &mut self,
        publish: &Publish<'_>,
        output: &mut Output,
        handler: &mut H,
    ) -> Result<(), SessionError> {
        let identifier = publish.packet_identifier;
        let receipt = Receipt { qos: publish.qos, packet_identifier: identifier, connection: self.connection };
        let delivery = Delivery { publish, receipt };
        if publish.qos == QoS::AtMostOnce {
            handler.on_message(&delivery);
            return Ok(());
        }
        let is_exactly_once = publish.qos == QoS::ExactlyOnce;
        if !is_exactly_once || self.inbound.is_new(identifier) {
            if output.version().is_v5() && self.inbound.in_flight() >= self.receive_maximum {
                let what = "exceeds the announced Receive Maximum";
                return Err(refused(what, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED));
            }
            self.inbound.begins();
        }
        let repetition = if is_exactly_once { self.inbound.arrive(identifier) } else { Repetition::None };
        match repetition {
            Repetition::None => match handler.on_message(&delivery) {
                Acknowledge::Now => self.acknowledge_now(receipt, output),
                Acknowledge::Later if is_exactly_once => self.inbound.wait_for_owner(identifier),
                Acknowledge::Later => {}
            },
            Repetition::Answered => output.put_ack(AckKind::Pubrec, identifier),
            Repetition::Waiting => {}
        }
        Ok(())
    }

    /// The owner acknowledges a message; the answer goes out where the connection `is_open`.
    pub(super) fn acknowledge(&mut self, receipt: Receipt, is_open: bool, output: &mut Output) {
        if receipt.connection.wrapping_sub(self.session_began) > u32::MAX / 2 {
            return;
        }
        let mut answers = receipt.connection == self.connection;
        if receipt.qos == QoS::ExactlyOnce {
            answers |= self.inbound.take_asked_again(receipt.packet_identifier);
            answers &= self.inbound.owner_acknowledged(receipt.packet_identifier);
        }
        if answers && is_open {
            self.acknowledge_now(receipt, output);
        }
    }

    fn acknowledge_now(&mut self, receipt: Receipt, output: &mut Output) {
        match receipt.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => {
                self.inbound.ends();
                output.put_ack(AckKind::Puback, receipt.packet_identifier);
            }
            QoS::ExactlyOnce => output.put_ack(AckKind::Pubrec, receipt.packet_identifier),
        }
    }

    /// PUBREL has arrived.
    pub(super) fn handle_pubrel(&mut self, identifier: u16, output: &mut Output) {
        let is_known = self.inbound.release(identifier);
        if is_known {
            self.inbound.ends();
        }
        // An unknown identifier is answered too: the broker may have lost our PUBCOMP (§4.3.3).
        let reason = if is_known { ReasonCode::SUCCESS } else { ReasonCode::PACKET_IDENTIFIER_NOT_FOUND };
        output.put(&Packet::Ack(Ack::with_reason(AckKind::Pubcomp, identifier, reason)));
    }

    /// QoS 2 messages that were acknowledged and not released.
    pub(super) fn unreleased(&self) -> usize {
        self.inbound.unreleased()
    }
}

fn refused(what: &'static str, reason: ReasonCode) -> SessionError {
    SessionError::Unexpected { packet: PacketType::Publish, what, reason }
}
