//! A summary in Markdown, for the page of a CI job (`$GITHUB_STEP_SUMMARY`) or a pull request.

use crate::bench::report::document::{GateOutcome, ResultDocument};
use crate::bench::report::gate::finding;
use crate::bench::report::stage::Stage;
use crate::bench::report::status::Status;
use crate::bench::report::verdict::verdict as words;
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
    let (mark, state) = match result.status {
        _ if result.gates.iter().any(|gate| !gate.pass) => ("❌", "a gate failed"),
        Status::Ok => ("✅", "valid"),
        Status::Partial => ("⚠️", "partial"),
        Status::Invalid => ("❌", "not valid"),
        Status::Failed => ("❌", "failed"),
    };
    let mut text = format!("## {mark} mqbench: {}\n\n**{state}**", plain(name));
    let facts = [result.run.started_at.as_deref(), result.target.urls.first().map(String::as_str)];
    facts.into_iter().flatten().for_each(|fact| text.push_str(&format!(" · {}", code(fact))));
    text.push_str("\n\n");
    let sentences: Vec<String> = words(result).plain().map(|sentence| plain(&sentence.text)).collect();
    if !sentences.is_empty() {
        text.push_str(&format!("{}\n\n", sentences.join(" ")));
    }
    let error = result.run.error.iter().map(|error| plain(error));
    let faults =
        result.invalid.iter().map(|fault| format!("{}. Next: {}.", plain(&fault.text), plain(&fault.next_step)));
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
    // Attempts at a rate that was not sustained are among the warnings.
    result.stages.iter().filter(|stage| stage.is_result()).for_each(|stage| text.push_str(&stage_row(stage)));
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
    let counts = [stage.delivery.counts.lost, stage.delivery.counts.duplicates].map(|count| known(count, grouped));
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
    let text = escape(text);
    for (place, character) in text.char_indices() {
        // A colon begins what becomes a link by itself, and so does what is replaced below.
        if "\\`*_[]<>#|~&!$@".contains(character) || text[place..].starts_with("://") {
            plain.push('\\');
        }
        plain.push(character);
    }
    plain.replace("www.", "www&#46;")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::Gate;
    use crate::bench::report::document::Warning;
    use crate::bench::report::tests::example;

    #[test]
    fn verdict_table_gates_and_warnings_are_there() {
        let mut document = example::document();
        let gates = ["lost == 0", "sent_per_s >= 200k"].map(|gate| Gate::parse(gate).unwrap());
        Gate::apply(&gates, &mut document, None);
        let text = write(std::slice::from_ref(&document), None);
        for line in [
            "**a gate failed** · `2025-11-21T03:36:00Z` · `mqtt://127.0.0.1:1883`",
            "| Stage | Sent/s | Delivered/s | p50 | p99 | Max | Lost | Duplicates |",
            "| ✅ | `lost == 0` | 0 |",
            "| ❌ | `sent_per_s >= 200k` | sent\\_per\\_s is 123,456 |",
            "- the broker runs on this machine and shares its CPU",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
        }
        let row = text.lines().find(|line| line.starts_with("| flood |")).unwrap();
        assert!(row.starts_with("| flood | 123,456 | 123,456 |") && row.ends_with("| 0 | 0 |"), "{row}");
        let bare = write(&[example::bare_context()], None);
        assert!(bare.starts_with("## ✅ mqbench: mqbench\n"), "{bare}");
    }

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "</td><script>alert(1)</script> | ![x](http://e) `a`` @all **b** \n# head \u{1b}[2J \\";
        let mut document = example::document();
        document.run.name = Some(hostile.to_owned());
        document.run.error = Some(hostile.to_owned());
        document.target.urls = vec![hostile.to_owned()];
        document.run.started_at = None;
        document.stages[0].name = hostile.to_owned();
        document.warnings = vec![Warning::new("x", hostile)];
        let text = write(&[document], None);
        for line in text.lines() {
            assert!(!line.starts_with("# ") && !line.contains('\u{1b}'), "{line}");
            // Outside of code nothing acts.
            let outside: String = line.split("```").step_by(2).collect();
            let mut letters = outside.chars().filter(|letter| *letter != '·').peekable();
            while let Some(letter) = letters.next() {
                match letter {
                    '\\' => drop(letters.next()),
                    letter => assert!(!"<[]`@!".contains(letter), "{letter} acts in: {line}"),
                }
            }
        }
        assert!(text.contains("```</td>"), "a fence that is longer than what it holds: {text}");
        assert_eq!(plain("at p99: 1 (x), www.e.org http://e"), "at p99: 1 (x), www&#46;e.org http\\://e");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code("a | b"), "`a \\| b`");
    }
}
