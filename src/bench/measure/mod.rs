//! What happened: stamp, recorder, histograms, delivery ledger, the generator's own health.
//!
//! Pure: no socket and no clock. Time is nanoseconds since the run's t0. An engine thread owns a [`Recorder`] and a
//! [`StreamLedger`] for every pair of stream and subscriber, or a [`GroupLedger`] for every pair of stream and group of
//! subscribers that share a subscription; all are merged when it is done.

pub mod group;
pub mod health;
pub mod histogram;
pub mod interval;
pub mod ledger;
pub mod outage;
pub mod recorder;
pub mod span;
pub mod stamp;
pub mod steadiness;
pub mod validity;

pub use group::{GroupLedger, MemberMark};
pub use health::{GeneratorFigures, GeneratorHealth, Verdict, percent};
pub use histogram::{LatencyHistogram, Percentile};
pub use interval::{IntervalRow, MOST_ROWS, Timeline, thin};
pub use ledger::{Arrival, Delivery, StreamLedger};
pub use outage::{Outage, Outages};
pub use recorder::{ConnectFailure, Counters, Latencies, Latency, Recorder, SampleBatch};
pub use span::{RateWindows, Span, Spans};
pub use stamp::{STAMP_SIZE, STAMP_TICK_NS, Stamp, unwrap_sequence};
pub use steadiness::{Drift, Steadiness};
pub use validity::{Invalidity, LAG_FLOOR_NS, ValidityFigures};
