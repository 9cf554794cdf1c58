//! What mqpub is to do: plain data, made of the options.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::summary::SummaryFormat;
use crate::client::{ConnectPlan, LogStream};
use crate::mqtt::{Message, Properties, QoS};
use crate::options::{
    ClientGroups, Environment, GeneralOptions, MessageOptions, PUBLISH, PublishOptions, ReportOptions, RetainOptions,
    SummaryName, UsageError, fault_of_plan,
};

/// mosquitto_pub waits for an acknowledgement as long as the connection stands.
const FOREVER: Duration = Duration::from_secs(1_000 * 86_400);

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
    /// What the options say; they were checked.
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
    /// The broker, and how to speak to it.
    pub connect: ConnectPlan,
    /// Topic, QoS, retain and properties of every message; its payload is empty.
    pub message: Message,
    /// Where payloads come from.
    pub source: PayloadSource,
    /// How often the message is sent; 1 with lines.
    pub repeat: u64,
    /// Least time between the end of one repetition and the next.
    pub repeat_delay: Duration,
    /// Properties of DISCONNECT.
    pub disconnect_properties: Properties,
    /// Give up when so long nothing was acknowledged, or taken by the socket, of what is under way.
    pub patience: Duration,
    /// How many `-d` were given.
    pub debug: u8,
    /// Where the log of `-d` goes.
    pub log: LogStream,
    /// No errors on stderr while running.
    pub quiet: bool,
    /// The figures to say on stderr at the end.
    pub summary: Option<SummaryFormat>,
    /// mosquitto_pub's output, errors and exit status.
    pub compat: bool,
}

impl PublishPlan {
    /// What the options mean.
    ///
    /// # Errors
    /// All faults at once.
    pub fn new(options: &PublishOptions, environment: &Environment) -> Result<Self, UsageError> {
        let plan = Self::of_options(options, environment);
        if options.general.compat {
            let GeneralOptions { quiet, .. } = options.general;
            plan.map_err(|error| fault_of_plan(error, &options.message, quiet, environment))
        } else {
            plan
        }
    }

    fn of_options(options: &PublishOptions, environment: &Environment) -> Result<Self, UsageError> {
        let PublishOptions { message, retain, connection, retry, tls, will, properties, report, general } = options;
        let ReportOptions { summary } = report;
        let GeneralOptions { debug, quiet, compat, .. } = general;
        let groups = ClientGroups { connection, retry, tls, will, properties };
        let (connect, ()) = groups.plan_with(&PUBLISH, environment, Ok(()))?;
        let commands = properties.by_command().map_err(|faults| UsageError::new(PUBLISH.name, faults))?;
        let MessageOptions { topic, qos, repeat, repeat_delay, .. } = message;
        let source = PayloadSource::of(message);
        let RetainOptions { retain } = retain;
        let message = Message {
            topic: topic.clone().or_else(|| connect.topic_of_url.clone()).unwrap_or_default(),
            payload: Bytes::new(),
            qos: *qos,
            retain: *retain,
            properties: commands.publish,
        };
        Ok(Self {
            connect,
            message,
            source,
            repeat: *repeat,
            repeat_delay: *repeat_delay,
            disconnect_properties: commands.disconnect,
            patience: if *compat { FOREVER } else { connection.connect_timeout },
            debug: *debug,
            log: if *compat { LogStream::Stdout } else { LogStream::Stderr },
            quiet: *quiet,
            summary: summary.map(|name| match name {
                SummaryName::Json => SummaryFormat::Json,
                SummaryName::Text => SummaryFormat::Text,
            }),
            compat: *compat,
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
