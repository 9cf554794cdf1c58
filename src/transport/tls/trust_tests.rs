//! Whom we believe, seen in real handshakes over loopback.

use rcgen::{CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::test_server::{
    Authority, Files, Identity, as_authority, assert_echo, connect_tls, plan, serve, server_config, server_config_of,
    trusting,
};
use crate::transport::{ConnectError, FailureKind, Stage, TlsClient, TlsPlan, TlsVersions, TrustRoots, connect};

/// What a client says that believes `trusted` and asks `host`; panics when it connects.
async fn refusal(config: ServerConfig, trusted: &CertificateDer<'_>, host: &str) -> ConnectError {
    let files = Files::new();
    let tls = trusting(files.certificate("ca.pem", trusted));
    let error = connect_tls(host, serve(config).await, tls).await.expect_err("the certificate was accepted");
    assert_eq!(error.stage, Stage::Tls);
    error
}

/// Connects with a client that believes `trusted`, and speaks.
async fn acceptance(config: ServerConfig, trusted: &CertificateDer<'_>, host: &str) {
    let files = Files::new();
    let tls = trusting(files.certificate("ca.pem", trusted));
    assert_echo(connect_tls(host, serve(config).await, tls).await.unwrap()).await;
}

fn assert_says(error: &ConnectError, kind: FailureKind, cause: &str, hint: &str) {
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.cause.contains(cause), "{}", error.cause);
    assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{:?}", error.hint);
}

#[tokio::test]
async fn a_certificate_of_a_known_ca_is_accepted_by_name_and_by_address() {
    let ca = Authority::new("our CA");
    let server = Identity::issued(&ca, &["localhost", "127.0.0.1"], |_| {});
    acceptance(server_config(&server, None), &ca.certificate(), "localhost").await;
    acceptance(server_config(&server, None), &ca.certificate(), "127.0.0.1").await;
}

#[tokio::test]
async fn an_unknown_ca_is_refused_and_named() {
    let (ca, other) = (Authority::new("our CA"), Authority::new("their CA"));
    let server = Identity::issued(&other, &["localhost"], |_| {});
    let error = refusal(server_config(&server, None), &ca.certificate(), "localhost").await;
    assert_says(&error, FailureKind::UntrustedCertificate, "issued by an unknown CA: CN=their CA", "--cafile");
    assert!(error.cause.contains("ca.pem"), "{error}");
}

#[tokio::test]
async fn another_ca_of_the_same_name_is_refused() {
    let (ca, other) = (Authority::new("the CA"), Authority::new("the CA"));
    let server = Identity::issued(&other, &["localhost"], |_| {});
    let error = refusal(server_config(&server, None), &ca.certificate(), "localhost").await;
    assert_eq!(error.kind, FailureKind::UntrustedCertificate, "{error}");
}

#[tokio::test]
async fn an_unknown_self_signed_certificate_is_called_so() {
    let ca = Authority::new("our CA");
    for change in [|_: &mut CertificateParams| {}, as_authority] {
        let server = Identity::self_signed(&["localhost"], change);
        let error = refusal(server_config(&server, None), &ca.certificate(), "localhost").await;
        assert_says(&error, FailureKind::UntrustedCertificate, "is self-signed (", "--cafile");
    }
}

#[tokio::test]
async fn dates_are_checked_and_reported() {
    let ca = Authority::new("our CA");
    let old = Identity::issued(&ca, &["localhost"], |params| params.not_after = date_time_ymd(2021, 3, 4));
    let error = refusal(server_config(&old, None), &ca.certificate(), "localhost").await;
    assert_says(&error, FailureKind::CertificateDates, "expired on 2021-03-04 00:00:00 UTC", "renew");
    let early = Identity::issued(&ca, &["localhost"], |params| params.not_before = date_time_ymd(3000, 1, 1));
    let error = refusal(server_config(&early, None), &ca.certificate(), "localhost").await;
    assert_says(&error, FailureKind::CertificateDates, "not valid before 3000-01-01", "clock");
}

#[tokio::test]
async fn another_name_is_refused_and_the_error_has_both() {
    let ca = Authority::new("our CA");
    let server = Identity::issued(&ca, &["broker.test", "10.1.2.3"], |_| {});
    let error = refusal(server_config(&server, None), &ca.certificate(), "localhost").await;
    assert_says(&error, FailureKind::CertificateName, "is for broker.test, 10.1.2.3, not for localhost", "name");
    let error = refusal(server_config(&server, None), &ca.certificate(), "127.0.0.1").await;
    assert_says(&error, FailureKind::CertificateName, "not for 127.0.0.1", "name");
}

#[tokio::test]
async fn a_common_name_alone_is_enough_only_for_a_named_ca() {
    let ca = Authority::new("our CA");
    let server = Identity::issued(&ca, &[], |params| params.distinguished_name.push(DnType::CommonName, "localhost"));
    // Of a CA that the user named it is; the system's CAs vouch for names of anybody.
    acceptance(server_config(&server, None), &ca.certificate(), "localhost").await;
    let files = Files::new();
    let mut tls = trusting(files.certificate("ca.pem", &ca.certificate()));
    tls.roots.system = true;
    let error = connect_tls("localhost", serve(server_config(&server, None)).await, tls).await.unwrap_err();
    assert_says(&error, FailureKind::CertificateName, "only the common name localhost", "subjectAltName=DNS:localhost");
}

#[tokio::test]
async fn a_certificate_for_clients_is_no_server_certificate() {
    let ca = Authority::new("our CA");
    let for_clients = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let server = Identity::issued(&ca, &["localhost"], for_clients);
    let error = refusal(server_config(&server, None), &ca.certificate(), "localhost").await;
    assert_says(&error, FailureKind::BadCertificate, "not issued for servers", "serverAuth");
    let named = Identity::self_signed(&["localhost"], |params| {
        as_authority(params);
        for_clients(params);
    });
    let error = refusal(server_config(&named, None), &named.certificate, "localhost").await;
    assert_says(&error, FailureKind::BadCertificate, "not issued for servers", "serverAuth");
}

#[tokio::test]
async fn a_version_1_certificate_is_explained() {
    let [certificate, ca] =
        [include_bytes!("testdata/v1-server.pem").as_slice(), include_bytes!("testdata/v1-ca.pem").as_slice()]
            .map(|pem| CertificateDer::from_pem_slice(pem).unwrap());
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("testdata/ec-sec1.pem")).unwrap();
    let error = refusal(server_config_of(vec![certificate], key, None), &ca, "localhost").await;
    assert_says(&error, FailureKind::BadCertificate, "X.509 version 1", "subjectAltName=DNS:localhost");
}

// ---- certificates that the user named

#[tokio::test]
async fn a_named_certificate_is_accepted_whether_it_is_a_ca_or_not() {
    for change in [
        as_authority,
        |_: &mut CertificateParams| {},
        |params: &mut CertificateParams| params.is_ca = IsCa::ExplicitNoCa,
    ] {
        let server = Identity::self_signed(&["localhost"], change);
        acceptance(server_config(&server, None), &server.certificate, "localhost").await;
    }
    // The server's own certificate, issued by a CA that nobody knows.
    let server = Identity::issued(&Authority::new("unknown"), &["localhost"], |_| {});
    acceptance(server_config(&server, None), &server.certificate, "localhost").await;
}

#[tokio::test]
async fn a_named_certificate_is_refused_for_another_host() {
    for change in [as_authority, |_: &mut CertificateParams| {}] {
        let server = Identity::self_signed(&["localhost"], change);
        let error = refusal(server_config(&server, None), &server.certificate, "127.0.0.1").await;
        assert_says(&error, FailureKind::CertificateName, "is for localhost, not for 127.0.0.1", "name");
    }
}

#[tokio::test]
async fn a_named_certificate_is_refused_outside_its_dates() {
    let server = Identity::self_signed(&["localhost"], |params| {
        as_authority(params);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let error = refusal(server_config(&server, None), &server.certificate, "localhost").await;
    assert_says(&error, FailureKind::CertificateDates, "expired on 2021-01-01", "renew");
    let server = Identity::self_signed(&["localhost"], |params| {
        as_authority(params);
        params.not_before = date_time_ymd(3000, 1, 1);
    });
    let error = refusal(server_config(&server, None), &server.certificate, "localhost").await;
    assert_says(&error, FailureKind::CertificateDates, "not valid before 3000-01-01", "clock");
}

#[tokio::test]
async fn a_named_certificate_may_have_a_common_name_only() {
    // What `openssl req -x509 -subj /CN=localhost` makes.
    let server = Identity::self_signed(&[], |params| {
        as_authority(params);
        params.distinguished_name.push(DnType::CommonName, "LocalHost");
    });
    acceptance(server_config(&server, None), &server.certificate, "localhost").await;
    let error = refusal(server_config(&server, None), &server.certificate, "127.0.0.1").await;
    assert_says(&error, FailureKind::CertificateName, "only the common name LocalHost", "subjectAltName=IP:127.0.0.1");
    // With a subjectAltName the common name does not count (RFC 6125 §6.4.4).
    let server = Identity::self_signed(&["broker.test"], |params| {
        as_authority(params);
        params.distinguished_name.push(DnType::CommonName, "localhost");
    });
    let error = refusal(server_config(&server, None), &server.certificate, "localhost").await;
    assert_says(&error, FailureKind::CertificateName, "is for broker.test", "name");
}

#[tokio::test]
async fn showing_a_named_certificate_without_its_key_does_not_help() {
    let server = Identity::self_signed(&["localhost"], as_authority);
    let thief = Identity::self_signed(&["localhost"], as_authority);
    for versions in [TlsVersions::V12, TlsVersions::V13] {
        let config = server_config_of(vec![server.certificate.clone()], thief.key_der(), None);
        let files = Files::new();
        let tls = TlsPlan { versions, ..trusting(files.certificate("ca.pem", &server.certificate)) };
        let error = connect_tls("localhost", serve(config).await, tls).await.unwrap_err();
        assert_says(&error, FailureKind::UntrustedCertificate, "has another key", "");
    }
}

#[tokio::test]
async fn a_named_certificate_vouches_for_no_other_certificate() {
    let mut params = CertificateParams::new(["localhost".to_string()]).unwrap();
    params.is_ca = IsCa::ExplicitNoCa;
    params.distinguished_name.push(DnType::CommonName, "a mere server");
    let leaf = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let forged = CertificateParams::new(["localhost".to_string()]).unwrap().signed_by(&key, &leaf).unwrap();
    let forged = Identity { certificate: forged.der().clone(), key };
    let error = refusal(server_config(&forged, None), leaf.der(), "localhost").await;
    assert_eq!(error.kind, FailureKind::UntrustedCertificate, "{error}");
}

// ---- other sources of trust

#[tokio::test]
async fn a_folder_of_certificates_is_believed() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let files = Files::new();
    files.certificate("a.pem", &first.certificate());
    files.certificate("5ed36f99.0", &second.certificate());
    files.write("notes.txt", "no certificate here");
    let roots = TrustRoots { folder: Some(files.path()), ..TrustRoots::default() };
    let client = TlsClient::new(&TlsPlan { roots, ..TlsPlan::default() }).unwrap();
    for ca in [&first, &second] {
        let server = Identity::issued(ca, &["localhost"], |_| {});
        let port = serve(server_config(&server, None)).await;
        assert_echo(connect(&plan("localhost", port, None), Some(&client)).await.unwrap()).await;
    }
}

#[tokio::test]
async fn insecure_believes_everybody() {
    let expired = Identity::self_signed(&["other.test"], |params| params.not_after = date_time_ymd(2000, 1, 1));
    let port = serve(server_config(&expired, None)).await;
    let tls = TlsPlan { insecure: true, ..TlsPlan::default() };
    assert_echo(connect_tls("localhost", port, tls).await.unwrap()).await;
}
