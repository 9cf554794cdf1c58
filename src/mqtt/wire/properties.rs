//! A property list that lies in a buffer.

use super::{Reader, WireError};
use crate::mqtt::property::SeenOnce;
use crate::mqtt::{Properties, Property, PropertyContext, PropertyName, PropertyRef, PropertyValue, WireType};

/// A property list in a buffer, checked once when it was read, so that walking it cannot fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PropertiesRef<'a> {
    packet: &'static str,
    bytes: &'a [u8],
}

impl<'a> PropertiesRef<'a> {
    pub(super) fn check(packet: &'static str, bytes: &'a [u8], context: PropertyContext) -> Result<Self, WireError> {
        let mut reader = Reader::new(packet, bytes);
        let mut seen = SeenOnce::default();
        while !reader.is_empty() {
            let property = read_property(&mut reader)?;
            seen.check(property.name(), context).map_err(|error| WireError::Property { packet, error })?;
        }
        Ok(Self { packet, bytes })
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The properties in wire order, borrowed.
    pub fn iter(&self) -> impl Iterator<Item = PropertyRef<'a>> + use<'a> {
        let mut reader = Reader::new(self.packet, self.bytes);
        // `check` has read the same bytes to their end, so an error cannot come up here; it would end the walk.
        std::iter::from_fn(move || if reader.is_empty() { None } else { read_property(&mut reader).ok() })
    }

    /// The properties in wire order, each with the bytes it has on the wire.
    pub fn raw(&self) -> impl Iterator<Item = (PropertyRef<'a>, &'a [u8])> + use<'a> {
        let (packet, mut rest) = (self.packet, self.bytes);
        std::iter::from_fn(move || {
            let mut reader = Reader::new(packet, rest);
            if reader.is_empty() {
                return None;
            }
            // As in `iter`, an error cannot come up here.
            let property = read_property(&mut reader).ok()?;
            let after = reader.take_rest();
            let (bytes, _) = rest.split_at(rest.len() - after.len());
            rest = after;
            Some((property, bytes))
        })
    }

    /// The first value of that name as a number.
    pub fn number(&self, name: PropertyName) -> Option<u32> {
        self.iter().find(|property| property.name() == name).and_then(|property| property.value().number())
    }

    /// The list, owned.
    pub fn to_properties(&self) -> Properties {
        self.iter().map(|property| property.to_owned()).collect()
    }
}

fn read_property<'a>(reader: &mut Reader<'a>) -> Result<PropertyRef<'a>, WireError> {
    // The identifier is a Variable Byte Integer, and all that exist are one byte (§2.2.2.2).
    let name = u8::try_from(reader.variable()?)
        .ok()
        .and_then(PropertyName::from_id)
        .ok_or_else(|| reader.malformed("a property that does not exist"))?;
    let value = match name.wire_type() {
        WireType::Byte => PropertyValue::Byte(reader.byte()?),
        WireType::TwoByte => PropertyValue::TwoByte(reader.two_byte()?),
        WireType::FourByte => PropertyValue::FourByte(reader.four_byte()?),
        WireType::VarInt => PropertyValue::VarInt(reader.variable()?),
        WireType::Utf8 => PropertyValue::Utf8(reader.string()?),
        WireType::Binary => PropertyValue::Binary(reader.binary()?),
        WireType::Pair => PropertyValue::Pair(reader.string()?, reader.string()?),
    };
    Property::new(name, value).map_err(|error| WireError::Property { packet: reader.packet(), error })
}
