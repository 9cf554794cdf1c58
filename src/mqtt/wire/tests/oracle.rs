//! Held against rumqttc's codec, an independent reading of the standard: what we write it reads as the same values,
//! and what it writes of them we read as the same. Its known faults, which random packets are kept clear of by
//! [`tame`], have tests of their own; the head of the parent file says what they are good for.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;

use super::*;

mod conversion;

use conversion::{from_v4, from_v5};

/// Properties in the order of their identifiers, which is all that is left of an order after rumqttc had them.
fn sorted(properties: &Properties) -> Properties {
    let mut list: Vec<Property> = properties.iter().cloned().collect();
    list.sort_by_key(|property| property.name().id());
    list.into_iter().collect()
}

/// A known code in place of one that is not known.
fn one_of(known: &[u8], reason: ReasonCode) -> ReasonCode {
    if known.contains(&reason.0) { reason } else { ReasonCode(known[usize::from(reason.0) % known.len()]) }
}

const ACK: &[u8] = &[0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const RELEASE: &[u8] = &[0, 0x92];
const SUBACK: &[u8] = &[0, 1, 2, 128, 131, 135, 143, 145, 151, 158, 161, 162];
const UNSUBACK: &[u8] = &[0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
const CONNACK: &[u8] =
    &[0, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 140, 144, 149, 151, 153, 154, 155, 156, 157, 159];
const DISCONNECT: &[u8] = &[0, 4, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x93, 0x94, 0x95, 0x9C, 0xA2];

/// The packet with what rumqttc cannot do taken out and its properties sorted; nothing where it cannot do the packet
/// at all. What is tame stays as it is.
fn tame(version: ProtocolVersion, packet: OwnedPacket) -> Option<OwnedPacket> {
    let other = match packet {
        OwnedPacket::Publish(mut message, identifier, dup) => {
            message.properties = sorted(&message.properties);
            let first = message.properties.get(PropertyName::SubscriptionIdentifier).cloned();
            message.properties.remove(PropertyName::SubscriptionIdentifier);
            if let Some(first) = first {
                message.properties.push(property(PropertyName::SubscriptionIdentifier, first));
            }
            message.properties = sorted(&message.properties);
            return Some(OwnedPacket::Publish(message, identifier, dup));
        }
        OwnedPacket::Other(other) => other,
    };
    Some(OwnedPacket::Other(match other {
        Packet::Connect(mut it) => {
            it.properties = sorted(&it.properties);
            it.user_name = it.user_name.filter(|name| !name.is_empty());
            it.password = it.password.map(|secret| match std::str::from_utf8(secret.expose()) {
                Ok(text) if !text.is_empty() => secret,
                _ => Secret::new(format!("{:02x?}", secret.expose())),
            });
            it.password = it.password.filter(|_| version.is_v5() || it.user_name.is_some());
            if let Some(will) = &mut it.will {
                will.properties = sorted(&will.properties);
            }
            Packet::Connect(it)
        }
        Packet::Connack(mut it) => {
            it.properties = sorted(&it.properties);
            it.reason = if version.is_v5() { one_of(CONNACK, it.reason) } else { it.reason };
            Packet::Connack(it)
        }
        Packet::Ack(mut it) => {
            it.properties = sorted(&it.properties);
            let known = if matches!(it.kind, AckKind::Puback | AckKind::Pubrec) { ACK } else { RELEASE };
            it.reason = if version.is_v5() { one_of(known, it.reason) } else { it.reason };
            Packet::Ack(it)
        }
        Packet::Subscribe(mut it) => {
            it.properties = sorted(&it.properties);
            Packet::Subscribe(it)
        }
        Packet::Suback(mut it) => {
            it.properties = sorted(&it.properties);
            let known = if version.is_v5() { SUBACK } else { &[0, 1, 2, 0x80] };
            it.reasons.iter_mut().for_each(|reason| *reason = one_of(known, *reason));
            Packet::Suback(it)
        }
        Packet::Unsubscribe(mut it) => {
            it.properties = sorted(&it.properties);
            Packet::Unsubscribe(it)
        }
        Packet::Unsuback(mut it) => {
            it.properties = sorted(&it.properties);
            it.reasons.iter_mut().for_each(|reason| *reason = one_of(UNSUBACK, *reason));
            Packet::Unsuback(it)
        }
        Packet::Disconnect(it) if version.is_v5() && it.properties.is_empty() => return None,
        Packet::Disconnect(mut it) => {
            it.properties = sorted(&it.properties);
            it.reason = if version.is_v5() { one_of(DISCONNECT, it.reason) } else { it.reason };
            Packet::Disconnect(it)
        }
        Packet::Auth(_) => return None,
        rest @ (Packet::Pingreq | Packet::Pingresp) => rest,
        Packet::Publish(_) => unreachable!("an OwnedPacket holds PUBLISH in its own variant"),
    }))
}

/// What rumqttc reads, as ours, and what it writes of it.
fn through_v4(bytes: &[u8]) -> (OwnedPacket, BytesMut) {
    let mut input = BytesMut::from(bytes);
    let read = v4::Packet::read(&mut input, MAX_PACKET_SIZE).unwrap_or_else(|error| panic!("{error} in {bytes:02x?}"));
    assert!(input.is_empty());
    let mut written = BytesMut::new();
    read.write(&mut written, MAX_PACKET_SIZE).unwrap();
    (from_v4(read), written)
}

fn through_v5(bytes: &[u8]) -> (OwnedPacket, BytesMut) {
    let mut input = BytesMut::from(bytes);
    let read = v5::Packet::read(&mut input, None).unwrap_or_else(|error| panic!("{error} in {bytes:02x?}"));
    assert!(input.is_empty());
    let mut written = BytesMut::new();
    read.write(&mut written, None).unwrap();
    (from_v5(read), written)
}

proptest! {
    #[test]
    fn rumqttc_reads_and_writes_3_1_1_as_we_do(packet in arbitrary::packet(V311)) {
        if let Some(packet) = tame(V311, packet) {
            let (read, written) = through_v4(&packet.encode(V311));
            prop_assert_eq!(&read, &packet);
            prop_assert_eq!(decode(&written, V311).unwrap(), packet);
        }
    }

    #[test]
    fn rumqttc_reads_and_writes_5_0_as_we_do(packet in arbitrary::packet(V5)) {
        if let Some(packet) = tame(V5, packet) {
            let (read, written) = through_v5(&packet.encode(V5));
            prop_assert_eq!(&read, &packet);
            prop_assert_eq!(tame(V5, decode(&written, V5).unwrap()), Some(packet));
        }
    }
}

fn read_v5(bytes: &[u8]) -> Result<v5::Packet, rumqttc::v5::mqttbytes::Error> {
    v5::Packet::read(&mut BytesMut::from(bytes), None)
}

fn rewritten_v5(bytes: &[u8]) -> BytesMut {
    let mut written = BytesMut::new();
    read_v5(bytes).unwrap().write(&mut written, None).unwrap();
    written
}

#[test]
fn loses_property_order() {
    let sent = b"\x30\x0D\x00\x01t\x09\x26\x00\x01k\x00\x01v\x01\x01";
    let sorted = b"\x30\x0D\x00\x01t\x09\x01\x01\x26\x00\x01k\x00\x01v";
    assert_eq!(decode(sent, V5).unwrap().encode(V5), sent);
    assert_eq!(rewritten_v5(sent), &sorted[..]);
}

#[test]
fn cannot_do_disconnect() {
    use rumqttc::v5::mqttbytes::Error;
    assert!(matches!(read_v5(b"\xE0\x00"), Err(Error::PayloadRequired)));
    assert!(read_v5(b"\xE0\x01\x8B").is_err());
    let disconnect = v5::Disconnect::new(v5::DisconnectReasonCode::ServerShuttingDown);
    let mut written = BytesMut::new();
    disconnect.write(&mut written).unwrap();
    assert_eq!(written, &b"\xE0\x01\x8B\x00"[..], "one byte longer than it says");
}

#[test]
fn does_not_know_auth() {
    use rumqttc::v5::mqttbytes::Error;
    assert!(matches!(read_v5(b"\xF0\x02\x18\x00"), Err(Error::InvalidPacketType(15))));
    assert!(decode(b"\xF0\x02\x18\x00", V5).is_ok());
}

#[test]
fn miscounts_subscription_identifiers() {
    let sent = b"\x30\x0D\x00\x01t\x06\x0B\x01\x0B\x02\x0B\x03pay";
    let v5::Packet::Publish(read) = read_v5(sent).unwrap() else { panic!("no PUBLISH") };
    assert_eq!(read.payload, Bytes::from_static(b"\x0B\x03pay"));
    let OwnedPacket::Publish(ours, ..) = decode(sent, V5).unwrap() else { panic!("no PUBLISH") };
    assert_eq!(ours.payload, Bytes::from_static(b"pay"));
}

#[test]
fn bends_credentials() {
    let binary = b"\x10\x13\x00\x04MQTT\x05\xC2\x00\x3C\x00\x00\x00\x00\x01u\x00\x01\xFF";
    assert!(decode(binary, V5).is_ok());
    assert!(read_v5(binary).is_err());
    let empty = b"\x10\x11\x00\x04MQTT\x05\xC2\x00\x3C\x00\x00\x00\x00\x00\x00\x00";
    let v5::Packet::Connect(_, _, login) = read_v5(empty).unwrap() else { panic!("no CONNECT") };
    assert_eq!(login, None);
    let OwnedPacket::Other(Packet::Connect(ours)) = decode(empty, V5).unwrap() else { panic!("no CONNECT") };
    assert_eq!((ours.user_name.as_deref(), ours.password.is_some()), (Some(""), true));
}

#[test]
fn cannot_read_a_3_1_1_refusal() {
    assert!(decode(b"\x20\x02\x00\x01", V5).is_ok());
    assert!(read_v5(b"\x20\x02\x00\x01").is_err());
}

#[test]
fn lets_malformed_packets_pass() {
    for (bytes, what) in [
        (&b"\x31\x03\x00\x01\x00"[..], "a NUL character in a topic"),
        (b"\x42\x02\x00\x01", "reserved flags"),
        (b"\x40\x03\x00\x01\x00", "a surplus byte"),
        (b"\xE0\x01\x00", "a body of DISCONNECT"),
        (b"\x82\x06\x00\x01\x00\x01a\xFC", "reserved subscription options"),
    ] {
        assert!(v4::Packet::read(&mut BytesMut::from(bytes), 100).is_ok(), "{what}");
        assert!(decode(bytes, V311).is_err(), "{what}");
    }
    let twice = b"\x30\x08\x00\x01t\x04\x01\x00\x01\x01";
    assert!(read_v5(twice).is_ok() && decode(twice, V5).is_err(), "a property that occurs twice");
    let mut version_3_1 = BytesMut::from(&b"\x10\x10\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x02id"[..]);
    assert!(v4::Packet::read(&mut version_3_1, 100).is_err());
}
