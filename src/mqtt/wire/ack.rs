//! PUBACK, PUBREC, PUBREL and PUBCOMP (§3.4 to §3.7): four packets of one shape.

use super::primitive::{Reader, Writer};
use super::{PacketType, WireError, decode_reason, encode_reason, write_packet};
use crate::mqtt::{Properties, PropertyContext, ProtocolVersion, ReasonCode};

/// Which of the four acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AckKind {
    /// Answer to a PUBLISH of QoS 1.
    Puback,
    /// First answer to a PUBLISH of QoS 2.
    Pubrec,
    /// Answer to PUBREC.
    Pubrel,
    /// Answer to PUBREL.
    Pubcomp,
}

impl AckKind {
    /// The kind of a packet type, where it is an acknowledgement of a PUBLISH or of an acknowledgement.
    pub const fn of(packet_type: PacketType) -> Option<Self> {
        match packet_type {
            PacketType::Puback => Some(Self::Puback),
            PacketType::Pubrec => Some(Self::Pubrec),
            PacketType::Pubrel => Some(Self::Pubrel),
            PacketType::Pubcomp => Some(Self::Pubcomp),
            _ => None,
        }
    }

    /// Its packet type.
    pub const fn packet_type(self) -> PacketType {
        match self {
            Self::Puback => PacketType::Puback,
            Self::Pubrec => PacketType::Pubrec,
            Self::Pubrel => PacketType::Pubrel,
            Self::Pubcomp => PacketType::Pubcomp,
        }
    }

    const fn context(self) -> PropertyContext {
        match self {
            Self::Puback => PropertyContext::Puback,
            Self::Pubrec => PropertyContext::Pubrec,
            Self::Pubrel => PropertyContext::Pubrel,
            Self::Pubcomp => PropertyContext::Pubcomp,
        }
    }

    const fn first_byte(self) -> u8 {
        match self {
            Self::Puback => 0x40,
            Self::Pubrec => 0x50,
            Self::Pubrel => 0x62,
            Self::Pubcomp => 0x70,
        }
    }
}

/// An acknowledgement of a PUBLISH, or of an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Which one.
    pub kind: AckKind,
    /// Packet Identifier of the PUBLISH.
    pub packet_identifier: u16,
    /// Reason Code; always Success before 5.0.
    pub reason: ReasonCode,
    /// Properties in wire order.
    pub properties: Properties,
}

impl Ack {
    /// A positive acknowledgement.
    pub const fn success(kind: AckKind, packet_identifier: u16) -> Self {
        Self::with_reason(kind, packet_identifier, ReasonCode::SUCCESS)
    }

    /// An acknowledgement with a reason.
    pub const fn with_reason(kind: AckKind, packet_identifier: u16, reason: ReasonCode) -> Self {
        Self { kind, packet_identifier, reason, properties: Properties::new() }
    }

    pub(super) fn decode(kind: AckKind, reader: &mut Reader<'_>, version: ProtocolVersion) -> Result<Self, WireError> {
        let packet_identifier = reader.packet_identifier()?;
        let (reason, properties) = decode_reason(reader, version, kind.context())?;
        Ok(Self { kind, packet_identifier, reason, properties })
    }

    /// Appends the packet: four bytes if it is positive and has no properties.
    #[inline]
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), WireError> {
        if !version.is_v5() || (self.reason == ReasonCode::SUCCESS && self.properties.is_empty()) {
            let [high, low] = self.packet_identifier.to_be_bytes();
            out.extend_from_slice(&[self.kind.first_byte(), 2, high, low]);
            return Ok(());
        }
        write_packet(self.kind.packet_type(), out, |writer: &mut Writer<'_>| {
            writer.two_byte(self.packet_identifier);
            encode_reason(writer, self.reason, &self.properties, version, self.kind.context())
        })
    }
}
