//! The way out of one connection: bytes that are due and bytes that are due later, written by one thread.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::stalls::Stalls;

/// Above so many bytes waiting, those who fill the box wait.
const FULL: usize = 8 << 20;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Later {
    due: Instant,
    sequence: u64,
    bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct Queue {
    ready: Vec<u8>,
    later: BinaryHeap<Reverse<Later>>,
    sequence: u64,
    /// Nothing is written before that (a delayed CONNACK, which nothing may overtake).
    not_before: Option<Instant>,
    /// How many bytes more are taken before the connection is cut.
    budget: Option<u64>,
    /// Everything more is thrown away, and the connection stays.
    muted: bool,
    /// Everything more is thrown away; what was taken is written, and the connection ends.
    ending: bool,
    /// The socket is gone.
    closed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Outbox {
    pub fn new(budget: Option<u64>) -> Self {
        Self { queue: Mutex::new(Queue { budget, ..Queue::default() }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes bytes to be written after `delay`. Says whether all of them will be, as far as it is up to the broker.
    pub fn push(&self, bytes: &[u8], delay: Option<Duration>) -> bool {
        let mut queue = self.lock();
        if queue.ending || queue.closed || queue.muted {
            return false;
        }
        let mut taken = bytes;
        if let Some(left) = &mut queue.budget {
            taken = &bytes[..bytes.len().min(*left as usize)];
            *left -= taken.len() as u64;
            queue.ending = queue.budget == Some(0);
        }
        let now = Instant::now();
        let due = delay.map(|delay| now + delay).max(queue.not_before.filter(|due| *due > now));
        match due {
            None => queue.ready.extend_from_slice(taken),
            Some(due) => {
                queue.sequence += 1;
                let sequence = queue.sequence;
                queue.later.push(Reverse(Later { due, sequence, bytes: taken.to_vec() }));
            }
        }
        self.changed.notify_all();
        taken.len() == bytes.len()
    }

    /// Lets nothing out before `delay` is over.
    pub fn hold(&self, delay: Duration) {
        self.lock().not_before = Some(Instant::now() + delay);
    }

    /// Writes these bytes behind everything that was taken, also what is delayed, and ends.
    pub fn end_with(&self, bytes: &[u8]) {
        let mut queue = self.lock();
        queue.not_before = queue.later.iter().map(|Reverse(later)| later.due).max().max(queue.not_before);
        drop(queue);
        self.push(bytes, None);
        self.end();
    }

    /// Takes nothing more, and the connection stays.
    pub fn mute(&self) {
        self.lock().muted = true;
    }

    /// Takes nothing more: what was taken is written, then the client sees the end.
    pub fn end(&self) {
        self.lock().ending = true;
        self.changed.notify_all();
    }

    /// The socket is gone.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub fn is_over(&self) -> bool {
        let queue = self.lock();
        queue.ending || queue.closed
    }

    pub fn is_full(&self) -> bool {
        self.lock().ready.len() > FULL
    }

    /// Waits until there is room, or nobody reads any more.
    pub fn wait_for_room(&self) {
        let queue = self.lock();
        drop(self.changed.wait_while(queue, |queue| queue.ready.len() > FULL && !queue.closed));
    }

    /// Waits for something to write and moves it into `bytes`. Nothing more will come when it returns false.
    fn take(&self, bytes: &mut Vec<u8>) -> bool {
        bytes.clear();
        let mut queue = self.lock();
        loop {
            let now = Instant::now();
            while queue.later.peek().is_some_and(|Reverse(later)| later.due <= now)
                && let Some(Reverse(later)) = queue.later.pop()
            {
                queue.ready.extend_from_slice(&later.bytes);
            }
            if queue.closed {
                return false;
            }
            if !queue.ready.is_empty() {
                std::mem::swap(&mut queue.ready, bytes);
                self.changed.notify_all();
                return true;
            }
            queue = match queue.later.peek().map(|Reverse(later)| later.due.saturating_duration_since(now)) {
                None if queue.ending => return false,
                None => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(wait) => self.changed.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// The writing thread.
    pub fn run(&self, mut stream: TcpStream, stalls: &Stalls) {
        let mut bytes = Vec::new();
        'writing: while self.take(&mut bytes) {
            for chunk in bytes.chunks(64 << 10) {
                stalls.sit_out();
                if stream.write_all(chunk).is_err() {
                    break 'writing;
                }
            }
        }
        self.close();
        // Only the way out: what the client still sends is read and thrown away, because a socket closed with unread
        // bytes is reset, and a reset would take from the client what was written before.
        let _ = stream.shutdown(Shutdown::Write);
    }
}
