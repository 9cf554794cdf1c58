//! Messages on their way out: which Packet Identifiers are in use and what is still owed for each (§2.2.1, §4.3).
//!
//! Identifiers are given in rising order, so what is in flight is a ring: an identifier's place is its distance from
//! the oldest one. Finding a place costs a subtraction, and the ring's order is the order of sending, which is the
//! order in which everything is sent again (MQTT-4.6.0-1).

use std::collections::VecDeque;

use super::Kept;

/// What is owed for an identifier.
#[derive(Debug)]
pub(super) enum Place<K> {
    /// Nothing: done before older ones were.
    Free,
    /// PUBACK for a QoS 1 message.
    Puback(K),
    /// PUBREC for a QoS 2 message.
    Pubrec(K),
    /// PUBCOMP for a QoS 2 message.
    Pubcomp(K),
    /// SUBACK.
    Suback,
    /// UNSUBACK.
    Unsuback,
}

impl<K> Place<K> {
    const fn is_message(&self) -> bool {
        matches!(self, Self::Puback(_) | Self::Pubrec(_) | Self::Pubcomp(_))
    }
}

/// The ring of identifiers in use.
#[derive(Debug)]
pub(super) struct Outbound<K> {
    places: VecDeque<Place<K>>,
    /// The identifier of the first place, or the next to be given when there is none.
    first: u16,
    messages: usize,
    /// Messages of an earlier connection that are yet to be sent again; all of them stand at `resend_from` or behind.
    unsent: usize,
    resend_from: usize,
}

/// What a new connection finds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Resumed {
    /// Messages that can be sent again.
    pub(super) messages: usize,
    /// Of these, QoS 2 messages that the broker may have delivered in a session that it has lost.
    pub(super) uncertain: usize,
}

/// Identifiers are 1 to 65,535.
const IDENTIFIERS: usize = 65_535;

impl<K> Default for Outbound<K> {
    fn default() -> Self {
        Self { places: VecDeque::new(), first: 1, messages: 0, unsent: 0, resend_from: 0 }
    }
}

impl<K> Outbound<K> {
    /// Gives this identifier next; only while none has been given. 0 is none, so 1 is taken for it.
    pub(super) fn begin_at(&mut self, identifier: u16) {
        if self.places.is_empty() {
            self.first = identifier.max(1);
        }
    }

    /// Messages that are not done, those waiting to be sent again included.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    /// Messages of QoS 1 and 2 in flight on this connection.
    pub(super) fn sent(&self) -> usize {
        self.messages - self.unsent
    }

    pub(super) fn resending(&self) -> bool {
        self.unsent > 0
    }

    /// The identifier that [`Outbound::insert`] gives next.
    pub(super) fn next_identifier(&self) -> u16 {
        self.identifier(self.places.len())
    }

    /// Identifiers that can be given now: those that do not lie between the oldest and the newest one in use.
    pub(super) fn identifiers_left(&self) -> usize {
        IDENTIFIERS - self.places.len()
    }

    fn identifier(&self, distance: usize) -> u16 {
        // Compared and not divided: this is done for every message of a flood.
        let identifier = usize::from(self.first) + distance;
        (if identifier > IDENTIFIERS { identifier - IDENTIFIERS } else { identifier }) as u16
    }

    /// Takes the next identifier. None while all 65,535 lie between the oldest and the newest one in use.
    pub(super) fn insert(&mut self, place: Place<K>) -> Option<u16> {
        if self.identifiers_left() == 0 {
            return None;
        }
        let identifier = self.next_identifier();
        self.messages += usize::from(place.is_message());
        self.places.push_back(place);
        Some(identifier)
    }

    pub(super) fn get_mut(&mut self, identifier: u16) -> Option<&mut Place<K>> {
        let index = self.index(identifier);
        self.places.get_mut(index)
    }

    /// Ends what is in flight under this identifier and gives back what it was.
    pub(super) fn remove(&mut self, identifier: u16) -> Place<K> {
        let index = self.index(identifier);
        let Some(place) = self.places.get_mut(index) else { return Place::Free };
        let place = std::mem::replace(place, Place::Free);
        if place.is_message() {
            self.messages -= 1;
            self.unsent -= usize::from(self.unsent > 0 && index >= self.resend_from);
        }
        self.drop_free();
        place
    }

    /// Ends a message of QoS 1 whose PUBACK says yes and gives it back. None where it is another case, with nothing
    /// changed: an identifier not in use, another QoS, or messages of an earlier connection that are to be sent again.
    #[inline]
    pub(super) fn acknowledge(&mut self, identifier: u16) -> Option<K> {
        if self.unsent > 0 || identifier == 0 {
            return None;
        }
        let index = self.index(identifier);
        let place = self.places.get_mut(index)?;
        if !matches!(place, Place::Puback(_)) {
            return None;
        }
        self.messages -= 1;
        let place = if index == 0 {
            // Brokers mostly answer in order.
            let first = self.places.pop_front();
            self.first = self.identifier(1);
            self.resend_from = self.resend_from.saturating_sub(1);
            first
        } else {
            Some(std::mem::replace(place, Place::Free))
        };
        if let Some(Place::Free) = self.places.front() {
            self.drop_free();
        }
        match place {
            Some(Place::Puback(kept)) => Some(kept),
            _ => None, // cannot be: it was looked at
        }
    }

    fn index(&self, identifier: u16) -> usize {
        let (identifier, first) = (usize::from(identifier), usize::from(self.first));
        if identifier >= first { identifier - first } else { identifier + IDENTIFIERS - first }
    }

    fn drop_free(&mut self) {
        while let Some(Place::Free) = self.places.front() {
            self.places.pop_front();
            self.first = if usize::from(self.first) == IDENTIFIERS { 1 } else { self.first + 1 };
            self.resend_from = self.resend_from.saturating_sub(1);
        }
    }

    /// A new connection: SUBSCRIBE and UNSUBSCRIBE are forgotten, every message is to be sent again. With `anew` the
    /// broker has lost the session: what waited for PUBCOMP begins at its PUBLISH.
    pub(super) fn resume(&mut self, anew: bool) -> Resumed
    where
        K: Kept,
    {
        let mut resumed = Resumed::default();
        for place in &mut self.places {
            *place = match std::mem::replace(place, Place::Free) {
                Place::Pubcomp(kept) if anew => Place::Pubrec(kept),
                Place::Suback | Place::Unsuback => Place::Free,
                other => other,
            };
            match place {
                Place::Puback(kept) | Place::Pubrec(kept) if kept.message().is_none() => {}
                place => {
                    resumed.messages += usize::from(place.is_message());
                    resumed.uncertain += usize::from(anew && matches!(place, Place::Pubrec(_)));
                }
            }
        }
        self.unsent = self.messages;
        self.resend_from = 0;
        self.drop_free();
        resumed
    }

    /// The next message that is to be sent again, with its identifier; the walk goes on at the following call.
    pub(super) fn next_to_resend(&mut self) -> Option<(u16, &Place<K>)> {
        if self.unsent == 0 {
            return None;
        }
        let index = self.resend_from + self.places.iter().skip(self.resend_from).position(Place::is_message)?;
        self.resend_from = index + 1;
        self.unsent -= 1;
        let identifier = self.identifier(index);
        self.places.get(index).map(|place| (identifier, place))
    }
}
