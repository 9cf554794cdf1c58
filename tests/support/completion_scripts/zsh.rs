//! The script for zsh.

use super::model::{Model, OptionModel, Takes};
use super::{Cases, fill, is_open, pattern, where_taken};

pub fn script(model: &Model) -> String {
    let (everywhere, groups) = model.groups();
    let more_options: String = groups
        .iter()
        .map(|group| where_taken(group, &format!("specs+=(\n{})", specs(model, &group.options))))
        .collect();
    let has_verbs = !model.places.is_empty();
    let operand_spec = if has_verbs { format!(" '*: :_{}_operands'", model.name) } else { String::new() };
    fill(
        &include_str!("template.zsh").replace("{profiles}", profiles(model)),
        &[
            ("operands", &operands(model)),
            ("tool", model.name),
            ("flags", &model.flags()),
            ("takes", &takes(model)),
            ("after_option", if model.has_verbs_first() { "            : ${at:=-}" } else { "" }),
            ("places", &places(model)),
            ("options", &specs(model, &everywhere)),
            ("more_options", &more_options),
            ("operand_spec", &operand_spec),
        ],
    )
}

fn profiles(model: &Model) -> &'static str {
    if model.has_profiles() { include_str!("profiles.zsh") } else { "" }
}

/// The cases of how many words an option takes.
fn takes(model: &Model) -> String {
    let mut cases = Cases::default();
    for (kind, count, names) in model.by_words() {
        if !names.is_empty() {
            cases.add(format!("takes={kind} left={count}"), names);
        }
    }
    cases.text("                ")
}

/// Reads a word that belongs to no option.
fn places(model: &Model) -> String {
    if model.places.is_empty() {
        return String::new();
    }
    let late = if model.has_verbs_first() { "                passwd\\ *) at='passwd FILE' ;;\n" } else { "" };
    let paths = pattern(&model.paths());
    format!(
        "        else\n            case ${{at:+$at }}$word in\n                {paths}) at=${{at:+$at }}$word ;;\n\
         {late}            esac\n"
    )
}

/// Offers words that belong to no option.
fn operands(model: &Model) -> String {
    let mut cases = Cases::default();
    for place in model.places.iter().filter(|place| place.files || !place.verbs.is_empty()) {
        let verbs: Vec<_> = place.verbs.iter().map(|(name, help)| quoted(&format!("{name}:{help}"))).collect();
        let verbs = format!("local -a verbs=({}); _describe verb verbs", verbs.join(" "));
        let action = match (place.verbs.is_empty(), place.files) {
            (true, _) => "_files".to_owned(),
            (false, true) => verbs + "; _files",
            (false, false) => verbs,
        };
        cases.add(action, [place.path.as_str()]);
    }
    let cases = cases.text("        ");
    if cases.is_empty() {
        cases
    } else {
        format!("_{}_operands() {{\n    case $at in\n{cases}    esac\n}}\n", model.name)
    }
}

/// The options as `_arguments` reads them, each name with its own.
fn specs(model: &Model, options: &[&OptionModel]) -> String {
    let of_option = |option: &OptionModel| {
        let of_name = |name: &String| format!("{}\n", quoted(&spec(model, option, name)));
        option.names.iter().map(of_name).collect::<String>()
    };
    options.iter().map(|option| of_option(option)).collect()
}

fn spec(model: &Model, option: &OptionModel, name: &str) -> String {
    let repeated = if option.is_repeated { "*" } else { "" };
    let help = escaped(&option.help);
    // The words of -D are taken away before _arguments sees them.
    let Some(takes) = option.takes.as_ref().filter(|takes| **takes != Takes::Property) else {
        return format!("{repeated}{name}[{help}]");
    };
    let attached = if name.starts_with("--") { "=" } else { "+" };
    let optional = if option.is_optional { ":" } else { "" };
    let value = escaped(&option.value_name);
    format!("{repeated}{name}{attached}[{help}]:{optional}{value}:{}", action(model, takes))
}

fn action(model: &Model, takes: &Takes) -> String {
    match takes {
        Takes::Text | Takes::Property => String::new(),
        Takes::Words(words) if words.iter().any(|(word, _)| is_open(word)) => open_words(words),
        Takes::Words(words) if words.iter().all(|(_, help)| help.is_empty()) => {
            let words: Vec<_> = words.iter().map(|(word, _)| escaped(word)).collect();
            format!("({})", words.join(" "))
        }
        Takes::Words(words) => {
            let words: Vec<_> =
                words.iter().map(|(word, help)| format!("{}\\:\"{}\"", escaped(word), escaped(help))).collect();
            format!("(({}))", words.join(" "))
        }
        Takes::Files => "_files".to_owned(),
        Takes::Folders => "_files -/".to_owned(),
        Takes::Commands => "_cmdstring".to_owned(),
        Takes::Hosts => "_hosts".to_owned(),
        Takes::Profiles => format!("_{}_profiles", model.name),
    }
}

/// Words of which some want more behind them, and no space.
fn open_words(words: &[(String, String)]) -> String {
    let (open, closed): (Vec<_>, Vec<_>) = words.iter().map(|(word, _)| escaped(word)).partition(|word| is_open(word));
    let closed =
        if closed.is_empty() { String::new() } else { format!("; compadd \"$expl[@]\" -- {}", closed.join(" ")) };
    format!("{{compadd \"$expl[@]\" -S \"\" -- {}{closed}}}", open.join(" "))
}

/// A text in an argument of `_arguments`.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        if "\\[]:$`\"".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
