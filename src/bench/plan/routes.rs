//! Who publishes where, who subscribes to what, and so: which messages each subscriber is to get.

use thiserror::Error;

use super::{RunTag, Template, TemplateError};
use crate::mqtt::{TopicError, check_topic_filter, check_topic_name};

/// A stream is what one publisher sends to its topic; it has the publisher's number.
/// The streams that a subscriber is to get are `first`, `first + step`, … — `count` of them.
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
    /// The stream's place among them, if it is one of them.
    #[inline]
    pub fn index_of(self, stream: usize) -> Option<usize> {
        let distance = stream.checked_sub(self.first)?;
        let index = distance / self.step;
        (index < self.count && index * self.step == distance).then_some(index)
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..self.count).map(move |index| self.first + index * self.step)
    }
}

/// A topic of the plan is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RouteError {
    /// The template is wrong.
    #[error("-t {topic}: {error}")]
    Template {
        /// As typed.
        topic: String,
        /// What is wrong with it.
        error: TemplateError,
    },
    /// It makes no topic to publish to.
    #[error("-t {topic}: {error}")]
    Topic {
        /// As typed.
        topic: String,
        /// What is wrong with it.
        error: TopicError,
    },
}

/// Topics of all streams, and which streams each subscriber gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    topic: Option<Template>,
    shared: bool,
    run: RunTag,
    publishers: usize,
    subscribers: usize,
}

impl Routes {
    /// Without a topic each stream has one of its own, `mqbench/RUN/STREAM`. A template with a place for the client
    /// gives each publisher one too; any other topic is shared by all.
    ///
    /// With a topic a stream, subscriber j gets the streams j, j + S, j + 2S … of S subscribers; where there are more
    /// subscribers than publishers, several subscribers get the same stream (fan-out). With a shared topic every
    /// subscriber gets everything.
    pub fn new(topic: Option<&str>, run: RunTag, publishers: usize, subscribers: usize) -> Result<Self, RouteError> {
        let template = match topic {
            None => None,
            Some(text) => {
                let topic = || text.to_owned();
                let template = Template::new(text).map_err(|error| RouteError::Template { topic: topic(), error })?;
                // Names of clients come from the options and stand in for themselves here.
                let example = template.expand(0, "id", "user");
                let checked = if publishers > 0 { check_topic_name(&example) } else { check_topic_filter(&example) };
                checked.map_err(|error| RouteError::Topic { topic: topic(), error })?;
                Some(template)
            }
        };
        let shared = template.as_ref().is_some_and(|template| !template.varies());
        Ok(Self { topic: template, shared, run, publishers, subscribers })
    }

    /// Notes that a template makes the same topic for all clients after all, as `%u` does for one user.
    pub fn share_topic(&mut self) {
        self.shared = true;
    }

    /// Whether all streams go to one topic.
    pub fn is_shared_topic(&self) -> bool {
        self.shared
    }

    /// The topic of a stream; `client_id` and `user_name` are its publisher's.
    pub fn topic(&self, stream: usize, client_id: &str, user_name: &str) -> String {
        match &self.topic {
            Some(template) => template.expand(stream, client_id, user_name),
            None => format!("mqbench/{}/{stream}", self.run),
        }
    }

    /// The streams that a subscriber, counted from 0, is to get.
    pub fn streams_of(&self, subscriber: usize) -> Streams {
        if self.is_shared_topic() {
            return Streams { first: 0, step: 1, count: self.publishers };
        }
        if self.subscribers >= self.publishers {
            return Streams { first: subscriber % self.publishers.max(1), step: 1, count: self.publishers.min(1) };
        }
        let count = (self.publishers - subscriber).div_ceil(self.subscribers);
        Streams { first: subscriber, step: self.subscribers, count }
    }

    /// The subscribers, counted from 0, that are to get a stream.
    pub fn subscribers_of(&self, stream: usize) -> Streams {
        if self.subscribers == 0 || self.is_shared_topic() {
            return Streams { first: 0, step: 1, count: self.subscribers };
        }
        if self.subscribers >= self.publishers {
            let count = (self.subscribers - stream).div_ceil(self.publishers);
            return Streams { first: stream, step: self.publishers, count };
        }
        Streams { first: stream % self.subscribers, step: 1, count: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn routes(topic: Option<&str>, publishers: usize, subscribers: usize) -> Routes {
        Routes::new(topic, RunTag(0xabc), publishers, subscribers).unwrap()
    }

    #[test]
    fn topics_are_a_stream_each_unless_they_are_shared() {
        assert_eq!(routes(None, 3, 3).topic(2, "", ""), "mqbench/0abc/2");
        assert_eq!(routes(Some("t/%c/%i"), 3, 3).topic(2, "id", ""), "t/id/2");
        assert!(routes(Some("t"), 3, 3).is_shared_topic());
        assert!(matches!(Routes::new(Some("#"), RunTag(1), 1, 1), Err(RouteError::Topic { .. })));
    }

    proptest! {
        /// Both directions of the relation say the same, every stream is heard where anybody listens, and a place is
        /// found for just the streams of a subscriber.
        #[test]
        fn publishers_and_subscribers_agree(publishers in 1usize..40, subscribers in 0usize..40, shared in any::<bool>()) {
            let routes = routes(shared.then_some("t"), publishers, subscribers);
            let mut pairs = std::collections::BTreeSet::new();
            for subscriber in 0..subscribers {
                let streams = routes.streams_of(subscriber);
                for (index, stream) in streams.iter().enumerate() {
                    prop_assert!(stream < publishers);
                    prop_assert_eq!(streams.index_of(stream), Some(index));
                    pairs.insert((stream, subscriber));
                }
                prop_assert_eq!((0..publishers).filter(|s| streams.index_of(*s).is_some()).count(), streams.count);
            }
            let mut reverse = std::collections::BTreeSet::new();
            for stream in 0..publishers {
                let heard = routes.subscribers_of(stream);
                prop_assert!(subscribers == 0 || heard.count > 0);
                reverse.extend(heard.iter().map(|subscriber| (stream, subscriber)));
            }
            prop_assert_eq!(pairs, reverse);
        }
    }
}
