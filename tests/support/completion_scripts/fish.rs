//! The script for fish, which reads options itself. Only the verbs are found by a function.

use super::fill;
use super::model::{Group, Model, OptionModel, Takes};

pub fn script(model: &Model) -> String {
    let (everywhere, groups) = model.groups();
    let lines = |options: &[&OptionModel], condition: &str| {
        options.iter().map(|option| line(model, option, condition)).collect::<String>()
    };
    let of_groups: String = groups.iter().map(|group| lines(&group.options, &condition_of(model, group))).collect();
    let at = if model.places.is_empty() { "" } else { include_str!("at.fish") };
    let profiles = if model.has_profiles() { include_str!("profiles.fish") } else { "" };
    fill(
        &include_str!("template.fish").replace("{profiles}", profiles).replace("{at}", at),
        &[
            ("tool", model.name),
            ("flags", &model.flags()),
            ("takes", &takes(model)),
            ("after_option", if model.has_verbs_first() { "            test -z \"$at\"; and set at -" } else { "" }),
            ("places", &places(model)),
            ("options", &(lines(&everywhere, "") + &of_groups)),
            ("operands", &operands(model)),
        ],
    )
}

/// Holds at these places.
fn condition(model: &Model, not: &str, places: &[&str]) -> String {
    let quoted = |place: &&str| {
        if place.is_empty() || place.contains(' ') { format!("\"{place}\"") } else { (*place).to_owned() }
    };
    let places: Vec<_> = places.iter().map(quoted).collect();
    format!(" -n '{not}__{}_at {}'", model.name, places.join(" "))
}

fn condition_of(model: &Model, group: &Group<'_>) -> String {
    condition(model, if group.is_everywhere_else { "not " } else { "" }, &group.places)
}

/// The cases of how many words an option takes.
fn takes(model: &Model) -> String {
    let cases = model.by_words().into_iter().filter(|(_, _, names)| !names.is_empty());
    cases
        .map(|(kind, count, names)| {
            let indent = " ".repeat(20);
            format!("                case {}\n{indent}set takes {kind}\n{indent}set left {count}\n", names.join(" "))
        })
        .collect()
}

/// Reads a word that belongs to no option.
fn places(model: &Model) -> String {
    let paths: Vec<_> = model.paths().iter().map(|path| quoted(path)).collect();
    let late = if model.has_verbs_first() {
        "                case 'passwd *'\n                    set at 'passwd FILE'\n"
    } else {
        ""
    };
    format!("                case {}\n                    set at $longer\n{late}", paths.join(" "))
}

/// Offers words that belong to no option.
fn operands(model: &Model) -> String {
    let with_files: Vec<_> = model.places.iter().filter(|place| place.files).map(|place| place.path.as_str()).collect();
    let no_files = if with_files.is_empty() { String::new() } else { condition(model, "not ", &with_files) };
    let mut lines = format!("complete -c {}{no_files} -f\n", model.name);
    for place in &model.places {
        let condition = condition(model, "", &[&place.path]);
        for (verb, help) in &place.verbs {
            lines += &format!("complete -c {}{condition} -a {verb} -d {}\n", model.name, quoted(help));
        }
    }
    lines
}

fn line(model: &Model, option: &OptionModel, condition: &str) -> String {
    let mut line = format!("complete -c {}{condition}", model.name);
    for name in &option.names {
        line += &match name.strip_prefix("--") {
            Some(long) => format!(" -l {long}"),
            None => format!(" -s {}", name.trim_start_matches('-')),
        };
    }
    line += &format!(" -d {}", quoted(&option.help));
    let values = match &option.takes {
        None => return line + "\n",
        Some(Takes::Files) => return line + " -r -F\n",
        Some(Takes::Text | Takes::Property) => String::new(),
        Some(Takes::Words(words)) => {
            let word = |(word, help): &(String, String)| {
                if help.is_empty() { word.clone() } else { format!("{word}\\t{}", quoted(help)) }
            };
            words.iter().map(word).collect::<Vec<_>>().join(" ")
        }
        Some(Takes::Folders) => "(__fish_complete_directories)".to_owned(),
        Some(Takes::Commands) => "(__fish_complete_command)".to_owned(),
        Some(Takes::Hosts) => "(__fish_print_hostnames)".to_owned(),
        Some(Takes::Profiles) => format!("(__{}_profiles)", model.name),
    };
    line += " -r -f";
    if !values.is_empty() {
        line += &format!(" -a {}", quoted(&values));
    }
    line + "\n"
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
