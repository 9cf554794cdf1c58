//! PUBLISH from the broker: acknowledging at once and later, exactly once over reconnects (§4.3, §4.6, §4.9).

use super::*;

fn came(talk: &Talk) -> Vec<&str> {
    talk.handler.came.iter().map(|came| came.payload.as_str()).collect()
}

fn later(config: SessionConfig) -> Talk {
    let mut talk = Talk::open(config);
    talk.handler.answer = Acknowledge::Later;
    talk
}

impl Talk {
    fn receives_again(&mut self, qos: u8, identifier: u16, payload: &str) {
        self.receives(&Packet::Publish(delivery(qos, identifier, true, payload))).unwrap();
    }

    fn acknowledge(&mut self, index: usize) {
        self.session.acknowledge(self.handler.came[index].receipt);
    }
}

/// ActiveMQ's advisories have "#" in their topics.
#[test]
fn a_topic_with_a_wildcard_is_handed_over() {
    for version in ALL_VERSIONS {
        let mut talk: Talk = Talk::open(config(version));
        let empty = if version.is_v5() { &[0][..] } else { &[] };
        let topic = b"ActiveMQ/Advisory/Consumer/Topic/#/+";
        let mut packet = vec![0x30, (2 + topic.len() + empty.len() + 1) as u8, 0, topic.len() as u8];
        packet.extend_from_slice(&[topic, empty, b"x"].concat());
        talk.session.handle_input(&packet, talk.now, &mut talk.handler).unwrap();
        assert_eq!(talk.handler.came[0].topic.as_bytes(), topic);
    }
}

/// MQTT 3.1 sends PUBREL again with DUP (3.1, §3.6); later versions reserve the flag.
#[test]
fn pubrel_may_have_dup_in_3_1() {
    for version in ALL_VERSIONS {
        let mut talk: Talk = Talk::open(config(version));
        talk.receives_message(2, 5, "x").unwrap();
        talk.discard();
        let released = talk.session.handle_input(&[0x6A, 2, 0, 5], talk.now, &mut talk.handler);
        assert_eq!(released.is_ok(), version == ProtocolVersion::V31, "{released:?}");
        if released.is_ok() {
            assert_eq!(talk.said_in_short(), ["PUBCOMP 5"]);
        }
    }
}

#[test]
fn what_was_acknowledged_at_qos_2_is_unreleased_until_pubrel() {
    let mut talk: Talk = Talk::open(v5());
    talk.handler.answer = Acknowledge::Later;
    talk.receives_message(2, 5, "x").unwrap();
    talk.receives_message(2, 6, "beyond").unwrap();
    assert_eq!(talk.session.unreleased(), 0);
    talk.acknowledge(0);
    assert_eq!(talk.session.unreleased(), 1);
    talk.receives_ack(AckKind::Pubrel, 5).unwrap();
    assert_eq!(talk.session.unreleased(), 0);
}

#[test]
fn each_qos_is_acknowledged_its_way() {
    for version in ALL_VERSIONS {
        let mut talk: Talk = Talk::open(config(version));
        talk.receives_message(0, 0, "a").unwrap();
        talk.receives_message(1, 7, "b").unwrap();
        talk.receives_message(2, 65_535, "c").unwrap();
        assert_eq!(talk.said_in_short(), ["PUBACK 7", "PUBREC 65535"]);
        talk.receives_ack(AckKind::Pubrel, 65_535).unwrap();
        assert_eq!(talk.said_in_short(), ["PUBCOMP 65535"]);
        assert_eq!(came(&talk), ["a", "b", "c"]);
        assert_eq!(talk.handler.came[2].topic, "t");
    }
}

#[test]
fn a_deferred_acknowledgement_waits_for_the_owner() {
    let mut talk = later(v311());
    for (qos, identifier, payload) in [(0, 0, "a"), (1, 1, "b"), (2, 2, "c"), (1, 3, "d")] {
        talk.receives_message(qos, identifier, payload).unwrap();
    }
    assert!(talk.said().is_empty());
    for index in 0..4 {
        talk.acknowledge(index);
    }
    assert_eq!(talk.said_in_short(), ["PUBACK 1", "PUBREC 2", "PUBACK 3"]);
    talk.receives_ack(AckKind::Pubrel, 2).unwrap();
    assert_eq!(talk.said_in_short(), ["PUBCOMP 2"]);
}

/// mqsub -C 2: what came beyond the count in the same read is never acknowledged, and DISCONNECT comes last.
#[test]
fn what_the_owner_does_not_acknowledge_stays_with_the_broker() {
    let mut talk = later(v5());
    let mut input = Vec::new();
    for (qos, identifier) in [(1, 1), (2, 2), (1, 3), (2, 4)] {
        input.extend(bytes_of(&Packet::Publish(delivery(qos, identifier, false, "x")), ProtocolVersion::V5));
    }
    talk.session.handle_input(&input, talk.now, &mut talk.handler).unwrap();
    talk.acknowledge(0);
    talk.acknowledge(1);
    talk.session.disconnect(ReasonCode::SUCCESS, Properties::new()).unwrap();
    talk.acknowledge(2);
    assert_eq!(talk.said_in_short(), ["PUBACK 1", "PUBREC 2", "DISCONNECT 0x00"]);
}

#[test]
fn pubrel_for_an_unknown_identifier_is_answered() {
    let mut talk: Talk = Talk::open(v5());
    talk.receives_ack(AckKind::Pubrel, 5).unwrap();
    assert_eq!(talk.said_in_short(), ["PUBCOMP 5 0x92"]);
    let mut talk: Talk = Talk::open(v311());
    talk.receives_ack(AckKind::Pubrel, 5).unwrap();
    assert_eq!(talk.said_in_short(), ["PUBCOMP 5"]);
}

/// §4.3.3 and MQTT-4.3.3-10: until PUBREL a PUBLISH with that identifier is the same message; afterwards a new one.
#[test]
fn qos_2_is_delivered_once_between_publish_and_pubrel() {
    let mut talk: Talk = Talk::open(v5());
    talk.receives_message(2, 3, "a").unwrap();
    talk.receives_again(2, 3, "a");
    assert_eq!(talk.said_in_short(), ["PUBREC 3", "PUBREC 3"]);
    talk.reconnect(true);
    talk.receives_again(2, 3, "a");
    assert_eq!(talk.said_in_short(), ["PUBREC 3"]);
    talk.receives_ack(AckKind::Pubrel, 3).unwrap();
    talk.reconnect(true);
    talk.receives_ack(AckKind::Pubrel, 3).unwrap();
    assert_eq!(talk.said_in_short(), ["PUBCOMP 3 0x92"], "PUBCOMP was lost with the connection");
    assert_eq!(came(&talk), ["a"]);
    talk.receives_message(2, 3, "b").unwrap();
    assert_eq!(came(&talk), ["a", "b"]);
}

#[test]
fn qos_1_is_delivered_again_after_a_reconnect() {
    let mut talk = later(v311());
    talk.receives_message(1, 3, "a").unwrap();
    talk.reconnect(true);
    talk.receives_again(1, 3, "a");
    assert_eq!(talk.handler.came.iter().map(|came| came.dup).collect::<Vec<_>>(), [false, true]);
    // The receipt of the first connection answers nothing here: it may be another message's identifier by now.
    talk.acknowledge(0);
    assert!(talk.said().is_empty());
    talk.acknowledge(1);
    assert_eq!(talk.said_in_short(), ["PUBACK 3"]);
}

/// The broker sends again what still waits for its owner: passed on once, answered once the owner is done — with the
/// receipt of the first connection, for there is no other.
#[test]
fn a_message_that_waits_for_its_owner_over_a_reconnect_is_answered_in_the_end() {
    let mut talk = later(v5());
    talk.receives_message(2, 3, "a").unwrap();
    talk.receives_again(2, 3, "a");
    talk.reconnect(true);
    talk.receives_again(2, 3, "a");
    assert!(talk.said().is_empty() && came(&talk) == ["a"]);
    talk.acknowledge(0);
    assert_eq!(talk.said_in_short(), ["PUBREC 3"]);
    talk.receives_ack(AckKind::Pubrel, 3).unwrap();
    assert_eq!(talk.said_in_short(), ["PUBCOMP 3"]);
    assert_eq!(came(&talk), ["a"]);
}

/// The owner is done while there is no connection, or before the broker has sent the message again.
#[test]
fn what_the_owner_acknowledged_between_connections_is_answered_when_it_comes_again() {
    for connected in [false, true] {
        let mut talk = later(v5());
        talk.receives_message(2, 3, "a").unwrap();
        talk.session.handle_disconnected();
        if connected {
            talk.reconnect(true);
        }
        talk.acknowledge(0);
        if !connected {
            talk.reconnect(true);
        }
        assert!(talk.said().is_empty());
        talk.receives_again(2, 3, "a");
        assert_eq!(talk.said_in_short(), ["PUBREC 3"]);
        assert_eq!(came(&talk), ["a"]);
    }
}

/// A receipt of a session that the broker has lost must not touch the message that has its identifier now.
#[test]
fn a_receipt_of_a_lost_session_does_nothing() {
    for qos in [1, 2] {
        let mut talk = later(v5());
        talk.receives_message(qos, 3, "old").unwrap();
        talk.reconnect(false);
        talk.receives_message(qos, 3, "new").unwrap();
        talk.acknowledge(0);
        assert!(talk.said().is_empty());
        talk.acknowledge(1);
        assert_eq!(talk.said_in_short(), [if qos == 1 { "PUBACK 3" } else { "PUBREC 3" }]);
        assert_eq!(came(&talk), ["old", "new"]);
    }
}

#[test]
fn a_lost_session_forgets_which_identifiers_were_known() {
    let mut talk: Talk = Talk::open(v5());
    talk.receives_message(2, 3, "a").unwrap();
    talk.reconnect(false);
    talk.receives_message(2, 3, "b").unwrap();
    assert_eq!(came(&talk), ["a", "b"]);
}

/// 3.1 has no Session Present: without a clean session the session is taken to live.
#[test]
fn a_3_1_broker_cannot_say_that_the_session_lives() {
    let mut talk: Talk = Talk::open(config(ProtocolVersion::V31));
    talk.receives_message(2, 3, "a").unwrap();
    talk.publish(2, "out").unwrap();
    talk.receives_ack(AckKind::Pubrec, 1).unwrap();
    talk.reconnect(false);
    talk.receives_again(2, 3, "a");
    assert_eq!(came(&talk), ["a"]);
    assert_eq!(talk.said_in_short(), ["PUBREL 1", "PUBREC 3"]);
}

#[test]
fn acknowledging_twice_answers_qos_2_once() {
    let mut talk = later(v5());
    talk.receives_message(2, 3, "a").unwrap();
    talk.acknowledge(0);
    talk.acknowledge(0);
    assert_eq!(talk.said_in_short(), ["PUBREC 3"]);
}

fn receiving_at_most(receive_maximum: u32) -> SessionConfig {
    SessionConfig { connect_properties: properties(&[(PropertyName::ReceiveMaximum, receive_maximum)]), ..v5() }
}

#[test]
fn more_than_our_receive_maximum_breaks_the_protocol() {
    let mut talk = later(receiving_at_most(2));
    talk.receives_message(1, 1, "a").unwrap();
    talk.receives_message(2, 2, "b").unwrap();
    talk.receives_message(0, 0, "free").unwrap();
    talk.receives_again(2, 2, "b");
    let error = talk.receives_message(2, 3, "over").unwrap_err();
    assert_eq!(error.reason_to_send(), Some(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED));
    assert_eq!(talk.said_in_short(), ["DISCONNECT 0x93"]);
    assert_eq!(came(&talk), ["a", "b", "free"]);
    // The owner never got it, so it is no duplicate: on the next connection the owner gets it.
    talk.reconnect(true);
    talk.receives_again(2, 3, "over");
    assert_eq!(came(&talk).last(), Some(&"over"));
}

#[test]
fn places_come_free_at_puback_and_pubcomp() {
    let mut talk = later(receiving_at_most(1));
    for round in 0..3 {
        talk.receives_message(1, 1, "a").unwrap();
        talk.acknowledge(2 * round);
        talk.receives_message(2, 2, "b").unwrap();
        talk.acknowledge(2 * round + 1);
        talk.receives_ack(AckKind::Pubrel, 2).unwrap();
    }
    talk.receives_message(2, 2, "c").unwrap();
    talk.acknowledge(6);
    assert!(talk.receives_message(1, 3, "PUBREL is owed").is_err());
    // A new connection counts anew.
    talk.reconnect(true);
    talk.receives_message(1, 3, "d").unwrap();
}

#[test]
fn before_5_0_there_is_no_receive_maximum() {
    let mut talk = later(SessionConfig { version: ProtocolVersion::V311, ..receiving_at_most(1) });
    for identifier in 1..100 {
        talk.receives_message(1, identifier, "x").unwrap();
    }
    assert_eq!(talk.handler.came.len(), 99);
}
