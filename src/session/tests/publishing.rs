//! PUBLISH to the broker: the three QoS (§4.3), the window (§4.9), acknowledgements in and out of order.

use super::*;
use crate::mqtt::wire::{
    Disconnect, PacketType, Publish as WirePublish, PublishTemplate, Subscribe, SubscribeFilter, WireError,
};

fn done(payload: &str, identifier: u16, outcome: Outcome) -> Done {
    Done { payload: payload.to_owned(), identifier, outcome, reason: ReasonCode::SUCCESS }
}

fn refusal(kind: AckKind, identifier: u16) -> Packet<'static> {
    Packet::Ack(Ack::with_reason(kind, identifier, ReasonCode::NOT_AUTHORIZED))
}

#[test]
fn qos_0_is_written_and_forgotten() {
    for version in ALL_VERSIONS {
        let mut talk: Talk = Talk::open(config(version));
        assert_eq!(talk.publish(0, "a"), Ok(0));
        assert_eq!(talk.session.in_flight(), 0);
        assert_eq!(talk.said_in_short(), ["PUBLISH 0 a"]);
        assert!(talk.handler.done.is_empty());
    }
}

#[test]
fn a_message_of_qos_0_serves_more_than_once() {
    let mut talk: Talk = Talk::open(v5());
    let mut shared = message(0, "a");
    assert_eq!(talk.session.send(&shared), Ok(()));
    shared.payload = "b".into();
    assert_eq!(talk.session.send(&shared), Ok(()));
    assert_eq!(talk.said_in_short(), ["PUBLISH 0 a", "PUBLISH 0 b"]);
    assert_eq!(talk.session.send(&message(1, "c")), Err(PublishError::NotKept));
    assert!(talk.said().is_empty() && talk.session.in_flight() == 0);
}

#[test]
fn qos_1_is_done_at_puback() {
    for version in ALL_VERSIONS {
        let mut talk: Talk = Talk::open(config(version));
        assert_eq!(talk.publish(1, "a"), Ok(1));
        assert_eq!(talk.said_in_short(), ["PUBLISH 1 a"]);
        assert_eq!(talk.session.in_flight(), 1);
        talk.receives_ack(AckKind::Puback, 1).unwrap();
        assert_eq!(talk.handler.done, [done("a", 1, Outcome::Acknowledged)]);
        assert_eq!(talk.session.in_flight(), 0);
        assert!(talk.said().is_empty());
    }
}

#[test]
fn qos_2_is_done_at_pubcomp() {
    for version in ALL_VERSIONS {
        let mut talk: Talk = Talk::open(config(version));
        assert_eq!(talk.publish(2, "a"), Ok(1));
        assert_eq!(talk.said_in_short(), ["PUBLISH 1 a"]);
        talk.receives_ack(AckKind::Pubrec, 1).unwrap();
        assert_eq!(talk.handler.received, ["a"]);
        assert_eq!(talk.said_in_short(), ["PUBREL 1"]);
        assert_eq!((talk.session.in_flight(), talk.handler.done.len()), (1, 0));
        talk.receives_ack(AckKind::Pubcomp, 1).unwrap();
        assert_eq!(talk.handler.done, [done("a", 1, Outcome::Acknowledged)]);
        assert_eq!(talk.session.in_flight(), 0);
    }
}

#[test]
fn all_of_a_message_is_written() {
    let mut talk: Talk = Talk::open(v5());
    let user: Properties = [Property::user("a", "1"), Property::user("a", "2")].into_iter().collect();
    let sent = Message { topic: "x/y".into(), retain: true, properties: user, ..message(1, "hello") };
    talk.session.publish(sent.clone()).unwrap();
    let said = talk.said();
    let [Packet::Publish(publish)] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!((publish.to_message(), publish.dup, publish.packet_identifier), (sent, false, 1));
}

#[test]
fn a_reason_that_is_no_error_is_a_success() {
    let mut talk: Talk = Talk::open(v5());
    talk.publish(1, "a").unwrap();
    let nobody = ReasonCode::NO_MATCHING_SUBSCRIBERS;
    talk.receives(&Packet::Ack(Ack::with_reason(AckKind::Puback, 1, nobody))).unwrap();
    assert_eq!(talk.handler.done, [Done { reason: nobody, ..done("a", 1, Outcome::Acknowledged) }]);
}

/// Refused messages free their place, at QoS 2 too: there a library was left hanging.
#[test]
fn a_refusal_frees_its_place() {
    for (qos, kind) in [(1, AckKind::Puback), (2, AckKind::Pubrec), (2, AckKind::Puback)] {
        let mut talk: Talk = Talk::open(SessionConfig { window: 1, ..v5() });
        talk.publish(qos, "a").unwrap();
        talk.said();
        assert_eq!(talk.session.window_free(), 0);
        talk.receives(&refusal(kind, 1)).unwrap();
        let reason = ReasonCode::NOT_AUTHORIZED;
        assert_eq!(talk.handler.done, [Done { reason, ..done("a", 1, Outcome::Refused) }]);
        assert_eq!((talk.session.window_free(), talk.session.in_flight()), (1, 0));
        assert!(talk.said().is_empty(), "a refusal is not answered");
        assert_eq!(talk.publish(qos, "b"), Ok(2));
    }
}

/// Seen at brokers that grant QoS 1 at most and do not say so.
#[test]
fn puback_for_qos_2_is_a_downgrade() {
    let mut talk: Talk = Talk::open(v311());
    talk.publish(2, "a").unwrap();
    talk.receives_ack(AckKind::Puback, 1).unwrap();
    assert_eq!(talk.handler.done, [done("a", 1, Outcome::Downgraded)]);
}

/// PUBCOMP cannot refuse: PUBREC has accepted. Brokers answer a repeated PUBREL with 0x92 (§3.7.2.1).
#[test]
fn pubcomp_with_identifier_not_found_is_a_success() {
    let mut talk: Talk = Talk::open(v5());
    talk.publish(2, "a").unwrap();
    talk.receives_ack(AckKind::Pubrec, 1).unwrap();
    talk.reconnect(true);
    assert_eq!(talk.said_in_short(), ["PUBREL 1"]);
    let reason = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
    talk.receives(&Packet::Ack(Ack::with_reason(AckKind::Pubcomp, 1, reason))).unwrap();
    assert_eq!(talk.handler.done, [Done { reason, ..done("a", 1, Outcome::Acknowledged) }]);
}

#[test]
fn a_repeated_acknowledgement_is_reported_and_ignored() {
    let mut talk: Talk = Talk::open(v5());
    talk.publish(1, "a").unwrap();
    talk.publish(1, "b").unwrap();
    talk.said();
    for identifier in [2, 2, 1, 1, 999] {
        talk.receives_ack(AckKind::Puback, identifier).unwrap();
    }
    assert_eq!(talk.handler.done, [done("b", 2, Outcome::Acknowledged), done("a", 1, Outcome::Acknowledged)]);
    let unknown = [2, 1, 999].map(Event::UnknownAcknowledgement);
    assert_eq!(talk.handler.events[1..], unknown);
    talk.receives_ack(AckKind::Pubcomp, 7).unwrap();
    assert_eq!(talk.handler.events.last(), Some(&Event::UnknownAcknowledgement(7)));
    assert!(talk.said().is_empty() && talk.session.is_open());
}

#[test]
fn pubrec_is_always_answered_unless_it_refuses() {
    let mut talk: Talk = Talk::open(v5());
    talk.publish(2, "a").unwrap();
    talk.said();
    talk.receives_ack(AckKind::Pubrec, 1).unwrap();
    talk.receives_ack(AckKind::Pubrec, 1).unwrap();
    assert_eq!(talk.said_in_short(), ["PUBREL 1", "PUBREL 1"]);
    assert_eq!(talk.handler.received, ["a"], "passed on once");
    talk.receives_ack(AckKind::Pubcomp, 1).unwrap();
    talk.receives_ack(AckKind::Pubcomp, 1).unwrap();
    assert_eq!(talk.handler.done.len(), 1);
    talk.receives_ack(AckKind::Pubrec, 55).unwrap();
    assert_eq!(talk.said_in_short(), ["PUBREL 55 0x92"]);
    talk.receives(&refusal(AckKind::Pubrec, 55)).unwrap();
    assert!(talk.said().is_empty(), "an exchange that was refused is over");
}

#[test]
fn acknowledgements_of_another_kind_break_the_protocol() {
    for (qos, kind, words) in [
        (1, AckKind::Pubrec, "PUBREC answers a packet of another type"),
        (1, AckKind::Pubcomp, "PUBCOMP answers a packet of another type"),
        (2, AckKind::Pubcomp, "PUBCOMP arrived before PUBREC"),
    ] {
        let mut talk: Talk = Talk::open(v5());
        talk.publish(qos, "a").unwrap();
        talk.said();
        let error = talk.receives_ack(kind, 1).unwrap_err();
        assert_eq!(error.to_string(), format!("the broker violated the protocol: {words}"));
        assert_eq!(talk.said_in_short(), ["DISCONNECT 0x82"]);
        assert_eq!(talk.session.in_flight(), 1, "kept for the next connection");
    }
    let mut talk: Talk = Talk::open(v5());
    talk.publish(2, "a").unwrap();
    talk.receives_ack(AckKind::Pubrec, 1).unwrap();
    let error = talk.receives_ack(AckKind::Puback, 1).unwrap_err();
    assert!(matches!(error, SessionError::Unexpected { packet: PacketType::Puback, .. }));
}

#[test]
fn the_window_bounds_what_is_in_flight() {
    for (window, receive_maximum, allowed) in [(3, 65_535, 3), (10, 2, 2), (5, 5, 5), (0, 65_535, 1)] {
        let mut talk: Talk = Talk::new(SessionConfig { window, ..v5() });
        assert_eq!(talk.session.window_free(), 0);
        talk.connect(false, properties(&[(PropertyName::ReceiveMaximum, receive_maximum)]));
        assert_eq!(talk.session.limits().receive_maximum, receive_maximum as u16);
        for place in 0..allowed {
            assert_eq!(talk.session.window_free(), allowed - place);
            talk.publish(1 + (place % 2) as u8, "x").unwrap();
        }
        assert_eq!(talk.session.window_free(), 0);
        let written = talk.session.output_len();
        let (error, kept) = talk.session.publish(message(1, "over")).unwrap_err();
        assert_eq!((error, text(&kept.payload)), (PublishError::WindowFull, "over".to_owned()));
        assert_eq!(talk.session.output_len(), written, "nothing is written of what is refused");
        assert_eq!(talk.publish(0, "QoS 0 needs no place"), Ok(0));
        talk.receives_ack(AckKind::Puback, 1).unwrap();
        assert_eq!(talk.session.window_free(), 1);
        assert!(talk.publish(1, "next").is_ok());
    }
}

/// A broker that takes one message at a time: the place is free at PUBCOMP, not at PUBREC (§4.9).
#[test]
fn a_qos_2_message_holds_its_place_until_pubcomp() {
    let mut talk: Talk = Talk::open(SessionConfig { window: 1, ..v5() });
    talk.publish(2, "a").unwrap();
    talk.receives_ack(AckKind::Pubrec, 1).unwrap();
    assert_eq!(talk.session.window_free(), 0);
    talk.receives_ack(AckKind::Pubcomp, 1).unwrap();
    assert_eq!(talk.session.window_free(), 1);
}

/// Only a connection on which nothing was said that matters is left without waiting for the broker.
#[test]
fn a_connection_has_sent_once_a_broker_may_miss_something() {
    let mut talk = Talk::open(v311());
    let filters = vec![SubscribeFilter { filter: "t".into(), ..SubscribeFilter::default() }];
    talk.session.subscribe(Subscribe { filters, ..Subscribe::default() }).unwrap();
    talk.session.ping();
    talk.receives_message(0, 0, "nobody answers this").unwrap();
    assert!(!talk.session.has_sent());
    talk.receives_message(1, 9, "this is answered").unwrap();
    assert!(talk.session.has_sent());
    talk.reconnect(true);
    assert!(!talk.session.has_sent());
    talk.publish(0, "said").unwrap();
    assert!(talk.session.has_sent());
}

/// The largest trap of other clients: DISCONNECT overtaking what waits to be written.
#[test]
fn disconnect_is_behind_everything() {
    let mut talk: Talk = Talk::open(SessionConfig { window: 1000, ..v5() });
    talk.handler.answer = Acknowledge::Later;
    talk.receives_message(1, 9, "in").unwrap();
    for number in 0..200 {
        talk.publish(number % 3, "x").unwrap();
    }
    talk.session.acknowledge(talk.handler.came[0].receipt);
    let with_will = ReasonCode::DISCONNECT_WITH_WILL;
    talk.session.disconnect(with_will, properties(&[(PropertyName::SessionExpiryInterval, 0)])).unwrap();
    let said = talk.said();
    assert_eq!(said.len(), 202);
    let expected =
        Disconnect { reason: with_will, properties: properties(&[(PropertyName::SessionExpiryInterval, 0)]) };
    assert_eq!(said.last(), Some(&Packet::Disconnect(expected)));
    assert_eq!(in_short(&said[200]), "PUBACK 9");
    // It is over: nothing is written, nothing is read.
    assert_eq!(talk.publish(0, "late"), Err(PublishError::NotConnected));
    assert_eq!(talk.session.handle_input(b"\xff\xff\xff any bytes", talk.now, &mut talk.handler), Ok(()));
    assert_eq!((talk.said().len(), talk.session.poll_timeout()), (0, None));
    assert_eq!(talk.session.in_flight(), 133);
}

#[test]
fn disconnect_before_5_0_has_no_reason_and_before_connack_is_not_written() {
    let mut talk: Talk = Talk::open(v311());
    talk.session.disconnect(ReasonCode::DISCONNECT_WITH_WILL, Properties::new()).unwrap();
    let mut out = Vec::new();
    talk.session.take_output(&mut out);
    assert_eq!(out, [0xE0, 0]);
    let mut talk: Talk = Talk::new(v5());
    talk.session.start(&talk.config, talk.now).unwrap();
    talk.said();
    talk.session.disconnect(ReasonCode::SUCCESS, Properties::new()).unwrap();
    assert!(talk.said().is_empty());
    assert!(!talk.session.is_open());
}

#[test]
fn a_disconnect_that_cannot_be_written_leaves_the_connection_open() {
    let mut talk: Talk = Talk::open(v5());
    let wrong = properties(&[(PropertyName::TopicAlias, 1)]);
    assert!(matches!(talk.session.disconnect(ReasonCode::SUCCESS, wrong), Err(WireError::Property { .. })));
    assert!(talk.session.is_open() && talk.said().is_empty());
}

/// What a load generator keeps: a time, no message.
#[derive(Debug)]
struct Stamp(u64);

impl Kept for Stamp {
    fn message(&self) -> Option<&Message> {
        None
    }
}

#[derive(Default)]
struct Stamps(Vec<(u64, u16, Outcome)>);

impl Handler<Stamp> for Stamps {
    fn on_message(&mut self, _: &Delivery<'_>) -> Acknowledge {
        Acknowledge::Now
    }

    fn on_completed(&mut self, completion: Completion<'_, Stamp>) {
        self.0.push((completion.kept.0, completion.packet_identifier, completion.outcome));
    }

    fn on_event(&mut self, _: Event) {}
}

/// mqbench: takes the output, appends its own packets from a template, and gets its times back.
#[test]
fn an_owner_may_write_its_own_publish_into_a_reserved_place() {
    let mut talk: Talk<Stamp> = Talk::open(SessionConfig { window: 3, ..v5() });
    let template = PublishTemplate::new(&message(2, "0000"), ProtocolVersion::V5).unwrap();
    let mut out = Vec::new();
    talk.session.ping();
    talk.session.take_output(&mut out);
    for stamp in 10..20 {
        match talk.session.reserve(QoS::ExactlyOnce, Stamp(stamp)) {
            Some(identifier) => template.append(identifier, &(stamp as u32).to_be_bytes(), &mut out),
            None => assert!(stamp >= 13),
        }
    }
    assert_eq!(talk.session.reserve(QoS::AtMostOnce, Stamp(0)), None);
    let said: Vec<_> = packets(out, ProtocolVersion::V5);
    assert_eq!(said.len(), 4);
    let Packet::Publish(WirePublish { packet_identifier: 3, payload: [0, 0, 0, 12], .. }) = said[3] else {
        panic!("{said:?}")
    };
    let mut handler = Stamps::default();
    for (kind, identifier) in [(AckKind::Pubrec, 2), (AckKind::Pubcomp, 2), (AckKind::Pubrec, 1)] {
        let ack = bytes_of(&Packet::Ack(Ack::success(kind, identifier)), ProtocolVersion::V5);
        talk.session.handle_input(&ack, talk.now, &mut handler).unwrap();
    }
    assert_eq!(handler.0, [(11, 2, Outcome::Acknowledged)]);
    let refused = talk.session.publish(Stamp(99)).map_err(|(error, kept)| (error, kept.0));
    assert_eq!(refused, Err((PublishError::NotKept, 99)));
}

/// One large buffer that serves a thousand sessions stays where it is.
#[test]
fn taking_output_does_not_leave_a_large_buffer_behind() {
    let mut talk: Talk = Talk::open(v5());
    let mut out = Vec::with_capacity(1 << 20);
    talk.publish(0, "a").unwrap();
    talk.session.take_output(&mut out);
    assert!(out.capacity() >= 1 << 20 && !out.is_empty());
    let capacity = talk.session.buffers().0.capacity();
    assert!(capacity < 4096, "{capacity}");
    // A large packet is not copied: the buffers change hands.
    talk.publish(0, &"x".repeat(2 << 20)).unwrap();
    let packet = talk.session.buffers().0.as_ptr();
    let mut out = Vec::new();
    talk.session.take_output(&mut out);
    assert_eq!(out.as_ptr(), packet);
}

#[test]
fn a_session_is_small() {
    assert!(size_of::<Session<Stamp>>() <= 512, "{}", size_of::<Session<Stamp>>());
    assert!(size_of::<Session<Message>>() <= 512, "{}", size_of::<Session<Message>>());
    assert!(size_of::<Receipt>() <= 8);
}
