//! The rows as tests.
//!
//! They are written against mosquitto 2.0, which distributions have. Where 2.1 differs, a row says what it expects of
//! us and why. Rows that need mosquitto are ignored where it is missing or another version; with `CI` set, a missing
//! one is a failure.

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

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use row::{Row, Stage};

/// Many rows wait for a clock, and they do so side by side.
const THREADS: usize = 8;

pub fn run() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let mosquitto: Arc<OnceLock<Result<(), String>>> = Arc::default();
    let stage: Arc<Stage> = Arc::default();
    let rows = all_rows().into_iter().map(|row| {
        let kind = kind(&row);
        let (stage, mosquitto) = (Arc::clone(&stage), Arc::clone(&mosquitto));
        Trial::ignorable_test(row.name(), move || {
            if row.needs_mosquitto()
                && let Err(reason) = mosquitto.get_or_init(usable_mosquitto)
            {
                return skipped(reason);
            }
            row.run(&stage).map_or(Ok(Completion::Completed), |fault| Err(fault.into()))
        })
        .with_kind(kind)
    });
    let more = [
        Trial::test("compat_in_front_does_what_the_name_does", compat_in_front_does_what_the_name_does),
        Trial::test("names_of_rows_are_unique", names_of_rows_are_unique),
    ];
    let trials = rows.chain(more).collect();
    drop(stage); // the last row ends the broker
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn kind(row: &Row) -> &'static str {
    match row {
        row if row.is_golden() => "2.1",
        row if row.is_allowed() => "known",
        _ => "same",
    }
}

/// Why rows that need mosquitto cannot run.
fn usable_mosquitto() -> Result<(), String> {
    match program::mosquitto_version() {
        Some(version) if version.starts_with("2.0.") => Ok(()),
        Some(version) => Err(format!("written against mosquitto 2.0, this is {version}")),
        None => Err("mosquitto, mosquitto_pub, mosquitto_sub or mosquitto_rr is not installed".to_owned()),
    }
}

fn skipped(reason: &str) -> Result<Completion, Failed> {
    match std::env::var_os("CI") {
        Some(_) if reason.ends_with("not installed") => Err(reason.into()),
        _ => Ok(Completion::ignored_with(reason)),
    }
}

fn all_rows() -> Vec<Row> {
    [arguments::rows(), settings::rows(), output::rows(), delivery::rows(), session::rows(), request::rows()].concat()
}

/// Under our own names the first argument decides.
fn compat_in_front_does_what_the_name_does() -> Result<(), Failed> {
    for (program, name) in [
        (env!("CARGO_BIN_EXE_mqpub"), "mosquitto_pub"),
        (env!("CARGO_BIN_EXE_mqsub"), "mosquitto_sub"),
        (env!("CARGO_BIN_EXE_mqrr"), "mosquitto_rr"),
    ] {
        let run = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
            let ended = program::end(program::start(program.into(), &arguments, b"", "/nowhere".as_ref()));
            (ended.code, String::from_utf8(ended.stderr).unwrap(), ended.stdout)
        };
        let text = format!("Error: Unknown option '-Z'.\n\nUse '{name} --help' to see usage.\n");
        assert_eq!(run(&["--compat", "-Z"]), (Some(1), text, Vec::new()));
        assert_eq!(run(&["-Z", "--compat"]).0, Some(2));
        let (code, stderr, stdout) = run(&["--compat", "--version"]);
        assert_eq!((code, stderr.as_str()), (Some(1), ""));
        assert!(stdout.starts_with(format!("{name} version 2.1.2 ").as_bytes()));
    }
    Ok(())
}

/// A row is found by its name, so that a difference can be looked up.
fn names_of_rows_are_unique() -> Result<(), Failed> {
    let mut names: Vec<String> = all_rows().iter().map(Row::name).collect();
    names.sort();
    let twice: Vec<&[String]> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "two rows are the same: {twice:#?}");
    Ok(())
}
