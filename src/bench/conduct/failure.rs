//! Why a run counts as failed, in words and as an exit status.

use std::collections::BTreeMap;

use crate::bench::engine::{RunOutcome, StageOutcome};
use crate::bench::plan::BenchPlan;
use crate::client::ClientError;
use crate::mqtt::{QoS, ReasonCode};
use crate::options::Shape;

/// The reason why the broker refused all messages that it answered, where it did.
pub(super) fn refusal(run: &RunOutcome) -> Option<ReasonCode> {
    let counters = || run.stages.iter().map(|stage| &stage.recorder.counters);
    if counters().any(|counters| counters.acked > 0) {
        return None;
    }
    counters().flat_map(|counters| counters.rejected.keys()).next().map(|reason| ReasonCode(*reason))
}

/// A broker that does not know shared subscriptions takes `$share/…` for a topic like any other, and nothing comes.
pub(super) fn silent_groups(plan: &BenchPlan, run: &RunOutcome) -> Option<String> {
    let Shape::Shared { .. } = plan.routes.shape() else { return None };
    let deliveries = || run.stages.iter().filter_map(|stage| stage.delivery);
    let expected: u64 = deliveries().map(|delivery| delivery.expected).sum();
    let nothing_came = deliveries().all(|delivery| delivery.delivered_once == 0);
    (expected > 0 && nothing_came && !run.interrupted).then(|| {
        let hint = if plan.session.version.is_v5() { "" } else { "; with -V 5 a broker says whether it does" };
        format!(
            "none of {expected} messages came through the shared subscriptions: the broker does not seem to know \
             $share{hint}"
        )
    })
}

/// A path that carries nothing at all is none that was measured.
pub(super) fn silence(plan: &BenchPlan, run: &RunOutcome) -> Option<String> {
    let (acknowledged, subscribed) = (plan.qos != QoS::AtMostOnce, plan.subscribers > 0);
    let is_silent = |stage: &StageOutcome| {
        let counters = &stage.recorder.counters;
        let came = stage.delivery.map_or(0, |delivery| delivery.delivered_once);
        // Whether what nobody acknowledges or receives has arrived cannot be told.
        let unseen = if acknowledged || subscribed { 0 } else { counters.sent };
        [counters.acked, counters.delivered, came, stage.answered, unseen] == [0; 5] && counters.rejected.is_empty()
    };
    let was_due = run.stages.iter().any(|stage| stage.offered != Some(0));
    let is_load = plan.publishers > 0 && plan.idlers == 0 && !run.interrupted;
    (is_load && was_due && run.stages.iter().all(is_silent)).then(|| {
        let what = match (acknowledged, subscribed) {
            (true, true) => "the broker neither acknowledged nor delivered any message",
            (true, false) => "the broker acknowledged no message",
            (false, true) => "the broker delivered no message",
            (false, false) => "the broker took no message from its socket",
        };
        what.to_owned()
    })
}

/// Why a client could not connect, at which place, and what to do.
pub(super) fn say_why(error: &ClientError, place: Option<String>) {
    eprintln!("Error: {error}");
    if let Some(words) = error.reason_string() {
        eprintln!("  the broker says: {}", crate::terminal::escape(words));
    }
    for line in place.into_iter().chain(error.hint()) {
        eprintln!("  {line}");
    }
}

/// Why a run that began counts as failed: connections that were not made, or were lost for good.
pub(super) fn failure(plan: &BenchPlan, run: &RunOutcome) -> Option<String> {
    let clients = plan.clients();
    let mut causes = Vec::new();
    let mut refused = BTreeMap::new();
    if plan.idlers > 0 {
        for (cause, count) in run.stages.iter().flat_map(|stage| &stage.recorder.counters.connect_failures) {
            *refused.entry(cause.to_string()).or_default() += count;
        }
    }
    let failed: u64 = refused.values().sum();
    if failed > 0 {
        causes.push(format!("{failed} of {clients} connects failed: {}", list(&refused)));
    }
    let lost: u64 = run.lost.values().sum();
    let end = if run.collapsed && plan.idlers == 0 { "; the load ended there" } else { "" };
    if plan.reconnect.is_some() && run.away > 0 {
        let away = run.away;
        causes.push(format!("{away} of {clients} clients had no connection at the end: {}{end}", list(&run.lost)));
    } else if plan.reconnect.is_none() && lost > 0 {
        causes.push(format!("{lost} of {clients} connections were lost: {}{end}", list(&run.lost)));
    }
    if let Some(stalled) = run.stalled {
        let sent: u64 = run.stages.last().map_or(0, |stage| stage.recorder.counters.sent);
        let stalled = stalled.as_secs();
        causes.push(format!(
            "nothing was sent, acknowledged or delivered for {stalled} s: given up after {sent} messages"
        ));
    }
    (!causes.is_empty()).then(|| causes.join("; "))
}

/// Causes with their counts, which one alone does not need.
fn list(causes: &BTreeMap<String, u64>) -> String {
    let all = causes.iter().map(|(cause, count)| {
        let cause = crate::terminal::escape(cause);
        if causes.len() == 1 { cause.into_owned() } else { format!("{cause} ({count})") }
    });
    all.collect::<Vec<_>>().join("; ")
}
