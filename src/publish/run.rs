//! From a plan to an exit status: the input opened, the run run, the summary said.

use std::io::{self, Write, stderr};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::input::{InputChunks, read_file, read_stdin};
use super::plan::{LineInput, PayloadSource, PublishPlan};
use super::publisher::Publisher;
use super::source::{Repetition, Source};
use super::summary::Totals;
use crate::client::mosquitto::MosquittoClient;
use crate::client::{self, Diagnostics};
use crate::exit_status::ExitStatus;
use crate::options::{EMPTY_STDIN, unreadable_file};
use crate::terminal::Progress;

/// Publishes what the plan says, with errors on stderr, and tells how it ended.
pub fn publish(plan: &PublishPlan) -> ExitStatus {
    let began = Instant::now();
    let client = plan.compat.then_some(MosquittoClient::Publish);
    let diagnostics =
        Diagnostics::new(plan.quiet).speaking_for(client, plan.connect.session.version).connecting(&plan.connect);
    plan.connect.warnings.iter().for_each(|warning| diagnostics.warning(warning));
    if plan.connect.transport.tls.as_ref().is_some_and(|tls| tls.insecure) {
        diagnostics.warning("--insecure: neither the broker's certificate nor its name is verified");
    }
    let (status, totals) = match source_of(&plan.source, plan.repeat, plan.repeat_delay) {
        Ok(source) => run(plan, source, diagnostics),
        Err(error) => {
            match plan.compat {
                true => diagnostics.verbatim(&error.mosquitto),
                false => diagnostics.error(error.text),
            }
            (ExitStatus::Failed, totals_of_nothing(plan))
        }
    };
    if let Some(format) = plan.summary {
        let summary = totals.print(format, began.elapsed(), status);
        let _ = stderr().write_all(summary.as_bytes());
    }
    status
}

fn run(plan: &PublishPlan, source: Source, diagnostics: Diagnostics) -> (ExitStatus, Totals) {
    // Nobody looks at a line that others are written around: the log of -d, and what somebody types.
    let undrawn = plan.quiet || plan.compat || plan.debug > 0 || !source.is_long();
    let progress = Rc::new(Progress::on_stderr(undrawn));
    match client::run(async { Publisher::new(plan, source, diagnostics, &progress).run().await }) {
        Ok(ended) => ended,
        Err(error) => {
            diagnostics.error(format_args!("cannot start: {error}"));
            (ExitStatus::Failed, totals_of_nothing(plan))
        }
    }
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

/// Everything but lines is read before the broker is bothered.
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
                let text = "stdin is empty, and an empty message has an option of its own: -n".into();
                return Err(SourceError { text, mosquitto: EMPTY_STDIN.into() });
            }
            content
        }
        PayloadSource::Lines(LineInput::Stdin) => {
            return InputChunks::of_stdin().map(Source::lines).map_err(unreadable);
        }
        PayloadSource::Lines(LineInput::File(file)) => {
            let chunks = InputChunks::of_file(file).map_err(|error| SourceError::of_file(file, &error));
            return chunks.map(Source::lines);
        }
    };
    Ok(Source::Repeated(Repetition::new(payload, repeat, delay)))
}
