//! Packet Identifiers (§2.2.1): none twice while in use, wrap at 65,535, one space for PUBLISH, SUBSCRIBE, UNSUBSCRIBE.

use std::collections::VecDeque;

use super::*;
use crate::mqtt::wire::{Suback, Subscribe, SubscribeFilter, Unsuback, Unsubscribe};

fn subscribe() -> Subscribe {
    let filter = SubscribeFilter { filter: "a/+".to_owned(), qos: qos(1), ..SubscribeFilter::default() };
    Subscribe { filters: vec![filter], ..Subscribe::default() }
}

fn unsubscribe() -> Unsubscribe {
    Unsubscribe { filters: vec!["a/+".to_owned()], ..Unsubscribe::default() }
}

fn suback(packet_identifier: u16) -> Suback {
    Suback { packet_identifier, properties: Properties::new(), reasons: vec![ReasonCode(1)] }
}

fn unsuback(packet_identifier: u16, version: ProtocolVersion) -> Unsuback {
    let reasons = if version.is_v5() { vec![ReasonCode::SUCCESS] } else { vec![] };
    Unsuback { packet_identifier, properties: Properties::new(), reasons }
}

#[test]
fn subscribe_and_unsubscribe_are_answered_by_their_identifiers() {
    for version in ALL_VERSIONS {
        let mut talk: Talk = Talk::open(config(version));
        assert_eq!(talk.publish(1, "a"), Ok(1));
        assert_eq!(talk.session.subscribe(subscribe()), Ok(2));
        assert_eq!(talk.session.unsubscribe(unsubscribe()), Ok(3));
        assert_eq!(talk.publish(1, "b"), Ok(4));
        let said = talk.said();
        assert_eq!(said[1], Packet::Subscribe(Subscribe { packet_identifier: 2, ..subscribe() }));
        assert_eq!(said[2], Packet::Unsubscribe(Unsubscribe { packet_identifier: 3, ..unsubscribe() }));
        assert_eq!(talk.session.in_flight(), 2, "requests are no messages");
        talk.receives(&Packet::Unsuback(unsuback(3, version))).unwrap();
        talk.receives(&Packet::Suback(suback(2))).unwrap();
        let expected = [Event::Unsubscribed(unsuback(3, version)), Event::Subscribed(suback(2))];
        assert_eq!(talk.handler.events[1..], expected);
        // Answered once; a second answer belongs to nothing.
        talk.receives(&Packet::Suback(suback(2))).unwrap();
        assert_eq!(talk.handler.events.last(), Some(&Event::UnknownAcknowledgement(2)));
    }
}

#[test]
fn an_answer_to_a_packet_of_another_kind_breaks_the_protocol() {
    let open = || {
        let mut talk: Talk = Talk::open(v5());
        talk.publish(1, "a").unwrap();
        talk.session.subscribe(subscribe()).unwrap();
        talk.said();
        talk
    };
    for packet in [
        Packet::Suback(suback(1)),
        Packet::Unsuback(unsuback(2, ProtocolVersion::V5)),
        Packet::Ack(Ack::success(AckKind::Puback, 2)),
    ] {
        let mut talk = open();
        let error = talk.receives(&packet).unwrap_err();
        let expected = SessionError::unexpected(packet.packet_type(), "answers a packet of another type");
        assert_eq!(error, expected);
        assert_eq!(talk.said_in_short(), ["DISCONNECT 0x82"]);
    }
}

#[test]
fn a_request_that_cannot_be_written_uses_no_identifier() {
    let mut talk: Talk = Talk::open(v5());
    assert!(matches!(talk.session.subscribe(Subscribe::default()), Err(PublishError::Wire(_))));
    assert_eq!(talk.session.output_len(), 0);
    assert_eq!(talk.session.subscribe(subscribe()), Ok(1));
    talk.session.handle_disconnected();
    assert_eq!(talk.session.subscribe(subscribe()), Err(PublishError::NotConnected));
}

/// mosquitto_pub 2.0.11 loses messages when the identifier wraps; here 200,000 go through a window of 7.
#[test]
fn identifiers_wrap_and_are_never_given_twice_while_in_use() {
    let mut talk: Talk = Talk::open(SessionConfig { window: 7, ..v311() });
    let mut in_use = VecDeque::new();
    let (mut published, mut previous) = (0, 0);
    while published < 200_000 {
        while talk.session.window_free() > 0 {
            let identifier = talk.publish(1, "x").unwrap();
            assert!(!in_use.contains(&identifier), "{identifier}");
            assert_eq!(identifier, previous % 65_535 + 1);
            in_use.push_back(identifier);
            previous = identifier;
            published += 1;
        }
        // Acknowledged out of order: the newest first, then the oldest.
        for identifier in [in_use.pop_back(), in_use.pop_front()].into_iter().flatten() {
            talk.receives_ack(AckKind::Puback, identifier).unwrap();
        }
        talk.discard();
    }
    assert_eq!(talk.handler.done.len() + talk.session.in_flight(), published);
    assert_eq!(talk.session.in_flight(), in_use.len());
    assert!(talk.handler.events.iter().all(|event| !matches!(event, Event::UnknownAcknowledgement(_))));
}

/// A handler that distinguishes groups of acknowledgements from single ones.
#[derive(Default)]
struct Groups(Vec<(u16, usize)>);

impl Handler<Message> for Groups {
    fn on_message(&mut self, _: &Delivery<'_>) -> Acknowledge {
        Acknowledge::Now
    }

    fn on_completed(&mut self, completion: Completion<'_, Message>) {
        self.0.push((completion.packet_identifier, 0));
    }

    fn on_acknowledged(&mut self, first: u16, kept: impl ExactSizeIterator<Item = Message>) {
        self.0.push((first, kept.len()));
    }

    fn on_event(&mut self, _: Event) {}
}

#[test]
fn acknowledgements_in_a_row_are_reported_together() {
    let mut talk: Talk = Talk::open(SessionConfig { first_identifier: 65_533, ..v311() });
    for number in 0..9 {
        talk.publish(1, &number.to_string()).unwrap();
    }
    let acks: Vec<u8> = [65_533, 65_534, 65_535, 1, 2, 4, 3, 5, 6]
        .into_iter()
        .flat_map(|identifier| bytes_of(&Packet::Ack(Ack::success(AckKind::Puback, identifier)), ProtocolVersion::V311))
        .collect();
    let mut groups = Groups::default();
    talk.session.handle_input(&acks, talk.now, &mut groups).unwrap();
    assert_eq!(groups.0, [(65_533, 5), (4, 0), (3, 1), (5, 0), (6, 1)]);
    assert_eq!(talk.session.in_flight(), 0);
}

/// PUBACKs that come in one read are the same as PUBACKs that come one by one, whatever their order, where the
/// identifiers wrap too, and with other answers between them.
#[test]
fn acknowledgements_in_one_read_are_those_that_come_one_by_one() {
    let orders: [&[u16]; 6] = [
        &[0, 1, 2, 3, 4, 5, 6, 7],
        &[7, 6, 5, 4, 3, 2, 1, 0],
        &[1, 0, 2, 3, 4, 7, 5, 6],
        &[0, 1, 2, 2, 3, 9, 4, 5],
        &[0, 1, 3, 2, 4, 5, 0, 6],
        &[4, 0, 1, 2, 3, 5, 6, 7],
    ];
    for (order, begin) in orders.into_iter().flat_map(|order| [1, 65_531, 65_535].map(|begin| (order, begin))) {
        let acks = order.iter().map(|distance| {
            let identifier = (u32::from(begin) + u32::from(*distance) - 1) % 65_535 + 1;
            bytes_of(&Packet::Ack(Ack::success(AckKind::Puback, identifier as u16)), ProtocolVersion::V5)
        });
        let acks: Vec<_> = acks.collect();
        let settled = |reads: Vec<Vec<u8>>| {
            let mut talk: Talk = Talk::open(SessionConfig { first_identifier: begin, ..v5() });
            for number in 0..8 {
                talk.publish(1, &number.to_string()).unwrap();
            }
            for bytes in reads {
                talk.session.handle_input(&bytes, talk.now, &mut talk.handler).unwrap();
            }
            let left = talk.session.in_flight();
            // The identifier that comes next shows what stands in front.
            (format!("{:?}", talk.handler), left, talk.session.reserve(QoS::AtLeastOnce, message(1, "next")))
        };
        let one_by_one = settled(acks.clone());
        assert_eq!(settled(vec![acks.concat()]), one_by_one, "{order:?} from {begin}");
        assert_eq!(
            settled(acks.concat().chunks(3).map(<[u8]>::to_vec).collect()),
            one_by_one,
            "{order:?} from {begin}"
        );
        let acknowledged: std::collections::BTreeSet<_> = order.iter().filter(|distance| **distance < 8).collect();
        assert_eq!(one_by_one.1, 8 - acknowledged.len());
    }
}

/// A message that is never acknowledged stops the sender before its identifier is used again, and says so beforehand.
#[test]
fn an_identifier_that_stays_in_use_is_not_given_again() {
    let mut talk: Talk = Talk::open(v311());
    assert_eq!(talk.publish(1, "stays"), Ok(1));
    for identifier in 2..=65_535 {
        assert_eq!(talk.publish(1, "x"), Ok(identifier));
        talk.receives_ack(AckKind::Puback, identifier).unwrap();
        talk.discard();
    }
    assert_eq!(talk.session.in_flight(), 1);
    assert_eq!(talk.session.window_free(), 0, "an owner that looks at the window does not spin");
    assert_eq!(talk.publish(1, "full"), Err(PublishError::WindowFull));
    assert_eq!(talk.session.subscribe(subscribe()), Err(PublishError::WindowFull));
    assert_eq!(talk.publish(0, "goes"), Ok(0));
    talk.receives_ack(AckKind::Puback, 1).unwrap();
    assert_eq!(talk.publish(1, "on"), Ok(1));
}

#[test]
fn the_largest_window_holds_every_identifier() {
    let mut talk: Talk = Talk::open(SessionConfig { window: u16::MAX, ..v311() });
    talk.session.subscribe(subscribe()).unwrap();
    for identifier in 2..=65_535 {
        assert_eq!(talk.publish(1, ""), Ok(identifier));
    }
    assert_eq!((talk.session.window_free(), talk.session.in_flight()), (0, 65_534));
    talk.said();
    // All of them are sent again, in their order; the SUBSCRIBE is forgotten.
    talk.reconnect(true);
    let said = talk.said();
    assert_eq!(said.len(), 65_534);
    let in_order = said
        .iter()
        .zip(2..=u16::MAX)
        .all(|(packet, identifier)| matches!(packet, Packet::Publish(p) if p.packet_identifier == identifier && p.dup));
    assert!(in_order);
}

/// What a broker still holds of an earlier process is not met again at the same place.
#[test]
fn identifiers_begin_where_requested() {
    let mut talk: Talk = Talk::open(SessionConfig { first_identifier: 65_534, ..v5() });
    for identifier in [65_534, 65_535, 1, 2] {
        assert_eq!(talk.publish(2, "x"), Ok(identifier));
    }
    // Only the first connection begins: what is in flight keeps its place.
    talk.said();
    talk.reconnect(true);
    assert_eq!(talk.said_in_short()[0], "PUBLISH 65534 dup x");
    assert_eq!(talk.publish(1, "y"), Ok(3));
    let mut none: Talk = Talk::open(SessionConfig { first_identifier: 0, ..v5() });
    assert_eq!(none.publish(1, "x"), Ok(1));
}
