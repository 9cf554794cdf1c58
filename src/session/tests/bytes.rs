//! Bytes in any cut, memory, packets that may not come, and the DISCONNECT that answers them (§4.13).

use super::*;
use crate::mqtt::wire::{Disconnect, Subscribe, SubscribeFilter, WireError};

/// All that a broker says in a short life, CONNACK first.
fn a_life(version: ProtocolVersion) -> Vec<u8> {
    let large = "x".repeat(300);
    let mut life = Vec::new();
    for packet in [
        accepted(false, Properties::new()),
        Packet::Publish(delivery(0, 0, false, "a")),
        Packet::Publish(delivery(1, 1, false, &large)),
        Packet::Pingresp,
        Packet::Publish(delivery(2, 2, false, "c")),
        Packet::Ack(Ack::success(AckKind::Pubrel, 2)),
        Packet::Ack(Ack::success(AckKind::Puback, 9)),
        Packet::Publish(delivery(0, 0, false, "")),
    ] {
        packet.encode(version, &mut life).unwrap();
    }
    life
}

/// What a session receives and writes when these pieces come.
fn received(version: ProtocolVersion, pieces: &[&[u8]]) -> (Vec<Came>, Vec<Event>, Vec<u8>) {
    let mut talk: Talk = Talk::new(config(version));
    talk.session.start(&talk.config, talk.now).unwrap();
    for piece in pieces {
        talk.session.handle_input(piece, talk.now, &mut talk.handler).unwrap();
    }
    let mut out = Vec::new();
    talk.session.take_output(&mut out);
    (talk.handler.came, talk.handler.events, out)
}

#[test]
fn a_cut_at_any_byte_changes_nothing() {
    for version in ALL_VERSIONS {
        let life = a_life(version);
        let whole = received(version, &[&life]);
        assert_eq!(whole.0.len(), 4);
        for cut in 0..=life.len() {
            let (first, second) = life.split_at(cut);
            assert_eq!(received(version, &[first, second]), whole, "cut at {cut}");
        }
        for size in [1, 2, 3, 7] {
            assert_eq!(received(version, &life.chunks(size).collect::<Vec<_>>()), whole, "pieces of {size}");
        }
    }
}

#[test]
fn an_announced_giant_costs_no_memory() {
    let mut talk: Talk = Talk::open(v5());
    talk.session.handle_input(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1], talk.now, &mut talk.handler).unwrap();
    assert!(talk.session.buffers().1.capacity() < 64);
    for _ in 0..100 {
        talk.session.handle_input(&[b'x'; 100], talk.now, &mut talk.handler).unwrap();
    }
    let partial = talk.session.buffers().1;
    assert!(partial.len() == 10_007 && partial.capacity() < 3 * 10_007, "{}", partial.capacity());
    talk.session.handle_disconnected();
    assert_eq!(talk.session.buffers().1.capacity(), 0);
}

#[test]
fn a_large_packet_leaves_no_large_buffer_behind() {
    let mut talk: Talk = Talk::open(v5());
    let large = "x".repeat(100_000);
    let bytes = bytes_of(&Packet::Publish(delivery(0, 0, false, &large)), ProtocolVersion::V5);
    for piece in bytes.chunks(1000) {
        talk.session.handle_input(piece, talk.now, &mut talk.handler).unwrap();
    }
    assert_eq!(talk.handler.came.len(), 1);
    assert!(talk.session.buffers().1.capacity() <= 4096);
    // Whole packets are read where they lie.
    let mut talk: Talk = Talk::open(v5());
    talk.session.handle_input(&bytes, talk.now, &mut talk.handler).unwrap();
    assert_eq!((talk.handler.came.len(), talk.session.buffers().1.capacity()), (1, 0));
}

/// Other clients stop at 10 KiB by default.
#[test]
fn our_packet_limit_is_the_standards_unless_it_is_set() {
    let packet_of = |size: usize| {
        let payload = "x".repeat(size - 7); // one byte, two of length, "t" in three, no properties
        bytes_of(&Packet::Publish(delivery(0, 0, false, &payload)), ProtocolVersion::V5)
    };
    let mut talk: Talk = Talk::open(v5());
    talk.session.handle_input(&packet_of(1_000_000), talk.now, &mut talk.handler).unwrap();
    let announced = properties(&[(PropertyName::MaximumPacketSize, 500)]);
    for config in [
        SessionConfig { max_packet_size: 500, ..v5() },
        SessionConfig { connect_properties: announced.clone(), ..v5() },
        SessionConfig { connect_properties: announced, max_packet_size: 700, ..v5() },
    ] {
        let mut talk: Talk = Talk::open(config);
        talk.session.handle_input(&packet_of(500), talk.now, &mut talk.handler).unwrap();
        // Known from the fixed header alone.
        let error = talk.session.handle_input(&packet_of(501)[..3], talk.now, &mut talk.handler).unwrap_err();
        assert_eq!(error, SessionError::Wire(WireError::TooLarge { size: 501, limit: 500 }));
        assert_eq!(talk.said_in_short(), ["DISCONNECT 0x95"]);
    }
}

#[test]
fn packets_that_are_not_for_a_client_break_the_protocol() {
    let filters = vec![SubscribeFilter { filter: "a".into(), ..SubscribeFilter::default() }];
    let subscribe = Packet::Subscribe(Subscribe { packet_identifier: 1, filters, ..Subscribe::default() });
    for packet in [subscribe, Packet::Pingreq] {
        let mut talk: Talk = Talk::open(v5());
        let error = talk.receives(&packet).unwrap_err();
        assert_eq!(error, SessionError::unexpected(packet.packet_type(), "is not for a client"));
        assert_eq!(talk.said_in_short(), ["DISCONNECT 0x82"]);
        let mut talk: Talk = Talk::open(v311());
        assert!(talk.receives(&packet).is_err());
        assert!(talk.said().is_empty(), "before 5.0 there is nothing to say");
    }
}

/// mochi says goodbye to clients of every version when it is shut down.
#[test]
fn a_disconnect_of_a_broker_before_5_0_is_a_lost_connection() {
    for (version, bytes) in [(ProtocolVersion::V31, &[0xE0, 0][..]), (ProtocolVersion::V311, &[0xE0, 2, 0x8B, 0])] {
        let mut talk: Talk = Talk::open(config(version));
        let error = talk.session.handle_input(bytes, talk.now, &mut talk.handler).unwrap_err();
        assert_eq!(error, SessionError::UnexpectedDisconnect);
        assert_eq!((talk.said().len(), talk.session.is_open()), (0, false));
    }
}

#[test]
fn only_a_message_may_be_large() {
    // The head of a packet of 16 MiB.
    let head = |first: u8| [first, 0x80, 0x80, 0x80, 8];
    for first in [0x90, 0xB0, 0xE0, 0xF0, 0x40] {
        let mut talk: Talk = Talk::open(v5());
        let error = talk.session.handle_input(&head(first), talk.now, &mut talk.handler).unwrap_err();
        assert_eq!(error, SessionError::Wire(WireError::TooLarge { size: (16 << 20) + 5, limit: 262_144 }));
        assert_eq!(talk.said_in_short(), ["DISCONNECT 0x95"]);
    }
    let mut talk: Talk = Talk::open(v5());
    assert_eq!(talk.session.handle_input(&head(0x30), talk.now, &mut talk.handler), Ok(()));
}

#[test]
fn malformed_packets_are_answered_with_their_reason() {
    let cases: [(&[u8], &str); 5] = [
        (&[0x36, 6, 0, 1, b't', 0, 1, 0], "DISCONNECT 0x81"), // QoS 3
        (&[0x00, 0], "DISCONNECT 0x81"),                      // type 0
        (&[0x30, 0xFF, 0xFF, 0xFF, 0xFF], "DISCONNECT 0x81"), // a length of five bytes
        (&[0x40, 2, 0, 0], "DISCONNECT 0x81"),                // packet identifier 0
        (&[0x30, 3, 0, 0, 0], "DISCONNECT 0x82"),             // no topic and no alias
    ];
    for (input, answer) in cases {
        let mut talk: Talk = Talk::open(v5());
        let error = talk.session.handle_input(input, talk.now, &mut talk.handler).unwrap_err();
        assert!(matches!(error, SessionError::Wire(_)), "{error:?}");
        assert_eq!(talk.said_in_short(), [answer], "{input:?}");
        assert!(!talk.session.is_open());
        assert_eq!(talk.session.poll_timeout(), None);
    }
}

#[test]
fn what_came_before_the_fault_counts_and_what_comes_after_it_does_not() {
    let mut talk: Talk = Talk::open(v5());
    let mut input = bytes_of(&Packet::Publish(delivery(1, 1, false, "good")), ProtocolVersion::V5);
    input.extend([0, 0]);
    input.extend(bytes_of(&Packet::Publish(delivery(1, 2, false, "late")), ProtocolVersion::V5));
    assert!(talk.session.handle_input(&input, talk.now, &mut talk.handler).is_err());
    talk.receives_message(1, 3, "later").unwrap();
    assert_eq!(talk.handler.came.len(), 1);
    assert_eq!(talk.said_in_short(), ["PUBACK 1", "DISCONNECT 0x81"]);
}

#[test]
fn a_disconnect_from_the_broker_is_reported_with_its_reason() {
    let words: Properties =
        [Property::new(PropertyName::ReasonString, PropertyValue::Utf8("maintenance".to_owned())).unwrap()]
            .into_iter()
            .collect();
    let reason = ReasonCode(0x8B);
    let mut talk: Talk = Talk::open(v5());
    let error = talk.receives(&Packet::Disconnect(Disconnect { reason, properties: words.clone() })).unwrap_err();
    assert_eq!(error, SessionError::Disconnected { reason, properties: words });
    assert_eq!(error.to_string(), "the broker closed the connection: Server shutting down (0x8b)");
    assert!(talk.said().is_empty(), "a DISCONNECT is not answered");
    // Two bytes are the short form of success.
    let mut talk: Talk = Talk::open(v5());
    let error = talk.session.handle_input(&[0xE0, 0], talk.now, &mut talk.handler).unwrap_err();
    assert!(matches!(error, SessionError::Disconnected { reason: ReasonCode::SUCCESS, .. }));
}

#[test]
fn a_session_without_connection_ignores_input() {
    let mut talk: Talk = Talk::new(v5());
    talk.session.handle_input(b"any bytes", talk.now, &mut talk.handler).unwrap();
    assert_eq!((talk.session.buffers().1.len(), talk.session.poll_timeout()), (0, None));
    talk.session.handle_timeout(talk.now + seconds(1000)).unwrap();
}

/// Half a packet of the old connection is not put in front of the new one.
#[test]
fn a_half_packet_dies_with_its_connection() {
    let mut talk: Talk = Talk::open(v5());
    talk.session.handle_input(&[0x30, 100, 0, 1, b't'], talk.now, &mut talk.handler).unwrap();
    talk.reconnect(true);
    talk.receives_message(0, 0, "whole").unwrap();
    assert_eq!(talk.handler.came[0].payload, "whole");
}
