//! The open-loop schedule: global, fixed before the run, and independent of how many threads carry it out.
//!
//! Slot g is due at a time that follows from rate, arrival and seed alone, and belongs to publisher g mod P, so
//! publishers are spread over time and any split of the publishers over threads sends exactly the same slots.

use std::cell::RefCell;
use std::rc::Rc;

use super::poisson::PoissonTimes;
use crate::options::Arrival;

/// The schedule of a stage as one thread sees it. Clones share what has been worked out.
#[derive(Clone, Debug)]
pub struct Schedule {
    rate: f64,
    arrival: Times,
}

#[derive(Clone, Debug)]
enum Times {
    Fixed,
    Burst(u64),
    Poisson(Rc<RefCell<PoissonTimes>>),
}

impl Schedule {
    /// `rate` messages a second in total.
    pub fn new(arrival: Arrival, rate: f64, seed: u64) -> Self {
        let arrival = match arrival {
            Arrival::Fixed => Times::Fixed,
            Arrival::Burst(size) => Times::Burst(size.max(1)),
            Arrival::Poisson => Times::Poisson(Rc::new(RefCell::new(PoissonTimes::new(seed)))),
        };
        Self { rate, arrival }
    }

    /// When a slot is due, in nanoseconds since the schedule's start.
    fn due_ns(&self, slot: u64) -> u64 {
        match &self.arrival {
            Times::Fixed => self.ns(slot as f64),
            Times::Burst(size) => self.ns((slot - slot % size) as f64),
            Times::Poisson(times) => self.ns(times.borrow_mut().due(slot)),
        }
    }

    /// From mean gaps to nanoseconds. An f64 holds slot numbers exactly up to 2^53; the division rounds to about 2^-53
    /// of the result.
    fn ns(&self, gaps: f64) -> u64 {
        (gaps * 1e9 / self.rate) as u64
    }

    /// How many slots are due before a moment. Found by halving: a rate may ask for more slots than anybody can count.
    fn slots_before(&self, moment_ns: u64) -> u64 {
        if let Times::Poisson(times) = &self.arrival {
            return times.borrow_mut().count_while(|gaps| self.ns(gaps) < moment_ns);
        }
        let (mut low, mut high) = (0, u64::MAX >> 11);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.due_ns(middle) < moment_ns {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// The slots of one publisher of the schedule.
#[derive(Clone, Debug)]
pub struct PublisherSlots {
    schedule: Schedule,
    publisher: u64,
    publishers: u64,
    next: u64,
    /// When the next slot is due.
    due_ns: u64,
    /// When the first one of those behind it is that is due later.
    superseded_ns: u64,
}

impl PublisherSlots {
    /// The slots of publisher `publisher` of `publishers`.
    pub fn new(schedule: Schedule, publisher: usize, publishers: usize) -> Self {
        let mut slots = Self {
            schedule,
            publisher: publisher as u64,
            publishers: publishers as u64,
            next: 0,
            due_ns: 0,
            superseded_ns: 0,
        };
        slots.due_ns = slots.due_of(0);
        slots.superseded_ns = slots.due_of(slots.superseding());
        slots
    }

    /// When the next slot is due, in nanoseconds since the schedule's start.
    pub const fn due_ns(&self) -> u64 {
        self.due_ns
    }

    /// When a slot is due that takes the place of the next one, were that given up: the one after it. Those of one burst
    /// do not take each other's places.
    pub const fn superseded_ns(&self) -> u64 {
        self.superseded_ns
    }

    /// Its place among this publisher's slots.
    fn superseding(&self) -> u64 {
        match self.schedule.arrival {
            Times::Fixed | Times::Poisson(_) => self.next + 1,
            Times::Burst(size) => {
                let slot = self.publisher + self.next.saturating_mul(self.publishers);
                let next_burst = slot - slot % size + size;
                (next_burst - self.publisher).div_ceil(self.publishers)
            }
        }
    }

    fn due_of(&self, index: u64) -> u64 {
        self.schedule.due_ns(self.publisher + index.saturating_mul(self.publishers))
    }

    /// How many slots from the next one on are due at `from_ns` or later, and before `to_ns`.
    pub fn due_between(&self, from_ns: u64, to_ns: u64) -> u64 {
        self.next_from(to_ns).saturating_sub(self.next_from(from_ns))
    }

    /// Gives up all slots that are due before a moment.
    pub fn advance_to(&mut self, moment_ns: u64) {
        self.next = self.next_from(moment_ns);
        self.due_ns = self.due_of(self.next);
        self.superseded_ns = self.due_of(self.superseding());
    }

    /// The place of the first slot from the next one on that is not due before a moment.
    fn next_from(&self, moment_ns: u64) -> u64 {
        let slots = self.schedule.slots_before(moment_ns);
        slots.saturating_sub(self.publisher).div_ceil(self.publishers).max(self.next)
    }

    /// Goes to the slot after.
    pub fn advance(&mut self) {
        // Up to the end of a burst all are due at the same time.
        if self.superseding() == self.next + 1 {
            self.due_ns = self.superseded_ns;
        }
        self.next += 1;
        self.superseded_ns = self.due_of(self.superseding());
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

    fn fixed(rate: f64) -> Schedule {
        Schedule::new(Arrival::Fixed, rate, 0)
    }

    /// The first slots of a publisher.
    fn walk(mut slots: PublisherSlots, count: usize) -> Vec<u64> {
        let mut due = Vec::new();
        for _ in 0..count {
            due.push(slots.due_ns());
            slots.advance();
        }
        due
    }

    #[test]
    fn the_gaps_are_even_over_all_publishers() {
        let mut due: Vec<u64> =
            (0..4).flat_map(|publisher| walk(PublisherSlots::new(fixed(1000.0), publisher, 4), 25)).collect();
        due.sort_unstable();
        assert_eq!(due, (0..100).map(|slot| slot * 1_000_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_burst_is_due_at_once_and_keeps_the_rate() {
        let schedule = Schedule::new(Arrival::Burst(3), 1000.0, 0);
        let due: Vec<u64> = (0..7).map(|slot| schedule.due_ns(slot) / 1_000_000).collect();
        assert_eq!(due, [0, 0, 0, 3, 3, 3, 6]);
        assert_eq!(schedule.slots_before(3_000_001), 6);
    }

    #[test]
    fn a_slot_is_superseded_by_one_that_is_due_later() {
        for (arrival, publishers) in [
            (Arrival::Fixed, 3),
            (Arrival::Poisson, 3),
            (Arrival::Burst(1), 3),
            (Arrival::Burst(2), 3),
            (Arrival::Burst(10), 3),
            (Arrival::Burst(7), 1),
        ] {
            let mut slots = PublisherSlots::new(Schedule::new(arrival, 1000.0, 1), publishers - 1, publishers);
            for _ in 0..200 {
                let (due, superseded) = (slots.due_ns(), slots.superseded_ns());
                assert_eq!(
                    walk(slots.clone(), 30).into_iter().find(|later| *later > due),
                    Some(superseded),
                    "{arrival}"
                );
                slots.advance();
            }
        }
    }

    #[test]
    fn slots_ahead_are_counted_without_walking_to_them() {
        for arrival in [Arrival::Fixed, Arrival::Burst(4), Arrival::Poisson] {
            let mut slots = PublisherSlots::new(Schedule::new(arrival, 7.0, 5), 1, 3);
            slots.advance();
            let mut walked = 0;
            let mut walk = slots.clone();
            while walk.due_ns() < 900_000_000_000 {
                walked += u64::from(walk.due_ns() >= 2_000_000_000);
                walk.advance();
            }
            assert_eq!(slots.due_between(2_000_000_000, 900_000_000_000), walked, "{arrival}");
        }
        assert_eq!(PublisherSlots::new(fixed(1e12), 0, 1).due_between(0, 10_000_000_000), 10_000_000_000_000);
    }

    #[test]
    fn slots_before_a_moment_are_given_up_at_once() {
        for arrival in [Arrival::Fixed, Arrival::Burst(4), Arrival::Poisson] {
            for moment_ns in [0, 2_000_000_000, 2_000_000_001] {
                let mut slots = PublisherSlots::new(Schedule::new(arrival, 7.0, 5), 1, 3);
                let mut walked = slots.clone();
                while walked.due_ns() < moment_ns {
                    walked.advance();
                }
                slots.advance_to(moment_ns);
                assert_eq!(walk(slots, 30), walk(walked, 30), "{arrival} {moment_ns}");
            }
        }
    }

    #[test]
    fn poisson_keeps_the_rate_and_another_seed_is_another_schedule() {
        let schedule = |seed| Schedule::new(Arrival::Poisson, 50_000.0, seed);
        let in_a_minute = schedule(42).slots_before(60_000_000_000) as f64;
        // Three million, give or take a few times their square root.
        assert!((in_a_minute - 3e6).abs() < 5.0 * 3e6f64.sqrt(), "{in_a_minute}");
        let first = |seed| walk(PublisherSlots::new(schedule(seed), 0, 1), 100);
        assert_eq!(first(42), first(42));
        assert_ne!(first(42), first(43));
    }

    fn arrival() -> impl Strategy<Value = Arrival> {
        prop_oneof![Just(Arrival::Fixed), Just(Arrival::Poisson), (1u64..50).prop_map(Arrival::Burst)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However many threads there are, each with a schedule of its own, together they send the slots of one.
        #[test]
        fn threads_unite_to_one(
            arrival in arrival(), publishers in 1usize..30, threads in 1usize..9, seed: u64, rate in 0.5f64..5e6,
        ) {
            let each = 40;
            let whole = Schedule::new(arrival, rate, seed);
            let expected: Vec<u64> = (0..(publishers * each) as u64).map(|slot| whole.due_ns(slot)).collect();
            prop_assert!(expected.is_sorted());
            let mut united = Vec::new();
            for thread in 0..threads {
                let own = Schedule::new(arrival, rate, seed);
                for publisher in (thread..publishers).step_by(threads) {
                    united.extend(walk(PublisherSlots::new(own.clone(), publisher, publishers), each));
                }
            }
            united.sort_unstable();
            prop_assert_eq!(united, expected);
        }

        #[test]
        fn quotas_add_up_to_the_total(total in 0u64..100_000, publishers in 1usize..300) {
            let sum: u64 = (0..publishers).map(|publisher| quota(total, publisher, publishers)).sum();
            prop_assert_eq!(sum, total);
        }
    }
}
