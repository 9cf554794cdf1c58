//! The embedded broker. The only home of its crate.
//!
//! [`EmbeddedBroker`] is a broker on threads of its own, for mqbench, for tests and for mqbroker; [`serve`] is what the
//! mqbroker binary does with it; [`config`] reads a configuration file of mosquitto's kind; [`BrokerEvent`] is what a
//! broker can tell about its clients. Everything lives in memory, no file is ever written.

pub mod access;
pub mod config;
pub mod configuration;
pub mod core;
mod embedded;
mod error;
mod event;
mod hooks;
mod listen;
mod log;
mod passwd;
mod process;
mod serve;
mod settings;
pub mod store;
mod warnings;

pub use embedded::EmbeddedBroker;
pub use error::BrokerError;
pub use event::{BrokerEvent, ConnectDetails, EventSink, FilterGrant, PublishDetails};
pub use passwd::{PasswdError, set_password_in_file};
pub use serve::{ServeError, ServePlan, serve};
pub use settings::{BrokerLimits, BrokerSettings, ListenHost, ListenProtocol, Listener};

/// Name of the crate that the embedded broker is, to label results with.
pub const BROKER_NAME: &str = "mqtt5";

/// Its version; a test holds it against Cargo.lock.
pub const BROKER_VERSION: &str = "0.49.0";

/// The path of its WebSockets, which is what clients ask for unless told otherwise.
pub const WEB_SOCKET_PATH: &str = crate::transport::DEFAULT_WEB_SOCKET_PATH;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_version_are_those_of_the_lock_file() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).expect("Cargo.lock");
        let lines: Vec<&str> = lock.lines().collect();
        let name = format!("name = \"{BROKER_NAME}\"");
        let versions: Vec<&str> = lines.windows(2).filter(|pair| pair[0] == name).map(|pair| pair[1].trim()).collect();
        assert_eq!(versions, [format!("version = \"{BROKER_VERSION}\"")]);
    }
}
