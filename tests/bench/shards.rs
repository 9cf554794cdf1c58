//! One run in several processes: they start together, send together what one process would send, and merge to one
//! result; what happens when one is missing, is killed, or finds the leftovers of an earlier run.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::bench::{code, mqbench};
use crate::support::mosquitto::Mosquitto;
use crate::support::mqbroker::Mqbroker;
use crate::support::process::{Running, run, text};
use crate::support::schema::document;

/// What a slow machine may be blamed for; the counts must be right all the same.
const OF_TIME: [&str; 4] = ["scheduling-lag", "sent-below-offered", "late-start", "starts-apart"];

struct Job {
    port: String,
    folder: TempDir,
    arguments: Vec<String>,
    count: usize,
}

impl Job {
    fn new(port: String, count: usize, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        Self { port, folder: tempfile::tempdir().unwrap(), arguments, count }
    }

    fn command(&self, index: usize, more: &[&str]) -> Command {
        let mut command = mqbench(&self.port, &["--shard", &format!("{index}/{}", self.count), "--job", "test"]);
        command.args(&self.arguments).args(["--out", "shard-%s.json"]).args(more).current_dir(self.folder.path());
        command
    }

    fn start(&self, index: usize, more: &[&str]) -> Running {
        Running::start(&mut self.command(index, more))
    }

    /// Runs all shards; each must have measured.
    fn run(&self, more: &[&str]) {
        let shards: Vec<Running> = (0..self.count).map(|index| self.start(index, more)).collect();
        shards.into_iter().for_each(|shard| assert_measured(&shard.finish()));
    }

    fn shard(&self, index: usize) -> Value {
        document(&std::fs::read(self.folder.path().join(format!("shard-{index}.json"))).unwrap())
    }

    fn merge(&self, indexes: &[usize], more: &[&str]) -> Output {
        let files = indexes.iter().map(|index| format!("shard-{index}.json"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqbench"));
        run(command.arg("merge").args(files).args(more).current_dir(self.folder.path()))
    }

    /// Merges all shards.
    fn merged(&self) -> Value {
        let output = self.merge(&(0..self.count).collect::<Vec<_>>(), &["--json"]);
        assert_measured(&output);
        document(&output.stdout)
    }
}

/// It has measured; a slow machine may have made that invalid.
#[track_caller]
fn assert_measured(output: &Output) {
    assert!([0, 4].contains(&code(output)), "{output:?}");
}

#[track_caller]
fn assert_only_time_is_at_fault(document: &Value) {
    for fault in document["invalid"].as_array().unwrap() {
        assert!(OF_TIME.contains(&fault["code"].as_str().unwrap()), "{fault}");
    }
}

/// The counters that do not depend on time.
fn counts(document: &Value) -> Vec<(&'static str, Value)> {
    let delivery = ["expected", "delivered_once", "lost", "not_sent", "duplicates", "reordered", "corrupt", "unacked"];
    let mut counts: Vec<_> = delivery.into_iter().map(|name| (name, document["delivery"][name].clone())).collect();
    counts.extend(["planned", "connected", "failed"].map(|name| (name, document["clients"][name].clone())));
    counts.push(("offered_per_s", document["traffic"]["offered_per_s"].clone()));
    counts
}

/// One process, and a number of shards, of the same plan.
fn compare_with_one_process(port: &str, count: usize, arguments: &[&str]) -> (Job, Value) {
    let one = run(mqbench(port, arguments).args(["--seed", "7", "--json"]));
    assert_measured(&one);
    let one = document(&one.stdout);
    let job = Job::new(port.to_owned(), count, &[arguments, &["--seed", "7"]].concat());
    job.run(&[]);
    let merged = job.merged();
    assert_only_time_is_at_fault(&merged);
    assert_eq!(counts(&merged), counts(&one), "{arguments:?}");
    assert_eq!((&merged["run"]["shards"], &merged["run"]["shard"]), (&Value::from(count), &Value::Null));
    (job, merged)
}

const PACED: [&str; 8] = ["-q", "1", "--clients", "4", "--rate", "200", "-C", "200"];

#[test]
fn shards_merge_to_the_run_of_one_process() {
    let broker = Mqbroker::start("listener 0 127.0.0.1\nallow_anonymous true\n");
    let (job, merged) = compare_with_one_process(&broker.port(), 2, &PACED);
    assert_eq!(merged["latency"]["e2e"]["count"], 200, "one clock times both ends");
    for index in 0..2 {
        let shard = job.shard(index);
        let facts = &shard["run"]["shard"];
        assert_eq!((&facts["index"], &facts["count"], &facts["job"]), (&index.into(), &2.into(), &"test".into()));
        assert!(facts["start_error_ns"].is_u64() && facts["clock_offset_ns"].is_i64(), "{facts}");
        assert_eq!((&shard["clients"]["planned"], &shard["delivery"]["expected"]), (&4.into(), &100.into()));
    }
    // The same over a broker of others, which has to be rid of all that the barrier left on it.
    let Some(mosquitto) = Mosquitto::start() else { return };
    let (job, _) = compare_with_one_process(&mosquitto.port(), 3, &PACED);
    let retained = run(Command::new(env!("CARGO_BIN_EXE_mqsub")).args([
        "-h",
        "127.0.0.1",
        "-p",
        &job.port,
        "-t",
        "#",
        "--retained-only",
        "-v",
    ]));
    assert_eq!(text(&retained.stdout), "", "nothing is left behind");
}

#[test]
fn what_is_lost_between_shards_is_found_by_the_merge() {
    let broker = Mqbroker::start("listener 0 127.0.0.1\nallow_anonymous true\n");
    let plan = ["-q", "1", "--shape", "fan-in", "--pubs", "4", "--subs", "2", "--rate", "200", "-C", "200"];
    let (job, merged) = compare_with_one_process(&broker.port(), 3, &plan);
    assert_eq!((&merged["delivery"]["expected"], &merged["delivery"]["lost"]), (&400.into(), &0.into()));
    assert_eq!((&merged["latency"]["e2e"], &merged["stages"][0]["reach"]), (&Value::Null, &Value::Null));
    let warned = |document: &Value, code: &str| document["warnings"].to_string().contains(code);
    assert!(warned(&merged, "no clock times both ends") && !warned(&merged, "loss-across-shards"));
    let shard = job.shard(0);
    assert_eq!((&shard["delivery"]["lost"], &shard["plan"]["window_rule"]), (&Value::Null, &"ack".into()));
    assert!(warned(&shard, "loss-across-shards") && shard["stages"][0]["reach"].is_object());
    // Without the shards that sent the rest, what they sent is no loss.
    let partial = job.merge(&[0, 1], &["--allow-partial", "--json"]);
    assert_eq!((code(&partial), &document(&partial.stdout)["delivery"]["lost"]), (1, &0.into()));
}

#[test]
fn echoes_and_connections_are_sharded_too() {
    let broker = Mqbroker::start("listener 0 127.0.0.1\nallow_anonymous true\n");
    for (verb, arguments) in [
        ("echo", &["--clients", "2", "--rate", "40", "-C", "40"][..]),
        ("conn", &["--clients", "6", "--hold", "1s"]),
        ("pub", &["-q", "1", "--clients", "3", "--flood", "-C", "300"]),
    ] {
        let job = Job::new(broker.port(), 2, arguments);
        let start = |index| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mqbench"));
            let shard = format!("{index}/2");
            command.args([verb, "-h", "127.0.0.1", "-p", &job.port, "--shard", &shard, "--job", verb]);
            command.args(arguments).args(["--out", "shard-%s.json"]).current_dir(job.folder.path());
            Running::start(&mut command)
        };
        [start(0), start(1)].into_iter().for_each(|shard| assert_measured(&shard.finish()));
        let merged = job.merged();
        assert_only_time_is_at_fault(&merged);
        match verb {
            "echo" => assert_eq!(merged["latency"]["rtt"]["count"], 40),
            "conn" => {
                assert_eq!((&merged["clients"]["planned"], &merged["clients"]["connected"]), (&6.into(), &6.into()))
            }
            _ => assert_eq!(merged["traffic"]["acked"], 300),
        }
    }
}

#[test]
fn shards_that_do_not_come_are_named() {
    let broker = Mqbroker::start("listener 0 127.0.0.1\nallow_anonymous true\n");
    let job = Job::new(broker.port(), 3, &PACED);
    let shards = [0, 2].map(|index| job.start(index, &["--barrier-timeout", "2s"]));
    for shard in shards {
        let output = shard.finish();
        assert_eq!(code(&output), 1);
        assert!(text(&output.stderr).contains("shard 1 of 3 was not ready within 2.00 s"), "{output:?}");
    }
    assert_eq!(job.shard(2)["status"], "failed");
    // Without the one that starts the others, in a folder.
    let folder = job.folder.path().join("board");
    let output = job.start(1, &["--barrier-timeout", "1s", "--barrier", folder.to_str().unwrap()]).finish();
    assert!(text(&output.stderr).contains("shard 0 of 3, which starts the others, did not come"), "{output:?}");
}

#[test]
fn a_killed_shard_is_named() {
    let broker = Mqbroker::start("listener 0 127.0.0.1\nallow_anonymous true\n");
    let plan = ["-q", "1", "--clients", "2", "--rate", "100", "--duration", "4s"];
    let job = Job::new(broker.port(), 2, &plan);
    let lead = job.start(0, &[]);
    let mut victim = job.start(1, &[]);
    // It prints the first line about the load when that is on.
    victim.stderr.wait_for("paced");
    victim.kill();
    assert_measured(&lead.finish());
    let shard = job.shard(0);
    assert!(shard["warnings"].to_string().contains("shard 1 of 2 ended during the load"), "{}", shard["warnings"]);
    let refused = job.merge(&[0], &[]);
    assert_eq!(code(&refused), 1);
    assert!(text(&refused.stderr).contains("shard 1 of 2 is missing"), "{refused:?}");
    let partial = job.merge(&[0], &["--allow-partial", "--json"]);
    assert_eq!(code(&partial), 1);
    let status = document(&partial.stdout)["status"].clone();
    assert!(status == "partial" || status == "invalid", "{status}");
    // Killed before the load: nobody waits for it until the time is out.
    let three = Job::new(broker.port(), 3, &["-q", "1", "--clients", "3", "--rate", "100"]);
    let mut lead = three.start(0, &[]);
    let mut victim = three.start(1, &[]);
    // Its note is on the broker when shard 0 lists it.
    let seen = run(Command::new(env!("CARGO_BIN_EXE_mqsub")).args([
        "-h",
        "127.0.0.1",
        "-p",
        &three.port,
        "-t",
        "mqbench-shards/+/shard/1",
        "-C",
        "1",
        "-W",
        "50",
    ]));
    assert!(text(&seen.stdout).contains("ready"), "{seen:?}");
    victim.kill();
    lead.stderr.wait_for("shard 1 ended before the load began");
    assert_eq!(code(&lead.finish()), 1);
}

#[test]
fn an_interrupted_shard_is_named() {
    let broker = Mqbroker::start("listener 0 127.0.0.1\nallow_anonymous true\n");
    let job = Job::new(broker.port(), 2, &["-q", "1", "--clients", "2", "--rate", "100", "--duration", "20s"]);
    let mut shards = [0, 1].map(|index| job.start(index, &[]));
    for shard in &mut shards {
        shard.stderr.wait_for("paced");
        shard.signal("INT");
    }
    shards.into_iter().for_each(|shard| drop(shard.finish()));
    let output = job.merge(&[0, 1], &["--json"]);
    let merged = document(&output.stdout);
    // A slow machine may have made it invalid as well, which is said instead.
    let warnings = merged["warnings"].as_array().unwrap();
    let named =
        warnings.iter().filter(|warning| warning["code"] == "shards-not-whole").map(|it| it["text"].to_string());
    let named: Vec<String> = named.collect();
    let both = ["ended early: ", "not valid: "].map(|how| named.iter().filter(|it| it.contains(how)).count());
    assert!(both[0] + both[1] > 0 && named.concat().contains("1 of 2"), "{warnings:?}");
    assert_ne!(merged["status"], "ok");
}

#[test]
fn the_leftovers_of_an_earlier_run_start_nothing() {
    let broker = Mqbroker::start("listener 0 127.0.0.1\nallow_anonymous true\n");
    let job = Job::new(broker.port(), 2, &["-q", "1", "--clients", "4", "--rate", "200", "--duration", "30s"]);
    let folder = job.folder.path().join("board");
    let barrier = ["--barrier", folder.to_str().unwrap(), "--barrier-timeout", "30s"];
    let mut shards = [0, 1].map(|index| job.start(index, &barrier));
    let board = |name: &str| find(&folder, name);
    // Both are killed while their notes are on the board.
    shards[0].stderr.wait_for("paced");
    shards.iter_mut().for_each(Running::kill);
    let left = [board("start.json"), board("shard-1.json")];
    assert!(left.iter().all(|note| note.as_ref().is_some_and(|note| note.contains("\"lead\""))), "{left:?}");
    // The next run of the same name.
    let alone = job.start(1, &["--barrier", folder.to_str().unwrap(), "--barrier-timeout", "1s"]).finish();
    assert_eq!(code(&alone), 1, "{alone:?}");
    let alone = job.start(0, &["--barrier", folder.to_str().unwrap(), "--barrier-timeout", "1s"]).finish();
    assert!(text(&alone.stderr).contains("shard 1 of 2 was not ready"), "{alone:?}");
    let next = Job::new(broker.port(), 2, &PACED);
    next.run(&["--barrier", folder.to_str().unwrap()]);
    assert_eq!(next.merged()["delivery"]["lost"], 0);
}

/// What a note of the board says.
fn find(folder: &Path, name: &str) -> Option<String> {
    let run = std::fs::read_dir(folder).ok()?.next()?.ok()?.path();
    std::fs::read_to_string(run.join(name)).ok()
}

#[test]
fn shards_with_different_plans_do_not_start() {
    let broker = Mqbroker::start("listener 0 127.0.0.1\nallow_anonymous true\n");
    let job = Job::new(broker.port(), 2, &PACED);
    let shards = [job.start(0, &[]), job.start(1, &["--rate", "300"])];
    for shard in shards {
        let output = shard.finish();
        assert_eq!(code(&output), 1);
        assert!(text(&output.stderr).contains("shard 1 has another plan, seed or version than shard 0"), "{output:?}");
    }
    let output = run(&mut job.command(0, &["--start-at", "5"]));
    assert!(text(&output.stderr).contains("choose a later moment"), "{output:?}");
    let output = run(&mut job.command(1, &["--control", "mqtt://127.0.0.1:1"]));
    assert!(text(&output.stderr).contains("the barrier at 127.0.0.1:1 failed"), "{output:?}");
}
