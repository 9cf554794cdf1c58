//! Load: what was asked for is what the broker saw, message by message and moment by moment.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::script::{ConnectReply, Copy, ReceivedPublish, Script, Stall, ms};
use super::{Outcome, simulate, simulate_until};
use crate::mqtt::{Properties, Property, PropertyName, PropertyValue};

/// When which topic was published to.
fn schedule(run: &Outcome) -> Vec<(Duration, String)> {
    let mut all: Vec<_> = run.log.published.iter().map(|publish| (publish.at, publish.topic.clone())).collect();
    all.sort_unstable();
    all
}

#[test]
fn an_open_loop_sends_rate_times_time_at_even_distances() {
    let run = simulate(
        "-q 1 --rate 500 --duration 4 --pubs 3 --subs 3",
        Script { deliver_after: ms(5), ..Script::default() },
    );
    assert_eq!(run.numbers(["traffic/offered", "traffic/sent", "traffic/acked", "delivery/expected"]), [2_000; 4]);
    assert_eq!(run.at("traffic/sent_per_s").as_f64(), Some(500.0));
    // The warm-up too; slot g is due after g two-hundredths of a second and belongs to publisher g mod 3.
    let all = schedule(&run);
    assert_eq!(all.len(), 2_500);
    for (slot, (at, topic)) in all.iter().enumerate() {
        assert_eq!(*at, ms(20 + 2 * slot as u64));
        assert!(topic.ends_with(&format!("/{}", slot % 3)), "slot {slot} went to {topic}");
    }
}

#[test]
fn bytes_are_counted_as_they_go_over_the_wire() {
    let run = simulate(
        "-q 1 --rate 500 --duration 2 --pubs 1 --subs 1 --size 100",
        Script { deliver_after: ms(5), ..Script::default() },
    );
    let topic = run.log.published[0].topic.len() as u64;
    // Fixed header, topic and its length, identifier, payload; PUBACKs the other way, of the subscriber and of the
    // broker.
    let publish = 2 + 2 + topic + 2 + 100;
    assert_eq!(run.numbers(["traffic/payload_bytes_out", "traffic/payload_bytes_in"]), [100_000, 100_000]);
    assert_eq!(run.numbers(["traffic/bytes_out", "traffic/bytes_in"]), [1_000 * (publish + 4); 2]);
    for packet in ["publish_out", "publish_in", "puback_in", "puback_out"] {
        assert_eq!(run.number(&format!("traffic/packets/{packet}")), 1_000, "{packet}");
    }
}

#[test]
fn packets_of_qos_2_are_counted_by_type() {
    let run = simulate(
        "-q 2 --rate 500 --duration 2 --pubs 2 --subs 2",
        Script { deliver_after: ms(5), ..Script::default() },
    );
    for packet in ["publish_out", "pubrec_in", "pubrel_out", "pubcomp_in"] {
        assert_eq!(run.number(&format!("traffic/packets/{packet}")), 1_000, "{packet}");
    }
    for packet in ["publish_in", "pubrec_out", "pubrel_in", "pubcomp_out"] {
        assert_eq!(run.number(&format!("traffic/packets/{packet}")), 1_000, "{packet}");
    }
}

#[test]
fn a_ping_comes_before_keep_alive_runs_out() {
    for arguments in [
        "conn --clients 5 -k 5 --hold 19s",
        "conn --clients 5 -k 5 --hold 19s --ping-interval 15s",
        "--rate 0.1 --clients 1 -k 5 --duration 29",
        "-q 1 --rate 0.1 --clients 1 -k 5 --duration 29",
        "-q 2 --rate 0.1 --clients 1 -k 6 --duration 29",
    ] {
        let run = simulate(arguments, Script::default());
        let keep_alive = Duration::from_secs(if arguments.contains("-k 6") { 6 } else { 5 });
        let silence = run.log.longest_silence;
        assert!(silence <= keep_alive && silence > keep_alive / 2, "{arguments}: {silence:?}");
        assert!((4..60).contains(&run.log.pings), "{arguments}: {}", run.log.pings);
        if arguments.starts_with("conn") {
            assert_eq!(run.number("latency/ping/count"), run.log.pings, "{arguments}: those of Keep Alive too");
        }
        assert_eq!(run.at("status"), "ok", "{arguments}");
    }
}

#[test]
fn every_ping_of_held_connections_is_counted_and_timed() {
    // The first clients ping by Keep Alive while the last one still connects.
    let run = simulate("conn --clients 3 --connect-rate 0.1 -k 5 --hold 1s", Script::default());
    assert!(run.log.pings > 5, "{}", run.log.pings);
    assert_eq!(run.number("latency/ping/count"), run.log.pings);
}

#[test]
fn latencies_that_look_like_waiting_hint_at_nagle() {
    let hints = |arguments: &str, script: Script| {
        let run = simulate(arguments, script);
        run.at("warnings").to_string().contains("set_tcp_nodelay")
    };
    let acknowledged_after = |time| Script { acknowledge_after: ms(time), ..Script::default() };
    assert!(hints("-q 1 --rate 50 --clients 1 --duration 2", acknowledged_after(20)), "the interval");
    assert!(hints("-q 1 --rate 10 --clients 1 --duration 4", acknowledged_after(40)), "a delayed acknowledgement");
    assert!(hints("--rate 10 --clients 1 --duration 4", Script { deliver_after: ms(40), ..Script::default() }));
    assert!(!hints("-q 1 --rate 50 --clients 1 --duration 2", acknowledged_after(15)));
    let far = Script { connect_takes: ms(20), ..acknowledged_after(20) };
    assert!(!hints("-q 1 --rate 50 --clients 1 --duration 2", far), "a long path");
    assert!(!hints("-q 1 --flood --clients 1 --duration 2", acknowledged_after(40)), "a queue");
}

#[test]
fn any_number_of_threads_sends_the_same() {
    let arguments = "-q 1 --rate 1k --duration 1 --pubs 7 --subs 7";
    let run = |threads| {
        simulate(&format!("{arguments} --threads {threads}"), Script { deliver_after: ms(3), ..Script::default() })
    };
    let one = run(1);
    for threads in [2, 3, 7] {
        let several = run(threads);
        assert_eq!(schedule(&several), schedule(&one), "{threads} threads");
        let mut histograms = [&one, &several].map(|run| run.at("latency/e2e").clone());
        assert!(histograms.iter_mut().all(|histogram| histogram["hdr"].take().is_string()));
        assert_eq!(histograms[0], histograms[1]);
    }
}

#[test]
fn a_closed_loop_keeps_its_window_full_and_never_above() {
    for (arguments, delivered, acknowledged, e2e, round) in [
        // A place is free when the message was delivered and acknowledged, whichever comes last.
        ("-q 0 -M 7", 5, 0, 5, 5),
        ("-q 1 -M 7", 5, 2, 5, 5),
        ("-q 1 -M 7", 2, 5, 2, 5),
        // The broker delivers a QoS 2 message when PUBREL has arrived.
        ("-q 2 -M 7", 3, 2, 5, 5),
        ("-q 1 -M 7 --window ack", 5, 2, 5, 2),
    ] {
        let script = Script { deliver_after: ms(delivered), acknowledge_after: ms(acknowledged), ..Script::default() };
        let run = simulate(&format!("{arguments} --flood --duration 2 --pubs 3 --subs 3"), script);
        let most = if arguments.contains("ack") { run.log.most_unacknowledged() } else { run.log.most_in_flight() };
        assert_eq!(most, 7, "{arguments}");
        // Every round all places are used once.
        assert_eq!(run.numbers(["traffic/sent", "delivery/lost"]), [2_000 / round * 7 * 3, 0], "{arguments}");
        assert!(run.at("traffic/offered").is_null());
        assert_eq!(run.numbers(["latency/e2e/min", "latency/e2e/max"]), [e2e * 1_000_000; 2], "{arguments}");
        assert_eq!(run.at("latency/e2e/basis"), "from actual send, closed loop");
    }
}

#[test]
fn a_flood_stands_still_for_nothing() {
    // A write takes 32 KiB at the most, which leaves a different rest of the window for each size; a rest that is too
    // small for a refill waits for more places, and must see them come.
    for size in [310, 320, 340, 1_200] {
        // A round takes 5 ms; at QoS 2 the delivery begins when the acknowledgement is there.
        for (arguments, delivered) in [("-q 0 -M 100", 5), ("-q 1 -M 100", 5), ("-q 2 -M 64", 3)] {
            let script = Script { deliver_after: ms(delivered), acknowledge_after: ms(2), ..Script::default() };
            let arguments = format!("{arguments} --size {size} --flood --duration 500ms --warmup 0 --pubs 1 --subs 1");
            let run = simulate(&arguments, script);
            let mut moments: Vec<Duration> = run.log.published.iter().map(|publish| publish.at).collect();
            moments.dedup();
            let longest = moments.windows(2).map(|pair| pair[1] - pair[0]).max();
            assert!(longest.is_some_and(|longest| longest <= ms(5)), "{arguments}: nothing was sent for {longest:?}");
            // A refill holds back less than an eighth of the window, and never more than 32 places.
            let [window, sent] = run.numbers(["plan/window", "traffic/sent"]);
            assert!(sent <= window * 100 && sent > (window - (window / 8).min(32)) * 100, "{arguments}: {sent}");
        }
    }
}

#[test]
fn the_brokers_receive_maximum_is_kept() {
    let mut properties = Properties::new();
    properties.push(Property::new(PropertyName::ReceiveMaximum, PropertyValue::TwoByte(3)).unwrap());
    for qos in [1, 2] {
        let properties = properties.clone();
        let script = Script {
            acknowledge_after: ms(4),
            connect_reply: Box::new(move |_| ConnectReply::Accept(properties.clone())),
            ..Script::default()
        };
        let run = simulate(&format!("-V 5 -q {qos} --flood --duration 1 --pubs 2 --subs 2 -M 50"), script);
        assert_eq!((run.log.most_unacknowledged(), run.number("traffic/sent")), (3, 1_000 / 4 * 3 * 2));
    }
}

#[test]
fn a_count_is_sent_to_the_message() {
    for arguments in ["-q 0 --flood", "-q 1 --flood -M 9", "-q 2 --rate 500", "-q 1 --rate 1k --duration 60"] {
        let run = simulate(
            &format!("{arguments} -C 1000 --pubs 3 --subs 3"),
            Script { deliver_after: ms(5), acknowledge_after: ms(1), ..Script::default() },
        );
        assert_eq!(run.log.published.len(), 1_000, "{arguments}");
        let mut shares: BTreeMap<&str, u64> = BTreeMap::new();
        run.log.published.iter().for_each(|publish| *shares.entry(&publish.topic).or_default() += 1);
        assert_eq!(shares.into_values().collect::<Vec<_>>(), [334, 333, 333], "{arguments}");
        assert_eq!(run.numbers(["delivery/expected", "delivery/delivered_once", "latency/e2e/count"]), [1_000; 3]);
    }
}

#[test]
fn a_bare_run_paces_at_half_of_what_it_carried() {
    // Ten messages every 5 ms and publisher are 4,000 a second.
    let run =
        simulate("-q 1 --duration 4 --pubs 2 --subs 2 -M 10", Script { deliver_after: ms(5), ..Script::default() });
    assert_eq!(run.at("traffic/delivered_per_s").as_f64(), Some(4_000.0));
    assert_eq!(run.at("stages/1/traffic/offered_per_s").as_f64(), Some(2_000.0));
    assert_eq!(
        run.numbers(["stages/1/traffic/offered", "stages/1/traffic/sent", "stages/1/latency/e2e/count"]),
        [4_000; 3]
    );
}

/// A path that carries 4,000 a second in the flood, and from the third second on what two windows of ten do in this
/// time.
fn tires(each: Duration) -> Script {
    let copies = move |publish: &ReceivedPublish, _: u64| {
        vec![if publish.at < ms(3_060) { Copy::RIGHT } else { Copy::later(each - ms(5)) }]
    };
    Script { deliver_after: ms(5), copies: Box::new(copies), ..Script::default() }
}

#[test]
fn a_pace_that_is_not_kept_is_halved_until_it_is() {
    let run = simulate("-q 1 --duration 4 --pubs 2 --subs 2 -M 10", tires(ms(30)));
    let stages = run.at("stages").as_array().unwrap();
    let rates: Vec<_> = stages.iter().map(|stage| stage["traffic"]["offered_per_s"].as_f64()).collect();
    // 667 a second are carried.
    assert_eq!(rates, [None, Some(2_000.0), Some(1_000.0), Some(500.0)]);
    let given_up: Vec<_> = stages.iter().map(|stage| stage["given_up"].is_string()).collect();
    assert_eq!(given_up, [false, true, true, false]);
    // What is hopeless is not measured to its end, and what is left is, but not less than half.
    let measured: Vec<_> = stages.iter().map(|stage| stage["duration_ns"].as_u64().unwrap() / 100_000_000).collect();
    assert!(measured[1] < 14 && measured[3] == 10, "{measured:?} tenths of a second");
    assert_eq!((run.at("status"), run.at("invalid")), (&json!("ok"), &json!([])));
    assert_eq!(run.numbers(["latency/e2e/min", "latency/e2e/max"]), [30_000_000; 2], "those of the last");
    // The account is that of the flood and of the attempt that was kept.
    for name in ["expected", "delivered_once", "lost", "not_sent"] {
        let of = |stage: usize| stages[stage]["delivery"][name].as_u64().unwrap_or_default();
        assert_eq!(run.number(&format!("delivery/{name}")), of(0) + of(3), "{name}");
    }
    let warnings = run.at("warnings").to_string();
    assert!(warnings.contains("paced: 2,000/s was not sustained") && !warnings.contains("overload"), "{warnings}");
}

#[test]
fn a_pace_that_only_waits_is_halved_too() {
    // A broker with short pauses carries everything in the end, but one message in eight waits for the window.
    let stall = Stall { period: ms(1_000), length: ms(80) };
    let script = Script { stall: Some(stall), deliver_after: ms(5), ..Script::default() };
    let run = simulate("-q 1 --duration 10 --pubs 2 --subs 2 -M 10", script);
    let stages = run.at("stages").as_array().unwrap();
    assert_eq!(stages.len(), 3);
    assert!(stages[1]["given_up"].as_str().is_some_and(|why| why.contains("waited for the window")), "{}", stages[1]);
    assert!(stages[2]["given_up"].is_null() && !run.at("warnings").to_string().contains("overload"));
    assert_eq!(run.number("delivery/not_sent"), 0);
}

#[test]
fn what_waits_and_is_sent_all_the_same_has_a_typical_time() {
    let stall = Stall { period: ms(900), length: ms(80) };
    let script = Script { stall: Some(stall), deliver_after: ms(5), ..Script::default() };
    let run = simulate("-q 1 --rate 2k --duration 10 --pubs 2 --subs 2 -M 10", script);
    let warnings = run.at("warnings").to_string();
    assert!(warnings.contains("latencies include that wait; -M is 10 per publisher"), "{warnings}");
    assert!(!warnings.contains("overload"), "{warnings}");
    // Too fast for the window: what waits becomes more and more.
    let script = Script { deliver_after: ms(5), ..Script::default() };
    let run = simulate("-q 1 --rate 4200 --duration 10 --pubs 2 --subs 2 -M 10", script);
    let warnings = run.at("warnings").to_string();
    assert!(warnings.contains("overload") && warnings.contains("latencies grow"), "{warnings}");
}

#[test]
fn a_broker_that_stands_still_does_not_lower_the_pace_and_is_told() {
    // The first pause comes in the paced stage.
    let stall = Stall { period: ms(12_400), length: ms(900) };
    let script = Script { stall: Some(stall), deliver_after: ms(5), ..Script::default() };
    let run = simulate("-q 1 --duration 16 --pubs 2 --subs 2 -M 10", script);
    let stages = run.at("stages").as_array().unwrap();
    assert_eq!(stages.len(), 2, "no second attempt");
    assert_eq!(stages[0]["silences"], json!([]));
    let silences = stages[1]["silences"].as_array().unwrap();
    assert_eq!(silences.len(), 1, "{silences:?}");
    let [start_ns, dur_ns] = ["start_ns", "dur_ns"].map(|name| silences[0][name].as_u64().unwrap());
    let since_begin_ns = stages[1]["start_ns"].as_u64().unwrap() + start_ns;
    assert!(since_begin_ns.abs_diff(12_400_000_000) <= 20_000_000, "{since_begin_ns}");
    assert!(dur_ns.abs_diff(900_000_000) <= 20_000_000, "{dur_ns}");
    assert_eq!(run.number("delivery/not_sent"), 0);
    assert!(!run.at("warnings").to_string().contains("overload"), "{}", run.at("warnings"));
}

#[test]
fn the_steps_end_at_a_sixteenth() {
    let run = simulate("-q 1 --duration 4 --pubs 2 --subs 2 -M 10", tires(ms(200)));
    let stages = run.at("stages").as_array().unwrap();
    let rates: Vec<_> =
        stages.iter().skip(1).map(|stage| stage["traffic"]["offered_per_s"].as_f64().unwrap()).collect();
    assert_eq!(rates, [2_000.0, 1_000.0, 500.0, 250.0]);
    assert!(stages[4]["given_up"].is_null() && run.number("delivery/not_sent") > 100);
    assert!(run.at("warnings").to_string().contains("were not sent at all"), "{}", run.at("warnings"));
    // Nobody asked for half here.
    let asked = simulate("-q 1 --rate 2k --duration 4 --pubs 2 --subs 2 -M 10", tires(ms(200)));
    assert_eq!(asked.at("stages").as_array().unwrap().len(), 1);
}

#[test]
fn an_interruption_keeps_what_was_measured_until_then() {
    let script = Script { deliver_after: ms(5), ..Script::default() };
    // Two and a half seconds into the measurement; the load ends 200 ms later, so that all threads agree.
    let run = simulate_until("-q 1 --rate 1k --duration 60 --pubs 2 --subs 2", script, ms(1_020 + 2_500));
    assert_eq!(run.at("status"), "partial");
    let window = run.number("stages/0/duration_ns");
    assert!((2_700_000_000..=2_720_000_000).contains(&window), "{window}");
    assert_eq!(run.numbers(["traffic/offered", "traffic/sent", "delivery/delivered_once"]), [window / 1_000_000; 3]);
    assert_eq!((run.number("delivery/lost"), run.log.disconnects), (0, 4));
}

#[test]
fn bursts_are_due_at_once_and_keep_the_rate() {
    let script = Script { deliver_after: ms(5), ..Script::default() };
    let run = simulate("-q 1 --rate 1k --arrival burst:50 --duration 2 --pubs 2 --subs 2", script);
    assert_eq!(run.numbers(["traffic/offered", "traffic/sent", "delivery/delivered_once"]), [2_000; 3]);
    let mut bursts: BTreeMap<Duration, u64> = BTreeMap::new();
    run.log.published.iter().for_each(|publish| *bursts.entry(publish.at).or_default() += 1);
    assert_eq!(bursts, (0..60).map(|burst| (ms(20 + 50 * burst), 50)).collect());
    run.all_took("e2e", 2_000, ms(5));
}

#[test]
fn a_poisson_process_follows_from_its_seed() {
    let run = |seed| {
        let script = Script { deliver_after: ms(5), ..Script::default() };
        simulate(&format!("-q 1 --rate 500 --arrival poisson --seed {seed} --duration 4 --pubs 3 --subs 3"), script)
    };
    let (one, again, other) = (run(7), run(7), run(8));
    assert_eq!(schedule(&one), schedule(&again));
    assert_ne!(schedule(&one), schedule(&other));
    // Two thousand are expected; five standard deviations are 224.
    let offered = one.number("traffic/offered");
    assert!(offered.abs_diff(2_000) < 224, "{offered}");
    assert_eq!(one.numbers(["delivery/expected", "delivery/delivered_once", "latency/e2e/count"]), [offered; 3]);
    // What is due between two milliseconds leaves at the second of them; from then on it takes 5 ms.
    one.all_took("e2e_service", offered, ms(5));
    let lag = one.numbers(["latency/sched_lag/max", "latency/e2e/max"]);
    assert!(lag[0] < 1_000_000 && lag[1] == lag[0] + 5_000_000, "{lag:?}");
}

#[test]
fn what_is_skipped_is_counted_and_what_is_not_is_sent_in_time() {
    // A window of ten every 20 ms carries half of a thousand a second.
    let script = || Script { deliver_after: ms(20), ..Script::default() };
    let run = simulate("-q 1 --rate 1k --behind skip --duration 4 --pubs 1 --subs 1 -M 10", script());
    let [offered, sent, skipped, late] =
        run.numbers(["traffic/offered", "traffic/sent", "traffic/skipped", "traffic/held_back"]);
    assert_eq!((offered, sent + skipped), (4_000, 4_000));
    assert_eq!(sent, 2_000);
    assert!(late >= skipped, "{late} of {skipped}");
    run.all_took("e2e", 2_000, ms(20));
    let queue = simulate("-q 1 --rate 1k --duration 4 --warmup 0 --pubs 1 --subs 1 -M 10", script());
    // Without skipping the queue grows: each of the 200 windows waits 10 ms longer than the one before it. When the
    // time is over, what waits is not sent; the first place that becomes free at this very moment is taken.
    assert_eq!(queue.numbers(["traffic/skipped", "traffic/offered", "delivery/delivered_once"]), [0, 4_000, 2_001]);
    assert_eq!(queue.numbers(["delivery/expected", "delivery/lost", "delivery/not_sent"]), [2_001, 0, 1_999]);
    assert_eq!(queue.numbers(["latency/e2e/min", "latency/e2e/max"]), [20_000_000, 20_000_000 + 200 * 10_000_000]);
    assert_eq!(run.numbers(["delivery/not_sent", "delivery/lost"]), [2_000, 0], "what is skipped is not sent either");
}

#[test]
fn overload_is_what_was_not_sent_and_no_loss() {
    // Two windows of ten carry 4,000 a second; a hundred times as many are due, in the warm-up too.
    for arguments in ["-q 0", "-q 1", "-q 2", "-q 1 --arrival burst:1k", "-q 1 --arrival poisson"] {
        // At QoS 2 the delivery begins when the acknowledgement is there.
        let delivered = if arguments == "-q 2" { 4 } else { 5 };
        let script = Script { deliver_after: ms(delivered), acknowledge_after: ms(1), ..Script::default() };
        let run = simulate(&format!("{arguments} --rate 400k --duration 2 --pubs 2 --subs 2 -M 10 --drain 2"), script);
        let [offered, expected, once, lost, not_sent] = run.numbers([
            "traffic/offered",
            "delivery/expected",
            "delivery/delivered_once",
            "delivery/lost",
            "delivery/not_sent",
        ]);
        assert!((7_900..=8_040).contains(&expected), "{arguments}: {expected}");
        assert_eq!((once, lost, expected + not_sent), (expected, 0, offered), "{arguments}");
        assert_eq!(run.number("traffic/sent") + not_sent, offered, "{arguments}");
        assert!(run.drain() <= ms(10), "{arguments}: {:?}, nothing more is sent meanwhile", run.drain());
        assert_eq!(run.at("invalid"), &json!([]), "{arguments}: it is the path that is slow");
        let warnings = run.at("warnings").to_string();
        assert!(
            warnings.contains("were not sent at all") && !warnings.contains("were lost"),
            "{arguments}: {warnings}"
        );
    }
}

#[test]
fn a_schedule_that_is_kept_leaves_nothing_unsent() {
    for arguments in ["--rate 1k --duration 2", "--rate 1k --arrival burst:100 --duration 2", "--rate 1k -C 500"] {
        let run = simulate(
            &format!("-q 1 {arguments} --pubs 2 --subs 2"),
            Script { deliver_after: ms(5), ..Script::default() },
        );
        assert_eq!(run.number("delivery/not_sent"), 0, "{arguments}");
    }
    let flood =
        simulate("-q 1 --flood --duration 1 --pubs 2 --subs 2", Script { deliver_after: ms(5), ..Script::default() });
    assert!(flood.at("delivery/not_sent").is_null(), "nothing is due in a closed loop");
}

#[test]
fn rates_of_a_count_are_those_of_the_schedule_however_long_the_way_is() {
    for (arguments, rate) in [("--rate 1 -C 1", 1.0), ("--rate 10 -C 20", 10.0), ("--rate 1k -C 500", 1_000.0)] {
        let script = Script { deliver_after: ms(700), acknowledge_after: ms(300), ..Script::default() };
        let run = simulate(&format!("-q 1 {arguments} --pubs 2 --subs 2 -M 1000"), script);
        for name in ["offered", "sent", "acked", "delivered"] {
            assert_eq!(run.at(&format!("traffic/{name}_per_s")).as_f64(), Some(rate), "{arguments}: {name}");
        }
    }
    // 100 windows of ten, 5 ms each.
    let run =
        simulate("-q 1 --flood -C 1000 --pubs 1 --subs 1 -M 10", Script { deliver_after: ms(5), ..Script::default() });
    assert_eq!(run.at("traffic/delivered_per_s").as_f64(), Some(2_000.0));
}

#[test]
fn the_window_is_kept_on_a_way_that_is_longer_than_a_second() {
    // CONNECT takes the same way, so the round trip is known from the beginning.
    for qos in 0..2 {
        let script = Script { connack_after: ms(3_000), deliver_after: ms(3_000), ..Script::default() };
        let run = simulate(&format!("-q {qos} --flood --duration 12 --warmup 0 --pubs 1 --subs 1 -M 10"), script);
        assert_eq!((run.log.most_in_flight(), run.number("traffic/sent")), (10, 40), "QoS {qos}");
        assert_eq!(run.number("delivery/freed_by_silence"), 0);
    }
    // Here it is not, but from the first arrival on.
    let script = Script { deliver_after: ms(3_000), ..Script::default() };
    let run = simulate("-q 0 --flood --duration 12 --warmup 0 --pubs 1 --subs 1 -M 10", script);
    assert_eq!((run.number("delivery/lost"), run.number("delivery/freed_by_silence")), (0, 20));
    assert!(run.at("warnings").to_string().contains("20 slots of the window"), "{}", run.at("warnings"));
}

#[test]
fn all_clients_disconnect_at_once() {
    let run = simulate(
        "-q 1 --rate 100 --duration 2 --pubs 5 --subs 5",
        Script { deliver_after: ms(5), ..Script::default() },
    );
    assert_eq!((run.log.connections, run.log.disconnects), (10, 10));
    assert_eq!(run.log.acknowledged_by_subscribers, 300);
    assert!(run.took < ms(20 + 3_000 + 100), "{:?}", run.took);
}
