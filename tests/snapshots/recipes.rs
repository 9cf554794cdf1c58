//! docs/recipes.md: each block is run as it stands there, with two empty brokers of its own. `BLESS=1` writes what came
//! into the page, where it differs.

use super::console::{blocks, with_outputs};
use super::{is_blessing, pages, process};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recipes.md");

#[test]
fn every_recipe_prints_what_it_shows() {
    if !["bash", "jq"].into_iter().all(process::has) {
        return;
    }
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (mut faults, mut outputs) = (Vec::new(), Vec::new());
    for block in blocks(&page) {
        let printed = pages::run(std::slice::from_ref(&block)).remove(0);
        for (shown, printed) in block.commands.iter().zip(printed) {
            let fault = pages::compare(shown, &printed).err();
            outputs.push(fault.is_some().then_some(printed));
            faults.extend(fault);
        }
    }
    if is_blessing() {
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
