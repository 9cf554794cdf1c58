//! A level of the tree, and the topic that ends there.

use std::collections::VecDeque;

use super::figures::Figures;
use super::kept::{Kept, heap};

/// The index of a level.
pub(in crate::explore) type NodeId = u32;

/// What is above the first levels.
pub(in crate::explore) const ROOT: NodeId = 0;

/// A level.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: Box<str>,
    pub(super) parent: NodeId,
    /// In the order of their names where `is_sorted`.
    pub(super) children: Vec<NodeId>,
    pub(super) is_sorted: bool,
    /// Of this topic and all below.
    pub(super) figures: Figures,
    /// Topics with a message, this one and all below.
    pub(super) topics: u32,
    /// Of these, topics with a retained message.
    pub(super) retained: u32,
    pub(super) topic: Option<Box<Topic>>,
    /// What is on the screen, where that stands still and this has changed since.
    pub(super) frozen: Option<Box<Frozen>>,
    /// What the user wants; without it as many levels are unfolded as the screen has room for.
    pub(super) unfolded: Option<bool>,
}

/// A topic that had a message.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) last: Kept,
    /// Messages before the last one, the oldest first.
    pub(super) history: VecDeque<Kept>,
    /// Entries of the queue of the memory whose message is gone already; they are the first ones of this topic.
    pub(super) gone: u32,
    /// The broker has a retained message, as far as that is known.
    pub(super) retained: bool,
}

/// What a level was when the pause began.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) figures: Figures,
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

/// What is shown of a level.
#[derive(Clone, Copy, Debug)]
pub(in crate::explore) struct NodeView<'a> {
    /// Of this topic and all below.
    pub(in crate::explore) figures: &'a Figures,
    /// Topics with a message, this one and all below.
    pub(in crate::explore) topics: u32,
    /// Of these, topics with a retained message.
    pub(in crate::explore) retained: u32,
    /// The topic that ends here, if there is one.
    pub(in crate::explore) topic: Option<TopicView<'a>>,
}

/// What is shown of a topic.
#[derive(Clone, Copy, Debug)]
pub(in crate::explore) struct TopicView<'a> {
    /// Messages of this topic alone.
    pub(in crate::explore) messages: u64,
    /// Bytes of its payloads.
    pub(in crate::explore) bytes: u64,
    /// The last message.
    pub(in crate::explore) last: &'a Kept,
    /// Messages before the last one, the oldest first.
    pub(in crate::explore) history: &'a VecDeque<Kept>,
    /// The broker has a retained message, as far as that is known.
    pub(in crate::explore) retained: bool,
}

impl Node {
    pub(super) fn new(name: &str, parent: NodeId) -> Self {
        Self {
            name: name.into(),
            parent,
            children: Vec::new(),
            is_sorted: true,
            figures: Figures::default(),
            topics: 0,
            retained: 0,
            topic: None,
            frozen: None,
            unfolded: None,
        }
    }

    /// Bytes of a level of that name, with its places in its parent and in the index. Vectors double, so half of a
    /// place is empty.
    pub(super) const fn cost(name: &str) -> usize {
        (size_of::<Self>() + 3 * size_of::<NodeId>()) * 3 / 2 + heap(name.len())
    }

    /// A message came at this topic or below: whether its topic was known as retained before (none for a new topic), and
    /// whether it is now.
    pub(super) fn count(&mut self, was_retained: Option<bool>, is_retained: bool) {
        self.topics += u32::from(was_retained.is_none());
        self.retained += u32::from(is_retained);
        self.retained -= u32::from(was_retained == Some(true));
    }

    pub(super) fn view(&self) -> NodeView<'_> {
        let topic = self.topic.as_ref().map(|topic| TopicView {
            messages: topic.messages,
            bytes: topic.bytes,
            last: &topic.last,
            history: &topic.history,
            retained: topic.retained,
        });
        NodeView { figures: &self.figures, topics: self.topics, retained: self.retained, topic }
    }
}

impl Topic {
    /// Bytes without payloads and history.
    pub(super) const COST: usize = size_of::<Self>() + 16;

    pub(super) fn new(last: Kept, retained: bool) -> Self {
        Self { messages: 1, bytes: last.size as u64, last, history: VecDeque::new(), gone: 0, retained }
    }
}

impl Frozen {
    pub(super) fn new(node: &mut Node) -> Self {
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
