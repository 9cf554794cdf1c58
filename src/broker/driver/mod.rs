//! The core and the network: one thread, one loop over what is ready, one write per connection and turn.
//!
//! A turn reads once from each connection that has something, lets the core work, makes the journal durable, and then
//! writes all output: under load the packets of a whole turn share a system call, and so do those of many publishers to
//! one subscriber. Reads and writes never block, so no client delays another.

mod event_loop;
mod socket;
mod stream;
mod web_socket;

pub(super) use event_loop::{Control, EventLoop, ListeningSocket, Notice, Open};
pub(super) use web_socket::OriginRule;

use std::io;

/// Makes what the core has recorded durable; called once per turn, before anything is written to a socket.
pub trait Commit: Send {
    /// Returns when it is durable.
    fn commit(&mut self);
}

/// Whether an operation is only to be tried again.
fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
