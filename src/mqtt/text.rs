//! Which text a client may send as a UTF-8 Encoded String (§1.5.4).
//!
//! The standard allows receivers to close the connection for control characters and non-characters (§1.5.4), and many
//! brokers do, or silently drop the message. So nothing that the user typed is sent with them. What arrives is not
//! checked here: a receiver may accept it.

use std::fmt;

/// A character that a receiver may reject, and its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectedCharacter {
    character: char,
    /// Its number, from 1.
    number: usize,
    /// Nothing but line ends follow.
    ends_text: bool,
}

/// Finds the first character that a receiver may reject: U+0000 to U+001F, U+007F to U+009F, and the non-characters.
pub fn check_sent_text(text: &str) -> Result<(), RejectedCharacter> {
    let Some((number, (place, character))) =
        (1..).zip(text.char_indices()).find(|(_, (_, character))| is_rejected(*character))
    else {
        return Ok(());
    };
    Err(RejectedCharacter { character, number, ends_text: text[place..].trim_end_matches(['\r', '\n']).is_empty() })
}

fn is_rejected(character: char) -> bool {
    let code = u32::from(character);
    character.is_control() || matches!(code, 0xfdd0..=0xfdef) || code & 0xfffe == 0xfffe
}

/// The end of a sentence that begins with what holds the character.
impl fmt::Display for RejectedCharacter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { character, number, ends_text } = *self;
        let code = u32::from(character);
        match (character, ends_text) {
            ('\r', true) => {
                return write!(f, "it ends with a carriage return (U+000D), as in a file with Windows line endings");
            }
            ('\n', true) => return write!(f, "it ends with a newline (U+000A)"),
            _ => {}
        }
        let name = match character {
            '\0' => "a NUL character",
            '\t' => "a tab",
            '\n' => "a newline",
            '\r' => "a carriage return",
            '\u{1b}' => "an escape character",
            character if character.is_control() => "a control character",
            _ => "a Unicode non-character",
        };
        write!(f, "character {number} is {name} (U+{code:04X}), which a broker may reject")
    }
}

impl std::error::Error for RejectedCharacter {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_non_characters_are_rejected() {
        for (character, good) in [
            ('\0', false),
            ('\u{1}', false),
            ('\u{1f}', false),
            (' ', true),
            ('\u{7e}', true),
            ('\u{7f}', false),
            ('\u{80}', false),
            ('\u{9f}', false),
            ('\u{a0}', true),
            ('\u{d7ff}', true),
            ('\u{fdcf}', true),
            ('\u{fdd0}', false),
            ('\u{fdef}', false),
            ('\u{fdf0}', true),
            ('\u{feff}', true),
            ('\u{fffd}', true),
            ('\u{fffe}', false),
            ('\u{ffff}', false),
            ('\u{1fffe}', false),
            ('\u{10ffff}', false),
        ] {
            for text in [format!("a{character}"), format!("{character}b"), format!("ä{character}/b")] {
                assert_eq!(check_sent_text(&text).is_ok(), good, "{:#x}", u32::from(character));
            }
        }
        assert_eq!(check_sent_text(""), Ok(()));
    }

    #[test]
    fn the_place_and_the_likely_cause_are_named() {
        for (text, words) in [
            ("home/temp\r", "it ends with a carriage return (U+000D), as in a file with Windows line endings"),
            ("home/temp\r\n", "it ends with a carriage return (U+000D), as in a file with Windows line endings"),
            ("home/temp\n", "it ends with a newline (U+000A)"),
            ("ä\tb", "character 2 is a tab (U+0009), which a broker may reject"),
            ("a\rb", "character 2 is a carriage return (U+000D), which a broker may reject"),
            ("\u{1b}[0m", "character 1 is an escape character (U+001B), which a broker may reject"),
            ("a\0", "character 2 is a NUL character (U+0000), which a broker may reject"),
            ("\u{9b}", "character 1 is a control character (U+009B), which a broker may reject"),
            ("\u{1ffff}", "character 1 is a Unicode non-character (U+1FFFF), which a broker may reject"),
        ] {
            assert_eq!(check_sent_text(text).unwrap_err().to_string(), words);
        }
    }
}
