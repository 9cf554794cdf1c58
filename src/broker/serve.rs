//! What mqbroker does: reads its configuration, starts a broker, prints where it listens, waits for a signal, stops.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::access::FileAccess;
use super::configuration::{Configuration, LogConfiguration, LogDestination, PersistenceConfiguration};
use super::core::Log;
use super::log::EventLog;
use super::log_output::{LogHandles, LogOutput};
use super::log_rules::{LineKind, LogRules};
use super::persistence::Persistence;
use super::process::{self, Commands, SystemError};
use super::setup::{Setup, fault_texts};
use super::start_lines::StartLines;
use super::store::StoreError;
use super::{BrokerError, BrokerSettings, EmbeddedBroker, ServePlan};
use crate::client::{Interrupts, check_descriptors};
use crate::exit_status::{ExitStatus, Signal};
use crate::terminal::escape;
use crate::transport::TlsServer;

/// How long the last lines get to be written.
const LOG_GRACE: Duration = Duration::from_secs(1);

/// How mosquitto ends with a command line or a configuration that it refuses.
pub const MOSQUITTO_INVALID: u8 = 3;

/// Why mqbroker did not start or did not go on.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The configuration, or a file that it names, has faults.
    #[error("{}", FaultList(.0))]
    Configuration(Vec<String>),
    /// The configuration file cannot be opened.
    #[error("cannot read the configuration file {}: {error}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// A log file cannot be opened.
    #[error("cannot open the log file {}: {error}", file.display())]
    Log {
        /// The file.
        file: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The database cannot be used.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The system refuses what was asked of it.
    #[error("{0}")]
    System(#[from] SystemError),
    /// Signals cannot be handled.
    #[error("cannot handle signals: {0}")]
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
    pub const fn exit_status(&self, plan: &ServePlan) -> ExitStatus {
        match (self, plan.mosquitto_version) {
            (Self::Configuration(_) | Self::Read { .. }, Some(_)) => ExitStatus::Compatible(MOSQUITTO_INVALID),
            (Self::Configuration(_), None) => ExitStatus::Usage,
            _ => ExitStatus::Failed,
        }
    }
}

/// Faults one per line, as compilers print them: `file:line: what`.
struct FaultList<'a>(&'a [String]);

impl fmt::Display for FaultList<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            // Under the first one, behind "Error: ".
            let start = if index == 0 { "" } else { "\n       " };
            write!(formatter, "{start}{}", escape(fault))?;
        }
        Ok(())
    }
}

/// Reads the configuration and every file that it names, and opens nothing (`--test-config`).
///
/// # Errors
/// All faults.
pub fn check_configuration(plan: &ServePlan) -> Result<(), ServeError> {
    let configuration = read_configuration(plan)?;
    Setup::new(&configuration, plan).map_err(ServeError::Configuration)?;
    Ok(())
}

fn read_configuration(plan: &ServePlan) -> Result<Configuration, ServeError> {
    let Some(file) = plan.config_file.as_deref() else { return Ok(Configuration::default()) };
    std::fs::File::open(file).map_err(|error| ServeError::Read { file: file.to_owned(), error })?;
    Configuration::read(file).map_err(|faults| ServeError::Configuration(fault_texts(&faults)))
}

/// Runs a broker until a signal ends it, which is the good end.
///
/// # Errors
/// See [`ServeError`].
pub fn serve(plan: &ServePlan) -> Result<Signal, ServeError> {
    let configuration = read_configuration(plan)?;
    let (setup, access) = Setup::new(&configuration, plan).map_err(ServeError::Configuration)?;
    let handles = LogHandles::default();
    let output =
        LogOutput::new(&setup.log, handles.clone()).map_err(|(file, error)| ServeError::Log { file, error })?;
    if plan.daemon {
        // Before any thread is started: a child has only the one that made it.
        process::detach()?;
    }
    process::raise_file_limit();
    check_descriptors().map_err(BrokerError::Thread)?;
    // The broker has its own thread; this one only waits.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BrokerError::Thread)?;
    let (log, writer) = EventLog::start(output, LogRules::new(&setup.log, plan.verbosity))?;
    let lines = StartLines { plan, configuration: &configuration };
    lines.starting(&mut |kind, line| log.line(kind, line));
    let result = runtime.block_on(run(&lines, setup, access, &log, &handles));
    match &result {
        Ok(_) => log.line(LineKind::Information, lines.state("terminating")),
        // Nobody may see standard error: in the background it is gone.
        Err(error) if logs_to_file(&configuration.log) => log.line(LineKind::Error, format!("Error: {error}")),
        Err(_) => {}
    }
    writer.finish(LOG_GRACE);
    result
}

fn logs_to_file(log: &LogConfiguration) -> bool {
    log.destinations.iter().any(|destination| matches!(destination, LogDestination::File(_)))
}

async fn run(
    lines: &StartLines<'_>,
    setup: Setup,
    access: FileAccess,
    log: &EventLog,
    handles: &LogHandles,
) -> Result<Signal, ServeError> {
    let StartLines { plan, configuration } = *lines;
    let Setup { listeners, limits, no_delay, user, pid_file, persistence, log: log_configuration } = setup;
    // Before anything is printed: a reader of the line "running" may send a signal at once.
    let mut interrupts = Interrupts::listen_but_for_hang_up().map_err(ServeError::Signal)?;
    let mut commands = Commands::listen().map_err(ServeError::Signal)?;
    let owned_files = owned_files(&log_configuration, persistence.as_ref());
    let persistence = persistence.map(|persistence| Persistence::open(&persistence, log)).transpose()?;
    let servers: Vec<Option<TlsServer>> = listeners.iter().map(|listener| listener.tls.clone()).collect();
    let settings = BrokerSettings {
        listeners,
        limits,
        access: Box::new(access),
        log: Some(Box::new(log.clone()) as Box<dyn Log>),
        store: persistence.as_ref().map(Persistence::settings),
        no_delay,
    };
    let mut broker =
        EmbeddedBroker::start_with(settings, Some(log.clone())).map_err(|error| match &plan.config_file {
            Some(file) if !configuration.is_local_only() => ServeError::BrokerOfFile { file: file.clone(), error },
            _ => ServeError::Broker(error),
        })?;
    let publisher = broker.publisher();
    handles.set_publisher(Box::new(move |topic, line| publisher(format!("$SYS/broker/log/{topic}"), line)));
    broker.with_core(|core, now| core.set_memory_gauge(Box::new(process::memory_in_use), now));
    pid_file.as_deref().map(process::write_pid_file).transpose()?;
    if let Some(user) = &user
        && let Some(kept) = process::become_user(user, &owned_files)?
    {
        log.line(LineKind::Warning, kept);
    }
    for line in lines.listening(&broker) {
        log.line(LineKind::Information, line);
    }
    log.line(LineKind::Information, lines.state("running"));
    let ended = loop {
        tokio::select! {
            signal = interrupts.next() => break Ok(signal),
            error = broker.failure() => break Err(error.into()),
            command = commands.next() => match command {
                process::Command::Reload => reload(plan, &broker, &servers, log, handles),
                process::Command::Save => persistence.as_ref().map_or((), Persistence::save),
                process::Command::PrintSubscriptions => print_subscriptions(&broker, log),
            },
        }
    };
    broker.stop();
    if let Some(persistence) = persistence {
        persistence.close();
    }
    if let Some(file) = pid_file {
        let _ = std::fs::remove_file(file);
    }
    ended
}

/// Files that a broker that drops root privileges must still be able to write.
fn owned_files(log: &LogConfiguration, persistence: Option<&PersistenceConfiguration>) -> Vec<PathBuf> {
    let logs = log.destinations.iter().filter_map(|destination| match destination {
        LogDestination::File(path) => Some(path.clone()),
        _ => None,
    });
    logs.chain(persistence.map(super::persistence::path)).collect()
}

/// SIGHUP: passwords, access lists, certificates and what is logged are read again. A fault changes nothing.
fn reload(
    plan: &ServePlan,
    broker: &EmbeddedBroker,
    servers: &[Option<TlsServer>],
    log: &EventLog,
    handles: &LogHandles,
) {
    log.line(LineKind::Information, "Reloading config.".to_owned());
    handles.reopen();
    let read = read_configuration(plan).and_then(|configuration| {
        let access = Setup::reload(&configuration, plan, servers).map_err(ServeError::Configuration)?;
        Ok((configuration, access))
    });
    let (configuration, access) = match read {
        Ok(read) => read,
        Err(error) => return log.line(LineKind::Error, format!("Error: nothing was reloaded: {error}")),
    };
    let log = log.with_rules(LogRules::new(&configuration.log, plan.verbosity));
    broker.with_core(move |core, now| {
        core.recheck_access(|who, peer| access.may_stay(who, peer), now);
        core.set_access(Box::new(access));
        core.set_log(Some(Box::new(log)));
    });
}

/// SIGUSR2: which client has subscribed to what.
fn print_subscriptions(broker: &EmbeddedBroker, log: &EventLog) {
    let log = log.clone();
    broker.with_core(move |core, _| {
        log.line(LineKind::Information, "Subscriptions (filter, client, QoS):".to_owned());
        core.subscription_list(&mut |filter, client, qos| {
            let line = format!("\t{} {} {}", escape(filter), escape(client), qos.number());
            log.line(LineKind::Information, line);
        });
    });
}
