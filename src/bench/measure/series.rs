//! The series: what happened second by second. Long runs have longer rows, so that their number is bounded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::buckets::Buckets;
use super::histogram::Percentile;
use super::recorder::Recorder;

/// Rows of a series; where there would be more, two become one.
pub(crate) const MOST_ROWS: usize = 3_600;

const SECOND_NS: u64 = 1_000_000_000;

/// One second of a stage, or several seconds of a long one. Null is "not measured".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IntervalRow {
    /// Start of the interval, nanoseconds since the run's t0.
    pub t_ns: u64,
    /// Messages sent.
    pub sent: Option<u64>,
    /// Messages acknowledged.
    pub acked: Option<u64>,
    /// Messages delivered.
    pub delivered: Option<u64>,
    /// Slots of the schedule that were given up.
    pub skipped: Option<u64>,
    /// Of the messages sent in this interval, those that were lost; null where they cannot be identified.
    pub lost: Option<u64>,
    /// Median end-to-end latency, nanoseconds; of several seconds the largest.
    pub e2e_p50: Option<u64>,
    /// 99th percentile of it; needs 1,000 samples per second. Of several seconds the largest: the percentiles of
    /// seconds do not give the percentile of all of them, but it is not above the largest.
    pub e2e_p99: Option<u64>,
    /// Longest.
    pub e2e_max: Option<u64>,
    /// All end-to-end latencies, in coarse buckets.
    pub e2e_buckets: Option<Buckets>,
    /// The same of round trips (`mqbench echo`).
    pub rtt_buckets: Option<Buckets>,
    /// The same of acknowledgements, where nothing subscribes (`mqbench pub`).
    pub ack_buckets: Option<Buckets>,
    /// Longest time from the intended to the actual send of a message, nanoseconds; null in a closed loop.
    pub sched_lag_max: Option<u64>,
    /// Open connections, at its end.
    pub conns: Option<u64>,
    /// Connections made, where making them is what is measured.
    pub connects: Option<u64>,
    /// CPU time of this process, percent of one core.
    pub cpu_pct: Option<f64>,
    /// Messages sent and still in flight (not acknowledged, or not with all their subscribers), at its end.
    pub backlog: Option<u64>,
    /// CPU time of the broker's process, percent of one core (`--broker-pid`); null from when it has ended.
    pub broker_cpu_pct: Option<f64>,
    /// Its resident memory at the end, bytes.
    pub broker_rss_bytes: Option<u64>,
}

impl IntervalRow {
    /// The row of a recorder that saw one second; what a recorder does not know is `None` until filled in.
    pub fn of(recorder: &Recorder, t_ns: u64) -> Self {
        let (counters, latency) = (&recorder.counters, &recorder.latency);
        let e2e = latency.e2e.histogram();
        Self {
            t_ns,
            sent: Some(counters.sent),
            acked: Some(counters.acked),
            delivered: Some(counters.delivered),
            connects: Some(counters.connects).filter(|connects| *connects > 0),
            skipped: Some(counters.skipped),
            e2e_p50: e2e.and_then(|histogram| histogram.percentile(Percentile::P50)),
            e2e_p99: e2e.and_then(|histogram| histogram.percentile(Percentile::P99)),
            e2e_max: e2e.and_then(|histogram| histogram.max()),
            e2e_buckets: Buckets::of(e2e),
            rtt_buckets: Buckets::of(latency.rtt.histogram()),
            ack_buckets: Buckets::of(latency.ack.histogram()),
            sched_lag_max: latency.sched_lag.histogram().and_then(|histogram| histogram.max()),
            ..Self::default()
        }
    }

    /// Takes the row that follows into this one; `weights` are the lengths of both.
    fn join(&mut self, next: &Self, weights: [u64; 2]) {
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (None, None) => None,
            _ => Some(one.unwrap_or_default() + other.unwrap_or_default()),
        };
        let [weight, next_weight] = weights.map(|weight| weight as f64);
        let mean = |one: f64, other: f64| (one * weight + other * next_weight) / (weight + next_weight);
        for (buckets, next) in [
            (&mut self.e2e_buckets, &next.e2e_buckets),
            (&mut self.rtt_buckets, &next.rtt_buckets),
            (&mut self.ack_buckets, &next.ack_buckets),
        ] {
            if let Some(next) = next {
                buckets.get_or_insert_default().merge(next);
            }
        }
        *self = Self {
            t_ns: self.t_ns,
            sent: sum(self.sent, next.sent),
            acked: sum(self.acked, next.acked),
            delivered: sum(self.delivered, next.delivered),
            skipped: sum(self.skipped, next.skipped),
            lost: sum(self.lost, next.lost),
            e2e_p50: self.e2e_p50.max(next.e2e_p50),
            e2e_p99: self.e2e_p99.max(next.e2e_p99),
            e2e_max: self.e2e_max.max(next.e2e_max),
            e2e_buckets: self.e2e_buckets.take(),
            rtt_buckets: self.rtt_buckets.take(),
            ack_buckets: self.ack_buckets.take(),
            sched_lag_max: self.sched_lag_max.max(next.sched_lag_max),
            conns: next.conns,
            connects: sum(self.connects, next.connects),
            cpu_pct: self.cpu_pct.zip(next.cpu_pct).map(|(one, other)| mean(one, other)),
            backlog: next.backlog,
            broker_cpu_pct: self.broker_cpu_pct.zip(next.broker_cpu_pct).map(|(one, other)| mean(one, other)),
            broker_rss_bytes: next.broker_rss_bytes,
        };
    }
}

/// Figures over time, in rows of one length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// Length of a row: a second, doubled as often as needed to have at most [`MOST_ROWS`].
    pub interval_ns: u64,
    /// The rows in order.
    pub rows: Vec<IntervalRow>,
}

impl Series {
    /// Makes one row of each two. A last one without a partner is dropped: it is no row of the new length.
    fn thin(&mut self) {
        self.interval_ns *= 2;
        for pair in 0..self.rows.len() / 2 {
            let mut row = std::mem::take(&mut self.rows[2 * pair]);
            row.join(&self.rows[2 * pair + 1], [1, 1]);
            self.rows[pair] = row;
        }
        self.rows.truncate(self.rows.len() / 2);
    }

    /// The series of several stages one after the other, in rows of one length; `None` where none of them has a row.
    pub fn of_stages<'a>(stages: impl Iterator<Item = &'a Self>) -> Option<Self> {
        let mut parts: Vec<Self> = stages.filter(|part| !part.rows.is_empty()).cloned().collect();
        let mut interval_ns = parts.iter().map(|part| part.interval_ns).max()?;
        loop {
            for part in &mut parts {
                while part.interval_ns < interval_ns {
                    part.thin();
                }
            }
            if parts.iter().map(|part| part.rows.len()).sum::<usize>() <= MOST_ROWS {
                return Some(Self { interval_ns, rows: parts.into_iter().flat_map(|part| part.rows).collect() });
            }
            interval_ns *= 2;
        }
    }
}

/// The series of a stage that is running, in bounded memory.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    whole: Series,
    /// A row that is not whole yet, and its length so far.
    begun: Option<(IntervalRow, u64)>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { whole: Series { interval_ns: SECOND_NS, rows: Vec::new() }, begun: None }
    }
}

impl Timeline {
    /// Adds the next second.
    pub(crate) fn push(&mut self, second: IntervalRow) {
        let (row, length_ns) = match self.begun.take() {
            None => (second, SECOND_NS),
            Some((mut begun, length_ns)) => {
                begun.join(&second, [length_ns, SECOND_NS]);
                (begun, length_ns + SECOND_NS)
            }
        };
        if length_ns < self.whole.interval_ns {
            self.begun = Some((row, length_ns));
        } else if self.whole.rows.len() < MOST_ROWS {
            self.whole.rows.push(row);
        } else {
            self.whole.thin();
            self.begun = Some((row, length_ns));
        }
    }

    /// The whole rows so far.
    pub(crate) fn rows(&self) -> &[IntervalRow] {
        &self.whole.rows
    }

    /// The whole rows of the first `measured_ns` nanoseconds.
    pub(crate) fn into_series(mut self, measured_ns: u64) -> Series {
        self.whole.rows.truncate((measured_ns / self.whole.interval_ns) as usize);
        self.whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::histogram::LatencyHistogram;

    #[test]
    fn a_row_shows_only_what_was_measured() {
        let mut recorder = Recorder::default();
        recorder.counters.sent = 50;
        recorder.counters.delivered = 50;
        (1..=50).for_each(|value| recorder.latency.e2e.record(value * 1_000));
        let row = IntervalRow::of(&recorder, 7_000_000_000);
        assert_eq!((row.t_ns, row.sent, row.delivered), (7_000_000_000, Some(50), Some(50)));
        assert_eq!((row.e2e_p99, row.e2e_max), (None, Some(50_000)));
        assert!(row.e2e_p50.is_some_and(|p50| p50.abs_diff(25_000) <= 25));
        assert_eq!((row.lost, row.cpu_pct), (None, None));
        let buckets = row.e2e_buckets.as_ref().map(|buckets| buckets.iter().map(|(.., count)| count).sum::<u64>());
        assert_eq!((buckets, row.rtt_buckets, row.sched_lag_max), (Some(50), None, None));
        let counted = Some(0);
        let nothing = IntervalRow {
            sent: counted,
            acked: counted,
            delivered: counted,
            skipped: counted,
            ..IntervalRow::default()
        };
        assert_eq!(IntervalRow::of(&Recorder::default(), 0), nothing);
    }

    fn second(number: u64) -> IntervalRow {
        IntervalRow {
            t_ns: number * SECOND_NS,
            sent: Some(number),
            e2e_p99: Some(number % 7),
            sched_lag_max: Some(number % 5),
            e2e_buckets: (!number.is_multiple_of(3)).then(|| {
                let mut histogram = LatencyHistogram::new();
                histogram.record_ns(2_048 << (number % 3));
                Buckets::of(Some(&histogram)).unwrap()
            }),
            conns: Some(number),
            cpu_pct: Some(number as f64),
            backlog: Some(number),
            ..IntervalRow::default()
        }
    }

    #[test]
    fn long_runs_have_rows_of_one_length_and_nothing_is_counted_twice() {
        for seconds in [0, 1, 3_599, 3_600, 3_601, 7_200, 7_201, 14_401] {
            let mut timeline = Timeline::default();
            for number in 0..seconds {
                timeline.push(second(number));
                assert!(timeline.whole.rows.len() <= MOST_ROWS);
            }
            let Series { interval_ns, rows } = timeline.into_series(seconds * SECOND_NS);
            let length = interval_ns / SECOND_NS;
            assert_eq!(rows.len() as u64, seconds / length, "all whole rows of {seconds} seconds");
            assert!(seconds <= 3_600 || rows.len() >= MOST_ROWS / 2, "{seconds}");
            for (place, row) in (0..).zip(&rows) {
                let (from, to) = (place * length, (place + 1) * length);
                assert_eq!(row.t_ns, from * SECOND_NS);
                assert_eq!(row.sent, Some((from..to).sum::<u64>()));
                assert_eq!(row.e2e_p99, (from..to).map(|number| number % 7).max());
                assert_eq!(row.sched_lag_max, (from..to).map(|number| number % 5).max());
                let samples = row.e2e_buckets.iter().flat_map(Buckets::iter).map(|(.., count)| count).sum::<u64>();
                assert_eq!(samples, (from..to).filter(|number| number % 3 != 0).count() as u64);
                assert_eq!((row.conns, row.backlog), (Some(to - 1), Some(to - 1)));
                let mean = (from + to - 1) as f64 / 2.0;
                assert!(row.cpu_pct.is_some_and(|share| (share - mean).abs() < 1e-6), "{row:?}");
                assert_eq!((row.lost, row.connects), (None, None));
            }
        }
    }

    #[test]
    fn the_series_of_long_stages_has_rows_of_one_length() {
        let series = |seconds: u64, row_seconds: u64| Series {
            interval_ns: row_seconds * SECOND_NS,
            rows: vec![
                IntervalRow { sent: Some(row_seconds), ..IntervalRow::default() };
                (seconds / row_seconds) as usize
            ],
        };
        for (first, second, length, count) in [
            (series(100, 1), series(3_500, 1), 1, 3_600),
            (series(101, 1), series(3_600, 1), 2, 50 + 1_800),
            (series(101, 1), series(8_000, 4), 4, 25 + 2_000),
            (series(1, 1), series(8_000, 4), 4, 2_000),
        ] {
            let all = Series::of_stages([&first, &Series::default(), &second].into_iter()).unwrap();
            assert_eq!((all.interval_ns, all.rows.len()), (length * SECOND_NS, count));
            assert!(all.rows.iter().all(|row| row.sent == Some(length)));
        }
        assert_eq!(Series::of_stages(std::iter::empty()), None);
    }

    #[test]
    fn a_second_that_was_not_whole_is_no_part_of_a_row() {
        let rows = |seconds: u64, measured_ns| {
            let mut timeline = Timeline::default();
            (0..seconds).for_each(|number| timeline.push(second(number)));
            timeline.into_series(measured_ns).rows.len()
        };
        assert_eq!(rows(5, 4 * SECOND_NS + 1), 4);
        assert_eq!(rows(3_602, 3_601 * SECOND_NS + 1), 1_800);
        assert_eq!(rows(3_602, 3_602 * SECOND_NS), 1_801);
    }
}
