//! The database's rows as the changes that they came from.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable};

use super::Clock;
use super::batch::held_message;
use super::encoding::{self, Owed, split_key};
use super::tables::{HELD, MESSAGES, QUEUE, RETAINED, SESSIONS, SUBSCRIPTIONS};
use crate::broker::core::{Change, StoredMessage};

/// Visits every row: sessions with their subscriptions, their queued messages and the QoS 2 messages that they hold,
/// retained messages.
pub(super) fn load(
    transaction: &ReadTransaction,
    clock: &Clock,
    visit: &mut dyn FnMut(&Change<'_>),
) -> Result<(), redb::Error> {
    for row in transaction.open_table(SESSIONS)?.iter()? {
        let (client_id, value) = row?;
        let client_id = std::str::from_utf8(client_id.value()).map_err(|_| unreadable("a session"))?;
        let (expiry, user_name) = encoding::read_session(value.value()).ok_or_else(|| unreadable("a session"))?;
        visit(&Change::Session { client_id, expiry, user_name });
    }
    for row in transaction.open_table(SUBSCRIPTIONS)?.iter()? {
        let (key, value) = row?;
        let (client_id, filter) = split_key(key.value()).ok_or_else(|| unreadable("a subscription"))?;
        let read = encoding::read_subscription(filter, value.value());
        let (filter, identifier) = read.ok_or_else(|| unreadable("a subscription"))?;
        visit(&Change::Subscribed { client_id, filter: &filter, identifier });
    }
    let messages = Messages { table: transaction.open_table(MESSAGES)?, clock, loaded: HashMap::new() };
    load_messages(transaction, messages, visit)?;
    for row in transaction.open_table(RETAINED)?.iter()? {
        let (_, value) = row?;
        let message = encoding::read_message(value.value(), clock).ok_or_else(|| unreadable("a retained message"))?;
        visit(&Change::Retained { message: &Arc::new(message) });
    }
    Ok(())
}

fn load_messages<T: ReadableTable<u64, &'static [u8]>>(
    transaction: &ReadTransaction,
    mut messages: Messages<'_, T>,
    visit: &mut dyn FnMut(&Change<'_>),
) -> Result<(), redb::Error> {
    for row in transaction.open_table(QUEUE)?.iter()? {
        let (key, value) = row?;
        let (client_id, number) = split_key(key.value()).ok_or_else(|| unreadable("a queued message"))?;
        let number = number.try_into().map(u64::from_be_bytes).map_err(|_| unreadable("a queued message"))?;
        let owed = Owed::decode(value.value()).ok_or_else(|| unreadable("a queued message"))?;
        let message = messages.get(owed.message)?;
        visit(&Change::Queued { client_id, number, message: &message, delivery: owed.delivery });
        if owed.packet_identifier != 0 {
            visit(&Change::Sent { client_id, number, packet_identifier: owed.packet_identifier });
            if owed.is_received {
                visit(&Change::Received { client_id, number });
            }
        }
    }
    for row in transaction.open_table(HELD)?.iter()? {
        let (key, value) = row?;
        let (client_id, identifier) = split_key(key.value()).ok_or_else(|| unreadable("a held message"))?;
        let identifier = identifier.try_into().map(u16::from_be_bytes).map_err(|_| unreadable("a held message"))?;
        let number = held_message(value.value()).ok_or_else(|| unreadable("a held message"))?;
        let message = messages.get(number)?;
        visit(&Change::Held { client_id, packet_identifier: identifier, message: &message });
    }
    Ok(())
}

/// Messages by number, each read once.
struct Messages<'a, T> {
    table: T,
    clock: &'a Clock,
    loaded: HashMap<u64, Arc<StoredMessage>>,
}

impl<T: ReadableTable<u64, &'static [u8]>> Messages<'_, T> {
    fn get(&mut self, number: u64) -> Result<Arc<StoredMessage>, redb::Error> {
        if let Some(message) = self.loaded.get(&number) {
            return Ok(Arc::clone(message));
        }
        let row = self.table.get(number)?.ok_or_else(|| unreadable("a queued message"))?;
        let message = encoding::read_message(row.value(), self.clock).ok_or_else(|| unreadable("a message"))?;
        let message = Arc::new(message);
        self.loaded.insert(number, Arc::clone(&message));
        Ok(message)
    }
}

fn unreadable(what: &str) -> redb::Error {
    redb::Error::Io(io::Error::new(io::ErrorKind::InvalidData, format!("{what} cannot be read")))
}
