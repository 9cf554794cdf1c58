//! SUBSCRIBE and UNSUBSCRIBE (§3.8 to §3.11), and how filters match topics (§4.7).

use super::*;
use mqtools::mqtt::wire::RetainHandling;

/// What `a/b/c/d` matches and what not (§4.7.1).
#[test]
fn the_wildcard_table_of_a_b_c_d() {
    const MATCHES: [&str; 16] = [
        "a/b/c/d",
        "+/b/c/d",
        "a/+/c/d",
        "a/+/+/d",
        "+/+/+/+",
        "#",
        "a/#",
        "a/b/#",
        "a/b/c/#",
        "a/b/c/d/#",
        "+/b/c/#",
        "a/+/#",
        "+/#",
        "+/+/#",
        "+/+/+/+/#",
        "a/b/c/+",
    ];
    const DIFFERS: [&str; 14] = [
        "a/b/c",
        "b/+/c/d",
        "+/+/+",
        "+",
        "a",
        "a/b/c/d/+",
        "/a/b/c/d",
        "a/b/c/d/",
        "a//b/c/d",
        "A/b/c/d",
        "/#",
        "b/#",
        "a/b/d/#",
        "+/+/+/+/+",
    ];
    let broker = Broker::any();
    // The table is that of topics below a prefix, so that a broker that others use sends nothing else.
    let prefix = broker.topic("table");
    for version in VERSIONS {
        let mut subscriber = broker.connect(version, "table");
        let mut publisher = broker.connect(version, "from");
        for (filters, expected) in [(&MATCHES[..], true), (&DIFFERS[..], false)] {
            for name in filters {
                let filter = format!("{prefix}/{name}");
                subscriber.take(&filter, QoS::AtMostOnce);
                publisher.say(&format!("{prefix}/a/b/c/d"), name, QoS::AtLeastOnce);
                if expected {
                    assert_eq!(subscriber.next_text(), *name);
                }
                subscriber.expect_nothing();
                subscriber.unsubscribe(&[&filter]);
            }
        }
    }
}

#[test]
fn levels_may_be_empty_and_a_parent_is_matched_by_number_sign() {
    let broker = Broker::any();
    let mut subscriber = broker.connect(V5, "to");
    let mut publisher = broker.connect(V5, "from");
    let at = |name: &str| broker.topic(name);
    for (filter, topic, matches) in [
        ("+/+", "/x", true),
        ("/+", "/x", true),
        ("+", "/x", false),
        ("p/#", "p", true),
        ("p/+", "p", false),
        ("p/+", "p/", true),
        ("p//q", "p//q", true),
        ("p/+/q", "p//q", true),
        ("p", "P", false),
    ] {
        subscriber.take(&at(filter), QoS::AtMostOnce);
        publisher.say(&at(topic), filter, QoS::AtLeastOnce);
        if matches {
            assert_eq!(subscriber.next_text(), filter, "{topic}");
        }
        subscriber.expect_nothing();
        subscriber.unsubscribe(&[&at(filter)]);
    }
}

#[test]
fn dollar_topics_are_hidden_from_wildcards_in_front() {
    let broker = Broker::any();
    let mut subscriber = broker.connect(V311, "to");
    let name = broker.topic("hidden");
    // In one packet: retained messages of others may come behind it.
    let filters = ["#", "+/#", "+/+/+/+"].map(|name| filter(name, QoS::AtMostOnce)).to_vec();
    assert_eq!(subscriber.subscribe_with(filters, Properties::new()).reasons, [ReasonCode::SUCCESS; 3]);
    let mut publisher = broker.connect(V311, "from");
    publisher.say(&format!("$conformance/{name}"), "hidden", QoS::AtLeastOnce);
    publisher.say(&name, "shown", QoS::AtLeastOnce);
    // Others may use the broker; of ours only the second comes (MQTT-4.7.2-1).
    let mine =
        std::iter::from_fn(|| Some(subscriber.next_message())).find(|message| message.topic.contains(&broker.tag));
    assert_eq!(mine.unwrap().payload, "shown");
}

#[test]
fn each_filter_has_its_code_and_the_identifier_comes_back() {
    let broker = Broker::any();
    for version in VERSIONS {
        let mut client = broker.connect(version, "codes");
        let filters = QOS.map(|qos| filter(&broker.topic(&format!("q{}", qos.number())), qos)).to_vec();
        let suback = client.subscribe_with(filters, Properties::new());
        assert_eq!(suback.packet_identifier, 11, "MQTT-3.8.4-2");
        assert_eq!(suback.reasons, [0, 1, 2].map(ReasonCode), "MQTT-3.9.3-1");
    }
}

#[test]
fn a_subscribe_that_breaks_the_rules_ends_the_connection() {
    let broker = Broker::any();
    let cases: [(&str, &[u8]); 9] = [
        ("no filter (MQTT-3.8.3-2)", b"\x82\x02\x00\x01"),
        ("reserved flags (MQTT-3.8.1-1)", b"\x80\x06\x00\x01\x00\x01a\x00"),
        ("identifier 0 (MQTT-2.2.1-3)", b"\x82\x06\x00\x00\x00\x01a\x00"),
        ("QoS 3 (MQTT-3.8.3-4)", b"\x82\x06\x00\x01\x00\x01a\x03"),
        ("an empty filter (MQTT-4.7.3-1)", b"\x82\x05\x00\x01\x00\x00\x00"),
        ("# not at the end (MQTT-4.7.1-1)", b"\x82\x08\x00\x01\x00\x03#/a\x00"),
        ("# behind text", b"\x82\x07\x00\x01\x00\x02a#\x00"),
        ("+ behind text (MQTT-4.7.1-2)", b"\x82\x07\x00\x01\x00\x02a+\x00"),
        ("UNSUBSCRIBE without a filter (MQTT-3.10.3-2)", b"\xa2\x02\x00\x01"),
    ];
    for (what, packet) in cases {
        let mut client = broker.connect(V311, "bad");
        client.send_bytes(packet);
        assert_eq!(client.expect_end(), None, "{what}");
        let mut bytes = packet.to_vec();
        bytes.insert(4, 0);
        bytes[1] += 1;
        let mut client = broker.connect(V5, "bad");
        client.send_bytes(&bytes);
        client.expect_end();
    }
    // With 5.0: reserved bits of the options, Retain Handling 3, No Local for a shared subscription.
    for (what, packet) in [
        ("reserved option bits (MQTT-3.8.3-5)", &b"\x82\x07\x00\x01\x00\x00\x01a\x40"[..]),
        ("Retain Handling 3", b"\x82\x07\x00\x01\x00\x00\x01a\x30"),
        ("No Local and $share (MQTT-3.8.3-4)", b"\x82\x10\x00\x01\x00\x00\x0a$share/g/a\x04"),
        ("Subscription Identifier 0", b"\x82\x09\x00\x01\x02\x0b\x00\x00\x01a\x00"),
    ] {
        let mut client = broker.connect(V5, "bad");
        client.send_bytes(packet);
        assert!(client.expect_end().is_none_or(ReasonCode::is_error), "{what}");
    }
}

#[test]
fn unsubscribe_ends_a_subscription_and_reports_whether_there_was_one() {
    let broker = Broker::any();
    for version in VERSIONS {
        let mut client = broker.connect(version, "ends");
        let (one, other) = (broker.topic("one"), broker.topic("other"));
        client.take(&one, QoS::AtMostOnce);
        let unsuback = client.unsubscribe(&[&one, &other]);
        assert_eq!(unsuback.packet_identifier, 12);
        if version.is_v5() {
            assert_eq!(unsuback.reasons, [ReasonCode::SUCCESS, ReasonCode(0x11)], "MQTT-3.11.3-1");
        }
        client.say(&one, "x", QoS::AtLeastOnce);
        client.expect_nothing();
    }
}

#[test]
fn a_second_subscription_to_a_filter_replaces_the_first() {
    let broker = Broker::any();
    let topic = broker.topic("twice");
    for version in VERSIONS {
        let mut publisher = broker.connect(version, "from");
        publisher.retain(&topic, "kept", QoS::ExactlyOnce);
        let mut client = broker.connect(version, "to");
        for qos in [QoS::ExactlyOnce, QoS::AtMostOnce] {
            client.take(&topic, qos);
            assert_eq!(client.next_message().qos, qos, "retained messages are sent again (MQTT-3.8.4-3)");
        }
        publisher.say(&topic, "live", QoS::ExactlyOnce);
        assert_eq!(client.next_message().qos, QoS::AtMostOnce);
        client.expect_nothing();
        publisher.retain(&topic, "", QoS::AtLeastOnce);
    }
}

/// §3.3.4: one message with the highest QoS, or one for each subscription; with identifiers all of them are named.
#[test]
fn overlapping_subscriptions_deliver_at_the_highest_qos() {
    let broker = Broker::any();
    let topic = broker.topic("over/lap");
    let wide = broker.topic("over/#");
    for version in VERSIONS {
        let mut client = broker.connect(version, "to");
        client.take(&topic, QoS::AtMostOnce);
        client.take(&wide, QoS::ExactlyOnce);
        client.say(&broker.topic("other"), "nobody", QoS::AtLeastOnce);
        let mut publisher = broker.connect(version, "from");
        publisher.say(&topic, "x", QoS::ExactlyOnce);
        let mut got = vec![client.next_message()];
        if broker.is_ours() && version.is_v5() {
            got.push(client.next_message());
        }
        if broker.is_ours() {
            client.expect_nothing();
        }
        assert_eq!(got.iter().map(|message| message.qos).max(), Some(QoS::ExactlyOnce), "MQTT-3.3.4-2");
    }
    let mut client = broker.connect(V5, "ids");
    for (identifier, name) in [(1, &topic), (200_000, &wide)] {
        let property = number(PropertyName::SubscriptionIdentifier, PropertyValue::VarInt(identifier));
        client.subscribe_with(vec![filter(name, QoS::AtMostOnce)], [property].into_iter().collect());
    }
    let mut publisher = broker.connect(V5, "from");
    publisher.say(&topic, "x", QoS::AtLeastOnce);
    let mut named = Vec::new();
    while named.len() < 2 {
        for property in client.next_message().properties.iter() {
            assert_eq!(property.name(), PropertyName::SubscriptionIdentifier);
            named.extend(property.value().number());
        }
    }
    named.sort_unstable();
    assert_eq!(named, [1, 200_000], "MQTT-3.3.4-3, MQTT-3.3.4-4");
}

#[test]
fn no_local_and_retain_as_published() {
    let broker = Broker::any();
    let topic = broker.topic("options");
    let mut own = broker.connect(V5, "own");
    own.subscribe_with(vec![SubscribeFilter { no_local: true, ..filter(&topic, QoS::AtLeastOnce) }], Properties::new());
    let mut as_published = broker.connect(V5, "rap");
    as_published.subscribe_with(
        vec![SubscribeFilter { retain_as_published: true, ..filter(&topic, QoS::AtLeastOnce) }],
        Properties::new(),
    );
    own.retain(&topic, "x", QoS::AtLeastOnce);
    own.expect_nothing();
    assert!(as_published.next_message().retain, "MQTT-3.3.1-13");
    let mut other = broker.connect(V5, "other");
    other.say(&topic, "y", QoS::AtLeastOnce);
    assert_eq!(own.next_text(), "y", "MQTT-3.8.3-3");
    assert!(!as_published.next_message().retain);
    own.retain(&topic, "", QoS::AtLeastOnce);
}

#[test]
fn retain_handling_decides_when_retained_messages_are_sent() {
    let broker = Broker::any();
    let topic = broker.topic("handling");
    let mut publisher = broker.connect(V5, "from");
    publisher.retain(&topic, "kept", QoS::AtLeastOnce);
    for (handling, times) in [
        (RetainHandling::Always, [true, true]),
        (RetainHandling::New, [true, false]),
        (RetainHandling::Never, [false; 2]),
    ] {
        let mut client = broker.connect(V5, "to");
        for expected in times {
            let filter = SubscribeFilter { retain_handling: handling, ..filter(&topic, QoS::AtLeastOnce) };
            client.subscribe_with(vec![filter], Properties::new());
            if expected {
                assert_eq!(client.next_text(), "kept", "{handling:?}");
            }
            client.expect_nothing();
        }
    }
    publisher.retain(&topic, "", QoS::AtLeastOnce);
}
