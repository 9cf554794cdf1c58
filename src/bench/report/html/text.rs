//! Text and figures of a document as the page shows them: whatever a broker or a user wrote stays text, and is bounded.

use crate::bench::report::gate::{percent_change, signed_percent};
use crate::terminal::number::{UNKNOWN, grouped};
use crate::terminal::{escape, excerpt};

/// Characters of a name or a value that are shown.
const LONGEST_NAME: usize = 240;
/// Characters of a sentence that are shown.
const LONGEST_SENTENCE: usize = 1_500;

/// A name or a value: what turns the direction of reading or cannot be seen is a visible escape.
pub(super) fn name(text: &str) -> String {
    excerpt(&escape(text), LONGEST_NAME).into_owned()
}

/// A sentence of a result, such as a warning.
pub(super) fn sentence(text: &str) -> String {
    excerpt(&escape(text), LONGEST_SENTENCE).into_owned()
}

/// A figure in its form, or a dash where it was not measured or has too few samples.
pub(super) fn known<T>(value: Option<T>, form: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), form)
}

/// A count, or a dash.
pub(super) fn count(value: Option<u64>) -> String {
    known(value, grouped)
}

/// The difference to a figure of the baseline: `+3.2 %`.
pub(super) fn difference(value: Option<f64>, base: Option<f64>) -> Option<String> {
    let (value, base) = value.zip(base)?;
    if value == base {
        return Some("same".to_owned());
    }
    percent_change(base, value).map(signed_percent)
}

/// Seconds since the start of the run, as the time axis names them.
pub(super) fn instant(seconds: f64) -> String {
    let seconds = if seconds.is_finite() { seconds.max(0.0) } else { 0.0 };
    if seconds < 120.0 {
        let text = format!("{seconds:.2}");
        return format!("{} s", text.trim_end_matches('0').trim_end_matches('.'));
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{rest:02}") } else { format!("{minutes}:{rest:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_visible_and_bounded() {
        assert_eq!(name("a\u{202e}b\u{1b}[2J\n"), "a\\u{202e}b\\u{1b}[2J\\n");
        assert!(name(&"x".repeat(1_000_000)).chars().count() < 400);
        assert!(sentence(&"\u{1b}".repeat(1_000_000)).chars().count() < 2_000);
    }

    #[test]
    fn a_difference_has_a_sign_and_needs_a_base() {
        for (value, base, text) in [
            (Some(110.0), Some(100.0), Some("+10 %")),
            (Some(99.5), Some(100.0), Some("-0.5 %")),
            (Some(100.0), Some(100.0), Some("same")),
            (Some(0.0), Some(0.0), Some("same")),
            (Some(1.0), Some(0.0), None),
            (None, Some(1.0), None),
        ] {
            assert_eq!(difference(value, base).as_deref(), text, "{value:?} {base:?}");
        }
    }

    #[test]
    fn instants_are_read_at_a_glance() {
        let texts = [0.0, 2.5, 90.0, 125.0, 3_725.0, f64::NAN].map(instant);
        assert_eq!(texts, ["0 s", "2.5 s", "90 s", "2:05", "1:02:05", "0 s"]);
    }
}
