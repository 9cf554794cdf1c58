//! Why a run counts as failed. Each check returns the error, if there is one.

use std::collections::BTreeMap;

use crate::bench::engine::{RunOutcome, StageOutcome};
use crate::bench::plan::{BenchPlan, ClientKind};
use crate::bench::report;
use crate::client::{ClientError, ConnectFacts};
use crate::mqtt::{QoS, ReasonCode};
use crate::options::Shape;
use crate::terminal::number::counted;
use crate::terminal::say;

/// The reason with which the broker refused all messages that it answered, if it did.
pub(super) fn all_refused(run: &RunOutcome) -> Option<ReasonCode> {
    let counters = || run.stages.iter().map(|stage| &stage.recorder.counters);
    if counters().any(|counters| counters.acked > 0) {
        return None;
    }
    counters().flat_map(|counters| counters.rejected.keys()).next().map(|reason| ReasonCode(*reason))
}

/// A broker without shared subscriptions takes `$share/…` for an ordinary topic, and delivers nothing.
pub(super) fn check_shared_subscriptions(plan: &BenchPlan, run: &RunOutcome) -> Option<String> {
    let Shape::Shared { .. } = plan.routes.shape() else { return None };
    let deliveries = || run.stages.iter().filter_map(|stage| stage.delivery);
    let expected: u64 = deliveries().map(|delivery| delivery.expected).sum();
    let nothing_came = deliveries().all(|delivery| delivery.delivered_once == 0);
    (expected > 0 && nothing_came && !run.interrupted).then(|| {
        let hint =
            if plan.session.version.is_v5() { "" } else { "; with -V 5 a broker reports whether it supports them" };
        format!(
            "none of {expected} messages arrived over the shared subscriptions: the broker does not seem to support \
             $share{hint}"
        )
    })
}

/// A run that sent nothing in its measured time has measured nothing.
pub(super) fn check_sent(plan: &BenchPlan, run: &RunOutcome) -> Option<String> {
    let is_idle = |stage: &StageOutcome| stage.recorder.counters.sent == 0;
    let sends = plan.own_count(ClientKind::Publisher) > 0;
    let is_load = sends && plan.idlers == 0 && !run.interrupted && !run.stages.is_empty();
    (is_load && run.stages.iter().all(is_idle)).then(|| {
        let was_due = run.stages.iter().any(|stage| stage.offered != Some(0));
        let what = if was_due { "no message was sent" } else { "no message was due" };
        let hint = if was_due { "" } else { ": measure longer, or raise --rate" };
        format!("{what} in the measured time, so nothing was measured{hint}")
    })
}

/// A path that carried nothing was not measured, also where the broker acknowledges what it drops: MQTT 3.1.1 has no
/// other way to refuse a message.
pub(super) fn check_carried(plan: &BenchPlan, run: &RunOutcome) -> Option<String> {
    let (acknowledged, subscribed) = (plan.qos != QoS::AtMostOnce, plan.subscribers > 0);
    let arrived = |stage: &StageOutcome| {
        stage.recorder.counters.delivered + stage.delivery.map_or(0, |delivery| delivery.delivered_once)
    };
    let answered = |stage: &StageOutcome| stage.recorder.counters.acked.max(stage.answered);
    let is_silent = |stage: &StageOutcome| match (subscribed, acknowledged) {
        (true, _) => arrived(stage) == 0,
        (false, true) => answered(stage) == 0,
        // Nobody acknowledges or receives: whether anything arrived is unknown.
        (false, false) => stage.recorder.counters.sent == 0,
    };
    let was_due = run.stages.iter().any(|stage| stage.offered != Some(0));
    let is_refused = run.stages.iter().any(|stage| !stage.recorder.counters.rejected.is_empty());
    // Of a shard that has one side alone nobody can say that the path carried nothing.
    let is_load = plan.publishers > 0 && plan.idlers == 0 && !run.interrupted && !plan.is_apart();
    if !is_load || !was_due || is_refused || !run.stages.iter().all(is_silent) {
        return None;
    }
    let answers: u64 = run.stages.iter().map(answered).sum();
    if acknowledged && run.stages.iter().all(|stage| stage.recorder.counters.sent == 0) {
        // Messages that were sent before, and filled the window, may have been delivered.
        return Some("the broker acknowledged no message in the measured time, and none could be sent".to_owned());
    }
    Some(match (acknowledged, subscribed) {
        (true, true) if answers > 0 => {
            let hint = if plan.targets.is_cross() {
                "--pair cross needs brokers that forward messages to each other"
            } else {
                "a permission to publish or to read these topics may be missing"
            };
            format!("the broker acknowledged {} and delivered none: {hint}", counted(answers, "message", "messages"))
        }
        (true, true) => "the broker neither acknowledged nor delivered any message".to_owned(),
        (true, false) => "the broker acknowledged no message".to_owned(),
        (false, true) => "the broker delivered no message".to_owned(),
        (false, false) => "the broker read no message from its socket".to_owned(),
    })
}

/// Connections that answer no ping are not held.
pub(super) fn check_pings(plan: &BenchPlan, run: &RunOutcome) -> Option<String> {
    let pings: u64 = run.stages.iter().map(|stage| stage.recorder.counters.pings).sum();
    let answered = |stage: &StageOutcome| stage.recorder.latency.ping.histogram().is_some();
    let is_hold = plan.idlers > 0 && !run.interrupted;
    (is_hold && pings > 0 && !run.stages.iter().any(answered))
        .then(|| format!("none of {pings} PINGREQ packets were answered"))
}

/// QoS 2 that the broker turns into QoS 1 is not the load that was requested.
pub(super) fn check_qos(run: &RunOutcome) -> Option<String> {
    let downgraded: u64 = run.stages.iter().map(|stage| stage.downgraded).sum();
    (downgraded > 0 && !run.interrupted).then(|| report::qos_2_with_puback(downgraded))
}

/// Prints why a client could not connect, which client it was, and what to do.
pub(super) fn print_connect_error(error: &ClientError, place: Option<String>, plan: &BenchPlan) {
    let facts = ConnectFacts::new(&plan.session, &plan.transport);
    say(format_args!("Error: {error}"));
    if let Some(words) = error.reason_string() {
        say(format_args!("  the broker reports: {words}"));
    }
    for line in place.into_iter().chain(error.hint(facts)) {
        say(format_args!("  {line}"));
    }
}

/// Connections that were not made, or were lost for good.
pub(super) fn check_connections(plan: &BenchPlan, run: &RunOutcome) -> Option<String> {
    let clients = plan.own_clients();
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
    let end = if run.collapsed && plan.idlers == 0 { "; the load stopped there" } else { "" };
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
            "nothing was sent, acknowledged or delivered for {stalled} s: gave up after {}",
            counted(sent, "message", "messages")
        ));
    }
    (!causes.is_empty()).then(|| causes.join("; "))
}

/// Causes, with their counts where there are several.
fn list(causes: &BTreeMap<String, u64>) -> String {
    let all = causes.iter().map(|(cause, count)| {
        let cause = crate::terminal::escape(cause);
        if causes.len() == 1 { cause.into_owned() } else { format!("{cause} ({count})") }
    });
    all.collect::<Vec<_>>().join("; ")
}
