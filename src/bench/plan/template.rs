//! Templates in client ids, user names and topics: `%i` the client's global number, `%c` its client id, `%u` its user
//! name, `%%` a percent sign.

use thiserror::Error;

/// A letter after `%` that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// An unknown letter.
    #[error(
        "`%{0}` means nothing here: there are %i (number of the client), %c (client id), %u (user name) and %% (a percent sign)"
    )]
    Unknown(char),
    /// A percent sign at the end.
    #[error("a single % at the end; write %% for a percent sign")]
    Dangling,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Number,
    ClientId,
    UserName,
}

/// A text with places to be filled in per client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

impl Template {
    /// Reads a template.
    pub fn new(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            let piece = match (letter, letter == '%') {
                (letter, false) => {
                    plain.push(letter);
                    continue;
                }
                _ => match letters.next().ok_or(TemplateError::Dangling)? {
                    '%' => {
                        plain.push('%');
                        continue;
                    }
                    'i' => Piece::Number,
                    'c' => Piece::ClientId,
                    'u' => Piece::UserName,
                    other => return Err(TemplateError::Unknown(other)),
                },
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

    /// Whether clients get different texts.
    pub fn varies(&self) -> bool {
        self.0.iter().any(|piece| !matches!(piece, Piece::Text(_)))
    }

    /// The text of one client.
    pub fn expand(&self, number: usize, client_id: &str, user_name: &str) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Number => text.push_str(&number.to_string()),
                Piece::ClientId => text.push_str(client_id),
                Piece::UserName => text.push_str(user_name),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_in() {
        let template = Template::new("a/%i/%%/%c-%u").unwrap();
        assert_eq!(template.expand(7, "id", "me"), "a/7/%/id-me");
        assert!(template.varies());
        assert!(!Template::new("100%% sure").unwrap().varies());
    }

    #[test]
    fn what_means_nothing_is_refused() {
        assert_eq!(Template::new("%x"), Err(TemplateError::Unknown('x')));
        assert_eq!(Template::new("a%"), Err(TemplateError::Dangling));
    }
}
