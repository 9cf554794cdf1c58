//! CONNECT, CONNACK and the end of a connection (§3.1, §3.2, §3.14).

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::{Admission, AliasesOut, Phase};
use super::publish::is_reserved;
use super::reading::{Fault, connect_level, version_of_refusal};
use super::session::{Session, Will};
use super::timers::grace;
use super::{
    Action, Cause, Change, ConnectionId, Core, Decision, Event, FinishedCheck, Identity, NONE, PacketEvent,
    PendingCheck,
};
use crate::mqtt::wire::{Connack, Connect, Disconnect, Frame, Packet, WireError};
use crate::mqtt::{
    Message, Properties, Property, PropertyError, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode,
};

/// A session that never expires (§3.1.2.11.2).
const NEVER: u32 = u32::MAX;

impl Core {
    pub(super) fn handle_connect(&mut self, id: ConnectionId, frame: Frame<'_>, now: Instant) {
        self.statistics.connects += 1;
        let level = connect_level(frame.body);
        let connect = match Packet::decode(frame, ProtocolVersion::V311) {
            Ok(Packet::Connect(connect)) => *connect,
            Ok(_) => return,
            Err(error) => return self.refuse_unreadable(id, level, &error, now),
        };
        if let Some(connection) = self.connections.get_mut(id) {
            connection.version = connect.version;
        }
        self.log_arrived_bytes(id);
        // The top bit of the level is how the bridge of a mosquitto introduces itself.
        let bridge = level.is_some_and(|(_, level)| level & 0x80 != 0);
        if let Err(fault) = self.check_connect(id, &connect) {
            let client_id = (!connect.client_id.is_empty()).then_some(connect.client_id.as_str());
            return self.refuse(id, client_id, fault, now);
        }
        let assigned = connect.client_id.is_empty();
        let client_id: Arc<str> =
            if assigned { self.make_client_id(id).into() } else { connect.client_id.as_str().into() };
        let Some(connection) = self.connections.get_mut(id) else { return };
        let decision = self.access.connect(&connect, &client_id, &connection.peer);
        connection.phase =
            Phase::Authenticating(Box::new(Admission { connect, client_id, assigned, bridge, awaited: Arc::new(()) }));
        self.decide(id, decision, now);
    }

    /// The CONNECTs that another thread decides about: run each, and hand the result to [`Core::finish_check`].
    pub fn take_checks(&mut self) -> Vec<PendingCheck> {
        std::mem::take(&mut self.checks)
    }

    /// Goes on with a CONNECT that was decided about on another thread. Its connection may be gone.
    pub fn finish_check(&mut self, check: FinishedCheck, now: Instant) {
        let FinishedCheck { connection: id, serial, decision } = check;
        if self.connections.get(id).is_none_or(|connection| connection.serial != serial) {
            return;
        }
        self.decide(id, decision, now);
        if self.is_admitted(id) {
            // It was not read from meanwhile.
            self.unblocked.push(id);
            self.read_held_back(id, now);
        }
        self.count_unauthenticated(id);
    }

    fn decide(&mut self, id: ConnectionId, decision: Decision, now: Instant) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Phase::Authenticating(admission) = &connection.phase else { return };
        if let Decision::Check(check) = decision {
            let (serial, awaited) = (connection.serial, Arc::downgrade(&admission.awaited));
            return self.checks.push(PendingCheck { connection: id, serial, awaited, check });
        }
        let Phase::Authenticating(admission) = std::mem::replace(&mut connection.phase, Phase::AwaitingConnect) else {
            return;
        };
        match decision {
            Decision::Accept { user_name } => self.admit(id, *admission, user_name, now),
            Decision::Refuse(reason) => {
                let client_id = Arc::clone(&admission.client_id);
                self.refuse(id, Some(&client_id), Fault::new(reason, Cause::NotAuthorized), now);
            }
            Decision::Check(_) => {} // handled above
        }
    }

    /// What the decoder does not look at.
    fn check_connect(&self, id: ConnectionId, connect: &Connect) -> Result<(), Fault> {
        let settings = &self.settings;
        let max_qos = self.connections.get(id).map_or(QoS::ExactlyOnce, |connection| connection.max_qos);
        let protocol = |reason, what| Fault { reason, ..Fault::protocol(what) };
        if let Some(will) = &connect.will {
            if will.retain && !settings.retain_available {
                return Err(Fault::new(ReasonCode(0x9A), Cause::RetainNotSupported));
            }
            if will.qos > max_qos {
                return Err(Fault::new(ReasonCode(0x9B), Cause::QosNotSupported));
            }
            if will.topic.starts_with("$CONTROL/") || will.topic.split('/').count() > super::topic_tree::MAX_LEVELS {
                return Err(protocol(ReasonCode(0x90), "CONNECT with a will topic that is not allowed"));
            }
            if settings.message_size_limit > 0 && will.payload.len() > settings.message_size_limit {
                return Err(Fault::new(ReasonCode::PACKET_TOO_LARGE, Cause::OversizePayload));
            }
        }
        if connect.properties.get(PropertyName::AuthenticationMethod).is_some() {
            return Err(Fault::new(ReasonCode(0x8C), Cause::BadAuthenticationMethod));
        }
        if connect.properties.get(PropertyName::AuthenticationData).is_some() {
            return Err(Fault::protocol("CONNECT with authentication data but no method"));
        }
        if connect.client_id.is_empty() {
            let not_valid = |what| protocol(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, what);
            if connect.version == ProtocolVersion::V31 {
                return Err(not_valid("v3.1 CONNECT with zero length clientid"));
            }
            let durable = !connect.clean_start && !connect.version.is_v5();
            if durable || !settings.allow_zero_length_clientid {
                return Err(not_valid("CONNECT with zero length clientid when forbidden"));
            }
        }
        // Only 5.0 has a Server Keep Alive.
        let keep_alive = connect.keep_alive;
        if settings.max_keepalive > 0
            && (keep_alive == 0 || keep_alive > settings.max_keepalive)
            && !connect.version.is_v5()
        {
            let what = "CONNECT with a keep alive above max_keepalive";
            return Err(protocol(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, what));
        }
        Ok(())
    }

    /// A CONNECT that cannot be read. Its version is known where the level is.
    fn refuse_unreadable(&mut self, id: ConnectionId, level: Option<(&[u8], u8)>, error: &WireError, now: Instant) {
        let level = level.filter(|(name, _)| *name == b"MQTT" || *name == b"MQIsdp");
        if let (Some(connection), Some((_, level))) = (self.connections.get_mut(id), level) {
            connection.version = version_of_refusal(level);
        }
        self.log_arrived_bytes(id);
        let known = level.is_some_and(|(name, level)| match level & 0x7F {
            3 => name == b"MQIsdp",
            4 | 5 => name == b"MQTT",
            _ => false,
        });
        let mut fault = Fault::from(error.clone());
        match (error, level) {
            (_, Some((_, level))) if !known => {
                fault = Fault::protocol(&format!("CONNECT with invalid protocol version ({level})"));
                fault.reason = ReasonCode::UNSUPPORTED_PROTOCOL_VERSION;
            }
            // A client of 5.0 learns what is wrong with its client id, user name, topic or properties.
            (error, Some((_, level))) if level & 0x7F == 5 => {
                if matches!(error, WireError::Property { error: PropertyError::NotAllowed(_), .. }) {
                    fault.reason = ReasonCode::PROTOCOL_ERROR;
                }
            }
            _ => return self.fail(id, fault, now),
        }
        self.refuse(id, None, fault, now);
    }

    fn refuse(&mut self, id: ConnectionId, client_id: Option<&str>, fault: Fault, now: Instant) {
        let Fault { reason, cause, what } = fault;
        if let Some(what) = what {
            self.log_error(id, &what);
        }
        let Some(connection) = self.connections.get(id) else { return };
        let version = connection.version;
        if let (true, Some(log)) = (self.logs_packets, &mut self.log) {
            let code = if version.is_v5() { reason.0 } else { reason.to_v3_connack() };
            let client = client_id.unwrap_or(&connection.peer.address);
            log.event(&Event::Sending { client, packet: PacketEvent::Connack { session_present: false, code } });
        }
        let connack = Connack { session_present: false, reason, properties: Properties::new() };
        self.put_packet(id, &Packet::Connack(connack));
        self.close_named(id, client_id, cause, now);
    }

    /// An id as mosquitto makes them.
    fn make_client_id(&mut self, id: ConnectionId) -> String {
        let listener = self.connections.get(id).map_or(0, |connection| connection.peer.listener);
        let random = |serial: u64| {
            let mut hasher = self.id_hasher.build_hasher();
            hasher.write_u64(serial);
            hasher.finish()
        };
        let (first, second) = (random(self.serial), random(u64::MAX - self.serial));
        self.serial += 1;
        format!(
            "{}{:08X}-{:04X}-{:04X}-{:04X}-{:012X}",
            self.settings.listener(listener).auto_id_prefix,
            first >> 32,
            first >> 16 & 0xFFFF,
            first & 0xFFFF,
            second >> 48,
            second & 0xFFFF_FFFF_FFFF
        )
    }

    /// Accepts a client.
    fn admit(&mut self, id: ConnectionId, admission: Admission, user_name: Option<Arc<str>>, now: Instant) {
        let Admission { connect, client_id, assigned, bridge, awaited: _ } = admission;
        let number = |name| connect.properties.number(name).filter(|_| connect.version.is_v5());
        let who = Identity { client_id: Arc::clone(&client_id), user_name };
        let earlier = self.take_over(&client_id, connect.clean_start, now);
        let limit = self.settings.global_max_clients;
        if earlier.is_none() && limit > 0 && self.sessions.len() >= limit {
            return self.refuse(id, Some(&client_id), Fault::new(ReasonCode(0x89), Cause::ServerBusy), now);
        }
        let session_present = earlier.is_some();
        let session_id = earlier.unwrap_or_else(|| {
            let serial = self.next_serial();
            let session = self.sessions.insert(Session::new(who.clone(), serial));
            self.by_client_id.insert(Arc::clone(&client_id), session);
            session
        });
        let (expiry, keep_alive) = (self.session_expiry(&connect), self.agreed_keep_alive(connect.keep_alive));
        let will = connect.will.as_ref().and_then(|will| self.make_will(will, session_id, now));
        let window = number(PropertyName::ReceiveMaximum).map_or(u16::MAX, |maximum| maximum as u16);
        let most = match self.settings.max_inflight_messages {
            0 => u16::MAX,
            most => most,
        };
        let (Some(session), Some(connection)) = (self.sessions.get_mut(session_id), self.connections.get_mut(id))
        else {
            return;
        };
        session.who = who;
        session.connection = id;
        session.version = connect.version;
        session.bridge = bridge;
        session.expiry = expiry;
        session.will = will;
        session.window = window.min(most);
        session.outbound.begin_resending();
        let had_subscriptions = session.subscriptions.is_some();
        connection.session = session_id;
        connection.phase = Phase::Open;
        connection.keep_alive = keep_alive;
        connection.last_received = now;
        connection.max_packet_size = number(PropertyName::MaximumPacketSize).unwrap_or(u32::MAX);
        let listener = self.settings.listener(connection.peer.listener);
        let most_aliases = number(PropertyName::TopicAliasMaximum)
            .map_or(0, |maximum| (maximum as u16).min(listener.max_topic_alias_broker));
        connection.aliases_out =
            (most_aliases > 0).then(|| Box::new(AliasesOut { maximum: most_aliases, topics: Vec::new() }));
        if keep_alive > 0 {
            self.timers.connection(now + grace(connection.keep_alive), id, connection.serial);
        }
        if let Some(log) = &mut self.log {
            log.event(&Event::Connected {
                peer: &connection.peer,
                client_id: &client_id,
                version: connect.version,
                clean_start: connect.clean_start,
                keep_alive,
                user_name: session.who.user_name.as_deref(),
                will: connect.will.as_ref(),
                bridge,
            });
        }
        if had_subscriptions {
            // A match depends on the version.
            self.subscriptions.touch();
        }
        if expiry > 0 {
            self.record_session(session_id);
        }
        self.log_sending(id, PacketEvent::Connack { session_present, code: 0 });
        // 3.1 has no such flag (3.1 §3.2).
        let session_present = session_present && connect.version != ProtocolVersion::V31;
        let properties = self.connack_properties(id, &connect, assigned.then_some(&*client_id));
        self.put_packet(id, &Packet::Connack(Connack { session_present, reason: ReasonCode::SUCCESS, properties }));
        self.statistics.messages_sent += 1;
        self.advance(session_id, now);
    }

    /// How long the session is kept while its client is away, seconds.
    fn session_expiry(&self, connect: &Connect) -> u32 {
        match (connect.version.is_v5(), connect.clean_start) {
            (true, _) => connect.properties.number(PropertyName::SessionExpiryInterval).unwrap_or(0),
            (false, true) => 0,
            (false, false) => self
                .settings
                .persistent_client_expiration
                .map_or(NEVER, |after| u32::try_from(after.as_secs()).unwrap_or(NEVER).max(1)),
        }
    }

    /// The Keep Alive of a client that asks for this one.
    fn agreed_keep_alive(&self, asked: u16) -> u16 {
        match self.settings.max_keepalive {
            0 => asked,
            most if asked == 0 => most,
            most => asked.min(most),
        }
    }

    pub(super) fn record_session(&mut self, session: u32) {
        if let (Some(journal), Some(session)) = (&mut self.journal, self.sessions.get(session)) {
            journal.record(&Change::Session {
                client_id: &session.who.client_id,
                expiry: session.expiry,
                user_name: session.who.user_name.as_deref(),
            });
        }
    }

    /// The properties of mosquitto's CONNACK, in its order.
    fn connack_properties(&self, id: ConnectionId, connect: &Connect, assigned: Option<&str>) -> Properties {
        let settings = &self.settings;
        let Some(connection) = self.connections.get(id) else { return Properties::new() };
        let keep_alive = connection.keep_alive;
        let most = u32::try_from(settings.max_packet_size).unwrap_or(u32::MAX);
        let assigned = assigned.map(|id| PropertyValue::Utf8(id.to_owned()));
        let two_byte = |number: u16| (number > 0).then_some(PropertyValue::TwoByte(number));
        [
            (
                PropertyName::ServerKeepAlive,
                (keep_alive != connect.keep_alive).then_some(PropertyValue::TwoByte(keep_alive)),
            ),
            (PropertyName::TopicAliasMaximum, two_byte(connection.max_topic_alias)),
            (PropertyName::AssignedClientIdentifier, assigned),
            (PropertyName::RetainAvailable, (!settings.retain_available).then_some(PropertyValue::Byte(0))),
            (PropertyName::MaximumPacketSize, (most > 0).then_some(PropertyValue::FourByte(most))),
            (PropertyName::ReceiveMaximum, two_byte(settings.max_inflight_messages)),
            (
                PropertyName::MaximumQos,
                (connection.max_qos < QoS::ExactlyOnce).then_some(PropertyValue::Byte(connection.max_qos.number())),
            ),
        ]
        .into_iter()
        .filter_map(|(name, value)| Property::new(name, value?).ok())
        .collect()
    }

    /// Ends an earlier connection of this client, and its session where a clean start is asked for. Returns the session
    /// that goes on.
    fn take_over(&mut self, client_id: &str, clean_start: bool, now: Instant) -> Option<u32> {
        let session = *self.by_client_id.get(client_id)?;
        let connection = self.sessions.get(session)?.connection;
        if connection != NONE {
            if let Some(log) = &mut self.log {
                log.event(&Event::AlreadyConnected { client_id });
            }
            self.end_with(connection, ReasonCode(0x8E), Cause::TakenOver, now);
        }
        // Without an expiry it has ended with its connection.
        let session = *self.by_client_id.get(client_id)?;
        if clean_start {
            self.remove_session(session, now);
            return None;
        }
        let found = self.sessions.get_mut(session)?;
        found.expires = None;
        // A client that comes back before the delay is over has no will (MQTT-3.1.3-9).
        found.will = None;
        Some(session)
    }

    fn make_will(&mut self, will: &Message, session: u32, now: Instant) -> Option<Box<Will>> {
        let delay = will.properties.number(PropertyName::WillDelayInterval).unwrap_or(0);
        let expiry = will.properties.number(PropertyName::MessageExpiryInterval);
        let mut message = will.clone();
        message.properties.remove(PropertyName::WillDelayInterval);
        message.properties.remove(PropertyName::MessageExpiryInterval);
        let mut stored = self.store_message(&message, now)?;
        stored.publisher = session;
        Some(Box::new(Will {
            message: Arc::new(stored),
            delay: Duration::from_secs(u64::from(delay)),
            expiry: expiry.map(|seconds| Duration::from_secs(u64::from(seconds))),
            due: None,
        }))
    }

    pub(super) fn publish_will(&mut self, session: u32, now: Instant) {
        let Some(session_found) = self.sessions.get_mut(session) else { return };
        let Some(will) = session_found.will.take() else { return };
        let topic = will.message.topic();
        if is_reserved(topic) || !self.access.allows(&session_found.who, Action::Publish, topic) {
            return;
        }
        let mut parts = will.message.parts();
        parts.expires = will.expiry.map(|expiry| now + expiry);
        // The expiry counts from now on, so a message that has one is stored anew.
        let mut stored = parts.expires.is_none().then(|| Arc::clone(&will.message));
        self.route(session, NONE, &parts, &mut stored, now);
    }

    pub(super) fn handle_disconnect(
        &mut self,
        id: ConnectionId,
        disconnect: &Disconnect,
        now: Instant,
    ) -> Result<(), Fault> {
        self.log_received(id, PacketEvent::Disconnect(disconnect.reason.0));
        let Some(connection) = self.connections.get(id) else { return Ok(()) };
        let version = connection.version;
        let session_id = connection.session;
        let Some(session) = self.sessions.get_mut(session_id) else { return Ok(()) };
        if let (true, Some(expiry)) =
            (version.is_v5(), disconnect.properties.number(PropertyName::SessionExpiryInterval))
        {
            // One that asked for none cannot ask for one now (§3.14.2.2.2).
            if session.expiry == 0 && expiry != 0 {
                return Err(Fault::protocol("DISCONNECT with a session expiry interval, where CONNECT had none"));
            }
            let was_durable = session.is_durable();
            session.expiry = expiry;
            if was_durable && expiry > 0 {
                self.record_session(session_id);
            }
        }
        if disconnect.reason != ReasonCode::DISCONNECT_WITH_WILL
            && let Some(session) = self.sessions.get_mut(session_id)
        {
            // Every other reason but Normal disconnection publishes the will (MQTT-3.1.2-8, MQTT-3.14.4-3).
            if disconnect.reason == ReasonCode::SUCCESS {
                session.will = None;
            }
        }
        self.close(id, Cause::Disconnect, now);
        Ok(())
    }

    /// The connection is over: what it had is let go, its session stays or ends, its will is published or waits.
    pub(super) fn close(&mut self, id: ConnectionId, cause: Cause, now: Instant) {
        self.close_named(id, None, cause, now);
    }

    /// The same for a client that is not let in, whose id is known.
    fn close_named(&mut self, id: ConnectionId, client_id: Option<&str>, cause: Cause, now: Instant) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.is_closing() {
            return;
        }
        connection.phase = Phase::Closing;
        connection.partial = Vec::new();
        connection.aliases_in = Vec::new();
        connection.route = None;
        let session_id = std::mem::replace(&mut connection.session, NONE);
        if let Some(log) = &mut self.log {
            let client_id = self.sessions.get(session_id).map(|session| &*session.who.client_id).or(client_id);
            log.event(&Event::Disconnected { client_id, peer: &connection.peer, cause: &cause });
        }
        self.count_unauthenticated(id);
        self.mark_dirty(id);
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        session.connection = NONE;
        while let Some(walk) = session.pop_walk() {
            self.retained.end(walk);
        }
        if cause == Cause::Shutdown {
            return;
        }
        let delay = session.will.as_ref().map(|will| will.delay);
        let durable = session.is_durable();
        session.expires = match session.expiry {
            0 => Some(now),
            NEVER => None,
            seconds => Some(now + Duration::from_secs(u64::from(seconds))),
        };
        if let Some(will) = &mut session.will {
            will.due = Some(now + will.delay);
        }
        let due = session.next_due();
        let serial = session.serial;
        if durable {
            // QoS 0 messages do not wait for a client that is away.
            if delay.is_some_and(|delay| delay.is_zero()) {
                self.publish_will(session_id, now);
            }
            if let Some(due) = due {
                self.timers.session(due, session_id, serial);
            }
        } else {
            // The session ends, and so does the delay (MQTT-3.1.3-9).
            self.remove_session(session_id, now);
        }
    }

    /// Ends a session with everything in it. A will that waits is published.
    pub(super) fn remove_session(&mut self, id: u32, now: Instant) {
        self.publish_will(id, now);
        let Some(mut session) = self.sessions.remove(id) else { return };
        self.by_client_id.remove(&session.who.client_id);
        for node in session.subscriptions.take().into_iter().flat_map(|nodes| *nodes) {
            self.subscriptions.remove_all(node, id);
        }
        while let Some(walk) = session.pop_walk() {
            self.retained.end(walk);
        }
        self.statistics.stored_bytes =
            self.statistics.stored_bytes.saturating_sub((session.queued_bytes + session.bytes_in_flight) as u64);
        self.statistics.stored_messages =
            self.statistics.stored_messages.saturating_sub((session.queue.len() + session.outbound.messages()) as u64);
        if self.journal.is_some() {
            self.record(&Change::SessionRemoved { client_id: &session.who.client_id });
        }
    }
}
