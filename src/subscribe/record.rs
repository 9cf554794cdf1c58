//! `--record`: messages as lines of JSON in a file, or in several one after the other.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::file_error::FileError;
use crate::client::{Diagnostics, ProgressReporter};
use crate::options::Rotation;
use crate::recording::{Existing, LONGEST_LINE, OpenError, Writer};
use crate::terminal::number::{bytes, counted};
use crate::terminal::{Progress, ProgressLine};

/// What is not to be acknowledged waits this long for a compressed block of a better size.
const LONGEST_DELAY: Duration = Duration::from_secs(1);
/// And not when this much has gathered, bytes before compression.
const MOST_UNFLUSHED: usize = 256 * 1024;

/// What is recorded where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPlan {
    /// The file, or the name from which those of several files are made.
    pub(super) file: PathBuf,
    /// What becomes of it when it exists.
    pub(super) existing: Existing,
    /// When the next file begins.
    pub(super) rotation: Option<Rotation>,
}

/// A recording.
#[derive(Debug)]
pub(super) struct Recorder {
    plan: RecordPlan,
    writer: Writer,
    /// When the present file was begun.
    began: Instant,
    /// When the last flush was, or the first line since.
    flushed: Instant,
    /// Number of the present file, where there are several.
    number: u64,
    files: u64,
    /// Messages that are in the files.
    messages: u64,
    /// Messages that wait for a flush.
    waiting: u64,
    /// Bytes of the files that are complete.
    earlier: u64,
    /// What is longer cannot be read back.
    longest_line: usize,
    written: Arc<AtomicU64>,
}

impl Recorder {
    /// Opens the first file. `written` follows the bytes of all files.
    pub(super) fn open(plan: &RecordPlan, written: Arc<AtomicU64>) -> Result<Self, FileError> {
        let (number, writer) = match plan.rotation {
            None => (0, Writer::open(&plan.file, plan.existing).map_err(cannot_open)?),
            Some(_) => next_file(&plan.file, last_number(&plan.file))?,
        };
        let now = Instant::now();
        Ok(Self {
            plan: plan.clone(),
            writer,
            began: now,
            flushed: now,
            number,
            files: 1,
            messages: 0,
            waiting: 0,
            earlier: 0,
            longest_line: LONGEST_LINE,
            written,
        })
    }

    /// Takes whole lines; in the file when this returns where they are to be acknowledged.
    pub(super) fn write(&mut self, lines: &[u8], is_acknowledged: bool) -> Result<(), FileError> {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if line.len() > self.longest_line {
                let (size, most) = (bytes(line.len() as f64), bytes(self.longest_line as f64));
                let text = format!("a message takes {size} as JSON, and more than {most} cannot be read back");
                return Err(self.failed(&io::Error::new(io::ErrorKind::FileTooLarge, text)));
            }
            if self.is_full(line.len()) {
                self.rotate()?;
            }
            if self.waiting == 0 {
                self.flushed = Instant::now();
            }
            self.writer.write(line).map_err(|error| self.failed(&error))?;
            self.waiting += 1;
            if self.writer.unflushed() >= MOST_UNFLUSHED {
                self.flush()?;
            }
        }
        if is_acknowledged || !self.writer.is_compressed() || self.due().is_some_and(|due| due <= Instant::now()) {
            self.flush()?;
        }
        Ok(())
    }

    /// When to flush what waits.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.waiting > 0).then(|| self.flushed + LONGEST_DELAY)
    }

    /// Puts everything into the file.
    pub(super) fn flush(&mut self) -> Result<(), FileError> {
        self.writer.flush().map_err(|error| self.failed(&error))?;
        self.messages += std::mem::take(&mut self.waiting);
        self.flushed = Instant::now();
        self.written.store(self.earlier + self.writer.size(), Ordering::Relaxed);
        Ok(())
    }

    /// What was recorded.
    pub(super) fn description(&self) -> String {
        let messages = counted(self.messages, "message", "messages");
        let size = bytes((self.earlier + self.writer.size()) as f64);
        match self.files {
            1 => format!("recorded {messages} to {} ({size})", self.writer.path().display()),
            files => format!(
                "recorded {messages} to {}, the last one is {} ({size})",
                counted(files, "file", "files"),
                self.writer.path().display()
            ),
        }
    }

    /// Whether a line of this size belongs into the next file. A file has at least one line.
    fn is_full(&self, line: usize) -> bool {
        let content = self.writer.size() + self.writer.pending();
        content > 0
            && match self.plan.rotation {
                None => false,
                Some(Rotation::Size(most)) => {
                    content + if self.writer.is_compressed() { 0 } else { line as u64 } > most
                }
                Some(Rotation::Time(most)) => self.began.elapsed() >= most,
            }
    }

    fn rotate(&mut self) -> Result<(), FileError> {
        self.flush()?;
        self.earlier += self.writer.size();
        (self.number, self.writer) = next_file(&self.plan.file, self.number)?;
        self.began = Instant::now();
        self.files += 1;
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> FileError {
        let file = self.writer.path().display();
        let hint = match (self.messages, self.files) {
            (0, _) => None,
            (messages, 1) => {
                Some(format!("{file} is complete up to there: {}", counted(messages, "message", "messages")))
            }
            (messages, files) => Some(format!(
                "the {files} files are complete up to there: {}",
                counted(messages, "message", "messages")
            )),
        };
        FileError { text: format!("cannot write to {file}: {error}"), hint }
    }
}

/// The progress line of a recording, where stderr is a terminal and nothing else is shown.
#[derive(Debug)]
pub(super) struct RecordProgress {
    progress: Rc<Progress>,
    line: ProgressLine,
    written: Arc<AtomicU64>,
}

impl RecordProgress {
    /// None where nothing is drawn, as where it is not `wanted`.
    pub(super) fn new(wanted: bool, written: Arc<AtomicU64>) -> Option<Self> {
        let progress = Rc::new(Progress::on_stderr(!wanted));
        let line = ProgressLine::new(Rc::clone(&progress), "messages", None, Instant::now());
        progress.is_visible().then_some(Self { progress, line, written })
    }

    /// Reports above the line.
    pub(super) fn reporter(&self, diagnostics: Diagnostics) -> ProgressReporter {
        ProgressReporter::new(diagnostics, Rc::clone(&self.progress))
    }

    /// When to draw next.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.line.due()
    }

    /// Draws when it is time to.
    pub(super) fn draw(&mut self, messages: u64) {
        let written = bytes(self.written.load(Ordering::Relaxed) as f64);
        self.line.draw(Instant::now(), messages, 0, Some(&written));
    }
}

fn cannot_open(error: OpenError) -> FileError {
    FileError { text: format!("cannot record: {error}"), hint: error.hint() }
}

/// Opens the first file above `number` that does not exist.
fn next_file(file: &Path, number: u64) -> Result<(u64, Writer), FileError> {
    let mut number = number;
    loop {
        number += 1;
        match Writer::open(&numbered(file, number), Existing::Refuse) {
            Err(OpenError::Exists { .. } | OpenError::Locked { .. }) => {}
            result => return Ok((number, result.map_err(cannot_open)?)),
        }
    }
}

/// `day.ndjson.zst` with a number: `day-0001.ndjson.zst`.
fn numbered(file: &Path, number: u64) -> PathBuf {
    let (stem, suffix) = stem_and_suffix(file);
    let mut name = stem.to_owned();
    name.push(format!("-{number:04}"));
    name.push(suffix);
    file.with_file_name(name)
}

/// The name, divided before the suffix of the format.
fn stem_and_suffix(file: &Path) -> (OsString, OsString) {
    let name = file.file_name().unwrap_or_default();
    let (mut stem, mut suffix) = (Path::new(name).to_owned(), OsString::new());
    for _ in 0..2 {
        let Some(extension) = stem.extension().map(OsStr::to_owned) else { break };
        let is_compression = extension.eq_ignore_ascii_case("zst") || extension.eq_ignore_ascii_case("gz");
        let mut longer = OsString::from(".");
        longer.push(&extension);
        longer.push(&suffix);
        suffix = longer;
        stem = stem.with_extension("");
        if !is_compression {
            break;
        }
    }
    (stem.into_os_string(), suffix)
}

/// The highest number that a file of this recording has.
fn last_number(file: &Path) -> u64 {
    let (stem, suffix) = stem_and_suffix(file);
    let (mut begin, end) = (stem.into_encoded_bytes(), suffix.into_encoded_bytes());
    begin.push(b'-');
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names
        .filter_map(|name| {
            let digits = name.as_encoded_bytes().strip_prefix(&begin[..])?.strip_suffix(&end[..])?;
            std::str::from_utf8(digits)
                .ok()
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?
                .parse()
                .ok()
        })
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(file: PathBuf, rotation: Rotation) -> RecordPlan {
        RecordPlan { file, existing: Existing::Refuse, rotation: Some(rotation) }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_number_stands_before_the_suffixes() {
        for (name, expected) in [
            ("day.ndjson.zst", "day-0007.ndjson.zst"),
            ("a.b/day.json", "a.b/day-0007.json"),
            ("day", "day-0007"),
            ("day.GZ", "day-0007.GZ"),
            (".hidden", ".hidden-0007"),
            ("a.b.c.gz", "a.b-0007.c.gz"),
        ] {
            assert_eq!(numbered(Path::new(name), 7), Path::new(expected));
        }
    }

    #[test]
    fn a_full_file_is_followed_by_the_next_number_that_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("r.ndjson");
        fs::write(folder.path().join("r-0003.ndjson"), "theirs\n").unwrap();
        fs::write(folder.path().join("r-x.ndjson"), "").unwrap();
        let mut recorder = Recorder::open(&plan(file, Rotation::Size(10)), Arc::default()).unwrap();
        // The second fills the file to the byte; the fourth is too large and has its file alone.
        recorder.write(b"{1}\n{234}\n{5}\n", false).unwrap();
        fs::write(folder.path().join("r-0006.ndjson"), "theirs too\n").unwrap();
        recorder.write(b"{6789012345}\n{6}\n", true).unwrap();
        let read = |number: u64| fs::read_to_string(folder.path().join(format!("r-000{number}.ndjson"))).unwrap();
        assert_eq!(
            [3, 4, 5, 6, 7, 8].map(read),
            ["theirs\n", "{1}\n{234}\n", "{5}\n", "theirs too\n", "{6789012345}\n", "{6}\n"]
        );
        assert!(recorder.description().starts_with("recorded 5 messages to 4 files, the last one is "));
        assert_eq!(names(folder.path()).len(), 7);
    }

    #[test]
    fn what_cannot_be_read_back_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let plan = RecordPlan { file: folder.path().join("r"), existing: Existing::Refuse, rotation: None };
        let mut recorder = Recorder { longest_line: 8, ..Recorder::open(&plan, Arc::default()).unwrap() };
        recorder.write(b"{12345}\n", true).unwrap();
        let FileError { text, hint } = recorder.write(b"{1}\n{123456}\n", true).unwrap_err();
        assert!(text.contains("a message takes 9.00 B as JSON") && hint.is_some(), "{text}");
        assert!(fs::read_to_string(&plan.file).unwrap().starts_with("{12345}\n"));
    }

    #[test]
    fn compressed_files_rotate_at_the_size_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("r.ndjson.zst");
        let mut recorder = Recorder::open(&plan(file, Rotation::Size(3000)), Arc::default()).unwrap();
        let mut random = 1u64;
        for _ in 0..3000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            recorder.write(format!("{{\"payload\":\"{random:x}\"}}\n").as_bytes(), true).unwrap();
        }
        let names = names(folder.path());
        assert!(names.len() > 5, "{names:?}");
        for name in names {
            let size = fs::metadata(folder.path().join(&name)).unwrap().len();
            assert!(size < 3200, "{name}: {size}");
        }
    }

    #[test]
    fn a_file_that_is_old_is_followed_by_the_next_message() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("r.ndjson.gz");
        let mut recorder =
            Recorder::open(&plan(file, Rotation::Time(Duration::from_nanos(1))), Arc::default()).unwrap();
        recorder.write(b"{1}\n{2}\n", true).unwrap();
        recorder.write(b"{3}\n", true).unwrap();
        assert_eq!(names(folder.path()), ["r-0001.ndjson.gz", "r-0002.ndjson.gz", "r-0003.ndjson.gz"]);
    }

    #[test]
    fn what_waits_is_due_a_second_later() {
        let folder = tempfile::tempdir().unwrap();
        let plan = RecordPlan { file: folder.path().join("r.gz"), existing: Existing::Refuse, rotation: None };
        let mut recorder = Recorder::open(&plan, Arc::default()).unwrap();
        assert_eq!(recorder.due(), None);
        recorder.write(b"{}\n", false).unwrap();
        assert!(recorder.due().is_some() && fs::read(&plan.file).unwrap().is_empty());
        recorder.flush().unwrap();
        assert!(recorder.due().is_none() && !fs::read(&plan.file).unwrap().is_empty());
    }
}
