//! From what the engine brought to what the report takes: the same facts in the report's words.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::engine::{RunOutcome, StageOutcome, StreamOutcome, TargetOutcome};
use super::measure::{Drift, GeneratorFigures, IntervalRow, Latency, Recorder, Steadiness, ValidityFigures};
use super::plan::{BenchPlan, Filling, LoadModel as PlannedModel, PayloadPlan, WindowRule, is_this_machine};
use super::report::document::{BrokerName, RunContext, RunFacts, TargetFacts};
use super::report::stage::{Phase, TargetMeasurement};
use super::report::{Clients, LoadModel, StageMeasurement, StreamAccount, Warning};
use crate::mqtt::QoS;
use crate::options::{Behind, Shape};
use crate::terminal::number;
use crate::transport::{Address, TransportPlan};

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
        env: super::environment::facts(),
        target: TargetFacts {
            urls: plan.targets.addresses().map(|address| url_of(plan, address)).collect(),
            protocol: Some(format!("MQTT {}", plan.session.version)),
            transport: Some(transport(plan)),
            broker,
            same_host: Some(same_host),
            ..TargetFacts::default()
        },
        plan: plan_facts(plan),
        warnings,
        ..RunContext::default()
    }
}

fn transport(plan: &BenchPlan) -> String {
    let TransportPlan { address, tls, web_socket, proxy, .. } = &plan.transport;
    let layer = match (address, tls, web_socket) {
        (Address::Unix(_), _, None) => "unix",
        (Address::Unix(_), _, Some(_)) => "ws+unix",
        (_, None, None) => "tcp",
        (_, Some(_), None) => "tls",
        (_, None, Some(_)) => "ws",
        (_, Some(_), Some(_)) => "wss",
    };
    match proxy {
        Some(proxy) => format!("{layer}+{}-proxy", proxy.kind),
        None => layer.to_owned(),
    }
}

/// Where the plan goes, without user and password.
pub(super) fn url(plan: &BenchPlan) -> String {
    url_of(plan, &plan.transport.address)
}

fn url_of(plan: &BenchPlan, address: &Address) -> String {
    let TransportPlan { tls, web_socket, .. } = &plan.transport;
    match (address, tls, web_socket) {
        (Address::Unix(path), ..) => format!("unix:{}", path.display()),
        (address, None, None) => format!("mqtt://{address}"),
        (address, Some(_), None) => format!("mqtts://{address}"),
        // A query may hold a token.
        (address, tls, Some(web_socket)) => {
            let path = web_socket.path.split('?').next().unwrap_or_default();
            format!("{}://{address}{path}", if tls.is_some() { "wss" } else { "ws" })
        }
    }
}

/// Target and plan in two lines, for before the load.
pub(super) fn announcement(plan: &BenchPlan) -> String {
    let urls: Vec<String> = plan.targets.addresses().map(|address| url_of(plan, address)).collect();
    let time = |duration: Duration| number::duration(duration.as_nanos() as u64);
    let stages = plan.stages.iter().map(|stage| {
        let rate = match stage.model {
            PlannedModel::ClosedLoop => "as fast as the window lets it".to_owned(),
            PlannedModel::OpenLoop { rate } => format!("{}/s", number::rate(rate)),
            PlannedModel::OpenLoopShare { share } => format!("{share} of that rate"),
        };
        let count = stage.count.map(|count| format!("{} messages", number::grouped(count)));
        let length: Vec<String> = stage.duration.map(time).into_iter().chain(count).collect();
        format!("{} {rate}, {}", stage.name.text(), length.join(" or "))
    });
    let stages: Vec<String> = if plan.idlers > 0 { Vec::new() } else { stages.collect() };
    let plan = format!("Plan: {}  {}", description(plan), stages.join("; then "));
    format!("Target: {}\n{}\n", crate::terminal::escape(&urls.join("  ")), crate::terminal::escape(plan.trim_end()))
}

fn description(plan: &BenchPlan) -> String {
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let head = format!("{}  MQTT {}", transport(plan), plan.session.version);
    if plan.idlers > 0 {
        let rate = plan.connect_rate.map_or_else(String::new, |rate| format!(" at {}/s", number::rate(rate)));
        let ping = number::duration(plan.ping_interval.as_nanos() as u64);
        let hold = number::duration(plan.hold.as_nanos() as u64);
        return format!("{head}  {}{rate}, held for {hold}, a ping every {ping}", plural(plan.idlers, "client"));
    }
    if plan.responders > 0 {
        let clients = plural(plan.publishers, "client");
        let (qos, payload) = (plan.qos.number(), payload_text(&plan.payload));
        return format!("{head}  QoS {qos}  {clients} → responder → back  {payload}");
    }
    // Who gets what is a question only where both sides are ours.
    let shape =
        if plan.publishers > 0 && plan.subscribers > 0 { format!("{}  ", plan.routes.shape()) } else { String::new() };
    format!("{shape}{head}  QoS {}  {}  {}", plan.qos.number(), crowd(plan), payload_text(&plan.payload),)
}

/// Who sends to whom, in words.
fn crowd(plan: &BenchPlan) -> String {
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    match (plan.publishers, plan.subscribers) {
        (publishers, 0) => return plural(publishers, "publisher"),
        (0, subscribers) => return plural(subscribers, "subscriber"),
        _ => {}
    }
    let pairs = format!("{} → {}", plural(plan.publishers, "publisher"), plural(plan.subscribers, "subscriber"));
    match (plan.routes.shape(), plan.routes.copies()) {
        (Shape::Shared { groups }, _) => {
            format!("{pairs} in {}, each message once to each group", plural(groups, "shared group"))
        }
        (_, (0, _)) => pairs,
        (Shape::P2p, (1, 1)) => pairs,
        (_, (1, 1)) => format!("{pairs}, which gets every message"),
        (_, (least, _)) if least == plan.subscribers => format!("{pairs}, each message to every one of them"),
        (_, (least, most)) if least == most => format!("{pairs}, each message to {most} of them"),
        (_, (least, most)) => format!("{pairs}, each message to {least} or {most} of them"),
    }
}

fn payload_text(payload: &PayloadPlan) -> String {
    match payload {
        PayloadPlan::Filled(filled) => {
            let (least, most) = filled.sizes();
            let size = if least == most { format!("{most} B") } else { format!("{least}..{most} B") };
            match filled.filling() {
                Filling::Zero => size,
                filling => format!("{size} {}", filling_name(filling)),
            }
        }
        PayloadPlan::Fixed(bytes) => format!("{} B as given", bytes.len()),
        PayloadPlan::Text(_) => "text as given".to_owned(),
    }
}

const fn filling_name(filling: Filling) -> &'static str {
    match filling {
        Filling::Zero => "zero",
        Filling::Random => "random",
        Filling::Text => "text",
    }
}

fn payload_facts(payload: &PayloadPlan) -> Value {
    let stamped = payload.is_stamped();
    let facts = |least: Option<usize>, most: Option<usize>, filling: Option<&str>| {
        let bytes = most.filter(|_| least == most);
        json!({ "stamped": stamped, "bytes": bytes, "least_bytes": least, "most_bytes": most, "filling": filling })
    };
    match payload {
        PayloadPlan::Filled(filled) => {
            let (least, most) = filled.sizes();
            facts(Some(least), Some(most), Some(filling_name(filled.filling())))
        }
        PayloadPlan::Fixed(bytes) => facts(Some(bytes.len()), Some(bytes.len()), None),
        PayloadPlan::Text(_) => facts(None, None, None),
    }
}

/// The plan with every default written out.
fn plan_facts(plan: &BenchPlan) -> Value {
    let stages: Vec<Value> = plan
        .stages
        .iter()
        .map(|stage| {
            let rate = match stage.model {
                PlannedModel::ClosedLoop => json!("closed loop"),
                PlannedModel::OpenLoop { rate } => json!(rate),
                PlannedModel::OpenLoopShare { share } => json!(format!("{share} of the stage before")),
            };
            json!({
                "name": stage.name.text(),
                "rate": rate,
                "warmup_ns": stage.warmup.as_nanos() as u64,
                "duration_ns": stage.duration.map(|duration| duration.as_nanos() as u64),
                "count": stage.count,
            })
        })
        .collect();
    let copies = plan.routes.copies();
    json!({
        "shape": plan.routes.shape().to_string(),
        "publishers": plan.publishers,
        "subscribers": plan.subscribers,
        "groups": match plan.routes.shape() {
            Shape::Shared { groups } => Some(groups),
            Shape::P2p | Shape::FanIn | Shape::FanOut => None,
        },
        // Null where it is not the same for all.
        "copies_per_message": Some(copies.0).filter(|least| *least == copies.1),
        "wildcard_filters": plan.routes.wildcards(),
        "qos": plan.qos.number(),
        "retain": plan.retain,
        "payload": payload_facts(&plan.payload),
        "window": if plan.window_rule == WindowRule::None { Value::Null } else { json!(plan.window) },
        "window_rule": match plan.window_rule {
            WindowRule::Delivery => "delivery",
            WindowRule::Acknowledged => "ack",
            WindowRule::None => "none",
        },
        "keep_alive_s": plan.session.keep_alive.as_secs(),
        "clean_start": plan.session.clean_start,
        "threads": plan.threads,
        "latency": plan.latency,
        "busy_poll": plan.busy_poll,
        "arrival": plan.arrival.to_string(),
        "behind": match plan.behind {
            Behind::Queue => "queue",
            Behind::Skip => "skip",
        },
        "seed": plan.seed,
        "connect_per_s": plan.connect_rate,
        "responders": plan.responders,
        "holding": plan.idlers,
        "hold_ns": (plan.idlers > 0).then_some(plan.hold.as_nanos() as u64),
        "ping_interval_ns": (plan.idlers > 0).then_some(plan.ping_interval.as_nanos() as u64),
        "reconnect_ns": plan.reconnect.map(|interval| interval.as_nanos() as u64),
        "pair": (plan.targets.count() > 1).then_some(if plan.targets.is_cross() { "cross" } else { "same" }),
        "local_addresses": plan.targets.sources(),
        "drain_ns": plan.drain.as_nanos() as u64,
        "stages": stages,
    })
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
    if matched_by_order && stage.delivery.is_some_and(|delivery| delivery.lost > 0) {
        // From the first gap on a message is taken for the one before it.
        // When that was shows only at the end, in what is missing, and so no sample of the stage can be trusted.
        (recorder.latency.e2e, recorder.latency.e2e_service) = Default::default();
        for row in &mut rows {
            (row.e2e_p50, row.e2e_p99, row.e2e_max) = (None, None, None);
        }
        let text = "messages without a stamp were lost: which ones cannot be told, so no end-to-end latency is given";
        warnings.push(Warning::new("no-latency-after-loss", text));
    }
    if let Some(warning) = forgotten_times(&recorder) {
        warnings.push(warning);
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
        phases,
        publishers: plan.publishers > 0,
        subscribers: plan.subscribers > 0,
        offered: stage.offered,
        rate: stage.rate,
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
        targets: targets(plan, stage),
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

/// When a message was handed to the socket is remembered for the last ones only. Where those that were on their way for
/// long had been forgotten, the service time looks better than it was.
fn forgotten_times(recorder: &Recorder) -> Option<Warning> {
    let count = |latency: &Latency| latency.histogram().map_or(0, |histogram| histogram.count());
    let (all, timed) = (count(&recorder.latency.e2e), count(&recorder.latency.e2e_service));
    (timed > 0 && timed < all).then(|| {
        let text = format!(
            "service times: {} of {all} messages are missing, those that were on their way longest; e2e has them all",
            all - timed
        );
        Warning::new("service-times-missing", text)
    })
}

/// What came back through a responder was not one way.
fn as_round_trips(recorder: &mut Recorder) {
    let latency = &mut recorder.latency;
    latency.rtt = std::mem::take(&mut latency.e2e);
    latency.rtt_service = std::mem::take(&mut latency.e2e_service);
}

/// The rows of several brokers.
fn targets(plan: &BenchPlan, stage: &StageOutcome) -> Vec<TargetMeasurement> {
    let mut planned = vec![0; plan.targets.count()];
    (0..plan.clients()).for_each(|client| planned[plan.target_of(client)] += 1);
    let row = |((address, target), planned): ((&Address, &TargetOutcome), u64)| {
        let mut recorder = target.share.recorder.clone();
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

/// What the seconds of a stage warn of.
fn trend_warnings(plan: &BenchPlan, stage: &StageOutcome) -> Vec<Warning> {
    let rate: fn(&IntervalRow) -> u64 = match (plan.subscribers, plan.qos) {
        (0, QoS::AtMostOnce) => |row| row.sent,
        (0, _) => |row| row.acked,
        _ => |row| row.delivered,
    };
    let found = Steadiness::of(&stage.rows, rate);
    let mut warnings = Vec::new();
    if let Some(Drift { first, last }) = found.rate {
        let (first, last) = (number::rate(first), number::rate(last));
        let text = format!(
            "not steady: {first} messages/s in the first third of the time, {last} in the last; measure for longer, or \
             with a longer --warmup"
        );
        warnings.push(Warning::new("not-steady", text));
    }
    // A flood has as much under way as the window lets it, and its latency is queueing.
    if stage.rate.is_none() {
        return warnings;
    }
    if let Some(Drift { first, last }) = found.p99 {
        let (first, last) = (number::duration(first as u64), number::duration(last as u64));
        let text =
            format!("not steady: the p99 of a second was {first} in the first third of the time, {last} in the last");
        warnings.push(Warning::new("not-steady", text));
    }
    if let Some(Drift { first, last }) = found.backlog {
        let (first, last) = (number::grouped(first as u64), number::grouped(last as u64));
        let text = format!(
            "overload: messages under way grew from {first} to {last} while the load was on, so latencies grow with the \
             length of the test; lower --rate"
        );
        warnings.push(Warning::new("overload", text));
    }
    warnings
}

fn stream_accounts(plan: &BenchPlan, stage: &StageOutcome) -> Vec<StreamAccount> {
    let acknowledged = plan.qos != QoS::AtMostOnce;
    let account = |(number, stream): (&usize, &StreamOutcome)| {
        let unacked = acknowledged.then_some(stream.unacknowledged);
        StreamAccount::of(*number, stream.delivery.as_ref(), unacked)
    };
    stage.streams.iter().map(account).collect()
}

fn stage_warnings(plan: &BenchPlan, stage: &StageOutcome) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let counters = &stage.recorder.counters;
    let answered = stage.recorder.latency.ping.histogram().map_or(0, |pings| pings.count());
    if plan.targets.is_cross() && counters.sent > 0 && counters.delivered == 0 {
        let text = "nothing of what was sent arrived: --pair cross needs brokers that pass messages on to each other";
        warnings.push(Warning::new("brokers-not-linked", text));
    }
    let unanswered = counters.pings.saturating_sub(answered);
    if unanswered > 0 {
        let text = format!("{unanswered} of {} PINGREQ packets were not answered", counters.pings);
        warnings.push(Warning::new("pings-unanswered", text));
    }
    if counters.connects > 0 && counters.held_back > 0 {
        let text = format!(
            "{} clients connected late because too many connects were under way: the broker did not take this rate",
            counters.held_back,
        );
        warnings.push(Warning::new("connects-held-back", text));
    }
    if stage.downgraded > 0 {
        let text =
            format!("the broker acknowledged {} QoS 2 messages with PUBACK, as if they were QoS 1", stage.downgraded);
        warnings.push(Warning::new("downgraded", text));
    }
    let held_back = stage.recorder.counters.held_back;
    if let Some(offered) = stage.offered.filter(|offered| held_back * 10 > *offered) {
        let text = match stage.recorder.counters.skipped {
            0 => format!(
                "{held_back} of {offered} messages had to wait for the window: the path did not carry this rate, and \
                 latencies grow with the length of the test",
            ),
            skipped => format!(
                "{held_back} of {offered} messages found the window closed: the path did not carry this rate, and \
                 {skipped} were given up",
            ),
        };
        warnings.push(Warning::new("overload", text));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::from_options::tests::plan_of;

    #[test]
    fn a_shape_is_told_only_where_there_are_both_sides() {
        let told = |words: &[&str]| description(&plan_of(words).unwrap());
        assert_eq!(told(&["pub", "--clients", "3"]), "tcp  MQTT 3.1.1  QoS 0  3 publishers  64 B");
        assert!(told(&["sub", "-t", "a", "--clients", "1"]).starts_with("tcp  MQTT 3.1.1  QoS 0  1 subscriber  "));
        assert!(told(&["--clients", "2"]).starts_with("p2p  tcp  "));
        assert!(told(&["--clients", "2"]).contains("2 publishers → 2 subscribers"));
    }
}
