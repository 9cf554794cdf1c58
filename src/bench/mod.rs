//! mqbench, in four rooms that follow the data: plan, engine, measure, report.
pub mod engine;
pub mod measure;
pub mod plan;
pub mod report;
