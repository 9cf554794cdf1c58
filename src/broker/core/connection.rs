//! What belongs to a network connection and ends with it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::ListenerSettings;
use super::output::Output;
use super::subscriptions::Matched;
use crate::mqtt::wire::Connect;
use crate::mqtt::{ProtocolVersion, QoS};

/// Where a connection comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Address without the port, or the path of a Unix socket.
    pub address: String,
    /// Port, 0 where there is none.
    pub port: u16,
    /// The listener that accepted it.
    pub listener: u32,
    /// The user name from its certificate.
    pub certificate_user: Option<Box<str>>,
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.address, self.port)
    }
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Nothing but CONNECT may come.
    AwaitingConnect,
    /// Somebody decides about this CONNECT; what comes meanwhile waits.
    Authenticating(Box<Admission>),
    /// Let in.
    Open,
    /// Its output is to be written, then it is to be closed.
    Closing,
}

/// A CONNECT that is well formed.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) connect: Connect,
    pub(super) client_id: Arc<str>,
    pub(super) assigned: bool,
    pub(super) bridge: bool,
    /// Held as long as somebody waits for the decision.
    pub(super) awaited: Arc<()>,
}

/// What was found for the last topic that a client published to, which is most often that of the next message.
#[derive(Debug, Default)]
pub(super) struct Route {
    pub(super) generation: u64,
    pub(super) topic: String,
    pub(super) matched: Matched,
}

/// Topic aliases that the broker uses towards a client.
#[derive(Debug, Default)]
pub(super) struct AliasesOut {
    pub(super) maximum: u16,
    pub(super) topics: Vec<Box<str>>,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) phase: Phase,
    pub(super) version: ProtocolVersion,
    /// The session, or `NONE`.
    pub(super) session: u32,
    pub(super) peer: Peer,
    /// Distinguishes a connection from an earlier one with the same number.
    pub(super) serial: u64,
    /// The beginning of an incomplete packet.
    pub(super) partial: Vec<u8>,
    pub(super) output: Output,
    /// Waits in the list of connections that have output.
    pub(super) dirty: bool,
    /// Is not read from: a client that it publishes to is congested.
    pub(super) blocked: bool,
    /// More waits to be written than is good.
    pub(super) congested: bool,
    /// QoS 0 messages are being dropped.
    pub(super) dropping: bool,
    /// When the last bytes came; before CONNECT, when it was opened.
    pub(super) last_received: Instant,
    /// Seconds, 0 for none.
    pub(super) keep_alive: u16,
    /// Largest packet that the client takes.
    pub(super) max_packet_size: u32,
    /// Bytes of its CONNECT that count as unauthenticated.
    pub(super) unauthenticated: u32,
    /// Highest QoS of its listener.
    pub(super) max_qos: QoS,
    /// Most topic aliases that the client may use.
    pub(super) max_topic_alias: u16,
    /// Topics by alias that the client has introduced; index 0 is alias 1.
    pub(super) aliases_in: Vec<String>,
    pub(super) aliases_out: Option<Box<AliasesOut>>,
    pub(super) route: Option<Box<Route>>,
}

impl Connection {
    pub(super) fn new(peer: Peer, settings: &ListenerSettings, serial: u64, now: Instant) -> Self {
        Self {
            phase: Phase::AwaitingConnect,
            version: ProtocolVersion::V311,
            session: super::NONE,
            peer,
            serial,
            partial: Vec::new(),
            output: Output::default(),
            dirty: false,
            blocked: false,
            congested: false,
            dropping: false,
            last_received: now,
            keep_alive: 0,
            max_packet_size: u32::MAX,
            unauthenticated: 0,
            max_qos: settings.max_qos,
            max_topic_alias: settings.max_topic_alias,
            aliases_in: Vec::new(),
            aliases_out: None,
            route: None,
        }
    }

    /// Whether the client takes a packet of this size.
    #[inline]
    pub(super) fn takes(&self, size: usize) -> bool {
        size <= self.max_packet_size as usize
    }

    /// Bytes that wait to be written.
    pub(super) fn output_len(&self) -> usize {
        self.output.len()
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing)
    }
}
