//! What an embedded broker is to be: plain data, made by the configuration, by mqbench or by a test.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::EventSink;

/// The interfaces of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenHost {
    /// 127.0.0.1, and `[::1]` where the machine has it: reached from this machine only.
    Loopback,
    /// All interfaces, IPv4 and IPv6.
    All,
    /// A host name or an address (IPv6 without brackets); a name is resolved, every address it has is bound.
    Named(String),
}

/// Where to listen. Port 0 takes a free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The interfaces.
    pub host: ListenHost,
    /// The port.
    pub port: u16,
    /// What is spoken there.
    pub protocol: ListenProtocol,
}

/// What is spoken at a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListenProtocol {
    /// MQTT on TCP.
    #[default]
    Mqtt,
    /// MQTT over WebSocket, at the path [`super::WEB_SOCKET_PATH`].
    WebSocket,
}

/// How much a broker holds for its clients before it drops or refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerLimits {
    /// Most clients at a time.
    pub max_clients: usize,
    /// Most messages on their way to one connected client; above it QoS 0 is dropped.
    pub client_queue_messages: usize,
    /// Most messages kept for one client that is away.
    pub offline_queue_messages: usize,
    /// Most bytes kept for one client that is away.
    pub offline_queue_bytes: usize,
}

impl BrokerLimits {
    /// Limits to run a broker with.
    pub const fn moderate() -> Self {
        Self {
            max_clients: 20_000,
            client_queue_messages: 100_000,
            offline_queue_messages: 100_000,
            offline_queue_bytes: 256 * 1024 * 1024,
        }
    }

    /// Limits to measure with: the broker must not drop what the one that measures sends.
    pub const fn raised() -> Self {
        Self {
            max_clients: 1_000_000,
            client_queue_messages: 1_000_000,
            offline_queue_messages: 10_000_000,
            // The machine is the limit; half of the range keeps sums from overflowing.
            offline_queue_bytes: usize::MAX / 2,
        }
    }
}

/// What an embedded broker is to be.
#[derive(Clone)]
pub struct BrokerSettings {
    /// Where it listens, at least one.
    pub listeners: Vec<Listener>,
    /// Whether clients may connect at all: there are no passwords yet, so every client is anonymous.
    pub allow_anonymous: bool,
    /// Where its events go; none costs nothing.
    pub events: Option<Arc<dyn EventSink>>,
    /// How much it holds.
    pub limits: BrokerLimits,
    /// Threads it works on; one a core when none is named.
    pub worker_threads: Option<NonZeroUsize>,
}

impl BrokerSettings {
    /// A broker to measure and to test with: a free port of 127.0.0.1, everyone welcome, raised limits, no events.
    pub fn loopback() -> Self {
        Self {
            listeners: vec![Listener {
                host: ListenHost::Named("127.0.0.1".to_owned()),
                port: 0,
                protocol: ListenProtocol::Mqtt,
            }],
            allow_anonymous: true,
            events: None,
            limits: BrokerLimits::raised(),
            worker_threads: None,
        }
    }
}
