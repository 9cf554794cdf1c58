//! Whether the load was steady: compares the thirds of the measured window.
//!
//! It works on the seconds: a third is represented by the median of its seconds, and how far single seconds lie from
//! that median is the measure of noise.

use super::series::{IntervalRow, Series};

/// Seconds that a third must have for its median to mean something.
const SECONDS_A_THIRD: usize = 2;
/// Differences below this share of the larger figure are ignored.
const RATE_SHARE: f64 = 0.1;
/// The same for p99, which scatters more.
const P99_SHARE: f64 = 0.5;
/// Differences below this multiple of the scatter of the seconds are noise.
const NOISE_TIMES: f64 = 3.0;
/// An open loop that is not overloaded has hardly anything in flight: growth below this share of a second's messages
/// is no growth.
const BACKLOG_SHARE: f64 = 0.05;

/// A figure that changed from the beginning to the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Drift {
    /// Median of the first third.
    pub first: f64,
    /// Median of the last third.
    pub last: f64,
}

/// What changed over the measured window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Steadiness {
    /// Messages per second.
    pub rate: Option<Drift>,
    /// p99 of the end-to-end latency, nanoseconds.
    pub p99: Option<Drift>,
    /// Messages in flight, where they became more.
    pub backlog: Option<Drift>,
}

impl Steadiness {
    /// Compares the thirds of a stage; nothing where it was too short. `count` is the column whose rate is meant.
    pub(crate) fn of(series: &Series, count: fn(&IntervalRow) -> Option<u64>) -> Self {
        let rows = &series.rows;
        // Rows are a second, or several.
        let per_second =
            |row: &IntervalRow| count(row).unwrap_or_default() as f64 * 1e9 / series.interval_ns.max(1) as f64;
        let rates: Vec<f64> = rows.iter().map(per_second).collect();
        let p99: Option<Vec<f64>> = rows.iter().map(|row| row.e2e_p99.map(|p99| p99 as f64)).collect();
        let backlogs: Option<Vec<f64>> = rows.iter().map(|row| row.backlog.map(|backlog| backlog as f64)).collect();
        let growth = backlogs.and_then(|backlogs| {
            let typical = median(rates.clone())?;
            drift(&backlogs, |drift| drift.last - drift.first > BACKLOG_SHARE * typical)
        });
        let above =
            |share: f64| move |drift: &Drift| (drift.last - drift.first).abs() > share * drift.first.max(drift.last);
        Self {
            rate: drift(&rates, above(RATE_SHARE)),
            p99: p99.and_then(|p99| drift(&p99, above(P99_SHARE))),
            backlog: growth,
        }
    }
}

/// The change from the first third to the last one, where it is large enough, more than noise, and the third between
/// them lies between them.
fn drift(values: &[f64], is_large: impl Fn(&Drift) -> bool) -> Option<Drift> {
    let third = values.len() / 3;
    if third < SECONDS_A_THIRD {
        return None;
    }
    let parts = [&values[..third], &values[third..values.len() - third], &values[values.len() - third..]];
    let mut medians = [0.0; 3];
    let mut scatter = Vec::new();
    for (part, found) in parts.iter().zip(&mut medians) {
        *found = median(part.to_vec())?;
        scatter.extend(part.iter().map(|value| (value - *found).abs()));
    }
    let [first, middle, last] = medians;
    let drift = Drift { first, last };
    let noise = NOISE_TIMES * median(scatter)?;
    let is_on_the_way = (first.min(last) - noise..=first.max(last) + noise).contains(&middle);
    (is_large(&drift) && (last - first).abs() > noise && is_on_the_way).then_some(drift)
}

/// The value in the middle; of an even number the mean of the two.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { (upper + values[middle - 1]) / 2.0 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series(figures: impl IntoIterator<Item = (u64, u64, u64)>) -> Series {
        let row = |(delivered, p99, backlog)| IntervalRow {
            delivered: Some(delivered),
            e2e_p99: Some(p99),
            backlog: Some(backlog),
            ..IntervalRow::default()
        };
        Series { interval_ns: 1_000_000_000, rows: figures.into_iter().map(row).collect() }
    }

    fn judge(series: &Series) -> Steadiness {
        Steadiness::of(series, |row| row.delivered)
    }

    #[test]
    fn a_steady_load_with_an_outlier_is_steady() {
        let mut steady = series((0..12).map(|second| (1_000 + second % 3, 90_000 + second % 5 * 1_000, second % 4)));
        steady.rows[10].e2e_p99 = Some(9_000_000);
        steady.rows[1].delivered = Some(200);
        assert_eq!(judge(&steady), Steadiness::default());
    }

    #[test]
    fn a_rate_that_sags_and_a_latency_that_grows_are_found() {
        let found = judge(&series((0..9).map(|second| (1_000 - 50 * second, 100_000 << second, 10))));
        assert_eq!(found.rate, Some(Drift { first: 950.0, last: 650.0 }));
        assert_eq!(found.p99, Some(Drift { first: 200_000.0, last: 12_800_000.0 }));
        assert_eq!(found.backlog, None);
    }

    #[test]
    fn a_backlog_that_grows_is_overload_and_one_that_shrinks_is_not() {
        let growing = series((0..6).map(|second| (1_000, 100_000, 300 * second)));
        assert_eq!(judge(&growing).backlog, Some(Drift { first: 150.0, last: 1_350.0 }));
        let shrinking = series((0..6).map(|second| (1_000, 100_000, 1_500 - 300 * second)));
        assert_eq!(judge(&shrinking).backlog, None);
    }

    #[test]
    fn too_short_to_tell() {
        assert_eq!(
            judge(&series((0..5).map(|second| (1_000 - 200 * second, 1 << second, second * 900)))),
            Steadiness::default()
        );
        assert_eq!(judge(&Series::default()), Steadiness::default());
    }

    proptest! {
        #[test]
        fn noise_alone_hardly_ever_counts(noise in prop::collection::vec(0u64..100, 6..60)) {
            // Ten percent of scatter is below every limit.
            let found = judge(&series(noise.into_iter().map(|noise| (1_000 + noise, 100_000 + noise * 100, noise / 3))));
            prop_assert_eq!(found, Steadiness::default());
        }
    }
}
