//! What a connection is to be: plain data, made by the options, read by the steps.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::mqtt::Secret;

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Host name or IP address (IPv6 without brackets), and port.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// Path of a unix domain socket.
    Unix(PathBuf),
}

/// `host:port`, with brackets around an IPv6 address, or the path.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How to reach a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportPlan {
    /// Where it is.
    pub address: Address,
    /// Local address to connect from (`-A`).
    pub bind: Option<IpAddr>,
    /// TCP_NODELAY.
    pub no_delay: bool,
    /// The time that all steps together may take, up to the end of the last handshake.
    pub timeout: Duration,
    /// The proxy to go through, where one is named.
    pub proxy: Option<ProxyPlan>,
    /// TLS, if requested.
    pub tls: Option<TlsPlan>,
    /// WebSocket, if requested.
    pub web_socket: Option<WebSocketPlan>,
    /// Addresses of the host that were found before, for many connections; if empty, they are looked up.
    pub resolved: Vec<IpAddr>,
}

/// How to get through a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyPlan {
    /// Its protocol.
    pub kind: ProxyKind,
    /// Its host name or IP address (IPv6 without brackets).
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who we are to it.
    pub login: Option<ProxyLogin>,
    /// As [`TransportPlan::resolved`], for the host of the proxy.
    pub resolved: Vec<IpAddr>,
}

/// The protocol of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// SOCKS5 (RFC 1928); the broker's name is looked up by the proxy.
    Socks5h,
    /// SOCKS5; the broker's name is looked up here, and the proxy gets the address.
    Socks5,
    /// HTTP with CONNECT (RFC 9110 §9.3.6).
    Http,
}

/// `socks5h`, `socks5` or `http`, as in a URL.
impl fmt::Display for ProxyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Socks5h => "socks5h",
            Self::Socks5 => "socks5",
            Self::Http => "http",
        })
    }
}

/// User and password for a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyLogin {
    /// User.
    pub user: String,
    /// Password; UTF-8.
    pub password: Secret,
}

/// Settings of MQTT over WebSocket (RFC 6455, MQTT 5.0 §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketPlan {
    /// Path and query of the request, ASCII, from the first `/` on.
    pub path: String,
    /// Further header fields of the request: names that HTTP allows, values without line ends. They may hold secrets.
    pub headers: Vec<(String, Secret)>,
}

/// The path that brokers serve and clients ask for by default.
pub const DEFAULT_WEB_SOCKET_PATH: &str = "/mqtt";

/// Settings of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsPlan {
    /// Whom to believe.
    pub roots: TrustRoots,
    /// The certificate that we show, with its key.
    pub client_certificate: Option<ClientCertificate>,
    /// ALPN protocols to offer, most wanted first.
    pub alpn: Vec<String>,
    /// Verify nothing.
    pub insecure: bool,
    /// Versions to offer.
    pub versions: TlsVersions,
    /// Where to append keys in the NSS key log format.
    pub keylog: Option<PathBuf>,
    /// The TLS library.
    pub backend: TlsBackend,
    /// A key that both sides know, in place of certificates; only with OpenSSL.
    pub pre_shared_key: Option<PreSharedKey>,
    /// Cipher suites, as OpenSSL writes them; only with OpenSSL.
    pub ciphers: Option<String>,
}

/// A TLS library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsBackend {
    /// rustls, which is always there.
    #[default]
    Rustls,
    /// The system's OpenSSL (feature `openssl`).
    OpenSsl,
}

impl TlsBackend {
    /// Whether this build has it.
    pub fn is_there(self) -> bool {
        self == Self::Rustls || cfg!(feature = "openssl")
    }
}

/// A pre-shared key (RFC 4279) and the name by which the server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreSharedKey {
    /// Its name.
    pub identity: String,
    /// The key itself.
    pub key: Secret,
}

/// The certification authorities that are believed; the system's own when no file and no folder is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustRoots {
    /// A PEM file with one or more certificates (`--cafile`).
    pub file: Option<PathBuf>,
    /// A folder of such files (`--capath`).
    pub folder: Option<PathBuf>,
    /// The system's own, beside file and folder (`--tls-use-os-certs`).
    pub system: bool,
}

impl TrustRoots {
    /// Whether the system's own certification authorities are believed.
    pub fn uses_system(&self) -> bool {
        self.system || (self.file.is_none() && self.folder.is_none())
    }
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file with the certificate and its chain (`--cert`).
    pub certificate: PathBuf,
    /// PEM file with its private key (`--key`).
    pub key: PathBuf,
    /// Password of the key, where it is encrypted.
    pub key_password: Option<Secret>,
}

/// TLS versions to offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    #[default]
    Any,
    /// 1.2 only.
    V12,
    /// 1.3 only.
    V13,
}
