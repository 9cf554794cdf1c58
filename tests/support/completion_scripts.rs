//! The completions of a tool for bash, zsh and fish, from its options.
//!
//! clap_complete writes those of zsh and fish from a definition with more values in it than clap needs to read a
//! command line; what it cannot say, which words may stand where, is added. Its script for bash offers file names for
//! every number, options where a verb is expected, and nothing after `--qos=`, so that script is written here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, ValueEnum, ValueHint};
use clap_complete::Shell;
use mqtools::options::{Tool, Verb};

/// What is worth offering for options whose values are no closed list, by the name of the field. What ends in a colon
/// wants more behind it.
pub const VALUES: &[(&str, &[&str])] = &[
    ("qos", &["0", "1", "2"]),
    ("will_qos", &["0", "1", "2"]),
    ("shape", &["p2p", "fan-in", "fan-out", "shared:"]),
    ("payload", &["zero", "random", "text", "template:"]),
    ("arrival", &["fixed", "poisson", "burst:"]),
    ("broker_pid", &["auto"]),
    ("retry", &["forever"]),
    ("speed", &["max"]),
];

/// The words without a dash that a tool takes.
struct Words {
    /// What the first may be, with what each does.
    verbs: Vec<(String, String)>,
    /// Verbs that are followed by files.
    before_files: Vec<String>,
    /// Verbs that are followed by a verb.
    before_verbs: Vec<String>,
}

impl Words {
    fn of(tool: &Tool) -> Self {
        let (mut verbs, mut before_files, mut before_verbs) = (Vec::new(), Vec::new(), Vec::new());
        // The first entry is the run without a verb.
        for (name, text) in tool.verbs().into_iter().skip(1) {
            match Verb::from_str(&name, false) {
                Ok(verb) if verb.reads_results() => before_files.push(name.clone()),
                Ok(Verb::Doctor) => before_verbs.push(name.clone()),
                _ => {}
            }
            verbs.push((name, text));
        }
        if tool.name == "mqbroker" {
            // Read before clap sees the command line.
            verbs.push(("passwd".to_owned(), "Set a user's password in a password file".to_owned()));
            before_files.push("passwd".to_owned());
        }
        Self { verbs, before_files, before_verbs }
    }

    fn names(&self) -> Vec<String> {
        self.verbs.iter().map(|(name, _)| name.clone()).collect()
    }
}

/// The scripts of a tool: path from the root of the package, and content.
pub fn scripts(tool: &Tool) -> Vec<(PathBuf, String)> {
    let words = Words::of(tool);
    let of_shell = |name: String, script| (Path::new("completions").join(name), script);
    vec![
        of_shell(format!("{}.bash", tool.name), bash(tool, &words)),
        of_shell(format!("_{}", tool.name), zsh(tool, &words)),
        of_shell(format!("{}.fish", tool.name), fish(tool, &words)),
    ]
}

/// The definition with [`VALUES`] in it, and without files where a number is expected.
fn definition(tool: &Tool) -> Command {
    let mut built = tool.command();
    built.build();
    let mut command = tool.command();
    for argument in built.get_arguments() {
        let id = argument.get_id().as_str();
        // clap adds some of its own.
        if command.get_arguments().all(|argument| argument.get_id() != id) {
            continue;
        }
        let wants_anything = takes_value(argument) && argument.get_value_hint() == ValueHint::Unknown;
        command = command.mut_arg(id, |argument| match VALUES.iter().find(|(field, _)| *field == id) {
            Some((_, values)) => argument.value_parser(PossibleValuesParser::new(*values)),
            None if wants_anything => argument.value_hint(ValueHint::Other),
            None => argument,
        });
    }
    command
}

fn generated(shell: Shell, command: &mut Command, tool: &Tool) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, tool.name, &mut script);
    String::from_utf8(script).unwrap()
}

/// clap_complete offers files for every second word; which words may stand there depends on the first.
fn zsh(tool: &Tool, words: &Words) -> String {
    let mut command = definition(tool);
    if words.verbs.is_empty() {
        return generated(Shell::Zsh, &mut command, tool);
    }
    if command.get_positionals().next().is_none() {
        let verb = Arg::new("verb").index(1).value_parser(PossibleValuesParser::new(words.names()));
        let operands = Arg::new("operands").index(2).num_args(0..).value_hint(ValueHint::FilePath);
        command = command.arg(verb).arg(operands);
    }
    let script = generated(Shell::Zsh, &mut command, tool);
    let operands = script.lines().find(|line| line.starts_with("'*::operands")).unwrap();
    let operation = format!("_{}_operands", tool.name);
    // With a second colon zsh offers no options behind the first word.
    let mended = operands.replace("'*::", "'*:").replace(":_files' \\", &format!(":{operation}' \\"));
    assert_ne!(operands, mended, "clap_complete writes operands of zsh in another way");
    let mut function = format!("{operation}() {{\n    case $line[1] in\n");
    let _ = writeln!(function, "        {}) _files ;;", words.before_files.join("|"));
    if !words.before_verbs.is_empty() {
        let _ = writeln!(function, "        {}) compadd {} ;;", words.before_verbs.join("|"), words.names().join(" "));
    }
    function.push_str("    esac\n}\n");
    let (head, body) = script.split_once("\n\n").unwrap();
    format!("{head}\n\n{function}\n{}", body.replace(operands, &mended))
}

/// clap_complete leaves words without a dash to fish, which offers files everywhere.
fn fish(tool: &Tool, words: &Words) -> String {
    let mut script = generated(Shell::Fish, &mut definition(tool), tool);
    let name = tool.name;
    let second = "(commandline -opc)[2]";
    if words.verbs.is_empty() {
        let _ = writeln!(script, "complete -c {name} -f");
        return script;
    }
    let _ = writeln!(script, "complete -c {name} -n 'not contains -- {second} {}' -f", words.before_files.join(" "));
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    for (verb, text) in &words.verbs {
        let first = "test (count (commandline -opc)) -eq 1";
        let _ = writeln!(script, "complete -c {name} -n '{first}' -f -a {verb} -d '{}'", quoted(text));
    }
    if !words.before_verbs.is_empty() {
        let (before, verbs) = (words.before_verbs.join(" "), words.names().join(" "));
        let _ = writeln!(script, "complete -c {name} -n 'contains -- {second} {before}' -f -a '{verbs}'");
    }
    script
}

fn takes_value(argument: &Arg) -> bool {
    argument.get_num_args().is_some_and(|count| count.takes_values())
}

fn bash(tool: &Tool, words: &Words) -> String {
    let mut command = definition(tool);
    command.build();
    let (mut options, mut by_action) = (Vec::new(), BTreeMap::<String, Vec<String>>::new());
    for argument in command.get_arguments().filter(|argument| !argument.is_positional() && !argument.is_hide_set()) {
        let short = argument.get_short().map(|letter| format!("-{letter}"));
        let names: Vec<String> = short.into_iter().chain(argument.get_long().map(|long| format!("--{long}"))).collect();
        if takes_value(argument) {
            by_action.entry(bash_values(argument)).or_default().extend(names.clone());
        }
        options.extend(names);
    }
    let cases: String =
        by_action.iter().map(|(action, names)| format!("        {}) {action} ;;\n", names.join(" | "))).collect();
    let quoted = |list: &[String]| format!("$'{}'", list.join("\\n"));
    let mut free = String::new();
    if !words.verbs.is_empty() {
        let _ = write!(
            free,
            "    if [[ $cur != -* ]]; then\n        if ((COMP_CWORD == 1)); then\n            {}\n            return\n        fi\n",
            compgen(&format!("-W {}", quoted(&words.names())))
        );
        let _ = writeln!(free, "        case ${{COMP_WORDS[1]}} in");
        let _ = writeln!(free, "            {}) {FILES} ;;", words.before_files.join(" | "));
        if !words.before_verbs.is_empty() {
            let verbs = compgen(&format!("-W {}", quoted(&words.names())));
            let _ = writeln!(free, "            {}) {verbs}; return ;;", words.before_verbs.join(" | "));
        }
        free.push_str("        esac\n    fi\n");
    }
    format!(
        "# Completion of {name} for bash. Generated from its options.

_{name}() {{
    local cur=$2 option=$3 IFS=$'\\n'
    COMPREPLY=()
    # bash splits --option=value and kind:value into three words.
    [[ $option != : && ${{COMP_WORDS[COMP_CWORD]}} != : ]] || return
    [[ $option != = ]] || option=${{COMP_WORDS[COMP_CWORD - 2]}}
    case $option in
{cases}    esac
{free}    {options}
}}

complete -F _{name} {name}
",
        name = tool.name,
        options = compgen(&format!("-W {}", quoted(&options))),
    )
}

/// Candidates that begin with what was typed.
fn compgen(action: &str) -> String {
    format!("COMPREPLY=($(compgen {action} -- \"$cur\"))")
}

/// `compopt` came with bash 4, and fails outside of a completion.
const FILES: &str = "COMPREPLY=($(compgen -f -- \"$cur\")); compopt -o filenames 2>/dev/null; return";

/// What bash offers as the value of an option.
fn bash_values(argument: &Arg) -> String {
    let values: Vec<String> = argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    // A value that may be left out: what follows may be an option too.
    let end = if argument.get_num_args().is_some_and(|count| count.min_values() == 0) {
        "[[ $cur == -* ]] || return"
    } else {
        "return"
    };
    if !values.is_empty() {
        let more = if values.iter().any(|value| value.ends_with(':')) {
            "; [[ ${COMPREPLY[0]} != *: ]] || compopt -o nospace 2>/dev/null"
        } else {
            ""
        };
        return format!("{}{more}; {end}", compgen(&format!("-W $'{}'", values.join("\\n"))));
    }
    match argument.get_value_hint() {
        ValueHint::FilePath | ValueHint::AnyPath => FILES.to_owned(),
        ValueHint::DirPath => FILES.replace("compgen -f", "compgen -d"),
        ValueHint::CommandString | ValueHint::CommandName => format!("{}; return", compgen("-c")),
        ValueHint::Hostname => format!("{}; return", compgen("-A hostname")),
        _ => end.to_owned(),
    }
}
