//! A screen that stands still while everything is counted on: what changes is set aside first, as it is shown. Nothing
//! is copied but figures, so a pause costs no more memory than the messages that come meanwhile.

use super::figures::Micros;
use super::kept::Kept;
use super::node::{Frozen, NodeId, ROOT};
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

impl Pause {
    pub(super) const fn at(&self) -> Micros {
        self.at
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
