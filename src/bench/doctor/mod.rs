//! `mqbench doctor`: checks whether this machine can run the plan, and what would affect its figures. It makes no
//! connections.
//!
//! What a plan cannot run without is checked before every run too, so that a plan that cannot fit fails before any
//! load.

mod checks;
mod machine;
mod need;

use serde::{Deserialize, Serialize};

pub(super) use self::checks::NEAR_PCT;
use self::checks::{Check, Level};
use self::machine::Machine;
pub(super) use self::need::Need;
use super::plan::BenchPlan;
use super::report::ToolFacts;
use super::system::{EnvironmentFacts, Limits};
use crate::exit_status::ExitStatus;
use crate::terminal::{Align, Cell, Colors, Paint, Table, escape};

/// Name and version of the format.
pub(super) const SCHEMA: &str = "mqbench-doctor/1";

/// The limits in a saved `mqbench-doctor/1`, and the facts about its machine.
///
/// # Errors
/// It is none.
pub(super) fn read_saved(text: &[u8]) -> serde_json::Result<(Limits, EnvironmentFacts)> {
    let findings: Findings = serde_json::from_slice(text)?;
    Ok((findings.limits, findings.env))
}

/// The result of all checks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Findings {
    schema: String,
    /// The worst level.
    status: Level,
    tool: ToolFacts,
    env: EnvironmentFacts,
    /// What the checks compare with.
    #[serde(default)]
    limits: Limits,
    target: String,
    clients: u64,
    checks: Vec<Check>,
}

impl Findings {
    /// Runs all checks; takes about a second.
    pub(super) async fn of(plan: &BenchPlan, embedded: bool, target: String) -> Self {
        let machine = Machine::measure().await;
        let need = Need::of(plan, embedded);
        let checks = checks::all(&need, &machine);
        Self::new(checks, machine, &need, target)
    }

    fn new(checks: Vec<Check>, machine: Machine, need: &Need, target: String) -> Self {
        let status = checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok);
        let (schema, tool) = (SCHEMA.to_owned(), ToolFacts::default());
        let Machine { limits, facts: env, .. } = machine;
        Self { schema, status, tool, env, limits, target, clients: need.clients, checks }
    }

    /// Failed where the plan cannot run here; warnings are no failure.
    pub(super) fn exit_status(&self) -> ExitStatus {
        if self.status == Level::Fail { ExitStatus::Failed } else { ExitStatus::Done }
    }

    /// The JSON document.
    pub(super) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// The text for a terminal.
    pub(super) fn text(&self, colors: Colors) -> String {
        let title = colors.paint(Paint::Strong, &format!("mqbench {} doctor", self.tool.version));
        let clients = crate::terminal::number::counted(self.clients, "client", "clients");
        let paint = match self.status {
            Level::Ok => Paint::Good,
            Level::Warn => Paint::Warning,
            Level::Fail => Paint::Bad,
        };
        let verdict = colors.paint(paint, &self.verdict());
        format!("{verdict}\n\n{title}  {clients} → {}\n\n{}", escape(&self.target), lines(&self.checks, colors))
    }

    /// What the checks mean, in a sentence that names those that are not ok.
    fn verdict(&self) -> String {
        let named = |level: Level| {
            let names = self.checks.iter().filter(|check| check.level == level).map(|check| check.name.as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        match self.status {
            Level::Ok => "The plan fits this machine.".to_owned(),
            Level::Warn => {
                format!("The plan fits this machine; these may affect its figures: {}.", named(Level::Warn))
            }
            Level::Fail => format!("The plan cannot run on this machine: {}.", named(Level::Fail)),
        }
    }
}

/// The failed checks of a plan that cannot run here; none where it can.
pub(super) fn obstacles(plan: &BenchPlan, embedded: bool, colors: Colors) -> Option<String> {
    let mut checks = checks::limits(&Need::of(plan, embedded), &Limits::read());
    checks.retain(|check| check.level == Level::Fail);
    (!checks.is_empty()).then(|| lines(&checks, colors))
}

fn lines(checks: &[Check], colors: Colors) -> String {
    let mut text = String::new();
    let mut table = Table::new([Align::Left, Align::Left, Align::Left]);
    for check in checks {
        let (paint, word) = match check.level {
            Level::Ok => (Paint::Good, "ok"),
            Level::Warn => (Paint::Warning, "warn"),
            Level::Fail => (Paint::Bad, "FAIL"),
        };
        table.row([Cell::painted(paint, word), check.name.as_str().into(), escape(&check.found).into_owned().into()]);
    }
    // Each line, followed by its commands.
    for (line, check) in table.render(colors).lines().zip(checks) {
        text.push_str(line);
        text.push('\n');
        for remedy in &check.remedies {
            text.push_str(&format!("          {}\n", colors.paint(Paint::Strong, remedy)));
        }
    }
    text
}
