//! Certificates and a TLS server over loopback, for the tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::transport::{Address, ConnectError, Connected, TlsPlan, TransportPlan, TrustRoots, connect};

/// A certificate and its key.
pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: KeyPair,
}

impl Identity {
    /// A certificate signed by its own key, after `change` had its way with the parameters.
    pub(crate) fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = parts(names, change);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, key }
    }

    /// A certificate signed by a CA.
    pub(crate) fn issued(ca: &Authority, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = parts(names, change);
        let certificate = params.signed_by(&key, &ca.0).unwrap().der().clone();
        Self { certificate, key }
    }

    pub(crate) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }
}

fn parts(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (CertificateParams, KeyPair) {
    let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    (params, KeyPair::generate().unwrap())
}

/// A certification authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(common_name: &str) -> Self {
        let (mut params, key) = parts(&[], as_authority);
        params.distinguished_name.push(DnType::CommonName, common_name);
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// One with a certificate that another one has signed.
    pub(crate) fn issued(by: &Authority, common_name: &str) -> Self {
        let (mut params, key) = parts(&[], as_authority);
        params.distinguished_name.push(DnType::CommonName, common_name);
        Self(CertifiedIssuer::signed_by(params, key, &by.0).unwrap())
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }
}

/// Makes a certificate one of a CA (CA:TRUE).
pub(crate) fn as_authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

/// Files of one test.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().to_path_buf()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn certificate(&self, name: &str, certificate: &CertificateDer<'_>) -> PathBuf {
        self.write(name, pem(certificate))
    }
}

pub(crate) fn pem(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// A server's settings, with the CA that its clients' certificates need.
pub(crate) fn server_config(identity: &Identity, clients: Option<&Authority>) -> ServerConfig {
    server_config_of(vec![identity.certificate.clone()], identity.key_der(), clients)
}

pub(crate) fn server_config_of(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clients: Option<&Authority>,
) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let resolver = rustls::sign::SingleCertAndKey::from(rustls::sign::CertifiedKey::new(
        chain,
        provider.key_provider.load_private_key(key).unwrap(),
    ));
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(ca.certificate()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    builder.with_cert_resolver(Arc::new(resolver))
}

/// Serves for as long as the test runs: after the handshake it sends back what it gets.
pub(crate) async fn serve(config: ServerConfig) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // One after the other is enough here. A handshake that fails is the client's to report.
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            let mut buffer = [0; 256];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                if stream.write_all(&buffer[..count]).await.is_err() || stream.flush().await.is_err() {
                    break;
                }
            }
        }
    });
    port
}

pub(crate) fn plan(host: &str, port: u16, tls: Option<TlsPlan>) -> TransportPlan {
    let address = Address::Tcp { host: host.into(), port };
    // Long enough that only a fault of ours reaches it.
    TransportPlan {
        address,
        bind: None,
        no_delay: true,
        timeout: Duration::from_secs(60),
        proxy: None,
        tls,
        web_socket: None,
        resolved: Vec::new(),
    }
}

/// A TLS plan that believes one file.
pub(crate) fn trusting(file: PathBuf) -> TlsPlan {
    TlsPlan { roots: TrustRoots { file: Some(file), ..TrustRoots::default() }, ..TlsPlan::default() }
}

/// Connects over TLS to a port of 127.0.0.1 under the name `host`: `localhost` or an address.
pub(crate) async fn connect_tls(host: &str, port: u16, tls: TlsPlan) -> Result<Connected, ConnectError> {
    connect(&plan(host, port, Some(tls)), None).await
}

/// Sends a few bytes and expects them back.
pub(crate) async fn assert_echo(connected: Connected) {
    let mut connection = connected.connection;
    connection.write_all(b"hello").await.unwrap();
    connection.flush().await.unwrap();
    let mut answer = [0; 5];
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hello");
}
