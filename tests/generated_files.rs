//! The man pages and shell completions are made from the options of the tools, the JSON Schemas from the types of the
//! result and from what the reader of a message reads, and this is where they are made:
//! `BLESS=1 cargo test --test generated_files` writes them, without it a stale one fails.

// clippy.toml allows it in functions marked as tests only, and this file is nothing else.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap_mangen::Man;
use mqtools::options::{Entry, Section, TOOLS, Tool};

#[path = "support/completion_scripts/mod.rs"]
mod completion_scripts;
#[allow(dead_code)]
#[path = "support/process.rs"]
mod process;

/// Every generated file of a tool: path from the root of the package, and content.
fn files(tool: &Tool) -> Vec<(PathBuf, String)> {
    let man = (Path::new("man").join(format!("{}.1", tool.name)), man_page(tool));
    [man].into_iter().chain(completion_scripts::scripts(tool)).collect()
}

/// The page that clap_mangen makes, with the sections of the tool in place of its "EXTRA".
fn man_page(tool: &Tool) -> String {
    let verbs = tool.verbs();
    let mut command = tool.command();
    let mut synopsis = format!(".SH SYNOPSIS\n\\fB{}\\fR [\\fIOPTIONS\\fR]\n", tool.name);
    if !verbs.is_empty() {
        // They have their own section.
        command = command.mut_arg("verb", |verb| verb.hide(true));
        synopsis = format!(".SH SYNOPSIS\n\\fB{}\\fR [\\fIVERB\\fR] [\\fIOPTIONS\\fR]\n", tool.name);
    }
    let version = command.get_version().unwrap_or_default();
    // No date, so that the page changes with the options and the version only. clap_mangen would leave an empty date
    // out and let the version take its place.
    let title = format!(".TH {} 1 \"\" \"mqtools {version}\" \"User Commands\"\n", tool.name.to_uppercase());
    let headings: BTreeSet<String> =
        command.get_arguments().filter_map(|argument| argument.get_help_heading()).map(str::to_owned).collect();
    let man = Man::new(command);
    let mut page = Vec::new();
    man.render_name_section(&mut page).unwrap();
    page.extend_from_slice(synopsis.as_bytes());
    man.render_description_section(&mut page).unwrap();
    let mut page = String::from_utf8(page).unwrap();
    if !verbs.is_empty() {
        page.push_str(".SH VERBS\n");
        for (name, text) in &verbs {
            page.push_str(&format!(".TP\n\\fB{}\\fR\n{}\n", escape(name), escape(text)));
        }
    }
    page.push_str(&options(&man, &headings));
    for section in tool.sections {
        add_section(&mut page, section);
    }
    format!("{PREAMBLE}{title}{}", tidy(&page))
}

/// The options, their groups as parts of one section; clap_mangen makes each group a section in capitals.
fn options(man: &Man, headings: &BTreeSet<String>) -> String {
    let mut options = Vec::new();
    man.render_options_section(&mut options).unwrap();
    let mut options = String::from_utf8(options).unwrap();
    for heading in headings {
        // The roff crate quotes what has a space.
        let quoted = |heading: &str| if heading.contains(' ') { format!("\"{heading}\"") } else { heading.to_owned() };
        let (section, part) = (quoted(&heading.to_uppercase()), quoted(heading));
        options = options.replace(&format!(".SH {section}\n"), &format!(".SS {part}\n"));
    }
    let options = options.replace(".SH OPTIONS\n", "");
    assert!(!options.contains(".SH "), "a group of options is a section of its page: {options}");
    format!(".SH OPTIONS\n{options}")
}

/// What the roff crate puts in front of every piece: an apostrophe that can be copied.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

fn add_section(page: &mut String, section: &Section) {
    page.push_str(&format!(".SH \"{}\"\n", section.title));
    for Entry { term, text } in section.entries {
        page.push_str(&format!(".TP\n\\fB{}\\fR\n{}\n", escape(term), escape(text)));
    }
}

/// Text as roff reads it: no escapes, no macros, and hyphens that can be copied.
fn escape(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('~', "\\(ti");
    if escaped.starts_with('.') { format!("\\&{escaped}") } else { escaped }
}

/// Mends what mandoc finds in the output of clap_mangen: the preamble before each piece, breaks beside blank lines, and
/// text lines of any length.
fn tidy(page: &str) -> String {
    let page = page.replace(PREAMBLE, "");
    let lines: Vec<&str> = page.lines().collect();
    let mut tidied = String::new();
    for (number, line) in lines.iter().enumerate() {
        let beside =
            |other: Option<usize>| other.and_then(|other| lines.get(other)).is_some_and(|line| line.is_empty());
        if *line == ".br" && (beside(number.checked_sub(1)) || beside(number.checked_add(1))) {
            continue;
        }
        // The line after .TP is one tag.
        let is_tag = number.checked_sub(1).and_then(|before| lines.get(before)) == Some(&".TP");
        if line.starts_with('.') || is_tag {
            tidied.push_str(line);
            tidied.push('\n');
        } else {
            fold(line, &mut tidied);
        }
    }
    tidied
}

/// Breaks a text line at spaces. No line may begin with what roff takes for a macro. Font changes hold over a break.
fn fold(line: &str, page: &mut String) {
    let mut length = 0;
    for word in line.split(' ') {
        if length > 0 && length + 1 + word.len() > 79 {
            page.push('\n');
            length = 0;
            if word.starts_with(['.', '\'']) {
                page.push_str("\\&");
            }
        } else if length > 0 {
            page.push(' ');
        }
        page.push_str(word);
        length += word.len() + 1;
    }
    page.push('\n');
}

/// The JSON Schema of mqbench's result.
fn schemas_of_mqbench() -> [(PathBuf, String); 2] {
    let schemas = [("result", mqtools::bench::result_schema()), ("compare", mqtools::bench::compare_schema())];
    schemas.map(|(name, schema)| {
        let text = serde_json::to_string_pretty(&schema).unwrap();
        (Path::new("schemas").join(format!("mqbench-{name}-1.json")), text + "\n")
    })
}

#[test]
fn generated_files_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bless = std::env::var_os("BLESS").is_some();
    let mut stale = Vec::new();
    let of_message = format!("{}\n", serde_json::to_string_pretty(&mqtools::message_json::schema()).unwrap());
    let of_message = (Path::new("schemas/message.json").to_owned(), of_message);
    for (path, content) in TOOLS.iter().flat_map(|tool| files(tool)).chain(schemas_of_mqbench()).chain([of_message]) {
        let full = root.join(&path);
        if bless {
            std::fs::create_dir_all(full.parent().unwrap()).unwrap();
            std::fs::write(&full, &content).unwrap();
        } else if std::fs::read_to_string(&full).ok().as_ref() != Some(&content) {
            stale.push(path.display().to_string());
        }
    }
    assert!(
        stale.is_empty(),
        "out of date: {}; write them anew with: BLESS=1 cargo test --test generated_files",
        stale.join(", ")
    );
}

/// What the completions offer is what the tools accept.
#[test]
fn offered_values_are_valid() {
    for (field, values) in completion_scripts::VALUES {
        let mut takers = 0;
        for tool in TOOLS {
            let mut command = tool.command();
            command.build();
            let option = command.get_arguments().find(|argument| argument.get_id() == field);
            let Some(long) = option.and_then(|option| option.get_long()) else { continue };
            takers += 1;
            for value in *values {
                let more = if completion_scripts::is_open(value) { "7" } else { "" };
                let argv = [tool.name.to_owned(), format!("--{long}"), format!("{value}{more}")];
                if let Err(error) = tool.command().try_get_matches_from(&argv) {
                    panic!("{argv:?}: {error}");
                }
            }
        }
        assert!(takers > 0, "no tool has an option {field}");
    }
}

#[test]
fn mandoc_finds_no_fault() {
    if !process::has("mandoc") {
        return;
    }
    for tool in TOOLS {
        let mut mandoc = process::Running::start_fed(Command::new("mandoc").args(["-T", "lint"]));
        mandoc.feed(man_page(tool).as_bytes());
        let output = mandoc.finish();
        let found = String::from_utf8_lossy(&output.stdout);
        // A date would make every page change at every build; see man_page.
        let faults: Vec<&str> = found.lines().filter(|line| !line.contains("missing date")).collect();
        assert!(faults.is_empty(), "{}: {faults:#?}", tool.name);
    }
}
