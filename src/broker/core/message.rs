//! A message as the broker stores it: once, for any number of sessions.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::NONE;
use crate::mqtt::QoS;
use crate::mqtt::wire::append_number_property;

/// A message that waits for a client, or is retained. Topic, properties and payload lie behind each other in one
/// buffer.
#[derive(Debug)]
pub struct StoredMessage {
    data: Bytes,
    topic_length: u16,
    properties_length: u32,
    qos: QoS,
    retain: bool,
    expires: Option<Instant>,
    /// The session that published it, for No Local.
    pub(super) publisher: u32,
}

/// A message on its way from a publisher, in the read buffer.
#[derive(Clone, Copy, Debug)]
pub struct MessageParts<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// Payload.
    pub payload: &'a [u8],
    /// The property list as bytes, without Topic Alias, Message Expiry Interval and Subscription Identifiers.
    pub properties: &'a [u8],
    /// QoS it was published with.
    pub qos: QoS,
    /// RETAIN it was published with.
    pub retain: bool,
    /// When it expires.
    pub expires: Option<Instant>,
}

impl StoredMessage {
    /// Copies a message out of the read buffer.
    pub fn new(parts: &MessageParts<'_>) -> Self {
        let MessageParts { topic, payload, properties, qos, retain, expires } = *parts;
        let mut data = Vec::with_capacity(topic.len() + properties.len() + payload.len());
        data.extend_from_slice(topic.as_bytes());
        data.extend_from_slice(properties);
        data.extend_from_slice(payload);
        Self {
            data: data.into(),
            topic_length: topic.len() as u16,
            properties_length: properties.len() as u32,
            qos,
            retain,
            expires,
            publisher: NONE,
        }
    }

    /// Its parts, borrowed.
    pub fn parts(&self) -> MessageParts<'_> {
        let (topic, rest) = self.data.split_at(usize::from(self.topic_length));
        let (properties, payload) = rest.split_at(self.properties_length as usize);
        MessageParts {
            // It was a string when it was put in.
            topic: std::str::from_utf8(topic).unwrap_or_default(),
            payload,
            properties,
            qos: self.qos,
            retain: self.retain,
            expires: self.expires,
        }
    }

    /// Topic Name.
    pub fn topic(&self) -> &str {
        self.parts().topic
    }

    /// Payload.
    pub fn payload(&self) -> Bytes {
        self.data.slice(usize::from(self.topic_length) + self.properties_length as usize..)
    }

    /// Bytes it holds.
    pub fn size(&self) -> usize {
        self.data.len()
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl MessageParts<'_> {
    /// The properties that a delivery adds: what is left of the Message Expiry Interval (MQTT-3.3.2-6) and the
    /// Subscription Identifier (0 for none).
    pub(super) fn added_properties(&self, identifier: u32, now: Instant, out: &mut Vec<u8>) {
        use crate::mqtt::PropertyName;
        out.clear();
        if let Some(expires) = self.expires {
            // Part of a second is rounded up: a message that is not expired has at least a second left.
            let left = expires.saturating_duration_since(now);
            let seconds = left.as_secs() + u64::from(left > Duration::from_secs(left.as_secs()));
            append_number_property(PropertyName::MessageExpiryInterval, seconds as u32, out);
        }
        if identifier != 0 {
            append_number_property(PropertyName::SubscriptionIdentifier, identifier, out);
        }
    }
}
