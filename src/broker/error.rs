//! Why a broker did not start or did not go on.

use std::io;
use std::path::Path;

use thiserror::Error;

/// Why a broker did not start or did not go on.
#[derive(Debug, Error)]
pub enum BrokerError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}: {}{}", cause(error), next_step(error, "-p"))]
    Listen {
        /// Address and port.
        address: String,
        /// The system's error.
        error: io::Error,
    },
    /// Two listeners of one configuration want an address.
    #[error("cannot listen on {address}: another listener of this broker has it already")]
    Overlap {
        /// Address and port.
        address: String,
    },
    /// The name of a listener has no address.
    #[error("cannot listen on {host}: its address is not found: {error}")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's error.
        error: io::Error,
    },
    /// No listener was asked for.
    #[error("the broker has nothing to listen on: configure at least one listener")]
    NoListener,
    /// The threads of the broker did not start.
    #[error("cannot start the threads of the broker: {0}")]
    Thread(io::Error),
    /// The broker itself failed.
    #[error("the embedded broker failed: {0}")]
    Broker(String),
}

impl BrokerError {
    /// The text for a broker whose listeners a configuration file names: the next step is in that file.
    pub fn in_file(&self, file: &Path) -> String {
        match self {
            Self::Listen { address, error } => {
                let place = format!("listener in {}", file.display());
                format!("cannot listen on {address}: {}{}", cause(error), next_step(error, &place))
            }
            other => other.to_string(),
        }
    }
}

/// The cause in words that are the same on every system.
fn cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

fn next_step(error: &io::Error, place: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(": is another broker running there? choose another port with {place}"),
        io::ErrorKind::PermissionDenied => {
            format!(": ports below 1024 are reserved on many systems, choose another port with {place}")
        }
        _ => String::new(),
    }
}
