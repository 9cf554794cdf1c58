//! Whether a schedule is kept. A bare run paces at a share of what its flood carried; where this machine or the path
//! cannot sustain that, it steps down to a lower share, without waiting for the end of a stage that cannot become valid
//! any more.

use super::super::shared::StageRun;
use super::super::stage_totals::StageTotals;
use super::{SECOND_NS, StageOutcome};
use crate::bench::measure::{Fault, LAG_FLOOR_NS, Latency, LatencyHistogram, Percentile, StageFigures};
use crate::bench::plan::BenchPlan;

/// The part of a schedule that may be late or not sent.
const TOLERATED: f64 = 0.01;

/// A schedule that is this far behind measures only the latency of its queue.
const FAR_BEHIND_S: f64 = 0.5;

fn p99(latency: &Latency) -> Option<u64> {
    latency.histogram()?.percentile(Percentile::P99)
}

/// Whether a stage will have missed its schedule whatever still happens. Looks at whole seconds. Unless all clients are
/// connected, messages that were not sent do not count against the rate.
pub(super) fn cannot_keep_pace(run: &StageRun, totals: &StageTotals, all_connected: bool) -> bool {
    let (Some(rate), seconds) = (run.rate, totals.seconds()) else { return false };
    let in_time = rate * run.to_ns.saturating_sub(run.from_ns) as f64 / SECOND_NS as f64;
    let planned = run.count.map_or(in_time, |count| in_time.min(count as f64));
    let (counters, latency) = (&totals.recorder.counters, &totals.recorder.latency);
    let limit_ns = LAG_FLOOR_NS.max(p99(&latency.e2e).unwrap_or_default() / 10);
    let late = latency.sched_lag.histogram().map_or(0, |lag: &LatencyHistogram| lag.count_above(limit_ns));
    let due = (rate * seconds as f64).min(planned);
    let behind = due - counters.sent as f64;
    late as f64 > TOLERATED * planned || all_connected && behind > (TOLERATED * planned).max(FAR_BEHIND_S * rate)
}

impl StageOutcome {
    /// Why the schedule of the stage was not kept; none if it was, or lost clients are the reason.
    pub(super) fn pace_fault(&self, plan: &BenchPlan, all_connected: bool) -> Option<String> {
        let offered = self.offered?;
        let figures = StageFigures {
            busiest_thread_ns: self.busiest_thread.filter(|_| !plan.busy_poll).map(|cpu| cpu.total_ns()),
            ..StageFigures::of(&self.recorder, self.measured_ns, Some(offered))
        };
        let not_sent = self.not_sent.filter(|not_sent| all_connected && *not_sent as f64 > TOLERATED * offered as f64);
        let overload = || not_sent.map(|not_sent| format!("{not_sent} of {offered} due messages were not sent"));
        Fault::find(&figures).into_iter().next().map(|fault| fault.text).or_else(overload)
    }
}
