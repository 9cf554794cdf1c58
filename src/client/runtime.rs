//! The runtime of a tool with one connection: one thread, and a shutdown that does not wait.

use std::future::Future;
use std::io;

use tokio::runtime::Builder;

/// Runs a tool on this thread. A name look-up that still runs when it ends is left behind.
///
/// # Errors
/// The system's, when it has no file descriptors left for an event queue.
pub(crate) fn run<F: Future>(work: F) -> io::Result<F::Output> {
    check_descriptors()?;
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(result)
}

/// Whether there are file descriptors left for a runtime. Asked before the first one of a process: tokio panics where
/// it has none for its signal pipe.
///
/// # Errors
/// The system's, when there are too few.
pub(crate) fn check_descriptors() -> io::Result<()> {
    // An event queue, the waker of it, a pair of sockets, and two copies.
    #[cfg(unix)]
    let _six = [
        std::os::unix::net::UnixStream::pair()?,
        std::os::unix::net::UnixStream::pair()?,
        std::os::unix::net::UnixStream::pair()?,
    ];
    Ok(())
}
