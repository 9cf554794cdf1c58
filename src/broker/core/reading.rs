//! Bytes to packets, and which packet goes where.

use std::time::Instant;

use super::connection::Phase;
use super::{Cause, ConnectionId, Core, Event, PacketEvent, Settings};
use crate::mqtt::wire::{Ack, AckKind, Frame, MAX_PACKET_SIZE, Packet, PacketType, Publish, Scan, WireError, scan};
use crate::mqtt::{ProtocolVersion, ReasonCode};

/// A buffer for a packet that came in pieces is kept for the next one up to this size.
const KEPT_BUFFER: usize = 4096;
/// The first byte of TLS: a record of its handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// What is wrong with a packet: the end of its connection.
pub(super) struct Fault {
    pub(super) reason: ReasonCode,
    pub(super) cause: Cause,
    /// Details, where the cause alone is not enough.
    pub(super) what: Option<Box<str>>,
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        let cause = match &error {
            WireError::Malformed { .. } | WireError::TooLong { .. } | WireError::Topic { .. } => Cause::Malformed,
            WireError::Protocol { .. } | WireError::Property { .. } => Cause::Protocol,
            WireError::TooLarge { .. } => return Self::new(error.reason(), Cause::Oversize),
        };
        Self { reason: error.reason(), cause, what: Some(error.to_string().into()) }
    }
}

impl Fault {
    pub(super) const fn new(reason: ReasonCode, cause: Cause) -> Self {
        Self { reason, cause, what: None }
    }

    pub(super) fn protocol(what: &str) -> Self {
        Self { reason: ReasonCode::PROTOCOL_ERROR, cause: Cause::Protocol, what: Some(what.into()) }
    }

    pub(super) fn malformed(what: &str) -> Self {
        Self { reason: ReasonCode::MALFORMED_PACKET, cause: Cause::Malformed, what: Some(what.into()) }
    }
}

impl Core {
    /// Takes bytes from a connection, any cut of them.
    pub fn handle_input(&mut self, id: ConnectionId, input: &[u8], now: Instant) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        self.statistics.bytes_received += input.len() as u64;
        let is_open = connection.is_open();
        let result = match connection.phase {
            Phase::Closing => return,
            Phase::Authenticating(_) => {
                self.hold_back(id, input);
                Ok(())
            }
            Phase::AwaitingConnect => self.check_first_byte(id, input).and_then(|()| self.read(id, input, now)),
            Phase::Open => {
                connection.last_received = now;
                self.read(id, input, now)
            }
        };
        if let Err(fault) = result {
            self.fail(id, fault, now);
        }
        if !is_open {
            self.bound_unauthenticated(id, now);
        }
    }

    /// The first packet must be CONNECT (MQTT-3.1.0-1), as its first byte shows.
    fn check_first_byte(&mut self, id: ConnectionId, input: &[u8]) -> Result<(), Fault> {
        let (Some(connection), [first, ..]) = (self.connections.get(id), input) else { return Ok(()) };
        if !connection.partial.is_empty() || *first == (PacketType::Connect as u8) << 4 {
            return Ok(());
        }
        if *first == TLS_HANDSHAKE
            && let Some(log) = &mut self.log
        {
            log.event(&Event::TlsWithoutTls { peer: &connection.peer });
        }
        if first >> 4 == PacketType::Connect as u8 {
            return Ok(()); // the decoder reports what is wrong with its flags
        }
        Err(Fault::protocol(&format!("First packet not CONNECT ({first:02X})")))
    }

    /// Counts what a connection holds before it is let in, and ends it when all of them hold too much.
    pub(super) fn bound_unauthenticated(&mut self, id: ConnectionId, now: Instant) {
        self.count_unauthenticated(id);
        let holds = self.connections.get(id).is_some_and(|connection| connection.unauthenticated > 0);
        if holds && self.unauthenticated > self.settings.max_unauthenticated_bytes {
            self.end_with(id, ReasonCode(0x89), Cause::ServerBusy, now);
        }
    }

    pub(super) fn count_unauthenticated(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let counts = matches!(connection.phase, Phase::AwaitingConnect | Phase::Authenticating(_));
        let held = if counts { connection.partial.len() as u32 } else { 0 };
        self.unauthenticated -= std::mem::replace(&mut connection.unauthenticated, held) as usize;
        self.unauthenticated += held as usize;
    }

    /// Input that comes while a password is looked at waits; the driver does not read, so this is one read at most.
    fn hold_back(&mut self, id: ConnectionId, input: &[u8]) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.partial.extend_from_slice(input);
        }
    }

    /// Continues with what waited.
    pub(super) fn read_held_back(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let held_back = std::mem::take(&mut connection.partial);
        if let Err(fault) = self.read(id, &held_back, now) {
            self.fail(id, fault, now);
        }
    }

    /// Largest packet that a connection may send now, bytes.
    pub fn packet_limit(&self, id: ConnectionId) -> usize {
        match self.connections.get(id).map(|connection| &connection.phase) {
            Some(Phase::Open) => Settings::at_most(self.settings.max_packet_size).min(MAX_PACKET_SIZE),
            // The client learns the other limit from CONNACK only (MQTT-3.2.2-15).
            _ => self.settings.max_connect_size,
        }
    }

    fn read(&mut self, id: ConnectionId, mut input: &[u8], now: Instant) -> Result<(), Fault> {
        let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
        if !connection.partial.is_empty() {
            let mut whole = std::mem::take(&mut connection.partial);
            let limit = self.packet_limit(id);
            // Grows with the received bytes, never with the announced size.
            loop {
                let missing = match scan(&whole, limit)? {
                    Scan::Frame(_) => break,
                    Scan::Incomplete(Some(size)) => size - whole.len(),
                    Scan::Incomplete(None) => 1,
                };
                let (more, rest) = input.split_at(missing.min(input.len()));
                whole.extend_from_slice(more);
                input = rest;
                if more.len() < missing {
                    break;
                }
            }
            match scan(&whole, limit)? {
                Scan::Frame(frame) => self.handle_packet(id, frame, &whole[..frame.size], now)?,
                Scan::Incomplete(_) => {
                    if let Some(connection) = self.connections.get_mut(id) {
                        connection.partial = whole;
                    }
                    return Ok(());
                }
            }
            whole.clear();
            if whole.capacity() <= KEPT_BUFFER
                && let Some(connection) = self.connections.get_mut(id)
            {
                connection.partial = whole;
            }
        }
        let mut limit = self.packet_limit(id);
        while !input.is_empty() {
            let Some(connection) = self.connections.get(id) else { return Ok(()) };
            match connection.phase {
                Phase::Closing => return Ok(()),
                Phase::Authenticating(_) => {
                    self.hold_back(id, input);
                    return Ok(());
                }
                Phase::AwaitingConnect => {}
                Phase::Open => {
                    if input[0] == 0x40 {
                        input = self.read_pubacks(id, input, now);
                        if input.is_empty() {
                            return Ok(());
                        }
                    }
                }
            }
            match scan(input, limit)? {
                Scan::Frame(frame) => {
                    self.handle_packet(id, frame, &input[..frame.size], now)?;
                    input = &input[frame.size..];
                    if frame.packet_type == PacketType::Connect {
                        limit = self.packet_limit(id);
                    }
                }
                Scan::Incomplete(_) => {
                    if let Some(connection) = self.connections.get_mut(id) {
                        connection.partial.extend_from_slice(input);
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn handle_packet(&mut self, id: ConnectionId, frame: Frame<'_>, packet: &[u8], now: Instant) -> Result<(), Fault> {
        if !self.logs_bytes {
            return self.handle_frame(id, frame, now);
        }
        self.arrived = Some(packet.to_vec());
        let result = self.handle_frame(id, frame, now);
        // A packet that was refused before it was logged.
        self.log_arrived_bytes(id);
        result
    }

    fn handle_frame(&mut self, id: ConnectionId, frame: Frame<'_>, now: Instant) -> Result<(), Fault> {
        let Some(connection) = self.connections.get(id) else { return Ok(()) };
        let version = connection.version;
        match connection.phase {
            Phase::Open => {}
            Phase::AwaitingConnect if frame.packet_type == PacketType::Connect => {
                self.handle_connect(id, frame, now);
                return Ok(());
            }
            _ => return Err(Fault::protocol("a packet before CONNECT was answered")),
        }
        self.statistics.messages_received += 1;
        if frame.packet_type == PacketType::Publish {
            return self.handle_publish(id, Publish::decode(frame, version)?, now);
        }
        if matches!(
            frame.packet_type,
            PacketType::Connack | PacketType::Suback | PacketType::Unsuback | PacketType::Pingresp
        ) {
            return Err(Fault::protocol("a packet that only a server sends"));
        }
        // Acknowledgements of success without properties. The decoder reports an identifier of 0, and the DUP of
        // MQTT 3.1 in other versions.
        if let (Some(kind), [high, low]) = (AckKind::of(frame.packet_type), frame.body)
            && (*high, *low) != (0, 0)
            && frame.flags & DUP == 0
        {
            return self.handle_ack(id, kind, u16::from_be_bytes([*high, *low]), ReasonCode::SUCCESS, now);
        }
        match Packet::decode(frame, version)? {
            Packet::Ack(Ack { kind, packet_identifier, reason, .. }) => {
                self.handle_ack(id, kind, packet_identifier, reason, now)
            }
            Packet::Subscribe(subscribe) => self.handle_subscribe(id, subscribe, now),
            Packet::Unsubscribe(unsubscribe) => {
                self.handle_unsubscribe(id, &unsubscribe);
                Ok(())
            }
            Packet::Pingreq => {
                self.log_received(id, PacketEvent::Pingreq);
                self.log_sending(id, PacketEvent::Pingresp);
                self.put(id, |out| out.extend_from_slice(&[0xD0, 0]));
                self.statistics.messages_sent += 1;
                Ok(())
            }
            Packet::Disconnect(disconnect) => self.handle_disconnect(id, &disconnect, now),
            Packet::Auth(auth) => {
                self.log_received(id, PacketEvent::Auth(auth.reason.0));
                // No enhanced authentication was agreed on (MQTT-4.12.0-1).
                Err(Fault::protocol("AUTH without an authentication method"))
            }
            Packet::Connect(_) => Err(Fault::protocol("a second CONNECT")),
            _ => Err(Fault::protocol("a packet that only a server sends")),
        }
    }

    /// Ends a connection for what came on it.
    pub(super) fn fail(&mut self, id: ConnectionId, fault: Fault, now: Instant) {
        let Fault { reason, cause, what } = fault;
        if let Some(what) = what {
            self.log_error(id, &what);
        }
        self.end_with(id, reason, cause, now);
    }

    /// Logs what a client did wrong.
    pub(super) fn log_error(&mut self, id: ConnectionId, what: &str) {
        if let (Some(log), Some(connection)) = (&mut self.log, self.connections.get(id)) {
            let client_id = self.sessions.get(connection.session).map(|session| &*session.who.client_id);
            log.event(&Event::ProtocolError { client_id, peer: &connection.peer, what });
        }
    }
}

/// DUP in the fixed header.
const DUP: u8 = 0b1000;

/// The protocol name and level at the beginning of a CONNECT.
pub(super) fn connect_level(body: &[u8]) -> Option<(&[u8], u8)> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((name, *rest.first()?))
}

/// The version whose CONNACK such a CONNECT is refused with, where the version is not known.
pub(super) const fn version_of_refusal(level: u8) -> ProtocolVersion {
    if level & 0x7F >= 5 { ProtocolVersion::V5 } else { ProtocolVersion::V311 }
}
