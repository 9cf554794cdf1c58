//! The document `mqbench-compare/1`: what `mqbench compare` and `--ab` print with `--json` and write.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bench::report::{CompareVerdict, Comparison, GateOutcome, Status, ToolFacts, schema_of};
use crate::exit_status::ExitStatus;

/// Name and version of the form.
const SCHEMA: &str = "mqbench-compare/1";

/// The schema of `mqbench-compare/1` (JSON Schema 2020-12), as that of a result.
pub fn compare_schema() -> Value {
    schema_of::<CompareDocument>()
}

/// Comparisons of results with a base, by mqbench compare or --ab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CompareDocument {
    /// Name and version of the form: `mqbench-compare/1`.
    #[schemars(extend("const" = SCHEMA))]
    pub(crate) schema: String,
    /// How the runs ended: invalid where a side has no valid run, partial where runs are missing.
    pub(crate) status: Status,
    /// The program that compared them.
    pub(crate) tool: ToolFacts,
    /// The worst of the verdicts.
    pub(crate) verdict: CompareVerdict,
    /// One for each side that is compared with the base.
    pub(crate) comparisons: Vec<Comparison>,
    /// The gates of `--ab`, for the second broker; `vs()` is its change against the first.
    pub(crate) gates: Vec<GateOutcome>,
}

impl CompareDocument {
    /// The document of these comparisons; `status` is how the runs ended that were made for it.
    pub(crate) fn new(comparisons: Vec<Comparison>, status: Status) -> Self {
        let verdicts = comparisons.iter().map(|comparison| comparison.verdict);
        let is_empty = |comparison: &Comparison| {
            [&comparison.base, &comparison.new].iter().any(|side| side.runs.iter().all(|run| !run.status.has_figures()))
        };
        let status = if status == Status::Ok && comparisons.iter().any(is_empty) { Status::Invalid } else { status };
        Self {
            schema: SCHEMA.to_owned(),
            status,
            tool: ToolFacts::default(),
            verdict: verdicts.max().unwrap_or_default(),
            comparisons,
            gates: Vec::new(),
        }
    }

    /// How mqbench ends with it.
    pub(crate) fn exit_status(&self) -> ExitStatus {
        match self.status {
            Status::Failed | Status::Partial => ExitStatus::Failed,
            Status::Invalid => ExitStatus::Invalid,
            Status::Ok if self.gates.iter().any(|gate| !gate.pass) => ExitStatus::GateFailed,
            Status::Ok if self.verdict == CompareVerdict::Worse => ExitStatus::Regression,
            Status::Ok => ExitStatus::Done,
        }
    }
}
