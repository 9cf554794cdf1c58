//! The progress of a run on stderr.

use crate::bench::engine::RunProgress;
use crate::terminal::{Progress, number};

/// The progress of a run on stderr.
pub(super) struct ProgressView {
    progress: Progress,
    phase: Option<String>,
}

impl ProgressView {
    pub(super) fn new(quiet: bool) -> Self {
        Self { progress: Progress::on_stderr(quiet), phase: None }
    }

    pub(super) fn show(&mut self, progress: RunProgress) {
        if !self.progress.is_visible() {
            return;
        }
        let (phase, seconds, line) = match progress {
            RunProgress::Connecting { connected, clients } => {
                ("connect".to_owned(), 0.0, format!("{connected} of {clients}"))
            }
            RunProgress::Holding { open, elapsed: _, duration } => {
                ("hold".to_owned(), duration.as_secs_f64(), format!("{} open", number::grouped(open)))
            }
            RunProgress::WarmUp(stage) => (format!("{} ↑", stage.text()), 0.0, "warming up".to_owned()),
            RunProgress::Measuring { stage, duration, row, elapsed: _ } => {
                let line = row.map_or_else(String::new, |row| {
                    let p99 = row.e2e_p99.map_or_else(String::new, |p99| format!("  p99 {}", number::duration(p99)));
                    let [sent, delivered] =
                        [row.sent, row.delivered].map(|count| number::grouped(count.unwrap_or_default()));
                    format!("sent {sent}/s  delivered {delivered}/s{p99}")
                });
                (stage.text().to_owned(), duration.map_or(0.0, |duration| duration.as_secs_f64()), line)
            }
            RunProgress::Draining { stage, outstanding } => {
                (format!("{} ↓", stage.text()), 0.0, format!("{} in flight", number::grouped(outstanding)))
            }
        };
        if self.phase.as_ref() != Some(&phase) {
            self.progress.set_phase(&phase, seconds);
            self.phase = Some(phase);
        }
        self.progress.tick(&line);
    }

    pub(super) fn clear(&self) {
        self.progress.clear();
    }
}
