//! From what the engine brought to what the report takes: the same facts in the report's words.

mod description;
mod plan_facts;
mod warnings;

use chrono::{DateTime, SecondsFormat, Utc};

pub(super) use self::description::{announcement, url};
use self::description::{description, transport, url_of};
use self::plan_facts::plan_facts;
use self::warnings::{forgotten_times, nagle_hint, stage_warnings, trend_warnings};
use super::engine::{RunOutcome, StageOutcome, StreamOutcome, TargetOutcome};
use super::measure::{GeneratorFigures, Recorder, ValidityFigures};
use super::plan::{BenchPlan, LoadModel as PlanModel, WindowRule, is_this_machine};
use super::report::document::{BrokerName, RunContext, RunFacts, TargetFacts};
use super::report::stage::{Phase, TargetMeasurement};
use super::report::{Clients, LoadModel, StageMeasurement, StreamAccount, Warning};
use super::system::EnvironmentFacts;
use crate::mqtt::QoS;
use crate::options::Shape;
use crate::transport::Address;

/// What is known of a run before it begins.
pub(super) fn context(
    plan: &BenchPlan,
    command: Vec<String>,
    broker: Option<BrokerName>,
    started_at: DateTime<Utc>,
) -> RunContext {
    let same_host = plan.targets.addresses().any(is_this_machine);
    let mut warnings = Vec::new();
    if same_host {
        warnings.push(Warning::new("same-host", "the broker runs on this machine and shares its CPU"));
    }
    if !plan.payload.is_stamped() && plan.subscribers > 0 {
        let more = match plan.routes.shape() {
            Shape::Shared { .. } => ", nor the latency in a group",
            Shape::P2p | Shape::FanIn | Shape::FanOut => "",
        };
        let text = format!(
            "the payload has no room for a stamp: messages are matched by their order, so duplicates and reordering \
             cannot be told{more}",
        );
        warnings.push(Warning::new("no-stamp", text));
    }
    RunContext {
        run: RunFacts {
            id: Some(plan.run.to_string()),
            description: Some(description(plan)),
            started_at: Some(started_at.to_rfc3339_opts(SecondsFormat::Millis, true)),
            seed: Some(plan.seed),
            command,
            shards: Some(1),
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
        plan: plan_facts(plan),
        clients: Some(plan.clients() as u64),
        warnings,
        ..RunContext::default()
    }
}

/// A stage for the report.
pub(super) fn measurement(
    plan: &BenchPlan,
    run: &RunOutcome,
    stage: &StageOutcome,
    ceiling_per_s: Option<f64>,
    first: bool,
) -> StageMeasurement {
    let clients = plan.clients() as u64;
    let is_conn = plan.idlers > 0;
    let mut recorder = stage.recorder.clone();
    if first {
        // Connecting belongs to the first stage.
        recorder.latency.merge(&run.connect.latency);
        recorder.counters.retained += run.connect.counters.retained;
    }
    let mut rows = stage.rows.clone();
    let matched_by_order = !plan.payload.is_stamped();
    let mut warnings = stage_warnings(plan, stage);
    for warning in trend_warnings(plan, stage) {
        // Overload has two signs; one of them is enough.
        if warning.code != "overload" || warnings.iter().all(|known| known.code != warning.code) {
            warnings.push(warning);
        }
    }
    if let Some(window) = run.narrowed.filter(|_| first) {
        let text = format!(
            "connections were lost again and again with nothing acknowledged, so publishers had fewer messages in flight, \
             at last {window}: the broker may not take as many as -M allows (try -M {window})"
        );
        warnings.push(Warning::new("window-halved", text));
    }
    if let Some(warning) = forgotten_times(stage) {
        warnings.push(warning);
    }
    warnings.extend(nagle_hint(plan, &run.connect, stage));
    let broken_order = broken_order(stage).filter(|_| matched_by_order);
    if let Some(warning) = &broken_order {
        forget_e2e(&mut recorder);
        for row in &mut rows {
            (row.e2e_p50, row.e2e_p99, row.e2e_max) = (None, None, None);
        }
        warnings.push(warning.clone());
    }
    let echoes = plan.responders > 0;
    if echoes {
        as_round_trips(&mut recorder);
    }
    let from_start = stage.from_ns - stage.start_ns;
    let mut phases = Vec::new();
    let mut phase = |name: &str, start_ns, duration_ns| {
        if duration_ns > 0 {
            phases.push(Phase { name: name.to_owned(), start_ns, duration_ns });
        }
    };
    phase("connect", 0, if first { run.connect_ns } else { 0 });
    phase("warmup", stage.start_ns, from_start);
    if is_conn {
        phase("hold", run.connect_ns, stage.measured_ns.saturating_sub(run.connect_ns));
    } else {
        phase("measure", stage.from_ns, stage.measured_ns);
    }
    phase("drain", stage.from_ns + stage.measured_ns, stage.drain_ns);
    StageMeasurement {
        name: stage.stage.name.text().to_owned(),
        model: if stage.rate.is_some() || (is_conn && plan.connect_rate.is_some()) {
            LoadModel::Open
        } else {
            LoadModel::Closed
        },
        qos: plan.qos.number(),
        start_ns: stage.from_ns,
        window_ns: stage.measured_ns,
        windows: Some(stage.windows),
        phases,
        publishers: plan.publishers > 0,
        responders: plan.responders > 0,
        subscribers: plan.subscribers > 0,
        offered: stage.offered,
        not_sent: stage.not_sent,
        sends_again: plan.publishers > 0
            && plan.qos != QoS::AtMostOnce
            && plan.reconnect.is_some()
            && !plan.session.clean_start,
        window_by_delivery: plan.window_rule == WindowRule::Delivery && plan.publishers > 0 && plan.subscribers > 0,
        rate: stage.rate,
        given_up: stage.given_up.clone(),
        follows_flood: matches!(stage.stage.model, PlanModel::OpenLoopShare { .. }),
        matched_by_order,
        delivery: stage.delivery,
        unacked: (plan.qos != QoS::AtMostOnce && plan.publishers > 0).then_some(stage.unacknowledged),
        clients: Clients {
            planned: Some(clients),
            connected: Some(stage.connected),
            max_open: Some(stage.max_open),
            reconnects: plan.reconnect.map(|_| recorder.counters.reconnects),
            lost: Some(stage.lost.values().sum()),
            losses: Some(stage.lost.clone()),
            ..Clients::default()
        },
        outages: stage.outages.clone(),
        bytes_per_client: stage.clients_bytes,
        targets: targets(plan, stage, broken_order.is_some()),
        broker: stage.broker.clone(),
        rows,
        generator: GeneratorFigures {
            cpu_user_ns: stage.cpu.map(|cpu| cpu.user_ns),
            cpu_sys_ns: stage.cpu.map(|cpu| cpu.system_ns),
            // A thread that stays awake on purpose is always busy.
            busiest_thread_ns: stage
                .busiest_thread
                .filter(|_| !(plan.busy_poll && stage.rate.is_some()))
                .map(|cpu| cpu.total_ns()),
            rss_bytes: stage.resident_bytes,
            ceiling_per_s,
            ctx_switches: stage.cpu.map(|used| used.switches),
            steal_pct: stage.machine.steal_pct(),
            cpu_quota: stage.cpu_quota,
            throttling: stage.throttling,
            tcp_segments: stage.machine.tcp_sent,
            tcp_retrans: stage.machine.tcp_sent_again,
            ..GeneratorFigures::default()
        },
        streams: stream_accounts(plan, stage),
        validity: ValidityFigures {
            unbalanced_ledgers: stage.unbalanced,
            clock_back_ns: stage.clock_back_ns,
            ..ValidityFigures::default()
        },
        interrupted: run.interrupted || run.stalled.is_some(),
        warnings,
        recorder,
    }
}

/// Why messages that were matched by order may have been taken for others: from a gap on for the one before, from one
/// too many on for the one after. When that was shows only at the end, in the counts, so no sample of the stage can be
/// trusted.
fn broken_order(stage: &StageOutcome) -> Option<Warning> {
    let lost = stage.delivery.map_or(0, |delivery| delivery.lost);
    if lost > 0 {
        let text = "messages without a stamp were lost: which ones cannot be told, so no end-to-end latency is given";
        return Some(Warning::new("no-latency-after-loss", text));
    }
    (stage.unmatched > 0).then(|| {
        let text = format!(
            "{} arrivals more than were sent, or marked as sent again: messages without a stamp were delivered twice, \
             or somebody else publishes on the topic, so no end-to-end latency is given",
            stage.unmatched
        );
        Warning::new("no-latency-after-duplicates", text)
    })
}

fn forget_e2e(recorder: &mut Recorder) {
    (recorder.latency.e2e, recorder.latency.e2e_service) = Default::default();
}

/// What came back through a responder was not one way.
fn as_round_trips(recorder: &mut Recorder) {
    let latency = &mut recorder.latency;
    latency.rtt = std::mem::take(&mut latency.e2e);
    latency.rtt_service = std::mem::take(&mut latency.e2e_service);
}

/// The rows of several brokers.
fn targets(plan: &BenchPlan, stage: &StageOutcome, is_order_broken: bool) -> Vec<TargetMeasurement> {
    let mut planned = vec![0; plan.targets.count()];
    (0..plan.clients()).for_each(|client| planned[plan.target_of(client)] += 1);
    let row = |((address, target), planned): ((&Address, &TargetOutcome), u64)| {
        let mut recorder = target.share.recorder.clone();
        if is_order_broken {
            forget_e2e(&mut recorder);
        }
        if plan.responders > 0 {
            as_round_trips(&mut recorder);
        }
        TargetMeasurement {
            url: url_of(plan, address),
            clients: Clients {
                planned: Some(planned),
                connected: Some(target.connected),
                reconnects: plan.reconnect.map(|_| recorder.counters.reconnects),
                lost: Some(target.lost),
                ..Clients::default()
            },
            delivery: stage.delivery.is_some().then_some(target.share.delivery),
            recorder,
        }
    };
    plan.targets.addresses().zip(&stage.targets).zip(planned).map(row).collect()
}

fn stream_accounts(plan: &BenchPlan, stage: &StageOutcome) -> Vec<StreamAccount> {
    let acknowledged = plan.qos != QoS::AtMostOnce;
    let account = |(number, stream): (&usize, &StreamOutcome)| {
        let unacked = acknowledged.then_some(stream.unacknowledged);
        StreamAccount::of(*number, stream.delivery.as_ref(), unacked)
    };
    stage.streams.iter().map(account).collect()
}
