//! The tables of the database.

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

/// The format that this version writes.
pub(super) const FORMAT: u64 = 1;

/// A table from bytes to bytes.
pub(super) type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const FORMAT_KEY: &str = "format";

/// Client Identifier → session.
pub(super) const SESSIONS: Bytes = TableDefinition::new("sessions");
/// Client Identifier, NUL, filter → options.
pub(super) const SUBSCRIPTIONS: Bytes = TableDefinition::new("subscriptions");
/// Client Identifier, NUL, number → which message, how it is delivered, and its progress.
pub(super) const QUEUE: Bytes = TableDefinition::new("queue");
/// Client Identifier, NUL, Packet Identifier → which message.
pub(super) const HELD: Bytes = TableDefinition::new("held");
/// Topic → message.
pub(super) const RETAINED: Bytes = TableDefinition::new("retained");
/// Number of a message → how many places of `QUEUE` and `HELD` need it.
pub(super) const REFERENCES: TableDefinition<'_, u64, u64> = TableDefinition::new("references");
/// Number of a message → message.
pub(super) const MESSAGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("messages");

/// The format of a database; a new one gets this version's, and every table.
pub(super) fn format(database: &Database) -> Result<u64, redb::Error> {
    // A database with tables that are not ours has no format, and one of a newer version its own.
    let transaction = database.begin_write()?;
    let is_new = transaction.list_tables()?.next().is_none();
    let found = {
        let mut meta = transaction.open_table(META)?;
        if is_new {
            meta.insert(FORMAT_KEY, FORMAT)?;
        }
        meta.get(FORMAT_KEY)?.map_or(0, |format| format.value())
    };
    if found != FORMAT || !is_new {
        transaction.abort()?;
        return Ok(found);
    }
    for table in [SESSIONS, SUBSCRIPTIONS, QUEUE, HELD, RETAINED] {
        transaction.open_table(table)?;
    }
    transaction.open_table(REFERENCES)?;
    transaction.open_table(MESSAGES)?;
    transaction.commit()?;
    Ok(found)
}

/// The number for the next message.
pub(super) fn next_message(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_read()?;
    let last = transaction.open_table(MESSAGES)?.last()?.map(|(number, _)| number.value());
    Ok(last.map_or(0, |last| last + 1))
}
