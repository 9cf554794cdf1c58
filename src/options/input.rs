//! The input group of mqpub: how lines become messages, and what is done with one that does not.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::message::Sources;
use super::values::{positive_count, rate, whole_number};
use crate::mqtt::TopicRule;

/// How lines become messages.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Input")]
pub struct InputOptions {
    /// Read each line of stdin, or of -f FILE, as a message in JSON.
    ///
    /// The object is the one that mqsub --json prints: topic (or -t), one of payload, payload_b64 and payload_json, and
    /// optionally qos (or -q), retain (or -r) and properties, which need -V 5. The keys time, ts, mid and unknown ones
    /// are ignored, and -q and -r have no effect on a line with its own. schemas/message.json describes it.
    #[arg(long)]
    pub json: bool,

    /// Read lines of the form TOPIC SEP PAYLOAD; SEP is TAB or any text.
    ///
    /// The lines come from stdin or -f FILE. The topic ends at the first SEP.
    #[arg(long, value_name = "SEP", allow_hyphen_values = true, value_hint = ValueHint::Other, value_parser = separator)]
    pub topic_sep: Option<String>,

    /// Records of -l, --json and --topic-sep end with NUL instead of a newline.
    #[arg(long)]
    pub null: bool,

    /// Replay the messages of FILE, as mqsub --record or --json wrote them, in their original rhythm; - is stdin.
    ///
    /// Each line is a message as with --json, and its ts or time decides when it is sent: at its distance from the
    /// first. The file may be compressed by gzip or zstd.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub replay: Option<PathBuf>,

    /// Replay FACTOR times as fast, as in 10 or 0.5, or as fast as possible with max [default: 1].
    #[arg(long, value_name = "FACTOR", value_parser = Speed::parse)]
    pub speed: Option<Speed>,

    /// Replay the file COUNT times, or "forever".
    ///
    /// Between two rounds there is the mean interval between two messages.
    #[arg(long = "loop", value_name = "COUNT", value_parser = rounds)]
    pub rounds: Option<u64>,

    /// Change the topics of --json, --topic-sep and --replay, as in 'site/#=copy/site/#'; may be repeated.
    ///
    /// FROM is a topic filter. TO takes what + and # matched, in their order. The first rule that matches a topic is
    /// applied; a topic that none matches stays as it is.
    #[arg(long, value_name = "FROM=TO", value_parser = TopicRule::parse, value_hint = ValueHint::Other)]
    pub map: Vec<TopicRule>,

    /// What to do with a line that is not a message: stop there, or skip it [default: stop].
    ///
    /// Each such line is an error, and the exit status is then 1. With stop, the messages before it are still
    /// delivered, and the lines after it are not read.
    #[arg(long, value_name = "ACTION", value_enum)]
    pub on_error: Option<OnErrorName>,
}

/// What is done with a line that is not a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnErrorName {
    /// Stop reading.
    #[default]
    Stop,
    /// Go on with the next line.
    Skip,
}

/// Placeholders in topics and messages.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Templates")]
pub struct TemplateOptions {
    /// Fill in placeholders such as %s, %{time} and %{uuid} in topics and messages; see TEMPLATES.
    ///
    /// With -l each line is a template; with -l and -m, -m is the template, and %{line} stands for the line.
    #[arg(long)]
    pub template: bool,

    /// Fill in %{csv:COLUMN} from the rows of FILE; without -l and --repeat, send one message per row.
    ///
    /// The first line of the file holds the column names. After the last row comes the first one again.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub csv: Option<PathBuf>,

    /// Draw random values from NUMBER: the same number gives the same messages.
    #[arg(long, value_name = "NUMBER", value_parser = seed)]
    pub seed: Option<u64>,
}

impl TemplateOptions {
    /// What is wrong within the group, and between it and lines that name their topics with `lines`.
    pub(super) fn faults(&self, lines: Option<&str>) -> Vec<String> {
        let Self { template, csv, seed } = self;
        let mut faults = Vec::new();
        for (given, option) in [(csv.is_some(), "--csv"), (seed.is_some(), "--seed")] {
            if given && !*template {
                faults.push(format!("{option} needs --template"));
            }
        }
        if let (true, Some(option)) = (*template, lines) {
            faults.push(format!("--template cannot be used with {option}"));
        }
        faults
    }
}

fn seed(text: &str) -> Result<u64, String> {
    whole_number(text).ok_or_else(|| "must be a whole number".into())
}

/// How fast a recording is replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// A multiple of the speed at which it was recorded.
    Times(f64),
    /// As fast as the broker takes it.
    Max,
}

impl Default for Speed {
    fn default() -> Self {
        Self::Times(1.0)
    }
}

impl Speed {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "max" => Ok(Self::Max),
            _ => rate(text).map(Self::Times).map_err(|_| "must be a number above zero, as 10 or 0.5, or max".into()),
        }
    }
}

fn rounds(text: &str) -> Result<u64, String> {
    match text {
        "forever" => Ok(u64::MAX),
        _ => positive_count(text).map_err(|_| "must be a whole number above zero or \"forever\"".into()),
    }
}

/// What is asked of the broker for each message.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Message")]
pub struct DeliveryOptions {
    /// Fail unless each message has a subscriber; needs -V 5 and -q 1 or 2.
    ///
    /// The broker reports in its acknowledgement that no client is subscribed to the topic (reason code 16, "No
    /// matching subscribers"). The exit status is then 44. A broker need not report it: mosquitto and mqbroker do at
    /// QoS 1, and do not at QoS 2.
    #[arg(long)]
    pub require_subscriber: bool,
}

fn separator(text: &str) -> Result<String, String> {
    match text {
        "" => Err("must be TAB or a text that separates topic and payload".into()),
        "TAB" => Ok("\t".into()),
        text => Ok(text.into()),
    }
}

impl InputOptions {
    /// The option by which lines name their topics.
    pub(super) fn sources(&self) -> Sources<'_> {
        let reads = if self.replay.is_some() {
            Some("--replay")
        } else if self.json {
            Some("--json")
        } else if self.topic_sep.is_some() {
            Some("--topic-sep")
        } else {
            None
        };
        Sources { lines: reads, ..Sources::default() }
    }

    /// What is wrong within the group, where `reads_lines` says whether there are lines at all.
    pub(super) fn faults(&self, reads_lines: bool, is_template: bool) -> Vec<String> {
        let Self { json, topic_sep, null, replay, speed, rounds, map, on_error } = self;
        let mut faults = Vec::new();
        let describes = *json || topic_sep.is_some() || replay.is_some();
        for (given, option) in [(speed.is_some(), "--speed"), (rounds.is_some(), "--loop")] {
            if given && replay.is_none() {
                faults.push(format!("{option} needs --replay FILE"));
            }
        }
        match replay {
            Some(_) if *json || topic_sep.is_some() => {
                faults.push("--replay cannot be used with --json or --topic-sep: it reads JSON lines itself".into());
            }
            Some(file) if file.as_os_str() == "-" && rounds.is_some_and(|rounds| rounds > 1) => {
                faults.push("--loop needs a file, which can be read again; stdin cannot".into());
            }
            _ => {}
        }
        if !map.is_empty() && !describes {
            faults.push("--map needs lines that name topics: add --json, --topic-sep or --replay".into());
        }
        if *json && topic_sep.is_some() {
            faults.push("--json and --topic-sep cannot be used together".into());
        }
        if *null && (!reads_lines || replay.is_some()) {
            faults.push("--null needs lines: add -l, --json or --topic-sep".into());
        }
        if on_error.is_some() && !describes && !is_template {
            faults.push(
                "--on-error needs lines that can be wrong: add --json, --topic-sep, --replay or --template".into(),
            );
        }
        faults
    }
}
