//! The times of one publisher whose messages are a Poisson process, one after the other in constant memory.
//!
//! Slots come in blocks. How long a block lasts is drawn at once (the sum of its exponential gaps is a gamma number),
//! and its gaps are exponential draws scaled to that length: given their sum, the shares of exponential gaps do not
//! depend on it, so this is the same process. Counting far ahead takes one draw per block, and everything depends on
//! the seed, the publisher and the slot number only.

use crate::template::Draws;

/// Slots per block.
const BLOCK: u64 = 256;

/// Domains of the random draws; each publisher has its own sequences.
const GAPS: u64 = 1;
const LENGTHS: u64 = 2;

/// Times in mean gaps of this publisher: its slot g is due at about g.
#[derive(Clone, Debug)]
pub(super) struct PoissonTimes {
    gaps: Draws,
    lengths: Draws,
    block: u64,
    /// When the block begins, how long it lasts, and how much of that an exponential number of 1 is.
    begin: f64,
    length: f64,
    scale: f64,
    /// Slots of the block that are done, and the sum of their exponential numbers.
    behind: u64,
    sum: f64,
}

impl PoissonTimes {
    pub(super) fn new(seed: u64, publisher: u64) -> Self {
        let draws = |purpose| Draws::new(Draws::new(seed, purpose).bits(publisher), purpose);
        let (gaps, lengths) = (draws(GAPS), draws(LENGTHS));
        let mut times = Self { gaps, lengths, block: 0, begin: 0.0, length: 0.0, scale: 0.0, behind: 0, sum: 0.0 };
        times.enter(0, 0.0);
        times
    }

    /// When the next slot is due.
    pub(super) fn next(&mut self) -> f64 {
        if self.behind == BLOCK {
            self.enter(self.block + 1, self.begin + self.length);
        }
        self.sum += self.gaps.exponential(self.block * BLOCK + self.behind);
        self.behind += 1;
        self.begin + self.sum * self.scale
    }

    /// For how many of the next slots `is_before` holds; it holds for all up to some time, and for none after it.
    pub(super) fn count_while(mut self, is_before: impl Fn(f64) -> bool) -> u64 {
        let mut count = 0;
        if is_before(self.begin + self.length) {
            // Whole blocks; the last slot of a block ends it.
            count += BLOCK - self.behind;
            let (mut block, mut begin) = (self.block + 1, self.begin + self.length);
            loop {
                let end = begin + self.length_of(block);
                if !is_before(end) {
                    break;
                }
                (block, begin) = (block + 1, end);
                count += BLOCK;
            }
            self.enter(block, begin);
        }
        while self.behind < BLOCK && is_before(self.next()) {
            count += 1;
        }
        count
    }

    fn length_of(&self, block: u64) -> f64 {
        self.lengths.gamma(block, BLOCK as f64)
    }

    fn enter(&mut self, block: u64, begin: f64) {
        let sum: f64 = (block * BLOCK..(block + 1) * BLOCK).map(|slot| self.gaps.exponential(slot)).sum();
        (self.block, self.begin, self.length) = (block, begin, self.length_of(block));
        (self.scale, self.behind, self.sum) = (self.length / sum, 0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(mut times: PoissonTimes, slots: usize) -> Vec<f64> {
        (0..slots).map(|_| times.next()).collect()
    }

    #[test]
    fn gaps_are_exponential_across_blocks() {
        let due = walk(PoissonTimes::new(42, 0), 200_000);
        assert!(due[0] > 0.0 && due.is_sorted());
        let gaps: Vec<f64> = due.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 1.0).abs() < 0.01 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        // The counts of a Poisson process vary as much as they are large: here in windows of 100 mean gaps.
        let windows = (due[due.len() - 1] / 100.0) as usize;
        let mut counts = vec![0f64; windows + 1];
        due.iter().for_each(|due| counts[(due / 100.0) as usize] += 1.0);
        counts.truncate(windows);
        let mean = counts.iter().sum::<f64>() / windows as f64;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / windows as f64;
        assert!((mean - 100.0).abs() < 1.0 && (variance - 100.0).abs() < 12.0, "{mean} {variance}");
    }

    #[test]
    fn publishers_and_seeds_have_times_of_their_own() {
        let first = |seed, publisher| walk(PoissonTimes::new(seed, publisher), 50);
        assert_eq!(first(1, 2), first(1, 2));
        for other in [first(1, 3), first(2, 2), first(2, 1)] {
            assert!(first(1, 2).iter().all(|time| !other.contains(time)));
        }
    }

    #[test]
    fn counting_agrees_with_the_times() {
        let due = walk(PoissonTimes::new(3, 1), 20_000);
        for skipped in [0, 1, 255, 256, 257, 5_000] {
            let mut times = PoissonTimes::new(3, 1);
            for _ in 0..skipped {
                times.next();
            }
            for moment in [0.0, 0.5, 255.5, due[255], due[256], 4_095.0, 10_000.0] {
                let expected = due[skipped..].iter().filter(|due| **due < moment).count() as u64;
                assert_eq!(times.clone().count_while(|due| due < moment), expected, "{skipped} {moment}");
            }
        }
        // Far ahead without walking there.
        let far = PoissonTimes::new(3, 1).count_while(|due| due < 1e7) as f64;
        assert!((far / 1e7 - 1.0).abs() < 2e-3, "{far}");
    }
}
