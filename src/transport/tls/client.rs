//! A TLS plan made ready: files read and rustls configured once, for any number of handshakes.

use std::fmt;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, Error, InconsistentKeys};
use tokio_rustls::TlsConnector;

use super::alpn::alpn_protocols;
use super::certificate::CertificateFacts;
use super::explain::{Situation, error_text, explain};
use super::keylog::KeyLogFile;
use super::session::TlsSession;
use super::setup_error::TlsSetupError;
#[cfg(feature = "openssl")]
use super::system_openssl::OpenSslClient;
use super::trust::{trust_text, trusted_certificates};
use super::verifier::{NoVerification, ServerVerifier};
use super::{files, key};
use crate::transport::error::{FailureKind, Fault, io_text, printable};
use crate::transport::plan::{ClientCertificate, TlsBackend, TlsPlan, TlsVersions};
use crate::transport::socket::Socket;

/// A TLS client: make it once, connect with it as often as you like, from any thread.
#[derive(Clone)]
pub struct TlsClient {
    backend: Backend,
    /// Where trust comes from, for messages.
    trusted: Arc<str>,
    alpn: Arc<[String]>,
    has_certificate: bool,
    has_pre_shared_key: bool,
}

/// The library, made ready.
#[derive(Clone)]
enum Backend {
    Rustls {
        connector: TlsConnector,
        /// None when nothing is verified.
        verifier: Option<Arc<ServerVerifier>>,
    },
    #[cfg(feature = "openssl")]
    OpenSsl(OpenSslClient),
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("trusted", &self.trusted).finish_non_exhaustive()
    }
}

impl TlsClient {
    /// Reads the plan's files and, when they are wanted, the system's certificates.
    ///
    /// # Errors
    /// [`TlsSetupError`] names the file that is missing or wrong.
    pub fn new(plan: &TlsPlan) -> Result<Self, TlsSetupError> {
        let backend = match plan.backend {
            TlsBackend::Rustls => Backend::rustls(plan)?,
            #[cfg(feature = "openssl")]
            TlsBackend::OpenSsl => Backend::OpenSsl(OpenSslClient::new(plan)?),
            #[cfg(not(feature = "openssl"))]
            TlsBackend::OpenSsl => {
                return Err(TlsSetupError::general("this build has no OpenSSL").hint("build with --features openssl"));
            }
        };
        Ok(Self {
            backend,
            trusted: trust_text(&plan.roots).into(),
            alpn: plan.alpn.clone().into(),
            has_certificate: plan.client_certificate.is_some(),
            has_pre_shared_key: plan.pre_shared_key.is_some(),
        })
    }

    /// Speaks TLS over a connected socket with the server of this name.
    pub(in crate::transport) async fn handshake(&self, host: &str, socket: Socket) -> Result<TlsSession, Fault> {
        // A zone (`fe80::1%eth0`) is part of the address, not of the name.
        let bare = host.split('%').next().unwrap_or(host);
        let situation = |refused: Option<CertificateDer<'_>>| Situation {
            host: bare,
            shown: refused.and_then(|der| CertificateFacts::read(&der)),
            trusted: &self.trusted,
            alpn: &self.alpn,
            has_certificate: self.has_certificate,
            has_pre_shared_key: self.has_pre_shared_key,
        };
        let name = ServerName::try_from(bare.to_string()).map_err(|_| {
            let cause = format!("\"{}\" is not a valid TLS server name", printable(host));
            Fault::new(FailureKind::TlsSetup, cause).hint("give a host name or an IP address")
        })?;
        match &self.backend {
            Backend::Rustls { connector, verifier } => {
                let outcome = connector.connect(name, socket).await;
                // Nothing may be awaited between the handshake's end and here: see `ServerVerifier::refused`.
                let refused = verifier.as_ref().and_then(|verifier| verifier.take_refused());
                outcome
                    .map(|stream| TlsSession::Rustls(Box::new(stream)))
                    .map_err(|error| explain(&error, &situation(refused)))
            }
            #[cfg(feature = "openssl")]
            Backend::OpenSsl(client) => client.handshake(socket, situation(None)).await.map(TlsSession::OpenSsl),
        }
    }
}

impl Backend {
    fn rustls(plan: &TlsPlan) -> Result<Self, TlsSetupError> {
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let versions: &[_] = match plan.versions {
            TlsVersions::Any => &[&TLS13, &TLS12],
            TlsVersions::V12 => &[&TLS12],
            TlsVersions::V13 => &[&TLS13],
        };
        let (roots, named) = trusted_certificates(plan)?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|error| TlsSetupError::general(error_text(&error)))?
            .dangerous();
        let (builder, verifier) = if plan.insecure {
            (builder.with_custom_certificate_verifier(Arc::new(NoVerification(algorithms))), None)
        } else {
            let verifier = Arc::new(ServerVerifier::new(roots, named, !plan.roots.uses_system(), algorithms));
            (builder.with_custom_certificate_verifier(verifier.clone()), Some(verifier))
        };
        let mut config = match &plan.client_certificate {
            Some(files) => builder.with_client_cert_resolver(Arc::new(own_certificate(files, &provider)?)),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn_protocols(&plan.alpn)?;
        // Each client represents a separate device, which has no session of another one to resume; and a benchmark that
        // resumes does not measure handshakes.
        config.resumption = Resumption::disabled();
        if let Some(path) = &plan.keylog {
            let file = KeyLogFile::open(path).map_err(|error| TlsSetupError::of(path, io_text(&error)))?;
            config.key_log = Arc::new(file);
        }
        Ok(Self::Rustls { connector: TlsConnector::from(Arc::new(config)), verifier })
    }
}

fn own_certificate(own: &ClientCertificate, provider: &CryptoProvider) -> Result<SingleCertAndKey, TlsSetupError> {
    let chain = files::certificates(&own.certificate)?;
    let key = key::read(&own.key, own.key_password.as_ref())?;
    let key = provider.key_provider.load_private_key(key).map_err(|error| {
        TlsSetupError::of(&own.key, format!("the key cannot be used: {}", error_text(&error)))
            .hint("RSA (2048 bits or more), ECDSA (P-256, P-384) and Ed25519 keys are supported")
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let cause = format!("the key does not match the certificate {}", own.certificate.display());
            Err(TlsSetupError::of(&own.key, cause)
                .hint("in a certificate chain, the client certificate must come first"))
        }
        // The other errors mean that webpki cannot read the certificate, such as the version 1 that `openssl x509 -req`
        // makes by default. It is the server that has to read it.
        _ => Ok(SingleCertAndKey::from(certified)),
    }
}
