//! Every difference between our own tools and mosquitto's clients, as one value that is chosen where the command line
//! is read: by the name of the program, or by `--compat`.

use std::time::Duration;

use super::LogStream;
use super::mosquitto::{BEFORE_CONNACK, MosquittoClient};
use crate::exit_status::ExitStatus;

/// Longer than any run lasts.
const FOREVER: Duration = Duration::from_secs(1_000 * 86_400);

/// What a tool does where mosquitto's client does something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The mosquitto client whose texts, exit statuses and signals apply; none for our own.
    pub(crate) mosquitto: Option<MosquittoClient>,
    /// Where the log of `-d` goes.
    pub(crate) log: LogStream,
    /// Which SUBACKs the log of `-d` shows in full.
    pub(crate) logs_grants: LogGrants,

    /// A password may come from an environment variable.
    pub(crate) reads_password_variable: bool,
    /// Options for TCP are errors with a Unix socket.
    pub(crate) rejects_tcp_options_of_unix_socket: bool,
    /// A session that is kept (`-c`) needs a Client Identifier, does not expire unless asked to, and begins at a random
    /// Packet Identifier.
    pub(crate) protects_kept_session: bool,
    /// How a generated Client Identifier begins.
    pub(crate) client_id_prefix: &'static str,
    /// A Topic Alias above the broker's maximum is sent.
    pub(crate) sends_any_alias: bool,

    /// An answer is awaited as long as the connection stands.
    pub(crate) waits_forever: bool,
    /// A broker that closes the first connection before CONNACK may accept the next one.
    pub(crate) retries_close_before_connack: bool,
    /// A lost connection is made again.
    pub(crate) reconnects: bool,
    /// Also after a DISCONNECT from the broker.
    pub(crate) reconnects_after_disconnect: bool,
    /// Connections that are lost at the same packet several times in a row end the run.
    pub(crate) gives_up_at_same_packet: bool,
    /// A run that ends early asks for its will to be published, even without one.
    pub(crate) always_requests_will: bool,
    /// SIGINT and SIGTERM end the run with success.
    pub(crate) interrupts_succeed: bool,
    /// The exit status of a run that is interrupted or times out while there is no accepted connection.
    pub(crate) status_before_connack: Option<ExitStatus>,
    /// A message that the broker refuses makes the run fail.
    pub(crate) refusals_fail: bool,

    /// mqpub may draw a progress line.
    pub(crate) shows_progress: bool,
    /// A line that is too large is refused alone, and the others are sent.
    pub(crate) skips_oversized_lines: bool,
    /// `-r` is dropped where the broker keeps no retained messages.
    pub(crate) drops_unavailable_retain: bool,
    /// Fewer messages are in flight after losses without an acknowledgement.
    pub(crate) narrows_window: bool,

    /// A message is printed with what a terminal would act on escaped.
    pub(crate) escapes_terminal: bool,
    /// `-w` keeps each topic on its line of the screen; mosquitto_sub redraws below a heading.
    pub(crate) has_topic_screen: bool,
    /// Most Topic Filters in one SUBSCRIBE.
    pub(crate) filters_per_subscribe: usize,
    /// No SUBSCRIBE asks for more than the CONNACK allows.
    pub(crate) respects_subscribe_limits: bool,
    /// A SUBACK must have one Reason Code for each filter.
    pub(crate) checks_suback_count: bool,
    /// `--retained-only` ends when the broker has no more retained messages.
    pub(crate) ends_without_more_retained: bool,

    /// A response is recognized by more than its topic, and requests that would confuse it are rejected.
    pub(crate) matches_responses: bool,
    /// Messages that are not responses are reported.
    pub(crate) reports_unmatched: bool,
    /// `--latency` prints to stdout, one line for each response.
    pub(crate) latency_on_stdout: bool,
    /// A finished run without a will closes the connection without DISCONNECT.
    pub(crate) closes_without_disconnect: bool,
}

/// Which SUBACKs the log of `-d` shows in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogGrants {
    Always,
    UnlessQuiet,
    Never,
}

impl Policy {
    /// The behavior of our own tools.
    pub const OWN: Self = Self {
        mosquitto: None,
        log: LogStream::Stderr,
        logs_grants: LogGrants::Always,
        reads_password_variable: true,
        rejects_tcp_options_of_unix_socket: true,
        protects_kept_session: true,
        client_id_prefix: "mq",
        sends_any_alias: false,
        waits_forever: false,
        retries_close_before_connack: false,
        reconnects: true,
        reconnects_after_disconnect: true,
        gives_up_at_same_packet: true,
        always_requests_will: false,
        interrupts_succeed: false,
        status_before_connack: None,
        refusals_fail: true,
        shows_progress: true,
        skips_oversized_lines: true,
        drops_unavailable_retain: false,
        narrows_window: true,
        escapes_terminal: true,
        has_topic_screen: true,
        // Some brokers take no more (AWS IoT).
        filters_per_subscribe: 8,
        respects_subscribe_limits: true,
        checks_suback_count: true,
        ends_without_more_retained: true,
        matches_responses: true,
        reports_unmatched: true,
        latency_on_stdout: false,
        closes_without_disconnect: false,
    };

    /// The behavior of one of mosquitto's clients.
    pub const fn of(client: MosquittoClient) -> Self {
        let subscribes = matches!(client, MosquittoClient::Subscribe);
        let requests = matches!(client, MosquittoClient::Request);
        Self {
            mosquitto: Some(client),
            log: LogStream::Stdout,
            logs_grants: if requests { LogGrants::Never } else { LogGrants::UnlessQuiet },
            reads_password_variable: false,
            rejects_tcp_options_of_unix_socket: false,
            protects_kept_session: false,
            client_id_prefix: "mosq",
            sends_any_alias: true,
            waits_forever: true,
            retries_close_before_connack: subscribes,
            reconnects: !requests,
            reconnects_after_disconnect: !subscribes,
            gives_up_at_same_packet: false,
            always_requests_will: true,
            interrupts_succeed: subscribes,
            status_before_connack: if subscribes { Some(BEFORE_CONNACK) } else { None },
            refusals_fail: false,
            shows_progress: false,
            skips_oversized_lines: false,
            drops_unavailable_retain: true,
            narrows_window: false,
            escapes_terminal: false,
            has_topic_screen: false,
            filters_per_subscribe: usize::MAX,
            respects_subscribe_limits: false,
            checks_suback_count: false,
            ends_without_more_retained: false,
            matches_responses: false,
            reports_unmatched: false,
            latency_on_stdout: true,
            closes_without_disconnect: requests,
        }
    }

    /// How long an answer is awaited, where `--connect-timeout` allows `timeout`.
    pub(crate) const fn answer_timeout(&self, timeout: Duration) -> Duration {
        if self.waits_forever { FOREVER } else { timeout }
    }

    /// Whether the log of `-d` shows what was granted.
    pub(crate) const fn logs_grants(&self, quiet: bool) -> bool {
        match self.logs_grants {
            LogGrants::Always => true,
            LogGrants::UnlessQuiet => !quiet,
            LogGrants::Never => false,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::OWN
    }
}
