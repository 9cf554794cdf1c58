//! mqrr: a request, and the response that belongs to it (5.0 §4.10).
//!
//! It stands on the rooms of mqpub, which knows where payloads come from, and of mqsub, which prints messages.
//! [`RequestPlan`] is what the options mean; [`request()`] does it and says how it ended. [`matching`] and `latency` are
//! pure; only `run`, with its `answers` and its `ends`, knows a socket, a clock or stdin.

mod answers;
mod ends;
mod latency;
pub mod matching;
mod plan;
mod receiver;
mod run;
mod telling;

pub use plan::{RequestPlan, ResponseTopic};
pub use run::request;
