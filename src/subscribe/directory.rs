//! `--to-dir`: a file per topic, or per message, in one folder that nothing else writes to.
//!
//! Each file is written under a name that no topic has and then renamed, so that it is never seen half written and a
//! link that lies there is replaced, not followed. On Unix all of it happens within the folder that was opened at the
//! start, whatever becomes of its name.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset, Utc};

use super::file_error::FileError;
use super::file_name::NameRules;
use crate::options::FilePer;
use crate::terminal::number::counted;

/// Marks our folders, and is locked by the tool that writes to one.
const MARKER: &str = ".mqsub-to-dir";
const MARKER_TEXT: &[u8] = b"Files of mqsub --to-dir: the name is the topic in percent-encoding.\n";
/// What is being written. No topic has a name with a dot in front.
const UNFINISHED: &str = ".mqsub-unfinished";

/// What goes where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryPlan {
    /// The folder.
    pub(super) path: PathBuf,
    /// What gets a separate file.
    pub(super) per: FilePer,
}

/// A message on its way to a file.
#[derive(Debug)]
pub(crate) struct FiledMessage {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) received: DateTime<FixedOffset>,
}

impl FiledMessage {
    /// Bytes that it takes.
    pub(super) const fn len(&self) -> usize {
        self.topic.len() + self.payload.len()
    }
}

/// The folder.
#[derive(Debug)]
pub(super) struct Directory {
    plan: DirectoryPlan,
    folder: Folder,
    rules: NameRules,
    /// Locked while we write.
    _marker: File,
    /// Messages that were taken, and files that were written for them.
    messages: u64,
    files: u64,
}

impl Directory {
    /// Opens the folder, which may have to be created.
    pub(super) fn open(plan: &DirectoryPlan) -> Result<Self, FileError> {
        let path = &plan.path;
        let failed =
            |error: io::Error| FileError { text: format!("--to-dir: {}: {error}", path.display()), hint: None };
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let folder = Folder::open(path).map_err(failed)?;
        let is_empty = fs::read_dir(path).map_err(failed)?.next().is_none();
        let marker = match (folder.open_existing(MARKER), is_empty) {
            (Ok(marker), _) => marker,
            (Err(error), true) if error.kind() == io::ErrorKind::NotFound => {
                let mut marker = folder.create_new(MARKER).map_err(failed)?;
                marker.write_all(MARKER_TEXT).map_err(failed)?;
                marker
            }
            (Err(error), false) if error.kind() == io::ErrorKind::NotFound => {
                return Err(FileError {
                    text: format!("--to-dir: {} has files that are not of mqsub", path.display()),
                    hint: Some("choose an empty folder, or one that does not exist".into()),
                });
            }
            (Err(error), _) => return Err(failed(error)),
        };
        if let Err(TryLockError::WouldBlock) = marker.try_lock() {
            return Err(FileError {
                text: format!("--to-dir: another mqsub writes to {}", path.display()),
                hint: Some("choose another folder, or end the other process".into()),
            });
        }
        let ignores_case = folder.ignores_case();
        let rules = NameRules { ignores_case };
        Ok(Self { plan: plan.clone(), folder, rules, _marker: marker, messages: 0, files: 0 })
    }

    /// Writes the files of these messages. They are in their place when this returns.
    pub(super) fn write(&mut self, messages: &[FiledMessage]) -> Result<(), FileError> {
        match self.plan.per {
            FilePer::Topic => {
                // Of a topic that came several times the last value is what remains.
                let mut seen = HashSet::new();
                for message in messages.iter().rev().filter(|message| seen.insert(&message.topic)) {
                    let name = self.rules.name(&message.topic, "");
                    self.put(&name, &message.payload)?;
                }
                self.messages += messages.len() as u64;
            }
            FilePer::Message => {
                for message in messages {
                    self.messages += 1;
                    let mut number = self.messages;
                    let time = message.received.with_timezone(&Utc).format("%Y%m%dT%H%M%S%.6fZ");
                    let name = loop {
                        let name = self.rules.name(&message.topic, &format!("{time}-{number:06}-"));
                        // Of an earlier run, before the clock was set back.
                        if !self.folder.has(&name) {
                            break name;
                        }
                        number += 1;
                    };
                    self.put(&name, &message.payload)?;
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, name: &str, payload: &[u8]) -> Result<(), FileError> {
        let written = self.folder.put(name, payload);
        self.files += u64::from(written.is_ok());
        written.map_err(|error| FileError {
            text: format!("--to-dir: cannot write {}: {error}", self.plan.path.join(name).display()),
            hint: None,
        })
    }

    /// What was done.
    pub(super) fn description(&self) -> String {
        let messages = counted(self.messages, "message", "messages");
        format!("{messages} written to files in {}", self.plan.path.display())
    }
}

/// A folder that stays the same whatever becomes of its name.
#[derive(Debug)]
struct Folder {
    #[cfg(unix)]
    folder: std::os::fd::OwnedFd,
    #[cfg(not(unix))]
    path: PathBuf,
}

#[cfg(unix)]
impl Folder {
    fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let folder = File::options().read(true).custom_flags(nix::fcntl::OFlag::O_DIRECTORY.bits()).open(path)?;
        Ok(Self { folder: folder.into() })
    }

    fn open_at(&self, name: &str, flags: nix::fcntl::OFlag) -> io::Result<File> {
        use nix::fcntl::{OFlag, openat};
        use nix::sys::stat::Mode;
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(File::from(openat(&self.folder, name, flags, Mode::from_bits_truncate(0o666))?))
    }

    fn open_existing(&self, name: &str) -> io::Result<File> {
        self.open_at(name, nix::fcntl::OFlag::O_RDWR)
    }

    fn create_new(&self, name: &str) -> io::Result<File> {
        use nix::fcntl::OFlag;
        self.open_at(name, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL)
    }

    fn has(&self, name: &str) -> bool {
        use nix::fcntl::AtFlags;
        nix::sys::stat::fstatat(&self.folder, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    fn remove(&self, name: &str) {
        let _ = nix::unistd::unlinkat(&self.folder, name, nix::unistd::UnlinkatFlags::NoRemoveDir);
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(nix::fcntl::renameat(&self.folder, from, &self.folder, to)?)
    }
}

#[cfg(not(unix))]
impl Folder {
    fn open(path: &Path) -> io::Result<Self> {
        fs::read_dir(path)?;
        Ok(Self { path: path.to_owned() })
    }

    fn open_existing(&self, name: &str) -> io::Result<File> {
        File::options().read(true).write(true).open(self.path.join(name))
    }

    fn create_new(&self, name: &str) -> io::Result<File> {
        File::create_new(self.path.join(name))
    }

    fn has(&self, name: &str) -> bool {
        self.path.join(name).symlink_metadata().is_ok()
    }

    fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.path.join(name));
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }
}

impl Folder {
    /// Whether `A` and `a` are one name there: the marker is known by its name in capitals, too.
    fn ignores_case(&self) -> bool {
        self.has(&MARKER.to_ascii_uppercase())
    }

    /// Writes a file that appears complete, or not at all.
    fn put(&self, name: &str, content: &[u8]) -> io::Result<()> {
        // Of a run that was killed.
        self.remove(UNFINISHED);
        let written = self.create_new(UNFINISHED).and_then(|mut file| file.write_all(content));
        let renamed = written.and_then(|()| self.rename(UNFINISHED, name));
        if renamed.is_err() {
            self.remove(UNFINISHED);
        }
        renamed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(path: &Path, per: FilePer) -> DirectoryPlan {
        DirectoryPlan { path: path.to_owned(), per }
    }

    fn message(topic: &str, payload: &[u8]) -> FiledMessage {
        let received = DateTime::parse_from_rfc3339("2026-11-26T19:15:02.123456+01:00").unwrap();
        FiledMessage { topic: topic.into(), payload: payload.to_vec(), received }
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != MARKER).collect();
        names.sort();
        names
    }

    #[test]
    fn the_last_value_of_a_topic_remains() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let mut directory = Directory::open(&plan(&path, FilePer::Topic)).unwrap();
        directory.write(&[message("a/b", b"1"), message("c", b"\0\xff"), message("a/b", b"2")]).unwrap();
        directory.write(&[message("c", b"")]).unwrap();
        assert_eq!(names(&path), ["a%2Fb", "c"]);
        assert_eq!(fs::read(path.join("a%2Fb")).unwrap(), b"2");
        assert_eq!(fs::read(path.join("c")).unwrap(), b"");
        assert!(directory.description().starts_with("4 messages written"));
    }

    #[test]
    fn each_message_has_a_file_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for _ in 0..2 {
            // Two runs within one microsecond.
            let mut directory = Directory::open(&plan(path, FilePer::Message)).unwrap();
            directory.write(&[message("b", b"1"), message("a", b"2")]).unwrap();
        }
        let time = "20261126T181502.123456Z";
        let expected = ["000001-b", "000002-a", "000002-b", "000003-a"].map(|end| format!("{time}-{end}"));
        assert_eq!(names(path), expected);
    }

    #[test]
    fn a_folder_of_others_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "theirs").unwrap();
        let refused = Directory::open(&plan(folder.path(), FilePer::Topic)).unwrap_err();
        assert!(refused.text.contains("has files that are not of mqsub"), "{refused}");
        assert_eq!(names(folder.path()), ["a"]);
        assert!(!folder.path().join(MARKER).exists());
        assert!(Directory::open(&plan(&folder.path().join("a"), FilePer::Topic)).is_err(), "a file");
        assert!(Directory::open(&plan(&folder.path().join("x/y"), FilePer::Topic)).is_err(), "no parent");
    }

    #[test]
    fn one_tool_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Directory::open(&plan(folder.path(), FilePer::Topic)).unwrap();
        let refused = Directory::open(&plan(folder.path(), FilePer::Topic)).unwrap_err();
        assert!(refused.text.contains("another mqsub writes to"), "{refused}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_replaced_and_never_followed() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("d"), folder.path().join("victim"));
        fs::write(&victim, "untouched").unwrap();
        let mut directory = Directory::open(&plan(&path, FilePer::Topic)).unwrap();
        for name in ["a", UNFINISHED] {
            symlink(&victim, path.join(name)).unwrap();
        }
        directory.write(&[message("a", b"1")]).unwrap();
        assert!(!path.join("a").is_symlink());
        assert_eq!(fs::read(path.join("a")).unwrap(), b"1");
        // The folder itself is exchanged.
        let elsewhere = folder.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::rename(&path, folder.path().join("moved")).unwrap();
        symlink(&elsewhere, &path).unwrap();
        directory.write(&[message("b", b"2")]).unwrap();
        assert!(names(&elsewhere).is_empty());
        assert_eq!(fs::read(folder.path().join("moved/b")).unwrap(), b"2");
        drop(directory);
        // A marker that is a link to a file of somebody else.
        let trap = folder.path().join("trap");
        fs::create_dir(&trap).unwrap();
        symlink(&victim, trap.join(MARKER)).unwrap();
        assert!(Directory::open(&plan(&trap, FilePer::Topic)).is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    }

    #[test]
    fn what_cannot_be_written_is_named_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut directory = Directory::open(&plan(folder.path(), FilePer::Topic)).unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        let error = directory.write(&[message("a", b"1")]).unwrap_err();
        assert!(error.text.starts_with("--to-dir: cannot write "), "{error}");
        assert_eq!(names(folder.path()), ["a"]);
    }
}
