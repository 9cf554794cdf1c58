//! A run of two stages as an engine would bring it.

use crate::bench::engine::{RunOutcome, StageOutcome, Usage};
use crate::bench::measure::{Delivery, IntervalRow, RateWindows, Recorder, Series};
use crate::bench::plan::from_options::tests::plan_of;
use crate::bench::plan::{BenchPlan, LoadModel, Stage, StageName};
use crate::bench::report::document::{RunFacts, TargetFacts, Warning};
use crate::bench::report::{self, BrokerName, ResultDocument};
use crate::bench::system::CpuTime;

const SECOND: u64 = 1_000_000_000;

/// A publisher and a subscriber at QoS 1.
pub(crate) fn plan() -> BenchPlan {
    plan_of(&["-q", "1", "--clients", "1"]).unwrap()
}

/// Flood, then paced at half of it; valid, nothing lost.
pub(crate) fn two_stages() -> Vec<StageOutcome> {
    let flood = StageOutcome {
        stage: Stage { name: StageName::Flood, ..Stage::default() },
        rate: None,
        offered: None,
        ..stage(0, 617_280, 400_000)
    };
    vec![flood, stage(6 * SECOND, 308_640, 90_000)]
}

/// An open loop of five seconds; `typical_ns` is about the median latency.
pub(crate) fn stage(start_ns: u64, messages: u64, typical_ns: i64) -> StageOutcome {
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
        sent: Some(messages / 5),
        conns: Some(2),
        ..IntervalRow::of(&recorder, start_ns + second * SECOND)
    };
    let rate = messages as f64 / 5.0;
    StageOutcome {
        stage: Stage { name: StageName::Paced, model: LoadModel::OpenLoop { rate }, ..Stage::default() },
        rate: Some(rate),
        start_ns,
        from_ns: start_ns,
        measured_ns: 5 * SECOND,
        windows: RateWindows::even(5 * SECOND),
        offered: Some(messages),
        delivery: Some(Delivery { expected: messages, delivered_once: messages, ..Delivery::default() }),
        connected: 2,
        max_open: 2,
        // The rows of one length are those of whole seconds.
        series: Series { interval_ns: SECOND, rows: (0..5).map(row).collect() },
        usage: Usage { cpu: Some(CpuTime { user_ns: SECOND, system_ns: SECOND / 2, switches: 0 }), ..Usage::default() },
        busiest_thread: Some(CpuTime { user_ns: SECOND * 8 / 5, ..CpuTime::default() }),
        recorder,
        ..StageOutcome::default()
    }
}

/// What surrounds the stages.
pub(crate) fn context() -> ResultDocument {
    ResultDocument {
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
        ..bare_context()
    }
}

/// A context that knows nothing.
pub(crate) fn bare_context() -> ResultDocument {
    ResultDocument { schema: "mqbench-result/1".to_owned(), ..ResultDocument::default() }
}

/// The document of a run with these stages.
pub(crate) fn assemble(context: ResultDocument, stages: Vec<StageOutcome>) -> ResultDocument {
    assemble_for(&plan(), context, RunOutcome { stages, ..RunOutcome::default() })
}

/// The same for another plan.
pub(crate) fn assemble_for(plan: &BenchPlan, context: ResultDocument, run: RunOutcome) -> ResultDocument {
    report::assemble(context, plan, &run, None, false)
}

/// The document of [`two_stages`].
pub(crate) fn document() -> ResultDocument {
    assemble(context(), two_stages())
}
