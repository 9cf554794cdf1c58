//! What is bounded, and what happens at the bound.

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
fn a_client_of_5_0_that_sends_too_many_is_told_so() {
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
        settings.max_qos = QoS::AtLeastOnce;
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
