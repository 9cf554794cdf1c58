//! docs/recipes.md: each block is run as it stands there, in an empty folder and with two empty brokers of its own, and
//! prints what it shows. Times, rates and sizes are places: any value will do there. `BLESS=1` writes what came into
//! the page, where it differs.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

use super::console::{Shown, blocks, check, with_outputs};
use super::mqbroker::Mqbroker;
use super::{ports, process};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recipes.md");

/// The ports that the page names. Nobody listens at the third when a block begins.
const PORTS: [&str; 3] = ["1883", "1884", "1885"];

/// What differs from run to run, and what stands for it in the comparison.
const PLACES: [(&str, &str); 8] = [
    (r"\d{4}-\d\d-\d\d[T ][\d:]+(\.\d+)?(Z|\+00:00| UTC)", "TIME"),
    (r#""(ts|rate|seconds|ms)":[\d.]+"#, "\"$1\":N"),
    (r"\d[\d.,]*/s\b", "N/s"),
    (r"\b\d[\d.]* ?(ns|µs|ms)\b", "N"),
    (r"\bin \d[\d.]* s\b", "in N"),
    (r"\b(at most|p99) \d[\d.]* s\b", "$1 N"),
    (r"\(\d[\d.]* k?B\)", "(N B)"),
    (r" +", " "),
];

/// Runs a block in one shell; what each command printed comes back, with the ports that the page names.
fn run(block: &[Shown<'_>]) -> Vec<Vec<String>> {
    const MARK: &str = "-- next command --";
    let folder = tempfile::tempdir().unwrap();
    let (config, work) = (folder.path().join(".config"), folder.path().join("work"));
    let brokers = ["one", "two"].map(|name| {
        let at = folder.path().join(name);
        std::fs::create_dir(&at).unwrap();
        Mqbroker::start_in(&at, "listener 0 127.0.0.1\nallow_anonymous true\n", &[])
    });
    let at = |broker: usize| brokers[broker].addresses()[0].port().to_string();
    let real = [at(0), at(1), ports::free().to_string()];
    std::fs::create_dir(&config).unwrap();
    std::fs::create_dir(&work).unwrap();
    for tool in ["mqpub", "mqsub", "mqrr", "mqbench"] {
        std::fs::write(config.join(tool), format!("-p {}\n", real[0])).unwrap();
    }
    let mut script = "exec 2>&1\n".to_owned();
    for Shown { command, .. } in block {
        let words = PORTS.iter().zip(&real).fold(command.clone(), |text, (from, to)| text.replace(from, to));
        script += &format!("{words}\necho '{MARK}'\n");
    }
    // The shell leads a process group. What still runs in it ends with the block.
    script += "trap '' TERM; kill -- -$$\n";
    let tools: PathBuf = Path::new(env!("CARGO_BIN_EXE_mqpub")).parent().unwrap().into();
    let mut shell = Command::new("bash");
    shell
        .args(["-c", &script])
        .process_group(0)
        .current_dir(&work)
        .env_clear()
        .envs([("LC_ALL", "C"), ("TZ", "UTC"), ("COLUMNS", "100")])
        .env("HOME", folder.path())
        .env("PATH", format!("{}:/usr/bin:/bin", tools.display()));
    let output = process::text(&process::run(&mut shell).stdout);
    let named = real.iter().zip(PORTS).fold(output, |text, (from, to)| text.replace(from, to));
    let named = named.replace(&*folder.path().to_string_lossy(), "/home/you");
    let printed: Vec<Vec<String>> = named
        .split(&format!("{MARK}\n"))
        .map(|part| part.trim_end().lines().map(|line| line.trim_end().to_owned()).collect())
        .collect();
    assert!(printed.len() > block.len(), "the block ended early:\n{script}\n{named}");
    printed[..block.len()].to_vec()
}

/// What is compared of lines: the places have no value; blank lines are left out.
fn comparable<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let places = PLACES.map(|(what, name)| (Regex::new(what).unwrap(), name));
    let compared = lines.map(|line| {
        places.iter().fold(line.trim().to_owned(), |text, (what, name)| what.replace_all(&text, *name).into_owned())
    });
    compared.filter(|line| !line.is_empty()).collect()
}

#[test]
fn every_recipe_prints_what_it_shows() {
    if !["bash", "jq"].into_iter().all(process::has) {
        return;
    }
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (mut faults, mut outputs) = (Vec::new(), Vec::new());
    for block in blocks(&page) {
        for (Shown { command, lines }, printed) in block.iter().zip(run(&block)) {
            let (came, shown) = (comparable(printed.iter().map(String::as_str)), comparable(lines.iter().copied()));
            let fault = check(command, &came, &shown).err();
            outputs.push(fault.is_some().then_some(printed));
            faults.extend(fault);
        }
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(PAGE, with_outputs(&page, outputs)).unwrap();
    } else {
        assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    }
}

#[test]
fn every_recipe_is_run() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let mut recipes = 0;
    for recipe in page.split("\n### ").skip(1) {
        let title = recipe.lines().next().unwrap();
        assert_eq!(blocks(recipe).len(), 1, "a recipe has one block that is run: {title}");
        assert_eq!(recipe.matches("```").count(), 2, "a block of another kind is not run: {title}");
        recipes += 1;
    }
    assert!(recipes >= 20, "{recipes} recipes");
    let start = page.split("\n### ").next().unwrap();
    assert!(!start.contains("```"), "a block that belongs to no recipe");
}
