//! What a broker is about to write to one client, in the order of the times at which it is to leave.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::broker::Ticket;

/// Something to write.
pub(super) enum Item {
    /// A packet, and the messages in flight that are done once it was written.
    Packet(Vec<u8>, Vec<Rc<Ticket>>),
    /// Nothing: the connection ends.
    End,
}

/// The queue of one connection.
#[derive(Default)]
pub(super) struct Outbox {
    items: RefCell<BTreeMap<(Instant, u64), Item>>,
    put: Cell<u64>,
    changed: Notify,
}

impl Outbox {
    /// Puts something in; what is due at the same moment leaves in the order in which it was put in.
    pub(super) fn put(&self, due: Instant, item: Item) {
        let number = self.put.replace(self.put.get() + 1);
        self.items.borrow_mut().insert((due, number), item);
        self.changed.notify_one();
    }

    fn take_due(&self) -> Option<Item> {
        let mut items = self.items.borrow_mut();
        let first = items.first_entry()?;
        (first.key().0 <= Instant::now()).then(|| first.remove())
    }

    /// Writes what becomes due, until the end of the connection. `wait` lets nothing pass while the broker stands still.
    pub(super) async fn write_to<F: Future<Output = ()>>(
        &self,
        mut writer: impl AsyncWrite + Unpin,
        wait: impl Fn() -> F,
    ) {
        loop {
            let next = self.items.borrow().first_key_value().map(|((due, _), _)| *due);
            match next {
                None => self.changed.notified().await,
                Some(due) if due > Instant::now() => tokio::select! {
                    () = sleep_until(due) => {}
                    () = self.changed.notified() => {}
                },
                Some(_) => {
                    wait().await;
                    match self.take_due() {
                        Some(Item::Packet(bytes, tickets)) => {
                            // A client that is gone needs nothing more.
                            if writer.write_all(&bytes).await.is_err() {
                                return;
                            }
                            drop(tickets);
                        }
                        Some(Item::End) => {
                            let _ = writer.shutdown().await;
                            return;
                        }
                        None => {}
                    }
                }
            }
        }
    }
}
