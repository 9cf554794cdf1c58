//! Tables of aligned columns and wrapped text, for a terminal of a given width.
//!
//! Widths are counted in characters without colors: right for all that these tools print but wide (CJK) text from
//! outside.

use super::color::{Colors, Paint};

/// How a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Figures.
    Right,
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    paint: Option<Paint>,
}

impl Cell {
    /// A cell in a color.
    pub(crate) fn painted(paint: Paint, text: impl Into<String>) -> Self {
        Self { text: text.into(), paint: Some(paint) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), paint: None }
    }
}

/// Rows of cells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    alignments: Vec<Align>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(alignments: impl Into<Vec<Align>>) -> Self {
        Self { alignments: alignments.into(), rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub(crate) fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) -> &mut Self {
        self.rows.push(cells.into_iter().map(Into::into).collect());
        self
    }

    /// The lines, two blanks before and two between the columns; none ends with a blank.
    pub(crate) fn render(&self, colors: Colors) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            // Blanks are written only once something follows them.
            let mut pending = 0;
            for (column, width) in widths.iter().enumerate() {
                let empty = Cell::default();
                let cell = row.get(column).unwrap_or(&empty);
                let room = width - length(&cell.text);
                let (before, after) = match self.alignments.get(column) {
                    Some(Align::Right) => (room, 0),
                    _ => (0, room),
                };
                pending += 2 + before;
                if !cell.text.is_empty() {
                    line.push_str(&" ".repeat(pending));
                    pending = 0;
                    match cell.paint {
                        Some(paint) => line.push_str(&colors.paint(paint, &cell.text)),
                        None => line.push_str(&cell.text),
                    }
                }
                pending += after;
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// The table without as many of the `expendable` columns, in their order, as must go for it to fit.
    pub(crate) fn fit(mut self, width: usize, expendable: &[usize]) -> Self {
        let mut gone: Vec<usize> = Vec::new();
        for &column in expendable {
            if self.width() <= width {
                break;
            }
            let place = column - gone.iter().filter(|other| **other < column).count();
            if place < self.alignments.len() {
                self.alignments.remove(place);
            }
            self.rows.iter_mut().filter(|row| place < row.len()).for_each(|row| drop(row.remove(place)));
            gone.push(column);
        }
        self
    }

    /// Width of the widest line.
    pub(crate) fn width(&self) -> usize {
        self.widths().iter().map(|width| width + 2).sum()
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widest = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| length(&cell.text)).max().unwrap_or_default()
        };
        (0..columns).map(widest).collect()
    }
}

/// Text in lines of at most `width` characters, broken at blanks, but not between a number and its unit; the first line
/// begins with `first`, the others with as many blanks. A word that is longer than a line is not cut.
pub(crate) fn wrapped(first: &str, text: &str, width: usize) -> String {
    let indent = length(first);
    let mut lines = String::from(first);
    let mut column = indent;
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let unit = words.next_if(|next| is_number_and_unit(word, next));
        let room = length(word) + unit.map_or(0, |unit| 1 + length(unit));
        if column > indent && column + 1 + room > width {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        if let Some(unit) = unit {
            lines.push(' ');
            lines.push_str(unit);
        }
        column += room;
    }
    lines.push('\n');
    lines
}

/// Whether two words are a number and its unit, as `1.93 ms` or `(0.01 %),`.
fn is_number_and_unit(word: &str, next: &str) -> bool {
    const UNITS: [&str; 12] = ["ns", "µs", "ms", "s", "min", "h", "%", "B", "kB", "MB", "GB", "TB"];
    let seen = |text: &str| seen(text).collect::<String>();
    let unit = seen(next);
    let unit = unit.trim_end_matches(|last: char| last.is_ascii_punctuation() && last != '%');
    let unit = unit.strip_suffix("/s").unwrap_or(unit);
    seen(word).ends_with(|last: char| last.is_ascii_digit()) && UNITS.contains(&unit)
}

/// Characters that are seen: our own colors (`ESC [ … m`) take no room.
pub(super) fn length(text: &str) -> usize {
    seen(text).count()
}

fn seen(text: &str) -> impl Iterator<Item = char> {
    let mut in_color = false;
    text.chars().filter(move |letter| match (in_color, *letter) {
        (false, '\x1b') => {
            in_color = true;
            false
        }
        (true, letter) => {
            in_color = letter != 'm';
            false
        }
        (false, _) => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_clean() {
        let mut table = Table::new([Align::Left, Align::Right, Align::Left]);
        table.row(["", "p50", ""]).row(["e2e", "412 µs", "from send"]).row(["ack", "–"]);
        assert_eq!(table.render(Colors::OFF), "          p50\n  e2e  412 µs  from send\n  ack       –\n");
        assert_eq!(table.width(), 24);
    }

    #[test]
    fn color_does_not_move_columns() {
        let mut table = Table::new([Align::Left, Align::Right]);
        table.row([Cell::painted(Paint::Bad, "x"), Cell::from("1")]).row(["long", "1000"]);
        let plain = table.render(Colors::ON).replace("\x1b[1;31m", "").replace("\x1b[0m", "");
        assert_eq!(plain, table.render(Colors::OFF));
    }

    #[test]
    fn a_narrow_page_has_fewer_columns() {
        let mut table = Table::new([Align::Left, Align::Right, Align::Left, Align::Right]);
        table.row(["", "p50", "p90", "max"]).row(["e2e", "412 µs", "500 µs", "9 s"]);
        let at = |width, expendable: &[usize]| table.clone().fit(width, expendable).render(Colors::OFF);
        assert_eq!(at(80, &[2, 1]), table.render(Colors::OFF));
        assert_eq!(at(20, &[2, 1]), "          p50  max\n  e2e  412 µs  9 s\n");
        assert_eq!(at(10, &[2, 1]), "       max\n  e2e  9 s\n");
        assert_eq!(at(10, &[1, 2]), at(10, &[2, 1]));
    }

    #[test]
    fn a_number_keeps_its_unit() {
        assert_eq!(wrapped("", "takes 1.93 ms, or 40 MB/s (0.01 %).", 10), "takes\n1.93 ms,\nor 40 MB/s\n(0.01 %).\n");
        assert_eq!(wrapped("", "lost 3 so far", 8), "lost 3\nso far\n");
        let painted = Colors::ON.paint(Paint::Bad, "%");
        assert_eq!(wrapped("", &format!("a 97 {painted} b"), 4), format!("a\n97 {painted}\nb\n"));
    }

    #[test]
    fn text_wraps_under_its_first_word() {
        assert_eq!(wrapped("Next: ", "lower the rate", 16), "Next: lower the\n      rate\n");
        assert_eq!(wrapped("", "unbreakable word", 4), "unbreakable\nword\n");
        assert_eq!(wrapped("x ", "", 80), "x \n");
        let painted = Colors::ON.paint(Paint::Good, "ok");
        assert_eq!(wrapped("", &format!("{painted} then"), 7), format!("{painted} then\n"), "color takes no room");
    }
}
