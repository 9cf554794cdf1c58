//! What one run of a plan came to: the unit of repeats and searches.

use super::report::ResultDocument;
use crate::exit_status::ExitStatus;

/// What one run came to.
#[derive(Debug)]
pub(super) struct Attempt {
    /// Its result, without gates.
    pub(super) document: ResultDocument,
    /// How mqbench ends with it, where its cause decides that and not the document.
    pub(super) status: Option<ExitStatus>,
    /// Whether its load began, so that there are figures.
    pub(super) has_load: bool,
}
