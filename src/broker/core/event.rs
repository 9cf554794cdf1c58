//! The events of a log: borrowed data, made only where there is a log, which turns them into text.

use super::Peer;
use crate::mqtt::{Message, ProtocolVersion, QoS};

/// Takes events. Called in the middle of the broker's work: it must not block.
pub trait Log: Send {
    /// Takes one event.
    fn event(&mut self, event: &Event<'_>);

    /// Whether it takes [`Event::Received`] and [`Event::Sending`]. If not, they are not made.
    fn wants_packets(&self) -> bool {
        true
    }

    /// Whether it takes [`Event::Bytes`], which costs a copy of each packet.
    fn wants_bytes(&self) -> bool {
        false
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A client was accepted.
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
    /// A second client with this Client Identifier is accepted.
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
    /// The bytes of a packet, after the event that names the packet; CONNECT has no such event.
    Bytes {
        /// Client Identifier, or the address before there is one.
        client: &'a str,
        /// Protocol version.
        version: ProtocolVersion,
        /// Whether it goes to the client.
        sending: bool,
        /// The whole packet.
        packet: &'a [u8],
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
    /// A subscription was removed, or there was none.
    Unsubscribed {
        /// Client Identifier.
        client: &'a str,
        /// Filter.
        filter: &'a str,
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
    /// A client broke the protocol, or sent something that is not a packet; the end of its connection follows.
    ProtocolError {
        /// Client Identifier, nothing before there is one.
        client_id: Option<&'a str>,
        /// Where it came from.
        peer: &'a Peer,
        /// What it did.
        what: &'a str,
    },
    /// The first byte of a connection is that of TLS, where MQTT is expected.
    TlsWithoutTls {
        /// Where it came from.
        peer: &'a Peer,
    },
    /// The session of a client that did not come back is gone.
    Expired {
        /// Client Identifier.
        client_id: &'a str,
    },
}

/// A packet as a log prints it.
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
    /// No CONNECT arrived in time, or nothing within one and a half times the Keep Alive.
    Timeout,
    /// A second client with this Client Identifier was accepted.
    TakenOver,
    /// The client sent something that is not a packet.
    Malformed,
    /// The client broke the protocol.
    Protocol,
    /// A packet exceeds the size limit.
    Oversize,
    /// The payload of a will exceeds the size limit.
    OversizePayload,
    /// More messages in flight than allowed.
    ReceiveMaximum,
    /// A topic alias above the limit.
    TopicAlias,
    /// The client may not connect.
    NotAuthorized,
    /// The client asked for enhanced authentication.
    BadAuthenticationMethod,
    /// The client published with a QoS that is not offered.
    QosNotSupported,
    /// The client published a retained message, and they are not offered.
    RetainNotSupported,
    /// There are too many clients, or too many that are not let in yet.
    ServerBusy,
    /// The broker ends.
    Shutdown,
}
