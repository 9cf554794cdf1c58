//! A row per figure of a run and of each of its stages.
//!
//! Columns: `run` (the run's tag), `name` (`--name`), `started_at`, `status`, `stage` and
//! `stage_number` (from 1, for names may occur twice; both empty for the figures of the whole run), `metric` (where the figure stands in the document, as `traffic.sent_per_s` or `latency.e2e.p99`), `value` (empty
//! where it was not measured), `unit`.

use anyhow::{Context as _, Result};
use csv::{Terminator, WriterBuilder};
use serde::Serialize;
use serde_json::Value;

use crate::bench::report::document::ResultDocument;
use crate::terminal::escape;

/// The first line.
const COLUMNS: [&str; 9] = ["run", "name", "started_at", "status", "stage", "stage_number", "metric", "value", "unit"];

/// What a latency has beside times.
const COUNTS_OF_LATENCY: [&str; 5] = ["count", "sigfig", "clamped", "negative", "range"];

pub(super) fn write(results: &[ResultDocument]) -> Result<Vec<u8>> {
    let mut table = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(Vec::new());
    table.write_record(COLUMNS)?;
    for result in results {
        let of_run = figures(&Figures {
            clients: &result.clients,
            traffic: &result.traffic,
            delivery: &result.delivery,
            latency: &result.latency,
            generator: &result.generator,
        })?;
        let mut rows: Vec<_> = of_run.into_iter().map(|row| (String::new(), String::new(), row)).collect();
        for (number, stage) in (1..).zip(&result.stages) {
            let of_stage = figures(&Figures {
                clients: &stage.clients,
                traffic: &stage.traffic,
                delivery: &stage.delivery,
                latency: &stage.latency,
                generator: &stage.generator,
            })?;
            rows.extend(of_stage.into_iter().map(|row| (stage.name.clone(), number.to_string(), row)));
        }
        let text = |text: &Option<String>| cell(text.as_deref().unwrap_or_default());
        let status = serde_json::to_value(result.status)?;
        let run = [
            text(&result.run.id),
            text(&result.run.name),
            text(&result.run.started_at),
            cell(status.as_str().unwrap_or_default()),
        ];
        for (stage, number, Row { metric, value }) in rows {
            let unit = unit(&metric);
            let figure = [cell(&stage), number, cell(&metric), value, unit.to_owned()];
            table.write_record(run.iter().chain(&figure))?;
        }
    }
    table.into_inner().context("the table cannot be written")
}

/// What a stage has figures of.
#[derive(Serialize)]
struct Figures<'a, C: Serialize, T: Serialize, D: Serialize, L: Serialize, G: Serialize> {
    clients: &'a C,
    traffic: &'a T,
    delivery: &'a D,
    latency: &'a L,
    generator: &'a G,
}

struct Row {
    metric: String,
    value: String,
}

/// All figures by where they stand.
fn figures(figures: &impl Serialize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    walk(String::new(), &serde_json::to_value(figures)?, &mut rows);
    Ok(rows)
}

/// Texts are explanations of figures, and lists have a meaning that no single figure has.
fn walk(place: String, value: &Value, rows: &mut Vec<Row>) {
    let row = |value: String| Row { metric: place.clone(), value };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let place = match (place.as_str(), name.as_str()) {
                    ("", name) => name.to_owned(),
                    (place, name) if place.ends_with(".p") => format!("{place}{name}"),
                    (place, name) => format!("{place}.{name}"),
                };
                if !is_text(name) {
                    walk(place, value, rows);
                }
            }
        }
        Value::Number(number) => rows.push(row(number.to_string())),
        Value::Null => rows.push(row(String::new())),
        Value::Bool(_) | Value::String(_) | Value::Array(_) => {}
    }
}

/// Fields that hold a text or a list where they are not null.
fn is_text(name: &str) -> bool {
    matches!(name, "hdr" | "basis" | "unit" | "range" | "streams" | "outages" | "verdict" | "reasons")
}

/// The unit, which is part of the name but for latencies.
fn unit(metric: &str) -> &'static str {
    let (group, name) = metric.split_once('.').unwrap_or_default();
    let last = name.rsplit('.').next().unwrap_or_default();
    match (group, last) {
        ("latency", last) if !COUNTS_OF_LATENCY.contains(&last) => "ns",
        (_, last) if last.contains("bytes") && last.ends_with("_per_s") => "bytes/s",
        (_, "payload_out_per_s") => "bytes/s",
        (_, last) if last.ends_with("_per_s") => "1/s",
        (_, last) if last.ends_with("_ns") || last == "cpu_ns_per_message" => "ns",
        (_, last) if last.ends_with("_pct") => "%",
        (_, last) if last.contains("bytes") => "bytes",
        (_, last) if last.ends_with("_cores") => "cores",
        _ => "",
    }
}

/// A text as a cell: what a terminal acts on is escaped, and a spreadsheet finds no formula in it.
fn cell(text: &str) -> String {
    let text = escape(text);
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::tests::example;

    #[test]
    fn every_row_has_its_run_its_stage_and_its_unit() {
        let document = example::document();
        let text = String::from_utf8(write(std::slice::from_ref(&document)).unwrap()).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("run,name,started_at,status,stage,stage_number,metric,value,unit"));
        for row in [
            ",ok,flood,1,traffic.sent_per_s,123456.0,1/s",
            ",ok,,,traffic.sent_per_s,123456.0,1/s",
            ",ok,flood,1,traffic.offered_per_s,,1/s",
            ",ok,paced,2,delivery.lost,0,",
            ",ok,,,delivery.expected,925920,",
            ",ok,paced,2,latency.e2e.p99.99,,ns",
            ",ok,paced,2,latency.ack.count,20000,",
            ",ok,paced,2,generator.cpu_user_pct,20.0,%",
        ] {
            assert!(text.lines().any(|line| line.ends_with(row)), "{row} is not in\n{text}");
        }
        let p99 = document.latency.e2e.unwrap().p.p99.unwrap();
        assert!(text.contains(&format!("ok,paced,2,latency.e2e.p99,{p99},ns\n")), "{text}");
    }

    #[test]
    fn a_spreadsheet_finds_no_formula() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a\n=1"] {
            let mut document = example::document();
            document.run.name = Some(formula.to_owned());
            document.run.id = Some(formula.to_owned());
            document.stages[0].name = formula.to_owned();
            document.clients.errors = Some([(formula.to_owned(), 1)].into());
            let bytes = write(&[document]).unwrap();
            for record in csv::Reader::from_reader(&bytes[..]).records() {
                for (place, cell) in record.unwrap().iter().enumerate() {
                    assert!(!cell.starts_with(['=', '+', '@', '\t', '\r', '\n']), "{formula:?}: {cell:?}");
                    assert!(!cell.starts_with('-') || COLUMNS[place] == "value", "{formula:?}: {cell:?}");
                }
            }
        }
    }
}
