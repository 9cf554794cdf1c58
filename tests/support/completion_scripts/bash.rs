//! The script for bash.

use super::model::{Model, OptionModel, Takes};
use super::{Cases, fill, pattern, where_taken};

pub fn script(model: &Model) -> String {
    let (everywhere, groups) = model.groups();
    let more_options: String = groups
        .iter()
        .map(|group| where_taken(group, &format!("options+=$'\\n{}'", names(&group.options).join("\\n"))))
        .collect();
    fill(
        &include_str!("template.bash").replace("{profiles}", profiles(model)),
        &[
            ("tool", model.name),
            ("flags", &model.flags()),
            ("takes", &takes(model)),
            ("after_option", if model.has_verbs_first() { "        [[ -n $at ]] || at=-" } else { "" }),
            ("places", &places(model)),
            ("options", &names(&everywhere).join("\\n")),
            ("more_options", &more_options),
            ("operands", &operands(model)),
        ],
    )
}

fn names(options: &[&OptionModel]) -> Vec<String> {
    options.iter().flat_map(|option| option.names.clone()).collect()
}

fn profiles(model: &Model) -> &'static str {
    if model.has_profiles() { include_str!("profiles.bash") } else { "" }
}

/// The cases of what an option takes.
fn takes(model: &Model) -> String {
    let mut cases = Cases::default();
    for option in &model.options {
        let Some(takes) = &option.takes else { continue };
        let optional = if option.is_optional { " optional=yes" } else { "" };
        cases.add(format!("takes={}{optional}", action(takes)), option.names.iter().map(String::as_str));
    }
    cases.text("        ")
}

/// What a value may be, as the script calls it.
fn action(takes: &Takes) -> String {
    match takes {
        Takes::Text => "@text".to_owned(),
        Takes::Property => "@property".to_owned(),
        Takes::Words(words) => words_of(&words.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>()),
        Takes::Files => "@files".to_owned(),
        Takes::Folders => "@folders".to_owned(),
        Takes::Commands => "@commands".to_owned(),
        Takes::Hosts => "@hosts".to_owned(),
        Takes::Profiles => "@profiles".to_owned(),
    }
}

fn words_of(words: &[&str]) -> String {
    format!("$'{}'", words.join("\\n"))
}

/// Reads a word that belongs to no option.
fn places(model: &Model) -> String {
    if model.places.is_empty() {
        return String::new();
    }
    let late = if model.has_verbs_first() { "            passwd\\ *) at='passwd FILE' ;;\n" } else { "" };
    let paths = pattern(&model.paths());
    format!(
        "    else\n        case ${{at:+$at }}$1 in\n            {paths}) at=${{at:+$at }}$1 ;;\n{late}        esac\n"
    )
}

/// Offers words that belong to no option.
fn operands(model: &Model) -> String {
    let name = model.name;
    let mut cases = Cases::default();
    for place in model.places.iter().filter(|place| place.files || !place.verbs.is_empty()) {
        let verbs: Vec<_> = place.verbs.iter().map(|(name, _)| name.as_str()).collect();
        let verbs = if verbs.is_empty() { String::new() } else { format!("_{name}_offer {}; ", words_of(&verbs)) };
        let files = if place.files { format!("_{name}_offer @files; ") } else { String::new() };
        cases.add(format!("{verbs}{files}return"), [place.path.as_str()]);
    }
    let cases = cases.text("            ");
    if cases.is_empty() { cases } else { format!("        case $at in\n{cases}        esac\n") }
}
