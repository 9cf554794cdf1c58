//! How the tools end by a signal: cleaned up, and dead by that same signal, so that a shell ends its loop.

#![cfg(unix)]

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use mqtools::mqtt::ReasonCode;
use mqtools::mqtt::wire::PacketType;

use crate::support::process::{Running, signal, text};
use crate::support::scripted_broker::{Received, Script, ScriptedBroker};
use crate::support::tool::{Tool, command};

const MQPUB: &str = env!("CARGO_BIN_EXE_mqpub");
const MQSUB: &str = env!("CARGO_BIN_EXE_mqsub");
const MQRR: &str = env!("CARGO_BIN_EXE_mqrr");
const MQBENCH: &str = env!("CARGO_BIN_EXE_mqbench");

const SIGNALS: [(&str, i32); 3] = [("INT", 2), ("TERM", 15), ("HUP", 1)];

fn at<'a>(port: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["-h", "127.0.0.1", "-p", port], more].concat()
}

/// A tool that waits for something that does not come, and what the broker has read by then.
fn waiting() -> [(&'static str, Vec<&'static str>, Script, PacketType); 4] {
    let unacknowledged = Script::default().omit(PacketType::Puback, 1..);
    [
        (MQPUB, vec!["-t", "t", "-m", "x", "-q", "1"], unacknowledged, PacketType::Publish),
        (MQSUB, vec!["-t", "t"], Script::default(), PacketType::Subscribe),
        (MQRR, vec!["-t", "t", "-m", "x"], Script::default(), PacketType::Publish),
        (MQBENCH, vec!["sub", "-t", "t", "--duration", "1h", "-q", "1"], Script::default(), PacketType::Subscribe),
    ]
}

fn has_read(broker: &ScriptedBroker, wanted: PacketType) {
    broker.wait_for("what the tool sends", |log| {
        log.count(|packet| match packet {
            Received::Subscribe(_) => wanted == PacketType::Subscribe,
            Received::Publish { .. } => wanted == PacketType::Publish,
            _ => false,
        }) > 0
    });
}

#[test]
fn a_tool_leaves_the_broker_and_dies_by_the_signal() {
    for (name, number) in SIGNALS {
        for (program, more, script, packet) in waiting() {
            let broker = ScriptedBroker::start(script);
            let tool = Tool::start(program, &at(&broker.port(), &more));
            has_read(&broker, packet);
            tool.signal(name);
            let ended = tool.end();
            assert_eq!((ended.code, ended.signal), (None, Some(number)), "{program} {name}: {}", ended.stderr);
            broker.wait_for("the goodbye", |log| log.ended() >= 1);
            assert!(broker.stop().disconnects(ReasonCode::SUCCESS) >= 1, "{program} {name}");
        }
    }
}

#[test]
fn ctrl_c_ends_a_loop_of_the_shell_and_what_would_follow() {
    for script in ["\"$@\" && echo acted; echo went on", "while true; do \"$@\"; done; echo went on"] {
        let broker = ScriptedBroker::start(Script::default());
        let port = broker.port();
        let mut command = command("bash", &["-c", script, "bash", MQSUB]);
        let shell = Running::start(command.args(at(&port, &["-t", "ready", "-C", "1"])).process_group(0));
        has_read(&broker, PacketType::Subscribe);
        // As a terminal does: to the shell and to what it runs.
        signal(format!("-{}", shell.id()), "INT");
        let output = shell.finish();
        assert_eq!(text(&output.stdout), "", "{script}");
        assert_eq!(broker.stop().counts.connections, 1, "{script}");
    }
}

/// `env` of coreutils 8.31 or later can start a program with signals ignored.
fn can_ignore_signals() -> bool {
    let can = Command::new("env").args(["--ignore-signal=HUP", "true"]).stderr(Stdio::null()).status();
    let can = can.is_ok_and(|status| status.success());
    if !can {
        eprintln!("skipped: env has no --ignore-signal");
    }
    can
}

#[cfg(target_os = "linux")]
#[test]
fn what_was_ignored_at_the_start_stays_ignored() {
    if !can_ignore_signals() {
        return;
    }
    for (name, ..) in SIGNALS {
        let broker = ScriptedBroker::start(Script::default());
        let port = broker.port();
        let ignored = format!("--ignore-signal={name}");
        let arguments = [&[ignored.as_str(), MQSUB][..], &at(&port, &["-t", "t", "-W", "2", "-q", "1"])].concat();
        let tool = Tool::start("env", &arguments);
        has_read(&broker, PacketType::Subscribe);
        tool.signal(name);
        let ended = tool.end();
        // It goes on until -W ends it.
        assert_eq!((ended.code, ended.signal), (Some(27), None), "{name}: {}", ended.stderr);
    }
}

#[test]
fn a_second_ctrl_c_does_not_wait() {
    // What is in flight at QoS 1 is waited for; the broker never acknowledges it.
    let broker = ScriptedBroker::start(Script::default().omit(PacketType::Puback, 1..));
    let port = broker.port();
    let load = ["pub", "-t", "t", "-q", "1", "--duration", "1h", "--drain", "1h"];
    let mut tool = Tool::start(MQBENCH, &at(&port, &load));
    has_read(&broker, PacketType::Publish);
    tool.signal("INT");
    tool.wait_for_stderr("Interrupted");
    tool.signal("INT");
    assert_eq!(tool.end().signal, Some(2));
}

#[test]
fn a_second_ctrl_c_with_json_still_brings_one_document() {
    let broker = ScriptedBroker::start(Script::default().omit(PacketType::Puback, 1..));
    let port = broker.port();
    let load = ["pub", "-t", "t", "-q", "1", "--duration", "1h", "--drain", "1h", "--json"];
    let mut tool = Tool::start(MQBENCH, &at(&port, &load));
    has_read(&broker, PacketType::Publish);
    tool.signal("INT");
    tool.wait_for_stderr("Interrupted");
    tool.signal("TERM");
    let ended = tool.end();
    let document: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    // The first one counts.
    assert_eq!((ended.signal, document["status"].as_str()), (Some(2), Some("partial")), "{}", ended.stderr);
}

#[test]
fn mosquittos_names_end_as_mosquittos_clients_do() {
    for (program, more, script, packet) in waiting() {
        let compat = match program {
            MQSUB => (Some(0), None),
            MQPUB | MQRR => (None, Some(2)),
            _ => continue,
        };
        let broker = ScriptedBroker::start(script);
        let port = broker.port();
        // mosquitto_rr needs a response topic.
        let response: &[&str] = if program == MQRR { &["-e", "r"] } else { &[] };
        let tool = Tool::start(program, &[&["--compat"][..], &at(&port, &more), response].concat());
        has_read(&broker, packet);
        tool.signal("INT");
        let ended = tool.end();
        assert_eq!((ended.code, ended.signal), compat, "{program}: {}", ended.stderr);
        assert_eq!(ended.stderr, "", "{program}");
    }
}

/// The first process of a container has no default action.
#[cfg(target_os = "linux")]
#[test]
fn the_first_process_of_a_container_exits_with_the_number() {
    let unshare = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
    if !Command::new("unshare").args(unshare).arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: no new namespaces here");
        return;
    }
    for (name, number) in SIGNALS {
        let broker = ScriptedBroker::start(Script::default());
        let port = broker.port();
        let arguments = [&unshare[..], &[MQSUB], &at(&port, &["-t", "t"])].concat();
        let child = Running::start(&mut command("unshare", &arguments));
        has_read(&broker, PacketType::Subscribe);
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let first: u32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
        signal(first, name);
        assert_eq!(child.finish().status.code(), Some(128 + number), "{name}");
        drop(broker);
    }
}
