//! The repeats of a run (`--runs`) in the result document, and their medians.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::status::Status;

/// One repeat of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunFigures {
    /// Its number, from 1, in the order in which the runs were made.
    pub number: u64,
    /// Its tag, in ids and topics.
    pub id: Option<String>,
    /// Its start, RFC 3339 in UTC.
    pub started_at: Option<String>,
    /// The brokers that it measured.
    pub urls: Vec<String>,
    /// How it ended. The figures of a run that is not valid are no part of any median.
    pub status: Status,
    /// Why it is not valid, where it is not.
    pub error: Option<String>,
    /// Whether it is the run that the rest of the document shows: the one in the middle.
    pub shown: bool,
    /// Its figures by the names that gates use, latencies in nanoseconds. A figure is null where this run did not
    /// measure it, and left out where no run did.
    pub figures: BTreeMap<String, Option<Number>>,
}

/// The median of a figure over the valid runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunStatistics {
    /// The median; null where a valid run did not measure the figure.
    pub median: Option<Number>,
    /// Its 95 % confidence interval, by bootstrap; null for fewer than two runs.
    pub ci95: Option<[Number; 2]>,
}

impl RunFigures {
    /// A figure of it.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.figures.get(name)?.as_ref()?.as_f64()
    }

    /// The values of a figure in the valid runs; `None` where one of them did not measure it, or there is no such run.
    pub fn values(runs: &[Self], name: &str) -> Option<Vec<f64>> {
        let values: Vec<f64> =
            runs.iter().filter(|run| run.status.has_figures()).map(|run| run.get(name)).collect::<Option<_>>()?;
        (!values.is_empty()).then_some(values)
    }
}
