//! From a plan to an exit status: open the input, send requests, report how it ended.

use super::plan::RequestPlan;
use super::requester::Requester;
use crate::client::{self, Diagnostics};
use crate::exit_status::ExitStatus;
use crate::publish::source_of;

/// Runs the plan, with responses on stdout and errors on stderr, and returns the exit status.
pub fn request(plan: &RequestPlan) -> ExitStatus {
    let diagnostics = Diagnostics::start(&plan.client);
    let source = match source_of(&plan.source, plan.repeat, plan.repeat_delay) {
        Ok(source) => source,
        Err(error) => {
            diagnostics.error_or(error.text, error.mosquitto);
            return ExitStatus::Failed;
        }
    };
    let ended = client::run(async { Requester::run(plan, source, diagnostics).await });
    ended.flatten().unwrap_or_else(|error| diagnostics.cannot_start(&error))
}
