//! The session by sections of the standard, against a broker's side that speaks bytes.
//!
//! [`Talk`] holds a session and plays the broker: what the session writes is read by `mqtt::wire`, what the broker says
//! is written by it. [`TestHandler`] writes down everything that the session reports.

mod aliases_and_limits;
mod arriving;
mod bytes;
mod connect;
mod keep_alive;
mod packet_identifiers;
mod publishing;
mod random;
mod random_broker;
mod reconnect;

use std::time::{Duration, Instant};

use super::{Acknowledge, Completion, Delivery, Event, Handler, Kept, Outcome, Receipt};
use super::{PublishError, Session, SessionConfig, SessionError};
use crate::mqtt::wire::{Ack, AckKind, Connack, Packet, Publish, PublishProperties, Scan, scan};
use crate::mqtt::{Message, Properties, Property, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode};

const ALL_VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];

/// What a message was when it came: a copy of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Came {
    topic: String,
    payload: String,
    qos: QoS,
    dup: bool,
    receipt: Receipt,
}

/// What a publish was when it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Done {
    payload: String,
    identifier: u16,
    outcome: Outcome,
    reason: ReasonCode,
}

#[derive(Debug)]
struct TestHandler {
    answer: Acknowledge,
    came: Vec<Came>,
    done: Vec<Done>,
    received: Vec<String>,
    events: Vec<Event>,
}

impl Default for TestHandler {
    fn default() -> Self {
        Self { answer: Acknowledge::Now, came: vec![], done: vec![], received: vec![], events: vec![] }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn payload_of(kept: &impl Kept) -> String {
    kept.message().map_or_else(String::new, |message| text(&message.payload))
}

impl<K: Kept> Handler<K> for TestHandler {
    fn on_message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        self.came.push(Came {
            topic: delivery.publish.topic.to_owned(),
            payload: text(delivery.publish.payload),
            qos: delivery.publish.qos,
            dup: delivery.publish.dup,
            receipt: delivery.receipt,
        });
        self.answer
    }

    fn on_completed(&mut self, completion: Completion<'_, K>) {
        self.done.push(Done {
            payload: payload_of(&completion.kept),
            identifier: completion.packet_identifier,
            outcome: completion.outcome,
            reason: completion.reason,
        });
    }

    fn on_received(&mut self, kept: &K, _: ReasonCode) {
        self.received.push(payload_of(kept));
    }

    fn on_event(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// A session in talk with a broker.
struct Talk<K = Message> {
    session: Session<K>,
    handler: TestHandler,
    config: SessionConfig,
    now: Instant,
}

impl<K: Kept> Talk<K> {
    fn new(config: SessionConfig) -> Self {
        let now = Instant::now();
        Self { session: Session::new(now), handler: TestHandler::default(), config, now }
    }

    /// A session that is connected, its CONNECT already read by the broker.
    fn open(config: SessionConfig) -> Self {
        let mut talk = Self::new(config);
        talk.connect(false, Properties::new());
        talk
    }

    /// Connects, again or for the first time. What was sent again is left in the output.
    fn connect(&mut self, session_present: bool, properties: Properties) {
        self.session.start(&self.config, self.now).unwrap();
        assert!(matches!(self.said().as_slice(), [Packet::Connect(_)]));
        self.receives(&accepted(session_present, properties)).unwrap();
    }

    fn reconnect(&mut self, session_present: bool) {
        self.session.handle_disconnected();
        self.connect(session_present, Properties::new());
    }

    /// The broker says this packet.
    fn receives(&mut self, packet: &Packet<'_>) -> Result<(), SessionError> {
        let bytes = bytes_of(packet, self.config.version);
        self.session.handle_input(&bytes, self.now, &mut self.handler)
    }

    fn receives_ack(&mut self, kind: AckKind, identifier: u16) -> Result<(), SessionError> {
        self.receives(&Packet::Ack(Ack::success(kind, identifier)))
    }

    /// The broker publishes.
    fn receives_message(&mut self, qos: u8, identifier: u16, payload: &str) -> Result<(), SessionError> {
        self.receives(&Packet::Publish(delivery(qos, identifier, false, payload)))
    }

    /// What the session has written since the last time.
    fn said(&mut self) -> Vec<Packet<'static>> {
        let mut out = Vec::new();
        self.session.take_output(&mut out);
        packets(out, self.config.version)
    }

    /// Writes what it has written into nothing.
    fn discard(&mut self) {
        let mut out = Vec::new();
        self.session.take_output(&mut out);
    }

    /// What it has written, in short: "PUBLISH 1", "PUBLISH 1 dup", "PUBACK 3".
    fn said_in_short(&mut self) -> Vec<String> {
        self.said().iter().map(in_short).collect()
    }
}

impl Talk {
    fn publish(&mut self, qos: u8, payload: &str) -> Result<u16, PublishError> {
        self.session.publish(message(qos, payload)).map_err(|(error, _)| error)
    }
}

fn in_short(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Publish(publish) => {
            let dup = if publish.dup { " dup" } else { "" };
            format!("PUBLISH {}{dup} {}", publish.packet_identifier, text(publish.payload))
        }
        Packet::Ack(ack) if ack.reason == ReasonCode::SUCCESS => {
            format!("{} {}", ack.kind.packet_type().name(), ack.packet_identifier)
        }
        Packet::Ack(ack) => {
            format!("{} {} {:#04x}", ack.kind.packet_type().name(), ack.packet_identifier, ack.reason.0)
        }
        Packet::Disconnect(disconnect) => format!("DISCONNECT {:#04x}", disconnect.reason.0),
        other => other.packet_type().name().to_owned(),
    }
}

fn config(version: ProtocolVersion) -> SessionConfig {
    SessionConfig { version, clean_start: false, client_id: "c".to_owned(), ..SessionConfig::default() }
}

fn v5() -> SessionConfig {
    config(ProtocolVersion::V5)
}

fn v311() -> SessionConfig {
    config(ProtocolVersion::V311)
}

fn qos(number: u8) -> QoS {
    QoS::from_number(number).unwrap()
}

fn message(qos_number: u8, payload: &str) -> Message {
    Message { topic: "t".to_owned(), payload: payload.to_owned().into(), qos: qos(qos_number), ..Message::default() }
}

fn delivery(qos_number: u8, identifier: u16, dup: bool, payload: &str) -> Publish<'_> {
    static NONE: Properties = Properties::new();
    Publish {
        dup,
        qos: qos(qos_number),
        retain: false,
        topic: "t",
        packet_identifier: identifier,
        properties: PublishProperties::Owned(&NONE),
        payload: payload.as_bytes(),
    }
}

fn accepted(session_present: bool, properties: Properties) -> Packet<'static> {
    Packet::Connack(Connack { session_present, reason: ReasonCode::SUCCESS, properties })
}

fn bytes_of(packet: &Packet<'_>, version: ProtocolVersion) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes).unwrap();
    bytes
}

/// Reads all packets; fails the test on a byte that belongs to none. The buffer stays for the life of the test.
fn packets(bytes: Vec<u8>, version: ProtocolVersion) -> Vec<Packet<'static>> {
    let mut rest: &'static [u8] = bytes.leak();
    let mut packets = Vec::new();
    while !rest.is_empty() {
        match scan(rest, usize::MAX).unwrap() {
            Scan::Frame(frame) => {
                packets.push(Packet::decode(frame, version).unwrap());
                rest = &rest[frame.size..];
            }
            Scan::Incomplete(_) => panic!("half a packet was written"),
        }
    }
    packets
}

/// A property whose value is a number, of the type that the name asks for.
fn number(name: PropertyName, number: u32) -> Property {
    use crate::mqtt::WireType;
    let value = match name.wire_type() {
        WireType::Byte => PropertyValue::Byte(number as u8),
        WireType::TwoByte => PropertyValue::TwoByte(number as u16),
        WireType::FourByte => PropertyValue::FourByte(number),
        _ => PropertyValue::VarInt(number),
    };
    Property::new(name, value).unwrap()
}

fn properties(list: &[(PropertyName, u32)]) -> Properties {
    list.iter().map(|(name, value)| number(*name, *value)).collect()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_released_identifier_leaves_the_window() {
    let mut talk: Talk = Talk::open(SessionConfig { window: 2, ..v5() });
    let first = talk.session.reserve(qos(1), message(1, "a")).unwrap();
    let second = talk.session.reserve(qos(2), message(2, "b")).unwrap();
    assert_eq!(talk.session.reserve(qos(1), message(1, "c")), None);
    talk.session.release(second);
    assert_eq!((talk.session.window_free(), talk.session.in_flight()), (1, 1));
    assert!(talk.session.reserve(qos(1), message(1, "c")).is_some());
    talk.session.release(first);
    assert_eq!(talk.session.window_free(), 1);
}
