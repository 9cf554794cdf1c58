//! What a result counted: key figures, stages, delivery, connections, gates, warnings, several results side by side.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Number;

use super::chart::{Table, heading};
use super::text::{count, difference, known, name, sentence};
use crate::bench::measure::Generator;
use crate::bench::report::comparison::{Comparison, MetricComparison, SideFigure};
use crate::bench::report::delivery::StreamAccount;
use crate::bench::report::document::ResultDocument;
use crate::bench::report::gate::{finding, signed_percent};
use crate::bench::report::latency::{LatencySummary, LoopKind};
use crate::bench::report::metric::Metric;
use crate::bench::report::repeats::{RunFigures, RunStatistics};
use crate::bench::report::stage::Stage;
use crate::terminal::number::{byte_rate, bytes, duration, grouped, percent, rate};

/// Sentences of a list that are shown.
const MOST_SENTENCES: usize = 100;

/// A figure by which results are compared.
struct Figure {
    name: &'static str,
    read: fn(&ResultDocument) -> Option<f64>,
    form: fn(f64) -> String,
}

fn latency(document: &ResultDocument) -> Option<&LatencySummary> {
    let table = &document.latency;
    [&table.e2e, &table.rtt, &table.ack, &table.connect].into_iter().find_map(Option::as_ref)
}

fn nanoseconds(ns: f64) -> String {
    duration(ns.max(0.0) as u64)
}

fn whole(value: f64) -> String {
    grouped(value.max(0.0) as u64)
}

fn as_float(value: Option<u64>) -> Option<f64> {
    value.map(|value| value as f64)
}

macro_rules! figure {
    ($name:literal, $form:expr, $read:expr) => {
        Figure { name: $name, read: $read, form: $form }
    };
}

/// The first ones are key figures.
const FIGURES: &[Figure] = &[
    figure!("delivered per second", rate, |document| document.traffic.delivered_per_s),
    figure!("sent per second", rate, |document| document.traffic.sent_per_s),
    figure!("median", nanoseconds, |document| as_float(latency(document)?.p.p50)),
    figure!("p99", nanoseconds, |document| as_float(latency(document)?.p.p99)),
    figure!("longest", nanoseconds, |document| latency(document).map(|latency| latency.max as f64)),
    figure!("lost", whole, |document| as_float(document.delivery.counts.lost)),
    figure!("not sent", whole, |document| as_float(document.delivery.not_sent)),
    figure!("duplicates", whole, |document| as_float(document.delivery.counts.duplicates)),
    figure!("acknowledged per second", rate, |document| document.traffic.acked_per_s),
    figure!("p90", nanoseconds, |document| as_float(latency(document)?.p.p90)),
    figure!("p99.9", nanoseconds, |document| as_float(latency(document)?.p.p99_9)),
    figure!("p99.99", nanoseconds, |document| as_float(latency(document)?.p.p99_99)),
    figure!("payload delivered", byte_rate, |document| document.traffic.goodput_bytes_per_s),
    figure!("reordered", whole, |document| as_float(document.delivery.counts.reordered)),
    figure!("clients connected", whole, |document| as_float(document.clients.connected)),
    figure!("own CPU", percent, |document| {
        let generator = &document.generator;
        generator.cpu_user_pct.zip(generator.cpu_sys_pct).map(|(user, sys)| user + sys)
    }),
    figure!("broker's CPU", percent, |document| document.broker.process.as_ref()?.cpu_pct),
    figure!("broker's memory", bytes, |document| as_float(document.broker.process.as_ref()?.rss_bytes)),
];

/// How many of the figures are key figures.
const KEY_FIGURES: usize = 8;

/// The figures that one sees first.
pub(super) fn key_figures(document: &ResultDocument, baseline: Option<&ResultDocument>) -> Markup {
    let known = |figure: &'static Figure| Some((figure, (figure.read)(document)?));
    let figures: Vec<(&Figure, f64)> = FIGURES[..KEY_FIGURES].iter().filter_map(known).collect();
    html! {
        @if !figures.is_empty() {
            dl class="tiles" {
                @for (figure, value) in &figures {
                    @let change = baseline.and_then(|baseline| difference(Some(*value), (figure.read)(baseline)));
                    div {
                        dt { (figure.name) }
                        dd {
                            ((figure.form)(*value))
                            @if let Some(change) = change { span class="change" { (change) " to the baseline" } }
                        }
                    }
                }
            }
        }
    }
}

/// Results beside each other; the first one is what the others are compared with.
pub(super) fn side_by_side(results: &[(String, &ResultDocument)]) -> Markup {
    let Some((_, base)) = results.first() else { return Markup::default() };
    let head = std::iter::once(String::new()).chain(results.iter().map(|(name, _)| name.clone()));
    let row = |figure: &Figure| {
        let of = |(place, (_, document)): (usize, &(String, &ResultDocument))| {
            let value = (figure.read)(document);
            let change = (place > 0).then(|| difference(value, (figure.read)(base))).flatten();
            known(value, figure.form) + &change.map(|change| format!(" ({change})")).unwrap_or_default()
        };
        std::iter::once(figure.name.to_owned()).chain(results.iter().enumerate().map(of)).collect()
    };
    let is_known = |figure: &&Figure| results.iter().any(|(_, document)| (figure.read)(document).is_some());
    let status = std::iter::once("status".to_owned())
        .chain(results.iter().map(|(_, document)| format!("{:?}", document.status).to_lowercase()));
    let rows = std::iter::once(status.collect()).chain(FIGURES.iter().filter(is_known).map(row)).collect();
    Table { head: head.collect(), rows }.render("Results side by side")
}

/// The stages.
pub(super) fn stages(document: &ResultDocument) -> Markup {
    let head = [
        "Stage",
        "load",
        "measured",
        "offered/s",
        "sent/s",
        "acked/s",
        "delivered/s",
        "payload/s",
        "median",
        "p99",
        "longest",
        "lost",
        "not sent",
        "duplicates",
    ];
    let row = |stage: &Stage| {
        let load = match stage.model {
            LoopKind::Closed => format!("closed loop, QoS {}", stage.qos),
            LoopKind::Open => format!("open loop, QoS {}", stage.qos),
        };
        let traffic = &stage.traffic;
        let table = &stage.latency;
        let latency = [&table.e2e, &table.rtt, &table.ack, &table.connect].into_iter().find_map(Option::as_ref);
        vec![
            name(&stage.name),
            load,
            duration(stage.duration_ns),
            known(traffic.offered_per_s, rate),
            known(traffic.sent_per_s, rate),
            known(traffic.acked_per_s, rate),
            known(traffic.delivered_per_s, rate),
            known(traffic.goodput_bytes_per_s, byte_rate),
            known(latency.and_then(|latency| latency.p.p50), duration),
            known(latency.and_then(|latency| latency.p.p99), duration),
            known(latency.map(|latency| latency.max), duration),
            count(stage.delivery.counts.lost),
            count(stage.delivery.not_sent),
            count(stage.delivery.counts.duplicates),
        ]
    };
    let given_up = document.stages.iter().filter_map(|stage| Some((stage, stage.given_up.as_ref()?)));
    html! {
        (Table { head: head.map(str::to_owned).into(), rows: document.stages.iter().map(row).collect() }.render("Stages"))
        @for (stage, reason) in given_up.take(MOST_SENTENCES) {
            p { strong { (name(&stage.name)) " was given up: " } (sentence(reason)) }
        }
    }
}

/// What became of the messages and of the connections.
pub(super) fn accounts(document: &ResultDocument, level: u8) -> Markup {
    let (delivery, clients) = (&document.delivery, &document.clients);
    let of_all = &delivery.counts;
    let messages = [
        ("expected", of_all.expected),
        ("delivered once", of_all.delivered_once),
        ("lost", of_all.lost),
        ("not sent", delivery.not_sent),
        ("duplicates", of_all.duplicates),
        ("of these with the DUP flag", of_all.dup_flagged),
        ("reordered", of_all.reordered),
        ("late", of_all.late),
        ("corrupt", of_all.corrupt),
        ("of other senders", delivery.foreign),
        ("retained", delivery.retained),
        ("not acknowledged", delivery.unacked),
        ("without a subscriber", delivery.no_subscriber),
        ("slots freed by silence", delivery.freed_by_silence),
        ("longest run of losses", of_all.max_gap),
        ("outages", delivery.outage_count),
    ];
    let connections = [
        ("planned", clients.planned),
        ("connected", clients.connected),
        ("failed", clients.failed),
        ("most open at once", clients.max_open),
        ("made again", clients.reconnects),
        ("lost", clients.lost),
    ];
    html! {
        div class="pair" {
            div { (heading(level, "Messages")) (counts(&messages)) (causes("refused by the broker", &delivery.rejected)) }
            div {
                (heading(level, "Connections"))
                (counts(&connections))
                (causes("failed", &clients.errors))
                (causes("lost", &clients.losses))
            }
        }
        (outages(document, level))
        (streams(document, level))
        (brokers(document, level))
    }
}

fn counts(rows: &[(&str, Option<u64>)]) -> Markup {
    html! {
        dl class="facts" {
            @for (name, value) in rows {
                @if let Some(value) = value { div { dt { (name) } dd { (grouped(*value)) } } }
            }
        }
        @if rows.iter().all(|(_, value)| value.is_none()) { p { "None were counted." } }
    }
}

fn causes(what: &str, causes: &Option<BTreeMap<String, u64>>) -> Markup {
    html! {
        @for (cause, count) in causes.iter().flatten().take(MOST_SENTENCES) {
            p { (what) ": " (name(cause)) " × " (grouped(*count)) }
        }
    }
}

fn outages(document: &ResultDocument, level: u8) -> Markup {
    let row = |outage: &crate::bench::measure::Outage| {
        vec![
            format!("publisher {}", outage.stream),
            duration(outage.start_ns),
            duration(outage.dur_ns),
            if outage.ended { "yes" } else { "no" }.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = document.delivery.outages.iter().flatten().map(row).collect();
    let head = ["Stream", "began at", "nothing got through for", "ended"].map(str::to_owned).into();
    html! {
        @if !rows.is_empty() {
            (heading(level, "Outages"))
            (Table { head, rows }.render("Outages"))
        }
    }
}

fn streams(document: &ResultDocument, level: u8) -> Markup {
    let faulty = document.delivery.streams.iter().flatten().filter(|stream| stream.faults().iter().any(|it| *it > 0));
    let row = |stream: &StreamAccount| {
        let of_stream = &stream.counts;
        let counts = [
            of_stream.expected,
            of_stream.lost,
            of_stream.duplicates,
            of_stream.reordered,
            of_stream.corrupt,
            stream.rejected,
            stream.unacked,
            of_stream.max_gap,
        ];
        std::iter::once(format!("publisher {}", stream.stream)).chain(counts.map(count)).collect()
    };
    let rows: Vec<Vec<String>> = faulty.map(row).collect();
    let head = [
        "Stream",
        "expected",
        "lost",
        "duplicates",
        "reordered",
        "corrupt",
        "refused",
        "not acknowledged",
        "longest loss",
    ];
    html! {
        @if !rows.is_empty() {
            (heading(level, "Streams with faults, the worst first"))
            (Table { head: head.map(str::to_owned).into(), rows }.render("Streams with faults"))
        }
    }
}

/// A row for each broker, where there are several.
fn brokers(document: &ResultDocument, level: u8) -> Markup {
    let row = |(stage, target): (&Stage, &crate::bench::report::stage::Target)| {
        vec![
            format!("{} ({})", name(&target.url), name(&stage.name)),
            count(target.clients.connected),
            known(target.traffic.sent_per_s, rate),
            known(target.traffic.delivered_per_s, rate),
            known(target.latency.e2e.as_ref().and_then(|e2e| e2e.p.p50), duration),
            known(target.latency.e2e.as_ref().and_then(|e2e| e2e.p.p99), duration),
            count(target.delivery.counts.lost),
        ]
    };
    let all =
        document.stages.iter().flat_map(|stage| stage.targets.iter().flatten().map(move |target| (stage, target)));
    let rows: Vec<Vec<String>> = all.map(row).collect();
    let head = ["Broker", "connected", "sent/s", "delivered/s", "median", "p99", "lost"].map(str::to_owned).into();
    html! {
        @if !rows.is_empty() {
            (heading(level, "Brokers"))
            (Table { head, rows }.render("Brokers"))
        }
    }
}

/// The gates; nothing where there are none.
pub(super) fn gates(document: &ResultDocument) -> Markup {
    html! {
        ul class="gates" {
            @for gate in document.gates.iter().take(MOST_SENTENCES) {
                li class=(if gate.pass { "pass" } else { "fail" }) {
                    strong { (if gate.pass { "✓ passed" } else { "✗ failed" }) }
                    " "
                    code { (name(&gate.expr)) }
                    ": " (sentence(&finding(gate)))
                }
            }
        }
    }
}

/// What a comparison came to: the figures of both sides, and what their difference means.
pub(super) fn comparison(comparison: &Comparison) -> Markup {
    let figure = |metric: &str, side: &SideFigure| {
        let value = side.median.as_ref().and_then(Number::as_f64);
        known(Metric::find(metric).zip(value), |(metric, value)| metric.shown(value))
    };
    let row = |metric: &MetricComparison| {
        let interval = |[low, high]: [f64; 2]| format!("{} to {}", signed_percent(low), signed_percent(high));
        vec![
            name(&metric.metric),
            figure(&metric.metric, &metric.base),
            figure(&metric.metric, &metric.new),
            known(metric.delta_pct, signed_percent),
            known(metric.delta_ci95_pct, interval),
            metric.verdict.text().to_owned(),
            metric.reason.as_deref().map(sentence).unwrap_or_default(),
        ]
    };
    let (base, new) = (name(&comparison.base.name), name(&comparison.new.name));
    let head = ["Figure", &base, &new, "difference", "95 % interval", "verdict", "because"].map(str::to_owned);
    let differences = comparison.plan_differences.iter().take(MOST_SENTENCES);
    html! {
        p { strong { (new) " against " (base) ": " (comparison.verdict.text()) } }
        (Table { head: head.into(), rows: comparison.metrics.iter().map(row).collect() }.render("Comparison"))
        ul class="warnings" {
            @for difference in differences { li { "The plans differ: " (sentence(&difference.text())) } }
            @for note in comparison.notes.iter().take(MOST_SENTENCES) { li { (sentence(note)) } }
        }
    }
}

/// The medians of several runs of one plan.
pub(super) fn repeats(runs: &[RunFigures], stats: &BTreeMap<String, RunStatistics>) -> Markup {
    let row = |(metric, statistics): (&String, &RunStatistics)| {
        let shown =
            |number: &Number| known(Metric::find(metric).zip(number.as_f64()), |(metric, value)| metric.shown(value));
        let values = RunFigures::values(runs, metric).unwrap_or_default();
        let end = |end: fn(f64, f64) -> f64| {
            let value = values.iter().copied().reduce(end);
            known(Metric::find(metric).zip(value), |(metric, value)| metric.shown(value))
        };
        let interval = |[low, high]: &[Number; 2]| format!("{} to {}", shown(low), shown(high));
        vec![
            name(metric),
            known(statistics.median.as_ref(), shown),
            known(statistics.ci95.as_ref(), interval),
            end(f64::min),
            end(f64::max),
        ]
    };
    let valid = runs.iter().filter(|run| run.status.has_figures()).count();
    let shown = runs.iter().find(|run| run.shown).map(|run| run.number);
    let head = ["Figure", "median", "95 % interval", "least", "most"].map(str::to_owned).into();
    html! {
        p {
            (valid) " of " (runs.len()) " runs are valid."
            @if let Some(number) = shown { " Everything else on this page is of run " (number) ", the one in the middle." }
        }
        (Table { head, rows: stats.iter().map(row).collect() }.render("Medians of all runs"))
    }
}

/// Warnings and what speaks against the generator.
pub(super) fn warnings(document: &ResultDocument) -> Markup {
    html! {
        ul class="warnings" {
            @for warning in document.warnings.iter().take(MOST_SENTENCES) {
                li { (sentence(&warning.text)) " " code { (name(&warning.code)) } }
            }
            @for reason in document.generator.reasons.iter().take(MOST_SENTENCES) { li { "Generator: " (sentence(reason)) } }
        }
        @if document.warnings.len() > MOST_SENTENCES {
            p class="note" { (document.warnings.len() - MOST_SENTENCES) " more are in the raw data." }
        }
    }
}

/// What the generator used.
pub(super) fn generator(generator: &Generator) -> Vec<(&'static str, String)> {
    let rows = [
        ("verdict", generator.verdict.map(|verdict| format!("{verdict:?}").to_lowercase())),
        ("CPU, user", generator.cpu_user_pct.map(percent)),
        ("CPU, system", generator.cpu_sys_pct.map(percent)),
        ("busiest thread", generator.max_thread_pct.map(percent)),
        ("CPU time per message", generator.cpu_ns_per_message.map(duration)),
        ("memory", generator.rss_bytes.map(|size| bytes(size as f64))),
        ("left of its ceiling", generator.headroom_pct.map(percent)),
        ("TCP segments sent again", generator.tcp_retrans.map(grouped)),
        ("CPU time that the hypervisor took", generator.steal_pct.map(percent)),
        ("times its quota stopped it", generator.throttled_periods.map(grouped)),
    ];
    rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
