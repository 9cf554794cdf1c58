//! MQTT 5 properties (§2.2.2): one table of what exists, of which type, and where it is allowed.
//!
//! A property is a name and a value of the name's type. The same type serves owned properties and properties that still
//! lie in a read buffer ([`PropertyRef`]), so the wire has one decoder and copies are optional.

use bytes::Bytes;
use thiserror::Error;

/// The data type of a property on the wire (§1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireType {
    /// One byte.
    Byte,
    /// Two Byte Integer.
    TwoByte,
    /// Four Byte Integer.
    FourByte,
    /// Variable Byte Integer, at most 268,435,455.
    VarInt,
    /// UTF-8 Encoded String.
    Utf8,
    /// Binary Data.
    Binary,
    /// UTF-8 String Pair.
    Pair,
}

/// Where properties are allowed: the packets, and the will inside CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum PropertyContext {
    /// CONNECT.
    Connect = 1 << 0,
    /// CONNACK.
    Connack = 1 << 1,
    /// PUBLISH.
    Publish = 1 << 2,
    /// Will Properties of CONNECT.
    Will = 1 << 3,
    /// PUBACK.
    Puback = 1 << 4,
    /// PUBREC.
    Pubrec = 1 << 5,
    /// PUBREL.
    Pubrel = 1 << 6,
    /// PUBCOMP.
    Pubcomp = 1 << 7,
    /// SUBSCRIBE.
    Subscribe = 1 << 8,
    /// SUBACK.
    Suback = 1 << 9,
    /// UNSUBSCRIBE.
    Unsubscribe = 1 << 10,
    /// UNSUBACK.
    Unsuback = 1 << 11,
    /// DISCONNECT.
    Disconnect = 1 << 12,
    /// AUTH.
    Auth = 1 << 13,
}

struct Row {
    name: PropertyName,
    text: &'static str,
    wire_type: WireType,
    contexts: u16,
}

macro_rules! property_table {
    ($( $(#[$doc:meta])* $id:literal $name:ident $text:literal $wire:ident [$($context:ident)+] )+) => {
        /// A property of MQTT 5 by its identifier (§2.2.2.2, table 2-4).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum PropertyName { $( $(#[$doc])* $name = $id, )+ }

        const TABLE: &[Row] = &[ $( Row {
            name: PropertyName::$name,
            text: $text,
            wire_type: WireType::$wire,
            contexts: 0 $(| PropertyContext::$context as u16)+,
        }, )+ ];

        impl PropertyName {
            /// The property with this identifier.
            pub const fn from_id(id: u8) -> Option<Self> {
                match id { $( $id => Some(Self::$name), )+ _ => None }
            }
        }
    };
}

property_table! {
    /// Payload Format Indicator.
    0x01 PayloadFormatIndicator "payload-format-indicator" Byte [Publish Will]
    /// Message Expiry Interval, seconds.
    0x02 MessageExpiryInterval "message-expiry-interval" FourByte [Publish Will]
    /// Content Type.
    0x03 ContentType "content-type" Utf8 [Publish Will]
    /// Response Topic.
    0x08 ResponseTopic "response-topic" Utf8 [Publish Will]
    /// Correlation Data.
    0x09 CorrelationData "correlation-data" Binary [Publish Will]
    /// Subscription Identifier.
    0x0B SubscriptionIdentifier "subscription-identifier" VarInt [Publish Subscribe]
    /// Session Expiry Interval, seconds.
    0x11 SessionExpiryInterval "session-expiry-interval" FourByte [Connect Connack Disconnect]
    /// Assigned Client Identifier.
    0x12 AssignedClientIdentifier "assigned-client-identifier" Utf8 [Connack]
    /// Server Keep Alive, seconds.
    0x13 ServerKeepAlive "server-keep-alive" TwoByte [Connack]
    /// Authentication Method.
    0x15 AuthenticationMethod "authentication-method" Utf8 [Connect Connack Auth]
    /// Authentication Data.
    0x16 AuthenticationData "authentication-data" Binary [Connect Connack Auth]
    /// Request Problem Information.
    0x17 RequestProblemInformation "request-problem-information" Byte [Connect]
    /// Will Delay Interval, seconds.
    0x18 WillDelayInterval "will-delay-interval" FourByte [Will]
    /// Request Response Information.
    0x19 RequestResponseInformation "request-response-information" Byte [Connect]
    /// Response Information.
    0x1A ResponseInformation "response-information" Utf8 [Connack]
    /// Server Reference.
    0x1C ServerReference "server-reference" Utf8 [Connack Disconnect]
    /// Reason String.
    0x1F ReasonString "reason-string" Utf8
        [Connack Puback Pubrec Pubrel Pubcomp Suback Unsuback Disconnect Auth]
    /// Receive Maximum.
    0x21 ReceiveMaximum "receive-maximum" TwoByte [Connect Connack]
    /// Topic Alias Maximum.
    0x22 TopicAliasMaximum "topic-alias-maximum" TwoByte [Connect Connack]
    /// Topic Alias.
    0x23 TopicAlias "topic-alias" TwoByte [Publish]
    /// Maximum QoS.
    0x24 MaximumQos "maximum-qos" Byte [Connack]
    /// Retain Available.
    0x25 RetainAvailable "retain-available" Byte [Connack]
    /// User Property.
    0x26 UserProperty "user-property" Pair
        [Connect Connack Publish Will Puback Pubrec Pubrel Pubcomp Subscribe Suback Unsubscribe Unsuback Disconnect Auth]
    /// Maximum Packet Size, bytes.
    0x27 MaximumPacketSize "maximum-packet-size" FourByte [Connect Connack]
    /// Wildcard Subscription Available.
    0x28 WildcardSubscriptionAvailable "wildcard-subscription-available" Byte [Connack]
    /// Subscription Identifiers Available.
    0x29 SubscriptionIdentifierAvailable "subscription-identifier-available" Byte [Connack]
    /// Shared Subscription Available.
    0x2A SharedSubscriptionAvailable "shared-subscription-available" Byte [Connack]
}

/// Where in the table the row of an identifier is; identifiers are below 64.
const POSITIONS: [u8; 64] = {
    let mut positions = [0; 64];
    let mut position = 0;
    while position < TABLE.len() {
        positions[TABLE[position].name as usize] = position as u8;
        position += 1;
    }
    positions
};

impl PropertyName {
    fn row(self) -> &'static Row {
        &TABLE[usize::from(POSITIONS[usize::from(self.id())])]
    }

    /// The identifier on the wire.
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The standard's name in kebab case, as mosquitto's `-D` and our JSON write it.
    pub fn text(self) -> &'static str {
        self.row().text
    }

    /// The property with this kebab-case name, upper and lower case alike.
    pub fn from_text(text: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.text.eq_ignore_ascii_case(text)).map(|row| row.name)
    }

    /// The type of its value.
    pub fn wire_type(self) -> WireType {
        self.row().wire_type
    }

    /// Whether it is allowed there.
    pub fn allowed_in(self, context: PropertyContext) -> bool {
        self.row().contexts & context as u16 != 0
    }

    /// Whether it may occur there more than once: user properties anywhere, subscription identifiers in a PUBLISH
    /// that several subscriptions matched (§3.3.2.3.8).
    pub fn may_repeat(self, context: PropertyContext) -> bool {
        self == Self::UserProperty || (self == Self::SubscriptionIdentifier && context == PropertyContext::Publish)
    }
}

/// The value of a property; strings and bytes owned or borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyValue<S = String, B = Bytes> {
    /// One byte.
    Byte(u8),
    /// Two Byte Integer.
    TwoByte(u16),
    /// Four Byte Integer.
    FourByte(u32),
    /// Variable Byte Integer.
    VarInt(u32),
    /// UTF-8 Encoded String.
    Utf8(S),
    /// Binary Data.
    Binary(B),
    /// UTF-8 String Pair.
    Pair(S, S),
}

impl<S, B> PropertyValue<S, B> {
    /// The type this value has on the wire.
    pub const fn wire_type(&self) -> WireType {
        match self {
            Self::Byte(_) => WireType::Byte,
            Self::TwoByte(_) => WireType::TwoByte,
            Self::FourByte(_) => WireType::FourByte,
            Self::VarInt(_) => WireType::VarInt,
            Self::Utf8(_) => WireType::Utf8,
            Self::Binary(_) => WireType::Binary,
            Self::Pair(..) => WireType::Pair,
        }
    }

    /// The value where it is a number of any width.
    pub fn number(&self) -> Option<u32> {
        match self {
            Self::Byte(n) => Some(u32::from(*n)),
            Self::TwoByte(n) => Some(u32::from(*n)),
            Self::FourByte(n) | Self::VarInt(n) => Some(*n),
            Self::Utf8(_) | Self::Binary(_) | Self::Pair(..) => None,
        }
    }
}

/// A property: a name with a value of the name's type, which the constructor checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property<S = String, B = Bytes> {
    name: PropertyName,
    value: PropertyValue<S, B>,
}

/// A property that lies in a buffer.
pub type PropertyRef<'a> = Property<&'a str, &'a [u8]>;

/// What is wrong with a property or a list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PropertyError {
    /// The value is not of the name's type.
    #[error("the value of {} is not of its type", .0.text())]
    WrongType(PropertyName),
    /// The value is of the right type and forbidden.
    #[error("the value of {} is out of range", .0.text())]
    OutOfRange(PropertyName),
    /// It is not allowed in this packet.
    #[error("{} is not allowed in this packet", .0.text())]
    NotAllowed(PropertyName),
    /// It may occur only once.
    #[error("{} occurs twice", .0.text())]
    Duplicate(PropertyName),
}

impl<S, B> Property<S, B> {
    /// Puts a name and a value together. Fails when the value is of another type than the name asks for or the
    /// standard forbids it: a flag above 1, a zero Receive Maximum, Topic Alias, Maximum Packet Size or Subscription
    /// Identifier.
    pub fn new(name: PropertyName, value: PropertyValue<S, B>) -> Result<Self, PropertyError> {
        if value.wire_type() != name.wire_type() {
            return Err(PropertyError::WrongType(name));
        }
        let in_range = match (name, value.number()) {
            (
                PropertyName::ReceiveMaximum
                | PropertyName::TopicAlias
                | PropertyName::MaximumPacketSize
                | PropertyName::SubscriptionIdentifier,
                Some(0),
            ) => false,
            (_, Some(number)) if name.wire_type() == WireType::Byte => number <= 1,
            (_, Some(number)) if name.wire_type() == WireType::VarInt => number <= 268_435_455,
            _ => true,
        };
        if in_range { Ok(Self { name, value }) } else { Err(PropertyError::OutOfRange(name)) }
    }

    /// Its name.
    pub const fn name(&self) -> PropertyName {
        self.name
    }

    /// Its value.
    pub const fn value(&self) -> &PropertyValue<S, B> {
        &self.value
    }
}

impl Property {
    /// A user property.
    pub fn user(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: PropertyName::UserProperty, value: PropertyValue::Pair(key.into(), value.into()) }
    }

    /// The same property, borrowed.
    pub fn as_ref(&self) -> PropertyRef<'_> {
        let value = match &self.value {
            PropertyValue::Byte(n) => PropertyValue::Byte(*n),
            PropertyValue::TwoByte(n) => PropertyValue::TwoByte(*n),
            PropertyValue::FourByte(n) => PropertyValue::FourByte(*n),
            PropertyValue::VarInt(n) => PropertyValue::VarInt(*n),
            PropertyValue::Utf8(text) => PropertyValue::Utf8(text.as_str()),
            PropertyValue::Binary(bytes) => PropertyValue::Binary(bytes.as_ref()),
            PropertyValue::Pair(key, text) => PropertyValue::Pair(key.as_str(), text.as_str()),
        };
        Property { name: self.name, value }
    }
}

impl PropertyRef<'_> {
    /// The same property, owned.
    pub fn to_owned(&self) -> Property {
        let value = match self.value {
            PropertyValue::Byte(n) => PropertyValue::Byte(n),
            PropertyValue::TwoByte(n) => PropertyValue::TwoByte(n),
            PropertyValue::FourByte(n) => PropertyValue::FourByte(n),
            PropertyValue::VarInt(n) => PropertyValue::VarInt(n),
            PropertyValue::Utf8(text) => PropertyValue::Utf8(text.to_owned()),
            PropertyValue::Binary(bytes) => PropertyValue::Binary(Bytes::copy_from_slice(bytes)),
            PropertyValue::Pair(key, text) => PropertyValue::Pair(key.to_owned(), text.to_owned()),
        };
        Property { name: self.name, value }
    }
}

/// Properties in wire order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(Vec<Property>);

impl Properties {
    /// No properties.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts one at the end.
    pub fn push(&mut self, property: Property) {
        self.0.push(property);
    }

    /// Puts one at the end unless the list has it already, so that what the user gave wins over a default.
    pub fn push_default(&mut self, property: Property) {
        if self.get(property.name()).is_none() {
            self.0.push(property);
        }
    }

    /// Takes all of one name out.
    pub fn remove(&mut self, name: PropertyName) {
        self.0.retain(|property| property.name != name);
    }

    /// All, in wire order.
    pub fn iter(&self) -> impl Iterator<Item = &Property> {
        self.0.iter()
    }

    /// The first value of that name.
    pub fn get(&self, name: PropertyName) -> Option<&PropertyValue> {
        self.0.iter().find(|property| property.name == name).map(|property| &property.value)
    }

    /// The first value of that name as a number.
    pub fn number(&self, name: PropertyName) -> Option<u32> {
        self.get(name).and_then(PropertyValue::number)
    }

    /// The first value of that name as text.
    pub fn text(&self, name: PropertyName) -> Option<&str> {
        match self.get(name) {
            Some(PropertyValue::Utf8(text)) => Some(text),
            _ => None,
        }
    }

    /// The first value of that name as bytes.
    pub fn binary(&self, name: PropertyName) -> Option<&Bytes> {
        match self.get(name) {
            Some(PropertyValue::Binary(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// Checks that all are allowed in this packet and none occurs too often.
    pub fn check(&self, context: PropertyContext) -> Result<(), PropertyError> {
        let mut seen = SeenOnce::default();
        self.0.iter().try_for_each(|property| seen.check(property.name, context))
    }
}

impl FromIterator<Property> for Properties {
    fn from_iter<I: IntoIterator<Item = Property>>(properties: I) -> Self {
        Self(properties.into_iter().collect())
    }
}

/// Walks a list of properties and objects to one out of place or given twice; identifiers are below 64.
#[derive(Default)]
pub(super) struct SeenOnce(u64);

impl SeenOnce {
    pub(super) fn check(&mut self, name: PropertyName, context: PropertyContext) -> Result<(), PropertyError> {
        if !name.allowed_in(context) {
            return Err(PropertyError::NotAllowed(name));
        }
        let bit = 1u64 << name.id();
        if self.0 & bit != 0 && !name.may_repeat(context) {
            return Err(PropertyError::Duplicate(name));
        }
        self.0 |= bit;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_identifier_and_by_name() {
        assert_eq!(TABLE.len(), 27);
        for row in TABLE {
            assert_eq!(PropertyName::from_id(row.name.id()), Some(row.name));
            assert_eq!(PropertyName::from_text(&row.text.to_uppercase()), Some(row.name));
            assert_eq!(row.name.row().text, row.text);
        }
        assert_eq!(PropertyName::from_id(0x04), None);
    }

    #[test]
    fn forbidden_values_are_refused() {
        use PropertyName::*;
        let number = |name, value| Property::<String, Bytes>::new(name, value);
        assert_eq!(number(TopicAlias, PropertyValue::TwoByte(0)), Err(PropertyError::OutOfRange(TopicAlias)));
        assert_eq!(
            number(PayloadFormatIndicator, PropertyValue::Byte(2)),
            Err(PropertyError::OutOfRange(PayloadFormatIndicator))
        );
        assert_eq!(number(TopicAlias, PropertyValue::FourByte(1)), Err(PropertyError::WrongType(TopicAlias)));
        assert!(number(ReceiveMaximum, PropertyValue::TwoByte(1)).is_ok());
    }

    #[test]
    fn a_list_is_checked_against_its_packet() {
        let expiry = Property::new(PropertyName::MessageExpiryInterval, PropertyValue::FourByte(5)).unwrap();
        let list: Properties =
            [Property::user("a", "1"), expiry.clone(), Property::user("a", "2")].into_iter().collect();
        assert_eq!(list.check(PropertyContext::Publish), Ok(()));
        assert_eq!(
            list.check(PropertyContext::Connect),
            Err(PropertyError::NotAllowed(PropertyName::MessageExpiryInterval))
        );
        let twice: Properties = [expiry.clone(), expiry].into_iter().collect();
        assert_eq!(
            twice.check(PropertyContext::Will),
            Err(PropertyError::Duplicate(PropertyName::MessageExpiryInterval))
        );
    }
}
