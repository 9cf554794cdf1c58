//! A tool of the suite as a process: started with arguments, fed, watched, and never left behind.

#![allow(dead_code)] // a test takes what it needs of it

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::process::{PATIENCE, ended_by, signal};

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

/// A process that runs. Killed with the test, whatever comes of it.
pub struct Tool {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<Vec<u8>>,
    /// Lines of stdout that were taken already.
    seen: Vec<u8>,
    stderr_lines: mpsc::Receiver<String>,
    stderr_seen: String,
    readers: Vec<JoinHandle<()>>,
}

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
        let mut command = command(program, arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        let (line, lines) = mpsc::channel();
        let (stderr_line, stderr_lines) = mpsc::channel();
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut readers = Vec::new();
        if let (Some(stdout), Some(stderr)) = (stdout, stderr) {
            readers.push(std::thread::spawn(move || send_lines(stdout, &line)));
            readers.push(std::thread::spawn(move || {
                for text in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let _ = stderr_line.send(text);
                }
            }));
        }
        Self { child, stdin, lines, seen: Vec::new(), stderr_lines, stderr_seen: String::new(), readers }
    }

    /// Writes to stdin. A process that has ended already swallows it.
    pub fn feed(&mut self, bytes: &[u8]) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(bytes).and_then(|()| stdin.flush());
        }
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// The next line of stdout, with its line end.
    pub fn line(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.seen.extend_from_slice(&line);
                String::from_utf8_lossy(&line).into_owned()
            }
            Err(error) => panic!("no line on stdout ({error}); stderr: {}", self.stderr_so_far()),
        }
    }

    /// Waits for a line of stderr that holds this text.
    pub fn wait_for_stderr(&mut self, text: &str) -> String {
        loop {
            match self.stderr_lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.stderr_seen.push_str(&line);
                    self.stderr_seen.push('\n');
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with {text:?} on stderr ({error}): {}", self.stderr_seen),
            }
        }
    }

    fn stderr_so_far(&mut self) -> String {
        for line in self.stderr_lines.try_iter() {
            self.stderr_seen.push_str(&line);
            self.stderr_seen.push('\n');
        }
        self.stderr_seen.clone()
    }

    /// Sends a signal, as `kill -INT` does.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), &format!("-{name}"));
    }

    /// Closes stdin and waits for the end.
    pub fn end(mut self) -> Ended {
        self.stdin = None;
        let (done, ended) = mpsc::channel();
        let id = self.child.id();
        let guard = std::thread::spawn(move || {
            if ended.recv_timeout(PATIENCE).is_err() {
                signal(id, "-KILL");
            }
        });
        let status = self.child.wait().unwrap_or_else(|error| panic!("{error}"));
        let _ = done.send(());
        let _ = guard.join();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let mut stdout = std::mem::take(&mut self.seen);
        self.lines.try_iter().for_each(|line| stdout.extend_from_slice(&line));
        Ended { code: status.code(), signal: ended_by(status), stdout, stderr: self.stderr_so_far() }
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send_lines(stdout: impl Read, line: &mpsc::Sender<Vec<u8>>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut text = Vec::new();
        match stdout.read_until(b'\n', &mut text) {
            Ok(1..) if line.send(text).is_ok() => {}
            _ => return,
        }
    }
}

/// Whether this program of mosquitto is there. In CI it must be.
pub fn has(program: &str) -> bool {
    // Any answer will do: mosquitto's tools print their version with exit status 1.
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !there {
        assert!(std::env::var_os("CI").is_none(), "{program} is missing");
        eprintln!("skipped: {program} is not installed");
    }
    there
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
