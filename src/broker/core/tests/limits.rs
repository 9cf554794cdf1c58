//! What is bounded, and what happens at the bound.

use super::super::ListenerSettings;
use super::super::connection::Connection;
use super::*;

#[test]
fn a_client_gets_no_more_than_its_receive_maximum_and_the_broker_s_window() {
    for (maximum, expected) in [(5, 5), (100, 20)] {
        let mut desk = Desk::new();
        let mut connect = hello(V5, "client");
        connect.properties.push(property(PropertyName::ReceiveMaximum, PropertyValue::TwoByte(maximum)));
        let (client, ..) = desk.connect_with(&connect);
        desk.subscribed(client, "a", QOS[2]);
        let publisher = desk.connect(V311, "publisher");
        for number in 0..60 {
            desk.say(publisher, "a", &number.to_string(), QOS[1], false);
        }
        assert_eq!(desk.messages(client).len(), expected);
        // Out of order: the window counts, not the oldest.
        desk.acknowledge(client, AckKind::Puback, 3);
        assert_eq!(texts(&desk.messages(client)), [expected.to_string()]);
    }
}

#[test]
fn a_client_of_5_0_that_exceeds_receive_maximum_gets_a_reason() {
    let mut desk = Desk::new();
    for (version, closes) in [(V5, true), (V311, false)] {
        let client = desk.connect(version, "client");
        for identifier in 1..=21 {
            desk.publish(client, &message("a", "x", QOS[2]), identifier);
        }
        let got = desk.take(client);
        assert_eq!(got.last() == Some(&Got::Disconnect(ReasonCode(0x93))), closes);
    }
}

#[test]
fn a_queue_has_a_limit_in_messages_and_in_bytes_and_drops_are_counted() {
    for (messages, bytes, expected) in [(10, 0, 10), (0, 55, 5), (3, 1_000, 3)] {
        let mut desk = Desk::with(|settings| {
            settings.max_queued_messages = messages;
            settings.max_queued_bytes = bytes;
        });
        let (client, ..) = desk.durable(V5, "away");
        desk.subscribed(client, "a", QOS[1]);
        desk.leave(client);
        let publisher = desk.connect(V5, "publisher");
        for _ in 0..20 {
            desk.say(publisher, "a", "0123456789", QOS[1], false);
        }
        assert_eq!(desk.core.statistics().publishes_dropped, 20 - expected as u64);
        let (_, _, got) = desk.durable(V5, "away");
        assert_eq!(got.len(), expected);
    }
}

#[test]
fn qos_0_waits_for_who_is_away_only_where_it_is_asked_for() {
    for asked in [false, true] {
        let mut desk = Desk::with(|settings| settings.queue_qos0_messages = asked);
        let (client, ..) = desk.durable(V311, "away");
        desk.subscribed(client, "a", QOS[1]);
        desk.leave(client);
        let publisher = desk.connect(V5, "publisher");
        desk.say(publisher, "a", "x", QOS[0], false);
        assert_eq!(desk.durable(V311, "away").2.len(), usize::from(asked));
    }
}

#[test]
fn a_reader_that_does_not_read_costs_its_limit() {
    let mut desk = Desk::with(|settings| settings.max_output_bytes = 100_000);
    let client = desk.connect(V311, "slow");
    desk.subscribed(client, "a", QOS[0]);
    let publisher = desk.connect(V311, "publisher");
    let text = "x".repeat(1_000);
    for _ in 0..10_000 {
        desk.publish(publisher, &message("a", &text, QOS[0]), 0);
    }
    assert!(desk.core.output_len(client.id) < 102_000);
    let delivered = desk.messages(client).len();
    assert_eq!(desk.core.statistics().publishes_dropped, 10_000 - delivered as u64);
    desk.say(publisher, "a", "again", QOS[0], false);
    assert_eq!(texts(&desk.messages(client)), ["again"]);
}

#[test]
fn with_back_pressure_nothing_is_dropped_and_publishers_wait() {
    let mut desk = Desk::with(|settings| {
        *settings = Settings { backpressure_bytes: 50_000, ..Settings::raised() };
    });
    let client = desk.connect(V311, "slow");
    desk.subscribed(client, "a", QOS[0]);
    let publisher = desk.connect(V311, "publisher");
    let text = "x".repeat(1_000);
    let mut sent = 0;
    while desk.core.may_read(publisher.id) {
        desk.publish(publisher, &message("a", &text, QOS[0]), 0);
        sent += 1;
    }
    assert_eq!(sent, 50);
    assert_eq!(desk.messages(client).len(), sent);
    let mut unblocked = Vec::new();
    desk.core.take_unblocked(&mut unblocked);
    assert_eq!(unblocked, [publisher.id]);
    assert!(desk.core.may_read(publisher.id));
    // A congested client that goes away holds nobody up.
    while desk.core.may_read(publisher.id) {
        desk.publish(publisher, &message("a", &text, QOS[0]), 0);
    }
    desk.cut(client);
    assert!(desk.core.may_read(publisher.id));
}

#[test]
fn packets_have_a_largest_size_both_ways() {
    let mut desk = Desk::with(|settings| settings.max_packet_size = 1_000);
    for version in [V311, V5] {
        let client = desk.connect(version, "client");
        desk.publish(client, &message("a", &"x".repeat(1_000), QOS[0]), 0);
        let expected = if version.is_v5() { vec![Got::Disconnect(ReasonCode::PACKET_TOO_LARGE)] } else { vec![] };
        assert_eq!(desk.take(client), expected);
        assert!(desk.core.is_closing(client.id));
    }
    let mut connect = hello(V5, "small");
    connect.properties.push(property(PropertyName::MaximumPacketSize, PropertyValue::FourByte(50)));
    let (client, ..) = desk.connect_with(&connect);
    desk.take(client);
    desk.subscribed(client, "#", QOS[1]);
    let publisher = desk.connect(V5, "publisher");
    for (text, qos) in [("small", QOS[1]), (&"x".repeat(50)[..], QOS[0]), (&"y".repeat(50), QOS[1]), ("end", QOS[1])] {
        desk.say(publisher, "a", text, qos, false);
    }
    // What is too large is as if it had been delivered (MQTT-3.1.2-25).
    assert_eq!(texts(&desk.messages(client)), ["small", "end"]);
}

#[test]
fn a_payload_above_the_limit_is_refused_by_its_acknowledgement() {
    let mut desk = Desk::with(|settings| settings.message_size_limit = 10);
    let client = desk.connect(V5, "client");
    desk.publish(client, &message("a", "01234567890", QOS[1]), 1);
    assert_eq!(desk.take(client), [Got::Ack(AckKind::Puback, 1, ReasonCode::PACKET_TOO_LARGE)]);
}

#[test]
fn what_is_not_offered_is_refused() {
    let mut desk = Desk::with(|settings| {
        settings.default_listener.max_qos = QoS::AtLeastOnce;
        settings.retain_available = false;
    });
    let client = desk.connect(V5, "client");
    desk.publish(client, &message("a", "x", QOS[2]), 1);
    assert_eq!(desk.take(client), [Got::Disconnect(ReasonCode(0x9B))]);
    let client = desk.connect(V5, "client");
    desk.publish(client, &Message { retain: true, ..message("a", "x", QOS[0]) }, 0);
    assert_eq!(desk.take(client), [Got::Disconnect(ReasonCode(0x9A))]);
    let client = desk.connect(V5, "client");
    desk.subscribe(client, "a", QOS[2]);
    assert!(matches!(&desk.take(client)[..], [Got::Suback(suback)] if suback.reasons == [ReasonCode(1)]));
}

#[test]
fn topics_have_at_most_200_slashes_and_64_kib() {
    let mut desk = Desk::new();
    let client = desk.connect(V5, "client");
    let longest = "x".repeat(65_535);
    let deepest = vec!["x"; 201].join("/");
    for topic in [&longest, &deepest] {
        desk.subscribed(client, topic, QOS[0]);
        desk.publish(client, &message(topic, "x", QOS[0]), 0);
        assert_eq!(desk.messages(client).len(), 1);
    }
    let too_deep = vec![""; 202].join("/");
    desk.publish(client, &message(&too_deep, "x", QOS[0]), 0);
    assert!(desk.core.is_closing(client.id));
    let client = desk.connect(V311, "client");
    desk.subscribe(client, &too_deep, QOS[0]);
    assert!(desk.core.is_closing(client.id));
}

#[test]
fn a_packet_of_the_largest_size_there_is() {
    let mut desk = Desk::with(|settings| settings.max_packet_size = 0);
    let client = desk.connect(V311, "client");
    let payload = vec![b'x'; 268_435_455 - 3];
    let mut input = vec![0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, b'a'];
    input.extend_from_slice(&payload);
    assert_eq!(input.len(), 268_435_460);
    desk.subscribed(client, "a", QOS[0]);
    for piece in input.chunks(1 << 20) {
        desk.core.handle_input(client.id, piece, desk.now);
    }
    assert_eq!(desk.core.output_len(client.id), 268_435_460);
}

#[test]
fn deadlines_of_what_is_gone_are_swept_out() {
    let mut desk = Desk::new();
    for _ in 0..20_000 {
        let (client, ..) = desk.connect_with(&Connect { keep_alive: 60_000, ..durable(V5, "comes and goes") });
        desk.cut(client);
        desk.core.handle_timeout(desk.now);
    }
    assert!(desk.core.timers.len() < 10_000, "{}", desk.core.timers.len());
}

/// Thousands of clients do nothing most of the time.
#[test]
fn what_is_kept_for_an_idle_client_is_small() {
    let sizes = (size_of::<Connection>(), size_of::<super::super::session::Session>());
    assert!(sizes.0 <= 400 && sizes.1 <= 400, "{sizes:?}");
}

#[test]
fn limits_belong_to_the_listener_that_took_the_connection() {
    let mut desk = Desk::with(|settings| {
        settings.listeners = [(QOS[2], 10, "a-"), (QOS[1], 3, "b-"), (QOS[0], 0, "c-")]
            .map(|(max_qos, max_topic_alias, prefix)| ListenerSettings {
                max_qos,
                max_topic_alias,
                max_topic_alias_broker: max_topic_alias,
                auto_id_prefix: prefix.to_owned(),
            })
            .to_vec();
    });
    for (listener, prefix, maximum_qos, aliases) in [(0, "a-", None, 10), (1, "b-", Some(1), 3), (2, "c-", Some(0), 0)]
    {
        let peer = Peer { listener, ..Peer::default() };
        let client = Client { id: desk.core.open(peer, desk.now), version: V5 };
        let mut connect = hello(V5, "");
        connect.properties.push(property(PropertyName::TopicAliasMaximum, PropertyValue::TwoByte(5)));
        desk.send(client, &Packet::Connect(Box::new(connect)));
        let got = desk.take(client);
        let [Got::Connack(connack)] = &got[..] else { panic!("{got:?}") };
        let text = connack.properties.text(PropertyName::AssignedClientIdentifier).unwrap();
        assert!(text.starts_with(prefix), "{text}");
        assert_eq!(connack.properties.number(PropertyName::MaximumQos), maximum_qos);
        assert_eq!(connack.properties.number(PropertyName::TopicAliasMaximum).unwrap_or(0), aliases);
        desk.subscribe(client, "a", QOS[2]);
        let granted = maximum_qos.unwrap_or(2) as u8;
        assert!(matches!(&desk.take(client)[..], [Got::Suback(suback)] if suback.reasons == [ReasonCode(granted)]));
        // Its own aliases: the second message leaves the topic out where there are any.
        let publisher = desk.connect(V311, "publisher");
        for alias in [false, true] {
            desk.say(publisher, "a", "x", QOS[0], false);
            let bytes = desk.bytes(client);
            assert_eq!(bytes[..4] == [0x30, bytes.len() as u8 - 2, 0, 0], alias && aliases > 0, "{bytes:?}");
        }
        let used = aliases as u16 + 1;
        let mut over = message("a", "x", QOS[0]);
        over.properties.push(property(PropertyName::TopicAlias, PropertyValue::TwoByte(used)));
        desk.publish(client, &over, 0);
        assert_eq!(desk.take(client), [Got::Disconnect(ReasonCode::TOPIC_ALIAS_INVALID)]);
    }
}

#[test]
fn dup_is_taken_from_mqtt_3_1_where_later_versions_reserve_it() {
    let packets: [&[u8]; 3] = [
        b"\x6a\x02\x00\x09",              // PUBREL
        b"\x8a\x06\x00\x07\x00\x01a\x00", // SUBSCRIBE
        b"\xaa\x05\x00\x08\x00\x01a",     // UNSUBSCRIBE
    ];
    for version in VERSIONS {
        for packet in packets {
            let mut desk = Desk::new();
            let client = desk.connect(version, "client");
            desk.publish(client, &message("a", "x", QOS[2]), 9);
            desk.expect_ack(client, AckKind::Pubrec, 9);
            desk.core.handle_input(client.id, packet, desk.now);
            assert_eq!(desk.core.is_closing(client.id), version != V31, "{version:?} {packet:02x?}");
            let got = desk.take(client);
            let answered = matches!(&got[..], [Got::Ack(AckKind::Pubcomp, 9, _) | Got::Suback(_) | Got::Unsuback(_)]);
            assert_eq!(answered, version == V31, "{version:?} {packet:02x?}: {got:?}");
        }
    }
}

/// The longest CONNECT with every field of two bytes of length at its longest.
fn longest_connect(version: ProtocolVersion) -> Connect {
    let longest = "x".repeat(65_535);
    Connect {
        client_id: longest.clone(),
        user_name: Some(longest.clone()),
        password: Some(crate::mqtt::Secret::new(&*longest)),
        will: Some(message(&longest, &longest, QOS[1])),
        ..hello(version, "")
    }
}

#[test]
fn a_connect_with_every_field_at_its_longest_is_taken() {
    for version in [V311, V5] {
        let mut desk = Desk::new();
        let (client, got) = desk.try_connect(&longest_connect(version));
        assert!(matches!(&got[..], [Got::Connack(connack)] if !connack.reason.is_error()), "{got:?}");
        // In the smallest pieces that a network makes.
        let mut bytes = Vec::new();
        longest_connect(version).encode(&mut bytes).unwrap();
        desk.cut(client);
        let client = Client { id: desk.open(), version };
        bytes.chunks(536).for_each(|piece| desk.core.handle_input(client.id, piece, desk.now));
        assert!(matches!(&desk.take(client)[..], [Got::Connack(_), ..]));
        assert_eq!(desk.core.unauthenticated, 0);
    }
}

#[test]
fn connects_that_do_not_end_are_bounded_together() {
    let mut desk = Desk::with(|settings| settings.max_unauthenticated_bytes = 10_000);
    let piece = [&b"\x10\xf0\xff\x17"[..], &[0; 3_000]].concat();
    let clients: Vec<u32> = (0..5).map(|_| desk.open()).collect();
    for client in &clients {
        desk.core.handle_input(*client, &piece, desk.now);
    }
    let closed: Vec<bool> = clients.iter().map(|client| desk.core.is_closing(*client)).collect();
    assert_eq!(closed, [false, false, false, true, true]);
    // A CONNECT that comes whole is not touched, and what ends is not counted any more.
    desk.connect(V311, "whole");
    desk.core.handle_closed(clients[0], Cause::Closed, desk.now);
    assert_eq!(desk.core.unauthenticated, 2 * piece.len());
    desk.wait(11);
    assert_eq!(desk.core.unauthenticated, 0, "they had ten seconds");
}

#[test]
fn memory_is_published_where_it_is_measured() {
    let mut desk = Desk::with(|settings| settings.sys_interval = Duration::from_secs(10));
    let mut figures = [500, 900, 700].into_iter();
    desk.core.set_memory_gauge(Box::new(move || figures.next()), desk.now);
    let client = desk.connect(V311, "client");
    desk.subscribe(client, "$SYS/broker/heap/#", QOS[0]);
    let heap = |desk: &mut Desk| {
        let mut heap: Vec<_> = desk.messages(client).into_iter().map(|(topic, text, ..)| (topic, text)).collect();
        heap.sort();
        heap.into_iter().map(|(topic, text)| format!("{} {text}", &topic[12..])).collect::<Vec<_>>()
    };
    assert_eq!(heap(&mut desk), ["heap/current 500", "heap/maximum 500"]);
    desk.wait(10);
    assert_eq!(heap(&mut desk), ["heap/current 900", "heap/maximum 900"]);
    desk.wait(10);
    assert_eq!(heap(&mut desk), ["heap/current 700"]);
}
