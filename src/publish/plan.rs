//! What mqpub is to do: plain data, made of the options.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::summary::SummaryFormat;
use crate::client::ClientPlan;
use crate::mqtt::{Message, QoS};
use crate::options::{
    ClientGroups, Environment, MessageOptions, PUBLISH, PublishOptions, ReportOptions, RetainOptions, SummaryName,
    UsageError, fault_of_plan,
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
    Lines(LineInput),
}

impl PayloadSource {
    /// What the options ask for; they were checked.
    pub(crate) fn of(options: &MessageOptions) -> Self {
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
        match (text, file) {
            (Some(text), _) => Self::Text(text.clone()),
            (None, Some(file)) if *stdin_line => Self::Lines(LineInput::File(file.clone())),
            (None, Some(file)) => Self::File(file.clone()),
            (None, None) if *stdin_line => Self::Lines(LineInput::Stdin),
            (None, None) if *stdin_file => Self::Stdin,
            (None, None) => Self::Text(Bytes::new()),
        }
    }

    /// What lines come from, for errors.
    pub(crate) fn input_name(&self) -> String {
        match self {
            Self::Lines(LineInput::File(file)) => format!("the file '{}'", file.display()),
            _ => "stdin".to_owned(),
        }
    }
}

/// Where lines come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineInput {
    /// stdin.
    Stdin,
    /// A file, which may be a pipe.
    File(PathBuf),
}

/// What mqpub is to do.
#[derive(Clone, Debug)]
pub struct PublishPlan {
    /// The broker, and what every client does.
    pub client: ClientPlan,
    /// Topic, QoS, retain and properties of every message; its payload is empty.
    pub message: Message,
    /// Where payloads come from.
    pub source: PayloadSource,
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
        let PublishOptions { message, retain, connection, retry, tls, will, properties, report, check: _, general } =
            options;
        let ReportOptions { summary } = report;
        let groups = ClientGroups { connection, retry, tls, will, properties, general };
        let (client, commands, ()) = groups.plan_with(&PUBLISH, environment, Ok(()))?;
        let MessageOptions { topic, qos, repeat, repeat_delay, .. } = message;
        let source = PayloadSource::of(message);
        let RetainOptions { retain } = retain;
        let message = Message {
            topic: topic.clone().or_else(|| client.connect.topic_of_url.clone()).unwrap_or_default(),
            payload: Bytes::new(),
            qos: *qos,
            retain: *retain,
            properties: commands.publish,
        };
        Ok(Self {
            client,
            message,
            source,
            repeat: *repeat,
            repeat_delay: *repeat_delay,
            summary: summary.map(|name| match name {
                SummaryName::Json => SummaryFormat::Json,
                SummaryName::Text => SummaryFormat::Text,
            }),
        })
    }

    /// Whether each line of an input is a message.
    pub const fn sends_lines(&self) -> bool {
        matches!(self.source, PayloadSource::Lines(_))
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
