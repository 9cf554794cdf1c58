//! The settings of a broker on its own thread: plain data, made by the configuration, by mqbench or by a test.

use std::path::PathBuf;

use std::time::Instant;

use super::core::{Access, Core, Journal, Log, OpenAccess, Settings};
use super::driver::Commit;
use crate::transport::TlsServer;

/// The interfaces of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenHost {
    /// 127.0.0.1, and `[::1]` where the machine has it: reached from this machine only.
    Loopback,
    /// All interfaces, IPv4 and IPv6.
    All,
    /// A host name or an address (IPv6 without brackets); a name is resolved, every address it has is bound.
    Named(String),
    /// A Unix socket; the port has no meaning.
    Path(PathBuf),
}

/// Where to listen, and to whom. Port 0 takes a free one.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The interfaces.
    pub host: ListenHost,
    /// The port.
    pub port: u16,
    /// The only address family, where the host has both.
    pub family: Option<AddressFamily>,
    /// The protocol.
    pub protocol: ListenProtocol,
    /// Origins of web pages that may connect over WebSocket; without any, all but foreign ones on the loopback
    /// interface.
    pub web_socket_origins: Vec<String>,
    /// TLS, if it is used.
    pub tls: Option<TlsServer>,
    /// What of a client's certificate is its user name.
    pub certificate_name: Option<CertificateName>,
    /// Most connections at a time; 0 for no limit.
    pub max_connections: usize,
}

impl Listener {
    /// A listener without TLS and without a limit.
    pub const fn new(host: ListenHost, port: u16, protocol: ListenProtocol) -> Self {
        Self {
            host,
            port,
            family: None,
            protocol,
            web_socket_origins: Vec::new(),
            tls: None,
            certificate_name: None,
            max_connections: 0,
        }
    }
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What of a client's certificate is its user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// The Common Name.
    CommonName,
    /// The whole subject.
    Subject,
}

/// The protocol of a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListenProtocol {
    /// MQTT on TCP.
    #[default]
    Mqtt,
    /// MQTT over WebSocket, at the path [`super::WEB_SOCKET_PATH`].
    WebSocket,
}

/// Gives a broker back what was kept ([`Core::restore`]).
pub(crate) type Restore = Box<dyn FnOnce(&mut Core, Instant) + Send>;

/// Where what outlives the broker is kept.
pub struct Store {
    /// Restores what was kept into a broker without connections.
    pub restore: Restore,
    /// Takes what changes.
    pub journal: Box<dyn Journal>,
    /// Makes it durable, once per turn.
    pub commit: Box<dyn Commit>,
}

/// The settings of an embedded broker.
pub struct BrokerSettings {
    /// Where it listens, at least one.
    pub listeners: Vec<Listener>,
    /// What it allows and how much it holds.
    pub limits: Settings,
    /// Which clients may connect.
    pub access: Box<dyn Access>,
    /// Where its events go; none costs nothing.
    pub log: Option<Box<dyn Log>>,
    /// Where it keeps what outlives it; in memory only without.
    pub store: Option<Store>,
    /// Whether small packets are sent at once (TCP_NODELAY).
    pub no_delay: bool,
}

impl BrokerSettings {
    /// A broker to measure and to test with: a free port of 127.0.0.1, open to all clients, no limits, no events.
    pub fn loopback() -> Self {
        Self {
            listeners: vec![Listener::new(ListenHost::Named("127.0.0.1".to_owned()), 0, ListenProtocol::Mqtt)],
            limits: Settings::raised(),
            access: Box::new(OpenAccess { allow_anonymous: true }),
            log: None,
            store: None,
            no_delay: true,
        }
    }
}
