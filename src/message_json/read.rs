//! Reading one line of JSON as a message: the same object, with defaults for missing keys, and errors that
//! name the key.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::DateTime;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::mqtt::{
    Message, Properties, Property, PropertyContext, PropertyError, PropertyName, PropertyValue, ProtocolVersion, QoS,
    TopicError, WireType, check_topic_name,
};

/// Defaults for a line.
#[derive(Clone, Debug, Default)]
pub struct MessageDefaults {
    /// Topic of lines without one (`-t`).
    pub topic: Option<String>,
    /// QoS of lines without one (`-q`).
    pub qos: QoS,
    /// RETAIN of lines without one (`-r`).
    pub retain: bool,
    /// The version that will be spoken; before 5.0 a line must not have properties.
    pub version: ProtocolVersion,
    /// Whether the time of a line is read.
    pub wants_time: bool,
}

/// A message read, and what else its line holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonMessage {
    /// The message.
    pub message: Message,
    /// When it was received: `ts`, or else `time`, in microseconds since 1970, where [`MessageDefaults::wants_time`]
    /// asks for it and one of them can be read.
    pub received_us: Option<i64>,
    /// Whether the topic is that of the line.
    pub names_topic: bool,
}

/// Why a line is not a message, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{fault}")]
pub struct ReadError {
    /// The character at which the fault is, from 1.
    pub column: usize,
    /// What is wrong.
    pub fault: ReadFault,
}

/// Why a line is not a message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadFault {
    /// Bytes that are not UTF-8.
    #[error("it is not UTF-8; bytes go into `payload_b64`")]
    NotUtf8,
    /// No JSON, or no object.
    #[error("it is not one JSON object: {0}")]
    NotAnObject(String),
    /// A key with a value that does not fit.
    #[error("`{key}` must be {expected}")]
    Value {
        /// The key.
        key: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A key that is there more than once.
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    /// No topic.
    #[error("it has no `topic`, and -t is not given")]
    NoTopic,
    /// A topic that nothing can be published to.
    #[error("`topic` {topic:?} cannot be published to: {error}")]
    Topic {
        /// The topic.
        topic: String,
        /// What is wrong with it.
        error: TopicError,
    },
    /// No payload.
    #[error(
        "it has no payload: give one of `payload`, `payload_b64`, `payload_json` (`\"payload\":\"\"` is an empty one)"
    )]
    NoPayload,
    /// More than one payload.
    #[error("it has more than one of `payload`, `payload_b64`, `payload_json`")]
    SeveralPayloads,
    /// Properties with 3.1 or 3.1.1.
    #[error("`properties` need MQTT 5: use -V 5")]
    PropertiesNeedV5,
    /// A property that does not exist.
    #[error("`properties` has {0:?}, which is not a property of MQTT 5")]
    UnknownProperty(String),
    /// A property out of range or out of place.
    #[error("`properties`: {0}")]
    Property(#[from] PropertyError),
}

/// A fault with the byte of the line at which it is.
struct Found {
    place: usize,
    fault: ReadFault,
}

/// The keys that are read; the others are passed over.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    Topic,
    Qos,
    Retain,
    Time,
    Ts,
    Payload,
    PayloadB64,
    PayloadJson,
    Properties,
    #[serde(other)]
    Other,
}

impl Key {
    /// Its name, and what its value must be.
    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Topic => ("topic", "a string"),
            Self::Qos => ("qos", "0, 1 or 2"),
            Self::Retain => ("retain", "true or false"),
            Self::Payload => ("payload", "a string (JSON goes into `payload_json`)"),
            Self::PayloadB64 => ("payload_b64", BASE64),
            Self::PayloadJson => ("payload_json", "a JSON value"),
            Self::Properties => ("properties", "an object"),
            Self::Time => ("time", "a time"),
            Self::Ts => ("ts", "a number"),
            Self::Other => ("", ""),
        }
    }
}

const BASE64: &str = "a string in base64 (RFC 4648, padded)";

/// A string, borrowed from the line where it holds no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What was read of a line so far. It is a visitor, so that the line is read once and in place.
struct Reader<'a> {
    line: &'a Bytes,
    wants_time: bool,
    topic: Option<String>,
    qos: Option<u8>,
    retain: Option<bool>,
    payload: Option<Bytes>,
    /// Only the base64, to be decoded when the line is known to be whole.
    payload_b64: Option<Cow<'a, str>>,
    payload_json: Option<&'a RawValue>,
    properties: Option<&'a RawValue>,
    time: Option<&'a RawValue>,
    ts: Option<&'a RawValue>,
    /// The key whose value is being read.
    key: Option<Key>,
    twice: Option<&'static str>,
}

impl<'a> Reader<'a> {
    fn put<E: serde::de::Error, T>(
        slot: &mut Option<T>,
        value: T,
        key: Key,
        twice: &mut Option<&'static str>,
    ) -> Result<(), E> {
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => {
                *twice = Some(key.texts().0);
                Err(E::custom("twice"))
            }
        }
    }

    fn read_value<A: MapAccess<'a>>(&mut self, key: Key, map: &mut A) -> Result<(), A::Error> {
        let twice = &mut self.twice;
        match key {
            Key::Topic => Self::put(&mut self.topic, map.next_value()?, key, twice),
            Key::Qos => Self::put(&mut self.qos, map.next_value()?, key, twice),
            Key::Retain => Self::put(&mut self.retain, map.next_value()?, key, twice),
            Key::Payload => {
                let payload = match map.next_value::<Text<'a>>()?.0 {
                    // No copy: the payload stays where the line is.
                    Cow::Borrowed(text) => self.line.slice_ref(text.as_bytes()),
                    Cow::Owned(text) => text.into(),
                };
                Self::put(&mut self.payload, payload, key, twice)
            }
            Key::PayloadB64 => Self::put(&mut self.payload_b64, map.next_value::<Text<'a>>()?.0, key, twice),
            Key::PayloadJson => Self::put(&mut self.payload_json, map.next_value()?, key, twice),
            Key::Properties => Self::put(&mut self.properties, map.next_value()?, key, twice),
            Key::Time if self.wants_time => Self::put(&mut self.time, map.next_value()?, key, twice),
            Key::Ts if self.wants_time => Self::put(&mut self.ts, map.next_value()?, key, twice),
            Key::Time | Key::Ts | Key::Other => map.next_value::<IgnoredAny>().map(|_| ()),
        }
    }

    fn received_us(&self) -> Option<i64> {
        let of_ts = |raw: &RawValue| {
            let seconds: f64 = serde_json::from_str(raw.get()).ok()?;
            let micros = (seconds * 1e6).round();
            // What lies outside is no time of a message.
            (micros.abs() < 9e18).then_some(micros as i64)
        };
        let of_time = |raw: &RawValue| {
            let text: String = serde_json::from_str(raw.get()).ok()?;
            DateTime::parse_from_rfc3339(&text).ok().map(|time| time.timestamp_micros())
        };
        self.ts.and_then(of_ts).or_else(|| self.time.and_then(of_time))
    }
}

impl<'a> Visitor<'a> for &mut Reader<'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            self.key = Some(key);
            self.read_value(key, &mut map)?;
            self.key = None;
        }
        Ok(())
    }
}

/// Reads one line. `subscription-identifier` and `topic-alias` are checked and left out: like `mid` they belong to the
/// delivery the line was written from, and a client that sends them on breaks the protocol (§3.3.4, §3.3.2.3.4).
///
/// # Errors
/// What is wrong with the line, and where.
pub fn read_message(line: &Bytes, defaults: &MessageDefaults) -> Result<JsonMessage, ReadError> {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => {
            let before = std::str::from_utf8(&line[..error.valid_up_to()]).unwrap_or_default();
            return Err(ReadError { column: column(before, before.len()), fault: ReadFault::NotUtf8 });
        }
    };
    read_text(line, text, defaults).map_err(|Found { place, fault }| ReadError { column: column(text, place), fault })
}

/// The character at a byte, from 1.
fn column(text: &str, place: usize) -> usize {
    text.char_indices().take_while(|(at, _)| *at < place).count() + 1
}

fn read_text<'a>(line: &'a Bytes, text: &'a str, defaults: &MessageDefaults) -> Result<JsonMessage, Found> {
    if !text.trim_start().starts_with('{') {
        let cause = match text.trim_start() {
            "" => "the line is empty",
            text if text.starts_with('\u{feff}') => "it begins with a byte order mark, which JSON must not have",
            _ => "it does not begin with {",
        };
        let fault = ReadFault::NotAnObject(cause.to_owned());
        return Err(Found { place: text.len() - text.trim_start().len(), fault });
    }
    let mut read = Reader {
        line,
        wants_time: defaults.wants_time,
        topic: None,
        qos: None,
        retain: None,
        payload: None,
        payload_b64: None,
        payload_json: None,
        properties: None,
        time: None,
        ts: None,
        key: None,
        twice: None,
    };
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(&mut read).and_then(|()| json.end()).map_err(|error| explain(&read, text, &error))?;
    let names_topic = read.topic.is_some();
    let topic = match read.topic.take().or_else(|| defaults.topic.clone()) {
        Some(topic) => topic,
        None => return Err(Found { place: 0, fault: ReadFault::NoTopic }),
    };
    if let Err(error) = check_topic_name(&topic) {
        return Err(Found { place: value_place(text, "topic"), fault: ReadFault::Topic { topic, error } });
    }
    let qos = match read.qos {
        Some(number) => QoS::from_number(number).ok_or_else(|| unfit_at(value_place(text, "qos"), Key::Qos))?,
        None => defaults.qos,
    };
    let received_us = read.received_us();
    let payload = match (read.payload, read.payload_b64, read.payload_json) {
        (Some(payload), None, None) => payload,
        (None, Some(text_b64), None) => match STANDARD.decode(text_b64.as_bytes()) {
            Ok(payload) => payload.into(),
            Err(_) => return Err(unfit_at(value_place(text, "payload_b64"), Key::PayloadB64)),
        },
        (None, None, Some(raw)) => line.slice_ref(raw.get().as_bytes()),
        (None, None, None) => return Err(Found { place: 0, fault: ReadFault::NoPayload }),
        _ => return Err(Found { place: 0, fault: ReadFault::SeveralPayloads }),
    };
    let properties = match read.properties {
        Some(raw) => read_properties(text, raw)?,
        None => Properties::new(),
    };
    if !properties.is_empty() && !defaults.version.is_v5() {
        return Err(Found { place: value_place(text, "properties"), fault: ReadFault::PropertiesNeedV5 });
    }
    let retain = read.retain.unwrap_or(defaults.retain);
    Ok(JsonMessage { message: Message { topic, payload, qos, retain, properties }, received_us, names_topic })
}

fn unfit_at(place: usize, key: Key) -> Found {
    let (key, expected) = key.texts();
    Found { place, fault: ReadFault::Value { key: key.to_owned(), expected } }
}

/// What serde_json has found, in our words.
fn explain(read: &Reader<'_>, text: &str, error: &serde_json::Error) -> Found {
    // Its columns count bytes from the last line break, and stand behind the last byte that was read.
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let place = lines + error.column().saturating_sub(1);
    if let Some(key) = read.twice {
        return Found { place: value_place(text, key), fault: ReadFault::Twice(key) };
    }
    match read.key {
        Some(key) if error.is_data() => {
            let (name, expected) = key.texts();
            let place = find_value(text, name).unwrap_or(place);
            Found { place, fault: ReadFault::Value { key: name.to_owned(), expected } }
        }
        _ => {
            let cause = if error.is_eof() { "it ends too early".to_owned() } else { error.to_string() };
            let cause = cause.rsplit_once(" at line ").map_or(cause.as_str(), |(cause, _)| cause);
            Found { place, fault: ReadFault::NotAnObject(cause.to_owned()) }
        }
    }
}

/// Where the value of a key begins, for errors: the last one, where there are several.
fn find_value(text: &str, key: &str) -> Option<usize> {
    let members: Members<'_> = serde_json::from_str(text).ok()?;
    members.0.iter().rev().find(|(name, _)| name == key).map(|(_, raw)| place_of(text, raw))
}

fn value_place(text: &str, key: &str) -> usize {
    find_value(text, key).unwrap_or_default()
}

/// Where a value lies that was borrowed from the line.
fn place_of(text: &str, raw: &RawValue) -> usize {
    (raw.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// The members of an object in their order, repeated keys too, which a map would lose.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

fn read_properties(text: &str, raw: &RawValue) -> Result<Properties, Found> {
    let at = |raw: &RawValue| place_of(text, raw);
    let found = |raw: &RawValue, fault| Found { place: at(raw), fault };
    let members: Members<'_> = typed("properties", raw, "an object").map_err(|fault| found(raw, fault))?;
    let mut properties = Properties::new();
    for (key, value) in members.0 {
        let read = match key.as_str() {
            "user-properties" => read_user_properties(value, &mut properties),
            "subscription-identifier" => read_subscription_identifiers(value, &mut properties),
            "correlation-data_b64" => read_correlation_data(&key, value, &mut properties),
            _ => read_property(key, value).map(|property| properties.push(property)),
        };
        read.map_err(|fault| found(value, fault))?;
    }
    properties.check(PropertyContext::Publish).map_err(|error| found(raw, error.into()))?;
    properties.remove(PropertyName::SubscriptionIdentifier);
    properties.remove(PropertyName::TopicAlias);
    Ok(properties)
}

fn unfit(key: &str, expected: &'static str) -> ReadFault {
    ReadFault::Value { key: key.to_owned(), expected }
}

fn typed<'a, T: Deserialize<'a>>(key: &str, raw: &'a RawValue, expected: &'static str) -> Result<T, ReadFault> {
    serde_json::from_str(raw.get()).map_err(|_| unfit(key, expected))
}

fn read_correlation_data(key: &str, raw: &RawValue, properties: &mut Properties) -> Result<(), ReadFault> {
    let text: Text<'_> = typed(key, raw, BASE64)?;
    let data = STANDARD.decode(text.0.as_bytes()).map_err(|_| unfit(key, BASE64))?;
    properties.push(Property::new(PropertyName::CorrelationData, PropertyValue::Binary(data.into()))?);
    Ok(())
}

/// A property that is one string or one number; strings are those of the standard: without NUL, at most 65,535 bytes.
fn read_property(key: String, raw: &RawValue) -> Result<Property, ReadFault> {
    let Some(name) = PropertyName::from_text(&key).filter(|name| name.wire_type() != WireType::Pair) else {
        return Err(ReadFault::UnknownProperty(key));
    };
    let value = match name.wire_type() {
        WireType::Byte => PropertyValue::Byte(typed(&key, raw, "0 or 1")?),
        WireType::TwoByte => PropertyValue::TwoByte(typed(&key, raw, "a number from 0 to 65535")?),
        WireType::FourByte => PropertyValue::FourByte(typed(&key, raw, "a number from 0 to 4294967295")?),
        WireType::VarInt => PropertyValue::VarInt(typed(&key, raw, "a number from 1 to 268435455")?),
        WireType::Binary => {
            let text: String = typed(&key, raw, "a string (bytes go into the same key with `_b64`)")?;
            PropertyValue::Binary(Bytes::from(text))
        }
        WireType::Utf8 | WireType::Pair => PropertyValue::Utf8(wire_string(&key, raw)?),
    };
    Ok(Property::new(name, value)?)
}

fn wire_string(key: &str, raw: &RawValue) -> Result<String, ReadFault> {
    const EXPECTED: &str = "a string of at most 65535 bytes without NUL";
    let text: String = typed(key, raw, EXPECTED)?;
    if text.len() > usize::from(u16::MAX) || text.contains('\0') { Err(unfit(key, EXPECTED)) } else { Ok(text) }
}

fn read_user_properties(raw: &RawValue, properties: &mut Properties) -> Result<(), ReadFault> {
    const KEY: &str = "user-properties";
    const EXPECTED: &str = "an array of objects with one key and a string: [{\"key\":\"value\"}]";
    for Members(members) in typed::<Vec<Members<'_>>>(KEY, raw, EXPECTED)? {
        let [(key, value)] = <[_; 1]>::try_from(members).map_err(|_| unfit(KEY, EXPECTED))?;
        if key.len() > usize::from(u16::MAX) || key.contains('\0') {
            return Err(unfit(KEY, "keys and strings of at most 65535 bytes without NUL"));
        }
        properties.push(Property::user(key, wire_string(KEY, value)?));
    }
    Ok(())
}

fn read_subscription_identifiers(raw: &RawValue, properties: &mut Properties) -> Result<(), ReadFault> {
    const KEY: &str = "subscription-identifier";
    let identifiers = match serde_json::from_str::<u32>(raw.get()) {
        Ok(identifier) => vec![identifier],
        Err(_) => typed::<Vec<u32>>(KEY, raw, "a number or an array of numbers")?,
    };
    for identifier in identifiers {
        properties.push(Property::new(PropertyName::SubscriptionIdentifier, PropertyValue::VarInt(identifier))?);
    }
    Ok(())
}
