//! PUBACK, PUBREC and PUBCOMP for what we published, PUBREL for what we received (§3.4 to §3.7).

use super::Session;
use crate::mqtt::wire::{Ack, AckKind, Packet};
use crate::mqtt::{Properties, ReasonCode};
use crate::session::SessionError;
use crate::session::handler::{Completion, Event, Handler, Kept, Outcome};
use crate::session::outbound::Place;

impl<K: Kept> Session<K> {
    pub(super) fn handle_ack<H: Handler<K>>(&mut self, ack: Ack, handler: &mut H) -> Result<(), SessionError> {
        let identifier = ack.packet_identifier;
        self.handshakes.received(ack.kind);
        if ack.kind == AckKind::Pubrel {
            self.handle_pubrel(identifier);
            return Ok(());
        }
        let unexpected = |what| Err(SessionError::unexpected(ack.kind.packet_type(), what));
        let Some(place) = self.outbound.get_mut(identifier) else {
            self.handle_unknown(&ack, handler);
            return Ok(());
        };
        let outcome = if ack.reason.is_error() { Outcome::Refused } else { Outcome::Acknowledged };
        match (ack.kind, &place) {
            (AckKind::Puback, Place::Puback(_)) => {
                self.complete(identifier, outcome, ack.reason, &ack.properties, handler);
            }
            // PUBREC has accepted the message. "Packet Identifier not found" is what a PUBREL that is sent again hears
            // when the first one had arrived (§3.7.2.1).
            (AckKind::Pubcomp, Place::Pubcomp(_)) => {
                self.complete(identifier, Outcome::Acknowledged, ack.reason, &ack.properties, handler);
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
                    handler.on_received(&kept);
                    *place = Place::Pubcomp(kept);
                }
                self.put_ack(AckKind::Pubrel, identifier);
            }
            (AckKind::Pubrec, Place::Pubcomp(_)) => self.put_ack(AckKind::Pubrel, identifier),
            (_, Place::Free) => self.handle_unknown(&ack, handler),
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

    /// An acknowledgement for nothing in flight: a repeated one, or one of an earlier life. A PUBREC that says yes is
    /// answered all the same, else the broker waits for ever.
    fn handle_unknown<H: Handler<K>>(&mut self, ack: &Ack, handler: &mut H) {
        let identifier = ack.packet_identifier;
        if ack.kind == AckKind::Pubrec && !ack.reason.is_error() {
            let reason = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
            self.put(&Packet::Ack(Ack::with_reason(AckKind::Pubrel, identifier, reason)));
        }
        handler.on_event(Event::UnknownAcknowledgement(identifier));
    }

    pub(super) fn complete<H: Handler<K>>(
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
            handler.on_completed(Completion { kept, packet_identifier, outcome, reason, properties });
        }
        if self.outbound.resending() && outcome != Outcome::Lost {
            self.resend(handler);
        }
    }
}
