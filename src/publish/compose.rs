//! From a line or a repetition to messages. Pure.

use std::collections::VecDeque;

use bytes::Bytes;
use memchr::memmem::Finder;

use super::line_fault::{LineFault, topic_of};
use super::template_form::TemplateForm;
use crate::message_json::{MessageDefaults, read_message};
use crate::mqtt::{Message, QoS, TopicRule, apply_rules, check_topic_name};

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

    pub(super) fn payload_size(&self) -> usize {
        match self {
            Self::Payload(payload) => payload.len(),
            Self::Whole(message) => message.payload.len(),
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
    /// It is a template, or a value for one.
    Template(Box<TemplateForm>),
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
    pub(super) form: LineForm,
    /// What every message has in common.
    pub(super) common: Message,
    /// Where each message goes; none where each line names its topic.
    pub(super) topics: Vec<String>,
    /// How topics of lines are changed.
    pub(super) rules: Vec<TopicRule>,
    /// QoS 0 is an error.
    pub(super) needs_answer: bool,
}

/// A message, and when it was received, where a line has its time.
type Timed = (Draft, Option<i64>);

impl Composer {
    /// How many messages a line makes.
    pub(super) fn messages_per_line(&self) -> u64 {
        self.topics.len().max(1) as u64
    }

    /// The first message of line `number`; what more there is goes to the end of `more`.
    pub(super) fn compose(
        &mut self,
        number: u64,
        line: Bytes,
        more: &mut VecDeque<Message>,
    ) -> Result<Timed, LineFault> {
        let mut received = None;
        let message = match &mut self.form {
            LineForm::Payload if self.topics.len() < 2 => return Ok((Draft::Payload(line), None)),
            LineForm::Payload => Message { payload: line, ..self.common.clone() },
            LineForm::Json(defaults) => {
                let mut read = read_message(&line, defaults).map_err(LineFault::Json)?;
                received = read.received_us;
                if self.needs_answer && read.message.qos == QoS::AtMostOnce {
                    return Err(LineFault::QosWithoutAnswer);
                }
                if read.names_topic {
                    read.message.topic = self.mapped(read.message.topic)?;
                    return Ok((Draft::Whole(read.message), received));
                }
                read.message
            }
            LineForm::Template(form) => {
                let (topics, payload) = form.fill(number - 1, &line)?;
                let mut topics = topics.into_iter();
                let topic = topics.next().unwrap_or_default();
                more.extend(topics.map(|topic| Message { topic, payload: payload.clone(), ..self.common.clone() }));
                return Ok((Draft::Whole(Message { topic, payload, ..self.common.clone() }), None));
            }
            LineForm::Separated(separator) => {
                let (topic, payload) = split(&line, separator)?;
                let topic = self.mapped(topic)?;
                return Ok((Draft::Whole(Message { topic, payload, ..self.common.clone() }), None));
            }
        };
        for topic in self.topics.iter().skip(1) {
            more.push_back(Message { topic: topic.clone(), ..message.clone() });
        }
        Ok((Draft::Whole(message), received))
    }

    fn mapped(&self, topic: String) -> Result<String, LineFault> {
        if self.rules.is_empty() {
            return Ok(topic);
        }
        let topic = apply_rules(&self.rules, topic);
        match check_topic_name(&topic) {
            Ok(()) => Ok(topic),
            Err(error) => Err(LineFault::Topic { topic, error }),
        }
    }
}

fn split(line: &Bytes, separator: &Separator) -> Result<(String, Bytes), LineFault> {
    let Some(at) = separator.finder.find(line) else { return Err(LineFault::NoSeparator(separator.shown())) };
    Ok((topic_of(line[..at].to_vec())?, line.slice(at + separator.text.len()..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composer(form: LineForm, topics: &[&str]) -> Composer {
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let topic = topics.first().cloned().unwrap_or_default();
        let common = Message { topic, qos: QoS::AtLeastOnce, ..Message::default() };
        Composer { form, common, topics, rules: vec![TopicRule::parse("old/+=new/+").unwrap()], needs_answer: true }
    }

    fn compose(composer: &mut Composer, line: &'static [u8]) -> Result<Vec<(String, Bytes)>, LineFault> {
        let mut more = VecDeque::new();
        let (first, _) = composer.compose(1, Bytes::from_static(line), &mut more)?;
        let all = std::iter::once(first.message(&composer.common)).chain(more);
        Ok(all.map(|message| (message.topic, message.payload)).collect())
    }

    fn pairs(pairs: &[(&str, &'static [u8])]) -> Result<Vec<(String, Bytes)>, LineFault> {
        Ok(pairs.iter().map(|(topic, payload)| ((*topic).to_owned(), Bytes::from_static(payload))).collect())
    }

    #[test]
    fn a_line_goes_to_each_topic() {
        let mut one = composer(LineForm::Payload, &["a"]);
        assert_eq!(compose(&mut one, b"x\ty"), pairs(&[("a", b"x\ty")]));
        let mut two = composer(LineForm::Payload, &["a", "b/c", "d"]);
        assert_eq!(compose(&mut two, b"x"), pairs(&[("a", b"x"), ("b/c", b"x"), ("d", b"x")]));
        assert_eq!((one.messages_per_line(), two.messages_per_line()), (1, 3));
        let defaults = MessageDefaults { topic: Some("a".into()), qos: QoS::AtLeastOnce, ..MessageDefaults::default() };
        let mut json = composer(LineForm::Json(defaults), &["a", "b"]);
        assert_eq!(compose(&mut json, br#"{"payload":"x"}"#), pairs(&[("a", b"x"), ("b", b"x")]));
        assert_eq!(compose(&mut json, br#"{"topic":"t","payload":"x"}"#), pairs(&[("t", b"x")]));
        assert_eq!(compose(&mut json, br#"{"topic":"t","payload":"x","qos":0}"#), Err(LineFault::QosWithoutAnswer));
    }

    #[test]
    fn the_first_separator_ends_the_topic() {
        let mut tab = composer(LineForm::Separated(Separator::new("\t").into()), &[]);
        assert_eq!(compose(&mut tab, b"a/b\tx\ty\r"), pairs(&[("a/b", b"x\ty\r")]));
        assert_eq!(compose(&mut tab, b"old/1\tx"), pairs(&[("new/1", b"x")]));
        assert_eq!(compose(&mut tab, b"a\t"), pairs(&[("a", b"")]));
        assert_eq!(compose(&mut tab, b"a\t\xff\0"), pairs(&[("a", b"\xff\0")]));
        let mut text = composer(LineForm::Separated(Separator::new(" : ").into()), &[]);
        assert_eq!(compose(&mut text, b"a : b : c"), pairs(&[("a", b"b : c")]));
        for (line, expected) in [
            (&b"a/b x"[..], "it does not contain a TAB, which separates topic and payload"),
            (b"\tx", "invalid topic '': it is empty"),
            (b"a/#\tx", "invalid topic 'a/#': a topic to publish to must not contain the wildcards + and #"),
            (b"\xff\tx", "the topic is not UTF-8"),
        ] {
            assert_eq!(compose(&mut tab, line).unwrap_err().to_string(), expected);
        }
    }
}
