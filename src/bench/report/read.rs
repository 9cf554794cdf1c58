//! Reads a result document that `--out` or `--json` has written.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use thiserror::Error;

use super::document::{ResultDocument, SCHEMA};
use crate::terminal::quoted;

/// A larger file is no result: an hour with a row per second takes about ten megabytes.
const LARGEST: u64 = 256 << 20;

/// Why a file is not a result.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// The file cannot be read.
    #[error("{file}: {error}")]
    File {
        /// Its name.
        file: String,
        /// Why not.
        error: io::Error,
    },
    /// It is not JSON, or a field is not what it must be.
    #[error("{file}:{line}:{column}: {fault}")]
    Line {
        /// Its name.
        file: String,
        /// Where, from 1.
        line: usize,
        /// Where in the line, from 1.
        column: usize,
        /// What was found there.
        fault: String,
    },
    /// It is something else, or of another version.
    #[error("{file}: {fault}")]
    Kind {
        /// Its name.
        file: String,
        /// What it is.
        fault: String,
    },
}

/// What every document of the suite begins with.
#[derive(Deserialize)]
struct Head {
    schema: Option<String>,
}

/// Reads the result in a file; `-` is stdin.
///
/// # Errors
/// With the file's name, and with line and column where the JSON is wrong.
pub(crate) fn read_result(path: &Path) -> Result<ResultDocument, ReadError> {
    let is_stdin = path == Path::new("-");
    let file = if is_stdin { "stdin".to_owned() } else { quoted(&path.to_string_lossy()) };
    let text = if is_stdin { bounded(io::stdin().lock()) } else { File::open(path).and_then(bounded) };
    match text {
        Ok(text) => parse(&file, &text),
        Err(error) => Err(ReadError::File { file, error }),
    }
}

fn bounded(source: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    source.take(LARGEST + 1).read_to_end(&mut text)?;
    match text.len() as u64 {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty")),
        length if length > LARGEST => {
            let fault = format!("larger than {} MiB: this is no result of mqbench", LARGEST >> 20);
            Err(io::Error::new(io::ErrorKind::FileTooLarge, fault))
        }
        _ => Ok(text),
    }
}

/// Reads the text of the file of this name.
fn parse(file: &str, text: &[u8]) -> Result<ResultDocument, ReadError> {
    let line = |error: serde_json::Error, what: &str| {
        // The place is a part of its text.
        let fault = error.to_string();
        let cause = fault.rsplit_once(" at line ").map_or(fault.as_str(), |(cause, _)| cause);
        let fault = format!("{what}: {}", quoted(cause));
        ReadError::Line { file: file.to_owned(), line: error.line(), column: error.column(), fault }
    };
    let head: Head = serde_json::from_slice(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => line(error, "not a result of mqbench"),
        _ => line(error, "not JSON (a result is what --out FILE.json or --json writes)"),
    })?;
    let fault = match head.schema.as_deref() {
        Some(SCHEMA) => None,
        None => Some(format!("not a result of mqbench: it has no 'schema' (expected {SCHEMA})")),
        Some(schema) => Some(match version(schema) {
            Some(other) if Some(other) > version(SCHEMA) => {
                let schema = quoted(schema);
                format!("written by a newer mqbench ({schema}); this one reads {SCHEMA}: update mqbench")
            }
            _ => format!("its schema is '{}', and not {SCHEMA}", quoted(schema)),
        }),
    };
    if let Some(fault) = fault {
        return Err(ReadError::Kind { file: file.to_owned(), fault });
    }
    serde_json::from_slice(text).map_err(|error| line(error, "not a whole result"))
}

/// The version of a result; none for something else.
fn version(schema: &str) -> Option<u32> {
    let (name, _) = SCHEMA.split_once('/')?;
    schema.strip_prefix(name)?.strip_prefix('/')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::tests::example;

    fn text_of(document: &ResultDocument) -> Vec<u8> {
        let mut text = Vec::new();
        document.write_json(&mut text).unwrap();
        text
    }

    #[test]
    fn a_result_is_read_back_with_its_histograms() {
        let document = example::document();
        let read = parse("a.json", &text_of(&document)).unwrap();
        assert_eq!(read, document);
        for stage in &read.stages {
            let summary = stage.latency.e2e.as_ref().unwrap();
            let histogram = summary.histogram().unwrap();
            assert_eq!((histogram.count(), histogram.min()), (summary.count, Some(summary.min)));
            assert_eq!((histogram.max(), histogram.mean()), (Some(summary.max), Some(summary.mean)));
            assert_eq!(histogram.to_base64(), summary.hdr);
        }
    }

    #[test]
    fn what_is_no_result_is_refused_with_its_place() {
        let good = String::from_utf8(text_of(&example::document())).unwrap();
        let of = |text: &str| parse("r.json", text.as_bytes()).unwrap_err().to_string();
        for (text, fault) in [
            ("run,name\n", "r.json:1:1: not JSON (a result is what --out FILE.json or --json writes): expected value"),
            ("{\n  \"schema\": 7}", "r.json:2:13: not a result of mqbench: invalid type: integer `7`"),
            ("{\"schema\": \"mqbench-result/1\",", "r.json:1:30: not JSON"),
            ("{}", "r.json: not a result of mqbench: it has no 'schema'"),
            ("{\"schema\": \"mqbench-self/1\"}", "r.json: its schema is 'mqbench-self/1', and not mqbench-result/1"),
            ("{\"schema\": \"mqbench-result/2\"}", "r.json: written by a newer mqbench (mqbench-result/2); this one"),
            ("{\"schema\": \"\u{1b}[2J\"}", "r.json:1:13: not JSON"),
            ("{\"schema\": \"a\u{202e}b\"}", "r.json: its schema is 'a\\u{202e}b'"),
        ] {
            let found = of(text);
            assert!(found.starts_with(fault), "{found}");
        }
        let changed = good.replacen("\"status\": \"ok\"", "\"status\": \"fine\"", 1);
        let found = of(&changed);
        assert!(found.starts_with("r.json:3:") && found.contains("unknown variant `fine`"), "{found}");
        let truncated = &good[..good.len() / 2];
        assert!(of(truncated).contains(": not JSON"), "{}", of(truncated));
        let deep =
            format!("{{\"schema\": \"mqbench-result/1\", \"plan\": {}{}}}", "[".repeat(9_000), "]".repeat(9_000));
        assert!(of(&deep).contains("recursion limit"), "{}", of(&deep));
    }
}
