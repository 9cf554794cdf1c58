//! What the mqbroker process needs from the system: descriptors, the background, another user, memory figures, signals
//! that are commands.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What the system refuses.
#[derive(Debug, Error)]
pub enum SystemError {
    /// The background.
    #[error("cannot run in the background: {0}")]
    Detach(io::Error),
    /// The file with the process id.
    #[error("cannot write the pid_file {}: {error}", file.display())]
    PidFile {
        /// The file.
        file: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The user of the configuration.
    #[error("cannot run as user {user}: {cause}")]
    User {
        /// The user.
        user: String,
        /// Why.
        cause: String,
    },
}

/// Raises the limit of open files to what the system allows: every client is one. What cannot be raised stays.
pub(super) fn raise_file_limit() {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
            && soft < hard
        {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
    }
}

/// Continues in the background, in the same folder, without a terminal.
#[cfg(unix)]
pub(super) fn detach() -> Result<(), SystemError> {
    nix::unistd::daemon(true, false).map_err(|error| SystemError::Detach(error.into()))
}

#[cfg(not(unix))]
pub(super) fn detach() -> Result<(), SystemError> {
    Err(SystemError::Detach(io::Error::new(io::ErrorKind::Unsupported, "start it as a service instead")))
}

/// The memory that the process uses, in bytes (its resident set); nothing where the system does not report it so.
pub(super) fn memory_in_use() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        use nix::unistd::{SysconfVar, sysconf};
        let text = std::fs::read_to_string("/proc/self/statm").ok()?;
        let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
        let size = u64::try_from(sysconf(SysconfVar::PAGE_SIZE).ok()??).ok()?;
        Some(pages * size)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// The name of the user that the process runs as, or will once it has become `wanted`.
pub(super) fn user_name(wanted: Option<&str>) -> Option<String> {
    #[cfg(unix)]
    {
        use nix::unistd::{User, geteuid};
        if let (true, Some(wanted)) = (geteuid().is_root(), wanted) {
            return Some(wanted.to_owned());
        }
        Some(User::from_uid(geteuid()).ok()??.name)
    }
    #[cfg(not(unix))]
    {
        let _ = wanted;
        None
    }
}

/// Writes the process id.
pub(super) fn write_pid_file(file: &Path) -> Result<(), SystemError> {
    std::fs::write(file, format!("{}\n", std::process::id()))
        .map_err(|error| SystemError::PidFile { file: file.to_owned(), error })
}

/// Drops root privileges for those of a user, who gets `files`. A process that is not root stays as it is, as with
/// mosquitto; the line to log is then returned.
#[cfg(unix)]
pub(super) fn become_user(name: &str, files: &[PathBuf]) -> Result<Option<String>, SystemError> {
    use nix::unistd::{User, chown, geteuid, initgroups, setgid, setuid};
    if !geteuid().is_root() {
        return Ok(Some(format!("user {name} is ignored: mqbroker was not started by root")));
    }
    if name == "root" {
        return Ok(None);
    }
    let failed = |cause: String| SystemError::User { user: name.to_owned(), cause };
    let refused = |error: nix::Error| failed(error.desc().to_owned());
    let user = User::from_name(name).map_err(refused)?;
    let user =
        user.ok_or_else(|| failed("this machine has no such user; correct user in the configuration".to_owned()))?;
    for file in files {
        // A file that is not there, or not on a disk, is not ours to give.
        let _ = chown(file, Some(user.uid), Some(user.gid));
    }
    let c_name = std::ffi::CString::new(name).map_err(|_| failed("it contains a NUL".to_owned()))?;
    initgroups(&c_name, user.gid).map_err(refused)?;
    setgid(user.gid).map_err(refused)?;
    setuid(user.uid).map_err(refused)?;
    Ok(None)
}

#[cfg(not(unix))]
pub(super) fn become_user(name: &str, _: &[PathBuf]) -> Result<Option<String>, SystemError> {
    Ok(Some(format!("user {name} is ignored: this system has no such users")))
}

/// What a signal asks of a broker that keeps running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has these signals"))]
pub(super) enum Command {
    /// SIGHUP.
    Reload,
    /// SIGUSR1.
    Save,
    /// SIGUSR2.
    PrintSubscriptions,
}

/// The signals that are commands.
pub(super) struct Commands {
    #[cfg(unix)]
    streams: [(Command, tokio::signal::unix::Signal); 3],
}

impl Commands {
    /// Takes the signals over from the system. To be called within the runtime.
    #[cfg(unix)]
    pub(super) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            streams: [
                (Command::Reload, signal(SignalKind::hangup())?),
                (Command::Save, signal(SignalKind::user_defined1())?),
                (Command::PrintSubscriptions, signal(SignalKind::user_defined2())?),
            ],
        })
    }

    #[cfg(not(unix))]
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next one. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Command {
        #[cfg(unix)]
        return std::future::poll_fn(|cx| {
            for (command, stream) in &mut self.streams {
                if stream.poll_recv(cx).is_ready() {
                    return std::task::Poll::Ready(*command);
                }
            }
            std::task::Poll::Pending
        })
        .await;
        #[cfg(not(unix))]
        std::future::pending().await
    }
}
