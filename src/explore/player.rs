//! Goes through a recording: on, back, to a time. The tree at a place is that of all messages before it, so going back
//! reads from the beginning again.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::app::Seek;
use super::model::{Micros, Model};
use super::recording_view::RecordingView;
use crate::message_json::{MessageDefaults, read_message};
use crate::mqtt::wire::Publish;
use crate::mqtt::{Message, ProtocolVersion, TopicFilter};
use crate::recording::Reader;
use crate::terminal::escape;

const SECOND: f64 = 1e6;
const SLOWEST: f64 = 0.1;
const FASTEST: f64 = 10_000.0;

/// Where to stop reading.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Goal {
    /// At the end.
    End,
    /// Before the first message that is later.
    Time(Micros),
    /// Behind this many messages.
    Messages(u64),
}

/// A recording and the place in it.
#[derive(Debug)]
pub(super) struct Player {
    path: PathBuf,
    reader: Reader,
    /// Topics that are shown; all where there are none.
    filters: Vec<TopicFilter>,
    /// The message that follows the place.
    next: Option<(Message, Micros)>,
    last_time: Option<Micros>,
    goal: Option<Goal>,
    pub(super) view: RecordingView,
}

impl Player {
    /// Opens a recording, to be read to its end first.
    ///
    /// # Errors
    /// It cannot be opened: in words.
    pub(super) fn open(path: &Path, filters: Vec<TopicFilter>) -> Result<Self, String> {
        let reader = Reader::open(path).map_err(|error| error.to_string())?;
        let view = RecordingView {
            file: path.display().to_string(),
            speed: 1.0,
            reading: Some(0.0),
            ..RecordingView::default()
        };
        let goal = Some(Goal::End);
        Ok(Self { path: path.to_owned(), reader, filters, next: None, last_time: None, goal, view })
    }

    /// Whether there is something to read now.
    pub(super) const fn is_reading(&self) -> bool {
        self.goal.is_some()
    }

    /// Goes somewhere else.
    pub(super) fn seek(&mut self, seek: Seek, model: &mut Model) {
        // Where it ends is known once it was read.
        if self.view.messages.is_none() {
            return;
        }
        let begin = self.view.begin.unwrap_or_default();
        let length = (self.view.end - begin) as f64;
        match seek {
            Seek::Play if self.view.part() >= 1.0 && !self.view.is_playing => {
                self.go(Goal::Time(begin), model);
                self.view.is_playing = true;
            }
            Seek::Play => self.view.is_playing = !self.view.is_playing,
            Seek::Speed(factor) => {
                // In powers of ten, exactly.
                let exponent = (self.view.speed * factor).clamp(SLOWEST, FASTEST).log10().round() as i32;
                self.view.speed = 10f64.powi(exponent);
            }
            Seek::Messages(step) => {
                self.view.is_playing = false;
                let goal = self.view.position.saturating_add_signed(step);
                self.go(Goal::Messages(goal.max(1)), model);
            }
            Seek::Part(part) => self.go(Goal::Time(self.view.at + (length * part) as Micros), model),
            Seek::To(part) if part >= 1.0 => self.go(Goal::End, model),
            Seek::To(part) => self.go(Goal::Time(begin + (length * part) as Micros), model),
        }
    }

    /// Time has passed while it plays, microseconds.
    pub(super) fn play(&mut self, passed: Micros, model: &mut Model) {
        if !self.view.is_playing || self.is_reading() {
            return;
        }
        if self.view.at >= self.view.end {
            self.view.is_playing = false;
            return;
        }
        let step = (passed as f64 * self.view.speed).min(SECOND * 1e9) as Micros;
        self.go(Goal::Time((self.view.at + step).min(self.view.end)), model);
    }

    fn go(&mut self, goal: Goal, model: &mut Model) {
        let begin = self.view.begin.unwrap_or_default();
        let goal = match goal {
            Goal::Time(time) => Goal::Time(time.clamp(begin, self.view.end)),
            goal => goal,
        };
        let is_back = match goal {
            Goal::End => false,
            Goal::Time(time) => time < self.view.at,
            Goal::Messages(messages) => messages < self.view.position,
        };
        if is_back {
            match Reader::open(&self.path) {
                Ok(reader) => self.reader = reader,
                Err(error) => {
                    self.view.fault = Some(error.to_string());
                    return;
                }
            }
            model.clear();
            (self.next, self.last_time) = (None, None);
            (self.view.position, self.view.at, self.view.skipped) = (0, begin, 0);
            self.view.first_skipped = None;
        }
        self.view.reading = Some(0.0);
        self.goal = Some(goal);
    }

    /// Reads on, until the goal is reached or `has_time` says no more.
    pub(super) fn advance(&mut self, model: &mut Model, mut has_time: impl FnMut() -> bool) {
        let Some(goal) = self.goal else { return };
        loop {
            if !has_time() {
                self.view.reading = Some(self.part_read(goal));
                return;
            }
            if self.next.is_none() && !self.read_next() {
                self.finish(goal, model);
                return;
            }
            let Some((_, time)) = &self.next else { return };
            let is_there = match goal {
                Goal::End => false,
                Goal::Time(goal) => *time > goal,
                Goal::Messages(messages) => self.view.position >= messages,
            };
            if is_there {
                self.finish(goal, model);
                return;
            }
            if let Some((message, time)) = self.next.take() {
                model.add(&Publish::of(&message, 0, false), time);
                self.view.position += 1;
                self.view.at = self.view.at.max(time);
                self.view.begin.get_or_insert(time);
            }
        }
    }

    /// The goal is reached, or the end of the file.
    fn finish(&mut self, goal: Goal, model: &mut Model) {
        if self.next.is_none() && self.view.messages.is_none() {
            self.view.messages = Some(self.view.position);
            self.view.end = self.view.at;
        }
        if let Goal::Time(time) = goal {
            self.view.at = self.view.at.max(time);
            model.set_now(self.view.at);
        }
        (self.goal, self.view.reading) = (None, None);
    }

    /// How much of the way was read, 0 to 1.
    fn part_read(&self, goal: Goal) -> f64 {
        let begin = self.view.begin.unwrap_or_default();
        let part = match goal {
            Goal::End => self.reader.size().map_or(0.0, |size| self.reader.consumed() as f64 / size.max(1) as f64),
            Goal::Time(time) => (self.view.at - begin) as f64 / (time - begin).max(1) as f64,
            Goal::Messages(messages) => self.view.position as f64 / messages.max(1) as f64,
        };
        part.clamp(0.0, 1.0)
    }

    /// Reads the next message that is shown; false at the end.
    fn read_next(&mut self) -> bool {
        let defaults = MessageDefaults { version: ProtocolVersion::V5, wants_time: true, ..MessageDefaults::default() };
        loop {
            let line = match self.reader.next_line() {
                Ok(Some(line)) if line.trim_ascii().is_empty() => continue,
                Ok(Some(line)) => Bytes::copy_from_slice(line),
                Ok(None) => return false,
                Err(error) => {
                    // After most errors nothing follows, and the next call says so.
                    self.view.fault = Some(error.to_string());
                    continue;
                }
            };
            let read = match read_message(&line, &defaults) {
                Ok(read) => read,
                Err(error) => {
                    self.view.skipped += 1;
                    self.view.first_skipped.get_or_insert_with(|| {
                        format!(
                            "line {}, column {}: {}",
                            self.reader.line_number(),
                            error.column,
                            escape(&error.to_string())
                        )
                    });
                    continue;
                }
            };
            // A line without a time belongs to the one before; a clock may have been set back.
            let time = read.received_us.or(self.last_time).unwrap_or_default();
            let time = self.last_time.map_or(time, |last| time.max(last));
            self.last_time = Some(time);
            let is_shown = self.filters.is_empty() || self.filters.iter().any(|it| it.matches(&read.message.topic));
            if is_shown {
                self.next = Some((read.message, time));
                return true;
            }
        }
    }
}
