//! Why a connection to a broker ended, or never began: one error over transport, session and socket, with the next
//! step.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::exit_status::ExitStatus;
use crate::mqtt::wire::{MAX_PACKET_SIZE, MAX_REMAINING_LENGTH, WireError};
use crate::mqtt::{PropertyName, ProtocolVersion, QoS, ReasonCode};
use crate::session::{PublishError, SessionConfig, SessionError};
use crate::terminal::number::counted;
use crate::transport::{
    ConnectError, FailureKind, TlsSetupError, TransportPlan, explain_tls_loss, io_text, looks_like_tls,
};

const SERVER_BUSY: ReasonCode = ReasonCode(0x89);
const SHUTTING_DOWN: ReasonCode = ReasonCode(0x8B);
const KEEP_ALIVE_TIMEOUT: ReasonCode = ReasonCode(0x8D);
const SESSION_TAKEN_OVER: ReasonCode = ReasonCode(0x8E);
const MAXIMUM_CONNECT_TIME: ReasonCode = ReasonCode(0xA0);

/// What went wrong between us and the broker.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// The transport did not come up.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// TLS files or settings cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// CONNECT, a PUBLISH or a SUBSCRIBE cannot be sent.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The session ended.
    #[error("{target}: {error}")]
    Session {
        /// The broker.
        target: String,
        /// Why.
        error: SessionError,
    },
    /// The broker refused a subscription.
    #[error("{target}: the broker refused to subscribe to {filter}: {reason}")]
    SubscribeRefused {
        /// The broker.
        target: String,
        /// The filter, or the first of several.
        filter: String,
        /// Why.
        reason: ReasonCode,
    },
    /// The broker refused a message.
    #[error("{target}: the broker refused the message to {topic}: {reason}")]
    PublishRefused {
        /// The broker.
        target: String,
        /// The topic.
        topic: String,
        /// Why.
        reason: ReasonCode,
    },
    /// The broker granted a lower QoS than was asked for.
    #[error("{target}: the broker granted QoS {granted} instead of QoS {}", .asked.number())]
    SubscribeDowngraded {
        /// The broker.
        target: String,
        /// What was asked for.
        asked: QoS,
        /// What was granted.
        granted: u8,
    },
    /// A packet was not answered.
    #[error("{target}: the broker did not answer {packet} within {} s", .waited.as_secs_f64())]
    Unanswered {
        /// The broker.
        target: String,
        /// The packet.
        packet: &'static str,
        /// How long was waited.
        waited: Duration,
    },
    /// The socket takes nothing more.
    #[error("{target}: the broker has accepted no data for {} s", .waited.as_secs_f64())]
    NotTaken {
        /// The broker.
        target: String,
        /// How long was waited.
        waited: Duration,
    },
    /// `--wait` is over.
    #[error("gave up after {} s{}: {}", .waited.as_secs_f64(), attempts(*.failed), .last.as_ref().map_or_else(|| format!("{target} has not answered {packet}"), ToString::to_string))]
    GaveUp {
        /// The broker.
        target: String,
        /// How long was waited.
        waited: Duration,
        /// Attempts that failed.
        failed: u64,
        /// Why the last one failed; none where the present one is the first.
        last: Option<Box<ClientError>>,
        /// What the present attempt waits for.
        packet: &'static str,
    },
    /// The connection is gone.
    #[error("{target}: the connection was lost{}", .cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default())]
    Lost {
        /// The broker.
        target: String,
        /// The socket's own words; none when the broker closed it.
        cause: Option<String>,
        /// CONNACK had not come yet.
        before_connack: bool,
        /// What to do, where the cause suggests it.
        hint: Option<String>,
    },
}

impl ClientError {
    /// A socket that failed, or was closed.
    pub(crate) fn lost(target: impl Into<String>, error: Option<&io::Error>, before_connack: bool) -> Self {
        let of_tls = error.and_then(explain_tls_loss);
        let (cause, hint) = match (of_tls, error) {
            (Some(fault), _) => (Some(fault.cause), fault.hint),
            (None, Some(error)) => (Some(io_text(error)), None),
            (None, None) => (None, None),
        };
        Self::Lost { target: target.into(), cause, before_connack, hint }
    }

    /// The same, with what to do where the connection was lost without a reason.
    pub(crate) fn hinting(self, hint: &str) -> Self {
        match self {
            Self::Lost { target, cause, before_connack, .. } => {
                Self::Lost { target, cause, before_connack, hint: Some(hint.to_owned()) }
            }
            other => other,
        }
    }

    /// Whether trying again may help, after a connection that once stood: a broker that restarts, a network that is
    /// away. What somebody has decided (a refusal, a certificate, a session taken over by another client) stays.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Connect(error) => matches!(
                error.kind,
                FailureKind::HostNotFound
                    | FailureKind::Refused
                    | FailureKind::Unreachable
                    | FailureKind::TimedOut
                    | FailureKind::LocalLimit
                    | FailureKind::Closed
                    | FailureKind::Unavailable
                    | FailureKind::Other
            ),
            Self::Session { error, .. } => match error {
                SessionError::Refused { reason, .. } | SessionError::Disconnected { reason, .. } => {
                    matches!(
                        *reason,
                        ReasonCode::SUCCESS | ReasonCode::SERVER_UNAVAILABLE | SERVER_BUSY | SHUTTING_DOWN
                    ) || matches!(*reason, KEEP_ALIVE_TIMEOUT | MAXIMUM_CONNECT_TIME)
                }
                SessionError::ConnackTimeout(_)
                | SessionError::PingTimeout(_)
                | SessionError::Stalled(_)
                | SessionError::UnexpectedDisconnect => true,
                _ => false,
            },
            Self::Lost { hint, .. } => hint.is_none(),
            _ => false,
        }
    }

    /// How the tool ends.
    pub(crate) fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Session { error: SessionError::Refused { reason, .. }, .. } if reason.is_error() => {
                ExitStatus::Refused(*reason)
            }
            // Any other code that is not success is a refusal, too.
            Self::Session { error: SessionError::Refused { .. }, .. } => {
                ExitStatus::Refused(ReasonCode::UNSPECIFIED_ERROR)
            }
            Self::Session { error: SessionError::Disconnected { reason, .. }, .. } => ExitStatus::Refused(*reason),
            Self::SubscribeRefused { reason, .. } | Self::PublishRefused { reason, .. } => ExitStatus::Refused(*reason),
            Self::SubscribeDowngraded { .. } => ExitStatus::Downgraded,
            Self::Unanswered { .. } | Self::NotTaken { .. } => ExitStatus::AckTimedOut,
            Self::GaveUp { last: Some(last), .. } => last.exit_status(),
            // What the broker's CONNACK does not allow is refused by the broker, though we need not ask again.
            Self::Publish(
                error @ (PublishError::QosNotSupported(_)
                | PublishError::RetainNotAvailable
                | PublishError::TopicAlias { .. }
                | PublishError::Wire(WireError::TooLarge { .. })),
            ) => ExitStatus::Refused(error.reason()),
            _ => ExitStatus::Failed,
        }
    }

    /// Why a connection was lost, in a few words.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Lost { cause: Some(cause), .. } => cause.clone(),
            Self::Lost { cause: None, .. } => "the broker closed it".to_owned(),
            Self::Session { error, .. } => error.to_string(),
            other => other.to_string(),
        }
    }

    /// The broker's own words on it, where it had some.
    pub(crate) fn reason_string(&self) -> Option<&str> {
        match self {
            Self::Session {
                error: SessionError::Refused { properties, .. } | SessionError::Disconnected { properties, .. },
                ..
            } => properties.text(PropertyName::ReasonString),
            _ => None,
        }
    }

    /// What to do next, where it is known, for a client that has connected so.
    pub(crate) fn hint(&self, facts: ConnectFacts) -> Option<String> {
        match self {
            Self::Connect(error) => error.hint.clone(),
            Self::Session { error, .. } => session_hint(error, facts),
            Self::Lost { hint: Some(hint), .. } => Some(hint.clone()),
            Self::Lost { before_connack: true, .. } => Some(format!(
                "the broker closed the connection instead of answering CONNECT: it may require {}, {}, another protocol version ({}) or another client id (-i)",
                facts.credentials(),
                facts.encryption(),
                facts.other_versions()
            )),
            Self::SubscribeDowngraded { granted, .. } => Some(format!("use -q {granted}")),
            Self::SubscribeRefused { reason: ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED, .. } => {
                Some("this broker does not support shared subscriptions: remove $share (--shape shared)".to_owned())
            }
            Self::SubscribeRefused { reason: ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED, .. } => {
                Some("this broker does not support wildcards: give each topic with its own -t".to_owned())
            }
            // Before MQTT 5 a broker that has none can only refuse.
            Self::SubscribeRefused { filter, .. } if filter.starts_with("$share/") => Some(
                "does this broker support shared subscriptions ($share), and is this user allowed to subscribe?"
                    .to_owned(),
            ),
            Self::PublishRefused { .. } => {
                Some("is this user allowed to publish there? choose another topic with -t".to_owned())
            }
            Self::SubscribeRefused { .. } => {
                Some("is this user allowed to subscribe there? choose other topics with -t".to_owned())
            }
            Self::Publish(PublishError::QosNotSupported(most)) => Some(format!("use -q {}", most.number())),
            Self::Publish(PublishError::RetainNotAvailable) => Some("remove -r".to_owned()),
            Self::Publish(PublishError::Wire(WireError::TooLarge { limit, .. })) => {
                Some(whose_limit(*limit).to_owned())
            }
            Self::Unanswered { .. } | Self::NotTaken { .. } => {
                Some("the broker is overloaded or hangs; --connect-timeout sets how long to wait".to_owned())
            }
            Self::Tls(error) => error.hint.clone(),
            Self::GaveUp { last: Some(last), .. } => last.hint(facts),
            Self::GaveUp { last: None, .. } => Some("--wait sets how long to try".to_owned()),
            Self::Lost { .. } | Self::Publish(_) => None,
        }
    }
}

/// In the brackets of an error, where there are any.
fn attempts(failed: u64) -> String {
    if failed == 0 { String::new() } else { format!(" and {}", counted(failed, "failed attempt", "failed attempts")) }
}

/// Whose limit a message is over that was not sent.
pub(crate) const fn whose_limit(limit: usize) -> &'static str {
    match limit {
        MAX_REMAINING_LENGTH | MAX_PACKET_SIZE => "it is the limit of MQTT",
        _ => "it is the broker's limit, the Maximum Packet Size in its CONNACK",
    }
}

/// How a client has connected: what else may be tried.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectFacts {
    version: ProtocolVersion,
    /// Largest packet that is taken.
    max_packet_size: usize,
    has_user_name: bool,
    has_tls: bool,
    has_certificate: bool,
}

impl ConnectFacts {
    /// Of a client with these plans.
    pub(crate) fn new(session: &SessionConfig, transport: &TransportPlan) -> Self {
        Self {
            version: session.version,
            max_packet_size: session.max_packet_size,
            has_user_name: session.user_name.is_some(),
            has_tls: transport.tls.is_some(),
            has_certificate: transport.tls.as_ref().is_some_and(|tls| tls.client_certificate.is_some()),
        }
    }

    const fn credentials(self) -> &'static str {
        if self.has_user_name { "another user or password (-u, -P)" } else { "a user and password (-u, -P)" }
    }

    const fn encryption(self) -> &'static str {
        match (self.has_tls, self.has_certificate) {
            (false, _) => "TLS (--cafile or --tls-use-os-certs, usually port 8883)",
            (true, false) => "a client certificate (--cert, --key)",
            (true, true) => "another client certificate (--cert, --key)",
        }
    }

    const fn other_versions(self) -> &'static str {
        match self.version {
            ProtocolVersion::V5 => "-V 311",
            ProtocolVersion::V311 => "-V 5 or -V 31",
            ProtocolVersion::V31 => "-V 311 or -V 5",
        }
    }
}

fn session_hint(error: &SessionError, facts: ConnectFacts) -> Option<String> {
    let hint = match error {
        SessionError::Refused { reason, .. } => return refusal_hint(*reason, facts),
        SessionError::ConnackTimeout(_) => {
            let tls = if facts.has_tls { "" } else { "TLS (--cafile, --tls-use-os-certs), " };
            return Some(format!(
                "the port accepts connections but does not answer CONNECT: try {tls}another protocol version ({}) or another port",
                facts.other_versions()
            ));
        }
        SessionError::NotMqtt { first_bytes, .. } if looks_like_tls(first_bytes) => {
            "this port uses TLS: add --cafile FILE or --tls-use-os-certs, or use the plain port (usually 1883)"
        }
        SessionError::NotMqtt { first_bytes, .. } if first_bytes.starts_with(b"HTTP") => {
            "this port uses HTTP: for MQTT over WebSocket add --ws; plain MQTT usually uses port 1883, or 8883 with TLS"
        }
        SessionError::NotMqtt { .. } => "is this the broker's MQTT port? MQTT usually uses port 1883, or 8883 with TLS",
        SessionError::Disconnected { reason: ReasonCode::PACKET_TOO_LARGE, .. } => {
            "the broker does not accept a message of this size, and did not announce its limit"
        }
        SessionError::Disconnected { reason: SESSION_TAKEN_OVER, .. } => {
            "another client has connected with the same client id: choose another one with -i"
        }
        SessionError::Wire(WireError::TooLarge { limit, .. }) if *limit == facts.max_packet_size => {
            "it is the limit of this client: -D connect maximum-packet-size sets it"
        }
        SessionError::Wire(WireError::TooLarge { .. }) => {
            "it is a fixed limit of this client: no broker needs a larger packet there"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

fn refusal_hint(reason: ReasonCode, facts: ConnectFacts) -> Option<String> {
    let hint = match reason {
        ReasonCode::UNSUPPORTED_PROTOCOL_VERSION => {
            return Some(format!("the broker does not support this version: try {}", facts.other_versions()));
        }
        ReasonCode::BAD_USER_NAME_OR_PASSWORD => "check user name (-u) and password (-P, --pw-file, MQTT_PASSWORD)",
        ReasonCode::NOT_AUTHORIZED => "the broker requires other credentials: -u with -P, --pw-file or MQTT_PASSWORD",
        ReasonCode::CLIENT_IDENTIFIER_NOT_VALID => "choose another client id with -i",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::Properties;

    fn session(error: SessionError) -> ClientError {
        ClientError::Session { target: "h:1883".into(), error }
    }

    #[test]
    fn a_refusal_ends_with_its_reason_code() {
        let refused = |reason| session(SessionError::Refused { reason, properties: Properties::new() });
        assert_eq!(refused(ReasonCode::BAD_USER_NAME_OR_PASSWORD).exit_status().code(), 134);
        assert_eq!(refused(ReasonCode::from_v3_connack(5)).exit_status().code(), 135);
        for code in [0x01, 0x7f, 0xb0] {
            let refused = refused(ReasonCode(code));
            assert_eq!(refused.exit_status().code(), 128);
            let text = format!("h:1883: the broker refused the connection with an unassigned code: {code:#04x}");
            assert_eq!(refused.to_string(), text);
        }
        for (version, others) in [
            (ProtocolVersion::V5, "try -V 311"),
            (ProtocolVersion::V311, "try -V 5 or -V 31"),
            (ProtocolVersion::V31, "try -V 311 or -V 5"),
        ] {
            let facts = ConnectFacts { version, ..ConnectFacts::default() };
            assert!(refused(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION).hint(facts).unwrap().ends_with(others));
        }
    }

    #[test]
    fn what_somebody_decided_does_not_pass() {
        let properties = Properties::new();
        let refused = |reason| session(SessionError::Refused { reason, properties: properties.clone() });
        let ended = |reason| session(SessionError::Disconnected { reason, properties: properties.clone() });
        for (error, passes) in [
            (refused(ReasonCode::SERVER_UNAVAILABLE), true),
            (refused(ReasonCode::NOT_AUTHORIZED), false),
            (ended(SHUTTING_DOWN), true),
            (ended(ReasonCode(0x8E)), false),
            (session(SessionError::PingTimeout(Duration::ZERO)), true),
            (session(SessionError::UnexpectedDisconnect), true),
            (session(SessionError::EnhancedAuthentication), false),
            (ClientError::lost("h:1883", None, false), true),
            (ClientError::Unanswered { target: "h".into(), packet: "PUBLISH", waited: Duration::ZERO }, false),
        ] {
            assert_eq!(error.may_pass(), passes, "{error}");
        }
    }

    #[test]
    fn a_tls_port_spoken_to_without_tls_is_recognized() {
        let error = WireError::Malformed { packet: "packet", what: "x" };
        let alert = session(SessionError::NotMqtt { error, first_bytes: vec![0x15, 3, 3, 0, 2, 2, 10] });
        assert!(alert.hint(ConnectFacts::default()).unwrap().contains("TLS"));
        assert_eq!(alert.exit_status(), ExitStatus::Failed);
    }

    #[test]
    fn a_connect_without_an_answer_has_likely_causes() {
        let lost = ClientError::lost("h:1", None, true);
        let hint = |facts| lost.hint(facts).unwrap();
        let plain = hint(ConnectFacts::default());
        assert!(plain.contains("it may require a user and password (-u, -P), TLS ("), "{plain}");
        let all = hint(ConnectFacts { has_user_name: true, has_tls: true, ..ConnectFacts::default() });
        assert!(all.contains("another user or password (-u, -P), a client certificate (--cert, --key), "), "{all}");
    }

    #[test]
    fn the_error_for_a_large_packet_names_whose_limit_it_is() {
        let facts = ConnectFacts { max_packet_size: 100, ..ConnectFacts::default() };
        let publish = |limit| ClientError::Publish(WireError::TooLarge { size: usize::MAX, limit }.into()).hint(facts);
        assert_eq!(publish(100).unwrap(), "it is the broker's limit, the Maximum Packet Size in its CONNACK");
        assert_eq!(publish(MAX_REMAINING_LENGTH).unwrap(), "it is the limit of MQTT");
        let received = session(WireError::TooLarge { size: 101, limit: 100 }.into());
        assert!(received.hint(facts).unwrap().starts_with("it is the limit of this client"));
        let no_message = ConnectFacts { max_packet_size: 1_000, ..facts };
        assert!(received.hint(no_message).unwrap().starts_with("it is a fixed limit of this client"));
    }
}
