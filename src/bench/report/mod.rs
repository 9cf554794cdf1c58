//! Saying it: the result document, the terminal summary, gates.
//!
//! An engine hands over one [`StageMeasurement`] a stage; [`ResultDocument::assemble`] makes the document of them,
//! [`GateOutcome`]s are added, and everything that is printed is read from the document alone.

pub mod account;
pub mod document;
#[cfg(test)]
mod example;
pub mod gate;
pub mod latency;
pub mod metric;
pub mod stage;
pub mod stream;
pub mod summary;
pub mod traffic;

pub use account::{Clients, DeliveryAccount, Generator};
pub use document::{ResultDocument, RunContext, RunFacts, SCHEMA, Status, Warning};
pub use gate::{Gate, GateError, GateOutcome};
pub use latency::{LatencySummary, LatencyTable, Percentiles};
pub use stage::{LoadModel, Stage, StageMeasurement};
pub use stream::StreamAccount;
pub use summary::summary;
pub use traffic::Traffic;
