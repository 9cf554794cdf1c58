//! mqsub --record: what is acknowledged is in the file, whatever ends the tool.

#![cfg(unix)]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use mqtools::message_json::{MessageDefaults, read_message};
use mqtools::mqtt::wire::AckKind;
use mqtools::mqtt::{Message, ProtocolVersion, QoS};

use crate::mqsub::{MQSUB, acks, arguments, numbered, publish, run, start};
use crate::support::process::Running;
use crate::support::raw_client::message;
use crate::support::scripted_broker::{Action, Script, ScriptedBroker};
use crate::support::tool;

use QoS::{AtLeastOnce, AtMostOnce};

const NAMES: [&str; 3] = ["r.ndjson", "r.ndjson.gz", "r.ndjson.zst"];

/// The lines of a recording, which must be complete.
fn lines(path: &Path) -> Vec<String> {
    let content = fs::read(path).unwrap();
    let mut text = String::new();
    match path.extension().unwrap().to_str().unwrap() {
        "gz" => drop(flate2::read::MultiGzDecoder::new(&content[..]).read_to_string(&mut text).unwrap()),
        "zst" => text = String::from_utf8(zstd::decode_all(&content[..]).unwrap()).unwrap(),
        _ => text = String::from_utf8(content).unwrap(),
    }
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(str::to_owned).collect()
}

fn messages(path: &Path) -> Vec<Message> {
    let defaults = MessageDefaults { version: ProtocolVersion::V5, wants_time: true, ..MessageDefaults::default() };
    let read = |line: &String| {
        let read = read_message(&line.to_owned().into(), &defaults).unwrap();
        assert!(read.received_us.is_some_and(|time| time > 1_000_000_000_000_000), "{line}");
        read.message
    };
    lines(path).iter().map(read).collect()
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        let path = folder.path().join(name);
        let broker = ScriptedBroker::start(Script::default());
        let file = path.to_str().unwrap();
        let mut subscriber = start(&broker, &["-t", "t", "-q", "1", "--record", file]);
        for round in numbered(60, AtLeastOnce).chunks(7) {
            publish(&broker, round);
        }
        broker.wait_for("the acknowledgements", |log| acks(log, AckKind::Puback) >= 60);
        subscriber.kill();
        assert!(subscriber.end().stdout.is_empty(), "nothing is printed beside a recording");
        assert_eq!(messages(&path), numbered(60, AtLeastOnce), "{name}");
    }
}

#[test]
fn a_signal_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (name, (signal, number)) in NAMES.into_iter().zip([("INT", 2), ("TERM", 15), ("HUP", 1)]) {
        let path = folder.path().join(name);
        let broker = ScriptedBroker::start(Script::default());
        // The last message is seen on stdout, so that all of them have arrived.
        let mut subscriber = start(&broker, &["-t", "t", "-v", "--record", path.to_str().unwrap()]);
        publish(&broker, &numbered(20, AtMostOnce));
        (1..=20).for_each(|number| assert_eq!(subscriber.line(), format!("t {number}\n")));
        subscriber.signal(signal);
        let ended = subscriber.end();
        assert_eq!(ended.signal, Some(number), "{}", ended.stderr);
        let note = format!("Note: recorded 20 messages to {}", path.display());
        assert!(ended.stderr.starts_with(&note), "{}", ended.stderr);
        assert_eq!(messages(&path), numbered(20, AtMostOnce), "{name}");
    }
}

#[test]
fn only_what_counts_is_recorded_and_a_lost_connection_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.ndjson.zst");
    let broker = ScriptedBroker::start(Script::default());
    let file = path.to_str().unwrap();
    let more = ["-t", "#", "-T", "no/#", "-C", "3", "--record", file, "--backoff", "10ms"];
    let subscriber = start(&broker, &more);
    publish(&broker, &[message("a", "1", AtMostOnce), message("no/x", "2", AtMostOnce), message("b", "3", AtMostOnce)]);
    let ended = {
        broker.act_on_all(&Action::Cut);
        broker.wait_for("a second SUBSCRIBE", |log| log.count(crate::mqsub::is_subscribe) >= 2);
        publish(&broker, &[message("c", "4", AtMostOnce), message("d", "5", AtMostOnce)]);
        subscriber.end()
    };
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let topics: Vec<String> = messages(&path).into_iter().map(|message| message.topic).collect();
    assert_eq!(topics, ["a", "b", "c"]);
}

#[test]
fn a_file_that_exists_is_continued_or_replaced_when_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        let path = folder.path().join(name);
        let file = path.to_str().unwrap();
        let record = |number: &str, more: &[&str]| {
            let broker = ScriptedBroker::start(Script::default());
            let subscriber = start(&broker, &[&["-t", "t", "-C", "1", "-q", "1", "--record", file], more].concat());
            publish(&broker, &[message("t", number, AtLeastOnce)]);
            let ended = subscriber.end();
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            let payloads =
                messages(&path).into_iter().map(|message| String::from_utf8(message.payload.into()).unwrap());
            payloads.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(record("1", &[]), "1");
        let broker = ScriptedBroker::start(Script::default());
        let refused = run(&broker, &["-t", "t", "--record", file]);
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains("exists already\nHint: add --append"), "{}", refused.stderr);
        assert_eq!(broker.log().connects().count(), 0, "nothing was asked of the broker");
        assert_eq!(record("2", &["--append"]), "1 2");
        assert_eq!(record("3", &["--force"]), "3");
    }
}

#[test]
fn a_full_disk_ends_it_with_a_file_that_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        let path = folder.path().join(name);
        let broker = ScriptedBroker::start(Script::default());
        let port = broker.port();
        let mqsub = arguments(&port, &["-t", "t", "-q", "1", "--record", path.to_str().unwrap()]);
        // As a disk that is full after 4 KB: a write is cut short, then fails.
        let script = "trap '' XFSZ; ulimit -f 4; exec \"$@\"";
        let mut command = tool::command("bash", &["-c", script, "bash", MQSUB]);
        let subscriber = Running::start(command.args(mqsub));
        broker.wait_for("SUBSCRIBE", |log| log.count(crate::mqsub::is_subscribe) > 0);
        // Each is large enough to fill it soon, and of bytes that do not compress well.
        let mut random = 1u64;
        let sent: Vec<Message> = (0..80)
            .map(|_| {
                let payload: String = (0..20)
                    .map(|_| {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        format!("{random:016x}")
                    })
                    .collect();
                message("t", payload, AtLeastOnce)
            })
            .collect();
        sent.chunks(1).for_each(|one| publish(&broker, one));
        let output = subscriber.finish();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with(&format!("Error: cannot write to {}: ", path.display())), "{stderr}");
        let recorded = messages(&path);
        let hint = format!("Hint: {} is complete up to there: {} messages", path.display(), recorded.len());
        assert!(stderr.contains(&hint), "{stderr}");
        assert!(recorded.len() > 3 && recorded[..] == sent[..recorded.len()], "{name}: {}", recorded.len());
        assert!(acks(&broker.stop(), AckKind::Puback) <= recorded.len(), "more was acknowledged than is recorded");
    }
}

#[test]
fn files_follow_each_other_by_size_and_overwrite_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.ndjson");
    fs::write(folder.path().join("r-0001.ndjson"), "theirs\n").unwrap();
    let broker = ScriptedBroker::start(Script::default());
    let more = ["-t", "t", "-q", "1", "-C", "40", "--record", file.to_str().unwrap(), "--rotate", "1k"];
    let subscriber = start(&broker, &more);
    publish(&broker, &numbered(40, AtLeastOnce));
    let ended = subscriber.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("recorded 40 messages to "), "{}", ended.stderr);
    let mut all = Vec::new();
    for number in 2.. {
        let path = folder.path().join(format!("r-{number:04}.ndjson"));
        if !path.exists() {
            assert!(number > 5, "{number}");
            break;
        }
        assert!(fs::metadata(&path).unwrap().len() <= 1000);
        all.extend(messages(&path));
    }
    assert_eq!(all, numbered(40, AtLeastOnce));
    assert_eq!(fs::read_to_string(folder.path().join("r-0001.ndjson")).unwrap(), "theirs\n");
}

#[test]
fn two_tools_do_not_write_to_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.ndjson");
    let broker = ScriptedBroker::start(Script::default());
    let first = start(&broker, &["-t", "t", "--record", path.to_str().unwrap()]);
    let second = run(&broker, &["-t", "t", "--record", path.to_str().unwrap(), "--append"]);
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("another process is recording to"), "{}", second.stderr);
    first.signal("INT");
    assert_eq!(first.end().signal, Some(2));
}

/// What the standard programs make of it, not only our own decoder.
#[test]
fn jq_reads_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.ndjson.gz");
    let broker = ScriptedBroker::start(Script::default());
    let subscriber = start(&broker, &["-t", "t", "-C", "2", "--record", path.to_str().unwrap()]);
    publish(&broker, &numbered(2, AtMostOnce));
    assert_eq!(subscriber.end().code, Some(0));
    let output = Command::new("sh")
        .args(["-c", "gzip -dc \"$1\" | jq -r .payload", "sh", path.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n2\n", "{}", String::from_utf8_lossy(&output.stderr));
}
