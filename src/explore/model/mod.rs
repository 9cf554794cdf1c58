//! What the explorer knows: a tree of topics with their last messages, counts and histories, within a limit of memory.
//! Pure: no terminal, no socket, and the time comes with each message.
//!
//! Nothing is ever taken out of the tree but histories and parts of payloads, so an index of a node stays valid.

mod figures;
mod kept;
mod memory;
mod name;
mod node;
mod pause;

#[cfg(test)]
mod tests;

pub(super) use figures::{Figures, Micros};
pub(super) use kept::Kept;
#[cfg(test)]
pub(super) use kept::LONGEST_PAYLOAD;
pub(super) use memory::MemoryNotice;
pub(super) use node::{NodeId, NodeView, ROOT, TopicView};

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use hashbrown::HashTable;
use memory::Memory;
use name::compare;
use node::{Node, Topic};
use pause::Pause;

use crate::mqtt::wire::Publish;

/// Most earlier messages kept of a topic.
pub(super) const HISTORY: usize = 200;

/// The tree.
#[derive(Debug)]
pub(super) struct Model {
    /// The first one is the root, which is no level.
    nodes: Vec<Node>,
    /// Finds a level by its parent and its name.
    index: HashTable<NodeId>,
    hasher: RandomState,
    memory: Memory,
    pause: Option<Pause>,
    /// Levels at each depth, without those of `$SYS`.
    at_depth: Vec<usize>,
    /// Changes with every message.
    version: u64,
    /// The time of the last message, or what was set later.
    now: Micros,
}

impl Model {
    /// An empty tree that may take this many bytes.
    pub(super) fn new(most_memory: usize) -> Self {
        Self {
            nodes: vec![Node::new("", ROOT)],
            index: HashTable::new(),
            hasher: RandomState::new(),
            memory: Memory::new(most_memory),
            pause: None,
            at_depth: Vec::new(),
            version: 0,
            now: 0,
        }
    }

    /// Forgets everything, but for the limit of memory.
    pub(super) fn clear(&mut self) {
        let version = self.version;
        *self = Self { version: version + 1, ..Self::new(self.memory.limit()) };
    }

    /// Takes a message that was received at that time.
    pub(super) fn add(&mut self, publish: &Publish<'_>, time: Micros) {
        self.version += 1;
        self.now = self.now.max(time);
        let size = publish.payload.len();
        let is_system = publish.topic.starts_with('$');
        if !is_system {
            self.freeze(ROOT);
            self.nodes[ROOT as usize].figures.add(size, time);
        }
        let Some(id) = self.node_of(publish.topic, is_system) else {
            self.memory.leave_out(publish.topic);
            return;
        };
        let kept = Kept::new(publish, time);
        let was_retained = self.nodes[id as usize].topic.as_ref().map(|topic| topic.retained);
        // Without "retain as published" a message that replaces the retained one does not show it.
        let retained = size > 0 && (publish.retain || was_retained == Some(true));
        let mut up = id;
        while up != ROOT {
            self.freeze(up);
            let node = &mut self.nodes[up as usize];
            node.figures.add(size, time);
            node.count(was_retained, retained);
            up = node.parent;
        }
        if !is_system {
            self.nodes[ROOT as usize].count(was_retained, retained);
        }
        self.put(id, kept, retained);
        self.make_room();
    }

    /// The level that a topic ends with; none where there is no room for a new one.
    fn node_of(&mut self, topic: &str, is_system: bool) -> Option<NodeId> {
        let mut id = ROOT;
        let mut levels = topic.split('/');
        let mut depth: u16 = 0;
        // Looked up without a new name first; most topics exist.
        let mut missing = None;
        for level in levels.by_ref() {
            depth = depth.saturating_add(1);
            match self.child(id, level) {
                Some(child) => id = child,
                None => {
                    missing = Some(level);
                    break;
                }
            }
        }
        let Some(level) = missing else {
            if self.nodes[id as usize].topic.is_none() && !self.has_room_for(Topic::COST) {
                return None;
            }
            return Some(id);
        };
        // All levels that are missing, or none.
        let rest: Vec<&str> = std::iter::once(level).chain(levels).collect();
        let cost = rest.iter().map(|level| Node::cost(level)).sum::<usize>() + Topic::COST;
        if !self.has_room_for(cost) || self.nodes.len() + rest.len() >= NodeId::MAX as usize {
            return None;
        }
        for level in rest {
            let new = self.nodes.len() as NodeId;
            self.memory.take(Node::cost(level));
            self.nodes.push(Node::new(level, id));
            let parent = &mut self.nodes[id as usize];
            parent.is_sorted = parent.children.is_empty();
            parent.children.push(new);
            let Self { index, nodes, hasher, .. } = self;
            let hash = |node: &Node| hasher.hash_one((node.parent, &*node.name));
            index.insert_unique(hasher.hash_one((id, level)), new, |other| hash(&nodes[*other as usize]));
            if !is_system {
                let at = usize::from(depth) - 1;
                if self.at_depth.len() <= at {
                    self.at_depth.resize(at + 1, 0);
                }
                self.at_depth[at] += 1;
            }
            id = new;
            depth = depth.saturating_add(1);
        }
        Some(id)
    }

    fn child(&self, parent: NodeId, name: &str) -> Option<NodeId> {
        let is_it = |id: &NodeId| {
            let node = &self.nodes[*id as usize];
            node.parent == parent && *node.name == *name
        };
        self.index.find(self.hasher.hash_one((parent, name)), is_it).copied()
    }

    /// Stores the last message of a topic; the one before goes into the history.
    fn put(&mut self, id: NodeId, kept: Kept, retained: bool) {
        let node = &mut self.nodes[id as usize];
        let size = kept.size;
        self.memory.take_last(&kept);
        let Some(topic) = &mut node.topic else {
            self.memory.take(Topic::COST);
            node.topic = Some(Box::new(Topic::new(kept, retained)));
            return;
        };
        topic.messages += 1;
        topic.bytes += size as u64;
        topic.retained = retained;
        let before = std::mem::replace(&mut topic.last, kept);
        if let Some(frozen) = node.frozen.as_mut().and_then(|frozen| frozen.topic.as_mut())
            && frozen.last.is_none()
        {
            // Both are on the screen, which stands still.
            frozen.last = Some(before);
            frozen.history = std::mem::take(&mut topic.history);
            self.memory.remember(id);
            return;
        }
        self.memory.give_last(&before);
        self.memory.push(id, topic, before.into_history());
    }

    /// Changes with every message.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// How many levels there are, the root included.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The time up to which the tree is known.
    pub(super) const fn now(&self) -> Micros {
        self.now
    }

    /// Time has passed.
    pub(super) fn set_now(&mut self, now: Micros) {
        self.now = self.now.max(now);
    }

    /// The time of what is shown.
    pub(super) fn shown_now(&self) -> Micros {
        self.pause.as_ref().map_or(self.now, Pause::at)
    }

    /// The levels at each depth, without those of `$SYS`.
    pub(super) fn at_depth(&self) -> &[usize] {
        &self.at_depth
    }

    /// All messages, but for those of `$SYS` and its like. Also while the screen is paused.
    pub(super) fn total(&self) -> &Figures {
        &self.nodes[ROOT as usize].figures
    }

    /// The parent of a level; that of the root is the root.
    pub(super) fn parent(&self, id: NodeId) -> NodeId {
        self.nodes[id as usize].parent
    }

    /// The name of a level.
    pub(super) fn name(&self, id: NodeId) -> &str {
        &self.nodes[id as usize].name
    }

    /// The topic that ends with this level.
    pub(super) fn topic(&self, id: NodeId) -> String {
        let mut names = Vec::new();
        let mut up = id;
        while up != ROOT {
            names.push(&*self.nodes[up as usize].name);
            up = self.nodes[up as usize].parent;
        }
        names.reverse();
        names.join("/")
    }

    /// Brings the levels below one into the order of their names.
    pub(super) fn sort(&mut self, id: NodeId) {
        if std::mem::replace(&mut self.nodes[id as usize].is_sorted, true) {
            return;
        }
        let mut children = std::mem::take(&mut self.nodes[id as usize].children);
        children.sort_unstable_by(|one, other| {
            // What the broker reports about itself comes last.
            let (one, other) = (self.name(*one), self.name(*other));
            (one.starts_with('$').cmp(&other.starts_with('$'))).then_with(|| compare(one, other))
        });
        self.nodes[id as usize].children = children;
    }

    /// The levels below one, as they are shown; in the order of their names after [`Model::sort`].
    pub(super) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let end = self.shown_end();
        self.nodes[id as usize].children.iter().copied().filter(move |child| *child < end)
    }

    /// Whether there are levels below one, as they are shown.
    pub(super) fn has_children(&self, id: NodeId) -> bool {
        self.children(id).next().is_some()
    }

    /// What is shown of a level.
    pub(super) fn view(&self, id: NodeId) -> NodeView<'_> {
        let node = &self.nodes[id as usize];
        node.frozen.as_ref().map_or_else(|| node.view(), |frozen| node.frozen_view(frozen))
    }

    /// Finds a level by names, of which `+` matches the first that leads to the end.
    pub(super) fn find(&self, path: &str) -> Option<NodeId> {
        let levels: Vec<&str> = path.split('/').collect();
        self.find_below(ROOT, &levels)
    }

    fn find_below(&self, id: NodeId, levels: &[&str]) -> Option<NodeId> {
        let [level, rest @ ..] = levels else { return Some(id) };
        if *level == "+" {
            return self.nodes[id as usize].children.iter().find_map(|child| self.find_below(*child, rest));
        }
        self.find_below(self.child(id, level)?, rest)
    }

    /// The topics at a level and below whose retained message the broker has, as far as that is known.
    pub(super) fn retained_topics(&self, id: NodeId) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let node = &self.nodes[id as usize];
            if node.retained == 0 {
                continue;
            }
            if node.topic.as_ref().is_some_and(|topic| topic.retained) {
                found.push(self.topic(id));
            }
            open.extend(node.children.iter().rev());
        }
        found
    }

    /// Whether the user has unfolded (or folded) a level.
    pub(super) fn unfolded(&self, id: NodeId) -> Option<bool> {
        self.nodes[id as usize].unfolded
    }

    /// The user unfolds or folds a level, or leaves it to the explorer.
    pub(super) fn set_unfolded(&mut self, id: NodeId, unfolded: Option<bool>) {
        self.nodes[id as usize].unfolded = unfolded;
    }

    /// The memory in use and its limit, bytes.
    pub(super) fn memory(&self) -> (usize, usize) {
        (self.memory.used(), self.memory.limit())
    }

    /// What was left out for lack of memory.
    pub(super) fn memory_notice(&self) -> MemoryNotice {
        self.memory.notice()
    }
}
