//! The line between the engine and whoever makes the shards of a run start together. The engine says when its clients
//! are ready and when it has sent everything, and learns when to begin and when all shards have sent everything.

use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::coordinator::RunError;

/// When the load begins; else why it does not.
pub(crate) type StartSignal = Result<Instant, String>;

/// The engine's end of the line.
#[derive(Debug)]
pub(crate) struct Together {
    ready: Option<oneshot::Sender<()>>,
    start: oneshot::Receiver<StartSignal>,
    sent: Option<oneshot::Sender<()>>,
    all_sent: watch::Receiver<bool>,
}

/// The other end.
#[derive(Debug)]
pub(crate) struct TogetherRemote {
    /// Resolves when all clients of this shard are connected and subscribed.
    pub ready: oneshot::Receiver<()>,
    /// To be sent once.
    pub start: oneshot::Sender<StartSignal>,
    /// Resolves when this shard has sent everything, or has ended its load.
    pub sent: oneshot::Receiver<()>,
    /// To be set when all shards have sent everything.
    pub all_sent: watch::Sender<bool>,
}

/// Both ends.
pub(crate) fn together() -> (Together, TogetherRemote) {
    let (ready, ready_remote) = oneshot::channel();
    let (start_remote, start) = oneshot::channel();
    let (sent, sent_remote) = oneshot::channel();
    let (all_sent_remote, all_sent) = watch::channel(false);
    let own = Together { ready: Some(ready), start, sent: Some(sent), all_sent };
    (own, TogetherRemote { ready: ready_remote, start: start_remote, sent: sent_remote, all_sent: all_sent_remote })
}

impl Together {
    /// This shard is ready.
    pub(super) fn set_ready(&mut self) {
        self.ready.take().map(|ready| ready.send(()));
    }

    /// When the load begins.
    pub(super) async fn start(&mut self) -> Result<Instant, RunError> {
        match (&mut self.start).await {
            Ok(Ok(start)) => Ok(start),
            Ok(Err(fault)) => Err(RunError::Barrier(fault)),
            Err(_) => Err(RunError::Barrier("the barrier ended unexpectedly".to_owned())),
        }
    }

    /// This shard sends no more messages.
    pub(super) fn set_sent(&mut self) {
        self.sent.take().map(|sent| sent.send(()));
    }

    /// Whether all shards have sent everything.
    pub(super) fn is_all_sent(&self) -> bool {
        *self.all_sent.borrow()
    }
}

/// From the start of a load to now; zero before it.
pub(super) fn lateness(start: Instant, now: Instant) -> Duration {
    now.saturating_duration_since(start)
}
