//! mqpub, mqsub and mqrr with paho-mqtt at the other end: what one sends the other receives, at every QoS, with MQTT
//! 3.1.1 and with 5 and its properties. Without paho-mqtt the tests are skipped; with `CI` set that is a failure.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::mosquitto::Mosquitto;
use crate::support::process::run;
use crate::support::tool::{self, Tool};

const MQPUB: &str = env!("CARGO_BIN_EXE_mqpub");
const MQSUB: &str = env!("CARGO_BIN_EXE_mqsub");
const MQRR: &str = env!("CARGO_BIN_EXE_mqrr");
const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/paho_peer.py");
const VERSIONS: [&str; 2] = ["311", "5"];

fn stage() -> Option<(&'static str, Mosquitto)> {
    Some((tool::python_with_paho()?, Mosquitto::start()?))
}

fn properties(version: &str) -> Value {
    match version {
        "5" => json!({
            "content-type": "text/plain",
            "response-topic": "r/t",
            "payload-format-indicator": 1,
            "correlation-data": "636431",
            "user-properties": [["k", "v"], ["k", "w"], ["a", ""]],
        }),
        _ => json!({}),
    }
}

/// The same as arguments of mqpub.
const PROPERTY_ARGUMENTS: &[&str] = &[
    "-D",
    "publish",
    "content-type",
    "text/plain",
    "-D",
    "publish",
    "response-topic",
    "r/t",
    "-D",
    "publish",
    "payload-format-indicator",
    "1",
    "-D",
    "publish",
    "correlation-data",
    "cd1",
    "-D",
    "publish",
    "user-property",
    "k",
    "v",
    "-D",
    "publish",
    "user-property",
    "k",
    "w",
    "-D",
    "publish",
    "user-property",
    "a",
    "",
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn paho_receives_what_mqpub_sends() {
    let Some((python, broker)) = stage() else { return };
    let port = broker.port();
    for version in VERSIONS {
        let mut peer = Tool::start(python, &[PEER, &port, version, "receive", "t/#", "4"]);
        assert_eq!(peer.line(), "ready\n");
        let common = ["-h", "127.0.0.1", "-p", &port, "-V", version];
        for qos in ["0", "1", "2"] {
            let mut arguments = [common.as_slice(), &["-t", "t/é", "-m", "hällo", "-q", qos]].concat();
            if version == "5" {
                arguments.extend(PROPERTY_ARGUMENTS);
            }
            let ended = tool::run(MQPUB, &arguments, b"");
            assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
            let seen: Value = serde_json::from_str(&peer.line()).unwrap();
            let expected = json!({
                "topic": "t/é",
                "payload": hex("hällo".as_bytes()),
                "qos": qos.parse::<u8>().unwrap(),
                "retain": false,
                "properties": properties(version),
            });
            assert_eq!(seen, expected, "{version} {qos}");
        }
        // Bytes that are no text.
        let binary = [0, 255, 10, 13, 128, 0];
        let ended = tool::run(MQPUB, &[common.as_slice(), &["-t", "t/b", "-s", "-q", "2"]].concat(), &binary);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let seen: Value = serde_json::from_str(&peer.line()).unwrap();
        assert_eq!(seen["payload"], hex(&binary));
        assert_eq!(peer.end().code, Some(0));
    }
}

#[test]
fn mqsub_receives_what_paho_sends() {
    let Some((python, broker)) = stage() else { return };
    let port = broker.port();
    for version in VERSIONS {
        let subscription =
            ["-h", "127.0.0.1", "-p", &port, "-V", version, "-t", "t/#", "-q", "2", "--json", "-C", "4", "-d"];
        let mut subscriber = Tool::start(MQSUB, &subscription);
        subscriber.wait_for_stderr("SUBACK");
        let message = |topic: &str, payload: &[u8], qos: u8| {
            json!({
                "topic": topic,
                "payload": hex(payload),
                "qos": qos,
                "retain": false,
                "properties": properties(version),
            })
        };
        let mut lines: Vec<String> = (0..=2).map(|qos| message("t/é", "hällo\n".as_bytes(), qos).to_string()).collect();
        let mut binary = message("t/b", &[0, 255, 10], 1);
        binary["properties"] = json!({});
        lines.push(binary.to_string());
        let sent = tool::run(python, &[PEER, &port, version, "send"], (lines.join("\n") + "\n").as_bytes());
        assert_eq!(sent.code, Some(0), "{}", sent.stderr);
        for qos in 0..=2 {
            let seen: Value = serde_json::from_str(&subscriber.line()).unwrap();
            assert_eq!(
                (&seen["topic"], &seen["payload"], &seen["qos"]),
                (&json!("t/é"), &json!("hällo\n"), &json!(qos))
            );
            if version == "5" {
                let properties = &seen["properties"];
                assert_eq!(properties["content-type"], "text/plain");
                assert_eq!(properties["response-topic"], "r/t");
                assert_eq!(properties["payload-format-indicator"], 1);
                assert_eq!(properties["correlation-data"], "cd1");
                assert_eq!(properties["user-properties"], json!([{"k": "v"}, {"k": "w"}, {"a": ""}]));
            } else {
                assert!(seen.get("properties").is_none(), "{seen}");
            }
        }
        let seen: Value = serde_json::from_str(&subscriber.line()).unwrap();
        assert_eq!(seen["payload_b64"], "AP8K");
        assert_eq!(subscriber.end().code, Some(0));
    }
}

#[test]
fn paho_answers_what_mqrr_asks() {
    let Some((python, broker)) = stage() else { return };
    let port = broker.port();
    for version in VERSIONS {
        let mut peer = Tool::start(python, &[PEER, &port, version, "respond", "q", "5"]);
        assert_eq!(peer.line(), "ready\n");
        let common = ["-h", "127.0.0.1", "-p", &port, "-t", "q", "-V", version, "-W", "30"];
        let topic: &[&str] = if version == "5" { &[] } else { &["-e", "q/response"] };
        for qos in ["0", "1", "2"] {
            let arguments = [&common, topic, &["-m", "hällo", "-q", qos]].concat();
            let ended = tool::run(MQRR, &arguments, b"");
            assert_eq!((ended.code, ended.text().as_str(), ended.stderr.as_str()), (Some(0), "hällo\n", ""), "{qos}");
        }
        let ended = tool::run(MQRR, &[&common, topic, &["-l", "-q", "1"]].concat(), b"one\ntwo\n");
        assert_eq!((ended.code, ended.text().as_str()), (Some(0), "one\ntwo\n"), "{}", ended.stderr);
        assert_eq!(peer.end().code, Some(0));
    }
}

/// A client of paho that publishes to itself at each QoS, right behind its CONNECT.
const TO_ITSELF: &str = r#"
import sys, threading
import paho.mqtt.client as mqtt
port, version = int(sys.argv[1]), sys.argv[2]
protocol = {"31": mqtt.MQTTv31, "311": mqtt.MQTTv311, "5": mqtt.MQTTv5}[version]
got, done = [], threading.Event()
try:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="a/b", protocol=protocol)
except AttributeError:
    client = mqtt.Client(client_id="a/b", protocol=protocol)
def on_message(client, userdata, message):
    got.append((message.topic, message.payload.decode(), message.qos))
    if len(got) == 3:
        done.set()
client.on_message = on_message
client.on_connect = lambda client, *_: client.subscribe("t/#", 2)
client.on_subscribe = lambda client, *_: [client.publish("t/x", f"q{qos}", qos) for qos in range(3)]
client.connect("127.0.0.1", port)
client.loop_start()
assert done.wait(30), got
print(sorted(got))
client.disconnect()
"#;

#[test]
fn paho_works_with_the_embedded_broker_in_every_version() {
    use mqtools::broker::core::Settings;
    use mqtools::broker::{BrokerSettings, EmbeddedBroker};
    let Some(python) = tool::python_with_paho() else { return };
    for limits in [Settings::default(), Settings::raised()] {
        let broker = EmbeddedBroker::start(BrokerSettings { limits, ..BrokerSettings::loopback() }).unwrap();
        let port = broker.local_addr().port().to_string();
        for version in ["31", "311", "5"] {
            let output = run(Command::new(python).args(["-c", TO_ITSELF, &port, version]));
            let text = String::from_utf8_lossy(&output.stdout);
            assert_eq!(text.trim(), "[('t/x', 'q0', 0), ('t/x', 'q1', 1), ('t/x', 'q2', 2)]", "{version}: {output:?}");
        }
    }
}
