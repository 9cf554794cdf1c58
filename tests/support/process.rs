//! Running a tool to its end: what it printed, how it ended, and never forever.

use std::io;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Far above what anything here takes; reached only by a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a command with its outputs piped and nothing on stdin.
pub fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for a process and returns what it printed; one that does not end is killed and fails the test.
pub fn finish(child: Child) -> Output {
    let id = child.id();
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let output: io::Result<Output> = ended.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        signal(id, "-KILL");
        panic!("process {id} does not end");
    });
    output.unwrap()
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    finish(start(command))
}

/// Sends a signal to a process of the test's own.
pub fn signal(id: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &id.to_string()]).status().unwrap();
    assert!(status.success(), "kill {signal} {id}");
}

/// What a process wrote, as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The signal that ended a process.
#[cfg(unix)]
pub fn ended_by(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

/// The signal that ended a process: here there are none.
#[cfg(not(unix))]
pub fn ended_by(_: ExitStatus) -> Option<i32> {
    None
}
