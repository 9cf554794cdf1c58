//! Rendering a template, byte for byte as mosquitto_sub 2.1 prints it. Where its output is plainly wrong and nobody can
//! rely on it, ours is right: a Message Expiry Interval above 2,147,483,647 is not printed as a negative number.
//!
//! Time is the one receive time of the message (mosquitto reads the clock anew for each specifier), texts of time are
//! those of the C locale.

use std::io::Write as _;

use chrono::{DateTime, FixedOffset, Timelike as _};

use super::template::{Content, Field, Piece, Template};
use super::{Escapes, RenderFault, mosquitto_json};
use crate::mqtt::{PropertyName, PropertyValue};
use crate::subscribe::ReceivedMessage;
use crate::terminal::{escape_json_tail, escape_tail};

/// A double has at most 1,074 digits after its point; what is asked for beyond them is zeros.
const MAX_FRACTION_DIGITS: usize = 1_100;

impl Template {
    /// Appends a message; `pretty` spreads `%j` and `%J` over several lines. What could not be shown comes back.
    pub fn render(
        &self,
        message: &ReceivedMessage<'_>,
        pretty: bool,
        escapes: Escapes,
        out: &mut Vec<u8>,
    ) -> Vec<RenderFault> {
        let mut faults = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Field(content, field) => {
                    let start = out.len();
                    faults.extend(render_field(*content, field, message, pretty, out).err());
                    match (escapes, content) {
                        (Escapes::Nothing, _) | (Escapes::Metadata, Content::Payload) => {}
                        (_, Content::JsonWithString | Content::JsonWithJson) => escape_json_tail(out, start),
                        _ => escape_tail(out, start),
                    }
                }
                Piece::Time(letter) => render_time(*letter, message.received, out),
                Piece::Nanoseconds => {
                    let _ = write!(out, "{:09}", nanoseconds(message.received));
                }
            }
        }
        faults
    }
}

fn render_field(
    content: Content,
    field: &Field,
    message: &ReceivedMessage<'_>,
    pretty: bool,
    out: &mut Vec<u8>,
) -> Result<(), RenderFault> {
    let publish = &message.publish;
    match content {
        Content::Topic => field.put_text(publish.topic.as_bytes(), out),
        Content::Payload => field.put_payload(publish.payload, out),
        Content::Hex { upper } => field.put_hex(publish.payload, upper, out),
        Content::PayloadLength => field.put_number(publish.payload.len() as u64, out),
        Content::PacketIdentifier => field.put_number(u64::from(publish.packet_identifier), out),
        Content::QoS => out.push(b'0' + publish.qos.number()),
        Content::Retain => out.push(b'0' + u8::from(publish.retain)),
        Content::TopicAlias => put_property(PropertyName::TopicAlias, field, message, out),
        Content::MessageExpiryInterval => put_property(PropertyName::MessageExpiryInterval, field, message, out),
        Content::PayloadFormatIndicator => put_property(PropertyName::PayloadFormatIndicator, field, message, out),
        Content::SubscriptionIdentifier => put_property(PropertyName::SubscriptionIdentifier, field, message, out),
        Content::ContentType => put_property(PropertyName::ContentType, field, message, out),
        Content::ResponseTopic => {
            if let Some(PropertyValue::Utf8(text)) = message.property(PropertyName::ResponseTopic) {
                field.put_text(text.as_bytes(), out);
            }
        }
        Content::CorrelationData => {
            if let Some(PropertyValue::Binary(bytes)) = message.property(PropertyName::CorrelationData) {
                out.extend_from_slice(bytes);
            }
        }
        Content::UserProperties => put_user_properties(message, out),
        Content::LocalTime => {
            let text = message.received.format("%Y-%m-%dT%H:%M:%S%z").to_string();
            field.put_text(text.as_bytes(), out);
        }
        Content::UnixTime => {
            let _ = write!(out, "{}.{:09}", message.received.timestamp(), nanoseconds(message.received));
        }
        Content::Float => {
            let bytes = publish.payload.try_into().map_err(|_| RenderFault::NotAFloat)?;
            field.put_float(f64::from(f32::from_ne_bytes(bytes)), out);
        }
        Content::Double => {
            let bytes = publish.payload.try_into().map_err(|_| RenderFault::NotADouble)?;
            field.put_float(f64::from_ne_bytes(bytes), out);
        }
        Content::JsonWithString => mosquitto_json::write_with_string(message, pretty, out),
        Content::JsonWithJson => mosquitto_json::write_with_json(message, pretty, out)
            .ok_or_else(|| RenderFault::NotJson { topic: publish.topic.to_owned() })?,
    }
    Ok(())
}

/// A property that leaves its width empty where it is absent; zeros may stand there for a number, not for a text.
fn put_property(name: PropertyName, field: &Field, message: &ReceivedMessage<'_>, out: &mut Vec<u8>) {
    match message.property(name) {
        Some(PropertyValue::Utf8(text)) => field.put_text(text.as_bytes(), out),
        Some(value) => field.put_number(u64::from(value.number().unwrap_or_default()), out),
        None if name == PropertyName::ContentType => pad(b' ', field.width, out),
        None => pad(field.padding(), field.width, out),
    }
}

fn put_user_properties(message: &ReceivedMessage<'_>, out: &mut Vec<u8>) {
    let mut first = true;
    for property in message.properties() {
        if let PropertyValue::Pair(key, value) = *property.value() {
            if !std::mem::take(&mut first) {
                out.push(b' ');
            }
            out.extend_from_slice(key.as_bytes());
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        }
    }
}

fn pad(with: u8, count: usize, out: &mut Vec<u8>) {
    out.resize(out.len() + count, with);
}

impl Field {
    const fn padding(&self) -> u8 {
        if self.zeros { b'0' } else { b' ' }
    }

    /// As C's `%*.*s`: precision cuts bytes, padding is blank.
    fn put_text(&self, text: &[u8], out: &mut Vec<u8>) {
        let shown = &text[..self.precision.map_or(text.len(), |precision| precision.min(text.len()))];
        let padding = self.width.saturating_sub(shown.len());
        if !self.left {
            pad(b' ', padding, out);
        }
        out.extend_from_slice(shown);
        if self.left {
            pad(b' ', padding, out);
        }
    }

    /// As C's `%*d`: zeros only from the left, and after the sign.
    fn put_number(&self, value: u64, out: &mut Vec<u8>) {
        let start = out.len();
        let _ = write!(out, "{value}");
        self.pad_number(start, true, out);
    }

    /// As C's `%*.*f`.
    fn put_float(&self, value: f64, out: &mut Vec<u8>) {
        let start = out.len();
        if value.is_nan() {
            out.extend_from_slice(if value.is_sign_negative() { b"-nan" } else { b"nan" });
        } else {
            let precision = self.precision.unwrap_or(6);
            let _ = write!(out, "{value:.*}", precision.min(MAX_FRACTION_DIGITS));
            if value.is_finite() {
                pad(b'0', precision.saturating_sub(MAX_FRACTION_DIGITS), out);
            }
        }
        self.pad_number(start, value.is_finite(), out);
    }

    /// Pads what was written since `start`.
    fn pad_number(&self, start: usize, zeros_fit: bool, out: &mut Vec<u8>) {
        let length = out.len() - start;
        let padding = self.width.saturating_sub(length);
        if padding == 0 {
            return;
        }
        let zeros = self.zeros && zeros_fit && !self.left;
        pad(if zeros { b'0' } else { b' ' }, padding, out);
        if !self.left {
            let after_sign = start + usize::from(zeros && out.get(start) == Some(&b'-'));
            out[after_sign..].rotate_right(padding);
        }
    }

    /// A payload is cut to the width, where there is one. Padded to the right without a width, mosquitto appends as
    /// many blanks as the payload has bytes.
    fn put_payload(&self, payload: &[u8], out: &mut Vec<u8>) {
        let shown = if self.width == 0 { payload } else { &payload[..payload.len().min(self.width)] };
        if !self.left {
            pad(self.padding(), self.width.saturating_sub(shown.len()), out);
        }
        out.extend_from_slice(shown);
        if self.left {
            pad(b' ', self.width.abs_diff(shown.len()), out);
        }
    }

    /// Hexadecimal digits. The width counts digits, and yet cuts the payload to as many *bytes*; padded to the right,
    /// mosquitto appends blanks for what is too long as well as for what is too short. The precision puts a separator
    /// after that many places, padding included, but not at the end.
    fn put_hex(&self, payload: &[u8], upper: bool, out: &mut Vec<u8>) {
        let digits = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
        let shown = if self.width == 0 { payload } else { &payload[..payload.len().min(self.width)] };
        let group = self.precision.unwrap_or(0);
        let separator = self.separator.unwrap_or(b' ');
        let (mut place, last) = (0usize, shown.len() * 2);
        let mut put = |byte: u8, ends: bool, out: &mut Vec<u8>| {
            out.push(byte);
            place += 1;
            if group > 0 && place.is_multiple_of(group) && !ends {
                out.push(separator);
            }
        };
        if !self.left {
            for _ in 0..self.width.saturating_sub(last) {
                put(self.padding(), false, out);
            }
        }
        for (position, byte) in shown.iter().enumerate() {
            put(digits[usize::from(byte >> 4)], false, out);
            put(digits[usize::from(byte & 15)], position + 1 == shown.len(), out);
        }
        if self.left {
            let place_of_nothing = if self.width == 0 { shown.len() } else { last };
            pad(b' ', self.width.abs_diff(place_of_nothing), out);
        }
    }
}

fn nanoseconds(time: DateTime<FixedOffset>) -> u32 {
    // chrono marks a leap second by nanoseconds above one second.
    time.nanosecond().min(999_999_999)
}

/// `@letter`, as strftime prints `%letter` in the C locale; letters it does not know stand as `%letter`. `@Z` is the
/// offset, since the name of the zone is not known here, and `UTC` where there is none.
fn render_time(letter: char, time: DateTime<FixedOffset>, out: &mut Vec<u8>) {
    let format = match letter {
        'a' => "%a",
        'A' => "%A",
        'b' | 'h' => "%b",
        'B' => "%B",
        'c' => "%a %b %e %H:%M:%S %Y",
        'C' => "%C",
        'd' => "%d",
        'D' | 'x' => "%m/%d/%y",
        'e' => "%e",
        'F' => "%Y-%m-%d",
        'g' => "%g",
        'G' => "%G",
        'H' => "%H",
        'I' => "%I",
        'j' => "%j",
        'k' => "%k",
        'l' => "%l",
        'm' => "%m",
        'M' => "%M",
        'n' => "\n",
        'p' => "%p",
        'P' => "%P",
        'r' => "%I:%M:%S %p",
        'R' => "%H:%M",
        's' => "%s",
        'S' => "%S",
        't' => "\t",
        'T' | 'X' => "%H:%M:%S",
        'u' => "%u",
        'U' => "%U",
        'V' => "%V",
        'w' => "%w",
        'W' => "%W",
        'y' => "%y",
        'Y' => "%Y",
        'z' => "%z",
        'Z' if time.offset().local_minus_utc() == 0 => "UTC",
        'Z' => "%z",
        '%' => "%%",
        other => {
            let _ = write!(out, "%{other}");
            return;
        }
    };
    let _ = write!(out, "{}", time.format(format));
}
