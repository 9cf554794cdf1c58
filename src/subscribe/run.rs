//! From a plan to an exit status: subscribe, print, report how it ended.

use std::io;
use std::panic::resume_unwind;
use std::thread;

use super::file_error::FileError;
use super::jq;
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
    let run = || client::run(async { Subscriber::run(plan, readiness, diagnostics).await });
    let ended = match &plan.conditions {
        Some(conditions) if conditions.has_jq() => on_large_stack(run),
        _ => run(),
    };
    ended.flatten().unwrap_or_else(|error| diagnostics.cannot_start(&error))
}

/// Runs on a thread with the stack that jq programs may need.
fn on_large_stack<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("mqsub".into()).stack_size(jq::STACK).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|cause| resume_unwind(cause))
    })
}
