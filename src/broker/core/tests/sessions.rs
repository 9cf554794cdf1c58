//! Sessions: clean and durable, what waits, what is sent again and in which order (§4.1, §4.4, §4.6).

use super::super::{Access, Action, Decision, Identity};
use super::*;

#[test]
fn messages_wait_for_a_session_that_is_away() {
    for version in VERSIONS {
        let mut desk = Desk::new();
        let (client, present, _) = desk.durable(version, "away");
        assert!(!present);
        desk.subscribed(client, "a/#", QOS[1]);
        desk.leave(client);
        let publisher = desk.connect(version, "publisher");
        for number in 0..50 {
            desk.say(publisher, "a/b", &number.to_string(), QOS[1], false);
            desk.say(publisher, "a/b", "not kept", QOS[0], false);
        }
        let (client, present, mut got) = desk.durable(version, "away");
        // 3.1 cannot say it.
        assert_eq!(present, version != V31);
        let mut numbers = Vec::new();
        while !got.is_empty() {
            assert!(got.len() <= 20);
            for packet in std::mem::take(&mut got) {
                let Got::Publish { message, identifier, dup: false } = packet else { panic!("{packet:?}") };
                numbers.push(String::from_utf8_lossy(&message.payload).parse::<u32>().unwrap());
                desk.acknowledge(client, AckKind::Puback, identifier);
            }
            got.extend(desk.take(client));
        }
        assert_eq!(numbers, (0..50).collect::<Vec<_>>());
        desk.leave(client);
        let (client, present, _) = desk.connect_with(&hello(version, "away"));
        assert!(!present);
        desk.say(publisher, "a/b", "x", QOS[1], false);
        assert_eq!(desk.take(client), []);
    }
}

#[test]
fn what_was_not_acknowledged_comes_again_in_order_with_dup_and_the_same_identifiers() {
    for version in VERSIONS {
        for qos in [QOS[1], QOS[2]] {
            let mut desk = Desk::new();
            let (client, ..) = desk.durable(version, "again");
            desk.subscribed(client, "a", qos);
            let publisher = desk.connect(version, "publisher");
            for number in 0..30 {
                desk.say(publisher, "a", &number.to_string(), qos, false);
            }
            let first = desk.take(client);
            assert_eq!(first.len(), 20);
            desk.cut(client);
            let (client, _, second) = desk.durable(version, "again");
            let expected: Vec<Got> = first
                .into_iter()
                .map(|got| match got {
                    Got::Publish { message, identifier, .. } => Got::Publish { message, identifier, dup: true },
                    other => other,
                })
                .collect();
            assert_eq!(second, expected);
            // Then the others come, each when one is done.
            for number in 1..=20 {
                let kind = if qos == QOS[1] { AckKind::Puback } else { AckKind::Pubrec };
                desk.acknowledge(client, kind, number);
                if qos == QOS[2] {
                    desk.expect_ack(client, AckKind::Pubrel, number);
                    desk.acknowledge(client, AckKind::Pubcomp, number);
                }
                let expected = if number <= 10 { vec![(20 + number - 1).to_string()] } else { vec![] };
                assert_eq!(texts(&desk.messages(client)), expected);
            }
        }
    }
}

#[test]
fn after_pubrec_only_pubrel_is_sent_again() {
    for version in VERSIONS {
        let mut desk = Desk::new();
        let (client, ..) = desk.durable(version, "again");
        desk.subscribed(client, "a", QOS[2]);
        let publisher = desk.connect(version, "publisher");
        for text in ["one", "two"] {
            desk.say(publisher, "a", text, QOS[2], false);
        }
        desk.take(client);
        desk.acknowledge(client, AckKind::Pubrec, 1);
        desk.expect_ack(client, AckKind::Pubrel, 1);
        desk.cut(client);
        let (client, _, got) = desk.durable(version, "again");
        assert!(matches!(&got[..], [Got::Ack(AckKind::Pubrel, 1, _), Got::Publish { identifier: 2, dup: true, .. }]));
        desk.acknowledge(client, AckKind::Pubcomp, 1);
        desk.acknowledge(client, AckKind::Pubrec, 2);
        desk.expect_ack(client, AckKind::Pubrel, 2);
        desk.acknowledge(client, AckKind::Pubcomp, 2);
        assert_eq!(desk.core.statistics().stored_messages, 0);
    }
}

#[test]
fn a_qos_2_message_is_known_again_after_a_reconnect() {
    for version in VERSIONS {
        let mut desk = Desk::new();
        let watcher = desk.connect(V5, "watcher");
        desk.subscribed(watcher, "a", QOS[0]);
        let (client, ..) = desk.durable(version, "publisher");
        desk.publish(client, &message("a", "x", QOS[2]), 3);
        desk.cut(client);
        let (client, ..) = desk.durable(version, "publisher");
        desk.send(client, &Packet::Publish(Publish::of(&message("a", "x", QOS[2]), 3, true)));
        desk.expect_ack(client, AckKind::Pubrec, 3);
        desk.acknowledge(client, AckKind::Pubrel, 3);
        assert_eq!(desk.messages(watcher).len(), 1);
    }
}

#[test]
fn a_session_expires_and_disconnect_can_set_when() {
    let mut desk = Desk::new();
    let expiry = |seconds| property(PropertyName::SessionExpiryInterval, PropertyValue::FourByte(seconds));
    let (client, ..) = desk.durable(V5, "a");
    desk.wait(10_000);
    desk.cut(client);
    desk.wait(599);
    let (client, present, _) = desk.durable(V5, "a");
    assert!(present);
    desk.cut(client);
    desk.wait(600);
    let (client, present, _) = desk.durable(V5, "a");
    assert!(!present);
    let properties = [expiry(5)].into_iter().collect();
    desk.send(client, &Packet::Disconnect(Disconnect { reason: ReasonCode::SUCCESS, properties }));
    desk.wait(5);
    assert!(!desk.durable(V5, "a").1);

    let never = Connect { properties: [expiry(u32::MAX)].into_iter().collect(), ..durable(V5, "b") };
    let (client, ..) = desk.connect_with(&never);
    desk.cut(client);
    desk.wait(1_000_000_000);
    assert!(desk.connect_with(&never).1);

    let client = desk.connect(V5, "c");
    let properties = [expiry(5)].into_iter().collect();
    desk.send(client, &Packet::Disconnect(Disconnect { reason: ReasonCode::SUCCESS, properties }));
    assert_eq!(desk.take(client), [Got::Disconnect(ReasonCode::PROTOCOL_ERROR)]);
}

#[test]
fn sessions_of_3_1_1_stay_until_they_are_expired_by_configuration() {
    let mut desk = Desk::with(|settings| settings.persistent_client_expiration = Some(Duration::from_secs(60)));
    let (client, ..) = desk.durable(V311, "a");
    desk.leave(client);
    desk.wait(59);
    let (client, present, _) = desk.durable(V311, "a");
    assert!(present);
    desk.leave(client);
    desk.wait(60);
    assert!(!desk.durable(V311, "a").1);
}

#[test]
fn an_unknown_acknowledgement_is_ignored_and_one_of_another_kind_is_an_error() {
    for version in VERSIONS {
        let mut desk = Desk::new();
        let client = desk.connect(version, "client");
        desk.subscribed(client, "a", QOS[1]);
        desk.acknowledge(client, AckKind::Puback, 77);
        desk.acknowledge(client, AckKind::Pubcomp, 78);
        assert_eq!(desk.take(client), []);
        desk.acknowledge(client, AckKind::Pubrec, 79);
        assert!(matches!(desk.take(client)[..], [Got::Ack(AckKind::Pubrel, 79, _)]));
        let publisher = desk.connect(version, "publisher");
        desk.say(publisher, "a", "x", QOS[1], false);
        desk.take(client);
        desk.acknowledge(client, AckKind::Pubcomp, 1);
        assert!(desk.core.is_closing(client.id));
    }
}

#[test]
fn a_client_may_refuse_a_message_of_qos_2() {
    let mut desk = Desk::new();
    let client = desk.connect(V5, "client");
    desk.subscribed(client, "a", QOS[2]);
    let publisher = desk.connect(V5, "publisher");
    desk.say(publisher, "a", "x", QOS[2], false);
    desk.take(client);
    desk.send(client, &Packet::Ack(Ack::with_reason(AckKind::Pubrec, 1, ReasonCode(0x97))));
    assert_eq!(desk.take(client), []);
    assert_eq!(desk.core.statistics().stored_messages, 0);
}

/// An access list under which nobody reads `secret`.
struct Closed;

impl Access for Closed {
    fn connect(&mut self, _: &Connect, _: &Arc<str>, _: &Peer) -> Decision {
        Decision::Accept { user_name: None }
    }

    fn allows(&mut self, _: &Identity, action: Action, topic: &str) -> bool {
        action != Action::Read || topic != "secret"
    }

    fn checks_reads(&self) -> bool {
        true
    }
}

#[test]
fn what_a_client_may_no_longer_read_is_not_sent_from_its_queue() {
    let mut desk = Desk::new();
    let (client, _, _) = desk.durable(V311, "away");
    desk.subscribed(client, "#", QOS[1]);
    desk.leave(client);
    let publisher = desk.connect(V311, "from");
    for topic in ["open", "secret", "open"] {
        desk.say(publisher, topic, "x", QOS[1], false);
    }
    desk.core.set_access(Box::new(Closed));
    let (client, _, got) = desk.durable(V311, "away");
    let topics = got.iter().map(|got| match got {
        Got::Publish { message, .. } => message.topic.as_str(),
        other => panic!("{other:?}"),
    });
    assert_eq!(topics.collect::<Vec<_>>(), ["open", "open"]);
    for identifier in [1, 2] {
        desk.acknowledge(client, AckKind::Puback, identifier);
    }
    assert_eq!(desk.core.statistics().stored_messages, 0);
}
