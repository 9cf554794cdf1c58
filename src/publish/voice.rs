//! What mqpub says on stderr while its progress line may stand there.

use std::fmt::Display;
use std::rc::Rc;

use crate::client::{ClientError, Diagnostics, Reporter};
use crate::exit_status::ExitStatus;
use crate::terminal::Progress;

/// Says things above the progress line.
#[derive(Clone, Debug)]
pub(super) struct Voice {
    diagnostics: Diagnostics,
    progress: Rc<Progress>,
}

impl Voice {
    pub(super) const fn new(diagnostics: Diagnostics, progress: Rc<Progress>) -> Self {
        Self { diagnostics, progress }
    }

    #[cfg(test)]
    pub(super) fn silent() -> Self {
        Self::new(Diagnostics::new(true), Rc::new(Progress::on_stderr(true)))
    }

    pub(super) const fn is_mosquitto(&self) -> bool {
        self.diagnostics.is_mosquitto()
    }

    pub(super) fn client_error(&self, error: &ClientError) -> ExitStatus {
        self.progress.aside(|| self.diagnostics.client_error(error))
    }

    pub(super) fn verbatim(&self, lines: &str) {
        self.progress.aside(|| self.diagnostics.verbatim(lines));
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

impl Reporter for Voice {
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
