//! Retained messages (§3.3.1.3), and the walk that finds those that a new subscription asks for: it continues where it
//! stood, as fast as the subscriber takes them, and holds none of them.

use std::sync::Arc;
use std::time::Instant;

use super::topic_tree::{ROOT, TopicTree, Value};
use super::{NONE, StoredMessage};

impl Value for Option<Arc<StoredMessage>> {
    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

/// The tree of retained messages.
#[derive(Default)]
pub(super) struct Retained {
    tree: TopicTree<Option<Arc<StoredMessage>>>,
    count: usize,
    bytes: usize,
    /// Walks that are under way: while there are any, no node is taken away under them.
    walks: usize,
    to_prune: Vec<u32>,
}

/// A walk over what a filter matches.
#[derive(Debug)]
pub(super) struct Walk {
    levels: Box<[Box<str>]>,
    /// Nodes to look at, each with its level.
    stack: Vec<(u32, u32)>,
    subscription: super::subscriptions::Subscriber,
}

impl Walk {
    pub(super) fn subscription(&self) -> &super::subscriptions::Subscriber {
        &self.subscription
    }
}

impl Retained {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the messages.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, topic: &str) -> Option<&Arc<StoredMessage>> {
        self.tree.value(self.tree.find(topic)?).as_ref()
    }

    /// Sets the message of its topic.
    pub(super) fn set(&mut self, message: Arc<StoredMessage>) {
        let node = self.tree.insert(message.topic());
        self.bytes += message.size();
        match self.tree.value_mut(node).replace(message) {
            Some(old) => self.bytes -= old.size(),
            None => self.count += 1,
        }
    }

    /// Clears the message of a topic; false if there was none.
    pub(super) fn clear(&mut self, topic: &str) -> bool {
        let Some(node) = self.tree.find(topic) else { return false };
        let Some(old) = self.tree.value_mut(node).take() else { return false };
        self.count -= 1;
        self.bytes -= old.size();
        if self.walks > 0 {
            self.to_prune.push(node);
        } else {
            self.tree.prune(node);
        }
        true
    }

    /// Begins a walk over what a filter matches; every walk must be ended.
    pub(super) fn begin(&mut self, filter: &str, subscription: super::subscriptions::Subscriber) -> Walk {
        self.walks += 1;
        let levels = filter.split('/').map(Into::into).collect();
        Walk { levels, stack: vec![(ROOT, 0)], subscription }
    }

    pub(super) fn end(&mut self, walk: Walk) {
        drop(walk);
        self.walks -= 1;
        if self.walks == 0 {
            for node in std::mem::take(&mut self.to_prune) {
                self.tree.prune(node);
            }
        }
    }

    /// The next message of a walk. Looks at no more than `steps` nodes, and takes them off. Expired ones are skipped.
    pub(super) fn next(&self, walk: &mut Walk, steps: &mut usize, now: Instant) -> Option<Arc<StoredMessage>> {
        while let Some((node, level)) = walk.stack.pop() {
            if *steps == 0 {
                walk.stack.push((node, level));
                return None;
            }
            *steps -= 1;
            let found = self.step(node, level, walk);
            if let Some(message) = found.filter(|message| !message.is_expired(now)) {
                return Some(Arc::clone(message));
            }
        }
        None
    }

    /// Whether a walk is at its end.
    pub(super) fn is_done(walk: &Walk) -> bool {
        walk.stack.is_empty()
    }

    /// Looks at a node. What hangs at a wildcard is pushed as one entry, the first child, which then pushes its next
    /// sibling: [`SIBLINGS`] marks such an entry.
    fn step(&self, node: u32, level: u32, walk: &mut Walk) -> Option<&Arc<StoredMessage>> {
        let siblings = level & SIBLINGS != 0;
        let depth = (level & !SIBLINGS) as usize;
        if siblings {
            let next = self.tree.next_sibling(node);
            if next != NONE {
                walk.stack.push((next, level));
            }
            // No wildcard at the beginning matches $-topics (MQTT-4.7.2-1).
            if depth == 1 && self.tree.name(node).starts_with('$') {
                return None;
            }
        }
        let first = self.tree.first_child(node);
        match walk.levels.get(depth).map(|text| &**text) {
            // All levels are matched.
            None if walk.levels.last().is_some_and(|last| &**last == "#") => {
                // Below a "#" everything matches.
                if first != NONE {
                    walk.stack.push((first, (depth as u32 + 1) | SIBLINGS));
                }
                self.tree.value(node).as_ref()
            }
            None => self.tree.value(node).as_ref(),
            Some("#") => {
                if first != NONE {
                    walk.stack.push((first, (depth as u32 + 1) | SIBLINGS));
                }
                // "a/#" matches "a" too.
                if node == ROOT { None } else { self.tree.value(node).as_ref() }
            }
            Some("+") => {
                if first != NONE {
                    walk.stack.push((first, (depth as u32 + 1) | SIBLINGS));
                }
                None
            }
            Some(name) => {
                if let Some(child) = self.tree.child(node, name) {
                    walk.stack.push((child, depth as u32 + 1));
                }
                None
            }
        }
    }
}

/// Marks a stack entry whose next siblings are to be looked at as well.
const SIBLINGS: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::MessageParts;
    use super::super::subscriptions::Subscriber;
    use super::*;
    use crate::mqtt::{QoS, filter_matches};

    fn message(topic: &str) -> Arc<StoredMessage> {
        Arc::new(StoredMessage::new(&MessageParts {
            topic,
            payload: b"x",
            properties: &[],
            qos: QoS::AtMostOnce,
            retain: true,
            expires: None,
        }))
    }

    const SUBSCRIBER: Subscriber =
        Subscriber { session: 0, identifier: 0, qos: QoS::AtMostOnce, no_local: false, retain_as_published: false };

    proptest! {
        #[test]
        fn a_walk_finds_what_the_filter_matches_in_steps_of_any_size(
            topics in prop::collection::btree_set("[ab$]?(/[ab]?){0,3}", 0..20),
            filter in "[ab+$]?(/[ab+]?){0,3}(/#)?",
            steps in 1usize..5,
        ) {
            prop_assume!(!filter.is_empty());
            let topics: BTreeSet<String> = topics.into_iter().filter(|text| !text.is_empty()).collect();
            let mut retained = Retained::default();
            topics.iter().for_each(|topic| retained.set(message(topic)));
            let mut walk = retained.begin(&filter, SUBSCRIBER);
            let mut found = Vec::new();
            while !Retained::is_done(&walk) {
                let mut left = steps;
                if let Some(message) = retained.next(&mut walk, &mut left, Instant::now()) {
                    found.push(message.topic().to_owned());
                }
            }
            retained.end(walk);
            let count = found.len();
            let found: BTreeSet<_> = found.into_iter().collect();
            prop_assert_eq!(found.len(), count);
            let expected: BTreeSet<_> = topics.iter().filter(|topic| filter_matches(&filter, topic)).cloned().collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(retained.count(), topics.len());
        }
    }

    #[test]
    fn a_walk_outlives_what_is_cleared_under_it() {
        let mut retained = Retained::default();
        for number in 0..100 {
            retained.set(message(&format!("a/{number}/x")));
        }
        let mut walk = retained.begin("#", SUBSCRIBER);
        let mut steps = 10;
        while retained.next(&mut walk, &mut steps, Instant::now()).is_some() {}
        for number in 0..100 {
            assert!(retained.clear(&format!("a/{number}/x")));
        }
        retained.set(message("b"));
        let mut steps = usize::MAX;
        while retained.next(&mut walk, &mut steps, Instant::now()).is_some() {}
        assert!(Retained::is_done(&walk));
        retained.end(walk);
        assert_eq!((retained.count(), retained.bytes()), (1, 2));
        assert!(retained.clear("b"));
        assert_eq!(retained.tree.first_child(ROOT), NONE);
    }
}
