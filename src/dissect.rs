//! A packet taken apart byte by byte, for `-dd` of the clients and `-vv` of the broker: each field with the bytes that
//! it is on the wire.
//!
//! It reads any bytes, well formed or not, and shows what is left as bytes where it can read no further.

use std::fmt::Write as _;

use crate::mqtt::wire::{Frame, MAX_PACKET_SIZE, PacketType, Scan, scan};
use crate::mqtt::{PropertyName, ProtocolVersion, QoS, ReasonCode, WireType};
use crate::terminal::escape;
use crate::terminal::number::{byte_count, grouped};

/// Most bytes of a field that are shown.
const SHOWN: usize = 16;
/// Most text of one packet that is shown; fields after that are only counted.
const MOST_TEXT: usize = 256 * 1024;
/// Width of the column of bytes.
const COLUMN: usize = 3 * SHOWN + 2;

/// Appends a packet, one line per field. `packet` is one whole packet.
pub(crate) fn dissect(packet: &[u8], version: ProtocolVersion, lines: &mut String) {
    let Ok(Scan::Frame(frame)) = scan(packet, MAX_PACKET_SIZE) else { return };
    let header = packet.len() - frame.body.len();
    let most = lines.len() + MOST_TEXT;
    let mut fields = Fields { rest: frame.body, lines, version, most, unshown: 0, hides_values: false };
    let flags = match frame.packet_type {
        PacketType::Publish => {
            format!("flags DUP {}, QoS {}, RETAIN {}", frame.flags >> 3 & 1, frame.flags >> 1 & 0b11, frame.flags & 1)
        }
        _ => format!("flags {:04b}", frame.flags),
    };
    let name = frame.packet_type.name();
    fields.line(&packet[..1], &format!("{name} (type {}), {flags}", frame.packet_type as u8));
    let remaining = grouped(frame.body.len() as u64);
    fields.line(&packet[1..header], &format!("remaining length {remaining}; {} on the wire", byte_count(packet.len())));
    let _ = fields.body(frame); // ends early on a packet that is too short
    if !fields.rest.is_empty() {
        let rest = fields.rest;
        fields.line(rest, &format!("{} more", byte_count(rest.len())));
    }
    if fields.unshown > 0 {
        let _ = writeln!(fields.lines, "    {:COLUMN$}{} fields more", "…", fields.unshown);
    }
}

struct Fields<'a, 'l> {
    rest: &'a [u8],
    lines: &'l mut String,
    version: ProtocolVersion,
    /// Length of `lines` from which on fields are only counted.
    most: usize,
    /// Fields that are only counted.
    unshown: usize,
    /// Values of user properties are not shown.
    hides_values: bool,
}

impl<'a> Fields<'a, '_> {
    fn line(&mut self, bytes: &[u8], text: &str) {
        if self.lines.len() > self.most {
            self.unshown += 1;
            return;
        }
        let mut column = String::new();
        for byte in bytes.iter().take(SHOWN) {
            let _ = write!(column, "{byte:02x} ");
        }
        if bytes.len() > SHOWN {
            column.push('…');
        }
        let _ = writeln!(self.lines, "    {column:COLUMN$}{text}");
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self, text: impl FnOnce(u8) -> String) -> Option<u8> {
        let bytes = self.take(1)?;
        self.line(bytes, &text(bytes[0]));
        Some(bytes[0])
    }

    fn two_byte(&mut self, name: &str) -> Option<u16> {
        let bytes = self.take(2)?;
        let value = u16::from_be_bytes([bytes[0], bytes[1]]);
        self.line(bytes, &format!("{name} {value}"));
        Some(value)
    }

    /// A length of two bytes and what it counts.
    fn counted(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let length = self.rest.get(..2)?;
        let whole = self.take(2 + usize::from(u16::from_be_bytes([length[0], length[1]])))?;
        Some((whole, &whole[2..]))
    }

    fn string(&mut self, name: &str) -> Option<()> {
        let (whole, text) = self.counted()?;
        self.line(whole, &format!("{name} '{}'", escape(&String::from_utf8_lossy(text))));
        Some(())
    }

    fn binary(&mut self, name: &str) -> Option<()> {
        let (whole, bytes) = self.counted()?;
        self.line(whole, &format!("{name}, {}", byte_count(bytes.len())));
        Some(())
    }

    /// A password: its length only, and no byte of it.
    fn secret(&mut self, name: &str) -> Option<()> {
        let (whole, bytes) = self.counted()?;
        self.line(&whole[..2], &format!("{name}, {}, not shown", byte_count(bytes.len())));
        Some(())
    }

    fn variable(&mut self) -> Option<(&'a [u8], usize)> {
        let length = self.rest.iter().take(4).position(|byte| byte & 0x80 == 0)? + 1;
        let bytes = self.take(length)?;
        Some((bytes, bytes.iter().rev().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7F))))
    }

    fn reason(&mut self) -> Option<()> {
        self.byte(|code| format!("reason {}", ReasonCode(code))).map(drop)
    }

    fn body(&mut self, frame: Frame<'a>) -> Option<()> {
        let v5 = self.version.is_v5();
        match frame.packet_type {
            PacketType::Connect => self.connect()?,
            PacketType::Connack => {
                self.byte(|flags| format!("session present {}", flags & 1))?;
                let v3 = !v5;
                self.byte(|code| match v3 {
                    true if code == 0 => "return code 0: accepted".to_owned(),
                    true => format!("return code {code}: {}", ReasonCode::from_v3_connack(code)),
                    false => format!("reason {}", ReasonCode(code)),
                })?;
                self.properties("properties")?;
            }
            PacketType::Publish => {
                self.string("topic")?;
                if QoS::from_number(frame.flags >> 1 & 0b11) != Some(QoS::AtMostOnce) {
                    self.two_byte("packet identifier")?;
                }
                self.properties("properties")?;
                let payload = self.take(self.rest.len())?;
                self.line(payload, &format!("payload, {}", byte_count(payload.len())));
            }
            PacketType::Puback | PacketType::Pubrec | PacketType::Pubrel | PacketType::Pubcomp => {
                self.two_byte("packet identifier")?;
                self.reason_and_properties()?;
            }
            PacketType::Subscribe | PacketType::Unsubscribe => {
                self.two_byte("packet identifier")?;
                self.properties("properties")?;
                while !self.rest.is_empty() {
                    self.string("topic filter")?;
                    if frame.packet_type == PacketType::Subscribe {
                        self.byte(|options| subscription_options(options, v5))?;
                    }
                }
            }
            PacketType::Suback | PacketType::Unsuback => {
                self.two_byte("packet identifier")?;
                self.properties("properties")?;
                while !self.rest.is_empty() {
                    self.byte(|code| match (frame.packet_type, code) {
                        (PacketType::Suback, 0..=2) => format!("granted QoS {code}"),
                        _ => format!("reason {}", ReasonCode(code)),
                    })?;
                }
            }
            PacketType::Disconnect | PacketType::Auth => self.reason_and_properties()?,
            PacketType::Pingreq | PacketType::Pingresp => {}
        }
        Some(())
    }

    fn reason_and_properties(&mut self) -> Option<()> {
        if !self.rest.is_empty() {
            self.reason()?;
        }
        if !self.rest.is_empty() {
            self.properties("properties")?;
        }
        Some(())
    }

    fn connect(&mut self) -> Option<()> {
        self.string("protocol name")?;
        self.byte(|level| format!("protocol level {level}"))?;
        let flags = self.byte(connect_flags)?;
        self.two_byte("keep alive")?;
        // Those of the will too: CONNECT carries them.
        self.hides_values = true;
        self.properties("properties")?;
        self.string("client identifier")?;
        if flags & 0x04 != 0 {
            self.properties("will properties")?;
            self.string("will topic")?;
            self.binary("will payload")?;
        }
        if flags & 0x80 != 0 {
            self.string("user name")?;
        }
        if flags & 0x40 != 0 {
            self.secret("password")?;
        }
        Some(())
    }

    /// The properties of 5.0, which no other version has.
    fn properties(&mut self, name: &str) -> Option<()> {
        if !self.version.is_v5() {
            return Some(());
        }
        let (bytes, length) = self.variable()?;
        self.line(bytes, &format!("{name}, {}", byte_count(length)));
        let rest = self.rest;
        let (properties, behind) = rest.split_at_checked(length)?;
        self.rest = properties;
        let read = self.property_list();
        if read.is_some() {
            self.rest = behind;
        }
        read
    }

    fn property_list(&mut self) -> Option<()> {
        while let Some(id) = self.rest.first() {
            let whole = self.rest;
            let name = PropertyName::from_id(*id)?;
            self.take(1)?;
            let number = |bytes: &[u8]| bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
            // User properties of CONNECT may be tokens, which a broker's plugin asks for.
            let key_only = self.hides_values && name.wire_type() == WireType::Pair;
            let secret = name == PropertyName::AuthenticationData || key_only;
            let value = match name.wire_type() {
                WireType::Byte => number(self.take(1)?).to_string(),
                WireType::TwoByte => number(self.take(2)?).to_string(),
                WireType::FourByte => number(self.take(4)?).to_string(),
                WireType::VarInt => self.variable()?.1.to_string(),
                WireType::Utf8 => quoted(self.counted()?.1),
                WireType::Binary => byte_count(self.counted()?.1.len()),
                WireType::Pair if key_only => {
                    let key = quoted(self.counted()?.1);
                    format!("{key}, {}, not shown", byte_count(self.counted()?.1.len()))
                }
                WireType::Pair => format!("{} = {}", quoted(self.counted()?.1), quoted(self.counted()?.1)),
            };
            let used = if secret { 1 } else { whole.len() - self.rest.len() };
            self.line(&whole[..used], &format!("  {} {value}", name.text()));
        }
        Some(())
    }
}

fn quoted(text: &[u8]) -> String {
    format!("'{}'", escape(&String::from_utf8_lossy(text)))
}

fn connect_flags(flags: u8) -> String {
    let names = [
        (0x80, "user name"),
        (0x40, "password"),
        (0x20, "will retain"),
        (0x04, "will"),
        (0x02, "clean start"),
        (0x01, "reserved"),
    ];
    let mut set: Vec<String> =
        names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| (*name).to_owned()).collect();
    if flags & 0x04 != 0 {
        set.push(format!("will QoS {}", flags >> 3 & 0b11));
    }
    format!("flags {flags:08b}: {}", if set.is_empty() { "none".to_owned() } else { set.join(", ") })
}

fn subscription_options(options: u8, v5: bool) -> String {
    let qos = format!("QoS {}", options & 0b11);
    if !v5 {
        return qos;
    }
    format!(
        "{qos}, no local {}, retain as published {}, retain handling {}",
        options >> 2 & 1,
        options >> 3 & 1,
        options >> 4 & 0b11
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mqtt::wire::{Packet, Publish};
    use crate::mqtt::{Message, Property};

    #[test]
    fn a_publish_field_by_field() {
        let message = Message {
            topic: "a/b".into(),
            payload: "hi".into(),
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: [Property::user("k", "v")].into_iter().collect(),
        };
        let mut packet = Vec::new();
        Packet::Publish(Publish::of(&message, 258, true)).encode(ProtocolVersion::V5, &mut packet).unwrap();
        let mut lines = String::new();
        dissect(&packet, ProtocolVersion::V5, &mut lines);
        let lines: Vec<String> =
            lines.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "3b PUBLISH (type 3), flags DUP 1, QoS 1, RETAIN 1",
                "11 remaining length 17; 19 bytes on the wire",
                "00 03 61 2f 62 topic 'a/b'",
                "01 02 packet identifier 258",
                "07 properties, 7 bytes",
                "26 00 01 6b 00 01 76 user-property 'k' = 'v'",
                "68 69 payload, 2 bytes",
            ]
        );
    }

    #[test]
    fn user_properties_of_connect_and_of_its_will_show_their_keys_only() {
        let properties = b"\x10\x26\x00\x05token\x00\x06SECRET";
        let variable_header = b"\x00\x04MQTT\x05\x06\x00\x3c";
        let body = [&variable_header[..], properties, b"\x00\x00", properties, b"\x00\x01w\x00\x00"].concat();
        let packet = [&[0x10, body.len() as u8][..], &body].concat();
        let mut lines = String::new();
        dissect(&packet, ProtocolVersion::V5, &mut lines);
        assert_eq!(lines.matches("user-property 'token', 6 bytes, not shown").count(), 2, "{lines}");
        assert!(!lines.contains("SECRET") && !lines.contains("53 45 43"), "{lines}");
        assert!(lines.contains("client identifier ''") && lines.contains("will topic 'w'"), "{lines}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut packet in proptest::collection::vec(any::<u8>(), 0..120), v5: bool) {
            if let Some(length) = packet.len().checked_sub(2) {
                packet[1] = length as u8;
            }
            let version = if v5 { ProtocolVersion::V5 } else { ProtocolVersion::V311 };
            let mut lines = String::new();
            dissect(&packet, version, &mut lines);
            prop_assert!(!lines.contains('\x1b'));
        }
    }
}
