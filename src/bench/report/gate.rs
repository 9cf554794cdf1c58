//! Gates: conditions on a result that decide the exit status, `--gate 'e2e.p99 <= 20ms && lost == 0'`.
//!
//! A gate is read before anything connects, so that a typo costs no run. A figure that was not measured fails its
//! gate, and an invalid run fails all gates.

use serde_json::Number;
use thiserror::Error;

use super::document::{GateOutcome, ResultDocument, Status};
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

/// What is wrong with a gate.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("gate '{gate}': {fault}")]
pub struct GateError {
    /// The gate, or its condition that is wrong.
    gate: String,
    fault: String,
}

impl GateError {
    fn new(gate: &str, fault: impl Into<String>) -> Self {
        Self { gate: gate.to_owned(), fault: fault.into() }
    }

    fn no_operator(gate: &str) -> Self {
        let form = "no comparison; write METRIC OP VALUE with one of <= >= == != < >, as in 'e2e.p99 <= 20ms'";
        Self::new(gate, form)
    }
}

impl Gate {
    /// Reads a gate.
    ///
    /// # Errors
    /// `GateError`, for the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, GateError> {
        let conditions =
            text.split("&&").map(|condition| Condition::parse(condition.trim(), text)).collect::<Result<_, _>>()?;
        Ok(Self { conditions })
    }

    /// Enters the outcomes of gates in a result.
    pub fn apply(gates: &[Self], document: &mut ResultDocument) {
        document.gates = gates.iter().flat_map(|gate| gate.evaluate(document)).collect();
    }

    /// Compares a result with the gate: an outcome for each condition.
    pub(super) fn evaluate(&self, document: &ResultDocument) -> Vec<GateOutcome> {
        self.conditions.iter().map(|condition| condition.evaluate(document)).collect()
    }
}

impl Condition {
    fn parse(condition: &str, gate: &str) -> Result<Self, GateError> {
        if condition.is_empty() {
            return Err(GateError::new(gate, "a condition is empty; write METRIC OP VALUE, joined by &&"));
        }
        let Some(position) = condition.find(['<', '>', '=', '!']) else {
            return Err(GateError::no_operator(condition));
        };
        let (name, rest) = condition.split_at(position);
        let Some((spelling, operator)) = OPERATORS.iter().find(|(spelling, _)| rest.starts_with(spelling)) else {
            return Err(if rest.starts_with('=') {
                GateError::new(condition, "'=' is not a comparison; write '=='")
            } else {
                GateError::no_operator(condition)
            });
        };
        let (name, value) = (name.trim(), rest[spelling.len()..].trim());
        if let Some(inner) = name.strip_prefix("vs(").and_then(|name| name.strip_suffix(')')) {
            find_metric(inner.trim(), condition)?;
            let change = value.strip_suffix('%').and_then(|change| parse_number(change.trim()));
            let fault = match change {
                Some(_) => {
                    "vs() compares with a result of --baseline, which this version does not have yet; use a fixed limit"
                }
                None => "vs() takes a change in percent, as in 'vs(e2e.p99) <= +10%'",
            };
            return Err(GateError::new(condition, fault));
        }
        let metric = find_metric(name, condition)?;
        let limit = parse_limit(value, metric.kind(), condition)?;
        Ok(Self { text: condition.to_owned(), metric, operator: *operator, limit })
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
        let hint = match nearest {
            // A percentile of what? Of the two that are asked for most.
            _ if Metric::find(&format!("e2e.{name}")).is_some() => {
                format!("; write e2e.{name} (publish to delivery) or ack.{name} (publish to acknowledgement).")
            }
            Some((_, known)) => format!("; did you mean '{known}'?"),
            None => ".".to_owned(),
        };
        GateError::new(text, format!("no metric '{name}'{hint} Metrics: {}", Metric::overview()))
    })
}

/// A number and its unit, in the unit of the document.
fn parse_limit(value: &str, kind: Kind, text: &str) -> Result<f64, GateError> {
    let end = value.find(|letter: char| !(letter.is_ascii_digit() || "+-.".contains(letter))).unwrap_or(value.len());
    let (digits, unit) = (&value[..end], value[end..].trim());
    let not_a_number = || GateError::new(text, format!("'{value}' is not a number with an optional unit"));
    parse_number(digits).ok_or_else(not_a_number)?;
    let exponent = match (kind, unit) {
        (Kind::Latency, "") => {
            let fault = format!("a latency needs a unit: {digits}ns, {digits}us, {digits}ms or {digits}s");
            return Err(GateError::new(text, fault));
        }
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
            return Err(GateError::new(text, format!("'{unit}' does not fit here; {allowed}")));
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
