//! Gates: conditions on a result that decide the exit status, `--gate 'e2e.p99 <= 20ms && lost == 0'`.
//!
//! A gate is read before anything connects, so that a typo costs no run. A figure that was not measured fails its
//! gate, and an invalid run fails all.

use serde::{Deserialize, Serialize};
use serde_json::Number;
use thiserror::Error;

use super::document::{ResultDocument, Status};
use super::metric::{Kind, Metric};

/// One `--gate`: conditions that must all hold.
#[derive(Clone, Debug)]
pub struct Gate {
    conditions: Vec<Condition>,
}

/// `METRIC OP VALUE`.
#[derive(Clone, Debug)]
struct Condition {
    text: String,
    metric: Metric,
    operator: Operator,
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

/// Longer spellings first: `<=` is no `<`.
const OPERATORS: &[(&str, Operator)] = &[
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// What became of a condition; latencies are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateOutcome {
    /// The condition as it was written.
    pub expr: String,
    /// The figure; null when it was not measured.
    pub value: Option<Number>,
    /// What it was held against.
    pub limit: Option<Number>,
    /// Whether it held.
    pub pass: bool,
}

/// What is wrong with a gate.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GateError {
    /// There is no comparison in it.
    #[error("gate '{0}': no comparison; write METRIC OP VALUE with one of <= >= == != < >, as in 'e2e.p99 <= 20ms'")]
    NoOperator(String),
    /// `=`.
    #[error("gate '{0}': '=' is no comparison; write '=='")]
    SingleEquals(String),
    /// A condition of nothing.
    #[error("gate '{0}': a condition is empty; write METRIC OP VALUE, and more of them with && between")]
    Empty(String),
    /// A name that does not exist.
    #[error("gate '{text}': no metric '{name}'{hint} There are {overview}")]
    UnknownMetric {
        /// The gate.
        text: String,
        /// The name.
        name: String,
        /// What may have been meant.
        hint: String,
        /// What exists.
        overview: String,
    },
    /// A limit that is no number.
    #[error("gate '{text}': '{value}' is not a number with an optional unit")]
    BadNumber {
        /// The gate.
        text: String,
        /// The limit.
        value: String,
    },
    /// A latency without unit.
    #[error("gate '{text}': a latency needs a unit: {value}ns, {value}us, {value}ms or {value}s")]
    NoUnit {
        /// The gate.
        text: String,
        /// The limit.
        value: String,
    },
    /// A unit that does not fit.
    #[error("gate '{text}': '{unit}' does not fit here; {allowed}")]
    BadUnit {
        /// The gate.
        text: String,
        /// The unit.
        unit: String,
        /// What fits.
        allowed: &'static str,
    },
    /// `vs(…)`.
    #[error(
        "gate '{0}': vs() compares with a result of --baseline, which this version does not have yet; give a fixed limit"
    )]
    NoBaseline(String),
    /// `vs(…)` with something other than percent.
    #[error("gate '{0}': vs() takes a change in percent, as in 'vs(e2e.p99) <= +10%'")]
    BadChange(String),
}

impl Gate {
    /// Reads a gate.
    ///
    /// # Errors
    /// [`GateError`], for the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, GateError> {
        let conditions =
            text.split("&&").map(|condition| Condition::parse(condition.trim(), text)).collect::<Result<_, _>>()?;
        Ok(Self { conditions })
    }

    /// Holds the gate against a result: an outcome for each condition.
    pub fn evaluate(&self, document: &ResultDocument) -> Vec<GateOutcome> {
        self.conditions.iter().map(|condition| condition.evaluate(document)).collect()
    }
}

impl Condition {
    fn parse(condition: &str, gate: &str) -> Result<Self, GateError> {
        if condition.is_empty() {
            return Err(GateError::Empty(gate.to_owned()));
        }
        let text = condition.to_owned();
        let Some(position) = condition.find(['<', '>', '=', '!']) else {
            return Err(GateError::NoOperator(text));
        };
        let (name, rest) = condition.split_at(position);
        let Some((spelling, operator)) = OPERATORS.iter().find(|(spelling, _)| rest.starts_with(spelling)) else {
            return Err(if rest.starts_with('=') {
                GateError::SingleEquals(text)
            } else {
                GateError::NoOperator(text)
            });
        };
        let (name, value) = (name.trim(), rest[spelling.len()..].trim());
        if let Some(inner) = name.strip_prefix("vs(").and_then(|name| name.strip_suffix(')')) {
            find_metric(inner.trim(), &text)?;
            let change = value.strip_suffix('%').and_then(|change| parse_number(change.trim()));
            return Err(if change.is_some() { GateError::NoBaseline(text) } else { GateError::BadChange(text) });
        }
        let metric = find_metric(name, &text)?;
        let limit = parse_limit(value, metric.kind(), &text)?;
        Ok(Self { text, metric, operator: *operator, limit })
    }

    fn evaluate(&self, document: &ResultDocument) -> GateOutcome {
        let value = self.metric.read(document).filter(|value| value.is_finite());
        let holds = value.is_some_and(|value| self.operator.holds(value, self.limit));
        // A run that failed or was not valid measured something else than was asked.
        let measured = matches!(document.status, Status::Ok | Status::Partial);
        GateOutcome {
            expr: self.text.clone(),
            value: value.and_then(number),
            limit: number(self.limit),
            pass: holds && measured,
        }
    }
}

impl Operator {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Less => value < limit,
            Self::LessOrEqual => value <= limit,
            Self::Equal => value == limit,
            Self::NotEqual => value != limit,
            Self::GreaterOrEqual => value >= limit,
            Self::Greater => value > limit,
        }
    }
}

fn find_metric(name: &str, text: &str) -> Result<Metric, GateError> {
    Metric::find(name).ok_or_else(|| {
        let nearest = Metric::names()
            .map(|known| (strsim::jaro_winkler(&known, name), known))
            .max_by(|left, right| left.0.total_cmp(&right.0))
            .filter(|(likeness, _)| *likeness > 0.75);
        GateError::UnknownMetric {
            text: text.to_owned(),
            name: name.to_owned(),
            hint: match nearest {
                // A percentile of what? Of the two that are asked for most.
                _ if Metric::find(&format!("e2e.{name}")).is_some() => {
                    format!("; write e2e.{name} (publish to delivery) or ack.{name} (publish to acknowledgement).")
                }
                Some((_, known)) => format!("; did you mean '{known}'?"),
                None => ".".to_owned(),
            },
            overview: Metric::overview(),
        }
    })
}

/// A number and its unit, in the unit of the document.
fn parse_limit(value: &str, kind: Kind, text: &str) -> Result<f64, GateError> {
    let end = value.find(|letter: char| !(letter.is_ascii_digit() || "+-.".contains(letter))).unwrap_or(value.len());
    let (digits, unit) = (&value[..end], value[end..].trim());
    let not_a_number = || GateError::BadNumber { text: text.to_owned(), value: value.to_owned() };
    parse_number(digits).ok_or_else(not_a_number)?;
    let exponent = match (kind, unit) {
        (Kind::Latency, "") => return Err(GateError::NoUnit { text: text.to_owned(), value: digits.to_owned() }),
        (Kind::Latency, "ns") | (Kind::Number, "") | (Kind::Percent, "" | "%") => 0,
        // U+00B5 and U+03BC, which look the same
        (Kind::Latency, "us" | "µs" | "μs") => 3,
        (Kind::Latency, "ms") => 6,
        (Kind::Latency, "s") => 9,
        (Kind::Number, "k") => 3,
        (Kind::Number, "M") => 6,
        (Kind::Number, "G") => 9,
        (kind, unit) => {
            let allowed = match kind {
                Kind::Latency => "a latency takes ns, us, ms or s",
                Kind::Number => "a count or rate takes k, M or G, or nothing",
                Kind::Percent => "a share takes %",
            };
            return Err(GateError::BadUnit { text: text.to_owned(), unit: unit.to_owned(), allowed });
        }
    };
    // Decimal digits with an exponent are read exactly: 8753.3 s times 1e9 would be 8753299999999.999 ns.
    let limit = format!("{digits}e{exponent}").parse().ok();
    limit.filter(|limit: &f64| limit.is_finite()).ok_or_else(not_a_number)
}

/// Digits, a sign and a point; none of the words (`inf`, `nan`) and exponents that f64 reads too.
fn parse_number(digits: &str) -> Option<f64> {
    let plain = digits.chars().all(|letter| letter.is_ascii_digit() || "+-.".contains(letter));
    digits.parse().ok().filter(|number: &f64| plain && number.is_finite())
}

/// Whole numbers as such: a script wants 20000000 and not 20000000.0.
fn number(value: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        Some(Number::from(value as i64))
    } else {
        Number::from_f64(value)
    }
}

#[cfg(test)]
mod tests;
