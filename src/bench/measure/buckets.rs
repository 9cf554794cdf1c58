//! The latencies of a second in a few dozen numbers: what a heat map draws.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::histogram::LatencyHistogram;

/// Buckets per power of two, as a power of two itself: each is at most a quarter wider than the one below.
const PER_OCTAVE_LOG2: u32 = 2;
/// Everything below shares the bucket 0: no network is faster.
const LOWEST_EDGE: u64 = 1 << 10;

/// How many samples each bucket has, by the bucket's lower edge in nanoseconds; a bucket ends where the next power of
/// two, or the next quarter of the way to it, begins. Buckets without a sample are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Buckets(BTreeMap<u64, u64>);

impl Buckets {
    /// The samples of a histogram, whose own buckets are parts of these; `None` where it has none.
    pub fn of(histogram: Option<&LatencyHistogram>) -> Option<Self> {
        let mut buckets = Self::default();
        histogram?.recorded().for_each(|(value_ns, count)| buckets.add(value_ns, count));
        Some(buckets)
    }

    fn add(&mut self, value_ns: u64, count: u64) {
        let sum = self.0.entry(lower_edge(value_ns)).or_default();
        *sum = sum.saturating_add(count);
    }

    /// Adds the samples of another.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(edge, count)| self.add(*edge, *count));
    }

    /// Lower edge, upper edge and samples of each bucket, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.0.iter().map(|(edge, count)| (*edge, upper_edge(*edge), *count))
    }
}

/// Where the bucket of a value begins.
fn lower_edge(value_ns: u64) -> u64 {
    if value_ns < LOWEST_EDGE {
        return 0;
    }
    let step = value_ns.ilog2() - PER_OCTAVE_LOG2;
    value_ns >> step << step
}

/// Where the bucket ends that begins here.
fn upper_edge(edge: u64) -> u64 {
    if edge < LOWEST_EDGE {
        return LOWEST_EDGE;
    }
    edge.saturating_add(1 << (edge.ilog2() - PER_OCTAVE_LOG2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::histogram::HIGHEST_NS;

    #[test]
    fn a_bucket_begins_where_the_one_below_ends() {
        let mut edge = 0;
        let mut buckets = 0;
        while edge <= HIGHEST_NS {
            let next = upper_edge(edge);
            assert_eq!((lower_edge(edge), lower_edge(next - 1), lower_edge(next)), (edge, edge, next));
            assert!(edge == 0 || next - edge <= edge / 4, "{edge}..{next}");
            (edge, buckets) = (next, buckets + 1);
        }
        assert!(buckets < 140, "{buckets} buckets for an hour");
        assert_eq!(upper_edge(u64::MAX), u64::MAX, "whatever a document holds");
    }

    #[test]
    fn the_samples_of_a_second_are_all_there_and_merge() {
        let mut histogram = LatencyHistogram::new();
        [7, 1_023, 1_024, 1_279, 1_280, 2_000_000_000].into_iter().for_each(|value| histogram.record_ns(value));
        histogram.record_many_ns(5_000, 70);
        let buckets = Buckets::of(Some(&histogram)).unwrap();
        let edge = lower_edge(2_000_000_000);
        let expected =
            [(0, 1_024, 2), (1_024, 1_280, 2), (1_280, 1_536, 1), (4_096, 5_120, 70), (edge, upper_edge(edge), 1)];
        assert_eq!(buckets.iter().collect::<Vec<_>>(), expected);
        let mut twice = buckets.clone();
        twice.merge(&buckets);
        assert_eq!(twice.iter().map(|(.., count)| count).collect::<Vec<_>>(), [4, 4, 2, 140, 2]);
        assert_eq!(Buckets::of(None), None);
    }

    #[test]
    fn a_document_has_them_as_an_object() {
        let text = r#"{"1024":3,"4096":70}"#;
        let buckets: Buckets = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&buckets).unwrap(), text);
        let mut hostile: Buckets =
            serde_json::from_str(r#"{"18446744073709551615":1,"5":18446744073709551615}"#).unwrap();
        hostile.merge(&hostile.clone());
        assert_eq!(hostile.iter().next(), Some((0, 1_024, u64::MAX)), "whatever a document holds");
    }
}
