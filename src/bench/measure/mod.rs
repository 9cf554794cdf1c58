//! What was measured: stamp, recorder, histograms, delivery ledger, the generator's own health.
//!
//! Pure: no socket and no clock. Time is nanoseconds since the run's t0. An engine thread owns a [`Recorder`] and a
//! [`StreamLedger`] for every pair of stream and subscriber, or a [`GroupLedger`] for every pair of stream and group of
//! subscribers that share a subscription; all are merged when it is done.

mod buckets;
mod figures;
mod generator;
mod group;
mod histogram;
mod interval_log;
mod ledger;
mod live;
mod outage;
mod reach;
mod recorder;
mod series;
mod span;
mod stamp;
mod steadiness;
mod sys_samples;
mod validity;

pub(super) use buckets::Buckets;
pub(super) use figures::{StageFigures, percent, rounded};
pub(super) use generator::{CEILING_NEAR_PCT, Generator, GeneratorOfStage, Verdict};
pub(super) use group::{GroupLedger, MemberMark};
pub(super) use histogram::{HIGHEST_NS, LOWEST_NS, LatencyHistogram, Percentile, SIGNIFICANT_DIGITS};
pub(super) use interval_log::{Interval, interval_log};
pub(super) use ledger::{Delivery, Observed, StreamLedger};
pub(super) use live::{BUCKETS_NS, BucketCounts, LiveFigures, LiveStage};
pub(super) use outage::{Outage, Outages};
pub(super) use reach::{Reach, Received};
pub(super) use recorder::{ConnectFailure, Counters, Latencies, Latency, Recorder, SampleBatch};
pub(super) use series::{IntervalRow, MOST_ROWS, Series, Timeline};
pub(super) use span::{RateWindows, Silence, Span, Spans, common_silences};
pub use stamp::Stamp;
pub(super) use stamp::{STAMP_SIZE, STAMP_TICK_NS, unwrap_sequence};
pub(super) use steadiness::{Drift, Steadiness, median};
pub(super) use sys_samples::{SysFigures, SysSamples, SysSeries};
pub(super) use validity::{Fault, LAG_FLOOR_NS, lag_above_limit};
