//! What a tool says on stderr while it runs: errors with their next step, and warnings.

use std::fmt::{Debug, Display};
use std::io::{Write, stderr};

use super::mosquitto::{MosquittoClient, ending};
use super::{ClientError, ConnectFacts, ConnectPlan};
use crate::exit_status::ExitStatus;
use crate::mqtt::ProtocolVersion;
use crate::terminal::{escape_lines, message};

/// Where a client reports what becomes of its connection.
pub trait Reporter: Debug {
    /// Something that does not end the work.
    fn warning(&self, text: &dyn Display);

    /// What to do about what was said before.
    fn hint(&self, text: &dyn Display);

    /// Good news.
    fn note(&self, text: &dyn Display);
}

/// Says errors and warnings, or nothing with `--quiet`. A stderr that is closed is no error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Diagnostics {
    quiet: bool,
    mosquitto: Option<(MosquittoClient, ProtocolVersion)>,
    facts: ConnectFacts,
}

impl Diagnostics {
    /// With `quiet` it says nothing.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, ..Self::default() }
    }

    /// With hints for a client that connects so.
    #[must_use]
    pub fn connecting(self, plan: &ConnectPlan) -> Self {
        Self { facts: ConnectFacts::new(&plan.session, &plan.transport), ..self }
    }

    /// In the words of one of mosquitto's clients, where its name was used.
    #[must_use]
    pub fn speaking_for(self, client: Option<MosquittoClient>, version: ProtocolVersion) -> Self {
        Self { mosquitto: client.map(|client| (client, version)), ..self }
    }

    /// Whether mosquitto's words are spoken.
    pub const fn is_mosquitto(&self) -> bool {
        self.mosquitto.is_some()
    }

    /// An error between us and the broker, with the broker's own words and the next step where there are any. What
    /// comes back is how the tool ends for it.
    pub fn client_error(&self, error: &ClientError) -> ExitStatus {
        if let Some((client, version)) = self.mosquitto {
            let ending = ending(error, client, version);
            self.verbatim(&ending.stderr);
            return ending.status;
        }
        let mut text = format!("Error: {}\n", message(&error.to_string()));
        if let Some(reason) = error.reason_string() {
            text.push_str(&format!("The broker says: {}\n", message(reason)));
        }
        if let Some(hint) = error.hint(self.facts) {
            text.push_str(&format!("Hint: {}\n", message(&hint)));
        }
        self.write(&text);
        error.exit_status()
    }

    /// Lines of mosquitto's, with their newlines.
    pub fn verbatim(&self, lines: &str) {
        self.write(&escape_lines(lines));
    }

    /// Another error.
    pub fn error(&self, text: impl Display) {
        self.write(&format!("Error: {}\n", message(&text.to_string())));
    }

    /// Something that does not end the work. mosquitto says nothing of it.
    pub fn warning(&self, text: impl Display) {
        if self.is_mosquitto() {
            return;
        }
        self.write(&format!("Warning: {}\n", message(&text.to_string())));
    }

    /// What to do about what was said before.
    pub fn hint(&self, text: impl Display) {
        if self.is_mosquitto() {
            return;
        }
        self.write(&format!("Hint: {}\n", message(&text.to_string())));
    }

    /// Good news about something that was warned of. mosquitto says nothing of it.
    pub fn note(&self, text: impl Display) {
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
