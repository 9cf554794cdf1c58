//! How a stage is read: what its clients do, the rate and the time that it is about, and which of its figures are valid.

use super::document::{ResultDocument, Status, Warning};
use super::latency::{LatencySummary, LoopKind};
use super::stage::Stage;
use crate::bench::measure::Fault;
use crate::terminal::number::{counted, duration};

/// What the clients of a run do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Publish to subscribers of the same run.
    Flow,
    /// Only publish.
    Publish,
    /// Only subscribe.
    Receive,
    /// Only connect.
    Connect,
    /// Send and get an answer.
    Echo,
}

impl Load {
    pub(super) fn of(document: &ResultDocument, stage: &Stage) -> Self {
        if stage.is_conn() {
            Self::Connect
        } else if document.plan["responders"].as_u64().is_some_and(|count| count > 0) {
            Self::Echo
        } else if stage.traffic.sent.is_none() {
            Self::Receive
        } else if stage.traffic.delivered.is_none() {
            Self::Publish
        } else {
            Self::Flow
        }
    }

    /// Messages per second that passed, the figure that this load is about.
    pub(super) fn carried_per_s(self, stage: &Stage) -> Option<f64> {
        let traffic = &stage.traffic;
        match self {
            Self::Flow | Self::Echo | Self::Receive => traffic.delivered_per_s,
            Self::Publish => traffic.acked_per_s.or(traffic.sent_per_s),
            Self::Connect => connects_per_s(stage),
        }
    }

    /// How long a ping of a held connection takes.
    pub(super) fn ping(stage: &Stage) -> Option<Time<'_>> {
        stage.latency.ping.as_ref().map(|of| Time { name: "ping", it: "a ping takes", more: "longer", of })
    }

    /// The time that this load is about.
    pub(super) fn time(self, stage: &Stage) -> Option<Time<'_>> {
        let latency = &stage.latency;
        let of = |summary: &'static str, it: &'static str, more: &'static str| {
            move |of| Time { name: summary, it, more, of }
        };
        match self {
            Self::Connect => latency.connect.as_ref().map(of("connect", "connecting a client takes", "longer")),
            Self::Echo => latency.rtt.as_ref().map(of("round trip", "a round trip takes", "longer")),
            Self::Flow | Self::Publish | Self::Receive => {
                let arrival = latency.e2e.as_ref().map(of("e2e", "a message takes", "longer"));
                let acknowledged = || latency.ack.as_ref().map(of("ack", "a message is acknowledged after", "later"));
                arrival.or_else(acknowledged)
            }
        }
    }
}

/// A time, in words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time<'a> {
    /// Its name in a table.
    pub name: &'static str,
    /// What takes it.
    it: &'static str,
    /// Longer or later.
    more: &'static str,
    /// Its figures.
    pub of: &'a LatencySummary,
}

impl Time<'_> {
    /// What is typical, and what one in a hundred exceeds, or in fewer where there are too few samples for that.
    pub(super) fn in_words(&self) -> String {
        let p = &self.of.p;
        let Some(typical) = p.p50 else {
            let count = counted(self.of.count, "sample is", "samples are");
            return format!("{count} too few for a typical time; the longest is {}", duration(self.of.max));
        };
        let tails = [(p.p99, 100), (p.p95, 20), (p.p90, 10), (p.p75, 4)];
        let tail = tails.into_iter().find_map(|(ns, one_in)| Some((ns?, one_in)));
        let tail = tail.map(|(ns, one_in)| format!(", 1 in {one_in} {} than {}", self.more, duration(ns)));
        format!("{} {} typically{}", self.it, duration(typical), tail.unwrap_or_default())
    }
}

/// Which figures of a stage are those of what was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trust {
    /// Messages per second.
    pub rates: bool,
    /// How long things took.
    pub times: bool,
    /// What was sent, delivered and lost.
    pub counts: bool,
}

impl Trust {
    pub(super) fn of(document: &ResultDocument, stage: &Stage) -> Self {
        let whole = document.status != Status::Failed;
        let mut trust = Self { rates: whole, times: whole, counts: true };
        for fault in &stage.invalid {
            match fault.code.as_str() {
                Fault::SCHEDULING_LAG => trust.times = false,
                Fault::LEDGER => trust.counts = false,
                _ => (trust.rates, trust.times) = (false, false),
            }
        }
        trust
    }
}

/// Connections per second while they were made.
pub(super) fn connects_per_s(stage: &Stage) -> Option<f64> {
    let connecting = stage.phases.iter().find(|phase| phase.name == "connect").map(|phase| phase.duration_ns);
    let made = stage.clients.connected.zip(connecting).filter(|(_, time)| *time > 0);
    made.map(|(count, time)| count as f64 * 1e9 / time as f64)
}

/// Whether messages were due faster than they were carried. The times then grow with the length of the test, and are
/// no figure of the broker.
pub(super) fn is_overloaded(document: &ResultDocument, stage: &Stage) -> bool {
    let several = document.stages.len() > 1;
    let of_stage = |warning: &Warning| !several || warning.text.starts_with(&format!("{}: ", stage.name));
    stage.model == LoopKind::Open
        && document.warnings.iter().any(|warning| warning.code == "overload" && of_stage(warning))
}
