//! mqsub --retained --once: the set of retained messages, dumped, listed and removed; and --stats.

use std::time::Duration;

use mqtools::broker::{BrokerSettings, EmbeddedBroker};
use mqtools::mqtt::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use mqtools::mqtt::wire::{PacketType, RetainHandling};
use mqtools::mqtt::{Message, ProtocolVersion, ReasonCode};
use serde_json::{Value, json};

use super::mqsub::{MQSUB, arguments, publish, run, start};
use crate::support::mosquitto::Mosquitto;
use crate::support::raw_client::{RawClient, message};
use crate::support::scripted_broker::{Action, Received, Script, ScriptedBroker, Trigger};
use crate::support::tool::{self, Ended, Tool};
use crate::support::whole::assert_whole;

/// Publishes this many retained messages, of all three QoS.
fn fill(port: &str, count: usize) {
    let addr = format!("127.0.0.1:{port}").parse().unwrap();
    let mut publisher = RawClient::connect(addr, ProtocolVersion::V5, "filler");
    for number in 0..count {
        let payload = vec![b'x'; number % 50];
        let payload = [format!("{number} ").as_bytes(), &payload].concat();
        let retained = Message { retain: true, ..message(&format!("r/{number}"), payload, AtLeastOnce) };
        publisher.publish(&retained, 1, false);
        publisher.receive_ack();
    }
}

fn mqsub(port: &str, more: &[&str]) -> Ended {
    tool::run(MQSUB, &arguments(port, more), b"")
}

const ONCE: [&str; 4] = ["-t", "#", "--retained", "--once"];
const MARKER: &str =
    "Note: all retained messages have come: the marker that mqsub published after subscribing came back";

/// What every broker must do: all of the set and nothing else, at each QoS and version, whatever else is published.
fn set_is_whole(port: &str) {
    const COUNT: usize = 300;
    fill(port, COUNT);
    for (qos, version) in [("0", "311"), ("1", "5"), ("2", "311"), ("2", "5")] {
        let ended = mqsub(port, &[&ONCE[..], &["--json", "-q", qos, "-V", version, "-d"]].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let mut numbers: Vec<usize> = ended
            .lines()
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|object| {
                assert_eq!(object["retain"], true);
                object["topic"].as_str().unwrap().strip_prefix("r/").unwrap().parse().unwrap()
            })
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..COUNT).collect::<Vec<_>>(), "QoS {qos}, {version}");
        assert!(ended.stderr.contains(MARKER), "{}", ended.stderr);
    }
}

#[test]
fn the_set_of_mqbroker_is_whole() {
    let broker = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
    set_is_whole(&broker.local_addr().port().to_string());
}

#[test]
fn the_set_of_mosquitto_is_whole() {
    // With the window that it has where nobody configures it, messages of QoS 1 and 2 wait in a queue.
    let configuration = "allow_anonymous true\nmax_inflight_messages 20\nmax_queued_messages 1000\n";
    let Some(broker) = Mosquitto::start_with(configuration, |_| {}) else { return };
    set_is_whole(&broker.port());
}

#[test]
fn a_broker_without_retained_messages_is_no_failure() {
    let broker = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
    let ended = mqsub(&broker.local_addr().port().to_string(), &ONCE);
    assert_eq!((ended.code, ended.text().as_str(), ended.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn a_marker_that_is_refused_is_replaced_by_a_quiet_time() {
    let Some(broker) = Mosquitto::start_with("allow_anonymous true\nacl_file {folder}/acl\n", |folder| {
        let reader = "user reader\ntopic read mqsub/#\ntopic read r/#\n";
        std::fs::write(folder.join("acl"), format!("topic readwrite r/#\n{reader}")).unwrap();
    }) else {
        return;
    };
    fill(&broker.port(), 3);
    // Not allowed to subscribe to it, and not allowed to publish to it, for which this broker closes the connection.
    for more in [&[][..], &["-u", "reader"]] {
        for version in ["311", "5"] {
            let once = ["-t", "r/#", "-F", "%t", "--retained", "--once", "-d", "-V", version];
            let ended = mqsub(&broker.port(), &[&once[..], more].concat());
            assert_eq!((ended.code, ended.lines().len()), (Some(0), 3), "{}", ended.stderr);
            assert!(ended.stderr.contains("nothing more came for a second"), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_marker_that_costs_the_connection_is_sent_once() {
    let cut = |script: Script| script.fault(1, Trigger::ReceivedPublish(1), Action::Cut);
    let broker = ScriptedBroker::start(cut(Script::default()));
    let ended = run(&broker, &["-t", "r/#", "--retained", "--once", "-d"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("there was no marker"), "{}", ended.stderr);
    assert_eq!(broker.log().publishes().count(), 1);
}

#[test]
fn without_a_marker_nothing_is_published() {
    let broker = ScriptedBroker::start(Script::default());
    let ended = run(&broker, &["-t", "r/#", "--retained", "--once", "--no-marker"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // A kept session would keep the marker's subscription.
    let ended = run(&broker, &["-t", "r/#", "--retained", "--once", "-c", "-i", "kept"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let log = broker.stop();
    assert_eq!(log.publishes().count(), 0);
    let filters = log.count(|packet| matches!(packet, Received::Subscribe(subscribe) if subscribe.filters.len() == 1));
    assert_eq!(filters, 2);
}

#[test]
fn retained_messages_behind_the_marker_are_waited_for() {
    // As brokers do that read them beside the order of packets: the marker is the first PUBLISH of this connection.
    let late = Action::Send(b"\x31\x06\x00\x03a/bx".to_vec());
    let broker = ScriptedBroker::start(Script::default().fault(1, Trigger::Delivery(1), late));
    let ended = run(&broker, &["-t", "a/#", "--retained", "--once", "-v", "-d"]);
    assert_eq!((ended.code, ended.text().as_str()), (Some(0), "a/b x\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains(MARKER), "{}", ended.stderr);
    // The marker is no retained message, and asks for nothing but itself.
    let log = broker.stop();
    let (marker, _, _) = log.publishes().next().unwrap();
    assert!(!marker.retain && marker.topic.ends_with("/end-of-retained"), "{marker:?}");
    let asked = log.count(|packet| match packet {
        Received::Subscribe(subscribe) => {
            subscribe.filters[0].filter == marker.topic
                && subscribe.filters[0].retain_handling == RetainHandling::Always
        }
        _ => false,
    });
    assert_eq!(asked, 1);
}

#[test]
fn live_messages_are_not_part_of_the_set() {
    let broker = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
    let port = broker.local_addr().port().to_string();
    fill(&port, 1);
    // Without --once it goes on, and shows the retained ones only.
    let mut subscriber = Tool::start(MQSUB, &arguments(&port, &["-t", "r/#", "-v", "--retained", "-d"]));
    assert_eq!(subscriber.line(), "r/0 0 \n");
    let mut publisher = RawClient::connect(broker.local_addr(), ProtocolVersion::V5, "live");
    publisher.publish(&message("r/live", "x", AtMostOnce), 0, false);
    publisher.publish(&message("r/live", "x", AtLeastOnce), 1, false);
    publisher.receive_ack();
    subscriber.signal("INT");
    let ended = subscriber.end();
    assert_eq!((ended.signal, ended.text().as_str()), (Some(2), "r/0 0 \n"));
}

#[test]
fn removal_is_listed_first_and_counted() {
    let broker = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
    let port = broker.local_addr().port().to_string();
    fill(&port, 3);
    let tree = ["-t", "r/#", "--retained", "--once", "--remove-retained"];
    let sorted = |ended: &Ended| {
        let mut lines = ended.lines();
        lines.sort();
        lines
    };
    let [plain, verbose] = [["0 ", "1 x", "2 xx"], ["r/0 0 ", "r/1 1 x", "r/2 2 xx"]];
    for (more, expected) in [(&["--dry-run"][..], plain), (&["--dry-run", "-v"], verbose)] {
        let ended = mqsub(&port, &[&tree[..], more].concat());
        let note = "Note: 3 retained messages would be removed; --dry-run removes nothing\n";
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), note));
        assert_eq!(sorted(&ended), expected);
    }
    // What is printed does not depend on --dry-run.
    let ended = mqsub(&port, &[&tree[..], &["-T", "r/1", "-v"]].concat());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), "Note: removed 2 retained messages\n"));
    assert_eq!(sorted(&ended), ["r/0 0 ", "r/2 2 xx"]);
    let ended = mqsub(&port, &[&ONCE[..], &["-F", "%t"]].concat());
    assert_eq!((ended.code, ended.lines()), (Some(0), vec!["r/1".to_owned()]));
    // What -C ends is not said to be all.
    let ended = mqsub(&port, &[&ONCE[..], &["-C", "1", "-d"]].concat());
    assert!(ended.code == Some(0) && !ended.stderr.contains("all retained messages"), "{}", ended.stderr);
    let ended = mqsub(&port, &tree);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), "Note: removed 1 retained message\n"));
    assert_eq!(mqsub(&port, &ONCE).text(), "");
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_at_the_end_is_an_error() {
    let broker = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
    let port = broker.local_addr().port().to_string();
    fill(&port, 1);
    // The table of --stats comes when nothing else is left to do.
    for (end, code) in [(["-C", "1"], 1), (["-W", "1"], 27)] {
        let more = [&["-t", "r/#", "--stats", "1m"][..], &end].concat();
        let all = [&["-c", "\"$@\" > /dev/full", "bash", MQSUB][..], &arguments(&port, &more)].concat();
        let ended = tool::run("bash", &all, b"");
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert!(ended.stderr.contains("Error: cannot write to stdout: "), "{}", ended.stderr);
    }
}

#[test]
fn a_removal_that_is_refused_is_not_counted() {
    let script = Script::default().refuse_publishes(1.., ReasonCode(0x87)).fault(
        1,
        Trigger::ReceivedPacket(3),
        Action::Send(b"\x31\x07\x00\x03a/b\x00x".to_vec()),
    );
    let broker = ScriptedBroker::start(script.delay(PacketType::Pingresp, Duration::from_millis(1)));
    let more = ["-t", "a/#", "--retained-only", "--remove-retained", "-V", "5"];
    let ended = run(&broker, &more);
    assert_eq!(ended.code, Some(135), "{}", ended.stderr);
    let expected = "\
        Error: cannot remove the retained message of a/b: Not authorized (0x87)\n\
        Note: removed 0 retained messages\n";
    assert_whole(&ended.stderr, expected);
}

/// The acknowledgements of removals come behind all that the broker has sent before.
#[test]
fn any_number_is_removed() {
    const COUNT: usize = 5000;
    let broker = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
    let port = broker.local_addr().port().to_string();
    let mut publisher = RawClient::connect(broker.local_addr(), ProtocolVersion::V5, "filler");
    for number in 0..COUNT {
        publisher.publish(&Message { retain: true, ..message(&format!("r/{number}"), "x", AtMostOnce) }, 0, false);
    }
    publisher.publish(&message("end", "", AtLeastOnce), 1, false);
    publisher.receive_ack();
    let ended = mqsub(&port, &["-t", "r/#", "--retained", "--once", "--remove-retained"]);
    assert_eq!((ended.code, ended.lines().len()), (Some(0), COUNT), "{}", ended.stderr);
    assert_eq!(ended.stderr, "Note: removed 5,000 retained messages\n");
    let ended = mqsub(&port, &["-t", "r/#", "--retained", "--once"]);
    assert_eq!((ended.code, ended.lines().len()), (Some(0), 0), "{}", ended.stderr);
}

/// While nobody takes what came, nothing is read, and the time is no silence of the broker.
#[cfg(unix)]
#[test]
fn a_slow_reader_of_stdout_makes_no_silence() {
    const COUNT: usize = 400;
    let broker = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
    let port = broker.local_addr().port().to_string();
    let mut publisher = RawClient::connect(broker.local_addr(), ProtocolVersion::V5, "filler");
    for number in 0..COUNT {
        let retained = Message { retain: true, ..message(&format!("r/{number}"), vec![b'x'; 9999], AtLeastOnce) };
        publisher.publish(&retained, 1, false);
        publisher.receive_ack();
    }
    let script = "\"$@\" | { sleep 5; wc -l; }; exit ${PIPESTATUS[0]}";
    for (more, code) in [(&["--retained", "--once", "--no-marker"][..], 0), (&["--silent-after", "4s"], 41)] {
        let all = [&["-c", script, "bash", MQSUB][..], &arguments(&port, &[&["-t", "r/#"], more].concat())].concat();
        let ended = tool::run("bash", &all, b"");
        assert_eq!((ended.code, ended.text().trim()), (Some(code), COUNT.to_string().as_str()), "{more:?} {ended:?}");
    }
}

#[test]
fn figures_of_each_topic_go_into_a_pipe_as_json() {
    let broker = ScriptedBroker::start(Script::default());
    let mut subscriber = start(&broker, &["-t", "#", "--stats", "50ms", "-q", "2"]);
    publish(&broker, &[message("a", "1", AtLeastOnce), message("b", "\u{1b}[2J", ExactlyOnce)]);
    let (mut topics, mut line) = (vec![], Value::Null);
    while topics.len() < 2 {
        line = serde_json::from_str(&subscriber.line()).unwrap();
        topics.push(line["topic"].as_str().unwrap().to_owned());
    }
    assert_eq!(topics, ["a", "b"]);
    assert_eq!(
        (&line["messages"], &line["total_bytes"], &line["payload"]),
        (&json!(1), &json!(4), &json!("\u{1b}[2J"))
    );
    publish(&broker, &[message("a", "22", AtLeastOnce)]);
    let line: Value = serde_json::from_str(&subscriber.line()).unwrap();
    assert_eq!((&line["topic"], &line["messages"], &line["total_messages"]), (&json!("a"), &json!(1), &json!(2)));
    subscriber.signal("INT");
    let ended = subscriber.end();
    assert_eq!(ended.signal, Some(2));
    let totals: Value = serde_json::from_str(ended.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&totals["totals"], &totals["topics"], &totals["messages"], &totals["bytes"]),
        (&json!(true), &json!(2), &json!(3), &json!(7))
    );
}

#[test]
fn totals_come_at_every_end() {
    for (more, code) in [(&["-C", "2"][..], 0), (&["-W", "1"], 27), (&["--until", "=2"], 0)] {
        let broker = ScriptedBroker::start(Script::default());
        let subscriber = start(&broker, &[&["-t", "#", "--stats", "-q", "1"], more].concat());
        publish(&broker, &[message("a", "1", AtLeastOnce), message("a", "2", AtLeastOnce)]);
        let ended = subscriber.end();
        let lines: Vec<Value> = ended.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        let (first, last) = (&lines[0], lines.last().unwrap());
        assert_eq!((&first["topic"], &last["messages"]), (&json!("a"), &json!(2)), "{more:?}");
    }
}
