//! docs/lessons.md in English and Korean: the blocks of a lesson are the windows of its reader. Lessons run side by
//! side, and what both pages show runs once. `BLESS=1` writes what came into the pages, where it differs.

use std::path::Path;

use super::console::{Block, EXCERPT, Shown, blocks, with_outputs};
use super::{is_blessing, pages, process};

/// The pages, and how each marks a block that is not run.
const PAGES: [(&str, &str); 2] =
    [("docs/lessons.md", "not run here"), ("docs/lessons.ko.md", "실행해 보지 않았습니다")];

/// The blocks of a lesson.
type Lesson<'a> = Vec<Block<'a>>;

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn lessons(page: &str) -> Vec<Lesson<'_>> {
    page.split("\n## ").map(blocks).filter(|lesson| !lesson.is_empty()).collect()
}

/// The commands of a lesson as they are in every language.
fn commands(lesson: &Lesson<'_>) -> Vec<(bool, Vec<String>)> {
    let command = |shown: &Shown<'_>| {
        EXCERPT.iter().fold(shown.command.clone(), |command, mark| command.replace(mark, "")).trim_end().to_owned()
    };
    lesson.iter().map(|block| (block.waits, block.commands.iter().map(command).collect())).collect()
}

/// Whether pip reached no package index, which is no fault of the page.
fn lacks_an_index(printed: &[Vec<Vec<String>>]) -> bool {
    let lacks = printed.iter().flatten().flatten().any(|line| line.contains("No matching distribution found"));
    if lacks {
        eprintln!("skipped: a lesson installs a Python package, and no package index answers");
    }
    lacks
}

#[test]
fn every_lesson_prints_what_it_shows() {
    if !["bash", "jq", "openssl", "/usr/bin/python3"].into_iter().all(process::has) {
        return;
    }
    let pages = PAGES.map(|(name, _)| page(name));
    let [english, korean] = [lessons(&pages[0]), lessons(&pages[1])];
    let printed: Vec<Vec<Vec<Vec<String>>>> = std::thread::scope(|scope| {
        let running: Vec<_> = english.iter().map(|lesson| scope.spawn(|| pages::run(lesson))).collect();
        running.into_iter().map(|lesson| lesson.join().unwrap()).collect()
    });
    let mut faults = Vec::new();
    for ((lessons, (name, _)), page) in [english, korean].iter().zip(PAGES).zip(&pages) {
        let mut outputs = Vec::new();
        for (lesson, printed) in lessons.iter().zip(&printed) {
            let is_skipped = lacks_an_index(printed);
            let shown = lesson.iter().flat_map(|block| &block.commands);
            for (shown, printed) in shown.zip(printed.iter().flatten()) {
                let fault = pages::compare(shown, printed).err().filter(|_| !is_skipped);
                outputs.push(fault.is_some().then(|| printed.clone()));
                faults.extend(fault.map(|fault| format!("{name}: {fault}")));
            }
        }
        if is_blessing() {
            std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(name), with_outputs(page, outputs)).unwrap();
        }
    }
    assert!(is_blessing() || faults.is_empty(), "{}", faults.join("\n\n"));
}

/// What makes one run enough for both pages.
#[test]
fn both_languages_have_the_same_commands() {
    let [english, korean] = PAGES.map(|(name, _)| page(name));
    let (english, korean) = (lessons(&english), lessons(&korean));
    assert!(english.len() >= 12, "{} lessons", english.len());
    for (english, korean) in english.iter().zip(&korean) {
        assert_eq!(commands(english), commands(korean));
    }
    assert_eq!(english.len(), korean.len());
}

#[test]
fn every_block_is_run_or_marked() {
    for (name, mark) in PAGES {
        let page = page(name);
        let parts: Vec<&str> = page.split("```").collect();
        for pair in parts.chunks_exact(2) {
            let is_marked = pair[0].trim_end().rsplit("\n\n").next().is_some_and(|text| text.contains(mark));
            assert!(pair[1].starts_with("console") || is_marked, "{name}: neither run nor marked: {}", pair[1]);
        }
    }
}
