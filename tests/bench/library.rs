//! `--client rumqttc`: another library carries the same plan, and the same ledger accounts for it.
#![cfg(feature = "rumqttc")]

use mqtools::mqtt::ReasonCode;
use serde_json::Value;

use crate::support::at_once::at_once;
use crate::support::bench::{fail, measure, mqbench};
use crate::support::process::{Running, ended_by, text};
use crate::support::scripted_broker::{Action, Repeat, Script, ScriptedBroker, Trigger};
use crate::support::whole::assert_whole;

/// What must be the same whoever carries the load: the exact ledger.
fn ledger(document: &Value) -> Vec<(&'static str, Option<u64>)> {
    let delivery = &document["delivery"];
    let names = ["expected", "delivered_once", "lost", "duplicates", "dup_flagged", "reordered", "corrupt", "foreign"];
    let mut ledger: Vec<_> = names.iter().map(|name| (*name, delivery[*name].as_u64())).collect();
    ledger.extend(
        ["sent", "delivered", "payload_bytes_out", "payload_bytes_in"]
            .map(|name| (name, document["traffic"][name].as_u64())),
    );
    ledger
}

fn faults() -> Script {
    Script::default()
        .drop_deliveries([3, 500, 501, 502, 1_700])
        .repeat_deliveries([10, 900, 1_500], Repeat::AsNew)
        .swap_deliveries([100, 1_200])
        .without_log()
}

#[test]
fn injected_loss_and_duplicates_come_back_exactly_as_with_the_engine_of_mqbench() {
    let count = ["-C", "2000", "--pubs", "1", "--subs", "1", "--drain", "3s", "--seed", "7"];
    at_once(
        [("0", &["--flood"][..]), ("1", &["--flood"]), ("2", &["--flood"]), ("1", &["--rate", "4k"])],
        |(qos, model)| {
            let arguments = [&count[..], model, &["-q", qos]].concat();
            // A machine that is busy may be too late for the schedule (4); the ledger is exact all the same.
            let (own, code, stderr) = measure(&ScriptedBroker::start(faults()).port(), &arguments);
            assert!(matches!(code, 0 | 4), "{arguments:?}: {code}: {stderr}");
            assert_eq!(own["plan"]["client"], "mqbench");
            for version in ["311", "5"] {
                let broker = ScriptedBroker::start(faults());
                let arguments = [&arguments[..], &["-V", version, "--client", "rumqttc"]].concat();
                let (other, code, stderr) = measure(&broker.port(), &arguments);
                assert!(matches!(code, 0 | 4), "{arguments:?}: {code}: {stderr}");
                assert_eq!(ledger(&other), ledger(&own), "{arguments:?}");
                assert_eq!((&other["delivery"]["lost"], &other["plan"]["client"]), (&5.into(), &"rumqttc".into()));
                assert_eq!(broker.violations(), Vec::<String>::new(), "{arguments:?}");
            }
        },
    );
}

#[test]
fn every_shape_and_both_models_are_carried_without_loss() {
    for arguments in [
        &["--clients", "4"][..],
        &["--shape", "fan-in", "--clients", "4"],
        &["--shape", "fan-out", "--clients", "4"],
        &["--shape", "shared:2", "--pubs", "2", "--subs", "4"],
        &["pub", "--clients", "2"],
        &["--size", "20..400", "--payload", "random", "--clients", "2"],
        &["-m", "hello %s", "--clients", "2"],
        &["--window", "ack", "--clients", "2"],
        &["-r", "--clients", "2"],
    ] {
        let common = ["-q", "1", "--flood", "-C", "2000", "--client", "rumqttc", "--threads", "2"];
        let broker = ScriptedBroker::start(Script::default().without_log());
        let (document, code, stderr) = measure(&broker.port(), &[arguments, &common].concat());
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        assert_eq!((&document["traffic"]["sent"], &document["traffic"]["acked"]), (&2000.into(), &2000.into()));
        let delivery = &document["delivery"];
        if arguments[0] != "pub" {
            assert_eq!(delivery["lost"], 0, "{arguments:?}: {delivery}");
            // Null without stamps.
            assert_eq!(delivery["duplicates"].as_u64().unwrap_or_default(), 0, "{arguments:?}: {delivery}");
            assert_eq!(delivery["delivered_once"], delivery["expected"], "{arguments:?}");
        }
        assert_eq!(broker.violations(), Vec::<String>::new(), "{arguments:?}");
    }
}

#[test]
fn a_bare_run_has_both_stages_and_names_its_client() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    let arguments = ["--client", "rumqttc", "-q", "1", "--clients", "1", "--duration", "2s", "--warmup", "200ms"];
    let (document, code, stderr) = measure(&broker.port(), &arguments);
    // A machine that is busy may be too late for the schedule.
    assert!(matches!(code, 0 | 4), "{stderr}");
    let names: Vec<&str> = document["stages"].as_array().unwrap().iter().filter_map(|it| it["name"].as_str()).collect();
    assert!(names.starts_with(&["flood", "paced"]), "{names:?}");
    assert!(document["tool"]["features"].as_array().unwrap().contains(&"rumqttc".into()));
    assert!(document["latency"]["e2e"]["count"].as_u64().unwrap() > 0);
    assert!(document["latency"]["ack_service"]["count"].as_u64().unwrap() > 0);
    // What the library does not show is null.
    for path in ["bytes_out", "bytes_in", "packets"] {
        assert_eq!(document["traffic"][path], Value::Null, "{path}");
    }
    for name in ["connect_tcp", "connack"] {
        assert_eq!(document["latency"][name], Value::Null, "{name}");
    }
}

#[test]
fn an_interrupted_run_is_drained_and_reported() {
    let broker = ScriptedBroker::start(Script::default());
    let arguments = ["--client", "rumqttc", "--rate", "200", "--duration", "5m", "--warmup", "0", "--clients", "2"];
    let load = Running::start(mqbench(&broker.port(), &arguments).args(["--json", "-q", "2"]));
    broker.wait_for("20 messages", |log| log.publishes().count() >= 20);
    load.signal("INT");
    let output = load.finish();
    assert_eq!(ended_by(output.status), Some(2), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    // A busy machine is late for the schedule, which makes it invalid.
    assert!(["partial", "invalid"].contains(&document["status"].as_str().unwrap()), "{document}");
    assert_eq!(document["delivery"]["lost"], 0, "{document}");
    assert!(document["delivery"]["delivered_once"].as_u64().unwrap() >= 10);
}

#[test]
fn refusals_and_lost_connections_are_those_of_the_engine() {
    let count = ["--flood", "-C", "500", "--pubs", "1", "--subs", "1", "--drain", "2s", "-q", "1", "-V", "5"];
    let refusing = || Script::default().refuse_publishes([3, 77, 401], ReasonCode::NOT_AUTHORIZED).without_log();
    let (own, ..) = measure(&ScriptedBroker::start(refusing()).port(), &count);
    let (other, code, stderr) =
        measure(&ScriptedBroker::start(refusing()).port(), &[&count[..], &["--client", "rumqttc"]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(ledger(&other), ledger(&own));
    assert_eq!(other["delivery"]["rejected"], own["delivery"]["rejected"]);
    assert_eq!(other["delivery"]["rejected"]["135"], 3, "{}", other["delivery"]);
    // The publisher is the second connection.
    let cut = Script::default().fault([2], Trigger::ReceivedPublish(300), Action::Cut);
    let broker = ScriptedBroker::start(cut);
    let (document, code, stderr) = measure(&broker.port(), &[&count[..], &["--client", "rumqttc"]].concat());
    assert_eq!((code, &document["status"], &document["clients"]["lost"]), (1, &"failed".into(), &1.into()), "{stderr}");
    let refusing = ScriptedBroker::start(Script::default().refuse_subscribe(ReasonCode(0x97)));
    let (stderr, code) = fail(&refusing.port(), &[&count[..], &["--client", "rumqttc"]].concat());
    assert_eq!(code, 151, "{stderr}");
    let expected = "\
        Error: 127.0.0.1:[..]: the broker refused to subscribe to mqbench/[..]/0: Quota exceeded (0x97)\n\
        \x20 at client 2 of 2; no load was generated\n\
        \x20 is this user allowed to subscribe there? choose other topics with -t\n";
    assert_whole(&stderr, expected);
}

#[test]
fn what_the_library_cannot_do_and_what_the_broker_refuses_has_its_exit_status() {
    for (arguments, part) in [
        (&["--reconnect"][..], "loses the messages in flight"),
        (&["--tls"], "TLS"),
        (&["-V", "mqttv31"], "MQTT 3.1"),
        (&["conn"], "mqbench conn"),
    ] {
        let (stderr, code) = fail("1", &[arguments, &["--client", "rumqttc"]].concat());
        assert!(code == 2 && stderr.contains("--client rumqttc") && stderr.contains(part), "{arguments:?}: {stderr}");
    }
    let (stderr, code) = fail("1", &["--client", "rumqttc"]);
    assert_eq!(code, 1, "{stderr}");
    let expected = "\
        Error: cannot connect to 127.0.0.1:1: TCP: connection refused\n\
        \x20 at client [..] of 20; no load was generated\n\
        \x20 is a broker running there, and is the port right? MQTT usually uses port 1883, or 8883 with TLS\n";
    assert_whole(&stderr, expected);
    let refusing = ScriptedBroker::start(Script::default().refuse_connect(ReasonCode::NOT_AUTHORIZED));
    for version in ["311", "5"] {
        let (stderr, code) = fail(&refusing.port(), &["--client", "rumqttc", "-V", version]);
        assert_eq!(code, 135, "{stderr}");
    }
}
