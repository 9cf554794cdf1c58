//! The crates that the binaries are built from: how many, under which licenses, and listed in docs/dependencies.md.
//! `BLESS=1 cargo test --test dependencies` writes the list.

#![allow(clippy::unwrap_used)] // as in every file of tests

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

#[allow(dead_code)]
#[path = "support/process.rs"]
mod process;

/// Each crate is code that somebody has to trust: more of them are a decision, which is made here. Linux, default
/// features.
const BUDGET: usize = 245;

struct Dependency {
    name: String,
    version: String,
    license: String,
    repository: String,
}

/// The crates in the binaries of Linux, not those that only the build or the tests need.
fn dependencies() -> Vec<Dependency> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut tree = Command::new(cargo);
    tree.current_dir(env!("CARGO_MANIFEST_DIR")).args(["tree", "--locked", "--edges", "normal", "--prefix", "none"]);
    tree.args(["--target", "x86_64-unknown-linux-gnu", "--format", "{p}|{l}|{r}|"]);
    let output = process::run(&mut tree);
    let lines: BTreeSet<String> = process::text(&output.stdout).lines().map(str::to_owned).collect();
    let of_line = |line: &String| {
        let [package, license, repository, _] = line.split('|').collect::<Vec<_>>()[..] else {
            panic!("cargo tree prints {line}");
        };
        let (name, version) = package.split_once(" v").unwrap();
        let version = version.split(' ').next().unwrap();
        let owned = str::to_owned;
        Dependency {
            name: owned(name),
            version: owned(version),
            license: owned(license),
            repository: owned(repository),
        }
    };
    let found: Vec<Dependency> = lines.iter().map(of_line).filter(|found| found.name != "mqtools").collect();
    // A crate that stands in the tree twice has an asterisk behind its second line.
    let mut seen = BTreeSet::new();
    found.into_iter().filter(|found| seen.insert((found.name.clone(), found.version.clone()))).collect()
}

#[test]
fn the_list_is_up_to_date_and_within_the_budget() {
    let found = dependencies();
    let mut page = format!(
        "# Crates in the binaries\n\nThe {} Rust crates that mqtools is linked from (Linux, default features). Packages \
         bring the texts of their licenses.\nGenerated: `BLESS=1 cargo test --test dependencies`.\n\n\
         | crate | version | license |\n|---|---|---|\n",
        found.len()
    );
    for Dependency { name, version, license, repository } in &found {
        let link = if repository.is_empty() { name.clone() } else { format!("[{name}]({repository})") };
        let _ = writeln!(page, "| {link} | {version} | {license} |");
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dependencies.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &page).unwrap();
    } else if std::fs::read_to_string(&file).unwrap_or_default() != page {
        panic!("docs/dependencies.md is out of date; write it anew with: BLESS=1 cargo test --test dependencies");
    }
    assert!(found.len() > 100, "cargo tree lists only {} crates", found.len());
    assert!(found.len() <= BUDGET, "{} crates; the budget is {BUDGET}, see tests/dependencies.rs", found.len());
}

/// The list of deny.toml holds in every run, where cargo-deny is run before a release.
#[test]
fn every_license_is_allowed() {
    let deny: toml::Table =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml")).unwrap().parse().unwrap();
    let licenses_of = |value: &toml::Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|license| license.as_str().unwrap().to_owned()).collect()
    };
    let licenses = deny["licenses"].as_table().unwrap();
    let exceptions = licenses["exceptions"].as_array().unwrap();
    let allowed_for = |name: &str| {
        let exceptions = exceptions.iter().filter(|exception| exception["crate"].as_str() == Some(name));
        let mut allowed = licenses_of(&licenses["allow"]);
        allowed.extend(exceptions.flat_map(|exception| licenses_of(&exception["allow"])));
        allowed
    };
    let refused: Vec<String> = dependencies()
        .into_iter()
        .filter(|found| !is_allowed(&found.license, &allowed_for(&found.name)))
        .map(|found| format!("{} ({})", found.name, found.license))
        .collect();
    assert!(refused.is_empty(), "licenses that deny.toml does not allow: {}", refused.join(", "));
}

/// An expression of SPDX, whose parentheses here only ever hold alternatives: each part of `AND` needs one that is
/// allowed.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let is_one_of = |alternatives: &str| {
        alternatives.replace('/', " OR ").split(" OR ").any(|license| allowed.iter().any(|it| it == license.trim()))
    };
    expression.split(" AND ").all(|part| is_one_of(part.trim_matches(['(', ')', ' '])))
}

#[test]
fn expressions_are_read() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("", false),
        ("GPL-3.0 OR MIT", true),
        ("Apache-2.0/MIT", true),
        ("ISC AND MIT", true),
        ("MIT AND GPL-3.0", false),
        ("(Apache-2.0 OR MIT) AND ISC", true),
        ("(Apache-2.0 OR GPL-3.0) AND ISC", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}
