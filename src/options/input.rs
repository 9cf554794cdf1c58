//! The input group of mqpub: how lines become messages, and what is done with one that does not.

use clap::{Args, ValueEnum, ValueHint};

use super::message::Sources;

/// How lines become messages.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Input")]
pub struct InputOptions {
    /// Read each line of stdin, or of -f FILE, as a message in JSON.
    ///
    /// The object is the one that mqsub --json prints: topic (or -t), one of payload, payload_b64 and payload_json, and
    /// optionally qos (or -q), retain (or -r) and properties, which need -V 5. The keys time, ts, mid and unknown ones
    /// are ignored. schemas/message.json describes it.
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

    /// What to do with a line that is not a message: stop there, or skip it [default: stop].
    ///
    /// Each such line is an error, and the exit status is then 1. With stop, the messages before it are still delivered,
    /// and the lines after it are not read.
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

/// What is asked of the broker for each message.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Message")]
pub struct DeliveryOptions {
    /// Fail unless each message has a subscriber; needs -V 5 and -q 1 or 2.
    ///
    /// The broker reports in its acknowledgement that no client is subscribed to the topic (reason code 16, "No matching
    /// subscribers"). The exit status is then 44. A broker need not report it: mosquitto and mqbroker do at QoS 1, and do
    /// not at QoS 2.
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
        let reads = if self.json {
            Some("--json")
        } else if self.topic_sep.is_some() {
            Some("--topic-sep")
        } else {
            None
        };
        Sources { lines: reads, ..Sources::default() }
    }

    /// What is wrong within the group, where `reads_lines` says whether there are lines at all.
    pub(super) fn faults(&self, reads_lines: bool) -> Vec<String> {
        let Self { json, topic_sep, null, on_error } = self;
        let mut faults = Vec::new();
        if *json && topic_sep.is_some() {
            faults.push("--json and --topic-sep cannot be used together".into());
        }
        if *null && !reads_lines {
            faults.push("--null needs lines: add -l, --json or --topic-sep".into());
        }
        if on_error.is_some() && !*json && topic_sep.is_none() {
            faults.push("--on-error needs lines that can be wrong: add --json or --topic-sep".into());
        }
        faults
    }
}
