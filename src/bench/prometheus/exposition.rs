//! The running figures as Prometheus reads them: names, units, help and labels.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::bench::measure::{
    BUCKETS_NS, BucketCounts, Counters, Delivery, IntervalRow, Latencies, LiveFigures, LiveStage,
};

/// The form in which a scrape gets the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// OpenMetrics 1.0, for those that ask for it, as Prometheus does.
    OpenMetrics,
    /// The text format of Prometheus, 0.0.4.
    Text,
}

impl Form {
    /// The form that a client accepts, by its Accept header.
    pub(super) fn accepted_by(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// What is served.
#[derive(Debug)]
pub(super) struct Exposition(Registry);

impl Exposition {
    /// The figures of the run with this tag.
    pub(super) fn new(run: &str, figures: Arc<LiveFigures>) -> Self {
        let mut registry = Registry::with_prefix("mqbench");
        let labels =
            vec![("run".to_owned(), run.to_owned()), ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
        registry.register("run", "The run and the version of mqbench", Info::new(labels));
        registry.register_collector(Box::new(StageCollector(figures)));
        Self(registry)
    }

    /// The present figures.
    pub(super) fn render(&self, form: Form) -> Result<String, fmt::Error> {
        let mut out = String::new();
        match form {
            Form::OpenMetrics => text::encode(&mut out, &self.0)?,
            Form::Text => prometheus_text::encode(&mut out, &self.0)?,
        }
        Ok(out)
    }
}

/// A counter of the measured window.
type Counted = (&'static str, Option<Unit>, &'static str, fn(&Counters) -> u64);

const COUNTERS: &[Counted] = &[
    ("sent_messages", None, "PUBLISH packets sent in the measured window", |it| it.sent),
    ("acknowledged_messages", None, "Messages acknowledged without an error", |it| it.acked),
    ("delivered_messages", None, "PUBLISH packets that arrived, duplicates included", |it| it.delivered),
    ("rejected_messages", None, "Messages that the broker refused", |it| it.rejected.values().sum()),
    ("skipped_messages", None, "Slots of the schedule that were given up", |it| it.skipped),
    ("foreign_messages", None, "Messages that are not of this run", |it| it.foreign),
    ("reconnects", None, "Connections that were made again", |it| it.reconnects),
    ("connects", None, "Connections made by mqbench conn", |it| it.connects),
    ("sent_payload", Some(Unit::Bytes), "Payload of the sent messages", |it| it.payload_bytes_out),
    ("delivered_payload", Some(Unit::Bytes), "Payload of the delivered messages", |it| it.payload_bytes_in),
    ("network_sent", Some(Unit::Bytes), "Bytes of all packets written", |it| it.wire_bytes_out),
    ("network_received", Some(Unit::Bytes), "Bytes of all packets read", |it| it.wire_bytes_in),
];

/// What became of the messages of a stage that is over.
type Delivered = (&'static str, &'static str, fn(&Delivery) -> u64);

const DELIVERIES: &[Delivered] = &[
    ("expected_messages", "Deliveries that a finished stage expected", |it| it.expected),
    ("lost_messages", "Deliveries of a finished stage that never came", |it| it.lost),
    ("duplicate_messages", "Deliveries of a finished stage that came again", |it| it.duplicates),
    ("reordered_messages", "Deliveries of a finished stage that came out of order", |it| it.reordered),
];

/// A figure of the last whole second.
type Gauge = (&'static str, Option<Unit>, &'static str, fn(&IntervalRow) -> Option<f64>);

const GAUGES: &[Gauge] = &[
    ("open_connections", None, "Open connections", |row| row.conns.map(|it| it as f64)),
    ("in_flight_messages", None, "Messages sent and not yet acknowledged and delivered", |row| {
        row.backlog.map(|it| it as f64)
    }),
    ("cpu_cores", None, "CPU time of the threads of mqbench, cores", |row| row.cpu_pct.map(|it| it / 100.0)),
    ("broker_cpu_cores", None, "CPU time of the broker's process, cores", |row| {
        row.broker_cpu_pct.map(|it| it / 100.0)
    }),
    ("broker_resident_memory", Some(Unit::Bytes), "Resident memory of the broker's process", |row| {
        row.broker_rss_bytes.map(|it| it as f64)
    }),
];

/// A latency.
type Timed = (&'static str, &'static str, fn(&Latencies<Option<BucketCounts>>) -> Option<&BucketCounts>);

const LATENCIES: &[Timed] = &[
    ("end_to_end_latency_seconds", "Intended send to arrival at a subscriber", |it| it.e2e.as_ref()),
    ("acknowledgement_latency_seconds", "Intended send to PUBACK or PUBCOMP", |it| it.ack.as_ref()),
    ("round_trip_latency_seconds", "Intended send of a message to its return through a responder", |it| {
        it.rtt.as_ref()
    }),
    ("scheduling_lag_seconds", "Intended to actual send: the delay of mqbench itself", |it| it.sched_lag.as_ref()),
    ("connect_latency_seconds", "Connecting up to CONNACK (mqbench conn)", |it| it.connect.as_ref()),
    ("ping_latency_seconds", "PINGREQ to PINGRESP (mqbench conn)", |it| it.ping.as_ref()),
];

/// Gives the figures of all stages at each scrape.
#[derive(Debug)]
struct StageCollector(Arc<LiveFigures>);

fn labels(stage: &LiveStage) -> [(&'static str, String); 2] {
    [("stage", stage.name.to_owned()), ("number", stage.number.to_string())]
}

/// A family without a value is left out: not every parser takes its name alone.
fn encode_counters(
    encoder: &mut DescriptorEncoder<'_>,
    (name, unit, help): (&str, Option<&Unit>, &str),
    values: Vec<(&LiveStage, u64)>,
) -> Result<(), fmt::Error> {
    if values.is_empty() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Counter)?;
    for (stage, value) in values {
        let labels = labels(stage);
        family.encode_family(&labels)?.encode_counter::<[(String, String); 0], u64, u64>(&value, None)?;
    }
    Ok(())
}

fn encode_histograms(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    values: Vec<(&LiveStage, &BucketCounts)>,
) -> Result<(), fmt::Error> {
    if values.is_empty() {
        return Ok(());
    }
    // The unit is in the name; as metadata of a histogram not every parser takes it.
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (stage, buckets) in values {
        let bounds = BUCKETS_NS.iter().map(|bound| *bound as f64 / 1e9).chain([f64::INFINITY]);
        let counts: Vec<(f64, u64)> = bounds.zip(buckets.counts).collect();
        let (labels, sum) = (labels(stage), buckets.sum_ns as f64 / 1e9);
        let mut metric = family.encode_family(&labels)?;
        metric.encode_histogram::<[(String, String); 0]>(sum, buckets.count(), &counts, None)?;
    }
    Ok(())
}

impl Collector for StageCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stages = self.0.stages();
        for (name, unit, help, read) in COUNTERS {
            let values = stages.iter().map(|stage| (stage, read(&stage.counters)));
            encode_counters(&mut encoder, (name, unit.as_ref(), help), values.collect())?;
        }
        for (name, help, read) in DELIVERIES {
            let values = stages.iter().filter_map(|stage| Some((stage, read(stage.delivery.as_ref()?))));
            encode_counters(&mut encoder, (name, None, help), values.collect())?;
        }
        // Only the last stage has a present.
        let last = stages.last().and_then(|stage| Some((stage, stage.row.as_ref()?)));
        for (name, unit, help, read) in GAUGES {
            if let Some((stage, value)) = last.and_then(|(stage, row)| Some((stage, read(row)?))) {
                let labels = labels(stage);
                let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        for (name, help, read) in LATENCIES {
            let values = stages.iter().filter_map(|stage| Some((stage, read(&stage.latency)?)));
            encode_histograms(&mut encoder, (name, help), values.collect())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::Recorder;

    fn exposition() -> Exposition {
        let figures = Arc::new(LiveFigures::default());
        let mut recorder = Recorder::default();
        recorder.counters.sent = 12;
        recorder.counters.payload_bytes_out = 768;
        recorder.latency.e2e.record(40_000);
        recorder.latency.e2e.record(2_000_000);
        let row = IntervalRow { conns: Some(2), cpu_pct: Some(50.0), ..IntervalRow::of(&recorder, 0) };
        let delivery = Delivery { expected: 12, lost: 1, ..Delivery::default() };
        let flood = LiveStage::of("flood", 1, &recorder);
        figures.update(LiveStage { row: Some(row.clone()), delivery: Some(delivery), ..flood });
        figures.update(LiveStage { row: Some(row), ..LiveStage::of("paced", 2, &recorder) });
        Exposition::new("7f3a", figures)
    }

    #[test]
    fn every_name_has_its_unit_and_every_stage_its_label() {
        let text = exposition().render(Form::OpenMetrics).unwrap();
        for line in [
            "mqbench_sent_messages_total{stage=\"flood\",number=\"1\"} 12",
            "mqbench_sent_payload_bytes_total{stage=\"paced\",number=\"2\"} 768",
            "mqbench_lost_messages_total{stage=\"flood\",number=\"1\"} 1",
            "mqbench_cpu_cores{stage=\"paced\",number=\"2\"} 0.5",
            "mqbench_end_to_end_latency_seconds_bucket{le=\"0.00005\",stage=\"flood\",number=\"1\"} 1",
            "mqbench_end_to_end_latency_seconds_bucket{le=\"+Inf\",stage=\"flood\",number=\"1\"} 2",
            "mqbench_end_to_end_latency_seconds_sum{stage=\"flood\",number=\"1\"} 0.00204",
            "# UNIT mqbench_sent_payload_bytes bytes",
            "mqbench_run_info{run=\"7f3a\"",
        ] {
            assert!(text.contains(line), "no {line} in\n{text}");
        }
        assert!(!text.contains("mqbench_lost_messages_total{stage=\"paced\""), "it is not over:\n{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn an_independent_parser_reads_both_forms() {
        let text = exposition().render(Form::OpenMetrics).unwrap();
        let parsed =
            openmetrics_parser::openmetrics::parse_openmetrics(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let latency = &parsed.families["mqbench_end_to_end_latency_seconds"];
        assert_eq!(latency.iter_samples().count(), 2, "one histogram for each stage");
        let text = exposition().render(Form::Text).unwrap();
        let parsed =
            openmetrics_parser::prometheus::parse_prometheus(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert!(parsed.families.contains_key("mqbench_sent_messages_total"), "{:?}", parsed.families.keys());
        assert_eq!(Form::accepted_by("text/plain"), Form::Text);
        assert_eq!(Form::accepted_by("application/openmetrics-text;version=1.0.0;q=0.5"), Form::OpenMetrics);
    }

    #[test]
    fn nothing_measured_yet_is_a_valid_exposition() {
        let empty = Exposition::new("7f3a", Arc::default());
        openmetrics_parser::openmetrics::parse_openmetrics(&empty.render(Form::OpenMetrics).unwrap()).unwrap();
    }
}
