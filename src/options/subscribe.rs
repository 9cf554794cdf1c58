//! What the user typed after `mqsub`.

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use super::compat::{self, ClientOptions, Translation};
use super::connect_plan::{topic_of_url, version};
use super::connection::Positions;
use super::explore::OtherOptions;
use super::profile;
use super::reading::{Reading, ToolOptions};
use super::sections;
use super::{
    CheckOptions, ConditionOptions, ConnectionOptions, EachOptions, Environment, ExploreOptions, GeneralOptions,
    OutputOptions, PropertyOptions, ReadyOptions, RecordOptions, RetryOptions, ScreenOptions, SubscriptionOptions,
    TlsOptions, Tool, UsageError, WillOptions,
};
use crate::client::mosquitto::MosquittoClient;

/// mqsub.
pub static SUBSCRIBE: Tool = Tool {
    name: "mqsub",
    mosquitto_name: Some("mosquitto_sub"),
    replaces_topics: false,
    sections: sections::SUBSCRIBE,
    definition: <SubscribeOptions as CommandFactory>::command,
    profile_reader: Some(profile::read),
};

/// The options of mqsub.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "mqsub",
    version,
    about = "Subscribe to MQTT topics and print the messages",
    long_about = "Subscribes to topics of an MQTT broker and prints each message to stdout as it arrives. It accepts the \
                  options of mosquitto_sub. A message is acknowledged after it was written to stdout. If the connection \
                  is lost, mqsub reconnects.",
    max_term_width = 98,
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct SubscribeOptions {
    /// Which messages, and when to stop.
    #[command(flatten)]
    pub subscription: SubscriptionOptions,
    /// What messages must hold, and what must come in which time.
    #[command(flatten)]
    pub conditions: ConditionOptions,
    /// How a message is printed.
    #[command(flatten)]
    pub output: OutputOptions,
    /// What is shown in place of messages.
    #[command(flatten)]
    pub screen: ScreenOptions,
    /// The topic explorer.
    #[command(flatten)]
    pub explore: ExploreOptions,
    /// Recording.
    #[command(flatten)]
    pub record: RecordOptions,
    /// Each message.
    #[command(flatten)]
    pub each: EachOptions,
    /// Readiness.
    #[command(flatten)]
    pub ready: ReadyOptions,
    /// Where the broker is.
    #[command(flatten)]
    pub connection: ConnectionOptions,
    /// Retries.
    #[command(flatten)]
    pub retry: RetryOptions,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// The will.
    #[command(flatten)]
    pub will: WillOptions,
    /// Properties of MQTT 5.
    #[command(flatten)]
    pub properties: PropertyOptions,
    /// Whether the tool only checks.
    #[command(flatten)]
    pub check: CheckOptions,
    /// Diagnostics, options file, help.
    #[command(flatten)]
    pub general: GeneralOptions,
}

impl SubscribeOptions {
    /// Reads argv, the program's name included, with the options files in front of it.
    pub fn read(
        environment: &Environment,
        argv: impl IntoIterator<Item = OsString>,
    ) -> Result<Reading<Self>, UsageError> {
        compat::read(environment, argv)
    }
}

impl ClientOptions for SubscribeOptions {
    const CLIENT: MosquittoClient = MosquittoClient::Subscribe;

    fn of(given: &mut Translation) -> Self {
        Self {
            subscription: given.subscription(),
            conditions: ConditionOptions::default(),
            output: given.output(),
            screen: given.screen(),
            explore: ExploreOptions::default(),
            record: RecordOptions::default(),
            each: EachOptions::default(),
            ready: ReadyOptions::default(),
            connection: given.connection(),
            retry: RetryOptions::default(),
            tls: given.tls(),
            will: given.will(),
            properties: given.properties(),
            check: CheckOptions::default(),
            general: given.general(),
        }
    }
}

impl ToolOptions for SubscribeOptions {
    const TOOL: &'static Tool = &SUBSCRIBE;

    fn note_positions(&mut self, positions: Positions) {
        self.connection.positions = positions;
    }

    fn note_warnings(&mut self, warnings: Vec<String>) {
        self.connection.warnings = warnings;
    }

    fn faults(&self) -> Vec<String> {
        if self.check.check.is_some() {
            return Vec::new();
        }
        // A contradiction about the version is reported by the connection plan.
        let version = version(&self.connection, &self.properties, &mut Vec::new());
        let mut faults = match topic_of_url(&self.connection) {
            Ok(topic) => self.subscription.faults(topic.as_deref(), version, !self.explore.tree),
            Err(fault) => vec![fault],
        };
        faults.extend(self.conditions.faults());
        faults.extend(self.output.faults(&self.screen));
        faults.extend(self.record.faults());
        faults.extend(self.each.faults());
        faults.extend(self.explore.faults(OtherOptions {
            subscription: &self.subscription,
            conditions: &self.conditions,
            output: &self.output,
            screen: &self.screen,
            record: &self.record,
            each: &self.each,
            ready: &self.ready,
        }));
        faults
    }
}
