//! The state machine itself: its life from CONNECT to DISCONNECT, its output and its clock. What a packet does to it is
//! in `reading` (bytes, CONNACK), `arriving` (PUBLISH in), `acknowledgements` and `publishing` (PUBLISH out).

mod acknowledgements;
mod arriving;
mod publishing;
mod reading;

use std::time::{Duration, Instant};

use super::handler::Kept;
use super::inbound::Inbound;
use super::keep_alive::{Due, KeepAlive};
use super::outbound::Outbound;
use super::{HandshakeCounts, Limits, SessionConfig, SessionError};
use crate::mqtt::wire::{Ack, AckKind, Connect, Disconnect, MAX_PACKET_SIZE, Packet, WireError};
use crate::mqtt::{Message, Properties, Property, PropertyName, PropertyValue, ProtocolVersion, ReasonCode};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No transport.
    Idle,
    /// CONNECT is on its way; CONNACK must come by then, if a clock can tell.
    Connecting(Option<Instant>),
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
    subscribes_first: bool,
    sends_any_alias: bool,
    /// What is to be sent again waits for a SUBACK.
    waits_for_suback: bool,
    /// An acknowledgement or a PUBLISH went out on this connection.
    has_sent: bool,
    /// The broker went on with the session of an earlier connection.
    session_lives: bool,
    /// Counts connections, so that a late acknowledgement is not taken for one of this connection.
    connection: u32,
    /// The connection with which the broker's present session began.
    session_began: u32,
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
    /// Topics by alias that this connection has told the broker, in the order of the aliases.
    told_aliases: Vec<(u16, String)>,
    handshakes: HandshakeCounts,
}

impl<K: Kept> Session<K> {
    /// A session that has never been connected.
    pub fn new(now: Instant) -> Self {
        Self {
            version: ProtocolVersion::default(),
            phase: Phase::Idle,
            clean_start: true,
            subscribes_first: false,
            sends_any_alias: false,
            waits_for_suback: false,
            has_sent: false,
            session_lives: false,
            connection: 0,
            session_began: 0,
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
            handshakes: HandshakeCounts::default(),
        }
    }

    /// A transport is there: puts CONNECT into the output. At a reconnect what was in flight is kept, and is sent
    /// again when CONNACK has told whether the broker kept the session. Fails when the CONNECT cannot be written.
    pub fn start(&mut self, config: &SessionConfig, now: Instant) -> Result<(), WireError> {
        self.handle_disconnected();
        let connect = connect(config);
        connect.encode(&mut self.output)?;
        // Before 5.0 properties are not written, so they have announced nothing.
        let announced = |name| connect.properties.number(name).filter(|_| config.version.is_v5());
        self.version = config.version;
        self.clean_start = config.clean_start;
        self.subscribes_first = config.subscribes_first;
        self.sends_any_alias = config.sends_any_alias;
        self.has_sent = false;
        if self.connection == 0 {
            self.outbound.begin_at(config.first_identifier);
        }
        self.connection = self.connection.wrapping_add(1);
        self.window = config.window.max(1);
        self.limits = Limits::default();
        self.max_packet_size = announced(PropertyName::MaximumPacketSize)
            .map_or(config.max_packet_size, |size| config.max_packet_size.min(size as usize));
        self.receive_maximum =
            announced(PropertyName::ReceiveMaximum).map_or(usize::from(u16::MAX), |maximum| maximum as usize);
        self.alias_maximum = announced(PropertyName::TopicAliasMaximum).map_or(0, |maximum| maximum as u16);
        self.connack_timeout = config.connack_timeout;
        self.keep_alive = KeepAlive::new(Duration::from_secs(u64::from(connect.keep_alive)), now);
        self.inbound.connection_begins();
        self.told_aliases = Vec::new();
        self.phase = Phase::Connecting(now.checked_add(config.connack_timeout));
        Ok(())
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
    /// is in flight (§4.9). None while messages of an earlier connection are waiting to be sent again, and none while
    /// the oldest message has been left without an answer for 65,535 identifiers.
    #[inline]
    pub fn window_free(&self) -> usize {
        if !self.is_open() || self.outbound.resending() {
            return 0;
        }
        self.allowed().saturating_sub(self.outbound.messages()).min(self.outbound.identifiers_left())
    }

    /// Allows more or fewer messages in flight from now on. Those that are in flight stay.
    pub fn set_window(&mut self, window: u16) {
        self.window = window.max(1);
    }

    /// What is kept for the oldest message in flight: the first one to be sent again after a loss.
    pub fn oldest(&self) -> Option<&K> {
        self.outbound.oldest()
    }

    /// Most messages of QoS 1 and 2 in flight on this connection: the window and the broker's Receive Maximum.
    pub fn allowed(&self) -> usize {
        usize::from(self.window.min(self.limits.receive_maximum))
    }

    /// Whether an acknowledgement or a PUBLISH of [`Session::publish`] or [`Session::send`] went out on this connection:
    /// what a broker may not have read yet, and would not if the connection were reset.
    pub const fn has_sent(&self) -> bool {
        self.has_sent
    }

    /// Bytes that wait in the output.
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Whether the beginning of a packet has come, and its end has not.
    pub fn is_inside_packet(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Moves what is to be written to the end of `out`. What the owner appends behind it is written after it.
    pub fn take_output(&mut self, out: &mut Vec<u8>) {
        // Buffers change hands only where the session gives away the larger one: one large buffer that serves many
        // sessions stays with its owner.
        if out.is_empty() && out.capacity() <= self.output.capacity() {
            std::mem::swap(&mut self.output, out);
        } else {
            out.append(&mut self.output);
        }
    }

    /// The buffers, for tests of what they hold: output, and the packet that is not whole yet.
    #[cfg(test)]
    pub(super) fn buffers(&self) -> (&Vec<u8>, &Vec<u8>) {
        (&self.output, &self.partial)
    }

    /// The packets of QoS 2 since the last call; those sent are those put into the output.
    pub fn take_handshakes(&mut self) -> HandshakeCounts {
        std::mem::take(&mut self.handshakes)
    }

    /// Tells that bytes went to the transport; with `waits` there are more, which it has not taken. The time for an
    /// answer begins with the last byte of what is to be answered.
    pub fn handle_written(&mut self, now: Instant, waits: bool) {
        self.keep_alive.written(now, waits);
        if let Phase::Connecting(deadline) = &mut self.phase {
            *deadline = now.checked_add(self.connack_timeout);
        }
    }

    /// Tells that bytes wait which the transport does not take. To be called before [`Session::handle_timeout`]: no ping
    /// is put behind a packet that is on its way out, and the broker owes nothing while it takes bytes.
    pub fn handle_write_pending(&mut self) {
        self.keep_alive.write_pending();
    }

    /// Tells that the owner does not read from the transport, because it has nowhere to put what would come. To be
    /// called before [`Session::handle_timeout`]: pings go on, and silence is not taken for a broker that is gone.
    pub fn handle_reading_paused(&mut self, now: Instant) {
        self.keep_alive.read(now);
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
            Phase::Connecting(deadline) => deadline,
            Phase::Open => self.keep_alive.deadline(),
            Phase::Idle | Phase::Closed => None,
        }
    }

    /// Time has passed. May put a PINGREQ into the output; fails when the broker has been silent for too long.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        match self.phase {
            Phase::Connecting(Some(deadline)) if now >= deadline => {
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
                Due::Stalled(silence) => {
                    self.phase = Phase::Closed;
                    Err(SessionError::Stalled(silence))
                }
            },
            _ => Ok(()),
        }
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
            self.put_within_limit(&Packet::Disconnect(Disconnect { reason, properties }))?;
        }
        self.phase = Phase::Closed;
        Ok(())
    }

    /// Appends a packet of the owner's. Fails, and leaves the output as it was, when it cannot be written or is larger
    /// than the broker takes (MQTT-3.2.2-15).
    fn put_within_limit(&mut self, packet: &Packet<'_>) -> Result<(), WireError> {
        append_within(self.limits.maximum_packet_size, &mut self.output, |out| packet.encode(self.version, out))
    }

    fn put_ack(&mut self, kind: AckKind, packet_identifier: u16) {
        self.put(&Packet::Ack(Ack::success(kind, packet_identifier)));
    }

    /// Puts a packet without strings into the output: an acknowledgement, PINGREQ, a bare DISCONNECT. These cannot
    /// fail to be written.
    fn put(&mut self, packet: &Packet<'_>) {
        if let Packet::Ack(ack) = packet {
            self.has_sent = true;
            self.handshakes.sent(ack.kind);
        }
        let written = packet.encode(self.version, &mut self.output);
        debug_assert!(written.is_ok(), "{packet:?}");
    }
}

/// What a session says first. A limit of ours that lies below the standard's is announced, so that the broker leaves
/// out what we would close the connection for (§3.1.2.11.4). Keep Alive is rounded up: a part of a second does not
/// turn it off.
fn connect(config: &SessionConfig) -> Connect {
    let keep_alive = config.keep_alive.as_secs().saturating_add(u64::from(config.keep_alive.subsec_nanos() > 0));
    let mut properties = config.connect_properties.clone();
    if config.version.is_v5() && config.max_packet_size < MAX_PACKET_SIZE {
        let limit = PropertyValue::FourByte(config.max_packet_size as u32);
        if let Ok(property) = Property::new(PropertyName::MaximumPacketSize, limit) {
            properties.push_default(property);
        }
    }
    Connect {
        version: config.version,
        client_id: config.client_id.clone(),
        clean_start: config.clean_start,
        keep_alive: u16::try_from(keep_alive).unwrap_or(u16::MAX),
        user_name: config.user_name.clone(),
        password: config.password.clone(),
        will: config.will.clone(),
        properties,
    }
}

fn append_within(
    limit: usize,
    out: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let start = out.len();
    let written = encode(out).and_then(|()| {
        let size = out.len() - start;
        if size > limit { Err(WireError::TooLarge { size, limit }) } else { Ok(()) }
    });
    if written.is_err() {
        out.truncate(start);
    }
    written
}
