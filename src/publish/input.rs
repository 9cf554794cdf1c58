//! Bytes from files and stdin.

use std::fs::File;
use std::io::{self, Read, stdin};
use std::path::Path;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::mqtt::wire::MAX_REMAINING_LENGTH;

/// A pipe holds 64 KiB, and a read brings at most what it holds.
const CHUNK: usize = 64 * 1024;

/// The whole of a file, which may be a pipe.
///
/// # Errors
/// The system's, and when it is more than a message can hold.
pub(super) fn read_file(path: &Path) -> io::Result<Bytes> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    read_whole(file)
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
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is more than one message can hold (256 MiB)"));
    }
    Ok(content.into())
}

/// stdin, read ahead by one chunk in a thread of its own: it may be a file, a pipe or a terminal, and only a thread can
/// wait for each of them.
#[derive(Debug)]
pub(super) struct StdinChunks(mpsc::Receiver<io::Result<Bytes>>);

impl StdinChunks {
    /// Begins to read. The thread ends with stdin or with the process.
    pub(super) fn start() -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(1);
        std::thread::Builder::new().name("stdin".into()).spawn(move || {
            let mut stdin = stdin().lock();
            let mut chunk = vec![0; CHUNK];
            loop {
                let read = match stdin.read(&mut chunk) {
                    Ok(0) => return,
                    // Of its own size, so that a message in flight does not hold more than itself.
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
        Ok(Self(receiver))
    }

    /// The next chunk; none at the end. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Option<io::Result<Bytes>> {
        self.0.recv().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_and_a_missing_file_are_errors() {
        assert_eq!(read_file(Path::new("/")).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(read_file(Path::new("/no/such/file")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
