//! Texts with placeholders: topics, names and payloads of mqbench, and with `--template` topics and payloads of mqpub.
//!
//! The placeholders are described in one place, the section TEMPLATES of the man pages (`options::sections`). Values
//! are drawn by index from a seed: the same seed and number give the same value, in any order.

mod draw;
mod parser;
mod piece;
mod table;

pub(crate) use draw::Draws;
pub use parser::TemplateError;
pub use piece::MessageTemplate;
pub use piece::Template;
pub(crate) use piece::{Context, Scope, Source};
pub(crate) use table::{Table, TableError};

#[cfg(test)]
mod tests;
