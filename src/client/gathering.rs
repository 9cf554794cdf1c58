//! Answers read in bulk: a client that is faster than its broker would wake up once for each acknowledgement, since a
//! broker writes them one by one. With a low-water mark on the socket it wakes up for many.

use std::time::Duration;

use crate::transport::Connection;

/// The shortest acknowledgement: type, length and Packet Identifier.
const SHORTEST_ANSWER: usize = 4;

/// How long fewer answers than asked for may lie unread.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(2);

/// So many answers are asked for at first. A broker that sends each in a segment of its own stands still after ten that
/// TCP has not acknowledged (RFC 6928), and a kernel acknowledges what is not read only after a while; what is read in
/// time lets the broker send more at a time.
const FIRST_LIMIT: usize = 8;

/// After a wait in vain so many reads go by before more answers are asked for, and twice as many after the next.
const FIRST_HOLD: u32 = 64;
const LONGEST_HOLD: u32 = 4096;

/// The low-water mark of one connection.
///
/// It finds out by itself how many answers are worth a wait. A broker that leaves Nagle's algorithm on, as mosquitto does
/// by default, keeps its second answer back until the first one is acknowledged; there, and with a broker far away, it
/// comes down to a single one, and the answers come in bulk anyway.
#[derive(Debug)]
pub(super) struct Gathering {
    /// Answers that are to be there before the socket is read.
    wanted: usize,
    /// Answers that are worth a wait.
    limit: usize,
    /// Bytes that the socket waits for.
    set: usize,
    /// Reads that are yet to go by before the limit rises.
    hold: u32,
    next_hold: u32,
}

impl Gathering {
    /// Of a new connection.
    pub(super) const fn new() -> Self {
        Self { wanted: 1, limit: FIRST_LIMIT, set: 1, hold: 0, next_hold: FIRST_HOLD }
    }

    /// So many answers are to be there, 0 or 1 for whatever comes.
    pub(super) const fn want(&mut self, answers: usize) {
        self.wanted = answers;
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

    fn answers(&self) -> usize {
        self.wanted.min(self.limit)
    }

    fn mark(&self) -> usize {
        if self.answers() > 1 { self.answers() * SHORTEST_ANSWER } else { 1 }
    }

    /// The answers have not come in time: what is there is read, and for a while fewer are asked for.
    pub(super) fn give_up(&mut self) {
        self.limit = (self.answers() / 2).max(1);
        self.hold = self.next_hold;
        self.next_hold = (self.next_hold * 2).min(LONGEST_HOLD);
    }

    /// Something was read.
    pub(super) fn read(&mut self) {
        if self.hold > 0 {
            self.hold -= 1;
        } else if self.limit < self.wanted {
            // As fast as TCP's window grows, until that has been too much once.
            self.limit += if self.next_hold == FIRST_HOLD { self.limit } else { 1 };
        } else if self.set > 1 && self.next_hold > FIRST_HOLD {
            self.next_hold -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanting(answers: usize) -> Gathering {
        let mut gathering = Gathering::new();
        gathering.want(answers);
        gathering
    }

    #[test]
    fn it_begins_with_what_a_new_connection_can_bring_and_rises_to_what_is_wanted() {
        let mut gathering = wanting(50);
        let marks = [(); 5].map(|()| {
            let mark = gathering.mark();
            gathering.read();
            mark
        });
        assert_eq!(marks, [32, 64, 128, 200, 200]);
        gathering.want(3);
        assert_eq!(gathering.mark(), 12);
    }

    #[test]
    fn waits_in_vain_become_rare() {
        let mut gathering = wanting(8);
        for reads in [64, 128, 256] {
            // What comes one by one is waited for less and less, and then not at all.
            while gathering.mark() > 1 {
                gathering.give_up();
            }
            let (hold, began) = (gathering.hold, gathering.limit);
            assert!(hold >= reads);
            for _ in 0..hold {
                assert_eq!((gathering.mark(), gathering.limit), (1, began));
                gathering.read();
            }
            gathering.read();
            assert_eq!(gathering.mark(), 8, "it is tried again, with one more");
        }
        assert!(gathering.next_hold <= LONGEST_HOLD);
    }

    #[test]
    fn one_wait_in_vain_does_not_end_it() {
        let mut gathering = wanting(8);
        gathering.give_up();
        assert_eq!(gathering.mark(), 16);
        for _ in 0..FIRST_HOLD + 4 {
            gathering.read();
        }
        assert_eq!(gathering.mark(), 32);
        gathering.set = 32;
        for _ in 0..LONGEST_HOLD {
            gathering.read();
        }
        assert_eq!(gathering.next_hold, FIRST_HOLD, "much success makes up for what was in vain");
    }

    #[test]
    fn whatever_comes_is_one_byte() {
        for answers in [0, 1] {
            let mut gathering = wanting(answers);
            assert_eq!(gathering.mark(), 1);
            assert!(!gathering.apply(None));
        }
    }
}
