//! Writes results: to stdout with `--json`, and to the files of `--out`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::options::{BENCH, BenchOptions, UsageError};
use crate::terminal::{escape_json_tail, print};

/// The files of `--out`.
#[derive(Debug)]
pub(super) struct Outputs {
    files: Vec<PathBuf>,
    /// The run has a password or a token. The document masks it; file permissions are the second lock.
    is_private: bool,
}

impl Outputs {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// The files of `--out`, which must be writable before the load begins. A new file appears only with the result.
pub(super) fn outputs(options: &BenchOptions) -> Result<Outputs, UsageError> {
    let mut faults = Vec::new();
    for path in &options.result.out {
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
    Ok(Outputs { files: options.result.out.clone(), is_private: options.has_secret() })
}

/// `/dev/stdout`, and what the shell makes of `>(command)`: links to files that this process has open, where nobody
/// else can make one.
fn is_name_of_system(path: &Path) -> bool {
    ["/dev", "/dev/fd", "/proc/self/fd"].iter().any(|folder| path.parent() == Some(Path::new(folder)))
}

/// Writes a document to stdout, where `json`, and to the files of `--out`.
pub(super) fn write_result(text: &[u8], json: bool, outputs: &Outputs) -> Result<()> {
    let mut text = text.to_vec();
    escape_json_tail(&mut text, 0);
    let text = &text[..];
    if json {
        print(text)?;
    }
    let mut failed = None;
    for path in &outputs.files {
        if let Err(error) = write_file(path, text, outputs.is_private) {
            failed = Some(anyhow::Error::new(error).context(format!("--out {}", path.display())));
        }
    }
    match failed {
        None => Ok(()),
        Some(error) => {
            // The figures took time to measure: a full disk must not lose them.
            if !json {
                print(text)?;
            }
            Err(error)
        }
    }
}

fn write_file(path: &Path, text: &[u8], is_private: bool) -> io::Result<()> {
    let mut file = BufWriter::new(create(path, is_private)?);
    file.write_all(text)?;
    file.into_inner()?.sync_all().or_else(|error| {
        // Pipes and devices cannot be synced.
        if error.kind() == io::ErrorKind::InvalidInput { Ok(()) } else { Err(error) }
    })
}

/// Opens a file for its new content. A link that was made since the run began is not followed either.
fn create(path: &Path, is_private: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        if is_private {
            options.mode(0o600);
        }
        if !is_name_of_system(path) {
            options.custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
        }
    }
    #[cfg(not(unix))]
    let _ = is_private;
    options.open(path)
}
