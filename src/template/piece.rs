//! What a template consists of, and the text that it makes.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use chrono::format::Item;
use chrono::{DateTime, Utc};

use super::draw::Draws;
use super::table::Table;

/// Which placeholders there are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope<'a> {
    /// Those of a client, in names and topics of mqbench.
    Client {
        /// The rows of `--csv`.
        table: &'a Table,
    },
    /// Those and the ones of a message, in payloads of mqbench.
    ClientMessage {
        /// The rows of `--csv`.
        table: &'a Table,
    },
    /// Those of a message of mqpub.
    Message {
        /// The columns of `--csv`.
        columns: &'a [String],
        /// Whether messages come from lines.
        has_line: bool,
    },
}

/// How a time is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TimeForm {
    /// Unix time in units of this many nanoseconds.
    Unix(u64),
    /// As RFC 3339 has it, in UTC, with milliseconds.
    Rfc3339,
    /// In the way of strftime, in UTC.
    Items(Vec<Item<'static>>),
}

/// What stands for a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// The client's number, with at least this many digits.
    Number(usize),
    ClientId,
    UserName,
    /// The message's number from 0, with at least this many digits.
    Sequence(usize),
    /// A counter.
    Count {
        start: i64,
        step: i64,
    },
    Time(TimeForm),
    Int {
        least: i64,
        most: i64,
        draws: Draws,
    },
    Float {
        least: f64,
        most: f64,
        decimals: usize,
        draws: Draws,
    },
    Choice {
        texts: Vec<String>,
        draws: Draws,
    },
    Uuid(Draws, Draws),
    /// A column of the table, and its longest value.
    Column(usize, usize),
    /// The line that the message comes from.
    Line,
}

/// No float is NaN: the parser takes none.
impl Eq for Piece {}

impl Piece {
    const fn is_of_client(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Number(_) | Self::ClientId | Self::UserName)
    }

    /// Appends its text, except that of a client, which has become text before.
    fn append(&self, context: &Context<'_>, out: &mut Vec<u8>) {
        let Context { sequence, place, unix_ns, row, line } = *context;
        // Writing to memory does not fail.
        let _ = match self {
            Self::Text(plain) => out.write_all(plain.as_bytes()),
            Self::Sequence(width) => write!(out, "{sequence:0width$}"),
            Self::Count { start, step } => {
                write!(out, "{}", start.wrapping_add(step.wrapping_mul(sequence as i64)))
            }
            Self::Time(form) => append_time(form, unix_ns, out),
            Self::Int { least, most, draws } => write!(out, "{}", draw_int(*least, *most, *draws, place)),
            Self::Float { least, most, decimals, draws } => {
                let value = least + (most - least) * draws.uniform(place);
                write!(out, "{value:.decimals$}")
            }
            Self::Choice { texts, draws } => {
                let drawn = draws.below(place, texts.len() as u64) as usize;
                out.write_all(texts.get(drawn).map_or(b"", |text| text.as_bytes()))
            }
            Self::Uuid(high, low) => {
                let bits = u128::from(high.bits(place)) << 64 | u128::from(low.bits(place));
                let uuid = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
                write!(out, "{}", uuid.hyphenated())
            }
            Self::Column(number, _) => out.write_all(row.get(*number).map_or(b"", Vec::as_slice)),
            Self::Line => out.write_all(line),
            Self::Number(_) | Self::ClientId | Self::UserName => Ok(()),
        };
    }

    /// Most bytes of its text.
    fn longest(&self) -> usize {
        const DIGITS: usize = 20;
        match self {
            Self::Text(text) => text.len(),
            Self::Sequence(width) => DIGITS.max(*width),
            Self::Count { .. } | Self::Int { .. } => DIGITS,
            Self::Time(TimeForm::Unix(_)) => DIGITS,
            Self::Time(TimeForm::Rfc3339) => 24,
            Self::Time(TimeForm::Items(items)) => items.iter().map(longest_of_item).sum(),
            Self::Float { least, most, decimals, .. } => {
                let length = |value: &f64| format!("{value:.decimals$}").len();
                length(least).max(length(most))
            }
            Self::Choice { texts, .. } => texts.iter().map(String::len).max().unwrap_or_default(),
            Self::Uuid(..) => 36,
            Self::Column(_, longest) => *longest,
            Self::Number(_) | Self::ClientId | Self::UserName | Self::Line => 0,
        }
    }
}

/// Most bytes that an item of strftime becomes.
fn longest_of_item(item: &Item<'_>) -> usize {
    match item {
        Item::Literal(text) | Item::Space(text) => text.len(),
        Item::OwnedLiteral(text) | Item::OwnedSpace(text) => text.len(),
        _ => 40,
    }
}

/// What a message brings for its placeholders.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Context<'a> {
    /// Its number from 0.
    pub(crate) sequence: u64,
    /// Its place in the draws: its number, or one that also depends on its publisher.
    pub(crate) place: u64,
    /// Unix time in nanoseconds.
    pub(crate) unix_ns: u64,
    /// Its row of the table.
    pub(crate) row: &'a [Vec<u8>],
    /// The line it comes from.
    pub(crate) line: &'a [u8],
}

/// What templates of clients draw from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    /// The rows of `--csv`.
    pub(crate) table: Arc<Table>,
    /// Random values follow from it.
    pub(crate) seed: u64,
}

/// A text with placeholders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pub(super) pieces: Vec<Piece>,
    /// As it is written.
    pub(super) text: String,
    /// Where its columns come from.
    pub(super) table: Arc<Table>,
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Template {
    /// Whether clients, or messages, get different texts.
    pub fn varies(&self) -> bool {
        self.pieces.iter().any(|piece| !matches!(piece, Piece::Text(_)))
    }

    /// Whether each message gets a different text.
    pub fn varies_by_message(&self) -> bool {
        self.pieces.iter().any(|piece| !piece.is_of_client())
    }

    /// Whether the texts of two clients may be the same although the template varies.
    pub(crate) fn may_repeat(&self) -> bool {
        let repeats = |piece: &Piece| {
            matches!(piece, Piece::Int { .. } | Piece::Float { .. } | Piece::Choice { .. } | Piece::Column(..))
        };
        self.pieces.iter().any(repeats)
    }

    /// The text of one client. In a payload the placeholders for the message are those of message 0:
    /// [`Self::for_client`] keeps them.
    pub fn expand(&self, number: usize, client_id: &str, user_name: &str) -> String {
        text_of_client(&self.pieces, number, client_id, user_name, self.table.row(number as u64))
    }

    /// The row of a message.
    pub(crate) fn row(&self, number: u64) -> &[Vec<u8>] {
        self.table.row(number)
    }

    /// The template that is left when the client is known.
    pub fn for_client(&self, number: usize, client_id: &str, user_name: &str) -> MessageTemplate {
        let mut pieces = Vec::new();
        for run in self.pieces.chunk_by(|one, other| one.is_of_client() == other.is_of_client()) {
            if run.iter().all(Piece::is_of_client) {
                pieces.push(Piece::Text(text_of_client(run, number, client_id, user_name, &[])));
            } else {
                pieces.extend(run.iter().cloned());
            }
        }
        MessageTemplate(pieces)
    }

    /// The template of messages that belong to no numbered client.
    pub(crate) fn for_messages(self) -> MessageTemplate {
        MessageTemplate(self.pieces)
    }

    /// The Topic Filter that all its texts match: a `+` for every level with a placeholder. `None` where the first
    /// level has one: such a filter asks for everybody's topics, and does not match those that begin with `$`
    /// (MQTT-4.7.2-1).
    pub fn filter(&self) -> Option<String> {
        // A character that is in no topic marks the placeholders; other text is kept.
        const PLACE: char = '\0';
        let marked: String = self
            .pieces
            .iter()
            .map(|piece| if let Piece::Text(plain) = piece { plain.clone() } else { PLACE.to_string() })
            .collect();
        let levels: Vec<&str> =
            marked.split('/').map(|level| if level.contains(PLACE) { "+" } else { level }).collect();
        (levels[0] != "+").then(|| levels.join("/"))
    }
}

/// The text of pieces for one client.
fn text_of_client(pieces: &[Piece], number: usize, client_id: &str, user_name: &str, row: &[Vec<u8>]) -> String {
    let mut text = Vec::new();
    let context = Context { sequence: number as u64, place: number as u64, row, ..Context::default() };
    for piece in pieces {
        match piece {
            Piece::Number(width) => text.extend_from_slice(format!("{number:0width$}").as_bytes()),
            Piece::ClientId => text.extend_from_slice(client_id.as_bytes()),
            Piece::UserName => text.extend_from_slice(user_name.as_bytes()),
            other => other.append(&context, &mut text),
        }
    }
    // A value of --csv may be no text; a name of MQTT must be.
    String::from_utf8(text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// A text with placeholders for what differs from message to message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageTemplate(Vec<Piece>);

impl MessageTemplate {
    /// The text of a message without a row and a line. A door for the fuzz targets.
    #[doc(hidden)]
    pub fn text_of(&self, sequence: u64, unix_ns: u64) -> Vec<u8> {
        let mut out = Vec::new();
        self.append(&Context { sequence, place: sequence, unix_ns, ..Context::default() }, &mut out);
        assert!(out.len() <= self.longest(), "{} bytes, at most {} expected", out.len(), self.longest());
        out
    }

    /// Most bytes of a text of mqbench.
    pub(crate) fn longest(&self) -> usize {
        self.0.iter().map(Piece::longest).sum()
    }

    /// Appends the text of a message.
    pub(crate) fn append(&self, context: &Context<'_>, out: &mut Vec<u8>) {
        self.0.iter().for_each(|piece| piece.append(context, out));
    }
}

/// A number of a range, both ends included.
fn draw_int(least: i64, most: i64, draws: Draws, place: u64) -> i64 {
    match most.wrapping_sub(least).cast_unsigned().checked_add(1) {
        Some(count) => least.wrapping_add(draws.below(place, count).cast_signed()),
        None => draws.bits(place).cast_signed(),
    }
}

fn append_time(form: &TimeForm, unix_ns: u64, out: &mut Vec<u8>) -> std::io::Result<()> {
    if let TimeForm::Unix(unit) = form {
        return write!(out, "{}", unix_ns / unit);
    }
    let time = DateTime::<Utc>::from_timestamp_nanos(i64::try_from(unix_ns).unwrap_or(i64::MAX));
    match form {
        TimeForm::Items(items) => write!(out, "{}", time.format_with_items(items.iter())),
        _ => write!(out, "{}", time.format("%Y-%m-%dT%H:%M:%S%.3fZ")),
    }
}
