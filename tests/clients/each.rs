//! A command or a file for each message: mqsub --run and --to-dir.

#![cfg(unix)]

use std::fs;
use std::path::Path;

use mqtools::mqtt::wire::AckKind;
use mqtools::mqtt::{Message, ProtocolVersion, QoS};

use crate::mqsub::{MQSUB, acks, arguments, numbered, publish, run, start};
use crate::support::raw_client::{RawClient, message};
use crate::support::scripted_broker::{Script, ScriptedBroker};
use crate::support::tool::{Ended, Tool};
use crate::support::whole::assert_whole;

use QoS::{AtLeastOnce, AtMostOnce};

/// Runs it on messages of which it gets as many as they are.
fn handle(messages: &[Message], more: &[&str]) -> Ended {
    let broker = ScriptedBroker::start(Script::default());
    let count = messages.len().to_string();
    let subscriber = start(&broker, &[&["-t", "#", "-q", "1", "-C", &count], more].concat());
    publish(&broker, messages);
    subscriber.end()
}

#[test]
fn a_command_gets_topic_and_payload_and_no_shell_sees_them() {
    let hostile = "a b/$(touch owned)/;echo x";
    let messages = [
        Message { payload: "one\ntwo".into(), ..message(hostile, "", AtLeastOnce) },
        message("x/y/z", vec![0, 255, b'\n'], AtMostOnce),
    ];
    let ended = handle(
        &messages,
        &["--run", "sh -c 'printf \"%s|\" \"$@\" \"$MQTT_TOPIC\"; cat' sh {topic} {topic[3]} {qos}{retain}"],
    );
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut expected = format!("{hostile}|;echo x|10|{hostile}|one\ntwo").into_bytes();
    expected.extend(b"x/y/z|z|00|x/y/z|\x00\xff\n");
    assert_eq!(ended.stdout, expected);
    assert_eq!(ended.stderr, "");
}

#[test]
fn commands_follow_each_other_in_the_order_of_the_messages() {
    let ended = handle(&numbered(30, AtLeastOnce), &["--run", "sh -c 'cat; echo'"]);
    let expected: Vec<String> = (1..=30).map(|number| number.to_string()).collect();
    assert_eq!((ended.code, ended.lines()), (Some(0), expected), "{}", ended.stderr);
}

/// With one job after the other none of these would ever end: each waits until all three run.
#[test]
fn several_run_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let all = folder.path().display();
    let meet = format!("sh -c 'touch {all}/$1; until [ $(ls {all} | wc -l) -ge 3 ]; do sleep 0.02; done' sh {{topic}}");
    let messages = ["a", "b", "c"].map(|topic| message(topic, "", AtLeastOnce));
    let ended = handle(&messages, &["--jobs", "3", "--run", &meet]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn a_message_is_acknowledged_when_its_command_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let wait =
        format!("sh -c 'read n; echo $n; [ $n = 2 ] || exit 0; until [ -e {} ]; do sleep 0.02; done'", go.display());
    let broker = ScriptedBroker::start(Script::default());
    let mut subscriber = start(&broker, &["-t", "t", "-q", "1", "-C", "3", "--jobs", "2", "--run", &wait]);
    publish(&broker, &numbered(3, AtLeastOnce));
    let mut seen = [subscriber.line(), subscriber.line(), subscriber.line()];
    seen.sort();
    assert_eq!(seen, ["1\n", "2\n", "3\n"]);
    // The third has started, so that the first or the second has ended: and the second waits.
    broker.wait_for("the first acknowledgement", |log| acks(log, AckKind::Puback) == 1);
    fs::write(go, "").unwrap();
    let ended = subscriber.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    broker.wait_for("all acknowledgements", |log| acks(log, AckKind::Puback) == 3);
}

#[test]
fn failures_are_named_counted_and_fail_the_run() {
    let messages: Vec<Message> = (0..9).map(|number| message(&format!("t/{number}"), "", AtLeastOnce)).collect();
    let ended =
        handle(&messages, &["--run", "sh -c 'case $1 in 7) kill -9 $$;; 8) exit 0;; esac; exit 3' sh {topic[2]}"]);
    assert_eq!(ended.code, Some(1));
    let first = "Warning: --run: the command for t/0 has ended with status 3\n";
    assert!(ended.stderr.starts_with(first), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("Warning: ").count(), 5, "{}", ended.stderr);
    let last = "Error: --run: 8 of 9 commands failed: 7 with status 3, 1 with signal 9\n";
    assert!(ended.stderr.ends_with(last), "{}", ended.stderr);
}

#[test]
fn a_topic_does_not_become_an_option() {
    let messages = [message("-n", "", AtLeastOnce), message("a", "", AtLeastOnce)];
    let ended = handle(&messages, &["--run", "echo {topic}"]);
    assert_eq!((ended.code, ended.text().as_str()), (Some(1), "a\n"));
    assert!(
        ended.stderr.contains("the command for -n was not run: its topic would become an option"),
        "{}",
        ended.stderr
    );
    let expected = "\
        Warning: --run: the command for -n was not run: its topic would become an option; with -- before the \
        placeholder it would not\n\
        Error: --run: 1 of 2 commands failed: 1 not run\n";
    assert_whole(&ended.stderr, expected);
}

#[test]
fn wrong_commands_are_refused() {
    let broker = ScriptedBroker::start(Script::default());
    for (command, code, text) in [
        ("sh -c 'echo {topic}'", 2, "use \"$MQTT_TOPIC\""),
        ("{topic}", 2, "the program must not be a placeholder"),
        ("echo {topics}", 2, "there is no {topics}: the placeholders are {topic}"),
        ("echo 'a", 2, "is not closed"),
    ] {
        let ended = run(&broker, &["-t", "t", "--run", command]);
        assert_eq!(ended.code, Some(code), "{command}");
        assert!(ended.stderr.contains(text), "{}", ended.stderr);
    }
    let ended = handle(&numbered(1, AtLeastOnce), &["--run", "/no/such/program {topic}"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stderr, "Error: --run: cannot run /no/such/program: there is no such program\n");
}

#[test]
fn a_signal_is_passed_on_and_the_rest_is_left() {
    let broker = ScriptedBroker::start(Script::default());
    let command = "sh -c 'trap \"echo got it; exit 1\" TERM; echo up; while :; do sleep 0.02; done'";
    let mut subscriber = start(&broker, &["-t", "t", "-q", "1", "--run", command]);
    publish(&broker, &numbered(3, AtLeastOnce));
    assert_eq!(subscriber.line(), "up\n");
    subscriber.signal("TERM");
    let ended = subscriber.end();
    assert_eq!(ended.signal, Some(15), "{}", ended.stderr);
    assert_eq!(ended.text(), "up\ngot it\n", "no second command is begun");
    assert_eq!(acks(&broker.stop(), AckKind::Puback), 1);
}

/// While commands are behind nothing is read: memory stays bounded, and the broker keeps what it is not rid of.
#[test]
fn commands_that_go_on_in_spite_of_a_signal_are_killed() {
    let broker = ScriptedBroker::start(Script::default());
    let stubborn = "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 1; done'";
    let mut subscriber = start(&broker, &["-t", "t", "-q", "1", "--jobs", "2", "--run", stubborn]);
    publish(&broker, &numbered(2, AtLeastOnce));
    assert_eq!((subscriber.line(), subscriber.line()), ("ready\n".into(), "ready\n".into()));
    subscriber.signal("TERM");
    let ended = subscriber.end();
    assert_eq!(ended.signal, Some(15), "{}", ended.stderr);
    let report = "Warning: --run: 2 commands still ran 5 s after the signal and were killed\n";
    assert!(ended.stderr.contains(report), "{}", ended.stderr);
    assert!(ended.stderr.contains("2 of 2 commands failed: 2 with signal 9"), "{}", ended.stderr);
    assert_eq!(acks(&broker.stop(), AckKind::Puback), 2);
}

#[test]
fn a_command_that_is_slow_holds_the_broker_up() {
    const COUNT: u16 = 300;
    let broker = ScriptedBroker::start(Script::default().without_log());
    let more = ["-t", "t", "--jobs", "4", "--run", "sh -c 'sleep 0.01; cat >/dev/null; echo'"];
    let mut subscriber = Tool::start(MQSUB, &arguments(&broker.port(), &[&more[..], &["--ready-fd", "2"]].concat()));
    subscriber.wait_for_stderr("ready\n");
    let address = broker.addr();
    let publisher = std::thread::spawn(move || {
        let mut publisher = RawClient::connect(address, ProtocolVersion::V5, "publisher");
        for number in 1..=COUNT {
            publisher.publish(&message("t", vec![b'x'; 100_000], AtLeastOnce), number, false);
            publisher.receive_ack();
        }
    });
    (0..COUNT).for_each(|_| assert_eq!(subscriber.line(), "\n"));
    publisher.join().unwrap();
    if let Ok(status) = fs::read_to_string(format!("/proc/{}/status", subscriber.id())) {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
        assert!(peak.parse::<u64>().unwrap() < 25_000, "{peak} kB for messages of 30 MB");
    }
    subscriber.signal("INT");
}

fn content(folder: &Path) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .filter(|(name, _)| !name.starts_with('.'))
        .collect();
    found.sort();
    found
}

#[test]
fn each_topic_has_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let messages = [
        message("sensor/1", "old", AtLeastOnce),
        message("../../x", "out", AtLeastOnce),
        message("sensor/1", "new", AtLeastOnce),
        message(".", "", AtLeastOnce),
    ];
    let ended = handle(&messages, &["--to-dir", path.to_str().unwrap()]);
    assert_eq!((ended.code, ended.text().as_str()), (Some(0), ""), "{}", ended.stderr);
    let expected = [("%2E", ""), ("%2E.%2F..%2Fx", "out"), ("sensor%2F1", "new")];
    assert_eq!(content(&path), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is beside it");
    // Again into the same folder, printed as well.
    let ended = handle(&[message("b", "2", AtLeastOnce)], &["-v", "--to-dir", path.to_str().unwrap()]);
    assert_eq!((ended.code, ended.text().as_str()), (Some(0), "b 2\n"), "{}", ended.stderr);
    assert_eq!(content(&path).len(), 4);
}

#[test]
fn what_was_received_when_the_time_is_over_is_in_its_file() {
    let broker = ScriptedBroker::start(Script::default());
    let folder = tempfile::tempdir().unwrap();
    let subscriber = start(&broker, &["-t", "#", "-W", "1", "--to-dir", folder.path().to_str().unwrap()]);
    publish(&broker, &numbered(40_000, AtMostOnce));
    let ended = subscriber.end();
    let number_behind = |text: &str| {
        let number = ended.stderr.split_once(text).unwrap().1.trim_start().split(' ').next().unwrap();
        number.replace(',', "")
    };
    assert_eq!(ended.code, Some(27), "{}", ended.stderr);
    assert_eq!(number_behind("received"), number_behind("Note:"), "{}", ended.stderr);
}

#[test]
fn each_message_has_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let more = ["--to-dir", folder.path().to_str().unwrap(), "--to-dir-per", "message"];
    let ended = handle(&numbered(12, AtLeastOnce), &more);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let found = content(folder.path());
    let payloads: Vec<String> = found.iter().map(|(_, payload)| payload.clone()).collect();
    assert_eq!(payloads, (1..=12).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(found[0].0.ends_with("Z-000001-t"), "{found:?}");
}

#[test]
fn what_is_acknowledged_is_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let broker = ScriptedBroker::start(Script::default());
    let more = ["-t", "#", "-q", "1", "--to-dir", folder.path().to_str().unwrap(), "--to-dir-per", "message"];
    let mut subscriber = start(&broker, &more);
    publish(&broker, &numbered(50, AtLeastOnce));
    broker.wait_for("the acknowledgements", |log| acks(log, AckKind::Puback) == 50);
    subscriber.kill();
    assert_eq!(content(folder.path()).len(), 50);
}

#[test]
fn a_folder_of_others_is_refused_before_anything_is_asked_of_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    let broker = ScriptedBroker::start(Script::default());
    let ended = run(&broker, &["-t", "t", "--to-dir", folder.path().to_str().unwrap()]);
    assert_eq!(ended.code, Some(1));
    let expected = "\
        Error: --to-dir: /tmp/[..] has files that are not of mqsub\n\
        Hint: choose an empty folder, or one that does not exist\n";
    assert_whole(&ended.stderr, expected);
    assert_eq!(broker.log().connects().count(), 0);
}

/// All at once, and the message is acknowledged when the last of them has it.
#[test]
fn printed_recorded_filed_and_run() {
    let folder = tempfile::tempdir().unwrap();
    let (record, files) = (folder.path().join("r.ndjson.zst"), folder.path().join("files"));
    let messages = numbered(40, AtLeastOnce);
    let more = [
        "-v",
        "-T",
        "no",
        "--record",
        record.to_str().unwrap(),
        "--to-dir",
        files.to_str().unwrap(),
        "--to-dir-per",
        "message",
        "--run",
        "sh -c 'cat >&2; echo >&2'",
    ];
    let ended = handle(&messages, &more);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let numbers: Vec<String> = (1..=40).map(|number| number.to_string()).collect();
    assert_eq!(ended.lines(), numbers.iter().map(|number| format!("t {number}")).collect::<Vec<_>>());
    let commands: Vec<&str> = ended.stderr.lines().filter(|line| !line.starts_with("Note: ")).collect();
    assert_eq!(commands, numbers);
    assert_eq!(content(&files).len(), 40);
    let recorded = String::from_utf8(zstd::decode_all(&fs::read(record).unwrap()[..]).unwrap()).unwrap();
    assert_eq!(recorded.lines().count(), 40);
}
