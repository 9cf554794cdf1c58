//! The private key of a client certificate: PKCS#8, PKCS#1 and SEC1 in PEM, PKCS#8 also encrypted with a password.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::files;
use super::setup_error::TlsSetupError;
use crate::mqtt::Secret;
use crate::terminal::prompt::password_at_terminal;
use crate::transport::error::printable;

const ENCRYPTED_BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const ENCRYPTED_END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// Reads the private key of a PEM file.
pub(super) fn read(path: &Path, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, TlsSetupError> {
    let content = files::read(path)?;
    let content = files::without_mark(&content);
    let text = String::from_utf8_lossy(content);
    if let Some(block) = encrypted_block(&text) {
        return decrypt(path, block, password);
    }
    // The way of OpenSSL before PKCS#8 (RFC 1421), which derives the key with a single MD5: not worth reading.
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(TlsSetupError::of(path, "the key is encrypted in OpenSSL's old format, which is not supported")
            .hint(convert(path, "openssl pkcs8 -topk8 -v2 aes-256-cbc")));
    }
    PrivateKeyDer::from_pem_slice(content).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            let hint = files::other_form(path, content, "pkey");
            TlsSetupError::of(path, "no private key in this file")
                .hint(hint.unwrap_or_else(|| "it needs a block that starts with -----BEGIN PRIVATE KEY-----".into()))
        }
        error => files::not_sound(path, &error),
    })
}

fn encrypted_block(text: &str) -> Option<&str> {
    let (_, after) = text.split_once(ENCRYPTED_BEGIN)?;
    after.split_once(ENCRYPTED_END).map(|(block, _)| block)
}

fn decrypt(path: &Path, block: &str, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, TlsSetupError> {
    let asked = match password {
        Some(_) => None,
        None => Some(ask_password(path).ok_or_else(|| no_password(path))?),
    };
    let Some(password) = password.or(asked.as_ref()) else { return Err(no_password(path)) };
    let base64: Zeroizing<String> = Zeroizing::new(block.split_ascii_whitespace().collect());
    let der = STANDARD.decode(base64.as_bytes()).map_err(|_| TlsSetupError::of(path, "not a valid PEM file"))?;
    let wrapped = EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).map_err(|_| unsupported(path))?;
    let key = wrapped.decrypt(password.expose()).map_err(|error| explain(path, &error))?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

/// Asks for the password of a key, where there is a terminal.
pub(super) fn ask_password(path: &Path) -> Option<Secret> {
    password_at_terminal(&format!("Password of the key {}", printable(&path.display().to_string())))
}

/// The key is encrypted.
pub(super) fn no_password(path: &Path) -> TlsSetupError {
    TlsSetupError::of(path, "the key is encrypted and no password was given")
        .hint(format!("give the password with --key-pw-file, or {}", convert(path, "openssl pkey")))
}

/// The password is not the right one.
pub(super) fn undecrypted(path: &Path) -> TlsSetupError {
    TlsSetupError::of(path, "the key cannot be decrypted").hint("check the password of the key (--key-pw-file)")
}

fn explain(path: &Path, error: &pkcs8::Error) -> TlsSetupError {
    match error {
        // A wrong password decrypts to rubbish, which now and then has sound padding and then is no ASN.1.
        pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::DecryptFailed) | pkcs8::Error::Asn1(_) => {
            undecrypted(path)
        }
        _ => unsupported(path),
    }
}

fn unsupported(path: &Path) -> TlsSetupError {
    TlsSetupError::of(path, "the key is encrypted with an unsupported scheme (only PBES2 is supported)")
        .hint(convert(path, "openssl pkcs8 -topk8 -v2 aes-256-cbc"))
}

pub(super) fn convert(path: &Path, command: &str) -> String {
    let shown = path.display();
    format!("convert it: {command} -in {shown} -out {shown}.new")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn testdata(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/transport/tls/testdata").join(name)
    }

    fn read_key(name: &str, password: Option<&str>) -> Result<PrivateKeyDer<'static>, TlsSetupError> {
        read(&testdata(name), password.map(Secret::new).as_ref())
    }

    #[test]
    fn every_form_of_a_key_is_read() {
        assert!(matches!(read_key("rsa-pkcs1.pem", None), Ok(PrivateKeyDer::Pkcs1(_))));
        assert!(matches!(read_key("rsa-pkcs8.pem", None), Ok(PrivateKeyDer::Pkcs8(_))));
        assert!(matches!(read_key("ec-sec1.pem", None), Ok(PrivateKeyDer::Sec1(_))));
        let provider = rustls::crypto::ring::default_provider();
        for name in ["rsa-pkcs1.pem", "rsa-pkcs8.pem", "ec-sec1.pem", "ec-pkcs8.pem"] {
            provider.key_provider.load_private_key(read_key(name, Some("ignored")).unwrap()).unwrap();
        }
    }

    #[test]
    fn an_encrypted_key_needs_its_password() {
        let plain = read_key("ec-pkcs8.pem", None).unwrap();
        assert_eq!(read_key("ec-encrypted.pem", Some("secret")).unwrap().secret_der(), plain.secret_der());
        assert_eq!(read_key("ec-encrypted.pem", Some("wrong")).unwrap_err().cause, "the key cannot be decrypted");
        let error = read_key("ec-encrypted.pem", None).unwrap_err();
        assert_eq!(error.cause, "the key is encrypted and no password was given");
        assert!(error.hint.unwrap().contains("openssl pkey -in "));
    }

    #[test]
    fn old_encryption_is_refused_with_the_way_out() {
        for name in ["ec-encrypted-3des.pem", "ec-encrypted-rfc1421.pem"] {
            let error = read_key(name, Some("secret")).unwrap_err();
            assert_eq!(error.path, Some(testdata(name)));
            assert!(error.cause.contains("supported"), "{error}");
            assert!(error.hint.unwrap().contains("openssl pkcs8 -topk8 -v2 aes-256-cbc -in "));
        }
    }

    #[test]
    fn rubbish_is_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        for (content, cause) in [
            (String::from("hello"), "no private key in this file"),
            (format!("{ENCRYPTED_BEGIN}\n!!!\n{ENCRYPTED_END}\n"), "not a valid PEM file"),
            (format!("{ENCRYPTED_BEGIN}\nMAA=\n{ENCRYPTED_END}\n"), "the key is encrypted with an unsupported scheme"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = read(&path, Some(&Secret::new("x"))).unwrap_err();
            assert!(error.cause.starts_with(cause), "{error}");
        }
    }
}
