//! A mqbroker as a process, with its log and the figures that the system has about it.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Command, ExitStatus};

use tempfile::TempDir;

use super::process::Running;

/// The program.
pub const MQBROKER: &str = env!("CARGO_BIN_EXE_mqbroker");

/// A running mqbroker. Ended with the test, whatever comes of it.
pub struct Mqbroker {
    process: Running,
    /// The configuration, and whatever the broker writes, where the test has no folder for it.
    _folder: Option<TempDir>,
}

impl Mqbroker {
    /// Starts one with this configuration, and waits until it runs.
    pub fn start(configuration: &str) -> Self {
        Self::start_with(configuration, |_| {})
    }

    /// Starts one; `prepare` puts files into its folder.
    pub fn start_with(configuration: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let broker = Self::start_in(folder.path(), configuration, &[]);
        Self { _folder: Some(folder), ..broker }
    }

    /// Starts one whose files are in this folder, with further arguments.
    pub fn start_in(folder: &Path, configuration: &str, arguments: &[&str]) -> Self {
        let file = folder.join("broker.conf");
        std::fs::write(&file, configuration).unwrap();
        Self::of(Command::new(MQBROKER).args(arguments).arg("-c").arg(&file).current_dir(folder))
    }

    /// The broker that this command starts, once it runs.
    pub fn of(command: &mut Command) -> Self {
        let mut process = Running::start(command);
        process.stderr.wait_for("mqbroker running");
        Self { process, _folder: None }
    }

    /// Waits for a line of the log that holds this text.
    pub fn wait_for(&mut self, text: &str) -> String {
        self.process.stderr.wait_for(text)
    }

    /// The addresses on which it listens: those of TCP and TLS in the order of the configuration, then those of
    /// WebSocket.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let log = self.process.stderr.seen();
        let listening = log.lines().filter_map(|line| Some(line.split_once("Listening on ")?.1));
        listening
            .map(|url| url.trim_start_matches("ws://").trim_start_matches("wss://").trim_start_matches("mqtts://"))
            .filter_map(|url| url.split(['/', ' ']).next()?.parse().ok()) // a Unix socket has none
            .collect()
    }

    /// The first of its addresses.
    pub fn address(&self) -> SocketAddr {
        self.addresses()[0]
    }

    /// The port of the first of its addresses.
    pub fn port(&self) -> String {
        self.address().port().to_string()
    }

    /// The memory that it has (VmRSS), in KB.
    #[cfg(target_os = "linux")]
    pub fn resident_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        resident.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Sends a signal and waits for the end.
    pub fn end_by(&mut self, name: &str) -> ExitStatus {
        self.process.signal(name);
        self.process.wait()
    }
}

impl Deref for Mqbroker {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.process
    }
}

impl DerefMut for Mqbroker {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.process
    }
}
