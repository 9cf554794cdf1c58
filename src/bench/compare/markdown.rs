//! Comparisons in Markdown, for the page of a CI job or a pull request.

use super::document::CompareDocument;
use super::text::{delta, figure, interval, is_shown, reasons, side_text};
use crate::bench::report::{CompareVerdict, Comparison, markdown_text};

/// The whole page.
pub(crate) fn markdown(document: &CompareDocument) -> String {
    let mut text = document.comparisons.iter().map(section).collect::<Vec<_>>().join("\n");
    for gate in &document.gates {
        let (mark, found) = (if gate.pass { "✅" } else { "❌" }, gate.reason.as_deref().unwrap_or("holds"));
        text.push_str(&format!("\n{mark} {}: {}\n", markdown_text(&gate.expr), markdown_text(found)));
    }
    text
}

fn section(comparison: &Comparison) -> String {
    let mark = match comparison.verdict {
        CompareVerdict::Better | CompareVerdict::Same => "✅",
        CompareVerdict::Worse => "❌",
        CompareVerdict::CannotSay => "⚠️",
    };
    let mut text = format!("## {mark} mqbench compare: {}\n\n", comparison.verdict.text());
    for (what, side) in [("base", &comparison.base), ("new", &comparison.new)] {
        text.push_str(&format!("- {what}: {}\n", markdown_text(&side_text(side))));
    }
    let differences = comparison.plan_differences.iter().map(|difference| format!("plan: {}", difference.text()));
    for line in differences.chain(comparison.notes.iter().cloned()) {
        text.push_str(&format!("- {}\n", markdown_text(&line)));
    }
    text.push_str("\n| | Base | New | Change | 95 % interval | Verdict |\n|---|--:|--:|--:|--:|---|\n");
    for metric in comparison.metrics.iter().filter(|metric| is_shown(metric)) {
        let verdict = metric.verdict.text();
        let verdict = if metric.counts { format!("**{verdict}**") } else { verdict.to_owned() };
        let cells = [
            figure(&metric.metric, &metric.base),
            figure(&metric.metric, &metric.new),
            delta(metric),
            interval(metric),
        ];
        text.push_str(&format!("| {} | {} | {verdict} |\n", markdown_text(&metric.metric), cells.join(" | ")));
    }
    for (reason, names) in reasons(comparison) {
        text.push_str(&format!("\nCannot say ({}): {}\n", markdown_text(&names.join(", ")), markdown_text(reason)));
    }
    text
}
