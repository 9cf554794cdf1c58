//! Ctrl-C and SIGTERM, as something to wait for. The one place of the room that differs between systems.

use std::io;

/// The wish to end.
#[derive(Debug)]
pub struct Interrupts {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(not(unix))]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Interrupts {
    /// Takes SIGINT and SIGTERM over from the system. To be called within the runtime.
    ///
    /// # Errors
    /// The system's.
    #[cfg(unix)]
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Takes Ctrl-C over from the system. To be called within the runtime.
    ///
    /// # Errors
    /// The system's.
    #[cfg(not(unix))]
    pub fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    /// Waits for the next one. Nothing is lost when the future is dropped.
    #[cfg(unix)]
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Waits for the next one. Nothing is lost when the future is dropped.
    #[cfg(not(unix))]
    pub async fn next(&mut self) {
        self.interrupt.recv().await;
    }
}
