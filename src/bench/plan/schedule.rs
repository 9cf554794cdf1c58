//! The open-loop schedule: global, fixed before the run, and independent of how many threads carry it out.
//!
//! Slot g is due at `start + g / rate` and belongs to publisher g mod P, so publishers are spread over time and any
//! split of the publishers over threads sends exactly the same slots.

/// The slots of one publisher of the schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublisherSlots {
    publisher: u64,
    publishers: u64,
    rate: f64,
    next: u64,
}

impl PublisherSlots {
    /// The slots of publisher `publisher` of `publishers`, `rate` messages a second in total.
    pub fn new(publisher: usize, publishers: usize, rate: f64) -> Self {
        Self { publisher: publisher as u64, publishers: publishers as u64, rate, next: 0 }
    }

    /// When the next slot is due, in nanoseconds since the schedule's start.
    pub fn due_ns(&self) -> u64 {
        self.due_of(self.next)
    }

    fn due_of(&self, index: u64) -> u64 {
        let slot = self.publisher + index.saturating_mul(self.publishers);
        // An f64 holds slot numbers exactly up to 2^53; the division rounds to about 2^-53 of the result.
        (slot as f64 * 1e9 / self.rate) as u64
    }

    /// How many slots from the next one on are due at `from_ns` or later, and before `to_ns`. Found by halving: a rate
    /// may ask for more slots than anybody can count.
    pub fn due_between(&self, from_ns: u64, to_ns: u64) -> u64 {
        let first_due_at = |moment: u64| {
            let (mut low, mut high) = (self.next, u64::MAX >> 11);
            while low < high {
                let middle = low + (high - low) / 2;
                if self.due_of(middle) < moment {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            low
        };
        first_due_at(to_ns).saturating_sub(first_due_at(from_ns))
    }

    /// Goes to the slot after.
    pub fn advance(&mut self) {
        self.next += 1;
    }
}

/// How many of `total` messages publisher `publisher` of `publishers` sends: those whose slot is its own.
pub fn quota(total: u64, publisher: usize, publishers: usize) -> u64 {
    let (publisher, publishers) = (publisher as u64, publishers as u64);
    if publisher < total { (total - publisher).div_ceil(publishers) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_gaps_are_even_over_all_publishers() {
        let mut due: Vec<u64> = Vec::new();
        for publisher in 0..4 {
            let mut slots = PublisherSlots::new(publisher, 4, 1000.0);
            for _ in 0..25 {
                due.push(slots.due_ns());
                slots.advance();
            }
        }
        due.sort_unstable();
        assert_eq!(due, (0..100).map(|slot| slot * 1_000_000).collect::<Vec<_>>());
    }

    #[test]
    fn slots_ahead_are_counted_without_walking_to_them() {
        let mut slots = PublisherSlots::new(1, 3, 7.0);
        slots.advance();
        let mut walked = 0;
        let mut walk = slots;
        while walk.due_ns() < 900_000_000_000 {
            walked += u64::from(walk.due_ns() >= 2_000_000_000);
            walk.advance();
        }
        assert_eq!(slots.due_between(2_000_000_000, 900_000_000_000), walked);
        assert_eq!(PublisherSlots::new(0, 1, 1e12).due_between(0, 10_000_000_000), 10_000_000_000_000);
    }

    proptest! {
        #[test]
        fn quotas_add_up_to_the_total(total in 0u64..100_000, publishers in 1usize..300) {
            let sum: u64 = (0..publishers).map(|publisher| quota(total, publisher, publishers)).sum();
            prop_assert_eq!(sum, total);
        }
    }
}
