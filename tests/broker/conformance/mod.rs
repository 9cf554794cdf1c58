//! The rules of both standards, one module per section. Section numbers are those of MQTT 5.0 unless a version is
//! named.
//!
//! Each test runs against its own mqbroker, or against the broker that `MQTOOLS_CONFORMANCE_BROKER` names
//! (`host:port`, anonymous clients allowed). Client ids and topics carry a tag, so that tests can share a broker that
//! keeps what it was sent. Nothing sleeps: where nothing may come, a PINGREQ is sent and its answer must be next.

mod connect;
mod flow_control;
mod keep_alive;
mod malformed;
mod publish;
mod sessions;
mod shared;
mod subscribe;
mod wills;

use std::collections::VecDeque;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};

use mqtools::mqtt::wire::{
    AckKind, Connack, Connect, Disconnect, Packet, Suback, Subscribe, SubscribeFilter, Unsuback, Unsubscribe,
};
use mqtools::mqtt::{Message, Properties, Property, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode};

use crate::support::mqbroker::Mqbroker;
use crate::support::raw_client::{self, RawClient, message};

const V31: ProtocolVersion = ProtocolVersion::V31;
const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;
const VERSIONS: [ProtocolVersion; 3] = [V31, V311, V5];
const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// The broker under test, and the tag of this test.
struct Broker {
    address: SocketAddr,
    tag: String,
    /// Ours, where no other was named.
    process: Option<Mqbroker>,
}

impl Broker {
    /// The broker that was named, or a mqbroker with its defaults.
    fn any() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let tag = format!("{:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        match std::env::var("MQTOOLS_CONFORMANCE_BROKER") {
            Ok(name) => {
                let address = name.to_socket_addrs().unwrap_or_else(|error| panic!("{name}: {error}")).next().unwrap();
                Self { address, tag, process: None }
            }
            Err(_) => {
                let process = Mqbroker::start("listener 0 127.0.0.1\nallow_anonymous true\n");
                Self { address: process.address(), tag, process: Some(process) }
            }
        }
    }

    /// Whether it is a mqbroker. What the standards leave open is tested with ours only.
    fn is_ours(&self) -> bool {
        self.process.is_some()
    }

    /// A client id that no other test has; with a short name it has no more than the 23 characters of 3.1.
    fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.tag)
    }

    /// A topic that no other test has.
    fn topic(&self, name: &str) -> String {
        format!("conformance/{}/{name}", self.tag)
    }

    /// A CONNECT with a clean session.
    fn hello(&self, version: ProtocolVersion, name: &str) -> Connect {
        raw_client::connect(version, &self.id(name))
    }

    /// A CONNECT with a session that stays.
    fn durable(&self, version: ProtocolVersion, name: &str) -> Connect {
        let mut connect = Connect { clean_start: false, ..self.hello(version, name) };
        if version.is_v5() {
            connect.properties.push(number(PropertyName::SessionExpiryInterval, PropertyValue::FourByte(600)));
        }
        connect
    }

    /// A client with a clean session that was let in.
    fn connect(&self, version: ProtocolVersion, name: &str) -> Client {
        self.accept(&self.hello(version, name)).0
    }

    /// A client that was let in, and its CONNACK.
    fn accept(&self, connect: &Connect) -> (Client, Connack) {
        let (client, connack) = self.try_connect(connect);
        assert!(!connack.reason.is_error(), "refused: {connack:?}");
        (client, connack)
    }

    /// A client that was let in or refused.
    fn try_connect(&self, connect: &Connect) -> (Client, Connack) {
        let (raw, connack) = RawClient::connect_as(self.address, connect);
        (Client { raw, version: connect.version, early: VecDeque::new() }, connack)
    }

    /// A connection on which nothing was sent.
    fn open(&self, version: ProtocolVersion) -> Client {
        Client { raw: RawClient::open(self.address, version), version, early: VecDeque::new() }
    }
}

/// A raw client with the habits that tests of conformance share.
struct Client {
    raw: RawClient,
    version: ProtocolVersion,
    /// Messages that came while another packet was awaited.
    early: VecDeque<(Message, u16)>,
}

impl Deref for Client {
    type Target = RawClient;

    fn deref(&self) -> &RawClient {
        &self.raw
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut RawClient {
        &mut self.raw
    }
}

impl Client {
    /// Nothing was under way: the answer to a PINGREQ is the next packet.
    fn expect_nothing(&mut self) {
        assert!(self.early.is_empty(), "{:?}", self.early);
        self.send(&Packet::Pingreq);
        let next = self.receive_bytes().expect("the connection ended");
        assert_eq!(next, [0xD0, 0], "{:?}", self.decode(&next));
    }

    /// Publishes a message and does all that its QoS asks for.
    fn say(&mut self, topic: &str, payload: &str, qos: QoS) {
        self.say_message(&message(topic, payload, qos), 7);
    }

    /// The same, retained.
    fn retain(&mut self, topic: &str, payload: &str, qos: QoS) {
        self.say_message(&Message { retain: true, ..message(topic, payload, qos) }, 7);
    }

    fn say_message(&mut self, message: &Message, identifier: u16) {
        self.publish(message, identifier, false);
        match message.qos {
            // The broker has looked at it when it answers what comes behind it.
            QoS::AtMostOnce => self.expect_nothing(),
            QoS::AtLeastOnce => self.expect_ack(AckKind::Puback, identifier),
            QoS::ExactlyOnce => {
                self.expect_ack(AckKind::Pubrec, identifier);
                self.acknowledge(AckKind::Pubrel, identifier);
                self.expect_ack(AckKind::Pubcomp, identifier);
            }
        }
    }

    /// The next packet that is not a message; messages before it are kept for later.
    fn expect_ack(&mut self, kind: AckKind, identifier: u16) {
        let ack = loop {
            let bytes = self.receive_bytes().expect("the connection ended before an acknowledgement");
            match self.decode(&bytes) {
                Packet::Ack(ack) => break ack,
                Packet::Publish(publish) => {
                    self.early.push_back((publish.to_message(), publish.packet_identifier));
                }
                other => panic!("no acknowledgement but {other:?}"),
            }
        };
        assert_eq!((ack.kind, ack.packet_identifier), (kind, identifier));
        assert!(!ack.reason.is_error(), "{ack:?}");
    }

    /// The next message; it is acknowledged as its QoS asks for.
    fn next_message(&mut self) -> Message {
        let early = self.early.pop_front();
        let (message, identifier) = early.unwrap_or_else(|| {
            let (message, identifier, _) = self.receive_publish();
            (message, identifier)
        });
        match message.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.acknowledge(AckKind::Puback, identifier),
            QoS::ExactlyOnce => {
                self.acknowledge(AckKind::Pubrec, identifier);
                self.expect_ack(AckKind::Pubrel, identifier);
                self.acknowledge(AckKind::Pubcomp, identifier);
            }
        }
        message
    }

    /// The text of the next message.
    fn next_text(&mut self) -> String {
        String::from_utf8(self.next_message().payload.to_vec()).unwrap()
    }

    /// Subscribes to one filter, which is granted.
    fn take(&mut self, filter: &str, qos: QoS) {
        let suback = self.subscribe(filter, qos);
        assert_eq!(suback.reasons, [ReasonCode(qos.number())], "{filter}");
    }

    /// Subscribes to filters with their options.
    fn subscribe_with(&mut self, filters: Vec<SubscribeFilter>, properties: Properties) -> Suback {
        self.send(&Packet::Subscribe(Subscribe { packet_identifier: 11, properties, filters }));
        let bytes = self.receive_bytes().expect("the connection ended before a SUBACK");
        match self.decode(&bytes) {
            Packet::Suback(suback) => suback,
            other => panic!("no SUBACK but {other:?}"),
        }
    }

    fn unsubscribe(&mut self, filters: &[&str]) -> Unsuback {
        let filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
        self.send(&Packet::Unsubscribe(Unsubscribe { packet_identifier: 12, properties: Properties::new(), filters }));
        let bytes = self.receive_bytes().expect("the connection ended before an UNSUBACK");
        match self.decode(&bytes) {
            Packet::Unsuback(unsuback) => unsuback,
            other => panic!("no UNSUBACK but {other:?}"),
        }
    }

    /// Leaves with a DISCONNECT, and waits until the broker has seen it.
    fn leave(mut self) {
        self.send(&Packet::Disconnect(Disconnect::default()));
        self.read_to_end();
    }

    /// Ends the connection without a word, and waits until the broker has seen it.
    fn cut(mut self) {
        self.finish_sending();
        self.read_to_end();
    }

    /// The broker ends the connection. Returns the reason of its DISCONNECT (5.0), where it sends one.
    fn expect_end(&mut self) -> Option<ReasonCode> {
        let bytes = self.read_to_end();
        if bytes.is_empty() {
            return None;
        }
        assert!(self.version.is_v5(), "before 5.0 a broker sends nothing: {bytes:02x?}");
        match self.decode(&bytes) {
            Packet::Disconnect(Disconnect { reason, .. }) if reason.is_error() => Some(reason),
            other => panic!("no DISCONNECT but {other:?}"),
        }
    }
}

fn number(name: PropertyName, value: PropertyValue) -> Property {
    Property::new(name, value).unwrap()
}

fn filter(filter: &str, qos: QoS) -> SubscribeFilter {
    SubscribeFilter { filter: filter.to_owned(), qos, ..SubscribeFilter::default() }
}
