//! One row of the series: what happened in one second.

use super::histogram::Percentile;
use super::recorder::Recorder;

/// One second (or other interval) of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct IntervalRow {
    /// Start of the interval, nanoseconds since the run's t0.
    pub t_ns: u64,
    /// Messages sent.
    pub sent: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// Slots of the schedule that were given up.
    pub skipped: u64,
    /// Messages counted lost so far in this interval, where somebody counted.
    pub lost: Option<u64>,
    /// Median end-to-end latency, nanoseconds.
    pub e2e_p50: Option<u64>,
    /// 99th percentile of it; needs 1,000 samples.
    pub e2e_p99: Option<u64>,
    /// Longest.
    pub e2e_max: Option<u64>,
    /// Open connections.
    pub conns: Option<u64>,
    /// Connections made, where making them is what is measured.
    pub connects: Option<u64>,
    /// CPU time of this process, percent of one core.
    pub cpu_pct: Option<f64>,
    /// Messages sent and not yet where they are to be (acknowledged; with all their subscribers), at its end.
    pub backlog: Option<u64>,
}

impl IntervalRow {
    /// The row of a recorder that saw one interval; what a recorder does not know is `None` until filled in.
    pub fn of(recorder: &Recorder, t_ns: u64) -> Self {
        let e2e = recorder.latency.e2e.histogram();
        Self {
            t_ns,
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
        assert_eq!(IntervalRow::of(&Recorder::default(), 0), IntervalRow::default());
    }
}
