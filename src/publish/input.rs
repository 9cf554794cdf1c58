//! Bytes from files and stdin.

use std::fs::File;
use std::io::{self, IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::mqtt::wire::MAX_REMAINING_LENGTH;
use crate::recording;

/// Where lines come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineInput {
    /// stdin.
    Stdin,
    /// A file, which may be a pipe.
    File(PathBuf),
}

/// A pipe holds 64 KiB, and a read brings at most what it holds.
const CHUNK: usize = 64 * 1024;

/// The whole of a file, which may be a pipe.
///
/// # Errors
/// The system's, and when it is more than a message can hold.
pub(super) fn read_file(path: &Path) -> io::Result<Bytes> {
    read_whole(open(path)?)
}

fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// The whole of stdin.
///
/// # Errors
/// The system's, and when it is more than a message can hold.
pub(super) fn read_stdin() -> io::Result<Bytes> {
    read_whole(stdin().lock())
}

fn read_whole(from: impl Read) -> io::Result<Bytes> {
    let mut content = Vec::new();
    from.take(MAX_REMAINING_LENGTH as u64 + 1).read_to_end(&mut content)?;
    if content.len() > MAX_REMAINING_LENGTH {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than a message can be (256 MiB)"));
    }
    Ok(content.into())
}

/// An input that a separate thread reads ahead by one chunk: it may be a file, a pipe or a terminal, and only a
/// thread can wait for each of them.
#[derive(Debug)]
pub(super) struct InputChunks {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    /// Bytes from here to the end, where that is known.
    size: Option<u64>,
    /// Somebody types it.
    typed: bool,
    /// Reading ended with an error.
    failed: bool,
    /// How much of a compressed file was read for the chunks so far; none where chunks are bytes of the file.
    read: Option<Arc<AtomicU64>>,
}

impl InputChunks {
    /// Begins to read stdin. The thread ends with it or with the process.
    pub(super) fn of_stdin() -> io::Result<Self> {
        Self::start(stdin(), size_of_stdin(), stdin().is_terminal())
    }

    /// Begins to read a file, which may be a pipe.
    pub(super) fn of_file(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        let (size, typed) = (size_left(&file), file.is_terminal());
        Self::start(file, size, typed)
    }

    fn start(mut input: impl Read + Send + 'static, size: Option<u64>, typed: bool) -> io::Result<Self> {
        let (sender, chunks) = mpsc::channel(1);
        std::thread::Builder::new().name("input".into()).spawn(move || {
            let mut chunk = vec![0; CHUNK];
            loop {
                let read = match input.read(&mut chunk) {
                    Ok(0) => return,
                    // A copy, so that a message in flight does not keep the whole buffer in memory.
                    Ok(count) => Ok(Bytes::copy_from_slice(&chunk[..count])),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let ends = read.is_err();
                if sender.blocking_send(read).is_err() || ends {
                    return;
                }
            }
        })?;
        Ok(Self { chunks, size, typed, failed: false, read: None })
    }

    /// Begins to read the lines of a recording, or of stdin; each ends with LF.
    pub(super) fn of_recording(input: &LineInput) -> io::Result<Self> {
        let reader = match input {
            LineInput::Stdin => recording::Reader::new("stdin", stdin()),
            LineInput::File(file) => recording::Reader::open(file),
        };
        let mut reader = reader.map_err(io::Error::other)?;
        let (sender, chunks) = mpsc::channel(1);
        let (size, read) = (reader.size(), Arc::new(AtomicU64::new(0)));
        let counter = Arc::clone(&read);
        std::thread::Builder::new().name("recording".into()).spawn(move || {
            let mut chunk = Vec::new();
            loop {
                let end = match reader.next_line() {
                    Ok(Some(line)) => {
                        chunk.extend_from_slice(line);
                        chunk.push(b'\n');
                        None
                    }
                    Ok(None) => Some(None),
                    Err(error) => Some(Some(io::Error::other(error))),
                };
                counter.store(reader.consumed(), Ordering::Relaxed);
                if !send_lines(&sender, &mut chunk, end.is_some()) {
                    return;
                }
                if let Some(error) = end {
                    let _ = error.map(|error| sender.blocking_send(Err(error)));
                    return;
                }
            }
        })?;
        Ok(Self { chunks, size, typed: false, failed: false, read: Some(read) })
    }

    /// How far the file was read where chunks were read of `taken` bytes, of which `done` are done with.
    pub(super) fn position(&self, taken: u64, done: u64) -> u64 {
        match &self.read {
            None => done,
            Some(read) => {
                let read = u128::from(read.load(Ordering::Relaxed));
                (read * u128::from(done) / u128::from(taken.max(1))) as u64
            }
        }
    }

    /// The next chunk; none at the end. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let chunk = self.chunks.recv().await;
        self.failed |= matches!(chunk, Some(Err(_)));
        chunk
    }

    /// Ends the reading: what has been read and not taken, and whether that was all. An input that never ends would
    /// bring more forever.
    pub(super) fn stop(&mut self) -> (Vec<Bytes>, bool) {
        let ended = self.chunks.is_closed();
        self.chunks.close();
        let mut read = Vec::new();
        while let Ok(chunk) = self.chunks.try_recv() {
            self.failed |= chunk.is_err();
            read.extend(chunk);
        }
        (read, ended && !self.failed)
    }

    /// Bytes that the input had when reading began, where that is known.
    pub(super) const fn size(&self) -> Option<u64> {
        self.size
    }

    /// Whether it comes from a keyboard.
    pub(super) const fn is_typed(&self) -> bool {
        self.typed
    }
}

/// Sends the lines that are there: at once where somebody waits for them, otherwise once they are many, or `now`. False
/// when nobody takes them any more.
fn send_lines(sender: &mpsc::Sender<io::Result<Bytes>>, lines: &mut Vec<u8>, now: bool) -> bool {
    if lines.is_empty() {
        return true;
    }
    if now || lines.len() >= CHUNK {
        return sender.blocking_send(Ok(std::mem::take(lines).into())).is_ok();
    }
    match sender.try_reserve() {
        Ok(room) => room.send(Ok(std::mem::take(lines).into())),
        Err(TrySendError::Full(())) => {}
        Err(TrySendError::Closed(())) => return false,
    }
    true
}

#[cfg(unix)]
fn size_of_stdin() -> Option<u64> {
    use std::os::fd::AsFd;
    size_left(&File::from(stdin().as_fd().try_clone_to_owned().ok()?))
}

#[cfg(not(unix))]
fn size_of_stdin() -> Option<u64> {
    None
}

/// Bytes of a regular file from where it will be read; another program may have read its beginning.
fn size_left(mut file: &File) -> Option<u64> {
    use std::io::Seek;
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    metadata.len().checked_sub(file.stream_position().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_and_a_missing_file_are_errors() {
        assert_eq!(read_file(Path::new("/")).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(read_file(Path::new("/no/such/file")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(InputChunks::of_file(Path::new("/")).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn what_was_read_is_taken_when_it_stops_and_no_more() {
        // One chunk waits in the channel, the next one in the thread.
        let mut endless = InputChunks::start(io::repeat(b'x'), None, false).unwrap();
        let first = endless.chunks.blocking_recv().unwrap().unwrap();
        let (rest, all) = endless.stop();
        assert!(first.len() == CHUNK && rest.len() <= 1 && !all, "{} chunks", rest.len());
        assert!(endless.stop().0.is_empty());
        for (file, at_end) in [("/dev/null", true), ("/", false)] {
            let Ok(file) = File::open(file) else { continue };
            let mut input = InputChunks::start(file, None, false).unwrap();
            while !input.chunks.is_closed() {
                std::thread::yield_now();
            }
            assert_eq!(input.stop(), (Vec::new(), at_end));
        }
    }

    #[test]
    fn only_a_regular_file_has_a_size() {
        use std::io::{Read, Write};
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        assert_eq!(size_left(&file), Some(0));
        io::Seek::rewind(&mut file).unwrap();
        assert_eq!(size_left(&file), Some(10));
        file.read_exact(&mut [0; 4]).unwrap();
        assert_eq!(size_left(&file), Some(6));
        #[cfg(unix)]
        assert_eq!(size_left(&File::open("/dev/null").unwrap()), None);
    }
}
