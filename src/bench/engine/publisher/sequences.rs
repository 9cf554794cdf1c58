//! The sequence numbers of a publisher's messages: which the kernel has, and which belongs to a Packet Identifier.

use crate::session::Identifiers;

/// Sequence numbers rise by one per message.
#[derive(Debug)]
pub(super) struct Sequences {
    /// The number of the next message.
    next: u64,
    /// All messages below this one were taken by the kernel; the rest waits in the link.
    written: u64,
    /// The Packet Identifier of the first message of the last batch, and its number.
    anchor: (u16, u64),
}

impl Sequences {
    pub(super) const fn new() -> Self {
        Self { next: 0, written: 0, anchor: (1, 0) }
    }

    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Messages that the kernel does not have yet.
    pub(super) const fn unwritten(&self) -> u64 {
        self.next - self.written
    }

    /// Assigns the next numbers to messages with these identifiers. Returns the first.
    #[inline]
    pub(super) fn assign(&mut self, identifiers: &Identifiers) -> u64 {
        let first = self.next;
        if let Some(identifier) = identifiers.clone().next() {
            self.anchor = (identifier, first);
        }
        self.next += identifiers.len() as u64;
        first
    }

    /// The kernel took this many more messages.
    pub(super) const fn add_written(&mut self, messages: u64) {
        self.written += messages;
    }

    /// A message was written again. Returns whether the kernel takes it for the first time.
    pub(super) fn add_resent(&mut self, sequence: u64) -> bool {
        let is_new = sequence >= self.written;
        self.written = self.written.max(sequence + 1);
        is_new
    }

    /// Takes back the numbers of the messages that the kernel does not have: they were never sent.
    pub(super) const fn take_back_unwritten(&mut self) {
        self.next = self.written;
    }

    /// The number of a message in the window, by its Packet Identifier.
    pub(super) fn of_identifier(&self, identifier: u16) -> u64 {
        let distance =
            |from: u16, to: u16| (u64::from(to) + u64::from(u16::MAX) - u64::from(from)) % u64::from(u16::MAX);
        let (first, sequence) = self.anchor;
        let after = distance(first, identifier);
        if after < self.next - sequence {
            sequence + after
        } else {
            sequence.saturating_sub(distance(identifier, first))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::mqtt::{Message, QoS};
    use crate::session::Session;

    #[test]
    fn a_message_is_found_by_its_identifier() {
        let mut session: Session<Message> = Session::new(Instant::now());
        let mut sequences = Sequences::new();
        assert_eq!(sequences.assign(&session.reserve_many(QoS::AtMostOnce, 3, Message::default())), 0);
        sequences.anchor = (65_534, 3);
        sequences.next = 7;
        let found = [65_532, 65_534, 65_535, 1, 2].map(|identifier| sequences.of_identifier(identifier));
        assert_eq!(found, [1, 3, 4, 5, 6], "identifiers continue at 1 after 65,535");
        sequences.add_written(5);
        assert_eq!([sequences.add_resent(4), sequences.add_resent(5)], [false, true]);
        sequences.take_back_unwritten();
        assert_eq!((sequences.next(), sequences.unwritten()), (6, 0));
    }
}
