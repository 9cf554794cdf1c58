//! A payload as text: on one line, and spread over several; JSON, plain text or bytes. Everything that comes out is safe
//! for a terminal.

use crate::message_json::{JsonText, JsonToken};
use crate::terminal::{escape, escape_bytes};

/// JSON that is nested deeper is shown as plain text.
const DEEPEST: usize = 100;
/// Of a longer payload this much is spread over lines.
pub(super) const MOST_SHOWN: usize = 64 * 1024;
/// Of bytes this much is shown.
const MOST_HEX: usize = 8 * 1024;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Plain,
    Key,
    Text,
    Number,
    Word,
    Faint,
}

/// A line in pieces.
pub(super) type PieceLine = Vec<(Piece, String)>;

/// What a payload seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Empty,
    Json,
    Text,
    Bytes,
}

impl Form {
    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Json => "JSON",
            Self::Text => "text",
            Self::Bytes => "binary",
        }
    }
}

/// A payload, or the beginning of one, on one line of at most about `most` characters.
pub(super) fn one_line(payload: &[u8], most: usize) -> String {
    let part = &payload[..payload.len().min(most * 4)];
    match text_of(part, part.len() < payload.len()) {
        Some(text) => escape(text).into_owned(),
        None => hex(&part[..part.len().min(most)]),
    }
}

/// The text, where it is one. The end of what is only a beginning may be inside a character. Control characters other
/// than those of text mean bytes.
fn text_of(payload: &[u8], is_part: bool) -> Option<&str> {
    let text = match std::str::from_utf8(payload) {
        Ok(text) => text,
        Err(error) if is_part && error.error_len().is_none() => {
            std::str::from_utf8(&payload[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    (!text.contains('\0')).then_some(text)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// A payload spread over lines, for about this many columns. `is_cut` is whether it is the beginning of a longer one.
pub(super) fn lines(payload: &[u8], is_cut: bool, columns: usize) -> (Form, Vec<PieceLine>) {
    if payload.is_empty() {
        return (Form::Empty, Vec::new());
    }
    let part = &payload[..payload.len().min(MOST_SHOWN)];
    let is_part = is_cut || part.len() < payload.len();
    if !is_part
        && matches!(payload.trim_ascii_start().first(), Some(b'{' | b'['))
        && let Some(json) = JsonText::new(payload, DEEPEST)
    {
        return (Form::Json, json_lines(&json));
    }
    match text_of(part, is_part) {
        Some(text) => {
            let line = |text: &str| vec![(Piece::Plain, escape(&text.replace('\t', "    ")).into_owned())];
            let form = if JsonText::new(payload, DEEPEST).is_some() && !is_part { Form::Json } else { Form::Text };
            (form, text.lines().map(line).collect())
        }
        None => (Form::Bytes, hex_lines(&part[..part.len().min(MOST_HEX)], columns)),
    }
}

/// As `hexdump -C` prints them.
fn hex_lines(bytes: &[u8], columns: usize) -> Vec<PieceLine> {
    let per_line = if columns >= 76 { 16 } else { 8 };
    let line = |(number, part): (usize, &[u8])| {
        let printable = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' };
        vec![
            (Piece::Faint, format!("{:06x}  ", number * per_line)),
            (Piece::Number, format!("{:<1$}", hex(part), per_line * 3 + 1)),
            (Piece::Plain, part.iter().map(printable).collect()),
        ]
    };
    bytes.chunks(per_line).enumerate().map(line).collect()
}

/// A line per member, two blanks per level, every number as it was written.
fn json_lines(json: &JsonText<'_>) -> Vec<PieceLine> {
    let mut lines: Vec<PieceLine> = Vec::new();
    let mut line: PieceLine = Vec::new();
    // Whether each open bracket is that of an object.
    let mut open: Vec<bool> = Vec::new();
    let mut expects_key = false;
    let mut is_new = false;
    let indent = |line: &mut PieceLine, depth: usize| line.push((Piece::Plain, "  ".repeat(depth)));
    for token in json.tokens() {
        if is_new && !matches!(token, JsonToken::Close(_)) {
            lines.push(std::mem::take(&mut line));
            indent(&mut line, open.len());
        }
        let was_new = std::mem::replace(&mut is_new, false);
        match token {
            JsonToken::Open(bracket) => {
                line.push((Piece::Faint, char::from(bracket).to_string()));
                open.push(bracket == b'{');
                (expects_key, is_new) = (bracket == b'{', true);
            }
            JsonToken::Close(bracket) => {
                open.pop();
                if !was_new {
                    lines.push(std::mem::take(&mut line));
                    indent(&mut line, open.len());
                }
                line.push((Piece::Faint, char::from(bracket).to_string()));
            }
            JsonToken::Comma => {
                line.push((Piece::Faint, ",".into()));
                expects_key = open.last() == Some(&true);
                is_new = true;
            }
            JsonToken::Colon => {
                line.push((Piece::Faint, ": ".into()));
                expects_key = false;
            }
            JsonToken::String(text) => {
                let piece = if expects_key { Piece::Key } else { Piece::Text };
                line.push((piece, format!("\"{}\"", escape(&text))));
            }
            JsonToken::Scalar(text) => {
                let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
                line.push((if is_number { Piece::Number } else { Piece::Word }, text.to_owned()));
            }
        }
    }
    lines.push(line);
    lines
}

/// The numbers in a payload: the payload itself, or those in its JSON with their paths, as in `.power.total` or
/// `.list[0]`. The path of the payload itself is empty.
pub(super) fn numbers(payload: &[u8]) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    let text = payload.trim_ascii();
    if let Ok(text) = std::str::from_utf8(text)
        && text.len() < 64
        && let Some(number) = finite(text.split_whitespace().next().unwrap_or_default())
        && is_measurement(text)
    {
        found.push((String::new(), number));
        return found;
    }
    if matches!(text.first(), Some(b'{' | b'['))
        && payload.len() <= MOST_SHOWN
        && let Some(json) = JsonText::new(payload, DEEPEST)
    {
        numbers_of_json(&json, &mut found);
    }
    found
}

/// A number, alone or with a unit: `21.5`, `21.5 °C`.
fn is_measurement(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let unit = (words.next(), words.next(), words.next());
    match unit {
        (Some(_), None, None) => true,
        (Some(_), Some(unit), None) => unit.chars().count() <= 8 && !unit.contains(|it: char| it.is_ascii_digit()),
        _ => false,
    }
}

fn finite(text: &str) -> Option<f64> {
    // "inf" and "nan" are words.
    let begins = text.starts_with(|first: char| first == '-' || first == '+' || first == '.' || first.is_ascii_digit());
    text.parse::<f64>().ok().filter(|number| begins && number.is_finite())
}

/// Where the walk is within an open bracket.
enum Level {
    Object(Option<String>),
    Array(usize),
}

fn numbers_of_json(json: &JsonText<'_>, found: &mut Vec<(String, f64)>) {
    let mut levels: Vec<Level> = Vec::new();
    let mut expects_key = false;
    for token in json.tokens() {
        match token {
            JsonToken::Open(b'{') => {
                levels.push(Level::Object(None));
                expects_key = true;
            }
            JsonToken::Open(_) => {
                levels.push(Level::Array(0));
                expects_key = false;
            }
            JsonToken::Close(_) => {
                levels.pop();
            }
            JsonToken::Comma => match levels.last_mut() {
                Some(Level::Array(index)) => *index += 1,
                _ => expects_key = true,
            },
            JsonToken::Colon => expects_key = false,
            JsonToken::String(text) => {
                if let (true, Some(Level::Object(key))) = (expects_key, levels.last_mut()) {
                    *key = Some(text.into_owned());
                }
            }
            JsonToken::Scalar(text) => {
                if let Some(number) = finite(text) {
                    found.push((path(&levels), number));
                }
            }
        }
    }
}

fn path(levels: &[Level]) -> String {
    let part = |level: &Level| match level {
        Level::Object(key) => format!(".{}", key.as_deref().unwrap_or_default()),
        Level::Array(index) => format!("[{index}]"),
    };
    levels.iter().map(part).collect()
}

/// A property's value or the like: what may be bytes, on one line.
pub(super) fn shown(bytes: &[u8]) -> String {
    escape_bytes(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &[PieceLine]) -> String {
        let line = |line: &PieceLine| line.iter().map(|(_, text)| text.as_str()).collect::<String>();
        lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn json_is_spread_and_keeps_its_digits() {
        let payload = br#"{"a":1.50,"b":[{},[],true,{"c":"\u001b[31m\u202e"}],"big":12345678901234567890}"#;
        let (form, lines) = lines(payload, false, 80);
        assert_eq!(form, Form::Json);
        assert_eq!(
            text(&lines),
            "{\n  \"a\": 1.50,\n  \"b\": [\n    {},\n    [],\n    true,\n    {\n      \"c\": \"\\u{1b}[31m\\u{202e}\"\n    }\n  \
             ],\n  \"big\": 12345678901234567890\n}"
        );
        assert!(lines[1].contains(&(Piece::Key, "\"a\"".into())) && lines[1].contains(&(Piece::Number, "1.50".into())));
    }

    #[test]
    fn text_and_bytes_are_told_apart() {
        assert_eq!(text(&lines("hot\x1b[2J\n\tü\u{202e}".as_bytes(), false, 80).1), "hot\\u{1b}[2J\n    ü\\u{202e}");
        let (form, hex) = lines(b"\x00\x01AB\xff67890abcdef0123", false, 80);
        assert_eq!(form, Form::Bytes);
        assert_eq!(
            text(&hex),
            "000000  00 01 41 42 ff 36 37 38 39 30 61 62 63 64 65 66  ..AB.67890abcdef\n\
             000010  30 31 32 33                                      0123"
        );
        assert_eq!(text(&lines(&[0; 9], false, 40).1).lines().count(), 2, "eight on a line");
        assert_eq!(lines(b"", false, 80), (Form::Empty, vec![]));
        // A beginning that ends inside a character, or inside JSON.
        assert_eq!(lines(&"ü".as_bytes()[..1], true, 80).0, Form::Text);
        assert_eq!(lines(br#"{"a":"#, true, 80).0, Form::Text);
        assert_eq!(lines(b"21.5", false, 80).0, Form::Json);
    }

    #[test]
    fn one_line_is_bounded_and_safe() {
        assert_eq!(one_line("a\nb\u{9b}c".as_bytes(), 80), "a\\nb\\u{9b}c");
        assert_eq!(one_line(b"\xff\x00\x10", 80), "ff 00 10");
        assert!(one_line(&vec![b'x'; 1 << 20], 80).len() <= 320);
        assert_eq!(one_line("üü".as_bytes(), 80), "üü");
    }

    #[test]
    fn numbers_have_paths() {
        assert_eq!(numbers(b" 21.5 "), [(String::new(), 21.5)]);
        assert_eq!(numbers("-3 °C".as_bytes()), [(String::new(), -3.0)]);
        let found = numbers(br#"{"t":21.5,"p":{"total":-1e2,"on":true},"l":[1,{"x":2}],"s":"7"}"#);
        let expected = [(".t", 21.5), (".p.total", -100.0), (".l[0]", 1.0), (".l[1].x", 2.0)];
        assert_eq!(found, expected.map(|(path, number)| (path.to_owned(), number)));
        for none in [&b""[..], b"nan", b"inf", b"on", b"12 of 13", b"\xff", b"{", b"1e999"] {
            assert_eq!(numbers(none), [], "{none:?}");
        }
    }
}
