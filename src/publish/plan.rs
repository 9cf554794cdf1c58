//! What mqpub is to do: plain data, made of the options.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::compose::{Composer, LineForm, Separator};
use super::input::LineInput;
use super::source::Source;
use super::summary::SummaryFormat;
use super::supply::Supply;
use super::template_form::TemplateForm;
use crate::client::ClientPlan;
use crate::message_json::MessageDefaults;
use crate::mqtt::{Message, ProtocolVersion, QoS, TopicRule};
use crate::options::{
    DeliveryOptions, Environment, InputOptions, MessageOptions, OnErrorName, PUBLISH, PublishOptions, ReportOptions,
    RetainOptions, Speed, SummaryName, UsageError, fault_of_plan,
};

/// Where payloads come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadSource {
    /// The command line; `-n` is an empty one.
    Text(Bytes),
    /// The whole of a file, which may be a pipe.
    File(PathBuf),
    /// The whole of stdin.
    Stdin,
    /// Each line of an input.
    Lines {
        /// Where they come from.
        input: LineInput,
        /// What ends a line: LF, or NUL.
        end: u8,
    },
    /// Each line of a recording.
    Recording(LineInput),
}

impl PayloadSource {
    /// What the options ask for; they were checked.
    pub(crate) fn of(options: &MessageOptions, input: &InputOptions, is_template: bool) -> Self {
        // Whole, so that an option that means nothing does not compile.
        let MessageOptions {
            topic: _,
            message: text,
            file,
            stdin_line,
            stdin_file,
            null_message: _,
            qos: _,
            repeat: _,
            repeat_delay: _,
        } = options;
        let InputOptions { json, topic_sep, null, replay, speed: _, rounds: _, map: _, on_error: _ } = input;
        if let Some(file) = replay {
            let is_stdin = file.as_os_str() == "-";
            return Self::Recording(if is_stdin { LineInput::Stdin } else { LineInput::File(file.clone()) });
        }
        let reads_lines = *stdin_line || *json || topic_sep.is_some();
        let end = if *null { 0 } else { b'\n' };
        match (text, file) {
            // The message may be the template of lines.
            (Some(text), _) if !is_template || !reads_lines => Self::Text(text.clone()),
            (_, Some(file)) if reads_lines => Self::Lines { input: LineInput::File(file.clone()), end },
            (_, Some(file)) => Self::File(file.clone()),
            (_, None) if reads_lines => Self::Lines { input: LineInput::Stdin, end },
            (_, None) if *stdin_file => Self::Stdin,
            (_, None) => Self::Text(Bytes::new()),
        }
    }

    /// What lines come from, for errors.
    pub(crate) fn input_name(&self) -> String {
        match self {
            Self::Lines { input: LineInput::File(file), .. } | Self::Recording(LineInput::File(file)) => {
                format!("the file '{}'", file.display())
            }
            _ => "stdin".to_owned(),
        }
    }
}

/// What mqpub is to do.
#[derive(Clone, Debug)]
pub struct PublishPlan {
    /// The broker, and what every client does.
    pub client: ClientPlan,
    /// Topic, QoS, retain and properties of every message; its payload is empty.
    pub message: Message,
    /// Where each message goes, unless each line names its topic.
    pub topics: Vec<String>,
    /// Where payloads come from.
    pub source: PayloadSource,
    /// What the lines are.
    pub(super) lines: LineForm,
    /// How topics of lines are changed.
    pub rules: Vec<TopicRule>,
    /// How fast a recording is replayed.
    pub speed: Speed,
    /// How often it is replayed; `u64::MAX` is forever.
    pub rounds: u64,
    /// A line that is not a message is passed over, and the others are sent.
    pub skips_bad_lines: bool,
    /// A message that no client is subscribed to makes the run fail.
    pub requires_subscriber: bool,
    /// How many times the message is sent; 1 with lines.
    pub repeat: u64,
    /// Least time between the end of one repetition and the next.
    pub repeat_delay: Duration,
    /// The figures to print on stderr at the end.
    pub summary: Option<SummaryFormat>,
}

impl PublishPlan {
    /// What the options mean.
    ///
    /// # Errors
    /// All faults at once.
    pub fn new(options: &PublishOptions, environment: &Environment) -> Result<Self, UsageError> {
        let plan = Self::of_options(options, environment);
        plan.map_err(|error| fault_of_plan(error, &options.general, Some(&options.message), environment))
    }

    fn of_options(options: &PublishOptions, environment: &Environment) -> Result<Self, UsageError> {
        let PublishOptions { message, retain, delivery, input, templates, client, report, check: _, general } = options;
        let DeliveryOptions { require_subscriber } = delivery;
        let ReportOptions { summary } = report;
        let is_repeat_given = client.connection.positions.has("repeat");
        let (client, commands, ()) = client.plan_with(general, &PUBLISH, environment, Ok(()))?;
        let MessageOptions { topic, qos, repeat, repeat_delay, .. } = message;
        let source = PayloadSource::of(message, input, templates.template);
        let text = message.message.clone();
        let RetainOptions { retain } = retain;
        let version = client.connect.session.version;
        let topics =
            if topic.is_empty() { client.connect.topic_of_url.iter().cloned().collect() } else { topic.clone() };
        let message = Message {
            topic: topics.first().cloned().unwrap_or_default(),
            payload: Bytes::new(),
            qos: *qos,
            retain: *retain,
            properties: commands.publish,
        };
        let (mut lines, mut faults) = line_form(input, &message, &topics, version);
        let mut repeat = *repeat;
        if templates.template {
            let sends_lines = matches!(source, PayloadSource::Lines { .. });
            match TemplateForm::new(templates, &topics, text.as_ref(), sends_lines, environment) {
                Ok(form) => {
                    // One message per row, unless something else says how many.
                    if let Some(rows) = form.rows()
                        && !sends_lines
                        && !is_repeat_given
                    {
                        repeat = rows;
                    }
                    lines = LineForm::Template(Box::new(form));
                }
                Err(more) => faults.extend(more),
            }
        }
        let faults = faults.into_iter().chain(subscriber_faults(
            *require_subscriber,
            matches!(lines, LineForm::Json(_)),
            *qos,
            version,
        ));
        UsageError::check(PUBLISH.name, faults.collect())?;
        Ok(Self {
            client,
            message,
            topics,
            source,
            lines,
            rules: input.map.clone(),
            speed: input.speed.unwrap_or_default(),
            rounds: input.rounds.unwrap_or(1),
            skips_bad_lines: input.on_error == Some(OnErrorName::Skip),
            requires_subscriber: *require_subscriber,
            repeat,
            repeat_delay: *repeat_delay,
            summary: summary.map(|name| match name {
                SummaryName::Json => SummaryFormat::Json,
                SummaryName::Text => SummaryFormat::Text,
            }),
        })
    }

    /// Whether each line of an input is a message.
    pub const fn sends_lines(&self) -> bool {
        matches!(self.source, PayloadSource::Lines { .. } | PayloadSource::Recording(_))
    }

    /// What a message is called, one and many: a line, or a message.
    pub(super) const fn nouns(&self) -> (&'static str, &'static str) {
        match self.source {
            PayloadSource::Lines { end: b'\n', .. } | PayloadSource::Recording(_) => ("line", "lines"),
            PayloadSource::Lines { .. } => ("record", "records"),
            _ => ("message", "messages"),
        }
    }

    /// Whether messages differ in more than their payload.
    pub(super) fn has_various_messages(&self) -> bool {
        self.topics.len() > 1 || !matches!(self.lines, LineForm::Payload)
    }

    /// Whether a message may need room in the window.
    pub(super) fn may_be_acknowledged(&self) -> bool {
        self.is_acknowledged() || matches!(self.lines, LineForm::Json(_))
    }

    /// The messages that the source makes.
    pub(super) fn supply(&self, source: Source) -> Supply {
        let composer = Composer {
            form: self.lines.clone(),
            common: self.message.clone(),
            topics: self.topics.clone(),
            rules: self.rules.clone(),
            needs_answer: self.requires_subscriber,
        };
        let supply = Supply::new(source, composer, matches!(self.lines, LineForm::Json(_)));
        match &self.source {
            PayloadSource::Recording(input) => supply.replaying(input.clone(), self.speed, self.rounds),
            _ => supply,
        }
    }

    /// Whether there is something to read: a file or stdin.
    pub(super) const fn reads_input(&self) -> bool {
        !matches!(self.source, PayloadSource::Text(_))
    }

    /// Whether a message is acknowledged.
    pub fn is_acknowledged(&self) -> bool {
        self.message.qos != QoS::AtMostOnce
    }
}

/// How lines are read, and what of the other options cannot go with that.
fn line_form(
    input: &InputOptions,
    message: &Message,
    topics: &[String],
    version: ProtocolVersion,
) -> (LineForm, Vec<String>) {
    let InputOptions { json, topic_sep, replay, .. } = input;
    if let Some(separator) = topic_sep {
        let fault = "-t cannot be used with --topic-sep: each line names its topic";
        let faults = if topics.is_empty() { Vec::new() } else { vec![fault.to_owned()] };
        return (LineForm::Separated(Separator::new(separator).into()), faults);
    }
    let wants_time = replay.is_some();
    if !*json && !wants_time {
        return (LineForm::Payload, Vec::new());
    }
    let faults = if message.properties.is_empty() {
        Vec::new()
    } else {
        vec!["-D publish cannot be used with lines in JSON: each has its own properties".to_owned()]
    };
    let Message { qos, retain, .. } = *message;
    let defaults = MessageDefaults { topic: topics.first().cloned(), qos, retain, version, wants_time };
    (LineForm::Json(defaults), faults)
}

/// What does not let the broker report subscribers. A line in JSON has its own QoS.
fn subscriber_faults(is_required: bool, is_json: bool, qos: QoS, version: ProtocolVersion) -> Vec<String> {
    let mut faults = Vec::new();
    if is_required && !version.is_v5() {
        faults.push("--require-subscriber needs MQTT 5, in which the broker reports it: add -V 5".to_owned());
    }
    if is_required && qos == QoS::AtMostOnce && !is_json {
        faults.push("--require-subscriber needs an acknowledgement, which QoS 0 has not: add -q 1 or -q 2".to_owned());
    }
    faults
}
