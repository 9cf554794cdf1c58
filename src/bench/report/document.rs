//! The result document `mqbench-result/1`: what `--json` prints and `--out` writes.
//!
//! Units are in the names: `_ns` integer nanoseconds, `_per_s`, `_bytes`, `_pct`. What was not measured is null: no
//! field is ever missing, and 0 means that something was counted and there was none.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::account::{Clients, DeliveryAccount, Generator};
use super::gate::{Gate, GateOutcome};
use super::latency::LatencyTable;
use super::stage::{Fault, LoadModel, Phase, Series, Stage, StageMeasurement};
use super::traffic::Traffic;
use crate::bench::system::EnvironmentFacts;
use crate::exit_status::ExitStatus;
use crate::terminal::number;

/// Name and version of the form.
pub const SCHEMA: &str = "mqbench-result/1";

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Measured, and valid.
    #[default]
    Ok,
    /// Interrupted, and valid for the time that it lasted; or some clients of many failed, and the rest is valid.
    Partial,
    /// Measured, but what was measured is not what was asked.
    Invalid,
    /// Could not be measured to its end.
    Failed,
}

/// The whole result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResultDocument {
    /// [`SCHEMA`].
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
    /// Of the stage that says how much the path carries: the closed loop, where there is one.
    pub traffic: Traffic,
    /// Of all stages together.
    pub delivery: DeliveryAccount,
    /// Of the stage that says how fast: the open loop, where there is one.
    pub latency: LatencyTable,
    /// Of all stages, one after the other.
    pub series: Option<Series>,
    /// Of all stages together.
    pub generator: Generator,
    /// What the broker said about itself.
    pub broker: BrokerFacts,
    /// The stages, each with the full set.
    pub stages: Vec<Stage>,
    /// Figures of each repeat.
    pub runs: Option<Vec<Value>>,
    /// Median and confidence interval over the repeats.
    pub stats: Option<Map<String, Value>>,
    /// The gates.
    pub gates: Vec<GateOutcome>,
    /// Comparison with a baseline.
    pub compare: Option<Value>,
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

/// The run, told by the engine.
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
#[expect(missing_docs, reason = "the names say it")]
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
    /// Who says so: `$SYS`, `connack`, `flag`.
    pub source: Option<String>,
}

/// What the broker said about itself during the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrokerFacts {
    /// Values of `$SYS` topics over time.
    pub sys: Option<Map<String, Value>>,
    /// CPU and memory of a local broker.
    pub process: Option<Value>,
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

/// What is known of a run beside its measurements.
#[derive(Clone, Debug, Default)]
pub struct RunContext {
    /// The run; its status is set here.
    pub run: RunFacts,
    /// The machine.
    pub env: EnvironmentFacts,
    /// The target.
    pub target: TargetFacts,
    /// What the broker said.
    pub broker: BrokerFacts,
    /// The plan.
    pub plan: Value,
    /// Warnings from before and beside the stages.
    pub warnings: Vec<Warning>,
    /// Clients of the plan, all together.
    pub clients: Option<u64>,
    /// With [`RunFacts::error`]: what was measured is what was asked for, but not all of it.
    pub partial: bool,
}

impl ResultDocument {
    /// Makes the document of a run: every stage, the top level taken from them, the status and the warnings.
    /// [`RunFacts::error`] makes it failed.
    pub fn assemble(context: RunContext, measurements: &[StageMeasurement]) -> Self {
        let RunContext { mut run, env, target, broker, plan, mut warnings, clients, partial } = context;
        let stages: Vec<Stage> = measurements.iter().map(Stage::of).collect();
        let several = stages.len() > 1;
        let label = |name: &str, text: &str| if several { format!("{name}: {text}") } else { text.to_owned() };
        // An attempt that was repeated at a lower rate is part of the account, and no part of the result.
        let is_result = |stage: &&Stage| stage.given_up.is_none();
        let invalid: Vec<Fault> = stages
            .iter()
            .filter(is_result)
            .flat_map(|stage| {
                stage.invalid.iter().map(|fault| Fault { text: label(&stage.name, &fault.text), ..fault.clone() })
            })
            .collect();
        for (stage, measurement) in stages.iter().zip(measurements) {
            let all = measurement.warnings.iter().cloned().chain(stage_warnings(stage));
            let all = all.filter(|warning| stage.given_up.is_none() || !OF_PACE.contains(&warning.code.as_str()));
            warnings.extend(all.map(|warning| Warning { text: label(&stage.name, &warning.text), ..warning }));
        }
        run.status = if run.error.is_some() && !(partial && invalid.is_empty()) {
            Status::Failed
        } else if !invalid.is_empty() {
            Status::Invalid
        } else if run.error.is_some() || measurements.iter().any(|measurement| measurement.interrupted) {
            Status::Partial
        } else {
            Status::Ok
        };
        let carries = stages.iter().find(|stage| stage.model == LoadModel::Closed).or(stages.first());
        let answers = stages.iter().rfind(|stage| stage.model == LoadModel::Open).or(stages.last());
        let mut document = Self {
            schema: SCHEMA.to_owned(),
            status: run.status,
            run,
            env,
            target,
            plan,
            broker,
            phases: stages.iter().flat_map(|stage| stage.phases.iter().cloned()).collect(),
            traffic: carries.map(|stage| stage.traffic.clone()).unwrap_or_default(),
            latency: answers.map(|stage| stage.latency.clone()).unwrap_or_default(),
            generator: generator_of(&stages),
            series: Series::of_stages(measurements),
            invalid,
            warnings,
            ..Self::default()
        };
        for stage in &stages {
            document.clients.merge(&stage.clients);
        }
        document.clients.planned = document.clients.planned.or(clients);
        stages.iter().filter(is_result).for_each(|stage| document.delivery.merge(&stage.delivery));
        let process = stages.iter().filter_map(|stage| stage.broker.as_ref()).max_by_key(|process| process.cpu_ns);
        document.broker.process = process.and_then(|process| serde_json::to_value(process).ok());
        document.stages = stages;
        document
    }

    /// Evaluates gates and enters their outcomes.
    pub fn apply_gates(&mut self, gates: &[Gate]) {
        self.gates = gates.iter().flat_map(|gate| gate.evaluate(self)).collect();
    }

    /// How mqbench ends with this result: what could not be measured comes first, then what was not valid, then gates. A
    /// run that a signal has ended ends by that signal instead, whatever its result is.
    pub fn exit_status(&self) -> ExitStatus {
        match self.status {
            Status::Failed | Status::Partial => ExitStatus::Failed,
            Status::Invalid => ExitStatus::Invalid,
            Status::Ok if self.gates.iter().any(|gate| !gate.pass) => ExitStatus::GateFailed,
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

/// Warnings that an attempt at a rate that was too high gives because it was too high.
const OF_PACE: &[&str] =
    &["overload", "held-back", "not-sent", "not-steady", "generator", "service-times-missing", "freed-by-silence"];

fn generator_of(stages: &[Stage]) -> Generator {
    match stages {
        [only] => only.generator.clone(),
        _ => Generator::of_stages(
            stages
                .iter()
                .filter(|stage| stage.given_up.is_none())
                .map(|stage| (stage.name.as_str(), stage.duration_ns, stage.messages(), &stage.generator)),
        ),
    }
}

/// What the figures of a stage warn of.
fn stage_warnings(stage: &Stage) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let delivery = &stage.delivery;
    let some = |count: Option<u64>| count.filter(|&count| count > 0);
    if let Some(fault) = &stage.given_up {
        let rate = stage.traffic.offered_per_s.map(number::rate).unwrap_or_default();
        warnings.push(Warning::new("stepped-down", format!("{rate}/s was not kept, so half of it was tried: {fault}")));
    }
    if let Some(highest) = &stage.highest_percentile {
        let lag = stage.latency.sched_lag.as_ref().and_then(|lag| lag.p.p99).map(number::duration).unwrap_or_default();
        let text = format!(
            "this machine was too busy to send in time (sched lag p99 {lag}): latencies above p{highest} would be its own \
             and are not given"
        );
        warnings.push(Warning::new("percentiles-withheld", text));
    }
    if let Some(lost) = some(delivery.lost) {
        let expected = delivery.expected.unwrap_or_default();
        warnings.push(Warning::new("loss", format!("{lost} of {expected} messages were lost")));
    }
    if let Some(unacked) = some(delivery.unacked) {
        let of =
            stage.traffic.sent.filter(|sent| *sent >= unacked).map(|sent| format!(" of {sent}")).unwrap_or_default();
        warnings.push(Warning::new("unacked", format!("{unacked}{of} messages were not acknowledged")));
    }
    if let Some(freed) = some(delivery.freed_by_silence) {
        let text = format!(
            "nothing arrived for a second or for four round trips, so {freed} places of the window were taken for lost \
             and used again"
        );
        warnings.push(Warning::new("freed-by-silence", text));
    }
    if let Some(duplicates) = some(delivery.duplicates).filter(|_| stage.qos == 2) {
        warnings.push(Warning::new("qos2-duplicates", format!("{duplicates} duplicates, which QoS 2 forbids")));
    }
    if let Some(corrupt) = some(delivery.corrupt) {
        warnings.push(Warning::new("corrupt", format!("{corrupt} messages arrived with another content")));
    }
    if let Some(foreign) = some(delivery.foreign) {
        let text = format!("{foreign} messages of somebody else arrived on the same topics and cost time");
        warnings.push(Warning::new("foreign", text));
    }
    if let Some(unjudged) = some(delivery.unjudged) {
        let text = format!("{unjudged} arrivals came too late to tell whether they were late or duplicate");
        warnings.push(Warning::new("unjudged", text));
    }
    let rejected: u64 = delivery.rejected.iter().flatten().map(|(_, count)| count).sum();
    if rejected > 0 {
        warnings.push(Warning::new("rejected", format!("the broker refused {rejected} messages")));
    }
    if let Some(skipped) = some(stage.traffic.skipped) {
        warnings.push(Warning::new("skipped", format!("{skipped} messages of the schedule were skipped")));
    }
    if let Some(failed) = some(stage.clients.failed) {
        warnings.push(Warning::new("connect-failed", format!("{failed} connects failed")));
    }
    if let Some(lost) = some(stage.clients.lost).filter(|_| delivery.outage_count.is_some()) {
        let under_way = match stage.traffic.sent_again {
            Some(again) => format!("{again} messages were sent again"),
            None => "what was under way may be lost".to_owned(),
        };
        let text = format!("{lost} connections were lost and made again; {under_way}");
        warnings.push(Warning::new("reconnected", text));
    }
    let is_limit = stage.generator.verdict.as_deref() == Some("bottleneck");
    if is_limit && stage.invalid.is_empty() && stage.highest_percentile.is_none() {
        let text = format!("the generator was the limit: {}", stage.generator.reasons.join("; "));
        warnings.push(Warning::new("generator", text));
    } else if stage.generator.verdict.as_deref() == Some("suspect") {
        let text = format!("the generator may have been the limit: {}", stage.generator.reasons.join("; "));
        warnings.push(Warning::new("generator", text));
    }
    warnings
}

#[cfg(test)]
mod tests;
