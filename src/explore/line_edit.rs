//! A line of text that is typed.

use unicode_width::UnicodeWidthChar as _;

use super::keys::Key;
use crate::terminal::escape;

/// A line and the place of the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LineEdit {
    text: Vec<char>,
    cursor: usize,
}

impl LineEdit {
    /// A line with the cursor at its end.
    pub(super) fn new(text: &str) -> Self {
        let text: Vec<char> = text.chars().collect();
        Self { cursor: text.len(), text }
    }

    /// The text.
    pub(super) fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// Puts text at the cursor, with blanks for line ends.
    pub(super) fn insert(&mut self, text: &str) {
        for character in text.trim_end_matches(['\r', '\n']).chars() {
            let character = if matches!(character, '\r' | '\n') { ' ' } else { character };
            self.text.insert(self.cursor, character);
            self.cursor += 1;
        }
    }

    /// Takes a key; whether it is one of a line.
    pub(super) fn take(&mut self, key: Key) -> bool {
        match key {
            Key::Char(character) => {
                self.text.insert(self.cursor, character);
                self.cursor += 1;
            }
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(self.text.len()),
            Key::Home | Key::Control('a') => self.cursor = 0,
            Key::End | Key::Control('e') => self.cursor = self.text.len(),
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.cursor);
            }
            Key::Delete if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            Key::Backspace | Key::Delete => {}
            Key::Control('u') => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            Key::Control('w') => {
                let before = &self.text[..self.cursor];
                let blanks = before.iter().rev().take_while(|it| it.is_whitespace()).count();
                let word = before[..self.cursor - blanks].iter().rev().take_while(|it| !it.is_whitespace()).count();
                let start = self.cursor - blanks - word;
                self.text.drain(start..self.cursor);
                self.cursor = start;
            }
            _ => return false,
        }
        true
    }

    /// What is shown in `columns`, and the column of the cursor.
    pub(super) fn view(&self, columns: usize) -> (String, usize) {
        let shown = |character: &char| escape(character.encode_utf8(&mut [0; 4])).into_owned();
        let pieces: Vec<String> = self.text.iter().map(shown).collect();
        let width = |text: &str| text.chars().map(|it| it.width().unwrap_or(0)).sum::<usize>();
        // The cursor needs a column behind the text.
        let mut start = self.cursor;
        let mut before = 0;
        while start > 0 && before + width(&pieces[start - 1]) < columns {
            start -= 1;
            before += width(&pieces[start]);
        }
        (pieces[start..].concat(), before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited() {
        let mut line = LineEdit::new("ab");
        for key in [Key::Left, Key::Char('x'), Key::Home, Key::Delete, Key::End, Key::Char('ü'), Key::Left] {
            assert!(line.take(key));
        }
        assert_eq!(line.text(), "xbü");
        assert!(line.take(Key::Backspace) && line.take(Key::Backspace) && line.take(Key::Backspace));
        assert_eq!((line.text().as_str(), line.take(Key::Enter)), ("ü", false));
        line.insert("one two\nthree\r\n");
        assert_eq!(line.text(), "one two threeü");
        assert!(line.take(Key::Control('w')));
        assert_eq!(line.text(), "one two ü");
        assert!(line.take(Key::Control('u')));
        assert_eq!(line.text(), "ü");
    }

    #[test]
    fn the_cursor_stays_in_sight_and_nothing_acts() {
        let line = LineEdit::new(&"x".repeat(100));
        assert_eq!(line.view(10), ("x".repeat(9), 9));
        assert_eq!(LineEdit::new("a\x1b").view(20), ("a\\u{1b}".into(), 7));
        assert_eq!(LineEdit::new("日本").view(4), ("本".into(), 2));
        assert_eq!(LineEdit::new("").view(0), (String::new(), 0));
    }
}
