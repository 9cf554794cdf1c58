//! Times: what the broker took is what is reported, from the intended moment of each message on.

use std::time::Duration;

use super::script::{Copy, ReceivedPublish, Script, Stall, ms};
use super::{Outcome, simulate};

/// The measured time begins after the lead of 20 ms and a warm-up of one second, where connecting takes no time.
const FROM: Duration = ms(1_020);

const STALL: Stall = Stall { period: ms(2_000), length: ms(200) };

#[test]
fn constant_delays_come_back_to_the_nanosecond() {
    let script = Script {
        connect_takes: ms(3),
        connack_after: ms(11),
        suback_after: ms(5),
        deliver_after: ms(7),
        acknowledge_after: ms(4),
        ..Script::default()
    };
    let run = simulate("-q 1 --rate 1k --duration 2 --pubs 3 --subs 3", script);
    run.all_took("e2e", 2_000, ms(7));
    run.all_took("ack", 2_000, ms(4));
    run.all_took("ack_service", 2_000, ms(4));
    run.all_took("e2e_service", 2_000, ms(7));
    run.all_took("sched_lag", 2_000, ms(0));
    run.all_took("connect_tcp", 6, ms(3));
    run.all_took("connack", 6, ms(11));
    run.all_took("suback", 3, ms(5));
    for unmeasured in ["pubrec", "pubcomp", "rtt", "ping", "connect_tls"] {
        assert!(run.at(&format!("latency/{unmeasured}")).is_null(), "{unmeasured}");
    }
    assert_eq!(run.at("status"), "ok");
    // Subscribers, then publishers, all at once; then the lead; the last message is on its way for 6 ms beyond the end.
    let phases: Vec<[u64; 2]> = (0..4)
        .map(|phase| run.numbers(["start_ns", "duration_ns"].map(|name| format!("phases/{phase}/{name}"))))
        .collect();
    let ns = |start: u64, duration: u64| [start * 1_000_000, duration * 1_000_000];
    assert_eq!(phases, [ns(0, 33), ns(53, 1_000), ns(1_053, 2_000), ns(3_053, 10)]);
}

#[test]
fn qos_2_is_timed_at_both_of_its_steps() {
    let script = Script { deliver_after: ms(7), acknowledge_after: ms(4), complete_after: ms(6), ..Script::default() };
    let run = simulate("-q 2 --rate 500 --duration 2 --pubs 2 --subs 2", script);
    // The broker keeps a QoS 2 message until PUBREL, which comes when PUBREC has arrived.
    run.all_took("e2e", 1_000, ms(4 + 7));
    run.all_took("pubrec", 1_000, ms(4));
    run.all_took("pubcomp", 1_000, ms(6));
    run.all_took("ack", 1_000, ms(10));
    run.all_took("ack_service", 1_000, ms(10));
}

#[test]
fn qos_0_has_no_acknowledgement_to_time() {
    let run = simulate(
        "-q 0 --rate 500 --duration 2 --pubs 2 --subs 2",
        Script { deliver_after: ms(7), ..Script::default() },
    );
    run.all_took("e2e", 1_000, ms(7));
    assert!(run.at("latency/ack").is_null() && run.at("traffic/acked").is_null());
}

/// When a message was due, left, and was delivered and acknowledged.
#[derive(Clone, Copy)]
struct Course {
    due: Duration,
    left: Duration,
    delivered: Duration,
    acknowledged: Duration,
}

/// The courses of all messages of one publisher under stalls: a message leaves when it is due and the message one
/// window before it is done; the broker reads and writes whenever it does not stand still.
fn courses(messages: u32, every: Duration, window: usize, deliver: Duration, acknowledge: Duration) -> Vec<Course> {
    let mut courses: Vec<Course> = Vec::new();
    for message in 0..messages {
        let due = ms(20) + every * message;
        let freed = courses.len().checked_sub(window).map_or(Duration::ZERO, |earlier| {
            let Course { delivered, acknowledged, .. } = courses[earlier];
            delivered.max(acknowledged)
        });
        let left = due.max(freed);
        let read = STALL.passes(left);
        let (delivered, acknowledged) = (STALL.passes(read + deliver), STALL.passes(read + acknowledge));
        courses.push(Course { due, left, delivered, acknowledged });
    }
    courses.retain(|course| course.due >= FROM);
    courses
}

/// Asserts that a latency has just these samples, its percentiles to three digits and everything else exactly.
fn is_distributed(run: &Outcome, latency: &str, samples: impl Iterator<Item = Duration>) {
    let mut samples: Vec<u64> = samples.map(|sample| sample.as_nanos() as u64).collect();
    samples.sort_unstable();
    let (count, sum) = (samples.len() as u64, samples.iter().sum::<u64>());
    let figures = run.numbers(["count", "min", "max", "mean"].map(|name| format!("latency/{latency}/{name}")));
    let mean = (sum + count / 2) / count;
    assert_eq!(figures, [count, samples[0], samples[samples.len() - 1], mean], "{latency}: count, min, max, mean");
    for (name, share) in [("50", 0.5), ("75", 0.75), ("90", 0.9), ("95", 0.95), ("99", 0.99), ("99.9", 0.999)] {
        let rank = (count as f64 * share).round() as usize;
        let (exact, reported) = (samples[rank - 1], run.number(&format!("latency/{latency}/p/{name}")));
        assert!(reported.abs_diff(exact) <= exact / 1_000, "{latency} p{name}: {reported} instead of {exact}");
    }
    assert!(run.at(&format!("latency/{latency}/p/99.99")).is_null(), "10,000 samples are too few for p99.99");
}

#[test]
fn messages_that_are_due_in_a_stall_wait_for_its_end() {
    let script = Script { stall: Some(STALL), deliver_after: ms(5), acknowledge_after: ms(3), ..Script::default() };
    let run = simulate("-q 1 --rate 1k --duration 10 --pubs 1 --subs 1 -M 1000", script);
    let courses = courses(11_000, ms(1), 1_000, ms(5), ms(3));
    is_distributed(&run, "e2e", courses.iter().map(|course| course.delivered - course.due));
    is_distributed(&run, "ack", courses.iter().map(|course| course.acknowledged - course.due));
    // The window had room all the while: every message left when it was due.
    is_distributed(&run, "ack_service", courses.iter().map(|course| course.acknowledged - course.due));
    is_distributed(&run, "e2e_service", courses.iter().map(|course| course.delivered - course.due));
    run.all_took("sched_lag", 10_000, ms(0));
    assert_eq!(run.numbers(["traffic/held_back", "delivery/lost", "latency/e2e/max"]), [0, 0, 205_000_000]);
}

#[test]
fn a_full_window_omits_nothing() {
    let script = Script { stall: Some(STALL), deliver_after: ms(5), acknowledge_after: ms(3), ..Script::default() };
    let run = simulate("-q 1 --rate 1k --duration 10 --pubs 1 --subs 1 -M 50", script);
    let courses = courses(11_000, ms(1), 50, ms(5), ms(3));
    is_distributed(&run, "e2e", courses.iter().map(|course| course.delivered - course.due));
    is_distributed(&run, "ack", courses.iter().map(|course| course.acknowledged - course.due));
    is_distributed(&run, "ack_service", courses.iter().map(|course| course.acknowledged - course.left));
    is_distributed(&run, "e2e_service", courses.iter().map(|course| course.delivered - course.left));
    let is_late = |course: &Course| course.left > course.due;
    let held_back = courses.iter().filter(|course| is_late(course)).count() as u64;
    assert!(held_back > 500, "the script fills the window");
    assert_eq!(run.number("traffic/held_back"), held_back);
    // What the window held back is not the generator's lag: it leaves when the window opens.
    run.all_took("sched_lag", 10_000, ms(0));
}

#[test]
fn the_generators_lateness_is_part_of_the_latency_and_reported_apart() {
    // The virtual timer wakes at whole milliseconds: of four slots in each one is sent in time.
    let script = Script { deliver_after: ms(7), acknowledge_after: ms(4), ..Script::default() };
    let run = simulate("-q 1 --rate 4k --duration 1 --pubs 1 --subs 1", script);
    let lags = || (0..4_000u64).map(|slot| Duration::from_micros((4 - slot % 4) % 4 * 250));
    let figures =
        |latency: &str| run.numbers(["count", "min", "mean", "max"].map(|name| format!("latency/{latency}/{name}")));
    assert_eq!(figures("sched_lag"), [4_000, 0, 375_000, 750_000]);
    assert_eq!(figures("e2e"), [4_000, 7_000_000, 7_375_000, 7_750_000]);
    assert_eq!(figures("ack"), [4_000, 4_000_000, 4_375_000, 4_750_000]);
    run.all_took("ack_service", 4_000, ms(4));
    run.all_took("e2e_service", 4_000, ms(7));
    assert_eq!(lags().sum::<Duration>(), 4_000 * Duration::from_micros(375));
}

#[test]
fn a_message_belongs_to_the_window_in_which_it_was_due() {
    // Warm-up messages take half a second and arrive among the measured ones; the last measured ones arrive in the
    // drain.
    let to = FROM + ms(2_000);
    let copies = move |publish: &ReceivedPublish, _: u64| {
        let extra = if publish.at < FROM {
            ms(500)
        } else if publish.at >= to - ms(100) {
            ms(300)
        } else {
            ms(5)
        };
        vec![Copy::later(extra)]
    };
    let run = simulate(
        "-q 1 --rate 1k --duration 2 --pubs 2 --subs 2 -M 1000",
        Script { copies: Box::new(copies), ..Script::default() },
    );
    assert_eq!(
        run.numbers(["latency/e2e/count", "latency/e2e/min", "latency/e2e/max"]),
        [2_000, 5_000_000, 300_000_000]
    );
    assert_eq!(run.number("latency/e2e/mean"), (1_900 * 5_000_000 + 100 * 300_000_000) / 2_000);
    assert_eq!(
        run.numbers(["delivery/expected", "delivery/delivered_once", "delivery/lost", "delivery/reordered"]),
        [2_000, 2_000, 0, 0]
    );
    // Counters go by the moment: the last 100 ms were still on their way, and the last 500 ms of the warm-up came.
    assert_eq!(run.numbers(["traffic/sent", "traffic/delivered"]), [2_000, 2_000 - 100 + 500]);
}

#[test]
fn every_second_has_its_row() {
    let script = Script { deliver_after: ms(7), acknowledge_after: ms(4), ..Script::default() };
    let run = simulate("-q 1 --rate 1k --duration 3 --pubs 4 --subs 4", script);
    let rows = run.at("series/rows").as_array().unwrap();
    for (second, row) in rows.iter().enumerate() {
        let of = |name: &str| row[name].as_u64().unwrap_or_else(|| panic!("{name} of second {second}"));
        let figures = ["t_ns", "sent", "acked", "delivered", "e2e_p50", "e2e_max"].map(of);
        let t_ns = FROM.as_nanos() as u64 + second as u64 * 1_000_000_000;
        assert_eq!(figures, [t_ns, 1_000, 1_000, 1_000, 7_000_000, 7_000_000], "second {second}");
        // In the first second the first 7 ms bring only what was due before: 993 samples, too few for p99.
        assert_eq!(row["e2e_p99"].as_u64(), (second > 0).then_some(7_000_000), "second {second}");
    }
    assert_eq!(rows.len(), 3);
}

#[test]
fn forgotten_service_times_are_reported_and_never_wrong() {
    let open = "-q 0 --window none --warmup 0 --pubs 1 --subs 1 --drain 10";
    let is_reported = |run: &Outcome| {
        let warnings = run.at("warnings").as_array().unwrap();
        warnings.iter().any(|warning| warning["code"] == "service-times-missing")
    };
    // Without a window the last 4,096 messages of a stream are remembered: 1,000 are under way.
    let script = Script { deliver_after: ms(1_000), ..Script::default() };
    let run = simulate(&format!("{open} --rate 1k --duration 4"), script);
    run.all_took("e2e_service", 4_000, ms(1_000));
    assert!(!is_reported(&run));
    // From the 4,001st on they take six seconds: 6,000 are under way at most. Those whose time was forgotten are
    // missing, the others are right.
    let slower = |publish: &ReceivedPublish, _: u64| match publish.ordinal {
        ..=4_000 => vec![Copy::RIGHT],
        _ => vec![Copy::later(ms(5_000))],
    };
    let script = Script { deliver_after: ms(1_000), copies: Box::new(slower), ..Script::default() };
    let run = simulate(&format!("{open} --rate 1k --duration 12"), script);
    assert_eq!(run.numbers(["latency/e2e/count", "latency/e2e/max"]), [12_000, 6_000_000_000]);
    let [count, least, most] = run.numbers(["count", "min", "max"].map(|name| format!("latency/e2e_service/{name}")));
    assert!((4_000..12_000).contains(&count), "{count}");
    assert_eq!((least, most), (1_000_000_000, 6_000_000_000));
    assert!(is_reported(&run));
    // More messages are in flight than 16 bits can number.
    let script = Script { deliver_after: ms(2_240), ..Script::default() };
    let run = simulate(&format!("{open} --rate 30k --duration 4"), script);
    run.all_took("e2e_service", 4_096, ms(2_240));
    assert!(is_reported(&run));
}
