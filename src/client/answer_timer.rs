//! How long an answer is waited for, counted from when the question was written.

use std::time::{Duration, Instant};

/// The time that a broker has for an answer. It begins when the socket has taken the last byte of what is to be answered:
/// over a slow path a large packet alone may take longer, and while the socket takes bytes the broker is there.
///
/// Positions are those of [`super::Client::written_total`] and [`super::Client::output_end`].
#[derive(Clone, Copy, Debug)]
pub struct AnswerTimer {
    patience: Duration,
    since: Instant,
    /// How much was written, as far as it matters.
    written: u64,
    /// Where the question ends.
    end: u64,
}

impl AnswerTimer {
    /// Begins for a question that ends at `end`, of which all before `written` was written.
    pub fn start(patience: Duration, now: Instant, written: u64, end: u64) -> Self {
        Self { patience, since: now, written: written.min(end), end }
    }

    /// The question ends later than was said.
    pub fn extend(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// So much was written. What lies behind the question gives no time.
    pub fn note_written(&mut self, now: Instant, written: u64) {
        let written = written.min(self.end);
        if written > self.written {
            self.written = written;
            self.since = now;
        }
    }

    /// When the time is over; never for a time that no clock can say.
    pub fn deadline(&self) -> Option<Instant> {
        self.since.checked_add(self.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn the_time_begins_with_the_last_byte_of_the_question() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timer = AnswerTimer::start(PATIENCE, start, 100, 2_400_100);
        assert_eq!(timer.deadline(), Some(at(30)));
        timer.note_written(at(20), 1_200_000);
        timer.note_written(at(25), 1_200_000);
        assert_eq!(timer.deadline(), Some(at(50)), "each byte that is taken is a sign of life, none is not");
        timer.note_written(at(40), 2_400_100);
        timer.note_written(at(41), 2_400_104);
        assert_eq!(timer.deadline(), Some(at(70)), "what lies behind the question is none");
        timer.extend(2_400_200);
        timer.note_written(at(50), 2_400_200);
        assert_eq!(timer.deadline(), Some(at(80)));
        assert_eq!(AnswerTimer::start(Duration::MAX, start, 0, 0).deadline(), None);
    }
}
