//! What was measured, with what and where: target, plan, machine, program.

use maud::{Markup, html};
use serde_json::Value;

use super::chart::heading;
use super::tables;
use super::text::{name, sentence};
use crate::bench::report::document::ResultDocument;
use crate::terminal::number::{bytes, duration, rate};

/// Settings that are shown.
const MOST_SETTINGS: usize = 200;

type Facts = Vec<(String, String)>;

/// All facts, in four lists.
pub(super) fn facts(document: &ResultDocument, level: u8) -> Markup {
    let mut plan = Facts::new();
    flatten(&document.plan, "", &mut plan);
    let generator = tables::generator(&document.generator);
    let generator = generator.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let lists = [
        ("Broker", target(document)),
        ("Plan", plan),
        ("Machine that made the load", machine(document)),
        ("Load generator", generator),
        ("Program and run", run(document)),
    ];
    html! {
        div class="columns" {
            @for (title, facts) in &lists {
                @if !facts.is_empty() {
                    div {
                        (heading(level, title))
                        dl class="facts" {
                            @for (name, value) in facts.iter().take(MOST_SETTINGS) {
                                div { dt { (name) } dd { (value) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn known(rows: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Facts {
    rows.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

fn target(document: &ResultDocument) -> Facts {
    let (target, broker) = (&document.target, document.target.broker.as_ref());
    let of_broker = |read: fn(&crate::bench::report::BrokerName) -> Option<&String>| broker.and_then(read);
    let tls = target.tls.as_ref();
    let urls = target.urls.iter().take(20).map(|url| name(url)).collect::<Vec<_>>().join(", ");
    let process = document.broker.process.as_ref();
    known([
        ("address", Some(urls).filter(|urls| !urls.is_empty())),
        ("name", of_broker(|broker| broker.name.as_ref()).map(|text| name(text))),
        ("version", of_broker(|broker| broker.version.as_ref()).map(|text| name(text))),
        ("known from", of_broker(|broker| broker.source.as_ref()).map(|text| name(text))),
        ("MQTT", target.protocol.as_deref().map(name)),
        ("transport", target.transport.as_deref().map(name)),
        ("TLS", tls.and_then(|tls| tls.version.as_deref()).map(name)),
        ("cipher", tls.and_then(|tls| tls.cipher.as_deref()).map(name)),
        ("on the same machine", target.same_host.map(yes_or_no)),
        ("process", process.map(|process| name(&process.name))),
        ("CPU", process.and_then(|process| process.cpu_pct).map(crate::terminal::number::percent)),
        ("memory", process.and_then(|process| process.rss_bytes).map(|size| bytes(size as f64))),
    ])
}

fn machine(document: &ResultDocument) -> Facts {
    let env = &document.env;
    known([
        ("host", env.host.as_deref().map(name)),
        ("system", env.os.as_deref().map(name)),
        ("kernel", env.kernel.as_deref().map(name)),
        ("processor", env.cpu_model.as_deref().map(name)),
        ("cores", env.cores.map(|cores| cores.to_string())),
        ("CPU quota", env.cpu_quota_cores.map(|cores| format!("{cores} cores"))),
        ("memory", env.mem_bytes.map(|size| bytes(size as f64))),
        ("virtual machine", env.virt.as_deref().map(name)),
        ("container", env.container.map(yes_or_no)),
        ("clock", env.clocksource.as_deref().map(name)),
        ("governor", env.governor.as_deref().map(name)),
        ("open files", env.nofile.map(crate::terminal::number::grouped)),
        ("local ports", env.ip_port_range.map(|[first, last]| format!("{first} to {last}"))),
    ])
}

fn run(document: &ResultDocument) -> Facts {
    let (tool, run) = (&document.tool, &document.run);
    let mut facts = known([
        ("program", Some(name(&format!("{} {}", tool.name, tool.version)))),
        ("commit", tool.git.as_deref().map(name)),
        ("compiler", tool.rustc.as_deref().map(name)),
        ("started", run.started_at.as_deref().map(name)),
        ("run", run.id.as_deref().map(name)),
        ("seed", run.seed.map(|seed| seed.to_string())),
        ("hash of the plan", run.plan_hash.as_deref().map(name)),
        ("processes", run.shards.map(|shards| shards.to_string())),
    ]);
    facts.extend(run.labels.iter().map(|(key, value)| (format!("label {}", name(key)), name(value))));
    facts
}

/// The settings of a plan by name, those within others joined by points.
fn flatten(value: &Value, path: &str, facts: &mut Facts) {
    if facts.len() >= MOST_SETTINGS {
        return;
    }
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Null => {}
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flatten(value, &below(key), facts)),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().for_each(|(place, item)| flatten(item, &below(&(place + 1).to_string()), facts));
        }
        Value::Array(items) if items.is_empty() => {}
        value => {
            // A name ends with its unit, which the value then has.
            let shown =
                path.strip_suffix("_ns").or_else(|| path.strip_suffix("_s").filter(|_| !path.ends_with("per_s")));
            facts.push((name(&shown.unwrap_or(path).replace('_', " ")), value_text(path, value)));
        }
    }
}

fn value_text(path: &str, value: &Value) -> String {
    match value {
        Value::String(text) => sentence(text),
        Value::Bool(value) => yes_or_no(*value),
        Value::Number(number) if path.ends_with("_ns") => number.as_u64().map_or_else(|| number.to_string(), duration),
        Value::Number(number) if path.ends_with("_s") && !path.ends_with("per_s") => format!("{number} s"),
        Value::Number(number) => match number.as_f64() {
            Some(value) if path.ends_with("rate") || path.ends_with("per_s") => format!("{}/s", rate(value)),
            _ => number.to_string(),
        },
        other => sentence(&other.to_string()),
    }
}
