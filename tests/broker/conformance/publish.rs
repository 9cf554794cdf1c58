//! PUBLISH and its acknowledgements (§3.3 to §3.7), and what each QoS promises (§4.3).

use super::*;
use mqtools::mqtt::wire::Publish;

#[test]
fn every_version_gets_every_qos_at_the_lower_of_both() {
    let broker = Broker::any();
    for from in VERSIONS {
        for to in VERSIONS {
            let mut publisher = broker.connect(from, "from");
            let mut subscriber = broker.connect(to, "to");
            for granted in QOS {
                let topic = broker.topic(&format!("qos/{}", granted.number()));
                subscriber.take(&topic, granted);
                for qos in QOS {
                    publisher.say(&topic, "text", qos);
                    let got = subscriber.next_message();
                    assert_eq!((got.qos, &got.payload[..], got.retain), (qos.min(granted), &b"text"[..], false));
                }
            }
            subscriber.expect_nothing();
        }
    }
}

#[test]
fn a_qos_2_message_that_is_sent_again_is_delivered_once() {
    let broker = Broker::any();
    for version in VERSIONS {
        let topic = broker.topic("again");
        let mut subscriber = broker.connect(version, "to");
        subscriber.take(&topic, QoS::ExactlyOnce);
        let mut publisher = broker.connect(version, "from");
        let sent = message(&topic, "once", QoS::ExactlyOnce);
        for dup in [false, true, true] {
            publisher.publish(&sent, 5, dup);
            publisher.expect_ack(AckKind::Pubrec, 5);
        }
        for time in 0..2 {
            publisher.acknowledge(AckKind::Pubrel, 5);
            let ack = publisher.receive_ack();
            // The second PUBREL belongs to nothing any more, and is answered all the same (MQTT-4.3.3-11).
            assert_eq!((ack.kind, ack.packet_identifier), (AckKind::Pubcomp, 5), "{time}");
        }
        assert_eq!(subscriber.next_text(), "once");
        subscriber.expect_nothing();
        // The identifier is free again.
        publisher.say_message(&message(&topic, "next", QoS::ExactlyOnce), 5);
        assert_eq!(subscriber.next_text(), "next");
    }
}

#[test]
fn a_publish_that_breaks_the_rules_ends_the_connection() {
    let broker = Broker::any();
    let cases: [(&str, &[u8]); 7] = [
        ("QoS 3 (MQTT-3.3.1-4)", b"\x36\x06\x00\x01a\x00\x01x"),
        ("DUP with QoS 0 (MQTT-3.3.1-2)", b"\x38\x04\x00\x01ax"),
        ("identifier 0 (MQTT-2.2.1-2)", b"\x32\x06\x00\x01a\x00\x00x"),
        ("+ in the topic (MQTT-3.3.2-2)", b"\x30\x06\x00\x03a/+x"),
        ("# in the topic (MQTT-3.3.2-2)", b"\x30\x06\x00\x03a/#x"),
        ("a null in the topic (MQTT-1.5.4-2)", b"\x30\x05\x00\x02a\x00x"),
        ("an empty topic (MQTT-4.7.3-1)", b"\x30\x03\x00\x00x"),
    ];
    for (what, packet) in cases {
        let mut client = broker.connect(V311, "bad");
        client.send_bytes(packet);
        assert_eq!(client.expect_end(), None, "{what}");
        // The same with 5.0: an empty property list behind the topic or the identifier.
        let mut bytes = packet.to_vec();
        bytes.insert(bytes.len() - 1, 0);
        bytes[1] += 1;
        let mut client = broker.connect(V5, "bad");
        client.send_bytes(&bytes);
        assert!(client.expect_end().is_none_or(ReasonCode::is_error), "{what}");
    }
}

#[test]
fn payloads_are_not_changed() {
    let broker = Broker::any();
    let topic = broker.topic("payload");
    for version in VERSIONS {
        let mut subscriber = broker.connect(version, "to");
        subscriber.take(&topic, QoS::AtLeastOnce);
        let mut publisher = broker.connect(version, "from");
        for size in [0, 1, 126, 127, 128, 16_383, 16_384, 70_000, 1_500_000] {
            let payload: Vec<u8> = (0..size).map(|byte: u32| (byte * 7 % 251) as u8).collect();
            publisher.say_message(&message(&topic, payload.clone(), QoS::AtLeastOnce), 3);
            assert_eq!(subscriber.next_message().payload, payload, "{size} bytes");
        }
    }
}

#[test]
fn a_topic_may_have_65_535_bytes() {
    let broker = Broker::any();
    let topic = "t".repeat(65_535);
    for version in VERSIONS {
        let mut subscriber = broker.connect(version, "to");
        subscriber.take(&topic, QoS::AtLeastOnce);
        let mut publisher = broker.connect(version, "from");
        publisher.say(&topic, "far", QoS::AtLeastOnce);
        let got = subscriber.next_message();
        assert_eq!((got.topic.len(), &got.payload[..]), (65_535, &b"far"[..]));
    }
}

#[test]
fn properties_are_forwarded_in_their_order_and_nothing_is_added() {
    let broker = Broker::any();
    let topic = broker.topic("properties");
    let mut subscriber = broker.connect(V5, "to");
    subscriber.take(&topic, QoS::ExactlyOnce);
    let mut old = broker.connect(V311, "old");
    old.take(&topic, QoS::ExactlyOnce);
    let mut publisher = broker.connect(V5, "from");
    for qos in QOS {
        let properties: Properties = [
            number(PropertyName::ContentType, PropertyValue::Utf8("text/plain".into())),
            Property::user("b", "1"),
            number(PropertyName::CorrelationData, PropertyValue::Binary(vec![0, 255].into())),
            Property::user("a", "2"),
            Property::user("b", "3"),
            number(PropertyName::ResponseTopic, PropertyValue::Utf8("answer".into())),
            number(PropertyName::PayloadFormatIndicator, PropertyValue::Byte(1)),
        ]
        .into_iter()
        .collect();
        let sent = Message { properties: properties.clone(), ..message(&topic, "text", qos) };
        publisher.say_message(&sent, 4);
        let mut got = subscriber.next_message();
        if broker.is_ours() {
            assert_eq!(got.properties, properties);
        }
        // The order of the user properties is promised (MQTT-3.3.2-18), that of the others is not.
        let users = |properties: &Properties| -> Vec<Property> {
            let of_user = |property: &&Property| property.name() == PropertyName::UserProperty;
            properties.iter().filter(of_user).cloned().collect()
        };
        assert_eq!(users(&got.properties), users(&properties));
        got.properties = properties;
        assert_eq!(got, sent);
        assert_eq!(old.next_text(), "text");
    }
}

#[test]
fn a_message_carries_what_is_left_of_its_expiry() {
    let broker = Broker::any();
    let topic = broker.topic("expiry");
    let properties: Properties =
        [number(PropertyName::MessageExpiryInterval, PropertyValue::FourByte(100))].into_iter().collect();
    let mut publisher = broker.connect(V5, "from");
    publisher.say_message(&Message { retain: true, properties, ..message(&topic, "x", QoS::AtLeastOnce) }, 2);
    let mut subscriber = broker.connect(V5, "to");
    subscriber.take(&topic, QoS::AtLeastOnce);
    let left = subscriber.next_message().properties.number(PropertyName::MessageExpiryInterval);
    assert!(left.is_some_and(|left| (1..=100).contains(&left)), "{left:?} (MQTT-3.3.2-6)");
    publisher.retain(&topic, "", QoS::AtLeastOnce);
}

#[test]
fn aliases_stand_for_topics_within_the_promised_number() {
    let broker = Broker::any();
    let topic = broker.topic("alias");
    let mut subscriber = broker.connect(V5, "to");
    subscriber.take(&topic, QoS::AtLeastOnce);
    let (mut publisher, connack) = broker.accept(&broker.hello(V5, "from"));
    let most = connack.properties.number(PropertyName::TopicAliasMaximum).unwrap_or(0);
    let with = |topic: &str, alias: u16| {
        let properties: Properties =
            [number(PropertyName::TopicAlias, PropertyValue::TwoByte(alias))].into_iter().collect();
        Message { properties, ..message(topic, "text", QoS::AtLeastOnce) }
    };
    if most > 0 {
        publisher.say_message(&with(&topic, 1), 1);
        publisher.say_message(&with("", 1), 2);
        for _ in 0..2 {
            let got = subscriber.next_message();
            assert_eq!((got.topic.as_str(), got.properties.number(PropertyName::TopicAlias)), (topic.as_str(), None));
        }
        // The alias belongs to its connection (MQTT-3.3.2-7).
        let mut other = broker.connect(V5, "other");
        other.publish(&with("", 1), 1, false);
        assert!(other.expect_end().is_none_or(ReasonCode::is_error));
    }
    publisher.publish(&with(&topic, most as u16 + 1), 3, false);
    assert!(publisher.expect_end().is_none_or(|reason| reason == ReasonCode::TOPIC_ALIAS_INVALID), "MQTT-3.3.2-9");
    // An alias of 0 is written by hand: the codec refuses it.
    let mut publisher = broker.connect(V5, "zero");
    publisher.send_bytes(b"\x30\x07\x00\x01a\x03\x23\x00\x00");
    assert!(publisher.expect_end().is_none_or(ReasonCode::is_error), "MQTT-3.3.2-8");
}

#[test]
fn the_broker_s_aliases_stay_within_what_a_client_allows() {
    let broker = Broker::any();
    let mut hello = broker.hello(V5, "to");
    hello.properties.push(number(PropertyName::TopicAliasMaximum, PropertyValue::TwoByte(2)));
    let (mut subscriber, _) = broker.accept(&hello);
    subscriber.take(&broker.topic("+"), QoS::AtMostOnce);
    let mut publisher = broker.connect(V5, "from");
    let mut known: [String; 2] = Default::default();
    for name in ["a", "b", "c", "a", "b", "c", "a"] {
        let topic = broker.topic(name);
        publisher.say(&topic, name, QoS::AtMostOnce);
        let (got, _, _) = subscriber.receive_publish();
        let resolved = match got.properties.number(PropertyName::TopicAlias) {
            Some(alias) => {
                let place = &mut known[alias as usize - 1];
                if !got.topic.is_empty() {
                    place.clone_from(&got.topic);
                }
                place.clone()
            }
            None => got.topic,
        };
        assert_eq!(resolved, topic, "MQTT-3.1.2-26, MQTT-3.1.2-27");
    }
}

#[test]
fn retained_messages_are_kept_replaced_and_cleared() {
    let broker = Broker::any();
    for version in VERSIONS {
        let topic = broker.topic("retained");
        let mut live = broker.connect(version, "live");
        live.take(&topic, QoS::ExactlyOnce);
        let mut publisher = broker.connect(version, "from");
        let kept = |name: &str, expected: Option<&str>| {
            let mut late = broker.connect(version, name);
            late.take(&topic, QoS::AtLeastOnce);
            if let Some(text) = expected {
                let got = late.next_message();
                assert_eq!((got.retain, &got.payload[..]), (true, text.as_bytes()), "MQTT-3.3.1-8");
            }
            late.expect_nothing();
        };
        kept("none", None);
        publisher.retain(&topic, "one", QoS::AtMostOnce);
        kept("one", Some("one"));
        publisher.retain(&topic, "two", QoS::ExactlyOnce);
        kept("two", Some("two"));
        publisher.say(&topic, "live", QoS::AtLeastOnce);
        kept("still", Some("two"));
        publisher.retain(&topic, "", QoS::AtLeastOnce);
        kept("gone", None);
        // Who was there already gets all of them without the flag (MQTT-3.3.1-9), the empty one too.
        for text in ["one", "two", "live", ""] {
            let got = live.next_message();
            assert_eq!((got.retain, &got.payload[..]), (false, text.as_bytes()));
        }
    }
}

#[test]
fn acknowledgements_of_5_0_say_whether_anybody_subscribes() {
    let broker = Broker::any();
    let mut publisher = broker.connect(V5, "from");
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        publisher.publish(&message(&broker.topic("nobody"), "x", qos), 9, false);
        let reason = publisher.receive_ack().reason;
        assert!([ReasonCode::SUCCESS, ReasonCode::NO_MATCHING_SUBSCRIBERS].contains(&reason), "{reason}");
    }
}

/// Order per topic and QoS (§4.6), with many in flight.
#[test]
fn messages_arrive_in_the_order_in_which_they_were_sent() {
    let broker = Broker::any();
    for version in VERSIONS {
        for qos in QOS {
            let topic = broker.topic("order");
            let mut subscriber = broker.connect(version, "to");
            subscriber.take(&topic, qos);
            let mut publisher = broker.connect(version, "from");
            for number in 0..200u16 {
                let sent = message(&topic, number.to_string(), qos);
                let mut bytes = Vec::new();
                Packet::Publish(Publish::of(&sent, number + 1, false)).encode(version, &mut bytes).unwrap();
                publisher.send_bytes(&bytes);
                // No more than ten are under way, below every broker's Receive Maximum.
                if number % 10 == 9 {
                    settle(&mut publisher, qos);
                }
            }
            let texts: Vec<String> = (0..200).map(|_| subscriber.next_text()).collect();
            assert!(texts.iter().enumerate().all(|(number, text)| *text == number.to_string()), "{texts:?}");
        }
    }
}

/// Completes ten messages.
fn settle(publisher: &mut Client, qos: QoS) {
    match qos {
        QoS::AtMostOnce => publisher.expect_nothing(),
        QoS::AtLeastOnce => (0..10).for_each(|_| assert_eq!(publisher.receive_ack().kind, AckKind::Puback)),
        QoS::ExactlyOnce => {
            for _ in 0..10 {
                let identifier = publisher.receive_ack().packet_identifier;
                publisher.acknowledge(AckKind::Pubrel, identifier);
            }
            (0..10).for_each(|_| assert_eq!(publisher.receive_ack().kind, AckKind::Pubcomp));
        }
    }
}
