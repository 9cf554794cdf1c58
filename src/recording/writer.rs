//! Writes a recording so that it can be read at every moment.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::compression::{Compression, Encoder};
use super::reader::{ReadError, Reader};

/// What becomes of a file that exists already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It is an error, unless it is empty.
    #[default]
    Refuse,
    /// What is written follows what is in it.
    Append,
    /// Its content is lost.
    Replace,
}

/// Why a file cannot be written to.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    #[error("{file} exists already")]
    Exists { file: String },
    #[error("{file} is not a regular file")]
    NotRegular { file: String },
    #[error("another process is recording to {file}")]
    Locked { file: String },
    #[error("cannot append: {0}")]
    Unreadable(#[from] ReadError),
    #[error("cannot append to {file}: its content is not compressed as its name asks for")]
    OtherCompression { file: String },
    #[error("cannot create {file}: {error}")]
    System { file: String, error: io::Error },
}

/// A file with a lock. The lock is given up with it, even if a process that is just being started has a copy of it.
struct LockedFile(File);

impl Drop for LockedFile {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// A recording that is being written. After each [`Writer::flush`] the file is complete: what is compressed has its
/// end, and a write that failed half way was taken back.
pub(crate) struct Writer {
    path: PathBuf,
    file: LockedFile,
    encoder: Encoder,
    /// The file is complete up to here, but for the end of what is compressed.
    position: u64,
    /// What makes it complete there.
    end: Vec<u8>,
    /// Bytes before compression since the last flush.
    unflushed: usize,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Writer")
            .field("path", &self.path)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// Creates a file, compressed as its name asks for, or opens one that exists. No other process may write to it.
    ///
    /// # Errors
    /// It exists and is not to be touched, is in use, or the system refuses.
    pub(crate) fn open(path: &Path, existing: Existing) -> Result<Self, OpenError> {
        let name = || path.display().to_string();
        let failed = |error| OpenError::System { file: name(), error };
        let compression = Compression::of_name(path);
        // Before it is opened: opening a pipe may block.
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(OpenError::NotRegular { file: name() });
        }
        // Emptied only once it is known that no other process writes to it.
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { file: name() }),
            // A file system without locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let mut file = LockedFile(file);
        let mut position = 0;
        let mut needs_line_end = false;
        match existing {
            // An empty file, as mktemp makes, has nothing to lose.
            Existing::Refuse if file.0.metadata().map_err(failed)?.len() == 0 => {}
            Existing::Refuse => return Err(OpenError::Exists { file: name() }),
            Existing::Replace => file.0.set_len(0).map_err(failed)?,
            Existing::Append => {
                needs_line_end = needs_line_end_before_appending(path, compression)?;
                position = file.0.seek(SeekFrom::End(0)).map_err(failed)?;
            }
        }
        let encoder = Encoder::new(compression).map_err(failed)?;
        let mut writer = Self { path: path.to_owned(), file, encoder, position, end: Vec::new(), unflushed: 0 };
        if needs_line_end {
            writer.write(b"\n").map_err(failed)?;
        }
        Ok(writer)
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Size of the file up to the last flush, bytes.
    pub(crate) const fn size(&self) -> u64 {
        self.position + self.end.len() as u64
    }

    /// Bytes before compression that wait for a flush.
    pub(crate) const fn unflushed(&self) -> usize {
        self.unflushed
    }

    /// Bytes after compression that wait for a flush, as far as they are known.
    pub(crate) fn pending(&self) -> u64 {
        self.encoder.pending() as u64
    }

    /// Whether the file is compressed.
    pub(crate) const fn is_compressed(&self) -> bool {
        !matches!(self.encoder, Encoder::Plain(_))
    }

    /// Takes whole lines; the next flush puts them into the file.
    ///
    /// # Errors
    /// Those of the encoder.
    pub(crate) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.unflushed += lines.len();
        self.encoder.write(lines)
    }

    /// Puts everything into the file, in one write together with the end that makes it complete.
    ///
    /// # Errors
    /// The system's, for instance a full disk. The file then holds what the flush before had put into it, and is
    /// complete.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.unflushed == 0 {
            return Ok(());
        }
        self.encoder.flush()?;
        self.unflushed = 0;
        let end = self.encoder.end();
        let out = self.encoder.out();
        let count = out.len() as u64;
        out.extend_from_slice(&end);
        let written = write_at(&mut self.file.0, self.position, out);
        out.clear();
        out.shrink_to(1 << 20);
        match written {
            Ok(()) => {
                self.position += count;
                self.end = end;
                Ok(())
            }
            Err(error) => {
                let _ = self.file.0.set_len(self.position);
                let _ = write_at(&mut self.file.0, self.position, &self.end);
                Err(error)
            }
        }
    }
}

fn write_at(file: &mut File, position: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(position))?;
    file.write_all(bytes)
}

/// Reads a file through: what follows a damaged end could not be read, and a plain line does not belong behind a
/// compressed one.
fn needs_line_end_before_appending(path: &Path, compression: Compression) -> Result<bool, OpenError> {
    let mut reader = Reader::open(path)?;
    if reader.size() != Some(0) && reader.compression() != compression {
        return Err(OpenError::OtherCompression { file: path.display().to_string() });
    }
    while reader.next_line()?.is_some() {}
    Ok(reader.ends_without_line_end())
}

impl OpenError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { .. } => {
                Some("add --append to continue it, --force to replace it, or choose another name".into())
            }
            Self::NotRegular { .. } => Some("to print the same lines to stdout use --json".into()),
            Self::Locked { .. } => Some("choose another name, or end the other process".into()),
            Self::Unreadable(_) => {
                Some("record to another file; what is complete in this one can still be read".into())
            }
            Self::OtherCompression { .. } => Some("give it the name that suits its content (.gz, .zst)".into()),
            Self::System { .. } => None,
        }
    }
}
