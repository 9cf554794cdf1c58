//! What mqpub prints on stderr while its progress line may stand there.

use std::fmt::Display;
use std::rc::Rc;

use crate::client::{ClientError, Diagnostics, Reporter};
use crate::exit_status::ExitStatus;
use crate::terminal::Progress;

/// Prints diagnostics above the progress line.
#[derive(Clone, Debug)]
pub(super) struct ProgressReporter {
    diagnostics: Diagnostics,
    progress: Rc<Progress>,
}

impl ProgressReporter {
    pub(super) const fn new(diagnostics: Diagnostics, progress: Rc<Progress>) -> Self {
        Self { diagnostics, progress }
    }

    #[cfg(test)]
    pub(super) fn silent() -> Self {
        Self::new(Diagnostics::silent(), Rc::new(Progress::on_stderr(true)))
    }

    pub(super) fn client_error(&self, error: &ClientError) -> ExitStatus {
        self.progress.aside(|| self.diagnostics.client_error(error))
    }

    pub(super) fn error_or(&self, own: impl Display, mosquitto: impl AsRef<str>) {
        self.progress.aside(|| self.diagnostics.error_or(own, mosquitto));
    }

    pub(super) fn error(&self, text: impl Display) {
        self.progress.aside(|| self.diagnostics.error(text));
    }

    pub(super) fn warning(&self, text: impl Display) {
        self.progress.aside(|| self.diagnostics.warning(text));
    }

    pub(super) fn hint(&self, text: impl Display) {
        self.progress.aside(|| self.diagnostics.hint(text));
    }
}

impl Reporter for ProgressReporter {
    fn warning(&self, text: &dyn Display) {
        Self::warning(self, text);
    }

    fn hint(&self, text: &dyn Display) {
        Self::hint(self, text);
    }

    fn note(&self, text: &dyn Display) {
        self.progress.aside(|| self.diagnostics.note(text));
    }
}
