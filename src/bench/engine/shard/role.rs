//! What a client of a shard does with its connection, by what it is: publisher, subscriber, responder, or one that only
//! holds it.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Context;

use super::super::link::{Link, SendRecord};
use super::super::reconnect::Early;
use super::super::shared::Shared;
use super::{End, ShardState};
use crate::bench::plan::Part;
use crate::session::Delivery;

/// What a client does with its connection.
pub(in crate::bench::engine) trait Role: Unpin + 'static {
    /// What it is in the plan.
    const PART: Part;

    /// Does all that can be done now.
    fn drive(
        &mut self,
        state: &ShardState,
        index: usize,
        link: &mut Link,
        context: &mut Context<'_>,
    ) -> Result<(), End>;

    /// Its number among those that do the same.
    fn number(&self) -> usize;

    /// The connection is gone: nobody is to wait for what was under way.
    fn lose(&mut self, state: &ShardState, link: &Link, now_ns: u64);

    /// It does not come back.
    fn abandon(&mut self, _shared: &Shared) {}

    /// Called now and then while the connection is gone and is to come back, and once at the end of a stage where it is
    /// gone for good.
    fn wait(&mut self, _state: &ShardState) {}

    /// The connection is there again.
    fn resume(&mut self, _shared: &Shared) {}

    /// A message came before its new connection was handed over to it.
    fn take_early(&mut self, _state: &ShardState, _target: usize, _delivery: &Delivery<'_>) {}

    /// A message of an earlier connection is to be written again, under this Packet Identifier and with this DUP flag.
    /// False if that cannot be.
    fn rewrite(
        &mut self,
        _state: &ShardState,
        _target: usize,
        _kept: &SendRecord,
        _packet: (u16, bool),
        _out: &mut Vec<u8>,
    ) -> bool {
        false
    }

    /// The new connection was lost before that.
    fn give_up(&mut self, _state: &ShardState) {}

    /// The most messages in flight on the next connection, where losses have made them fewer than planned.
    fn narrowed(&self) -> Option<u16> {
        None
    }

    /// Who takes messages that come while it connects again, where any may come.
    fn early(&self) -> Option<Box<dyn Early>> {
        None
    }
}

/// One whose state others look at too: its shard, when a stage is settled, and whoever connects it again.
impl<R: Role> Role for Rc<RefCell<R>> {
    const PART: Part = R::PART;

    fn drive(
        &mut self,
        state: &ShardState,
        index: usize,
        link: &mut Link,
        context: &mut Context<'_>,
    ) -> Result<(), End> {
        self.borrow_mut().drive(state, index, link, context)
    }

    fn number(&self) -> usize {
        self.borrow().number()
    }

    fn lose(&mut self, state: &ShardState, link: &Link, now_ns: u64) {
        self.borrow_mut().lose(state, link, now_ns);
    }

    fn abandon(&mut self, shared: &Shared) {
        self.borrow_mut().abandon(shared);
    }

    fn wait(&mut self, state: &ShardState) {
        self.borrow_mut().wait(state);
    }

    fn resume(&mut self, shared: &Shared) {
        self.borrow_mut().resume(shared);
    }

    fn early(&self) -> Option<Box<dyn Early>> {
        Some(Box::new(self.clone()))
    }
}

impl<R: Role> Early for Rc<RefCell<R>> {
    fn take(&mut self, state: &ShardState, target: usize, delivery: &Delivery<'_>) {
        self.borrow_mut().take_early(state, target, delivery);
    }

    fn rewrite(
        &mut self,
        state: &ShardState,
        target: usize,
        kept: &SendRecord,
        packet: (u16, bool),
        out: &mut Vec<u8>,
    ) -> bool {
        self.borrow_mut().rewrite(state, target, kept, packet, out)
    }

    fn narrowed(&self) -> Option<u16> {
        self.borrow().narrowed()
    }

    fn give_up(&mut self, state: &ShardState) {
        self.borrow_mut().give_up(state);
    }
}
