//! The faults that make a run invalid, because its figures are not those of what was asked for: an open loop that was not
//! kept, a clock that went back, a ledger that does not add up. Everything else only warns.

use super::figures::{StageFigures, percent};
use super::ledger::Delivery;

/// Share of the offered messages that must have been sent.
const SENT_SHARE: f64 = 0.99;
/// Scheduling lag that is always allowed, nanoseconds.
pub const LAG_FLOOR_NS: u64 = 1_000_000;

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
        /// By how many nanoseconds.
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
}

impl Invalidity {
    /// All faults of a stage; empty when it is valid.
    pub fn find(figures: &StageFigures) -> Vec<Self> {
        let mut faults = Vec::new();
        if let Some(offered) = figures.offered {
            // Where a thread is saturated, nobody can say what messages had to wait for.
            let (possible, sent) = match figures.is_saturated() {
                true => (offered, figures.sent),
                false => (offered.saturating_sub(figures.held_back), figures.on_time),
            };
            faults.extend(sent_below_share(possible, sent));
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
        faults
    }

    /// The name in a result document.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SentBelowOffered { .. } => "sent-below-offered",
            Self::SchedulingLag { .. } => "scheduling-lag",
            Self::ClockWentBack { .. } => "clock-went-back",
            Self::LedgerDoesNotAddUp { .. } => "ledger-does-not-add-up",
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
        }
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

    fn valid() -> StageFigures {
        StageFigures {
            window_ns: SECOND,
            offered: Some(1_000),
            sent: 1_000,
            on_time: 990,
            sched_lag_p99_ns: Some(LAG_FLOOR_NS),
            e2e_p99_ns: Some(300_000),
            delivery: Some(Delivery { expected: 10, delivered_once: 7, lost: 3, ..Delivery::default() }),
            ..StageFigures::default()
        }
    }

    #[test]
    fn the_edge_is_valid() {
        assert_eq!(Invalidity::find(&valid()), []);
        assert_eq!(Invalidity::find(&StageFigures::default()), []);
        let slow_broker = StageFigures { sched_lag_p99_ns: Some(2_000_000), e2e_p99_ns: Some(20_000_000), ..valid() };
        assert_eq!(Invalidity::find(&slow_broker), [], "a tenth of the latency is allowed");
        let held = StageFigures { sent: 500, on_time: 500, held_back: 500, ..valid() };
        assert_eq!(Invalidity::find(&held), [], "a broker that does not read is slow, and no fault of ours");
    }

    #[test]
    fn beyond_the_edge_is_invalid() {
        type Change = fn(&mut StageFigures);
        let cases: [(Change, &str); 7] = [
            (|f| f.on_time = 989, "sent-below-offered"),
            // Half of them waited for the broker and left all the same; of the others none did.
            (|f| (f.held_back, f.sent, f.on_time) = (500, 500, 0), "sent-below-offered"),
            (
                |f| (f.held_back, f.sent, f.on_time, f.busiest_thread_ns) = (900, 500, 100, Some(SECOND)),
                "sent-below-offered",
            ),
            (|f| f.sched_lag_p99_ns = Some(LAG_FLOOR_NS + 1), "scheduling-lag"),
            (|f| f.clock_back_ns = 1, "clock-went-back"),
            (|f| f.delivery = Some(Delivery { expected: 1, ..Delivery::default() }), "ledger-does-not-add-up"),
            (|f| f.unbalanced_ledgers = 1, "ledger-does-not-add-up"),
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
        let closed = StageFigures { offered: None, sent: 1, sched_lag_p99_ns: Some(SECOND), ..valid() };
        assert_eq!(Invalidity::find(&closed), []);
    }
}
