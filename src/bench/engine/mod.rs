//! Doing it: threads, connections, the hot path over session and wire.
mod clock;
mod connect;
mod coordinator;
mod gathering;
mod ledgers;
mod link;
mod machine;
mod pacer;
mod packets;
pub mod process;
mod publisher;
mod shard;
mod shared;
mod subscriber;

#[cfg(test)]
pub use coordinator::run_in_place;
pub use coordinator::{Progress, RunError, RunOutcome, StageOutcome, StreamOutcome, run};
pub use machine::MachineCounters;
pub use pacer::sleep_lateness;
