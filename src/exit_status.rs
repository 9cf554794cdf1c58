//! Maps outcomes to exit codes, and ends the process.

use std::io::{Write, stdout};
use std::process::ExitCode;

use crate::mqtt::ReasonCode;

/// What asks a process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// What `kill` sends.
    Terminate,
    /// The terminal is closed.
    HangUp,
}

impl Signal {
    /// Its number, the same on every system that has it.
    pub const fn number(self) -> i32 {
        match self {
            Self::HangUp => 1,
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }

    /// The exit status that a shell reports for a process ended by it.
    const fn code(self) -> u8 {
        match self {
            Self::HangUp => 129,
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }

    /// Ends this process by its default action. The first process of a container has none, and stays.
    #[cfg(unix)]
    fn end_process(self) {
        if std::process::id() != 1 {
            let _ = signal_hook::low_level::emulate_default_handler(self.number());
        }
    }

    #[cfg(not(unix))]
    fn end_process(self) {}
}

/// How a tool ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Everything asked for was done.
    Done,
    /// Failed here: file, DNS, TCP, TLS, connection lost, broken protocol.
    Failed,
    /// Wrong usage.
    Usage,
    /// mqbench: a gate failed.
    GateFailed,
    /// mqbench: the measurement is not valid.
    Invalid,
    /// mqbench: worse than what it was compared with.
    Regression,
    /// The time of `-W` ran out.
    TimedOut,
    /// What was expected did not come, or something else did.
    ExpectationFailed,
    /// Nothing came.
    NothingCame,
    /// Too few messages came.
    TooFewCame,
    /// No acknowledgement arrived in time.
    AckTimedOut,
    /// The broker granted or did less than requested.
    Downgraded,
    /// The broker refused.
    Refused(ReasonCode),
    /// Interrupted by a signal.
    Interrupted(Signal),
    /// A command of the user has failed with this status.
    Command(u8),
    /// A number that a compatibility name asks for.
    Compatible(u8),
}

impl ExitStatus {
    /// The exit status.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::GateFailed => 3,
            Self::Invalid => 4,
            Self::Regression => 5,
            Self::TimedOut => 27,
            Self::ExpectationFailed => 40,
            Self::NothingCame => 41,
            Self::TooFewCame => 42,
            Self::AckTimedOut => 43,
            Self::Downgraded => 44,
            // Error reason codes are 128 to 162 (§2.4). Those that the standard does not assign are unspecified errors;
            // a broker's own invention below 128 is a broken protocol.
            Self::Refused(reason) if !reason.is_error() => 1,
            Self::Refused(reason) if reason.name().is_none() => ReasonCode::UNSPECIFIED_ERROR.0,
            Self::Refused(reason) => reason.0,
            Self::Interrupted(signal) => signal.code(),
            Self::Command(code) | Self::Compatible(code) => code,
        }
    }
    /// Ends the process, or returns what `main` is to return. A tool that a signal has ended dies by that signal once
    /// it has cleaned up: only so does a shell end the loop in which it runs.
    pub fn end(self) -> ExitCode {
        if let Self::Interrupted(signal) = self {
            let _ = stdout().flush();
            signal.end_process();
        }
        ExitCode::from(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_stay_in_the_range_that_is_documented() {
        for (reason, code) in [(0x80, 128), (0x87, 135), (0xa2, 162), (0x8e, 142), (0xa3, 128), (0xff, 128), (0x10, 1)]
        {
            assert_eq!(ExitStatus::Refused(ReasonCode(reason)).code(), code, "{reason:#x}");
        }
        let codes = (0..=u8::MAX).map(|reason| ExitStatus::Refused(ReasonCode(reason)).code());
        assert!(codes.into_iter().all(|code| code == 1 || (128..=162).contains(&code)));
    }
}
