//! Which options are taken behind which verbs. No table says it: the reader of the options is asked, with command
//! lines. What it leaves to the plan to refuse, such as `mqbench sub --rate 5`, is offered.

use std::ffi::OsString;

use mqtools::options::{BenchOptions, BrokerOptions, Environment, Tool};

use super::is_open;
use super::model::{BEHIND_FILE, BEHIND_OPTION, OptionModel, Place, Takes};

/// What some options and verbs need beside them. An option is taken if it is in any of these contexts.
const CONTEXTS: &[&[&str]] = &[
    &[],
    &["f"],
    &["f", "f"],
    &["--runs", "2"],
    &["--hosts", "a,b"],
    &["--hosts", "a,b", "--ab"],
    &["--baseline", "f"],
    &["f", "--baseline", "f"],
    &["--flood", "--shard", "0/2"],
    &["--shard", "0/2"],
    &["--engine", "kubernetes", "--shards", "2", "--flood"],
    &["--engine", "kubernetes", "--shards", "2"],
    &["--engine", "kubernetes", "--shards", "2", "--flood", "--hosts", "a,b"],
    &["--target", "1M clients"],
];

/// Values, of which every option takes one.
const SAMPLES: &[&str] = &["f", "5", "0/2", "key=value", "127.0.0.1", "127.0.0.1:0", "mqtt://f", "1M clients"];

/// What a tool takes.
pub struct Taken<'a> {
    tool: &'a Tool,
    /// Each place, with the command lines there that have nothing wrong.
    contexts: Vec<(&'a str, Vec<Vec<&'a str>>)>,
}

impl<'a> Taken<'a> {
    pub fn of(tool: &'a Tool, places: &'a [Place]) -> Self {
        let mut contexts = Vec::new();
        for path in places.iter().map(|place| place.path.as_str()) {
            let verbs = path.split(' ').filter(|verb| !["", BEHIND_OPTION].contains(verb));
            let lines = CONTEXTS.iter().map(|context| verbs.clone().chain(context.iter().copied()).collect());
            contexts.push((path, lines.filter(|words: &Vec<_>| reads(tool, words)).collect()));
        }
        Self { tool, contexts }
    }

    /// The places where an option is taken. Where it is only taken behind one more verb, that verb may follow.
    pub fn places(&self, option: &OptionModel) -> Vec<String> {
        let sample = self.sample(option);
        let is_taken = |(path, contexts): &&(&str, Vec<Vec<&'a str>>)| {
            *path != BEHIND_FILE
                && contexts.iter().any(|words| {
                    let words: Vec<&str> = words.iter().copied().chain(sample.iter().map(String::as_str)).collect();
                    reads(self.tool, &words)
                })
        };
        let taken: Vec<&str> = self.contexts.iter().filter(is_taken).map(|(path, _)| *path).collect();
        assert!(self.contexts.is_empty() || !taken.is_empty(), "CONTEXTS has none for {:?}", option.names);
        let leads_to =
            |path: &str, longer: &str| path.is_empty() || longer == path || longer.starts_with(&format!("{path} "));
        let paths = self.contexts.iter().map(|(path, _)| *path);
        paths.filter(|path| taken.iter().any(|longer| leads_to(path, longer))).map(str::to_owned).collect()
    }

    /// The option with a value that it takes.
    fn sample(&self, option: &OptionModel) -> Vec<String> {
        let name = option.names.last().unwrap().as_str();
        let with = |value: &str| vec![name.to_owned(), value.to_owned()];
        match &option.takes {
            _ if self.contexts.is_empty() => Vec::new(),
            None => vec![name.to_owned()],
            Some(Takes::Property) => [name, "publish", "user-property", "k", "v"].map(str::to_owned).to_vec(),
            Some(Takes::Words(words)) if is_open(&words[0].0) => with(&format!("{}7", words[0].0)),
            Some(Takes::Words(words)) => with(&words[0].0),
            Some(_) => {
                let is_valid = |value: &&&str| {
                    let argv = [self.tool.name.to_owned()].into_iter().chain(with(value));
                    self.tool.command().try_get_matches_from(argv).is_ok()
                };
                let value = SAMPLES.iter().find(is_valid);
                with(value.unwrap_or_else(|| panic!("SAMPLES has none for {name}")))
            }
        }
    }
}

/// Whether a tool with verbs has nothing against these words.
fn reads(tool: &Tool, words: &[&str]) -> bool {
    let profiles = ("/config/mqtools/profiles.toml", b"[f]".to_vec());
    let environment = Environment::fixed([("XDG_CONFIG_HOME", "/config")], [("f", Vec::new()), profiles]);
    let argv = std::iter::once(&tool.name).chain(words).map(OsString::from);
    match tool.name {
        "mqbench" => BenchOptions::read(&environment, argv).is_ok(),
        "mqbroker" => BrokerOptions::read(&environment, argv).is_ok(),
        name => panic!("{name} has verbs: who reads them?"),
    }
}
