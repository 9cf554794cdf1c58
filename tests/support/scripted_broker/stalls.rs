//! When a scripted broker stands still.

use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// The stalls of a broker: those at fixed times and those that a packet sets off.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    every: Option<(Duration, Duration)>,
    first_connect: OnceLock<Instant>,
    until: Mutex<Option<Instant>>,
}

impl Stalls {
    pub fn new(every: Option<(Duration, Duration)>) -> Self {
        Self { every, ..Self::default() }
    }

    /// The first CONNECT is where the time of the stalls begins.
    pub fn connected(&self) {
        self.first_connect.get_or_init(Instant::now);
    }

    pub fn stall_for(&self, length: Duration) {
        *self.until.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(Instant::now() + length);
    }

    fn end_of_stall(&self, now: Instant) -> Option<Instant> {
        let set_off = self.until.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).filter(|until| *until > now);
        let periodic = self.every.zip(self.first_connect.get()).and_then(|((period, length), first)| {
            let since = now.saturating_duration_since(*first);
            let rounds =
                u32::try_from(since.as_nanos() / period.as_nanos().max(1)).ok().filter(|rounds| *rounds > 0)?;
            let end = *first + period * rounds + length;
            (end > now).then_some(end)
        });
        set_off.max(periodic)
    }

    /// Waits while the broker stands still.
    pub fn sit_out(&self) {
        while let Some(end) = self.end_of_stall(Instant::now()) {
            std::thread::sleep(end.saturating_duration_since(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periodic_stalls_begin_one_period_after_the_first_connect() {
        let stalls = Stalls::new(Some((Duration::from_millis(2000), Duration::from_millis(200))));
        let now = Instant::now();
        assert_eq!(stalls.end_of_stall(now), None);
        stalls.connected();
        let first = *stalls.first_connect.get().unwrap();
        let at =
            |millis| stalls.end_of_stall(first + Duration::from_millis(millis)).map(|end| (end - first).as_millis());
        assert_eq!([at(0), at(1999), at(2000), at(2199), at(2200)], [None, None, Some(2200), Some(2200), None]);
        assert_eq!([at(3999), at(4000), at(4199)], [None, Some(4200), Some(4200)]);
    }
}
