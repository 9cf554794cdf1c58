//! The figures of a result document by name: what a gate can ask for, and what a comparison compares.

use serde_json::Number;

use super::document::ResultDocument;
use super::latency::{LatencySummary, LatencyTable};
use super::repeats::RunFigures;
use crate::bench::measure::median;
use crate::terminal::number as shown;

/// A figure of a document.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Metric {
    /// `e2e.p99`: a latency and what of it.
    Latency(&'static str, &'static Statistic),
    /// `lost`, `sent_per_s`.
    Figure(&'static Figure),
}

/// What a latency is asked for.
#[derive(Debug)]
pub(crate) struct Statistic {
    name: &'static str,
    read: fn(&LatencySummary) -> Option<u64>,
}

/// A figure that is not a latency.
#[derive(Debug)]
pub(crate) struct Figure {
    name: &'static str,
    kind: Kind,
    /// Whether it counts what went wrong: of several runs the worst stands for all.
    is_fault: bool,
    read: fn(&ResultDocument) -> Option<f64>,
}

/// What a figure counts, which decides the units that a limit may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nanoseconds; a limit must have a unit.
    Latency,
    /// A count, rate or size; a limit may have `k`, `M`, `G`.
    Number,
    /// Percent; a limit may have `%`.
    Percent,
}

const STATISTICS: &[Statistic] = &[
    Statistic { name: "p50", read: |latency| latency.p.p50 },
    Statistic { name: "p75", read: |latency| latency.p.p75 },
    Statistic { name: "p90", read: |latency| latency.p.p90 },
    Statistic { name: "p95", read: |latency| latency.p.p95 },
    Statistic { name: "p99", read: |latency| latency.p.p99 },
    Statistic { name: "p99.9", read: |latency| latency.p.p99_9 },
    Statistic { name: "p99.99", read: |latency| latency.p.p99_99 },
    Statistic { name: "max", read: |latency| Some(latency.max) },
    Statistic { name: "min", read: |latency| Some(latency.min) },
    Statistic { name: "mean", read: |latency| Some(latency.mean) },
    Statistic { name: "stdev", read: |latency| Some(latency.stdev) },
];

/// Reads a counted field; the casts to f64 are exact up to 2⁵³.
macro_rules! number {
    ($name:literal, $($field:ident).+) => {
        number!($name, $($field).+, false)
    };
    ($name:literal, $($field:ident).+, $is_fault:literal) => {
        Figure {
            name: $name,
            kind: Kind::Number,
            is_fault: $is_fault,
            read: |document| document.$($field).+.map(|value| value as f64),
        }
    };
}

/// Reads a count of what went wrong with messages: where there were none it means nothing, and is not 0.
macro_rules! fault {
    ($name:literal, $($field:ident).+, $of:expr) => {
        Figure {
            name: $name,
            kind: Kind::Number,
            is_fault: true,
            read: |document| {
                let count = document.$($field).+?;
                (count > 0 || $of(document)).then_some(count as f64)
            },
        }
    };
}

/// Whether any message was expected to arrive; also where nobody counts that, as for what others publish.
fn is_any_expected(document: &ResultDocument) -> bool {
    document.delivery.counts.expected != Some(0)
}

/// Whether any message was sent.
fn is_any_sent(document: &ResultDocument) -> bool {
    document.stages.iter().any(|stage| stage.traffic.sent != Some(0))
}

/// Reads a figure of the broker's own, which `--sys` records.
macro_rules! sys {
    ($name:literal, $field:ident) => {
        Figure {
            name: $name,
            kind: Kind::Number,
            is_fault: false,
            read: |document| document.broker.sys_figures.as_ref()?.$field,
        }
    };
}

macro_rules! share {
    ($name:literal, $read:expr) => {
        share!($name, false, $read)
    };
    ($name:literal, $is_fault:literal, $read:expr) => {
        Figure { name: $name, kind: Kind::Percent, is_fault: $is_fault, read: $read }
    };
}

const FIGURES: &[Figure] = &[
    number!("offered_per_s", traffic.offered_per_s),
    number!("sent_per_s", traffic.sent_per_s),
    number!("acked_per_s", traffic.acked_per_s),
    number!("delivered_per_s", traffic.delivered_per_s),
    number!("goodput_bytes_per_s", traffic.goodput_bytes_per_s),
    number!("bytes_out_per_s", traffic.bytes_out_per_s),
    number!("bytes_in_per_s", traffic.bytes_in_per_s),
    number!("sent", traffic.sent),
    number!("sent_again", traffic.sent_again),
    number!("acked", traffic.acked),
    number!("delivered", traffic.delivered),
    fault!("skipped", traffic.skipped, is_any_sent),
    number!("held_back", traffic.held_back),
    number!("expected", delivery.counts.expected),
    number!("delivered_once", delivery.counts.delivered_once),
    fault!("lost", delivery.counts.lost, is_any_expected),
    fault!("not_sent", delivery.not_sent, is_any_sent),
    fault!("duplicates", delivery.counts.duplicates, is_any_expected),
    fault!("dup_flagged", delivery.counts.dup_flagged, is_any_expected),
    fault!("reordered", delivery.counts.reordered, is_any_expected),
    fault!("late", delivery.counts.late, is_any_expected),
    fault!("corrupt", delivery.counts.corrupt, is_any_expected),
    number!("foreign", delivery.foreign),
    number!("retained", delivery.retained),
    fault!("unacked", delivery.unacked, is_any_sent),
    fault!("freed_by_silence", delivery.freed_by_silence, is_any_sent),
    fault!("no_subscriber", delivery.no_subscriber, is_any_sent),
    fault!("max_gap", delivery.counts.max_gap, is_any_expected),
    Figure {
        name: "rejected",
        kind: Kind::Number,
        is_fault: true,
        read: |document| {
            let count: u64 = document.delivery.rejected.as_ref()?.values().sum();
            (count > 0 || is_any_sent(document)).then_some(count as f64)
        },
    },
    number!("connected", clients.connected),
    number!("connect_failed", clients.failed, true),
    number!("reconnects", clients.reconnects, true),
    number!("rss_bytes", generator.rss_bytes),
    share!("loss_pct", true, |document| {
        let (lost, expected) = document.delivery.counts.lost.zip(document.delivery.counts.expected)?;
        (expected > 0).then(|| 100.0 * lost as f64 / expected as f64)
    }),
    share!("cpu_user_pct", |document| document.generator.cpu_user_pct),
    share!("cpu_sys_pct", |document| document.generator.cpu_sys_pct),
    share!("max_thread_pct", |document| document.generator.max_thread_pct),
    share!("cpu_pct", |document| {
        let (user, system) = document.generator.cpu_user_pct.zip(document.generator.cpu_sys_pct)?;
        Some(user + system)
    }),
    share!("broker.cpu_pct", |document| document.broker.process.as_ref()?.cpu_pct),
    Figure {
        name: "broker.rss_bytes",
        kind: Kind::Number,
        is_fault: false,
        read: |document| document.broker.process.as_ref()?.rss_bytes.map(|bytes| bytes as f64),
    },
    sys!("broker.sys.received_per_s", received_per_s),
    sys!("broker.sys.sent_per_s", sent_per_s),
    sys!("broker.sys.dropped", dropped),
    sys!("broker.sys.clients", clients),
    sys!("broker.sys.heap_bytes", heap_bytes),
];

impl Metric {
    /// The figure of that name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        if let Some(figure) = FIGURES.iter().find(|figure| figure.name == name) {
            return Some(Self::Figure(figure));
        }
        let (latency, statistic) = name.split_once('.')?;
        let latency = LatencyTable::NAMES.iter().find(|&&known| known == latency)?;
        let statistic = STATISTICS.iter().find(|known| known.name == statistic)?;
        Some(Self::Latency(latency, statistic))
    }

    /// All names that exist.
    pub(crate) fn names() -> impl Iterator<Item = String> {
        let latencies = LatencyTable::NAMES
            .iter()
            .flat_map(|latency| STATISTICS.iter().map(move |statistic| format!("{latency}.{}", statistic.name)));
        FIGURES.iter().map(|figure| figure.name.to_owned()).chain(latencies)
    }

    /// The names in few words, for an error.
    pub(crate) fn overview() -> String {
        let statistics: Vec<&str> = STATISTICS.iter().map(|statistic| statistic.name).collect();
        let figures: Vec<&str> = FIGURES.iter().map(|figure| figure.name).collect();
        format!(
            "latencies ({}), each with .{}; figures: {}",
            LatencyTable::NAMES.join(", "),
            statistics.join(" ."),
            figures.join(", ")
        )
    }

    /// What it counts.
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Latency(..) => Kind::Latency,
            Self::Figure(figure) => figure.kind,
        }
    }

    /// Its name.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Latency(latency, statistic) => format!("{latency}.{}", statistic.name),
            Self::Figure(figure) => figure.name.to_owned(),
        }
    }

    /// Whether it counts what went wrong.
    pub(crate) const fn is_fault(self) -> bool {
        match self {
            Self::Latency(..) => false,
            Self::Figure(figure) => figure.is_fault,
        }
    }

    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::names().filter_map(|name| Self::find(&name))
    }

    /// Its value in a result: where there are several runs, the median of the valid ones, and of what went wrong the
    /// most. `None` when it was not measured, or has too few samples.
    pub(crate) fn value(self, document: &ResultDocument) -> Option<f64> {
        let Some(runs) = &document.runs else { return self.read(document) };
        let values = RunFigures::values(runs, &self.name())?;
        if self.is_fault() { values.into_iter().max_by(f64::total_cmp) } else { median(values) }
    }

    /// Why it has no value in a result.
    pub(crate) fn absence(self, document: &ResultDocument) -> String {
        let name = self.name();
        match self {
            Self::Latency(latency, statistic) => match document.latency.get(latency) {
                Some(found) if statistic.name.starts_with('p') => {
                    let busy = document.stages.iter().any(|stage| stage.highest_percentile.is_some());
                    let why = if busy { "this machine was too busy for it, or " } else { "" };
                    let count = shown::counted(found.count, "sample", "samples");
                    format!("{name} is not given: {why}{count} are too few for it")
                }
                _ => format!("{latency} was not measured in this run"),
            },
            Self::Figure(figure) if figure.is_fault && document.traffic.sent.is_some() => {
                format!("{name} was not measured: no message was expected")
            }
            Self::Figure(_) => format!("{name} was not measured in this run"),
        }
    }

    /// How many messages it takes until it has a value: ten must lie above a percentile.
    pub(crate) fn samples_needed(self) -> u64 {
        match self {
            Self::Latency(_, statistic) => {
                match statistic.name.strip_prefix('p').and_then(|name| name.parse::<f64>().ok()) {
                    Some(percent) => (1000.0 / (100.0 - percent)).round() as u64,
                    None => 1,
                }
            }
            Self::Figure(_) => 1,
        }
    }

    /// A value of it for people.
    pub(crate) fn shown(self, value: f64) -> String {
        match self.kind() {
            Kind::Latency => shown::duration(value.max(0.0).round() as u64),
            Kind::Percent => shown::percent(value),
            Kind::Number if value.fract() == 0.0 && value >= 0.0 => shown::grouped(value as u64),
            Kind::Number => shown::rate(value),
        }
    }

    /// Its value in the one run that a document shows; `None` when it was not measured or has too few samples.
    pub(crate) fn read(self, document: &ResultDocument) -> Option<f64> {
        match self {
            Self::Latency(name, statistic) => {
                document.latency.get(name).and_then(statistic.read).map(|value| value as f64)
            }
            Self::Figure(figure) => (figure.read)(document),
        }
    }
}

/// Whole numbers as such: a script wants 20000000 and not 20000000.0.
pub(crate) fn number(value: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        Some(Number::from(value as i64))
    } else {
        Number::from_f64(value)
    }
}
