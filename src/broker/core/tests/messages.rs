//! PUBLISH and its acknowledgements at each QoS, retained messages, expiry, aliases, wills (§3.3 to §3.7, §4.3).

use super::*;

#[test]
fn every_version_gets_every_qos_at_the_lower_of_both() {
    for from in VERSIONS {
        for to in VERSIONS {
            let mut desk = Desk::new();
            let publisher = desk.connect(from, "publisher");
            for granted in QOS {
                let subscriber = desk.connect(to, "subscriber");
                desk.subscribed(subscriber, "a/+", granted);
                for sent in QOS {
                    desk.say(publisher, "a/b", "x", sent, false);
                    let got = desk.take(subscriber);
                    let [Got::Publish { message, identifier, dup: false }] = &got[..] else { panic!("{got:?}") };
                    let qos = sent.min(granted);
                    assert_eq!((message.qos, message.retain, &message.payload[..]), (qos, false, &b"x"[..]));
                    assert_eq!(*identifier > 0, qos > QOS[0]);
                    match qos {
                        QoS::AtMostOnce => {}
                        QoS::AtLeastOnce => desk.acknowledge(subscriber, AckKind::Puback, *identifier),
                        QoS::ExactlyOnce => {
                            desk.acknowledge(subscriber, AckKind::Pubrec, *identifier);
                            desk.expect_ack(subscriber, AckKind::Pubrel, *identifier);
                            desk.acknowledge(subscriber, AckKind::Pubcomp, *identifier);
                        }
                    }
                    assert_eq!(desk.take(subscriber), []);
                }
            }
            assert_eq!(desk.core.statistics().stored_messages, 0);
            assert_eq!(desk.core.statistics().stored_bytes, 0);
        }
    }
}

#[test]
fn a_qos_2_message_that_is_sent_again_is_delivered_once() {
    for version in VERSIONS {
        let mut desk = Desk::new();
        let subscriber = desk.connect(V5, "subscriber");
        desk.subscribed(subscriber, "#", QOS[0]);
        let publisher = desk.connect(version, "publisher");
        let text = message("a", "x", QOS[2]);
        desk.publish(publisher, &text, 5);
        desk.expect_ack(publisher, AckKind::Pubrec, 5);
        desk.send(publisher, &Packet::Publish(Publish::of(&text, 5, true)));
        desk.expect_ack(publisher, AckKind::Pubrec, 5);
        desk.acknowledge(publisher, AckKind::Pubrel, 5);
        desk.expect_ack(publisher, AckKind::Pubcomp, 5);
        // A PUBREL for nothing is answered, or the client would send it forever.
        desk.acknowledge(publisher, AckKind::Pubrel, 5);
        let reason = if version.is_v5() { ReasonCode(0x92) } else { ReasonCode::SUCCESS };
        assert_eq!(desk.take(publisher), [Got::Ack(AckKind::Pubcomp, 5, reason)]);
        assert_eq!(desk.messages(subscriber).len(), 1);
    }
}

#[test]
fn a_publisher_of_5_0_gets_no_matching_subscribers() {
    let mut desk = Desk::new();
    let publisher = desk.connect(V5, "publisher");
    desk.publish(publisher, &message("a", "x", QOS[1]), 1);
    assert_eq!(desk.take(publisher), [Got::Ack(AckKind::Puback, 1, ReasonCode(0x10))]);
}

#[test]
fn properties_are_forwarded_as_they_came_and_nothing_is_added() {
    let mut desk = Desk::new();
    let subscriber = desk.connect(V5, "subscriber");
    let old = desk.connect(V311, "old");
    desk.subscribed(subscriber, "a", QOS[1]);
    desk.subscribed(old, "a", QOS[1]);
    let publisher = desk.connect(V5, "publisher");
    let properties: Properties = [
        Property::user("b", "1"),
        property(PropertyName::ContentType, PropertyValue::Utf8("text".into())),
        Property::user("a", "2"),
        property(PropertyName::PayloadFormatIndicator, PropertyValue::Byte(1)),
        property(PropertyName::ResponseTopic, PropertyValue::Utf8("r".into())),
        property(PropertyName::CorrelationData, PropertyValue::Binary(vec![0, 255].into())),
    ]
    .into_iter()
    .collect();
    let sent = Message { properties: properties.clone(), ..message("a", "x", QOS[1]) };
    desk.publish(publisher, &sent, 1);
    let got = desk.take(subscriber);
    assert!(matches!(&got[..], [Got::Publish { message, .. }] if *message == sent), "{got:?}");
    let got = desk.take(old);
    assert!(matches!(&got[..], [Got::Publish { message, .. }] if message.properties.is_empty()), "{got:?}");
}

#[test]
fn the_broker_s_own_properties_are_a_protocol_error_from_a_client() {
    for (name, value) in [
        (PropertyName::SubscriptionIdentifier, PropertyValue::VarInt(1)),
        (PropertyName::ResponseTopic, PropertyValue::Utf8("a/#".into())),
    ] {
        let mut desk = Desk::new();
        let publisher = desk.connect(V5, "publisher");
        let properties = [property(name, value)].into_iter().collect();
        desk.publish(publisher, &Message { properties, ..message("a", "x", QOS[0]) }, 0);
        assert_eq!(desk.take(publisher), [Got::Disconnect(ReasonCode::PROTOCOL_ERROR)]);
    }
}

#[test]
fn a_message_expires_and_what_is_left_of_its_time_goes_with_it() {
    let mut desk = Desk::new();
    let (away, ..) = desk.durable(V5, "away");
    desk.subscribed(away, "a", QOS[1]);
    desk.leave(away);
    let publisher = desk.connect(V5, "publisher");
    for seconds in [5, 100] {
        let properties =
            [property(PropertyName::MessageExpiryInterval, PropertyValue::FourByte(seconds))].into_iter().collect();
        let retained = Message { properties, retain: true, ..message("a", &seconds.to_string(), QOS[1]) };
        desk.publish(publisher, &retained, 1);
    }
    desk.wait(10);
    let (_, present, got) = desk.durable(V5, "away");
    assert!(present);
    let [Got::Publish { message, .. }] = &got[..] else { panic!("{got:?}") };
    assert_eq!(&message.payload[..], b"100");
    assert_eq!(message.properties.number(PropertyName::MessageExpiryInterval), Some(90));
    desk.wait(80);
    let late = desk.connect(V5, "late");
    let got = desk.subscribed(late, "a", QOS[0]);
    let [Got::Publish { message, .. }] = &got[..] else { panic!("{got:?}") };
    assert_eq!(message.properties.number(PropertyName::MessageExpiryInterval), Some(10));
    desk.wait(10);
    assert_eq!(desk.subscribed(late, "a", QOS[0]), []);
}

#[test]
fn a_client_may_use_the_aliases_that_it_was_promised() {
    let mut desk = Desk::new();
    let subscriber = desk.connect(V311, "subscriber");
    desk.subscribed(subscriber, "#", QOS[0]);
    let alias = |number| [property(PropertyName::TopicAlias, PropertyValue::TwoByte(number))].into_iter().collect();
    let publisher = desk.connect(V5, "publisher");
    for (topic, number) in [("a", 1), ("b", 10), ("", 1), ("", 10), ("c", 1), ("", 1)] {
        desk.publish(publisher, &Message { properties: alias(number), ..message(topic, "x", QOS[0]) }, 0);
    }
    let topics: Vec<_> = desk.messages(subscriber).into_iter().map(|(topic, ..)| topic).collect();
    assert_eq!(topics, ["a", "b", "a", "b", "c", "c"]);
    for (topic, number, code) in [("a", 11, 0x94), ("", 9, 0x82)] {
        let publisher = desk.connect(V5, "publisher");
        desk.publish(publisher, &Message { properties: alias(number), ..message(topic, "x", QOS[0]) }, 0);
        assert_eq!(desk.take(publisher), [Got::Disconnect(ReasonCode(code))]);
    }
}

#[test]
fn the_broker_uses_the_aliases_that_a_client_allows() {
    let mut desk = Desk::new();
    let mut connect = hello(V5, "subscriber");
    connect.properties.push(property(PropertyName::TopicAliasMaximum, PropertyValue::TwoByte(1)));
    let (subscriber, ..) = desk.connect_with(&connect);
    desk.subscribed(subscriber, "#", QOS[1]);
    let publisher = desk.connect(V311, "publisher");
    let mut seen = Vec::new();
    for topic in ["a", "b", "a", "b"] {
        desk.say(publisher, topic, "x", QOS[1], false);
        for got in desk.take(subscriber) {
            let Got::Publish { message, .. } = got else { panic!("{got:?}") };
            seen.push((message.properties.number(PropertyName::TopicAlias), message.topic));
        }
    }
    let expected = [(Some(1), "a".to_owned()), (None, "b".into()), (Some(1), String::new()), (None, "b".into())];
    assert_eq!(seen, expected);
}

#[test]
fn retained_messages_wait_for_subscribers_are_replaced_and_cleared() {
    for version in VERSIONS {
        let mut desk = Desk::new();
        let publisher = desk.connect(version, "publisher");
        let live = desk.connect(version, "live");
        desk.subscribed(live, "#", QOS[2]);
        desk.say(publisher, "a", "old", QOS[1], true);
        desk.say(publisher, "a", "new", QOS[2], true);
        // To who is there the flag is not set (MQTT-3.3.1-9).
        assert!(desk.messages(live).iter().all(|(.., retain)| !retain));
        let late = desk.connect(version, "late");
        desk.subscribe(late, "a", QOS[1]);
        assert_eq!(desk.messages(late), [("a".into(), "new".into(), QOS[1], true)]);
        desk.say(publisher, "a", "", QOS[0], true);
        // The clearing message itself is delivered.
        assert_eq!(texts(&desk.messages(live)), [""]);
        let later = desk.connect(version, "later");
        desk.subscribe(later, "a", QOS[1]);
        assert_eq!(desk.messages(later), []);
        assert_eq!(desk.core.retained.count(), 0);
    }
}

#[test]
fn dollar_topics_are_hidden_from_wildcards_and_the_broker_s_own_are_not_written() {
    let mut desk = Desk::new();
    let client = desk.connect(V5, "client");
    for filter in ["#", "+/a", "$other/#", "$SYS/#"] {
        desk.subscribed(client, filter, QOS[0]);
    }
    let publisher = desk.connect(V311, "publisher");
    for topic in ["$other/a", "$SYS/a", "$SYS", "$CONTROL/x"] {
        desk.say(publisher, topic, topic, QOS[1], false);
    }
    assert_eq!(texts(&desk.messages(client)), ["$other/a"]);
    // Nor by a will. The bridge of a mosquitto may say how it is.
    desk.say(publisher, "$SYS/broker/connection/b/state", "1", QOS[1], false);
    for topic in ["$SYS/will", "$SYS/broker/connection/b/state"] {
        let will = Some(message(topic, "0", QOS[1]));
        let (client, ..) = desk.connect_with(&Connect { will, ..hello(V311, "will") });
        desk.cut(client);
    }
    assert_eq!(texts(&desk.messages(client)), ["1", "0"]);
    let new = desk.connect(V5, "new");
    desk.publish(new, &message("$SYS/a", "x", QOS[1]), 1);
    assert_eq!(desk.take(new), [Got::Ack(AckKind::Puback, 1, ReasonCode(0x87))]);
}

#[test]
fn sys_is_published_retained_and_counts() {
    let mut desk = Desk::with(|settings| settings.sys_interval = Duration::from_secs(10));
    let client = desk.connect(V311, "client");
    let got = desk.subscribed(client, "$SYS/broker/version", QOS[0]);
    assert!(matches!(&got[..], [Got::Publish { message, .. }] if message.payload.starts_with(b"mqbroker version ")));
    desk.subscribed(client, "$SYS/broker/#", QOS[0]);
    desk.say(client, "a", "12345", QOS[0], false);
    desk.wait(10);
    let messages = desk.messages(client);
    let value = |topic: &str| {
        let topic = format!("$SYS/broker/{topic}");
        messages.iter().rev().find(|(name, ..)| *name == topic).map(|(_, value, ..)| value.as_str())
    };
    assert_eq!(value("clients/connected"), Some("1"));
    assert_eq!(value("subscriptions/count"), Some("2"));
    assert_eq!(value("publish/messages/received"), Some("1"));
    assert_eq!(value("publish/bytes/received"), Some("5"));
    assert_eq!(value("uptime"), Some("10 seconds"));
    assert!(value("load/publish/received/1min").is_some_and(|load| load != "0.00"));
    // What did not change is not recorded again.
    assert_eq!(value("clients/total"), Some("1"));
    desk.wait(10);
    assert!(!desk.messages(client).iter().any(|(topic, ..)| topic.ends_with("clients/total")));
}

fn will(version: ProtocolVersion, id: &str, delay: u32) -> Connect {
    let mut will = Message { retain: true, ..message("will", id, QOS[1]) };
    if delay > 0 {
        will.properties.push(property(PropertyName::WillDelayInterval, PropertyValue::FourByte(delay)));
        will.properties.push(Property::user("k", "v"));
    }
    Connect { will: Some(will), ..durable(version, id) }
}

#[test]
fn a_will_is_sent_for_who_is_cut_off_and_not_for_who_leaves() {
    for version in VERSIONS {
        let mut desk = Desk::new();
        let watcher = desk.connect(V5, "watcher");
        desk.subscribed(watcher, "will", QOS[1]);
        let (leaving, ..) = desk.connect_with(&will(version, "leaving", 0));
        desk.leave(leaving);
        let (cut_off, ..) = desk.connect_with(&will(version, "cut-off", 0));
        desk.cut(cut_off);
        let (taken, ..) = desk.connect_with(&will(version, "taken", 0));
        desk.connect(version, "taken");
        let (broken, ..) = desk.connect_with(&will(version, "broken", 0));
        desk.core.handle_input(broken.id, &[0xFF, 0xFF], desk.now);
        let (silent, ..) = desk.connect_with(&Connect { keep_alive: 1, ..will(version, "silent", 0) });
        desk.wait(2);
        assert!(desk.core.is_closing(silent.id) && desk.core.is_closing(taken.id));
        assert_eq!(texts(&desk.messages(watcher)), ["cut-off", "taken", "broken", "silent"]);
        let late = desk.connect(V5, "late");
        desk.subscribe(late, "will", QOS[1]);
        assert_eq!(texts(&desk.messages(late)), ["silent"]);
    }
}

#[test]
fn a_will_waits_for_its_delay_or_the_end_of_the_session() {
    let mut desk = Desk::new();
    let watcher = desk.connect(V5, "watcher");
    desk.subscribed(watcher, "will", QOS[1]);
    let (client, ..) = desk.connect_with(&will(V5, "a", 10));
    desk.cut(client);
    desk.wait(9);
    assert_eq!(desk.take(watcher), []);
    desk.wait(1);
    let got = desk.take(watcher);
    let [Got::Publish { message, .. }] = &got[..] else { panic!("{got:?}") };
    assert_eq!(message.properties, [Property::user("k", "v")].into_iter().collect());

    // Who comes back in time has none.
    let (client, ..) = desk.connect_with(&will(V5, "b", 10));
    desk.cut(client);
    desk.wait(9);
    let (client, present, _) = desk.durable(V5, "b");
    assert!(present);
    desk.wait(100);
    assert_eq!(desk.take(watcher), []);
    desk.leave(client);

    // A session that ends first ends the delay.
    let mut short = will(V5, "c", 10_000);
    short.properties = Properties::new();
    let (client, ..) = desk.connect_with(&short);
    desk.cut(client);
    assert_eq!(texts(&desk.messages(watcher)), ["c"]);
    let (client, ..) = desk.connect_with(&will(V5, "d", 10_000));
    desk.cut(client);
    desk.wait(600);
    assert_eq!(texts(&desk.messages(watcher)), ["d"]);
    let (client, ..) = desk.connect_with(&will(V5, "e", 10_000));
    desk.cut(client);
    desk.connect(V5, "e");
    assert_eq!(texts(&desk.messages(watcher)), ["e"]);

    // DISCONNECT with Will Message.
    let (client, ..) = desk.connect_with(&will(V5, "f", 0));
    desk.send(client, &Packet::Disconnect(Disconnect { reason: ReasonCode(4), properties: Properties::new() }));
    assert_eq!(texts(&desk.messages(watcher)), ["f"]);
}

#[test]
fn large_payloads_reach_everybody_whole() {
    let mut desk = Desk::new();
    let clients: Vec<Client> = (0..3).map(|n| desk.connect(VERSIONS[n], &n.to_string())).collect();
    for (client, qos) in clients.iter().zip(QOS) {
        desk.subscribed(*client, "a", qos);
    }
    let publisher = desk.connect(V5, "publisher");
    for size in [0, 1, 8_191, 8_192, 100_000, 1_900_000] {
        let text = "x".repeat(size);
        for qos in QOS {
            desk.say(publisher, "a", &text, qos, false);
            for client in &clients {
                let got = desk.take(*client);
                let [Got::Publish { message, identifier, .. }] = &got[..] else { panic!("{} packets", got.len()) };
                assert!(message.payload == text);
                match message.qos {
                    QoS::AtMostOnce => {}
                    QoS::AtLeastOnce => desk.acknowledge(*client, AckKind::Puback, *identifier),
                    QoS::ExactlyOnce => {
                        desk.acknowledge(*client, AckKind::Pubrec, *identifier);
                        desk.take(*client);
                        desk.acknowledge(*client, AckKind::Pubcomp, *identifier);
                    }
                }
            }
        }
    }
}

#[test]
fn a_topic_with_a_wildcard_ends_the_connection() {
    for version in VERSIONS {
        for topic in ["a/+", "+", "#", "a/#", "a+b"] {
            let mut desk = Desk::new();
            let subscriber = desk.connect(version, "to");
            desk.subscribed(subscriber, "#", QOS[0]);
            let client = desk.connect(version, "from");
            // By hand, for the codec writes no such topic.
            let properties: &[u8] = if version.is_v5() { &[0] } else { &[] };
            let body = [&[0, topic.len() as u8], topic.as_bytes(), properties, b"x"].concat();
            desk.core.handle_input(client.id, &[&[0x30, body.len() as u8], &body[..]].concat(), desk.now);
            // MQTT-3.3.2-2.
            assert!(desk.core.is_closing(client.id), "{topic}");
            assert_eq!(desk.take(subscriber), []);
        }
    }
}
