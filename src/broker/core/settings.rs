//! What a broker allows and how much it holds: mosquitto's names and defaults, and a limit in bytes where mosquitto has
//! none.

use std::time::Duration;

use crate::mqtt::QoS;

/// The settings of a broker. Each field is the directive of that name in mosquitto.conf, unless noted. As
/// there, 0 means "no limit".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most QoS 1 and 2 messages in flight to a client, and from a client of 5.0.
    pub max_inflight_messages: u16,
    /// Most bytes in flight to a client, above which no further message is sent.
    pub max_inflight_bytes: usize,
    /// Most messages that wait for a client beyond those in flight.
    pub max_queued_messages: usize,
    /// Most bytes of messages that wait for a client. mosquitto has no limit by default; here it is 64 MiB.
    pub max_queued_bytes: usize,
    /// Ours: most bytes that wait to be written to a client before QoS 0 messages are dropped.
    pub max_output_bytes: usize,
    /// Ours: above this many bytes that wait to be written to a client, publishers to it are not read from.
    /// With it nothing is dropped; without it (0) a slow reader delays no publisher.
    pub backpressure_bytes: usize,
    /// QoS 0 messages wait for a session that is away, too.
    pub queue_qos0_messages: bool,
    /// Largest packet taken from a client, bytes.
    pub max_packet_size: usize,
    /// Ours: largest CONNECT, bytes. The default holds every field that the standard gives two bytes of length, at its
    /// longest, and 64 KiB of properties.
    pub max_connect_size: usize,
    /// Ours: most bytes of CONNECTs that have not arrived whole, over all connections.
    pub max_unauthenticated_bytes: usize,
    /// Largest payload, bytes.
    pub message_size_limit: usize,
    /// The settings of each listener, by its number.
    pub listeners: Vec<ListenerSettings>,
    /// The settings of a listener without an entry there.
    pub default_listener: ListenerSettings,
    /// Most clients, those that are away and have a session included (`global_max_clients`).
    pub global_max_clients: usize,
    /// Most connections (`global_max_connections`).
    pub global_max_connections: usize,
    /// Longest Keep Alive in seconds.
    pub max_keepalive: u16,
    /// Whether messages are retained.
    pub retain_available: bool,
    /// Whether a client may leave the choice of its id to the broker.
    pub allow_zero_length_clientid: bool,
    /// How long a session of 3.1.1 is kept while its client is away.
    pub persistent_client_expiration: Option<Duration>,
    /// How often `$SYS` is published; zero turns it off.
    pub sys_interval: Duration,
    /// Most bytes of messages that are stored; above it no more are taken from clients.
    pub memory_limit: usize,
    /// Ours: how long a connection may take to send its CONNECT.
    pub connect_timeout: Duration,
    /// The text of `$SYS/broker/version`.
    pub version: String,
}

/// What a broker allows to the clients of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Highest QoS.
    pub max_qos: QoS,
    /// Most topic aliases that a client may use.
    pub max_topic_alias: u16,
    /// Most topic aliases that the broker uses towards a client.
    pub max_topic_alias_broker: u16,
    /// How ids begin that the broker chooses.
    pub auto_id_prefix: String,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            max_qos: QoS::ExactlyOnce,
            max_topic_alias: 10,
            max_topic_alias_broker: 10,
            auto_id_prefix: "auto-".to_owned(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_inflight_messages: 20,
            max_inflight_bytes: 0,
            max_queued_messages: 1_000,
            max_queued_bytes: 64 << 20,
            max_output_bytes: 8 << 20,
            backpressure_bytes: 0,
            queue_qos0_messages: false,
            max_packet_size: 2_000_000,
            max_connect_size: 384 << 10,
            max_unauthenticated_bytes: 64 << 20,
            message_size_limit: 0,
            listeners: Vec::new(),
            default_listener: ListenerSettings::default(),
            global_max_clients: 0,
            global_max_connections: 0,
            max_keepalive: 0,
            retain_available: true,
            allow_zero_length_clientid: true,
            persistent_client_expiration: None,
            sys_interval: Duration::from_secs(10),
            memory_limit: 0,
            connect_timeout: Duration::from_secs(10),
            version: concat!("mqbroker version ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl Settings {
    /// Settings to measure with: nothing that is sent is dropped.
    pub fn raised() -> Self {
        Self {
            max_inflight_messages: u16::MAX,
            max_queued_messages: 0,
            max_queued_bytes: 0,
            max_output_bytes: 0,
            backpressure_bytes: 256 << 20,
            max_packet_size: 0,
            sys_interval: Duration::ZERO,
            ..Self::default()
        }
    }

    pub(super) fn listener(&self, number: u32) -> &ListenerSettings {
        self.listeners.get(number as usize).unwrap_or(&self.default_listener)
    }

    /// A limit where 0 means none.
    pub(super) const fn at_most(limit: usize) -> usize {
        if limit == 0 { usize::MAX } else { limit }
    }
}
