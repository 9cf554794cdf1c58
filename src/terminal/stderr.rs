//! What goes to stderr as a line: errors, warnings, notes.

use std::fmt::Display;
use std::io::{self, Write};

use super::escape::message;

/// Prints one line, made safe for a terminal. A stderr that is closed is not an error.
pub fn say(text: impl Display) {
    let line = message(&text.to_string()) + "\n";
    super::live::make_room();
    // In one write, so that lines of two tools do not mix.
    let _ = io::stderr().write_all(line.as_bytes());
}
