//! The subscriptions.

use std::collections::HashMap;

use super::NONE;
use super::topic_tree::{TopicTree, Value};
use crate::mqtt::QoS;

/// One session's subscription to a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subscriber {
    pub(super) session: u32,
    /// Subscription Identifier, 0 for none.
    pub(super) identifier: u32,
    pub(super) qos: QoS,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
}

/// Above this many subscribers a table finds them.
const SEARCHED: usize = 32;

/// The subscribers of one filter, or of one group of it.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    list: Vec<Subscriber>,
    #[expect(clippy::box_collection, reason = "there are a million of these, most without a table")]
    positions: Option<Box<HashMap<u32, u32>>>,
}

impl Subscribers {
    fn position(&self, session: u32) -> Option<usize> {
        match &self.positions {
            Some(positions) => positions.get(&session).map(|position| *position as usize),
            None => self.list.iter().position(|subscriber| subscriber.session == session),
        }
    }

    /// Puts it in or in place of the session's earlier one; true if it had none.
    fn put(&mut self, subscriber: Subscriber) -> bool {
        if let Some(position) = self.position(subscriber.session) {
            self.list[position] = subscriber;
            return false;
        }
        self.list.push(subscriber);
        let last = self.list.len() - 1;
        if let Some(positions) = &mut self.positions {
            positions.insert(subscriber.session, last as u32);
        } else if self.list.len() > SEARCHED {
            let positions = self.list.iter().zip(0..).map(|(subscriber, position)| (subscriber.session, position));
            self.positions = Some(Box::new(positions.collect()));
        }
        true
    }

    fn remove(&mut self, session: u32) -> bool {
        let Some(position) = self.position(session) else { return false };
        if let Some(positions) = &mut self.positions {
            positions.remove(&session);
            self.list.swap_remove(position);
            if let Some(moved) = self.list.get(position) {
                positions.insert(moved.session, position as u32);
            }
            if self.list.len() < SEARCHED / 2 {
                self.positions = None;
            }
        } else {
            // The order in which a few subscribe is the order in which they are served.
            self.list.remove(position);
        }
        true
    }
}

/// A shared subscription of one filter (§4.8.2).
#[derive(Debug)]
struct Group {
    name: Box<str>,
    members: Subscribers,
    next: usize,
}

/// What hangs on a filter.
#[derive(Debug, Default)]
pub(super) struct Entry {
    plain: Subscribers,
    groups: Vec<Group>,
}

impl Value for Entry {
    fn is_empty(&self) -> bool {
        self.plain.list.is_empty() && self.groups.is_empty()
    }
}

/// A group that a topic was found to belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupRef {
    node: u32,
    name: Box<str>,
}

/// All that match a topic.
#[derive(Clone, Debug, Default)]
pub(super) struct Matched {
    pub(super) subscribers: Vec<Subscriber>,
    pub(super) groups: Vec<GroupRef>,
}

/// The tree of subscriptions.
#[derive(Default)]
pub(super) struct Subscriptions {
    tree: TopicTree<Entry>,
    count: usize,
    shared_count: usize,
    /// Rises with every change, so that what was matched before is known to be stale.
    generation: u64,
}

/// Splits `$share/GROUP/FILTER`.
pub(super) fn split_share(filter: &str) -> (Option<&str>, &str) {
    match filter.strip_prefix("$share/").and_then(|shared| shared.split_once('/')) {
        Some((group, filter)) => (Some(group), filter),
        None => (None, filter),
    }
}

impl Subscriptions {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn shared_count(&self) -> usize {
        self.shared_count
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Records a change that affects matches.
    pub(super) fn touch(&mut self) {
        self.generation += 1;
    }

    /// Adds a subscription or changes it. Returns its node, and whether it is new.
    pub(super) fn add(&mut self, filter: &str, subscriber: Subscriber) -> (u32, bool) {
        self.touch();
        let (group, filter) = split_share(filter);
        let node = self.tree.insert(filter);
        let entry = self.tree.value_mut(node);
        let new = match group {
            None => entry.plain.put(subscriber),
            Some(name) => {
                let position = entry.groups.iter().position(|group| *group.name == *name).unwrap_or_else(|| {
                    entry.groups.push(Group { name: name.into(), members: Subscribers::default(), next: 0 });
                    entry.groups.len() - 1
                });
                entry.groups[position].members.put(subscriber)
            }
        };
        self.count += usize::from(new && group.is_none());
        self.shared_count += usize::from(new && group.is_some());
        (node, new)
    }

    /// Ends a subscription. Returns its node, and whether the session has others there; nothing if there was none.
    pub(super) fn remove(&mut self, filter: &str, session: u32) -> Option<(u32, bool)> {
        let (group, filter) = split_share(filter);
        let node = self.tree.find(filter)?;
        let entry = self.tree.value_mut(node);
        let removed = match group {
            None => entry.plain.remove(session),
            Some(name) => entry.groups.iter_mut().find(|group| *group.name == *name)?.members.remove(session),
        };
        if !removed {
            return None;
        }
        entry.groups.retain(|group| !group.members.list.is_empty());
        let others = entry.plain.position(session).is_some()
            || entry.groups.iter().any(|group| group.members.position(session).is_some());
        self.count -= usize::from(group.is_none());
        self.shared_count -= usize::from(group.is_some());
        self.touch();
        self.tree.prune(node);
        Some((node, others))
    }

    /// Ends all that a session has at this node.
    pub(super) fn remove_all(&mut self, node: u32, session: u32) {
        let entry = self.tree.value_mut(node);
        self.count -= usize::from(entry.plain.remove(session));
        for group in &mut entry.groups {
            self.shared_count -= usize::from(group.members.remove(session));
        }
        entry.groups.retain(|group| !group.members.list.is_empty());
        self.touch();
        self.tree.prune(node);
    }

    /// Finds all that match a topic.
    pub(super) fn matching(&self, topic: &str, matched: &mut Matched) {
        matched.subscribers.clear();
        matched.groups.clear();
        self.tree.matching(topic, &mut |node, entry: &Entry| {
            matched.subscribers.extend_from_slice(&entry.plain.list);
            let groups = entry.groups.iter();
            matched.groups.extend(groups.map(|group| GroupRef { node, name: group.name.clone() }));
        });
    }

    /// Whose turn it is in a group: one after the other, and first those that `is_ready` is true for.
    pub(super) fn next_of(&mut self, group: &GroupRef, is_ready: impl Fn(u32) -> bool) -> Option<Subscriber> {
        let groups = &mut self.tree.value_mut(group.node).groups;
        let group = groups.iter_mut().find(|other| other.name == group.name)?;
        let members = &group.members.list;
        let in_turn = (0..members.len()).map(|step| (group.next + step) % members.len());
        let position = in_turn.clone().find(|position| is_ready(members[*position].session));
        let position = position.or_else(|| in_turn.clone().next())?;
        group.next = position + 1;
        Some(members[position])
    }

    /// The filters with their subscribers, for who prints them.
    pub(super) fn walk(&self, visit: &mut impl FnMut(&str, &Subscriber)) {
        let mut stack = vec![self.tree.first_child(super::topic_tree::ROOT)];
        while let Some(node) = stack.pop() {
            if node == NONE {
                continue;
            }
            stack.push(self.tree.next_sibling(node));
            stack.push(self.tree.first_child(node));
            let entry = self.tree.value(node);
            if !entry.is_empty() {
                let path = self.tree.path(node);
                entry.plain.list.iter().for_each(|subscriber| visit(&path, subscriber));
                for group in &entry.groups {
                    let path = format!("$share/{}/{path}", group.name);
                    group.members.list.iter().for_each(|subscriber| visit(&path, subscriber));
                }
            }
        }
    }
}
