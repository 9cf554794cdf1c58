//! Prepares argv for clap: `-D` takes its three or four words, copied dashes are reported, and help and version win
//! over everything else.

use std::ffi::OsString;
use std::iter::Peekable;

use clap::ValueEnum as _;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};

use super::load::Verb;
use super::properties::{JOINT, words_of};
use crate::mqtt::PropertyName;
use crate::terminal::escape_bytes;

/// Options whose values are passwords, or texts that may hold one.
pub(super) const SECRETS: [&str; 8] = ["pw", "url", "control", "proxy", "ws_header", "ws_path", "will_payload", "psk"];

/// Arguments for clap, and what was noticed on the way.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    /// Where arguments come from, and those arguments; later ones override earlier ones.
    pub sources: Vec<(String, Vec<OsString>)>,
    /// Warnings for the user.
    pub warnings: Vec<String>,
}

impl Arguments {
    /// All of them, in order.
    pub(super) fn into_arguments(self) -> Vec<OsString> {
        self.sources.into_iter().flat_map(|(_, arguments)| arguments).collect()
    }
}

/// The first of `--help` and `--version` on a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Help,
    Version,
}

/// What an option does to the arguments behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Flag,
    /// Takes the next one.
    Value,
    /// Takes the next one unless it is an option.
    OptionalValue,
    /// Takes the next one, which is a secret.
    Secret,
    /// `-D` takes three or four.
    Property,
    /// `-o` takes the next one.
    OptionsFile,
    /// `--profile` takes the next one.
    Profile,
    /// Prints the options instead of using them.
    ShowConfig,
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
    /// Whether a word that is no option may be a verb, as those of mqbench.
    has_verbs: bool,
}

/// What a walk over arguments finds.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// The arguments, each `-D` joined with its words.
    pub arguments: Vec<OsString>,
    /// Values of `-o`.
    pub options_files: Vec<OsString>,
    /// Values of `--profile`.
    pub profiles: Vec<OsString>,
    /// The options are to be printed.
    pub shows_config: bool,
    /// Copied dashes, and words that no option takes.
    pub faults: Vec<String>,
    /// Help or version, whichever came first.
    pub answer: Option<Answer>,
}

impl Walked {
    /// The first fault of a line in an options file.
    pub(super) fn fault_in_file(&self) -> Option<String> {
        if self.answer.is_some() {
            return Some("--help and --version are not allowed in an options file".into());
        }
        if !self.options_files.is_empty() {
            return Some("-o is not allowed in an options file".into());
        }
        if !self.profiles.is_empty() || self.shows_config {
            return Some("--profile and --show-config are not allowed in an options file".into());
        }
        self.faults.first().cloned()
    }
}

/// One argument, and those behind it that are its values.
#[derive(Debug)]
pub(super) struct Typed {
    /// As typed.
    pub argument: OsString,
    /// The option that decides what follows; `None` if it is not an option of the tool.
    option: Option<TypedOption>,
    /// The arguments behind it that belong to it.
    pub values: Vec<OsString>,
}

#[derive(Clone, Copy, Debug)]
struct TypedOption {
    kind: Kind,
    /// Where in the argument the option ends.
    head: usize,
    /// Where its value begins, if it is in the same argument.
    attached: Option<usize>,
}

impl Typed {
    /// As typed, with secrets masked.
    pub(super) fn masked(&self) -> Vec<String> {
        const MASK: &str = "***";
        let text = self.argument.to_string_lossy();
        let values = || self.values.iter().map(|value| value.to_string_lossy().into_owned());
        let Some(TypedOption { kind, attached, .. }) = self.option else { return vec![text.into_owned()] };
        match kind {
            Kind::Secret => match attached {
                Some(place) => vec![format!("{}{MASK}", &text[..place])],
                None => std::iter::once(text.clone().into_owned()).chain(values().map(|_| MASK.into())).collect(),
            },
            // The command and the name; any value may be a token.
            Kind::Property => {
                let shown = if attached.is_some() { 1 } else { 2 };
                let shown = |(place, word)| if place < shown { word } else { MASK.to_owned() };
                std::iter::once(text.clone().into_owned()).chain(values().enumerate().map(shown)).collect()
            }
            _ => std::iter::once(text.clone().into_owned()).chain(values()).collect(),
        }
    }

    /// The option without its value, and its values.
    pub(super) fn taken_apart(&self) -> (OsString, Vec<OsString>) {
        let text = self.argument.to_str().unwrap_or_default();
        match self.option {
            Some(TypedOption { head, attached: Some(place), .. }) if place <= text.len() => {
                let value = OsString::from(&text[place..]);
                (text[..head].into(), std::iter::once(value).chain(self.values.iter().cloned()).collect())
            }
            _ => (self.argument.clone(), self.values.clone()),
        }
    }

    /// Whether it holds a password or a token.
    fn is_secret(&self) -> bool {
        let Some(TypedOption { kind, attached, .. }) = self.option else { return false };
        let value = attached.map(|_| rest_of(&self.argument, attached)).or_else(|| self.values.first().cloned());
        let value = value.unwrap_or_default();
        let value = value.to_string_lossy();
        match kind {
            // A URL does only with a password in it.
            Kind::Secret => match value.split_once("://") {
                Some((_, rest)) => rest.split_once('@').is_some_and(|(user, _)| user.contains(':')),
                None => {
                    self.shown_option().is_some_and(|(option, _)| !matches!(option, "--will-payload" | "--ws-path"))
                }
            },
            // Its words may be joined.
            Kind::Property => self
                .values
                .iter()
                .map(|word| word.to_string_lossy().to_ascii_lowercase())
                .chain([value.to_ascii_lowercase()])
                .any(|word| word.contains(PropertyName::AuthenticationData.text())),
            _ => false,
        }
    }

    /// Whether it is `-t`, alone or behind letters that take no value.
    fn is_topic(&self) -> bool {
        self.shown_option()
            .is_some_and(|(option, _)| option == "--topic" || (!option.starts_with("--") && option.ends_with('t')))
    }

    /// The option, as an error names it.
    fn shown_option(&self) -> Option<(&str, Kind)> {
        let TypedOption { kind, head, .. } = self.option?;
        Some((self.argument.to_str()?.get(..head)?, kind))
    }
}

impl<'a> OptionTable<'a> {
    /// The table of a tool.
    pub(super) fn of(command: &'a Command) -> Self {
        let kind = |argument: &Arg| match argument.get_action() {
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong => Kind::Help,
            ArgAction::Version => Kind::Version,
            action if !action.takes_values() => match argument.get_id().as_str() {
                "show_config" => Kind::ShowConfig,
                _ => Kind::Flag,
            },
            _ if argument.get_short() == Some('D') => Kind::Property,
            _ if argument.get_short() == Some('o') => Kind::OptionsFile,
            _ if argument.get_id() == "profile" => Kind::Profile,
            _ if SECRETS.contains(&argument.get_id().as_str()) => Kind::Secret,
            _ if argument.get_num_args().is_some_and(|count| count.min_values() == 0) => Kind::OptionalValue,
            _ => Kind::Value,
        };
        let arguments = || command.get_arguments();
        Self {
            shorts: arguments().filter_map(|argument| Some((argument.get_short()?, kind(argument)))).collect(),
            longs: arguments().filter_map(|argument| Some((argument.get_long()?, kind(argument)))).collect(),
            has_verbs: command.get_positionals().next().is_some(),
        }
    }

    /// What the option of this letter does to the arguments behind it.
    pub(super) fn short(&self, letter: char) -> Option<Kind> {
        self.shorts.iter().find(|(short, _)| *short == letter).map(|(_, kind)| *kind)
    }

    /// What the option of this name does to the arguments behind it.
    pub(super) fn long(&self, name: &str) -> Option<Kind> {
        self.longs.iter().find(|(long, _)| *long == name).map(|(_, kind)| *kind)
    }

    /// The next argument with its values.
    pub(super) fn next_typed<I: Iterator<Item = OsString>>(&self, rest: &mut Peekable<I>) -> Option<Typed> {
        let argument = rest.next()?;
        // An argument that is not UTF-8 can only be a value; clap checks whether it is allowed here.
        let option = self.find(argument.to_str().unwrap_or_default());
        let mut values = Vec::new();
        if let Some(TypedOption { kind, attached, .. }) = option {
            match kind {
                Kind::Flag | Kind::ShowConfig | Kind::Help | Kind::Version => {}
                Kind::Property => {
                    values = property_words(attached.is_some().then(|| rest_of(&argument, attached)), rest)
                }
                _ if attached.is_some() => {}
                Kind::OptionalValue => values.extend(rest.next_if(|next| !next.to_string_lossy().starts_with('-'))),
                Kind::Value | Kind::Secret | Kind::OptionsFile | Kind::Profile => values.extend(rest.next()),
            }
        }
        Some(Typed { argument, option, values })
    }

    /// Walks over arguments as clap will, without judging them: an unknown one is left for clap to name.
    pub(super) fn walk(&self, arguments: impl Iterator<Item = OsString>) -> Walked {
        let mut walked = Walked::default();
        let mut rest = arguments.peekable();
        let mut before: Option<Typed> = None;
        let mut reads_files = None;
        while let Some(typed) = self.next_typed(&mut rest) {
            let text = typed.argument.to_str().unwrap_or_default();
            if text == "--" {
                walked.arguments.push(typed.argument);
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
            let Typed { argument, option, values } = &typed;
            let Some(TypedOption { kind, head, attached }) = *option else {
                // The first of such words is the verb.
                if !*reads_files.get_or_insert_with(|| self.is_verb(text, Verb::reads_files)) {
                    walked.faults.extend(self.stray_word(&argument.to_string_lossy(), before.as_ref()));
                }
                walked.arguments.push(argument.clone());
                before = Some(typed);
                continue;
            };
            match kind {
                Kind::Help => walked.answer = walked.answer.or(Some(Answer::Help)),
                Kind::Version => walked.answer = walked.answer.or(Some(Answer::Version)),
                Kind::Property => {
                    let words = attached.map(|_| rest_of(argument, attached)).into_iter().chain(values.iter().cloned());
                    walked.arguments.push(text[..head].into());
                    walked.arguments.extend(joined(words));
                }
                Kind::OptionsFile | Kind::Profile => {
                    let name = attached.map(|_| rest_of(argument, attached)).or_else(|| values.first().cloned());
                    let named = if kind == Kind::Profile { &mut walked.profiles } else { &mut walked.options_files };
                    named.extend(name.clone());
                    walked.arguments.push(text[..head].into());
                    walked.arguments.extend(name);
                }
                Kind::ShowConfig => {
                    walked.shows_config = true;
                    walked.arguments.push(argument.clone());
                }
                // A negative number is a value, which the option judges, and not one more option.
                Kind::Value if values.first().is_some_and(is_negative_number) => {
                    let mut word = argument.clone();
                    word.push("=");
                    word.extend(values.iter().cloned());
                    walked.arguments.push(word);
                }
                Kind::Value | Kind::OptionalValue | Kind::Secret | Kind::Flag => {
                    walked.arguments.push(argument.clone());
                    walked.arguments.extend(values.iter().cloned());
                }
            }
            before = Some(typed);
        }
        walked
    }

    /// A command line, the tool's name first, with secrets masked.
    pub(super) fn masked(&self, argv: impl IntoIterator<Item = OsString>) -> Vec<String> {
        let mut rest = argv.into_iter().peekable();
        let name = rest.next().map(|name| name.to_string_lossy().into_owned());
        let typed = std::iter::from_fn(|| self.next_typed(&mut rest));
        name.into_iter().chain(typed.flat_map(|typed| typed.masked())).collect()
    }

    /// Arguments that [`Self::walk`] returned as they are shown: a line per option, secrets masked.
    pub(super) fn shown(&self, arguments: &[OsString]) -> Vec<String> {
        let mut rest = arguments.iter().cloned().peekable();
        let typed = std::iter::from_fn(|| self.next_typed(&mut rest));
        typed.map(|typed| typed.masked().join(" ").replace(JOINT, " ")).collect()
    }

    /// Whether `-t` is among arguments that [`Self::walk`] returned.
    pub(super) fn names_topic(&self, arguments: &[OsString]) -> bool {
        let mut rest = arguments.iter().cloned().peekable();
        std::iter::from_fn(|| self.next_typed(&mut rest)).any(|typed| typed.is_topic())
    }

    /// Arguments that [`Self::walk`] returned, without each `-t`.
    pub(super) fn without_topics(&self, arguments: &[OsString]) -> Vec<OsString> {
        let mut rest = arguments.iter().cloned().peekable();
        let mut kept = Vec::new();
        while let Some(typed) = self.next_typed(&mut rest) {
            match typed.option {
                _ if typed.is_topic() => {}
                Some(TypedOption { kind: Kind::Property, .. }) => {
                    kept.push(typed.argument);
                    kept.extend(joined(typed.values.into_iter()));
                }
                _ => {
                    kept.push(typed.argument);
                    kept.extend(typed.values);
                }
            }
        }
        kept
    }

    /// Whether arguments that [`Self::walk`] returned hold a password or a token.
    pub(super) fn hold_secret(&self, arguments: &[OsString]) -> bool {
        let mut rest = arguments.iter().cloned().peekable();
        std::iter::from_fn(|| self.next_typed(&mut rest)).any(|typed| typed.is_secret())
    }

    /// The fault of the first argument that must be UTF-8 and is not; `command` parses each alone.
    pub(super) fn not_utf8(&self, command: &Command, arguments: &[OsString]) -> Option<String> {
        let mut rest = arguments.iter().cloned().peekable();
        std::iter::from_fn(|| self.next_typed(&mut rest)).find_map(|typed| {
            let alone = [OsString::new(), typed.argument.clone()].into_iter().chain(typed.values.iter().cloned());
            let error = command.clone().try_get_matches_from(alone).err()?;
            if error.kind() != ErrorKind::InvalidUtf8 {
                return None;
            }
            let place = match typed.shown_option() {
                Some((option, _)) => format!("the value of {option}"),
                None => "the argument".into(),
            };
            let bytes = typed.values.last().unwrap_or(&typed.argument).as_encoded_bytes();
            // Of a -D, whose words are joined.
            let bytes = bytes.rsplit(|byte| *byte == 0).next().unwrap_or_default();
            Some(format!("{place} is not UTF-8: '{}'", escape_bytes(bytes)))
        })
    }

    /// Whether the tool has verbs, and this word is one of them of which that holds.
    fn is_verb(&self, word: &str, holds: impl FnOnce(Verb) -> bool) -> bool {
        self.has_verbs && Verb::from_str(word, false).is_ok_and(holds)
    }

    /// The fault of a word that belongs to no option, where a better hint than clap's is known. The word after
    /// a password may be its second word, and a URL may contain one: neither is repeated.
    fn stray_word(&self, word: &str, before: Option<&Typed>) -> Option<String> {
        if self.is_verb(word, |_| true) {
            return None;
        }
        if word.starts_with("-n") && self.has_verbs {
            return Some(
                "unexpected argument '-n': use -C for the number of messages, --clients for the number of clients"
                    .into(),
            );
        }
        if word.starts_with('-') && word != "-" {
            return None;
        }
        if word.contains("://") {
            return Some("a URL needs -L, as in -L mqtt://HOST/TOPIC".into());
        }
        match before.and_then(Typed::shown_option) {
            Some((option, Kind::Secret | Kind::Property)) => {
                Some(format!("{option}: unexpected word after its value; quote a value that contains a space"))
            }
            Some((option, _)) if names_port_or_user(option) => {
                let advice = if self.short('P').is_some() { "; a password is given with -P" } else { "" };
                Some(format!("{option}: unexpected word after its value{advice}"))
            }
            Some((option, Kind::Value)) => Some(format!(
                "unexpected argument '{word}': {option} takes one word; quote a value that contains a space, as in \
                 {option} 'two words'"
            )),
            _ if word == "help" => Some("unexpected argument 'help': use --help".into()),
            Some(("-c", _)) if self.has_verbs && is_number(word) => {
                Some(format!("-c keeps sessions and takes no value: set the number of clients with --clients {word}"))
            }
            _ => None,
        }
    }

    /// The option that decides what follows this argument: the long one, or the first letter that takes a value.
    fn find(&self, text: &str) -> Option<TypedOption> {
        if let Some(long) = text.strip_prefix("--") {
            let name = long.split('=').next().unwrap_or_default();
            let head = 2 + name.len();
            return Some(TypedOption {
                kind: self.long(name)?,
                head,
                attached: (head < text.len()).then_some(head + 1),
            });
        }
        let letters = text.strip_prefix('-')?;
        let mut last = None;
        for (place, letter) in letters.char_indices() {
            let kind = self.short(letter)?;
            let head = 1 + place + letter.len_utf8();
            let value = head + usize::from(text[head..].starts_with('='));
            last = Some(TypedOption { kind, head, attached: (head < text.len()).then_some(value) });
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
        let takes_value = |kind| !matches!(kind, Kind::Flag | Kind::ShowConfig | Kind::Help | Kind::Version);
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
        (format!("{dashes}{seen}: this is not an ASCII hyphen (copied text?); use {meant}"), value_follows)
    }
}

/// The dashes that word processors and web pages make of a hyphen.
fn is_copied_dash(c: char) -> bool {
    matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}')
}

/// Options after which a password is often typed by mistake: -pw PASSWORD, -p PORT PASSWORD, -u NAME PASSWORD.
fn names_port_or_user(option: &str) -> bool {
    matches!(option, "--port" | "--username") || !option.starts_with("--") && option.ends_with(['p', 'u'])
}

/// The rest of an argument from an index on.
fn rest_of(argument: &OsString, place: Option<usize>) -> OsString {
    // An argument with a place in it was found by its text.
    argument.to_str().zip(place).and_then(|(text, place)| text.get(place..)).unwrap_or_default().into()
}

fn is_negative_number(value: &OsString) -> bool {
    value.to_str().and_then(|text| text.strip_prefix('-')).is_some_and(is_number)
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// The words of one `-D` behind the first, which may be known already: COMMAND NAME VALUE, or COMMAND user-property KEY
/// VALUE. Where argv ends early they are the words that are there, and the fault is reported when they are parsed.
fn property_words(first: Option<OsString>, rest: &mut impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut read = first.iter().len();
    let mut wanted = 3;
    let mut words = Vec::new();
    while read < wanted {
        let Some(word) = rest.next() else { break };
        read += 1;
        // Joined by an earlier walk: these are all of them.
        if let Some(words) = word.to_str().filter(|word| word.contains(JOINT)) {
            return words.split(JOINT).map(OsString::from).collect();
        }
        if read == 2 {
            wanted = words_of(&word.to_string_lossy());
        }
        words.push(word);
    }
    words
}

/// Words as one argument.
pub(super) fn joined(words: impl Iterator<Item = OsString>) -> Option<OsString> {
    words.reduce(|mut joined, word| {
        joined.push(JOINT);
        joined.push(word);
        joined
    })
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
    fn secrets_behind_a_property_are_found_after_a_walk() {
        let command = BENCH.command();
        let table = OptionTable::of(&command);
        let walked = walk(&["-D", "publish", "user-property", "k", "two words", "--pw", "hunter2"]).arguments;
        assert!(table.hold_secret(&walked));
        assert_eq!(table.shown(&walked), ["-D publish user-property *** ***", "--pw ***"]);
        assert!(!table.hold_secret(&walk(&["-D", "publish", "user-property", "pw", "v", "-p", "1"]).arguments));
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
    fn typographic_dashes_are_reported_without_the_password() {
        for (arguments, fault) in [
            (&["–q", "1"][..], "–q: this is not an ASCII hyphen (copied text?); use -q"),
            (&["—host", "x"], "—host: this is not an ASCII hyphen (copied text?); use --host"),
            (&["––quiet"], "––quiet: this is not an ASCII hyphen (copied text?); use --quiet"),
            (&["−Phunter2"], "−P: this is not an ASCII hyphen (copied text?); use -P"),
            (&["–pw=hunter2"], "–pw: this is not an ASCII hyphen (copied text?); use --pw"),
            (&["–"], "–: this is not an ASCII hyphen (copied text?); use -"),
        ] {
            let walked = walk(arguments);
            assert_eq!(walked.faults, [fault]);
            assert!(walked.arguments.is_empty(), "{arguments:?}");
        }
    }
}
