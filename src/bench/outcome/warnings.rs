//! What a stage warns of.

use crate::bench::engine::StageOutcome;
use crate::bench::measure::{Drift, IntervalRow, Latency, Steadiness};
use crate::bench::plan::BenchPlan;
use crate::bench::report::Warning;
use crate::mqtt::QoS;
use crate::terminal::number;

pub(super) fn stage_warnings(plan: &BenchPlan, stage: &StageOutcome) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let counters = &stage.recorder.counters;
    let answered = stage.recorder.latency.ping.histogram().map_or(0, |pings| pings.count());
    if plan.targets.is_cross() && counters.sent > 0 && counters.delivered == 0 {
        let text = "nothing of what was sent arrived: --pair cross needs brokers that pass messages on to each other";
        warnings.push(Warning::new("brokers-not-linked", text));
    }
    let unanswered = counters.pings.saturating_sub(answered);
    if unanswered > 0 {
        let text = format!("{unanswered} of {} PINGREQ packets were not answered", counters.pings);
        warnings.push(Warning::new("pings-unanswered", text));
    }
    if counters.connects > 0 && counters.held_back > 0 {
        let text = format!(
            "{} clients connected late because too many connects were under way: the broker did not take this rate",
            counters.held_back,
        );
        warnings.push(Warning::new("connects-held-back", text));
    }
    if stage.downgraded > 0 {
        let text =
            format!("the broker acknowledged {} QoS 2 messages with PUBACK, as if they were QoS 1", stage.downgraded);
        warnings.push(Warning::new("downgraded", text));
    }
    let held_back = stage.recorder.counters.held_back;
    if let Some(offered) = stage.offered.filter(|offered| held_back * 10 > *offered) {
        let text = match stage.recorder.counters.skipped {
            // Which of them waited for what is not told apart.
            skipped if !stage.lost.is_empty() => {
                let given_up = if skipped > 0 { format!(", and {skipped} were given up") } else { String::new() };
                format!("{held_back} of {offered} messages found no connection, or the window closed{given_up}")
            }
            0 => {
                let not_sent = stage.not_sent.filter(|not_sent| *not_sent > 0);
                let not_sent = not_sent.map_or_else(String::new, |count| format!(", and {count} were not sent at all"));
                format!(
                    "{held_back} of {offered} messages had to wait for the window{not_sent}: the path did not carry this \
                     rate, and latencies grow with the length of the test",
                )
            }
            skipped => format!(
                "{held_back} of {offered} messages found the window closed: the path did not carry this rate, and \
                 {skipped} were given up",
            ),
        };
        let code = if stage.lost.is_empty() { "overload" } else { "held-back" };
        warnings.push(Warning::new(code, text));
    } else if let Some(not_sent) = stage.not_sent.filter(|not_sent| *not_sent > counters.skipped) {
        let of = stage.offered.map_or_else(String::new, |offered| format!(" of {offered}"));
        let text = format!("{not_sent}{of} messages were still waiting to be sent at the end, and were not sent");
        warnings.push(Warning::new("not-sent", text));
    }
    warnings
}

/// What the seconds of a stage warn of.
pub(super) fn trend_warnings(plan: &BenchPlan, stage: &StageOutcome) -> Vec<Warning> {
    let rate: fn(&IntervalRow) -> u64 = match (plan.subscribers, plan.qos) {
        (0, QoS::AtMostOnce) => |row| row.sent,
        (0, _) => |row| row.acked,
        _ => |row| row.delivered,
    };
    let found = Steadiness::of(&stage.rows, rate);
    let mut warnings = Vec::new();
    if let Some(Drift { first, last }) = found.rate {
        let (first, last) = (number::rate(first), number::rate(last));
        let text = format!(
            "not steady: {first} messages/s in the first third of the time, {last} in the last; measure for longer, or \
             with a longer --warmup"
        );
        warnings.push(Warning::new("not-steady", text));
    }
    // A flood has as much under way as the window lets it, and its latency is queueing.
    if stage.rate.is_none() {
        return warnings;
    }
    if let Some(Drift { first, last }) = found.p99 {
        let (first, last) = (number::duration(first as u64), number::duration(last as u64));
        let text =
            format!("not steady: the p99 of a second was {first} in the first third of the time, {last} in the last");
        warnings.push(Warning::new("not-steady", text));
    }
    if let Some(Drift { first, last }) = found.backlog {
        let (first, last) = (number::grouped(first as u64), number::grouped(last as u64));
        let text = format!(
            "overload: messages under way grew from {first} to {last} while the load was on, so latencies grow with the \
             length of the test; lower --rate"
        );
        warnings.push(Warning::new("overload", text));
    }
    warnings
}

/// When a message was handed to the socket is remembered for the last ones only. Where those that were on their way for
/// long had been forgotten, the service time looks better than it was. A closed loop keeps none.
pub(super) fn forgotten_times(stage: &StageOutcome) -> Option<Warning> {
    let count = |latency: &Latency| latency.histogram().map_or(0, |histogram| histogram.count());
    let latency = &stage.recorder.latency;
    let (all, timed) = (count(&latency.e2e), count(&latency.e2e_service));
    (stage.rate.is_some() && timed < all).then(|| {
        let text = format!(
            "service times: {} of {all} messages are missing, those that were on their way longest; e2e has them all",
            all - timed
        );
        Warning::new("service-times-missing", text)
    })
}
