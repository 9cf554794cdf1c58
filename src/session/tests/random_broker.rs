//! A broker over bytes for random talks: it keeps or loses its session, answers late and out of order, uses few
//! identifiers again and again, and complains about whatever the standard forbids a client.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::mqtt::wire::PacketType;

/// Identifiers that the broker uses; few, so that they come round.
const IDENTIFIERS: u16 = 8;

/// A message on its way to the session.
#[derive(Clone, Debug)]
struct Outgoing {
    identifier: u16,
    qos: u8,
    payload: String,
    released: bool,
}

#[derive(Debug, Default)]
pub(super) struct Broker {
    version: ProtocolVersion,
    /// Bytes that have come and are not a packet yet, and bytes on their way to the session.
    input: Vec<u8>,
    pub(super) output: Vec<u8>,
    connected: bool,
    has_session: bool,
    /// Announced in the next CONNACK: the maximum number of open exchanges.
    pub(super) receive_maximum: u16,
    pub(super) client_window: u16,
    /// How many messages the client takes at a time.
    pub(super) client_receive_maximum: usize,
    /// Answers that the broker still owes on this connection.
    owed: Vec<Ack>,
    open: BTreeSet<u16>,
    /// QoS 2 identifiers between PUBLISH and PUBREL.
    known: BTreeSet<u16>,
    /// All payloads that came, in order, with how often.
    pub(super) arrived: Vec<String>,
    pub(super) counts: BTreeMap<String, usize>,
    queue: Vec<(u8, String)>,
    outgoing: Vec<Outgoing>,
}

impl Broker {
    pub(super) fn new(version: ProtocolVersion) -> Self {
        Self { version, ..Self::default() }
    }

    pub(super) fn lose_connection(&mut self, keep_session: bool) {
        self.input.clear();
        self.output.clear();
        self.connected = false;
        self.owed.clear();
        self.open.clear();
        if !keep_session {
            self.has_session = false;
            self.known.clear();
            self.outgoing.clear();
        }
    }

    /// Takes bytes of the session, any cut of them.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        loop {
            let input = std::mem::take(&mut self.input);
            match scan(&input, 100_000).unwrap() {
                Scan::Frame(frame) => {
                    self.handle(Packet::decode(frame, self.version).unwrap());
                    self.input = input[frame.size..].to_vec();
                }
                Scan::Incomplete(_) => {
                    self.input = input;
                    return;
                }
            }
        }
    }

    fn handle(&mut self, packet: Packet<'_>) {
        assert_eq!(self.connected, packet.packet_type() != PacketType::Connect, "{packet:?}");
        match packet {
            Packet::Connect(_) => self.accept(),
            Packet::Publish(publish) => self.arrive(&publish),
            Packet::Ack(ack) => self.handle_ack(&ack),
            other => panic!("{other:?}"),
        }
    }

    fn accept(&mut self) {
        self.connected = true;
        let session_present = std::mem::replace(&mut self.has_session, true);
        let announced = if self.version.is_v5() { self.receive_maximum } else { u16::MAX };
        let list = properties(&[(PropertyName::ReceiveMaximum, announced.into())]);
        self.say(&accepted(session_present, if self.version.is_v5() { list } else { Properties::new() }));
        for message in self.outgoing.clone() {
            self.send(&message, true);
        }
        self.send_queued();
    }

    fn say(&mut self, packet: &Packet<'_>) {
        packet.encode(self.version, &mut self.output).unwrap();
    }

    fn arrive(&mut self, publish: &Publish<'_>) {
        let identifier = publish.packet_identifier;
        match publish.qos.number() {
            0 => {}
            1 => self.owed.push(Ack::success(AckKind::Puback, identifier)),
            _ => self.owed.push(Ack::success(AckKind::Pubrec, identifier)),
        }
        if publish.qos != QoS::AtMostOnce {
            assert!(self.open.insert(identifier), "identifier {identifier} is in use");
            let allowed = if self.version.is_v5() { self.receive_maximum } else { u16::MAX };
            let allowed = usize::from(allowed.min(self.client_window));
            assert!(self.open.len() <= allowed, "{} open, {allowed} allowed", self.open.len());
        }
        if publish.qos == QoS::ExactlyOnce && !self.known.insert(identifier) {
            assert!(publish.dup, "{publish:?}");
            return;
        }
        let payload = text(publish.payload);
        *self.counts.entry(payload.clone()).or_default() += 1;
        self.arrived.push(payload);
    }

    fn handle_ack(&mut self, ack: &Ack) {
        let identifier = ack.packet_identifier;
        if ack.kind == AckKind::Pubrel {
            let reason = if self.known.remove(&identifier) { 0 } else { 0x92 };
            self.owed.push(Ack::with_reason(AckKind::Pubcomp, identifier, ReasonCode(reason)));
            return;
        }
        let position = self.outgoing.iter().position(|message| message.identifier == identifier);
        let Some(position) = position else { return }; // of a session that was lost
        match (ack.kind, self.outgoing[position].qos) {
            (AckKind::Puback, 1) | (AckKind::Pubcomp, 2) => {
                self.outgoing.remove(position);
                self.send_queued();
            }
            (AckKind::Pubrec, 2) => {
                self.outgoing[position].released = true;
                self.say(&Packet::Ack(Ack::success(AckKind::Pubrel, identifier)));
            }
            other => panic!("{other:?}"),
        }
    }

    /// Sends one of the answers that are owed, whichever it is.
    pub(super) fn answer(&mut self, which: usize) {
        if self.owed.is_empty() {
            return;
        }
        let ack = self.owed.remove(which % self.owed.len());
        if ack.kind != AckKind::Pubrec {
            self.open.remove(&ack.packet_identifier);
        }
        self.say(&Packet::Ack(ack));
    }

    /// Somebody publishes to the session.
    pub(super) fn publish(&mut self, qos: u8, payload: &str) {
        self.queue.push((qos, payload.to_owned()));
        self.send_queued();
    }

    fn send_queued(&mut self) {
        let room = self.client_receive_maximum.min(usize::from(IDENTIFIERS));
        while self.connected && !self.queue.is_empty() && (self.queue[0].0 == 0 || self.outgoing.len() < room) {
            let (qos, payload) = self.queue.remove(0);
            let used: BTreeSet<_> = self.outgoing.iter().map(|message| message.identifier).collect();
            let identifier = if qos == 0 { 0 } else { (1..=IDENTIFIERS).find(|free| !used.contains(free)).unwrap() };
            let message = Outgoing { identifier, qos, payload, released: false };
            self.send(&message, false);
            if qos > 0 {
                self.outgoing.push(message);
            }
        }
    }

    fn send(&mut self, message: &Outgoing, dup: bool) {
        if message.released {
            self.say(&Packet::Ack(Ack::success(AckKind::Pubrel, message.identifier)));
        } else {
            let publish = delivery(message.qos, message.identifier, dup, &message.payload);
            self.say(&Packet::Publish(publish));
        }
    }

    /// Whether nothing is owed in either direction.
    pub(super) fn is_quiet(&self) -> bool {
        self.owed.is_empty() && self.outgoing.is_empty() && self.queue.is_empty() && self.output.is_empty()
    }
}
