//! mqbench: the rooms follow the data from the plan through the engine and what it measures to the report.

mod engine;
pub mod measure;
pub mod plan;
pub mod report;
pub mod system;

mod calibrate;
mod doctor;
mod identify;
mod interruption;
mod run;
#[cfg(test)]
mod simulation;

pub use run::{OwnBroker, run};
