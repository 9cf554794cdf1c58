//! Reading one line of JSON as a message: the same object, with defaults for missing keys, and errors that
//! name the key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
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
}

/// A message read, and when it was received.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonMessage {
    /// The message.
    pub message: Message,
    /// `ts`, Unix seconds, where it is given and a number.
    pub received: Option<f64>,
}

/// Why a line is not a message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
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

/// The keys that are read; `time`, `mid` and keys of others are passed over. Values are kept raw, so that an error can
/// name the key.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    topic: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    qos: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    retain: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    ts: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    payload_b64: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    payload_json: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    properties: Option<&'a RawValue>,
}

/// A key that is there; `null` is a value too (`"payload_json":null`), which a plain Option would swallow.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads one line. `subscription-identifier` and `topic-alias` are checked and left out: like `mid` they belong to the
/// delivery the line was written from, and a client that sends them on breaks the protocol (§3.3.4, §3.3.2.3.4).
pub fn read_message(line: &[u8], defaults: &MessageDefaults) -> Result<JsonMessage, ReadError> {
    let text = std::str::from_utf8(line).map_err(|_| ReadError::NotUtf8)?;
    if !text.trim_start().starts_with('{') {
        return Err(ReadError::NotAnObject("it does not begin with {".to_owned()));
    }
    let line: Line<'_> = serde_json::from_str(text).map_err(|error| ReadError::NotAnObject(error.to_string()))?;
    let topic = match line.topic {
        Some(raw) => typed::<String>("topic", raw, "a string")?,
        None => defaults.topic.clone().ok_or(ReadError::NoTopic)?,
    };
    if let Err(error) = check_topic_name(&topic) {
        return Err(ReadError::Topic { topic, error });
    }
    let qos = match line.qos {
        Some(raw) => {
            serde_json::from_str(raw.get()).ok().and_then(QoS::from_number).ok_or_else(|| unfit("qos", "0, 1 or 2"))?
        }
        None => defaults.qos,
    };
    let retain = line.retain.map_or(Ok(defaults.retain), |raw| typed("retain", raw, "true or false"))?;
    let payload = read_payload(&line)?;
    let properties = line.properties.map_or(Ok(Properties::new()), read_properties)?;
    if !properties.is_empty() && !defaults.version.is_v5() {
        return Err(ReadError::PropertiesNeedV5);
    }
    let received = line.ts.and_then(|raw| serde_json::from_str(raw.get()).ok());
    Ok(JsonMessage { message: Message { topic, payload, qos, retain, properties }, received })
}

fn unfit(key: &str, expected: &'static str) -> ReadError {
    ReadError::Value { key: key.to_owned(), expected }
}

fn typed<'a, T: Deserialize<'a>>(key: &str, raw: &'a RawValue, expected: &'static str) -> Result<T, ReadError> {
    serde_json::from_str(raw.get()).map_err(|_| unfit(key, expected))
}

fn base64(key: &str, raw: &RawValue) -> Result<Bytes, ReadError> {
    const EXPECTED: &str = "a string in base64 (RFC 4648, padded)";
    let text: String = typed(key, raw, EXPECTED)?;
    STANDARD.decode(text).map(Bytes::from).map_err(|_| unfit(key, EXPECTED))
}

fn read_payload(line: &Line<'_>) -> Result<Bytes, ReadError> {
    match (line.payload, line.payload_b64, line.payload_json) {
        (Some(raw), None, None) => {
            typed::<String>("payload", raw, "a string (JSON goes into `payload_json`)").map(Bytes::from)
        }
        (None, Some(raw), None) => base64("payload_b64", raw),
        (None, None, Some(raw)) => Ok(Bytes::copy_from_slice(raw.get().as_bytes())),
        (None, None, None) => Err(ReadError::NoPayload),
        _ => Err(ReadError::SeveralPayloads),
    }
}

/// The members of an object in their order, repeated keys too, which a map would lose.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn read_properties(raw: &RawValue) -> Result<Properties, ReadError> {
    let members: Members<'_> = typed("properties", raw, "an object")?;
    let mut properties = Properties::new();
    for (key, raw) in members.0 {
        match key.as_str() {
            "user-properties" => read_user_properties(raw, &mut properties)?,
            "subscription-identifier" => read_subscription_identifiers(raw, &mut properties)?,
            "correlation-data_b64" => {
                let value = PropertyValue::Binary(base64(&key, raw)?);
                properties.push(Property::new(PropertyName::CorrelationData, value)?);
            }
            _ => properties.push(read_property(key, raw)?),
        }
    }
    properties.check(PropertyContext::Publish)?;
    properties.remove(PropertyName::SubscriptionIdentifier);
    properties.remove(PropertyName::TopicAlias);
    Ok(properties)
}

/// A property that is one string or one number; strings are those of the standard: without NUL, at most 65,535 bytes.
fn read_property(key: String, raw: &RawValue) -> Result<Property, ReadError> {
    let Some(name) = PropertyName::from_text(&key).filter(|name| name.wire_type() != WireType::Pair) else {
        return Err(ReadError::UnknownProperty(key));
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

fn wire_string(key: &str, raw: &RawValue) -> Result<String, ReadError> {
    const EXPECTED: &str = "a string of at most 65535 bytes without NUL";
    let text: String = typed(key, raw, EXPECTED)?;
    if text.len() > usize::from(u16::MAX) || text.contains('\0') { Err(unfit(key, EXPECTED)) } else { Ok(text) }
}

fn read_user_properties(raw: &RawValue, properties: &mut Properties) -> Result<(), ReadError> {
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

fn read_subscription_identifiers(raw: &RawValue, properties: &mut Properties) -> Result<(), ReadError> {
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
