//! Bytes and packets by section of the standard.
//!
//! Why the control packets have our own codec, and rumqttc's (0.25.1) is only the oracle of these tests. Each
//! point was read in its source, and where a test is named it is held there, so an update that mends it shows:
//! - it keeps properties as one field a name, so their order on the wire is lost (`oracle::loses_property_order`)
//! - DISCONNECT of length 0 is an error to its 5.0 reader, DISCONNECT with a reason and no properties is written one
//!   byte longer than its header says, and the same packet in the standard's short form is not read
//!   (`oracle::cannot_do_disconnect`); AUTH is written and not read (`oracle::does_not_know_auth`)
//! - from the third Subscription Identifier on, PUBLISH properties are taken for payload
//!   (`oracle::miscounts_subscription_identifiers`)
//! - a password must be UTF-8, and an empty user name or password is the same as none (`oracle::bends_credentials`)
//! - CONNACK of a server that knows only 3.1.1 is an error to its 5.0 reader (`oracle::cannot_read_a_3_1_1_refusal`)
//! - reserved flags and options, NUL characters, repeated properties and surplus bytes pass unseen
//!   (`oracle::lets_malformed_packets_pass`); 3.1 is unknown
//! - 3.1.1 and 5.0 are two families of types, so every packet would be converted both ways, with a copy of each
//!   string; it reads from BytesMut only

mod arbitrary;
mod malformed;
mod oracle;
mod round_trip;

use super::*;
use crate::mqtt::{Message, Property, PropertyName, PropertyValue, QoS, Secret};
use ProtocolVersion::{V5, V31, V311};

/// A packet that borrows nothing: what PUBLISH says is taken out of the buffer, so that packets can be compared.
#[derive(Clone, Debug, PartialEq)]
enum OwnedPacket {
    Publish(Message, u16, bool),
    Other(Packet<'static>),
}

impl OwnedPacket {
    fn packet(&self) -> Packet<'_> {
        match self {
            Self::Publish(message, identifier, dup) => Packet::Publish(Publish::of(message, *identifier, *dup)),
            Self::Other(packet) => packet.clone(),
        }
    }

    fn encode(&self, version: ProtocolVersion) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.packet().encode(version, &mut bytes).unwrap();
        bytes
    }
}

fn decode(bytes: &[u8], version: ProtocolVersion) -> Result<OwnedPacket, WireError> {
    let Scan::Frame(frame) = scan(bytes, MAX_PACKET_SIZE)? else { panic!("no whole packet: {bytes:02x?}") };
    assert_eq!(frame.size, bytes.len(), "bytes behind the packet");
    Ok(match Packet::decode(frame, version)? {
        Packet::Publish(it) => OwnedPacket::Publish(it.to_message(), it.packet_identifier, it.dup),
        Packet::Connect(it) => OwnedPacket::Other(Packet::Connect(it)),
        Packet::Connack(it) => OwnedPacket::Other(Packet::Connack(it)),
        Packet::Ack(it) => OwnedPacket::Other(Packet::Ack(it)),
        Packet::Subscribe(it) => OwnedPacket::Other(Packet::Subscribe(it)),
        Packet::Suback(it) => OwnedPacket::Other(Packet::Suback(it)),
        Packet::Unsubscribe(it) => OwnedPacket::Other(Packet::Unsubscribe(it)),
        Packet::Unsuback(it) => OwnedPacket::Other(Packet::Unsuback(it)),
        Packet::Pingreq => OwnedPacket::Other(Packet::Pingreq),
        Packet::Pingresp => OwnedPacket::Other(Packet::Pingresp),
        Packet::Disconnect(it) => OwnedPacket::Other(Packet::Disconnect(it)),
        Packet::Auth(it) => OwnedPacket::Other(Packet::Auth(it)),
    })
}

/// Holds a packet against its bytes, both ways.
#[track_caller]
fn same(version: ProtocolVersion, packet: OwnedPacket, bytes: &[u8]) {
    assert_eq!(packet.encode(version), bytes, "encoding {packet:?}");
    assert_eq!(decode(bytes, version), Ok(packet));
}

fn property(name: PropertyName, value: PropertyValue) -> Property {
    Property::new(name, value).unwrap()
}

fn connect(version: ProtocolVersion) -> Connect {
    Connect {
        version,
        client_id: "id".into(),
        clean_start: true,
        keep_alive: 60,
        user_name: None,
        password: None,
        will: None,
        properties: Properties::new(),
    }
}

fn message(topic: &str, payload: &'static [u8], qos: QoS, retain: bool) -> Message {
    Message { topic: topic.into(), payload: payload.into(), qos, retain, properties: Properties::new() }
}

#[test]
fn connect_of_every_version() {
    let plain = |version| OwnedPacket::Other(Packet::Connect(Box::new(connect(version))));
    same(V31, plain(V31), b"\x10\x10\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x02id");
    same(V311, plain(V311), b"\x10\x0E\x00\x04MQTT\x04\x02\x00\x3C\x00\x02id");
    same(V5, plain(V5), b"\x10\x0F\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x02id");
}

#[test]
fn connect_with_everything_in_it() {
    let mut full = connect(V311);
    full.clean_start = false;
    full.user_name = Some("u".into());
    full.password = Some(Secret::new([0xFF, 0x00])); // binary data, not a string
    full.will = Some(message("w", b"gone", QoS::ExactlyOnce, true));
    let packet = OwnedPacket::Other(Packet::Connect(Box::new(full.clone())));
    let tail = b"\x00\x01w\x00\x04gone\x00\x01u\x00\x02\xFF\x00";
    same(V311, packet, &[b"\x10\x1E\x00\x04MQTT\x04\xF4\x00\x3C\x00\x02id", &tail[..]].concat());

    full.version = V5;
    // In the order given, which is not that of the identifiers.
    full.properties = [
        property(PropertyName::ReceiveMaximum, PropertyValue::TwoByte(20)),
        Property::user("b", "2"),
        property(PropertyName::SessionExpiryInterval, PropertyValue::FourByte(0xFFFF_FFFF)),
        Property::user("a", "1"),
    ]
    .into_iter()
    .collect();
    let will = full.will.as_mut().unwrap();
    will.properties = [
        property(PropertyName::ContentType, PropertyValue::Utf8("t".into())),
        property(PropertyName::WillDelayInterval, PropertyValue::FourByte(5)),
    ]
    .into_iter()
    .collect();
    let packet = OwnedPacket::Other(Packet::Connect(Box::new(full)));
    let head = b"\x10\x3F\x00\x04MQTT\x05\xF4\x00\x3C";
    let properties = b"\x16\x21\x00\x14\x26\x00\x01b\x00\x012\x11\xFF\xFF\xFF\xFF\x26\x00\x01a\x00\x011";
    let will_properties = b"\x09\x03\x00\x01t\x18\x00\x00\x00\x05";
    same(V5, packet, &[&head[..], properties, b"\x00\x02id", will_properties, tail].concat());
}

#[test]
fn connect_with_a_password_alone_is_of_5_0() {
    let mut connect = connect(V5);
    connect.password = Some(Secret::new("p"));
    let packet = OwnedPacket::Other(Packet::Connect(Box::new(connect)));
    same(V5, packet, b"\x10\x12\x00\x04MQTT\x05\x42\x00\x3C\x00\x00\x02id\x00\x01p");
}

#[test]
fn connack_of_3_1_1_and_of_5_0() {
    let connack = |present, reason| {
        let properties = Properties::new();
        OwnedPacket::Other(Packet::Connack(Connack { session_present: present, reason, properties }))
    };
    for version in [V31, V311] {
        same(version, connack(true, ReasonCode::SUCCESS), b"\x20\x02\x01\x00");
        for (code, reason) in (1..).zip([132, 133, 136, 134, 135]) {
            same(version, connack(false, ReasonCode(reason)), &[0x20, 2, 0, code]);
        }
    }
    same(V5, connack(false, ReasonCode::SUCCESS), b"\x20\x03\x00\x00\x00");
    // A server of 3.1.1 answers a 5.0 CONNECT in its own form.
    assert_eq!(decode(b"\x20\x02\x00\x01", V5), Ok(connack(false, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION)));
    let properties: Properties = [
        property(PropertyName::TopicAliasMaximum, PropertyValue::TwoByte(10)),
        property(PropertyName::MaximumQos, PropertyValue::Byte(1)),
        property(PropertyName::AssignedClientIdentifier, PropertyValue::Utf8("me".into())),
    ]
    .into_iter()
    .collect();
    let connack = Connack { session_present: true, reason: ReasonCode::NOT_AUTHORIZED, properties };
    let bytes = b"\x20\x0D\x01\x87\x0A\x22\x00\x0A\x24\x01\x12\x00\x02me";
    same(V5, OwnedPacket::Other(Packet::Connack(connack)), bytes);
}

#[test]
fn publish_with_every_flag() {
    let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    for (qos, dup, retain) in qos.into_iter().flat_map(|qos| [(qos, false, true), (qos, true, false)]) {
        let (dup, identifier) = if qos == QoS::AtMostOnce { (false, 0) } else { (dup, 0x0102) };
        let first = 0x30 | u8::from(dup) << 3 | qos.number() << 1 | u8::from(retain);
        let packet = OwnedPacket::Publish(message("a/b", b"hi", qos, retain), identifier, dup);
        let identifier: &[u8] = if qos == QoS::AtMostOnce { b"" } else { b"\x01\x02" };
        let length = 7 + identifier.len() as u8;
        same(V311, packet.clone(), &[&[first, length], &b"\x00\x03a/b"[..], identifier, b"hi"].concat());
        same(V5, packet, &[&[first, length + 1], &b"\x00\x03a/b"[..], identifier, b"\x00hi"].concat());
    }
    // DUP means nothing at QoS 0 and is not sent (MQTT-3.3.1-2).
    let again = OwnedPacket::Publish(message("t", b"", QoS::AtMostOnce, false), 0, true);
    assert_eq!(again.encode(V311), b"\x30\x03\x00\x01t");
}

#[test]
fn publish_with_properties_in_the_order_given() {
    let mut message = message("", b"", QoS::AtLeastOnce, false);
    message.properties = [
        property(PropertyName::TopicAlias, PropertyValue::TwoByte(7)),
        property(PropertyName::SubscriptionIdentifier, PropertyValue::VarInt(300)),
        property(PropertyName::PayloadFormatIndicator, PropertyValue::Byte(1)),
        property(PropertyName::SubscriptionIdentifier, PropertyValue::VarInt(1)),
        property(PropertyName::CorrelationData, PropertyValue::Binary(vec![0, 255].into())),
    ]
    .into_iter()
    .collect();
    let bytes = b"\x32\x14\x00\x00\x00\x09\x0F\x23\x00\x07\x0B\xAC\x02\x01\x01\x0B\x01\x09\x00\x02\x00\xFF";
    same(V5, OwnedPacket::Publish(message, 9, false), bytes);
}

#[test]
fn publish_lengths_where_the_header_grows() {
    for (payload, header) in [(122, 2), (123, 3), (16_378, 3), (16_379, 4), (2_097_146, 4), (2_097_147, 5)] {
        let large = Message { topic: "top".into(), payload: vec![7; payload].into(), ..Message::default() };
        let packet = OwnedPacket::Publish(large, 0, false);
        let bytes = packet.encode(V311);
        assert_eq!(bytes.len(), header + 5 + payload);
        assert_eq!(scan(&bytes[..header], MAX_PACKET_SIZE), Ok(Scan::Incomplete(Some(bytes.len()))));
        assert_eq!(decode(&bytes, V311), Ok(packet));
    }
}

#[test]
fn the_four_acknowledgements_short_and_long() {
    let cases = [(AckKind::Puback, 0x40), (AckKind::Pubrec, 0x50), (AckKind::Pubrel, 0x62), (AckKind::Pubcomp, 0x70)];
    for (kind, first) in cases {
        let ack = |reason, properties| {
            let ack = Ack { kind, packet_identifier: 0x1234, reason, properties };
            OwnedPacket::Other(Packet::Ack(ack))
        };
        let yes = ack(ReasonCode::SUCCESS, Properties::new());
        for version in [V31, V311, V5] {
            same(version, yes.clone(), &[first, 2, 0x12, 0x34]);
        }
        assert_eq!(decode(&[first, 3, 0x12, 0x34, 0], V5), Ok(yes.clone()));
        assert_eq!(decode(&[first, 4, 0x12, 0x34, 0, 0], V5), Ok(yes));
        same(V5, ack(ReasonCode(0x92), Properties::new()), &[first, 3, 0x12, 0x34, 0x92]);
        let why = property(PropertyName::ReasonString, PropertyValue::Utf8("no".into()));
        let properties = [why].into_iter().collect();
        same(V5, ack(ReasonCode(0x97), properties), &[first, 9, 0x12, 0x34, 0x97, 5, 0x1F, 0, 2, b'n', b'o']);
    }
}

#[test]
fn subscribe_options_bit_by_bit() {
    let filter = |filter: &str, qos| SubscribeFilter { filter: filter.into(), qos, ..SubscribeFilter::default() };
    let mut subscribe = Subscribe {
        packet_identifier: 10,
        filters: vec![filter("a/#", QoS::AtLeastOnce), filter("+", QoS::ExactlyOnce)],
        ..Subscribe::default()
    };
    let packet = |subscribe: &Subscribe| OwnedPacket::Other(Packet::Subscribe(subscribe.clone()));
    same(V311, packet(&subscribe), b"\x82\x0C\x00\x0A\x00\x03a/#\x01\x00\x01+\x02");
    subscribe.filters[0].no_local = true;
    subscribe.filters[0].retain_handling = RetainHandling::Never;
    subscribe.filters[1].retain_as_published = true;
    subscribe.filters[1].retain_handling = RetainHandling::New;
    let identifier = property(PropertyName::SubscriptionIdentifier, PropertyValue::VarInt(268_435_455));
    subscribe.properties.push(identifier);
    same(V5, packet(&subscribe), b"\x82\x12\x00\x0A\x05\x0B\xFF\xFF\xFF\x7F\x00\x03a/#\x25\x00\x01+\x1A");
    assert_eq!(packet(&subscribe).encode(V311), b"\x82\x0C\x00\x0A\x00\x03a/#\x01\x00\x01+\x02");
}

#[test]
fn answers_to_subscribe_and_unsubscribe() {
    let reasons = [0, 1, 2, 0x80].map(ReasonCode).to_vec();
    let suback = Suback { packet_identifier: 10, properties: Properties::new(), reasons };
    same(V311, OwnedPacket::Other(Packet::Suback(suback.clone())), b"\x90\x06\x00\x0A\x00\x01\x02\x80");
    same(V5, OwnedPacket::Other(Packet::Suback(suback)), b"\x90\x07\x00\x0A\x00\x00\x01\x02\x80");

    let filters = vec!["a".to_owned(), "$share/g/b".to_owned()];
    let unsubscribe = Unsubscribe { packet_identifier: 11, properties: Properties::new(), filters };
    let tail = b"\x00\x01a\x00\x0A$share/g/b";
    let packet = OwnedPacket::Other(Packet::Unsubscribe(unsubscribe));
    same(V311, packet.clone(), &[b"\xA2\x11\x00\x0B", &tail[..]].concat());
    same(V5, packet, &[b"\xA2\x12\x00\x0B\x00", &tail[..]].concat());

    let reasons = vec![ReasonCode(0x00), ReasonCode(0x11)];
    let mut unsuback = Unsuback { packet_identifier: 11, properties: Properties::new(), reasons };
    same(V5, OwnedPacket::Other(Packet::Unsuback(unsuback.clone())), b"\xB0\x05\x00\x0B\x00\x00\x11");
    unsuback.reasons.clear();
    same(V311, OwnedPacket::Other(Packet::Unsuback(unsuback)), b"\xB0\x02\x00\x0B");
}

#[test]
fn ping_disconnect_and_auth() {
    for version in [V31, V311, V5] {
        same(version, OwnedPacket::Other(Packet::Pingreq), b"\xC0\x00");
        same(version, OwnedPacket::Other(Packet::Pingresp), b"\xD0\x00");
        same(version, OwnedPacket::Other(Packet::Disconnect(Disconnect::default())), b"\xE0\x00");
    }
    let mut disconnect = Disconnect { reason: ReasonCode(0x8B), properties: Properties::new() };
    let packet = |disconnect: &Disconnect| OwnedPacket::Other(Packet::Disconnect(disconnect.clone()));
    same(V5, packet(&disconnect), b"\xE0\x01\x8B");
    assert_eq!(decode(b"\xE0\x02\x8B\x00", V5), Ok(packet(&disconnect)));
    assert_eq!(packet(&disconnect).encode(V311), b"\xE0\x00");
    disconnect.reason = ReasonCode::SUCCESS;
    disconnect.properties.push(property(PropertyName::SessionExpiryInterval, PropertyValue::FourByte(1)));
    same(V5, packet(&disconnect), b"\xE0\x07\x00\x05\x11\x00\x00\x00\x01");

    let method = property(PropertyName::AuthenticationMethod, PropertyValue::Utf8("S".into()));
    let data = property(PropertyName::AuthenticationData, PropertyValue::Binary(vec![1].into()));
    let properties = [method, data].into_iter().collect();
    let auth = Packet::Auth(Auth { reason: ReasonCode::CONTINUE_AUTHENTICATION, properties });
    same(V5, OwnedPacket::Other(auth.clone()), b"\xF0\x0A\x18\x08\x15\x00\x01S\x16\x00\x01\x01");
    same(V5, OwnedPacket::Other(Packet::Auth(Auth::default())), b"\xF0\x00");
    assert!(auth.encode(V311, &mut Vec::new()).is_err());
}

#[test]
fn reasons_to_say_it_with() {
    let malformed = decode(b"\x36\x02\x00\x00", V5).unwrap_err();
    assert_eq!(malformed.reason(), ReasonCode::MALFORMED_PACKET);
    let protocol = decode(b"\x82\x03\x00\x01\x00", V5).unwrap_err();
    assert_eq!(protocol.reason(), ReasonCode::PROTOCOL_ERROR);
    let large = scan(b"\x30\xFF\xFF\xFF\x7F", 1000).unwrap_err();
    assert_eq!(large, WireError::TooLarge { size: MAX_PACKET_SIZE, limit: 1000 });
    assert_eq!(large.reason(), ReasonCode::PACKET_TOO_LARGE);
}
