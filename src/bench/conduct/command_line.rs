//! The command line as the result document quotes it: passwords masked.

use std::ffi::OsString;

/// The command line as it was typed, passwords masked.
pub(super) fn command() -> Vec<String> {
    mask(std::env::args_os())
}

/// Options whose values are passwords, or URLs and headers that may hold one.
const SECRETS: [&str; 5] = ["--pw", "--url", "--proxy", "--ws-header", "--ws-path"];

fn mask(arguments: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let mut masked = Vec::new();
    let mut secret_follows = false;
    let mut property = PropertyWords::default();
    for argument in arguments {
        let text = argument.to_string_lossy().into_owned();
        if property.is_secret(&text) {
            masked.push("***".to_owned());
            continue;
        }
        let is_secret = std::mem::replace(&mut secret_follows, SECRETS.contains(&text.as_str()));
        masked.push(if is_secret {
            "***".to_owned()
        } else if let Some(end) = secret_in_cluster(&text) {
            secret_follows = end == text.len();
            format!("{}{}", &text[..end], if secret_follows { "" } else { "***" })
        } else if let Some((option, _)) = text.split_once('=').filter(|(option, _)| SECRETS.contains(option)) {
            format!("{option}=***")
        } else {
            text
        });
    }
    masked
}

/// The words of a `-D connect NAME VALUE`, whose values may be tokens.
#[derive(Default)]
enum PropertyWords {
    #[default]
    Elsewhere,
    Command,
    Name,
    Values(usize),
}

impl PropertyWords {
    /// Takes the next word; says whether it is a value that nobody is to see.
    fn is_secret(&mut self, word: &str) -> bool {
        let (next, is_secret) = match self {
            Self::Command if word == "connect" => (Self::Name, false),
            Self::Name => (Self::Values(if word == "user-property" { 2 } else { 1 }), false),
            Self::Values(left) if *left > 0 => (Self::Values(*left - 1), true),
            _ if matches!(word, "-D" | "--property") => (Self::Command, false),
            _ => (Self::Elsewhere, false),
        };
        *self = next;
        is_secret
    }
}

/// Where in a word of bundled letters (`-rPsecret`) a password or a URL begins. Only letters without a value may stand
/// before it.
fn secret_in_cluster(text: &str) -> Option<usize> {
    let letters = text.strip_prefix('-').filter(|letters| !letters.starts_with('-'))?;
    let place = letters.find(|letter| !matches!(letter, 'c' | 'd' | 'r' | 'S'))?;
    letters[place..].starts_with(['P', 'L']).then_some(place + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_in_every_spelling() {
        let typed = [
            "mqbench",
            "-P",
            "s1",
            "-Ps2",
            "-dP",
            "s6",
            "-rPs7",
            "--pw=s3",
            "-L",
            "mqtt://u:s4@h",
            "--url=mqtt://u:s5@h",
            "-D",
            "connect",
            "authentication-data",
            "s8",
            "-D",
            "connect",
            "user-property",
            "s9",
            "s0",
            "-p",
            "1",
        ];
        let masked = mask(typed.map(OsString::from));
        assert!(!masked.iter().any(|word| word.contains('s') && word.contains(|c: char| c.is_ascii_digit())));
        assert_eq!(masked[masked.len() - 2..], ["-p", "1"]);
    }
}
