//! One row of the series: what happened in one second. Long runs have longer rows, so that there is a bounded number
//! of them.

use super::histogram::Percentile;
use super::recorder::Recorder;

/// Rows of a stage; where there would be more, two become one.
pub const MOST_ROWS: usize = 3_600;

const SECOND_NS: u64 = 1_000_000_000;

/// One second of a stage, or several seconds of a long one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct IntervalRow {
    /// Start of the interval, nanoseconds since the run's t0.
    pub t_ns: u64,
    /// Its length, nanoseconds.
    pub length_ns: u64,
    /// Messages sent.
    pub sent: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// Slots of the schedule that were given up.
    pub skipped: u64,
    /// Of the messages sent in this interval, those that were lost; null where that cannot be told.
    pub lost: Option<u64>,
    /// Median end-to-end latency, nanoseconds; of several seconds the largest.
    pub e2e_p50: Option<u64>,
    /// 99th percentile of it; needs 1,000 samples a second. Of several seconds the largest: percentiles of seconds give
    /// no percentile of all of them, but it is not above the largest.
    pub e2e_p99: Option<u64>,
    /// Longest.
    pub e2e_max: Option<u64>,
    /// Open connections, at its end.
    pub conns: Option<u64>,
    /// Connections made, where making them is what is measured.
    pub connects: Option<u64>,
    /// CPU time of this process, percent of one core.
    pub cpu_pct: Option<f64>,
    /// Messages sent and not yet where they are to be (acknowledged; with all their subscribers), at its end.
    pub backlog: Option<u64>,
}

impl IntervalRow {
    /// The row of a recorder that saw one second; what a recorder does not know is `None` until filled in.
    pub fn of(recorder: &Recorder, t_ns: u64) -> Self {
        let e2e = recorder.latency.e2e.histogram();
        Self {
            t_ns,
            length_ns: SECOND_NS,
            sent: recorder.counters.sent,
            acked: recorder.counters.acked,
            delivered: recorder.counters.delivered,
            connects: Some(recorder.counters.connects).filter(|connects| *connects > 0),
            skipped: recorder.counters.skipped,
            e2e_p50: e2e.and_then(|histogram| histogram.percentile(Percentile::P50)),
            e2e_p99: e2e.and_then(|histogram| histogram.percentile(Percentile::P99)),
            e2e_max: e2e.and_then(|histogram| histogram.max()),
            ..Self::default()
        }
    }

    /// Takes the row that follows into this one.
    fn join(&mut self, next: &Self) {
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (None, None) => None,
            _ => Some(one.unwrap_or_default() + other.unwrap_or_default()),
        };
        let [weight, next_weight] = [self.length_ns, next.length_ns].map(|length_ns| length_ns as f64);
        let mean = |one: f64, other: f64| (one * weight + other * next_weight) / (weight + next_weight);
        *self = Self {
            t_ns: self.t_ns,
            length_ns: self.length_ns + next.length_ns,
            sent: self.sent + next.sent,
            acked: self.acked + next.acked,
            delivered: self.delivered + next.delivered,
            skipped: self.skipped + next.skipped,
            lost: sum(self.lost, next.lost),
            e2e_p50: self.e2e_p50.max(next.e2e_p50),
            e2e_p99: self.e2e_p99.max(next.e2e_p99),
            e2e_max: self.e2e_max.max(next.e2e_max),
            conns: next.conns,
            connects: sum(self.connects, next.connects),
            cpu_pct: self.cpu_pct.zip(next.cpu_pct).map(|(one, other)| mean(one, other)),
            backlog: next.backlog,
        };
    }
}

/// Makes one row of each two. A last one without a partner is given back: it is no row of the new length.
pub fn thin(rows: &mut Vec<IntervalRow>) -> Option<IntervalRow> {
    let rest = if rows.len() % 2 == 1 { rows.pop() } else { None };
    for pair in 0..rows.len() / 2 {
        let mut row = rows[2 * pair];
        row.join(&rows[2 * pair + 1]);
        rows[pair] = row;
    }
    rows.truncate(rows.len() / 2);
    rest
}

/// The rows of a stage while it goes on, all of one length, in bounded memory.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    rows: Vec<IntervalRow>,
    /// The row that is not whole yet.
    begun: Option<IntervalRow>,
    /// Length of a row is a second, doubled so often.
    doublings: u32,
}

impl Timeline {
    /// Adds the next second.
    pub fn push(&mut self, second: IntervalRow) {
        let row = match self.begun.take() {
            None => second,
            Some(mut begun) => {
                begun.join(&second);
                begun
            }
        };
        if row.length_ns < self.length_ns() {
            self.begun = Some(row);
        } else if self.rows.len() < MOST_ROWS {
            self.rows.push(row);
        } else {
            thin(&mut self.rows);
            self.doublings += 1;
            self.begun = Some(row);
        }
    }

    /// Length of a row, nanoseconds.
    fn length_ns(&self) -> u64 {
        SECOND_NS << self.doublings
    }

    /// The whole rows of the first `measured_ns` nanoseconds.
    pub fn into_rows(mut self, measured_ns: u64) -> Vec<IntervalRow> {
        self.rows.truncate((measured_ns / self.length_ns()) as usize);
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_only_what_was_measured() {
        let mut recorder = Recorder::default();
        recorder.counters.sent = 50;
        recorder.counters.delivered = 50;
        (1..=50).for_each(|value| recorder.latency.e2e.record(value * 1_000));
        let row = IntervalRow::of(&recorder, 7_000_000_000);
        assert_eq!((row.t_ns, row.sent, row.delivered), (7_000_000_000, 50, 50));
        assert_eq!((row.e2e_p99, row.e2e_max), (None, Some(50_000)));
        assert!(row.e2e_p50.is_some_and(|p50| p50.abs_diff(25_000) <= 25));
        assert_eq!((row.lost, row.cpu_pct), (None, None));
        let nothing = IntervalRow { length_ns: SECOND_NS, ..IntervalRow::default() };
        assert_eq!(IntervalRow::of(&Recorder::default(), 0), nothing);
    }

    fn second(number: u64) -> IntervalRow {
        IntervalRow {
            t_ns: number * SECOND_NS,
            length_ns: SECOND_NS,
            sent: number,
            e2e_p99: Some(number % 7),
            conns: Some(number),
            cpu_pct: Some(number as f64),
            backlog: Some(number),
            ..IntervalRow::default()
        }
    }

    #[test]
    fn a_day_is_told_in_rows_of_one_length_and_nothing_is_counted_twice() {
        for seconds in [0, 1, 3_599, 3_600, 3_601, 7_200, 7_201, 14_400, 86_400] {
            let mut timeline = Timeline::default();
            for number in 0..seconds {
                timeline.push(second(number));
                assert!(timeline.rows.len() <= MOST_ROWS);
            }
            let rows = timeline.into_rows(seconds * SECOND_NS);
            let Some(first) = rows.first() else {
                assert_eq!(seconds, 0);
                continue;
            };
            let length = first.length_ns / SECOND_NS;
            assert_eq!(rows.len() as u64, seconds / length, "all whole rows of {seconds} seconds");
            assert!(seconds <= 3_600 || rows.len() >= MOST_ROWS / 2, "{seconds}");
            for (place, row) in (0..).zip(&rows) {
                let (from, to) = (place * length, (place + 1) * length);
                assert_eq!((row.t_ns, row.length_ns), (from * SECOND_NS, length * SECOND_NS));
                assert_eq!(row.sent, (from..to).sum::<u64>());
                assert_eq!(row.e2e_p99, (from..to).map(|number| number % 7).max());
                assert_eq!((row.conns, row.backlog), (Some(to - 1), Some(to - 1)));
                let mean = (from + to - 1) as f64 / 2.0;
                assert!(row.cpu_pct.is_some_and(|share| (share - mean).abs() < 1e-6), "{row:?}");
                assert_eq!((row.lost, row.connects), (None, None));
            }
        }
    }

    #[test]
    fn a_second_that_was_not_whole_is_no_part_of_a_row() {
        let rows = |seconds: u64, measured_ns| {
            let mut timeline = Timeline::default();
            (0..seconds).for_each(|number| timeline.push(second(number)));
            timeline.into_rows(measured_ns).len()
        };
        assert_eq!(rows(5, 4 * SECOND_NS + 1), 4);
        assert_eq!(rows(3_602, 3_601 * SECOND_NS + 1), 1_800);
        assert_eq!(rows(3_602, 3_602 * SECOND_NS), 1_801);
    }
}
