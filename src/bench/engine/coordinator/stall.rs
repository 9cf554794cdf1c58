//! Whether a load that only a count ends makes progress at all.

use std::time::Duration;

use tokio::time::Instant;

use super::super::shared::{Shared, StageRun};
use super::SECOND_NS;

/// Watches for a standstill of a load that only a count ends.
pub(super) struct StallWatch {
    /// The longest time without progress.
    limit_ns: u64,
    /// The last known state of all streams, and when it changed.
    progress: u64,
    since_ns: u64,
    next_check_ns: u64,
}

impl StallWatch {
    pub(super) fn new(shared: &Shared, run: &StageRun) -> Self {
        let plan = &shared.plan;
        let limit_ns = plan.drain.max(plan.transport.timeout).as_nanos() as u64;
        // A slow schedule is no standstill: every publisher has a slot meanwhile, and a Poisson process has pauses.
        let slots = plan.publishers as f64 + 20.0;
        let pause = run.rate.map_or(0.0, |rate| slots * plan.arrival.slots_at_once() as f64 / rate * 1e9);
        let limit_ns = limit_ns.saturating_add(pause as u64);
        Self { limit_ns, progress: 0, since_ns: run.from_ns, next_check_ns: run.from_ns }
    }

    /// How long there has been no progress, where that is too long.
    pub(super) fn check(&mut self, shared: &Shared, now_ns: u64) -> Option<Duration> {
        if now_ns < self.next_check_ns {
            return None;
        }
        self.next_check_ns = now_ns + SECOND_NS / 10;
        let progress = shared.progress();
        if std::mem::replace(&mut self.progress, progress) != progress {
            self.since_ns = now_ns;
        }
        let still_ns = now_ns.saturating_sub(self.since_ns);
        (still_ns >= self.limit_ns).then(|| Duration::from_nanos(still_ns))
    }
}

/// Watches for the end of arrivals whose number nobody here knows.
pub(super) struct QuietWatch {
    progress: u64,
    since: Instant,
}

/// What is in flight arrives within this time of the message before it.
const QUIET: Duration = Duration::from_secs(1);

impl QuietWatch {
    pub(super) fn new(shared: &Shared, now: Instant) -> Self {
        Self { progress: shared.progress(), since: now }
    }

    /// Whether nothing has arrived for a while.
    pub(super) fn is_quiet(&mut self, shared: &Shared, now: Instant) -> bool {
        let progress = shared.progress();
        if std::mem::replace(&mut self.progress, progress) != progress {
            self.since = now;
        }
        now.saturating_duration_since(self.since) >= QUIET
    }
}
