//! Reading the PEM files that TLS needs.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use zeroize::Zeroizing;

use super::setup_error::TlsSetupError;
use crate::transport::error::io_text;

/// No bundle is larger; a device named by mistake is not read forever.
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
    let as_plain = as_plain_pem(&String::from_utf8_lossy(without_mark(&content)));
    let pem = as_plain.as_ref().map_or_else(|| without_mark(&content), |text| text.as_bytes());
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

/// Names of OpenSSL's own for a certificate: in the first one it is followed by what it is trusted for.
const OTHER_NAMES: [&str; 2] = [" TRUSTED CERTIFICATE-----", " X509 CERTIFICATE-----"];
/// Above the Base64 of a key in the same file that is encrypted in OpenSSL's old form stand headers (RFC 1421).
const HEADERS: &str = "Proc-Type:";

/// The text as our library reads it, where it has what only OpenSSL reads. It is wiped: there may be a key in it.
fn as_plain_pem(text: &str) -> Option<Zeroizing<String>> {
    if !text.contains(HEADERS) && !OTHER_NAMES.iter().any(|name| text.contains(name)) {
        return None;
    }
    let mut plain = String::with_capacity(text.len());
    for line in text.split_inclusive('\n').filter(|line| !line.contains(':')) {
        match OTHER_NAMES.iter().find_map(|name| line.split_once(name)) {
            Some((before, behind)) => plain.extend([before, " CERTIFICATE-----", behind]),
            None => plain.push_str(line),
        }
    }
    Some(Zeroizing::new(plain))
}

/// The certificate alone: one ASN.1 SEQUENCE, which begins with its length.
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
        pem::Error::IllegalSectionStart { .. } => "a block has no valid first line (-----BEGIN ...)",
        pem::Error::Base64Decode(_) => "a block is not Base64",
        _ => return TlsSetupError::of(path, "not a valid PEM file"),
    };
    TlsSetupError::of(path, format!("not a valid PEM file: {cause}"))
}

fn no_certificate(path: &Path, content: &[u8]) -> TlsSetupError {
    let hint = other_form(path, content, "x509");
    TlsSetupError::of(path, "no certificate in this file")
        .hint(hint.unwrap_or_else(|| "it needs a block that starts with -----BEGIN CERTIFICATE-----".into()))
}

/// What a file without the block that was looked for seems to be, and the way from there; `command` is that of OpenSSL
/// which reads such a block in its binary form.
pub(super) fn other_form(path: &Path, content: &[u8], command: &str) -> Option<String> {
    let shown = path.display();
    let has = |label: &[u8]| content.windows(label.len()).any(|window| window == label);
    // The binary forms are an ASN.1 SEQUENCE; that of PKCS#12 begins with the INTEGER 3.
    Some(match content {
        [0x30, 0x80, 2, 1, 3, ..] | [0x30, 0x81, _, 2, 1, 3, ..] | [0x30, 0x82, _, _, 2, 1, 3, ..] => {
            format!("it looks like PKCS#12; convert it to PEM: openssl pkcs12 -in {shown} -out {shown}.pem")
        }
        [0x30, 0x80..=0x84, ..] => {
            format!("it looks like DER; convert it to PEM: openssl {command} -inform DER -in {shown} -out {shown}.pem")
        }
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => "it looks like UTF-16; save it as UTF-8".into(),
        _ if has(b"-----BEGIN PKCS7-----") => {
            format!(
                "it contains PKCS#7; extract the certificates: openssl pkcs7 -print_certs -in {shown} -out {shown}.pem"
            )
        }
        _ if command == "x509" && has(b"CERTIFICATE REQUEST-----") => {
            "it contains a certificate request; use the certificate that the CA issued for it".into()
        }
        _ => return None,
    })
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
            .hint("put the CA certificates there, or give one file with --cafile"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_file(content: &str) -> Result<usize, TlsSetupError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        fs::write(&path, content).unwrap();
        certificates(&path).map(|found| found.len())
    }

    #[test]
    fn what_openssl_reads_as_a_certificate_is_one() {
        let plain = include_str!("testdata/v1-ca.pem");
        let other = plain.replace(" CERTIFICATE", " X509 CERTIFICATE");
        let encrypted_key = include_str!("testdata/ec-encrypted-rfc1421.pem");
        for content in [plain, &other, &format!("\u{feff}{plain}"), &plain.replace('\n', "\r\n")] {
            assert_eq!(in_file(content).unwrap(), 1, "{content}");
        }
        assert_eq!(in_file(&format!("{other}{plain}")).unwrap(), 2);
        for content in [format!("{encrypted_key}{plain}"), format!("Subject: CN = x\r\n{plain}{encrypted_key}")] {
            assert_eq!(in_file(&content).unwrap(), 1, "{content}");
        }
    }

    #[test]
    fn another_form_is_named_with_the_way_from_it() {
        let hint = |content: &[u8], command| other_form(Path::new("f"), content, command);
        for (content, command, words) in [
            (&b"\x30\x82\x0a\x07\x02\x01\x03\x30"[..], "pkey", "openssl pkcs12 -in f -out f.pem"),
            (b"\x30\x82\x03\x07\x30\x82", "x509", "openssl x509 -inform DER -in f -out f.pem"),
            (b"\x30\x82\x03\x07\x02\x01\x00", "pkey", "openssl pkey -inform DER -in f -out f.pem"),
            (b"\xff\xfe-\0-\0", "x509", "UTF-8"),
            (b"-----BEGIN PKCS7-----\n", "x509", "openssl pkcs7 -print_certs -in f -out f.pem"),
            (b"-----BEGIN CERTIFICATE REQUEST-----\n", "x509", "certificate request"),
        ] {
            assert!(hint(content, command).unwrap().contains(words), "{words}");
        }
        assert_eq!(hint(b"0 is a number", "x509"), None);
        assert_eq!(hint(b"", "x509"), None);
    }
}
