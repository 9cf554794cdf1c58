//! The seconds of a series as columns of a drawing: at most some hundreds, and no maximum is lost.

use crate::bench::measure::{Buckets, IntervalRow, Series};

/// Columns of a drawing about 1,000 pixels wide.
const MOST_COLUMNS: usize = 360;

/// What is read of a second.
#[derive(Clone, Copy)]
pub(super) enum Measure {
    /// A count, drawn as a rate.
    Rate(fn(&IntervalRow) -> Option<u64>),
    /// A figure that is drawn as it is.
    Gauge(fn(&IntervalRow) -> Option<f64>),
}

/// The seconds of a column, from the smallest to the largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub low: f64,
    pub mean: f64,
    pub high: f64,
}

/// One or several seconds that follow each other.
pub(super) struct Column<'a> {
    /// Nanoseconds since the run's t0.
    pub from_ns: u64,
    pub to_ns: u64,
    rows: Vec<&'a IntervalRow>,
    row_s: f64,
}

/// The columns of a series.
pub(super) struct Columns<'a> {
    pub list: Vec<Column<'a>>,
    /// The most rows that one of them has.
    pub rows_each: usize,
    /// Length of a row, seconds.
    pub row_s: f64,
}

impl<'a> Columns<'a> {
    /// The rows in the order of time. Where there are too many, several that follow each other are one column.
    pub(super) fn of(series: Option<&'a Series>) -> Self {
        let interval_ns = series.map_or(0, |series| series.interval_ns).max(1);
        let mut rows: Vec<&IntervalRow> = series.iter().flat_map(|series| &series.rows).collect();
        rows.sort_by_key(|row| row.t_ns);
        let mut rows_each = rows.len().div_ceil(MOST_COLUMNS).max(1);
        let row_s = interval_ns as f64 / 1e9;
        let mut list = joined(&rows, rows_each, interval_ns, true);
        if list.len() > 2 * MOST_COLUMNS {
            list = joined(&rows, rows_each, interval_ns, false);
        }
        rows_each = list.iter().map(|column| column.rows.len()).max().unwrap_or(1).min(rows_each);
        Self { list, rows_each, row_s }
    }

    /// Whether anything of this was measured.
    pub(super) fn has(&self, measure: Measure) -> bool {
        self.list.iter().any(|column| column.spread(measure).is_some())
    }

    /// The largest figure, and the column in which it is.
    pub(super) fn highest(&self, measure: Measure) -> Option<(f64, &Column<'a>)> {
        let figures = self.list.iter().filter_map(|column| Some((column.spread(measure)?.high, column)));
        figures.reduce(|best, next| if next.0 > best.0 { next } else { best })
    }
}

/// Puts `rows_each` rows into a column; a column ends at a gap where `keeps_gaps`.
fn joined<'a>(rows: &[&'a IntervalRow], rows_each: usize, interval_ns: u64, keeps_gaps: bool) -> Vec<Column<'a>> {
    let mut list: Vec<Column<'_>> = Vec::new();
    for row in rows {
        let to_ns = row.t_ns.saturating_add(interval_ns);
        match list.last_mut() {
            Some(last) if last.rows.len() < rows_each && (last.to_ns == row.t_ns || !keeps_gaps) => {
                last.rows.push(row);
                last.to_ns = to_ns;
            }
            _ => list.push(Column { from_ns: row.t_ns, to_ns, rows: vec![row], row_s: interval_ns as f64 / 1e9 }),
        }
    }
    list
}

impl Column<'_> {
    /// What was measured in it; `None` where nothing was.
    pub(super) fn spread(&self, measure: Measure) -> Option<Spread> {
        let figures = self.rows.iter().filter_map(|row| match measure {
            Measure::Rate(count) => count(row).map(|count| count as f64 / self.row_s),
            Measure::Gauge(figure) => figure(row).filter(|figure| figure.is_finite()),
        });
        let start = (f64::INFINITY, 0.0, f64::NEG_INFINITY, 0_u32);
        let (low, sum, high, count) = figures.fold(start, |(low, sum, high, count), figure| {
            (low.min(figure), sum + figure, high.max(figure), count + 1)
        });
        (count > 0).then(|| Spread { low, mean: sum / f64::from(count), high })
    }

    /// The latencies of it in buckets.
    pub(super) fn buckets(&self, of: fn(&IntervalRow) -> Option<&Buckets>) -> Option<Buckets> {
        let mut all = self.rows.iter().filter_map(|row| of(row));
        let mut sum = all.next()?.clone();
        all.for_each(|buckets| sum.merge(buckets));
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const SENT: Measure = Measure::Rate(|row| row.sent);
    const LONGEST: Measure = Measure::Gauge(|row| row.e2e_max.map(|max| max as f64));

    fn series(times: impl Iterator<Item = u64>) -> Series {
        let row = |time: u64| IntervalRow {
            t_ns: time * SECOND,
            sent: Some(if time == 77_777 { 0 } else { 100 }),
            e2e_max: Some(if time == 55_555 { 9_000 } else { 10 }),
            ..IntervalRow::default()
        };
        Series { interval_ns: SECOND, rows: times.map(row).collect() }
    }

    #[test]
    fn few_rows_are_columns_as_they_are() {
        for count in [0, 1, 100, 360] {
            let series = series(0..count);
            let columns = Columns::of(Some(&series));
            assert_eq!((columns.list.len() as u64, columns.rows_each), (count, 1));
        }
        assert!(Columns::of(None).list.is_empty());
    }

    #[test]
    fn of_many_rows_the_extremes_are_kept() {
        let series = series(0..100_000);
        let columns = Columns::of(Some(&series));
        assert!(columns.list.len() <= MOST_COLUMNS && columns.list.len() > MOST_COLUMNS / 2);
        let (highest, column) = columns.highest(LONGEST).unwrap();
        assert_eq!(highest, 9_000.0);
        assert!((column.from_ns..column.to_ns).contains(&(55_555 * SECOND)));
        let lowest = columns.list.iter().map(|column| column.spread(SENT).unwrap().low).fold(f64::MAX, f64::min);
        assert_eq!(lowest, 0.0, "the second in which nothing was sent is seen");
        let last = columns.list.last().unwrap();
        assert_eq!(last.to_ns, 100_000 * SECOND);
    }

    #[test]
    fn a_gap_between_stages_stays_a_gap() {
        let series = series((0..400).chain(500..900));
        let columns = Columns::of(Some(&series));
        assert!(columns.list.iter().any(|column| column.to_ns == 400 * SECOND));
        assert!(columns.list.iter().any(|column| column.from_ns == 500 * SECOND));
    }

    #[test]
    fn whatever_a_document_holds_is_bounded() {
        let series = series((0..50_000).map(|time| time * 7).rev());
        assert!(Columns::of(Some(&series)).list.len() <= 2 * MOST_COLUMNS);
        let late = Series { interval_ns: 0, rows: vec![IntervalRow { t_ns: u64::MAX, ..IntervalRow::default() }] };
        assert_eq!(Columns::of(Some(&late)).list[0].to_ns, u64::MAX);
        assert_eq!(Columns::of(Some(&late)).list[0].spread(SENT), None);
    }
}
