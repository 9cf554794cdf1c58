//! The commands of the coordinator to a shard, and the reports of a shard to the coordinator.

use std::io;
use std::time::Duration;

use super::super::shared::StageRun;
use super::super::subscriber::{Deliveries, LateMessages};
use crate::bench::measure::{Delivery, Outages, Recorder, Spans};
use crate::bench::plan::ClientKind;
use crate::bench::system::CpuTime;
use crate::client::ClientError;

/// A command of the coordinator.
#[derive(Clone, Debug)]
pub(in crate::bench::engine) enum Command {
    /// Run a stage. The same stage number again changes its end.
    Begin(StageRun),
    /// Hand over what was recorded since the last second.
    Second,
    /// Count the measured messages that have not arrived yet.
    Missing,
    /// The drain is over: publishers send nothing more. Once all shards have stopped, the set of measured messages is
    /// final.
    Stop,
    /// All shards have stopped: settle the ledgers.
    Settle,
    /// Clean up, disconnect, end.
    End,
}

/// A report of a shard.
#[derive(Debug)]
pub(in crate::bench::engine) enum Report {
    /// One more client is connected, and subscribed where it receives.
    Connected { target: usize },
    /// All clients are connected; how long connecting took.
    Ready(Box<Recorder>),
    /// A client could not connect.
    Failed { client: usize, error: ClientError },
    /// What was recorded in one second, and how many messages are missing by now, as far as is seen at once.
    Second { shard: usize, recorder: Box<Recorder>, cpu: Option<CpuTime>, missing: u64 },
    /// A connection was lost.
    Lost { kind: ClientKind, target: usize, cause: String },
    /// A lost connection was made again.
    Reconnected { kind: ClientKind, target: usize },
    /// A publisher keeps at most this many messages in flight from now on: its connections were lost without progress.
    WindowReduced { window: u16 },
    /// Measured messages that have not arrived yet.
    Missing(u64),
    /// The publishers have stopped.
    Stopped,
    /// A stage is settled.
    Settled(Box<Settled>),
    /// Messages arrived after their drain had ended.
    Late(Vec<LateMessages>),
    /// A shard of several processes begins its load, this long after its moment.
    Begun { late: Duration },
    /// The system has no resources for the thread's event loop.
    NoRuntime(io::Error),
    /// The shard has ended.
    Ended,
}

/// What a shard has settled of a stage.
#[derive(Debug, Default)]
pub(in crate::bench::engine) struct Settled {
    /// What was recorded since the last second.
    pub(in crate::bench::engine) recorder: Recorder,
    pub(in crate::bench::engine) deliveries: Deliveries,
    /// QoS 2 messages that were acknowledged as QoS 1.
    pub(in crate::bench::engine) downgraded: u64,
    pub(in crate::bench::engine) spans: Spans,
    pub(in crate::bench::engine) outages: Outages,
    /// The part of each broker, where there are several.
    pub(in crate::bench::engine) shares: Vec<TargetShare>,
}

impl Settled {
    /// Adds what another shard has settled.
    pub(in crate::bench::engine) fn merge(&mut self, other: Self) {
        self.recorder.merge(&other.recorder);
        self.deliveries.merge(&other.deliveries);
        self.downgraded += other.downgraded;
        self.spans.merge(other.spans);
        self.outages.merge(&other.outages);
        self.shares.resize_with(other.shares.len(), TargetShare::default);
        for (sum, share) in self.shares.iter_mut().zip(&other.shares) {
            sum.recorder.merge(&share.recorder);
            sum.delivery.merge(&share.delivery);
        }
    }
}

/// The part of a stage that went over the connections to one broker.
#[derive(Clone, Debug, Default)]
pub(crate) struct TargetShare {
    /// Counters and latencies of its connections.
    pub recorder: Recorder,
    /// What its subscribers received.
    pub delivery: Delivery,
}
