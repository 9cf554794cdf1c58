//! How long an answer is awaited, counted from when the question was written.

use std::time::{Duration, Instant};

/// Where the output of a connection stands, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutputPosition {
    /// Bytes that the socket has taken.
    pub written: u64,
    /// Where the output ends now.
    pub end: u64,
}

/// The time that a broker has for an answer. It begins when the socket has taken the last byte of what is to be
/// answered: over a slow path a large packet alone may take longer, and while the socket takes bytes the broker is
/// there.
///
/// The time begins anew whenever the mark changes: `M` is what the owner knows of the broker's progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerTimer<M> {
    timeout: Duration,
    running: Option<Running<M>>,
}

#[derive(Clone, Copy, Debug)]
struct Running<M> {
    mark: M,
    since: Instant,
    /// Bytes written, up to the end of the question.
    written: u64,
    /// Where the question ends.
    end: u64,
}

impl<M: PartialEq> AnswerTimer<M> {
    /// A timer that does not run.
    pub(crate) const fn new(timeout: Duration) -> Self {
        Self { timeout, running: None }
    }

    /// Waits for an answer to all that is in the output: continues while `mark` is what it was, and begins anew
    /// otherwise.
    pub(crate) fn watch(&mut self, mark: M, now: Instant, output: OutputPosition) {
        match &mut self.running {
            Some(running) if running.mark == mark => {
                // What lies behind the question gives no time.
                let written = output.written.min(running.end);
                if written > running.written {
                    running.written = written;
                    running.since = now;
                }
            }
            running => *running = Some(Running { mark, since: now, written: output.written, end: output.end }),
        }
    }

    /// The question ends at `end` now.
    pub(crate) fn extend(&mut self, end: u64) {
        if let Some(running) = &mut self.running {
            running.end = running.end.max(end);
        }
    }

    /// Nothing is awaited.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// When the time is over; never where that is beyond the clock.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.running.as_ref()?.since.checked_add(self.timeout)
    }

    /// Whether the time is over.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn position(written: u64, end: u64) -> OutputPosition {
        OutputPosition { written, end }
    }

    #[test]
    fn the_time_begins_with_the_last_byte_of_the_question() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timer = AnswerTimer::new(TIMEOUT);
        assert_eq!(timer.deadline(), None);
        timer.watch(0, start, position(100, 2_400_100));
        assert_eq!(timer.deadline(), Some(at(30)));
        timer.watch(0, at(20), position(1_200_000, 2_400_100));
        timer.watch(0, at(25), position(1_200_000, 2_400_100));
        assert_eq!(timer.deadline(), Some(at(50)), "each byte that is taken is a sign of life, none is not");
        timer.watch(0, at(40), position(2_400_100, 2_400_200));
        timer.watch(0, at(41), position(2_400_104, 2_400_200));
        assert_eq!(timer.deadline(), Some(at(70)), "what lies behind the question is none");
        timer.extend(2_400_200);
        timer.watch(0, at(50), position(2_400_200, 2_400_200));
        assert_eq!(timer.deadline(), Some(at(80)));
        assert!(!timer.is_over(at(79)) && timer.is_over(at(80)));
    }

    #[test]
    fn progress_begins_it_anew_and_the_end_of_time_never_comes() {
        let start = Instant::now();
        let mut timer = AnswerTimer::new(TIMEOUT);
        timer.watch(1, start, position(0, 0));
        timer.watch(2, start + Duration::from_secs(20), position(0, 0));
        assert_eq!(timer.deadline(), Some(start + Duration::from_secs(50)));
        timer.stop();
        assert_eq!(timer.deadline(), None);
        let mut endless = AnswerTimer::new(Duration::MAX);
        endless.watch((), start, position(0, 0));
        assert_eq!(endless.deadline(), None);
    }
}
