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

#[cfg(test)]
mod tests {
    use quick_xml::Reader;
    use quick_xml::XmlVersion;

    use super::*;
    use crate::bench::measure::Fault;
    use crate::bench::report::Gate;
    use crate::bench::report::tests::example;

    /// An element: its name, its attributes and its text.
    type Element = (String, Vec<(String, String)>, String);

    /// Each element by its path, with its attributes and text, read back.
    fn read(text: &[u8]) -> Vec<Element> {
        let mut reader = Reader::from_reader(text);
        reader.config_mut().trim_text(true);
        let (mut found, mut path, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let event = reader.read_event_into(&mut buffer).unwrap();
            if let Event::Start(element) | Event::Empty(element) = &event {
                path.push(element.name().as_ref().to_owned());
                let attribute = |attribute: quick_xml::events::attributes::Attribute| {
                    let name = attribute.key.as_ref().to_owned();
                    (name, attribute.normalized_value(XmlVersion::Explicit1_0).unwrap().into_owned())
                };
                let attributes = element.attributes().map(|it| attribute(it.unwrap())).collect();
                found.push((path.join("/"), attributes, String::new()));
            }
            match event {
                Event::End(_) | Event::Empty(_) => drop(path.pop()),
                Event::Text(text) => found.last_mut().unwrap().2.push_str(&text),
                Event::GeneralRef(entity) => found.last_mut().unwrap().2.push_str(&format!("&{};", &*entity)),
                Event::Eof => break,
                _ => {}
            }
            buffer.clear();
        }
        assert!(path.is_empty());
        found
    }

    fn value<'a>(attributes: &'a [(String, String)], name: &str) -> &'a str {
        &attributes.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    #[test]
    fn each_condition_is_a_case_and_so_is_the_validity() {
        let mut document = example::document();
        let gates = ["e2e.p99 <= 20ms && lost == 0", "sent_per_s >= 200k"].map(|gate| Gate::parse(gate).unwrap());
        Gate::apply(&gates, &mut document, None);
        let found = read(&write(std::slice::from_ref(&document)).unwrap());
        let counts = |attributes: &[(String, String)]| {
            ["tests", "failures", "errors"].map(|name| value(attributes, name).to_owned())
        };
        assert_eq!((found[0].0.as_str(), counts(&found[0].1)), ("testsuites", ["4", "1", "0"].map(str::to_owned)));
        assert_eq!(
            (found[1].0.as_str(), counts(&found[1].1)),
            ("testsuites/testsuite", ["4", "1", "0"].map(str::to_owned))
        );
        assert_eq!(value(&found[1].1, "timestamp"), "2025-11-21T03:36:00Z");
        let cases: Vec<_> = found.iter().filter(|(path, ..)| path == "testsuites/testsuite/testcase").collect();
        let names: Vec<&str> = cases.iter().map(|(_, attributes, _)| value(attributes, "name")).collect();
        assert_eq!(names, ["the measurement is valid", "e2e.p99 <= 20ms", "lost == 0", "sent_per_s >= 200k"]);
        let failures: Vec<_> = found.iter().filter(|(path, ..)| path.ends_with("/failure")).collect();
        assert_eq!(failures.len(), 1);
        assert_eq!(value(&failures[0].1, "message"), "was 123,456");

        document.set_status(Status::Invalid);
        document.invalid =
            vec![Fault { code: "x".to_owned(), text: "sent late".to_owned(), next_step: "lower --rate".to_owned() }];
        let found = read(&write(&[document]).unwrap());
        assert_eq!(value(&found[0].1, "errors"), "1");
        let error = found.iter().find(|(path, ..)| path.ends_with("/error")).unwrap();
        assert_eq!(value(&error.1, "message"), "sent late (next: lower --rate)");
    }

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "]]> <a b='c'> & \" \u{0} \u{1b}[2J \u{ffff} \u{fffe} \u{202e} é 日本 \r\n\tend";
        let mut document = example::document();
        Gate::apply(&[Gate::parse("lost == 0").unwrap()], &mut document, None);
        document.run.name = Some(hostile.to_owned());
        document.env.host = Some(hostile.to_owned());
        document.gates[0].expr = hostile.to_owned();
        document.set_status(Status::Failed);
        document.run.error = Some(hostile.to_owned());
        let text = write(&[document]).unwrap();
        let found = read(&text);
        let expected = "]]> <a b='c'> & \" \\u{0} \\u{1b}[2J \u{fffd} \u{fffd} \\u{202e} é 日本 \\r\\n\\tend";
        assert_eq!(value(&found[1].1, "name"), expected);
        assert_eq!(value(&found[3].1, "message"), expected);
        let text = String::from_utf8(text).unwrap();
        assert!(
            !text.contains(['\u{0}', '\u{1b}', '\u{ffff}', '\u{fffe}', '\u{202e}']) && !text.contains("]]>"),
            "{text}"
        );
    }
}
