//! Profiles: named sets of options in one TOML file for all client tools, inserted before argv like an options file.
//!
//! ```toml
//! [prod]
//! host = "broker.example"
//! tls = true
//! username = "app"
//! pw-file = "prod.password"
//!
//! [staging]
//! inherits = "prod"
//! host = "staging.example"
//!
//! [staging.mqsub]
//! qos = 1
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command, ValueHint};
use toml::{Table, Value};

use super::arguments::{Kind, OptionTable, joined};
use super::options_file::{check_exposure, folder, property_words};
use super::usage_error::fault_of_clap;
use super::{Environment, TOOLS, Tool};

/// Longest profiles file, bytes.
const LIMIT: u64 = 1 << 20;

/// The key by which a profile builds on others.
const INHERITS: &str = "inherits";

/// Where the profiles are.
fn file(environment: &Environment) -> Result<PathBuf, String> {
    let folder = folder(environment).ok_or("--profile: set HOME or XDG_CONFIG_HOME, the place of the profiles")?;
    Ok(folder.join("mqtools").join("profiles.toml"))
}

/// The arguments of a profile, and where they come from. It has to be there.
///
/// # Errors
/// All faults, each with the file, the profile and the key.
pub(super) fn read(
    name: &str,
    tool: &Tool,
    command: &Command,
    table: &OptionTable<'_>,
    environment: &Environment,
) -> Result<(String, Vec<OsString>), Vec<String>> {
    let path = file(environment).map_err(|fault| vec![fault])?;
    let shown = path.display();
    let one = |fault: String| vec![fault];
    let content = environment.read_file(&path, LIMIT).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => one(format!(
            "--profile {name}: there is no file '{shown}': create it with a section [{name}] and, for example, host = \
             \"broker.example\""
        )),
        _ => one(format!("--profile {name}: cannot read '{shown}': {error}")),
    })?;
    let text = String::from_utf8(content).map_err(|_| one(format!("'{shown}' is not UTF-8")))?;
    let profiles: Table = text.parse().map_err(|error: toml::de::Error| {
        // Not the error's own text, which quotes the line: it may hold a password.
        let line = error.span().map_or(1, |span| 1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count());
        one(format!("{shown}:{line}: {}", error.message()))
    })?;
    let mut options = Vec::new();
    collect(name, &profiles, tool, &mut Vec::new(), &mut options).map_err(|fault| one(format!("{shown}: {fault}")))?;
    let (mut arguments, mut faults) = (Vec::new(), Vec::new());
    for (key, value) in &options {
        match arguments_of(key, value, command, table, &path, environment) {
            Ok(Some(more)) => arguments.extend(more),
            Ok(None) if has_another_tool(key) => {}
            Ok(None) => {
                let similar = similar(command, key).map(|name| format!("; '{name}' is similar")).unwrap_or_default();
                faults.push(format!("{shown}: [{name}] {key}: no tool has this option{similar}"));
            }
            Err(fault) => faults.push(format!("{shown}: [{name}] {key}: {fault}")),
        }
    }
    check_exposure("the password or token in the profiles file", &path, &arguments, table, environment).map_err(one)?;
    if faults.is_empty() { Ok((format!("profile {name} in {shown}"), arguments)) } else { Err(faults) }
}

/// The option whose name is most like this one.
fn similar(command: &Command, key: &str) -> Option<String> {
    let error = command.clone().try_get_matches_from(["", &format!("--{key}")]).err()?;
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(name)) => Some(name.trim_start_matches('-').to_owned()),
        _ => None,
    }
}

/// Enters the options of a profile over those that it inherits, and over both those for this tool alone.
fn collect(
    name: &str,
    profiles: &Table,
    tool: &Tool,
    heirs: &mut Vec<String>,
    options: &mut Vec<(String, Value)>,
) -> Result<(), String> {
    if heirs.iter().any(|heir| heir == name) {
        return Err(format!("[{}] inherits itself: {} -> {name}", heirs[0], heirs.join(" -> ")));
    }
    let profile = match profiles.get(name) {
        Some(Value::Table(profile)) => profile,
        Some(_) => return Err(format!("{name} is no section: put its options below [{name}]")),
        None => {
            let known: Vec<&str> = profiles.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            let by = heirs.last().map_or(String::new(), |heir| format!(", which [{heir}] inherits"));
            return Err(format!("no profile '{name}'{by}; there is: {known}"));
        }
    };
    heirs.push(name.to_owned());
    let parents: Vec<&str> = match profile.get(INHERITS) {
        None => Vec::new(),
        Some(Value::String(parent)) => vec![parent],
        Some(Value::Array(parents)) => parents
            .iter()
            .map(|parent| parent.as_str().ok_or_else(|| format!("[{name}] {INHERITS}: a profile's name is a text")))
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(format!("[{name}] {INHERITS}: must be the name of a profile, or a list of names")),
    };
    for parent in parents {
        collect(parent, profiles, tool, heirs, options)?;
    }
    heirs.pop();
    let of_tool = |key: &str, value: &Value| value.is_table() && TOOLS.iter().any(|tool| tool.name == key);
    let for_all = profile.iter().filter(|(key, value)| *key != INHERITS && !of_tool(key, value));
    let for_tool = profile.get(tool.name).and_then(Value::as_table).into_iter().flatten();
    for (key, value) in for_all.chain(for_tool) {
        options.retain(|(inherited, _)| inherited != key);
        options.push((key.clone(), value.clone()));
    }
    Ok(())
}

/// What a key and its value are on the command line; `None` where the tool has no such option.
fn arguments_of(
    key: &str,
    value: &Value,
    command: &Command,
    table: &OptionTable<'_>,
    file: &Path,
    environment: &Environment,
) -> Result<Option<Vec<OsString>>, String> {
    let mut letters = key.chars();
    let (option, kind) = match (letters.next(), letters.next()) {
        (Some(letter), None) => (format!("-{letter}"), table.short(letter)),
        _ => (format!("--{key}"), table.long(key)),
    };
    let Some(kind) = kind else { return Ok(None) };
    if matches!(kind, Kind::Help | Kind::Version | Kind::OptionsFile | Kind::Profile | Kind::ShowConfig) {
        return Err("this option is not allowed in a profile".into());
    }
    let is_path = command.get_arguments().any(|argument| names(argument, key) && takes_path(argument));
    let values = match value {
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    };
    let mut arguments = Vec::new();
    for value in values {
        let text = match (value, kind) {
            (Value::Boolean(true), Kind::Flag | Kind::OptionalValue) => {
                arguments.push(option.clone().into());
                continue;
            }
            (Value::Boolean(false), Kind::Flag | Kind::OptionalValue) => continue,
            (_, Kind::Flag) => return Err("must be true or false".into()),
            (Value::String(text), _) if is_path => path_of(text, file, environment),
            (Value::String(text), _) => text.into(),
            (Value::Integer(number), _) => number.to_string().into(),
            (Value::Float(number), _) => number.to_string().into(),
            _ => return Err("must be a text, a number, or a list of them".into()),
        };
        if kind == Kind::Property {
            arguments.push("-D".into());
            arguments.extend(joined(property_words(&text.to_string_lossy()).into_iter()));
            continue;
        }
        // In one argument, so that no value is taken for an option.
        let mut argument = OsString::from(&option);
        if option.starts_with("--") {
            argument.push("=");
        }
        argument.push(text);
        arguments.push(argument);
    }
    let alone = std::iter::once(OsString::new()).chain(arguments.iter().cloned());
    command.clone().try_get_matches_from(alone).map_err(fault_of_clap)?;
    Ok(Some(arguments))
}

fn names(argument: &Arg, key: &str) -> bool {
    argument.get_long() == Some(key) || argument.get_short().is_some_and(|letter| key.chars().eq([letter]))
}

fn takes_path(argument: &Arg) -> bool {
    matches!(argument.get_value_hint(), ValueHint::FilePath | ValueHint::DirPath | ValueHint::AnyPath)
}

/// A file as a profile names it: relative to the folder of the profiles, since nobody knows where the tool will be
/// called; `~/` is the user's home, as in a shell.
fn path_of(text: &str, file: &Path, environment: &Environment) -> OsString {
    let home = text.strip_prefix("~/").and_then(|rest| Some(Path::new(environment.variable("HOME")?).join(rest)));
    home.unwrap_or_else(|| file.parent().unwrap_or(Path::new("")).join(text)).into_os_string()
}

fn has_another_tool(key: &str) -> bool {
    TOOLS.iter().any(|tool| tool.bare_command().get_arguments().any(|argument| names(argument, key)))
}
