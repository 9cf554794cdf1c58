//! mqbench: the rooms follow the data from the plan through the engine and what it measures to the report.

pub mod engine;
pub mod measure;
pub mod plan;
pub mod report;

mod broker_process;
mod calibrate;
mod cgroup;
mod run;
mod doctor;
mod environment;
mod identify;
mod interruption;
mod outcome;
#[cfg(test)]
mod truth;

pub use run::{OwnBroker, run};
