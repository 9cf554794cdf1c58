//! A mqbroker that runs in a folder of its own, with the figures that the system has about it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;

use tempfile::TempDir;

use crate::support::process::{PATIENCE, signal};

/// A running mqbroker. Ended with the test, whatever comes of it.
pub struct Mqbroker {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// The lines of its log so far that a test has looked at.
    seen: Vec<String>,
    /// The configuration, and whatever the broker writes.
    _folder: TempDir,
}

impl Mqbroker {
    /// Starts one with this configuration, and waits until it runs.
    pub fn start(configuration: &str) -> Self {
        Self::start_with(configuration, |_| {}, |_| {})
    }

    /// Starts one; `prepare` puts files into its folder, `change` changes its command.
    pub fn start_with(configuration: &str, prepare: impl FnOnce(&Path), change: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let file = folder.path().join("broker.conf");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqbroker"));
        command.arg("-c").arg(&file).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        let mut broker = Self { child, lines, seen: Vec::new(), _folder: folder };
        broker.wait_for("mqbroker running");
        broker
    }

    /// Waits for a line of the log that holds this text.
    pub fn wait_for(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with {text:?} ({error}): {:#?}", self.seen),
            }
        }
    }

    /// The addresses on which it listens: those of TCP and TLS in the order of the configuration, then those of WebSocket.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let listening = self.seen.iter().filter_map(|line| Some(line.split_once("Listening on ")?.1));
        listening
            .map(|url| url.trim_start_matches("ws://").trim_start_matches("wss://").trim_start_matches("mqtts://"))
            .map(|url| url.split(['/', ' ']).next().unwrap().parse().unwrap())
            .collect()
    }

    /// The first of its addresses.
    pub fn address(&self) -> SocketAddr {
        self.addresses()[0]
    }

    /// The memory that it has (VmRSS), in KB.
    #[cfg(target_os = "linux")]
    pub fn resident_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        resident.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Sends a signal and waits for the end.
    pub fn end_by(&mut self, name: &str) -> ExitStatus {
        signal(self.child.id(), name);
        self.child.wait().unwrap()
    }
}

impl Drop for Mqbroker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
