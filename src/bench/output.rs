//! Writes results: to stdout with `--json`, and to the files of `--out`, each in the format of its suffix.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::compare::{CompareDocument, markdown};
use super::report::{Format, ResultDocument};
use crate::options::{BENCH, BenchOptions, ShardNumber, UsageError};
use crate::terminal::{escape_json_tail, print};

/// The files of `--out`.
#[derive(Debug)]
pub(super) struct Outputs {
    files: Vec<(PathBuf, Format)>,
    /// The run has a password or a token. The document masks it; file permissions are the second lock.
    is_private: bool,
}

impl Outputs {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// The file of a shard: `%s` is its number.
fn named_for(shard: Option<ShardNumber>, path: &Path) -> PathBuf {
    match (shard, path.to_str()) {
        (Some(shard), Some(text)) => PathBuf::from(text.replace("%s", &shard.index.to_string())),
        _ => path.to_owned(),
    }
}

/// The files of `--out`, which must be writable before the load begins. A new file appears only with the result. `shard`
/// is what this process is of the run.
pub(super) fn outputs(options: &BenchOptions, shard: Option<ShardNumber>) -> Result<Outputs, UsageError> {
    let mut faults = Vec::new();
    let mut files = Vec::new();
    for path in &options.result.out {
        let path = &named_for(shard, path);
        // A name of the system has no suffix to choose by.
        let format = if is_name_of_system(path) { Ok(Format::Json) } else { Format::of(path) };
        match format {
            Ok(format) => files.push((path.clone(), format)),
            Err(fault) => {
                faults.push(format!("--out {}: {fault}", path.display()));
                continue;
            }
        }
        let found = std::fs::symlink_metadata(path);
        if found.as_ref().is_ok_and(std::fs::Metadata::is_symlink) && !is_name_of_system(path) {
            // In a folder that others can write to, one of them may have made it to destroy a file of this user.
            faults.push(format!("--out {}: is a symbolic link: give the file that it points to", path.display()));
            continue;
        }
        // Pipes and devices are not opened before there is a result.
        if found.as_ref().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            continue;
        }
        let is_new = found.is_err();
        match OpenOptions::new().append(true).create(true).open(path) {
            Err(error) => faults.push(format!("--out {}: {error}", path.display())),
            Ok(_) if is_new => drop(std::fs::remove_file(path)),
            Ok(_) => {}
        }
    }
    UsageError::check(BENCH.name, faults)?;
    Ok(Outputs { files, is_private: options.has_secret() })
}

/// `/dev/stdout`, and what the shell makes of `>(command)`: links to files that this process has open, where nobody
/// else can make one.
fn is_name_of_system(path: &Path) -> bool {
    ["/dev", "/dev/fd", "/proc/self/fd"].iter().any(|folder| path.parent() == Some(Path::new(folder)))
}

impl Outputs {
    /// Refuses files that are no JSON, for a verb that has no other form.
    pub(super) fn check_json(&self, verb: &str) -> Result<(), UsageError> {
        let others = self.files.iter().filter(|(_, format)| *format != Format::Json);
        let fault = |(path, _): &(PathBuf, _)| {
            format!("--out {}: mqbench {verb} writes JSON only: use the suffix .json", path.display())
        };
        UsageError::check(BENCH.name, others.map(fault).collect())
    }

    /// Refuses files in which a comparison has no form.
    pub(super) fn check_comparison(&self) -> Result<(), UsageError> {
        let has_form = |format| matches!(format, Format::Json | Format::Markdown | Format::Html);
        let others = self.files.iter().filter(|(_, format)| !has_form(*format));
        let fault = |(path, _): &(PathBuf, _)| {
            format!("--out {}: a comparison is written as .json, .md or .html", path.display())
        };
        UsageError::check(BENCH.name, others.map(fault).collect())
    }

    /// Refuses files that hold one result, where there are several.
    pub(super) fn check_several(&self, count: usize) -> Result<(), UsageError> {
        let single = self.files.iter().filter(|(_, format)| count > 1 && !format.takes_several());
        let fault = |(path, _): &(PathBuf, _)| {
            format!("--out {}: this format holds one result, not {count}: give one, or merge them", path.display())
        };
        UsageError::check(BENCH.name, single.map(fault).collect())
    }
}

/// Writes results to stdout, where `json`, and to the files of `--out`, with a baseline where the format shows it.
pub(super) fn write_results(
    results: &[ResultDocument],
    baseline: Option<&ResultDocument>,
    json: bool,
    outputs: &Outputs,
) -> Result<()> {
    write_all(json, outputs, |format| {
        let mut text = format.render(results, baseline)?;
        if format == Format::Json {
            escape_json_tail(&mut text, 0);
        }
        Ok(text)
    })
}

/// Writes a document of JSON to stdout, where `json`, and to the files of `--out`.
pub(super) fn write_json(text: &[u8], json: bool, outputs: &Outputs) -> Result<()> {
    let mut text = text.to_vec();
    escape_json_tail(&mut text, 0);
    write_all(json, outputs, |_| Ok(text.clone()))
}

/// Writes a comparison of results with a base: as a document, in Markdown, and as a page that shows them one over the
/// other.
pub(super) fn write_comparison(
    document: &CompareDocument,
    results: &[ResultDocument],
    base: Option<&ResultDocument>,
    json: bool,
    outputs: &Outputs,
) -> Result<()> {
    write_all(json, outputs, |format| match format {
        Format::Json => {
            let mut text = serde_json::to_vec_pretty(document)?;
            text.push(b'\n');
            escape_json_tail(&mut text, 0);
            Ok(text)
        }
        Format::Markdown => Ok(markdown(document).into_bytes()),
        format => format.render(results, base),
    })
}

fn write_all(json: bool, outputs: &Outputs, render: impl Fn(Format) -> Result<Vec<u8>>) -> Result<()> {
    if json {
        print(&render(Format::Json)?)?;
    }
    let mut failed = None;
    for (path, format) in &outputs.files {
        let written =
            render(*format).and_then(|text| write_file(path, &text, outputs.is_private).map_err(anyhow::Error::new));
        if let Err(error) = written {
            failed = Some(error.context(format!("--out {}", path.display())));
        }
    }
    match failed {
        None => Ok(()),
        Some(error) => {
            // The figures took time to measure: a full disk must not lose them.
            if !json {
                print(&render(Format::Json)?)?;
            }
            Err(error)
        }
    }
}

/// Writes a file. One that is there keeps its content until the new one is on disk: a full disk costs neither.
fn write_file(path: &Path, text: &[u8], is_private: bool) -> io::Result<()> {
    let known = std::fs::symlink_metadata(path);
    let is_plain = known.as_ref().map_or(true, std::fs::Metadata::is_file) && !is_name_of_system(path);
    let beside = beside(path).filter(|_| is_plain);
    // Where a file may be written and its folder may not, there is only the file.
    let Some((beside, file)) = beside.and_then(|name| create_new(&name, is_private).ok().map(|file| (name, file)))
    else {
        return write_to(create(path, is_private)?, text);
    };
    let written = write_to(file, text)
        .and_then(|()| known.map_or(Ok(()), |known| take_over(&known, &beside)))
        .and_then(|()| std::fs::rename(&beside, path));
    written.inspect_err(|_| {
        let _ = std::fs::remove_file(&beside);
    })
}

/// Gives a file the mode of the one that it replaces, and its owner and group where that is allowed.
fn take_over(known: &std::fs::Metadata, file: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, chown};
        // A result in a shared folder can belong to a colleague; it is still to be written.
        let _ = chown(file, Some(known.uid()), Some(known.gid()));
    }
    std::fs::set_permissions(file, known.permissions())
}

fn write_to(file: File, text: &[u8]) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    file.write_all(text)?;
    file.into_inner()?.sync_all().or_else(|error| {
        // Pipes and devices cannot be synced.
        if error.kind() == io::ErrorKind::InvalidInput { Ok(()) } else { Err(error) }
    })
}

/// A name in the same folder that nobody uses.
fn beside(path: &Path) -> Option<PathBuf> {
    let mut name = path.file_name()?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    Some(path.with_file_name(name))
}

/// To write to a file that this makes.
fn options(is_private: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    if is_private {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = is_private;
    options
}

fn create_new(path: &Path, is_private: bool) -> io::Result<File> {
    options(is_private).create_new(true).open(path)
}

/// Opens a file for its new content. A link that was made since the run began is not followed either.
fn create(path: &Path, is_private: bool) -> io::Result<File> {
    let mut options = options(is_private);
    options.create(true).truncate(true);
    #[cfg(unix)]
    if !is_name_of_system(path) {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
    }
    options.open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.json");
        write_file(&file, b"one", true).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600, "a result that may hold secrets");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        // Who reads the old one goes on reading it.
        let old = File::open(&file).unwrap();
        write_file(&file, b"two", false).unwrap();
        assert_eq!((io::read_to_string(old).unwrap(), mode(&file)), ("one".to_owned(), 0o640));
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a.json"], "nothing is left beside it");
        let link = folder.path().join("link.json");
        symlink(&file, &link).unwrap();
        assert!(write_file(&link, b"three", false).is_err(), "a link is not followed");
        assert!(write_file(&folder.path().join("missing/a.json"), b"", false).is_err());
    }
}
