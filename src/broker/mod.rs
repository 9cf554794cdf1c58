//! The broker: mqbroker, and `--embedded` of mqbench.
//!
//! [`core`] is a broker without I/O; `driver` moves its bytes on its own thread; [`EmbeddedBroker`] is both, for
//! mqbench, for tests and for mqbroker; [`serve()`] is what the mqbroker binary does with it; [`configuration`] reads
//! mosquitto.conf; [`access`] decides about clients; `store` keeps what outlives a connection, where `persistence` asks
//! for it; `log` prints what a broker reports about its clients.

pub mod access;
pub mod configuration;
pub mod core;
mod driver;
mod embedded;
mod error;
mod listen;
mod log;
mod log_entry;
mod log_output;
mod log_rules;
mod passwd;
mod persistence;
mod process;
mod serve;
mod serve_plan;
mod settings;
mod setup;
mod start_lines;
mod store;
mod words;

pub(crate) use driver::Commit;
pub use embedded::EmbeddedBroker;
pub use error::BrokerError;
pub use passwd::{PasswdError, set_password_in_file};
pub use serve::{MOSQUITTO_INVALID, ServeError, check_configuration, serve};
pub use serve_plan::ServePlan;
pub use settings::BrokerSettings;
pub(crate) use settings::{AddressFamily, CertificateName, ListenHost, ListenProtocol, Listener, Store};

/// Name of the embedded broker, to label results with.
pub const BROKER_NAME: &str = "mqbroker";

/// Its version.
pub const BROKER_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The path of its WebSockets, the default of clients.
pub const WEB_SOCKET_PATH: &str = crate::transport::DEFAULT_WEB_SOCKET_PATH;
