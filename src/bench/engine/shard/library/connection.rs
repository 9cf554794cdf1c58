//! rumqttc's two clients, for MQTT 3.1.1 and 5, as one: the only place that names the crate.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use rumqttc::{Incoming, Outgoing, v5};

use crate::bench::plan::BenchPlan;
use crate::client::ClientError;
use crate::mqtt::wire::MAX_PACKET_SIZE;
use crate::mqtt::{Message, Properties, ProtocolVersion, QoS, ReasonCode};
use crate::session::{SessionConfig, SessionError};
use crate::transport::{Address, ConnectError, Fault, Stage, TransportPlan, explain_socket_error, io_text};

/// What the event loop of a client reports.
#[derive(Debug)]
pub(super) enum LibraryEvent {
    /// CONNACK accepted the client; the broker's Receive Maximum, where it has one.
    Connected(Option<u16>),
    /// SUBACK: the granted QoS, or the refusal, of each filter.
    Subscribed(Vec<Result<u8, ReasonCode>>),
    /// A PUBLISH was written; 0 at QoS 0.
    Sent(u16),
    /// PUBACK, with its reason.
    Acknowledged(u16, ReasonCode),
    /// PUBREC.
    Received(u16, ReasonCode),
    /// PUBCOMP.
    Completed(u16, ReasonCode),
    /// A message arrived.
    Arrived(Arrived),
    /// DISCONNECT was written.
    Disconnected,
    /// Anything else.
    Other,
}

/// A message that arrived.
#[derive(Debug)]
pub(super) struct Arrived {
    /// Its topic; not UTF-8 only where the broker breaks the standard.
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) dup: bool,
}

/// The half through which an application sends.
pub(super) enum LibraryClient {
    V4(rumqttc::AsyncClient),
    V5(v5::AsyncClient),
}

/// The half that an application polls.
pub(super) enum LibraryLoop {
    V4(Box<rumqttc::EventLoop>),
    V5(Box<v5::EventLoop>),
}

const fn qos_of(qos: QoS) -> rumqttc::QoS {
    match qos {
        QoS::AtMostOnce => rumqttc::QoS::AtMostOnce,
        QoS::AtLeastOnce => rumqttc::QoS::AtLeastOnce,
        QoS::ExactlyOnce => rumqttc::QoS::ExactlyOnce,
    }
}

const fn qos_of_v5(qos: QoS) -> v5::mqttbytes::QoS {
    match qos {
        QoS::AtMostOnce => v5::mqttbytes::QoS::AtMostOnce,
        QoS::AtLeastOnce => v5::mqttbytes::QoS::AtLeastOnce,
        QoS::ExactlyOnce => v5::mqttbytes::QoS::ExactlyOnce,
    }
}

/// Host and port as rumqttc joins them again, and whether it is a Unix socket.
fn place(address: &Address) -> (String, u16, bool) {
    match address {
        Address::Tcp { host, port } if host.contains(':') => (format!("[{host}]"), *port, false),
        Address::Tcp { host, port } => (host.clone(), *port, false),
        Address::Unix(path) => (path.display().to_string(), 0, true),
    }
}

/// The clients of a plan, by global number; `capacity` is how many requests wait for the event loop at most.
pub(super) fn open(plan: &BenchPlan, client: usize, window: u16, capacity: usize) -> (LibraryClient, LibraryLoop) {
    let (session, transport) = (plan.session_of(client), plan.transport_of(client));
    if session.version == ProtocolVersion::V5 {
        let (client, events) = v5::AsyncClient::new(options_v5(&session, &transport, window), capacity);
        return (LibraryClient::V5(client), LibraryLoop::V5(Box::new(events)));
    }
    let (client, mut events) = rumqttc::AsyncClient::new(options_v4(&session, &transport, window), capacity);
    events.set_network_options(network(&transport));
    (LibraryClient::V4(client), LibraryLoop::V4(Box::new(events)))
}

fn network(transport: &TransportPlan) -> rumqttc::NetworkOptions {
    let mut network = rumqttc::NetworkOptions::new();
    network.set_tcp_nodelay(transport.no_delay);
    network.set_connection_timeout(seconds(transport.timeout));
    network
}

fn seconds(timeout: Duration) -> u64 {
    timeout.as_secs().max(1)
}

/// User name and password. One that is not UTF-8 was refused with the plan.
fn login(session: &SessionConfig) -> Option<(String, String)> {
    let password = session.password.as_ref().map_or(&b""[..], |secret| secret.expose());
    Some((session.user_name.clone()?, String::from_utf8_lossy(password).into_owned()))
}

fn options_v4(session: &SessionConfig, transport: &TransportPlan, window: u16) -> rumqttc::MqttOptions {
    let (host, port, is_unix) = place(&transport.address);
    let mut options = rumqttc::MqttOptions::new(&session.client_id, host, port);
    if is_unix {
        set_unix(&mut options);
    }
    options.set_keep_alive(session.keep_alive).set_inflight(window.max(1));
    options.set_max_packet_size(MAX_PACKET_SIZE, MAX_PACKET_SIZE);
    if let Some((user_name, password)) = login(session) {
        options.set_credentials(user_name, password);
    }
    if let Some(Message { topic, payload, qos, retain, .. }) = &session.will {
        options.set_last_will(rumqttc::LastWill::new(topic, payload.to_vec(), qos_of(*qos), *retain));
    }
    options
}

fn options_v5(session: &SessionConfig, transport: &TransportPlan, window: u16) -> v5::MqttOptions {
    let (host, port, is_unix) = place(&transport.address);
    let mut options = v5::MqttOptions::new(&session.client_id, host, port);
    if is_unix {
        set_unix_v5(&mut options);
    }
    options.set_keep_alive(session.keep_alive).set_outgoing_inflight_upper_limit(window.max(1));
    // Without it rumqttc takes no packet above 10 KiB.
    options.set_max_packet_size(u32::try_from(MAX_PACKET_SIZE).ok());
    options.set_connection_timeout(seconds(transport.timeout)).set_network_options(network(transport));
    if let Some((user_name, password)) = login(session) {
        options.set_credentials(user_name, password);
    }
    if let Some(Message { topic, payload, qos, retain, .. }) = &session.will {
        let payload = payload.to_vec();
        options.set_last_will(v5::mqttbytes::v5::LastWill::new(topic, payload, qos_of_v5(*qos), *retain, None));
    }
    options
}

#[cfg(unix)]
fn set_unix(options: &mut rumqttc::MqttOptions) {
    options.set_transport(rumqttc::Transport::unix());
}

#[cfg(unix)]
fn set_unix_v5(options: &mut v5::MqttOptions) {
    options.set_transport(rumqttc::Transport::unix());
}

#[cfg(not(unix))]
fn set_unix(_options: &mut rumqttc::MqttOptions) {}

#[cfg(not(unix))]
fn set_unix_v5(_options: &mut v5::MqttOptions) {}

impl LibraryClient {
    /// Passes a message to the event loop. False where its channel is full, or the loop has ended.
    pub(super) fn publish(&self, topic: &str, qos: QoS, retain: bool, payload: &[u8]) -> bool {
        match self {
            Self::V4(client) => client.try_publish(topic, qos_of(qos), retain, payload).is_ok(),
            Self::V5(client) => {
                client.try_publish(topic, qos_of_v5(qos), retain, Bytes::copy_from_slice(payload)).is_ok()
            }
        }
    }

    /// Subscribes to all these filters in one packet. False as above, or where rumqttc finds a filter invalid.
    pub(super) fn subscribe(&self, filters: &[String], qos: QoS) -> bool {
        match self {
            Self::V4(client) => {
                let filters = filters.iter().map(|filter| rumqttc::SubscribeFilter::new(filter.clone(), qos_of(qos)));
                client.try_subscribe_many(filters).is_ok()
            }
            Self::V5(client) => {
                let filter = |filter: &String| v5::mqttbytes::v5::Filter::new(filter.clone(), qos_of_v5(qos));
                client.try_subscribe_many(filters.iter().map(filter)).is_ok()
            }
        }
    }

    /// Sends DISCONNECT after what was passed before. False where the channel is full, or the loop has ended.
    pub(super) fn disconnect(&self) -> bool {
        match self {
            Self::V4(client) => client.try_disconnect().is_ok(),
            Self::V5(client) => client.try_disconnect().is_ok(),
        }
    }
}

impl LibraryLoop {
    /// Connects, up to CONNACK. Returns the broker's Receive Maximum, where it has one.
    ///
    /// # Errors
    /// Why the connection could not be made; `target` names the broker in it.
    pub(super) async fn connect(&mut self, target: &str) -> Result<Option<u16>, ClientError> {
        loop {
            let event = match self {
                Self::V4(events) => events.poll().await.map(event_of).map_err(|error| match error {
                    rumqttc::ConnectionError::Io(error) => not_connected(target, &error),
                    error => error_of(error, target),
                }),
                Self::V5(events) => events.poll().await.map(event_of_v5).map_err(|error| match error {
                    v5::ConnectionError::Io(error) => not_connected(target, &error),
                    error => error_of_v5(error, target),
                }),
            };
            if let LibraryEvent::Connected(maximum) = event? {
                return Ok(maximum);
            }
        }
    }

    /// Waits for the next event. After an error the connection is gone; polled again, rumqttc would reconnect.
    ///
    /// # Errors
    /// Why the connection was lost or could not be made; `target` names the broker in it.
    pub(super) async fn next(&mut self, target: &str) -> Result<LibraryEvent, ClientError> {
        match self {
            Self::V4(events) => match events.poll().await {
                Ok(event) => Ok(event_of(event)),
                Err(error) => Err(error_of(error, target)),
            },
            Self::V5(events) => match events.poll().await {
                Ok(event) => Ok(event_of_v5(event)),
                Err(error) => Err(error_of_v5(error, target)),
            },
        }
    }
}

fn event_of(event: rumqttc::Event) -> LibraryEvent {
    use rumqttc::SubscribeReasonCode::{Failure, Success};
    match event {
        rumqttc::Event::Outgoing(outgoing) => outgoing_event(&outgoing),
        rumqttc::Event::Incoming(packet) => match packet {
            Incoming::ConnAck(_) => LibraryEvent::Connected(None),
            Incoming::SubAck(suback) => LibraryEvent::Subscribed(
                suback
                    .return_codes
                    .iter()
                    .map(|code| match code {
                        Success(qos) => Ok(*qos as u8),
                        Failure => Err(ReasonCode::UNSPECIFIED_ERROR),
                    })
                    .collect(),
            ),
            Incoming::PubAck(packet) => LibraryEvent::Acknowledged(packet.pkid, ReasonCode::SUCCESS),
            Incoming::PubRec(packet) => LibraryEvent::Received(packet.pkid, ReasonCode::SUCCESS),
            Incoming::PubComp(packet) => LibraryEvent::Completed(packet.pkid, ReasonCode::SUCCESS),
            Incoming::Publish(packet) => LibraryEvent::Arrived(Arrived {
                topic: packet.topic,
                payload: packet.payload,
                qos: QoS::from_number(packet.qos as u8).unwrap_or_default(),
                retain: packet.retain,
                dup: packet.dup,
            }),
            _ => LibraryEvent::Other,
        },
    }
}

const fn outgoing_event(outgoing: &Outgoing) -> LibraryEvent {
    match outgoing {
        Outgoing::Publish(identifier) => LibraryEvent::Sent(*identifier),
        Outgoing::Disconnect => LibraryEvent::Disconnected,
        _ => LibraryEvent::Other,
    }
}

fn event_of_v5(event: v5::Event) -> LibraryEvent {
    match event {
        v5::Event::Outgoing(outgoing) => outgoing_event(&outgoing),
        v5::Event::Incoming(packet) => match packet {
            v5::Incoming::ConnAck(connack) => {
                LibraryEvent::Connected(connack.properties.and_then(|properties| properties.receive_max))
            }
            v5::Incoming::SubAck(suback) => {
                LibraryEvent::Subscribed(suback.return_codes.iter().map(granted_v5).collect())
            }
            v5::Incoming::PubAck(packet) => LibraryEvent::Acknowledged(packet.pkid, reason_of(packet.reason)),
            v5::Incoming::PubRec(packet) => LibraryEvent::Received(packet.pkid, reason_of(packet.reason)),
            v5::Incoming::PubComp(packet) => LibraryEvent::Completed(packet.pkid, reason_of(packet.reason)),
            v5::Incoming::Publish(packet) => LibraryEvent::Arrived(Arrived {
                topic: String::from_utf8_lossy(&packet.topic).into_owned(),
                payload: packet.payload,
                qos: QoS::from_number(packet.qos as u8).unwrap_or_default(),
                retain: packet.retain,
                dup: packet.dup,
            }),
            _ => LibraryEvent::Other,
        },
    }
}

/// rumqttc has an enumeration of names for each packet, in which the numbers of the standard (§2.4) are lost.
const REASONS: &[(&str, u8)] = &[
    ("Success", 0x00),
    ("NoMatchingSubscribers", 0x10),
    ("Unspecified", 0x80),
    ("UnspecifiedError", 0x80),
    ("MalformedPacket", 0x81),
    ("ProtocolError", 0x82),
    ("ImplementationSpecific", 0x83),
    ("ImplementationSpecificError", 0x83),
    ("RefusedProtocolVersion", 0x84),
    ("UnsupportedProtocolVersion", 0x84),
    ("BadClientId", 0x85),
    ("ClientIdentifierNotValid", 0x85),
    ("BadUserNamePassword", 0x86),
    ("NotAuthorized", 0x87),
    ("ServiceUnavailable", 0x88),
    ("ServerUnavailable", 0x88),
    ("ServerBusy", 0x89),
    ("Banned", 0x8A),
    ("BadAuthenticationMethod", 0x8C),
    ("TopicFilterInvalid", 0x8F),
    ("TopicNameInvalid", 0x90),
    ("PkidInUse", 0x91),
    ("PacketIdentifierInUse", 0x91),
    ("PacketIdentifierNotFound", 0x92),
    ("PacketTooLarge", 0x95),
    ("QuotaExceeded", 0x97),
    ("PayloadFormatInvalid", 0x99),
    ("RetainNotSupported", 0x9A),
    ("QoSNotSupported", 0x9B),
    ("UseAnotherServer", 0x9C),
    ("ServerMoved", 0x9D),
    ("SharedSubscriptionsNotSupported", 0x9E),
    ("ConnectionRateExceeded", 0x9F),
    ("SubscriptionIdNotSupported", 0xA1),
    ("WildcardSubscriptionsNotSupported", 0xA2),
];

/// The reason code of a name of rumqttc's.
fn reason_of(name: impl std::fmt::Debug) -> ReasonCode {
    let name = format!("{name:?}");
    let known = REASONS.iter().find(|(known, _)| *known == name);
    known.map_or(ReasonCode::UNSPECIFIED_ERROR, |(_, code)| ReasonCode(*code))
}

fn granted_v5(code: &v5::mqttbytes::v5::SubscribeReasonCode) -> Result<u8, ReasonCode> {
    match code {
        v5::mqttbytes::v5::SubscribeReasonCode::Success(qos) => Ok(*qos as u8),
        refused => Err(reason_of(refused)),
    }
}

/// A connection that rumqttc could not make or has lost, in its own words.
fn lost(target: &str, cause: String) -> ClientError {
    ClientError::Lost { target: target.to_owned(), cause: Some(cause), before_connack: false, hint: None }
}

/// rumqttc does not show which step failed.
fn not_connected(target: &str, error: &io::Error) -> ClientError {
    let Fault { kind, cause, hint } = explain_socket_error(error);
    ConnectError { stage: Stage::Tcp, kind, target: target.to_owned(), cause, hint, elapsed: Duration::ZERO }.into()
}

fn refused(target: &str, reason: ReasonCode) -> ClientError {
    let error = SessionError::Refused { reason, properties: Properties::new() };
    ClientError::Session { target: target.to_owned(), error }
}

fn error_of(error: rumqttc::ConnectionError, target: &str) -> ClientError {
    match error {
        rumqttc::ConnectionError::Io(error) | rumqttc::ConnectionError::MqttState(rumqttc::StateError::Io(error)) => {
            lost(target, io_text(&error))
        }
        rumqttc::ConnectionError::ConnectionRefused(code) => refused(target, reason_of(code)),
        other => lost(target, format!("rumqttc: {other}")),
    }
}

fn error_of_v5(error: v5::ConnectionError, target: &str) -> ClientError {
    match error {
        v5::ConnectionError::Io(error) | v5::ConnectionError::MqttState(v5::StateError::Io(error)) => {
            lost(target, io_text(&error))
        }
        v5::ConnectionError::ConnectionRefused(code) => refused(target, reason_of(code)),
        other => lost(target, format!("rumqttc: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::v5::mqttbytes::v5::{
        ConnectReturnCode, PubAckReason, PubCompReason, PubRecReason, SubscribeReasonCode,
    };

    use super::*;

    #[test]
    fn names_have_the_numbers_of_the_standard() {
        for (reason, code) in [
            (reason_of(PubAckReason::Success), 0x00),
            (reason_of(PubAckReason::NoMatchingSubscribers), 0x10),
            (reason_of(PubAckReason::UnspecifiedError), 0x80),
            (reason_of(PubAckReason::PacketIdentifierInUse), 0x91),
            (reason_of(PubRecReason::QuotaExceeded), 0x97),
            (reason_of(PubRecReason::PayloadFormatInvalid), 0x99),
            (reason_of(PubCompReason::PacketIdentifierNotFound), 0x92),
            (reason_of(ConnectReturnCode::BadAuthenticationMethod), 0x8C),
            (reason_of(ConnectReturnCode::ConnectionRateExceeded), 0x9F),
            (reason_of(SubscribeReasonCode::NotAuthorized), 0x87),
            (reason_of(SubscribeReasonCode::WildcardSubscriptionsNotSupported), 0xA2),
            // MQTT 3.1.1 has the numbers 1 to 5.
            (reason_of(rumqttc::ConnectReturnCode::RefusedProtocolVersion), 0x84),
            (reason_of(rumqttc::ConnectReturnCode::BadClientId), 0x85),
            (reason_of(rumqttc::ConnectReturnCode::BadUserNamePassword), 0x86),
            (reason_of(rumqttc::ConnectReturnCode::NotAuthorized), 0x87),
            (reason_of(rumqttc::ConnectReturnCode::ServiceUnavailable), 0x88),
        ] {
            assert_eq!(reason, ReasonCode(code));
        }
    }

    #[test]
    fn an_ipv6_address_is_in_brackets() {
        let tcp = |host: &str| place(&Address::Tcp { host: host.to_owned(), port: 1 });
        assert_eq!(tcp("::1"), ("[::1]".to_owned(), 1, false));
        assert_eq!(tcp("broker"), ("broker".to_owned(), 1, false));
        assert_eq!(place(&Address::Unix("/run/a".into())), ("/run/a".to_owned(), 0, true));
    }
}
