//! Bytes ↔ packets, for every tool and both ends of a connection.
//!
//! [`scan`] finds a packet in a read buffer, [`Packet::decode`] reads it in place, `encode` functions append to a
//! buffer. PUBLISH borrows topic, properties and payload from the buffer; nothing is copied on the way in. Property
//! tests compare this codec with rumqttc's, an independent implementation of the same standards.

mod ack;
mod connect;
mod primitive;
mod properties;
mod publish;
mod subscribe;

use thiserror::Error;

use super::{Properties, PropertyContext, PropertyError, ProtocolVersion, ReasonCode, TopicError};

pub use ack::{Ack, AckKind};
pub use connect::{Connack, Connect, Will};
pub use properties::PropertiesRef;
pub use publish::{Publish, PublishHead, PublishProperties, PublishTemplate, append_number_property};
pub use subscribe::{RetainHandling, Suback, Subscribe, SubscribeFilter, Unsuback, Unsubscribe};

use primitive::{Reader, Writer};

/// The largest Remaining Length that fits four bytes (§1.5.5).
pub const MAX_REMAINING_LENGTH: usize = 268_435_455;

/// The largest packet: that with its five bytes of fixed header.
pub const MAX_PACKET_SIZE: usize = MAX_REMAINING_LENGTH + 5;

/// What is wrong with bytes from the network, or with something that was to become bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// The bytes are no packet (Malformed Packet, 0x81).
    #[error("malformed {packet}: {what}")]
    Malformed {
        /// Name of the packet.
        packet: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A well-formed packet that is not allowed here (Protocol Error, 0x82).
    #[error("protocol error in {packet}: {what}")]
    Protocol {
        /// Name of the packet.
        packet: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A property is wrong.
    #[error("{packet}: {error}")]
    Property {
        /// Name of the packet.
        packet: &'static str,
        /// What is wrong with the property.
        error: PropertyError,
    },
    /// The packet is larger than we or the other side allow (Packet too large, 0x95).
    #[error("a packet of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Its whole size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A string or a binary value is too long for its two length bytes.
    #[error("{what} is {length} bytes long; at most 65,535 fit")]
    TooLong {
        /// Which one.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// A topic is not valid.
    #[error("{packet}: the topic is not valid: {error}")]
    Topic {
        /// Name of the packet.
        packet: &'static str,
        /// What is wrong with it.
        error: TopicError,
    },
}

impl WireError {
    /// The Reason Code of a DISCONNECT for it (§4.13).
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::Malformed { .. } | Self::TooLong { .. } | Self::Topic { .. } => ReasonCode::MALFORMED_PACKET,
            Self::Protocol { .. } | Self::Property { .. } => ReasonCode::PROTOCOL_ERROR,
            Self::TooLarge { .. } => ReasonCode::PACKET_TOO_LARGE,
        }
    }
}

/// MQTT Control Packet types (§2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// Connection request.
    Connect = 1,
    /// Connect acknowledgement.
    Connack = 2,
    /// Publish message.
    Publish = 3,
    /// Publish acknowledgement (QoS 1).
    Puback = 4,
    /// Publish received (QoS 2, part 1).
    Pubrec = 5,
    /// Publish release (QoS 2, part 2).
    Pubrel = 6,
    /// Publish complete (QoS 2, part 3).
    Pubcomp = 7,
    /// Subscribe request.
    Subscribe = 8,
    /// Subscribe acknowledgement.
    Suback = 9,
    /// Unsubscribe request.
    Unsubscribe = 10,
    /// Unsubscribe acknowledgement.
    Unsuback = 11,
    /// Ping request.
    Pingreq = 12,
    /// Ping response.
    Pingresp = 13,
    /// Disconnect notification.
    Disconnect = 14,
    /// Authentication exchange (5.0).
    Auth = 15,
}

impl PacketType {
    const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Connect,
            2 => Self::Connack,
            3 => Self::Publish,
            4 => Self::Puback,
            5 => Self::Pubrec,
            6 => Self::Pubrel,
            7 => Self::Pubcomp,
            8 => Self::Subscribe,
            9 => Self::Suback,
            10 => Self::Unsubscribe,
            11 => Self::Unsuback,
            12 => Self::Pingreq,
            13 => Self::Pingresp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The name of the packet in the standard.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Connack => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::Puback => "PUBACK",
            Self::Pubrec => "PUBREC",
            Self::Pubrel => "PUBREL",
            Self::Pubcomp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::Suback => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Unsuback => "UNSUBACK",
            Self::Pingreq => "PINGREQ",
            Self::Pingresp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// The flags that the low half of the first byte must show; PUBLISH uses these bits differently (§2.1.3).
    const fn reserved_flags(self) -> Option<u8> {
        match self {
            Self::Publish => None,
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => Some(0b0010),
            _ => Some(0),
        }
    }

    /// The flag that MQTT 3.1 may set where later versions reserve it: DUP, in the packets of QoS 1 (3.1, §2.1).
    const fn old_flag(self) -> u8 {
        match self {
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => DUP,
            _ => 0,
        }
    }
}

/// A whole packet in a buffer, not yet looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its type.
    pub packet_type: PacketType,
    /// The low four bits of the first byte.
    pub flags: u8,
    /// What follows the fixed header.
    pub body: &'a [u8],
    /// The size of the whole packet in bytes.
    pub size: usize,
}

/// What the beginning of a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan<'a> {
    /// A whole packet.
    Frame(Frame<'a>),
    /// Not yet a whole packet. The size of the packet where the fixed header is complete.
    Incomplete(Option<usize>),
}

/// Looks for a packet at the beginning of `input`. `limit` is the largest packet we take, in bytes.
///
/// Fails on a type or flags that the standard reserves (§2.1), on a length of more than four bytes (§1.5.5) and above
/// the limit — before the body has arrived, so an announced size costs no memory.
#[inline]
pub fn scan(input: &[u8], limit: usize) -> Result<Scan<'_>, WireError> {
    let Some(&first) = input.first() else { return Ok(Scan::Incomplete(None)) };
    let Some(packet_type) = PacketType::from_number(first >> 4) else {
        return Err(WireError::Malformed { packet: "packet", what: "type 0 is reserved" });
    };
    let flags = first & 0x0F;
    // Which version is spoken is known where the packet is read.
    if packet_type.reserved_flags().is_some_and(|reserved| reserved != flags & !packet_type.old_flag()) {
        return Err(reserved_flags_set(packet_type));
    }
    let Some((length, length_bytes)) = primitive::variable_byte_integer(&input[1..])
        .map_err(|what| WireError::Malformed { packet: packet_type.name(), what })?
    else {
        return Ok(Scan::Incomplete(None));
    };
    let header = 1 + length_bytes;
    let size = header + length as usize;
    if size > limit {
        return Err(WireError::TooLarge { size, limit });
    }
    match input.get(header..size) {
        Some(body) => Ok(Scan::Frame(Frame { packet_type, flags, body, size })),
        None => Ok(Scan::Incomplete(Some(size))),
    }
}

const DUP: u8 = 0b1000;

const fn reserved_flags_set(packet_type: PacketType) -> WireError {
    WireError::Malformed { packet: packet_type.name(), what: "reserved flags of the first byte are set" }
}

/// DISCONNECT (§3.14). With 3.1 and 3.1.1 only a client sends it, without anything inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disconnect {
    /// Why.
    pub reason: ReasonCode,
    /// Properties in wire order.
    pub properties: Properties,
}

/// AUTH (§3.15), 5.0 only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// Continue authentication, Re-authenticate, Success.
    pub reason: ReasonCode,
    /// Properties in wire order.
    pub properties: Properties,
}

/// A packet. PUBLISH borrows from the buffer it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Connection request.
    Connect(Box<Connect>),
    /// Connect acknowledgement.
    Connack(Connack),
    /// Publish message.
    Publish(Publish<'a>),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack(Ack),
    /// Subscribe request.
    Subscribe(Subscribe),
    /// Subscribe acknowledgement.
    Suback(Suback),
    /// Unsubscribe request.
    Unsubscribe(Unsubscribe),
    /// Unsubscribe acknowledgement.
    Unsuback(Unsuback),
    /// Ping request.
    Pingreq,
    /// Ping response.
    Pingresp,
    /// Disconnect notification.
    Disconnect(Disconnect),
    /// Authentication exchange.
    Auth(Auth),
}

impl<'a> Packet<'a> {
    /// Reads the body of a frame. Fails with what is wrong, never panics, for any bytes.
    pub fn decode(frame: Frame<'a>, version: ProtocolVersion) -> Result<Self, WireError> {
        let packet = frame.packet_type.name();
        if frame.flags & frame.packet_type.old_flag() != 0 && version != ProtocolVersion::V31 {
            return Err(reserved_flags_set(frame.packet_type));
        }
        let mut reader = Reader::new(packet, frame.body);
        let decoded = match frame.packet_type {
            PacketType::Publish => return Publish::decode(frame, version).map(Self::Publish),
            PacketType::Puback => Self::Ack(Ack::decode(AckKind::Puback, &mut reader, version)?),
            PacketType::Pubrec => Self::Ack(Ack::decode(AckKind::Pubrec, &mut reader, version)?),
            PacketType::Pubrel => Self::Ack(Ack::decode(AckKind::Pubrel, &mut reader, version)?),
            PacketType::Pubcomp => Self::Ack(Ack::decode(AckKind::Pubcomp, &mut reader, version)?),
            PacketType::Connect => Self::Connect(Box::new(Connect::decode(&mut reader)?)),
            PacketType::Connack => Self::Connack(Connack::decode(&mut reader, version)?),
            PacketType::Subscribe => Self::Subscribe(Subscribe::decode(&mut reader, version)?),
            PacketType::Suback => Self::Suback(Suback::decode(&mut reader, version)?),
            PacketType::Unsubscribe => Self::Unsubscribe(Unsubscribe::decode(&mut reader, version)?),
            PacketType::Unsuback => Self::Unsuback(Unsuback::decode(&mut reader, version)?),
            PacketType::Pingreq => Self::Pingreq,
            PacketType::Pingresp => Self::Pingresp,
            PacketType::Disconnect => {
                let (reason, properties) = decode_reason(&mut reader, version, PropertyContext::Disconnect)?;
                Self::Disconnect(Disconnect { reason, properties })
            }
            PacketType::Auth if version.is_v5() => {
                let (reason, properties) = decode_reason(&mut reader, version, PropertyContext::Auth)?;
                Self::Auth(Auth { reason, properties })
            }
            PacketType::Auth => return Err(AUTH_IS_OF_V5),
        };
        reader.finish()?;
        Ok(decoded)
    }

    /// Appends the packet to `out`. Fails, and leaves `out` as it was, when something is too long or out of place.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), WireError> {
        match self {
            Self::Connect(connect) => connect.encode(out),
            Self::Connack(connack) => connack.encode(version, out),
            Self::Publish(publish) => publish.encode(version, out),
            Self::Ack(ack) => ack.encode(version, out),
            Self::Subscribe(subscribe) => subscribe.encode(version, out),
            Self::Suback(suback) => suback.encode(version, out),
            Self::Unsubscribe(unsubscribe) => unsubscribe.encode(version, out),
            Self::Unsuback(unsuback) => unsuback.encode(version, out),
            Self::Pingreq => write_packet(PacketType::Pingreq, out, |_| Ok(())),
            Self::Pingresp => write_packet(PacketType::Pingresp, out, |_| Ok(())),
            Self::Disconnect(Disconnect { reason, properties }) => {
                write_packet(PacketType::Disconnect, out, |writer| {
                    encode_reason(writer, *reason, properties, version, PropertyContext::Disconnect)
                })
            }
            Self::Auth(_) if !version.is_v5() => Err(AUTH_IS_OF_V5),
            Self::Auth(Auth { reason, properties }) => write_packet(PacketType::Auth, out, |writer| {
                encode_reason(writer, *reason, properties, version, PropertyContext::Auth)
            }),
        }
    }

    /// Its type.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::Connack(_) => PacketType::Connack,
            Self::Publish(_) => PacketType::Publish,
            Self::Ack(ack) => ack.kind.packet_type(),
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::Suback(_) => PacketType::Suback,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::Unsuback(_) => PacketType::Unsuback,
            Self::Pingreq => PacketType::Pingreq,
            Self::Pingresp => PacketType::Pingresp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }
}

const AUTH_IS_OF_V5: WireError = WireError::Protocol { packet: "AUTH", what: "it needs MQTT 5.0" };

/// The tail that DISCONNECT, AUTH and the four acknowledgements share: a reason code, then properties, each of which
/// may be left out at the end with 5.0, and which do not exist before (§3.4.2.1, §3.14.2.1, §3.15.2.1).
fn decode_reason(
    reader: &mut Reader<'_>,
    version: ProtocolVersion,
    context: PropertyContext,
) -> Result<(ReasonCode, Properties), WireError> {
    if !version.is_v5() || reader.is_empty() {
        return Ok((ReasonCode::SUCCESS, Properties::new()));
    }
    let reason = ReasonCode(reader.byte()?);
    let properties = if reader.is_empty() { Properties::new() } else { reader.properties(context)?.to_properties() };
    Ok((reason, properties))
}

fn encode_reason(
    writer: &mut Writer<'_>,
    reason: ReasonCode,
    properties: &Properties,
    version: ProtocolVersion,
    context: PropertyContext,
) -> Result<(), WireError> {
    if version.is_v5() && (reason != ReasonCode::SUCCESS || !properties.is_empty()) {
        writer.byte(reason.0);
        if !properties.is_empty() {
            writer.properties(properties, context)?;
        }
    }
    Ok(())
}

/// Appends a packet whose body `body` writes. The length is known afterwards, so the body goes through a separate
/// buffer; only rare packets come this way.
fn write_packet(
    packet_type: PacketType,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let mut bytes = Vec::new();
    body(&mut Writer::new(packet_type.name(), &mut bytes))?;
    if bytes.len() > MAX_REMAINING_LENGTH {
        return Err(WireError::TooLarge { size: bytes.len() + 5, limit: MAX_PACKET_SIZE });
    }
    out.push((packet_type as u8) << 4 | packet_type.reserved_flags().unwrap_or(0));
    primitive::put_variable_byte_integer(bytes.len() as u32, out);
    out.extend_from_slice(&bytes);
    Ok(())
}

#[cfg(test)]
mod tests;
