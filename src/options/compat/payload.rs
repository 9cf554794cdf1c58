//! A message that cannot be loaded: mosquitto's clients find it before they look at topics, users and TLS.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use super::given::{Given, Payload};
use super::refusal::Refusal;
use crate::options::{Environment, GeneralOptions, MessageOptions, UsageError};
use crate::terminal::escape;

/// ENOENT.
const NO_SUCH_FILE: i32 = 2;

/// The payload of stdin when nothing is there.
pub const EMPTY_STDIN: &str = "Error: Zero length input.\nError loading input from stdin.\n";

/// What mosquitto's clients print about a file that they cannot read.
pub fn unreadable_file(file: &Path, error: &io::Error) -> String {
    let name = escape(&file.to_string_lossy()).into_owned();
    let cause = error.to_string();
    let cause = cause.split(" (os error ").next().unwrap_or_default();
    format!("Error: Unable to read file \"{name}\": {cause}.\nError loading input file \"{name}\".\n")
}

/// Why the message cannot be loaded. It is for a command line that is wrong anyway: stdin is read up.
fn fault(file: Option<&OsStr>, stdin: bool, environment: &Environment) -> Option<String> {
    if stdin {
        return environment.stdin_is_empty().then(|| EMPTY_STDIN.to_owned());
    }
    let file = Path::new(file?);
    environment.check_file(file).err().map(|error| unreadable_file(file, &error))
}

/// Why the message that was given cannot be loaded.
pub(super) fn refusal(given: &Given, environment: &Environment) -> Option<Refusal> {
    let file = match &given.payload {
        Some(Payload::File(file)) => Some(file.as_os_str()),
        _ => None,
    };
    let text = fault(file, given.payload == Some(Payload::Stdin), environment)?;
    Some(Refusal::setting(text.trim_end()))
}

/// Whether the file of the message has a name.
pub(super) fn check_name(given: &Given) -> Result<(), Refusal> {
    match &given.payload {
        Some(Payload::File(file)) if file.is_empty() => {
            let text = unreadable_file(Path::new(file), &io::Error::from_raw_os_error(NO_SUCH_FILE));
            Err(Refusal::setting(text.trim_end()))
        }
        _ => Ok(()),
    }
}

/// The error of a command line whose plan fails, in the words of the client whose policy it has. mosquitto's clients
/// first report a message that cannot be loaded.
pub fn fault_of_plan(
    error: UsageError,
    general: &GeneralOptions,
    message: Option<&MessageOptions>,
    environment: &Environment,
) -> UsageError {
    if general.policy.mosquitto.is_none() {
        return error;
    }
    let unloadable = message.and_then(|MessageOptions { file, stdin_file, .. }| {
        fault(file.as_deref().map(Path::as_os_str), *stdin_file, environment)
    });
    match unloadable {
        Some(text) => error.replaced_by_mosquittos(if general.quiet { String::new() } else { text }),
        None => error.under_mosquittos_name(),
    }
}
