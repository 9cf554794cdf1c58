//! The names of application protocols that a client offers (RFC 7301).

use super::setup_error::TlsSetupError;
use crate::transport::error::printable;

/// The names as they go on the wire.
pub(super) fn alpn_protocols(names: &[String]) -> Result<Vec<Vec<u8>>, TlsSetupError> {
    // RFC 7301 §3.1: a name has 1 to 255 bytes.
    match names.iter().find(|name| name.is_empty() || name.len() > 255) {
        Some(name) => Err(TlsSetupError::general(format!("\"{}\" is not a valid ALPN protocol", printable(name)))
            .hint("it must have 1 to 255 bytes, as in \"mqtt\"")),
        None => Ok(names.iter().map(|name| name.clone().into_bytes()).collect()),
    }
}
