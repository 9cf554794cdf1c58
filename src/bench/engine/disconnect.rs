//! Ends clients, and removes what they left on the broker: retained messages and sessions.

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use super::clock;
use super::connect::ConnectHandler;
use super::link::{BenchSession, Link};
use super::shared::Shared;
use crate::client::{Established, establish};
use crate::mqtt::wire::PublishTemplate;
use crate::mqtt::{Message, Properties, Property, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode};
use crate::session::SessionConfig;
use crate::transport::TlsClient;

/// Removes what a client left on the broker — its retained message, its session — and disconnects. Errors are ignored:
/// the broker may be gone.
pub(super) async fn disconnect(shared: &Shared, tls: Option<&TlsClient>, link: Link, client: usize, publishes: bool) {
    let plan = &shared.plan;
    let (mut connection, mut session, mut out) = link.into_parts();
    session.take_output(&mut out);
    if publishes && plan.retain {
        append_retained_removal(shared, client, &mut out);
    }
    let mut properties = Properties::new();
    let expiry = plan.session.connect_properties.number(PropertyName::SessionExpiryInterval);
    if plan.session.version == ProtocolVersion::V5
        && expiry.is_some_and(|seconds| seconds > 0)
        && let Ok(expiry) = Property::new(PropertyName::SessionExpiryInterval, PropertyValue::FourByte(0))
    {
        properties.push(expiry);
    }
    let _ = session.disconnect(ReasonCode::SUCCESS, properties);
    session.take_output(&mut out);
    let _ = connection.write_all(&out).await;
    let _ = connection.shutdown().await;
    if !plan.session.clean_start && plan.session.version != ProtocolVersion::V5 {
        // Before 5.0 only a connection with a clean session ends a kept session.
        clean_up(shared, tls, client, false).await;
    }
}

/// Whether a client that disappears without a DISCONNECT leaves something on the broker.
pub(super) fn needs_clean_up(shared: &Shared, publishes: bool) -> bool {
    let plan = &shared.plan;
    let expiry = plan.session.connect_properties.number(PropertyName::SessionExpiryInterval);
    (publishes && plan.retain) || !plan.session.clean_start || expiry.is_some_and(|seconds| seconds > 0)
}

/// Removes what a client whose connection was lost left on the broker, over a new connection. Errors are ignored: the
/// broker may be gone.
pub(super) async fn clean_up(shared: &Shared, tls: Option<&TlsClient>, client: usize, publishes: bool) {
    let plan = &shared.plan;
    let mut config = SessionConfig { clean_start: true, will: None, ..plan.session_of(client) };
    config.connect_properties.remove(PropertyName::SessionExpiryInterval);
    let mut session = BenchSession::new(clock::now());
    let mut handler = ConnectHandler::default();
    let transport = plan.transport_of(client);
    let established = establish(&transport, tls, &config, &mut session, &mut handler).await;
    if let Ok(Established { mut connection, .. }) = established {
        let mut out = Vec::new();
        if publishes && plan.retain {
            append_retained_removal(shared, client, &mut out);
        }
        let _ = session.disconnect(ReasonCode::SUCCESS, Properties::new());
        session.take_output(&mut out);
        let _ = connection.write_all(&out).await;
        let _ = connection.shutdown().await;
    }
}

/// Appends the empty message that removes the retained message of a client (§3.3.1.3).
fn append_retained_removal(shared: &Shared, client: usize, out: &mut Vec<u8>) {
    let plan = &shared.plan;
    let topic = plan.topic_of(client);
    let empty = Message { topic, payload: Bytes::new(), qos: QoS::AtMostOnce, retain: true, ..Message::default() };
    if let Ok(template) = PublishTemplate::new(&empty, plan.session.version) {
        template.append(0, &[], out);
    }
}
