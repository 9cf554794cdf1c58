//! What is logged, in the order of mosquitto's `-v`.

use super::super::{Event, Log};
use super::*;

impl Log for Notes {
    fn event(&mut self, event: &Event<'_>) {
        self.0.lock().unwrap().push(match event {
            Event::Connected { client_id, .. } => format!("{client_id} connected"),
            Event::AlreadyConnected { client_id } => format!("{client_id} already connected"),
            Event::Received { client, packet } => format!("{client} > {packet:?}"),
            Event::Sending { client, packet } => format!("{client} < {packet:?}"),
            Event::ProtocolError { client_id, what, .. } => format!("ProtocolError {client_id:?} {what}"),
            Event::Disconnected { client_id, cause, .. } => format!("{client_id:?} gone: {cause:?}"),
            other => format!("{other:?}"),
        });
    }
}

#[test]
fn a_qos_2_message_in_mosquitto_s_order() {
    let notes = Notes::default();
    let mut desk = Desk::new();
    let subscriber = desk.connect(V5, "S1");
    desk.subscribed(subscriber, "test", QOS[2]);
    let publisher = desk.connect(V5, "P1");
    desk.core.set_log(Some(Box::new(notes.clone())));
    desk.say(publisher, "test", "hi", QOS[2], false);
    desk.acknowledge(subscriber, AckKind::Pubrec, 1);
    desk.acknowledge(subscriber, AckKind::Pubcomp, 1);
    let publish = |identifier| {
        format!(
            "Publish {{ dup: false, qos: ExactlyOnce, retain: false, packet_identifier: {identifier}, topic: \"test\", \
             size: 2 }}"
        )
    };
    assert_eq!(
        notes.take(),
        [
            format!("P1 > {}", publish(9)),
            "P1 < Pubrec(9, 0)".into(),
            "P1 > Pubrel(9)".into(),
            format!("S1 < {}", publish(1)),
            "P1 < Pubcomp(9, 0)".into(),
            "S1 > Pubrec(1, 0)".into(),
            "S1 < Pubrel(1)".into(),
            "S1 > Pubcomp(1, 0)".into(),
        ]
    );
    let second = desk.connect(V5, "S1");
    desk.leave(second);
    assert_eq!(
        notes.take(),
        [
            "S1 already connected",
            "S1 < Disconnect(142)",
            "Some(\"S1\") gone: TakenOver",
            "S1 connected",
            "S1 < Connack { session_present: false, code: 0 }",
            "S1 > Disconnect(0)",
            "Some(\"S1\") gone: Disconnect",
        ]
    );
}

/// One connection and what it sends; what is logged about it.
fn logged(bytes: &[u8]) -> Vec<String> {
    let notes = Notes::default();
    let mut desk = Desk::new();
    desk.core.set_log(Some(Box::new(notes.clone())));
    let id = desk.open();
    desk.core.handle_input(id, bytes, desk.now);
    notes.take()
}

#[test]
fn what_a_client_did_wrong_stands_before_the_end_of_its_connection() {
    let gone = |cause: &str| format!("None gone: {cause}");
    let error = |what: &str| format!("ProtocolError None {what}");
    assert_eq!(
        logged(b"GET / HTTP/1.1\r\n"),
        [error("First packet not CONNECT (47)"), gone("Protocol")],
        "as mosquitto 2.1"
    );
    let tls = logged(b"\x16\x03\x01\x02\x00");
    assert!(tls[0].starts_with("TlsWithoutTls") && tls.last() == Some(&gone("Malformed")), "{tls:?}");
    let level = b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x01x";
    let refused = "127.0.0.1 < Connack { session_present: false, code: 132 }".to_owned();
    let expected = [error("CONNECT with invalid protocol version (6)"), refused, gone("Protocol")];
    assert_eq!(logged(level), expected);
    let no_id = b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00";
    let refused = "127.0.0.1 < Connack { session_present: false, code: 2 }".to_owned();
    let expected = [error("CONNECT with zero length clientid when forbidden"), refused, gone("Protocol")];
    assert_eq!(logged(no_id), expected);

    let mut connect = Vec::new();
    Packet::Connect(Box::new(hello(V5, "S1"))).encode(V5, &mut connect).unwrap();
    connect.extend_from_slice(b"\x38\x05\x00\x01a\x00x");
    let lines = logged(&connect);
    let expected = ["ProtocolError Some(\"S1\") ", "S1 < Disconnect(129)", "Some(\"S1\") gone: Malformed"];
    let last = &lines[lines.len() - 3..];
    assert!(last.iter().zip(expected).all(|(line, start)| line.starts_with(start)), "{last:?}");
}

/// The bytes of every packet are those on the wire, behind the event that names it.
#[test]
fn every_byte_is_logged_where_the_log_wants_them() {
    struct Bytes(Notes);
    impl Log for Bytes {
        fn event(&mut self, event: &Event<'_>) {
            let text = match event {
                Event::Bytes { sending, packet, .. } => format!("{} {packet:02x?}", if *sending { "<" } else { ">" }),
                Event::Received { .. } | Event::Sending { .. } => "packet".to_owned(),
                _ => return,
            };
            self.0.0.lock().unwrap().push(text);
        }

        fn wants_bytes(&self) -> bool {
            true
        }
    }
    let notes = Notes::default();
    let mut desk = Desk::new();
    desk.core.set_log(Some(Box::new(Bytes(notes.clone()))));
    let mut expected = Vec::new();
    let mut exchange = |desk: &mut Desk, client: Client, packet: &Packet<'_>, names_it: bool| {
        let mut sent = Vec::new();
        packet.encode(client.version, &mut sent).unwrap();
        desk.core.handle_input(client.id, &sent, desk.now);
        let got = desk.bytes(client);
        let named = if names_it { vec!["packet".to_owned()] } else { vec![] };
        expected.extend(named);
        expected.push(format!("> {sent:02x?}"));
        let mut rest = &got[..];
        while let Scan::Frame(frame) = scan(rest, usize::MAX).unwrap() {
            expected.push("packet".to_owned());
            expected.push(format!("< {:02x?}", &rest[..frame.size]));
            rest = &rest[frame.size..];
        }
    };
    for version in VERSIONS {
        let client = Client { id: desk.open(), version };
        let mut connect = hello(version, "S1");
        if version.is_v5() {
            connect.properties.push(property(PropertyName::TopicAliasMaximum, PropertyValue::TwoByte(2)));
        }
        exchange(&mut desk, client, &Packet::Connect(Box::new(connect)), false);
        exchange(&mut desk, client, &Packet::Pingreq, true);
        let large = message("a", &"x".repeat(20_000), QOS[0]);
        exchange(&mut desk, client, &Packet::Publish(Publish::of(&large, 0, false)), true);
        desk.cut(client);
    }
    assert_eq!(notes.take(), expected);

    // With a subscriber: the large payload is shared, and a topic alias is used the second time.
    let mut connect = hello(V5, "S1");
    connect.properties.push(property(PropertyName::TopicAliasMaximum, PropertyValue::TwoByte(2)));
    let (client, ..) = desk.connect_with(&connect);
    desk.subscribed(client, "a", QOS[0]);
    for size in [5, 20_000, 5] {
        notes.take();
        desk.publish(client, &message("a", &"x".repeat(size), QOS[0]), 0);
        let got = desk.bytes(client);
        assert_eq!(notes.take().last(), Some(&format!("< {got:02x?}")));
    }
}
