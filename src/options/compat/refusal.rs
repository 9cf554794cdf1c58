//! How mosquitto's clients refuse a command line: the text on stderr, its blank lines and what follows it.

/// Why a command line is refused. Texts have no newline at their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    text: String,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The pointer to `--help` after one blank line.
    Tight,
    /// The pointer to `--help` after two blank lines.
    Spaced,
    /// Nothing; `--quiet` silences the text.
    Setting,
    /// Nothing.
    Alone,
    /// The usage on stdout.
    Usage,
}

/// A refusal as bytes for the two streams.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Output {
    /// For stderr.
    pub stderr: String,
    /// Whether the usage goes to stdout.
    pub usage: bool,
}

impl Refusal {
    /// Of an argument, with one blank line before the pointer to `--help`.
    pub(super) fn tight(text: impl Into<String>) -> Self {
        Self { text: text.into(), ending: Ending::Tight }
    }

    /// Of an argument, with two blank lines before the pointer to `--help`.
    pub(super) fn spaced(text: impl Into<String>) -> Self {
        Self { text: text.into(), ending: Ending::Spaced }
    }

    /// Of a setting that is found wrong when the client is set up.
    pub(super) fn setting(text: impl Into<String>) -> Self {
        Self { text: text.into(), ending: Ending::Setting }
    }

    /// Text and nothing else.
    pub(super) fn alone(text: impl Into<String>) -> Self {
        Self { text: text.into(), ending: Ending::Alone }
    }

    /// Text on stderr and the usage on stdout.
    pub(super) fn with_usage(text: impl Into<String>) -> Self {
        Self { text: text.into(), ending: Ending::Usage }
    }

    /// What goes where.
    pub(super) fn output(self, mosquitto_name: &str, quiet: bool) -> Output {
        let text = self.text;
        let pointer = format!("\nUse '{mosquitto_name} --help' to see usage.\n");
        let stderr = match self.ending {
            // A text may be empty: some errors have only the pointer.
            Ending::Tight if text.is_empty() => pointer,
            Ending::Tight => format!("{text}\n{pointer}"),
            Ending::Spaced => format!("{text}\n\n{pointer}"),
            Ending::Setting if quiet => String::new(),
            Ending::Setting | Ending::Alone | Ending::Usage => format!("{text}\n"),
        };
        Output { stderr, usage: self.ending == Ending::Usage }
    }
}
