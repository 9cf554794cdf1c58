//! `mqbench self` and `mqbench doctor` as processes: their documents, what they save, and plans that do not fit.
//!
//! No speed is asserted: machines are shared.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use serde_json::Value;

use crate::support::ports;
use crate::support::process::{PATIENCE, Running, ended_by, run, text};
use crate::support::scripted_broker::{Script, ScriptedBroker};
use crate::support::whole::assert_whole;

fn mqbench(cache: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqbench"));
    command
        .args(arguments)
        .env("XDG_CONFIG_HOME", "/nowhere")
        .env("XDG_CACHE_HOME", cache)
        .env("NO_COLOR", "1")
        .env_remove("MQTT_PASSWORD");
    command
}

/// The same in a shell whose processes may open at most this many files.
fn with_files(cache: &Path, files: u32, arguments: &[&str]) -> Command {
    let inner = mqbench(cache, &[]);
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")])
        .arg(inner.get_program())
        .args(arguments)
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn self_measures_every_case_saves_its_ceiling_and_results_report_their_headroom() {
    let cache = tempfile::tempdir().unwrap();
    let output = run(&mut mqbench(cache.path(), &["self", "--json", "--threads", "1"]));
    let (found, stderr) = (document(&output), text(&output.stderr));
    assert_eq!((output.status.code(), found["schema"].as_str()), (Some(0), Some("mqbench-self/1")), "{stderr}");
    let cases = found["cases"].as_array().unwrap();
    for qos in 0..3 {
        assert!(cases.iter().any(|case| case["qos"] == qos), "QoS {qos}");
    }
    for case in cases {
        for name in ["limit", "engine"] {
            assert!(case[name]["per_s"].as_f64().unwrap() > 0.0, "{case}");
        }
        assert!(case["ceiling_per_s"].as_f64().unwrap() > 0.0, "{case}");
    }
    // A round in which a busy machine gave a thread no time has no share.
    let shares: Vec<f64> = cases.iter().filter_map(|case| case["share_pct"].as_f64()).collect();
    assert!(!shares.is_empty() && shares.iter().all(|share| *share > 0.0), "{shares:?}");
    assert!(found["recording_ns_per_message"].as_f64().unwrap() > 0.0);
    assert!(found["sched_lag"]["p99_ns"].as_u64().unwrap() > 0);
    let saved = cache.path().join("mqtools/self.json");
    assert_eq!(found["saved_to"].as_str(), saved.to_str());

    let broker = ScriptedBroker::start(Script::default().without_log());
    let port = broker.port();
    let arguments =
        ["pub", "-h", "127.0.0.1", "-p", &port, "-q", "1", "--flood", "-C", "2000", "--clients", "1", "--json"];
    let generator = |output: &Output| document(output)["generator"].clone();
    let with = generator(&run(&mut mqbench(cache.path(), &arguments)));
    assert!(with["ceiling_per_s"].as_f64().unwrap() > 0.0, "{with}");
    let headroom = with["headroom_pct"].as_f64().unwrap();
    assert!((0.0..=100.0).contains(&headroom), "{with}");

    // What receiving costs was not measured.
    let both = generator(&run(&mut mqbench(cache.path(), &arguments[1..])));
    assert!(both["ceiling_per_s"].is_null() && both["headroom_pct"].is_null(), "{both}");

    // Garbage, and a folder where a file should be, are as good as nothing.
    std::fs::write(&saved, b"{\"machines\": garbage").unwrap();
    let without = generator(&run(&mut mqbench(cache.path(), &arguments)));
    assert!(without["ceiling_per_s"].is_null() && without["headroom_pct"].is_null(), "{without}");
    std::fs::remove_file(&saved).unwrap();
    std::fs::create_dir(&saved).unwrap();
    let output = run(&mut mqbench(cache.path(), &arguments));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

/// Whether a process has a handler for SIGINT (proc(5), SigCgt).
fn catches_interrupts(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & (1 << (2 - 1)) != 0)
}

#[test]
fn self_that_is_interrupted_shows_what_it_has_and_saves_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let child = Running::start(&mut mqbench(cache.path(), &["self", "--full", "--json"]));
    // It is at work once both ends of a connection are open; descriptors alone may be those of this process.
    let descriptors = format!("/proc/{}/fd", child.id());
    let deadline = Instant::now() + PATIENCE;
    while !catches_interrupts(child.id()) || std::fs::read_dir(&descriptors).map_or(0, Iterator::count) < 16 {
        assert!(Instant::now() < deadline, "it does not begin");
        std::thread::yield_now();
    }
    child.signal("INT");
    let output = child.finish();
    let found = document(&output);
    assert_eq!((ended_by(output.status), found["status"].as_str()), (Some(2), Some("partial")));
    assert!(found["saved_to"].is_null() && !cache.path().join("mqtools").exists());
}

#[test]
fn self_refuses_the_options_of_other_loads() {
    let cache = tempfile::tempdir().unwrap();
    let output = run(&mut mqbench(cache.path(), &["self", "-h", "broker", "--rate", "5", "--shape", "p2p", "-q", "1"]));
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    let expected = "\
        Error: mqbench self uses its own sink: remove -h\n\
        Error: mqbench self uses its own load: remove --shape\n\
        Error: mqbench self uses its own load: remove --rate\n\
        Error: mqbench self uses its own load: remove -q\n\
        \n\
        Try 'mqbench --help'.\n";
    assert_whole(&stderr, expected);
    let output = run(&mut mqbench(cache.path(), &["--full"]));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn doctor_judges_the_plan_without_connecting() {
    let cache = tempfile::tempdir().unwrap();
    // Nobody listens there, and the doctor does not mind.
    let port = ports::free().to_string();
    let output = run(&mut mqbench(cache.path(), &["doctor", "-h", "127.0.0.1", "-p", &port, "--clients", "5"]));
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}{}", text(&output.stderr));
    for part in ["10 clients", "open files", "local ports", "memory", "clock", "timer", "fits this machine"] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    let output = run(&mut mqbench(cache.path(), &["doctor", "--clients", "400k", "--json"]));
    let found = document(&output);
    assert_eq!((found["schema"].as_str(), found["status"].as_str()), (Some("mqbench-doctor/1"), Some("fail")));
    assert_eq!(output.status.code(), Some(1), "800,000 clients have no ports");
    let ports = found["checks"].as_array().unwrap().iter().find(|check| check["name"] == "local ports").unwrap();
    assert_eq!(ports["level"], "fail");
    assert!(!ports["remedies"].as_array().unwrap().is_empty());
}

#[test]
fn a_plan_that_does_not_fit_fails_before_any_connection() {
    let cache = tempfile::tempdir().unwrap();
    let broker = TcpListener::bind("127.0.0.1:0").unwrap();
    broker.set_nonblocking(true).unwrap();
    let port = broker.local_addr().unwrap().port().to_string();
    let arguments = ["-h", "127.0.0.1", "-p", &port, "--clients", "100", "--json"];
    let output = run(&mut with_files(cache.path(), 128, &arguments));
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for part in ["no connection was made", "open files", "128 for this process", "prlimit", "mqbench doctor"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    let found = document(&output);
    assert_eq!(found["status"], "failed");
    assert!(broker.accept().is_err(), "it has connected");
    // The doctor says the same of the same plan.
    let output = run(&mut with_files(cache.path(), 128, &[&["doctor"], &arguments[..]].concat()));
    assert_eq!(output.status.code(), Some(1));
    assert!(broker.accept().is_err(), "it has connected");
}
