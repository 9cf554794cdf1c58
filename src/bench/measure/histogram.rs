//! A latency histogram: nanoseconds up to one hour at three significant digits, merged without error.
//!
//! A thin layer over hdrhistogram. It adds what reliable figures need: exact minimum, maximum and mean, a count of
//! values that were clamped or negative, and no percentile where fewer than ten samples lie above it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

/// Longest latency that is recorded, one hour in nanoseconds; longer ones are clamped to it and counted.
pub(crate) const HIGHEST_NS: u64 = 3_600_000_000_000;

/// Shortest latency that is recorded. The unit is one nanosecond so that all three digits hold from 1 µs on; a
/// coarser unit (1 µs) would save a quarter of the memory and cost the digits below 1 ms.
pub(crate) const LOWEST_NS: u64 = 1;

pub(crate) const SIGNIFICANT_DIGITS: u8 = 3;

/// Samples that must lie above a percentile for it to be reported.
pub(super) const SAMPLES_ABOVE: u64 = 10;

/// A percentile, in thousandths of a percent, so that 99.9 is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentile(u32);

impl Percentile {
    /// The median.
    pub const P50: Self = Self(50_000);
    /// 75 %.
    pub const P75: Self = Self(75_000);
    /// 90 %.
    pub const P90: Self = Self(90_000);
    /// 95 %.
    pub const P95: Self = Self(95_000);
    /// 99 %.
    pub const P99: Self = Self(99_000);
    /// 99.9 %.
    pub const P99_9: Self = Self(99_900);
    /// 99.99 %.
    pub const P99_99: Self = Self(99_990);
    /// Those of a result, ascending.
    #[cfg(test)]
    pub const ALL: [Self; 7] = [Self::P50, Self::P75, Self::P90, Self::P95, Self::P99, Self::P99_9, Self::P99_99];

    /// The smallest rank (from 1) that has this share of `count` samples at or below it.
    fn rank(self, count: u64) -> u64 {
        // At most count, so it fits.
        (u128::from(count) * u128::from(self.0)).div_ceil(100_000) as u64
    }
}

/// Latencies of one kind.
#[derive(Clone, Debug)]
pub struct LatencyHistogram {
    values: Histogram<u64>,
    /// Exact, where the histogram has three digits; `u64::MAX` while empty.
    min: u64,
    max: u64,
    sum: u128,
    clamped: u64,
    negative: u64,
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self::new()
    }
}

impl LatencyHistogram {
    /// An empty histogram; allocates all it will ever need, about 270 kB.
    #[expect(clippy::expect_used, reason = "fails only for bounds that contradict each other, and these are constants")]
    pub fn new() -> Self {
        let values = Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS).expect("bounds are valid");
        Self { values, min: u64::MAX, max: 0, sum: 0, clamped: 0, negative: 0 }
    }

    /// Enters a latency in nanoseconds. A negative one is counted as such and entered as 0, one above an hour is
    /// counted as clamped and entered as an hour: nothing is dropped.
    #[inline]
    pub fn record(&mut self, latency_ns: i64) {
        match u64::try_from(latency_ns) {
            Ok(value) => self.record_ns(value),
            Err(_) => {
                self.negative += 1;
                self.record_ns(0);
            }
        }
    }

    /// Enters a latency that cannot be negative.
    #[inline]
    pub fn record_ns(&mut self, latency_ns: u64) {
        self.record_many_ns(latency_ns, 1);
    }

    /// Enters the same latency `count` times.
    #[inline]
    pub fn record_many_ns(&mut self, latency_ns: u64, count: u64) {
        let value = if latency_ns > HIGHEST_NS {
            self.clamped += count;
            HIGHEST_NS
        } else {
            latency_ns
        };
        self.values.saturating_record_n(value, count);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum += u128::from(value) * u128::from(count);
    }

    /// Adds all samples of another histogram. The result is what one histogram would hold that had seen both.
    pub fn merge(&mut self, other: &Self) {
        // Same bounds on both sides, the only way to fail.
        let added = self.values.add(&other.values);
        debug_assert!(added.is_ok());
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.clamped += other.clamped;
        self.negative += other.negative;
    }

    /// Samples.
    pub fn count(&self) -> u64 {
        self.values.len()
    }

    /// No sample.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Smallest sample, exact.
    pub fn min(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.min)
    }

    /// Largest sample, exact.
    pub fn max(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.max)
    }

    /// Mean, exact up to rounding to whole nanoseconds.
    pub fn mean(&self) -> Option<u64> {
        let count = u128::from(self.count());
        // A mean of values that fit fits.
        (count > 0).then(|| ((self.sum + count / 2) / count) as u64)
    }

    /// Standard deviation, rounded to whole nanoseconds.
    pub fn stdev(&self) -> Option<u64> {
        (!self.is_empty()).then(|| self.values.stdev().round() as u64)
    }

    /// A percentile, or `None` where fewer than `SAMPLES_ABOVE` samples lie above it: p99.9 needs 10,000 samples.
    pub fn percentile(&self, percentile: Percentile) -> Option<u64> {
        let count = self.count();
        let rank = percentile.rank(count);
        if count == 0 || count - rank < SAMPLES_ABOVE {
            return None;
        }
        // Aimed at the middle of the rank, so that no rounding of the quotient reaches its neighbor.
        let quantile = (rank as f64 - 0.5) / count as f64;
        // The histogram answers with the upper end of a bucket, which may lie above the exact maximum.
        Some(self.values.value_at_quantile(quantile).clamp(self.min, self.max))
    }

    /// Samples above a value, to the histogram's precision.
    pub fn count_above(&self, value_ns: u64) -> u64 {
        self.count() - self.values.count_between(0, value_ns)
    }

    /// Samples above an hour.
    pub fn clamped(&self) -> u64 {
        self.clamped
    }

    /// Samples below zero: a clock or a stamp is wrong.
    pub fn negative(&self) -> u64 {
        self.negative
    }

    /// The histogram in HdrHistogram's V2 DEFLATE form in base64, which every implementation reads. `None` when it
    /// cannot be written, which takes an exhausted memory.
    pub fn to_base64(&self) -> Option<String> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.values, &mut bytes).ok()?;
        Some(STANDARD.encode(bytes))
    }

    /// Reads what [`LatencyHistogram::to_base64`] wrote. Minimum, maximum and mean are those of the buckets, until
    /// [`LatencyHistogram::with_exact`] gives the exact ones.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_base64(text: &str) -> Result<Self, String> {
        let bytes = STANDARD.decode(text).map_err(|error| format!("not base64: {error}"))?;
        let read: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| format!("not an HdrHistogram in V2 form: {error}"))?;
        let mut histogram = Self::new();
        histogram.values.add(&read).map_err(|error| format!("a histogram with other bounds: {error}"))?;
        if !read.is_empty() {
            histogram.min = read.min();
            histogram.max = read.max().min(HIGHEST_NS);
            histogram.sum = (read.mean() * read.len() as f64) as u128;
        }
        Ok(histogram)
    }

    /// The same with the exact figures that stood beside it: minimum, maximum, sum, and how many samples were clamped
    /// or negative.
    #[must_use]
    pub fn with_exact(self, [min, max]: [u64; 2], sum: u64, clamped: u64, negative: u64) -> Self {
        if self.is_empty() { self } else { Self { min, max, sum: u128::from(sum), clamped, negative, ..self } }
    }

    /// Sum of all samples, nanoseconds; at most 584 years.
    pub fn sum(&self) -> u64 {
        u64::try_from(self.sum).unwrap_or(u64::MAX)
    }

    /// The samples as HdrHistogram has them.
    pub(super) fn values(&self) -> &Histogram<u64> {
        &self.values
    }

    /// The values that were recorded, to the histogram's precision and in ascending order, each with its count.
    pub fn recorded(&self) -> impl Iterator<Item = (u64, u64)> {
        let last = self.max;
        // The histogram answers with the upper end of a bucket, which may lie above the exact maximum.
        self.values.iter_recorded().map(move |step| (step.value_iterated_to().min(last), step.count_at_value()))
    }
}

/// Equal when every figure they can give is equal.
impl PartialEq for LatencyHistogram {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
            && (self.min, self.max, self.sum) == (other.min, other.max, other.sum)
            && (self.clamped, self.negative) == (other.clamped, other.negative)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: impl IntoIterator<Item = i64>) -> LatencyHistogram {
        let mut histogram = LatencyHistogram::new();
        values.into_iter().for_each(|value| histogram.record(value));
        histogram
    }

    #[test]
    fn an_empty_histogram_has_no_figures() {
        let empty = LatencyHistogram::new();
        assert_eq!((empty.min(), empty.max(), empty.mean(), empty.stdev()), (None, None, None, None));
        assert!(Percentile::ALL.iter().all(|&percentile| empty.percentile(percentile).is_none()));
    }

    #[test]
    fn a_percentile_needs_ten_samples_above() {
        for (percentile, needed) in [
            (Percentile::P50, 20),
            (Percentile::P90, 100),
            (Percentile::P99, 1_000),
            (Percentile::P99_9, 10_000),
            (Percentile::P99_99, 100_000),
        ] {
            assert!(of(1..needed).percentile(percentile).is_none(), "{percentile:?} of {}", needed - 1);
            assert!(of(1..=needed).percentile(percentile).is_some(), "{percentile:?} of {needed}");
        }
    }

    #[test]
    fn out_of_range_is_counted_and_kept() {
        let histogram = of([-5, -1, 7, HIGHEST_NS as i64, HIGHEST_NS as i64 + 1, i64::MAX]);
        assert_eq!((histogram.count(), histogram.negative(), histogram.clamped()), (6, 2, 2));
        assert_eq!((histogram.min(), histogram.max()), (Some(0), Some(HIGHEST_NS)));
    }

    #[test]
    fn base64_is_the_standard_form() {
        let histogram = of((0..5_000).map(|value| value * 977));
        let text = histogram.to_base64().unwrap();
        assert!(text.starts_with("HISTFA"), "{text}"); // cookie 0x1c849314, as HdrHistogram writes it
        let read = LatencyHistogram::from_base64(&text).unwrap();
        assert_eq!(read.count(), histogram.count());
        for percentile in Percentile::ALL {
            assert_eq!(read.percentile(percentile), histogram.percentile(percentile));
        }
        for bad in ["", "%", "AAAA", &text[..text.len() / 2]] {
            assert!(LatencyHistogram::from_base64(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn percentiles_have_three_digits(mut values in prop::collection::vec(0u64..20_000_000_000, 20..3_000)) {
            let mut histogram = LatencyHistogram::new();
            values.iter().for_each(|&value| histogram.record_ns(value));
            values.sort_unstable();
            prop_assert_eq!(histogram.min(), values.first().copied());
            prop_assert_eq!(histogram.max(), values.last().copied());
            for percentile in Percentile::ALL {
                let rank = percentile.rank(values.len() as u64) as usize;
                match histogram.percentile(percentile) {
                    None => prop_assert!(values.len() - rank < 10),
                    Some(value) => {
                        let truth = values[rank - 1];
                        prop_assert!(value.abs_diff(truth) <= truth / 1000, "{} is not {}", value, truth);
                    }
                }
            }
        }

        #[test]
        fn merged_is_what_one_would_hold(left: Vec<i64>, right: Vec<i64>) {
            let mut merged = of(left.iter().copied());
            merged.merge(&of(right.iter().copied()));
            prop_assert_eq!(merged, of(left.into_iter().chain(right)));
        }
    }
}
