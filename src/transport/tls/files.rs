//! Reading the PEM files that TLS needs.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
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
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    let found = found.map_err(|error| TlsSetupError::of(path, format!("not a sound PEM file: {error}")))?;
    if found.is_empty() {
        return Err(no_certificate(path, &content));
    }
    Ok(found)
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
