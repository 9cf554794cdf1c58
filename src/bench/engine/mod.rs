//! Doing it: threads, connections, the hot path over session and wire.
mod clock;
mod connect;
mod coordinator;
mod ledgers;
mod link;
mod pacer;
mod packets;
pub mod process;
mod publisher;
mod shard;
mod shared;
mod subscriber;

pub use coordinator::{Progress, RunError, RunOutcome, StageOutcome, run};
