//! The warnings about a stage: from the engine's outcome, and from the figures of the document.

use std::ops::RangeInclusive;

use crate::bench::engine::{Overload, RunOutcome, StageOutcome};
use crate::bench::measure::{Drift, Latency, Percentile, Recorder, Verdict};
use crate::bench::plan::{BenchPlan, ClientKind};
use crate::bench::report::document::Warning;
use crate::bench::report::stage::Stage;
use crate::mqtt::QoS;
use crate::options::Arrival;
use crate::terminal::number::{self, counted};

/// QoS 2 messages in flight per client that mosquitto takes from MQTT 3.1.1 clients (`max_inflight_messages`); it
/// acknowledges and drops those beyond. An MQTT 5 client learns the limit as Receive Maximum.
const QOS_2_IN_FLIGHT: u16 = 20;

/// Warnings about the engine's outcome; `first` is the stage that connecting belongs to.
pub(super) fn of_outcome(plan: &BenchPlan, run: &RunOutcome, stage: &StageOutcome, first: bool) -> Vec<Warning> {
    let mut warnings = of_load(plan, stage);
    for warning in of_trends(plan, stage) {
        // Overload has two signs; one of them is enough.
        if warning.code != "overload" || warnings.iter().all(|known| known.code != warning.code) {
            warnings.push(warning);
        }
    }
    if let Some(window) = run.narrowed.filter(|_| first) {
        let text = format!(
            "connections were lost repeatedly and nothing was acknowledged, so the window was reduced to {window}: the broker may not accept as many messages in flight as -M allows (try -M {window})"
        );
        warnings.push(Warning::new("window-halved", text));
    }
    warnings.extend(forgotten_times(stage));
    warnings.extend(nagle_hint(plan, &run.connect, stage));
    warnings
}

/// Why messages that were matched by order may have been taken for others: from a gap on for the one before, from one
/// too many on for the one after. When that happened shows only at the end, in the counts, so no sample of the stage
/// can be trusted.
pub(super) fn broken_order(stage: &StageOutcome) -> Option<Warning> {
    let lost = stage.delivery.map_or(0, |delivery| delivery.lost);
    if lost > 0 {
        let text = "messages without a stamp were lost and cannot be identified, so end-to-end latency is not reported";
        return Some(Warning::new("no-latency-after-loss", text));
    }
    (stage.unmatched > 0).then(|| {
        let text = format!(
            "{} more messages arrived than were sent, or were marked as sent again: messages without a stamp were \
             delivered twice, or another client publishes on the topic, so end-to-end latency is not reported",
            stage.unmatched
        );
        Warning::new("no-latency-after-duplicates", text)
    })
}

/// Warnings about counts.
fn of_load(plan: &BenchPlan, stage: &StageOutcome) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let counters = &stage.recorder.counters;
    let answered = stage.recorder.latency.ping.histogram().map_or(0, |pings| pings.count());
    if plan.targets.is_cross() && !plan.is_apart() && counters.sent > 0 && counters.delivered == 0 {
        let text = "no message arrived: --pair cross needs brokers that forward messages to each other";
        warnings.push(Warning::new("brokers-not-linked", text));
    }
    let unanswered = counters.pings.saturating_sub(answered);
    if unanswered > 0 {
        let text = format!("{unanswered} of {} PINGREQ packets were not answered", counters.pings);
        warnings.push(Warning::new("pings-unanswered", text));
    }
    if counters.connects > 0 && counters.held_back > 0 {
        let text = format!(
            "{} connected late because too many connects were pending: the broker did not keep up with this rate",
            counted(counters.held_back, "client", "clients"),
        );
        warnings.push(Warning::new("connects-held-back", text));
    }
    if stage.downgraded > 0 {
        let text = qos_2_with_puback(stage.downgraded);
        warnings.push(Warning::new("downgraded", text));
    }
    let held_back = stage.recorder.counters.held_back;
    if let Some(offered) = stage.offered.filter(|_| stage.overload(plan) == Some(Overload::HeldBack)) {
        let text = match stage.recorder.counters.skipped {
            // Which of them waited for what is unknown.
            skipped if !stage.lost.is_empty() => {
                let given_up = if skipped > 0 { format!(", and {skipped} were skipped") } else { String::new() };
                format!(
                    "{held_back} of {offered} messages were due without a connection or with a full window{given_up}"
                )
            }
            0 => {
                let not_sent = stage.not_sent.filter(|not_sent| *not_sent > 0);
                let not_sent = not_sent.map_or_else(String::new, |count| format!(", and {count} were not sent at all"));
                let consequence = if stage.keeps_up() {
                    format!("latencies include that wait; -M is {} per publisher", plan.window)
                } else {
                    "the path did not sustain this rate, and latencies grow with the length of the test".to_owned()
                };
                format!("{held_back} of {offered} messages waited for the window{not_sent}: {consequence}")
            }
            skipped => format!(
                "{held_back} of {offered} messages were due with a full window: the path did not sustain this rate, and {skipped} were skipped",
            ),
        };
        let code = if stage.lost.is_empty() && !stage.keeps_up() { "overload" } else { "held-back" };
        warnings.push(Warning::new(code, text));
    } else if let Some(not_sent) = stage.not_sent.filter(|not_sent| *not_sent > counters.skipped) {
        let of = stage.offered.map_or_else(String::new, |offered| format!(" of {offered}"));
        let text = format!("{not_sent}{of} messages were still waiting to be sent at the end, and were not sent");
        warnings.push(Warning::new("not-sent", text));
    }
    warnings
}

/// How long TCP holds an acknowledgement back that it could send along with data, on Linux.
const DELAYED_ACK_NS: RangeInclusive<u64> = 38_000_000..=46_000_000;

/// A latency caused by the kernel and not by the broker: the 40 ms of a delayed acknowledgement of TCP, or the interval
/// of a publisher, whose next packet brings that acknowledgement along.
fn nagle_hint(plan: &BenchPlan, connect: &Recorder, stage: &StageOutcome) -> Option<Warning> {
    let counters = &stage.recorder.counters;
    // A queue has a random length.
    let is_queueing = stage.offered.is_some_and(|offered| counters.held_back * 10 > offered)
        || (stage.rate.is_none() && plan.window > 1);
    if is_queueing {
        return None;
    }
    let handshake_ns = connect.latency.connect_tcp.histogram()?.min()?;
    let interval_ns = stage.rate.filter(|_| plan.arrival == Arrival::Fixed).map(|rate| {
        let interval = plan.own_count(ClientKind::Publisher) as f64 * 1e9 / rate;
        interval as u64
    });
    let Recorder { latency, .. } = &stage.recorder;
    let arrival = if plan.responders > 0 { "rtt" } else { "e2e" };
    [("ack", &latency.ack), (arrival, &latency.e2e)].into_iter().find_map(|(name, latency)| {
        // Waiting for a fixed time is all that most of them have in common; work and queues are spread out.
        let histogram = latency.histogram()?;
        let (p50_ns, p75_ns) = (histogram.percentile(Percentile::P50)?, histogram.percentile(Percentile::P75)?);
        let cause = held_back_by_nagle([p50_ns, p75_ns], handshake_ns, interval_ns)?;
        let (p50, handshake) = (number::duration(p50_ns), number::duration(handshake_ns));
        let text = format!(
            "{name} p50 is {p50}, {cause}, and TCP connects in {handshake}: the broker may delay small packets until earlier ones are acknowledged (Nagle's algorithm); in mosquitto, 'set_tcp_nodelay true' prevents this"
        );
        Some(Warning::new("nagle", text))
    })
}

/// What a latency looks like, if not like work.
fn held_back_by_nagle(percentiles_ns: [u64; 2], handshake_ns: u64, interval_ns: Option<u64>) -> Option<&'static str> {
    let all_in = |range: RangeInclusive<u64>| percentiles_ns.iter().all(|percentile| range.contains(percentile));
    if handshake_ns > percentiles_ns[0] / 4 {
        return None;
    }
    let tenth = |interval: u64| interval - interval / 10..=interval + interval / 10;
    // A shorter interval is what a busy machine takes for work; a longer one is cut short by the delay.
    let is_interval = interval_ns
        .is_some_and(|interval| (5_000_000..*DELAYED_ACK_NS.start()).contains(&interval) && all_in(tenth(interval)));
    if is_interval {
        return Some("the interval at which each publisher sends");
    }
    all_in(DELAYED_ACK_NS).then_some("for which TCP delays acknowledgements")
}

/// Warnings about the seconds of a stage.
fn of_trends(plan: &BenchPlan, stage: &StageOutcome) -> Vec<Warning> {
    if plan.is_apart() {
        // The seconds of one shard are not those of the path.
        return Vec::new();
    }
    let found = stage.steadiness(plan);
    let mut warnings = Vec::new();
    if let Some(Drift { first, last }) = found.rate {
        let (first, last) = (number::rate(first), number::rate(last));
        let text = format!(
            "not steady: {first} messages/s in the first third of the time, {last} in the last; measure longer, or raise --warmup"
        );
        warnings.push(Warning::new("not-steady", text));
    }
    // A flood has as much in flight as the window allows, and its latency is queueing.
    if stage.rate.is_none() {
        return warnings;
    }
    if let Some(Drift { first, last }) = found.p99 {
        let (first, last) = (number::duration(first as u64), number::duration(last as u64));
        let text =
            format!("not steady: the p99 of a second was {first} in the first third of the time, {last} in the last");
        warnings.push(Warning::new("not-steady", text));
    }
    if let Some(Overload::Backlog(Drift { first, last })) = stage.overload(plan) {
        let (first, last) = (number::grouped(first as u64), number::grouped(last as u64));
        let text = format!(
            "overload: messages in flight grew from {first} to {last} while the load was on, so latencies grow with the \
             length of the test; lower --rate"
        );
        warnings.push(Warning::new("overload", text));
    }
    warnings
}

/// The times at which messages were handed to the socket are kept for the latest ones only. Where those of messages
/// that were in flight for long were no longer known, the service time looks better than it was. A closed loop keeps
/// none.
fn forgotten_times(stage: &StageOutcome) -> Option<Warning> {
    let count = |latency: &Latency| latency.histogram().map_or(0, |histogram| histogram.count());
    let latency = &stage.recorder.latency;
    let (all, timed) = (count(&latency.e2e), count(&latency.e2e_service));
    (stage.rate.is_some() && timed < all).then(|| {
        let text = format!(
            "service times exclude {} of {all} messages, those in flight longest; e2e includes them",
            all - timed
        );
        Warning::new("service-times-missing", text)
    })
}

/// Warnings about the figures of a stage.
pub(super) fn of_figures(plan: &BenchPlan, stage: &Stage) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let delivery = &stage.delivery;
    if let Some(fault) = &stage.given_up {
        let rate = stage.traffic.offered_per_s.map(number::rate).unwrap_or_default();
        warnings.push(Warning::new(
            "stepped-down",
            format!("{rate}/s was not sustained, so half of it was tried: {fault}"),
        ));
    }
    if let Some(highest) = &stage.highest_percentile {
        let lag = stage.latency.sched_lag.as_ref().and_then(|lag| lag.p.p99).map(number::duration).unwrap_or_default();
        let text = format!(
            "this machine was too busy to send in time (sched lag p99 {lag}): latencies above p{highest} would measure this machine and are not reported"
        );
        warnings.push(Warning::new("percentiles-withheld", text));
    }
    warnings.extend(of_delivery(plan, stage));
    if let Some(skipped) = some(stage.traffic.skipped) {
        warnings.push(Warning::new("skipped", format!("skipped {} of the schedule", messages(skipped))));
    }
    if let Some(failed) = some(stage.clients.failed) {
        warnings.push(Warning::new("connect-failed", format!("{} failed", counted(failed, "connect", "connects"))));
    }
    if let Some(lost) = some(stage.clients.lost).filter(|_| delivery.outage_count.is_some()) {
        let under_way = match stage.traffic.sent_again {
            Some(again) => format!("{} sent again", messages(again)),
            None => "messages in flight may be lost".to_owned(),
        };
        let text = format!("{} lost and restored; {under_way}", counted(lost, "connection", "connections"));
        warnings.push(Warning::new("reconnected", text));
    }
    let is_limit = stage.generator.verdict == Some(Verdict::Bottleneck);
    if is_limit && stage.invalid.is_empty() && stage.highest_percentile.is_none() {
        let text = format!("the generator was the limit: {}", stage.generator.reasons.join("; "));
        warnings.push(Warning::new("generator", text));
    } else if stage.generator.verdict == Some(Verdict::Suspect) {
        let text = format!("the generator may have been the limit: {}", stage.generator.reasons.join("; "));
        warnings.push(Warning::new("generator", text));
    }
    warnings
}

/// Warnings about delivery.
fn of_delivery(plan: &BenchPlan, stage: &Stage) -> Vec<Warning> {
    let (mut warnings, delivery) = (Vec::new(), &stage.delivery);
    if let Some(lost) = some(delivery.counts.lost) {
        let expected = delivery.counts.expected.unwrap_or_default();
        let cause = cause_of_loss(plan, stage);
        warnings.push(Warning::new("loss", format!("{lost} of {expected} messages were lost{cause}")));
    }
    if let Some(unacked) = some(delivery.unacked) {
        let of =
            stage.traffic.sent.filter(|sent| *sent >= unacked).map(|sent| format!(" of {sent}")).unwrap_or_default();
        warnings.push(Warning::new("unacked", format!("{unacked}{of} messages were not acknowledged")));
    }
    if let Some(freed) = some(delivery.freed_by_silence) {
        let text = format!(
            "nothing arrived for a second or four round trips, so mqbench considered {} of the window lost and reused it",
            counted(freed, "slot", "slots")
        );
        warnings.push(Warning::new("freed-by-silence", text));
    }
    if let Some(duplicates) = some(delivery.counts.duplicates).filter(|_| stage.qos == 2) {
        warnings.push(Warning::new(
            "qos2-duplicates",
            format!("{}, which QoS 2 forbids", counted(duplicates, "duplicate", "duplicates")),
        ));
    }
    if let Some(corrupt) = some(delivery.counts.corrupt) {
        warnings.push(Warning::new("corrupt", format!("{} arrived with different contents", messages(corrupt))));
    }
    if let Some(foreign) = some(delivery.foreign) {
        let text = format!("{} from other publishers arrived on the same topics and cost time", messages(foreign));
        warnings.push(Warning::new("foreign", text));
    }
    if let Some(unjudged) = some(delivery.counts.unjudged) {
        let text = format!("{} arrived too late to tell late messages from duplicates", messages(unjudged));
        warnings.push(Warning::new("unjudged", text));
    }
    let rejected: u64 = delivery.rejected.iter().flatten().map(|(_, count)| count).sum();
    if rejected > 0 {
        warnings.push(Warning::new("rejected", format!("the broker refused {}", messages(rejected))));
    }
    warnings
}

fn messages(count: u64) -> String {
    counted(count, "message", "messages")
}

/// The fault of a broker that acknowledges QoS 2 as QoS 1.
pub(in crate::bench) fn qos_2_with_puback(count: u64) -> String {
    format!("the broker acknowledged {} with PUBACK, as if at QoS 1", counted(count, "QoS 2 message", "QoS 2 messages"))
}

/// A count that is known and not 0.
fn some(count: Option<u64>) -> Option<u64> {
    count.filter(|&count| count > 0)
}

/// The likely cause of losing acknowledged messages, and what to try.
fn cause_of_loss(plan: &BenchPlan, stage: &Stage) -> String {
    let was_acknowledged = stage.delivery.unacked == Some(0) && stage.clients.lost == Some(0);
    if !was_acknowledged || plan.targets.is_cross() {
        return String::new();
    }
    let limit = "; the broker acknowledged them and dropped them:";
    match plan.qos {
        QoS::ExactlyOnce if !plan.session.version.is_v5() && plan.window > QOS_2_IN_FLIGHT => format!(
            "{limit} it may accept fewer QoS 2 messages in flight per client than the window of {} (mosquitto: \
             max_inflight_messages); try -M {QOS_2_IN_FLIGHT}, or -V 5, with which a broker states its limit",
            plan.window
        ),
        _ => format!(
            "{limit} its queue for a subscriber may be full (mosquitto: max_queued_messages); try a smaller -M or a lower \
             rate"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::held_back_by_nagle;

    #[test]
    fn forty_milliseconds_and_the_interval_hint_at_nagle() {
        const MS: u64 = 1_000_000;
        let hint = |p50, handshake, interval| held_back_by_nagle([p50; 2], handshake, interval).unwrap_or("none");
        assert_eq!(held_back_by_nagle([20 * MS, 30 * MS], MS / 5, Some(20 * MS)), None, "spread out");
        assert!(hint(40 * MS, MS / 5, Some(100 * MS)).contains("delays"));
        assert!(hint(44 * MS, MS / 5, None).contains("delays"));
        assert!(hint(20 * MS, MS / 5, Some(20 * MS)).contains("interval"));
        assert!(hint(21 * MS, MS / 5, Some(20 * MS)).contains("interval"));
        for (p50, handshake, interval) in [
            // A path that is as long.
            (40 * MS, 38 * MS, None),
            (20 * MS, 10 * MS, Some(20 * MS)),
            (30 * MS, MS / 5, Some(20 * MS)),
            (2 * MS, MS / 5, Some(2 * MS)),
            (100 * MS, MS / 5, Some(100 * MS)),
        ] {
            assert_eq!(hint(p50, handshake, interval), "none", "{p50} {handshake} {interval:?}");
        }
    }
}
