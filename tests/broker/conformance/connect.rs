//! CONNECT and CONNACK (§3.1, §3.2).

use super::*;
use mqtools::mqtt::wire::Publish;

/// Sends the bytes on a new connection, and returns all that comes until its end.
fn answer(broker: &Broker, bytes: &[u8]) -> Vec<u8> {
    let mut client = broker.open(V311);
    client.send_bytes(bytes);
    client.read_to_end()
}

#[test]
fn every_version_is_let_in() {
    let broker = Broker::any();
    for version in VERSIONS {
        let (mut client, connack) = broker.accept(&broker.hello(version, "hello"));
        assert!(!connack.session_present, "{version:?}: {connack:?}");
        client.expect_nothing();
    }
}

#[test]
fn an_unknown_level_is_refused_with_1_in_the_form_that_it_can_read() {
    let broker = Broker::any();
    let v3 = b"\x10\x0d\x00\x04MQTT\x02\x02\x00\x3c\x00\x01a";
    assert_eq!(answer(&broker, v3), [0x20, 2, 0, 1], "3.1.1 §3.1.2.2");
    if broker.is_ours() {
        // A later version is taken to read what 5.0 can: Unsupported Protocol Version.
        let v6 = b"\x10\x0e\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x01a";
        assert_eq!(answer(&broker, v6), [0x20, 3, 0, 0x84, 0]);
        // 0x84 is how the bridge of a mosquitto asks with `try_private`: 3.1.1 with a bit that marks it.
        let bridge = b"\x10\x0d\x00\x04MQTT\x84\x02\x00\x3c\x00\x01a";
        let mut client = broker.open(V311);
        client.send_bytes(bridge);
        assert_eq!(client.read_exactly(4), [0x20, 2, 0, 0]);
    }
}

#[test]
fn the_first_packet_must_be_connect() {
    let broker = Broker::any();
    let packets: [&[u8]; 7] = [
        b"\xc0\x00",
        b"\x82\x06\x00\x01\x00\x01a\x00",
        b"\x30\x04\x00\x01ab",
        b"\xe0\x00",
        b"\x20\x02\x00\x00",
        b"\x40\x02\x00\x01",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ];
    for packet in packets {
        assert_eq!(answer(&broker, packet), b"", "{packet:02x?} (MQTT-3.1.0-1)");
    }
}

#[test]
fn a_second_connect_ends_the_connection() {
    let broker = Broker::any();
    for version in VERSIONS {
        let hello = broker.hello(version, "twice");
        let (mut client, _) = broker.accept(&hello);
        client.send(&Packet::Connect(Box::new(hello)));
        assert_ne!(client.expect_end(), Some(ReasonCode::SUCCESS), "MQTT-3.1.0-2");
    }
}

#[test]
fn a_connect_that_breaks_the_rules_is_not_let_in() {
    let broker = Broker::any();
    let cases: [(&str, &[u8]); 9] = [
        ("another protocol name", b"\x10\x0d\x00\x04MQTQ\x04\x02\x00\x3c\x00\x01a"),
        ("the reserved flag (MQTT-3.1.2-3)", b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x3c\x00\x01a"),
        ("will QoS 3 (MQTT-3.1.2-14)", b"\x10\x13\x00\x04MQTT\x04\x1e\x00\x3c\x00\x01a\x00\x01t\x00\x01m"),
        ("a will QoS without a will (MQTT-3.1.2-13)", b"\x10\x0d\x00\x04MQTT\x04\x0a\x00\x3c\x00\x01a"),
        ("a retained will without a will (MQTT-3.1.2-15)", b"\x10\x0d\x00\x04MQTT\x04\x22\x00\x3c\x00\x01a"),
        ("a password without a user (3.1.1)", b"\x10\x10\x00\x04MQTT\x04\x42\x00\x3c\x00\x01a\x00\x01p"),
        ("a client id with a null (MQTT-1.5.4-2)", b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01\x00"),
        ("a client id that is no UTF-8 (MQTT-1.5.4-1)", b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01\xff"),
        ("a surrogate in the client id", b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03\xed\xa0\x80"),
    ];
    for (what, packet) in cases {
        let answer = answer(&broker, packet);
        assert!(answer.is_empty() || answer[..3] == [0x20, 2, 0] && answer[3] != 0, "{what}: {answer:02x?}");
    }
    let truncated = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x05a";
    assert_eq!(answer(&broker, &truncated[..]), b"");
}

#[test]
fn an_empty_client_id_is_filled_in_for_a_clean_session_only() {
    let broker = Broker::any();
    let empty = |version, clean_start| Connect { clean_start, ..raw_client::connect(version, "") };
    assert!(!broker.try_connect(&empty(V311, true)).1.reason.is_error(), "3.1.1, MQTT-3.1.3-6");
    let (mut client, connack) = broker.try_connect(&empty(V311, false));
    assert_eq!(connack.reason.to_v3_connack(), 2, "3.1.1, MQTT-3.1.3-8");
    assert_eq!(client.expect_end(), None);
    let given = |connack: &Connack| connack.properties.text(PropertyName::AssignedClientIdentifier).map(str::to_owned);
    let (_one, first) = broker.accept(&empty(V5, true));
    let (_other, second) = broker.accept(&empty(V5, false));
    assert!(given(&first).is_some_and(|id| !id.is_empty()) && given(&first) != given(&second), "MQTT-3.1.3-7");
}

#[test]
fn a_second_client_of_the_same_id_takes_over() {
    let broker = Broker::any();
    for version in VERSIONS {
        let mut first = broker.connect(version, "same");
        let mut second = broker.connect(version, "same");
        let reason = first.expect_end();
        if version.is_v5() {
            assert_eq!(reason, Some(ReasonCode(0x8E)), "Session taken over (MQTT-3.1.4-3)");
        }
        second.expect_nothing();
    }
}

/// Some clients do not wait for CONNACK (§3.1.4): everything is answered, in its order.
#[test]
fn packets_may_follow_connect_before_connack() {
    let broker = Broker::any();
    for version in VERSIONS {
        let topic = broker.topic("early");
        let mut client = broker.open(version);
        let mut bytes = Vec::new();
        let sent = message(&topic, "x", QoS::AtMostOnce);
        let packets = [
            Packet::Connect(Box::new(broker.hello(version, "early"))),
            Packet::Subscribe(Subscribe {
                packet_identifier: 1,
                filters: vec![filter(&topic, QoS::AtMostOnce)],
                ..Subscribe::default()
            }),
            Packet::Publish(Publish::of(&sent, 0, false)),
            Packet::Pingreq,
        ];
        packets.iter().for_each(|packet| packet.encode(version, &mut bytes).unwrap());
        client.send_bytes(&bytes);
        let types: Vec<u8> = (0..4).map(|_| client.receive_bytes().unwrap()[0] & 0xF0).collect();
        assert_eq!(types, [0x20, 0x90, 0x30, 0xD0], "{version:?}");
    }
}

#[test]
fn a_connect_may_come_byte_by_byte() {
    let broker = Broker::any();
    let mut client = broker.open(V5);
    let mut bytes = Vec::new();
    Packet::Connect(Box::new(broker.durable(V5, "pieces"))).encode(V5, &mut bytes).unwrap();
    bytes.iter().for_each(|byte| client.send_bytes(&[*byte]));
    let connack = client.receive_bytes().unwrap();
    assert!(matches!(client.decode(&connack), Packet::Connack(Connack { reason: ReasonCode::SUCCESS, .. })));
    client.expect_nothing();
}

#[test]
fn an_authentication_method_that_is_not_known_is_refused() {
    let broker = Broker::any();
    let mut hello = broker.hello(V5, "method");
    hello.properties.push(number(PropertyName::AuthenticationMethod, PropertyValue::Utf8("SCRAM-SHA-1".into())));
    let (mut client, connack) = broker.try_connect(&hello);
    assert_eq!(connack.reason, ReasonCode(0x8C), "MQTT-4.12.0-1");
    assert_eq!(client.read_to_end(), b"");
}

#[test]
fn a_property_may_not_stand_twice_or_have_a_forbidden_value() {
    let broker = Broker::any();
    let connect = |properties: &[u8]| {
        let mut body = b"\x00\x04MQTT\x05\x02\x00\x3c".to_vec();
        body.push(properties.len() as u8);
        body.extend(properties);
        body.extend(b"\x00\x01a");
        [&[0x10, body.len() as u8], &body[..]].concat()
    };
    let cases: [(&str, &[u8]); 5] = [
        ("Session Expiry Interval twice", &[0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1]),
        ("Receive Maximum 0", &[0x21, 0, 0]),
        ("Maximum Packet Size 0", &[0x27, 0, 0, 0, 0]),
        ("Request Response Information 2", &[0x19, 2]),
        ("a property of PUBLISH", &[0x23, 0, 1]),
    ];
    for (what, properties) in cases {
        let answer = answer(&broker, &connect(properties));
        assert!(answer.is_empty() || answer[0] == 0x20 && answer[3] >= 0x80, "{what}: {answer:02x?}");
    }
    assert_eq!(broker.try_connect(&broker.hello(V5, "good")).1.reason, ReasonCode::SUCCESS);
}
