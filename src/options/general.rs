//! The general group: what every client tool has.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueHint};

use crate::client::Policy;

/// Diagnostics, options file, help.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "General")]
pub struct GeneralOptions {
    /// Log each packet to stderr; -dd also dumps its bytes.
    #[arg(short, long, action = ArgAction::Count)]
    pub debug: u8,

    /// Print no errors at run time; the exit status still reports failure.
    #[arg(long)]
    pub quiet: bool,

    /// Read options from FILE, one per line, instead of the default options files.
    ///
    /// A line is an option, a space and its value, without quotes. A # in the first column starts a comment. The
    /// command line overrides the file.
    #[arg(short = 'o', value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub options_file: Option<PathBuf>,

    /// Use the options of the profile NAME in ~/.config/mqtools/profiles.toml; may be repeated.
    ///
    /// A profile is a section of that TOML file, as in [prod]. Its keys are the long names of options without the
    /// dashes: host = "broker.example", tls = true, topic = ["a", "b"]. inherits = "NAME" takes over another profile. A
    /// section [prod.mqsub] is for one tool. A file is relative to the folder of the profiles. The command line
    /// overrides profiles, and profiles override options files.
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other)]
    pub profile: Vec<String>,

    /// Print the options that are in effect and where each comes from, secrets masked, and exit.
    #[arg(long)]
    pub show_config: bool,

    /// Where the tool behaves as mosquitto's client: it was called by that name, or with --compat.
    #[arg(skip)]
    pub policy: Policy,

    /// Print help.
    #[arg(long, action = ArgAction::HelpShort)]
    pub help: Option<bool>,

    /// Print version.
    #[arg(long, action = ArgAction::Version)]
    pub version: Option<bool>,
}
