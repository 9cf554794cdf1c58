//! Where in the streams the seconds of a stage began. Losses are known only after the drain; this gives the second in
//! which they were sent.

use std::ops::Range;

use crate::bench::measure::MOST_ROWS;

/// Most positions that are kept, over all streams and seconds: 8 MB. A stage that needs more keeps none.
const MOST_POSITIONS: usize = 1 << 20;

/// The positions of the streams at the beginning of each second, and at the end of the last one.
#[derive(Debug, Default)]
pub(super) struct Marks {
    moments: Vec<Box<[u64]>>,
    too_many: bool,
}

impl Marks {
    /// Forgets the positions of the last stage.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A second ends, and the next one begins: stores how many messages each stream has sent.
    pub(super) fn note(&mut self, sent: impl Iterator<Item = u64>) {
        if self.too_many {
            return;
        }
        let positions: Box<[u64]> = sent.collect();
        // In longer stages one row is several seconds.
        self.too_many = self.moments.len() > MOST_ROWS || (self.moments.len() + 1) * positions.len() > MOST_POSITIONS;
        if self.too_many {
            self.moments = Vec::new();
            return;
        }
        // Numbers that were taken back at a loss are used again, and belong to the second of their new use.
        for earlier in self.moments.iter_mut().rev() {
            let fell = earlier.iter_mut().zip(&positions).filter(|(before, now)| **before > **now);
            if fell.map(|(before, now)| *before = *now).count() == 0 {
                break;
            }
        }
        self.moments.push(positions);
    }

    /// The measured sequence numbers of a stream by second; none where that is unknown. Messages outside the marked
    /// seconds belong to the first or the last one.
    pub(super) fn seconds(&self, stream: usize, measured: Range<u64>) -> Option<impl Iterator<Item = Range<u64>>> {
        let last = self.moments.len().checked_sub(1).filter(|last| *last > 0)?;
        let position = move |moment: usize| match moment {
            0 => measured.start,
            moment if moment == last => measured.end,
            moment => self.moments[moment][stream].clamp(measured.start, measured.end),
        };
        Some((0..last).map(move |second| position(second)..position(second + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_its_second() {
        let mut marks = Marks::default();
        assert!(marks.seconds(0, 0..5).is_none());
        // The second stream is taken back a little in between, as where a connection is lost, and sends that later.
        for positions in [[10, 0], [20, 7], [30, 5], [35, 9]] {
            marks.note(positions.into_iter());
        }
        let of = |stream, measured| marks.seconds(stream, measured).unwrap().collect::<Vec<_>>();
        assert_eq!(of(0, 12..36), [12..20, 20..30, 30..36]);
        assert_eq!(of(0, 25..28), [25..25, 25..28, 28..28]);
        assert_eq!(of(1, 0..9).iter().map(|numbers| numbers.end.saturating_sub(numbers.start)).sum::<u64>(), 9);
        marks.clear();
        (0..=MOST_ROWS as u64).for_each(|second| marks.note([second].into_iter()));
        assert!(marks.seconds(0, 0..5).is_some());
        marks.note([0].into_iter());
        assert!(marks.seconds(0, 0..5).is_none(), "a row is more than a second");
    }
}
