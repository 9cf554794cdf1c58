//! The broker core with faults put in: every packet on its way between a client and the core goes past a plan, which
//! lets it pass, delays, drops, repeats, changes or replaces it, closes its connection, or lets the whole broker stand
//! still. The core does everything right; a plan knows only what goes wrong.
//!
//! Runs on one thread of tokio, on the real clock as on a virtual one. The scripted broker of the integration tests and
//! the simulation of mqbench are its two plans.

// Each of its users takes a part of it.
#![allow(dead_code, clippy::expect_used)]

mod link;
mod outbox;
mod serve;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use mqtools::broker::core::{Cause, ConnectionId, Core, ListenerSettings, Log, OpenAccess, Peer, Settings};
use mqtools::mqtt::wire::{
    Ack, AckKind, Connect, MAX_PACKET_SIZE, Packet, Publish, Scan, Subscribe, SubscribeFilter, WireError, scan,
};
use mqtools::mqtt::{Properties, ProtocolVersion, QoS};
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use link::Link;
pub(crate) use serve::{run_timers, serve};

use outbox::{FULL, Outbox, WaitingBytes};

/// Whether the core gets a packet of a client.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// It gets it.
    Pass,
    /// It gets these bytes in its place.
    Replace(Vec<u8>),
    /// It never sees it.
    Drop,
}

/// What became of a packet of the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outbound {
    /// The plan has sent it, or something in its place.
    Sent,
    /// A delivery that the client does not get. It is acknowledged to the core in the client's place.
    Dropped,
    /// A delivery that the plan has sent, and that this connection gets as well.
    SentToo(u64),
}

/// What goes wrong, packet by packet. By default nothing does.
pub(crate) trait FaultPlan {
    /// A connection was accepted.
    fn accepted(&mut self, _link: &mut Link) {}

    /// How many more bytes may be read from a connection before [`FaultPlan::bytes_read`] is asked.
    fn read_limit(&self, _link: &Link) -> usize {
        usize::MAX
    }

    /// Bytes were read and the whole packets in them are handled.
    fn bytes_read(&mut self, _link: &mut Link) {}

    /// A client sent a packet.
    fn received(&mut self, _packet: &Packet<'_>, _link: &mut Link) -> Inbound {
        Inbound::Pass
    }

    /// A client sent something that is not a packet. The core gets it.
    fn malformed(&mut self, _error: WireError, _link: &mut Link) {}

    /// The core sends a packet, these bytes; it is up to the plan to send it on.
    fn sending(&mut self, _packet: &Packet<'_>, bytes: &[u8], link: &mut Link) -> Outbound {
        link.send(bytes, Duration::ZERO);
        Outbound::Sent
    }

    /// The core has accepted a message and sent it to whoever subscribes to it. Called for brokers that are
    /// [observed](FaultyBroker::observed).
    fn routed(&mut self, _message: &Publish<'_>) {}

    /// A connection is over. Nothing comes for it any more.
    fn ended(&mut self, _link: &Link) {}

    /// The end of the time for which the broker stands still, where it does now.
    fn stands_still_until(&self, _now: Instant) -> Option<Instant> {
        None
    }
}

/// What a client has sent and was not handled yet.
#[derive(Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    taken: usize,
}

impl Input {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }
}

/// Settings that let everything pass: the limits are for the plan to set.
pub(crate) fn boundless() -> Settings {
    Settings {
        max_connect_size: MAX_PACKET_SIZE,
        default_listener: ListenerSettings {
            max_topic_alias: 0,
            max_topic_alias_broker: 0,
            ..ListenerSettings::default()
        },
        // A plan may keep a CONNECT from the core for as long as it likes.
        connect_timeout: Duration::from_secs(7 * 24 * 3600),
        ..Settings::raised()
    }
}

/// The core and its plan.
pub(crate) struct FaultyBroker<P> {
    pub(crate) plan: P,
    core: Core,
    links: BTreeMap<u64, Link>,
    numbers: HashMap<ConnectionId, u64>,
    last_number: u64,
    observer: Option<ConnectionId>,
    /// Links that are to be looked at after the packet that is being handled.
    touched: Vec<u64>,
    deadline_moved: Rc<Notify>,
    waiting_bytes: WaitingBytes,
}

impl<P: FaultPlan> FaultyBroker<P> {
    pub(crate) fn new(plan: P, settings: Settings) -> Self {
        let now = Instant::now().into_std();
        Self {
            plan,
            core: Core::new(settings, Box::new(OpenAccess { allow_anonymous: true }), now),
            links: BTreeMap::new(),
            numbers: HashMap::new(),
            last_number: 0,
            observer: None,
            touched: Vec::new(),
            deadline_moved: Rc::default(),
            waiting_bytes: WaitingBytes::default(),
        }
    }

    /// The core logs to this.
    pub(crate) fn with_log(mut self, log: Box<dyn Log>) -> Self {
        self.core.set_log(Some(log));
        self
    }

    /// Shows the plan every message that the core accepts: a client inside the broker subscribes to all of them.
    pub(crate) fn observed(mut self) -> Self {
        let now = Instant::now().into_std();
        let id = self.core.open(Peer::default(), now);
        let connect = Connect {
            version: ProtocolVersion::V5,
            client_id: "observer".to_owned(),
            clean_start: true,
            keep_alive: 0,
            user_name: None,
            password: None,
            will: None,
            properties: Properties::new(),
        };
        let filters = vec![SubscribeFilter { filter: "#".to_owned(), ..SubscribeFilter::default() }];
        let subscribe = Subscribe { packet_identifier: 1, filters, ..Subscribe::default() };
        let mut bytes = Vec::new();
        for packet in [Packet::Connect(Box::new(connect)), Packet::Subscribe(subscribe)] {
            packet.encode(ProtocolVersion::V5, &mut bytes).expect("good packets");
        }
        self.core.handle_input(id, &bytes, now);
        self.observer = Some(id);
        self.settle();
        self
    }

    /// A connection was accepted: its number and its way out.
    pub(crate) fn accept(&mut self) -> (u64, Rc<Outbox>) {
        self.last_number += 1;
        let number = self.last_number;
        let peer = Peer { address: number.to_string(), ..Peer::default() };
        let id = self.core.open(peer, Instant::now().into_std());
        let mut link = Link::new(number, id, Outbox::new(Rc::clone(&self.waiting_bytes)));
        let outbox = Rc::clone(&link.outbox);
        self.numbers.insert(id, number);
        self.plan.accepted(&mut link);
        self.links.insert(number, link);
        self.touched.push(number);
        self.settle();
        (number, outbox)
    }

    /// How many bytes may be read from a connection at once.
    fn read_limit(&self, number: u64) -> usize {
        self.links.get(&number).map_or(usize::MAX, |link| self.plan.read_limit(link))
    }

    /// Takes bytes from a connection, which are handled packet by packet.
    fn take_input(&mut self, number: u64, bytes: &[u8], input: &mut Input) {
        if let Some(link) = self.links.get_mut(&number) {
            link.received += bytes.len() as u64;
            input.push(bytes);
        }
    }

    /// Handles the next packet of a connection; whether there was one.
    fn handle_next(&mut self, number: u64, input: &mut Input) -> bool {
        let Some(link) = self.links.get_mut(&number) else { return false };
        let Some(id) = link.id else {
            // Cut: what still comes is thrown away.
            *input = Input::default();
            return false;
        };
        let now = Instant::now().into_std();
        let bytes = input.rest();
        let size = match scan(bytes, MAX_PACKET_SIZE) {
            Ok(Scan::Incomplete(_)) => return false,
            Ok(Scan::Frame(frame)) => {
                match Packet::decode(frame, link.version) {
                    Ok(packet) => {
                        if let Packet::Connect(connect) = &packet {
                            link.version = connect.version;
                        }
                        match self.plan.received(&packet, link) {
                            Inbound::Drop => {}
                            Inbound::Replace(bytes) => self.core.handle_input(id, &bytes, now),
                            Inbound::Pass if link.take_own(&packet) => {}
                            Inbound::Pass => self.core.handle_input(id, &bytes[..frame.size], now),
                        }
                    }
                    Err(error) => {
                        self.plan.malformed(error, link);
                        self.core.handle_input(id, &bytes[..frame.size], now);
                    }
                }
                frame.size
            }
            Err(error) => {
                self.plan.malformed(error, link);
                self.core.handle_input(id, bytes, now);
                bytes.len()
            }
        };
        input.taken += size;
        self.touched.push(number);
        self.settle();
        true
    }

    /// All whole packets of what was read are handled.
    fn bytes_read(&mut self, number: u64) {
        if let Some(link) = self.links.get_mut(&number) {
            self.plan.bytes_read(link);
            self.touched.push(number);
            self.settle();
        }
    }

    /// Does this to every connection whose client the core has let in.
    pub(crate) fn act_on_all(&mut self, mut act: impl FnMut(&mut Link)) {
        for (number, link) in &mut self.links {
            if link.id.is_some_and(|id| self.core.is_admitted(id)) {
                act(link);
                self.touched.push(*number);
            }
        }
        self.settle();
    }

    /// A connection is gone.
    pub(crate) fn close(&mut self, number: u64) {
        if let Some(link) = self.links.get_mut(&number) {
            link.end(Duration::ZERO);
            self.touched.push(number);
            self.settle();
        }
        if let Some(link) = self.links.remove(&number) {
            self.plan.ended(&link);
        }
    }

    /// All connections are gone.
    pub(crate) fn close_all(&mut self) {
        for number in self.links.keys().copied().collect::<Vec<_>>() {
            self.close(number);
        }
    }

    fn full_outboxes(&self) -> Vec<Rc<Outbox>> {
        if self.waiting_bytes.get() <= FULL {
            return Vec::new();
        }
        self.links.values().filter(|link| link.outbox.is_full()).map(|link| Rc::clone(&link.outbox)).collect()
    }

    fn handle_timeout(&mut self) {
        self.core.handle_timeout(Instant::now().into_std());
        self.settle();
    }

    /// Sends what the core has to send past the plan, until it has nothing more.
    fn settle(&mut self) {
        let now = Instant::now().into_std();
        let mut list = Vec::new();
        loop {
            while self.core.has_work() {
                self.core.work(now);
            }
            self.core.take_output_list(&mut list);
            let is_settled = list.is_empty() && self.touched.is_empty();
            for id in list.drain(..) {
                self.take_output(id, now);
            }
            // A connection that the plan has cut is closed for the core; one that the core has closed sends what is
            // due.
            for number in std::mem::take(&mut self.touched) {
                let Some(link) = self.links.get_mut(&number) else { continue };
                if let Some(id) = link.id
                    && (link.outbox.is_ending() || self.core.is_closing(id))
                {
                    link.id = None;
                    link.end(Duration::ZERO);
                    self.numbers.remove(&id);
                    self.core.handle_closed(id, Cause::Closed, now);
                }
            }
            if is_settled {
                break;
            }
        }
        self.deadline_moved.notify_one();
    }

    /// Takes the packets that the core has for a connection past the plan.
    fn take_output(&mut self, id: ConnectionId, now: std::time::Instant) {
        let mut slices = Vec::new();
        self.core.output(id, &mut slices, usize::MAX);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.core.written(id, bytes.len());
        let number = self.numbers.get(&id).copied();
        let version = number.and_then(|number| self.links.get(&number)).map(|link| link.version);
        let version = version.unwrap_or(ProtocolVersion::V5);
        let mut in_its_place = Vec::new();
        let mut rest = &bytes[..];
        while let Ok(Scan::Frame(frame)) = scan(rest, MAX_PACKET_SIZE) {
            let packet = Packet::decode(frame, version).expect("the core sends good packets");
            match (&packet, number) {
                (_, Some(number)) => in_its_place.extend(self.send_on(number, &packet, &rest[..frame.size])),
                (Packet::Publish(publish), None) if self.observer == Some(id) => self.plan.routed(publish),
                _ => {}
            }
            rest = &rest[frame.size..];
        }
        for ack in in_its_place {
            let mut bytes = Vec::new();
            ack.encode(version, &mut bytes).expect("a good packet");
            self.core.handle_input(id, &bytes, now);
        }
        self.touched.extend(number);
    }

    /// Takes one packet of the core past the plan. What the client would answer, where it does not get the packet.
    fn send_on(&mut self, number: u64, packet: &Packet<'_>, bytes: &[u8]) -> Option<Ack> {
        let link = self.links.get_mut(&number)?;
        if let Packet::Ack(Ack { kind: AckKind::Pubrel, packet_identifier, .. }) = packet
            && link.dropped.remove(packet_identifier)
        {
            return Some(Ack::success(AckKind::Pubcomp, *packet_identifier));
        }
        let became = self.plan.sending(packet, bytes, link);
        let Packet::Publish(publish) = packet else { return None };
        match (became, publish.qos) {
            (Outbound::SentToo(other), _) => {
                self.links.get_mut(&other)?.send_copy(publish, Duration::ZERO);
                None
            }
            (Outbound::Dropped, QoS::AtLeastOnce) => Some(Ack::success(AckKind::Puback, publish.packet_identifier)),
            (Outbound::Dropped, QoS::ExactlyOnce) => {
                link.dropped.insert(publish.packet_identifier);
                Some(Ack::success(AckKind::Pubrec, publish.packet_identifier))
            }
            (Outbound::Sent, _) | (_, QoS::AtMostOnce) => None,
        }
    }
}

/// A broker that the tasks of its connections share.
pub(crate) type SharedBroker<P> = Rc<RefCell<FaultyBroker<P>>>;
