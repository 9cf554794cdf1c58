//! Starting either program: the links under mosquitto's names, a clean environment, and an end in any case.

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// No row takes so long.
const LONGEST: Duration = Duration::from_secs(60);

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

/// A running program, with its input closed once it is written.
pub struct Running {
    child: Child,
    stdout: Option<Reader>,
    stderr: Option<Reader>,
}

/// A row that fails leaves nobody behind.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a stream has brought so far.
struct Reader {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: std::thread::JoinHandle<()>,
}

impl Reader {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let thread = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut chunk) {
                shared.lock().unwrap().extend_from_slice(&chunk[..count]);
            }
        });
        Self { bytes, thread }
    }

    fn all(self) -> Vec<u8> {
        self.thread.join().unwrap();
        std::mem::take(&mut self.bytes.lock().unwrap())
    }
}

pub fn start(program: PathBuf, arguments: &[String], stdin: &[u8], config_home: &std::path::Path) -> Running {
    let mut child = Command::new(&program)
        .args(arguments)
        .env("XDG_CONFIG_HOME", config_home)
        .env("TZ", "UTC")
        .env_remove("MQTT_PASSWORD")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    // A program that does not read is not a fault.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let stdout = child.stdout.take().map(Reader::of);
    let stderr = child.stderr.take().map(Reader::of);
    Running { child, stdout, stderr }
}

impl Running {
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until stdout holds this.
    pub fn wait_for_output(&self, text: &str) {
        let deadline = Instant::now() + LONGEST;
        let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        while !holds(&self.stdout.as_ref().unwrap().bytes.lock().unwrap()) {
            assert!(Instant::now() < deadline, "no {text:?} comes");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGINT, which asks a client to leave, until it does: mosquitto_sub loses one that comes while it is busy.
    pub fn interrupt(&mut self) {
        let id = self.child.id().to_string();
        let deadline = Instant::now() + LONGEST;
        while !self.has_ended() && Instant::now() < deadline {
            assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
            let next = Instant::now() + Duration::from_millis(300);
            while !self.has_ended() && Instant::now() < next {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    /// Waits for its end, and makes one where it does not come.
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + LONGEST;
        while !self.has_ended() {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return Ended { code: None, stdout: Vec::new(), stderr: b"it does not end\n".to_vec() };
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let status = self.child.wait().unwrap();
        let all = |reader: &mut Option<Reader>| reader.take().map_or_else(Vec::new, Reader::all);
        Ended { code: status.code(), stdout: all(&mut self.stdout), stderr: all(&mut self.stderr) }
    }
}

/// The version of the installed mosquitto, where all its programs are there.
pub fn mosquitto_version() -> Option<String> {
    Command::new(super::broker::program()?).arg("-h").output().ok()?;
    Command::new("mosquitto_sub").arg("--version").output().ok()?;
    Command::new("mosquitto_rr").arg("--version").output().ok()?;
    let output = Command::new("mosquitto_pub").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(2).map(str::to_owned)
}
