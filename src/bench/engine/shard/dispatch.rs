//! What the coordinator asks of a shard, and what a shard tells it.

use std::io;

use super::super::shared::StageRun;
use super::super::subscriber::{Deliveries, LateMessages};
use crate::bench::measure::{Delivery, Outages, Recorder, Spans};
use crate::bench::plan::Part;
use crate::bench::system::CpuTime;
use crate::client::ClientError;

/// What the coordinator asks of a shard.
#[derive(Clone, Debug)]
pub(in crate::bench::engine) enum Command {
    /// Carry out a stage; the same number again changes its end.
    Begin(StageRun),
    /// Hand over what was recorded since the last second.
    Second,
    /// Say how many measured messages are still to come.
    Missing,
    /// The drain is over: publishers send nothing more. What was measured is fixed when all shards have said so.
    Stop,
    /// All have stopped: settle the ledgers.
    Settle,
    /// Clean up, disconnect, end.
    End,
}

/// What a shard tells the coordinator.
#[derive(Debug)]
pub(in crate::bench::engine) enum Report {
    /// One more client is connected (and subscribed).
    Connected { target: usize },
    /// All clients are; what connecting took.
    Ready(Box<Recorder>),
    /// A client could not connect; the shard has given up.
    Failed { client: usize, error: ClientError },
    /// What one second brought.
    Second { shard: usize, recorder: Box<Recorder>, cpu: Option<CpuTime> },
    /// A connection is gone.
    Lost { part: Part, target: usize, cause: String },
    /// One that was gone is there again.
    Back { part: Part, target: usize },
    /// A publisher has fewer messages in flight from now on, at most so many: its connections were lost without progress.
    Narrowed { window: u16 },
    /// So many measured messages are still to come.
    Missing(u64),
    /// The publishers have stopped.
    Stopped,
    /// A stage is settled.
    Settled {
        recorder: Box<Recorder>,
        deliveries: Deliveries,
        downgraded: u64,
        spans: Spans,
        outages: Outages,
        /// What each broker has of it, where there are several.
        shares: Vec<Share>,
    },
    /// Messages came when their drain had ended.
    Late(Vec<LateMessages>),
    /// The system has no means for the thread's event loop.
    NoRuntime(io::Error),
    /// The thread is at its end.
    Ended,
}

/// What of a stage went over the connections to one broker.
#[derive(Clone, Debug, Default)]
pub struct Share {
    /// Counted and timed there.
    pub recorder: Recorder,
    /// The account of the subscribers there.
    pub delivery: Delivery,
}
