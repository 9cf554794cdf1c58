//! Connections that are lost and made again: nothing that came is forgotten, nothing that was never sent is missed, and
//! the run ends.

use serde_json::json;

use super::script::{ConnectReply, Copy, Fault, PublishReply, ReceivedPublish, Script, ms};
use super::{FOR_EVER, simulate};
use crate::mqtt::ReasonCode;

const LOAD: &str = "-q 1 --pubs 2 --subs 2 --warmup 0";

/// Publisher 0 has the odd ones of a schedule; after 500 messages it is cut off.
fn cut_first_publisher(publish: &ReceivedPublish) -> PublishReply {
    match publish.of_connection {
        501 if publish.ordinal % 2 == 1 => PublishReply::Close,
        _ => PublishReply::Reason(ReasonCode::SUCCESS),
    }
}

#[test]
fn what_comes_before_suback_is_delivered() {
    // From SUBSCRIBE on the broker delivers; SUBACK comes 50 ms later.
    let cut = |publish: &ReceivedPublish, _: u64| match publish.ordinal {
        1_001 => vec![Copy::with(Fault::CutInside)],
        _ => vec![Copy::RIGHT],
    };
    let script = Script { suback_after: ms(50), deliver_after: ms(5), copies: Box::new(cut), ..Script::default() };
    let run = simulate(&format!("{LOAD} --rate 1k --duration 4 --reconnect 200ms"), script);
    // All but the one that was cut inside came to somebody who listened, some of those behind it into the closed
    // socket.
    let [expected, delivered, lost] =
        run.numbers(["expected", "delivered_once", "lost"].map(|n| format!("delivery/{n}")));
    assert_eq!((expected, delivered + lost), (4_000, 4_000));
    // 200 ms of one stream of 500 a second, and what had been under way.
    assert!((100..=110).contains(&lost), "{lost}");
    assert_eq!(run.at("clients/reconnects"), &json!(1));
    assert_eq!(run.at("clients/max_open"), &json!(4));
    assert_eq!(run.at("invalid"), &json!([]));
}

#[test]
fn a_count_that_is_never_reached_is_given_up() {
    let nothing =
        Script { deliver_after: ms(5), publish_reply: Box::new(|_| PublishReply::Nothing), ..Script::default() };
    let run = simulate(&format!("{LOAD} --flood -C 100 -M 10 --drain 3"), nothing);
    assert_eq!((run.at("status"), run.number("traffic/sent")), (&json!("partial"), 20));
    assert!(run.took < FOR_EVER / 100, "{:?}", run.took);
    // One publisher is never let in again; the other one sends its half.
    let banned = Script {
        deliver_after: ms(5),
        publish_reply: Box::new(cut_first_publisher),
        connect_reply: Box::new(|number| match number {
            0..=4 => ConnectReply::Accept(crate::mqtt::Properties::new()),
            _ => ConnectReply::Refuse(ReasonCode::NOT_AUTHORIZED),
        }),
        ..Script::default()
    };
    let run = simulate(&format!("{LOAD} --rate 1k -C 4000 --drain 3 --reconnect 1s"), banned);
    assert_eq!(run.at("status"), "partial");
    assert!(run.took < FOR_EVER / 100, "{:?}", run.took);
    assert_eq!(run.log.published.iter().filter(|publish| publish.topic.ends_with("/1")).count(), 2_000);
}

#[test]
fn what_the_socket_never_took_is_neither_sent_nor_expected() {
    for size in ["64", "24..4000"] {
        // The socket is full nearly always, and the connection goes three times.
        let script = Script {
            deliver_after: ms(5),
            buffer: 4096,
            publish_reply: Box::new(|publish| match publish.ordinal {
                700 | 1_500 | 2_500 => PublishReply::Close,
                _ => PublishReply::Reason(ReasonCode::SUCCESS),
            }),
            ..Script::default()
        };
        let arguments = "-q 0 --pubs 2 --subs 2 --warmup 0 --flood -C 5000 --drain 3 --reconnect 100ms";
        let run = simulate(&format!("{arguments} --size {size}"), script);
        let [sent, expected] = run.numbers(["traffic/sent", "delivery/expected"]);
        assert_eq!((sent, expected), (5_000, 5_000), "{size}");
        assert_eq!(run.at("invalid"), &json!([]), "{size}");
        assert_eq!(run.at("status"), "ok", "{size}");
    }
}

#[test]
fn pings_do_not_make_the_measured_time_longer() {
    let copies = |publish: &ReceivedPublish, _: u64| if publish.ordinal == 500 { vec![] } else { vec![Copy::RIGHT] };
    let script = Script { deliver_after: ms(5), copies: Box::new(copies), ..Script::default() };
    let run = simulate(&format!("{LOAD} --rate 1k -C 1000 -k 5 --drain 20"), script);
    assert!(run.log.pings > 0);
    run.has_ledger([1_000, 999, 1, 0, 0, 0]);
    let measured = run.number("stages/0/duration_ns");
    assert!(measured < 1_100_000_000, "{measured}");
}

#[test]
fn slots_of_a_publisher_that_is_gone_belong_to_the_schedule() {
    let script = Script { deliver_after: ms(5), publish_reply: Box::new(cut_first_publisher), ..Script::default() };
    let run = simulate(&format!("{LOAD} --rate 1k --duration 2"), script);
    assert_eq!(run.number("traffic/offered"), 2_000);
    assert_eq!(run.at("invalid"), &json!([]));
}

#[test]
fn slots_of_a_publisher_that_is_gone_stay_in_later_stages() {
    // The broker closes on the first publisher in the flood; the paced stage goes on without it.
    let cut = |publish: &ReceivedPublish| match publish.of_connection {
        501 if publish.topic.ends_with("/0") => PublishReply::Close,
        _ => PublishReply::Reason(ReasonCode::SUCCESS),
    };
    for behind in ["queue", "skip"] {
        let script = Script { deliver_after: ms(5), publish_reply: Box::new(cut), ..Script::default() };
        let run = simulate(&format!("{LOAD} -M 10 --duration 4 --behind {behind}"), script);
        let stage = |name: &str| run.number(&format!("stages/1/traffic/{name}"));
        let rate = run.at("stages/1/traffic/offered_per_s").as_f64().unwrap();
        assert!(rate > 1_000.0, "{rate}");
        let offered = stage("offered");
        assert!((offered as f64 - 2.0 * rate).abs() < 1.0, "{behind}: {offered} slots in two seconds of {rate}/s");
        // Every other slot belonged to the lost publisher, which is not the generator's fault.
        let skipped = if behind == "skip" { offered / 2 } else { 0 };
        for (name, right) in [("sent", offered / 2), ("held_back", offered / 2), ("skipped", skipped)] {
            assert!(stage(name).abs_diff(right) <= 1, "{behind}: {} {name} of {offered}", stage(name));
        }
        assert_eq!(run.at("invalid"), &json!([]));
    }
}

#[test]
fn what_was_under_way_is_sent_again_in_a_session_that_lasts() {
    // Five messages of a publisher are under way when its connection goes, one of them unread.
    for (qos, shape) in [(1, ""), (2, ""), (1, "--size 24..4000"), (1, "--flood"), (2, "--flood -M 7")] {
        let script = |resumed: bool| Script {
            deliver_after: ms(5),
            acknowledge_after: ms(20),
            complete_after: ms(20),
            publish_reply: Box::new(|publish| match publish.ordinal {
                301 | 701 => PublishReply::Close,
                _ => PublishReply::Reason(ReasonCode::SUCCESS),
            }),
            connect_reply: Box::new(move |number| match number {
                5.. if !resumed => ConnectReply::Forget,
                _ => ConnectReply::Accept(crate::mqtt::Properties::new()),
            }),
            ..Script::default()
        };
        let load = format!("-q {qos} --pubs 2 --subs 2 --warmup 0 --duration 4 --reconnect 200ms -c -i live%i {shape}");
        let load = if shape.starts_with("--flood") { load } else { format!("{load} --rate 1k") };
        for resumed in [true, false] {
            let run = simulate(&load, script(resumed));
            let [sent, again, expected, once, lost, unacked] = run.numbers([
                "traffic/sent",
                "traffic/sent_again",
                "delivery/expected",
                "delivery/delivered_once",
                "delivery/lost",
                "delivery/unacked",
            ]);
            assert_eq!((expected, once, lost, unacked), (sent, sent, 0, 0), "{load} {resumed}");
            let published = run.log.published.len() as u64;
            // What lies behind the message at which the connection is closed is sent and not read: a window at most.
            let unread = if shape.starts_with("--flood") { 2 * run.number("plan/window") } else { 0 };
            assert!((published..=published + unread).contains(&(sent + again)), "{load}: {published}");
            assert!(again >= 2, "{load}: {again}");
            // In a session that the broker has lost it is a new message.
            assert_eq!(run.log.with_dup, if resumed { again } else { 0 }, "{load}");
            assert_eq!((run.number("clients/reconnects"), run.at("invalid")), (2, &json!([])), "{load}");
            assert!(run.at("warnings").to_string().contains("messages sent again"), "{}", run.at("warnings"));
        }
        let clean = simulate(&load.replace(" -c ", " "), script(false));
        assert!(clean.at("traffic/sent_again").is_null() && clean.number("delivery/lost") > 0, "{load}");
    }
}

/// Closes the connection where more than 16 messages of it are waiting for an acknowledgement, which takes 20 ms.
fn closes_on_seventeen() -> Script {
    let waiting = std::cell::RefCell::new(Vec::new());
    let publish_reply = move |publish: &ReceivedPublish| {
        let mut waiting = waiting.borrow_mut();
        if publish.of_connection == 1 {
            waiting.clear();
        }
        waiting.retain(|since| publish.at < *since + ms(20));
        waiting.push(publish.at);
        if waiting.len() > 16 { PublishReply::Close } else { PublishReply::Reason(ReasonCode::SUCCESS) }
    };
    Script { acknowledge_after: ms(20), publish_reply: Box::new(publish_reply), ..Script::default() }
}

#[test]
fn a_window_on_which_the_broker_closes_is_halved() {
    for shape in
        ["-q 1 --subs 1", "-q 2 --subs 1", "-q 2 --subs 1 -c -i live%i", "-q 1 --subs 1 -c -i live%i --window ack"]
    {
        let load = format!("--pubs 1 {shape} --warmup 0 --duration 4 --reconnect 100ms --flood");
        let run = simulate(&load, closes_on_seventeen());
        assert!(run.at("warnings").to_string().contains("(try -M 12)"), "{load}: {}", run.at("warnings"));
        // The window was halved from 100 to 50, 25 and 12, the first time at the second loss.
        assert_eq!(run.number("clients/reconnects"), 4, "{load}");
        let [sent, acked] = run.numbers(["traffic/sent", "traffic/acked"]);
        assert!(acked > 1_000 && acked <= sent, "{load}: {acked} of {sent}");
        assert_eq!((run.at("status"), run.at("invalid")), (&json!("ok"), &json!([])), "{load}");
        // One loss may be a broker that starts again.
        let once = Script {
            publish_reply: Box::new(|publish| match publish.ordinal {
                1 => PublishReply::Close,
                _ => PublishReply::Reason(ReasonCode::SUCCESS),
            }),
            acknowledge_after: ms(20),
            ..Script::default()
        };
        let run = simulate(&load, once);
        assert_eq!(run.number("clients/reconnects"), 1, "{load}");
        assert!(!run.at("warnings").to_string().contains("window-halved"), "{load}: {}", run.at("warnings"));
    }
}
