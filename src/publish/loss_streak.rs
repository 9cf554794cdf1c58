//! Losses in a row on which no message got through. Pure: time is an argument.

use std::time::Instant;

/// The present streak, if there is one.
#[derive(Debug, Default)]
pub(super) struct LossStreak(Option<Streak>);

/// Losses in a row on which no message got through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Streak {
    /// When the first one was.
    pub(super) since: Instant,
    /// How many messages had been settled by then.
    settled: u64,
    /// How many there were.
    pub(super) losses: u64,
    /// The last ones of them, during which a message was on its way.
    pub(super) at_same_message: u64,
}

impl LossStreak {
    /// A connection is lost; so far `settled` messages are acknowledged or refused, and another one may be on its way.
    pub(super) fn note_loss(&mut self, now: Instant, settled: u64, is_message_open: bool) -> Streak {
        let before = self.0.filter(|streak| streak.settled == settled);
        let streak = Streak {
            since: before.map_or(now, |streak| streak.since),
            settled,
            losses: before.map_or(0, |streak| streak.losses) + 1,
            at_same_message: match is_message_open {
                true => before.map_or(0, |streak| streak.at_same_message) + 1,
                false => 0,
            },
        };
        *self.0.insert(streak)
    }

    /// Since when nothing has got through.
    pub(super) fn since(&self) -> Option<Instant> {
        self.0.map(|streak| streak.since)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_streak_ends_with_a_message_that_gets_through() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut streak = LossStreak::default();
        assert_eq!(streak.since(), None);
        let seen = |streak: Streak| (streak.since, streak.losses, streak.at_same_message);
        assert_eq!(seen(streak.note_loss(at(0), 5, true)), (at(0), 1, 1));
        assert_eq!(seen(streak.note_loss(at(1), 5, true)), (at(0), 2, 2));
        assert_eq!(seen(streak.note_loss(at(2), 5, false)), (at(0), 3, 0), "an idle connection costs no message");
        assert_eq!(seen(streak.note_loss(at(3), 5, true)), (at(0), 4, 1));
        assert_eq!(seen(streak.note_loss(at(4), 6, true)), (at(4), 1, 1));
        assert_eq!(streak.since(), Some(at(4)));
    }
}
