//! What signals do to a run: the first ends the load early, the second ends the drain.

use std::future::pending;

use tokio::sync::watch;

use crate::client::{Interrupts, SignalState};
use crate::exit_status::{ExitStatus, Signal};
use crate::terminal::say;

/// The signals that were received.
#[derive(Clone, Debug)]
pub(super) struct Interruption {
    received: watch::Receiver<Received>,
    state: Option<SignalState>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Received {
    first: Option<Signal>,
    second: bool,
}

impl Interruption {
    /// Listens from now on. After the first signal the next one ends the process at once, unless there is a document to
    /// write: then the second only ends the drain, and the third ends the process.
    pub(super) fn listen(quiet: bool, writes_document: bool) -> Self {
        let (sender, received) = watch::channel(Received::default());
        let Ok(mut interrupts) = Interrupts::listen_to_all() else {
            return Self { received, state: None };
        };
        let state = interrupts.state();
        let signals = state.clone();
        tokio::spawn(async move {
            let first = interrupts.next().await;
            if !quiet {
                say("Interrupted: finishing messages in flight (again to quit)");
            }
            if !writes_document {
                signals.let_next_end();
            }
            sender.send_modify(|received| received.first = Some(first));
            interrupts.next().await;
            signals.let_next_end();
            sender.send_modify(|received| received.second = true);
        });
        Self { received, state: Some(state) }
    }

    /// Whether there was a signal.
    pub(super) fn is_interrupted(&self) -> bool {
        self.received.borrow().first.is_some()
    }

    /// The exit status of a run that would end with `status`: that of the first signal, if there was one.
    pub(super) fn end(&self, status: ExitStatus) -> ExitStatus {
        match (self.received.borrow().first, &self.state) {
            (Some(signal), _) => ExitStatus::Interrupted(signal),
            (None, Some(state)) => state.exit_status(status),
            (None, None) => status,
        }
    }

    /// Whether there was a second one.
    pub(super) fn is_urgent(&self) -> bool {
        self.received.borrow().second
    }

    /// Resolves at the first signal.
    pub(super) async fn first(mut self) {
        wait_for(&mut self.received, |received| received.first.is_some()).await;
    }

    /// Resolves at the second signal.
    pub(super) async fn second(mut self) {
        wait_for(&mut self.received, |received| received.second).await;
    }

    /// The result is about to be written. A signal now ends the process at once: a reader of stdout may block it
    /// forever.
    pub(super) fn write_begins(&self) {
        if let Some(state) = &self.state {
            state.let_next_end();
        }
    }
}

async fn wait_for(received: &mut watch::Receiver<Received>, condition: impl FnMut(&Received) -> bool) {
    if received.wait_for(condition).await.is_err() {
        // There is no listener.
        pending::<()>().await;
    }
}
