//! `--check`: the steps to a broker, what they report, and the exit status of the one that fails.

use std::process::Command;

use mqtools::mqtt::ReasonCode;
use serde_json::Value;

use crate::support::mqbroker::Mqbroker;
use crate::support::ports;
use crate::support::scripted_broker::{Script, ScriptedBroker};
use crate::support::tool::{Ended, run};

const MQPUB: &str = env!("CARGO_BIN_EXE_mqpub");
const MQSUB: &str = env!("CARGO_BIN_EXE_mqsub");

fn check(tool: &str, port: &str, more: &[&str]) -> Ended {
    run(tool, &[&["-h", "127.0.0.1", "-p", port, "--check"], more].concat(), b"")
}

/// The document, and each step with whether it worked.
fn steps(ended: &Ended) -> (Value, Vec<(String, bool)>) {
    let document: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let steps = document["steps"].as_array().unwrap().iter();
    let steps = steps.map(|step| (step["step"].as_str().unwrap().to_owned(), step["ok"] == true)).collect();
    (document, steps)
}

fn named(steps: &[(&str, bool)]) -> Vec<(String, bool)> {
    steps.iter().map(|(name, is_ok)| ((*name).to_owned(), *is_ok)).collect()
}

#[test]
fn each_step_is_printed_with_its_time() {
    let broker = Mqbroker::start("listener 0 127.0.0.1\nallow_anonymous true\n");
    for (tool, last) in [(MQPUB, "PUBLISH"), (MQSUB, "SUBSCRIBE")] {
        let ended = check(tool, &broker.port(), &["-t", "some/where"]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        let names: Vec<String> =
            ended.lines().iter().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect();
        assert_eq!(names, ["DNS", "TCP", "CONNACK", last], "{}", ended.text());
        assert!(ended.text().contains("MQTT 5.0, maximum qos 2, receive maximum"), "{}", ended.text());
        assert!(ended.lines()[3].contains("'some/where' at QoS"), "{}", ended.text());
    }
}

#[test]
fn a_broker_without_mqtt_5_is_asked_with_3_1_1() {
    let broker = ScriptedBroker::start(Script::default().only_v311());
    let ended = check(MQSUB, &broker.port(), &["json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let (document, steps) = steps(&ended);
    assert_eq!(steps, named(&[("DNS", true), ("TCP", true), ("CONNACK", true), ("SUBSCRIBE", true)]));
    assert_eq!((&document["ok"], &document["steps"][2]["protocol"]), (&true.into(), &"3.1.1".into()));
    let ended = check(MQSUB, &broker.port(), &["-V", "5"]);
    assert_eq!(ended.code, Some(132), "{}", ended.stderr);
}

#[test]
fn the_exit_status_is_that_of_the_step_that_fails() {
    let refusing = Script::default().refuse_connect(ReasonCode::BAD_USER_NAME_OR_PASSWORD);
    let no_topic = Script::default().refuse_subscribe(ReasonCode::NOT_AUTHORIZED);
    let no_message = Script::default().refuse_publishes(1.., ReasonCode::NOT_AUTHORIZED);
    let upto_connack = [("DNS", true), ("TCP", true), ("CONNACK", true)];
    for (script, tool, code, expected) in [
        (refusing, MQPUB, 134, vec![("DNS", true), ("TCP", true), ("CONNACK", false)]),
        (no_topic, MQSUB, 135, [&upto_connack[..], &[("SUBSCRIBE", false)]].concat()),
        (no_message, MQPUB, 135, [&upto_connack[..], &[("PUBLISH", false)]].concat()),
    ] {
        let broker = ScriptedBroker::start(script);
        let ended = check(tool, &broker.port(), &["json"]);
        let (document, steps) = steps(&ended);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert_eq!(steps, named(&expected));
        // Those that worked and the one that failed took their time.
        let took = document["steps"].as_array().unwrap().iter().map(|step| step["ms"].as_f64());
        assert!(took.clone().all(|took| took.is_some_and(|took| took > 0.0)), "{document}");
        assert_eq!((&document["ok"], &document["exit_status"]), (&false.into(), &code.into()));
        assert!(ended.stderr.starts_with("Error: "), "{}", ended.stderr);
    }
    let closed = ports::free().to_string();
    // --json of mqsub asks for the same as --check json.
    for more in [&["json"][..], &["--json"]] {
        let ended = check(MQSUB, &closed, more);
        let (document, steps) = steps(&ended);
        assert_eq!((ended.code, steps), (Some(1), named(&[("DNS", true), ("TCP", false)])));
        assert!(document["steps"][0]["ms"].is_number() && document["steps"][1]["ms"].is_number(), "{document}");
    }
    let text = check(MQSUB, &closed, &[]).text();
    assert!(text.lines().all(|line| line.contains("s  ")) && text.contains("failed"), "{text}");
    // A step that was not reached is not reported.
    let ended = check(MQSUB, &closed, &["json", "--cafile", "/no/such/file"]);
    assert_eq!((ended.code, steps(&ended).1), (Some(1), named(&[("DNS", true), ("TLS", false)])));
}

#[test]
fn a_certificate_is_described() {
    let broker = Mqbroker::start_with(
        "listener 0 127.0.0.1\nallow_anonymous true\ncertfile server.pem\nkeyfile server.key\n",
        |folder| {
            let mut command = Command::new("openssl");
            command.args(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.pem -days 30 \
                 -subj /CN=the-broker -addext subjectAltName=IP:127.0.0.1"
                    .split(' '),
            );
            assert!(command.current_dir(folder).output().unwrap().status.success());
        },
    );
    let ended = check(MQPUB, &broker.port(), &["json", "--tls", "--insecure"]);
    let (document, steps) = steps(&ended);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(steps[2], ("TLS".to_owned(), true));
    let tls = &document["steps"][2];
    assert_eq!((&tls["days_left"], &tls["names"][0]), (&29.into(), &"127.0.0.1".into()), "{tls}");
    assert!(tls["subject"].as_str().unwrap().contains("the-broker"), "{tls}");
}
