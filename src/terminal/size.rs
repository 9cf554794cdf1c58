//! How large a screen is.

/// Lines and columns of a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Lines.
    pub lines: usize,
    /// Columns.
    pub columns: usize,
}
