//! Latencies as a result document has them: integer nanoseconds, percentiles only where they mean something.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bench::measure::{
    HIGHEST_NS, LOWEST_NS, Latencies, Latency, LatencyHistogram, Percentile, SIGNIFICANT_DIGITS, lag_above_limit,
};

/// How load is made, in the words of load testing: an open or a closed model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LoopKind {
    /// A schedule fixed in advance: messages are due whatever the broker does.
    #[default]
    Open,
    /// The next message leaves when the window has a free slot.
    Closed,
}

/// One latency; times are integer nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LatencySummary {
    /// Always `ns`.
    pub unit: String,
    /// From which instant to which: what the figures are based on.
    pub basis: String,
    /// Samples.
    pub count: u64,
    /// Shortest.
    pub min: u64,
    /// Longest.
    pub max: u64,
    /// Sum of all samples.
    pub sum: u64,
    /// Mean.
    pub mean: u64,
    /// Standard deviation.
    pub stdev: u64,
    /// Percentiles; null where fewer than ten samples lie above, and above the stage's `highest_percentile`.
    pub p: Percentiles,
    /// Significant digits of the percentiles.
    pub sigfig: u8,
    /// Shortest and longest that the histogram can hold.
    pub range: [u64; 2],
    /// Samples above the range, counted as its end.
    pub clamped: u64,
    /// Samples below zero, counted as zero: a clock or a stamp is wrong.
    pub negative: u64,
    /// The histogram in HdrHistogram's V2 DEFLATE form, base64.
    pub hdr: Option<String>,
}

/// The percentiles of a latency, integer nanoseconds, by their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Percentiles {
    /// The median.
    #[serde(rename = "50")]
    pub p50: Option<u64>,
    /// 75 % took at most this.
    #[serde(rename = "75")]
    pub p75: Option<u64>,
    /// 90 % took at most this.
    #[serde(rename = "90")]
    pub p90: Option<u64>,
    /// 95 % took at most this.
    #[serde(rename = "95")]
    pub p95: Option<u64>,
    /// 99 % took at most this.
    #[serde(rename = "99")]
    pub p99: Option<u64>,
    /// 99.9 % took at most this.
    #[serde(rename = "99.9")]
    pub p99_9: Option<u64>,
    /// 99.99 % took at most this.
    #[serde(rename = "99.99")]
    pub p99_99: Option<u64>,
}

impl LatencySummary {
    /// Sums up a metric; `None` when it has no sample.
    pub fn of(latency: &Latency, basis: &str) -> Option<Self> {
        let histogram = latency.histogram()?;
        Some(Self {
            unit: "ns".to_owned(),
            basis: basis.to_owned(),
            count: histogram.count(),
            min: histogram.min()?,
            max: histogram.max()?,
            sum: histogram.sum(),
            mean: histogram.mean()?,
            stdev: histogram.stdev()?,
            p: Percentiles::of(histogram),
            sigfig: SIGNIFICANT_DIGITS,
            range: [LOWEST_NS, HIGHEST_NS],
            clamped: histogram.clamped(),
            negative: histogram.negative(),
            hdr: histogram.to_base64(),
        })
    }

    /// The histogram, rebuilt.
    ///
    /// # Errors
    /// There is none in the document, or it cannot be decoded.
    pub fn histogram(&self) -> anyhow::Result<LatencyHistogram> {
        let hdr = self.hdr.as_deref().ok_or_else(|| anyhow::anyhow!("the result has no histogram (hdr)"))?;
        let histogram = LatencyHistogram::from_base64(hdr).map_err(|error| anyhow::anyhow!("hdr: {error}"))?;
        Ok(histogram.with_exact([self.min, self.max], self.sum, self.clamped, self.negative))
    }
}

/// Where one of the percentiles stands.
type PlaceOf = fn(&mut Percentiles) -> &mut Option<u64>;

impl Percentiles {
    /// By their names, the highest first.
    const HIGHEST_FIRST: [(&'static str, PlaceOf); 7] = [
        ("99.99", |p| &mut p.p99_99),
        ("99.9", |p| &mut p.p99_9),
        ("99", |p| &mut p.p99),
        ("95", |p| &mut p.p95),
        ("90", |p| &mut p.p90),
        ("75", |p| &mut p.p75),
        ("50", |p| &mut p.p50),
    ];

    /// By their names, the lowest first.
    pub fn named(mut self) -> impl Iterator<Item = (&'static str, Option<u64>)> {
        Self::HIGHEST_FIRST.iter().rev().map(move |(name, place)| (*name, *place(&mut self)))
    }

    fn of(histogram: &LatencyHistogram) -> Self {
        Self {
            p50: histogram.percentile(Percentile::P50),
            p75: histogram.percentile(Percentile::P75),
            p90: histogram.percentile(Percentile::P90),
            p95: histogram.percentile(Percentile::P95),
            p99: histogram.percentile(Percentile::P99),
            p99_9: histogram.percentile(Percentile::P99_9),
            p99_99: histogram.percentile(Percentile::P99_99),
        }
    }
}

/// All latency metrics in the order of the document; null is "not measured".
pub(crate) type LatencyTable = Latencies<Option<LatencySummary>>;

impl LatencyTable {
    /// Sums up what a stage measured.
    pub fn of(latencies: &Latencies, kind: LoopKind) -> Self {
        let table = latencies.map(|name, latency| LatencySummary::of(latency, basis(name, kind)));
        if kind == LoopKind::Closed { table.with_services_of_closed_loop() } else { table }
    }

    /// A metric by its name; `None` when it was not measured or does not exist.
    pub fn get(&self, name: &str) -> Option<&LatencySummary> {
        self.find(name)?.as_ref()
    }

    /// The highest percentile below p99 that messages left in time for: what makes p99 the generator's own says nothing
    /// about the messages that were not held up.
    pub fn undisturbed_percentile(&self) -> Option<&'static str> {
        let (mut lag, mut e2e) = (self.sched_lag.as_ref()?.p, self.e2e.as_ref().map(|e2e| e2e.p).unwrap_or_default());
        let below = Percentiles::HIGHEST_FIRST.iter().skip_while(|(name, _)| *name != "99").skip(1);
        let kept = |place: PlaceOf, lag: &mut Percentiles, e2e: &mut Percentiles| {
            place(lag).is_some() && lag_above_limit(*place(lag), *place(e2e)).is_none()
        };
        below.into_iter().find(|(_, place)| kept(*place, &mut lag, &mut e2e)).map(|(name, _)| *name)
    }

    /// Takes away the percentiles of messages above this one.
    pub fn withhold_above(&mut self, highest: &str) {
        let of_messages = [
            &mut self.e2e,
            &mut self.e2e_service,
            &mut self.ack,
            &mut self.ack_service,
            &mut self.pubrec,
            &mut self.pubcomp,
            &mut self.rtt,
            &mut self.rtt_service,
        ];
        for latency in of_messages.into_iter().flatten() {
            for (_, place) in Percentiles::HIGHEST_FIRST.iter().take_while(|(name, _)| *name != highest) {
                *place(&mut latency.p) = None;
            }
        }
    }

    /// In a closed loop a message is sent when it is meant to be, so that nothing is timed twice: what is timed from the
    /// intended send is timed from the actual one.
    fn with_services_of_closed_loop(mut self) -> Self {
        let same = |latency: &Option<LatencySummary>| {
            let basis = "from actual send; a closed loop has no other".to_owned();
            latency.clone().map(|latency| LatencySummary { basis, ..latency })
        };
        self.e2e_service = self.e2e_service.take().or_else(|| same(&self.e2e));
        self.ack_service = self.ack_service.take().or_else(|| same(&self.ack));
        self
    }
}

/// From where a metric is timed. A closed loop has no plan to be late against, and its figures must not pass for a
/// latency under load.
fn basis(name: &str, kind: LoopKind) -> &'static str {
    match (name, kind) {
        ("e2e" | "ack" | "pubrec" | "rtt", LoopKind::Open) => "from intended send",
        ("e2e" | "ack" | "pubrec" | "rtt", LoopKind::Closed) => "from actual send, closed loop",
        ("e2e_service" | "ack_service" | "rtt_service", _) => "from actual send",
        ("pubcomp", _) => "from PUBREL",
        ("sched_lag", _) => "intended to actual send",
        ("connack", _) => "from CONNECT",
        ("connect", LoopKind::Open) => "from its slot to CONNACK",
        ("connect", LoopKind::Closed) => "from its start to CONNACK",
        ("suback", _) => "from SUBSCRIBE",
        ("ping", _) => "from PINGREQ",
        _ => "duration of the step",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmeasured_is_null_and_few_samples_give_no_percentile() {
        let mut latencies: Latencies = Latencies::default();
        (1..=25).for_each(|value| latencies.e2e.record(value * 10));
        let table = LatencyTable::of(&latencies, LoopKind::Open);
        let value = serde_json::to_value(&table).unwrap();
        assert!(value["ack"].is_null() && value.as_object().unwrap().contains_key("ack"));
        assert_eq!(value["e2e"]["p"]["50"], 130);
        assert_eq!(value["e2e"]["mean"], 130);
        assert!(value["e2e"]["p"]["99"].is_null());
        assert_eq!(value["e2e"]["basis"], "from intended send");
        let closed = LatencyTable::of(&latencies, LoopKind::Closed);
        assert!(closed.e2e.as_ref().is_some_and(|e2e| e2e.basis.contains("closed loop")));
        assert_eq!(closed.e2e_service.map(|service| service.p), closed.e2e.map(|e2e| e2e.p));
        assert!(closed.ack_service.is_none() && table.e2e_service.is_none());
    }
}
