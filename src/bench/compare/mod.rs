//! Repeats and comparisons: several runs of one plan, their medians, and how two sides differ.
//!
//! `figures` takes the figures out of results, `judge` compares two sides of them, `series` makes the runs (`--runs`,
//! `--ab`), `text` and `document` say what came of it, `verb` is `mqbench compare`.

mod document;
mod figures;
mod judge;
mod markdown;
mod series;
mod text;
mod verb;

pub(super) use self::document::CompareDocument;
pub use self::document::compare_schema;
pub(super) use self::figures::enter_runs;
pub(super) use self::judge::{Group, compare};
pub(super) use self::markdown::markdown;
pub(super) use self::series::{Turn, run_series, turns};
pub(super) use self::text::{comparison_text, medians_text};
pub(super) use self::verb::compare_files;
