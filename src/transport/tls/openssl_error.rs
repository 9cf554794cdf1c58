//! Explains OpenSSL's errors.

use openssl::error::ErrorStack;
use openssl::ssl::Error;
use rustls::AlertDescription;

/// The alert of the server that ended TLS: OpenSSL counts its reasons for them from 1000 on.
pub(super) fn alert(error: &Error) -> Option<AlertDescription> {
    let reasons = error.ssl_error()?.errors().iter();
    let mut numbers = reasons.filter_map(|error| error.reason_code().checked_sub(1000));
    numbers.find_map(|number| u8::try_from(number).ok()).map(AlertDescription::from)
}

/// The last reason that OpenSSL gives, in its words.
pub(super) fn reason(error: &ErrorStack) -> &'static str {
    error.errors().iter().rev().find_map(openssl::error::Error::reason).unwrap_or("no reason given")
}
