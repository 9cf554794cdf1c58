//! The verdict in words: each kind of run, each limit, each fault.

use chrono::Utc;

use super::example::{self, assemble_for};
use crate::bench::engine::{RunOutcome, StageOutcome};
use crate::bench::measure::{Delivery, Fault, Recorder, Silence, Verdict as Health};
use crate::bench::plan::from_options::tests::plan_of;
use crate::bench::plan::{Stage, StageName};
use crate::bench::report::document::Status;
use crate::bench::report::key_figures::key_figures;
use crate::bench::report::verdict::{Level, verdict};
use crate::bench::report::{self, ResultDocument};
use crate::bench::system::ProcessUse;

/// The document of a command whose stages are changed before they are assembled.
fn document(arguments: &[&str], stages: Vec<StageOutcome>) -> ResultDocument {
    assemble(arguments, RunOutcome { stages, ..RunOutcome::default() }, None)
}

fn assemble(arguments: &[&str], run: RunOutcome, error: Option<&str>) -> ResultDocument {
    let plan = plan_of(arguments).unwrap();
    let mut context = example::context();
    context.plan = report::context(&plan, Vec::new(), None, Utc::now()).plan;
    context.run.error = error.map(str::to_owned);
    assemble_for(&plan, context, run)
}

fn bare() -> ResultDocument {
    document(&["-q", "1", "--clients", "1"], example::two_stages())
}

fn open_loop(arguments: &[&str], change: impl FnOnce(&mut StageOutcome)) -> ResultDocument {
    let mut stage = example::stage(0, 308_640, 90_000);
    change(&mut stage);
    document(arguments, vec![stage])
}

fn flood() -> StageOutcome {
    example::two_stages().remove(0)
}

/// The paragraph.
fn words(document: &ResultDocument) -> String {
    let verdict = verdict(document);
    verdict.plain().map(|sentence| sentence.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// The statements with a label, a line each.
fn lines(document: &ResultDocument) -> Vec<String> {
    verdict(document).labelled().map(|sentence| format!("{}: {}", sentence.label, sentence.text)).collect()
}

fn with_broker(mut document: ResultDocument, cpu_pct: f64) -> ResultDocument {
    for stage in &mut document.stages {
        stage.broker = Some(ProcessUse { name: "mosquitto".into(), cpu_pct: Some(cpu_pct), ..ProcessUse::default() });
    }
    document
}

#[test]
fn a_bare_run_reports_rate_latency_and_losses() {
    let document = with_broker(bare(), 97.2);
    assert_eq!(
        words(&document),
        "Carries 123,000 messages/s at QoS 1 (limit: the broker, 97 % of a core). At 61,700/s a message takes 89.9 µs \
         typically, 1 in 100 longer than 134 µs. Nothing lost."
    );
    assert_eq!(verdict(&document).level, Level::Ok);
    assert_eq!(lines(&document), Vec::<String>::new());
}

#[test]
fn the_limit_is_what_the_figures_show() {
    type Change = fn(&mut ResultDocument);
    let cases: [(Change, &str); 9] = [
        (|_| (), "limit: probably the broker; --broker-pid shows its CPU"),
        (|it| it.target.same_host = Some(false), "limit: the broker or the path; mqbench used 30 % of a core"),
        (|it| *it = with_broker(it.clone(), 85.0), "limit: the broker, 85 % of a core"),
        (|it| *it = with_broker(it.clone(), 40.0), "limit: unclear; the broker used 40 % of a core, mqbench 30 %"),
        (
            |it| {
                *it = with_broker(it.clone(), 65.0);
                it.env.cores = Some(1);
            },
            "limit: this machine's CPU, of which the broker used 65 % of a core and mqbench 30 %",
        ),
        (|it| it.stages[0].generator.verdict = Some(Health::Suspect), "limit: perhaps mqbench itself"),
        (
            |it| it.stages[0].generator.verdict = Some(Health::Bottleneck),
            "at least 123,000 messages/s at QoS 1 (limit: mqbench itself)",
        ),
        (
            |it| it.target.broker.as_mut().unwrap().source = Some("embedded".to_owned()),
            "limit: the embedded broker, which shares this machine's CPU",
        ),
        // A handshake over the same path takes as long as a message: nothing waited.
        (
            |it| it.stages[0].latency.connect_tcp = it.stages[0].latency.e2e.clone(),
            "limit: the window, 100 in flight for 400 µs each; try a larger -M",
        ),
    ];
    for (change, expected) in cases {
        let mut document = bare();
        document.env.cores = Some(4);
        change(&mut document);
        let text = words(&document);
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn a_broker_that_stood_still_is_told_with_its_time() {
    let silence = |start_ms: u64, dur_ms: u64| Silence { start_ns: start_ms * 1_000_000, dur_ns: dur_ms * 1_000_000 };
    let with = |silences: Vec<Silence>, longest_ms: i64| {
        open_loop(&["-q", "1", "--clients", "1", "--rate", "61728"], |stage| {
            stage.silences = Some(silences);
            stage.recorder.latency.e2e.record(longest_ms * 1_000_000);
            // A fifth of the schedule waited, and all of it was sent: that is no overload.
            (stage.recorder.counters.held_back, stage.not_sent) = (60_000, Some(0));
        })
    };
    let text = words(&with(vec![silence(1_100, 2_000)], 2_004));
    assert!(text.contains("takes 90.0 µs typically"), "{text}");
    assert!(text.contains("Nothing arrived for 2.00 s, from 1.10 s into the load on."), "{text}");
    let text = words(&with(vec![silence(500, 600), silence(2_000, 1_400)], 1_390));
    assert!(text.contains("2 times nothing arrived, for 2.00 s in all; the longest was 1.40 s, 2.00 s into"), "{text}");
    // The load itself had a gap: nothing waited in it.
    let text = words(&with(vec![silence(1_100, 2_000)], 1));
    assert!(!text.contains("Nothing arrived"), "{text}");
}

#[test]
fn a_closed_loop_has_no_latency() {
    let document = document(&["-q", "1", "--clients", "1", "--flood"], vec![flood()]);
    let text = words(&document);
    let expected = "With up to 100 messages in flight a message takes 400 µs typically, 1 in 100 longer than 596 µs, \
                    mostly waiting for those before; --rate measures without that.";
    assert!(text.contains(expected) && !text.contains("latency"), "{text}");
    assert_eq!(key_figures(&document).heads, ["", "messages/s", "lost"]);
}

#[test]
fn the_rate_of_the_plan_is_kept_or_it_is_not() {
    let arguments = ["-q", "1", "--clients", "1", "--rate", "61728"];
    let kept = open_loop(&arguments, |_| ());
    assert!(words(&kept).starts_with("Carries 61,700 messages/s at QoS 1 (limit: the plan's rate). At 61,728/s a"));
    let late = open_loop(&arguments, |stage| {
        stage.recorder.counters.held_back = 100_000;
        stage.not_sent = Some(5_000);
    });
    let text = words(&late);
    assert!(text.starts_with("Carries 61,700 messages/s at QoS 1, but messages wait for it (limit: "), "{text}");
    assert!(text.contains("there is no typical time") && !text.contains("1 in 100"), "{text}");
    assert!(text.contains("5,000 messages of the plan not sent."), "{text}");
    assert_eq!(verdict(&late).level, Level::Attention);
    // A time that grows with the length of the test is not in the table either.
    assert_eq!(key_figures(&late).heads, ["", "messages/s", "lost", "not sent"]);
    // Hardly anything is left at the end: it waited, but not longer and longer.
    let waited = open_loop(&arguments, |stage| {
        stage.recorder.counters.held_back = 100_000;
        stage.not_sent = Some(50);
    });
    let text = words(&waited);
    assert!(text.starts_with("Carries 61,700 messages/s at QoS 1 (limit: the plan's rate). At 61,728/s a"), "{text}");
    assert!(text.contains("1 in 100") && text.contains("50 messages of the plan not sent."), "{text}");
}

#[test]
fn percentiles_without_ten_samples_above_them_are_not_named() {
    let text = |samples: i64| {
        let change = |stage: &mut StageOutcome| {
            let counters = stage.recorder.counters.clone();
            stage.recorder = Recorder { counters, ..Recorder::default() };
            (1..=samples).for_each(|sample| stage.recorder.latency.e2e.record(sample * 1_000));
        };
        words(&open_loop(&["--clients", "1", "--rate", "100"], change))
    };
    assert!(text(1_000).contains("1 in 100 longer"), "{}", text(1_000));
    assert!(text(999).contains("1 in 20 longer") && !text(999).contains("1 in 100"), "{}", text(999));
    assert!(text(199).contains("1 in 10 longer"), "{}", text(199));
    assert!(text(99).contains("1 in 4 longer"), "{}", text(99));
    assert!(text(39).contains("typically.") && !text(39).contains("longer"), "{}", text(39));
    assert!(text(19).contains("19 samples are too few for a typical time; the longest is 19.0 µs"), "{}", text(19));
}

#[test]
fn what_went_wrong_with_messages_is_weighed_by_the_qos() {
    for (qos, level) in [("0", Level::Attention), ("1", Level::Bad), ("2", Level::Bad)] {
        let lossy = open_loop(&["-q", qos, "--clients", "1", "--rate", "61728"], |stage| {
            stage.delivery =
                Some(Delivery { expected: 308_640, delivered_once: 308_600, lost: 40, ..Delivery::default() });
        });
        assert!(words(&lossy).contains("Lost 40 of 308,640 messages (0.01 %)."), "{}", words(&lossy));
        assert_eq!(verdict(&lossy).level, level, "QoS {qos}");
    }
    for (qos, level, law) in
        [("0", Level::Attention, "does not expect"), ("1", Level::Ok, "allows"), ("2", Level::Bad, "forbids")]
    {
        let double = open_loop(&["-q", qos, "--clients", "1", "--rate", "61728"], |stage| {
            stage.delivery.as_mut().unwrap().duplicates = 12;
        });
        assert!(words(&double).contains(&format!("12 duplicates, which QoS {qos} {law}.")), "{}", words(&double));
        assert_eq!(verdict(&double).level, level, "QoS {qos}");
    }
}

#[test]
fn the_longest_outage_is_named() {
    let mut document = open_loop(&["-q", "1", "--clients", "1", "--rate", "61728"], |_| ());
    document.delivery.outage_max_ns = Some(1_030_000_000);
    assert!(words(&document).ends_with("Nothing lost. Up to 1.03 s without delivery."), "{}", words(&document));
    assert_eq!(verdict(&document).level, Level::Attention);
}

#[test]
fn an_invalid_run_begins_with_what_is_valid_all_the_same() {
    let mut stages = example::two_stages();
    stages[1].recorder.counters.on_time = 300_000;
    let document = document(&["-q", "1", "--clients", "1"], stages);
    assert_eq!(document.status, Status::Invalid);
    let lines = lines(&document);
    assert!(lines[0].starts_with("INVALID: paced: only 300000 of 308640 offered"), "{lines:?}");
    assert_eq!(
        lines[1],
        "Still valid: messages per second (flood); how long messages took (flood); how many were sent, delivered and lost"
    );
    assert_eq!(lines[2], "Not valid: messages per second (paced); how long messages took (paced)");
    assert!(lines[3].starts_with("Next: lower --rate"), "{lines:?}");
    let text = words(&document);
    assert!(text.starts_with("Carries 123,000 messages/s") && text.ends_with("Nothing lost."), "{text}");
    assert!(!text.contains("typically"), "{text}");
    let figures = key_figures(&document);
    assert_eq!(figures.rows[1], ["paced", "–", "0"], "{figures:?}");
    assert_eq!(verdict(&document).level, Level::Bad);
}

#[test]
fn a_ledger_that_does_not_add_up_takes_the_counts_away() {
    let document = open_loop(&["-q", "1", "--clients", "1", "--rate", "61728"], |stage| stage.unbalanced = 1);
    assert_eq!(document.invalid[0].code, Fault::LEDGER);
    assert!(!words(&document).contains("lost"), "{}", words(&document));
    assert!(lines(&document).contains(&"Not valid: how many were sent, delivered and lost".to_owned()));
    assert_eq!(key_figures(&document).rows[0].last().map(String::as_str), Some("–"));
}

#[test]
fn a_run_that_was_cut_short_reports_what_it_covers() {
    let run = RunOutcome { stages: vec![flood()], interrupted: true, ..RunOutcome::default() };
    let interrupted = assemble(&["-q", "1", "--clients", "1"], run, None);
    assert_eq!(
        lines(&interrupted),
        [
            "PARTIAL: interrupted after 5.00 s of measured time",
            "Still valid: all figures, for the time and the clients that there were"
        ]
    );
    let error = "2 of 2 connections were lost: reset; the load stopped there";
    let run = RunOutcome { stages: vec![flood()], ..RunOutcome::default() };
    let mut failed = assemble(&["-q", "1", "--clients", "1"], run, Some(error));
    failed.clients.lost = Some(2);
    let lines = lines(&failed);
    assert_eq!(lines[0], "FAILED: 2 of 2 connections were lost: reset; the load stopped there");
    assert_eq!(lines[1], "Still valid: how many were sent, delivered and lost");
    assert_eq!(lines[2], "Not valid: messages per second; how long messages took");
    assert!(lines[3].starts_with("Next: the broker's log") && lines[3].contains("--reconnect"), "{lines:?}");
    assert!(!words(&failed).contains("messages/s"), "{}", words(&failed));
}

#[test]
fn nothing_measured_leaves_nothing_valid() {
    let failed = assemble(&["-q", "1", "--clients", "1"], RunOutcome::default(), Some("connection refused"));
    assert_eq!(lines(&failed), ["FAILED: connection refused", "Still valid: nothing"]);
    assert_eq!((words(&failed), key_figures(&failed).rows.len()), (String::new(), 0));
}

#[test]
fn each_verb_has_its_verdict() {
    let publishing = |qos: &'static str| {
        open_loop(&["pub", "-q", qos, "--clients", "1", "--rate", "61728"], |stage| {
            (stage.delivery, stage.recorder.latency.e2e) = (None, Default::default());
            if qos == "0" {
                stage.recorder.latency.ack = Default::default();
            }
        })
    };
    assert_eq!(
        words(&publishing("1")),
        "Takes 61,700 messages/s at QoS 1 (limit: the plan's rate). At 61,728/s a message is acknowledged after 62.9 µs \
         typically, 1 in 100 later than 93.8 µs. All acknowledged."
    );
    assert_eq!(
        words(&publishing("0")),
        "Takes 61,700 messages/s at QoS 0 (limit: the plan's rate). At QoS 0 nothing confirms that they arrived."
    );
    assert_eq!(key_figures(&publishing("0")).heads, ["", "sent/s"]);
    assert_eq!(key_figures(&publishing("1")).heads, ["", "acked/s", "ack p50", "p99", "max", "unacked"]);

    let echo = open_loop(&["echo", "--rate", "61728"], |_| ());
    let text = words(&echo);
    assert!(
        text.starts_with(
            "Carries 61,700 round trips/s at QoS 0 (limit: the plan's rate). At 61,728/s a round trip takes"
        ),
        "{text}"
    );

    let received = |count: u64| {
        open_loop(&["sub", "-t", "a", "--clients", "1"], |stage| {
            stage.stage = Stage { name: StageName::Receive, ..Stage::default() };
            (stage.delivery, stage.rate, stage.offered) = (None, None, None);
            (stage.recorder.latency, stage.recorder.counters.sent) = (Default::default(), 0);
            stage.recorder.counters.delivered = count;
        })
    };
    assert_eq!(
        words(&received(1_000)),
        "Receives 200 messages/s at QoS 0, 1,000 messages in 5.00 s, from other clients. How many they sent, and so what \
         was lost, is unknown."
    );
    assert_eq!(words(&received(0)), "Nothing arrived in 5.00 s: no other client published on these topics.");
    assert_eq!(key_figures(&received(1_000)).heads, ["", "received/s", "messages", "payload/s"]);
    let fan_out = open_loop(&["--shape", "fan-out", "--subs", "5", "--rate", "61728"], |stage| {
        stage.recorder.counters.delivered *= 5;
    });
    assert!(
        words(&fan_out).starts_with("Carries 61,700 messages/s in and 309,000/s out at QoS 0"),
        "{}",
        words(&fan_out)
    );
    assert_eq!(key_figures(&fan_out).heads[..3], ["", "sent/s", "delivered/s"]);
}

#[test]
fn connections_have_their_verdict() {
    let conn = |change: fn(&mut StageOutcome)| {
        let mut stage = StageOutcome {
            stage: Stage { name: StageName::Conn, ..Stage::default() },
            measured_ns: 4_000_000_000,
            connected: 2_000,
            max_open: 2_000,
            ..StageOutcome::default()
        };
        (1..=2_000).for_each(|sample| stage.recorder.latency.connect.record(sample * 1_000));
        (1..=2_000).for_each(|sample| stage.recorder.latency.ping.record(sample * 100));
        change(&mut stage);
        let run = RunOutcome { connect_ns: 1_000_000_000, stages: vec![stage], ..RunOutcome::default() };
        assemble(&["conn", "--clients", "2000", "--hold", "3s"], run, None)
    };
    let good = conn(|_| ());
    assert_eq!(
        words(&good),
        "Connects 2,000 clients at 2,000/s (limit: probably the broker; --broker-pid shows its CPU), and holds them for \
         3.00 s. Connecting a client takes 1.00 ms typically, 1 in 100 longer than 1.98 ms. A ping takes 100 µs typically, \
         1 in 100 longer than 198 µs. No connection lost."
    );
    let bad = conn(|stage| {
        stage.connected = 1_990;
        stage.lost = [("reset by peer".to_owned(), 3)].into();
    });
    assert!(words(&bad).starts_with("Connects 1,990 of 2,000 clients"), "{}", words(&bad));
    assert!(words(&bad).ends_with("3 connections lost: reset by peer."), "{}", words(&bad));
    assert_eq!(verdict(&bad).level, Level::Bad);
    let figures = key_figures(&good);
    assert_eq!(figures.rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["connect", "ping"]);
}
