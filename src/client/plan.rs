//! The plan of a client connection: transport and session. Plain data, made by the options.

use std::time::Duration;

use super::{Policy, RetryPlan, Trace};
use crate::mqtt::Properties;
use crate::session::SessionConfig;
use crate::transport::TransportPlan;

/// Everything that the connection options of a tool mean.
#[derive(Clone, Debug)]
pub struct ConnectPlan {
    /// How to reach the broker.
    pub transport: TransportPlan,
    /// The session that is opened there.
    pub session: SessionConfig,
    /// When to try again.
    pub retry: RetryPlan,
    /// The `/topic` part of `-L`, percent-decoded: a topic to publish to, or one more subscription.
    pub topic_of_url: Option<String>,
    /// Warnings to print before anything connects.
    pub warnings: Vec<String>,
}

/// What mqpub, mqsub and mqrr have in common.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// The broker, and how to speak to it.
    pub connect: ConnectPlan,
    /// Properties of DISCONNECT.
    pub disconnect_properties: Properties,
    /// How long the broker may take to answer, or to take what is written.
    pub answer_timeout: Duration,
    /// Number of `-d` options.
    pub debug: u8,
    /// No errors on stderr while running.
    pub quiet: bool,
    /// Where the tool behaves as mosquitto's client.
    pub policy: Policy,
}

impl ClientPlan {
    /// The log of `-d`, if it is wanted.
    pub(super) fn trace(&self) -> Option<Trace> {
        let trace = Trace::of_level(self.debug, self.policy.log)?;
        Some(trace.with_grants(self.policy.logs_grants(self.quiet)))
    }
}
