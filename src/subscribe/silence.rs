//! `--silent-after`: when nothing has come for a time, of all topics together or of each.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::topic_numbers::TopicNumbers;

/// What counts as silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilencePlan {
    /// The time without a message.
    pub after: Duration,
    /// The topics that are watched from the beginning, of `--each-topic`; none where all are watched as one.
    pub each: Option<Vec<String>>,
}

/// Watches for silence.
#[derive(Debug)]
pub(super) struct Silence {
    after: Duration,
    has_begun: bool,
    /// Of all topics together, unless each is watched.
    all: Watch,
    each: Option<Topics>,
}

/// One thing that may fall silent.
#[derive(Clone, Copy, Debug)]
struct Watch {
    last: Instant,
    is_silent: bool,
}

/// What is watched of each topic.
#[derive(Debug, Default)]
struct Topics {
    numbers: TopicNumbers,
    watched: Vec<Watch>,
    /// When to look at a topic; each that is not silent is in it once, at its last message or at an earlier one.
    queue: BinaryHeap<Reverse<(Instant, usize)>>,
}

impl Topics {
    fn on_message(&mut self, topic: &str, now: Instant, after: Duration) {
        let Some(number) = self.numbers.number(topic) else { return };
        if number == self.watched.len() {
            self.watched.push(Watch { last: now, is_silent: true });
        }
        let watch = &mut self.watched[number];
        watch.last = now;
        if std::mem::take(&mut watch.is_silent) {
            self.queue.push(Reverse((now + after, number)));
        }
    }

    fn next_silent(&mut self, now: Instant, after: Duration) -> Option<Arc<str>> {
        while let Some(Reverse((at, number))) = self.queue.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.queue.pop();
            let watch = &mut self.watched[number];
            let end = watch.last + after;
            debug_assert!(at <= end);
            if end <= now {
                watch.is_silent = true;
                return Some(Arc::clone(self.numbers.name(number)));
            }
            self.queue.push(Reverse((end, number)));
        }
        None
    }
}

impl Silence {
    pub(super) fn new(plan: SilencePlan, now: Instant) -> Self {
        let SilencePlan { after, each } = plan;
        let each = each.map(|known| {
            let mut topics = Topics::default();
            known.iter().for_each(|topic| topics.on_message(topic, now, after));
            topics
        });
        Self { after, has_begun: false, all: Watch { last: now, is_silent: false }, each }
    }

    /// The broker has acknowledged the subscriptions, on this connection or on a later one: until now nothing could come.
    pub(super) fn begin(&mut self, now: Instant) {
        self.has_begun = true;
        self.all.last = now;
        if let Some(topics) = &mut self.each {
            topics.watched.iter_mut().for_each(|watch| watch.last = now);
        }
    }

    /// Whether silence counts now.
    pub(super) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// There is no connection.
    pub(super) fn pause(&mut self) {
        self.has_begun = false;
    }

    /// A message came.
    pub(super) fn on_message(&mut self, topic: &str, now: Instant) {
        match &mut self.each {
            Some(topics) => topics.on_message(topic, now, self.after),
            None => self.all = Watch { last: now, is_silent: false },
        }
    }

    /// When to look again.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.each {
            _ if !self.has_begun => None,
            Some(topics) => topics.queue.peek().map(|Reverse((at, _))| *at),
            None => (!self.all.is_silent).then(|| self.all.last + self.after),
        }
    }

    /// What has fallen silent since it was last asked: a topic, or everything, which has no name. Ask until there is
    /// nothing more.
    pub(super) fn next_silent(&mut self, now: Instant) -> Option<Option<Arc<str>>> {
        if !self.has_begun {
            return None;
        }
        match &mut self.each {
            Some(topics) => topics.next_silent(now, self.after).map(Some),
            None if !self.all.is_silent && self.all.last + self.after <= now => {
                self.all.is_silent = true;
                Some(None)
            }
            None => None,
        }
    }

    /// The time without a message.
    pub(super) const fn after(&self) -> Duration {
        self.after
    }

    /// Topics that are watched, if some are not since there are too many.
    pub(super) fn overflow(&self) -> Option<usize> {
        let numbers = &self.each.as_ref()?.numbers;
        numbers.has_overflowed().then(|| numbers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::topic_numbers::MAX_TOPICS;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn silent(silence: &mut Silence, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| silence.next_silent(now))
            .map(|topic| topic.map_or("*".into(), |topic| topic.to_string()))
            .collect()
    }

    #[test]
    fn everything_falls_silent_once() {
        let start = Instant::now();
        let mut silence = Silence::new(SilencePlan { after: SECOND * 10, each: None }, start);
        assert_eq!(silence.due(), None);
        assert!(silent(&mut silence, start + SECOND * 99).is_empty(), "not subscribed");
        silence.begin(start + SECOND);
        assert_eq!(silence.due(), Some(start + SECOND * 11));
        silence.on_message("a", start + SECOND * 5);
        assert!(silent(&mut silence, start + SECOND * 14).is_empty());
        assert_eq!(silent(&mut silence, start + SECOND * 15), ["*"]);
        assert!(silent(&mut silence, start + SECOND * 99).is_empty());
        assert_eq!(silence.due(), None);
        silence.on_message("b", start + SECOND * 100);
        assert_eq!(silent(&mut silence, start + SECOND * 110), ["*"]);
    }

    #[test]
    fn each_topic_falls_silent_for_itself() {
        let start = Instant::now();
        let each = Some(vec!["named".to_owned()]);
        let mut silence = Silence::new(SilencePlan { after: SECOND * 10, each }, start);
        silence.begin(start);
        silence.on_message("a", start + SECOND);
        silence.on_message("b", start + SECOND * 2);
        silence.on_message("a", start + SECOND * 9);
        assert_eq!(silent(&mut silence, start + SECOND * 10), ["named"]);
        assert_eq!(silent(&mut silence, start + SECOND * 12), ["b"]);
        silence.on_message("named", start + SECOND * 13);
        assert_eq!(silent(&mut silence, start + SECOND * 19), ["a"]);
        assert_eq!(silence.due(), Some(start + SECOND * 23));
        assert_eq!(silent(&mut silence, start + SECOND * 23), ["named"]);
        assert_eq!(silence.due(), None);
    }

    #[test]
    fn a_lost_connection_is_no_silence() {
        let start = Instant::now();
        let mut silence = Silence::new(SilencePlan { after: SECOND, each: Some(vec!["a".into()]) }, start);
        silence.begin(start);
        silence.pause();
        assert_eq!(silence.due(), None);
        assert!(silent(&mut silence, start + SECOND * 9).is_empty());
        silence.begin(start + SECOND * 9);
        assert!(silent(&mut silence, start + SECOND * 9).is_empty());
        assert_eq!(silent(&mut silence, start + SECOND * 10), ["a"]);
    }

    #[test]
    fn topics_without_end_do_not_take_memory_without_end() {
        let start = Instant::now();
        let mut silence = Silence::new(SilencePlan { after: SECOND, each: Some(Vec::new()) }, start);
        silence.begin(start);
        for number in 0..MAX_TOPICS {
            silence.on_message(&number.to_string(), start);
        }
        assert_eq!(silence.overflow(), None);
        silence.on_message("one more", start);
        assert_eq!(silence.overflow(), Some(MAX_TOPICS));
        assert_eq!(silent(&mut silence, start + SECOND).len(), MAX_TOPICS);
    }
}
