//! What is wrong with the files and settings of TLS, before anything connects.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::transport::error::{FailureKind, Fault};

/// Files or settings that TLS cannot use. Displays as `TLS: FILE: CAUSE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSetupError {
    /// The file or folder at fault, where there is one.
    pub path: Option<PathBuf>,
    /// What is wrong, as a sentence without a full stop.
    pub cause: String,
    /// What to do next, where it is known.
    pub hint: Option<String>,
}

impl TlsSetupError {
    pub(super) fn of(path: &Path, cause: impl Into<String>) -> Self {
        Self { path: Some(path.to_path_buf()), cause: cause.into(), hint: None }
    }

    pub(super) fn general(cause: impl Into<String>) -> Self {
        Self { path: None, cause: cause.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for TlsSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "TLS: {}: {}", path.display(), self.cause),
            None => write!(f, "TLS: {}", self.cause),
        }
    }
}

impl std::error::Error for TlsSetupError {}

impl From<TlsSetupError> for Fault {
    fn from(error: TlsSetupError) -> Self {
        let cause = match &error.path {
            Some(path) => format!("{}: {}", path.display(), error.cause),
            None => error.cause,
        };
        Self { kind: FailureKind::TlsSetup, cause, hint: error.hint }
    }
}
