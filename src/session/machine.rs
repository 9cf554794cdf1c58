//! The session itself: its life from CONNECT to DISCONNECT, its clock, and what each packet that arrives is for. What
//! it has in flight is in two halves, [`Sending`] and [`Receiving`].

use std::time::{Duration, Instant};

use super::handler::{Event, Handler, Kept, Receipt};
use super::keep_alive::{Due, KeepAlive};
use super::output::Output;
use super::partial_packet::PartialPacket;
use super::receiving::Receiving;
use super::sending::{PUBACK_SIZE, Sending};
use super::{HandshakeCounts, Identifiers, Limits, PublishError, SessionConfig, SessionError, largest_packet};
use crate::mqtt::wire::{
    Ack, AckKind, Connack, Connect, Disconnect, Frame, MAX_PACKET_SIZE, Packet, PacketType, Publish, Scan, Subscribe,
    Unsubscribe, WireError, scan,
};
use crate::mqtt::{Message, Properties, Property, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode};

/// How many bytes of something that is not MQTT are looked at and shown.
const FIRST_BYTES: usize = 8;

/// The first byte of a CONNACK.
const CONNACK: u8 = 0x20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No transport.
    Idle,
    /// CONNECT is on its way; CONNACK must come by then, if that is within the clock.
    Connecting(Option<Instant>),
    /// Connected.
    Open,
    /// DISCONNECT is in the output, or an error has ended the connection.
    Closed,
}

/// An MQTT client session. `K` is what it keeps for each message in flight.
#[derive(Debug)]
pub struct Session<K = Message> {
    phase: Phase,
    /// No connection has been started yet.
    is_new: bool,
    clean_start: bool,
    max_packet_size: usize,
    connack_timeout: Duration,
    keep_alive: KeepAlive,
    output: Output,
    partial: PartialPacket,
    sending: Sending<K>,
    receiving: Receiving,
}

impl<K: Kept> Session<K> {
    /// A session that has never been connected.
    pub fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Idle,
            is_new: true,
            clean_start: true,
            max_packet_size: 0,
            connack_timeout: Duration::ZERO,
            keep_alive: KeepAlive::new(Duration::ZERO, now),
            output: Output::default(),
            partial: PartialPacket::default(),
            sending: Sending::new(),
            receiving: Receiving::new(),
        }
    }

    /// A transport is there: puts CONNECT into the output. At a reconnect what was in flight is kept, and is sent
    /// again when CONNACK has shown whether the broker kept the session. Fails when the CONNECT cannot be written.
    pub fn start(&mut self, config: &SessionConfig, now: Instant) -> Result<(), WireError> {
        self.handle_disconnected();
        let connect = connect(config);
        self.output.start(config.version);
        self.output.append_within(usize::MAX, |out| connect.encode(out))?;
        self.clean_start = config.clean_start;
        // Before 5.0 properties are not written, so they have announced nothing.
        let announced = connect.properties.number(PropertyName::MaximumPacketSize).filter(|_| config.version.is_v5());
        self.max_packet_size =
            announced.map_or(config.max_packet_size, |size| config.max_packet_size.min(size as usize));
        self.connack_timeout = config.connack_timeout;
        self.keep_alive = KeepAlive::new(Duration::from_secs(u64::from(connect.keep_alive)), now);
        self.sending.start(config, std::mem::take(&mut self.is_new));
        self.receiving.start(&connect);
        self.phase = Phase::Connecting(now.checked_add(config.connack_timeout));
        Ok(())
    }

    /// Whether CONNACK has arrived and nothing has ended the connection.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// What the broker allows.
    pub fn limits(&self) -> &Limits {
        self.sending.limits()
    }

    /// The version that is spoken.
    pub fn version(&self) -> ProtocolVersion {
        self.output.version()
    }

    /// QoS 1 and 2 messages that are not done.
    pub fn in_flight(&self) -> usize {
        self.sending.messages()
    }

    /// How many QoS 1 or 2 messages may be published now: the window and the broker's Receive Maximum, less what is in
    /// flight (§4.9). None while messages of an earlier connection are waiting to be sent again, and none while the
    /// oldest message has been left without an answer for 65,535 identifiers.
    #[inline]
    pub fn window_free(&self) -> usize {
        if self.is_open() { self.sending.window_free() } else { 0 }
    }

    /// Allows more or fewer messages in flight from now on. Those that are in flight stay.
    pub fn set_window(&mut self, window: u16) {
        self.sending.set_window(window);
    }

    /// What is kept for the oldest message in flight: the first one to be sent again after a loss.
    pub fn oldest(&self) -> Option<&K> {
        self.sending.oldest()
    }

    /// Most QoS 1 and 2 messages in flight on this connection: the window and the broker's Receive Maximum.
    pub fn allowed(&self) -> usize {
        self.sending.allowed()
    }

    /// Whether an acknowledgement or a PUBLISH of [`Session::publish`] or [`Session::send`] went out on this
    /// connection: what a broker may not have read yet, and would not if the connection were reset.
    pub const fn has_sent(&self) -> bool {
        self.output.has_sent()
    }

    /// Bytes that wait in the output.
    pub fn output_len(&self) -> usize {
        self.output.bytes().len()
    }

    /// Whether an incomplete packet has been received.
    pub fn is_inside_packet(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Moves what is to be written to the end of `out`. What the owner appends behind it is written after it.
    pub fn take_output(&mut self, out: &mut Vec<u8>) {
        self.output.take(out);
    }

    /// The buffers, for tests of what they hold: output, and the packet that is not whole yet.
    #[cfg(test)]
    pub(super) fn buffers(&self) -> (&Vec<u8>, &Vec<u8>) {
        (self.output.bytes(), self.partial.bytes())
    }

    /// The packets of QoS 2 since the last call; those sent are those put into the output.
    pub fn take_handshakes(&mut self) -> HandshakeCounts {
        std::mem::take(self.output.handshakes())
    }

    /// Bytes went to the transport; with `waits` there are more, which it has not taken. The time for an
    /// answer begins with the last byte of what is to be answered.
    pub fn handle_written(&mut self, now: Instant, waits: bool) {
        self.keep_alive.written(now, waits);
        if let Phase::Connecting(deadline) = &mut self.phase {
            *deadline = now.checked_add(self.connack_timeout);
        }
    }

    /// Bytes wait that the transport does not take. To be called before [`Session::handle_timeout`]: no ping
    /// is put behind a packet that is on its way out, and the broker owes nothing while it takes bytes.
    pub fn handle_write_pending(&mut self) {
        self.keep_alive.write_pending();
    }

    /// The owner does not read from the transport, because it has nowhere to put what would come. To be
    /// called before [`Session::handle_timeout`]: pings continue, and silence is not taken for a broker that is gone.
    pub fn handle_reading_paused(&mut self, now: Instant) {
        self.keep_alive.read(now);
    }

    /// The transport is gone. What is in flight is kept for the next [`Session::start`].
    pub fn handle_disconnected(&mut self) {
        self.phase = Phase::Idle;
        self.output.clear();
        self.partial.clear();
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
                    self.output.put(&Packet::Pingreq);
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
            self.output.put(&Packet::Pingreq);
        }
    }

    /// Puts DISCONNECT behind everything that is in the output, and ends the connection. Messages in flight are
    /// neither waited for nor forgotten. Reason and properties are of 5.0. Fails when it cannot be written.
    pub fn disconnect(&mut self, reason: ReasonCode, properties: Properties) -> Result<(), WireError> {
        if self.is_open() {
            let limit = self.limits().maximum_packet_size;
            self.output.put_within(limit, &Packet::Disconnect(Disconnect { reason, properties }))?;
        }
        self.phase = Phase::Closed;
        Ok(())
    }

    /// Returns an identifier from [`Session::reserve`] whose PUBLISH was never written.
    pub fn release(&mut self, packet_identifier: u16) {
        self.sending.release(packet_identifier);
    }

    /// Takes a place in the window for a message that the owner writes itself, after the output that
    /// [`Session::take_output`] gives. Returns its Packet Identifier; none while the window is full. QoS 0 needs none.
    /// Whether [`Session::limits`] allow the message is for the owner to look at, once a connection.
    #[inline]
    pub fn reserve(&mut self, qos: QoS, kept: K) -> Option<u16> {
        if self.is_open() { self.sending.reserve(qos, kept) } else { None }
    }

    /// The same for `count` messages of one kind, or as many as the window has places for.
    #[inline]
    pub fn reserve_many(&mut self, qos: QoS, count: usize, kept: K) -> Identifiers
    where
        K: Clone,
    {
        let count = if self.is_open() || qos == QoS::AtMostOnce { count } else { 0 };
        self.sending.reserve_many(qos, count, kept)
    }

    /// Puts a PUBLISH into the output; QoS 1 and 2 are kept as `kept`, whose message is the one sent. Returns the
    /// Packet Identifier, 0 for QoS 0. Fails, and gives `kept` back, on what the broker or the standard does not allow.
    pub fn publish(&mut self, kept: K) -> Result<u16, (PublishError, K)> {
        if !self.is_open() && kept.message().is_some() {
            return Err((PublishError::NotConnected, kept));
        }
        self.sending.publish(kept, &mut self.output)
    }

    /// Puts a PUBLISH of QoS 0 into the output, of which nothing is kept, so that the same message can serve for many.
    /// Fails as [`Session::publish`] does, and for any other QoS with [`PublishError::NotKept`].
    pub fn send(&mut self, message: &Message) -> Result<(), PublishError> {
        if message.qos != QoS::AtMostOnce {
            return Err(PublishError::NotKept);
        }
        self.check_open()?;
        self.sending.put_publish(message, &mut self.output).map(|_| ())
    }

    /// Puts a SUBSCRIBE into the output and returns its Packet Identifier. The identifier in `subscribe` is set here.
    pub fn subscribe(&mut self, subscribe: Subscribe) -> Result<u16, PublishError> {
        self.check_open()?;
        self.sending.subscribe(subscribe, &mut self.output)
    }

    /// Puts an UNSUBSCRIBE into the output and returns its Packet Identifier.
    pub fn unsubscribe(&mut self, unsubscribe: Unsubscribe) -> Result<u16, PublishError> {
        self.check_open()?;
        self.sending.unsubscribe(unsubscribe, &mut self.output)
    }

    fn check_open(&self) -> Result<(), PublishError> {
        if self.is_open() { Ok(()) } else { Err(PublishError::NotConnected) }
    }

    /// Acknowledges a message for which the handler returned [`super::Acknowledge::Later`]. Messages are to be
    /// acknowledged in the order in which they came (MQTT-4.6.0-2, -3), each once. A QoS 1 receipt of an earlier
    /// connection is not answered, since the broker sends the message again; a QoS 2 message is remembered as received,
    /// and answered where the broker has already sent it again. A receipt of a session that the broker has lost does
    /// nothing.
    pub fn acknowledge(&mut self, receipt: Receipt) {
        self.receiving.acknowledge(receipt, self.is_open(), &mut self.output);
    }

    /// QoS 2 messages that were acknowledged and not released: their PUBREL and PUBCOMP are outstanding.
    pub fn unreleased(&self) -> usize {
        self.receiving.unreleased()
    }

    /// Takes bytes from the transport, any cut of them. Fails when the connection is at its end; a DISCONNECT for the
    /// broker may then be in the output.
    pub fn handle_input<H: Handler<K>>(
        &mut self,
        input: &[u8],
        now: Instant,
        handler: &mut H,
    ) -> Result<(), SessionError> {
        if matches!(self.phase, Phase::Idle | Phase::Closed) {
            return Ok(()); // after DISCONNECT what still comes is of no use to anybody (§3.14.4)
        }
        self.keep_alive.read(now);
        let read = match self.phase {
            Phase::Connecting(_) => self.read_first(input, handler),
            _ => self.read_packets(input, handler),
        };
        read.inspect_err(|error| {
            if let (Phase::Open, true, Some(reason)) = (self.phase, self.version().is_v5(), error.reason_to_send()) {
                self.output.put(&Packet::Disconnect(Disconnect { reason, properties: Properties::new() }));
            }
            self.phase = Phase::Closed;
        })
    }

    /// Reads what comes after [`Session::disconnect`]. All that matters of it is a DISCONNECT with which the broker
    /// refuses what it got before (5.0): nothing else reports what became of messages at QoS 0.
    ///
    /// # Errors
    /// That DISCONNECT.
    pub fn handle_last_input<H: Handler<K>>(&mut self, input: &[u8], handler: &mut H) -> Result<(), SessionError> {
        match self.read_packets(input, handler) {
            Err(error @ SessionError::Disconnected { reason, .. }) if reason.is_error() => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads while CONNACK is awaited, and distinguishes what is not MQTT at all from a broker's fault.
    fn read_first<H: Handler<K>>(&mut self, input: &[u8], handler: &mut H) -> Result<(), SessionError> {
        let first_bytes: Vec<u8> = self.partial.bytes().iter().chain(input).take(FIRST_BYTES).copied().collect();
        let not_mqtt = |error| SessionError::NotMqtt { error, first_bytes: first_bytes.clone() };
        if is_text(&first_bytes) {
            return Err(not_mqtt(WireError::Malformed { packet: "CONNACK", what: "it is text" }));
        }
        self.read_packets(input, handler).map_err(|error| match error {
            // Bytes that begin as a CONNACK, and bytes after a CONNACK, are a broker's.
            SessionError::Wire(error @ WireError::Malformed { .. }) if first_bytes.first() != Some(&CONNACK) => {
                not_mqtt(error)
            }
            other => other,
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
            if self.phase == Phase::Open && self.max_packet_size >= PUBACK_SIZE && !handler.observes_packets() {
                input = self.sending.read_pubacks(input, handler);
            }
            match scan(input, self.largest_packet(input))? {
                Scan::Frame(frame) => {
                    let (packet, rest) = input.split_at(frame.size);
                    self.handle_frame(frame, packet, handler)?;
                    input = rest;
                }
                Scan::Incomplete(_) => {
                    self.partial.keep(input);
                    return Ok(());
                }
            }
        }
    }

    /// What is announced above it ends the connection before it has arrived.
    #[inline]
    fn largest_packet(&self, input: &[u8]) -> usize {
        largest_packet(input, self.phase == Phase::Open, self.max_packet_size)
    }

    /// Adds input to the packet that has begun until it is whole, and handles it. Returns the input after it, or
    /// nothing while it is still not whole.
    fn complete_partial<'a, H: Handler<K>>(
        &mut self,
        input: &'a [u8],
        handler: &mut H,
    ) -> Result<Option<&'a [u8]>, SessionError> {
        let (is_open, limit) = (self.phase == Phase::Open, self.max_packet_size);
        let completed = self.partial.complete(input, |packet| largest_packet(packet, is_open, limit))?;
        let Some((packet, rest)) = completed else { return Ok(None) };
        let handled = match scan(&packet, self.largest_packet(&packet))? {
            Scan::Frame(frame) => self.handle_frame(frame, &packet, handler),
            Scan::Incomplete(_) => Ok(()), // cannot be: it is whole
        };
        self.partial.recycle(packet);
        handled.map(|()| Some(rest))
    }

    fn handle_frame<H: Handler<K>>(
        &mut self,
        frame: Frame<'_>,
        packet: &[u8],
        handler: &mut H,
    ) -> Result<(), SessionError> {
        if handler.observes_packets() {
            handler.on_packet(packet);
        }
        match self.phase {
            Phase::Open => {}
            Phase::Connecting(_) => return self.handle_first(frame, handler),
            Phase::Closed if frame.packet_type == PacketType::Disconnect && self.version().is_v5() => {}
            Phase::Idle | Phase::Closed => return Ok(()),
        }
        if frame.packet_type == PacketType::Publish {
            // By far the most frequent, and a third cheaper where it is not moved about as one of all packets.
            let publish = Publish::decode(frame, self.version())?;
            return self.receiving.handle_publish(publish, &mut self.output, handler);
        }
        // The same for acknowledgements of success without properties. 0 is no identifier, which the decoder reports,
        // and so is the version in which PUBREL may have DUP.
        if let (Some(kind), [high, low], 0 | 0b0010) = (AckKind::of(frame.packet_type), frame.body, frame.flags)
            && (*high, *low) != (0, 0)
        {
            return self.handle_ack(&Ack::success(kind, u16::from_be_bytes([*high, *low])), handler);
        }
        // Before 5.0 only a client sends DISCONNECT. A broker that does so all the same closes the connection next.
        if frame.packet_type == PacketType::Disconnect && !self.version().is_v5() {
            return Err(SessionError::UnexpectedDisconnect);
        }
        match Packet::decode(frame, self.version())? {
            Packet::Publish(publish) => self.receiving.handle_publish(publish, &mut self.output, handler),
            Packet::Ack(ack) => self.handle_ack(&ack, handler),
            Packet::Suback(suback) => self.sending.handle_suback(suback, &mut self.output, handler),
            Packet::Unsuback(unsuback) => self.sending.handle_unsuback(unsuback, handler),
            Packet::Pingresp => {
                self.keep_alive.answered();
                handler.on_event(Event::Pong);
                Ok(())
            }
            Packet::Disconnect(Disconnect { reason, properties }) => {
                Err(SessionError::Disconnected { reason, properties })
            }
            Packet::Auth(_) => Err(SessionError::EnhancedAuthentication),
            Packet::Connack(_) => Err(SessionError::unexpected(PacketType::Connack, "came twice")),
            other => Err(SessionError::unexpected(other.packet_type(), "is not for a client")),
        }
    }

    /// The first packet must be CONNACK (MQTT-3.2.0-1); AUTH may come before it (§4.12).
    fn handle_first<H: Handler<K>>(&mut self, frame: Frame<'_>, handler: &mut H) -> Result<(), SessionError> {
        match frame.packet_type {
            PacketType::Connack => match Packet::decode(frame, self.version())? {
                Packet::Connack(connack) => self.handle_connack(connack, handler),
                _ => Ok(()), // cannot be: the type was looked at
            },
            PacketType::Auth if self.version().is_v5() => Err(SessionError::EnhancedAuthentication),
            packet => Err(SessionError::unexpected(packet, "arrived before CONNACK")),
        }
    }

    fn handle_connack<H: Handler<K>>(&mut self, connack: Connack, handler: &mut H) -> Result<(), SessionError> {
        if connack.reason != ReasonCode::SUCCESS {
            return Err(SessionError::Refused { reason: connack.reason, properties: connack.properties });
        }
        if connack.session_present && self.clean_start {
            let what = "reports a session although a clean start was requested";
            return Err(SessionError::unexpected(PacketType::Connack, what));
        }
        if let Some(seconds) = connack.properties.number(PropertyName::ServerKeepAlive) {
            self.keep_alive.set_interval(Duration::from_secs(u64::from(seconds)));
        }
        self.phase = Phase::Open;
        // A broker of 3.1 cannot report whether it resumed the session, so that is assumed where it was asked for.
        let session_lives = connack.session_present || (self.version() == ProtocolVersion::V31 && !self.clean_start);
        if !session_lives {
            self.receiving.session_lost();
        }
        self.sending.handle_connack(connack, session_lives, &mut self.output, handler);
        Ok(())
    }

    fn handle_ack<H: Handler<K>>(&mut self, ack: &Ack, handler: &mut H) -> Result<(), SessionError> {
        self.output.handshakes().received(ack.kind);
        if ack.kind == AckKind::Pubrel {
            self.receiving.handle_pubrel(ack.packet_identifier, &mut self.output);
            return Ok(());
        }
        self.sending.handle_ack(ack, &mut self.output, handler)
    }
}

/// The CONNECT of a session. A limit of ours that lies below the standard's is announced, so that the broker leaves
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

/// Whether a connection begins with a text that may pass for the head of a packet, as the greeting "220 mail…" does:
/// its packet would never be whole. No packet of MQTT begins with eight such bytes.
fn is_text(first_bytes: &[u8]) -> bool {
    first_bytes.len() == FIRST_BYTES
        && first_bytes.first() != Some(&CONNACK)
        && first_bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t'))
}
