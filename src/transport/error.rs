//! Why a connection could not be made: at which stage, what happened, and what the user can do about it.

use std::fmt;
use std::io;
use std::time::Duration;

/// The steps to a broker, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Host name to addresses.
    Dns,
    /// Connecting the TCP socket.
    Tcp,
    /// Connecting the Unix socket.
    Unix,
    /// The proxy's response; connecting to it belongs to the steps before.
    Proxy,
    /// The TLS handshake, and reading the files that it needs.
    Tls,
    /// The WebSocket handshake.
    WebSocket,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "DNS",
            Self::Tcp => "TCP",
            Self::Unix => "Unix socket",
            Self::Proxy => "proxy",
            Self::Tls => "TLS",
            Self::WebSocket => "WebSocket",
        })
    }
}

/// What went wrong, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FailureKind {
    /// The host name has no address, or no usable one.
    HostNotFound,
    /// Nobody listens there.
    Refused,
    /// No route to the host or its network.
    Unreachable,
    /// The plan's timeout ran out.
    TimedOut,
    /// The local address cannot be used.
    LocalAddress,
    /// A limit of this machine: file descriptors, local ports, memory.
    LocalLimit,
    /// The peer closed or reset the connection while it was being made.
    Closed,
    /// TLS files or settings that cannot be used.
    TlsSetup,
    /// Nobody we believe vouches for the server's certificate.
    UntrustedCertificate,
    /// The server's certificate has expired or is not valid yet.
    CertificateDates,
    /// The server's certificate is for other names.
    CertificateName,
    /// The server's certificate cannot be used for another reason.
    BadCertificate,
    /// The server requires a client certificate, or rejects the one given.
    ClientCertificate,
    /// The server does not use TLS on this port.
    NotTls,
    /// The two sides have no TLS version, cipher suite or ALPN protocol in common, or one broke the protocol.
    TlsProtocol,
    /// The proxy does not let us through: its rules, or no CONNECT.
    ProxyRefused,
    /// The proxy requires a user and a password, or rejects the ones given.
    ProxyAuthentication,
    /// What answered is not the kind of proxy that was named.
    NotProxy,
    /// The server answered the WebSocket request with another HTTP status than 101.
    WebSocketRefused,
    /// The server does not support WebSocket, or not MQTT over it.
    NotWebSocket,
    /// A gateway reports that the server behind it is temporarily unavailable.
    Unavailable,
    /// Anything else.
    Other,
}

/// Cause and next step, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What went wrong, as a word.
    pub kind: FailureKind,
    /// What went wrong, as a sentence without a full stop.
    pub cause: String,
    /// What to do next, where it is known.
    pub hint: Option<String>,
}

impl Fault {
    pub(super) fn new(kind: FailureKind, cause: impl Into<String>) -> Self {
        Self { kind, cause: cause.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A connection that was not made.
///
/// Displays as `cannot connect to HOST:PORT: STAGE: CAUSE`; the next step is in `hint`, for a separate line.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot connect to {target}: {stage}: {cause}")]
pub struct ConnectError {
    /// The step that failed.
    pub stage: Stage,
    /// What went wrong, as a word.
    pub kind: FailureKind,
    /// The broker: `host:port`, or the path of a socket.
    pub target: String,
    /// What went wrong, as a sentence without a full stop. Text from the network in it has no control characters.
    pub cause: String,
    /// What to do next, where it is known.
    pub hint: Option<String>,
    /// Time from the start of the first step to the failure.
    pub elapsed: Duration,
}

/// The system's text of an error without its number.
pub(crate) fn io_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

/// Text from the network in an error, which goes to a terminal.
pub(super) fn printable(text: &str) -> String {
    crate::terminal::escape(text).into_owned()
}

/// What a failed socket call means and what to do about it.
pub(crate) fn explain_socket_error(error: &io::Error) -> Fault {
    // ENFILE and EMFILE have the same numbers on Linux, macOS and the BSDs; WSAEMFILE is Windows'.
    if matches!(error.raw_os_error(), Some(23 | 24 | 10024)) {
        return Fault::new(FailureKind::LocalLimit, "too many open files")
            .hint("raise the limit of open files (ulimit -n), or make fewer connections");
    }
    let (kind, cause, hint) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (FailureKind::Refused, "connection refused", REFUSED_HINT),
        io::ErrorKind::HostUnreachable => (FailureKind::Unreachable, "no route to the host", UNREACHABLE_HINT),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            (FailureKind::Unreachable, "the network is unreachable", UNREACHABLE_HINT)
        }
        io::ErrorKind::TimedOut => (FailureKind::TimedOut, "no answer", NO_ANSWER_HINT),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            (FailureKind::Closed, "the peer closed the connection", REFUSED_HINT)
        }
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => (
            FailureKind::LocalLimit,
            "no free local port for this address",
            "make fewer connections, widen the range of local ports (net.ipv4.ip_local_port_range on Linux), \
             or connect from more local addresses (-A)",
        ),
        _ => return Fault::new(FailureKind::Other, io_text(error)),
    };
    Fault::new(kind, cause).hint(hint)
}

pub(super) const REFUSED_HINT: &str =
    "is a broker running there, and is the port right? MQTT usually uses port 1883, or 8883 with TLS";
const UNREACHABLE_HINT: &str = "check the address and the network of this machine";
/// What to do when packets vanish.
pub(super) const NO_ANSWER_HINT: &str = "check host and port; a firewall may be dropping the packets";

/// A waiting time, in milliseconds or seconds.
pub(super) fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_a_sentence() {
        let error = ConnectError {
            stage: Stage::Tcp,
            kind: FailureKind::Refused,
            target: "[::1]:1883".into(),
            cause: "connection refused".into(),
            hint: None,
            elapsed: Duration::ZERO,
        };
        assert_eq!(error.to_string(), "cannot connect to [::1]:1883: TCP: connection refused");
        assert_eq!([Stage::Dns, Stage::Unix].map(|stage| stage.to_string()), ["DNS", "Unix socket"]);
    }

    #[test]
    fn the_number_of_a_system_error_is_left_out() {
        let error = io::Error::from_raw_os_error(13);
        assert!(!io_text(&error).contains("os error"), "{error}");
        assert_eq!(io_text(&io::Error::other("plain")), "plain");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jé\n"), "a\\u{1b}[2Jé\\n");
    }

    #[test]
    fn a_limit_of_open_files_is_named() {
        let fault = explain_socket_error(&io::Error::from_raw_os_error(24));
        assert_eq!((fault.kind, fault.cause.as_str()), (FailureKind::LocalLimit, "too many open files"));
        let fault = explain_socket_error(&io::ErrorKind::HostUnreachable.into());
        assert_eq!(fault.kind, FailureKind::Unreachable);
    }
}
