//! Whether other users can read a file. Unix only: elsewhere there is no warning.

use std::path::Path;

/// Whether every user of this machine can read a file: its mode lets them, and so do the folders on the way to it. A
/// pipe (`<(command)`) is no file.
#[cfg(unix)]
pub(super) fn everybody_can_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    const READ_BY_OTHERS: u32 = 0o004;
    const SEARCHED_BY_OTHERS: u32 = 0o001;
    let has = |path: &Path, bit: u32, is_file: bool| {
        std::fs::metadata(path).is_ok_and(|found| found.is_file() == is_file && found.permissions().mode() & bit != 0)
    };
    if !has(path, READ_BY_OTHERS, true) {
        return false;
    }
    let Ok(path) = path.canonicalize() else { return false };
    path.ancestors().skip(1).all(|folder| has(folder, SEARCHED_BY_OTHERS, false))
}

/// Whether every user of this machine can read a file.
#[cfg(not(unix))]
pub(super) fn everybody_can_read(_path: &Path) -> bool {
    false
}
