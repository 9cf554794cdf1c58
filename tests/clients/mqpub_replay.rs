//! mqpub --replay: what was recorded comes again, byte for byte, in its rhythm or as fast as possible.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mqtools::mqtt::{Message, ReasonCode};
use tempfile::TempDir;

use crate::support::mqbroker::Mqbroker;
use crate::support::scripted_broker::{Action, Script, ScriptedBroker, Trigger};
use crate::support::tool::{self, Ended, Tool};

const MQPUB: &str = env!("CARGO_BIN_EXE_mqpub");
const MQSUB: &str = env!("CARGO_BIN_EXE_mqsub");

fn mqpub(port: &str, more: &[&str], stdin: &[u8]) -> Ended {
    tool::run(MQPUB, &[&["-h", "127.0.0.1", "-p", port], more].concat(), stdin)
}

/// A file with these lines.
fn file(name: &str, content: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

/// Lines with these times in milliseconds; the payload is the number of the line.
fn lines(times_ms: &[u64]) -> String {
    (1..).zip(times_ms).fold(String::new(), |mut text, (number, ms)| {
        let (seconds, ms) = (1_795_228_242 + ms / 1000, ms % 1000);
        let _ = writeln!(text, r#"{{"ts":{seconds}.{ms:03}000,"topic":"t/{number}","payload":"{number}"}}"#);
        text
    })
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn summary(ended: &Ended) -> serde_json::Value {
    serde_json::from_str(ended.stderr.lines().last().unwrap_or_default()).expect(&ended.stderr)
}

fn topics(broker: ScriptedBroker) -> Vec<String> {
    broker.wait_for("the end", |log| log.ended() == 1);
    let log = broker.stop();
    log.publishes().map(|(message, ..): (&Message, _, _)| message.topic.clone()).collect()
}

/// What mqsub has recorded is sent again; recorded once more it is the same, whatever the bytes are.
#[test]
fn a_recording_comes_back_byte_for_byte() {
    const COUNT: usize = 2_000;
    let broker = Mqbroker::start("listener 0 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n");
    let port = broker.port();
    let folder = tempfile::tempdir().unwrap();
    let payload = |number: usize| match number % 4 {
        0 => format!("\"payload\":\"plain {number}\""),
        1 => format!("\"payload\":\"\\u0000\\n\\u202e {number}\""),
        2 => "\"payload_b64\":\"/wD+\"".to_owned(),
        _ => "\"payload\":\"\"".to_owned(),
    };
    let source: String = (0..COUNT)
        .map(|number| {
            format!(
                "{{\"topic\":\"a/{number}\",\"qos\":{},\"retain\":false,{},\"properties\":{{\"user-properties\":[{{\"n\":\"{number}\"}},\
                 {{\"n\":\"2\"}}],\"content-type\":\"x\"}}}}\n",
                number % 3,
                payload(number)
            )
        })
        .collect();
    let count = COUNT.to_string();
    let record = |file: &Path| {
        let arguments =
            ["-h", "127.0.0.1", "-p", &port, "-V", "5", "-q", "2", "-t", "#", "-C", &count, "-d", "--record"];
        let mut recorder = Tool::start(MQSUB, &[&arguments[..], &[text(file)]].concat());
        recorder.wait_for_stderr("received SUBACK");
        recorder
    };
    let first = folder.path().join("first.ndjson.zst");
    let recorder = record(&first);
    assert_eq!(mqpub(&port, &["--json", "-V", "5"], source.as_bytes()).code, Some(0));
    assert_eq!(recorder.end().code, Some(0));
    let again = folder.path().join("again.ndjson.gz");
    let recorder = record(&again);
    let ended = mqpub(&port, &["--replay", text(&first), "--speed", "max", "-V", "5", "--summary", "json"], b"");
    assert_eq!((ended.code, &summary(&ended)["sent"]), (Some(0), &COUNT.into()), "{}", ended.stderr);
    assert_eq!(summary(&ended)["lateness_ms"], serde_json::Value::Null);
    assert_eq!(recorder.end().code, Some(0));
    // All but the times and the identifiers of the deliveries.
    let messages = |path: &Path| -> Vec<serde_json::Value> {
        let content = std::fs::read(path).unwrap();
        let content = match path.extension().unwrap().to_str() {
            Some("zst") => zstd::decode_all(&content[..]).unwrap(),
            _ => {
                let mut text = Vec::new();
                std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&content[..]), &mut text).unwrap();
                text
            }
        };
        let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let mut message: serde_json::Value = serde_json::from_slice(line).unwrap();
                for key in ["time", "ts", "mid"] {
                    message.as_object_mut().unwrap().shift_remove(key);
                }
                message
            })
            .collect()
    };
    let source: Vec<serde_json::Value> = source.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (first, again) = (messages(&first), messages(&again));
    // Within a QoS the order holds.
    for qos in 0..3 {
        let of = |list: &[serde_json::Value]| -> Vec<String> {
            list.iter().filter(|message| message["qos"] == qos).map(ToString::to_string).collect()
        };
        assert_eq!(of(&first), of(&source));
        assert_eq!(of(&again), of(&source));
    }
}

#[test]
fn the_rhythm_is_kept_and_its_error_is_reported() {
    let (_folder, path) = file("a.ndjson", lines(&[0, 200, 200, 600]).as_bytes());
    for (more, least_ms) in [(&[][..], 600), (&["--speed", "2"], 300), (&["--loop", "2", "--speed", "4"], 350)] {
        let broker = ScriptedBroker::start(Script::default());
        let began = Instant::now();
        let more = [&["--replay", text(&path), "-q", "1", "--summary", "json"], more].concat();
        let ended = mqpub(&broker.port(), &more, b"");
        assert!(began.elapsed() >= Duration::from_millis(least_ms), "{more:?} took {:?}", began.elapsed());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let late = &summary(&ended)["lateness_ms"];
        let [p50, p99, max] = ["p50", "p99", "max"].map(|key| late[key].as_f64().unwrap());
        assert!((0.0..=p99).contains(&p50) && p99 <= max, "{late}");
        let rounds = if more.contains(&"--loop") { 2 } else { 1 };
        assert_eq!(topics(broker), ["t/1", "t/2", "t/3", "t/4"].repeat(rounds));
    }
}

#[test]
fn a_message_that_is_due_while_there_is_no_broker_follows_after_the_reconnect() {
    let broker = ScriptedBroker::start(Script::default().fault(1, Trigger::ReceivedPublish(2), Action::Cut));
    let (_folder, path) = file("r.ndjson", lines(&[0, 100, 200, 300, 2_000]).as_bytes());
    let ended = mqpub(&broker.port(), &["--replay", text(&path), "-q", "1"], b"");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let log = broker.stop();
    let mut payloads: Vec<_> = log.accepted.iter().map(|payload| payload[0]).collect();
    payloads.dedup();
    assert_eq!(payloads, b"12345");
}

#[test]
fn irregular_times_are_reported() {
    let mut content = lines(&[5_000, 5_010, 5_000]);
    content.push_str("{\"topic\":\"t/4\",\"payload\":\"\"}\n");
    let broker = ScriptedBroker::start(Script::default());
    let ended = mqpub(&broker.port(), &["--replay", "-"], content.as_bytes());
    assert_eq!(ended.code, Some(0));
    assert_eq!(
        ended.stderr,
        "Warning: 1 message has no time: sent without a pause\n\
         Warning: 1 message has an earlier time than the one before: sent without a pause\n"
    );
    assert_eq!(topics(broker), ["t/1", "t/2", "t/3", "t/4"]);
}

#[test]
fn topics_can_be_mapped() {
    let broker = ScriptedBroker::start(Script::default());
    let content = "{\"topic\":\"site/a/temp\",\"payload\":\"1\"}\n{\"topic\":\"other\",\"payload\":\"2\"}\n\
                   {\"topic\":\"site\",\"payload\":\"3\"}\n";
    let more = ["--replay", "-", "--speed", "max", "--map", "site/+/temp=t/+", "--map", "site/#=copy/#"];
    assert_eq!(mqpub(&broker.port(), &more, content.as_bytes()).code, Some(0));
    assert_eq!(topics(broker), ["t/a", "other", "copy"]);
}

#[test]
fn what_is_complete_of_a_cut_recording_is_sent() {
    let all = lines(&[0, 1, 2]);
    let (_folder, path) = file("cut.ndjson", &all.as_bytes()[..all.len() - 10]);
    let broker = ScriptedBroker::start(Script::default());
    let ended = mqpub(&broker.port(), &["--replay", text(&path), "-q", "1"], b"");
    let expected = "cut.ndjson is cut off: it ends after 2 complete lines, in the middle of the next one\n";
    assert!(ended.code == Some(1) && ended.stderr.ends_with(expected), "{:?} {}", ended.code, ended.stderr);
    assert_eq!(topics(broker), ["t/1", "t/2"]);
    let ended = mqpub("1", &["--replay", "/no/such/file"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.starts_with("Error: cannot open /no/such/file: "), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn an_interrupted_replay_leaves_with_a_summary() {
    let (_folder, path) = file("long.ndjson", lines(&[0, 10, 3_600_000]).as_bytes());
    let broker = ScriptedBroker::start(Script::default());
    let arguments = ["-h", "127.0.0.1", "-p", &broker.port(), "--replay", text(&path), "-q", "1", "--summary", "json"];
    let replay = Tool::start(MQPUB, &arguments);
    broker.wait_for("two messages", |log| log.acknowledged.len() == 2);
    replay.signal("INT");
    let ended = replay.end();
    assert_eq!(ended.signal, Some(2), "{}", ended.stderr);
    let figures = summary(&ended);
    assert_eq!((&figures["acknowledged"], &figures["unacknowledged"]), (&2.into(), &0.into()), "{figures}");
    broker.wait_for("the end", |log| log.ended() == 1);
    assert_eq!(broker.stop().disconnects(ReasonCode::SUCCESS), 1);
}
