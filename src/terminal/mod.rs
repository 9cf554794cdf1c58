//! Color, progress, numbers for people, escaping. The only home of colored and indicatif.
//!
//! Results go to stdout, progress to stderr and only to a terminal. Text from the network is escaped before it reaches
//! a terminal.

pub mod colour;
pub mod escape;
pub mod number;
pub mod progress;
pub mod prompt;
pub mod stderr;
pub mod stdout;
pub mod table;

pub use colour::{ColourChoice, Colours, Paint};
pub use escape::{escape, escape_bytes, escape_json_tail, escape_lines, escape_tail, message, quoted};
pub use progress::Progress;
pub use stderr::say;
pub use stdout::{Size, answer, print, screen_size, width};
pub use table::{Align, Cell, Table, wrapped};
