//! How bytes reach a broker, for every tool: host name → DNS → TCP or Unix socket → proxy → TLS → WebSocket, every step
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

pub use connect::{ConnectTimings, Connected, connect, connect_timed, resolve};
pub use connection::Connection;
#[cfg(feature = "rumqttc")]
pub(crate) use error::explain_socket_error;
pub(crate) use error::io_text;
pub use error::{ConnectError, FailureKind, Fault, Stage};
#[cfg(test)]
pub(crate) use in_memory::MemoryListener;
pub use plan::{
    Address, ClientCertificate, DEFAULT_WEB_SOCKET_PATH, PreSharedKey, ProxyKind, ProxyLogin, ProxyPlan, TlsBackend,
    TlsPlan, TlsVersions, TransportPlan, TrustRoots, WebSocketPlan,
};
pub(crate) use race::sleep_until;
pub use socket::Socket;
pub use tcp::check_local_address;
pub use tls::{
    CertificateFacts, ClientAuthorities, ServerTlsPlan, ServerTlsStream, TlsClient, TlsInfo, TlsServer, TlsSetupError,
    explain_tls_loss, looks_like_tls,
};

/// Asks the proxy at the other end of a socket for a connection to the broker. A door for the fuzz targets: the step as
/// [`connect`] takes it.
///
/// # Errors
/// What the proxy did instead.
#[doc(hidden)]
pub async fn ask_proxy(socket: Socket, proxy: &ProxyPlan, address: &Address) -> Result<Socket, Fault> {
    proxy::negotiate(socket, proxy, address, None).await
}

/// Opens a WebSocket with the server at the other end of a socket. A door for the fuzz targets, as [`ask_proxy`].
///
/// # Errors
/// What the server did instead.
#[doc(hidden)]
pub async fn open_web_socket(socket: Socket, address: &Address, plan: &WebSocketPlan) -> Result<Connection, Fault> {
    Ok(Connection::framed(web_socket::open(Connection::plain(socket), false, address, plan).await?))
}
