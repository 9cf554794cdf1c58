//! Values of directives: text to a number, a time, a choice, or an error with what is allowed.

use std::str::FromStr;
use std::time::Duration;

const DAY: u64 = 86_400;

pub(super) fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{value:?} is not true or false")),
    }
}

/// A number without sign or anything behind it; `parse` alone would accept "+1883".
pub(super) fn number<N: FromStr>(value: &str, allowed: &str) -> Result<N, String> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits).ok_or_else(|| format!("{value:?} is not {allowed}"))
}

pub(super) fn port(value: &str) -> Result<u16, String> {
    number(value, "a port (1 to 65535, or 0 for a free one)")
}

pub(super) fn seconds(value: &str) -> Result<Duration, String> {
    number(value, "a whole number of seconds").map(Duration::from_secs)
}

/// `persistent_client_expiration`: a number and one of h, d, w, m (30 days) and y.
pub(super) fn expiration(value: &str) -> Result<Duration, String> {
    let fault = || format!("{value:?} is not a number followed by h, d, w, m or y (hours, days, weeks, months, years)");
    let unit = match value.chars().last() {
        Some('h') => 3600,
        Some('d') => DAY,
        Some('w') => 7 * DAY,
        Some('m') => 30 * DAY,
        Some('y') => 365 * DAY,
        _ => return Err(fault()),
    };
    let count: u64 = number(&value[..value.len() - 1], "").map_err(|_| fault())?;
    count.checked_mul(unit).filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(fault)
}

/// One of several words.
pub(super) fn choice<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    choices.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        format!("{value:?} is not one of {}", words.join(", "))
    })
}

/// A value that must be there.
pub(super) fn text(value: &str) -> Result<String, String> {
    if value.is_empty() { Err("a value is missing".to_owned()) } else { Ok(value.to_owned()) }
}

/// A value of one word; a `#` behind it is a comment in the wrong place.
pub(super) fn word(value: &str) -> Result<&str, String> {
    let mut words = value.split_whitespace();
    match (words.next(), words.next()) {
        (None, _) => Err("a value is missing".to_owned()),
        (Some(word), None) => Ok(word),
        (Some(_), Some(more)) if more.starts_with('#') => Err("a comment must be on a separate line".to_owned()),
        (Some(_), Some(more)) => Err(format!("one value is expected, unexpected {more:?}")),
    }
}
