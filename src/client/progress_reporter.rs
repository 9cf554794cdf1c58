//! What a tool prints on stderr while its progress line may stand there.

use std::fmt::Display;
use std::rc::Rc;

use super::{ClientError, Diagnostics, Reporter};
use crate::exit_status::ExitStatus;
use crate::terminal::Progress;

/// Prints diagnostics above the progress line.
#[derive(Clone, Debug)]
pub(crate) struct ProgressReporter {
    diagnostics: Diagnostics,
    progress: Rc<Progress>,
}

impl ProgressReporter {
    pub(crate) const fn new(diagnostics: Diagnostics, progress: Rc<Progress>) -> Self {
        Self { diagnostics, progress }
    }

    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self::new(Diagnostics::silent(), Rc::new(Progress::on_stderr(true)))
    }

    pub(crate) fn client_error(&self, error: &ClientError) -> ExitStatus {
        self.progress.aside(|| self.diagnostics.client_error(error))
    }

    pub(crate) fn error_or(&self, own: impl Display, mosquitto: impl AsRef<str>) {
        self.progress.aside(|| self.diagnostics.error_or(own, mosquitto));
    }

    pub(crate) fn error(&self, text: impl Display) {
        self.progress.aside(|| self.diagnostics.error(text));
    }

    pub(crate) fn warning(&self, text: impl Display) {
        self.progress.aside(|| self.diagnostics.warning(text));
    }

    pub(crate) fn hint(&self, text: impl Display) {
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
