//! From a plan to an exit status: subscribe, print, report how it ended.

use super::plan::SubscribePlan;
use super::subscriber::Subscriber;
use crate::client::{self, Diagnostics};
use crate::exit_status::ExitStatus;

/// Runs the plan, with messages on stdout and errors on stderr, and returns the exit status.
pub fn subscribe(plan: &SubscribePlan) -> ExitStatus {
    let diagnostics = Diagnostics::start(&plan.client);
    let ended = client::run(async { Subscriber::run(plan, diagnostics).await });
    ended.flatten().unwrap_or_else(|error| diagnostics.cannot_start(&error))
}
