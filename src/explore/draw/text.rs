//! Putting text on the screen, and figures in few columns.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::explore::model::Micros;
use crate::terminal::number::{grouped, si};

const SECOND: Micros = 1_000_000;

/// A part of a line that is filled from the left.
pub(super) struct Pen<'a> {
    buffer: &'a mut Buffer,
    x: u16,
    y: u16,
    end: u16,
}

impl<'a> Pen<'a> {
    /// At the beginning of a line of an area; outside of it nothing is drawn.
    pub(super) fn new(buffer: &'a mut Buffer, area: Rect, line: u16) -> Self {
        let end = if line < area.height { area.right() } else { area.x };
        Self { buffer, x: area.x, y: area.y.saturating_add(line), end }
    }

    /// Columns that are left.
    pub(super) const fn left(&self) -> usize {
        self.end.saturating_sub(self.x) as usize
    }

    /// The column that follows.
    pub(super) const fn x(&self) -> u16 {
        self.x
    }

    /// Puts a text that was escaped; what does not fit is left out, with a mark.
    pub(super) fn put(&mut self, text: &str, style: Style) -> &mut Self {
        self.put_within(text, self.left(), style)
    }

    /// The same within `columns`.
    pub(super) fn put_within(&mut self, text: &str, columns: usize, style: Style) -> &mut Self {
        let columns = columns.min(self.left());
        if columns > 0 {
            let text = fitted(text, columns);
            self.x = self.buffer.set_stringn(self.x, self.y, text, columns, style).0;
        }
        self
    }

    /// Puts a text at the right end of `columns`.
    pub(super) fn put_right(&mut self, text: &str, columns: usize, style: Style) -> &mut Self {
        let blank = columns.saturating_sub(text.width());
        self.x = self.x.saturating_add(blank as u16).min(self.end);
        self.put_within(text, columns, style)
    }

    /// Goes to a column of the line.
    pub(super) fn to(&mut self, x: u16) -> &mut Self {
        self.x = x.min(self.end);
        self
    }
}

/// As much of a text as fits into this many columns, with a mark where something is left out.
pub(super) fn fitted(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let (mut fitted, mut used) = (String::new(), 0);
    for character in text.chars() {
        let width = character.width().unwrap_or(0);
        if used + width + 1 > columns {
            break;
        }
        used += width;
        fitted.push(character);
    }
    if columns > 0 {
        fitted.push('…');
    }
    fitted
}

/// A count in at most nine columns.
pub(super) fn count(count: u64) -> String {
    if count < 10_000_000 { grouped(count) } else { si(count as f64) }
}

/// A rate in at most seven columns; nothing for none.
pub(super) fn rate(per_second: f64) -> String {
    if per_second < 0.0005 {
        String::new()
    } else if per_second < 0.1 {
        format!("{per_second:.3}")
    } else if per_second < 9.95 {
        format!("{per_second:.1}")
    } else if per_second < 999_999.5 {
        grouped(per_second.round() as u64)
    } else {
        si(per_second)
    }
}

/// A time in at most four columns.
pub(super) fn age(age: Micros) -> String {
    let seconds = age / SECOND;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A size: exact below 1000.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 1000 { format!("{bytes} B") } else { crate::terminal::number::bytes(bytes as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stay_within_their_columns() {
        for number in [0, 9, 999, 1_234_567, 9_999_999, 10_000_000, 123_456_789_012, u64::MAX] {
            assert!(count(number).width() <= 9, "{}", count(number));
            assert!(rate(number as f64 / 3.0).width() <= 7, "{}", rate(number as f64 / 3.0));
            assert!(age((number / 100_000) as Micros).width() <= 5);
        }
        assert_eq!([0.0, 0.0167, 0.5, 12.3, 51_234.0].map(rate), ["", "0.017", "0.5", "12", "51,234"]);
        assert_eq!([0, 119, 120, 7_200, 200_000].map(|it| age(it * SECOND)), ["0s", "119s", "2m", "2h", "2d"]);
    }

    #[test]
    fn what_does_not_fit_has_a_mark() {
        assert_eq!([fitted("日本語", 6), fitted("日本語", 5), fitted("ab", 1)], ["日本語", "日本…", "…"]);
        assert_eq!(fitted("ab", 0), "");
    }
}
