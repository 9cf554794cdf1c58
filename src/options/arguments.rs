//! What happens to argv before clap reads it: `-D` takes its three or four words, copied dashes are told, help and
//! version answer whatever else stands there, and the options files go in front.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

use super::options_file;
use super::properties::{JOINT, words_of};
use super::{Environment, Tool, UsageError};

/// What argv became.
#[derive(Debug)]
pub(super) enum Gathered {
    /// Help or version.
    Answer(String),
    /// Arguments for clap, the tool's name first.
    Arguments(Vec<OsString>),
}

/// Puts argv and the options files together.
pub(super) fn gather(
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
    UsageError::check(tool.name, walked.faults)?;
    let of_files = match table.short('o') {
        // A tool without -o has no options files.
        None => Ok(Vec::new()),
        Some(_) => match walked.options_files.as_slice() {
            [] => options_file::read_default(tool, command, &table, environment),
            [file] => options_file::read_named(file.as_ref(), command, &table, environment),
            _ => Err(vec!["-o is given twice; there is one options file".into()]),
        },
    };
    let of_files = of_files.map_err(|faults| UsageError::new(tool.name, faults))?;
    let name = OsString::from(tool.name);
    Ok(Gathered::Arguments([vec![name], of_files, walked.arguments].concat()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Help,
    Version,
}

/// What an option does to the arguments behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing.
    Flag,
    /// Takes the next one.
    Value,
    /// `-D` takes three or four.
    Property,
    /// `-o` takes the next one.
    OptionsFile,
    /// Makes all the others meaningless.
    Help,
    /// So does this.
    Version,
}

/// Which options a tool has and which of them take a value, as clap knows it.
#[derive(Debug)]
pub(super) struct OptionTable<'a> {
    shorts: Vec<(char, Kind)>,
    longs: Vec<(&'a str, Kind)>,
}

/// What a walk over arguments finds.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// The arguments, each `-D` joined with its words.
    pub arguments: Vec<OsString>,
    /// Values of `-o`.
    options_files: Vec<OsString>,
    /// Copied dashes.
    faults: Vec<String>,
    /// Help or version, whichever came first.
    answer: Option<Answer>,
}

impl Walked {
    /// What may not stand in an options file, and copied dashes.
    pub(super) fn fault_in_file(&self) -> Option<String> {
        if self.answer.is_some() {
            return Some("--help and --version have no place in an options file".into());
        }
        if !self.options_files.is_empty() {
            return Some("-o has no place in an options file".into());
        }
        self.faults.first().cloned()
    }
}

impl<'a> OptionTable<'a> {
    /// The table of a tool.
    pub(super) fn of(command: &'a Command) -> Self {
        let kind = |argument: &Arg| match argument.get_action() {
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong => Kind::Help,
            ArgAction::Version => Kind::Version,
            action if !action.takes_values() => Kind::Flag,
            _ if argument.get_short() == Some('D') => Kind::Property,
            _ if argument.get_short() == Some('o') => Kind::OptionsFile,
            _ => Kind::Value,
        };
        let arguments = || command.get_arguments();
        Self {
            shorts: arguments().filter_map(|argument| Some((argument.get_short()?, kind(argument)))).collect(),
            longs: arguments().filter_map(|argument| Some((argument.get_long()?, kind(argument)))).collect(),
        }
    }

    fn short(&self, letter: char) -> Option<Kind> {
        self.shorts.iter().find(|(short, _)| *short == letter).map(|(_, kind)| *kind)
    }

    fn long(&self, name: &str) -> Option<Kind> {
        self.longs.iter().find(|(long, _)| *long == name).map(|(_, kind)| *kind)
    }

    /// Walks over arguments as clap will, without judging them: an unknown one is left for clap to name.
    pub(super) fn walk(&self, arguments: impl Iterator<Item = OsString>) -> Walked {
        let mut walked = Walked::default();
        let mut rest = arguments;
        while let Some(argument) = rest.next() {
            // What is not UTF-8 is no option without its value; clap says whether it stands rightly there.
            let text = argument.to_str().unwrap_or_default();
            if text == "--" {
                walked.arguments.push(argument);
                walked.arguments.extend(rest);
                break;
            }
            if text.starts_with(is_copied_dash) {
                let (fault, takes_value) = self.copied_dash(text);
                walked.faults.push(fault);
                if takes_value {
                    rest.next();
                }
                continue;
            }
            let Some(Found { kind, head, attached }) = self.find(text) else {
                walked.arguments.push(argument);
                continue;
            };
            match (kind, attached.map(OsString::from)) {
                (Kind::Help, _) => walked.answer = walked.answer.or(Some(Answer::Help)),
                (Kind::Version, _) => walked.answer = walked.answer.or(Some(Answer::Version)),
                (Kind::Property, attached) => {
                    walked.arguments.push(head.into());
                    walked.arguments.extend(joined_property(attached.or_else(|| rest.next()), &mut rest));
                }
                (Kind::OptionsFile, attached) => {
                    walked.arguments.push(head.into());
                    let file = attached.or_else(|| rest.next());
                    walked.options_files.extend(file.clone());
                    walked.arguments.extend(file);
                }
                (Kind::Value, None) => {
                    walked.arguments.push(argument);
                    walked.arguments.extend(rest.next());
                }
                (Kind::Value | Kind::Flag, _) => walked.arguments.push(argument),
            }
        }
        walked
    }

    /// The option that decides what follows this argument: the long one, or the first letter that takes a value.
    fn find<'t>(&self, text: &'t str) -> Option<Found<'t>> {
        if let Some(long) = text.strip_prefix("--") {
            let (name, attached) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let kind = self.long(name)?;
            return Some(Found { kind, head: &text[..2 + name.len()], attached });
        }
        let letters = text.strip_prefix('-')?;
        let mut last = None;
        for (place, letter) in letters.char_indices() {
            let kind = self.short(letter)?;
            let (head, behind) = text.split_at(1 + place + letter.len_utf8());
            let attached = (!behind.is_empty()).then(|| behind.strip_prefix('=').unwrap_or(behind));
            last = Some(Found { kind, head, attached });
            if kind != Kind::Flag {
                break;
            }
        }
        last
    }

    /// The fault of an argument that begins with a dash no keyboard makes, and whether a value follows it. Only what
    /// is surely an option is repeated: behind the letter may be a password.
    fn copied_dash(&self, text: &str) -> (String, bool) {
        let bare = text.trim_start_matches(|c| c == '-' || is_copied_dash(c));
        let dashes = &text[..text.len() - bare.len()];
        let long = bare.split('=').next().unwrap_or_default();
        let takes_value = |kind| !matches!(kind, Kind::Flag | Kind::Help | Kind::Version);
        let (seen, meant, value_follows) = match (self.long(long), bare.chars().next()) {
            (Some(kind), _) if long.chars().count() > 1 => {
                (long.to_owned(), format!("--{long}"), takes_value(kind) && !bare.contains('='))
            }
            (_, Some(letter)) => {
                let alone = bare.len() == letter.len_utf8();
                let value_follows = alone && self.short(letter).is_some_and(takes_value);
                (letter.to_string(), format!("-{letter}"), value_follows)
            }
            (_, None) => (String::new(), "-".into(), false),
        };
        (format!("{dashes}{seen}: that is a dash from copied text, you mean {meant}"), value_follows)
    }
}

struct Found<'a> {
    kind: Kind,
    /// The argument up to the end of the option.
    head: &'a str,
    /// What stands behind it in the same argument.
    attached: Option<&'a str>,
}

/// The dashes that word processors and web pages make of a hyphen.
fn is_copied_dash(c: char) -> bool {
    matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}')
}

/// The words of one `-D` as one argument: COMMAND NAME VALUE, or COMMAND user-property KEY VALUE. Where argv ends
/// early the words that are there are joined, and the fault is told when they are taken apart.
fn joined_property(first: Option<OsString>, rest: &mut impl Iterator<Item = OsString>) -> Option<OsString> {
    let mut joined = first?;
    let mut wanted = 3;
    let mut words = 1;
    while words < wanted {
        let Some(word) = rest.next() else { break };
        words += 1;
        if words == 2 {
            wanted = words_of(&word.to_string_lossy());
        }
        joined.push(JOINT);
        joined.push(word);
    }
    Some(joined)
}

#[cfg(test)]
mod tests {
    use super::super::BENCH;
    use super::*;

    fn walk(arguments: &[&str]) -> Walked {
        OptionTable::of(&BENCH.command()).walk(arguments.iter().map(OsString::from))
    }

    #[test]
    fn properties_take_three_or_four_words() {
        let walked = walk(&["-D", "publish", "content-type", "-x", "-dD", "connect", "User-Property", "k", "v", "-d"]);
        assert_eq!(walked.arguments, ["-D", "publish\0content-type\0-x", "-dD", "connect\0User-Property\0k\0v", "-d"]);
        assert_eq!(walk(&["--property=will", "content-type"]).arguments, ["--property", "will\0content-type"]);
        assert_eq!(walk(&["-D"]).arguments, ["-D"]);
    }

    #[test]
    fn a_value_is_no_option() {
        for arguments in [["-m", "-D"], ["-m", "–v"], ["--message", "--help"], ["-t", "-o"]] {
            let walked = walk(&arguments);
            assert_eq!(walked.arguments, arguments);
            assert!(walked.faults.is_empty() && walked.answer.is_none() && walked.options_files.is_empty());
        }
        assert_eq!(walk(&["-do", "file"]).options_files, ["file"]);
        assert_eq!(walk(&["-ofile", "-m", "-o"]).options_files, ["file"]);
    }

    #[test]
    fn help_answers_whatever_else_is_wrong() {
        assert_eq!(walk(&["--bogus", "--help"]).answer, Some(Answer::Help));
        assert_eq!(walk(&["-D", "--version", "--help"]).answer, None);
        assert_eq!(walk(&["--", "--help"]).answer, None);
    }

    #[test]
    fn copied_dashes_are_told_and_show_no_password() {
        for (arguments, fault) in [
            (&["–q", "1"][..], "–q: that is a dash from copied text, you mean -q"),
            (&["—host", "x"], "—host: that is a dash from copied text, you mean --host"),
            (&["––quiet"], "––quiet: that is a dash from copied text, you mean --quiet"),
            (&["−Phunter2"], "−P: that is a dash from copied text, you mean -P"),
            (&["–pw=hunter2"], "–pw: that is a dash from copied text, you mean --pw"),
            (&["–"], "–: that is a dash from copied text, you mean -"),
        ] {
            let walked = walk(arguments);
            assert_eq!(walked.faults, [fault]);
            assert!(walked.arguments.is_empty(), "{arguments:?}");
        }
    }
}
