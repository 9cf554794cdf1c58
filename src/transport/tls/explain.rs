//! Why a handshake failed: cause and next step.

use std::fmt;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::certificate::{CertificateFacts, date_text};
#[cfg(feature = "openssl")]
use super::openssl_error;
use super::verifier::is_authority_as_server;
use crate::transport::error::{FailureKind, Fault, explain_socket_error, printable};

/// What is known beside the error.
pub(super) struct Situation<'a> {
    /// The host that was asked.
    pub(super) host: &'a str,
    /// The certificate that was refused.
    pub(super) shown: Option<CertificateFacts>,
    /// Where trust comes from, for messages.
    pub(super) trusted: &'a str,
    /// Protocols offered.
    pub(super) alpn: &'a [String],
    /// Whether we have a client certificate.
    pub(super) has_certificate: bool,
    /// Whether we have a pre-shared key.
    pub(super) has_pre_shared_key: bool,
}

const PORT_HINT: &str = "does this port use TLS? MQTT usually uses port 8883 with TLS, 1883 without";
/// What to do about what only OpenSSL takes.
const USE_OPENSSL: &str = if cfg!(feature = "openssl") {
    "use --tls-backend openssl"
} else {
    "build with --features openssl and use --tls-backend openssl"
};
const CLIENT_CERTIFICATE_HINT: &str = "give a client certificate that the server accepts (--cert and --key)";

/// Whether the first bytes from a peer are the head of a TLS record (RFC 8446 §5.1) of a handshake or an alert: the
/// answer of a TLS port to plain MQTT. No MQTT packet from a server starts so (MQTT 5.0 §2.1).
pub fn looks_like_tls(first_bytes: &[u8]) -> bool {
    matches!(first_bytes, [0x15 | 0x16, 0x03, 0x00..=0x04, ..])
}

/// What an error of a connection over TLS means that ended after the handshake; none when it is not one of TLS.
///
/// With TLS 1.3 a server judges our certificate after the handshake is done for us, so its refusal arrives as an error
/// of the first read.
pub fn explain_tls_loss(error: &io::Error) -> Option<Fault> {
    #[cfg(feature = "openssl")]
    if let Some(fault) = explain_openssl_loss(error) {
        return Some(fault);
    }
    let tls = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match tls {
        Error::AlertReceived(alert) => explain_alert_after_handshake(*alert),
        other => Fault::new(FailureKind::TlsProtocol, format!("TLS failed: {}", error_text(other))),
    })
}

/// The same for OpenSSL.
#[cfg(feature = "openssl")]
fn explain_openssl_loss(error: &io::Error) -> Option<Fault> {
    let tls = error.get_ref()?.downcast_ref::<openssl::ssl::Error>()?;
    Some(match openssl_error::alert(tls) {
        Some(alert) => explain_alert_after_handshake(alert),
        None => {
            let said = tls.ssl_error().map_or("no reason given", openssl_error::reason);
            Fault::new(FailureKind::TlsProtocol, format!("TLS failed: {said}"))
        }
    })
}

/// What an alert means that comes after the handshake.
pub(super) fn explain_alert_after_handshake(alert: AlertDescription) -> Fault {
    match refusal_of_certificate(alert) {
        Some(reason) => refused_client_certificate(reason),
        None => alert_fault(alert),
    }
}

/// rustls' words, and its names of variants as words: its own text of many errors is Debug output.
pub(super) fn error_text(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(reason) => certificate_text(reason),
        Error::InvalidMessage(reason) => format!("the server sent an invalid message ({})", words(reason)),
        Error::PeerIncompatible(reason) => format!("the server is not compatible ({})", words(reason)),
        Error::PeerMisbehaved(reason) => format!("the server violated the protocol ({})", words(reason)),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the server sent an unexpected message".to_owned()
        }
        Error::General(text) => printable(text),
        other => words(other),
    }
}

/// The same for a certificate.
pub(super) fn certificate_text(reason: &CertificateError) -> String {
    match reason {
        CertificateError::Other(other) => match other.0.downcast_ref::<webpki::Error>() {
            Some(reason) => words(reason),
            None => printable(&other.0.to_string()),
        },
        reason => words(reason),
    }
}

/// The name of an enum's variant as words, without what it holds: `BadDerTime` is "bad der time".
fn words(variant: &impl fmt::Debug) -> String {
    let text = format!("{variant:?}");
    let name = text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let mut words = String::new();
    for letter in name.strip_suffix("Context").unwrap_or(name).chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// Whether the peer ended the connection.
pub(super) fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

pub(super) fn closed_in_handshake() -> Fault {
    Fault::new(FailureKind::Closed, "the server closed the connection during the TLS handshake").hint(PORT_HINT)
}

pub(super) fn not_tls() -> Fault {
    Fault::new(FailureKind::NotTls, "the server does not use TLS on this port").hint(PORT_HINT)
}

/// Explains the error of a handshake.
pub(super) fn explain(error: &io::Error, situation: &Situation<'_>) -> Fault {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return explain_tls(tls, situation);
    }
    if is_closed(error) { closed_in_handshake() } else { explain_socket_error(error) }
}

fn explain_tls(error: &Error, situation: &Situation<'_>) -> Fault {
    match error {
        Error::InvalidCertificate(reason) => explain_certificate(reason, situation),
        Error::AlertReceived(alert) => explain_alert(*alert, situation),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::MessageTooShort
            | InvalidMessage::InvalidEmptyPayload,
        )
        | Error::PeerSentOversizedRecord => not_tls(),
        Error::PeerIncompatible(
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => version_fault(),
        Error::NoApplicationProtocol => alpn_fault(situation.alpn),
        other => Fault::new(FailureKind::TlsProtocol, format!("the TLS handshake failed: {}", error_text(other))),
    }
}

pub(super) fn version_fault() -> Fault {
    Fault::new(FailureKind::TlsProtocol, "the server supports none of the offered TLS versions")
        .hint("offer another one (--tls-version); TLS 1.2 and 1.3 are supported, older ones are not")
}

fn alpn_fault(offered: &[String]) -> Fault {
    let cause = format!("the server accepts none of the offered ALPN protocols ({})", offered.join(", "));
    Fault::new(FailureKind::TlsProtocol, cause).hint("offer one that the server accepts (--tls-alpn), or none")
}

// ---- certificates

fn explain_certificate(reason: &CertificateError, situation: &Situation<'_>) -> Fault {
    use CertificateError::*;
    match reason {
        UnknownIssuer => untrusted(situation),
        reason if is_authority_as_server(reason) => match &situation.shown {
            Some(shown) if !shown.self_issued => authority_as_server(shown),
            _ => untrusted(situation),
        },
        ExpiredContext { not_after, .. } => expired(Duration::from_secs(not_after.as_secs())),
        NotValidYetContext { not_before, .. } => not_yet_valid(Duration::from_secs(not_before.as_secs())),
        NotValidForName | NotValidForNameContext { .. } => wrong_name(situation),
        BadSignature => {
            let cause = "the server's certificate is not signed by the CA it names, or that CA has another key";
            let hint = format!("a different CA of the same name may be trusted here: check {}", situation.trusted);
            Fault::new(FailureKind::UntrustedCertificate, cause).hint(hint)
        }
        InvalidPurpose | InvalidPurposeContext { .. } => not_for_servers(),
        reason if is_unsupported_signature(reason) => Fault::new(
            FailureKind::BadCertificate,
            "the server's certificate has a signature that rustls cannot verify, such as with a P-521 key or RSA-PSS \
             with OpenSSL's default salt",
        )
        .hint(format!("sign it with RSA, P-256 or P-384, or {USE_OPENSSL}")),
        Other(other) if matches!(other.0.downcast_ref(), Some(webpki::Error::UnsupportedCertVersion)) => Fault::new(
            FailureKind::BadCertificate,
            "the server's certificate is X.509 version 1, which rustls does not support",
        )
        .hint(format!("issue it again with a {}, or {USE_OPENSSL}", alternative_name_hint(situation.host))),
        other => {
            let cause = format!("the server's certificate cannot be used: {}", certificate_text(other));
            Fault::new(FailureKind::BadCertificate, cause)
        }
    }
}

fn is_unsupported_signature(reason: &CertificateError) -> bool {
    use webpki::Error::*;
    match reason {
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => true,
        CertificateError::Other(other) => matches!(
            other.0.downcast_ref(),
            Some(UnsupportedSignatureAlgorithmContext(_) | UnsupportedSignatureAlgorithmForPublicKeyContext(_))
        ),
        _ => false,
    }
}

pub(super) fn expired(not_after: Duration) -> Fault {
    let cause = format!("the server's certificate expired on {}", date_text(not_after));
    Fault::new(FailureKind::CertificateDates, cause).hint("renew it on the server; check the clock of this machine")
}

pub(super) fn not_yet_valid(not_before: Duration) -> Fault {
    let cause = format!("the server's certificate is not valid before {}", date_text(not_before));
    Fault::new(FailureKind::CertificateDates, cause).hint("check the clock of this machine")
}

pub(super) fn not_for_servers() -> Fault {
    Fault::new(FailureKind::BadCertificate, "the server's certificate is not issued for servers")
        .hint("its extended key usage must name serverAuth")
}

pub(super) fn untrusted(situation: &Situation<'_>) -> Fault {
    let trusted = situation.trusted;
    let (cause, hint) = match &situation.shown {
        Some(shown) if shown.self_issued => (
            format!("the server's certificate is self-signed ({}) and not in {trusted}", shown.subject),
            "if this is the right server, save its certificate in a file and give it with --cafile",
        ),
        Some(shown) => (
            format!("the server's certificate was issued by an unknown CA: {} is not in {trusted}", shown.issuer),
            "give the CA's certificate with --cafile; the server must also send its intermediate certificates",
        ),
        None => (
            format!("the server's certificate was issued by a CA that is not in {trusted}"),
            "give the CA's certificate with --cafile",
        ),
    };
    Fault::new(FailureKind::UntrustedCertificate, cause).hint(hint)
}

fn authority_as_server(shown: &CertificateFacts) -> Fault {
    let cause = format!("the server uses a CA certificate ({}) as its own", shown.subject);
    Fault::new(FailureKind::BadCertificate, cause).hint(format!(
        "give the server a certificate without CA:TRUE, give exactly this one with --cafile, or {USE_OPENSSL}"
    ))
}

pub(super) fn wrong_name(situation: &Situation<'_>) -> Fault {
    let host = situation.host;
    let shown = situation.shown.as_ref();
    let names = shown.and_then(|shown| shown.alternative_names.as_deref()).unwrap_or_default();
    let fault = |cause: String| Fault::new(FailureKind::CertificateName, cause);
    match (names, shown.and_then(|shown| shown.common_name.as_deref())) {
        ([], Some(common)) => fault(format!(
            "the server's certificate is not for {host}: it has no subjectAltName, only the common name {common}"
        ))
        .hint(format!("issue it again with a {}", alternative_name_hint(host))),
        ([], None) => fault(format!("the server's certificate is not for {host}: it contains no host name"))
            .hint(format!("issue it again with a {}", alternative_name_hint(host))),
        (names, _) => fault(format!("the server's certificate is for {}, not for {host}", enumeration(names)))
            .hint("connect to a name in the certificate, or give the server a certificate for this name"),
    }
}

/// Certificates for hundreds of hosts exist.
fn enumeration(names: &[String]) -> String {
    const MOST: usize = 8;
    match names.len().checked_sub(MOST) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..MOST].join(", ")),
    }
}

fn alternative_name_hint(host: &str) -> String {
    let kind = if host.parse::<std::net::IpAddr>().is_ok() { "IP" } else { "DNS" };
    format!("subjectAltName (openssl: subjectAltName={kind}:{host})")
}

// ---- alerts

/// Why the server rejects our certificate, if the alert is about that (RFC 8446 §6.2).
fn refusal_of_certificate(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::CertificateRequired => "",
        AlertDescription::UnknownCA => "the server does not know its CA",
        AlertDescription::CertificateExpired => "it has expired",
        AlertDescription::CertificateRevoked => "it was revoked",
        AlertDescription::BadCertificate => "it is invalid",
        AlertDescription::UnsupportedCertificate => "its type is not supported",
        AlertDescription::CertificateUnknown => "it is not acceptable",
        AlertDescription::AccessDenied => "access denied",
        _ => return None,
    })
}

fn refused_client_certificate(reason: &str) -> Fault {
    let cause = match reason {
        "" => "the server requires a client certificate".to_string(),
        reason => format!("the server rejected the client certificate: {reason}"),
    };
    Fault::new(FailureKind::ClientCertificate, cause).hint(CLIENT_CERTIFICATE_HINT)
}

pub(super) fn explain_alert(alert: AlertDescription, situation: &Situation<'_>) -> Fault {
    match alert {
        AlertDescription::NoApplicationProtocol => return alpn_fault(situation.alpn),
        AlertDescription::ProtocolVersion => return version_fault(),
        AlertDescription::UnrecognisedName => {
            let cause = format!("the server does not know the host name {}", printable(situation.host));
            return Fault::new(FailureKind::CertificateName, cause).hint("use a host name that the server knows");
        }
        _ => {}
    }
    if situation.has_pre_shared_key {
        return alert_fault(alert).hint("does the server have this identity and key (--psk-identity, --psk)?");
    }
    match refusal_of_certificate(alert) {
        Some(reason) if situation.has_certificate || reason.is_empty() => refused_client_certificate(reason),
        _ if situation.has_certificate => alert_fault(alert),
        // OpenSSL sends "handshake failure" in TLS 1.2 to a client without the required certificate.
        _ => alert_fault(alert)
            .hint(format!(
                "the server may want a client certificate (--cert, --key), or other TLS versions or ciphers; or its own key \
                 may be of a kind that rustls does not know, such as P-521: then {USE_OPENSSL}"
            )),
    }
}

fn alert_fault(alert: AlertDescription) -> Fault {
    let number = u8::from(alert);
    let name = alert.as_str().map_or_else(|| format!("alert {number}"), |name| format!("alert {name}, {number}"));
    Fault::new(FailureKind::TlsProtocol, format!("the server aborted TLS ({name})"))
}
