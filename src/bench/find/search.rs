//! Which rate is tried next: doubling until one fails, halving the distance in proportion until it is at most 5 %, then a
//! longer measurement of the answer and one of a tenth more. Pure: it knows rates and outcomes, and no clock.

use crate::bench::report::{ProbeOutcome, Purpose};

/// The rates that pass and fail lie this near in the end.
const PRECISION: f64 = 1.05;
/// What is shown to fail.
const ABOVE: f64 = 1.1;
/// The step up while nothing has failed.
const DOUBLE: f64 = 2.0;
/// The step up where a rate had failed before, and a tenth more than the answer passed.
const NEAR: f64 = 1.25;
/// Below this rate nothing is tried, messages per second.
const LEAST: f64 = 1.0;
/// Above this one neither: that of `--rate`.
const MOST: f64 = 1e9;
/// A search that has not ended by then meets outcomes that contradict each other.
const MOST_PROBES: usize = 60;
/// Rates below each other that this machine could not measure, after which it is given up: lower ones would be no easier.
const MOST_UNFIT: u32 = 3;
/// How much longer the answer is measured.
pub(crate) const CONFIRM_TIMES: u32 = 3;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    /// Measure this rate.
    Try(f64, Purpose),
    /// The search is over.
    Done,
}

/// The state of a search.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// Where it begins.
    start: f64,
    /// Rates that passed, rising; one that a longer measurement failed is taken out.
    passed: Vec<f64>,
    /// The lowest rate that did not pass, and how.
    failed: Option<(f64, ProbeOutcome)>,
    step_up: f64,
    confirmed: Option<f64>,
    above: Option<(f64, ProbeOutcome)>,
    tried: usize,
    /// What this machine could not measure is tried once more: other programs come and go.
    again: Option<(f64, Purpose)>,
    /// Rates in a row that it could not measure, with none that passed.
    unfit: u32,
    /// The answer, where this machine could not measure it for longer.
    unconfirmed: Option<f64>,
}

impl Search {
    /// A search that begins at a rate.
    pub(crate) fn new(start: f64) -> Self {
        Self {
            start: tidy(start.clamp(LEAST, MOST)),
            passed: Vec::new(),
            failed: None,
            step_up: DOUBLE,
            confirmed: None,
            above: None,
            tried: 0,
            again: None,
            unfit: 0,
            unconfirmed: None,
        }
    }

    /// What to do next.
    pub(crate) fn next(&self) -> Step {
        if self.tried >= MOST_PROBES
            || self.above.is_some()
            || self.unconfirmed.is_some()
            || self.best().is_none() && self.unfit >= MOST_UNFIT
        {
            return Step::Done;
        }
        if let Some((rate, purpose)) = self.again {
            return Step::Try(rate, purpose);
        }
        match (self.best(), self.failed) {
            (None, None) => Step::Try(self.start, Purpose::Bracket),
            (None, Some((failed, _))) if failed <= LEAST => Step::Done,
            (None, Some((failed, _))) => Step::Try(tidy((failed / DOUBLE).max(LEAST)), Purpose::Bracket),
            (Some(passed), None) if passed >= MOST => Step::Done,
            (Some(passed), None) => Step::Try(tidy((passed * self.step_up).min(MOST)), Purpose::Bracket),
            (Some(passed), Some((failed, _))) => {
                let middle = tidy((passed * failed).sqrt());
                if failed > passed * PRECISION && middle > passed && middle < failed {
                    Step::Try(middle, Purpose::Bisect)
                } else if self.confirmed != Some(passed) {
                    Step::Try(passed, Purpose::Confirm)
                } else {
                    Step::Try(tidy(passed * ABOVE), Purpose::Above)
                }
            }
        }
    }

    /// Takes in what a rate came to.
    pub(crate) fn note(&mut self, rate: f64, purpose: Purpose, outcome: ProbeOutcome) {
        self.tried += 1;
        let passes = outcome == ProbeOutcome::Pass;
        if outcome == ProbeOutcome::Unfit && self.again.is_none() {
            self.again = Some((rate, purpose));
            return;
        }
        self.again = None;
        self.unfit = if outcome == ProbeOutcome::Unfit { self.unfit + 1 } else { 0 };
        match purpose {
            Purpose::Confirm if outcome == ProbeOutcome::Unfit => self.unconfirmed = Some(rate),
            Purpose::Above if !passes => self.above = Some((rate, outcome)),
            _ if passes => {
                self.passed.push(rate);
                self.passed.sort_by(f64::total_cmp);
                if purpose == Purpose::Confirm {
                    self.confirmed = Some(rate);
                }
                // What failed below it failed by chance.
                if self.failed.is_some_and(|(failed, _)| failed <= rate) {
                    (self.failed, self.step_up) = (None, NEAR);
                }
            }
            _ => {
                // What passed above it, or in a shorter measurement, passed by chance.
                self.passed.retain(|passed| *passed < rate);
                if self.failed.is_none_or(|(failed, _)| rate < failed) {
                    self.failed = Some((rate, outcome));
                }
            }
        }
    }

    /// The highest rate that passed.
    pub(crate) fn best(&self) -> Option<f64> {
        self.passed.last().copied()
    }

    /// Whether a longer measurement of it passed too.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.best().is_some() && self.confirmed == self.best()
    }

    /// The rate a tenth above the answer, and what it came to.
    pub(crate) const fn above(&self) -> Option<(f64, ProbeOutcome)> {
        self.above
    }

    /// Whether this machine, and not the path, ended the search.
    pub(crate) fn is_unfit(&self) -> bool {
        match (self.above, self.failed) {
            (Some((_, outcome)), _) => outcome == ProbeOutcome::Unfit,
            (None, Some((_, outcome))) => self.unconfirmed.is_some() || outcome == ProbeOutcome::Unfit,
            (None, None) => self.unconfirmed.is_some(),
        }
    }

    /// Probes that are still needed, in lengths of one: no less than that, where the limit is not known yet.
    pub(crate) fn left(&self) -> u32 {
        let halvings = |ratio: f64| (ratio.ln() / PRECISION.ln()).log2().ceil().max(0.0) as u32;
        let confirm = if self.is_confirmed() { 0 } else { CONFIRM_TIMES };
        match (self.best(), self.failed) {
            _ if self.above.is_some() => 0,
            (Some(passed), Some((failed, _))) => halvings(failed / passed) + confirm + 1,
            _ => 1 + halvings(DOUBLE) + confirm + 1,
        }
    }
}

/// A rate of three significant digits: the others would say more than is known.
fn tidy(rate: f64) -> f64 {
    let unit = 10f64.powi(rate.abs().log10().floor() as i32 - 2);
    // What is divided by a power of ten again is as near to the decimal number as can be.
    let scaled = (rate / unit).round();
    if unit < 1.0 { scaled / (1.0 / unit).round() } else { scaled * unit }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rates that are tried on a path that passes up to `knee`.
    fn search(start: f64, outcome: impl Fn(f64, Purpose, usize) -> ProbeOutcome) -> (Search, Vec<(f64, Purpose)>) {
        let (mut search, mut tried) = (Search::new(start), Vec::new());
        while let Step::Try(rate, purpose) = search.next() {
            search.note(rate, purpose, outcome(rate, purpose, tried.len()));
            tried.push((rate, purpose));
        }
        (search, tried)
    }

    fn up_to(knee: f64) -> impl Fn(f64, Purpose, usize) -> ProbeOutcome {
        move |rate, _, _| if rate <= knee { ProbeOutcome::Pass } else { ProbeOutcome::Miss }
    }

    #[test]
    fn a_known_knee_is_found_step_by_step() {
        let (found, tried) = search(1_000.0, up_to(6_000.0));
        use Purpose::{Above, Bisect, Bracket, Confirm};
        assert_eq!(
            tried,
            [
                (1_000.0, Bracket),
                (2_000.0, Bracket),
                (4_000.0, Bracket),
                (8_000.0, Bracket),
                (5_660.0, Bisect),
                (6_730.0, Bisect),
                (6_170.0, Bisect),
                (5_910.0, Bisect),
                (5_910.0, Confirm),
                (6_500.0, Above),
            ]
        );
        assert_eq!((found.best(), found.is_confirmed(), found.left()), (Some(5_910.0), true, 0));
        assert_eq!(found.above(), Some((6_500.0, ProbeOutcome::Miss)));
    }

    #[test]
    fn a_path_that_carries_nothing_has_no_answer() {
        let (found, tried) = search(100.0, |_, _, _| ProbeOutcome::Miss);
        assert_eq!((found.best(), found.is_confirmed()), (None, false));
        assert_eq!(tried.last(), Some(&(1.0, Purpose::Bracket)));
        assert!(tried.len() < 10, "{tried:?}");
    }

    #[test]
    fn what_passes_by_chance_is_taken_back_by_the_longer_measurement() {
        let knee = up_to(6_000.0);
        let lucky = |rate, purpose, place| match purpose {
            Purpose::Bisect if place == 5 => ProbeOutcome::Pass,
            _ => knee(rate, purpose, place),
        };
        let (found, tried) = search(1_000.0, lucky);
        assert_eq!(tried[5], (6_730.0, Purpose::Bisect));
        let best = found.best().unwrap();
        assert!((5_700.0..=6_000.0).contains(&best) && found.is_confirmed(), "{tried:?}");
    }

    #[test]
    fn what_fails_by_chance_is_found_out_by_the_tenth_above() {
        let knee = up_to(6_000.0);
        // A hiccup while 2,000 are tried.
        let unlucky = |rate, purpose, place| if place == 1 { ProbeOutcome::Miss } else { knee(rate, purpose, place) };
        let (found, tried) = search(1_000.0, unlucky);
        let best = found.best().unwrap();
        assert!((5_700.0..=6_000.0).contains(&best) && found.is_confirmed(), "{tried:?}");
        assert!(tried.iter().filter(|(_, purpose)| *purpose == Purpose::Confirm).count() >= 2, "{tried:?}");
    }

    #[test]
    fn what_the_machine_cannot_generate_is_kept_apart() {
        let limit = |rate: f64, _, _| if rate <= 6_000.0 { ProbeOutcome::Pass } else { ProbeOutcome::Unfit };
        let (found, tried) = search(1_000.0, limit);
        assert_eq!((found.best(), found.is_unfit()), (Some(5_910.0), true));
        assert_eq!(found.above().unwrap().1, ProbeOutcome::Unfit);
        assert_eq!(tried[3], tried[4], "8,000 are tried twice");
    }

    #[test]
    fn a_machine_that_was_busy_for_a_moment_does_not_decide() {
        let knee = up_to(6_000.0);
        let busy = |rate, purpose, place| match place {
            0 | 5 | 9 | 13 => ProbeOutcome::Unfit,
            _ => knee(rate, purpose, place),
        };
        let (found, _) = search(1_000.0, busy);
        assert_eq!((found.best(), found.is_confirmed(), found.is_unfit()), (Some(5_910.0), true, false));
    }

    #[test]
    fn a_machine_that_stays_busy_is_given_up_at_once() {
        let (found, tried) = search(1_000.0, |_, _, _| ProbeOutcome::Unfit);
        assert_eq!((found.best(), found.is_unfit(), tried.len()), (None, true, 6));
        // It becomes busy while the answer is confirmed: the answer stands, and is not lowered.
        let knee = up_to(6_000.0);
        let late = |rate, purpose, place| {
            if purpose == Purpose::Confirm { ProbeOutcome::Unfit } else { knee(rate, purpose, place) }
        };
        let (found, _) = search(1_000.0, late);
        assert_eq!((found.best(), found.is_confirmed(), found.is_unfit()), (Some(5_910.0), false, true));
    }

    #[test]
    fn rates_have_three_digits() {
        let tidied = [1.0, 1.2345, 12.345, 123.45, 1234.5, 123_456.0, 9_999.0, 0.5].map(tidy);
        assert_eq!(tidied, [1.0, 1.23, 12.3, 123.0, 1_230.0, 123_000.0, 10_000.0, 0.5]);
    }

    proptest! {
        /// The answer is at most 5 % below the knee (and what three digits leave), wherever the search begins.
        #[test]
        fn every_knee_is_found(start in 1.0..1e6f64, knee in 2.0..1e6f64) {
            let (found, tried) = search(start, up_to(knee));
            let best = found.best().unwrap();
            prop_assert!(best <= knee && best >= knee / 1.062, "{knee}: {best} by {tried:?}");
            prop_assert!(found.is_confirmed());
            prop_assert!(tried.len() < 40, "{}", tried.len());
        }

        /// Outcomes of chance end it too.
        #[test]
        fn chance_ends_it(outcomes in proptest::collection::vec(any::<bool>(), 64)) {
            let (_, tried) = search(100.0, |_, _, place| {
                if outcomes[place] { ProbeOutcome::Pass } else { ProbeOutcome::Miss }
            });
            prop_assert!(tried.len() <= MOST_PROBES);
        }
    }
}
