//! The way from argv to a tool's options: options files in front, clap, what options mean together.

use std::ffi::OsString;
use std::fmt::Write;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, FromArgMatches};

use super::arguments::{Answer, Arguments, OptionTable, Walked};
use super::connection::Positions;
use super::environment::PASSWORD_VARIABLE;
use super::usage_error::fault_of_clap;
use super::{ConnectionOptions, Environment, JobCommand, Tool, UsageError, options_file};
use crate::terminal::escape;

/// What a command line asks for.
#[derive(Debug)]
pub enum Reading<T> {
    /// To do the tool's work.
    Options(Box<T>),
    /// Help or version: this text on stdout, and exit status 0.
    Answer(String),
}

/// The options of one tool, as the reader sees them.
pub(super) trait ToolOptions: FromArgMatches {
    /// Whose options they are.
    const TOOL: &'static Tool;

    /// Takes which option came after which, and warnings for the user; none for a tool that is no client.
    fn connection(&mut self) -> Option<&mut ConnectionOptions> {
        None
    }

    /// What is wrong between the tool's own options.
    fn faults(&self) -> Vec<String>;
}

/// Reads argv, the program's name included.
pub(super) fn read<T: ToolOptions>(
    environment: &Environment,
    argv: impl IntoIterator<Item = OsString>,
) -> Result<Reading<T>, UsageError> {
    let tool = T::TOOL;
    let command = tool.bare_command();
    let arguments = match gather(tool, &command, environment, argv)? {
        Gathered::Answer(text) => return Ok(Reading::Answer(text)),
        Gathered::Arguments(arguments) => arguments,
    };
    let GatheredArguments { arguments, warnings, config } = arguments;
    let mut options: T = parse(command, arguments)?;
    if let Some(connection) = options.connection() {
        connection.warnings = warnings;
    }
    Ok(match config {
        Some(text) => Reading::Answer(text),
        None => Reading::Options(Box::new(options)),
    })
}

/// A command line, taken apart for a job file. It was read before, so that only what a job file cannot hold is an error.
///
/// # Errors
/// What must not be in a job file.
pub(super) fn job_command(
    tool: &Tool,
    environment: &Environment,
    argv: impl IntoIterator<Item = OsString>,
) -> Result<JobCommand, UsageError> {
    let command = tool.bare_command();
    let table = OptionTable::of(&command);
    let walked = table.walk(argv.into_iter().skip(1));
    let options_file = walked.options_files.first().cloned();
    let sources = sources(tool, &command, &table, environment, walked)?.sources;
    JobCommand::of(&command, &table, sources, options_file.as_deref())
}

/// What argv became.
#[derive(Debug)]
enum Gathered {
    /// Help or version.
    Answer(String),
    /// What is to be read.
    Arguments(GatheredArguments),
}

/// The command line behind the options files and profiles.
#[derive(Debug)]
struct GatheredArguments {
    /// The tool's name first.
    arguments: Vec<OsString>,
    /// Warnings for the user.
    warnings: Vec<String>,
    /// What `--show-config` prints, where it is given.
    config: Option<String>,
}

/// Puts argv and the options files together.
fn gather(
    tool: &Tool,
    command: &Command,
    environment: &Environment,
    argv: impl IntoIterator<Item = OsString>,
) -> Result<Gathered, UsageError> {
    let table = OptionTable::of(command);
    let walked = table.walk(argv.into_iter().skip(1));
    if let Some(answer) = walked.answer {
        return Ok(Gathered::Answer(match answer {
            Answer::Help => tool.command().render_help().to_string(),
            Answer::Version => command.render_version(),
        }));
    }
    let shows_config = walked.shows_config;
    let mut of_files = sources(tool, command, &table, environment, walked)?;
    let config = shows_config.then(|| config(&of_files.sources, &table, environment));
    let warnings = std::mem::take(&mut of_files.warnings);
    let arguments = std::iter::once(OsString::from(tool.name)).chain(of_files.into_arguments()).collect();
    Ok(Gathered::Arguments(GatheredArguments { arguments, warnings, config }))
}

/// The arguments by source: options files, profiles, the command line.
fn sources(
    tool: &Tool,
    command: &Command,
    table: &OptionTable<'_>,
    environment: &Environment,
    walked: Walked,
) -> Result<Arguments, UsageError> {
    UsageError::check(tool.name, walked.faults)?;
    let of_files = match table.short('o') {
        // A tool without -o has no options files.
        None => Ok(Arguments::default()),
        Some(_) => match walked.options_files.as_slice() {
            [] => options_file::read_default(tool, command, table, environment),
            [file] => options_file::read_named(file.as_ref(), command, table, environment),
            _ => Err(vec!["-o is given twice: only one options file is read".into()]),
        },
    };
    let mut faults = Vec::new();
    let mut of_files = of_files.map_err(|wrong| faults.extend(wrong)).unwrap_or_default();
    if let Some(read) = tool.profile_reader {
        for name in &walked.profiles {
            match read(&name.to_string_lossy(), tool, command, table, environment) {
                Ok(source) => of_files.sources.push(source),
                Err(wrong) => faults.extend(wrong),
            }
        }
    }
    UsageError::check(tool.name, faults)?;
    of_files.sources.push(("the command line".to_owned(), walked.arguments));
    if tool.replaces_topics {
        replace_topics(&mut of_files.sources, table);
    }
    Ok(of_files)
}

/// Leaves the topics of the last source that has any: to publish to those of an options file too would be a surprise.
fn replace_topics(sources: &mut [(String, Vec<OsString>)], table: &OptionTable<'_>) {
    let Some(last) = sources.iter().rposition(|(_, arguments)| table.names_topic(arguments)) else { return };
    for (_, arguments) in &mut sources[..last] {
        if table.names_topic(arguments) {
            *arguments = table.without_topics(arguments);
        }
    }
}

/// The options by source, one per line, secrets masked. Except for options that may be repeated, a later one overrides
/// an earlier one.
fn config(sources: &[(String, Vec<OsString>)], table: &OptionTable<'_>, environment: &Environment) -> String {
    let mut text = String::new();
    for (source, arguments) in sources {
        let _ = writeln!(text, "# {}", escape(source));
        for line in table.shown(arguments).iter().filter(|line| *line != "--show-config") {
            let _ = writeln!(text, "{}", escape(line));
        }
    }
    if environment.variable(PASSWORD_VARIABLE).is_some() {
        let _ = writeln!(
            text,
            "# the environment; used with a user name and without another password\n{PASSWORD_VARIABLE}=***"
        );
    }
    text
}

/// Lets clap read, and checks what the options mean together.
fn parse<T: ToolOptions>(mut command: Command, arguments: Vec<OsString>) -> Result<T, UsageError> {
    let tool = T::TOOL;
    let refused = |error: clap::Error| UsageError::new(tool.name, vec![fault_of_clap(error)]);
    let mut matches = command.try_get_matches_from_mut(&arguments).map_err(|error| match error.kind() {
        ErrorKind::InvalidUtf8 => {
            let command = tool.bare_command();
            let which = OptionTable::of(&command).not_utf8(&command, arguments.get(1..).unwrap_or_default());
            UsageError::new(tool.name, vec![which.unwrap_or_else(|| fault_of_clap(error))])
        }
        _ => refused(error),
    })?;
    // Thousands of small pieces, once in a process: to take them apart would cost a sending tool a part of its time.
    std::mem::forget(command);
    let positions = positions(&matches);
    let mut options = T::from_arg_matches_mut(&mut matches).map_err(refused)?;
    if let Some(connection) = options.connection() {
        connection.positions = positions;
    }
    UsageError::check(tool.name, options.faults())?;
    Ok(options)
}

fn positions(matches: &ArgMatches) -> Positions {
    matches
        .ids()
        .filter(|id| matches.value_source(id.as_str()) == Some(clap::parser::ValueSource::CommandLine))
        .filter_map(|id| Some((id.as_str().to_owned(), matches.indices_of(id.as_str())?.max()?)))
        .collect()
}
