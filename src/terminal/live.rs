//! A block of lines on stderr that is redrawn in place.
//!
//! There is one at most. What [`say`](super::say) prints meanwhile stands above it. Nothing of the terminal is changed
//! that would have to be restored: the cursor stays visible, and stands below the block between two drawings.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use super::size::Size;

/// Widths of the lines that stand on the terminal now.
static DRAWN: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// The block. It goes away when it is dropped.
#[derive(Debug)]
pub(crate) struct LiveBlock(());

impl LiveBlock {
    /// A block on stderr; none where that is not a terminal that can move its cursor.
    pub(crate) fn on_stderr() -> Option<Self> {
        (stderr_size().is_some() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")).then_some(Self(()))
    }

    /// Draws the lines in the place of those before. `lines` gets the size of the terminal as it is now.
    pub(crate) fn draw(&mut self, lines: impl FnOnce(Size) -> Vec<String>) {
        let Some(size) = stderr_size() else { return };
        let lines = lines(size);
        let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = io::stderr().write_all(redraw(&mut drawn, &lines, size.columns).as_bytes());
    }
}

impl Drop for LiveBlock {
    fn drop(&mut self) {
        make_room();
    }
}

/// Takes the block away, so that a message can be printed where it stood; the next drawing is below the message.
pub(super) fn make_room() {
    let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    if !drawn.is_empty()
        && let Some(size) = stderr_size()
    {
        let _ = io::stderr().write_all(redraw(&mut drawn, &[], size.columns).as_bytes());
    }
}

/// What erases the lines that were drawn, and draws others: in one write, so that nothing flickers. A terminal that has
/// become narrower shows the old lines on more rows.
fn redraw(drawn: &mut Vec<usize>, lines: &[String], columns: usize) -> String {
    let columns = columns.max(1);
    let rows: usize = drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum();
    let mut text = String::from("\r");
    if rows > 0 {
        text.push_str(&format!("\x1b[{rows}A"));
    }
    text.push_str("\x1b[J");
    drawn.clear();
    for line in lines {
        text.push_str(line);
        text.push('\n');
        drawn.push(super::table::length(line));
    }
    text
}

/// The size of the terminal that stderr goes to.
fn stderr_size() -> Option<Size> {
    if !io::stderr().is_terminal() {
        return None;
    }
    let (width, height) = terminal_size::terminal_size_of(io::stderr())?;
    Some(Size { lines: usize::from(height.0), columns: usize::from(width.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_drawn_over_those_before() {
        let mut drawn = Vec::new();
        let lines = ["flood".to_owned(), "\x1b[2msent\x1b[0m 100/s".to_owned()];
        assert_eq!(redraw(&mut drawn, &lines, 80), "\r\x1b[Jflood\n\x1b[2msent\x1b[0m 100/s\n");
        assert_eq!(drawn, [5, 10], "colors take no room");
        assert_eq!(redraw(&mut drawn, &lines[..1], 80), "\r\x1b[2A\x1b[Jflood\n");
        assert_eq!(redraw(&mut drawn, &[], 80), "\r\x1b[1A\x1b[J");
        assert_eq!(redraw(&mut drawn, &[], 80), "\r\x1b[J", "there is nothing to go up to");
    }

    #[test]
    fn a_narrower_terminal_shows_the_old_lines_on_more_rows() {
        let mut drawn = vec![60, 0, 41];
        assert!(redraw(&mut drawn, &[], 40).starts_with("\r\x1b[5A"));
        let mut drawn = vec![60];
        assert!(redraw(&mut drawn, &[], 0).starts_with("\r\x1b[60A"), "a size of nothing is no division by zero");
    }
}
