//! MQTT itself, pure: the terms of the OASIS standards 3.1.1 and 5.0 as types, and in `wire/` how they become bytes.
//!
//! Nothing here uses a socket, a clock or an option. "§" in comments is a section of MQTT 5.0 unless 3.1.1 is named.

mod message;
mod property;
mod qos;
mod reason;
mod secret;
mod text;
mod topic;
mod topic_rule;
mod version;
pub mod wire;

pub use message::Message;
pub use property::{
    Properties, Property, PropertyContext, PropertyError, PropertyName, PropertyRef, PropertyValue, WireType,
};
pub use qos::QoS;
pub use reason::ReasonCode;
pub use secret::Secret;
pub use text::{RejectedCharacter, check_sent_text};
pub use topic::{
    TopicError, TopicFilter, check_sent_topic_filter, check_sent_topic_name, check_topic_filter, check_topic_name,
    filter_matches,
};
pub(crate) use topic_rule::apply_rules;
pub use topic_rule::{RuleError, TopicRule};
pub use version::ProtocolVersion;
