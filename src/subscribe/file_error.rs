//! Why a file of the user cannot be written.

use std::fmt;

/// An error with its next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileError {
    /// The whole error.
    pub(super) text: String,
    /// What to do, or what is left.
    pub(super) hint: Option<String>,
}

impl fmt::Display for FileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}
