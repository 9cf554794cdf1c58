//! The tools that have options, as data: name, clap definition, and the texts behind the options.

use std::fmt::Write;

use clap::{Command, CommandFactory};

use super::sections::{self, Section};
use super::{BenchOptions, BrokerOptions, PublishOptions, RequestOptions, SubscribeOptions};

/// A tool of the suite.
#[derive(Debug)]
pub struct Tool {
    /// The name under which it is called.
    pub name: &'static str,
    /// The tool of mosquitto whose options file it reads too.
    pub(super) mosquitto_name: Option<&'static str>,
    /// EXAMPLES, EXIT STATUS, FILES, ENVIRONMENT and SEE ALSO.
    pub sections: &'static [Section],
    pub(super) definition: fn() -> Command,
}

/// mqpub.
pub static PUBLISH: Tool = Tool {
    name: "mqpub",
    mosquitto_name: Some("mosquitto_pub"),
    sections: sections::PUBLISH,
    definition: <PublishOptions as CommandFactory>::command,
};

/// mqsub.
pub static SUBSCRIBE: Tool = Tool {
    name: "mqsub",
    mosquitto_name: Some("mosquitto_sub"),
    sections: sections::SUBSCRIBE,
    definition: <SubscribeOptions as CommandFactory>::command,
};

/// mqrr.
pub static REQUEST: Tool = Tool {
    name: "mqrr",
    mosquitto_name: Some("mosquitto_rr"),
    sections: sections::REQUEST,
    definition: RequestOptions::definition,
};

/// mqbench.
pub static BENCH: Tool = Tool {
    name: "mqbench",
    mosquitto_name: None,
    sections: sections::BENCH,
    definition: <BenchOptions as CommandFactory>::command,
};

/// mqbroker.
pub static BROKER: Tool = Tool {
    name: "mqbroker",
    mosquitto_name: None,
    sections: sections::BROKER,
    definition: <BrokerOptions as CommandFactory>::command,
};

/// All of them.
pub static TOOLS: [&Tool; 5] = [&PUBLISH, &SUBSCRIBE, &REQUEST, &BENCH, &BROKER];

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
            let _ = writeln!(template, "  {name:<8}{text}");
        }
        command.help_template(template + "\n{all-args}{after-help}")
    }

    /// The clap definition without the texts around the options. It is all that reading argv takes, and it is read every
    /// time that a message is sent.
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
