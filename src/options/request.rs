//! What the user typed after `mqrr`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Arg, Args, Command, CommandFactory, Parser, ValueHint};

use super::connect_plan::{topic_of_url, version};
use super::connection::Positions;
use super::reading::{self, Reading, ToolOptions};
use super::values::{positive_count, positive_duration};
use super::{
    ConnectionOptions, Environment, GeneralOptions, MessageOptions, OutputOptions, PropertyOptions, REQUEST,
    RetainHandlingName, RetryOptions, ScreenOptions, TlsOptions, Tool, UsageError, WillOptions,
};
use crate::mqtt::{ProtocolVersion, TopicError, check_sent_topic_name};

/// The options of mqrr.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "mqrr",
    version,
    about = "Send an MQTT request and print the response",
    long_about = "Publishes a request, waits for its response and prints it; it takes the options of mosquitto_rr. The \
                  request carries a response topic and correlation data of its own, and only a message with the same \
                  data is its response. It subscribes to the response topic first and sends when the broker has granted \
                  that.",
    max_term_width = 98,
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct RequestOptions {
    /// What is asked, and where.
    #[command(flatten)]
    pub message: MessageOptions,
    /// Which message is the response, and how long it may take.
    #[command(flatten)]
    pub response: ResponseOptions,
    /// How a response is printed.
    #[command(flatten)]
    pub output: OutputOptions,
    /// Where the broker is.
    #[command(flatten)]
    pub connection: ConnectionOptions,
    /// When it is tried again.
    #[command(flatten)]
    pub retry: RetryOptions,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// The will.
    #[command(flatten)]
    pub will: WillOptions,
    /// Properties of MQTT 5.
    #[command(flatten)]
    pub properties: PropertyOptions,
    /// Diagnostics, options file, help.
    #[command(flatten)]
    pub general: GeneralOptions,
}

/// Which message is the response, and how long it may take.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Response")]
pub struct ResponseOptions {
    /// Topic on which the response is to come [default: one that nobody else has].
    ///
    /// The responder is told it with the request. MQTT 3.1.1 cannot tell it, so there it is needed, and the responder has
    /// to know it. Where the broker has Response Information (MQTT 5) the default begins with it.
    #[arg(short = 'e', long, value_name = "TOPIC", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub response_topic: Option<String>,

    /// Wait for so many responses to each request.
    #[arg(short = 'C', value_name = "COUNT", default_value = "1", value_parser = positive_count)]
    pub count: u64,

    /// Give up when the responses have not come after this time; 0.5 and 500ms are understood.
    ///
    /// It runs from the start, and anew for each further request of -l and --repeat. The exit status is then 27, or 42
    /// where some of the responses of -C have come.
    #[arg(short = 'W', value_name = "TIME", value_parser = positive_duration)]
    pub timeout: Option<Duration>,

    /// Take every message on the response topic for the response, whatever its correlation data.
    ///
    /// For responders that do not give the correlation data back. With MQTT 3.1.1 there is none to check.
    #[arg(long)]
    pub no_correlation_check: bool,

    /// Tell how long each response took, on stderr or in the JSON of --json; with several requests also sum it up.
    #[arg(long)]
    pub latency: bool,

    /// Leave retained messages out, even those with the right correlation data.
    ///
    /// Without a correlation check they are always left out: they are older than the request.
    #[arg(short = 'R')]
    pub no_retained: bool,

    /// Have the broker pass the retain flag on as it was published; needs MQTT 5.
    #[arg(long)]
    pub retain_as_published: bool,

    /// When the broker sends retained messages; needs MQTT 5.
    ///
    /// always, at every subscription; new, when the subscription is not there yet; never.
    #[arg(long, value_name = "WHEN", value_enum)]
    pub retain_handling: Option<RetainHandlingName>,
}

/// Over what mqpub has under "Message".
const REQUEST_HEADING: &str = "Request";

fn asks(argument: Arg, help: &'static str) -> Arg {
    argument.help(help).help_heading(REQUEST_HEADING)
}

impl RequestOptions {
    /// Reads argv, the program's name included, with the options files in front of it.
    pub fn read(
        environment: &Environment,
        argv: impl IntoIterator<Item = OsString>,
    ) -> Result<Reading<Self>, UsageError> {
        reading::read_client(environment, argv)
    }

    /// The definition for clap: the message group in the words of a request, which wants the properties of MQTT 5, so
    /// that is the version of mqrr.
    pub(super) fn definition() -> Command {
        // In place: `mut_arg` would put an argument behind all others.
        <Self as CommandFactory>::command().mut_args(|argument| match argument.get_id().as_str() {
            "topic" => asks(argument, "Topic to send the request to"),
            "stdin_line" => asks(argument, "Send every line of stdin as a request, each when the one before has its response"),
            "stdin_file" => asks(argument, "Send all of stdin as one request"),
            "null_message" => asks(argument, "Send a request without payload"),
            "qos" => asks(argument, "QoS of the request, and most that the response may come with").long_help(
                "QoS of the request, and most that the response may come with.\n\nAt QoS 1 a broker of MQTT 5 can also \
                 say that nobody is subscribed to the topic of the request.",
            ),
            "repeat" => asks(argument, "Send the request so many times, each when the one before has its response"),
            "repeat_delay" => asks(argument, "Wait so long between a response and the next request of --repeat"),
            "message" | "file" => argument.help_heading(REQUEST_HEADING),
            "protocol_version" => argument
                .help("MQTT version")
                .long_help(
                    "MQTT version.\n\nmqttv5, mqttv311 and mqttv31 are understood too. With 311 the responder is not told \
                     the response topic, and there is no correlation data.",
                )
                .default_value("5"),
            _ => argument,
        })
    }

    fn check_response_topic(&self, version: ProtocolVersion, faults: &mut Vec<String>) {
        match &self.response.response_topic {
            None if !version.is_v5() => faults.push(
                "MQTT 3.1.1 does not tell the responder where to answer: add -e TOPIC, or speak MQTT 5 with -V 5"
                    .into(),
            ),
            None => {}
            Some(response) => {
                if check_sent_topic_name(response) == Err(TopicError::WildcardInName) {
                    faults.push(format!(
                        "invalid response topic '{response}': the responder publishes to it, so it holds no + and #"
                    ));
                } else if let Err(error) = check_sent_topic_name(response) {
                    faults.push(format!("invalid response topic '{response}': {error}"));
                }
            }
        }
    }
}

impl ToolOptions for RequestOptions {
    const TOOL: &'static Tool = &REQUEST;

    fn note_positions(&mut self, positions: Positions) {
        self.connection.positions = positions;
    }

    fn note_warnings(&mut self, warnings: Vec<String>) {
        self.connection.warnings = warnings;
    }

    fn faults(&self) -> Vec<String> {
        let ResponseOptions { retain_as_published, retain_handling, .. } = &self.response;
        // A contradiction about the version is told where the connection is planned.
        let version = version(&self.connection, &self.properties, &mut Vec::new());
        let mut faults = match topic_of_url(&self.connection) {
            Ok(topic) => self.message.faults(topic.as_deref(), "request"),
            Err(fault) => vec![fault],
        };
        self.check_response_topic(version, &mut faults);
        for (given, option) in
            [(*retain_as_published, "--retain-as-published"), (retain_handling.is_some(), "--retain-handling")]
        {
            if given && !version.is_v5() {
                faults.push(format!("{option} needs MQTT 5: leave -V out"));
            }
        }
        faults.extend(self.output.faults(&ScreenOptions::default()));
        faults
    }
}
