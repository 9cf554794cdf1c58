//! The displays that are not a stream of messages: `--watch`, a screen with a line for each topic, ours and
//! mosquitto's, and `--message-rate`, one line per second.

use std::collections::HashMap;
use std::io::Write as _;

use unicode_width::UnicodeWidthChar as _;

use crate::terminal::{Size, escape, quoted};

/// Line 1 names the broker.
const FIRST_TOPIC_LINE: u32 = 2;
/// Topics beyond this many are counted together, so that memory stays bounded; no screen is that high.
const MAX_TOPICS: usize = 10_000;
/// Bytes kept of a topic's line; no screen is that wide.
const MAX_LINE: usize = 4_096;

/// `--watch` on a terminal: a line for each topic, in the order in which topics come up, and never more than the screen
/// has. What does not fit is counted on the last line.
#[derive(Debug)]
pub(crate) struct TopicScreen {
    broker: String,
    size: Size,
    topics: HashMap<Box<str>, usize>,
    /// The last message of each topic, printed.
    lines: Vec<Vec<u8>>,
    /// A topic beyond the limit was received, and is not stored.
    overflowed: bool,
}

impl TopicScreen {
    /// A screen of this size.
    pub(crate) fn new(broker: &str, size: Size) -> Self {
        let broker = quoted(broker);
        Self { broker, size, topics: HashMap::new(), lines: Vec::new(), overflowed: false }
    }

    /// Appends everything anew.
    pub(crate) fn draw(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\x1b[2J\x1b[1;1H");
        self.put_line(format!("Broker: {}", self.broker).as_bytes(), out);
        for (number, line) in self.lines.iter().enumerate().take(self.shown()) {
            self.draw_line(number, line, out);
        }
        self.end(out);
    }

    /// Takes the size that the screen has now; where it is another one, appends everything anew.
    pub(crate) fn resize(&mut self, size: Size, out: &mut Vec<u8>) {
        if size != self.size {
            self.size = size;
            self.draw(out);
        }
    }

    /// Takes a message of a topic, printed on one line or on several, and appends what shows it.
    pub(crate) fn update(&mut self, topic: &str, printed: &[u8], out: &mut Vec<u8>) {
        let printed = &printed[..printed.len().min(MAX_LINE)];
        if let Some(&number) = self.topics.get(topic) {
            self.lines[number] = printed.to_vec();
            if number < self.shown() {
                self.draw_line(number, printed, out);
                self.end(out);
            }
            return;
        }
        if self.topics.len() == MAX_TOPICS {
            if !std::mem::replace(&mut self.overflowed, true) {
                self.end(out);
            }
            return;
        }
        let shown = self.shown();
        self.topics.insert(topic.into(), self.lines.len());
        self.lines.push(printed.to_vec());
        let number = self.lines.len() - 1;
        if number < self.shown() {
            self.draw_line(number, printed, out);
        } else if self.shown() < shown {
            // The last line is for the count from now on.
            self.clear_line(shown, out);
        }
        self.end(out);
    }

    /// Topics that have a line: behind the broker's, and before the one where the cursor rests. From the first one that
    /// does not fit on, the last but one counts them.
    fn shown(&self) -> usize {
        let room = self.size.lines.saturating_sub(2);
        if self.lines.len() <= room { self.lines.len() } else { room.saturating_sub(1) }
    }

    fn draw_line(&self, number: usize, line: &[u8], out: &mut Vec<u8>) {
        self.clear_line(number, out);
        self.put_line(line, out);
    }

    fn clear_line(&self, number: usize, out: &mut Vec<u8>) {
        let _ = write!(out, "\x1b[{};1H\x1b[2K", number + FIRST_TOPIC_LINE as usize);
    }

    /// Appends the count of what does not fit, and takes the cursor below everything, where the shell continues.
    fn end(&self, out: &mut Vec<u8>) {
        let hidden = self.lines.len() - self.shown();
        if hidden > 0 {
            self.clear_line(self.shown(), out);
            let least = if self.overflowed { "at least " } else { "" };
            self.put_line(format!("... {least}{hidden} more topics do not fit on the screen").as_bytes(), out);
        }
        let below = self.shown() + usize::from(hidden > 0);
        let _ = write!(out, "\x1b[{};1H", (below + FIRST_TOPIC_LINE as usize).min(self.size.lines.max(1)));
    }

    /// Appends as much of a text as a line takes. Colors of `-F` go through and end with the line.
    fn put_line(&self, text: &[u8], out: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(text);
        let mut rest = text.trim_end_matches('\n');
        let (mut columns, mut colored) = (0, false);
        while let Some(character) = rest.chars().next() {
            if let Some(length) = color_length(rest) {
                out.extend_from_slice(&rest.as_bytes()[..length]);
                rest = &rest[length..];
                colored = true;
                continue;
            }
            // Line ends of --pretty and of -F; all others were escaped.
            let shown = if character.is_whitespace() { " ".into() } else { escape(&rest[..character.len_utf8()]) };
            columns += shown.chars().map(|character| character.width().unwrap_or(0)).sum::<usize>();
            if columns > self.size.columns {
                break;
            }
            out.extend_from_slice(shown.as_bytes());
            rest = &rest[character.len_utf8()..];
        }
        if colored {
            out.extend_from_slice(b"\x1b[0m");
        }
    }
}

/// The length of the color sequence (SGR) at the beginning, which has no width.
fn color_length(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|character: char| !matches!(character, '0'..='9' | ';' | ':'))?;
    parameters[end..].starts_with('m').then_some(2 + end + 1)
}

/// `--watch` as mosquitto_sub prints it, wherever stdout goes: moves the cursor to the line of a topic before its
/// message is printed, and below all of them after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct MosquittoWatch {
    lines: HashMap<Box<str>, u32>,
}

impl MosquittoWatch {
    /// Appends what clears the screen and names the broker.
    pub(crate) fn begin(&self, broker: &str, out: &mut Vec<u8>) {
        let _ = writeln!(out, "\x1b[2J\x1b[1;1HBroker: {broker}");
    }

    /// Appends what goes before a message of this topic.
    pub(crate) fn before(&mut self, topic: &str, out: &mut Vec<u8>) {
        let line = match self.lines.get(topic) {
            Some(line) => *line,
            None => self.add(topic),
        };
        let _ = write!(out, "\x1b[{line};1H");
    }

    /// Appends what goes after a message.
    pub(crate) fn after(&self, out: &mut Vec<u8>) {
        let _ = writeln!(out, "\x1b[{};1H", self.last_line());
    }

    fn add(&mut self, topic: &str) -> u32 {
        if self.lines.len() < MAX_TOPICS {
            let line = self.last_line() + 1;
            self.lines.insert(topic.into(), line);
        }
        self.last_line()
    }

    /// The line of the last updated topic.
    fn last_line(&self) -> u32 {
        FIRST_TOPIC_LINE - 1 + self.lines.len() as u32 // at most MAX_TOPICS
    }
}

/// `--message-rate`: counts messages, and prints how many came since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MessageRate {
    count: u64,
}

impl MessageRate {
    /// Counts a message.
    pub(crate) fn count(&mut self) {
        self.count += 1;
    }

    /// Appends the line of the second that has passed, and begins the next.
    pub(crate) fn line(&mut self, out: &mut Vec<u8>) {
        let _ = writeln!(out, "{} msgs/s", std::mem::take(&mut self.count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mosquittos_screen() {
        let mut watch = MosquittoWatch::default();
        let mut out = Vec::new();
        watch.begin("localhost", &mut out);
        for (topic, text) in [("b", "b 1\n"), ("a", "a 1\n"), ("b", "b 2\n")] {
            watch.before(topic, &mut out);
            out.extend_from_slice(text.as_bytes());
            watch.after(&mut out);
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\x1b[2J\x1b[1;1HBroker: localhost\n\x1b[2;1Hb 1\n\x1b[2;1H\n\x1b[3;1Ha 1\n\x1b[3;1H\n\x1b[2;1Hb 2\n\x1b[3;1H\n"
        );
    }

    #[test]
    fn topics_without_end_share_the_last_line() {
        let mut watch = MosquittoWatch::default();
        for number in 0..MAX_TOPICS + 5 {
            watch.before(&number.to_string(), &mut Vec::new());
        }
        let mut out = Vec::new();
        watch.before("one more", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "\x1b[10001;1H");
        assert_eq!(watch.lines.len(), MAX_TOPICS);
    }

    const SIZE: Size = Size { lines: 6, columns: 10 };

    /// What a terminal shows after these bytes; none where it would have scrolled or wrapped.
    fn screen(size: Size, bytes: &[u8]) -> Option<Vec<String>> {
        let mut cells = vec![Vec::new(); size.lines];
        let (mut line, mut column) = (0usize, 0usize);
        let text = std::str::from_utf8(bytes).unwrap();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            if let Some(sequence) = rest.strip_prefix("\x1b[") {
                let end = sequence.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                match (&sequence[end..=end], &sequence[..end]) {
                    ("J", "2") => cells.iter_mut().for_each(Vec::clear),
                    ("K", "2") => cells[line].clear(),
                    ("H", place) => {
                        let (row, one) = place.split_once(';').unwrap();
                        (line, column) = (row.parse::<usize>().unwrap() - 1, one.parse::<usize>().unwrap() - 1);
                        assert!(line < size.lines, "{line}");
                    }
                    ("m", _) => {}
                    other => panic!("{other:?}"),
                }
                rest = &sequence[end + 1..];
                continue;
            }
            assert!(!character.is_control(), "{text:?}");
            column += character.width().unwrap_or(0);
            if column > size.columns {
                return None;
            }
            cells[line].push(character);
            rest = &rest[character.len_utf8()..];
        }
        Some(cells.into_iter().map(String::from_iter).collect())
    }

    #[test]
    fn topics_beyond_the_screen_are_counted() {
        let wide = Size { lines: 6, columns: 60 };
        let mut topics = TopicScreen::new("h", wide);
        let mut out = Vec::new();
        topics.draw(&mut out);
        for number in 0..4 {
            topics.update(&format!("t{number}"), format!("t{number} 1\n").as_bytes(), &mut out);
        }
        assert_eq!(screen(wide, &out).unwrap(), ["Broker: h", "t0 1", "t1 1", "t2 1", "t3 1", ""]);
        for number in 0..60 {
            topics.update(&format!("t{number}"), format!("t{number} 2\n").as_bytes(), &mut out);
        }
        let more = "... 57 more topics do not fit on the screen";
        assert_eq!(screen(wide, &out).unwrap(), ["Broker: h", "t0 2", "t1 2", "t2 2", more, ""]);
        // A larger window has room for more of them.
        let high = Size { lines: 62, columns: 60 };
        topics.resize(high, &mut out);
        let shown = screen(high, &out).unwrap();
        assert_eq!((shown[60].as_str(), shown[61].as_str()), ("t59 2", ""));
        let before = out.len();
        topics.resize(high, &mut out);
        assert_eq!(out.len(), before);
    }

    #[test]
    fn topics_beyond_the_limit_are_counted_as_more() {
        let mut topics = TopicScreen::new("h", Size { lines: 4, columns: 70 });
        (0..MAX_TOPICS).for_each(|number| topics.update(&number.to_string(), b"x", &mut Vec::new()));
        let mut out = Vec::new();
        topics.update("one more", b"x", &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("... at least 9999 more topics do not fit on the screen"), "{out:?}");
    }

    #[test]
    fn a_line_is_as_wide_as_the_screen_and_no_wider() {
        let shown = |printed: &str| {
            let mut out = Vec::new();
            TopicScreen::new("h", SIZE).update("t", printed.as_bytes(), &mut out);
            (screen(SIZE, &out).unwrap()[1].clone(), out)
        };
        assert_eq!(shown("abcdefghijklm\n").0, "abcdefghij");
        assert_eq!(shown("日本日本日本日本\n").0, "日本日本日");
        assert_eq!(shown("a日本日本日本").0, "a日本日本");
        assert_eq!(shown("{\n\t\"a\": 1\n}\n").0, "{  \"a\": 1 ");
        let (text, out) = shown("\x1b[1;31mred and more\x1b[0m\n");
        assert_eq!(text, "red and mo");
        assert!(String::from_utf8(out).unwrap().contains("\x1b[1;31mred and mo\x1b[0m"));
        assert_eq!(shown("\x1b]0;t\x07").0, "\\u{1b}]0;t");
    }

    #[test]
    fn a_screen_without_room_stays_as_it_is() {
        for lines in 0..4 {
            let size = Size { lines, columns: 3 };
            let mut topics = TopicScreen::new("broker", size);
            let mut out = Vec::new();
            topics.draw(&mut out);
            (0..9).for_each(|number| topics.update(&number.to_string(), b"xyzzy", &mut out));
            if lines > 1 {
                assert_eq!(screen(size, &out).unwrap()[0], "Bro");
            }
        }
    }

    #[test]
    fn a_second_is_a_line() {
        let mut rate = MessageRate::default();
        let mut out = Vec::new();
        rate.count();
        rate.count();
        rate.line(&mut out);
        rate.line(&mut out);
        assert_eq!(out, b"2 msgs/s\n0 msgs/s\n");
    }
}
