//! The times of a Poisson process by slot number, without walking to them and in little memory.
//!
//! Slots come in blocks. How long a block lasts is drawn at once (the sum of its exponential gaps is a gamma number),
//! and its gaps are exponential draws scaled to that length: given their sum, the shares of exponential gaps do not
//! depend on it, so this is the same process. To go far ahead takes one draw a block, and everything depends on the
//! seed and the slot number only.

use std::collections::VecDeque;

use super::draw::Draws;

/// Slots of a block.
const BLOCK: u64 = 4096;

/// Blocks between two beginnings that are kept: 8 bytes for a quarter of a million slots.
const STRIDE: u64 = 64;

/// Decoded blocks that are kept, 32 kB each: publishers of a thread ask for slots that lie near each other.
const KEPT: usize = 16;

/// Times in mean gaps: slot g is due at about g.
#[derive(Debug)]
pub(super) struct PoissonTimes {
    gaps: Draws,
    lengths: Draws,
    /// Where the blocks 0, STRIDE, 2 STRIDE, … begin.
    begins: Vec<f64>,
    /// Block numbers and the times of their slots, the last used one first.
    decoded: VecDeque<(u64, Box<[f64]>)>,
}

impl PoissonTimes {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            gaps: Draws::new(seed, 1),
            lengths: Draws::new(seed, 2),
            begins: vec![0.0],
            decoded: VecDeque::with_capacity(KEPT + 1),
        }
    }

    /// When a slot is due; slot 0 at 0.
    pub(super) fn due(&mut self, slot: u64) -> f64 {
        // The block has just so many slots.
        self.decode(slot / BLOCK)[(slot % BLOCK) as usize]
    }

    /// How many slots `is_before` holds for; it holds for all up to some time, and for none after it.
    pub(super) fn count_while(&mut self, is_before: impl Fn(f64) -> bool) -> u64 {
        if !is_before(0.0) {
            return 0;
        }
        while self.begins.last().is_some_and(|begin| is_before(*begin)) {
            self.extend();
        }
        let stride = self.begins.partition_point(|begin| is_before(*begin)) as u64 - 1;
        let mut block = stride * STRIDE;
        let mut begin = self.begins[stride as usize];
        loop {
            let next = begin + self.length(block);
            if !is_before(next) {
                break;
            }
            (block, begin) = (block + 1, next);
        }
        block * BLOCK + self.decode(block).partition_point(|due| is_before(*due)) as u64
    }

    fn length(&self, block: u64) -> f64 {
        self.lengths.gamma(block, BLOCK as f64)
    }

    /// Finds the next beginning that is kept.
    fn extend(&mut self) {
        let first = (self.begins.len() as u64 - 1) * STRIDE;
        let begin = self.begins.last().copied().unwrap_or_default();
        self.begins.push((first..first + STRIDE).fold(begin, |sum, block| sum + self.length(block)));
    }

    fn begin(&mut self, block: u64) -> f64 {
        let stride = block / STRIDE;
        while self.begins.len() as u64 <= stride {
            self.extend();
        }
        let begin = self.begins[stride as usize];
        (stride * STRIDE..block).fold(begin, |sum, block| sum + self.length(block))
    }

    fn decode(&mut self, block: u64) -> &[f64] {
        match self.decoded.iter().position(|(number, _)| *number == block) {
            Some(0) => {}
            Some(index) => self.decoded.swap(0, index),
            None => {
                let times = self.times(block);
                self.decoded.truncate(KEPT - 1);
                self.decoded.push_front((block, times));
            }
        }
        &self.decoded[0].1
    }

    fn times(&mut self, block: u64) -> Box<[f64]> {
        let (begin, length) = (self.begin(block), self.length(block));
        let mut sum = 0.0;
        let mut times: Box<[f64]> = (block * BLOCK..(block + 1) * BLOCK)
            .map(|slot| {
                // The gap of a slot is the one after it.
                let due = sum;
                sum += self.gaps.exponential(slot);
                due
            })
            .collect();
        let scale = length / sum;
        times.iter_mut().for_each(|time| *time = begin + *time * scale);
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_exponential_across_blocks() {
        let mut times = PoissonTimes::new(42);
        let slots = 40 * BLOCK;
        let due: Vec<f64> = (0..=slots).map(|slot| times.due(slot)).collect();
        assert_eq!(due[0], 0.0);
        assert!(due.is_sorted());
        let gaps: Vec<f64> = due.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 1.0).abs() < 0.01 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        // The counts of a Poisson process vary as much as they are large: here in windows of 100 mean gaps.
        let windows = (due[slots as usize] / 100.0) as usize;
        let mut counts = vec![0f64; windows + 1];
        due.iter().for_each(|due| counts[(due / 100.0) as usize] += 1.0);
        counts.truncate(windows);
        let mean = counts.iter().sum::<f64>() / windows as f64;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / windows as f64;
        assert!((mean - 100.0).abs() < 1.0 && (variance - 100.0).abs() < 15.0, "{mean} {variance}");
    }

    #[test]
    fn the_order_of_the_questions_does_not_matter() {
        let mut forward = PoissonTimes::new(9);
        let slots: Vec<u64> = (0..200).map(|number| number * 7_919).collect();
        let expected: Vec<f64> = slots.iter().map(|slot| forward.due(*slot)).collect();
        let mut backward = PoissonTimes::new(9);
        for (slot, expected) in slots.iter().zip(&expected).rev() {
            assert_eq!(backward.due(*slot), *expected);
        }
        assert!(backward.decoded.len() <= KEPT);
    }

    #[test]
    fn counting_agrees_with_the_times() {
        let mut times = PoissonTimes::new(3);
        for moment in [0.0, 0.5, 4_095.0, 10_000.0, 1_000_000.0] {
            let count = times.count_while(|due| due < moment);
            assert!(count == 0 || times.due(count - 1) < moment, "{moment}");
            assert!(times.due(count) >= moment, "{moment}");
        }
        // Far ahead without walking there.
        let far = times.count_while(|due| due < 1e10) as f64;
        assert!((far / 1e10 - 1.0).abs() < 1e-4, "{far}");
        assert!(times.begins.len() < 50_000);
    }
}
