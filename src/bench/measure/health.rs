//! Was the generator able to measure? Its use of the machine and a verdict that warns; what makes a run invalid is in
//! `validity`. Pure functions over numbers that the engine gathered over the measured window.

use std::fmt;

use super::validity::{lag_above_limit, sent_below_share};
use crate::bench::system::Throttling;

/// A thread busier than this is at its limit.
const THREAD_BUSY_PCT: f64 = 90.0;
/// A thread busier than this is near it.
const THREAD_NEAR_PCT: f64 = 75.0;
/// Stolen CPU time above which the machine was not ours, where the generator needed it.
const STEAL_PCT: f64 = 2.0;
/// Share of TCP segments sent again above which the network was the limit.
const RETRANSMIT_SHARE: f64 = 0.001;
/// Fewer are nothing to speak of.
const FEWEST_RETRANSMITS: u64 = 10;

/// Share of reads that fill the buffer above which a subscriber does not keep up. A broker that stands still now and then
/// and sends all at once afterwards fills some too.
const FULL_READS_SHARE: f64 = 0.05;

/// Use of its own ceiling above which the generator was the limit, percent.
const CEILING_LIMIT_PCT: f64 = 90.0;
/// Use of its own ceiling above which it is near it.
const CEILING_NEAR_PCT: f64 = 70.0;

/// Figures of one stage; `None` is "not measured" and judged by nobody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GeneratorFigures {
    /// Length of the measured window, nanoseconds.
    pub window_ns: u64,
    /// User CPU time of this process in the window, nanoseconds.
    pub cpu_user_ns: Option<u64>,
    /// System CPU time of it.
    pub cpu_sys_ns: Option<u64>,
    /// CPU time of the busiest thread, nanoseconds. In an open loop that has the ends of waits that are spent awake in it, a
    /// twentieth of a core at the most.
    pub busiest_thread_ns: Option<u64>,
    /// Resident memory, bytes.
    pub rss_bytes: Option<u64>,
    /// CPU time that the hypervisor took, percent.
    pub steal_pct: Option<f64>,
    /// CPU time that control groups leave this process, in processors; `None` where nothing limits it.
    pub cpu_quota: Option<f64>,
    /// How often they stopped it in the window; `None` where nothing limits it.
    pub throttling: Option<Throttling>,
    /// Context switches of the load's threads.
    pub ctx_switches: Option<u64>,
    /// TCP segments that this machine sent.
    pub tcp_segments: Option<u64>,
    /// TCP segments that it sent again.
    pub tcp_retrans: Option<u64>,
    /// Messages that passed through the generator: sent plus delivered.
    pub messages: u64,
    /// Messages a second that this generator can pass, by its own calibration.
    pub ceiling_per_s: Option<f64>,
    /// Messages due in the window by the schedule; `None` for a closed loop, which has none.
    pub offered: Option<u64>,
    /// Messages sent.
    pub sent: u64,
    /// Messages that had to wait for the window or the socket, whether they were sent or not.
    pub held_back: u64,
    /// Messages sent in the window that had not to wait.
    pub on_time: u64,
    /// p99 of the scheduling lag, nanoseconds; where the engine can tell, only of messages that nothing held back.
    pub sched_lag_p99_ns: Option<u64>,
    /// p99 of the end-to-end latency, nanoseconds.
    pub e2e_p99_ns: Option<u64>,
    /// Latencies below zero, of all kinds.
    pub negative: u64,
    /// Times that subscribers read something in an open loop.
    pub reads: u64,
    /// Of these, those that filled the buffer, so that there was more.
    pub full_reads: u64,
}

/// What the generator's figures mean for the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing points at the generator.
    #[default]
    Ok,
    /// Something may have been its doing.
    Suspect,
    /// It was the limit: rates are what this machine can, not what the broker can.
    Bottleneck,
}

impl Verdict {
    /// The word in a result document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Suspect => "suspect",
            Self::Bottleneck => "bottleneck",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The generator's health over one stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GeneratorHealth {
    /// User CPU, percent of one core.
    pub cpu_user_pct: Option<f64>,
    /// System CPU, percent of one core.
    pub cpu_sys_pct: Option<f64>,
    /// CPU time, nanoseconds.
    pub cpu_ns: Option<u64>,
    /// CPU time a message (sent or delivered), nanoseconds.
    pub cpu_ns_per_message: Option<u64>,
    /// The busiest thread, percent.
    pub max_thread_pct: Option<f64>,
    /// Resident memory, bytes.
    pub rss_bytes: Option<u64>,
    /// CPU time that the hypervisor took, percent.
    pub steal_pct: Option<f64>,
    /// CPU time that control groups leave this process, in processors.
    pub cpu_quota: Option<f64>,
    /// How often they stopped it.
    pub throttling: Option<Throttling>,
    /// Messages a second that this generator can pass, by its own calibration.
    pub ceiling_per_s: Option<f64>,
    /// How much of that was left, percent; 0 when there was nothing.
    pub headroom_pct: Option<f64>,
    /// Context switches of the load's threads.
    pub ctx_switches: Option<u64>,
    /// TCP segments that this machine sent again.
    pub tcp_retrans: Option<u64>,
    /// The verdict: the worst of the reasons.
    pub verdict: Verdict,
    /// What speaks against the generator, one sentence each.
    pub reasons: Vec<String>,
}

impl GeneratorFigures {
    /// Whether a thread had no time left.
    pub fn is_saturated(&self) -> bool {
        let busiest = self.busiest_thread_ns.and_then(|time| percent(time as f64, self.window_ns as f64));
        busiest.is_some_and(|busy| busy > THREAD_BUSY_PCT)
    }

    /// What was used of the generator's own ceiling, percent.
    fn used_of_ceiling(&self) -> Option<f64> {
        percent(self.messages as f64 * 1e9, self.window_ns as f64 * self.ceiling_per_s.unwrap_or(0.0))
    }
}

impl GeneratorHealth {
    /// Judges the figures of a stage.
    pub fn judge(figures: &GeneratorFigures) -> Self {
        let share = |time: Option<u64>| time.and_then(|time| percent(time as f64, figures.window_ns as f64));
        let cpu_ns = figures.cpu_user_ns.zip(figures.cpu_sys_ns).map(|(user, sys)| user + sys);
        let mut health = Self {
            cpu_user_pct: share(figures.cpu_user_ns),
            cpu_sys_pct: share(figures.cpu_sys_ns),
            cpu_ns,
            cpu_ns_per_message: cpu_ns.and_then(|time| time.checked_div(figures.messages)),
            max_thread_pct: share(figures.busiest_thread_ns),
            rss_bytes: figures.rss_bytes,
            steal_pct: figures.steal_pct,
            cpu_quota: figures.cpu_quota,
            throttling: figures.throttling,
            ctx_switches: figures.ctx_switches,
            tcp_retrans: figures.tcp_retrans,
            ..Self::default()
        };
        health.judge_cpu(figures);
        health.judge_ceiling(figures);
        health.judge_schedule(figures);
        health.judge_network(figures);
        if figures.negative > 0 {
            let reason = format!("{} latencies were negative: a clock or a stamp is wrong", figures.negative);
            health.add(Verdict::Suspect, reason);
        }
        if figures.full_reads > 0 && figures.full_reads as f64 >= figures.reads as f64 * FULL_READS_SHARE {
            let (full, all) = (figures.full_reads, figures.reads);
            let cause = format!("{full} of {all} reads of subscribers found more than a buffer full");
            health.add(Verdict::Suspect, format!("{cause}: their own backlog may be part of the latencies"));
        }
        health
    }

    fn judge_cpu(&mut self, figures: &GeneratorFigures) {
        if let Some(busy) = self.max_thread_pct {
            if busy > THREAD_BUSY_PCT {
                self.add(Verdict::Bottleneck, format!("a thread was {busy:.0} % busy; use more --threads or machines"));
            } else if busy > THREAD_NEAR_PCT {
                self.add(Verdict::Suspect, format!("a thread was {busy:.0} % busy, near its limit"));
            }
        }
        if let Some(Throttling { periods, throttled, throttled_ns }) = self.throttling.filter(|by| by.throttled > 0) {
            let quota = self.cpu_quota.map(|cores| format!(" of {cores:.2} processors")).unwrap_or_default();
            self.add(
                Verdict::Bottleneck,
                format!(
                    "the CPU quota{quota} stopped this process's control group in {throttled} of {periods} periods, for \
                     {:.0} ms in all",
                    throttled_ns as f64 / 1e6
                ),
            );
        }
        if let Some(steal) = self.steal_pct.filter(|&steal| steal > STEAL_PCT && self.is_near_limit(figures, steal)) {
            self.add(Verdict::Bottleneck, format!("the hypervisor took {steal:.1} % of the CPU time"));
        }
    }

    /// Whether stolen time can have changed anything: a thread used most of what was left to it, the generator was near
    /// its ceiling, or messages left late.
    fn is_near_limit(&self, figures: &GeneratorFigures, steal_pct: f64) -> bool {
        let near_pct = THREAD_NEAR_PCT * (100.0 - steal_pct) / 100.0;
        let late = lag_above_limit(figures.sched_lag_p99_ns, figures.e2e_p99_ns).is_some();
        self.max_thread_pct.is_some_and(|busy| busy > near_pct)
            || figures.used_of_ceiling().is_some_and(|used| used > CEILING_NEAR_PCT)
            || (figures.offered.is_some() && late)
    }

    fn judge_ceiling(&mut self, figures: &GeneratorFigures) {
        self.ceiling_per_s = figures.ceiling_per_s;
        let Some(used) = figures.used_of_ceiling() else { return };
        self.headroom_pct = Some((100.0 - used).max(0.0));
        let verdict = match used {
            used if used > CEILING_LIMIT_PCT => Verdict::Bottleneck,
            used if used > CEILING_NEAR_PCT => Verdict::Suspect,
            _ => return,
        };
        self.add(verdict, format!("{used:.0} % of what mqbench self measured that this generator can were used"));
    }

    fn judge_schedule(&mut self, figures: &GeneratorFigures) {
        let Some(offered) = figures.offered else { return };
        if let Some(fault) = sent_below_share(offered.saturating_sub(figures.held_back), figures.on_time) {
            self.add(Verdict::Bottleneck, fault.cause());
        }
        if let Some(fault) = lag_above_limit(figures.sched_lag_p99_ns, figures.e2e_p99_ns) {
            self.add(Verdict::Bottleneck, fault.cause());
        }
    }

    fn judge_network(&mut self, figures: &GeneratorFigures) {
        let Some((again, segments)) = figures.tcp_retrans.zip(figures.tcp_segments) else { return };
        if again >= FEWEST_RETRANSMITS && again as f64 > RETRANSMIT_SHARE * segments as f64 {
            // The figures are of the whole machine: other programs are in them, so they prove nothing.
            let reason = format!(
                "this machine, all its programs together, sent {again} of {segments} TCP segments again: packets are lost \
                 or read too late"
            );
            self.add(Verdict::Suspect, reason);
        }
    }

    fn add(&mut self, verdict: Verdict, reason: String) {
        self.verdict = self.verdict.max(verdict);
        self.reasons.push(reason);
    }
}

/// A share of a whole that is not zero.
pub fn percent(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| 100.0 * part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn healthy() -> GeneratorFigures {
        GeneratorFigures {
            window_ns: 10 * SECOND,
            cpu_user_ns: Some(2 * SECOND),
            cpu_sys_ns: Some(SECOND),
            busiest_thread_ns: Some(3 * SECOND),
            messages: 2_000_000,
            offered: Some(1_000_000),
            sent: 1_000_000,
            on_time: 1_000_000,
            sched_lag_p99_ns: Some(40_000),
            e2e_p99_ns: Some(300_000),
            ..GeneratorFigures::default()
        }
    }

    #[test]
    fn a_healthy_generator_is_ok() {
        let health = GeneratorHealth::judge(&healthy());
        assert_eq!((health.verdict, health.reasons.len()), (Verdict::Ok, 0));
        assert_eq!((health.cpu_user_pct, health.cpu_sys_pct), (Some(20.0), Some(10.0)));
        assert_eq!((health.cpu_ns_per_message, health.max_thread_pct), (Some(1_500), Some(30.0)));
    }

    #[test]
    fn headroom_is_what_the_ceiling_leaves() {
        let of = |ceiling_per_s| GeneratorHealth::judge(&GeneratorFigures { ceiling_per_s, ..healthy() }).headroom_pct;
        assert_eq!((of(Some(400_000.0)), of(Some(100_000.0)), of(None)), (Some(50.0), Some(0.0), None));
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let health = GeneratorHealth::judge(&GeneratorFigures::default());
        assert_eq!(health, GeneratorHealth::default());
    }

    #[test]
    fn every_fault_has_its_verdict() {
        type Change = fn(&mut GeneratorFigures);
        const STOPPED: Throttling = Throttling { periods: 100, throttled: 7, throttled_ns: 90_000_000 };
        let cases: [(Change, Verdict); 21] = [
            (|f| f.busiest_thread_ns = Some(9 * SECOND + 1), Verdict::Bottleneck),
            (|f| f.busiest_thread_ns = Some(8 * SECOND), Verdict::Suspect),
            // Stolen time that nobody needed took nothing away.
            (|f| f.steal_pct = Some(30.0), Verdict::Ok),
            (|f| (f.steal_pct, f.busiest_thread_ns) = (Some(30.0), Some(6 * SECOND)), Verdict::Bottleneck),
            (|f| (f.steal_pct, f.busiest_thread_ns) = (Some(2.0), Some(7 * SECOND)), Verdict::Ok),
            (|f| (f.steal_pct, f.ceiling_per_s) = (Some(2.1), Some(280_000.0)), Verdict::Bottleneck),
            (|f| (f.steal_pct, f.offered, f.sched_lag_p99_ns) = (Some(2.1), None, Some(SECOND)), Verdict::Ok),
            (|f| (f.cpu_quota, f.throttling) = (Some(0.5), Some(STOPPED)), Verdict::Bottleneck),
            (|f| f.throttling = Some(Throttling { periods: 100, ..Throttling::default() }), Verdict::Ok),
            (|f| (f.steal_pct, f.sched_lag_p99_ns) = (Some(2.1), Some(1_000_001)), Verdict::Bottleneck),
            (|f| (f.tcp_segments, f.tcp_retrans) = (Some(1_000_000), Some(1_001)), Verdict::Suspect),
            (|f| (f.tcp_segments, f.tcp_retrans) = (Some(100), Some(9)), Verdict::Ok),
            (|f| f.on_time = 989_999, Verdict::Bottleneck),
            (|f| f.sched_lag_p99_ns = Some(1_000_001), Verdict::Bottleneck),
            (|f| f.negative = 1, Verdict::Suspect),
            (|f| (f.reads, f.full_reads) = (1_000, 9), Verdict::Ok),
            (|f| (f.reads, f.full_reads) = (1_000, 100), Verdict::Suspect),
            (|f| (f.offered, f.sent) = (None, 7), Verdict::Ok),
            // 200,000 a second.
            (|f| f.ceiling_per_s = Some(300_000.0), Verdict::Ok),
            (|f| f.ceiling_per_s = Some(280_000.0), Verdict::Suspect),
            (|f| f.ceiling_per_s = Some(220_000.0), Verdict::Bottleneck),
        ];
        for (index, (change, verdict)) in cases.into_iter().enumerate() {
            let mut figures = healthy();
            change(&mut figures);
            let health = GeneratorHealth::judge(&figures);
            assert_eq!(health.verdict, verdict, "case {index}: {:?}", health.reasons);
            assert_eq!(health.reasons.is_empty(), verdict == Verdict::Ok, "case {index}");
        }
    }
}
