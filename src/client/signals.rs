//! SIGINT, SIGTERM and SIGHUP, as something to wait for. The one place of the room that differs between systems.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use super::mosquitto::MosquittoClient;
use crate::exit_status::{ExitStatus, Signal};

/// The signals that ask this process to end. After the first one that [`Interrupts::next`] returns, another one ends
/// the process at once, wherever it is.
#[derive(Debug)]
pub(crate) struct Interrupts {
    streams: Vec<(Signal, system::Stream)>,
    state: SignalState,
    reports_all: bool,
}

impl Interrupts {
    /// Takes the signals over from the system, but for those that were ignored when this process was started (`nohup`,
    /// a job in the background of a script). To be called within the runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn listen() -> io::Result<Self> {
        Self::to(&system::handled())
    }

    /// The same without SIGHUP, for a server that reads its configuration again then.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn listen_but_for_hang_up() -> io::Result<Self> {
        let signals: Vec<Signal> = system::handled().into_iter().filter(|signal| *signal != Signal::HangUp).collect();
        Self::to(&signals)
    }

    /// The same, but every signal is reported, until [`SignalState::let_next_end`] is called.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn listen_to_all() -> io::Result<Self> {
        Ok(Self { reports_all: true, ..Self::listen()? })
    }

    /// The same, or the signals of one of mosquitto's clients: mosquitto_sub handles SIGINT and SIGTERM even where they
    /// were ignored, the others none.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn for_client(client: Option<MosquittoClient>) -> io::Result<Self> {
        match client {
            None => Self::listen(),
            Some(MosquittoClient::Subscribe) => {
                Ok(Self { reports_all: true, ..Self::to(&[Signal::Interrupt, Signal::Terminate])? })
            }
            Some(MosquittoClient::Publish | MosquittoClient::Request) => Self::to(&[]),
        }
    }

    fn to(signals: &[Signal]) -> io::Result<Self> {
        let state = SignalState::default();
        let mut streams = Vec::with_capacity(signals.len());
        for &signal in signals {
            state.register(signal)?;
            streams.push((signal, system::stream(signal)?));
        }
        Ok(Self { streams, state, reports_all: false })
    }

    /// Waits for the next one. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Signal {
        let signal = poll_fn(|cx| self.poll_next(cx)).await;
        if !self.reports_all {
            self.state.let_next_end();
        }
        signal
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        for (signal, stream) in &mut self.streams {
            if stream.poll_recv(cx).is_ready() {
                return Poll::Ready(*signal);
            }
        }
        Poll::Pending
    }

    /// How a run ends that would end with `status`: by a signal that has come in the meantime, if there is one. A shell
    /// would continue its loop after a Ctrl-C that comes just before the end.
    pub(crate) fn exit_status(&self, status: ExitStatus) -> ExitStatus {
        self.state.exit_status(status)
    }

    /// What is known of signals while nobody waits for one.
    pub(crate) fn state(&self) -> SignalState {
        self.state.clone()
    }
}

pub(crate) use system::SignalState;

#[cfg(unix)]
mod system {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use tokio::signal::unix::SignalKind;

    use crate::exit_status::{ExitStatus, Signal};

    const SIGNALS: [Signal; 3] = [Signal::Interrupt, Signal::Terminate, Signal::HangUp];

    pub(super) type Stream = tokio::signal::unix::Signal;

    pub(super) fn stream(signal: Signal) -> io::Result<Stream> {
        tokio::signal::unix::signal(SignalKind::from_raw(signal.number()))
    }

    /// The signals that this process is to handle.
    pub(super) fn handled() -> Vec<Signal> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        not_ignored(ignored_signals(&status))
    }

    /// Where it is not known what is ignored, SIGHUP is left alone: `nohup` must hold, and without it the default
    /// action is death by the same signal.
    fn not_ignored(ignored: Option<u64>) -> Vec<Signal> {
        let unknown = 1 << (Signal::HangUp.number() - 1);
        let ignored = ignored.unwrap_or(unknown);
        SIGNALS.into_iter().filter(|signal| ignored >> (signal.number() - 1) & 1 == 0).collect()
    }

    /// The set of ignored signals in Linux's `/proc/self/status`: signal 1 is the lowest bit.
    fn ignored_signals(status: &str) -> Option<u64> {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    }

    /// What signals do at once when they come, wherever the process is.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct SignalState {
        /// The number of the last one.
        received: Arc<AtomicUsize>,
        ends: Arc<AtomicBool>,
    }

    impl SignalState {
        pub(super) fn register(&self, signal: Signal) -> io::Result<()> {
            let (number, ends) = (signal.number(), Arc::clone(&self.ends));
            // For the first process of a container the default action is none.
            let registered = if std::process::id() == 1 {
                let code = i32::from(ExitStatus::Interrupted(signal).code());
                signal_hook::flag::register_conditional_shutdown(number, code, ends)
            } else {
                signal_hook::flag::register_conditional_default(number, ends)
            };
            registered?;
            let received = Arc::clone(&self.received);
            signal_hook::flag::register_usize(number, received, number as usize).map(|_| ())
        }

        /// From now on a signal ends the process at once.
        pub(crate) fn let_next_end(&self) {
            self.ends.store(true, Ordering::SeqCst);
        }

        /// How a run ends that would end with `status`: by a signal that has come, if there is one. The next one ends
        /// it at once.
        pub(crate) fn exit_status(&self, status: ExitStatus) -> ExitStatus {
            self.let_next_end();
            let last = self.received.load(Ordering::SeqCst);
            match SIGNALS.into_iter().find(|signal| signal.number() as usize == last) {
                Some(signal) if !matches!(status, ExitStatus::Interrupted(_)) => ExitStatus::Interrupted(signal),
                _ => status,
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_was_ignored_at_the_start_is_not_handled() {
            let status = "Name:\tmqsub\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001003\nSigCgt:\t00\n";
            assert_eq!(ignored_signals(status), Some(0x1003));
            assert_eq!(not_ignored(Some(0x1003)), [Signal::Terminate]);
            assert_eq!(not_ignored(Some(0x1000)), [Signal::Interrupt, Signal::Terminate, Signal::HangUp]);
        }

        #[test]
        fn without_proc_a_hang_up_is_left_to_the_system() {
            assert_eq!(ignored_signals(""), None);
            assert_eq!(not_ignored(None), [Signal::Interrupt, Signal::Terminate]);
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;

    use crate::exit_status::{ExitStatus, Signal};

    pub(super) type Stream = tokio::signal::windows::CtrlC;

    /// Only Ctrl-C is asked for.
    pub(super) fn stream(_: Signal) -> io::Result<Stream> {
        tokio::signal::windows::ctrl_c()
    }

    pub(super) fn handled() -> Vec<Signal> {
        vec![Signal::Interrupt]
    }

    /// What signals do at once when they come: here nothing.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct SignalState;

    impl SignalState {
        pub(super) fn register(&self, _: Signal) -> io::Result<()> {
            Ok(())
        }

        /// From now on a signal ends the process at once.
        pub(crate) fn let_next_end(&self) {}

        /// How a run ends that would end with `status`.
        pub(crate) fn exit_status(&self, status: ExitStatus) -> ExitStatus {
            status
        }
    }
}
