//! What the user typed after `mqrr`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Command, CommandFactory, Parser, ValueHint};

use super::connect_plan::{topic_of_url, version};
use super::connection::Positions;
use super::message::fault_of_payloads;
use super::reading::{self, Reading, ToolOptions};
use super::values::{duration, positive_count, positive_duration, qos};
use super::{
    ConnectionOptions, Environment, GeneralOptions, OutputOptions, PropertyOptions, REQUEST, RetainHandlingName,
    RetryOptions, ScreenOptions, TlsOptions, Tool, UsageError, WillOptions,
};
use crate::mqtt::{ProtocolVersion, QoS, check_topic_name};

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
    pub question: QuestionOptions,
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

/// What is asked, and where.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Request")]
pub struct QuestionOptions {
    /// Topic to send the request to.
    #[arg(short, long, value_name = "TOPIC", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub topic: Option<String>,

    /// Send this text.
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true, value_hint = ValueHint::Other,
          value_parser = OsStringValueParser::new().map(|text| Bytes::from(text.into_encoded_bytes())))]
    pub message: Option<Bytes>,

    /// Send the content of FILE, which may be a pipe; with -l each line of it.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,

    /// Send every line of stdin as a request, each when the one before has its response.
    #[arg(short = 'l', long)]
    pub stdin_line: bool,

    /// Send all of stdin as one request.
    #[arg(short, long)]
    pub stdin_file: bool,

    /// Send a request without payload.
    #[arg(short, long)]
    pub null_message: bool,

    /// QoS of the request, and most that the response may come with.
    ///
    /// At QoS 1 a broker of MQTT 5 can also say that nobody is subscribed to the topic of the request.
    #[arg(short, long, value_name = "QOS", default_value = "0", value_parser = qos)]
    pub qos: QoS,

    /// Send the request so many times, each when the one before has its response.
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = positive_count)]
    pub repeat: u64,

    /// Wait so long between a response and the next request of --repeat.
    #[arg(long, value_name = "TIME", default_value = "0s", allow_hyphen_values = true, value_parser = duration)]
    pub repeat_delay: Duration,
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

impl RequestOptions {
    /// Reads argv, the program's name included, with the options files in front of it.
    pub fn read(
        environment: &Environment,
        argv: impl IntoIterator<Item = OsString>,
    ) -> Result<Reading<Self>, UsageError> {
        reading::read(environment, argv)
    }

    /// The definition for clap. A request wants the properties of MQTT 5, so that is the version of mqrr.
    pub(super) fn definition() -> Command {
        <Self as CommandFactory>::command().mut_arg("protocol_version", |argument| {
            let help = "MQTT version";
            argument
                .help(help)
                .long_help("MQTT version.\n\nmqttv5, mqttv311 and mqttv31 are understood too. With 311 the responder is not told \
                            the response topic, and there is no correlation data.")
                .default_value("5")
        })
    }

    /// Topic of the request; `topic_of_url` is what `-L` brings.
    fn check_topics(&self, topic_of_url: Option<&str>, version: ProtocolVersion, faults: &mut Vec<String>) {
        let topic = self.question.topic.as_deref().or(topic_of_url);
        match topic.map(|topic| (topic, check_topic_name(topic))) {
            None => faults.push("there is no topic: add -t TOPIC".into()),
            Some((topic, Err(error))) => faults.push(format!("invalid request topic '{topic}': {error}")),
            Some((_, Ok(()))) => {}
        }
        match &self.response.response_topic {
            None if !version.is_v5() => faults.push(
                "MQTT 3.1.1 does not tell the responder where to answer: add -e TOPIC, or speak MQTT 5 with -V 5"
                    .into(),
            ),
            None => {}
            Some(response) => {
                if let Err(error) = check_topic_name(response) {
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

    fn note_compatibility(&mut self) {
        self.general.compat = true;
        self.connection.compat = true;
    }

    fn faults(&self) -> Vec<String> {
        let QuestionOptions { message, file, stdin_line, stdin_file, null_message, repeat, .. } = &self.question;
        let ResponseOptions { retain_as_published, retain_handling, .. } = &self.response;
        let mut faults: Vec<String> = fault_of_payloads([
            (message.is_some(), "-m"),
            (file.is_some(), "-f"),
            (*stdin_line, "-l"),
            (*stdin_file, "-s"),
            (*null_message, "-n"),
        ])
        .into_iter()
        .collect();
        if *stdin_line && *repeat > 1 {
            faults.push("--repeat does not repeat the lines of -l".into());
        }
        // A contradiction about the version is told where the connection is planned.
        let version = version(&self.connection, &self.properties, &mut Vec::new());
        match topic_of_url(&self.connection) {
            Ok(topic) => self.check_topics(topic.as_deref(), version, &mut faults),
            Err(fault) => faults.push(fault),
        }
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
