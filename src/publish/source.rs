//! Payloads in the order in which they are to be sent: one that is repeated, or the lines of an input.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::input::{InputChunks, LineInput};
use super::lines::{Line, LineSplitter};

/// Most bytes that are read ahead while nothing can be sent.
pub(super) const MOST_READ_AHEAD: usize = 64 * 1024;

/// Where the next payload comes from.
#[derive(Debug)]
pub(crate) enum Source {
    Repeated(Repetition),
    Lines(Lines),
}

/// One payload, a number of times.
#[derive(Debug)]
pub(crate) struct Repetition {
    payload: Bytes,
    times: u64,
    left: u64,
    delay: Duration,
    begun: bool,
    /// When the next one may be sent; known once the one before is done.
    due: Option<Instant>,
}

/// The lines of an input.
#[derive(Debug)]
pub(crate) struct Lines {
    chunks: InputChunks,
    splitter: LineSplitter,
    ended: bool,
    /// Lines that were given out.
    taken: u64,
    /// Bytes that were read.
    read: u64,
}

impl Repetition {
    pub(crate) const fn new(payload: Bytes, times: u64, delay: Duration) -> Self {
        Self { payload, times, left: times, delay, begun: false, due: None }
    }

    /// The one before is done: whether the next one may be sent now.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let delay = if self.begun { self.delay } else { Duration::ZERO };
        // A delay beyond the end of time is one that never ends.
        *self.due.get_or_insert_with(|| now.checked_add(delay).unwrap_or(now + FAR)) <= now
    }
}

/// Further away than any run is long.
pub(super) const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Source {
    /// Lines that end with this byte.
    pub(super) const fn lines(chunks: InputChunks, end: u8) -> Self {
        Self::Lines(Lines { chunks, splitter: LineSplitter::new(end), ended: false, taken: 0, read: 0 })
    }

    /// The lines of a recording.
    ///
    /// # Errors
    /// It cannot be opened, or its beginning cannot be read.
    pub(super) fn recording(input: &LineInput) -> io::Result<Self> {
        Ok(Self::lines(InputChunks::of_recording(input)?, b'\n'))
    }

    /// The next payload with its number from 1, as far as it is there. No line is given out that is longer than `limit`
    /// and did not come in one piece.
    pub(crate) fn next(&mut self, limit: usize) -> Option<(u64, Line)> {
        match self {
            Self::Repeated(repetition) => {
                repetition.left = repetition.left.checked_sub(1)?;
                repetition.begun = true;
                repetition.due = None;
                Some((repetition.times - repetition.left, Line::Whole(repetition.payload.clone())))
            }
            Self::Lines(lines) => {
                let line = match lines.splitter.next_line(limit) {
                    None if lines.ended => lines.splitter.finish(),
                    line => line,
                }?;
                lines.taken += 1;
                Some((lines.taken, line))
            }
        }
    }

    /// Waits until there may be more. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// The input cannot be read.
    pub(crate) async fn wait(&mut self) -> io::Result<()> {
        match self {
            Self::Repeated(Repetition { due: Some(due), left: 1.., .. }) => {
                tokio::time::sleep_until((*due).into()).await;
                Ok(())
            }
            Self::Lines(lines) if !lines.ended => {
                match lines.chunks.next().await {
                    Some(chunk) => {
                        let chunk = chunk?;
                        lines.read += chunk.len() as u64;
                        lines.splitter.push(chunk);
                    }
                    None => lines.ended = true,
                }
                Ok(())
            }
            _ => std::future::pending().await,
        }
    }

    /// No more is read, and what was read is the end.
    pub(super) const fn end(&mut self) {
        if let Self::Lines(lines) = self {
            lines.ended = true;
        }
    }

    /// How many messages were given out.
    pub(super) const fn given(&self) -> u64 {
        match self {
            Self::Repeated(repetition) => repetition.times - repetition.left,
            Self::Lines(lines) => lines.taken,
        }
    }

    /// Whether there is nothing more to come, once [`Source::next`] has given nothing.
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Self::Repeated(repetition) => repetition.left == 0,
            Self::Lines(lines) => lines.ended && lines.splitter.lines_left() == 0,
        }
    }

    /// Whether all of the input has been read; some of it may wait to be sent.
    pub(crate) const fn is_read(&self) -> bool {
        match self {
            Self::Repeated(_) => true,
            Self::Lines(lines) => lines.ended,
        }
    }

    /// Whether a payload waits to be given out. Of a long line the beginning is enough: no more is read ahead.
    pub(crate) fn is_waiting(&mut self, now: Instant) -> bool {
        match self {
            Self::Repeated(repetition) => repetition.left > 0 && repetition.is_due(now),
            Self::Lines(Lines { splitter, ended, .. }) => {
                splitter.has_line() || splitter.held() >= MOST_READ_AHEAD || (*ended && splitter.lines_left() > 0)
            }
        }
    }

    /// Whether more is surely waiting to be sent than what was given out.
    pub(crate) fn has_more(&self) -> bool {
        match self {
            Self::Repeated(_) => false,
            Self::Lines(lines) => lines.splitter.has_unseen(),
        }
    }

    /// Bytes that were read and have not been given out.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Repeated(_) => 0,
            Self::Lines(lines) => lines.splitter.held(),
        }
    }

    /// Payloads that were taken up, or promised, and have not been given out. It takes what was read ahead and ends the
    /// reading, so it is for the end of a run.
    pub(crate) fn left(&mut self) -> u64 {
        match self {
            Self::Repeated(repetition) => repetition.left,
            Self::Lines(lines) => {
                let (read, all) = lines.chunks.stop();
                read.into_iter().for_each(|chunk| lines.splitter.push(chunk));
                lines.ended |= all;
                lines.splitter.lines_left()
            }
        }
    }

    /// How far it is, and how far it goes where that is known: repetitions, or bytes of the input.
    pub(crate) fn position(&self) -> (u64, Option<u64>) {
        match self {
            Self::Repeated(repetition) => (repetition.times - repetition.left, Some(repetition.times)),
            Self::Lines(lines) => (lines.chunks.position(lines.read, lines.splitter.consumed()), lines.chunks.size()),
        }
    }

    /// Whether it is worth a progress line: a row of messages, and not one that somebody types.
    pub(crate) const fn is_long(&self) -> bool {
        match self {
            Self::Repeated(repetition) => repetition.times > 1,
            Self::Lines(lines) => !lines.chunks.is_typed(),
        }
    }
}
