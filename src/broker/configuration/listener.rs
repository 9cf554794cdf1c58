//! What a configuration file contains about one listener.

use std::path::PathBuf;

use crate::broker::ListenProtocol;
use crate::mqtt::QoS;

/// Where a listener accepts connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BindTo {
    /// All interfaces.
    #[default]
    All,
    /// A host name or an address; IPv6 without brackets.
    Host(String),
    /// A Unix socket.
    Unix(PathBuf),
}

/// The address family of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketDomain {
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

/// The only TLS version of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// The TLS of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfiguration {
    /// The server's certificate chain.
    pub certfile: PathBuf,
    /// The key of the certificate.
    pub keyfile: PathBuf,
    /// Certificates of the authorities that sign clients' certificates.
    pub cafile: Option<PathBuf>,
    /// A folder of such certificates.
    pub capath: Option<PathBuf>,
    /// Revoked certificates.
    pub crlfile: Option<PathBuf>,
    /// Whether clients must show a certificate.
    pub require_certificate: bool,
    /// The only version that is accepted; none accepts 1.2 and 1.3.
    pub version: Option<TlsVersion>,
    /// Whether the Common Name of a client's certificate is its user name.
    pub use_identity_as_username: bool,
    /// Whether the subject of a client's certificate is its user name.
    pub use_subject_as_username: bool,
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfiguration {
    /// Port; 0 takes a free one. Not used with a Unix socket.
    pub port: u16,
    /// Where it accepts connections.
    pub bind_to: BindTo,
    /// The address family, where only one is wanted.
    pub socket_domain: Option<SocketDomain>,
    /// The protocol.
    pub protocol: ListenProtocol,
    /// Most clients at a time; none for no limit.
    pub max_connections: Option<usize>,
    /// Highest QoS that clients may publish with.
    pub max_qos: QoS,
    /// Topic aliases that an MQTT 5 client may use.
    pub max_topic_alias: u16,
    /// Topic aliases that the broker uses towards an MQTT 5 client.
    pub max_topic_alias_broker: u16,
    /// Whether clients may connect without a user name here, where that differs from the other listeners.
    pub allow_anonymous: Option<bool>,
    /// What a client id that the broker chooses here begins with, where that differs from the other listeners.
    pub auto_id_prefix: Option<String>,
    /// Origins of web pages that may connect over WebSocket; empty leaves it to the broker's rule.
    pub websockets_origins: Vec<String>,
    /// TLS, if it is used.
    pub tls: Option<TlsConfiguration>,
}

impl ListenerConfiguration {
    /// A listener at this port of all interfaces, with mosquitto's defaults.
    pub fn new(port: u16) -> Self {
        Self {
            port,
            bind_to: BindTo::default(),
            socket_domain: None,
            protocol: ListenProtocol::default(),
            max_connections: None,
            max_qos: QoS::ExactlyOnce,
            max_topic_alias: 10,
            max_topic_alias_broker: 10,
            allow_anonymous: None,
            auto_id_prefix: None,
            websockets_origins: Vec::new(),
            tls: None,
        }
    }
}
