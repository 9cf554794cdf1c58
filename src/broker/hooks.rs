//! Our ends of the crate's two hooks: who may come in, and what is told to an event sink.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use mqtt5::broker::{
    AuthProvider, AuthResult, BrokerEventHandler, ClientDisconnectEvent, ClientPublishEvent, ClientSubscribeEvent,
    ClientUnsubscribeEvent, PublishAction, SubAckReasonCode,
};
use mqtt5::packet::connect::ConnectPacket;

use super::{BrokerEvent, ConnectDetails, EventSink, FilterGrant, PublishDetails};
use crate::mqtt::{ProtocolVersion, QoS, ReasonCode};

type Hook<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Lets everyone in or no one. It is also the only hook that sees a whole CONNECT and where it came from, so the events
/// of coming in are made here.
pub(super) struct Door {
    pub(super) allow_anonymous: bool,
    pub(super) events: Option<Arc<dyn EventSink>>,
}

impl Door {
    fn admit(&self, connect: &ConnectPacket, address: SocketAddr) -> AuthResult {
        if let Some(events) = &self.events {
            let details = connect_details(connect, address);
            events.take(if self.allow_anonymous {
                BrokerEvent::Connected(details)
            } else {
                BrokerEvent::Refused(details)
            });
        }
        // No user id even where a user name is given: the crate would add it to messages as a user property.
        if self.allow_anonymous {
            AuthResult::success()
        } else {
            AuthResult::fail(mqtt5::protocol::v5::reason_codes::ReasonCode::NotAuthorized)
        }
    }
}

fn connect_details(connect: &ConnectPacket, address: SocketAddr) -> ConnectDetails {
    ConnectDetails {
        client_id: connect.client_id.as_str().into(),
        // An IPv4 client of a socket for both families arrives as ::ffff:a.b.c.d.
        address: SocketAddr::new(address.ip().to_canonical(), address.port()),
        // The crate refuses all but 4 and 5 before it asks.
        version: if connect.protocol_version == 5 { ProtocolVersion::V5 } else { ProtocolVersion::V311 },
        clean_start: connect.clean_start,
        keep_alive: connect.keep_alive,
        user_name: connect.username.clone(),
    }
}

impl AuthProvider for Door {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        client_addr: SocketAddr,
    ) -> Hook<'a, mqtt5::error::Result<AuthResult>> {
        Box::pin(std::future::ready(Ok(self.admit(connect, client_addr))))
    }

    fn authorize_publish<'a>(&'a self, _: &str, _: Option<&'a str>, _: &'a str) -> Hook<'a, bool> {
        Box::pin(std::future::ready(true))
    }

    fn authorize_subscribe<'a>(&'a self, _: &str, _: Option<&'a str>, _: &'a str) -> Hook<'a, bool> {
        Box::pin(std::future::ready(true))
    }
}

/// Turns the crate's events into ours.
pub(super) struct Relay {
    pub(super) events: Arc<dyn EventSink>,
}

impl BrokerEventHandler for Relay {
    fn on_client_subscribe<'a>(&'a self, event: ClientSubscribeEvent) -> Hook<'a, ()> {
        let filters = event
            .subscriptions
            .into_iter()
            .map(|subscription| FilterGrant {
                filter: subscription.topic_filter,
                qos: qos(subscription.qos),
                granted: matches!(
                    subscription.result,
                    SubAckReasonCode::GrantedQoS0 | SubAckReasonCode::GrantedQoS1 | SubAckReasonCode::GrantedQoS2
                ),
            })
            .collect();
        self.events.take(BrokerEvent::Subscribed { client_id: event.client_id, filters });
        Box::pin(std::future::ready(()))
    }

    fn on_client_unsubscribe<'a>(&'a self, event: ClientUnsubscribeEvent) -> Hook<'a, ()> {
        self.events.take(BrokerEvent::Unsubscribed { client_id: event.client_id, filters: event.topic_filters });
        Box::pin(std::future::ready(()))
    }

    fn on_client_publish<'a>(&'a self, event: ClientPublishEvent) -> Hook<'a, PublishAction> {
        self.events.take(BrokerEvent::Published(PublishDetails {
            client_id: event.client_id,
            qos: qos(event.qos),
            retain: event.retain,
            packet_identifier: event.packet_id.unwrap_or(0),
            topic: event.topic,
            size: event.payload.len(),
        }));
        Box::pin(std::future::ready(PublishAction::Continue))
    }

    fn on_client_disconnect<'a>(&'a self, event: ClientDisconnectEvent) -> Hook<'a, ()> {
        self.events.take(BrokerEvent::Disconnected {
            client_id: event.client_id,
            reason: ReasonCode(event.reason as u8),
            unexpected: event.unexpected,
        });
        Box::pin(std::future::ready(()))
    }
}

const fn qos(qos: mqtt5::QoS) -> QoS {
    match qos {
        mqtt5::QoS::AtMostOnce => QoS::AtMostOnce,
        mqtt5::QoS::AtLeastOnce => QoS::AtLeastOnce,
        mqtt5::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}
