//! Bytes to packets, and the first packet, CONNACK (§3.2).

use std::time::{Duration, Instant};

use super::{Phase, Session};
use crate::mqtt::wire::{Ack, AckKind, Connack, Disconnect, Frame, Packet, PacketType, Publish, Scan, WireError, scan};
use crate::mqtt::{Properties, PropertyName, ProtocolVersion, ReasonCode};
use crate::session::handler::{Event, Handler, Kept};
use crate::session::outbound::{Place, Resumed};
use crate::session::{Limits, SessionError, largest_packet};

/// A read buffer for a packet that came in pieces keeps at most this much once the packet is done.
const KEPT_BUFFER: usize = 4096;

/// How many bytes of something that is no MQTT are looked at and shown.
const FIRST_BYTES: usize = 8;

/// The first byte of a CONNACK.
const CONNACK: u8 = 0x20;

/// The first byte of a PUBACK, and the size of one that says yes.
const PUBACK: u8 = 0x40;
const PUBACK_SIZE: usize = 4;

impl<K: Kept> Session<K> {
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
            if let (Phase::Open, true, Some(reason)) = (self.phase, self.version.is_v5(), error.reason_to_send()) {
                self.put(&Packet::Disconnect(Disconnect { reason, properties: Properties::new() }));
            }
            self.phase = Phase::Closed;
        })
    }

    /// Reads while CONNACK is awaited, and tells what is no MQTT at all from a broker's fault.
    fn read_first<H: Handler<K>>(&mut self, input: &[u8], handler: &mut H) -> Result<(), SessionError> {
        let first_bytes: Vec<u8> = self.partial.iter().chain(input).take(FIRST_BYTES).copied().collect();
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
            input = self.read_pubacks(input, handler);
            match scan(input, self.largest_packet(input))? {
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

    /// What is announced above it ends the connection before it has come.
    #[inline]
    fn largest_packet(&self, input: &[u8]) -> usize {
        largest_packet(input, self.phase == Phase::Open, self.max_packet_size)
    }

    /// Takes the PUBACKs in front of the input that say yes and nothing more to the oldest messages, one after the other:
    /// in a flood they come by the hundred, four bytes each. Leaves every other case to the general way.
    #[inline]
    fn read_pubacks<'a, H: Handler<K>>(&mut self, input: &'a [u8], handler: &mut H) -> &'a [u8] {
        if self.phase != Phase::Open || self.max_packet_size < PUBACK_SIZE {
            return input;
        }
        let (packets, _) = input.as_chunks::<PUBACK_SIZE>();
        let identifiers = packets.iter().map_while(|packet| match packet {
            [PUBACK, 2, high, low] => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        });
        let count = self.outbound.in_order(identifiers);
        if count > 0 {
            self.outbound.acknowledge_oldest(count, |first, kept| handler.on_acknowledged(first, kept));
        }
        &input[count * PUBACK_SIZE..]
    }

    /// Adds input to the packet that has begun until it is whole, and handles it. Gives back the input after it, or
    /// nothing while it is still not whole. The buffer grows with what has come, never with what is announced.
    fn complete_partial<'a, H: Handler<K>>(
        &mut self,
        mut input: &'a [u8],
        handler: &mut H,
    ) -> Result<Option<&'a [u8]>, SessionError> {
        loop {
            let missing = match scan(&self.partial, self.largest_packet(&self.partial))? {
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
        let handled = match scan(&whole, self.largest_packet(&whole))? {
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
            Phase::Idle | Phase::Closed => return Ok(()),
        }
        if frame.packet_type == PacketType::Publish {
            // By far the most frequent, and a third cheaper where it is not moved about as one of all packets.
            return self.handle_publish(Publish::decode(frame, self.version)?, handler);
        }
        // The same for acknowledgements that say yes and nothing more. 0 is no identifier; the decoder says so, and in which
        // version PUBREL may have DUP.
        if let (Some(kind), [high, low], 0 | 0b0010) = (AckKind::of(frame.packet_type), frame.body, frame.flags)
            && (*high, *low) != (0, 0)
        {
            return self.handle_ack(Ack::success(kind, u16::from_be_bytes([*high, *low])), handler);
        }
        // Before 5.0 only a client says goodbye. A broker that does so all the same goes away, and says nothing more.
        if frame.packet_type == PacketType::Disconnect && !self.version.is_v5() {
            return Err(SessionError::SaidGoodbye);
        }
        match Packet::decode(frame, self.version)? {
            Packet::Publish(publish) => self.handle_publish(publish, handler),
            Packet::Ack(ack) => self.handle_ack(ack, handler),
            Packet::Suback(suback) => {
                if self.end_request(PacketType::Suback, suback.packet_identifier, handler)? {
                    let granted = suback.reasons.iter().all(|reason| !reason.is_error());
                    handler.on_event(Event::Subscribed(suback));
                    if granted && std::mem::take(&mut self.waits_for_suback) {
                        self.resend(handler);
                    }
                }
                Ok(())
            }
            Packet::Unsuback(unsuback) => {
                if self.end_request(PacketType::Unsuback, unsuback.packet_identifier, handler)? {
                    handler.on_event(Event::Unsubscribed(unsuback));
                }
                Ok(())
            }
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
            PacketType::Connack => match Packet::decode(frame, self.version)? {
                Packet::Connack(connack) => self.handle_connack(connack, handler),
                _ => Ok(()), // cannot be: the type was looked at
            },
            PacketType::Auth if self.version.is_v5() => Err(SessionError::EnhancedAuthentication),
            packet => Err(SessionError::unexpected(packet, "came before CONNACK")),
        }
    }

    fn handle_connack<H: Handler<K>>(&mut self, connack: Connack, handler: &mut H) -> Result<(), SessionError> {
        if connack.reason != ReasonCode::SUCCESS {
            return Err(SessionError::Refused { reason: connack.reason, properties: connack.properties });
        }
        if connack.session_present && self.clean_start {
            let what = "says that a session is present though a clean start was asked for";
            return Err(SessionError::unexpected(PacketType::Connack, what));
        }
        self.limits = Limits::of(&connack);
        if let Some(seconds) = connack.properties.number(PropertyName::ServerKeepAlive) {
            self.keep_alive.set_interval(Duration::from_secs(u64::from(seconds)));
        }
        self.phase = Phase::Open;
        // A broker of 3.1 cannot say whether it went on with the session, so what was asked for is taken for granted.
        self.session_lives = connack.session_present || (self.version == ProtocolVersion::V31 && !self.clean_start);
        if !self.session_lives {
            self.inbound.session_lost();
            self.session_began = self.connection;
        }
        self.waits_for_suback = self.subscribes_first && !self.session_lives;
        let Resumed { messages, uncertain } = self.outbound.resume(!self.session_lives);
        handler.on_event(Event::Connected(connack));
        if messages > 0 {
            handler.on_event(Event::Resending { messages, uncertain });
        }
        self.resend(handler);
        Ok(())
    }

    /// SUBACK or UNSUBACK came; false if it answers nothing.
    fn end_request<H: Handler<K>>(
        &mut self,
        packet: PacketType,
        identifier: u16,
        handler: &mut H,
    ) -> Result<bool, SessionError> {
        match (packet, self.outbound.get_mut(identifier)) {
            (PacketType::Suback, Some(Place::Suback)) | (PacketType::Unsuback, Some(Place::Unsuback)) => {
                self.outbound.remove(identifier);
                Ok(true)
            }
            (_, None | Some(Place::Free)) => {
                handler.on_event(Event::UnknownAcknowledgement(identifier));
                Ok(false)
            }
            _ => Err(SessionError::unexpected(packet, "answers a packet of another kind")),
        }
    }
}

/// Whether a connection begins with a text that may pass for the head of a packet, as the greeting "220 mail…" does:
/// its packet would never be whole. No packet of MQTT begins with eight such bytes.
fn is_text(first_bytes: &[u8]) -> bool {
    first_bytes.len() == FIRST_BYTES
        && first_bytes.first() != Some(&CONNACK)
        && first_bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t'))
}
