//! Brokers that are stopped and started under a stream of lines: nothing is lost, and at QoS 2 nothing comes twice
//! while the session is kept.
//!
//! The full size, 200,000 lines and five restarts for each QoS, takes some minutes:
//! `cargo test --test clients restarts -- --ignored --nocapture`.

#![cfg(unix)]

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use mqtools::mqtt::wire::{AckKind, PacketType};
use serde_json::Value;

use crate::support::mosquitto::Mosquitto;
use crate::support::scripted_broker::{Action, Received, Script, ScriptedBroker, Trigger};
use crate::support::tool::{self, Ended, Tool};

const MQPUB: &str = env!("CARGO_BIN_EXE_mqpub");
const MQSUB: &str = env!("CARGO_BIN_EXE_mqsub");

/// How much is sent, and how often the broker is away meanwhile.
#[derive(Clone, Copy)]
struct Size {
    lines: usize,
    restarts: usize,
}

const SMALL: Size = Size { lines: 6000, restarts: 2 };
const FULL: Size = Size { lines: 200_000, restarts: 5 };
/// mosquitto numbers what it queues for a client that is away with its 65,535 Packet Identifiers when it queues it, and
/// beyond them it publishes new messages under identifiers that it has not released.
const FULL_AWAY: Size = Size { lines: 60_000, restarts: 5 };

impl Size {
    /// The lines are fed in one part more than there are restarts; the broker goes away while one of them is under way.
    fn part(self, number: usize) -> RangeInclusive<usize> {
        let parts = self.restarts + 1;
        self.lines * number / parts + 1..=self.lines * (number + 1) / parts
    }

    /// Feeds a part.
    fn feed(self, publisher: &mut Tool, number: usize) {
        publisher.feed(self.part(number).map(|number| format!("line {number}\n")).collect::<String>().as_bytes());
    }
}

fn publisher(port: &str, qos: &str, more: &[&str]) -> Tool {
    let arguments =
        ["-h", "127.0.0.1", "-p", port, "-t", "t", "-l", "-q", qos, "--backoff", "50ms", "--summary", "json"];
    Tool::start(MQPUB, &[&arguments[..], more].concat())
}

/// The last line of stderr, as the object that it is.
fn summary(ended: &Ended) -> Value {
    let line = ended.stderr.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {}", ended.stderr))
}

/// What is missing, and how many came more than once.
fn missing_and_repeated(came: impl Iterator<Item = String>, size: Size) -> (Vec<String>, usize) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for line in came {
        *counts.entry(line).or_default() += 1;
    }
    let missing = (1..=size.lines).map(|number| format!("line {number}")).filter(|line| !counts.contains_key(line));
    (missing.collect(), counts.values().map(|count| count - 1).sum())
}

fn check_summary(ended: &Ended, size: Size) -> Value {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let summary = summary(ended);
    for (key, value) in [("messages", size.lines), ("sent", size.lines), ("acknowledged", size.lines)] {
        assert_eq!(summary[key], value, "{key}: {summary}");
    }
    for key in ["unacknowledged", "refused"] {
        assert_eq!(summary[key], 0, "{key}: {summary}");
    }
    assert_eq!(summary["reconnects"], size.restarts, "{summary}");
    summary
}

/// What the subscriber does while the broker goes and comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// It is connected too, and loses its connection each time.
    Connected,
    /// It is away and fetches everything at the end, so that only the publisher's connection is cut.
    Away,
}

fn line_of(tool: &mut Tool) -> String {
    tool.line().trim_end().to_owned()
}

/// mosquitto with persistence, ended by SIGTERM: its subscriber's and its publisher's session survive.
fn mosquitto_restarts(qos: &str, size: Size, reader: Reader) {
    // Its own default: without a bound it gives one Packet Identifier to several messages in flight.
    let configuration = "allow_anonymous true\npersistence true\npersistence_location {folder}/\n\
                         max_inflight_messages 20\n";
    // mosquitto gives up root, and then must be able to write there.
    let open = |folder: &std::path::Path| {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    };
    let Some(mut broker) = Mosquitto::start_with(configuration, open) else { return };
    let port = broker.port();
    let to_broker = ["-h", "127.0.0.1", "-p", &port, "-t", "t", "-q"];
    let subscription = [&to_broker[..], &[qos, "-c", "-i", "reader"]].concat();
    let subscribed = tool::run(MQSUB, &[&subscription[..], &["-E"]].concat(), b"");
    assert_eq!(subscribed.code, Some(0), "{}", subscribed.stderr);
    let connected = [&subscription[..], &["--backoff", "50ms", "-d"]].concat();
    let mut early = (reader == Reader::Connected).then(|| Tool::start(MQSUB, &connected));
    let mut publisher = publisher(&port, qos, &["-c", "-i", "writer", "-d"]);
    let mut came = Vec::new();
    size.feed(&mut publisher, 0);
    for restart in 0..size.restarts {
        publisher.wait_for_stderr("received CONNACK");
        publisher.wait_for_stderr("received PUB");
        while let Some(reader) = &mut early
            && came.len() < *size.part(restart).start()
        {
            came.push(line_of(reader));
        }
        size.feed(&mut publisher, restart + 1);
        broker.stop();
        broker.start_again();
    }
    let ended = publisher.end();
    let summary = check_summary(&ended, size);
    // Behind everything else, from the same client, so that it comes last.
    let end = [&to_broker[..], &[qos, "-c", "-i", "writer", "-m", "end"]].concat();
    assert_eq!(tool::run(MQPUB, &end, b"").code, Some(0));
    let mut late = early.unwrap_or_else(|| Tool::start(MQSUB, &connected));
    while came.last().is_none_or(|line| line != "end") {
        came.push(line_of(&mut late));
    }
    came.pop();
    late.signal("TERM");
    let read = late.end();
    assert_eq!(read.signal, Some(15));
    let again = published_after_pubrel(&read.stderr);
    let all = came.len();
    let in_order = came.iter().zip(1..).all(|(line, number)| *line == format!("line {number}"));
    let (missing, repeated) = missing_and_repeated(came.into_iter(), size);
    eprintln!(
        "mosquitto, QoS {qos}, reader {reader:?}: {all} came, {} missing, {repeated} repeated, of which mosquitto \
         published {again} again after its own PUBREL; mqpub: {summary}",
        missing.len()
    );
    assert_eq!(missing, [""; 0]);
    if qos == "2" {
        assert_eq!(repeated, again, "QoS 2 with a session that is kept");
        assert!(in_order || again > 0, "QoS 2 keeps the order");
        assert!(reader == Reader::Connected || again == 0, "a connection that is not cut");
    }
}

/// How many QoS 2 messages the broker published again, with DUP, after it had sent their PUBREL: what mosquitto 2.0 now
/// and then does to its subscribers after a restart, against MQTT-4.3.3-1. No subscriber can tell such a message from a
/// new one under the same identifier.
fn published_after_pubrel(log: &str) -> usize {
    let number_behind = |line: &str, mark: &str| {
        let digits: String = line.split_once(mark)?.1.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u16>().ok()
    };
    let mut released = HashSet::new();
    let mut again = 0;
    for line in log.lines() {
        if line.contains("received PUBREL") {
            released.extend(number_behind(line, "(Mid: "));
        } else if line.contains("received PUBLISH (d") {
            let was_released = number_behind(line, ", m").is_some_and(|identifier| released.remove(&identifier));
            again += usize::from(was_released && line.contains("(d1,"));
        }
    }
    again
}

/// A broker that notes what it took and what it acknowledged.
fn scripted_restarts(qos: &str, size: Size, more: &[&str], script: Script) -> (Value, usize) {
    let mut broker = ScriptedBroker::start(script);
    let mut publisher = publisher(&broker.port(), qos, more);
    size.feed(&mut publisher, 0);
    for restart in 0..size.restarts {
        broker.wait_for("its share", |log| log.accepted.len() >= *size.part(restart).start());
        size.feed(&mut publisher, restart + 1);
        broker.go_away();
        broker.come_back().unwrap();
    }
    let ended = publisher.end();
    let summary = check_summary(&ended, size);
    let log = broker.stop();
    assert_eq!(log.violations, [""; 0]);
    let text = |payload: &Bytes| String::from_utf8_lossy(payload).into_owned();
    let (missing, repeated) = missing_and_repeated(log.accepted.iter().map(text), size);
    let (unacknowledged, _) = missing_and_repeated(log.acknowledged.iter().map(text), size);
    eprintln!(
        "scripted, QoS {qos} {more:?}: {} taken, {} missing, {} unacknowledged, {repeated} repeated; mqpub: {summary}",
        log.accepted.len(),
        missing.len(),
        unacknowledged.len()
    );
    assert_eq!((missing, unacknowledged), (Vec::new(), Vec::new()));
    (summary, repeated)
}

fn kept(qos: &str, size: Size) {
    let (summary, repeated) = scripted_restarts(qos, size, &["-c", "-i", "writer"], Script::default());
    assert_eq!(summary["maybe_duplicated"], 0);
    if qos == "2" {
        assert_eq!(repeated, 0);
    }
}

/// Without a session QoS 2 may come twice, and never more often than mqpub says.
fn not_kept(size: Size) {
    let (summary, repeated) = scripted_restarts("2", size, &[], Script::default());
    assert!(summary["maybe_duplicated"].as_u64().unwrap() >= repeated as u64, "{repeated} repeated, {summary}");
}

#[test]
fn lines_of_qos_1_survive_restarts_of_mosquitto() {
    mosquitto_restarts("1", SMALL, Reader::Connected);
}

#[test]
fn lines_of_qos_2_come_once_through_restarts_of_mosquitto() {
    mosquitto_restarts("2", SMALL, Reader::Connected);
    mosquitto_restarts("2", SMALL, Reader::Away);
}

#[test]
fn what_a_broker_acknowledged_it_has() {
    kept("1", SMALL);
    kept("2", SMALL);
}

#[test]
fn duplicates_of_a_lost_session_are_counted() {
    not_kept(SMALL);
}

#[test]
#[ignore = "takes some minutes"]
fn full_size() {
    for qos in ["1", "2"] {
        kept(qos, FULL);
        mosquitto_restarts(qos, FULL, Reader::Connected);
        mosquitto_restarts(qos, FULL_AWAY, Reader::Away);
    }
    not_kept(FULL);
}

#[test]
fn a_message_whose_pubrec_came_is_never_published_again() {
    // The third packet of the first connection is the PUBREL: the client has the PUBREC, the broker not the PUBREL.
    // On the second connection the PUBREL takes effect, and its PUBCOMP is lost.
    let script = Script::default().fault([1], Trigger::ReceivedPacket(3), Action::Cut).fault(
        [2],
        Trigger::ReceivedPacket(2),
        Action::CutUnanswered,
    );
    let broker = ScriptedBroker::start(script);
    let port = broker.port();
    let arguments = ["-h", "127.0.0.1", "-p", &port, "-t", "t", "-l", "-q", "2", "-M", "1", "-c", "-i", "writer"];
    let ended = tool::run(MQPUB, &[&arguments[..], &["--backoff", "10ms", "--quiet"]].concat(), b"one\ntwo\n");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    broker.wait_for("the end", |log| log.ended() == 3);
    let log = broker.stop();
    for connection in [2, 3] {
        let second = log.of_connection(connection).nth(1);
        assert!(matches!(second, Some(Received::Ack(ack)) if ack.kind == AckKind::Pubrel), "{second:?}");
    }
    assert_eq!(log.accepted, ["one", "two"]);
    assert_eq!(log.publishes().filter(|(message, _, _)| message.payload == "one").count(), 1);
    assert_eq!(log.violations, [""; 0]);
}

#[test]
fn a_publish_without_an_answer_is_sent_again_with_dup() {
    let script = Script::default().fault([1], Trigger::ReceivedPublish(1), Action::CutUnanswered);
    let broker = ScriptedBroker::start(script.omit(PacketType::Pingresp, 1..));
    let port = broker.port();
    let arguments = ["-h", "127.0.0.1", "-p", &port, "-t", "t", "-l", "-q", "2", "-c", "-i", "writer"];
    let ended = tool::run(MQPUB, &[&arguments[..], &["--backoff", "10ms", "--quiet"]].concat(), b"one\n");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let log = broker.stop();
    let sent: Vec<_> = log.publishes().map(|(message, identifier, dup)| (&*message.payload, identifier, dup)).collect();
    // A kept session begins at its own identifier.
    let identifier = sent[0].1;
    assert_eq!(sent, [(&b"one"[..], identifier, false), (b"one", identifier, true)]);
    assert_eq!(log.accepted, ["one"]);
}
