//! The output groups: how a message is printed (mqsub, mqrr), and what mqsub shows in place of messages.

use clap::{Args, ValueHint};

/// How a message is printed.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Print the topic before the payload.
    #[arg(short, long)]
    pub verbose: bool,

    /// Print no newline after a message.
    #[arg(short = 'N')]
    pub no_newline: bool,

    /// Print by a format: %t topic, %p payload, %x hex, %q QoS, %r retain, %I time, %j JSON and more.
    ///
    /// The letters are those of mosquitto_sub: %% %A %C %D %E %F %I %J %P %R %S %U %X %d %f %j %l %m %p %q %r %t %x,
    /// with width and precision where they make sense; @ and a letter is strftime; \a \e \n \r \t \v \0 \\ are escapes.
    #[arg(short = 'F', value_name = "FORMAT", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub format: Option<String>,

    /// Print every message as one line of JSON.
    #[arg(long)]
    pub json: bool,

    /// As --json; a payload that is JSON itself is not quoted but stands as it is, under payload_json.
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
    /// Keep one line of the screen for each topic.
    ///
    /// Topics that do not fit are counted. Where stdout is no terminal the messages are printed one after the other.
    #[arg(short, long)]
    pub watch: bool,

    /// Print the number of messages a second in place of the messages.
    #[arg(long)]
    pub message_rate: bool,
}

impl OutputOptions {
    /// What is wrong within the group, and between it and the screen of a tool that has one.
    pub(super) fn faults(&self, screen: &ScreenOptions) -> Vec<String> {
        let Self { verbose: _, no_newline: _, format, json, json_payload, pretty: _ } = self;
        let ScreenOptions { watch, message_rate } = screen;
        let given: Vec<&str> = [
            (format.is_some(), "-F"),
            (*json || *json_payload, if *json { "--json" } else { "--json-payload" }),
            (*message_rate, "--message-rate"),
        ]
        .into_iter()
        .filter_map(|(given, option)| given.then_some(option))
        .collect();
        let mut faults = Vec::new();
        if given.len() > 1 {
            faults.push(format!("{} contradict each other: leave all but one out", given.join(" and ")));
        }
        if *watch && (*json || *json_payload) {
            faults.push("-w keeps lines on the screen, JSON is for programs: leave one out".into());
        }
        faults
    }
}
