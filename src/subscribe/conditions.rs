//! `--filter`, `--until` and `--expect` together, in one place that a run without them does not have.

use std::time::{Duration, Instant};

use super::ReceivedMessage;
use super::expectation::{Expectation, ExpectationPlan};
use super::expression::{Expression, Subject};
use super::jq_process::JqProcess;
use super::selection::{Judgement, Selection};
use crate::client::Diagnostics;
use crate::exit_status::ExitStatus;
use crate::options::ConditionOptions;
use crate::terminal::number::counted;
use crate::terminal::quoted;

/// What messages must hold.
#[derive(Clone, Debug)]
pub struct ConditionPlan {
    /// `--filter`: all of them, or the message does not count.
    pub filter: Vec<Expression>,
    /// `--until`: the first message that matches is the last one.
    pub until: Option<Expression>,
    /// `--expect`.
    pub expectation: Option<ExpectationPlan>,
}

impl ConditionPlan {
    /// What the options mean; none where there are no conditions.
    ///
    /// # Errors
    /// Each expression that does not compile, with the place.
    pub(super) fn new(options: &ConditionOptions) -> Result<Option<Self>, Vec<String>> {
        let ConditionOptions {
            filter,
            until,
            expect,
            within,
            expect_count,
            none_within,
            silent_after: _,
            each_topic: _,
            silent_exec: _,
        } = options;
        let mut faults = Vec::new();
        let mut compile = |option: &str, text: &String| {
            Expression::compile(text).map_err(|error| faults.push(format!("{option}: {error}"))).ok()
        };
        let filter: Vec<_> = filter.iter().filter_map(|text| compile("--filter", text)).collect();
        let until = until.as_ref().and_then(|text| compile("--until", text));
        let expressions: Vec<_> = expect.iter().filter_map(|text| compile("--expect", text)).collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let is_negative = none_within.is_some() && within.is_none() && expect_count.is_none();
        let expectation = (!expressions.is_empty()).then(|| ExpectationPlan {
            expressions,
            count: expect_count.unwrap_or(u64::from(!is_negative)),
            within: *within,
            none_within: *none_within,
        });
        let is_empty = filter.is_empty() && until.is_none() && expectation.is_none();
        Ok((!is_empty).then_some(Self { filter, until, expectation }))
    }

    /// Whether the run needs a [`JqProcess`].
    pub(super) fn has_jq(&self) -> bool {
        let expected = self.expectation.iter().flat_map(|expectation| &expectation.expressions);
        self.filter.iter().chain(&self.until).chain(expected).any(Expression::is_jq)
    }
}

/// The conditions of a run.
#[derive(Debug)]
pub(super) struct Conditions {
    filter: Vec<Expression>,
    until: Option<Expression>,
    expectation: Option<Expectation>,
    jq: JqProcess,
    failures: Failures,
}

/// Messages for which an expression failed.
#[derive(Debug, Default)]
struct Failures {
    count: u64,
    /// The first error, and its topic.
    first: Option<(String, String)>,
}

impl Failures {
    fn add(&mut self, error: String, subject: &Subject<'_>) {
        self.count += 1;
        self.first.get_or_insert_with(|| (error, quoted(subject.message().publish.topic)));
    }
}

impl Conditions {
    pub(super) fn new(plan: ConditionPlan, jq: JqProcess) -> Self {
        let ConditionPlan { filter, until, expectation } = plan;
        Self { filter, until, expectation: expectation.map(Expectation::new), jq, failures: Failures::default() }
    }

    /// Judges a message, with the selection, whose end is the end of the run.
    pub(super) fn judge(
        &mut self,
        message: &ReceivedMessage<'_>,
        selection: &mut Selection,
        now: Instant,
    ) -> Judgement {
        let Self { filter, until, expectation, jq, failures } = self;
        let subject = Subject::new(message);
        let mut counts = false;
        let judgement = selection.judge_if(message, || {
            counts = filter.iter().all(|expression| holds(expression, &subject, jq, failures));
            counts
        });
        if !counts {
            return judgement;
        }
        let mut prints = true;
        if let Some(until) = until
            && holds(until, &subject, jq, failures)
        {
            selection.end();
        }
        if let Some(expectation) = expectation {
            prints = expectation.judge(&subject, jq, now, &mut |error| failures.add(error, &subject));
            if expectation.has_ended() {
                selection.end();
            }
        }
        Judgement { verdict: judgement.verdict.printing_if(prints), ..judgement }
    }

    /// The broker has acknowledged the subscriptions.
    pub(super) fn begin(&mut self, now: Instant) {
        if let Some(expectation) = &mut self.expectation {
            expectation.begin(now);
        }
    }

    /// Nothing was read from the broker for this time.
    pub(super) fn on_pause(&mut self, pause: Duration) {
        if let Some(expectation) = &mut self.expectation {
            expectation.on_pause(pause);
        }
    }

    /// When a time may be over.
    pub(super) fn due(&self) -> Option<Instant> {
        self.expectation.as_ref().and_then(Expectation::due)
    }

    /// Looks at the clock; true when the run is over.
    pub(super) fn check_time(&mut self, now: Instant) -> bool {
        self.expectation.as_mut().is_some_and(|expectation| {
            expectation.check_time(now);
            expectation.has_ended()
        })
    }

    /// The end of the run: reports how many messages expressions failed for.
    pub(super) fn report_failures(&self, diagnostics: Diagnostics) {
        if let Some((error, topic)) = &self.failures.first {
            let messages = counted(self.failures.count, "message", "messages");
            diagnostics.warning(format_args!("an expression failed on {messages}; the first one, on {topic}: {error}"));
        }
    }

    /// The end of a run that nothing cut short: reports what was expected and did not come, and returns how that ends.
    pub(super) fn conclude(&self, diagnostics: Diagnostics) -> Option<ExitStatus> {
        let (status, report) = self.expectation.as_ref()?.conclude().err()?;
        diagnostics.error(report);
        Some(status)
    }
}

/// Whether an expression is true of a message; one that fails is not.
fn holds(expression: &Expression, subject: &Subject<'_>, jq: &mut JqProcess, failures: &mut Failures) -> bool {
    expression.matches(subject, jq).unwrap_or_else(|error| {
        failures.add(error, subject);
        false
    })
}
