//! Running mqbench: its document, its exit status, its stderr.

use std::process::{Command, Output};

use serde_json::Value;

use super::process::{run, text};
use super::schema::check_document;

/// mqbench against a port of this machine.
pub fn mqbench(port: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqbench"));
    command.args(["-h", "127.0.0.1", "-p", port]).args(arguments).env_remove("MQTT_PASSWORD");
    command
}

/// The exit status.
pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// Runs with `--json` and returns the document, the exit status and stderr.
pub fn measure(port: &str, arguments: &[&str]) -> (Value, i32, String) {
    measured(mqbench(port, arguments).arg("--json"))
}

/// The same of a command that has all its arguments.
pub fn measured(command: &mut Command) -> (Value, i32, String) {
    let output = run(command);
    let document =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error} for {command:?}: {output:?}"));
    check_document(&document);
    (document, code(&output), text(&output.stderr))
}

/// A run that cannot measure: its stderr and its exit status.
pub fn fail(port: &str, arguments: &[&str]) -> (String, i32) {
    let output = run(&mut mqbench(port, arguments));
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    (text(&output.stderr), code(&output))
}
