//! What goes to stdout as a whole: help, summaries, documents.

use std::io::{self, IsTerminal, Write};

use super::size::Size;
use crate::exit_status::ExitStatus;

/// Columns of a summary that does not go to a terminal, and the most that one uses.
const SUMMARY_WIDTH: usize = 100;

/// Prints bytes. A reader that is gone (`| head`) is not an error.
///
/// # Errors
/// Any other failure of stdout.
pub(crate) fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints the answer to `--help` or `--version`.
pub fn answer(text: &str) -> ExitStatus {
    match print(text.as_bytes()) {
        Ok(()) => ExitStatus::Done,
        Err(error) => {
            super::say(format_args!("Error: stdout: {error}"));
            ExitStatus::Failed
        }
    }
}

/// Columns of the terminal that stdout goes to; none where it goes elsewhere.
pub(crate) fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// Columns of a summary on stdout: those of the terminal, within limits.
pub(crate) fn summary_width() -> usize {
    width().unwrap_or(SUMMARY_WIDTH).clamp(40, SUMMARY_WIDTH)
}

/// The screen that stdout goes to; none where it goes elsewhere, and where the cursor cannot be moved (`TERM=dumb`).
pub(crate) fn screen_size() -> Option<Size> {
    if !io::stdout().is_terminal() || std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return None;
    }
    let (width, height) = terminal_size::terminal_size()?;
    Some(Size { lines: usize::from(height.0), columns: usize::from(width.0) })
}
