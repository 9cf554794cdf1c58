//! What is sent again after a reconnect (§4.4): with the session, without it, and through a smaller window.

use super::*;

fn outcomes(talk: &Talk) -> Vec<(&str, Outcome, u8)> {
    talk.handler.done.iter().map(|done| (done.payload.as_str(), done.outcome, done.reason.0)).collect()
}

/// QoS 1 in flight, QoS 2 before PUBREC, QoS 2 after PUBREC, and one that is done; then the connection is lost.
fn four_in_flight(config: SessionConfig) -> Talk {
    let mut talk = Talk::open(config);
    for (qos, payload) in [(1, "a"), (2, "b"), (2, "c"), (1, "d"), (1, "e")] {
        talk.publish(qos, payload).unwrap();
    }
    talk.receives_ack(AckKind::Pubrec, 3).unwrap();
    talk.receives_ack(AckKind::Puback, 4).unwrap();
    talk.said();
    talk.handler.done.clear();
    talk.handler.events.clear();
    talk.session.handle_disconnected();
    assert_eq!((talk.session.in_flight(), talk.session.window_free()), (4, 0));
    talk
}

#[test]
fn with_the_session_everything_goes_on_in_its_order() {
    for version in [ProtocolVersion::V311, ProtocolVersion::V5] {
        let mut talk = four_in_flight(config(version));
        talk.connect(true, Properties::new());
        assert_eq!(talk.handler.events[1], Event::Resending { messages: 4, uncertain: 0 });
        assert_eq!(talk.said_in_short(), ["PUBLISH 1 dup a", "PUBLISH 2 dup b", "PUBREL 3", "PUBLISH 5 dup e"]);
        assert_eq!(talk.publish(1, "f"), Ok(6));
        talk.receives_ack(AckKind::Pubcomp, 3).unwrap();
        talk.receives_ack(AckKind::Puback, 1).unwrap();
        assert_eq!(outcomes(&talk), [("c", Outcome::Acknowledged, 0), ("a", Outcome::Acknowledged, 0)]);
        assert_eq!(talk.session.in_flight(), 3);
    }
}

/// The largest trap of other clients: without the session they drop what was in flight.
#[test]
fn without_the_session_everything_is_published_anew() {
    for version in [ProtocolVersion::V311, ProtocolVersion::V5] {
        let mut talk = four_in_flight(SessionConfig { clean_start: true, ..config(version) });
        talk.connect(false, Properties::new());
        assert_eq!(talk.handler.events[1], Event::Resending { messages: 4, uncertain: 2 });
        assert_eq!(talk.said_in_short(), ["PUBLISH 1 a", "PUBLISH 2 b", "PUBLISH 3 c", "PUBLISH 5 e"]);
        for (kind, identifier) in [(AckKind::Pubrec, 3), (AckKind::Pubcomp, 3), (AckKind::Puback, 5)] {
            talk.receives_ack(kind, identifier).unwrap();
        }
        assert_eq!(outcomes(&talk), [("c", Outcome::Acknowledged, 0), ("e", Outcome::Acknowledged, 0)]);
    }
}

#[test]
fn nothing_in_flight_means_nothing_to_tell() {
    let mut talk: Talk = Talk::open(v5());
    talk.reconnect(true);
    assert!(matches!(talk.handler.events.as_slice(), [Event::Connected(_), Event::Connected(_)]));
    assert!(talk.said().is_empty());
}

#[test]
fn nothing_is_sent_again_before_connack_and_new_messages_wait() {
    let mut talk = four_in_flight(v5());
    talk.session.start(&talk.config, talk.now).unwrap();
    assert_eq!(talk.said().len(), 1);
    assert_eq!(talk.publish(1, "f"), Err(PublishError::NotConnected));
    talk.receives(&accepted(true, properties(&[(PropertyName::ReceiveMaximum, 4)]))).unwrap();
    assert_eq!(talk.publish(1, "f"), Err(PublishError::WindowFull));
}

/// The second broker takes two at a time: the rest follows as places come free, and new messages wait behind them.
#[test]
fn a_smaller_window_is_kept_while_sending_again() {
    let mut talk = four_in_flight(v5());
    talk.connect(true, properties(&[(PropertyName::ReceiveMaximum, 2)]));
    assert_eq!(talk.said_in_short(), ["PUBLISH 1 dup a", "PUBLISH 2 dup b"]);
    assert_eq!((talk.session.window_free(), talk.session.in_flight()), (0, 4));
    talk.receives_ack(AckKind::Pubrec, 2).unwrap();
    assert_eq!(talk.said_in_short(), ["PUBREL 2"]);
    talk.receives_ack(AckKind::Pubcomp, 2).unwrap();
    assert_eq!(talk.said_in_short(), ["PUBREL 3"]);
    assert_eq!(talk.publish(1, "f"), Err(PublishError::WindowFull));
    assert_eq!(talk.publish(0, "QoS 0 does not wait"), Ok(0));
    talk.said();
    talk.receives_ack(AckKind::Puback, 1).unwrap();
    assert_eq!(talk.said_in_short(), ["PUBLISH 5 dup e"]);
    talk.receives_ack(AckKind::Pubcomp, 3).unwrap();
    assert_eq!(talk.session.window_free(), 1);
    assert_eq!(talk.publish(1, "f"), Ok(6));
    talk.receives_ack(AckKind::Puback, 5).unwrap();
    talk.receives_ack(AckKind::Puback, 6).unwrap();
    assert_eq!((talk.session.in_flight(), talk.handler.done.len()), (0, 5));
}

/// mosquitto sends its PUBREC again by itself after a reconnect, maybe before our turn has come.
#[test]
fn an_acknowledgement_may_come_before_its_message_is_sent_again() {
    let mut talk = four_in_flight(v5());
    talk.connect(true, properties(&[(PropertyName::ReceiveMaximum, 1)]));
    assert_eq!(talk.said_in_short(), ["PUBLISH 1 dup a"]);
    talk.receives_ack(AckKind::Pubrec, 2).unwrap();
    talk.receives_ack(AckKind::Pubcomp, 2).unwrap();
    assert_eq!(talk.said_in_short(), ["PUBREL 2"]);
    talk.receives_ack(AckKind::Puback, 1).unwrap();
    assert_eq!(talk.said_in_short(), ["PUBREL 3"]);
    talk.receives_ack(AckKind::Pubcomp, 3).unwrap();
    assert_eq!(talk.said_in_short(), ["PUBLISH 5 dup e"]);
    talk.receives_ack(AckKind::Puback, 5).unwrap();
    assert_eq!((talk.session.in_flight(), talk.session.window_free(), talk.handler.done.len()), (0, 1, 4));
}

#[test]
fn the_connection_may_be_lost_again_in_the_midst_of_it() {
    let mut talk = four_in_flight(v5());
    let one = properties(&[(PropertyName::ReceiveMaximum, 1)]);
    talk.connect(false, one.clone());
    assert_eq!(talk.said_in_short(), ["PUBLISH 1 a"]);
    talk.session.handle_disconnected();
    talk.connect(false, one);
    talk.receives_ack(AckKind::Puback, 1).unwrap();
    assert_eq!(talk.said_in_short(), ["PUBLISH 1 a", "PUBLISH 2 b"]);
    talk.reconnect(false);
    assert_eq!(talk.said_in_short(), ["PUBLISH 2 b", "PUBLISH 3 c", "PUBLISH 5 e"]);
}

#[test]
fn what_was_not_written_when_the_connection_was_lost_is_not_written_to_the_next() {
    let mut talk: Talk = Talk::open(v5());
    talk.publish(0, "gone").unwrap();
    talk.publish(1, "kept").unwrap();
    talk.receives_message(1, 9, "in").unwrap();
    talk.session.handle_disconnected();
    assert_eq!(talk.session.output_len(), 0);
    talk.connect(true, Properties::new());
    assert_eq!(talk.said_in_short(), ["PUBLISH 1 dup kept"]);
    // The same without a word about the lost connection.
    talk.publish(0, "gone").unwrap();
    talk.receives_ack(AckKind::Pubrel, 9).unwrap();
    talk.connect(true, Properties::new());
    assert_eq!(talk.said_in_short(), ["PUBLISH 1 dup kept"]);
}

/// What the second broker does not take is given back with the code that it would have said.
#[test]
fn limits_of_the_new_broker_hold_for_what_is_sent_again() {
    let cases = [
        (PropertyName::MaximumQos, 1, 0x9B),
        (PropertyName::RetainAvailable, 0, 0x9A),
        (PropertyName::MaximumPacketSize, 20, 0x95),
    ];
    for (name, value, reason) in cases {
        let mut talk: Talk = Talk::open(v5());
        let odd = Message { retain: true, ..message(2, "larger than twenty bytes") };
        talk.session.publish(odd).unwrap();
        talk.publish(1, "fits").unwrap();
        talk.session.handle_disconnected();
        talk.connect(false, properties(&[(name, value)]));
        assert_eq!(talk.said_in_short(), ["PUBLISH 2 fits"]);
        assert_eq!(outcomes(&talk), [("larger than twenty bytes", Outcome::Lost, reason)]);
        assert_eq!(talk.session.in_flight(), 1);
    }
}

/// A load generator keeps times only: nothing can be sent again, and each place is given back.
#[test]
fn what_was_not_kept_is_lost_and_its_place_is_free() {
    #[derive(Debug)]
    struct Nothing;
    impl Kept for Nothing {
        fn message(&self) -> Option<&Message> {
            None
        }
    }
    for session_present in [false, true] {
        let mut talk: Talk<Nothing> = Talk::open(SessionConfig { window: 4, ..v5() });
        for qos_number in [1, 2, 2, 1] {
            assert!(talk.session.reserve(qos(qos_number), Nothing).is_some());
        }
        talk.receives_ack(AckKind::Pubrec, 3).unwrap();
        talk.handler.events.clear();
        talk.reconnect(session_present);
        let lost: Vec<_> = talk.handler.done.iter().map(|done| (done.identifier, done.outcome)).collect();
        if session_present {
            // PUBREL needs no message.
            assert_eq!(talk.handler.events[1], Event::Resending { messages: 1, uncertain: 0 });
            assert_eq!(lost, [1, 2, 4].map(|identifier| (identifier, Outcome::Lost)));
            assert_eq!(talk.said_in_short(), ["PUBREL 3"]);
            talk.receives_ack(AckKind::Pubcomp, 3).unwrap();
        } else {
            assert_eq!(talk.handler.events.len(), 1, "there is nothing to send again");
            assert_eq!(lost, [1, 2, 3, 4].map(|identifier| (identifier, Outcome::Lost)));
            assert!(talk.said().is_empty());
        }
        assert_eq!((talk.session.in_flight(), talk.session.window_free()), (0, 4));
        assert_eq!(talk.session.reserve(qos(1), Nothing), Some(5));
    }
}

#[test]
fn requests_are_forgotten_and_their_identifiers_come_free() {
    use crate::mqtt::wire::Unsubscribe;
    let mut talk: Talk = Talk::open(v5());
    let unsubscribe = Unsubscribe { filters: vec!["a".into()], ..Unsubscribe::default() };
    talk.session.unsubscribe(unsubscribe.clone()).unwrap();
    talk.publish(1, "a").unwrap();
    talk.session.unsubscribe(unsubscribe).unwrap();
    talk.reconnect(true);
    assert_eq!(talk.said_in_short(), ["PUBLISH 2 dup a"]);
    assert_eq!(talk.session.window_free(), 19);
    assert_eq!(talk.publish(1, "b"), Ok(4));
}

/// One that asks and waits for answers: without the session the broker knows its subscription no more.
#[test]
fn what_needs_a_subscription_waits_for_it() {
    use crate::mqtt::wire::{Suback, Subscribe, SubscribeFilter};
    let filter = SubscribeFilter { filter: "r".to_owned(), ..SubscribeFilter::default() };
    let subscribe = Subscribe { filters: vec![filter], ..Subscribe::default() };
    let mut talk = four_in_flight(SessionConfig { subscribes_first: true, ..v5() });
    talk.connect(false, Properties::new());
    assert!(talk.said().is_empty());
    let answer = |packet_identifier, reason| {
        Packet::Suback(Suback { packet_identifier, properties: Properties::new(), reasons: vec![reason] })
    };
    let refused = talk.session.subscribe(subscribe.clone()).unwrap();
    assert_eq!(talk.said_in_short(), ["SUBSCRIBE"]);
    talk.receives(&answer(refused, ReasonCode::NOT_AUTHORIZED)).unwrap();
    assert!(talk.said().is_empty());
    let granted = talk.session.subscribe(subscribe).unwrap();
    talk.said();
    talk.receives(&answer(granted, ReasonCode::SUCCESS)).unwrap();
    assert_eq!(talk.said_in_short(), ["PUBLISH 1 a", "PUBLISH 2 b", "PUBLISH 3 c", "PUBLISH 5 e"]);
    // With the session the subscription stands too.
    talk.reconnect(true);
    assert_eq!(talk.said_in_short()[0], "PUBLISH 1 dup a");
}
