//! A TLS connection after its handshake, whichever library made it, and what the handshake agreed on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::ClientConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
#[cfg(feature = "openssl")]
use tokio_openssl::SslStream;
use tokio_rustls::client::TlsStream;

use super::certificate::{CertificateFacts, has_common_name_only};
use crate::transport::socket::Socket;

/// A TLS connection; boxed, as it holds kilobytes.
#[derive(Debug)]
pub(in crate::transport) enum TlsSession {
    Rustls(Box<TlsStream<Socket>>),
    #[cfg(feature = "openssl")]
    OpenSsl(Box<SslStream<Socket>>),
}

impl TlsSession {
    /// The socket below.
    pub(in crate::transport) fn socket(&self) -> &Socket {
        match self {
            Self::Rustls(stream) => stream.get_ref().0,
            #[cfg(feature = "openssl")]
            Self::OpenSsl(stream) => stream.get_ref(),
        }
    }

    /// The server's certificate; none where it has none or it cannot be read.
    pub(in crate::transport) fn certificate(&self) -> Option<CertificateFacts> {
        match self {
            Self::Rustls(stream) => CertificateFacts::read(stream.get_ref().1.peer_certificates()?.first()?),
            #[cfg(feature = "openssl")]
            Self::OpenSsl(stream) => CertificateFacts::read(&stream.ssl().peer_certificate()?.to_der().ok()?),
        }
    }

    /// What was agreed on.
    pub(in crate::transport) fn info(&self) -> TlsInfo {
        match self {
            Self::Rustls(stream) => TlsInfo::of(stream.get_ref().1),
            #[cfg(feature = "openssl")]
            Self::OpenSsl(stream) => TlsInfo::of_openssl(stream.ssl()),
        }
    }
}

forward_read!(TlsSession, session => *session, TlsSession { Rustls, #[cfg(feature = "openssl")] OpenSsl });

forward_write!(TlsSession, session => *session, TlsSession { Rustls, #[cfg(feature = "openssl")] OpenSsl });

/// What a handshake agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// Version, such as `TLSv1_3`.
    pub version: &'static str,
    /// Cipher suite, such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: &'static str,
    /// ALPN protocol, where the server picked one.
    pub alpn: Option<String>,
    /// The server's certificate names its host in the common name only, which most clients no longer accept.
    pub common_name_only: bool,
}

impl TlsInfo {
    fn of(session: &ClientConnection) -> Self {
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        Self {
            version: session.protocol_version().and_then(|version| version.as_str()).unwrap_or("unknown"),
            cipher: session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown"),
            alpn: session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            common_name_only: certificate.is_some_and(|der| has_common_name_only(der)),
        }
    }

    #[cfg(feature = "openssl")]
    fn of_openssl(ssl: &openssl::ssl::SslRef) -> Self {
        let certificate = ssl.peer_certificate().and_then(|own| own.to_der().ok());
        Self {
            version: match ssl.version_str() {
                "TLSv1.2" => "TLSv1_2",
                "TLSv1.3" => "TLSv1_3",
                other => other,
            },
            cipher: ssl.current_cipher().and_then(|cipher| cipher.standard_name()).unwrap_or("unknown"),
            alpn: ssl.selected_alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            common_name_only: certificate.is_some_and(|der| has_common_name_only(&der)),
        }
    }
}
