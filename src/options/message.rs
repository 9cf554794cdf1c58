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
    /// Topic to publish to; if repeated, each message goes to each topic.
    #[arg(short, long, value_name = "TOPIC", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub topic: Vec<String>,

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

/// What else a tool may take messages and topics from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sources<'a> {
    /// The topic that `-L` brings.
    pub(super) topic_of_url: Option<&'a str>,
    /// The option by which each line names its topic.
    pub(super) lines: Option<&'static str>,
    /// Topics and messages hold placeholders; `-m` may be the template of lines.
    pub(super) is_template: bool,
}

/// There is to be one payload and no more; a file may be sent line by line.
fn fault_of_payloads(given: [(bool, &str); 6]) -> Option<String> {
    let given: Vec<&str> = given.into_iter().filter_map(|(given, option)| given.then_some(option)).collect();
    match given.as_slice() {
        [] => Some("no message given: add -m TEXT, -f FILE, -l, -s or -n".into()),
        [_] | ["-f", "-l"] | ["-f" | "-l", "--json" | "--topic-sep"] | ["-f", "-l", "--json" | "--topic-sep"] => None,
        more => Some(format!("only one message source can be used, not {}", more.join(" and "))),
    }
}

impl MessageOptions {
    /// Whether lines are read; `sources` says what else the tool has.
    pub(super) const fn reads_lines(&self, sources: Sources<'_>) -> bool {
        self.stdin_line || sources.lines.is_some()
    }

    /// What is wrong within the group of a `noun` topic.
    pub(super) fn faults(&self, sources: Sources<'_>, noun: &str) -> Vec<String> {
        let Self { message, file, stdin_line, stdin_file, null_message, .. } = self;
        let mut faults: Vec<String> = fault_of_payloads([
            (message.is_some() && !(sources.is_template && *stdin_line), "-m"),
            (file.is_some(), "-f"),
            (*stdin_line, "-l"),
            (*stdin_file, "-s"),
            (*null_message, "-n"),
            (sources.lines.is_some(), sources.lines.unwrap_or_default()),
        ])
        .into_iter()
        .collect();
        if self.reads_lines(sources) && self.repeat > 1 {
            faults.push(format!("--repeat cannot be used with {}", sources.lines.unwrap_or("-l")));
        }
        let of_url = sources.topic_of_url.filter(|_| self.topic.is_empty());
        let topics = || self.topic.iter().map(String::as_str).chain(of_url);
        if topics().next().is_none() && sources.lines.is_none() {
            faults.push("no topic given: add -t TOPIC".into());
        }
        // The topic of a template is known when it is filled in.
        for topic in topics().filter(|_| !sources.is_template) {
            if let Err(error) = check_sent_topic_name(topic) {
                faults.push(format!("invalid {noun} topic '{topic}': {error}"));
            }
        }
        faults
    }
}
