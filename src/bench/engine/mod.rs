//! Runs the load: threads, connections, and the hot path over session and wire.
mod clock;
mod connect;
mod connect_all;
mod connect_error;
mod coordinator;
mod disconnect;
mod ledgers;
mod link;
mod marks;
mod pacer;
mod packets;
mod publisher;
mod request;
mod responder;
mod shard;
mod shared;
mod stage_totals;
mod stream;
mod subscriber;
mod together;
mod watched;

pub(super) use connect_all::concurrent_connects;
pub(super) use coordinator::{
    Overload, RunError, RunOutcome, RunProgress, StageOutcome, StreamOutcome, TargetOutcome, run,
};
#[cfg(test)]
pub(super) use coordinator::{Usage, run_in_place};
pub(super) use pacer::sleep_lateness;
pub(super) use together::{StartSignal, Together, TogetherRemote, together};
pub(super) use watched::WatchedSecond;
