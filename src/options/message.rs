//! The message group of mqpub, and the request group of mqrr: what is sent where, and how often.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueHint};

use super::values::{duration, positive_count, qos};
use crate::mqtt::{QoS, check_sent_topic_name};

/// The message and its topic.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Message")]
pub struct MessageOptions {
    /// Topic to publish to.
    #[arg(short, long, value_name = "TOPIC", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub topic: Option<String>,

    /// Send TEXT as the message.
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true, value_hint = ValueHint::Other,
          value_parser = OsStringValueParser::new().map(|text| Bytes::from(text.into_encoded_bytes())))]
    pub message: Option<Bytes>,

    /// Send the contents of FILE, which may be a pipe; with -l, send each of its lines.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,

    /// Send each line of stdin as a message.
    #[arg(short = 'l', long)]
    pub stdin_line: bool,

    /// Send all of stdin as one message.
    #[arg(short, long)]
    pub stdin_file: bool,

    /// Send an empty message; with -r, this removes the retained message.
    #[arg(short, long)]
    pub null_message: bool,

    /// QoS of the message.
    #[arg(short, long, value_name = "QOS", default_value = "0", value_parser = qos)]
    pub qos: QoS,

    /// Send the message COUNT times, each after the previous one completes.
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = positive_count)]
    pub repeat: u64,

    /// Wait TIME between repetitions.
    #[arg(long, value_name = "TIME", default_value = "0s", allow_hyphen_values = true, value_parser = duration)]
    pub repeat_delay: Duration,
}

/// What applies to a message but not to a request.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Message")]
pub struct RetainOptions {
    /// Ask the broker to keep the message for later subscribers.
    #[arg(short, long)]
    pub retain: bool,
}

/// There is to be one payload and no more; a file may be sent line by line.
fn fault_of_payloads(given: [(bool, &str); 5]) -> Option<String> {
    let given: Vec<&str> = given.into_iter().filter_map(|(given, letter)| given.then_some(letter)).collect();
    match given.as_slice() {
        [] => Some("no message given: add -m TEXT, -f FILE, -l, -s or -n".into()),
        [_] | ["-f", "-l"] => None,
        more => Some(format!("only one message source can be used, not {}", more.join(" and "))),
    }
}

impl MessageOptions {
    /// What is wrong within the group of a `noun` topic; `topic_of_url` is what `-L` brings.
    pub(super) fn faults(&self, topic_of_url: Option<&str>, noun: &str) -> Vec<String> {
        let Self { message, file, stdin_line, stdin_file, null_message, .. } = self;
        let mut faults: Vec<String> = fault_of_payloads([
            (message.is_some(), "-m"),
            (file.is_some(), "-f"),
            (*stdin_line, "-l"),
            (*stdin_file, "-s"),
            (*null_message, "-n"),
        ])
        .into_iter()
        .collect();
        if *stdin_line && self.repeat > 1 {
            faults.push("--repeat cannot be used with -l".into());
        }
        match self.topic.as_deref().or(topic_of_url) {
            None => faults.push("no topic given: add -t TOPIC".into()),
            Some(topic) => {
                if let Err(error) = check_sent_topic_name(topic) {
                    faults.push(format!("invalid {noun} topic '{topic}': {error}"));
                }
            }
        }
        faults
    }
}
