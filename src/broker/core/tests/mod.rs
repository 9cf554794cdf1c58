//! Tests of the core by section of the standard: packets in, packets out, and a clock that only the test moves.

mod connecting;
mod limits;
mod messages;
mod restoring;
mod sessions;
mod subscribing;
mod words;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Cause, Core, OpenAccess, Peer, Settings};
use crate::mqtt::wire::{
    Ack, AckKind, Connack, Connect, Disconnect, Packet, Publish, Scan, Suback, Subscribe, SubscribeFilter, Unsuback,
    scan,
};
use crate::mqtt::{Message, Properties, Property, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode};

const V31: ProtocolVersion = ProtocolVersion::V31;
const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;
const VERSIONS: [ProtocolVersion; 3] = [V31, V311, V5];
const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A packet that the broker sent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Connack(Connack),
    Publish { message: Message, identifier: u16, dup: bool },
    Ack(AckKind, u16, ReasonCode),
    Suback(Suback),
    Unsuback(Unsuback),
    Pingresp,
    Disconnect(ReasonCode),
}

/// A broker and its clock.
struct Desk {
    core: Core,
    now: Instant,
}

/// A client: the number of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Client {
    id: u32,
    version: ProtocolVersion,
}

impl Desk {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings { sys_interval: Duration::ZERO, ..Settings::default() };
        change(&mut settings);
        let now = Instant::now();
        Self { core: Core::new(settings, Box::new(OpenAccess { allow_anonymous: true }), now), now }
    }

    fn open(&mut self) -> u32 {
        let peer = Peer { address: "127.0.0.1".into(), port: 40_000, ..Peer::default() };
        self.core.open(peer, self.now)
    }

    /// Sends a CONNECT and returns what comes back.
    fn try_connect(&mut self, connect: &Connect) -> (Client, Vec<Got>) {
        let client = Client { id: self.open(), version: connect.version };
        self.send(client, &Packet::Connect(Box::new(connect.clone())));
        let got = self.take(client);
        (client, got)
    }

    /// Connects a client that is let in; whether its session was there, and what came behind the CONNACK.
    fn connect_with(&mut self, connect: &Connect) -> (Client, bool, Vec<Got>) {
        let (client, mut got) = self.try_connect(connect);
        let Got::Connack(connack) = got.remove(0) else { panic!("{got:?}") };
        assert_eq!(connack.reason, ReasonCode::SUCCESS);
        (client, connack.session_present, got)
    }

    /// A client with a clean session.
    fn connect(&mut self, version: ProtocolVersion, client_id: &str) -> Client {
        self.connect_with(&hello(version, client_id)).0
    }

    /// A client with a session that stays.
    fn durable(&mut self, version: ProtocolVersion, client_id: &str) -> (Client, bool, Vec<Got>) {
        self.connect_with(&durable(version, client_id))
    }

    fn send(&mut self, client: Client, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(client.version, &mut bytes).unwrap();
        self.core.handle_input(client.id, &bytes, self.now);
    }

    fn bytes(&mut self, client: Client) -> Vec<u8> {
        let mut slices = Vec::new();
        self.core.output(client.id, &mut slices, usize::MAX);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.core.written(client.id, bytes.len());
        while self.core.has_work() {
            self.core.work(self.now);
        }
        bytes
    }

    /// All that the broker has for a client.
    fn take(&mut self, client: Client) -> Vec<Got> {
        let mut all = Vec::new();
        loop {
            let bytes = self.bytes(client);
            if bytes.is_empty() {
                return all;
            }
            all.extend(packets(&bytes, client.version));
        }
    }

    /// The messages among them.
    fn messages(&mut self, client: Client) -> Vec<(String, String, QoS, bool)> {
        let got = self.take(client);
        got.into_iter()
            .filter_map(|got| match got {
                Got::Publish { message, .. } => {
                    let payload = String::from_utf8_lossy(&message.payload).into_owned();
                    Some((message.topic, payload, message.qos, message.retain))
                }
                _ => None,
            })
            .collect()
    }

    fn subscribe(&mut self, client: Client, filter: &str, qos: QoS) {
        let filter = SubscribeFilter { filter: filter.into(), qos, ..SubscribeFilter::default() };
        self.subscribe_with(client, filter, 0);
    }

    fn subscribe_with(&mut self, client: Client, filter: SubscribeFilter, identifier: u32) {
        let mut properties = Properties::new();
        if identifier > 0 {
            properties.push(property(PropertyName::SubscriptionIdentifier, PropertyValue::VarInt(identifier)));
        }
        let subscribe = Subscribe { packet_identifier: 7, properties, filters: vec![filter] };
        self.send(client, &Packet::Subscribe(subscribe));
    }

    /// Subscribes and takes the SUBACK and what comes with it.
    fn subscribed(&mut self, client: Client, filter: &str, qos: QoS) -> Vec<Got> {
        self.subscribe(client, filter, qos);
        let mut got = self.take(client);
        let suback = got.remove(0);
        assert!(matches!(&suback, Got::Suback(suback) if suback.reasons == [ReasonCode(qos.number())]), "{suback:?}");
        got
    }

    fn publish(&mut self, client: Client, message: &Message, identifier: u16) {
        self.send(client, &Packet::Publish(Publish::of(message, identifier, false)));
    }

    /// Publishes a text and does all that its QoS asks for.
    fn say(&mut self, client: Client, topic: &str, text: &str, qos: QoS, retain: bool) {
        self.publish(client, &Message { retain, ..message(topic, text, qos) }, 9);
        match qos {
            QoS::AtMostOnce => assert_eq!(self.take(client), []),
            QoS::AtLeastOnce => self.expect_ack(client, AckKind::Puback, 9),
            QoS::ExactlyOnce => {
                self.expect_ack(client, AckKind::Pubrec, 9);
                self.acknowledge(client, AckKind::Pubrel, 9);
                self.expect_ack(client, AckKind::Pubcomp, 9);
            }
        }
    }

    fn expect_ack(&mut self, client: Client, kind: AckKind, identifier: u16) {
        let got = self.take(client);
        let [Got::Ack(got_kind, got_identifier, reason)] = got[..] else { panic!("{kind:?}: {got:?}") };
        assert_eq!((got_kind, got_identifier), (kind, identifier));
        assert!(!reason.is_error());
    }

    fn acknowledge(&mut self, client: Client, kind: AckKind, identifier: u16) {
        self.send(client, &Packet::Ack(Ack::success(kind, identifier)));
    }

    fn leave(&mut self, client: Client) {
        self.send(client, &Packet::Disconnect(Disconnect::default()));
        assert!(self.core.is_closing(client.id));
        self.core.handle_closed(client.id, Cause::Closed, self.now);
    }

    fn cut(&mut self, client: Client) {
        self.core.handle_closed(client.id, Cause::Closed, self.now);
    }

    fn wait(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(next) = self.core.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.core.handle_timeout(self.now);
        }
        self.now = end;
    }
}

fn packets(mut bytes: &[u8], version: ProtocolVersion) -> Vec<Got> {
    let mut packets = Vec::new();
    while let Scan::Frame(frame) = scan(bytes, usize::MAX).unwrap() {
        packets.push(match Packet::decode(frame, version).unwrap() {
            Packet::Connack(connack) => Got::Connack(connack),
            Packet::Publish(publish) => {
                Got::Publish { message: publish.to_message(), identifier: publish.packet_identifier, dup: publish.dup }
            }
            Packet::Ack(ack) => Got::Ack(ack.kind, ack.packet_identifier, ack.reason),
            Packet::Suback(suback) => Got::Suback(suback),
            Packet::Unsuback(unsuback) => Got::Unsuback(unsuback),
            Packet::Pingresp => Got::Pingresp,
            Packet::Disconnect(disconnect) => Got::Disconnect(disconnect.reason),
            other => panic!("not for a client: {other:?}"),
        });
        bytes = &bytes[frame.size..];
    }
    assert!(bytes.is_empty(), "a packet is not whole");
    packets
}

fn hello(version: ProtocolVersion, client_id: &str) -> Connect {
    Connect {
        version,
        client_id: client_id.to_owned(),
        clean_start: true,
        keep_alive: 0,
        user_name: None,
        password: None,
        will: None,
        properties: Properties::new(),
    }
}

fn durable(version: ProtocolVersion, client_id: &str) -> Connect {
    let mut connect = Connect { clean_start: false, ..hello(version, client_id) };
    if version.is_v5() {
        connect.properties.push(property(PropertyName::SessionExpiryInterval, PropertyValue::FourByte(600)));
    }
    connect
}

fn property(name: PropertyName, value: PropertyValue) -> Property {
    Property::new(name, value).unwrap()
}

fn message(topic: &str, text: &str, qos: QoS) -> Message {
    Message { topic: topic.into(), payload: text.to_owned().into(), qos, ..Message::default() }
}

fn texts(messages: &[(String, String, QoS, bool)]) -> Vec<&str> {
    messages.iter().map(|(_, text, _, _)| text.as_str()).collect()
}

/// Collects the events of a log or a journal as text.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}
