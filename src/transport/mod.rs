//! How bytes reach a broker, for every tool: host name → DNS → TCP or unix socket → TLS, every step timed and named in
//! its error. The only home of rustls and of sockets. Proxies and WebSocket go between the steps when they come: a
//! step takes the stream of the step before it and hands on its own.

mod connect;
mod connection;
mod dns;
mod error;
mod plan;
mod socket;
mod tcp;
mod tls;

#[cfg(test)]
mod connect_tests;
#[cfg(test)]
mod in_memory;

pub use connect::{ConnectTimings, Connected, connect, resolve};
pub use connection::Connection;
pub(crate) use error::io_text;
pub use error::{ConnectError, FailureKind, Fault, Stage};
#[cfg(test)]
pub(crate) use in_memory::MemoryListener;
pub use plan::{Address, ClientCertificate, TlsPlan, TlsVersions, TransportPlan, TrustRoots};
pub use socket::Socket;
pub use tls::{TlsClient, TlsInfo, TlsSetupError, explain_tls_loss, looks_like_tls};
