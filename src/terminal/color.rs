//! Whether to color, and with what. The only home of `colored`.

use std::ffi::OsStr;
use std::io::{IsTerminal, stderr, stdout};

use colored::Colorize;

/// What a piece of text means; how that looks is decided here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// A title.
    Heading,
    /// The main figure.
    Strong,
    /// Passed.
    Good,
    /// Look at this.
    Warning,
    /// Failed.
    Bad,
    /// Beside the point.
    Faint,
    /// Sent to a client.
    Sent,
}

/// The decision whether to color one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Colors(bool);

impl Colors {
    /// No color.
    #[cfg(test)]
    pub(crate) const OFF: Self = Self(false);
    /// Color.
    #[cfg(test)]
    pub(crate) const ON: Self = Self(true);

    /// Decides for stdout.
    pub(crate) fn for_stdout() -> Self {
        Self::for_stream(stdout().is_terminal())
    }

    /// Decides for stderr.
    pub(crate) fn for_stderr() -> Self {
        Self::for_stream(stderr().is_terminal())
    }

    fn for_stream(is_terminal: bool) -> Self {
        let (no_color, term) = (std::env::var_os("NO_COLOR"), std::env::var_os("TERM"));
        Self::decide(no_color.as_deref(), term.as_deref(), is_terminal)
    }

    /// The rule: a terminal that is not dumb, and no NO_COLOR (set and not empty, as no-color.org has it).
    fn decide(no_color: Option<&OsStr>, term: Option<&OsStr>, is_terminal: bool) -> Self {
        Self(is_terminal && no_color.is_none_or(OsStr::is_empty) && term != Some(OsStr::new("dumb")))
    }

    /// Whether text is colored.
    pub(crate) const fn is_on(self) -> bool {
        self.0
    }

    /// The text in its color, or as it is. Pad before painting: escape codes have no width.
    pub(crate) fn paint(self, paint: Paint, text: &str) -> String {
        if !self.0 {
            return text.to_owned();
        }
        // The decision was made here; the crate's global setting is always "yes", so no order of calls and no other
        // thread can turn the color of anything around.
        colored::control::set_override(true);
        match paint {
            Paint::Heading => text.bold().underline(),
            Paint::Strong => text.bold(),
            Paint::Good => text.green(),
            Paint::Warning => text.yellow(),
            Paint::Bad => text.red().bold(),
            Paint::Faint => text.dimmed(),
            Paint::Sent => text.cyan(),
        }
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule() {
        let (set, empty) = (Some(OsStr::new("1")), Some(OsStr::new("")));
        let (xterm, dumb) = (Some(OsStr::new("xterm")), Some(OsStr::new("dumb")));
        let auto = |no_color, term, tty| Colors::decide(no_color, term, tty).is_on();
        assert!(auto(None, xterm, true));
        assert!(auto(empty, None, true));
        assert!(!auto(set, xterm, true));
        assert!(!auto(None, dumb, true));
        assert!(!auto(None, xterm, false));
    }

    #[test]
    fn off_changes_nothing_and_on_ends_what_it_began() {
        assert_eq!(Colors::OFF.paint(Paint::Bad, "x"), "x");
        for paint in [Paint::Heading, Paint::Strong, Paint::Good, Paint::Warning, Paint::Bad, Paint::Faint] {
            let painted = Colors::ON.paint(paint, "x");
            assert!(painted.starts_with("\x1b[") && painted.ends_with("x\x1b[0m"), "{painted:?}");
        }
    }
}
