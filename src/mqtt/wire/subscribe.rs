//! SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK (§3.8 to §3.11).

use super::connect::{read_properties, write_properties};
use super::primitive::{Reader, Writer};
use super::{PacketType, WireError, write_packet};
use crate::mqtt::{Properties, PropertyContext, ProtocolVersion, QoS, ReasonCode, check_topic_filter};

/// Which retained messages a subscription asks for (§3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RetainHandling {
    /// Send them at each SUBSCRIBE.
    #[default]
    Always = 0,
    /// Send them only when the subscription is new.
    New = 1,
    /// Do not send them.
    Never = 2,
}

/// One Topic Filter with its Subscription Options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeFilter {
    /// Topic Filter.
    pub filter: String,
    /// Maximum QoS.
    pub qos: QoS,
    /// Do not send what this client publishes (5.0).
    pub no_local: bool,
    /// Keep the RETAIN flag as it was published (5.0).
    pub retain_as_published: bool,
    /// Which retained messages to send (5.0).
    pub retain_handling: RetainHandling,
}

impl SubscribeFilter {
    /// The options byte on the wire.
    pub const fn options(&self, version: ProtocolVersion) -> u8 {
        let qos = self.qos.number();
        if !version.is_v5() {
            return qos;
        }
        qos | (self.no_local as u8) << 2 | (self.retain_as_published as u8) << 3 | (self.retain_handling as u8) << 4
    }

    /// No Local on a shared subscription is a Protocol Error (MQTT-3.8.3-4).
    fn check(&self, packet: &'static str) -> Result<(), WireError> {
        if self.no_local && self.filter.starts_with("$share/") {
            return Err(WireError::Protocol { packet, what: "No Local on a shared subscription" });
        }
        Ok(())
    }
}

/// SUBSCRIBE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscribe {
    /// Packet Identifier.
    pub packet_identifier: u16,
    /// Properties in wire order.
    pub properties: Properties,
    /// Filters, at least one.
    pub filters: Vec<SubscribeFilter>,
}

impl Subscribe {
    pub(super) fn decode(reader: &mut Reader<'_>, version: ProtocolVersion) -> Result<Self, WireError> {
        let packet_identifier = reader.packet_identifier()?;
        let properties = read_properties(reader, version, PropertyContext::Subscribe)?;
        let mut filters = Vec::new();
        while !reader.is_empty() {
            let filter = read_filter(reader)?;
            let options = reader.byte()?;
            let reserved = if version.is_v5() { 0b1100_0000 } else { 0b1111_1100 };
            if options & reserved != 0 {
                return Err(reader.malformed("reserved subscription options are set"));
            }
            let retain_handling = match options >> 4 & 0b11 {
                0 => RetainHandling::Always,
                1 => RetainHandling::New,
                2 => RetainHandling::Never,
                _ => return Err(reader.malformed("retain handling 3")),
            };
            let filter = SubscribeFilter {
                filter,
                qos: QoS::from_number(options & 0b11).ok_or_else(|| reader.malformed("QoS 3"))?,
                no_local: options & 0b100 != 0,
                retain_as_published: options & 0b1000 != 0,
                retain_handling,
            };
            filter.check(reader.packet())?;
            filters.push(filter);
        }
        require(!filters.is_empty(), reader.packet())?;
        Ok(Self { packet_identifier, properties, filters })
    }

    /// Appends the packet. Fails on filters that are not valid, on none, and on No Local with a shared one.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), WireError> {
        write_packet(PacketType::Subscribe, out, |writer| {
            require(!self.filters.is_empty(), writer.packet())?;
            writer.two_byte(self.packet_identifier);
            write_properties(writer, &self.properties, version, PropertyContext::Subscribe)?;
            for filter in &self.filters {
                if version.is_v5() {
                    filter.check(writer.packet())?;
                }
                write_filter(writer, &filter.filter)?;
                writer.byte(filter.options(version));
            }
            Ok(())
        })
    }
}

/// UNSUBSCRIBE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Packet Identifier.
    pub packet_identifier: u16,
    /// Properties in wire order.
    pub properties: Properties,
    /// Filters, at least one.
    pub filters: Vec<String>,
}

impl Unsubscribe {
    pub(super) fn decode(reader: &mut Reader<'_>, version: ProtocolVersion) -> Result<Self, WireError> {
        let packet_identifier = reader.packet_identifier()?;
        let properties = read_properties(reader, version, PropertyContext::Unsubscribe)?;
        let mut filters = Vec::new();
        while !reader.is_empty() {
            filters.push(read_filter(reader)?);
        }
        require(!filters.is_empty(), reader.packet())?;
        Ok(Self { packet_identifier, properties, filters })
    }

    /// Appends the packet. Fails on filters that are not valid.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), WireError> {
        write_packet(PacketType::Unsubscribe, out, |writer| {
            require(!self.filters.is_empty(), writer.packet())?;
            writer.two_byte(self.packet_identifier);
            write_properties(writer, &self.properties, version, PropertyContext::Unsubscribe)?;
            self.filters.iter().try_for_each(|filter| write_filter(writer, filter))
        })
    }
}

fn require(some_filter: bool, packet: &'static str) -> Result<(), WireError> {
    if some_filter { Ok(()) } else { Err(WireError::Protocol { packet, what: "no topic filter" }) }
}

fn read_filter(reader: &mut Reader<'_>) -> Result<String, WireError> {
    let filter = reader.string()?;
    check_topic_filter(filter).map_err(|error| WireError::Topic { packet: reader.packet(), error })?;
    Ok(filter.to_owned())
}

fn write_filter(writer: &mut Writer<'_>, filter: &str) -> Result<(), WireError> {
    check_topic_filter(filter).map_err(|error| WireError::Topic { packet: writer.packet(), error })?;
    writer.string("the topic filter", filter)
}

/// SUBACK: one code per filter, in order. 0, 1, 2 grant a QoS, 0x80 and above refuse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suback {
    /// Packet Identifier of the SUBSCRIBE.
    pub packet_identifier: u16,
    /// Properties in wire order.
    pub properties: Properties,
    /// One code per filter.
    pub reasons: Vec<ReasonCode>,
}

impl Suback {
    pub(super) fn decode(reader: &mut Reader<'_>, version: ProtocolVersion) -> Result<Self, WireError> {
        let packet_identifier = reader.packet_identifier()?;
        let properties = read_properties(reader, version, PropertyContext::Suback)?;
        let reasons: Vec<_> = reader.take_rest().iter().copied().map(ReasonCode).collect();
        if reasons.iter().any(|reason| !matches!(reason.0, 0..=2 | 0x80..)) {
            return Err(reader.malformed("an invalid return code"));
        }
        Ok(Self { packet_identifier, properties, reasons })
    }

    /// Appends the packet.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), WireError> {
        write_packet(PacketType::Suback, out, |writer| {
            writer.two_byte(self.packet_identifier);
            write_properties(writer, &self.properties, version, PropertyContext::Suback)?;
            self.reasons.iter().for_each(|reason| writer.byte(reason.0));
            Ok(())
        })
    }
}

/// UNSUBACK; it carries codes only with 5.0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsuback {
    /// Packet Identifier of the UNSUBSCRIBE.
    pub packet_identifier: u16,
    /// Properties in wire order.
    pub properties: Properties,
    /// One code per filter.
    pub reasons: Vec<ReasonCode>,
}

impl Unsuback {
    pub(super) fn decode(reader: &mut Reader<'_>, version: ProtocolVersion) -> Result<Self, WireError> {
        let packet_identifier = reader.packet_identifier()?;
        let properties = read_properties(reader, version, PropertyContext::Unsuback)?;
        let reasons = if version.is_v5() { reader.take_rest() } else { &[] };
        Ok(Self { packet_identifier, properties, reasons: reasons.iter().copied().map(ReasonCode).collect() })
    }

    /// Appends the packet.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), WireError> {
        write_packet(PacketType::Unsuback, out, |writer| {
            writer.two_byte(self.packet_identifier);
            write_properties(writer, &self.properties, version, PropertyContext::Unsuback)?;
            if version.is_v5() {
                self.reasons.iter().for_each(|reason| writer.byte(reason.0));
            }
            Ok(())
        })
    }
}
