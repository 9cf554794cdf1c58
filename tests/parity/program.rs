//! Starting either program: the links under mosquitto's names, a clean environment, and an end in any case.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::mosquitto;
use crate::support::process::Running;
use crate::support::tool;

/// Which of the three clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Pub,
    Sub,
    Rr,
}

impl Tool {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pub => "mosquitto_pub",
            Self::Sub => "mosquitto_sub",
            Self::Rr => "mosquitto_rr",
        }
    }
}

/// Whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Mosquitto,
    Ours,
}

/// Our programs under mosquitto's names.
pub struct Links(tempfile::TempDir);

impl Links {
    pub fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        symlink(env!("CARGO_BIN_EXE_mqpub"), folder.path().join(Tool::Pub.name())).unwrap();
        symlink(env!("CARGO_BIN_EXE_mqsub"), folder.path().join(Tool::Sub.name())).unwrap();
        symlink(env!("CARGO_BIN_EXE_mqrr"), folder.path().join(Tool::Rr.name())).unwrap();
        Self(folder)
    }

    pub fn path(&self, side: Side, tool: Tool) -> PathBuf {
        match side {
            Side::Mosquitto => tool.name().into(),
            Side::Ours => self.0.path().join(tool.name()),
        }
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Starts a program, with its input closed once it is written.
pub fn start(program: PathBuf, arguments: &[String], stdin: &[u8], config_home: &std::path::Path) -> Running {
    let mut command = tool::command(program.to_str().unwrap(), &[]);
    let mut running = Running::start_fed(command.args(arguments).env("XDG_CONFIG_HOME", config_home));
    // A program that does not read is no fault.
    running.feed(stdin);
    running.close_stdin();
    running
}

/// Waits for its end.
pub fn end(running: Running) -> Ended {
    let output = running.finish();
    Ended { code: output.status.code(), stdout: output.stdout, stderr: output.stderr }
}

/// Sends SIGINT until the client ends: mosquitto_sub loses one that comes while it is busy. False if it does not end:
/// now and then mosquitto_sub 2.0 locks itself out in its handler, and then nothing but SIGKILL ends it.
pub fn interrupt(running: &mut Running) -> bool {
    let deadline = Instant::now() + Duration::from_secs(8);
    while !running.has_ended() && Instant::now() < deadline {
        running.signal("INT");
        let next = Instant::now() + Duration::from_millis(300);
        while !running.has_ended() && Instant::now() < next {
            // The standard library has no wait for a process with a limit of time.
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    running.has_ended()
}

/// The version of the installed mosquitto, where all its programs are there.
pub fn mosquitto_version() -> Option<String> {
    Command::new(mosquitto::find_program()?).arg("-h").output().ok()?;
    Command::new("mosquitto_sub").arg("--version").output().ok()?;
    Command::new("mosquitto_rr").arg("--version").output().ok()?;
    let output = Command::new("mosquitto_pub").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(2).map(str::to_owned)
}
