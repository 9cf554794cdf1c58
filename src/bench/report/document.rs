//! The result document `mqbench-result/1`: what `--json` prints and `--out` writes.
//!
//! Units are in the names: `_ns` integer nanoseconds, `_per_s`, `_bytes`, `_pct`. What was not measured is null: no
//! field is ever missing, and 0 means that something was counted and there was none.

use std::collections::BTreeMap;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::comparison::Comparison;
use super::curve::Curve;
use super::delivery::{Clients, DeliveryAccount};
use super::latency::{LatencyTable, LoopKind};
use super::plan::PlanFacts;
use super::repeats::{RunFigures, RunStatistics};
use super::stage::{Phase, Stage};
pub(super) use super::status::Status;
use super::traffic::Traffic;
use crate::bench::measure::{Fault, Generator, Series, SysFigures, SysSeries};
use crate::bench::system::{EnvironmentFacts, ProcessUse};
use crate::exit_status::ExitStatus;

/// Name and version of the form.
pub(super) const SCHEMA: &str = "mqbench-result/1";

/// The result of a run of mqbench.
///
/// Units are in the names: `_ns` integer nanoseconds, `_per_s` per second, `_bytes` bytes, `_pct` percent (of one core for
/// CPU time); latencies are integer nanoseconds. What was not measured is null: no field is ever missing, and 0 means that
/// something was counted and there was none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResultDocument {
    /// Name and version of the form: `mqbench-result/1`.
    #[schemars(extend("const" = SCHEMA))]
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
    /// The resolved plan, every default written out; null where the run failed before there was one.
    #[schemars(with = "Option<PlanFacts>")]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolFacts {
    /// `mqbench`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The commit that was checked out when it was built; null for a debug build, and for one without a repository.
    pub git: Option<String>,
    /// Cargo features it was built with.
    pub features: Vec<String>,
    /// The compiler, as `rustc --version` names it.
    pub rustc: Option<String>,
}

impl Default for ToolFacts {
    fn default() -> Self {
        Self {
            name: "mqbench".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git: option_env!("MQTOOLS_GIT").map(str::to_owned),
            features: option_env!("MQTOOLS_FEATURES")
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            rustc: option_env!("MQTOOLS_RUSTC").map(str::to_owned),
        }
    }
}

/// The run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunFacts {
    /// Tag of the run, in ids and topics.
    pub id: Option<String>,
    /// Name that the user gave (`--name`).
    pub name: Option<String>,
    /// Labels that the user gave (`--label KEY=VALUE`).
    pub labels: BTreeMap<String, String>,
    /// The plan in one line: shape, protocol, QoS, clients, size.
    pub description: Option<String>,
    /// Start, RFC 3339 in UTC.
    pub started_at: Option<String>,
    /// Seed of everything random.
    pub seed: Option<u64>,
    /// SHA-256 of the plan as hexadecimal digits: equal where the same load was asked for. The broker's address, the seed,
    /// the number of threads and the local addresses are no part of it.
    pub plan_hash: Option<String>,
    /// The command, secrets masked.
    pub command: Vec<String>,
    /// Processes that took part: 1, or as many as were merged.
    pub shards: Option<u64>,
    /// Which shard of the run this is, and how it started (`--shard`); null for a whole run, and for merged ones.
    pub shard: Option<ShardFacts>,
    /// The runs that were merged (`mqbench merge`), the earliest first; null for a single run.
    pub parts: Option<Vec<Part>>,
    /// As [`ResultDocument::status`].
    pub status: Status,
    /// Why the run failed.
    pub error: Option<String>,
}

/// One of the runs that a merged result consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// Its start, RFC 3339 in UTC.
    pub started_at: Option<String>,
    /// Its tag.
    pub id: Option<String>,
    /// The machine that it ran on.
    pub host: Option<String>,
    /// Which shard of the run it was, and how it started; null where it was a run by itself.
    pub shard: Option<ShardFacts>,
    /// How it ended.
    pub status: Option<Status>,
}

/// One of several processes that made a run together.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ShardFacts {
    /// Its number, from 0.
    pub index: u64,
    /// How many shards the run has.
    pub count: u64,
    /// Name of the run (`--job`).
    pub job: String,
    /// Where the shards waited for each other: `broker`, `folder`, or `none` (`--start-at`).
    pub barrier: String,
    /// When its load began by the clock that all shards agree on, nanoseconds since 1970.
    pub started_unix_ns: Option<i64>,
    /// How far from the planned moment that was at most: how late this process was, and how wrong its clock may be.
    pub start_error_ns: Option<u64>,
    /// What was added to this machine's clock: with a broker to get that of shard 0, with a folder that of the folder.
    /// Null where clocks were not compared.
    pub clock_offset_ns: Option<i64>,
    /// How wrong that may be, in either direction.
    pub clock_bound_ns: Option<u64>,
}

impl Part {
    /// As texts name it: `TAG@HOST`, or `shard NUMBER@HOST`.
    pub fn label(&self) -> String {
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
        if let Some(shard) = &self.shard {
            return format!("shard {}@{}", shard.index, known(&self.host));
        }
        format!("{}@{}", known(&self.id), known(&self.host))
    }
}

/// What was tested.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Round trips of the path itself, which are the TCP handshakes: an HdrHistogram as in a latency's `hdr`.
    pub rtt_ns_hist: Option<String>,
}

/// The TLS that was agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TlsFacts {
    /// `TLSv1.3`, `TLSv1.2`.
    pub version: Option<String>,
    /// The cipher suite.
    pub cipher: Option<String>,
}

/// The broker's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BrokerName {
    /// Its name, as it gave it.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Where that comes from: `$SYS` or `embedded`.
    pub source: Option<String>,
}

/// What the broker reported about itself during the run, and what its process used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BrokerFacts {
    /// What it allows, from its first CONNACK; null before MQTT 5, which has no limits there.
    pub limits: Option<BrokerLimits>,
    /// The numbers under `$SYS` over time (`--sys`): for each topic rows of nanoseconds since t0 and value. Null where
    /// nobody asked, or where the broker published none.
    pub sys: Option<SysSeries>,
    /// The figures among them that brokers have in common.
    pub sys_figures: Option<SysFigures>,
    /// CPU and memory of a local broker.
    pub process: Option<ProcessUse>,
    /// Its own metrics.
    pub prom: Option<Value>,
}

/// What a broker allows (MQTT 5, properties of CONNACK).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BrokerLimits {
    /// Most QoS 1 and 2 messages in flight towards it, per client.
    pub receive_maximum: Option<u64>,
    /// Highest QoS.
    pub maximum_qos: Option<u8>,
    /// Largest packet.
    pub maximum_packet_bytes: Option<u64>,
    /// Highest topic alias; 0 allows none.
    pub topic_alias_maximum: Option<u64>,
    /// Whether it keeps retained messages.
    pub retain_available: Option<bool>,
    /// Whether it knows shared subscriptions.
    pub shared_subscriptions: Option<bool>,
    /// Whether it knows wildcards in topic filters.
    pub wildcard_subscriptions: Option<bool>,
}

/// Something to know about a run that does not make it invalid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateOutcome {
    /// The condition as it was written.
    pub expr: String,
    /// The figure; null when it was not measured.
    #[schemars(with = "Option<f64>")]
    pub value: Option<Number>,
    /// The limit it was compared with.
    #[schemars(with = "Option<f64>")]
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

    /// Takes the figures at the top from the stages.
    pub fn sum_up_stages(&mut self) {
        let stages = &self.stages;
        let results = || stages.iter().filter(|stage| stage.is_result());
        let carries = stages.iter().find(|stage| stage.model == LoopKind::Closed).or(stages.first());
        let answers = stages.iter().rfind(|stage| stage.model == LoopKind::Open).or(stages.last());
        self.phases = stages.iter().flat_map(|stage| stage.phases.iter().cloned()).collect();
        self.traffic = carries.map(|stage| stage.traffic.clone()).unwrap_or_default();
        self.latency = answers.map(|stage| stage.latency.clone()).unwrap_or_default();
        self.generator = match &stages[..] {
            [only] => only.generator.clone(),
            _ => Generator::of_stages(&results().map(Stage::generator_of).collect::<Vec<_>>()),
        };
        self.series = Series::of_stages(stages.iter().filter_map(|stage| stage.series.as_ref()));
        (self.clients, self.delivery) = (Clients::default(), DeliveryAccount::default());
        stages.iter().for_each(|stage| self.clients.merge(&stage.clients));
        results().for_each(|stage| self.delivery.merge(&stage.delivery));
        let processes = stages.iter().filter_map(|stage| stage.broker.as_ref());
        self.broker.process = processes.max_by_key(|process| process.cpu_ns).cloned();
        let handshakes = stages.first().and_then(|stage| stage.latency.connect_tcp.as_ref());
        self.target.rtt_ns_hist = handshakes.and_then(|connect| connect.hdr.clone());
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
