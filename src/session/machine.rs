//! The state machine itself: what each packet and each moment does to a session.

use std::time::{Duration, Instant};

use super::handler::{Acknowledge, Completion, Delivery, Event, Handler, Kept, Outcome, Receipt};
use super::inbound::{Arrival, Inbound};
use super::keep_alive::{Due, KeepAlive};
use super::outbound::{Outbound, Place};
use super::{Limits, PublishError, SessionConfig, SessionError};
use crate::mqtt::wire::{
    Ack, AckKind, Connack, Connect, Disconnect, Frame, Packet, PacketType, Publish, Scan, Subscribe, Unsubscribe,
    WireError, scan,
};
use crate::mqtt::{Message, Properties, PropertyName, ProtocolVersion, QoS, ReasonCode};

/// A read buffer for a packet that came in pieces keeps at most this much once the packet is done.
const KEPT_BUFFER: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No transport.
    Idle,
    /// CONNECT is on its way; CONNACK must come by then.
    Connecting(Instant),
    /// Connected.
    Open,
    /// DISCONNECT is in the output, or an error has ended the connection.
    Closed,
}

/// An MQTT client session. `K` is what it keeps for each message in flight.
#[derive(Debug)]
pub struct Session<K = Message> {
    version: ProtocolVersion,
    phase: Phase,
    clean_start: bool,
    /// The broker went on with the session of an earlier connection.
    session_lives: bool,
    /// Counts connections, so that a late acknowledgement is not taken for one of this connection.
    connection: u32,
    window: u16,
    limits: Limits,
    /// What we announced: the largest packet, deliveries in flight, topic aliases.
    max_packet_size: usize,
    receive_maximum: usize,
    alias_maximum: u16,
    connack_timeout: Duration,
    keep_alive: KeepAlive,
    output: Vec<u8>,
    /// The beginning of a packet whose rest has not come yet.
    partial: Vec<u8>,
    outbound: Outbound<K>,
    inbound: Inbound,
    /// Topics by alias that this connection has told the broker.
    told_aliases: Vec<(u16, String)>,
}

impl<K: Kept> Session<K> {
    /// A session that has never been connected.
    pub fn new(now: Instant) -> Self {
        Self {
            version: ProtocolVersion::default(),
            phase: Phase::Idle,
            clean_start: true,
            session_lives: false,
            connection: 0,
            window: 0,
            limits: Limits::default(),
            max_packet_size: 0,
            receive_maximum: usize::from(u16::MAX),
            alias_maximum: 0,
            connack_timeout: Duration::ZERO,
            keep_alive: KeepAlive::new(Duration::ZERO, now),
            output: Vec::new(),
            partial: Vec::new(),
            outbound: Outbound::default(),
            inbound: Inbound::default(),
            told_aliases: Vec::new(),
        }
    }

    /// A transport is there: puts CONNECT into the output. At a reconnect what was in flight is kept, and is sent
    /// again when CONNACK has told whether the broker kept the session. Fails when the CONNECT cannot be written.
    pub fn start(&mut self, config: &SessionConfig, now: Instant) -> Result<(), WireError> {
        let keep_alive = u16::try_from(config.keep_alive.as_secs()).unwrap_or(u16::MAX);
        let announced = |name| config.connect_properties.number(name);
        self.version = config.version;
        self.clean_start = config.clean_start;
        self.connection = self.connection.wrapping_add(1);
        self.window = config.window.max(1);
        self.limits = Limits::default();
        self.max_packet_size = announced(PropertyName::MaximumPacketSize)
            .map_or(config.max_packet_size, |size| config.max_packet_size.min(size as usize));
        self.receive_maximum =
            announced(PropertyName::ReceiveMaximum).map_or(usize::from(u16::MAX), |maximum| maximum as usize);
        self.alias_maximum = announced(PropertyName::TopicAliasMaximum).map_or(0, |maximum| maximum as u16);
        self.connack_timeout = config.connack_timeout;
        self.keep_alive = KeepAlive::new(Duration::from_secs(u64::from(keep_alive)), now);
        self.output.clear();
        self.partial = Vec::new();
        self.inbound.connection_begins();
        self.told_aliases = Vec::new();
        self.phase = Phase::Connecting(now + config.connack_timeout);
        let connect = Connect {
            version: config.version,
            client_id: config.client_id.clone(),
            clean_start: config.clean_start,
            keep_alive,
            user_name: config.user_name.clone(),
            password: config.password.clone(),
            will: config.will.clone(),
            properties: config.connect_properties.clone(),
        };
        connect.encode(&mut self.output)
    }

    /// Whether CONNACK has come and nothing has ended the connection.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// What the broker allows.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The version that is spoken.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Messages of QoS 1 and 2 that are not done.
    pub fn in_flight(&self) -> usize {
        self.outbound.messages()
    }

    /// How many messages of QoS 1 or 2 may be published now: the window and the broker's Receive Maximum, less what
    /// is in flight (§4.9). None while messages of an earlier connection are waiting to be sent again.
    pub fn window_free(&self) -> usize {
        if !self.is_open() || self.outbound.resending() {
            return 0;
        }
        usize::from(self.window.min(self.limits.receive_maximum)).saturating_sub(self.outbound.messages())
    }

    /// Bytes that wait in the output.
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Moves what is to be written to the end of `out`.
    pub fn take_output(&mut self, out: &mut Vec<u8>) {
        if out.is_empty() {
            std::mem::swap(&mut self.output, out);
        } else {
            out.append(&mut self.output);
        }
    }

    /// Tells that bytes went to the transport, for Keep Alive.
    pub fn handle_written(&mut self, now: Instant) {
        self.keep_alive.written(now);
    }

    /// The transport is gone. What is in flight is kept for the next [`Session::start`].
    pub fn handle_disconnected(&mut self) {
        self.phase = Phase::Idle;
        self.output = Vec::new();
        self.partial = Vec::new();
    }

    /// When [`Session::handle_timeout`] must be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Connecting(deadline) => Some(deadline),
            Phase::Open => self.keep_alive.deadline(),
            Phase::Idle | Phase::Closed => None,
        }
    }

    /// Time has passed. May put a PINGREQ into the output; fails when the broker has been silent for too long.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        match self.phase {
            Phase::Connecting(deadline) if now >= deadline => {
                self.phase = Phase::Closed;
                Err(SessionError::ConnackTimeout(self.connack_timeout))
            }
            Phase::Open => match self.keep_alive.check(now) {
                Due::Nothing => Ok(()),
                Due::Ping => {
                    self.put(&Packet::Pingreq);
                    Ok(())
                }
                Due::GiveUp => {
                    self.phase = Phase::Closed;
                    Err(SessionError::PingTimeout(self.keep_alive.interval()))
                }
            },
            _ => Ok(()),
        }
    }

    /// Takes bytes from the transport, any cut of them. Fails when the connection is at its end; a DISCONNECT for the
    /// broker may then be in the output.
    pub fn handle_input<H: Handler<K>>(
        &mut self,
        input: &[u8],
        now: Instant,
        handler: &mut H,
    ) -> Result<(), SessionError> {
        self.keep_alive.read(now);
        let waiting_for_connack = matches!(self.phase, Phase::Connecting(_));
        self.read_packets(input, handler).map_err(|error| {
            if let (Phase::Open, true, Some(reason)) = (self.phase, self.version.is_v5(), error.reason_to_send()) {
                self.put(&Packet::Disconnect(Disconnect { reason, properties: Properties::new() }));
            }
            self.phase = Phase::Closed;
            match error {
                SessionError::Wire(error @ WireError::Malformed { .. }) if waiting_for_connack => {
                    SessionError::NotMqtt { error, first_bytes: input.iter().take(8).copied().collect() }
                }
                other => other,
            }
        })
    }

    fn read_packets<H: Handler<K>>(&mut self, mut input: &[u8], handler: &mut H) -> Result<(), SessionError> {
        if !self.partial.is_empty() {
            match self.complete_partial(input, handler)? {
                Some(rest) => input = rest,
                None => return Ok(()),
            }
        }
        loop {
            match scan(input, self.max_packet_size)? {
                Scan::Frame(frame) => {
                    self.handle_frame(frame, handler)?;
                    input = &input[frame.size..];
                }
                Scan::Incomplete(_) => {
                    self.partial.extend_from_slice(input);
                    return Ok(());
                }
            }
        }
    }

    /// Adds input to the packet that has begun until it is whole, and handles it. Gives back the input after it, or
    /// nothing while it is still not whole. The buffer grows with what has come, never with what is announced.
    fn complete_partial<'a, H: Handler<K>>(
        &mut self,
        mut input: &'a [u8],
        handler: &mut H,
    ) -> Result<Option<&'a [u8]>, SessionError> {
        loop {
            let missing = match scan(&self.partial, self.max_packet_size)? {
                Scan::Frame(_) => break,
                Scan::Incomplete(Some(size)) => size - self.partial.len(),
                Scan::Incomplete(None) => 1,
            };
            if input.is_empty() {
                return Ok(None);
            }
            let (more, rest) = input.split_at(missing.min(input.len()));
            self.partial.extend_from_slice(more);
            input = rest;
        }
        let mut whole = std::mem::take(&mut self.partial);
        let handled = match scan(&whole, self.max_packet_size)? {
            Scan::Frame(frame) => self.handle_frame(frame, handler),
            Scan::Incomplete(_) => Ok(()), // cannot be: the loop ended on a frame
        };
        whole.clear();
        if whole.capacity() <= KEPT_BUFFER {
            self.partial = whole;
        }
        handled.map(|()| Some(input))
    }

    fn handle_frame<H: Handler<K>>(&mut self, frame: Frame<'_>, handler: &mut H) -> Result<(), SessionError> {
        match self.phase {
            Phase::Open => {}
            Phase::Connecting(_) => return self.handle_first(frame, handler),
            // After DISCONNECT what still comes is of no use to anybody (§3.14.4).
            Phase::Idle | Phase::Closed => return Ok(()),
        }
        match Packet::decode(frame, self.version)? {
            Packet::Publish(publish) => self.handle_publish(publish, handler),
            Packet::Ack(ack) => self.handle_ack(ack, handler),
            Packet::Suback(suback) => {
                self.end_request(suback.packet_identifier, handler);
                handler.event(Event::Subscribed(suback));
                Ok(())
            }
            Packet::Unsuback(unsuback) => {
                self.end_request(unsuback.packet_identifier, handler);
                handler.event(Event::Unsubscribed(unsuback));
                Ok(())
            }
            Packet::Pingresp => {
                self.keep_alive.answered();
                handler.event(Event::Pong);
                Ok(())
            }
            Packet::Disconnect(Disconnect { reason, properties }) if self.version.is_v5() => {
                Err(SessionError::Disconnected { reason, properties })
            }
            Packet::Auth(_) => Err(SessionError::EnhancedAuthentication),
            other => Err(SessionError::Unexpected {
                packet: other.packet_type(),
                what: if matches!(other, Packet::Connack(_)) { "came twice" } else { "is not for a client" },
            }),
        }
    }

    /// The first packet must be CONNACK (MQTT-3.2.0-1); AUTH may come before it (§4.12).
    fn handle_first<H: Handler<K>>(&mut self, frame: Frame<'_>, handler: &mut H) -> Result<(), SessionError> {
        match frame.packet_type {
            PacketType::Connack => match Packet::decode(frame, self.version)? {
                Packet::Connack(connack) => self.handle_connack(connack, handler),
                _ => Ok(()), // cannot be: the type was looked at
            },
            PacketType::Auth => Err(SessionError::EnhancedAuthentication),
            packet => Err(SessionError::Unexpected { packet, what: "came before CONNACK" }),
        }
    }

    fn handle_connack<H: Handler<K>>(&mut self, connack: Connack, handler: &mut H) -> Result<(), SessionError> {
        if connack.reason != ReasonCode::SUCCESS {
            return Err(SessionError::Refused { reason: connack.reason, properties: connack.properties });
        }
        if connack.session_present && self.clean_start {
            let what = "says that a session is present though a clean start was asked for";
            return Err(SessionError::Unexpected { packet: PacketType::Connack, what });
        }
        self.limits = Limits::of(&connack);
        if let Some(seconds) = connack.properties.number(PropertyName::ServerKeepAlive) {
            self.keep_alive.set_interval(Duration::from_secs(u64::from(seconds)));
        }
        self.phase = Phase::Open;
        self.session_lives = connack.session_present;
        if !self.session_lives {
            self.inbound.session_lost();
        }
        let (messages, uncertain) = self.outbound.resume(!self.session_lives);
        handler.event(Event::Connected(connack));
        if messages > 0 {
            handler.event(Event::Resending { messages, uncertain });
            self.resend(handler);
        }
        Ok(())
    }

    /// Sends again what was in flight before, as far as the window allows: PUBLISH with DUP where the session lives,
    /// as a new PUBLISH where the broker has lost it; PUBREL where PUBREC had come.
    fn resend<H: Handler<K>>(&mut self, handler: &mut H) {
        let window = usize::from(self.window.min(self.limits.receive_maximum));
        let mut room = window.saturating_sub(self.outbound.sent());
        while room > 0 {
            let Some((identifier, place)) = self.outbound.next_to_resend() else { return };
            let written = match place {
                Place::Pubcomp(_) => {
                    Ack::success(AckKind::Pubrel, identifier).encode(self.version, &mut self.output).is_ok()
                }
                Place::Puback(kept) | Place::Pubrec(kept) => kept.message().is_some_and(|message| {
                    let mut publish = Publish::of(message, identifier, self.session_lives);
                    let without_alias;
                    if message.properties.get(PropertyName::TopicAlias).is_some() {
                        // An alias belongs to the connection that is gone (§3.3.2.3.4).
                        without_alias = without_topic_alias(&message.properties);
                        publish.properties = crate::mqtt::wire::PublishProperties::Owned(&without_alias);
                    }
                    publish.encode(self.version, &mut self.output).is_ok()
                }),
                _ => true,
            };
            if written {
                room -= 1;
            } else {
                self.complete(identifier, Outcome::Lost, ReasonCode::UNSPECIFIED_ERROR, &Properties::new(), handler);
            }
        }
    }

    fn handle_publish<H: Handler<K>>(&mut self, publish: Publish<'_>, handler: &mut H) -> Result<(), SessionError> {
        let alias = if self.version.is_v5() { publish.properties.number(PropertyName::TopicAlias) } else { None };
        let Some(alias) = alias else { return self.deliver(&publish, handler) };
        let alias = alias as u16; // a Two Byte Integer on the wire, never 0
        let invalid = |what| SessionError::Unexpected { packet: PacketType::Publish, what };
        if alias > self.alias_maximum {
            return Err(invalid("carries a topic alias above the announced maximum"));
        }
        if !publish.topic.is_empty() {
            self.inbound.learn_alias(alias, publish.topic);
            return self.deliver(&publish, handler);
        }
        let topic =
            self.inbound.take_alias(alias).ok_or_else(|| invalid("carries a topic alias that means nothing"))?;
        let delivered = self.deliver(&Publish { topic: &topic, ..publish }, handler);
        self.inbound.put_alias_back(alias, topic);
        delivered
    }

    fn deliver<H: Handler<K>>(&mut self, publish: &Publish<'_>, handler: &mut H) -> Result<(), SessionError> {
        let identifier = publish.packet_identifier;
        let receipt = Receipt { qos: publish.qos, packet_identifier: identifier, connection: self.connection };
        let delivery = Delivery { publish, receipt };
        if publish.qos == QoS::AtMostOnce {
            handler.message(&delivery);
            return Ok(());
        }
        let arrival = if publish.qos == QoS::ExactlyOnce { self.inbound.arrive(identifier) } else { Arrival::New };
        if arrival == Arrival::New {
            if self.version.is_v5() && self.inbound.in_flight() >= self.receive_maximum {
                return Err(SessionError::Unexpected {
                    packet: PacketType::Publish,
                    what: "exceeds the Receive Maximum that was announced",
                });
            }
            self.inbound.begins();
        }
        match arrival {
            Arrival::New => match handler.message(&delivery) {
                Acknowledge::Now => self.acknowledge_now(receipt),
                Acknowledge::Later if publish.qos == QoS::ExactlyOnce => self.inbound.wait_for_owner(identifier),
                Acknowledge::Later => {}
            },
            Arrival::Answered => self.put_ack(AckKind::Pubrec, identifier),
            Arrival::Waiting => {}
        }
        Ok(())
    }

    /// Acknowledges a message for which the handler said [`Acknowledge::Later`]. Messages are to be acknowledged in
    /// the order in which they came (MQTT-4.6.0-2, -3). A receipt of an earlier connection is not answered — the
    /// broker sends the message again —, but a QoS 2 message is remembered as received.
    pub fn acknowledge(&mut self, receipt: Receipt) {
        if receipt.qos == QoS::ExactlyOnce && !self.inbound.owner_acknowledged(receipt.packet_identifier) {
            return;
        }
        if self.is_open() && receipt.connection == self.connection {
            self.acknowledge_now(receipt);
        }
    }

    fn acknowledge_now(&mut self, receipt: Receipt) {
        match receipt.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => {
                self.inbound.ends();
                self.put_ack(AckKind::Puback, receipt.packet_identifier);
            }
            QoS::ExactlyOnce => self.put_ack(AckKind::Pubrec, receipt.packet_identifier),
        }
    }

    fn handle_ack<H: Handler<K>>(&mut self, ack: Ack, handler: &mut H) -> Result<(), SessionError> {
        let identifier = ack.packet_identifier;
        if ack.kind == AckKind::Pubrel {
            self.handle_pubrel(identifier);
            return Ok(());
        }
        let unexpected = |what| Err(SessionError::Unexpected { packet: ack.kind.packet_type(), what });
        let Some(place) = self.outbound.get_mut(identifier) else {
            self.handle_unknown(ack.kind, identifier, handler);
            return Ok(());
        };
        let outcome = if ack.reason.is_error() { Outcome::Refused } else { Outcome::Acknowledged };
        match (ack.kind, &place) {
            (AckKind::Puback, Place::Puback(_)) | (AckKind::Pubcomp, Place::Pubcomp(_)) => {
                self.complete(identifier, outcome, ack.reason, &ack.properties, handler);
            }
            (AckKind::Puback, Place::Pubrec(_)) => {
                // Some brokers answer QoS 2 with PUBACK: the message is delivered, once less surely.
                let outcome = if outcome == Outcome::Refused { outcome } else { Outcome::Downgraded };
                self.complete(identifier, outcome, ack.reason, &ack.properties, handler);
            }
            (AckKind::Pubrec, Place::Pubrec(_)) if outcome == Outcome::Refused => {
                self.complete(identifier, outcome, ack.reason, &ack.properties, handler);
            }
            (AckKind::Pubrec, Place::Pubrec(_)) => {
                if let Place::Pubrec(kept) = std::mem::replace(place, Place::Free) {
                    handler.received(&kept);
                    *place = Place::Pubcomp(kept);
                }
                self.put_ack(AckKind::Pubrel, identifier);
            }
            (AckKind::Pubrec, Place::Pubcomp(_)) => self.put_ack(AckKind::Pubrel, identifier),
            (_, Place::Free) => self.handle_unknown(ack.kind, identifier, handler),
            (AckKind::Pubcomp, Place::Pubrec(_)) => return unexpected("came before PUBREC"),
            _ => return unexpected("answers a packet of another kind"),
        }
        Ok(())
    }

    fn handle_pubrel(&mut self, identifier: u16) {
        let known = self.inbound.release(identifier);
        if known {
            self.inbound.ends();
        }
        // An unknown identifier is answered too: the broker may have lost our PUBCOMP (§4.3.3).
        let reason = if known { ReasonCode::SUCCESS } else { ReasonCode::PACKET_IDENTIFIER_NOT_FOUND };
        self.put(&Packet::Ack(Ack::with_reason(AckKind::Pubcomp, identifier, reason)));
    }

    /// An acknowledgement for nothing in flight: a repeated one, or one of an earlier life. PUBREC is answered all
    /// the same, else the broker waits for ever.
    fn handle_unknown<H: Handler<K>>(&mut self, kind: AckKind, identifier: u16, handler: &mut H) {
        if kind == AckKind::Pubrec {
            let reason = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
            self.put(&Packet::Ack(Ack::with_reason(AckKind::Pubrel, identifier, reason)));
        }
        handler.event(Event::UnknownAcknowledgement(identifier));
    }

    fn complete<H: Handler<K>>(
        &mut self,
        packet_identifier: u16,
        outcome: Outcome,
        reason: ReasonCode,
        properties: &Properties,
        handler: &mut H,
    ) {
        if let Place::Puback(kept) | Place::Pubrec(kept) | Place::Pubcomp(kept) =
            self.outbound.remove(packet_identifier)
        {
            handler.completed(Completion { kept, packet_identifier, outcome, reason, properties });
        }
        if self.outbound.resending() && outcome != Outcome::Lost {
            self.resend(handler);
        }
    }

    fn end_request<H: Handler<K>>(&mut self, identifier: u16, handler: &mut H) {
        if matches!(self.outbound.get_mut(identifier), Some(Place::Suback | Place::Unsuback)) {
            self.outbound.remove(identifier);
        } else {
            handler.event(Event::UnknownAcknowledgement(identifier));
        }
    }

    /// Takes a place in the window for a message that the owner writes itself, after the output that
    /// [`Session::take_output`] gives. Returns its Packet Identifier; none while the window is full. QoS 0 needs none.
    #[inline]
    pub fn reserve(&mut self, qos: QoS, kept: K) -> Option<u16> {
        if self.window_free() == 0 {
            return None;
        }
        match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => self.outbound.insert(Place::Puback(kept)),
            QoS::ExactlyOnce => self.outbound.insert(Place::Pubrec(kept)),
        }
    }

    /// Puts a PUBLISH into the output; QoS 1 and 2 are kept as `kept`, whose message is the one sent. Returns the Packet
    /// Identifier, 0 for QoS 0. Fails, and gives `kept` back, on what the broker or the standard does not allow.
    pub fn publish(&mut self, kept: K) -> Result<u16, (PublishError, K)> {
        let Some(message) = kept.message() else {
            return Err((PublishError::Wire(WireError::Malformed { packet: "PUBLISH", what: "no message" }), kept));
        };
        if let Err(error) = self.check(message) {
            return Err((error, kept));
        }
        let start = self.output.len();
        let qos = message.qos;
        let identifier = self.outbound_identifier(qos);
        let (topic, new_alias) = self.aliased_topic(message);
        let publish = Publish { topic, ..Publish::of(message, identifier, false) };
        let version = self.version;
        let written = publish.encode(version, &mut self.output).and_then(|()| {
            let size = self.output.len() - start;
            let limit = self.limits.maximum_packet_size;
            if size > limit { Err(WireError::TooLarge { size, limit }) } else { Ok(()) }
        });
        if let Err(error) = written {
            self.output.truncate(start);
            return Err((error.into(), kept));
        }
        if let Some(alias) = new_alias {
            self.told_aliases.retain(|(known, _)| *known != alias);
            self.told_aliases.push((alias, message.topic.clone()));
        }
        match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => self.outbound.insert(Place::Puback(kept)),
            QoS::ExactlyOnce => self.outbound.insert(Place::Pubrec(kept)),
        };
        Ok(identifier)
    }

    /// The identifier that the next insertion will get; `check` has made sure that there is one.
    fn outbound_identifier(&self, qos: QoS) -> u16 {
        if qos == QoS::AtMostOnce { 0 } else { self.outbound.next_identifier() }
    }

    fn check(&self, message: &Message) -> Result<(), PublishError> {
        if !self.is_open() {
            return Err(PublishError::NotConnected);
        }
        if message.qos > self.limits.maximum_qos {
            return Err(PublishError::QosNotSupported(self.limits.maximum_qos));
        }
        if message.retain && !self.limits.retain_available {
            return Err(PublishError::RetainNotAvailable);
        }
        if let (true, Some(alias)) = (self.version.is_v5(), message.properties.number(PropertyName::TopicAlias)) {
            let (alias, maximum) = (alias as u16, self.limits.topic_alias_maximum);
            if alias > maximum {
                return Err(PublishError::TopicAlias { alias, maximum });
            }
        }
        if message.qos != QoS::AtMostOnce && (self.window_free() == 0 || self.outbound.is_exhausted()) {
            return Err(PublishError::WindowFull);
        }
        Ok(())
    }

    /// The topic to send: empty where the broker knows it by the message's alias. And the alias, where it is news.
    fn aliased_topic<'a>(&self, message: &'a Message) -> (&'a str, Option<u16>) {
        let alias = message.properties.number(PropertyName::TopicAlias).filter(|_| self.version.is_v5());
        match alias.map(|alias| alias as u16) {
            None => (&message.topic, None),
            Some(alias) if self.told_aliases.iter().any(|told| told.0 == alias && told.1 == message.topic) => {
                ("", None)
            }
            Some(alias) => (&message.topic, Some(alias)),
        }
    }

    /// Puts a SUBSCRIBE into the output and gives back its Packet Identifier. The identifier in `subscribe` is set here.
    pub fn subscribe(&mut self, mut subscribe: Subscribe) -> Result<u16, PublishError> {
        self.request(Place::Suback, |identifier| {
            subscribe.packet_identifier = identifier;
            Packet::Subscribe(subscribe)
        })
    }

    /// Puts an UNSUBSCRIBE into the output and gives back its Packet Identifier.
    pub fn unsubscribe(&mut self, mut unsubscribe: Unsubscribe) -> Result<u16, PublishError> {
        self.request(Place::Unsuback, |identifier| {
            unsubscribe.packet_identifier = identifier;
            Packet::Unsubscribe(unsubscribe)
        })
    }

    fn request(&mut self, place: Place<K>, packet: impl FnOnce(u16) -> Packet<'static>) -> Result<u16, PublishError> {
        if !self.is_open() {
            return Err(PublishError::NotConnected);
        }
        if self.outbound.is_exhausted() {
            return Err(PublishError::WindowFull);
        }
        let identifier = self.outbound.next_identifier();
        packet(identifier).encode(self.version, &mut self.output)?;
        self.outbound.insert(place);
        Ok(identifier)
    }

    /// Puts a PINGREQ into the output before one is due.
    pub fn ping(&mut self) {
        if self.is_open() {
            self.put(&Packet::Pingreq);
        }
    }

    /// Puts DISCONNECT behind everything that is in the output, and ends the connection. Messages in flight are
    /// neither waited for nor forgotten. Reason and properties are of 5.0. Fails when it cannot be written.
    pub fn disconnect(&mut self, reason: ReasonCode, properties: Properties) -> Result<(), WireError> {
        if self.is_open() {
            Packet::Disconnect(Disconnect { reason, properties }).encode(self.version, &mut self.output)?;
        }
        self.phase = Phase::Closed;
        Ok(())
    }

    fn put_ack(&mut self, kind: AckKind, packet_identifier: u16) {
        self.put(&Packet::Ack(Ack::success(kind, packet_identifier)));
    }

    /// Puts a packet without strings into the output: an acknowledgement, PINGREQ, a bare DISCONNECT. These cannot
    /// fail to be written.
    fn put(&mut self, packet: &Packet<'_>) {
        let written = packet.encode(self.version, &mut self.output);
        debug_assert!(written.is_ok(), "{packet:?}");
    }
}

fn without_topic_alias(properties: &Properties) -> Properties {
    let mut properties = properties.clone();
    properties.remove(PropertyName::TopicAlias);
    properties
}
