//! The completions of a tool for bash, zsh and fish, from its options.
//!
//! The templates beside this file are the scripts, which first find out where on the command line the cursor stands.
//! What depends on the options comes into them from a [`Model`], in the syntax of each shell. clap_complete could not
//! say which options a verb takes, that `-D` has three or four words, and where no files may stand.

mod bash;
mod fish;
mod model;
mod taken;
mod zsh;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use mqtools::options::Tool;

use model::Model;

/// What is worth offering for options whose values are no closed list, by the name of the field. What ends in a colon
/// or a slash wants more behind it.
pub const VALUES: &[(&str, &[&str])] = &[
    ("qos", &["0", "1", "2"]),
    ("will_qos", &["0", "1", "2"]),
    ("shape", &["p2p", "fan-in", "fan-out", "shared:"]),
    ("payload", &["zero", "random", "text", "template:"]),
    ("arrival", &["fixed", "poisson", "burst:"]),
    ("broker_pid", &["auto"]),
    ("retry", &["forever"]),
    ("speed", &["max"]),
    ("url", &["mqtt://", "mqtts://", "ws://", "wss://", "unix:"]),
    ("control", &["mqtt://", "mqtts://", "ws://", "wss://", "unix:"]),
    ("proxy", &["socks5h://", "socks5://", "http://", "env"]),
];

/// Whether more must follow behind a value of [`VALUES`].
pub fn is_open(value: &str) -> bool {
    value.ends_with([':', '/'])
}

/// The scripts of a tool: path from the root of the package, and content.
pub fn scripts(tool: &Tool) -> Vec<(PathBuf, String)> {
    let model = Model::of(tool);
    let of_shell = |name: String, script| (Path::new("completions").join(name), script);
    vec![
        of_shell(format!("{}.bash", tool.name), bash::script(&model)),
        of_shell(format!("_{}", tool.name), zsh::script(&model)),
        of_shell(format!("{}.fish", tool.name), fish::script(&model)),
    ]
}

/// A template with these texts in the places of their names, as in `{tool}`. A line for a text that is empty goes, and
/// a second blank line with it.
fn fill(template: &str, texts: &[(&str, &str)]) -> String {
    let mut script = String::new();
    for line in template.lines() {
        let mut filled = line.to_owned();
        for (name, text) in texts {
            filled = filled.replace(&format!("{{{name}}}"), text.trim_end());
        }
        let goes = filled.is_empty() && (!line.is_empty() || script.ends_with("\n\n"));
        if !goes {
            let _ = writeln!(script, "{filled}");
        }
    }
    script
}

/// Names by what is to be done with them.
#[derive(Default)]
struct Cases<'a>(Vec<(String, Vec<&'a str>)>);

impl<'a> Cases<'a> {
    fn add(&mut self, action: String, names: impl IntoIterator<Item = &'a str>) {
        match self.0.iter_mut().find(|(other, _)| *other == action) {
            Some((_, all)) => all.extend(names),
            None => self.0.push((action, names.into_iter().collect())),
        }
    }

    /// As bash and zsh write it, each line behind this.
    fn text(&self, indent: &str) -> String {
        self.0.iter().map(|(action, names)| format!("{indent}{}) {action} ;;\n", pattern(names))).collect()
    }
}

/// A pattern of `case` in bash and zsh that matches these places alone.
fn pattern<S: AsRef<str>>(places: &[S]) -> String {
    let quoted = |place: &S| match place.as_ref() {
        "" => "''".to_owned(),
        place => place.replace(' ', "\\ "),
    };
    places.iter().map(quoted).collect::<Vec<_>>().join(" | ")
}

/// A command of bash and zsh that runs behind the verbs that take a group of options.
fn where_taken(group: &model::Group<'_>, command: &str) -> String {
    let places = pattern(&group.places);
    if group.is_everywhere_else {
        format!("    case $at in\n        {places}) ;;\n        *) {command} ;;\n    esac\n")
    } else {
        format!("    case $at in\n        {places}) {command} ;;\n    esac\n")
    }
}
