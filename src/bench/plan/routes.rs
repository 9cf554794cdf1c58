//! Topics and filters of all clients, and so which messages each subscriber receives.

use std::collections::HashMap;

use thiserror::Error;

use super::RunTag;
use crate::mqtt::{TopicError, check_sent_topic_filter, check_sent_topic_name, filter_matches};
use crate::options::Shape;
use crate::template::{Source, Template, TemplateError};

/// What a Topic Filter of a shared subscription begins with (§4.8.2).
pub(crate) const SHARE: &str = "$share/";

/// A stream is what one publisher sends to its topic; it has the publisher's number. The streams that a subscriber
/// receives are `first`, `first + step`, … — `count` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// The first.
    pub first: usize,
    /// Distance from one to the next.
    pub step: usize,
    /// How many.
    pub count: usize,
}

impl Streams {
    const fn all(count: usize) -> Self {
        Self { first: 0, step: 1, count }
    }

    /// The stream's place among them, if it is one of them.
    #[inline]
    pub fn index_of(self, stream: usize) -> Option<usize> {
        let distance = stream.checked_sub(self.first)?;
        let index = distance / self.step;
        (index < self.count && index * self.step == distance).then_some(index)
    }

    /// The stream at a place among them.
    #[inline]
    pub const fn at(self, index: usize) -> usize {
        self.first + index * self.step
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..self.count).map(move |index| self.at(index))
    }
}

/// Why the topics of a plan cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum RouteError {
    /// The template is wrong.
    #[error("-t {topic}: {error}")]
    Template {
        /// As typed.
        topic: String,
        /// What is wrong with it.
        error: TemplateError,
    },
    /// It makes no topic to publish to, or no filter to subscribe to.
    #[error("-t {topic}: {error}")]
    Topic {
        /// As typed.
        topic: String,
        /// What is wrong with it.
        error: TopicError,
    },
    /// A publisher would send to it.
    #[error("-t {topic}: a shared subscription is not a topic to publish to: use --shape shared:G with a plain topic")]
    Share {
        /// As typed.
        topic: String,
    },
    /// A template makes one topic for several publishers, and others for others.
    #[error(
        "-t {template}: several publishers would send to {topic}: include %i, the client number, or give each a row"
    )]
    Repeated {
        /// As typed.
        template: String,
        /// What it makes for several.
        topic: String,
    },
    /// Two templates make one topic, so that subscribers of the one get messages of the other.
    #[error("-t {first} and -t {second} expand to the same topic, {topic}: use different templates")]
    SameTopic {
        /// One, as typed.
        first: String,
        /// The other, as typed.
        second: String,
        /// What both make.
        topic: String,
    },
}

/// The numbers of clients, and the shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowd {
    /// Which messages each subscriber receives.
    pub shape: Shape,
    /// The run's tag.
    pub run: RunTag,
    /// How many publish.
    pub publishers: usize,
    /// How many subscribe.
    pub subscribers: usize,
}

/// One `-t`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Topic {
    template: Template,
    /// All its publishers send to one topic.
    is_one: bool,
}

/// Topics of all streams, and which streams each subscriber gets.
///
/// A *receiver* receives every message of its streams once: a subscriber, or a group of subscribers that share a
/// subscription, of which one member gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    crowd: Crowd,
    /// Empty: each stream has its own topic, `mqbench/RUN/STREAM`.
    topics: Vec<Topic>,
    /// Filters that match the topics of all streams, each of them once, where there are such.
    wildcards: Option<Vec<String>>,
}

/// The filter for all topics of a run that has no `-t`.
fn default_wildcard(run: RunTag) -> String {
    format!("mqbench/{run}/+")
}

impl Routes {
    /// Publishers take the topics in turn: publisher i sends to the one of `topics` at i modulo their number. `names`
    /// gives client id and user name of a client.
    ///
    /// In the shape p2p subscriber j gets the streams j, j + S, j + 2S … of S subscribers; where there are more
    /// subscribers than publishers, several subscribers get the same stream. In every other shape, and where a topic
    /// has no place for the client and so is one for several publishers, every subscriber (or group) gets everything.
    pub(crate) fn new(
        crowd: Crowd,
        topics: &[&str],
        source: &Source,
        names: impl Fn(usize) -> (String, String),
    ) -> Result<Self, RouteError> {
        let mut texts: Vec<&str> = Vec::new();
        for text in topics {
            if !texts.contains(text) {
                texts.push(text);
            }
        }
        let topics = texts.iter().map(|text| topic(text, crowd.publishers, source)).collect::<Result<_, _>>()?;
        let mut routes = Self { crowd, topics, wildcards: None };
        routes.find_single_topics(&names);
        routes.check_distinct(&texts, &names)?;
        if matches!(crowd.shape, Shape::FanIn | Shape::Shared { .. }) {
            routes.wildcards = routes.find_wildcards(&names);
        }
        Ok(routes)
    }

    /// Notes which templates make one topic only. It is what they make that counts: %u is the same for one user.
    fn find_single_topics(&mut self, names: &impl Fn(usize) -> (String, String)) {
        let count = self.topics.len();
        for (index, topic) in self.topics.iter_mut().enumerate() {
            let text = |client: usize| {
                let (client_id, user_name) = names(client);
                topic.template.expand(client, &client_id, &user_name)
            };
            // What is drawn may be the same for two by chance.
            topic.is_one = !topic.template.may_repeat() && text(index) == text(index + count);
        }
    }

    fn check_distinct(&self, texts: &[&str], names: &impl Fn(usize) -> (String, String)) -> Result<(), RouteError> {
        let may_repeat = self.topics.iter().any(|topic| topic.template.may_repeat());
        if self.crowd.publishers == 0 && may_repeat {
            return (0..self.crowd.subscribers).flat_map(|subscriber| self.filters_of(subscriber, names)).try_for_each(
                |topic| check_sent_topic_filter(&topic).map_err(|error| RouteError::Topic { topic, error }),
            );
        }
        if self.topics.len() < 2 && !may_repeat {
            return Ok(());
        }
        let mut seen: HashMap<String, usize> = HashMap::new();
        for stream in 0..self.crowd.publishers {
            let index = stream % self.topics.len();
            let (client_id, user_name) = names(stream);
            let topic = self.topic(stream, &client_id, &user_name);
            if self.topics[index].template.may_repeat() {
                check_sent_topic_name(&topic).map_err(|error| RouteError::Topic { topic: topic.clone(), error })?;
                if seen.contains_key(&topic) {
                    return Err(RouteError::Repeated { template: texts[index].to_owned(), topic });
                }
            }
            if let Some(before) = seen.insert(topic.clone(), index)
                && before != index
            {
                let (first, second) = (texts[before.min(index)].to_owned(), texts[before.max(index)].to_owned());
                return Err(RouteError::SameTopic { first, second, topic });
            }
        }
        Ok(())
    }

    /// One filter per template. None where a topic would not match just one of them: a broker may deliver a message
    /// once for each filter that matches (MQTT-3.3.4-2), and a name with a `/` in it fills more than one level.
    fn find_wildcards(&self, names: &impl Fn(usize) -> (String, String)) -> Option<Vec<String>> {
        if self.crowd.publishers < 2 {
            return None;
        }
        if self.topics.is_empty() {
            return Some(vec![default_wildcard(self.crowd.run)]);
        }
        let used = self.topics.iter().take(self.crowd.publishers);
        let mut filters: Vec<String> = used.map(|topic| topic.template.filter()).collect::<Option<_>>()?;
        filters.sort_unstable();
        filters.dedup();
        let fits = (0..self.crowd.publishers).all(|stream| {
            let (client_id, user_name) = names(stream);
            let topic = self.topic(stream, &client_id, &user_name);
            filters.iter().filter(|filter| filter_matches(filter, &topic)).count() == 1
        });
        fits.then_some(filters)
    }

    /// The same topics for another run: those that have no `-t` contain its tag.
    pub fn retagged(&self, run: RunTag) -> Self {
        let crowd = Crowd { run, ..self.crowd };
        let wildcards = match &self.wildcards {
            Some(_) if self.topics.is_empty() => Some(vec![default_wildcard(run)]),
            wildcards => wildcards.clone(),
        };
        Self { crowd, topics: self.topics.clone(), wildcards }
    }

    /// Which messages each subscriber receives.
    pub const fn shape(&self) -> Shape {
        self.crowd.shape
    }

    /// Whether several publishers send to one topic, so that the topic does not identify the publisher.
    pub fn has_crowded_topic(&self) -> bool {
        let (publishers, count) = (self.crowd.publishers, self.topics.len());
        self.topics.iter().enumerate().any(|(index, topic)| topic.is_one && publishers > index + count)
    }

    /// Whether each receiver receives every message.
    pub fn is_everything_for_all(&self) -> bool {
        self.crowd.shape != Shape::P2p || self.topics.iter().any(|topic| topic.is_one)
    }

    /// The topic of a stream; `client_id` and `user_name` are its publisher's.
    pub fn topic(&self, stream: usize, client_id: &str, user_name: &str) -> String {
        match self.topics.get(stream % self.topics.len().max(1)) {
            Some(topic) => topic.template.expand(stream, client_id, user_name),
            None => format!("mqbench/{}/{stream}", self.crowd.run),
        }
    }

    /// The Topic Filters of a subscriber, counted from 0. `names` gives client id and user name of a client. Without
    /// publishers these are all templates, filled in for the subscriber itself.
    pub fn filters_of(&self, subscriber: usize, names: impl Fn(usize) -> (String, String)) -> Vec<String> {
        let mut filters: Vec<String> = if self.crowd.publishers == 0 {
            let (client_id, user_name) = names(subscriber);
            self.topics.iter().map(|topic| topic.template.expand(subscriber, &client_id, &user_name)).collect()
        } else if let Some(wildcards) = &self.wildcards {
            wildcards.clone()
        } else {
            let topic = |stream| {
                let (client_id, user_name) = names(stream);
                self.topic(stream, &client_id, &user_name)
            };
            self.streams_of(subscriber).iter().map(topic).collect()
        };
        filters.sort_unstable();
        filters.dedup();
        if let Shape::Shared { .. } = self.crowd.shape {
            let group = self.receiver_of(subscriber);
            let shared = |filter: String| format!("{SHARE}mqb-{}-{group}/{filter}", self.crowd.run);
            filters = filters.into_iter().map(shared).collect();
        }
        filters
    }

    /// The templates of the topics; empty where each stream has its own topic that the run's tag is a part of.
    pub fn topics(&self) -> impl Iterator<Item = &Template> {
        self.topics.iter().map(|topic| &topic.template)
    }

    /// Filters with wildcards that stand for all topics, without the group; where there are such.
    pub fn wildcards(&self) -> Option<&[String]> {
        self.wildcards.as_deref()
    }

    /// How many receivers there are.
    pub fn receivers(&self) -> usize {
        match self.crowd.shape {
            Shape::Shared { groups } => groups,
            Shape::P2p | Shape::FanIn | Shape::FanOut => self.crowd.subscribers,
        }
    }

    /// The receiver that a subscriber is, or belongs to: subscribers are assigned to groups in rotation.
    pub fn receiver_of(&self, subscriber: usize) -> usize {
        subscriber % self.receivers().max(1)
    }

    /// How many subscribers are a receiver together.
    pub fn members_of(&self, receiver: usize) -> usize {
        self.crowd.subscribers.saturating_sub(receiver).div_ceil(self.receivers().max(1))
    }

    /// The streams that a subscriber, counted from 0, or its group receives.
    pub fn streams_of(&self, subscriber: usize) -> Streams {
        let (publishers, subscribers) = (self.crowd.publishers, self.crowd.subscribers);
        if self.is_everything_for_all() {
            return Streams::all(publishers);
        }
        if subscribers >= publishers {
            return Streams { first: subscriber % publishers.max(1), step: 1, count: publishers.min(1) };
        }
        let count = (publishers - subscriber).div_ceil(subscribers);
        Streams { first: subscriber, step: subscribers, count }
    }

    /// The receivers of a stream, counted from 0.
    pub fn receivers_of(&self, stream: usize) -> Streams {
        let (publishers, receivers) = (self.crowd.publishers, self.receivers());
        if receivers == 0 || self.is_everything_for_all() {
            return Streams::all(receivers);
        }
        if receivers >= publishers {
            return Streams { first: stream, step: publishers, count: (receivers - stream).div_ceil(publishers) };
        }
        Streams { first: stream % receivers, step: 1, count: 1 }
    }

    /// A subscriber's place, or that of its group, among the receivers of each of its streams: the same in all.
    pub fn rank_of(&self, subscriber: usize) -> usize {
        let receiver = self.receiver_of(subscriber);
        if self.is_everything_for_all() { receiver } else { receiver / self.crowd.publishers.max(1) }
    }

    /// How many copies of a message are to arrive, at the least and at the most.
    pub fn copies(&self) -> (usize, usize) {
        let counts = || (0..self.crowd.publishers).map(|stream| self.receivers_of(stream).count);
        (counts().min().unwrap_or(0), counts().max().unwrap_or(0))
    }
}

fn topic(text: &str, publishers: usize, source: &Source) -> Result<Topic, RouteError> {
    let typed = || text.to_owned();
    let template = Template::of_client(text, source).map_err(|error| RouteError::Template { topic: typed(), error })?;
    // Names of clients come from the options and stand in for themselves here.
    let example = template.expand(0, "id", "user");
    if publishers > 0 && text.starts_with(SHARE) {
        return Err(RouteError::Share { topic: typed() });
    }
    let checked = if publishers > 0 { check_sent_topic_name(&example) } else { check_sent_topic_filter(&example) };
    checked.map_err(|error| RouteError::Topic { topic: typed(), error })?;
    Ok(Topic { template, is_one: false })
}

#[cfg(test)]
mod tests;
