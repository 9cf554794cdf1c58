//! What the completions offer, each asked for in the real shell.

#![allow(clippy::unwrap_used)] // as in every file of tests

use std::path::Path;
use std::process::Command;

#[allow(dead_code)]
#[path = "support/process.rs"]
mod process;

/// A line up to where Tab is pressed, what must be offered, and what must not be.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

/// In a folder with the file `notes.txt` and the folder `letters`.
const ROWS: &[Row] = &[
    // Verbs first.
    ("mqbench ", &["pub", "conn", "find", "report"], &["--clients", "notes.txt", "letters"]),
    ("mqbench co", &["conn", "compare"], &["pub", "notes.txt"]),
    ("mqbench conn --shap", &["--shape"], &["conn", "notes.txt"]),
    ("mqbroker ", &["passwd"], &["notes.txt"]),
    ("mqbroker passwd ", &["notes.txt"], &["passwd"]),
    // Values.
    ("mqbench --shape ", &["p2p", "fan-in", "fan-out", "shared:"], &["notes.txt", "conn"]),
    ("mqbench conn --shape fan", &["fan-in", "fan-out"], &["p2p", "notes.txt"]),
    ("mqbench --payload ", &["zero", "random", "text", "template:"], &["notes.txt"]),
    ("mqbench --window ", &["delivery", "ack", "none"], &["notes.txt"]),
    ("mqpub -q ", &["0", "1", "2"], &["3", "notes.txt", "--qos"]),
    ("mqpub --qos ", &["0", "1", "2"], &["3", "notes.txt", "--qos"]),
    ("mqsub -V ", &["5", "311", "31"], &["notes.txt"]),
    ("mqrr --will-qos ", &["0", "1", "2"], &["notes.txt"]),
    // Files only where files go.
    ("mqpub -f ", &["notes.txt"], &["--file"]),
    ("mqsub --cafile n", &["notes.txt"], &["letters"]),
    ("mqbroker -c ", &["notes.txt"], &["passwd"]),
    ("mqsub --to-dir ", &["letters"], &["notes.txt"]),
    ("mqbench report ", &["notes.txt"], &["conn"]),
    ("mqbench compare notes.txt ", &["notes.txt"], &["conn"]),
    ("mqbench doctor ", &["conn", "sub"], &["notes.txt"]),
    ("mqpub ", &[], &["notes.txt", "letters"]),
    ("mqpub -t ", &[], &["notes.txt", "letters", "--topic"]),
    ("mqpub -m ", &[], &["notes.txt", "letters", "--message"]),
    ("mqpub -k ", &[], &["notes.txt", "letters"]),
    ("mqsub -W ", &[], &["notes.txt", "letters"]),
    ("mqbench --clients ", &[], &["notes.txt", "letters", "conn"]),
    ("mqbench -q 1 ", &[], &["notes.txt"]),
    // Options by their beginning.
    ("mqsub --rec", &["--record"], &["--retry", "notes.txt"]),
    ("mqpub --re", &["--repeat", "--retain", "--replay", "--retry"], &["--record", "notes.txt"]),
];

fn script_folder() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").display().to_string()
}

/// Asks a shell about every row; `candidates` is the command that prints what is offered, one per line.
fn check(candidates: impl Fn(&str) -> Command) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "").unwrap();
    std::fs::create_dir(folder.path().join("letters")).unwrap();
    let mut wrong = Vec::new();
    for (line, wanted, unwanted) in ROWS {
        let output = process::run(candidates(line).current_dir(folder.path()));
        let printed = String::from_utf8_lossy(&output.stdout);
        let offered: Vec<&str> = printed.lines().map(|line| line.trim_end_matches('/')).collect();
        let missing: Vec<_> = wanted.iter().filter(|word| !offered.contains(word)).collect();
        let needless: Vec<_> = unwanted.iter().filter(|word| offered.contains(word)).collect();
        if !missing.is_empty() || !needless.is_empty() {
            let errors = String::from_utf8_lossy(&output.stderr);
            wrong.push(format!("{line:?}: missing {missing:?}, wrong {needless:?}, of {offered:?} {errors}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Calls the function as bash does when Tab is pressed.
const BASH: &str = r#"
read -ra COMP_WORDS <<<"$2"
[[ $2 != *' ' ]] || COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
tool=${COMP_WORDS[0]}
source "$1/$tool.bash"
complete -p "$tool" | grep -q -- "-F _$tool" || exit
"_$tool" "$tool" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

#[test]
fn bash_offers_what_may_stand_there() {
    if !process::has("bash") {
        return;
    }
    check(|line| {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "--noprofile", "-c", BASH, "bash", &script_folder(), line]);
        bash
    });
}

/// bash makes three words of `--qos=1`.
#[test]
fn bash_offers_values_after_an_equals_sign() {
    if !process::has("bash") {
        return;
    }
    for (words, cur, prev) in [("mqpub --qos =", "", "--qos"), ("mqpub --qos = 1", "1", "=")] {
        let script = format!(
            "source \"$1/mqpub.bash\"; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _mqpub mqpub \"{cur}\" \"{prev}\"; echo \"${{COMPREPLY[*]}}\""
        );
        let output = process::run(Command::new("bash").args(["--norc", "-c", &script, "bash", &script_folder()]));
        let wanted = if cur.is_empty() { "0 1 2" } else { "1" };
        assert_eq!(process::text(&output.stdout).trim(), wanted, "{words}");
    }
}

#[test]
fn fish_offers_what_may_stand_there() {
    if !process::has("fish") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    check(|line| {
        let mut fish = Command::new("fish");
        fish.env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path()).env("XDG_DATA_HOME", home.path());
        // A candidate is followed by a tab and its description.
        let script = "source $argv[1]/(string split -f1 ' ' -- $argv[2]).fish; complete -C $argv[2] | string replace -r '\\t.*' ''";
        fish.args(["--no-config", "-c", script, "--", &script_folder(), line]);
        fish
    });
}

#[test]
fn zsh_offers_what_may_stand_there() {
    if !process::has("zsh") {
        return;
    }
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/zsh_candidates.zsh");
    check(|line| {
        let mut zsh = Command::new("zsh");
        zsh.arg("-f").arg(&capture).args([&script_folder(), line]);
        zsh
    });
}
