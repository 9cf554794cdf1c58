//! Whom to believe: the rules of webpki, and beside them certificates that the user named himself.
//!
//! webpki refuses a server certificate that is a CA's own (`CaUsedAsEndEntity`), which OpenSSL accepts when it is
//! trusted; private set-ups are full of them. A certificate that the user named in `--cafile` or `--capath`, byte for
//! byte, is therefore accepted once its dates, purpose and host name are right. Nobody else gains anything by it.
//!
//! Where only certificates that the user named are trusted, a certificate that they vouch for may also name its host as
//! OpenSSL and mosquitto accept it: in the common name where it has no subjectAltName, an IP address as a DNS name.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::thread::{self, ThreadId};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, ExtendedKeyPurpose, RootCertStore, SignatureScheme};

use super::certificate::CertificateFacts;

/// Verifies a server's certificate.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    roots: RootCertStore,
    /// Certificates of the user's files, believed as a server's own too.
    named: Vec<CertificateDer<'static>>,
    /// Only the certificates in the user's files are trusted.
    only_named: bool,
    algorithms: WebPkiSupportedAlgorithms,
    /// The certificate refused last, by thread. rustls' errors have no room for it and the error text needs it; the
    /// handshake that saw it takes it out in the same poll, so two handshakes never mix.
    refused: Mutex<HashMap<ThreadId, CertificateDer<'static>>>,
}

impl ServerVerifier {
    pub(super) fn new(
        roots: RootCertStore,
        named: Vec<CertificateDer<'static>>,
        only_named: bool,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self { roots, named, only_named, algorithms, refused: Mutex::default() }
    }

    /// The certificate that was refused last on this thread.
    pub(super) fn take_refused(&self) -> Option<CertificateDer<'static>> {
        self.refused().remove(&thread::current().id())
    }

    fn refused(&self) -> MutexGuard<'_, HashMap<ThreadId, CertificateDer<'static>>> {
        self.refused.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn verify(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let certificate = ParsedCertificate::try_from(shown)?;
        let by_rules = verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        )
        .and_then(|()| match verify_server_name(&certificate, host) {
            Err(_) if self.only_named && names_literally(shown, host) => Ok(()),
            outcome => outcome,
        });
        match by_rules {
            Err(error) if naming_it_settles(&error) && self.named.iter().any(|named| named == shown) => {
                verify_named(shown, &certificate, host, now)
            }
            outcome => outcome,
        }
    }
}

/// Whether this fault is one of trust, or of the name, which [`verify_named`] looks at again; all other faults stand.
fn naming_it_settles(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer
            | CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. },
        ) => true,
        Error::InvalidCertificate(other) => is_authority_as_server(other),
        _ => false,
    }
}

/// Whether webpki refused a CA's certificate as a server's own.
pub(super) fn is_authority_as_server(error: &CertificateError) -> bool {
    let CertificateError::Other(other) = error else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// What webpki would check besides the issuer: dates, purpose, host name.
fn verify_named(
    shown: &CertificateDer<'_>,
    certificate: &ParsedCertificate<'_>,
    host: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), Error> {
    let facts = CertificateFacts::read(shown).ok_or(CertificateError::BadEncoding)?;
    let (not_before, not_after) =
        (UnixTime::since_unix_epoch(facts.not_before), UnixTime::since_unix_epoch(facts.not_after));
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    if !facts.for_servers {
        let required = ExtendedKeyPurpose::ServerAuth;
        return Err(CertificateError::InvalidPurposeContext { required, presented: Vec::new() }.into());
    }
    match verify_server_name(certificate, host) {
        Err(_) if names_literally(shown, host) => Ok(()),
        outcome => outcome,
    }
}

/// Whether a certificate has the host in a form that webpki does not look at. `openssl req -x509` without more makes a
/// certificate with nothing but a common name, which OpenSSL compares with the host when there is no subjectAltName
/// (RFC 6125 §6.4.4); mosquitto's clients also find an IP address among the DNS names.
fn names_literally(shown: &CertificateDer<'_>, host: &ServerName<'_>) -> bool {
    CertificateFacts::read(shown).is_some_and(|facts| facts.names_literally(&host.to_str()))
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.verify(end_entity, intermediates, server_name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(error) => {
                self.refused().insert(thread::current().id(), end_entity.clone().into_owned());
                Err(error)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Believes everybody (`--insecure`). Not even the signature is checked: a man in the middle signs with his own key.
#[derive(Debug)]
pub(super) struct NoVerification(pub(super) WebPkiSupportedAlgorithms);

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::test_server::{Identity, as_authority};
    use super::*;

    /// In the handshake webpki looks at the dates first; the check of our own must hold without it.
    #[test]
    fn a_named_certificate_is_bound_to_its_dates_to_the_second() {
        let named = Identity::self_signed(&["localhost"], |params| {
            as_authority(params);
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        });
        let certificate = ParsedCertificate::try_from(&named.certificate).unwrap();
        let host = ServerName::try_from("localhost").unwrap();
        let (first, last) = (1_577_836_800, 1_609_459_200);
        let at = |seconds| {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            verify_named(&named.certificate, &certificate, &host, now)
        };
        at(first).unwrap();
        at(last).unwrap();
        let early = at(first - 1).unwrap_err();
        assert!(matches!(early, Error::InvalidCertificate(CertificateError::NotValidYetContext { .. })), "{early}");
        let late = at(last + 1).unwrap_err();
        assert!(matches!(late, Error::InvalidCertificate(CertificateError::ExpiredContext { .. })), "{late}");
    }
}
