//! Changes between two commits, gathered so that what came and went in between costs nothing.

use std::collections::HashMap;
use std::sync::Arc;

use redb::{Database, ReadableTable, Table, WriteTransaction};

use super::Clock;
use super::encoding::{self, Owed, key};
use super::tables::{HELD, MESSAGES, QUEUE, REFERENCES, RETAINED, SESSIONS, SUBSCRIPTIONS};
use crate::broker::core::{Change, StoredMessage};

type ByteTable<'a> = Table<'a, &'static [u8], &'static [u8]>;

/// A change of a row.
#[derive(Debug)]
enum Operation {
    Session {
        client_id: String,
        value: Vec<u8>,
    },
    SessionRemoved {
        client_id: String,
    },
    Subscribed {
        key: Vec<u8>,
        value: [u8; 8],
    },
    Unsubscribed {
        key: Vec<u8>,
    },
    /// A message that this batch has queued.
    Queued {
        key: Vec<u8>,
        owed: Owed,
    },
    /// A message that an earlier batch has queued was sent, or received.
    Advanced {
        key: Vec<u8>,
        packet_identifier: Option<u16>,
        is_received: bool,
    },
    Done {
        key: Vec<u8>,
    },
    Held {
        key: Vec<u8>,
        message: u64,
    },
    Released {
        key: Vec<u8>,
    },
}

/// A message that this batch has seen first.
#[derive(Debug)]
struct NewMessage {
    message: Arc<StoredMessage>,
    references: u64,
}

#[derive(Debug)]
pub(super) struct Batch {
    /// In the order in which they came; none where something later has undone it.
    operations: Vec<Option<Operation>>,
    /// Where the rows of this batch's `QUEUE` stand in `operations`, and those of `HELD`.
    queued: HashMap<Vec<u8>, usize>,
    held: HashMap<Vec<u8>, usize>,
    retained: HashMap<String, Option<Arc<StoredMessage>>>,
    messages: HashMap<u64, NewMessage>,
    /// The message that was queued last: one that goes to many sessions comes many times in a row.
    last: Option<(Arc<StoredMessage>, u64)>,
    next_message: u64,
}

impl Batch {
    pub(super) fn new(next_message: u64) -> Self {
        Self {
            operations: Vec::new(),
            queued: HashMap::new(),
            held: HashMap::new(),
            retained: HashMap::new(),
            messages: HashMap::new(),
            last: None,
            next_message,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.retained.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.operations.len() + self.retained.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.next_message);
    }

    pub(super) fn record(&mut self, change: &Change<'_>) {
        match *change {
            Change::Session { client_id, expiry, user_name } => self.push(Operation::Session {
                client_id: client_id.to_owned(),
                value: encoding::session(expiry, user_name),
            }),
            Change::SessionRemoved { client_id } => {
                // Rows that this batch has written for it are removed with the others; a new session of this name
                // begins behind this operation.
                self.forget(client_id);
                self.push(Operation::SessionRemoved { client_id: client_id.to_owned() });
            }
            Change::Subscribed { client_id, filter, identifier } => self.push(Operation::Subscribed {
                key: key(client_id, filter.filter.as_bytes()),
                value: encoding::subscription(filter, identifier),
            }),
            Change::Unsubscribed { client_id, filter } => {
                self.push(Operation::Unsubscribed { key: key(client_id, filter.as_bytes()) });
            }
            Change::Queued { client_id, number, message, delivery } => {
                let key = key(client_id, &number.to_be_bytes());
                let owed = Owed { message: self.refer(message), delivery, packet_identifier: 0, is_received: false };
                self.queued.insert(key.clone(), self.operations.len());
                self.push(Operation::Queued { key, owed });
            }
            Change::Sent { client_id, number, packet_identifier } => {
                self.advance(key(client_id, &number.to_be_bytes()), Some(packet_identifier), false);
            }
            Change::Received { client_id, number } => {
                self.advance(key(client_id, &number.to_be_bytes()), None, true);
            }
            Change::Done { client_id, number } => {
                let key = key(client_id, &number.to_be_bytes());
                match self.queued.remove(&key).and_then(|place| self.operations[place].take()) {
                    Some(Operation::Queued { owed, .. }) => self.release(owed.message),
                    _ => self.push(Operation::Done { key }),
                }
            }
            Change::Held { client_id, packet_identifier, message } => {
                let key = key(client_id, &packet_identifier.to_be_bytes());
                let message = self.refer(message);
                self.held.insert(key.clone(), self.operations.len());
                self.push(Operation::Held { key, message });
            }
            Change::Released { client_id, packet_identifier } => {
                let key = key(client_id, &packet_identifier.to_be_bytes());
                match self.held.remove(&key).and_then(|place| self.operations[place].take()) {
                    Some(Operation::Held { message, .. }) => self.release(message),
                    _ => self.push(Operation::Released { key }),
                }
            }
            Change::Retained { message } => {
                self.retained.insert(message.topic().to_owned(), Some(Arc::clone(message)));
            }
            Change::RetainedCleared { topic } => {
                self.retained.insert(topic.to_owned(), None);
            }
        }
    }

    fn push(&mut self, operation: Operation) {
        self.operations.push(Some(operation));
    }

    /// The number of a message, one more place of which needs it.
    fn refer(&mut self, message: &Arc<StoredMessage>) -> u64 {
        let number = match &self.last {
            Some((last, number)) if Arc::ptr_eq(last, message) => *number,
            _ => {
                let number = self.next_message;
                self.next_message += 1;
                self.last = Some((Arc::clone(message), number));
                number
            }
        };
        let new = NewMessage { message: Arc::clone(message), references: 0 };
        self.messages.entry(number).or_insert(new).references += 1;
        number
    }

    /// One place less needs a message of this batch.
    fn release(&mut self, message: u64) {
        if let Some(new) = self.messages.get_mut(&message) {
            new.references -= 1;
        }
    }

    fn advance(&mut self, key: Vec<u8>, packet_identifier: Option<u16>, is_received: bool) {
        let place = self.queued.get(&key).copied();
        match place.and_then(|place| self.operations[place].as_mut()) {
            Some(Operation::Queued { owed, .. }) => {
                owed.packet_identifier = packet_identifier.unwrap_or(owed.packet_identifier);
                owed.is_received |= is_received;
            }
            _ => self.push(Operation::Advanced { key, packet_identifier, is_received }),
        }
    }

    /// What this batch has queued for a client cannot be changed any more.
    fn forget(&mut self, client_id: &str) {
        let of_client = key(client_id, &[]);
        self.queued.retain(|key, _| !key.starts_with(&of_client));
        self.held.retain(|key, _| !key.starts_with(&of_client));
    }

    /// Writes everything in one transaction.
    pub(super) fn write(&self, database: &Database, clock: &Clock) -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        self.write_rows(&transaction, clock)?;
        transaction.commit()?;
        Ok(())
    }

    fn write_rows(&self, transaction: &WriteTransaction, clock: &Clock) -> Result<(), redb::Error> {
        // How many places more, or less, need each message.
        let mut references: HashMap<u64, i64> =
            self.messages.iter().map(|(number, new)| (*number, new.references as i64)).collect();
        let mut rows = Rows {
            sessions: transaction.open_table(SESSIONS)?,
            subscriptions: transaction.open_table(SUBSCRIPTIONS)?,
            queue: transaction.open_table(QUEUE)?,
            held: transaction.open_table(HELD)?,
        };
        for operation in self.operations.iter().flatten() {
            rows.apply(operation, &mut references)?;
        }
        let mut retained = transaction.open_table(RETAINED)?;
        for (topic, message) in &self.retained {
            match message {
                Some(message) => drop(retained.insert(topic.as_bytes(), &encoding::message(message, clock)[..])?),
                None => drop(retained.remove(topic.as_bytes())?),
            }
        }
        let mut counts = transaction.open_table(REFERENCES)?;
        let mut messages = transaction.open_table(MESSAGES)?;
        for (number, change) in references {
            let before = counts.get(number)?.map_or(0, |count| count.value());
            let after = before.saturating_add_signed(change);
            match (self.messages.get(&number), after) {
                (_, 0) => {
                    counts.remove(number)?;
                    messages.remove(number)?;
                    continue;
                }
                (Some(new), _) => drop(messages.insert(number, &encoding::message(&new.message, clock)[..])?),
                (None, _) => {}
            }
            if after != before {
                counts.insert(number, after)?;
            }
        }
        Ok(())
    }
}

/// The tables of clients.
struct Rows<'a> {
    sessions: ByteTable<'a>,
    subscriptions: ByteTable<'a>,
    queue: ByteTable<'a>,
    held: ByteTable<'a>,
}

impl Rows<'_> {
    fn apply(&mut self, operation: &Operation, references: &mut HashMap<u64, i64>) -> Result<(), redb::Error> {
        let mut release = |message: Option<u64>| {
            if let Some(message) = message {
                *references.entry(message).or_default() -= 1;
            }
        };
        match operation {
            Operation::Session { client_id, value } => drop(self.sessions.insert(client_id.as_bytes(), &value[..])?),
            Operation::SessionRemoved { client_id } => {
                self.sessions.remove(client_id.as_bytes())?;
                let (first, end) = encoding::keys_of(client_id);
                self.subscriptions.retain_in::<&[u8], _>(&first[..]..&end[..], |_, _| false)?;
                self.queue.retain_in::<&[u8], _>(&first[..]..&end[..], |_, value| {
                    release(Owed::decode(value).map(|owed| owed.message));
                    false
                })?;
                self.held.retain_in::<&[u8], _>(&first[..]..&end[..], |_, value| {
                    release(held_message(value));
                    false
                })?;
            }
            Operation::Subscribed { key, value } => drop(self.subscriptions.insert(&key[..], &value[..])?),
            Operation::Unsubscribed { key } => drop(self.subscriptions.remove(&key[..])?),
            Operation::Queued { key, owed } => drop(self.queue.insert(&key[..], &owed.encode()[..])?),
            Operation::Advanced { key, packet_identifier, is_received } => {
                let owed = self.queue.get(&key[..])?.and_then(|value| Owed::decode(value.value()));
                if let Some(mut owed) = owed {
                    owed.packet_identifier = packet_identifier.unwrap_or(owed.packet_identifier);
                    owed.is_received |= is_received;
                    self.queue.insert(&key[..], &owed.encode()[..])?;
                }
            }
            Operation::Done { key } => {
                let owed = self.queue.remove(&key[..])?.and_then(|value| Owed::decode(value.value()));
                release(owed.map(|owed| owed.message));
            }
            Operation::Held { key, message } => drop(self.held.insert(&key[..], &message.to_be_bytes()[..])?),
            Operation::Released { key } => {
                let message = self.held.remove(&key[..])?.and_then(|value| held_message(value.value()));
                release(message);
            }
        }
        Ok(())
    }
}

/// The message of a row of `HELD`.
pub(super) fn held_message(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_be_bytes)
}
