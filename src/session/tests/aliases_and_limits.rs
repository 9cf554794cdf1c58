//! Topic aliases both ways (§3.3.2.3.4) and the limits of CONNACK (§3.2.2.3).

use super::*;
use crate::mqtt::TopicError;
use crate::mqtt::wire::WireError;

fn open(connack: &[(PropertyName, u32)]) -> Talk {
    let mut talk = Talk::new(v5());
    talk.connect(false, properties(connack));
    talk
}

fn aliased(topic: &str, alias: u32, qos_number: u8) -> Message {
    let properties = properties(&[(PropertyName::TopicAlias, alias)]);
    Message { topic: topic.to_owned(), properties, ..message(qos_number, "x") }
}

fn publish(talk: &mut Talk, message: Message) -> Result<u16, PublishError> {
    talk.session.publish(message).map_err(|(error, _)| error)
}

/// Topics and aliases as written.
fn topics(talk: &mut Talk) -> Vec<(String, Option<u32>)> {
    let topic_of = |packet: &Packet<'_>| match packet {
        Packet::Publish(publish) => (publish.topic.to_owned(), publish.properties.number(PropertyName::TopicAlias)),
        other => panic!("{other:?}"),
    };
    talk.said().iter().map(topic_of).collect()
}

#[test]
fn an_alias_replaces_a_topic_that_was_sent() {
    let mut talk = open(&[(PropertyName::TopicAliasMaximum, 9)]);
    for (topic, alias) in [("a", 5), ("a", 5), ("b", 2), ("a", 5), ("b", 5), ("b", 5), ("b", 2), ("a", 5)] {
        publish(&mut talk, aliased(topic, alias, 0)).unwrap();
    }
    let expected = [("a", 5), ("", 5), ("b", 2), ("", 5), ("b", 5), ("", 5), ("", 2), ("a", 5)];
    assert_eq!(topics(&mut talk), expected.map(|(topic, alias)| (topic.to_owned(), Some(alias))));
}

#[test]
fn an_alias_above_the_brokers_maximum_is_refused() {
    for maximum in [0, 4] {
        let mut talk = open(&[(PropertyName::TopicAliasMaximum, maximum)]);
        let error = publish(&mut talk, aliased("a", 5, 1)).unwrap_err();
        assert_eq!(error, PublishError::TopicAlias { alias: 5, maximum: maximum as u16 });
        assert_eq!((talk.session.output_len(), talk.session.in_flight()), (0, 0));
    }
}

#[test]
fn a_refused_message_sets_no_alias() {
    let mut talk = open(&[(PropertyName::TopicAliasMaximum, 9), (PropertyName::MaximumPacketSize, 30)]);
    let large = Message { payload: "x".repeat(100).into(), ..aliased("a", 1, 0) };
    assert!(publish(&mut talk, large).is_err());
    publish(&mut talk, aliased("a", 1, 0)).unwrap();
    assert_eq!(topics(&mut talk), [("a".to_owned(), Some(1))]);
}

/// A message names its topic: what has only an alias could not be sent again on another connection.
#[test]
fn an_empty_topic_is_refused_with_and_without_alias() {
    let mut talk = open(&[(PropertyName::TopicAliasMaximum, 9)]);
    let empty = PublishError::Wire(WireError::Topic { packet: "PUBLISH", error: TopicError::Empty });
    assert_eq!(publish(&mut talk, aliased("", 1, 1)), Err(empty.clone()));
    assert_eq!(publish(&mut talk, Message { topic: String::new(), ..message(0, "x") }), Err(empty));
}

#[test]
fn aliases_are_dropped_when_messages_are_sent_again_and_learnt_anew() {
    let mut talk = open(&[(PropertyName::TopicAliasMaximum, 9)]);
    let user = |mut message: Message| {
        message.properties.push(Property::user("k", "v"));
        message
    };
    publish(&mut talk, user(aliased("a", 1, 1))).unwrap();
    publish(&mut talk, user(aliased("a", 1, 1))).unwrap();
    assert_eq!(topics(&mut talk)[1].0, "");
    talk.session.handle_disconnected();
    talk.connect(true, properties(&[(PropertyName::TopicAliasMaximum, 9)]));
    let said = talk.said();
    assert_eq!(said.len(), 2);
    for packet in &said {
        let Packet::Publish(publish) = packet else { panic!("{said:?}") };
        assert_eq!((publish.topic, publish.dup), ("a", true));
        assert_eq!(publish.properties.to_properties(), std::iter::once(Property::user("k", "v")).collect());
    }
    publish(&mut talk, aliased("a", 1, 0)).unwrap();
    assert_eq!(topics(&mut talk), [("a".to_owned(), Some(1))]);
}

#[test]
fn aliases_mean_nothing_before_5_0() {
    let mut talk: Talk = Talk::open(v311());
    for _ in 0..2 {
        publish(&mut talk, aliased("a", 70, 0)).unwrap();
    }
    assert_eq!(topics(&mut talk), [("a".to_owned(), None), ("a".to_owned(), None)]);
}

fn allowing_aliases(maximum: u32) -> Talk {
    let connect_properties = properties(&[(PropertyName::TopicAliasMaximum, maximum)]);
    Talk::open(SessionConfig { connect_properties, ..v5() })
}

fn receives_aliased(talk: &mut Talk, topic: &str, alias: u32, dup: bool) -> Result<(), SessionError> {
    let properties = properties(&[(PropertyName::TopicAlias, alias)]);
    let publish = Publish { topic, properties: PublishProperties::Owned(&properties), ..delivery(2, 1, dup, "x") };
    talk.receives(&Packet::Publish(publish))?;
    talk.receives_ack(AckKind::Pubrel, 1)
}

#[test]
fn the_brokers_aliases_are_resolved() {
    let mut talk = allowing_aliases(3);
    for (topic, alias) in [("a", 3), ("b", 1), ("", 3), ("", 1), ("c", 3), ("", 3), ("", 3)] {
        receives_aliased(&mut talk, topic, alias, false).unwrap();
    }
    let topics: Vec<_> = talk.handler.came.iter().map(|came| came.topic.as_str()).collect();
    assert_eq!(topics, ["a", "b", "a", "b", "c", "c", "c"]);
}

#[test]
fn aliases_that_mean_nothing_break_the_protocol() {
    for (maximum, topic, alias) in [(0, "a", 1), (3, "a", 4), (3, "", 2), (3, "", 65_535)] {
        let mut talk = allowing_aliases(maximum);
        let error = receives_aliased(&mut talk, topic, alias, false).unwrap_err();
        assert_eq!(error.reason_to_send(), Some(ReasonCode::TOPIC_ALIAS_INVALID));
        assert_eq!(talk.said_in_short(), ["DISCONNECT 0x94"]);
        assert!(talk.handler.came.is_empty());
    }
    // An alias belongs to its connection.
    let mut talk = allowing_aliases(3);
    receives_aliased(&mut talk, "a", 1, false).unwrap();
    talk.reconnect(true);
    assert!(receives_aliased(&mut talk, "", 1, false).is_err());
}

/// A message that is known already teaches its alias all the same.
#[test]
fn a_repeated_message_teaches_its_alias() {
    let mut talk = allowing_aliases(3);
    talk.receives_message(2, 1, "x").unwrap();
    receives_aliased(&mut talk, "a", 2, true).unwrap();
    assert_eq!(talk.handler.came.len(), 1);
    receives_aliased(&mut talk, "", 2, false).unwrap();
    assert_eq!(talk.handler.came[1].topic, "a");
}

#[test]
fn limits_are_all_open_unless_connack_closes_them() {
    let talk: Talk = Talk::open(v311());
    assert_eq!(*talk.session.limits(), crate::session::Limits::default());
    let talk = open(&[
        (PropertyName::ReceiveMaximum, 3),
        (PropertyName::MaximumQos, 0),
        (PropertyName::RetainAvailable, 0),
        (PropertyName::WildcardSubscriptionAvailable, 0),
        (PropertyName::MaximumPacketSize, 77),
        (PropertyName::TopicAliasMaximum, 8),
    ]);
    let expected = crate::session::Limits {
        receive_maximum: 3,
        maximum_qos: QoS::AtMostOnce,
        retain_available: false,
        shared_subscription_available: true,
        wildcard_subscription_available: false,
        maximum_packet_size: 77,
        topic_alias_maximum: 8,
    };
    assert_eq!(*talk.session.limits(), expected);
}

#[test]
fn what_the_broker_does_not_take_is_not_written() {
    let mut talk = open(&[
        (PropertyName::MaximumQos, 1),
        (PropertyName::RetainAvailable, 0),
        (PropertyName::MaximumPacketSize, 30),
    ]);
    let qos_1 = QoS::AtLeastOnce;
    assert_eq!(talk.publish(2, "x"), Err(PublishError::QosNotSupported(qos_1)));
    assert_eq!(publish(&mut talk, Message { retain: true, ..message(0, "x") }), Err(PublishError::RetainNotAvailable));
    // PUBLISH of QoS 1 to "t": 2 + 3 + 2 + 1 bytes around the payload.
    assert_eq!(talk.publish(1, &"x".repeat(22)), Ok(1));
    let too_large = WireError::TooLarge { size: 31, limit: 30 };
    assert_eq!(talk.publish(1, &"x".repeat(23)), Err(PublishError::Wire(too_large)));
    let unsubscribe =
        crate::mqtt::wire::Unsubscribe { filters: vec!["f".repeat(40)], ..crate::mqtt::wire::Unsubscribe::default() };
    assert!(matches!(
        talk.session.unsubscribe(unsubscribe),
        Err(PublishError::Wire(WireError::TooLarge { limit: 30, .. }))
    ));
    assert_eq!(talk.said().len(), 1);
    assert_eq!(talk.publish(1, "y"), Ok(2), "what was refused has used no identifier");
}

#[test]
fn what_is_no_publish_is_not_written() {
    let mut talk: Talk = Talk::open(v5());
    for bad in [
        Message { topic: "a/+".into(), ..message(1, "x") },
        Message { topic: "a\0".into(), ..message(1, "x") },
        Message { topic: "x".repeat(70_000), ..message(1, "x") },
        Message { properties: properties(&[(PropertyName::ServerKeepAlive, 1)]), ..message(1, "x") },
    ] {
        let kept = bad.clone();
        let (error, given_back) = talk.session.publish(bad).unwrap_err();
        assert!(matches!(error, PublishError::Wire(_)), "{error}");
        assert_eq!(given_back, kept);
        assert_eq!((talk.session.output_len(), talk.session.in_flight()), (0, 0));
    }
}
