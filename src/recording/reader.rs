//! Reads a recording line by line.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::IgnoredAny;
use thiserror::Error;

use super::compression::{Compression, decoded};
use crate::terminal::number::{byte_count, counted};

/// Longest line that is read: the largest message of MQTT fits in base64.
pub(crate) const LONGEST_LINE: usize = 512 << 20;

/// Why a recording is not read further. Lines before it are complete.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// The file cannot be opened.
    #[error("cannot open {file}: {error}")]
    Open { file: String, error: io::Error },
    /// The system does not give what is in it.
    #[error("cannot read {file} after line {line}: {error}")]
    Read { file: String, line: u64, error: io::Error },
    /// A line is over the limit; the next call continues behind it.
    #[error("{file}, line {line}: longer than {}", byte_count(*.limit))]
    TooLong { file: String, line: u64, limit: usize },
    /// It ends within a line or a compressed block: whoever wrote it was killed, or the copy is not complete.
    #[error("{file} is cut off: it ends after {}, in the middle of the next one", counted(*.lines, "complete line", "complete lines"))]
    CutOff { file: String, lines: u64 },
    /// What is compressed there does not decompress.
    #[error("{file} is damaged after line {line}: {cause}")]
    Damaged { file: String, line: u64, cause: String },
}

/// The lines of a recording.
pub(crate) struct Reader {
    file: String,
    source: Box<dyn BufRead + Send>,
    /// The line that was read last, without its line end.
    pub(super) line: Vec<u8>,
    /// Its number, from 1.
    number: u64,
    limit: usize,
    /// The rest of a line that was too long comes first.
    skips: bool,
    ended: bool,
    ends_without_line_end: bool,
    compression: Compression,
    consumed: Arc<AtomicU64>,
    size: Option<u64>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reader").field("file", &self.file).field("number", &self.number).finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens a file. How it is compressed is seen from its first bytes, whatever its name.
    ///
    /// # Errors
    /// It cannot be opened, or its first bytes cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self, ReadError> {
        let file = path.display().to_string();
        let failed = |error| ReadError::Open { file: file.clone(), error };
        let source = File::open(path).map_err(failed)?;
        let size = source.metadata().map_err(failed)?;
        if size.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let size = size.is_file().then_some(size.len());
        Ok(Self { size, ..Self::new(&file, source)? })
    }

    /// Reads from anything, which errors call `file`.
    ///
    /// # Errors
    /// The first bytes cannot be read.
    pub(crate) fn new(file: &str, source: impl Read + Send + 'static) -> Result<Self, ReadError> {
        let consumed = Arc::new(AtomicU64::new(0));
        let (compression, source) = decoded(Counted { source, consumed: Arc::clone(&consumed) })
            .map_err(|error| ReadError::Open { file: file.to_owned(), error })?;
        Ok(Self {
            file: file.to_owned(),
            source,
            line: Vec::new(),
            number: 0,
            limit: LONGEST_LINE,
            skips: false,
            ended: false,
            ends_without_line_end: false,
            compression,
            consumed,
            size: None,
        })
    }

    #[cfg(test)]
    /// With another limit for the length of a line, bytes.
    #[must_use]
    pub(crate) fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// The number of the line that was read last, from 1.
    #[cfg(any(test, feature = "explorer"))]
    pub(crate) const fn line_number(&self) -> u64 {
        self.number
    }

    /// Bytes of the file that were read so far, as it lies there, for a progress line.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    /// Size of the file, bytes; none for what is no file.
    pub(crate) const fn size(&self) -> Option<u64> {
        self.size
    }

    /// How the content is compressed.
    pub(super) const fn compression(&self) -> Compression {
        self.compression
    }

    /// Whether the last line was read and has no line end.
    pub(super) const fn ends_without_line_end(&self) -> bool {
        self.ends_without_line_end
    }

    /// The next line without its line end, or none at the end. The last line may lack its line end where it is complete
    /// JSON.
    ///
    /// # Errors
    /// After [`ReadError::TooLong`] the next line follows, after every other error nothing.
    pub(crate) fn next_line(&mut self) -> Result<Option<&[u8]>, ReadError> {
        self.line.clear();
        self.line.shrink_to(1 << 20);
        while !self.ended {
            let available = match self.source.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.ended = true;
                    return Err(self.failed(error));
                }
            };
            if available.is_empty() {
                self.ended = true;
                return self.last_line();
            }
            let end = memchr::memchr(b'\n', available);
            let part = &available[..end.unwrap_or(available.len())];
            let fits = self.skips || self.line.len() + part.len() <= self.limit;
            if fits && !self.skips {
                self.line.extend_from_slice(part);
            }
            let count = part.len() + usize::from(end.is_some());
            self.source.consume(count);
            if !fits {
                self.skips = end.is_none();
                self.number += 1;
                return Err(ReadError::TooLong { file: self.file.clone(), line: self.number, limit: self.limit });
            }
            if end.is_some() && !std::mem::take(&mut self.skips) {
                self.number += 1;
                if self.line.last() == Some(&b'\r') {
                    self.line.pop();
                }
                return Ok(Some(&self.line));
            }
        }
        Ok(None)
    }

    /// What comes after the last line end.
    fn last_line(&mut self) -> Result<Option<&[u8]>, ReadError> {
        if self.skips || self.line.is_empty() {
            return Ok(None);
        }
        if serde_json::from_slice::<IgnoredAny>(&self.line).is_err() {
            return Err(ReadError::CutOff { file: self.file.clone(), lines: self.number });
        }
        self.number += 1;
        self.ends_without_line_end = true;
        Ok(Some(&self.line))
    }

    fn failed(&self, error: io::Error) -> ReadError {
        let (file, line) = (self.file.clone(), self.number);
        match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::CutOff { file, lines: line },
            // Both libraries report what they cannot decompress so; the system's errors have a number.
            _ if error.raw_os_error().is_none() => ReadError::Damaged { file, line, cause: error.to_string() },
            _ => ReadError::Read { file, line, error },
        }
    }
}

/// Counts what is read of a file.
struct Counted<R> {
    source: R,
    consumed: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.consumed.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
