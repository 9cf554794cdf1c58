//! TLS: files and settings made into a client once ([`client`]), whom to trust ([`verifier`]), and why a
//! handshake failed ([`explain`]). rustls and OpenSSL are named here only.

mod alpn;
mod certificate;
mod client;
mod explain;
mod files;
mod key;
mod keylog;
#[cfg(feature = "openssl")]
mod openssl_error;
mod server;
mod session;
mod setup_error;
#[cfg(feature = "openssl")]
mod system_openssl;
mod trust;
mod verifier;

#[cfg(test)]
mod handshake_tests;
#[cfg(test)]
pub(in crate::transport) mod test_server;
#[cfg(test)]
mod trust_tests;

pub use certificate::CertificateFacts;
pub use client::TlsClient;
pub use explain::{explain_tls_loss, looks_like_tls};
pub use server::{ClientAuthorities, ServerTlsPlan, ServerTlsStream, TlsServer};
pub use session::TlsInfo;
pub(super) use session::TlsSession;
pub use setup_error::TlsSetupError;
