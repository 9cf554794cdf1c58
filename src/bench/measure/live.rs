//! The figures of a run while it goes on, for whoever looks at them from another thread. Replaced once per second: the
//! threads of the load never wait for a reader.

use std::sync::{Mutex, PoisonError};

use super::histogram::LatencyHistogram;
use super::ledger::Delivery;
use super::recorder::{Counters, Latencies, Recorder};
use super::series::IntervalRow;

/// Upper bounds of the buckets in which latencies are counted, nanoseconds: three in each decade from 10 µs to 1 min,
/// each exact in seconds.
pub(crate) const BUCKETS_NS: [u64; 21] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

/// Latencies in buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BucketCounts {
    /// How many are at or below each of [`BUCKETS_NS`] and above the one before, and last those above all.
    pub(crate) counts: [u64; BUCKETS_NS.len() + 1],
    /// The sum of all, nanoseconds.
    pub(crate) sum_ns: u64,
}

impl BucketCounts {
    fn of(histogram: &LatencyHistogram) -> Self {
        let mut buckets = Self { sum_ns: histogram.sum(), ..Self::default() };
        for (value_ns, count) in histogram.recorded() {
            buckets.counts[BUCKETS_NS.partition_point(|bound| *bound < value_ns)] += count;
        }
        buckets
    }

    /// Samples.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// A stage up to its last whole second; when it is over, all of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LiveStage {
    pub(crate) name: &'static str,
    /// Counts the stages of the run from 1.
    pub(crate) number: u32,
    /// Events in the measured window.
    pub(crate) counters: Counters,
    /// Latencies; none of a kind that was not measured.
    pub(crate) latency: Latencies<Option<BucketCounts>>,
    /// The last whole second.
    pub(crate) row: Option<IntervalRow>,
    /// What became of its messages, once it is over.
    pub(crate) delivery: Option<Delivery>,
}

impl LiveStage {
    /// What was recorded of a stage.
    pub(crate) fn of(name: &'static str, number: u32, recorder: &Recorder) -> Self {
        let latency = recorder.latency.map(|_, latency| latency.histogram().map(BucketCounts::of));
        Self { name, number, counters: recorder.counters.clone(), latency, row: None, delivery: None }
    }
}

/// The figures of the run.
#[derive(Debug, Default)]
pub(crate) struct LiveFigures(Mutex<Vec<LiveStage>>);

impl LiveFigures {
    /// Replaces the figures of a stage, or adds it.
    pub(crate) fn update(&self, stage: LiveStage) {
        let mut stages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match stages.iter_mut().find(|known| known.number == stage.number) {
            Some(known) => *known = stage,
            None => stages.push(stage),
        }
    }

    /// The figures of all stages so far, in their order.
    pub(crate) fn stages(&self) -> Vec<LiveStage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_in_the_bucket_whose_bound_it_does_not_exceed() {
        let mut recorder = Recorder::default();
        for latency_ns in [1, 9_000, 11_000, 999_000, 1_000_001_000, 3_600_000_000_000] {
            recorder.latency.e2e.record(latency_ns);
        }
        let live = LiveStage::of("flood", 1, &recorder);
        let buckets = live.latency.e2e.unwrap();
        let filled: Vec<(usize, u64)> =
            buckets.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0, 2), (1, 1), (6, 1), (16, 1), (21, 1)]);
        assert_eq!(
            (buckets.count(), buckets.sum_ns),
            (6, 1 + 9_000 + 11_000 + 999_000 + 1_000_001_000 + 3_600_000_000_000)
        );
        assert_eq!(live.latency.ack, None);
    }

    #[test]
    fn a_stage_replaces_itself() {
        let figures = LiveFigures::default();
        for (number, sent) in [(1, 5), (2, 1), (1, 7)] {
            let mut recorder = Recorder::default();
            recorder.counters.sent = sent;
            figures.update(LiveStage::of("flood", number, &recorder));
        }
        let stages: Vec<(u32, u64)> = figures.stages().iter().map(|it| (it.number, it.counters.sent)).collect();
        assert_eq!(stages, [(1, 7), (2, 1)]);
    }
}
