//! The result document `mqbench-result/1`: what `--json` prints and `--out` writes.
//!
//! Units are in the names: `_ns` integer nanoseconds, `_per_s`, `_bytes`, `_pct`. What was not measured is null: no
//! field is ever missing, and 0 means that something was counted and there was none.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::comparison::Comparison;
use super::curve::Curve;
use super::delivery::{Clients, DeliveryAccount};
use super::latency::LatencyTable;
use super::repeats::{RunFigures, RunStatistics};
use super::stage::{Phase, Stage};
use super::status::Status;
use super::traffic::Traffic;
use crate::bench::measure::{Fault, Generator, Series};
use crate::bench::system::{EnvironmentFacts, ProcessUse};
use crate::exit_status::ExitStatus;

/// Name and version of the form.
pub(super) const SCHEMA: &str = "mqbench-result/1";

/// The whole result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResultDocument {
    /// `mqbench-result/1`.
    pub schema: String,
    /// How the run ended.
    pub status: Status,
    /// The program.
    pub tool: ToolFacts,
    /// The run.
    pub run: RunFacts,
    /// The machine that generated the load.
    pub env: EnvironmentFacts,
    /// What was tested.
    pub target: TargetFacts,
    /// The resolved plan, every default written out.
    pub plan: Value,
    /// All phases of all stages.
    pub phases: Vec<Phase>,
    /// Connections of all stages.
    pub clients: Clients,
    /// Of the stage that shows how much the path carries: the closed loop, where there is one.
    pub traffic: Traffic,
    /// Of all stages together.
    pub delivery: DeliveryAccount,
    /// Of the stage that shows how fast it is: the open loop, where there is one.
    pub latency: LatencyTable,
    /// Of all stages, one after the other.
    pub series: Option<Series>,
    /// Of all stages together.
    pub generator: Generator,
    /// What the broker reported about itself.
    pub broker: BrokerFacts,
    /// The stages, each with the full set.
    pub stages: Vec<Stage>,
    /// Figures of each repeat.
    pub runs: Option<Vec<RunFigures>>,
    /// Median and confidence interval over the valid repeats, by the names of their figures.
    pub stats: Option<BTreeMap<String, RunStatistics>>,
    /// Latency by rate, and the highest rate that met an objective (`mqbench find`).
    pub curve: Option<Curve>,
    /// The gates.
    pub gates: Vec<GateOutcome>,
    /// Comparison with a baseline.
    pub compare: Option<Comparison>,
    /// Why the run is invalid.
    pub invalid: Vec<Fault>,
    /// What else to know.
    pub warnings: Vec<Warning>,
}

/// The program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolFacts {
    /// `mqbench`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Commit, where it is known.
    pub git: Option<String>,
    /// Features it was built with.
    pub features: Vec<String>,
    /// Compiler, where it is known.
    pub rustc: Option<String>,
}

impl Default for ToolFacts {
    fn default() -> Self {
        Self {
            name: "mqbench".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git: None,
            features: Vec::new(),
            rustc: None,
        }
    }
}

/// The run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Tag of the run, in ids and topics.
    pub id: Option<String>,
    /// Name that the user gave.
    pub name: Option<String>,
    /// Labels that the user gave.
    pub labels: Map<String, Value>,
    /// The plan in one line: shape, protocol, QoS, clients, size.
    pub description: Option<String>,
    /// Start, RFC 3339 in UTC.
    pub started_at: Option<String>,
    /// Seed of everything random.
    pub seed: Option<u64>,
    /// Hash of the plan.
    pub plan_hash: Option<String>,
    /// The command, secrets masked.
    pub command: Vec<String>,
    /// Processes that took part.
    pub shards: Option<u64>,
    /// As [`ResultDocument::status`].
    pub status: Status,
    /// Why the run failed.
    pub error: Option<String>,
}

/// What was tested.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetFacts {
    /// Addresses, without user and password.
    pub urls: Vec<String>,
    /// `3.1`, `3.1.1` or `5.0`.
    pub protocol: Option<String>,
    /// `tcp`, `tls`, `ws`, `wss`, `unix`; through a proxy with `+socks5h-proxy`, `+socks5-proxy` or `+http-proxy`.
    pub transport: Option<String>,
    /// TLS, where it was used.
    pub tls: Option<TlsFacts>,
    /// The broker, where it is known.
    pub broker: Option<BrokerName>,
    /// Whether the broker runs on this machine and shares its CPU.
    pub same_host: Option<bool>,
    /// Round trips of the path itself.
    pub rtt_ns_hist: Option<String>,
}

/// The TLS that was agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFacts {
    pub version: Option<String>,
    pub cipher: Option<String>,
}

/// The broker's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerName {
    /// Its name, as it gave it.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Where that comes from: `$SYS` or `embedded`.
    pub source: Option<String>,
}

/// What the broker reported about itself during the run, and what its process used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrokerFacts {
    /// Values of `$SYS` topics over time.
    pub sys: Option<Map<String, Value>>,
    /// CPU and memory of a local broker.
    pub process: Option<ProcessUse>,
    /// Its own metrics.
    pub prom: Option<Value>,
}

/// Something to know about a run that does not make it invalid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// A name for scripts.
    pub code: String,
    /// One sentence.
    pub text: String,
}

impl Warning {
    /// A warning.
    pub fn new(code: &str, text: impl Into<String>) -> Self {
        Self { code: code.to_owned(), text: text.into() }
    }
}

/// The outcome of a condition of a gate; latencies are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateOutcome {
    /// The condition as it was written.
    pub expr: String,
    /// The figure; null when it was not measured.
    pub value: Option<Number>,
    /// The limit it was compared with.
    pub limit: Option<Number>,
    /// Whether it held.
    pub pass: bool,
    /// Why it did not hold; null where it did.
    pub reason: Option<String>,
}

impl ResultDocument {
    /// Adds a warning.
    pub fn warn(&mut self, code: &str, text: impl Into<String>) {
        self.warnings.push(Warning::new(code, text));
    }

    /// Sets how the run ended.
    pub fn set_status(&mut self, status: Status) {
        (self.status, self.run.status) = (status, status);
    }

    /// How mqbench ends with this result: what could not be measured comes first, then what was not valid, then gates.
    /// A run that a signal has ended ends by that signal instead, whatever its result is.
    pub fn exit_status(&self) -> ExitStatus {
        match self.status {
            Status::Failed | Status::Partial => ExitStatus::Failed,
            Status::Invalid => ExitStatus::Invalid,
            Status::Ok if self.gates.iter().any(|gate| !gate.pass) => ExitStatus::GateFailed,
            Status::Ok if self.compare.as_ref().is_some_and(|it| !it.regressions.is_empty()) => ExitStatus::Regression,
            Status::Ok => ExitStatus::Done,
        }
    }

    /// Writes the document as JSON with a newline at its end.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_json(&self, writer: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *writer, self)?;
        writer.write_all(b"\n")?;
        writer.flush()
    }
}
