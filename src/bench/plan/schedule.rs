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
        let slot = self.publisher + self.next * self.publishers;
        // An f64 holds slot numbers exactly up to 2^53; the division rounds to about 2^-53 of the result.
        (slot as f64 * 1e9 / self.rate) as u64
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

    proptest! {
        #[test]
        fn quotas_add_up_to_the_total(total in 0u64..100_000, publishers in 1usize..300) {
            let sum: u64 = (0..publishers).map(|publisher| quota(total, publisher, publishers)).sum();
            prop_assert_eq!(sum, total);
        }
    }
}
