//! What the fuzz target `session` does with its bytes: a life of a session in which the bytes say what happens next and
//! what the broker sends. `tests/properties/session.rs` runs the same body on a stable compiler.

use std::time::{Duration, Instant};

use mqtools::mqtt::wire::{MAX_PACKET_SIZE, Packet, Scan, scan};
use mqtools::mqtt::{Message, Properties, Property, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode};
use mqtools::session::{Acknowledge, Completion, Delivery, Event, Handler, Receipt, Session, SessionConfig};

#[derive(Default)]
struct Owner {
    later: bool,
    receipts: Vec<Receipt>,
    published: usize,
    completed: usize,
}

impl Handler<Message> for Owner {
    fn on_message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        assert!(!delivery.publish.topic.is_empty(), "an alias was not resolved");
        if self.later {
            self.receipts.push(delivery.receipt);
            return Acknowledge::Later;
        }
        Acknowledge::Now
    }

    fn on_completed(&mut self, completion: Completion<'_, Message>) {
        assert_ne!(completion.packet_identifier, 0);
        self.completed += 1;
    }

    fn on_event(&mut self, _: Event) {}
}

/// Takes what the session has written; all of it must be packets that a client may send.
fn check_output(session: &mut Session, version: ProtocolVersion) {
    let mut out = Vec::new();
    session.take_output(&mut out);
    let mut rest = out.as_slice();
    while !rest.is_empty() {
        let Ok(Scan::Frame(frame)) = scan(rest, MAX_PACKET_SIZE) else { panic!("half a packet: {rest:?}") };
        match Packet::decode(frame, version) {
            Ok(
                Packet::Connect(_)
                | Packet::Publish(_)
                | Packet::Ack(_)
                | Packet::Pingreq
                | Packet::Unsubscribe(_)
                | Packet::Disconnect(_),
            ) => {}
            other => panic!("{other:?} was written"),
        }
        rest = &rest[frame.size..];
    }
}

fn config(choice: u8) -> SessionConfig {
    let announced = [
        (PropertyName::ReceiveMaximum, u16::from(choice >> 4) + 1),
        (PropertyName::TopicAliasMaximum, u16::from(choice >> 4)),
    ];
    let connect_properties =
        announced.into_iter().filter_map(|(name, value)| Property::new(name, PropertyValue::TwoByte(value)).ok());
    SessionConfig {
        version: [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5, ProtocolVersion::V5]
            [usize::from(choice & 3)],
        clean_start: choice & 4 != 0,
        window: u16::from(choice >> 3 & 7),
        max_packet_size: if choice & 8 == 0 { MAX_PACKET_SIZE } else { 100 },
        connect_properties: connect_properties.collect(),
        ..SessionConfig::default()
    }
}

fn publish(session: &mut Session, owner: &mut Owner, choice: u8) {
    let mut properties = Properties::new();
    let alias = PropertyValue::TwoByte(u16::from(choice >> 4 & 3));
    Property::new(PropertyName::TopicAlias, alias).into_iter().for_each(|alias| properties.push(alias));
    let message = Message {
        topic: ["a", "b"][usize::from(choice >> 2 & 1)].to_owned(),
        payload: vec![choice; usize::from(choice)].into(),
        qos: QoS::from_number(choice & 3).unwrap_or_default(),
        retain: choice & 8 != 0,
        properties,
    };
    let counts = message.qos != QoS::AtMostOnce;
    let room = session.window_free();
    match session.publish(message) {
        Ok(_) if counts => {
            assert!(room > 0);
            owner.published += 1;
        }
        Ok(_) | Err(_) => {}
    }
}

/// Nothing panics, every byte written belongs to a packet, every message is completed at most once and none is
/// forgotten, whatever happens in whatever order. The first byte is the configuration; then a byte says what happens.
pub fn session(data: &[u8]) {
    let [first, data @ ..] = data else { return };
    let config = config(*first);
    let mut now = Instant::now();
    let mut session: Session = Session::new(now);
    let mut owner = Owner { later: first & 0x80 != 0, ..Owner::default() };
    assert!(session.start(&config, now).is_ok());
    let mut rest = data;
    while let [step, argument, tail @ ..] = rest {
        rest = tail;
        match step % 8 {
            0 => publish(&mut session, &mut owner, *argument),
            1 => {
                session.handle_disconnected();
                assert!(session.start(&config, now).is_ok());
            }
            2 => {
                let session_present = argument & 1 & u8::from(!config.clean_start);
                let v5 = config.version.is_v5();
                let connack: &[u8] =
                    if v5 { &[0x20, 3, session_present, 0, 0] } else { &[0x20, 2, session_present, 0] };
                let _ = session.handle_input(connack, now, &mut owner);
            }
            3 => {
                now += Duration::from_secs(u64::from(*argument));
                let _ = session.handle_timeout(now);
            }
            4 if !owner.receipts.is_empty() => {
                let receipt = owner.receipts.swap_remove(usize::from(*argument) % owner.receipts.len());
                session.acknowledge(receipt);
            }
            5 if *argument == 0 => {
                let _ = session.disconnect(ReasonCode::SUCCESS, Properties::new());
            }
            _ => {
                let (input, after) = rest.split_at(usize::from(*argument).min(rest.len()));
                rest = after;
                if session.handle_input(input, now, &mut owner).is_err() {
                    assert!(!session.is_open());
                }
            }
        }
        check_output(&mut session, config.version);
        assert_eq!(owner.published, owner.completed + session.in_flight());
        assert!(session.in_flight() + session.window_free() <= usize::from(config.window.max(1)));
    }
}
