//! The sending half of a session: PUBLISH, SUBSCRIBE and UNSUBSCRIBE to the broker, their acknowledgements (§3.4 to
//! §3.7), and what is sent again after a reconnect (§4.4).

use super::handler::{Completion, Event, Handler, Kept, Outcome};
use super::identifiers::Identifiers;
use super::outbound::{Outbound, Resumed, Slot};
use super::output::Output;
use super::sent_aliases::SentAliases;
use super::{Limits, PublishError, SessionConfig, SessionError};
use crate::mqtt::wire::{
    Ack, AckKind, Connack, Packet, PacketType, Publish, PublishProperties, Suback, Subscribe, Unsuback, Unsubscribe,
    WireError,
};
use crate::mqtt::{Message, Properties, PropertyName, ProtocolVersion, QoS, ReasonCode, TopicError};

/// The first byte of a PUBACK, and the size of one that reports success and nothing more.
const PUBACK: u8 = 0x40;
pub(super) const PUBACK_SIZE: usize = 4;

/// What was sent and is not finished, and what the broker allows.
#[derive(Debug)]
pub(super) struct Sending<K> {
    outbound: Outbound<K>,
    aliases: SentAliases,
    limits: Limits,
    window: u16,
    sends_any_alias: bool,
    subscribes_first: bool,
    /// What is to be sent again waits for a SUBACK.
    waits_for_suback: bool,
    /// The broker resumed the session of an earlier connection.
    session_lives: bool,
}

impl<K: Kept> Sending<K> {
    pub(super) fn new() -> Self {
        Self {
            outbound: Outbound::default(),
            aliases: SentAliases::default(),
            limits: Limits::default(),
            window: 0,
            sends_any_alias: false,
            subscribes_first: false,
            waits_for_suback: false,
            session_lives: false,
        }
    }

    /// A new connection begins, the first one of all with `is_first`.
    pub(super) fn start(&mut self, config: &SessionConfig, is_first: bool) {
        if is_first {
            self.outbound.begin_at(config.first_identifier);
        }
        self.aliases.clear();
        self.limits = Limits::default();
        self.window = config.window.max(1);
        self.sends_any_alias = config.sends_any_alias;
        self.subscribes_first = config.subscribes_first;
    }

    /// The broker has accepted the connection; with `session_lives` it resumed the session. Sends again what was in
    /// flight.
    pub(super) fn handle_connack<H: Handler<K>>(
        &mut self,
        connack: Connack,
        session_lives: bool,
        output: &mut Output,
        handler: &mut H,
    ) {
        self.limits = Limits::of(&connack);
        self.session_lives = session_lives;
        self.waits_for_suback = self.subscribes_first && !session_lives;
        let Resumed { messages, uncertain } = self.outbound.resume(!session_lives);
        handler.on_event(Event::Connected(connack));
        if messages > 0 {
            handler.on_event(Event::Resending { messages, uncertain });
        }
        self.resend(output, handler);
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn messages(&self) -> usize {
        self.outbound.messages()
    }

    pub(super) fn oldest(&self) -> Option<&K> {
        self.outbound.oldest()
    }

    /// What an open session may publish now (§4.9).
    #[inline]
    pub(super) fn window_free(&self) -> usize {
        if self.outbound.resending() {
            return 0;
        }
        self.allowed().saturating_sub(self.outbound.messages()).min(self.outbound.identifiers_left())
    }

    pub(super) fn set_window(&mut self, window: u16) {
        self.window = window.max(1);
    }

    /// The window and the broker's Receive Maximum.
    pub(super) fn allowed(&self) -> usize {
        usize::from(self.window.min(self.limits.receive_maximum))
    }

    #[inline]
    pub(super) fn reserve(&mut self, qos: QoS, kept: K) -> Option<u16> {
        if self.window_free() == 0 {
            return None;
        }
        self.outbound.insert(Slot::of(qos, kept)?)
    }

    pub(super) fn release(&mut self, packet_identifier: u16) {
        self.outbound.remove(packet_identifier);
    }

    #[inline]
    pub(super) fn reserve_many(&mut self, qos: QoS, count: usize, kept: K) -> Identifiers
    where
        K: Clone,
    {
        match Slot::of(qos, kept) {
            None => Identifiers::none(count),
            Some(place) => self.outbound.insert_many(count.min(self.window_free()), place),
        }
    }

    pub(super) fn publish(&mut self, kept: K, output: &mut Output) -> Result<u16, (PublishError, K)> {
        let Some(message) = kept.message() else {
            return Err((PublishError::NotKept, kept));
        };
        let (qos, identifier) = match self.put_publish(message, output) {
            Ok(identifier) => (message.qos, identifier),
            Err(error) => return Err((error, kept)),
        };
        if let Some(place) = Slot::of(qos, kept) {
            self.outbound.insert(place);
        }
        Ok(identifier)
    }

    /// Puts the packet into the output; for QoS 1 and 2 under the identifier that the next place of the window has.
    pub(super) fn put_publish(&mut self, message: &Message, output: &mut Output) -> Result<u16, PublishError> {
        let version = output.version();
        self.check(message, version)?;
        let identifier = if message.qos == QoS::AtMostOnce { 0 } else { self.outbound.next_identifier() };
        let limit = self.limits.maximum_packet_size;
        if !version.is_v5() {
            let publish = Publish::of(message, identifier, false);
            output.put_publish(limit, |out| publish.encode(version, out))?;
            return Ok(identifier);
        }
        let (topic, update) = self.aliases.topic_to_send(message);
        let publish = Publish { topic, ..Publish::of(message, identifier, false) };
        output.put_publish(limit, |out| publish.encode(version, out))?;
        self.aliases.apply(update, &message.topic);
        Ok(identifier)
    }

    fn check(&self, message: &Message, version: ProtocolVersion) -> Result<(), PublishError> {
        self.limits.check(message)?;
        // A message names its topic, so that it can be sent again on a connection that knows no alias.
        if message.topic.is_empty() {
            return Err(WireError::Topic { packet: "PUBLISH", error: TopicError::Empty }.into());
        }
        if let (true, Some(alias)) = (version.is_v5(), message.properties.number(PropertyName::TopicAlias)) {
            let (alias, maximum) = (alias as u16, self.limits.topic_alias_maximum);
            if alias > maximum && !self.sends_any_alias {
                return Err(PublishError::TopicAlias { alias, maximum });
            }
        }
        if message.qos != QoS::AtMostOnce && self.window_free() == 0 {
            return Err(PublishError::WindowFull);
        }
        Ok(())
    }

    pub(super) fn subscribe(&mut self, mut subscribe: Subscribe, output: &mut Output) -> Result<u16, PublishError> {
        self.request(Slot::Suback, output, |identifier| {
            subscribe.packet_identifier = identifier;
            Packet::Subscribe(subscribe)
        })
    }

    pub(super) fn unsubscribe(
        &mut self,
        mut unsubscribe: Unsubscribe,
        output: &mut Output,
    ) -> Result<u16, PublishError> {
        self.request(Slot::Unsuback, output, |identifier| {
            unsubscribe.packet_identifier = identifier;
            Packet::Unsubscribe(unsubscribe)
        })
    }

    fn request(
        &mut self,
        place: Slot<K>,
        output: &mut Output,
        packet: impl FnOnce(u16) -> Packet<'static>,
    ) -> Result<u16, PublishError> {
        if self.outbound.identifiers_left() == 0 {
            return Err(PublishError::WindowFull);
        }
        let identifier = self.outbound.next_identifier();
        output.put_within(self.limits.maximum_packet_size, &packet(identifier))?;
        self.outbound.insert(place);
        Ok(identifier)
    }

    /// Takes the PUBACKs in front of the input that report success and nothing more for the oldest messages, one after
    /// the other: in a flood they come by the hundred, four bytes each. Leaves every other case to the general way.
    #[inline]
    pub(super) fn read_pubacks<'a, H: Handler<K>>(&mut self, input: &'a [u8], handler: &mut H) -> &'a [u8] {
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

    /// PUBACK, PUBREC or PUBCOMP has arrived.
    pub(super) fn handle_ack<H: Handler<K>>(
        &mut self,
        ack: &Ack,
        output: &mut Output,
        handler: &mut H,
    ) -> Result<(), SessionError> {
        let identifier = ack.packet_identifier;
        let unexpected = |what| Err(SessionError::unexpected(ack.kind.packet_type(), what));
        let Some(place) = self.outbound.get_mut(identifier) else {
            handle_unknown(ack, output, handler);
            return Ok(());
        };
        let outcome = if ack.reason.is_error() { Outcome::Refused } else { Outcome::Acknowledged };
        let outcome = match (ack.kind, &place) {
            (AckKind::Puback, Slot::Puback(_)) => outcome,
            // PUBREC has accepted the message. "Packet Identifier not found" is the answer to a PUBREL that is sent
            // again when the first one had arrived (§3.7.2.1).
            (AckKind::Pubcomp, Slot::Pubcomp(_)) => Outcome::Acknowledged,
            (AckKind::Puback | AckKind::Pubrec, Slot::Pubrec(_)) if outcome == Outcome::Refused => outcome,
            // Some brokers answer QoS 2 with PUBACK: the message is delivered, at QoS 1.
            (AckKind::Puback, Slot::Pubrec(_)) => Outcome::Downgraded,
            (AckKind::Pubrec, Slot::Pubrec(_)) => {
                if let Slot::Pubrec(kept) = std::mem::replace(place, Slot::Free) {
                    handler.on_received(&kept, ack.reason);
                    *place = Slot::Pubcomp(kept);
                }
                output.put_ack(AckKind::Pubrel, identifier);
                return Ok(());
            }
            (AckKind::Pubrec, Slot::Pubcomp(_)) => {
                output.put_ack(AckKind::Pubrel, identifier);
                return Ok(());
            }
            (_, Slot::Free) => {
                handle_unknown(ack, output, handler);
                return Ok(());
            }
            (AckKind::Pubcomp, Slot::Pubrec(_)) => return unexpected("arrived before PUBREC"),
            _ => return unexpected("answers a packet of another type"),
        };
        self.complete(identifier, outcome, ack.reason, &ack.properties, output, handler);
        Ok(())
    }

    fn complete<H: Handler<K>>(
        &mut self,
        packet_identifier: u16,
        outcome: Outcome,
        reason: ReasonCode,
        properties: &Properties,
        output: &mut Output,
        handler: &mut H,
    ) {
        if let Slot::Puback(kept) | Slot::Pubrec(kept) | Slot::Pubcomp(kept) = self.outbound.remove(packet_identifier) {
            handler.on_completed(Completion { kept, packet_identifier, outcome, reason, properties });
        }
        if self.outbound.resending() && outcome != Outcome::Lost {
            self.resend(output, handler);
        }
    }

    /// SUBACK has arrived. One that grants everything lets what waits for it go.
    pub(super) fn handle_suback<H: Handler<K>>(
        &mut self,
        suback: Suback,
        output: &mut Output,
        handler: &mut H,
    ) -> Result<(), SessionError> {
        if self.end_request(PacketType::Suback, suback.packet_identifier, handler)? {
            let is_granted = suback.reasons.iter().all(|reason| !reason.is_error());
            handler.on_event(Event::Subscribed(suback));
            if is_granted && std::mem::take(&mut self.waits_for_suback) {
                self.resend(output, handler);
            }
        }
        Ok(())
    }

    /// UNSUBACK has arrived.
    pub(super) fn handle_unsuback<H: Handler<K>>(
        &mut self,
        unsuback: Unsuback,
        handler: &mut H,
    ) -> Result<(), SessionError> {
        if self.end_request(PacketType::Unsuback, unsuback.packet_identifier, handler)? {
            handler.on_event(Event::Unsubscribed(unsuback));
        }
        Ok(())
    }

    /// SUBACK or UNSUBACK arrived; false if it answers nothing.
    fn end_request<H: Handler<K>>(
        &mut self,
        packet: PacketType,
        identifier: u16,
        handler: &mut H,
    ) -> Result<bool, SessionError> {
        match (packet, self.outbound.get_mut(identifier)) {
            (PacketType::Suback, Some(Slot::Suback)) | (PacketType::Unsuback, Some(Slot::Unsuback)) => {
                self.outbound.remove(identifier);
                Ok(true)
            }
            (_, None | Some(Slot::Free)) => {
                handler.on_event(Event::UnknownAcknowledgement(identifier));
                Ok(false)
            }
            _ => Err(SessionError::unexpected(packet, "answers a packet of another type")),
        }
    }

    /// Sends again what was in flight before, as far as the window allows: PUBLISH with DUP where the session lives,
    /// as a new PUBLISH where the broker has lost it; PUBREL where PUBREC had come.
    fn resend<H: Handler<K>>(&mut self, output: &mut Output, handler: &mut H) {
        if self.waits_for_suback {
            return;
        }
        let mut room = self.allowed().saturating_sub(self.outbound.sent());
        while room > 0 {
            let Some((identifier, place)) = self.outbound.next_to_resend() else { return };
            match put_again(place, identifier, self.session_lives, &self.limits, output, handler) {
                Ok(()) => room -= 1,
                Err(error) => {
                    let reason = error.reason();
                    self.complete(identifier, Outcome::Lost, reason, &Properties::new(), output, handler);
                }
            }
        }
    }
}

/// An acknowledgement that matches no message in flight: a repeated one, or one from an earlier connection. A PUBREC
/// with success is answered all the same, else the broker waits forever.
fn handle_unknown<K, H: Handler<K>>(ack: &Ack, output: &mut Output, handler: &mut H) {
    let identifier = ack.packet_identifier;
    if ack.kind == AckKind::Pubrec && !ack.reason.is_error() {
        let reason = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
        output.put(&Packet::Ack(Ack::with_reason(AckKind::Pubrel, identifier, reason)));
    }
    handler.on_event(Event::UnknownAcknowledgement(identifier));
}

/// Writes what stands in the window again. Fails when it was not kept or the broker does not take it.
fn put_again<K: Kept, H: Handler<K>>(
    place: &Slot<K>,
    identifier: u16,
    dup: bool,
    limits: &Limits,
    output: &mut Output,
    handler: &mut H,
) -> Result<(), PublishError> {
    let (version, limit) = (output.version(), limits.maximum_packet_size);
    let kept = match place {
        Slot::Pubcomp(_) => {
            let pubrel = Ack::success(AckKind::Pubrel, identifier);
            return Ok(output.append_within(usize::MAX, |out| pubrel.encode(version, out))?);
        }
        Slot::Puback(kept) | Slot::Pubrec(kept) => kept,
        Slot::Free | Slot::Suback | Slot::Unsuback => return Ok(()), // not given back by the walk
    };
    let Some(message) = kept.message() else {
        let mut is_kept = false;
        output.append_within(limit, |out| {
            is_kept = handler.rewrite(kept, identifier, dup, out);
            Ok(())
        })?;
        return if is_kept { Ok(()) } else { Err(PublishError::NotKept) };
    };
    limits.check(message)?;
    let mut publish = Publish::of(message, identifier, dup);
    let without_alias;
    if message.properties.get(PropertyName::TopicAlias).is_some() {
        // An alias belongs to the connection that is gone (§3.3.2.3.4).
        without_alias = without_topic_alias(&message.properties);
        publish.properties = PublishProperties::Owned(&without_alias);
    }
    Ok(output.append_within(limit, |out| publish.encode(version, out))?)
}

fn without_topic_alias(properties: &Properties) -> Properties {
    let mut properties = properties.clone();
    properties.remove(PropertyName::TopicAlias);
    properties
}
