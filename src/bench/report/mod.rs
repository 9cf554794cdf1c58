//! Reporting: the result document, what it is assembled from, gates, the summary for people.
//!
//! From the ground up: the parts of the document ([`Traffic`], [`DeliveryAccount`], [`LatencyTable`], [`Stage`]) and
//! the [`ResultDocument`] are data, written as JSON and read back. `metric`, `gate` and `summary` read the document
//! alone. `assemble` makes it from the plan and what the engine brought.

mod assemble;
mod delivery;
mod document;
mod gate;
mod latency;
mod metric;
mod stage;
mod summary;
mod traffic;

#[cfg(test)]
mod tests;

pub(in crate::bench) use assemble::qos_2_with_puback;
pub use assemble::{announcement, assemble, context, nothing_measured, url};
pub use delivery::{Clients, DeliveryAccount, StreamAccount};
pub use document::{
    BrokerFacts, BrokerName, GateOutcome, ResultDocument, RunFacts, Status, TargetFacts, TlsFacts, ToolFacts, Warning,
};
pub use gate::{Gate, GateError};
pub use latency::{LatencySummary, LatencyTable, LoopKind, Percentiles};
pub use stage::{Phase, Stage, Target};
pub use summary::summary;
pub use traffic::Traffic;
