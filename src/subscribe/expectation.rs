//! `--expect`: what must come, how often and in which time, and what is reported when it does not.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::expression::{Expression, Subject};
use super::jq_process::JqProcess;
use crate::exit_status::ExitStatus;
use crate::terminal::number::counted;
use crate::terminal::{escape_bytes, quoted};

/// Messages that a failure shows.
const SHOWN: usize = 5;
/// Bytes kept of the topic and of the payload of each.
const SHOWN_BYTES: usize = 400;

/// What must come.
#[derive(Clone, Debug)]
pub struct ExpectationPlan {
    /// Each must be met.
    pub expressions: Vec<Expression>,
    /// Messages that must match each of them; none with [`ExpectationPlan::none_within`] alone.
    pub count: u64,
    /// `--within`: the time for that.
    pub within: Option<Duration>,
    /// `--none-within`: the time in which no further message may match.
    pub none_within: Option<Duration>,
}

/// What has come of it.
#[derive(Debug)]
pub(super) struct Expectation {
    plan: ExpectationPlan,
    /// Messages that matched, for each expression.
    matched: Vec<u64>,
    /// Messages that came.
    came: u64,
    /// The last of them.
    last: VecDeque<String>,
    /// Subscribed: `--within` runs.
    has_begun: bool,
    /// When the time of `--within` is over.
    deadline: Option<Instant>,
    /// When the time of `--none-within` is over.
    quiet_until: Option<Instant>,
    outcome: Option<Outcome>,
}

/// How an expectation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Met,
    /// The time was over.
    Unmet,
    /// A message came that should not.
    Surplus {
        expression: usize,
        message: String,
    },
}

impl Expectation {
    pub(super) fn new(plan: ExpectationPlan) -> Self {
        Self {
            matched: vec![0; plan.expressions.len()],
            plan,
            came: 0,
            last: VecDeque::with_capacity(SHOWN),
            has_begun: false,
            deadline: None,
            quiet_until: None,
            outcome: None,
        }
    }

    /// The broker has acknowledged the subscriptions; that of a later connection changes nothing.
    pub(super) fn begin(&mut self, now: Instant) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        self.deadline = self.plan.within.and_then(|time| now.checked_add(time));
        self.settle(now);
    }

    /// Takes a message: whether it matches one of the expressions. `fail` takes the errors of expressions.
    pub(super) fn judge(
        &mut self,
        subject: &Subject<'_>,
        jq: &mut JqProcess,
        now: Instant,
        fail: &mut impl FnMut(String),
    ) -> bool {
        self.came += 1;
        let mut matches = false;
        for (number, expression) in self.plan.expressions.iter().enumerate() {
            match expression.matches(subject, jq) {
                Ok(false) => {}
                Err(error) => fail(error),
                Ok(true) => {
                    matches = true;
                    self.matched[number] += 1;
                    if self.plan.none_within.is_some() && self.matched[number] > self.plan.count {
                        self.outcome
                            .get_or_insert_with(|| Outcome::Surplus { expression: number, message: shown(subject) });
                    }
                }
            }
        }
        if !matches {
            if self.last.len() == SHOWN {
                self.last.pop_front();
            }
            self.last.push_back(shown(subject));
        }
        self.settle(now);
        matches
    }

    /// Looks whether it is met.
    fn settle(&mut self, now: Instant) {
        if self.outcome.is_some() || !self.is_met() {
            return;
        }
        match self.plan.none_within {
            None => self.outcome = Some(Outcome::Met),
            // Nothing is expected of a subscription that is not acknowledged.
            Some(_) if self.plan.count == 0 && !self.has_begun => {}
            Some(time) if self.quiet_until.is_none() => self.quiet_until = now.checked_add(time),
            Some(_) => {}
        }
    }

    fn is_met(&self) -> bool {
        self.matched.iter().all(|matched| *matched >= self.plan.count)
    }

    /// Nothing was read from the broker for this time: a message that must not come may have come, unseen.
    pub(super) fn on_pause(&mut self, pause: Duration) {
        self.quiet_until = self.quiet_until.map(|quiet| quiet.checked_add(pause).unwrap_or(quiet));
    }

    /// When the time may be over.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.outcome.is_some() { None } else { self.quiet_until.or(self.deadline) }
    }

    /// Looks at the clock. To be called once what has been received is judged.
    pub(super) fn check_time(&mut self, now: Instant) {
        if self.due().is_some_and(|due| due <= now) {
            self.outcome = Some(if self.quiet_until.is_some() { Outcome::Met } else { Outcome::Unmet });
        }
    }

    /// Whether it is decided.
    pub(super) const fn has_ended(&self) -> bool {
        self.outcome.is_some()
    }

    /// The end of a run: the exit status and, of a failure, the report.
    pub(super) fn conclude(&self) -> Result<(), (ExitStatus, String)> {
        match &self.outcome {
            Some(Outcome::Met) => Ok(()),
            Some(Outcome::Surplus { expression, message }) => {
                Err((ExitStatus::ExpectationFailed, self.surplus(*expression, message)))
            }
            Some(Outcome::Unmet) => Err(self.unmet()),
            // Something else ended the run.
            None if self.is_met() => Ok(()),
            None => Err(self.unmet()),
        }
    }

    fn surplus(&self, expression: usize, message: &str) -> String {
        let Self { plan: ExpectationPlan { count, none_within, expressions, .. }, .. } = self;
        let expression = quoted(expressions[expression].text());
        let time = none_within.unwrap_or_default().as_secs_f64();
        let what = if *count == 0 {
            format!("a message matched '{expression}' within {time} s")
        } else {
            format!("more than {} matched '{expression}'", counted(*count, "message", "messages"))
        };
        format!("expectation failed: {what}:\n  {message}")
    }

    fn unmet(&self) -> (ExitStatus, String) {
        let Self { plan: ExpectationPlan { expressions, count, within, .. }, matched, came, last, .. } = self;
        let time = match (&self.outcome, within) {
            (Some(_), Some(time)) => format!(" within {} s", time.as_secs_f64()),
            _ => " before the run ended".into(),
        };
        if *came == 0 {
            return (ExitStatus::NothingCame, format!("expectation failed: no message came{time}"));
        }
        let missing = || expressions.iter().zip(matched).filter(|(_, matched)| *matched < count);
        let status = match missing().all(|(_, matched)| *matched > 0) {
            true => ExitStatus::TooFewCame,
            false => ExitStatus::ExpectationFailed,
        };
        let came = counted(*came, "message", "messages");
        let mut report = String::from("expectation failed: ");
        for (number, (expression, matched)) in missing().enumerate() {
            let expression = quoted(expression.text());
            let separator = if number == 0 { "" } else { "; " };
            let _ = match matched {
                0 => write!(report, "{separator}none of {came} matched '{expression}'{time}"),
                _ => {
                    write!(report, "{separator}{matched} of {count} messages matched '{expression}'{time}; {came} came")
                }
            };
        }
        if !last.is_empty() {
            report.push_str("\n  Last messages that did not match:");
            last.iter().for_each(|message| {
                let _ = write!(report, "\n    {message}");
            });
        }
        (status, report)
    }
}

/// A message on a line of a report.
fn shown(subject: &Subject<'_>) -> String {
    let publish = &subject.message().publish;
    let part = |bytes: &[u8]| quoted(&escape_bytes(&bytes[..bytes.len().min(SHOWN_BYTES)]));
    let payload = if publish.payload.is_empty() { "(empty)".into() } else { part(publish.payload) };
    format!("{} {payload}", part(publish.topic.as_bytes()))
}
