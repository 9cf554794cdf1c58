//! Whether mosquitto takes a text of `-F`. It is asked for where the argument stands, before other faults; what the
//! text means is the printer's, which refuses the same texts.

use super::refusal::Refusal;

/// Checks `% [-] [0] [width] [.precision] [separator] letter`, `@` with a letter, and escapes.
pub(super) fn check(text: &str) -> Result<(), Refusal> {
    let incomplete = |kind| Refusal::tight(format!("Error: Incomplete {kind} specifier."));
    let invalid = |kind, letter| Refusal::tight(format!("Error: Invalid {kind} specifier '{letter}'."));
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '%' => {
                rest.next_if_eq(&'-');
                rest.next_if_eq(&'0');
                while rest.next_if(char::is_ascii_digit).is_some() {}
                if rest.next_if_eq(&'.').is_some() {
                    while rest.next_if(char::is_ascii_digit).is_some() {}
                }
                rest.next_if(|next| *next == ' ' || (next.is_ascii_punctuation() && *next != '%'));
                match rest.next() {
                    None => return Err(incomplete("format")),
                    Some(letter) if "%ACDEFIJPRSUXdfjlmpqrtx".contains(letter) => {}
                    Some(letter) => return Err(invalid("format", letter)),
                }
            }
            '@' if rest.next().is_none() => return Err(incomplete("format")),
            '\\' => match rest.next() {
                None => return Err(incomplete("escape")),
                Some(letter) if "\\0aenrtv".contains(letter) => {}
                Some(letter) => return Err(invalid("escape", letter)),
            },
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_and_what_is_not() {
        for text in ["", "%%", "%p", "%-05.3l", "%.2:x", "@Y-@m", "@@", "\\n\\e\\\\", "plain é", "%.2 X"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for (text, fault) in [
            ("%", "Incomplete format specifier."),
            ("%-0", "Incomplete format specifier."),
            ("x%.1", "Incomplete format specifier."),
            ("@", "Incomplete format specifier."),
            ("%Z", "Invalid format specifier 'Z'."),
            ("\\", "Incomplete escape specifier."),
            ("\\Z", "Invalid escape specifier 'Z'."),
        ] {
            assert_eq!(check(text), Err(Refusal::tight(format!("Error: {fault}"))), "{text}");
        }
    }
}
