//! stdout that never blocks the tool: what surely fits is written at once, everything else by a thread.
//!
//! A reader that is slow or stopped blocks only the thread; the tool still serves Keep Alive and signals.

#[cfg(unix)]
use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc as threads;

use tokio::sync::mpsc;

use super::batch::Batch;

/// A pipe that can be written to takes at least this much without blocking (POSIX: PIPE_BUF; Linux: a page).
#[cfg(unix)]
const AT_ONCE: usize = 4096;

/// The stdout of this process.
#[derive(Debug)]
pub(super) struct Stdout {
    file: StdoutFile,
    thread: Option<Thread>,
    busy: bool,
}

#[derive(Debug)]
struct Thread {
    batches: threads::Sender<Batch>,
    written: mpsc::UnboundedReceiver<(Batch, io::Result<()>)>,
}

impl Stdout {
    /// To be called within the runtime.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { file: StdoutFile::open()?, thread: None, busy: false })
    }

    /// Whether a batch is being written.
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Writes a batch at once where that cannot block, and gives it back; otherwise [`Stdout::written`] will. Only one
    /// at a time: there is none when [`Stdout::is_busy`].
    ///
    /// # Errors
    /// The system's; `BrokenPipe` when nobody reads any more.
    pub(super) fn write(&mut self, batch: Batch) -> io::Result<Option<Batch>> {
        if batch.bytes.is_empty() {
            return Ok(Some(batch));
        }
        if self.file.takes_at_once(batch.bytes.len()) {
            self.file.write(&batch.bytes)?;
            return Ok(Some(batch));
        }
        if self.thread.is_none() {
            self.thread = Some(Thread::start(self.file.try_clone()?)?);
        }
        let handed_over = self.thread.as_ref().is_some_and(|thread| thread.batches.send(batch).is_ok());
        self.busy = handed_over;
        if handed_over { Ok(None) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }

    /// Waits for the batch that is being written. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// The system's; `BrokenPipe` when nobody reads any more.
    pub(super) async fn written(&mut self) -> io::Result<Batch> {
        let Some(thread) = self.thread.as_mut().filter(|_| self.busy) else { return std::future::pending().await };
        let (batch, result) = thread.written.recv().await.ok_or(io::ErrorKind::BrokenPipe)?;
        self.busy = false;
        result.map(|()| batch)
    }

    /// Waits for the batch that is being written or, when there is none, until nobody reads any more, which is `None`.
    /// Nothing is lost when the future is dropped.
    pub(super) async fn written_or_closed(&mut self) -> Option<io::Result<Batch>> {
        if self.busy {
            return Some(self.written().await);
        }
        self.file.closed().await;
        None
    }
}

impl Thread {
    fn start(mut stream: Writer) -> io::Result<Self> {
        let (batches, work) = threads::channel::<Batch>();
        let (done, written) = mpsc::unbounded_channel();
        std::thread::Builder::new().name("stdout".into()).spawn(move || {
            while let Ok(batch) = work.recv() {
                let result = stream.write_all(&batch.bytes).and_then(|()| stream.flush());
                if done.send((batch, result)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { batches, written })
    }
}

/// What the thread writes to.
#[cfg(unix)]
type Writer = File;
#[cfg(not(unix))]
type Writer = io::Stdout;

#[cfg(unix)]
#[derive(Debug)]
struct StdoutFile {
    file: File,
    /// A regular file: it never blocks for long.
    regular: bool,
    /// Becomes ready when the other end of a pipe is closed. Nothing is written with it, so the pipe stays as it is, blocking.
    watch: Option<tokio::net::unix::pipe::Sender>,
}

#[cfg(unix)]
impl StdoutFile {
    fn open() -> io::Result<Self> {
        use std::os::fd::AsFd;
        use std::os::unix::fs::FileTypeExt;
        use tokio::net::unix::pipe::Sender;
        // Past the buffer of the standard library, which would cut a batch at its last line end.
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let kind = file.metadata()?.file_type();
        // Without it the closed end is noticed at the next message.
        let watch = if kind.is_fifo() { Sender::from_file_unchecked(file.try_clone()?).ok() } else { None };
        Ok(Self { regular: kind.is_file(), file, watch })
    }

    fn takes_at_once(&self, count: usize) -> bool {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd;
        if self.regular {
            return true;
        }
        let mut writable = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
        count <= AT_ONCE && poll(&mut writable, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn try_clone(&self) -> io::Result<Writer> {
        self.file.try_clone()
    }

    async fn closed(&self) {
        let Some(watch) = &self.watch else { return std::future::pending().await };
        match watch.ready(tokio::io::Interest::ERROR).await {
            Ok(ready) if ready.is_error() => {}
            _ => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
#[derive(Debug)]
struct StdoutFile;

#[cfg(not(unix))]
impl StdoutFile {
    fn open() -> io::Result<Self> {
        Ok(Self)
    }

    fn takes_at_once(&self, _: usize) -> bool {
        false
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    }

    fn try_clone(&self) -> io::Result<Writer> {
        Ok(io::stdout())
    }

    async fn closed(&self) {
        std::future::pending().await
    }
}
