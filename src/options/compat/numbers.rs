//! Numbers as C reads them: `atoi`, `atol`, `strtoll` and `atof`, which take what they can and leave the rest.

use std::num::IntErrorKind;

/// The integer at the start of a text and what stands behind it; too large is the largest. `None` without a digit.
fn leading_integer(text: &str) -> Option<(i64, &str)> {
    let text = skip_space(text);
    let signed = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = signed.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return None;
    }
    let end = text.len() - signed.len() + digits;
    let number = match text[..end].parse::<i64>() {
        Ok(number) => number,
        Err(error) if *error.kind() == IntErrorKind::NegOverflow => i64::MIN,
        Err(_) => i64::MAX,
    };
    Some((number, &text[end..]))
}

fn skip_space(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r'])
}

/// `atol` of a 64-bit system.
pub(super) fn atol(text: &str) -> i64 {
    leading_integer(text).map_or(0, |(number, _)| number)
}

/// `atoi`: `atol` with its upper half cut off.
pub(super) fn atoi(text: &str) -> i32 {
    atol(text) as i32
}

/// `strtoll` with base 0, where nothing may stand behind the number.
pub(super) fn whole_strtoll(text: &str) -> Option<i64> {
    let bare = skip_space(text);
    let (negative, unsigned) = match bare.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, bare.strip_prefix('+').unwrap_or(bare)),
    };
    let (digits, radix) = match unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if unsigned.len() > 1 && unsigned.starts_with('0') => (unsigned, 8),
        None => (unsigned, 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let number = i64::from_str_radix(digits, radix).unwrap_or(i64::MAX);
    Some(if negative { -number } else { number })
}

/// `atof`, without hexadecimal: the longest start of the text that is a number, or zero.
pub(super) fn atof(text: &str) -> f64 {
    let text = skip_space(text);
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (-1.0, unsigned),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let word = unsigned.get(..3).unwrap_or_default().to_ascii_lowercase();
    if word == "inf" {
        return sign * f64::INFINITY;
    }
    if word == "nan" {
        return f64::NAN;
    }
    let digits = |from: &str| from.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(unsigned);
    let fraction = match unsigned[whole..].strip_prefix('.') {
        Some(behind) => 1 + digits(behind),
        None => 0,
    };
    if whole + fraction.saturating_sub(1) == 0 {
        return 0.0;
    }
    let mut end = whole + fraction;
    if let Some(exponent) = unsigned[end..].strip_prefix(['e', 'E']) {
        let bare = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        match digits(bare) {
            0 => {}
            count => end += 1 + exponent.len() - bare.len() + count,
        }
    }
    sign * unsigned[..end].parse().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_take_what_they_can() {
        for (text, number) in [
            ("7x", 7),
            ("x", 0),
            ("", 0),
            (" \t-3 4", -3),
            ("+5", 5),
            ("--5", 0),
            ("0x10", 0),
            ("4294967296", 0),
            ("2147483648", i32::MIN),
            ("99999999999999999999", -1),
            ("-99999999999999999999", 0),
        ] {
            assert_eq!(atoi(text), number, "{text:?}");
        }
        assert_eq!(atol("4294967296"), 4_294_967_296);
    }

    #[test]
    fn strtoll_wants_the_whole_text() {
        for (text, number) in [
            ("0x10", Some(16)),
            ("010", Some(8)),
            ("0", Some(0)),
            (" 5", Some(5)),
            ("+5", Some(5)),
            ("-2", Some(-2)),
            ("99999999999999999999", Some(i64::MAX)),
            ("5z", None),
            ("", None),
            ("-", None),
            ("0x", None),
            ("08", None),
            ("∞", None),
        ] {
            assert_eq!(whole_strtoll(text), number, "{text:?}");
        }
    }

    #[test]
    fn floats_take_what_they_can() {
        for (text, number) in [
            ("1.5", 1.5),
            ("1.5s", 1.5),
            (".5", 0.5),
            ("2.", 2.0),
            ("-1", -1.0),
            ("1e2", 100.0),
            ("1e", 1.0),
            ("1e-1x", 0.1),
            (".", 0.0),
            ("x", 0.0),
            ("", 0.0),
            ("é", 0.0),
            ("1e400", f64::INFINITY),
            ("infinity", f64::INFINITY),
        ] {
            assert_eq!(atof(text), number, "{text:?}");
        }
        assert!(atof("nan").is_nan());
    }
}
