//! What a scripted broker received and did, for tests to compare with what a client reports.

use bytes::Bytes;
use mqtools::mqtt::wire::{Ack, Connect, Disconnect, Packet, PacketType, Subscribe, Unsubscribe, WireError};
use mqtools::mqtt::{Message, ReasonCode};

/// A packet that a client sent, owned.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    Connect(Box<Connect>),
    /// The topic is resolved where an alias stood for it.
    Publish {
        message: Message,
        packet_identifier: u16,
        dup: bool,
    },
    Ack(Ack),
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Pingreq,
    Disconnect(Disconnect),
    /// Another packet, which a client has no business to send without being asked.
    Other(PacketType),
    /// Bytes that are no packet.
    Malformed(WireError),
    /// The client closed the connection, or it was cut. Always the last of a connection.
    End,
}

impl Received {
    pub(super) fn of(packet: &Packet<'_>) -> Self {
        match packet {
            Packet::Connect(connect) => Self::Connect(connect.clone()),
            Packet::Publish(publish) => Self::Publish {
                message: publish.to_message(),
                packet_identifier: publish.packet_identifier,
                dup: publish.dup,
            },
            Packet::Ack(ack) => Self::Ack(ack.clone()),
            Packet::Subscribe(subscribe) => Self::Subscribe(subscribe.clone()),
            Packet::Unsubscribe(unsubscribe) => Self::Unsubscribe(unsubscribe.clone()),
            Packet::Pingreq => Self::Pingreq,
            Packet::Disconnect(disconnect) => Self::Disconnect(disconnect.clone()),
            other => Self::Other(other.packet_type()),
        }
    }
}

/// What is counted, log or no log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// PUBLISHes read.
    pub publishes: u64,
    /// Messages that the core has sent to whoever subscribes: at QoS 2 with PUBREL, and once.
    pub accepted: u64,
    /// Deliveries that were due, by which `Script` counts; those dropped included.
    pub deliveries: u64,
    /// Deliveries left out.
    pub dropped: u64,
    /// Deliveries sent twice.
    pub repeated: u64,
    /// Deliveries held back and then sent.
    pub swapped: u64,
    /// PUBACK of QoS 1 and PUBCOMP of QoS 2 from subscribers.
    pub completed_deliveries: u64,
}

/// The log of a scripted broker.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Counters.
    pub counts: Counts,
    /// What was received: the connection (from 1) and the packet.
    pub received: Vec<(u64, Received)>,
    /// Payloads whose last acknowledgement (PUBACK, PUBCOMP, with success) was sent, in that order.
    pub acknowledged: Vec<Bytes>,
    /// Payloads of the messages that were accepted, in that order; QoS 0 too.
    pub accepted: Vec<Bytes>,
    /// What clients did that the standard or the CONNACK forbids.
    pub violations: Vec<String>,
}

impl Log {
    /// What one connection (from 1) sent.
    pub fn of_connection(&self, connection: u64) -> impl Iterator<Item = &Received> {
        self.received.iter().filter(move |(number, _)| *number == connection).map(|(_, packet)| packet)
    }

    /// Messages of all PUBLISHes received, repeated ones too.
    pub fn publishes(&self) -> impl Iterator<Item = (&Message, u16, bool)> {
        self.received.iter().filter_map(|(_, packet)| match packet {
            Received::Publish { message, packet_identifier, dup } => Some((message, *packet_identifier, *dup)),
            _ => None,
        })
    }

    /// CONNECTs received.
    pub fn connects(&self) -> impl Iterator<Item = &Connect> {
        self.received.iter().filter_map(|(_, packet)| match packet {
            Received::Connect(connect) => Some(&**connect),
            _ => None,
        })
    }

    /// How many packets were received of which this is true.
    pub fn count(&self, is_it: impl Fn(&Received) -> bool) -> usize {
        self.received.iter().filter(|(_, packet)| is_it(packet)).count()
    }

    /// How many connections ended with a DISCONNECT that gives this reason.
    pub fn disconnects(&self, reason: ReasonCode) -> usize {
        self.count(|packet| matches!(packet, Received::Disconnect(disconnect) if disconnect.reason == reason))
    }

    /// How many connections are over.
    pub fn ended(&self) -> usize {
        self.count(|packet| *packet == Received::End)
    }
}
