//! One stage of a run in the result document: data, read and written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::delivery::{Clients, DeliveryAccount};
use super::latency::{LatencyTable, LoopKind};
use super::traffic::Traffic;
use crate::bench::measure::{Fault, Generator, GeneratorOfStage, Reach, Series, Silence};
use crate::bench::system::ProcessUse;

/// A stage in the document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// `open` or `closed`.
    pub model: LoopKind,
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
    /// Delivery.
    pub delivery: DeliveryAccount,
    /// What this shard sent and received, from which merging finds what was lost; null unless publishers and subscribers
    /// of a stream may be in different shards, and once all shards are merged.
    pub reach: Option<Reach>,
    /// How long things took.
    pub latency: LatencyTable,
    /// Second by second.
    pub series: Option<Series>,
    /// Times of half a second and more in which no message arrived at any subscriber, or was acknowledged where nobody
    /// subscribes. Null where there are too many of them, as at a low rate, and where nothing arrived at all.
    pub silences: Option<Vec<Silence>>,
    /// The generator in this stage.
    pub generator: Generator,
    /// A row for each broker, where there are several.
    pub targets: Option<Vec<Target>>,
    /// The broker's process, where it is on this machine and known.
    pub broker: Option<ProcessUse>,
    /// Why the stage is invalid; empty when it is valid.
    pub invalid: Vec<Fault>,
}

/// One of several brokers in a stage. What is sent counts where the publisher is connected, what is delivered or lost
/// where the subscriber is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// Where it is.
    pub url: String,
    /// Connections.
    pub clients: Clients,
    /// What went over them.
    pub traffic: Traffic,
    /// Delivery.
    pub delivery: DeliveryAccount,
    /// How long things took.
    pub latency: LatencyTable,
}

/// A part of a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// `connect`, `warmup`, `measure`, `drain`.
    pub name: String,
    /// Since the run's t0.
    pub start_ns: u64,
    /// How long.
    pub duration_ns: u64,
}

impl Stage {
    /// Whether it is part of the result: an attempt that was repeated at a lower rate is only accounted for.
    pub fn is_result(&self) -> bool {
        self.given_up.is_none()
    }

    /// Whether it has connections and no messages.
    pub fn is_conn(&self) -> bool {
        self.latency.connect.is_some() || (self.traffic.sent.is_none() && self.traffic.delivered.is_none())
    }

    /// The generator in it, with what it takes to sum up several stages.
    pub fn generator_of(&self) -> GeneratorOfStage<'_> {
        GeneratorOfStage {
            name: &self.name,
            window_ns: self.duration_ns,
            messages: self.traffic.sent.unwrap_or_default() + self.traffic.delivered.unwrap_or_default(),
            generator: &self.generator,
        }
    }
}
