//! Words for a shell.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A word as bash reads it back, whatever it holds; it may span lines.
pub(super) fn shell_word(word: &str) -> String {
    if word.chars().any(char::is_control) {
        return one_line(word);
    }
    // Only a NUL cannot be quoted, and it is a control character.
    shlex::try_quote(word).unwrap_or(Cow::Borrowed("''")).into_owned()
}

/// The same on one line, so that it can stand in a comment and nothing in it begins its own line. Control characters
/// take the form of bash and zsh, `$'\x0a'`, whatever the locale.
pub(super) fn one_line(word: &str) -> String {
    if !word.chars().any(char::is_control) {
        return shell_word(word);
    }
    let mut text = "$'".to_owned();
    for c in word.chars() {
        match c {
            '\'' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(text, "\\x{byte:02x}");
                }
            }
            c => text.push(c),
        }
    }
    text.push('\'');
    text
}
