//! Parts in any order and any groups give one sum, and the sum is what one run would have measured.

use proptest::prelude::*;

use super::*;
use crate::bench::engine::{RunOutcome, StageOutcome, StreamOutcome};
use crate::bench::measure::{
    Delivery, IntervalRow, LatencyHistogram, Outage, Outages, Reach, Received, Recorder, Series, StreamLedger,
};
use crate::bench::plan::from_options::tests::plan_of;
use crate::bench::plan::{BenchPlan, ClientKind};
use crate::bench::report::delivery::StreamAccount;
use crate::bench::report::latency::{LatencyTable, LoopKind};
use crate::bench::report::tests::example;
use crate::bench::report::{self, check_schema};

/// What one part of a run measured, in one of its two stages.
#[derive(Clone, Debug)]
struct Measured {
    latencies: Vec<i64>,
    sent: u64,
    lost: u64,
    streams: Vec<(usize, u64)>,
    outages: Vec<(u64, u64)>,
    seconds: usize,
    cpu_pct: f64,
}

fn measured() -> impl Strategy<Value = Measured> {
    let latency = prop_oneof![1_000i64..50_000_000, -5i64..5, Just(4_000_000_000_000)];
    (
        prop::collection::vec(latency, 0..200),
        (0u64..1_000_000, 0u64..50),
        prop::collection::vec((0usize..150, 0u64..4), 0..160),
        prop::collection::vec((0u64..2_000, 0u64..50), 0..1_200),
        0usize..4,
        0.0f64..400.0,
    )
        .prop_map(|(latencies, (sent, lost), streams, outages, seconds, cpu_pct)| Measured {
            latencies,
            sent: sent + lost,
            lost,
            streams,
            outages,
            seconds,
            cpu_pct,
        })
}

fn recorder(part: &Measured) -> Recorder {
    let mut recorder = Recorder::default();
    let counters = &mut recorder.counters;
    (counters.sent, counters.acked, counters.delivered) = (part.sent, part.sent, part.sent - part.lost);
    counters.on_time = part.sent;
    for latency in &part.latencies {
        recorder.latency.e2e.record(*latency);
        recorder.latency.ack.record(*latency / 2);
    }
    recorder
}

fn outcome(part: &Measured, stage: StageOutcome) -> StageOutcome {
    let recorder = recorder(part);
    let delivery =
        Delivery { expected: part.sent, delivered_once: part.sent - part.lost, lost: part.lost, ..Delivery::default() };
    let mut outages = Outages::default();
    part.outages.iter().for_each(|(stream, start_ns)| {
        outages.add(Outage { stream: *stream, start_ns: *start_ns, dur_ns: start_ns * 3, ended: stream % 2 == 0 });
    });
    let row = |second: usize| IntervalRow {
        cpu_pct: Some(part.cpu_pct / (second + 3) as f64),
        conns: Some(2),
        ..IntervalRow::of(&recorder, second as u64 * 1_000_000_000)
    };
    StageOutcome {
        series: Series { interval_ns: 1_000_000_000, rows: (0..part.seconds).map(row).collect() },
        streams: part
            .streams
            .iter()
            .map(|(number, lost)| {
                let delivery = Delivery { expected: 9, delivered_once: 9 - lost, lost: *lost, ..Delivery::default() };
                (*number, StreamOutcome { delivery: Some(delivery), ..StreamOutcome::default() })
            })
            .collect(),
        outages: Some(outages),
        offered: stage.offered.map(|_| part.sent),
        rate: stage.rate.map(|_| part.sent as f64 / 7.0),
        delivery: Some(delivery),
        recorder,
        ..stage
    }
}

/// The result of the part of this number.
fn part(number: usize, stages: &[Measured; 2]) -> ResultDocument {
    let plan = plan_of(&["-q", "1", "--clients", "2"]).unwrap();
    let started_at = format!("2026-11-26T10:00:0{}.000Z", number % 4).parse().unwrap();
    let mut context = report::context(&plan, vec![format!("mqbench {number}")], None, started_at);
    context.run.id = Some(format!("{number:04x}"));
    context.env.host = Some(format!("host{}", number % 2));
    context.run.labels.insert("ci".to_owned(), (number % 3).to_string());
    context.run.labels.insert("team".to_owned(), "a".to_owned());
    let [flood, paced] = example::two_stages().try_into().unwrap_or_else(|_| panic!("two stages"));
    let stages = vec![outcome(&stages[0], flood), outcome(&stages[1], paced)];
    example::assemble_for(&plan, context, RunOutcome { stages, ..RunOutcome::default() })
}

fn merged(parts: &[ResultDocument]) -> ResultDocument {
    let named = parts.iter().enumerate().map(|(number, part)| (format!("{number}.json"), part.clone()));
    merge(named.collect::<Vec<_>>(), false).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn neither_order_nor_grouping_changes_the_sum(
        stages in prop::collection::vec([measured(), measured()], 4), order in Just(vec![0, 1, 2, 3]).prop_shuffle(),
        cut in 1usize..4,
    ) {
        let parts: Vec<ResultDocument> = stages.iter().enumerate().map(|(number, part_of)| part(number, part_of)).collect();
        let all = merged(&parts);
        let shuffled: Vec<ResultDocument> = order.iter().map(|number| parts[*number].clone()).collect();
        prop_assert_eq!(&merged(&shuffled), &all);
        // In two groups, each of which was written and read before they were added.
        let (left, right) = shuffled.split_at(cut);
        let groups = [right, left].map(|group| {
            serde_json::from_slice(&serde_json::to_vec(&merged(group)).unwrap()).unwrap()
        });
        prop_assert_eq!(&merged(&groups), &all);
        check_schema(&serde_json::to_value(&all).unwrap());

        // What one run would have measured that had seen it all.
        let mut histogram = LatencyHistogram::new();
        stages.iter().flat_map(|part| &part[1].latencies).for_each(|latency| histogram.record(*latency));
        let e2e = all.stages[1].latency.e2e.as_ref();
        prop_assert_eq!(e2e.map_or(0, |e2e| e2e.count), histogram.count());
        if let Some(e2e) = e2e {
            prop_assert_eq!((Some(e2e.min), Some(e2e.max)), (histogram.min(), histogram.max()));
            prop_assert_eq!((Some(e2e.mean), &e2e.hdr), (histogram.mean(), &histogram.to_base64()));
            prop_assert_eq!((e2e.negative, e2e.clamped), (histogram.negative(), histogram.clamped()));
        }
        let sent: u64 = stages.iter().flat_map(|part| part.iter().map(|stage| stage.sent)).sum();
        let lost: u64 = stages.iter().flat_map(|part| part.iter().map(|stage| stage.lost)).sum();
        prop_assert_eq!((all.delivery.counts.expected, all.delivery.counts.lost), (Some(sent), Some(lost)));
        let outages: usize = stages.iter().flat_map(|part| part.iter().map(|stage| stage.outages.len())).sum();
        prop_assert_eq!(all.delivery.outage_count, Some(outages as u64));
        prop_assert!(all.stages.iter().all(|stage| stage.delivery.outages.as_ref().is_none_or(|all| all.len() <= 1_000)));
        let worst = |streams: &[StreamAccount]| streams.len() <= 100 && streams.is_sorted_by(|one, other| one.faults() >= other.faults());
        prop_assert!(all.stages.iter().all(|stage| stage.delivery.streams.as_deref().is_none_or(worst)));
        prop_assert_eq!(all.run.shards, Some(4));
    }
}

fn quiet(number: usize) -> ResultDocument {
    let stage = Measured {
        latencies: (0..1_000).map(|sample| 50_000 + sample * 10).collect(),
        sent: 1_000,
        lost: number as u64,
        streams: vec![(0, number as u64)],
        outages: Vec::new(),
        seconds: 2,
        cpu_pct: 10.0,
    };
    part(number, &[stage.clone(), stage])
}

#[test]
fn rates_counts_and_rows_are_added_and_what_differs_is_null() {
    let (one, two) = (quiet(1), quiet(2));
    let sum = merged(&[two.clone(), one.clone()]);
    let [first, second] = [&one, &two].map(|part| part.traffic.sent_per_s.unwrap());
    assert_eq!(sum.traffic.sent_per_s, Some(first + second));
    assert_eq!((sum.clients.connected, sum.delivery.counts.lost), (Some(4), Some(2 * (1 + 2))));
    let rows = &sum.stages[0].series.as_ref().unwrap().rows;
    assert_eq!((rows.len(), rows[1].t_ns, rows[1].sent, rows[1].conns), (2, 1_000_000_000, Some(2_000), Some(4)));
    assert_eq!((sum.env.host.as_deref(), sum.env.kernel.clone()), (None, one.env.kernel.clone()));
    assert_eq!((sum.run.id.as_deref(), sum.run.plan_hash.clone()), (None, one.run.plan_hash.clone()));
    assert_eq!(sum.run.labels, [("team".to_owned(), "a".to_owned())].into());
    assert_eq!(sum.run.command, ["mqbench 1"], "that of the part that began first");
    let labels: Vec<String> = sum.run.parts.unwrap().iter().map(Part::label).collect();
    assert_eq!(labels, ["0001@host1", "0002@host0"]);
    let streams = sum.delivery.streams.unwrap();
    let shown: Vec<_> = streams.iter().map(|stream| (stream.stream, stream.part.as_deref().unwrap())).collect();
    assert_eq!(shown, [(0, "0002@host0"), (0, "0001@host1")], "two streams that have one number");
    assert!(sum.warnings.iter().any(|warning| warning.text.starts_with("0001@host1: ") && warning.code == "loss"));
    assert!(!sum.warnings.iter().any(|warning| warning.code == APART), "{:?}", sum.warnings);
    let apart = merged(&[quiet(1), quiet(3)]);
    let warning = apart.warnings.iter().find(|warning| warning.code == APART).unwrap();
    assert!(warning.text.starts_with("the parts began up to 2.0 s apart"), "{}", warning.text);
}

#[test]
fn the_worst_status_holds_for_all() {
    let mut invalid = quiet(1);
    invalid.set_status(Status::Invalid);
    let mut failed = quiet(2);
    failed.set_status(Status::Failed);
    failed.run.error = Some("a client lost its connection".to_owned());
    assert_eq!(merged(&[quiet(0), invalid.clone()]).status, Status::Invalid);
    let sum = merged(&[failed, invalid]);
    assert_eq!((sum.status, sum.run.status), (Status::Failed, Status::Failed));
    assert_eq!(sum.run.error.as_deref(), Some("0002@host0: a client lost its connection"));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    type Change = fn(&mut ResultDocument);
    let other_plan: Change = |result| {
        result.plan["qos"] = 2.into();
        result.run.plan_hash = report::plan::plan_hash(&result.plan);
    };
    let changes: [(Change, &str); 7] = [
        (other_plan, "1.json and 0.json cannot be merged: they are not of one plan: qos is 2 and 1"),
        (|result| result.tool.version = "9.9.9".to_owned(), "they are of mqbench 9.9.9 and "),
        (|result| result.run.id = Some("0001".to_owned()), "both hold the run 0001@host1"),
        (|result| drop(result.stages.pop()), "their stages are flood and flood, paced; with --flood or --rate"),
        (|result| result.stages[1].given_up = Some("late".to_owned()), "their stages are flood, paced (given up) and"),
        (|result| result.stages.clear(), "1.json cannot be merged: it measured nothing"),
        (|result| result.run.plan_hash = None, "it has no plan_hash"),
    ];
    for (change, fault) in changes {
        // Of the same host and time as the first, so that only the tag tells them apart.
        let (one, mut other) = (quiet(1), quiet(5));
        change(&mut other);
        let error =
            merge(vec![("0.json".to_owned(), one), ("1.json".to_owned(), other)], false).unwrap_err().to_string();
        assert!(error.contains(fault), "{error}");
    }
    let mut broken = quiet(2);
    broken.stages[0].latency.e2e.as_mut().unwrap().hdr = Some("AAAA".to_owned());
    let error = merge(vec![("a".to_owned(), quiet(1)), ("b".to_owned(), broken)], false).unwrap_err().to_string();
    assert!(error.starts_with("b cannot be merged: stage flood: latency e2e: hdr: "), "{error}");
    assert!(LatencyTable::of(&Recorder::default().latency, LoopKind::Open).e2e.is_none());
}

#[test]
fn the_plan_hash_is_that_of_the_load() {
    let hash = |arguments: &[&str]| {
        let plan = plan_of(arguments).unwrap();
        report::context(&plan, Vec::new(), None, chrono::Utc::now()).run.plan_hash.unwrap()
    };
    let plain = hash(&["-q", "1"]);
    assert_eq!(plain.len(), 64);
    for same in
        [&["-q", "1", "--seed", "7"][..], &["-q", "1", "-h", "other", "-p", "1884"], &["-q", "1", "--threads", "3"]]
    {
        assert_eq!(hash(same), plain, "{same:?}");
    }
    for other in [
        &["-q", "2"][..],
        &["-q", "1", "--clients", "11"],
        &["-q", "1", "-V", "5"],
        &["-q", "1", "--size", "65"],
        &["-q", "1", "-m", "hello world"],
        &["-q", "1", "-t", "a/%i"],
        &["-q", "1", "--rate", "5"],
        &["-q", "1", "-k", "7"],
    ] {
        assert_ne!(hash(other), plain, "{other:?}");
    }
    assert_ne!(hash(&["-q", "1", "-m", "a"]), hash(&["-q", "1", "-m", "b"]));
}

/// The result of one shard of a fan-in, in which each of its receivers got every message but those that are lost.
fn shard(plan: &BenchPlan, index: usize, count: usize, lost: &[u64], started_ns: i64) -> ResultDocument {
    const SENT: u64 = 40;
    let plan = &plan.split(count)[index];
    let mut context = report::context(plan, vec!["mqbench".to_owned()], None, "2026-11-26T10:00:00Z".parse().unwrap());
    context.env.host = Some(format!("host{index}"));
    let facts = context.run.shard.as_mut().unwrap();
    facts.started_unix_ns = Some(started_ns);
    let mut reach = Reach::default();
    reach.sent.extend(plan.own(ClientKind::Publisher).map(|stream| (stream as u64, 10, SENT, 0)));
    for _ in plan.own(ClientKind::Subscriber) {
        for stream in 0..plan.publishers {
            let mut ledger = StreamLedger::new();
            let arrived = (0..SENT).filter(|number| !lost.contains(number));
            for number in arrived {
                ledger.observe(number, false, number >= 10);
            }
            reach.received.push(Received::of(stream, &ledger, &ledger.settle(0..0), 0));
        }
    }
    reach.pack();
    let stage = StageOutcome { delivery: None, reach: Some(reach), ..example::stage(0, 1_000, 90_000) };
    example::assemble_for(plan, context, RunOutcome { stages: vec![stage], ..RunOutcome::default() })
}

fn fan_in() -> BenchPlan {
    plan_of(&["--shape", "fan-in", "--pubs", "7", "--subs", "5", "--rate", "100", "--shard", "0/1", "--job", "j"])
        .unwrap()
}

fn shards(plan: &BenchPlan, count: usize, lost: &[u64]) -> Vec<ResultDocument> {
    (0..count).map(|index| shard(plan, index, count, lost, 1_000_000 * index as i64)).collect()
}

fn merge_all(parts: &[ResultDocument], allow_partial: bool) -> Result<ResultDocument, String> {
    let named = parts.iter().enumerate().map(|(number, part)| (format!("{number}.json"), part.clone()));
    merge(named, allow_partial).map_err(|error| error.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 40, ..ProptestConfig::default() })]

    /// Publishers and subscribers of a stream are in different shards, and what was lost is found all the same: in any
    /// order, in any groups, and the same for any number of shards.
    #[test]
    fn shards_are_one_run(
        count in 2usize..6, order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle(), cut in 1usize..5,
        lost in prop::collection::btree_set(0u64..40, 0..6),
    ) {
        let (plan, lost) = (fan_in(), lost.into_iter().collect::<Vec<_>>());
        let parts = shards(&plan, count, &lost);
        let all = merge_all(&parts, false).unwrap();
        let shuffled: Vec<ResultDocument> =
            order.into_iter().filter(|index| *index < count).map(|index| parts[index].clone()).collect();
        prop_assert_eq!(&merge_all(&shuffled, false).unwrap(), &all);
        let (left, right) = shuffled.split_at(cut.min(count - 1));
        let groups: Vec<ResultDocument> = [right, left]
            .map(|group| serde_json::from_slice(&serde_json::to_vec(&merge_all(group, true).unwrap()).unwrap()).unwrap())
            .to_vec();
        prop_assert_eq!(&merge_all(&groups, false).unwrap(), &all);
        check_schema(&serde_json::to_value(&all).unwrap());

        let missed = lost.iter().filter(|number| **number >= 10).count() as u64;
        let delivery = &all.stages[0].delivery;
        prop_assert_eq!((delivery.counts.expected, delivery.counts.lost), (Some(7 * 5 * 30), Some(7 * 5 * missed)));
        prop_assert_eq!(delivery.counts.delivered_once, Some(7 * 5 * (30 - missed)));
        prop_assert_eq!((all.status, &all.stages[0].reach, &all.run.shard), (Status::Ok, &None, &None));
        prop_assert_eq!(all.delivery.counts.lost, delivery.counts.lost);
    }
}

#[test]
fn shards_that_are_missing_or_of_another_run_are_named() {
    let plan = fan_in();
    let parts = shards(&plan, 4, &[]);
    let some = [parts[0].clone(), parts[3].clone()];
    let fault = merge_all(&some, false).unwrap_err();
    assert!(fault.starts_with("shards 1 and 2 of 4 are missing"), "{fault}");
    let partial = merge_all(&some, true).unwrap();
    assert_eq!((partial.status, partial.exit_status()), (Status::Partial, crate::exit_status::ExitStatus::Failed));
    assert!(partial.warnings.iter().any(|warning| warning.text.starts_with("missing: shards 1 and 2 of 4")));
    assert!(partial.stages[0].reach.is_some(), "the others can still be added");

    let fault = |change: fn(&mut ResultDocument)| {
        let mut parts = parts.clone();
        change(&mut parts[2]);
        merge_all(&parts, true).unwrap_err()
    };
    for (fault, part) in [
        (fault(|it| it.run.seed = Some(1)), "seeds differ"),
        (fault(|it| it.run.shard.as_mut().unwrap().job = "k".to_owned()), "two runs (--job): 'k' and 'j'"),
        (fault(|it| it.run.shard.as_mut().unwrap().count = 5), "runs with 5 and 4 shards"),
        (fault(|it| it.run.shard.as_mut().unwrap().index = 1), "both hold shard 1 of 4"),
        (fault(|it| it.run.shard = None), "a run by itself"),
        (fault(|it| it.run.id = None), "tags differ"),
        (fault(|it| it.run.plan_hash = Some("x".to_owned())), "not of one plan"),
        (fault(|it| it.tool.version = "9".to_owned()), "of mqbench 9"),
    ] {
        assert!(fault.contains(part), "{fault}");
    }
}

#[test]
fn shards_that_began_apart_or_ended_early_are_no_valid_run() {
    let plan = fan_in();
    let late = [shard(&plan, 0, 2, &[], 0), shard(&plan, 1, 2, &[], 50_000_001)];
    let all = merge_all(&late, false).unwrap();
    assert_eq!((all.status, all.invalid[0].code.as_str()), (Status::Invalid, "starts-apart"));
    let mut parts = [shard(&plan, 0, 2, &[], 0), shard(&plan, 1, 2, &[], 50_000_000)];
    assert_eq!(merge_all(&parts, false).unwrap().status, Status::Ok);
    parts[1].set_status(Status::Partial);
    let all = merge_all(&parts, false).unwrap();
    assert_eq!(all.status, Status::Partial);
    assert!(all.warnings.iter().any(|warning| warning.text == "ended early: shard 1 of 2"), "{:?}", all.warnings);
    // One that failed before the load has nothing to add.
    parts[1] = report::nothing_measured(parts[1].clone(), Status::Failed, "no broker".to_owned());
    parts[1].stages.clear();
    assert!(merge_all(&parts, false).unwrap_err().contains("1.json cannot be merged: it measured nothing (no broker)"));
    assert_eq!(merge_all(&parts, true).unwrap().status, Status::Partial);
}
