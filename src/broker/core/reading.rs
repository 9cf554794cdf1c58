//! Bytes to packets, and which packet goes where.

use std::time::Instant;

use super::connection::Phase;
use super::{Cause, ConnectionId, Core, PacketEvent, Settings};
use crate::mqtt::wire::{Ack, AckKind, Frame, Packet, PacketType, Publish, Scan, WireError, scan};
use crate::mqtt::{ProtocolVersion, ReasonCode};

/// A buffer for a packet that came in pieces is kept for the next one up to this size.
const KEPT_BUFFER: usize = 4096;

/// What is wrong with a packet.
pub(super) enum Fault {
    Wire(WireError),
    Other(ReasonCode, Cause),
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl Fault {
    pub(super) fn protocol(what: &str) -> Self {
        Self::Other(ReasonCode::PROTOCOL_ERROR, Cause::Protocol(what.to_owned()))
    }
}

impl Core {
    /// Takes bytes from a connection, any cut of them.
    pub fn handle_input(&mut self, id: ConnectionId, input: &[u8], now: Instant) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        self.statistics.bytes_received += input.len() as u64;
        match connection.phase {
            Phase::Closing => return,
            Phase::Authenticating(_) => return self.hold_back(id, input),
            Phase::AwaitingConnect => {}
            Phase::Open => connection.last_received = now,
        }
        if let Err(fault) = self.read(id, input, now) {
            self.fail(id, fault, now);
        }
    }

    /// Input that comes while a password is looked at waits; the driver does not read, so this is one read at most.
    fn hold_back(&mut self, id: ConnectionId, input: &[u8]) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.partial.extend_from_slice(input);
        }
    }

    /// Goes on with what waited.
    pub(super) fn read_held_back(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let held_back = std::mem::take(&mut connection.partial);
        if let Err(fault) = self.read(id, &held_back, now) {
            self.fail(id, fault, now);
        }
    }

    fn limit(&self, id: ConnectionId) -> usize {
        match self.connections.get(id).map(|connection| &connection.phase) {
            Some(Phase::Open) => Settings::at_most(self.settings.max_packet_size),
            _ => self.settings.max_connect_size,
        }
    }

    fn read(&mut self, id: ConnectionId, mut input: &[u8], now: Instant) -> Result<(), Fault> {
        let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
        if !connection.partial.is_empty() {
            let mut whole = std::mem::take(&mut connection.partial);
            let limit = self.limit(id);
            // Grows with what has come, never with what is announced.
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
                Scan::Frame(frame) => self.handle_frame(id, frame, now)?,
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
        let mut limit = self.limit(id);
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
                    self.handle_frame(id, frame, now)?;
                    input = &input[frame.size..];
                    if frame.packet_type == PacketType::Connect {
                        limit = self.limit(id);
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

    fn handle_frame(&mut self, id: ConnectionId, frame: Frame<'_>, now: Instant) -> Result<(), Fault> {
        let Some(connection) = self.connections.get(id) else { return Ok(()) };
        let version = connection.version;
        match connection.phase {
            Phase::Open => {}
            Phase::AwaitingConnect if frame.packet_type == PacketType::Connect => {
                self.handle_connect(id, frame, now);
                return Ok(());
            }
            // The first packet must be CONNECT (MQTT-3.1.0-1).
            _ => return Err(Fault::protocol("the first packet is not CONNECT")),
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
        // Acknowledgements that say yes and nothing more. 0 is no identifier; the decoder says so.
        if let (Some(kind), [high, low]) = (AckKind::of(frame.packet_type), frame.body)
            && (*high, *low) != (0, 0)
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
    fn fail(&mut self, id: ConnectionId, fault: Fault, now: Instant) {
        let (reason, cause) = match fault {
            Fault::Other(reason, cause) => (reason, cause),
            Fault::Wire(error) => {
                let text = error.to_string();
                let cause = match &error {
                    WireError::Malformed { .. } | WireError::TooLong { .. } | WireError::Topic { .. } => {
                        Cause::Malformed(text)
                    }
                    WireError::Protocol { .. } | WireError::Property { .. } => Cause::Protocol(text),
                    WireError::TooLarge { .. } => Cause::Oversize,
                };
                (error.reason(), cause)
            }
        };
        self.end_with(id, reason, cause, now);
    }
}

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
