//! What completions know of a tool: its options, what their values may be, and the words between them.

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, ValueEnum, ValueHint};
use mqtools::options::{Tool, Verb};

use super::VALUES;
use super::taken::Taken;

/// A tool.
pub struct Model {
    pub name: &'static str,
    /// All of them, also those that are hidden: a word behind one of them may be its value.
    pub options: Vec<OptionModel>,
    /// Where the cursor may stand; empty for a tool without verbs.
    pub places: Vec<Place>,
}

/// The name of the place of mqbroker where a verb would come too late.
pub const BEHIND_OPTION: &str = "-";

/// The name of the place of mqbroker where the user's name comes, which nobody can guess.
pub const BEHIND_FILE: &str = "passwd FILE";

/// A place among the words that belong to no option.
pub struct Place {
    /// The verbs in front of it, with a space between them.
    pub path: String,
    /// Which verbs may stand there, with what each does.
    pub verbs: Vec<(String, String)>,
    /// Whether files may.
    pub files: bool,
}

/// An option.
pub struct OptionModel {
    /// With their dashes: a letter, a long name, or both.
    pub names: Vec<String>,
    pub help: String,
    pub value_name: String,
    /// What its value may be; none for a flag.
    pub takes: Option<Takes>,
    /// Whether the value may be left out.
    pub is_optional: bool,
    pub is_repeated: bool,
    pub is_hidden: bool,
    /// The paths of the places where the tool takes it.
    places: Vec<String>,
}

/// What a value may be.
#[derive(Clone, PartialEq, Eq)]
pub enum Takes {
    /// Anything.
    Text,
    /// Three or four words.
    Property,
    /// One of these, each with what it means, or nothing.
    Words(Vec<(String, String)>),
    Files,
    Folders,
    Commands,
    Hosts,
    /// Names in the file of the profiles.
    Profiles,
}

/// Options that are taken at the same places.
pub struct Group<'a> {
    pub options: Vec<&'a OptionModel>,
    pub places: Vec<&'a str>,
    /// Whether they are taken everywhere but at these places, and not at these places alone.
    pub is_everywhere_else: bool,
}

impl Model {
    pub fn of(tool: &Tool) -> Self {
        let mut command = tool.command();
        command.build();
        let places = places(tool);
        let taken = Taken::of(tool, &places);
        let options = command.get_arguments().filter(|argument| !argument.is_positional());
        let options = options.map(|argument| OptionModel::of(argument, &taken)).collect();
        Self { name: tool.name, options, places }
    }

    /// The letters of options without a value.
    pub fn flags(&self) -> String {
        let flags = self.options.iter().filter(|option| option.takes.is_none());
        flags.filter_map(OptionModel::letter).collect()
    }

    /// The names of the options with a value for which that holds.
    pub fn names(&self, holds: impl Fn(&OptionModel) -> bool) -> Vec<&str> {
        let options = self.options.iter().filter(|option| option.takes.is_some() && holds(option));
        options.flat_map(|option| &option.names).map(String::as_str).collect()
    }

    /// The names of all options whose value may be left out, of `-D`, and of all others with a value: how many words
    /// they take.
    pub fn by_words(&self) -> [(&'static str, u8, Vec<&str>); 3] {
        let is_property = |option: &OptionModel| option.takes == Some(Takes::Property);
        [
            ("optional", 1, self.names(|option| option.is_optional)),
            ("property", 3, self.names(is_property)),
            ("value", 1, self.names(|option| !option.is_optional && !is_property(option))),
        ]
    }

    /// Whether there is `--profile`.
    pub fn has_profiles(&self) -> bool {
        self.options.iter().any(|option| option.takes == Some(Takes::Profiles))
    }

    /// Whether verbs stand in front of all options.
    pub fn has_verbs_first(&self) -> bool {
        self.places.iter().any(|place| place.path == BEHIND_OPTION)
    }

    /// The paths of the places behind a verb.
    pub fn paths(&self) -> Vec<&str> {
        let paths = self.places.iter().map(|place| place.path.as_str());
        paths.filter(|path| !["", BEHIND_OPTION, BEHIND_FILE].contains(path)).collect()
    }

    /// The options that are taken everywhere, and the others by where they are taken.
    pub fn groups(&self) -> (Vec<&OptionModel>, Vec<Group<'_>>) {
        let (mut everywhere, mut groups) = (Vec::new(), Vec::<Group<'_>>::new());
        for option in self.options.iter().filter(|option| !option.is_hidden) {
            let paths = self.places.iter().map(|place| place.path.as_str());
            let (taken, refused): (Vec<_>, Vec<_>) = paths.partition(|path| option.places.iter().any(|p| p == path));
            if refused.is_empty() {
                everywhere.push(option);
                continue;
            }
            let is_everywhere_else = refused.len() < taken.len();
            let places = if is_everywhere_else { refused } else { taken };
            match groups
                .iter_mut()
                .find(|group| group.places == places && group.is_everywhere_else == is_everywhere_else)
            {
                Some(group) => group.options.push(option),
                None => groups.push(Group { options: vec![option], places, is_everywhere_else }),
            }
        }
        (everywhere, groups)
    }
}

impl OptionModel {
    fn of(argument: &Arg, taken: &Taken<'_>) -> Self {
        let takes_value = argument.get_num_args().is_some_and(|count| count.takes_values());
        let short = argument.get_short().map(|letter| format!("-{letter}"));
        let long = argument.get_long().map(|long| format!("--{long}"));
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let value_name = argument.get_value_names().and_then(<[_]>::first).map(ToString::to_string);
        let mut option = Self {
            names: short.into_iter().chain(long).collect(),
            help,
            value_name: value_name.unwrap_or_default(),
            takes: takes_value.then(|| Takes::of(argument)),
            is_optional: takes_value && argument.get_num_args().is_some_and(|count| count.min_values() == 0),
            is_repeated: matches!(argument.get_action(), ArgAction::Append | ArgAction::Count),
            is_hidden: argument.is_hide_set(),
            places: Vec::new(),
        };
        if !option.is_hidden {
            option.places = taken.places(&option);
        }
        option
    }

    fn letter(&self) -> Option<char> {
        self.names.iter().find(|name| !name.starts_with("--"))?.chars().nth(1)
    }
}

impl Takes {
    fn of(argument: &Arg) -> Self {
        let id = argument.get_id().as_str();
        if let Some((_, values)) = VALUES.iter().find(|(field, _)| *field == id) {
            return Self::Words(values.iter().map(|value| ((*value).to_owned(), String::new())).collect());
        }
        let possible = argument.get_possible_values();
        if !possible.is_empty() {
            let help = |value: &PossibleValue| value.get_help().map(ToString::to_string).unwrap_or_default();
            return Self::Words(possible.iter().map(|value| (value.get_name().to_owned(), help(value))).collect());
        }
        match argument.get_value_hint() {
            _ if argument.get_short() == Some('D') => Self::Property,
            _ if id == "profile" => Self::Profiles,
            ValueHint::FilePath | ValueHint::AnyPath => Self::Files,
            ValueHint::DirPath => Self::Folders,
            ValueHint::CommandString | ValueHint::CommandName => Self::Commands,
            ValueHint::Hostname => Self::Hosts,
            _ => Self::Text,
        }
    }
}

fn places(tool: &Tool) -> Vec<Place> {
    let place = |path: &str, verbs, files| Place { path: path.to_owned(), verbs, files };
    if tool.name == "mqbroker" {
        // passwd is read before clap sees the command line, and is its first word.
        let passwd = ("passwd".to_owned(), "Set a user's password in a password file".to_owned());
        return vec![
            place("", vec![passwd], false),
            place("passwd", Vec::new(), true),
            place(BEHIND_FILE, Vec::new(), false),
            place(BEHIND_OPTION, Vec::new(), false),
        ];
    }
    // The first entry is the run without a verb.
    let verbs: Vec<_> = tool.verbs().into_iter().skip(1).collect();
    if verbs.is_empty() {
        return Vec::new();
    }
    let mut places = vec![place("", verbs.clone(), false)];
    for (name, _) in &verbs {
        let verb = Verb::from_str(name, false).unwrap();
        let examined = |name: &str| verb.examines().iter().any(|examined| examined.name() == name);
        let behind: Vec<_> = verbs.iter().filter(|(name, _)| examined(name)).cloned().collect();
        let longer: Vec<_> = behind.iter().map(|(second, _)| format!("{name} {second}")).collect();
        places.push(place(name, behind, verb.reads_files()));
        places.extend(longer.iter().map(|path| place(path, Vec::new(), verb.reads_files())));
    }
    places
}
