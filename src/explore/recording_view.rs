//! Where in a recording the explorer is, as data.

use super::model::Micros;
use crate::terminal::number::counted;

/// The place in a recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RecordingView {
    pub(super) file: String,
    /// Messages up to the place that is shown.
    pub(super) position: u64,
    /// Messages of the whole; none until it was read once.
    pub(super) messages: Option<u64>,
    /// The time of the first message.
    pub(super) begin: Option<Micros>,
    /// The time of the last message that was read.
    pub(super) end: Micros,
    /// The time that is shown.
    pub(super) at: Micros,
    /// How much of what is being read was read, 0 to 1.
    pub(super) reading: Option<f64>,
    pub(super) is_playing: bool,
    /// Seconds of the recording per second.
    pub(super) speed: f64,
    /// What is wrong with the file.
    pub(super) fault: Option<String>,
    /// Lines that are not messages.
    pub(super) skipped: u64,
    /// What is wrong with the first of them.
    pub(super) first_skipped: Option<String>,
}

impl RecordingView {
    /// What is wrong with the lines that are not messages.
    pub(super) fn skipped_lines(&self) -> Option<String> {
        let first = self.first_skipped.as_ref()?;
        Some(match self.skipped {
            1 => format!("1 line is not a message: {first}"),
            lines => format!("{} are not messages; the first: {first}", counted(lines, "line", "lines")),
        })
    }

    /// The place as a part of the time, 0 to 1.
    pub(super) fn part(&self) -> f64 {
        let begin = self.begin.unwrap_or(self.at);
        let length = (self.end - begin).max(1);
        ((self.at - begin) as f64 / length as f64).clamp(0.0, 1.0)
    }
}
