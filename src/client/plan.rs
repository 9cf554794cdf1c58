//! What a client connection is to be: how to get there and how to speak there. Plain data, made by the options.

use super::RetryPlan;
use crate::session::SessionConfig;
use crate::transport::TransportPlan;

/// Everything that the connection options of a tool mean.
#[derive(Clone, Debug)]
pub struct ConnectPlan {
    /// How to reach the broker.
    pub transport: TransportPlan,
    /// How to introduce ourselves there.
    pub session: SessionConfig,
    /// When to try again.
    pub retry: RetryPlan,
    /// The `/topic` part of `-L`, percent-decoded: a topic to publish to, or one more subscription.
    pub topic_of_url: Option<String>,
    /// What the user is to know before anything connects.
    pub warnings: Vec<String>,
}
