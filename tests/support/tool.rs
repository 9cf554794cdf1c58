//! A tool of the suite as a process: a [`Running`] in its own environment.

#![allow(dead_code)] // a test takes what it needs of it

use std::ops::{Deref, DerefMut};
use std::process::Command;

use super::process::{Running, ended_by};

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status; none when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ended {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }
}

/// A tool that runs.
pub struct Tool(Running);

/// A command without the options files and variables of whoever runs the tests.
pub fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("XDG_CONFIG_HOME", "/nowhere").env("TZ", "UTC").env_remove("MQTT_PASSWORD");
    command
}

/// Runs a program to its end, with this on stdin.
pub fn run(program: &str, arguments: &[&str], stdin: &[u8]) -> Ended {
    let mut tool = Tool::start(program, arguments);
    tool.feed(stdin);
    tool.end()
}

impl Tool {
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        Self(Running::start_fed(&mut command(program, arguments)))
    }

    /// The next line of stdout, with its line end.
    pub fn line(&mut self) -> String {
        match self.stdout.next_line() {
            Some(line) => String::from_utf8_lossy(&line).into_owned(),
            None => panic!("no line on stdout; stderr: {}", String::from_utf8_lossy(&self.stderr.all())),
        }
    }

    /// Waits for a line of stderr that holds this text.
    pub fn wait_for_stderr(&mut self, text: &str) -> String {
        self.stderr.wait_for(text)
    }

    /// Closes stdin and waits for the end.
    pub fn end(self) -> Ended {
        let output = self.0.finish();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Ended { code: output.status.code(), signal: ended_by(output.status), stdout: output.stdout, stderr }
    }
}

impl Deref for Tool {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.0
    }
}

impl DerefMut for Tool {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.0
    }
}

/// The Python that has paho-mqtt: the first in the path may be another than the system's.
pub fn python_with_paho() -> Option<&'static str> {
    let found = ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        let import = Command::new(python).args(["-c", "import paho.mqtt.client"]).output();
        import.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "paho-mqtt for Python is not installed");
        eprintln!("skipped: paho-mqtt for Python is not installed");
    }
    found
}
