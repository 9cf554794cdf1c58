//! The readiness group of mqsub: how another program learns that the subscriptions stand.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::command_line::CommandLine;
use super::values::whole_number;

/// What happens when the broker has answered every SUBSCRIBE.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Readiness")]
pub struct ReadyOptions {
    /// Run COMMAND once subscribed; if it fails, mqsub exits with its status.
    ///
    /// No shell reads COMMAND: it is split at blanks outside of quotes; use "sh -c '...'" where you want a shell. Its
    /// stdin is /dev/null, and its stdout goes to stderr, so that stdout has only the messages. It runs once, even if
    /// the connection is lost and made again.
    ///
    /// Without an option that ends the run by its messages (-C, -E, --retained-only, --once, --until, --expect,
    /// --silent-after), mqsub exits when the command has ended and the messages that it published have come. With one
    /// of them it exits when that condition is met and the command has ended. A command that fails ends it at once. A
    /// command that a signal ends counts as 128 plus the number of the signal. SIGINT, SIGTERM and SIGHUP are passed on
    /// to the command and its children; when something else ends the run, such as -W, they get SIGTERM. If the command
    /// still runs 5 s later, it is killed.
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true, value_hint = ValueHint::CommandString,
          value_parser = CommandLine::parse)]
    pub exec: Option<CommandLine>,

    /// Write a line to file descriptor N once subscribed, and close it.
    ///
    /// The descriptor must be open when mqsub starts, as after 3>fifo in a shell. It may be a pipe, a socket or a file.
    #[arg(long, value_name = "N", value_parser = descriptor)]
    pub ready_fd: Option<i32>,

    /// Create FILE once subscribed, and remove it at the end.
    ///
    /// It exists as long as the subscriptions stand: it is removed when the connection is lost, and created again. A
    /// file that exists at the start is an error.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ready_file: Option<PathBuf>,
}

fn descriptor(text: &str) -> Result<i32, String> {
    match whole_number(text) {
        Some(number @ 1..=1_048_576) => Ok(number),
        _ => Err("must be the number of an open file descriptor, as in 3".into()),
    }
}
