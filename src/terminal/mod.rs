//! Color, progress, numbers for people, escaping. The only home of colored and indicatif.
//!
//! Results go to stdout, progress to stderr and only to a terminal. Text from the network is escaped before it reaches
//! a terminal.

mod color;
mod escape;
mod live;
pub(crate) mod number;
mod progress;
mod progress_line;
pub mod prompt;
mod size;
mod stderr;
mod stdout;
mod table;

pub(crate) use color::{Colors, Paint};
pub use escape::escape;
pub(crate) use escape::{escape_bytes, escape_json_tail, escape_lines, escape_tail, excerpt, message, quoted};
pub(crate) use live::LiveBlock;
pub(crate) use progress::Progress;
pub(crate) use progress_line::ProgressLine;
pub(crate) use size::Size;
pub use stderr::say;
pub use stdout::answer;
pub(crate) use stdout::{print, screen_size, summary_width, width};
pub(crate) use table::{Align, Cell, Table, wrapped};
