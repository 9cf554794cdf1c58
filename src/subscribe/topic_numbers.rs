//! Numbers for topics as they come, up to a limit, so that a table of them takes no memory without end.

use std::collections::HashMap;
use std::sync::Arc;

/// Most topics, and most bytes of their names.
pub(super) const MAX_TOPICS: usize = 100_000;
const MAX_TOPIC_BYTES: usize = 64 << 20;

/// The topics that have a number.
#[derive(Debug, Default)]
pub(super) struct TopicNumbers {
    numbers: HashMap<Arc<str>, usize>,
    names: Vec<Arc<str>>,
    bytes: usize,
    has_overflowed: bool,
}

impl TopicNumbers {
    /// The number of a topic, from 0 on; none for one beyond the limit.
    pub(super) fn number(&mut self, topic: &str) -> Option<usize> {
        if let Some(number) = self.numbers.get(topic) {
            return Some(*number);
        }
        if self.names.len() == MAX_TOPICS || self.bytes + topic.len() > MAX_TOPIC_BYTES {
            self.has_overflowed = true;
            return None;
        }
        let (name, number): (Arc<str>, _) = (topic.into(), self.names.len());
        self.bytes += topic.len();
        self.numbers.insert(Arc::clone(&name), number);
        self.names.push(name);
        Some(number)
    }

    /// The topic of a number that was given.
    pub(super) fn name(&self, number: usize) -> &Arc<str> {
        &self.names[number]
    }

    /// Topics that have a number.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether one came that has none.
    pub(super) const fn has_overflowed(&self) -> bool {
        self.has_overflowed
    }
}
