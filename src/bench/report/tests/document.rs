//! The document against the fixed names, and what becomes of stages at its top level.

use chrono::Utc;
use serde_json::Value;

use super::example::{self, assemble, assemble_for, bare_context};
use crate::bench::engine::{RunOutcome, StageOutcome};
use crate::bench::measure::Verdict;
use crate::bench::plan::LoadModel;
use crate::bench::plan::from_options::tests::plan_of;
use crate::bench::report::schema::tests::check_schema;
use crate::bench::report::{Gate, ResultDocument, Status, nothing_measured};
use crate::bench::system::CpuTime;
use crate::exit_status::ExitStatus;

fn json(document: &ResultDocument) -> Value {
    let mut bytes = Vec::new();
    document.write_json(&mut bytes).unwrap();
    assert!(bytes.ends_with(b"}\n"));
    let document = serde_json::from_slice(&bytes).unwrap();
    check_schema(&document);
    document
}

/// The value at a dotted path; a field that is missing is a failure and not null.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, key| {
        value.as_object().and_then(|object| object.get(key)).unwrap_or_else(|| panic!("no {key} of {path}"))
    })
}

#[test]
fn the_fixed_names_are_there() {
    let document = json(&example::document());
    let expected_order = [
        "schema",
        "status",
        "tool",
        "run",
        "env",
        "target",
        "plan",
        "phases",
        "clients",
        "traffic",
        "delivery",
        "latency",
        "series",
        "generator",
        "broker",
        "stages",
        "runs",
        "stats",
        "curve",
        "gates",
        "compare",
        "invalid",
        "warnings",
    ];
    assert_eq!(document.as_object().unwrap().keys().collect::<Vec<_>>(), expected_order);
    assert_eq!((at(&document, "schema"), at(&document, "status")), (&"mqbench-result/1".into(), &"ok".into()));
    assert_eq!(at(&document, "run.status"), "ok");
    for part in [&document, &document["stages"][0], &document["stages"][1]] {
        for path in [
            "traffic.sent_per_s",
            "traffic.acked_per_s",
            "traffic.delivered_per_s",
            "delivery.expected",
            "delivery.delivered_once",
            "delivery.lost",
            "delivery.duplicates",
            "delivery.reordered",
        ] {
            assert!(at(part, path).is_number(), "{path}");
        }
        for metric in ["e2e", "ack", "sched_lag"] {
            let latency = at(at(part, "latency"), metric);
            for figure in ["count", "min", "max", "mean"] {
                assert!(at(latency, figure).is_u64(), "{metric}.{figure}");
            }
            let names = ["50", "75", "90", "95", "99", "99.9", "99.99"];
            assert_eq!(latency["p"].as_object().unwrap().keys().collect::<Vec<_>>(), names);
            assert!(latency["p"]["99.9"].is_u64() && latency["p"]["99.99"].is_null(), "20,000 samples");
            assert!(at(latency, "hdr").as_str().is_some_and(|hdr| hdr.starts_with("HISTFA")));
        }
        assert_eq!(at(part, "generator.verdict"), "ok");
        assert!(at(part, "generator.reasons").is_array() && at(part, "generator.cpu_user_pct").is_number());
        assert_eq!(at(part, "series.interval_ns"), 1_000_000_000);
    }
}

#[test]
fn the_top_level_is_flood_traffic_paced_latency_and_all_deliveries() {
    let document = example::document();
    let [flood, paced] = document.stages.as_slice() else { panic!("two stages") };
    assert_eq!(document.traffic, flood.traffic);
    assert_eq!(document.traffic.sent_per_s, Some(123_456.0));
    assert_eq!(document.latency, paced.latency);
    assert_eq!(document.delivery.counts.expected, Some(617_280 + 308_640));
    assert_eq!((document.clients.connected, document.generator.verdict), (Some(2), Some(Verdict::Ok)));
    assert_eq!(document.generator.cpu_user_pct, Some(20.0));
    assert_eq!(document.generator.cpu_ns_per_message, Some(2 * 1_500_000_000 / (2 * (617_280 + 308_640))));
    let rows = document.series.unwrap().rows;
    assert_eq!(rows.len(), 10);
    assert!(rows.is_sorted_by_key(|row| row.t_ns));
}

#[test]
fn a_publisher_alone_at_qos_0_measures_little_and_warns() {
    let mut stage = example::stage(0, 1_000, 1_000);
    stage.delivery = None;
    stage.recorder.latency = Default::default();
    stage.recorder.counters.wire_bytes_in = 0;
    let run = RunOutcome { stages: vec![stage], ..RunOutcome::default() };
    let document = json(&assemble_for(&plan_of(&["pub", "--clients", "1"]).unwrap(), bare_context(), run));
    for path in [
        "traffic.acked_per_s",
        "traffic.delivered_per_s",
        "traffic.acked",
        "traffic.delivered",
        "traffic.goodput_bytes_per_s",
        "delivery.expected",
        "delivery.delivered_once",
        "delivery.lost",
        "delivery.duplicates",
        "delivery.reordered",
        "delivery.unacked",
        "delivery.rejected",
        "delivery.no_subscriber",
        "latency.e2e",
        "latency.ack",
        "latency.sched_lag",
        "env.kernel",
        "target.broker",
        "generator.rss_bytes",
        "generator.headroom_pct",
        "broker.sys",
        "runs",
        "stats",
        "compare",
        "run.seed",
    ] {
        assert!(at(&document, path).is_null(), "{path}");
    }
    assert_eq!(at(&document, "traffic.sent"), 1_000);
    assert_eq!(at(&document, "traffic.sent_per_s"), 200.0);
    assert_eq!(document["stages"][0]["series"]["rows"][0]["delivered"], Value::Null);
}

#[test]
fn nothing_measured_is_all_null() {
    let document = json(&nothing_measured(bare_context(), Status::Failed, "no broker".to_owned()));
    for group in ["traffic", "delivery", "latency", "clients"] {
        assert!(document[group].as_object().unwrap().values().all(Value::is_null), "{group}");
    }
    assert!(at(&document, "generator.cpu_ns").is_null());
    // What the plan knows is known all the same.
    let context = crate::bench::report::context(&plan_of(&["--clients", "10"]).unwrap(), Vec::new(), None, Utc::now());
    let document = json(&nothing_measured(context, Status::Failed, "no broker".to_owned()));
    assert_eq!((at(&document, "clients.planned"), at(&document, "clients.failed")), (&Value::from(20), &Value::Null));
}

#[test]
fn the_document_can_be_read_back() {
    let mut document = example::document();
    Gate::apply(&[Gate::parse("e2e.p99 <= 20ms && lost == 0").unwrap()], &mut document, None);
    let mut bytes = Vec::new();
    document.write_json(&mut bytes).unwrap();
    assert_eq!(serde_json::from_slice::<ResultDocument>(&bytes).unwrap(), document);
}

#[test]
fn status_and_exit_code() {
    let gates = |text| [Gate::parse(text).unwrap()];
    let mut document = example::document();
    Gate::apply(&gates("lost == 0"), &mut document, None);
    assert_eq!(document.exit_status(), ExitStatus::Done);
    Gate::apply(&gates("lost == 0 && sent < 1"), &mut document, None);
    assert_eq!((document.status, document.exit_status()), (Status::Ok, ExitStatus::GateFailed));

    let interrupted = |stages| RunOutcome { stages, interrupted: true, ..RunOutcome::default() };
    let partial = assemble_for(&example::plan(), example::context(), interrupted(example::two_stages()));
    assert_eq!((partial.status, partial.exit_status()), (Status::Partial, ExitStatus::Failed));

    let mut stages = example::two_stages();
    stages[1].recorder.counters.sent /= 2;
    stages[1].recorder.counters.on_time /= 2;
    let mut invalid = assemble_for(&example::plan(), example::context(), interrupted(stages));
    Gate::apply(&gates("sent > 0"), &mut invalid, None);
    assert_eq!((invalid.status, invalid.exit_status()), (Status::Invalid, ExitStatus::Invalid));
    assert_eq!(invalid.invalid[0].code, "sent-below-offered");
    assert!(invalid.invalid[0].text.starts_with("paced: only 154320 of 308640"), "{}", invalid.invalid[0].text);
    assert_eq!(json(&invalid)["run"]["status"], "invalid");

    let mut context = example::context();
    context.run.error = Some("connection refused".to_owned());
    let failed = assemble(context, Vec::new());
    assert_eq!((failed.status, failed.exit_status()), (Status::Failed, ExitStatus::Failed));
}

/// The codes of the warnings about one stage.
fn codes(arguments: &[&str], change: fn(&mut StageOutcome)) -> Vec<String> {
    let mut stage = example::stage(0, 1_000, 90_000);
    change(&mut stage);
    let run = RunOutcome { stages: vec![stage], ..RunOutcome::default() };
    let document = assemble_for(&plan_of(arguments).unwrap(), bare_context(), run);
    document.warnings.into_iter().map(|warning| warning.code).collect()
}

#[test]
fn figures_that_need_a_word_get_a_warning() {
    let at_qos_1 = |change| codes(&["-q", "1", "--clients", "1"], change);
    assert_eq!(at_qos_1(|_| ()), Vec::<String>::new());
    let lose = |stage: &mut StageOutcome| {
        if let Some(delivery) = &mut stage.delivery {
            (delivery.delivered_once, delivery.lost) = (990, 10);
        }
    };
    assert_eq!(at_qos_1(lose), ["loss"]);
    let duplicate = |stage: &mut StageOutcome| {
        if let Some(delivery) = &mut stage.delivery {
            delivery.duplicates = 1;
        }
    };
    assert_eq!(at_qos_1(duplicate), Vec::<String>::new(), "legal at QoS 1");
    assert_eq!(codes(&["-q", "2", "--clients", "1"], duplicate), ["qos2-duplicates"]);
    assert_eq!(at_qos_1(|stage| stage.recorder.counters.count_rejected(135)), ["rejected"]);
    assert_eq!(at_qos_1(|stage| stage.recorder.counters.foreign = 3), ["foreign"]);
    let busy = |stage: &mut StageOutcome| {
        stage.busiest_thread = Some(CpuTime { user_ns: 4_900_000_000, ..CpuTime::default() });
    };
    assert_eq!(at_qos_1(busy), ["generator"]);
}

#[test]
fn loss_of_acknowledged_messages_names_the_limit_of_the_broker() {
    let text = |arguments: &[&str], unacknowledged| {
        let mut stage = example::stage(0, 1_000, 90_000);
        stage.unacknowledged = unacknowledged;
        if let Some(delivery) = &mut stage.delivery {
            (delivery.delivered_once, delivery.lost) = (700, 300);
        }
        let run = RunOutcome { stages: vec![stage], ..RunOutcome::default() };
        let document = assemble_for(&plan_of(arguments).unwrap(), bare_context(), run);
        document.warnings.into_iter().find(|warning| warning.code == "loss").unwrap().text
    };
    let qos_2 = text(&["-q", "2"], 0);
    assert!(qos_2.contains("max_inflight_messages") && qos_2.contains("try -M 20"), "{qos_2}");
    for arguments in [&["-q", "2", "-V", "5"][..], &["-q", "2", "-M", "20"], &["-q", "1"]] {
        let other = text(arguments, 0);
        assert!(other.contains("max_queued_messages") && other.contains("a smaller -M"), "{other}");
    }
    assert_eq!(text(&["-q", "2"], 3), "300 of 1000 messages were lost", "no acknowledgement proves that they arrived");
    assert_eq!(text(&["-q", "0"], 0), "300 of 1000 messages were lost");
}

/// The second stage sends so late that its p99 is that of this machine; of the others this part of the messages is.
fn late(follows_flood: bool, late_of_a_thousand: u64) -> ResultDocument {
    let mut stages = example::two_stages();
    let lag = &mut stages[1].recorder.latency.sched_lag;
    *lag = Default::default();
    (0..20_000u64).for_each(|sample| lag.record(if sample % 1000 < late_of_a_thousand { 3_000_000 } else { 5_000 }));
    if follows_flood {
        stages[1].stage.model = LoadModel::OpenLoopShare { share: 0.5 };
    }
    assemble(example::context(), stages)
}

#[test]
fn where_nobody_asked_for_the_rate_a_busy_machine_costs_the_high_percentiles_only() {
    let document = late(true, 30);
    assert_eq!((document.status, document.invalid.len()), (Status::Ok, 0));
    for name in ["e2e", "e2e_service", "ack", "ack_service"] {
        let p = document.latency.get(name).unwrap().p;
        assert!(p.p50.is_some() && p.p95.is_some() && p.p99.is_none() && p.p99_9.is_none(), "{name}: {p:?}");
    }
    assert!(document.latency.sched_lag.as_ref().unwrap().p.p99.is_some(), "that one says why");
    assert_eq!(document.stages[1].highest_percentile.as_deref(), Some("95"));
    let warnings: Vec<_> = document.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert!(warnings.contains(&"percentiles-withheld") && !warnings.contains(&"generator"), "{warnings:?}");
    assert_eq!(late(true, 80).stages[1].highest_percentile.as_deref(), Some("90"));
    let gate = Gate::parse("e2e.p99 < 1s").unwrap();
    assert!(!gate.evaluate(&document, None)[0].pass, "what is not given passes no gate");
    // Where more than half is late, and where somebody asked for this rate, it is invalid.
    assert_eq!(late(true, 600).status, Status::Invalid);
    assert_eq!(late(false, 30).status, Status::Invalid);
}
