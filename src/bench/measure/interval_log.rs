//! HdrHistogram's interval log: the text format that its tools for every language read and plot.

use std::io;
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::histogram::LatencyHistogram;

/// What HdrHistogram's own writers divide the maximum by, so that nanoseconds are shown as milliseconds.
const MAXIMUM_IN_MS: f64 = 1e6;

/// The latencies of one kind in a part of a run.
#[derive(Debug)]
pub(crate) struct Interval {
    /// Start, nanoseconds since the run's t0.
    pub start_ns: u64,
    /// Length.
    pub duration_ns: u64,
    /// What was timed.
    pub tag: &'static str,
    /// The samples.
    pub histogram: LatencyHistogram,
}

/// The log of these intervals, by their start. `started_at` is the time of t0.
///
/// # Errors
/// A histogram that cannot be written.
pub(crate) fn interval_log(intervals: &[Interval], started_at: Option<SystemTime>) -> io::Result<Vec<u8>> {
    let mut sorted: Vec<&Interval> = intervals.iter().collect();
    sorted.sort_by_key(|interval| (interval.start_ns, interval.tag));
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment("[Histogram log format version 1.3]");
    builder.add_comment("[latencies of mqbench in nanoseconds; the maximum of an interval in milliseconds]");
    builder.with_max_value_divisor(MAXIMUM_IN_MS);
    if let Some(started_at) = started_at {
        builder.with_start_time(started_at).with_base_time(started_at);
    }
    let (mut text, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let mut log = builder.begin_log_with(&mut text, &mut serializer)?;
    for Interval { start_ns, duration_ns, tag, histogram } in sorted {
        let [start, duration] = [*start_ns, *duration_ns].map(Duration::from_nanos);
        log.write_histogram(histogram.values(), start, duration, Tag::new(tag)).map_err(io::Error::other)?;
    }
    Ok(text)
}
