//! Answers read in bulk: a client that is faster than its broker would wake up once for each acknowledgement, since a
//! broker writes them one by one. With a low-water mark on the socket it wakes up for many.

use std::time::Duration;

use crate::transport::Connection;

/// The shortest acknowledgement: type, length and Packet Identifier.
const SHORTEST_ANSWER: usize = 4;

/// How long fewer answers than asked for may lie unread.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(2);

/// After a wait in vain so many reads go by as they come, and twice as many after the next.
const FIRST_PAUSE: u32 = 64;
const LONGEST_PAUSE: u32 = 4096;

/// The low-water mark of one connection.
///
/// A broker that leaves Nagle's algorithm on, as mosquitto does by default, keeps its second answer back until the first
/// one is acknowledged, and a kernel acknowledges what is not read only after a while: with such a broker, or one far
/// away, gathering would slow everything down. There the wait in vain is noticed, and the answers come in bulk anyway.
#[derive(Debug)]
pub(super) struct Gathering {
    /// Bytes that are to be there before the socket is read.
    wanted: usize,
    /// What the socket knows.
    set: usize,
    /// Reads that are yet to go by without a mark.
    pause: u32,
    next_pause: u32,
}

impl Gathering {
    /// Of a new connection.
    pub(super) const fn new() -> Self {
        Self { wanted: 1, set: 1, pause: 0, next_pause: FIRST_PAUSE }
    }

    /// So many answers are to be there, 0 or 1 for whatever comes.
    pub(super) fn want(&mut self, answers: usize) {
        self.wanted = if answers > 1 { answers * SHORTEST_ANSWER } else { 1 };
    }

    /// Tells the socket, and whether it waits for more than one byte now. TLS and WebSocket know no such mark.
    pub(super) fn apply(&mut self, connection: Option<&Connection>) -> bool {
        let mark = self.mark();
        if mark != self.set {
            let socket = connection.and_then(Connection::as_plain);
            if socket.is_some_and(|socket| socket.set_low_water(mark)) {
                self.set = mark;
            }
        }
        self.set > 1
    }

    fn mark(&self) -> usize {
        if self.pause > 0 { 1 } else { self.wanted }
    }

    /// The answers have not come in time: what is there is read.
    pub(super) fn give_up(&mut self) {
        self.pause = self.next_pause;
        self.next_pause = (self.next_pause * 2).min(LONGEST_PAUSE);
    }

    /// Something was read.
    pub(super) fn read(&mut self) {
        if self.pause > 0 {
            self.pause -= 1;
        } else if self.set > 1 {
            self.next_pause = FIRST_PAUSE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_in_vain_become_rare() {
        let mut gathering = Gathering::new();
        gathering.want(10);
        assert_eq!(gathering.mark(), 40);
        for reads in [64, 128, 256] {
            gathering.give_up();
            for _ in 0..reads {
                assert_eq!(gathering.mark(), 1);
                gathering.read();
            }
            assert_eq!(gathering.mark(), 40);
        }
        gathering.set = 40;
        gathering.read();
        gathering.give_up();
        assert_eq!(gathering.pause, FIRST_PAUSE, "a success makes up for what was in vain");
    }

    #[test]
    fn whatever_comes_is_one_byte() {
        let mut gathering = Gathering::new();
        for answers in [0, 1] {
            gathering.want(answers);
            assert!(gathering.mark() <= SHORTEST_ANSWER);
            assert!(!gathering.apply(None));
        }
    }
}
