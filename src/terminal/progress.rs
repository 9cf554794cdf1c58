//! The progress line on stderr. The only home of `indicatif`.
//!
//! Nothing is drawn without a terminal or with `--quiet`.

use std::io::{IsTerminal, stderr};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::escape::escape;

/// A line that shows the current phase and its progress.
#[derive(Debug)]
pub(crate) struct Progress {
    /// `None` where nothing is drawn.
    bar: Option<ProgressBar>,
    began: Instant,
}

impl Progress {
    /// A line on stderr, when that is a terminal and `quiet` is not asked for.
    pub(crate) fn on_stderr(quiet: bool) -> Self {
        if quiet || !stderr().is_terminal() {
            return Self { bar: None, began: Instant::now() };
        }
        Self::drawn_on(ProgressDrawTarget::stderr_with_hz(10))
    }

    fn drawn_on(target: ProgressDrawTarget) -> Self {
        Self { bar: Some(ProgressBar::with_draw_target(Some(0), target)), began: Instant::now() }
    }

    /// Whether anything is drawn; a caller need not format lines when not.
    pub(crate) const fn is_visible(&self) -> bool {
        self.bar.is_some()
    }

    /// Begins a phase. `total_seconds` is how long it will take, 0 or less if unknown.
    pub(crate) fn set_phase(&mut self, name: &str, total_seconds: f64) {
        self.began = Instant::now();
        let Some(bar) = &self.bar else { return };
        let bounded = total_seconds > 0.0 && total_seconds.is_finite();
        let template = if bounded {
            "  {prefix:<10} {bar:24} {elapsed:>4}  {wide_msg}"
        } else {
            "  {prefix:<10} {spinner} {elapsed:>4}  {wide_msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.reset();
        bar.set_length(if bounded { (total_seconds * 1000.0) as u64 } else { 0 });
        bar.set_prefix(escape(name).into_owned());
        bar.set_message("");
        bar.tick();
    }

    /// Draws the phase anew with a line of figures beside it. Call it as often as you like, it draws ten times a second
    /// at most.
    pub(crate) fn tick(&self, line: &str) {
        let Some(bar) = &self.bar else { return };
        bar.set_message(escape(line).into_owned());
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match bar.length() {
            Some(length) if length > 0 => bar.set_position(elapsed.min(length)),
            _ => bar.tick(),
        }
    }

    /// Draws how far a piece of work is, of a total that is known or not, in whatever unit, with a line of figures
    /// beside it.
    pub(crate) fn advance(&self, total: Option<u64>, position: u64, line: &str) {
        let Some(bar) = &self.bar else { return };
        let template = match total {
            Some(_) => "  {bar:24} {percent:>3} %  {wide_msg}",
            None => "  {spinner} {elapsed:>4}  {wide_msg}",
        };
        let first = bar.message().is_empty();
        if let (true, Ok(style)) = (first, ProgressStyle::with_template(template)) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_message(escape(line).into_owned());
        match total {
            Some(total) => {
                if first {
                    bar.set_length(total);
                }
                bar.set_position(position.min(total));
            }
            None => bar.tick(),
        }
    }

    /// Lets `say` write to stderr above the line.
    pub(crate) fn aside<T>(&self, say: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    /// Takes the line away. A next phase brings it back.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The terminal is left clean on every way out.
impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal of one line that remembers what it shows.
    #[derive(Clone, Debug, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl Paper {
        fn shown(&self) -> String {
            self.0.lock().unwrap().trim().to_owned()
        }
    }

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            80
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn quiet_draws_nothing() {
        let mut progress = Progress::on_stderr(true);
        progress.set_phase("flood", 5.0);
        progress.tick("1,000/s");
        progress.clear();
        assert!(!progress.is_visible());
    }

    #[test]
    fn a_phase_is_drawn_escaped_and_cleared() {
        let paper = Paper::default();
        // No limit of the rate: each call draws.
        let mut progress = Progress::drawn_on(ProgressDrawTarget::term_like(Box::new(paper.clone())));
        for seconds in [3_600.0, 0.0] {
            progress.set_phase("flood", seconds);
            progress.tick("1,000/s from \x1b[2Jbroker");
            let seen = paper.shown();
            assert!(seen.contains("flood") && seen.contains("1,000/s from \\u{1b}[2Jbroker"), "{seen:?}");
            assert!(!seen.contains('\x1b'));
            progress.clear();
            assert_eq!(paper.shown(), "");
        }
    }

    #[test]
    fn work_is_drawn_with_its_share() {
        for (total, share) in [(Some(200), "25 %"), (None, "")] {
            let paper = Paper::default();
            let progress = Progress::drawn_on(ProgressDrawTarget::term_like(Box::new(paper.clone())));
            progress.advance(total, 50, "1,000 lines");
            let seen = paper.shown();
            assert!(seen.contains("1,000 lines") && seen.contains(share), "{seen:?}");
            progress.aside(|| assert_eq!(paper.shown(), ""));
            progress.clear();
            assert_eq!(paper.shown(), "");
        }
    }
}
