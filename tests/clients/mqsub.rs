//! The mqsub process against brokers that do right and wrong: what it prints, what it acknowledges, how it ends.

use std::process::Stdio;
use std::time::{Duration, Instant};

use mqtools::broker::{BrokerSettings, EmbeddedBroker};
use mqtools::mqtt::wire::{Ack, AckKind, PacketType};
use mqtools::mqtt::{Message, Properties, Property, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode};

use crate::support::process::{Running, has};
use crate::support::raw_client::{RawClient, message};
use crate::support::scripted_broker::{Action, Log, Received, Script, ScriptedBroker, Trigger};
use crate::support::tool::{self, Ended, Tool};
use crate::support::whole::assert_whole;

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

pub const MQSUB: &str = env!("CARGO_BIN_EXE_mqsub");

/// Where the broker is, behind a `--compat`, which stands first, and before what follows.
pub fn arguments<'a>(port: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let compat = usize::from(more.first() == Some(&"--compat"));
    more[..compat].iter().chain(&["-h", "127.0.0.1", "-p", port]).chain(&more[compat..]).copied().collect()
}

/// Starts mqsub and waits until the broker has its SUBSCRIBE.
pub fn start(broker: &ScriptedBroker, more: &[&str]) -> Tool {
    let before = broker.log().count(is_subscribe);
    let tool = Tool::start(MQSUB, &arguments(&broker.port(), more));
    broker.wait_for("SUBSCRIBE", |log| log.count(is_subscribe) > before);
    tool
}

pub fn is_subscribe(packet: &Received) -> bool {
    matches!(packet, Received::Subscribe(_))
}

/// Publishes messages and waits until the broker has taken them over.
pub fn publish(broker: &ScriptedBroker, messages: &[Message]) {
    let mut publisher = RawClient::connect(broker.addr(), ProtocolVersion::V5, "publisher");
    let before = broker.counts().accepted;
    for (identifier, message) in (1..).zip(messages) {
        publisher.publish(message, identifier, false);
        if message.qos == ExactlyOnce {
            publisher.receive_ack();
            publisher.acknowledge(AckKind::Pubrel, identifier);
            publisher.receive_ack();
        }
    }
    broker.wait_for("the messages", |log| log.counts.accepted == before + messages.len() as u64);
}

pub fn numbered(count: usize, qos: QoS) -> Vec<Message> {
    (1..=count).map(|number| message("t", number.to_string(), qos)).collect()
}

pub fn run(broker: &ScriptedBroker, more: &[&str]) -> Ended {
    tool::run(MQSUB, &arguments(&broker.port(), more), b"")
}

/// Acknowledgements of one kind that mqsub sent; the publisher of these tests sends only PUBREL.
pub fn acks(log: &Log, kind: AckKind) -> usize {
    log.count(|packet| matches!(packet, Received::Ack(Ack { kind: it, .. }) if *it == kind))
}

#[test]
fn messages_come_out_one_by_one() {
    for version in ["31", "311", "5"] {
        let broker = ScriptedBroker::start(Script::default());
        let mut subscriber = start(&broker, &["-t", "t", "-q", "2", "-V", version]);
        for (number, qos) in [AtMostOnce, AtLeastOnce, ExactlyOnce].into_iter().enumerate() {
            publish(&broker, &[message("t", number.to_string(), qos)]);
            assert_eq!(subscriber.line(), format!("{number}\n"));
        }
        subscriber.signal("INT");
        let ended = subscriber.end();
        assert_eq!((ended.signal, ended.stderr.as_str()), (Some(2), ""));
        broker.wait_for("the end", |log| log.disconnects(ReasonCode::SUCCESS) == 1);
    }
}

#[test]
fn a_count_takes_exactly_that_many_messages() {
    for (version, qos, kind) in
        [("311", "1", AckKind::Puback), ("5", "1", AckKind::Puback), ("5", "2", AckKind::Pubrec)]
    {
        let broker = ScriptedBroker::start(Script::default());
        // A kept session, so that what was not acknowledged stays and can be counted by the next one.
        let more = ["-t", "t", "-q", qos, "-V", version, "-i", "s", "-c"];
        let subscriber = start(&broker, &[&more[..], &["-E"]].concat());
        assert_eq!(subscriber.end().code, Some(0));
        broker.wait_for("the end", |log| log.ended() == 1);
        let sent = if qos == "1" { AtLeastOnce } else { ExactlyOnce };
        publish(&broker, &numbered(10, sent));
        let ended = run(&broker, &[&more[..], &["-C", "3"]].concat());
        assert_eq!((ended.code, ended.lines()), (Some(0), vec!["1".into(), "2".into(), "3".into()]));
        broker.wait_for("the ends", |log| log.ended() == 3);
        assert_eq!(acks(&broker.log(), kind), 3);
        let ended = run(&broker, &[&more[..], &["-C", "7"]].concat());
        assert_eq!(ended.lines(), ["4", "5", "6", "7", "8", "9", "10"]);
        assert_eq!(broker.stop().violations, [""; 0]);
    }
}

#[test]
fn a_count_at_qos_2_ends_when_the_broker_has_released_it() {
    for (version, more) in [("5", &[][..]), ("311", &[][..]), ("311", &["--compat"])] {
        let broker = ScriptedBroker::start(Script::default().delay(PacketType::Pubrel, Duration::from_millis(300)));
        let subscriber = start(&broker, &[more, &["-t", "t", "-q", "2", "-C", "2", "-V", version]].concat());
        publish(&broker, &numbered(3, ExactlyOnce));
        assert_eq!(subscriber.end().code, Some(0));
        broker.wait_for("the end", |log| log.ended() == 2);
        let log = broker.stop();
        assert_eq!((acks(&log, AckKind::Pubrec), acks(&log, AckKind::Pubcomp)), (2, 2));
    }
    // One that never releases it is not waited for.
    let broker = ScriptedBroker::start(Script::default().omit(PacketType::Pubrel, 1..));
    let subscriber = start(&broker, &["-t", "t", "-q", "2", "-C", "1"]);
    publish(&broker, &numbered(1, ExactlyOnce));
    assert_eq!(subscriber.end().code, Some(0));
}

#[test]
fn only_mosquitto_sub_asks_for_no_more_than_its_count_at_a_time() {
    let broker = ScriptedBroker::start(Script::default());
    for (more, expected) in [
        (&["-V", "5", "-C", "3"][..], None),
        (&["--compat", "-V", "5", "-C", "3"], Some(3)),
        (&["--compat", "-V", "5", "-C", "20"], Some(20)),
        (&["--compat", "-V", "311", "-C", "3"], None),
    ] {
        let subscriber = start(&broker, &[more, &["-t", "t"]].concat());
        subscriber.signal("TERM");
        subscriber.end();
        let log = broker.log();
        let connect = log.connects().last().unwrap();
        assert_eq!(connect.properties.number(PropertyName::ReceiveMaximum), expected);
    }
}

#[test]
fn a_time_out_is_27_and_what_came_is_printed() {
    let broker = ScriptedBroker::start(Script::default());
    let mut subscriber = start(&broker, &["-t", "t", "-W", "5", "-C", "5"]);
    publish(&broker, &numbered(2, AtMostOnce));
    assert_eq!(subscriber.line() + &subscriber.line(), "1\n2\n");
    let ended = subscriber.end();
    assert_eq!(ended.code, Some(27));
    assert_eq!(ended.stderr, "Error: timed out after 5 s: received 2 of 5 messages\n");
    let broker = ScriptedBroker::start(Script::default().never_answer_connect());
    let ended = run(&broker, &["-t", "t", "-W", "200ms", "--quiet"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(27), ""));
}

#[test]
fn one_subscribe_asks_for_everything() {
    let broker = ScriptedBroker::start(Script::default());
    #[rustfmt::skip]
    let more = [
        "-t", "a/#", "-t", "b", "--topic-qos", "c=2", "-q", "1", "-U", "old", "-E", "-V", "5", "--no-local",
        "--retain-as-published", "--retain-handling", "new", "-D", "subscribe", "subscription-identifier", "7",
        "-D", "connect", "session-expiry-interval", "5", "-k", "23",
    ];
    let ended = run(&broker, &more);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let log = broker.stop();
    let subscribes: Vec<_> = log
        .received
        .iter()
        .filter_map(|(_, packet)| match packet {
            Received::Subscribe(subscribe) => Some(subscribe),
            _ => None,
        })
        .collect();
    assert_eq!(subscribes.len(), 1);
    let asked: Vec<_> = subscribes[0].filters.iter().map(|filter| (filter.filter.as_str(), filter.qos)).collect();
    assert_eq!(asked, [("a/#", AtLeastOnce), ("b", AtLeastOnce), ("c", ExactlyOnce)]);
    assert_eq!(subscribes[0].filters[0].options(ProtocolVersion::V5), 0b01_1101);
    assert_eq!(subscribes[0].properties.number(PropertyName::SubscriptionIdentifier), Some(7));
    assert_eq!(log.connects().next().unwrap().keep_alive, 23);
    assert_eq!(log.count(|packet| matches!(packet, Received::Unsubscribe(it) if it.filters == ["old"])), 1);
}

#[test]
fn many_filters_go_in_several_packets_and_each_is_answered() {
    let names: Vec<String> = (1..=20).map(|number| format!("f{number}")).collect();
    let topics: Vec<&str> = names.iter().flat_map(|name| ["-t", name]).collect();
    for (more, expected) in [(&["-E"][..], &[8, 8, 4][..]), (&["--compat", "-E"], &[20])] {
        let broker = ScriptedBroker::start(Script::default().delay(PacketType::Suback, Duration::from_millis(50)));
        let ended = run(&broker, &[more, &topics].concat());
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        let log = broker.stop();
        let sizes = log.received.iter().filter_map(|(_, packet)| match packet {
            Received::Subscribe(subscribe) => Some(subscribe.filters.len()),
            _ => None,
        });
        assert_eq!(sizes.collect::<Vec<_>>(), expected);
    }
    // One that is refused does not take the others with it; all that are do.
    let broker = ScriptedBroker::start(Script::default().refuse_filter("f12", ReasonCode::NOT_AUTHORIZED));
    let mut subscriber = start(&broker, &[&topics[..], &["-V", "5", "-C", "1"]].concat());
    subscriber.wait_for_stderr("Warning: the broker refused to subscribe to f12: Not authorized");
    publish(&broker, &[message("f20", "x", AtMostOnce)]);
    assert_eq!(subscriber.end().code, Some(0));
    let broker = ScriptedBroker::start(Script::default().refuse_subscribe(ReasonCode::NOT_AUTHORIZED));
    let ended = run(&broker, &[&topics[..], &["-V", "5"]].concat());
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(135), 2), "{}", ended.stderr);
    let expected = "\
        Error: 127.0.0.1:[..]: the broker refused to subscribe to f1: Not authorized (0x87)\n\
        Hint: is this user allowed to subscribe there? choose other topics with -t\n";
    assert_whole(&ended.stderr, expected);
    // None that is not answered is taken for granted.
    let broker = ScriptedBroker::start(Script::default().omit(PacketType::Suback, 2));
    let ended = run(&broker, &[&topics[..], &["-E", "--connect-timeout", "1"]].concat());
    assert_eq!(ended.code, Some(43), "{}", ended.stderr);
}

#[test]
fn a_topic_with_a_wildcard_is_printed_and_cannot_be_removed() {
    let retained = Action::Send(b"\x31\x06\x00\x03a/#x".to_vec());
    let script = Script::default().fault(1.., Trigger::ReceivedPacket(3), retained);
    let broker = ScriptedBroker::start(script);
    let ended = run(&broker, &["-t", "#", "-v", "--retained-only"]);
    assert_eq!((ended.code, ended.text().as_str(), ended.stderr.as_str()), (Some(0), "a/# x\n", ""));
    let ended = run(&broker, &["-t", "#", "-v", "--retained-only", "--remove-retained"]);
    assert_eq!((ended.code, ended.text().as_str()), (Some(0x90), "a/# x\n"), "{}", ended.stderr);
    let expected = "\
        Error: cannot remove the retained message of a/#: a topic to publish to must not contain the wildcards \
        + and #\n\
        Note: removed 0 retained messages\n";
    assert_whole(&ended.stderr, expected);
}

#[test]
fn after_a_disconnect_of_a_broker_before_5_0_it_reconnects() {
    let goodbye = Action::SendAndCut(vec![0xE0, 0]);
    let broker = ScriptedBroker::start(Script::default().fault(1, Trigger::ReceivedPacket(3), goodbye));
    // Packet 3 is a ping.
    let ended = run(&broker, &["-t", "t", "-V", "311", "--retained-only"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let expected = "\
        Warning: the connection to 127.0.0.1:[..] was lost (the broker closed the connection with DISCONNECT); \
        trying again every second\n\
        Note: reconnected to 127.0.0.1:[..] after [..] s\n";
    assert_whole(&ended.stderr, expected);
    assert_eq!(broker.stop().count(is_subscribe), 2);
}

#[test]
fn refused_subscriptions_end_it_or_are_reported() {
    for (version, code) in [("311", 128), ("5", 135)] {
        let broker = ScriptedBroker::start(Script::default().refuse_subscribe(ReasonCode::NOT_AUTHORIZED));
        let ended = run(&broker, &["-t", "a", "-t", "b", "-V", version]);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert!(ended.stderr.contains("the broker refused to subscribe to a: "), "{}", ended.stderr);
    }
    let script = Script::default().refuse_filter("b", ReasonCode::NOT_AUTHORIZED).grant_at_most(AtLeastOnce);
    let broker = ScriptedBroker::start(script);
    let mut subscriber = start(&broker, &["-t", "t", "-t", "b", "-q", "2", "-C", "1", "-V", "5"]);
    subscriber.wait_for_stderr("Warning: the broker granted QoS 1 instead of QoS 2 for t");
    subscriber.wait_for_stderr("Warning: the broker refused to subscribe to b: Not authorized");
    publish(&broker, &numbered(1, AtMostOnce));
    assert_eq!(subscriber.end().code, Some(0));
}

#[test]
fn an_answer_that_does_not_come_is_43() {
    let broker = ScriptedBroker::start(Script::default().omit(PacketType::Suback, 1..));
    let ended = run(&broker, &["-t", "t", "--connect-timeout", "1"]);
    assert_eq!(ended.code, Some(43));
    let expected = "\
        Error: 127.0.0.1:[..]: the broker did not answer SUBSCRIBE within 1 s\n\
        Hint: the broker is overloaded or hangs; --connect-timeout sets how long to wait\n";
    assert_whole(&ended.stderr, expected);
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let broker = ScriptedBroker::start(Script::default());
    let mut command = tool::command(MQSUB, &arguments(&broker.port(), &["-t", "t"]));
    let (subscriber, stdout) = Running::start_unread(&mut command, Stdio::null());
    let head = Running::start_on(&mut tool::command("head", &["-1"]), stdout);
    broker.wait_for("SUBSCRIBE", |log| log.count(is_subscribe) == 1);
    publish(&broker, &numbered(1, AtMostOnce));
    assert_eq!(head.finish().stdout, b"1\n");
    // No second message is needed for it to notice.
    let ended = subscriber.finish();
    assert_eq!((ended.status.code(), ended.stderr.len()), (Some(0), 0));
}

#[test]
fn nothing_is_acknowledged_before_it_is_written() {
    const SIZE: usize = 16 << 10;
    const COUNT: usize = 100;
    /// What a pipe holds; Linux can be told to let it hold more, and nobody does here.
    const PIPE: usize = 64 << 10;
    let broker = ScriptedBroker::start(Script::default());
    let mut command = tool::command(MQSUB, &arguments(&broker.port(), &["-t", "t", "-q", "1", "-C", "100", "-N"]));
    let (mut subscriber, mut stdout) = Running::start_unread(&mut command, Stdio::null());
    broker.wait_for("SUBSCRIBE", |log| log.count(is_subscribe) == 1);
    let payload = vec![b'x'; SIZE];
    publish(&broker, &vec![message("t", payload, AtLeastOnce); COUNT]);
    // The pipe fills up, and then nothing goes on; a message that is acknowledged all the same fails this at once or
    // never, so it does not matter when it is looked at.
    broker.wait_for("the deliveries", |log| log.counts.deliveries == COUNT as u64);
    assert!(broker.counts().completed_deliveries as usize <= PIPE / SIZE);
    let mut all = Vec::new();
    std::io::Read::read_to_end(&mut stdout, &mut all).unwrap();
    assert_eq!(all.len(), SIZE * COUNT);
    assert_eq!(subscriber.wait().code(), Some(0));
    assert_eq!(acks(&broker.stop(), AckKind::Puback), COUNT);
}

#[test]
fn keep_alive_goes_on_while_nobody_reads() {
    let broker = ScriptedBroker::start(Script::default());
    let mut command = tool::command(MQSUB, &arguments(&broker.port(), &["-t", "t", "-k", "5", "-C", "60", "-N"]));
    let (mut subscriber, mut stdout) = Running::start_unread(&mut command, Stdio::null());
    broker.wait_for("SUBSCRIBE", |log| log.count(is_subscribe) == 1);
    publish(&broker, &vec![message("t", vec![b'x'; 16 << 10], AtMostOnce); 60]);
    broker.wait_for("two pings", |log| log.count(|packet| *packet == Received::Pingreq) == 2);
    let mut all = Vec::new();
    std::io::Read::read_to_end(&mut stdout, &mut all).unwrap();
    assert_eq!((all.len(), subscriber.wait().code()), (60 * (16 << 10), Some(0)));
    assert_eq!(broker.counts().connections, 2, "no reconnect: mqsub and the publisher");
}

#[test]
fn a_flood_comes_out_whole_and_in_order() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    let subscriber = Tool::start(MQSUB, &arguments(&broker.port(), &["-t", "t", "-C", "20000", "-d"]));
    let mut subscriber = subscriber;
    subscriber.wait_for_stderr("received SUBACK");
    let mut publisher = RawClient::connect(broker.addr(), ProtocolVersion::V311, "publisher");
    numbered(20_000, AtMostOnce).iter().for_each(|message| publisher.publish(message, 0, false));
    let ended = subscriber.end();
    assert_eq!(ended.code, Some(0));
    assert!(ended.lines().iter().enumerate().all(|(index, line)| *line == (index + 1).to_string()));
    assert_eq!(ended.lines().len(), 20_000);
}

#[test]
fn a_lost_connection_is_made_again_with_its_subscriptions() {
    let script = Script::default().fault([1], Trigger::Delivery(3), Action::CutInside);
    let broker = ScriptedBroker::start(script);
    let mut subscriber = start(&broker, &["-t", "t", "-q", "1", "-c", "-i", "s"]);
    publish(&broker, &numbered(5, AtLeastOnce));
    // What was printed and whose acknowledgement went down with the connection comes again: that is QoS 1.
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line| line != "5\n") {
        lines.push(subscriber.line());
    }
    lines.sort();
    lines.dedup();
    assert_eq!(lines.concat(), "1\n2\n3\n4\n5\n");
    subscriber.signal("INT");
    let ended = subscriber.end();
    assert_eq!(ended.signal, Some(2));
    let expected = "\
        Warning: the connection to 127.0.0.1:[..] was lost ([..]); trying again every second\n\
        Note: reconnected to 127.0.0.1:[..] after [..] s\n";
    assert_whole(&ended.stderr, expected);
    let log = broker.stop();
    assert_eq!(log.count(is_subscribe), 2);
    assert!(!log.connects().last().unwrap().clean_start);
}

#[test]
fn a_lost_connection_is_retried_as_often_as_requested() {
    let broker = ScriptedBroker::start(Script::default().close_at_accept(2..));
    let mut subscriber = start(&broker, &["-t", "t", "--retry", "3", "--backoff", "1ms"]);
    broker.wait_for("the subscription", |log| log.count(is_subscribe) == 1);
    broker.act_on_all(&Action::Cut);
    subscriber.wait_for_stderr("trying again every 0.001 s, at most 3 times");
    assert_eq!(subscriber.end().code, Some(1));
    assert_eq!(broker.counts().connections, 4);
}

#[test]
fn the_rate_is_printed_while_the_broker_is_away() {
    let mut broker = ScriptedBroker::start(Script::default());
    let mut subscriber = start(&broker, &["-t", "t", "--message-rate", "-d"]);
    // Not before it has the answer: a broker that hangs up on the first SUBSCRIBE is given up.
    subscriber.wait_for_stderr("received SUBACK");
    broker.go_away();
    subscriber.wait_for_stderr("was lost");
    // The first may be of the time before.
    let lines = [subscriber.line(), subscriber.line()];
    assert_eq!(lines, ["0 msgs/s\n", "0 msgs/s\n"]);
    subscriber.signal("INT");
    assert_eq!(subscriber.end().signal, Some(2));
}

#[test]
fn the_first_connection_is_not_tried_again_and_a_decision_of_the_broker_stands() {
    let ended = tool::run(MQSUB, &["-h", "127.0.0.1", "-p", "1", "-t", "t"], b"");
    assert_eq!(ended.code, Some(1));
    let expected = "\
        Error: cannot connect to 127.0.0.1:1: TCP: connection refused (127.0.0.1:1)\n\
        Hint: is a broker running there, and is the port right? MQTT usually uses port 1883, or 8883 with TLS\n";
    assert_whole(&ended.stderr, expected);
    // Session taken over: to connect again would take it back, forever.
    let action = Action::Disconnect(ReasonCode(0x8E));
    let broker = ScriptedBroker::start(Script::default().fault(1.., Trigger::ReceivedPacket(2), action));
    let ended = run(&broker, &["-t", "t", "-V", "5"]);
    assert_eq!(ended.code, Some(0x8E), "{}", ended.stderr);
    assert_eq!(broker.counts().connections, 1);
    let broker = ScriptedBroker::start(
        Script::default()
            .fault([1], Trigger::Delivery(1), Action::Cut)
            // The publisher is the second connection.
            .refuse_connects([3], ReasonCode::NOT_AUTHORIZED),
    );
    let mut subscriber = start(&broker, &["-t", "t", "-V", "5"]);
    publish(&broker, &numbered(1, AtMostOnce));
    subscriber.wait_for_stderr("Warning: the connection to ");
    let ended = subscriber.end();
    assert_eq!((ended.code, broker.counts().connections), (Some(135), 3), "{}", ended.stderr);
}

#[test]
fn a_broker_that_hangs_up_on_the_first_subscribe_is_not_asked_for_ever() {
    let script = Script::default().fault(1.., Trigger::ReceivedPacket(2), Action::Cut);
    let broker = ScriptedBroker::start(script);
    let ended = run(&broker, &["-t", "t"]);
    assert_eq!((ended.code, broker.counts().connections), (Some(1), 1), "{}", ended.stderr);
    assert!(ended.stderr.contains("may not be allowed to subscribe there"), "{}", ended.stderr);
}

#[test]
fn with_retry_a_first_subscribe_that_is_cut_off_is_tried_again() {
    let script = Script::default().fault([1, 2], Trigger::ReceivedPacket(2), Action::Cut);
    let broker = ScriptedBroker::start(script);
    let ended = run(&broker, &["-t", "t", "-E", "--retry", "2", "--backoff", "10ms"]);
    assert_eq!((ended.code, broker.counts().connections), (Some(0), 3), "{}", ended.stderr);
    assert!(ended.stderr.contains("trying again every 0.01 s, at most 2 times"), "{}", ended.stderr);
    // Only so often.
    let broker = ScriptedBroker::start(Script::default().fault(1.., Trigger::ReceivedPacket(2), Action::Cut));
    let ended = run(&broker, &["-t", "t", "--retry", "2", "--backoff", "10ms"]);
    assert_eq!((ended.code, broker.counts().connections), (Some(1), 3), "{}", ended.stderr);
    assert!(ended.stderr.contains("may not be allowed to subscribe there"), "{}", ended.stderr);
}

#[test]
fn with_retry_a_refusal_of_the_subscribe_counts_too() {
    // Server busy.
    let action = Action::Disconnect(ReasonCode(0x89));
    let broker = ScriptedBroker::start(Script::default().fault(1.., Trigger::ReceivedPacket(2), action));
    let ended = run(&broker, &["-t", "t", "-V", "5", "--retry", "2", "--backoff", "10ms"]);
    assert_eq!((ended.code, broker.counts().connections), (Some(0x89), 3), "{}", ended.stderr);
}

#[test]
fn waits_grow_over_connections_whose_subscribe_is_cut_off() {
    let broker = ScriptedBroker::start(Script::default().fault(1.., Trigger::ReceivedPacket(2), Action::Cut));
    let started = Instant::now();
    let ended = run(&broker, &["-t", "t", "--retry", "4", "--backoff", "200ms..800ms"]);
    assert_eq!((ended.code, broker.counts().connections), (Some(1), 5), "{}", ended.stderr);
    // 200, 400, 800 and 800 ms.
    assert!(started.elapsed() >= Duration::from_millis(2200), "{:?}", started.elapsed());
}

#[test]
fn a_suback_has_a_code_for_each_filter() {
    for suback in [vec![0x90, 4, 0, 1, 0, 0], vec![0x90, 3, 0, 1, 0x80]] {
        let script = Script::default().omit(PacketType::Suback, 1..);
        let broker = ScriptedBroker::start(script.fault(1.., Trigger::ReceivedPacket(2), Action::Send(suback.clone())));
        let filters = if suback[1] == 4 { &["-t", "a"][..] } else { &["-t", "a", "-t", "b"] };
        let ended = run(&broker, &[filters, &["-V", "311"]].concat());
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("the broker violated the protocol: SUBACK does not have one Reason Code"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn a_retained_message_that_takes_long_to_come_is_whole() {
    // The rest comes with the next PINGREQ of the keep alive: later than the silence that ends it.
    let retained = b"\x31\x0b\x00\x01tpayload!";
    let script = Script::default()
        .fault(1.., Trigger::ReceivedPacket(3), Action::Send([b"\xd0\x00", &retained[..6]].concat()))
        .fault(1.., Trigger::ReceivedPacket(4), Action::Send(retained[6..].to_vec()))
        .omit(PacketType::Pingresp, 1..);
    let broker = ScriptedBroker::start(script);
    let ended = run(&broker, &["-t", "t", "--retained-only", "-k", "5"]);
    assert_eq!((ended.code, ended.text().as_str()), (Some(0), "payload!\n"), "{}", ended.stderr);
}

#[test]
fn garbage_from_the_broker_ends_it() {
    let garbage = Action::Send(vec![0x30, 0x03, 0x00, 0x05, b'a']);
    let broker = ScriptedBroker::start(Script::default().fault(1.., Trigger::ReceivedPacket(2), garbage));
    let ended = run(&broker, &["-t", "t"]);
    assert_eq!(ended.code, Some(1));
    let expected = "\
        Error: 127.0.0.1:[..]: the broker violated the protocol: malformed PUBLISH: it is truncated\n";
    assert_whole(&ended.stderr, expected);
}

#[test]
fn an_interrupt_brings_the_will_out() {
    for (version, expected) in [("5", ReasonCode::DISCONNECT_WITH_WILL), ("311", ReasonCode::SUCCESS)] {
        let broker = ScriptedBroker::start(Script::default());
        let subscriber = start(&broker, &["-t", "t", "-V", version, "--will-topic", "w"]);
        broker.wait_for("SUBSCRIBE", |log| log.count(is_subscribe) == 1);
        subscriber.signal("INT");
        assert_eq!(subscriber.end().signal, Some(2));
        broker.wait_for("the end", |log| log.ended() == 1);
        assert_eq!(broker.stop().disconnects(expected), 1);
    }
}

#[test]
fn an_end_before_connack_leaves_no_will() {
    for (more, code) in [(&["-W", "60"][..], None), (&["-W", "3"], Some(27))] {
        for version in ["311", "5"] {
            let broker = ScriptedBroker::start(Script::default().never_answer_connect());
            let more = [more, &["-t", "t", "-V", version, "--will-topic", "w"]].concat();
            let subscriber = Tool::start(MQSUB, &arguments(&broker.port(), &more));
            broker.wait_for("CONNECT", |log| log.connects().any(|connect| connect.will.is_some()));
            if code.is_none() {
                subscriber.signal("INT");
            }
            let ended = subscriber.end();
            assert_eq!((ended.code, ended.signal), (code, code.is_none().then_some(2)), "{}", ended.stderr);
            broker.wait_for("the end", |log| log.ended() == 1);
            // Behind it a broker forgets the will.
            assert_eq!(broker.stop().disconnects(ReasonCode::SUCCESS), 1);
        }
    }
}

#[test]
fn each_format_prints_its_own_way() {
    let properties: Properties = [Property::user("k", "v")].into_iter().collect();
    let payload = br#"{"n":1.50}"#;
    let sent = [Message { topic: "t".into(), payload: payload[..].into(), properties, ..Message::default() }];
    let printed = |more: &[&str]| {
        let broker = ScriptedBroker::start(Script::default());
        let subscriber = start(&broker, &[&["-t", "t", "-C", "1", "-V", "5"], more].concat());
        publish(&broker, &sent);
        subscriber.end().text()
    };
    assert_eq!(printed(&[]), "{\"n\":1.50}\n");
    assert_eq!(printed(&["-N"]), "{\"n\":1.50}");
    assert_eq!(printed(&["-v"]), "t {\"n\":1.50}\n");
    assert_eq!(printed(&["-F", "%t|%l|%q%r|%x"]), "t|10|00|7b226e223a312e35307d\n");
    let json = printed(&["--json"]);
    assert!(json.contains(r#""payload":"{\"n\":1.50}","properties":{"user-properties":[{"k":"v"}]}}"#), "{json}");
    assert_eq!(json.lines().count(), 1);
    assert!(printed(&["--json-payload"]).contains(r#""payload_json":{"n":1.50}"#));
    assert!(printed(&["--json", "--pretty"]).lines().count() > 5);
    // A pipe keeps no screen.
    assert_eq!(printed(&["-w", "-v"]), "t {\"n\":1.50}\n");
}

#[test]
fn messages_are_picked() {
    let broker = ScriptedBroker::start(Script::default());
    let subscriber = start(&broker, &["-t", "#", "-T", "no/#", "-v", "-C", "2"]);
    let sent = ["a", "no/b", "no", "c"].map(|topic| message(topic, "x", AtMostOnce));
    publish(&broker, &sent);
    assert_eq!(subscriber.end().lines(), ["a x", "c x"]);
    let mut subscriber = start(&broker, &["-t", "t", "--message-rate"]);
    publish(&broker, &numbered(3, AtMostOnce));
    let counted = std::iter::repeat_with(|| subscriber.line()).map(|line| {
        let count = line.strip_suffix(" msgs/s\n").unwrap_or_else(|| panic!("{line:?}"));
        count.parse::<u32>().unwrap()
    });
    let mut sum = 0;
    let _ = counted
        .take_while(|count| {
            sum += count;
            sum < 3
        })
        .count();
    assert_eq!(sum, 3);
}

/// An embedded broker with three retained messages.
fn with_retained() -> (EmbeddedBroker, String) {
    let broker = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
    let mut publisher = RawClient::connect(broker.local_addr(), ProtocolVersion::V311, "p");
    for (identifier, topic) in (1..).zip(["r/a", "r/b", "r/c"]) {
        publisher.publish(&Message { retain: true, ..message(topic, "old", AtLeastOnce) }, identifier, false);
        publisher.receive_ack();
    }
    let port = broker.local_addr().port().to_string();
    (broker, port)
}

fn sorted(ended: &Ended) -> Vec<String> {
    let mut lines = ended.lines();
    lines.sort();
    lines
}

#[test]
fn retained_messages_are_removed_and_it_ends() {
    let (_broker, port) = with_retained();
    let mqsub = |more: &[&str]| tool::run(MQSUB, &arguments(&port, more), b"");
    let ended = mqsub(&["-t", "r/#", "-v", "-C", "1", "--remove-retained"]);
    assert_eq!((ended.code, ended.lines().len()), (Some(0), 1), "{}", ended.stderr);
    let ended = mqsub(&["-t", "r/#", "-v", "--remove-retained", "--retained-only"]);
    assert_eq!((ended.code, ended.lines().len()), (Some(0), 2), "{}", ended.stderr);
    let ended = mqsub(&["-t", "r/#", "-v", "--retained-only"]);
    assert_eq!((ended.code, ended.lines().len()), (Some(0), 0), "{}", ended.stderr);
}

/// Sends a retained message once the subscription is granted: it comes before the answer to PINGREQ.
fn sending_retained() -> Script {
    let retained = Action::Send(b"\x31\x06\x00\x03a/bx".to_vec());
    Script::default().fault(1.., Trigger::ReceivedPacket(3), retained)
}

#[test]
fn the_acknowledgement_of_a_removal_is_waited_for_but_not_for_ever() {
    // Later than the silence that ends it.
    let script = sending_retained().delay(PacketType::Puback, Duration::from_secs(3));
    let broker = ScriptedBroker::start(script);
    let more = ["-t", "a/#", "--retained-only", "--remove-retained"];
    let ended = run(&broker, &more);
    assert_eq!(
        (ended.code, ended.text().as_str(), ended.stderr.as_str()),
        (Some(0), "x\n", "Note: removed 1 retained message\n")
    );
    let log = broker.stop();
    let removals: Vec<_> = log.publishes().map(|(it, _, _)| (it.topic.as_str(), it.payload.len(), it.retain)).collect();
    assert_eq!((removals, log.acknowledged.len()), (vec![("a/b", 0, true)], 1));
    let broker = ScriptedBroker::start(sending_retained().omit(PacketType::Puback, 1..));
    let ended = run(&broker, &[&more[..], &["--connect-timeout", "3s"]].concat());
    assert_eq!((ended.code, ended.text().as_str()), (Some(43), "x\n"), "{}", ended.stderr);
    let expected = "\
        Note: removed 0 retained messages\n\
        Error: 127.0.0.1:[..]: the broker did not answer PUBLISH within 3 s\n\
        Hint: the broker is overloaded or hangs; --connect-timeout sets how long to wait\n";
    assert_whole(&ended.stderr, expected);
}

#[test]
fn retained_messages_are_distinguished() {
    let (broker, port) = with_retained();
    let ended = tool::run(MQSUB, &arguments(&port, &["-t", "r/#", "-v", "--retained-only"]), b"");
    assert_eq!((ended.code, sorted(&ended)), (Some(0), vec!["r/a old".into(), "r/b old".into(), "r/c old".into()]));
    for version in ["311", "5"] {
        let more = ["-t", "r/#", "-v", "-R", "-C", "1", "-d", "-V", version];
        let mut subscriber = Tool::start(MQSUB, &arguments(&port, &more));
        subscriber.wait_for_stderr("received SUBACK");
        let mut publisher = RawClient::connect(broker.local_addr(), ProtocolVersion::V311, "p");
        publisher.publish(&message("r/d", "new", AtMostOnce), 0, false);
        assert_eq!(subscriber.end().lines(), ["r/d new"]);
    }
}

#[test]
fn text_from_the_network_is_escaped() {
    let reason = Property::new(PropertyName::ReasonString, PropertyValue::Utf8("\x1b[2Jgone".into())).unwrap();
    let mut bytes = Vec::new();
    let properties: Properties = [reason].into_iter().collect();
    let disconnect = mqtools::mqtt::wire::Disconnect { reason: ReasonCode::NOT_AUTHORIZED, properties };
    mqtools::mqtt::wire::Packet::Disconnect(disconnect).encode(ProtocolVersion::V5, &mut bytes).unwrap();
    let action = Action::SendAndCut(bytes);
    let broker = ScriptedBroker::start(Script::default().fault(1.., Trigger::ReceivedPacket(2), action));
    let ended = run(&broker, &["-t", "t", "-V", "5", "-dd"]);
    assert_eq!(ended.code, Some(135));
    assert!(ended.stderr.contains("The broker reports: \\u{1b}[2Jgone"), "{}", ended.stderr);
    assert!(!ended.stderr.contains('\x1b'), "{}", ended.stderr);
}

#[test]
fn messages_of_mosquitto_pub_arrive() {
    if !has("mosquitto_pub") {
        return;
    }
    let broker = ScriptedBroker::start(Script::default());
    let subscriber = start(&broker, &["-t", "t", "-q", "2", "-C", "50"]);
    let port = broker.port();
    let lines: String = (1..=50).map(|number| format!("{number}\n")).collect();
    let publisher =
        tool::run("mosquitto_pub", &["-h", "127.0.0.1", "-p", &port, "-t", "t", "-q", "2", "-l"], lines.as_bytes());
    assert_eq!(publisher.code, Some(0));
    assert_eq!(subscriber.end().text(), lines);
}

#[test]
fn a_subscribe_that_costs_the_connection_each_time_ends_the_run() {
    // The first connection is answered, and lost; the others are closed at SUBSCRIBE.
    let script = Script::default().fault(1, Trigger::ReceivedPacket(3), Action::Cut).fault(
        2..,
        Trigger::ReceivedPacket(2),
        Action::Cut,
    );
    for (retry, connections) in [(&[][..], 4), (&["--retry", "1"], 3)] {
        let broker = ScriptedBroker::start(script.clone());
        let mut subscriber = start(&broker, &[&["-t", "t", "-k", "5", "--backoff", "10ms..10ms"], retry].concat());
        subscriber.wait_for_stderr("was lost");
        let ended = subscriber.end();
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("closed the connection instead of answering SUBSCRIBE"), "{}", ended.stderr);
        assert_eq!(broker.counts().connections, connections);
    }
}

#[test]
fn a_client_id_that_two_clients_use_is_suspected() {
    let script = Script::default().fault(1..=3, Trigger::ReceivedPacket(2), Action::CutUnanswered);
    let broker = ScriptedBroker::start(script);
    let more = ["-i", "twin", "-c", "-V", "311", "-q", "1", "--retry", "9", "--backoff", "10ms..10ms"];
    let mut subscriber = start(&broker, &[&["-t", "t"][..], &more].concat());
    let hint = subscriber.wait_for_stderr("is another client connected with the client id 'twin'?");
    assert!(hint.starts_with("Hint: "), "{hint}");
    subscriber.signal("INT");
    subscriber.end();
}

#[test]
fn what_the_broker_does_not_know_is_not_asked_for() {
    for (name, filter, code) in [
        (PropertyName::SharedSubscriptionAvailable, "$share/g/t", 158),
        (PropertyName::WildcardSubscriptionAvailable, "t/#", 162),
    ] {
        let property = Property::new(name, PropertyValue::Byte(0)).unwrap();
        let broker = ScriptedBroker::start(Script::default().connack_property(property));
        let ended = run(&broker, &["-t", filter, "-V", "5"]);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert_eq!(broker.stop().count(is_subscribe), 0);
    }
    let property = Property::new(PropertyName::MaximumQos, PropertyValue::Byte(1)).unwrap();
    let broker = ScriptedBroker::start(Script::default().connack_property(property));
    let ended = run(&broker, &["-t", "t", "-q", "2", "-E", "-V", "5"]);
    let expected = "\
        Warning: the broker granted QoS 1 instead of QoS 2 for t\n";
    assert_whole(&ended.stderr, expected);
    let asked = |packet: &Received| matches!(packet, Received::Subscribe(it) if it.filters[0].qos == AtLeastOnce);
    assert_eq!(broker.stop().count(asked), 1);
}

#[test]
fn a_timeout_reports_how_far_it_got() {
    for (script, text) in [
        (Script::default().never_answer_connect(), ", the broker has not answered CONNECT"),
        (Script::default().omit(PacketType::Suback, 1..), ", the broker has not answered SUBSCRIBE"),
    ] {
        let broker = ScriptedBroker::start(script);
        let ended = run(&broker, &["-t", "t", "-W", "1"]);
        assert_eq!(ended.code, Some(27));
        assert_eq!(ended.stderr, format!("Error: timed out after 1 s: received 0 messages{text}\n"));
    }
}
