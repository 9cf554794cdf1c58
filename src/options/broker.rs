//! What the user typed after `mqbroker`. It follows mosquitto(8), so here `-h` is help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, ValueHint};

use super::connection::Positions;
use super::reading::{self, Reading, ToolOptions};
use super::values::whole_number;
use super::{BROKER, Environment, Tool, UsageError};

/// The options of mqbroker.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "mqbroker",
    version,
    about = "A small MQTT broker for tests and development",
    long_about = "Serves MQTT 3.1, 3.1.1 and 5.0 on one port, for tests and development. Without a configuration file it \
                  listens on this machine only and asks nobody for a password.",
    max_term_width = 98,
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct BrokerOptions {
    /// Where and how to serve.
    #[command(flatten)]
    pub listen: ListenOptions,
}

/// Where and how to serve.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options")]
pub struct ListenOptions {
    /// Port to listen on [default: 1883]; 0 takes a free one and prints it.
    #[arg(short, long, value_name = "PORT", value_parser = listening_port)]
    pub port: Option<u16>,

    /// Port for MQTT over WebSocket, at the path /mqtt [default: none]; 0 takes a free one and prints it.
    #[arg(long, value_name = "PORT", value_parser = listening_port)]
    pub ws_port: Option<u16>,

    /// Read the configuration from FILE.
    ///
    /// It is written as mosquitto.conf is: "listener PORT [ADDRESS]", below it "protocol websockets" where MQTT over
    /// WebSocket is to be spoken there, "allow_anonymous true".
    #[arg(short, long = "config-file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Log connections, subscriptions and messages.
    #[arg(short, long)]
    pub verbose: bool,

    /// Run in the background; refused for now.
    #[arg(short, long, hide = true)]
    pub daemon: bool,

    /// Print help.
    #[arg(short, long, action = ArgAction::HelpShort)]
    pub help: Option<bool>,

    /// Print version.
    #[arg(long, action = ArgAction::Version)]
    pub version: Option<bool>,
}

fn listening_port(text: &str) -> Result<u16, String> {
    whole_number(text).ok_or_else(|| "a port is a number up to 65535".into())
}

impl BrokerOptions {
    /// Reads argv, the program's name included.
    pub fn read(
        environment: &Environment,
        argv: impl IntoIterator<Item = OsString>,
    ) -> Result<Reading<Self>, UsageError> {
        reading::read(environment, argv)
    }
}

impl ToolOptions for BrokerOptions {
    const TOOL: &'static Tool = &BROKER;

    fn note_positions(&mut self, _: Positions) {}

    fn faults(&self) -> Vec<String> {
        if self.listen.daemon {
            return vec!["-d: running in the background is not built yet; start it with & or from systemd".into()];
        }
        Vec::new()
    }
}
