//! mqbench and its connections: `conn`, `echo`, several brokers, clients that reconnect, local addresses, and brokers
//! that misbehave towards them.

use std::process::{Command, Output};
use std::time::Duration;

use mqtools::mqtt::wire::PacketType;
use mqtools::mqtt::{Property, PropertyName, PropertyValue, ReasonCode};
use serde_json::{Value, json};

use crate::support::mosquitto::Mosquitto;
use crate::support::process::{Running, ended_by, run, text};
use crate::support::schema::document;
use crate::support::scripted_broker::{Action, Received, Repeat, Script, ScriptedBroker, Trigger};
use crate::support::tool::Tool;

fn mqbench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqbench"));
    command.args(arguments).env_remove("MQTT_PASSWORD");
    command
}

fn at(port: &str, arguments: &[&str]) -> Vec<String> {
    // The verb comes first.
    let (verb, rest) = match arguments.split_first() {
        Some((verb, rest)) if !verb.starts_with('-') => (vec![*verb], rest),
        _ => (vec![], arguments),
    };
    [&verb[..], &["-h", "127.0.0.1", "-p", port], rest].concat().into_iter().map(str::to_owned).collect()
}

fn document_of(output: &Output) -> Value {
    document(&output.stdout)
}

/// Runs against a broker with `--json` and returns the document, the exit status and stderr.
fn measure(port: &str, arguments: &[&str]) -> (Value, i32, String) {
    let output = run(Command::new(env!("CARGO_BIN_EXE_mqbench")).args(at(port, arguments)).arg("--json"));
    (document_of(&output), output.status.code().unwrap(), text(&output.stderr))
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

/// An open loop that has lost clients for good. A busy machine may make it invalid because it sent late or not all, and
/// then it is not partial but failed; nothing else may be wrong with it.
fn assert_partial(document: &Value, output: &Output) {
    let faults = document["invalid"].as_array().unwrap();
    let of_pace = [json!("scheduling-lag"), json!("sent-below-offered")];
    assert!(faults.iter().all(|fault| of_pace.contains(&fault["code"])), "{faults:?}");
    let status = if faults.is_empty() { "partial" } else { "failed" };
    assert_eq!((output.status.code(), document["status"].as_str()), (Some(1), Some(status)), "{output:?}");
}

/// A device that is no part of the run keeps its connection and its session, whatever its number.
#[test]
fn the_connection_for_sys_has_its_own_client_id() {
    let connects = |more: &[&str]| {
        let broker = ScriptedBroker::start(Script::default());
        let load =
            ["--flood", "-C", "10", "--pubs", "1", "--subs", "1", "-i", "device-%i", "-u", "user-%i", "-P", "pw"];
        let (document, code, stderr) = measure(&broker.port(), &[&load[..], more].concat());
        assert_eq!(code, 0, "{stderr}");
        let log = broker.log();
        let named = |connect: &mqtools::mqtt::wire::Connect| (connect.client_id.clone(), connect.user_name.clone());
        let names: Vec<_> = log.connects().map(named).collect();
        (names, format!("mqb-{}-sys", document["run"]["id"].as_str().unwrap()))
    };
    let (names, own) = connects(&["-c"]);
    assert_eq!(names.len(), 3 + 2, "two clients, two that end their sessions, and the one for $SYS: {names:?}");
    let of_run = |name: &str| ["device-0", "device-1"].contains(&name);
    assert!(names[..4].iter().all(|(name, _)| of_run(name)), "{names:?}");
    assert_eq!(names[4], (own, Some("user-0".to_owned())));
    let (names, _) = connects(&["--no-sys"]);
    assert!(names.len() == 2 && names.iter().all(|(name, _)| of_run(name)), "{names:?}");
}

/// A PUBLISH of QoS 0.
fn publish_bytes(flags: u8, topic: &str, payload: &str) -> Vec<u8> {
    let length = u8::try_from(2 + topic.len() + payload.len()).unwrap();
    let head = [0x30 | flags, length, 0, u8::try_from(topic.len()).unwrap()];
    [&head[..], topic.as_bytes(), payload.as_bytes()].concat()
}

#[test]
fn retained_messages_are_counted_apart_from_live_ones() {
    // Before SUBACK, where the load has not begun, and behind it.
    let at = |packet| {
        Script::default().fault(1, Trigger::ReceivedPacket(packet), Action::Send(publish_bytes(1, "a", "old")))
    };
    for script in [at(2), at(2).delay(PacketType::Suback, Duration::from_millis(50))] {
        let broker = ScriptedBroker::start(script);
        let arguments = ["sub", "-t", "a", "--clients", "1", "--duration", "200ms", "--warmup", "200ms"];
        let (document, code, stderr) = measure(&broker.port(), &arguments);
        assert_eq!(code, 0, "{stderr}");
        let figures = (document["delivery"]["retained"].as_u64(), document["traffic"]["delivered"].as_u64());
        assert_eq!(figures, (Some(1), Some(0)), "{document}");
        assert!(document["delivery"]["foreign"].is_null(), "all of them are somebody else's");
    }
}

#[test]
fn a_topic_alias_is_used_or_refused() {
    let load = ["--flood", "-C", "100", "--pubs", "1", "--subs", "1", "-V", "5", "-t", "a/rather/long/topic/%i"];
    let run = |maximum: u16, more: &[&str]| {
        let property = Property::new(PropertyName::TopicAliasMaximum, PropertyValue::TwoByte(maximum)).unwrap();
        let broker = ScriptedBroker::start(Script::default().connack_property(property));
        let output = run(Command::new(env!("CARGO_BIN_EXE_mqbench"))
            .args(at(&broker.port(), &[&load[..], more, &["--json", "--no-sys"]].concat())));
        assert_eq!(broker.violations(), Vec::<String>::new());
        output
    };
    let alias = ["-D", "publish", "topic-alias", "2"];
    let bytes = |output: &Output| {
        let document = document_of(output);
        assert_eq!(document["delivery"]["delivered_once"], 100, "{document}");
        count(&document["traffic"]["bytes_out"])
    };
    let (plain, aliased) = (bytes(&run(2, &[])), bytes(&run(2, &alias)));
    // The property has 3 bytes, the topic 21.
    assert_eq!(plain - aliased, 99 * 21 - 100 * 3);
    let refused = run(1, &alias);
    assert_eq!(refused.status.code(), Some(148), "Topic Alias invalid: {refused:?}");
    assert!(
        text(&refused.stderr).contains("topic alias 2 is above the broker's topic alias maximum of 1"),
        "{refused:?}"
    );
}

#[test]
fn an_echo_of_messages_without_a_stamp_is_matched_by_order() {
    for version in ["311", "5"] {
        let broker = ScriptedBroker::start(Script::default().without_log());
        let (document, code, stderr) =
            measure(&broker.port(), &["echo", "-C", "60", "-m", "hi", "--clients", "2", "-V", version]);
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(document["delivery"]["delivered_once"], 60, "{document}");
        assert_eq!((&document["latency"]["rtt"]["count"], &document["delivery"]["foreign"]), (&60.into(), &0.into()));
    }
}

#[test]
fn messages_matched_by_order_have_no_latency_after_one_too_many() {
    let load = ["--rate", "500", "-C", "600", "--pubs", "1", "--subs", "1", "-m", "hello", "-t", "t", "--drain", "3s"];
    let path = || Script::default().delay(PacketType::Publish, Duration::from_millis(20)).without_log();
    let run = |script| {
        let broker = ScriptedBroker::start(script);
        let (document, _, stderr) = measure(&broker.port(), &load);
        assert_eq!(document["delivery"]["lost"], 0, "{stderr}");
        document
    };
    let whole = run(path());
    assert!(count(&whole["latency"]["e2e"]["min"]) >= 20_000_000, "{whole}");
    for twice in [vec![50], vec![10, 20, 30, 599], vec![600]] {
        let document = run(path().repeat_deliveries(twice.clone(), Repeat::AsNew));
        assert!(document["latency"]["e2e"].is_null() && document["latency"]["e2e_service"].is_null(), "{twice:?}");
        let warnings = document["warnings"].to_string();
        assert!(warnings.contains("no-latency-after-duplicates") && warnings.contains("delivered twice"), "{warnings}");
        assert!(document["series"]["rows"].as_array().unwrap().iter().all(|row| row["e2e_p50"].is_null()), "{twice:?}");
    }
    // What somebody else sends does not look like it, and takes nobody's place.
    let foreign = Action::Send(publish_bytes(0, "t", "other"));
    let document = run(path().fault(1, Trigger::Delivery(50), foreign));
    assert_eq!(document["delivery"]["foreign"], 1, "{document}");
    assert!(count(&document["latency"]["e2e"]["min"]) >= 20_000_000, "{document}");
}

#[test]
fn conn_connects_holds_and_pings() {
    let broker = ScriptedBroker::start(Script::default());
    let arguments = ["conn", "--clients", "20", "--connect-rate", "200", "--hold", "1s", "--threads", "2"];
    let (document, code, stderr) = measure(&broker.port(), &arguments);
    assert_eq!((code, document["status"].as_str()), (0, Some("ok")), "{stderr}");
    let clients = &document["clients"];
    let counts = ["planned", "connected", "failed", "max_open", "lost"].map(|name| clients[name].as_u64());
    assert_eq!(counts, [20, 20, 0, 20, 0].map(Some), "{clients}");
    for latency in ["connect", "connect_tcp", "connack", "ping", "sched_lag"] {
        assert_eq!(document["latency"][latency]["count"], 20, "{latency}: {}", document["latency"][latency]);
    }
    assert!(document["traffic"]["sent"].is_null() && document["latency"]["e2e"].is_null());
    let stage = &document["stages"][0];
    assert_eq!((stage["name"].as_str(), stage["model"].as_str()), (Some("conn"), Some("open")));
    // In the first second, or in the next one on a machine that is very busy.
    let rows = stage["series"]["rows"].as_array().unwrap();
    let connects: u64 = rows.iter().map(|row| count(&row["connects"])).sum();
    assert_eq!((connects, rows.last().and_then(|row| row["conns"].as_u64())), (20, Some(20)), "{rows:?}");
    if cfg!(target_os = "linux") {
        assert!(document["generator"]["bytes_per_client"].is_u64(), "{}", document["generator"]);
    }
    broker.wait_for("their goodbyes", |log| log.disconnects(ReasonCode::SUCCESS) >= 20);
}

#[test]
fn connects_that_fail_are_counted_by_cause_and_end_nothing() {
    let script = Script::default().close_at_accept([2]).fault(
        [4, 5],
        Trigger::Accept,
        Action::SendAndCut(b"HTTP/1.1 400 Bad".into()),
    );
    let broker = ScriptedBroker::start(script);
    let (document, code, stderr) = measure(&broker.port(), &["conn", "--clients", "10", "--hold", "300ms"]);
    assert_eq!((code, document["status"].as_str()), (1, Some("partial")), "{stderr}");
    let clients = &document["clients"];
    assert_eq!((count(&clients["connected"]), count(&clients["failed"])), (7, 3), "{clients}");
    assert_eq!(clients["errors"], serde_json::json!({ "closed": 1, "protocol": 2 }));
    assert!(stderr.contains("3 of 10 connects failed"), "{stderr}");
}

#[test]
fn nobody_who_is_refused_is_asked_again() {
    let broker = ScriptedBroker::start(Script::default().refuse_connect(ReasonCode::NOT_AUTHORIZED));
    let (document, code, stderr) = measure(&broker.port(), &["conn", "--clients", "5", "--hold", "300ms", "-V", "5"]);
    assert_eq!((code, document["status"].as_str()), (1, Some("failed")), "{stderr}");
    assert_eq!(document["clients"]["errors"], serde_json::json!({ "refused-135": 5 }));
    assert_eq!(broker.counts().connections, 5, "each once");
    assert!(stderr.contains("Not authorized") && stderr.contains("-u"), "{stderr}");
}

#[test]
fn connections_that_are_lost_while_they_are_held_are_counted() {
    // The second packet of a client that only holds is its ping.
    let script = Script::default().fault([3], Trigger::ReceivedPacket(2), Action::Cut);
    let broker = ScriptedBroker::start(script);
    let arguments = ["conn", "--clients", "4", "--hold", "1s", "--ping-interval", "200ms"];
    let (document, code, stderr) = measure(&broker.port(), &arguments);
    assert_eq!((code, document["status"].as_str()), (1, Some("partial")), "{stderr}");
    let clients = &document["clients"];
    assert_eq!((count(&clients["connected"]), count(&clients["lost"])), (4, 1), "{clients}");
    assert_eq!(clients["losses"], serde_json::json!({ "the broker closed the connection": 1 }));
}

#[test]
fn unanswered_pings_are_reported() {
    let broker = ScriptedBroker::start(Script::default().omit(PacketType::Pingresp, 1..));
    let arguments = ["conn", "--clients", "3", "--hold", "300ms", "--drain", "100ms"];
    let (document, code, stderr) = measure(&broker.port(), &arguments);
    assert!(code == 1 && stderr.contains("none of 3 PINGREQ packets were answered"), "{code}: {stderr}");
    assert!(document["latency"]["ping"].is_null(), "{stderr}");
    assert!(document["warnings"].to_string().contains("3 of 3 PINGREQ"), "{}", document["warnings"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_hold_is_partial_and_sends_disconnect() {
    let broker = ScriptedBroker::start(Script::default());
    let arguments = at(&broker.port(), &["conn", "--clients", "5", "--hold", "1h", "--json"]);
    let child = Running::start(Command::new(env!("CARGO_BIN_EXE_mqbench")).args(arguments));
    broker.wait_for("the clients", |log| log.count(|received| matches!(received, Received::Connect(_))) >= 5);
    child.signal("INT");
    let output = child.finish();
    let document = document_of(&output);
    assert_eq!((ended_by(output.status), document["status"].as_str()), (Some(2), Some("partial")));
    broker.wait_for("their goodbyes", |log| log.disconnects(ReasonCode::SUCCESS) >= 5);
}

#[test]
fn an_echo_comes_back_with_everything() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    for (version, qos) in [("311", "0"), ("311", "1"), ("5", "1"), ("5", "2")] {
        let arguments = ["echo", "--clients", "2", "-C", "400", "-V", version, "-q", qos, "--threads", "2"];
        let (document, code, stderr) = measure(&broker.port(), &arguments);
        assert_eq!(code, 0, "{version} {qos}: {stderr}");
        let delivery = &document["delivery"];
        assert_eq!((count(&delivery["delivered_once"]), count(&delivery["lost"])), (400, 0), "{delivery}");
        assert_eq!(document["latency"]["rtt"]["count"], 400, "{}", document["latency"]["rtt"]);
        assert!(document["latency"]["e2e"].is_null(), "a round trip is not one way");
        assert_eq!(document["plan"]["window"], 1);
        assert_eq!(document["clients"]["connected"], 6);
        assert_eq!(document["stages"][0]["name"], "echo");
    }
    assert_eq!(broker.violations(), Vec::<String>::new());
}

#[test]
fn an_echo_that_is_dropped_is_lost() {
    // Deliveries to the responder and back are counted together: the third is the second request.
    let broker = ScriptedBroker::start(Script::default().drop_deliveries([3]).without_log());
    let (document, code, stderr) = measure(&broker.port(), &["echo", "-C", "50", "-q", "1", "--drain", "1s"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!((count(&document["delivery"]["lost"]), count(&document["delivery"]["expected"])), (1, 50));
    assert_eq!(document["latency"]["rtt"]["count"], 49);
}

#[test]
fn each_broker_has_a_row() {
    let brokers = [(); 2].map(|()| ScriptedBroker::start(Script::default().without_log()));
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", brokers[0].port(), brokers[1].port());
    for threads in ["1", "2"] {
        let arguments = ["--hosts", &hosts, "--clients", "3", "--flood", "-C", "900", "-q", "1", "--threads", threads];
        let output = run(mqbench(&arguments).arg("--json"));
        let document = document_of(&output);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(count(&document["delivery"]["delivered_once"]), 900);
        let rows = document["stages"][0]["targets"].as_array().unwrap();
        // Of three streams the first broker has two.
        for (row, messages, clients) in [(&rows[0], 600, 4), (&rows[1], 300, 2)] {
            assert_eq!(count(&row["delivery"]["delivered_once"]), messages, "{threads}: {row:#}");
            assert_eq!((count(&row["traffic"]["sent"]), count(&row["delivery"]["lost"])), (messages, 0));
            assert_eq!((count(&row["clients"]["connected"]), count(&row["clients"]["lost"])), (clients, 0));
            assert_eq!(count(&row["latency"]["e2e"]["count"]), messages);
        }
    }
}

#[test]
fn a_broker_that_dies_leaves_the_others_clean() {
    let dying = Script::default().fault(1.., Trigger::ReceivedPublish(20), Action::Cut).without_log();
    let brokers = [ScriptedBroker::start(Script::default().without_log()), ScriptedBroker::start(dying)];
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", brokers[0].port(), brokers[1].port());
    let arguments =
        ["--hosts", &hosts, "--clients", "2", "--rate", "200", "-q", "1", "--duration", "1500ms", "--warmup", "0s"];
    let output = run(mqbench(&arguments).arg("--json"));
    let document = document_of(&output);
    assert_eq!((output.status.code(), document["status"].as_str()), (Some(1), Some("failed")), "{output:?}");
    let rows = document["stages"][0]["targets"].as_array().unwrap();
    assert_eq!((count(&rows[0]["delivery"]["lost"]), count(&rows[0]["clients"]["lost"])), (0, 0), "{:#}", rows[0]);
    assert_eq!(count(&rows[0]["delivery"]["delivered_once"]), 150, "the whole schedule");
    assert_eq!(count(&rows[1]["clients"]["lost"]), 1, "{:#}", rows[1]);
}

#[test]
fn clients_come_back_and_the_outage_is_measured() {
    // The publisher is the second connection; its first life ends at its hundredth message.
    let script = Script::default().fault([2], Trigger::ReceivedPublish(100), Action::Cut).without_log();
    let broker = ScriptedBroker::start(script);
    let arguments =
        ["--clients", "1", "--rate", "200", "-q", "1", "--duration", "2s", "--warmup", "0s", "--reconnect", "300ms"];
    let (document, code, stderr) = measure(&broker.port(), &arguments);
    // A busy machine may make the run invalid for its scheduling lag; nothing else may be wrong with it.
    assert!(matches!(code, 0 | 4), "{stderr}");
    assert_eq!((count(&document["clients"]["reconnects"]), count(&document["clients"]["lost"])), (1, 1));
    let delivery = &document["delivery"];
    let outages = delivery["outages"].as_array().unwrap();
    assert_eq!((outages.len(), count(&delivery["outage_count"])), (1, 1), "{delivery}");
    let outage = &outages[0];
    assert_eq!((count(&outage["stream"]), outage["ended"].as_bool()), (0, Some(true)));
    assert!(count(&outage["dur_ns"]) >= 300_000_000, "{outage}");
    assert_eq!(delivery["outage_max_ns"], outage["dur_ns"]);
    assert_eq!(
        count(&delivery["expected"]),
        count(&delivery["delivered_once"]) + count(&delivery["lost"]),
        "{delivery}"
    );
    assert_eq!((count(&delivery["expected"]), count(&delivery["lost"]) > 0), (400, true), "late slots are sent late");
    assert!(document["warnings"].to_string().contains("reconnected"), "{}", document["warnings"]);
}

#[test]
fn a_subscriber_that_comes_back_subscribes_again() {
    let script = Script::default().fault([1], Trigger::Delivery(50), Action::Cut).without_log();
    let broker = ScriptedBroker::start(script);
    let arguments = [
        "--clients",
        "1",
        "--rate",
        "200",
        "--duration",
        "2s",
        "--warmup",
        "0s",
        "--reconnect",
        "200ms",
        "--drain",
        "1s",
    ];
    let (document, code, stderr) = measure(&broker.port(), &arguments);
    assert!(matches!(code, 0 | 4), "{stderr}");
    let delivery = &document["delivery"];
    assert_eq!(count(&delivery["outage_count"]), 1, "{delivery}");
    let (lost, once) = (count(&delivery["lost"]), count(&delivery["delivered_once"]));
    assert_eq!(lost + once, 400);
    assert!(lost > 0 && once > 100, "{delivery}");
}

#[test]
fn a_broker_that_does_not_come_back_ends_in_a_partial_result() {
    let mut broker = ScriptedBroker::start(Script::default());
    let arguments = at(
        &broker.port(),
        &[
            "--clients",
            "1",
            "--rate",
            "100",
            "--duration",
            "3s",
            "--warmup",
            "0s",
            "--reconnect",
            "--drain",
            "500ms",
            "--json",
        ],
    );
    let child = Running::start(Command::new(env!("CARGO_BIN_EXE_mqbench")).args(arguments));
    broker.wait_for("some messages", |log| log.publishes().count() >= 20);
    broker.go_away();
    let output = child.finish();
    let document = document_of(&output);
    assert_partial(&document, &output);
    assert!(text(&output.stderr).contains("2 of 2 clients had no connection at the end"), "{output:?}");
    assert_eq!(document["delivery"]["outages"][0]["ended"], false);
    assert!(count(&document["clients"]["failed"]) > 0, "every vain try is counted");
}

#[test]
fn what_a_lost_client_retained_is_taken_back() {
    let script = Script::default().fault([3], Trigger::ReceivedPublish(10), Action::Cut);
    let broker = ScriptedBroker::start(script);
    let arguments = ["pub", "--pubs", "3", "--flood", "-C", "60", "-q", "1", "-r"];
    let (_, code, stderr) = measure(&broker.port(), &arguments);
    assert_eq!(code, 1, "{stderr}");
    let emptied = |log: &crate::support::scripted_broker::Log| {
        log.publishes().filter(|(message, ..)| message.retain && message.payload.is_empty()).count()
    };
    broker.wait_for("the retained messages to go", |log| emptied(log) >= 3);
    assert_eq!(emptied(&broker.log()), 3, "one a publisher, the lost one's too");
}

#[test]
fn a_stage_has_the_clients_that_it_began_with() {
    // One of three publishers is lost in the second stage.
    let script = Script::default().fault([4], Trigger::ReceivedPublish(150), Action::Cut).without_log();
    let broker = ScriptedBroker::start(script);
    // On one thread all subscribers connect first, so that the fourth connection is a publisher.
    let arguments = ["--clients", "3", "-C", "600", "-q", "1", "--drain", "1s", "--threads", "1"];
    let (document, _, stderr) = measure(&broker.port(), &arguments);
    let connected: Vec<u64> =
        document["stages"].as_array().unwrap().iter().map(|stage| count(&stage["clients"]["connected"])).collect();
    assert_eq!(connected, [6, 6], "{stderr}");
    let lost: Vec<u64> =
        document["stages"].as_array().unwrap().iter().map(|stage| count(&stage["clients"]["lost"])).collect();
    assert_eq!(lost, [0, 1]);
}

#[test]
fn garbage_and_packets_cut_short_end_a_connection_and_not_the_tool() {
    for (action, cause) in [
        (Action::Send(vec![0xFF; 64]), "violated the protocol"),
        (Action::SendAndCut(vec![0x30, 0x7F, 0, 1]), "closed the connection"),
        (Action::Send(vec![0x40, 1, 0]), "violated the protocol"),
        (Action::Cut, "closed the connection"),
    ] {
        let script = Script::default().fault(1.., Trigger::ReceivedPublish(20), action.clone()).without_log();
        let broker = ScriptedBroker::start(script);
        let arguments = ["--flood", "--clients", "2", "-q", "1", "--duration", "20s", "--drain", "1s"];
        let (document, code, stderr) = measure(&broker.port(), &arguments);
        assert_eq!((code, document["status"].as_str()), (1, Some("failed")), "{action:?}: {stderr}");
        assert!(stderr.contains(cause), "{action:?}: {stderr}");
        let losses = document["clients"]["losses"].as_object().unwrap();
        assert!(losses.keys().any(|loss| loss.contains(cause)), "{action:?}: {losses:?}");
    }
}

#[test]
fn a_packet_of_256_mb_that_never_comes_takes_no_memory() {
    let script = Script::default().fault([1], Trigger::Delivery(20), Action::AnnouncePacket(268_000_000)).without_log();
    let broker = ScriptedBroker::start(script);
    let arguments = ["--flood", "--clients", "1", "--duration", "1s", "--warmup", "0s", "--drain", "300ms"];
    let (document, code, stderr) = measure(&broker.port(), &arguments);
    // The stream goes on inside of the announced packet, so the rest is lost; nothing hangs.
    assert_eq!((code, document["status"].as_str()), (0, Some("ok")), "{stderr}");
    assert!(count(&document["delivery"]["lost"]) > 0, "{}", document["delivery"]);
    if cfg!(target_os = "linux") {
        assert!(count(&document["generator"]["rss_bytes"]) < 100_000_000, "{}", document["generator"]);
    }
}

#[test]
fn a_broker_that_stalls_is_waited_for() {
    let script = Script::default().stall_at_publish(50, Duration::from_millis(700)).without_log();
    let broker = ScriptedBroker::start(script);
    let (document, code, stderr) =
        measure(&broker.port(), &["--rate", "200", "--clients", "1", "-C", "200", "-q", "1"]);
    assert!(matches!(code, 0 | 4), "{stderr}");
    assert_eq!(count(&document["delivery"]["lost"]), 0);
    assert!(count(&document["latency"]["e2e"]["max"]) >= 600_000_000, "{}", document["latency"]["e2e"]["max"]);
}

#[test]
fn local_addresses_are_taken_in_turn() {
    let broker = ScriptedBroker::start(Script::default());
    if cfg!(target_os = "linux") {
        let arguments = ["conn", "--clients", "8", "--hold", "300ms", "-A", "127.0.0.0/30,127.0.0.9"];
        let (document, code, stderr) = measure(&broker.port(), &arguments);
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(document["plan"]["local_addresses"], serde_json::json!(["127.0.0.1", "127.0.0.2", "127.0.0.9"]));
    }
    // TEST-NET-3 (RFC 5737): no machine has it.
    let (_, code, stderr) = measure(&broker.port(), &["conn", "-A", "127.0.0.1,203.0.113.7"]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("203.0.113.7 is not an address of this machine") && stderr.contains("ip addr add"),
        "{stderr}"
    );
}

#[test]
fn target_and_plan_come_first_when_the_broker_is_elsewhere() {
    // TEST-NET-1: nobody answers there.
    let arguments = ["-h", "192.0.2.1", "--connect-timeout", "200ms", "--rate", "100"];
    let output = run(&mut mqbench(&arguments));
    let stderr = text(&output.stderr);
    let (target, error) = (stderr.find("Target: mqtt://192.0.2.1:1883"), stderr.find("Error:"));
    assert!(target.is_some() && target < error, "{stderr}");
    assert!(stderr.contains("paced 100/s"), "{stderr}");
    let output = run(mqbench(&arguments).arg("--quiet"));
    assert!(!text(&output.stderr).contains("Target:"), "{output:?}");
}

#[test]
fn of_two_real_brokers_one_is_killed() {
    let (Some(first), Some(mut second)) = (Mosquitto::start(), Mosquitto::start()) else { return };
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", first.port(), second.port());
    let pid = first.process().id().to_string();
    let arguments = [
        "--hosts",
        &hosts,
        "--clients",
        "2",
        "-q",
        "1",
        "--rate",
        "200",
        "--duration",
        "3s",
        "--warmup",
        "0s",
        "--reconnect",
        "200ms",
        "--drain",
        "1s",
        "--broker-pid",
        &pid,
        "--json",
    ];
    let observing = ["-h", "127.0.0.1", "-p", &second.port(), "-t", "mqbench/#", "-C", "20", "-d"];
    let mut observer = Tool::start(env!("CARGO_BIN_EXE_mqsub"), &observing);
    observer.wait_for_stderr("received SUBACK");
    let child = Running::start(&mut mqbench(&arguments));
    assert_eq!(observer.end().code, Some(0), "twenty messages are through");
    second.kill();
    let output = child.finish();
    let document = document_of(&output);
    assert_partial(&document, &output);
    let rows = document["stages"][0]["targets"].as_array().unwrap();
    assert_eq!((count(&rows[0]["delivery"]["lost"]), count(&rows[0]["clients"]["lost"])), (0, 0));
    assert_eq!(count(&rows[0]["delivery"]["delivered_once"]), 300);
    assert_eq!(count(&rows[1]["clients"]["lost"]), 2, "{:#}", rows[1]);
    if cfg!(target_os = "linux") {
        assert_eq!(document["broker"]["process"]["name"], "mosquitto", "{}", document["broker"]);
    }
}

#[test]
fn a_real_broker_answers_echoes_and_holds_connections() {
    let Some(broker) = Mosquitto::start() else { return };
    let (document, code, stderr) = measure(&broker.port(), &["echo", "-C", "100", "-V", "5", "-q", "1"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(document["latency"]["rtt"]["count"], 100);
    let (document, code, stderr) = measure(&broker.port(), &["conn", "--clients", "300", "--hold", "500ms"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!((count(&document["clients"]["max_open"]), count(&document["latency"]["ping"]["count"])), (300, 300));
}

/// A connection is kept alive while the others connect.
#[test]
fn clients_that_wait_for_others_are_kept_alive() {
    let second = Property::new(PropertyName::ServerKeepAlive, PropertyValue::TwoByte(1)).unwrap();
    let broker = ScriptedBroker::start(Script::default().connack_property(second));
    let arguments = ["-V", "5", "--clients", "2", "--connect-rate", "1", "--flood", "-C", "10", "--threads", "1"];
    let (document, code, stderr) = measure(&broker.port(), &arguments);
    assert_eq!((code, document["delivery"]["lost"].as_u64()), (0, Some(0)), "{stderr}");
    let log = broker.stop();
    let first = log.of_connection(1).filter(|received| **received == Received::Pingreq);
    // It waits for 3 s.
    assert!(first.count() >= 2);
}

/// A message above what the broker takes is found when all are connected: they say goodbye, and no will is published.
#[test]
fn a_message_that_is_too_large_leaves_nothing_behind() {
    let limit = Property::new(PropertyName::MaximumPacketSize, PropertyValue::FourByte(200)).unwrap();
    let broker = ScriptedBroker::start(Script::default().connack_property(limit));
    let arguments = ["-V", "5", "--clients", "2", "--size", "500", "--flood", "-C", "10", "--will-topic", "w"];
    let (_, code, stderr) = measure(&broker.port(), &arguments);
    assert!(code == 149 && stderr.contains("200"), "{code}: {stderr}");
    broker.wait_for("all have gone", |log| log.ended() == 4);
    assert_eq!(broker.stop().disconnects(ReasonCode::SUCCESS), 4);
}

/// The hint of a plan that does not fit is a command that works and says the same of the same plan.
#[test]
fn the_doctor_judges_the_plan_of_the_verb() {
    let plan = ["--clients", "900k", "-p", "1"];
    let failed = run(Command::new(env!("CARGO_BIN_EXE_mqbench")).args(["conn", "-h", "127.0.0.1"]).args(plan));
    let stderr = text(&failed.stderr);
    assert!(failed.status.code() == Some(1) && stderr.contains("'mqbench doctor conn' with the same"), "{stderr}");
    let arguments = ["doctor", "conn", "--json", "-h", "127.0.0.1", "--hold", "1m", "--connect-rate", "1k"];
    let doctor = run(Command::new(env!("CARGO_BIN_EXE_mqbench")).args(arguments).args(plan));
    let found = document_of(&doctor);
    assert_eq!((doctor.status.code(), found["clients"].as_u64()), (Some(1), Some(900_000)), "{found}");
}
