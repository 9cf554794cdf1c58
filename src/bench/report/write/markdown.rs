//! A summary in Markdown, for the page of a CI job (`$GITHUB_STEP_SUMMARY`) or a pull request.

use crate::bench::report::document::{GateOutcome, ResultDocument};
use crate::bench::report::gate::finding;
use crate::bench::report::stage::Stage;
use crate::bench::report::status::Status;
use crate::terminal::escape;
use crate::terminal::number::{UNKNOWN, duration, grouped, rate};

pub(super) fn write(results: &[ResultDocument], baseline: Option<&ResultDocument>) -> String {
    let mut parts: Vec<String> = results.iter().map(section).collect();
    if let Some(baseline) = baseline {
        parts.push(format!("Baseline:\n\n{}", stages(baseline)));
    }
    parts.join("\n")
}

fn section(result: &ResultDocument) -> String {
    let name = result.run.name.as_deref().or(result.run.description.as_deref()).unwrap_or("mqbench");
    let (mark, verdict) = match result.status {
        _ if result.gates.iter().any(|gate| !gate.pass) => ("❌", "a gate failed"),
        Status::Ok => ("✅", "valid"),
        Status::Partial => ("⚠️", "partial"),
        Status::Invalid => ("❌", "not valid"),
        Status::Failed => ("❌", "failed"),
    };
    let mut text = format!("## {mark} mqbench: {}\n\n**{verdict}**", plain(name));
    let facts = [result.run.started_at.as_deref(), result.target.urls.first().map(String::as_str)];
    facts.into_iter().flatten().for_each(|fact| text.push_str(&format!(" · {}", code(fact))));
    text.push_str("\n\n");
    let error = result.run.error.iter().map(|error| plain(error));
    let faults =
        result.invalid.iter().map(|fault| format!("{} Next: {}.", plain(&fault.text), plain(&fault.next_step)));
    error.chain(faults).for_each(|fault| text.push_str(&format!("> {fault}\n\n")));
    text.push_str(&stages(result));
    if !result.gates.is_empty() {
        text.push_str("\n| | Gate | Found |\n|---|---|---|\n");
        result.gates.iter().for_each(|gate| text.push_str(&gate_row(gate)));
    }
    if !result.warnings.is_empty() {
        text.push_str("\n**Warnings**\n\n");
        result.warnings.iter().for_each(|warning| text.push_str(&format!("- {}\n", plain(&warning.text))));
    }
    text
}

/// A row per stage.
fn stages(result: &ResultDocument) -> String {
    if result.stages.is_empty() {
        return String::new();
    }
    let mut text = "| Stage | Sent/s | Delivered/s | p50 | p99 | Max | Lost | Duplicates |\n".to_owned();
    text.push_str("|---|--:|--:|--:|--:|--:|--:|--:|\n");
    result.stages.iter().for_each(|stage| text.push_str(&stage_row(stage)));
    text
}

fn stage_row(stage: &Stage) -> String {
    let rates = [stage.traffic.sent_per_s, stage.traffic.delivered_per_s].map(|figure| known(figure, rate));
    let latency = stage.latency.e2e.as_ref().or(stage.latency.rtt.as_ref()).or(stage.latency.ack.as_ref());
    let times = [
        latency.and_then(|latency| latency.p.p50),
        latency.and_then(|latency| latency.p.p99),
        latency.map(|latency| latency.max),
    ];
    let counts = [stage.delivery.lost, stage.delivery.duplicates].map(|count| known(count, grouped));
    let cells = rates.into_iter().chain(times.map(|time| known(time, duration))).chain(counts);
    format!("| {} | {} |\n", plain(&stage.name), cells.collect::<Vec<_>>().join(" | "))
}

fn gate_row(gate: &GateOutcome) -> String {
    let mark = if gate.pass { "✅" } else { "❌" };
    format!("| {mark} | {} | {} |\n", code(&gate.expr), plain(&finding(gate)))
}

fn known<T>(value: Option<T>, form: fn(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), form)
}

/// Text that Markdown and HTML leave as it is, in one line.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::new();
    for character in escape(text).chars() {
        // The last two begin what becomes a link or a mention by itself.
        if "\\`*_{}[]()<>#|~&!$:@".contains(character) {
            plain.push('\\');
        }
        plain.push(character);
    }
    plain
}

/// Text as code, also in a table.
fn code(text: &str) -> String {
    let text = escape(text).replace('|', "\\|");
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    // A blank beside a backtick is taken away again.
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}
