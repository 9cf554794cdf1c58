//! PUBLISH (§3.3), read in place and written without a buffer in between.

use bytes::Bytes;

use super::primitive::{Reader, Writer, put_variable_byte_integer, variable_byte_integer_size};
use super::{Frame, MAX_PACKET_SIZE, MAX_REMAINING_LENGTH, PacketType, PropertiesRef, WireError};
use crate::mqtt::{
    Message, Properties, PropertyContext, PropertyName, ProtocolVersion, QoS, WireType, check_topic_name,
};

const PACKET: &str = "PUBLISH";

/// A PUBLISH that lies in a buffer, or one that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// DUP: this may be a re-delivery.
    pub dup: bool,
    /// Quality of Service of this delivery.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// Topic Name; empty if replaced by a Topic Alias (5.0).
    pub topic: &'a str,
    /// Packet Identifier, not zero with QoS 1 and 2, zero with QoS 0.
    pub packet_identifier: u16,
    /// Properties.
    pub properties: PublishProperties<'a>,
    /// Payload.
    pub payload: &'a [u8],
}

/// Properties of a PUBLISH: those read lie in the buffer, those to be written come from a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishProperties<'a> {
    /// As read.
    Read(PropertiesRef<'a>),
    /// To be written.
    Owned(&'a Properties),
}

impl PublishProperties<'_> {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Read(list) => list.is_empty(),
            Self::Owned(list) => list.is_empty(),
        }
    }

    /// The first value of that name as a number.
    pub fn number(&self, name: PropertyName) -> Option<u32> {
        match self {
            Self::Read(list) => list.number(name),
            Self::Owned(list) => list.number(name),
        }
    }

    /// The list, owned.
    pub fn to_properties(&self) -> Properties {
        match self {
            Self::Read(list) => list.to_properties(),
            Self::Owned(list) => (*list).clone(),
        }
    }
}

impl<'a> Publish<'a> {
    /// Reads a PUBLISH in place. QoS 3 is malformed (MQTT-3.3.1-4); an empty topic needs an alias (§3.3.2.1). Wildcards
    /// in a topic (MQTT-3.3.2-2) are for the sender to avoid: brokers deliver such topics (ActiveMQ's advisories), and
    /// check with [`check_topic_name`] where they are not allowed.
    #[inline]
    pub fn decode(frame: Frame<'a>, version: ProtocolVersion) -> Result<Self, WireError> {
        let mut reader = Reader::new(PACKET, frame.body);
        let qos = QoS::from_number(frame.flags >> 1 & 0b11).ok_or_else(|| reader.malformed("QoS 3"))?;
        let topic = reader.string()?;
        let packet_identifier = if qos == QoS::AtMostOnce { 0 } else { reader.packet_identifier()? };
        let properties =
            if version.is_v5() { reader.properties(PropertyContext::Publish)? } else { PropertiesRef::default() };
        if topic.is_empty() && properties.number(PropertyName::TopicAlias).is_none() {
            return Err(WireError::Protocol { packet: PACKET, what: "no topic and no topic alias" });
        }
        Ok(Self {
            dup: frame.flags & 0b1000 != 0,
            qos,
            retain: frame.flags & 1 != 0,
            topic,
            packet_identifier,
            properties: PublishProperties::Read(properties),
            payload: reader.take_rest(),
        })
    }

    /// The message as a delivery with this identifier.
    pub fn of(message: &'a Message, packet_identifier: u16, dup: bool) -> Self {
        Self {
            dup,
            qos: message.qos,
            retain: message.retain,
            topic: &message.topic,
            packet_identifier,
            properties: PublishProperties::Owned(&message.properties),
            payload: &message.payload,
        }
    }

    /// The message alone, owned.
    pub fn to_message(&self) -> Message {
        Message {
            topic: self.topic.to_owned(),
            payload: Bytes::copy_from_slice(self.payload),
            qos: self.qos,
            retain: self.retain,
            properties: self.properties.to_properties(),
        }
    }

    /// Appends the packet. Fails, and leaves `out` as it was, on a topic that is not valid, properties out of place or
    /// a size above 268,435,455.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), WireError> {
        let aliased = version.is_v5() && self.properties.number(PropertyName::TopicAlias).is_some();
        if !(self.topic.is_empty() && aliased) {
            check_topic_name(self.topic).map_err(|error| WireError::Topic { packet: PACKET, error })?;
        }
        let mut list = Vec::new();
        if version.is_v5() && !self.properties.is_empty() {
            let mut writer = Writer::new(PACKET, &mut list);
            match self.properties {
                PublishProperties::Owned(properties) => writer.properties(properties, PropertyContext::Publish)?,
                PublishProperties::Read(read) => writer.properties(&read.to_properties(), PropertyContext::Publish)?,
            }
        }
        // Most messages have none, and nothing is allocated for those.
        let properties = if version.is_v5() && list.is_empty() { &[0][..] } else { &list };
        let identifier = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let length = 2 + self.topic.len() + identifier + properties.len() + self.payload.len();
        if length > MAX_REMAINING_LENGTH {
            return Err(WireError::TooLarge { size: length + 5, limit: MAX_PACKET_SIZE });
        }
        out.reserve(1 + variable_byte_integer_size(length) + length);
        let dup = u8::from(self.dup && self.qos != QoS::AtMostOnce);
        out.push((PacketType::Publish as u8) << 4 | dup << 3 | self.qos.number() << 1 | u8::from(self.retain));
        put_variable_byte_integer(length as u32, out);
        let mut writer = Writer::new(PACKET, out);
        writer.string("the topic", self.topic)?; // cannot fail: check_topic_name has seen length and NUL
        if self.qos != QoS::AtMostOnce {
            writer.two_byte(self.packet_identifier);
        }
        writer.raw(properties);
        writer.raw(self.payload);
        Ok(())
    }
}

/// All of a PUBLISH but its payload, for one who forwards messages: the property list is bytes that were read before,
/// so nothing is checked or looked at again.
#[derive(Clone, Copy, Debug)]
pub struct PublishHead<'a> {
    /// DUP: this may be a re-delivery.
    pub dup: bool,
    /// Quality of Service of this delivery.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// Topic Name; empty if replaced by a Topic Alias.
    pub topic: &'a str,
    /// Packet Identifier, left out with QoS 0.
    pub packet_identifier: u16,
    /// The parts of the property list, with 5.0.
    pub properties: Option<[&'a [u8]; 2]>,
}

impl PublishHead<'_> {
    /// Bytes behind the Remaining Length, with a payload of this many bytes.
    fn remaining_length(&self, payload: usize) -> usize {
        let identifier = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let properties = self.properties.map_or(0, |[first, second]| {
            let length = first.len() + second.len();
            variable_byte_integer_size(length) + length
        });
        2 + self.topic.len() + identifier + properties + payload
    }

    /// Size of the whole packet, with a payload of this many bytes.
    pub fn size(&self, payload: usize) -> usize {
        let length = self.remaining_length(payload);
        1 + variable_byte_integer_size(length) + length
    }

    /// Appends everything up to the payload, which is to have `payload` bytes, and returns where the Packet Identifier
    /// stands, counted from the beginning of the packet. The caller has compared [`Self::size`] with what is allowed.
    #[inline]
    pub fn append(&self, payload: usize, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let dup = u8::from(self.dup && self.qos != QoS::AtMostOnce);
        out.push((PacketType::Publish as u8) << 4 | dup << 3 | self.qos.number() << 1 | u8::from(self.retain));
        put_variable_byte_integer(self.remaining_length(payload) as u32, out);
        out.extend_from_slice(&(self.topic.len() as u16).to_be_bytes());
        out.extend_from_slice(self.topic.as_bytes());
        let identifier_at = out.len() - start;
        if self.qos != QoS::AtMostOnce {
            out.extend_from_slice(&self.packet_identifier.to_be_bytes());
        }
        if let Some([first, second]) = self.properties {
            put_variable_byte_integer((first.len() + second.len()) as u32, out);
            out.extend_from_slice(first);
            out.extend_from_slice(second);
        }
        identifier_at
    }
}

/// Appends a property to a list of raw bytes. Only for properties without strings, which cannot fail to be written.
pub fn append_number_property(name: PropertyName, value: u32, out: &mut Vec<u8>) {
    out.push(name.id());
    match name.wire_type() {
        WireType::Byte => out.push(value as u8),
        WireType::TwoByte => out.extend_from_slice(&(value as u16).to_be_bytes()),
        WireType::VarInt => put_variable_byte_integer(value, out),
        _ => out.extend_from_slice(&value.to_be_bytes()),
    }
}

/// Bytes that are copied at once when packets are made from a template: they stay in the processor's first cache.
const LARGEST_COPY: usize = 4096;

/// A PUBLISH encoded once, to be copied and patched: the packet of a load generator.
#[derive(Clone, Debug)]
pub struct PublishTemplate {
    bytes: Vec<u8>,
    identifier_at: Option<usize>,
    /// Where the topic begins, behind the Remaining Length.
    rest_at: usize,
    payload_at: usize,
}

impl PublishTemplate {
    /// Encodes the message once. Fails as [`Publish::encode`] does.
    pub fn new(message: &Message, version: ProtocolVersion) -> Result<Self, WireError> {
        let mut bytes = Vec::new();
        Publish::of(message, 0, false).encode(version, &mut bytes)?;
        let payload_at = bytes.len() - message.payload.len();
        let length_bytes = bytes[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
        let identifier_at = (message.qos != QoS::AtMostOnce).then_some(1 + length_bytes + 2 + message.topic.len());
        Ok(Self { bytes, identifier_at, rest_at: 1 + length_bytes, payload_at })
    }

    /// Size of the packet in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Size of its payload in bytes.
    pub fn payload_size(&self) -> usize {
        self.bytes.len() - self.payload_at
    }

    /// Size of the packet with a payload of this many bytes.
    pub fn size_with(&self, payload: usize) -> usize {
        let length = self.rest() + payload;
        1 + variable_byte_integer_size(length) + length
    }

    /// Bytes of topic, identifier and properties.
    fn rest(&self) -> usize {
        self.payload_at - self.rest_at
    }

    /// Appends the packet up to its payload, which is to have `payload` bytes and is to be appended behind. Whoever
    /// does that has compared the largest [`Self::size_with`] with what is allowed.
    #[inline]
    pub fn append_head(&self, packet_identifier: u16, payload: usize, out: &mut Vec<u8>) {
        out.push(self.bytes[0]);
        put_variable_byte_integer((self.rest() + payload) as u32, out);
        let start = out.len();
        out.extend_from_slice(&self.bytes[self.rest_at..self.payload_at]);
        if let Some(at) = self.identifier_at {
            let at = start + at - self.rest_at;
            out[at..at + 2].copy_from_slice(&packet_identifier.to_be_bytes());
        }
    }

    /// Appends the packet with this identifier (ignored at QoS 0), and `head` over the first bytes of the payload.
    ///
    /// # Panics
    /// When `head` is longer than [`Self::payload_size`]; whoever stamps asks that once, not for each message.
    pub fn append(&self, packet_identifier: u16, head: &[u8], out: &mut Vec<u8>) {
        self.append_many([packet_identifier].into_iter(), || head, out);
    }

    /// Appends a packet for each of these identifiers (ignored at QoS 0), each with its head over the first bytes of
    /// the payload.
    ///
    /// # Panics
    /// As [`Self::append`].
    #[inline]
    pub fn append_many<H: AsRef<[u8]>>(
        &self,
        identifiers: impl ExactSizeIterator<Item = u16>,
        mut head: impl FnMut() -> H,
        out: &mut Vec<u8>,
    ) {
        let (start, size) = (out.len(), self.bytes.len());
        let end = start + identifiers.len() * size;
        out.reserve(end - start);
        // What has been copied is copied again: a few large copies cost less than many small ones.
        let most = (LARGEST_COPY / size).max(1) * size;
        while out.len() < end {
            match (out.len() - start).min(most).min(end - out.len()) {
                0 => out.extend_from_slice(&self.bytes),
                copied => out.extend_from_within(start..start + copied),
            }
        }
        for (packet, identifier) in out[start..].chunks_exact_mut(size).zip(identifiers) {
            if let Some(at) = self.identifier_at {
                packet[at..at + 2].copy_from_slice(&identifier.to_be_bytes());
            }
            let head = head();
            let head = head.as_ref();
            packet[self.payload_at..self.payload_at + head.len()].copy_from_slice(head);
        }
    }
}
