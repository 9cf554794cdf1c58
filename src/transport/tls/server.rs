//! The other end of TLS: a listener's certificate, client certificates, and the stream of one client, which never
//! blocks where its socket does not.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{
    Error, InconsistentKeys, InvalidMessage, RootCertStore, ServerConfig, ServerConnection, StreamOwned, Writer,
};

use super::certificate::CertificateFacts;
use super::setup_error::TlsSetupError;
use super::{files, key};
use crate::transport::plan::TlsVersions;

/// Bytes that one connection holds until its socket takes them.
const BUFFER: usize = 64 * 1024;

/// The TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTlsPlan {
    /// The server's certificate chain (PEM).
    pub certificate: PathBuf,
    /// Certificates of authorities (PEM), from which the chain is completed where it lacks intermediate ones.
    pub authorities: Option<PathBuf>,
    /// Its key (PEM).
    pub key: PathBuf,
    /// Accepted versions.
    pub versions: TlsVersions,
    /// Who must show a certificate; none asks for none.
    pub clients: Option<ClientAuthorities>,
}

/// Which certificates clients may show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientAuthorities {
    /// A file of the authorities' certificates (PEM).
    pub file: Option<PathBuf>,
    /// A folder of such files.
    pub folder: Option<PathBuf>,
    /// Revoked certificates (PEM).
    pub revocations: Option<PathBuf>,
}

/// A TLS server: make it once, accept with it as often as you like. Clones share their certificate.
#[derive(Clone, Debug)]
pub struct TlsServer(Arc<RwLock<Arc<ServerConfig>>>);

impl TlsServer {
    /// Reads the plan's files.
    ///
    /// # Errors
    /// [`TlsSetupError`] names the file that is missing or wrong.
    pub fn new(plan: &ServerTlsPlan) -> Result<Self, TlsSetupError> {
        Ok(Self(Arc::new(RwLock::new(config(plan)?))))
    }

    /// Takes over what another one has read. Clients that connect from now on get it.
    pub fn replace(&self, other: &Self) {
        let config = Arc::clone(&other.0.read().unwrap_or_else(PoisonError::into_inner));
        // Nothing that can panic runs under the lock.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// A client's stream over its socket; the handshake goes on with its reads and writes.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn accept<S: Read + Write>(&self, socket: S) -> io::Result<ServerTlsStream<S>> {
        let config = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(BUFFER));
        Ok(ServerTlsStream(StreamOwned::new(connection, socket)))
    }
}

fn config(plan: &ServerTlsPlan) -> Result<Arc<ServerConfig>, TlsSetupError> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[_] = match plan.versions {
        TlsVersions::Any => &[&TLS13, &TLS12],
        TlsVersions::V12 => &[&TLS12],
        TlsVersions::V13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| TlsSetupError::general(error.to_string()))?;
    let builder = match &plan.clients {
        None => builder.with_no_client_auth(),
        Some(authorities) => builder.with_client_cert_verifier(verifier(authorities, provider)?),
    };
    let mut chain = files::certificates(&plan.certificate)?;
    if let Some(file) = &plan.authorities {
        complete(&mut chain, &files::certificates(file)?);
    }
    let config = builder.with_single_cert(chain, key::read(&plan.key, None)?).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsSetupError::of(
            &plan.key,
            format!("this key does not match the certificate in {}", plan.certificate.display()),
        ),
        error => TlsSetupError::of(&plan.certificate, error.to_string()),
    })?;
    Ok(Arc::new(config))
}

/// Adds the intermediate certificates that a chain lacks, as OpenSSL does: clients know the root alone, and many a
/// mosquitto has only its own certificate in `certfile` and those above it in `cafile`.
fn complete(chain: &mut Vec<CertificateDer<'static>>, authorities: &[CertificateDer<'static>]) {
    while let Some(last) = chain.last().and_then(|last| CertificateFacts::read(last)) {
        let issued_it = |candidate: &&CertificateDer<'static>| {
            let facts = CertificateFacts::read(candidate);
            facts.is_some_and(|facts| facts.subject == last.issuer && !facts.self_issued) && !chain.contains(candidate)
        };
        let Some(issuer) = authorities.iter().find(issued_it).filter(|_| !last.self_issued) else { return };
        chain.push(issuer.clone());
    }
}

fn verifier(
    authorities: &ClientAuthorities,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = &authorities.file {
        for certificate in files::certificates(file)? {
            roots.add(certificate).map_err(|error| TlsSetupError::of(file, error.to_string()))?;
        }
    }
    if let Some(folder) = &authorities.folder {
        roots.add_parsable_certificates(files::certificates_in_folder(folder)?);
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(file) = &authorities.revocations {
        // Who issued a list that is missing is not known to have revoked anything.
        builder = builder.with_crls(revocations(file)?).allow_unknown_revocation_status();
    }
    builder.build().map_err(|error| TlsSetupError::general(format!("client certificates cannot be verified: {error}")))
}

fn revocations(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsSetupError> {
    let content = files::read(path)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&content).collect();
    let lists = lists.map_err(|_| TlsSetupError::of(path, "not a valid PEM file"))?;
    if lists.is_empty() {
        return Err(TlsSetupError::of(path, "no revocation list in this file")
            .hint("it needs a block that starts with -----BEGIN X509 CRL-----"));
    }
    Ok(lists)
}

/// The stream of one client. It reads and writes as its socket does: where that would block, so does this.
#[derive(Debug)]
pub struct ServerTlsStream<S: Read + Write>(StreamOwned<ServerConnection, S>);

impl<S: Read + Write> ServerTlsStream<S> {
    /// The socket below.
    pub fn socket(&mut self) -> &mut S {
        self.0.get_mut()
    }

    /// The Common Name of the client's certificate, once the handshake has shown one.
    pub fn client_common_name(&self) -> Option<String> {
        self.client_facts()?.common_name
    }

    /// The whole subject of the client's certificate, once the handshake has shown one (RFC 4514).
    pub fn client_subject(&self) -> Option<String> {
        self.client_facts().map(|facts| facts.subject)
    }

    fn client_facts(&self) -> Option<CertificateFacts> {
        CertificateFacts::read(self.0.conn.peer_certificates()?.first()?)
    }

    /// Signals the end of the output.
    pub fn close(&mut self) {
        self.0.conn.send_close_notify();
        let _ = self.write_out();
    }

    /// Writes what TLS has for the socket. It never reads, as rustls's own stream does during a handshake: who waits for
    /// the socket to become readable would wait in vain for what was read here.
    fn write_out(&mut self) -> io::Result<()> {
        while self.0.conn.wants_write() {
            match self.0.conn.write_tls(&mut self.0.sock) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        self.0.sock.flush()
    }

    /// Hands bytes to TLS, as many as it takes, and writes what it makes of them as far as the socket takes it.
    fn write_through(&mut self, write: impl FnOnce(&mut Writer<'_>) -> io::Result<usize>) -> io::Result<usize> {
        self.write_out()?;
        let count = write(&mut self.0.conn.writer())?;
        // The bytes are taken; an error is that of the next call.
        let _ = self.write_out();
        Ok(count)
    }
}

/// Whether what came is no record of TLS at all.
fn is_not_tls(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
    matches!(cause, Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)))
}

impl<S: Read + Write> Read for ServerTlsStream<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            // Many clients close without close_notify; MQTT has its own end, DISCONNECT.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) if self.0.conn.is_handshaking() && is_not_tls(&error) => {
                Err(io::Error::new(error.kind(), "it does not use TLS, which this listener requires"))
            }
            read => read,
        }
    }
}

impl<S: Read + Write> Write for ServerTlsStream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_through(|writer| writer.write(bytes))
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.write_through(|writer| writer.write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::super::test_server::{Authority, Files, Identity, plan};
    use super::*;
    use crate::transport::{ClientCertificate, TlsClient, TlsPlan, TrustRoots, connect};

    fn files_of(files: &Files, name: &str, identity: &Identity) -> (PathBuf, PathBuf) {
        let (certificate, key) = (files.path().join(format!("{name}.pem")), files.path().join(format!("{name}.key")));
        std::fs::write(&certificate, pem("CERTIFICATE", &identity.certificate)).unwrap();
        std::fs::write(&key, identity.key.serialize_pem()).unwrap();
        (certificate, key)
    }

    fn pem(label: &str, der: &[u8]) -> String {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    /// Accepts one client, answers what it sends, and returns its names.
    fn serve(
        server: TlsServer,
        listener: TcpListener,
    ) -> std::thread::JoinHandle<io::Result<(Option<String>, Option<String>)>> {
        std::thread::spawn(move || {
            let mut stream = server.accept(listener.accept()?.0)?;
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes)?;
            stream.write_all(&bytes)?;
            stream.flush()?;
            let names = (stream.client_common_name(), stream.client_subject());
            stream.close();
            Ok(names)
        })
    }

    async fn talk(port: u16, tls: TlsPlan) -> bool {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let plan = plan("localhost", port, Some(tls.clone()));
        let Ok(client) = TlsClient::new(&tls) else { return false };
        let Ok(connected) = connect(&plan, Some(&client)).await else { return false };
        let mut connection = connected.connection;
        let mut answer = [0; 5];
        connection.write_all(b"hello").await.is_ok()
            && connection.flush().await.is_ok()
            && connection.read_exact(&mut answer).await.is_ok()
            && answer == *b"hello"
    }

    #[tokio::test]
    async fn clients_are_served_and_named_by_their_certificate() {
        let files = Files::new();
        let authority = Authority::new("the authority");
        let ca = files.path().join("ca.pem");
        std::fs::write(&ca, pem("CERTIFICATE", &authority.certificate())).unwrap();
        let (certificate, key) = files_of(&files, "server", &Identity::issued(&authority, &["localhost"], |_| {}));
        let device = Identity::issued(&authority, &["device"], |params| {
            params.distinguished_name.push(rcgen::DnType::CommonName, "device-7");
        });
        let (client_certificate, client_key) = files_of(&files, "client", &device);

        let open = ServerTlsPlan { certificate, key, versions: TlsVersions::Any, authorities: None, clients: None };
        let clients = Some(ClientAuthorities { file: Some(ca.clone()), ..ClientAuthorities::default() });
        let strict = ServerTlsPlan { clients, ..open.clone() };
        let shows = ClientCertificate { certificate: client_certificate, key: client_key, key_password: None };
        for (plan, shown, served) in [(&open, None, true), (&strict, None, false), (&strict, Some(shows), true)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = serve(TlsServer::new(plan).unwrap(), listener);
            let roots = TrustRoots { file: Some(ca.clone()), ..TrustRoots::default() };
            let tls = TlsPlan { roots, client_certificate: shown.clone(), ..TlsPlan::default() };
            assert_eq!(talk(port, tls).await, served);
            let names = server.join().unwrap().ok();
            assert_eq!(names.is_some(), served);
            if shown.is_some() {
                let (common_name, subject) = names.unwrap();
                assert_eq!(common_name.as_deref(), Some("device-7"));
                assert!(subject.unwrap().contains("CN=device-7"));
            }
        }
    }

    /// A socket that counts how often it is read.
    struct Counted(TcpStream, usize);

    impl Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            self.0.read(buffer)
        }
    }

    impl Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }

    /// The broker reads when the socket has become readable, which it does not become again for what was read before.
    #[test]
    fn writing_during_a_handshake_does_not_read() {
        let files = Files::new();
        let authority = Authority::new("the authority");
        let (certificate, key) = files_of(&files, "server", &Identity::issued(&authority, &["localhost"], |_| {}));
        let plan = ServerTlsPlan { certificate, key, versions: TlsVersions::Any, authorities: None, clients: None };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = listener.accept().unwrap().0;
        socket.set_nonblocking(true).unwrap();
        let mut stream = TlsServer::new(&plan).unwrap().accept(Counted(socket, 0)).unwrap();
        stream.flush().unwrap();
        assert_eq!(stream.write(b"early").unwrap(), 5);
        stream.close();
        assert_eq!(stream.socket().1, 0);
        assert_eq!(stream.read(&mut [0; 9]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(stream.socket().1, 1);
    }

    #[tokio::test]
    async fn missing_intermediates_are_sent_where_cafile_has_them() {
        let files = Files::new();
        let root = Authority::new("the root");
        let middle = Authority::issued(&root, "the middle");
        let lower = Authority::issued(&middle, "the lower middle");
        let (certificate, key) = files_of(&files, "server", &Identity::issued(&lower, &["localhost"], |_| {}));
        let of = |authorities: &[&Authority]| -> String {
            authorities.iter().map(|authority| pem("CERTIFICATE", &authority.certificate())).collect()
        };
        let ca = files.write("root.pem", of(&[&root]));
        let all = files.write("all.pem", of(&[&root, &middle, &Authority::new("another"), &lower]));
        for (authorities, served) in [(None, false), (Some(ca.clone()), false), (Some(all), true)] {
            let (certificate, key) = (certificate.clone(), key.clone());
            let plan = ServerTlsPlan { certificate, authorities, key, versions: TlsVersions::Any, clients: None };
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = serve(TlsServer::new(&plan).unwrap(), listener);
            let roots = TrustRoots { file: Some(ca.clone()), ..TrustRoots::default() };
            assert_eq!(talk(port, TlsPlan { roots, ..TlsPlan::default() }).await, served);
            assert_eq!(server.join().unwrap().is_ok(), served);
        }
    }

    #[test]
    fn a_socket_that_would_block_does_not_hold_anybody_up() {
        let files = Files::new();
        let (certificate, key) = files_of(&files, "server", &Identity::self_signed(&["localhost"], |_| {}));
        let plan = ServerTlsPlan { certificate, key, versions: TlsVersions::V13, authorities: None, clients: None };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = listener.accept().unwrap().0;
        socket.set_nonblocking(true).unwrap();
        let mut stream = TlsServer::new(&plan).unwrap().accept(socket).unwrap();
        assert_eq!(stream.read(&mut [0; 16]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_file_that_does_not_fit_is_named() {
        let files = Files::new();
        let (certificate, _) = files_of(&files, "one", &Identity::self_signed(&["localhost"], |_| {}));
        let (_, key) = files_of(&files, "two", &Identity::self_signed(&["localhost"], |_| {}));
        let plan = ServerTlsPlan {
            certificate,
            key: key.clone(),
            versions: TlsVersions::Any,
            authorities: None,
            clients: None,
        };
        let error = TlsServer::new(&plan).unwrap_err();
        assert_eq!(error.path, Some(key.clone()));
        assert!(error.to_string().contains("does not match the certificate"), "{error}");
        let missing = ServerTlsPlan { certificate: files.path().join("none.pem"), ..plan };
        assert!(TlsServer::new(&missing).unwrap_err().to_string().contains("none.pem"));
        let lists = revocations(&key).unwrap_err();
        assert!(lists.hint.unwrap().contains("X509 CRL"));
    }
}
