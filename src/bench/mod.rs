//! mqbench: the rooms follow the data from the plan through the engine and what it measures to the report.

mod engine;
mod measure;
mod plan;
mod report;
mod system;

mod attempt;
mod calibrate;
mod compare;
mod doctor;
mod find;
mod identify;
mod interruption;
mod output;
mod run;
mod saved;
#[cfg(test)]
mod simulation;

pub use measure::Stamp;
pub use plan::Template;
pub use report::Gate;
pub use run::{OwnBroker, run};
