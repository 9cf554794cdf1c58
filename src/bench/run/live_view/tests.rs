use super::*;
use crate::bench::plan::from_options::tests::plan_of;

const WIDE: Size = Size { lines: 24, columns: 80 };

fn view(arguments: &[&str]) -> LiveView {
    LiveView::new(&plan_of(arguments).unwrap())
}

/// A second in which everything went well: `sent` messages in each so far.
fn second(number: u64, sent: u64) -> WatchedSecond {
    WatchedSecond {
        number,
        sent,
        acked: sent,
        delivered: sent,
        connections: 20,
        in_flight: 12,
        cpu_pct: Some(57.3),
        time: [Some(140_000), Some(1_900_000)],
        time_so_far: [Some(139_000), Some(1_930_000)],
        sent_so_far: sent * number,
        ..WatchedSecond::default()
    }
}

fn measuring(stage: StageName, elapsed_s: u64, rate: Option<f64>, second: WatchedSecond) -> RunProgress {
    let (elapsed, duration) = (Duration::from_secs(elapsed_s), Some(Duration::from_secs(5)));
    RunProgress::Measuring { stage, elapsed, duration, rate, second: Some(Arc::new(second)) }
}

/// The third second of the paced stage of a bare run.
fn paced(change: impl FnOnce(&mut WatchedSecond)) -> LiveView {
    let mut view = view(&["-q", "1"]);
    view.observe(RunProgress::WarmUp(StageName::Paced));
    for number in 1..3 {
        view.observe(measuring(StageName::Paced, number, Some(1_000.0), second(number, number * 500)));
    }
    let mut last = WatchedSecond { sent_so_far: 3_000, ..second(3, 1_000) };
    change(&mut last);
    view.observe(measuring(StageName::Paced, 3, Some(1_000.0), last));
    view
}

fn text(view: &LiveView, size: Size) -> String {
    view.lines(size, Colors::OFF).join("\n")
}

#[test]
fn everything_at_a_glance() {
    let expected = "\
paced  ━━━━━━━━━━━━━━━━━━────────────  stage 2 of 2, 2 s left
  planned          1,000/s
  sent             1,000/s  ▅██
  acked            1,000/s  ▅██
  delivered        1,000/s  ▅██
  e2e p50         140 µs last second      139 µs so far
  e2e p99        1.90 ms last second     1.93 ms so far
  lost 0   twice 0   not sent 0   in flight 12
  connections 20 of 20   own CPU 57 % of a core";
    assert_eq!(text(&paced(|_| ()), WIDE), expected);
}

#[test]
fn no_terminal_is_too_small() {
    let views = [paced(|_| ()), paced(|second| (second.missing, second.delivered) = (7_654_321, 0)), view(&["conn"])];
    for (view, lines) in views.iter().flat_map(|view| (0..30).map(move |lines| (view, lines))) {
        for columns in 0..140 {
            let shown = view.lines(Size { lines, columns }, Colors::OFF);
            assert!(!shown.is_empty() && shown.len() < lines.max(2), "{lines} lines: {shown:?}");
            let widest = shown.iter().map(|line| line.chars().count()).max().unwrap();
            assert!(widest < columns.max(21), "{columns} columns: {shown:?}");
        }
    }
    let narrow = text(&paced(|_| ()), Size { lines: 24, columns: 46 });
    assert!(narrow.contains("e2e p50         139 µs\n") && narrow.contains("▅██"), "{narrow}");
}

#[test]
fn colors_change_no_letter() {
    let view = paced(|second| second.missing = 3);
    let colored = view.lines(WIDE, Colors::ON).join("\n");
    let mut parts = colored.split('\x1b');
    let first = parts.next().unwrap().to_owned();
    let plain = parts.fold(first, |plain, part| plain + part.split_once('m').unwrap().1);
    assert_eq!(plain, text(&view, WIDE));
    assert_ne!(plain, colored);
}

#[test]
fn warnings_arise_with_their_cause() {
    type Change = fn(&mut WatchedSecond);
    let cases: [(Change, &str); 6] = [
        (|second| second.connections = 17, "Warning: 3 connections are gone"),
        (|second| second.refused = 4, "Warning: 4 messages were refused by the broker"),
        (|second| second.missing = 1_234, "Warning: 1,234 messages are missing"),
        (|second| second.delivered = 0, "Warning: nothing arrived in the last second"),
        (|second| second.sent_so_far = 2_000, "Warning: 1,000 messages behind the schedule"),
        (|second| second.cpu_pct = Some(100_000.0), "Warning: mqbench itself has no CPU time left"),
    ];
    assert!(!text(&paced(|_| ()), WIDE).contains("Warning"));
    for (change, warning) in cases {
        let view = paced(change);
        let seen = text(&view, WIDE);
        assert!(seen.ends_with(&format!("  {warning}")), "{warning}\n{seen}");
        // A small terminal shows the warning rather than a figure.
        let small = text(&view, Size { lines: 5, columns: 80 });
        assert!(small.contains(warning) && small.lines().count() == 3, "{small}");
        assert!(view.plain_line().contains(&warning.replace("Warning", "warning")), "{}", view.plain_line());
    }
}

#[test]
fn a_schedule_that_is_almost_kept_is_kept() {
    assert_eq!(paced(|second| second.sent_so_far = 2_975).behind(), Some(0));
    assert_eq!(paced(|second| second.sent_so_far = 2_900).behind(), Some(100));
    assert_eq!(paced(|second| second.sent_so_far = 4_000).behind(), Some(0));
}

#[test]
fn the_time_left_is_that_of_all_stages() {
    let mut view = view(&["-q", "1", "--duration", "10s", "--warmup", "1s"]);
    view.observe(RunProgress::Connecting { connected: 5, clients: 20 });
    assert!(text(&view, WIDE).starts_with("connected 5 of 20  ━━━━━━━━──────"), "{}", text(&view, WIDE));
    view.observe(RunProgress::WarmUp(StageName::Flood));
    assert_eq!(text(&view, WIDE), "flood: warming up  stage 1 of 2, 12 s left");
    view.observe(measuring(StageName::Flood, 2, None, second(2, 700)));
    assert!(text(&view, WIDE).contains("stage 1 of 2, 9 s left\n  sent"), "{}", text(&view, WIDE));
    view.observe(RunProgress::Draining { stage: StageName::Flood, outstanding: 1_200 });
    assert!(text(&view, WIDE).starts_with("flood: waiting for 1,200 in flight  stage 1 of 2\n"));
    // The next stage begins anew.
    view.observe(RunProgress::WarmUp(StageName::Paced));
    assert_eq!(text(&view, WIDE), "paced: warming up  stage 2 of 2, 6 s left");
    assert_eq!(view.history.len(), 0);
}

#[test]
fn a_stage_without_a_warm_up_begins_anew_too() {
    let mut view = view(&["-q", "1", "--warmup", "0s"]);
    view.observe(measuring(StageName::Flood, 4, None, second(4, 700)));
    let next = RunProgress::Measuring {
        stage: StageName::Paced,
        elapsed: Duration::ZERO,
        duration: Some(Duration::from_secs(5)),
        rate: Some(350.0),
        second: None,
    };
    view.observe(next);
    assert_eq!((view.history.len(), view.stage, view.rate), (0, 1, Some(350.0)));
}

#[test]
fn the_same_second_is_drawn_once() {
    let mut view = view(&["-q", "1"]);
    for _ in 0..100 {
        view.observe(measuring(StageName::Flood, 1, None, second(1, 700)));
    }
    assert_eq!(view.history.len(), 1);
    for number in 0..1_000 {
        view.observe(measuring(StageName::Flood, 1, None, second(number, 700)));
    }
    assert_eq!(view.history.len(), HISTORY, "memory is bounded");
}

#[test]
fn only_the_sides_that_there_are_have_lines() {
    let line_of = |arguments: &[&str], stage| {
        let mut view = view(arguments);
        view.observe(measuring(stage, 1, None, second(1, 700)));
        text(&view, WIDE)
    };
    let publishing = line_of(&["pub", "-q", "1"], StageName::Flood);
    assert!(publishing.contains("acked") && publishing.contains("ack p50"), "{publishing}");
    assert!(!publishing.contains("delivered") && !publishing.contains("lost"), "{publishing}");
    let unacknowledged = line_of(&["pub", "-q", "0"], StageName::Flood);
    assert!(unacknowledged.contains("sent") && !unacknowledged.contains("acked"), "{unacknowledged}");
    let receiving = line_of(&["sub", "-t", "a"], StageName::Receive);
    assert!(receiving.contains("delivered") && !receiving.contains("  sent "), "{receiving}");
    assert!(line_of(&["echo"], StageName::Echo).contains("round trip p50"));
}

#[test]
fn connections_that_are_held_have_their_view() {
    let mut view = view(&["conn", "--clients", "100", "--hold", "30s"]);
    let second = Some(Arc::new(WatchedSecond { connections: 98, ..second(4, 0) }));
    view.observe(RunProgress::Holding {
        open: 98,
        elapsed: Duration::from_secs(10),
        duration: Duration::from_secs(30),
        second,
    });
    let seen = text(&view, WIDE);
    assert!(seen.starts_with("holding  ━━━━━━━━━━────────────────────  20 s left\n"), "{seen}");
    assert!(seen.contains("ping p50") && seen.contains("connections 98 of 100"), "{seen}");
    assert!(seen.contains("Warning: 2 connections are gone") && !seen.contains("sent"), "{seen}");
    let (elapsed, duration) = (Duration::from_secs(1), Duration::from_secs(30));
    view.observe(RunProgress::Holding { open: 100, elapsed, duration, second: None });
    assert!(!text(&view, WIDE).contains("gone"), "that second was one of connecting");
}

#[test]
fn a_log_gets_one_line() {
    assert_eq!(
        paced(|_| ()).plain_line(),
        "paced, 2 s left, sent 1,000/s, acked 1,000/s, delivered 1,000/s, e2e p50 139 µs, e2e p99 1.93 ms, 20 connections"
    );
    assert_eq!(view(&["-q", "1"]).plain_line(), "connecting");
}
