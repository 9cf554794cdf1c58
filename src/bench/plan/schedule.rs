//! The open-loop schedule: fixed before the run, and independent of the number of threads.
//!
//! When the slots of a publisher are due follows from rate, arrival, seed and the publisher's number alone, so any
//! split of the publishers over threads sends exactly the same slots. fixed and burst have one row of slots, of which
//! slot g belongs to publisher g mod P: publishers are spread over time. With poisson each publisher is its own Poisson
//! process, as independent devices are, and all together are one of the total rate.

use super::poisson::PoissonTimes;
use crate::options::Arrival;

/// The schedule of a stage.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    rate: f64,
    arrival: Arrival,
    seed: u64,
}

impl Schedule {
    /// `rate` messages per second in total.
    pub(crate) const fn new(arrival: Arrival, rate: f64, seed: u64) -> Self {
        Self { rate, arrival, seed }
    }

    /// The slots of publisher `publisher` of `publishers`.
    pub(crate) fn slots_of(&self, publisher: usize, publishers: usize) -> PublisherSlots {
        let (publisher, publishers) = (publisher as u64, publishers as u64);
        match self.arrival {
            Arrival::Fixed => Row { rate: self.rate, burst: 1, publisher, publishers, next: 0 }.into(),
            Arrival::Burst(size) => Row { rate: self.rate, burst: size.max(1), publisher, publishers, next: 0 }.into(),
            Arrival::Poisson => {
                let rate = self.rate / publishers as f64;
                let mut times = PoissonTimes::new(self.seed, publisher);
                let (due_ns, superseded_ns) = (ns(times.next(), rate), ns(times.next(), rate));
                PublisherSlots { due_ns, superseded_ns, ahead: Ahead::Poisson { times, rate } }
            }
        }
    }
}

/// From mean gaps to nanoseconds. An f64 holds slot numbers exactly up to 2^53; the division rounds to about 2^-53 of
/// the result.
fn ns(gaps: f64, rate: f64) -> u64 {
    (gaps * 1e9 / rate) as u64
}

/// The slots of one publisher of the schedule.
#[derive(Clone, Debug)]
pub(crate) struct PublisherSlots {
    /// When the next slot is due.
    due_ns: u64,
    /// When the first slot after it is due that has a later time.
    superseded_ns: u64,
    ahead: Ahead,
}

/// The slots after it.
#[derive(Clone, Debug)]
enum Ahead {
    Row(Row),
    /// After the slot that supersedes the next one.
    Poisson {
        times: PoissonTimes,
        /// Of this publisher.
        rate: f64,
    },
}

/// The slots that all publishers share.
#[derive(Clone, Debug)]
struct Row {
    /// Of all publishers together.
    rate: f64,
    /// Slots that are due at once.
    burst: u64,
    publisher: u64,
    publishers: u64,
    /// The publisher's next slot, by its place among its own.
    next: u64,
}

impl From<Row> for PublisherSlots {
    fn from(row: Row) -> Self {
        let (due_ns, superseded_ns) = (row.due_of(row.next), row.due_of(row.superseding()));
        Self { due_ns, superseded_ns, ahead: Ahead::Row(row) }
    }
}

impl Row {
    /// When a slot of the row is due, in nanoseconds since the schedule's start.
    fn due_ns(&self, slot: u64) -> u64 {
        ns((slot - slot % self.burst) as f64, self.rate)
    }

    /// The same of one of this publisher's own slots.
    fn due_of(&self, index: u64) -> u64 {
        self.due_ns(self.publisher + index.saturating_mul(self.publishers))
    }

    /// The slot that takes the place of the next one, were that given up: the one after it. Those of one burst do not
    /// take each other's places.
    fn superseding(&self) -> u64 {
        if self.burst == 1 {
            return self.next + 1;
        }
        let slot = self.publisher + self.next.saturating_mul(self.publishers);
        let next_burst = slot - slot % self.burst + self.burst;
        (next_burst - self.publisher).div_ceil(self.publishers)
    }

    /// How many slots of the row are due before a moment. Found by bisection: a rate may have more slots than can be
    /// counted.
    fn slots_before(&self, moment_ns: u64) -> u64 {
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

    /// How many of the publisher's slots from the next one on are due before a moment.
    fn own_before(&self, moment_ns: u64) -> u64 {
        let slots = self.slots_before(moment_ns).saturating_sub(self.publisher).div_ceil(self.publishers);
        slots.saturating_sub(self.next)
    }
}

impl PublisherSlots {
    /// When the next slot is due, in nanoseconds since the schedule's start.
    pub(crate) const fn due_ns(&self) -> u64 {
        self.due_ns
    }

    /// When a slot is due that takes the place of the next one, were that given up.
    pub(crate) const fn superseded_ns(&self) -> u64 {
        self.superseded_ns
    }

    /// How many slots from the next one on are due at `from_ns` or later, and before `to_ns`.
    pub(crate) fn due_between(&self, from_ns: u64, to_ns: u64) -> u64 {
        let before = |moment_ns| match &self.ahead {
            Ahead::Row(row) => row.own_before(moment_ns),
            Ahead::Poisson { times, rate } => {
                let known = [self.due_ns, self.superseded_ns].into_iter().filter(|due| *due < moment_ns).count() as u64;
                known + times.clone().count_while(|gaps| ns(gaps, *rate) < moment_ns)
            }
        };
        before(to_ns).saturating_sub(before(from_ns))
    }

    /// Gives up all slots that are due before a moment.
    pub(crate) fn advance_to(&mut self, moment_ns: u64) {
        if let Ahead::Row(row) = &mut self.ahead {
            row.next += row.own_before(moment_ns);
            *self = row.clone().into();
        }
        while self.due_ns < moment_ns {
            self.advance();
        }
    }

    /// Goes to the following slot.
    pub(crate) fn advance(&mut self) {
        match &mut self.ahead {
            Ahead::Row(row) => {
                // Up to the end of a burst all are due at the same time.
                if row.superseding() == row.next + 1 {
                    self.due_ns = self.superseded_ns;
                }
                row.next += 1;
                self.superseded_ns = row.due_of(row.superseding());
            }
            Ahead::Poisson { times, rate } => {
                self.due_ns = self.superseded_ns;
                self.superseded_ns = ns(times.next(), *rate);
            }
        }
    }
}

/// How many of `total` messages publisher `publisher` of `publishers` sends: those whose slot is its own.
pub(crate) fn quota(total: u64, publisher: usize, publishers: usize) -> u64 {
    let (publisher, publishers) = (publisher as u64, publishers as u64);
    if publisher < total { (total - publisher).div_ceil(publishers) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slots(arrival: Arrival, rate: f64, publisher: usize, publishers: usize) -> PublisherSlots {
        Schedule::new(arrival, rate, 5).slots_of(publisher, publishers)
    }

    fn row(arrival: Arrival, rate: f64) -> Row {
        let Ahead::Row(row) = slots(arrival, rate, 0, 1).ahead else { panic!("{arrival} has no row") };
        row
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
            (0..4).flat_map(|publisher| walk(slots(Arrival::Fixed, 1000.0, publisher, 4), 25)).collect();
        due.sort_unstable();
        assert_eq!(due, (0..100).map(|slot| slot * 1_000_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_burst_is_due_at_once_and_keeps_the_rate() {
        let row = row(Arrival::Burst(3), 1000.0);
        let due: Vec<u64> = (0..7).map(|slot| row.due_ns(slot) / 1_000_000).collect();
        assert_eq!(due, [0, 0, 0, 3, 3, 3, 6]);
        assert_eq!(row.slots_before(3_000_001), 6);
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
            let mut slots = slots(arrival, 1000.0, publishers - 1, publishers);
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
            let mut slots = slots(arrival, 7.0, 1, 3);
            slots.advance();
            let mut walked = 0;
            let mut walk = slots.clone();
            while walk.due_ns() < 900_000_000_000 {
                walked += u64::from(walk.due_ns() >= 2_000_000_000);
                walk.advance();
            }
            assert_eq!(slots.due_between(2_000_000_000, 900_000_000_000), walked, "{arrival}");
        }
        assert_eq!(slots(Arrival::Fixed, 1e12, 0, 1).due_between(0, 10_000_000_000), 10_000_000_000_000);
    }

    /// How far the distribution of some gaps is from the exponential one with a mean (Kolmogorov and Smirnov); with
    /// many samples it is above 1.63 once in a hundred times.
    fn distance_from_exponential(times_ns: &[u64], mean_ns: f64) -> f64 {
        let mut gaps: Vec<f64> = times_ns.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / mean_ns).collect();
        gaps.sort_by(f64::total_cmp);
        let count = gaps.len() as f64;
        let distance = |(place, gap): (usize, &f64)| {
            let expected = 1.0 - (-gap).exp();
            (expected - place as f64 / count).abs().max((place as f64 + 1.0) / count - expected)
        };
        gaps.iter().enumerate().map(distance).fold(0.0, f64::max) * count.sqrt()
    }

    #[test]
    fn each_publisher_is_a_poisson_process_and_so_are_all_together() {
        let (rate, publishers, each) = (50_000.0, 20, 5_000);
        for seed in [1, 42, 4711] {
            let schedule = Schedule::new(Arrival::Poisson, rate, seed);
            let streams: Vec<Vec<u64>> =
                (0..publishers).map(|publisher| walk(schedule.slots_of(publisher, publishers), each)).collect();
            let own_mean_ns = publishers as f64 * 1e9 / rate;
            let distances = streams.iter().map(|stream| distance_from_exponential(stream, own_mean_ns));
            let worst = distances.fold(0.0, f64::max);
            // The worst of twenty.
            assert!(worst < 2.0, "seed {seed}: {worst}");
            let end = streams.iter().map(|stream| stream[each - 1]).min().unwrap();
            let mut all: Vec<u64> = streams.concat();
            all.sort_unstable();
            all.retain(|due| *due < end);
            let distance = distance_from_exponential(&all, 1e9 / rate);
            assert!(distance < 1.7, "seed {seed}: {distance}");
            // Which publisher is next does not depend on which was last.
            let counted = all.len() as f64;
            assert!((counted / (end as f64 * rate / 1e9) - 1.0).abs() < 0.02, "seed {seed}: {counted}");
            let from_first = streams[0].iter().filter(|due| **due < end).count() as f64;
            assert!((from_first / counted * publishers as f64 - 1.0).abs() < 0.1, "seed {seed}: {from_first}");
        }
    }

    #[test]
    fn slots_before_a_moment_are_given_up_at_once() {
        for arrival in [Arrival::Fixed, Arrival::Burst(4), Arrival::Poisson] {
            for moment_ns in [0, 2_000_000_000, 2_000_000_001] {
                let mut slots = slots(arrival, 7.0, 1, 3);
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
        let in_a_minute = (0..3).map(|publisher| schedule(42).slots_of(publisher, 3).due_between(0, 60_000_000_000));
        let in_a_minute = in_a_minute.sum::<u64>() as f64;
        // Three million, give or take a few times their square root.
        assert!((in_a_minute - 3e6).abs() < 5.0 * 3e6f64.sqrt(), "{in_a_minute}");
        let first = |seed| walk(schedule(seed).slots_of(0, 1), 100);
        assert_eq!(first(42), first(42));
        assert_ne!(first(42), first(43));
    }

    fn arrival() -> impl Strategy<Value = Arrival> {
        prop_oneof![Just(Arrival::Fixed), Just(Arrival::Poisson), (1u64..50).prop_map(Arrival::Burst)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However many threads there are, each with its own schedule, together they send the slots of one.
        #[test]
        fn threads_unite_to_one(
            arrival in arrival(), publishers in 1usize..30, threads in 1usize..9, seed: u64, rate in 0.5f64..5e6,
        ) {
            let each = 40;
            let whole = Schedule::new(arrival, rate, seed);
            let mut expected: Vec<u64> = match &whole.slots_of(0, 1).ahead {
                Ahead::Row(row) => (0..(publishers * each) as u64).map(|slot| row.due_ns(slot)).collect(),
                Ahead::Poisson { .. } => {
                    (0..publishers).rev().flat_map(|publisher| walk(whole.slots_of(publisher, publishers), each)).collect()
                }
            };
            expected.sort_unstable();
            let mut united = Vec::new();
            for thread in 0..threads {
                let own = Schedule::new(arrival, rate, seed);
                for publisher in (thread..publishers).step_by(threads) {
                    united.extend(walk(own.slots_of(publisher, publishers), each));
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
