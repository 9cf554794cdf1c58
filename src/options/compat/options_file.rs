//! mosquitto's options files: each line is an option and a value; a missing file is not an error.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::given::{Given, Stop};
use super::grammar::{Takes, find};
use super::refusal::Refusal;
use crate::client::mosquitto::MosquittoClient;
use crate::options::Environment;

/// Longest file that is read, bytes.
const LIMIT: u64 = 1 << 20;
/// A longer line breaks into several.
const LONGEST_LINE: usize = 1_023;

/// Takes what is in the options file: the one that `-o` names, or the one in its usual place.
pub(super) fn read(
    given: &mut Given,
    client: MosquittoClient,
    environment: &Environment,
    mosquitto_name: &str,
    argv: &[OsString],
) -> Result<(), Stop> {
    let named = named(client, argv)?.map(PathBuf::from);
    let Some(path) = named.or_else(|| usual_place(environment, mosquitto_name)) else { return Ok(()) };
    // Missing, a folder, not readable: mosquitto continues without.
    let Ok(content) = environment.read_file(&path, LIMIT) else { return Ok(()) };
    let lines = content.split_inclusive(|byte| *byte == b'\n');
    for line in lines.flat_map(|line| line.chunks(LONGEST_LINE)) {
        given.read(client, &words_of_line(line))?;
    }
    Ok(())
}

/// The file that `-o` names.
fn named(client: MosquittoClient, argv: &[OsString]) -> Result<Option<&OsString>, Refusal> {
    let mut file = None;
    let mut arguments = argv.iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str().and_then(|name| find(client, name)).map(|entry| entry.takes) {
            Some(Takes::OptionsFile) if file.is_some() => {
                return Err(Refusal::spaced("Error: Duplicate -o argument given."));
            }
            Some(Takes::OptionsFile) => {
                let missing = || Refusal::spaced("Error: -o argument given but no options file specified.");
                file = Some(arguments.next().ok_or_else(missing)?);
            }
            Some(Takes::Value(..)) => {
                arguments.next();
            }
            _ => {}
        }
    }
    Ok(file)
}

fn usual_place(environment: &Environment, mosquitto_name: &str) -> Option<PathBuf> {
    let folder = environment.variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let folder = folder.or_else(|| environment.variable("HOME").map(|home| Path::new(home).join(".config")));
    Some(folder?.join(mosquitto_name))
}

fn words_of_line(line: &[u8]) -> Vec<OsString> {
    let end = line.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
    let line = &line[..end];
    let start = line.iter().position(|byte| *byte != b' ').unwrap_or(line.len());
    if line.first() == Some(&b'#') || start == line.len() {
        return Vec::new();
    }
    let words = &line[start..];
    let (option, value) = match words.iter().position(|byte| *byte == b' ') {
        Some(end) => (&words[..end], &words[end + 1..]),
        None => (words, &words[..0]),
    };
    [option, value].into_iter().filter(|word| !word.is_empty()).map(from_bytes).collect()
}

#[cfg(unix)]
fn from_bytes(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).to_owned()
}

#[cfg(not(unix))]
fn from_bytes(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_option_and_all_behind_it() {
        for (line, words) in [
            ("-m hello  world \r\n", &["-m", "hello  world "][..]),
            (" -t a\n", &["-t", "a"]),
            ("-t a\r\r\n", &["-t", "a"]),
            ("-x  5", &["-x", " 5"]),
            ("-d", &["-d"]),
            ("-m \n", &["-m"]),
            ("#-d\n", &[]),
            (" #-d\n", &["#-d"]),
            ("\n", &[]),
            ("   \n", &[]),
        ] {
            assert_eq!(words_of_line(line.as_bytes()), words, "{line:?}");
        }
    }
}
