//! Whether a load that only a count ends goes on at all.

use std::time::Duration;

use super::super::shared::{Shared, StageRun};
use super::SECOND_NS;

/// Watches whether a load that only a count ends goes on at all.
pub(super) struct StallWatch {
    /// Nothing may come through for so long.
    patience_ns: u64,
    /// What had been sent, answered and delivered, and when that changed last.
    known: u64,
    since_ns: u64,
    next_look_ns: u64,
}

impl StallWatch {
    pub(super) fn watch(shared: &Shared, run: &StageRun) -> Self {
        let plan = &shared.plan;
        let patience = plan.drain.max(plan.transport.timeout).as_nanos() as u64;
        // A slow schedule is none: every publisher has its turn meanwhile, and a Poisson process its pauses.
        let slots = plan.publishers as f64 + 20.0;
        let pause = run.rate.map_or(0.0, |rate| slots * plan.arrival.slots_at_once() as f64 / rate * 1e9);
        let patience_ns = patience.saturating_add(pause as u64);
        Self { patience_ns, known: 0, since_ns: run.from_ns, next_look_ns: run.from_ns }
    }

    /// For how long nothing has come through, where that is too long.
    pub(super) fn since(&mut self, shared: &Shared, now_ns: u64) -> Option<Duration> {
        if now_ns < self.next_look_ns {
            return None;
        }
        self.next_look_ns = now_ns + SECOND_NS / 10;
        let known = shared.progress();
        if std::mem::replace(&mut self.known, known) != known {
            self.since_ns = now_ns;
        }
        let still_ns = now_ns.saturating_sub(self.since_ns);
        (still_ns >= self.patience_ns).then(|| Duration::from_nanos(still_ns))
    }
}
