//! Answers read in bulk: a client that is faster than its broker would wake up once for each acknowledgement, since a
//! broker writes them one by one. With a low-water mark on the socket it wakes up for many.

use std::time::Duration;

use crate::transport::Connection;

/// The shortest acknowledgement: type, length and Packet Identifier.
const SHORTEST_ANSWER: usize = 4;

/// How long fewer answers than asked for may lie unread.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(2);

/// Answers that are asked for at first. A broker that sends each in its own segment stands still after ten that
/// TCP has not acknowledged (RFC 6928), and a kernel acknowledges what is not read only after a while; what is read in
/// time lets the broker send more at a time.
const FIRST_LIMIT: usize = 8;
/// Fewer answers are not worth a wait.
const LEAST_LIMIT: usize = 4;

/// Reads after a wait in vain before more answers are asked for; twice as many after the next one.
const FIRST_HOLD: u32 = 64;
const LONGEST_HOLD: u32 = 4096;

/// The low-water mark of one connection.
///
/// It finds out by itself how many answers are worth a wait. A broker that leaves Nagle's algorithm on, as mosquitto
/// does by default, keeps its second answer back until the first one is acknowledged; there, and with a broker far
/// away, it takes what comes, which is many at a time anyway.
#[derive(Debug)]
pub(super) struct AckCoalescing {
    /// Answers that are to be there before the socket is read.
    wanted: usize,
    /// Answers that are worth a wait; 1 for none.
    limit: usize,
    /// Bytes that the socket waits for.
    set: usize,
    /// Reads since the last wait in vain.
    reads: u32,
    /// Reads before the limit rises again; 0 where no wait was in vain.
    hold: u32,
}

impl AckCoalescing {
    /// Of a new connection.
    pub(super) const fn new() -> Self {
        Self { wanted: 1, limit: FIRST_LIMIT, set: 1, reads: 0, hold: 0 }
    }

    /// Answers that must be there before the socket wakes its reader; 0 or 1 for any.
    pub(super) const fn want(&mut self, answers: usize) {
        self.wanted = answers;
    }

    /// Sets the mark of the socket, and returns whether it waits for more than one byte now. TLS and WebSocket know no
    /// such mark.
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
        let half = self.answers() / 2;
        self.limit = if half < LEAST_LIMIT { 1 } else { half };
        self.hold = (self.hold * 2).clamp(FIRST_HOLD, LONGEST_HOLD);
        self.reads = 0;
    }

    /// Something was read.
    pub(super) fn on_read(&mut self) {
        self.reads = self.reads.saturating_add(1);
        if self.reads <= self.hold {
            return;
        }
        if self.limit < self.wanted {
            self.limit += match self.hold {
                _ if self.limit < LEAST_LIMIT => FIRST_LIMIT - self.limit,
                // As fast as TCP's window grows, until that has been too much once.
                0 => self.limit,
                _ => 1,
            };
        } else if self.reads - self.hold > LONGEST_HOLD {
            self.hold = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanting(answers: usize) -> AckCoalescing {
        let mut coalescing = AckCoalescing::new();
        coalescing.want(answers);
        coalescing
    }

    #[test]
    fn it_begins_with_what_a_new_connection_can_bring_and_rises_to_what_is_wanted() {
        let mut coalescing = wanting(50);
        let marks = [(); 5].map(|()| {
            let mark = coalescing.mark();
            coalescing.on_read();
            mark
        });
        assert_eq!(marks, [32, 64, 128, 200, 200]);
        coalescing.want(3);
        assert_eq!(coalescing.mark(), 12);
    }

    fn reads(coalescing: &mut AckCoalescing, count: u32) {
        for _ in 0..count {
            coalescing.on_read();
        }
    }

    #[test]
    fn waits_in_vain_become_rare() {
        let mut coalescing = wanting(15);
        let mut holds = Vec::new();
        for _ in 0..8 {
            while coalescing.mark() > 1 {
                coalescing.give_up();
            }
            holds.push(coalescing.hold);
            reads(&mut coalescing, *holds.last().unwrap());
            assert_eq!(coalescing.mark(), 1, "whatever comes is taken");
            coalescing.on_read();
            assert_eq!(coalescing.mark(), 32, "then it is tried again");
        }
        assert_eq!(holds, [128, 512, 2048, 4096, 4096, 4096, 4096, 4096]);
    }

    #[test]
    fn one_wait_in_vain_does_not_end_it() {
        let mut coalescing = wanting(15);
        coalescing.on_read();
        coalescing.give_up();
        reads(&mut coalescing, FIRST_HOLD);
        assert_eq!(coalescing.mark(), 28);
        reads(&mut coalescing, 8);
        assert_eq!(coalescing.mark(), 60);
        reads(&mut coalescing, LONGEST_HOLD);
        assert_eq!(coalescing.hold, 0, "much success makes up for what was in vain");
    }

    #[test]
    fn whatever_comes_is_one_byte() {
        for answers in [0, 1] {
            let mut coalescing = wanting(answers);
            assert_eq!(coalescing.mark(), 1);
            assert!(!coalescing.apply(None));
        }
    }
}
