//! Text from the network, made safe for a terminal.
//!
//! A topic, a reason string or a `$SYS` value may hold escape sequences that move the cursor, change the title or
//! answer for the user, and marks that turn the reading direction. Here they become visible text.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Replaces everything that a terminal acts on by a visible escape: `\n`, `\t`, `\r`, `\u{1b}`. Text without such
/// characters is returned as it is; a backslash stays a backslash.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    text.chars().for_each(|character| push_escaped(&mut escaped, character));
    Cow::Owned(escaped)
}

/// As [`escape`], for bytes that may not be UTF-8: such a byte becomes `\xff`.
pub fn escape_bytes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return escape(text);
    }
    let mut escaped = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|character| push_escaped(&mut escaped, character));
        for byte in chunk.invalid() {
            // Writing to a String does not fail.
            let _ = write!(escaped, "\\x{byte:02x}");
        }
    }
    Cow::Owned(escaped)
}

fn push_escaped(escaped: &mut String, character: char) {
    match character {
        '\n' => escaped.push_str("\\n"),
        '\r' => escaped.push_str("\\r"),
        '\t' => escaped.push_str("\\t"),
        character if is_unsafe(character) => {
            let _ = write!(escaped, "\\u{{{:x}}}", character as u32);
        }
        character => escaped.push(character),
    }
}

fn is_unsafe(character: char) -> bool {
    // C0, DEL and C1 (a lone U+009B starts a sequence on some terminals)
    character.is_control()
        || matches!(character,
            // direction marks, embeddings, overrides and isolates
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // line and paragraph separator
            | '\u{2028}' | '\u{2029}'
            // invisible: zero width, word joiner and invisible operators, byte order mark, interlinear, tags
            | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_is_untouched() {
        for text in ["", "sensors/öl/température", "日本/🚀", "a\\b c"] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn what_acts_becomes_visible() {
        assert_eq!(escape("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(escape("\r\n\t\0\x7f\u{9b}"), "\\r\\n\\t\\u{0}\\u{7f}\\u{9b}");
        assert_eq!(escape("user\u{202e}txt.exe"), "user\\u{202e}txt.exe");
        assert_eq!(escape("\u{2028}\u{feff}"), "\\u{2028}\\u{feff}");
        assert_eq!(escape_bytes(b"ok\xff\xfe\x1b"), "ok\\xff\\xfe\\u{1b}");
    }

    proptest! {
        #[test]
        fn nothing_that_acts_gets_through(bytes: Vec<u8>, text: String) {
            prop_assert!(!escape_bytes(&bytes).contains(is_unsafe));
            prop_assert!(!escape(&text).contains(is_unsafe));
        }
    }
}
