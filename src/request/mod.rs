//! mqrr: a request, and the response that belongs to it (5.0 §4.10).
//!
//! It stands on the rooms of mqpub, which knows where payloads come from, and of mqsub, which prints messages.
//! [`RequestPlan`] is what the options mean; [`request()`] does it and returns how it ended. `matching`, `latency`,
//! `messages` and `open_request` are pure; only `run` and `requester` know a connection, a clock or stdin.

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
