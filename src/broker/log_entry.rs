//! One line of the log, on its way to the thread that writes it.

use std::fmt;
use std::time::SystemTime;

use super::log_rules::{LineKind, Tone};

pub(super) struct Entry {
    pub(super) time: SystemTime,
    pub(super) kind: LineKind,
    pub(super) tone: Tone,
    pub(super) text: Text,
}

pub(super) enum Text {
    Line(String),
    LeftOut(u64),
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(text) => formatter.write_str(text),
            Self::LeftOut(1) => formatter.write_str("(1 line dropped: lines came faster than they could be written)"),
            Self::LeftOut(count) => {
                write!(formatter, "({count} lines dropped: lines came faster than they could be written)")
            }
        }
    }
}
