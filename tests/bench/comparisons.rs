//! Several runs of mqbench: repeats, gates against a baseline, two brokers in turns, saved results, the search.
//!
//! Whatever depends on how fast this machine is comes from saved results, or is a count.

use std::path::{Path, PathBuf};
use std::process::Command;

use mqtools::mqtt::ReasonCode;
use serde_json::{Value, json};

use crate::support::bench::{code, fail, measure, measured, mqbench};
use crate::support::process::{Running, ended_by, run, text};
use crate::support::scripted_broker::{Script, ScriptedBroker};

/// A closed loop of 300 messages: how long it takes decides nothing.
const COUNTED: [&str; 11] = ["-q", "1", "--flood", "-C", "300", "--pubs", "1", "--subs", "1", "--drain", "1s"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&COUNTED[..], more].concat()
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A saved result of four runs.
fn four_runs(folder: &Path) -> PathBuf {
    let (broker, file) = (ScriptedBroker::start(Script::default().without_log()), folder.join("base.json"));
    let output = run(&mut mqbench(&broker.port(), &with(&["--runs", "4", "--cool-down", "0", "--out", name(&file)])));
    assert_eq!(code(&output), 0, "{output:?}");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(stderr.contains("run 2 of 4") && stdout.contains("4 of 4 valid"), "{stderr}{stdout}");
    file
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// The same result with another figure in all its runs.
fn changed(file: &Path, figure: &str, change: impl Fn(f64) -> f64) -> PathBuf {
    let mut document = read(file);
    for run in document["runs"].as_array_mut().unwrap() {
        let value = run["figures"][figure].as_f64().unwrap();
        run["figures"][figure] = json!(change(value));
    }
    let other = file.with_file_name(format!("{figure}.json"));
    std::fs::write(&other, document.to_string()).unwrap();
    other
}

fn compare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqbench"));
    command.arg("compare").args(arguments);
    command
}

#[test]
fn saved_results_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let base = four_runs(folder.path());
    let document = read(&base);
    let runs = document["runs"].as_array().unwrap();
    let tags: std::collections::BTreeSet<_> = runs.iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!((runs.len(), tags.len()), (4, 4), "each run has its own tag");
    assert_eq!(
        (&document["stats"]["sent"]["median"], &document["stats"]["lost"]["ci95"]),
        (&json!(300), &json!([0, 0]))
    );
    // Runs that scatter so much as these may say nothing: they are made alike first.
    let even = changed(&base, "delivered_per_s", |_| 1000.0);
    let even = changed(&even, "e2e.p50", |_| 100_000.0);
    let slower = changed(&even, "delivered_per_s", |rate| rate * 0.8);
    let faster = folder.path().join("faster.json");
    std::fs::copy(changed(&slower, "delivered_per_s", |rate| rate * 2.0), &faster).unwrap();
    let markdown = folder.path().join("c.md");
    for (new, status, verdict) in [(&even, 0, "same"), (&faster, 0, "better")] {
        let (document, code, _) = measured(compare(&[name(&even), name(new)]).arg("--json"));
        assert_eq!((code, document["schema"].as_str()), (status, Some("mqbench-compare/1")));
        let metrics = document["comparisons"][0]["metrics"].as_array().unwrap();
        let rate = metrics.iter().find(|metric| metric["metric"] == "delivered_per_s").unwrap();
        assert_eq!((&rate["verdict"], &rate["counts"]), (&json!(verdict), &json!(true)), "{rate}");
    }
    let slower = changed(&faster, "delivered_per_s", |_| 500.0);
    let output = run(compare(&[name(&even), "vs", name(&slower)]).args(["--out", name(&markdown)]));
    assert_eq!(code(&output), 5, "{output:?}");
    assert!(text(&output.stdout).starts_with("worse  delivered_per_s -50 %"), "{}", text(&output.stdout));
    let page = std::fs::read_to_string(&markdown).unwrap();
    assert!(page.starts_with("## ❌ mqbench compare: worse") && page.contains("-50 %"), "{page}");
}

#[test]
fn what_is_no_comparison_is_refused() {
    for (arguments, words) in [
        (&["a.json"][..], "two results"),
        (&["vs", "a.json"], "both sides"),
        (&["a.json", "b.json", "--runs", "3"], "--runs: only for a load"),
        (&["a.json", "b.json", "--out", "c.csv"], "is written as .json, .md or .html"),
    ] {
        let output = run(&mut compare(arguments));
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(text(&output.stderr).contains(words), "{arguments:?}: {}", text(&output.stderr));
    }
    let output = run(&mut compare(&["/nowhere/a.json", "/nowhere/b.json"]));
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("/nowhere/a.json"), "{output:?}");
}

#[test]
fn gates_compare_with_a_baseline() {
    let folder = tempfile::tempdir().unwrap();
    let base = four_runs(folder.path());
    let broker = ScriptedBroker::start(Script::default().without_log());
    for (gate, status) in [("vs(sent) == 0%", 0), ("vs(sent) < -5%", 3), ("vs(lost) <= 0% && lost == 0", 0)] {
        let arguments = with(&["--baseline", name(&base), "--gate", gate]);
        let (document, code, stderr) = measure(&broker.port(), &arguments);
        assert_eq!(code, status, "{gate}: {stderr}");
        let gate = &document["gates"][0];
        assert_eq!((gate["pass"] == true, gate["reason"].is_null()), (status == 0, status == 0), "{gate}");
        assert!(document["compare"]["metrics"].is_array());
    }
    // Another plan, which is named.
    let mut arguments = with(&["--baseline", name(&base), "--gate", "vs(sent) == 0%"]);
    arguments[1] = "0";
    let (document, status, _) = measure(&broker.port(), &arguments);
    assert_eq!((status, document["compare"]["verdict"].as_str()), (0, Some("cannot say")));
    let warning = document["warnings"].as_array().unwrap().iter().find(|it| it["code"] == "baseline-of-another-plan");
    assert!(warning.unwrap()["text"].as_str().unwrap().contains("qos 1 → 0"), "{warning:?}");
    // Before anything connects: nothing listens there.
    let foreign = folder.path().join("foreign.json");
    std::fs::write(&foreign, "{\"schema\": \"other/1\"}").unwrap();
    for (arguments, words) in [
        (vec!["--gate", "vs(sent) == 0%"], "add --baseline FILE"),
        (vec!["--baseline", "/nowhere.json"], "/nowhere.json"),
        (vec!["--baseline", name(&foreign)], "other/1"),
        (vec!["--baseline", name(&base), "--gate", "vs(sent) == 0"], "percent"),
    ] {
        let (stderr, status) = fail("1", &arguments);
        assert_eq!(status, 2, "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}

#[test]
fn two_brokers_take_turns_and_the_worse_one_is_found() {
    let good = ScriptedBroker::start(Script::default().without_log());
    // One of the 300 messages of each run.
    let lossy = ScriptedBroker::start(Script::default().drop_deliveries([3, 303, 603, 903]).without_log());
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", good.port(), lossy.port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqbench"));
    command.args(with(&["--hosts", &hosts, "--ab", "--runs", "4", "--cool-down", "0", "--json"]));
    let (document, status, stderr) = measured(command.args(["--gate", "lost == 0"]));
    assert_eq!(status, 3, "a gate that fails comes before a regression: {stderr}");
    let comparison = &document["comparisons"][0];
    let lost = comparison["metrics"].as_array().unwrap().iter().find(|metric| metric["metric"] == "lost").unwrap();
    assert_eq!(
        (&lost["verdict"], &lost["base"]["median"], &lost["new"]["median"]),
        (&json!("worse"), &json!(0), &json!(1))
    );
    assert!(comparison["regressions"].as_array().unwrap().contains(&json!("lost")), "{comparison}");
    assert_eq!(comparison["plan_differences"], json!([]));
    assert!(stderr.contains("run 8 of 8"), "{stderr}");
    assert!(comparison["base"]["urls"][0].as_str().unwrap().ends_with(&good.port()));
}

#[cfg(unix)]
#[test]
fn an_interruption_between_two_runs_keeps_those_that_were_made() {
    let broker = ScriptedBroker::start(Script::default());
    let arguments = with(&["--runs", "9", "--cool-down", "1h", "--json", "--no-sys"]);
    let child = Running::start(&mut mqbench(&broker.port(), &arguments));
    broker.wait_for("the end of the first run", |log| log.disconnects(ReasonCode::SUCCESS) >= 2);
    child.signal("INT");
    let output = child.finish();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((ended_by(output.status), document["status"].as_str()), (Some(2), Some("partial")));
    assert_eq!((document["runs"].as_array().unwrap().len(), &document["stats"]["sent"]["median"]), (1, &json!(300)));
}

#[test]
fn a_search_ends_with_a_curve() {
    let broker = ScriptedBroker::start(Script::default().without_log());
    // Whether this machine keeps such a schedule is nobody's promise: the search ends either way.
    let arguments = [
        "find",
        "-q",
        "1",
        "--pubs",
        "1",
        "--subs",
        "1",
        "--find-from",
        "50",
        "--probe",
        "200ms",
        "--warmup",
        "0",
        "--find-limit",
        "3s",
        "--slo",
        "lost == 0",
    ];
    let (document, status, stderr) = measure(&broker.port(), &arguments);
    assert!([0, 1, 4].contains(&status), "{status}: {stderr}");
    let points = document["curve"]["points"].as_array().unwrap();
    assert_eq!((points[0]["rate_per_s"].as_f64(), document["curve"]["slo"].as_str()), (Some(50.0), Some("lost == 0")));
    assert!(stderr.contains("find: 50.0/s (bracket), about"), "{stderr}");
    for (arguments, words) in [
        (&["find", "--slo", "e2e.p98 < 1ms"][..], "--slo 'e2e.p98 < 1ms': no metric 'e2e.p98'"),
        (&["find", "--slo", "vs(lost) < 1%"], "use a fixed limit"),
        (&["find", "--rate", "5"], "mqbench find chooses the rates itself"),
        (&["--slo", "lost == 0"], "--slo: only for mqbench find"),
        (&["--ab"], "add --hosts A,B"),
        (&["--runs", "0"], "1 to 1000"),
    ] {
        let (stderr, status) = fail("1", arguments);
        assert_eq!(status, 2, "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
}
