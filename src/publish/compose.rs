//! From a line or a repetition to messages. Pure.

use std::collections::VecDeque;

use bytes::Bytes;
use memchr::memmem::Finder;
use thiserror::Error;

use crate::message_json::{MessageDefaults, ReadError, read_message};
use crate::mqtt::{Message, QoS, TopicError, check_sent_topic_name};

/// A message that is taken up and not in the session yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Draft {
    /// The message of the plan, with this payload.
    Payload(Bytes),
    /// Another one.
    Whole(Message),
}

impl Draft {
    /// The whole message; `common` is the message of the plan.
    pub(super) fn message(&self, common: &Message) -> Message {
        match self {
            Self::Payload(payload) => Message { payload: payload.clone(), ..common.clone() },
            Self::Whole(message) => message.clone(),
        }
    }

    /// The size of its payload.
    pub(super) fn payload_size(&self) -> usize {
        match self {
            Self::Payload(payload) => payload.len(),
            Self::Whole(message) => message.payload.len(),
        }
    }
}

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

impl LineFault {
    /// The character of the line at which it is, where that is known.
    pub(super) const fn column(&self) -> Option<usize> {
        match self {
            Self::Json(error) => Some(error.column),
            Self::TopicNotUtf8 | Self::Topic { .. } => Some(1),
            Self::NoSeparator(_) | Self::QosWithoutAnswer | Self::TooLong { .. } => None,
        }
    }
}

/// How a line is read.
#[derive(Clone, Debug, Default)]
pub(super) enum LineForm {
    /// It is the payload.
    #[default]
    Payload,
    /// It is one JSON object.
    Json(MessageDefaults),
    /// Topic, this text, payload.
    Separated(Box<Separator>),
}

/// What stands between topic and payload.
#[derive(Clone, Debug)]
pub(super) struct Separator {
    text: String,
    finder: Finder<'static>,
}

impl Separator {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), finder: Finder::new(text.as_bytes()).into_owned() }
    }

    /// As errors show it.
    fn shown(&self) -> String {
        if self.text == "\t" { "a TAB".to_owned() } else { format!("'{}'", self.text) }
    }
}

/// Makes messages.
#[derive(Debug)]
pub(super) struct Composer {
    form: LineForm,
    /// What every message has in common.
    common: Message,
    /// Where each message goes; none where each line names its topic.
    topics: Vec<String>,
    /// QoS 0 is an error.
    needs_answer: bool,
}

impl Composer {
    pub(super) const fn new(form: LineForm, common: Message, topics: Vec<String>, needs_answer: bool) -> Self {
        Self { form, common, topics, needs_answer }
    }

    /// How many messages a line makes.
    pub(super) fn messages_per_line(&self) -> u64 {
        self.topics.len().max(1) as u64
    }

    /// The first message of a line; what more there is goes to the end of `more`.
    pub(super) fn compose(&self, line: Bytes, more: &mut VecDeque<Message>) -> Result<Draft, LineFault> {
        let message = match &self.form {
            LineForm::Payload if self.topics.len() < 2 => return Ok(Draft::Payload(line)),
            LineForm::Payload => Message { payload: line, ..self.common.clone() },
            LineForm::Json(defaults) => {
                let read = read_message(&line, defaults).map_err(LineFault::Json)?;
                if self.needs_answer && read.message.qos == QoS::AtMostOnce {
                    return Err(LineFault::QosWithoutAnswer);
                }
                if read.names_topic {
                    return Ok(Draft::Whole(read.message));
                }
                read.message
            }
            LineForm::Separated(separator) => {
                let (topic, payload) = split(&line, separator)?;
                return Ok(Draft::Whole(Message { topic, payload, ..self.common.clone() }));
            }
        };
        for topic in self.topics.iter().skip(1) {
            more.push_back(Message { topic: topic.clone(), ..message.clone() });
        }
        Ok(Draft::Whole(message))
    }
}

fn split(line: &Bytes, separator: &Separator) -> Result<(String, Bytes), LineFault> {
    let Some(at) = separator.finder.find(line) else { return Err(LineFault::NoSeparator(separator.shown())) };
    let topic = String::from_utf8(line[..at].to_vec()).map_err(|_| LineFault::TopicNotUtf8)?;
    match check_sent_topic_name(&topic) {
        Ok(()) => Ok((topic, line.slice(at + separator.text.len()..))),
        Err(error) => Err(LineFault::Topic { topic, error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composer(form: LineForm, topics: &[&str]) -> Composer {
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let topic = topics.first().cloned().unwrap_or_default();
        Composer::new(form, Message { topic, qos: QoS::AtLeastOnce, ..Message::default() }, topics, true)
    }

    fn compose(composer: &Composer, line: &'static [u8]) -> Result<Vec<(String, Bytes)>, LineFault> {
        let mut more = VecDeque::new();
        let first = composer.compose(Bytes::from_static(line), &mut more)?;
        let all = std::iter::once(first.message(&composer.common)).chain(more);
        Ok(all.map(|message| (message.topic, message.payload)).collect())
    }

    fn pairs(pairs: &[(&str, &'static [u8])]) -> Result<Vec<(String, Bytes)>, LineFault> {
        Ok(pairs.iter().map(|(topic, payload)| ((*topic).to_owned(), Bytes::from_static(payload))).collect())
    }

    #[test]
    fn a_line_goes_to_each_topic() {
        let one = composer(LineForm::Payload, &["a"]);
        assert_eq!(compose(&one, b"x\ty"), pairs(&[("a", b"x\ty")]));
        let two = composer(LineForm::Payload, &["a", "b/c", "d"]);
        assert_eq!(compose(&two, b"x"), pairs(&[("a", b"x"), ("b/c", b"x"), ("d", b"x")]));
        assert_eq!((one.messages_per_line(), two.messages_per_line()), (1, 3));
        let defaults = MessageDefaults { topic: Some("a".into()), qos: QoS::AtLeastOnce, ..MessageDefaults::default() };
        let json = composer(LineForm::Json(defaults), &["a", "b"]);
        assert_eq!(compose(&json, br#"{"payload":"x"}"#), pairs(&[("a", b"x"), ("b", b"x")]));
        assert_eq!(compose(&json, br#"{"topic":"t","payload":"x"}"#), pairs(&[("t", b"x")]));
        assert_eq!(compose(&json, br#"{"topic":"t","payload":"x","qos":0}"#), Err(LineFault::QosWithoutAnswer));
    }

    #[test]
    fn the_first_separator_ends_the_topic() {
        let tab = composer(LineForm::Separated(Separator::new("\t").into()), &[]);
        assert_eq!(compose(&tab, b"a/b\tx\ty\r"), pairs(&[("a/b", b"x\ty\r")]));
        assert_eq!(compose(&tab, b"a\t"), pairs(&[("a", b"")]));
        assert_eq!(compose(&tab, b"a\t\xff\0"), pairs(&[("a", b"\xff\0")]));
        let text = composer(LineForm::Separated(Separator::new(" : ").into()), &[]);
        assert_eq!(compose(&text, b"a : b : c"), pairs(&[("a", b"b : c")]));
        for (line, expected) in [
            (&b"a/b x"[..], "it does not contain a TAB, which separates topic and payload"),
            (b"\tx", "invalid topic '': it is empty"),
            (b"a/#\tx", "invalid topic 'a/#': a topic to publish to must not contain the wildcards + and #"),
            (b"\xff\tx", "the topic is not UTF-8"),
        ] {
            assert_eq!(compose(&tab, line).unwrap_err().to_string(), expected);
        }
    }
}
