//! What happens once the subscriptions stand: `--exec`, `--ready-fd`, `--ready-file`.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::file_error::FileError;
use super::process::{CommandEnd, GRACE, Invocation, Process, cannot_run};
use crate::exit_status::Signal;
use crate::options::CommandLine;

const LINE: &[u8] = b"ready\n";
/// What a command has published comes before the answer to a PINGREQ that is sent after its end, or soon after it where
/// the broker has read the command's connection later than ours.
const STRAGGLERS: Duration = Duration::from_millis(250);
/// How long that answer is awaited.
const LONGEST_PING: Duration = Duration::from_secs(5);

/// What is to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadyPlan {
    /// `--exec`: to be run.
    pub(super) exec: Option<CommandLine>,
    /// `--ready-fd`: gets a line.
    pub(super) descriptor: Option<i32>,
    /// `--ready-file`: exists as long as the subscriptions stand.
    pub(super) file: Option<PathBuf>,
}

/// What has happened.
#[derive(Debug)]
pub(super) struct Readiness {
    descriptor: Option<Descriptor>,
    file: Option<PathBuf>,
    file_exists: bool,
    exec: Exec,
}

#[derive(Debug)]
enum Exec {
    None,
    Waiting(CommandLine),
    Running { program: String, process: Process, ended: oneshot::Receiver<io::Result<CommandEnd>> },
    Ended { program: String, end: CommandEnd, at: Instant },
}

impl Readiness {
    /// Takes the descriptor, before anything else of this process can get its number.
    pub(super) fn begin(plan: &ReadyPlan) -> Result<Self, FileError> {
        let ReadyPlan { exec, descriptor, file } = plan;
        if let Some(file) = file.as_ref().filter(|file| file.symlink_metadata().is_ok()) {
            return Err(FileError {
                text: format!("--ready-file: {} exists already", file.display()),
                hint: Some("another mqsub uses it, or was killed: remove it, or choose another name".into()),
            });
        }
        Ok(Self {
            descriptor: descriptor.map(Descriptor::take).transpose()?,
            file: file.clone(),
            file_exists: false,
            exec: exec.clone().map_or(Exec::None, Exec::Waiting),
        })
    }

    /// The broker has answered every SUBSCRIBE.
    pub(super) fn announce(&mut self) -> Result<(), FileError> {
        if let Some(file) = &self.file {
            let created = File::create_new(file).and_then(|mut created| created.write_all(LINE));
            created.map_err(|error| FileError {
                text: format!("--ready-file: cannot create {}: {error}", file.display()),
                hint: None,
            })?;
            self.file_exists = true;
        }
        if let Some(descriptor) = self.descriptor.take() {
            descriptor.write();
        }
        if let Exec::Waiting(CommandLine { words }) = std::mem::replace(&mut self.exec, Exec::None) {
            let program = words.first().cloned().unwrap_or_default();
            let (sender, ended) = oneshot::channel();
            let invocation = Invocation { words: &words, variables: Vec::new(), input: None, prints: false };
            let process = Process::start(invocation, |end| drop(sender.send(end)));
            let process = process
                .map_err(|error| FileError { text: format!("--exec: {}", cannot_run(&program, &error)), hint: None })?;
            self.exec = Exec::Running { program, process, ended };
        }
        Ok(())
    }

    /// The subscriptions do not stand any more.
    pub(super) fn withdraw(&mut self) {
        if let Some(file) = self.file.as_ref().filter(|_| std::mem::take(&mut self.file_exists)) {
            let _ = std::fs::remove_file(file);
        }
    }

    /// Waits for the end of the command; without one that runs forever. Nothing is lost when the future is dropped.
    pub(super) async fn command_ended(&mut self) -> io::Result<CommandEnd> {
        match &mut self.exec {
            Exec::Running { ended, .. } => ended.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())),
            _ => std::future::pending().await,
        }
    }

    /// Takes what [`Readiness::command_ended`] returned.
    pub(super) fn on_command_ended(&mut self, end: io::Result<CommandEnd>) {
        if let Exec::Running { program, .. } = std::mem::replace(&mut self.exec, Exec::None) {
            // Nothing is known of a command that cannot be waited for.
            let end = end.unwrap_or(CommandEnd::Status(u8::MAX));
            self.exec = Exec::Ended { program, end, at: Instant::now() };
        }
    }

    /// Whether there is a command that has not ended.
    pub(super) const fn has_open_command(&self) -> bool {
        matches!(self.exec, Exec::Waiting(_) | Exec::Running { .. })
    }

    /// When the command has ended.
    pub(super) const fn command_end(&self) -> Option<Instant> {
        match self.exec {
            Exec::Ended { at, .. } => Some(at),
            _ => None,
        }
    }

    /// When what the command has published has come, as far as it is known; `pong` is when the broker has last answered a
    /// PINGREQ.
    pub(super) fn all_came(&self, pong: Option<Instant>) -> Option<Instant> {
        let end = self.command_end()?;
        Some(pong.filter(|pong| *pong > end).map_or(end + LONGEST_PING, |pong| pong + STRAGGLERS))
    }

    /// The end of a command that has failed, with its name.
    pub(super) fn failure(&self) -> Option<(&str, CommandEnd)> {
        match &self.exec {
            Exec::Ended { program, end, .. } if end.code() != 0 => Some((program, *end)),
            _ => None,
        }
    }

    /// Ends the command by a signal where it still runs, and waits for its end, which is then no failure. Returns the
    /// name of one that had to be killed.
    pub(super) async fn end_command(&mut self, signal: Signal) -> Option<String> {
        let Exec::Running { process, .. } = &self.exec else { return None };
        process.signal(signal);
        let is_late = tokio::time::timeout(GRACE, self.command_ended()).await.is_err();
        let Exec::Running { program, process, .. } = std::mem::replace(&mut self.exec, Exec::None) else { return None };
        is_late.then(|| {
            process.kill();
            program
        })
    }
}

/// The file goes with the run, however it ends.
impl Drop for Readiness {
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// A descriptor that the parent process has opened for us.
#[derive(Debug)]
enum Descriptor {
    /// Opened once more, and closed under its number: no command inherits it.
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has numbered descriptors"))]
    File(File),
    /// It can only be opened under its number.
    #[cfg(unix)]
    Socket(i32),
}

impl Descriptor {
    #[cfg(unix)]
    fn take(number: i32) -> Result<Self, FileError> {
        use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
        let path = format!("/dev/fd/{number}");
        let failed = |text: String| FileError {
            text: format!("--ready-fd {number}: {text}"),
            hint: Some(format!("open it for writing where mqsub is started, as in {number}>fifo")),
        };
        let Ok(found) = std::fs::metadata(&path) else { return Err(failed("the descriptor is not open".into())) };
        if found.file_type().is_socket() {
            return Ok(Self::Socket(number));
        }
        let mut options = File::options();
        // A pipe that nobody reads must not hold us up.
        options.append(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits());
        let file =
            options.open(&path).map_err(|error| failed(format!("the descriptor cannot be written to: {error}")))?;
        close(number);
        Ok(Self::File(file))
    }

    #[cfg(not(unix))]
    fn take(number: i32) -> Result<Self, FileError> {
        let text = format!("--ready-fd {number}: this system has no numbered descriptors");
        Err(FileError { text, hint: Some("use --ready-file".into()) })
    }

    /// Writes the line, and closes. That nobody reads any more does not matter.
    fn write(self) {
        match self {
            Self::File(mut file) => drop(file.write_all(LINE)),
            #[cfg(unix)]
            Self::Socket(number) => {
                use nix::sys::socket::{MsgFlags, send};
                let _ = send(number, LINE, MsgFlags::MSG_DONTWAIT);
                close(number);
            }
        }
    }
}

/// Closes a descriptor that was opened for us alone: neither stdout nor stderr.
#[cfg(unix)]
fn close(number: i32) {
    if number > 2 {
        let _ = nix::unistd::close(number);
    }
}
