//! Messages on their way out: which Packet Identifiers are in use and what is outstanding for each (§2.2.1, §4.3).
//!
//! Identifiers are given in rising order, so what is in flight is a ring: an identifier's slot is its distance from
//! the oldest one. Finding a slot costs a subtraction, and the ring's order is the order of sending, which is the
//! order in which everything is sent again (MQTT-4.6.0-1).

use std::collections::VecDeque;
use std::collections::vec_deque::Drain;

use super::Kept;
use super::identifiers::{IDENTIFIERS, Identifiers};
use crate::mqtt::QoS;

/// The next step for an identifier.
#[derive(Clone, Debug)]
pub(crate) enum Slot<K> {
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

impl<K> Slot<K> {
    /// The first outstanding step of a message of this QoS; none at QoS 0.
    #[inline]
    pub(crate) fn of(qos: QoS, kept: K) -> Option<Self> {
        match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(Self::Puback(kept)),
            QoS::ExactlyOnce => Some(Self::Pubrec(kept)),
        }
    }

    const fn is_message(&self) -> bool {
        matches!(self, Self::Puback(_) | Self::Pubrec(_) | Self::Pubcomp(_))
    }
}

/// The ring of identifiers in use.
#[derive(Debug)]
pub(crate) struct Outbound<K> {
    slots: VecDeque<Slot<K>>,
    /// The identifier of the first slot, or the next to be given when there is none.
    first: u16,
    messages: usize,
    /// Messages of an earlier connection that are yet to be sent again; all of them stand at `resend_from` or behind.
    unsent: usize,
    resend_from: usize,
    /// Number of slots at the front whose outcome a lost session has made uncertain; each is counted once.
    uncertain: usize,
}

/// What was kept for messages that one read has acknowledged, oldest first.
pub(crate) struct Acknowledged<'a, K>(Drain<'a, Slot<K>>);

impl<K> Iterator for Acknowledged<'_, K> {
    type Item = K;

    #[inline]
    fn next(&mut self) -> Option<K> {
        match self.0.next()? {
            Slot::Puback(kept) => Some(kept),
            _ => None, // cannot be: it was looked at
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<K> ExactSizeIterator for Acknowledged<'_, K> {}

/// What a new connection finds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Resumed {
    /// Messages that can be sent again.
    pub(crate) messages: usize,
    /// Of these, QoS 2 messages that the broker may have delivered in a session that it has lost; not those of which
    /// that was known before.
    pub(crate) uncertain: usize,
}

impl<K> Default for Outbound<K> {
    fn default() -> Self {
        Self { slots: VecDeque::new(), first: 1, messages: 0, unsent: 0, resend_from: 0, uncertain: 0 }
    }
}

impl<K> Outbound<K> {
    /// Gives this identifier next; only while none has been given. 0 is none, so 1 is taken for it.
    pub(crate) fn begin_at(&mut self, identifier: u16) {
        if self.slots.is_empty() {
            self.first = identifier.max(1);
        }
    }

    /// Messages that are not done, those waiting to be sent again included.
    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    /// QoS 1 and 2 messages in flight on this connection.
    pub(crate) fn sent(&self) -> usize {
        self.messages - self.unsent
    }

    pub(crate) fn resending(&self) -> bool {
        self.unsent > 0
    }

    /// The identifier that [`Outbound::insert`] gives next.
    pub(crate) fn next_identifier(&self) -> u16 {
        self.identifier(self.slots.len())
    }

    /// Identifiers that can be given now: those that do not lie between the oldest and the newest one in use.
    pub(crate) fn identifiers_left(&self) -> usize {
        IDENTIFIERS - self.slots.len()
    }

    fn identifier(&self, distance: usize) -> u16 {
        let identifier = usize::from(self.first) + distance;
        (if identifier > IDENTIFIERS { identifier - IDENTIFIERS } else { identifier }) as u16
    }

    /// Takes the next identifier. None while all 65,535 lie between the oldest and the newest one in use.
    pub(crate) fn insert(&mut self, slot: Slot<K>) -> Option<u16> {
        if self.identifiers_left() == 0 {
            return None;
        }
        let identifier = self.next_identifier();
        self.messages += usize::from(slot.is_message());
        self.slots.push_back(slot);
        Some(identifier)
    }

    /// Takes this identifier, which is not in use and comes after those that are; the ones between are left out. For
    /// a session that is read back from where it was kept.
    pub(crate) fn insert_as(&mut self, identifier: u16, slot: Slot<K>) {
        let index = self.index(identifier);
        if index < self.slots.len() {
            if let Some(free @ Slot::Free) = self.slots.get_mut(index) {
                self.messages += usize::from(slot.is_message());
                *free = slot;
            }
            return;
        }
        while self.slots.len() < index {
            self.slots.push_back(Slot::Free);
        }
        self.insert(slot);
    }

    /// Takes the next `count` identifiers, or as many as there are, for the same.
    #[inline]
    pub(crate) fn insert_many(&mut self, count: usize, slot: Slot<K>) -> Identifiers
    where
        K: Clone,
    {
        let left = count.min(self.identifiers_left());
        let identifiers = Identifiers::following(self.next_identifier(), left);
        self.messages += if slot.is_message() { left } else { 0 };
        self.slots.extend(std::iter::repeat_n(slot, left));
        identifiers
    }

    pub(crate) fn get_mut(&mut self, identifier: u16) -> Option<&mut Slot<K>> {
        let index = self.index(identifier);
        self.slots.get_mut(index)
    }

    /// Ends what is in flight under this identifier and returns what it was.
    pub(crate) fn remove(&mut self, identifier: u16) -> Slot<K> {
        let index = self.index(identifier);
        let Some(slot) = self.slots.get_mut(index) else { return Slot::Free };
        let slot = std::mem::replace(slot, Slot::Free);
        if slot.is_message() {
            self.messages -= 1;
            self.unsent -= usize::from(self.unsent > 0 && index >= self.resend_from);
        }
        self.drop_free();
        slot
    }

    /// How many of the oldest messages have these identifiers, in this order, and wait for PUBACK. None while messages
    /// of an earlier connection are to be sent again.
    #[inline]
    pub(crate) fn in_order(&self, identifiers: impl Iterator<Item = u16>) -> usize {
        if self.unsent > 0 {
            return 0;
        }
        let oldest = Identifiers::following(self.first, self.slots.len());
        let slots = oldest.zip(&self.slots).zip(identifiers);
        slots.take_while(|((own, slot), reported)| own == reported && matches!(slot, Slot::Puback(_))).count()
    }

    /// Ends the `count` oldest messages, all of which wait for PUBACK ([`Outbound::in_order`] has looked), and hands
    /// them over with the identifier of the first.
    #[inline]
    pub(crate) fn acknowledge_oldest(&mut self, count: usize, hand_over: impl FnOnce(u16, Acknowledged<'_, K>)) {
        let first = self.first;
        self.messages -= count;
        self.first = self.identifier(count);
        self.resend_from = self.resend_from.saturating_sub(count);
        self.uncertain = self.uncertain.saturating_sub(count);
        hand_over(first, Acknowledged(self.slots.drain(..count)));
        self.drop_free();
    }

    fn index(&self, identifier: u16) -> usize {
        let (identifier, first) = (usize::from(identifier), usize::from(self.first));
        if identifier >= first { identifier - first } else { identifier + IDENTIFIERS - first }
    }

    fn drop_free(&mut self) {
        while let Some(Slot::Free) = self.slots.front() {
            self.slots.pop_front();
            self.first = if usize::from(self.first) == IDENTIFIERS { 1 } else { self.first + 1 };
            self.resend_from = self.resend_from.saturating_sub(1);
            self.uncertain = self.uncertain.saturating_sub(1);
        }
    }

    /// A new connection: SUBSCRIBE and UNSUBSCRIBE are forgotten, every message is to be sent again. With `anew` the
    /// broker has lost the session: what waited for PUBCOMP begins at its PUBLISH.
    pub(crate) fn resume(&mut self, anew: bool) -> Resumed
    where
        K: Kept,
    {
        let mut resumed = Resumed::default();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            *slot = match std::mem::replace(slot, Slot::Free) {
                Slot::Pubcomp(kept) if anew => Slot::Pubrec(kept),
                Slot::Suback | Slot::Unsuback => Slot::Free,
                other => other,
            };
            match slot {
                Slot::Puback(kept) | Slot::Pubrec(kept) if kept.message().is_none() => {}
                slot => {
                    resumed.messages += usize::from(slot.is_message());
                    let is_uncertain = anew && matches!(slot, Slot::Pubrec(_));
                    resumed.uncertain += usize::from(is_uncertain && index >= self.uncertain);
                }
            }
        }
        if anew {
            self.uncertain = self.slots.len();
        }
        self.unsent = self.messages;
        self.resend_from = 0;
        self.drop_free();
        resumed
    }

    /// A new connection in a session that both ends resume: every message is to be sent again.
    pub(crate) fn begin_resending(&mut self) {
        self.unsent = self.messages;
        self.resend_from = 0;
        self.drop_free();
    }

    /// How many identifiers lie between the oldest and the newest one in use, both included.
    pub(crate) fn span(&self) -> usize {
        self.slots.len()
    }

    /// What is in flight, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &Slot<K>)> {
        Identifiers::from(self.first).zip(&self.slots)
    }

    /// What is kept for the oldest message.
    pub(crate) fn oldest(&self) -> Option<&K> {
        self.slots.iter().find_map(|slot| match slot {
            Slot::Puback(kept) | Slot::Pubrec(kept) | Slot::Pubcomp(kept) => Some(kept),
            Slot::Free | Slot::Suback | Slot::Unsuback => None,
        })
    }

    /// The next message that is to be sent again, with its identifier; the next call returns the one after it.
    pub(crate) fn next_to_resend(&mut self) -> Option<(u16, &Slot<K>)> {
        if self.unsent == 0 {
            return None;
        }
        let index = self.resend_from + self.slots.iter().skip(self.resend_from).position(Slot::is_message)?;
        self.resend_from = index + 1;
        self.unsent -= 1;
        let identifier = self.identifier(index);
        self.slots.get(index).map(|slot| (identifier, slot))
    }
}
