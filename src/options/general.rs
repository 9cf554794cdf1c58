//! The general group: what every client tool has.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueHint};

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

    /// The tool was called by mosquitto's name or with --compat: mosquitto's output, log, errors and exit status.
    #[arg(skip)]
    pub compat: bool,

    /// Print help.
    #[arg(long, action = ArgAction::HelpShort)]
    pub help: Option<bool>,

    /// Print version.
    #[arg(long, action = ArgAction::Version)]
    pub version: Option<bool>,
}
