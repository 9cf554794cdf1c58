//! The gates as test cases of JUnit, which CI systems read: one for the validity of the measurement, one for each
//! condition of a gate.

use std::io;

use anyhow::Result;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::bench::report::document::ResultDocument;
use crate::bench::report::gate::finding;
use crate::bench::report::status::Status;
use crate::terminal::escape;

pub(super) fn write(results: &[ResultDocument]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut writer = Writer::new_with_indent(&mut text, b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let suites: Vec<Suite> = results.iter().map(Suite::of).collect();
    let sum = |count: fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>().to_string();
    writer
        .create_element("testsuites")
        .with_attribute(("name", "mqbench"))
        .with_attribute(("tests", sum(|suite| suite.cases.len()).as_str()))
        .with_attribute(("failures", sum(Suite::failures).as_str()))
        .with_attribute(("errors", sum(Suite::errors).as_str()))
        .write_inner_content(|writer| suites.iter().try_for_each(|suite| suite.write(writer)))?;
    text.push(b'\n');
    Ok(text)
}

struct Suite {
    name: String,
    started_at: Option<String>,
    host: Option<String>,
    seconds: f64,
    cases: Vec<Case>,
}

struct Case {
    class: &'static str,
    name: String,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    /// The figure is not what was asked for.
    Failed(String),
    /// There is no figure that can be trusted.
    Error(String),
}

impl Suite {
    fn of(result: &ResultDocument) -> Self {
        let gates = result.gates.iter().map(|gate| Case {
            class: "mqbench.gate",
            name: clean(&gate.expr),
            outcome: if gate.pass { Outcome::Passed } else { Outcome::Failed(clean(&finding(gate))) },
        });
        let nanoseconds: u64 = result.phases.iter().map(|phase| phase.duration_ns).sum();
        Self {
            name: clean(result.run.name.as_deref().or(result.run.description.as_deref()).unwrap_or("mqbench")),
            started_at: result.run.started_at.as_deref().map(clean),
            host: result.env.host.as_deref().map(clean),
            seconds: nanoseconds as f64 / 1e9,
            cases: std::iter::once(validity(result)).chain(gates).collect(),
        }
    }

    fn failures(&self) -> usize {
        self.cases.iter().filter(|case| matches!(case.outcome, Outcome::Failed(_))).count()
    }

    fn errors(&self) -> usize {
        self.cases.iter().filter(|case| matches!(case.outcome, Outcome::Error(_))).count()
    }

    fn write(&self, writer: &mut Writer<&mut Vec<u8>>) -> io::Result<()> {
        let mut suite = writer
            .create_element("testsuite")
            .with_attribute(("name", self.name.as_str()))
            .with_attribute(("tests", self.cases.len().to_string().as_str()))
            .with_attribute(("failures", self.failures().to_string().as_str()))
            .with_attribute(("errors", self.errors().to_string().as_str()))
            .with_attribute(("skipped", "0"))
            .with_attribute(("time", format!("{:.3}", self.seconds).as_str()));
        if let Some(started_at) = &self.started_at {
            suite = suite.with_attribute(("timestamp", started_at.as_str()));
        }
        if let Some(host) = &self.host {
            suite = suite.with_attribute(("hostname", host.as_str()));
        }
        suite.write_inner_content(|writer| self.cases.iter().try_for_each(|case| case.write(writer)))?;
        Ok(())
    }
}

impl Case {
    fn write(&self, writer: &mut Writer<&mut Vec<u8>>) -> io::Result<()> {
        let case = writer
            .create_element("testcase")
            .with_attribute(("classname", self.class))
            .with_attribute(("name", self.name.as_str()))
            .with_attribute(("time", "0"));
        let (element, text) = match &self.outcome {
            Outcome::Passed => {
                case.write_empty()?;
                return Ok(());
            }
            Outcome::Failed(text) => ("failure", text),
            Outcome::Error(text) => ("error", text),
        };
        let message = text.lines().next().unwrap_or_default();
        case.write_inner_content(|writer| {
            let element = writer.create_element(element).with_attribute(("message", message));
            element.with_attribute(("type", self.class)).write_text_content(BytesText::new(text)).map(drop)
        })?;
        Ok(())
    }
}

/// Whether the figures can be trusted, as a test case.
fn validity(result: &ResultDocument) -> Case {
    let faults = || result.invalid.iter().map(|fault| format!("{} (next: {})", fault.text, fault.next_step));
    let error = || result.run.error.clone().unwrap_or_else(|| "the run did not end".to_owned());
    let outcome = match result.status {
        Status::Ok => Outcome::Passed,
        Status::Invalid => Outcome::Error(clean_lines(faults())),
        Status::Failed => Outcome::Error(clean(&error())),
        Status::Partial => Outcome::Failed(format!("not the whole run: {}", clean(&error()))),
    };
    Case { class: "mqbench.validity", name: "the measurement is valid".to_owned(), outcome }
}

fn clean_lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| clean(&line)).collect::<Vec<_>>().join("\n")
}

/// Text that XML can hold: control characters become visible, and what XML 1.0 has no place for is replaced.
fn clean(text: &str) -> String {
    let is_char = |character| !matches!(character, '\u{fffe}' | '\u{ffff}');
    escape(text).chars().map(|character| if is_char(character) { character } else { '\u{fffd}' }).collect()
}
