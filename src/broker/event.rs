//! What a broker can tell about its clients. Owned data, cheap to make; how it reads on a terminal is `log`'s.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::mqtt::{ProtocolVersion, QoS, ReasonCode};

/// Takes events. It is called on the threads of the broker, in the middle of its work: it must not block.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn take(&self, event: BrokerEvent);
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerEvent {
    /// A client was let in.
    Connected(ConnectDetails),
    /// A client was refused because it would be anonymous.
    Refused(ConnectDetails),
    /// A client subscribed.
    Subscribed {
        /// Who.
        client_id: Arc<str>,
        /// To what, and what came of it.
        filters: Vec<FilterGrant>,
    },
    /// A client unsubscribed.
    Unsubscribed {
        /// Who.
        client_id: Arc<str>,
        /// From what.
        filters: Vec<Arc<str>>,
    },
    /// A client published.
    Published(PublishDetails),
    /// A client is gone.
    Disconnected {
        /// Who.
        client_id: Arc<str>,
        /// The Reason Code it or the broker gave.
        reason: ReasonCode,
        /// It went without a DISCONNECT.
        unexpected: bool,
    },
    /// The broker's own words about something that went wrong, such as why it refused a client.
    Warning(String),
}

/// What a CONNECT said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectDetails {
    /// Client Identifier, the broker's own where the client left it empty.
    pub client_id: Arc<str>,
    /// Where it comes from.
    pub address: SocketAddr,
    /// Protocol version.
    pub version: ProtocolVersion,
    /// Clean Start (Clean Session before 5.0).
    pub clean_start: bool,
    /// Keep Alive in seconds.
    pub keep_alive: u16,
    /// User Name.
    pub user_name: Option<String>,
}

/// One Topic Filter of a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterGrant {
    /// The filter.
    pub filter: Arc<str>,
    /// The QoS that was asked for.
    pub qos: QoS,
    /// Whether it was granted at any QoS.
    pub granted: bool,
}

/// What a PUBLISH said. DUP is not here: the crate does not tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishDetails {
    /// Who.
    pub client_id: Arc<str>,
    /// QoS.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// Packet Identifier, 0 at QoS 0.
    pub packet_identifier: u16,
    /// Topic Name.
    pub topic: Arc<str>,
    /// Size of the payload in bytes.
    pub size: usize,
}

impl BrokerEvent {
    /// How many bytes of text the event carries, roughly: what it costs to keep.
    pub fn weight(&self) -> usize {
        const FIXED: usize = 64;
        FIXED
            + match self {
                Self::Connected(details) | Self::Refused(details) => {
                    details.client_id.len() + details.user_name.as_ref().map_or(0, String::len)
                }
                Self::Subscribed { client_id, filters } => {
                    client_id.len() + filters.iter().map(|grant| FIXED + grant.filter.len()).sum::<usize>()
                }
                Self::Unsubscribed { client_id, filters } => {
                    client_id.len() + filters.iter().map(|filter| FIXED + filter.len()).sum::<usize>()
                }
                Self::Published(details) => details.client_id.len() + details.topic.len(),
                Self::Disconnected { client_id, .. } => client_id.len(),
                Self::Warning(text) => text.len(),
            }
    }
}
