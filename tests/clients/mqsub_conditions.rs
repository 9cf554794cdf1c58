//! mqsub with conditions: what messages must hold, what must come in which time, and what falls silent.

use std::time::Instant;

use mqtools::mqtt::QoS::{AtLeastOnce, AtMostOnce};
use mqtools::mqtt::wire::{Ack, AckKind, PacketType};

use super::mqsub::{publish, run, start};
use crate::support::process::PATIENCE;
use crate::support::raw_client::message;
use crate::support::scripted_broker::{Action, Received, Script, ScriptedBroker};
use crate::support::tool::Ended;
use crate::support::whole::assert_whole;

/// Messages that all tests of expressions send.
const SENT: [(&str, &str); 5] = [
    ("room/1", r#"{"temp":21.5}"#),
    ("room/2", "offline"),
    ("room/1", r#"{"temp":35}"#),
    ("room/3", ""),
    ("room/2", r#"{"temp":36,"door":"open"}"#),
];

/// Starts mqsub, sends the messages, and waits for its end.
fn receive(more: &[&str]) -> Ended {
    let broker = ScriptedBroker::start(Script::default());
    let subscriber = start(&broker, &[&["-t", "room/+", "-q", "1"], more].concat());
    publish(&broker, &SENT.map(|(topic, payload)| message(topic, payload, AtLeastOnce)));
    subscriber.end()
}

fn shown(ended: &Ended) -> (Option<i32>, Vec<String>, &str) {
    (ended.code, ended.lines(), ended.stderr.as_str())
}

fn lines<const N: usize>(lines: [&str; N]) -> Vec<String> {
    lines.map(str::to_owned).into()
}

#[test]
fn a_filter_decides_what_is_printed_and_counted() {
    let ended = receive(&["-v", "-C", "2", "--filter", ".payload_json.temp > 30"]);
    let warning = "Warning: an expression failed on 2 messages; the first one, on room/2: the payload is not JSON\n";
    let printed = lines([r#"room/1 {"temp":35}"#, r#"room/2 {"temp":36,"door":"open"}"#]);
    assert_eq!(shown(&ended), (Some(0), printed, warning));
    let ended = receive(&["-C", "1", "--filter", ".topic == \"room/2\"", "--filter", "/^o/"]);
    assert_eq!(shown(&ended), (Some(0), lines(["offline"]), ""));
    let ended = receive(&["-C", "1", "-F", "%t", "--filter", "="]);
    assert_eq!(shown(&ended), (Some(0), lines(["room/3"]), ""));
}

#[test]
fn dropped_messages_are_acknowledged() {
    let broker = ScriptedBroker::start(Script::default());
    let subscriber = start(&broker, &["-t", "room/+", "-q", "1", "-C", "1", "--filter", "=offline"]);
    publish(&broker, &SENT.map(|(topic, payload)| message(topic, payload, AtLeastOnce)));
    assert_eq!(shown(&subscriber.end()), (Some(0), lines(["offline"]), ""));
    broker.wait_for("the ends", |log| log.ended() == 2);
    let is_ack = |packet: &Received| matches!(packet, Received::Ack(Ack { kind: AckKind::Puback, .. }));
    // The first, which was dropped, and the second; nothing after the end.
    assert_eq!(broker.log().count(is_ack), 2);
}

#[test]
fn until_ends_with_the_message_that_matches() {
    let ended = receive(&["--until", "/\"temp\":35/"]);
    assert_eq!(shown(&ended), (Some(0), lines([r#"{"temp":21.5}"#, "offline", r#"{"temp":35}"#]), ""));
}

#[test]
fn an_expectation_is_met() {
    let ended = receive(&["--expect", ".payload_json.door == \"open\"", "--within", "60"]);
    let warning = "Warning: an expression failed on 2 messages; the first one, on room/2: the payload is not JSON\n";
    assert_eq!(shown(&ended), (Some(0), lines([r#"{"temp":36,"door":"open"}"#]), warning));
    let ended = receive(&["--expect", "/temp/", "--count", "3", "-F", "%t"]);
    assert_eq!(shown(&ended), (Some(0), lines(["room/1", "room/1", "room/2"]), ""));
    // Each of several.
    let ended = receive(&["--expect", "=offline", "--expect", "=", "--within", "1m", "-F", "%t"]);
    assert_eq!(shown(&ended), (Some(0), lines(["room/2", "room/3"]), ""));
}

#[test]
fn an_expectation_that_is_not_met_shows_what_came_instead() {
    // -C ends the run; no time has to pass.
    let ended = receive(&["-C", "5", "--expect", "=on\u{1b}", "--within", "60"]);
    let report = "Error: expectation failed: none of 5 messages matched '=on\\u{1b}' before the run ended\n\
                  \x20 Last messages that did not match:\n\
                  \x20   room/1 {\"temp\":21.5}\n\
                  \x20   room/2 offline\n\
                  \x20   room/1 {\"temp\":35}\n\
                  \x20   room/3 (empty)\n\
                  \x20   room/2 {\"temp\":36,\"door\":\"open\"}\n";
    assert_eq!(shown(&ended), (Some(40), vec![], report));
    let ended = receive(&["-C", "5", "--expect", "/temp/", "--count", "4", "-F", "%t"]);
    assert_eq!(ended.code, Some(42), "{}", ended.stderr);
    assert!(ended.stderr.starts_with(
        "Error: expectation failed: 3 of 4 messages matched '/temp/' before the run ended; 5 messages came\n"
    ));
    // With several, one that came to nothing decides.
    let ended = receive(&["-C", "5", "--expect", "/temp/", "--count", "4", "--expect", "=x"]);
    assert_eq!(ended.code, Some(40), "{}", ended.stderr);
}

#[test]
fn nothing_is_41() {
    let broker = ScriptedBroker::start(Script::default());
    let ended = run(&broker, &["-t", "t", "--expect", "true", "--within", "10ms"]);
    let report = "Error: expectation failed: no message came within 0.01 s\n";
    assert_eq!(shown(&ended), (Some(41), vec![], report));
    // The time runs from the SUBACK on, and messages that a filter drops do not come.
    let broker =
        ScriptedBroker::start(Script::default().delay(PacketType::Suback, std::time::Duration::from_millis(300)));
    let ended = run(&broker, &["-t", "t", "--expect", "true", "--within", "1ms", "-W", "60"]);
    assert_eq!(ended.code, Some(41), "{}", ended.stderr);
}

#[test]
fn the_time_of_an_expectation_is_over_without_a_connection_too() {
    let mut broker = ScriptedBroker::start(Script::default());
    let mut subscriber = start(&broker, &["-t", "t", "-d", "--expect", "true", "--within", "2"]);
    subscriber.wait_for_stderr("SUBACK");
    broker.go_away();
    let ended = subscriber.end();
    assert_eq!(ended.code, Some(41), "{}", ended.stderr);
}

#[test]
fn none_within_fails_for_what_comes() {
    let broker = ScriptedBroker::start(Script::default());
    let ended = run(&broker, &["-t", "t", "--expect", "true", "--none-within", "10ms"]);
    assert_eq!(shown(&ended), (Some(0), vec![], ""));
    let ended = receive(&["--expect", "=offline", "--none-within", "60"]);
    let report = "Error: expectation failed: a message matched '=offline' within 60 s:\n  room/2 offline\n";
    assert_eq!(shown(&ended), (Some(40), lines(["offline"]), report));
    // One more than expected.
    let ended = receive(&["--expect", "/temp/", "--count", "2", "--none-within", "60", "-F", "%t"]);
    let report = "Error: expectation failed: more than 2 messages matched '/temp/':\n  \
                  room/2 {\"temp\":36,\"door\":\"open\"}\n";
    assert_eq!(shown(&ended), (Some(40), lines(["room/1", "room/1", "room/2"]), report));
    let ended = receive(&["--expect", "/temp/", "--count", "3", "--none-within", "10ms", "-F", "%t"]);
    assert_eq!(shown(&ended), (Some(0), lines(["room/1", "room/1", "room/2"]), ""));
}

#[test]
fn an_expression_without_end_fails_its_message_and_nothing_else() {
    let ended =
        receive(&["-C", "1", "--filter", "if .topic == \"room/3\" then true else last(repeat(1)) end", "-F", "%t"]);
    let warning = "Warning: an expression failed on 3 messages; the first one, on room/1: the expression takes more \
                   than 100000 steps\n";
    assert_eq!(shown(&ended), (Some(0), lines(["room/3"]), warning));
}

#[test]
fn an_interrupt_reports_what_failed() {
    let broker = ScriptedBroker::start(Script::default());
    let mut subscriber = start(&broker, &["-t", "room/+", "--filter", ".payload_json or true", "-q", "1"]);
    publish(&broker, &[message("room/2", "offline", AtLeastOnce), message("room/2", "1", AtLeastOnce)]);
    assert_eq!(subscriber.line(), "1\n");
    subscriber.signal("INT");
    let ended = subscriber.end();
    assert_eq!(ended.signal, Some(2));
    let expected = "\
        Warning: an expression failed on 1 message; the first one, on room/2: the payload is not JSON\n";
    assert_whole(&ended.stderr, expected);
}

#[test]
fn silence_ends_the_run() {
    let broker = ScriptedBroker::start(Script::default());
    let ended = run(&broker, &["-t", "t", "--silent-after", "10ms"]);
    assert_eq!(shown(&ended), (Some(41), vec![], "Error: no message came for 0.01 s\n"));
    // A topic that is named and never came.
    let more = ["-t", "named", "-t", "other/#", "-t", "$share/g/shared", "--silent-after", "10ms", "--each-topic"];
    let ended = run(&broker, &more);
    assert_eq!(ended.code, Some(41));
    let named = ["Error: no message came on named for 0.01 s\n", "Error: no message came on shared for 0.01 s\n"];
    assert!(named.contains(&ended.stderr.as_str()), "{}", ended.stderr);
    // One that is learned as it comes.
    let subscriber = start(&broker, &["-t", "other/#", "--silent-after", "50ms", "--each-topic", "-q", "1"]);
    publish(&broker, &[message("other/a\u{9b}", "1", AtMostOnce)]);
    let ended = subscriber.end();
    let report = "Error: no message came on other/a\\u{9b} for 0.05 s\n";
    assert_eq!(shown(&ended), (Some(41), lines(["1"]), report));
}

#[test]
fn silence_runs_a_command_and_nothing_ends() {
    let broker = ScriptedBroker::start(Script::default());
    let more = ["-t", "named", "-t", "other/#", "-q", "1", "--silent-after", "10ms", "--each-topic"];
    let mut subscriber = start(&broker, &[&more[..], &["--silent-exec", "echo fallen silent: {topic}"]].concat());
    subscriber.wait_for_stderr("fallen silent: named");
    publish(&broker, &[message("other/a; b", "1", AtMostOnce)]);
    subscriber.wait_for_stderr("fallen silent: other/a; b");
    subscriber.signal("INT");
    let ended = subscriber.end();
    // Once per silence, and what it prints is not among the messages.
    assert_eq!((ended.signal, ended.lines()), (Some(2), lines(["1"])));
    assert_eq!(ended.stderr.matches("named").count(), 1, "{}", ended.stderr);
    // The environment, for a shell.
    let script = "sh -c 'echo $MQTT_SILENT_SECONDS s without $MQTT_TOPIC; exit 3'";
    let mut subscriber = start(&broker, &[&more[..], &["--silent-exec", script]].concat());
    subscriber.wait_for_stderr("0.01 s without named");
    subscriber.signal("INT");
    assert_eq!(subscriber.end().signal, Some(2));
    let mut subscriber = start(&broker, &[&more[..], &["--silent-exec", "/none/such"]].concat());
    subscriber.wait_for_stderr("Warning: --silent-exec: no command was run for named: cannot run /none/such");
    subscriber.signal("INT");
    let ended = subscriber.end();
    let expected = "\
        Warning: --silent-exec: no command was run for named: cannot run /none/such: there is no such program\n\
        Warning: --silent-exec: of 1 command 0 failed and 1 could not be run\n";
    assert_whole(&ended.stderr, expected);
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_what_silence_has_started() {
    let broker = ScriptedBroker::start(Script::default());
    for (trap, killed) in [("echo got it >&2; exit", false), ("", true)] {
        let script = format!("sh -c 'trap \"{trap}\" INT; echo up $$; while :; do sleep 0.05; done'");
        let mut subscriber = start(&broker, &["-t", "t", "--silent-after", "10ms", "--silent-exec", &script]);
        let up = subscriber.wait_for_stderr("up ");
        let process: i32 = up.trim().rsplit(' ').next().unwrap().parse().unwrap();
        subscriber.signal("INT");
        let ended = subscriber.end();
        assert_eq!(ended.signal, Some(2), "{}", ended.stderr);
        assert_eq!(
            (ended.stderr.contains("got it"), ended.stderr.contains("was killed")),
            (!killed, killed),
            "{ended:?}"
        );
        // A process that nobody has waited for yet is a zombie.
        let start = Instant::now();
        while std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(start.elapsed() < PATIENCE, "the command goes on");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_lost_connection_is_no_silence() {
    let broker = ScriptedBroker::start(Script::default());
    let mut subscriber = start(&broker, &["-t", "t", "--silent-after", "30", "--retry", "forever"]);
    let subscribed =
        |log: &crate::support::scripted_broker::Log| log.count(|packet| matches!(packet, Received::Subscribe(_)));
    broker.act_on_all(&Action::Cut);
    broker.wait_for("the second SUBSCRIBE", |log| subscribed(log) == 2);
    publish(&broker, &[message("t", "1", AtMostOnce)]);
    assert_eq!(subscriber.line(), "1\n");
    subscriber.signal("INT");
    assert_eq!(subscriber.end().signal, Some(2));
}

/// What one operation of jaq takes has no limit in jaq.
#[cfg(target_os = "linux")]
#[test]
fn an_expression_that_takes_too_much_fails_on_its_message_only() {
    const MEMORY: &str = "the expression takes more than 512 MiB of memory";
    for (hungry, cause) in [
        ("reduce range(40) as $x (\"0123456789abcdef\"; . + .) | length > 0", MEMORY),
        ("\"0123456789abcdef\" * 1000000000 | length > 0", MEMORY),
        // Memory, or time where mqsub is slow.
        ("reduce range(60) as $x (1; [., .]) | tojson | length > 0", "the expression takes more than 5"),
        ("def deep: reduce range(60) as $x (1; [., .]); deep == deep", "the expression takes more than 5 s"),
        ("def f: [f]; f", "the expression calls itself too deeply"),
    ] {
        let until = format!("if .payload == \"offline\" then {hungry} else .payload == \"\" end");
        let ended = receive(&["-F", "%t", "--until", &until]);
        assert_eq!(ended.lines(), ["room/1", "room/2", "room/1", "room/3"], "{hungry}: {}", ended.stderr);
        let warning = format!("Warning: an expression failed on 1 message; the first one, on room/2: {cause}");
        assert!(ended.code == Some(0) && ended.stderr.starts_with(&warning), "{hungry}: {}", ended.stderr);
    }
}

#[test]
fn a_wrong_expression_ends_it_before_it_connects() {
    let broker = ScriptedBroker::start(Script::default());
    let ended = run(&broker, &["-t", "t", "--filter", ".topic =", "--expect", "nope"]);
    let report = "Error: --filter: expected term at its end\n  .topic =\n          ^\n\
                  Error: --expect: there is no filter nope\n  nope\n  ^\n\nTry 'mqsub --help'.\n";
    assert_eq!(shown(&ended), (Some(2), vec![], report));
    assert_eq!(broker.log().connects().count(), 0);
}
