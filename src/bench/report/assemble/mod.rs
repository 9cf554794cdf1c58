//! The result document of a run, assembled from the plan and what the engine brought. Nothing else in this room knows
//! either of them.

mod description;
mod plan_facts;
mod stage;
mod warnings;

use chrono::{DateTime, SecondsFormat, Utc};

pub(crate) use self::description::{announcement, url};
use self::description::{description, transport, url_of};
use self::plan_facts::plan_facts;
pub(in crate::bench) use self::warnings::qos_2_with_puback;
use super::document::{BrokerName, ResultDocument, RunFacts, SCHEMA, ShardFacts, TargetFacts, Warning};
use super::plan::plan_hash;
use super::stage::Stage;
use super::status::Status;
use crate::bench::engine::RunOutcome;
use crate::bench::measure::Fault;
use crate::bench::plan::{BenchPlan, is_this_machine};
use crate::bench::system::EnvironmentFacts;
use crate::options::{ClientName, Shape};

/// The document of a run that has not begun: what is known beforehand.
pub(crate) fn context(
    plan: &BenchPlan,
    command: Vec<String>,
    broker: Option<BrokerName>,
    started_at: DateTime<Utc>,
) -> ResultDocument {
    let facts = serde_json::to_value(plan_facts(plan)).unwrap_or_default();
    let same_host = plan.targets.addresses().any(is_this_machine);
    let mut document = ResultDocument {
        schema: SCHEMA.to_owned(),
        run: RunFacts {
            id: Some(plan.run.to_string()),
            description: Some(description(plan)),
            started_at: Some(started_at.to_rfc3339_opts(SecondsFormat::Millis, true)),
            seed: Some(plan.seed),
            plan_hash: plan_hash(&facts),
            command,
            shards: Some(1),
            shard: plan.shard.zip(plan.meeting.as_ref()).map(|(shard, meeting)| ShardFacts {
                index: shard.index as u64,
                count: shard.count as u64,
                job: meeting.job.clone(),
                barrier: meeting.place.name().to_owned(),
                ..ShardFacts::default()
            }),
            ..RunFacts::default()
        },
        env: EnvironmentFacts::read(),
        target: TargetFacts {
            urls: plan.targets.addresses().map(|address| url_of(plan, address)).collect(),
            protocol: Some(format!("MQTT {}", plan.session.version)),
            transport: Some(transport(plan)),
            broker,
            same_host: Some(same_host),
            ..TargetFacts::default()
        },
        plan: facts,
        ..ResultDocument::default()
    };
    document.clients.planned = Some(plan.own_clients() as u64);
    if plan.is_apart() {
        let text = "publishers and subscribers are in different shards: end-to-end latency is not known, because no clock \
                    times both ends";
        document.warn("e2e-across-shards", text);
        let text = "what was lost between shards is known once they are merged: mqbench merge shard-*.json";
        document.warn("loss-across-shards", text);
    }
    if same_host {
        document.warn("same-host", "the broker runs on this machine and shares its CPU");
    }
    if plan.client == ClientName::Rumqttc {
        let text = "rumqttc carried the load: a message counts as sent for sched lag and service times when it was handed \
                    to the library, and the bytes of packets and the steps of connecting are unknown";
        document.warn("client-library", text);
    }
    if !plan.payload.is_stamped() && plan.subscribers > 0 {
        let latency = match plan.routes.shape() {
            Shape::Shared { .. } => ", and the latency in a group is unknown",
            Shape::P2p | Shape::FanIn | Shape::FanOut => "",
        };
        let text = format!(
            "the payload has no room for a stamp: messages are matched by their order, so duplicates and reordering \
             cannot be detected{latency}",
        );
        document.warn("no-stamp", text);
    }
    document
}

/// The document of a run that measured nothing, and why.
pub(crate) fn nothing_measured(mut document: ResultDocument, status: Status, error: String) -> ResultDocument {
    document.run.error = Some(error);
    document.set_status(status);
    document
}

/// Enters what a run brought: every stage, the top level taken from them, the status and the warnings.
/// [`RunFacts::error`] makes it failed; with `is_partial`, what was measured is what was asked for, but not all of it.
/// `ceiling_per_s` is what this generator can do, where that is known.
pub(crate) fn assemble(
    mut document: ResultDocument,
    plan: &BenchPlan,
    run: &RunOutcome,
    ceiling_per_s: Option<f64>,
    is_partial: bool,
) -> ResultDocument {
    let outcomes = run.stages.iter().enumerate();
    let (stages, warnings): (Vec<Stage>, Vec<Vec<Warning>>) =
        outcomes.map(|(index, outcome)| stage::stage(plan, run, outcome, ceiling_per_s, index == 0)).unzip();
    let several = stages.len() > 1;
    let label = |stage: &Stage, text: &str| if several { format!("{}: {text}", stage.name) } else { text.to_owned() };
    for stage in stages.iter().filter(|stage| stage.is_result()) {
        let faults = stage.invalid.iter();
        document.invalid.extend(faults.map(|fault| Fault { text: label(stage, &fault.text), ..fault.clone() }));
    }
    for (stage, warnings) in stages.iter().zip(warnings) {
        document.warnings.extend(warnings.into_iter().map(|warning| {
            let text = label(stage, &warning.text);
            Warning { text, ..warning }
        }));
    }
    let is_interrupted = (run.interrupted || run.stalled.is_some()) && !stages.is_empty();
    document.set_status(if document.run.error.is_some() && !(is_partial && document.invalid.is_empty()) {
        Status::Failed
    } else if !document.invalid.is_empty() {
        Status::Invalid
    } else if document.run.error.is_some() || is_interrupted {
        Status::Partial
    } else {
        Status::Ok
    });
    document.stages = stages;
    if !document.stages.is_empty() {
        document.sum_up_stages();
    }
    document
}
