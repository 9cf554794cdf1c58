//! How bytes reach a broker, for every tool: host name → DNS → TCP or unix socket → proxy → TLS → WebSocket, every step
//! timed and named in its error. The only home of rustls, tungstenite and sockets. A step takes the stream of the step
//! before it and hands on its own.

#[macro_use]
mod forward;

mod connect;
mod connection;
mod dns;
mod error;
mod http;
mod plan;
mod proxy;
mod race;
mod socket;
mod tcp;
mod tls;
mod web_socket;

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
pub use plan::{
    Address, ClientCertificate, DEFAULT_WEB_SOCKET_PATH, PreSharedKey, ProxyKind, ProxyLogin, ProxyPlan, TlsBackend,
    TlsPlan, TlsVersions, TransportPlan, TrustRoots, WebSocketPlan,
};
pub use socket::Socket;
pub use tcp::check_local_address;
pub use tls::{
    ClientAuthorities, ServerTlsPlan, ServerTlsStream, TlsClient, TlsInfo, TlsServer, TlsSetupError, explain_tls_loss,
    looks_like_tls,
};
