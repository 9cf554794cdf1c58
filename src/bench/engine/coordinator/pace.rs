//! Whether a schedule is kept. A bare run paces at a share of what its flood carried; where this machine or the path
//! cannot sustain that, it steps down to a lower share, without waiting for the end of a stage that cannot become valid
//! any more.

use super::super::shared::StageRun;
use super::super::stage_totals::StageTotals;
use super::{SECOND_NS, StageOutcome};
use crate::bench::measure::{
    Drift, Fault, IntervalRow, LAG_FLOOR_NS, Latency, LatencyHistogram, Percentile, StageFigures, Steadiness,
};
use crate::bench::plan::BenchPlan;
use crate::mqtt::QoS;

/// The part of a schedule that may be late or not sent.
const TOLERATED: f64 = 0.01;

/// The part of a schedule that may still wait at the end without latencies having grown all the time.
const LEFT_AT_END: f64 = 0.001;

/// A schedule that is this far behind measures only the latency of its queue.
const FAR_BEHIND_S: f64 = 0.5;

/// Where more of a schedule than this waits for the window, the path does not carry it.
const HELD_BACK: f64 = 0.1;

fn p99(latency: &Latency) -> Option<u64> {
    latency.histogram()?.percentile(Percentile::P99)
}

/// Whether a stage will have missed its schedule whatever still happens. Looks at whole seconds. Unless all clients are
/// connected, messages that were not sent do not count against the rate.
pub(super) fn cannot_keep_pace(run: &StageRun, totals: &StageTotals, all_connected: bool) -> bool {
    let (Some(rate), seconds) = (run.rate, totals.seconds()) else { return false };
    let in_time = rate * run.to_ns.saturating_sub(run.from_ns) as f64 / SECOND_NS as f64;
    let planned = run.count.map_or(in_time, |count| in_time.min(count as f64));
    let (counters, latency) = (&totals.sum.recorder.counters, &totals.sum.recorder.latency);
    let limit_ns = LAG_FLOOR_NS.max(p99(&latency.e2e).unwrap_or_default() / 10);
    let late = latency.sched_lag.histogram().map_or(0, |lag: &LatencyHistogram| lag.count_above(limit_ns));
    let due = (rate * seconds as f64).min(planned);
    let behind = due - counters.sent as f64;
    let is_far_behind = behind > (TOLERATED * planned).max(FAR_BEHIND_S * rate);
    // A broker that stands still for a moment is not one that is too slow: a lower rate would only hide that.
    late as f64 > TOLERATED * planned || all_connected && !totals.stood_still() && is_far_behind
}

/// A sign that messages were due faster than the path took them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Overload {
    /// Many of them waited for the window.
    HeldBack,
    /// What is in flight became more and more.
    Backlog(Drift),
}

impl StageOutcome {
    /// What changed over the measured window.
    pub(crate) fn steadiness(&self, plan: &BenchPlan) -> Steadiness {
        let count: fn(&IntervalRow) -> Option<u64> = match (plan.subscribers, plan.qos) {
            (0, QoS::AtMostOnce) => |row| row.sent,
            (0, _) => |row| row.acked,
            _ => |row| row.delivered,
        };
        Steadiness::of(&self.series, count)
    }

    /// Whether messages were due faster than the path took them; not where they only waited for a broker that stood
    /// still.
    pub(crate) fn overload(&self, plan: &BenchPlan) -> Option<Overload> {
        let offered = self.offered.filter(|_| self.rate.is_some() && !self.has_recovered())?;
        if self.recorder.counters.held_back as f64 > HELD_BACK * offered as f64 {
            return Some(Overload::HeldBack);
        }
        self.steadiness(plan).backlog.map(Overload::Backlog)
    }

    /// Whether what waited for the window was sent all the same, and not later and later: hardly anything is left.
    pub(crate) fn keeps_up(&self) -> bool {
        let (Some(offered), Some(not_sent)) = (self.offered, self.not_sent) else { return false };
        self.recorder.counters.skipped == 0 && not_sent as f64 <= LEFT_AT_END * offered as f64
    }

    /// Whether there was a silence that explains what waited: everything was sent after it, or it came near the end.
    fn has_recovered(&self) -> bool {
        let last = self.silences.iter().flatten().last();
        let is_near_end = |end_ns: u64| end_ns >= self.measured_ns / 3 * 2;
        last.is_some_and(|last| self.not_sent == Some(0) || is_near_end(last.start_ns + last.dur_ns))
    }

    /// Why the schedule of the stage was not kept; none if it was, or lost clients are the reason.
    pub(super) fn pace_fault(&self, plan: &BenchPlan, all_connected: bool) -> Option<String> {
        let offered = self.offered?;
        let figures = StageFigures {
            busiest_thread_ns: self.busiest_thread.filter(|_| !plan.busy_poll).map(|cpu| cpu.total_ns()),
            ..StageFigures::of(&self.recorder, self.measured_ns, Some(offered))
        };
        let is_path = all_connected && !self.has_recovered();
        let not_sent = self.not_sent.filter(|not_sent| is_path && *not_sent as f64 > TOLERATED * offered as f64);
        let not_sent = || not_sent.map(|not_sent| format!("{not_sent} of {offered} due messages were not sent"));
        let overload = || match self.overload(plan).filter(|_| all_connected)? {
            Overload::HeldBack => {
                let held_back = self.recorder.counters.held_back;
                Some(format!("{held_back} of {offered} messages waited for the window"))
            }
            Overload::Backlog(_) => Some("more and more messages were in flight".to_owned()),
        };
        let fault = Fault::find(&figures).into_iter().next().map(|fault| fault.text);
        fault.or_else(not_sent).or_else(overload)
    }
}
