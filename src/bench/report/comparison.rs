//! The comparison of two sides in a document: medians, intervals, a verdict for each figure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::repeats::RunFigures;

/// What a comparison came to, for a figure or for all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum CompareVerdict {
    /// All of the interval is better, and by more than the tolerance.
    #[serde(rename = "better")]
    Better,
    /// All of the interval lies within the tolerance.
    #[serde(rename = "same")]
    Same,
    /// There are too few runs, or they scatter too much, or nothing can be compared.
    #[default]
    #[serde(rename = "cannot say")]
    CannotSay,
    /// All of the interval is worse, and by more than the tolerance.
    #[serde(rename = "worse")]
    Worse,
}

impl CompareVerdict {
    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Same => "same",
            Self::CannotSay => "cannot say",
            Self::Worse => "worse",
        }
    }
}

/// Two sides, and how the second differs from the first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// What is compared with.
    pub base: Side,
    /// What is compared.
    pub new: Side,
    /// Of all intervals, percent.
    pub confidence_pct: f64,
    /// How often the runs were drawn again for an interval.
    pub resamples: u64,
    /// The seed of these draws.
    pub seed: u64,
    /// Changes up to this many percent are no difference.
    pub tolerance_pct: f64,
    /// What differs between the two plans, other than seed, threads and local addresses.
    pub plan_differences: Vec<PlanDifference>,
    /// The figures, those that count first.
    pub metrics: Vec<MetricComparison>,
    /// Of the figures that count: worse where one of them is worse; better where one is better and none worse; same where
    /// all that have a verdict are the same; else cannot say.
    pub verdict: CompareVerdict,
    /// The figures that count and are worse.
    pub regressions: Vec<String>,
    /// What else to know.
    pub notes: Vec<String>,
}

/// One side of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// Files or a broker's address: what the table calls it.
    pub name: String,
    /// The brokers that it measured.
    pub urls: Vec<String>,
    /// Name and version of the broker, where they are known.
    pub broker: Option<String>,
    /// The plan in one line.
    pub description: Option<String>,
    /// Version of mqbench.
    pub tool_version: String,
    /// The machine that generated the load.
    pub host: Option<String>,
    /// All its runs, also those that are left out.
    pub runs: Vec<RunFigures>,
}

/// A setting in which two plans differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanDifference {
    /// Its name in the plan, as `payload.bytes`.
    pub name: String,
    /// In the one that is compared with; null where it has no such setting.
    pub base: Value,
    /// In the other one.
    pub new: Value,
}

/// A figure on both sides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricComparison {
    /// Its name, as gates use it.
    pub metric: String,
    /// `ns`, `%`, `per_s`, `bytes` or `messages`.
    pub unit: String,
    /// Whether more of it is better.
    pub higher_is_better: bool,
    /// Whether a change for the worse is a regression.
    pub counts: bool,
    /// The one that is compared with.
    pub base: SideFigure,
    /// The other one.
    pub new: SideFigure,
    /// How the medians differ, percent; null where the base is 0 or unknown.
    pub delta_pct: Option<f64>,
    /// Its interval.
    pub delta_ci95_pct: Option<[f64; 2]>,
    /// What that means.
    pub verdict: CompareVerdict,
    /// Why it cannot be said; null where it can.
    pub reason: Option<String>,
}

/// A figure on one side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SideFigure {
    /// Valid runs that have it.
    pub runs: u64,
    /// The median; null where it is unknown.
    pub median: Option<Number>,
    /// Its interval; null for fewer than two runs.
    pub ci95: Option<[Number; 2]>,
}

/// Settings that do not change what is asked of the broker.
const BESIDE_THE_PLAN: [&str; 3] = ["seed", "threads", "local_addresses"];

/// What differs between two plans, as documents have them.
pub(crate) fn plan_differences(base: &Value, new: &Value) -> Vec<PlanDifference> {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    flatten(base, String::new(), &mut before);
    flatten(new, String::new(), &mut after);
    let of = |plan: &[(String, Value)], name: &str| {
        plan.iter().find(|(known, _)| known == name).map_or(Value::Null, |(_, value)| value.clone())
    };
    let mut names: Vec<&String> = before.iter().chain(&after).map(|(name, _)| name).collect();
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(*name));
    let differences = names.into_iter().filter(|name| !BESIDE_THE_PLAN.contains(&name.as_str())).map(|name| {
        let (base, new) = (of(&before, name), of(&after, name));
        PlanDifference { name: name.clone(), base, new }
    });
    differences.filter(|difference| !is_equal(&difference.base, &difference.new)).collect()
}

/// Numbers by their value: 1000 and 1000.0 are one rate.
fn is_equal(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|number| Some(number) == other.as_f64())
}

/// The settings of a plan by name, those within others joined by points.
fn flatten(value: &Value, name: String, settings: &mut Vec<(String, Value)>) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flatten(value, below(key), settings)),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().for_each(|(place, item)| flatten(item, below(&(place + 1).to_string()), settings));
        }
        value => settings.push((name, value.clone())),
    }
}

impl PlanDifference {
    /// As `qos 1 → 2`.
    pub fn text(&self) -> String {
        let shown = |value: &Value| match value {
            Value::Null => "none".to_owned(),
            Value::String(text) => text.clone(),
            Value::Number(number) if self.name.ends_with("_ns") => {
                crate::terminal::number::duration(number.as_u64().unwrap_or_default())
            }
            other => other.to_string(),
        };
        format!("{} {} → {}", self.name, shown(&self.base), shown(&self.new))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plans_differ_by_name_and_not_in_what_the_broker_does_not_see() {
        let base = json!({"qos": 1, "seed": 7, "threads": 1, "payload": {"bytes": 64, "filling": "zero"},
                          "stages": [{"name": "paced", "rate": 1000, "duration_ns": 5_000_000_000u64}]});
        let mut new = json!({"qos": 2, "seed": 8, "threads": 4, "payload": {"bytes": 100, "filling": "zero"},
                         "stages": [{"name": "paced", "rate": 1000.0, "duration_ns": 10_000_000_000u64}], "retain": true});
        let texts = |differences: Vec<PlanDifference>| differences.iter().map(PlanDifference::text).collect::<Vec<_>>();
        assert_eq!(
            texts(plan_differences(&base, &new)),
            ["qos 1 → 2", "payload.bytes 64 → 100", "stages.1.duration_ns 5.00 s → 10.0 s", "retain none → true"]
        );
        assert_eq!(plan_differences(&base, &base), []);
        new["stages"] = json!([]);
        assert!(texts(plan_differences(&base, &new)).contains(&"stages.1.name paced → none".to_owned()));
    }
}
