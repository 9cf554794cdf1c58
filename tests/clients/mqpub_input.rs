//! mqpub with messages that lines describe: JSON, topic and payload, several topics; what a bad line costs; and whether
//! a message has subscribers.

use std::io::Write;

use bytes::Bytes;
use mqtools::message_json::{MessageDefaults, read_message};
use mqtools::mqtt::{Message, Property, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode};

use crate::support::mqbroker::Mqbroker;
use crate::support::process::{Running, has};
use crate::support::scripted_broker::{Script, ScriptedBroker};
use crate::support::tool::{self, Ended, Tool};
use crate::support::whole::assert_whole;

const MQPUB: &str = env!("CARGO_BIN_EXE_mqpub");
const MQSUB: &str = env!("CARGO_BIN_EXE_mqsub");
const BROKER: &str = "listener 0 127.0.0.1\nallow_anonymous true\n";

fn mqpub(broker: &ScriptedBroker, more: &[&str], stdin: &[u8]) -> Ended {
    tool::run(MQPUB, &[&["-h", "127.0.0.1", "-p", &broker.port()], more].concat(), stdin)
}

/// What arrived at a broker, in order.
fn published(broker: ScriptedBroker, ended: usize) -> Vec<Message> {
    broker.wait_for("the end", |log| log.ended() == ended);
    let log = broker.stop();
    assert_eq!(log.violations, [""; 0]);
    log.publishes().map(|(message, ..)| message.clone()).collect()
}

fn topics_and_payloads(messages: &[Message]) -> Vec<(&str, &[u8])> {
    messages.iter().map(|message| (message.topic.as_str(), &message.payload[..])).collect()
}

#[test]
fn each_line_in_json_has_its_own_topic_qos_retain_and_properties() {
    let broker = ScriptedBroker::start(Script::default());
    let lines = concat!(
        r#"{"topic":"a","payload":"x"}"#,
        "\n",
        r#"{"payload":"\u0000\n","qos":2,"retain":false,"topic":"b/é","mid":7,"time":"?","more":{}}"#,
        "\n",
        r#"{"payload_b64":"/w==","qos":0,"properties":{"content-type":"t","user-properties":[{"k":"1"},{"k":"2"}]}}"#,
        "\n",
        r#" {"payload_json":{"n" : 1.50},"retain":true} "#,
    );
    let ended = mqpub(&broker, &["--json", "-t", "d", "-q", "1", "-r", "-V", "5"], lines.as_bytes());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let messages = published(broker, 1);
    let expected: [(&str, &[u8]); 4] = [("a", b"x"), ("b/é", b"\0\n"), ("d", b"\xff"), ("d", br#"{"n" : 1.50}"#)];
    assert_eq!(topics_and_payloads(&messages), expected);
    let flags: Vec<(u8, bool)> = messages.iter().map(|message| (message.qos.number(), message.retain)).collect();
    assert_eq!(flags, [(1, true), (2, false), (0, true), (1, true)]);
    let names: Vec<&str> = messages[2].properties.iter().map(|property| property.name().text()).collect();
    assert_eq!(names, ["content-type", "user-property", "user-property"]);
    assert_eq!(messages[2].properties.text(PropertyName::ContentType), Some("t"));
}

#[test]
fn a_bad_line_stops_the_reading_and_what_came_before_is_acknowledged() {
    let good = |number: usize| format!("{{\"topic\":\"t\",\"payload\":\"{number}\"}}\n");
    let mut lines: String = (1..=500).map(good).collect();
    lines.push_str("{\"topic\":\"t\",\"payload\":1}\n");
    lines.push_str(&good(502));
    for qos in ["0", "1", "2"] {
        let broker = ScriptedBroker::start(Script::default());
        let ended = mqpub(&broker, &["--json", "-q", qos], lines.as_bytes());
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (
                Some(1),
                "Error: line 501, column 24: `payload` must be a string (JSON goes into `payload_json`)\n\
                 Hint: 500 messages before it reached the broker; --on-error skip goes on with the next line\n\
                 Error: the rest of the input was not read\n"
            )
        );
        let expected: Vec<Bytes> = (1..=500).map(|number| Bytes::from(number.to_string())).collect();
        broker.wait_for("the end", |log| log.ended() == 1);
        let log = broker.stop();
        assert_eq!((log.disconnects(ReasonCode::SUCCESS), log.accepted), (1, expected));
    }
}

#[test]
fn bad_lines_can_be_skipped_and_are_counted() {
    let broker = ScriptedBroker::start(Script::default());
    let lines = "{\"topic\":\"t\",\"payload\":\"1\"}\nnot json\n\n{\"topic\":\"t\",\"payload\":\"4\"}\n";
    let more = ["--json", "-q", "1", "--on-error", "skip", "--summary", "json"];
    let ended = mqpub(&broker, &more, lines.as_bytes());
    let (errors, summary) = ended.stderr.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(
        errors,
        "Error: line 2, column 1: it is not one JSON object: it does not begin with {\n\
         Error: line 3, column 1: it is not one JSON object: the line is empty\n\
         Error: 2 lines skipped"
    );
    let summary: serde_json::Value = serde_json::from_str(summary).unwrap();
    assert_eq!((ended.code, &summary["bad_lines"], &summary["acknowledged"]), (Some(1), &2.into(), &2.into()));
    assert_eq!(summary["input_read"], true);
    // A refusal by the broker is the worse news.
    broker.set_script(Script::default().refuse_publishes([4], ReasonCode::NOT_AUTHORIZED));
    let ended = mqpub(&broker, &["--json", "-q", "1", "-V", "5", "--on-error", "skip"], lines.as_bytes());
    assert_eq!(ended.code, Some(135), "{}", ended.stderr);
    let expected = "\
        Error: line 2, column 1: it is not one JSON object: it does not begin with {\n\
        Error: line 3, column 1: it is not one JSON object: the line is empty\n\
        Error: line 4 ('t') was refused: Not authorized (0x87)\n\
        Error: 2 lines skipped\n";
    assert_whole(&ended.stderr, expected);
    assert_eq!(published(broker, 2).len(), 4);
}

#[test]
fn a_line_with_properties_needs_mqtt_5() {
    let broker = ScriptedBroker::start(Script::default());
    let line = b"{\"topic\":\"t\",\"payload\":\"\",\"properties\":{\"content-type\":\"a\"}}\n";
    let ended = mqpub(&broker, &["--json"], line);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.starts_with("Error: line 1, column 40: `properties` need MQTT 5: use -V 5\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn what_the_broker_does_not_take_costs_one_line() {
    let maximum = |name, value| Property::new(name, value).unwrap();
    let script = Script::default()
        .connack_property(maximum(PropertyName::MaximumQos, PropertyValue::Byte(1)))
        .connack_property(maximum(PropertyName::MaximumPacketSize, PropertyValue::FourByte(100)));
    let broker = ScriptedBroker::start(script);
    let long = "x".repeat(200);
    let lines = format!(
        "{{\"topic\":\"a\",\"payload\":\"1\",\"qos\":2}}\n{{\"topic\":\"b\",\"payload\":\"{long}\"}}\n\
         {{\"topic\":\"c\",\"payload\":\"3\"}}\n"
    );
    let ended = mqpub(&broker, &["--json", "-q", "1", "-V", "5"], lines.as_bytes());
    assert_eq!(ended.code, Some(0x9b), "{}", ended.stderr);
    let expected = "\
        Error: line 1 ('a') was refused: the broker accepts at most QoS 1\n\
        Error: line 2 ('b') was refused: a packet of 209 bytes exceeds the limit of 100; it is the broker's \
        limit, the Maximum Packet Size in its CONNACK\n";
    assert_whole(&ended.stderr, expected);
    assert_eq!(topics_and_payloads(&published(broker, 1)), [("c", &b"3"[..])]);
}

#[test]
fn a_line_is_topic_and_payload() {
    let broker = ScriptedBroker::start(Script::default());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"a/1\tx\ty\nb\t\n\xc3\xa9\t\xff").unwrap();
    let file = file.path().to_str().unwrap();
    assert_eq!(mqpub(&broker, &["--topic-sep", "TAB", "-f", file, "-q", "1"], b"").code, Some(0));
    let ended = mqpub(&broker, &["--topic-sep", ": ", "-l", "-q", "1", "--null"], b"a/2: x\n\0b : y\0no\0");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.starts_with("Error: record 3: it does not contain ': ', which separates topic and payload\n"),
        "{}",
        ended.stderr
    );
    let expected: [(&str, &[u8]); 5] = [("a/1", b"x\ty"), ("b", b""), ("é", b"\xff"), ("a/2", b"x\n"), ("b ", b"y")];
    assert_eq!(topics_and_payloads(&published(broker, 2)), expected);
}

#[test]
fn each_message_goes_to_each_topic() {
    let broker = ScriptedBroker::start(Script::default());
    for (more, stdin) in [
        (&["-m", "x"][..], &b""[..]),
        (&["-m", "r", "--repeat", "2", "-q", "1"], b""),
        (&["-l", "-q", "2"], b"1\n2\n"),
        (&["--json"], b"{\"payload\":\"j\"}\n{\"payload\":\"k\",\"topic\":\"t\"}\n"),
    ] {
        let ended = mqpub(&broker, &[&["-t", "a", "-t", "b"], more].concat(), stdin);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{more:?}");
    }
    let messages = published(broker, 4);
    let expected: [(&str, &[u8]); 13] = [
        ("a", b"x"),
        ("b", b"x"),
        ("a", b"r"),
        ("b", b"r"),
        ("a", b"r"),
        ("b", b"r"),
        ("a", b"1"),
        ("b", b"1"),
        ("a", b"2"),
        ("b", b"2"),
        ("a", b"j"),
        ("b", b"j"),
        ("t", b"k"),
    ];
    assert_eq!(topics_and_payloads(&messages), expected);
}

/// `-h 127.0.0.1 -p PORT -V 5 -q 1` and what follows.
fn at<'a>(port: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    ["-h", "127.0.0.1", "-p", port, "-V", "5", "-q", "1"].iter().chain(more).copied().collect()
}

/// The bytes of a message make the whole way: from a broker through mqsub, jq and mqpub into another broker.
#[test]
fn a_pipe_through_jq_is_a_mirror() {
    if !has("jq") {
        return;
    }
    let (from, to) = (Mqbroker::start(BROKER), Mqbroker::start(BROKER));
    let (from, to) = (from.port(), to.port());
    let topic = "x".repeat(65_000);
    let messages: [(&str, &[u8]); 5] =
        [("a", b"plain"), ("b/é", b"\0\xff\n"), ("c", b""), ("d", "\u{202e}\u{9b}\"\\".as_bytes()), (&topic, b"long")];
    let mut watcher = Tool::start(MQSUB, &at(&to, &["-t", "#", "--json", "-C", "5", "-d"]));
    watcher.wait_for_stderr("received SUBACK");
    let mirror = format!(
        "{MQSUB} {} -t '#' --json -C 5 -d | jq -c '.properties[\"content-type\"] = \"copy\"' | {MQPUB} {} --json",
        at(&from, &[]).join(" "),
        at(&to, &[]).join(" ")
    );
    let mut shell = std::process::Command::new("sh");
    let mut pipe = Running::start(shell.args(["-c", &mirror]).env("XDG_CONFIG_HOME", "/nowhere"));
    pipe.stderr.wait_for("received SUBACK");
    for (topic, payload) in messages {
        let source = if payload.is_empty() { "-n" } else { "-s" };
        let more = ["-D", "publish", "user-property", "k", "v", source, "-t", topic];
        assert_eq!(tool::run(MQPUB, &at(&from, &more), payload).code, Some(0));
    }
    assert!(pipe.finish().status.success());
    let defaults = MessageDefaults { version: ProtocolVersion::V5, ..MessageDefaults::default() };
    let read = |line: String| read_message(&line.into(), &defaults).unwrap().message;
    let copies: Vec<Message> = watcher.end().lines().into_iter().map(read).collect();
    assert_eq!(topics_and_payloads(&copies), messages);
    for copy in copies {
        let names: Vec<&str> = copy.properties.iter().map(|property| property.name().text()).collect();
        assert_eq!((copy.qos, names), (QoS::AtLeastOnce, vec!["user-property", "content-type"]));
    }
}

#[test]
fn a_line_in_json_has_a_limit() {
    let broker = ScriptedBroker::start(Script::default());
    let mut publisher =
        Tool::start(MQPUB, &["-h", "127.0.0.1", "-p", &broker.port(), "--json", "-q", "1", "--on-error", "skip"]);
    publisher.feed(b"{\"topic\":\"t\",\"payload\":\"");
    let megabyte = vec![b'x'; 1 << 20];
    for _ in 0..513 {
        publisher.feed(&megabyte);
    }
    publisher.feed(b"\"}\n{\"topic\":\"t\",\"payload\":\"after\"}\n");
    let ended = publisher.end();
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(1), "Error: line 1: it has 537919514 bytes; a line can have at most 536870912\nError: 1 line skipped\n")
    );
    assert_eq!(topics_and_payloads(&published(broker, 1)), [("t", &b"after"[..])]);
}

#[test]
fn a_message_without_a_subscriber_is_an_error_where_that_matters() {
    let broker = Mqbroker::start(BROKER);
    let port = broker.port();
    let mqpub = |more: &[&str], stdin: &[u8]| {
        tool::run(MQPUB, &[&["-h", "127.0.0.1", "-p", &port, "-V", "5"], more].concat(), stdin)
    };
    let ended = mqpub(&["-t", "t", "-m", "x", "-q", "1", "--require-subscriber"], b"");
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(44), "Error: message 1 reached nobody: no client is subscribed to its topic\n")
    );
    assert_eq!(mqpub(&["-t", "t", "-m", "x", "-q", "1"], b"").code, Some(0));
    let mut subscriber = Tool::start(MQSUB, &["-h", "127.0.0.1", "-p", &port, "-t", "t", "-q", "2", "-C", "3", "-d"]);
    subscriber.wait_for_stderr("received SUBACK");
    let ended = mqpub(&["-t", "t", "-m", "x", "-q", "1", "--require-subscriber"], b"");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let ended = mqpub(&["-t", "t", "-m", "x", "-q", "2", "--require-subscriber"], b"");
    assert_eq!(ended.code, Some(0));
    let expected = "\
        Warning: many brokers, such as mosquitto, do not report missing subscribers at QoS 2, only at QoS 1\n\
        Hint: use -q 1\n";
    assert_whole(&ended.stderr, expected);
    let lines = b"{\"topic\":\"t\",\"payload\":\"1\"}\n{\"topic\":\"u\",\"payload\":\"2\"}\n";
    let ended = mqpub(&["--json", "-q", "1", "--summary", "json", "--require-subscriber"], lines);
    assert_eq!(ended.code, Some(44));
    let expected = "\
        Error: line 2 ('u') reached nobody: no client is subscribed to its topic\n\
        {[..],\"without_subscriber\":1,[..],\"exit_status\":44}\n";
    assert_whole(&ended.stderr, expected);
    let ended = mqpub(&["--json", "--require-subscriber"], lines);
    assert_eq!(ended.code, Some(1));
    let expected = "\
        Error: line 1: its QoS is 0, at which the broker does not report subscribers (--require-subscriber)\n\
        Hint: --on-error skip goes on with the next line\n\
        Error: the rest of the input was not read\n";
    assert_whole(&ended.stderr, expected);
    assert_eq!(subscriber.end().code, Some(0));
    let lines = ["-t", "nobody", "-l", "-q", "1", "--require-subscriber"];
    let ended = mqpub(&lines, b"1\n2\n3\n4\n5\n6\n7\n");
    assert_eq!(ended.code, Some(44));
    assert_eq!(ended.stderr.matches("reached nobody").count(), 5, "{}", ended.stderr);
    let expected = "\
        Error: line 1 reached nobody: no client is subscribed to its topic\n\
        Error: line 2 reached nobody: no client is subscribed to its topic\n\
        Error: line 3 reached nobody: no client is subscribed to its topic\n\
        Error: line 4 reached nobody: no client is subscribed to its topic\n\
        Error: line 5 reached nobody: no client is subscribed to its topic\n\
        Error: 7 of 7 messages had no subscriber\n";
    assert_whole(&ended.stderr, expected);
}

/// PUBREC reports it, and PUBCOMP ends the message.
#[test]
fn a_qos_2_message_without_a_subscriber_is_reported_by_pubrec() {
    let none = ReasonCode::NO_MATCHING_SUBSCRIBERS;
    let broker = ScriptedBroker::start(Script::default().refuse_publishes([2], none));
    let ended = mqpub(&broker, &["-t", "t", "-l", "-q", "2", "-V", "5", "--require-subscriber"], b"1\n2\n3\n");
    assert_eq!(ended.code, Some(44), "{}", ended.stderr);
    assert!(
        ended.stderr.ends_with("Error: line 2 reached nobody: no client is subscribed to its topic\n"),
        "{}",
        ended.stderr
    );
    assert_eq!(published(broker, 1).len(), 3);
}

#[test]
fn templates_are_filled_in_topics_and_messages() {
    let broker = ScriptedBroker::start(Script::default());
    let folder = tempfile::tempdir().unwrap();
    let (table, text) = (folder.path().join("rooms.csv"), folder.path().join("text"));
    std::fs::write(&table, "id,name\nk,\"Kitchen, big\"\nh,Hall\n").unwrap();
    std::fs::write(&text, "%05s!").unwrap();
    let (table, text) = (table.to_str().unwrap(), text.to_str().unwrap());
    let mut ended = 0;
    for (more, stdin) in [
        (&["-t", "a/%s", "-m", "%{count:1}%%", "--repeat", "2"][..], &b""[..]),
        (&["-t", "room/%{csv:id}", "-t", "all", "-m", "%{csv:name}", "--csv", table], b""),
        (&["-t", "x", "-m", "%{csv:id}", "--csv", table, "--repeat", "3"], b""),
        (&["-t", "l/%{line}", "-l", "-m", "<%{line}>"], b"one\ntwo\n"),
        (&["-t", "l", "-l"], b"%s-%{choice:c}\n%s\n"),
        (&["-t", "f", "-f", text, "--repeat", "2"], b""),
    ] {
        let result = mqpub(&broker, &[&["--template", "-q", "1"], more].concat(), stdin);
        assert_eq!((result.code, result.stderr.as_str()), (Some(0), ""), "{more:?}");
        ended += 1;
    }
    let expected: [(&str, &[u8]); 15] = [
        ("a/0", b"1%"),
        ("a/1", b"2%"),
        ("room/k", b"Kitchen, big"),
        ("all", b"Kitchen, big"),
        ("room/h", b"Hall"),
        ("all", b"Hall"),
        ("x", b"k"),
        ("x", b"h"),
        ("x", b"k"),
        ("l/one", b"<one>"),
        ("l/two", b"<two>"),
        ("l", b"0-c"),
        ("l", b"1"),
        ("f", b"00000!"),
        ("f", b"00001!"),
    ];
    assert_eq!(topics_and_payloads(&published(broker, ended)), expected);
}

#[test]
fn a_seed_gives_the_same_messages() {
    let messages = |seed: &str| {
        let broker = ScriptedBroker::start(Script::default());
        let message = "%{int:1..1000000} %{float:0..1:9} %{uuid}";
        let more = ["--template", "-t", "t/%{int:1..1000}", "-m", message, "--repeat", "20", "-q", "1", "--seed", seed];
        assert_eq!(mqpub(&broker, &more, b"").code, Some(0));
        published(broker, 1)
    };
    let first = messages("7");
    assert_eq!(first, messages("7"));
    assert_ne!(first, messages("8"));
    assert_ne!(first[0].payload, first[1].payload);
}

#[test]
fn a_line_that_is_not_a_template_is_a_bad_line() {
    let broker = ScriptedBroker::start(Script::default());
    let ended = mqpub(&broker, &["--template", "-t", "t", "-l", "-q", "1", "--on-error", "skip"], b"%s\n%x\n100%%\n");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.starts_with("Error: line 2: `%x` is not a placeholder here: use %s"), "{}", ended.stderr);
    let plain = mqpub(&broker, &["-t", "t", "-m", "%s 100% %{uuid}", "-q", "1"], b"");
    assert_eq!(plain.code, Some(0));
    let expected: [(&str, &[u8]); 3] = [("t", b"0"), ("t", b"100%"), ("t", b"%s 100% %{uuid}")];
    assert_eq!(topics_and_payloads(&published(broker, 2)), expected);
}
