//! The broker's database: what outlives a connection, kept over a restart and a kill. The only home of its crate.
//!
//! Changes are gathered while the broker works and written together, in one transaction that is on disk when
//! [`Store::commit`] returns. What came and went between two commits is never written at all.

mod batch;
mod encoding;
mod load;
mod tables;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use redb::{Database, DatabaseError, ReadableDatabase, StorageError};
use thiserror::Error;

use self::batch::Batch;
use self::tables::FORMAT;
use super::core::{Change, Core};

/// Bytes of the database that are kept in memory for the next change.
const CACHE: usize = 16 << 20;

/// Why the database cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The folder or the file cannot be used.
    #[error("cannot use the database {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// Another process has it open.
    #[error("the database {} is in use by another broker", .0.display())]
    InUse(PathBuf),
    /// It is no database of this broker, or damaged.
    #[error(
        "{} is not a database of mqbroker, or it is damaged ({cause}); move it away to start with an empty one",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// It was written by a newer version.
    #[error(
        "the database {} was written by another version of mqbroker (format {found}, this one reads {FORMAT}); use that \
         version, or move the file away to start with an empty one",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// A change cannot be written.
    #[error("cannot write to the database {}: {cause}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
}

/// The database of a broker.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    /// None after a failed write, until it could be opened again.
    database: Option<Database>,
    batch: Batch,
}

impl Store {
    /// Opens a database, or creates an empty one.
    ///
    /// # Errors
    /// The file cannot be used, is in use, or is no database of this version.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let database = open(path)?;
        let next_message = tables::next_message(&database).map_err(|error| damaged(path, &error))?;
        Ok(Self { path: path.to_owned(), database: Some(database), batch: Batch::new(next_message) })
    }

    /// Restores everything into a core without connections.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(super) fn restore(&self, core: &mut Core, now: Instant) -> Result<(), StoreError> {
        let Some(database) = &self.database else { return Ok(()) };
        let clock = Clock::new(now);
        let transaction = database.begin_read().map_err(|error| self.unreadable(&error))?;
        load::load(&transaction, &clock, &mut |change| core.restore(change, now))
            .map_err(|error| self.unreadable(&error))
    }

    /// Takes a change; [`Store::commit`] writes it.
    pub(super) fn record(&mut self, change: &Change<'_>) {
        self.batch.record(change);
    }

    /// Its file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is anything to write.
    pub(super) fn has_changes(&self) -> bool {
        !self.batch.is_empty()
    }

    /// How many changes are still to be written.
    pub(super) fn pending(&self) -> usize {
        self.batch.len()
    }

    /// Writes the changes. They are on disk when this returns without an error.
    ///
    /// # Errors
    /// The disk is full or broken. The changes are kept, and the next call tries again.
    pub(super) fn commit(&mut self, now: Instant) -> Result<(), StoreError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let failed = |cause: String| StoreError::Write { path: self.path.clone(), cause };
        // After a failed write the database refuses everything until it was opened, and repaired, again.
        let database = match self.database.take() {
            Some(database) => database,
            None => open(&self.path).map_err(|error| failed(error.to_string()))?,
        };
        self.batch.write(&database, &Clock::new(now)).map_err(|error| failed(error.to_string()))?;
        self.database = Some(database);
        self.batch.clear();
        Ok(())
    }

    fn unreadable(&self, error: &dyn std::error::Error) -> StoreError {
        damaged(&self.path, error)
    }
}

fn damaged(path: &Path, error: &dyn std::error::Error) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), cause: error.to_string() }
}

fn open(path: &Path) -> Result<Database, StoreError> {
    let io = |error| StoreError::Io { path: path.to_owned(), error };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    // The database holds what clients sent, so it is private.
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(io)?;
    }
    let opened = Database::builder().set_cache_size(CACHE).create(path);
    let database = opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() != io::ErrorKind::InvalidData => io(error),
        error => damaged(path, &error),
    })?;
    match tables::format(&database).map_err(|error| damaged(path, &error))? {
        FORMAT => Ok(database),
        found => Err(StoreError::Version { path: path.to_owned(), found }),
    }
}

/// Turns the broker's clock, which begins anew with each process, into the time of day and back.
struct Clock {
    now: Instant,
    unix: u64,
}

impl Clock {
    fn new(now: Instant) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        Self { now, unix }
    }

    /// Milliseconds since 1970.
    fn to_unix(&self, time: Instant) -> u64 {
        match time.checked_duration_since(self.now) {
            Some(later) => self.unix.saturating_add(later.as_millis() as u64),
            None => self.unix.saturating_sub(self.now.duration_since(time).as_millis() as u64),
        }
    }

    fn to_instant(&self, unix: u64) -> Instant {
        let (later, earlier) = (unix.saturating_sub(self.unix), self.unix.saturating_sub(unix));
        let from_millis = std::time::Duration::from_millis;
        // What was over long ago is over now, too.
        let time = if later > 0 {
            self.now.checked_add(from_millis(later))
        } else {
            self.now.checked_sub(from_millis(earlier))
        };
        time.unwrap_or(self.now)
    }
}
