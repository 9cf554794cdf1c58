//! The data types of §1.5: integers, strings, binary data, and properties as a length and what it covers.

use bytes::Bytes;

use super::{PropertiesRef, WireError};
use crate::mqtt::{Properties, PropertyContext, PropertyValue};

/// Reads a Variable Byte Integer (§1.5.5) from the beginning of `input`: the value and the bytes it took, or nothing
/// while it is incomplete. More than four bytes are malformed.
#[inline]
pub(super) fn variable_byte_integer(input: &[u8]) -> Result<Option<(u32, usize)>, &'static str> {
    let mut value = 0u32;
    for (position, &byte) in input.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * position);
        if byte & 0x80 == 0 {
            return Ok(Some((value, position + 1)));
        }
    }
    if input.len() >= 4 { Err("a length of more than four bytes") } else { Ok(None) }
}

/// Appends a Variable Byte Integer in its shortest form; the value is at most 268,435,455.
#[inline]
pub(super) fn put_variable_byte_integer(mut value: u32, out: &mut Vec<u8>) {
    loop {
        let byte = (value & 0x7F) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// How many bytes a Variable Byte Integer takes.
pub(super) const fn variable_byte_integer_size(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// Reads the body of one packet from front to back.
pub(super) struct Reader<'a> {
    packet: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(packet: &'static str, body: &'a [u8]) -> Self {
        Self { packet, rest: body }
    }

    pub(super) fn malformed(&self, what: &'static str) -> WireError {
        WireError::Malformed { packet: self.packet, what }
    }

    pub(super) fn packet(&self) -> &'static str {
        self.packet
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub(super) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.malformed("it is truncated"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.malformed("it is truncated"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn two_byte(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn four_byte(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn variable(&mut self) -> Result<u32, WireError> {
        match variable_byte_integer(self.rest) {
            Ok(Some((value, size))) => {
                self.rest = &self.rest[size..];
                Ok(value)
            }
            Ok(None) => Err(self.malformed("it is truncated")),
            Err(what) => Err(self.malformed(what)),
        }
    }

    /// A Packet Identifier, which is never zero (MQTT-2.2.1-3).
    pub(super) fn packet_identifier(&mut self) -> Result<u16, WireError> {
        match self.two_byte()? {
            0 => Err(self.malformed("packet identifier 0")),
            identifier => Ok(identifier),
        }
    }

    pub(super) fn binary(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.two_byte()?;
        self.take(usize::from(length))
    }

    /// A UTF-8 Encoded String: well formed and without NUL (MQTT-1.5.4-1, MQTT-1.5.4-2).
    #[inline]
    pub(super) fn string(&mut self) -> Result<&'a str, WireError> {
        let bytes = self.binary()?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.malformed("a string is not UTF-8"))?;
        if bytes.contains(&0) {
            return Err(self.malformed("a string contains a NUL character"));
        }
        Ok(text)
    }

    /// A property list, checked: types, places, repetitions.
    pub(super) fn properties(&mut self, context: PropertyContext) -> Result<PropertiesRef<'a>, WireError> {
        let length = self.variable()?;
        let bytes = self.take(length as usize)?;
        PropertiesRef::check(self.packet, bytes, context)
    }

    /// Nothing may follow.
    pub(super) fn finish(&self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed("extra bytes follow its contents")) }
    }
}

/// Writes the body of one packet.
pub(super) struct Writer<'a> {
    packet: &'static str,
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(packet: &'static str, out: &'a mut Vec<u8>) -> Self {
        Self { packet, out }
    }

    pub(super) fn packet(&self) -> &'static str {
        self.packet
    }

    pub(super) fn byte(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(super) fn two_byte(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn binary(&mut self, what: &'static str, bytes: &[u8]) -> Result<(), WireError> {
        let length = u16::try_from(bytes.len()).map_err(|_| WireError::TooLong { what, length: bytes.len() })?;
        self.two_byte(length);
        self.raw(bytes);
        Ok(())
    }

    #[inline]
    pub(super) fn string(&mut self, what: &'static str, text: &str) -> Result<(), WireError> {
        if text.as_bytes().contains(&0) {
            return Err(WireError::Malformed { packet: self.packet, what: "a string contains a NUL character" });
        }
        self.binary(what, text.as_bytes())
    }

    /// A property list with its length in front.
    pub(super) fn properties(&mut self, properties: &Properties, context: PropertyContext) -> Result<(), WireError> {
        properties.check(context).map_err(|error| WireError::Property { packet: self.packet, error })?;
        let mut bytes = Vec::new();
        let mut list = Writer::new(self.packet, &mut bytes);
        for property in properties.iter() {
            list.byte(property.name().id());
            list.property_value(property.name().text(), property.value())?;
        }
        let length = u32::try_from(bytes.len())
            .ok()
            .filter(|length| *length as usize <= super::MAX_REMAINING_LENGTH)
            .ok_or(WireError::TooLarge { size: bytes.len(), limit: super::MAX_PACKET_SIZE })?;
        put_variable_byte_integer(length, self.out);
        self.raw(&bytes);
        Ok(())
    }

    fn property_value(&mut self, what: &'static str, value: &PropertyValue<String, Bytes>) -> Result<(), WireError> {
        match value {
            PropertyValue::Byte(number) => self.byte(*number),
            PropertyValue::TwoByte(number) => self.two_byte(*number),
            PropertyValue::FourByte(number) => self.raw(&number.to_be_bytes()),
            PropertyValue::VarInt(number) => put_variable_byte_integer(*number, self.out),
            PropertyValue::Utf8(text) => self.string(what, text)?,
            PropertyValue::Binary(bytes) => self.binary(what, bytes)?,
            PropertyValue::Pair(key, text) => {
                self.string(what, key)?;
                self.string(what, text)?;
            }
        }
        Ok(())
    }
}
