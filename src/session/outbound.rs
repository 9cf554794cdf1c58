//! Messages on their way out: which Packet Identifiers are in use and what is still owed for each (§2.2.1, §4.3).
//!
//! Identifiers are given in rising order, so what is in flight is a ring: an identifier's place is its distance from
//! the oldest one. Finding a place costs a subtraction, and the ring's order is the order of sending, which is the
//! order in which everything is sent again (MQTT-4.6.0-1).

use std::collections::VecDeque;

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
    /// Places from here on hold messages of an earlier connection that are yet to be sent again.
    resend_from: Option<usize>,
}

/// Identifiers are 1 to 65,535.
const IDENTIFIERS: usize = 65_535;

impl<K> Default for Outbound<K> {
    fn default() -> Self {
        Self { places: VecDeque::new(), first: 1, messages: 0, resend_from: None }
    }
}

impl<K> Outbound<K> {
    /// Messages that are not done, those waiting to be sent again included.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    /// Messages of QoS 1 and 2 in flight on this connection.
    pub(super) fn sent(&self) -> usize {
        match self.resend_from {
            None => self.messages,
            Some(from) => self.places.iter().take(from).filter(|place| place.is_message()).count(),
        }
    }

    pub(super) fn resending(&self) -> bool {
        self.resend_from.is_some()
    }

    /// The identifier that [`Outbound::insert`] gives next.
    pub(super) fn next_identifier(&self) -> u16 {
        self.identifier(self.places.len())
    }

    /// Whether all identifiers lie between the oldest and the newest one in use.
    pub(super) fn is_exhausted(&self) -> bool {
        self.places.len() >= IDENTIFIERS
    }

    fn identifier(&self, distance: usize) -> u16 {
        ((usize::from(self.first) - 1 + distance) % IDENTIFIERS + 1) as u16
    }

    /// Takes the next identifier. None while all 65,535 lie between the oldest and the newest one in use.
    pub(super) fn insert(&mut self, place: Place<K>) -> Option<u16> {
        if self.is_exhausted() {
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
        self.messages -= usize::from(place.is_message());
        self.drop_free();
        place
    }

    fn index(&self, identifier: u16) -> usize {
        (usize::from(identifier) + IDENTIFIERS - usize::from(self.first)) % IDENTIFIERS
    }

    fn drop_free(&mut self) {
        while let Some(Place::Free) = self.places.front() {
            self.places.pop_front();
            self.first = if usize::from(self.first) == IDENTIFIERS { 1 } else { self.first + 1 };
            if let Some(from) = &mut self.resend_from {
                *from = from.saturating_sub(1);
            }
        }
        // Done, also when what was left to send again has been dropped.
        if self.resend_from.is_some_and(|from| from >= self.places.len()) {
            self.resend_from = None;
        }
    }

    /// A new connection: SUBSCRIBE and UNSUBSCRIBE are forgotten, every message is to be sent again. With `anew` the
    /// broker has lost the session: what waited for PUBCOMP begins at its PUBLISH. Gives back how many messages
    /// wait, and how many of them were at PUBCOMP and begin anew.
    pub(super) fn resume(&mut self, anew: bool) -> (usize, usize) {
        let mut uncertain = 0;
        for place in &mut self.places {
            *place = match std::mem::replace(place, Place::Free) {
                Place::Pubcomp(kept) if anew => {
                    uncertain += 1;
                    Place::Pubrec(kept)
                }
                Place::Suback | Place::Unsuback => Place::Free,
                other => other,
            };
        }
        self.resend_from = Some(0);
        self.drop_free();
        (self.messages, uncertain)
    }

    /// The next message that is to be sent again, with its identifier; the walk goes on at the following call.
    pub(super) fn next_to_resend(&mut self) -> Option<(u16, &Place<K>)> {
        let from = self.resend_from?;
        match self.places.iter().skip(from).position(Place::is_message) {
            None => {
                self.resend_from = None;
                None
            }
            Some(offset) => {
                let index = from + offset;
                self.resend_from = if index + 1 < self.places.len() { Some(index + 1) } else { None };
                let identifier = self.identifier(index);
                self.places.get(index).map(|place| (identifier, place))
            }
        }
    }
}
