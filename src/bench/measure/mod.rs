//! What was measured: stamp, recorder, histograms, delivery ledger, the generator's own health.
//!
//! Pure: no socket and no clock. Time is nanoseconds since the run's t0. An engine thread owns a [`Recorder`] and a
//! [`StreamLedger`] for every pair of stream and subscriber, or a [`GroupLedger`] for every pair of stream and group of
//! subscribers that share a subscription; all are merged when it is done.

mod figures;
mod generator;
mod group;
mod histogram;
mod ledger;
mod outage;
mod recorder;
mod series;
mod span;
mod stamp;
mod steadiness;
mod validity;

pub use figures::{StageFigures, percent, rounded};
pub use generator::{Generator, GeneratorOfStage, Verdict};
pub use group::{GroupLedger, MemberMark};
pub use histogram::{HIGHEST_NS, LOWEST_NS, LatencyHistogram, Percentile, SIGNIFICANT_DIGITS};
pub use ledger::{Arrival, Delivery, StreamLedger};
pub use outage::{Outage, Outages};
pub use recorder::{ConnectFailure, Counters, Latencies, Latency, Recorder, SampleBatch};
pub use series::{IntervalRow, MOST_ROWS, Series, Timeline};
pub use span::{RateWindows, Span, Spans};
pub use stamp::{STAMP_SIZE, STAMP_TICK_NS, Stamp, unwrap_sequence};
pub use steadiness::{Drift, Steadiness};
pub use validity::{Fault, LAG_FLOOR_NS, lag_above_limit};
