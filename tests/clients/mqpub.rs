//! The mqpub process against brokers that do right and wrong: what arrives, and what the exit status says of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mqtools::broker::{BrokerSettings, EmbeddedBroker};
use mqtools::mqtt::wire::PacketType;
use mqtools::mqtt::{Property, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode};

use crate::support::at_once::at_once;
use crate::support::peer::Peer;
use crate::support::process::{ended_by, has, run as run_command};
use crate::support::raw_client::RawClient;
use crate::support::scripted_broker::{Action, Log, Received, Script, ScriptedBroker, Trigger};
use crate::support::tool::{self, Ended, Tool};

const MQPUB: &str = env!("CARGO_BIN_EXE_mqpub");

/// `-h 127.0.0.1 -p PORT -t t` and what follows.
fn arguments<'a>(port: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    ["-h", "127.0.0.1", "-p", port, "-t", "t"].iter().chain(more).copied().collect()
}

fn mqpub(broker: &ScriptedBroker, more: &[&str], stdin: &[u8]) -> Ended {
    tool::run(MQPUB, &arguments(&broker.port(), more), stdin)
}

fn start(broker: &ScriptedBroker, more: &[&str]) -> Tool {
    Tool::start(MQPUB, &arguments(&broker.port(), more))
}

fn lines(count: usize) -> Vec<u8> {
    (1..=count).map(|number| format!("line {number}\n")).collect::<String>().into_bytes()
}

/// The payloads of [`lines`].
fn payloads(count: usize) -> Vec<Bytes> {
    (1..=count).map(|number| Bytes::from(format!("line {number}"))).collect()
}

fn without_repetitions(accepted: &[Bytes]) -> Vec<Bytes> {
    let mut seen = std::collections::HashSet::new();
    accepted.iter().filter(|payload| seen.insert((*payload).clone())).cloned().collect()
}

#[test]
fn every_qos_and_version_ends_with_0_once_the_broker_has_it() {
    for version in ["31", "311", "5"] {
        for qos in ["0", "1", "2"] {
            let broker = ScriptedBroker::start(Script::default().delay(PacketType::Pubcomp, Duration::from_millis(50)));
            let ended = mqpub(&broker, &["-m", "hello", "-q", qos, "-r", "-V", version], b"");
            assert_eq!((ended.code, ended.stderr.as_str(), ended.stdout.len()), (Some(0), "", 0), "{version} {qos}");
            broker.wait_for("the end", |log| log.ended() == 1);
            let log = broker.stop();
            let published: Vec<_> = log.publishes().map(|(message, _, dup)| (message.clone(), dup)).collect();
            assert_eq!(published.len(), 1);
            assert_eq!((&*published[0].0.topic, &*published[0].0.payload), ("t", b"hello".as_slice()));
            assert_eq!(published[0].0.qos.number().to_string(), qos);
            assert!(published[0].0.retain && !published[0].1);
            assert_eq!((log.accepted.len(), log.disconnects(ReasonCode::SUCCESS)), (1, 1));
            assert_eq!(log.violations, [""; 0]);
        }
    }
}

#[test]
fn one_message_comes_from_each_of_its_places() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payload");
    std::fs::write(&file, b"a\0b\n").unwrap();
    let broker = ScriptedBroker::start(Script::default());
    let file = file.to_str().unwrap();
    for (more, stdin) in [
        (&["-f", file][..], &b""[..]),
        (&["-s"], b"in\0one\n"),
        (&["-n"], b""),
        (&["-m", ""], b""),
        (&["-m", "-5", "--repeat", "3", "-q", "1"], b""),
    ] {
        assert_eq!(mqpub(&broker, more, stdin).code, Some(0), "{more:?}");
    }
    let url = format!("mqtt://127.0.0.1:{}/of/url", broker.port());
    assert_eq!(tool::run(MQPUB, &["-L", &url, "-m", "u"], b"").code, Some(0));
    broker.wait_for("all", |log| log.ended() == 6);
    let log = broker.stop();
    assert_eq!(log.accepted, [&b"a\0b\n"[..], b"in\0one\n", b"", b"", b"-5", b"-5", b"-5", b"u"]);
    assert_eq!(log.publishes().last().unwrap().0.topic, "of/url");
}

#[cfg(unix)]
#[test]
fn a_file_may_be_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(run_command(std::process::Command::new("mkfifo").arg(&fifo)).status.success());
    let broker = ScriptedBroker::start(Script::default());
    let publisher = start(&broker, &["-f", fifo.to_str().unwrap(), "-q", "1"]);
    std::fs::write(&fifo, b"through the pipe").unwrap();
    assert_eq!(publisher.end().code, Some(0));
    assert_eq!(broker.stop().accepted, [&b"through the pipe"[..]]);
}

#[cfg(unix)]
#[test]
fn the_lines_of_a_file_or_a_pipe_are_messages() {
    let folder = tempfile::tempdir().unwrap();
    let (file, fifo) = (folder.path().join("file"), folder.path().join("fifo"));
    std::fs::write(&file, "one\ntwo").unwrap();
    assert!(run_command(std::process::Command::new("mkfifo").arg(&fifo)).status.success());
    let broker = ScriptedBroker::start(Script::default());
    assert_eq!(mqpub(&broker, &["-l", "-f", file.to_str().unwrap(), "-q", "1"], b"not read").code, Some(0));
    let publisher = start(&broker, &["-l", "-f", fifo.to_str().unwrap(), "-q", "1"]);
    std::fs::write(&fifo, "three\nfour\n").unwrap();
    assert_eq!(publisher.end().code, Some(0));
    assert_eq!(broker.stop().accepted, ["one", "two", "three", "four"]);
    let ended = tool::run(MQPUB, &["-p", "1", "-t", "t", "-l", "-f", "/no/such/file"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.starts_with("Error: cannot read the file '/no/such/file': "), "{}", ended.stderr);
}

/// The summary, which is the last line of stderr.
fn summary(ended: &Ended) -> serde_json::Value {
    serde_json::from_str(ended.stderr.lines().last().unwrap_or_default()).expect(&ended.stderr)
}

#[test]
fn a_summary_adds_up() {
    let broker = ScriptedBroker::start(Script::default().refuse_publishes([3, 5], ReasonCode(0x97)));
    let ended = mqpub(&broker, &["-l", "-q", "1", "-V", "5", "--quiet", "--summary", "json"], &lines(10));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    let figures = summary(&ended);
    let refused = serde_json::json!([{"reason": 0x97, "name": "Quota exceeded", "count": 2}]);
    assert_eq!(figures["refused_by_reason"], refused);
    for (key, value) in [("messages", 10), ("sent", 10), ("acknowledged", 8), ("refused", 2), ("exit_status", 0x97)] {
        assert_eq!(figures[key], value, "{key}: {figures}");
    }
    let ended = mqpub(&broker, &["-l", "--summary", "text"], &lines(3));
    assert!(ended.stderr.starts_with("3 sent in ") && ended.stderr.ends_with("/s\n"), "{}", ended.stderr);
    // Nobody listens there.
    let ended = tool::run(MQPUB, &["-h", "127.0.0.1", "-p", "1", "-t", "t", "-m", "x", "--summary", "json"], b"");
    let figures = summary(&ended);
    assert_eq!((&figures["messages"], &figures["sent"], &figures["unacknowledged"]), (&1.into(), &0.into(), &1.into()));
    assert_eq!((&figures["acknowledged"], &figures["exit_status"]), (&serde_json::Value::Null, &1.into()));
}

#[test]
fn a_summary_reports_whether_the_input_was_read() {
    use serde_json::{Value, json};
    let broker = ScriptedBroker::start(Script::default().omit(PacketType::Puback, 1..));
    let input_read = |ended: &Ended| summary(ended)["input_read"].clone();
    // Nothing is acknowledged, and more comes than is read ahead.
    let more = ["-l", "-q", "1", "--summary", "json", "--connect-timeout", "2"];
    let mut publisher = start(&broker, &more);
    publisher.feed(&lines(1_000_000));
    let ended = publisher.end();
    assert_eq!((ended.code, input_read(&ended)), (Some(43), json!(false)), "{}", ended.stderr);
    assert!(summary(&ended)["messages"].as_u64().is_some_and(|messages| messages < 1_000_000), "{}", ended.stderr);
    let ended = mqpub(&broker, &["-l", "-q", "1", "--summary", "text", "--connect-timeout", "2"], &lines(1_000_000));
    assert!(ended.stderr.ends_with("/s; the input was not read to its end\n"), "{}", ended.stderr);
    // All of it is known, though not all of it is through.
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&lines(1000)).unwrap();
    let ended = mqpub(&broker, &[&more, &["-f", file.path().to_str().unwrap()][..]].concat(), b"");
    assert_eq!((ended.code, input_read(&ended)), (Some(43), json!(true)), "{}", ended.stderr);
    assert!(!ended.stderr.contains("not read"), "{}", ended.stderr);
    assert_eq!(summary(&ended)["messages"], 1000);
    broker.set_script(Script::default());
    for (more, stdin, expected) in [
        (&["-l", "-q", "1"][..], &b"1\n2\n"[..], json!(true)),
        (&["-s"], b"x", json!(true)),
        (&["-m", "x"], b"", Value::Null),
        (&["-n", "--repeat", "2"], b"", Value::Null),
    ] {
        let ended = mqpub(&broker, &[more, &["--summary", "json"]].concat(), stdin);
        assert_eq!((ended.code, input_read(&ended)), (Some(0), expected), "{more:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_summary_of_what_could_not_be_read_counts_acknowledgements_where_there_are_any() {
    let broker = ScriptedBroker::start(Script::default());
    for (more, acknowledged) in [(&["-q", "1"][..], serde_json::json!(0)), (&["-q", "0"], serde_json::Value::Null)] {
        for source in [&["-f", "/no/such/file"][..], &["-l", "-f", "/no/such/file"], &["-s"]] {
            let more = [more, source, &["--summary", "json"]].concat();
            let ended = tool::run(MQPUB, &arguments("1", &more), b"");
            let figures = summary(&ended);
            assert_eq!((ended.code, &figures["acknowledged"]), (Some(1), &acknowledged), "{figures}");
            assert_eq!((&figures["messages"], &figures["input_read"]), (&0.into(), &false.into()), "{figures}");
        }
        // A folder can be opened, and not read.
        let port = broker.port();
        let more = [&["-l", "--summary", "json"], more].concat();
        let mut command = tool::command(MQPUB, &arguments(&port, &more));
        let output = command.stdin(std::fs::File::open("/").unwrap()).output().unwrap();
        let ended = Ended {
            code: output.status.code(),
            signal: ended_by(output.status),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        let figures = summary(&ended);
        assert!(ended.stderr.contains("cannot read stdin: "), "{}", ended.stderr);
        assert_eq!((&figures["acknowledged"], &figures["input_read"]), (&acknowledged, &false.into()), "{figures}");
    }
}

#[test]
fn an_input_that_cannot_be_read_is_an_error_before_connecting() {
    let broker = ScriptedBroker::start(Script::default());
    let ended = mqpub(&broker, &["-f", "/no/such/file"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.starts_with("Error: cannot read the file '/no/such/file': "), "{}", ended.stderr);
    let ended = mqpub(&broker, &["-s"], b"");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(broker.counts().connections, 0);
}

#[test]
fn lines_keep_every_byte_but_the_line_end() {
    for qos in ["0", "1", "2"] {
        let broker = ScriptedBroker::start(Script::default());
        let ended = mqpub(&broker, &["-l", "-q", qos], b"one\r\n\nc\0d\n\xff\nlast");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        broker.wait_for("the end", |log| log.ended() == 1);
        assert_eq!(broker.stop().accepted, [&b"one\r"[..], b"", b"c\0d", b"\xff", b"last"]);
    }
    let broker = ScriptedBroker::start(Script::default());
    assert_eq!(mqpub(&broker, &["-l"], b"").code, Some(0));
    assert_eq!(broker.stop().accepted.len(), 0);
}

#[test]
fn many_lines_arrive_in_order_at_every_qos() {
    for qos in ["0", "1", "2"] {
        let broker = ScriptedBroker::start(Script::default());
        let ended = mqpub(&broker, &["-l", "-q", qos], &lines(5000));
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        broker.wait_for("the end", |log| log.ended() == 1);
        let log = broker.stop();
        assert_eq!(log.accepted, payloads(5000));
        assert_eq!(log.violations, [""; 0]);
    }
}

#[test]
fn a_line_is_sent_as_soon_as_it_is_there() {
    for qos in ["0", "1"] {
        let broker = ScriptedBroker::start(Script::default());
        let mut publisher = start(&broker, &["-l", "-q", qos]);
        for number in 1..=3 {
            publisher.feed(format!("{number}\nhalf").as_bytes());
            broker.wait_for("the line", |log| log.accepted.len() == number);
            publisher.feed(b" ");
        }
        assert_eq!(publisher.end().code, Some(0));
        broker.wait_for("the end", |log| log.ended() == 1);
        assert_eq!(broker.stop().accepted, [&b"1"[..], b"half 2", b"half 3", b"half "]);
    }
}

#[test]
fn no_more_than_the_window_is_in_flight() {
    let broker = ScriptedBroker::start(Script::default().omit(PacketType::Puback, 1..));
    let publisher = start(&broker, &["-l", "-q", "1", "-M", "7", "--connect-timeout", "2"]);
    let mut publisher = publisher;
    publisher.feed(&lines(1000));
    broker.wait_for("the window", |log| log.counts.publishes == 7);
    let ended = publisher.end();
    assert_eq!(ended.code, Some(43), "{}", ended.stderr);
    assert!(ended.stderr.contains("did not answer PUBLISH within 2 s"), "{}", ended.stderr);
    assert!(ended.stderr.contains("messages did not reach the broker"), "{}", ended.stderr);
    assert_eq!(broker.stop().counts.publishes, 7);
}

#[test]
fn an_acknowledgement_that_does_not_come_is_43() {
    for (qos, packet) in [("1", PacketType::Puback), ("2", PacketType::Pubrec), ("2", PacketType::Pubcomp)] {
        let broker = ScriptedBroker::start(Script::default().omit(packet, 1..));
        let ended = mqpub(&broker, &["-m", "x", "-q", qos, "--connect-timeout", "2"], b"");
        assert_eq!(ended.code, Some(43), "{packet:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("did not answer PUBLISH within 2 s"), "{}", ended.stderr);
        let quiet = mqpub(&broker, &["-m", "x", "-q", qos, "--connect-timeout", "2", "--quiet"], b"");
        assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(43), ""));
    }
}

#[test]
fn slow_acknowledgements_are_waited_for() {
    // Longer than the patience all together, and shorter one by one.
    let broker = ScriptedBroker::start(Script::default().delay(PacketType::Puback, Duration::from_millis(400)));
    let ended = mqpub(&broker, &["-l", "-q", "1", "-M", "1", "--connect-timeout", "3"], &lines(10));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(broker.stop().accepted, payloads(10));
}

#[test]
fn a_refused_connection_ends_with_the_reason() {
    for (version, reason, code) in [
        ("311", ReasonCode::NOT_AUTHORIZED, 135),
        ("311", ReasonCode::BAD_USER_NAME_OR_PASSWORD, 134),
        ("5", ReasonCode::NOT_AUTHORIZED, 135),
        ("5", ReasonCode(0x8A), 138),
        ("5", ReasonCode(0x01), 128),
        ("5", ReasonCode(0xB0), 128),
    ] {
        let broker = ScriptedBroker::start(Script::default().refuse_connect(reason));
        let ended = mqpub(&broker, &["-m", "x", "-V", version], b"");
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert!(ended.stderr.contains("the broker refused the connection"), "{}", ended.stderr);
        assert_eq!(broker.counts().connections, 1);
    }
    let broker = ScriptedBroker::start(Script::default().only_v311());
    let ended = mqpub(&broker, &["-m", "x", "-V", "5"], b"");
    assert_eq!(ended.code, Some(132));
    assert!(ended.stderr.contains("-V 311"), "{}", ended.stderr);
}

#[test]
fn a_refused_message_ends_with_the_reason() {
    for qos in ["1", "2"] {
        let script = Script::default().refuse_publishes(1.., ReasonCode::NOT_AUTHORIZED);
        let broker = ScriptedBroker::start(script);
        let ended = mqpub(&broker, &["-m", "x", "-q", qos, "-V", "5"], b"");
        assert_eq!(ended.code, Some(135), "{}", ended.stderr);
        assert!(ended.stderr.contains("was refused: Not authorized (0x87)"), "{}", ended.stderr);
        assert_eq!(broker.stop().accepted.len(), 0);
    }
    let broker = ScriptedBroker::start(Script::default().refuse_publishes([3, 5], ReasonCode(0x97)));
    let ended = mqpub(&broker, &["-l", "-q", "1", "-V", "5"], &lines(10));
    assert_eq!(ended.code, Some(0x97), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("was refused").count(), 2, "{}", ended.stderr);
    assert_eq!(broker.stop().accepted.len(), 8);
}

#[test]
fn what_the_broker_does_not_take_is_not_sent() {
    let property = |name, value| Property::new(name, value).unwrap();
    let maximum_qos = property(PropertyName::MaximumQos, PropertyValue::Byte(1));
    let broker = ScriptedBroker::start(Script::default().connack_property(maximum_qos));
    let ended = mqpub(&broker, &["-m", "x", "-q", "2", "-V", "5"], b"");
    assert_eq!(ended.code, Some(0x9B), "{}", ended.stderr);
    assert!(ended.stderr.contains("Hint: use -q 1"), "{}", ended.stderr);
    let small = property(PropertyName::MaximumPacketSize, PropertyValue::FourByte(40));
    let broker = ScriptedBroker::start(Script::default().connack_property(small));
    let text = format!("short\n{}\nshort too\n", "x".repeat(100));
    let ended = mqpub(&broker, &["-l", "-q", "1", "-V", "5"], text.as_bytes());
    assert_eq!(ended.code, Some(0x95), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("Error: line 2 was refused: a packet of "), "{}", ended.stderr);
    let log = broker.stop();
    assert_eq!(log.accepted, [&b"short"[..], b"short too"]);
    assert_eq!(log.violations, [""; 0]);
}

#[test]
fn a_line_that_is_too_long_is_named_and_the_others_are_sent() {
    let limit = Property::new(PropertyName::MaximumPacketSize, PropertyValue::FourByte(100_000)).unwrap();
    let broker = ScriptedBroker::start(Script::default().connack_property(limit));
    // More than one read brings.
    let text = format!("one\n{}\nthree\n{}", "x".repeat(500_000), "y".repeat(600_000));
    let ended = mqpub(&broker, &["-l", "-q", "1", "-V", "5", "--summary", "json"], text.as_bytes());
    assert_eq!(ended.code, Some(0x95), "{}", ended.stderr);
    for (number, length) in [(2, 500_000), (4, 600_000)] {
        let text = format!(
            "Error: line {number} was refused: a payload of {length} bytes exceeds the limit of 100000; it is the broker"
        );
        assert!(ended.stderr.contains(&text), "{}", ended.stderr);
    }
    assert_eq!((&summary(&ended)["acknowledged"], &summary(&ended)["refused"]), (&2.into(), &2.into()));
    let log = broker.stop();
    assert_eq!(log.accepted, ["one", "three"]);
    assert_eq!(log.violations, [""; 0]);
}

/// Reads CONNECT, whose length is in one byte, and accepts it with these bytes.
fn accept(stream: &mut TcpStream, connack: &[u8]) -> std::io::Result<()> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    stream.read_exact(&mut vec![0; usize::from(head[1])])?;
    stream.write_all(connack)
}

#[test]
fn what_a_broker_sends_before_it_closes_is_read_though_writing_fails() {
    // It closes with bytes unread, which resets the connection.
    let broker = Peer::start(|mut stream| {
        accept(&mut stream, &[0x20, 3, 0, 0, 0])?;
        stream.read_exact(&mut [0; 50])?;
        stream.write_all(&[0xE0, 2, 0x97, 0])
    });
    let port = broker.port().to_string();
    let ended = tool::run(MQPUB, &arguments(&port, &["-V", "5", "-l"]), &lines(400_000));
    assert_eq!(ended.code, Some(0x97), "{}", ended.stderr);
    assert!(!ended.stderr.contains("trying again"), "{}", ended.stderr);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    std::fs::write(&file, vec![0; 20_000_000]).unwrap();
    let ended = tool::run(MQPUB, &arguments(&port, &["-V", "5", "-f", file.to_str().unwrap()]), b"");
    assert_eq!(ended.code, Some(0x97), "{}", ended.stderr);
}

#[test]
fn a_refusal_that_comes_while_mqpub_leaves_is_the_exit_status() {
    // It answers only once it has read PUBLISH and the beginning of DISCONNECT, and leaves the rest unread.
    let broker = |version: u8, answer: &'static [u8]| {
        Peer::start(move |mut stream| {
            let connack: &[u8] = if version == 5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] };
            accept(&mut stream, connack)?;
            stream.read_exact(&mut vec![0; if version == 5 { 8 } else { 7 }])?;
            stream.write_all(answer)
        })
    };
    for (version, answer, more, stdin, expected) in [
        (5, &[0xE0, 2, 0x97, 0][..], &["-m", "x"][..], "", 0x97),
        (5, &[0xE0, 1, 0x96], &["-l"], "x\n", 0x96),
        (5, &[0xE0, 1, 0x96], &["-m", "x", "-r"], "", 0x96),
        (5, &[0xE0, 0], &["-m", "x"], "", 0),
        (5, &[], &["-m", "x"], "", 0),
        (5, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF], &["-m", "x"], "", 0),
        (5, &[0xE0, 2, 0x97, 0], &["-m", "x", "--compat"], "", 0),
        (4, &[0xE0, 2, 0x97, 0], &["-m", "x"], "", 0),
    ] {
        let port = broker(version, answer).port().to_string();
        let version = if version == 5 { "5" } else { "mqttv311" };
        let mut all = vec!["-p", &port, "-t", "a", "-V", version];
        all.extend(more);
        let all: Vec<&str> = if all.contains(&"--compat") {
            std::iter::once("--compat").chain(all.into_iter().filter(|argument| *argument != "--compat")).collect()
        } else {
            all
        };
        let ended = tool::run(MQPUB, &all, stdin.as_bytes());
        assert_eq!(ended.code, Some(expected), "{more:?}, {answer:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.contains("the broker closed the connection: "), expected != 0, "{}", ended.stderr);
    }
}

/// A path to a broker that carries `rate` bytes a second and holds next to nothing.
#[cfg(target_os = "linux")]
fn slow_path(broker: std::net::SocketAddr, rate: usize) -> u16 {
    use nix::sys::socket::{setsockopt, sockopt::RcvBuf};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // What is accepted has the buffer of its listener.
    setsockopt(&listener, RcvBuf, &4096).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut broker = TcpStream::connect(broker).unwrap();
            let (mut back, mut answers) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
            std::thread::spawn(move || {
                let mut piece = vec![0; rate / 20];
                while let Ok(count @ 1..) = client.read(&mut piece) {
                    let _ = broker.write_all(&piece[..count]);
                    // The time that these bytes take on the slow path is what is made here.
                    std::thread::sleep(Duration::from_secs_f64(count as f64 / rate as f64));
                }
            });
        }
    });
    port
}

#[cfg(target_os = "linux")]
#[test]
fn the_time_for_an_answer_begins_when_the_message_is_written() {
    let broker = ScriptedBroker::start(Script::default());
    let port = slow_path(broker.addr(), 400_000).to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    std::fs::write(&file, vec![b'x'; 2_000_000]).unwrap();
    // It takes 5 s.
    at_once(["1", "2"], |qos| {
        let more = ["-q", qos, "-f", file.to_str().unwrap(), "--connect-timeout", "3"];
        let ended = tool::run(MQPUB, &arguments(&port, &more), b"");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "-q {qos}");
    });
}

#[test]
fn a_broker_that_repeats_itself_is_not_waited_for() {
    let broker = Peer::start(|mut stream| {
        accept(&mut stream, &[0x20, 2, 0, 0])?;
        loop {
            // PUBREC for the first message, and an answer to a ping that nobody sent.
            stream.write_all(&[0x50, 2, 0, 1, 0xD0, 0])?;
            // It waits for nothing; without a pause mqpub would be busy with a flood, which is another case.
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let more = ["-m", "x", "-q", "2", "--connect-timeout", "2"];
    let ended = tool::run(MQPUB, &arguments(&broker.port().to_string(), &more), b"");
    assert_eq!(ended.code, Some(43), "{}", ended.stderr);
}

#[test]
fn a_connack_of_many_megabytes_is_not_waited_for() {
    let broker = Peer::start(|mut stream| accept(&mut stream, &[0x20, 0x80, 0xE5, 0x9A, 0x77, 0, 0]));
    let ended = tool::run(MQPUB, &arguments(&broker.port().to_string(), &["-m", "x", "-V", "5", "-d"]), b"");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("exceeds the limit of 65536"), "{}", ended.stderr);
}

#[test]
fn what_is_acknowledged_stays_so_though_the_broker_takes_no_disconnect() {
    let broker = Peer::start(|mut stream| {
        accept(&mut stream, &[0x20, 2, 0, 0])?;
        // All of PUBLISH but its last byte: closing resets the connection then.
        stream.read_exact(&mut [0; 7])?;
        stream.write_all(&[0x40, 2, 0, 1])
    });
    for _ in 0..10 {
        let ended = tool::run(MQPUB, &arguments(&broker.port().to_string(), &["-m", "x", "-q", "1"]), b"");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_message_that_the_broker_does_not_take() {
    let broker = Peer::start(|mut stream| {
        accept(&mut stream, &[0x20, 2, 0, 0])?;
        loop {
            std::thread::park();
        }
    });
    let port = broker.port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    std::fs::write(&file, vec![0; 60_000_000]).unwrap();
    let more = ["-f", file.to_str().unwrap(), "-d"];
    let mut publisher = Tool::start(MQPUB, &arguments(&port, &more));
    publisher.wait_for_stderr("sending PUBLISH");
    publisher.signal("INT");
    let ended = publisher.end();
    assert_eq!(ended.signal, Some(2), "{}", ended.stderr);
    let mut publisher = Tool::start(MQPUB, &[&["--compat"][..], &arguments(&port, &more)].concat());
    while !publisher.line().contains("sending PUBLISH") {}
    publisher.signal("TERM");
    assert_eq!(publisher.end().signal, Some(15));
}

#[test]
fn mosquitto_pub_ends_at_a_line_that_is_too_large() {
    for (limit, length) in [(30, 41), (100_000, 500_000)] {
        let limit = Property::new(PropertyName::MaximumPacketSize, PropertyValue::FourByte(limit)).unwrap();
        let broker = ScriptedBroker::start(Script::default().connack_property(limit));
        let text = format!("one\n{}\nthree\n", "x".repeat(length));
        let port = broker.port();
        let compat = [&["--compat"][..], &arguments(&port, &["-V", "5", "-l", "-q", "1"])].concat();
        let ended = tool::run(MQPUB, &compat, text.as_bytes());
        let said = "Error: Packet larger than supported by the server.\n";
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(25), said));
    }
}

#[test]
fn puback_for_qos_2_is_a_downgrade() {
    let broker = ScriptedBroker::start(Script::default().answer_qos2_with_puback());
    let ended = mqpub(&broker, &["-l", "-q", "2"], &lines(3));
    assert_eq!(ended.code, Some(44), "{}", ended.stderr);
    assert!(ended.stderr.contains("Warning: the broker answered a QoS 2 message with PUBACK"), "{}", ended.stderr);
    assert!(ended.stderr.contains("3 messages were delivered at QoS 1 only"), "{}", ended.stderr);
    assert_eq!(broker.stop().accepted, payloads(3));
}

#[test]
fn a_broker_that_does_not_answer_or_is_none_is_named() {
    let broker = ScriptedBroker::start(Script::default().never_answer_connect());
    let ended = mqpub(&broker, &["-m", "x", "--connect-timeout", "1"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("did not answer CONNECT within 1 s"), "{}", ended.stderr);
    assert!(ended.stderr.contains("\nHint: "), "{}", ended.stderr);
    let http = Action::SendAndCut(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let broker = ScriptedBroker::start(Script::default().fault(1.., Trigger::ReceivedPacket(1), http));
    let ended = mqpub(&broker, &["-m", "x"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("not an MQTT broker") && ended.stderr.contains("HTTP"), "{}", ended.stderr);
    let broker = ScriptedBroker::start(Script::default().close_at_accept(1..));
    let ended = mqpub(&broker, &["-m", "x"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("the connection was lost"), "{}", ended.stderr);
    let ended = tool::run(MQPUB, &["-h", "127.0.0.1", "-p", "1", "-t", "t", "-l"], b"x\n");
    assert_eq!(ended.code, Some(1), "the first connection is not tried again");
    assert!(ended.stderr.starts_with("Error: cannot connect to 127.0.0.1:1: TCP: "), "{}", ended.stderr);
}

#[test]
fn a_single_message_does_not_wait_for_a_broker_to_come_back() {
    let broker = ScriptedBroker::start(Script::default().fault(1.., Trigger::ReceivedPublish(1), Action::Cut));
    let ended = mqpub(&broker, &["-m", "x", "-q", "1"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("the connection was lost"), "{}", ended.stderr);
    assert_eq!(broker.counts().connections, 1);
}

#[test]
fn retry_waits_for_a_broker_that_is_not_there_yet() {
    let mut broker = ScriptedBroker::start(Script::default());
    broker.go_away();
    let mut publisher = start(&broker, &["-m", "x", "-q", "1", "--retry", "forever", "--backoff", "10ms..100ms"]);
    let warning = publisher.wait_for_stderr("Warning: cannot connect to ");
    assert!(warning.ends_with("; trying again every 0.01 to 0.1 s"), "{warning}");
    broker.come_back().unwrap();
    assert_eq!(publisher.end().code, Some(0));
    assert_eq!(broker.stop().accepted, ["x"]);
    let ended =
        tool::run(MQPUB, &["-h", "127.0.0.1", "-p", "1", "-t", "t", "-n", "--retry", "3", "--backoff", "1ms"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("every 0.001 s, at most 3 times\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("\nError: cannot connect to 127.0.0.1:1: "), "{}", ended.stderr);
}

#[test]
fn retry_bounds_what_is_lost_in_a_row() {
    // The message comes through at the third connection.
    let cuts = || Script::default().fault([1, 2], Trigger::ReceivedPublish(1), Action::Cut);
    let broker = ScriptedBroker::start(cuts());
    let ended = mqpub(&broker, &["-m", "x", "-q", "1", "--retry", "2", "--backoff", "1ms"], b"");
    assert_eq!((ended.code, broker.stop().accepted.len()), (Some(0), 1), "{}", ended.stderr);
    for more in [&["-m", "x", "-q", "1"][..], &["-l", "-q", "1"]] {
        for (retry, connections) in [("0", 1), ("1", 2)] {
            let broker = ScriptedBroker::start(cuts());
            let arguments = [more, &["--retry", retry, "--backoff", "1ms"]].concat();
            let ended = mqpub(&broker, &arguments, b"x\n");
            assert_eq!((ended.code, broker.counts().connections), (Some(1), connections), "{}", ended.stderr);
        }
    }
}

#[test]
fn waits_grow_over_connections_that_come_to_nothing() {
    let broker = ScriptedBroker::start(Script::default().fault(1.., Trigger::ReceivedPublish(1), Action::Cut));
    for more in [&["-m", "x", "-q", "1"][..], &["-l", "-q", "1"]] {
        let before = broker.counts().connections;
        let started = Instant::now();
        let ended = mqpub(&broker, &[more, &["--retry", "4", "--backoff", "200ms..800ms"]].concat(), b"x\n");
        assert_eq!((ended.code, broker.counts().connections - before), (Some(1), 5), "{}", ended.stderr);
        // 200, 400, 800 and 800 ms.
        assert!(started.elapsed() >= Duration::from_millis(2200), "{:?}", started.elapsed());
    }
}

/// Cuts of all kinds on the first three connections.
fn cuts() -> Script {
    Script::default()
        .fault([1], Trigger::ReceivedPublish(30), Action::Cut)
        .fault([2], Trigger::ReceivedPublish(25), Action::CutUnanswered)
        .fault([3], Trigger::ReceivedBytes(700), Action::Cut)
}

fn survives(qos: &str, more: &[&str]) -> (Ended, Log) {
    let broker = ScriptedBroker::start(cuts());
    let arguments: Vec<&str> = ["-l", "-q", qos].iter().chain(more).copied().collect();
    let ended = mqpub(&broker, &arguments, &lines(200));
    broker.wait_for("four connections", |log| log.counts.connections == 4);
    (ended, broker.stop())
}

#[test]
fn lines_of_qos_1_survive_lost_connections() {
    let (ended, log) = survives("1", &[]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("was lost (") && ended.stderr.contains("; trying again every second\n"));
    // The others follow at once, and are counted at the end.
    assert_eq!(ended.stderr.matches("was lost (").count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains(" was lost 2 more times since the last report\n"), "{}", ended.stderr);
    assert_eq!(without_repetitions(&log.accepted), payloads(200));
    assert_eq!(log.violations, [""; 0]);
}

#[test]
fn lines_of_qos_2_arrive_once_where_the_session_is_kept() {
    let (ended, log) = survives("2", &["-c", "-i", "keeper", "--quiet"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(log.accepted, payloads(200));
    assert_eq!(log.violations, [""; 0]);
}

/// The broker holds identifiers of a run that was broken off and takes what comes under them for repetitions.
#[cfg(unix)]
#[test]
fn a_kept_session_does_not_swallow_the_lines_of_the_next_run() {
    let broker = ScriptedBroker::start(Script::default().omit(PacketType::Pubrec, 1..=2));
    let more = ["-l", "-q", "2", "-c", "-i", "w"];
    let mut publisher = start(&broker, &more);
    publisher.feed(b"old 1\nold 2\n");
    broker.wait_for("the lines", |log| log.counts.publishes == 2);
    publisher.signal("TERM");
    let ended = publisher.end();
    assert_eq!(ended.signal, Some(15), "{}", ended.stderr);
    assert!(!ended.stderr.contains("session of an earlier run"), "{}", ended.stderr);
    let ended = mqpub(&broker, &more, b"new 1\nnew 2\nnew 3\n");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("Warning: the broker resumed the session of an earlier run: "));
    assert_eq!(ended.stderr.lines().count(), 2, "{}", ended.stderr);
    // The old ones are still held: nobody has sent a PUBREL for them.
    assert_eq!(broker.stop().accepted, ["new 1", "new 2", "new 3"]);
}

#[test]
fn lines_of_qos_2_survive_a_lost_session_and_say_what_that_may_mean() {
    let (ended, log) = survives("2", &[]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("are sent again and may arrive twice"), "{}", ended.stderr);
    assert_eq!(without_repetitions(&log.accepted), payloads(200));
}

#[test]
fn a_broker_that_goes_away_and_comes_back_gets_the_rest() {
    let mut broker = ScriptedBroker::start(Script::default());
    let mut publisher = start(&broker, &["-l", "-q", "1", "-d"]);
    publisher.feed(b"line 1\n");
    broker.wait_for("the first line", |log| log.accepted.len() == 1);
    broker.go_away();
    publisher.feed(b"line 2\nline 3\n");
    publisher.wait_for_stderr("reconnecting: ");
    broker.come_back().unwrap();
    let ended = publisher.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(without_repetitions(&broker.stop().accepted), payloads(3));
}

#[test]
fn lines_that_never_get_through_are_given_up_once_the_input_has_ended() {
    let hangs_up = Script::default().fault(1.., Trigger::ReceivedPublish(1), Action::Cut);
    for script in
        [hangs_up, Script::default().fault([1], Trigger::ReceivedPublish(1), Action::Cut).close_at_accept(2..)]
    {
        let broker = ScriptedBroker::start(script);
        let ended = mqpub(&broker, &["-l", "-q", "1", "--connect-timeout", "2"], &lines(100));
        assert_eq!(ended.code, Some(43), "{}", ended.stderr);
        assert!(ended.stderr.contains(": no message got through for "), "{}", ended.stderr);
        assert!(ended.stderr.contains("100 of 100 messages did not reach the broker"), "{}", ended.stderr);
        assert!(broker.counts().connections > 1);
    }
}

#[test]
fn lines_of_qos_0_go_on_and_say_what_a_lost_connection_may_mean() {
    let mut broker = ScriptedBroker::start(Script::default());
    let mut publisher = start(&broker, &["-l"]);
    publisher.feed(b"line 1\n");
    broker.wait_for("the first line", |log| log.accepted.len() == 1);
    broker.go_away();
    publisher.wait_for_stderr("Warning: lines written just before the connection was lost");
    publisher.feed(b"line 2\nline 3\n");
    broker.come_back().unwrap();
    assert_eq!(publisher.end().code, Some(0));
    broker.wait_for("the end", |log| log.ended() == 2);
    assert_eq!(broker.stop().accepted, payloads(3));
}

#[cfg(unix)]
#[test]
fn an_interrupt_reports_what_is_in_flight() {
    let broker = ScriptedBroker::start(Script::default().omit(PacketType::Puback, 1..));
    let mut publisher = start(&broker, &["-l", "-q", "1"]);
    publisher.feed(&lines(3));
    broker.wait_for("the lines", |log| log.counts.publishes == 3);
    publisher.signal("INT");
    let ended = publisher.end();
    assert_eq!(ended.signal, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("3 of 3 messages did not reach the broker"), "{}", ended.stderr);

    let broker = ScriptedBroker::start(Script::default());
    let mut publisher = start(&broker, &["-l", "-q", "1", "-d"]);
    publisher.feed(&lines(1));
    publisher.wait_for_stderr("received PUBACK");
    publisher.signal("TERM");
    let ended = publisher.end();
    assert_eq!((ended.signal, ended.stderr.contains("Error")), (Some(15), false), "{}", ended.stderr);
    broker.wait_for("the end", |log| log.ended() == 1);
    assert_eq!(broker.stop().disconnects(ReasonCode::SUCCESS), 1);
}

#[test]
fn repetitions_go_one_after_the_other() {
    let broker = ScriptedBroker::start(Script::default().delay(PacketType::Puback, Duration::from_millis(20)));
    let more = ["-m", "x", "-q", "1", "--repeat", "5", "--repeat-delay", "0.01", "-d"];
    let ended = mqpub(&broker, &more, b"");
    assert_eq!(ended.code, Some(0));
    let order: Vec<&str> = ended
        .stderr
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3).filter(|word| ["PUBLISH", "PUBACK"].contains(word)))
        .collect();
    assert_eq!(order, ["PUBLISH", "PUBACK"].repeat(5), "{}", ended.stderr);
}

#[test]
fn properties_will_and_alias_are_on_the_wire() {
    let aliases = Property::new(PropertyName::TopicAliasMaximum, PropertyValue::TwoByte(10)).unwrap();
    let broker = ScriptedBroker::start(Script::default().connack_property(aliases));
    #[rustfmt::skip]
    let more = [
        "-m", "x", "--repeat", "3", "-D", "publish", "topic-alias", "3", "-D", "publish", "user-property", "k", "v",
        "--will-topic", "w", "--will-payload", "gone", "--will-qos", "1", "-k", "17", "-i", "me", "-x", "60",
    ];
    let ended = mqpub(&broker, &more, b"");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    broker.wait_for("the end", |log| log.ended() == 1);
    let log = broker.stop();
    let connect = log.connects().next().unwrap();
    assert_eq!((connect.version, connect.keep_alive, connect.client_id.as_str()), (ProtocolVersion::V5, 17, "me"));
    assert_eq!(connect.properties.number(PropertyName::SessionExpiryInterval), Some(60));
    let will = connect.will.as_ref().unwrap();
    assert_eq!((will.topic.as_str(), &*will.payload, will.qos), ("w", &b"gone"[..], QoS::AtLeastOnce));
    assert_eq!(log.publishes().filter(|(message, ..)| message.topic == "t").count(), 3);
    let (message, ..) = log.publishes().next().unwrap();
    assert!(message.properties.iter().any(|property| *property == Property::user("k", "v")));
    assert_eq!(log.violations, [""; 0]);
}

#[test]
fn the_log_shows_what_each_qos_exchanges() {
    let broker = ScriptedBroker::start(Script::default());
    let said = |qos: &str| mqpub(&broker, &["-m", "x", "-q", qos, "-i", "me", "-d"], b"").stderr;
    assert_eq!(
        said("0"),
        "Client me sending CONNECT\nClient me received CONNACK (0)\n\
         Client me sending PUBLISH (d0, q0, r0, m0, 't', ... (1 bytes))\nClient me sending DISCONNECT\n"
    );
    assert_eq!(
        said("2"),
        "Client me sending CONNECT\nClient me received CONNACK (0)\n\
         Client me sending PUBLISH (d0, q2, r0, m1, 't', ... (1 bytes))\nClient me received PUBREC (Mid: 1)\n\
         Client me sending PUBREL (m1)\nClient me received PUBCOMP (Mid: 1, RC:0)\nClient me sending DISCONNECT\n"
    );
    let bytes = mqpub(&broker, &["-m", "x", "-q", "1", "-dd", "-u", "u", "-P", "hidden"], b"").stderr;
    assert!(bytes.contains("PUBLISH (type 3), flags DUP 0, QoS 1, RETAIN 0"), "{bytes}");
    assert!(!bytes.contains("hidden"), "{bytes}");
}

#[test]
fn usage_and_answers() {
    let ended = tool::run(MQPUB, &["--version"], b"");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(ended.text().starts_with("mqpub "));
    // Nobody listens there; the warning comes before.
    let insecure = ["-h", "127.0.0.1", "-p", "1", "-t", "a", "-m", "x", "--tls", "--insecure"];
    let ended = tool::run(MQPUB, &insecure, b"");
    assert!(ended.stderr.starts_with("Warning: --insecure: "), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("Warning").count(), 1);
}

#[test]
fn the_embedded_broker_passes_every_line_on() {
    let broker = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
    let port = broker.local_addr().port().to_string();
    for (qos, version) in [(QoS::AtMostOnce, "311"), (QoS::AtLeastOnce, "5"), (QoS::ExactlyOnce, "5")] {
        let mut subscriber = RawClient::connect(broker.local_addr(), ProtocolVersion::V311, "s");
        subscriber.subscribe("t", QoS::AtMostOnce);
        let qos = qos.number().to_string();
        let ended = tool::run(MQPUB, &arguments(&port, &["-l", "-q", &qos, "-V", version]), &lines(1000));
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        let received: Vec<Bytes> = (0..1000).map(|_| subscriber.receive_publish().0.payload).collect();
        assert_eq!(received, payloads(1000));
    }
}

#[test]
fn mosquitto_sub_gets_what_was_sent() {
    if !has("mosquitto_sub") {
        return;
    }
    let broker = ScriptedBroker::start(Script::default());
    let port = broker.port();
    let subscriber = Tool::start("mosquitto_sub", &["-h", "127.0.0.1", "-p", &port, "-t", "t", "-q", "2", "-C", "100"]);
    broker.wait_for("SUBSCRIBE", |log| log.count(|packet| matches!(packet, Received::Subscribe(_))) == 1);
    assert_eq!(mqpub(&broker, &["-l", "-q", "2"], &lines(100)).code, Some(0));
    assert_eq!(subscriber.end().stdout, lines(100));
}

/// A broker that closes the connection each time it is sent this line.
fn closes_at(line: &str) -> ScriptedBroker {
    ScriptedBroker::start(Script::default().close_at_payload(line.as_bytes()))
}

#[test]
fn a_line_that_costs_the_connection_each_time_ends_the_run_and_is_named() {
    for qos in ["1", "2"] {
        let broker = closes_at("line 7");
        let ended = mqpub(&broker, &["-l", "-q", qos, "--backoff", "10ms..10ms"], &lines(30));
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        let named = "the connection was lost 3 times in a row at line 7 (6 bytes), and nothing was acknowledged";
        assert!(ended.stderr.contains(named), "{}", ended.stderr);
        assert!(ended.stderr.contains("may not be allowed to publish to 't'"), "{}", ended.stderr);
        let log = broker.stop();
        // Three at line 7, before them those that found out which line it is.
        assert!((3..=8).contains(&log.counts.connections), "{}", log.counts.connections);
        assert_eq!(log.accepted[..6], ["line 1", "line 2", "line 3", "line 4", "line 5", "line 6"]);
    }
}

#[test]
fn retry_counts_losses_at_the_same_line() {
    for (retry, connections) in [("0", 1), ("1", 2), ("4", 5)] {
        let broker = closes_at("line 1");
        let more = ["-l", "-q", "1", "--retry", retry, "--backoff", "10ms..10ms"];
        let ended = mqpub(&broker, &more, &lines(3));
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert_eq!(broker.stop().counts.connections, connections, "{}", ended.stderr);
    }
}

#[test]
fn a_connection_that_is_lost_while_nothing_is_sent_is_made_again() {
    let broker = ScriptedBroker::start(Script::default());
    let mut publisher = start(&broker, &["-l", "-q", "1", "--backoff", "10ms..10ms"]);
    for connections in 1..6 {
        broker.wait_for("a connection", |log| log.counts.connections == connections);
        broker.wait_for("CONNECT", |log| log.connects().count() as u64 == connections);
        broker.act_on_all(&Action::Cut);
        broker.wait_for("the end", |log| log.ended() as u64 == connections);
    }
    publisher.feed(b"x\n");
    let ended = publisher.end();
    assert_eq!((ended.code, broker.stop().accepted), (Some(0), vec!["x".into()]), "{}", ended.stderr);
}

#[test]
fn a_window_that_the_broker_does_not_take_is_halved() {
    // With few lines the window was never full: what was in flight is halved, not what there was room for.
    for (most, count, window) in [(16, 100, "10"), (3, 100, "10"), (3, 5, "2")] {
        let broker = ScriptedBroker::start(Script::default().forget_sessions().close_above_in_flight(most));
        let more = ["-l", "-q", "2", "--summary", "json", "--backoff", "10ms..10ms"];
        let ended = mqpub(&broker, &more, &lines(count));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let said = format!("reducing the window to {window} (-M {window})\n");
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        let figures = summary(&ended);
        assert_eq!((&figures["acknowledged"], &figures["unacknowledged"]), (&count.into(), &0.into()), "{figures}");
        // Each message counts once, however often it went out.
        assert!(figures["maybe_duplicated"].as_u64().is_some_and(|count| count <= 40), "{figures}");
    }
}

#[test]
fn a_single_message_that_costs_the_connection_has_a_hint() {
    let broker = closes_at("x");
    let ended = mqpub(&broker, &["-m", "x", "-q", "2", "-r"], b"");
    assert_eq!(ended.code, Some(1));
    for part in ["publish to 't'", "QoS 2 (try -q 1)", "retained messages (-r)", "a message of 1 byte"] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
}

#[test]
fn a_loss_is_reported_and_so_is_the_new_connection() {
    let broker = ScriptedBroker::start(Script::default());
    for (more, reports) in [(&[][..], true), (&["--quiet"], false), (&["--compat"], false)] {
        let before = broker.log().connects().count();
        let port = broker.port();
        let arguments = [more, &arguments(&port, &["-l", "-q", "1"])].concat();
        let mut publisher = Tool::start(MQPUB, &arguments);
        broker.wait_for("CONNECT", |log| log.connects().count() > before);
        publisher.feed(b"x\n");
        broker.wait_for("the line", |log| log.acknowledged.len() > before / 2);
        broker.act_on_all(&Action::Cut);
        broker.wait_for("CONNECT", |log| log.connects().count() > before + 1);
        let ended = publisher.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(ended.stderr.contains("was lost (the broker closed it)"), reports, "{}", ended.stderr);
        assert_eq!(ended.stderr.contains("Note: reconnected to 127.0.0.1"), reports, "{}", ended.stderr);
    }
}
