//! Shards of one run: whether all are there, whether they began together, and what was lost between them.

use std::collections::BTreeMap;

use super::{MergeError, parts, worst};
use crate::bench::measure::Fault;
use crate::bench::plan::named_shards;
use crate::bench::report::document::{ResultDocument, ShardFacts, Status};
use crate::terminal::quoted;

/// The most by which the starts of two shards may differ.
const MOST_APART_NS: i64 = 50_000_000;

/// What this module finds out anew each time.
const OWN_FAULTS: [&str; 2] = [Fault::STARTS_APART, Fault::SHARDS_LEDGER];
const OWN_WARNINGS: [&str; 2] = ["shards-missing", "shards-not-whole"];

/// The shards that a result consists of, with their status.
fn shards(result: &ResultDocument) -> Vec<(ShardFacts, Status)> {
    let part = |part: super::Part| Some((part.shard?, part.status.unwrap_or_default()));
    parts(result).into_iter().filter_map(part).collect()
}

/// Why two results are not shards of one run; none also where neither is a shard.
pub(super) fn difference(one: &ResultDocument, other: &ResultDocument) -> Option<String> {
    let (ones, others) = (shards(one), shards(other));
    let ((first, _), (second, _)) = match (ones.first(), others.first()) {
        (None, None) => return None,
        (Some(one), Some(other)) => (one, other),
        _ => return Some("one is a shard of a run (--shard) and the other is a run by itself".to_owned()),
    };
    if first.count != second.count {
        return Some(format!("they are of runs with {} and {} shards", second.count, first.count));
    }
    if first.job != second.job {
        let [one, other] = [first, second].map(|shard| quoted(&shard.job));
        return Some(format!("they are of two runs (--job): '{other}' and '{one}'"));
    }
    if one.run.seed != other.run.seed {
        let [one, other] =
            [one, other].map(|it| it.run.seed.map_or_else(|| "none".to_owned(), |seed| seed.to_string()));
        return Some(format!("their seeds differ, {other} and {one}: they are not of one run"));
    }
    if one.run.id != other.run.id {
        return Some("their run tags differ: they are not of one run".to_owned());
    }
    let twice = ones.iter().find(|(shard, _)| others.iter().any(|(other, _)| other.index == shard.index));
    twice.map(|(shard, _)| format!("both hold shard {} of {}", shard.index, shard.count))
}

/// Enters what is known of the run as a whole.
pub(super) fn whole(mut sum: ResultDocument, allow_partial: bool) -> Result<ResultDocument, MergeError> {
    let shards = shards(&sum);
    let Some(count) = shards.first().map(|(shard, _)| shard.count) else { return Ok(sum) };
    // It may be a merged one that is merged again.
    sum.warnings.retain(|warning| !OWN_WARNINGS.contains(&warning.code.as_str()));
    sum.invalid.retain(|fault| !OWN_FAULTS.contains(&fault.code.as_str()));
    let mut status = shards.iter().map(|(_, status)| *status).fold(Status::Ok, worst);
    let absent = absent(&shards, count);
    if !absent.is_empty() {
        let missing = named_shards(&absent, count);
        if !allow_partial {
            return Err(MergeError::Missing { missing, are_several: absent.len() > 1 || count > MOST_COUNT });
        }
        sum.warn("shards-missing", format!("missing: {missing}; the figures are those of the others"));
        status = worst(status, Status::Partial);
    }
    for wanted in [Status::Partial, Status::Invalid, Status::Failed] {
        let mut these: Vec<u64> =
            shards.iter().filter(|(_, status)| *status == wanted).map(|(shard, _)| shard.index).collect();
        these.sort_unstable();
        if !these.is_empty() {
            let word = match wanted {
                Status::Partial => "ended early",
                Status::Invalid => "not valid",
                _ => "failed",
            };
            sum.warn("shards-not-whole", format!("{word}: {}", named_shards(&these, count)));
        }
    }
    let faults = starts_apart(&shards).into_iter().chain(settle(&mut sum, absent.is_empty()));
    let faults: Vec<Fault> = faults.collect();
    if !faults.is_empty() {
        status = worst(status, Status::Invalid);
        sum.invalid.extend(faults);
        sum.invalid.sort_by(|one, other| (&one.code, &one.text).cmp(&(&other.code, &other.text)));
    }
    sum.warnings.sort_by(|one, other| (&one.code, &one.text).cmp(&(&other.code, &other.text)));
    sum.set_status(status);
    Ok(sum)
}

/// More shards than a run can have: such a file is not one of ours, and their numbers are not listed.
const MOST_COUNT: u64 = 100_000;

/// Numbers of shards that are not there.
fn absent(shards: &[(ShardFacts, Status)], count: u64) -> Vec<u64> {
    let known: std::collections::BTreeSet<u64> = shards.iter().map(|(shard, _)| shard.index).collect();
    (0..count.min(MOST_COUNT)).filter(|index| !known.contains(index)).collect()
}

fn starts_apart(shards: &[(ShardFacts, Status)]) -> Option<Fault> {
    let starts = || shards.iter().filter_map(|(shard, _)| shard.started_unix_ns);
    let apart = starts().max()?.saturating_sub(starts().min()?);
    (apart > MOST_APART_NS).then(|| Fault::starts_apart(apart.unsigned_abs()))
}

/// Finds what was lost between the shards; the account is not kept where all are there. Returns the fault of a stage
/// that does not add up.
fn settle(sum: &mut ResultDocument, is_complete: bool) -> Option<Fault> {
    let mut fault = None;
    for stage in &mut sum.stages {
        stage.invalid.retain(|fault| !OWN_FAULTS.contains(&fault.code.as_str()));
        let Some(reach) = &stage.reach else { continue };
        let (streams, unbalanced): (BTreeMap<_, _>, _) = reach.settle();
        stage.delivery.settle(&streams);
        if unbalanced > 0 {
            let found = Fault::shards_ledger(unbalanced);
            stage.invalid.push(found.clone());
            fault = Some(found);
        }
        if is_complete {
            stage.reach = None;
        }
    }
    sum.sum_up_stages();
    fault
}
