//! Where results go: stdout with --json, and the files of --out.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::options::{BENCH, ResultOptions, UsageError};
use crate::terminal::{escape_json_tail, print};

/// The files of `--out`, which must be writable before the load begins. A file that is not there yet appears only with
/// the result.
pub(super) fn outputs(result: &ResultOptions) -> Result<Vec<PathBuf>, UsageError> {
    let mut faults = Vec::new();
    for path in &result.out {
        // Pipes and devices are not to be opened before there is something for them; a link is left alone.
        let found = std::fs::symlink_metadata(path);
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
    Ok(result.out.clone())
}

/// A document on stdout, where it is wanted, and in the files of `--out`.
pub(super) fn write_result(text: &[u8], json: bool, files: &[PathBuf]) -> Result<()> {
    let mut text = text.to_vec();
    escape_json_tail(&mut text, 0);
    let text = &text[..];
    if json {
        print(text)?;
    }
    let mut failed = None;
    for path in files {
        if let Err(error) = write_file(path, text) {
            failed = Some(anyhow::Error::new(error).context(format!("--out {}", path.display())));
        }
    }
    match failed {
        None => Ok(()),
        Some(error) => {
            // The figures took time to measure; they are not lost with a full disk.
            if !json {
                print(text)?;
            }
            Err(error)
        }
    }
}

fn write_file(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(text)?;
    file.into_inner()?.sync_all().or_else(|error| {
        // Pipes and devices cannot be synchronised.
        if error.kind() == io::ErrorKind::InvalidInput { Ok(()) } else { Err(error) }
    })
}
