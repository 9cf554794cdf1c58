//! mqrr: a request, and the response that belongs to it (5.0 §4.10).
//!
//! It builds on the rooms of mqpub, which reads payloads, and of mqsub, which prints messages. [`RequestPlan`] is built
//! from the options; [`request()`] runs it and returns the outcome. `matching`, `latency`, `messages` and
//! `open_request` are pure; only `run` and `requester` know a connection, a clock or stdin.

mod latency;
mod matching;
mod messages;
mod open_request;
mod plan;
mod receiver;
mod requester;
mod run;

pub use plan::RequestPlan;
pub use run::request;
