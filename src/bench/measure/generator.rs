//! The generator's health: what it used of the machine, and a verdict that warns. What makes a run invalid is in
//! `validity`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::figures::{StageFigures, THREAD_BUSY_PCT, percent, rounded};
use super::validity::{lag_above_limit, sent_below_share};
use crate::bench::system::Throttling;

/// A thread busier than this is near its limit, percent.
const THREAD_NEAR_PCT: f64 = 75.0;
/// Stolen CPU time above which the machine was not ours, where the generator needed it, percent.
const STEAL_PCT: f64 = 2.0;
/// Share of TCP segments sent again above which the network was the limit.
const RETRANSMIT_SHARE: f64 = 0.001;
/// Fewer retransmitted segments are not reported.
const FEWEST_RETRANSMITS: u64 = 10;
/// Share of reads that fill the buffer above which a subscriber does not keep up. A broker that pauses now and then and
/// sends everything at once afterwards fills some too.
const FULL_READS_SHARE: f64 = 0.05;
/// Share of its ceiling above which the generator was the limit, percent.
const CEILING_LIMIT_PCT: f64 = 90.0;
/// Share of its ceiling above which the generator was near it, percent.
pub(in crate::bench) const CEILING_NEAR_PCT: f64 = 70.0;

/// What the generator's figures mean for the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing points at the generator.
    Ok,
    /// It may have influenced the figures.
    Suspect,
    /// It was the limit: rates are what this machine can do, not what the broker can.
    Bottleneck,
}

/// The generator: what it used and whether it was able to measure. Null is "not measured".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// User CPU, percent of one core.
    pub cpu_user_pct: Option<f64>,
    /// System CPU, percent of one core.
    pub cpu_sys_pct: Option<f64>,
    /// CPU time of the window, nanoseconds.
    pub cpu_ns: Option<u64>,
    /// CPU time per message (each sent and each delivered one counts), nanoseconds.
    pub cpu_ns_per_message: Option<u64>,
    /// The busiest thread, percent.
    pub max_thread_pct: Option<f64>,
    /// Resident memory.
    pub rss_bytes: Option<u64>,
    /// Resident memory per client.
    pub bytes_per_client: Option<u64>,
    /// Context switches of the load's threads.
    pub ctx_switches: Option<u64>,
    /// TCP segments that the machine sent again, all programs together.
    pub tcp_retrans: Option<u64>,
    /// CPU time that the hypervisor took, percent.
    pub steal_pct: Option<f64>,
    /// CPU time that control groups leave this process, in processors; null where nothing limits it.
    pub cpu_quota_cores: Option<f64>,
    /// Periods of that quota in which the process wanted to run; null as before.
    pub quota_periods: Option<u64>,
    /// Of these, those in which it was stopped because the quota was used up.
    pub throttled_periods: Option<u64>,
    /// How long it was stopped, all processors together.
    pub throttled_ns: Option<u64>,
    /// Messages per second that this generator can pass, from its own calibration.
    pub ceiling_per_s: Option<f64>,
    /// How much of that was left, percent; 0 when there was nothing.
    pub headroom_pct: Option<f64>,
    /// The verdict: the worst of the reasons.
    pub verdict: Option<Verdict>,
    /// What speaks against the generator, one sentence each.
    pub reasons: Vec<String>,
}

/// What [`Generator::of_stages`] takes of a stage.
#[derive(Clone, Copy, Debug)]
pub struct GeneratorOfStage<'a> {
    /// The stage's name.
    pub name: &'a str,
    /// Length of its measured window, nanoseconds.
    pub window_ns: u64,
    /// Messages that passed through the generator in it.
    pub messages: u64,
    /// The generator in it.
    pub generator: &'a Generator,
}

impl Generator {
    /// Evaluates the figures of a stage. Memory and context switches, which nothing is judged by, are left to the
    /// caller.
    pub fn judge(figures: &StageFigures) -> Self {
        let share = |time: Option<u64>| time.and_then(|time| percent(time as f64, figures.window_ns as f64));
        let cpu_ns = figures.cpu_user_ns.zip(figures.cpu_sys_ns).map(|(user, sys)| user + sys);
        let mut generator = Self {
            cpu_user_pct: share(figures.cpu_user_ns).map(rounded),
            cpu_sys_pct: share(figures.cpu_sys_ns).map(rounded),
            cpu_ns,
            cpu_ns_per_message: cpu_ns.and_then(|time| time.checked_div(figures.messages)),
            max_thread_pct: figures.busiest_thread_pct().map(rounded),
            tcp_retrans: figures.tcp_retrans,
            steal_pct: figures.steal_pct.map(rounded),
            cpu_quota_cores: figures.cpu_quota.map(rounded),
            quota_periods: figures.throttling.map(|throttling| throttling.periods),
            throttled_periods: figures.throttling.map(|throttling| throttling.throttled),
            throttled_ns: figures.throttling.map(|throttling| throttling.throttled_ns),
            ceiling_per_s: figures.ceiling_per_s.map(rounded),
            headroom_pct: figures.used_of_ceiling().map(|used| rounded((100.0 - used).max(0.0))),
            verdict: Some(Verdict::Ok),
            ..Self::default()
        };
        generator.judge_cpu(figures);
        generator.judge_ceiling(figures);
        generator.judge_schedule(figures);
        generator.judge_network(figures);
        if figures.negative > 0 {
            let reason = format!("latencies below zero ({}): a clock or a stamp is wrong", figures.negative);
            generator.add(Verdict::Suspect, reason);
        }
        if figures.full_reads > 0 && figures.full_reads as f64 >= figures.reads as f64 * FULL_READS_SHARE {
            let (full, all) = (figures.full_reads, figures.reads);
            let cause = format!("{full} of {all} reads by subscribers filled the whole buffer");
            generator.add(Verdict::Suspect, format!("{cause}: latencies may include their own backlog"));
        }
        generator
    }

    fn judge_cpu(&mut self, figures: &StageFigures) {
        if let Some(busy) = figures.busiest_thread_pct() {
            if busy > THREAD_BUSY_PCT && !figures.is_on_time() {
                self.add(Verdict::Bottleneck, format!("a thread was {busy:.0} % busy; use more --threads or machines"));
            } else if busy > THREAD_NEAR_PCT {
                self.add(Verdict::Suspect, format!("a thread was {busy:.0} % busy, near its limit"));
            }
        }
        if let Some(Throttling { periods, throttled, throttled_ns }) = figures.throttling.filter(|by| by.throttled > 0)
        {
            let quota = figures.cpu_quota.map(|cores| format!(" of {cores:.2} processors")).unwrap_or_default();
            self.add(
                Verdict::Bottleneck,
                format!(
                    "the CPU quota{quota} throttled this process's control group in {throttled} of {periods} periods, for \
                     {:.0} ms in total",
                    throttled_ns as f64 / 1e6
                ),
            );
        }
        if let Some(steal) = figures.steal_pct.filter(|&steal| steal > STEAL_PCT && is_near_limit(figures, steal)) {
            self.add(Verdict::Bottleneck, format!("the hypervisor took {steal:.1} % of the CPU time"));
        }
    }

    fn judge_ceiling(&mut self, figures: &StageFigures) {
        let verdict = match figures.used_of_ceiling() {
            Some(used) if used > CEILING_LIMIT_PCT => Verdict::Bottleneck,
            Some(used) if used > CEILING_NEAR_PCT => Verdict::Suspect,
            _ => return,
        };
        let used = figures.used_of_ceiling().unwrap_or_default();
        self.add(verdict, format!("the generator ran at {used:.0} % of its ceiling, which `mqbench self` measured"));
    }

    fn judge_schedule(&mut self, figures: &StageFigures) {
        let Some(offered) = figures.offered else { return };
        if let Some(fault) = sent_below_share(offered.saturating_sub(figures.held_back), figures.on_time) {
            self.add(Verdict::Bottleneck, fault.text);
        }
        if let Some(fault) = lag_above_limit(figures.sched_lag_p99_ns, figures.e2e_p99_ns) {
            self.add(Verdict::Bottleneck, fault.text);
        }
    }

    fn judge_network(&mut self, figures: &StageFigures) {
        let Some((again, segments)) = figures.tcp_retrans.zip(figures.tcp_segments) else { return };
        if again >= FEWEST_RETRANSMITS && again as f64 > RETRANSMIT_SHARE * segments as f64 {
            // The figures are of the whole machine and include other programs, so they prove nothing.
            let reason = format!(
                "this machine (all programs) retransmitted {again} of {segments} TCP segments: packets are lost or \
                 read too late"
            );
            self.add(Verdict::Suspect, reason);
        }
    }

    fn add(&mut self, verdict: Verdict, reason: String) {
        self.verdict = self.verdict.max(Some(verdict));
        self.reasons.push(reason);
    }

    /// All stages together: CPU over the sum of the windows, the worst verdict, every reason with its stage.
    pub fn of_stages(stages: &[GeneratorOfStage<'_>]) -> Self {
        let window: u64 = stages.iter().map(|stage| stage.window_ns).sum();
        let messages: u64 = stages.iter().map(|stage| stage.messages).sum();
        let generators = || stages.iter().map(|stage| stage.generator);
        // Shares of windows of different length: weighted, and unknown when one is.
        let mean = |share: fn(&Self) -> Option<f64>| {
            let parts: Option<f64> =
                stages.iter().map(|stage| share(stage.generator).map(|share| share * stage.window_ns as f64)).sum();
            parts.filter(|_| window > 0).map(|sum| rounded(sum / window as f64))
        };
        let highest = |share: fn(&Self) -> Option<f64>| generators().filter_map(share).max_by(f64::total_cmp);
        let lowest = |share: fn(&Self) -> Option<f64>| generators().filter_map(share).min_by(f64::total_cmp);
        let most = |count: fn(&Self) -> Option<u64>| generators().filter_map(count).max();
        let sum = |count: fn(&Self) -> Option<u64>| {
            let sum: Option<u64> = generators().map(count).sum();
            sum.filter(|_| window > 0)
        };
        let cpu_ns = sum(|stage| stage.cpu_ns);
        Self {
            cpu_user_pct: mean(|stage| stage.cpu_user_pct),
            cpu_sys_pct: mean(|stage| stage.cpu_sys_pct),
            cpu_ns,
            cpu_ns_per_message: cpu_ns.and_then(|time| time.checked_div(messages)),
            max_thread_pct: highest(|stage| stage.max_thread_pct),
            ctx_switches: sum(|stage| stage.ctx_switches),
            tcp_retrans: sum(|stage| stage.tcp_retrans),
            rss_bytes: most(|stage| stage.rss_bytes),
            bytes_per_client: most(|stage| stage.bytes_per_client),
            steal_pct: highest(|stage| stage.steal_pct),
            cpu_quota_cores: lowest(|stage| stage.cpu_quota_cores),
            quota_periods: sum(|stage| stage.quota_periods),
            throttled_periods: sum(|stage| stage.throttled_periods),
            throttled_ns: sum(|stage| stage.throttled_ns),
            ceiling_per_s: highest(|stage| stage.ceiling_per_s),
            headroom_pct: lowest(|stage| stage.headroom_pct),
            verdict: generators().filter_map(|stage| stage.verdict).max(),
            reasons: stages
                .iter()
                .flat_map(|stage| stage.generator.reasons.iter().map(|reason| format!("{}: {reason}", stage.name)))
                .collect(),
        }
    }
}

/// Whether stolen time can have changed anything: a thread used most of what was left to it, the generator was near its
/// ceiling, or messages left late.
fn is_near_limit(figures: &StageFigures, steal_pct: f64) -> bool {
    let near_pct = THREAD_NEAR_PCT * (100.0 - steal_pct) / 100.0;
    let late = lag_above_limit(figures.sched_lag_p99_ns, figures.e2e_p99_ns).is_some();
    figures.busiest_thread_pct().is_some_and(|busy| busy > near_pct)
        || figures.used_of_ceiling().is_some_and(|used| used > CEILING_NEAR_PCT)
        || (figures.offered.is_some() && late)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn healthy() -> StageFigures {
        StageFigures {
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
            ..StageFigures::default()
        }
    }

    #[test]
    fn a_healthy_generator_is_ok() {
        let health = Generator::judge(&healthy());
        assert_eq!((health.verdict, health.reasons.len()), (Some(Verdict::Ok), 0));
        assert_eq!((health.cpu_user_pct, health.cpu_sys_pct), (Some(20.0), Some(10.0)));
        assert_eq!((health.cpu_ns_per_message, health.max_thread_pct), (Some(1_500), Some(30.0)));
    }

    #[test]
    fn headroom_is_what_the_ceiling_leaves() {
        let of = |ceiling_per_s| Generator::judge(&StageFigures { ceiling_per_s, ..healthy() }).headroom_pct;
        assert_eq!((of(Some(400_000.0)), of(Some(100_000.0)), of(None)), (Some(50.0), Some(0.0), None));
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let health = Generator::judge(&StageFigures::default());
        assert_eq!(health, Generator { verdict: Some(Verdict::Ok), ..Generator::default() });
    }

    #[test]
    fn every_fault_has_its_verdict() {
        type Change = fn(&mut StageFigures);
        const STOPPED: Throttling = Throttling { periods: 100, throttled: 7, throttled_ns: 90_000_000 };
        let cases: [(Change, Verdict); 23] = [
            (|f| (f.busiest_thread_ns, f.offered) = (Some(9 * SECOND + 1), None), Verdict::Bottleneck),
            (|f| (f.busiest_thread_ns, f.sched_lag_p99_ns) = (Some(9 * SECOND + 1), None), Verdict::Bottleneck),
            // Busy, and in time all the same.
            (|f| f.busiest_thread_ns = Some(9 * SECOND + 1), Verdict::Suspect),
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
            let health = Generator::judge(&figures);
            assert_eq!(health.verdict, Some(verdict), "case {index}: {:?}", health.reasons);
            assert_eq!(health.reasons.is_empty(), verdict == Verdict::Ok, "case {index}");
        }
    }
}
