//! How large the terminals are that stdout and stderr go to.

use std::io::{self, IsTerminal};

/// Columns of the terminal that stdout goes to; none where it goes elsewhere.
pub(crate) fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// Lines and columns of a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Lines.
    pub lines: usize,
    /// Columns.
    pub columns: usize,
}

/// The screen that stdout goes to; none where it goes elsewhere, and where the cursor cannot be moved (`TERM=dumb`).
pub(crate) fn screen_size() -> Option<Size> {
    if !io::stdout().is_terminal() || std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return None;
    }
    let (width, height) = terminal_size::terminal_size()?;
    Some(Size { lines: usize::from(height.0), columns: usize::from(width.0) })
}

/// The size of the terminal that stderr goes to.
pub(super) fn stderr_size() -> Option<Size> {
    if !io::stderr().is_terminal() {
        return None;
    }
    let (width, height) = terminal_size::terminal_size_of(io::stderr())?;
    Some(Size { lines: usize::from(height.0), columns: usize::from(width.0) })
}
