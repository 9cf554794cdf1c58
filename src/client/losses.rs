//! Tracks lost connections, and which losses are reported. Pure: time is an argument.

use std::time::{Duration, Instant};

/// Between two reports. A connection that is lost repeatedly would fill the screen otherwise.
const BETWEEN_REPORTS: Duration = Duration::from_secs(10);
/// A connection that was lost this soon after CONNACK...
const SHORT: Duration = Duration::from_secs(5);
/// ...this many times in a row was probably not lost by accident.
const SHORT_LOSSES: u32 = 3;

/// The connections that were made and lost.
#[derive(Debug, Default)]
pub(super) struct LossLog {
    connected: Option<Instant>,
    reported: Option<Instant>,
    /// Since when there is no connection.
    lost: Option<Instant>,
    /// Whether the last loss was reported.
    is_reported: bool,
    /// Losses since the last report.
    unreported: u64,
    /// Losses in a row shortly after CONNACK.
    short: u32,
}

/// What to report of a loss.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LossReport {
    /// Losses before this one that were not reported.
    pub(super) earlier: u64,
    /// The broker accepts the client each time and then closes the connection.
    pub(super) is_sent_away: bool,
}

impl LossLog {
    /// The broker has accepted the connection. Where its loss was reported it returns how long there was none.
    pub(super) fn connected(&mut self, now: Instant) -> Option<Duration> {
        self.connected = Some(now);
        let lost = self.lost.take()?;
        std::mem::take(&mut self.is_reported).then(|| now.saturating_duration_since(lost))
    }

    /// The connection is lost: what to report of it, unless the last report is too recent. A second client may use the
    /// same chosen id.
    pub(super) fn lost(&mut self, now: Instant, has_client_id: bool) -> Option<LossReport> {
        self.lost = Some(now);
        let stood = self.connected.map(|connected| now.saturating_duration_since(connected));
        self.short = if stood.is_some_and(|stood| stood < SHORT) { self.short.saturating_add(1) } else { 0 };
        let is_sent_away = has_client_id && self.short == SHORT_LOSSES;
        let is_due = self.reported.is_none_or(|reported| now.saturating_duration_since(reported) >= BETWEEN_REPORTS);
        self.is_reported = is_due || is_sent_away;
        if self.is_reported {
            return Some(self.report(now, is_sent_away));
        }
        self.unreported += 1;
        None
    }

    /// The connection was lost and does not come back: to be reported even if the last report is recent.
    pub(super) fn stays_away(&mut self, now: Instant) -> Option<LossReport> {
        if self.lost.is_none() || std::mem::replace(&mut self.is_reported, true) {
            return None;
        }
        self.unreported = self.unreported.saturating_sub(1);
        Some(self.report(now, false))
    }

    /// The run is over: how many losses were never reported. Taken once.
    pub(super) const fn take_unreported(&mut self) -> u64 {
        std::mem::replace(&mut self.unreported, 0)
    }

    fn report(&mut self, now: Instant, is_sent_away: bool) -> LossReport {
        self.reported = Some(now);
        LossReport { earlier: self.take_unreported(), is_sent_away }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(earlier: u64, is_sent_away: bool) -> Option<LossReport> {
        Some(LossReport { earlier, is_sent_away })
    }

    #[test]
    fn every_loss_after_a_quiet_time_is_reported() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut log = LossLog::default();
        assert_eq!(log.connected(at(0)), None);
        for lost in [60, 160, 260] {
            assert_eq!(log.lost(at(lost), true), report(0, false));
            assert_eq!(log.connected(at(lost + 3)), Some(Duration::from_secs(3)));
        }
    }

    #[test]
    fn a_flapping_connection_is_reported_now_and_then() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut log = LossLog::default();
        log.connected(at(0));
        assert_eq!(log.lost(at(6), true), report(0, false));
        assert!(log.connected(at(7)).is_some());
        for lost in [8, 10] {
            assert_eq!(log.lost(at(lost), true), None, "{lost}");
            assert_eq!(log.connected(at(lost + 1)), None, "who knows of no loss wonders");
        }
        // The third in a row that was short.
        assert_eq!(log.lost(at(12), true), report(2, true));
        assert!(log.connected(at(13)).is_some());
        assert_eq!(log.lost(at(14), true), None);
        log.connected(at(15));
        assert_eq!(log.lost(at(22), true), report(1, false));
    }

    #[test]
    fn a_client_without_an_id_has_no_double() {
        let start = Instant::now();
        let mut log = LossLog::default();
        for lost in 0..6 {
            log.connected(start + Duration::from_secs(lost));
            let reported = log.lost(start + Duration::from_secs(lost), false);
            assert_eq!(reported, if lost == 0 { report(0, false) } else { None });
        }
    }

    #[test]
    fn a_loss_that_lasts_is_reported_in_any_case() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut log = LossLog::default();
        log.connected(at(0));
        assert_eq!(log.lost(at(1), true), report(0, false));
        assert_eq!(log.stays_away(at(2)), None);
        log.connected(at(3));
        assert_eq!(log.lost(at(4), true), None);
        assert_eq!(log.stays_away(at(5)), report(0, false));
        assert_eq!(log.stays_away(at(6)), None);
        assert_eq!(log.connected(at(9)), Some(Duration::from_secs(5)));
        assert_eq!(log.stays_away(at(9)), None);
    }
    #[test]
    fn no_loss_goes_uncounted_at_the_end() {
        let start = Instant::now();
        let at = |tenths: u64| start + Duration::from_millis(tenths * 100);
        let mut log = LossLog::default();
        let reported: u64 = (0..39)
            .filter_map(|loss| {
                log.connected(at(2 * loss));
                log.lost(at(2 * loss + 1), true).map(|report| report.earlier + 1)
            })
            .sum();
        assert_eq!(reported + log.take_unreported(), 39);
        assert_eq!(log.take_unreported(), 0);
    }
}
