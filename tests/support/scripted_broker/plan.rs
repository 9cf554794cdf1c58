//! A script at work: what becomes of each packet, and what is logged.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mqtools::broker::core::{Cause, Event};
use mqtools::mqtt::wire::{
    Ack, AckKind, Connack, Connect, Disconnect, Packet, PacketType, Publish, Suback, Subscribe, WireError,
};
use mqtools::mqtt::{Message, PropertyName, QoS, ReasonCode, filter_matches};
use tokio::time::Instant;

use super::super::faulty_broker::{FaultPlan, Inbound, Link, Outbound};
use super::log::Received;
use super::script::{Action, Repeat, Trigger};
use super::{Shared, State};

/// Prefix of filters that must not get a subscription: no topic matches them.
const NOWHERE: &str = "$nowhere/";

impl Action {
    /// Does it; returns whether the packet that was the trigger is handled.
    pub(super) fn perform(&self, link: &mut Link) -> bool {
        match self {
            Self::Send(bytes) => {
                link.send(bytes, Duration::ZERO);
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
                link.send(&bytes, Duration::ZERO);
                link.mute(); // whatever followed would be the packet's payload
                return true;
            }
            Self::CutUnanswered => {
                link.end(Duration::ZERO);
                return true;
            }
            Self::SendAndCut(bytes) => drop(link.send(bytes, Duration::ZERO)),
            Self::Disconnect(reason) if link.version.is_v5() => {
                let disconnect = Disconnect { reason: *reason, ..Disconnect::default() };
                link.send_packet(&Packet::Disconnect(disconnect), Duration::ZERO);
            }
            Self::Disconnect(_) | Self::Cut | Self::CutInside => {}
        }
        link.end(Duration::ZERO);
        false
    }
}

/// What is known of a connection.
#[derive(Default)]
struct Connection {
    client_id: String,
    faults: Vec<(Trigger, Action)>,
    packets: u64,
    publishes: u64,
    deliveries: u64,
    /// CONNACK was omitted: everything is read and nothing is done.
    deaf: bool,
    /// Topics by the alias that the client has given them.
    topics: HashMap<u16, String>,
    /// QoS 1 and 2 PUBLISHes, and when their last acknowledgement is sent.
    unacknowledged: HashMap<u16, Option<Instant>>,
    /// Payloads of QoS 1 that wait for PUBACK.
    payloads: HashMap<u16, Bytes>,
    /// Reasons for SUBACK by its identifier; none where the core decides.
    refusals: HashMap<u16, Vec<Option<ReasonCode>>>,
    shared_filters: Vec<String>,
    /// Deliveries that wait for the next one of their topic.
    swapped: Vec<(String, Vec<u8>)>,
}

impl Connection {
    /// Performs the fault of this trigger, where there is one; returns whether the packet is handled.
    fn fire(&mut self, trigger: Trigger, link: &mut Link) -> bool {
        let Some(position) = self.faults.iter().position(|(when, _)| *when == trigger) else { return true };
        self.faults.swap_remove(position).1.perform(link)
    }

    /// Sends a delivery, unless a fault of this connection is due at it.
    fn deliver(&mut self, bytes: &[u8], after: Duration, link: &mut Link) {
        self.deliveries += 1;
        let due = Trigger::Delivery(self.deliveries);
        if self.faults.contains(&(due, Action::CutInside)) {
            link.send(&bytes[..bytes.len() / 2], Duration::ZERO);
        }
        self.fire(due, link);
        link.send(bytes, after);
    }

    /// The message with its topic, whichever way that was given.
    fn message(&mut self, publish: &Publish<'_>) -> Message {
        let mut message = publish.to_message();
        if let Some(alias) = publish.properties.number(PropertyName::TopicAlias).map(|alias| alias as u16) {
            message.properties.remove(PropertyName::TopicAlias);
            if message.topic.is_empty() {
                message.topic = self.topics.get(&alias).cloned().unwrap_or_default();
            } else {
                self.topics.insert(alias, message.topic.clone());
            }
        }
        message
    }

    /// Whether a PUBLISH keeps to the Receive Maximum and to the rules of Packet Identifiers. The core answers at once;
    /// for the client its message is in flight until the answer leaves.
    fn is_within_window(&mut self, state: &mut State, publish: &Publish<'_>, link: &mut Link) -> bool {
        if publish.qos == QoS::AtMostOnce {
            return true;
        }
        let limit = state.script.limit(PropertyName::ReceiveMaximum).filter(|_| link.version.is_v5());
        let window = limit.unwrap_or(65_535) as usize;
        let now = Instant::now();
        if self.unacknowledged.len() >= window {
            self.unacknowledged.retain(|_, at| at.is_none_or(|at| at > now));
        }
        let before = self.unacknowledged.insert(publish.packet_identifier, None);
        if before.is_some_and(|at| at.is_none_or(|at| at > now)) && !publish.dup {
            state.violation(link.number, format_args!("packet identifier {} is in use", publish.packet_identifier));
        }
        if self.unacknowledged.len() > window {
            state.violation(link.number, format_args!("more than {window} in flight"));
            Action::Disconnect(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED).perform(link);
        }
        self.unacknowledged.len() <= window
    }
}

/// The plan of a scripted broker.
pub(super) struct ScriptedFaults {
    shared: Arc<Shared>,
    connections: HashMap<u64, Connection>,
    /// Payloads of QoS 2 that wait for PUBCOMP, by client and identifier.
    held: HashMap<(String, u16), Bytes>,
    stalled_until: Option<Instant>,
}

impl ScriptedFaults {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, connections: HashMap::new(), held: HashMap::new(), stalled_until: None }
    }

    /// Runs this with the state and a connection, and wakes up tests that wait for the log.
    fn with<T>(&mut self, number: u64, run: impl FnOnce(&mut Self, &mut State, &mut Connection) -> T) -> T {
        let shared = Arc::clone(&self.shared);
        let mut connection = self.connections.remove(&number).unwrap_or_default();
        let result = run(self, &mut shared.lock(), &mut connection);
        self.connections.insert(number, connection);
        shared.changed.notify_all();
        result
    }

    fn connect(
        &mut self,
        state: &mut State,
        connection: &mut Connection,
        connect: &Connect,
        link: &mut Link,
    ) -> Inbound {
        connection.client_id.clone_from(&connect.client_id);
        if state.script.only_v311 && connect.version.is_v5() {
            Action::SendAndCut(vec![0x20, 2, 0, 1]).perform(link);
            return Inbound::Drop;
        }
        let refused = state.script.refuse_connect.as_ref().filter(|(which, _)| which.contain(link.number));
        if let Some(reason) = refused.map(|(_, reason)| *reason) {
            let connack = Packet::Connack(Connack { reason, ..Connack::default() });
            state.answer(link, PacketType::Connack, &link.encode(&connack));
            link.end(Duration::ZERO);
            return Inbound::Drop;
        }
        if state.script.forget_sessions {
            let mut clean = connect.clone();
            clean.clean_start = true;
            clean.properties.remove(PropertyName::SessionExpiryInterval);
            return Inbound::Replace(link.encode(&Packet::Connect(Box::new(clean))));
        }
        Inbound::Pass
    }

    fn publish(
        &mut self,
        state: &mut State,
        connection: &mut Connection,
        publish: &Publish<'_>,
        mut goes_on: bool,
        link: &mut Link,
    ) -> Inbound {
        connection.publishes += 1;
        state.log.counts.publishes += 1;
        let ordinal = state.log.counts.publishes;
        if let Some((_, length)) = state.script.stall_at_publish.iter().find(|(at, _)| *at == ordinal) {
            self.stalled_until = Some(Instant::now() + *length);
        }
        goes_on &= connection.fire(Trigger::ReceivedPublish(connection.publishes), link);
        let message = connection.message(publish);
        let Publish { packet_identifier, dup, qos, .. } = *publish;
        let payload = message.payload.clone();
        if !state.script.without_log {
            state.log.received.push((link.number, Received::Publish { message, packet_identifier, dup }));
        }
        if !goes_on || connection.deaf || !connection.is_within_window(state, publish, link) {
            return Inbound::Drop;
        }
        let in_flight = || self.held.keys().filter(|(client_id, _)| *client_id == connection.client_id).count();
        let is_too_many =
            qos == QoS::ExactlyOnce && state.script.most_unreleased.is_some_and(|most| in_flight() >= most);
        if is_too_many || state.script.hated_payload.as_deref() == Some(&payload[..]) {
            link.end(Duration::ZERO);
            return Inbound::Drop;
        }
        let as_qos_1 = qos == QoS::ExactlyOnce && state.script.qos2_with_puback;
        let refused = state.script.refuse_publishes.as_ref().filter(|(which, _)| which.contain(ordinal));
        if let Some(reason) = refused.map(|(_, reason)| *reason) {
            if qos != QoS::AtMostOnce {
                let kind = if qos == QoS::AtLeastOnce || as_qos_1 { AckKind::Puback } else { AckKind::Pubrec };
                let ack = Ack::with_reason(kind, packet_identifier, reason);
                self.acknowledge(state, connection, &ack, &link.encode(&Packet::Ack(ack.clone())), link);
            }
            return Inbound::Drop;
        }
        match qos {
            QoS::AtMostOnce => {}
            QoS::ExactlyOnce if !as_qos_1 => {
                self.held.entry((connection.client_id.clone(), packet_identifier)).or_insert(payload);
            }
            _ => drop(connection.payloads.insert(packet_identifier, payload)),
        }
        if as_qos_1 {
            let lowered = Publish { qos: QoS::AtLeastOnce, ..publish.clone() };
            return Inbound::Replace(link.encode(&Packet::Publish(lowered)));
        }
        Inbound::Pass
    }

    /// Sends an acknowledgement of a PUBLISH and logs which message it completes.
    fn acknowledge(
        &mut self,
        state: &mut State,
        connection: &mut Connection,
        ack: &Ack,
        bytes: &[u8],
        link: &mut Link,
    ) {
        let (kind, identifier) = (ack.kind.packet_type(), ack.packet_identifier);
        if !state.answer(link, kind, bytes) {
            return;
        }
        let done = match ack.kind {
            AckKind::Puback => connection.payloads.remove(&identifier),
            AckKind::Pubcomp => self.held.remove(&(connection.client_id.clone(), identifier)),
            AckKind::Pubrec if ack.reason.is_error() => None,
            AckKind::Pubrec | AckKind::Pubrel => return,
        };
        connection.unacknowledged.insert(identifier, Some(Instant::now() + state.script.delay_of(kind)));
        if let Some(payload) = done.filter(|_| !state.script.without_log) {
            state.log.acknowledged.push(payload);
        }
    }

    fn connack(&mut self, state: &mut State, connection: &mut Connection, connack: &Connack, link: &mut Link) {
        let mut connack = connack.clone();
        if link.version.is_v5() {
            let of_core = std::mem::take(&mut connack.properties);
            connack.properties = state.script.connack.iter().cloned().collect();
            let assigned = of_core.iter().find(|property| property.name() == PropertyName::AssignedClientIdentifier);
            assigned.into_iter().for_each(|assigned| connack.properties.push_default(assigned.clone()));
        }
        if !connack.session_present {
            self.held.retain(|(client_id, _), _| *client_id != connection.client_id);
        }
        link.hold(state.script.delay_of(PacketType::Connack));
        if !state.answer(link, PacketType::Connack, &link.encode(&Packet::Connack(connack))) {
            connection.deaf = true;
            link.mute();
        }
    }

    fn deliver(
        &mut self,
        state: &mut State,
        connection: &mut Connection,
        publish: &Publish<'_>,
        bytes: &[u8],
        link: &mut Link,
    ) -> Outbound {
        let State { script, log, .. } = state;
        let mut after = script.delay_of(PacketType::Publish);
        let is_spoilt = script.fault_topics.as_deref().is_none_or(|filter| filter_matches(filter, publish.topic));
        // One that is sent again in a session that goes on has been counted.
        if publish.dup || !is_spoilt {
            connection.deliver(bytes, after, link);
            return Outbound::Sent;
        }
        log.counts.deliveries += 1;
        let ordinal = log.counts.deliveries;
        if script.drop.contain(ordinal) {
            log.counts.dropped += 1;
            return Outbound::Dropped;
        }
        if script.swap.contain(ordinal) {
            connection.swapped.push((publish.topic.to_owned(), bytes.to_vec()));
            return Outbound::Sent;
        }
        if let Some((_, by)) = script.hold.as_ref().filter(|(ordinals, _)| ordinals.contain(ordinal)) {
            after = *by;
        }
        connection.deliver(bytes, after, link);
        if let Some((_, how)) = script.repeat.as_ref().filter(|(ordinals, _)| ordinals.contain(ordinal)) {
            log.counts.repeated += 1;
            match how {
                Repeat::AsNew => link.send_copy(publish, after),
                Repeat::WithDup => {
                    let again = Publish { dup: publish.qos != QoS::AtMostOnce, ..publish.clone() };
                    connection.deliver(&link.encode(&Packet::Publish(again)), after, link);
                }
            }
        }
        for (_, bytes) in connection.swapped.extract_if(.., |(topic, _)| topic == publish.topic).collect::<Vec<_>>() {
            log.counts.swapped += 1;
            connection.deliver(&bytes, after, link);
        }
        if script.pass_on.contain(ordinal)
            && let Some(next) = self.next_member(connection, publish.topic)
        {
            log.counts.deliveries += 1;
            return Outbound::SentToo(next);
        }
        Outbound::Sent
    }

    /// Another connection that shares a subscription with this one.
    fn next_member(&self, connection: &Connection, topic: &str) -> Option<u64> {
        let mut filters = connection.shared_filters.iter();
        let filter = filters.find(|filter| {
            let path = filter.splitn(3, '/').nth(2);
            path.is_some_and(|path| filter_matches(path, topic))
        })?;
        self.connections.iter().find(|(_, other)| other.shared_filters.contains(filter)).map(|(number, _)| *number)
    }
}

impl State {
    pub(super) fn violation(&mut self, connection: impl std::fmt::Display, what: impl std::fmt::Display) {
        self.log.violations.push(format!("connection {connection}: {what}"));
    }

    /// Sends an answer as the script wants it; whether it leaves.
    fn answer(&mut self, link: &mut Link, kind: PacketType, bytes: &[u8]) -> bool {
        let ordinal = self.answers.entry(kind as u8).or_default();
        *ordinal += 1;
        !self.script.omits(kind, *ordinal) && link.send(bytes, self.script.delay_of(kind))
    }

    fn subscribe(&self, connection: &mut Connection, subscribe: &Subscribe, link: &Link) -> Inbound {
        let mut changed = subscribe.clone();
        let mut reasons = Vec::new();
        for filter in &mut changed.filters {
            let named = self.script.refuse_filters.iter().find(|(name, _)| *name == filter.filter);
            let refused = self.script.refuse_subscribe.or(named.map(|(_, reason)| *reason));
            let is_shared = filter.filter.starts_with("$share/");
            if refused.is_some() || is_shared && self.script.without_groups {
                filter.filter.insert_str(0, NOWHERE);
            } else if is_shared {
                connection.shared_filters.push(filter.filter.clone());
            }
            filter.qos = self.script.grant_at_most.map_or(filter.qos, |most| filter.qos.min(most));
            reasons.push(refused);
        }
        connection.refusals.insert(subscribe.packet_identifier, reasons);
        Inbound::Replace(link.encode(&Packet::Subscribe(changed)))
    }
}

impl FaultPlan for ScriptedFaults {
    fn accepted(&mut self, link: &mut Link) {
        self.with(link.number, |_, state, connection| {
            state.log.counts.connections += 1;
            let faults = state.script.faults.iter().filter(|fault| fault.connections.contain(link.number));
            connection.faults = faults.map(|fault| (fault.trigger, fault.action.clone())).collect();
            for (trigger, _) in &connection.faults {
                if let Trigger::SentBytes(count) = trigger {
                    link.limit(*count);
                }
            }
            connection.fire(Trigger::Accept, link);
        });
    }

    fn read_limit(&self, link: &Link) -> usize {
        let faults = self.connections.get(&link.number).into_iter().flat_map(|connection| &connection.faults);
        let ends = faults.filter_map(|(trigger, _)| match trigger {
            Trigger::ReceivedBytes(count) => count.checked_sub(link.received).filter(|left| *left > 0),
            _ => None,
        });
        ends.min().map_or(usize::MAX, |left| left as usize)
    }

    fn bytes_read(&mut self, link: &mut Link) {
        self.with(link.number, |_, _, connection| connection.fire(Trigger::ReceivedBytes(link.received), link));
    }

    fn received(&mut self, packet: &Packet<'_>, link: &mut Link) -> Inbound {
        self.with(link.number, |plan, state, connection| {
            connection.packets += 1;
            // A PUBLISH is logged with its topic, which an alias may stand for.
            if !state.script.without_log && !matches!(packet, Packet::Publish(_)) {
                state.log.received.push((link.number, Received::of(packet)));
            }
            let goes_on = connection.fire(Trigger::ReceivedPacket(connection.packets), link);
            if let Packet::Publish(publish) = packet {
                return plan.publish(state, connection, publish, goes_on, link);
            }
            if !goes_on || connection.deaf {
                return Inbound::Drop;
            }
            match packet {
                Packet::Connect(connect) => return plan.connect(state, connection, connect, link),
                Packet::Subscribe(subscribe) => return state.subscribe(connection, subscribe, link),
                Packet::Ack(Ack { kind: AckKind::Puback | AckKind::Pubcomp, .. }) => {
                    state.log.counts.completed_deliveries += 1;
                }
                _ => {}
            }
            Inbound::Pass
        })
    }

    fn malformed(&mut self, error: WireError, link: &mut Link) {
        self.with(link.number, |_, state, _| {
            if !state.script.without_log {
                state.log.received.push((link.number, Received::Malformed(error)));
            }
        });
    }

    fn sending(&mut self, packet: &Packet<'_>, bytes: &[u8], link: &mut Link) -> Outbound {
        self.with(link.number, |plan, state, connection| {
            match packet {
                Packet::Publish(publish) => return plan.deliver(state, connection, publish, bytes, link),
                Packet::Connack(connack) => plan.connack(state, connection, connack, link),
                Packet::Ack(ack) => plan.acknowledge(state, connection, ack, bytes, link),
                Packet::Suback(suback) => {
                    let mut suback: Suback = suback.clone();
                    let refusals = connection.refusals.remove(&suback.packet_identifier).unwrap_or_default();
                    for (reason, refused) in suback.reasons.iter_mut().zip(refusals) {
                        // Before 5.0 there is one code for every refusal.
                        let refused =
                            refused.map(|it| if link.version.is_v5() { it } else { ReasonCode::UNSPECIFIED_ERROR });
                        *reason = refused.unwrap_or(*reason);
                    }
                    state.answer(link, PacketType::Suback, &link.encode(&Packet::Suback(suback)));
                }
                Packet::Disconnect(_) => drop(link.send(bytes, Duration::ZERO)),
                other => drop(state.answer(link, other.packet_type(), bytes)),
            }
            Outbound::Sent
        })
    }

    fn routed(&mut self, message: &Publish<'_>) {
        let mut state = self.shared.lock();
        state.log.counts.accepted += 1;
        if !state.script.without_log {
            state.log.accepted.push(Bytes::copy_from_slice(message.payload));
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    fn ended(&mut self, link: &Link) {
        self.connections.remove(&link.number);
        let mut state = self.shared.lock();
        if !state.script.without_log {
            state.log.received.push((link.number, Received::End));
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    fn stands_still_until(&self, now: Instant) -> Option<Instant> {
        self.stalled_until.filter(|until| *until > now)
    }
}

/// Logs clients that the core has closed because they broke the rules.
pub(super) struct Violations(pub(super) Arc<Shared>);

impl mqtools::broker::core::Log for Violations {
    fn event(&mut self, event: &Event<'_>) {
        let (peer, text) = match event {
            Event::ProtocolError { peer, what, .. } => (peer, (*what).to_owned()),
            Event::Disconnected {
                peer,
                cause: cause @ (Cause::Oversize | Cause::ReceiveMaximum | Cause::TopicAlias | Cause::QosNotSupported),
                ..
            } => (peer, format!("{cause:?}")),
            _ => return,
        };
        self.0.lock().violation(&peer.address, text);
        self.0.changed.notify_all();
    }

    fn wants_packets(&self) -> bool {
        false
    }
}
