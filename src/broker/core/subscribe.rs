//! SUBSCRIBE and UNSUBSCRIBE (§3.8, §3.10).

use std::time::Instant;

use super::reading::Fault;
use super::subscriptions::{Subscriber, split_share};
use super::topic_tree::MAX_LEVELS;
use super::{Action, Change, ConnectionId, Core, Event, PacketEvent};
use crate::mqtt::wire::{Packet, RetainHandling, Suback, Subscribe, SubscribeFilter, Unsuback, Unsubscribe};
use crate::mqtt::{Properties, PropertyName, ReasonCode};

const NO_SUBSCRIPTION_EXISTED: ReasonCode = ReasonCode(0x11);

/// Most subscriptions of a session whose retained messages are still to be sent.
const MAX_WALKS: usize = 10_000;

impl Core {
    pub(super) fn handle_subscribe(
        &mut self,
        id: ConnectionId,
        subscribe: Subscribe,
        now: Instant,
    ) -> Result<(), Fault> {
        self.log_received(id, PacketEvent::Subscribe);
        let Some(connection) = self.connections.get(id) else { return Ok(()) };
        let (session_id, version) = (connection.session, connection.version);
        let identifier = subscribe.properties.number(PropertyName::SubscriptionIdentifier).unwrap_or(0);
        if subscribe.filters.iter().any(|filter| filter.filter.split('/').count() > MAX_LEVELS) {
            let what = "SUBSCRIBE with a topic filter of more than 200 levels";
            return Err(Fault { reason: ReasonCode(0x8F), ..Fault::malformed(what) });
        }
        let mut reasons = Vec::with_capacity(subscribe.filters.len());
        for filter in &subscribe.filters {
            let reason = self.add_subscription(id, session_id, filter, identifier);
            // Before 5.0 there is one code for every refusal; 3.1 knows none at all, and 0x80 does least harm.
            reasons.push(if reason.is_error() && !version.is_v5() { ReasonCode::UNSPECIFIED_ERROR } else { reason });
        }
        self.log_sending(id, PacketEvent::Suback);
        let suback = Suback { packet_identifier: subscribe.packet_identifier, properties: Properties::new(), reasons };
        self.put_packet(id, &Packet::Suback(suback));
        self.statistics.messages_sent += 1;
        self.advance(session_id, now);
        Ok(())
    }

    fn add_subscription(
        &mut self,
        id: ConnectionId,
        session_id: u32,
        filter: &SubscribeFilter,
        identifier: u32,
    ) -> ReasonCode {
        let mut filter = filter.clone();
        if let Some(connection) = self.connections.get(id) {
            filter.qos = filter.qos.min(connection.max_qos);
        }
        self.log_received(id, PacketEvent::SubscribeFilter(&filter.filter, filter.qos));
        let Some(session) = self.sessions.get_mut(session_id) else { return ReasonCode::UNSPECIFIED_ERROR };
        // The bridge of a mosquitto wants its own messages not back, and the others as they were published.
        if session.bridge && !session.version.is_v5() {
            filter.no_local = true;
            filter.retain_as_published = true;
        }
        let (group, path) = split_share(&filter.filter);
        if !self.access.allows(&session.who, Action::Subscribe, path) {
            return ReasonCode::NOT_AUTHORIZED;
        }
        if session.walk_count() >= MAX_WALKS {
            return ReasonCode(0x97);
        }
        if let Some(log) = &mut self.log {
            let client = &session.who.client_id;
            log.event(&Event::Subscribed { client, filter: &filter.filter, qos: filter.qos });
        }
        let subscriber = subscriber(session_id, &filter, identifier);
        let (node, is_new) = self.subscriptions.add(&filter.filter, subscriber);
        session.subscriptions.get_or_insert_default().insert(node);
        // No retained messages for a shared subscription (§4.8.2).
        let wanted = match filter.retain_handling {
            RetainHandling::Always => true,
            RetainHandling::New => is_new,
            RetainHandling::Never => false,
        };
        if wanted && group.is_none() && self.settings.retain_available && self.retained.count() > 0 {
            session.push_walk(self.retained.begin(path, subscriber));
        }
        if session.is_durable()
            && let Some(journal) = &mut self.journal
        {
            let client_id = &session.who.client_id;
            journal.record(&Change::Subscribed { client_id, filter: &filter, identifier });
        }
        ReasonCode(filter.qos.number())
    }

    pub(super) fn handle_unsubscribe(&mut self, id: ConnectionId, unsubscribe: &Unsubscribe) {
        self.log_received(id, PacketEvent::Unsubscribe);
        let Some(connection) = self.connections.get(id) else { return };
        let session_id = connection.session;
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for filter in &unsubscribe.filters {
            self.log_received(id, PacketEvent::UnsubscribeFilter(filter));
            reasons.push(self.remove_subscription(session_id, filter));
            if let (Some(log), Some(session)) = (&mut self.log, self.sessions.get(session_id)) {
                log.event(&Event::Unsubscribed { client: &session.who.client_id, filter });
            }
        }
        self.log_sending(id, PacketEvent::Unsuback);
        let packet_identifier = unsubscribe.packet_identifier;
        self.put_packet(id, &Packet::Unsuback(Unsuback { packet_identifier, properties: Properties::new(), reasons }));
        self.statistics.messages_sent += 1;
    }

    pub(super) fn remove_subscription(&mut self, session_id: u32, filter: &str) -> ReasonCode {
        let Some((node, others)) = self.subscriptions.remove(filter, session_id) else {
            return NO_SUBSCRIPTION_EXISTED;
        };
        let Some(session) = self.sessions.get_mut(session_id) else { return ReasonCode::SUCCESS };
        if !others && let Some(nodes) = &mut session.subscriptions {
            nodes.remove(&node);
        }
        if session.is_durable()
            && let Some(journal) = &mut self.journal
        {
            journal.record(&Change::Unsubscribed { client_id: &session.who.client_id, filter });
        }
        ReasonCode::SUCCESS
    }
}

pub(super) fn subscriber(session: u32, filter: &SubscribeFilter, identifier: u32) -> Subscriber {
    let SubscribeFilter { qos, no_local, retain_as_published, .. } = *filter;
    Subscriber { session, identifier, qos, no_local, retain_as_published }
}
