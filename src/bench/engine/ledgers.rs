//! The ledgers of a subscriber: its own, or those that it keeps together with the other members of its group.
//!
//! All members of a group are on one thread, so that nothing is locked. One of them settles for all.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use super::shared::Shared;
use crate::bench::measure::{Arrival, Delivery, GroupLedger, MemberMark, StreamLedger};
use crate::options::Shape;

/// The ledgers of a thread's groups, by their numbers.
pub(super) type Groups = BTreeMap<usize, Rc<RefCell<Group>>>;

/// What a group knows.
#[derive(Debug)]
pub(super) struct Group {
    book: Book<GroupLedger>,
    /// Members that are connected.
    members: usize,
    down_since: Vec<u64>,
}

/// Ledgers in the order of the streams, and what is left of earlier stages.
#[derive(Debug)]
pub(super) struct Book<L> {
    ledgers: Vec<L>,
    /// What was still missing at the end of earlier stages, by the stream's place.
    overdue: BTreeMap<usize, Overdue>,
}

/// The ledger of a stream in a stage whose drain has ended with messages missing: those may still come, too late.
#[derive(Debug)]
struct Overdue {
    stage: u32,
    ledger: StreamLedger,
    /// The measured messages of the stage.
    measured: Range<u64>,
    /// All messages below this are of that stage, or of earlier ones.
    end: u64,
    late: u64,
}

/// What settles a stage: the ledger of a stream, of one subscriber or of a group.
pub(super) trait Settles {
    fn ledger(&self) -> &StreamLedger;
    /// Begins anew at a number; gives back what was.
    fn restart(&mut self, next: u64) -> StreamLedger;
}

impl Settles for StreamLedger {
    fn ledger(&self) -> &StreamLedger {
        self
    }

    fn restart(&mut self, next: u64) -> StreamLedger {
        std::mem::replace(self, Self::starting_at(next))
    }
}

impl Settles for GroupLedger {
    fn ledger(&self) -> &StreamLedger {
        self.ledger()
    }

    fn restart(&mut self, next: u64) -> StreamLedger {
        self.restart(next)
    }
}

/// How a stage ends for one stream.
#[derive(Clone, Debug)]
pub(super) struct Closing {
    pub(super) stage: u32,
    /// The measured numbers.
    pub(super) measured: Range<u64>,
    /// Messages that were handed to the socket until now: they belong to this stage, also where nothing of it has come.
    pub(super) sent: u64,
    /// Whether messages say which ones they are; without it the next stage begins at `sent`, because what was lost would
    /// be taken for the next message.
    pub(super) stamped: bool,
}

impl<L: Settles> Book<L> {
    fn new(ledgers: Vec<L>) -> Self {
        Self { ledgers, overdue: BTreeMap::new() }
    }

    fn settle(&mut self, closing: impl Fn(usize) -> Closing, mut take: impl FnMut(usize, &StreamLedger, Delivery)) {
        for (index, ledger) in self.ledgers.iter_mut().enumerate() {
            let Closing { stage, measured, sent, stamped } = closing(index);
            let delivery = ledger.ledger().settle(measured.clone());
            let end = if stamped { ledger.ledger().next().max(sent) } else { sent };
            let before = ledger.restart(end);
            take(index, &before, delivery);
            if stamped && delivery.lost > 0 {
                self.overdue.insert(index, Overdue { stage, ledger: before, measured, end, late: 0 });
            }
        }
    }

    /// Takes a message of an earlier stage; false when it is none, or nothing of its stage was missing.
    fn take_overdue(&mut self, index: usize, sequence: u64) -> bool {
        let Some(overdue) = self.overdue.get_mut(&index).filter(|overdue| sequence < overdue.end) else { return false };
        let arrival = overdue.ledger.observe(sequence, false, false);
        overdue.late += u64::from(arrival != Arrival::Duplicate && overdue.measured.contains(&sequence));
        true
    }

    fn take_late(&mut self) -> Vec<(usize, u32, u64)> {
        let late = self.overdue.iter_mut().filter(|(_, overdue)| overdue.late > 0);
        late.map(|(index, overdue)| (*index, overdue.stage, std::mem::take(&mut overdue.late))).collect()
    }

    fn missing(&self, waited_for: impl Fn(usize, &StreamLedger) -> u64) -> u64 {
        self.ledgers.iter().enumerate().map(|(index, ledger)| waited_for(index, ledger.ledger())).sum()
    }
}

/// The ledgers of a subscriber.
#[derive(Debug)]
pub(super) enum Ledgers {
    /// It gets every message itself.
    Own { book: Book<StreamLedger>, gone: bool, down_since: Vec<u64> },
    /// One member of the group gets a message.
    Group {
        group: Rc<RefCell<Group>>,
        marks: Vec<MemberMark>,
        /// It is the one that settles for all.
        settles: bool,
    },
}

impl Ledgers {
    /// `groups` are those of the thread, as far as they have members yet.
    pub(super) fn new(shared: &Shared, subscriber: usize, groups: &mut Groups) -> Self {
        let routes = &shared.plan.routes;
        let streams = routes.streams_of(subscriber).count;
        let Shape::Shared { .. } = routes.shape() else {
            return Self::Own {
                book: Book::new(vec![StreamLedger::new(); streams]),
                gone: false,
                down_since: Vec::new(),
            };
        };
        let number = routes.receiver_of(subscriber);
        let settles = !groups.contains_key(&number);
        let new = || {
            let book = Book::new(vec![GroupLedger::default(); streams]);
            Rc::new(RefCell::new(Group { book, members: routes.members_of(number), down_since: Vec::new() }))
        };
        let group = groups.entry(number).or_insert_with(new).clone();
        Self::Group { group, marks: vec![MemberMark::default(); streams], settles }
    }

    /// The number after the highest that has come of a stream.
    #[inline]
    pub(super) fn next(&self, index: usize) -> u64 {
        match self {
            Self::Own { book, .. } => book.ledgers[index].next(),
            Self::Group { group, .. } => group.borrow().book.ledgers[index].next(),
        }
    }

    /// Enters an arrival; also gives back up to where the stream's publisher need not wait any more. None for a message
    /// of an earlier stage, which has been settled.
    #[inline]
    pub(super) fn observe(
        &mut self,
        index: usize,
        sequence: u64,
        dup: bool,
        measured: bool,
        now_ns: u64,
    ) -> Option<(Arrival, u64)> {
        match self {
            Self::Own { book, .. } => {
                if !book.overdue.is_empty() && book.take_overdue(index, sequence) {
                    return None;
                }
                let ledger = &mut book.ledgers[index];
                Some((ledger.observe(sequence, dup, measured), ledger.next()))
            }
            Self::Group { group, marks, .. } => {
                let book = &mut group.borrow_mut().book;
                if !book.overdue.is_empty() && book.take_overdue(index, sequence) {
                    return None;
                }
                let ledger = &mut book.ledgers[index];
                Some((ledger.observe(&mut marks[index], sequence, dup, measured, now_ns), ledger.position()))
            }
        }
    }

    /// Messages that are still to come, added up over the streams for which it answers; `waited_for` says of a stream's
    /// ledger how many.
    pub(super) fn missing(&self, waited_for: impl Fn(usize, &StreamLedger) -> u64) -> u64 {
        match self {
            Self::Own { book, gone: false, .. } => book.missing(waited_for),
            Self::Group { group, settles: true, .. } if group.borrow().members > 0 => {
                group.borrow().book.missing(waited_for)
            }
            Self::Own { .. } | Self::Group { .. } => 0,
        }
    }

    /// Settles every stream for which it answers, and begins anew; `take` gets the accounts, with what they are from.
    pub(super) fn settle(
        &mut self,
        closing: impl Fn(usize) -> Closing,
        take: impl FnMut(usize, &StreamLedger, Delivery),
    ) {
        match self {
            Self::Own { book, .. } => book.settle(closing, take),
            Self::Group { group, settles: true, .. } => group.borrow_mut().book.settle(closing, take),
            Self::Group { settles: false, .. } => {}
        }
    }

    /// What came after the drain of its stage, since the last call: place of the stream, stage, count.
    pub(super) fn take_late(&mut self) -> Vec<(usize, u32, u64)> {
        match self {
            Self::Own { book, .. } => book.take_late(),
            Self::Group { group, .. } => group.borrow_mut().book.take_late(),
        }
    }

    /// Whether it answers for the streams: of a group one member does.
    pub(super) const fn settles(&self) -> bool {
        matches!(self, Self::Own { .. } | Self::Group { settles: true, .. })
    }

    /// Since when nobody has been there to whom a stream could be delivered and nothing of it has come, by the stream's
    /// place; 0 where there is no outage. Empty until the first.
    pub(super) fn down_since<R>(&mut self, look: impl FnOnce(&mut Vec<u64>) -> R) -> R {
        match self {
            Self::Own { down_since, .. } => look(down_since),
            Self::Group { group, .. } => look(&mut group.borrow_mut().down_since),
        }
    }

    /// The connection is there again.
    pub(super) fn rejoin(&mut self) {
        match self {
            Self::Own { gone, .. } => *gone = false,
            Self::Group { group, .. } => group.borrow_mut().members += 1,
        }
    }

    /// The connection is gone. Whether nobody is left to whom anything could be delivered.
    pub(super) fn leave(&mut self) -> bool {
        match self {
            Self::Own { gone, .. } => {
                *gone = true;
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
