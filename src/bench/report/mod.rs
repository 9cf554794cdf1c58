//! Reporting: the result document, what it is assembled from, gates, the summary for people.
//!
//! From the ground up: the parts of the document (`Traffic`, `DeliveryAccount`, `LatencyTable`, `Stage`) and
//! the [`ResultDocument`] are data, written as JSON and read back. `metric`, `gate`, `verdict`, `summary`, `html` and
//! `write` read the document alone, `read` reads it from a file. `assemble` makes it from the plan and what the engine
//! brought.

mod assemble;
mod comparison;
mod curve;
mod delivery;
mod details;
mod document;
mod gate;
mod html;
mod key_figures;
mod latency;
mod limit;
mod load;
mod merge;
mod metric;
mod plan;
mod read;
mod repeats;
mod schema;
mod stage;
mod statistics;
mod status;
mod summary;
mod traffic;
mod verdict;
mod write;

#[cfg(test)]
mod tests;

pub(in crate::bench) use assemble::qos_2_with_puback;
pub(super) use assemble::{announcement, assemble, context, nothing_measured, url};
pub(super) use comparison::{CompareVerdict, Comparison, MetricComparison, Side, SideFigure, plan_differences};
pub(super) use curve::{Curve, CurvePoint, LimitedBy, ProbeOutcome, Purpose};
pub(super) use document::{BrokerLimits, BrokerName, GateOutcome, ResultDocument, TlsFacts, ToolFacts};
pub use gate::Gate;
pub(super) use gate::{percent_change, signed_percent};
pub(super) use merge::merge_read;
pub(super) use metric::{Kind, Metric, number};
pub(super) use read::read_result;
pub(super) use repeats::{RunFigures, RunStatistics};
pub use schema::result_schema;
pub(super) use schema::schema_of;
#[cfg(test)]
pub(super) use schema::tests::check_schema;
pub(super) use statistics::{CONFIDENCE_PCT, RESAMPLES, SEED, can_differ, interval_of_change, interval_of_median};
pub(super) use status::Status;
pub(super) use summary::{gates_text, summary};
pub(super) use write::{Format, markdown_text};
