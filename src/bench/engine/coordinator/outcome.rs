//! What a run brought, as the coordinator hands it over.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use thiserror::Error;

use super::super::shard::TargetShare;
use super::super::subscriber::LateMessages;
use crate::bench::measure::{Delivery, IntervalRow, Outages, RateWindows, Recorder};
use crate::bench::plan::{Stage, StageName};
use crate::bench::system::{CpuTime, MachineCounters, ProcessUse, Throttling};
use crate::client::ClientError;
use crate::transport::TlsInfo;

/// How far a run has come, for whoever shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RunProgress {
    /// Clients are connecting.
    Connecting {
        /// Connected.
        connected: usize,
        /// Of how many.
        clients: usize,
    },
    /// Connections are held.
    Holding {
        /// Open.
        open: u64,
        /// Held so far.
        elapsed: Duration,
        /// Of how long.
        duration: Duration,
    },
    /// Load before the measurement.
    WarmUp(StageName),
    /// Load, measured.
    Measuring {
        /// Which stage.
        stage: StageName,
        /// Measured so far.
        elapsed: Duration,
        /// Of how much, where time limits it.
        duration: Option<Duration>,
        /// What the last whole second brought.
        row: Option<IntervalRow>,
    },
    /// Waiting for what is under way.
    Draining {
        /// Which stage.
        stage: StageName,
        /// Messages.
        outstanding: u64,
    },
}

/// Why a run could not begin.
#[derive(Debug, Error)]
pub enum RunError {
    /// A client could not connect or subscribe.
    #[error("client {client} of {clients}: {error}")]
    Client {
        /// Its global number.
        client: usize,
        /// How many there are.
        clients: usize,
        /// Why.
        error: ClientError,
    },
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// Interrupted while connecting.
    #[error("interrupted before the load began")]
    Interrupted,
}

/// What a stage brought.
#[derive(Debug)]
pub struct StageOutcome {
    /// As it was planned.
    pub stage: Stage,
    /// Why its schedule was not kept, where an attempt at a lower rate follows.
    pub given_up: Option<String>,
    /// The schedule's rate, messages a second; none in a closed loop.
    pub rate: Option<f64>,
    /// When the load began, ns since t0.
    pub start_ns: u64,
    /// When measuring began.
    pub from_ns: u64,
    /// How long was measured.
    pub measured_ns: u64,
    /// Over which times its rates are taken.
    pub windows: RateWindows,
    /// How long the drain took.
    pub drain_ns: u64,
    /// What was recorded.
    pub recorder: Recorder,
    /// The same second by second; of long stages several seconds are a row.
    pub rows: Vec<IntervalRow>,
    /// The account of the deliveries; none without subscribers.
    pub delivery: Option<Delivery>,
    /// The same by stream, its subscribers batch: those with faults, and the first ones of the others.
    pub streams: BTreeMap<usize, StreamOutcome>,
    /// Ledgers that do not add up.
    pub unbalanced: u64,
    /// CPU time that control groups leave this process, in processors, where they limit it.
    pub cpu_quota: Option<f64>,
    /// How often they stopped it in the window, where they limit it.
    pub throttling: Option<Throttling>,
    /// Arrivals after which messages matched by order may have been taken for their neighbors.
    pub unmatched: u64,
    /// Slots of the schedule in the measured window.
    pub offered: Option<u64>,
    /// Messages that were due in the measured window, or that the count asked for, and that were never sent. None where
    /// neither schedule nor count says how many there should be.
    pub not_sent: Option<u64>,
    /// QoS 2 messages that the broker acknowledged as QoS 1.
    pub downgraded: u64,
    /// Measured messages that were neither acknowledged nor refused when the drain was over.
    pub unacknowledged: u64,
    /// Measured messages that were acknowledged or refused, also when the measured time was over.
    pub answered: u64,
    /// CPU time of the load's threads in the measured window; of the process where threads are not told apart.
    pub cpu: Option<CpuTime>,
    /// CPU time of the busiest thread in it.
    pub busiest_thread: Option<CpuTime>,
    /// Resident memory at its end.
    pub resident_bytes: Option<u64>,
    /// What the machine as a whole did in it.
    pub machine: MachineCounters,
    /// Of this, what came with the clients; where only clients are measured.
    pub clients_bytes: Option<u64>,
    /// Connections that were there when the stage began; with [`StageName::Conn`] all that were made.
    pub connected: u64,
    /// Most that were open at one time.
    pub max_open: u64,
    /// How far the monotonic clock went back while it was measured.
    pub clock_back_ns: u64,
    /// Connections that were lost in the stage, by cause.
    pub lost: BTreeMap<String, u64>,
    /// Times without delivery, where lost connections are made again.
    pub outages: Option<Outages>,
    /// What each broker has of it, where there are several.
    pub targets: Vec<TargetOutcome>,
    /// What the broker's process used in the measured window, where it is on this machine and known.
    pub broker: Option<ProcessUse>,
}

/// What one of several brokers has of a stage.
#[derive(Clone, Debug, Default)]
pub struct TargetOutcome {
    /// Counted, timed and settled there.
    pub share: TargetShare,
    /// Connections that were there when the stage began.
    pub connected: u64,
    /// Of these, lost in it, with those that came back and were lost again.
    pub lost: u64,
}

/// What became of one stream's measured messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamOutcome {
    /// At its subscribers, where there are any.
    pub delivery: Option<Delivery>,
    /// Neither acknowledged nor refused.
    pub unacknowledged: u64,
}

impl StreamOutcome {
    /// Whether everything came, once and in order.
    pub fn is_clean(&self) -> bool {
        let Delivery { lost, duplicates, reordered, late, corrupt, refused, .. } = self.delivery.unwrap_or_default();
        [self.unacknowledged, lost, duplicates, reordered, late, corrupt, refused] == [0; 7]
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

/// What a run brought.
#[derive(Debug)]
pub struct RunOutcome {
    /// What TLS agreed on, where it was spoken.
    pub tls: Option<TlsInfo>,
    /// Latencies of connecting.
    pub connect: Recorder,
    /// How long connecting took, all clients batch.
    pub connect_ns: u64,
    /// The stages that were begun.
    pub stages: Vec<StageOutcome>,
    /// Connections that were lost, by cause.
    pub lost: BTreeMap<String, u64>,
    /// Connections that were lost and were not there again at the end of the load.
    pub away: u64,
    /// The smallest window that losses without progress have left to a publisher.
    pub narrowed: Option<u16>,
    /// The first connect that failed and was only counted: the client's global number, and why.
    pub first_failure: Option<(usize, ClientError)>,
    /// Ctrl-C ended it.
    pub interrupted: bool,
    /// All publishers, or all subscribers, were lost.
    pub collapsed: bool,
    /// How long nothing had come through when a load that only a count ends was given up.
    pub stalled: Option<Duration>,
}
