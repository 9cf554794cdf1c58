//! Doing it: threads, connections, the hot path over session and wire.
mod cause;
mod clock;
mod connect;
mod coordinator;
mod echo;
mod gathering;
mod hold;
mod ledgers;
mod link;
mod marks;
mod pacer;
mod packets;
mod publisher;
mod reconnect;
mod shard;
mod shared;
mod subscriber;

#[cfg(test)]
pub use coordinator::run_in_place;
pub use coordinator::{Progress, RunError, RunOutcome, StageOutcome, StreamOutcome, TargetOutcome, run};
pub use hold::connects_at_once;
pub use pacer::sleep_lateness;
