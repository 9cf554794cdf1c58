//! Reads a template.

use std::sync::Arc;

use chrono::format::StrftimeItems;
use thiserror::Error;

use super::draw::Draws;
use super::piece::{Piece, Scope, Source, Template, TimeForm};

/// Most digits that a number is padded to: those of the largest one.
const MAX_WIDTH: usize = 20;
/// Most decimals of a float: what an f64 holds.
const MAX_DECIMALS: usize = 17;
/// The first domain of random draws; those below are of schedules and fillings.
const FIRST_DRAWS: u64 = 1 << 32;
const NANOS: u64 = 1_000_000_000;

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// A placeholder that does not exist, or not there.
    #[error("`{placeholder}` is not a placeholder here: use {known} or %% (a percent sign)")]
    Unknown {
        /// As it is written.
        placeholder: String,
        /// Those that are there.
        known: &'static str,
    },
    /// A percent sign at the end.
    #[error("a single % at the end: write %% for a percent sign")]
    Dangling,
    /// A number padded to too many digits.
    #[error("`%0` needs the number of digits, 1 to {MAX_WIDTH}, and i or s, as in %05i")]
    Width,
    /// `%{` without its end.
    #[error("`%{{` without its `}}`")]
    Open,
    /// A value that a placeholder cannot have.
    #[error("`%{{{placeholder}}}` must have the form %{{{form}}}")]
    Form {
        /// As it is written.
        placeholder: String,
        /// How it is written right.
        form: &'static str,
    },
    /// A column that the table does not have.
    #[error("the CSV file has no column '{column}'; it has {columns}")]
    Column {
        /// As it is written.
        column: String,
        /// Those that are there.
        columns: String,
    },
}

const CLIENT: &str = "%i (client number; %05i with leading zeros), %c (client id), %u (user name), %{count}, \
                      %{int:1..6}, %{float:0..1}, %{choice:a|b}, %{uuid}, %{csv:COLUMN} (with --csv)";
const CLIENT_MESSAGE: &str = "%i (client number; %05i with leading zeros), %c (client id), %u (user name), %s (number of \
                              the message), %t (Unix time in milliseconds), %{count}, %{time}, %{int:1..6}, \
                              %{float:0..1}, %{choice:a|b}, %{uuid}, %{csv:COLUMN} (with --csv)";
const MESSAGE: &str = "%s (number of the message; %05s with leading zeros), %t (Unix time in milliseconds), %{count}, \
                       %{time}, %{int:1..6}, %{float:0..1}, %{choice:a|b}, %{uuid}, %{csv:COLUMN} (with --csv), %{line} \
                       (with -l)";

impl Scope<'_> {
    const fn known(self) -> &'static str {
        match self {
            Self::Client { .. } => CLIENT,
            Self::ClientMessage { .. } => CLIENT_MESSAGE,
            Self::Message { .. } => MESSAGE,
        }
    }

    /// The columns of `--csv`.
    fn columns(&self) -> &[String] {
        match self {
            Self::Client { table } | Self::ClientMessage { table } => table.columns(),
            Self::Message { columns, .. } => columns,
        }
    }

    /// The longest value of a column, where it matters: mqpub has no use for it.
    fn longest(self, column: usize) -> usize {
        match self {
            Self::Client { table } | Self::ClientMessage { table } => table.longest(column),
            Self::Message { .. } => 0,
        }
    }

    const fn has_clients(self) -> bool {
        matches!(self, Self::Client { .. } | Self::ClientMessage { .. })
    }

    const fn has_messages(self) -> bool {
        matches!(self, Self::ClientMessage { .. } | Self::Message { .. })
    }
}

impl Template {
    /// Reads a template of names and topics of clients.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, TemplateError> {
        Self::of_client(text, &Source::default())
    }

    /// Reads a template of a payload of mqbench. A door for the fuzz targets.
    ///
    /// # Errors
    /// What is wrong with it.
    #[doc(hidden)]
    pub fn of_payload(text: &str) -> Result<Self, TemplateError> {
        Self::of_messages(text, &Source::default())
    }

    /// Reads a template of names and topics of clients: random values are drawn, and rows taken, by the client's
    /// number.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of_client(text: &str, source: &Source) -> Result<Self, TemplateError> {
        let template = Self::in_scope(text, Scope::Client { table: &source.table }, source.seed)?;
        Ok(Self { table: source.table.clone(), ..template })
    }

    /// Reads a template of a payload of mqbench.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of_messages(text: &str, source: &Source) -> Result<Self, TemplateError> {
        let template = Self::in_scope(text, Scope::ClientMessage { table: &source.table }, source.seed)?;
        Ok(Self { table: source.table.clone(), ..template })
    }

    /// Reads a template; values are drawn from the seed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn in_scope(text: &str, scope: Scope<'_>, seed: u64) -> Result<Self, TemplateError> {
        parse(text, scope, seed).map(|pieces| Self { pieces, text: text.to_owned(), table: Arc::default() })
    }
}

/// Reads a template into its pieces.
fn parse(text: &str, scope: Scope<'_>, seed: u64) -> Result<Vec<Piece>, TemplateError> {
    let unknown = |placeholder: String| TemplateError::Unknown { placeholder, known: scope.known() };
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let letter = after.chars().next().ok_or(TemplateError::Dangling)?;
        let (piece, behind) = match letter {
            '%' => {
                plain.push('%');
                rest = &after[1..];
                continue;
            }
            '{' => {
                let (inside, behind) = after[1..].split_once('}').ok_or(TemplateError::Open)?;
                let purpose = FIRST_DRAWS + 2 * pieces.len() as u64;
                let draws = [Draws::new(seed, purpose), Draws::new(seed, purpose + 1)];
                let piece = long_form(inside, scope, draws)?;
                (piece.ok_or_else(|| unknown(format!("%{{{inside}}}")))?, behind)
            }
            '0' => {
                let (width, letter, behind) = width_and_letter(&after[1..])?;
                match letter {
                    'i' if scope.has_clients() => (Piece::Number(width), behind),
                    's' if scope.has_messages() => (Piece::Sequence(width), behind),
                    _ => return Err(TemplateError::Width),
                }
            }
            letter => {
                let piece = match letter {
                    'i' if scope.has_clients() => Piece::Number(0),
                    'c' if scope.has_clients() => Piece::ClientId,
                    'u' if scope.has_clients() => Piece::UserName,
                    's' if scope.has_messages() => Piece::Sequence(0),
                    't' if scope.has_messages() => Piece::Time(TimeForm::Unix(NANOS / 1000)),
                    letter => return Err(unknown(format!("%{letter}"))),
                };
                (piece, &after[letter.len_utf8()..])
            }
        };
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(piece);
        rest = behind;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

/// The digits and the letter behind `%0`, and what follows.
fn width_and_letter(text: &str) -> Result<(usize, char, &str), TemplateError> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).ok_or(TemplateError::Width)?;
    let width = text[..end].parse().ok().filter(|width| (1..=MAX_WIDTH).contains(width)).ok_or(TemplateError::Width)?;
    let letter = text[end..].chars().next().ok_or(TemplateError::Width)?;
    Ok((width, letter, &text[end + letter.len_utf8()..]))
}

/// The placeholder within `%{` and `}`; none where it does not exist here.
fn long_form(inside: &str, scope: Scope<'_>, draws: [Draws; 2]) -> Result<Option<Piece>, TemplateError> {
    let (name, value) = inside.split_once(':').map_or((inside, None), |(name, value)| (name, Some(value)));
    let or_form = |piece: Option<Piece>, form| {
        piece.map(Some).ok_or_else(|| TemplateError::Form { placeholder: inside.to_owned(), form })
    };
    match (name, value) {
        ("count", value) => or_form(counter(value), "count:START:STEP"),
        ("time", _) if !scope.has_messages() => Ok(None),
        ("time", value) => {
            or_form(time_form(value).map(Piece::Time), "time:FORM}, FORM being s, ms, us, ns or as in %{time:%Y-%m-%d")
        }
        ("int", value) => or_form(value.and_then(|value| int(value, draws[0])), "int:1..6"),
        ("float", value) => {
            or_form(value.and_then(|value| float(value, draws[0])), "float:0..1} or, with decimals, %{float:18..24:1")
        }
        ("choice", Some(value)) => {
            let texts = value.split('|').map(str::to_owned).collect();
            Ok(Some(Piece::Choice { texts, draws: draws[0] }))
        }
        ("choice", None) => or_form(None, "choice:on|off"),
        ("uuid", None) => Ok(Some(Piece::Uuid(draws[0], draws[1]))),
        ("line", None) => Ok(matches!(scope, Scope::Message { has_line: true, .. }).then_some(Piece::Line)),
        ("csv", Some(column)) if !scope.columns().is_empty() => {
            let columns = scope.columns();
            let number = columns.iter().position(|name| name == column);
            let missing = || TemplateError::Column { column: column.to_owned(), columns: columns.join(", ") };
            number.map(|number| Some(Piece::Column(number, scope.longest(number)))).ok_or_else(missing)
        }
        _ => Ok(None),
    }
}

fn counter(value: Option<&str>) -> Option<Piece> {
    let Some(value) = value else { return Some(Piece::Count { start: 0, step: 1 }) };
    let (start, step) = value.split_once(':').unwrap_or((value, "1"));
    Some(Piece::Count { start: start.parse().ok()?, step: step.parse().ok()? })
}

fn time_form(value: Option<&str>) -> Option<TimeForm> {
    Some(match value {
        None => TimeForm::Rfc3339,
        Some("s") => TimeForm::Unix(NANOS),
        Some("ms") => TimeForm::Unix(NANOS / 1_000),
        Some("us") => TimeForm::Unix(1_000),
        Some("ns") => TimeForm::Unix(1),
        Some(format) if format.contains('%') => TimeForm::Items(StrftimeItems::new(format).parse_to_owned().ok()?),
        Some(_) => return None,
    })
}

fn int(value: &str, draws: Draws) -> Option<Piece> {
    let (least, most) = value.split_once("..")?;
    let (least, most) = (least.parse().ok()?, most.parse().ok()?);
    (least <= most).then_some(Piece::Int { least, most, draws })
}

fn float(value: &str, draws: Draws) -> Option<Piece> {
    let (range, decimals) = value.split_once(':').unwrap_or((value, "3"));
    let (least, most) = range.split_once("..")?;
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.abs() <= 1e15);
    let (least, most) = (number(least)?, number(most)?);
    let decimals = decimals.parse().ok().filter(|decimals| *decimals <= MAX_DECIMALS)?;
    (least <= most).then_some(Piece::Float { least, most, decimals, draws })
}
