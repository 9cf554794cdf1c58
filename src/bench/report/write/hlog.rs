//! The latencies as an interval log of HdrHistogram, which its tools plot: an interval per stage and latency, with the
//! latency's name as its tag. Times are in seconds since the start of the run, the largest value in milliseconds.

use std::time::SystemTime;

use anyhow::{Context as _, Result};
use chrono::DateTime;

use crate::bench::measure::{Interval, interval_log};
use crate::bench::report::document::ResultDocument;
use crate::bench::report::latency::LatencyTable;

pub(super) fn write(results: &[ResultDocument]) -> Result<Vec<u8>> {
    let mut intervals = Vec::new();
    let starts: Vec<Option<SystemTime>> = results.iter().map(started_at).collect();
    // The log has one time 0, that of the first result to begin.
    let first = starts.iter().flatten().min().copied();
    let stages = results.iter().zip(&starts).flat_map(|(result, start)| {
        let offset = start.zip(first).and_then(|(start, first)| start.duration_since(first).ok()).unwrap_or_default();
        result.stages.iter().map(move |stage| (stage, offset.as_nanos() as u64))
    });
    for (stage, offset_ns) in stages {
        for tag in LatencyTable::NAMES {
            let Some(summary) = stage.latency.get(tag) else { continue };
            let histogram = summary.histogram().with_context(|| format!("{}: {tag}", stage.name))?;
            intervals.push(Interval {
                start_ns: offset_ns + stage.start_ns,
                duration_ns: stage.duration_ns,
                tag,
                histogram,
            });
        }
    }
    interval_log(&intervals, first).context("the log cannot be written")
}

/// The time of a result's t0.
fn started_at(result: &ResultDocument) -> Option<SystemTime> {
    let time = DateTime::parse_from_rfc3339(result.run.started_at.as_deref()?).ok()?;
    Some(time.into())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::bench::report::tests::example;

    #[test]
    fn hdrhistograms_reader_finds_every_latency_of_every_stage() {
        let document = example::document();
        let text = write(std::slice::from_ref(&document)).unwrap();
        let (mut found, mut started_at) = (Vec::new(), None);
        for entry in IntervalLogIterator::new(&text) {
            match entry.unwrap() {
                LogEntry::StartTime(time) => started_at = Some(time.as_secs()),
                LogEntry::BaseTime(_) => {}
                LogEntry::Interval(interval) => {
                    let bytes = STANDARD.decode(interval.encoded_histogram()).unwrap();
                    let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
                    let tag = interval.tag().unwrap().as_str().to_owned();
                    found.push((interval.start_timestamp(), tag, interval.duration(), interval.max(), histogram));
                }
            }
        }
        assert_eq!(started_at, Some(1_763_696_160), "2025-11-21T03:36:00Z");
        assert!(found.is_sorted_by_key(|interval| interval.0));
        assert_eq!(found.len(), 2 * 5, "five latencies of two stages");
        for stage in &document.stages {
            let e2e = stage.latency.e2e.as_ref().unwrap();
            let (_, _, duration, max_ms, histogram) = found
                .iter()
                .find(|(start, tag, ..)| tag == "e2e" && start.as_nanos() == u128::from(stage.start_ns))
                .unwrap();
            assert_eq!((duration.as_nanos(), histogram.len()), (u128::from(stage.duration_ns), e2e.count));
            assert!((max_ms - e2e.max as f64 / 1e6).abs() <= max_ms / 1000.0, "{max_ms} ms, {} ns", e2e.max);
            assert!(histogram.value_at_quantile(0.5).abs_diff(e2e.p.p50.unwrap()) <= e2e.p.p50.unwrap() / 1000);
        }
    }

    #[test]
    fn results_stand_in_the_log_when_they_were_measured() {
        let mut later = example::document();
        later.run.started_at = Some("2025-11-21T03:37:30Z".to_owned());
        // The later one first.
        let text = write(&[later, example::document()]).unwrap();
        let (mut starts, mut base) = (Vec::new(), None);
        for entry in IntervalLogIterator::new(&text) {
            match entry.unwrap() {
                LogEntry::BaseTime(time) => base = Some(time.as_secs()),
                LogEntry::Interval(interval) => starts.push(interval.start_timestamp().as_secs()),
                LogEntry::StartTime(_) => {}
            }
        }
        starts.dedup();
        assert_eq!((base, starts), (Some(1_763_696_160), vec![0, 6, 90, 96]));
    }

    #[test]
    fn a_result_without_latencies_is_an_empty_log() {
        let text = String::from_utf8(write(&[example::bare_context()]).unwrap()).unwrap();
        assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
    }
}
