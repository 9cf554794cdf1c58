//! The mqrr process with responders that do right and wrong: which messages it takes for responses, and how it ends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mqtools::broker::{BrokerSettings, EmbeddedBroker};
use mqtools::mqtt::wire::PacketType;
use mqtools::mqtt::{Message, Property, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode};

use crate::support::raw_client::{RawClient, message};
use crate::support::scripted_broker::{Action, Received, Script, ScriptedBroker, Trigger};
use crate::support::tool::{self, Ended, Tool};
use crate::support::whole::assert_whole;

use QoS::{AtLeastOnce, AtMostOnce};

const MQRR: &str = env!("CARGO_BIN_EXE_mqrr");

fn arguments<'a>(port: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    ["-h", "127.0.0.1", "-p", port].iter().chain(more).copied().collect()
}

fn run(port: &str, more: &[&str], stdin: &[u8]) -> Ended {
    tool::run(MQRR, &arguments(port, more), stdin)
}

fn embedded() -> (EmbeddedBroker, String) {
    let broker = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
    let port = broker.local_addr().port().to_string();
    (broker, port)
}

/// Somebody who is subscribed to the topic `q` and does what a test tells it.
struct Responder(RawClient);

impl Responder {
    fn start(addr: SocketAddr) -> Self {
        Self::of_version(addr, ProtocolVersion::V5, "responder")
    }

    fn of_version(addr: SocketAddr, version: ProtocolVersion, id: &str) -> Self {
        let mut client = RawClient::connect(addr, version, id);
        assert_eq!(client.subscribe("q", AtMostOnce).reasons, [ReasonCode::SUCCESS]);
        Self(client)
    }

    /// The next request.
    fn request(&mut self) -> Message {
        self.0.receive_publish().0
    }

    /// Sends a response with this correlation data to where the request asks for it.
    fn send(&mut self, request: &Message, data: Option<&[u8]>, payload: &[u8]) {
        let topic = request.properties.text(PropertyName::ResponseTopic).unwrap();
        let mut response = message(topic, payload, AtMostOnce);
        if let Some(data) = data {
            let data = PropertyValue::Binary(bytes::Bytes::copy_from_slice(data));
            response.properties.push(Property::new(PropertyName::CorrelationData, data).unwrap());
        }
        self.0.publish(&response, 0, false);
    }

    /// Sends a right response.
    fn respond(&mut self, request: &Message, payload: &[u8]) {
        self.send(request, Some(&data_of(request)), payload);
    }
}

fn data_of(request: &Message) -> Vec<u8> {
    request.properties.binary(PropertyName::CorrelationData).unwrap().to_vec()
}

fn publishes(broker: &ScriptedBroker) -> usize {
    broker.log().publishes().count()
}

#[test]
fn a_request_finds_its_response() {
    let (broker, port) = embedded();
    let mut responder = Responder::start(broker.local_addr());
    for qos in ["0", "1", "2"] {
        let asking = Tool::start(MQRR, &arguments(&port, &["-t", "q", "-m", "what?", "-q", qos, "-W", "30"]));
        let request = responder.request();
        assert_eq!(&*request.payload, b"what?");
        assert!(request.properties.text(PropertyName::ResponseTopic).unwrap().starts_with("mqrr/"));
        responder.respond(&request, b"that");
        let ended = asking.end();
        assert_eq!((ended.code, ended.text().as_str(), ended.stderr.as_str()), (Some(0), "that\n", ""), "{qos}");
    }
}

#[test]
fn topics_and_data_are_new_each_time() {
    let (broker, port) = embedded();
    let mut responder = Responder::start(broker.local_addr());
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3 {
        let asking = Tool::start(MQRR, &arguments(&port, &["-t", "q", "-n"]));
        let request = responder.request();
        responder.respond(&request, b"x");
        assert_eq!(asking.end().code, Some(0));
        assert!(seen.insert(request.properties.text(PropertyName::ResponseTopic).unwrap().as_bytes().to_vec()));
        assert!(seen.insert(data_of(&request)));
    }
}

#[test]
fn older_versions_need_a_topic_and_take_what_comes_there() {
    let (broker, port) = embedded();
    for version in ["31", "311"] {
        let mut responder = Responder::of_version(broker.local_addr(), ProtocolVersion::V311, "responder");
        // Older than the request, so it is not a response.
        let stale = Message { retain: true, ..message("r", "stale", AtLeastOnce) };
        responder.0.publish(&stale, 7, false);
        responder.0.receive_ack();
        let more = ["-t", "q", "-e", "r", "-m", "what?", "-V", version, "-v", "-W", "30"];
        let asking = Tool::start(MQRR, &arguments(&port, &more));
        assert_eq!(&*responder.request().payload, b"what?");
        responder.0.publish(&message("r", "fresh", AtMostOnce), 0, false);
        let ended = asking.end();
        assert_eq!((ended.code, ended.text().as_str()), (Some(0), "r fresh\n"), "{version} {}", ended.stderr);
    }
}

#[test]
fn what_has_other_correlation_data_is_no_response() {
    let (broker, port) = embedded();
    let mut responder = Responder::start(broker.local_addr());
    let asking = Tool::start(MQRR, &arguments(&port, &["-t", "q", "-m", "x", "-e", "r", "-d", "-W", "30"]));
    let request = responder.request();
    responder.send(&request, None, b"none");
    responder.send(&request, None, b"none again");
    responder.send(&request, Some(b""), b"empty");
    responder.send(&request, Some(b"other"), b"other");
    responder.respond(&request, b"right");
    let ended = asking.end();
    assert_eq!((ended.code, ended.text().as_str()), (Some(0), "right\n"));
    let count = |text: &str| ended.stderr.matches(text).count();
    assert_eq!(count("has no correlation data"), 2, "{}", ended.stderr);
    assert_eq!(count("has other correlation data"), 2, "{}", ended.stderr);
    assert_eq!(count("Warning: a message arrived on 'r' without the correlation data"), 1, "{}", ended.stderr);
    assert_eq!(count("--no-correlation-check"), 1, "{}", ended.stderr);
}

#[test]
fn a_retained_message_is_no_response() {
    let (broker, port) = embedded();
    let mut responder = Responder::start(broker.local_addr());
    for (retained, more) in [("stale", &["-e", "r"][..]), ("stale", &["-e", "r", "--no-correlation-check"])] {
        responder.0.publish(&Message { retain: true, ..message("r", retained, AtLeastOnce) }, 7, false);
        responder.0.receive_ack();
        let asking = Tool::start(MQRR, &arguments(&port, &[more, &["-t", "q", "-m", "x", "-W", "30"]].concat()));
        let request = responder.request();
        responder.respond(&request, b"fresh");
        let ended = asking.end();
        assert_eq!((ended.code, ended.text().as_str(), ended.stderr.as_str()), (Some(0), "fresh\n", ""));
    }
}

#[test]
fn responders_without_correlation_data_can_be_taken() {
    let (broker, port) = embedded();
    let mut responder = Responder::start(broker.local_addr());
    let asking = Tool::start(MQRR, &arguments(&port, &["-t", "q", "-m", "x", "--no-correlation-check", "-W", "30"]));
    let request = responder.request();
    assert!(!data_of(&request).is_empty(), "it is sent all the same");
    responder.send(&request, None, b"without");
    let ended = asking.end();
    assert_eq!((ended.code, ended.text().as_str(), ended.stderr.as_str()), (Some(0), "without\n", ""));
}

#[test]
fn several_responders_answer() {
    let (broker, port) = embedded();
    let mut responders = ["a", "b", "c"].map(|id| Responder::of_version(broker.local_addr(), ProtocolVersion::V5, id));
    let asking = Tool::start(MQRR, &arguments(&port, &["-t", "q", "-m", "who?", "-C", "3", "-W", "30"]));
    for (number, responder) in responders.iter_mut().enumerate() {
        let request = responder.request();
        responder.respond(&request, number.to_string().as_bytes());
    }
    let ended = asking.end();
    let mut lines = ended.lines();
    lines.sort();
    assert_eq!((ended.code, lines), (Some(0), vec!["0".into(), "1".into(), "2".into()]));
    // Two of them are silent.
    let asking = Tool::start(MQRR, &arguments(&port, &["-t", "q", "-m", "who?", "-C", "3", "-W", "5"]));
    let request = responders[0].request();
    responders[0].respond(&request, b"I");
    let ended = asking.end();
    assert_eq!((ended.code, ended.text().as_str()), (Some(42), "I\n"));
    let expected = "\
        Error: timed out after 5 s: 1 of 3 responses arrived\n";
    assert_whole(&ended.stderr, expected);
}

#[test]
fn a_second_copy_of_a_response_is_not_printed_and_answers_no_other_request() {
    let (broker, port) = embedded();
    let mut responder = Responder::start(broker.local_addr());
    let mut asking = Tool::start(MQRR, &arguments(&port, &["-t", "q", "-l", "-W", "30", "-d"]));
    for line in ["one", "two", "three"] {
        asking.feed(format!("{line}\n").as_bytes());
        let request = responder.request();
        assert_eq!(&*request.payload, line.as_bytes());
        responder.respond(&request, line.to_uppercase().as_bytes());
        responder.respond(&request, b"again");
        assert_eq!(asking.line(), format!("{}\n", line.to_uppercase()));
    }
    let ended = asking.end();
    assert_eq!((ended.code, ended.text().as_str()), (Some(0), "ONE\nTWO\nTHREE\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("answers a request that already has all its responses"), "{}", ended.stderr);
}

#[test]
fn a_request_a_line_in_and_a_response_a_line_out() {
    let (broker, port) = embedded();
    let mut responder = Responder::start(broker.local_addr());
    let mut asking = Tool::start(MQRR, &arguments(&port, &["-t", "q", "-l", "-q", "1", "-W", "30"]));
    asking.feed(b"1\n\n3\0\r\nlast");
    asking.close_stdin();
    let mut data = std::collections::HashSet::new();
    for payload in [&b"1"[..], b"", b"3\0\r", b"last"] {
        let request = responder.request();
        assert_eq!(&*request.payload, payload);
        assert!(data.insert(data_of(&request)), "each has its own data");
        responder.respond(&request, payload);
    }
    let ended = asking.end();
    assert_eq!((ended.code, &*ended.stdout), (Some(0), &b"1\n\n3\0\r\nlast\n"[..]), "{}", ended.stderr);
    // No lines, no requests.
    let ended = run(&port, &["-t", "q", "-l"], b"");
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.as_str()), (Some(0), 0, ""));
}

#[test]
fn payloads_may_be_anything() {
    let (broker, port) = embedded();
    let mut responder = Responder::start(broker.local_addr());
    let binary: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    for (payload, more, printed) in [
        (&binary[..], &["-s", "-N"][..], &binary[..]),
        (b"\0\xff\n", &["-s"], b"\0\xff\n\n"),
        (b"", &["-n", "-v", "-e", "r"], b"r (null)\n"),
        (b"", &["-n"], b""),
    ] {
        let data = "\u{e9}\n";
        let more = [more, &["-t", "q", "-W", "30", "-D", "publish", "correlation-data", data]].concat();
        let mut asking = Tool::start(MQRR, &arguments(&port, &more));
        asking.feed(payload);
        asking.close_stdin();
        let request = responder.request();
        assert_eq!((&*request.payload, data_of(&request)), (payload, data.as_bytes().to_vec()));
        responder.respond(&request, payload);
        let ended = asking.end();
        assert!(ended.stdout == printed, "{} bytes; {}", ended.stdout.len(), ended.stderr);
        assert_eq!(ended.code, Some(0));
    }
}

#[test]
fn latency_is_printed_as_text_and_as_json() {
    let (broker, port) = embedded();
    let mut responder = Responder::start(broker.local_addr());
    let mut ask = |more: &[&str], requests: usize| {
        let more = [&["-t", "q", "-m", "x", "--latency", "-W", "30"], more].concat();
        let asking = Tool::start(MQRR, &arguments(&port, &more));
        for _ in 0..requests {
            let request = responder.request();
            responder.respond(&request, b"y");
        }
        let ended = asking.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended
    };
    let ended = ask(&[], 1);
    assert_eq!(ended.text(), "y\n");
    assert!(ended.stderr.starts_with("Latency: ") && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    let ended = ask(&["--repeat", "3", "--repeat-delay", "1ms"], 3);
    assert_eq!((ended.text().as_str(), ended.stderr.lines().count()), ("y\ny\ny\n", 4));
    assert!(ended.stderr.contains("Latency of 3 responses: min "), "{}", ended.stderr);
    let ended = ask(&["--json"], 1);
    let object: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!((object["payload"].as_str(), ended.stderr.as_str()), (Some("y"), ""));
    assert!(object["latency_ms"].as_f64().is_some_and(|latency| latency > 0.0), "{object}");
}

#[test]
fn a_timeout_before_the_request_reports_how_far_it_got() {
    for (script, text) in [
        (Script::default().never_answer_connect(), "the broker has not answered CONNECT"),
        (Script::default().omit(PacketType::Suback, 1..), "the broker has not granted the subscription yet"),
    ] {
        let broker = ScriptedBroker::start(script);
        let ended = run(&broker.port(), &["-t", "q", "-m", "x", "-W", "1"], b"");
        let text = format!("Error: timed out after 1 s: no request was sent, {text}\n");
        assert_eq!((ended.code, ended.stderr), (Some(27), text));
    }
}

#[test]
fn nobody_answers() {
    let broker = ScriptedBroker::start(Script::default());
    let ended = run(&broker.port(), &["-t", "q", "-m", "x", "-W", "3"], b"");
    assert_eq!((ended.code, ended.stdout.len()), (Some(27), 0));
    let expected = "\
        Error: timed out after 3 s: no response arrived\n\
        Hint: with -q 1 the broker reports whether any client is subscribed to 'q'\n";
    assert_whole(&ended.stderr, expected);
    broker.set_script(Script::default().refuse_publishes(1.., ReasonCode::NO_MATCHING_SUBSCRIBERS));
    let mut asking = Tool::start(MQRR, &arguments(&broker.port(), &["-t", "q", "-m", "x", "-q", "1"]));
    asking.wait_for_stderr("Warning: no client is subscribed to 'q' to");
    asking.signal("INT");
    let ended = asking.end();
    assert_eq!(ended.signal, Some(2));
    let expected = "\
        Warning: no client is subscribed to 'q' to receive the request: is the responder running?\n\
        Error: interrupted: no response arrived\n";
    assert_whole(&ended.stderr, expected);
}

#[test]
fn nothing_is_asked_before_the_subscription_is_granted() {
    let broker = ScriptedBroker::start(Script::default().omit(PacketType::Suback, 1..));
    let ended = run(&broker.port(), &["-t", "q", "-m", "x", "--connect-timeout", "3"], b"");
    assert_eq!((ended.code, publishes(&broker)), (Some(43), 0), "{}", ended.stderr);
    let expected = "\
        Error: 127.0.0.1:[..]: the broker did not answer SUBSCRIBE within 3 s\n\
        Hint: the broker is overloaded or hangs; --connect-timeout sets how long to wait\n";
    assert_whole(&ended.stderr, expected);
    let ended = run(&broker.port(), &["-t", "q", "-m", "x", "-W", "3"], b"");
    assert_eq!((ended.code, publishes(&broker)), (Some(27), 0));
    let expected = "\
        Error: timed out after 3 s: no request was sent, the broker has not granted the subscription yet\n";
    assert_whole(&ended.stderr, expected);
    broker.set_script(Script::default().refuse_subscribe(ReasonCode::NOT_AUTHORIZED));
    let ended = run(&broker.port(), &["-t", "q", "-e", "r", "-m", "x"], b"");
    assert_eq!((ended.code, publishes(&broker)), (Some(135), 0));
    let expected = "\
        Error: 127.0.0.1:[..]: the broker refused to subscribe to r: Not authorized (0x87)\n\
        Hint: is this user allowed to subscribe there? choose another response topic with -e\n";
    assert_whole(&ended.stderr, expected);
}

#[test]
fn a_request_that_is_refused_ends_it() {
    for qos in ["1", "2"] {
        let script = Script::default().refuse_publishes(1.., ReasonCode::NOT_AUTHORIZED);
        let broker = ScriptedBroker::start(script);
        let ended = run(&broker.port(), &["-t", "q", "-m", "x", "-q", qos], b"");
        assert_eq!(ended.code, Some(135), "{}", ended.stderr);
        let expected = "\
            Error: 127.0.0.1:[..]: the broker refused the request to 'q': Not authorized (0x87)\n";
        assert_whole(&ended.stderr, expected);
        broker.wait_for("the end", |log| log.disconnects(ReasonCode::SUCCESS) == 1);
    }
    let broker = ScriptedBroker::start(Script::default().omit(PacketType::Puback, 1..));
    let ended = run(&broker.port(), &["-t", "q", "-m", "x", "-q", "1", "--connect-timeout", "3"], b"");
    assert_eq!(ended.code, Some(43), "{}", ended.stderr);
    let expected = "\
        Error: 127.0.0.1:[..]: the broker did not answer PUBLISH within 3 s\n\
        Hint: the broker is overloaded or hangs; --connect-timeout sets how long to wait\n";
    assert_whole(&ended.stderr, expected);
}

#[test]
fn a_response_may_come_before_the_acknowledgement() {
    let broker = ScriptedBroker::start(Script::default().omit(PacketType::Puback, 1..));
    let mut responder = Responder::start(broker.addr());
    let asking = Tool::start(MQRR, &arguments(&broker.port(), &["-t", "q", "-m", "x", "-q", "1", "-W", "30"]));
    let request = responder.request();
    responder.respond(&request, b"y");
    let ended = asking.end();
    assert_eq!((ended.code, ended.text().as_str(), ended.stderr.as_str()), (Some(0), "y\n", ""));
}

#[test]
fn a_request_behind_a_full_window_is_not_waited_for_without_end() {
    let maximum = Property::new(PropertyName::ReceiveMaximum, PropertyValue::TwoByte(1)).unwrap();
    for script in [Script::default(), Script::default().connack_property(maximum)] {
        let script = script.omit(PacketType::Puback, 1..);
        // Each waits for its time to run out, so they do it side by side.
        std::thread::scope(|scope| {
            for (more, code, text) in [
                (
                    &["-l", "-W", "5"][..],
                    27,
                    "timed out after 5 s: request 2 was not sent, the broker has not acknowledged",
                ),
                (&["-l", "--connect-timeout", "3s"], 43, "did not answer PUBLISH within 3 s"),
                (&["-m", "x", "--repeat", "2", "-W", "5"], 27, "request 2 was not sent"),
            ] {
                let script = script.clone();
                scope.spawn(move || {
                    let broker = ScriptedBroker::start(script);
                    let mut responder = Responder::start(broker.addr());
                    let more = [more, &["-t", "q", "-q", "1", "-M", "1"]].concat();
                    let mut asking = Tool::start(MQRR, &arguments(&broker.port(), &more));
                    asking.feed(b"x\ny\n");
                    let request = responder.request();
                    responder.respond(&request, b"one");
                    assert_eq!(asking.line(), "one\n");
                    // stdin stays open, so it is no end of the input that ends it.
                    let error = asking.wait_for_stderr(text);
                    assert!(error.starts_with("Error: "), "{error}");
                    assert_eq!(asking.end().code, Some(code));
                });
            }
        });
        let broker = ScriptedBroker::start(script);
        let mut responder = Responder::start(broker.addr());
        // Without a further request nothing is missed.
        let mut asking = Tool::start(MQRR, &arguments(&broker.port(), &["-t", "q", "-q", "1", "-M", "1", "-l"]));
        asking.feed(b"x\n");
        let request = responder.request();
        responder.respond(&request, b"one");
        assert_eq!(asking.line(), "one\n");
        let ended = asking.end();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    }
}

#[test]
fn half_a_line_is_no_request() {
    let broker = ScriptedBroker::start(Script::default().omit(PacketType::Puback, 1..));
    let mut responder = Responder::start(broker.addr());
    let more = ["-t", "q", "-l", "-q", "1", "-M", "1", "-W", "3", "-k", "5"];
    let mut asking = Tool::start(MQRR, &arguments(&broker.port(), &more));
    asking.feed(b"x\npart");
    let request = responder.request();
    responder.respond(&request, b"one");
    assert_eq!(asking.line(), "one\n");
    // It pings when longer than -W nothing was to be sent.
    let is_ping = |packet: &Received| *packet == Received::Pingreq;
    broker.wait_for("a ping or the end", |log| log.count(is_ping) + log.ended() > 0);
    assert_eq!(broker.log().ended(), 0);
    // Now it is one.
    asking.feed(b"ial\n");
    asking.wait_for_stderr("request 2 was not sent");
    assert_eq!(asking.end().code, Some(27));
    assert_eq!(publishes(&broker), 2, "one request, one response");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    // It can be opened, and its beginning is nobody's memory.
    const UNREADABLE: &str = "/proc/self/mem";
    if !std::path::Path::new(UNREADABLE).exists() {
        return;
    }
    let (_broker, port) = embedded();
    let ended = run(&port, &["-t", "q", "-l", "-f", UNREADABLE], b"");
    assert_eq!(ended.code, Some(1));
    let error = format!("Error: cannot read the file '{UNREADABLE}': ");
    assert!(ended.stderr.starts_with(&error), "{}", ended.stderr);
}

#[test]
fn repeated_requests_with_the_shortest_of_delays_go_on() {
    const COUNT: usize = 300;
    let (broker, port) = embedded();
    let mut responder = Responder::of_version(broker.local_addr(), ProtocolVersion::V311, "responder");
    let count = COUNT.to_string();
    // No PINGREQ helps it on.
    let more = ["-V", "311", "-e", "r", "-t", "q", "-m", "x", "-k", "600"];
    let more = [&more[..], &["--repeat", &count, "--repeat-delay", "0.00001"]].concat();
    let asking = Tool::start(MQRR, &arguments(&port, &more));
    for number in 1..=COUNT {
        responder.request();
        responder.0.publish(&message("r", number.to_string(), AtMostOnce), 0, false);
    }
    let ended = asking.end();
    let expected: Vec<String> = (1..=COUNT).map(|number| number.to_string()).collect();
    assert_eq!((ended.code, ended.lines()), (Some(0), expected), "{}", ended.stderr);
}

#[test]
fn a_window_of_one_opens_with_a_late_acknowledgement() {
    let broker = ScriptedBroker::start(Script::default().delay(PacketType::Puback, Duration::from_millis(300)));
    let mut responder = Responder::start(broker.addr());
    let more = ["-t", "q", "-q", "1", "-M", "1", "-l", "-W", "30"];
    let mut asking = Tool::start(MQRR, &arguments(&broker.port(), &more));
    asking.feed(b"x\ny\nz\n");
    for answer in ["one", "two", "three"] {
        let request = responder.request();
        responder.respond(&request, answer.as_bytes());
        assert_eq!(asking.line(), format!("{answer}\n"));
    }
    let ended = asking.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(broker.stop().violations.is_empty());
}

#[test]
fn a_broker_may_choose_where_responses_are_to_go() {
    let information = PropertyValue::Utf8("answers/me".into());
    let property = Property::new(PropertyName::ResponseInformation, information).unwrap();
    let broker = ScriptedBroker::start(Script::default().connack_property(property));
    let mut responder = Responder::start(broker.addr());
    for (more, start, asked) in [(&[][..], "answers/me/", Some(1)), (&["-e", "r/x"], "r/x", None)] {
        let asking = Tool::start(MQRR, &arguments(&broker.port(), &[more, &["-t", "q", "-n", "-W", "30"]].concat()));
        let request = responder.request();
        assert!(request.properties.text(PropertyName::ResponseTopic).unwrap().starts_with(start), "{request:?}");
        responder.respond(&request, b"y");
        let ended = asking.end();
        assert_eq!((ended.code, ended.text().as_str()), (Some(0), "y\n"));
        let log = broker.log();
        let connect = log.connects().last().unwrap();
        assert_eq!(connect.properties.number(PropertyName::RequestResponseInformation), asked);
    }
}

#[test]
fn it_connects_again_and_asks_again_what_was_not_acknowledged() {
    // The responder's is the first connection.
    let script = Script::default().fault([2], Trigger::ReceivedPublish(1), Action::Cut);
    let broker = ScriptedBroker::start(script);
    let mut responder = Responder::start(broker.addr());
    let asking = Tool::start(MQRR, &arguments(&broker.port(), &["-t", "q", "-m", "x", "-q", "1", "-W", "30"]));
    let request = responder.request();
    responder.respond(&request, b"y");
    let ended = asking.end();
    assert_eq!((ended.code, ended.text().as_str()), (Some(0), "y\n"));
    let expected = "\
        Warning: the connection to 127.0.0.1:[..] was lost (the broker closed it); trying again every second\n\
        Note: reconnected to 127.0.0.1:[..] after [..] s\n";
    assert_whole(&ended.stderr, expected);
    let log = broker.log();
    let filters: Vec<String> = log
        .received
        .iter()
        .filter_map(|(number, packet)| match packet {
            Received::Subscribe(subscribe) if *number > 1 => Some(subscribe.filters[0].filter.clone()),
            _ => None,
        })
        .collect();
    assert!(filters.len() == 2 && filters[0] == filters[1], "{filters:?}");
}

#[test]
fn lines_go_on_over_a_new_connection() {
    let script = Script::default().fault([2], Trigger::ReceivedPublish(2), Action::Cut).omit(PacketType::Puback, [1]);
    let broker = ScriptedBroker::start(script);
    let mut responder = Responder::start(broker.addr());
    // The acknowledgement of the first request does not come on the first connection.
    let more = ["-t", "q", "-l", "-q", "1", "-M", "2", "-W", "30"];
    let mut asking = Tool::start(MQRR, &arguments(&broker.port(), &more));
    for line in ["one", "two", "three"] {
        asking.feed(format!("{line}\n").as_bytes());
        // A request that was not acknowledged comes again.
        let request =
            std::iter::repeat_with(|| responder.request()).find(|request| *request.payload == *line.as_bytes());
        responder.respond(&request.unwrap(), line.as_bytes());
        assert_eq!(asking.line(), format!("{line}\n"));
    }
    let ended = asking.end();
    assert_eq!((ended.code, ended.text().as_str()), (Some(0), "one\ntwo\nthree\n"), "{}", ended.stderr);
}

#[test]
fn a_request_of_qos_0_is_not_sent_again() {
    let broker = ScriptedBroker::start(Script::default().fault([2], Trigger::ReceivedPublish(1), Action::Cut));
    let _responder = Responder::start(broker.addr());
    let ended = run(&broker.port(), &["-t", "q", "-m", "x", "-W", "5", "--backoff", "10ms"], b"");
    assert_eq!((ended.code, publishes(&broker)), (Some(27), 1), "{}", ended.stderr);
    let expected = "\
        Warning: the connection to 127.0.0.1:[..] was lost (the broker closed it); trying again every 0.01 s\n\
        Warning: the request is not sent again at QoS 0; its response may be lost with the connection\n\
        Hint: with -q 1 a request that was not acknowledged is sent again\n\
        Note: reconnected to 127.0.0.1:[..] after [..] s\n\
        Error: timed out after 5 s: no response arrived\n\
        Hint: with -q 1 the broker reports whether any client is subscribed to 'q'\n";
    assert_whole(&ended.stderr, expected);
}

#[test]
fn a_broker_that_always_hangs_up_is_given_up() {
    for trigger in [Trigger::ReceivedPacket(2), Trigger::ReceivedPublish(1)] {
        let broker = ScriptedBroker::start(Script::default().fault(1.., trigger, Action::Cut));
        let ended = run(&broker.port(), &["-t", "q", "-m", "x", "-q", "1"], b"");
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("closed the connection instead of answering"), "{}", ended.stderr);
    }
}

#[test]
fn with_retry_a_subscribe_that_is_cut_off_is_tried_again() {
    // The responder's is the first connection.
    let broker = ScriptedBroker::start(Script::default().fault([2, 3], Trigger::ReceivedPacket(2), Action::Cut));
    let mut responder = Responder::start(broker.addr());
    let more = ["-t", "q", "-m", "x", "--retry", "2", "--backoff", "10ms", "-W", "30"];
    let asking = Tool::start(MQRR, &arguments(&broker.port(), &more));
    let request = responder.request();
    responder.respond(&request, b"y");
    let ended = asking.end();
    assert_eq!((ended.code, ended.text().as_str()), (Some(0), "y\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("trying again every 0.01 s, at most 2 times"), "{}", ended.stderr);
    // Only so often.
    let broker = ScriptedBroker::start(Script::default().fault(1.., Trigger::ReceivedPacket(2), Action::Cut));
    let ended = run(&broker.port(), &more, b"");
    assert_eq!((ended.code, broker.counts().connections), (Some(1), 3), "{}", ended.stderr);
    assert!(ended.stderr.contains("closed the connection instead of answering"), "{}", ended.stderr);
}

#[test]
fn with_retry_a_refusal_of_the_subscribe_counts_too() {
    // Server busy.
    let action = Action::Disconnect(ReasonCode(0x89));
    let broker = ScriptedBroker::start(Script::default().fault(1.., Trigger::ReceivedPacket(2), action));
    let ended = run(&broker.port(), &["-t", "q", "-m", "x", "--retry", "2", "--backoff", "10ms"], b"");
    assert_eq!((ended.code, broker.counts().connections), (Some(0x89), 3), "{}", ended.stderr);
}

#[test]
fn waits_grow_over_connections_whose_subscribe_is_cut_off() {
    let broker = ScriptedBroker::start(Script::default().fault(1.., Trigger::ReceivedPacket(2), Action::Cut));
    let started = Instant::now();
    let ended = run(&broker.port(), &["-t", "q", "-m", "x", "--retry", "4", "--backoff", "200ms..800ms"], b"");
    assert_eq!((ended.code, broker.counts().connections), (Some(1), 5), "{}", ended.stderr);
    // 200, 400, 800 and 800 ms.
    assert!(started.elapsed() >= Duration::from_millis(2200), "{:?}", started.elapsed());
}

#[test]
fn stdin_that_stays_open_is_no_time_out() {
    let (broker, port) = embedded();
    let mut responder = Responder::start(broker.local_addr());
    let mut asking = Tool::start(MQRR, &arguments(&port, &["-t", "q", "-l", "-W", "3", "-d"]));
    asking.wait_for_stderr("SUBACK");
    // Longer than -W: it is the time of a response, not of an input.
    std::thread::sleep(Duration::from_millis(3_200));
    asking.feed(b"x\n");
    let request = responder.request();
    responder.respond(&request, b"y");
    assert_eq!(asking.line(), "y\n");
    asking.feed(b"z\n");
    responder.request();
    let ended = asking.end();
    assert_eq!(ended.code, Some(27));
    assert!(ended.stderr.contains("no response to request 2 arrived"), "{}", ended.stderr);
}
