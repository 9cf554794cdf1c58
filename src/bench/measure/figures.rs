//! The figures of a stage's measured window, from which its verdict follows. `None` means "not measured", and such a
//! figure is not evaluated.

use super::histogram::Percentile;
use super::ledger::Delivery;
use super::recorder::{Latency, Recorder};
use crate::bench::system::Throttling;

/// A thread busier than this is at its limit, percent.
pub(super) const THREAD_BUSY_PCT: f64 = 90.0;

/// Messages above this are large compared with the buffer into which a subscriber reads.
const LARGE_BYTES: u64 = 16 * 1024;

/// The figures of one stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageFigures {
    /// Length of the measured window, nanoseconds.
    pub window_ns: u64,
    /// User CPU time of this process in the window, nanoseconds.
    pub cpu_user_ns: Option<u64>,
    /// System CPU time of it.
    pub cpu_sys_ns: Option<u64>,
    /// CPU time of the busiest thread, nanoseconds. In an open loop it includes the ends of waits that are spent awake,
    /// at most a twentieth of a core.
    pub busiest_thread_ns: Option<u64>,
    /// CPU time that the hypervisor took, percent.
    pub steal_pct: Option<f64>,
    /// CPU time that control groups leave this process, in processors; `None` where nothing limits it.
    pub cpu_quota: Option<f64>,
    /// How often they stopped it in the window; `None` where nothing limits it.
    pub throttling: Option<Throttling>,
    /// TCP segments that this machine sent.
    pub tcp_segments: Option<u64>,
    /// TCP segments that it sent again.
    pub tcp_retrans: Option<u64>,
    /// Messages that passed through the generator: sent plus delivered.
    pub messages: u64,
    /// Messages per second that this generator can pass, by its own calibration.
    pub ceiling_per_s: Option<f64>,
    /// Messages due in the window by the schedule; `None` for a closed loop, which has none.
    pub offered: Option<u64>,
    /// Messages sent.
    pub sent: u64,
    /// Messages that had to wait for the window or the socket, whether they were sent or not.
    pub held_back: u64,
    /// Messages sent in the window without having to wait.
    pub on_time: u64,
    /// p99 of the scheduling lag, nanoseconds; if the engine can distinguish them, only of messages that nothing held
    /// back.
    pub sched_lag_p99_ns: Option<u64>,
    /// p99 of the end-to-end latency (or of the round trip), nanoseconds.
    pub e2e_p99_ns: Option<u64>,
    /// Latencies below zero, of all kinds.
    pub negative: u64,
    /// Times that subscribers read something in an open loop.
    pub reads: u64,
    /// Of these, those that filled the buffer, so that there was more.
    pub full_reads: u64,
    /// How far the clock went back, nanoseconds; 0 when it did not.
    pub clock_back_ns: u64,
    /// Ledgers that do not add up, each checked by itself.
    pub unbalanced_ledgers: u64,
    /// The delivery of all ledgers together.
    pub delivery: Option<Delivery>,
}

impl StageFigures {
    /// What the recorder of a stage knows; the caller fills in the rest.
    pub fn of(recorder: &Recorder, window_ns: u64, offered: Option<u64>) -> Self {
        let Recorder { counters, latency } = recorder;
        let p99 = |latency: &Latency| latency.histogram()?.percentile(Percentile::P99);
        let negative = |latency: &Latency| latency.histogram().map_or(0, |histogram| histogram.negative());
        // In a flood buffers may well be full, and a large message fills one by itself.
        let reads_mean_something = offered.is_some() && counters.payload_bytes_in <= counters.delivered * LARGE_BYTES;
        let read = |count: u64| if reads_mean_something { count } else { 0 };
        Self {
            window_ns,
            messages: counters.sent + counters.delivered,
            offered,
            sent: counters.sent,
            held_back: counters.held_back,
            on_time: counters.on_time,
            sched_lag_p99_ns: p99(&latency.sched_lag),
            e2e_p99_ns: p99(&latency.e2e).or(p99(&latency.rtt)),
            negative: negative(&latency.e2e) + negative(&latency.ack) + negative(&latency.sched_lag),
            reads: read(counters.reads),
            full_reads: read(counters.full_reads),
            ..Self::default()
        }
    }

    /// How busy the busiest thread was, percent.
    pub(super) fn busiest_thread_pct(&self) -> Option<f64> {
        self.busiest_thread_ns.and_then(|time| percent(time as f64, self.window_ns as f64))
    }

    /// How much of the generator's own ceiling was used, percent.
    pub(super) fn used_of_ceiling(&self) -> Option<f64> {
        percent(self.messages as f64 * 1e9, self.window_ns as f64 * self.ceiling_per_s.unwrap_or(0.0))
    }
}

/// A share of a whole that is not zero, percent.
pub(crate) fn percent(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| 100.0 * part / whole)
}

/// A figure to three decimals: more would be digits of the division and not of the measurement.
pub(crate) fn rounded(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}
