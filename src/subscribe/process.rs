//! A command of the user as a process: no shell, a process group to itself, so that a signal is passed on exactly once.

use std::fmt;
use std::io::{self, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::exit_status::Signal;

/// How long a command may go on after a signal, before it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// What is to be run.
#[derive(Debug)]
pub(super) struct Invocation<'a> {
    /// The program, then its arguments.
    pub(super) words: &'a [String],
    /// For its environment.
    pub(super) variables: Vec<(&'static str, String)>,
    /// For its stdin; none is /dev/null.
    pub(super) input: Option<Vec<u8>>,
    /// Where its stdout goes: to our stderr, or to our stdout.
    pub(super) prints: bool,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CommandEnd {
    Status(u8),
    #[cfg_attr(not(unix), expect(dead_code, reason = "only on Unix a signal ends a process"))]
    Signal(i32),
}

impl CommandEnd {
    fn of(status: ExitStatus) -> Self {
        #[cfg(unix)]
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
            return Self::Signal(signal);
        }
        Self::Status(status.code().map_or(u8::MAX, |code| u8::try_from(code).unwrap_or(u8::MAX)))
    }

    /// As a shell reports it.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Status(code) => code,
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(u8::MAX),
        }
    }
}

impl fmt::Display for CommandEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(code) => write!(formatter, "status {code}"),
            Self::Signal(number) => write!(formatter, "signal {number}"),
        }
    }
}

/// A command that runs.
#[derive(Debug)]
pub(super) struct Process {
    id: u32,
    /// Its number may belong to another process now.
    is_over: Arc<AtomicBool>,
}

impl Process {
    /// Starts a command. A thread feeds it and waits for it, and calls `ended`.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(
        invocation: Invocation<'_>,
        ended: impl FnOnce(io::Result<CommandEnd>) + Send + 'static,
    ) -> io::Result<Self> {
        let Invocation { words, variables, input, prints } = invocation;
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).envs(variables);
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(if prints { Stdio::inherit() } else { stderr_again() });
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let process = Self { id: child.id(), is_over: Arc::default() };
        let is_over = Arc::clone(&process.is_over);
        let wait = move || {
            if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
                // A command need not read what it is given.
                let _ = stdin.write_all(&input);
            }
            let status = child.wait();
            is_over.store(true, Ordering::SeqCst);
            ended(status.map(CommandEnd::of));
        };
        match std::thread::Builder::new().name("command".into()).spawn(wait) {
            Ok(_) => Ok(process),
            Err(error) => {
                process.signal(Signal::Terminate);
                Err(error)
            }
        }
    }

    /// Sends a signal to the command and its children.
    #[cfg(unix)]
    pub(super) fn signal(&self, signal: Signal) {
        self.send(signal.number());
        // One that is stopped gets it only once it goes on.
        self.send(nix::libc::SIGCONT);
    }

    /// Ends the command and its children, whatever they do about signals.
    #[cfg(unix)]
    pub(super) fn kill(&self) {
        self.send(nix::libc::SIGKILL);
    }

    #[cfg(unix)]
    fn send(&self, number: i32) {
        if self.is_over() {
            return;
        }
        if let (Ok(id), Ok(signal)) = (i32::try_from(self.id), nix::sys::signal::Signal::try_from(number)) {
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(id), signal);
        }
    }

    /// There is no signal that a command could take notice of.
    #[cfg(not(unix))]
    pub(super) fn signal(&self, _: Signal) {}

    /// Ends the command and its children.
    #[cfg(not(unix))]
    pub(super) fn kill(&self) {
        if !self.is_over() {
            let arguments = ["/F", "/T", "/PID", &self.id.to_string()];
            let _ = Command::new("taskkill").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

#[cfg(unix)]
fn stderr_again() -> Stdio {
    use std::os::fd::AsFd;
    io::stderr().as_fd().try_clone_to_owned().map_or_else(|_| Stdio::null(), Stdio::from)
}

#[cfg(not(unix))]
fn stderr_again() -> Stdio {
    Stdio::null()
}

/// What is reported of commands that did not end by a signal.
pub(super) fn killed(commands: u64) -> String {
    let were = if commands == 1 { "was" } else { "were" };
    format!("still ran {} s after the signal and {were} killed", GRACE.as_secs())
}

/// Why a command cannot be started.
pub(super) fn cannot_run(program: &str, error: &io::Error) -> String {
    let cause = match error.kind() {
        io::ErrorKind::NotFound => "there is no such program".to_owned(),
        _ => error.to_string(),
    };
    format!("cannot run {}: {cause}", crate::terminal::quoted(program))
}
