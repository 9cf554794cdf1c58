//! Keep Alive (§3.1.2.10): when to ping, and when silence means that the broker is gone.

use std::time::{Duration, Instant};

/// The clockwork of Keep Alive. A ping is due when for the whole interval nothing was written, so that the broker
/// does not give us up, or nothing was read, so that we notice a broker that is gone.
#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Duration,
    last_read: Instant,
    last_written: Instant,
    pinged: Option<Instant>,
}

/// What time asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    GiveUp,
}

impl KeepAlive {
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, last_read: now, last_written: now, pinged: None }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// The broker's own wish replaces ours (§3.2.2.3.14).
    pub(super) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    pub(super) fn read(&mut self, now: Instant) {
        self.last_read = now;
    }

    pub(super) fn written(&mut self, now: Instant) {
        self.last_written = now;
    }

    pub(super) fn answered(&mut self) {
        self.pinged = None;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.interval.is_zero() {
            return None;
        }
        Some(self.pinged.unwrap_or(self.last_read.min(self.last_written)) + self.interval)
    }

    /// Looks at the clock; a ping that is due counts as written.
    pub(super) fn check(&mut self, now: Instant) -> Due {
        match self.deadline() {
            Some(deadline) if now >= deadline => {
                // Anything read since the ping proves that the broker lives, though it owes the answer.
                if self.pinged.is_some_and(|pinged| self.last_read <= pinged) {
                    return Due::GiveUp;
                }
                self.pinged = Some(now);
                self.last_written = now;
                Due::Ping
            }
            _ => Due::Nothing,
        }
    }
}
