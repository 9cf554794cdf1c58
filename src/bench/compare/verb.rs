//! `mqbench compare`: saved results of two sides or more.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::document::CompareDocument;
use super::judge::{Group, compare};
use super::text::comparison_text;
use crate::bench::output::{outputs, write_comparison};
use crate::bench::report::{ResultDocument, Status, read_result};
use crate::exit_status::ExitStatus;
use crate::options::{BENCH, BenchOptions, UsageError};
use crate::terminal::{Colors, print, summary_width};

/// The word between the files of the base and those of the other side.
const VERSUS: &str = "vs";

/// Compares the results in the files that were given. With two files the first is the base; with more, each of the others
/// is compared with it; with `vs` between them, the files on each side are runs of one side.
///
/// # Errors
/// A file is no result, or one cannot be written.
pub(crate) fn compare_files(options: &BenchOptions) -> Result<ExitStatus> {
    let checked = sides(&options.load.operands)
        .map_err(|fault| UsageError::new(BENCH.name, vec![fault]))
        .and_then(|sides| Ok((sides, outputs(options, None)?)))
        .and_then(|(sides, outputs)| outputs.check_comparison().map(|()| (sides, outputs)));
    let (sides, outputs) = match checked {
        Ok(checked) => checked,
        Err(error) => return Ok(error.report()),
    };
    let mut read: Vec<(String, Vec<ResultDocument>)> = Vec::new();
    for files in sides {
        let name = files.iter().map(|file| file.to_string_lossy()).collect::<Vec<_>>().join(" ");
        read.push((name, files.iter().map(|file| read_result(file)).collect::<Result<_, _>>()?));
    }
    let groups: Vec<Group<'_>> = read
        .iter()
        .map(|(name, documents)| Group { name: name.clone(), documents: documents.iter().collect() })
        .collect();
    let (tolerance, any_plan) = (options.repeat.tolerance_pct(), options.repeat.any_plan);
    let comparisons = groups[1..].iter().map(|new| compare(&groups[0], new, tolerance, any_plan)).collect();
    let document = CompareDocument::new(comparisons, Status::Ok);
    if !options.result.json {
        let (width, colors) = (summary_width(), Colors::for_stdout());
        let texts: Vec<String> = document.comparisons.iter().map(|it| comparison_text(it, width, colors)).collect();
        print(texts.join("\n").as_bytes())?;
    }
    let mut documents = read.into_iter().flat_map(|(_, documents)| documents.into_iter().next());
    let base = documents.next();
    let others: Vec<ResultDocument> = documents.collect();
    write_comparison(&document, &others, base.as_ref(), options.result.json, &outputs)?;
    Ok(document.exit_status())
}

/// The files of each side, the base first.
fn sides(files: &[PathBuf]) -> Result<Vec<Vec<PathBuf>>, String> {
    let is_versus = |file: &PathBuf| file == Path::new(VERSUS);
    let sides: Vec<Vec<PathBuf>> = match files.iter().filter(|file| is_versus(file)).count() {
        0 => files.iter().map(|file| vec![file.clone()]).collect(),
        1 => files.split(is_versus).map(<[PathBuf]>::to_vec).collect(),
        _ => return Err("mqbench compare: vs stands once, between the files of the two sides".to_owned()),
    };
    if sides.len() < 2 || sides.iter().any(Vec::is_empty) {
        return Err(
            "mqbench compare needs results on both sides: compare BASE NEW, or compare BASE... vs NEW...".to_owned()
        );
    }
    Ok(sides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_sides_and_vs_joins_several() {
        let of = |text: &str| {
            let files: Vec<PathBuf> = text.split_whitespace().map(PathBuf::from).collect();
            sides(&files).map(|sides| sides.iter().map(Vec::len).collect::<Vec<_>>())
        };
        assert_eq!(of("a b"), Ok(vec![1, 1]));
        assert_eq!(of("a b c"), Ok(vec![1, 1, 1]));
        assert_eq!(of("a b vs c d e"), Ok(vec![2, 3]));
        for text in ["a", "vs", "a vs", "vs b", "a vs b vs c"] {
            assert!(of(text).is_err(), "{text}");
        }
        assert_eq!(of("./vs b"), Ok(vec![1, 1]));
    }
}
