//! `--template`: topics and payloads with placeholders.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::line_fault::{LineFault, topic_of};
use crate::options::{Environment, TemplateOptions};
use crate::template::{Context, MessageTemplate, Scope, Table, TableError, Template};

/// What is mixed with the seed for payloads, so that a topic and its payload are drawn apart.
const OF_PAYLOAD: u64 = 0x7061_796c_6f61_6421;

/// Templates, and what they take values from.
#[derive(Clone, Debug)]
pub(super) struct TemplateForm {
    topics: Vec<MessageTemplate>,
    /// The template of each payload; none where each line, or the content of a file, is one.
    payload: Option<MessageTemplate>,
    table: Arc<Table>,
    seed: u64,
    /// The last line that was a template, which is the next one too where a message is repeated.
    compiled: Option<(Bytes, MessageTemplate)>,
}

impl TemplateForm {
    /// Reads what the options name; `text` is `-m`.
    ///
    /// # Errors
    /// All faults.
    pub(super) fn new(
        options: &TemplateOptions,
        topics: &[String],
        text: Option<&Bytes>,
        sends_lines: bool,
        environment: &Environment,
    ) -> Result<Self, Vec<String>> {
        let TemplateOptions { template: _, csv, seed } = options;
        let mut faults = Vec::new();
        let table = match csv {
            None => Table::default(),
            Some(file) => {
                let table = std::fs::File::open(file).map_err(|error| error.to_string());
                let table = table.and_then(|file| Table::read(file).map_err(|error: TableError| error.to_string()));
                table.unwrap_or_else(|error| {
                    faults.push(format!("--csv {}: {error}", file.display()));
                    Table::default()
                })
            }
        };
        // With columns that are not known nothing can be said about placeholders.
        if !faults.is_empty() {
            return Err(faults);
        }
        let seed = seed.unwrap_or_else(|| environment.random());
        let scope = Scope::Message { columns: table.columns(), has_line: sends_lines && text.is_some() };
        let of_topic = Scope::Message { columns: table.columns(), has_line: sends_lines };
        let mut read = |option: &str, text: &str, scope: Scope<'_>, seed: u64| {
            let template = Template::in_scope(text, scope, seed);
            template.map_err(|error| faults.push(format!("{option} {text}: {error}"))).ok().map(Template::for_messages)
        };
        let topics = topics.iter().filter_map(|topic| read("-t", topic, of_topic, seed)).collect();
        let payload = match text.map(|text| std::str::from_utf8(text)) {
            None => None,
            Some(Ok(text)) => read("-m", text, scope, seed ^ OF_PAYLOAD),
            Some(Err(_)) => {
                faults.push("-m: a template must be UTF-8".into());
                None
            }
        };
        let table = Arc::new(table);
        if faults.is_empty() { Ok(Self { topics, payload, table, seed, compiled: None }) } else { Err(faults) }
    }

    /// How many rows there are, where there is a table.
    pub(super) fn rows(&self) -> Option<u64> {
        (self.table.len() > 0).then_some(self.table.len() as u64)
    }

    /// The topics and the payload of a message.
    pub(super) fn fill(&mut self, sequence: u64, line: &Bytes) -> Result<(Vec<String>, Bytes), LineFault> {
        // 0 for a clock before 1970.
        let unix_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        let Self { topics, payload, table, seed, compiled } = self;
        let context = Context { sequence, place: sequence, unix_ns, row: table.row(sequence), line };
        let topic = |template: &MessageTemplate| {
            let mut topic = Vec::new();
            template.append(&context, &mut topic);
            topic_of(topic)
        };
        let topics = topics.iter().map(topic).collect::<Result<_, _>>()?;
        let template = match (payload, compiled) {
            (Some(template), _) => template,
            (None, Some((text, template))) if text == line => template,
            (None, compiled) => {
                let text = std::str::from_utf8(line).map_err(|_| LineFault::TemplateNotUtf8)?;
                let scope = Scope::Message { columns: table.columns(), has_line: false };
                let template = Template::in_scope(text, scope, *seed ^ OF_PAYLOAD)?.for_messages();
                &mut compiled.insert((line.clone(), template)).1
            }
        };
        let mut payload = Vec::new();
        template.append(&context, &mut payload);
        Ok((topics, payload.into()))
    }
}
