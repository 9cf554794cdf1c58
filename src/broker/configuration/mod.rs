//! Parses `mosquitto.conf` into a configuration, or reports all of its faults.
//!
//! A directive that is unknown, or known and not supported here, is a fault and never skipped: a broker that silently
//! ignores a `password_file` is open to everyone.

mod directives;
mod listener;
mod parser;
#[cfg(test)]
mod tests;
mod unsupported;
mod values;

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

#[cfg(test)]
pub(super) use directives::DIRECTIVES;
pub use listener::{BindTo, ListenerConfiguration, SocketDomain, TlsConfiguration, TlsVersion};

use super::core::Settings;
use parser::Parser;

/// The port of MQTT without TLS.
pub const DEFAULT_PORT: u16 = 1883;

/// What a configuration file asks for. Names and defaults are those of mosquitto.conf(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The listeners of the file, in its order; that of `port` and `bind_address` is the last, as with mosquitto. Empty
    /// in local only mode.
    pub listeners: Vec<ListenerConfiguration>,
    /// Listener settings above the first `listener`: in local only mode it describes the loopback listener.
    pub default_listener: ListenerConfiguration,
    /// Who may connect, and what clients may read and write.
    pub access: AccessConfiguration,
    /// What the broker allows, and how much it holds for its clients; those of the listeners are with them.
    pub limits: Settings,
    /// What survives a restart.
    pub persistence: PersistenceConfiguration,
    /// What is logged, and where.
    pub log: LogConfiguration,
    /// User to run as when started by root; none keeps the one that started the broker.
    pub user: Option<String>,
    /// File that holds the process id while the broker runs.
    pub pid_file: Option<PathBuf>,
    /// Whether small packets are sent without waiting for more (TCP_NODELAY). mosquitto's default is false; here it is
    /// true, for acknowledgements that wait for each other cost 40 ms.
    pub set_tcp_nodelay: bool,
}

/// Who may connect, and what clients may read and write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessConfiguration {
    /// Whether clients may connect without a user name; by default only in local only mode.
    pub allow_anonymous: Option<bool>,
    /// User names and password hashes, as mosquitto_passwd writes them.
    pub password_file: Option<PathBuf>,
    /// Which topics each user may read and write.
    pub acl_file: Option<PathBuf>,
    /// What a client id that the broker chooses begins with.
    pub auto_id_prefix: String,
}

/// What survives a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistenceConfiguration {
    /// Whether anything does.
    pub enabled: bool,
    /// Folder of the database; the working directory when empty.
    pub location: PathBuf,
    /// Name of the database in the folder, where the file gives one.
    pub file: Option<String>,
    /// When an acknowledged message is on disk.
    pub sync: PersistenceSync,
}

/// When an acknowledged message is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PersistenceSync {
    /// Before it is acknowledged.
    #[default]
    Always,
    /// Within a second.
    Interval,
}

/// What is logged, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfiguration {
    /// Where log lines go; none given means standard error.
    pub destinations: Vec<LogDestination>,
    /// Which kinds of lines are logged; none given means [`LogTypes::default`].
    pub types: Option<LogTypes>,
    /// Whether lines begin with the time.
    pub timestamp: bool,
    /// The form of the time (strftime); seconds since 1970 when none is given.
    pub timestamp_format: Option<String>,
    /// Whether connections and disconnections are logged.
    pub connection_messages: bool,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDestination {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The end of a file, opened again at SIGHUP.
    File(PathBuf),
    /// `$SYS/broker/log/…`.
    Topic,
    /// Nowhere; stands alone.
    None,
}

/// Kinds of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "mosquitto's names for kinds of log lines")]
#[expect(clippy::struct_excessive_bools, reason = "a set of switches, each a word of the file")]
pub struct LogTypes {
    pub debug: bool,
    pub error: bool,
    pub warning: bool,
    pub notice: bool,
    pub information: bool,
    pub subscribe: bool,
    pub unsubscribe: bool,
}

impl LogTypes {
    /// No line at all.
    pub const NONE: Self = Self::same(false);
    /// Every kind of line.
    pub const ALL: Self = Self::same(true);

    const fn same(on: bool) -> Self {
        Self { debug: on, error: on, warning: on, notice: on, information: on, subscribe: on, unsubscribe: on }
    }
}

impl Default for LogTypes {
    fn default() -> Self {
        Self { error: true, warning: true, notice: true, information: true, ..Self::NONE }
    }
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            default_listener: ListenerConfiguration::new(DEFAULT_PORT),
            access: AccessConfiguration {
                allow_anonymous: None,
                password_file: None,
                acl_file: None,
                auto_id_prefix: "auto-".to_owned(),
            },
            limits: Settings::default(),
            persistence: PersistenceConfiguration {
                enabled: false,
                location: PathBuf::new(),
                file: None,
                sync: PersistenceSync::default(),
            },
            log: LogConfiguration {
                destinations: Vec::new(),
                types: None,
                timestamp: true,
                timestamp_format: None,
                connection_messages: true,
            },
            user: None,
            pid_file: None,
            set_tcp_nodelay: true,
        }
    }
}

impl Configuration {
    /// Reads a file and what it includes.
    ///
    /// # Errors
    /// Every fault of every file, in the order in which they stand there.
    pub fn read(path: &Path) -> Result<Self, Vec<ConfigurationFault>> {
        let fault = |message| vec![ConfigurationFault { file: path.to_owned(), line: 0, message }];
        let text = read_text(path).map_err(|error| fault(format!("cannot read it: {error}")))?;
        let mut parser = Parser::new(&read_folder);
        parser.parse(path, &text);
        parser.finish()
    }

    /// Reads text that includes no other files.
    ///
    /// # Errors
    /// Every fault of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<ConfigurationFault>> {
        let mut parser = Parser::new(&|_| Err(io::ErrorKind::Unsupported.into()));
        parser.parse(Path::new(""), text);
        parser.finish()
    }

    /// Whether only this machine can connect: as long as the file names no listener.
    pub fn is_local_only(&self) -> bool {
        self.listeners.is_empty()
    }

    /// Whether clients without a user name may connect to `listener`.
    pub fn is_anonymous_allowed(&self, listener: &ListenerConfiguration) -> bool {
        listener.allow_anonymous.or(self.access.allow_anonymous).unwrap_or_else(|| self.is_local_only())
    }
}

/// A fault of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationFault {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong, and what to write.
    pub message: String,
}

impl fmt::Display for ConfigurationFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.file.display(), self.message),
            line => write!(formatter, "{}:{line}: {}", self.file.display(), self.message),
        }
    }
}

/// A folder's `.conf` files with their texts, upper case before lower case of the same letter, as mosquitto reads them.
fn read_folder(folder: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "conf") && path.is_file() {
            files.push(path);
        }
    }
    files.sort_by_cached_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name.to_lowercase(), name)
    });
    let read = |path: PathBuf| read_text(&path).map(|text| (path, text));
    files.into_iter().map(read).collect()
}

/// Far above the size of any configuration; a longer file is something else.
const LARGEST_FILE: u64 = 1 << 20;

fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(invalid("it is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| invalid("it is not valid UTF-8"))
}
