//! Adds the results of one plan that ran in several parts, on one machine or on many. The order of the parts does not
//! matter, nor in which groups they are merged.
//!
//! Counts and histograms are added; what cannot be added is kept where all parts agree, and is null where they differ.
//! Parts are put on each other by the time since their own start.

mod shards;
mod stage;

use std::collections::BTreeSet;

use chrono::DateTime;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use super::document::{BrokerFacts, Part, ResultDocument, RunFacts, Status, TargetFacts, Warning};
use super::plan::NOT_HASHED;
use crate::bench::measure::Fault;
use crate::terminal::quoted;

/// Parts that began further apart than this measured different times, in milliseconds.
const APART_MS: i64 = 1_000;
/// Warnings that say the same of every part.
const OF_ALL: [&str; 3] = ["same-host", "no-stamp", "e2e-across-shards"];
/// The warning of a shard that does not know what was lost.
const LOSS_UNKNOWN: &str = "loss-across-shards";
/// The warning of such parts.
const APART: &str = "parts-apart";

/// Why results cannot be merged.
#[derive(Debug, Error)]
pub(crate) enum MergeError {
    /// A result is no part of the others.
    #[error("{file} and {other} cannot be merged: {fault}")]
    Differs {
        /// The one.
        file: String,
        /// The other.
        other: String,
        /// How they differ.
        fault: String,
    },
    /// Shards of the run are missing.
    #[error("{missing} {verb} missing: give the results of all shards, or add --allow-partial",
            verb = if *are_several { "are" } else { "is" })]
    Missing {
        /// Which ones.
        missing: String,
        /// Whether there are several.
        are_several: bool,
    },
    /// A result cannot be merged with any other.
    #[error("{file} cannot be merged: {fault}")]
    Unfit {
        /// Which one.
        file: String,
        /// Why not.
        fault: String,
    },
}

/// Adds results, each with the name of its file; at least one. Shards of a run may be missing with `allow_partial`; then
/// one that measured nothing counts as missing.
///
/// # Errors
/// They are not of one plan and one version, one is given twice or missing, or one has no stages.
#[cfg(test)]
pub(crate) fn merge(
    results: impl IntoIterator<Item = (String, ResultDocument)>,
    allow_partial: bool,
) -> Result<ResultDocument, MergeError> {
    merge_read(results.into_iter().map(Ok), allow_partial)
}

/// The same, with results that are read one by one: only the sum and one of them are in memory.
pub(crate) fn merge_read<E: From<MergeError>>(
    results: impl Iterator<Item = Result<(String, ResultDocument), E>>,
    allow_partial: bool,
) -> Result<ResultDocument, E> {
    let mut merged: Option<(String, ResultDocument)> = None;
    for result in results {
        let (file, result) = result?;
        let unfit = |fault: String| MergeError::Unfit { file: file.clone(), fault };
        if let Some(fault) = unfitness(&result) {
            if allow_partial && result.run.shard.is_some() && result.stages.is_empty() {
                continue;
            }
            return Err(unfit(fault).into());
        }
        let part = as_part(result);
        merged = Some(match merged {
            None => (file, part),
            Some((other, sum)) => {
                if let Some(fault) = difference(&sum, &part) {
                    return Err(MergeError::Differs { file, other, fault }.into());
                }
                let sum = add(sum, part).map_err(|error| unfit(format!("{error:#}")))?;
                (other, sum)
            }
        });
    }
    let nothing = || MergeError::Unfit { file: "nothing".to_owned(), fault: "there are no results".to_owned() };
    let (_, sum) = merged.ok_or_else(nothing)?;
    let sum = with_start_warning(sum);
    shards::whole(sum, allow_partial).map_err(E::from)
}

/// Why a result cannot be a part of anything.
fn unfitness(result: &ResultDocument) -> Option<String> {
    if result.stages.is_empty() {
        let error = result.run.error.as_deref().map_or_else(String::new, |error| format!(" ({})", quoted(error)));
        return Some(format!("it measured nothing{error}"));
    }
    if result.run.plan_hash.is_none() {
        return Some("it has no plan_hash, so it is unknown whether its plan is that of the others".to_owned());
    }
    let runs = result.runs.as_ref().map_or(1, Vec::len);
    (runs > 1).then(|| format!("it holds {runs} runs (--runs): merge results of single runs"))
}

/// Why two results are not parts of one.
fn difference(one: &ResultDocument, other: &ResultDocument) -> Option<String> {
    let [version, other_version] = [&one.tool.version, &other.tool.version].map(|version| quoted(version));
    if version != other_version {
        return Some(format!("they are of mqbench {other_version} and {version}: measure both with one version"));
    }
    if one.run.plan_hash != other.run.plan_hash {
        let [one, other] = [one, other].map(|result| result.plan.as_object().cloned().unwrap_or_default());
        let is_load = |name: &str| !NOT_HASHED.contains(&name);
        let changed = one.iter().filter(|(name, value)| is_load(name) && other.get(*name) != Some(value));
        let shown = changed.map(|(name, value)| {
            let other = other.get(name).map_or_else(|| "nothing".to_owned(), Value::to_string);
            format!("{name} is {} and {}", quoted(&other), quoted(&value.to_string()))
        });
        let shown: Vec<String> = shown.take(5).collect();
        return Some(format!("they are not of one plan: {}", shown.join("; ")));
    }
    if let Some(fault) = shards::difference(one, other) {
        return Some(fault);
    }
    if let Some(twice) = parts(one).iter().find(|part| parts(other).contains(part)) {
        return Some(format!("both hold the run {}", quoted(&twice.label())));
    }
    let names = |result: &ResultDocument| {
        let name = |stage: &super::stage::Stage| {
            format!("{}{}", stage.name, if stage.is_result() { "" } else { " (given up)" })
        };
        result.stages.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    let (stages, other_stages) = (names(one), names(other));
    (stages != other_stages).then(|| {
        format!(
            "their stages are {} and {}; with --flood or --rate all parts have the same",
            quoted(&other_stages),
            quoted(&stages)
        )
    })
}

/// The runs that a result consists of.
fn parts(result: &ResultDocument) -> Vec<Part> {
    result.run.parts.clone().unwrap_or_else(|| {
        vec![Part {
            started_at: result.run.started_at.clone(),
            id: result.run.id.clone(),
            host: result.env.host.clone(),
            shard: result.run.shard.clone(),
            status: Some(result.status),
        }]
    })
}

/// A single run as the first part of a merged one: everything that names something of it says of which part.
fn as_part(mut result: ResultDocument) -> ResultDocument {
    if result.run.parts.is_some() {
        return result;
    }
    let parts = parts(&result);
    let label = parts.first().map(Part::label).unwrap_or_default();
    let prefixed = |text: &str| format!("{label}: {text}");
    if result.run.shard.take().is_some() {
        result.warnings.retain(|warning| warning.code != LOSS_UNKNOWN);
    }
    result.run.parts = Some(parts);
    result.run.error = result.run.error.map(|error| prefixed(&error));
    result.invalid.iter_mut().for_each(|fault| fault.text = prefixed(&fault.text));
    let own = result.warnings.iter_mut().filter(|warning| !OF_ALL.contains(&warning.code.as_str()));
    own.for_each(|warning| warning.text = prefixed(&warning.text));
    result.stages.iter_mut().for_each(|stage| stage.set_part(&label));
    result.sum_up_stages();
    (result.runs, result.stats, result.compare) = (None, None, None);
    result.gates.clear();
    result
}

/// The sum of two results of one plan.
fn add(one: ResultDocument, other: ResultDocument) -> anyhow::Result<ResultDocument> {
    // What has no sum is that of the earliest part.
    let (one, other) = if parts(&one) <= parts(&other) { (one, other) } else { (other, one) };
    let stages = one.stages.iter().zip(&other.stages).map(|(one, other)| one.with_part(other));
    let mut sum = ResultDocument {
        schema: one.schema.clone(),
        status: worst(one.status, other.status),
        tool: richer(one.tool.clone(), other.tool.clone()),
        run: run_facts(&one, &other),
        env: agreed(&one.env, &other.env)?,
        target: target_facts(&one.target, &other.target)?,
        plan: agreement(one.plan.clone(), &other.plan),
        broker: broker_facts(&one.broker, &other.broker)?,
        stages: stages.collect::<anyhow::Result<_>>()?,
        invalid: union(one.invalid, other.invalid, |fault: &Fault| (fault.code.clone(), fault.text.clone())),
        warnings: union(one.warnings, other.warnings, |warning: &Warning| (warning.code.clone(), warning.text.clone())),
        ..ResultDocument::default()
    };
    sum.sum_up_stages();
    Ok(sum)
}

fn run_facts(one: &ResultDocument, other: &ResultDocument) -> RunFacts {
    let (earlier, later) = (&one.run, &other.run);
    let mut all = [parts(one), parts(other)].concat();
    all.sort();
    let errors: BTreeSet<&str> =
        [earlier, later].into_iter().flat_map(|run| run.error.iter()).flat_map(|text| text.lines()).collect();
    RunFacts {
        id: same(&earlier.id, &later.id),
        name: same(&earlier.name, &later.name),
        labels: earlier
            .labels
            .iter()
            .filter(|(key, value)| later.labels.get(*key) == Some(value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        description: same(&earlier.description, &later.description),
        started_at: earlier.started_at.clone().min(later.started_at.clone()),
        seed: same(&earlier.seed, &later.seed),
        plan_hash: earlier.plan_hash.clone(),
        command: earlier.command.clone(),
        shards: earlier.shards.zip(later.shards).map(|(one, other)| one + other),
        shard: None,
        parts: Some(all),
        status: worst(earlier.status, later.status),
        error: (!errors.is_empty()).then(|| errors.into_iter().collect::<Vec<_>>().join("\n")),
    }
}

fn target_facts(one: &TargetFacts, other: &TargetFacts) -> anyhow::Result<TargetFacts> {
    let urls: BTreeSet<&String> = one.urls.iter().chain(&other.urls).collect();
    Ok(TargetFacts {
        urls: urls.into_iter().cloned().collect(),
        protocol: same(&one.protocol, &other.protocol),
        transport: same(&one.transport, &other.transport),
        tls: agreed(&one.tls, &other.tls)?,
        broker: agreed(&one.broker, &other.broker)?,
        same_host: one.same_host.max(other.same_host),
        rtt_ns_hist: None,
    })
}

/// Parts that watch one broker see the same figures of it: those of one of them.
fn broker_facts(one: &BrokerFacts, other: &BrokerFacts) -> anyhow::Result<BrokerFacts> {
    let of_sys = |facts: &BrokerFacts| (facts.sys.clone(), facts.sys_figures.clone());
    let (sys, sys_figures) = richer(of_sys(one), of_sys(other));
    Ok(BrokerFacts {
        limits: agreed(&one.limits, &other.limits)?,
        sys,
        sys_figures,
        process: None,
        prom: richer(one.prom.clone(), other.prom.clone()),
    })
}

/// Says where the parts did not run at the same time.
fn with_start_warning(mut sum: ResultDocument) -> ResultDocument {
    let parts = parts(&sum);
    if parts.iter().any(|part| part.shard.is_some()) {
        // Their loads began together, whenever the processes did.
        return sum;
    }
    let starts = || parts.iter().filter_map(|part| DateTime::parse_from_rfc3339(part.started_at.as_deref()?).ok());
    sum.warnings.retain(|warning| warning.code != APART);
    if let (Some(first), Some(last)) = (starts().min(), starts().max()) {
        let apart_ms = (last - first).num_milliseconds();
        if apart_ms > APART_MS {
            let text = format!(
                "the parts began up to {:.1} s apart: their rates are added all the same, and each row of the series has \
                 the same second of each part",
                apart_ms as f64 / 1e3
            );
            sum.warn(APART, text);
            sum.warnings.sort_by(|one, other| (&one.code, &one.text).cmp(&(&other.code, &other.text)));
        }
    }
    sum
}

fn worst(one: Status, other: Status) -> Status {
    let rank = |status| match status {
        Status::Ok => 0,
        Status::Partial => 1,
        Status::Invalid => 2,
        Status::Failed => 3,
    };
    if rank(other) > rank(one) { other } else { one }
}

/// A fact on which both agree.
fn same<T: Clone + PartialEq>(one: &Option<T>, other: &Option<T>) -> Option<T> {
    one.clone().filter(|_| one == other)
}

/// The facts on which both agree; the others are null.
fn agreed<T: Serialize + DeserializeOwned>(one: &T, other: &T) -> anyhow::Result<T> {
    let agreement = agreement(serde_json::to_value(one)?, &serde_json::to_value(other)?);
    Ok(serde_json::from_value(agreement)?)
}

fn agreement(one: Value, other: &Value) -> Value {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => one
            .into_iter()
            .map(|(name, value)| {
                let agreed = agreement(value, other.get(&name).unwrap_or(&Value::Null));
                (name, agreed)
            })
            .collect(),
        (one, other) if one == *other => one,
        _ => Value::Null,
    }
}

/// Of two accounts that cannot be added the longer one.
fn richer<T: Serialize>(one: T, other: T) -> T {
    let size = |it: &T| {
        let text = serde_json::to_string(it).unwrap_or_default();
        (text.len(), text)
    };
    if size(&one) >= size(&other) { one } else { other }
}

/// Both lists without what is twice, in the order of their keys.
fn union<T, K: Ord>(one: Vec<T>, other: Vec<T>, key: fn(&T) -> K) -> Vec<T> {
    let mut all: Vec<T> = one.into_iter().chain(other).collect();
    all.sort_by_key(key);
    all.dedup_by_key(|item| key(item));
    all
}

#[cfg(test)]
mod tests;
