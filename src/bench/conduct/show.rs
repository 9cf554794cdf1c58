//! Progress on stderr.

use crate::bench::engine::Progress as Step;
use crate::terminal::{Progress, number};

/// Progress on stderr.
pub(super) struct Show {
    progress: Progress,
    phase: Option<String>,
}

impl Show {
    pub(super) fn new(quiet: bool) -> Self {
        Self { progress: Progress::on_stderr(quiet), phase: None }
    }

    pub(super) fn step(&mut self, step: Step) {
        if !self.progress.is_visible() {
            return;
        }
        let (phase, seconds, line) = match step {
            Step::Connecting { connected, clients } => ("connect".to_owned(), 0.0, format!("{connected} of {clients}")),
            Step::Holding { open, elapsed: _, duration } => {
                ("hold".to_owned(), duration.as_secs_f64(), format!("{} open", number::grouped(open)))
            }
            Step::WarmUp(stage) => (format!("{} ↑", stage.text()), 0.0, "warming up".to_owned()),
            Step::Measuring { stage, duration, row, elapsed: _ } => {
                let line = row.map_or_else(String::new, |row| {
                    let p99 = row.e2e_p99.map_or_else(String::new, |p99| format!("  p99 {}", number::duration(p99)));
                    format!("sent {}/s  delivered {}/s{p99}", number::grouped(row.sent), number::grouped(row.delivered))
                });
                (stage.text().to_owned(), duration.map_or(0.0, |duration| duration.as_secs_f64()), line)
            }
            Step::Draining { stage, outstanding } => {
                (format!("{} ↓", stage.text()), 0.0, format!("{} under way", number::grouped(outstanding)))
            }
        };
        if self.phase.as_ref() != Some(&phase) {
            self.progress.set_phase(&phase, seconds);
            self.phase = Some(phase);
        }
        self.progress.tick(&line);
    }

    pub(super) fn end(&self) {
        self.progress.clear();
    }
}
