//! Session State (§3.1.2.4, §3.1.2.11, §4.1) and what is sent again (§4.4, §4.6).

use super::*;

#[test]
fn session_present_is_set_if_there_was_a_session() {
    let broker = Broker::any();
    for version in [V311, V5] {
        for (connect, present, name) in [
            (broker.durable(version, "s"), false, "new"),
            (broker.durable(version, "s"), true, "kept"),
            (broker.hello(version, "s"), false, "clean start (MQTT-3.2.2-2)"),
            (broker.durable(version, "s"), false, "the clean one left nothing"),
            (broker.hello(version, "s"), false, "cleaned up"),
        ] {
            let (client, connack) = broker.accept(&connect);
            assert_eq!(connack.session_present, present, "{name}");
            client.leave();
        }
    }
}

#[test]
fn messages_wait_for_a_durable_session_and_for_no_clean_one() {
    let broker = Broker::any();
    for version in VERSIONS {
        let topic = broker.topic("waits");
        for (connect, waits) in [(broker.durable(version, "away"), true), (broker.hello(version, "away"), false)] {
            let (mut client, _) = broker.accept(&connect);
            client.take(&topic, QoS::ExactlyOnce);
            client.leave();
            let mut publisher = broker.connect(version, "from");
            for number in 0..30 {
                let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][number % 2];
                publisher.say(&topic, &number.to_string(), qos);
            }
            let (mut client, _) = broker.accept(&connect);
            if waits {
                let texts: Vec<String> = (0..30).map(|_| client.next_text()).collect();
                assert!(texts.iter().enumerate().all(|(number, text)| *text == number.to_string()), "{texts:?}");
            }
            client.expect_nothing();
            client.leave();
            broker.connect(version, "away").leave();
        }
    }
}

/// Receives without acknowledging.
fn unacknowledged(client: &mut Client) -> (String, QoS, u16, bool) {
    let (message, identifier, dup) = client.receive_publish();
    (String::from_utf8(message.payload.to_vec()).unwrap(), message.qos, identifier, dup)
}

#[test]
fn what_was_not_acknowledged_is_sent_again_in_its_order() {
    let broker = Broker::any();
    for version in VERSIONS {
        let topic = broker.topic("again");
        let durable = broker.durable(version, "again");
        let (mut client, _) = broker.accept(&durable);
        client.take(&topic, QoS::ExactlyOnce);
        let mut publisher = broker.connect(version, "from");
        for number in 0..10 {
            let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][number % 2];
            publisher.say(&topic, &number.to_string(), qos);
        }
        let first: Vec<_> = (0..10).map(|_| unacknowledged(&mut client)).collect();
        // The fourth is completed; of the sixth the broker learns that it arrived.
        assert_eq!(first[3].1, QoS::ExactlyOnce);
        client.acknowledge(AckKind::Pubrec, first[3].2);
        client.expect_ack(AckKind::Pubrel, first[3].2);
        client.acknowledge(AckKind::Pubcomp, first[3].2);
        client.acknowledge(AckKind::Pubrec, first[5].2);
        client.expect_ack(AckKind::Pubrel, first[5].2);
        client.cut();

        let (mut client, _) = broker.accept(&durable);
        let (mut again, mut released) = (Vec::new(), Vec::new());
        for _ in 0..9 {
            let bytes = client.receive_bytes().unwrap();
            match client.decode(&bytes) {
                Packet::Publish(publish) => {
                    assert!(publish.dup, "MQTT-3.3.1-1");
                    let text = std::str::from_utf8(publish.payload).unwrap().to_owned();
                    again.push((text, publish.packet_identifier));
                }
                Packet::Ack(ack) => {
                    assert_eq!(ack.kind, AckKind::Pubrel, "after PUBREC the message is not sent again (MQTT-4.3.3-6)");
                    released.push(ack.packet_identifier);
                }
                other => panic!("{other:?}"),
            }
        }
        let expected: Vec<(String, u16)> = first
            .iter()
            .enumerate()
            .filter(|(number, _)| ![3, 5].contains(number))
            .map(|(_, (text, _, identifier, _))| (text.clone(), *identifier))
            .collect();
        assert_eq!((again, released), (expected, vec![first[5].2]), "MQTT-4.4.0-1, MQTT-4.6.0-1");
        client.expect_nothing();
        client.leave();
        broker.connect(version, "again").leave();
    }
}

#[test]
fn a_qos_2_identifier_is_known_again_after_a_reconnect() {
    let broker = Broker::any();
    for version in VERSIONS {
        let topic = broker.topic("held");
        let mut subscriber = broker.connect(version, "to");
        subscriber.take(&topic, QoS::ExactlyOnce);
        let durable = broker.durable(version, "held");
        let (mut client, _) = broker.accept(&durable);
        let sent = message(&topic, "once", QoS::ExactlyOnce);
        client.publish(&sent, 77, false);
        client.expect_ack(AckKind::Pubrec, 77);
        client.cut();
        let (mut client, _) = broker.accept(&durable);
        client.publish(&sent, 77, true);
        client.expect_ack(AckKind::Pubrec, 77);
        client.acknowledge(AckKind::Pubrel, 77);
        client.expect_ack(AckKind::Pubcomp, 77);
        assert_eq!(subscriber.next_text(), "once");
        subscriber.expect_nothing();
        broker.connect(version, "held").leave();
    }
}

#[test]
fn disconnect_may_change_the_session_expiry_but_not_from_zero() {
    let broker = Broker::any();
    let goodbye = |seconds| {
        let expiry = number(PropertyName::SessionExpiryInterval, PropertyValue::FourByte(seconds));
        Packet::Disconnect(Disconnect { reason: ReasonCode::SUCCESS, properties: [expiry].into_iter().collect() })
    };
    let (mut client, _) = broker.accept(&broker.durable(V5, "expiry"));
    client.send(&goodbye(0));
    client.read_to_end();
    let (client, connack) = broker.accept(&broker.durable(V5, "expiry"));
    assert!(!connack.session_present);
    client.leave();

    let mut client = broker.connect(V5, "expiry");
    client.send(&goodbye(10));
    assert!(client.expect_end().is_none_or(|reason| reason == ReasonCode::PROTOCOL_ERROR), "§3.14.2.2.2");
}

#[test]
fn a_session_goes_on_in_another_version() {
    let broker = Broker::any();
    let topic = broker.topic("versions");
    let (mut client, _) = broker.accept(&broker.durable(V311, "both"));
    client.take(&topic, QoS::AtLeastOnce);
    client.leave();
    broker.connect(V5, "from").say(&topic, "x", QoS::AtLeastOnce);
    let (mut client, connack) = broker.accept(&broker.durable(V5, "both"));
    assert!(connack.session_present);
    assert_eq!(client.next_text(), "x");
    client.leave();
    broker.connect(V5, "both").leave();
}

/// An acknowledgement of another kind than is due is answered with the end of the connection, or not at all.
#[test]
fn an_acknowledgement_of_another_kind_does_no_harm() {
    let broker = Broker::any();
    for version in VERSIONS {
        let topic = broker.topic("kinds");
        for kind in [AckKind::Puback, AckKind::Pubcomp, AckKind::Pubrec] {
            let mut client = broker.connect(version, "kinds");
            client.take(&topic, QoS::ExactlyOnce);
            let qos = if kind == AckKind::Pubrec { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            broker.connect(version, "from").say(&topic, "x", qos);
            let (_, identifier, _) = client.receive_publish();
            client.acknowledge(kind, identifier);
            client.finish_sending();
            client.read_to_end();
        }
        broker.connect(version, "alive").expect_nothing();
    }
}
