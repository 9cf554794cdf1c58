//! The faults that make a run invalid: its figures are not those of what was asked. Everything else only warns.
//!
//! An open loop that was not kept, a clock that went back, a ledger that does not add up, shards that did not start
//! together.

use super::health::percent;
use super::ledger::Delivery;

/// Share of the offered messages that must have been sent.
const SENT_SHARE: f64 = 0.99;
/// Scheduling lag that is always allowed, nanoseconds.
pub const LAG_FLOOR_NS: u64 = 1_000_000;
/// How far apart shards may start, nanoseconds.
const SHARD_SPREAD_NS: u64 = 50_000_000;

/// What decides whether a stage is valid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ValidityFigures {
    /// Messages due in the window; `None` for a closed loop.
    pub offered: Option<u64>,
    /// Messages sent.
    pub sent: u64,
    /// Messages that had to wait for the window or the socket, whether they were sent or not.
    pub held_back: u64,
    /// Messages sent in the window that had not to wait.
    pub on_time: u64,
    /// A thread of the generator had no time left. Then nobody can say whether it was the window that messages had to wait
    /// for: its places are free when the thread gets round to reading that they are.
    pub saturated: bool,
    /// p99 of the scheduling lag, nanoseconds; see [`GeneratorFigures::sched_lag_p99_ns`](super::GeneratorFigures::sched_lag_p99_ns).
    pub sched_lag_p99_ns: Option<u64>,
    /// p99 of the end-to-end latency, nanoseconds.
    pub e2e_p99_ns: Option<u64>,
    /// How far the clock went back, nanoseconds; 0 when it did not.
    pub clock_back_ns: u64,
    /// Ledgers that do not add up, each checked by itself.
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
            faults.extend(figures.sent_below_offered(offered));
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

impl ValidityFigures {
    /// Open loop: whether less than the share was sent of what nothing held back.
    fn sent_below_offered(&self, offered: u64) -> Option<Invalidity> {
        let (possible, sent) =
            if self.saturated { (offered, self.sent) } else { (offered.saturating_sub(self.held_back), self.on_time) };
        sent_below_share(possible, sent)
    }
}

/// Open loop: whether less than the share was sent of what could have been.
pub(super) fn sent_below_share(possible: u64, sent: u64) -> Option<Invalidity> {
    ((sent as f64) < SENT_SHARE * possible as f64).then_some(Invalidity::SentBelowOffered { sent, offered: possible })
}

/// Open loop: whether messages left later than a millisecond or a tenth of the latency.
pub fn lag_above_limit(lag_p99: Option<u64>, e2e_p99: Option<u64>) -> Option<Invalidity> {
    let p99_ns = lag_p99?;
    let limit_ns = LAG_FLOOR_NS.max(e2e_p99.unwrap_or_default() / 10);
    (p99_ns > limit_ns).then_some(Invalidity::SchedulingLag { p99_ns, limit_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn valid() -> ValidityFigures {
        ValidityFigures {
            offered: Some(1_000),
            sent: 1_000,
            on_time: 990,
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
        let held = ValidityFigures { sent: 500, on_time: 500, held_back: 500, ..valid() };
        assert_eq!(Invalidity::find(&held), [], "a broker that does not read is slow, and no fault of ours");
    }

    #[test]
    fn beyond_the_edge_is_invalid() {
        type Change = fn(&mut ValidityFigures);
        let cases: [(Change, &str); 8] = [
            (|f| f.on_time = 989, "sent-below-offered"),
            // Half of them waited for the broker and left all the same; of the others none did.
            (|f| (f.held_back, f.sent, f.on_time) = (500, 500, 0), "sent-below-offered"),
            (|f| (f.held_back, f.sent, f.on_time, f.saturated) = (900, 500, 100, true), "sent-below-offered"),
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
