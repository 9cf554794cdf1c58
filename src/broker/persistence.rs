//! The store behind a running broker: changes go in as they happen, and are on disk before they are acknowledged, or
//! within a second.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::configuration::{PersistenceConfiguration, PersistenceSync};
use super::core::{Change, Journal};
use super::log::EventLog;
use super::log_rules::LineKind;
use super::store::{Store, StoreError};
use super::{Commit, settings};
use crate::terminal::escape;

/// The database's name; mosquitto's own is mosquitto.db, which is left alone.
const FILE_NAME: &str = "mqbroker.db";
/// Time between two commits where not every turn of the loop makes one.
const INTERVAL: Duration = Duration::from_secs(1);
/// Changes that are not left for the next commit: writing them holds up the broker, and what came while they were
/// written would be older than [`INTERVAL`] by that time.
const LARGEST_BATCH: usize = 10_000;

/// The store of a broker.
pub(super) struct Persistence {
    shared: Arc<Shared>,
    sync: PersistenceSync,
    /// Ends the thread that commits once a second.
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
}

struct Shared {
    store: Mutex<State>,
    log: EventLog,
}

struct State {
    store: Store,
    /// The last commit failed, and it was reported.
    is_failing: bool,
    next_try: Instant,
}

/// Where the database of a configuration is.
pub(super) fn path(configuration: &PersistenceConfiguration) -> PathBuf {
    configuration.location.join(configuration.file.as_deref().unwrap_or(FILE_NAME))
}

impl Persistence {
    /// Opens the database that the configuration names.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(super) fn open(configuration: &PersistenceConfiguration, log: &EventLog) -> Result<Self, StoreError> {
        Self::at(&path(configuration), configuration.sync, log)
    }

    fn at(path: &Path, sync: PersistenceSync, log: &EventLog) -> Result<Self, StoreError> {
        let state = State { store: Store::open(path)?, is_failing: false, next_try: Instant::now() };
        let shared = Arc::new(Shared { store: Mutex::new(state), log: log.clone() });
        let ticker = (sync == PersistenceSync::Interval).then(|| {
            let (stop, stopped) = channel();
            let shared = Arc::clone(&shared);
            let commits = move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(INTERVAL) {
                    shared.commit();
                }
            };
            (stop, std::thread::spawn(commits))
        });
        Ok(Self { shared, sync, ticker })
    }

    /// What a broker needs of it. The core is given what was kept, then reports every change.
    pub(super) fn settings(&self) -> settings::Store {
        let store = Arc::clone(&self.shared);
        settings::Store {
            restore: Box::new(move |core, now| {
                if let Err(error) = store.lock().store.restore(core, now) {
                    store.log.line(LineKind::Error, format!("Error: {error}"));
                }
            }),
            journal: Box::new(Recorder(Arc::clone(&self.shared))),
            commit: Box::new(Committer { shared: Arc::clone(&self.shared), sync: self.sync }),
        }
    }

    /// Writes what is not on disk yet (SIGUSR1).
    pub(super) fn save(&self) {
        let path = self.shared.lock().store.path().display().to_string();
        self.shared.log.line(LineKind::Information, format!("Saving in-memory database to {}.", escape(&path)));
        self.shared.commit();
    }

    /// The last commit, when nothing changes any more.
    pub(super) fn close(mut self) {
        if let Some((stop, thread)) = self.ticker.take() {
            drop(stop);
            let _ = thread.join();
        }
        self.shared.lock().next_try = Instant::now();
        self.shared.commit();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits. A full disk does not stop the broker: it is reported once, and retried once per second.
    fn commit(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        if !state.store.has_changes() || (state.is_failing && now < state.next_try) {
            return;
        }
        match state.store.commit(now) {
            Ok(()) => {
                if std::mem::take(&mut state.is_failing) {
                    self.log.line(LineKind::Notice, "The database can be written again; nothing was lost.".to_owned());
                }
            }
            Err(error) => {
                state.next_try = now + INTERVAL;
                if !std::mem::replace(&mut state.is_failing, true) {
                    self.log.line(
                        LineKind::Error,
                        format!(
                            "Error: {error}. Clients are still served, but nothing is saved until this works again."
                        ),
                    );
                }
            }
        }
    }
}

struct Recorder(Arc<Shared>);

impl Journal for Recorder {
    fn record(&mut self, change: &Change<'_>) {
        self.0.lock().store.record(change);
    }
}

struct Committer {
    shared: Arc<Shared>,
    sync: PersistenceSync,
}

impl Commit for Committer {
    fn commit(&mut self) {
        let is_due = match self.sync {
            PersistenceSync::Always => true,
            PersistenceSync::Interval => self.shared.lock().store.pending() >= LARGEST_BATCH,
        };
        if is_due {
            self.shared.commit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::log_output::LogOutput;
    use super::super::log_rules::LogRules;
    use super::*;

    #[test]
    fn a_batch_that_takes_long_to_write_does_not_wait_for_its_second() {
        let folder = tempfile::tempdir().unwrap();
        let (log, _writer) = EventLog::start(LogOutput::to(Box::new(std::io::sink())), LogRules::VERBOSE).unwrap();
        let persistence = Persistence::at(&folder.path().join("db"), PersistenceSync::Interval, &log).unwrap();
        let mut store = persistence.settings();
        for number in 0..LARGEST_BATCH {
            let client_id = number.to_string();
            store.journal.record(&Change::Session { client_id: &client_id, expiry: 1, user_name: None });
        }
        store.commit.commit();
        assert_eq!(persistence.shared.lock().store.pending(), 0);
    }
}
