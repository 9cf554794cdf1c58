//! JSON text that was checked and can be walked token by token, with every number still in the digits it came in.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// A byte sequence that is one JSON document: valid UTF-8, RFC 8259, no lone surrogates, not nested too deeply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonText<'a>(&'a str);

/// A token of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonToken<'a> {
    /// `{` or `[`.
    Open(u8),
    /// `}` or `]`.
    Close(u8),
    /// `:`
    Colon,
    /// `,`
    Comma,
    /// A string, its escapes resolved; keys are strings too.
    String(Cow<'a, str>),
    /// A number, `true`, `false` or `null`, as written.
    Scalar(&'a str),
}

impl<'a> JsonText<'a> {
    /// Takes bytes that are one JSON document whose objects and arrays are nested at most `max_depth` deep.
    pub fn new(bytes: &'a [u8], max_depth: usize) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        // serde_json skips a value without recursion and without looking at surrogates, so depth and strings are
        // looked at here.
        serde_json::from_str::<IgnoredAny>(text).ok()?;
        let mut depth = 0usize;
        let mut tokens = JsonText(text).tokens();
        for token in &mut tokens {
            match token {
                JsonToken::Open(_) => depth += 1,
                JsonToken::Close(_) => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > max_depth {
                return None;
            }
        }
        (!tokens.bad_string).then_some(Self(text))
    }

    /// The text.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }

    /// Its tokens in order.
    pub fn tokens(&self) -> Tokens<'a> {
        Tokens { rest: self.0, bad_string: false }
    }
}

/// The tokens of a document.
pub struct Tokens<'a> {
    rest: &'a str,
    bad_string: bool,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = JsonToken<'a>;

    fn next(&mut self) -> Option<JsonToken<'a>> {
        let rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        let bytes = rest.as_bytes();
        let (token, length) = match *bytes.first()? {
            bracket @ (b'{' | b'[') => (JsonToken::Open(bracket), 1),
            bracket @ (b'}' | b']') => (JsonToken::Close(bracket), 1),
            b':' => (JsonToken::Colon, 1),
            b',' => (JsonToken::Comma, 1),
            b'"' => {
                let length = string_length(bytes);
                match decode(&rest[..length]) {
                    Some(text) => (JsonToken::String(text), length),
                    None => {
                        self.bad_string = true;
                        return None;
                    }
                }
            }
            _ => {
                let length = bytes
                    .iter()
                    .position(|byte| matches!(byte, b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\n' | b'\r'))
                    .unwrap_or(bytes.len());
                (JsonToken::Scalar(&rest[..length]), length)
            }
        };
        self.rest = &rest[length..];
        Some(token)
    }
}

/// The length of the string at the beginning, quotes included.
fn string_length(bytes: &[u8]) -> usize {
    let mut position = 1;
    while let Some(byte) = bytes.get(position) {
        match byte {
            b'"' => return position + 1,
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
    bytes.len()
}

/// The text of a quoted string; nothing when it holds half a surrogate pair.
fn decode(quoted: &str) -> Option<Cow<'_, str>> {
    match quoted.get(1..quoted.len().checked_sub(1)?) {
        Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str::<String>(quoted).ok().map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_json_is_refused() {
        for bytes in [
            &b""[..],
            b" ",
            b"{",
            b"1 2",
            b"{'a':1}",
            b"[1,]",
            b"nul",
            b"\"caf\xe9\"",
            b"\"\\ud800\"",
            b"{\"\\udc00\":1}",
            b"01",
            b"NaN",
        ] {
            assert_eq!(JsonText::new(bytes, 10), None, "{}", String::from_utf8_lossy(bytes));
        }
        assert!(JsonText::new(b"[[[]]]", 3).is_some());
        assert!(JsonText::new(b"[[[]]]", 2).is_none());
        assert!(JsonText::new("[".repeat(200_000).as_bytes(), 100).is_none());
    }

    #[test]
    fn tokens_come_in_order() {
        let text = JsonText::new(br#" {"a\n":[1.50 ,true]} "#, 10).unwrap();
        let tokens: Vec<_> = text.tokens().collect();
        assert_eq!(
            tokens,
            [
                JsonToken::Open(b'{'),
                JsonToken::String("a\n".into()),
                JsonToken::Colon,
                JsonToken::Open(b'['),
                JsonToken::Scalar("1.50"),
                JsonToken::Comma,
                JsonToken::Scalar("true"),
                JsonToken::Close(b']'),
                JsonToken::Close(b'}'),
            ]
        );
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{}",:0-9truefalsn\\u \-.eE]{0,24}"#) {
            let taken = JsonText::new(text.as_bytes(), 100).is_some();
            match serde_json::from_str::<serde_json::Value>(&text) {
                Ok(_) => prop_assert!(taken),
                // A number beyond a double is good JSON all the same.
                Err(error) => prop_assert!(!taken || error.to_string().contains("number out of range")),
            }
        }
    }
}
