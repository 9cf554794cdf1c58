//! The one clock of a run: monotonic nanoseconds since the run's t0 (CLOCK_MONOTONIC through `Instant`). The engine
//! uses no other clock, so that tests can replace it by a virtual one.

use std::time::{Duration, Instant};

use crate::bench::measure::STAMP_TICK_NS;

/// The present moment of the runtime: the system's monotonic clock, or the virtual clock of a test whose runtime is
/// paused.
#[inline]
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A monotonic clock that counts from the run's t0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    t0: Instant,
}

impl Clock {
    /// Starts counting now.
    pub(super) fn start() -> Self {
        Self { t0: now() }
    }

    /// Nanoseconds from t0 to `at`; zero for a moment before it.
    #[inline]
    pub(super) fn ns(self, at: Instant) -> u64 {
        // Wraps after 584 years.
        at.saturating_duration_since(self.t0).as_nanos() as u64
    }

    /// Nanoseconds from t0 to now.
    #[inline]
    pub(super) fn now_ns(self) -> u64 {
        self.ns(now())
    }

    /// The moment this many nanoseconds after t0.
    pub(super) fn at(self, ns: u64) -> Instant {
        self.t0 + Duration::from_nanos(ns)
    }
}

/// Rounds down to the tick of a stamp, so that sender and receiver agree on which side of a bound a message is.
#[inline]
pub(super) const fn round_to_tick(ns: u64) -> u64 {
    ns - ns % STAMP_TICK_NS
}
