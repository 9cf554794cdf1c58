//! What the user typed after `mqpub`.

use std::ffi::OsString;

use clap::Parser;

use super::connect_plan::topic_of_url;
use super::connection::Positions;
use super::reading::{self, Reading, ToolOptions};
use super::{
    ConnectionOptions, Environment, GeneralOptions, MessageOptions, PUBLISH, PropertyOptions, TlsOptions, Tool,
    UsageError, WillOptions,
};

/// The options of mqpub.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "mqpub",
    version,
    about = "Publish MQTT messages",
    long_about = "Publishes messages to an MQTT broker, from the command line, files or stdin, and takes the options of \
                  mosquitto_pub. It exits with 0 when the broker took every message: at QoS 1 and 2 that means \
                  acknowledged, not only written.",
    max_term_width = 98,
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct PublishOptions {
    /// What is sent where.
    #[command(flatten)]
    pub message: MessageOptions,
    /// Where the broker is.
    #[command(flatten)]
    pub connection: ConnectionOptions,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// The will.
    #[command(flatten)]
    pub will: WillOptions,
    /// Properties of MQTT 5.
    #[command(flatten)]
    pub properties: PropertyOptions,
    /// Diagnostics, options file, help.
    #[command(flatten)]
    pub general: GeneralOptions,
}

impl PublishOptions {
    /// Reads argv, the program's name included, with the options files in front of it.
    pub fn read(
        environment: &Environment,
        argv: impl IntoIterator<Item = OsString>,
    ) -> Result<Reading<Self>, UsageError> {
        reading::read(environment, argv)
    }
}

impl ToolOptions for PublishOptions {
    const TOOL: &'static Tool = &PUBLISH;

    fn note_positions(&mut self, positions: Positions) {
        self.connection.positions = positions;
    }

    fn note_compatibility(&mut self) {
        self.general.compat = true;
        self.connection.compat = true;
    }

    fn faults(&self) -> Vec<String> {
        match topic_of_url(&self.connection) {
            Ok(topic) => self.message.faults(topic.as_deref()),
            Err(fault) => vec![fault],
        }
    }
}
