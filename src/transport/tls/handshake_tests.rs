//! Handshakes over loopback: client certificates, ALPN, versions, key log, and servers that do not speak TLS.

use std::io;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::test_server::{
    Authority, Files, Identity, assert_echo, connect_tls, pem, plan, serve, server_config, trusting,
};
use super::{TlsClient, explain_tls_loss, looks_like_tls};
use crate::transport::{
    ClientCertificate, ConnectError, Connected, FailureKind, Fault, Stage, TlsPlan, TlsVersions, TrustRoots, connect,
};

/// A server with its CA in a file.
struct Scene {
    files: Files,
    ca: Authority,
    server: Identity,
}

impl Scene {
    fn new() -> Self {
        let ca = Authority::new("our CA");
        let server = Identity::issued(&ca, &["localhost"], |_| {});
        Self { files: Files::new(), ca, server }
    }

    fn plan(&self) -> TlsPlan {
        trusting(self.files.certificate("ca.pem", &self.ca.certificate()))
    }

    fn client_certificate(&self, issuer: &Authority) -> ClientCertificate {
        let client = Identity::issued(issuer, &["client"], |_| {});
        ClientCertificate {
            certificate: self.files.certificate("client.pem", &client.certificate),
            key: self.files.write("client.key", client.key.serialize_pem()),
            key_password: None,
        }
    }
}

/// The fault of a connection whose server judges our certificate: in the handshake with TLS 1.2, at the first read
/// with TLS 1.3.
async fn fault_of(outcome: Result<Connected, ConnectError>) -> Fault {
    match outcome {
        Err(ConnectError { kind, cause, hint, .. }) => Fault { kind, cause, hint },
        Ok(mut connected) => {
            let error = connected.connection.read_u8().await.unwrap_err();
            explain_tls_loss(&error).unwrap_or_else(|| panic!("not an error of TLS: {error}"))
        }
    }
}

#[tokio::test]
async fn a_client_certificate_opens_the_door() {
    let scene = Scene::new();
    let port = serve(server_config(&scene.server, Some(&scene.ca))).await;
    for versions in [TlsVersions::V12, TlsVersions::V13] {
        let client_certificate = Some(scene.client_certificate(&scene.ca));
        let tls = TlsPlan { client_certificate, versions, ..scene.plan() };
        assert_echo(connect_tls("localhost", port, tls).await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_missing_client_certificate_is_called_so() {
    let scene = Scene::new();
    let port = serve(server_config(&scene.server, Some(&scene.ca))).await;
    for versions in [TlsVersions::V12, TlsVersions::V13] {
        let tls = TlsPlan { versions, ..scene.plan() };
        let fault = fault_of(connect_tls("localhost", port, tls).await).await;
        assert_eq!(
            (fault.kind, &*fault.cause),
            (FailureKind::ClientCertificate, "the server requires a client certificate")
        );
        assert!(fault.hint.unwrap().contains("--cert"));
    }
}

#[tokio::test]
async fn a_refused_client_certificate_is_called_so() {
    let scene = Scene::new();
    let port = serve(server_config(&scene.server, Some(&scene.ca))).await;
    for versions in [TlsVersions::V12, TlsVersions::V13] {
        let client_certificate = Some(scene.client_certificate(&Authority::new("unknown there")));
        let tls = TlsPlan { client_certificate, versions, ..scene.plan() };
        let fault = fault_of(connect_tls("localhost", port, tls).await).await;
        assert_eq!(fault.kind, FailureKind::ClientCertificate);
        assert!(fault.cause.starts_with("the server rejected the client certificate: "), "{}", fault.cause);
    }
}

#[tokio::test]
async fn the_negotiated_version_and_cipher_are_reported() {
    let scene = Scene::new();
    let mut config = server_config(&scene.server, None);
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    let port = serve(config).await;
    for (versions, version) in [(TlsVersions::V12, "TLSv1_2"), (TlsVersions::Any, "TLSv1_3")] {
        let tls = TlsPlan { alpn: vec!["other".into(), "mqtt".into()], versions, ..scene.plan() };
        let connected = connect_tls("localhost", port, tls).await.unwrap();
        assert!(connected.timings.tls.is_some_and(|took| took > Duration::ZERO));
        let info = connected.connection.tls_info().unwrap();
        assert_eq!((info.version, info.alpn.as_deref()), (version, Some("mqtt")));
        assert!(info.cipher.starts_with("TLS"), "{}", info.cipher);
        assert_eq!(connected.connection.peer().unwrap().port(), port);
        assert!(connected.connection.as_plain().is_none());
    }
}

#[tokio::test]
async fn a_server_that_goes_without_a_word_is_the_end_of_the_stream() {
    let scene = Scene::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(server_config(&scene.server, None)));
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        // The end of TCP comes without a close_notify of TLS.
        drop(acceptor.accept(socket).await.unwrap());
    });
    let mut connection = connect_tls("localhost", port, scene.plan()).await.unwrap().connection;
    assert_eq!(connection.read(&mut [0; 16]).await.unwrap(), 0);
}

#[tokio::test]
async fn no_common_protocol_is_explained() {
    let scene = Scene::new();
    let mut config = server_config(&scene.server, None);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tls = TlsPlan { alpn: vec!["mqtt".into()], ..scene.plan() };
    let error = connect_tls("localhost", serve(config).await, tls).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::TlsProtocol);
    assert!(error.cause.contains("offered ALPN protocols (mqtt)"), "{error}");
}

#[tokio::test]
async fn no_common_version_is_explained() {
    let scene = Scene::new();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![scene.server.certificate.clone()], scene.server.key_der())
        .unwrap();
    let tls = TlsPlan { versions: TlsVersions::V13, ..scene.plan() };
    let error = connect_tls("localhost", serve(config).await, tls).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::TlsProtocol);
    assert!(error.cause.contains("none of the offered TLS versions"), "{error}");
}

#[tokio::test]
async fn keys_are_appended_to_the_log() {
    let scene = Scene::new();
    let keylog = scene.files.write("keys.log", "first line\n");
    let tls = TlsPlan { keylog: Some(keylog.clone()), versions: TlsVersions::V12, ..scene.plan() };
    connect_tls("localhost", serve(server_config(&scene.server, None)).await, tls).await.unwrap();
    let text = std::fs::read_to_string(keylog).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    let fields: Vec<_> = lines[1].split(' ').collect();
    assert_eq!((fields[0], fields[1].len(), fields[2].len()), ("CLIENT_RANDOM", 64, 96));
}

#[tokio::test]
async fn one_client_connects_often_and_keeps_refusals_apart() {
    let scene = Scene::new();
    let good = serve(server_config(&scene.server, None)).await;
    let strange = Identity::issued(&Authority::new("their CA"), &["localhost"], |_| {});
    let bad = serve(server_config(&strange, None)).await;
    let client = TlsClient::new(&scene.plan()).unwrap();
    let (good, bad) = (plan("localhost", good, None), plan("localhost", bad, None));
    for _ in 0..3 {
        let (accepted, refused) = tokio::join!(connect(&good, Some(&client)), connect(&bad, Some(&client)));
        assert_echo(accepted.unwrap()).await;
        assert!(refused.unwrap_err().cause.contains("CN=their CA"));
    }
}

// ---- servers that do not speak TLS

/// A server that answers the first bytes that it gets with `answer` and closes.
async fn answering(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        let _ = socket.read(&mut buffer).await;
        let _ = socket.write_all(answer).await;
    });
    port
}

fn believing_nobody(files: &Files) -> TlsPlan {
    trusting(files.certificate("ca.pem", &Authority::new("any").certificate()))
}

#[tokio::test]
async fn a_plain_port_is_recognized() {
    let files = Files::new();
    for answer in [b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), &[0x20, 2, 0, 1, 0xe0, 0]] {
        let error = connect_tls("localhost", answering(answer).await, believing_nobody(&files)).await.unwrap_err();
        assert_eq!((error.stage, error.kind), (Stage::Tls, FailureKind::NotTls), "{error}");
        assert!(error.hint.unwrap().starts_with("does this port use TLS?"));
    }
    // What mosquitto does with a ClientHello on its plain port.
    let error = connect_tls("localhost", answering(b"").await, believing_nobody(&files)).await.unwrap_err();
    assert_eq!((error.stage, error.kind), (Stage::Tls, FailureKind::Closed), "{error}");
    assert!(error.hint.unwrap().starts_with("does this port use TLS?"));
}

#[tokio::test]
async fn a_tls_port_answers_plain_mqtt_with_something_that_looks_like_tls() {
    let scene = Scene::new();
    let port = serve(server_config(&scene.server, None)).await;
    let mut plain = connect(&plan("localhost", port, None), None).await.unwrap().connection;
    plain.write_all(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00").await.unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).await.unwrap();
    assert!(looks_like_tls(&answer), "{answer:?}");
    assert!(!looks_like_tls(&[0x20, 2, 0, 0]) && !looks_like_tls(b"HTTP/1.1") && !looks_like_tls(&[0x15, 3]));
}

#[tokio::test]
async fn a_server_that_never_answers_runs_into_the_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let files = Files::new();
    // An address: looking a name up may take as long on a busy machine.
    let mut plan = plan("127.0.0.1", listener.local_addr().unwrap().port(), Some(believing_nobody(&files)));
    plan.timeout = Duration::from_secs(1);
    let error = connect(&plan, None).await.unwrap_err();
    assert_eq!((error.stage, error.kind), (Stage::Tls, FailureKind::TimedOut), "{error}");
    assert!(error.elapsed >= plan.timeout, "{:?}", error.elapsed);
    assert!(error.cause.contains("did not complete the TLS handshake in "), "{error}");
}

#[tokio::test]
async fn a_lost_connection_without_tls_in_it_is_not_explained_as_tls() {
    assert!(explain_tls_loss(&io::ErrorKind::ConnectionReset.into()).is_none());
}

// ---- files

fn setup_error(plan: &TlsPlan) -> super::TlsSetupError {
    TlsClient::new(plan).unwrap_err()
}

#[tokio::test]
async fn faults_of_files_name_the_file() {
    let scene = Scene::new();
    let missing = scene.files.path().join("missing.pem");
    let error = setup_error(&trusting(missing.clone()));
    assert_eq!(error.path, Some(missing.clone()));
    let empty = scene.files.write("empty.pem", "nothing\n");
    assert_eq!(setup_error(&trusting(empty)).cause, "no certificate in this file");
    let der = scene.files.write("ca.der", scene.ca.certificate());
    assert!(setup_error(&trusting(der)).hint.unwrap().contains("-inform DER"));
    let broken = scene.files.write("cut.pem", &pem(&scene.ca.certificate())[..200]);
    assert!(setup_error(&trusting(broken)).cause.starts_with("not a valid PEM file"));
    let rubbish = scene.files.write("rubbish.pem", pem(&b"no certificate".as_slice().into()));
    assert!(setup_error(&trusting(rubbish)).cause.starts_with("no certificate in it can be used"));
    let folder = TrustRoots { folder: Some(missing), ..TrustRoots::default() };
    assert!(setup_error(&TlsPlan { roots: folder, ..TlsPlan::default() }).to_string().contains("missing.pem"));
    let keylog = Some(scene.files.path());
    assert_eq!(setup_error(&TlsPlan { keylog, ..scene.plan() }).path, Some(scene.files.path()));
    let alpn = vec![String::new()];
    assert!(setup_error(&TlsPlan { alpn, ..scene.plan() }).cause.contains("ALPN"));
    // And in the error of a connection that makes its client itself.
    let error = connect_tls("localhost", 1, trusting(scene.files.path().join("missing.pem"))).await.unwrap_err();
    assert_eq!((error.stage, error.kind), (Stage::Tls, FailureKind::TlsSetup));
    assert!(error.cause.contains("missing.pem: "), "{error}");
}

#[test]
fn a_key_must_belong_to_its_certificate() {
    let scene = Scene::new();
    let mut own = scene.client_certificate(&scene.ca);
    own.key = scene.files.write("other.key", rcgen::KeyPair::generate().unwrap().serialize_pem());
    let error = setup_error(&TlsPlan { client_certificate: Some(own.clone()), ..scene.plan() });
    assert_eq!(error.path.as_ref(), Some(&own.key));
    assert!(error.cause.starts_with("the key does not match the certificate"), "{error}");
    own.key = own.certificate.clone();
    let error = setup_error(&TlsPlan { client_certificate: Some(own), ..scene.plan() });
    assert_eq!(error.cause, "no private key in this file");
}

#[test]
fn an_old_client_certificate_is_left_to_the_server_to_judge() {
    let scene = Scene::new();
    let v1 = include_bytes!("testdata/v1-server.pem");
    assert!(rustls::pki_types::CertificateDer::from_pem_slice(v1).is_ok());
    let own = ClientCertificate {
        certificate: scene.files.write("v1.pem", v1),
        key: scene.files.write("v1.key", include_bytes!("testdata/ec-sec1.pem")),
        key_password: None,
    };
    TlsClient::new(&TlsPlan { client_certificate: Some(own), ..scene.plan() }).unwrap();
}

#[test]
fn the_system_is_believed_only_when_nothing_else_is_named() {
    let named = TrustRoots { file: Some("ca.pem".into()), ..TrustRoots::default() };
    assert!(TrustRoots::default().uses_system() && !named.uses_system());
    assert!(TrustRoots { system: true, ..named }.uses_system());
}
