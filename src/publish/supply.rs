//! The messages of a run in the order in which they are to be sent: what the source gives, made into messages.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use super::compose::{Composer, Draft, LineFault};
use super::lines::Line;
use super::source::{MOST_READ_AHEAD, Source};
use crate::mqtt::Message;
use crate::mqtt::wire::MAX_REMAINING_LENGTH;

/// The next message of a run.
#[derive(Debug)]
pub(super) enum Next {
    /// It is there.
    Draft(Draft),
    /// Its payload has more bytes than a message can have; they were dropped.
    TooLong {
        /// How many they were.
        length: u64,
    },
    /// A line is not a message.
    Bad(LineFault),
}

/// The messages of a run.
#[derive(Debug)]
pub(super) struct Supply {
    source: Source,
    composer: Composer,
    /// Lines hold more than a payload, so that the limit of a payload is not theirs.
    has_own_limit: bool,
    /// Further messages of the last line, each for another topic.
    more: VecDeque<Message>,
    /// The number of the last line.
    number: u64,
    is_stopped: bool,
}

impl Supply {
    pub(super) const fn new(source: Source, composer: Composer, has_own_limit: bool) -> Self {
        Self { source, composer, has_own_limit, more: VecDeque::new(), number: 0, is_stopped: false }
    }

    /// The next message with the number of its line or repetition, from 1. A payload has at most `limit` bytes.
    pub(super) fn next(&mut self, limit: usize) -> Option<(u64, Next)> {
        if let Some(message) = self.more.pop_front() {
            return Some((self.number, Next::Draft(Draft::Whole(message))));
        }
        if self.is_stopped {
            return None;
        }
        let limit = if self.has_own_limit { MAX_REMAINING_LENGTH } else { limit };
        let (number, line) = self.source.next(limit)?;
        self.number = number;
        let next = match line {
            Line::Whole(line) => match self.composer.compose(line, &mut self.more) {
                Ok(draft) => Next::Draft(draft),
                Err(fault) => Next::Bad(fault),
            },
            Line::TooLong { length } if self.has_own_limit => Next::Bad(LineFault::TooLong { length, limit }),
            Line::TooLong { length } => Next::TooLong { length },
        };
        Some((number, next))
    }

    /// Reads no further.
    pub(super) const fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Whether some of the input is not read on purpose.
    pub(super) const fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Waits until there may be more. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// The input cannot be read.
    pub(super) async fn wait(&mut self) -> io::Result<()> {
        self.source.wait().await
    }

    /// Whether the next message of a source that is not lines may be sent now; `is_busy` while earlier ones are under
    /// way.
    pub(super) fn is_due(&mut self, is_busy: bool, now: Instant) -> bool {
        match &mut self.source {
            // The topics of one repetition go together.
            Source::Repeated(repetition) => !self.more.is_empty() || (!is_busy && repetition.is_due(now)),
            Source::Lines(_) => true,
        }
    }

    /// Whether there is nothing more to come, once [`Supply::next`] has given nothing.
    pub(super) fn has_ended(&self) -> bool {
        self.more.is_empty() && (self.is_stopped || self.source.has_ended())
    }

    /// Whether nothing more is read.
    pub(super) const fn is_over(&self) -> bool {
        self.is_stopped || self.source.is_read()
    }

    /// Whether all of the input has been read; some of it may wait to be sent.
    pub(super) const fn is_read(&self) -> bool {
        !self.is_stopped && self.source.is_read()
    }

    /// Whether more is surely waiting to be sent than what was given out.
    pub(super) fn has_more(&self) -> bool {
        !self.more.is_empty() || (!self.is_stopped && self.source.has_more())
    }

    /// Whether what was read ahead leaves room for more.
    pub(super) fn has_room(&self) -> bool {
        !self.is_over() && self.source.held() < MOST_READ_AHEAD
    }

    /// Messages that were taken up, or promised, and have not been given out. It ends the reading, so it is for the end
    /// of a run.
    pub(super) fn left(&mut self) -> u64 {
        let lines = if self.is_stopped { 0 } else { self.source.left() };
        self.more.len() as u64 + lines * self.composer.messages_per_line()
    }

    /// How far it is, and how far it goes where that is known: repetitions, or bytes of the input.
    pub(super) fn position(&self) -> (u64, Option<u64>) {
        self.source.position()
    }

    /// Whether it is worth a progress line.
    pub(super) const fn is_long(&self) -> bool {
        self.source.is_long()
    }
}
