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
    /// The time that all steps together may take, up to the end of the TLS handshake.
    pub timeout: Duration,
    /// TLS, where it is wanted.
    pub tls: Option<TlsPlan>,
    /// Addresses of the host that were found before, for who makes many connections; empty asks for a look-up.
    pub resolved: Vec<IpAddr>,
}

/// How to speak TLS.
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
