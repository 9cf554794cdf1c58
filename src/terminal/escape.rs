//! Text from the network, made safe for a terminal.
//!
//! A topic, a reason string or a `$SYS` value may hold escape sequences that move the cursor, change the title or
//! answer for the user, and marks that turn the reading direction. Here they become visible text. What the user typed
//! or keeps in files goes the same way into an error: it may have been copied from somewhere.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;

/// A line of stderr is no longer than this.
const LONGEST_LINE: usize = 1_500;
/// A value that an error repeats is no longer than this.
const LONGEST_VALUE: usize = 180;

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
pub(crate) fn escape_bytes(bytes: &[u8]) -> Cow<'_, str> {
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

/// As [`escape`], but line ends and tabs stay, for a text of several lines.
pub(crate) fn escape_lines(text: &str) -> Cow<'_, str> {
    let is_acting = |character| !matches!(character, '\n' | '\t') && is_unsafe(character);
    if !text.contains(is_acting) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_acting(character) { push_escaped(&mut escaped, character) } else { escaped.push(character) }
    }
    Cow::Owned(escaped)
}

/// A message for stderr: escaped, and without the middle where it is very long. What follows a line end and two blanks,
/// as tips do, keeps its line.
pub(crate) fn message(text: &str) -> String {
    let lines: Vec<_> = text.split("\n  ").map(|line| excerpt(&escape(line), LONGEST_LINE).into_owned()).collect();
    lines.join("\n  ")
}

/// What an error repeats of a value: escaped, and without the middle where it is long.
pub(crate) fn quoted(value: &str) -> String {
    excerpt(&escape(value), LONGEST_VALUE).into_owned()
}

/// Text of at most about `most` characters: of a longer one two thirds from its beginning and some from its end.
pub(crate) fn excerpt(text: &str, most: usize) -> Cow<'_, str> {
    let length = text.chars().count();
    if length <= most {
        return Cow::Borrowed(text);
    }
    let (first, last) = (most * 2 / 3, most / 6);
    let beginning: String = text.chars().take(first).collect();
    let end: String = text.chars().skip(length - last).collect();
    Cow::Owned(format!("{beginning}… ({} characters left out) …{end}", length - first - last))
}

/// Escapes what was appended to `out` from `start` on, as [`escape_bytes`].
pub(crate) fn escape_tail(out: &mut Vec<u8>, start: usize) {
    if out[start..].iter().any(|byte| !matches!(byte, b' '..=b'~')) {
        let tail = out.split_off(start);
        out.extend_from_slice(escape_bytes(&tail).as_bytes());
    }
}

/// Escapes JSON that was appended to `out` from `start` on: it means the same afterwards. Characters beyond ASCII stand
/// within its strings only, and those below have their escape already.
pub(crate) fn escape_json_tail(out: &mut Vec<u8>, start: usize) {
    let is_acting = |character: char| character >= '\u{7f}' && is_unsafe(character);
    let is_plain = out[start..].iter().all(|byte| *byte < 0x7f)
        || std::str::from_utf8(&out[start..]).is_ok_and(|text| !text.contains(is_acting));
    if is_plain {
        return;
    }
    let tail = out.split_off(start);
    for chunk in tail.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut units = [0; 2];
            if is_acting(character) {
                for unit in character.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            } else {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        out.extend_from_slice(chunk.invalid());
    }
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

    #[test]
    fn long_text_loses_its_middle() {
        let long = format!("invalid topic '{}': no", "A".repeat(65_535));
        let text = message(&long);
        assert!(text.len() < 1_400 && text.starts_with("invalid topic 'AAA") && text.ends_with("AAA': no"), "{text}");
        assert!(text.contains("… (64305 characters left out) …"), "{text}");
        assert_eq!(message("a\nb\n  tip: c\x1b"), "a\\nb\n  tip: c\\u{1b}");
        assert_eq!(escape_lines("Usage:\n\t-h\x1b\u{9b}\r\n"), "Usage:\n\t-h\\u{1b}\\u{9b}\\r\n");
        assert_eq!(quoted("ü\x07"), "ü\\u{7}");
        assert!(quoted(&"ü".repeat(1_000)).chars().count() < 200);
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = serde_json::json!({"t\u{9b}": "a\u{202e}b\u{7f}\n\u{e0041}ö\u{1f680}\u{2028}", "n": [1.5, null]});
        for text in [serde_json::to_vec(&value).unwrap(), serde_json::to_vec_pretty(&value).unwrap()] {
            let mut out = [b"before".as_slice(), &text].concat();
            escape_json_tail(&mut out, 6);
            let json = std::str::from_utf8(&out[6..]).unwrap();
            assert!(json.contains("a\\u202eb\\u007f\\n\\udb40\\udc41ö\u{1f680}\\u2028"), "{json}");
            assert!(!json.contains(|character| character != '\n' && is_unsafe(character)));
            assert_eq!(serde_json::from_str::<serde_json::Value>(json).unwrap(), value);
        }
    }

    proptest! {
        #[test]
        fn a_tail_is_escaped_as_a_whole(bytes: Vec<u8>) {
            let mut out = b"\x1b".to_vec();
            escape_tail(&mut out, 1);
            out.extend_from_slice(&bytes);
            escape_tail(&mut out, 1);
            prop_assert_eq!(&out[..1], b"\x1b");
            prop_assert_eq!(std::str::from_utf8(&out[1..]).unwrap(), escape_bytes(&bytes));
        }

        #[test]
        fn any_string_survives_as_json(text: String) {
            let mut out = serde_json::to_vec(&text).unwrap();
            escape_json_tail(&mut out, 0);
            prop_assert!(!std::str::from_utf8(&out).unwrap().contains(is_unsafe));
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn nothing_that_acts_gets_through(bytes: Vec<u8>, text: String) {
            prop_assert!(!escape_bytes(&bytes).contains(is_unsafe));
            prop_assert!(!escape(&text).contains(is_unsafe));
        }
    }
}
