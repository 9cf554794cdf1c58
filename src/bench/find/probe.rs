//! Judges one rate by its result.

use crate::bench::measure::{Delivery, Steadiness, Verdict};
use crate::bench::report::{CurvePoint, Gate, ProbeOutcome, Purpose, ResultDocument, Status};
use crate::terminal::number::{grouped, percent};

/// Of what was due, percent that must have been sent.
const SENT_PCT: f64 = 99.5;

/// The point of the curve: what the rate measured, and whether it meets the objective.
pub(crate) fn point(document: &ResultDocument, slo: &Gate, rate: f64, purpose: Purpose) -> CurvePoint {
    let (outcome, reason) = assess(document, slo);
    let latency = document.latency.e2e.as_ref().or(document.latency.ack.as_ref());
    let window_ns: u64 = document.stages.iter().map(|stage| stage.duration_ns).sum();
    let of_window = |cpu_ns: u64| (window_ns > 0).then(|| (1000.0 * cpu_ns as f64 / window_ns as f64).round() / 10.0);
    let Delivery { lost, expected, .. } = document.delivery.counts;
    let loss_pct =
        lost.zip(expected).and_then(|(lost, expected)| (expected > 0).then(|| 100.0 * lost as f64 / expected as f64));
    CurvePoint {
        purpose,
        rate_per_s: rate,
        sent_per_s: document.traffic.sent_per_s,
        delivered_per_s: document.traffic.delivered_per_s,
        duration_ns: window_ns,
        p50: latency.and_then(|latency| latency.p.p50),
        p99: latency.and_then(|latency| latency.p.p99),
        loss_pct,
        cpu_pct: document.generator.cpu_ns.and_then(of_window),
        broker_cpu_pct: document.broker.process.as_ref().and_then(|process| of_window(process.cpu_ns)),
        outcome,
        reason,
    }
}

/// Whether a result meets the objective. What mqbench or this machine could not do says nothing about the path.
fn assess(document: &ResultDocument, slo: &Gate) -> (ProbeOutcome, Option<String>) {
    let miss = |reason: String| (ProbeOutcome::Miss, Some(reason));
    if matches!(document.status, Status::Failed | Status::Partial) {
        return miss(document.run.error.clone().unwrap_or_else(|| "the run failed".to_owned()));
    }
    if let Some(fault) = document.invalid.first() {
        return (ProbeOutcome::Unfit, Some(fault.text.clone()));
    }
    if document.generator.verdict == Some(Verdict::Bottleneck) {
        let reason = document.generator.reasons.first().cloned();
        return (ProbeOutcome::Unfit, reason.or_else(|| Some("mqbench was at its limit".to_owned())));
    }
    let (offered, sent) = (document.traffic.offered.unwrap_or_default(), document.traffic.sent.unwrap_or_default());
    if (sent as f64) < offered as f64 * SENT_PCT / 100.0 {
        let share = percent(100.0 * sent as f64 / offered as f64);
        let counts = format!("{} of {}", grouped(sent), grouped(offered));
        return miss(format!("only {counts} messages ({share}) could be sent: the path did not take them"));
    }
    if let Some(failed) = slo.evaluate(document, None).into_iter().find(|gate| !gate.pass) {
        return miss(failed.reason.unwrap_or(failed.expr));
    }
    let growth = document.series.as_ref().and_then(|series| Steadiness::of(series, |row| row.delivered).backlog);
    if let Some(growth) = growth {
        let (first, last) = (grouped(growth.first as u64), grouped(growth.last as u64));
        return miss(format!("messages in flight grew from {first} to {last}: the path does not keep up"));
    }
    (ProbeOutcome::Pass, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::{Fault, IntervalRow, Series};

    fn good() -> ResultDocument {
        let mut document = ResultDocument::default();
        (document.traffic.offered, document.traffic.sent) = (Some(1_000), Some(996));
        (document.delivery.counts.expected, document.delivery.counts.lost) = (Some(996), Some(0));
        let row =
            |second: u64| IntervalRow { delivered: Some(100), backlog: Some(second % 2), ..IntervalRow::default() };
        document.series = Some(Series { interval_ns: 1_000_000_000, rows: (0..10).map(row).collect() });
        document
    }

    #[test]
    fn every_cause_is_distinguished() {
        type Change = fn(&mut ResultDocument);
        let cases: [(Change, ProbeOutcome, &str); 7] = [
            (|_| {}, ProbeOutcome::Pass, ""),
            (|it| it.traffic.sent = Some(994), ProbeOutcome::Miss, "only 994 of 1,000 messages"),
            (|it| it.delivery.counts.lost = Some(1), ProbeOutcome::Miss, "lost is 1"),
            (
                |it| {
                    it.series.iter_mut().flat_map(|series| series.rows.iter_mut().enumerate()).for_each(|(at, row)| {
                        row.backlog = Some(at as u64 * 20);
                    })
                },
                ProbeOutcome::Miss,
                "messages in flight grew from",
            ),
            (
                |it| {
                    it.set_status(Status::Failed);
                    it.run.error = Some("3 of 20 connections were lost".to_owned());
                },
                ProbeOutcome::Miss,
                "3 of 20 connections were lost",
            ),
            // Whatever else went wrong: nobody knows what the path would have done.
            (
                |it| {
                    it.delivery.counts.lost = Some(1);
                    it.invalid.push(Fault { text: "messages were sent late".to_owned(), ..Fault::default() });
                },
                ProbeOutcome::Unfit,
                "messages were sent late",
            ),
            (
                |it| {
                    it.generator.verdict = Some(Verdict::Bottleneck);
                    it.generator.reasons.push("a thread was busy".to_owned());
                },
                ProbeOutcome::Unfit,
                "a thread was busy",
            ),
        ];
        let slo = Gate::parse("lost == 0").unwrap();
        for (change, outcome, words) in cases {
            let mut document = good();
            change(&mut document);
            let point = point(&document, &slo, 100.0, Purpose::Bisect);
            let reason = point.reason.unwrap_or_default();
            assert_eq!(point.outcome, outcome, "{reason}");
            assert!(reason.starts_with(words) && reason.is_empty() == words.is_empty(), "{reason}");
        }
    }
}
