//! A broker without I/O: connections by number, bytes in, bytes out, time as an argument, bounded work per call.
//!
//! # How it is driven
//! The driver accepts a connection and calls [`Core::open`]; what comes from it goes to [`Core::handle_input`], its end
//! to [`Core::handle_closed`]. After a turn over all readable connections it asks [`Core::take_output_list`] for the
//! connections that have something to write (or are to be closed), writes [`Core::output`], reports [`Core::written`],
//! and closes those of which [`Core::is_closing`] is true once they are empty. [`Core::poll_timeout`] returns when
//! [`Core::handle_timeout`] is due, [`Core::has_work`] that [`Core::work`] has more to do at once.
//!
//! # Its seams
//! - [`Settings`]: what is allowed and how much is held, by mosquitto's names.
//! - [`Access`]: which clients may connect and what they may do. `connect` gets the whole CONNECT and the [`Peer`]
//!   (with the user name from its certificate) and accepts, refuses with a reason, or returns a check for another
//!   thread ([`Core::take_checks`], [`Core::finish_check`]), because hashing a password takes milliseconds. `allows` is
//!   asked for each PUBLISH and SUBSCRIBE, and for each delivery where `checks_reads` is true. [`Core::set_access`]
//!   replaces it, to load new lists; [`Core::recheck_access`] then ends the connections of clients that would be
//!   refused now.
//! - [`Journal`]: takes every [`Change`] of what outlives a connection, in order, with ids: sessions made and expired,
//!   subscriptions added and removed, messages queued, sent, received, done, QoS 2 messages held and released, retained
//!   messages set and cleared. The driver makes them durable once per turn, **before it writes output**, so an
//!   acknowledged message is on disk. [`Core::restore`] takes the same changes back at the start.
//! - [`Log`]: takes an [`Event`] for everything that mosquitto's `-v` prints, in its order. Without one it costs a
//!   branch.

mod access;
mod acknowledgements;
mod change;
mod connect;
mod connection;
mod deliver;
mod event;
mod message;
mod output;
mod publish;
mod reading;
mod restore;
mod retained;
mod session;
mod settings;
mod slab;
mod subscribe;
mod subscriptions;
mod sys;
mod timers;
mod topic_tree;

#[cfg(test)]
mod tests;

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;

pub use access::{Access, Action, Decision, FinishedCheck, Identity, OpenAccess, PendingCheck};
pub use change::{Change, DeliveryOptions, Journal};
pub use connection::Peer;
pub use event::{Cause, Event, Log, PacketEvent};
pub use message::{MessageParts, StoredMessage};
pub use settings::{ListenerSettings, Settings};
pub use sys::Statistics;

use connection::{Connection, Phase, Route};
use deliver::Encoded;
use output::Pool;
use retained::Retained;
use session::Session;
use slab::Slab;
use subscriptions::Subscriptions;
use sys::Loads;
use timers::Timers;

use crate::mqtt::ReasonCode;
use crate::mqtt::wire::{Disconnect, Packet};

/// No connection, session or node.
const NONE: u32 = u32::MAX;

/// A connection's number: given by [`Core::open`], free again after [`Core::handle_closed`].
pub type ConnectionId = u32;

/// Measures the memory of the process in bytes; nothing where it cannot.
pub type MemoryGauge = Box<dyn FnMut() -> Option<u64> + Send>;

/// The broker.
pub struct Core {
    settings: Settings,
    access: Box<dyn Access>,
    log: Option<Box<dyn Log>>,
    /// Whether the log takes every packet, which costs time for each.
    logs_packets: bool,
    /// Whether it takes their bytes too.
    logs_bytes: bool,
    /// The packet that is being handled, until it was logged.
    arrived: Option<Vec<u8>>,
    journal: Option<Box<dyn Journal>>,
    connections: Slab<Connection>,
    sessions: Slab<Session>,
    by_client_id: HashMap<Arc<str>, u32>,
    subscriptions: Subscriptions,
    retained: Retained,
    timers: Timers,
    pool: Pool,
    /// Connections that have output or are to be closed.
    dirty: Vec<ConnectionId>,
    /// Sessions that have more to do than fitted into a call.
    pending: Vec<u32>,
    /// Connections that may be read from again.
    unblocked: Vec<ConnectionId>,
    blocked: Vec<ConnectionId>,
    /// CONNECTs that another thread decides about.
    checks: Vec<PendingCheck>,
    congested: usize,
    /// Bytes of CONNECTs that have not arrived whole.
    unauthenticated: usize,
    /// Counts connections, sessions and messages.
    serial: u64,
    /// The encoding of the message that is being delivered.
    encoded: Encoded,
    /// Property list of the message that is being read.
    properties: Vec<u8>,
    spare_route: Option<Box<Route>>,
    statistics: Statistics,
    loads: Loads,
    /// Measures the memory of the process, bytes.
    memory_gauge: Option<MemoryGauge>,
    most_memory: u64,
    started: Instant,
    id_hasher: std::hash::RandomState,
}

impl Core {
    /// A broker without connections.
    pub fn new(settings: Settings, access: Box<dyn Access>, now: Instant) -> Self {
        let mut core = Self {
            settings,
            access,
            log: None,
            logs_packets: false,
            logs_bytes: false,
            arrived: None,
            journal: None,
            connections: Slab::default(),
            sessions: Slab::default(),
            by_client_id: HashMap::new(),
            subscriptions: Subscriptions::default(),
            retained: Retained::default(),
            timers: Timers::default(),
            pool: Pool::default(),
            dirty: Vec::new(),
            pending: Vec::new(),
            unblocked: Vec::new(),
            blocked: Vec::new(),
            checks: Vec::new(),
            congested: 0,
            unauthenticated: 0,
            serial: 0,
            encoded: Encoded::default(),
            properties: Vec::new(),
            spare_route: None,
            statistics: Statistics::default(),
            loads: Loads::new(now),
            memory_gauge: None,
            most_memory: 0,
            started: now,
            id_hasher: std::hash::RandomState::new(),
        };
        core.start_sys(now);
        core
    }

    /// Logs to this from now on.
    pub fn set_log(&mut self, log: Option<Box<dyn Log>>) {
        self.logs_packets = log.as_ref().is_some_and(|log| log.wants_packets());
        self.logs_bytes = log.as_ref().is_some_and(|log| log.wants_bytes());
        self.log = log;
    }

    /// Asks this about clients from now on.
    pub fn set_access(&mut self, access: Box<dyn Access>) {
        self.access = access;
    }

    /// Records changes in this journal from now on. What is there already came from the store.
    pub fn set_journal(&mut self, journal: Option<Box<dyn Journal>>) {
        self.journal = journal;
    }

    /// Publishes what this measures under `$SYS/broker/heap/` with every update of `$SYS`, the first time now.
    pub fn set_memory_gauge(&mut self, gauge: MemoryGauge, now: Instant) {
        self.memory_gauge = Some(gauge);
        if !self.settings.sys_interval.is_zero() {
            self.publish_memory(now);
        }
    }

    /// What is allowed and held.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Counters since the start.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// A connection was accepted.
    pub fn open(&mut self, peer: Peer, now: Instant) -> ConnectionId {
        let serial = self.next_serial();
        let settings = self.settings.listener(peer.listener);
        let connection = Connection::new(peer, settings, serial, now);
        let id = self.connections.insert(connection);
        self.statistics.sockets += 1;
        self.timers.connection(now + self.settings.connect_timeout, id, serial);
        id
    }

    /// The user name from the certificate of a connection; to be set before its CONNECT.
    pub fn set_certificate_user(&mut self, id: ConnectionId, user_name: Option<String>) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.peer.certificate_user = user_name.map(String::into_boxed_str);
        }
    }

    /// A connection is gone, or was closed because of [`Core::is_closing`]. Its number is free afterwards.
    pub fn handle_closed(&mut self, id: ConnectionId, cause: Cause, now: Instant) {
        self.close(id, cause, now);
        if let Some(mut connection) = self.connections.remove(id) {
            connection.output.clear(&mut self.pool);
            if connection.congested {
                self.relieve();
            }
        }
    }

    /// Whether the connection is to be closed as soon as its output is written.
    pub fn is_closing(&self, id: ConnectionId) -> bool {
        self.connections.get(id).is_none_or(Connection::is_closing)
    }

    /// Whether the client of a connection was accepted.
    pub fn is_admitted(&self, id: ConnectionId) -> bool {
        self.connections.get(id).is_some_and(Connection::is_open)
    }

    /// Whether the connection may be read from now.
    pub fn may_read(&self, id: ConnectionId) -> bool {
        self.connections
            .get(id)
            .is_some_and(|connection| !connection.blocked && !matches!(connection.phase, Phase::Authenticating(_)))
    }

    /// Moves the connections that have output, or are to be closed, to the end of `list`.
    pub fn take_output_list(&mut self, list: &mut Vec<ConnectionId>) {
        for id in self.dirty.drain(..) {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.dirty = false;
                list.push(id);
            }
        }
    }

    /// Moves the connections that may be read from again to the end of `list`.
    pub fn take_unblocked(&mut self, list: &mut Vec<ConnectionId>) {
        list.append(&mut self.unblocked);
    }

    /// What is to be written to a connection, from its beginning and at most `most` slices.
    pub fn output<'a>(&'a self, id: ConnectionId, slices: &mut Vec<IoSlice<'a>>, most: usize) {
        if let Some(connection) = self.connections.get(id) {
            connection.output.slices(slices, most);
        }
    }

    /// How many bytes are to be written to a connection.
    pub fn output_len(&self, id: ConnectionId) -> usize {
        self.connections.get(id).map_or(0, |connection| connection.output.len())
    }

    /// The first bytes of the output were written.
    pub fn written(&mut self, id: ConnectionId, count: usize) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.output.consume(count, &mut self.pool);
        self.statistics.bytes_sent += count as u64;
        let left = connection.output.len();
        if left == 0 {
            connection.dropping = false;
        }
        if connection.congested && left < self.settings.backpressure_bytes / 2 {
            connection.congested = false;
            self.relieve();
        }
        let Some(connection) = self.connections.get(id) else { return };
        let session = connection.session;
        if left < deliver::WALK_OUTPUT && self.sessions.get(session).is_some_and(|session| session.walk_count() > 0) {
            self.set_pending(session);
        }
    }

    /// One connection less is congested; when it was the last, all are read from again.
    fn relieve(&mut self) {
        self.congested -= 1;
        if self.congested == 0 {
            for id in std::mem::take(&mut self.blocked) {
                if let Some(connection) = self.connections.get_mut(id)
                    && std::mem::take(&mut connection.blocked)
                {
                    self.unblocked.push(id);
                }
            }
        }
    }

    /// Whether [`Core::work`] has something to do.
    pub fn has_work(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Continues with what did not fit into the calls before.
    pub fn work(&mut self, now: Instant) {
        for session in std::mem::take(&mut self.pending) {
            if let Some(found) = self.sessions.get_mut(session) {
                found.pending = false;
                self.advance(session, now);
            }
        }
    }

    fn set_pending(&mut self, session: u32) {
        if let Some(found) = self.sessions.get_mut(session)
            && !found.pending
        {
            found.pending = true;
            self.pending.push(session);
        }
    }

    /// The broker ends: clients of 5.0 get a DISCONNECT, wills are kept back, sessions stay as they are.
    pub fn shut_down(&mut self, now: Instant) {
        let ids: Vec<ConnectionId> = self.connections.iter().map(|(id, _)| id).collect();
        for id in ids {
            self.end_with(id, ReasonCode(0x8B), Cause::Shutdown, now);
        }
    }

    /// Clients that are connected, or are away and have a session.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Clients that are connected.
    pub fn connected_clients(&self) -> usize {
        self.connections.iter().filter(|(_, connection)| connection.is_open()).count()
    }

    /// The filters with the client that subscribes and the QoS, for SIGUSR2.
    pub fn subscription_list(&self, visit: &mut impl FnMut(&str, &str, crate::mqtt::QoS)) {
        self.subscriptions.walk(&mut |filter, subscriber| {
            if let Some(session) = self.sessions.get(subscriber.session) {
                visit(filter, &session.who.client_id, subscriber.qos);
            }
        });
    }

    /// Checks all connected clients again after the access lists were reloaded, and ends those that `may_stay` rejects.
    pub fn recheck_access(&mut self, mut may_stay: impl FnMut(&Identity, &Peer) -> bool, now: Instant) {
        let ids: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.is_open())
            .filter(|(_, connection)| {
                let session = self.sessions.get(connection.session);
                session.is_some_and(|session| !may_stay(&session.who, &connection.peer))
            })
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            self.end_with(id, ReasonCode(0x98), Cause::NotAuthorized, now);
        }
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn mark_dirty(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id)
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Appends to a connection's output.
    fn put(&mut self, id: ConnectionId, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let before = connection.output.len();
        connection.output.append(&mut self.pool, write);
        let count = connection.output.len() - before;
        self.mark_dirty(id);
        if self.logs_bytes {
            self.log_sent_bytes(id, count);
        }
    }

    /// Appends a packet to a connection's output, unless the client takes none of that size.
    fn put_packet(&mut self, id: ConnectionId, packet: &Packet<'_>) -> bool {
        let Some(connection) = self.connections.get(id) else { return false };
        let mut bytes = Vec::new();
        if packet.encode(connection.version, &mut bytes).is_err() || !connection.takes(bytes.len()) {
            return false;
        }
        self.put(id, |out| out.extend_from_slice(&bytes));
        true
    }

    /// Ends a connection, with a DISCONNECT where the client knows it (§4.13).
    fn end_with(&mut self, id: ConnectionId, reason: ReasonCode, cause: Cause, now: Instant) {
        let Some(connection) = self.connections.get(id) else { return };
        if connection.is_open() && connection.version.is_v5() {
            self.log_sending(id, PacketEvent::Disconnect(reason.0));
            self.put_packet(id, &Packet::Disconnect(Disconnect { reason, ..Disconnect::default() }));
        }
        self.close(id, cause, now);
    }

    fn log_sending(&mut self, id: ConnectionId, packet: PacketEvent<'_>) {
        if self.logs_packets {
            self.log_packet(id, packet, true);
        }
    }

    fn log_received(&mut self, id: ConnectionId, packet: PacketEvent<'_>) {
        if self.logs_packets {
            self.log_packet(id, packet, false);
        }
    }

    #[cold]
    fn log_packet(&mut self, id: ConnectionId, packet: PacketEvent<'_>, sending: bool) {
        let (Some(log), Some(connection)) = (&mut self.log, self.connections.get(id)) else { return };
        let client = name_of(connection, &self.sessions);
        log.event(&if sending { Event::Sending { client, packet } } else { Event::Received { client, packet } });
        if !sending {
            self.log_arrived_bytes(id);
        }
    }

    /// Logs the bytes of the packet that is being handled, once.
    fn log_arrived_bytes(&mut self, id: ConnectionId) {
        if let Some(packet) = self.arrived.take() {
            self.log_bytes(id, &packet, false);
        }
    }

    /// Logs the last bytes of a connection's output: one packet.
    #[cold]
    fn log_sent_bytes(&mut self, id: ConnectionId, count: usize) {
        if let Some(connection) = self.connections.get(id) {
            let packet = connection.output.tail(count);
            self.log_bytes(id, &packet, true);
        }
    }

    fn log_bytes(&mut self, id: ConnectionId, packet: &[u8], sending: bool) {
        let (Some(log), Some(connection)) = (&mut self.log, self.connections.get(id)) else { return };
        let client = name_of(connection, &self.sessions);
        log.event(&Event::Bytes { client, version: connection.version, sending, packet });
    }

    fn record(&mut self, change: &Change<'_>) {
        if let Some(journal) = &mut self.journal {
            journal.record(change);
        }
    }
}

/// What a log calls a client: its id, or its address before there is one.
fn name_of<'a>(connection: &'a Connection, sessions: &'a Slab<Session>) -> &'a str {
    sessions.get(connection.session).map_or(&connection.peer.address, |session| &session.who.client_id)
}

impl std::fmt::Debug for Core {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Core").field("settings", &self.settings).finish_non_exhaustive()
    }
}
