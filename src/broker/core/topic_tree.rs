//! A tree of topic levels: one node per level, found by its parent and its name in one table for the whole tree.
//! Subscriptions and retained messages are such trees.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::NONE;

/// The node that all first levels hang under.
pub(super) const ROOT: u32 = 0;

/// Most levels of a topic, each of which costs a node: mosquitto's limit is 200 slashes.
pub(super) const MAX_LEVELS: usize = 201;

/// What a node carries.
pub(super) trait Value: Default {
    /// Whether the node is of no use for it any more.
    fn is_empty(&self) -> bool;
}

#[derive(Debug)]
struct Node<V> {
    parent: u32,
    first_child: u32,
    last_child: u32,
    next: u32,
    previous: u32,
    /// Children named `+` and `#`, so that the others cost no search for them.
    plus: u32,
    hash: u32,
    name: Box<str>,
    value: V,
}

pub(super) struct TopicTree<V> {
    nodes: Vec<Node<V>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl<V: Value> Default for TopicTree<V> {
    fn default() -> Self {
        let mut tree = Self {
            nodes: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        };
        tree.nodes.push(Node::new(NONE, ""));
        tree
    }
}

impl<V: Value> Node<V> {
    fn new(parent: u32, name: &str) -> Self {
        Self {
            parent,
            first_child: NONE,
            last_child: NONE,
            next: NONE,
            previous: NONE,
            plus: NONE,
            hash: NONE,
            name: name.into(),
            value: V::default(),
        }
    }
}

impl<V: Value> TopicTree<V> {
    pub(super) fn value(&self, node: u32) -> &V {
        &self.nodes[node as usize].value
    }

    pub(super) fn value_mut(&mut self, node: u32) -> &mut V {
        &mut self.nodes[node as usize].value
    }

    pub(super) fn first_child(&self, node: u32) -> u32 {
        self.nodes[node as usize].first_child
    }

    pub(super) fn next_sibling(&self, node: u32) -> u32 {
        self.nodes[node as usize].next
    }

    pub(super) fn name(&self, node: u32) -> &str {
        &self.nodes[node as usize].name
    }

    fn hash_of(&self, parent: u32, name: &str) -> u64 {
        self.hasher.hash_one((parent, name))
    }

    pub(super) fn child(&self, parent: u32, name: &str) -> Option<u32> {
        if self.nodes[parent as usize].first_child == NONE {
            return None;
        }
        let hash = self.hash_of(parent, name);
        self.index
            .find(hash, |id| {
                let node = &self.nodes[*id as usize];
                node.parent == parent && *node.name == *name
            })
            .copied()
    }

    /// The node of a path, if it is there.
    pub(super) fn find(&self, path: &str) -> Option<u32> {
        path.split('/').try_fold(ROOT, |node, level| self.child(node, level))
    }

    /// The node of a path, made where it was missing.
    pub(super) fn insert(&mut self, path: &str) -> u32 {
        path.split('/').fold(ROOT, |node, level| self.child(node, level).unwrap_or_else(|| self.add(node, level)))
    }

    fn add(&mut self, parent: u32, name: &str) -> u32 {
        let mut node = Node::new(parent, name);
        node.previous = self.nodes[parent as usize].last_child;
        let previous = node.previous;
        let id = match self.free.pop() {
            Some(id) => {
                self.nodes[id as usize] = node;
                id
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        if previous != NONE {
            self.nodes[previous as usize].next = id;
        }
        let above = &mut self.nodes[parent as usize];
        above.last_child = id;
        if previous == NONE {
            above.first_child = id;
        }
        match name {
            "+" => above.plus = id,
            "#" => above.hash = id,
            _ => {}
        }
        let hash = self.hash_of(parent, name);
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        self.index.insert_unique(hash, id, |id| {
            let node = &nodes[*id as usize];
            hasher.hash_one((node.parent, &*node.name))
        });
        id
    }

    /// Takes a node away, and the ones above it, as far as they are of no use.
    pub(super) fn prune(&mut self, mut id: u32) {
        while id != ROOT {
            let node = &self.nodes[id as usize];
            if node.first_child != NONE || !node.value.is_empty() || node.parent == NONE {
                return;
            }
            let (parent, next, previous) = (node.parent, node.next, node.previous);
            let hash = self.hash_of(parent, &node.name);
            if let Ok(entry) = self.index.find_entry(hash, |other| *other == id) {
                entry.remove();
            }
            if next != NONE {
                self.nodes[next as usize].previous = previous;
            }
            let above = &mut self.nodes[parent as usize];
            if above.plus == id {
                above.plus = NONE;
            }
            if above.hash == id {
                above.hash = NONE;
            }
            if next == NONE {
                above.last_child = previous;
            }
            if previous == NONE {
                above.first_child = next;
            } else {
                self.nodes[previous as usize].next = next;
            }
            self.nodes[id as usize] = Node::new(NONE, "");
            self.free.push(id);
            id = parent;
        }
    }

    pub(super) fn path(&self, node: u32) -> String {
        let mut levels = Vec::new();
        let mut id = node;
        while id != ROOT && id != NONE {
            levels.push(&*self.nodes[id as usize].name);
            id = self.nodes[id as usize].parent;
        }
        levels.reverse();
        levels.join("/")
    }

    /// Visits the values of all filters in the tree that match a Topic Name (§4.7).
    pub(super) fn matching<'a>(&'a self, topic: &str, visit: &mut impl FnMut(u32, &'a V)) {
        self.visit_filters(ROOT, Some(topic), topic.starts_with('$'), visit);
    }

    fn visit_filters<'a>(&'a self, id: u32, rest: Option<&str>, system: bool, visit: &mut impl FnMut(u32, &'a V)) {
        let node = &self.nodes[id as usize];
        // "a/#" matches "a" too (MQTT-4.7.1-2), so it is looked at before the levels run out. No wildcard at the
        // beginning matches a topic that begins with $ (MQTT-4.7.2-1).
        if node.hash != NONE && !system {
            visit(node.hash, self.value(node.hash));
        }
        let Some(rest) = rest else {
            return visit(id, &node.value);
        };
        if node.first_child == NONE {
            return;
        }
        let (level, rest) = match rest.split_once('/') {
            Some((level, rest)) => (level, Some(rest)),
            None => (rest, None),
        };
        if let Some(child) = self.child(id, level) {
            self.visit_filters(child, rest, false, visit);
        }
        if node.plus != NONE && !system {
            self.visit_filters(node.plus, rest, false, visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::mqtt::filter_matches;

    impl Value for bool {
        fn is_empty(&self) -> bool {
            !self
        }
    }

    proptest! {
        #[test]
        fn matches_what_the_filters_match_and_prunes_to_nothing(
            filters in prop::collection::btree_set("[ab+$]?(/[ab+]?){0,3}(/#)?", 0..20),
            topics in prop::collection::vec("[ab$]?(/[ab]?){0,3}", 1..10),
        ) {
            let filters: BTreeSet<String> = filters.into_iter().filter(|text| !text.is_empty()).collect();
            let mut tree = TopicTree::<bool>::default();
            for filter in &filters {
                let node = tree.insert(filter);
                *tree.value_mut(node) = true;
                prop_assert_eq!(&tree.path(node), filter);
            }
            for topic in topics.iter().filter(|topic| !topic.is_empty()) {
                let mut found = BTreeSet::new();
                tree.matching(topic, &mut |node, is_filter| {
                    if *is_filter {
                        found.insert(tree.path(node));
                    }
                });
                let expected: BTreeSet<_> =
                    filters.iter().filter(|filter| filter_matches(filter, topic)).cloned().collect();
                prop_assert_eq!(found, expected, "{}", topic);
            }
            for filter in &filters {
                let node = tree.find(filter).unwrap();
                *tree.value_mut(node) = false;
                tree.prune(node);
            }
            prop_assert_eq!(tree.first_child(ROOT), NONE);
            prop_assert_eq!(tree.index.len(), 0);
            prop_assert_eq!(tree.free.len(), tree.nodes.len() - 1);
        }
    }
}
