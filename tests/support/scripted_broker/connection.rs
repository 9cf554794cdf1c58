//! One connection of a scripted broker: the reading thread.

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use mqtools::mqtt::wire::{
    Ack, AckKind, Connack, Connect, Disconnect, MAX_PACKET_SIZE, Packet, Publish, Scan, Suback, Subscribe, Unsuback,
    Unsubscribe, scan,
};
use mqtools::mqtt::{Message, Property, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode};

use super::super::socket::read_some;
use super::Shared;
use super::log::Received;
use super::outbox::Outbox;
use super::script::{Action, Script, Trigger};
use super::state::{Link, Session, State, Subscription};

impl Action {
    /// What of an action is the same everywhere: bytes and the end. Whether the connection goes on.
    pub(super) fn perform(&self, outbox: &Outbox, version: ProtocolVersion) -> bool {
        match self {
            Self::Send(bytes) => {
                outbox.push(bytes, None);
                return true;
            }
            Self::AnnouncePacket(length) => {
                let mut bytes = vec![0x30];
                let mut rest = *length;
                while rest > 0x7F {
                    bytes.push(rest as u8 | 0x80);
                    rest >>= 7;
                }
                bytes.extend_from_slice(&[rest as u8, 0, 1, b'a', b'x']);
                outbox.push(&bytes, None);
                outbox.mute(); // whatever followed would be the packet's payload
                return true;
            }
            Self::CutUnanswered => {
                outbox.end();
                return true;
            }
            Self::SendAndCut(bytes) => outbox.end_with(bytes),
            Self::Disconnect(reason) if version.is_v5() => {
                let mut bytes = Vec::new();
                let disconnect = Disconnect { reason: *reason, ..Disconnect::default() };
                if Packet::Disconnect(disconnect).encode(version, &mut bytes).is_ok() {
                    outbox.end_with(&bytes);
                }
            }
            Self::Disconnect(_) | Self::Cut | Self::CutInside => {}
        }
        outbox.end();
        false
    }
}

pub(super) struct Connection {
    pub(super) number: u64,
    pub(super) shared: Arc<Shared>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) faults: Vec<(Trigger, Action)>,
    pub(super) version: ProtocolVersion,
    pub(super) session: Option<u64>,
    /// CONNACK was omitted by the script: everything is read and nothing is done.
    pub(super) deaf: bool,
    pub(super) will: Option<Message>,
    pub(super) aliases: HashMap<u16, String>,
    /// QoS 1 and 2 PUBLISHes of this connection, and when their last acknowledgement is sent.
    pub(super) unacknowledged: HashMap<u16, Option<Instant>>,
    pub(super) packets: u64,
    pub(super) publishes: u64,
    pub(super) bytes: u64,
}

impl Connection {
    pub fn new(number: u64, shared: Arc<Shared>, script: &Script) -> Self {
        let mine = script.faults.iter().filter(|fault| fault.connections.contain(number));
        let faults: Vec<_> = mine.map(|fault| (fault.trigger, fault.action.clone())).collect();
        let budget = faults.iter().filter_map(|(trigger, _)| match trigger {
            Trigger::SentBytes(count) => Some(*count),
            _ => None,
        });
        Self {
            number,
            shared,
            outbox: Arc::new(Outbox::new(budget.min())),
            faults,
            version: ProtocolVersion::default(),
            session: None,
            deaf: false,
            will: None,
            aliases: HashMap::new(),
            unacknowledged: HashMap::new(),
            packets: 0,
            publishes: 0,
            bytes: 0,
        }
    }

    pub fn outbox(&self) -> Arc<Outbox> {
        Arc::clone(&self.outbox)
    }

    /// Reads until the connection is over.
    pub fn run(mut self, stream: TcpStream) {
        let writer = stream.try_clone().map(|stream| {
            let (outbox, shared) = (Arc::clone(&self.outbox), Arc::clone(&self.shared));
            std::thread::spawn(move || outbox.run(stream, &shared.stalls))
        });
        self.fire(Trigger::Accept);
        self.read(stream);
        self.outbox.end();
        if let Ok(writer) = writer {
            let _ = writer.join();
        }
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        self.leave(&mut state);
        if !state.script.without_log {
            state.log.received.push((self.number, Received::End));
        }
        shared.changed.notify_all();
    }

    fn read(&mut self, mut stream: TcpStream) {
        let (mut buffer, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            let size = self.bytes_until_fault().min(chunk.len());
            let count = match read_some(&mut stream, &mut chunk[..size]) {
                Ok(0) | Err(_) => return,
                Ok(count) => count,
            };
            if self.outbox.is_over() {
                continue; // cut by the script: what still comes is thrown away until the client closes
            }
            self.bytes += count as u64;
            buffer.extend_from_slice(&chunk[..count]);
            self.shared.stalls.sit_out();
            let full = self.handle_all(&mut buffer);
            self.fire(Trigger::ReceivedBytes(self.bytes));
            self.shared.changed.notify_all();
            full.iter().for_each(|outbox| outbox.wait_for_room());
        }
    }

    fn bytes_until_fault(&self) -> usize {
        let ends = self.faults.iter().filter_map(|(trigger, _)| match trigger {
            Trigger::ReceivedBytes(count) => count.checked_sub(self.bytes).filter(|left| *left > 0),
            _ => None,
        });
        ends.min().map_or(usize::MAX, |left| left as usize)
    }

    /// Handles the whole packets in the buffer and takes them out. The outboxes that have no room afterwards.
    fn handle_all(&mut self, buffer: &mut Vec<u8>) -> Vec<Arc<Outbox>> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let mut at = 0;
        while !self.outbox.is_over() {
            let frame = match scan(&buffer[at..], MAX_PACKET_SIZE) {
                Ok(Scan::Frame(frame)) => frame,
                Ok(Scan::Incomplete(_)) => break,
                Err(error) => {
                    self.malformed(&mut state, error);
                    break;
                }
            };
            at += frame.size;
            match Packet::decode(frame, self.version) {
                Ok(packet) => self.receive(&mut state, &packet, frame.size),
                Err(error) => self.malformed(&mut state, error),
            }
            if let Some(length) = std::mem::take(&mut state.stall) {
                shared.stalls.stall_for(length);
                drop(state);
                shared.stalls.sit_out();
                state = shared.lock();
            }
        }
        buffer.drain(..at);
        state.full_outboxes()
    }

    /// Performs the fault of this trigger, where there is one; whether the trigger is to be handled.
    fn fire(&mut self, trigger: Trigger) -> bool {
        let Some(position) = self.faults.iter().position(|(when, _)| *when == trigger) else { return true };
        let (_, action) = self.faults.swap_remove(position);
        action.perform(&self.outbox, self.version)
    }

    fn malformed(&mut self, state: &mut State, error: mqtools::mqtt::wire::WireError) {
        state.violation(self.number, &error);
        let reason = error.reason();
        if !state.script.without_log {
            state.log.received.push((self.number, Received::Malformed(error)));
        }
        Action::Disconnect(reason).perform(&self.outbox, self.version);
    }

    pub(super) fn violated(&mut self, state: &mut State, reason: ReasonCode, what: impl std::fmt::Display) {
        state.violation(self.number, what);
        Action::Disconnect(reason).perform(&self.outbox, self.version);
    }

    fn receive(&mut self, state: &mut State, packet: &Packet<'_>, size: usize) {
        self.packets += 1;
        // A PUBLISH is written down with its topic, which an alias may stand for.
        if !state.script.without_log && !matches!(packet, Packet::Publish(_)) {
            state.log.received.push((self.number, Received::of(packet)));
        }
        if matches!(packet, Packet::Connect(_)) {
            self.shared.stalls.connected();
            if let Packet::Connect(connect) = packet {
                self.version = connect.version;
            }
        }
        let mut goes_on = self.fire(Trigger::ReceivedPacket(self.packets));
        if let Packet::Publish(publish) = packet {
            self.publishes += 1;
            state.log.counts.publishes += 1;
            let ordinal = state.log.counts.publishes;
            state.stall =
                state.script.stall_at_publish.iter().find(|(at, _)| *at == ordinal).map(|(_, length)| *length);
            if let Some(length) = state.stall {
                self.shared.stalls.stall_for(length); // before the answer can be written
            }
            goes_on &= self.fire(Trigger::ReceivedPublish(self.publishes));
            return self.publish(state, publish, size, ordinal, goes_on);
        }
        if !goes_on || self.deaf {
            return;
        }
        match (packet, self.session) {
            (Packet::Connect(connect), None) => self.connect(state, connect),
            (Packet::Connect(_), Some(_)) => self.violated(state, ReasonCode::PROTOCOL_ERROR, "a second CONNECT"),
            (_, None) => self.violated(state, ReasonCode::PROTOCOL_ERROR, "the first packet is no CONNECT"),
            (Packet::Subscribe(subscribe), Some(session)) => self.subscribe(state, session, subscribe),
            (Packet::Unsubscribe(unsubscribe), Some(session)) => self.unsubscribe(state, session, unsubscribe),
            (Packet::Ack(ack), Some(session)) => self.acknowledgement(state, session, ack),
            (Packet::Pingreq, Some(_)) => {
                state.answer(&self.outbox, self.version, &Packet::Pingresp);
            }
            (Packet::Disconnect(disconnect), Some(session)) => self.disconnect(state, session, disconnect),
            (other, Some(_)) => {
                let what = format!("a client must not send {}", other.packet_type().name());
                self.violated(state, ReasonCode::PROTOCOL_ERROR, what);
            }
        }
    }

    fn connect(&mut self, state: &mut State, connect: &Connect) {
        let version = connect.version;
        if state.script.only_v311 && version.is_v5() {
            Action::SendAndCut(vec![0x20, 2, 0, 1]).perform(&self.outbox, version);
            return;
        }
        let refused = state.script.refuse_connect.as_ref();
        if let Some(reason) = refused.filter(|(which, _)| which.contain(self.number)).map(|(_, reason)| *reason) {
            state.answer(&self.outbox, version, &Packet::Connack(Connack { reason, ..Connack::default() }));
            self.outbox.end();
            return;
        }
        let client_id = match connect.client_id.as_str() {
            "" => format!("assigned-{}", self.number),
            given => given.to_owned(),
        };
        let (number, present) = self.take_session(state, &client_id, connect);
        let mut connack = Connack { session_present: present, ..Connack::default() };
        connack.session_present = state.script.claim_session_present.unwrap_or(present);
        if version.is_v5() {
            connack.properties = state.script.connack.iter().cloned().collect();
            let name = PropertyName::AssignedClientIdentifier;
            if connect.client_id.is_empty()
                && let Ok(assigned) = Property::new(name, PropertyValue::Utf8(client_id))
            {
                connack.properties.push_default(assigned);
            }
        }
        if let Some(delay) = state.script.delay_of(mqtools::mqtt::wire::PacketType::Connack) {
            self.outbox.hold(delay);
        }
        self.session = Some(number);
        self.will = connect.will.clone();
        if !state.answer(&self.outbox, version, &Packet::Connack(connack)) {
            self.deaf = true;
            self.outbox.mute();
        }
        state.resume(number);
    }

    /// The session of this client, with this connection put under it, and whether it was there.
    fn take_session(&mut self, state: &mut State, client_id: &str, connect: &Connect) -> (u64, bool) {
        let mut known = state.session_of(client_id);
        if let Some(link) = known.and_then(|number| state.sessions.get_mut(&number)).and_then(|it| it.link.take()) {
            Action::Disconnect(ReasonCode(0x8E)).perform(&link.outbox, link.version);
        }
        let kept = known.and_then(|number| state.sessions.get(&number)).is_some_and(|session| session.persistent);
        if connect.clean_start || state.script.forget_sessions || !kept {
            known.take().map(|number| state.sessions.remove(&number));
        }
        let number = known.unwrap_or(state.last_session + 1);
        state.last_session = state.last_session.max(number);
        let given = |name| connect.properties.number(name);
        let alias_maximum = given(PropertyName::TopicAliasMaximum).filter(|_| state.script.alias_deliveries);
        let deliveries = self.faults.iter().filter_map(|(trigger, action)| match trigger {
            Trigger::Delivery(ordinal) => Some((*ordinal, action.clone())),
            _ => None,
        });
        let session = state.sessions.entry(number).or_default();
        session.client_id = client_id.to_owned();
        session.persistent = match connect.version {
            ProtocolVersion::V5 => given(PropertyName::SessionExpiryInterval).unwrap_or(0) > 0,
            ProtocolVersion::V31 | ProtocolVersion::V311 => !connect.clean_start,
        };
        session.link = Some(Link {
            connection: self.number,
            outbox: Arc::clone(&self.outbox),
            version: connect.version,
            window: given(PropertyName::ReceiveMaximum).map_or(65_535, |maximum| maximum as usize),
            max_packet_size: given(PropertyName::MaximumPacketSize).map_or(MAX_PACKET_SIZE, |size| size as usize),
            alias_maximum: alias_maximum.map_or(0, |maximum| maximum as u16),
            aliases: HashMap::new(),
            deliveries: 0,
            faults: deliveries.collect(),
            hold: None,
        });
        (number, known.is_some())
    }

    fn disconnect(&mut self, state: &mut State, number: u64, disconnect: &Disconnect) {
        if disconnect.reason != ReasonCode::DISCONNECT_WITH_WILL {
            self.will = None;
        }
        if let Some(expiry) = disconnect.properties.number(PropertyName::SessionExpiryInterval)
            && let Some(session) = state.sessions.get_mut(&number)
        {
            session.persistent = expiry > 0;
        }
        self.outbox.end();
    }

    /// The connection is over: its session stays or goes, its will is published.
    fn leave(&mut self, state: &mut State) {
        let Some(number) = self.session.take() else { return };
        if let Some(session) = state.sessions.get_mut(&number)
            && session.link.as_ref().is_some_and(|link| link.connection == self.number)
        {
            session.link = None;
            if !session.persistent {
                state.sessions.remove(&number);
            }
        }
        if let Some(will) = self.will.take() {
            state.route(number, &will);
        }
    }

    fn subscribe(&mut self, state: &mut State, number: u64, subscribe: &Subscribe) {
        let name = PropertyName::SubscriptionIdentifier;
        let identifier = subscribe.properties.iter().find(|property| property.name() == name);
        let mut reasons = Vec::new();
        for wanted in &subscribe.filters {
            let named = state.script.refuse_filters.iter().find(|(filter, _)| *filter == wanted.filter);
            let refused = state.script.refuse_subscribe.or(named.map(|(_, reason)| *reason));
            if let Some(reason) = refused {
                reasons.push(if self.version.is_v5() { reason } else { ReasonCode::UNSPECIFIED_ERROR });
                continue;
            }
            let mut options = wanted.clone();
            options.qos = state.script.grant_at_most.map_or(wanted.qos, |most| wanted.qos.min(most));
            reasons.push(ReasonCode(options.qos.number()));
            if let Some(session) = state.sessions.get_mut(&number) {
                session.subscriptions.retain(|it| it.options.filter != wanted.filter);
                session.subscriptions.push(Subscription { options, identifier: identifier.cloned() });
            }
        }
        let suback = Suback { packet_identifier: subscribe.packet_identifier, reasons, ..Suback::default() };
        state.answer(&self.outbox, self.version, &Packet::Suback(suback));
    }

    fn unsubscribe(&mut self, state: &mut State, number: u64, unsubscribe: &Unsubscribe) {
        let mut reasons = Vec::new();
        if let Some(session) = state.sessions.get_mut(&number) {
            for filter in &unsubscribe.filters {
                let before = session.subscriptions.len();
                session.subscriptions.retain(|it| it.options.filter != *filter);
                let existed = session.subscriptions.len() < before;
                reasons.push(ReasonCode(if existed { 0 } else { 0x11 }));
            }
        }
        let unsuback = Unsuback { packet_identifier: unsubscribe.packet_identifier, reasons, ..Unsuback::default() };
        state.answer(&self.outbox, self.version, &Packet::Unsuback(unsuback));
    }

    fn acknowledgement(&mut self, state: &mut State, number: u64, ack: &Ack) {
        let identifier = ack.packet_identifier;
        match ack.kind {
            AckKind::Puback | AckKind::Pubcomp => {
                let expected = if ack.kind == AckKind::Puback { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
                match state.complete(number, identifier) {
                    Some(qos) if qos == expected => state.log.counts.completed_deliveries += 1,
                    Some(_) => {
                        let what = format!("{} for a delivery of another QoS", ack.kind.packet_type().name());
                        state.violation(self.number, what);
                    }
                    None => {} // the second answer to a delivery that the script repeated
                }
            }
            AckKind::Pubrec if ack.reason.is_error() => {
                state.complete(number, identifier);
            }
            AckKind::Pubrec => {
                state.release(number, identifier);
                state.answer_release(number, identifier);
            }
            AckKind::Pubrel => {
                let payload = state.sessions.get_mut(&number).and_then(|it| it.unreleased.remove(&identifier));
                let reason =
                    if payload.is_some() { ReasonCode::SUCCESS } else { ReasonCode::PACKET_IDENTIFIER_NOT_FOUND };
                let pubcomp = Ack::with_reason(AckKind::Pubcomp, identifier, reason);
                let answered = self.finish(state, pubcomp, payload.clone());
                // A release whose answer cannot leave, because the connection is being cut, has not happened.
                if let (false, Some(payload), Some(session)) = (answered, payload, state.sessions.get_mut(&number)) {
                    session.unreleased.insert(identifier, payload);
                }
            }
        }
    }
}
