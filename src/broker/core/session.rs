//! What belongs to a client and may outlive its connections (§4.1).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashSet;

use super::access::Identity;
use super::retained::Walk;
use super::{NONE, StoredMessage};
use crate::mqtt::{ProtocolVersion, QoS};
use crate::session::inbound::IdentifierSet;
use crate::session::outbound::Outbound;

/// Most identifiers between the oldest and the newest message in flight, in multiples of the window: a client that
/// leaves its oldest message without an answer must not make the ring grow to its end.
const SPAN_FACTOR: usize = 64;

/// A message on its way to a client.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) message: Arc<StoredMessage>,
    /// Names it in the journal.
    pub(super) number: u64,
    /// Subscription Identifier, 0 for none.
    pub(super) identifier: u32,
    pub(super) qos: QoS,
    pub(super) retain: bool,
}

/// A will, with the delay it waits after the connection ended.
#[derive(Debug)]
pub(super) struct Will {
    pub(super) message: Arc<StoredMessage>,
    pub(super) delay: Duration,
    /// How long the message lives once it is published.
    pub(super) expiry: Option<Duration>,
    /// When it is published; only while the client is away.
    pub(super) due: Option<Instant>,
}

/// QoS 2 messages from the client between PUBLISH and PUBREL.
#[derive(Debug, Default)]
pub(super) struct Held {
    known: IdentifierSet,
    /// Most often released in the order in which they came.
    messages: VecDeque<(u16, Arc<StoredMessage>)>,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn contains(&self, identifier: u16) -> bool {
        self.known.contains(identifier)
    }

    pub(super) fn insert(&mut self, identifier: u16, message: Arc<StoredMessage>) {
        if self.known.insert(identifier) {
            self.messages.push_back((identifier, message));
        }
    }

    pub(super) fn release(&mut self, identifier: u16) -> Option<Arc<StoredMessage>> {
        if !self.known.remove(identifier) {
            return None;
        }
        let position = self.messages.iter().position(|(held, _)| *held == identifier)?;
        self.messages.remove(position).map(|(_, message)| message)
    }
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) who: Identity,
    /// Distinguishes a session from an earlier one with the same number.
    pub(super) serial: u64,
    /// The connection, or `NONE`.
    pub(super) connection: u32,
    pub(super) version: ProtocolVersion,
    pub(super) bridge: bool,
    /// Session Expiry Interval in seconds; 0 ends it with its connection.
    pub(super) expiry: u32,
    /// When it is over; only while it is away.
    pub(super) expires: Option<Instant>,
    pub(super) will: Option<Box<Will>>,
    /// Nodes of the subscription tree.
    pub(super) subscriptions: Option<Box<HashSet<u32>>>,
    pub(super) window: u16,
    pub(super) outbound: Outbound<Delivery>,
    pub(super) bytes_in_flight: usize,
    pub(super) queue: VecDeque<Delivery>,
    pub(super) queued_bytes: usize,
    pub(super) dropping: bool,
    pub(super) next_number: u64,
    /// Most clients never send a QoS 2 message, and retained messages are sent soon: an idle session is to be small.
    pub(super) held: Option<Box<Held>>,
    /// Retained messages that it is to get.
    #[expect(clippy::box_collection, reason = "as above")]
    walks: Option<Box<VecDeque<Walk>>>,
    /// Waits in the list of sessions that have more to do.
    pub(super) pending: bool,
    /// Marks the message and the place in its list of receivers where this session was seen last.
    pub(super) seen: (u32, u32),
}

impl Session {
    pub(super) fn new(who: Identity, serial: u64) -> Self {
        Self {
            who,
            serial,
            connection: NONE,
            version: ProtocolVersion::V311,
            bridge: false,
            expiry: 0,
            expires: None,
            will: None,
            subscriptions: None,
            window: u16::MAX,
            outbound: Outbound::default(),
            bytes_in_flight: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            dropping: false,
            next_number: 0,
            held: None,
            walks: None,
            pending: false,
            seen: (0, 0),
        }
    }

    /// How many subscriptions wait for their retained messages.
    pub(super) fn walk_count(&self) -> usize {
        self.walks.as_ref().map_or(0, |walks| walks.len())
    }

    pub(super) fn push_walk(&mut self, walk: Walk) {
        self.walks.get_or_insert_default().push_back(walk);
    }

    /// The walk that continues next.
    pub(super) fn walk_mut(&mut self) -> Option<&mut Walk> {
        self.walks.as_mut()?.front_mut()
    }

    pub(super) fn pop_walk(&mut self) -> Option<Walk> {
        let walks = self.walks.as_mut()?;
        let walk = walks.pop_front();
        if walks.is_empty() {
            self.walks = None;
        }
        walk
    }

    /// When its will is published.
    pub(super) fn will_due(&self) -> Option<Instant> {
        self.will.as_ref()?.due
    }

    /// What is due first: its will or its end.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.will_due().into_iter().chain(self.expires).min()
    }

    /// Whether it outlives its connection.
    pub(super) fn is_durable(&self) -> bool {
        self.expiry > 0
    }

    /// Whether a QoS 1 or 2 message may be sent now.
    #[inline]
    pub(super) fn has_room(&self, max_bytes: usize) -> bool {
        let window = usize::from(self.window);
        self.outbound.messages() < window
            && self.outbound.span() < (window * SPAN_FACTOR).min(usize::from(u16::MAX))
            && (max_bytes == 0 || self.bytes_in_flight < max_bytes)
            && !self.outbound.resending()
    }
}
