//! What mqbench learns about the broker while it measures: `$SYS` and the broker's process.

use std::process::Command;

use mqtools::mqtt::ReasonCode;
use serde_json::Value;

use crate::support::bench::{code, fail, measure, mqbench};
use crate::support::mosquitto::Mosquitto;
use crate::support::mqbroker::Mqbroker;
use crate::support::process::{Running, run, text};
use crate::support::scripted_broker::{Script, ScriptedBroker};

const SHORT: [&str; 8] = ["--rate", "200", "--duration", "5s", "--warmup", "0", "--clients", "1"];

fn warnings(document: &Value) -> Vec<&str> {
    document["warnings"].as_array().unwrap().iter().filter_map(|warning| warning["code"].as_str()).collect()
}

/// The gates have values, and hold; on a busy machine the schedule may not be kept (4), and then no gate passes.
fn check_gates(document: &Value, code: i32, stderr: &str) {
    assert!(matches!(code, 0 | 4), "{stderr}");
    for gate in document["gates"].as_array().unwrap() {
        assert!(gate["value"].is_number() && (code == 4 || gate["pass"] == true), "{gate}");
    }
}

/// What holds for every broker that publishes its figures each second.
fn check_sys(document: &Value) {
    let topics = document["broker"]["sys"].as_object().unwrap_or_else(|| panic!("{document}"));
    let received = topics["$SYS/broker/publish/messages/received"].as_array().unwrap();
    assert!(received.len() >= 3, "{received:?}");
    let times: Vec<u64> = received.iter().map(|sample| sample[0].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    // The run's clock began when the clients connected; the last sample came before the end of the drain.
    let last = &document["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["start_ns"].as_u64().unwrap() + phase["duration_ns"].as_u64().unwrap());
    assert!(*times.last().unwrap() <= last.clone().max().unwrap() + 2_000_000_000, "{times:?}");
    let figures = &document["broker"]["sys_figures"];
    let received = figures["received_per_s"].as_f64().unwrap();
    assert!(received > 1.0, "{figures}");
    // A publisher, a subscriber, and the connection that asks.
    assert_eq!((figures["clients"].as_f64(), figures["dropped"].as_f64()), (Some(3.0), Some(0.0)), "{figures}");
    assert!(!topics.contains_key("$SYS/broker/version"), "a word is no figure");
    assert_eq!((&document["clients"]["connected"], &document["delivery"]["lost"]), (&2.into(), &0.into()));
    assert_eq!(document["delivery"]["foreign"], 0, "$SYS is no part of the load");
}

#[test]
fn the_figures_of_brokers_are_read_and_are_gates() {
    let gates = ["--sys", "--gate", "broker.sys.dropped == 0 && broker.sys.received_per_s > 1"];
    let broker = Mqbroker::start("listener 0 127.0.0.1\nallow_anonymous true\nsys_interval 1\n");
    let port = broker.addresses()[0].port().to_string();
    let (document, code, stderr) = measure(&port, &[&SHORT[..], &gates].concat());
    check_gates(&document, code, &stderr);
    check_sys(&document);
    let Some(mosquitto) = Mosquitto::start_with("allow_anonymous true\nsys_interval 1\n", |_| {}) else { return };
    let (document, code, stderr) = measure(&mosquitto.port(), &[&SHORT[..], &gates].concat());
    check_gates(&document, code, &stderr);
    check_sys(&document);
    assert_eq!(document["target"]["broker"]["name"], "mosquitto");
}

#[test]
fn a_broker_without_sys_topics_gives_null_and_one_warning() {
    let quick = ["--flood", "-C", "20", "--clients", "1", "--sys"];
    for (script, part) in [
        (Script::default(), "nothing arrived on $SYS/#"),
        (Script::default().refuse_filter("$SYS/#", ReasonCode::NOT_AUTHORIZED), "refused to subscribe"),
    ] {
        let broker = ScriptedBroker::start(script);
        let (document, code, stderr) = measure(&broker.port(), &[&quick[..], &["-V", "5"]].concat());
        assert_eq!(code, 0, "{stderr}");
        assert_eq!((&document["broker"]["sys"], &document["broker"]["sys_figures"]), (&Value::Null, &Value::Null));
        let about_sys: Vec<&Value> = document["warnings"].as_array().unwrap().iter().collect();
        let about_sys: Vec<&str> =
            about_sys.iter().filter_map(|it| it["text"].as_str()).filter(|it| it.contains("$SYS")).collect();
        assert!(about_sys.len() == 1 && about_sys[0].contains(part), "{about_sys:?}");
        let (gated, code, _) = measure(&broker.port(), &[&quick[..], &["--gate", "broker.sys.dropped == 0"]].concat());
        assert_eq!((code, &gated["gates"][0]["value"]), (3, &Value::Null), "a figure that was not read is no zero");
    }
}

#[test]
fn the_broker_is_asked_only_where_the_user_wants_it() {
    let broker = ScriptedBroker::start(Script::default());
    let (document, ..) = measure(&broker.port(), &["--flood", "-C", "20", "--clients", "1", "--no-sys"]);
    assert_eq!(document["broker"]["sys"], Value::Null);
    assert!(warnings(&document).iter().all(|code| !code.contains("sys")), "{document}");
    assert_eq!(broker.log().connects().count(), 2, "no third connection");
    for (arguments, part) in [
        (&["--sys", "--no-sys"][..], "--sys and --no-sys"),
        (&["--gate", "broker.sys.drops == 0"], "broker.sys.dropped"),
        (&["--broker-pid", "x"], "process ID"),
        (&["--broker-pid", "4294967295"], "no such process"),
    ] {
        let (stderr, code) = fail("1", arguments);
        assert!(code == 2 && stderr.contains(part), "{arguments:?}: {stderr}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_of_the_broker_is_measured_each_second() {
    let broker = Mqbroker::start("listener 0 127.0.0.1\nallow_anonymous true\n");
    let port = broker.addresses()[0].port().to_string();
    let arguments = [&SHORT[..], &["--broker-pid", "auto", "--gate", "broker.cpu_pct >= 0 && broker.rss_bytes > 1k"]];
    let (document, code, stderr) = measure(&port, &arguments.concat());
    check_gates(&document, code, &stderr);
    let process = &document["broker"]["process"];
    assert_eq!(process["name"], "mqbroker", "{process}");
    let rows = document["series"]["rows"].as_array().unwrap();
    assert!(rows.len() >= 3, "{rows:?}");
    for row in rows {
        assert!(row["broker_rss_bytes"].as_u64().unwrap() > 100_000, "{row}");
        assert!(row["broker_cpu_pct"].as_f64().unwrap() >= 0.0, "{row}");
    }
    assert_eq!(document["stages"][0]["broker"]["name"], "mqbroker");
    assert!(!warnings(&document).contains(&"broker-ended"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_ends_is_null_from_then_on() {
    let mut broker = Mqbroker::of(Command::new(crate::support::mqbroker::MQBROKER).args(["-p", "0", "-v"]));
    let port = broker.addresses()[0].port().to_string();
    let mut process = Running::start(Command::new("sleep").arg("1000"));
    let pid = process.id().to_string();
    let load = Running::start(mqbench(&port, &SHORT).args(["--json", "--broker-pid", &pid]));
    broker.wait_for("Received PUBLISH");
    process.kill();
    let output = load.finish();
    assert!(matches!(code(&output), 0 | 4), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(warnings(&document).contains(&"broker-ended"), "{document}");
    assert_eq!((&document["broker"]["process"], &document["stages"][0]["broker"]), (&Value::Null, &Value::Null));
    let last = document["series"]["rows"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["broker_rss_bytes"], &last["broker_cpu_pct"]), (&Value::Null, &Value::Null));
    let closed = run(&mut mqbench("1", &["--broker-pid", "auto"]));
    assert!(text(&closed.stderr).contains("no process on this machine listens on port 1"), "{closed:?}");
}
