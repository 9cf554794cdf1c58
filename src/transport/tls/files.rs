//! Reading the PEM files that TLS needs.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use zeroize::Zeroizing;

use super::client::TlsSetupError;
use crate::transport::error::io_text;

/// No bundle is larger; a device named by mistake is not read for ever.
const LARGEST_FILE: u64 = 16 << 20;

/// The content of a file, wiped when dropped: it may be a key.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsSetupError> {
    let mut content = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(|error| TlsSetupError::of(path, io_text(&error)))?;
    file.take(LARGEST_FILE + 1).read_to_end(&mut content).map_err(|error| TlsSetupError::of(path, io_text(&error)))?;
    if content.len() as u64 > LARGEST_FILE {
        return Err(TlsSetupError::of(path, "larger than 16 MiB, so not a PEM file"));
    }
    Ok(content)
}

/// All certificates of a PEM file; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let content = read(path)?;
    let text = String::from_utf8_lossy(without_mark(&content));
    let as_plain = text.contains(TRUSTED).then(|| text.replace(TRUSTED, " CERTIFICATE-----"));
    let pem = as_plain.as_deref().map_or_else(|| without_mark(&content), str::as_bytes);
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let mut found = found.map_err(|error| not_sound(path, &error))?;
    if as_plain.is_some() {
        found = found.into_iter().map(without_trust).collect();
    }
    if found.is_empty() {
        return Err(no_certificate(path, &content));
    }
    Ok(found)
}

/// The form of OpenSSL's own in which a certificate is followed by what it is trusted for.
const TRUSTED: &str = " TRUSTED CERTIFICATE-----";

/// The certificate alone: one ASN.1 SEQUENCE, whose length stands at its head.
fn without_trust(certificate: CertificateDer<'static>) -> CertificateDer<'static> {
    let der = certificate.as_ref();
    let length = match *der {
        [0x30, short @ ..=0x7F, ..] => Some(2 + usize::from(short)),
        [0x30, 0x81, a, ..] => Some(3 + usize::from(a)),
        [0x30, 0x82, a, b, ..] => Some(4 + usize::from(u16::from_be_bytes([a, b]))),
        _ => None,
    };
    match length.and_then(|length| der.get(..length)) {
        Some(alone) => alone.to_vec().into(),
        None => certificate,
    }
}

/// The content without the byte order mark that Windows' editors put in front.
pub(super) fn without_mark(content: &[u8]) -> &[u8] {
    content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content)
}

/// What is wrong with a PEM file.
pub(super) fn not_sound(path: &Path, error: &pem::Error) -> TlsSetupError {
    let cause = match error {
        pem::Error::MissingSectionEnd { .. } => "a block has no end (-----END ...)",
        pem::Error::IllegalSectionStart { .. } => "a block has no sound begin (-----BEGIN ...)",
        pem::Error::Base64Decode(_) => "a block is not Base64",
        _ => return TlsSetupError::of(path, "not a sound PEM file"),
    };
    TlsSetupError::of(path, format!("not a sound PEM file: {cause}"))
}

fn no_certificate(path: &Path, content: &[u8]) -> TlsSetupError {
    let error = TlsSetupError::of(path, "no certificate in this file");
    // The tag of an ASN.1 SEQUENCE: the certificate in its binary form.
    if content.starts_with(&[0x30]) {
        let shown = path.display();
        return error
            .hint(format!("it looks like DER; make it PEM: openssl x509 -inform DER -in {shown} -out {shown}.pem"));
    }
    error.hint("it needs a block that starts with -----BEGIN CERTIFICATE-----")
}

/// All certificates of all PEM files of a folder, each once (hashed names are links to the same files); at least one.
///
/// Files that are not PEM, or not ours to read (the key of a CA beside its certificate), are passed over.
pub(super) fn certificates_in_folder(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let entries = fs::read_dir(path).map_err(|error| TlsSetupError::of(path, io_text(&error)))?;
    let mut files: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.sort();
    let mut found = Vec::new();
    for file in files {
        // Follows links; keeps pipes and devices from being opened.
        if fs::metadata(&file).is_ok_and(|metadata| metadata.is_file()) {
            found.extend(certificates(&file).unwrap_or_default());
        }
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|certificate: &CertificateDer<'static>| seen.insert(certificate.as_ref().to_vec()));
    if found.is_empty() {
        return Err(TlsSetupError::of(path, "no PEM file with a certificate in this folder")
            .hint("put the CA certificates there, or name one file with --cafile"));
    }
    Ok(found)
}
