//! mqbench as a process: its figures, its documents, its exit status, and every way in which a run can fail. One crate,
//! because each test crate links the whole library.

// clippy.toml allows it in test functions only, not in the functions that they share.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod broker_side;
mod comparisons;
mod connections;
mod html_report;
mod library;
mod prometheus;
mod reconnect;
mod runs;
mod self_and_doctor;
mod shapes;
mod shards;
