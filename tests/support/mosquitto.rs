//! A real mosquitto on a free loopback port, started for a test and ended by its process number.
//!
//! Where mosquitto is not installed a test says so and passes; in CI (`CI` set) that is a failure.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process::PATIENCE;

/// A running mosquitto.
pub struct Mosquitto {
    process: Child,
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
    pub fn start_with(configuration: &str, prepare: impl FnOnce(&std::path::Path)) -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        // Another program may take the port between the look and the start; then the next one is tried.
        for _ in 0..5 {
            let port = free_port();
            let mut text = format!("listener {port} 127.0.0.1\nmax_inflight_messages 0\nmax_queued_messages 0\n");
            write!(text, "{}", configuration.replace("{folder}", &folder.path().display().to_string())).unwrap();
            let file = folder.path().join("mosquitto.conf");
            std::fs::write(&file, text).unwrap();
            let mut process = Command::new(&program)
                .arg("-c")
                .arg(&file)
                .stderr(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline && process.try_wait().unwrap().is_none() {
                if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                    return Some(Self { process, port, folder });
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        panic!("mosquitto does not start with {configuration:?}");
    }

    /// Its port.
    pub fn port(&self) -> String {
        self.port.to_string()
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The broker's program, which Debian keeps outside an ordinary user's path.
fn program() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap();
    folders.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders.into_iter().map(|folder| folder.join("mosquitto")).find(|program| program.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "mosquitto is not installed");
        eprintln!("skipped: mosquitto is not installed");
    }
    found
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    listener.local_addr().unwrap().port()
}
