//! What a session calls its owner for, while it reads and without copies.

use super::identifiers::Identifiers;
use crate::mqtt::wire::{Connack, Publish, Suback, Unsuback};
use crate::mqtt::{Message, Properties, QoS, ReasonCode};

/// What stays in the window for a message until its last acknowledgement.
pub trait Kept {
    /// The message, if it was kept to be sent again after a reconnect.
    fn message(&self) -> Option<&Message>;
}

impl Kept for Message {
    fn message(&self) -> Option<&Message> {
        Some(self)
    }
}

/// When a received message is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// At once.
    Now,
    /// When the owner calls [`super::Session::acknowledge`] with the receipt.
    Later,
}

/// The right to acknowledge a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub(super) qos: QoS,
    pub(super) packet_identifier: u16,
    /// Counts connections: an acknowledgement belongs to the connection that brought the message.
    pub(super) connection: u32,
}

/// A received message, in the read buffer.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// The packet, with its topic even where an alias stood for it.
    pub publish: &'a Publish<'a>,
    /// To acknowledge it later.
    pub receipt: Receipt,
}

/// How a publish ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged at the QoS it was sent with.
    Acknowledged,
    /// A QoS 2 message that the broker answered with PUBACK: delivered at QoS 1.
    Downgraded,
    /// The broker refused it (5.0).
    Refused,
    /// The connection was lost and the message is not sent again: it was not kept, or the broker that was found
    /// after the reconnect does not take it (see the reason).
    Lost,
}

/// A QoS 1 or 2 message that is done.
#[derive(Debug)]
pub struct Completion<'a, K> {
    /// What was kept for it.
    pub kept: K,
    /// Its Packet Identifier.
    pub packet_identifier: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Reason Code of the last acknowledgement. "No matching subscribers" is a success, and so is "Packet Identifier
    /// not found" in the PUBCOMP of a PUBREL that was sent again (§3.7.2.1).
    pub reason: ReasonCode,
    /// Properties of the last acknowledgement.
    pub properties: &'a Properties,
}

/// Other things that happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The broker accepted the connection. What the session sends again is put into the output next, before anything
    /// that the owner sends.
    Connected(Connack),
    /// Messages from before the reconnect are sent again.
    Resending {
        /// How many.
        messages: usize,
        /// Of these, QoS 2 messages that the broker may have delivered already, in a session that it has lost since:
        /// they may arrive twice. Each is counted once, however often it is sent again.
        uncertain: usize,
    },
    /// Answer to a SUBSCRIBE.
    Subscribed(Suback),
    /// Answer to an UNSUBSCRIBE.
    Unsubscribed(Unsuback),
    /// Answer to a PINGREQ.
    Pong,
    /// An acknowledgement that matches no message in flight; it is ignored.
    UnknownAcknowledgement(u16),
}

/// The owner's side of a session. Called while input is handled, in the order of the packets.
pub trait Handler<K> {
    /// A message has arrived. Called once for each message: re-deliveries of a QoS 2 message are recognized (§4.3.3).
    fn on_message(&mut self, delivery: &Delivery<'_>) -> Acknowledge;

    /// A publish is done.
    fn on_completed(&mut self, completion: Completion<'_, K>);

    /// PUBACK has arrived for QoS 1 messages with success, for one after the other from this identifier on: the same as
    /// [`Handler::on_completed`] for each of them, for whoever can count them together.
    fn on_acknowledged(&mut self, first: u16, kept: impl ExactSizeIterator<Item = K>) {
        let properties = Properties::new();
        for (kept, packet_identifier) in kept.zip(Identifiers::from(first)) {
            let (outcome, reason) = (Outcome::Acknowledged, ReasonCode::SUCCESS);
            self.on_completed(Completion { kept, packet_identifier, outcome, reason, properties: &properties });
        }
    }

    /// Writes a message again of which [`Kept::message`] gives none, under this identifier and with this DUP flag.
    /// False if that cannot be: then it is lost.
    fn rewrite(&mut self, _kept: &K, _packet_identifier: u16, _dup: bool, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// Whether [`Handler::on_packet`] is called for each packet.
    fn observes_packets(&self) -> bool {
        false
    }

    /// A whole packet has arrived, as on the wire. Called before anything else happens for it.
    fn on_packet(&mut self, _packet: &[u8]) {}

    /// PUBREC arrived for a QoS 2 message, with a reason that is not an error.
    fn on_received(&mut self, _kept: &K, _reason: ReasonCode) {}

    /// Something else.
    fn on_event(&mut self, event: Event);
}
