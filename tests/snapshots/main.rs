//! What the tools print, beside a stored copy of it: every help text, and an error for every way to misuse an option.
//!
//! The files in this folder look like a terminal: a line with `$` is run by a shell, and what stands below it is its
//! stdout and stderr, with `? N` in front for an exit status N other than 0. To add a case, write its `$` line; to
//! accept what the tools print now: `BLESS=1 cargo test --test snapshots`.
//!
//! The environment is the same everywhere: nothing is inherited, output is 100 columns wide, and nothing listens where
//! the tools connect to.

#![cfg(unix)]
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use snapbox::assert::Action;
use snapbox::{Assert, Data, Redactions};

mod console;
mod lessons;
#[allow(dead_code)]
#[path = "../support/mqbroker.rs"]
mod mqbroker;
mod pages;
#[path = "../support/ports.rs"]
#[allow(dead_code)]
mod ports;
#[allow(dead_code)]
#[path = "../support/process.rs"]
mod process;
mod readme;
mod recipes;

/// Whether what the tools print now is to be stored.
fn is_blessing() -> bool {
    std::env::var_os("BLESS").is_some()
}

/// Runs every `$` line of a file and compares the file with what came.
fn check(name: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    let stored = std::fs::read_to_string(&file).unwrap();
    let mut current = String::new();
    for line in stored.lines().filter(|line| line.starts_with(['$', '#'])) {
        // A comment stands right above its case.
        if !current.is_empty() && !current.lines().next_back().unwrap().starts_with('#') {
            current.push('\n');
        }
        current.push_str(line);
        current.push('\n');
        if let Some(command) = line.strip_prefix("$ ") {
            current.push_str(&outcome(command));
        }
    }
    let action = if is_blessing() { Action::Overwrite } else { Action::Verify };
    let mut redactions = Redactions::new();
    redactions.insert("[VERSION]", env!("CARGO_PKG_VERSION")).unwrap();
    Assert::new()
        .action(action)
        .normalize_paths(false)
        .redact_with(redactions)
        .eq(current, Data::read_from(&file, None));
}

/// What a command prints, and how it ends. Blank lines that it prints hold a `|`, since an empty line ends a case.
fn outcome(command: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let tools: PathBuf = Path::new(env!("CARGO_BIN_EXE_mqpub")).parent().unwrap().into();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("exec 2>&1; {command}")])
        .current_dir(folder.path())
        .env_clear()
        .envs([("HOME", "/nowhere"), ("XDG_CONFIG_HOME", "/nowhere"), ("LC_ALL", "C"), ("TZ", "UTC")])
        .env("COLUMNS", "100")
        .env("PATH", format!("{}:/usr/bin:/bin", tools.display()));
    let output = process::run(&mut shell);
    let mut text = match output.status.code() {
        Some(0) => String::new(),
        Some(code) => format!("? {code}\n"),
        None => format!("? {}\n", output.status),
    };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let line = line.trim_end();
        let escaped = line.is_empty() || line.starts_with(['$', '#', '|']);
        let _ = if escaped { writeln!(text, "|{line}") } else { writeln!(text, "{line}") };
    }
    text
}

/// One test for each file.
macro_rules! snapshots {
    ($($name:ident)*) => { $(#[test] fn $name() { check(concat!(stringify!($name), ".console")); })* };
}

snapshots! {
    help_of_mqpub
    help_of_mqsub
    help_of_mqrr
    help_of_mqbench
    help_of_mqbroker
    help_under_mosquittos_names
    errors_of_all_tools
    errors_of_mqpub
    errors_of_mqsub
    errors_of_mqrr
    errors_of_mqbench
    errors_of_mqbroker
    errors_of_options_files
    errors_of_properties
    errors_under_mosquittos_names
}

/// A file that nobody runs would be a test that cannot fail.
#[test]
fn every_file_is_run() {
    let source = include_str!("main.rs");
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let run = name.strip_suffix(".console").is_none_or(|name| source.contains(&format!("    {name}\n")));
        assert!(run, "{name} is not in the list of tests/snapshots/main.rs");
    }
}
