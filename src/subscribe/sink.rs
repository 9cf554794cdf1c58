//! Where received messages go: stdout, and an acknowledgement for what was written. What mqsub and mqrr do alike.

use std::io;

use super::stdout::{Batch, Stdout};
use crate::client::Client;
use crate::mqtt::Message;
use crate::session::Receipt;

/// While this much waits for stdout nothing is read from the broker.
const MOST_UNWRITTEN: usize = 256 * 1024;

/// Why stdout accepts no more data.
#[derive(Debug)]
pub(crate) enum OutputError {
    /// Nobody reads it any more.
    Closed,
    Failed(io::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Failed(error) }
    }
}

/// What stdout reports: a batch that is written, or none once nobody reads any more.
pub(crate) type StdoutReady = Option<io::Result<Batch>>;

/// stdout, and the receipts of what it has taken.
#[derive(Debug)]
pub(crate) struct MessageSink {
    stdout: Stdout,
    /// Of written messages, to be acknowledged.
    written: Vec<Receipt>,
}

impl MessageSink {
    /// To be called within the runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { stdout: Stdout::open()?, written: Vec::new() })
    }

    /// Whether `batch` has room for more.
    pub(crate) fn has_room(batch: &Batch) -> bool {
        batch.bytes.len() < MOST_UNWRITTEN
    }

    /// Hands `batch` over, unless stdout is still busy with the one before, and acknowledges what was written.
    pub(crate) fn write(&mut self, batch: &mut Batch, client: &mut Client<Message>) -> Result<(), OutputError> {
        if !self.stdout.is_busy()
            && !batch.is_empty()
            && let Some(written) = self.stdout.write(std::mem::take(batch))?
        {
            self.take_back(written, batch);
        }
        for receipt in self.written.drain(..) {
            client.session().acknowledge(receipt);
        }
        Ok(())
    }

    /// Waits for the batch that is being written, or for the end of stdout. Nothing is lost when the future is dropped.
    pub(crate) async fn ready(&mut self) -> StdoutReady {
        self.stdout.written_or_closed().await
    }

    /// Takes what [`MessageSink::ready`] returned; `batch` collects the next messages.
    pub(crate) fn on_ready(&mut self, ready: StdoutReady, batch: &mut Batch) -> Result<(), OutputError> {
        let written = ready.ok_or(OutputError::Closed)??;
        self.take_back(written, batch);
        Ok(())
    }

    /// Keeps the receipts of a written batch, and its buffer for what comes next.
    fn take_back(&mut self, mut written: Batch, next: &mut Batch) {
        self.written.append(&mut written.receipts);
        if next.bytes.is_empty() && written.bytes.capacity() <= MOST_UNWRITTEN {
            written.bytes.clear();
            next.bytes = written.bytes;
        }
    }

    /// Whether everything is written, with `batch`.
    pub(crate) fn is_done(&self, batch: &Batch) -> bool {
        !self.stdout.is_busy() && batch.bytes.is_empty()
    }

    /// Writes everything and acknowledges it. For the end of a run: the caller limits the time, so that no slow reader
    /// holds it up.
    pub(super) async fn write_all(
        &mut self,
        batch: &mut Batch,
        client: &mut Client<Message>,
    ) -> Result<(), OutputError> {
        while self.stdout.is_busy() || !batch.is_empty() {
            if self.stdout.is_busy() {
                let written = self.stdout.written().await?;
                self.take_back(written, batch);
            }
            self.write(batch, client)?;
        }
        Ok(())
    }
}
