//! CONNECT, CONNACK, PINGREQ, DISCONNECT, Keep Alive (§3.1, §3.2, §3.12, §3.14).

use super::*;

fn raw(desk: &mut Desk, bytes: &[u8]) -> (Vec<u8>, bool) {
    let client = Client { id: desk.open(), version: V311 };
    desk.core.handle_input(client.id, bytes, desk.now);
    (desk.bytes(client), desk.core.is_closing(client.id))
}

#[test]
fn all_three_versions_are_let_in() {
    let mut desk = Desk::new();
    for version in VERSIONS {
        for id in ["a", "a/b", "ü#+$", &"x".repeat(60_000)] {
            let (_, present, rest) = desk.connect_with(&hello(version, id));
            assert_eq!((present, rest), (false, vec![]));
        }
    }
}

#[test]
fn an_unknown_level_is_refused_in_its_own_form() {
    let mut desk = Desk::new();
    let connect = |level: u8| [&b"\x10\x0d\x00\x04MQTT"[..], &[level, 2, 0, 60, 0, 1, b'x']].concat();
    assert_eq!(raw(&mut desk, &connect(2)), (vec![0x20, 2, 0, 1], true));
    assert_eq!(raw(&mut desk, &connect(3)), (vec![0x20, 2, 0, 1], true));
    assert_eq!(raw(&mut desk, &connect(6)), (vec![0x20, 3, 0, 0x84, 0], true));
    assert_eq!(raw(&mut desk, &connect(4)), (vec![0x20, 2, 0, 0], false));
    // The bridge of a mosquitto.
    assert_eq!(raw(&mut desk, &connect(0x84)), (vec![0x20, 2, 0, 0], false));
}

#[test]
fn what_is_no_connect_ends_the_connection_without_a_word() {
    let mut desk = Desk::new();
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xC0, 0],
        &[0x30, 3, 0, 1, b'a'],
        &[0x10, 0xff, 0xff, 0xff, 0xff, 0xff],
        b"\x10\x0d\x00\x04mqtt\x04\x02\x00\x3c\x00\x01x",
        b"\x11\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x",
        // A reserved flag, a password without a name, will flags without a will.
        b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x3c\x00\x01x",
        b"\x10\x10\x00\x04MQTT\x04\x42\x00\x3c\x00\x01x\x00\x01p",
        b"\x10\x0d\x00\x04MQTT\x04\x12\x00\x3c\x00\x01x",
        // Something behind it.
        b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x01xy",
    ] {
        assert_eq!(raw(&mut desk, bytes), (vec![], true), "{bytes:?}");
    }
}

#[test]
fn a_client_of_5_0_gets_the_reason_why_its_connect_is_refused() {
    let mut desk = Desk::new();
    let refused = |desk: &mut Desk, connect: &Connect| {
        let (client, got) = desk.try_connect(connect);
        assert!(desk.core.is_closing(client.id));
        let [Got::Connack(connack)] = &got[..] else { panic!("{got:?}") };
        connack.reason.0
    };
    let with = |name, value| {
        let mut connect = hello(V5, "x");
        connect.properties.push(property(name, value));
        connect
    };
    let method = with(PropertyName::AuthenticationMethod, PropertyValue::Utf8("SCRAM".into()));
    assert_eq!(refused(&mut desk, &method), 0x8C);
    // Receive Maximum 0: a protocol error (§3.1.2.11.3).
    let zero = b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x03\x21\x00\x00\x00\x01x";
    assert_eq!(raw(&mut desk, zero), (vec![0x20, 3, 0, 0x82, 0], true));
    let mut closed = Desk::with(|settings| {
        settings.retain_available = false;
        settings.default_listener.max_qos = QoS::AtLeastOnce;
        settings.allow_zero_length_clientid = false;
    });
    let will = |retain, qos| Connect { will: Some(Message { retain, ..message("a", "b", qos) }), ..hello(V5, "x") };
    assert_eq!(refused(&mut closed, &will(true, QOS[0])), 0x9A);
    assert_eq!(refused(&mut closed, &will(false, QOS[2])), 0x9B);
    assert_eq!(refused(&mut closed, &hello(V5, "")), 0x85);
    let mut full = Desk::with(|settings| settings.global_max_clients = 1);
    full.connect(V5, "one");
    assert_eq!(refused(&mut full, &hello(V5, "two")), 0x89);
    full.connect(V5, "one");
}

#[test]
fn an_empty_client_id_is_filled_in_where_that_is_allowed() {
    let mut desk = Desk::new();
    let (_, got) = desk.try_connect(&hello(V5, ""));
    let [Got::Connack(connack)] = &got[..] else { panic!("{got:?}") };
    let assigned = connack.properties.text(PropertyName::AssignedClientIdentifier).unwrap();
    assert!(assigned.starts_with("auto-") && assigned.len() == 41, "{assigned}");
    desk.connect(V311, "");
    for connect in [hello(V31, ""), durable(V311, "")] {
        let (_, got) = desk.try_connect(&connect);
        assert!(matches!(&got[..], [Got::Connack(connack)] if connack.reason.0 == 0x85), "{got:?}");
    }
}

#[test]
fn connack_carries_what_mosquitto_s_does_in_its_order() {
    let mut desk = Desk::with(|settings| settings.max_keepalive = 100);
    let (_, got) = desk.try_connect(&Connect { keep_alive: 101, ..hello(V5, "x") });
    let [Got::Connack(connack)] = &got[..] else { panic!("{got:?}") };
    let expected: Properties = [
        property(PropertyName::ServerKeepAlive, PropertyValue::TwoByte(100)),
        property(PropertyName::TopicAliasMaximum, PropertyValue::TwoByte(10)),
        property(PropertyName::MaximumPacketSize, PropertyValue::FourByte(2_000_000)),
        property(PropertyName::ReceiveMaximum, PropertyValue::TwoByte(20)),
    ]
    .into_iter()
    .collect();
    assert_eq!(connack.properties, expected);
    let (_, got) = desk.try_connect(&Connect { keep_alive: 101, ..hello(V311, "x") });
    assert!(matches!(&got[..], [Got::Connack(connack)] if connack.reason.0 == 0x85), "{got:?}");
}

#[test]
fn a_packet_may_come_in_any_pieces() {
    for size in [1, 2, 3, 7, 100] {
        let mut desk = Desk::new();
        let client = Client { id: desk.open(), version: V5 };
        let mut bytes = Vec::new();
        Packet::Connect(Box::new(hello(V5, "x"))).encode(V5, &mut bytes).unwrap();
        let filter = SubscribeFilter { filter: "a".into(), ..SubscribeFilter::default() };
        let subscribe = Subscribe { packet_identifier: 1, filters: vec![filter], ..Subscribe::default() };
        Packet::Subscribe(subscribe).encode(V5, &mut bytes).unwrap();
        let long = "x".repeat(10_000);
        for text in ["one", &long] {
            Packet::Publish(Publish::of(&message("a", text, QOS[0]), 0, false)).encode(V5, &mut bytes).unwrap();
        }
        for piece in bytes.chunks(size) {
            desk.core.handle_input(client.id, piece, desk.now);
        }
        let got = desk.take(client);
        assert!(matches!(got[0], Got::Connack(_)) && matches!(got[1], Got::Suback(_)), "{got:?}");
        assert_eq!(got.len(), 4);
    }
}

#[test]
fn a_second_connect_and_packets_of_a_server_are_protocol_errors() {
    for version in VERSIONS {
        for bytes in [&[0x20, 2, 0, 0][..], &[0xD0, 0], &[0x90, 3, 0, 1, 0], &[0xF0, 0]] {
            let mut desk = Desk::new();
            let client = desk.connect(version, "x");
            desk.core.handle_input(client.id, bytes, desk.now);
            let expected = if version.is_v5() { vec![Got::Disconnect(ReasonCode::PROTOCOL_ERROR)] } else { vec![] };
            let got = desk.take(client);
            assert_eq!(got, expected, "{bytes:?}");
            assert!(desk.core.is_closing(client.id));
        }
        let mut desk = Desk::new();
        let client = desk.connect(version, "x");
        desk.send(client, &Packet::Connect(Box::new(hello(version, "x"))));
        assert!(desk.core.is_closing(client.id));
    }
}

#[test]
fn silence_ends_a_connection_after_one_and_a_half_times_the_keep_alive() {
    let mut desk = Desk::new();
    for version in VERSIONS {
        let (client, ..) = desk.connect_with(&Connect { keep_alive: 10, ..hello(version, "x") });
        for _ in 0..3 {
            desk.wait(14);
            desk.send(client, &Packet::Pingreq);
            assert_eq!(desk.take(client), [Got::Pingresp]);
        }
        desk.wait(14);
        assert!(!desk.core.is_closing(client.id));
        desk.wait(1);
        assert!(desk.core.is_closing(client.id));
        let expected = if version.is_v5() { vec![Got::Disconnect(ReasonCode(0x8D))] } else { vec![] };
        assert_eq!(desk.take(client), expected);
        desk.cut(client);
        let forever = desk.connect(version, "y");
        desk.wait(1_000_000);
        assert!(!desk.core.is_closing(forever.id));
    }
}

#[test]
fn connect_must_come_within_ten_seconds_and_384_kib() {
    let mut desk = Desk::new();
    let silent = desk.open();
    let slow = desk.open();
    desk.core.handle_input(slow, b"\x10\x0d\x00\x04MQ", desk.now);
    desk.wait(9);
    desk.core.handle_input(slow, b"TT", desk.now);
    assert!(!desk.core.is_closing(silent) && !desk.core.is_closing(slow));
    desk.wait(1);
    assert!(desk.core.is_closing(silent) && desk.core.is_closing(slow));
    // The size that is announced is enough.
    assert_eq!(raw(&mut desk, &[0x10, 0xFC, 0xFF, 0x17]), (vec![], false));
    assert_eq!(raw(&mut desk, &[0x10, 0xFD, 0xFF, 0x17]), (vec![], true));
}

#[test]
fn a_second_client_of_the_name_takes_over() {
    for version in VERSIONS {
        let mut desk = Desk::new();
        let first = desk.connect(version, "same");
        desk.subscribed(first, "a", QOS[1]);
        let (second, present, _) = desk.connect_with(&hello(version, "same"));
        assert!(!present && desk.core.is_closing(first.id) && !desk.core.is_closing(second.id));
        let expected = if version.is_v5() { vec![Got::Disconnect(ReasonCode(0x8E))] } else { vec![] };
        assert_eq!(desk.take(first), expected);
        desk.cut(first);
        desk.say(second, "a", "nobody", QOS[0], false);
        assert_eq!(desk.take(second), []);
    }
}

#[test]
fn nobody_is_let_in_where_anonymous_clients_are_not() {
    let settings = Settings::default();
    let now = Instant::now();
    let mut desk = Desk { core: Core::new(settings, Box::new(OpenAccess { allow_anonymous: false }), now), now };
    for (version, code) in [(V31, 5), (V311, 5), (V5, 0x87)] {
        let (client, _) = desk.try_connect(&hello(version, "x"));
        assert!(desk.core.is_closing(client.id));
        let client = Client { id: desk.open(), version };
        desk.send(client, &Packet::Connect(Box::new(hello(version, "x"))));
        assert_eq!(desk.bytes(client)[3], code);
    }
}

#[test]
fn the_broker_sends_disconnect_to_clients_of_5_0_only() {
    let mut desk = Desk::new();
    let clients = VERSIONS.map(|version| desk.connect(version, &format!("{version}")));
    desk.core.shut_down(desk.now);
    let got = clients.map(|client| desk.take(client));
    assert_eq!(got, [vec![], vec![], vec![Got::Disconnect(ReasonCode(0x8B))]]);
}

/// Decides on another thread: by the user name, since the hash takes too long.
struct Slowly;

impl super::super::Access for Slowly {
    fn connect(&mut self, connect: &Connect, _: &Arc<str>, _: &Peer) -> super::super::Decision {
        use super::super::Decision;
        let accepts = connect.user_name.is_some();
        Decision::Check(Box::new(move || match accepts {
            true => Decision::Accept { user_name: None },
            false => Decision::Refuse(ReasonCode(0x86)),
        }))
    }

    fn allows(&mut self, _: &super::super::Identity, _: super::super::Action, _: &str) -> bool {
        true
    }
}

#[test]
fn a_password_may_be_looked_at_while_others_are_served() {
    let now = Instant::now();
    let mut desk = Desk { core: Core::new(Settings::default(), Box::new(Slowly), now), now };
    for (user_name, code) in [(Some("ann".to_owned()), 0), (None, 4)] {
        let client = Client { id: desk.open(), version: V311 };
        desk.send(client, &Packet::Connect(Box::new(Connect { user_name, ..hello(V311, "x") })));
        assert!(!desk.core.may_read(client.id));
        // What came in the same read waits.
        desk.send(client, &Packet::Pingreq);
        assert!(desk.bytes(client).is_empty());
        let check = desk.core.take_checks().pop().unwrap();
        desk.core.finish_check(check.run().unwrap(), desk.now);
        let bytes = desk.bytes(client);
        assert_eq!(bytes[..4], [0x20, 2, 0, code]);
        assert_eq!(bytes[4..], if code == 0 { vec![0xD0, 0] } else { vec![] });
        let mut unblocked = Vec::new();
        desk.core.take_unblocked(&mut unblocked);
        assert_eq!(unblocked.len(), usize::from(code == 0));
    }
    let client = Client { id: desk.open(), version: V311 };
    desk.send(client, &Packet::Connect(Box::new(hello(V311, "x"))));
    desk.wait(10);
    assert!(desk.core.is_closing(client.id));
    // Nobody waits any more: the work is not done, and others get their turn.
    assert!(desk.core.take_checks().pop().unwrap().run().is_none());
    desk.core.handle_closed(client.id, Cause::Closed, desk.now);
    // A check that ends too late is nobody's: the connection that has the number now has not even sent a CONNECT.
    let client = Client { id: desk.open(), version: V311 };
    desk.send(client, &Packet::Connect(Box::new(hello(V311, "x"))));
    let late = desk.core.take_checks().pop().unwrap().run().unwrap();
    desk.core.handle_closed(client.id, Cause::Closed, desk.now);
    let next = Client { id: desk.open(), version: V311 };
    assert_eq!(next.id, client.id);
    desk.send(next, &Packet::Connect(Box::new(hello(V311, "y"))));
    desk.core.finish_check(late, desk.now);
    assert!(desk.bytes(next).is_empty() && !desk.core.is_closing(next.id));
}
