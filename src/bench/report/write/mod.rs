//! A result in the formats of `--out`, each chosen by the suffix of its file. One file per format; each reads the
//! document alone.

mod csv;
mod hlog;
mod json;
mod junit;
mod markdown;

use std::path::Path;

use anyhow::Result;

pub(crate) use self::markdown::plain as markdown_text;
use super::document::ResultDocument;
use super::html;

/// A format of `--out`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The document itself.
    Json,
    /// A row per figure.
    Csv,
    /// An interval log of HdrHistogram.
    Hlog,
    /// A report for people.
    Html,
    /// A summary for the page of a CI job.
    Markdown,
    /// The gates as test cases of JUnit.
    Junit,
}

impl Format {
    /// All of them with their suffixes.
    const ALL: [(&'static str, Self); 6] = [
        ("json", Self::Json),
        ("csv", Self::Csv),
        ("hlog", Self::Hlog),
        ("html", Self::Html),
        ("md", Self::Markdown),
        ("xml", Self::Junit),
    ];

    /// The format of a file by its suffix, in capitals or not.
    ///
    /// # Errors
    /// What is wrong with the suffix, and which ones are known.
    pub(crate) fn of(path: &Path) -> Result<Self, String> {
        let suffix = path.extension().map(|suffix| suffix.to_string_lossy().to_ascii_lowercase());
        let known = || Self::ALL.map(|(suffix, _)| format!(".{suffix}")).join(" ");
        let Some(suffix) = suffix else {
            return Err(format!("the suffix chooses the format, and there is none: use {}", known()));
        };
        let found = Self::ALL.iter().find(|(known, _)| *known == suffix).map(|(_, format)| *format);
        found.ok_or_else(|| format!("unknown suffix '.{suffix}': use {}", known()))
    }

    /// Whether several results may be in one file.
    pub(crate) const fn takes_several(self) -> bool {
        !matches!(self, Self::Json)
    }

    /// Results in this format. Only [`Format::takes_several`] takes more than one.
    ///
    /// # Errors
    /// A histogram of a result that was read cannot be decoded.
    pub(crate) fn render(self, results: &[ResultDocument], baseline: Option<&ResultDocument>) -> Result<Vec<u8>> {
        match self {
            Self::Json => json::write(results),
            Self::Csv => csv::write(results),
            Self::Hlog => hlog::write(results),
            Self::Html => Ok(html::page(results, baseline).into_bytes()),
            Self::Markdown => Ok(markdown::write(results, baseline).into_bytes()),
            Self::Junit => junit::write(results),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_chooses_the_format() {
        for (path, format) in [
            ("a.json", Format::Json),
            ("A.JSON", Format::Json),
            ("dir.csv/b.hlog", Format::Hlog),
            ("a.b.html", Format::Html),
            ("summary.md", Format::Markdown),
            ("junit.xml", Format::Junit),
            ("o.csv", Format::Csv),
        ] {
            assert_eq!(Format::of(Path::new(path)), Ok(format), "{path}");
        }
        for path in ["result", ".json", "a.txt", "a.jsn", "a.", "dir.csv/b"] {
            let fault = Format::of(Path::new(path)).unwrap_err();
            assert!(fault.ends_with("use .json .csv .hlog .html .md .xml"), "{path}: {fault}");
        }
    }
}
