//! What takes messages besides stdout: a recording, a folder of files. It works on a separate thread, since a disk may be slow and
//! compression takes time; one batch at a time, so that nothing is read from the broker while it is behind.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc as threads;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::mpsc;

use super::batch::Batch;
use super::directory::{Directory, DirectoryPlan};
use super::file_error::FileError;
use super::record::{RecordPlan, Recorder};

/// What the thread does.
#[derive(Debug)]
pub(super) struct Takers {
    recorder: Option<Recorder>,
    directory: Option<Directory>,
}

impl Takers {
    /// Takes a batch. What is to be acknowledged is in its file when this returns.
    fn take(&mut self, batch: &Batch) -> Result<(), FileError> {
        let is_acknowledged = !batch.receipts.is_empty() || !batch.aside.jobs.is_empty();
        if let Some(recorder) = &mut self.recorder {
            recorder.write(&batch.aside.lines, is_acknowledged)?;
        }
        match &mut self.directory {
            Some(directory) => directory.write(&batch.aside.files),
            None => Ok(()),
        }
    }

    /// When to call [`Takers::flush`] at the latest.
    fn due(&self) -> Option<Instant> {
        self.recorder.as_ref().and_then(Recorder::due)
    }

    fn flush(&mut self) -> Result<(), FileError> {
        self.recorder.as_mut().map_or(Ok(()), Recorder::flush)
    }

    /// The end: what it did, for a note.
    fn finish(mut self) -> Result<Vec<String>, FileError> {
        self.flush()?;
        let recorded = self.recorder.iter().map(Recorder::description);
        Ok(recorded.chain(self.directory.iter().map(Directory::description)).collect())
    }
}

/// The thread.
#[derive(Debug)]
pub(crate) struct AsideThread {
    batches: threads::Sender<Batch>,
    taken: mpsc::UnboundedReceiver<Result<Batch, FileError>>,
    thread: JoinHandle<Result<Vec<String>, FileError>>,
    is_busy: bool,
}

impl AsideThread {
    /// Opens what a plan asks for and starts; none where it asks for nothing. `written` follows the bytes of a recording.
    pub(super) fn open(
        record: Option<&RecordPlan>,
        directory: Option<&DirectoryPlan>,
        written: &Arc<AtomicU64>,
    ) -> Result<Option<Self>, FileError> {
        if record.is_none() && directory.is_none() {
            return Ok(None);
        }
        let recorder = record.map(|plan| Recorder::open(plan, Arc::clone(written))).transpose()?;
        let takers = Takers { recorder, directory: directory.map(Directory::open).transpose()? };
        let started = Self::start(takers);
        started.map(Some).map_err(|error| FileError { text: format!("cannot start: {error}"), hint: None })
    }

    /// Starts it.
    ///
    /// # Errors
    /// The system's.
    fn start(takers: Takers) -> std::io::Result<Self> {
        let (batches, work) = threads::channel();
        let (done, taken) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new().name("aside".into()).spawn(move || serve(takers, &work, &done))?;
        Ok(Self { batches, taken, thread, is_busy: false })
    }

    /// Whether a batch is being taken.
    pub(super) const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Hands a batch over, when it is not busy; [`AsideThread::taken`] gives it back.
    pub(super) fn take(&mut self, batch: Batch) {
        // Where the thread has ended, `taken` knows why.
        let _ = self.batches.send(batch);
        self.is_busy = true;
    }

    /// Waits for the batch that is being taken, or for a failure. Nothing is lost when the future is dropped.
    pub(super) async fn taken(&mut self) -> Result<Batch, FileError> {
        let taken = self.taken.recv().await;
        self.is_busy = false;
        taken.unwrap_or_else(|| Err(gone()))
    }

    /// Waits until everything is in its place; returns what was done, for a note.
    pub(super) fn finish(self) -> Result<Vec<String>, FileError> {
        drop(self.batches);
        self.thread.join().unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> FileError {
    FileError { text: "the thread that writes files has ended".into(), hint: None }
}

/// The work of the thread. A failure is reported once and ends it.
fn serve(
    mut takers: Takers,
    work: &threads::Receiver<Batch>,
    done: &mpsc::UnboundedSender<Result<Batch, FileError>>,
) -> Result<Vec<String>, FileError> {
    loop {
        let batch = match takers.due() {
            None => work.recv().map_err(|_| threads::RecvTimeoutError::Disconnected),
            Some(due) => work.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        let result = match batch {
            Ok(batch) => takers.take(&batch).map(|()| Some(batch)),
            Err(threads::RecvTimeoutError::Timeout) => takers.flush().map(|()| None),
            Err(threads::RecvTimeoutError::Disconnected) => return takers.finish(),
        };
        match result {
            Ok(None) => {}
            Ok(Some(batch)) => drop(done.send(Ok(batch))),
            Err(error) => {
                let _ = done.send(Err(error));
                return Ok(Vec::new());
            }
        }
    }
}
