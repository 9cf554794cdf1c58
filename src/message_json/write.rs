//! Writing a message as one JSON object.

use std::io::Write as _;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, FixedOffset, Timelike as _};

use super::properties_of;
use super::text::{JsonText, JsonToken};
use super::writer::{JsonLayout, JsonWriter};
use crate::mqtt::wire::{Publish, PublishProperties};
use crate::mqtt::{PropertyName, PropertyRef, PropertyValue, QoS};

/// Deeper payloads stay strings: many readers stop at 128 levels, and the message is one of them.
const MAX_PAYLOAD_DEPTH: usize = 100;
/// Longest payload as a JSON string, bytes: what takes more, as hundreds of megabytes of control characters, is shorter
/// in base64, and a line must stay below what is read back.
const LONGEST_TEXT: usize = 320 << 20;

/// What may differ between two writings of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageJsonOptions {
    /// One line, or spread over several.
    pub layout: JsonLayout,
    /// A payload that is JSON is embedded under `payload_json`, instead of `payload`.
    pub json_payload: bool,
    /// mqrr: time from the request to this response.
    pub latency: Option<Duration>,
}

/// Appends a message received at `time` as one JSON object, without a line break after it. The topic and the strings of
/// the properties are UTF-8 by the standard; a payload and correlation data that are not UTF-8 go into `payload_b64`
/// and `correlation-data_b64`, so that the object is valid JSON and loses nothing.
pub fn write_message(
    message: &Publish<'_>,
    time: DateTime<FixedOffset>,
    options: MessageJsonOptions,
    out: &mut Vec<u8>,
) {
    let mut writer = JsonWriter::new(out, options.layout).escaping();
    writer.open_object();
    writer.key("time");
    writer.verbatim(b"\"");
    put_rfc3339(time, writer.verbatim_out());
    writer.verbatim(b"\"");
    writer.key("ts");
    put_unix_seconds(time, writer.verbatim_out());
    writer.key("topic");
    writer.string(message.topic);
    writer.key("qos");
    writer.number(u64::from(message.qos.number()));
    writer.key("retain");
    writer.verbatim(if message.retain { b"true" } else { b"false" });
    if message.qos != QoS::AtMostOnce {
        writer.key("mid");
        writer.number(u64::from(message.packet_identifier));
    }
    write_payload(message.payload, options.json_payload, &mut writer);
    if !message.properties.is_empty() {
        writer.key("properties");
        write_properties(message.properties, &mut writer);
    }
    if let Some(latency) = options.latency {
        writer.key("latency_ms");
        let nanos = latency.as_nanos();
        let _ = write!(writer.verbatim_out(), "{}.{:06}", nanos / 1_000_000, nanos % 1_000_000);
    }
    writer.close_object();
}

fn write_payload(payload: &[u8], json_payload: bool, writer: &mut JsonWriter<'_>) {
    if json_payload && let Some(text) = JsonText::new(payload, MAX_PAYLOAD_DEPTH).filter(is_readable_by_all) {
        writer.key("payload_json");
        // A raw line break in JSON is always blank between tokens, and the object is to stay on its line.
        text.as_str()
            .trim_matches([' ', '\t', '\n', '\r'])
            .split(['\n', '\r'])
            .for_each(|part| writer.verbatim(part.as_bytes()));
    } else if let Some(text) = std::str::from_utf8(payload).ok().filter(|text| fits(text, LONGEST_TEXT)) {
        writer.key("payload");
        writer.string(text);
    } else {
        writer.key("payload_b64");
        writer.base64(payload);
    }
}

/// Whether a text takes at most `limit` bytes as a JSON string. A control character takes six.
pub(super) fn fits(text: &str, limit: usize) -> bool {
    let escaped =
        || text.bytes().map(|byte| if byte < b' ' { 6 } else { 1 + usize::from(matches!(byte, b'"' | b'\\')) });
    text.len() <= limit / 6 || escaped().sum::<usize>() <= limit
}

/// A number beyond a double is valid JSON that stops many readers, and would take the whole line with it.
fn is_readable_by_all(text: &JsonText<'_>) -> bool {
    text.tokens().all(|token| match token {
        JsonToken::Scalar(scalar) => scalar.parse::<f64>().map_or(true, f64::is_finite),
        _ => true,
    })
}

fn write_properties(properties: PublishProperties<'_>, writer: &mut JsonWriter<'_>) {
    let all_of = |name: PropertyName| {
        properties_of(properties).filter(move |property: &PropertyRef<'_>| property.name() == name)
    };
    let (mut users_done, mut subscriptions_done) = (false, false);
    writer.open_object();
    for property in properties_of(properties) {
        let name = property.name();
        match *property.value() {
            PropertyValue::Pair(..) if !users_done => {
                users_done = true;
                writer.key("user-properties");
                writer.open_array();
                all_of(name).for_each(|pair| write_user_property(&pair, writer));
                writer.close_array();
            }
            PropertyValue::Pair(..) => {}
            PropertyValue::VarInt(_) if subscriptions_done => {}
            PropertyValue::VarInt(number) => {
                subscriptions_done = true;
                writer.key(name.text());
                if all_of(name).nth(1).is_none() {
                    writer.number(u64::from(number));
                    continue;
                }
                writer.open_array();
                for identifier in all_of(name).filter_map(|property| property.value().number()) {
                    writer.element();
                    writer.number(u64::from(identifier));
                }
                writer.close_array();
            }
            PropertyValue::Byte(_) | PropertyValue::TwoByte(_) | PropertyValue::FourByte(_) => {
                writer.key(name.text());
                writer.number(u64::from(property.value().number().unwrap_or_default()));
            }
            PropertyValue::Utf8(text) => {
                writer.key(name.text());
                writer.string(text);
            }
            PropertyValue::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => {
                    writer.key(name.text());
                    writer.string(text);
                }
                Err(_) => {
                    writer.suffixed_key(name.text(), "_b64");
                    writer.base64(bytes);
                }
            },
        }
    }
    writer.close_object();
}

/// Appends a user property as an element of an array: an object of one key.
pub(crate) fn write_user_property(property: &PropertyRef<'_>, writer: &mut JsonWriter<'_>) {
    if let PropertyValue::Pair(key, value) = *property.value() {
        writer.element();
        writer.open_object();
        writer.key(key);
        writer.string(value);
        writer.close_object();
    }
}

/// `2026-11-21T04:00:42.001234+01:00`
pub(crate) fn put_rfc3339(time: DateTime<FixedOffset>, out: &mut Vec<u8>) {
    let offset = time.offset().local_minus_utc();
    let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs() / 60);
    let _ = write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}{sign}{:02}:{:02}",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        // chrono marks a leap second by nanoseconds above one second.
        (time.nanosecond() / 1_000).min(999_999),
        minutes / 60,
        minutes % 60
    );
}

/// Seconds since 1970 with six decimals.
fn put_unix_seconds(time: DateTime<FixedOffset>, out: &mut Vec<u8>) {
    let micros = time.timestamp_micros();
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    let _ = write!(out, "{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000);
}
