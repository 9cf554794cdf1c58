//! Doing it: threads, connections, the hot path over session and wire.
mod cause;
mod clock;
mod connect;
mod coordinator;
mod echo;
mod hold;
mod link;
mod pacer;
pub mod process;
mod publisher;
mod reconnect;
mod shard;
mod shared;
mod subscriber;

#[cfg(test)]
pub use coordinator::run_in_place;
pub use coordinator::{Progress, RunError, RunOutcome, StageOutcome, TargetOutcome, run};
