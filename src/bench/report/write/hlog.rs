//! The latencies as an interval log of HdrHistogram, which its tools plot: an interval per stage and latency, with the
//! latency's name as its tag. Times are in seconds since the start of the run, the largest value in milliseconds.

use anyhow::{Context as _, Result};
use chrono::DateTime;

use crate::bench::measure::{Interval, interval_log};
use crate::bench::report::document::ResultDocument;
use crate::bench::report::latency::LatencyTable;

pub(super) fn write(results: &[ResultDocument]) -> Result<Vec<u8>> {
    let mut intervals = Vec::new();
    for stage in results.iter().flat_map(|result| &result.stages) {
        for tag in LatencyTable::NAMES {
            let Some(summary) = stage.latency.get(tag) else { continue };
            let histogram = summary.histogram().with_context(|| format!("{}: {tag}", stage.name))?;
            intervals.push(Interval { start_ns: stage.start_ns, duration_ns: stage.duration_ns, tag, histogram });
        }
    }
    let started_at = results.first().and_then(|result| result.run.started_at.as_deref());
    let started_at = started_at.and_then(|time| DateTime::parse_from_rfc3339(time).ok()).map(Into::into);
    interval_log(&intervals, started_at).context("the log cannot be written")
}
