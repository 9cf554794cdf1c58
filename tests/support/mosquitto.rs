//! A real mosquitto on a free loopback port, started for a test and ended by its process number.
//!
//! Where mosquitto is not installed a test says so and passes; in CI (`CI` set) that is a failure.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::ports;
use super::process::Running;

/// A running mosquitto.
pub struct Mosquitto {
    program: PathBuf,
    process: Running,
    port: u16,
    /// Configuration and certificates.
    pub folder: TempDir,
}

impl Mosquitto {
    /// Starts one that anybody may use. None, with a word on stderr, where there is none.
    pub fn start() -> Option<Self> {
        Self::start_with("allow_anonymous true\n", |_| {})
    }

    /// Starts one with further lines of configuration, in which `{folder}` is its folder; `prepare` puts files there.
    pub fn start_with(configuration: &str, prepare: impl FnOnce(&Path)) -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        // Another program may take the port between the look and the start; then the next one is tried.
        for _ in 0..5 {
            let port = ports::free();
            let mut text = format!("listener {port} 127.0.0.1\nmax_inflight_messages 0\nmax_queued_messages 0\n");
            write!(text, "{}", configuration.replace("{folder}", &folder.path().display().to_string())).unwrap();
            let file = folder.path().join("mosquitto.conf");
            std::fs::write(&file, text).unwrap();
            if let Some(process) = serve(&program, &file) {
                return Some(Self { program, process, port, folder });
            }
        }
        panic!("mosquitto does not start with {configuration:?}");
    }

    /// Its port.
    pub fn port(&self) -> String {
        self.port.to_string()
    }

    /// Its process.
    pub fn process(&self) -> &Running {
        &self.process
    }

    /// Ends it with SIGTERM, as an administrator would, and waits until it is gone: what it keeps is on disk then.
    pub fn stop(&mut self) {
        self.process.signal("TERM");
        self.process.wait();
    }

    /// Starts it again after [`Mosquitto::stop`], on the same port.
    pub fn start_again(&mut self) {
        let file = self.folder.path().join("mosquitto.conf");
        self.process = serve(&self.program, &file).expect("mosquitto does not start again");
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// Starts it and waits until all its listeners are open; none when it ends before that.
fn serve(program: &Path, configuration: &Path) -> Option<Running> {
    let mut process = Running::start(Command::new(program).arg("-c").arg(configuration));
    while let Some(line) = process.stderr.next_line() {
        if String::from_utf8_lossy(&line).trim_end().ends_with(" running") {
            return Some(process);
        }
    }
    None
}

/// The broker's program, with a word on stderr where there is none.
fn program() -> Option<PathBuf> {
    let found = find_program();
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "mosquitto is not installed");
        eprintln!("skipped: mosquitto is not installed");
    }
    found
}

/// The broker's program, which Debian keeps outside an ordinary user's path.
pub fn find_program() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap();
    folders.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.into_iter().map(|folder| folder.join("mosquitto")).find(|program| program.is_file())
}
