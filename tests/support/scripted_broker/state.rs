//! What all connections of a scripted broker share: sessions, and the way of a message to its subscribers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mqtools::mqtt::wire::{Packet, PacketType, Publish, SubscribeFilter};
use mqtools::mqtt::{Message, Property, PropertyName, PropertyValue, ProtocolVersion, QoS, filter_matches};

use super::log::Log;
use super::outbox::Outbox;
use super::script::{Action, Repeat, Script};

/// A connection as its session sees it.
#[derive(Debug)]
pub(super) struct Link {
    pub connection: u64,
    pub outbox: Arc<Outbox>,
    pub version: ProtocolVersion,
    /// The client's Receive Maximum.
    pub window: usize,
    /// The client's Maximum Packet Size.
    pub max_packet_size: usize,
    /// The client's Topic Alias Maximum, zero unless the script uses it.
    pub alias_maximum: u16,
    pub aliases: HashMap<String, u16>,
    pub deliveries: u64,
    pub faults: Vec<(u64, Action)>,
    /// How much later the next delivery is to be sent.
    pub hold: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Subscription {
    pub options: SubscribeFilter,
    pub identifier: Option<Property>,
}

impl Subscription {
    fn is_shared(&self) -> bool {
        self.options.filter.starts_with("$share/")
    }
}

/// A delivery of QoS 1 or 2 on its way.
#[derive(Debug)]
pub(super) struct Flight {
    message: Message,
    released: bool,
}

#[derive(Debug, Default)]
pub(super) struct Session {
    pub client_id: String,
    /// Outlives its connection.
    pub persistent: bool,
    pub subscriptions: Vec<Subscription>,
    pub link: Option<Link>,
    /// Deliveries in the order in which they were sent first, with their identifiers.
    flights: VecDeque<(u16, Flight)>,
    /// Deliveries that wait for the window or the client, and whether they are to be repeated with DUP.
    pending: VecDeque<(Message, bool)>,
    held: Vec<Message>,
    /// QoS 2 PUBLISHes taken over and not yet released.
    pub unreleased: HashMap<u16, Bytes>,
    last_identifier: u16,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub script: Script,
    pub log: Log,
    /// In the order in which they began, which is the order of deliveries.
    pub sessions: BTreeMap<u64, Session>,
    pub last_session: u64,
    /// How many messages each group has had, by its filter.
    pub(super) turns: HashMap<String, usize>,
    /// A stall that a packet has set off and that nobody has sat out yet.
    pub stall: Option<Duration>,
}

impl State {
    pub fn session_of(&self, client_id: &str) -> Option<u64> {
        self.sessions.iter().find(|(_, session)| session.client_id == client_id).map(|(number, _)| *number)
    }

    pub fn violation(&mut self, connection: u64, what: impl std::fmt::Display) {
        self.log.violations.push(format!("connection {connection}: {what}"));
    }

    /// Sends an answer as the script wants it, and says whether it was sent.
    pub fn answer(&mut self, outbox: &Outbox, version: ProtocolVersion, packet: &Packet<'_>) -> bool {
        let kind = packet.packet_type();
        let ordinal = self.log.answers.entry(kind as u8).or_default();
        *ordinal += 1;
        let copies = self.script.copies_of(kind, *ordinal);
        let mut bytes = Vec::new();
        if let Err(error) = packet.encode(version, &mut bytes) {
            self.log.violations.push(format!("the script's own {} cannot be encoded: {error}", kind.name()));
            return false;
        }
        let delay = self.script.delay_of(kind);
        (0..copies).map(|_| outbox.push(&bytes, delay)).fold(false, |sent, now| sent | now)
    }

    /// Hands a message to all who subscribed to it.
    pub fn route(&mut self, publisher: u64, message: &Message) {
        let targets: Vec<(u64, Message)> = self
            .sessions
            .iter()
            .filter_map(|(number, session)| Some((*number, session.copy_for(message, *number == publisher)?)))
            .collect();
        for (session, copy) in targets {
            self.deliver(session, copy);
        }
        self.route_to_groups(message);
    }

    /// Hands a message to one member of each group that shares a subscription which matches: they take turns.
    fn route_to_groups(&mut self, message: &Message) {
        if self.script.without_groups {
            return;
        }
        let mut groups: BTreeMap<String, Vec<(u64, QoS)>> = BTreeMap::new();
        for (number, session) in &self.sessions {
            for subscription in session.subscriptions.iter().filter(|it| it.is_shared()) {
                let SubscribeFilter { filter, qos, .. } = &subscription.options;
                if filter_matches(filter, &message.topic) {
                    groups.entry(filter.clone()).or_default().push((*number, *qos));
                }
            }
        }
        for (filter, members) in groups {
            let turn = self.turns.entry(filter).or_default();
            let (chosen, next) = (members[*turn % members.len()], members[(*turn + 1) % members.len()]);
            *turn += 1;
            let copy = |qos: QoS| Message { qos: message.qos.min(qos), retain: false, ..message.clone() };
            self.deliver(chosen.0, copy(chosen.1));
            if self.script.pass_on.contain(self.log.counts.deliveries) {
                self.deliver(next.0, copy(next.1));
            }
        }
    }

    fn deliver(&mut self, number: u64, message: Message) {
        let spoil = self.script.fault_topics.as_deref().is_none_or(|filter| filter_matches(filter, &message.topic));
        let mut repeat = None;
        if spoil {
            self.log.counts.deliveries += 1;
            let ordinal = self.log.counts.deliveries;
            if self.script.drop.contain(ordinal) {
                self.log.counts.dropped += 1;
                return;
            }
            if self.script.swap.contain(ordinal) {
                if let Some(session) = self.sessions.get_mut(&number) {
                    session.held.push(message);
                }
                return;
            }
            let rule = self.script.repeat.as_ref();
            let hold = self.script.hold.as_ref().filter(|(ordinals, _)| ordinals.contain(ordinal)).map(|(_, by)| *by);
            if let Some(link) = self.sessions.get_mut(&number).and_then(|session| session.link.as_mut()) {
                link.hold = hold;
            }
            repeat = rule.filter(|(ordinals, _)| ordinals.contain(ordinal)).map(|(_, how)| *how);
        }
        self.log.counts.repeated += u64::from(repeat.is_some());
        let held = match self.sessions.get_mut(&number) {
            Some(session) => session.held.extract_if(.., |held| held.topic == message.topic).collect(),
            None => Vec::new(),
        };
        if repeat == Some(Repeat::AsNew) {
            self.offer(number, message.clone(), false);
        }
        self.offer(number, message, repeat == Some(Repeat::WithDup));
        for message in held {
            self.log.counts.swapped += 1;
            self.offer(number, message, false);
        }
    }

    /// Sends a delivery now, or when the window and the client allow it.
    fn offer(&mut self, number: u64, message: Message, again: bool) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        if message.qos != QoS::AtMostOnce {
            session.pending.push_back((message, again));
            self.pump(number);
        } else if session.link.is_some() {
            for _ in 0..=u8::from(again) {
                self.send(number, &message, 0, false);
            }
        }
    }

    fn pump(&mut self, number: u64) {
        while let Some(session) = self.sessions.get_mut(&number)
            && session.link.as_ref().is_some_and(|link| session.flights.len() < link.window)
            && let Some((message, again)) = session.pending.pop_front()
        {
            let identifier = session.free_identifier();
            session.flights.push_back((identifier, Flight { message: message.clone(), released: false }));
            if !self.send(number, &message, identifier, false) {
                self.complete(number, identifier); // too large for this client: never to be sent (MQTT-3.1.2-24)
            } else if again {
                self.send(number, &message, identifier, true);
            }
        }
    }

    /// Writes one delivery; false when it is over the client's Maximum Packet Size.
    fn send(&mut self, number: u64, message: &Message, identifier: u16, dup: bool) -> bool {
        let Some(link) = self.sessions.get_mut(&number).and_then(|session| session.link.as_mut()) else { return true };
        let mut bytes = Vec::new();
        let encoded = match link.alias(message) {
            Some(aliased) => Publish::of(&aliased, identifier, dup).encode(link.version, &mut bytes),
            None => Publish::of(message, identifier, dup).encode(link.version, &mut bytes),
        };
        if let Err(error) = encoded {
            self.log.violations.push(format!("a delivery cannot be encoded: {error}"));
            return true;
        }
        if bytes.len() > link.max_packet_size {
            self.log.counts.oversized += 1;
            return false;
        }
        link.deliveries += 1;
        let fault = link.faults.iter().position(|(ordinal, _)| *ordinal == link.deliveries);
        if let Some((_, action)) = fault.map(|position| link.faults.swap_remove(position)) {
            if action == Action::CutInside {
                bytes.truncate(bytes.len() / 2);
                link.outbox.push(&bytes, None);
                link.outbox.end();
            } else {
                action.perform(&link.outbox, link.version);
            }
        }
        let delay = link.hold.take().or(self.script.delay_of(PacketType::Publish));
        link.outbox.push(&bytes, delay);
        true
    }

    /// PUBREC came: from here on only PUBREL is sent. Whether the delivery is known.
    pub fn release(&mut self, number: u64, identifier: u16) -> bool {
        let flight = self.sessions.get_mut(&number).and_then(|session| session.flight(identifier));
        flight.map(|flight| flight.released = true).is_some()
    }

    /// The last acknowledgement of a delivery came: its place in the window is free. Its QoS, where it is known.
    pub fn complete(&mut self, number: u64, identifier: u16) -> Option<QoS> {
        let session = self.sessions.get_mut(&number)?;
        let position = session.flights.iter().position(|(flying, _)| *flying == identifier)?;
        let qos = session.flights.remove(position).map(|(_, flight)| flight.message.qos);
        self.pump(number);
        qos
    }

    /// A session goes on over a new connection: what is not acknowledged is sent again (§4.4), then what waits.
    pub fn resume(&mut self, number: u64) {
        let Some(session) = self.sessions.get(&number) else { return };
        let flights: Vec<(u16, Message, bool)> = session
            .flights
            .iter()
            .map(|(identifier, flight)| (*identifier, flight.message.clone(), flight.released))
            .collect();
        for (identifier, message, released) in flights {
            if released {
                self.answer_release(number, identifier);
            } else {
                self.send(number, &message, identifier, true);
            }
        }
        self.pump(number);
    }

    /// Sends PUBREL.
    pub fn answer_release(&mut self, number: u64, identifier: u16) {
        use mqtools::mqtt::wire::{Ack, AckKind};
        let Some(link) = self.sessions.get(&number).and_then(|session| session.link.as_ref()) else { return };
        let (outbox, version) = (Arc::clone(&link.outbox), link.version);
        self.answer(&outbox, version, &Packet::Ack(Ack::success(AckKind::Pubrel, identifier)));
    }

    /// The outboxes that are full.
    pub fn full_outboxes(&self) -> Vec<Arc<Outbox>> {
        let links = self.sessions.values().filter_map(|session| session.link.as_ref());
        links.filter(|link| link.outbox.is_full()).map(|link| Arc::clone(&link.outbox)).collect()
    }
}

impl Session {
    /// The message as this session is to get it: the highest QoS of the subscriptions that match, and their
    /// identifiers.
    fn copy_for(&self, message: &Message, own: bool) -> Option<Message> {
        let matching = || {
            let all = self.subscriptions.iter().filter(|it| !it.is_shared());
            all.filter(|it| !(own && it.options.no_local) && filter_matches(&it.options.filter, &message.topic))
        };
        let granted = matching().map(|it| it.options.qos).max()?;
        let mut copy = message.clone();
        copy.qos = message.qos.min(granted);
        copy.retain = message.retain && matching().any(|it| it.options.retain_as_published);
        matching().filter_map(|it| it.identifier.clone()).for_each(|identifier| copy.properties.push(identifier));
        Some(copy)
    }

    fn flight(&mut self, identifier: u16) -> Option<&mut Flight> {
        self.flights.iter_mut().find(|(flying, _)| *flying == identifier).map(|(_, flight)| flight)
    }

    /// The window is at most 65,535, and there is room in it, so one is free.
    fn free_identifier(&mut self) -> u16 {
        loop {
            self.last_identifier = self.last_identifier.checked_add(1).unwrap_or(1);
            let identifier = self.last_identifier;
            if self.flight(identifier).is_none() {
                return identifier;
            }
        }
    }
}

impl Link {
    /// The message with an alias in it, where the client and the script allow one.
    fn alias(&mut self, message: &Message) -> Option<Message> {
        let known = self.aliases.get(&message.topic).copied();
        let alias = match known {
            Some(alias) => alias,
            None if self.aliases.len() < usize::from(self.alias_maximum) => self.aliases.len() as u16 + 1,
            None => return None,
        };
        self.aliases.insert(message.topic.clone(), alias);
        let mut aliased = message.clone();
        if known.is_some() {
            aliased.topic.clear();
        }
        aliased.properties.push(Property::new(PropertyName::TopicAlias, PropertyValue::TwoByte(alias)).ok()?);
        Some(aliased)
    }
}
