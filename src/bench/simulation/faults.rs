//! Faults: whatever the broker does, the run ends when it should and reports what happened. A hang would show as a day
//! of virtual time.

use std::time::Duration;

use serde_json::json;

use super::script::{ConnectReply, Copy, Fault, PublishReply, Script, Stall, SubscribeReply, ms};
use super::{simulate, simulate_until};
use crate::bench::engine::RunError;
use crate::mqtt::{QoS, ReasonCode};

/// A PUBLISH that announces the largest possible Remaining Length, and its first bytes.
const HUGE: [u8; 10] = [0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 4, b'h', b'u', b'g'];

/// A packet of type 0, which is reserved.
const GARBAGE: [u8; 4] = [0x00, 0xFF, 0x00, 0xFF];

/// Closing takes no time; a connection that hangs is waited for at most this long.
const CLOSING: Duration = ms(5_000);

const PACED: &str = "-q 1 --rate 1k --duration 2 --warmup 0 --pubs 2 --subs 2 --drain 1 -M 1000";

#[test]
fn failed_connects_are_reported_with_their_cause_in_time() {
    type Case = (fn(u64) -> ConnectReply, u8, u64, &'static str);
    let cases: [Case; 6] = [
        (|_| ConnectReply::Refuse(ReasonCode::NOT_AUTHORIZED), 135, 0, "refused the connection"),
        (
            |number| if number == 3 { ConnectReply::Refuse(ReasonCode::SERVER_UNAVAILABLE) } else { accept() },
            136,
            0,
            "refused",
        ),
        (|_| ConnectReply::Nothing, 1, 30_000, "did not answer CONNECT within 30 s"),
        (|_| ConnectReply::Bytes(Vec::new()), 1, 0, "the connection was lost"),
        (|_| ConnectReply::Bytes(b"HTTP/1.1 400 Bad Request\r\n".to_vec()), 1, 0, "not an MQTT broker"),
        (|_| ConnectReply::Bytes(vec![0x20, 0x03]), 1, 0, "the connection was lost"),
    ];
    for (connect_reply, status, waited, text) in cases {
        let run =
            simulate("-V 5 --pubs 2 --subs 2", Script { connect_reply: Box::new(connect_reply), ..Script::default() });
        // Clients that were connected already are disconnected.
        assert!(run.took >= ms(waited) && run.took <= ms(waited) + CLOSING, "{text}: {:?}", run.took);
        let published = run.log.published.len();
        let error = run.error();
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!((error.exit_status().code(), published), (status, 0), "{error}");
    }
}

fn accept() -> ConnectReply {
    ConnectReply::Accept(crate::mqtt::Properties::new())
}

#[test]
fn failed_subscriptions_are_reported_with_their_cause_in_time() {
    let cases = [
        (SubscribeReply::Refuse(ReasonCode::NOT_AUTHORIZED), 135, 0, "refused to subscribe"),
        (SubscribeReply::AtMost(QoS::AtMostOnce), 44, 0, "granted QoS 0 instead of QoS 1"),
        (SubscribeReply::Nothing, 43, 30_000, "did not answer SUBSCRIBE within 30 s"),
    ];
    for (subscribe_reply, status, waited, text) in cases {
        let run = simulate("-V 5 -q 1 --pubs 2 --subs 2", Script { subscribe_reply, ..Script::default() });
        assert!(run.took >= ms(waited) && run.took <= ms(waited) + CLOSING, "{text}: {:?}", run.took);
        let error = run.error();
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(error.exit_status().code(), status, "{error}");
    }
}

#[test]
fn a_lost_publisher_costs_its_own_messages_only() {
    for (answer, cause) in [
        (PublishReply::Close, "the broker closed the connection"),
        (PublishReply::CutInside, "the broker closed the connection"),
        (PublishReply::Bytes(GARBAGE.to_vec()), "violated the protocol"),
        // PUBCOMP for this message of QoS 1.
        (PublishReply::Bytes(vec![0x70, 2, 0x01, 0xF5]), "violated the protocol"),
    ] {
        let script = Script {
            deliver_after: ms(5),
            // Publisher 0 has the odd ones; by its 501st message a second is over.
            publish_reply: Box::new(move |publish| match publish.of_connection {
                501 if publish.ordinal % 2 == 1 => answer.clone(),
                _ => PublishReply::Reason(ReasonCode::SUCCESS),
            }),
            ..Script::default()
        };
        let run = simulate(PACED, script);
        let (found, count) = run.lost.first_key_value().expect("a connection is lost");
        assert!(found.contains(cause) && *count == 1 && run.lost.len() == 1, "{cause}: {:?}", run.lost);
        // The other one went on undisturbed, to the end of the schedule.
        assert_eq!(run.at("clients/connected"), &json!(4), "when the stage began");
        assert_eq!(run.at("clients/lost"), &json!(1));
        assert_eq!(run.log.published.iter().filter(|publish| publish.topic.ends_with("/1")).count(), 1_000);
        assert!(run.number("delivery/delivered_once") >= 1_500);
        assert_eq!(run.at("invalid"), &json!([]), "{cause}");
        assert!(run.took < ms(20 + 2_000 + 1_000) + CLOSING, "{cause}: {:?}", run.took);
    }
}

#[test]
fn a_lost_subscriber_costs_its_own_messages_only() {
    for (fault, cause) in [
        (Fault::CutInside, "the broker closed the connection"),
        (Fault::Instead(GARBAGE.to_vec()), "violated the protocol"),
        // A CONNACK in the middle of everything.
        (Fault::Instead(vec![0x20, 2, 0, 0]), "violated the protocol"),
    ] {
        let copies = move |publish: &super::script::ReceivedPublish, _: u64| match publish.ordinal {
            1_001 => vec![Copy::with(fault.clone())],
            _ => vec![Copy::RIGHT],
        };
        let run = simulate(PACED, Script { deliver_after: ms(5), copies: Box::new(copies), ..Script::default() });
        let (found, count) = run.lost.first_key_value().expect("a connection is lost");
        assert!(found.contains(cause) && *count == 1 && run.lost.len() == 1, "{cause}: {:?}", run.lost);
        // What was sent before the spoilt one came; what was delivered beside it.
        run.has_ledger([2_000, 1_500, 500, 0, 0, 0]);
        assert!(run.took < ms(20 + 2_000 + 1_000) + CLOSING, "{cause}: {:?}", run.took);
    }
}

#[test]
fn an_announced_256_mb_packet_is_waited_for_and_costs_what_has_come() {
    let copies = |publish: &super::script::ReceivedPublish, _: u64| match publish.ordinal {
        1_001 => vec![Copy::with(Fault::Instead(HUGE.to_vec()))],
        _ => vec![Copy::RIGHT],
    };
    let run = simulate(PACED, Script { deliver_after: ms(5), copies: Box::new(copies), ..Script::default() });
    // Everything behind it disappears in it; the run ends with the drain.
    run.has_ledger([2_000, 1_500, 500, 0, 0, 0]);
    assert!(run.took < ms(20 + 2_000 + 1_000) + CLOSING, "{:?}", run.took);
}

#[test]
fn qos_2_answered_as_qos_1_is_reported() {
    let publish_reply = |_: &super::script::ReceivedPublish| PublishReply::Puback;
    let script = Script {
        deliver_after: ms(5),
        acknowledge_after: ms(3),
        publish_reply: Box::new(publish_reply),
        ..Script::default()
    };
    let run = simulate("-q 2 --rate 1k --duration 2 --warmup 0 --pubs 2 --subs 2", script);
    run.has_ledger([2_000, 2_000, 0, 0, 0, 0]);
    run.all_took("ack", 2_000, ms(3));
    assert!(run.at("latency/pubrec").is_null() && run.at("latency/pubcomp").is_null());
    let warning = run.at("warnings/0");
    assert_eq!(warning["code"], "downgraded");
    assert!(warning["text"].as_str().unwrap().contains(" 2,000 QoS 2 messages"), "{warning}");
}

#[test]
fn a_broker_that_never_acknowledges_stops_the_flood_and_not_the_run() {
    for qos in [1, 2] {
        let script =
            Script { deliver_after: ms(5), publish_reply: Box::new(|_| PublishReply::Nothing), ..Script::default() };
        let run =
            simulate(&format!("-q {qos} --flood --duration 2 --warmup 0 --pubs 2 --subs 2 -M 10 --drain 3"), script);
        assert_eq!(run.numbers(["traffic/sent", "traffic/acked", "delivery/unacked"]), [20, 0, 20]);
        run.has_ledger([20, 20, 0, 0, 0, 0]);
        assert!(run.took < ms(20 + 2_000 + 3_000 + 100), "{:?}", run.took);
    }
}

#[test]
fn a_broker_that_delivers_nothing_slows_the_flood_down_to_one_window_a_second() {
    let script = Script { copies: Box::new(|_, _| Vec::new()), ..Script::default() };
    let run = simulate("-q 1 --flood --duration 3 --warmup 0 --pubs 2 --subs 2 -M 10 --drain 1", script);
    let sent = run.number("traffic/sent");
    assert!((60..=80).contains(&sent), "{sent}");
    run.has_ledger([sent, 0, sent, 0, 0, 0]);
    assert!(run.took < ms(20 + 3_000 + 1_000 + 100), "{:?}", run.took);
}

/// From 1 s on it stands still for an hour.
const DEAD: Stall = Stall { period: ms(1_000), length: ms(3_600_000) };

#[test]
fn a_broker_that_stands_still_for_ever_ends_the_run_by_the_plan() {
    // Little lies between them, so that the sockets fill up too.
    for (arguments, buffer) in [("-q 0 --window none", 4096), ("-q 1", 4096), ("-q 1", 1 << 24), ("-q 2", 1 << 24)] {
        let script = Script { deliver_after: ms(5), stall: Some(DEAD), buffer, ..Script::default() };
        let run =
            simulate(&format!("{arguments} --rate 1k --duration 4 --warmup 0 --pubs 2 --subs 2 --drain 1"), script);
        assert!(run.took < ms(20 + 4_000 + 1_000) + CLOSING, "{arguments}: {:?}", run.took);
        // The whole schedule is reported, though most of it could not leave.
        assert_eq!(run.number("traffic/offered"), 4_000, "{arguments}");
        // Due from 20 ms on, and delivered 5 ms later.
        assert_eq!(run.number("delivery/delivered_once"), 1_000 - 20 - 5, "{arguments}");
        assert_eq!(run.at("invalid"), &json!([]), "{arguments}: it is the broker who is slow");
        let held_back = run.number("traffic/held_back");
        assert!(held_back > 2_000, "{arguments}: {held_back}");
    }
}

#[test]
fn keep_alive_finds_a_broker_that_is_gone() {
    let script = Script { deliver_after: ms(5), stall: Some(DEAD), ..Script::default() };
    let run = simulate("-q 1 --rate 1k --duration 60 --warmup 0 --pubs 2 --subs 2 --drain 1 -k 10", script);
    // Ten seconds after the last byte that came each client asks whether the broker is there, and ten seconds later it
    // gives up.
    let text = "the broker did not answer PINGREQ within 10 s".to_owned();
    assert_eq!(run.lost, [(text, 4)].into());
    assert!(run.took > ms(21_000) && run.took < ms(22_000), "{:?}", run.took);
}

#[test]
fn a_broker_that_goes_ends_the_run_early() {
    let script = Script {
        publish_reply: Box::new(|publish| match publish.of_connection {
            501 => PublishReply::Close,
            _ => PublishReply::Reason(ReasonCode::SUCCESS),
        }),
        ..Script::default()
    };
    let run = simulate("-q 1 --rate 1k --duration 60 --warmup 0 --pubs 2 --subs 2", script);
    assert_eq!(run.lost, [("the broker closed the connection".to_owned(), 2)].into());
    assert!(run.took < ms(20 + 1_000 + 300) + CLOSING, "{:?}", run.took);
    assert_eq!(run.number("delivery/delivered_once"), 1_000);
}

#[test]
fn an_interruption_ends_the_wait_for_a_broker_that_hangs() {
    let connecting = simulate_until(
        "-q 1 --pubs 2 --subs 2",
        Script { connect_reply: Box::new(|_| ConnectReply::Nothing), ..Script::default() },
        ms(700),
    );
    assert!(connecting.took < ms(700) + CLOSING, "{:?}", connecting.took);
    assert!(matches!(connecting.result, Err(RunError::Interrupted)));
    let script = Script { deliver_after: ms(5), stall: Some(DEAD), ..Script::default() };
    let loading = simulate_until("-q 1 --flood --duration 60 --pubs 2 --subs 2 --drain 2", script, ms(3_000));
    assert_eq!(loading.at("status"), "partial");
    assert!(loading.took < ms(3_000 + 300 + 2_000) + CLOSING, "{:?}", loading.took);
}
