//! What mqbroker does: reads its configuration, starts a broker, says where it listens, waits for a signal, stops.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::config::{BrokerConfiguration, ConfigurationFault, DEFAULT_PORT};
use super::core::{Log, OpenAccess, Settings};
use super::log::{EventLog, Plain};
use super::process::raise_file_limit;
use super::{BrokerError, BrokerSettings, EmbeddedBroker, WEB_SOCKET_PATH};
use crate::client::{Interrupts, check_descriptors};
use crate::exit_status::{ExitStatus, Signal};

/// Far above any configuration; what is longer is another kind of file.
const MAX_FILE_SIZE: u64 = 1024 * 1024;
/// How long the last lines get to be written.
const LOG_GRACE: Duration = Duration::from_secs(1);

/// What mqbroker is asked to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServePlan {
    /// Port of the local only mode (`-p`); 1883 when none is named, 0 takes a free one.
    pub port: Option<u16>,
    /// Port for MQTT over WebSocket in the local only mode (`--ws-port`); none without it, 0 takes a free one.
    pub web_socket_port: Option<u16>,
    /// Tell what the clients do (`-v`).
    pub verbose: bool,
    /// Configuration file (`-c`).
    pub config_file: Option<PathBuf>,
}

/// Why mqbroker did not start or did not go on.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}: {error}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The configuration file has faults.
    #[error("{}", FaultList(file, faults))]
    Configuration {
        /// The file.
        file: PathBuf,
        /// All of its faults.
        faults: Vec<ConfigurationFault>,
    },
    /// Signals cannot be heard.
    #[error("cannot listen to signals: {0}")]
    Signal(io::Error),
    /// The broker did not start or go on.
    #[error("{0}")]
    Broker(#[from] BrokerError),
    /// The broker did not start, with listeners from a file.
    #[error("{}", error.in_file(file))]
    BrokerOfFile {
        /// The file.
        file: PathBuf,
        /// Why.
        error: BrokerError,
    },
}

impl ServeError {
    /// How mqbroker ends with it.
    pub const fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Configuration { .. } => ExitStatus::Usage,
            Self::Read { .. } | Self::Signal(_) | Self::Broker(_) | Self::BrokerOfFile { .. } => ExitStatus::Failed,
        }
    }
}

/// Faults one a line, as compilers print them: `file:line: what`.
struct FaultList<'a>(&'a Path, &'a [ConfigurationFault]);

impl fmt::Display for FaultList<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.1.iter().enumerate() {
            // Under the first one, behind "Error: ".
            let start = if index == 0 { "" } else { "\n       " };
            write!(formatter, "{start}{}:{}: {}", self.0.display(), fault.line, fault.message)?;
        }
        Ok(())
    }
}

/// Runs a broker until a signal ends it, which is the good end. Its lines go to `output`.
pub fn serve(plan: &ServePlan, output: Box<dyn Write + Send>) -> Result<Signal, ServeError> {
    let configuration = match &plan.config_file {
        Some(file) => read_configuration(file)?,
        None => BrokerConfiguration::default(),
    };
    raise_file_limit();
    // The broker has a runtime of its own; this one only waits.
    check_descriptors().map_err(BrokerError::Thread)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BrokerError::Thread)?;
    let (log, writer) = EventLog::start(output)?;
    for line in opening_lines(plan, &configuration) {
        log.line(line);
    }
    let result = runtime.block_on(run(plan, &configuration, &log));
    if result.is_ok() {
        log.line("mqbroker terminating".to_owned());
    }
    writer.finish(LOG_GRACE);
    result
}

async fn run(plan: &ServePlan, configuration: &BrokerConfiguration, log: &EventLog) -> Result<Signal, ServeError> {
    // Before anything is said: who reads that we run may send the signal at once.
    let mut interrupts = Interrupts::listen().map_err(ServeError::Signal)?;
    let settings = BrokerSettings {
        listeners: configuration.listeners_or_loopback(plan.port.unwrap_or(DEFAULT_PORT), plan.web_socket_port),
        limits: Settings::default(),
        access: Box::new(OpenAccess { allow_anonymous: configuration.anonymous_allowed() }),
        log: plan.verbose.then(|| Box::new(log.clone()) as Box<dyn Log>),
        store: None,
        web_socket_origins: Vec::new(),
    };
    let notices = plan.verbose.then(|| log.clone());
    let mut broker = EmbeddedBroker::start_with(settings, notices).map_err(|error| match &plan.config_file {
        Some(file) if !configuration.is_local_only() => ServeError::BrokerOfFile { file: file.clone(), error },
        _ => ServeError::Broker(error),
    })?;
    for address in broker.local_addrs() {
        log.line(format!("Listening on {address}"));
    }
    for address in broker.web_socket_addrs() {
        log.line(format!("Listening on ws://{address}{WEB_SOCKET_PATH}"));
    }
    log.line("mqbroker running".to_owned());
    let signal = tokio::select! {
        signal = interrupts.next() => signal,
        error = broker.failure() => return Err(error.into()),
    };
    broker.stop();
    Ok(signal)
}

/// What is said before the first listener opens.
fn opening_lines(plan: &ServePlan, configuration: &BrokerConfiguration) -> Vec<String> {
    let mut lines = vec![format!("mqbroker {} starting", env!("CARGO_PKG_VERSION"))];
    let file = plan.config_file.as_deref().map(|file| Plain(&file.to_string_lossy()).to_string());
    lines.push(match &file {
        Some(file) => format!("Configuration read from {file}"),
        None => "No configuration file, using the defaults".to_owned(),
    });
    if configuration.is_local_only() {
        lines.push(
            "Running in local only mode: clients on other machines cannot connect. Remote access needs a listener in \
             a configuration file (-c)"
                .to_owned(),
        );
    } else {
        // mosquitto does the same and says nothing.
        for (option, port) in [("-p", plan.port), ("--ws-port", plan.web_socket_port)] {
            let Some(port) = port else { continue };
            lines.push(format!("Warning: {option} {port} is not used: the configuration file names the listeners"));
        }
    }
    if !configuration.anonymous_allowed() {
        lines.push(format!(
            "Warning: every client will be refused: anonymous clients are not allowed and there are no passwords yet; \
             'allow_anonymous true' in {} lets everyone in",
            file.as_deref().unwrap_or("a configuration file")
        ));
    }
    lines
}

fn read_configuration(file: &Path) -> Result<BrokerConfiguration, ServeError> {
    let failed = |error| ServeError::Read { file: file.to_owned(), error };
    let mut bytes = Vec::new();
    File::open(file).and_then(|open| open.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "it is larger than 1 MiB")));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| failed(io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8")))?;
    BrokerConfiguration::parse(&text).map_err(|faults| ServeError::Configuration { file: file.to_owned(), faults })
}
