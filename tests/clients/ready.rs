//! What mqsub does once the subscriptions stand: --exec, --ready-fd, --ready-file.

#![cfg(unix)]

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

use mqtools::mqtt::QoS;
use mqtools::mqtt::wire::PacketType;

use crate::mqsub::{MQSUB, arguments, is_subscribe, publish, run, start};
use crate::support::process::{PATIENCE, Running};
use crate::support::raw_client::message;
use crate::support::scripted_broker::{Action, Received, Script, ScriptedBroker};
use crate::support::tool::{self, Tool};

const MQPUB: &str = env!("CARGO_BIN_EXE_mqpub");

#[test]
fn a_command_runs_once_subscribed_and_what_it_publishes_comes() {
    let broker = ScriptedBroker::start(Script::default());
    let command = format!("{MQPUB} -h 127.0.0.1 -p {} -t 'a b' -m 'hello  world'", broker.port());
    let ended = run(&broker, &["-t", "a b", "-W", "60", "--exec", &command]);
    assert_eq!((ended.code, ended.text().as_str()), (Some(0), "hello  world\n"), "{}", ended.stderr);
    let log = broker.stop();
    let place = |wanted: fn(&Received) -> bool| log.received.iter().position(|(_, packet)| wanted(packet)).unwrap();
    assert!(place(is_subscribe) < place(|packet| matches!(packet, Received::Publish { .. })));
}

#[test]
fn the_status_of_the_command_is_ours() {
    let broker = ScriptedBroker::start(Script::default());
    for (command, code, text) in [
        ("true", 0, ""),
        ("sh -c 'exit 3'", 3, "Error: --exec: sh has ended with status 3\n"),
        ("sh -c 'kill -9 $$'", 137, "Error: --exec: sh has ended with signal 9\n"),
        ("/no/such", 1, "Error: --exec: cannot run /no/such: there is no such program\n"),
    ] {
        // A command that fails ends the run though -C is not reached.
        let count: &[&str] = if code == 0 { &[] } else { &["-C", "5"] };
        let ended = run(&broker, &[&["-t", "t", "-W", "60", "--exec", command], count].concat());
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(code), text), "{command}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_command_and_that_is_no_failure() {
    let broker = ScriptedBroker::start(Script::default());
    let port = broker.port();
    let publish = format!("{MQPUB} -h 127.0.0.1 -p {port} -t t -m x");
    let endless = format!("sh -c 'while {publish}; do sleep 0.05; done; exit 9'");
    let script = "\"$@\" | head -n 1; exit ${PIPESTATUS[0]}";
    let all = [&["-c", script, "bash", MQSUB][..], &arguments(&port, &["-t", "t", "--exec", &endless])].concat();
    let ended = tool::run("bash", &all, b"");
    assert_eq!((ended.code, ended.text().as_str(), ended.stderr.as_str()), (Some(0), "x\n", ""));
}

#[test]
fn with_a_count_both_are_awaited() {
    let broker = ScriptedBroker::start(Script::default());
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let wait = format!("sh -c 'echo up; until [ -e {} ]; do sleep 0.05; done'", go.display());
    let mut subscriber = start(&broker, &["-t", "t", "-C", "1", "--exec", &wait]);
    // Its stdout is our stderr.
    subscriber.wait_for_stderr("up\n");
    publish(&broker, &[message("t", "1", QoS::AtMostOnce)]);
    assert_eq!(subscriber.line(), "1\n");
    assert!(!subscriber.has_ended(), "the command still runs");
    fs::write(go, "").unwrap();
    assert_eq!(subscriber.end().code, Some(0));
    let mut subscriber = start(&broker, &["-t", "t", "-C", "1", "--exec", "sh -c 'echo done'"]);
    subscriber.wait_for_stderr("done\n");
    publish(&broker, &[message("t", "2", QoS::AtMostOnce)]);
    let ended = subscriber.end();
    assert_eq!((ended.code, ended.text().as_str()), (Some(0), "2\n"));
}

const TRAPS: &str = "sh -c 'trap \"echo got it; exit 0\" TERM INT HUP; echo up; while :; do sleep 0.05; done'";

#[test]
fn signals_are_passed_on_and_the_end_is_awaited() {
    for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        let broker = ScriptedBroker::start(Script::default());
        let mut subscriber = start(&broker, &["-t", "t", "--exec", TRAPS]);
        subscriber.wait_for_stderr("up\n");
        subscriber.signal(name);
        let ended = subscriber.end();
        assert_eq!(ended.signal, Some(number), "{}", ended.stderr);
        assert!(ended.stderr.ends_with("got it\n"), "{}", ended.stderr);
    }
}

#[test]
fn a_command_that_is_stopped_is_ended_too() {
    let broker = ScriptedBroker::start(Script::default());
    let ended = run(&broker, &["-t", "t", "-W", "1", "--exec", "sh -c 'kill -STOP $$'"]);
    assert_eq!(ended.code, Some(27), "{}", ended.stderr);
}

#[test]
fn the_time_limit_ends_the_command_too() {
    let broker = ScriptedBroker::start(Script::default());
    let ended = run(&broker, &["-t", "t", "-W", "1", "--exec", TRAPS]);
    assert_eq!(ended.code, Some(27), "{}", ended.stderr);
    assert!(ended.stderr.contains("got it\n"), "{}", ended.stderr);
}

#[test]
fn a_command_that_goes_on_in_spite_of_a_signal_is_killed() {
    let broker = ScriptedBroker::start(Script::default());
    let stubborn = "sh -c 'trap \"\" TERM INT; echo ready >&2; while :; do sleep 1; done'";
    let ended = run(&broker, &["-t", "t", "-W", "1", "--exec", stubborn]);
    assert_eq!(ended.code, Some(27), "{}", ended.stderr);
    assert!(ended.stderr.ends_with("Warning: --exec: sh still ran 5 s after the signal and was killed\n"), "{ended:?}");
    let mut subscriber = start(&broker, &["-t", "t", "--exec", stubborn]);
    subscriber.wait_for_stderr("ready");
    subscriber.signal("INT");
    let ended = subscriber.end();
    assert_eq!((ended.signal, ended.stderr.contains("was killed")), (Some(2), true), "{}", ended.stderr);
}

#[test]
fn a_descriptor_gets_a_line() {
    let broker = ScriptedBroker::start(Script::default());
    let port = broker.port();
    // A pipe: the reader sees the end of it while mqsub runs on.
    let mut pipe = tool::command("bash", &["-c", "exec \"$@\" 3>&1 >/dev/null", "bash", MQSUB]);
    let mut subscriber = Running::start(pipe.args(arguments(&port, &["-t", "t", "--ready-fd", "3"])));
    assert_eq!(subscriber.stdout.next_line().as_deref(), Some(&b"ready\n"[..]));
    assert_eq!(subscriber.stdout.next_line(), None, "it is closed");
    assert!(!subscriber.has_ended());
    assert_eq!(broker.log().count(is_subscribe), 1);
    subscriber.signal("INT");
    subscriber.wait();
    // A file, after what is in it.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f");
    let script = format!("exec \"$@\" 3>>{}", file.display());
    fs::write(&file, "before\n").unwrap();
    let mut command = tool::command("bash", &["-c", &script, "bash", MQSUB]);
    let output = Running::start(command.args(arguments(&port, &["-t", "t", "-E", "--ready-fd", "3"]))).finish();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), "before\nready\n");
}

/// As node and systemd hand them over.
#[test]
fn a_socket_gets_a_line() {
    let broker = ScriptedBroker::start(Script::default());
    let port = broker.port();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = tool::command("bash", &["-c", "exec \"$@\" 3>&0 </dev/null", "bash", MQSUB]);
    let command = command.args(arguments(&port, &["-t", "t", "--ready-fd", "3"]));
    let subscriber = Running::start_on(command, OwnedFd::from(theirs));
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(text, "ready\n");
    subscriber.signal("INT");
}

#[test]
fn a_descriptor_that_is_not_open_is_an_error() {
    let broker = ScriptedBroker::start(Script::default());
    for number in ["3", "7"] {
        let ended = run(&broker, &["-t", "t", "--ready-fd", number]);
        let text = format!("Error: --ready-fd {number}: the descriptor is not open\nHint: open it for writing");
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.starts_with(&text), "{}", ended.stderr);
    }
    assert_eq!(broker.log().connects().count(), 0);
}

#[test]
fn a_file_stands_as_long_as_the_subscriptions() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ready");
    let path = file.to_str().unwrap();
    let mut broker = ScriptedBroker::start(Script::default());
    let subscriber = start(&broker, &["-t", "t", "--ready-file", path, "--backoff", "20ms"]);
    let until = |exists: bool| {
        let mut shell = Command::new("sh");
        let test = if exists { "-e" } else { "! -e" };
        shell.args(["-c", &format!("until [ {test} {path} ]; do sleep 0.02; done")]);
        assert!(Running::start(&mut shell).wait().success());
    };
    until(true);
    assert_eq!(fs::read_to_string(&file).unwrap(), "ready\n");
    let second = run(&broker, &["-t", "t", "--ready-file", path]);
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("exists already\nHint: "), "{}", second.stderr);
    broker.go_away();
    until(false);
    broker.come_back().unwrap();
    until(true);
    broker.act_on_all(&Action::Cut);
    subscriber.signal("TERM");
    assert_eq!(subscriber.end().signal, Some(15));
    assert!(!file.exists());
}

#[test]
fn nothing_is_announced_before_the_last_suback() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ready");
    // Nine filters are two SUBSCRIBE packets, and the second is not answered.
    let broker = ScriptedBroker::start(Script::default().omit(PacketType::Suback, 2..));
    let filters: Vec<String> = (0..9).map(|number| format!("t/{number}")).collect();
    let mut more: Vec<&str> = filters.iter().flat_map(|filter| ["-t", filter.as_str()]).collect();
    more.extend(["--ready-file", file.to_str().unwrap(), "--connect-timeout", "1", "--exec", "touch /no/such/place"]);
    let subscriber = Tool::start(MQSUB, &arguments(&broker.port(), &more)).end();
    assert_eq!(subscriber.code, Some(43), "{}", subscriber.stderr);
    assert!(!file.exists() && !subscriber.stderr.contains("touch"), "{}", subscriber.stderr);
}
