//! The way out of one connection: what is due now and what is due later, in the order of the times.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Above this many waiting bytes those whose packets fill the outbox are not read from.
pub(super) const FULL: usize = 8 << 20;

/// One write takes about this much.
const WRITE_SIZE: usize = 64 << 10;

/// Bytes that wait in all queues of a broker. Below [`FULL`] none of them is full, and none need be looked at.
pub(super) type WaitingBytes = Rc<Cell<usize>>;

enum Item {
    Bytes(Vec<u8>),
    End,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// Takes nothing more; the connection stays.
    Muted,
    /// Takes nothing more; the connection ends.
    Ending,
}

#[derive(Default)]
struct Queue {
    items: BTreeMap<(Instant, u64), Item>,
    /// Items so far, which keeps those that are due at the same moment in order.
    count: u64,
    bytes: usize,
    /// The bytes of all queues of the broker.
    of_all: WaitingBytes,
    not_before: Option<Instant>,
    /// How many bytes are still taken before the connection ends.
    budget: Option<u64>,
    state: State,
}

impl Queue {
    fn put(&mut self, after: Duration, item: Item) {
        let due = (Instant::now() + after).max(self.not_before.unwrap_or_else(Instant::now));
        if let Item::Bytes(bytes) = &item {
            self.bytes += bytes.len();
            self.of_all.set(self.of_all.get() + bytes.len());
        }
        self.count += 1;
        self.items.insert((due, self.count), item);
    }

    /// These bytes are written, or never will be.
    fn forget(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.of_all.set(self.of_all.get() - bytes);
    }

    /// Moves what is due to the end of `bytes`; whether the connection ends behind it.
    fn take_due(&mut self, bytes: &mut Vec<u8>) -> bool {
        let now = Instant::now();
        while bytes.len() < WRITE_SIZE
            && let Some(first) = self.items.first_entry()
            && first.key().0 <= now
        {
            match first.remove() {
                Item::Bytes(more) => bytes.extend_from_slice(&more),
                Item::End => return true,
            }
        }
        false
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.forget(self.bytes);
    }
}

/// The queue of one connection.
#[derive(Default)]
pub(crate) struct Outbox {
    queue: RefCell<Queue>,
    changed: Notify,
    written: Notify,
}

impl Outbox {
    /// One whose bytes are counted with those of the others.
    pub(super) fn new(of_all: WaitingBytes) -> Self {
        let outbox = Self::default();
        outbox.queue.borrow_mut().of_all = of_all;
        outbox
    }

    /// Takes bytes to be written after a delay; whether all of them will be, as far as it is up to the broker.
    pub(crate) fn send(&self, bytes: &[u8], after: Duration) -> bool {
        let mut queue = self.queue.borrow_mut();
        if queue.state != State::Open {
            return false;
        }
        let mut taken = bytes;
        if let Some(budget) = queue.budget {
            taken = &bytes[..bytes.len().min(budget as usize)];
            queue.budget = Some(budget - taken.len() as u64);
        }
        queue.put(after, Item::Bytes(taken.to_vec()));
        if queue.budget == Some(0) {
            queue.put(after, Item::End);
            queue.state = State::Ending;
        }
        self.changed.notify_one();
        taken.len() == bytes.len()
    }

    /// Ends the connection after a delay; what is due later than that is not written.
    pub(crate) fn end(&self, after: Duration) {
        let mut queue = self.queue.borrow_mut();
        if queue.state != State::Ending {
            queue.state = State::Ending;
            queue.put(after, Item::End);
            self.changed.notify_one();
        }
    }

    /// Takes nothing more, and the connection stays.
    pub(crate) fn mute(&self) {
        self.queue.borrow_mut().state = State::Muted;
    }

    /// Writes nothing before this time has passed.
    pub(crate) fn hold(&self, time: Duration) {
        self.queue.borrow_mut().not_before = Some(Instant::now() + time);
    }

    /// Ends the connection behind this many more bytes.
    pub(crate) fn limit(&self, bytes: u64) {
        self.queue.borrow_mut().budget = Some(bytes);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.queue.borrow().state == State::Ending
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.borrow().bytes > FULL
    }

    /// Waits until there is room again, or the connection ends.
    pub(crate) async fn wait_for_room(&self) {
        while self.is_full() && !self.is_ending() {
            self.written.notified().await;
        }
    }

    /// Writes what becomes due until the connection ends. `wait` lets nothing pass while the broker stands still.
    pub(crate) async fn write_to<F: Future<Output = ()>>(
        &self,
        mut writer: impl AsyncWrite + Unpin,
        wait: impl Fn() -> F,
    ) {
        let mut bytes = Vec::new();
        loop {
            let next = self.queue.borrow().items.first_key_value().map(|((due, _), _)| *due);
            match next {
                None => self.changed.notified().await,
                Some(due) if due > Instant::now() => tokio::select! {
                    () = sleep_until(due) => {}
                    () = self.changed.notified() => {}
                },
                Some(_) => {
                    wait().await;
                    let ends = self.queue.borrow_mut().take_due(&mut bytes);
                    // A client that is gone needs nothing more.
                    let is_gone = writer.write_all(&bytes).await.is_err();
                    self.queue.borrow_mut().forget(bytes.len());
                    bytes.clear();
                    self.written.notify_waiters();
                    if is_gone {
                        self.end(Duration::ZERO);
                    }
                    if is_gone || ends {
                        let _ = writer.shutdown().await;
                        return;
                    }
                }
            }
        }
    }
}
