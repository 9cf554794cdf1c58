//! Gates: conditions on a result that decide the exit status, `--gate 'e2e.p99 <= 20ms && lost == 0'`, and on how it
//! differs from a baseline, `vs(e2e.p99) <= +10%`.
//!
//! A gate is read before anything connects, so that a typo costs no run. A figure that was not measured fails its
//! gate, and an invalid run fails all gates.

use thiserror::Error;

use super::document::{GateOutcome, ResultDocument};
use super::metric::{Kind, Metric, number};
use super::status::Status;
use crate::terminal::number as shown;

/// One `--gate`: conditions that must all hold.
#[derive(Clone, Debug)]
pub struct Gate {
    conditions: Vec<Condition>,
}

/// `METRIC OP VALUE`, or `vs(METRIC) OP CHANGE%`.
#[derive(Clone, Debug)]
struct Condition {
    text: String,
    metric: Metric,
    /// The change against the baseline is what counts, in percent.
    is_change: bool,
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

    /// The gate as it was written.
    pub fn text(&self) -> String {
        let conditions: Vec<&str> = self.conditions.iter().map(|condition| condition.text.as_str()).collect();
        conditions.join(" && ")
    }

    /// Whether it needs a baseline.
    pub fn needs_baseline(&self) -> bool {
        self.conditions.iter().any(|condition| condition.is_change)
    }

    /// Whether a condition of it is about a latency.
    pub fn needs_latency(&self) -> bool {
        self.conditions.iter().any(|condition| condition.metric.kind() == Kind::Latency)
    }

    /// How many messages its figures need.
    pub(crate) fn samples_needed(&self) -> u64 {
        self.conditions.iter().map(|condition| condition.metric.samples_needed()).max().unwrap_or(1)
    }

    /// Enters the outcomes of gates in a result; `baseline` is what `vs()` compares with.
    pub fn apply(gates: &[Self], document: &mut ResultDocument, baseline: Option<&ResultDocument>) {
        document.gates = gates.iter().flat_map(|gate| gate.evaluate(document, baseline)).collect();
    }

    /// Compares a result with the gate: an outcome for each condition.
    pub fn evaluate(&self, document: &ResultDocument, baseline: Option<&ResultDocument>) -> Vec<GateOutcome> {
        self.conditions.iter().map(|condition| condition.evaluate(document, baseline)).collect()
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
            let metric = find_metric(inner.trim(), condition)?;
            let change = value.strip_suffix('%').and_then(|change| parse_number(change.trim()));
            let fault = || GateError::new(condition, "vs() takes a change in percent, as in 'vs(e2e.p99) <= +10%'");
            let limit = change.ok_or_else(fault)?;
            return Ok(Self { text: condition.to_owned(), metric, is_change: true, operator: *operator, limit });
        }
        let metric = find_metric(name, condition)?;
        let limit = parse_limit(value, metric.kind(), condition)?;
        Ok(Self { text: condition.to_owned(), metric, is_change: false, operator: *operator, limit })
    }

    fn evaluate(&self, document: &ResultDocument, baseline: Option<&ResultDocument>) -> GateOutcome {
        let value = self.value(document, baseline);
        // A run that failed or was not valid measured something else than was asked.
        let reason = match (document.status, &value) {
            (Status::Invalid, _) => Some(invalid("the run", document)),
            (Status::Failed, _) => Some(failed(document)),
            (_, Err(reason)) => Some(reason.clone()),
            (_, Ok(value)) if self.operator.holds(*value, self.limit) => None,
            (_, Ok(value)) => Some(self.miss(*value, baseline)),
        };
        GateOutcome {
            expr: self.text.clone(),
            value: value.ok().and_then(number),
            limit: number(self.limit),
            pass: reason.is_none(),
            reason,
        }
    }

    /// The figure, or its change in percent; an error says why there is none.
    fn value(&self, document: &ResultDocument, baseline: Option<&ResultDocument>) -> Result<f64, String> {
        let (metric, of) = (self.metric, |document: &ResultDocument| self.metric.value(document));
        let value = of(document).filter(|value| value.is_finite()).ok_or_else(|| metric.absence(document))?;
        if !self.is_change {
            return Ok(value);
        }
        let baseline = baseline.ok_or("there is no baseline to compare with: add --baseline")?;
        if !baseline.status.has_figures() {
            return Err(invalid("the baseline", baseline));
        }
        let before = of(baseline).filter(|value| value.is_finite());
        let before = before.ok_or_else(|| format!("in the baseline, {}", metric.absence(baseline)))?;
        let same = || (value == before).then_some(0.0);
        percent_change(before, value).or_else(same).ok_or_else(|| {
            let (name, now) = (metric.name(), metric.shown(value));
            format!("{name} is {now}, and was 0 in the baseline: there is no change in percent; use a fixed limit")
        })
    }

    /// Why a figure does not hold.
    fn miss(&self, value: f64, baseline: Option<&ResultDocument>) -> String {
        let name = self.metric.name();
        if !self.is_change {
            return format!("{name} is {}", self.metric.shown(value));
        }
        let before = baseline.and_then(|baseline| self.metric.value(baseline)).unwrap_or_default();
        let now = before * (1.0 + value / 100.0);
        format!(
            "{name} changed by {} from {} to {}",
            signed_percent(value),
            self.metric.shown(before),
            self.metric.shown(now)
        )
    }
}

/// What a gate found: the figure in its unit, or why the gate did not hold.
pub(crate) fn finding(outcome: &GateOutcome) -> String {
    if let Some(reason) = &outcome.reason {
        return reason.clone();
    }
    let value = outcome.value.as_ref().and_then(serde_json::Number::as_f64).unwrap_or_default();
    let name = outcome.expr.split(['<', '>', '=', '!']).next().unwrap_or_default().trim();
    match Metric::find(name) {
        Some(metric) => metric.shown(value),
        None => signed_percent(value),
    }
}

/// Why figures are not those of what was asked for.
fn invalid(what: &str, document: &ResultDocument) -> String {
    let fault = document.invalid.first().map(|fault| fault.text.as_str()).or(document.run.error.as_deref());
    format!("{what} is not valid{}", fault.map_or_else(String::new, |fault| format!(": {fault}")))
}

fn failed(document: &ResultDocument) -> String {
    format!("the run failed{}", document.run.error.as_ref().map_or_else(String::new, |error| format!(": {error}")))
}

/// The change from one figure to another in percent; `None` where the first is none.
pub(crate) fn percent_change(from: f64, to: f64) -> Option<f64> {
    (from > 0.0).then(|| 100.0 * (to - from) / from)
}

/// A change with its sign: `+12 %`, `-0.4 %`.
pub(crate) fn signed_percent(change: f64) -> String {
    format!("{}{}", if change > 0.0 { "+" } else { "" }, shown::percent(change))
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
