//! The broker of a simulation: the core, and a script that decides about every packet and keeps a log.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::faulty_broker::{FaultPlan, Inbound, Link, Outbound};
use super::script::{ConnectReply, Copy, Fault, PublishReply, ReceivedPublish, Script, SubscribeReply};
use crate::mqtt::wire::{Ack, AckKind, Connack, Connect, Packet, Publish, Suback, Subscribe};
use crate::mqtt::{QoS, ReasonCode};

/// What the broker saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// Connections that were accepted.
    pub(super) connections: u64,
    /// Every PUBLISH.
    pub(super) published: Vec<ReceivedPublish>,
    /// Those with the DUP flag.
    pub(super) with_dup: u64,
    /// PUBACK and PUBREC of subscribers.
    pub(super) acknowledged_by_subscribers: u64,
    /// PINGREQs.
    pub(super) pings: u64,
    pub(super) disconnects: u64,
    /// The longest time between two packets of one client.
    pub(super) longest_silence: Duration,
    /// When the last acknowledgement and the last copy of each message left; a day later where none did.
    pub(super) times: Vec<MessageTimes>,
}

/// When the broker was done with a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageTimes {
    pub(super) connection: u64,
    pub(super) read: Duration,
    pub(super) acknowledged: Duration,
    pub(super) delivered: Duration,
}

/// A message that was never acknowledged stayed in flight to the end.
const NEVER: Duration = Duration::from_secs(24 * 3600);

impl Log {
    /// Most messages that one publisher had in flight: not acknowledged yet, or not delivered to everybody.
    pub(super) fn most_in_flight(&self) -> usize {
        self.most_open(|times| times.acknowledged.max(times.delivered))
    }

    /// The same, not acknowledged yet.
    pub(super) fn most_unacknowledged(&self) -> usize {
        self.most_open(|times| times.acknowledged)
    }

    fn most_open(&self, done: impl Fn(&MessageTimes) -> Duration) -> usize {
        let mut open: HashMap<u64, Vec<Duration>> = HashMap::new();
        let counts = self.times.iter().map(|times| {
            let open = open.entry(times.connection).or_default();
            // A slot that is freed at this moment is used at this moment.
            open.retain(|done| *done > times.read);
            open.push(done(times));
            open.len()
        });
        counts.max().unwrap_or(0)
    }
}

/// A PUBLISH whose consequences are being drawn.
#[derive(Clone)]
struct Current {
    received: ReceivedPublish,
    answer: PublishReply,
}

/// What is known of a connection.
#[derive(Default)]
struct Client {
    client_id: String,
    /// When the last packet came.
    last_received: Option<Instant>,
    published: u64,
    properties: crate::mqtt::Properties,
}

/// The script at work.
pub(super) struct SimulatedFaults {
    script: Script,
    began: Instant,
    pub(super) log: Log,
    clients: HashMap<u64, Client>,
    /// What the packet at hand comes from.
    current: Option<Current>,
    /// QoS 2 messages that wait for PUBREL, by client and identifier.
    held: HashMap<(String, u16), Current>,
}

impl SimulatedFaults {
    pub(super) fn new(script: Script) -> Self {
        Self {
            script,
            began: Instant::now(),
            log: Log::default(),
            clients: HashMap::new(),
            current: None,
            held: HashMap::new(),
        }
    }

    fn client(&mut self, link: &Link) -> &mut Client {
        self.clients.entry(link.number).or_default()
    }

    fn connect(&mut self, connect: &Connect, link: &mut Link) -> Inbound {
        let after = self.script.connack_after;
        self.client(link).client_id.clone_from(&connect.client_id);
        match (self.script.connect_reply)(link.number) {
            ConnectReply::Accept(properties) => {
                self.client(link).properties = properties;
                Inbound::Pass
            }
            ConnectReply::Forget => {
                self.held.retain(|(client_id, _), _| *client_id != connect.client_id);
                let mut clean = connect.clone();
                clean.clean_start = true;
                Inbound::Replace(link.encode(&Packet::Connect(Box::new(clean))))
            }
            ConnectReply::Refuse(reason) => {
                link.send_packet(&Packet::Connack(Connack { reason, ..Connack::default() }), after);
                link.end(after);
                Inbound::Drop
            }
            ConnectReply::Bytes(bytes) => {
                link.send(&bytes, after);
                link.end(after);
                Inbound::Drop
            }
            ConnectReply::Nothing => Inbound::Drop,
        }
    }

    fn subscribe(&self, subscribe: &Subscribe, link: &mut Link) -> Inbound {
        match self.script.subscribe_reply {
            SubscribeReply::AtMost(most) => {
                let mut lowered = subscribe.clone();
                lowered.filters.iter_mut().for_each(|filter| filter.qos = filter.qos.min(most));
                Inbound::Replace(link.encode(&Packet::Subscribe(lowered)))
            }
            SubscribeReply::Refuse(reason) => {
                let reasons = vec![reason; subscribe.filters.len()];
                let packet_identifier = subscribe.packet_identifier;
                let suback = Suback { packet_identifier, reasons, ..Suback::default() };
                link.send_packet(&Packet::Suback(suback), self.script.suback_after);
                Inbound::Drop
            }
            SubscribeReply::Nothing => Inbound::Drop,
        }
    }

    fn publish(&mut self, publish: &Publish<'_>, link: &mut Link) -> Inbound {
        let client = self.client(link);
        client.published += 1;
        let of_connection = client.published;
        let key = (client.client_id.clone(), publish.packet_identifier);
        let received = ReceivedPublish {
            ordinal: self.log.published.len() as u64 + 1,
            of_connection,
            topic: publish.topic.to_owned(),
            at: self.began.elapsed(),
        };
        self.log.published.push(received.clone());
        self.log.with_dup += u64::from(publish.dup);
        self.log.times.push(MessageTimes {
            connection: link.number,
            read: received.at,
            acknowledged: if publish.qos == QoS::AtMostOnce { received.at } else { NEVER },
            delivered: received.at,
        });
        let answer = (self.script.publish_reply)(&received);
        let current = Current { received, answer: answer.clone() };
        if publish.qos == QoS::ExactlyOnce {
            self.held.insert(key, current.clone());
        }
        self.current = Some(current);
        match answer {
            PublishReply::Close => {
                link.end(Duration::ZERO);
                Inbound::Drop
            }
            PublishReply::Reason(reason) if reason.is_error() && publish.qos != QoS::AtMostOnce => {
                let kind = if publish.qos == QoS::ExactlyOnce { AckKind::Pubrec } else { AckKind::Puback };
                let ack = Ack::with_reason(kind, publish.packet_identifier, reason);
                link.send_packet(&Packet::Ack(ack), self.script.acknowledge_after);
                self.acknowledged(self.script.acknowledge_after);
                Inbound::Drop
            }
            PublishReply::Puback if publish.qos == QoS::ExactlyOnce => {
                let lowered = Publish { qos: QoS::AtLeastOnce, ..publish.clone() };
                Inbound::Replace(link.encode(&Packet::Publish(lowered)))
            }
            _ => Inbound::Pass,
        }
    }

    /// The times of the message at hand.
    fn times(&mut self) -> Option<&mut MessageTimes> {
        let current = self.current.as_ref()?;
        self.log.times.get_mut(current.received.ordinal as usize - 1)
    }

    fn acknowledged(&mut self, after: Duration) {
        let at = self.began.elapsed() + after;
        if let Some(times) = self.times() {
            times.acknowledged = at;
        }
    }

    fn answer(&mut self, ack: &Ack, bytes: &[u8], link: &mut Link) {
        let answer = match &self.current {
            // PUBREL, which no publisher has caused, and a PUBLISH that was resent.
            None => PublishReply::Reason(ReasonCode::SUCCESS),
            Some(current) => current.answer.clone(),
        };
        let is_last = ack.kind != AckKind::Pubrec;
        let after = match ack.kind {
            AckKind::Puback | AckKind::Pubrec => self.script.acknowledge_after,
            AckKind::Pubcomp => self.script.complete_after,
            AckKind::Pubrel => Duration::ZERO,
        };
        match answer {
            PublishReply::Nothing if is_last => return,
            PublishReply::Bytes(instead) => {
                link.send(&instead, after);
                return;
            }
            PublishReply::CutInside => {
                link.send(&bytes[..2], after);
                link.end(after);
            }
            _ => {
                link.send(bytes, after);
            }
        }
        if is_last {
            self.acknowledged(after);
        }
    }

    fn deliver(&mut self, publish: &Publish<'_>, link: &mut Link) -> Outbound {
        let copies = match &self.current {
            Some(current) => (self.script.copies)(&current.received, link.number),
            None => vec![Copy::RIGHT],
        };
        // The first copy is the core's own, the others are messages of their own or that one again.
        let mut is_first = true;
        for copy in &copies {
            let after = self.script.deliver_after + copy.extra;
            let at = self.began.elapsed() + after;
            if let Some(times) = self.times() {
                times.delivered = times.delivered.max(at);
            }
            let mut payload = publish.payload.to_vec();
            match copy.fault {
                Fault::Tail => *payload.last_mut().expect("there is a payload") ^= 1,
                Fault::Short => drop(payload.pop()),
                Fault::Foreign => payload[0] ^= 1,
                _ => {}
            }
            let delivery = Publish { dup: publish.dup || copy.dup, payload: &payload, ..publish.clone() };
            match &copy.fault {
                Fault::Instead(other) => drop(link.send(other, after)),
                Fault::CutInside => {
                    let bytes = link.encode(&Packet::Publish(delivery));
                    link.send(&bytes[..bytes.len() / 2], after);
                    link.end(after);
                }
                _ if is_first || copy.dup => drop(link.send_packet(&Packet::Publish(delivery), after)),
                _ => link.send_copy(&delivery, after),
            }
            is_first = false;
        }
        if copies.is_empty() { Outbound::Dropped } else { Outbound::Sent }
    }
}

impl FaultPlan for SimulatedFaults {
    fn accepted(&mut self, _: &mut Link) {
        self.log.connections += 1;
    }

    fn received(&mut self, packet: &Packet<'_>, link: &mut Link) -> Inbound {
        let last = self.client(link).last_received.replace(Instant::now());
        let silence = last.map_or(self.began.elapsed(), |last| last.elapsed());
        self.log.longest_silence = self.log.longest_silence.max(silence);
        self.current = None;
        match packet {
            Packet::Connect(connect) => return self.connect(connect, link),
            Packet::Subscribe(subscribe) => return self.subscribe(subscribe, link),
            Packet::Publish(publish) => return self.publish(publish, link),
            Packet::Ack(Ack { kind: AckKind::Pubrel, packet_identifier, .. }) => {
                let key = (self.client(link).client_id.clone(), *packet_identifier);
                self.current = self.held.remove(&key);
            }
            Packet::Ack(Ack { kind: AckKind::Puback | AckKind::Pubrec, .. }) => {
                self.log.acknowledged_by_subscribers += 1;
            }
            Packet::Pingreq => self.log.pings += 1,
            Packet::Disconnect(_) => self.log.disconnects += 1,
            _ => {}
        }
        Inbound::Pass
    }

    fn malformed(&mut self, error: crate::mqtt::wire::WireError, _: &mut Link) {
        panic!("a client sent no packet: {error}");
    }

    fn sending(&mut self, packet: &Packet<'_>, bytes: &[u8], link: &mut Link) -> Outbound {
        match packet {
            Packet::Publish(publish) => return self.deliver(publish, link),
            Packet::Ack(ack) => self.answer(ack, bytes, link),
            Packet::Connack(connack) => {
                let mut connack = connack.clone();
                for property in self.client(link).properties.iter() {
                    // The script's value replaces the core's.
                    connack.properties.remove(property.name());
                    connack.properties.push(property.clone());
                }
                link.send_packet(&Packet::Connack(connack), self.script.connack_after);
            }
            Packet::Suback(_) => drop(link.send(bytes, self.script.suback_after)),
            _ => drop(link.send(bytes, Duration::ZERO)),
        }
        Outbound::Sent
    }

    fn stands_still_until(&self, now: Instant) -> Option<Instant> {
        let until = self.began + self.script.stall?.passes(now - self.began);
        (until > now).then_some(until)
    }
}
