//! What the user typed after `mqpub`.

use std::ffi::OsString;

use clap::{Args, CommandFactory, Parser, ValueEnum};

use super::compat::{self, ClientOptions, Translation};
use super::connect_plan::topic_of_url;
use super::message::Sources;
use super::profile;
use super::reading::{Reading, ToolOptions};
use super::sections;
use super::{
    CheckOptions, ClientGroups, ConnectionOptions, DeliveryOptions, Environment, GeneralOptions, InputOptions,
    MessageOptions, RetainOptions, TemplateOptions, Tool, UsageError,
};
use crate::client::mosquitto::MosquittoClient;

/// mqpub.
pub static PUBLISH: Tool = Tool {
    name: "mqpub",
    mosquitto_name: Some("mosquitto_pub"),
    replaces_topics: true,
    sections: sections::PUBLISH,
    definition: <PublishOptions as CommandFactory>::command,
    profile_reader: Some(profile::read),
};

/// The options of mqpub.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "mqpub",
    version,
    about = "Publish MQTT messages",
    long_about = "Publishes messages to an MQTT broker, from the command line, files or stdin. It accepts the options of \
                  mosquitto_pub. The exit status is 0 if every message was sent and, at QoS 1 and 2, acknowledged.",
    max_term_width = 98,
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct PublishOptions {
    /// The message and its topic.
    #[command(flatten)]
    pub message: MessageOptions,
    /// Whether the broker keeps it.
    #[command(flatten)]
    pub retain: RetainOptions,
    /// What is asked of the broker for each message.
    #[command(flatten)]
    pub delivery: DeliveryOptions,
    /// How lines become messages.
    #[command(flatten)]
    pub input: InputOptions,
    /// Placeholders in topics and messages.
    #[command(flatten)]
    pub templates: TemplateOptions,
    /// The client: broker, retries, TLS, will, properties.
    #[command(flatten)]
    pub client: ClientGroups,
    /// The summary at the end.
    #[command(flatten)]
    pub report: ReportOptions,
    /// Whether the tool only checks.
    #[command(flatten)]
    pub check: CheckOptions,
    /// Diagnostics, options file, help.
    #[command(flatten)]
    pub general: GeneralOptions,
}

/// The summary at the end.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct ReportOptions {
    /// Print a summary to stderr at the end.
    ///
    /// json prints one object on one line: messages, sent, acknowledged (null at QoS 0), refused, refused_by_reason,
    /// unacknowledged, without_subscriber, downgraded, retried, maybe_duplicated, reconnects, input_read (false if the
    /// rest of the input was not read and is not counted; null without an input), bad_lines (lines that are not
    /// messages), lateness_ms (of --replay: p50, p99 and max of how late messages were sent; else null), seconds, rate
    /// (messages per second) and exit_status.
    /// text prints one line for people. The summary is also printed on failure, on Ctrl-C and with --quiet.
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub summary: Option<SummaryName>,
}

/// How the summary is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SummaryName {
    /// One JSON object.
    Json,
    /// One line for people.
    Text,
}

impl PublishOptions {
    /// Reads argv, the program's name included, with the options files in front of it.
    pub fn read(
        environment: &Environment,
        argv: impl IntoIterator<Item = OsString>,
    ) -> Result<Reading<Self>, UsageError> {
        compat::read(environment, argv)
    }
}

impl ClientOptions for PublishOptions {
    const CLIENT: MosquittoClient = MosquittoClient::Publish;

    fn of(given: &mut Translation) -> Self {
        Self {
            message: given.message(),
            retain: given.retain(),
            delivery: DeliveryOptions::default(),
            input: InputOptions::default(),
            templates: TemplateOptions::default(),
            client: ClientGroups::of(given),
            report: ReportOptions::default(),
            check: CheckOptions::default(),
            general: given.general(),
        }
    }
}

impl ToolOptions for PublishOptions {
    const TOOL: &'static Tool = &PUBLISH;

    fn connection(&mut self) -> Option<&mut ConnectionOptions> {
        Some(&mut self.client.connection)
    }

    fn faults(&self) -> Vec<String> {
        if self.check.check.is_some() {
            return Vec::new();
        }
        let topic_of_url = match topic_of_url(&self.client.connection) {
            Ok(topic) => topic,
            Err(fault) => return vec![fault],
        };
        let sources = Sources { topic_of_url: topic_of_url.as_deref(), ..self.input.sources() };
        let is_template = self.templates.template;
        let sources = Sources { is_template, ..sources };
        let mut faults = self.message.faults(sources, "publish");
        faults.extend(self.input.faults(self.message.reads_lines(sources), is_template));
        faults.extend(self.templates.faults(sources.lines));
        faults
    }
}
