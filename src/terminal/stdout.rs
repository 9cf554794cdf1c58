//! What goes to stdout as a whole: help, summaries, documents.

use std::io::{self, Write};

use crate::exit_status::ExitStatus;

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
