//! CONNECT (§3.1) and CONNACK (§3.2).

use bytes::Bytes;

use super::primitive::{Reader, Writer};
use super::{PacketType, WireError, write_packet};
use crate::mqtt::{Message, Properties, PropertyContext, ProtocolVersion, QoS, ReasonCode, Secret, check_topic_name};

const USER_NAME: u8 = 0x80;
const PASSWORD: u8 = 0x40;
const WILL_RETAIN: u8 = 0x20;
const WILL: u8 = 0x04;
const CLEAN_START: u8 = 0x02;

/// The message that the server publishes when the connection ends without a DISCONNECT (§3.1.2.5); will-delay-interval
/// is one of its properties.
pub type Will = Message;

/// CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Protocol version.
    pub version: ProtocolVersion,
    /// Client Identifier; empty asks the server for one.
    pub client_id: String,
    /// Clean Start (Clean Session before 5.0).
    pub clean_start: bool,
    /// Keep Alive in seconds, 0 turns it off.
    pub keep_alive: u16,
    /// User Name.
    pub user_name: Option<String>,
    /// Password; without a user name only with 5.0 (3.1.1 §3.1.2.9).
    pub password: Option<Secret>,
    /// Will.
    pub will: Option<Will>,
    /// Properties in wire order.
    pub properties: Properties,
}

impl Connect {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let name = reader.string()?;
        let level = reader.byte()?;
        // The top bit marks a bridge of mosquitto; it is not ours to refuse.
        let version = match (name, level & 0x7F) {
            ("MQIsdp", 3) => ProtocolVersion::V31,
            ("MQTT", 4) => ProtocolVersion::V311,
            ("MQTT", 5) => ProtocolVersion::V5,
            _ => return Err(reader.malformed("an unknown protocol name or level")),
        };
        let flags = reader.byte()?;
        if flags & 1 != 0 {
            return Err(reader.malformed("the reserved connect flag is set"));
        }
        if version != ProtocolVersion::V5 && flags & PASSWORD != 0 && flags & USER_NAME == 0 {
            return Err(reader.malformed("a password without a user name"));
        }
        let keep_alive = reader.two_byte()?;
        let properties = read_properties(reader, version, PropertyContext::Connect)?;
        let client_id = reader.string()?.to_owned();
        let will = if flags & WILL != 0 {
            let properties = read_properties(reader, version, PropertyContext::Will)?;
            let topic = reader.string()?.to_owned();
            check_topic_name(&topic).map_err(|error| WireError::Topic { packet: reader.packet(), error })?;
            Some(Message {
                topic,
                payload: Bytes::copy_from_slice(reader.binary()?),
                qos: QoS::from_number(flags >> 3 & 0b11).ok_or_else(|| reader.malformed("will QoS 3"))?,
                retain: flags & WILL_RETAIN != 0,
                properties,
            })
        } else if flags & (0b11 << 3 | WILL_RETAIN) != 0 {
            return Err(reader.malformed("will flags without a will"));
        } else {
            None
        };
        let user_name = if flags & USER_NAME != 0 { Some(reader.string()?.to_owned()) } else { None };
        let password = if flags & PASSWORD != 0 { Some(Secret::new(reader.binary()?)) } else { None };
        let clean_start = flags & CLEAN_START != 0;
        Ok(Self { version, client_id, clean_start, keep_alive, user_name, password, will, properties })
    }

    /// Appends the packet. Fails on strings that are too long, properties out of place, a will topic that is not
    /// valid, and before 5.0 on a password without a user name (3.1.1 §3.1.2.9).
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        write_packet(PacketType::Connect, out, |writer| self.encode_body(writer))
    }

    fn encode_body(&self, writer: &mut Writer<'_>) -> Result<(), WireError> {
        if !self.version.is_v5() && self.password.is_some() && self.user_name.is_none() {
            let what = "a password without a user name needs MQTT 5.0";
            return Err(WireError::Protocol { packet: writer.packet(), what });
        }
        let mut flags = 0;
        if self.clean_start {
            flags |= CLEAN_START;
        }
        if let Some(will) = &self.will {
            flags |= WILL | will.qos.number() << 3 | if will.retain { WILL_RETAIN } else { 0 };
        }
        if self.user_name.is_some() {
            flags |= USER_NAME;
        }
        if self.password.is_some() {
            flags |= PASSWORD;
        }
        writer.string("the protocol name", self.version.protocol_name())?;
        writer.byte(self.version.level());
        writer.byte(flags);
        writer.two_byte(self.keep_alive);
        write_properties(writer, &self.properties, self.version, PropertyContext::Connect)?;
        writer.string("the client id", &self.client_id)?;
        if let Some(will) = &self.will {
            check_topic_name(&will.topic).map_err(|error| WireError::Topic { packet: writer.packet(), error })?;
            write_properties(writer, &will.properties, self.version, PropertyContext::Will)?;
            writer.string("the will topic", &will.topic)?;
            writer.binary("the will payload", &will.payload)?;
        }
        if let Some(user_name) = &self.user_name {
            writer.string("the user name", user_name)?;
        }
        if let Some(password) = &self.password {
            writer.binary("the password", password.expose())?;
        }
        Ok(())
    }
}

/// CONNACK.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connack {
    /// The server had a session for this client and goes on with it.
    pub session_present: bool,
    /// Reason Code; a return code of 3.1.1 is mapped onto it.
    pub reason: ReasonCode,
    /// Properties in wire order.
    pub properties: Properties,
}

impl Connack {
    pub(super) fn decode(reader: &mut Reader<'_>, version: ProtocolVersion) -> Result<Self, WireError> {
        let flags = reader.byte()?;
        if flags > 1 {
            return Err(reader.malformed("reserved acknowledge flags are set"));
        }
        let code = reader.byte()?;
        // A server without 5.0 answers a 5.0 CONNECT in the form of 3.1.1: two bytes, code 1 (3.1.1 §3.2).
        if !version.is_v5() || (reader.is_empty() && matches!(code, 1..=5)) {
            let reason = ReasonCode::from_v3_connack(code);
            return Ok(Self { session_present: flags == 1, reason, properties: Properties::new() });
        }
        let properties = read_properties(reader, version, PropertyContext::Connack)?;
        Ok(Self { session_present: flags == 1, reason: ReasonCode(code), properties })
    }

    /// Appends the packet.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), WireError> {
        write_packet(PacketType::Connack, out, |writer| {
            writer.byte(u8::from(self.session_present));
            writer.byte(if version.is_v5() { self.reason.0 } else { self.reason.to_v3_connack() });
            write_properties(writer, &self.properties, version, PropertyContext::Connack)
        })
    }
}

/// Only 5.0 packets have properties.
pub(super) fn read_properties(
    reader: &mut Reader<'_>,
    version: ProtocolVersion,
    context: PropertyContext,
) -> Result<Properties, WireError> {
    if version.is_v5() { Ok(reader.properties(context)?.to_properties()) } else { Ok(Properties::new()) }
}

/// Only 5.0 packets have properties.
pub(super) fn write_properties(
    writer: &mut Writer<'_>,
    properties: &Properties,
    version: ProtocolVersion,
    context: PropertyContext,
) -> Result<(), WireError> {
    if version.is_v5() { writer.properties(properties, context) } else { Ok(()) }
}
