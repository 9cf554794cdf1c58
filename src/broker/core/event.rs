//! What the core tells a log. Borrowed data, made only where there is a log; how it reads is the log's.

use super::Peer;
use crate::mqtt::{Message, ProtocolVersion, QoS};

/// Takes events. Called in the middle of the broker's work: it must not block.
pub trait Log: Send {
    /// Takes one event.
    fn event(&mut self, event: &Event<'_>);

    /// Whether it takes [`Event::Received`] and [`Event::Sending`] at all. False saves making them.
    fn wants_packets(&self) -> bool {
        true
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A client is let in.
    Connected {
        /// Where it comes from.
        peer: &'a Peer,
        /// Client Identifier.
        client_id: &'a str,
        /// Protocol version.
        version: ProtocolVersion,
        /// Clean Start.
        clean_start: bool,
        /// Keep Alive in seconds.
        keep_alive: u16,
        /// User name.
        user_name: Option<&'a str>,
        /// Will.
        will: Option<&'a Message>,
        /// Whether it is the bridge of a mosquitto.
        bridge: bool,
    },
    /// A second client of this name is let in.
    AlreadyConnected {
        /// Client Identifier.
        client_id: &'a str,
    },
    /// A packet came from a client.
    Received {
        /// Client Identifier, or the address before there is one.
        client: &'a str,
        /// The packet.
        packet: PacketEvent<'a>,
    },
    /// A packet goes to a client.
    Sending {
        /// Client Identifier, or the address before there is one.
        client: &'a str,
        /// The packet.
        packet: PacketEvent<'a>,
    },
    /// A PUBLISH was refused by the access list, or is too large.
    Denied {
        /// Client Identifier.
        client: &'a str,
        /// The packet.
        packet: PacketEvent<'a>,
        /// Whether it is too large.
        too_large: bool,
    },
    /// A filter of a SUBSCRIBE was taken.
    Subscribed {
        /// Client Identifier.
        client: &'a str,
        /// Filter.
        filter: &'a str,
        /// Granted QoS.
        qos: QoS,
    },
    /// A message was dropped, the first of its kind since the client kept up.
    Dropping {
        /// Client Identifier.
        client: &'a str,
    },
    /// A connection ends.
    Disconnected {
        /// Client Identifier, nothing before there is one.
        client_id: Option<&'a str>,
        /// Where it came from.
        peer: &'a Peer,
        /// Why.
        cause: &'a Cause,
    },
    /// A CONNECT was refused, or was none.
    Refused {
        /// Where it came from.
        peer: &'a Peer,
        /// Client Identifier, where it was read.
        client_id: Option<&'a str>,
        /// Why.
        why: &'a str,
    },
    /// The session of a client that did not come back is gone.
    Expired {
        /// Client Identifier.
        client_id: &'a str,
    },
}

/// What a log says about a packet.
#[derive(Clone, Copy, Debug)]
pub enum PacketEvent<'a> {
    /// CONNACK.
    Connack {
        /// Session Present.
        session_present: bool,
        /// The code on the wire.
        code: u8,
    },
    /// PUBLISH.
    Publish {
        /// DUP.
        dup: bool,
        /// QoS.
        qos: QoS,
        /// RETAIN.
        retain: bool,
        /// Packet Identifier.
        packet_identifier: u16,
        /// Topic Name.
        topic: &'a str,
        /// Bytes of payload.
        size: usize,
    },
    /// PUBACK: Packet Identifier and Reason Code.
    Puback(u16, u8),
    /// PUBREC: Packet Identifier and Reason Code.
    Pubrec(u16, u8),
    /// PUBREL: Packet Identifier.
    Pubrel(u16),
    /// PUBCOMP: Packet Identifier and Reason Code.
    Pubcomp(u16, u8),
    /// SUBSCRIBE.
    Subscribe,
    /// A filter of a SUBSCRIBE and the QoS it asks for.
    SubscribeFilter(&'a str, QoS),
    /// SUBACK.
    Suback,
    /// UNSUBSCRIBE.
    Unsubscribe,
    /// A filter of an UNSUBSCRIBE.
    UnsubscribeFilter(&'a str),
    /// UNSUBACK.
    Unsuback,
    /// PINGREQ.
    Pingreq,
    /// PINGRESP.
    Pingresp,
    /// DISCONNECT and its Reason Code.
    Disconnect(u8),
    /// AUTH and its Reason Code.
    Auth(u8),
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The client sent a DISCONNECT.
    Disconnect,
    /// The client closed its connection without a DISCONNECT.
    Closed,
    /// The transport failed.
    Transport(String),
    /// Nothing came within one and a half times the Keep Alive.
    KeepAlive,
    /// No CONNECT came in time.
    ConnectTimeout,
    /// A second client of this name was let in.
    TakenOver,
    /// The client sent something that is no packet.
    Malformed(String),
    /// The client broke the protocol.
    Protocol(String),
    /// A packet is larger than is taken.
    Oversize,
    /// More messages in flight than were allowed.
    ReceiveMaximum,
    /// A topic alias above the limit, or one that stands for nothing.
    TopicAlias,
    /// The client was refused.
    Refused,
    /// The broker ends.
    Shutdown,
    /// The client asked for a QoS, retained message or authentication that is not offered.
    NotSupported,
}
