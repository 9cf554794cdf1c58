//! One stage: from what the engine brought to its part of the document, and what is to be warned of.

use super::description::url_of;
use super::warnings::{broken_order, of_figures, of_outcome};
use crate::bench::engine::{RunOutcome, StageOutcome, StreamOutcome, TargetOutcome};
use crate::bench::measure::{Fault, Generator, Recorder, Series, StageFigures, percent};
use crate::bench::plan::{BenchPlan, ClientKind, LoadModel, WindowRule};
use crate::bench::report::delivery::{Clients, DeliveryAccount, StreamAccount};
use crate::bench::report::document::Warning;
use crate::bench::report::latency::{LatencyTable, LoopKind};
use crate::bench::report::stage::{Phase, Stage, Target};
use crate::bench::report::traffic::{Sides, Traffic};
use crate::bench::system::ProcessUse;
use crate::mqtt::QoS;
use crate::options::ClientName;
use crate::transport::Address;

/// The part of the document, and the warnings. Connecting belongs to the `first` stage.
pub(super) fn stage(
    plan: &BenchPlan,
    run: &RunOutcome,
    outcome: &StageOutcome,
    ceiling_per_s: Option<f64>,
    first: bool,
) -> (Stage, Vec<Warning>) {
    let is_conn = plan.idlers > 0;
    let is_matched_by_order = !plan.payload.is_stamped();
    let order_warning = broken_order(outcome).filter(|_| is_matched_by_order);
    let mut recorder = outcome.recorder.clone();
    if first {
        recorder.latency.merge(&run.connect.latency);
        recorder.counters.retained += run.connect.counters.retained;
    }
    adapt_latencies(plan, order_warning.is_some(), &mut recorder);
    let model = match outcome.rate.is_some() || (is_conn && plan.connect_rate.is_some()) {
        true => LoopKind::Open,
        false => LoopKind::Closed,
    };
    let (sides, counters) = (Sides::of(plan), &recorder.counters);
    let mut latency = LatencyTable::of(&recorder.latency, model);
    let figures = figures(plan, outcome, &recorder, ceiling_per_s);
    let (highest_percentile, invalid) = validity(outcome, &figures, &mut latency);
    let stage = Stage {
        name: outcome.stage.name.text().to_owned(),
        model,
        qos: plan.qos.number(),
        start_ns: outcome.from_ns,
        duration_ns: outcome.measured_ns,
        given_up: outcome.given_up.clone(),
        highest_percentile,
        phases: phases(plan, run, outcome, first),
        clients: Clients {
            planned: Some(plan.own_clients() as u64),
            connected: Some(outcome.connected),
            max_open: Some(outcome.max_open),
            reconnects: plan.reconnect.map(|_| counters.reconnects),
            lost: Some(outcome.lost.values().sum()),
            losses: Some(outcome.lost.clone()),
            ..Clients::default()
        }
        .with_failures(counters),
        traffic: traffic(plan, outcome, &recorder, sides),
        delivery: delivery(plan, outcome, &recorder, sides),
        reach: outcome.reach.clone(),
        latency,
        series: series(outcome, sides, order_warning.is_some()),
        silences: outcome.silences.clone(),
        generator: Generator {
            rss_bytes: outcome.usage.resident_bytes,
            bytes_per_client: outcome.clients_bytes,
            ctx_switches: outcome.usage.cpu.map(|used| used.switches),
            ..Generator::judge(&figures)
        },
        targets: (!outcome.targets.is_empty()).then(|| targets(plan, outcome, sides, model, order_warning.is_some())),
        broker: outcome.usage.broker.as_ref().map(|used| ProcessUse {
            cpu_pct: percent(used.cpu_ns as f64, outcome.measured_ns as f64).map(|share| (share * 10.0).round() / 10.0),
            ..used.clone()
        }),
        invalid,
    };
    let mut warnings = of_outcome(plan, run, outcome, first);
    warnings.extend(order_warning);
    warnings.extend(of_figures(plan, &stage));
    if !stage.is_result() {
        warnings.retain(|warning| !OF_PACE.contains(&warning.code.as_str()));
    }
    (stage, warnings)
}

/// Warnings that an attempt at a rate that was too high gives because it was too high.
const OF_PACE: &[&str] =
    &["overload", "held-back", "not-sent", "not-steady", "generator", "service-times-missing", "freed-by-silence"];

/// Takes away latencies that may be those of other messages, and names those that came back through a responder.
fn adapt_latencies(plan: &BenchPlan, is_order_broken: bool, recorder: &mut Recorder) {
    let latency = &mut recorder.latency;
    if is_order_broken {
        (latency.e2e, latency.e2e_service) = Default::default();
    }
    if plan.responders > 0 {
        latency.rtt = std::mem::take(&mut latency.e2e);
        latency.rtt_service = std::mem::take(&mut latency.e2e_service);
    }
}

fn figures(plan: &BenchPlan, outcome: &StageOutcome, recorder: &Recorder, ceiling_per_s: Option<f64>) -> StageFigures {
    StageFigures {
        cpu_user_ns: outcome.usage.cpu.map(|cpu| cpu.user_ns),
        cpu_sys_ns: outcome.usage.cpu.map(|cpu| cpu.system_ns),
        // A thread that stays awake on purpose is always busy.
        busiest_thread_ns: outcome
            .busiest_thread
            .filter(|_| !(plan.busy_poll && outcome.rate.is_some()))
            .map(|cpu| cpu.total_ns()),
        ceiling_per_s,
        steal_pct: outcome.usage.machine.steal_pct(),
        cpu_quota: outcome.usage.cpu_quota,
        throttling: outcome.usage.throttling,
        tcp_segments: outcome.usage.machine.tcp_sent,
        tcp_retrans: outcome.usage.machine.tcp_sent_again,
        unbalanced_ledgers: outcome.unbalanced,
        clock_back_ns: outcome.clock_back_ns,
        delivery: outcome.delivery,
        ..StageFigures::of(recorder, outcome.measured_ns, outcome.offered)
    }
}

/// The highest percentile that is given, where not all are, and why the stage is invalid. Where nobody asked for just
/// this rate, a machine that was too busy only costs the highest percentiles, which are then taken away.
fn validity(
    outcome: &StageOutcome,
    figures: &StageFigures,
    latency: &mut LatencyTable,
) -> (Option<String>, Vec<Fault>) {
    let faults = Fault::find(figures);
    let follows_flood = matches!(outcome.stage.model, LoadModel::OpenLoopShare { .. });
    if let ([fault], true, None) = (&faults[..], follows_flood, &outcome.given_up)
        && fault.code == Fault::SCHEDULING_LAG
        && let Some(highest) = latency.undisturbed_percentile()
    {
        latency.withhold_above(highest);
        return (Some(highest.to_owned()), Vec::new());
    }
    (None, faults)
}

fn phases(plan: &BenchPlan, run: &RunOutcome, outcome: &StageOutcome, first: bool) -> Vec<Phase> {
    let measured = match plan.idlers {
        0 => ("measure", outcome.from_ns, outcome.measured_ns),
        _ => ("hold", run.connect_ns, outcome.measured_ns.saturating_sub(run.connect_ns)),
    };
    let all = [
        ("connect", 0, if first { run.connect_ns } else { 0 }),
        ("warmup", outcome.start_ns, outcome.from_ns - outcome.start_ns),
        measured,
        ("drain", outcome.from_ns + outcome.measured_ns, outcome.drain_ns),
    ];
    let phase = |(name, start_ns, duration_ns)| Phase { name: String::from(name), start_ns, duration_ns };
    all.into_iter().filter(|(.., duration_ns)| *duration_ns > 0).map(phase).collect()
}

fn traffic(plan: &BenchPlan, outcome: &StageOutcome, recorder: &Recorder, sides: Sides) -> Traffic {
    let traffic = shown(plan, Traffic::of(&recorder.counters, outcome.windows, sides, outcome.offered));
    let sends_again = sides.acknowledged && plan.reconnect.is_some() && !plan.session.clean_start;
    Traffic {
        sent_again: sends_again.then_some(recorder.counters.sent_again),
        offered_per_s: outcome.rate.or(traffic.offered_per_s),
        ..traffic
    }
}

/// Another library does not show its packets.
fn shown(plan: &BenchPlan, traffic: Traffic) -> Traffic {
    match plan.client {
        ClientName::Mqbench => traffic,
        ClientName::Rumqttc => Traffic {
            bytes_out: None,
            bytes_in: None,
            bytes_out_per_s: None,
            bytes_in_per_s: None,
            packets: None,
            ..traffic
        },
    }
}

fn delivery(plan: &BenchPlan, outcome: &StageOutcome, recorder: &Recorder, sides: Sides) -> DeliveryAccount {
    let frees_window = plan.window_rule == WindowRule::Delivery && sides.publishers && sides.subscribers;
    let stream = |(number, stream): (&usize, &StreamOutcome)| {
        let answered = |count: u64| (plan.qos != QoS::AtMostOnce).then_some(count);
        let (unacked, rejected) = (answered(stream.unacknowledged), answered(stream.refused));
        StreamAccount::of(*number as u64, stream.delivery.as_ref(), unacked, rejected)
    };
    let unacked = sides.acknowledged.then_some(outcome.unacknowledged);
    let mut delivery = DeliveryAccount {
        not_sent: outcome.not_sent,
        freed_by_silence: frees_window.then_some(recorder.counters.freed_by_silence),
        ..DeliveryAccount::of(outcome.delivery.as_ref(), &recorder.counters, sides, unacked)
    }
    .with_received(outcome.reach.as_ref())
    .with_outages(outcome.outages.as_ref())
    .with_streams(outcome.streams.iter().map(stream).collect());
    if !plan.payload.is_stamped() {
        delivery.forget_order();
    }
    delivery
}

/// The seconds, without what the sides of the stage do not have.
fn series(outcome: &StageOutcome, sides: Sides, is_order_broken: bool) -> Option<Series> {
    let mut series = outcome.series.clone();
    for row in &mut series.rows {
        row.sent = row.sent.filter(|_| sides.publishers);
        row.acked = row.acked.filter(|_| sides.acknowledged);
        row.delivered = row.delivered.filter(|_| sides.subscribers);
        row.skipped = row.skipped.filter(|_| outcome.offered.is_some());
        row.ack_buckets = row.ack_buckets.take().filter(|_| sides.acknowledged && !sides.subscribers);
        if is_order_broken {
            (row.e2e_p50, row.e2e_p99, row.e2e_max, row.e2e_buckets) = (None, None, None, None);
        }
    }
    Some(series).filter(|series| !series.rows.is_empty())
}

/// The rows of several brokers.
fn targets(
    plan: &BenchPlan,
    outcome: &StageOutcome,
    sides: Sides,
    model: LoopKind,
    is_order_broken: bool,
) -> Vec<Target> {
    let mut planned = vec![0; plan.targets.count()];
    for kind in ClientKind::ALL {
        plan.own(kind).for_each(|number| planned[plan.target_of(plan.client_of(kind, number))] += 1);
    }
    let row = |((address, target), planned): ((&Address, &TargetOutcome), u64)| {
        let mut recorder = target.share.recorder.clone();
        adapt_latencies(plan, is_order_broken, &mut recorder);
        let counters = &recorder.counters;
        let ledger = outcome.delivery.is_some().then_some(&target.share.delivery);
        Target {
            url: url_of(plan, address),
            clients: Clients {
                planned: Some(planned),
                connected: Some(target.connected),
                reconnects: plan.reconnect.map(|_| counters.reconnects),
                lost: Some(target.lost),
                ..Clients::default()
            }
            .with_failures(counters),
            traffic: shown(plan, Traffic::of(counters, outcome.windows, sides, None)),
            delivery: DeliveryAccount::of(ledger, counters, sides, None),
            latency: LatencyTable::of(&recorder.latency, model),
        }
    };
    plan.targets.addresses().zip(&outcome.targets).zip(planned).map(row).collect()
}
