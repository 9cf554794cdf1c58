//! The command line of mosquitto_pub, mosquitto_sub and mosquitto_rr, for whoever calls mqpub, mqsub and mqrr by these
//! names or with `--compat` in front: mosquitto 2.1's grammar, its texts, its exit status 1.
//!
//! It judges as mosquitto does, argument by argument, and then says the same thing in the words of our own options, so
//! that everything behind this reader is shared.

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

use std::ffi::{OsStr, OsString};
use std::path::Path;

use self::given::{Given, Stop};
use self::grammar::{Answer, Client, Flag};
use self::refusal::Refusal;
use super::{Environment, Tool, UsageError};

/// The version of mosquitto whose behaviour this is.
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

/// Arguments for clap, our tool's name first.
pub(super) fn read(
    tool: &'static Tool,
    name: &'static str,
    environment: &Environment,
    argv: &[OsString],
) -> Result<Vec<OsString>, UsageError> {
    let client = match name {
        "mosquitto_pub" => Client::Publish,
        "mosquitto_rr" => Client::Request,
        _ => Client::Subscribe,
    };
    let mut given = Given::nothing(client);
    let read = options_file::read(&mut given, client, environment, name, argv)
        .and_then(|()| given.read(client, argv))
        .and_then(|()| relations::check(client, &given, environment).map_err(Stop::from))
        .and_then(|()| resolve_bind(&mut given, environment).map_err(Stop::from));
    match read {
        Ok(()) => {}
        Err(Stop::Answer(Answer::Help)) => {
            return Err(UsageError::compatible(tool.name, String::new(), usage(tool, name, client)));
        }
        Err(Stop::Answer(Answer::Version)) => {
            return Err(UsageError::compatible(tool.name, String::new(), version(tool, name)));
        }
        Err(Stop::Refused(refusal)) => {
            let output = refusal.output(name, given.flags.has(Flag::Quiet));
            let stdout = if output.usage { usage(tool, name, client) } else { String::new() };
            return Err(UsageError::compatible(tool.name, output.stderr, stdout));
        }
    }
    let mut arguments = vec![OsString::from(tool.name)];
    arguments.extend(translation::arguments(client, given));
    Ok(arguments)
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

/// Options of which our own help says what is not so here.
const DIFFERENT_HELP: &[(&str, &str)] = &[
    ("pw", "Password; others can see it in the list of processes"),
    ("keepalive", "Keep Alive in seconds, 5 to 65535 [default: 60]"),
    ("response_topic", "Topic on which the response is to come"),
    ("latency", "Tell how long the response took, on stdout"),
    ("no_retained", "Leave retained messages out"),
    ("timeout", "Exit with 27 after so many whole seconds"),
    ("debug", "Log what happens on stdout"),
    ("max_inflight", "Most messages of QoS 1 and 2 in flight [default: 20]"),
    ("id_prefix", "Client identifier of PREFIX and the process number"),
    ("repeat_delay", "Wait so many seconds between repetitions"),
];

/// Our own help, without the options that mosquitto has not.
fn usage(tool: &Tool, name: &'static str, client: Client) -> String {
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
