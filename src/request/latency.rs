//! Round trips: how long responses took.

use std::time::Duration;

use crate::terminal::number::{counted, duration};

/// The shortest, the longest, and what lies between, of any number of round trips.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RoundTrips {
    count: u64,
    least: u64,
    most: u64,
    mean: f64,
    /// Sum of the squares of the distances from the mean (Welford).
    squares: f64,
}

impl RoundTrips {
    /// Enters one.
    pub(super) fn enter(&mut self, latency: Duration) {
        let nanos = nanos(latency);
        self.least = if self.count == 0 { nanos } else { self.least.min(nanos) };
        self.most = self.most.max(nanos);
        self.count += 1;
        let value = nanos as f64;
        let distance = value - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (value - self.mean);
    }

    /// All of them in one line.
    pub(super) fn summary(&self) -> String {
        let Self { count, least, most, mean, squares } = *self;
        let deviation = if count > 1 { (squares / (count - 1) as f64).sqrt() } else { 0.0 };
        // Means and deviations of what fits fit.
        let [least, mean, most, deviation] = [least, mean as u64, most, deviation as u64].map(duration);
        let responses = counted(count, "response", "responses");
        format!("Latency of {responses}: min {least}, mean {mean}, max {most}, standard deviation {deviation}")
    }
}

/// One, for people.
pub(super) fn one(latency: Duration) -> String {
    format!("Latency: {}", duration(nanos(latency)))
}

/// One, as mosquitto_rr 2.1 prints it.
pub(super) fn mosquittos(latency: Duration) -> String {
    let nanos = latency.subsec_nanos();
    match latency.as_secs() {
        0 if nanos < 1_000 => format!("Latency: {nanos}ns"),
        0 if nanos < 1_000_000 => format!("Latency: {:.6}µs", f64::from(nanos) / 1e3),
        0 => format!("Latency: {:.6}ms", f64::from(nanos) / 1e6),
        seconds => format!("Latency: {seconds}.{nanos:09}"),
    }
}

fn nanos(latency: Duration) -> u64 {
    u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_are_summed_up() {
        let mut all = RoundTrips::default();
        for millis in [2, 4, 4, 4, 5, 5, 7, 9] {
            all.enter(Duration::from_millis(millis));
        }
        assert_eq!(
            all.summary(),
            "Latency of 8 responses: min 2.00 ms, mean 5.00 ms, max 9.00 ms, standard deviation 2.14 ms"
        );
        let mut one = RoundTrips::default();
        one.enter(Duration::MAX);
        assert!(one.summary().contains("standard deviation 0 ns"));
    }

    #[test]
    fn one_latency_in_our_words_and_in_mosquittos() {
        assert_eq!(one(Duration::from_micros(1_930)), "Latency: 1.93 ms");
        for (nanos, text) in [
            (999, "Latency: 999ns"),
            (1_500, "Latency: 1.500000µs"),
            (1_234_567, "Latency: 1.234567ms"),
            (2_000_000_001, "Latency: 2.000000001"),
        ] {
            assert_eq!(mosquittos(Duration::from_nanos(nanos)), text);
        }
    }
}
