//! What one run came to: its document, and how mqbench ends where the cause decides that. Why a run failed is printed
//! here, where its cause is known.

use anyhow::Result;

use super::failure::{
    all_refused, check_carried, check_connections, check_pings, check_qos, check_sent, check_shared_subscriptions,
    print_connect_error,
};
use crate::bench::attempt::Attempt;
use crate::bench::calibrate::Ceilings;
use crate::bench::engine::{RunError, RunOutcome};
use crate::bench::plan::BenchPlan;
use crate::bench::report::{self, BrokerLimits, ResultDocument, Status, TlsFacts};
use crate::bench::sys_sampler::SysRecord;
use crate::exit_status::ExitStatus;
use crate::mqtt::ReasonCode;
use crate::options::ClientName;
use crate::terminal::say;

/// Enters what the broker reported about itself.
pub(super) fn note_sys(context: &mut ResultDocument, record: &SysRecord, ran: &RunOutcome) {
    let SysRecord { samples, fault } = record;
    if let Some(text) = samples.left_out() {
        context.warn("sys-coarse", text);
    }
    let nothing = "nothing arrived on $SYS/#: this broker publishes no figures there, or this client may not read them";
    if samples.is_empty() {
        let cause = fault.as_ref().map(|fault| format!("the broker's own figures could not be read: {fault}"));
        context.warn("no-sys", cause.unwrap_or_else(|| nothing.to_owned()));
        return;
    }
    if let Some(fault) = fault {
        context.warn("sys-gap", format!("the broker's own figures were not read all the time: {fault}"));
    }
    context.broker.sys = ran.t0.map(|t0| samples.series(t0));
    context.broker.sys_figures = Some(samples.figures());
}

/// What a run came to. `urgent`: whether a second interrupt cut it off.
///
/// # Errors
/// A thread of the engine ended with an error.
pub(super) fn attempt(
    plan: &BenchPlan,
    context: ResultDocument,
    ran: Result<RunOutcome, RunError>,
    ceilings: &Ceilings,
    urgent: bool,
) -> Result<Attempt> {
    match ran {
        Ok(ran) => Ok(assess(plan, context, &ran, ceilings)),
        Err(RunError::Client { client, clients, error }) => {
            let place = format!("at client {} of {clients}; no load was generated", client + 1);
            print_connect_error(&error, Some(place), plan);
            let document = report::nothing_measured(context, Status::Failed, error.to_string());
            Ok(Attempt { document, status: Some(error.exit_status()), has_load: false })
        }
        Err(RunError::Barrier(fault)) => {
            let cause = format!("the shards did not start together: {fault}");
            say(format_args!("Error: {cause}"));
            say("  no load was generated");
            let document = report::nothing_measured(context, Status::Failed, cause);
            Ok(Attempt { document, status: None, has_load: false })
        }
        Err(RunError::Interrupted) => {
            let cause = match urgent {
                true => "interrupted twice: the results so far are lost",
                false => "interrupted before the load began: nothing was measured",
            };
            say(format_args!("Error: {cause}"));
            let document = report::nothing_measured(context, Status::Partial, cause.to_owned());
            Ok(Attempt { document, status: None, has_load: false })
        }
        Err(error @ RunError::Thread(_)) => Err(error.into()),
    }
}

/// The document of a run that had a load.
fn assess(plan: &BenchPlan, mut context: ResultDocument, run: &RunOutcome, ceilings: &Ceilings) -> Attempt {
    if let Some((client, error)) = &run.first_failure {
        let place = format!("client {} of {} was the first", client + 1, plan.own_clients());
        print_connect_error(error, Some(place), plan);
    }
    let refusal = all_refused(run);
    let downgrade = check_qos(run);
    let is_partial = judge(plan, &mut context, run, refusal, downgrade.as_deref());
    if plan.idlers == 0
        && run.stages.len() < plan.stages.len()
        && !run.interrupted
        && !run.collapsed
        && run.stalled.is_none()
    {
        let text = "the flood delivered nothing, so there is no rate for the paced stage: latency was not measured";
        context.warn("no-paced-stage", text);
    }
    if let Some(pid) = plan.broker_pid.filter(|_| run.broker_ended) {
        let text =
            format!("the broker's process {pid} ended during the run: its CPU time and memory are null from then on");
        context.warn("broker-ended", text);
    }
    note_broker(&mut context, plan, run);
    // It is the ceiling of mqbench's own engine.
    let ceiling = ceilings.of_plan(plan).filter(|_| plan.client == ClientName::Mqbench);
    let document = report::assemble(context, plan, run, ceiling, is_partial);
    let status = match refusal {
        Some(reason) if run.lost.is_empty() => Some(ExitStatus::Refused(reason)),
        _ if downgrade.is_some() && run.lost.is_empty() => Some(ExitStatus::Downgraded),
        _ => None,
    };
    Attempt { document, status, has_load: true }
}

/// Enters what the broker agreed to: TLS, and its limits in MQTT 5.
fn note_broker(context: &mut ResultDocument, plan: &BenchPlan, run: &RunOutcome) {
    context.target.tls = run
        .tls
        .as_ref()
        .map(|tls| TlsFacts { version: Some(tls.version.to_owned()), cipher: Some(tls.cipher.to_owned()) });
    context.broker.limits = run.limits.filter(|_| plan.session.version.is_v5()).map(|limits| BrokerLimits {
        receive_maximum: Some(limits.receive_maximum.into()),
        maximum_qos: Some(limits.maximum_qos.number()),
        maximum_packet_bytes: Some(limits.maximum_packet_size as u64),
        topic_alias_maximum: Some(limits.topic_alias_maximum.into()),
        retain_available: Some(limits.retain_available),
        shared_subscriptions: Some(limits.shared_subscription_available),
        wildcard_subscriptions: Some(limits.wildcard_subscription_available),
    });
}

/// Enters why the run failed, if it did. Returns whether its figures are still part of what was requested.
fn judge(
    plan: &BenchPlan,
    context: &mut ResultDocument,
    run: &RunOutcome,
    refusal: Option<ReasonCode>,
    downgrade: Option<&str>,
) -> bool {
    // Figures without any message, or of another QoS, are no part of it. Nor are those of a load that lost clients
    // and does not reconnect them.
    let nothing = check_carried(plan, run).or_else(|| check_sent(plan, run)).or_else(|| check_pings(plan, run));
    let connected = run.stages.iter().any(|stage| stage.connected > 0);
    let stalled = run.stalled.is_some() && run.lost.is_empty();
    let tolerates_losses = plan.idlers > 0 || plan.reconnect.is_some() || stalled;
    let is_partial = nothing.is_none() && downgrade.is_none() && connected && tolerates_losses;
    context.run.error = check_connections(plan, run)
        .or_else(|| refusal.map(|reason| format!("the broker refused every message: {reason}")))
        .or_else(|| check_shared_subscriptions(plan, run))
        .or(nothing)
        .or_else(|| downgrade.map(str::to_owned));
    is_partial
}
