//! A client that is nothing but a socket and the codec: it sends what a test tells it and shows what comes.

#![allow(dead_code, unused_imports)] // a test takes what it needs of it

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use mqtools::mqtt::wire::{
    Ack, AckKind, Connack, Connect, MAX_PACKET_SIZE, Packet, Publish, Scan, Suback, Subscribe, SubscribeFilter, scan,
};
use mqtools::mqtt::{Message, Properties, ProtocolVersion, QoS};

use super::socket::read_some;

/// How long a read may take before a test fails: a guard, not a measure.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct RawClient {
    stream: TcpStream,
    version: ProtocolVersion,
    buffer: Vec<u8>,
}

impl RawClient {
    /// A connection on which nothing was sent.
    pub fn open(addr: SocketAddr, version: ProtocolVersion) -> Self {
        let stream = TcpStream::connect(addr).unwrap_or_else(|error| panic!("no connection: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).unwrap_or_else(|error| panic!("no time-out: {error}"));
        Self { stream, version, buffer: Vec::new() }
    }

    /// A connection with a clean session that was accepted.
    pub fn connect(addr: SocketAddr, version: ProtocolVersion, client_id: &str) -> Self {
        let (client, connack) = Self::connect_as(addr, &connect(version, client_id));
        assert!(!connack.reason.is_error(), "refused: {}", connack.reason);
        client
    }

    /// A connection with this CONNECT, and its answer.
    pub fn connect_as(addr: SocketAddr, connect: &Connect) -> (Self, Connack) {
        let mut client = Self::open(addr, connect.version);
        client.send(&Packet::Connect(Box::new(connect.clone())));
        let bytes = client.receive_bytes().unwrap_or_else(|| panic!("no CONNACK"));
        match client.decode(&bytes) {
            Packet::Connack(connack) => (client, connack),
            other => panic!("no CONNACK but {other:?}"),
        }
    }

    pub fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).unwrap_or_else(|error| panic!("not to be sent: {error}"));
        self.send_bytes(&bytes);
    }

    /// Sends bytes; a connection that the broker has closed already swallows them.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The bytes of the next whole packet; nothing when the connection ends before it is whole.
    pub fn receive_bytes(&mut self) -> Option<Vec<u8>> {
        loop {
            match scan(&self.buffer, MAX_PACKET_SIZE) {
                Ok(Scan::Frame(frame)) => {
                    let rest = self.buffer.split_off(frame.size);
                    return Some(std::mem::replace(&mut self.buffer, rest));
                }
                Ok(Scan::Incomplete(_)) => {}
                Err(error) => panic!("an invalid packet: {error}"),
            }
            if !self.read() {
                return None;
            }
        }
    }

    fn read(&mut self) -> bool {
        let mut chunk = [0; 16 << 10];
        match read_some(&mut self.stream, &mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                true
            }
            // Closed on bytes of ours that were still to be read.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing to read: {error}"),
        }
    }

    /// Says that nothing more is sent; what comes can still be read.
    pub fn finish_sending(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Everything up to the end of the connection, be it packets or not.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.read() {}
        std::mem::take(&mut self.buffer)
    }

    /// Reads until there are `count` bytes, without looking at them.
    pub fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.read(), "the connection ended after {} bytes", self.buffer.len());
        }
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, rest)
    }

    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Packet<'a> {
        let Ok(Scan::Frame(frame)) = scan(bytes, MAX_PACKET_SIZE) else { panic!("no packet: {bytes:02x?}") };
        Packet::decode(frame, self.version).unwrap_or_else(|error| panic!("{error} in {bytes:02x?}"))
    }

    /// The next packet, which is an acknowledgement.
    pub fn receive_ack(&mut self) -> Ack {
        let bytes = self.receive_bytes().unwrap_or_else(|| panic!("the connection ended before an acknowledgement"));
        match self.decode(&bytes) {
            Packet::Ack(ack) => ack,
            other => panic!("no acknowledgement but {other:?}"),
        }
    }

    /// The next packet, which is a PUBLISH: the message, its identifier and DUP.
    pub fn receive_publish(&mut self) -> (Message, u16, bool) {
        let bytes = self.receive_bytes().unwrap_or_else(|| panic!("the connection ended before a PUBLISH"));
        match self.decode(&bytes) {
            Packet::Publish(publish) => (publish.to_message(), publish.packet_identifier, publish.dup),
            other => panic!("no PUBLISH but {other:?}"),
        }
    }

    pub fn subscribe(&mut self, filter: &str, qos: QoS) -> Suback {
        let filters = vec![SubscribeFilter { filter: filter.to_owned(), qos, ..SubscribeFilter::default() }];
        self.send(&Packet::Subscribe(Subscribe { packet_identifier: 9, filters, ..Subscribe::default() }));
        let bytes = self.receive_bytes().unwrap_or_else(|| panic!("no SUBACK"));
        match self.decode(&bytes) {
            Packet::Suback(suback) => suback,
            other => panic!("no SUBACK but {other:?}"),
        }
    }

    pub fn publish(&mut self, message: &Message, packet_identifier: u16, dup: bool) {
        self.send(&Packet::Publish(Publish::of(message, packet_identifier, dup)));
    }

    pub fn acknowledge(&mut self, kind: AckKind, packet_identifier: u16) {
        self.send(&Packet::Ack(Ack::success(kind, packet_identifier)));
    }
}

/// A CONNECT with a clean session.
pub fn connect(version: ProtocolVersion, client_id: &str) -> Connect {
    Connect {
        version,
        client_id: client_id.to_owned(),
        clean_start: true,
        keep_alive: 60,
        user_name: None,
        password: None,
        will: None,
        properties: Properties::new(),
    }
}

/// A message without anything special.
pub fn message(topic: &str, payload: impl Into<Vec<u8>>, qos: QoS) -> Message {
    Message { topic: topic.to_owned(), payload: payload.into().into(), qos, ..Message::default() }
}
