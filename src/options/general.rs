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
