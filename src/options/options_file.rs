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

/// The options of a file, each with its value.
type Lines = Vec<Vec<OsString>>;

/// The arguments in the file that `-o` names. It has to be there. `has_topic`: the command line has one.
pub(super) fn read_named(
    path: &Path,
    tool: &Tool,
    command: &Command,
    table: &OptionTable<'_>,
    environment: &Environment,
    has_topic: bool,
) -> Result<Arguments, Vec<String>> {
    match environment.read_file(path, LIMIT) {
        Ok(content) => {
            let mut lines = lines_of(path, &content, command, table)?;
            let mut warnings = Vec::new();
            warn_of_secrets(path, &lines, table, environment, &mut warnings);
            if tool.replaces_topics && has_topic {
                remove_topics(&mut lines, table);
            }
            Ok(Arguments { arguments: lines.concat(), warnings })
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
    has_topic: bool,
) -> Result<Arguments, Vec<String>> {
    let Some(folder) = folder(environment) else { return Ok(Arguments::default()) };
    let (mut lines, mut warnings) = (Lines::new(), Vec::new());
    let mut faults = Vec::new();
    for name in tool.mosquitto_name.into_iter().chain([tool.name]) {
        let path = folder.join(name);
        match environment.read_file(&path, LIMIT) {
            Ok(content) => match lines_of(&path, &content, command, table) {
                Ok(more) => {
                    warn_of_secrets(&path, &more, table, environment, &mut warnings);
                    if tool.replaces_topics && more.iter().any(|line| names_topic(line, table)) {
                        remove_topics(&mut lines, table);
                    }
                    lines.extend(more);
                }
                Err(more) => faults.extend(more),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // No options file is so long.
            Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                faults.push(format!("cannot read the options file '{}': {error}", path.display()));
            }
            Err(error) if path.is_file() => {
                warnings.push(format!("ignoring the options file '{}', which cannot be read: {error}", path.display()))
            }
            Err(_) => {}
        }
    }
    if tool.replaces_topics && has_topic {
        remove_topics(&mut lines, table);
    }
    if faults.is_empty() { Ok(Arguments { arguments: lines.concat(), warnings }) } else { Err(faults) }
}

fn names_topic(line: &[OsString], table: &OptionTable<'_>) -> bool {
    table.walk(line.iter().cloned()).has_topic
}

fn remove_topics(lines: &mut Lines, table: &OptionTable<'_>) {
    lines.retain(|line| !names_topic(line, table));
}

fn warn_of_secrets(
    path: &Path,
    lines: &[Vec<OsString>],
    table: &OptionTable<'_>,
    environment: &Environment,
    warnings: &mut Vec<String>,
) {
    if table.hold_secret(&lines.concat()) {
        environment.warn_of_exposed_file("the password or token in the options file", path, warnings);
    }
}

fn folder(environment: &Environment) -> Option<PathBuf> {
    let configured = environment.variable("XDG_CONFIG_HOME").map(PathBuf::from);
    configured.or_else(|| environment.variable("HOME").map(|home| Path::new(home).join(".config")))
}

/// Takes a file apart. Each line is tried by itself, so every fault has its line.
fn lines_of(path: &Path, content: &[u8], command: &Command, table: &OptionTable<'_>) -> Result<Lines, Vec<String>> {
    let mut lines = Lines::new();
    let mut faults = Vec::new();
    let content = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content);
    for (number, line) in (1..).zip(content.split(|byte| *byte == b'\n')) {
        // As written on Windows, or twice over.
        let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
        match arguments_of_line(&line[..end], command, table) {
            Ok(line) => lines.push(line),
            Err(fault) => faults.push(format!("{}:{number}: {fault}", path.display())),
        }
    }
    if faults.is_empty() { Ok(lines) } else { Err(faults) }
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
fn property_words(text: &str) -> Vec<OsString> {
    let wanted = words_of(text.split(' ').nth(1).unwrap_or_default());
    text.splitn(wanted, ' ').map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{BENCH, PUBLISH, Tool};
    use super::*;

    fn of_files(
        tool: &Tool,
        variables: &[(&'static str, &'static str)],
        files: &[(&'static str, &str)],
    ) -> Result<Vec<OsString>, Vec<String>> {
        let files = files.iter().map(|(path, content)| (*path, content.as_bytes().to_vec()));
        let environment = Environment::fixed(variables.iter().copied(), files);
        let command = tool.command();
        read_default(tool, &command, &OptionTable::of(&command), &environment, false).map(|read| read.arguments)
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
    fn a_topic_to_publish_to_is_replaced() {
        let files =
            [("/c/mosquitto_pub", "-t a\n-t b\n-D publish user-property -t c\n-q 1"), ("/c/mqpub", "--topic d")];
        let environment =
            Environment::fixed([("XDG_CONFIG_HOME", "/c")], files.map(|(path, text)| (path, text.into())));
        let read = |tool: &Tool, has_topic| {
            let command = tool.command();
            let table = OptionTable::of(&command);
            read_default(tool, &command, &table, &environment, has_topic).map(|read| read.arguments)
        };
        let property = "publish\0user-property\0-t\0c";
        assert_eq!(read(&PUBLISH, true).unwrap(), ["-D", property, "-q", "1"]);
        assert_eq!(read(&PUBLISH, false).unwrap(), ["-D", property, "-q", "1", "--topic", "d"]);
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
