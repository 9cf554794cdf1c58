//! A TLS plan made ready: files read and rustls configured once, for any number of handshakes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, Error, InconsistentKeys, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::{CertificateFacts, denies_authority};
use super::explain::{Situation, explain};
use super::keylog::KeyLogFile;
use super::verifier::{Credulous, ServerVerifier};
use super::{files, key};
use crate::transport::error::{FailureKind, Fault, io_text, printable};
use crate::transport::plan::{ClientCertificate, TlsPlan, TlsVersions, TrustRoots};
use crate::transport::socket::Socket;

/// Files or settings that TLS cannot use. Displays as `TLS: FILE: CAUSE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSetupError {
    /// The file or folder at fault, where there is one.
    pub path: Option<PathBuf>,
    /// What is wrong, as a sentence without a full stop.
    pub cause: String,
    /// What to do next, where it is known.
    pub hint: Option<String>,
}

impl TlsSetupError {
    pub(super) fn of(path: &Path, cause: impl Into<String>) -> Self {
        Self { path: Some(path.to_path_buf()), cause: cause.into(), hint: None }
    }

    pub(super) fn general(cause: impl Into<String>) -> Self {
        Self { path: None, cause: cause.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for TlsSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "TLS: {}: {}", path.display(), self.cause),
            None => write!(f, "TLS: {}", self.cause),
        }
    }
}

impl std::error::Error for TlsSetupError {}

impl From<TlsSetupError> for Fault {
    fn from(error: TlsSetupError) -> Self {
        let cause = match &error.path {
            Some(path) => format!("{}: {}", path.display(), error.cause),
            None => error.cause,
        };
        Self { kind: FailureKind::TlsSetup, cause, hint: error.hint }
    }
}

/// A TLS client: make it once, connect with it as often as you like, from any thread.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
    /// None when nothing is verified.
    verifier: Option<Arc<ServerVerifier>>,
    /// Where trust comes from, in words.
    trusted: Arc<str>,
    alpn: Arc<[String]>,
    has_certificate: bool,
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
            .map_err(|error| TlsSetupError::general(error.to_string()))?
            .dangerous();
        let (builder, verifier) = if plan.insecure {
            (builder.with_custom_certificate_verifier(Arc::new(Credulous(algorithms))), None)
        } else {
            let verifier = Arc::new(ServerVerifier::new(roots, named, algorithms));
            (builder.with_custom_certificate_verifier(verifier.clone()), Some(verifier))
        };
        let mut config = match &plan.client_certificate {
            Some(files) => builder.with_client_cert_resolver(Arc::new(own_certificate(files, &provider)?)),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn_protocols(&plan.alpn)?;
        // Each of our clients stands for a device of its own, which has no session of another one to resume; and a
        // benchmark that resumes does not measure handshakes.
        config.resumption = Resumption::disabled();
        if let Some(path) = &plan.keylog {
            let file = KeyLogFile::open(path).map_err(|error| TlsSetupError::of(path, io_text(&error)))?;
            config.key_log = Arc::new(file);
        }
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            verifier,
            trusted: trust_text(&plan.roots).into(),
            alpn: plan.alpn.clone().into(),
            has_certificate: plan.client_certificate.is_some(),
        })
    }

    /// Speaks TLS over a connected socket with the server of this name.
    pub(in crate::transport) async fn handshake(
        &self,
        host: &str,
        socket: Socket,
    ) -> Result<Box<TlsStream<Socket>>, Fault> {
        // A zone (`fe80::1%eth0`) says where the host is, not what it is called.
        let bare = host.split('%').next().unwrap_or(host);
        let name = ServerName::try_from(bare.to_string()).map_err(|_| {
            let cause = format!("{:?} cannot be the name of a TLS server", printable(host));
            Fault::new(FailureKind::TlsSetup, cause).hint("give a host name or an IP address")
        })?;
        let outcome = self.connector.connect(name, socket).await;
        // Nothing may be awaited between the handshake's end and here: see `ServerVerifier::refused`.
        let refused = self.verifier.as_ref().and_then(|verifier| verifier.take_refused());
        outcome.map(Box::new).map_err(|error| {
            let situation = Situation {
                host: bare,
                shown: refused.and_then(|der| CertificateFacts::read(&der)),
                trusted: &self.trusted,
                alpn: &self.alpn,
                has_certificate: self.has_certificate,
            };
            explain(&error, &situation)
        })
    }
}

/// Certification authorities, and the certificates of the user's files, which count as a server's own too.
fn trusted_certificates(plan: &TlsPlan) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsSetupError> {
    let TrustRoots { file, folder, system } = &plan.roots;
    let mut roots = RootCertStore::empty();
    let mut named = Vec::new();
    for (path, found) in [
        (file, file.as_deref().map(files::certificates)),
        (folder, folder.as_deref().map(files::certificates_in_folder)),
    ] {
        let (Some(path), Some(found)) = (path, found) else { continue };
        named.extend(add_roots(&mut roots, found?).map_err(|cause| TlsSetupError::of(path, cause))?);
    }
    if plan.roots.uses_system() && !plan.insecure {
        let loaded = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(loaded.certs);
        if added == 0 && !system {
            let reason = loaded.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
            return Err(TlsSetupError::general(format!("this system has no CA certificates{reason}"))
                .hint("name the broker's CA certificate with --cafile, or install the package ca-certificates"));
        }
    }
    Ok((roots, named))
}

/// Makes certificates authorities, except those that say that they are none: webpki does not ask again, and the holder
/// of a server's key must not become able to vouch for other servers. Gives back those that can be used; bundles hold
/// odd ones now and then, so it is an error only when none can.
fn add_roots(
    roots: &mut RootCertStore,
    mut found: Vec<CertificateDer<'static>>,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut fault = None;
    found.retain(|certificate| {
        let added = if denies_authority(certificate) { Ok(()) } else { roots.add(certificate.clone()) };
        added.map_err(|error| fault = Some(error)).is_ok()
    });
    match fault {
        Some(error) if found.is_empty() => Err(format!("no certificate in it can be used: {error}")),
        _ => Ok(found),
    }
}

fn trust_text(roots: &TrustRoots) -> String {
    let mut sources: Vec<_> =
        [&roots.file, &roots.folder].into_iter().flatten().map(|p| p.display().to_string()).collect();
    if roots.uses_system() {
        sources.push("the system's CA certificates".into());
    }
    sources.join(" or ")
}

fn own_certificate(own: &ClientCertificate, provider: &CryptoProvider) -> Result<SingleCertAndKey, TlsSetupError> {
    let chain = files::certificates(&own.certificate)?;
    let key = key::read(&own.key, own.key_password.as_ref())?;
    let key = provider.key_provider.load_private_key(key).map_err(|error| {
        TlsSetupError::of(&own.key, format!("the key cannot be used: {error}"))
            .hint("RSA (2048 bits and more), ECDSA (P-256, P-384) and Ed25519 keys can be used")
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let cause = format!("the key does not belong to the certificate {}", own.certificate.display());
            Err(TlsSetupError::of(&own.key, cause).hint("in a file with a chain our own certificate must come first"))
        }
        // The other errors say that the certificate is none that webpki reads, such as the version 1 that `openssl
        // x509 -req` makes by default. It is the server that has to read it.
        _ => Ok(SingleCertAndKey::from(certified)),
    }
}

fn alpn_protocols(names: &[String]) -> Result<Vec<Vec<u8>>, TlsSetupError> {
    // RFC 7301 §3.1: a name has 1 to 255 bytes.
    match names.iter().find(|name| name.is_empty() || name.len() > 255) {
        Some(name) => Err(TlsSetupError::general(format!("{name:?} cannot be an ALPN protocol"))
            .hint("a name has 1 to 255 bytes; MQTT's is \"mqtt\"")),
        None => Ok(names.iter().map(|name| name.clone().into_bytes()).collect()),
    }
}

/// What a handshake agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// Version, such as `TLSv1_3`.
    pub version: &'static str,
    /// Cipher suite, such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: &'static str,
    /// ALPN protocol, where the server picked one.
    pub alpn: Option<String>,
}

impl TlsInfo {
    pub(in crate::transport) fn of(session: &ClientConnection) -> Self {
        Self {
            version: session.protocol_version().and_then(|version| version.as_str()).unwrap_or("unknown"),
            cipher: session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown"),
            alpn: session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        }
    }
}
