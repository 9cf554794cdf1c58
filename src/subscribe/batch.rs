//! What one pass of the handler brings: bytes for stdout, lines for files, and the receipts.

use super::directory::FiledMessage;
use super::jobs::Job;
use crate::session::Receipt;

/// Bytes for stdout, and what may be acknowledged once they are written.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// To be written.
    pub bytes: Vec<u8>,
    /// To be acknowledged then.
    pub receipts: Vec<Receipt>,
    /// For what takes messages besides stdout, and before it.
    pub aside: Aside,
}

impl Batch {
    /// Whether it has nothing to write and nothing to acknowledge.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.receipts.is_empty() && self.aside.is_empty()
    }

    /// Bytes that wait in it.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + self.aside.len()
    }
}

/// Of a batch: what goes elsewhere than to stdout.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// For the recording: whole lines.
    pub(super) lines: Vec<u8>,
    pub(super) files: Vec<FiledMessage>,
    /// For commands, which run when the rest is done.
    pub(super) jobs: Vec<Job>,
    /// Bytes of files and commands.
    bytes: usize,
}

impl Aside {
    /// Adds a file.
    pub(super) fn file(&mut self, message: FiledMessage) {
        self.bytes += message.len();
        self.files.push(message);
    }

    /// Adds a command.
    pub(super) fn run(&mut self, job: Job) {
        self.bytes += job.len();
        self.jobs.push(job);
    }

    /// Whether there is nothing in it.
    pub(super) const fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.files.is_empty() && self.jobs.is_empty()
    }

    /// Whether something of it goes into a file.
    pub(super) const fn has_files(&self) -> bool {
        !self.lines.is_empty() || !self.files.is_empty()
    }

    /// Bytes that wait in it.
    pub(super) const fn len(&self) -> usize {
        self.lines.len() + self.bytes
    }
}
