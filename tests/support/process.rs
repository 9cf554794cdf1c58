//! Running a tool to its end: what it printed, how it ended, and never forever.

use std::fmt::Display;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Far above what anything here takes; reached only by a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process that runs. Killed with the test, whatever comes of it.
pub struct Running {
    child: Owned,
    stdin: Option<ChildStdin>,
    pub stdout: Printed,
    pub stderr: Printed,
}

impl Running {
    /// Starts a command with its outputs piped and nothing on stdin.
    pub fn start(command: &mut Command) -> Self {
        Self::start_on(command, Stdio::null())
    }

    /// Starts a command that can be fed.
    pub fn start_fed(command: &mut Command) -> Self {
        Self::start_on(command, Stdio::piped())
    }

    /// Starts a command with this as its stdin.
    pub fn start_on(command: &mut Command, stdin: impl Into<Stdio>) -> Self {
        let (running, stdout) = Self::start_unread(command, stdin);
        Self { stdout: Printed::of(stdout), ..running }
    }

    /// Starts a command whose stdout nobody reads but the test itself.
    pub fn start_unread(command: &mut Command, stdin: impl Into<Stdio>) -> (Self, ChildStdout) {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        // The command holds the other end of what it was given.
        command.stdin(Stdio::null());
        let (stdout, stderr) = (child.stdout.take().unwrap(), Printed::of(child.stderr.take().unwrap()));
        let running =
            Self { stdin: child.stdin.take(), child: Owned(child), stdout: Printed::of(std::io::empty()), stderr };
        (running, stdout)
    }

    pub fn id(&self) -> u32 {
        self.child.0.id()
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

    /// Sends a signal, as `kill -INT` does.
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.0.try_wait().unwrap().is_some()
    }

    /// Waits for its end; a process that does not end is killed and fails the test.
    pub fn wait(&mut self) -> ExitStatus {
        let id = self.id();
        let (done, ended) = mpsc::channel();
        let guard = std::thread::spawn(move || {
            // Also where this thread is gone without a word.
            let late = ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                signal(id, "KILL");
            }
            late
        });
        let status = self.child.0.wait().unwrap();
        let _ = done.send(());
        assert!(!guard.join().unwrap(), "process {id} does not end; stderr: {}", text_of(&self.stderr.all()));
        status
    }

    /// Closes stdin, waits for the end and gives back all that was printed.
    pub fn finish(mut self) -> Output {
        self.close_stdin();
        let status = self.wait();
        Output { status, stdout: self.stdout.read_to_end(), stderr: self.stderr.read_to_end() }
    }
}

/// A process that goes with its owner.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process has printed on one of its outputs, and how far a test has read it.
pub struct Printed {
    shared: Arc<Shared>,
    read: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    grown: Condvar,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    ended: bool,
}

impl Printed {
    /// Collects what comes from here.
    pub fn of(mut stream: impl Read + Send + 'static) -> Self {
        let shared = Arc::<Shared>::default();
        let collected = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut chunk = vec![0; 1 << 16];
            let mut count = 1;
            while count > 0 {
                count = stream.read(&mut chunk).unwrap_or(0);
                let mut state = collected.state.lock().unwrap();
                state.bytes.extend_from_slice(&chunk[..count]);
                state.ended = count == 0;
                collected.grown.notify_all();
            }
        });
        Self { shared, read: 0 }
    }

    /// Waits until `find` gets something out of all that was printed. None when nothing more can come, when `stop` says
    /// so, or when patience is at its end.
    pub fn wait_until<T>(&self, mut find: impl FnMut(&[u8]) -> Option<T>, mut stop: impl FnMut() -> bool) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.state.lock().unwrap();
        loop {
            if let Some(found) = find(&state.bytes) {
                return Some(found);
            }
            if state.ended || stop() || Instant::now() > deadline {
                return None;
            }
            state = self.shared.grown.wait_timeout(state, Duration::from_millis(20)).unwrap().0;
        }
    }

    /// The next line, with its line end where it has one; none at the end.
    pub fn next_line(&mut self) -> Option<Vec<u8>> {
        let read = self.read;
        let end = |bytes: &[u8]| Some(read + bytes[read..].iter().position(|byte| *byte == b'\n')? + 1);
        let end = self.wait_until(end, || false);
        let line = match (&self.shared.state.lock().unwrap().bytes, end) {
            (bytes, Some(end)) => bytes[read..end].to_vec(),
            (bytes, None) => bytes[read..].to_vec(),
        };
        self.read += line.len();
        (!line.is_empty()).then_some(line)
    }

    /// Waits for a line that holds this text, and gives it back without its line end.
    pub fn wait_for(&mut self, text: &str) -> String {
        while let Some(line) = self.next_line() {
            let line = text_of(&line);
            if line.contains(text) {
                return line.trim_end_matches('\n').to_owned();
            }
        }
        panic!("no line with {text:?} comes after: {}", self.seen());
    }

    /// Whether nothing more can come.
    pub fn has_ended(&self) -> bool {
        self.shared.state.lock().unwrap().ended
    }

    /// What a test has read so far.
    pub fn seen(&self) -> String {
        text_of(&self.all()[..self.read])
    }

    /// All that has come so far.
    pub fn all(&self) -> Vec<u8> {
        self.shared.state.lock().unwrap().bytes.clone()
    }

    /// All, once nothing more can come.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let _ = self.wait_until(|_| None::<()>, || false);
        let all = self.all();
        self.read = all.len();
        all
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    Running::start(command).finish()
}

/// Sends a signal to a process of the test's own, or to its group where the number has a minus sign.
pub fn signal(id: impl Display, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), "--", &id.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{name} {id}");
}

/// Whether this program is installed. In CI it must be.
pub fn has(program: &str) -> bool {
    // Any answer will do: mosquitto's tools print their version with exit status 1.
    let there = Command::new(program).arg("--version").stdin(Stdio::null()).output().is_ok();
    if !there {
        assert!(std::env::var_os("CI").is_none(), "{program} is not installed");
        eprintln!("skipped: {program} is not installed");
    }
    there
}

/// What a process wrote, as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The same where it need not be UTF-8.
fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
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
