//! The progress of a run on stderr: a block that is redrawn each second, or without a terminal a line every five.

use std::time::{Duration, Instant};

use super::live_view::LiveView;
use crate::bench::engine::RunProgress;
use crate::bench::plan::BenchPlan;
use crate::terminal::{Colors, LiveBlock, say};

/// How often the block is drawn.
const REDRAW: Duration = Duration::from_secs(1);
/// How often a line is printed where there is no terminal.
const PLAIN: Duration = Duration::from_secs(5);

/// The progress of a run on stderr; nothing with `--quiet`.
pub(super) struct ProgressView(Option<Shown>);

struct Shown {
    view: LiveView,
    block: Option<LiveBlock>,
    /// When the next drawing or line is due.
    due: Instant,
    phase: (usize, &'static str),
}

impl ProgressView {
    pub(super) fn new(plan: &BenchPlan, quiet: bool) -> Self {
        let show = || {
            let (view, block) = (LiveView::new(plan), LiveBlock::on_stderr());
            let due = Instant::now() + if block.is_some() { Duration::ZERO } else { PLAIN };
            Shown { phase: view.phase(), view, block, due }
        };
        Self((!quiet).then(show))
    }

    /// Takes in how far the run is. Costs next to nothing between two drawings.
    pub(super) fn show(&mut self, progress: RunProgress) {
        let Some(shown) = &mut self.0 else { return };
        shown.view.observe(progress);
        let now = Instant::now();
        match &mut shown.block {
            Some(block) => {
                let phase = shown.view.phase();
                if now >= shown.due || phase != shown.phase {
                    (shown.due, shown.phase) = (now + REDRAW, phase);
                    block.draw(|size| shown.view.lines(size, Colors::for_stderr()));
                }
            }
            None if now >= shown.due => {
                shown.due = now + PLAIN;
                say(shown.view.plain_line());
            }
            None => {}
        }
    }

    /// Takes the block away.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}
