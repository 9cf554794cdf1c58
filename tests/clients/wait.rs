//! --wait: one deadline over everything up to the broker's answers, in all clients.

use mqtools::mqtt::ReasonCode;
use mqtools::mqtt::wire::PacketType;

use crate::support::scripted_broker::{Action, Script, ScriptedBroker, Trigger};
use crate::support::tool::{self, Ended, Tool};
use crate::support::whole::assert_whole;

const MQPUB: &str = env!("CARGO_BIN_EXE_mqpub");
const MQSUB: &str = env!("CARGO_BIN_EXE_mqsub");
const MQRR: &str = env!("CARGO_BIN_EXE_mqrr");

/// Each client with what it is to do.
const CLIENTS: [(&str, &[&str]); 3] = [
    (MQPUB, &["-t", "t", "-m", "x", "-q", "1"]),
    (MQSUB, &["-t", "t", "-E"]),
    (MQRR, &["-t", "t", "-e", "answer", "-m", "x"]),
];

fn arguments<'a>(port: &'a str, task: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [&["-h", "127.0.0.1", "-p", port], task, more].concat()
}

fn run(program: &str, broker: &ScriptedBroker, task: &[&str], more: &[&str]) -> Ended {
    tool::run(program, &arguments(&broker.port(), task, more), b"")
}

#[test]
fn a_broker_that_comes_later_is_found() {
    for (program, task) in CLIENTS {
        let mut broker = ScriptedBroker::start(Script::default());
        broker.go_away();
        let port = broker.port();
        let mut tool = Tool::start(program, &arguments(&port, task, &["--wait", "60s", "--backoff", "50ms"]));
        tool.wait_for_stderr("trying again every 0.05 s for 60 s\n");
        broker.come_back().unwrap();
        expect_work(program, tool, &broker);
    }
}

/// It does what it is to do: mqrr sends its request, which nobody answers.
fn expect_work(program: &str, tool: Tool, broker: &ScriptedBroker) {
    if program == MQRR {
        broker.wait_for("the request", |log| log.publishes().count() == 1);
        tool.signal("INT");
    }
    let ended = tool.end();
    assert_eq!(ended.code, if program == MQRR { None } else { Some(0) }, "{program}: {}", ended.stderr);
}

#[test]
fn the_deadline_names_the_last_cause() {
    let mut broker = ScriptedBroker::start(Script::default());
    broker.go_away();
    for (program, task) in CLIENTS {
        let ended = run(program, &broker, task, &["--wait", "500ms", "--backoff", "100ms"]);
        assert_eq!(ended.code, Some(1), "{program}");
        let expected = "\
            Warning: cannot connect to 127.0.0.1:[..]: TCP: connection refused (127.0.0.1:[..]); trying again \
            every 0.1 s for 0.5 s\n\
            Error: gave up after 0.5 s and [..] failed attempt[..]: cannot connect to 127.0.0.1:[..]: TCP: \
            connection refused (127.0.0.1:[..])\n\
            Hint: is a broker running there, and is the port right? MQTT usually uses port 1883, or 8883 with \
            TLS\n";
        assert_whole(&ended.stderr, expected);
    }
}

#[test]
fn it_covers_every_answer_that_a_run_begins_with() {
    for (program, task) in CLIENTS {
        let silent = ScriptedBroker::start(Script::default().never_answer_connect());
        let ended = run(program, &silent, task, &["--wait", "500ms"]);
        let text = format!("Error: gave up after 0.5 s: 127.0.0.1:{} has not answered CONNECT\n", silent.port());
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.starts_with(&text), "{}", ended.stderr);
        if program != MQPUB {
            let silent = ScriptedBroker::start(Script::default().omit(PacketType::Suback, 1..));
            let ended = run(program, &silent, task, &["--wait", "500ms"]);
            assert_eq!(ended.code, Some(1));
            let expected = "\
                Error: gave up after 0.5 s: 127.0.0.1:[..] has not answered SUBSCRIBE\n\
                Hint: --wait sets how long to try\n";
            assert_whole(&ended.stderr, expected);
        }
    }
}

#[test]
fn a_broker_that_closes_before_its_answers_is_tried_again() {
    for (program, task) in CLIENTS {
        // The first at CONNECT, the second at the packet after it.
        let script = Script::default().fault(1, Trigger::ReceivedPacket(1), Action::Cut).fault(
            2,
            Trigger::ReceivedPacket(if program == MQPUB { 1 } else { 2 }),
            Action::Cut,
        );
        let broker = ScriptedBroker::start(script);
        let port = broker.port();
        let tool = Tool::start(program, &arguments(&port, task, &["--wait", "60", "--backoff", "20ms"]));
        expect_work(program, tool, &broker);
    }
}

#[test]
fn what_time_does_not_mend_fails_at_once() {
    for (program, task) in CLIENTS {
        let broker = ScriptedBroker::start(Script::default().refuse_connect(ReasonCode::BAD_USER_NAME_OR_PASSWORD));
        assert_eq!(run(program, &broker, task, &["--wait", "1h", "-V", "5"]).code, Some(134));
        let broker = ScriptedBroker::start(Script::default().refuse_connect(ReasonCode::SERVER_UNAVAILABLE));
        let ended = run(program, &broker, task, &["--wait", "500ms", "-V", "5", "--backoff", "100ms"]);
        assert_eq!(ended.code, Some(136), "{}", ended.stderr);
        assert!(ended.stderr.contains("gave up after 0.5 s and "), "{}", ended.stderr);
    }
}

#[test]
fn attempts_are_limited_beside_it() {
    let mut broker = ScriptedBroker::start(Script::default());
    broker.go_away();
    let (program, task) = CLIENTS[1];
    let ended = run(program, &broker, task, &["--wait", "1h", "--retry", "1", "--backoff", "20ms"]);
    assert_eq!(ended.code, Some(1));
    let expected = "\
        Warning: cannot connect to 127.0.0.1:[..]: TCP: connection refused (127.0.0.1:[..]); trying again every \
        0.02 s for 3600 s, once\n\
        Error: cannot connect to 127.0.0.1:[..]: TCP: connection refused (127.0.0.1:[..])\n\
        Hint: is a broker running there, and is the port right? MQTT usually uses port 1883, or 8883 with TLS\n";
    assert_whole(&ended.stderr, expected);
    let ended = run(program, &broker, task, &["--wait", "1h", "-W", "300ms", "--backoff", "20ms"]);
    assert_eq!(ended.code, Some(27), "{}", ended.stderr);
}
