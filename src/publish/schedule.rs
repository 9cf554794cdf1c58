//! `--replay`: when each message of a recording is due, and how well that was kept. Pure.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::options::Speed;
use crate::terminal::number::counted;

/// A time that lies further back than this is a clock that was set, and not two messages that overtook each other.
const JUMP_US: i64 = 1_000_000;
/// Longest lateness that is recorded, microseconds: an hour. What is later counts as this.
const LONGEST_US: u64 = 3_600_000_000;

/// When messages are due: each at its distance from the first, on one clock that starts with the first. An error does
/// not add up.
#[derive(Debug)]
pub(super) struct Schedule {
    speed: Speed,
    start: Option<Instant>,
    /// The latest time so far in this round.
    latest_us: Option<i64>,
    /// Where the last message is on the clock of the recording.
    position_us: u64,
    /// Where this round began, and how many of its messages have a time.
    round_start_us: u64,
    round_timed: u64,
    /// Messages without a time, and those with an earlier one than the message before.
    untimed: u64,
    backward: u64,
    lateness: Lateness,
}

impl Schedule {
    pub(super) fn new(speed: Speed) -> Self {
        Self {
            speed,
            start: None,
            latest_us: None,
            position_us: 0,
            round_start_us: 0,
            round_timed: 0,
            untimed: 0,
            backward: 0,
            lateness: Lateness::default(),
        }
    }

    /// When the next message is due that was received at this time; none where there is no schedule. The first one is
    /// due now.
    pub(super) fn due(&mut self, received_us: Option<i64>, now: Instant) -> Option<Instant> {
        match (received_us, self.latest_us) {
            (None, _) => self.untimed += 1,
            (Some(time), None) => {
                self.latest_us = Some(time);
                self.round_timed += 1;
            }
            (Some(time), Some(latest)) => {
                let step = time.saturating_sub(latest);
                self.round_timed += 1;
                self.backward += u64::from(step < 0);
                if !(-JUMP_US..0).contains(&step) {
                    self.latest_us = Some(time);
                }
                self.position_us = self.position_us.saturating_add(step.max(0).unsigned_abs());
            }
        }
        let Speed::Times(speed) = self.speed else { return None };
        let start = *self.start.get_or_insert(now);
        let after = Duration::try_from_secs_f64(self.position_us as f64 / 1e6 / speed).unwrap_or(Duration::MAX);
        Some(start + after.min(FAR))
    }

    /// The recording begins again: one mean interval after its last message.
    pub(super) fn begin_round(&mut self) {
        let span = self.position_us - self.round_start_us;
        let mean = span.checked_div(self.round_timed.saturating_sub(1)).unwrap_or(0);
        self.position_us = self.position_us.saturating_add(mean);
        (self.latest_us, self.round_start_us, self.round_timed) = (None, self.position_us, 0);
    }

    /// A message that was due then is sent now.
    pub(super) fn note_sent(&mut self, due: Instant, now: Instant) {
        self.lateness.record(now.saturating_duration_since(due));
    }

    /// How late messages were sent; none where there is no schedule.
    pub(super) fn lateness(&self) -> Option<LatenessFigures> {
        matches!(self.speed, Speed::Times(_)).then(|| self.lateness.figures())
    }

    /// What of the recording has no place in a schedule, in words.
    pub(super) fn irregularities(&self) -> Vec<String> {
        if self.speed == Speed::Max {
            return Vec::new();
        }
        let kinds = [
            (self.untimed, "message has no time", "messages have no time"),
            (
                self.backward,
                "message has an earlier time than the one before",
                "messages have an earlier time than the one before",
            ),
        ];
        let text = |(count, one, many)| format!("{}: sent without a pause", counted(count, one, many));
        kinds.into_iter().filter(|(count, ..)| *count > 0).map(text).collect()
    }
}

/// Further away than any run is long.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How late messages were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LatenessFigures {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) max: Duration,
}

/// All lateness, in a memory that does not grow.
#[derive(Debug, Default)]
struct Lateness {
    histogram: Option<Histogram<u64>>,
    max: Duration,
}

impl Lateness {
    fn record(&mut self, late: Duration) {
        if self.histogram.is_none() {
            self.histogram = Histogram::new_with_max(LONGEST_US, 2).ok();
        }
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(u64::try_from(late.as_micros()).unwrap_or(LONGEST_US));
        }
        self.max = self.max.max(late);
    }

    fn figures(&self) -> LatenessFigures {
        let at = |quantile| self.histogram.as_ref().map_or(0, |histogram| histogram.value_at_quantile(quantile));
        // A bucket may end above the largest value.
        let at = |quantile| Duration::from_micros(at(quantile)).min(self.max);
        LatenessFigures { p50: at(0.5), p99: at(0.99), max: self.max }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// When messages with these times are due after the first, in milliseconds.
    fn due_ms(speed: f64, times_ms: &[Option<i64>]) -> (Vec<u128>, (u64, u64)) {
        let mut schedule = Schedule::new(Speed::Times(speed));
        let start = Instant::now();
        let due = times_ms.iter().map(|ms| schedule.due(ms.map(|ms| ms * 1000), start).unwrap());
        let due = due.map(|due| (due - start).as_millis()).collect();
        (due, (schedule.untimed, schedule.backward))
    }

    #[test]
    fn the_distance_from_the_first_counts() {
        let some = |times: &[i64]| times.iter().map(|ms| Some(*ms)).collect::<Vec<_>>();
        assert_eq!(due_ms(1.0, &some(&[5_000, 5_100, 5_100, 7_000])), (vec![0, 100, 100, 2_000], (0, 0)));
        assert_eq!(due_ms(10.0, &some(&[5_000, 5_100, 7_000])), (vec![0, 10, 200], (0, 0)));
        assert_eq!(due_ms(0.5, &some(&[-1_000, 0])), (vec![0, 2_000], (0, 0)));
        // One that was overtaken does not move the others.
        assert_eq!(due_ms(1.0, &some(&[0, 200, 100, 300])), (vec![0, 200, 200, 300], (0, 1)));
        // A clock that was set back does not stop everything.
        assert_eq!(due_ms(1.0, &some(&[9_000_000, 9_000_100, 0, 50])), (vec![0, 100, 100, 150], (0, 1)));
        let times = [Some(0), None, Some(100), None];
        assert_eq!(due_ms(1.0, &times), (vec![0, 0, 100, 100], (2, 0)));
        assert_eq!(due_ms(1.0, &[None, Some(1_000), Some(1_500)]), (vec![0, 0, 500], (1, 0)));
    }

    #[test]
    fn a_round_follows_after_a_mean_interval() {
        let mut schedule = Schedule::new(Speed::Times(1.0));
        let start = Instant::now();
        let mut round = || {
            let due = [0, 1_000_000, 3_000_000].map(|us| (schedule.due(Some(us), start).unwrap() - start).as_millis());
            schedule.begin_round();
            due
        };
        assert_eq!(round(), [0, 1_000, 3_000]);
        assert_eq!(round(), [4_500, 5_500, 7_500]);
        assert_eq!(round(), [9_000, 10_000, 12_000]);
        let mut single = Schedule::new(Speed::Times(1.0));
        for _ in 0..3 {
            assert_eq!(single.due(Some(7), start), Some(start));
            single.begin_round();
        }
    }

    #[test]
    fn lateness_is_measured() {
        let mut schedule = Schedule::new(Speed::default());
        let start = Instant::now();
        assert_eq!(schedule.lateness(), Some(LatenessFigures::default()));
        for late in 1..=100 {
            schedule.note_sent(start, start + Duration::from_millis(late));
        }
        schedule.note_sent(start + Duration::from_secs(1), start);
        let figures = schedule.lateness().unwrap();
        assert_eq!(figures.max, Duration::from_millis(100));
        let near = |time: Duration, ms: f64| (time.as_secs_f64() * 1000.0 / ms - 1.0).abs() < 0.02;
        assert!(near(figures.p50, 50.0) && near(figures.p99, 99.0), "{figures:?}");
        assert_eq!(Schedule::new(Speed::Max).lateness(), None);
        assert_eq!(Schedule::new(Speed::Max).due(Some(5), start), None);
    }

    proptest! {
        /// No message is due before the one in front of it, whatever the times are, and nothing overflows.
        #[test]
        fn messages_keep_their_order(times in prop::collection::vec(prop::option::of(any::<i64>()), 1..40),
                                     speed in prop::sample::select(vec![0.001, 1.0, 1e9])) {
            let mut schedule = Schedule::new(Speed::Times(speed));
            let start = Instant::now();
            let due: Vec<Instant> = times.iter().map(|time| schedule.due(*time, start).unwrap()).collect();
            prop_assert!(due.is_sorted() && due[0] == start);
            schedule.begin_round();
        }
    }
}
