//! The template of `-F`: parsed once, before anything is connected.
//!
//! `%[-][0][width][.precision][separator]letter` stands for a part of the message, `@letter` for a part of the time of
//! receipt, `\letter` for a control character. Everything else stands for itself.

use std::iter::Peekable;
use std::str::Chars;

use thiserror::Error;

/// The widths of a template may add up to this many bytes, so that no template requires gigabytes per message.
/// (mosquitto has no limit; `%9999999999l` makes it print 1.4 GB.)
pub const MAX_TOTAL_WIDTH: usize = 1_000_000;

/// Why a text is not a template. The first four are worded as mosquitto words them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// It ends within a `%` or after an `@`.
    #[error("Incomplete format specifier.")]
    IncompleteSpecifier,
    /// `%` and a letter that means nothing.
    #[error("Invalid format specifier '{0}'.")]
    InvalidSpecifier(char),
    /// It ends after a backslash.
    #[error("Incomplete escape specifier.")]
    IncompleteEscape,
    /// A backslash and a letter that means nothing.
    #[error("Invalid escape specifier '{0}'.")]
    InvalidEscape(char),
    /// More padding than anybody can mean.
    #[error("Invalid format: the field widths add up to more than {MAX_TOTAL_WIDTH}.")]
    TooWide,
}

/// A parsed template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pub(super) pieces: Vec<Piece>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes that stand for themselves.
    Literal(Vec<u8>),
    /// A part of the message.
    Field(Content, Field),
    /// A part of the time of receipt, by its strftime letter.
    Time(char),
    /// `@N`: nanoseconds of the time of receipt.
    Nanoseconds,
}

/// What a field shows.
#[allow(clippy::enum_variant_names)] // Content Type is the name of a property
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    TopicAlias,
    ContentType,
    CorrelationData,
    MessageExpiryInterval,
    PayloadFormatIndicator,
    LocalTime,
    JsonWithString,
    JsonWithJson,
    PayloadLength,
    PacketIdentifier,
    UserProperties,
    Payload,
    QoS,
    ResponseTopic,
    Retain,
    SubscriptionIdentifier,
    Topic,
    UnixTime,
    Hex { upper: bool },
    Float,
    Double,
}

/// How a field is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    /// `-`: padding goes to the right.
    pub(super) left: bool,
    /// `0`: padding is zeros.
    pub(super) zeros: bool,
    /// Width; 0 for none.
    pub(super) width: usize,
    pub(super) precision: Option<usize>,
    /// What stands between groups of hexadecimal digits, instead of a blank.
    pub(super) separator: Option<u8>,
}

impl Template {
    /// Parses the text after `-F`.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parser = Parser { pieces: Vec::new(), total_width: 0 };
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '%' => parser.specifier(&mut rest)?,
                '@' => match rest.next().ok_or(TemplateError::IncompleteSpecifier)? {
                    '@' => parser.literal('@'),
                    'N' => parser.pieces.push(Piece::Nanoseconds),
                    letter => parser.pieces.push(Piece::Time(letter)),
                },
                '\\' => parser.literal(escaped(rest.next().ok_or(TemplateError::IncompleteEscape)?)?),
                other => parser.literal(other),
            }
        }
        Ok(Self { pieces: parser.pieces })
    }
}

fn escaped(letter: char) -> Result<char, TemplateError> {
    Ok(match letter {
        '\\' => '\\',
        '0' => '\0',
        'a' => '\x07',
        'e' => '\x1b',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        other => return Err(TemplateError::InvalidEscape(other)),
    })
}

struct Parser {
    pieces: Vec<Piece>,
    total_width: usize,
}

impl Parser {
    fn literal(&mut self, character: char) {
        let mut buffer = [0; 4];
        let bytes = character.encode_utf8(&mut buffer).as_bytes();
        match self.pieces.last_mut() {
            Some(Piece::Literal(literal)) => literal.extend_from_slice(bytes),
            _ => self.pieces.push(Piece::Literal(bytes.to_vec())),
        }
    }

    /// What follows a `%`.
    fn specifier(&mut self, rest: &mut Peekable<Chars<'_>>) -> Result<(), TemplateError> {
        let mut field = Field { left: rest.next_if_eq(&'-').is_some(), ..Field::default() };
        field.zeros = rest.next_if_eq(&'0').is_some();
        field.width = number(rest);
        if rest.next_if_eq(&'.').is_some() {
            field.precision = Some(number(rest));
        }
        field.separator = rest.next_if(|next| is_separator(*next)).and_then(|character| u8::try_from(character).ok());
        let letter = rest.next().ok_or(TemplateError::IncompleteSpecifier)?;
        let Some(content) = content(letter)? else {
            self.literal('%');
            return Ok(());
        };
        self.total_width = self.total_width.saturating_add(field.width);
        if matches!(content, Content::Float | Content::Double) {
            // The one place where a precision makes output longer.
            self.total_width = self.total_width.saturating_add(field.precision.unwrap_or(0));
        }
        if self.total_width > MAX_TOTAL_WIDTH {
            return Err(TemplateError::TooWide);
        }
        self.pieces.push(Piece::Field(content, field));
        Ok(())
    }
}

/// The digits that follow, as a number; none are 0, too many the largest there is.
fn number(rest: &mut Peekable<Chars<'_>>) -> usize {
    let mut value = 0usize;
    while let Some(digit) = rest.peek().and_then(|next| next.to_digit(10)) {
        value = value.saturating_mul(10).saturating_add(digit as usize);
        rest.next();
    }
    value
}

/// ASCII punctuation but `%`, and the blank.
fn is_separator(character: char) -> bool {
    character == ' ' || (character.is_ascii_punctuation() && character != '%')
}

/// What the letter shows; nothing for `%`, which stands for itself.
fn content(letter: char) -> Result<Option<Content>, TemplateError> {
    Ok(Some(match letter {
        '%' => return Ok(None),
        'A' => Content::TopicAlias,
        'C' => Content::ContentType,
        'D' => Content::CorrelationData,
        'd' => Content::Double,
        'E' => Content::MessageExpiryInterval,
        'F' => Content::PayloadFormatIndicator,
        'f' => Content::Float,
        'I' => Content::LocalTime,
        'J' => Content::JsonWithJson,
        'j' => Content::JsonWithString,
        'l' => Content::PayloadLength,
        'm' => Content::PacketIdentifier,
        'P' => Content::UserProperties,
        'p' => Content::Payload,
        'q' => Content::QoS,
        'R' => Content::ResponseTopic,
        'r' => Content::Retain,
        'S' => Content::SubscriptionIdentifier,
        't' => Content::Topic,
        'U' => Content::UnixTime,
        'X' => Content::Hex { upper: true },
        'x' => Content::Hex { upper: false },
        other => return Err(TemplateError::InvalidSpecifier(other)),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn faults_are_named_in_mosquittos_words() {
        for (text, expected) in [
            ("%", "Incomplete format specifier."),
            ("x%", "Incomplete format specifier."),
            ("%0", "Incomplete format specifier."),
            ("%-", "Incomplete format specifier."),
            ("%1", "Incomplete format specifier."),
            ("%.", "Incomplete format specifier."),
            ("%.1", "Incomplete format specifier."),
            ("%.1:", "Incomplete format specifier."),
            ("@", "Incomplete format specifier."),
            ("%Z", "Invalid format specifier 'Z'."),
            ("%--5l", "Invalid format specifier '5'."),
            ("%.2Zx", "Invalid format specifier 'Z'."),
            ("%::x", "Invalid format specifier ':'."),
            ("%ä", "Invalid format specifier 'ä'."),
            ("\\", "Incomplete escape specifier."),
            ("\\Z", "Invalid escape specifier 'Z'."),
            ("%1000001p", "Invalid format: the field widths add up to more than 1000000."),
            ("%99999999999999999999999l", "Invalid format: the field widths add up to more than 1000000."),
            ("%500000p%500001t", "Invalid format: the field widths add up to more than 1000000."),
            ("%.1000001f", "Invalid format: the field widths add up to more than 1000000."),
        ] {
            assert_eq!(Template::parse(text).unwrap_err().to_string(), expected, "{text:?}");
        }
        assert!(Template::parse("%.99999999999999999999999p").is_ok());
    }

    #[test]
    fn a_specifier_is_taken_apart() {
        let field = |text: &str| match Template::parse(text).unwrap().pieces.as_slice() {
            [Piece::Field(content, field)] => (*content, *field),
            pieces => panic!("{pieces:?}"),
        };
        let hex = Content::Hex { upper: false };
        let empty = Field::default();
        assert_eq!(field("%x"), (hex, empty));
        assert_eq!(
            field("%-012.3:x"),
            (hex, Field { left: true, zeros: true, width: 12, precision: Some(3), separator: Some(b':') })
        );
        assert_eq!(field("%.x"), (hex, Field { precision: Some(0), ..empty }));
        assert_eq!(field("%..x"), (hex, Field { precision: Some(0), separator: Some(b'.'), ..empty }));
        assert_eq!(field("%--x"), (hex, Field { left: true, separator: Some(b'-'), ..empty }));
        assert_eq!(
            field("%00005 p"),
            (Content::Payload, Field { zeros: true, width: 5, separator: Some(b' '), ..empty })
        );
    }

    #[test]
    fn text_around_fields_is_kept_together() {
        let pieces = Template::parse("ä%%@@\\e\\0%5%|%t@H@N@é").unwrap().pieces;
        assert_eq!(
            pieces,
            [
                Piece::Literal("ä%@\u{1b}\0%|".into()),
                Piece::Field(Content::Topic, Field::default()),
                Piece::Time('H'),
                Piece::Nanoseconds,
                Piece::Time('é'),
            ]
        );
        assert_eq!(Template::parse("").unwrap(), Template::default());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,20}", likely in r"[%@\\.0-9tpxXlmqrfdIUjJAEFSCRDPN :-]{0,16}") {
            let _ = Template::parse(&text);
            let _ = Template::parse(&likely);
        }
    }
}
