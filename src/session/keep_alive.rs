//! Keep Alive (§3.1.2.10): when to ping, and when silence means that the broker is gone.

use std::time::{Duration, Instant};

/// The clockwork of Keep Alive. A ping is due when for the whole interval nothing was written, so that the broker
/// does not give us up, or nothing was read, so that we notice a broker that is gone. While a packet is on its way out
/// no ping is due: the interval runs from the end of one packet to the start of the next, and a broker that takes bytes
/// lives.
#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Duration,
    last_read: Instant,
    last_written: Instant,
    /// When the last ping was written, or put into the output where that is not known yet.
    pinged: Option<Instant>,
    /// The ping is not known to be written.
    ping_waits: bool,
    /// Bytes wait that the transport has not taken.
    pending: bool,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    /// PINGREQ has no answer.
    GiveUp,
    /// The transport has accepted no data, and none has arrived, for this long.
    Stalled(Duration),
}

impl KeepAlive {
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, last_read: now, last_written: now, pinged: None, ping_waits: false, pending: false }
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

    /// Bytes were written; with `waits` not all that there are. A transport that was full and takes some is a sign of
    /// life.
    pub(super) fn written(&mut self, now: Instant, waits: bool) {
        self.last_written = now;
        if self.pending || waits {
            self.last_read = self.last_read.max(now);
        }
        self.pending = waits;
        if self.ping_waits {
            self.pinged = Some(now);
            self.ping_waits = waits;
        }
    }

    /// Bytes wait that the transport has not taken. What it took until now is a sign of life.
    pub(super) fn write_pending(&mut self) {
        self.pending = true;
        self.last_read = self.last_read.max(self.last_written);
    }

    pub(super) fn answered(&mut self) {
        self.pinged = None;
        self.ping_waits = false;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.interval.is_zero() {
            return None;
        }
        if self.pending {
            return Some(self.last_sign() + self.interval * 2);
        }
        Some(self.pinged.unwrap_or(self.last_read.min(self.last_written)) + self.interval)
    }

    /// When bytes were last sent or received.
    fn last_sign(&self) -> Instant {
        self.last_read.max(self.last_written)
    }

    /// Looks at the clock; a ping that is due counts as written.
    pub(super) fn check(&mut self, now: Instant) -> Due {
        match self.deadline() {
            Some(deadline) if now >= deadline && self.pending => {
                Due::Stalled(now.saturating_duration_since(self.last_sign()))
            }
            Some(deadline) if now >= deadline => {
                // Anything read since the ping proves that the broker lives, though it owes the answer.
                if self.pinged.is_some_and(|pinged| self.last_read <= pinged) {
                    return Due::GiveUp;
                }
                self.pinged = Some(now);
                self.ping_waits = true;
                self.last_written = now;
                Due::Ping
            }
            _ => Due::Nothing,
        }
    }
}
