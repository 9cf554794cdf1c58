//! mqpub, mqsub and mqrr under mosquitto's names against the real clients of mosquitto: the same arguments, the same broker, and then stdout, stderr, exit status and what others saw are compared.
//!
//! The rows are written against mosquitto 2.0, which distributions have. Where 2.1 differs, a row says what it expects
//! of us and why. Without mosquitto the test is skipped; with `CI=true` that is a failure.

#![cfg(unix)] // links and signals
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a test may

mod arguments;
mod broker;
mod canned;
mod delivery;
mod output;
mod program;
mod request;
mod row;
mod session;
mod settings;
#[path = "../support/socket.rs"]
mod socket;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use broker::Broker;
use program::Links;
use row::{Row, Stage};

/// Rows that wait for a clock do so side by side.
const THREADS: usize = 8;

#[test]
fn mosquittos_clients_and_ours_do_the_same() {
    let Some(version) = program::mosquitto_version() else {
        assert!(
            std::env::var("CI").is_err(),
            "mosquitto, mosquitto_pub, mosquitto_sub and mosquitto_rr are to be installed in CI"
        );
        println!("skipped: mosquitto is not installed");
        return;
    };
    assert!(version.starts_with("2.0."), "these rows are written against mosquitto 2.0, this is {version}");
    let rows = all_rows();
    let broker = Broker::start();
    let links = Links::make();
    let stage = Stage { broker: &broker, links: &links };
    let next = AtomicUsize::new(0);
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let fault = row.run(&stage);
                    faults.lock().unwrap().extend(fault);
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    let allowed = rows.iter().filter(|row| row.is_allowed()).count();
    let golden = rows.iter().filter(|row| row.is_golden()).count();
    println!(
        "parity with mosquitto {version}: {} rows, of which {} the same, {allowed} with a known difference, {golden} of 2.1 only",
        rows.len(),
        rows.len() - allowed - golden,
    );
    assert!(faults.is_empty(), "{} of {} rows differ:\n{}", faults.len(), rows.len(), faults.join("\n"));
}

fn all_rows() -> Vec<Row> {
    [arguments::rows(), settings::rows(), output::rows(), delivery::rows(), session::rows(), request::rows()].concat()
}

/// Under our own names the first argument decides.
#[test]
fn compat_in_front_does_what_the_name_does() {
    for (program, name) in [
        (env!("CARGO_BIN_EXE_mqpub"), "mosquitto_pub"),
        (env!("CARGO_BIN_EXE_mqsub"), "mosquitto_sub"),
        (env!("CARGO_BIN_EXE_mqrr"), "mosquitto_rr"),
    ] {
        let run = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
            let ended = program::start(program.into(), &arguments, b"", "/nowhere".as_ref()).wait();
            (ended.code, String::from_utf8(ended.stderr).unwrap(), ended.stdout)
        };
        let text = format!("Error: Unknown option '-Z'.\n\nUse '{name} --help' to see usage.\n");
        assert_eq!(run(&["--compat", "-Z"]), (Some(1), text, Vec::new()));
        assert_eq!(run(&["-Z", "--compat"]).0, Some(2));
        let (code, stderr, stdout) = run(&["--compat", "--version"]);
        assert_eq!((code, stderr.as_str()), (Some(1), ""));
        assert!(stdout.starts_with(format!("{name} version 2.1.2 ").as_bytes()));
    }
}

/// A row is found by its name, so that a difference can be looked up.
#[test]
fn every_row_has_a_name_of_its_own() {
    let mut names: Vec<String> = all_rows().iter().map(|row| row.name()).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "two rows are the same");
}
