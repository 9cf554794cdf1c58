//! The faults that make a run invalid, because its figures are not those of what was asked for: an open loop that was
//! not kept, a clock that went back, a ledger that does not add up. Everything else only warns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Share of the offered messages that must have been sent.
const SENT_SHARE: f64 = 0.99;
/// Scheduling lag that is always allowed, nanoseconds.
pub(crate) const LAG_FLOOR_NS: u64 = 1_000_000;

/// A reason why figures are not valid, with what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// A name for scripts.
    pub code: String,
    /// What happened.
    pub text: String,
    /// What to do about it.
    pub next_step: String,
}

impl Fault {
    /// The code of a schedule that messages left too late for.
    pub const SCHEDULING_LAG: &str = "scheduling-lag";
    /// The code of deliveries that do not add up.
    pub const LEDGER: &str = "ledger-does-not-add-up";

    /// The code of shards whose starts were too far apart.
    pub const STARTS_APART: &str = "starts-apart";
    /// The code of deliveries between shards that do not add up.
    pub const SHARDS_LEDGER: &str = "shards-ledger";

    pub(super) fn new(code: &str, text: String, next_step: &str) -> Self {
        Self { code: code.to_owned(), text, next_step: next_step.to_owned() }
    }

    /// A shard that did not start with the others.
    pub fn late_start(late_ns: u64, bound_ns: u64) -> Self {
        let text = format!(
            "this shard started up to {:.0} ms off: {:.1} ms late, and its clock may be {:.1} ms wrong; at most 50 ms is \
             allowed",
            late_ns.saturating_add(bound_ns) as f64 / 1e6,
            late_ns as f64 / 1e6,
            bound_ns as f64 / 1e6
        );
        let next_step =
            "keep the machine free of other work, or use a barrier that is nearer (--control, --barrier FOLDER)";
        Self::new("late-start", text, next_step)
    }

    /// Shards whose starts were too far apart.
    pub fn starts_apart(apart_ns: u64) -> Self {
        let apart = apart_ns as f64 / 1e6;
        let text = format!("the first and the last shard started {apart:.0} ms apart; at most 50 ms is allowed");
        Self::new(Self::STARTS_APART, text, "set the clocks of the machines (NTP), or use --barrier broker")
    }

    /// Deliveries between shards that do not add up.
    pub fn shards_ledger(accounts: u64) -> Self {
        let text = format!("what the shards sent and received does not add up ({accounts} accounts of streams)");
        Self::new(Self::SHARDS_LEDGER, text, "look for another publisher on the same topics")
    }
}

/// Open loop: whether less than the share was sent of what could have been, which is what was offered less what window
/// or socket held back.
pub(super) fn sent_below_share(possible: u64, sent: u64) -> Option<Fault> {
    ((sent as f64) < SENT_SHARE * possible as f64).then(|| {
        let share = 100.0 * sent as f64 / possible as f64;
        let text =
            format!("only {sent} of {possible} offered messages were sent ({share:.1} %) though sockets were writable");
        let next_step = "lower --rate, or give the generator more --threads or another machine";
        Fault::new("sent-below-offered", text, next_step)
    })
}

/// Open loop: whether messages left later than a millisecond or a tenth of the latency, so that the latencies are not
/// the broker's.
pub(crate) fn lag_above_limit(lag_p99_ns: Option<u64>, e2e_p99_ns: Option<u64>) -> Option<Fault> {
    let ms = |ns: u64| ns as f64 / 1e6;
    let (lag_ns, limit_ns) = (lag_p99_ns?, LAG_FLOOR_NS.max(e2e_p99_ns.unwrap_or_default() / 10));
    (lag_ns > limit_ns).then(|| {
        let text = format!(
            "messages were sent late: sched_lag p99 is {:.2} ms; at most {:.2} ms is allowed",
            ms(lag_ns),
            ms(limit_ns)
        );
        let next_step = "lower --rate, keep the machine free of other work, or run the broker on another machine";
        Fault::new(Fault::SCHEDULING_LAG, text, next_step)
    })
}

#[cfg(test)]
mod tests {
    use super::super::figures::StageFigures;
    use super::super::ledger::Delivery;
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
        assert_eq!(valid().faults(), []);
        assert_eq!(StageFigures::default().faults(), []);
        let slow_broker = StageFigures { sched_lag_p99_ns: Some(2_000_000), e2e_p99_ns: Some(20_000_000), ..valid() };
        assert_eq!(slow_broker.faults(), [], "a tenth of the latency is allowed");
        let held = StageFigures { sent: 500, on_time: 500, held_back: 500, ..valid() };
        assert_eq!(held.faults(), [], "a broker that does not read is slow, and no fault of ours");
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
            let faults = figures.faults();
            assert_eq!(faults.iter().map(|fault| fault.code.as_str()).collect::<Vec<_>>(), [code]);
            assert!(!faults[0].text.is_empty() && !faults[0].next_step.is_empty());
        }
    }

    #[test]
    fn a_closed_loop_has_no_schedule_to_miss() {
        let closed = StageFigures { offered: None, sent: 1, sched_lag_p99_ns: Some(SECOND), ..valid() };
        assert_eq!(closed.faults(), []);
    }
}
