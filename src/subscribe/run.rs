//! From a plan to an exit status: subscribe, print, report how it ended.

use super::file_error::FileError;
use super::jq_process::{JqProcess, cannot_start};
use super::plan::SubscribePlan;
use super::ready::Readiness;
use super::subscriber::Subscriber;
use crate::client::{self, Diagnostics};
use crate::exit_status::ExitStatus;

/// Runs the plan, with messages on stdout and errors on stderr, and returns the exit status.
pub fn subscribe(plan: &SubscribePlan) -> ExitStatus {
    let diagnostics = Diagnostics::start(&plan.client);
    let readiness = match Readiness::begin(&plan.ready) {
        Ok(readiness) => readiness,
        Err(FileError { text, hint }) => return diagnostics.failed(text, hint),
    };
    let jq = match plan.conditions.as_ref().filter(|conditions| conditions.has_jq()) {
        None => JqProcess::default(),
        Some(_) => match JqProcess::start() {
            Ok(process) => process,
            Err(error) => return diagnostics.failed(cannot_start(&error), None::<&str>),
        },
    };
    let ended = client::run(async { Subscriber::run(plan, readiness, jq, diagnostics).await });
    ended.flatten().unwrap_or_else(|error| diagnostics.cannot_start(&error))
}
