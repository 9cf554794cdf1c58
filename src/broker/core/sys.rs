//! `$SYS/broker/…`, as mosquitto publishes it: retained, and again only where a value changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::{Core, MessageParts, NONE, StoredMessage};
use crate::mqtt::QoS;

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets received.
    pub messages_received: u64,
    /// Packets sent.
    pub messages_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// PUBLISH packets received.
    pub publishes_received: u64,
    /// PUBLISH packets sent.
    pub publishes_sent: u64,
    /// Messages that were dropped because a limit was reached.
    pub publishes_dropped: u64,
    /// Payload received.
    pub publish_bytes_received: u64,
    /// Payload sent.
    pub publish_bytes_sent: u64,
    /// Connections that were accepted.
    pub sockets: u64,
    /// CONNECT packets received.
    pub connects: u64,
    /// Sessions that expired.
    pub expired_clients: u64,
    /// Messages that are queued for sessions now.
    pub stored_messages: u64,
    /// Their bytes.
    pub stored_bytes: u64,
    /// Most clients so far, connected or away.
    pub most_clients: u64,
}

/// The loads: counts per minute, averaged over the last 1, 5 and 15 minutes.
#[derive(Debug)]
pub(super) struct Loads {
    updated: Instant,
    counted: [u64; LOADS.len()],
    averages: [[f64; SPANS.len()]; LOADS.len()],
}

const LOADS: [&str; 9] = [
    "messages/received",
    "messages/sent",
    "publish/dropped",
    "publish/received",
    "publish/sent",
    "bytes/received",
    "bytes/sent",
    "sockets",
    "connections",
];
const SPANS: [(&str, f64); 3] = [("1min", 60.0), ("5min", 300.0), ("15min", 900.0)];

impl Loads {
    pub(super) fn new(now: Instant) -> Self {
        Self { updated: now, counted: [0; LOADS.len()], averages: [[0.0; SPANS.len()]; LOADS.len()] }
    }
}

impl Statistics {
    const fn loads(&self) -> [u64; LOADS.len()] {
        [
            self.messages_received,
            self.messages_sent,
            self.publishes_dropped,
            self.publishes_received,
            self.publishes_sent,
            self.bytes_received,
            self.bytes_sent,
            self.sockets,
            self.connects,
        ]
    }
}

impl Core {
    pub(super) fn start_sys(&mut self, now: Instant) {
        if self.settings.sys_interval.is_zero() {
            return;
        }
        let version = self.settings.version.clone();
        self.sys("version", &version, now);
        self.publish_counters(now);
        for load in LOADS {
            for (span, _) in SPANS {
                self.sys(&format!("load/{load}/{span}"), "0.00", now);
            }
        }
        self.timers.sys(now + self.settings.sys_interval);
    }

    pub(super) fn publish_sys(&mut self, now: Instant) {
        self.publish_loads(now);
        self.publish_counters(now);
        self.publish_memory(now);
        self.timers.sys(now + self.settings.sys_interval);
    }

    fn publish_loads(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.loads.updated);
        if elapsed < Duration::from_millis(1) {
            return;
        }
        let seconds = elapsed.as_secs_f64();
        let counts = self.statistics.loads();
        for (index, load) in LOADS.iter().enumerate() {
            let per_minute = (counts[index] - self.loads.counted[index]) as f64 * 60.0 / seconds;
            for (span_index, (span, length)) in SPANS.iter().enumerate() {
                let old = self.loads.averages[index][span_index];
                let new = per_minute + (-seconds / length).exp() * (old - per_minute);
                self.loads.averages[index][span_index] = new;
                if (new - old).abs() >= 0.01 {
                    self.sys(&format!("load/{load}/{span}"), &format!("{new:.2}"), now);
                }
            }
        }
        self.loads.updated = now;
        self.loads.counted = counts;
    }

    fn publish_counters(&mut self, now: Instant) {
        let uptime = now.saturating_duration_since(self.started).as_secs();
        self.sys("uptime", &format!("{uptime} seconds"), now);
        let total = self.sessions.len() as u64;
        let connected = self.connected_clients() as u64;
        let disconnected = total.saturating_sub(connected);
        self.statistics.most_clients = self.statistics.most_clients.max(total);
        let statistics = self.statistics;
        let waiting = || self.connections.iter().map(|(_, connection)| connection).filter(|c| !c.output.is_empty());
        let (out_count, out_bytes) = (waiting().count(), waiting().map(Connection::output_len).sum::<usize>());
        let stored = statistics.stored_messages + self.retained.count() as u64;
        for (topic, value) in [
            ("clients/total", total),
            ("clients/maximum", statistics.most_clients),
            ("clients/disconnected", disconnected),
            ("clients/inactive", disconnected),
            ("clients/connected", connected),
            ("clients/active", connected),
            ("clients/expired", statistics.expired_clients),
            ("messages/stored", stored),
            ("store/messages/count", stored),
            ("store/messages/bytes", statistics.stored_bytes + self.retained.bytes() as u64),
            ("subscriptions/count", self.subscriptions.count() as u64),
            ("shared_subscriptions/count", self.subscriptions.shared_count() as u64),
            ("retained messages/count", self.retained.count() as u64),
            ("messages/received", statistics.messages_received),
            ("messages/sent", statistics.messages_sent),
            ("bytes/received", statistics.bytes_received),
            ("bytes/sent", statistics.bytes_sent),
            ("publish/bytes/received", statistics.publish_bytes_received),
            ("publish/bytes/sent", statistics.publish_bytes_sent),
            ("packet/out/count", out_count as u64),
            ("packet/out/bytes", out_bytes as u64),
            ("connections/socket/count", statistics.sockets),
            ("publish/messages/dropped", statistics.publishes_dropped),
            ("publish/messages/received", statistics.publishes_received),
            ("publish/messages/sent", statistics.publishes_sent),
        ] {
            self.sys(topic, &value.to_string(), now);
        }
    }

    /// `heap/current` and `heap/maximum`, where the memory of the process is measured.
    pub(super) fn publish_memory(&mut self, now: Instant) {
        let Some(current) = self.memory_gauge.as_mut().and_then(|gauge| gauge()) else { return };
        self.most_memory = self.most_memory.max(current);
        let most = self.most_memory;
        self.sys("heap/current", &current.to_string(), now);
        self.sys("heap/maximum", &most.to_string(), now);
    }

    fn sys(&mut self, topic: &str, value: &str, now: Instant) {
        let topic = format!("$SYS/broker/{topic}");
        if self.retained.get(&topic).is_some_and(|message| message.parts().payload == value.as_bytes()) {
            return;
        }
        let stored = Arc::new(StoredMessage::new(&MessageParts {
            topic: &topic,
            payload: value.as_bytes(),
            properties: &[],
            qos: QoS::ExactlyOnce,
            retain: true,
            expires: None,
        }));
        self.route(NONE, NONE, &stored.parts(), &mut Some(Arc::clone(&stored)), now);
    }
}
