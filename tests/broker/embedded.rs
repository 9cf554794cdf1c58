//! What the tools rely on in the embedded broker, checked packet by packet over real sockets. The rules of the standard
//! are tested on its core.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mqtools::broker::{BrokerSettings, EmbeddedBroker};
use mqtools::mqtt::wire::{
    Ack, AckKind, Connack, Connect, Disconnect, Packet, Publish, PublishTemplate, Scan, Subscribe, SubscribeFilter,
    scan,
};
use mqtools::mqtt::{Message, Properties, Property, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode};

use crate::support::socket::read_some;

/// Far above what anything here takes; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(60);
const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];

/// A delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Delivery {
    message: Message,
    packet_identifier: u16,
    dup: bool,
}

/// A client that does what the test asks for and nothing by itself.
struct Client {
    stream: TcpStream,
    version: ProtocolVersion,
    input: Vec<u8>,
    used: usize,
}

impl Client {
    /// Sends the CONNECT and takes the CONNACK, whatever it says.
    fn connect(address: SocketAddr, connect: &Connect) -> (Self, Connack) {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self { stream, version: connect.version, input: Vec::new(), used: 0 };
        client.send(&Packet::Connect(Box::new(connect.clone())));
        let connack = client.receive(|packet| match packet {
            Packet::Connack(connack) => connack,
            other => panic!("no CONNACK: {other:?}"),
        });
        (client, connack)
    }

    /// A client with a clean session.
    fn clean(broker: &EmbeddedBroker, version: ProtocolVersion, id: &str) -> Self {
        let (client, connack) = Self::connect(broker.local_addr(), &hello(version, id));
        assert_eq!((connack.reason, connack.session_present), (ReasonCode::SUCCESS, false));
        client
    }

    /// A client whose session stays; returns whether there was one.
    fn lasting(broker: &EmbeddedBroker, version: ProtocolVersion, id: &str) -> (Self, bool) {
        let mut properties = Properties::new();
        if version.is_v5() {
            properties.push(Property::new(PropertyName::SessionExpiryInterval, PropertyValue::FourByte(600)).unwrap());
        }
        let connect = Connect { clean_start: false, properties, ..hello(version, id) };
        let (client, connack) = Self::connect(broker.local_addr(), &connect);
        assert_eq!(connack.reason, ReasonCode::SUCCESS);
        (client, connack.session_present)
    }

    fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// Takes the next packet.
    fn receive<T>(&mut self, take: impl FnOnce(Packet<'_>) -> T) -> T {
        loop {
            if let Scan::Frame(frame) = scan(&self.input[self.used..], usize::MAX).unwrap() {
                let packet = Packet::decode(frame, self.version).unwrap();
                let taken = take(packet);
                self.used += frame.size;
                return taken;
            }
            self.input.drain(..self.used);
            self.used = 0;
            let mut chunk = [0; 65_536];
            let count = read_some(&mut self.stream, &mut chunk).expect("nothing came in time");
            assert_ne!(count, 0, "the broker closed the connection");
            self.input.extend_from_slice(&chunk[..count]);
        }
    }

    fn delivery(&mut self) -> Delivery {
        self.receive(|packet| match packet {
            Packet::Publish(publish) => Delivery {
                message: publish.to_message(),
                packet_identifier: publish.packet_identifier,
                dup: publish.dup,
            },
            other => panic!("no PUBLISH: {other:?}"),
        })
    }

    fn expect_ack(&mut self, kind: AckKind, packet_identifier: u16) {
        let ack = self.receive(|packet| match packet {
            Packet::Ack(ack) => ack,
            other => panic!("no {kind:?}: {other:?}"),
        });
        assert_eq!((ack.kind, ack.packet_identifier), (kind, packet_identifier));
        assert!(!ack.reason.is_error(), "{ack:?}");
    }

    fn acknowledge(&mut self, kind: AckKind, packet_identifier: u16) {
        let ack = Ack { kind, packet_identifier, reason: ReasonCode::SUCCESS, properties: Properties::new() };
        self.send(&Packet::Ack(ack));
    }

    fn subscribe(&mut self, filter: &str, qos: QoS) {
        let filter = SubscribeFilter { filter: filter.to_owned(), qos, ..SubscribeFilter::default() };
        self.send(&Packet::Subscribe(Subscribe {
            packet_identifier: 1,
            filters: vec![filter],
            ..Subscribe::default()
        }));
        let reasons = self.receive(|packet| match packet {
            Packet::Suback(suback) => suback.reasons,
            other => panic!("no SUBACK: {other:?}"),
        });
        assert_eq!(reasons, [ReasonCode(qos.number())]);
    }

    /// Publishes and waits until the broker has it for good. At QoS 0 a PINGRESP says so.
    fn publish(&mut self, topic: &str, qos: QoS, payload: &str) {
        let message = message(topic, qos, payload);
        self.send(&Packet::Publish(Publish::of(&message, if qos == QoS::AtMostOnce { 0 } else { 9 }, false)));
        match qos {
            QoS::AtMostOnce => {
                self.send(&Packet::Pingreq);
                self.receive(|packet| assert_eq!(packet, Packet::Pingresp));
            }
            QoS::AtLeastOnce => self.expect_ack(AckKind::Puback, 9),
            QoS::ExactlyOnce => {
                self.expect_ack(AckKind::Pubrec, 9);
                self.acknowledge(AckKind::Pubrel, 9);
                self.expect_ack(AckKind::Pubcomp, 9);
            }
        }
    }

    fn disconnect(mut self) {
        self.send(&Packet::Disconnect(Disconnect::default()));
    }

    /// Reads until the broker closes.
    fn wait_for_close(mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

fn broker() -> EmbeddedBroker {
    EmbeddedBroker::start(BrokerSettings::loopback()).unwrap()
}

fn hello(version: ProtocolVersion, id: &str) -> Connect {
    Connect {
        version,
        client_id: id.to_owned(),
        clean_start: true,
        keep_alive: 0,
        user_name: None,
        password: None,
        will: None,
        properties: Properties::new(),
    }
}

fn message(topic: &str, qos: QoS, payload: &str) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: payload.to_owned().into(),
        qos,
        retain: false,
        properties: Properties::new(),
    }
}

#[test]
fn what_was_not_acknowledged_comes_again_in_order_with_dup_and_the_same_identifiers() {
    let broker = broker();
    for version in VERSIONS {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let topic = format!("again/{version:?}/{qos:?}");
            let (mut subscriber, present) = Client::lasting(&broker, version, &topic.replace('/', "-"));
            assert!(!present);
            subscriber.subscribe(&topic, qos);
            let mut publisher = Client::clean(&broker, version, "publisher");
            for number in 0..10 {
                publisher.publish(&topic, qos, &number.to_string());
            }
            let first: Vec<Delivery> = (0..10).map(|_| subscriber.delivery()).collect();
            assert!(first.iter().all(|delivery| !delivery.dup));
            drop(subscriber);

            let (mut subscriber, present) = Client::lasting(&broker, version, &topic.replace('/', "-"));
            // 3.1 cannot say it.
            assert_eq!(present, version != ProtocolVersion::V31);
            for delivery in first {
                assert_eq!(subscriber.delivery(), Delivery { dup: true, ..delivery });
            }
        }
    }
}

#[test]
fn messages_wait_for_a_session_that_is_away() {
    let broker = broker();
    for version in VERSIONS {
        let id = format!("away-{version:?}");
        let (mut subscriber, _) = Client::lasting(&broker, version, &id);
        subscriber.subscribe(&id, QoS::AtLeastOnce);
        subscriber.disconnect();
        let mut publisher = Client::clean(&broker, version, "publisher");
        for number in 0..200 {
            publisher.publish(&id, QoS::AtLeastOnce, &number.to_string());
        }
        let (mut subscriber, present) = Client::lasting(&broker, version, &id);
        assert_eq!(present, version != ProtocolVersion::V31);
        for number in 0..200 {
            let delivery = subscriber.delivery();
            assert_eq!(delivery.message.payload, number.to_string().as_bytes());
            subscriber.acknowledge(AckKind::Puback, delivery.packet_identifier);
        }
    }
}

#[test]
fn a_will_is_sent_for_who_is_cut_off_and_not_for_who_leaves() {
    let broker = broker();
    for version in VERSIONS {
        let mut watcher = Client::clean(&broker, version, "watcher");
        watcher.subscribe("will/#", QoS::AtLeastOnce);
        let with_will = |id: &str| Connect {
            will: Some(message(&format!("will/{id}"), QoS::AtLeastOnce, "gone")),
            ..hello(version, id)
        };
        let (leaving, _) = Client::connect(broker.local_addr(), &with_will("leaving"));
        leaving.disconnect();
        let (cut_off, _) = Client::connect(broker.local_addr(), &with_will("cut-off"));
        drop(cut_off);
        let delivery = watcher.delivery();
        assert_eq!((delivery.message.topic.as_str(), &delivery.message.payload[..]), ("will/cut-off", &b"gone"[..]));
    }
}

#[test]
fn a_shared_subscription_gives_every_message_to_one() {
    let broker = broker();
    for version in VERSIONS {
        let mut shares: Vec<Client> = ["one", "two"].map(|id| Client::clean(&broker, version, id)).into();
        for share in &mut shares {
            share.subscribe("$share/group/work", QoS::AtLeastOnce);
            share.subscribe("end", QoS::AtLeastOnce);
        }
        let mut publisher = Client::clean(&broker, version, "publisher");
        for number in 0..100 {
            publisher.publish("work", QoS::AtLeastOnce, &number.to_string());
        }
        publisher.publish("end", QoS::AtLeastOnce, "end");
        let mut numbers = Vec::new();
        for share in &mut shares {
            let before = numbers.len();
            loop {
                let delivery = share.delivery();
                share.acknowledge(AckKind::Puback, delivery.packet_identifier);
                if delivery.message.topic == "end" {
                    break;
                }
                numbers.push(String::from_utf8_lossy(&delivery.message.payload).parse::<u32>().unwrap());
            }
            assert!(numbers.len() > before, "one of the two got nothing");
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn a_second_client_of_the_name_takes_over() {
    let broker = broker();
    for version in VERSIONS {
        let first = Client::clean(&broker, version, "same");
        let mut second = Client::clean(&broker, version, "same");
        first.wait_for_close();
        second.subscribe("a", QoS::AtMostOnce);
    }
}

#[test]
fn versions_understand_each_other_at_every_qos() {
    let broker = broker();
    for (from, to) in [(VERSIONS[0], VERSIONS[2]), (VERSIONS[2], VERSIONS[1]), (VERSIONS[1], VERSIONS[0])] {
        let mut subscriber = Client::clean(&broker, to, "subscriber");
        subscriber.subscribe("a/+", QoS::ExactlyOnce);
        let mut publisher = Client::clean(&broker, from, "publisher");
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            publisher.publish("a/b", qos, "x");
            let delivery = subscriber.delivery();
            assert_eq!((delivery.message.qos, delivery.message.retain, delivery.dup), (qos, false, false));
            match qos {
                QoS::AtMostOnce => {}
                QoS::AtLeastOnce => subscriber.acknowledge(AckKind::Puback, delivery.packet_identifier),
                QoS::ExactlyOnce => {
                    subscriber.acknowledge(AckKind::Pubrec, delivery.packet_identifier);
                    subscriber.expect_ack(AckKind::Pubrel, delivery.packet_identifier);
                    subscriber.acknowledge(AckKind::Pubcomp, delivery.packet_identifier);
                }
            }
        }
    }
}

#[test]
fn a_flood_at_qos_0_to_a_slow_subscriber_loses_nothing() {
    const MESSAGES: usize = 30_000;
    let broker = broker();
    let version = ProtocolVersion::V311;
    let mut subscriber = Client::clean(&broker, version, "slow");
    subscriber.subscribe("flood", QoS::AtMostOnce);
    let mut publisher = Client::clean(&broker, version, "fast");
    let template = PublishTemplate::new(&message("flood", QoS::AtMostOnce, &"x".repeat(2_000)), version).unwrap();
    for number in 0..MESSAGES {
        let mut bytes = Vec::new();
        template.append(0, &number.to_be_bytes(), &mut bytes);
        publisher.stream.write_all(&bytes).unwrap();
    }
    // The broker has taken all of it before the first is read.
    publisher.send(&Packet::Pingreq);
    publisher.receive(|packet| assert_eq!(packet, Packet::Pingresp));
    for number in 0..MESSAGES {
        assert_eq!(subscriber.delivery().message.payload[..size_of::<usize>()], number.to_be_bytes());
    }
}

#[test]
fn garbage_ends_one_connection_and_nothing_else() {
    let broker = broker();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x10, 0xff, 0xff, 0xff, 0xff, 0xff], &[0xf0, 0], &[0x90, 2, 0, 1]] {
        let mut stream = TcpStream::connect(broker.local_addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut rest = Vec::new();
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }
    let mut client = Client::clean(&broker, ProtocolVersion::V311, "still");
    client.subscribe("a", QoS::AtMostOnce);
    client.send(&Packet::Publish(Publish::of(&message("a", QoS::AtMostOnce, "x"), 0, false)));
    assert_eq!(&client.delivery().message.payload[..], b"x");
}

/// What no client may do to another.
#[test]
fn a_silent_connection_delays_no_other() {
    let broker = broker();
    let silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(broker.local_addr()).unwrap()).collect();
    let mut client = Client::clean(&broker, ProtocolVersion::V5, "a/b");
    client.subscribe("a", QoS::AtMostOnce);
    client.send(&Packet::Publish(Publish::of(&message("a", QoS::AtMostOnce, "x"), 0, false)));
    // Nothing is added to a message.
    assert_eq!(client.delivery().message, message("a", QoS::AtMostOnce, "x"));
    drop(silent);
}

/// Packets behind the CONNECT that come before the CONNACK has gone (paho sends them so).
#[test]
fn packets_may_follow_connect_at_once() {
    let broker = broker();
    for version in VERSIONS {
        let mut bytes = Vec::new();
        hello(version, "hasty").encode(&mut bytes).unwrap();
        let filter = SubscribeFilter { filter: "a".to_owned(), ..SubscribeFilter::default() };
        let subscribe = Subscribe { packet_identifier: 1, filters: vec![filter], ..Subscribe::default() };
        subscribe.encode(version, &mut bytes).unwrap();
        Publish::of(&message("a", QoS::AtMostOnce, "x"), 0, false).encode(version, &mut bytes).unwrap();
        let mut stream = TcpStream::connect(broker.local_addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&bytes).unwrap();
        let mut client = Client { stream, version, input: Vec::new(), used: 0 };
        client.receive(|packet| assert!(matches!(packet, Packet::Connack(_))));
        client.receive(|packet| assert!(matches!(packet, Packet::Suback(_))));
        assert_eq!(&client.delivery().message.payload[..], b"x");
    }
}

#[test]
fn many_connections_come_and_go() {
    let broker = broker();
    for _ in 0..3 {
        let clients: Vec<Client> =
            (0..400).map(|number| Client::clean(&broker, ProtocolVersion::V311, &number.to_string())).collect();
        for (number, client) in clients.into_iter().enumerate() {
            if number % 2 == 0 { client.disconnect() } else { drop(client) }
        }
    }
    Client::clean(&broker, ProtocolVersion::V311, "still").subscribe("a", QoS::AtMostOnce);
}
