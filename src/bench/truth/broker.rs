//! A broker on the virtual clock that does what a script says and writes down what it saw.
//!
//! One task reads a connection and one writes it. Messages go out at the QoS that was granted, with Packet Identifiers
//! of their own; retained messages, sessions and wills it does not know.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::outbox::{Item, Outbox};
use super::script::{Answer, Copy, Fault, Grant, Passing, Script, Welcome};
use crate::mqtt::wire::{
    Ack, AckKind, Connack, MAX_PACKET_SIZE, Packet, Publish, PublishProperties, Scan, Suback, Subscribe, scan,
};
use crate::mqtt::{Properties, ProtocolVersion, QoS, ReasonCode, filter_matches};
use crate::transport::MemoryListener;

/// How many things there are now, and the most there have been.
#[derive(Debug, Default)]
struct Gauge {
    now: Cell<u64>,
    most: Cell<u64>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Ticket(Rc<Gauge>);

impl Gauge {
    fn ticket(self: &Rc<Self>) -> Rc<Ticket> {
        self.now.set(self.now.get() + 1);
        self.most.set(self.most.get().max(self.now.get()));
        Rc::new(Ticket(self.clone()))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.now.set(self.0.now.get() - 1);
    }
}

/// What the broker saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// Connections that were accepted.
    pub(super) connections: u64,
    /// Every PUBLISH.
    pub(super) published: Vec<Passing>,
    /// Those with the DUP flag.
    pub(super) with_dup: u64,
    /// Copies that were written or are about to be.
    pub(super) copies: u64,
    /// PUBACK and PUBREC of subscribers.
    pub(super) acknowledged_by_subscribers: u64,
    /// PINGREQs.
    pub(super) pings: u64,
    /// DISCONNECTs.
    pub(super) goodbyes: u64,
    /// The longest time between two packets of one client.
    pub(super) longest_silence: Duration,
    /// Most messages that one publisher had in flight: not acknowledged yet, or not delivered to everybody.
    pub(super) most_in_flight: u64,
    /// The same, not acknowledged yet.
    pub(super) most_unacknowledged: u64,
}

struct Subscriber {
    connection: u64,
    filter: String,
    qos: QoS,
    version: ProtocolVersion,
    outbox: Rc<Outbox>,
    identifiers: Rc<Cell<u16>>,
}

/// The broker.
pub(super) struct Broker {
    script: Script,
    began: Instant,
    log: RefCell<Log>,
    subscribers: RefCell<Vec<Subscriber>>,
}

impl Broker {
    pub(super) fn new(script: Script) -> Self {
        Self { script, began: Instant::now(), log: RefCell::default(), subscribers: RefCell::default() }
    }

    pub(super) fn log(&self) -> Log {
        self.log.borrow().clone()
    }

    /// Serves whoever connects, for ever.
    pub(super) async fn serve(self: Rc<Self>, mut listener: MemoryListener) {
        while let Some(stream) = listener.accept().await {
            self.log.borrow_mut().connections += 1;
            let number = self.log.borrow().connections;
            tokio::task::spawn_local(Connection::new(self.clone(), number).run(stream));
        }
    }

    /// Lets nothing pass while the broker stands still.
    async fn not_standing_still(&self) {
        if let Some(stall) = self.script.stall {
            sleep_until(self.began + stall.passes(self.began.elapsed())).await;
        }
    }
}

/// One connection.
struct Connection {
    broker: Rc<Broker>,
    number: u64,
    /// When the last packet came.
    heard_at: Instant,
    version: ProtocolVersion,
    outbox: Rc<Outbox>,
    identifiers: Rc<Cell<u16>>,
    published: u64,
    in_flight: Rc<Gauge>,
    unacknowledged: Rc<Gauge>,
    /// QoS 2 messages that wait for PUBREL.
    unreleased: HashMap<u16, Vec<Rc<Ticket>>>,
    /// Messages that are never answered.
    unanswered: Vec<Rc<Ticket>>,
    closed: Rc<Notify>,
}

impl Connection {
    fn new(broker: Rc<Broker>, number: u64) -> Self {
        Self {
            broker,
            number,
            heard_at: Instant::now(),
            version: ProtocolVersion::default(),
            outbox: Rc::default(),
            identifiers: Rc::default(),
            published: 0,
            in_flight: Rc::default(),
            unacknowledged: Rc::default(),
            unreleased: HashMap::new(),
            unanswered: Vec::new(),
            closed: Rc::default(),
        }
    }

    async fn run(mut self, stream: DuplexStream) {
        let (mut reader, writer) = tokio::io::split(stream);
        let (outbox, broker, closed) = (self.outbox.clone(), self.broker.clone(), self.closed.clone());
        tokio::task::spawn_local(async move {
            outbox.write_to(writer, || broker.not_standing_still()).await;
            closed.notify_one();
        });
        let mut input = Vec::new();
        loop {
            self.broker.not_standing_still().await;
            let read = tokio::select! {
                read = reader.read_buf(&mut input) => read.unwrap_or(0),
                () = self.closed.notified() => 0,
            };
            if read == 0 {
                break;
            }
            // What came while it stood still is looked at afterwards.
            self.broker.not_standing_still().await;
            self.take(&mut input);
        }
        self.broker.subscribers.borrow_mut().retain(|subscriber| subscriber.connection != self.number);
        self.outbox.put(Instant::now(), Item::End);
    }

    /// Handles all whole packets.
    fn take(&mut self, input: &mut Vec<u8>) {
        let mut taken = 0;
        while let Scan::Frame(frame) = scan(&input[taken..], MAX_PACKET_SIZE).expect("the client sends packets") {
            let packet = Packet::decode(frame, self.version).expect("the client sends good packets");
            taken += frame.size;
            self.handle(packet);
        }
        input.drain(..taken);
    }

    fn handle(&mut self, packet: Packet<'_>) {
        let mut log = self.broker.log.borrow_mut();
        let silence = std::mem::replace(&mut self.heard_at, Instant::now()).elapsed();
        log.longest_silence = log.longest_silence.max(silence);
        match packet {
            Packet::Pingreq => log.pings += 1,
            Packet::Disconnect(_) => log.goodbyes += 1,
            Packet::Ack(Ack { kind: AckKind::Puback | AckKind::Pubrec, .. }) => log.acknowledged_by_subscribers += 1,
            _ => {}
        }
        drop(log);
        match packet {
            Packet::Connect(connect) => {
                self.version = connect.version;
                self.welcome();
            }
            Packet::Subscribe(subscribe) => self.subscribe(subscribe),
            Packet::Publish(publish) => self.publish(&publish),
            Packet::Ack(ack) => match ack.kind {
                AckKind::Pubrec => self.say(Duration::ZERO, &ack_of(AckKind::Pubrel, ack.packet_identifier), vec![]),
                AckKind::Pubrel => {
                    let tickets = self.unreleased.remove(&ack.packet_identifier).unwrap_or_default();
                    let after = self.broker.script.complete_after;
                    self.say(after, &ack_of(AckKind::Pubcomp, ack.packet_identifier), tickets);
                }
                AckKind::Puback | AckKind::Pubcomp => {}
            },
            Packet::Pingreq => self.say(Duration::ZERO, &Packet::Pingresp, vec![]),
            Packet::Disconnect(_) => self.outbox.put(Instant::now(), Item::End),
            other => panic!("a client sent {other:?}"),
        }
    }

    fn say(&self, after: Duration, packet: &Packet<'_>, tickets: Vec<Rc<Ticket>>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).expect("the broker sends good packets");
        self.outbox.put(Instant::now() + after, Item::Packet(bytes, tickets));
    }

    fn end(&self, after: Duration) {
        self.outbox.put(Instant::now() + after, Item::End);
    }

    fn welcome(&self) {
        let after = self.broker.script.connack_after;
        let connack = |reason, properties| Packet::Connack(Connack { session_present: false, reason, properties });
        let resumed = Connack { session_present: true, reason: ReasonCode::SUCCESS, properties: Properties::new() };
        match (self.broker.script.welcome)(self.number) {
            Welcome::Accept(properties) => self.say(after, &connack(ReasonCode::SUCCESS, properties), vec![]),
            Welcome::Resume => self.say(after, &Packet::Connack(resumed), vec![]),
            Welcome::Refuse(reason) => {
                self.say(after, &connack(reason, Properties::new()), vec![]);
                self.end(after);
            }
            Welcome::Bytes(bytes) => {
                self.outbox.put(Instant::now() + after, Item::Packet(bytes, vec![]));
                self.end(after);
            }
            Welcome::Nothing => {}
        }
    }

    fn subscribe(&self, subscribe: Subscribe) {
        let most = match self.broker.script.grant {
            Grant::AtMost(qos) => Ok(qos),
            Grant::Refuse(reason) => Err(reason),
            Grant::Nothing => return,
        };
        let mut reasons = Vec::new();
        for filter in subscribe.filters {
            let Ok(most) = most.inspect_err(|reason| reasons.push(*reason)) else { continue };
            let qos = most.min(filter.qos);
            reasons.push(ReasonCode(qos.number()));
            self.broker.subscribers.borrow_mut().push(Subscriber {
                connection: self.number,
                filter: filter.filter,
                qos,
                version: self.version,
                outbox: self.outbox.clone(),
                identifiers: self.identifiers.clone(),
            });
        }
        let suback = Suback { packet_identifier: subscribe.packet_identifier, properties: Properties::new(), reasons };
        self.say(self.broker.script.suback_after, &Packet::Suback(suback), vec![]);
    }

    fn publish(&mut self, publish: &Publish<'_>) {
        self.published += 1;
        let mut log = self.broker.log.borrow_mut();
        let passing = Passing {
            ordinal: log.published.len() as u64 + 1,
            of_connection: self.published,
            topic: publish.topic.to_owned(),
            at: self.broker.began.elapsed(),
        };
        log.published.push(passing.clone());
        log.with_dup += u64::from(publish.dup);
        drop(log);
        let in_flight = self.in_flight.ticket();
        let mut tickets = vec![in_flight.clone(), self.unacknowledged.ticket()];
        let answer = (self.broker.script.answer)(&passing);
        let taken = match &answer {
            Answer::Close => false,
            Answer::Reason(reason) => publish.qos == QoS::AtMostOnce || !reason.is_error(),
            _ => true,
        };
        if taken {
            for subscriber in self.broker.subscribers.borrow().iter() {
                if filter_matches(&subscriber.filter, publish.topic) {
                    for copy in (self.broker.script.copies)(&passing, subscriber.connection) {
                        self.deliver(subscriber, publish, &copy, &in_flight);
                    }
                }
            }
        }
        if publish.qos == QoS::AtMostOnce {
            tickets.clear();
        }
        self.answer(publish, answer, tickets);
        let mut log = self.broker.log.borrow_mut();
        log.most_in_flight = log.most_in_flight.max(self.in_flight.most.get());
        log.most_unacknowledged = log.most_unacknowledged.max(self.unacknowledged.most.get());
    }

    fn answer(&mut self, publish: &Publish<'_>, answer: Answer, tickets: Vec<Rc<Ticket>>) {
        let identifier = publish.packet_identifier;
        let after = self.broker.script.acknowledge_after;
        let kind = if publish.qos == QoS::ExactlyOnce { AckKind::Pubrec } else { AckKind::Puback };
        match answer {
            Answer::Close => self.end(Duration::ZERO),
            _ if publish.qos == QoS::AtMostOnce => {}
            Answer::Reason(reason) => {
                let tickets = if kind == AckKind::Pubrec && !reason.is_error() {
                    self.unreleased.insert(identifier, tickets);
                    vec![]
                } else {
                    tickets
                };
                self.say(after, &Packet::Ack(Ack::with_reason(kind, identifier, reason)), tickets);
            }
            Answer::Puback => self.say(after, &ack_of(AckKind::Puback, identifier), tickets),
            Answer::Nothing => self.unanswered.extend(tickets),
            Answer::Bytes(bytes) => {
                self.unanswered.extend(tickets);
                self.outbox.put(Instant::now() + after, Item::Packet(bytes, vec![]));
            }
            Answer::CutInside => {
                let half = vec![(kind.packet_type() as u8) << 4, 2];
                self.outbox.put(Instant::now() + after, Item::Packet(half, tickets));
                self.end(after);
            }
        }
    }

    fn deliver(&self, subscriber: &Subscriber, publish: &Publish<'_>, copy: &Copy, ticket: &Rc<Ticket>) {
        self.broker.log.borrow_mut().copies += 1;
        let qos = subscriber.qos.min(publish.qos);
        let mut packet_identifier = 0;
        if qos != QoS::AtMostOnce {
            if !copy.dup {
                subscriber.identifiers.set(subscriber.identifiers.get() % u16::MAX + 1);
            }
            packet_identifier = subscriber.identifiers.get();
        }
        let mut payload = publish.payload.to_vec();
        match copy.fault {
            Fault::Tail => *payload.last_mut().expect("there is a payload") ^= 1,
            Fault::Short => drop(payload.pop()),
            Fault::Foreign => payload[0] ^= 1,
            _ => {}
        }
        let properties = Properties::new();
        let delivery = Publish {
            dup: copy.dup,
            qos,
            retain: false,
            topic: publish.topic,
            packet_identifier,
            properties: PublishProperties::Owned(&properties),
            payload: &payload,
        };
        let mut bytes = Vec::new();
        delivery.encode(subscriber.version, &mut bytes).expect("the broker sends good packets");
        let due = Instant::now() + self.broker.script.deliver_after + copy.extra;
        match &copy.fault {
            Fault::CutInside => bytes.truncate(bytes.len() / 2),
            Fault::Instead(other) => bytes.clone_from(other),
            _ => {}
        }
        subscriber.outbox.put(due, Item::Packet(bytes, vec![ticket.clone()]));
        if copy.fault == Fault::CutInside {
            subscriber.outbox.put(due, Item::End);
        }
    }
}

const fn ack_of<'a>(kind: AckKind, packet_identifier: u16) -> Packet<'a> {
    Packet::Ack(Ack::success(kind, packet_identifier))
}
