//! Accounts: what the broker lost, repeated, swapped, spoilt and refused is what is reported, message by message.

use std::collections::BTreeMap;

use serde_json::json;

use super::script::{Copy, Fault, PublishReply, ReceivedPublish, Script, Stall, ms};
use super::{Outcome, simulate};
use crate::mqtt::ReasonCode;

const QUOTA_EXCEEDED: ReasonCode = ReasonCode(0x97);

/// Two seconds of a thousand messages, all of them measured, 5 ms under way; `copies` is asked what becomes of each.
fn with_copies(arguments: &str, copies: impl Fn(&ReceivedPublish, u64) -> Vec<Copy> + 'static) -> Outcome {
    let script = Script { deliver_after: ms(5), copies: Box::new(copies), ..Script::default() };
    simulate(&format!("--rate 1k --duration 2 --warmup 0 {arguments}"), script)
}

/// Every `nth` message is treated in this way, the others as they should be.
fn every(nth: u64, copies: impl Fn() -> Vec<Copy> + 'static) -> impl Fn(&ReceivedPublish, u64) -> Vec<Copy> + 'static {
    move |publish, _| if publish.ordinal.is_multiple_of(nth) { copies() } else { vec![Copy::RIGHT] }
}

impl Outcome {
    /// A figure of the first streams, by their numbers.
    fn by_stream(&self, name: &str) -> BTreeMap<u64, u64> {
        let streams = self.at("delivery/streams").as_array().expect("an account of streams");
        let of = |stream: &serde_json::Value| (stream["stream"].as_u64().unwrap(), stream[name].as_u64().unwrap());
        streams.iter().map(of).collect()
    }
}

#[test]
fn nothing_wrong_is_nothing_wrong() {
    for qos in 0..3 {
        let run = with_copies(&format!("-q {qos} --pubs 2 --subs 2"), |_, _| vec![Copy::RIGHT]);
        run.has_ledger([2_000, 2_000, 0, 0, 0, 0]);
        assert_eq!(run.numbers(["delivery/corrupt", "delivery/foreign", "delivery/late", "delivery/max_gap"]), [0; 4]);
        assert_eq!(run.at("warnings"), &json!([]));
    }
}

#[test]
fn every_lost_message_is_counted_for_its_stream() {
    // Slots go round: of two publishers the second sends the even ones.
    let run = with_copies("-q 0 --pubs 2 --subs 2 --drain 3", every(10, Vec::new));
    run.has_ledger([2_000, 1_800, 200, 0, 0, 0]);
    assert_eq!(run.by_stream("lost"), [(0, 0), (1, 200)].into());
    assert_eq!(run.by_stream("expected"), [(0, 1_000), (1, 1_000)].into());
    assert_eq!(run.number("delivery/max_gap"), 1);
    run.all_took("e2e", 1_800, ms(5));
    // The last one is lost too. Until the end of the drain it might still have come.
    assert_eq!(run.drain(), ms(3_000));
}

#[test]
fn those_who_watch_see_what_is_lost_and_repeated() {
    let watched = |nth, copies: fn() -> Vec<Copy>| {
        let run = with_copies("-q 0 --pubs 1 --subs 1 --drain 1", every(nth, copies));
        let seen = *run.watched.expect("a second was shown");
        assert_eq!((seen.number, seen.connections), (1, 2));
        assert!(seen.time_so_far[0].is_some_and(|p50| p50.abs_diff(5_000_000) < 10_000), "{seen:?}");
        // The last five are still under way.
        assert!((995..=1_000).contains(&seen.sent_so_far) && seen.delivered > 850, "{seen:?}");
        (seen.missing, seen.repeated)
    };
    let (missing, repeated) = watched(10, Vec::new);
    assert!((97..=100).contains(&missing) && repeated == 0, "{missing} {repeated}");
    let (missing, repeated) = watched(7, || vec![Copy::RIGHT, Copy::RIGHT]);
    assert!((140..=143).contains(&repeated) && missing == 0, "{missing} {repeated}");
}

#[test]
fn losses_are_reported_for_the_second_in_which_they_were_sent() {
    let lost = |publish: &ReceivedPublish, _: u64| match publish.ordinal {
        1..=10 | 1_101..=1_200 | 2_901..=3_000 => vec![],
        _ => vec![Copy::RIGHT],
    };
    for (shape, times) in [("p2p", 1), ("fan-out", 2)] {
        for qos in 0..3 {
            let script = Script { deliver_after: ms(5), copies: Box::new(lost), ..Script::default() };
            let arguments = format!("-q {qos} --shape {shape} --pubs 2 --subs 2 --rate 1k --duration 3 --warmup 0");
            let run = simulate(&format!("{arguments} --drain 1"), script);
            let rows = run.at("series/rows").as_array().unwrap();
            let found: Vec<_> = rows.iter().map(|row| row["lost"].as_u64()).collect();
            assert_eq!(found, [10, 100, 100].map(|lost| Some(lost * times)), "{arguments}");
            assert_eq!(run.number("delivery/lost"), 210 * times);
        }
    }
    // Without stamps it is unknown which ones are missing.
    let script = Script { deliver_after: ms(5), copies: Box::new(lost), ..Script::default() };
    let run = simulate("-q 1 --pubs 2 --subs 2 --rate 1k --duration 3 --warmup 0 --drain 1 --size 5", script);
    assert!(run.at("series/rows").as_array().unwrap().iter().all(|row| row["lost"].is_null()));
}

#[test]
fn a_run_of_lost_messages_is_one_gap() {
    let run = with_copies("-q 1 --pubs 1 --subs 1 --drain 1", |publish, _| match publish.ordinal {
        501..=530 | 1_990..=2_000 => Vec::new(),
        _ => vec![Copy::RIGHT],
    });
    run.has_ledger([2_000, 1_959, 41, 0, 0, 0]);
    assert_eq!(run.numbers(["delivery/max_gap", "delivery/unacked", "traffic/acked"]), [30, 0, 2_000]);
}

#[test]
fn duplicates_are_counted_apart_with_their_flag() {
    let as_new = with_copies("-q 1 --pubs 2 --subs 2", every(7, || vec![Copy::RIGHT, Copy::RIGHT]));
    as_new.has_ledger([2_000, 2_000, 0, 285, 0, 0]);
    as_new.all_took("e2e", 2_000, ms(5));
    let flagged = with_copies("-q 1 --pubs 2 --subs 2", every(7, || vec![Copy::RIGHT, Copy::AGAIN, Copy::AGAIN]));
    flagged.has_ledger([2_000, 2_000, 0, 570, 570, 0]);
    let unacknowledged = with_copies("-q 0 --pubs 2 --subs 2", every(7, || vec![Copy::RIGHT, Copy::RIGHT]));
    unacknowledged.has_ledger([2_000, 2_000, 0, 285, 0, 0]);
}

#[test]
fn a_re_delivery_of_qos_2_is_no_duplicate_and_a_second_message_is() {
    let again = with_copies("-q 2 --pubs 2 --subs 2", every(7, || vec![Copy::RIGHT, Copy::AGAIN]));
    again.has_ledger([2_000, 2_000, 0, 0, 0, 0]);
    let twice = with_copies("-q 2 --pubs 2 --subs 2", every(7, || vec![Copy::RIGHT, Copy::RIGHT]));
    twice.has_ledger([2_000, 2_000, 0, 285, 0, 0]);
    assert_eq!(twice.at("warnings/0/code"), "qos2-duplicates");
}

#[test]
fn swapped_neighbors_are_reordered_and_not_lost() {
    // Two milliseconds late, each falls behind the next one; no message follows the very last one.
    let run = with_copies("-q 1 --pubs 1 --subs 1", every(5, || vec![Copy::later(ms(2))]));
    run.has_ledger([2_000, 2_000, 0, 0, 0, 399]);
    assert_eq!(run.numbers(["latency/e2e/min", "latency/e2e/max"]), [5_000_000, 7_000_000]);
    assert_eq!(run.number("latency/e2e/mean"), (1_600 * 5_000_000 + 400 * 7_000_000) / 2_000);
}

#[test]
fn corrupt_and_foreign_messages_are_not_counted_as_ours() {
    for fault in [Fault::Tail, Fault::Short] {
        let run = with_copies("-q 1 --pubs 2 --subs 2 --drain 1", every(20, move || vec![Copy::with(fault.clone())]));
        run.has_ledger([2_000, 1_900, 100, 0, 0, 0]);
        assert_eq!(run.numbers(["delivery/corrupt", "delivery/foreign", "latency/e2e/count"]), [100, 0, 1_900]);
    }
    let added = with_copies("-q 1 --pubs 2 --subs 2", every(20, || vec![Copy::RIGHT, Copy::with(Fault::Foreign)]));
    added.has_ledger([2_000, 2_000, 0, 0, 0, 0]);
    // Counted when they come: that of the last message comes after the end.
    assert_eq!(added.numbers(["delivery/corrupt", "delivery/foreign", "latency/e2e/count"]), [0, 99, 2_000]);
}

#[test]
fn refused_messages_are_counted_by_reason_and_not_as_lost() {
    for qos in [1, 2] {
        let script = Script {
            acknowledge_after: ms(2),
            complete_after: ms(1),
            deliver_after: ms(5),
            publish_reply: Box::new(|publish| match publish.ordinal {
                ordinal if ordinal.is_multiple_of(8) => PublishReply::Reason(ReasonCode::NOT_AUTHORIZED),
                ordinal if ordinal.is_multiple_of(4) => PublishReply::Reason(QUOTA_EXCEEDED),
                _ => PublishReply::Reason(ReasonCode::SUCCESS),
            }),
            ..Script::default()
        };
        let run = simulate(&format!("-V 5 -q {qos} --rate 1k --duration 2 --warmup 0 --pubs 1 --subs 1"), script);
        assert_eq!(run.at("delivery/rejected"), &json!({"135": 250, "151": 250}));
        run.has_ledger([1_500, 1_500, 0, 0, 0, 0]);
        assert_eq!(run.numbers(["delivery/unacked", "traffic/sent", "latency/ack/count"]), [0, 2_000, 1_500]);
        assert_eq!(run.drain(), ms(10), "nothing is waited for");
    }
}

#[test]
fn messages_that_are_never_acknowledged_are_counted_when_patience_ends() {
    for qos in [1, 2] {
        let publish_reply = |publish: &ReceivedPublish| {
            if publish.ordinal.is_multiple_of(50) {
                PublishReply::Nothing
            } else {
                PublishReply::Reason(ReasonCode::SUCCESS)
            }
        };
        let script = Script { deliver_after: ms(5), publish_reply: Box::new(publish_reply), ..Script::default() };
        let arguments = format!("-q {qos} --rate 1k --duration 2 --warmup 0 --pubs 2 --subs 2 --drain 4");
        let run = simulate(&arguments, script);
        run.has_ledger([2_000, 2_000, 0, 0, 0, 0]);
        assert_eq!(run.numbers(["delivery/unacked", "latency/ack/count"]), [40, 1_960]);
        assert_eq!(run.drain(), ms(4_000));
        assert_eq!(run.by_stream("unacked"), [(0, 0), (1, 40)].into());
        assert!(run.at("warnings").to_string().contains("40 of 2000 messages were not acknowledged"));
    }
}

#[test]
fn publishing_without_subscribers_is_reported() {
    let run = simulate("-V 5 -q 1 --rate 1k --duration 2 --warmup 0 --pubs 2 --subs 0", Script::default());
    assert_eq!(run.numbers(["traffic/acked", "delivery/no_subscriber", "delivery/unacked"]), [2_000, 2_000, 0]);
    assert!(run.at("delivery/expected").is_null() && run.at("latency/e2e").is_null());
}

#[test]
fn what_comes_after_its_drain_is_late_and_stays_lost() {
    // A tenth of the first second of the flood takes four seconds and comes in the next stage.
    let is_late = |publish: &ReceivedPublish| publish.at < ms(1_020) && publish.ordinal.is_multiple_of(10);
    let copies = move |publish: &ReceivedPublish, _: u64| {
        vec![if is_late(publish) { Copy::later(ms(4_000)) } else { Copy::RIGHT }]
    };
    let script = Script { deliver_after: ms(5), copies: Box::new(copies), ..Script::default() };
    let run = simulate("-q 1 --duration 4 --warmup 0 --drain 1 --pubs 1 --subs 1 -M 10", script);
    let late = run.log.published.iter().filter(|publish| is_late(publish)).count() as u64;
    assert!(late > 100);
    let names = ["lost", "late", "duplicates", "reordered"];
    let of_stage = |stage: u64| run.numbers(names.map(|name| format!("stages/{stage}/delivery/{name}")));
    assert_eq!((of_stage(0), of_stage(1)), ([late, late, 0, 0], [0; 4]), "{names:?}");
    // The rate falls between the milliseconds of the virtual timer; from the actual send on it is exact.
    assert_eq!(run.number("stages/1/latency/e2e_service/max"), 5_000_000);
}

#[test]
fn every_subscriber_has_its_own_account() {
    // Connections are counted from 1, subscribers first.
    let run = with_copies("-q 1 --pubs 1 --subs 5 --drain 1", |publish, connection| {
        if connection == 2 && publish.ordinal.is_multiple_of(10) { Vec::new() } else { vec![Copy::RIGHT] }
    });
    run.has_ledger([10_000, 9_800, 200, 0, 0, 0]);
    run.all_took("e2e", 9_800, ms(5));
    let fan_in = with_copies("-q 1 -t one/topic --pubs 4 --subs 3 --drain 1", every(10, Vec::new));
    fan_in.has_ledger([6_000, 5_400, 600, 0, 0, 0]);
    assert_eq!(fan_in.by_stream("lost"), [(0, 0), (1, 300), (2, 0), (3, 300)].into());
}

#[test]
fn without_a_stamp_loss_is_counted_and_no_latency_is_claimed() {
    let whole = with_copies("-q 1 -m hello --pubs 2 --subs 2", |_, _| vec![Copy::RIGHT]);
    whole.all_took("e2e", 2_000, ms(5));
    let lossy = with_copies("-q 1 -m hello --pubs 2 --subs 2 --drain 1 -M 1000", every(10, Vec::new));
    assert_eq!(lossy.numbers(["delivery/expected", "delivery/lost"]), [2_000, 200]);
    assert!(lossy.at("latency/e2e").is_null() && lossy.at("delivery/reordered").is_null());
}

/// What becomes of a message, drawn from its number: one in four has something.
fn drawn(seed: u64, ordinal: u64) -> Vec<Copy> {
    let draw = (seed + ordinal).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let extra = ms(draw / 64 % 40);
    match draw % 32 {
        0 | 1 => Vec::new(),
        2 => vec![Copy::RIGHT, Copy::later(extra)],
        3 => vec![Copy::RIGHT, Copy { extra, ..Copy::AGAIN }],
        4 | 5 => vec![Copy::later(extra)],
        6 => vec![Copy { fault: Fault::Tail, ..Copy::later(extra) }],
        7 => vec![Copy { fault: Fault::Tail, ..Copy::RIGHT }, Copy::later(extra)],
        _ => vec![Copy::RIGHT],
    }
}

#[test]
fn all_faults_at_once_match_a_simple_count() {
    for seed in 1..=3 {
        let run = with_copies("-q 1 --pubs 3 --subs 3 --drain 1", move |publish, _| drawn(seed, publish.ordinal));
        // Every copy as it arrives: when, in which order it was put in, and of which message.
        let mut streams: BTreeMap<&str, Vec<(u128, u64, Copy)>> = BTreeMap::new();
        for publish in &run.log.published {
            let arrivals = streams.entry(&publish.topic).or_default();
            let at = |copy: &Copy| (publish.at + copy.extra).as_nanos();
            arrivals
                .extend(drawn(seed, publish.ordinal).into_iter().map(|copy| (at(&copy), publish.of_connection, copy)));
        }
        let (mut once, mut duplicates, mut flagged, mut reordered, mut corrupt) = (0, 0, 0, 0, 0);
        for arrivals in streams.values_mut() {
            arrivals.sort_by_key(|(at, number, _)| (*at, *number));
            let mut seen = std::collections::BTreeSet::new();
            for (_, number, copy) in arrivals {
                match () {
                    () if copy.fault == Fault::Tail => corrupt += 1,
                    () if seen.contains(number) => {
                        (duplicates, flagged) = (duplicates + 1, flagged + u64::from(copy.dup))
                    }
                    () => {
                        reordered += u64::from(seen.last().is_some_and(|last| *last > *number));
                        once += u64::from(seen.insert(*number));
                    }
                }
            }
        }
        run.has_ledger([2_000, once, 2_000 - once, duplicates, flagged, reordered]);
        assert_eq!(run.number("delivery/corrupt"), corrupt);
        assert!([2_000 - once, duplicates, flagged, reordered, corrupt].iter().all(|count| *count > 20));
    }
}

#[test]
fn subscribers_on_all_threads_expect_the_same() {
    // After two seconds the broker stands still: the sockets take what they have room for, the rest of a burst is never
    // sent. Each stream has a subscriber on the thread of its publisher, and one on the other thread.
    let script = || Script {
        deliver_after: ms(5),
        buffer: 4096,
        stall: Some(Stall { period: ms(2_000), length: ms(60_000) }),
        ..Script::default()
    };
    for qos in 0..3 {
        let arguments =
            format!("-q {qos} --shape fan-out --pubs 2 --subs 2 --window none --rate 1k --arrival burst:50");
        let run = simulate(&format!("{arguments} --duration 3 --warmup 0 --drain 1 --threads 2"), script());
        let [sent, expected] = run.numbers(["traffic/sent", "delivery/expected"]);
        assert!(sent < run.number("traffic/offered"), "QoS {qos}: {sent}");
        assert_eq!(expected, 2 * sent, "QoS {qos}");
        assert_eq!(run.number("delivery/delivered_once") + run.number("delivery/lost"), expected);
        let account = run.by_stream("expected");
        assert!(account.values().all(|expected| expected % 2 == 0), "QoS {qos}: {account:?}");
    }
}
