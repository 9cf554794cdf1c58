//! mqsub: which messages count, when to stop, how they are printed.
//!
//! [`SubscribePlan`] is what the options mean; [`subscribe`] does it and returns how it ended. The pure half is
//! `selection`, which decides about each message, and [`mod@format`], which turns it into bytes: neither knows a
//! socket, a clock or stdout; the time of receipt travels with the message.

mod aside;
mod batch;
mod command;
mod conditions;
mod copies;
mod directory;
mod exit;
mod expectation;
mod expression;
mod file_error;
mod file_name;
pub mod format;
mod jobs;
#[cfg_attr(not(feature = "jq"), path = "no_jq.rs")]
mod jq;
mod jq_process;
mod plan;
mod process;
mod ready;
mod receiver;
mod record;
mod requests;
mod retained;
mod run;
pub(crate) mod selection;
mod silence;
mod silence_command;
mod sink;
mod statistics;
mod stdout;
mod subscriber;
mod topic_numbers;

pub(crate) use batch::Batch;
pub use conditions::ConditionPlan;
pub(crate) use exit::{EXIT_TIMEOUT, leave, reason_with_will, write_out};
pub use expectation::ExpectationPlan;
pub use expression::Expression;
pub use jq_process::jq_process;
pub use plan::SubscribePlan;
pub(crate) use plan::{handling_of_retained, printer};
#[cfg(feature = "explorer")]
pub(crate) use requests::{Requests, check_limits};
pub(crate) use requests::{miscounted, shortfall};
pub use run::subscribe;
pub use silence::SilencePlan;
pub(crate) use sink::{MessageSink, OutputError, SinkReady};

use std::time::Duration;

use chrono::{DateTime, FixedOffset};

use crate::message_json::properties_of;
use crate::mqtt::wire::Publish;
use crate::mqtt::{PropertyName, PropertyRef, PropertyValue};

/// A received message: the PUBLISH, which may still lie in the read buffer, and when it was received. Where a Topic
/// Alias stood for the topic, `publish.topic` is the topic it stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedMessage<'a> {
    /// Topic, payload, QoS, RETAIN, DUP, Packet Identifier and properties in wire order.
    pub publish: Publish<'a>,
    /// Time of receipt, in the zone it is to be shown in.
    pub received: DateTime<FixedOffset>,
    /// Of a response: the time since its request.
    pub latency: Option<Duration>,
}

impl<'a> ReceivedMessage<'a> {
    /// A message received at that time.
    pub const fn new(publish: Publish<'a>, received: DateTime<FixedOffset>) -> Self {
        Self { publish, received, latency: None }
    }

    /// The properties in wire order.
    pub fn properties(&self) -> impl Iterator<Item = PropertyRef<'a>> + use<'a> {
        properties_of(self.publish.properties)
    }

    /// The first value of that name.
    pub fn property(&self, name: PropertyName) -> Option<PropertyValue<&'a str, &'a [u8]>> {
        self.properties().find(|property| property.name() == name).map(|property| *property.value())
    }
}
