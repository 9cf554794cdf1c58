//! The SUBSCRIBE and UNSUBSCRIBE packets of one connection, and what the broker granted.

use std::ops::Range;

use super::plan::SubscribePlan;
use crate::client::{Client, ClientError};
use crate::mqtt::wire::{PacketType, Suback, Subscribe, SubscribeFilter, Unsubscribe};
use crate::mqtt::{Message, QoS, ReasonCode};
use crate::session::{PublishError, SessionError};

/// What was asked for on this connection.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// Packets that are not answered.
    unanswered: usize,
    /// The filters of each SUBSCRIBE that is not answered, by its Packet Identifier.
    subscribing: Vec<(u16, Range<usize>)>,
    /// What the broker has granted, for each filter.
    grants: Vec<ReasonCode>,
    /// Some connection has had its answers.
    has_reported_grants: bool,
}

impl Requests {
    /// Sends them, on a new connection.
    pub(crate) fn send(&mut self, plan: &SubscribePlan, client: &mut Client<Message>) -> Result<(), PublishError> {
        let SubscribePlan { subscribe, unsubscribe, unsubscribe_properties, client: run, .. } = plan;
        let grants = vec![ReasonCode::SUCCESS; subscribe.filters.len()];
        *self = Self { grants, has_reported_grants: self.has_reported_grants, ..Self::default() };
        // Some brokers close the connection at a QoS above the one that they have announced.
        let most = match run.policy.respects_subscribe_limits {
            true => client.session().limits().maximum_qos,
            false => QoS::ExactlyOnce,
        };
        let mut from = 0;
        for filters in subscribe.filters.chunks(run.policy.filters_per_subscribe) {
            let asked = filters.iter().map(|filter| SubscribeFilter { qos: filter.qos.min(most), ..filter.clone() });
            let part = Subscribe { filters: asked.collect(), properties: subscribe.properties.clone(), ..*subscribe };
            let identifier = client.session().subscribe(part)?;
            self.subscribing.push((identifier, from..from + filters.len()));
            self.unanswered += 1;
            from += filters.len();
        }
        for filter in unsubscribe {
            let (filters, properties) = (vec![filter.clone()], unsubscribe_properties.clone());
            client.session().unsubscribe(Unsubscribe { packet_identifier: 0, properties, filters })?;
            self.unanswered += 1;
        }
        Ok(())
    }

    /// Takes an answer: true when it was the last one for a SUBSCRIBE.
    pub(crate) fn on_suback(
        &mut self,
        suback: Suback,
        plan: &SubscribePlan,
        client: &Client<Message>,
    ) -> Result<bool, ClientError> {
        self.unanswered = self.unanswered.saturating_sub(1);
        let asked = self.subscribing.iter().position(|(identifier, _)| *identifier == suback.packet_identifier);
        let Some(asked) = asked else { return Ok(false) };
        let (_, range) = self.subscribing.swap_remove(asked);
        let grants = &mut self.grants[range];
        if suback.reasons.len() != grants.len() && plan.client.policy.checks_suback_count {
            return Err(miscounted(client));
        }
        grants.iter_mut().zip(suback.reasons).for_each(|(grant, reason)| *grant = reason);
        Ok(self.subscribing.is_empty())
    }

    /// An UNSUBACK has arrived.
    pub(crate) fn on_unsuback(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
    }

    /// Packets that are not answered.
    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// The broker has answered for every filter: fails where it refused all, and returns, the first time, what each did
    /// not get.
    pub(crate) fn check_grants(
        &mut self,
        plan: &SubscribePlan,
        client: &Client<Message>,
    ) -> Result<Vec<String>, ClientError> {
        let answers = || plan.subscribe.filters.iter().zip(&self.grants);
        if let (Some((filter, reason)), true) = (answers().next(), self.grants.iter().all(|reason| reason.is_error())) {
            let (target, filter) = (client.target().to_owned(), filter.filter.clone());
            return Err(ClientError::SubscribeRefused { target, filter, reason: *reason });
        }
        let warnings = match self.has_reported_grants {
            true => Vec::new(),
            false => answers().filter_map(|(filter, reason)| shortfall(filter, *reason)).collect(),
        };
        self.has_reported_grants = true;
        Ok(warnings)
    }

    /// Whether the broker has granted a filter on this or an earlier connection.
    pub(crate) const fn has_reported_grants(&self) -> bool {
        self.has_reported_grants
    }
}

/// A SUBACK must have one Reason Code for each filter.
pub(crate) fn miscounted<K: crate::session::Kept>(client: &Client<K>) -> ClientError {
    let what = "does not have one Reason Code per filter of the SUBSCRIBE (MQTT-3.9.3-1)";
    let (packet, reason) = (PacketType::Suback, ReasonCode::PROTOCOL_ERROR);
    let error = SessionError::Unexpected { packet, what, reason };
    ClientError::Session { target: client.target().to_owned(), error }
}

/// What the broker's CONNACK does not allow (5.0 §3.2.2.3.11, §3.2.2.3.13): a SUBSCRIBE with it would cost the
/// connection.
pub(crate) fn check_limits(plan: &SubscribePlan, client: &mut Client<Message>) -> Result<(), ClientError> {
    if !plan.client.policy.respects_subscribe_limits {
        return Ok(());
    }
    let limits = *client.session().limits();
    for SubscribeFilter { filter, .. } in &plan.subscribe.filters {
        let is_shared = filter.starts_with("$share/");
        let reason = match filter.contains(['+', '#']) {
            _ if is_shared && !limits.shared_subscription_available => ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
            true if !limits.wildcard_subscription_available => ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
            _ => continue,
        };
        let (target, filter) = (client.target().to_owned(), filter.clone());
        return Err(ClientError::SubscribeRefused { target, filter, reason });
    }
    Ok(())
}

/// What a subscription did not get of what it asked for.
pub(crate) fn shortfall(filter: &SubscribeFilter, reason: ReasonCode) -> Option<String> {
    let SubscribeFilter { filter, qos, .. } = filter;
    if reason.is_error() {
        Some(format!("the broker refused to subscribe to {filter}: {reason}"))
    } else if reason.0 < qos.number() {
        Some(format!("the broker granted QoS {} instead of QoS {} for {filter}", reason.0, qos.number()))
    } else {
        None
    }
}
