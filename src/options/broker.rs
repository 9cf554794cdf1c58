//! What the user typed after `mqbroker`. It follows mosquitto(8), so here `-h` is help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory, Parser, ValueHint};

use super::reading::{self, Reading, ToolOptions};
use super::sections;
use super::values::whole_number;
use super::{Environment, Tool, UsageError, compat};

/// mqbroker.
pub static BROKER: Tool = Tool {
    name: "mqbroker",
    mosquitto_name: None,
    replaces_topics: false,
    sections: sections::BROKER,
    definition: <BrokerOptions as CommandFactory>::command,
    profile_reader: None,
};

/// The options of mqbroker.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "mqbroker",
    version,
    about = "A small MQTT broker for tests and development",
    long_about = "Serves MQTT 3.1, 3.1.1 and 5.0 on one port, for tests and development. Without a configuration file it \
                  listens on this machine only and accepts clients without a password.",
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
    /// Port to listen on [default: 1883]; 0 selects a free port and logs it. May be repeated.
    #[arg(short, long, value_name = "PORT", value_parser = listening_port)]
    pub port: Vec<u16>,

    /// Port for MQTT over WebSocket, path /mqtt [default: none]; 0 selects a free port and logs it.
    #[arg(long, value_name = "PORT", value_parser = listening_port)]
    pub ws_port: Option<u16>,

    /// Read the configuration from FILE, in the format of mosquitto.conf.
    ///
    /// It configures listeners with TLS and WebSocket, passwords, access lists, limits, persistence and logging. SIGHUP
    /// reloads passwords, access lists, certificates and log types.
    #[arg(short, long = "config-file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Log each packet, in mosquitto's format; -vv also logs each byte.
    ///
    /// With -vv each packet is followed by its fields, each with its bytes on the wire. Passwords are not shown.
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// Run in the background.
    #[arg(short, long)]
    pub daemon: bool,

    /// Check the configuration and the files it refers to, then exit.
    #[arg(long)]
    pub test_config: bool,

    /// Print help.
    #[arg(short, long, action = ArgAction::HelpShort)]
    pub help: Option<bool>,

    /// Print version.
    #[arg(long, action = ArgAction::Version)]
    pub version: Option<bool>,

    /// The tool was called by mosquitto's name or with --compat: mosquitto's lines and exit status.
    #[arg(skip)]
    pub compat: bool,
}

fn listening_port(text: &str) -> Result<u16, String> {
    whole_number(text).ok_or_else(|| "must be a number from 0 to 65535".into())
}

/// What mqbroker is asked to do.
#[derive(Clone, Debug)]
pub enum BrokerCommand {
    /// Serve, or check what would be served.
    Serve(ListenOptions),
    /// Set a user's password in a password file.
    Passwd {
        /// The file.
        file: PathBuf,
        /// The user.
        user: String,
    },
}

impl BrokerOptions {
    /// Reads argv, the program's name included.
    pub fn read(
        environment: &Environment,
        argv: impl IntoIterator<Item = OsString>,
    ) -> Result<Reading<BrokerCommand>, UsageError> {
        let argv: Vec<OsString> = argv.into_iter().collect();
        if let Some(arguments) = compat::arguments_of("mosquitto", &argv) {
            let argv = [OsString::from(BROKER.name)].into_iter().chain(arguments);
            let reading = reading::read::<Self>(environment, argv).map_err(UsageError::under_mosquittos_name)?;
            return Ok(match reading {
                Reading::Options(options) => {
                    let listen = ListenOptions { compat: true, ..options.listen };
                    Reading::Options(Box::new(BrokerCommand::Serve(listen)))
                }
                Reading::Answer(text) => Reading::Answer(text),
            });
        }
        if argv.get(1).is_some_and(|word| word == "passwd") {
            return passwd(&argv[2..]);
        }
        Ok(match reading::read::<Self>(environment, argv)? {
            Reading::Options(options) => Reading::Options(Box::new(BrokerCommand::Serve(options.listen))),
            Reading::Answer(text) => Reading::Answer(text),
        })
    }
}

const PASSWD_HELP: &str = "\
Set a user's password in a password file

Usage: mqbroker passwd FILE USER

Prompts for the password on a terminal, otherwise reads it from the first line of standard input. Creates FILE if it does
not exist and keeps the other users in it. mosquitto can read the file too. Set password_file in the configuration to use
it; a running broker reloads it on SIGHUP.

  echo \"$PASSWORD\" | mqbroker passwd /etc/mosquitto/passwords ann
";

/// The words behind `mqbroker passwd`.
fn passwd(words: &[OsString]) -> Result<Reading<BrokerCommand>, UsageError> {
    if words.iter().any(|word| word == "--help" || word == "-h") {
        return Ok(Reading::Answer(PASSWD_HELP.to_owned()));
    }
    let fault = |text: &str| UsageError::new(BROKER.name, vec![text.to_owned()]);
    // A third word is a password on the command line, which everybody on the machine can read; it is not repeated.
    let [file, user] = words else {
        let text = "passwd takes a file and a user name: mqbroker passwd FILE USER; it prompts for the password or reads \
                    it from standard input";
        return Err(fault(text));
    };
    let user = user.to_str().ok_or_else(|| fault("passwd: the user name is not valid UTF-8"))?.to_owned();
    Ok(Reading::Options(Box::new(BrokerCommand::Passwd { file: file.into(), user })))
}

impl ToolOptions for BrokerOptions {
    const TOOL: &'static Tool = &BROKER;

    fn faults(&self) -> Vec<String> {
        Vec::new()
    }
}
