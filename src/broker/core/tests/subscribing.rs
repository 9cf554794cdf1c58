//! SUBSCRIBE and UNSUBSCRIBE: filters, options, identifiers, overlaps, groups (§3.8 to §3.11, §4.7, §4.8).

use super::*;
use crate::mqtt::wire::{RetainHandling, Unsubscribe};

#[test]
fn the_wildcard_table_of_a_b_c_d() {
    let table = [
        ("a/b/c/d", true),
        ("+/b/c/d", true),
        ("a/+/c/d", true),
        ("a/+/+/d", true),
        ("+/+/+/+", true),
        ("#", true),
        ("a/#", true),
        ("a/b/#", true),
        ("a/b/c/#", true),
        ("+/b/c/#", true),
        ("a/b/c/d/#", true),
        ("a/b/c", false),
        ("b/+/c/d", false),
        ("+/+/+", false),
        ("a/b/c/d/+", false),
        ("/a/b/c/d", false),
        ("a/b/c/d/", false),
    ];
    for version in VERSIONS {
        for (filter, matches) in table {
            let mut desk = Desk::new();
            let client = desk.connect(version, "client");
            desk.subscribed(client, filter, QOS[0]);
            let publisher = desk.connect(version, "publisher");
            desk.say(publisher, "a/b/c/d", "x", QOS[0], true);
            assert_eq!(desk.messages(client).len(), usize::from(matches), "{filter}");
            let late = desk.connect(version, "late");
            desk.subscribe(late, filter, QOS[0]);
            assert_eq!(desk.messages(late).len(), usize::from(matches), "retained, {filter}");
        }
    }
}

#[test]
fn each_filter_gets_its_code_and_unsuback_of_5_0_has_one_for_each() {
    for version in VERSIONS {
        let mut desk = Desk::new();
        let client = desk.connect(version, "client");
        let filters: Vec<_> = QOS
            .iter()
            .zip(["a", "b/+", "c/#"])
            .map(|(qos, filter)| SubscribeFilter { filter: filter.into(), qos: *qos, ..SubscribeFilter::default() })
            .collect();
        desk.send(client, &Packet::Subscribe(Subscribe { packet_identifier: 3, filters, ..Subscribe::default() }));
        let got = desk.take(client);
        let [Got::Suback(suback)] = &got[..] else { panic!("{got:?}") };
        assert_eq!(suback.packet_identifier, 3);
        assert_eq!(suback.reasons, [ReasonCode(0), ReasonCode(1), ReasonCode(2)]);
        let filters = vec!["a".to_owned(), "x".to_owned(), "c/#".to_owned()];
        desk.send(
            client,
            &Packet::Unsubscribe(Unsubscribe { packet_identifier: 4, filters, ..Unsubscribe::default() }),
        );
        let got = desk.take(client);
        let [Got::Unsuback(unsuback)] = &got[..] else { panic!("{got:?}") };
        let expected = if version.is_v5() { vec![ReasonCode(0), ReasonCode(0x11), ReasonCode(0)] } else { vec![] };
        assert_eq!((unsuback.packet_identifier, &unsuback.reasons), (4, &expected));
        let publisher = desk.connect(version, "publisher");
        for topic in ["a", "b/x", "c/x"] {
            desk.say(publisher, topic, topic, QOS[0], false);
        }
        assert_eq!(texts(&desk.messages(client)), ["b/x"]);
    }
}

#[test]
fn overlapping_subscriptions_give_one_copy_before_5_0_and_one_each_with_it() {
    let mut desk = Desk::new();
    let publisher = desk.connect(V5, "publisher");
    for version in [V31, V311] {
        let client = desk.connect(version, "old");
        for (filter, qos) in [("a/#", QOS[0]), ("a/b", QOS[2]), ("+/b", QOS[1])] {
            desk.subscribed(client, filter, qos);
        }
        desk.say(publisher, "a/b", "x", QOS[2], false);
        assert_eq!(desk.messages(client), [("a/b".into(), "x".into(), QOS[2], false)]);
    }
    let client = desk.connect(V5, "new");
    for (filter, identifier) in [("a/#", 1), ("a/b", 2), ("+/b", 268_435_455), ("#", 0)] {
        let filter = SubscribeFilter { filter: filter.into(), ..SubscribeFilter::default() };
        desk.subscribe_with(client, filter, identifier);
    }
    desk.take(client);
    desk.say(publisher, "a/b", "x", QOS[1], false);
    let mut identifiers: Vec<_> = desk
        .take(client)
        .into_iter()
        .map(|got| match got {
            Got::Publish { message, .. } => message.properties.number(PropertyName::SubscriptionIdentifier),
            other => panic!("{other:?}"),
        })
        .collect();
    identifiers.sort_unstable();
    assert_eq!(identifiers, [None, Some(1), Some(2), Some(268_435_455)]);
}

#[test]
fn a_second_subscription_to_a_filter_replaces_the_first() {
    let mut desk = Desk::new();
    let client = desk.connect(V5, "client");
    let publisher = desk.connect(V5, "publisher");
    desk.say(publisher, "a", "kept", QOS[0], true);
    assert_eq!(desk.subscribed(client, "a", QOS[0]).len(), 1);
    assert_eq!(desk.subscribed(client, "a", QOS[1]).len(), 1);
    desk.say(publisher, "a", "x", QOS[2], false);
    assert_eq!(desk.messages(client), [("a".into(), "x".into(), QOS[1], false)]);
}

#[test]
fn the_options_of_5_0() {
    let mut desk = Desk::new();
    let client = desk.connect(V5, "client");
    let publisher = desk.connect(V5, "publisher");
    let filter = |text: &str| SubscribeFilter { filter: text.into(), ..SubscribeFilter::default() };
    desk.subscribe_with(client, SubscribeFilter { no_local: true, ..filter("local") }, 0);
    desk.take(client);
    desk.say(client, "local", "own", QOS[0], false);
    desk.say(publisher, "local", "other", QOS[0], false);
    assert_eq!(texts(&desk.messages(client)), ["other"]);

    desk.subscribe_with(client, SubscribeFilter { retain_as_published: true, ..filter("flag") }, 0);
    desk.take(client);
    desk.say(publisher, "flag", "x", QOS[0], true);
    desk.say(publisher, "flag", "y", QOS[0], false);
    let flags: Vec<_> = desk.messages(client).into_iter().map(|(.., retain)| retain).collect();
    assert_eq!(flags, [true, false]);

    desk.say(publisher, "kept", "k", QOS[0], true);
    for (retain_handling, counts) in
        [(RetainHandling::Always, [1, 1]), (RetainHandling::New, [1, 0]), (RetainHandling::Never, [0, 0])]
    {
        let new = desk.connect(V5, "new");
        for count in counts {
            desk.subscribe_with(new, SubscribeFilter { retain_handling, ..filter("kept") }, 5);
            let got = desk.take(new);
            assert_eq!(got.len(), 1 + count, "{retain_handling:?}");
            if let Some(Got::Publish { message, .. }) = got.get(1) {
                assert_eq!(message.properties.number(PropertyName::SubscriptionIdentifier), Some(5));
                assert!(message.retain);
            }
        }
    }
    // No Local on a shared subscription (MQTT-3.8.3-4).
    desk.core.handle_input(client.id, b"\x82\x10\x00\x01\x00\x00\x0a$share/g/a\x04", desk.now);
    assert_eq!(desk.take(client), [Got::Disconnect(ReasonCode::PROTOCOL_ERROR)]);
}

#[test]
fn filters_that_are_none_end_the_connection() {
    for version in VERSIONS {
        for filter in [&b""[..], b"a#", b"#/a", b"a+", b"$share/g", b"$share//a", b"a\0", b"\xff"] {
            let mut desk = Desk::new();
            let client = desk.connect(version, "client");
            let mut body = vec![0, 1];
            if version.is_v5() {
                body.push(0);
            }
            body.extend([0, filter.len() as u8]);
            body.extend(filter);
            body.push(0);
            let packet = [&[0x82, body.len() as u8][..], &body].concat();
            desk.core.handle_input(client.id, &packet, desk.now);
            assert!(desk.core.is_closing(client.id), "{filter:?}");
        }
    }
}

#[test]
fn a_shared_subscription_gives_each_message_to_one_who_is_there() {
    for version in VERSIONS {
        let mut desk = Desk::new();
        let one = desk.connect(version, "one");
        let (two, ..) = desk.durable(version, "two");
        let (away, ..) = desk.durable(version, "away");
        let publisher = desk.connect(version, "publisher");
        desk.say(publisher, "work", "retained", QOS[1], true);
        for client in [one, two, away] {
            // No retained messages for shared subscriptions.
            assert_eq!(desk.subscribed(client, "$share/g/work", QOS[1]), []);
        }
        desk.subscribed(one, "$share/other/+", QOS[0]);
        desk.leave(away);
        for number in 0..10 {
            desk.say(publisher, "work", &number.to_string(), QOS[1], false);
        }
        let (of_one, of_two) = (desk.messages(one), desk.messages(two));
        assert_eq!(of_one.len() + of_two.len(), 20);
        assert_eq!(of_two.len(), 5);
        // Nobody is there: it waits.
        desk.cut(one);
        desk.cut(two);
        desk.say(publisher, "work", "last", QOS[1], false);
        let waiting = desk.durable(version, "two").2.len() - 5 + desk.durable(version, "away").2.len();
        assert_eq!(waiting, 1);
    }
}

#[test]
fn what_a_session_had_is_gone_with_it() {
    let mut desk = Desk::new();
    for round in 0..3 {
        let clients: Vec<Client> = (0..100).map(|n| desk.connect(V5, &n.to_string())).collect();
        for client in &clients {
            for filter in ["a/b", "a/+", "$share/g/a/b", "#"] {
                desk.subscribed(*client, filter, QOS[1]);
            }
        }
        assert_eq!((desk.core.subscriptions.count(), desk.core.subscriptions.shared_count()), (300, 100));
        let mut listed = 0;
        desk.core.subscription_list(&mut |_, _, _| listed += 1);
        assert_eq!(listed, 400);
        for client in clients {
            if round == 0 { desk.leave(client) } else { desk.cut(client) }
        }
        assert_eq!((desk.core.subscriptions.count(), desk.core.subscriptions.shared_count()), (0, 0));
        assert_eq!(desk.core.sessions.len(), 0);
        assert_eq!(desk.core.connections.len(), 0);
    }
}

/// The cost of a SUBSCRIBE depends on what matches.
#[test]
fn a_thousand_filters_over_many_retained_messages_are_found_at_once() {
    let mut desk = Desk::with(|settings| settings.max_packet_size = 0);
    let publisher = desk.connect(V311, "publisher");
    for number in 0..20_000 {
        desk.publish(publisher, &Message { retain: true, ..message(&format!("r/{number}/v"), "x", QOS[0]) }, 0);
    }
    let client = desk.connect(V5, "client");
    let filters = (0..1_000).map(|n| SubscribeFilter { filter: format!("r/{n}/v"), ..SubscribeFilter::default() });
    let subscribe = Subscribe { packet_identifier: 1, filters: filters.collect(), ..Subscribe::default() };
    desk.send(client, &Packet::Subscribe(subscribe));
    let got = desk.take(client);
    assert_eq!(got.len(), 1_001);
    // Far more than fit into one turn.
    desk.subscribe(client, "#", QOS[0]);
    assert!(desk.core.output_len(client.id) < 300_000);
    assert_eq!(desk.messages(client).len(), 20_000);
}
