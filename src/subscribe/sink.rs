//! Where received messages go: files where that is asked for, then stdout, then an acknowledgement for what was written.

use std::io;
use std::time::Duration;

use super::aside::AsideThread;
use super::batch::Batch;
use super::file_error::FileError;
use super::jobs::{JobEnd, Jobs};
use super::stdout::Stdout;
use crate::client::Client;
use crate::exit_status::Signal;
use crate::mqtt::Message;
use crate::session::Receipt;

/// While this much waits to be written nothing is read from the broker.
const MOST_UNWRITTEN: usize = 256 * 1024;

/// Why no more messages are taken.
#[derive(Debug)]
pub(crate) enum OutputError {
    /// Nobody reads stdout any more.
    Closed,
    Failed {
        text: String,
        hint: Option<String>,
    },
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed { text: format!("cannot write to stdout: {error}"), hint: None },
        }
    }
}

impl From<FileError> for OutputError {
    fn from(FileError { text, hint }: FileError) -> Self {
        Self::Failed { text, hint }
    }
}

/// What a sink waits for.
#[derive(Debug)]
pub(crate) enum SinkReady {
    /// A batch is written to stdout, or nobody reads it any more, which is none.
    Stdout(Option<io::Result<Batch>>),
    /// A batch is in its files.
    Aside(Result<Batch, FileError>),
    /// A command has ended.
    Job(JobEnd),
}

/// stdout, what takes messages besides it, and the receipts of what they have taken.
#[derive(Debug)]
pub(crate) struct MessageSink {
    stdout: Stdout,
    /// It takes a batch before stdout does.
    aside: Option<AsideThread>,
    /// They take what stdout has taken.
    jobs: Option<Jobs>,
    /// The run ends when nobody reads stdout.
    watches_stdout: bool,
    /// Of written messages, to be acknowledged.
    written: Vec<Receipt>,
}

impl MessageSink {
    /// To be called within the runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { stdout: Stdout::open()?, aside: None, jobs: None, watches_stdout: true, written: Vec::new() })
    }

    /// The same with what takes messages besides stdout, to which nothing is written if not `prints`.
    pub(super) fn with_aside(self, aside: Option<AsideThread>, jobs: Option<Jobs>, prints: bool) -> Self {
        Self { aside, jobs, watches_stdout: prints, ..self }
    }

    /// Whether there is room for more, with what waits in `batch`.
    pub(crate) fn has_room(&self, batch: &Batch) -> bool {
        batch.len() < MOST_UNWRITTEN && self.jobs.as_ref().is_none_or(Jobs::has_room)
    }

    /// Hands `batch` over, unless the one before is still being written, and acknowledges what was written.
    pub(crate) fn write(&mut self, batch: &mut Batch, client: &mut Client<Message>) -> Result<(), OutputError> {
        if !self.is_busy() && !batch.is_empty() {
            let full = std::mem::take(batch);
            match &mut self.aside {
                Some(aside) if full.aside.has_files() => aside.take(full),
                _ => self.print(full, batch)?,
            }
        }
        if let Some(jobs) = &mut self.jobs {
            jobs.advance(&mut self.written)?;
        }
        for receipt in self.written.drain(..) {
            client.session().acknowledge(receipt);
        }
        Ok(())
    }

    /// Whether a batch is being written.
    fn is_busy(&self) -> bool {
        self.stdout.is_busy() || self.aside.as_ref().is_some_and(AsideThread::is_busy)
    }

    /// Hands a batch to stdout; `next` collects the next messages.
    fn print(&mut self, batch: Batch, next: &mut Batch) -> Result<(), OutputError> {
        if let Some(written) = self.stdout.write(batch)? {
            self.take_back(written, next);
        }
        Ok(())
    }

    /// Waits for the batch that is being written, or for the end of stdout. Nothing is lost when the future is dropped.
    pub(crate) async fn ready(&mut self) -> SinkReady {
        let watches_stdout = self.watches_stdout || self.stdout.is_busy();
        let Self { stdout, aside, jobs, .. } = self;
        if aside.is_none() && jobs.is_none() {
            return SinkReady::Stdout(stdout.written_or_closed().await);
        }
        let taken = async {
            match aside {
                Some(aside) => aside.taken().await,
                None => std::future::pending().await,
            }
        };
        let ended = async {
            match jobs {
                Some(jobs) => jobs.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            taken = taken => SinkReady::Aside(taken),
            end = ended => SinkReady::Job(end),
            written = stdout.written_or_closed(), if watches_stdout => SinkReady::Stdout(written),
        }
    }

    /// Takes what [`MessageSink::ready`] returned; `batch` collects the next messages.
    pub(crate) fn on_ready(&mut self, ready: SinkReady, batch: &mut Batch) -> Result<(), OutputError> {
        match ready {
            SinkReady::Stdout(written) => self.take_back(written.ok_or(OutputError::Closed)??, batch),
            SinkReady::Aside(taken) => self.print(taken?, batch)?,
            SinkReady::Job(end) => {
                if let Some(jobs) = &mut self.jobs {
                    jobs.on_ended(end);
                }
            }
        }
        Ok(())
    }

    /// Keeps the receipts of a written batch, and its buffer for what comes next.
    fn take_back(&mut self, mut written: Batch, next: &mut Batch) {
        self.written.append(&mut written.receipts);
        if let Some(jobs) = &mut self.jobs {
            jobs.push(written.aside.jobs.drain(..));
        }
        if next.bytes.is_empty() && written.bytes.capacity() <= MOST_UNWRITTEN {
            written.bytes.clear();
            next.bytes = written.bytes;
        }
    }

    /// Whether everything is written, with `batch`.
    pub(crate) fn is_done(&self, batch: &Batch) -> bool {
        let jobs_done = self.jobs.as_ref().is_none_or(Jobs::is_idle);
        !self.is_busy() && batch.bytes.is_empty() && batch.aside.is_empty() && jobs_done
    }

    /// Writes everything and acknowledges it, for the end of a run. A reader of stdout who takes nothing for `patience`
    /// does not hold it up; files take what they are given.
    pub(super) async fn write_all(
        &mut self,
        batch: &mut Batch,
        client: &mut Client<Message>,
        patience: Duration,
    ) -> Result<(), OutputError> {
        while self.is_busy() || !batch.is_empty() {
            if let Some(aside) = self.aside.as_mut().filter(|aside| aside.is_busy()) {
                let taken = aside.taken().await?;
                self.print(taken, batch)?;
            } else if self.stdout.is_busy() {
                let Ok(written) = tokio::time::timeout(patience, self.stdout.written()).await else { return Ok(()) };
                self.take_back(written?, batch);
            }
            self.write(batch, client)?;
        }
        Ok(())
    }

    /// The end of a run: no further command starts, those that run get the signal, if there is one, and are waited for.
    pub(super) async fn stop_commands(&mut self, signal: Option<Signal>, client: &mut Client<Message>) {
        let Some(jobs) = &mut self.jobs else { return };
        jobs.stop(signal, &mut self.written).await;
        for receipt in self.written.drain(..) {
            client.session().acknowledge(receipt);
        }
    }

    /// What commands have failed, if any have.
    pub(super) fn failed_commands(&self) -> Option<String> {
        self.jobs.as_ref().and_then(Jobs::failure)
    }

    /// The end of a run: waits until everything is in its files. Returns what was done, for a note.
    pub(super) fn finish(&mut self) -> Result<Vec<String>, OutputError> {
        Ok(self.aside.take().map_or(Ok(Vec::new()), AsideThread::finish)?)
    }
}
