//! What a store must keep: the seam for persistence. The same records are written while the broker runs and read back
//! when it starts ([`super::Core::restore`]), in the order in which they were written.

use std::sync::Arc;

use super::StoredMessage;
use crate::mqtt::wire::SubscribeFilter;

/// A change of what outlives a connection: sessions that outlive theirs, and retained messages.
#[derive(Clone, Debug)]
pub enum Change<'a> {
    /// A session exists, or what is known about it is new.
    Session {
        /// The session's Client Identifier.
        client_id: &'a str,
        /// Session Expiry Interval in seconds; `u32::MAX` never expires. Counted from the end of the connection, or
        /// from the start of the broker for a session that was connected when it ended.
        expiry: u32,
        /// User name that access lists go by.
        user_name: Option<&'a str>,
    },
    /// A session is gone with everything in it.
    SessionRemoved {
        /// The session's Client Identifier.
        client_id: &'a str,
    },
    /// A subscription was made or changed.
    Subscribed {
        /// The session's Client Identifier.
        client_id: &'a str,
        /// Filter, with `$share/GROUP/` in front for a shared one, and options.
        filter: &'a SubscribeFilter,
        /// Subscription Identifier, 0 for none.
        identifier: u32,
    },
    /// A subscription was ended.
    Unsubscribed {
        /// The session's Client Identifier.
        client_id: &'a str,
        /// Filter as in [`Change::Subscribed`].
        filter: &'a str,
    },
    /// A QoS 1 or 2 message is queued for a session.
    Queued {
        /// The session's Client Identifier.
        client_id: &'a str,
        /// Names it within the session; rises with each message.
        number: u64,
        /// The message. The same `Arc` for all sessions that it is queued for.
        message: &'a Arc<StoredMessage>,
        /// How it is delivered.
        delivery: DeliveryOptions,
    },
    /// It was sent under this Packet Identifier.
    Sent {
        /// The session's Client Identifier.
        client_id: &'a str,
        /// The message's number.
        number: u64,
        /// Packet Identifier.
        packet_identifier: u16,
    },
    /// PUBREC has arrived for it: only the PUBREL of the QoS 2 delivery is outstanding.
    Received {
        /// The session's Client Identifier.
        client_id: &'a str,
        /// The message's number.
        number: u64,
    },
    /// It is done, or was given up.
    Done {
        /// The session's Client Identifier.
        client_id: &'a str,
        /// The message's number.
        number: u64,
    },
    /// A QoS 2 message came from the client and waits for its PUBREL.
    Held {
        /// The session's Client Identifier.
        client_id: &'a str,
        /// Its Packet Identifier.
        packet_identifier: u16,
        /// The message.
        message: &'a Arc<StoredMessage>,
    },
    /// PUBREL has arrived for it.
    Released {
        /// The session's Client Identifier.
        client_id: &'a str,
        /// Its Packet Identifier.
        packet_identifier: u16,
    },
    /// The retained message of its topic is this one.
    Retained {
        /// The message.
        message: &'a Arc<StoredMessage>,
    },
    /// A topic has no retained message any more.
    RetainedCleared {
        /// The topic.
        topic: &'a str,
    },
}

/// How a message is delivered to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryOptions {
    /// QoS of the delivery.
    pub qos: crate::mqtt::QoS,
    /// RETAIN of the delivery.
    pub retain: bool,
    /// Subscription Identifier, 0 for none.
    pub identifier: u32,
}

/// Takes changes. The driver makes its store commit them once per turn, before the answers of that turn are
/// written to the sockets: what is acknowledged is on disk, and one write serves all connections of the turn.
pub trait Journal: Send {
    /// Takes one change.
    fn record(&mut self, change: &Change<'_>);
}
