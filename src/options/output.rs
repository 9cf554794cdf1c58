//! The output groups: how a message is printed (mqsub, mqrr), and what mqsub shows in place of messages.

use std::time::Duration;

use clap::{Args, ValueHint};

use super::values::positive_duration;

/// How a message is printed.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Print the topic before the payload.
    #[arg(short, long)]
    pub verbose: bool,

    /// Do not print a newline after each message.
    #[arg(short = 'N')]
    pub no_newline: bool,

    /// Output format: %t topic, %p payload, %x hex, %q QoS, %r retain, %I time, %j JSON and more.
    ///
    /// The specifiers are those of mosquitto_sub: %% %A %C %D %E %F %I %J %P %R %S %U %X %d %f %j %l %m %p %q %r %t %x,
    /// with width and precision where they apply. @ and a letter is a strftime specifier; \a \e \n \r \t \v \0 \\ are
    /// escapes.
    #[arg(short = 'F', value_name = "FORMAT", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub format: Option<String>,

    /// Print each message as one line of JSON.
    #[arg(long)]
    pub json: bool,

    /// Like --json, but put a payload that is JSON under payload_json, unquoted.
    #[arg(long)]
    pub json_payload: bool,

    /// Indent the JSON of %j and %J.
    #[arg(long)]
    pub pretty: bool,
}

/// What is shown in place of messages one after the other.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct ScreenOptions {
    /// Show the last message of each topic, updated in place.
    ///
    /// Topics that do not fit on the screen are counted. If stdout is not a terminal, messages are printed one after
    /// the other.
    #[arg(short, long)]
    pub watch: bool,

    /// Print the number of messages per second instead of the messages.
    #[arg(long)]
    pub message_rate: bool,

    /// Print count, rate, bytes and last payload of each topic, every INTERVAL [default: 1s], and totals at the end.
    ///
    /// On a terminal it is a table of the topics with the most messages, as many as fit. Elsewhere it is one JSON object
    /// per line for each topic that had messages in the interval: time, topic, messages, rate (per second), bytes of
    /// the payloads, total_messages, total_bytes, and payload or payload_b64 (the first 256 bytes; payload_size follows
    /// where it was longer). At the end, also after Ctrl-C, comes one object with "totals": true, seconds, topics,
    /// messages, rate and bytes. Topics beyond 100,000 are counted together.
    #[arg(long, value_name = "INTERVAL", num_args = 0..=1, default_missing_value = "1s",
          value_parser = positive_duration)]
    pub stats: Option<Duration>,
}

impl OutputOptions {
    /// Whether they ask for messages on stdout, where nothing would be printed otherwise.
    pub fn asks_for_messages(&self) -> bool {
        let Self { verbose, no_newline: _, format, json, json_payload, pretty: _ } = self;
        *verbose || format.is_some() || *json || *json_payload
    }

    /// What is wrong within the group, and between it and the screen of a tool that has one.
    pub(super) fn faults(&self, screen: &ScreenOptions) -> Vec<String> {
        let Self { verbose: _, no_newline: _, format, json, json_payload, pretty: _ } = self;
        let ScreenOptions { watch, message_rate, stats } = screen;
        let given: Vec<&str> = [
            (format.is_some(), "-F"),
            (*json || *json_payload, if *json { "--json" } else { "--json-payload" }),
            (*message_rate, "--message-rate"),
            (stats.is_some(), "--stats"),
        ]
        .into_iter()
        .filter_map(|(given, option)| given.then_some(option))
        .collect();
        let mut faults = Vec::new();
        if given.len() > 1 {
            faults.push(format!("{} cannot be used together", given.join(" and ")));
        }
        if *watch && stats.is_some() {
            faults.push("-w and --stats cannot be used together".into());
        }
        if *watch && (*json || *json_payload) {
            faults.push("-w cannot be used with JSON output".into());
        }
        faults
    }
}
