//! SIGTSTP and SIGCONT: a shell that stops the explorer gets its terminal back first, and after `fg` the screen is drawn
//! anew. The one file of the room that differs between systems.

pub(super) use system::{Stops, can_stop, stop};

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), expect(dead_code, reason = "other systems have no such signals"))]
pub(super) enum StopSignal {
    /// The process is to stop.
    Stop,
    /// It goes on.
    Continue,
}

#[cfg(unix)]
mod system {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    use super::StopSignal;

    /// The two signals.
    #[derive(Debug)]
    pub(in crate::explore) struct Stops {
        stop: Signal,
        go_on: Signal,
    }

    impl Stops {
        /// Takes them over from the system. To be called within the runtime.
        ///
        /// # Errors
        /// The system's.
        pub(in crate::explore) fn listen() -> io::Result<Self> {
            use nix::sys::signal::Signal::{SIGCONT, SIGTSTP};
            let listen = |number: nix::sys::signal::Signal| signal(SignalKind::from_raw(number as i32));
            Ok(Self { stop: listen(SIGTSTP)?, go_on: listen(SIGCONT)? })
        }

        /// Waits for the next one. Nothing is lost when the future is dropped.
        pub(in crate::explore) async fn next(&mut self) -> StopSignal {
            tokio::select! {
                _ = self.stop.recv() => StopSignal::Stop,
                _ = self.go_on.recv() => StopSignal::Continue,
            }
        }
    }

    /// Whether there is a shell that lets a stopped process go on: without one the first process of the session is in the
    /// same group, and the system itself would ignore Ctrl-Z.
    pub(in crate::explore) fn can_stop() -> bool {
        nix::unistd::getsid(None).is_ok_and(|session| session != nix::unistd::getpgrp())
    }

    /// Stops this process, as a terminal does at Ctrl-Z, until somebody lets it go on.
    pub(in crate::explore) fn stop() {
        let _ = signal_hook::low_level::emulate_default_handler(nix::sys::signal::Signal::SIGTSTP as i32);
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;

    use super::StopSignal;

    /// There are none.
    #[derive(Debug)]
    pub(in crate::explore) struct Stops;

    impl Stops {
        /// # Errors
        /// None.
        pub(in crate::explore) fn listen() -> io::Result<Self> {
            Ok(Self)
        }

        /// Never ends.
        pub(in crate::explore) async fn next(&mut self) -> StopSignal {
            std::future::pending().await
        }
    }

    /// Nobody stops a process here.
    pub(in crate::explore) fn can_stop() -> bool {
        false
    }

    /// Nothing.
    pub(in crate::explore) fn stop() {}
}
