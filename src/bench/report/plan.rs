//! The plan in the result document, with every default written out, and its hash. Secrets are not in it.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What was asked for, resolved.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct PlanFacts {
    /// `3.1`, `3.1.1` or `5.0`.
    pub protocol: String,
    /// `tcp`, `tls`, `ws`, `wss`, `unix`; through a proxy with `+socks5h-proxy`, `+socks5-proxy` or `+http-proxy`.
    pub transport: String,
    /// The library whose clients carried the load: `mqbench`, its own engine, or `rumqttc`.
    pub client: String,
    /// Who receives what: `p2p`, `fan-in`, `fan-out`, `shared:GROUPS`.
    pub shape: String,
    /// Clients that publish.
    pub publishers: usize,
    /// Clients that subscribe.
    pub subscribers: usize,
    /// Clients that answer (`mqbench echo`).
    pub responders: usize,
    /// Clients that only connect (`mqbench conn`).
    pub holding: usize,
    /// Groups of subscribers that share a subscription; null where none do.
    pub groups: Option<usize>,
    /// Subscribers (or groups) that receive each message; null where that is not the same for all messages.
    pub copies_per_message: Option<usize>,
    /// Templates of the topics; empty where each publisher has its own topic, `mqbench/RUN/NUMBER`.
    pub topics: Vec<String>,
    /// Filters with wildcards that stand for all topics; null where each topic is subscribed to.
    pub wildcard_filters: Option<Vec<String>>,
    /// Template of the client identifiers; null for the default, `mqb-RUN-%i`.
    pub client_id: Option<String>,
    /// Template of the user names; null where there are none. Passwords are never part of a result.
    pub user_name: Option<String>,
    /// QoS of publishers and subscribers.
    pub qos: u8,
    /// RETAIN of publishes.
    pub retain: bool,
    /// What is published; null where nothing is.
    pub payload: Option<PayloadFacts>,
    /// Messages in flight per publisher; null where nothing limits them.
    pub window: Option<u16>,
    /// What frees a slot of the window: `delivery`, `ack` or `none`; null where nothing is published.
    pub window_rule: Option<String>,
    /// Keep Alive; 0 is none.
    pub keep_alive_s: u64,
    /// Clean Start (Clean Session before MQTT 5).
    pub clean_start: bool,
    /// The will; null where there is none.
    pub will: Option<WillFacts>,
    /// Names of the MQTT 5 properties of CONNECT, PUBLISH and SUBSCRIBE, as `connect receive-maximum`. Values may be secret.
    pub properties: Vec<String>,
    /// Threads that make the load; null where merged runs differ, as seed, local_addresses, busy_poll and asks_sys are.
    pub threads: Option<usize>,
    /// Whether latencies are recorded.
    pub latency: bool,
    /// Whether threads stay awake until a message is due.
    pub busy_poll: Option<bool>,
    /// When the messages of an open loop are due: `fixed`, `poisson`, `burst:N`.
    pub arrival: String,
    /// What becomes of messages that are late: `queue` or `skip`.
    pub behind: String,
    /// Seed of everything random.
    pub seed: Option<u64>,
    /// Connections per second while connecting; null is as many as the broker takes.
    pub connect_per_s: Option<f64>,
    /// How long connections are held (`mqbench conn`); null elsewhere.
    pub hold_ns: Option<u64>,
    /// How often each of them pings; null as before.
    pub ping_interval_ns: Option<u64>,
    /// How long a client waits before it connects again after a loss; null: it does not.
    pub reconnect_ns: Option<u64>,
    /// Whether a publisher and its subscribers are on the `same` broker or on two (`cross`); null for one broker.
    pub pair: Option<String>,
    /// Local addresses that connections come from; empty: the system chooses.
    pub local_addresses: Option<Vec<String>>,
    /// How long to wait at most for messages in flight after each stage.
    pub drain_ns: u64,
    /// Whether the broker is asked for its name by `$SYS`.
    pub asks_sys: Option<bool>,
    /// The stages, one after the other.
    pub stages: Vec<StagePlan>,
}

/// What is published.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct PayloadFacts {
    /// Whether each message begins with a stamp of 16 bytes.
    pub stamped: bool,
    /// Size where all are of one size.
    pub bytes: Option<usize>,
    /// Smallest size, where it is known.
    pub least_bytes: Option<usize>,
    /// Largest size, where it is known.
    pub most_bytes: Option<usize>,
    /// `zero`, `random` or `text`; null for contents that were given.
    pub filling: Option<String>,
    /// SHA-256 of contents that were given, or of their template; null for a filling.
    pub sha256: Option<String>,
}

/// A will.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct WillFacts {
    /// Its topic.
    pub topic: String,
    /// Its QoS.
    pub qos: u8,
    /// Its RETAIN.
    pub retain: bool,
    /// Size of its payload.
    pub payload_bytes: usize,
}

/// A stage as it was planned.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct StagePlan {
    /// Its name.
    pub name: String,
    /// `open` or `closed`; null where others send.
    pub model: Option<String>,
    /// Messages per second in total of an open loop; null where it follows from the stage before.
    pub rate_per_s: Option<f64>,
    /// Share of what the stage before carried, of an open loop at that share.
    pub share_of_stage_before: Option<f64>,
    /// Load before it, not measured.
    pub warmup_ns: u64,
    /// Its measured time; null where a count ends it.
    pub duration_ns: Option<u64>,
    /// Messages after which it ends; null where time ends it.
    pub count: Option<u64>,
}

/// What makes no other load: where it runs and from where, and what the dice showed.
pub(super) const NOT_HASHED: [&str; 5] = ["seed", "threads", "local_addresses", "asks_sys", "busy_poll"];

/// SHA-256 of a plan, as hexadecimal digits.
pub(super) fn plan_hash(plan: &Value) -> Option<String> {
    let mut fields: Vec<(&String, &Value)> = plan.as_object()?.iter().collect();
    fields.retain(|(name, _)| !NOT_HASHED.contains(&name.as_str()));
    fields.sort_by_key(|(name, _)| *name);
    Some(hex(fields.iter().map(|(name, value)| format!("{name}={value}\n")).collect::<String>().as_bytes()))
}

/// SHA-256 as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
