//! The TLS group. What only OpenSSL can do is checked for wrong use, and refused where this build has no OpenSSL.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::Environment;
use super::connection::secret;
use crate::mqtt::Secret;
use crate::transport::{ClientCertificate, PreSharedKey, TlsBackend, TlsPlan, TlsVersions, TrustRoots};

/// Whether and how to speak TLS.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsOptions {
    /// Use TLS; trusts the system's CA certificates unless others are given.
    #[arg(long)]
    pub tls: bool,

    /// Do not use TLS, whatever the other TLS options are.
    #[arg(long)]
    pub no_tls: bool,

    /// Trust the CA certificates in FILE (PEM).
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub cafile: Option<PathBuf>,

    /// Trust the CA certificates in the PEM files in FOLDER.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub capath: Option<PathBuf>,

    /// Trust the system's CA certificates as well.
    #[arg(long)]
    pub tls_use_os_certs: bool,

    /// Client certificate (PEM); needs --key.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub cert: Option<PathBuf>,

    /// Private key of the client certificate (PEM); needs --cert.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub key: Option<PathBuf>,

    /// Read the password of an encrypted private key from FILE.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub key_pw_file: Option<PathBuf>,

    /// TLS version to use [default: either].
    #[arg(long, value_name = "VERSION", value_enum)]
    pub tls_version: Option<TlsVersionName>,

    /// Application protocol (ALPN) to offer; may be repeated, in order of preference.
    #[arg(long, value_name = "PROTOCOL", value_hint = ValueHint::Other, value_parser = alpn_protocol)]
    pub tls_alpn: Vec<String>,

    /// Append the TLS session keys to FILE, for Wireshark.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub tls_keylog: Option<PathBuf>,

    /// Do not verify the server's certificate and host name.
    #[arg(long)]
    pub insecure: bool,

    /// Pre-shared key in hexadecimal, instead of certificates; needs --psk-identity and OpenSSL.
    #[arg(long, value_name = "KEY", value_parser = secret())]
    pub psk: Option<Secret>,

    /// Identity for --psk.
    #[arg(long, value_name = "IDENTITY", value_hint = ValueHint::Other)]
    pub psk_identity: Option<String>,

    /// Cipher suites to offer, as in openssl-ciphers(1); names with TLS_ are for TLS 1.3. Needs OpenSSL.
    #[arg(long, value_name = "LIST", value_hint = ValueHint::Other)]
    pub ciphers: Option<String>,

    /// TLS library to use [default: openssl if an option needs it, else rustls].
    ///
    /// openssl is the system's library, which accepts certificates and keys that rustls rejects. It is available if
    /// mqtools was built with --features openssl.
    #[arg(long, value_name = "LIBRARY", value_enum)]
    pub tls_backend: Option<TlsBackendName>,

    /// Form of the private key; engine is refused.
    #[arg(long, value_name = "FORM", value_enum, hide = true)]
    pub keyform: Option<KeyForm>,

    /// OpenSSL engine; refused.
    #[arg(long, value_name = "ENGINE", hide = true)]
    pub tls_engine: Option<String>,

    /// Password of an OpenSSL engine's key; refused.
    #[arg(long, value_name = "HASH", hide = true, value_parser = secret())]
    pub tls_engine_kpass_sha1: Option<Secret>,
}

/// A library that speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TlsBackendName {
    /// rustls, which is part of every build.
    Rustls,
    /// The system's OpenSSL.
    Openssl,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TlsVersionName {
    /// TLS 1.2.
    #[value(name = "tlsv1.2")]
    V12,
    /// TLS 1.3.
    #[value(name = "tlsv1.3")]
    V13,
}

/// Where a private key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyForm {
    /// In a PEM file.
    Pem,
    /// In an OpenSSL engine.
    Engine,
}

pub(super) fn alpn_protocol(text: &str) -> Result<String, String> {
    if (1..=255).contains(&text.len()) { Ok(text.into()) } else { Err("must have 1 to 255 bytes".into()) }
}

/// A key of hexadecimal digits, of which an error repeats nothing.
fn pre_shared_key(text: &Secret) -> Result<Secret, &'static str> {
    // As OpenSSL reads it: a digit that is left over comes first.
    let digits = text.expose().iter().map(|digit| char::from(*digit).to_digit(16)).collect::<Option<Vec<_>>>();
    let digits = digits.filter(|digits| !digits.is_empty()).ok_or("must consist of hexadecimal digits")?;
    if digits.len() > 512 {
        return Err("must have at most 512 digits");
    }
    let (odd, pairs) = digits.split_at(digits.len() % 2);
    let bytes = odd.iter().copied().chain(pairs.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]));
    Ok(Secret::new(bytes.filter_map(|byte| u8::try_from(byte).ok()).collect::<Vec<u8>>()))
}

fn client_certificate(
    certificate: Option<&PathBuf>,
    key: Option<&PathBuf>,
    key_password: Option<Secret>,
    faults: &mut Vec<String>,
) -> Option<ClientCertificate> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            return Some(ClientCertificate { certificate: certificate.clone(), key: key.clone(), key_password });
        }
        (None, None) => {}
        (Some(_), None) => faults.push("--cert needs the private key of the certificate: add --key".into()),
        (None, Some(_)) => faults.push("--key needs the certificate of the key: add --cert".into()),
    }
    None
}

impl TlsOptions {
    /// Whether these options turn TLS on by themselves.
    pub(super) fn asked_for(&self) -> bool {
        !self.no_tls
            && (self.tls
                || self.tls_use_os_certs
                || self.cafile.is_some()
                || self.capath.is_some()
                || self.cert.is_some()
                || self.key.is_some()
                || self.psk.is_some())
    }

    /// What the group means when TLS is `on`, by itself, a port or a URL; the faults are put to the others.
    pub(super) fn plan(&self, on: bool, environment: &Environment, faults: &mut Vec<String>) -> Option<TlsPlan> {
        if self.no_tls {
            return None;
        }
        let backend = self.backend(faults);
        #[rustfmt::skip]
        let Self {
            tls: _, no_tls: _, cafile, capath, tls_use_os_certs, cert, key, key_pw_file, tls_version, tls_alpn,
            tls_keylog, insecure, ciphers, psk, psk_identity, tls_backend,
            keyform: _, tls_engine: _, tls_engine_kpass_sha1: _,
        } = self;
        if !on {
            for (given, option) in [
                (*insecure, "--insecure"),
                (tls_version.is_some(), "--tls-version"),
                (!tls_alpn.is_empty(), "--tls-alpn"),
                (tls_keylog.is_some(), "--tls-keylog"),
                (ciphers.is_some() && backend.is_there(), "--ciphers"),
                (tls_backend.is_some(), "--tls-backend"),
            ] {
                if given {
                    faults.push(format!("{option} needs TLS: add --tls, or --no-tls to ignore it"));
                }
            }
        }
        let password_file = key_pw_file.as_deref().filter(|_| key.is_some());
        let key_password = password_file.and_then(|file| environment.read_password(file, faults));
        let client_certificate = client_certificate(cert.as_ref(), key.as_ref(), key_password, faults);
        if key.is_none() && key_pw_file.is_some() {
            faults.push("--key-pw-file needs --key".into());
        }
        let pre_shared_key = psk.as_ref().zip(psk_identity.as_ref()).and_then(|(key, identity)| {
            let key = pre_shared_key(key).map_err(|fault| faults.push(format!("--psk: {fault}"))).ok()?;
            Some(PreSharedKey { identity: identity.clone(), key })
        });
        let roots = TrustRoots {
            file: cafile.clone(),
            folder: capath.clone(),
            system: *tls_use_os_certs || (cafile.is_none() && capath.is_none()),
        };
        on.then(|| TlsPlan {
            roots,
            client_certificate,
            alpn: tls_alpn.clone(),
            insecure: *insecure,
            versions: match tls_version {
                None => TlsVersions::Any,
                Some(TlsVersionName::V12) => TlsVersions::V12,
                Some(TlsVersionName::V13) => TlsVersions::V13,
            },
            keylog: tls_keylog.clone(),
            backend,
            pre_shared_key,
            ciphers: ciphers.clone(),
        })
    }

    /// The library that these options need.
    fn backend(&self, faults: &mut Vec<String>) -> TlsBackend {
        let before = faults.len();
        self.check_openssl(faults);
        let needed = [(self.psk.is_some(), "--psk"), (self.ciphers.is_some(), "--ciphers")];
        let needed = needed.into_iter().find(|(given, _)| *given).map(|(_, option)| option);
        let asked = self.tls_backend;
        if let (Some(option), Some(TlsBackendName::Rustls)) = (needed, asked) {
            faults.push(format!("{option} needs OpenSSL: remove --tls-backend rustls"));
        }
        if needed.is_none() && asked != Some(TlsBackendName::Openssl) {
            return TlsBackend::Rustls;
        }
        if !TlsBackend::OpenSsl.is_there() && faults.len() == before {
            let option = needed.unwrap_or("--tls-backend openssl");
            faults
                .push(format!("{option} needs OpenSSL, which this build does not have: build with --features openssl"));
        }
        TlsBackend::OpenSsl
    }

    fn check_openssl(&self, faults: &mut Vec<String>) {
        let engine_key = self.keyform == Some(KeyForm::Engine);
        let faults_of_use = [
            (
                self.psk.is_some() && (self.cafile.is_some() || self.capath.is_some()),
                "only one of --psk and --cafile/--capath may be used",
            ),
            (self.psk.is_some() && self.psk_identity.is_none(), "--psk needs --psk-identity"),
            (self.psk.is_none() && self.psk_identity.is_some(), "--psk-identity needs --psk"),
            (self.keyform.is_some() && self.key.is_none(), "--keyform needs --key"),
            (
                self.tls_engine_kpass_sha1.is_some() && (self.tls_engine.is_none() || !engine_key),
                "--tls-engine-kpass-sha1 needs --tls-engine and --keyform engine",
            ),
        ];
        let before = faults.len();
        faults.extend(faults_of_use.into_iter().filter(|(wrong, _)| *wrong).map(|(_, fault)| fault.to_owned()));
        if faults.len() > before {
            return;
        }
        for (given, refusal) in [
            (self.tls_engine.is_some(), "--tls-engine is not supported: OpenSSL engines cannot be used"),
            (engine_key, "--keyform engine is not supported: keys are read from PEM files only"),
        ] {
            if given {
                faults.push(refusal.into());
            }
        }
    }
}
