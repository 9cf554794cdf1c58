//! QoS 0 messages between the session and the socket: nobody acknowledges them, so all that is known of them is how
//! much the socket has taken. Pure.

use std::collections::VecDeque;

use super::compose::Draft;

/// A message by its number.
type Numbered = (u64, Draft);

/// The QoS 0 messages that are not known to be written, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Unacknowledged {
    /// On their way, each with the position in the output where it ends.
    sent: VecDeque<(u64, Numbered)>,
    /// To be sent again: lost with a connection.
    again: VecDeque<Numbered>,
}

impl Unacknowledged {
    /// A message was put into the output, where it ends at `end`.
    pub(super) fn put(&mut self, end: u64, number: u64, draft: Draft) {
        self.sent.push_back((end, (number, draft)));
    }

    /// A message could not be sent after all: it is the next one.
    pub(super) fn put_back(&mut self, number: u64, draft: Draft) {
        self.again.push_front((number, draft));
    }

    /// The next message to send again.
    pub(super) fn take_again(&mut self) -> Option<Numbered> {
        self.again.pop_front()
    }

    /// The socket has taken `written` bytes: returns how many messages it has taken with them.
    pub(super) fn note_written(&mut self, written: u64) -> usize {
        let whole = self.sent.iter().take_while(|(end, _)| *end <= written).count();
        self.sent.drain(..whole);
        whole
    }

    /// All that is on its way counts as written: returns how many messages that are.
    pub(super) fn note_all_written(&mut self) -> usize {
        self.sent.drain(..).count()
    }

    /// The connection is lost: what was on its way is to be sent again. Returns how many messages that are.
    pub(super) fn note_loss(&mut self) -> usize {
        let lost = self.sent.len();
        self.sent.drain(..).rev().for_each(|(_, message)| self.again.push_front(message));
        lost
    }

    /// The first one.
    pub(super) fn first(&self) -> Option<&Numbered> {
        self.sent.front().map(|(_, message)| message).or(self.again.front())
    }

    /// Whether all are on their way.
    pub(super) fn is_sent(&self) -> bool {
        self.again.is_empty()
    }

    /// Whether none is on its way.
    pub(super) fn is_written(&self) -> bool {
        self.sent.is_empty()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.sent.len() + self.again.len()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn draft(payload: &'static [u8]) -> Draft {
        Draft::Payload(Bytes::from_static(payload))
    }

    #[test]
    fn what_was_not_written_whole_is_sent_again_in_order() {
        let mut messages = Unacknowledged::default();
        for number in 1..=4 {
            messages.put(number * 10, number, draft(b"x"));
        }
        assert_eq!((messages.note_written(25), messages.len(), messages.first()), (2, 2, Some(&(3, draft(b"x")))));
        assert_eq!((messages.note_loss(), messages.is_written(), messages.len()), (2, true, 2));
        assert_eq!(messages.take_again().map(|(number, _)| number), Some(3));
        messages.put_back(3, draft(b""));
        messages.put(10, 5, draft(b""));
        assert_eq!(messages.note_loss(), 1);
        let order: Vec<u64> = std::iter::from_fn(|| messages.take_again()).map(|(number, _)| number).collect();
        assert_eq!(order, [5, 3, 4], "a loss before everything old was sent again");
    }

    #[test]
    fn the_end_of_a_run_may_write_the_rest() {
        let mut messages = Unacknowledged::default();
        messages.put(10, 1, draft(b""));
        assert_eq!((messages.note_all_written(), messages.len(), messages.first()), (1, 0, None));
    }
}
