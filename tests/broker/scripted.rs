//! The scripted broker is itself tested: what it promises to spoil it spoils, and nothing else. Its clients are raw
//! packets.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mqtools::mqtt::wire::{AckKind, Packet, PacketType, Publish};
use mqtools::mqtt::{Message, Property, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode};

use crate::support::raw_client::{RawClient, connect, message};
use crate::support::scripted_broker::{Action, Ordinals, Received, Repeat, Script, ScriptedBroker, Trigger};

use ProtocolVersion::{V5, V31, V311};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

fn number(name: PropertyName, value: PropertyValue) -> Property {
    Property::new(name, value).unwrap_or_else(|error| panic!("{error}"))
}

/// Publishes one message as its QoS asks for, to the last acknowledgement.
fn publish_whole(client: &mut RawClient, message: &Message, identifier: u16) {
    client.publish(message, identifier, false);
    match message.qos {
        AtMostOnce => {}
        AtLeastOnce => assert_eq!(client.receive_ack().kind, AckKind::Puback),
        ExactlyOnce => {
            assert_eq!(client.receive_ack().kind, AckKind::Pubrec);
            client.acknowledge(AckKind::Pubrel, identifier);
            assert_eq!(client.receive_ack().kind, AckKind::Pubcomp);
        }
    }
}

#[test]
fn carries_every_qos_in_every_version() {
    for version in [V31, V311, V5] {
        let broker = ScriptedBroker::start(Script::default());
        let mut subscriber = RawClient::connect(broker.addr(), version, "s");
        assert_eq!(subscriber.subscribe("a/+", ExactlyOnce).reasons, [ReasonCode(2)]);
        let mut publisher = RawClient::connect(broker.addr(), version, "p");
        for (identifier, qos) in (1..).zip([AtMostOnce, AtLeastOnce, ExactlyOnce]) {
            let sent = message("a/b", format!("{qos:?}"), qos);
            publish_whole(&mut publisher, &sent, identifier);
            let (received, identifier, dup) = subscriber.receive_publish();
            assert_eq!((received, dup), (sent, false));
            match qos {
                AtMostOnce => {}
                AtLeastOnce => subscriber.acknowledge(AckKind::Puback, identifier),
                ExactlyOnce => {
                    subscriber.acknowledge(AckKind::Pubrec, identifier);
                    assert_eq!(subscriber.receive_ack().kind, AckKind::Pubrel);
                    subscriber.acknowledge(AckKind::Pubcomp, identifier);
                }
            }
        }
        subscriber.send(&Packet::Pingreq);
        assert_eq!(subscriber.receive_bytes().unwrap(), [0xD0, 0]);
        let log = broker.stop();
        assert_eq!(log.acknowledged, ["AtLeastOnce", "ExactlyOnce"]);
        assert_eq!((log.counts.accepted, log.counts.deliveries, log.counts.completed_deliveries), (3, 3, 2));
        assert_eq!(log.violations, [""; 0]);
    }
}

#[test]
fn drops_repeats_and_swaps_exactly_what_the_script_names_of_ten_thousand() {
    const COUNT: u64 = 10_000;
    let dropped = [1, 500, 501, 2000, 3003, 4444, 7000, 8000, 9998, 10_000];
    let script = Script::default()
        .spoil_only("load")
        .drop_deliveries(dropped)
        .repeat_deliveries([2, 600, 1500, 5000, 9999], Repeat::AsNew)
        .swap_deliveries([700, 3001, 9000]);
    for qos in [AtMostOnce, AtLeastOnce] {
        let broker = ScriptedBroker::start(script.clone());
        let mut subscriber = RawClient::connect(broker.addr(), V311, "s");
        subscriber.subscribe("#", qos);
        let publisher = std::thread::spawn({
            let addr = broker.addr();
            move || {
                let mut publisher = RawClient::connect(addr, V311, "p");
                publisher.publish(&message("other", "not counted", qos), 1, false);
                for number in 1..=COUNT {
                    publisher.publish(&message("load", number.to_string(), qos), number as u16 + 1, false);
                }
                publisher.publish(&message("other", "end", qos), COUNT as u16 + 2, false);
                let acks = if qos == AtMostOnce { 0 } else { COUNT + 2 };
                (0..acks).for_each(|_| assert_eq!(publisher.receive_ack().kind, AckKind::Puback));
            }
        });
        let (mut seen, mut highest, mut behind) = (HashMap::new(), 0, 0);
        loop {
            let (received, identifier, dup) = subscriber.receive_publish();
            assert!(!dup);
            if qos == AtLeastOnce {
                subscriber.acknowledge(AckKind::Puback, identifier);
            }
            let text = std::str::from_utf8(&received.payload).unwrap();
            if text == "end" {
                break;
            }
            let Ok(number) = text.parse::<u64>() else { continue };
            *seen.entry(number).or_insert(0u64) += 1;
            behind += u64::from(number < highest);
            highest = highest.max(number);
        }
        publisher.join().unwrap();
        let mut lost: Vec<u64> = (1..=COUNT).filter(|number| !seen.contains_key(number)).collect();
        lost.sort_unstable();
        assert_eq!(lost, dropped);
        assert_eq!(seen.values().map(|times| times - 1).sum::<u64>(), 5);
        assert_eq!(behind, 3);
        let counts = broker.counts();
        assert_eq!((counts.deliveries, counts.dropped, counts.repeated, counts.swapped), (COUNT, 10, 5, 3));
        assert_eq!(broker.acknowledged().len() as u64, if qos == AtMostOnce { 0 } else { COUNT + 2 });
    }
}

#[test]
fn repeats_with_dup_under_the_same_identifier() {
    let broker = ScriptedBroker::start(Script::default().repeat_deliveries([1], Repeat::WithDup));
    let mut client = RawClient::connect(broker.addr(), V311, "c");
    client.subscribe("t", ExactlyOnce);
    client.publish(&message("t", "x", ExactlyOnce), 5, false);
    assert_eq!(client.receive_ack().kind, AckKind::Pubrec);
    client.acknowledge(AckKind::Pubrel, 5);
    let (first, second) = (client.receive_publish(), client.receive_publish());
    assert_eq!((first.2, second.2), (false, true));
    assert_eq!((first.0, first.1), (second.0, second.1));
}

#[test]
fn refuses_what_the_script_names() {
    let broker = ScriptedBroker::start(Script::default().refuse_connects([1, 2], ReasonCode::NOT_AUTHORIZED));
    for version in [V311, V5] {
        let (mut client, connack) = RawClient::connect_as(broker.addr(), &connect(version, "c"));
        assert_eq!(connack.reason, ReasonCode::NOT_AUTHORIZED);
        assert_eq!(client.receive_bytes(), None);
    }
    RawClient::connect(broker.addr(), V311, "third");

    let broker = ScriptedBroker::start(Script::default().only_v311());
    let (_, connack) = RawClient::connect_as(broker.addr(), &connect(V5, "c"));
    assert_eq!(connack.reason, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
    RawClient::connect(broker.addr(), V311, "c");

    let script = Script::default().refuse_filter("secret", ReasonCode::NOT_AUTHORIZED).grant_at_most(AtLeastOnce);
    let broker = ScriptedBroker::start(script.refuse_publishes([2], ReasonCode(0x97)));
    let mut client = RawClient::connect(broker.addr(), V5, "c");
    assert_eq!(client.subscribe("secret", AtMostOnce).reasons, [ReasonCode::NOT_AUTHORIZED]);
    assert_eq!(client.subscribe("a", ExactlyOnce).reasons, [ReasonCode(1)]);
    for (identifier, qos, kind, reason) in [
        (1, AtLeastOnce, AckKind::Puback, 0),
        (2, ExactlyOnce, AckKind::Pubrec, 0x97),
        (3, AtLeastOnce, AckKind::Puback, 0),
    ] {
        client.publish(&message("b", [identifier as u8], qos), identifier, false);
        let ack = client.receive_ack();
        assert_eq!((ack.kind, ack.packet_identifier, ack.reason.0), (kind, identifier, reason));
    }
    assert_eq!(broker.acknowledged(), [&[1][..], &[3]]);

    let broker = ScriptedBroker::start(Script::default().answer_qos2_with_puback());
    let mut client = RawClient::connect(broker.addr(), V311, "c");
    client.publish(&message("b", "", ExactlyOnce), 1, false);
    assert_eq!(client.receive_ack().kind, AckKind::Puback);
}

#[test]
fn omits_answers() {
    let script = Script::default().omit(PacketType::Puback, [1, 3]);
    let broker = ScriptedBroker::start(script.omit(PacketType::Pingresp, 2..));
    let mut client = RawClient::connect(broker.addr(), V311, "c");
    for identifier in 1..=4 {
        client.publish(&message("t", [identifier as u8], AtLeastOnce), identifier, false);
    }
    let acks: Vec<u16> = (0..2).map(|_| client.receive_ack().packet_identifier).collect();
    assert_eq!(acks, [2, 4]);
    assert_eq!(broker.acknowledged(), [&[2][..], &[4]]);
    client.send(&Packet::Pingreq);
    client.send(&Packet::Pingreq);
    assert_eq!(client.receive_bytes().unwrap(), [0xD0, 0]);
    broker.wait_for("both PINGREQ", |log| log.count(|packet| *packet == Received::Pingreq) == 2);

    let broker = ScriptedBroker::start(Script::default().never_answer_connect());
    let mut client = RawClient::open(broker.addr(), V311);
    client.send(&Packet::Connect(Box::new(connect(V311, "c"))));
    client.publish(&message("t", "x", AtLeastOnce), 1, false);
    broker.wait_for("the PUBLISH", |log| log.publishes().count() == 1);
    assert_eq!(broker.stop().acknowledged.len(), 0);
    assert_eq!(client.receive_bytes(), None);
}

/// PUBLISHes to the topic `t` at QoS 1, with identifiers from 1 on.
fn publishes(version: ProtocolVersion, count: u16) -> Vec<u8> {
    let message = message("t", "", AtLeastOnce);
    let mut bytes = Vec::new();
    for identifier in 1..=count {
        Packet::Publish(Publish::of(&message, identifier, false))
            .encode(version, &mut bytes)
            .unwrap_or_else(|error| panic!("{error}"));
    }
    bytes
}

#[test]
fn delays_only_what_the_script_names() {
    let delay = Duration::from_millis(500);
    let script = Script::default().delay(PacketType::Connack, delay).delay(PacketType::Puback, delay);
    let broker = ScriptedBroker::start(script);
    let start = Instant::now();
    let mut client = RawClient::connect(broker.addr(), V311, "c");
    assert!(start.elapsed() >= delay);
    let start = Instant::now();
    // In one go: a pause of this thread between them could be longer than the delay.
    client.send_bytes(&[publishes(V311, 2), vec![0xC0, 0]].concat());
    assert_eq!(client.receive_bytes().unwrap(), [0xD0, 0], "PINGRESP overtakes");
    assert_eq!([client.receive_ack().packet_identifier, client.receive_ack().packet_identifier], [1, 2]);
    assert!(start.elapsed() >= delay);
}

#[test]
fn stalls_for_as_long_as_the_script_says() {
    let length = Duration::from_millis(120);
    let broker = ScriptedBroker::start(Script::default().stall_at_publish(2, length));
    let mut client = RawClient::connect(broker.addr(), V311, "c");
    publish_whole(&mut client, &message("t", "1", AtLeastOnce), 1);
    let start = Instant::now();
    client.publish(&message("t", "2", AtLeastOnce), 2, false);
    assert_eq!(client.receive_ack().packet_identifier, 2);
    assert!(start.elapsed() >= length);
}

#[test]
fn cuts_where_the_script_says() {
    let script = Script::default()
        .close_at_accept(1)
        .fault(2, Trigger::ReceivedPublish(2), Action::Cut)
        .fault(3, Trigger::ReceivedPublish(2), Action::CutUnanswered)
        .fault(4, Trigger::SentBytes(4 + 3), Action::Cut)
        .fault(5, Trigger::Delivery(1), Action::CutInside)
        // CONNECT, PUBLISH, and a little of the next.
        .fault(6, Trigger::ReceivedBytes(15 + 7 + 4), Action::Cut)
        .fault(7, Trigger::ReceivedPublish(1), Action::SendAndCut(vec![0xFF, 0xFF]));
    let broker = ScriptedBroker::start(script);
    let mut first = RawClient::open(broker.addr(), V311);
    assert!(first.read_to_end().is_empty());
    let publish_two = |payloads: [&str; 2]| {
        let mut client = RawClient::connect(broker.addr(), V311, "c");
        client.publish(&message("t", payloads[0], AtLeastOnce), 1, false);
        client.publish(&message("t", payloads[1], AtLeastOnce), 2, false);
        client.read_to_end()
    };
    assert_eq!(publish_two(["2a", "2b"]), [0x40, 2, 0, 1]);
    assert_eq!(publish_two(["3a", "3b"]), [0x40, 2, 0, 1]);
    assert_eq!(publish_two(["4a", "4b"]), [0x40, 2, 0]);
    let mut client = RawClient::connect(broker.addr(), V311, "c");
    client.subscribe("t", AtMostOnce);
    client.publish(&message("t", "5", AtMostOnce), 0, false);
    assert_eq!(client.read_to_end(), [0x30, 4, 0], "half of 30 04 00 01 74 35");
    assert_eq!(publish_two(["", "6b"]), [0x40, 2, 0, 1]);
    assert_eq!(publish_two(["7a", "7b"]), [0xFF, 0xFF]);
    let log = broker.stop();
    assert_eq!(log.acknowledged, ["2a", "3a", ""]);
    assert_eq!(log.accepted, ["2a", "3a", "3b", "4a", "5", ""]);
    assert_eq!(log.of_connection(2).last(), Some(&Received::End));
}

#[test]
fn sends_what_no_broker_should_send() {
    let script = Script::default()
        .fault(1, Trigger::Accept, Action::Send(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()))
        .fault(2, Trigger::ReceivedPacket(2), Action::AnnouncePacket(268_435_455))
        .fault(3, Trigger::ReceivedPacket(2), Action::Disconnect(ReasonCode(0x8B)));
    let broker = ScriptedBroker::start(script);
    let mut client = RawClient::open(broker.addr(), V5);
    assert_eq!(client.read_exactly(8), b"HTTP/1.1");
    let mut client = RawClient::connect(broker.addr(), V5, "c");
    client.publish(&message("t", "", AtLeastOnce), 1, false);
    assert_eq!(client.read_exactly(9), [0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, b'a', b'x']);
    let mut client = RawClient::connect(broker.addr(), V5, "c");
    client.send(&Packet::Pingreq);
    assert_eq!(client.read_to_end(), [0xE0, 1, 0x8B]);
    assert_eq!(broker.acknowledged().len(), 0);
}

#[test]
fn acts_on_command() {
    let broker = ScriptedBroker::start(Script::default());
    let mut clients = [RawClient::connect(broker.addr(), V5, "a"), RawClient::connect(broker.addr(), V311, "b")];
    broker.act_on_all(&Action::Disconnect(ReasonCode(0x8B)));
    assert_eq!(clients[0].read_to_end(), [0xE0, 1, 0x8B]);
    assert!(clients[1].read_to_end().is_empty());
}

#[test]
fn states_its_limits_and_catches_who_exceeds_them() {
    let limit = |name, value| Script::default().connack_property(number(name, value));
    let cases: [(Script, Message, u8); 4] = [
        (limit(PropertyName::MaximumQos, PropertyValue::Byte(1)), message("t", "", ExactlyOnce), 0x9B),
        (limit(PropertyName::MaximumPacketSize, PropertyValue::FourByte(20)), message("t", [0; 30], AtMostOnce), 0x95),
        (limit(PropertyName::TopicAliasMaximum, PropertyValue::TwoByte(4)), aliased("t", 5), 0x94),
        (Script::default(), aliased("t", 1), 0x94),
    ];
    for (script, too_much, reason) in cases {
        let broker = ScriptedBroker::start(script);
        let mut client = RawClient::connect(broker.addr(), V5, "c");
        client.publish(&too_much, 1, false);
        assert_eq!(client.read_to_end(), [0xE0, 1, reason]);
        assert_eq!(broker.violations().len(), 1, "{:?}", broker.violations());
    }
    let script = limit(PropertyName::ReceiveMaximum, PropertyValue::TwoByte(2));
    let broker = ScriptedBroker::start(script.delay(PacketType::Puback, Duration::from_millis(200)));
    let (mut client, connack) = RawClient::connect_as(broker.addr(), &connect(V5, ""));
    assert_eq!(connack.properties.number(PropertyName::ReceiveMaximum), Some(2));
    assert!(connack.properties.text(PropertyName::AssignedClientIdentifier).is_some());
    for identifier in 1..=4 {
        client.publish(&message("t", "", AtLeastOnce), identifier, false);
        client.publish(&message("t", "", AtLeastOnce), identifier + 4, false);
        let acks = [client.receive_ack().packet_identifier, client.receive_ack().packet_identifier];
        assert_eq!(acks, [identifier, identifier + 4]);
    }
    assert_eq!(broker.violations(), [""; 0]);
    // In one go: with a pause between them the first ones would be acknowledged.
    client.send_bytes(&publishes(V5, 3));
    assert!(client.read_to_end().ends_with(&[0xE0, 1, 0x93]));
}

fn aliased(topic: &str, alias: u16) -> Message {
    let alias = number(PropertyName::TopicAlias, PropertyValue::TwoByte(alias));
    Message { properties: [alias].into_iter().collect(), ..message(topic, "x", AtMostOnce) }
}

#[test]
fn resolves_topic_aliases() {
    let maximum = number(PropertyName::TopicAliasMaximum, PropertyValue::TwoByte(1));
    let broker = ScriptedBroker::start(Script::default().connack_property(maximum));
    let mut publisher = RawClient::connect(broker.addr(), V5, "p");
    publisher.publish(&aliased("long/topic", 1), 0, false);
    publisher.publish(&aliased("", 1), 0, false);
    broker.wait_for("both messages", |log| log.counts.accepted == 2);
    assert!(broker.log().publishes().all(|(message, ..)| message.topic == "long/topic"));
}

/// A CONNECT that asks for a session that stays.
fn staying(version: ProtocolVersion, client_id: &str) -> mqtools::mqtt::wire::Connect {
    let mut connect = connect(version, client_id);
    connect.clean_start = false;
    if version.is_v5() {
        connect.properties.push(number(PropertyName::SessionExpiryInterval, PropertyValue::FourByte(1000)));
    }
    connect
}

#[test]
fn keeps_sessions_over_a_restart_on_the_same_port() {
    for version in [V311, V5] {
        let mut broker = ScriptedBroker::start(Script::default());
        let (mut subscriber, connack) = RawClient::connect_as(broker.addr(), &staying(version, "s"));
        assert!(!connack.session_present);
        subscriber.subscribe("t", ExactlyOnce);
        let (mut publisher, _) = RawClient::connect_as(broker.addr(), &staying(version, "p"));
        publish_whole(&mut publisher, &message("t", "one", AtLeastOnce), 1);
        publish_whole(&mut publisher, &message("t", "two", ExactlyOnce), 2);
        publish_whole(&mut publisher, &message("t", "three", ExactlyOnce), 3);
        publisher.publish(&message("t", "four", ExactlyOnce), 4, false);
        assert_eq!(publisher.receive_ack().kind, AckKind::Pubrec);
        let sent: Vec<_> = (0..3).map(|_| subscriber.receive_publish()).collect();
        subscriber.acknowledge(AckKind::Pubrec, sent[1].1);
        assert_eq!(subscriber.receive_ack().kind, AckKind::Pubrel);

        broker.go_away();
        assert!(std::net::TcpStream::connect(broker.addr()).is_err());
        assert_eq!(subscriber.receive_bytes(), None);
        broker.come_back().unwrap();

        let (mut publisher, connack) = RawClient::connect_as(broker.addr(), &staying(version, "p"));
        assert!(connack.session_present);
        publisher.publish(&message("t", "four", ExactlyOnce), 4, true); // not accepted a second time
        assert_eq!(publisher.receive_ack().kind, AckKind::Pubrec);
        publisher.acknowledge(AckKind::Pubrel, 4);
        assert_eq!(publisher.receive_ack().kind, AckKind::Pubcomp);
        publish_whole(&mut publisher, &message("t", "five", AtLeastOnce), 5); // while the subscriber is away

        let (mut subscriber, connack) = RawClient::connect_as(broker.addr(), &staying(version, "s"));
        assert!(connack.session_present);
        let (again, identifier, dup) = subscriber.receive_publish();
        assert_eq!((again, identifier, dup), (sent[0].0.clone(), sent[0].1, true));
        let pubrel = subscriber.receive_ack();
        assert_eq!((pubrel.kind, pubrel.packet_identifier), (AckKind::Pubrel, sent[1].1));
        let rest: Vec<_> = (0..3).map(|_| subscriber.receive_publish()).map(|it| (it.0.payload, it.2)).collect();
        assert_eq!(rest, [("three".into(), true), ("four".into(), false), ("five".into(), false)]);
        let log = broker.stop();
        assert_eq!(log.acknowledged, ["one", "two", "three", "four", "five"]);
        assert_eq!(log.violations, [""; 0]);
    }
}

#[test]
fn forgets_sessions_where_the_script_says() {
    let broker = ScriptedBroker::start(Script::default().forget_sessions());
    for _ in 0..2 {
        let (_, connack) = RawClient::connect_as(broker.addr(), &staying(V311, "s"));
        assert!(!connack.session_present);
    }
}

#[test]
fn writes_down_what_is_no_mqtt() {
    let broker = ScriptedBroker::start(Script::default());
    let mut client = RawClient::connect(broker.addr(), V5, "c");
    client.send_bytes(&[0x36, 3, 0, 1, b'a']);
    assert_eq!(client.read_to_end(), [0xE0, 1, 0x81]);
    let mut client = RawClient::open(broker.addr(), V5);
    client.send(&Packet::Pingreq);
    assert!(client.read_to_end().is_empty());
    let log = broker.stop();
    assert!(log.violations[0].contains("QoS 3") && log.violations[1].contains("not CONNECT"), "{:?}", log.violations);
    assert_eq!(log.count(|packet| matches!(packet, Received::Malformed(_))), 1);
}

#[test]
fn ordinals_contain_what_they_say() {
    assert!(Ordinals::All.contain(7) && Ordinals::from(3..).contain(3) && Ordinals::from(2..=4).contain(4));
    assert!(!Ordinals::from(3..).contain(2) && !Ordinals::from([1, 3]).contain(2) && !Ordinals::default().contain(1));
}
