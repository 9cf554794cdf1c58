//! The cause under which a failed connect is counted.

use crate::bench::measure::ConnectFailure;
use crate::client::ClientError;
use crate::session::SessionError;
use crate::transport::{FailureKind, Stage};

/// Mostly the step that failed.
pub(super) fn classify(error: &ClientError) -> ConnectFailure {
    match error {
        ClientError::Connect(error) => match (error.kind, error.stage) {
            (FailureKind::LocalLimit | FailureKind::LocalAddress, _) => ConnectFailure::LocalLimit,
            (FailureKind::TimedOut, _) => ConnectFailure::Timeout,
            (_, Stage::Dns) => ConnectFailure::Resolve,
            (_, Stage::Tcp | Stage::Unix) => ConnectFailure::Tcp,
            (_, Stage::Proxy) => ConnectFailure::Proxy,
            (_, Stage::Tls) => ConnectFailure::Tls,
            (_, Stage::WebSocket) => ConnectFailure::WebSocket,
        },
        ClientError::Tls(_) => ConnectFailure::Tls,
        ClientError::Session { error, .. } => match error {
            SessionError::Refused { reason, .. } | SessionError::Disconnected { reason, .. } => {
                ConnectFailure::Refused(reason.0)
            }
            SessionError::ConnackTimeout(_) | SessionError::PingTimeout(_) | SessionError::Stalled(_) => {
                ConnectFailure::Timeout
            }
            SessionError::UnexpectedDisconnect => ConnectFailure::Closed,
            SessionError::NotMqtt { .. }
            | SessionError::Wire(_)
            | SessionError::Unexpected { .. }
            | SessionError::EnhancedAuthentication => ConnectFailure::Protocol,
        },
        ClientError::Publish(error) => ConnectFailure::Refused(error.reason().0),
        ClientError::PublishRefused { reason, .. } => ConnectFailure::Refused(reason.0),
        ClientError::SubscribeRefused { reason, .. } => ConnectFailure::SubscribeRefused(reason.0),
        ClientError::SubscribeDowngraded { granted, .. } => ConnectFailure::SubscribeRefused(*granted),
        ClientError::Unanswered { .. } | ClientError::NotTaken { .. } => ConnectFailure::Timeout,
        ClientError::GaveUp { last: Some(last), .. } => classify(last),
        ClientError::GaveUp { last: None, .. } => ConnectFailure::Timeout,
        ClientError::Lost { .. } => ConnectFailure::Closed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mqtt::{Properties, ReasonCode};
    use crate::transport::ConnectError;

    #[test]
    fn each_step_has_its_cause() {
        for (stage, cause) in [
            (Stage::Dns, "resolve"),
            (Stage::Tcp, "tcp"),
            (Stage::Unix, "tcp"),
            (Stage::Proxy, "proxy"),
            (Stage::Tls, "tls"),
            (Stage::WebSocket, "websocket"),
        ] {
            let (kind, elapsed) = (FailureKind::Other, Duration::ZERO);
            let error = ConnectError { stage, kind, target: "h".into(), cause: String::new(), hint: None, elapsed };
            assert_eq!(classify(&ClientError::Connect(error)).to_string(), cause, "{stage}");
        }
        let session = |error| ClientError::Session { target: "h".into(), error };
        let refused = SessionError::Refused { reason: ReasonCode::NOT_AUTHORIZED, properties: Properties::new() };
        for (error, cause) in [
            (session(refused), "refused-135"),
            (session(SessionError::ConnackTimeout(Duration::ZERO)), "timeout"),
            (session(SessionError::EnhancedAuthentication), "protocol"),
            (ClientError::lost("h", None, true), "closed"),
            (ClientError::Unanswered { target: "h".into(), packet: "SUBSCRIBE", waited: Duration::ZERO }, "timeout"),
        ] {
            assert_eq!(classify(&error).to_string(), cause, "{error}");
        }
    }
}
