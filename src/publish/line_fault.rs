//! Why a line is not a message.

use thiserror::Error;

use crate::message_json::ReadError;
use crate::mqtt::{TopicError, check_sent_topic_name};
use crate::template::TemplateError;

/// Why a line is not a message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum LineFault {
    /// It is not one in JSON.
    #[error(transparent)]
    Json(ReadError),
    /// It names no topic.
    #[error("it does not contain {0}, which separates topic and payload")]
    NoSeparator(String),
    /// Its topic is not UTF-8.
    #[error("the topic is not UTF-8")]
    TopicNotUtf8,
    /// Nothing can be published to its topic.
    #[error("invalid topic '{topic}': {error}")]
    Topic {
        /// The topic.
        topic: String,
        /// What is wrong with it.
        error: TopicError,
    },
    /// It is not a template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A template is text.
    #[error("it is not UTF-8, as a template must be")]
    TemplateNotUtf8,
    /// The broker does not answer it.
    #[error("its QoS is 0, at which the broker does not report subscribers (--require-subscriber)")]
    QosWithoutAnswer,
    /// More bytes than are read.
    #[error("it has {length} bytes; a line can have at most {limit}")]
    TooLong {
        /// Its bytes.
        length: u64,
        /// How many it may have.
        limit: usize,
    },
}

/// The topic that these bytes are, if something can be published to it.
pub(super) fn topic_of(bytes: Vec<u8>) -> Result<String, LineFault> {
    let topic = String::from_utf8(bytes).map_err(|_| LineFault::TopicNotUtf8)?;
    match check_sent_topic_name(&topic) {
        Ok(()) => Ok(topic),
        Err(error) => Err(LineFault::Topic { topic, error }),
    }
}

impl LineFault {
    /// The character of the line at which it is, where that is known.
    pub(super) const fn column(&self) -> Option<usize> {
        match self {
            Self::Json(error) => Some(error.column),
            Self::TopicNotUtf8 | Self::Topic { .. } => Some(1),
            Self::NoSeparator(_)
            | Self::Template(_)
            | Self::TemplateNotUtf8
            | Self::QosWithoutAnswer
            | Self::TooLong { .. } => None,
        }
    }
}
