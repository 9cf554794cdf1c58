//! Doing it: threads, connections, the hot path over session and wire.
mod clock;
mod connect;
mod coordinator;
mod link;
mod pacer;
pub mod process;
mod publisher;
mod shard;
mod shared;
mod subscriber;

pub use pacer::sleep_lateness;

pub use coordinator::{Progress, RunError, RunOutcome, StageOutcome, run};
