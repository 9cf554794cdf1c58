//! Medians and their confidence intervals, by bootstrap: what single runs scatter says how far a median can be trusted,
//! without a guess at the shape of the distribution (Efron 1979).

use crate::bench::measure::median;
use crate::template::Draws;

/// The confidence of every interval, percent.
pub(crate) const CONFIDENCE_PCT: f64 = 95.0;
/// How often the runs are drawn again for an interval.
pub(crate) const RESAMPLES: u64 = 10_000;
/// The seed of these draws: the same results give the same intervals, on every machine.
pub(crate) const SEED: u64 = 1;

/// The interval of the median of `values`; `None` for fewer than two.
pub(crate) fn interval_of_median(values: &[f64]) -> Option<[f64; 2]> {
    if values.len() < 2 {
        return None;
    }
    let draws = Draws::new(SEED, 0);
    interval((0..RESAMPLES).filter_map(|resample| resampled_median(values, draws, resample)).collect())
}

/// The interval of what `change` makes of the medians of two groups; `None` where one of them has fewer than two values,
/// or where the change is not defined.
pub(crate) fn interval_of_change(base: &[f64], new: &[f64], change: fn(f64, f64) -> Option<f64>) -> Option<[f64; 2]> {
    if base.len() < 2 || new.len() < 2 {
        return None;
    }
    let (of_base, of_new) = (Draws::new(SEED, 0), Draws::new(SEED, 1));
    let changes: Option<Vec<f64>> = (0..RESAMPLES)
        .map(|resample| change(resampled_median(base, of_base, resample)?, resampled_median(new, of_new, resample)?))
        .collect();
    interval(changes?)
}

/// The median of as many values, drawn with replacement.
fn resampled_median(values: &[f64], draws: Draws, resample: u64) -> Option<f64> {
    let count = values.len() as u64;
    median((0..count).map(|place| values[draws.below(resample * count + place, count) as usize]).collect())
}

/// The middle [`CONFIDENCE_PCT`] of the values.
fn interval(mut values: Vec<f64>) -> Option<[f64; 2]> {
    values.sort_by(f64::total_cmp);
    let tail = (values.len() as f64 * (1.0 - CONFIDENCE_PCT / 100.0) / 2.0) as usize;
    Some([*values.get(tail)?, *values.get(values.len() - 1 - tail)?])
}

/// Whether runs can show a difference at all: of all orders in which as many runs of both sides can lie, the two in which
/// the sides do not overlap must be rarer than what the confidence leaves.
pub(crate) fn can_differ(base: usize, new: usize) -> bool {
    let orders: f64 = (1..=new).map(|place| (base + place) as f64 / place as f64).product();
    2.0 / orders <= 1.0 - CONFIDENCE_PCT / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_lies_within_the_values_and_around_the_median() {
        assert_eq!((interval_of_median(&[]), interval_of_median(&[3.0])), (None, None));
        assert_eq!(interval_of_median(&[3.0; 5]), Some([3.0, 3.0]));
        // Of five values the median of a draw is the least one in 5.8 % of all draws, which is more than the 2.5 % that
        // an end leaves.
        assert_eq!(interval_of_median(&[5.0, 1.0, 3.0, 2.0, 4.0]), Some([1.0, 5.0]));
        // Of 101 the interval is that of the binomial distribution: places 41 and 61, give or take one.
        let many: Vec<f64> = (1..=101).map(f64::from).collect();
        let [low, high] = interval_of_median(&many).unwrap();
        assert!((40.0..=42.0).contains(&low) && (60.0..=62.0).contains(&high), "{low} to {high}");
    }

    #[test]
    fn a_change_has_an_interval_where_both_sides_have_runs() {
        let percent = |base: f64, new: f64| (base > 0.0).then(|| 100.0 * (new / base - 1.0));
        assert_eq!(interval_of_change(&[10.0], &[11.0, 12.0], percent), None);
        assert_eq!(
            interval_of_change(&[10.0, 10.0], &[11.0, 11.0], percent).map(|it| it.map(f64::round)),
            Some([10.0; 2])
        );
        assert_eq!(interval_of_change(&[0.0, 10.0], &[11.0, 11.0], percent), None, "no change of nothing");
    }

    #[test]
    fn too_few_runs_tell_nothing() {
        let able =
            [(1, 1), (1, 20), (2, 2), (3, 3), (3, 4), (4, 4), (3, 5), (1, 39), (5, 5)].map(|(a, b)| can_differ(a, b));
        assert_eq!(able, [false, false, false, false, false, true, true, true, true]);
    }
}
