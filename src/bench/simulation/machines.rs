//! A run on more machines than anybody has here: each shard on the virtual clock against its own broker, which a
//! plan without common topics allows; starts with drawn errors of the clocks; shards that die or are late; the merge of
//! what they wrote to files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::script::{Script, ms};
use super::{FOR_EVER, options_of, simulate_noting};
use crate::bench::barrier::{BarrierReport, ClockOffset};
use crate::bench::plan::{BenchPlan, ClientKind, Target, bench_plan};
use crate::bench::report::{self, ResultDocument};
use crate::bench::run::together::note_start;
use crate::bench::system::resident_bytes;
use crate::options::Environment;

/// When the load begins, nanoseconds since 1970.
const START: i64 = 1_790_000_000_000_000_000;

/// Draws that are the same in each run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// The plan of a shard against this many others.
fn plan(arguments: &str, shards: usize) -> BenchPlan {
    let arguments = format!("--shard 0/{shards} --job simulated --no-sys {arguments}");
    bench_plan(&options_of(&arguments), &Environment::fixed([], []), &Target::AsTyped).unwrap()
}

/// Runs a shard and writes its result to a file. It begins `late`, and its clock is known to within `bound`.
fn run_shard(plan: BenchPlan, late: Duration, clock: ClockOffset, file: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let script = Script { deliver_after: ms(5), ..Script::default() };
    let report = BarrierReport { start_unix_ns: Some(START), clock: Some(clock), lost: Vec::new() };
    let note = |context: &mut ResultDocument, run: &mut crate::bench::engine::RunOutcome| {
        run.start_late = Some(late);
        note_start(context, report, Some(run));
    };
    let simulated = simulate_noting(plan, script, FOR_EVER, note);
    let document = tokio::task::LocalSet::new().block_on(&runtime, simulated).document.unwrap();
    serde_json::to_writer(File::create(file).unwrap(), &document).unwrap();
}

fn merged(files: &[PathBuf], allow_partial: bool) -> anyhow::Result<ResultDocument> {
    let read = |file: &PathBuf| anyhow::Ok((file.display().to_string(), report::read_result(file).unwrap()));
    report::merge_read(files.iter().map(read), allow_partial)
}

/// What a run came to.
struct Fleet {
    folder: tempfile::TempDir,
    shards: usize,
    /// What it took to split the plan, to run the shards one after the other, and to merge.
    took: [Duration; 3],
    /// Memory of this process before and after the merge.
    resident: [u64; 2],
    whole: ResultDocument,
}

impl Fleet {
    fn run(arguments: &str, shards: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (began, mut dice) = (Instant::now(), Dice(7));
        let plans = plan(arguments, shards).split(shards);
        let split = began.elapsed();
        let began = Instant::now();
        for (index, plan) in plans.into_iter().enumerate() {
            // Clocks within 4 ms, known to within 5; a process wakes up to 3 ms late.
            let offset_ns = dice.below(8_000_000) as i64 - 4_000_000;
            let clock = ClockOffset { offset_ns, bound_ns: 5_000_000 };
            run_shard(plan, Duration::from_nanos(dice.below(3_000_000)), clock, &file(folder.path(), index));
        }
        let ran = began.elapsed();
        let files: Vec<PathBuf> = (0..shards).map(|index| file(folder.path(), index)).collect();
        let (began, before) = (Instant::now(), resident_bytes().unwrap_or_default());
        let whole = merged(&files, false).unwrap();
        let took = [split, ran, began.elapsed()];
        Self { folder, shards, took, resident: [before, resident_bytes().unwrap_or_default()], whole }
    }

    fn files(&self) -> Vec<PathBuf> {
        (0..self.shards).map(|index| file(self.folder.path(), index)).collect()
    }

    fn number(&self, path: &str) -> u64 {
        number(&self.whole, path)
    }
}

fn file(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("shard-{index}.json"))
}

fn number(document: &ResultDocument, path: &str) -> u64 {
    let document = serde_json::to_value(document).unwrap();
    document.pointer(path).and_then(serde_json::Value::as_u64).unwrap_or_else(|| panic!("{path}"))
}

/// Checks a whole run of `clients` clients and `messages` messages, and what becomes of it when shards die or are late.
fn check(fleet: &Fleet, clients: u64, messages: u64) {
    assert_eq!(serde_json::to_value(&fleet.whole).unwrap()["status"], "ok", "{:?}", fleet.whole.invalid);
    assert_eq!(fleet.number("/clients/connected"), clients);
    for path in ["/traffic/sent", "/delivery/expected", "/delivery/delivered_once", "/latency/e2e/count"] {
        assert_eq!(fleet.number(path), messages, "{path}");
    }
    assert_eq!(fleet.number("/delivery/lost"), 0);
    // Every message took 5 ms on every machine, and at most a tick of the clock more; so it does in the sum.
    for path in ["/latency/e2e/min", "/latency/e2e/p/90", "/latency/e2e/max"] {
        let took = fleet.number(path);
        assert!((5_000_000..=6_100_000).contains(&took), "{path}: {took}");
    }

    // Two machines died before they wrote anything: the merge names them and refuses.
    let mut files = fleet.files();
    let last = files.len() - 1;
    files.remove(last - 1);
    files.remove(1);
    let named = format!("shards 1 and {} of {} are missing", last - 1, fleet.shards);
    let error = merged(&files, false).unwrap_err().to_string();
    assert!(error.contains(&named), "{error}");
    let partial = merged(&files, true).unwrap();
    assert_eq!(serde_json::to_value(&partial).unwrap()["status"], "partial");
    assert!(number(&partial, "/traffic/sent") < messages && number(&partial, "/delivery/lost") == 0);

    // One begins 80 ms late: the run is not valid, and says which shard.
    let mut late = report::read_result(&fleet.files()[2]).unwrap();
    let shard = late.run.shard.as_mut().unwrap();
    shard.started_unix_ns = Some(START + 80_000_000);
    serde_json::to_writer(File::create(&fleet.files()[2]).unwrap(), &late).unwrap();
    let invalid = merged(&fleet.files(), false).unwrap();
    assert_eq!(serde_json::to_value(&invalid).unwrap()["status"], "invalid");
    assert!(invalid.invalid.iter().any(|fault| fault.text.contains("80")), "{:?}", invalid.invalid);
}

#[test]
fn twelve_machines_make_one_result() {
    let fleet = Fleet::run("-q 1 --clients 60 --rate 600 --duration 2", 12);
    check(&fleet, 120, 1_200);
}

/// The plan of ten million clients is split so that each shard knows its own, and each client is in one.
#[test]
fn ten_million_clients_are_divided_among_a_thousand_machines() {
    let plan = plan("-q 1 --clients 5M --rate 1M --duration 1", 1_000);
    let parts = plan.split(1_000);
    assert_eq!(parts.iter().map(BenchPlan::own_clients).sum::<usize>(), 10_000_000);
    assert!(parts.iter().all(|part| part.own_clients() == 10_000));
    for number in [0, 1, 999, 1_000, 1_234_567, 4_999_999] {
        for kind in [ClientKind::Publisher, ClientKind::Subscriber] {
            let owners = parts.iter().filter(|part| part.owns(kind, number)).count();
            assert_eq!(owners, 1, "{kind:?} {number}");
        }
        assert_eq!(plan.shard_of(ClientKind::Publisher, number), plan.shard_of(ClientKind::Subscriber, number));
    }
}

/// 1,000 machines with 10 million clients, all of them connected and measured on the virtual clock; long. Sizes:
/// MQTOOLS_MACHINES and MQTOOLS_PAIRS, pairs of a publisher and a subscriber on each machine.
#[test]
#[ignore = "long: cargo test --release --lib simulation::machines -- --ignored --nocapture"]
fn a_thousand_machines_make_one_result() {
    let size = |name: &str, usual| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (machines, pairs) = (size("MQTOOLS_MACHINES", 1_000), size("MQTOOLS_PAIRS", 5_000));
    // Each machine sends 200 messages per second for two seconds.
    let rate = 200 * machines;
    let fleet = Fleet::run(&format!("-q 1 --clients {} --rate {rate} --duration 2", machines * pairs), machines);
    let bytes: u64 = fleet.files().iter().map(|file| file.metadata().unwrap().len()).sum();
    let [split, ran, merge] = fleet.took;
    let [before, after] = fleet.resident;
    println!(
        "{machines} machines, {} clients, {} messages: split {split:.1?}, simulated in {ran:.0?}, {} kB of results, merged \
         in {merge:.1?}; resident {} MB before and {} MB after the merge",
        fleet.number("/clients/connected"),
        fleet.number("/traffic/sent"),
        bytes / 1_000,
        before / 1_000_000,
        after / 1_000_000,
    );
    let began = Instant::now();
    check(&fleet, 2 * (machines * pairs) as u64, 2 * rate as u64);
    println!("with dead and late machines: three more merges in {:.1?}", began.elapsed());
}
