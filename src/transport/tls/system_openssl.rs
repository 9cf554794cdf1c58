//! TLS by the system's OpenSSL (feature `openssl`), for what rustls does not do: pre-shared keys, cipher lists, and the
//! certificates and keys that only OpenSSL takes. OpenSSL's own rules hold here, with the host name compared as
//! mosquitto does: an IP address may also stand in a DNS name or, without subjectAltName, in the common name.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    Error, ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode,
    SslVerifyMode, SslVersion,
};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509StoreContextRef, X509VerifyResult};
use rustls::pki_types::CertificateDer;
use tokio_openssl::SslStream;

use super::alpn::alpn_protocols;
use super::certificate::CertificateFacts;
use super::explain::{self, Situation};
use super::files;
use super::key::{ask_password, convert, no_password, undecrypted};
use super::keylog::KeyLogFile;
use super::openssl_error::{alert, reason};
use super::setup_error::TlsSetupError;
use super::trust::{system_certificates, user_certificates};
use crate::transport::error::{FailureKind, Fault, explain_socket_error, io_text};
use crate::transport::plan::{ClientCertificate, PreSharedKey, TlsPlan, TlsVersions};
use crate::transport::socket::Socket;

/// X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
const OTHER_NAME: [i32; 2] = [62, 64];

/// A plan made ready for OpenSSL.
#[derive(Clone)]
pub(super) struct OpenSslClient {
    context: SslContext,
    verifies: bool,
}

impl OpenSslClient {
    pub(super) fn new(plan: &TlsPlan) -> Result<Self, TlsSetupError> {
        let mut builder = SslContextBuilder::new(SslMethod::tls_client()).map_err(|error| refused(&error))?;
        configure(&mut builder, plan)?;
        Ok(Self { context: builder.build(), verifies: !plan.insecure })
    }

    /// Speaks TLS over a connected socket; `situation` is what an error is explained with.
    pub(super) async fn handshake(
        &self,
        socket: Socket,
        situation: Situation<'_>,
    ) -> Result<Box<SslStream<Socket>>, Fault> {
        let shown = Arc::new(Mutex::new(None));
        let stream = self.prepare(situation.host, &shown).and_then(|ssl| SslStream::new(ssl, socket));
        let mut stream = Box::new(stream.map_err(|error| Fault::from(refused(&error)))?);
        let outcome = Pin::new(&mut *stream).connect().await;
        let verified = stream.ssl().verify_result();
        outcome.map(|()| stream).map_err(|error| {
            let shown = shown.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
            explain_handshake(&error, verified, &Situation { shown, ..situation })
        })
    }

    fn prepare(&self, host: &str, shown: &Arc<Mutex<Option<CertificateFacts>>>) -> Result<Ssl, ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        match host.parse::<IpAddr>() {
            Ok(address) => ssl.param_mut().set_ip(address)?,
            Err(_) => {
                ssl.set_hostname(host)?;
                ssl.param_mut().set_host(host)?;
            }
        }
        if self.verifies {
            let (host, shown) = (host.to_owned(), Arc::clone(shown));
            ssl.set_verify_callback(SslVerifyMode::PEER, move |accepted, context| {
                if accepted || names_the_host(context, &host) {
                    return true;
                }
                let of_server = context.chain().and_then(|chain| chain.iter().next()).and_then(|own| own.to_der().ok());
                let facts = of_server.and_then(|der| CertificateFacts::read(&der));
                *shown.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = facts;
                false
            });
        }
        Ok(ssl)
    }
}

/// Whether the name was all that OpenSSL missed and the host's address stands in the certificate as a name.
fn names_the_host(context: &mut X509StoreContextRef, host: &str) -> bool {
    if !OTHER_NAME.contains(&context.error().as_raw()) || host.parse::<IpAddr>().is_err() {
        return false;
    }
    let facts = context.current_cert().and_then(|own| own.to_der().ok()).and_then(|der| CertificateFacts::read(&der));
    let named = facts.is_some_and(|facts| facts.names_literally(host));
    if named {
        context.set_error(X509VerifyResult::OK);
    }
    named
}

fn refused(error: &ErrorStack) -> TlsSetupError {
    TlsSetupError::general(format!("OpenSSL: {}", reason(error)))
}

fn configure(builder: &mut SslContextBuilder, plan: &TlsPlan) -> Result<(), TlsSetupError> {
    builder.set_mode(
        SslMode::AUTO_RETRY
            | SslMode::ACCEPT_MOVING_WRITE_BUFFER
            | SslMode::ENABLE_PARTIAL_WRITE
            | SslMode::RELEASE_BUFFERS,
    );
    // As without TLS; see `Connection::poll_read`.
    builder.set_options(SslOptions::IGNORE_UNEXPECTED_EOF);
    // As with rustls: a separate client has no session of another one to resume.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    let (lowest, highest) = match plan.versions {
        TlsVersions::Any => (SslVersion::TLS1_2, None),
        TlsVersions::V12 => (SslVersion::TLS1_2, Some(SslVersion::TLS1_2)),
        TlsVersions::V13 => (SslVersion::TLS1_3, None),
    };
    builder.set_min_proto_version(Some(lowest)).map_err(|error| refused(&error))?;
    builder.set_max_proto_version(highest).map_err(|error| refused(&error))?;
    if let Some(list) = &plan.ciphers {
        set_ciphers(builder, list)?;
    }
    // Also with a pre-shared key: a server that shows a certificate instead does not know the key.
    builder.set_verify(if plan.insecure { SslVerifyMode::NONE } else { SslVerifyMode::PEER });
    if let Some(key) = &plan.pre_shared_key {
        set_pre_shared_key(builder, key.clone());
    } else if !plan.insecure {
        trust(builder, plan)?;
    }
    if let Some(own) = &plan.client_certificate {
        show(builder, own)?;
    }
    let protocols = alpn_protocols(&plan.alpn)?;
    if !protocols.is_empty() {
        let wire: Vec<u8> = protocols.iter().flat_map(|name| [&[name.len() as u8], name.as_slice()].concat()).collect();
        builder.set_alpn_protos(&wire).map_err(|error| refused(&error))?;
    }
    if let Some(path) = &plan.keylog {
        let file = KeyLogFile::open(path).map_err(|error| TlsSetupError::of(path, io_text(&error)))?;
        builder.set_keylog_callback(move |_, line| file.write_line(line.to_owned()));
    }
    Ok(())
}

/// OpenSSL has a list for TLS 1.3, whose names begin with `TLS_`, and one for the versions before.
fn set_ciphers(builder: &mut SslContextBuilder, list: &str) -> Result<(), TlsSetupError> {
    let (new, old): (Vec<&str>, Vec<&str>) = list.split([':', ',', ' ']).partition(|name| name.starts_with("TLS_"));
    let wrong = |_| {
        TlsSetupError::general(format!(
            "--ciphers: OpenSSL supports no cipher of {:?}",
            list.escape_debug().to_string()
        ))
        .hint("openssl ciphers -v lists the names")
    };
    if !new.is_empty() {
        builder.set_ciphersuites(&new.join(":")).map_err(wrong)?;
    }
    if !old.is_empty() {
        builder.set_cipher_list(&old.join(":")).map_err(wrong)?;
    }
    Ok(())
}

fn set_pre_shared_key(builder: &mut SslContextBuilder, wanted: PreSharedKey) {
    builder.set_psk_client_callback(move |_, _, identity, key| {
        let (name, secret) = (wanted.identity.as_bytes(), wanted.key.expose());
        // 0 means that there is no key; the last byte of the identity ends it.
        if name.len() >= identity.len() || secret.len() > key.len() {
            return Ok(0);
        }
        identity[..name.len()].copy_from_slice(name);
        identity[name.len()] = 0;
        key[..secret.len()].copy_from_slice(secret);
        Ok(secret.len())
    });
}

fn trust(builder: &mut SslContextBuilder, plan: &TlsPlan) -> Result<(), TlsSetupError> {
    let mut trusted: Vec<CertificateDer<'static>> = Vec::new();
    for (path, found) in user_certificates(&plan.roots) {
        let found = found?;
        if found.iter().all(|der| X509::from_der(der).is_err()) {
            return Err(TlsSetupError::of(path, "no certificate in it can be used"));
        }
        trusted.extend(found);
    }
    trusted.extend(system_certificates(plan, !trusted.is_empty())?);
    let store = builder.cert_store_mut();
    // A certificate of the user's files is believed by itself, whoever issued it.
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN).map_err(|error| refused(&error))?;
    for certificate in trusted.iter().filter_map(|der| X509::from_der(der).ok()) {
        store.add_cert(certificate).map_err(|error| refused(&error))?;
    }
    Ok(())
}

fn show(builder: &mut SslContextBuilder, own: &ClientCertificate) -> Result<(), TlsSetupError> {
    let in_file = |error: &ErrorStack| TlsSetupError::of(&own.certificate, reason(error));
    for (number, der) in files::certificates(&own.certificate)?.iter().enumerate() {
        let certificate = X509::from_der(der).map_err(|error| in_file(&error))?;
        let added = match number {
            0 => builder.set_certificate(&certificate),
            _ => builder.add_extra_chain_cert(certificate),
        };
        added.map_err(|error| in_file(&error))?;
    }
    let content = files::read(&own.key)?;
    let mut password = own.key_password.clone();
    let mut asked = false;
    // Without a callback OpenSSL prompts on the terminal itself.
    let key = PKey::private_key_from_pem_callback(files::without_mark(&content), |buffer| {
        asked = true;
        password = password.take().or_else(|| ask_password(&own.key));
        let given = password.as_ref().map(|password| password.expose()).filter(|given| given.len() <= buffer.len());
        given.inspect(|given| buffer[..given.len()].copy_from_slice(given)).map_or(Ok(0), |given| Ok(given.len()))
    });
    let key = key.map_err(|error| match (asked, &password) {
        (true, None) => no_password(&own.key),
        (true, Some(_)) => undecrypted(&own.key),
        (false, _) => TlsSetupError::of(&own.key, format!("the key cannot be read: {}", reason(&error)))
            .hint(convert(&own.key, "openssl pkey")),
    })?;
    // Setting a key of another kind than the certificate's is not an error yet.
    builder.set_private_key(&key).and_then(|()| builder.check_private_key()).map_err(|_| {
        let cause = format!("the key does not match the certificate {}", own.certificate.display());
        TlsSetupError::of(&own.key, cause).hint("in a certificate chain, the client certificate must come first")
    })
}

// ---- errors

fn explain_handshake(error: &Error, verified: X509VerifyResult, situation: &Situation<'_>) -> Fault {
    if let Some(alert) = alert(error) {
        return explain::explain_alert(alert, situation);
    }
    // X509_V_ERR_* of OpenSSL; 0 is none.
    match verified.as_raw() {
        0 => {}
        2 | 18..=21 => return explain::untrusted(situation),
        9 | 10 => {
            let cause = match &situation.shown {
                Some(shown) if verified.as_raw() == 10 => explain::expired(shown.not_after),
                Some(shown) => explain::not_yet_valid(shown.not_before),
                None => Fault::new(FailureKind::CertificateDates, verified.error_string()),
            };
            return cause;
        }
        number if OTHER_NAME.contains(&number) => return explain::wrong_name(situation),
        26 => return explain::not_for_servers(),
        _ => {
            let cause = format!("the server's certificate cannot be used: {}", verified.error_string());
            return Fault::new(FailureKind::BadCertificate, cause);
        }
    }
    if error.code() == ErrorCode::SYSCALL || error.code() == ErrorCode::ZERO_RETURN {
        return match error.io_error() {
            Some(error) if !explain::is_closed(error) => explain_socket_error(error),
            _ => explain::closed_in_handshake(),
        };
    }
    let said = error.ssl_error().map_or("no reason given", reason);
    match said {
        "wrong version number" | "packet length too long" | "record too small" | "http request" => explain::not_tls(),
        "unsupported protocol" | "no protocols available" => explain::version_fault(),
        "unexpected eof while reading" => explain::closed_in_handshake(),
        said => Fault::new(FailureKind::TlsProtocol, format!("the TLS handshake failed: {said}")),
    }
}

impl fmt::Debug for OpenSslClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSslClient").field("verifies", &self.verifies).finish_non_exhaustive()
    }
}
