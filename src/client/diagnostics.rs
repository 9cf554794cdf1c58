//! What a tool says on stderr while it runs: errors with their next step, and warnings.

use std::fmt::Display;
use std::io::{Write, stderr};

use super::ClientError;
use crate::terminal::escape;

/// Says errors and warnings, or nothing with `--quiet`. A stderr that is closed is no error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Diagnostics {
    quiet: bool,
}

impl Diagnostics {
    /// With `quiet` it says nothing.
    pub const fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// An error between us and the broker, with the broker's own words and the next step where there are any.
    pub fn client_error(&self, error: &ClientError) {
        let mut text = format!("Error: {}\n", escape(&error.to_string()));
        if let Some(reason) = error.reason_string() {
            text.push_str(&format!("The broker says: {}\n", escape(reason)));
        }
        if let Some(hint) = error.hint() {
            text.push_str(&format!("Hint: {hint}\n"));
        }
        self.write(&text);
    }

    /// Another error.
    pub fn error(&self, text: impl Display) {
        self.write(&format!("Error: {}\n", escape(&text.to_string())));
    }

    /// Something that does not end the work.
    pub fn warning(&self, text: impl Display) {
        self.write(&format!("Warning: {}\n", escape(&text.to_string())));
    }

    /// What to do about what was said before.
    pub fn hint(&self, text: impl Display) {
        self.write(&format!("Hint: {}\n", escape(&text.to_string())));
    }

    /// In one write, so that lines of two tools do not mix.
    fn write(&self, text: &str) {
        if !self.quiet {
            let _ = stderr().write_all(text.as_bytes());
        }
    }
}
