//! From a plan to an exit status: open the input, publish, print the summary.

use std::io::{self, Write, stderr};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::input::{InputChunks, LineInput, read_file, read_stdin};
use super::plan::{PayloadSource, PublishPlan};
use super::publisher::Publisher;
use super::source::{Repetition, Source};
use super::summary::Totals;
use super::supply::Supply;
use crate::client::{self, ClientPlan, Diagnostics};
use crate::exit_status::ExitStatus;
use crate::options::{EMPTY_STDIN, unreadable_file};
use crate::terminal::Progress;

/// Runs the plan, with errors on stderr, and returns the exit status.
pub fn publish(plan: &PublishPlan) -> ExitStatus {
    let began = Instant::now();
    let diagnostics = Diagnostics::start(&plan.client);
    let (status, totals) = match source_of(&plan.source, plan.repeat, plan.repeat_delay) {
        Ok(source) => run(plan, plan.supply(source), diagnostics),
        Err(error) => {
            diagnostics.error_or(error.text, error.mosquitto);
            (ExitStatus::Failed, totals_of_nothing(plan))
        }
    };
    if let Some(format) = plan.summary {
        let summary = totals.print(format, began.elapsed(), status);
        let _ = stderr().write_all(summary.as_bytes());
    }
    status
}

fn run(plan: &PublishPlan, supply: Supply, diagnostics: Diagnostics) -> (ExitStatus, Totals) {
    // The log of -d, or what somebody types, would be written around the line.
    let ClientPlan { debug, quiet, policy, .. } = &plan.client;
    let is_hidden = *quiet || !policy.shows_progress || *debug > 0 || !supply.is_long();
    let progress = Rc::new(Progress::on_stderr(is_hidden));
    let ended = client::run(async { Publisher::run(plan, supply, diagnostics, &progress).await });
    ended.flatten().unwrap_or_else(|error| (diagnostics.cannot_start(&error), totals_of_nothing(plan)))
}

/// The figures of a run that ended before it began.
fn totals_of_nothing(plan: &PublishPlan) -> Totals {
    Totals {
        acknowledged: plan.is_acknowledged().then_some(0),
        input_read: plan.reads_input().then_some(false),
        ..Totals::default()
    }
}

/// Why there is nothing to send, in our words and in mosquitto's.
pub(crate) struct SourceError {
    pub(crate) text: String,
    pub(crate) mosquitto: String,
}

impl SourceError {
    fn of_file(file: &Path, error: &io::Error) -> Self {
        Self {
            text: format!("cannot read the file '{}': {error}", file.display()),
            mosquitto: unreadable_file(file, error),
        }
    }
}

/// Everything but lines is read before anything connects.
pub(crate) fn source_of(wanted: &PayloadSource, repeat: u64, delay: Duration) -> Result<Source, SourceError> {
    let unreadable = |error: io::Error| SourceError {
        text: format!("cannot read stdin: {error}"),
        mosquitto: "Error: Cannot read.\nError loading input from stdin.\n".into(),
    };
    let payload = match wanted {
        PayloadSource::Text(text) => text.clone(),
        PayloadSource::File(file) => read_file(file).map_err(|error| SourceError::of_file(file, &error))?,
        PayloadSource::Stdin => {
            let content = read_stdin().map_err(unreadable)?;
            if content.is_empty() {
                let text = "stdin is empty; use -n to send an empty message".into();
                return Err(SourceError { text, mosquitto: EMPTY_STDIN.into() });
            }
            content
        }
        PayloadSource::Lines { input, end } => {
            let chunks = match input {
                LineInput::Stdin => InputChunks::of_stdin().map_err(unreadable),
                LineInput::File(file) => InputChunks::of_file(file).map_err(|error| SourceError::of_file(file, &error)),
            };
            return chunks.map(|chunks| Source::lines(chunks, *end));
        }
        PayloadSource::Recording(input) => {
            return Source::recording(input).map_err(|error| {
                let text = error.to_string();
                SourceError { mosquitto: format!("Error: {text}\n"), text }
            });
        }
    };
    Ok(Source::Repeated(Repetition::new(payload, repeat, delay)))
}
