//! What the completions offer, each asked for in the real shell.

#![allow(clippy::unwrap_used)] // as in every file of tests

use std::path::Path;
use std::process::Command;

#[path = "support/at_once.rs"]
mod at_once;
#[allow(dead_code)]
#[path = "support/process.rs"]
mod process;

use at_once::at_once;

/// A line up to where Tab is pressed, what must be offered, and what must not be.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

/// In a folder with the files `notes.txt` and `odd[1].txt` and the folder `letters`, with [`PROFILES`].
const ROWS: &[Row] = &[
    // Verbs first.
    ("mqbench ", &["pub", "conn", "find", "report"], &["--clients", "notes.txt", "letters"]),
    ("mqbench co", &["conn", "compare"], &["pub", "notes.txt"]),
    ("mqbench --json co", &["conn", "compare"], &["notes.txt"]),
    ("mqbench --rate 5 co", &["conn", "compare"], &["notes.txt"]),
    ("mqbench -- co", &["conn", "compare"], &["notes.txt"]),
    ("mqbench plan ", &["conn", "notes.txt"], &["find", "--shards"]),
    ("mqbroker ", &["passwd"], &["notes.txt"]),
    ("mqbroker passwd ", &["notes.txt"], &["passwd"]),
    ("mqbroker passwd notes.txt ", &[], &["notes.txt", "--help"]),
    ("mqbroker passwd notes.txt n", &[], &["notes.txt"]),
    ("mqbroker -v p", &[], &["passwd"]),
    // Of the options those that the verb takes.
    (
        "mqbench find --",
        &["--slo", "--shape", "--find-from"],
        &["--hold", "--flood", "--engine", "--full", "--any-plan"],
    ),
    ("mqbench conn --", &["--hold", "--clients"], &["--slo", "--shape", "--engine"]),
    ("mqbench pub --", &["--rate", "--runs", "--shard", "--cool-down"], &["--hold", "--subs", "--shards"]),
    ("mqbench self --", &["--full"], &["--clients", "--host", "--hold"]),
    ("mqbench --json compare --", &["--any-plan", "--tolerance"], &["--runs", "--slo"]),
    ("mqbench doctor conn --", &["--hold"], &["--shape", "--runs"]),
    ("mqbench plan --", &["--engine", "--target", "--hold"], &["--slo", "--shard", "--full"]),
    ("mqbench --", &["--hold", "--slo", "--shards"], &[]),
    ("mqbroker passwd -", &["-h", "--help"], &["-c", "-d", "-p", "-v", "--port"]),
    ("mqbroker -", &["-c", "--port", "--help"], &["passwd"]),
    // Values.
    ("mqbench --shape ", &["p2p", "fan-in", "fan-out", "shared:"], &["notes.txt", "conn"]),
    ("mqbench find --shape fan", &["fan-in", "fan-out"], &["p2p", "notes.txt"]),
    ("mqbench --shape zz", &[], &["zz"]),
    ("mqbench --payload ", &["zero", "random", "text", "template:"], &["notes.txt"]),
    ("mqbench --window ", &["delivery", "ack", "none"], &["notes.txt"]),
    ("mqpub -q ", &["0", "1", "2"], &["3", "notes.txt", "--qos"]),
    ("mqpub --qos ", &["0", "1", "2"], &["3", "notes.txt", "--qos"]),
    ("mqsub -V ", &["5", "311", "31"], &["notes.txt"]),
    ("mqrr --will-qos ", &["0", "1", "2"], &["notes.txt"]),
    ("mqpub -rq ", &["0", "1", "2"], &["--qos"]),
    ("mqpub --retain=", &[], &["--qos", "--retain"]),
    ("mqsub --summary=", &[], &["--qos"]),
    ("mqsub -L ", &["mqtt://", "wss://", "unix:"], &["http://", "notes.txt"]),
    ("mqsub -L mqtt://", &[], &["mqtt://bin", "mqtt://tmp", "bin", "tmp"]),
    ("mqpub --proxy ", &["socks5://", "http://", "env"], &["ftp://", "file:", "https://"]),
    ("mqpub --ws-header ", &[], &["notes.txt", "--ws"]),
    ("mqbench --profile ", &["prod", "lab-2"], &["host", "mqsub", "staging.mqsub", "notes.txt"]),
    ("mqsub --profile l", &["lab-2"], &["prod"]),
    // A property has three words, a user's four.
    ("mqpub -D publish content-type ", &[], &["--qos", "notes.txt"]),
    ("mqpub -D publish content-type x --q", &["--qos", "--quiet"], &[]),
    ("mqpub -D publish content-type x -f n", &["notes.txt"], &[]),
    ("mqpub -D publish user-property k v --q", &["--qos", "--quiet"], &[]),
    ("mqpub --property=will user-property k v --q", &["--qos", "--quiet"], &[]),
    ("mqbench -D publish co", &[], &["conn"]),
    ("mqbench -dD publish content-type x co", &["conn"], &[]),
    ("mqbench -D publish user-property k co", &[], &["conn"]),
    ("mqbench -D publish user-property k v co", &["conn"], &[]),
    // A value that may be left out.
    ("mqpub --check ", &["text", "json"], &["--qos"]),
    ("mqpub --check --q", &["--qos", "--quiet"], &[]),
    // Files only where files go.
    ("mqpub -f ", &["notes.txt"], &["--file"]),
    ("mqpub -f o", &["odd[1].txt"], &["notes.txt"]),
    ("mqpub -lf n", &["notes.txt"], &["letters"]),
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
    ("mqpub -- ", &[], &["--topic", "-t", "notes.txt"]),
    ("mqpub -- --to", &[], &["--topic"]),
    ("mqpub -m 'a b' --to", &["--topic"], &[]),
    ("mqpub -L mqtt://host:1/a=b --to", &["--topic"], &[]),
    ("mqsub --tls-", &["--tls-version"], &["--tls-engine", "--tls-engine-kpass-sha1"]),
    ("mqpub --re", &["--repeat", "--retain", "--replay", "--retry"], &["--record", "notes.txt"]),
];

fn script_folder() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").display().to_string()
}

const PROFILES: &str = "[prod]\nhost = 'x'\n[staging.mqsub]\nqos = 1\n  [lab-2]\n";

/// Asks a shell about every row; `candidates` is the command that prints what is offered, one per line.
fn check(candidates: impl Fn(&str) -> Command + Sync) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "").unwrap();
    std::fs::write(folder.path().join("odd[1].txt"), "").unwrap();
    std::fs::create_dir(folder.path().join("letters")).unwrap();
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join(".config/mqtools")).unwrap();
    std::fs::write(home.path().join(".config/mqtools/profiles.toml"), PROFILES).unwrap();
    let fault = |(line, wanted, unwanted): &Row| {
        let mut shell = candidates(line);
        shell.env("HOME", home.path()).env_remove("XDG_CONFIG_HOME").env("XDG_DATA_HOME", home.path());
        let output = process::run(shell.current_dir(folder.path()));
        // zsh quotes brackets, and folders may have a slash at the end.
        let (printed, errors) = (process::text(&output.stdout).replace('\\', ""), process::text(&output.stderr));
        let offered: Vec<&str> = printed.lines().flat_map(|line| [line, line.trim_end_matches('/')]).collect();
        let missing: Vec<_> = wanted.iter().filter(|word| !offered.contains(word)).collect();
        let needless: Vec<_> = unwanted.iter().filter(|word| offered.contains(word)).collect();
        let is_right = missing.is_empty() && needless.is_empty() && errors.is_empty();
        (!is_right).then(|| format!("{line:?}: missing {missing:?}, wrong {needless:?}, of {printed:?} {errors}"))
    };
    // zsh waits for its terminal.
    at_once(ROWS.chunks(10), |rows| {
        let wrong: Vec<_> = rows.iter().filter_map(fault).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

/// Calls the function as bash does when Tab is pressed, with options that change how scripts run.
const BASH: &str = r#"
set -u
shopt -s failglob nullglob
COMP_LINE=$2
COMP_POINT=${#2}
# What words are divided at in an interactive bash.
read -ra COMP_WORDS <<<"$(sed -E 's/[=:]+/ & /g' <<<"$2")"
[[ $2 != *' ' ]] || COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
tool=${COMP_WORDS[0]}
cur=${COMP_WORDS[COMP_CWORD]}
[[ $cur != [=:]* ]] || cur=
source "$1/$tool.bash"
complete -p "$tool" | grep -q -- "-F _$tool" || exit
"_$tool" "$tool" "$cur" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"}
"#;

fn bash(line: &str) -> Command {
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", BASH, "bash", &script_folder(), line]);
    bash
}

#[test]
fn bash_offers_what_may_stand_there() {
    if process::has("bash") {
        check(bash);
    }
}

/// bash makes three words of `--qos=1`, and replaces the last one.
#[test]
fn bash_offers_values_after_an_equals_sign() {
    if !process::has("bash") {
        return;
    }
    for (line, wanted) in [
        ("mqpub --qos=", "0 1 2"),
        ("mqpub --qos=1", "1"),
        ("mqpub -q=", "0 1 2"),
        ("mqbench --client=r", "rumqttc"),
        ("mqpub --file=CONTRI", "CONTRIBUTING.md"),
        ("mqpub -fCONTRI", "-fCONTRIBUTING.md"),
        ("mqbench --shape shared:", ""),
        ("mqpub --loop=", ""),
    ] {
        let output = process::run(bash(line).current_dir(env!("CARGO_MANIFEST_DIR")));
        let offered = process::text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!((offered.as_str(), process::text(&output.stderr).as_str()), (wanted, ""), "{line}");
    }
}

#[test]
fn fish_offers_what_may_stand_there() {
    if !process::has("fish") {
        return;
    }
    check(|line| {
        let mut fish = Command::new("fish");
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
