//! The error texts and exit statuses of mosquitto's clients.

use super::ClientError;
use crate::exit_status::ExitStatus;
use crate::mqtt::wire::WireError;
use crate::mqtt::{ProtocolVersion, ReasonCode};
use crate::session::{PublishError, SessionError};
use crate::terminal::escape;
use crate::transport::{ConnectError, FailureKind, Stage, TlsSetupError};

/// One of mosquitto's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MosquittoClient {
    /// mosquitto_pub.
    Publish,
    /// mosquitto_sub.
    Subscribe,
    /// mosquitto_rr.
    Request,
}

/// How a client ends: lines for stderr, each with its newline, and the number for the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// For stderr, unless `--quiet` is given.
    pub stderr: String,
    /// How the tool ends.
    pub status: ExitStatus,
}

impl Ending {
    fn new(line: impl Into<String>, code: u8) -> Self {
        let mut stderr = line.into();
        if !stderr.is_empty() {
            stderr.push('\n');
        }
        Self { stderr, status: ExitStatus::Compatible(code) }
    }
}

const PROTOCOL_ERROR: &str = "Error: A network protocol error occurred when communicating with the broker.";
const TLS_SETTINGS: &str = "Error: Problem setting TLS options, check the options are valid.";
/// The time of `-W` has run out.
pub(crate) const TIMED_OUT: &str = "Timed out\n";
/// The exit status of a mosquitto_sub that ends before the broker has accepted it: its `exit(-1)`.
pub(crate) const BEFORE_CONNACK: ExitStatus = ExitStatus::Compatible(255);

/// How the client ends for an error between it and the broker.
pub(crate) fn ending(error: &ClientError, client: MosquittoClient, version: ProtocolVersion) -> Ending {
    match error {
        ClientError::Connect(error) => not_connected(error),
        ClientError::Tls(error) => tls_settings(error),
        ClientError::Publish(error) => not_published(error, client),
        ClientError::Session { error: SessionError::Refused { reason, .. }, .. } => refused(*reason, client, version),
        // mosquitto_pub finds out when it waits for an acknowledgement; the others leave when the broker sends
        // DISCONNECT.
        ClientError::Session { error: SessionError::Disconnected { .. }, .. } => match client {
            MosquittoClient::Publish => Ending::new("Error: The client is not currently connected.", 4),
            MosquittoClient::Subscribe | MosquittoClient::Request => Ending::new("", 0),
        },
        ClientError::Session {
            error: SessionError::ConnackTimeout(_) | SessionError::PingTimeout(_) | SessionError::Stalled(_),
            ..
        }
        | ClientError::Unanswered { .. }
        | ClientError::NotTaken { .. }
        | ClientError::GaveUp { .. }
        | ClientError::Lost { .. } => Ending::new("Error: The connection was lost.", 7),
        ClientError::Session { .. } => Ending::new(PROTOCOL_ERROR, 2),
        ClientError::SubscribeRefused { reason, .. } if client == MosquittoClient::Request => {
            Ending::new(name_of(*reason), 0)
        }
        ClientError::SubscribeRefused { .. } => Ending::new("All subscription requests were denied.", 0),
        ClientError::SubscribeDowngraded { .. } | ClientError::PublishRefused { .. } => Ending::new("", 0),
    }
}

/// What mosquitto_pub prints about a message that the broker refused (5.0); it continues and ends with 0.
pub(crate) fn publish_failed(packet_identifier: u16, reason: ReasonCode, reason_string: Option<&str>) -> String {
    let mut text = format!("Warning: Publish {packet_identifier} failed: {}.\n", name_of(reason));
    if let Some(words) = reason_string {
        text.push_str(&escape(words));
        text.push('\n');
    }
    text
}

fn name_of(reason: ReasonCode) -> &'static str {
    reason.name().unwrap_or("Unknown reason")
}

fn not_connected(error: &ConnectError) -> Ending {
    let system = |text: &str| Ending::new(format!("Error: {text}"), 1);
    match (error.stage, error.kind) {
        // A Unix socket that is not there.
        (Stage::Unix, FailureKind::HostNotFound) => system("No such file or directory"),
        (Stage::Dns, _) => Ending::new("Unable to connect (Lookup error.).", 1),
        // mosquitto prints no more; the cause is added.
        (Stage::Tls, _) => Ending::new(format!("Unable to connect (A TLS error occurred.).\n{}", cause(error)), 1),
        (Stage::Proxy, FailureKind::ProxyRefused | FailureKind::ProxyAuthentication) => {
            Ending::new(format!("Error: Authorisation failed.\n{}", cause(error)), 11)
        }
        (Stage::Proxy, FailureKind::Refused | FailureKind::Unreachable) => {
            Ending::new(format!("Error: The client is not currently connected.\n{}", cause(error)), 4)
        }
        (Stage::Proxy, _) => Ending::new(format!("Error: Proxy error.\n{}", cause(error)), 16),
        (Stage::WebSocket, FailureKind::Closed) => Ending::new("Error: The connection was lost.", 7),
        (Stage::WebSocket, _) => Ending::new(format!("{PROTOCOL_ERROR}\n{}", cause(error)), 2),
        (Stage::Tcp | Stage::Unix, FailureKind::Refused) => system("Connection refused"),
        (Stage::Tcp | Stage::Unix, FailureKind::TimedOut) => system("Connection timed out"),
        (Stage::Tcp | Stage::Unix, FailureKind::Closed) => system("Connection reset by peer"),
        (Stage::Tcp, FailureKind::LocalAddress) => system("Cannot assign requested address"),
        (Stage::Tcp, FailureKind::Unreachable) if error.cause.contains("network") => system("Network is unreachable"),
        (Stage::Tcp, FailureKind::Unreachable) => system("No route to host"),
        (Stage::Tcp | Stage::Unix, _) => system(&escape(&error.cause)),
    }
}

fn cause(error: &ConnectError) -> String {
    let hint = error.hint.as_ref().map(|hint| format!("\nHint: {}", escape(hint))).unwrap_or_default();
    format!("Error: {}{hint}", escape(&error.cause))
}

fn tls_settings(error: &TlsSetupError) -> Ending {
    let text = error.to_string();
    if text.to_ascii_lowercase().contains("no such file") {
        return Ending::new("Error: Problem setting TLS options: File not found.", 1);
    }
    Ending::new(format!("{TLS_SETTINGS}\nError: {}", escape(&text)), 1)
}

fn not_published(error: &PublishError, client: MosquittoClient) -> Ending {
    match error {
        PublishError::QosNotSupported(_) if client == MosquittoClient::Request => {
            Ending::new("Error: Requested QoS not supported on server.", 24)
        }
        PublishError::QosNotSupported(_) => {
            Ending::new("Error: Message QoS not supported on broker, try a lower QoS.", 0)
        }
        PublishError::NotConnected => Ending::new("Error: The client is not currently connected.", 4),
        PublishError::Wire(WireError::TooLarge { .. }) => {
            Ending::new("Error: Packet larger than supported by the server.", 25)
        }
        other => Ending::new(format!("Error: {other}."), 3),
    }
}

fn refused(reason: ReasonCode, client: MosquittoClient, version: ProtocolVersion) -> Ending {
    if client == MosquittoClient::Request {
        // It takes the codes of 3.1.1 for those of 5.0.
        let code = if version.is_v5() { reason.0 } else { reason.to_v3_connack() };
        return Ending::new(format!("Connection error: {}", name_of(ReasonCode(code))), code);
    }
    let (line, code) = if version.is_v5() {
        let advice = match reason {
            ReasonCode::UNSUPPORTED_PROTOCOL_VERSION => ". Try connecting to an MQTT v5 broker, or use MQTT v3.x mode.",
            _ => "",
        };
        (format!("Connection error: {}{advice}", name_of(reason)), reason.0)
    } else {
        let code = reason.to_v3_connack();
        let why = match code {
            1 => "unacceptable protocol version",
            2 => "identifier rejected",
            4 => "bad user name or password",
            5 => "not authorised",
            _ => "broker unavailable",
        };
        (format!("Connection error: Connection Refused: {why}."), code)
    };
    let line = match (client, version.is_v5()) {
        (MosquittoClient::Subscribe | MosquittoClient::Request, _) => line,
        (MosquittoClient::Publish, true) => format!("{line}\n{PROTOCOL_ERROR}"),
        (MosquittoClient::Publish, false) => format!("{line}\nError: The connection was refused."),
    };
    Ending::new(line, code)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mqtt::Properties;
    use MosquittoClient::{Publish, Subscribe};
    use ProtocolVersion::{V5, V311};

    fn session(error: SessionError) -> ClientError {
        ClientError::Session { target: "h:1883".into(), error }
    }

    fn text_of(error: &ClientError, client: MosquittoClient, version: ProtocolVersion) -> (String, u8) {
        let Ending { stderr, status } = ending(error, client, version);
        (stderr, status.code())
    }

    #[test]
    fn a_refused_connect_ends_with_the_code_on_the_wire() {
        let refused = |reason| session(SessionError::Refused { reason, properties: Properties::new() });
        let not_authorised = refused(ReasonCode::from_v3_connack(5));
        let line = "Connection error: Connection Refused: not authorised.\n";
        assert_eq!(text_of(&not_authorised, Subscribe, V311), (line.into(), 5));
        let both = format!("{line}Error: The connection was refused.\n");
        assert_eq!(text_of(&not_authorised, Publish, V311), (both, 5));
        let line = "Connection error: Not authorized\n";
        assert_eq!(text_of(&not_authorised, Subscribe, V5), (line.into(), 135));
        assert_eq!(text_of(&not_authorised, Publish, V5), (format!("{line}{PROTOCOL_ERROR}\n"), 135));
        let version = refused(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
        let line = "Connection error: Unsupported Protocol Version. Try connecting to an MQTT v5 broker, or use MQTT \
                    v3.x mode.\n";
        assert_eq!(text_of(&version, Subscribe, V5), (line.into(), 132));
        assert_eq!(
            text_of(&refused(ReasonCode(0xff)), Subscribe, V5),
            ("Connection error: Unknown reason\n".into(), 255)
        );
    }

    #[test]
    fn errors_of_the_socket_are_the_systems() {
        let error = |stage, kind, cause: &str| {
            ClientError::Connect(ConnectError {
                stage,
                kind,
                target: "h:1".into(),
                cause: cause.into(),
                hint: None,
                elapsed: Duration::ZERO,
            })
        };
        for (stage, kind, cause, text) in [
            (Stage::Tcp, FailureKind::Refused, "connection refused", "Error: Connection refused\n"),
            (Stage::Unix, FailureKind::HostNotFound, "there is no such socket", "Error: No such file or directory\n"),
            (Stage::Tcp, FailureKind::Unreachable, "the network is unreachable", "Error: Network is unreachable\n"),
            (Stage::Dns, FailureKind::HostNotFound, "x", "Unable to connect (Lookup error.).\n"),
            (
                Stage::Tls,
                FailureKind::NotTls,
                "it speaks no TLS",
                "Unable to connect (A TLS error occurred.).\nError: it speaks no TLS\n",
            ),
        ] {
            assert_eq!(text_of(&error(stage, kind, cause), Publish, V311), (text.into(), 1));
        }
        let lost = ClientError::lost("h:1", None, false);
        assert_eq!(text_of(&lost, Publish, V311), ("Error: The connection was lost.\n".into(), 7));
    }

    #[test]
    fn refusals_of_messages_and_subscriptions() {
        let text = publish_failed(1, ReasonCode::NOT_AUTHORIZED, Some("no\x1b"));
        assert!(text.starts_with("Warning: Publish 1 failed: Not authorized.\nno") && !text.contains('\x1b'));
        let (target, filter, reason) = ("h".to_owned(), "a".to_owned(), ReasonCode::NOT_AUTHORIZED);
        let refused = ClientError::SubscribeRefused { target, filter, reason };
        assert_eq!(text_of(&refused, Subscribe, V5), ("All subscription requests were denied.\n".into(), 0));
        let disconnected = session(SessionError::Disconnected { reason, properties: Properties::new() });
        assert_eq!((text_of(&disconnected, Publish, V5).1, text_of(&disconnected, Subscribe, V5).1), (4, 0));
    }
}
