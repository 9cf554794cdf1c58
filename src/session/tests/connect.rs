//! CONNECT and CONNACK (§3.1, §3.2).

use super::*;
use crate::mqtt::Secret;
use crate::mqtt::wire::{Auth, Connect, PacketType, WireError};

fn said_connect(config: &SessionConfig) -> Connect {
    let mut talk: Talk = Talk::new(config.clone());
    talk.session.start(config, talk.now).unwrap();
    match talk.said().as_slice() {
        [Packet::Connect(connect)] => (**connect).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn connect_follows_the_configuration_in_every_version() {
    for version in ALL_VERSIONS {
        let will = Message { topic: "w".into(), payload: "gone".into(), qos: qos(1), retain: true, ..message(0, "") };
        let config = SessionConfig {
            version,
            client_id: "me".into(),
            clean_start: true,
            keep_alive: seconds(7),
            user_name: Some("user".into()),
            password: Some(Secret::new("word")),
            will: Some(will.clone()),
            connect_properties: properties(&[(PropertyName::SessionExpiryInterval, 9)]),
            ..SessionConfig::default()
        };
        let connect = said_connect(&config);
        let properties = if version.is_v5() { config.connect_properties.clone() } else { Properties::new() };
        assert_eq!(
            connect,
            Connect {
                version,
                client_id: "me".into(),
                clean_start: true,
                keep_alive: 7,
                user_name: Some("user".into()),
                password: Some(Secret::new("word")),
                will: Some(will),
                properties,
            }
        );
    }
}

#[test]
fn keep_alive_is_whole_seconds_rounded_up_and_ends_at_sixteen_bits() {
    for (keep_alive, on_the_wire) in [
        (Duration::ZERO, 0),
        (Duration::from_millis(1), 1),
        (Duration::from_millis(1500), 2),
        (seconds(65_535), 65_535),
        (seconds(100_000), 65_535),
        (Duration::MAX, 65_535),
    ] {
        assert_eq!(said_connect(&SessionConfig { keep_alive, ..v5() }).keep_alive, on_the_wire);
    }
}

#[test]
fn a_packet_limit_of_ours_is_announced_with_5_0_unless_the_user_did() {
    let limited = |config| SessionConfig { max_packet_size: 1000, ..config };
    assert_eq!(said_connect(&limited(v5())).properties.number(PropertyName::MaximumPacketSize), Some(1000));
    assert_eq!(said_connect(&v5()).properties, Properties::new());
    assert_eq!(said_connect(&limited(v311())).properties, Properties::new());
    let users = properties(&[(PropertyName::MaximumPacketSize, 500)]);
    let config = limited(SessionConfig { connect_properties: users.clone(), ..v5() });
    assert_eq!(said_connect(&config).properties, users);
}

#[test]
fn a_connect_that_cannot_be_written_leaves_the_session_without_connection() {
    let mut talk: Talk = Talk::new(SessionConfig { client_id: "x".repeat(70_000), ..v5() });
    let failed = talk.session.start(&talk.config, talk.now);
    assert!(matches!(failed, Err(WireError::TooLong { length: 70_000, .. })), "{failed:?}");
    assert_eq!((talk.session.output_len(), talk.session.poll_timeout()), (0, None));
}

#[test]
fn an_accepted_connection_is_open_and_reported() {
    for version in ALL_VERSIONS {
        let mut talk: Talk = Talk::new(config(version));
        talk.session.start(&talk.config, talk.now).unwrap();
        assert!(!talk.session.is_open());
        assert_eq!(talk.publish(0, "early"), Err(PublishError::NotConnected));
        talk.receives(&accepted(true, Properties::new())).unwrap();
        assert!(talk.session.is_open());
        let connack = Connack { session_present: true, reason: ReasonCode::SUCCESS, properties: Properties::new() };
        assert_eq!(talk.handler.events, [Event::Connected(connack)]);
        assert_eq!(talk.session.version(), version);
    }
}

#[test]
fn codes_of_3_1_1_are_mapped() {
    for version in [ProtocolVersion::V31, ProtocolVersion::V311] {
        for (code, reason) in [(1, 132), (2, 133), (3, 136), (4, 134), (5, 135), (9, 128)] {
            let mut talk: Talk = Talk::new(config(version));
            talk.session.start(&talk.config, talk.now).unwrap();
            let refused = talk.session.handle_input(&[0x20, 2, 0, code], talk.now, &mut talk.handler);
            assert_eq!(
                refused,
                Err(SessionError::Refused { reason: ReasonCode(reason), properties: Properties::new() })
            );
            assert!(!talk.session.is_open());
        }
    }
}

#[test]
fn a_refusal_of_5_0_keeps_the_reason_string_and_nothing_is_sent_after_it() {
    let mut talk: Talk = Talk::new(v5());
    talk.session.start(&talk.config, talk.now).unwrap();
    talk.said();
    let words: Properties =
        std::iter::once(Property::new(PropertyName::ReasonString, PropertyValue::Utf8("go away".to_owned())).unwrap())
            .collect();
    let refusal = Connack { session_present: false, reason: ReasonCode::NOT_AUTHORIZED, properties: words.clone() };
    let refused = talk.receives(&Packet::Connack(refusal));
    assert_eq!(refused, Err(SessionError::Refused { reason: ReasonCode::NOT_AUTHORIZED, properties: words }));
    assert_eq!(talk.session.output_len(), 0);
    assert_eq!(talk.session.poll_timeout(), None);
}

#[test]
fn a_broker_without_5_0_refuses_in_the_form_of_3_1_1() {
    let mut talk: Talk = Talk::new(v5());
    talk.session.start(&talk.config, talk.now).unwrap();
    let refused = talk.session.handle_input(&[0x20, 2, 0, 1], talk.now, &mut talk.handler);
    let reason = ReasonCode::UNSUPPORTED_PROTOCOL_VERSION;
    assert_eq!(refused, Err(SessionError::Refused { reason, properties: Properties::new() }));
}

#[test]
fn a_session_that_is_present_after_a_clean_start_breaks_the_protocol() {
    let mut talk: Talk = Talk::new(SessionConfig { clean_start: true, ..v5() });
    talk.session.start(&talk.config, talk.now).unwrap();
    let error = talk.receives(&accepted(true, Properties::new())).unwrap_err();
    assert!(matches!(error, SessionError::Unexpected { packet: PacketType::Connack, .. }), "{error}");
    assert!(!talk.session.is_open() && talk.handler.events.is_empty());
}

#[test]
fn a_second_connack_breaks_the_protocol() {
    let mut talk: Talk = Talk::open(v5());
    let error = talk.receives(&accepted(false, Properties::new())).unwrap_err();
    assert_eq!(error.to_string(), "the broker violated the protocol: CONNACK came twice");
    assert_eq!(talk.said_in_short(), ["DISCONNECT 0x82"]);
}

#[test]
fn nothing_may_come_before_connack() {
    let packets = [Packet::Publish(delivery(0, 0, false, "early")), Packet::Pingresp];
    for (version, packet) in ALL_VERSIONS.into_iter().flat_map(|version| packets.iter().map(move |p| (version, p))) {
        let mut talk: Talk = Talk::new(config(version));
        talk.session.start(&talk.config, talk.now).unwrap();
        talk.said();
        let error = talk.receives(packet).unwrap_err();
        let expected = SessionError::unexpected(packet.packet_type(), "arrived before CONNACK");
        assert_eq!(error, expected);
        assert!(talk.handler.came.is_empty() && talk.said().is_empty());
    }
}

#[test]
fn authentication_exchanges_are_refused_by_name_with_5_0() {
    let auth = Packet::Auth(Auth { reason: ReasonCode::CONTINUE_AUTHENTICATION, properties: Properties::new() });
    let mut talk: Talk = Talk::new(v5());
    talk.session.start(&talk.config, talk.now).unwrap();
    assert_eq!(talk.receives(&auth), Err(SessionError::EnhancedAuthentication));
    let mut talk: Talk = Talk::open(v5());
    assert_eq!(talk.receives(&auth), Err(SessionError::EnhancedAuthentication));
    assert_eq!(talk.said_in_short(), ["DISCONNECT 0x82"]);
    let mut talk: Talk = Talk::new(v311());
    talk.session.start(&talk.config, talk.now).unwrap();
    let error = talk.session.handle_input(&[0xF0, 0], talk.now, &mut talk.handler).unwrap_err();
    assert_eq!(error, SessionError::unexpected(PacketType::Auth, "arrived before CONNACK"));
}

/// What answers at the wrong port, in whole and byte by byte.
#[test]
fn what_is_no_mqtt_is_reported_with_its_first_bytes() {
    let cases: [(&[u8], usize); 7] = [
        (b"\x15\x03\x01\x00\x02\x02\x46", 1),     // a TLS alert
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", 1), // a web server
        (b"SSH-2.0-OpenSSH_9.6\r\n", 1),          // sshd
        (b"220 mail.example.org ESMTP\r\n", 8),   // looks like PUBLISH
        (b"<html><body>no</body></html>", 8),     // looks like PUBLISH with DUP
        (b"\x4a\x00\x00\x00\x0a5.7.29", 1),       // MySQL
        (b"\x00\x00\x00\x00", 1),                 // type 0
    ];
    for (input, enough) in cases {
        for piece in [1, 2, 3, 5, input.len()] {
            let mut talk: Talk = Talk::new(v5());
            talk.session.start(&talk.config, talk.now).unwrap();
            talk.said();
            let mut error = None;
            let mut fed = 0;
            for part in input.chunks(piece) {
                fed += part.len();
                if let Err(found) = talk.session.handle_input(part, talk.now, &mut talk.handler) {
                    error = Some(found);
                    break;
                }
            }
            let Some(SessionError::NotMqtt { first_bytes, .. }) = &error else { panic!("{input:?}: {error:?}") };
            assert!(first_bytes.len() >= enough && input.starts_with(first_bytes), "{input:?}: {first_bytes:?}");
            assert!(fed <= enough.next_multiple_of(piece).min(input.len()), "{input:?} took {fed} bytes");
            assert!(talk.said().is_empty());
            assert!(error.unwrap().to_string().starts_with("the server is not an MQTT broker: "));
        }
    }
}

#[test]
fn a_connack_that_is_malformed_is_a_brokers_fault() {
    for input in [&[0x20, 2, 8, 0][..], &[0x20, 1, 0], &[0x20, 5, 0, 0, 2, 0x21, 0]] {
        let mut talk: Talk = Talk::new(v5());
        talk.session.start(&talk.config, talk.now).unwrap();
        let error = talk.session.handle_input(input, talk.now, &mut talk.handler).unwrap_err();
        assert!(matches!(error, SessionError::Wire(_)), "{input:?}: {error:?}");
    }
}

#[test]
fn connack_must_come_in_time() {
    let mut talk: Talk = Talk::new(SessionConfig { connack_timeout: seconds(5), ..v5() });
    talk.session.start(&talk.config, talk.now).unwrap();
    assert_eq!(talk.session.poll_timeout(), Some(talk.now + seconds(5)));
    assert_eq!(talk.session.handle_timeout(talk.now + Duration::from_millis(4999)), Ok(()));
    let error = talk.session.handle_timeout(talk.now + seconds(5)).unwrap_err();
    assert_eq!(error, SessionError::ConnackTimeout(seconds(5)));
    assert_eq!(error.to_string(), "the broker did not answer CONNECT within 5 s");
    assert_eq!(talk.session.poll_timeout(), None);
    // What comes after that is too late.
    talk.receives(&accepted(false, Properties::new())).unwrap();
    assert!(!talk.session.is_open() && talk.handler.events.is_empty());
}

#[test]
fn the_time_for_connack_begins_when_connect_was_written() {
    let mut talk: Talk = Talk::new(SessionConfig { connack_timeout: seconds(5), ..v5() });
    talk.session.start(&talk.config, talk.now).unwrap();
    talk.session.handle_written(talk.now + seconds(3), true);
    talk.session.handle_written(talk.now + seconds(4), false);
    assert_eq!(talk.session.poll_timeout(), Some(talk.now + seconds(9)));
}

#[test]
fn what_is_large_before_connack_is_no_connack() {
    for (version, size) in [(v5(), 65_537), (v311(), 250_000_000)] {
        let mut talk: Talk = Talk::new(version);
        talk.session.start(&talk.config, talk.now).unwrap();
        let mut head = vec![0x20];
        let mut rest: usize = size - if size > 100_000 { 5 } else { 4 };
        while rest > 0 {
            head.push((rest & 0x7F) as u8 | if rest > 0x7F { 0x80 } else { 0 });
            rest >>= 7;
        }
        let error = talk.session.handle_input(&head, talk.now, &mut talk.handler).unwrap_err();
        assert_eq!(error, SessionError::Wire(WireError::TooLarge { size, limit: 65_536 }));
    }
}

#[test]
fn a_time_out_beyond_every_clock_waits_for_ever() {
    let mut talk: Talk = Talk::new(SessionConfig { connack_timeout: Duration::MAX, ..v5() });
    talk.session.start(&talk.config, talk.now).unwrap();
    assert_eq!(talk.session.poll_timeout(), None);
    assert_eq!(talk.session.handle_timeout(talk.now + seconds(1_000_000)), Ok(()));
}
