//! What `mqbench find` looks for, and how.

use std::time::Duration;

use crate::bench::plan::BenchPlan;
use crate::bench::report::Gate;
use crate::options::{BENCH, BenchOptions, UsageError};

/// How long a rate is measured.
const PROBE: Duration = Duration::from_secs(10);
/// When the search stops.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// A few messages more than the percentiles need.
const SPARE: f64 = 1.05;

/// What is looked for, and how.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What a rate must meet.
    pub(crate) slo: Gate,
    /// How long each rate is measured.
    pub(crate) probe: Duration,
    /// How long it runs before that.
    pub(crate) settle: Duration,
    /// Where to begin; from a flood where none is given.
    pub(crate) from: Option<f64>,
    /// When to stop.
    pub(crate) limit: Duration,
}

impl Settings {
    /// Reads and checks the options, before anything connects.
    ///
    /// # Errors
    /// The objective is none, or not one that this plan can be held against.
    pub(crate) fn from_options(options: &BenchOptions, plan: &BenchPlan) -> Result<Self, UsageError> {
        let fault = |fault: String| UsageError::new(BENCH.name, vec![fault]);
        let default = if plan.subscribers > 0 { "e2e.p99 < 10ms && lost == 0" } else { "ack.p99 < 10ms" };
        let text = options.find.slo.as_deref().unwrap_or(default);
        let slo = Gate::parse(text).map_err(|error| fault(error.to_string().replacen("gate", "--slo", 1)))?;
        if slo.needs_baseline() {
            let text = "--slo: vs() compares with a saved result, which a search has none of: use a fixed limit";
            return Err(fault(text.to_owned()));
        }
        if slo.needs_latency() && !plan.latency {
            let text = "--slo is about a latency, which --no-latency does not record: remove --no-latency";
            return Err(fault(text.to_owned()));
        }
        Ok(Self {
            slo,
            probe: options.find.probe.unwrap_or(PROBE),
            settle: plan.stages.first().map_or(PROBE, |stage| stage.warmup),
            from: options.find.find_from,
            limit: options.find.find_limit.unwrap_or(LIMIT),
        })
    }

    /// How long a rate is measured: as long as asked for, and at a low rate until the percentiles of the objective have
    /// their samples.
    pub(super) fn duration(&self, rate: f64) -> Duration {
        let needed = Duration::from_secs_f64(self.slo.samples_needed() as f64 * SPARE / rate);
        self.probe.max(needed)
    }
}
