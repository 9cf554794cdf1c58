//! The outcome of a run.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::super::shard::TargetShare;
use super::super::subscriber::LateMessages;
use super::super::watched::WatchedSecond;
use super::usage::Usage;
use crate::bench::measure::{Delivery, Outages, RateWindows, Reach, Recorder, Series, Silence};
use crate::bench::plan::{Stage, StageName};
use crate::bench::system::CpuTime;
use crate::client::ClientError;
use crate::session::Limits;
use crate::transport::TlsInfo;

/// How far a run has come.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RunProgress {
    /// Clients are connecting.
    Connecting {
        /// Clients that are connected.
        connected: usize,
        /// All clients.
        clients: usize,
    },
    /// All clients are connected, and wait for the other shards.
    Waiting,
    /// Connections are held.
    Holding {
        /// Open connections.
        open: u64,
        /// The time they were held so far.
        elapsed: Duration,
        /// The time to hold them.
        duration: Duration,
        /// The last whole second.
        second: Option<Arc<WatchedSecond>>,
    },
    /// Load before the measurement.
    WarmUp(StageName),
    /// The measured load.
    Measuring {
        /// Which stage.
        stage: StageName,
        /// The measured time so far.
        elapsed: Duration,
        /// The planned time, where time limits the stage.
        duration: Option<Duration>,
        /// The rate of the schedule, messages per second; none in a closed loop.
        rate: Option<f64>,
        /// The last whole second.
        second: Option<Arc<WatchedSecond>>,
    },
    /// Waiting for messages in flight.
    Draining {
        /// Which stage.
        stage: StageName,
        /// Messages in flight.
        outstanding: u64,
    },
}

/// Why a run could not start.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    /// A client could not connect or subscribe.
    #[error("client {client} of {clients}: {error}")]
    Client {
        /// Its global number.
        client: usize,
        /// The number of clients.
        clients: usize,
        /// The cause.
        error: ClientError,
    },
    /// The system could not start a thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// The shards of the run did not start together.
    #[error("{0}")]
    Barrier(String),
    /// Interrupted while connecting.
    #[error("interrupted before the load began")]
    Interrupted,
}

/// The outcome of a stage.
#[derive(Debug, Default)]
pub(crate) struct StageOutcome {
    /// The plan of the stage.
    pub stage: Stage,
    /// Why its schedule was not kept, where an attempt at a lower rate follows.
    pub given_up: Option<String>,
    /// The rate of the schedule, messages per second; none in a closed loop.
    pub rate: Option<f64>,
    /// When the load began, ns since t0.
    pub start_ns: u64,
    /// When measuring began.
    pub from_ns: u64,
    /// How long it was measured.
    pub measured_ns: u64,
    /// The times over which its rates are taken.
    pub windows: RateWindows,
    /// How long the drain took.
    pub drain_ns: u64,
    /// What was recorded.
    pub recorder: Recorder,
    /// The same second by second; in long stages a row is several seconds.
    pub series: Series,
    /// What was delivered; none without subscribers.
    pub delivery: Option<Delivery>,
    /// The same by stream, its subscribers together: all with faults, and the first of the others.
    pub streams: BTreeMap<usize, StreamOutcome>,
    /// What this shard sent and received, where publishers and subscribers may be in different shards.
    pub reach: Option<Reach>,
    /// Ledgers that do not add up.
    pub unbalanced: u64,
    /// Arrivals after which messages matched by order may have been taken for their neighbors.
    pub unmatched: u64,
    /// Slots of the schedule in the measured window.
    pub offered: Option<u64>,
    /// Messages that were due in the measured window, or that the count asked for, and that were never sent. None where
    /// neither schedule nor count sets their number.
    pub not_sent: Option<u64>,
    /// QoS 2 messages that the broker acknowledged as QoS 1.
    pub downgraded: u64,
    /// Measured messages that were neither acknowledged nor refused when the drain was over.
    pub unacknowledged: u64,
    /// Measured messages that were acknowledged or refused, also after the measured window.
    pub answered: u64,
    /// What was used in the measured window.
    pub usage: Usage,
    /// CPU time of the busiest thread in it.
    pub busiest_thread: Option<CpuTime>,
    /// The memory per client, where only clients are measured.
    pub clients_bytes: Option<u64>,
    /// Connections that were open when the stage began; with [`StageName::Conn`] all that were made.
    pub connected: u64,
    /// The most that were open at once.
    pub max_open: u64,
    /// How far the monotonic clock went back while it was measured.
    pub clock_back_ns: u64,
    /// Connections that were lost in the stage, by cause.
    pub lost: BTreeMap<String, u64>,
    /// Times without delivery, where clients reconnect.
    pub outages: Option<Outages>,
    /// Times in which nothing arrived, or nothing was acknowledged where nobody subscribes.
    pub silences: Option<Vec<Silence>>,
    /// The part of each broker, where there are several.
    pub targets: Vec<TargetOutcome>,
}

/// The part of one of several brokers in a stage.
#[derive(Clone, Debug, Default)]
pub(crate) struct TargetOutcome {
    /// Counters, latencies and deliveries of its connections.
    pub share: TargetShare,
    /// Connections that were open when the stage began.
    pub connected: u64,
    /// Connections that were lost in it; one that is lost repeatedly counts each time.
    pub lost: u64,
}

/// What became of the measured messages of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamOutcome {
    /// At its subscribers, if it has any.
    pub delivery: Option<Delivery>,
    /// Neither acknowledged nor refused.
    pub unacknowledged: u64,
    /// Refused by the broker.
    pub refused: u64,
}

impl StreamOutcome {
    /// Whether everything arrived once and in order.
    pub(crate) fn is_clean(&self) -> bool {
        let Delivery { lost, duplicates, reordered, late, corrupt, .. } = self.delivery.unwrap_or_default();
        [self.unacknowledged, self.refused, lost, duplicates, reordered, late, corrupt] == [0; 7]
    }
}

impl StageOutcome {
    /// Adds messages that arrived after the drain had ended.
    pub(super) fn add_late(&mut self, late: LateMessages) {
        let of_stream = self.streams.get_mut(&late.stream).and_then(|stream| stream.delivery.as_mut());
        for delivery in [self.delivery.as_mut(), of_stream].into_iter().flatten() {
            delivery.late += late.count;
        }
    }
}

/// The outcome of a run.
#[derive(Debug, Default)]
pub(crate) struct RunOutcome {
    /// When its clock began to count.
    pub t0: Option<Instant>,
    /// How long after its moment the load of this shard began.
    pub start_late: Option<Duration>,
    /// What TLS negotiated, where it was used.
    pub tls: Option<TlsInfo>,
    /// What the broker allows, once a client was connected.
    pub limits: Option<Limits>,
    /// Latencies of connecting.
    pub connect: Recorder,
    /// How long it took to connect all clients.
    pub connect_ns: u64,
    /// The stages that were started.
    pub stages: Vec<StageOutcome>,
    /// Connections that were lost, by cause.
    pub lost: BTreeMap<String, u64>,
    /// Clients whose connection was lost and not made again by the end of the load.
    pub away: u64,
    /// The smallest window to which losses without progress reduced a publisher.
    pub narrowed: Option<u16>,
    /// The first connect that failed and was only counted: the global number of the client, and the cause.
    pub first_failure: Option<(usize, ClientError)>,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// Whether all publishers, or all subscribers, were lost.
    pub collapsed: bool,
    /// How long there had been no progress when a load that only a count ends was given up.
    pub stalled: Option<Duration>,
    /// Whether the broker's process ended before the load did.
    pub broker_ended: bool,
}
