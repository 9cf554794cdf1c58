//! Bytes that are no packet and packets that are not to be sent, each with its error.

use super::*;
use crate::mqtt::{PropertyError, TopicError};

#[track_caller]
fn refused(version: ProtocolVersion, bytes: &[u8], expected: &str) {
    match decode(bytes, version) {
        Ok(packet) => panic!("{bytes:02x?} was read as {packet:?}"),
        Err(error) => assert_eq!(error.to_string(), expected, "{bytes:02x?}"),
    }
}

#[test]
fn fixed_headers() {
    refused(V311, b"\x00\x00", "malformed packet: type 0 is reserved");
    for bytes in
        [b"\xC1\x00", b"\xE8\x00", b"\x80\x02", b"\x60\x02", b"\xA0\x02", b"\x22\x02", b"\x42\x02", b"\xF2\x00"]
    {
        let name = PacketType::from_number(bytes[0] >> 4).unwrap().name();
        let expected = format!("malformed {name}: reserved flags of the first byte are set");
        assert_eq!(scan(bytes, MAX_PACKET_SIZE).unwrap_err().to_string(), expected);
    }
    refused(V311, b"\x30\xFF\xFF\xFF\xFF\x01", "malformed PUBLISH: a length of more than four bytes");
    assert_eq!(scan(b"\x30\x80\x01", 130).unwrap_err().to_string(), "a packet of 131 bytes exceeds the limit of 130");
    assert_eq!(scan(b"\x30\x80\x01", 131), Ok(Scan::Incomplete(Some(131))));
}

#[test]
fn connect() {
    const ENDS: &str = "malformed CONNECT: it is truncated";
    let unknown = "malformed CONNECT: an unknown protocol name or level";
    refused(V311, b"\x10\x0C\x00\x04MQTX\x04\x02\x00\x3C\x00\x00", unknown);
    refused(V311, b"\x10\x0C\x00\x04MQTT\x03\x02\x00\x3C\x00\x00", unknown);
    refused(V311, b"\x10\x0C\x00\x04MQTT\x06\x02\x00\x3C\x00\x00", unknown);
    refused(
        V311,
        b"\x10\x0C\x00\x04MQTT\x04\x03\x00\x3C\x00\x00",
        "malformed CONNECT: the reserved connect flag is set",
    );
    for flags in [0x08, 0x10, 0x20] {
        let bytes = [b"\x10\x0C\x00\x04MQTT\x04", &[flags][..], b"\x00\x3C\x00\x00"].concat();
        refused(V311, &bytes, "malformed CONNECT: will flags without a will");
    }
    let will = |flags| [b"\x10\x11\x00\x04MQTT\x04", &[flags][..], b"\x00\x3C\x00\x00\x00\x01w\x00\x00"].concat();
    assert!(decode(&will(0x04), V311).is_ok());
    refused(V311, &will(0x1C), "malformed CONNECT: will QoS 3");
    let password = b"\x10\x0F\x00\x04MQTT\x04\x42\x00\x3C\x00\x00\x00\x01p";
    refused(V311, password, "malformed CONNECT: a password without a user name");
    refused(V311, b"\x10\x0C\x00\x04MQTT\x04\x82\x00\x3C\x00\x00", ENDS);
    refused(
        V311,
        b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x00\x00",
        "malformed CONNECT: extra bytes follow its contents",
    );
    refused(V311, b"\x10\x00", ENDS);
    refused(
        V311,
        b"\x10\x11\x00\x04MQTT\x04\x04\x00\x3C\x00\x00\x00\x01#\x00\x00",
        "CONNECT: the topic is not valid: a topic to publish to must not contain the wildcards + and #",
    );
}

#[test]
fn strings() {
    let connect = |id: &[u8]| {
        [b"\x10", &[12 + id.len() as u8][..], b"\x00\x04MQTT\x04\x02\x00\x3C\x00", &[id.len() as u8], id].concat()
    };
    let not_utf8 = "malformed CONNECT: a string is not UTF-8";
    for id in [&b"\xFF"[..], b"\xC3", b"\xC0\x80", b"\xED\xA0\x80", b"\xF4\x90\x80\x80"] {
        refused(V311, &connect(id), not_utf8); // cut, overlong, surrogate (MQTT-1.5.4-1), beyond Unicode
    }
    refused(V311, &connect(b"a\0"), "malformed CONNECT: a string contains a NUL character");
    // U+FEFF is part of the string and not taken out (MQTT-1.5.4-3).
    let OwnedPacket::Other(Packet::Connect(read)) = decode(&connect("\u{FEFF}x".as_bytes()), V311).unwrap() else {
        panic!()
    };
    assert_eq!(read.client_id, "\u{FEFF}x");
}

#[test]
fn connack() {
    refused(V311, b"\x20\x02\x02\x00", "malformed CONNACK: reserved acknowledge flags are set");
    refused(V311, b"\x20\x01\x00", "malformed CONNACK: it is truncated");
    refused(V311, b"\x20\x03\x00\x00\x00", "malformed CONNACK: extra bytes follow its contents");
    refused(V5, b"\x20\x02\x00\x00", "malformed CONNACK: it is truncated");
}

#[test]
fn publish() {
    refused(V311, b"\x36\x05\x00\x01t\x00\x01", "malformed PUBLISH: QoS 3");
    refused(V311, b"\x32\x05\x00\x01t\x00\x00", "malformed PUBLISH: packet identifier 0");
    refused(V311, b"\x32\x03\x00\x01t", "malformed PUBLISH: it is truncated");
    refused(V311, b"\x30\x02\x00\x05", "malformed PUBLISH: it is truncated");
    refused(V311, b"\x30\x05\x00\x03a\0b", "malformed PUBLISH: a string contains a NUL character");
    refused(V311, b"\x30\x04\x00\x02\xC3\x28", "malformed PUBLISH: a string is not UTF-8");
    refused(V311, b"\x30\x02\x00\x00", "protocol error in PUBLISH: no topic and no topic alias");
    refused(V5, b"\x30\x03\x00\x00\x00", "protocol error in PUBLISH: no topic and no topic alias");
}

#[test]
fn properties() {
    let publish =
        |list: &[u8]| [b"\x30", &[4 + list.len() as u8][..], b"\x00\x01t", &[list.len() as u8], list].concat();
    refused(V5, &publish(b"\x04\x00"), "malformed PUBLISH: a property that does not exist");
    refused(V5, &publish(b"\x81\x01\x00"), "malformed PUBLISH: a property that does not exist");
    refused(V5, &publish(b"\x02\x00\x00"), "malformed PUBLISH: it is truncated");
    refused(V5, &publish(b"\x11\x00\x00\x00\x01"), "PUBLISH: session-expiry-interval is not allowed in this packet");
    refused(V5, &publish(b"\x01\x00\x01\x00"), "PUBLISH: payload-format-indicator occurs twice");
    refused(V5, &publish(b"\x01\x02"), "PUBLISH: the value of payload-format-indicator is out of range");
    refused(V5, &publish(b"\x23\x00\x00"), "PUBLISH: the value of topic-alias is out of range");
    refused(V5, &publish(b"\x0B\x00"), "PUBLISH: the value of subscription-identifier is out of range");
    refused(V5, &publish(b"\x0B\xFF\xFF\xFF\xFF\x01"), "malformed PUBLISH: a length of more than four bytes");
    refused(V5, &publish(b"\x03\x00\x01\xFF"), "malformed PUBLISH: a string is not UTF-8");
    refused(V5, b"\x30\x04\x00\x01t\x05", "malformed PUBLISH: it is truncated");
    let twice = b"\x82\x0B\x00\x01\x04\x0B\x01\x0B\x02\x00\x01a\x00";
    refused(V5, twice, "SUBSCRIBE: subscription-identifier occurs twice");
    refused(V5, b"\x20\x06\x00\x00\x03\x21\x00\x00", "CONNACK: the value of receive-maximum is out of range");
}

#[test]
fn acknowledgements() {
    for first in [0x40, 0x50, 0x62, 0x70] {
        let name = PacketType::from_number(first >> 4).unwrap().name();
        refused(V311, &[first, 2, 0, 0], &format!("malformed {name}: packet identifier 0"));
        refused(V311, &[first, 1, 0], &format!("malformed {name}: it is truncated"));
        refused(V311, &[first, 3, 0, 1, 0], &format!("malformed {name}: extra bytes follow its contents"));
        refused(V5, &[first, 5, 0, 1, 0, 0, 0], &format!("malformed {name}: extra bytes follow its contents"));
        refused(V5, &[first, 4, 0, 1, 0, 1], &format!("malformed {name}: it is truncated"));
    }
}

#[test]
fn subscriptions() {
    refused(V311, b"\x82\x02\x00\x01", "protocol error in SUBSCRIBE: no topic filter");
    refused(V311, b"\xA2\x02\x00\x01", "protocol error in UNSUBSCRIBE: no topic filter");
    refused(V311, b"\x82\x06\x00\x00\x00\x01a\x00", "malformed SUBSCRIBE: packet identifier 0");
    refused(V311, b"\x82\x06\x00\x01\x00\x01a\x03", "malformed SUBSCRIBE: QoS 3");
    refused(V311, b"\x82\x06\x00\x01\x00\x01a\x04", "malformed SUBSCRIBE: reserved subscription options are set");
    refused(V5, b"\x82\x07\x00\x01\x00\x00\x01a\x40", "malformed SUBSCRIBE: reserved subscription options are set");
    refused(V5, b"\x82\x07\x00\x01\x00\x00\x01a\x30", "malformed SUBSCRIBE: retain handling 3");
    refused(V311, b"\x82\x05\x00\x01\x00\x01a", "malformed SUBSCRIBE: it is truncated");
    let shared = b"\x82\x10\x00\x01\x00\x00\x0A$share/g/a\x04";
    refused(V5, shared, "protocol error in SUBSCRIBE: No Local on a shared subscription");
    let misplaced = "SUBSCRIBE: the topic is not valid: # is only allowed at the end, alone or after a /";
    refused(V311, b"\x82\x07\x00\x01\x00\x02a#\x00", misplaced);
    refused(V311, b"\xA2\x04\x00\x01\x00\x00", "UNSUBSCRIBE: the topic is not valid: it is empty");
    refused(V311, b"\x90\x03\x00\x01\x03", "malformed SUBACK: an invalid return code");
    refused(V311, b"\xB0\x03\x00\x01\x00", "malformed UNSUBACK: extra bytes follow its contents");
}

#[test]
fn the_rest() {
    refused(V311, b"\xC0\x01\x00", "malformed PINGREQ: extra bytes follow its contents");
    refused(V5, b"\xD0\x01\x00", "malformed PINGRESP: extra bytes follow its contents");
    refused(V311, b"\xE0\x01\x00", "malformed DISCONNECT: extra bytes follow its contents");
    refused(V311, b"\xF0\x00", "protocol error in AUTH: it needs MQTT 5.0");
    refused(V5, b"\xE0\x02\x00\x01", "malformed DISCONNECT: it is truncated");
}

/// Everything that cannot be encoded says why and leaves the buffer as it was.
#[test]
fn what_is_not_to_be_sent() {
    let long = "x".repeat(65_536);
    let publish = |topic: &str, property: Option<Property>| {
        let message =
            Message { properties: property.into_iter().collect(), ..message(topic, b"", QoS::AtLeastOnce, false) };
        OwnedPacket::Publish(message, 1, false)
    };
    let connect = |change: &dyn Fn(&mut Connect)| {
        let mut connect = super::connect(V311);
        change(&mut connect);
        OwnedPacket::Other(Packet::Connect(Box::new(connect)))
    };
    let subscribe = |filter: &str, no_local| {
        let filter = SubscribeFilter { filter: filter.into(), no_local, ..SubscribeFilter::default() };
        OwnedPacket::Other(Packet::Subscribe(Subscribe {
            packet_identifier: 1,
            filters: vec![filter],
            ..Subscribe::default()
        }))
    };
    let expiry = property(PropertyName::SessionExpiryInterval, PropertyValue::FourByte(1));
    let topic = |packet, error| WireError::Topic { packet, error };
    let cases: Vec<(OwnedPacket, WireError)> = vec![
        (publish("", None), topic("PUBLISH", TopicError::Empty)),
        (publish("a/#", None), topic("PUBLISH", TopicError::WildcardInName)),
        (publish(&long, None), topic("PUBLISH", TopicError::TooLong)),
        (publish("a\0", None), topic("PUBLISH", TopicError::Nul)),
        (
            publish("a", Some(expiry)),
            WireError::Property {
                packet: "PUBLISH",
                error: PropertyError::NotAllowed(PropertyName::SessionExpiryInterval),
            },
        ),
        (
            publish("a", Some(Property::user("k", long.clone()))),
            WireError::TooLong { what: "user-property", length: 65_536 },
        ),
        (
            publish("a", Some(Property::user("k\0", ""))),
            WireError::Malformed { packet: "PUBLISH", what: "a string contains a NUL character" },
        ),
        (connect(&|it| it.client_id = long.clone()), WireError::TooLong { what: "the client id", length: 65_536 }),
        (
            connect(&|it| it.user_name = Some("\0".into())),
            WireError::Malformed { packet: "CONNECT", what: "a string contains a NUL character" },
        ),
        (
            connect(&|it| it.password = Some(Secret::new("p"))),
            WireError::Protocol { packet: "CONNECT", what: "a password without a user name needs MQTT 5.0" },
        ),
        (
            connect(&|it| it.will = Some(message("w/+", b"", QoS::AtMostOnce, false))),
            topic("CONNECT", TopicError::WildcardInName),
        ),
        (
            connect(&|it| {
                it.will = Some(Message { topic: "w".into(), payload: vec![0; 65_536].into(), ..Message::default() });
            }),
            WireError::TooLong { what: "the will payload", length: 65_536 },
        ),
        (subscribe("a#", false), topic("SUBSCRIBE", TopicError::MisplacedMultiLevel)),
        (subscribe("$share/g", false), topic("SUBSCRIBE", TopicError::BadShare)),
        (
            subscribe("$share/g/a", true),
            WireError::Protocol { packet: "SUBSCRIBE", what: "No Local on a shared subscription" },
        ),
        (
            OwnedPacket::Other(Packet::Subscribe(Subscribe::default())),
            WireError::Protocol { packet: "SUBSCRIBE", what: "no topic filter" },
        ),
        (
            OwnedPacket::Other(Packet::Unsubscribe(Unsubscribe::default())),
            WireError::Protocol { packet: "UNSUBSCRIBE", what: "no topic filter" },
        ),
    ];
    for (packet, error) in cases {
        let mut out = b"before".to_vec();
        assert_eq!(packet.packet().encode(V5, &mut out), Err(error));
        assert_eq!(out, b"before");
    }
    let mut out = b"before".to_vec();
    assert_eq!(
        Packet::Auth(Auth::default()).encode(V311, &mut out),
        Err(WireError::Protocol { packet: "AUTH", what: "it needs MQTT 5.0" })
    );
    assert_eq!(out, b"before");
}

#[test]
fn a_publish_above_the_largest_size_is_refused() {
    let payload = vec![0; MAX_REMAINING_LENGTH - 3 + 1];
    let message = Message { topic: "t".into(), payload: payload.into(), ..Message::default() };
    let mut out = Vec::new();
    let error = Publish::of(&message, 0, false).encode(V311, &mut out).unwrap_err();
    assert_eq!(error, WireError::TooLarge { size: MAX_PACKET_SIZE + 1, limit: MAX_PACKET_SIZE });
    assert_eq!((out.len(), out.capacity()), (0, 0));
}
