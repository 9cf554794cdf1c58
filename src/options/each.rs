//! What mqsub does with each message besides printing it: a command, a file.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::command_line::CommandLine;
use super::values::whole_number;

/// Most commands at a time.
const MOST_JOBS: usize = 1024;

/// What is done with each message.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Each message")]
pub struct EachOptions {
    /// Run COMMAND for each message, with the payload on its stdin.
    ///
    /// No shell reads COMMAND: it is split at blanks outside of quotes. In its arguments {topic}, {topic[1]} (a level
    /// of the topic, from 1), {qos} and {retain} (0 or 1) are replaced; {{topic}} stays {topic}. The environment has
    /// MQTT_TOPIC, MQTT_QOS and MQTT_RETAIN, which is how a shell gets at them: sh -c 'echo "$MQTT_TOPIC"'. A
    /// placeholder in the script of a shell is an error.
    ///
    /// A topic stays one argument and never becomes an option: where it would begin an argument with - and no "--" stands
    /// before that, or lacks the level asked for, the command does not run and counts as failed. A topic may contain ..
    /// and /: check it before you use it as a path.
    ///
    /// A message is acknowledged after its command has ended, whatever its status; with --jobs 1 one command follows
    /// the other in the order of the messages. While commands are behind nothing more is read from the broker. Nothing
    /// is printed unless -v, -F, --json, -w or --message-rate is given too; the stdout of the commands is that of
    /// mqsub. If a command has failed, mqsub ends with status 1 and a count. At a signal no further command starts, the
    /// signal is passed on, and mqsub waits for those that run.
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true, value_hint = ValueHint::CommandString,
          value_parser = CommandLine::parse)]
    pub run: Option<CommandLine>,

    /// Run up to COUNT commands of --run at a time [default: 1].
    #[arg(long, value_name = "COUNT", value_parser = jobs)]
    pub jobs: Option<NonZeroUsize>,

    /// Write the last payload of each topic to a file in DIR.
    ///
    /// DIR is created if it does not exist; a folder with other files in it is refused. The name of a file is the topic
    /// with every byte but a-z, A-Z, 0-9, - _ . = + @ and , in percent-encoding, as in sensor%2Fkitchen; any URL
    /// decoder gives the topic back. So are a dot at the beginning or the end, a - at the beginning, the first letter
    /// of a name that Windows reserves, and capital letters where the file system ignores case. A name above 255 bytes
    /// is cut and ends with %~ and a hash of the topic.
    ///
    /// A file appears at once and complete, under its name only when all of it is written; links that somebody has put
    /// there are replaced, not followed. A message is acknowledged after it was written. Nothing is printed unless -v,
    /// -F, --json, -w or --message-rate is given too.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub to_dir: Option<PathBuf>,

    /// With --to-dir: a file per topic with the last payload, or a file per message [default: topic].
    ///
    /// The name of a message's file begins with the time of its receipt and its number, as in
    /// 20261126T181502.123456Z-000001-sensor%2Fkitchen.
    #[arg(long, value_name = "WHAT", value_enum)]
    pub to_dir_per: Option<FilePer>,
}

/// What gets a separate file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FilePer {
    /// Each topic.
    #[default]
    Topic,
    /// Each message.
    Message,
}

fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    match whole_number(text).and_then(NonZeroUsize::new) {
        Some(jobs) if jobs.get() <= MOST_JOBS => Ok(jobs),
        _ => Err(format!("must be a whole number from 1 to {MOST_JOBS}")),
    }
}

impl EachOptions {
    /// What is wrong within the group.
    pub(super) fn faults(&self) -> Vec<String> {
        let Self { run, jobs, to_dir, to_dir_per } = self;
        let mut faults = Vec::new();
        if jobs.is_some() && run.is_none() {
            faults.push("--jobs needs --run COMMAND".into());
        }
        if to_dir_per.is_some() && to_dir.is_none() {
            faults.push("--to-dir-per needs --to-dir DIR".into());
        }
        faults
    }
}
