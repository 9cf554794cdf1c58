//! Was the generator able to measure? A verdict that warns, and the four faults that make a run invalid.
//!
//! Pure functions over numbers that the engine gathered over the measured window.

use std::fmt;

use super::ledger::Delivery;

/// Share of the offered messages that must have been sent.
const SENT_SHARE: f64 = 0.99;
/// A thread busier than this is at its limit.
const THREAD_BUSY_PCT: f64 = 90.0;
/// A thread busier than this is near it.
const THREAD_NEAR_PCT: f64 = 75.0;
/// Stolen CPU time above which the machine was not ours.
const STEAL_PCT: f64 = 2.0;
/// Scheduling lag that is always allowed, nanoseconds.
const LAG_FLOOR_NS: u64 = 1_000_000;
/// How far apart shards may start, nanoseconds.
const SHARD_SPREAD_NS: u64 = 50_000_000;

/// Figures of one stage; `None` is "not measured" and judged by nobody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GeneratorFigures {
    /// Length of the measured window, nanoseconds.
    pub window_ns: u64,
    /// User CPU time of this process in the window, nanoseconds.
    pub cpu_user_ns: Option<u64>,
    /// System CPU time of it.
    pub cpu_sys_ns: Option<u64>,
    /// Time that the busiest thread worked (waiting and pacing spins excluded), nanoseconds.
    pub busiest_thread_ns: Option<u64>,
    /// Resident memory, bytes.
    pub rss_bytes: Option<u64>,
    /// CPU time that the hypervisor took, percent.
    pub steal_pct: Option<f64>,
    /// Messages that passed through the generator: sent plus delivered.
    pub messages: u64,
    /// Messages due in the window by the schedule; `None` for a closed loop, which has none.
    pub offered: Option<u64>,
    /// Messages sent.
    pub sent: u64,
    /// Messages due but not sent because the window or the socket was closed.
    pub held_back: u64,
    /// p99 of the scheduling lag, nanoseconds; where the engine can tell, only of messages that nothing held back.
    pub sched_lag_p99_ns: Option<u64>,
    /// p99 of the end-to-end latency, nanoseconds.
    pub e2e_p99_ns: Option<u64>,
    /// Latencies below zero, of all kinds.
    pub negative: u64,
    /// Times that a reader filled its buffer and found more: it was behind.
    pub reader_behind: u64,
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
    /// The verdict: the worst of the reasons.
    pub verdict: Verdict,
    /// What speaks against the generator, one sentence each.
    pub reasons: Vec<String>,
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
            ..Self::default()
        };
        health.judge_cpu();
        health.judge_schedule(figures);
        if figures.negative > 0 {
            let reason = format!("{} latencies were negative: a clock or a stamp is wrong", figures.negative);
            health.add(Verdict::Suspect, reason);
        }
        if figures.reader_behind > 0 {
            let times = figures.reader_behind;
            health.add(
                Verdict::Suspect,
                format!("a reader was behind {times} times: its own backlog is part of the latencies"),
            );
        }
        health
    }

    fn judge_cpu(&mut self) {
        if let Some(busy) = self.max_thread_pct {
            if busy > THREAD_BUSY_PCT {
                self.add(Verdict::Bottleneck, format!("a thread was {busy:.0} % busy; use more --threads or machines"));
            } else if busy > THREAD_NEAR_PCT {
                self.add(Verdict::Suspect, format!("a thread was {busy:.0} % busy, near its limit"));
            }
        }
        if let Some(steal) = self.steal_pct.filter(|&steal| steal > STEAL_PCT) {
            self.add(Verdict::Bottleneck, format!("the hypervisor took {steal:.1} % of the CPU time"));
        }
    }

    fn judge_schedule(&mut self, figures: &GeneratorFigures) {
        let Some(offered) = figures.offered else { return };
        if let Some(fault) = sent_below_offered(offered, figures.sent, figures.held_back) {
            self.add(Verdict::Bottleneck, fault.cause());
        }
        if let Some(fault) = lag_above_limit(figures.sched_lag_p99_ns, figures.e2e_p99_ns) {
            self.add(Verdict::Bottleneck, fault.cause());
        }
    }

    fn add(&mut self, verdict: Verdict, reason: String) {
        self.verdict = self.verdict.max(verdict);
        self.reasons.push(reason);
    }
}

/// What decides whether a stage is valid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ValidityFigures {
    /// Messages due in the window; `None` for a closed loop.
    pub offered: Option<u64>,
    /// Messages sent.
    pub sent: u64,
    /// Messages due but not sent because the window or the socket was closed.
    pub held_back: u64,
    /// p99 of the scheduling lag, nanoseconds; see [`GeneratorFigures::sched_lag_p99_ns`].
    pub sched_lag_p99_ns: Option<u64>,
    /// p99 of the end-to-end latency, nanoseconds.
    pub e2e_p99_ns: Option<u64>,
    /// How far the clock went back, nanoseconds; 0 when it did not.
    pub clock_back_ns: u64,
    /// Ledgers that do not add up, and the sum of all.
    pub unbalanced_ledgers: u64,
    /// The delivery of all ledgers together.
    pub delivery: Option<Delivery>,
    /// How far the starts of the shards lie apart, nanoseconds; 0 for one process.
    pub shard_spread_ns: u64,
}

/// Why a run is invalid. There is no other reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidity {
    /// Open loop: less was sent than was offered, and nothing but the generator stood in the way.
    SentBelowOffered {
        /// Messages sent.
        sent: u64,
        /// Messages that could have been sent: offered less held back.
        offered: u64,
    },
    /// Open loop: messages left too late for the latencies to be the broker's.
    SchedulingLag {
        /// p99 of the lag, nanoseconds.
        p99_ns: u64,
        /// What was allowed, nanoseconds.
        limit_ns: u64,
    },
    /// The monotonic clock went back.
    ClockWentBack {
        /// By so many nanoseconds.
        by_ns: u64,
    },
    /// What was sent is not what arrived plus what was lost.
    LedgerDoesNotAddUp {
        /// Streams whose ledger is wrong.
        ledgers: u64,
        /// Sum of all.
        expected: u64,
        /// Sum of all.
        delivered_once: u64,
        /// Sum of all.
        lost: u64,
    },
    /// A shard started too far from the others.
    ShardStart {
        /// Nanoseconds.
        off_ns: u64,
    },
}

impl Invalidity {
    /// All faults of a stage; empty when it is valid.
    pub fn find(figures: &ValidityFigures) -> Vec<Self> {
        let mut faults = Vec::new();
        if let Some(offered) = figures.offered {
            faults.extend(sent_below_offered(offered, figures.sent, figures.held_back));
            faults.extend(lag_above_limit(figures.sched_lag_p99_ns, figures.e2e_p99_ns));
        }
        if figures.clock_back_ns > 0 {
            faults.push(Self::ClockWentBack { by_ns: figures.clock_back_ns });
        }
        let delivery = figures.delivery.unwrap_or_default();
        if figures.unbalanced_ledgers > 0 || !delivery.adds_up() {
            let Delivery { expected, delivered_once, lost, .. } = delivery;
            let ledgers = figures.unbalanced_ledgers;
            faults.push(Self::LedgerDoesNotAddUp { ledgers, expected, delivered_once, lost });
        }
        if figures.shard_spread_ns > SHARD_SPREAD_NS {
            faults.push(Self::ShardStart { off_ns: figures.shard_spread_ns });
        }
        faults
    }

    /// The name in a result document.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SentBelowOffered { .. } => "sent-below-offered",
            Self::SchedulingLag { .. } => "scheduling-lag",
            Self::ClockWentBack { .. } => "clock-went-back",
            Self::LedgerDoesNotAddUp { .. } => "ledger-does-not-add-up",
            Self::ShardStart { .. } => "shard-start",
        }
    }

    /// What happened.
    pub fn cause(&self) -> String {
        let ms = |ns: u64| ns as f64 / 1e6;
        match *self {
            Self::SentBelowOffered { sent, offered } => format!(
                "only {sent} of {offered} offered messages were sent ({:.1} %) though sockets were writable",
                percent(sent as f64, offered as f64).unwrap_or_default()
            ),
            Self::SchedulingLag { p99_ns, limit_ns } => {
                format!("messages left late: sched_lag p99 is {:.2} ms, {:.2} ms is allowed", ms(p99_ns), ms(limit_ns))
            }
            Self::ClockWentBack { by_ns } => format!("the monotonic clock went back by {by_ns} ns"),
            Self::LedgerDoesNotAddUp { ledgers, expected, delivered_once, lost } => format!(
                "the delivery ledger does not add up: {expected} expected, {delivered_once} delivered, {lost} lost ({ledgers} streams)"
            ),
            Self::ShardStart { off_ns } => format!("a shard started {:.0} ms apart from the others", ms(off_ns)),
        }
    }

    /// What to do about it.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::SentBelowOffered { .. } => "lower --rate, or give the generator more --threads or another machine",
            Self::SchedulingLag { .. } => {
                "lower --rate, keep the machine free of other work, or run the broker on another machine"
            }
            Self::ClockWentBack { .. } => "check the clock source of this machine (a virtual machine that was moved?)",
            Self::LedgerDoesNotAddUp { .. } => {
                "look for another publisher on the same topics; if there is none, please report this as a bug of mqbench"
            }
            Self::ShardStart { .. } => "synchronise the clocks of the machines (NTP) and start the shards again",
        }
    }
}

fn sent_below_offered(offered: u64, sent: u64, held_back: u64) -> Option<Invalidity> {
    let possible = offered.saturating_sub(held_back);
    ((sent as f64) < SENT_SHARE * possible as f64).then_some(Invalidity::SentBelowOffered { sent, offered: possible })
}

fn lag_above_limit(lag_p99: Option<u64>, e2e_p99: Option<u64>) -> Option<Invalidity> {
    let p99_ns = lag_p99?;
    let limit_ns = LAG_FLOOR_NS.max(e2e_p99.unwrap_or_default() / 10);
    (p99_ns > limit_ns).then_some(Invalidity::SchedulingLag { p99_ns, limit_ns })
}

fn percent(part: f64, whole: f64) -> Option<f64> {
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
    fn what_was_not_measured_is_not_judged() {
        let health = GeneratorHealth::judge(&GeneratorFigures::default());
        assert_eq!(health, GeneratorHealth::default());
    }

    #[test]
    fn every_fault_has_its_verdict() {
        type Change = fn(&mut GeneratorFigures);
        let cases: [(Change, Verdict); 8] = [
            (|f| f.busiest_thread_ns = Some(9 * SECOND + 1), Verdict::Bottleneck),
            (|f| f.busiest_thread_ns = Some(8 * SECOND), Verdict::Suspect),
            (|f| f.steal_pct = Some(2.1), Verdict::Bottleneck),
            (|f| f.sent = 989_999, Verdict::Bottleneck),
            (|f| f.sched_lag_p99_ns = Some(1_000_001), Verdict::Bottleneck),
            (|f| f.negative = 1, Verdict::Suspect),
            (|f| f.reader_behind = 3, Verdict::Suspect),
            (|f| (f.offered, f.sent) = (None, 7), Verdict::Ok),
        ];
        for (index, (change, verdict)) in cases.into_iter().enumerate() {
            let mut figures = healthy();
            change(&mut figures);
            let health = GeneratorHealth::judge(&figures);
            assert_eq!(health.verdict, verdict, "case {index}: {:?}", health.reasons);
            assert_eq!(health.reasons.is_empty(), verdict == Verdict::Ok, "case {index}");
        }
    }

    fn valid() -> ValidityFigures {
        ValidityFigures {
            offered: Some(1_000),
            sent: 990,
            sched_lag_p99_ns: Some(LAG_FLOOR_NS),
            e2e_p99_ns: Some(300_000),
            delivery: Some(Delivery { expected: 10, delivered_once: 7, lost: 3, ..Delivery::default() }),
            shard_spread_ns: SHARD_SPREAD_NS,
            ..ValidityFigures::default()
        }
    }

    #[test]
    fn the_edge_is_valid() {
        assert_eq!(Invalidity::find(&valid()), []);
        assert_eq!(Invalidity::find(&ValidityFigures::default()), []);
        let slow_broker =
            ValidityFigures { sched_lag_p99_ns: Some(2_000_000), e2e_p99_ns: Some(20_000_000), ..valid() };
        assert_eq!(Invalidity::find(&slow_broker), [], "a tenth of the latency is allowed");
        let held = ValidityFigures { sent: 500, held_back: 500, ..valid() };
        assert_eq!(Invalidity::find(&held), [], "a broker that does not read is slow, and no fault of ours");
    }

    #[test]
    fn beyond_the_edge_is_invalid() {
        type Change = fn(&mut ValidityFigures);
        let cases: [(Change, &str); 6] = [
            (|f| f.sent = 989, "sent-below-offered"),
            (|f| f.sched_lag_p99_ns = Some(LAG_FLOOR_NS + 1), "scheduling-lag"),
            (|f| f.clock_back_ns = 1, "clock-went-back"),
            (|f| f.delivery = Some(Delivery { expected: 1, ..Delivery::default() }), "ledger-does-not-add-up"),
            (|f| f.unbalanced_ledgers = 1, "ledger-does-not-add-up"),
            (|f| f.shard_spread_ns += 1, "shard-start"),
        ];
        for (change, code) in cases {
            let mut figures = valid();
            change(&mut figures);
            let faults = Invalidity::find(&figures);
            assert_eq!(faults.iter().map(Invalidity::code).collect::<Vec<_>>(), [code]);
            assert!(!faults[0].cause().is_empty() && !faults[0].next_step().is_empty());
        }
    }

    #[test]
    fn a_closed_loop_has_no_schedule_to_miss() {
        let closed = ValidityFigures { offered: None, sent: 1, sched_lag_p99_ns: Some(SECOND), ..valid() };
        assert_eq!(Invalidity::find(&closed), []);
    }
}
