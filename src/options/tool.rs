//! The tools that have options, as data: name, clap definition, and the texts behind the options.

use std::ffi::OsString;
use std::fmt::Write;

use clap::Command;

use super::Environment;
use super::arguments::OptionTable;
use super::sections::{self, Section};

/// Reads the arguments of the profile of this name, and where they come from.
pub(super) type ProfileReader =
    fn(&str, &Tool, &Command, &OptionTable<'_>, &Environment) -> Result<(String, Vec<OsString>), Vec<String>>;

/// A tool of the suite.
#[derive(Debug)]
pub struct Tool {
    /// The name under which it is called.
    pub name: &'static str,
    /// The tool of mosquitto whose options file it reads too.
    pub(super) mosquitto_name: Option<&'static str>,
    /// Topics on the command line replace those of the options files, and those of a later file the ones before;
    /// without it they are all used.
    pub(super) replaces_topics: bool,
    /// EXAMPLES, EXIT STATUS, FILES, ENVIRONMENT and SEE ALSO.
    pub sections: &'static [Section],
    pub(super) definition: fn() -> Command,
    /// What reads a profile; none where there is no `--profile`. A profile knows the options of all tools, and a tool
    /// without profiles is smaller without them.
    pub(super) profile_reader: Option<ProfileReader>,
}

impl Tool {
    /// The clap definition, with the verbs in front of the options and the sections behind them.
    pub fn command(&self) -> Command {
        let command = self.bare_command();
        let verbs = verbs_of(&command);
        let command = command.after_help(sections::as_help(self.sections));
        if verbs.is_empty() {
            return command;
        }
        let mut template = "{about-with-newline}\n{usage-heading} {usage}\n\nVerbs:\n".to_owned();
        for (name, text) in verbs {
            let _ = writeln!(template, "  {name:<9}{text}");
        }
        command.help_template(template + "\n{all-args}{after-help}")
    }

    /// The clap definition without the texts around the options. It is all that reading argv takes, and it is read
    /// every time that a message is sent.
    pub(super) fn bare_command(&self) -> Command {
        (self.definition)()
    }

    /// What the first word may be, each with what it does; without one the first entry holds. Empty for a tool without
    /// verbs.
    pub fn verbs(&self) -> Vec<(String, String)> {
        verbs_of(&self.bare_command())
    }
}

fn verbs_of(command: &Command) -> Vec<(String, String)> {
    let Some(verb) = command.get_positionals().next() else { return Vec::new() };
    let none = ("(none)".to_owned(), "Flood the broker, then measure latency at half of that rate".to_owned());
    let named = verb
        .get_possible_values()
        .into_iter()
        .map(|value| (value.get_name().to_owned(), value.get_help().map(ToString::to_string).unwrap_or_default()));
    std::iter::once(none).chain(named).collect()
}
