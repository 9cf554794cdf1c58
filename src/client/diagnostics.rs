//! What a tool prints on stderr while it runs: errors with their next step, warnings, hints and notes.

use std::fmt::{Debug, Display};
use std::io::{self, Write, stderr};

use super::mosquitto::{MosquittoClient, ending};
use super::{ClientError, ClientPlan, ConnectFacts};
use crate::exit_status::ExitStatus;
use crate::mqtt::ProtocolVersion;
use crate::terminal::{escape_lines, message};

/// Where a client reports what happens to its connection.
pub(crate) trait Reporter: Debug {
    fn warning(&self, text: &dyn Display);

    /// What to do about the last warning.
    fn hint(&self, text: &dyn Display);

    /// Reports that the cause of the last warning is over.
    fn note(&self, text: &dyn Display);
}

/// Prints errors and warnings, or nothing with `--quiet`. A stderr that is closed is not an error.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Diagnostics {
    quiet: bool,
    mosquitto: Option<(MosquittoClient, ProtocolVersion)>,
    facts: ConnectFacts,
}

impl Diagnostics {
    /// For a run, with hints that suit how it connects. Prints the warnings that belong before it.
    pub(crate) fn start(plan: &ClientPlan) -> Self {
        let ClientPlan { connect, quiet, policy, .. } = plan;
        let mosquitto = policy.mosquitto.map(|client| (client, connect.session.version));
        let facts = ConnectFacts::new(&connect.session, &connect.transport);
        let diagnostics = Self { quiet: *quiet, mosquitto, facts };
        connect.warnings.iter().for_each(|warning| diagnostics.warning(warning));
        if connect.transport.tls.as_ref().is_some_and(|tls| tls.insecure) {
            diagnostics.warning("--insecure: neither the broker's certificate nor its name is verified");
        }
        diagnostics
    }

    /// Prints nothing.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self { quiet: true, ..Self::default() }
    }

    const fn is_mosquitto(&self) -> bool {
        self.mosquitto.is_some()
    }

    /// An error between us and the broker, with the broker's own words and the next step where there are any. Returns
    /// how the tool ends for it.
    pub(crate) fn client_error(&self, error: &ClientError) -> ExitStatus {
        self.client_error_with_hint(error, error.hint(self.facts).as_deref())
    }

    /// The same with another next step.
    pub(crate) fn client_error_with_hint(&self, error: &ClientError, hint: Option<&str>) -> ExitStatus {
        if let Some((client, version)) = self.mosquitto {
            let ending = ending(error, client, version);
            self.write(&escape_lines(&ending.stderr));
            return ending.status;
        }
        let mut text = format!("Error: {}\n", message(&error.to_string()));
        if let Some(reason) = error.reason_string() {
            text.push_str(&format!("The broker reports: {}\n", message(reason)));
        }
        if let Some(hint) = hint {
            text.push_str(&format!("Hint: {}\n", message(hint)));
        }
        self.write(&text);
        error.exit_status()
    }

    /// An error in our own words, or in mosquitto's, which include the line ends.
    pub(crate) fn error_or(&self, own: impl Display, mosquitto: impl AsRef<str>) {
        match self.is_mosquitto() {
            true => self.write(&escape_lines(mosquitto.as_ref())),
            false => self.error(own),
        }
    }

    /// The run did not begin: the system has not given what it needs.
    pub(crate) fn cannot_start(&self, error: &io::Error) -> ExitStatus {
        self.error(format_args!("cannot start: {error}"));
        ExitStatus::Failed
    }

    /// The broker's Reason String for the last error.
    pub(crate) fn reason_string(&self, words: &str) {
        self.write(&format!("The broker reports: {}\n", message(words)));
    }

    /// Another error.
    pub(crate) fn error(&self, text: impl Display) {
        self.write(&format!("Error: {}\n", message(&text.to_string())));
    }

    /// The end of a run for something that has failed here, with the next step where it is known.
    pub(crate) fn failed(&self, error: impl Display, hint: Option<impl Display>) -> ExitStatus {
        self.error(error);
        if let Some(hint) = hint {
            self.hint(hint);
        }
        ExitStatus::Failed
    }

    /// A warning. mosquitto's clients print none.
    pub(crate) fn warning(&self, text: impl Display) {
        if self.is_mosquitto() {
            return;
        }
        self.write(&format!("Warning: {}\n", message(&text.to_string())));
    }

    /// What to do about the last error or warning.
    pub(crate) fn hint(&self, text: impl Display) {
        if self.is_mosquitto() {
            return;
        }
        self.write(&format!("Hint: {}\n", message(&text.to_string())));
    }

    /// Reports that the cause of a warning is over.
    pub(crate) fn note(&self, text: impl Display) {
        if self.is_mosquitto() {
            return;
        }
        self.write(&format!("Note: {}\n", message(&text.to_string())));
    }

    /// In one write, so that lines of two tools do not mix.
    fn write(&self, text: &str) {
        if !self.quiet {
            let _ = stderr().write_all(text.as_bytes());
        }
    }
}

impl Reporter for Diagnostics {
    fn warning(&self, text: &dyn Display) {
        Self::warning(self, text);
    }

    fn hint(&self, text: &dyn Display) {
        Self::hint(self, text);
    }

    fn note(&self, text: &dyn Display) {
        Self::note(self, text);
    }
}
