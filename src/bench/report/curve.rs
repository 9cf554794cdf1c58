//! What `mqbench find` measured: latency, loss and CPU by rate, up to where they no longer meet what was asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The search for the highest rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Curve {
    /// What a rate must meet.
    pub slo: String,
    /// The highest rate that met it, messages per second; null where none did.
    pub rate_per_s: Option<f64>,
    /// Whether a longer measurement met it too.
    pub confirmed: bool,
    /// The rate a tenth above it; null where it was not tried.
    pub above_per_s: Option<f64>,
    /// Whether that rate did not meet it; null where it was not tried, or where this machine could not generate it.
    pub above_fails: Option<bool>,
    /// What set the limit.
    pub limited_by: LimitedBy,
    /// The same in words.
    pub limit: Option<String>,
    /// The latency of `p50` and `p99`: `e2e`, or `ack` without subscribers.
    pub latency: String,
    /// How long each rate was measured.
    pub probe_ns: u64,
    /// The rates in the order in which they were tried.
    pub points: Vec<CurvePoint>,
}

/// What ended the search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LimitedBy {
    /// Above the rate the path does not meet what was asked for.
    #[default]
    Slo,
    /// Above the rate mqbench or this machine did not keep up: the path may carry more.
    Generator,
    /// The time limit, or an interruption: the rate may be higher, or was not confirmed.
    Time,
}

/// One rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurvePoint {
    /// What it was tried for.
    pub purpose: Purpose,
    /// What the schedule asked for.
    pub rate_per_s: f64,
    /// What was sent.
    pub sent_per_s: Option<f64>,
    /// What was delivered.
    pub delivered_per_s: Option<f64>,
    /// How long it was measured.
    pub duration_ns: u64,
    /// Median latency, nanoseconds.
    pub p50: Option<u64>,
    /// 99th percentile.
    pub p99: Option<u64>,
    /// Messages lost, percent of those expected.
    pub loss_pct: Option<f64>,
    /// CPU time of mqbench, percent of a core.
    pub cpu_pct: Option<f64>,
    /// CPU time of the broker's process, percent of a core; null where it is not known.
    pub broker_cpu_pct: Option<f64>,
    /// What it came to.
    pub outcome: ProbeOutcome,
    /// Why it did not pass; null where it did.
    pub reason: Option<String>,
}

/// What a rate is tried for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// To find a rate that passes and one that does not.
    #[default]
    Bracket,
    /// To halve what lies between them.
    Bisect,
    /// To confirm the answer, for longer.
    Confirm,
    /// To show that a tenth more does not pass.
    Above,
}

impl Purpose {
    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Bracket => "bracket",
            Self::Bisect => "bisect",
            Self::Confirm => "confirm",
            Self::Above => "+10 %",
        }
    }
}

/// What a rate came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProbeOutcome {
    /// It meets what was asked for.
    Pass,
    /// The path does not meet it.
    #[default]
    Miss,
    /// mqbench or this machine did not keep up, so that nothing is known about the path.
    Unfit,
}
