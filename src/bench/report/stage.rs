//! One stage of a run: from what the engine measured to what the document says about it.

use serde::{Deserialize, Serialize};

use super::account::{Clients, DeliveryAccount, Generator};
use super::document::Warning;
use super::latency::LatencyTable;
use super::stream::StreamAccount;
use super::traffic::{Sides, Traffic};
use crate::bench::measure::histogram::Percentile;
use crate::bench::measure::{
    Delivery, GeneratorFigures, GeneratorHealth, IntervalRow, Invalidity, Latency, MOST_ROWS, Outages, RateWindows,
    Recorder, ValidityFigures, percent, thin,
};
use crate::bench::system::ProcessUse;

/// Messages above this are large beside the buffer into which a subscriber reads.
const LARGE_BYTES: u64 = 16 * 1024;

/// How load is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoadModel {
    /// A schedule fixed before: messages are due whatever the broker does.
    #[default]
    Open,
    /// The next message leaves when the window has a free slot.
    Closed,
}

/// What an engine hands over at the end of a stage; the recorders of all its threads merged.
#[derive(Clone, Debug, Default)]
pub struct StageMeasurement {
    /// `flood`, `paced` or whatever the plan calls it.
    pub name: String,
    /// Open or closed loop.
    pub model: LoadModel,
    /// QoS of the messages; decides whether there are acknowledgements and what a duplicate means.
    pub qos: u8,
    /// Start of the measured window, nanoseconds since the run's t0.
    pub start_ns: u64,
    /// Its length.
    pub window_ns: u64,
    /// Over which times rates are taken; where there are none, over its length.
    pub windows: Option<RateWindows>,
    /// Connect, warm-up, measure, drain of this stage.
    pub phases: Vec<Phase>,
    /// Something publishes.
    pub publishers: bool,
    /// Something answers what is published.
    pub responders: bool,
    /// Something subscribes.
    pub subscribers: bool,
    /// Messages due in the window (in the part of it that was, when interrupted); `None` for a closed loop.
    pub offered: Option<u64>,
    /// Messages that were due, or that a count asked for, and were never sent; `None` where nothing says how many there
    /// should be.
    pub not_sent: Option<u64>,
    /// What was under way when a connection was lost is sent again on the next one.
    pub sends_again: bool,
    /// Deliveries free the places of the publishers' windows.
    pub window_by_delivery: bool,
    /// The schedule's rate, messages a second.
    pub rate: Option<f64>,
    /// Why its schedule was not kept, where the next stage is an attempt at a lower rate.
    pub given_up: Option<String>,
    /// Its rate is a share of what a flood carried: nobody asked for just this one.
    pub follows_flood: bool,
    /// Messages carry no stamp and are matched by their order: duplicates and reordering cannot be told.
    pub matched_by_order: bool,
    /// What was counted and timed.
    pub recorder: Recorder,
    /// The settled ledgers, merged; `None` without subscribers or without ledgers.
    pub delivery: Option<Delivery>,
    /// The same by stream; faultless ones may be left out.
    pub streams: Vec<StreamAccount>,
    /// Sent and not acknowledged when the drain ended.
    pub unacked: Option<u64>,
    /// Clients, without what the recorder counts.
    pub clients: Clients,
    /// The seconds, in order.
    pub rows: Vec<IntervalRow>,
    /// Figures of this process. What recorder, `offered` and `window_ns` know is filled in.
    pub generator: GeneratorFigures,
    /// How far the clock went back, the shards' starts lie apart, and how many ledgers did not add up. The rest is
    /// filled in.
    pub validity: ValidityFigures,
    /// The user ended it early: the window is what was measured until then.
    pub interrupted: bool,
    /// Times without delivery, where lost connections are made again.
    pub outages: Option<Outages>,
    /// Resident memory that came with each client, where that is measured.
    pub bytes_per_client: Option<u64>,
    /// What each broker has of it, where there are several.
    pub targets: Vec<TargetMeasurement>,
    /// What the broker's process used in the window, where it is known.
    pub broker: Option<ProcessUse>,
    /// What the engine wants to be known.
    pub warnings: Vec<Warning>,
}

/// What one of several brokers has of a stage.
#[derive(Clone, Debug, Default)]
pub struct TargetMeasurement {
    /// Where it is.
    pub url: String,
    /// Its clients.
    pub clients: Clients,
    /// What was counted and timed on their connections.
    pub recorder: Recorder,
    /// The settled ledgers of its subscribers, merged.
    pub delivery: Option<Delivery>,
}

/// One of several brokers in a stage. What is sent counts where the publisher is connected, what is delivered or lost
/// where the subscriber is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Where it is.
    pub url: String,
    /// Connections.
    pub clients: Clients,
    /// What went over them.
    pub traffic: Traffic,
    /// What became of the messages.
    pub delivery: DeliveryAccount,
    /// How long things took.
    pub latency: LatencyTable,
}

/// What a broker's process on this machine used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrokerProcess {
    /// Its name.
    pub name: String,
    /// CPU time of the window, nanoseconds.
    pub cpu_ns: u64,
    /// The same, percent of one core.
    pub cpu_pct: Option<f64>,
    /// Resident memory at the end of the window.
    pub rss_bytes: Option<u64>,
}

/// A part of a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// `connect`, `warmup`, `measure`, `drain`.
    pub name: String,
    /// Since the run's t0.
    pub start_ns: u64,
    /// How long.
    pub duration_ns: u64,
}

/// A stage in the document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// `open` or `closed`.
    pub model: LoadModel,
    /// QoS of the messages.
    pub qos: u8,
    /// Start of the measured window since t0.
    pub start_ns: u64,
    /// Length of the measured window.
    pub duration_ns: u64,
    /// Why its schedule was not kept, where the next stage repeats it at a lower rate: then it is no part of the result
    /// beyond this account of it. Null otherwise.
    pub given_up: Option<String>,
    /// The highest percentile of the latencies of messages that is given, where this machine was too busy for the ones
    /// above it. Null where that was no hindrance.
    pub highest_percentile: Option<String>,
    /// Its parts.
    pub phases: Vec<Phase>,
    /// Connections.
    pub clients: Clients,
    /// What went over the network.
    pub traffic: Traffic,
    /// What became of the messages.
    pub delivery: DeliveryAccount,
    /// How long things took.
    pub latency: LatencyTable,
    /// Second by second.
    pub series: Option<Series>,
    /// The generator in this stage.
    pub generator: Generator,
    /// A row a broker, where there are several.
    pub targets: Option<Vec<Target>>,
    /// The broker's process, where it is on this machine and known.
    pub broker: Option<BrokerProcess>,
    /// Why the stage is invalid; empty when it is valid.
    pub invalid: Vec<Fault>,
}

/// Figures over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Length of an interval: a second, doubled as often as is needed to have at most 3,600 rows.
    pub interval_ns: u64,
    /// The intervals.
    pub rows: Vec<SeriesRow>,
}

/// One interval; see [`IntervalRow`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "documented at IntervalRow")]
pub struct SeriesRow {
    pub t_ns: u64,
    pub sent: Option<u64>,
    pub acked: Option<u64>,
    pub delivered: Option<u64>,
    pub skipped: Option<u64>,
    pub lost: Option<u64>,
    pub e2e_p50: Option<u64>,
    pub e2e_p99: Option<u64>,
    pub e2e_max: Option<u64>,
    pub conns: Option<u64>,
    pub connects: Option<u64>,
    pub cpu_pct: Option<f64>,
    pub backlog: Option<u64>,
}

/// A reason why figures are not valid, with what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// A name for scripts.
    pub code: String,
    /// What happened.
    pub text: String,
    /// What to do about it.
    pub next_step: String,
}

impl From<Invalidity> for Fault {
    fn from(fault: Invalidity) -> Self {
        Self { code: fault.code().to_owned(), text: fault.cause(), next_step: fault.next_step().to_owned() }
    }
}

impl Stage {
    /// The document's view of a measurement.
    pub fn of(measurement: &StageMeasurement) -> Self {
        let sides = measurement.sides();
        let counters = &measurement.recorder.counters;
        let mut traffic = Traffic::of(counters, measurement.windows(), sides, measurement.offered);
        traffic.sent_again = measurement.sends_again.then_some(counters.sent_again);
        traffic.offered_per_s = measurement.rate.or(traffic.offered_per_s);
        let mut delivery = DeliveryAccount::of(measurement.delivery.as_ref(), counters, sides, measurement.unacked)
            .with_outages(measurement.outages.as_ref())
            .with_streams(&measurement.streams);
        delivery.not_sent = measurement.not_sent;
        delivery.freed_by_silence = measurement.window_by_delivery.then_some(counters.freed_by_silence);
        if measurement.matched_by_order {
            delivery.forget_order();
        }
        let mut latency = LatencyTable::of(&measurement.recorder.latency, measurement.model);
        let mut invalid = Invalidity::find(&measurement.validity_figures());
        let mut highest_percentile = None;
        if let ([Invalidity::SchedulingLag { .. }], true, None) =
            (&invalid[..], measurement.follows_flood, &measurement.given_up)
            && let Some(highest) = latency.undisturbed_percentile()
        {
            latency.withhold_above(highest);
            highest_percentile = Some(highest.to_owned());
            invalid.clear();
        }
        Self {
            name: measurement.name.clone(),
            model: measurement.model,
            qos: measurement.qos,
            start_ns: measurement.start_ns,
            duration_ns: measurement.window_ns,
            given_up: measurement.given_up.clone(),
            highest_percentile,
            phases: measurement.phases.clone(),
            clients: measurement.clients.clone().with_counters(counters),
            traffic,
            delivery,
            latency,
            series: Series::of(&measurement.rows, sides, measurement.offered.is_some()),
            generator: Generator {
                bytes_per_client: measurement.bytes_per_client,
                ..GeneratorHealth::judge(&measurement.generator_figures()).into()
            },
            targets: (!measurement.targets.is_empty()).then(|| measurement.target_rows()),
            broker: measurement.broker.as_ref().map(|used| BrokerProcess::of(used, measurement.window_ns)),
            invalid: invalid.into_iter().map(Fault::from).collect(),
        }
    }

    /// Messages that passed through the generator: sent plus delivered.
    pub fn messages(&self) -> u64 {
        self.traffic.sent.unwrap_or_default() + self.traffic.delivered.unwrap_or_default()
    }
}

impl BrokerProcess {
    fn of(used: &ProcessUse, window_ns: u64) -> Self {
        let cpu_pct = percent(used.cpu_ns as f64, window_ns as f64).map(|share| (share * 10.0).round() / 10.0);
        Self { name: used.name.clone(), cpu_ns: used.cpu_ns, cpu_pct, rss_bytes: used.rss_bytes }
    }
}

impl StageMeasurement {
    fn target_rows(&self) -> Vec<Target> {
        let sides = self.sides();
        let row = |target: &TargetMeasurement| {
            let counters = &target.recorder.counters;
            Target {
                url: target.url.clone(),
                clients: target.clients.clone().with_counters(counters),
                traffic: Traffic::of(counters, self.windows(), sides, None),
                delivery: DeliveryAccount::of(target.delivery.as_ref(), counters, sides, None),
                latency: LatencyTable::of(&target.recorder.latency, self.model),
            }
        };
        self.targets.iter().map(row).collect()
    }

    fn windows(&self) -> RateWindows {
        self.windows.unwrap_or(RateWindows::even(self.window_ns))
    }

    fn sides(&self) -> Sides {
        Sides {
            publishers: self.publishers,
            acknowledged: self.publishers && self.qos > 0,
            subscribers: self.subscribers,
            responders: self.responders,
            qos: self.qos,
        }
    }

    fn generator_figures(&self) -> GeneratorFigures {
        let Recorder { counters, latency } = &self.recorder;
        let negative = |latency: &Latency| latency.histogram().map_or(0, |histogram| histogram.negative());
        let is_told = self.offered.is_some() && counters.payload_bytes_in <= counters.delivered * LARGE_BYTES;
        GeneratorFigures {
            window_ns: self.window_ns,
            messages: counters.sent + counters.delivered,
            offered: self.offered,
            sent: counters.sent,
            held_back: counters.held_back,
            on_time: counters.on_time,
            sched_lag_p99_ns: p99(&latency.sched_lag),
            e2e_p99_ns: p99(&latency.e2e).or(p99(&latency.rtt)),
            // In a flood they may well be full, and a large message fills the buffer by itself.
            reads: if is_told { counters.reads } else { 0 },
            full_reads: if is_told { counters.full_reads } else { 0 },
            negative: negative(&latency.e2e) + negative(&latency.ack) + negative(&latency.sched_lag),
            ..self.generator.clone()
        }
    }

    fn validity_figures(&self) -> ValidityFigures {
        let Recorder { counters, latency } = &self.recorder;
        ValidityFigures {
            offered: self.offered,
            sent: counters.sent,
            held_back: counters.held_back,
            on_time: counters.on_time,
            sched_lag_p99_ns: p99(&latency.sched_lag),
            e2e_p99_ns: p99(&latency.e2e).or(p99(&latency.rtt)),
            saturated: self.generator_figures().is_saturated(),
            delivery: self.delivery,
            ..self.validity.clone()
        }
    }
}

impl Series {
    /// The series of all stages together, in rows of one length; none where no stage has whole rows.
    pub(super) fn of_stages(measurements: &[StageMeasurement]) -> Option<Self> {
        let mut parts: Vec<Vec<IntervalRow>> =
            measurements.iter().map(|measurement| measurement.rows.clone()).collect();
        let mut length_ns = parts.iter().filter_map(|rows| rows.first()).map(|row| row.length_ns).max()?;
        loop {
            for rows in &mut parts {
                while rows.first().is_some_and(|row| row.length_ns < length_ns) {
                    // What is left over is shorter than a row.
                    thin(rows);
                }
            }
            if parts.iter().map(Vec::len).sum::<usize>() <= MOST_ROWS {
                break;
            }
            length_ns *= 2;
        }
        let all = parts
            .iter()
            .zip(measurements)
            .filter_map(|(rows, measurement)| Self::of(rows, measurement.sides(), measurement.offered.is_some()));
        all.reduce(|mut all, next| {
            all.rows.extend(next.rows);
            all
        })
    }

    fn of(rows: &[IntervalRow], sides: Sides, is_open: bool) -> Option<Self> {
        let interval_ns = rows.first()?.length_ns;
        let row = |row: &IntervalRow| SeriesRow {
            t_ns: row.t_ns,
            sent: sides.publishers.then_some(row.sent),
            acked: sides.acknowledged.then_some(row.acked),
            delivered: sides.subscribers.then_some(row.delivered),
            skipped: is_open.then_some(row.skipped),
            lost: row.lost,
            e2e_p50: row.e2e_p50,
            e2e_p99: row.e2e_p99,
            e2e_max: row.e2e_max,
            conns: row.conns,
            connects: row.connects,
            cpu_pct: row.cpu_pct,
            backlog: row.backlog,
        };
        Some(Self { interval_ns, rows: rows.iter().map(row).collect() })
    }
}

fn p99(latency: &Latency) -> Option<u64> {
    latency.histogram()?.percentile(Percentile::P99)
}
