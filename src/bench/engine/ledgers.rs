//! The ledgers of a subscriber: its own, or those that it shares with the other members of its group.
//!
//! All members of a group are on one thread, so that nothing is locked. One of them settles for all.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use super::shared::Shared;
use crate::bench::measure::{Delivery, GroupLedger, MemberMark, Observed, StreamLedger};
use crate::options::Shape;

/// The ledgers of a thread's groups, by their numbers.
pub(super) type Groups = BTreeMap<usize, Rc<RefCell<Group>>>;

/// A group of shared subscribers.
#[derive(Debug)]
pub(super) struct Group {
    ledgers: LedgerSet<GroupLedger>,
    /// Members that are connected.
    members: usize,
    outages: OutageClocks,
}

/// Ledgers in the order of the streams, and what is missing of earlier stages.
#[derive(Debug)]
pub(super) struct LedgerSet<L> {
    ledgers: Vec<L>,
    /// What was missing at the end of earlier stages, by the index of the stream.
    overdue: BTreeMap<usize, Overdue>,
}

/// The ledger of a stream in a stage whose drain ended with messages missing: those may still arrive, too late.
#[derive(Debug)]
struct Overdue {
    stage: u32,
    ledger: StreamLedger,
    /// The measured messages of the stage.
    measured: Range<u64>,
    /// All messages below this one belong to that stage or to earlier ones.
    end: u64,
    late: u64,
}

/// The ledger of a stream, of one subscriber or of a group, that is settled per stage.
pub(super) trait StageLedger {
    fn ledger(&self) -> &StreamLedger;
    /// Restarts at a sequence number; returns the ledger up to now.
    fn restart(&mut self, next: u64) -> StreamLedger;
}

impl StageLedger for StreamLedger {
    fn ledger(&self) -> &StreamLedger {
        self
    }

    fn restart(&mut self, next: u64) -> StreamLedger {
        std::mem::replace(self, Self::starting_at(next))
    }
}

impl StageLedger for GroupLedger {
    fn ledger(&self) -> &StreamLedger {
        self.ledger()
    }

    fn restart(&mut self, next: u64) -> StreamLedger {
        self.restart(next)
    }
}

/// How a stage ends for one stream.
#[derive(Clone, Debug)]
pub(super) struct StageEnd {
    pub(super) stage: u32,
    /// The measured sequence numbers.
    pub(super) measured: Range<u64>,
    /// Messages that were handed to the socket until now: they belong to this stage, also where none of them arrived.
    pub(super) sent: u64,
    /// Whether messages have a stamp. Without it the next stage begins at `sent`, because what was lost would be taken
    /// for the next message.
    pub(super) stamped: bool,
}

impl<L: StageLedger> LedgerSet<L> {
    fn new(ledgers: Vec<L>) -> Self {
        Self { ledgers, overdue: BTreeMap::new() }
    }

    fn settle(&mut self, end: impl Fn(usize) -> StageEnd, mut take: impl FnMut(usize, &StreamLedger, Delivery)) {
        for (index, ledger) in self.ledgers.iter_mut().enumerate() {
            let StageEnd { stage, measured, sent, stamped } = end(index);
            let delivery = ledger.ledger().settle(measured.clone());
            let next = if stamped { ledger.ledger().next().max(sent) } else { sent };
            let before = ledger.restart(next);
            take(index, &before, delivery);
            if stamped && delivery.lost > 0 {
                self.overdue.insert(index, Overdue { stage, ledger: before, measured, end: next, late: 0 });
            }
        }
    }

    /// Records a message of an earlier stage; false when it is not one, or nothing of its stage was missing.
    fn record_overdue(&mut self, index: usize, sequence: u64) -> bool {
        let Some(overdue) = self.overdue.get_mut(&index).filter(|overdue| sequence < overdue.end) else { return false };
        let arrival = overdue.ledger.observe(sequence, false, false);
        overdue.late += u64::from(arrival != Observed::Duplicate && overdue.measured.contains(&sequence));
        true
    }

    fn take_late(&mut self) -> Vec<(usize, u32, u64)> {
        let late = self.overdue.iter_mut().filter(|(_, overdue)| overdue.late > 0);
        late.map(|(index, overdue)| (*index, overdue.stage, std::mem::take(&mut overdue.late))).collect()
    }

    fn missing(&self, awaited: impl Fn(usize, &StreamLedger) -> u64) -> u64 {
        self.ledgers.iter().enumerate().map(|(index, ledger)| awaited(index, ledger.ledger())).sum()
    }
}

/// For each stream, since when it has had no receiver and nothing of it has arrived. Empty before the first outage.
#[derive(Debug, Default)]
pub(super) struct OutageClocks(Vec<Option<u64>>);

impl OutageClocks {
    /// Starts an outage of all streams, where none goes on already.
    pub(super) fn start_all(&mut self, streams: usize, now_ns: u64) {
        self.0.resize(streams, None);
        for since in &mut self.0 {
            since.get_or_insert(now_ns);
        }
    }

    /// When the outage of a stream began, if there is one.
    pub(super) fn since_ns(&self, index: usize) -> Option<u64> {
        self.0.get(index).copied().flatten()
    }

    /// Ends the outage of a stream. Returns when it began.
    pub(super) fn end(&mut self, index: usize) -> Option<u64> {
        self.0.get_mut(index)?.take()
    }
}

/// The ledgers of a subscriber.
#[derive(Debug)]
pub(super) enum Ledgers {
    /// It receives every message itself.
    Single { ledgers: LedgerSet<StreamLedger>, is_disconnected: bool, outages: OutageClocks },
    /// One member of the group receives a message.
    Group {
        group: Rc<RefCell<Group>>,
        marks: Vec<MemberMark>,
        /// Whether it settles for all members.
        settles: bool,
    },
}

impl Ledgers {
    /// `groups` are the groups of the thread that have members already.
    pub(super) fn new(shared: &Shared, subscriber: usize, groups: &mut Groups) -> Self {
        let routes = &shared.plan.routes;
        let streams = routes.streams_of(subscriber).count;
        let Shape::Shared { .. } = routes.shape() else {
            return Self::Single {
                ledgers: LedgerSet::new(vec![StreamLedger::new(); streams]),
                is_disconnected: false,
                outages: OutageClocks::default(),
            };
        };
        let number = routes.receiver_of(subscriber);
        let settles = !groups.contains_key(&number);
        let new = || {
            let ledgers = LedgerSet::new(vec![GroupLedger::default(); streams]);
            let outages = OutageClocks::default();
            Rc::new(RefCell::new(Group { ledgers, members: routes.members_of(number), outages }))
        };
        let group = groups.entry(number).or_insert_with(new).clone();
        Self::Group { group, marks: vec![MemberMark::default(); streams], settles }
    }

    /// The sequence number after the highest that arrived of a stream.
    #[inline]
    pub(super) fn next(&self, index: usize) -> u64 {
        match self {
            Self::Single { ledgers, .. } => ledgers.ledgers[index].next(),
            Self::Group { group, .. } => group.borrow().ledgers.ledgers[index].next(),
        }
    }

    /// Records an arrival; also returns the sequence number below which the publisher waits for no message. None for a
    /// message of an earlier stage, which is settled.
    #[inline]
    pub(super) fn observe(
        &mut self,
        index: usize,
        sequence: u64,
        dup: bool,
        measured: bool,
        now_ns: u64,
    ) -> Option<(Observed, u64)> {
        match self {
            Self::Single { ledgers, .. } => {
                if !ledgers.overdue.is_empty() && ledgers.record_overdue(index, sequence) {
                    return None;
                }
                let ledger = &mut ledgers.ledgers[index];
                Some((ledger.observe(sequence, dup, measured), ledger.next()))
            }
            Self::Group { group, marks, .. } => {
                let ledgers = &mut group.borrow_mut().ledgers;
                if !ledgers.overdue.is_empty() && ledgers.record_overdue(index, sequence) {
                    return None;
                }
                let ledger = &mut ledgers.ledgers[index];
                Some((ledger.observe(&mut marks[index], sequence, dup, measured, now_ns), ledger.position()))
            }
        }
    }

    /// Messages that are still to arrive, summed over the streams that it settles; `awaited` returns how many for the
    /// ledger of one stream.
    pub(super) fn missing(&self, awaited: impl Fn(usize, &StreamLedger) -> u64) -> u64 {
        match self {
            Self::Single { ledgers, is_disconnected: false, .. } => ledgers.missing(awaited),
            Self::Group { group, settles: true, .. } if group.borrow().members > 0 => {
                group.borrow().ledgers.missing(awaited)
            }
            Self::Single { .. } | Self::Group { .. } => 0,
        }
    }

    /// Settles its streams and restarts their ledgers; `take` gets the result of each, with its ledger.
    pub(super) fn settle(&mut self, end: impl Fn(usize) -> StageEnd, take: impl FnMut(usize, &StreamLedger, Delivery)) {
        match self {
            Self::Single { ledgers, .. } => ledgers.settle(end, take),
            Self::Group { group, settles: true, .. } => group.borrow_mut().ledgers.settle(end, take),
            Self::Group { settles: false, .. } => {}
        }
    }

    /// What arrived after the drain of its stage, since the last call: index of the stream, stage, count.
    pub(super) fn take_late(&mut self) -> Vec<(usize, u32, u64)> {
        match self {
            Self::Single { ledgers, .. } => ledgers.take_late(),
            Self::Group { group, .. } => group.borrow_mut().ledgers.take_late(),
        }
    }

    /// Whether it settles its streams: in a group one member does.
    pub(super) const fn settles(&self) -> bool {
        matches!(self, Self::Single { .. } | Self::Group { settles: true, .. })
    }

    /// Looks at the outages of its streams, or changes them.
    pub(super) fn outages<R>(&mut self, look: impl FnOnce(&mut OutageClocks) -> R) -> R {
        match self {
            Self::Single { outages, .. } => look(outages),
            Self::Group { group, .. } => look(&mut group.borrow_mut().outages),
        }
    }

    /// It has a connection again.
    pub(super) fn rejoin(&mut self) {
        match self {
            Self::Single { is_disconnected, .. } => *is_disconnected = false,
            Self::Group { group, .. } => group.borrow_mut().members += 1,
        }
    }

    /// The connection was lost. Returns whether nobody is left to receive anything.
    pub(super) fn leave(&mut self) -> bool {
        match self {
            Self::Single { is_disconnected, .. } => {
                *is_disconnected = true;
                true
            }
            Self::Group { group, .. } => {
                let members = &mut group.borrow_mut().members;
                *members = members.saturating_sub(1);
                *members == 0
            }
        }
    }
}
