//! A screen that stands still while everything is counted on: what changes is set aside first, as it is shown. Nothing
//! is copied but figures, so a pause costs no more memory than the messages that come meanwhile.

use std::collections::VecDeque;

use super::figures::{Figures, Micros};
use super::kept::Kept;
use super::node::{Node, NodeId, NodeView, ROOT, TopicView};
use super::{HISTORY, Model};

/// A pause.
#[derive(Debug)]
pub(super) struct Pause {
    at: Micros,
    /// Levels from here on have come since.
    end: NodeId,
    /// Levels that have changed since.
    changed: Vec<NodeId>,
}

/// What a level was when the pause began.
#[derive(Debug)]
pub(super) struct Frozen {
    figures: Figures,
    topics: u32,
    retained: u32,
    pub(super) topic: Option<FrozenTopic>,
}

/// What its topic was.
#[derive(Debug)]
pub(super) struct FrozenTopic {
    messages: u64,
    bytes: u64,
    retained: bool,
    /// The last message; none as long as it is still that of the topic.
    pub(super) last: Option<Kept>,
    pub(super) history: VecDeque<Kept>,
    /// The last message has no place in the history any more.
    pub(super) is_spent: bool,
}

impl Pause {
    pub(super) const fn at(&self) -> Micros {
        self.at
    }
}

impl Frozen {
    fn new(node: &mut Node) -> Self {
        let topic = node.topic.as_mut().map(|topic| FrozenTopic {
            messages: topic.messages,
            bytes: topic.bytes,
            retained: topic.retained,
            last: None,
            history: VecDeque::new(),
            is_spent: false,
        });
        Self { figures: node.figures, topics: node.topics, retained: node.retained, topic }
    }
}

impl Node {
    /// What is shown of a level that has changed since.
    pub(super) fn frozen_view<'a>(&'a self, frozen: &'a Frozen) -> NodeView<'a> {
        let topic = frozen.topic.as_ref().zip(self.topic.as_ref()).map(|(frozen, topic)| {
            let (last, history) = match &frozen.last {
                Some(last) => (last, &frozen.history),
                None => (&topic.last, &topic.history),
            };
            TopicView { messages: frozen.messages, bytes: frozen.bytes, last, history, retained: frozen.retained }
        });
        NodeView { figures: &frozen.figures, topics: frozen.topics, retained: frozen.retained, topic }
    }
}

impl Model {
    /// Whether the screen stands still.
    pub(in crate::explore) const fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    /// What is shown stands still, or goes on.
    pub(in crate::explore) fn set_paused(&mut self, paused: bool) {
        match (self.pause.take(), paused) {
            (None, true) => {
                self.pause = Some(Pause { at: self.now, end: self.nodes.len() as NodeId, changed: Vec::new() });
            }
            (Some(pause), true) => self.pause = Some(pause),
            (Some(pause), false) => pause.changed.into_iter().for_each(|id| self.thaw(id)),
            (None, false) => {}
        }
        self.version += 1;
    }

    /// Levels from here on are not shown.
    pub(super) fn shown_end(&self) -> NodeId {
        self.pause.as_ref().map_or(NodeId::MAX, |pause| pause.end)
    }

    /// Messages that have come since the pause began.
    pub(in crate::explore) fn messages_in_pause(&self) -> u64 {
        let root = &self.nodes[ROOT as usize];
        root.frozen.as_ref().map_or(0, |frozen| root.figures.messages - frozen.figures.messages)
    }

    /// A level is about to change.
    pub(super) fn freeze(&mut self, id: NodeId) {
        let Some(pause) = &mut self.pause else { return };
        let node = &mut self.nodes[id as usize];
        if id < pause.end && node.frozen.is_none() {
            node.frozen = Some(Box::new(Frozen::new(node)));
            self.memory.take(size_of::<Frozen>() + 2 * size_of::<NodeId>());
            pause.changed.push(id);
        }
    }

    /// Joins what was set aside with what came since.
    fn thaw(&mut self, id: NodeId) {
        let node = &mut self.nodes[id as usize];
        let Some(frozen) = node.frozen.take() else { return };
        self.memory.give(size_of::<Frozen>() + 2 * size_of::<NodeId>());
        let (Some(frozen), Some(topic)) = (frozen.topic, &mut node.topic) else { return };
        let Some(last) = frozen.last else { return };
        self.memory.give_last(&last);
        let before = frozen.history.capacity() + topic.history.capacity();
        let mut history = frozen.history;
        if !frozen.is_spent {
            let last = last.into_history();
            self.memory.take(last.cost());
            history.push_back(last);
        }
        history.append(&mut topic.history);
        while history.len() > HISTORY
            && let Some(oldest) = history.pop_front()
        {
            self.memory.give(oldest.cost());
            self.memory.forget();
            topic.gone += 1;
        }
        self.memory.give(before * size_of::<Kept>());
        self.memory.take(history.capacity() * size_of::<Kept>());
        topic.history = history;
    }
}
