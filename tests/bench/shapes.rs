//! mqbench: who gets what, and what is sent. Every shape at every QoS, injected faults that come back exactly, topics,
//! payloads.

use std::collections::BTreeSet;

use mqtools::mqtt::{Property, PropertyName, PropertyValue, ReasonCode};
use serde_json::Value;

use crate::support::at_once::at_once;
use crate::support::bench::{code, fail, measure, mqbench};
use crate::support::mosquitto::Mosquitto;
use crate::support::process::{Running, run};
use crate::support::schema::document;
use crate::support::scripted_broker::{Action, Received, Repeat, Script, ScriptedBroker, Trigger};
use crate::support::whole::assert_whole;

/// A shape with its numbers, and how often every message is to arrive.
const SHAPES: [(&[&str], u64); 7] = [
    (&["--shape", "p2p", "--clients", "3"], 1),
    (&["--shape", "fan-in", "--clients", "5"], 1),
    (&["--shape", "fan-in", "--pubs", "3", "--subs", "2", "-t", "plant/%03i/%c"], 2),
    (&["--shape", "fan-out", "--clients", "4"], 4),
    (&["--shape", "shared:1", "--clients", "4"], 1),
    (&["--shape", "shared:3", "--pubs", "2", "--subs", "5", "--threads", "2"], 3),
    (&["--shape", "shared:2", "--pubs", "3", "--subs", "4", "-t", "a/%i", "-t", "b"], 2),
];

const MESSAGES: u64 = 600;

/// The counts of a document's delivery account.
fn counts(document: &Value) -> [Option<u64>; 6] {
    ["expected", "delivered_once", "lost", "duplicates", "reordered", "foreign"]
        .map(|name| document["delivery"][name].as_u64())
}

fn assert_all_come(port: &str, more: &[&str]) {
    for qos in ["0", "1", "2"] {
        for (shape, copies) in SHAPES {
            let count = MESSAGES.to_string();
            let arguments = [&["--flood", "-C", &count, "-q", qos], shape, more].concat();
            let (document, code, stderr) = measure(port, &arguments);
            assert_eq!(code, 0, "{arguments:?}: {stderr}");
            let expected = MESSAGES * copies;
            let found = [Some(expected), Some(expected), Some(0), Some(0), Some(0), Some(0)];
            assert_eq!(counts(&document), found, "{arguments:?}: {stderr}");
            assert_eq!(document["traffic"]["sent"], MESSAGES, "{arguments:?}");
            assert_eq!(document["traffic"]["delivered"], expected, "{arguments:?}");
            assert_eq!(document["latency"]["e2e"]["count"], expected, "{arguments:?}");
            assert_eq!(document["plan"]["copies_per_message"], copies, "{arguments:?}");
        }
    }
}

#[test]
fn every_shape_delivers_everything() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    assert_all_come(&broker.port(), &[]);
    assert_eq!(broker.violations(), Vec::<String>::new());
}

#[test]
fn every_shape_delivers_everything_on_a_real_broker() {
    let Some(broker) = Mosquitto::start() else { return };
    assert_all_come(&broker.port(), &[]);
    assert_all_come(&broker.port(), &["-V", "5", "--size", "16..300", "--payload", "random"]);
}

#[test]
fn every_shape_delivers_everything_on_the_embedded_broker() {
    for (shape, copies) in SHAPES {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mqbench"));
        command.args(["--embedded", "--flood", "-C", "600", "-q", "1", "--json"]).args(shape);
        let (document, code, stderr) = crate::support::bench::measured(&mut command);
        assert_eq!(code, 0, "{shape:?}: {stderr}");
        assert_eq!(counts(&document)[..3], [Some(600 * copies), Some(600 * copies), Some(0)], "{shape:?}: {stderr}");
    }
}

#[test]
fn faults_of_a_fan_out_come_back_exactly() {
    at_once(["0", "1", "2"], |qos| {
        let script = Script::default()
            .drop_deliveries([3, 500, 501, 502, 1_700, 4_000, 4_001, 8_998])
            .repeat_deliveries([10, 2_000, 5_000, 8_000], Repeat::AsNew)
            .swap_deliveries([100, 3_000, 6_000])
            .without_log();
        let broker = ScriptedBroker::start(script);
        let arguments = ["--shape", "fan-out", "--clients", "3", "--flood", "-C", "3000", "--drain", "2s", "-q", qos];
        let (document, _, stderr) = measure(&broker.port(), &arguments);
        let found = [9_000, 8_992, 8, 4, 3, 0].map(Some);
        assert_eq!(counts(&document), found, "QoS {qos}: {stderr}");
        assert_eq!(document["traffic"]["delivered"], 8_996, "QoS {qos}");
        assert_eq!(broker.violations(), Vec::<String>::new());
    });
}

#[test]
fn faults_of_shared_subscriptions_come_back_exactly() {
    at_once(["0", "1", "2"], |qos| {
        let script = Script::default()
            .drop_deliveries([50, 300, 301, 302, 2_000, 5_900])
            .repeat_deliveries([700, 1_500], Repeat::AsNew)
            .pass_on_deliveries([101, 501, 1_001])
            .swap_deliveries([400, 900])
            .without_log();
        let broker = ScriptedBroker::start(script);
        let shape = ["--shape", "shared:2", "--pubs", "2", "--subs", "5", "--threads", "2"];
        let arguments = [&shape[..], &["--flood", "-C", "3000", "--drain", "2s", "-q", qos]].concat();
        let (document, _, stderr) = measure(&broker.port(), &arguments);
        // Lost: the six that were dropped. Twice: two at one member, and three that went to a second one as well.
        let found = [6_000, 5_994, 6, 5, 2, 0].map(Some);
        assert_eq!(counts(&document), found, "QoS {qos}: {stderr}");
        assert_eq!(document["status"], "ok", "{}", document["invalid"]);
        assert_eq!(broker.violations(), Vec::<String>::new());
    });
}

#[test]
fn a_group_goes_on_when_a_member_dies() {
    // Subscribers of a thread connect first: the second connection is one of the three members.
    let script = Script::default().fault([2], Trigger::Delivery(50), Action::Cut).without_log();
    let broker = ScriptedBroker::start(script);
    let shape = ["--shape", "shared:1", "--pubs", "1", "--subs", "3", "--threads", "1"];
    let arguments = [&shape[..], &["--flood", "-C", "2000", "-q", "1", "--drain", "2s"]].concat();
    let (document, code, stderr) = measure(&broker.port(), &arguments);
    assert_eq!((code, document["status"].as_str()), (1, Some("failed")), "{stderr}");
    assert!(stderr.contains("1 of 4 connections were lost"), "{stderr}");
    let [expected, once, lost, ..] = counts(&document).map(Option::unwrap_or_default);
    assert_eq!((expected, once + lost), (2_000, 2_000), "{}", document["delivery"]);
    // What was on its way to the member is gone with it: at most its window.
    assert!(once >= 1_800, "{}", document["delivery"]);
}

#[test]
fn a_group_has_no_outage_while_a_member_is_there() {
    let script = Script::default().fault([2], Trigger::Delivery(50), Action::Cut).without_log();
    let broker = ScriptedBroker::start(script);
    let shape = ["--shape", "shared:1", "--pubs", "2", "--subs", "3", "--threads", "1", "--reconnect", "200ms"];
    let load = ["--rate", "500", "--duration", "2s", "--warmup", "0s", "-q", "1", "--drain", "1s"];
    let (document, _, stderr) = measure(&broker.port(), &[&shape[..], &load[..]].concat());
    assert_eq!(document["clients"]["reconnects"].as_u64(), Some(1), "{stderr}");
    assert_eq!(document["delivery"]["outage_count"].as_u64(), Some(0), "{}", document["delivery"]);
}

#[test]
fn a_broker_without_shared_subscriptions() {
    let none = Property::new(PropertyName::SharedSubscriptionAvailable, PropertyValue::Byte(0)).unwrap();
    let broker = ScriptedBroker::start(Script::default().connack_property(none));
    let (stderr, code) = fail(&broker.port(), &["--shape", "shared:2", "-V", "5"]);
    assert_eq!(code, 158, "{stderr}");
    let expected = "\
        Error: 127.0.0.1:[..]: the broker refused to subscribe to $share/mqb-[..]/+: Shared Subscriptions not \
        supported (0x9e)\n\
        \x20 at client [..] of 20; no load was generated\n\
        \x20 this broker does not support shared subscriptions: remove $share (--shape shared)\n";
    assert_whole(&stderr, expected);
    let (stderr, code) = fail(&broker.port(), &["--pubs", "0", "-t", "$share/g/a", "-V", "5"]);
    assert_eq!(code, 158, "{stderr}");
    // Before 5.0 a broker can only refuse…
    let broker = ScriptedBroker::start(Script::default().refuse_subscribe(ReasonCode(0x9E)));
    let (stderr, code) = fail(&broker.port(), &["--shape", "shared:2"]);
    assert_eq!(code, 128, "{stderr}");
    let expected = "\
        Error: 127.0.0.1:[..]: the broker refused to subscribe to $share/mqb-[..]/+: Unspecified error (0x80)\n\
        \x20 at client [..] of 20; no load was generated\n\
        \x20 does this broker support shared subscriptions ($share), and is this user allowed to subscribe?\n";
    assert_whole(&stderr, expected);
    // … or takes the filter for one like any other, and nothing comes.
    let broker = ScriptedBroker::start(Script::default().without_groups());
    let arguments = ["--shape", "shared:2", "--flood", "-C", "50", "-q", "1", "--drain", "300ms", "--clients", "2"];
    let (document, code, stderr) = measure(&broker.port(), &arguments);
    assert_eq!((code, document["status"].as_str()), (1, Some("failed")), "{stderr}");
    let expected = "\
        Error: none of 100 messages arrived over the shared subscriptions: the broker does not seem to support \
        $share; with -V 5 a broker reports whether it supports them\n";
    assert_whole(&stderr, expected);
    assert_eq!(document["delivery"]["lost"], 100);
}

#[test]
fn receivers_share_a_subscription_that_was_given_by_hand() {
    let broker = ScriptedBroker::start(Script::default());
    let listening = [
        "--pubs",
        "0",
        "--subs",
        "2",
        "-t",
        "$share/g/#",
        "-t",
        "other",
        "--duration",
        "5s",
        "--warmup",
        "0s",
        "--json",
    ];
    let child = Running::start(&mut mqbench(&broker.port(), &listening));
    let filters = |received: &Received| matches!(received, Received::Subscribe(_));
    broker.wait_for("two subscribers", |log| log.count(filters) >= 2);
    let other = run(&mut mqbench(&broker.port(), &["--subs", "0", "--flood", "-C", "100", "--pubs", "1", "-q", "1"]));
    assert_eq!(code(&other), 0, "{other:?}");
    let output = child.finish();
    let document = document(&output.stdout);
    let delivered = document["traffic"]["delivered"].as_u64().unwrap();
    assert!((1..=100).contains(&delivered), "{delivered}: one of the two gets a message");
}

#[test]
fn topics_are_taken_in_turn() {
    let broker = ScriptedBroker::start(Script::default());
    let arguments = ["--flood", "-C", "60", "--clients", "4", "-q", "1", "-t", "a/%02i", "-t", "b/%i"];
    let (document, code, stderr) = measure(&broker.port(), &arguments);
    assert_eq!((code, document["delivery"]["delivered_once"].as_u64()), (0, Some(60)), "{stderr}");
    let log = broker.log();
    let topics: BTreeSet<&str> = log.publishes().map(|(message, ..)| message.topic.as_str()).collect();
    assert_eq!(topics, BTreeSet::from(["a/00", "a/02", "b/1", "b/3"]));
}

/// The payloads that a run publishes from one client, in order.
fn payloads(arguments: &[&str]) -> (Vec<Vec<u8>>, Value) {
    let broker = ScriptedBroker::start(Script::default());
    let (document, code, stderr) =
        measure(&broker.port(), &[&["--flood", "-C", "40", "--clients", "1", "-q", "1"], arguments].concat());
    assert_eq!(code, 0, "{arguments:?}: {stderr}");
    assert_eq!(document["delivery"]["delivered_once"], 40, "{arguments:?}");
    assert_eq!(document["delivery"]["corrupt"], 0, "{arguments:?}");
    let log = broker.log();
    let payloads: Vec<Vec<u8>> = log.publishes().map(|(message, ..)| message.payload.to_vec()).collect();
    let bytes: usize = payloads.iter().map(Vec::len).sum();
    assert_eq!(document["traffic"]["payload_bytes_out"].as_u64(), Some(bytes as u64), "{arguments:?}");
    assert_eq!(document["traffic"]["payload_bytes_in"].as_u64(), Some(bytes as u64), "{arguments:?}");
    (payloads, document)
}

#[test]
fn sizes_and_contents_follow_from_the_seed() {
    let drawn = ["--size", "16..400", "--payload", "random", "--seed", "7"];
    let (first, document) = payloads(&drawn);
    let sizes = |payloads: &[Vec<u8>]| payloads.iter().map(Vec::len).collect::<Vec<_>>();
    assert!(sizes(&first).iter().all(|size| (16..=400).contains(size)));
    assert!(sizes(&first).iter().collect::<BTreeSet<_>>().len() > 20, "{:?}", sizes(&first));
    assert_eq!(document["run"]["seed"], 7);
    let (again, _) = payloads(&drawn);
    let filling = |payloads: &[Vec<u8>]| payloads.iter().map(|payload| payload[16..].to_vec()).collect::<Vec<_>>();
    assert_eq!(filling(&first), filling(&again));
    let (others, _) = payloads(&["--size", "16..400", "--payload", "random", "--seed", "8"]);
    assert_ne!(sizes(&first), sizes(&others));
    let (texts, _) = payloads(&["--size", "300", "--payload", "text"]);
    assert!(texts.iter().all(|text| text.len() == 300 && text[16..].is_ascii() && text[16..] == texts[0][16..]));
    let (short, document) = payloads(&["--size", "1..15"]);
    assert!(short.iter().all(|payload| (1..16).contains(&payload.len())));
    assert!(document["warnings"].to_string().contains("no-stamp"));
}

#[test]
fn a_template_is_filled_in_for_every_message() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reading.json");
    std::fs::write(&file, r#"{"client":"%c","n":%s,"padded":"%03s","at":%t,"full":"100 %%"}"#).unwrap();
    let template = format!("template:{}", file.display());
    let (payloads, _) = payloads(&["--payload", &template, "-i", "dev-%i"]);
    for (number, payload) in payloads.iter().enumerate() {
        let reading: Value = serde_json::from_slice(payload).unwrap();
        assert_eq!((reading["client"].as_str(), reading["n"].as_u64()), (Some("dev-0"), Some(number as u64)));
        assert_eq!(reading["padded"], format!("{number:03}"));
        assert_eq!(reading["full"], "100 %");
        // After 2020, in milliseconds.
        assert!(reading["at"].as_u64().unwrap() > 1_577_836_800_000, "{reading}");
    }
}

#[test]
fn messages_without_a_stamp_are_counted_in_every_shape() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    for (shape, copies) in SHAPES.into_iter().filter(|(shape, _)| !shape.contains(&"b")) {
        let arguments = [&["--flood", "-C", "300", "-q", "1", "-m", "n %s"], shape].concat();
        let (document, code, stderr) = measure(&broker.port(), &arguments);
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        let found = [Some(300 * copies), Some(300 * copies), Some(0), None, None, Some(0)];
        assert_eq!(counts(&document), found, "{arguments:?}");
        // Between the members of a group there is no order to go by.
        let timed = !shape[1].starts_with("shared");
        assert_eq!(document["latency"]["e2e"].is_object(), timed, "{arguments:?}");
    }
}

#[test]
fn the_summary_has_the_rates_in_and_out() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    let summary = |arguments: &[&str]| {
        let output =
            run(&mut mqbench(&broker.port(), &[&["--flood", "-C", "400", "-q", "1", "--details"], arguments].concat()));
        crate::support::process::text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let text = summary(&["--shape", "fan-out", "--clients", "4"]);
    assert!(text.contains("fan-out, tcp") && text.contains("messages/s in and "), "{text}");
    assert!(text.contains("1 publisher → 4 subscribers, each message to all of them"), "{text}");
    assert!(text.contains("out (4 copies of each message)") && text.contains("in and out together"), "{text}");
    let text = summary(&["--shape", "shared:2", "--clients", "4"]);
    assert!(text.contains("4 subscribers in 2 shared groups, each message once to each group"), "{text}");
    assert!(!summary(&["--clients", "2"]).contains("in and out together"));
}
