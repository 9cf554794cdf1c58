//! The document, gates and the summary, from plans and what an engine would bring.

mod document;
pub(super) mod example;
mod gate;
mod summary;
mod verdict;
