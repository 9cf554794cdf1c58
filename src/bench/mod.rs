//! mqbench: the rooms follow the data from the plan through the engine and what it measures to the report.

mod engine;
mod measure;
mod plan;
mod report;
mod system;

mod attempt;
mod barrier;
mod calibrate;
mod compare;
mod doctor;
mod find;
mod identify;
mod interruption;
mod job;
mod output;
mod prometheus;
mod run;
mod saved;
#[cfg(test)]
mod simulation;
mod sys_sampler;

pub use compare::compare_schema;
pub use measure::Stamp;
pub use report::{Gate, result_schema};
pub use run::{OwnBroker, run};
