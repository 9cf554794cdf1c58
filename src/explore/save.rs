//! Saving the tree: the last message of each topic, one JSON object per line, a part at a time so that nothing else waits.

use std::path::{Path, PathBuf};

use super::app::App;
use super::model::NodeId;
use crate::message_json::{MessageJsonOptions, write_message};
use crate::mqtt::Properties;
use crate::mqtt::wire::{Publish, PublishProperties};
use crate::recording::{Existing, OpenError, Writer};
use crate::terminal::number::counted;

/// Bytes of lines that are written at a time.
const PART: usize = 256 * 1024;
/// Levels that are looked at at a time.
const MOST_LEVELS: NodeId = 5_000;

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Save {
    writer: Writer,
    next: NodeId,
    saved: u64,
    /// Topics of whose payload only the beginning is kept.
    cut: u64,
}

impl Save {
    /// Creates the file.
    ///
    /// # Errors
    /// It exists, or cannot be created: in words.
    pub(super) fn begin(file: &str) -> Result<Self, String> {
        let path: PathBuf = match (file.strip_prefix("~/"), std::env::var_os("HOME")) {
            (Some(rest), Some(home)) => Path::new(&home).join(rest),
            _ => PathBuf::from(file),
        };
        let writer = Writer::open(&path, Existing::Refuse).map_err(|error| match error {
            OpenError::Exists { file } => format!("{file} exists already: choose another name"),
            error => error.to_string(),
        })?;
        Ok(Self { writer, next: 0, saved: 0, cut: 0 })
    }

    /// Writes the next part; what there is to report once everything is written.
    ///
    /// # Errors
    /// The system's, in words.
    pub(super) fn advance(&mut self, app: &App) -> Result<Option<String>, String> {
        let mut lines = Vec::new();
        let levels = app.model.len() as NodeId;
        let end = self.next.saturating_add(MOST_LEVELS).min(levels);
        while self.next < end && lines.len() < PART {
            self.put(app, self.next, &mut lines);
            self.next += 1;
        }
        if !lines.is_empty() {
            let written = self.writer.write(&lines).and_then(|()| self.writer.flush());
            written.map_err(|error| format!("cannot write to {}: {error}", self.writer.path().display()))?;
        }
        if self.next < levels {
            return Ok(None);
        }
        let saved = counted(self.saved, "message", "messages");
        let mut text = format!("saved {saved} to {}", self.writer.path().display());
        if self.cut > 0 {
            let cut = counted(self.cut, "topic", "topics");
            text.push_str(&format!("; left out {cut} of whose payload only the beginning is kept"));
        }
        Ok(Some(text))
    }

    fn put(&mut self, app: &App, id: NodeId, lines: &mut Vec<u8>) {
        let Some(view) = app.model.view(id).topic else { return };
        let topic = app.model.topic(id);
        if !app.is_saved(&topic) {
            return;
        }
        let last = view.last;
        if last.is_cut() || last.lacks_properties {
            self.cut += 1;
            return;
        }
        let none = Properties::new();
        let publish = Publish {
            dup: false,
            qos: last.qos,
            retain: last.retain,
            topic: &topic,
            packet_identifier: last.packet_identifier,
            properties: PublishProperties::Owned(last.properties.as_deref().unwrap_or(&none)),
            payload: &last.payload,
        };
        write_message(&publish, app.clock(last.time), MessageJsonOptions::default(), lines);
        lines.push(b'\n');
        self.saved += 1;
    }
}
