//! `mqbroker passwd`: a user's password in a password file that mqbroker and mosquitto read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::access::set_password;
use crate::mqtt::Secret;

/// Why a password file was not written. The old one is as it was.
#[derive(Debug, Error)]
pub enum PasswdError {
    /// It cannot be read or written.
    #[error("cannot write {}: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The user cannot stand in it.
    #[error("{0}")]
    User(String),
}

/// Sets a user's password in a file, which is created where there is none. Readers see the old file or the new one,
/// never a part.
///
/// # Errors
/// See [`PasswdError`].
pub fn set_password_in_file(file: &Path, user: &str, password: &Secret) -> Result<(), PasswdError> {
    let failed = |error| PasswdError::Io { file: file.to_owned(), error };
    // A link stays a link: what it points to is replaced.
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let (text, known) = match fs::read_to_string(&target) {
        Ok(text) => (text, Some(fs::metadata(&target).map_err(failed)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), None),
        Err(error) => return Err(failed(error)),
    };
    let text = set_password(&text, user, password).map_err(PasswdError::User)?;
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = target.with_file_name(name);
    let written = write_new(&new, &text, known.as_ref()).and_then(|()| fs::rename(&new, &target));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.map_err(failed)
}

/// Writes a file that takes the place of a `known` one: for the same owner, group and mode, or who could read that could
/// not read this.
fn write_new(path: &Path, text: &str, known: Option<&fs::Metadata>) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    if let Some(known) = known {
        #[cfg(unix)]
        keep_owner(&file, known)?;
        file.set_permissions(known.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(unix)]
fn keep_owner(file: &fs::File, known: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let ours = file.metadata()?;
    if (ours.uid(), ours.gid()) == (known.uid(), known.gid()) {
        return Ok(());
    }
    fchown(file, Some(known.uid()), Some(known.gid())).map_err(|error| {
        let (user, group) = (known.uid(), known.gid());
        io::Error::new(
            error.kind(),
            format!("it belongs to user {user} and group {group}, who would lose it ({error}): run this as that user or root"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::access::PasswordFile;

    #[test]
    fn a_file_is_made_changed_and_left_alone_on_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        set_password_in_file(&file, "ann", &Secret::new("one")).unwrap();
        set_password_in_file(&file, "bob", &Secret::new("two")).unwrap();
        set_password_in_file(&file, "ann", &Secret::new("three")).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let read = PasswordFile::parse(&text).unwrap();
        assert!(read.accepts("ann", b"three") && read.accepts("bob", b"two"));
        assert!(set_password_in_file(&file, "a:b", &Secret::new("x")).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let missing = folder.path().join("no/such/folder");
        assert!(set_password_in_file(&missing, "ann", &Secret::new("x")).is_err());
    }

    /// The group of the broker's service, for example, which reads the file. Who is in one group only cannot try it.
    #[test]
    #[cfg(unix)]
    fn the_group_of_a_file_is_kept() {
        use std::os::unix::fs::{MetadataExt, chown};
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        set_password_in_file(&file, "ann", &Secret::new("one")).unwrap();
        let group = fs::metadata(&file).unwrap().gid() + 1;
        if chown(&file, None, Some(group)).is_err() {
            return;
        }
        set_password_in_file(&file, "bob", &Secret::new("two")).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().gid(), group);
    }

    #[test]
    #[cfg(unix)]
    fn a_new_file_is_private_and_an_old_one_keeps_its_mode_and_its_link() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("passwords"), folder.path().join("link"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        set_password_in_file(&file, "ann", &Secret::new("one")).unwrap();
        assert_eq!(mode(&file), 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        set_password_in_file(&link, "bob", &Secret::new("two")).unwrap();
        assert_eq!(mode(&file), 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(PasswordFile::parse(&fs::read_to_string(&file).unwrap()).unwrap().accepts("bob", b"two"));
    }
}
