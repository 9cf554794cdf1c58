//! mqbench --reconnect beside everything else: groups, counts, payloads of many sizes, sessions that are kept. What is
//! lost with a connection is counted, what is not is there, and nothing is taken for something else.

use serde_json::Value;

use crate::support::at_once::at_once;
use crate::support::bench::measure;
use crate::support::scripted_broker::{Action, Repeat, Script, ScriptedBroker, Trigger};

const RECONNECT: [&str; 4] = ["--reconnect", "100ms", "--drain", "2s"];

/// Measures, and looks whether the account is whole. A busy machine may make an open loop invalid for being late;
/// nothing else may be wrong.
fn account_of(broker: &ScriptedBroker, arguments: &[&str]) -> Value {
    let (document, code, stderr) = measure(&broker.port(), &[arguments, &RECONNECT].concat());
    assert!(matches!(code, 0 | 4), "{arguments:?}: {stderr}{:?}", broker.violations());
    let faults = document["invalid"].as_array().unwrap();
    let is_late = |fault: &Value| matches!(fault["code"].as_str(), Some("scheduling-lag" | "sent-below-offered"));
    assert!(faults.iter().all(is_late), "{arguments:?}: {faults:?}");
    let [expected, once, lost, corrupt, foreign] =
        ["expected", "delivered_once", "lost", "corrupt", "foreign"].map(|name| delivery(&document, name));
    assert_eq!((expected, corrupt, foreign), (once + lost, 0, 0), "{arguments:?}: {}", document["delivery"]);
    assert_eq!(broker.violations(), Vec::<String>::new(), "{arguments:?}");
    document
}

fn delivery(document: &Value, name: &str) -> u64 {
    document["delivery"][name].as_u64().unwrap_or_else(|| panic!("{name} in {}", document["delivery"]))
}

fn reconnects(document: &Value) -> u64 {
    document["clients"]["reconnects"].as_u64().unwrap()
}

#[test]
fn a_group_outlives_its_members_and_its_publishers() {
    // One thread: the five members connect first, then the two publishers. Of each group one member is cut.
    at_once(["0", "1", "2"], |qos| {
        let script = Script::default()
            .fault([2], Trigger::Delivery(100), Action::Cut)
            .fault([3], Trigger::Delivery(150), Action::CutInside)
            .fault([6], Trigger::ReceivedPublish(200), Action::Cut)
            .without_log();
        let broker = ScriptedBroker::start(script);
        let shape = ["--shape", "shared:2", "--pubs", "2", "--subs", "5", "--threads", "1", "-q", qos];
        let load = ["--rate", "1k", "--duration", "2s", "--warmup", "0s"];
        let document = account_of(&broker, &[&shape[..], &load].concat());
        assert_eq!(reconnects(&document), 3, "QoS {qos}");
        // A machine that is too busy does not send all of them.
        let sent = 2_000 - delivery(&document, "not_sent");
        assert_eq!(delivery(&document, "expected"), 2 * sent, "QoS {qos}: every message once to each group");
        // What was under way to two members and from one publisher, each with at most a window; the rest has come.
        assert!(delivery(&document, "lost") <= 4 * 100, "QoS {qos}: {}", document["delivery"]);
        // The publisher's: no group has ever been without members.
        let outages = document["delivery"]["outages"].as_array().unwrap();
        assert!(!outages.is_empty(), "QoS {qos}");
        for outage in outages {
            assert_eq!(outage["ended"], true, "QoS {qos}: {outage}");
            assert_eq!(outage["stream"], outages[0]["stream"], "QoS {qos}: {outages:?}");
            assert!(outage["dur_ns"].as_u64() >= Some(100_000_000), "{outage}");
        }
    });
}

#[test]
fn a_group_without_members_has_an_outage() {
    let script = Script::default().fault([1], Trigger::Delivery(100), Action::Cut).without_log();
    let broker = ScriptedBroker::start(script);
    let shape = ["--shape", "shared:1", "--pubs", "2", "--subs", "1", "--threads", "1", "-q", "1"];
    let load = ["--rate", "500", "--duration", "2s", "--warmup", "0s"];
    let document = account_of(&broker, &[&shape[..], &load].concat());
    assert_eq!((reconnects(&document), delivery(&document, "outage_count")), (1, 2), "{}", document["delivery"]);
    assert!(delivery(&document, "lost") > 0 && delivery(&document, "delivered_once") > 100, "{}", document["delivery"]);
}

#[test]
fn a_count_is_sent_whatever_is_lost() {
    at_once([("0", "--flood"), ("1", "--flood"), ("2", "--flood"), ("1", "--rate=2k")], |(qos, load)| {
        let script = Script::default()
            .fault([1], Trigger::Delivery(300), Action::Cut)
            .fault([3], Trigger::ReceivedPublish(500), Action::Cut)
            .fault([5, 6], Trigger::ReceivedPublish(200), Action::CutUnanswered)
            .without_log();
        let broker = ScriptedBroker::start(script);
        let arguments = ["--pubs", "2", "--subs", "2", "--threads", "1", "-q", qos, load, "-C", "4000"];
        let document = account_of(&broker, &arguments);
        assert!(reconnects(&document) >= 2, "QoS {qos}");
        assert_eq!(document["status"], if document["invalid"] == serde_json::json!([]) { "ok" } else { "invalid" });
        let sent = document["traffic"]["sent"].as_u64();
        assert_eq!((sent, delivery(&document, "expected")), (Some(4_000), 4_000), "QoS {qos} {load}");
        if qos != "0" {
            let [acked, unacked] = [&document["traffic"]["acked"], &document["delivery"]["unacked"]].map(Value::as_u64);
            assert_eq!(acked.unwrap() + unacked.unwrap(), 4_000, "QoS {qos} {load}");
        }
    });
}

#[test]
fn payloads_of_many_sizes_are_what_was_sent() {
    at_once([("0", "zero"), ("1", "random"), ("2", "text")], |(qos, payload)| {
        let script = Script::default()
            .fault([1], Trigger::SentBytes(100_000), Action::Cut)
            // More than two windows: at QoS 2 nothing is delivered before the first one has its PUBREL.
            .fault([3], Trigger::ReceivedBytes(400_000), Action::Cut)
            // One of them is the publisher again. Subscribers never send as much.
            .fault([5, 6], Trigger::ReceivedBytes(90_000), Action::Cut)
            .without_log();
        let broker = ScriptedBroker::start(script);
        let clients = ["--pubs", "2", "--subs", "2", "--threads", "1", "-q", qos, "--size", "16..3000"];
        let document = account_of(&broker, &[&clients[..], &["--payload", payload, "--flood", "-C", "3000"]].concat());
        assert!(reconnects(&document) >= 2, "QoS {qos}");
        let sent = document["traffic"]["sent"].as_u64();
        assert_eq!((sent, delivery(&document, "expected")), (Some(3_000), 3_000), "QoS {qos}");
        assert_eq!(delivery(&document, "duplicates"), 0, "QoS {qos}");
    });
}

#[test]
fn a_session_that_is_kept_delivers_what_waited() {
    at_once([("1", &["-V", "311"][..]), ("2", &["-V", "311"]), ("1", &["-V", "5", "-x", "60"])], |(qos, version)| {
        // Subscribers are cut in the middle of a message, and one of them again.
        let script = Script::default()
            .fault([1, 2], Trigger::Delivery(200), Action::CutInside)
            .fault([5], Trigger::Delivery(300), Action::Cut)
            .without_log();
        let broker = ScriptedBroker::start(script);
        let clients = ["--pubs", "2", "--subs", "2", "--threads", "1", "-q", qos, "-c"];
        let load = ["--rate", "1k", "--duration", "2s", "--warmup", "0s"];
        let document = account_of(&broker, &[&clients[..], version, &load].concat());
        assert_eq!(reconnects(&document), 3, "QoS {qos}");
        let found = ["expected", "delivered_once", "lost", "reordered"].map(|name| delivery(&document, name));
        assert_eq!(found, [2_000, 2_000, 0, 0], "QoS {qos} {version:?}: {}", document["delivery"]);
        // What was under way comes again, and says so.
        let [twice, flagged] = ["duplicates", "dup_flagged"].map(|name| delivery(&document, name));
        assert_eq!(twice, flagged, "QoS {qos} {version:?}");
        assert!(qos == "1" || twice == 0, "QoS {qos} {version:?}: {twice}");
    });
}

#[test]
fn a_kept_session_of_a_publisher_sends_again_what_was_not_answered() {
    for qos in ["1", "2"] {
        let script = Script::default()
            .fault([2], Trigger::ReceivedPublish(300), Action::CutUnanswered)
            .fault([3], Trigger::ReceivedPublish(300), Action::Cut)
            .repeat_deliveries([900], Repeat::WithDup)
            .without_log();
        let broker = ScriptedBroker::start(script);
        let arguments = ["--pubs", "1", "--subs", "1", "-q", qos, "-c", "--flood", "-C", "3000", "--threads", "1"];
        let document = account_of(&broker, &arguments);
        assert_eq!((reconnects(&document), delivery(&document, "expected")), (2, 3_000), "QoS {qos}");
        assert_eq!(
            ["lost", "unacked"].map(|name| delivery(&document, name)),
            [0, 0],
            "QoS {qos}: {}",
            document["delivery"]
        );
        let again = document["traffic"]["sent_again"].as_u64().unwrap();
        assert!(again > 0, "QoS {qos}");
        // At QoS 1 what the broker had taken comes twice, and the one that it repeated by itself; at QoS 2 nothing
        // does.
        let twice = delivery(&document, "duplicates");
        assert!(
            if qos == "1" { (1..=again + 1).contains(&twice) } else { twice == 0 },
            "QoS {qos}: {twice} of {again}"
        );
        assert_eq!(broker.violations(), Vec::<String>::new(), "QoS {qos}");
    }
}
