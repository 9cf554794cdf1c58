//! The faults that make a run invalid, because its figures are not those of what was asked for: an open loop that was
//! not kept, a clock that went back, a ledger that does not add up. Everything else only warns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::figures::{StageFigures, THREAD_BUSY_PCT, percent};
use super::ledger::Delivery;

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

    fn new(code: &str, text: String, next_step: &str) -> Self {
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

    /// All faults of a stage; empty when it is valid.
    pub fn find(figures: &StageFigures) -> Vec<Self> {
        let mut faults = Vec::new();
        if let Some(offered) = figures.offered {
            // If a thread is saturated, it is unknown what messages waited for.
            let (possible, sent) = match figures.is_saturated() {
                true => (offered, figures.sent),
                false => (offered.saturating_sub(figures.held_back), figures.on_time),
            };
            faults.extend(sent_below_share(possible, sent));
            faults.extend(lag_above_limit(figures.sched_lag_p99_ns, figures.e2e_p99_ns));
        }
        if figures.clock_back_ns > 0 {
            let text = format!("the monotonic clock went back by {} ns", figures.clock_back_ns);
            let next_step = "check the clock source of this machine (was this virtual machine moved?)";
            faults.push(Self::new("clock-went-back", text, next_step));
        }
        let delivery = figures.delivery.unwrap_or_default();
        if figures.unbalanced_ledgers > 0 || !delivery.adds_up() {
            let Delivery { expected, delivered_once, lost, .. } = delivery;
            let text = format!(
                "the delivery ledger does not add up: {expected} expected, {delivered_once} delivered, {lost} lost ({} \
                 streams)",
                figures.unbalanced_ledgers
            );
            let next_step = "look for another publisher on the same topics; if there is none, please report this as a bug \
                             of mqbench";
            faults.push(Self::new(Self::LEDGER, text, next_step));
        }
        faults
    }
}

impl StageFigures {
    /// A thread had no time left. Whether messages waited for the window is then unknown: slots become free only when
    /// the thread reads the acknowledgements.
    pub(super) fn is_saturated(&self) -> bool {
        self.busiest_thread_pct().is_some_and(|busy| busy > THREAD_BUSY_PCT) && !self.is_on_time()
    }

    /// Whether an open loop shows that its threads had time: everything that could leave left when it was due. A thread
    /// that sends each message by itself is busy long before it is at its limit; with more to do it sends several at
    /// once, and what it cannot do any more is late.
    pub(super) fn is_on_time(&self) -> bool {
        let Some(offered) = self.offered else { return false };
        let possible = offered.saturating_sub(self.held_back);
        // Few of them prove nothing.
        possible > offered / 2
            && sent_below_share(possible, self.on_time).is_none()
            && self.sched_lag_p99_ns.is_some()
            && lag_above_limit(self.sched_lag_p99_ns, self.e2e_p99_ns).is_none()
    }
}

/// Open loop: whether less than the share was sent of what could have been, which is what was offered less what window
/// or socket held back. A single message is late by accident: a shard of a small run has few.
pub(super) fn sent_below_share(possible: u64, sent: u64) -> Option<Fault> {
    let is_below = (sent as f64) < SENT_SHARE * possible as f64 && possible - sent > 1;
    is_below.then(|| {
        let share = percent(sent as f64, possible as f64).unwrap_or_default();
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
    // As many digits as it takes to tell them apart.
    let short = |ns: u64| format!("{:.2} ms", ms(ns));
    let text_of = |ns: u64, other: u64| if short(ns) == short(other) { format!("{:.6} ms", ms(ns)) } else { short(ns) };
    let (lag_ns, limit_ns) = (lag_p99_ns?, LAG_FLOOR_NS.max(e2e_p99_ns.unwrap_or_default() / 10));
    (lag_ns > limit_ns).then(|| {
        let (lag, limit) = (text_of(lag_ns, limit_ns), text_of(limit_ns, lag_ns));
        let text = format!("messages were sent late: sched_lag p99 is {lag}; at most {limit} is allowed");
        let next_step = "lower --rate, keep the machine free of other work, or run the broker on another machine";
        Fault::new(Fault::SCHEDULING_LAG, text, next_step)
    })
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
        assert_eq!(Fault::find(&valid()), []);
        assert_eq!(Fault::find(&StageFigures::default()), []);
        let beyond = lag_above_limit(Some(LAG_FLOOR_NS + 4_000), None).unwrap().text;
        assert!(beyond.contains("sched_lag p99 is 1.004000 ms; at most 1.000000 ms"), "{beyond}");
        let slow_broker = StageFigures { sched_lag_p99_ns: Some(2_000_000), e2e_p99_ns: Some(20_000_000), ..valid() };
        assert_eq!(Fault::find(&slow_broker), [], "a tenth of the latency is allowed");
        let held = StageFigures { sent: 500, on_time: 500, held_back: 500, ..valid() };
        assert_eq!(Fault::find(&held), [], "a broker that does not read is slow, and no fault of ours");
        let few = |on_time| StageFigures { offered: Some(30), sent: 30, on_time, ..valid() };
        assert_eq!(Fault::find(&few(29)), [], "one of few");
        assert_eq!(Fault::find(&few(28)).len(), 1);
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
            let faults = Fault::find(&figures);
            assert_eq!(faults.iter().map(|fault| fault.code.as_str()).collect::<Vec<_>>(), [code]);
            assert!(!faults[0].text.is_empty() && !faults[0].next_step.is_empty());
        }
    }

    #[test]
    fn a_closed_loop_has_no_schedule_to_miss() {
        let closed = StageFigures { offered: None, sent: 1, sched_lag_p99_ns: Some(SECOND), ..valid() };
        assert_eq!(Fault::find(&closed), []);
    }
}
