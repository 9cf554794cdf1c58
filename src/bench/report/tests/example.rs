//! A run of two stages as an engine would hand it over, for the tests of this room.

use super::document::{BrokerName, ResultDocument, RunContext, RunFacts, TargetFacts};
use super::stage::{LoadModel, Phase, StageMeasurement};
use super::{Clients, Warning};
use crate::bench::measure::{Delivery, GeneratorFigures, IntervalRow, Recorder};

const SECOND: u64 = 1_000_000_000;

/// Flood, then paced at half of it; valid, nothing lost.
pub fn two_stages() -> Vec<StageMeasurement> {
    let flood = StageMeasurement {
        name: "flood".to_owned(),
        model: LoadModel::Closed,
        offered: None,
        ..stage(0, 617_280, 400_000)
    };
    let paced = StageMeasurement { name: "paced".to_owned(), ..stage(6 * SECOND, 308_640, 90_000) };
    vec![flood, paced]
}

/// An open loop of five seconds at QoS 1; `typical_ns` is about the median latency.
pub fn stage(start_ns: u64, messages: u64, typical_ns: i64) -> StageMeasurement {
    let mut recorder = Recorder::default();
    let counters = &mut recorder.counters;
    (counters.sent, counters.acked, counters.delivered) = (messages, messages, messages);
    counters.on_time = messages;
    (counters.payload_bytes_out, counters.payload_bytes_in) = (messages * 64, messages * 64);
    (counters.wire_bytes_out, counters.wire_bytes_in) = (messages * 83, messages * 87);
    for sample in 0..20_000i64 {
        // A long tail: the last of a thousand take ten times as long.
        let tail = if sample % 1000 == 999 { 10 } else { 1 };
        let latency = (typical_ns / 2 + typical_ns * (sample % 1000) / 1000) * tail;
        recorder.latency.e2e.record(latency);
        recorder.latency.e2e_service.record(latency * 49 / 50);
        recorder.latency.ack.record(latency * 7 / 10);
        recorder.latency.ack_service.record(latency * 68 / 100);
        recorder.latency.sched_lag.record(latency / 50);
    }
    let row = |second| IntervalRow {
        sent: messages / 5,
        conns: Some(2),
        ..IntervalRow::of(&recorder, start_ns + second * SECOND)
    };
    StageMeasurement {
        name: "rate".to_owned(),
        model: LoadModel::Open,
        qos: 1,
        start_ns,
        window_ns: 5 * SECOND,
        phases: vec![Phase { name: "measure".to_owned(), start_ns, duration_ns: 5 * SECOND }],
        publishers: true,
        responders: false,
        subscribers: true,
        offered: Some(messages),
        delivery: Some(Delivery { expected: messages, delivered_once: messages, ..Delivery::default() }),
        unacked: Some(0),
        clients: Clients { planned: Some(2), connected: Some(2), max_open: Some(2), ..Clients::default() },
        rows: (0..5).map(row).collect(),
        generator: GeneratorFigures {
            cpu_user_ns: Some(SECOND),
            cpu_sys_ns: Some(SECOND / 2),
            busiest_thread_ns: Some(SECOND * 8 / 5),
            ..GeneratorFigures::default()
        },
        recorder,
        ..StageMeasurement::default()
    }
}

/// What surrounds the stages.
pub fn context() -> RunContext {
    RunContext {
        run: RunFacts {
            id: Some("7f3a".to_owned()),
            description: Some("p2p  tcp  MQTT 5.0  QoS 1  1 publisher → 1 subscriber  64 B".to_owned()),
            started_at: Some("2025-11-21T03:36:00Z".to_owned()),
            seed: Some(42),
            command: vec!["mqbench".to_owned(), "-q".to_owned(), "1".to_owned()],
            ..RunFacts::default()
        },
        target: TargetFacts {
            urls: vec!["mqtt://127.0.0.1:1883".to_owned()],
            broker: Some(BrokerName {
                name: Some("mosquitto".to_owned()),
                version: Some("2.0.22".to_owned()),
                source: Some("$SYS".to_owned()),
            }),
            same_host: Some(true),
            ..TargetFacts::default()
        },
        warnings: vec![Warning::new("same-host", "the broker runs on this machine and shares its CPU")],
        ..RunContext::default()
    }
}

/// The document of [`two_stages`].
pub fn document() -> ResultDocument {
    ResultDocument::assemble(context(), &two_stages())
}
