//! PUBACK, PUBREC, PUBREL and PUBCOMP from a client (§4.3).

use std::time::Instant;

use super::reading::Fault;
use super::{Change, ConnectionId, Core, PacketEvent};
use crate::mqtt::ReasonCode;
use crate::mqtt::wire::AckKind;
use crate::session::outbound::Slot;

/// A PUBACK of success has four bytes.
const PUBACK_SIZE: usize = 4;

impl Core {
    /// Takes the PUBACKs of success at the start of the input that answer the oldest messages in order:
    /// in a flood they come by the dozen. Leaves every other case to the general way.
    pub(super) fn read_pubacks<'a>(&mut self, id: ConnectionId, input: &'a [u8], now: Instant) -> &'a [u8] {
        let Some(connection) = self.connections.get(id) else { return input };
        let session_id = connection.session;
        let Some(session) = self.sessions.get_mut(session_id) else { return input };
        if self.logs_packets || self.journal.is_some() {
            return input;
        }
        let (packets, _) = input.as_chunks::<PUBACK_SIZE>();
        let identifiers = packets.iter().map_while(|packet| match packet {
            [0x40, 2, high, low] => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        });
        let count = session.outbound.in_order(identifiers);
        if count > 0 {
            let mut bytes = 0;
            session.outbound.acknowledge_oldest(count, |_, done| {
                bytes = done.map(|delivery| delivery.message.size()).sum();
            });
            session.bytes_in_flight -= bytes;
            self.statistics.stored_bytes -= bytes as u64;
            self.statistics.stored_messages -= count as u64;
            self.statistics.messages_received += count as u64;
            if !session.queue.is_empty() || session.walk_count() > 0 {
                self.advance(session_id, now);
            }
        }
        &input[count * PUBACK_SIZE..]
    }

    pub(super) fn handle_ack(
        &mut self,
        id: ConnectionId,
        kind: AckKind,
        identifier: u16,
        reason: ReasonCode,
        now: Instant,
    ) -> Result<(), Fault> {
        self.log_received(
            id,
            match kind {
                AckKind::Puback => PacketEvent::Puback(identifier, reason.0),
                AckKind::Pubrec => PacketEvent::Pubrec(identifier, reason.0),
                AckKind::Pubrel => PacketEvent::Pubrel(identifier),
                AckKind::Pubcomp => PacketEvent::Pubcomp(identifier, reason.0),
            },
        );
        let Some(connection) = self.connections.get(id) else { return Ok(()) };
        let (session_id, version) = (connection.session, connection.version);
        if kind == AckKind::Pubrel {
            self.release(id, identifier, now);
            return Ok(());
        }
        let Some(session) = self.sessions.get_mut(session_id) else { return Ok(()) };
        let durable = session.is_durable();
        match (kind, session.outbound.get_mut(identifier)) {
            (AckKind::Puback, Some(Slot::Puback(_))) | (AckKind::Pubcomp, Some(Slot::Pubcomp(_))) => {
                self.finish(session_id, identifier);
                self.advance(session_id, now);
            }
            (AckKind::Pubrec, Some(Slot::Pubrec(_))) if version.is_v5() && reason.is_error() => {
                // The client rejected it, which ends the exchange (§4.3.3).
                self.finish(session_id, identifier);
                self.advance(session_id, now);
            }
            (AckKind::Pubrec, Some(place @ Slot::Pubrec(_))) => {
                if let Slot::Pubrec(delivery) = std::mem::replace(place, Slot::Free) {
                    if durable && let Some(journal) = &mut self.journal {
                        let client_id = &session.who.client_id;
                        journal.record(&Change::Received { client_id, number: delivery.number });
                    }
                    *place = Slot::Pubcomp(delivery);
                }
                self.acknowledge(id, AckKind::Pubrel, identifier, ReasonCode::SUCCESS);
            }
            (AckKind::Pubrec, Some(Slot::Pubcomp(_))) => {
                self.acknowledge(id, AckKind::Pubrel, identifier, ReasonCode::SUCCESS);
            }
            // The identifier is unknown: without an answer the client would repeat it forever (§4.3.3).
            (AckKind::Pubrec, None | Some(Slot::Free)) if !reason.is_error() => {
                self.acknowledge(id, AckKind::Pubrel, identifier, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND);
            }
            (_, None | Some(Slot::Free)) => {}
            _ => return Err(Fault::protocol("an acknowledgement of an unexpected type")),
        }
        Ok(())
    }
}
