//! What the user typed after `mqrr`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Arg, Args, Command, CommandFactory, Parser, ValueHint};

use super::compat::{self, ClientOptions, Flag, Translation};
use super::connect_plan::{topic_of_url, version};
use super::message::Sources;
use super::profile;
use super::reading::{Reading, ToolOptions};
use super::sections;
use super::values::{positive_count, positive_duration};
use super::{
    ClientGroups, ConnectionOptions, Environment, GeneralOptions, MessageOptions, OutputOptions, RetainHandlingName,
    ScreenOptions, Tool, UsageError,
};
use crate::client::mosquitto::MosquittoClient;
use crate::mqtt::{ProtocolVersion, TopicError, check_sent_topic_name};

/// mqrr.
pub static REQUEST: Tool = Tool {
    name: "mqrr",
    mosquitto_name: Some("mosquitto_rr"),
    replaces_topics: true,
    sections: sections::REQUEST,
    definition: RequestOptions::definition,
    profile_reader: Some(profile::read),
};

/// The options of mqrr.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "mqrr",
    version,
    about = "Send an MQTT request and print the response",
    long_about = "Publishes a request, waits for the response and prints it. It accepts the options of mosquitto_rr. Each \
                  request carries a response topic and unique correlation data, and only a message with the same data \
                  is its response. mqrr sends the request after the broker has granted the subscription to the response \
                  topic.",
    max_term_width = 98,
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct RequestOptions {
    /// The request and its topic.
    #[command(flatten)]
    pub message: MessageOptions,
    /// Which message is the response, and how long it may take.
    #[command(flatten)]
    pub response: ResponseOptions,
    /// How a response is printed.
    #[command(flatten)]
    pub output: OutputOptions,
    /// The client: broker, retries, TLS, will, properties.
    #[command(flatten)]
    pub client: ClientGroups,
    /// Diagnostics, options file, help.
    #[command(flatten)]
    pub general: GeneralOptions,
}

/// Which message is the response, and how long it may take.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Response")]
pub struct ResponseOptions {
    /// Topic for the responses [default: a unique topic].
    ///
    /// The request carries it to the responder. MQTT 3.1.1 cannot carry it: there -e is required and the responder must
    /// know the topic. If the broker offers Response Information (MQTT 5), the default begins with it.
    #[arg(short = 'e', long, value_name = "TOPIC", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub response_topic: Option<String>,

    /// Wait for COUNT responses to each request.
    #[arg(short = 'C', value_name = "COUNT", default_value = "1", value_parser = positive_count)]
    pub count: u64,

    /// Give up if the responses do not arrive within TIME, as in 5, 0.5 or 500ms.
    ///
    /// The time runs from the start, and from each further request of -l and --repeat. The exit status is 27 if no
    /// response has arrived, 42 if fewer than -C have.
    #[arg(short = 'W', value_name = "TIME", value_parser = positive_duration)]
    pub timeout: Option<Duration>,

    /// Accept any message on the response topic, whatever its correlation data.
    ///
    /// Use it for responders that do not return the correlation data. In MQTT 3.1.1 there is none to check.
    #[arg(long)]
    pub no_correlation_check: bool,

    /// Report the latency of each response, on stderr or in --json, and a summary for several requests.
    #[arg(long)]
    pub latency: bool,

    /// Ignore retained messages, even with matching correlation data.
    ///
    /// Without a correlation check they are always ignored, because they are older than the request.
    #[arg(short = 'R')]
    pub no_retained: bool,

    /// Ask the broker to pass on the retain flag as published; needs MQTT 5.
    #[arg(long)]
    pub retain_as_published: bool,

    /// When the broker sends retained messages; needs MQTT 5.
    #[arg(long, value_name = "WHEN", value_enum)]
    pub retain_handling: Option<RetainHandlingName>,
}

/// Overrides mqpub's texts under "Message".
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
        compat::read(environment, argv)
    }

    /// The definition for clap: the message group in the words of a request, which needs the properties of MQTT 5, so
    /// that is the version of mqrr.
    pub(super) fn definition() -> Command {
        // In place: `mut_arg` would put an argument behind all others.
        <Self as CommandFactory>::command().mut_args(|argument| match argument.get_id().as_str() {
            "topic" => asks(argument, "Topic to send the request to"),
            "stdin_line" => asks(argument, "Send each line of stdin as a request, after the response to the previous one"),
            "stdin_file" => asks(argument, "Send all of stdin as one request"),
            "null_message" => asks(argument, "Send an empty request"),
            "qos" => asks(argument, "QoS of the request, and maximum QoS of the response").long_help(
                "QoS of the request, and maximum QoS of the response.\n\nAt QoS 1 an MQTT 5 broker can also report that \
                 no client is subscribed to the topic of the request.",
            ),
            "repeat" => asks(argument, "Send the request COUNT times, each after the response to the previous one"),
            "repeat_delay" => asks(argument, "Wait TIME between a response and the next request of --repeat"),
            "message" => asks(argument, "Send TEXT as the request"),
            "file" => argument.help_heading(REQUEST_HEADING),
            "protocol_version" => argument
                .help("MQTT version")
                .long_help(
                    "MQTT version.\n\nmqttv5, mqttv311 and mqttv31 are accepted too. With 311 and 31 the request carries \
                     neither a response topic nor correlation data.",
                )
                .default_value("5"),
            _ => argument,
        })
    }

    fn check_response_topic(&self, version: ProtocolVersion, faults: &mut Vec<String>) {
        match &self.response.response_topic {
            None if !version.is_v5() => {
                faults.push("MQTT 3.1.1 cannot carry a response topic: add -e TOPIC, or use MQTT 5 with -V 5".into())
            }
            None => {}
            Some(response) => {
                if check_sent_topic_name(response) == Err(TopicError::WildcardInName) {
                    faults.push(format!(
                        "invalid response topic '{response}': the responder publishes to it, so it must not contain + or #"
                    ));
                } else if let Err(error) = check_sent_topic_name(response) {
                    faults.push(format!("invalid response topic '{response}': {error}"));
                }
            }
        }
    }
}

impl ClientOptions for RequestOptions {
    const CLIENT: MosquittoClient = MosquittoClient::Request;

    fn of(given: &mut Translation) -> Self {
        Self {
            message: given.message(),
            response: ResponseOptions {
                response_topic: given.response_topic(),
                count: 1,
                timeout: given.timeout(),
                no_correlation_check: false,
                latency: given.has(Flag::Latency),
                no_retained: given.has(Flag::NoRetained),
                retain_as_published: given.retain_as_published(),
                retain_handling: given.retain_handling(),
            },
            output: given.output(),
            client: ClientGroups::of(given),
            general: given.general(),
        }
    }
}

impl ToolOptions for RequestOptions {
    const TOOL: &'static Tool = &REQUEST;

    fn connection(&mut self) -> Option<&mut ConnectionOptions> {
        Some(&mut self.client.connection)
    }

    fn faults(&self) -> Vec<String> {
        let ResponseOptions { retain_as_published, retain_handling, .. } = &self.response;
        // A contradiction about the version is reported by the connection plan.
        let version = version(&self.client.connection, &self.client.properties, &mut Vec::new());
        let mut faults = match topic_of_url(&self.client.connection) {
            Ok(topic) => {
                let topic_of_url = topic.as_deref();
                self.message.faults(Sources { topic_of_url, ..Sources::default() }, "request")
            }
            Err(fault) => vec![fault],
        };
        self.check_response_topic(version, &mut faults);
        for (given, option) in
            [(*retain_as_published, "--retain-as-published"), (retain_handling.is_some(), "--retain-handling")]
        {
            if given && !version.is_v5() {
                faults.push(format!("{option} needs MQTT 5: remove -V"));
            }
        }
        faults.extend(self.output.faults(&ScreenOptions::default()));
        faults
    }
}
