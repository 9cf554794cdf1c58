//! The object of `%j` and `%J`: mosquitto's, key by key in its order, without its faults. Numbers of a JSON payload keep
//! their digits, a payload is never cut at a NUL, and what is not UTF-8 never makes the object invalid: the key keeps
//! its place with `null`, and the same key with `_b64` follows with the bytes.

use std::io::Write as _;

use chrono::Timelike as _;

use crate::message_json::{JsonLayout, JsonText, JsonWriter, write_user_property};
use crate::mqtt::{PropertyValue, QoS};
use crate::subscribe::ReceivedMessage;

/// How deep a payload may be nested, as in mosquitto's JSON library.
const MAX_PAYLOAD_DEPTH: usize = 1_000;

/// Appends the object of `%j`: the payload is a string, `null` where it is empty.
pub(super) fn write_with_string(message: &ReceivedMessage<'_>, pretty: bool, out: &mut Vec<u8>) {
    let mut writer = begin(message, pretty, out);
    if message.publish.payload.is_empty() {
        writer.key("payload");
        writer.verbatim(b"null");
    } else {
        text_or_base64("payload", message.publish.payload, &mut writer);
    }
    writer.close_object();
}

/// Appends the object of `%J`: the payload is a JSON value, `null` where it is empty. Nothing is appended and nothing
/// comes back when the payload is not JSON.
pub(super) fn write_with_json(message: &ReceivedMessage<'_>, pretty: bool, out: &mut Vec<u8>) -> Option<()> {
    let payload = message.publish.payload;
    let document =
        if payload.is_empty() { JsonText::new(b"null", 0)? } else { JsonText::new(payload, MAX_PAYLOAD_DEPTH)? };
    let mut writer = begin(message, pretty, out);
    writer.key("payload");
    writer.document(&document);
    writer.close_object();
    Some(())
}

/// Everything before the payload.
fn begin<'a>(message: &ReceivedMessage<'_>, pretty: bool, out: &'a mut Vec<u8>) -> JsonWriter<'a> {
    let publish = &message.publish;
    let mut writer = JsonWriter::new(out, if pretty { JsonLayout::Tabbed } else { JsonLayout::Line });
    writer.open_object();
    writer.key("tst");
    let micros = (message.received.nanosecond() / 1_000).min(999_999);
    let _ = write!(
        writer.verbatim_out(),
        "\"{}.{micros:06}{}\"",
        message.received.format("%Y-%m-%dT%H:%M:%S"),
        message.received.format("%z")
    );
    writer.key("topic");
    writer.string(publish.topic);
    writer.key("qos");
    writer.number(u64::from(publish.qos.number()));
    writer.key("retain");
    writer.verbatim(if publish.retain { b"true" } else { b"false" });
    writer.key("payloadlen");
    writer.number(publish.payload.len() as u64);
    if publish.qos != QoS::AtMostOnce {
        writer.key("mid");
        writer.number(u64::from(publish.packet_identifier));
    }
    if !publish.properties.is_empty() {
        writer.key("properties");
        write_properties(message, &mut writer);
    }
    writer
}

/// Wire order; user properties together at the place of the first; several subscription identifiers are several keys of
/// the same name, as mosquitto has them.
fn write_properties(message: &ReceivedMessage<'_>, writer: &mut JsonWriter<'_>) {
    let mut users_done = false;
    writer.open_object();
    for property in message.properties() {
        let name = property.name().text();
        match *property.value() {
            PropertyValue::Pair(..) if !users_done => {
                users_done = true;
                writer.key("user-properties");
                writer.open_array();
                message.properties().for_each(|pair| write_user_property(&pair, writer));
                writer.close_array();
            }
            PropertyValue::Pair(..) => {}
            PropertyValue::Utf8(text) => {
                writer.key(name);
                writer.string(text);
            }
            PropertyValue::Binary(bytes) => text_or_base64(name, bytes, writer),
            PropertyValue::Byte(_)
            | PropertyValue::TwoByte(_)
            | PropertyValue::FourByte(_)
            | PropertyValue::VarInt(_) => {
                writer.key(name);
                writer.number(u64::from(property.value().number().unwrap_or_default()));
            }
        }
    }
    writer.close_object();
}

fn text_or_base64(key: &str, bytes: &[u8], writer: &mut JsonWriter<'_>) {
    writer.key(key);
    match std::str::from_utf8(bytes) {
        Ok(text) => writer.string(text),
        Err(_) => {
            writer.verbatim(b"null");
            writer.suffixed_key(key, "_b64");
            writer.base64(bytes);
        }
    }
}
