//! What mosquitto calls UTF-8: no control characters and no non-characters either.

use std::ffi::OsStr;

use crate::mqtt::check_sent_text;

/// The text, where mosquitto takes it for UTF-8.
pub(super) fn valid_text(value: &OsStr) -> Option<&str> {
    value.to_str().filter(|text| check_sent_text(text).is_ok())
}
