//! What was wrong with the command line, in the user's words.

use std::fmt;
use std::io::{self, Write};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::exit_status::ExitStatus;
use crate::terminal::{escape_lines, message, quoted};

/// One or more faults of a command line. Its text is what stderr gets, without a newline at the end; it begins with
/// `Error: ` itself.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError {
    tool: &'static str,
    faults: Vec<String>,
    compatible: Option<Compatible>,
}

/// The words of mosquitto, for whoever called us by its name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Compatible {
    stderr: String,
    stdout: String,
}

impl UsageError {
    /// Makes an error of a tool's faults.
    pub fn new(tool: &'static str, faults: Vec<String>) -> Self {
        Self { tool, faults, compatible: None }
    }

    /// A command line that mosquitto's client refuses, or answers: its words for stderr and stdout, newlines included.
    pub(super) fn compatible(tool: &'static str, stderr: String, stdout: String) -> Self {
        Self { tool, faults: Vec::new(), compatible: Some(Compatible { stderr, stdout }) }
    }

    /// The same faults under mosquitto's name: without our pointer to `--help`, and with its exit status.
    #[must_use]
    pub fn under_mosquittos_name(mut self) -> Self {
        if self.compatible.is_none() {
            let stderr = self.faults.iter().map(|fault| with_hint(fault) + "\n").collect();
            self.compatible = Some(Compatible { stderr, stdout: String::new() });
        }
        self
    }

    /// Other words of mosquitto's for stderr, newlines included.
    pub(super) fn replaced_by_mosquittos(self, stderr: String) -> Self {
        Self::compatible(self.tool, stderr, String::new())
    }

    /// What stdout gets: nothing, but for mosquitto's name, where usage and version end with exit status 1.
    pub fn stdout(&self) -> &str {
        self.compatible.as_ref().map_or("", |compatible| &compatible.stdout)
    }

    /// Prints it to stderr and stdout and returns the exit status. A closed pipe is not an error.
    pub fn report(&self) -> ExitStatus {
        let text = self.to_string();
        if !text.is_empty() {
            let _ = writeln!(io::stderr(), "{text}");
        }
        let _ = io::stdout().write_all(self.stdout().as_bytes());
        self.exit_status()
    }

    /// Ends with an error if there are faults.
    pub fn check(tool: &'static str, faults: Vec<String>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self::new(tool, faults)) }
    }

    /// Joins the faults of a second error.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.faults.extend(other.faults);
        self
    }

    /// The faults, one by one.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// The number for the shell.
    pub const fn exit_status(&self) -> ExitStatus {
        if self.compatible.is_some() { ExitStatus::Compatible(1) } else { ExitStatus::Usage }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(compatible) = &self.compatible {
            let stderr = escape_lines(&compatible.stderr);
            return f.write_str(stderr.strip_suffix('\n').unwrap_or(&stderr));
        }
        let faults: Vec<String> = self.faults.iter().map(|fault| with_hint(fault)).collect();
        f.write_str(&faults.join("\n"))?;
        // A hint is the next step.
        if self.faults.iter().all(|fault| fault.contains(HINT)) {
            return Ok(());
        }
        write!(f, "\n\nTry '{} --help'.", self.tool)
    }
}

impl std::error::Error for UsageError {}

/// Begins the hint of a fault that has one.
pub(super) const HINT: &str = "\nHint: ";

/// A fault, and its hint on its own line.
fn with_hint(fault: &str) -> String {
    match fault.split_once(HINT) {
        Some((fault, hint)) => format!("Error: {}{HINT}{}", message(fault), message(hint)),
        None => format!("Error: {}", message(fault)),
    }
}

/// Options whose invalid values are not printed: -pSECRET is easily typed for -PSECRET, and hosts may be given with user
/// and password.
const MAY_HOLD_SECRET: [&str; 2] = ["--port ", "--hosts "];

/// What clap found, with its tips and without its usage lines.
pub(super) fn fault_of_clap(mut error: clap::Error) -> String {
    quote_values(&mut error);
    if let (ErrorKind::ValueValidation, Some(option), Some(cause)) =
        (error.kind(), invalid_option(&error), std::error::Error::source(&error))
        && MAY_HOLD_SECRET.iter().any(|name| option.starts_with(name))
    {
        return format!("invalid value for '{option}': {cause}");
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let mut lines: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    let missing_value = error.kind() == ErrorKind::InvalidValue
        && matches!(error.get(ContextKind::InvalidValue), Some(ContextValue::String(value)) if value.is_empty());
    if missing_value && invalid_option(&error).is_some_and(|option| option.starts_with("--topic ")) {
        lines.push("  tip: an unquoted # starts a comment in the shell: write -t '#'");
    }
    // `-- -n` would not help: no tool takes it.
    lines.retain(|line| !line.contains("as a value, use '-- "));
    lines.join("\n")
}

fn invalid_option(error: &clap::Error) -> Option<&str> {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) => Some(option),
        _ => None,
    }
}

/// What an error repeats of the command line is made safe before clap puts it into a sentence: clap takes escape
/// sequences out, so that they would be wrong and yet not be seen, and has no limit.
fn quote_values(error: &mut clap::Error) {
    let quoted_value = |value: &ContextValue| match value {
        ContextValue::String(text) => Some(ContextValue::String(quoted(text))),
        ContextValue::Strings(texts) => Some(ContextValue::Strings(texts.iter().map(|text| quoted(text)).collect())),
        _ => None,
    };
    let values: Vec<_> = error
        .context()
        .filter_map(|(kind, value)| Some((kind, quoted_value(value).filter(|new| new != value)?)))
        .collect();
    for (kind, value) in values {
        error.insert(kind, value);
    }
}

#[cfg(test)]
mod tests {
    use crate::options::{Environment, PublishOptions, SubscribeOptions};

    fn refused(arguments: &[&str]) -> String {
        let environment = Environment::fixed([], []);
        let argv = ["mqsub"].iter().chain(arguments).map(Into::into);
        SubscribeOptions::read(&environment, argv).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn an_error_never_repeats_what_a_terminal_acts_on() {
        for hostile in ["\x1b[31mred", "\u{9b}2J", "a\nError: forged", "\u{202e}txt", "\x07"] {
            let file = format!("/none/{hostile}");
            for arguments in [
                &["-t", "x", "--bogus", hostile][..],
                &[&format!("--bogus{hostile}")],
                &["-t", "x", "-q", hostile],
                &["-t", "x", "-V", hostile],
                &["-t", &format!("#{hostile}")],
                &["-t", "x", "-F", &format!("%{hostile}")],
                &["-o", &file, "-t", "x"],
                &["-t", "x", hostile],
                &["-L", &format!("{hostile}://h/t")],
                &["-t", "x", "-D", hostile, "b", "c"],
            ] {
                let text = refused(arguments);
                let acting = text.chars().find(|c| *c != '\n' && (c.is_control() || matches!(c, '\u{202e}')));
                assert_eq!(acting, None, "{arguments:?}: {text}");
                assert!(!text.contains("\nError: forged"), "{arguments:?}: {text}");
            }
        }
        assert!(refused(&["-t", "x", "-q", "\x1b[31m"]).contains("invalid value '\\u{1b}[31m' for '--qos <QOS>'"));
    }

    #[test]
    fn an_error_is_not_as_long_as_its_argument() {
        let long = "A".repeat(65_536);
        for arguments in [&[long.as_str()][..], &["-t", "x", "-q", &long], &["-t", &format!("#{long}")]] {
            let text = refused(arguments);
            assert!((1..2_000).contains(&text.len()) && text.contains("characters left out"), "{} bytes", text.len());
        }
        let argv = ["mosquitto_pub", "-t", "x", "-q", "\x1b"].iter().map(Into::into);
        let error = PublishOptions::read(&Environment::fixed([], []), argv).err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| !text.contains('\x1b')));
    }
}
