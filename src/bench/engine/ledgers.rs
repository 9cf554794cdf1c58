//! The ledgers of a subscriber: its own, or those that it keeps together with the other members of its group.
//!
//! All members of a group are on one thread, so that nothing is locked.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use super::shared::Shared;
use crate::bench::measure::{Arrival, Delivery, GroupLedger, MemberMark, StreamLedger};
use crate::options::Shape;

/// The ledgers of a thread's groups, by their numbers.
pub(super) type Groups = BTreeMap<usize, Rc<RefCell<Group>>>;

/// The ledgers of a group, in the order of the streams.
#[derive(Debug)]
pub(super) struct Group {
    ledgers: Vec<GroupLedger>,
    /// Members that are connected.
    members: usize,
}

/// The ledgers of a subscriber, in the order of its streams.
#[derive(Debug)]
pub(super) enum Ledgers {
    /// It gets every message itself.
    Own(Vec<StreamLedger>),
    /// One member of the group gets a message.
    Group {
        group: Rc<RefCell<Group>>,
        marks: Vec<MemberMark>,
        /// It is the one that settles for all.
        settles: bool,
    },
}

impl Ledgers {
    pub(super) fn new(shared: &Shared, subscriber: usize, groups: &mut Groups) -> Self {
        let routes = &shared.plan.routes;
        let streams = routes.streams_of(subscriber).count;
        let Shape::Shared { .. } = routes.shape() else { return Self::Own(vec![StreamLedger::new(); streams]) };
        let number = routes.receiver_of(subscriber);
        let new = || {
            let ledgers = vec![GroupLedger::default(); streams];
            Rc::new(RefCell::new(Group { ledgers, members: routes.members_of(number) }))
        };
        let settles = !groups.contains_key(&number);
        let group = groups.entry(number).or_insert_with(new).clone();
        Self::Group { group, marks: vec![MemberMark::default(); streams], settles }
    }

    /// The number after the highest that has come of a stream.
    #[inline]
    pub(super) fn next(&self, index: usize) -> u64 {
        match self {
            Self::Own(ledgers) => ledgers[index].next(),
            Self::Group { group, .. } => group.borrow().ledgers[index].next(),
        }
    }

    /// Enters an arrival; also gives back up to where the stream's publisher need not wait any more.
    #[inline]
    pub(super) fn observe(
        &mut self,
        index: usize,
        sequence: u64,
        dup: bool,
        measured: bool,
        now_ns: u64,
    ) -> (Arrival, u64) {
        match self {
            Self::Own(ledgers) => {
                let ledger = &mut ledgers[index];
                (ledger.observe(sequence, dup, measured), ledger.next())
            }
            Self::Group { group, marks, .. } => {
                let ledger = &mut group.borrow_mut().ledgers[index];
                (ledger.observe(&mut marks[index], sequence, dup, measured, now_ns), ledger.position())
            }
        }
    }

    /// Settles every stream and begins anew. `measured` and `next` give, by the stream's place, the measured numbers and
    /// the one to begin with, where that is not the one after the highest; `take` gets the accounts.
    pub(super) fn settle(
        &mut self,
        measured: impl Fn(usize) -> Range<u64>,
        next: impl Fn(usize) -> Option<u64>,
        mut take: impl FnMut(Delivery),
    ) {
        match self {
            Self::Own(ledgers) => {
                for (index, ledger) in ledgers.iter_mut().enumerate() {
                    take(ledger.settle(measured(index)));
                    *ledger = StreamLedger::starting_at(next(index).unwrap_or(ledger.next()));
                }
            }
            Self::Group { group, settles: true, .. } => {
                for (index, ledger) in group.borrow_mut().ledgers.iter_mut().enumerate() {
                    take(ledger.settle(measured(index)));
                    ledger.restart(next(index).unwrap_or(ledger.next()));
                }
            }
            Self::Group { settles: false, .. } => {}
        }
    }

    /// The connection is gone. Whether nobody is left to whom anything could be delivered.
    pub(super) fn leave(&self) -> bool {
        match self {
            Self::Own(_) => true,
            Self::Group { group, .. } => {
                let members = &mut group.borrow_mut().members;
                *members = members.saturating_sub(1);
                *members == 0
            }
        }
    }
}
