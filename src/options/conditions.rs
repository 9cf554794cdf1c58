//! The conditions group of mqsub: what a message must hold, and what must come in which time.

use std::time::Duration;

use clap::{Args, ValueHint};

use super::command_line::CommandLine;
use super::values::{count, positive_duration};

/// What messages must hold, and what must come in which time.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Conditions")]
pub struct ConditionOptions {
    /// Ignore messages that do not match EXPR; they do not count for -C. May be repeated.
    ///
    /// EXPR is a jq expression about the JSON object of the message, the one that --json prints, such as '.topic ==
    /// "a/b"' or '.payload | length > 0'. A payload that is JSON is under .payload_json, as in '.payload_json.temp >
    /// 30'. The message matches if a result is neither false nor null. /REGEX/ instead of that is a regular expression
    /// that must occur in the payload, /REGEX/i ignores case, and =TEXT is the whole payload. A message for which a jq
    /// expression fails does not match; mqsub reports at the end how many there were. An expression that names
    /// payload_json fails if the payload is not JSON. input, env, halt, debug and import do not exist, and 100,000
    /// steps per message are the limit. Memory is not limited: an expression that repeats or doubles a text can use
    /// all of it, and `ulimit -v` in the shell limits mqsub as a whole.
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub filter: Vec<String>,

    /// Exit after the first message that matches EXPR.
    ///
    /// Messages are printed up to and including that one. For EXPR see --filter.
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub until: Option<String>,

    /// Exit with status 0 as soon as a message matches EXPR; may be repeated.
    ///
    /// Only messages that match are printed. With several expressions each must be met. If none matches in time, mqsub
    /// prints the last messages that came instead, and exits with status 40, with 41 if no message came at all, and
    /// with 42 if fewer messages than --count matched. For EXPR see --filter.
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub expect: Vec<String>,

    /// Time limit of --expect, from the moment the subscriptions are acknowledged.
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    pub within: Option<Duration>,

    /// Number of messages that must match --expect [default: 1].
    #[arg(long = "count", value_name = "COUNT", value_parser = count)]
    pub expect_count: Option<u64>,

    /// Fail if a message matches --expect within TIME; with --within or --count, if one more does.
    ///
    /// Alone, TIME begins when the subscriptions are acknowledged, and mqsub exits with status 0 when it is over. With
    /// --within or --count, TIME begins when the expectation is met. A message that matches is reported, and the exit
    /// status is 40.
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    pub none_within: Option<Duration>,

    /// Exit with status 41 when no message has come for TIME.
    ///
    /// TIME begins when the subscriptions are acknowledged, and again with each message. Messages that -T, -R or
    /// --filter drop do not count. While the connection is lost nothing falls silent.
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    pub silent_after: Option<Duration>,

    /// Apply --silent-after to each topic.
    ///
    /// The topics are those of -t without a wildcard, and each on which a message has come, up to 100,000.
    #[arg(long)]
    pub each_topic: bool,

    /// When nothing has come for the time of --silent-after, run COMMAND instead of exiting.
    ///
    /// It runs once per silence, and again when the topic falls silent again after a message. No shell reads COMMAND:
    /// it is split at blanks outside of quotes. {topic} in it, and MQTT_TOPIC in its environment, is the topic, empty
    /// without --each-topic; MQTT_SILENT_SECONDS is the time. Its stdin is /dev/null, and its stdout goes to stderr. At
    /// most 16 run at a time. mqsub does not wait for them at its end, and prints how many failed.
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true, value_hint = ValueHint::CommandString,
          value_parser = CommandLine::parse)]
    pub silent_exec: Option<CommandLine>,
}

impl ConditionOptions {
    /// What is wrong within the group.
    pub(super) fn faults(&self) -> Vec<String> {
        let Self { filter: _, until, expect, within, expect_count, none_within, silent_after, each_topic, silent_exec } =
            self;
        let mut faults = Vec::new();
        if expect.is_empty() {
            for (given, option) in [
                (within.is_some(), "--within"),
                (expect_count.is_some(), "--count"),
                (none_within.is_some(), "--none-within"),
            ] {
                if given {
                    faults.push(format!("{option} needs --expect; --expect true matches every message"));
                }
            }
        } else if until.is_some() {
            faults.push("--until and --expect cannot be used together".into());
        }
        if *expect_count == Some(0) && (none_within.is_none() || within.is_some()) {
            faults.push("--count 0 is --none-within TIME alone".into());
        }
        for (given, option) in [(*each_topic, "--each-topic"), (silent_exec.is_some(), "--silent-exec")] {
            if given && silent_after.is_none() {
                faults.push(format!("{option} needs --silent-after TIME"));
            }
        }
        faults
    }
}
