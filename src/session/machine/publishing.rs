//! PUBLISH, SUBSCRIBE and UNSUBSCRIBE to the broker, and what is sent again after a reconnect (§4.4).

use super::{Session, append_within};
use crate::mqtt::wire::{Ack, AckKind, Packet, Publish, PublishProperties, Subscribe, Unsubscribe, WireError};
use crate::mqtt::{Message, Properties, PropertyName, ProtocolVersion, QoS, TopicError};
use crate::session::handler::{Handler, Kept, Outcome};
use crate::session::outbound::{Identifiers, Place};
use crate::session::{Limits, PublishError};

impl<K: Kept> Session<K> {
    /// Takes a place in the window for a message that the owner writes itself, after the output that
    /// [`Session::take_output`] gives. Returns its Packet Identifier; none while the window is full. QoS 0 needs none.
    /// Whether [`Session::limits`] allow the message is for the owner to look at, once a connection.
    #[inline]
    pub fn reserve(&mut self, qos: QoS, kept: K) -> Option<u16> {
        if self.window_free() == 0 {
            return None;
        }
        self.outbound.insert(Place::of(qos, kept)?)
    }

    /// The same for `count` messages of one kind, or as many as the window has places for.
    #[inline]
    pub fn reserve_many(&mut self, qos: QoS, count: usize, kept: K) -> Identifiers
    where
        K: Clone,
    {
        let free = count.min(self.window_free());
        match Place::of(qos, kept) {
            None => Identifiers::none(count),
            Some(place) => self.outbound.insert_many(free, place),
        }
    }

    /// Gives back an identifier from [`Session::reserve`] whose PUBLISH was never written.
    pub fn release(&mut self, packet_identifier: u16) {
        self.outbound.remove(packet_identifier);
    }

    /// Puts a PUBLISH into the output; QoS 1 and 2 are kept as `kept`, whose message is the one sent. Returns the Packet
    /// Identifier, 0 for QoS 0. Fails, and gives `kept` back, on what the broker or the standard does not allow.
    pub fn publish(&mut self, kept: K) -> Result<u16, (PublishError, K)> {
        let Some(message) = kept.message() else {
            return Err((PublishError::NotKept, kept));
        };
        let (qos, identifier) = match self.put_publish(message) {
            Ok(identifier) => (message.qos, identifier),
            Err(error) => return Err((error, kept)),
        };
        if let Some(place) = Place::of(qos, kept) {
            self.outbound.insert(place);
        }
        Ok(identifier)
    }

    /// Puts a PUBLISH of QoS 0 into the output, of which nothing is kept, so that the same message can serve for many.
    /// Fails as [`Session::publish`] does, and for any other QoS with [`PublishError::NotKept`].
    pub fn send(&mut self, message: &Message) -> Result<(), PublishError> {
        if message.qos != QoS::AtMostOnce {
            return Err(PublishError::NotKept);
        }
        self.put_publish(message).map(|_| ())
    }

    /// Puts the packet into the output; for QoS 1 and 2 under the identifier that the next place of the window has.
    fn put_publish(&mut self, message: &Message) -> Result<u16, PublishError> {
        self.check(message)?;
        let identifier = if message.qos == QoS::AtMostOnce { 0 } else { self.outbound.next_identifier() };
        let (topic, told) = self.aliased_topic(message);
        let publish = Publish { topic, ..Publish::of(message, identifier, false) };
        let limit = self.limits.maximum_packet_size;
        append_within(limit, &mut self.output, |out| publish.encode(self.version, out))?;
        self.has_spoken = true;
        match told {
            Told::Known => {}
            Told::New(place, alias) => self.told_aliases.insert(place, (alias, message.topic.clone())),
            Told::Changed(place) => message.topic.clone_into(&mut self.told_aliases[place].1),
        }
        Ok(identifier)
    }

    fn check(&self, message: &Message) -> Result<(), PublishError> {
        if !self.is_open() {
            return Err(PublishError::NotConnected);
        }
        self.limits.check(message)?;
        // A message names its topic, so that it can be sent again on a connection that knows no alias.
        if message.topic.is_empty() {
            return Err(WireError::Topic { packet: "PUBLISH", error: TopicError::Empty }.into());
        }
        if let (true, Some(alias)) = (self.version.is_v5(), message.properties.number(PropertyName::TopicAlias)) {
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

    /// The topic to send, empty where the broker knows it by the message's alias, and what to remember of the alias.
    fn aliased_topic<'a>(&self, message: &'a Message) -> (&'a str, Told) {
        let alias = message.properties.number(PropertyName::TopicAlias).filter(|_| self.version.is_v5());
        let Some(alias) = alias.map(|alias| alias as u16) else { return (&message.topic, Told::Known) };
        match self.told_aliases.binary_search_by_key(&alias, |told| told.0) {
            Ok(place) if self.told_aliases[place].1 == message.topic => ("", Told::Known),
            Ok(place) => (&message.topic, Told::Changed(place)),
            Err(place) => (&message.topic, Told::New(place, alias)),
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
        if self.outbound.identifiers_left() == 0 {
            return Err(PublishError::WindowFull);
        }
        let identifier = self.outbound.next_identifier();
        self.put_within_limit(&packet(identifier))?;
        self.outbound.insert(place);
        Ok(identifier)
    }

    /// Sends again what was in flight before, as far as the window allows: PUBLISH with DUP where the session lives,
    /// as a new PUBLISH where the broker has lost it; PUBREL where PUBREC had come.
    pub(super) fn resend<H: Handler<K>>(&mut self, handler: &mut H) {
        if self.waits_for_suback {
            return;
        }
        let mut room = self.allowed().saturating_sub(self.outbound.sent());
        while room > 0 {
            let Some((identifier, place)) = self.outbound.next_to_resend() else { return };
            let again = Again { identifier, dup: self.session_lives, version: self.version };
            match put_again(place, &again, &self.limits, &mut self.output, handler) {
                Ok(()) => room -= 1,
                Err(error) => {
                    let reason = error.reason();
                    self.complete(identifier, Outcome::Lost, reason, &Properties::new(), handler);
                }
            }
        }
    }
}

/// What a PUBLISH teaches the broker about its topic alias.
enum Told {
    /// Nothing.
    Known,
    /// An alias, to be put in this place.
    New(usize, u16),
    /// Another topic for the alias in this place.
    Changed(usize),
}

/// How a message is sent again.
struct Again {
    identifier: u16,
    dup: bool,
    version: ProtocolVersion,
}

/// Writes what stands in the window again. Fails when it was not kept or the broker does not take it.
fn put_again<K: Kept, H: Handler<K>>(
    place: &Place<K>,
    &Again { identifier, dup, version }: &Again,
    limits: &Limits,
    out: &mut Vec<u8>,
    handler: &mut H,
) -> Result<(), PublishError> {
    let kept = match place {
        Place::Pubcomp(_) => return Ok(Ack::success(AckKind::Pubrel, identifier).encode(version, out)?),
        Place::Puback(kept) | Place::Pubrec(kept) => kept,
        Place::Free | Place::Suback | Place::Unsuback => return Ok(()), // not given back by the walk
    };
    let Some(message) = kept.message() else {
        let mut is_kept = false;
        append_within(limits.maximum_packet_size, out, |out| {
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
    Ok(append_within(limits.maximum_packet_size, out, |out| publish.encode(version, out))?)
}

fn without_topic_alias(properties: &Properties) -> Properties {
    let mut properties = properties.clone();
    properties.remove(PropertyName::TopicAlias);
    properties
}
