//! What mosquitto calls UTF-8: no control characters and no non-characters either.

use std::ffi::OsStr;

/// The text, where mosquitto takes it for UTF-8.
pub(super) fn valid_text(value: &OsStr) -> Option<&str> {
    value.to_str().filter(|text| !text.chars().any(is_refused))
}

fn is_refused(c: char) -> bool {
    let noncharacter = matches!(u32::from(c), 0xfdd0..=0xfdef) || u32::from(c) & 0xfffe == 0xfffe;
    c.is_control() || noncharacter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_noncharacters_are_refused() {
        for (c, good) in [
            ('\u{1}', false),
            ('\u{1f}', false),
            ('\u{7f}', false),
            ('\u{80}', false),
            ('\u{9f}', false),
            ('\u{a0}', true),
            ('\u{d7ff}', true),
            ('\u{fdd0}', false),
            ('\u{feff}', true),
            ('\u{ffff}', false),
            ('\u{1fffe}', false),
            ('\u{10ffff}', false),
        ] {
            assert_eq!(valid_text(format!("a{c}").as_ref()).is_some(), good, "{:#x}", u32::from(c));
        }
    }
}
