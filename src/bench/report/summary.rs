//! The result for a person: what a terminal shows at the end of a run.
//!
//! Read from the document alone: the verdict in words, one small table, the gates, what else to know, and what was
//! tested. `details` has the rest.

use chrono::DateTime;

use super::details::details;
use super::document::{GateOutcome, ResultDocument};
use super::gate;
use super::key_figures::key_figures;
use super::verdict::{Level, Sentence, command_line, further_warnings, verdict};
use crate::terminal::{Align, Cell, Colors, Paint, Table, escape, wrapped};

/// The summary as text, at most `width` characters wide where words allow it; with every figure where `with_details`.
pub(crate) fn summary(document: &ResultDocument, width: usize, colors: Colors, with_details: bool) -> String {
    let page = Page { width: width.max(40), colors };
    let mut parts =
        vec![page.verdict(document), page.key_figures(document), gates_text(&document.gates, page.width, colors)];
    parts.push(page.warnings(document));
    if with_details {
        parts.push(details(document, page.width, colors));
    }
    parts.push(page.foot(document, with_details));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// How to write.
struct Page {
    width: usize,
    colors: Colors,
}

impl Page {
    /// What it means: statements that stand alone line by line, the others as a paragraph.
    fn verdict(&self, document: &ResultDocument) -> String {
        let verdict = verdict(document);
        let mut text = String::new();
        for sentence in verdict.labelled() {
            let lines = wrapped(&format!("{}: ", sentence.label), &escape(&sentence.text), self.width);
            // What is still valid needs no alarm.
            let paint = paint(sentence.level).filter(|_| sentence.label.chars().all(char::is_uppercase));
            text.push_str(&self.in_color(paint, &lines));
        }
        let in_color = |sentence: &Sentence| {
            let words = escape(&sentence.text);
            let words = words.split(' ').map(|word| self.painted(paint(sentence.level), word));
            words.collect::<Vec<_>>().join(" ")
        };
        let paragraph: Vec<String> = verdict.plain().map(in_color).collect();
        if !paragraph.is_empty() {
            text.push_str(&wrapped("", &paragraph.join(" "), self.width));
        }
        text
    }

    fn key_figures(&self, document: &ResultDocument) -> String {
        let figures = key_figures(document);
        if figures.rows.is_empty() {
            return String::new();
        }
        let mut alignments = vec![Align::Right; figures.heads.len()];
        alignments[0] = Align::Left;
        let mut table = Table::new(alignments);
        table.row(figures.heads.iter().map(|head| Cell::painted(Paint::Faint, *head)));
        for row in figures.rows {
            table.row(row.into_iter().map(|cell| escape(&cell).into_owned()));
        }
        table.fit(self.width, &figures.expendable).render(self.colors)
    }

    fn warnings(&self, document: &ResultDocument) -> String {
        let lines = |text: &str| wrapped("Warning: ", &escape(text), self.width);
        let warnings = further_warnings(document);
        warnings.map(|warning| self.in_color(Some(Paint::Warning), &lines(&warning.text))).collect()
    }

    /// What was tested, when, with which versions and by which command.
    fn foot(&self, document: &ResultDocument, with_details: bool) -> String {
        let started = document.run.started_at.as_deref();
        let started = started.map(|time| match DateTime::parse_from_rfc3339(time) {
            Ok(time) => time.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            Err(_) => time.to_owned(),
        });
        let tool = format!("{} {}", document.tool.name, document.tool.version);
        let broker = document.target.broker.as_ref().and_then(|broker| {
            let name: Vec<&str> = [&broker.name, &broker.version].into_iter().flatten().map(String::as_str).collect();
            let source = broker.source.as_deref().map(|source| format!(" (from {source})")).unwrap_or_default();
            (!name.is_empty()).then(|| format!("{}{source}", name.join(" ")))
        });
        let place = if document.target.same_host == Some(true) { " on this machine, sharing its CPU" } else { "" };
        let urls = document.target.urls.join(" ");
        let target = match broker {
            Some(broker) => format!("{broker} at {urls}{place}"),
            None => format!("{urls}{place}"),
        };
        let seed = document.run.seed.map(|seed| format!("seed {seed}"));
        let plan: Vec<String> = document.run.description.iter().cloned().chain(seed).collect();
        let plan = plan.join("  ").replace("  ", ", ");
        let when: Vec<String> = started.into_iter().chain([tool]).collect();
        let command = command_line(document);
        let hint = if with_details || document.stages.is_empty() { "" } else { "--details prints every figure" };
        let lines = [("", when.join(", ")), ("", target), ("", plan), ("$ ", command), ("", hint.to_owned())];
        let lines = lines.iter().filter(|(_, text)| !text.trim().is_empty());
        lines
            .map(|(first, text)| self.in_color(Some(Paint::Faint), &wrapped(first, &escape(text), self.width)))
            .collect()
    }

    fn painted(&self, paint: Option<Paint>, text: &str) -> String {
        paint.map_or_else(|| text.to_owned(), |paint| self.colors.paint(paint, text))
    }

    /// Colors every line of a wrapped text.
    fn in_color(&self, paint: Option<Paint>, lines: &str) -> String {
        lines.lines().map(|line| format!("{}\n", self.painted(paint, line))).collect()
    }
}

/// The color of a level; none for what is as it should be.
const fn paint(level: Level) -> Option<Paint> {
    match level {
        Level::Ok => None,
        Level::Attention => Some(Paint::Warning),
        Level::Bad => Some(Paint::Bad),
    }
}

/// The gates, with what each of them found.
pub(crate) fn gates_text(gates: &[GateOutcome], width: usize, colors: Colors) -> String {
    if gates.is_empty() {
        return String::new();
    }
    let passed = gates.iter().filter(|gate| gate.pass).count();
    let count = format!("{passed} of {} passed", gates.len());
    let paint = if passed == gates.len() { Paint::Good } else { Paint::Bad };
    let mut text = format!("{}  {}\n", colors.paint(Paint::Heading, "gates"), colors.paint(paint, &count));
    for gate in gates {
        let (paint, verdict) = if gate.pass { (Paint::Good, "pass") } else { (Paint::Bad, "FAIL") };
        let first = format!("  {}  ", colors.paint(paint, verdict));
        text.push_str(&wrapped(&first, &escape(&format!("{}: {}", gate.expr, gate::finding(gate))), width));
    }
    text
}
