//! Templates in client ids, user names, passwords and topics: `%i` the client's global number (`%05i` with leading
//! zeros), `%c` its client id, `%u` its user name, `%%` a percent sign. Payloads know `%s`, the number of the message
//! at its publisher, and `%t`, the time, as well.

use std::fmt;
use std::io::Write;

use thiserror::Error;

/// Most digits that a number is padded to: those of the largest one.
const MAX_WIDTH: usize = 20;

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// An unknown letter after `%`.
    #[error(
        "`%{letter}` is not a placeholder here: use %i (client number; %05i with leading zeros), %c (client id), \
         %u (user name){} or %% (a percent sign)",
        if *.in_payload { ", %s (number of the message), %t (Unix time in milliseconds)" } else { "" }
    )]
    Unknown {
        /// The letter.
        letter: char,
        /// Whether it is in a payload, where there are more.
        in_payload: bool,
    },
    /// A percent sign at the end.
    #[error("a single % at the end: write %% for a percent sign")]
    Dangling,
    /// A number padded to too many digits.
    #[error("`%0` needs the number of digits, 1 to {MAX_WIDTH}, and i, as in %05i")]
    Width,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The client's number, with at least this many digits.
    Number(usize),
    ClientId,
    UserName,
    /// The message's number at its publisher, from 0, with at least this many digits.
    Sequence(usize),
    /// Unix time in milliseconds at which the message was made.
    Time,
}

impl Piece {
    const fn is_of_message(&self) -> bool {
        matches!(self, Self::Sequence(_) | Self::Time)
    }
}

/// A text with placeholders for the client and, in a payload, for the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(&text.replace('%', "%%")),
            Piece::Number(0) => f.write_str("%i"),
            Piece::Number(width) => write!(f, "%0{width}i"),
            Piece::ClientId => f.write_str("%c"),
            Piece::UserName => f.write_str("%u"),
            Piece::Sequence(0) => f.write_str("%s"),
            Piece::Sequence(width) => write!(f, "%0{width}s"),
            Piece::Time => f.write_str("%t"),
        })
    }
}

impl Template {
    /// Reads a template of names and topics.
    pub fn new(text: &str) -> Result<Self, TemplateError> {
        Self::read(text, false)
    }

    /// Reads the template of a payload.
    pub fn of_payload(text: &str) -> Result<Self, TemplateError> {
        Self::read(text, true)
    }

    fn read(text: &str, in_payload: bool) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                plain.push(letter);
                continue;
            }
            let mut letter = letters.next().ok_or(TemplateError::Dangling)?;
            let mut width = 0;
            if letter == '0' {
                (width, letter) = width_and_letter(&mut letters)?;
            }
            let piece = match letter {
                'i' => Piece::Number(width),
                's' if in_payload => Piece::Sequence(width),
                _ if width > 0 => return Err(TemplateError::Width),
                '%' => {
                    plain.push('%');
                    continue;
                }
                'c' => Piece::ClientId,
                'u' => Piece::UserName,
                't' if in_payload => Piece::Time,
                letter => return Err(TemplateError::Unknown { letter, in_payload }),
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// Whether clients, or messages, get different texts.
    pub fn varies(&self) -> bool {
        self.0.iter().any(|piece| !matches!(piece, Piece::Text(_)))
    }

    /// Whether each message gets a different text.
    pub fn varies_by_message(&self) -> bool {
        self.0.iter().any(Piece::is_of_message)
    }

    /// The text of one client. Placeholders for the message are left out: [`Self::for_client`] keeps them.
    pub fn expand(&self, number: usize, client_id: &str, user_name: &str) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Number(width) => text.push_str(&format!("{number:0width$}")),
                Piece::ClientId => text.push_str(client_id),
                Piece::UserName => text.push_str(user_name),
                Piece::Sequence(_) | Piece::Time => {}
            }
        }
        text
    }

    /// The template that is left when the client is known.
    pub fn for_client(&self, number: usize, client_id: &str, user_name: &str) -> MessageTemplate {
        let mut pieces = Vec::new();
        for run in self.0.chunk_by(|one, other| one.is_of_message() == other.is_of_message()) {
            if run.iter().all(Piece::is_of_message) {
                pieces.extend(run.iter().cloned());
            } else {
                pieces.push(Piece::Text(Self(run.to_vec()).expand(number, client_id, user_name)));
            }
        }
        MessageTemplate(pieces)
    }

    /// The Topic Filter that all its texts match: a `+` for every level with a placeholder. `None` where the first
    /// level has one: such a filter asks for everybody's topics, and does not match those that begin with `$`
    /// (MQTT-4.7.2-1).
    pub fn filter(&self) -> Option<String> {
        // A character that is in no topic marks the placeholders; other text is kept.
        const PLACE: char = '\0';
        let marked: String = self
            .0
            .iter()
            .map(|piece| if let Piece::Text(plain) = piece { plain.clone() } else { PLACE.to_string() })
            .collect();
        let levels: Vec<&str> =
            marked.split('/').map(|level| if level.contains(PLACE) { "+" } else { level }).collect();
        (levels[0] != "+").then(|| levels.join("/"))
    }
}

/// The digits and the letter behind `%0`.
fn width_and_letter(letters: &mut std::str::Chars<'_>) -> Result<(usize, char), TemplateError> {
    let mut width = 0;
    loop {
        let letter = letters.next().ok_or(TemplateError::Width)?;
        match letter.to_digit(10) {
            Some(digit) => width = width * 10 + digit as usize,
            None if width == 0 => return Err(TemplateError::Width),
            None => return Ok((width, letter)),
        }
        if width > MAX_WIDTH {
            return Err(TemplateError::Width);
        }
    }
}

/// The text of one client's messages, with placeholders for what differs from message to message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageTemplate(Vec<Piece>);

impl MessageTemplate {
    /// Appends the text of a message; `unix_ms` is the time.
    pub fn append(&self, sequence: u64, unix_ms: u64, out: &mut Vec<u8>) {
        for piece in &self.0 {
            // Writing to memory does not fail.
            let _ = match piece {
                Piece::Text(plain) => {
                    out.extend_from_slice(plain.as_bytes());
                    Ok(())
                }
                Piece::Sequence(width) => write!(out, "{sequence:0width$}"),
                // The others have become text.
                Piece::Time | Piece::Number(_) | Piece::ClientId | Piece::UserName => write!(out, "{unix_ms}"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_in() {
        let template = Template::new("a/%i/%%/%c-%u/%04i").unwrap();
        assert_eq!(template.expand(7, "id", "me"), "a/7/%/id-me/0007");
        assert!(template.varies() && !template.varies_by_message());
        assert!(!Template::new("100%% sure").unwrap().varies());
    }

    #[test]
    fn a_payload_knows_its_message_and_the_time() {
        let template = Template::of_payload("{\"c\":\"%c\",\"n\":%s,\"at\":%t,\"p\":\"%03s\"} %i").unwrap();
        assert!(template.varies_by_message());
        let mut text = Vec::new();
        template.for_client(4, "id", "").append(12, 1_700_000_000_123, &mut text);
        assert_eq!(String::from_utf8_lossy(&text), r#"{"c":"id","n":12,"at":1700000000123,"p":"012"} 4"#);
        assert!(Template::new("%s").is_err(), "a topic does not change with the message");
    }

    #[test]
    fn a_filter_has_a_wildcard_for_every_level_that_differs() {
        let filter = |text| Template::new(text).unwrap().filter();
        assert_eq!(filter("site/%i/temp").as_deref(), Some("site/+/temp"));
        assert_eq!(filter("site/dev-%i-%c/a%%b/%u").as_deref(), Some("site/+/a%b/+"));
        assert_eq!(filter("/%i").as_deref(), Some("/+"));
        assert_eq!(filter("one").as_deref(), Some("one"));
        assert_eq!(filter("%i/temp"), None);
        assert_eq!(filter("d%i"), None);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let error = Template::new("%x").unwrap_err();
        assert_eq!(error, TemplateError::Unknown { letter: 'x', in_payload: false });
        assert!(error.to_string().contains("%i") && !error.to_string().contains("%s"), "{error}");
        assert!(Template::of_payload("%x").unwrap_err().to_string().contains("%s"));
        assert_eq!(Template::new("a%"), Err(TemplateError::Dangling));
        for text in ["%0", "%0i", "%05", "%021i", "%05c", "%05%", "%00i", "%099999999999999999999999i"] {
            assert_eq!(Template::new(text), Err(TemplateError::Width), "{text}");
        }
    }
}
