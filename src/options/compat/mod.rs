//! The command line of mosquitto_pub, mosquitto_sub and mosquitto_rr, for whoever calls mqpub, mqsub and mqrr by these
//! names or with `--compat` in front: mosquitto 2.1's grammar, its texts, its exit status 1.
//!
//! It checks arguments one by one, as mosquitto does, and translates them to the options of our own tools, so that
//! everything after parsing is shared.

mod format;
mod given;
mod grammar;
mod numbers;
mod options_file;
pub(super) mod payload;
mod property;
mod refusal;
mod relations;
mod text;
mod translation;
mod url;

#[cfg(test)]
mod tests;

pub(super) use self::grammar::Flag;
pub(super) use self::translation::{ClientOptions, Translation};

use std::ffi::{OsStr, OsString};
use std::path::Path;

use self::given::{Given, Stop};
use self::grammar::Answer;
use self::refusal::Refusal;
use super::reading::{self, Reading, ToolOptions};
use super::{Environment, Tool, UsageError};
use crate::client::mosquitto::MosquittoClient;

/// The version of mosquitto that is emulated.
pub const MOSQUITTO_VERSION: &str = "2.1.2";

/// The name of mosquitto's client, and the arguments behind it, where argv asks for that client.
pub(super) fn asked_for(tool: &Tool, argv: &[OsString]) -> Option<(&'static str, Vec<OsString>)> {
    let name = tool.mosquitto_name?;
    Some((name, arguments_of(name, argv)?))
}

/// The arguments of a command line that calls this program of mosquitto, by its name or with `--compat` in front.
pub(super) fn arguments_of(name: &str, argv: &[OsString]) -> Option<Vec<OsString>> {
    match argv {
        [program, rest @ ..] if Path::new(program).file_stem() == Some(OsStr::new(name)) => Some(rest.to_vec()),
        [_, first, rest @ ..] if first == "--compat" => Some(rest.to_vec()),
        _ => None,
    }
}

/// Reads argv of a tool that mosquitto has a client for, the program's name included: as that client does, where it
/// asks for it.
pub(super) fn read<T: ClientOptions + ToolOptions>(
    environment: &Environment,
    argv: impl IntoIterator<Item = OsString>,
) -> Result<Reading<T>, UsageError> {
    let argv: Vec<OsString> = argv.into_iter().collect();
    let Some((name, arguments)) = asked_for(T::TOOL, &argv) else { return reading::read(environment, argv) };
    let given = given(T::TOOL, T::CLIENT, name, environment, &arguments)?;
    let options: Result<T, _> = Translation::options(given);
    let checked = options.and_then(|options| match options.faults() {
        faults if faults.is_empty() => Ok(options),
        faults => Err(faults),
    });
    let checked = checked.map_err(|faults| UsageError::new(T::TOOL.name, faults).under_mosquittos_name());
    Ok(Reading::Options(Box::new(checked?)))
}

/// What was given, once it has passed mosquitto's checks.
fn given(
    tool: &'static Tool,
    client: MosquittoClient,
    name: &'static str,
    environment: &Environment,
    argv: &[OsString],
) -> Result<Given, UsageError> {
    let mut given = Given::nothing(client);
    let read = options_file::read(&mut given, client, environment, name, argv)
        .and_then(|()| given.read(client, argv))
        .and_then(|()| relations::check(client, &given, environment).map_err(Stop::from))
        .and_then(|()| resolve_bind(&mut given, environment).map_err(Stop::from));
    match read {
        Ok(()) => Ok(given),
        Err(Stop::Answer(Answer::Help)) => {
            Err(UsageError::compatible(tool.name, String::new(), usage(tool, name, client)))
        }
        Err(Stop::Answer(Answer::Version)) => {
            Err(UsageError::compatible(tool.name, String::new(), version(tool, name)))
        }
        Err(Stop::Refused(refusal)) => {
            let output = refusal.output(name, given.flags.has(Flag::Quiet));
            let stdout = if output.usage { usage(tool, name, client) } else { String::new() };
            Err(UsageError::compatible(tool.name, output.stderr, stdout))
        }
    }
}

/// mosquitto looks a name behind `-A` up; our `-A` takes addresses.
fn resolve_bind(given: &mut Given, environment: &Environment) -> Result<(), Refusal> {
    if let Some(bind) = &given.bind {
        let address = environment.address_of(&bind.to_string_lossy());
        let address = address.ok_or_else(|| Refusal::setting("Unable to connect (Lookup error.)."))?;
        given.bind = Some(address.to_string().into());
    }
    Ok(())
}

fn version(tool: &Tool, name: &str) -> String {
    format!("{name} version {MOSQUITTO_VERSION} running on {} {}.\n", tool.name, env!("CARGO_PKG_VERSION"))
}

/// Options whose help text differs here.
const DIFFERENT_HELP: &[(&str, &str)] = &[
    ("pw", "Password; it is visible in the process list"),
    ("keepalive", "Keep Alive in seconds, 5 to 65535 [default: 60]"),
    ("response_topic", "Topic for the response"),
    ("latency", "Print the latency of the response on stdout"),
    ("no_retained", "Do not print retained messages"),
    ("timeout", "Exit with status 27 after this many seconds (a whole number)"),
    ("debug", "Log each packet to stdout"),
    ("max_inflight", "Maximum number of QoS 1 and 2 messages in flight [default: 20]"),
    ("id_prefix", "Use PREFIX and the process ID as the client identifier"),
    ("repeat_delay", "Wait this many seconds between repetitions"),
];

/// Our own help, without the options that mosquitto has not.
fn usage(tool: &Tool, name: &'static str, client: MosquittoClient) -> String {
    let command = (tool.definition)();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let command = command
        .name(name)
        .bin_name(name)
        .about(format!("{about}, as {name} {MOSQUITTO_VERSION} does.\n{}", version(tool, name).trim_end()))
        .mut_args(|argument| {
            let short = argument.get_short().map(|letter| format!("-{letter}"));
            let long = argument.get_long().map(|long| format!("--{long}"));
            let known = [short, long].into_iter().flatten().any(|name| grammar::find(client, &name).is_some());
            let differs = DIFFERENT_HELP.iter().find(|(id, _)| argument.get_id() == id);
            match differs {
                Some((_, help)) => argument.hide(!known).help(*help).default_value(None),
                None => argument.hide(!known),
            }
        });
    let mut command = command;
    command.render_help().to_string()
}
