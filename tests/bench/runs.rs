//! The mqbench process: figures that are true, gates, and every way in which a run can fail.
//!
//! Ledgers are asserted exactly, rates and latencies only as lower bounds or not at all: machines are shared.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mqtools::bench::Stamp;
use mqtools::mqtt::wire::PacketType;
use mqtools::mqtt::{QoS, ReasonCode};
use serde_json::Value;

use crate::support::at_once::at_once;
use crate::support::bench::{code, fail, measure, mqbench};
use crate::support::mosquitto::Mosquitto;
use crate::support::ports;
use crate::support::process::{Running, ended_by, run, text};
use crate::support::schema::document;
use crate::support::scripted_broker::{Action, Received, Repeat, Script, ScriptedBroker, Trigger};

const ONE_STREAM: [&str; 9] = ["--flood", "-C", "10000", "--pubs", "1", "--subs", "1", "--drain", "3s"];

#[test]
fn injected_loss_duplicates_and_reordering_come_back_exactly() {
    at_once(["0", "1", "2"], |qos| {
        let script = Script::default()
            .drop_deliveries([3, 500, 501, 502, 1_700, 4_000, 4_001, 7_777, 9_000, 9_999])
            .repeat_deliveries([10, 2_000, 5_000, 8_000, 9_500], Repeat::AsNew)
            .swap_deliveries([100, 3_000, 6_000])
            .without_log();
        let broker = ScriptedBroker::start(script);
        let (document, code, stderr) = measure(&broker.port(), &[&ONE_STREAM[..], &["-q", qos]].concat());
        assert_eq!((code, document["status"].as_str()), (0, Some("ok")), "{stderr}");
        let delivery = &document["delivery"];
        let found =
            ["expected", "delivered_once", "lost", "duplicates", "reordered"].map(|name| delivery[name].as_u64());
        assert_eq!(found, [10_000, 9_990, 10, 5, 3].map(Some), "QoS {qos}: {delivery}");
        assert_eq!(document["traffic"]["sent"], 10_000);
        // 10,000 less the 10 that were dropped and with the 5 that came twice.
        assert_eq!(document["traffic"]["delivered"], 9_995);
        assert_eq!(broker.violations(), Vec::<String>::new());
    });
}

#[test]
fn duplicates_with_the_flag_are_counted_apart() {
    let broker = ScriptedBroker::start(Script::default().repeat_deliveries([7, 8], Repeat::WithDup).without_log());
    let (document, _, _) = measure(&broker.port(), &[&ONE_STREAM[..], &["-q", "1"]].concat());
    let delivery = &document["delivery"];
    assert_eq!((delivery["duplicates"].as_u64(), delivery["dup_flagged"].as_u64()), (Some(2), Some(2)), "{delivery}");
}

/// The intended times of a run, from the first one on, as the stamps on the wire say.
fn schedule_of(arguments: &[&str]) -> Vec<u64> {
    let broker = ScriptedBroker::start(Script::default());
    let (document, _, stderr) =
        measure(&broker.port(), &[&["--rate", "2k", "-C", "300", "-q", "1"], arguments].concat());
    assert_eq!(document["delivery"]["delivered_once"], 300, "{stderr}");
    assert_eq!(document["traffic"]["offered"], 300);
    let log = broker.log();
    let stamps = log.publishes().filter_map(|(message, ..)| Stamp::decode(&message.payload));
    let mut times: Vec<u64> = stamps.map(|stamp| stamp.intended_ns).collect();
    times.sort_unstable();
    times.iter().map(|time| time - times[0]).collect()
}

#[test]
fn a_seed_is_a_schedule_whatever_the_number_of_threads() {
    let poisson = ["--clients", "4", "--arrival", "poisson", "--seed", "7"];
    let one = schedule_of(&[&poisson[..], &["--threads", "1"]].concat());
    assert_eq!(one.len(), 300);
    assert_eq!(one, schedule_of(&[&poisson[..], &["--threads", "3"]].concat()));
    assert_ne!(one, schedule_of(&[&poisson[..5], &["8"]].concat()));
    let even = schedule_of(&["--clients", "3"]);
    assert_eq!(even, (0..300).map(|slot| slot * 500_000).collect::<Vec<u64>>());
    let bursts = schedule_of(&["--clients", "3", "--arrival", "burst:50"]);
    assert_eq!(bursts, (0..300).map(|slot| slot / 50 * 25_000_000).collect::<Vec<u64>>());
}

#[test]
fn late_slots_are_sent_late_or_skipped_and_counted() {
    let stall = || Script::default().stall_at_publish(100, Duration::from_millis(500)).without_log();
    let load = ["--rate", "1k", "-C", "1000", "--clients", "2", "-q", "1", "-M", "10", "--seed", "5"];
    let broker = ScriptedBroker::start(stall());
    let (queued, _, stderr) = measure(&broker.port(), &load);
    let (traffic, latency) = (&queued["traffic"], &queued["latency"]);
    assert_eq!((traffic["sent"].as_u64(), traffic["skipped"].as_u64()), (Some(1_000), Some(0)), "{stderr}: {traffic}");
    assert_eq!(queued["run"]["seed"], 5);
    // Those that waited were not with the broker meanwhile: its service is shorter than what they were late.
    assert_eq!(latency["e2e_service"]["count"], 1_000);
    for (corrected, service) in [("e2e", "e2e_service"), ("ack", "ack_service")] {
        for figure in ["mean", "max"] {
            let figures = [corrected, service].map(|name| latency[name][figure].as_u64().unwrap());
            assert!(figures[0] >= figures[1], "{corrected}.{figure}: {figures:?}");
        }
        assert_ne!(latency[corrected]["mean"], latency[service]["mean"]);
    }
    assert!(latency["e2e"]["max"].as_u64().unwrap() > 400_000_000);

    let broker = ScriptedBroker::start(stall());
    let (skipping, _, stderr) = measure(&broker.port(), &[&load[..], &["--behind", "skip"]].concat());
    let (traffic, delivery) = (&skipping["traffic"], &skipping["delivery"]);
    let [offered, sent, skipped, held_back] =
        ["offered", "sent", "skipped", "held_back"].map(|name| traffic[name].as_u64().unwrap());
    assert_eq!((offered, sent + skipped), (1_000, 1_000), "{stderr}: {traffic}");
    // Two publishers with ten in flight each, while the broker sleeps for five hundred slots.
    assert!((300..900).contains(&skipped) && held_back >= 300, "{traffic}");
    assert_eq!((delivery["expected"].as_u64(), delivery["delivered_once"].as_u64()), (Some(sent), Some(sent)));
    assert!(skipping["warnings"].to_string().contains("skipped"));
}

#[test]
fn the_drain_waits_for_a_gap_below_the_last_message() {
    let script = Script::default().hold_deliveries([50], Duration::from_millis(700)).without_log();
    let broker = ScriptedBroker::start(script);
    let arguments = ["--flood", "-C", "100", "--pubs", "1", "--subs", "1", "--drain", "30s"];
    let (document, code, stderr) = measure(&broker.port(), &arguments);
    let delivery = &document["delivery"];
    let found = ["expected", "delivered_once", "lost", "reordered", "late"].map(|name| delivery[name].as_u64());
    assert_eq!((code, found), (0, [100, 100, 0, 1, 0].map(Some)), "{stderr}: {delivery}");
}

#[test]
fn what_comes_after_the_drain_is_late_and_stays_lost() {
    // The last message of the flood is sent behind the first one of the paced stage.
    let broker = ScriptedBroker::start(Script::default().swap_deliveries([50]).without_log());
    let arguments = ["-C", "100", "--pubs", "1", "--subs", "1", "--drain", "2s", "-q", "1"];
    let (document, _, stderr) = measure(&broker.port(), &arguments);
    let of = |account: &Value| ["expected", "lost", "late", "reordered"].map(|name| account[name].as_u64());
    let [flood, paced] = [0, 1].map(|stage| &document["stages"][stage]["delivery"]);
    assert_eq!(of(flood), [50, 1, 1, 0].map(Some), "{stderr}: {flood}");
    assert_eq!(of(&flood["streams"][0]), [50, 1, 1, 0].map(Some));
    assert_eq!(of(paced), [50, 0, 0, 0].map(Some), "{paced}");
    assert_eq!(of(&document["delivery"]), [100, 1, 1, 0].map(Some));
}

#[test]
fn streams_are_listed_with_the_worst_first() {
    let script = Script::default()
        .spoil_only("s/2")
        .drop_deliveries([10, 11, 12, 30])
        .repeat_deliveries([20], Repeat::AsNew)
        .without_log();
    let broker = ScriptedBroker::start(script);
    let arguments = ["--flood", "-C", "300", "--pubs", "3", "--subs", "6", "-t", "s/%i", "-q", "1", "--drain", "2s"];
    let (document, _, stderr) = measure(&broker.port(), &arguments);
    let streams = document["delivery"]["streams"].as_array().unwrap();
    let numbers: Vec<_> = streams.iter().map(|stream| stream["stream"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [2, 0, 1], "{stderr}");
    let figures = ["expected", "delivered_once", "lost", "duplicates", "unacked", "rejected"];
    let of = |account: &Value| figures.map(|name| account[name].as_u64());
    // Two subscribers each.
    assert_eq!(of(&streams[0]), [200, 196, 4, 1, 0, 0].map(Some), "{}", streams[0]);
    assert_eq!(of(&streams[1]), [200, 200, 0, 0, 0, 0].map(Some));
    assert_eq!(of(&document["delivery"])[..4], [600, 596, 4, 1].map(Some));
}

#[test]
fn a_payload_without_a_stamp_is_matched_by_order() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    for payload in [&["--size", "3"][..], &["-m", "client %i"]] {
        let (document, code, stderr) =
            measure(&broker.port(), &[&["--flood", "-C", "2000", "--clients", "4", "-q", "1"], payload].concat());
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(document["delivery"]["lost"], 0);
        assert_eq!(document["latency"]["e2e"]["count"], 2_000, "{}", document["latency"]["e2e"]);
        assert!(document["warnings"].to_string().contains("no-stamp"));
    }
}

#[test]
fn all_shapes_deliver_to_everybody() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    for (arguments, expected) in [
        (&["--pubs", "5", "--subs", "2"][..], 3_000),
        (&["--pubs", "2", "--subs", "5"], 7_500),
        (&["--pubs", "3", "--subs", "4", "-t", "shared/topic"], 12_000),
        (&["--pubs", "3", "--subs", "3", "-t", "own/%i", "--threads", "2"], 3_000),
    ] {
        let (document, code, stderr) =
            measure(&broker.port(), &[&["--flood", "-C", "3000", "-q", "1"], arguments].concat());
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        assert_eq!(document["delivery"]["expected"], expected, "{arguments:?}");
        assert_eq!(document["delivery"]["delivered_once"], expected, "{arguments:?}");
    }
}

#[test]
fn a_paced_run_sends_its_schedule() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    let arguments = ["--rate", "1k", "-C", "500", "--clients", "3", "-q", "1", "-V", "5"];
    let (document, _, stderr) = measure(&broker.port(), &arguments);
    assert_eq!(document["delivery"]["delivered_once"], 500, "{stderr}");
    assert_eq!(document["traffic"]["offered_per_s"].as_f64().map(|rate| rate.is_finite()), Some(true));
    assert_eq!(document["latency"]["e2e"]["count"], 500);
    assert_eq!(document["latency"]["ack"]["count"], 500);
    assert!(document["latency"]["sched_lag"]["count"].as_u64().unwrap() > 0);
}

#[test]
fn gates_decide_the_exit_status() {
    let broker = ScriptedBroker::start(Script::default().drop_deliveries([5]).without_log());
    let with_gates = |gates: &[&str]| {
        let gates: Vec<&str> = gates.iter().flat_map(|gate| ["--gate", gate]).collect();
        measure(&broker.port(), &[&["--flood", "-C", "500", "--clients", "1", "--drain", "2s"], &gates[..]].concat())
    };
    let (document, code, _) = with_gates(&["lost <= 1 && duplicates == 0", "e2e.max < 3600s"]);
    assert_eq!(code, 0, "{}", document["gates"]);
    let (document, code, _) = with_gates(&["lost == 0 && delivered_per_s >= 10G"]);
    assert_eq!(code, 3);
    assert_eq!(document["gates"].as_array().unwrap().iter().filter(|gate| gate["pass"] == false).count(), 1);
}

#[test]
fn nobody_there() {
    let (stderr, code) = fail(&ports::free().to_string(), &[]);
    assert_eq!(code, 1, "{stderr}");
}

#[test]
fn a_refusal_ends_with_its_reason_code() {
    for (version, reason, number) in [
        ("311", ReasonCode::BAD_USER_NAME_OR_PASSWORD, 134),
        ("5", ReasonCode::NOT_AUTHORIZED, 135),
        ("5", ReasonCode(0x97), 151),
    ] {
        let broker = ScriptedBroker::start(Script::default().refuse_connect(reason));
        let (stderr, code) = fail(&broker.port(), &["-V", version, "-u", "me", "-P", "wrong"]);
        assert_eq!(code, number, "{stderr}");
        assert!(stderr.contains(reason.name().unwrap()), "{stderr}");
        assert!(!stderr.contains("wrong"), "{stderr}");
    }
}

#[test]
fn a_broker_that_never_answers() {
    let broker = ScriptedBroker::start(Script::default().never_answer_connect());
    let (stderr, code) = fail(&broker.port(), &["--connect-timeout", "1s"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("did not answer CONNECT within 1 s"), "{stderr}");
}

#[test]
fn something_else_than_a_broker() {
    let script =
        Script::default().fault(1.., Trigger::Accept, Action::Send(b"HTTP/1.1 400 Bad Request\r\n\r\n".into()));
    let broker = ScriptedBroker::start(script);
    let (stderr, code) = fail(&broker.port(), &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("HTTP"), "{stderr}");
}

#[test]
fn less_than_was_asked_for() {
    let broker = ScriptedBroker::start(Script::default().grant_at_most(QoS::AtMostOnce));
    let (stderr, code) = fail(&broker.port(), &["-q", "1"]);
    assert_eq!(code, 44, "{stderr}");
    assert!(stderr.contains("granted QoS 0"), "{stderr}");
    let broker = ScriptedBroker::start(Script::default().answer_qos2_with_puback().without_log());
    for clients in ["--clients", "--pubs"] {
        let rest = if clients == "--pubs" { &["--subs", "0"][..] } else { &[] };
        let load = ["--flood", "-C", "100", clients, "1", "-q", "2"];
        let (document, code, stderr) = measure(&broker.port(), &[&load, rest].concat());
        assert_eq!(code, 44, "{stderr}");
        assert!(stderr.contains("100 QoS 2 messages with PUBACK"), "{stderr}");
        assert!(document["warnings"].to_string().contains("downgraded"), "{}", document["warnings"]);
    }
}

#[test]
fn what_is_acknowledged_and_never_delivered_is_a_failure() {
    // As brokers do before MQTT 5 with what a client has no permission for.
    let broker = ScriptedBroker::start(Script::default().drop_deliveries(1..).without_log());
    for qos in ["1", "2"] {
        let load = ["--rate", "1k", "-C", "200", "-q", qos, "--drain", "100ms"];
        let (document, code, stderr) = measure(&broker.port(), &load);
        assert_eq!((code, &document["status"]), (1, &"failed".into()), "{stderr}");
        assert!(stderr.contains("acknowledged 200 messages and delivered none"), "{stderr}");
        assert_eq!((&document["delivery"]["lost"], &document["delivery"]["unacked"]), (&200.into(), &0.into()));
    }
}

#[test]
fn a_run_in_which_nothing_is_due_has_measured_nothing() {
    let broker = ScriptedBroker::start(Script::default());
    let load = ["--rate", "0.1", "--duration", "300ms", "--warmup", "100ms", "--gate", "lost == 0"];
    let (document, code, stderr) = measure(&broker.port(), &load);
    assert_eq!((code, &document["gates"][0]["pass"]), (1, &false.into()), "{stderr}");
    assert!(stderr.contains("no message was due"), "{stderr}");
}

#[test]
fn a_broker_that_dies_in_the_middle() {
    let script = Script::default().fault(1.., Trigger::ReceivedPublish(200), Action::Cut).without_log();
    let broker = ScriptedBroker::start(script);
    let (document, code, stderr) =
        measure(&broker.port(), &["--flood", "--clients", "2", "-q", "1", "--duration", "20s"]);
    assert_eq!((code, document["status"].as_str()), (1, Some("failed")), "{stderr}");
    assert!(stderr.contains("connections were lost"), "{stderr}");
    assert!(document["traffic"]["sent"].as_u64().is_some(), "what was measured is reported");
}

#[test]
fn refused_publishes_are_counted_by_their_reason() {
    let script = Script::default().refuse_publishes([5, 6, 7], ReasonCode::NOT_AUTHORIZED).without_log();
    let broker = ScriptedBroker::start(script);
    let arguments = ["-V", "5", "--flood", "-C", "100", "--pubs", "1", "--subs", "1", "-q", "1", "--drain", "1s"];
    let (document, _, stderr) = measure(&broker.port(), &arguments);
    assert_eq!(document["delivery"]["rejected"]["135"], 3, "{stderr}: {document:#}");
    assert_eq!(document["traffic"]["acked"], 97);
    // The broker said no: they were not to be delivered, and are not lost.
    let delivery = &document["delivery"];
    assert_eq!((delivery["expected"].as_u64(), delivery["lost"].as_u64()), (Some(97), Some(0)), "{delivery}");
    assert_eq!(delivery["streams"][0]["rejected"], 3);
}

#[test]
fn a_broker_that_refuses_everything_ends_with_its_reason() {
    let script = Script::default().refuse_publishes(1.., ReasonCode::NOT_AUTHORIZED).without_log();
    let broker = ScriptedBroker::start(script);
    let arguments = ["-V", "5", "-C", "100", "--clients", "1", "-q", "1", "--drain", "1s"];
    let (document, code, stderr) = measure(&broker.port(), &arguments);
    assert_eq!(code, 135, "{stderr}");
    assert!(stderr.contains("refused every message"), "{stderr}");
    assert!(document["warnings"].to_string().contains("no-paced-stage"), "{}", document["warnings"]);
}

#[test]
fn absurd_rates_end_and_say_what_was_not_sent() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    let settings = ["--duration", "300ms", "--warmup", "0s", "--drain", "500ms", "--clients", "2"];
    let (document, _, stderr) = measure(&broker.port(), &[&["--rate", "1000M"], &settings[..]].concat());
    let traffic = &document["traffic"];
    assert_eq!(traffic["offered"], 300_000_000, "{stderr}: {traffic}");
    assert!(traffic["sent"].as_u64().unwrap() < 300_000_000);
    let (document, _, stderr) = measure(&broker.port(), &[&["--rate", "0.000000001"], &settings[..]].concat());
    assert_eq!(document["traffic"]["offered"], 1, "{stderr}: {}", document["traffic"]);
}

#[test]
fn losses_of_messages_without_a_stamp_leave_no_latency() {
    let broker = ScriptedBroker::start(Script::default().drop_deliveries([50, 51]).without_log());
    let arguments =
        ["--flood", "-C", "500", "--pubs", "1", "--subs", "1", "-m", "x", "--drain", "2s", "--window", "none"];
    let (document, code, stderr) = measure(&broker.port(), &arguments);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        (document["delivery"]["lost"].as_u64(), document["delivery"]["delivered_once"].as_u64()),
        (Some(2), Some(498))
    );
    assert!(document["latency"]["e2e"].is_null(), "{}", document["latency"]["e2e"]);
    assert!(document["delivery"]["duplicates"].is_null());
    assert!(document["warnings"].to_string().contains("no-latency-after-loss"));
}

#[test]
fn a_path_that_carries_nothing_is_a_failure() {
    for (qos, arguments, why) in [
        ("0", &["--clients", "1"][..], "delivered no message"),
        // What fills the window before the measured time may be delivered.
        ("1", &["--clients", "1"], "acknowledged no message in the measured time, and none could be sent"),
        ("1", &["--clients", "1", "--rate", "20"], "neither acknowledged nor delivered"),
        ("1", &["--pubs", "1", "--subs", "0"], "acknowledged no message"),
    ] {
        let broker = ScriptedBroker::start(Script::default().omit(PacketType::Puback, 1..).drop_deliveries(1..));
        let load = ["-q", qos, "--duration", "1s", "--warmup", "100ms", "--drain", "100ms"];
        let (document, code, stderr) = measure(&broker.port(), &[arguments, &load[..]].concat());
        assert_eq!((code, document["status"].as_str()), (1, Some("failed")), "{arguments:?}: {stderr}");
        assert!(stderr.contains(why), "{arguments:?}: {stderr}");
    }
}

#[test]
fn receiving_only_counts_what_others_send() {
    let broker = ScriptedBroker::start(Script::default());
    let listening = ["--pubs", "0", "--subs", "1", "-t", "#", "--duration", "5s", "--warmup", "0s", "--json"];
    let child = Running::start(&mut mqbench(&broker.port(), &listening));
    // It listens once its SUBSCRIBE has come.
    broker.wait_for("a subscriber", |log| log.count(|received| matches!(received, Received::Subscribe(_))) > 0);
    let other = run(&mut mqbench(&broker.port(), &["--subs", "0", "--flood", "-C", "100", "--pubs", "1", "-q", "1"]));
    assert_eq!(code(&other), 0, "{other:?}");
    let output = child.finish();
    let document = document(&output.stdout);
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(document["traffic"]["delivered"].as_u64().unwrap() > 0, "{}", document["traffic"]);
    let (stderr, code) = fail(&broker.port(), &["--pubs", "0", "-t", "x", "-C", "5"]);
    assert_eq!(code, 2, "{stderr}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_reports_what_it_measured() {
    let broker = ScriptedBroker::start(Script::default());
    let child =
        Running::start(&mut mqbench(&broker.port(), &["--flood", "--duration", "1h", "--warmup", "0s", "--json"]));
    broker.wait_for("a hundred messages", |log| log.publishes().count() >= 100);
    child.signal("INT");
    let output = child.finish();
    let document = document(&output.stdout);
    assert_eq!((ended_by(output.status), document["status"].as_str()), (Some(2), Some("partial")));
    assert!(document["traffic"]["delivered"].as_u64().unwrap() >= 50, "{}", document["traffic"]);
    assert_eq!(document["delivery"]["lost"], 0);
    // It said goodbye with every connection.
    broker.wait_for("the end of all clients", |log| log.disconnects(ReasonCode::SUCCESS) >= 20);
}

#[cfg(unix)]
#[test]
fn an_interrupted_warm_up_is_as_long_as_it_was() {
    let broker = ScriptedBroker::start(Script::default());
    let child = Running::start(&mut mqbench(&broker.port(), &["--flood", "--warmup", "1h", "--json"]));
    broker.wait_for("a hundred messages", |log| log.publishes().count() >= 100);
    child.signal("INT");
    let output = child.finish();
    let document = document(&output.stdout);
    let phases = document["phases"].as_array().unwrap();
    let warm_up = phases.iter().find(|phase| phase["name"] == "warmup").unwrap();
    assert!((1..600_000_000_000).contains(&warm_up["duration_ns"].as_u64().unwrap()), "{warm_up}");
    assert!(!phases.iter().any(|phase| phase["name"] == "measure"), "{phases:?}");
}

#[cfg(unix)]
#[test]
fn connected_clients_send_disconnect_when_connecting_is_interrupted() {
    let broker = ScriptedBroker::start(Script::default());
    let arguments = ["--clients", "50", "--connect-rate", "10", "--will-topic", "w", "--will-payload", "x", "--json"];
    let child = Running::start(&mut mqbench(&broker.port(), &arguments));
    broker.wait_for("three clients", |log| log.count(|received| matches!(received, Received::Subscribe(_))) >= 3);
    child.signal("INT");
    let output = child.finish();
    let document = document(&output.stdout);
    assert_eq!((ended_by(output.status), document["status"].as_str()), (Some(2), Some("partial")));
    broker.wait_for("their goodbyes", |log| log.disconnects(ReasonCode::SUCCESS) >= 3);
}

#[test]
fn a_result_file_is_written_and_an_impossible_one_refused_first() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let path = |path: &Path| path.display().to_string();
    let arguments = ["--flood", "-C", "100", "--clients", "1"];
    let output = run(mqbench(&broker.port(), &arguments).arg("--out").arg(&file));
    assert_eq!(code(&output), 0, "{output:?}");
    let document = document(&std::fs::read(&file).unwrap());
    assert_eq!(document["schema"], "mqbench-result/1");
    assert!(text(&output.stdout).starts_with("Carries "), "{output:?}");
    let impossible = path(&folder.path().join("no/such/folder.json"));
    let (stderr, code) = fail(&broker.port(), &["--out", &impossible]);
    assert_eq!(code, 2);
    assert!(stderr.contains(&impossible), "{stderr}");
}

#[test]
fn the_suffix_of_a_result_file_chooses_its_format() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let names = ["r.json", "r.csv", "r.hlog", "r.html", "r.md", "r.XML"];
    let files: Vec<String> = names.iter().flat_map(|name| ["--out".to_owned(), path(name)]).collect();
    let run_arguments = ["--flood", "-C", "100", "--clients", "1", "-q", "1", "--gate", "lost == 0", "--quiet"];
    let output = run(mqbench(&broker.port(), &run_arguments).args(&files));
    assert_eq!(code(&output), 0, "{output:?}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    for (name, begins) in names.iter().zip(["{\n", "run,name,", "#[Histogram log", "<!DOCTYPE html>", "## ", "<?xml "])
    {
        assert!(read(name).starts_with(begins), "{name}: {}", read(name));
    }
    // A saved result gives the same files.
    for name in &names[1..] {
        let again = path(&format!("again-{name}"));
        let mut report = Command::new(env!("CARGO_BIN_EXE_mqbench"));
        let output = run(report.args(["report", &path("r.json"), "--out", &again]));
        assert_eq!((code(&output), text(&output.stderr)), (0, String::new()));
        assert!(text(&output.stdout).contains("gates  1 of 1 passed"), "{output:?}");
        assert_eq!(read(&format!("again-{name}")), read(name), "{name}");
    }
    for name in ["o.txt", "result", "o."] {
        let (stderr, code) = fail(&broker.port(), &["--out", &path(name)]);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(".json .csv .hlog .html .md .xml") && stderr.contains(name), "{stderr}");
    }
}

#[test]
fn results_of_one_plan_are_merged() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let measure = |name: &str, qos: &str| {
        let arguments = ["--flood", "-C", "100", "--clients", "2", "-q", qos, "--quiet", "--label", "ci=7"];
        let output = run(mqbench(&broker.port(), &arguments).args(["--name", name, "--out", &path(name)]));
        assert_eq!(code(&output), 0, "{output:?}");
        document(&std::fs::read(path(name)).unwrap())
    };
    let one = measure("one.json", "1");
    assert_eq!((&one["run"]["name"], &one["run"]["labels"]["ci"]), (&"one.json".into(), &"7".into()));
    assert_eq!(one["run"]["plan_hash"], measure("two.json", "1")["run"]["plan_hash"]);
    measure("other.json", "0");
    let merge = |names: &[&str], more: &[&str]| {
        let mut merge = Command::new(env!("CARGO_BIN_EXE_mqbench"));
        run(merge.arg("merge").args(names.iter().map(|name| path(name))).args(more))
    };
    let output = merge(&["one.json", "two.json"], &["--out", &path("sum.json"), "--gate", "expected == 200"]);
    assert_eq!(code(&output), 0, "{output:?}");
    let sum = document(&std::fs::read(path("sum.json")).unwrap());
    assert_eq!(
        (&sum["run"]["shards"], &sum["delivery"]["expected"], &sum["delivery"]["lost"]),
        (&2.into(), &200.into(), &0.into())
    );
    assert_eq!((&sum["run"]["name"], &sum["run"]["labels"]["ci"]), (&Value::Null, &"7".into()));
    assert_eq!(sum["latency"]["ack"]["count"], 200);
    for (names, fault) in [
        (["one.json", "other.json"], "they are not of one plan: "),
        (["one.json", "one.json"], "both hold the run "),
        (["sum.json", "two.json"], "both hold the run "),
        (["one.json", "missing.json"], "missing.json: No such file"),
    ] {
        let output = merge(&names, &[]);
        assert_eq!((code(&output), text(&output.stdout)), (1, String::new()));
        assert!(text(&output.stderr).starts_with("Error: ") && text(&output.stderr).contains(fault), "{output:?}");
    }
    assert_eq!(code(&merge(&[], &[])), 2);
    assert_eq!(code(&merge(&["one.json"], &["--gate", "expected == 7", "--json"])), 3);
}

/// Nobody else reads the result of a run that logs in, and nobody else says where it goes.
#[cfg(unix)]
#[test]
fn a_result_file_is_private_and_no_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let broker = ScriptedBroker::start(Script::default().without_log());
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let arguments = ["--flood", "-C", "10", "--clients", "1"];
    let written = |more: &[&str]| code(&run(mqbench(&broker.port(), &arguments).args(more)));
    let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(written(&["-u", "me", "-P", "secret", "--out", &path("private.json")]), 0);
    assert_eq!(mode("private.json"), 0o600);
    assert!(!std::fs::read_to_string(path("private.json")).unwrap().contains("secret"));
    // A file that is there keeps its mode.
    std::fs::write(path("there.json"), "old").unwrap();
    std::fs::set_permissions(path("there.json"), PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(written(&["-u", "me", "--out", &path("there.json")]), 0);
    assert_eq!((mode("there.json"), std::fs::read(path("there.json")).unwrap()[0]), (0o640, b'{'));
    std::fs::write(path("precious.json"), "precious").unwrap();
    symlink(path("precious.json"), path("link.json")).unwrap();
    symlink(path("nothing.json"), path("dangling.json")).unwrap();
    for link in ["link.json", "dangling.json"] {
        let (stderr, code) = fail(&broker.port(), &["--out", &path(link)]);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains("is a symbolic link: give the file that it points to"), "{stderr}");
    }
    assert_eq!(std::fs::read(path("precious.json")).unwrap(), b"precious");
    assert!(!std::fs::exists(path("nothing.json")).unwrap());
    let output = run(mqbench(&broker.port(), &arguments).args(["--out", "/dev/stdout"]));
    assert!(text(&output.stdout).contains("mqbench-result/1"), "{output:?}");
}

#[test]
fn what_it_retained_is_taken_back() {
    let broker = ScriptedBroker::start(Script::default());
    let (_, code, stderr) = measure(&broker.port(), &["--flood", "-C", "10", "--clients", "2", "-r"]);
    assert_eq!(code, 0, "{stderr}");
    broker.wait_for("the end of all clients", |log| log.disconnects(ReasonCode::SUCCESS) >= 4);
    let log = broker.log();
    let emptied = log.publishes().filter(|(message, _, _)| message.retain && message.payload.is_empty()).count();
    assert_eq!(emptied, 2);
}

#[test]
fn the_embedded_broker_loses_nothing() {
    for arguments in [&["-q", "0"][..], &["-q", "1", "-V", "5"], &["-q", "2"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqbench"));
        command.args(["--embedded", "--flood", "-C", "5000", "--json", "--warmup", "0s"]).args(arguments);
        let output = run(&mut command);
        let document = document(&output.stdout);
        assert_eq!(code(&output), 0, "{output:?}");
        assert_eq!(document["delivery"]["delivered_once"], 5_000);
        assert_eq!(document["target"]["broker"]["name"], "mqbroker");
    }
}

#[test]
fn a_real_broker_loses_nothing() {
    let Some(broker) = Mosquitto::start() else { return };
    for arguments in [&["-q", "0"][..], &["-q", "1"], &["-q", "2"], &["-q", "1", "-V", "5"], &["-q", "2", "-V", "31"]] {
        let arguments = [&["-C", "5000", "--rate", "20k"], arguments].concat();
        let (document, _, stderr) = measure(&broker.port(), &arguments);
        let delivery = &document["delivery"];
        assert_eq!(delivery["delivered_once"], 5_000, "{arguments:?}: {stderr}");
        assert_eq!((delivery["lost"].as_u64(), delivery["duplicates"].as_u64()), (Some(0), Some(0)), "{arguments:?}");
        assert_eq!(document["target"]["broker"]["name"], "mosquitto");
    }
}

#[test]
fn a_real_broker_over_tls() {
    let configuration = "allow_anonymous true\ncertfile {folder}/cert.pem\nkeyfile {folder}/key.pem\n";
    let prepare = |folder: &Path| {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    };
    let Some(broker) = Mosquitto::start_with(configuration, prepare) else { return };
    let certificate = broker.folder.path().join("cert.pem").display().to_string();
    let arguments = ["--cafile", &certificate, "--flood", "-C", "2000", "-q", "1", "--clients", "3"];
    let (document, code, stderr) = measure(&broker.port(), &arguments);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(document["delivery"]["delivered_once"], 2_000);
    assert_eq!(document["target"]["transport"], "tls");
    let agreed = ["version", "cipher"].map(|name| document["target"]["tls"][name].as_str().unwrap_or_default());
    assert!(agreed[0].starts_with("TLSv1_") && agreed[1].starts_with("TLS"), "{agreed:?}");
    assert_eq!(document["latency"]["connect_tls"]["count"], 6);
    let (stderr, code) = fail(&broker.port(), &["--tls"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("TLS"), "{stderr}");
}
