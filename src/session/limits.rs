//! What a broker allows, from its CONNACK (§3.2.2.3).

use super::PublishError;
use crate::mqtt::wire::{Connack, MAX_PACKET_SIZE};
use crate::mqtt::{Message, PropertyName, QoS};

/// Largest packet before CONNACK has arrived: nothing has shown yet that a broker is there, and CONNACK needs little.
const LARGEST_BEFORE_CONNACK: usize = 64 * 1024;
/// Largest packet of those that carry no message: each of its properties costs more in memory than on the wire.
const LARGEST_WITHOUT_MESSAGE: usize = 256 * 1024;
/// The first four bits of a PUBLISH.
const PUBLISH: u8 = 3;

/// Largest packet that is taken from a broker, where `limit` holds for messages. `input` begins with the packet.
#[inline]
pub(crate) fn largest_packet(input: &[u8], is_open: bool, limit: usize) -> usize {
    match input.first() {
        _ if !is_open => limit.min(LARGEST_BEFORE_CONNACK),
        Some(first) if first >> 4 != PUBLISH => limit.min(LARGEST_WITHOUT_MESSAGE),
        _ => limit,
    }
}

/// What a broker allows. Before 5.0 a CONNACK has no limits, and all is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most QoS 1 and 2 messages in flight towards it.
    pub receive_maximum: u16,
    /// Highest QoS.
    pub maximum_qos: QoS,
    /// Whether it keeps retained messages.
    pub retain_available: bool,
    /// Whether it knows shared subscriptions.
    pub shared_subscription_available: bool,
    /// Whether it knows wildcards in Topic Filters.
    pub wildcard_subscription_available: bool,
    /// Largest packet, bytes.
    pub maximum_packet_size: usize,
    /// Highest topic alias; 0 allows none.
    pub topic_alias_maximum: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            receive_maximum: u16::MAX,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            shared_subscription_available: true,
            wildcard_subscription_available: true,
            maximum_packet_size: MAX_PACKET_SIZE,
            topic_alias_maximum: 0,
        }
    }
}

impl Limits {
    /// Whether the broker takes such a message (§3.2.2.3.4, §3.2.2.3.5); its size is known once it is written.
    pub(super) fn check(&self, message: &Message) -> Result<(), PublishError> {
        if message.qos > self.maximum_qos {
            return Err(PublishError::QosNotSupported(self.maximum_qos));
        }
        if message.retain && !self.retain_available {
            return Err(PublishError::RetainNotAvailable);
        }
        Ok(())
    }

    pub(super) fn of(connack: &Connack) -> Self {
        let number = |name| connack.properties.number(name);
        let two_byte = |name| number(name).and_then(|value| u16::try_from(value).ok());
        let default = Self::default();
        Self {
            receive_maximum: two_byte(PropertyName::ReceiveMaximum).unwrap_or(default.receive_maximum),
            maximum_qos: match number(PropertyName::MaximumQos) {
                Some(0) => QoS::AtMostOnce,
                Some(1) => QoS::AtLeastOnce,
                _ => QoS::ExactlyOnce,
            },
            retain_available: number(PropertyName::RetainAvailable) != Some(0),
            shared_subscription_available: number(PropertyName::SharedSubscriptionAvailable) != Some(0),
            wildcard_subscription_available: number(PropertyName::WildcardSubscriptionAvailable) != Some(0),
            maximum_packet_size: number(PropertyName::MaximumPacketSize)
                .map_or(default.maximum_packet_size, |size| size as usize),
            topic_alias_maximum: two_byte(PropertyName::TopicAliasMaximum).unwrap_or(0),
        }
    }
}
