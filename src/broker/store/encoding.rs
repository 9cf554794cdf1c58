//! Keys and values of the tables as bytes. Keys of a client begin with its identifier and a NUL, which no identifier
//! holds (MQTT-1.5.4-2), so that one range covers one client.

use super::Clock;
use crate::broker::core::{DeliveryOptions, MessageParts, StoredMessage};
use crate::mqtt::QoS;
use crate::mqtt::wire::{RetainHandling, SubscribeFilter};

/// A client's key, with a number for each of its rows.
pub(super) fn key(client_id: &str, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(client_id.len() + 1 + rest.len());
    key.extend_from_slice(client_id.as_bytes());
    key.push(0);
    key.extend_from_slice(rest);
    key
}

/// The keys of a client: from the first one to the one behind the last.
pub(super) fn keys_of(client_id: &str) -> (Vec<u8>, Vec<u8>) {
    let mut end = client_id.as_bytes().to_vec();
    end.push(1);
    (key(client_id, &[]), end)
}

/// A key's client, and the rest.
pub(super) fn split_key(key: &[u8]) -> Option<(&str, &[u8])> {
    let end = key.iter().position(|byte| *byte == 0)?;
    Some((std::str::from_utf8(&key[..end]).ok()?, &key[end + 1..]))
}

/// Session Expiry Interval and user name.
pub(super) fn session(expiry: u32, user_name: Option<&str>) -> Vec<u8> {
    let mut value = expiry.to_be_bytes().to_vec();
    if let Some(user_name) = user_name {
        value.push(1);
        value.extend_from_slice(user_name.as_bytes());
    }
    value
}

pub(super) fn read_session(value: &[u8]) -> Option<(u32, Option<&str>)> {
    let (expiry, user_name) = value.split_first_chunk::<4>()?;
    let user_name = match user_name.split_first() {
        None => None,
        Some((_, name)) => Some(std::str::from_utf8(name).ok()?),
    };
    Some((u32::from_be_bytes(*expiry), user_name))
}

/// The options of a subscription and its identifier.
pub(super) fn subscription(filter: &SubscribeFilter, identifier: u32) -> [u8; 8] {
    let [a, b, c, d] = identifier.to_be_bytes();
    let SubscribeFilter { filter: _, qos, no_local, retain_as_published, retain_handling } = filter;
    [qos.number(), u8::from(*no_local), u8::from(*retain_as_published), *retain_handling as u8, a, b, c, d]
}

pub(super) fn read_subscription(filter: &[u8], value: &[u8]) -> Option<(SubscribeFilter, u32)> {
    let [qos, no_local, retain_as_published, handling, a, b, c, d] = *value else { return None };
    let retain_handling = match handling {
        0 => RetainHandling::Always,
        1 => RetainHandling::New,
        2 => RetainHandling::Never,
        _ => return None,
    };
    let filter = SubscribeFilter {
        filter: std::str::from_utf8(filter).ok()?.to_owned(),
        qos: QoS::from_number(qos)?,
        no_local: no_local != 0,
        retain_as_published: retain_as_published != 0,
        retain_handling,
    };
    Some((filter, u32::from_be_bytes([a, b, c, d])))
}

/// What is known of a message in a session's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owed {
    /// Number of the message.
    pub(super) message: u64,
    pub(super) delivery: DeliveryOptions,
    /// 0 while it was not sent.
    pub(super) packet_identifier: u16,
    /// PUBREC has arrived.
    pub(super) is_received: bool,
}

impl Owed {
    pub(super) fn encode(&self) -> Vec<u8> {
        let DeliveryOptions { qos, retain, identifier } = self.delivery;
        let mut value = self.message.to_be_bytes().to_vec();
        value.extend_from_slice(&[qos.number(), u8::from(retain), u8::from(self.is_received)]);
        value.extend_from_slice(&identifier.to_be_bytes());
        value.extend_from_slice(&self.packet_identifier.to_be_bytes());
        value
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let (message, rest) = value.split_first_chunk::<8>()?;
        let [qos, retain, is_received, a, b, c, d, e, f] = *rest else { return None };
        Some(Self {
            message: u64::from_be_bytes(*message),
            delivery: DeliveryOptions {
                qos: QoS::from_number(qos)?,
                retain: retain != 0,
                identifier: u32::from_be_bytes([a, b, c, d]),
            },
            packet_identifier: u16::from_be_bytes([e, f]),
            is_received: is_received != 0,
        })
    }
}

/// A message: QoS, RETAIN, when it expires, the lengths of topic and properties, then these and the payload.
pub(super) fn message(message: &StoredMessage, clock: &Clock) -> Vec<u8> {
    let MessageParts { topic, payload, properties, qos, retain, expires } = message.parts();
    let mut value = Vec::with_capacity(16 + topic.len() + properties.len() + payload.len());
    value.push(qos.number() | u8::from(retain) << 2);
    value.extend_from_slice(&expires.map_or(0, |expires| clock.to_unix(expires)).to_be_bytes());
    value.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    value.extend_from_slice(&(properties.len() as u32).to_be_bytes());
    for part in [topic.as_bytes(), properties, payload] {
        value.extend_from_slice(part);
    }
    value
}

pub(super) fn read_message(value: &[u8], clock: &Clock) -> Option<StoredMessage> {
    let (flags, rest) = value.split_first()?;
    let (expires, rest) = rest.split_first_chunk::<8>()?;
    let (topic_length, rest) = rest.split_first_chunk::<2>()?;
    let (properties_length, rest) = rest.split_first_chunk::<4>()?;
    let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*topic_length)))?;
    let (properties, payload) = rest.split_at_checked(u32::from_be_bytes(*properties_length) as usize)?;
    let expires = Some(u64::from_be_bytes(*expires)).filter(|expires| *expires > 0);
    Some(StoredMessage::new(&MessageParts {
        topic: std::str::from_utf8(topic).ok()?,
        payload,
        properties,
        qos: QoS::from_number(flags & 3)?,
        retain: flags & 4 != 0,
        expires: expires.map(|expires| clock.to_instant(expires)),
    }))
}
