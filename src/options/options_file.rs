//! Options files: one option per line, inserted before argv so that argv overrides them.
//!
//! Without `-o` the folder is `$XDG_CONFIG_HOME`, or `$HOME/.config` when that is not set, and the files are the one of
//! mosquitto (`mosquitto_pub`, `mosquitto_sub`) and then our own (`mqpub`, `mqsub`, `mqbench`); the later one wins.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Command;

use super::arguments::{Arguments, OptionTable};
use super::properties::words_of;
use super::usage_error::fault_of_clap;
use super::{Environment, Tool};

/// Longest options file, bytes.
const LIMIT: u64 = 1 << 20;

/// The arguments in the file that `-o` names. It has to be there.
pub(super) fn read_named(
    path: &Path,
    command: &Command,
    table: &OptionTable<'_>,
    environment: &Environment,
) -> Result<Arguments, Vec<String>> {
    match environment.read_file(path, LIMIT) {
        Ok(content) => {
            let arguments = arguments_of(path, &content, command, table)?;
            check_exposure(IN_FILE, path, &arguments, table, environment).map_err(|fault| vec![fault])?;
            let sources = vec![(path.display().to_string(), arguments)];
            Ok(Arguments { sources, warnings: Vec::new() })
        }
        Err(error) => Err(vec![format!("cannot read the options file '{}': {error}", path.display())]),
    }
}

/// The arguments in the default files, those that exist. Nobody asked for them, so one that cannot be reached is not
/// there, as with the home of another user; one that is there and cannot be read is worth a warning.
pub(super) fn read_default(
    tool: &Tool,
    command: &Command,
    table: &OptionTable<'_>,
    environment: &Environment,
) -> Result<Arguments, Vec<String>> {
    let Some(folder) = folder(environment) else { return Ok(Arguments::default()) };
    let (mut sources, mut warnings) = (Vec::new(), Vec::new());
    let mut faults = Vec::new();
    for name in tool.mosquitto_name.into_iter().chain([tool.name]) {
        let path = folder.join(name);
        match environment.read_file(&path, LIMIT) {
            Ok(content) => match arguments_of(&path, &content, command, table) {
                Ok(more) => {
                    faults.extend(check_exposure(IN_FILE, &path, &more, table, environment).err());
                    sources.push((path.display().to_string(), more));
                }
                Err(more) => faults.extend(more),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // No options file is that long.
            Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                faults.push(format!("cannot read the options file '{}': {error}", path.display()));
            }
            Err(error) if path.is_file() => {
                warnings.push(format!("ignoring the options file '{}', which cannot be read: {error}", path.display()))
            }
            Err(_) => {}
        }
    }
    if faults.is_empty() { Ok(Arguments { sources, warnings }) } else { Err(faults) }
}

/// What is exposed in an options file.
const IN_FILE: &str = "the password or token in the options file";

/// Refuses a file whose arguments hold a secret and which everybody can read.
pub(super) fn check_exposure(
    what: &str,
    path: &Path,
    arguments: &[OsString],
    table: &OptionTable<'_>,
    environment: &Environment,
) -> Result<(), String> {
    if table.hold_secret(arguments) { environment.check_exposed_file(what, path) } else { Ok(()) }
}

/// The folder of the user's configuration.
pub(super) fn folder(environment: &Environment) -> Option<PathBuf> {
    let configured = environment.variable("XDG_CONFIG_HOME").map(PathBuf::from);
    configured.or_else(|| environment.variable("HOME").map(|home| Path::new(home).join(".config")))
}

/// Takes a file apart. Each line is tried by itself, so every fault has its line.
fn arguments_of(
    path: &Path,
    content: &[u8],
    command: &Command,
    table: &OptionTable<'_>,
) -> Result<Vec<OsString>, Vec<String>> {
    let mut arguments = Vec::new();
    let mut faults = Vec::new();
    let content = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content);
    for (number, line) in (1..).zip(content.split(|byte| *byte == b'\n')) {
        // As written on Windows, or twice over.
        let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
        match arguments_of_line(&line[..end], command, table) {
            Ok(more) => arguments.extend(more),
            Err(fault) => faults.push(format!("{}:{number}: {fault}", path.display())),
        }
    }
    if faults.is_empty() { Ok(arguments) } else { Err(faults) }
}

fn arguments_of_line(line: &[u8], command: &Command, table: &OptionTable<'_>) -> Result<Vec<OsString>, String> {
    let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8")?;
    if line.contains('\0') {
        return Err("the line contains a NUL character".into());
    }
    let words = line.trim_start_matches(' ');
    if words.is_empty() || line.starts_with('#') {
        return Ok(Vec::new());
    }
    let (option, value) = match words.split_once(' ') {
        Some((option, value)) => (option, Some(value)),
        None => (words, None),
    };
    let mut given: Vec<OsString> = vec![option.into()];
    given.extend(match value {
        Some(value) if matches!(option, "-D" | "--property") => property_words(value),
        value => value.map(OsString::from).into_iter().collect(),
    });
    let walked = table.walk(given.into_iter());
    if let Some(fault) = walked.fault_in_file() {
        return Err(fault);
    }
    if !option.starts_with('-') {
        return Err("a line must begin with an option, as in -h broker.example".into());
    }
    let alone = std::iter::once(OsString::new()).chain(walked.arguments.iter().cloned());
    command.clone().try_get_matches_from(alone).map_err(fault_of_clap)?;
    Ok(walked.arguments)
}

/// `-D` in a file: the words before the last value hold no space, the last value may.
pub(super) fn property_words(text: &str) -> Vec<OsString> {
    let wanted = words_of(text.split(' ').nth(1).unwrap_or_default());
    text.splitn(wanted, ' ').map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{BENCH, Tool};
    use super::*;

    fn of_files(
        tool: &Tool,
        variables: &[(&'static str, &'static str)],
        files: &[(&'static str, &str)],
    ) -> Result<Vec<OsString>, Vec<String>> {
        let files = files.iter().map(|(path, content)| (*path, content.as_bytes().to_vec()));
        let environment = Environment::fixed(variables.iter().copied(), files);
        let command = tool.command();
        read_default(tool, &command, &OptionTable::of(&command), &environment).map(|read| read.into_arguments())
    }

    #[test]
    fn a_line_is_an_option_and_one_value() {
        let text = "\u{feff}# comment\r\n\r\n-h broker\r\n-m two  words # kept \n  -d\n-D publish user-property k a b\n\
                    -D connect receive-maximum 5\n-t -x\n-q 1";
        let arguments = of_files(&BENCH, &[("HOME", "/home/u")], &[("/home/u/.config/mqbench", text)]);
        assert_eq!(
            arguments.unwrap(),
            [
                "-h",
                "broker",
                "-m",
                "two  words # kept ",
                "-d",
                "-D",
                "publish\0user-property\0k\0a b",
                "-D",
                "connect\0receive-maximum\x005",
                "-t",
                "-x",
                "-q",
                "1"
            ]
        );
    }

    #[test]
    fn every_fault_has_its_line() {
        let text = "-d true\nhost x\n-q 3\n\n -h\n--help\n-o other\n–v\n-P hunter2\n--bogus\n-p\0x";
        let faults = of_files(&BENCH, &[("XDG_CONFIG_HOME", "/c")], &[("/c/mqbench", text)]).unwrap_err();
        let starts = [
            "/c/mqbench:1: invalid value 'true' for '[VERB]'",
            "/c/mqbench:2: a line must begin with an option",
            "/c/mqbench:3: invalid value '3' for '--qos <QOS>': must be 0, 1 or 2",
            "/c/mqbench:5: a value is required for '--host <HOST>'",
            "/c/mqbench:6: --help and --version are not allowed in an options file",
            "/c/mqbench:7: -o is not allowed in an options file",
            "/c/mqbench:8: –v: this is not an ASCII hyphen (copied text?); use -v",
            "/c/mqbench:10: unexpected argument '--bogus' found",
            "/c/mqbench:11: the line contains a NUL character",
        ];
        assert_eq!(faults.len(), starts.len(), "{faults:#?}");
        for (fault, start) in faults.iter().zip(starts) {
            assert!(fault.starts_with(start), "{fault}");
        }
    }

    #[test]
    fn the_folder_is_xdg_or_home_and_may_be_missing() {
        let files = [("/h/.config/mqbench", "-h home"), ("/x/mqbench", "-h xdg")];
        let read = |variables: &[(&'static str, &'static str)]| of_files(&BENCH, variables, &files).unwrap();
        assert_eq!(read(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]), ["-h", "xdg"]);
        assert_eq!(read(&[("HOME", "/h")]), ["-h", "home"]);
        assert_eq!(read(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "")]), ["-h", "home"]);
        // With XDG_CONFIG_HOME set, HOME is not tried.
        assert!(read(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/nowhere")]).is_empty());
        assert!(read(&[]).is_empty());
    }
}
