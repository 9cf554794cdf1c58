//! Payloads in the order in which they are to be sent: one that is repeated, or the lines of stdin.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::input::StdinChunks;
use super::lines::LineSplitter;
use crate::mqtt::wire::MAX_REMAINING_LENGTH;

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
    left: u64,
    delay: Duration,
    begun: bool,
    /// When the next one may be sent; known once the one before is through.
    due: Option<Instant>,
}

/// The lines of stdin.
#[derive(Debug)]
pub(crate) struct Lines {
    chunks: StdinChunks,
    splitter: LineSplitter,
    ended: bool,
}

impl Repetition {
    pub(crate) const fn new(payload: Bytes, times: u64, delay: Duration) -> Self {
        Self { payload, left: times, delay, begun: false, due: None }
    }

    /// The one before is through: whether the next one may be sent now.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let delay = if self.begun { self.delay } else { Duration::ZERO };
        // A delay beyond the end of time is one that never ends.
        *self.due.get_or_insert_with(|| now.checked_add(delay).unwrap_or(now + FAR)) <= now
    }
}

/// Further away than any run is long.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Source {
    pub(crate) fn lines() -> io::Result<Self> {
        let chunks = StdinChunks::start()?;
        Ok(Self::Lines(Lines { chunks, splitter: LineSplitter::default(), ended: false }))
    }

    /// The next payload, as far as it is there.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Repeated(repetition) => {
                repetition.left = repetition.left.checked_sub(1)?;
                repetition.begun = true;
                repetition.due = None;
                Some(repetition.payload.clone())
            }
            Self::Lines(lines) => match lines.splitter.next_line() {
                None if lines.ended => lines.splitter.finish(),
                line => line,
            },
        }
    }

    /// Waits until there may be more. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// stdin cannot be read, or has a line that no message can hold.
    pub(crate) async fn wait(&mut self) -> io::Result<()> {
        match self {
            Self::Repeated(Repetition { due: Some(due), left: 1.., .. }) => {
                tokio::time::sleep_until((*due).into()).await;
                Ok(())
            }
            Self::Lines(lines) if !lines.ended => {
                match lines.chunks.next().await {
                    Some(chunk) => lines.splitter.push(chunk?),
                    None => lines.ended = true,
                }
                if lines.splitter.partial_len() > MAX_REMAINING_LENGTH {
                    return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a line is longer than a message can be"));
                }
                Ok(())
            }
            _ => std::future::pending().await,
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

    /// Bytes that were read and have not been given out.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Repeated(_) => 0,
            Self::Lines(lines) => lines.splitter.held(),
        }
    }

    /// Payloads that were taken up, or promised, and have not been given out.
    pub(crate) fn left(&self) -> u64 {
        match self {
            Self::Repeated(repetition) => repetition.left,
            Self::Lines(lines) => lines.splitter.lines_left(),
        }
    }
}
