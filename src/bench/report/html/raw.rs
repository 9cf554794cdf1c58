//! The documents themselves inside the page, and the command that made them.

use maud::{Markup, PreEscaped, html};

use crate::bench::report::document::ResultDocument;
use crate::bench::report::verdict::command_line;
use crate::terminal::{escape_lines, excerpt};

/// Characters of a command that are shown. One that is longer has a payload in it.
const LONGEST_COMMAND: usize = 8_000;

/// The JSON of a document, such that nothing in it ends the element in which it stands, turns the direction of reading
/// or is invisible: these characters are escaped as JSON knows it, and it means the same.
fn json(document: &ResultDocument) -> String {
    let mut bytes = Vec::new();
    // Neither writing to a vector nor the document's own data fails.
    if document.write_json(&mut bytes).is_err() {
        return "null".to_owned();
    }
    crate::terminal::escape_json_tail(&mut bytes, 0);
    let text = String::from_utf8_lossy(&bytes);
    // These stand within strings only.
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// The document to look at and to save, without a second copy: the element that a script would read is shown.
pub(super) fn data(id: &str, name: &str, file: &str, document: &ResultDocument) -> Markup {
    html! {
        div class="raw" {
            button type="button" class="script" data-save=(id) data-file=(file) { "Save " (file) }
            details {
                summary { "Show the JSON of " (name) }
                div class="scroll tall" tabindex="0" role="region" aria-label=(format!("JSON of {name}")) {
                    script type="application/json" id=(id) { (PreEscaped(json(document))) }
                }
            }
        }
    }
}

/// The command with which to measure again.
pub(super) fn command(id: &str, document: &ResultDocument) -> Markup {
    let words = &document.run.command;
    if words.is_empty() {
        return html! { p { "The result does not have its command." } };
    }
    let has_seed = words.iter().any(|word| word == "--seed" || word.starts_with("--seed="));
    let seed = document.run.seed.filter(|_| !has_seed);
    let line = command_line(document) + &seed.map(|seed| format!(" --seed {seed}")).unwrap_or_default();
    let is_masked = words.iter().any(|word| word.contains("***"));
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="Command" {
            pre { code id=(id) { (excerpt(&escape_lines(&line), LONGEST_COMMAND)) } }
        }
        button type="button" class="script" data-copy=(id) { "Copy the command" }
        @if is_masked { p class="note" { "Secrets are not in the result: put them in where *** stands." } }
        @if line.chars().count() > LONGEST_COMMAND {
            p class="note" { "It is too long to be shown here; all of it is in the raw data, as run.command." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::document::RunFacts;

    #[test]
    fn json_stays_json_and_ends_no_element() {
        let hostile = "</script><!--<script>&amp; \u{2028}\u{202e} \"quoted\" \u{1}";
        let run = RunFacts { name: Some(hostile.to_owned()), seed: Some(u64::MAX), ..RunFacts::default() };
        let document = ResultDocument { run, ..ResultDocument::default() };
        let text = json(&document);
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{202e}']), "{text}");
        let read: ResultDocument = serde_json::from_str(&text).unwrap();
        assert_eq!(read, document);
    }

    #[test]
    fn a_command_is_one_line_for_a_shell() {
        let words = ["mqbench", "-t", "it's <b>", "-P", "***", "-m", "a\nb"].map(str::to_owned).to_vec();
        let run = RunFacts { command: words, seed: Some(7), ..RunFacts::default() };
        let text = command("c", &ResultDocument { run, ..ResultDocument::default() }).into_string();
        assert!(text.contains("&lt;b&gt;") && text.contains("--seed 7"), "{text}");
        assert!(text.contains("Secrets are not in the result"), "{text}");
        let long = vec!["mqbench".to_owned(), "-m".to_owned(), "x".repeat(1_000_000)];
        let run = RunFacts { command: long, ..RunFacts::default() };
        let text = command("c", &ResultDocument { run, ..ResultDocument::default() }).into_string();
        assert!(text.len() < 20_000 && text.contains("too long"), "{} bytes", text.len());
    }
}
