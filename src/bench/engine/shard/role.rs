//! What a client of a shard does with its connection, by its kind: publisher, subscriber, responder, or idler.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Context;

use super::super::connect::EarlyHandler;
use super::super::link::{Link, SendRecord};
use super::super::shared::Shared;
use super::state::ShardState;
use crate::bench::plan::ClientKind;
use crate::session::Delivery;
use crate::transport::io_text;

/// Why a client stops using its connection.
pub(super) enum Exit {
    /// The shard ends.
    Requested,
    /// The connection was lost, with the cause.
    Lost(String),
}

impl From<std::io::Error> for Exit {
    fn from(error: std::io::Error) -> Self {
        Self::Lost(io_text(&error))
    }
}

/// What a client does with its connection.
pub(super) trait Role: Unpin + 'static {
    /// Its kind in the plan.
    const KIND: ClientKind;

    /// Reads and sends everything that is possible now.
    fn drive(
        &mut self,
        state: &ShardState,
        index: usize,
        link: &mut Link,
        context: &mut Context<'_>,
    ) -> Result<(), Exit>;

    /// Its number among the clients of its kind.
    fn number(&self) -> usize;

    /// The connection was lost: nobody waits for its messages in flight.
    fn on_lost(&mut self, state: &ShardState, link: &Link, now_ns: u64);

    /// It does not reconnect.
    fn on_lost_for_good(&mut self, _shared: &Shared) {}

    /// Called repeatedly while it reconnects.
    fn on_wait(&mut self, _state: &ShardState) {}

    /// The connection is there again.
    fn on_reconnected(&mut self, _shared: &Shared) {}

    /// A message arrived on a new connection before the client had it.
    fn on_early_message(&mut self, _state: &ShardState, _target: usize, _delivery: &Delivery<'_>) {}

    /// Writes a message of an earlier connection again, with this Packet Identifier and DUP flag. False if that is not
    /// possible.
    fn resend(
        &mut self,
        _state: &ShardState,
        _target: usize,
        _kept: &SendRecord,
        _packet: (u16, bool),
        _out: &mut Vec<u8>,
    ) -> bool {
        false
    }

    /// The new connection was lost before the client had it.
    fn on_reconnect_failed(&mut self, _state: &ShardState) {}

    /// The most messages in flight on the next connection, where losses reduced it.
    fn window_limit(&self) -> Option<u16> {
        None
    }

    /// Handles what arrives while it reconnects.
    fn early_handler(&self, _state: &Rc<ShardState>, _target: usize) -> Option<Box<dyn EarlyHandler>> {
        None
    }
}

/// A role that others use too: the shard, when a stage is settled, and the reconnect.
impl<R: Role> Role for Rc<RefCell<R>> {
    const KIND: ClientKind = R::KIND;

    fn drive(
        &mut self,
        state: &ShardState,
        index: usize,
        link: &mut Link,
        context: &mut Context<'_>,
    ) -> Result<(), Exit> {
        self.borrow_mut().drive(state, index, link, context)
    }

    fn number(&self) -> usize {
        self.borrow().number()
    }

    fn on_lost(&mut self, state: &ShardState, link: &Link, now_ns: u64) {
        self.borrow_mut().on_lost(state, link, now_ns);
    }

    fn on_lost_for_good(&mut self, shared: &Shared) {
        self.borrow_mut().on_lost_for_good(shared);
    }

    fn on_wait(&mut self, state: &ShardState) {
        self.borrow_mut().on_wait(state);
    }

    fn on_reconnected(&mut self, shared: &Shared) {
        self.borrow_mut().on_reconnected(shared);
    }

    fn early_handler(&self, state: &Rc<ShardState>, target: usize) -> Option<Box<dyn EarlyHandler>> {
        Some(Box::new(EarlyRole { role: self.clone(), state: state.clone(), target }))
    }
}

/// A client that reconnects, as the handler of what arrives meanwhile.
struct EarlyRole<R> {
    role: Rc<RefCell<R>>,
    state: Rc<ShardState>,
    target: usize,
}

impl<R: Role> EarlyHandler for EarlyRole<R> {
    fn on_message(&mut self, delivery: &Delivery<'_>) {
        self.role.borrow_mut().on_early_message(&self.state, self.target, delivery);
    }

    fn rewrite(&mut self, kept: &SendRecord, packet: (u16, bool), out: &mut Vec<u8>) -> bool {
        self.role.borrow_mut().resend(&self.state, self.target, kept, packet, out)
    }

    fn window_limit(&self) -> Option<u16> {
        self.role.borrow().window_limit()
    }

    fn on_failed(&mut self) {
        self.role.borrow_mut().on_reconnect_failed(&self.state);
    }
}
