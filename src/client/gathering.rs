//! Answers read in bulk: a client that is faster than its broker would wake up once for each acknowledgement, since a
//! broker writes them one by one. With a low-water mark on the socket it wakes up for many.

use std::time::Duration;

use crate::transport::Connection;

/// The shortest acknowledgement: type, length and Packet Identifier.
const SHORTEST_ANSWER: usize = 4;

/// How long fewer answers than asked for may lie unread. A broker that is only slower than thought costs one such time
/// and not more, see [`Gathering::give_up`].
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(2);

/// The low-water mark of one connection.
#[derive(Debug)]
pub(super) struct Gathering {
    /// Bytes that are to be there before the socket is read.
    wanted: usize,
    /// What the socket knows.
    set: usize,
    /// Nothing but reading brings the mark up again.
    given_up: bool,
}

impl Gathering {
    /// Of a new connection.
    pub(super) const fn new() -> Self {
        Self { wanted: 1, set: 1, given_up: false }
    }

    /// So many answers are to be there, 0 or 1 for whatever comes.
    pub(super) fn want(&mut self, answers: usize) {
        self.wanted = (answers * SHORTEST_ANSWER).max(1);
    }

    /// Tells the socket, and whether it waits for more than one byte now. TLS and WebSocket know no such mark.
    pub(super) fn apply(&mut self, connection: Option<&Connection>) -> bool {
        let mark = if self.given_up { 1 } else { self.wanted };
        if mark != self.set {
            let socket = connection.and_then(Connection::as_plain);
            if socket.is_some_and(|socket| socket.set_low_water(mark)) {
                self.set = mark;
            }
        }
        self.set > 1
    }

    /// The answers have not come in time: what is there is read.
    pub(super) fn give_up(&mut self) {
        self.given_up = true;
    }

    /// Something was read.
    pub(super) fn read(&mut self) {
        self.given_up = false;
    }
}
