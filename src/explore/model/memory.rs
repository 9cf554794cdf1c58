//! The account of the memory of the tree, and what goes first where it is short: the oldest of all histories, then the
//! ends of long payloads. What is left then are topics, and a new one is only counted.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use super::kept::{Kept, SHORT, heap};
use super::node::{NodeId, Topic};
use super::{HISTORY, Model};

/// Of the limit this part is for the hashes of topics that have no place in the tree.
const PART_FOR_HASHES: usize = 32;
/// Bytes of such a hash.
const HASH: usize = 18;

/// What was left out for lack of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::explore) struct MemoryNotice {
    /// Messages taken out of histories before their time.
    pub(in crate::explore) forgotten: u64,
    /// Last payloads that were shortened.
    pub(in crate::explore) shortened: u64,
    /// Topics that have no place in the tree.
    pub(in crate::explore) topics_left_out: usize,
    /// There are more of them than could be counted.
    pub(in crate::explore) more_topics: bool,
    /// Messages of those topics.
    pub(in crate::explore) messages_left_out: u64,
}

/// The account.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) used: usize,
    limit: usize,
    /// The topics of all messages in histories, in the order in which they got there.
    pub(super) queue: VecDeque<NodeId>,
    /// Messages in histories.
    pub(super) in_histories: usize,
    /// Last payloads that could be shortened.
    long: usize,
    /// Where the search for one goes on.
    hand: usize,
    left_out: HashSet<u64>,
    hasher: RandomState,
    notice: MemoryNotice,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            used: 0,
            limit,
            queue: VecDeque::new(),
            in_histories: 0,
            long: 0,
            hand: 0,
            left_out: HashSet::new(),
            hasher: RandomState::new(),
            notice: MemoryNotice::default(),
        }
    }

    pub(super) fn used(&self) -> usize {
        self.used + self.queue.capacity() * size_of::<NodeId>() + self.left_out.capacity() * HASH
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    pub(super) const fn notice(&self) -> MemoryNotice {
        self.notice
    }

    pub(super) const fn take(&mut self, bytes: usize) {
        self.used += bytes;
    }

    pub(super) const fn give(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }

    /// A message becomes the last one of its topic.
    pub(super) fn take_last(&mut self, kept: &Kept) {
        self.take(kept.cost());
        self.long += usize::from(kept.payload.len() > SHORT);
    }

    /// It no longer is.
    pub(super) fn give_last(&mut self, kept: &Kept) {
        self.give(kept.cost());
        self.long = self.long.saturating_sub(usize::from(kept.payload.len() > SHORT));
    }

    /// Puts a message into the history of its topic.
    pub(super) fn push(&mut self, id: NodeId, topic: &mut Topic, kept: Kept) {
        if topic.history.len() >= HISTORY
            && let Some(oldest) = topic.history.pop_front()
        {
            self.give(oldest.cost());
            self.in_histories -= 1;
            topic.gone += 1;
        }
        self.take(kept.cost());
        let before = topic.history.capacity();
        topic.history.push_back(kept);
        self.take((topic.history.capacity() - before) * size_of::<Kept>());
        self.remember(id);
    }

    /// Notes that a message got into the history of a topic, or will once the screen goes on.
    pub(super) fn remember(&mut self, id: NodeId) {
        self.queue.push_back(id);
        self.in_histories += 1;
    }

    /// A message that was remembered is gone already.
    pub(super) const fn forget(&mut self) {
        self.in_histories -= 1;
    }

    /// Counts a message whose topic has no place.
    pub(super) fn leave_out(&mut self, topic: &str) {
        self.notice.messages_left_out += 1;
        // A table may be half empty.
        let most = self.limit / PART_FOR_HASHES / HASH / 2;
        let hash = self.hasher.hash_one(topic);
        if self.left_out.len() < most {
            self.left_out.insert(hash);
            self.notice.topics_left_out = self.left_out.len();
        } else if !self.left_out.contains(&hash) {
            self.notice.more_topics = true;
        }
    }
}

impl Model {
    /// Whether this much more fits, once everything that can go is gone.
    pub(super) fn has_room_for(&mut self, cost: usize) -> bool {
        // What the hashes of other topics may take is never given away.
        let limit = self.memory.limit - self.memory.limit / PART_FOR_HASHES;
        while self.memory.used + self.memory.queue.capacity() * size_of::<NodeId>() + cost > limit {
            if !self.forget_oldest() && !self.shorten_one() {
                return false;
            }
        }
        true
    }

    /// Keeps the memory within its limit.
    pub(super) fn make_room(&mut self) {
        self.has_room_for(0);
        // The places of messages that their own topics have dropped.
        if self.memory.queue.len() > 2 * self.memory.in_histories + 1024 {
            self.compact_queue();
        }
    }

    /// Takes the oldest message out of all histories; false where there is none.
    fn forget_oldest(&mut self) -> bool {
        while let Some(id) = self.memory.queue.pop_front() {
            let node = &mut self.nodes[id as usize];
            let Some(topic) = &mut node.topic else { continue };
            if topic.gone > 0 {
                topic.gone -= 1;
                continue;
            }
            self.memory.in_histories -= 1;
            let frozen = node.frozen.as_mut().and_then(|frozen| frozen.topic.as_mut());
            let history = match frozen {
                Some(frozen) if !frozen.history.is_empty() => &mut frozen.history,
                Some(frozen) if frozen.last.is_some() && !frozen.is_spent => {
                    // It is on the screen: it goes when the screen goes on.
                    frozen.is_spent = true;
                    continue;
                }
                _ => &mut topic.history,
            };
            let Some(oldest) = history.pop_front() else { continue };
            let mut freed = oldest.cost();
            let before = history.capacity();
            if history.len() < before / 4 {
                history.shrink_to(history.len() * 2);
                freed += (before - history.capacity()) * size_of::<Kept>();
            }
            self.memory.give(freed);
            self.memory.notice.forgotten += 1;
            if self.memory.queue.len() < self.memory.queue.capacity() / 4 {
                self.memory.queue.shrink_to(self.memory.queue.len() * 2);
            }
            return true;
        }
        self.memory.queue = VecDeque::new();
        false
    }

    /// Shortens a last payload; false where none is long.
    fn shorten_one(&mut self) -> bool {
        if self.memory.long == 0 {
            return false;
        }
        for _ in 0..self.nodes.len() {
            self.memory.hand = (self.memory.hand + 1) % self.nodes.len();
            let Some(topic) = &mut self.nodes[self.memory.hand].topic else { continue };
            let length = topic.last.payload.len();
            if length > SHORT {
                topic.last.shorten(SHORT);
                self.memory.give(heap(length) - heap(SHORT));
                self.memory.long -= 1;
                self.memory.notice.shortened += 1;
                return true;
            }
        }
        self.memory.long = 0;
        false
    }

    /// Takes the places of what is gone out of the queue.
    fn compact_queue(&mut self) {
        let nodes = &mut self.nodes;
        self.memory.queue.retain(|id| match &mut nodes[*id as usize].topic {
            Some(topic) if topic.gone > 0 => {
                topic.gone -= 1;
                false
            }
            _ => true,
        });
        self.memory.queue.shrink_to(self.memory.queue.len() * 2);
    }
}
