//! What the user typed after `mqsub`.

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use super::compat::{self, ClientOptions, Translation};
use super::connect_plan::{topic_of_url, version};
use super::explore::OtherOptions;
use super::profile;
use super::reading::{Reading, ToolOptions};
use super::sections;
use super::{
    CheckOptions, ClientGroups, ConditionOptions, ConnectionOptions, EachOptions, Environment, ExploreOptions,
    GeneralOptions, OutputOptions, ReadyOptions, RecordOptions, ScreenOptions, SubscriptionOptions, Tool, UsageError,
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
    /// The client: broker, retries, TLS, will, properties.
    #[command(flatten)]
    pub client: ClientGroups,
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
            client: ClientGroups::of(given),
            check: CheckOptions::default(),
            general: given.general(),
        }
    }
}

impl ToolOptions for SubscribeOptions {
    const TOOL: &'static Tool = &SUBSCRIBE;

    fn connection(&mut self) -> Option<&mut ConnectionOptions> {
        Some(&mut self.client.connection)
    }

    fn faults(&self) -> Vec<String> {
        if self.check.check.is_some() {
            return Vec::new();
        }
        // A contradiction about the version is reported by the connection plan.
        let version = version(&self.client.connection, &self.client.properties, &mut Vec::new());
        let mut faults = match topic_of_url(&self.client.connection) {
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
