//! The two displays that are not a stream of messages: `--watch`, a screen with a fixed line a topic, and
//! `--message-rate`, a line a second.

use std::collections::HashMap;
use std::io::Write as _;

/// Line 1 names the broker.
const FIRST_TOPIC_LINE: u32 = 2;
/// Topics beyond this many share the last line, so that memory stays bounded; no screen is that high.
const MAX_TOPICS: usize = 10_000;

/// `--watch`: moves the cursor to the line of a topic before its message is printed, and below all of them after it.
/// Lines are given in the order in which topics come up.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    lines: HashMap<Box<str>, u32>,
    erase: bool,
}

impl Watch {
    /// A screen. mosquitto leaves the rest of an older, longer line standing; `erase` clears the line first.
    pub fn new(erase: bool) -> Self {
        Self { lines: HashMap::new(), erase }
    }

    /// Appends what clears the screen and names the broker.
    pub fn begin(&self, broker: &str, out: &mut Vec<u8>) {
        let _ = writeln!(out, "\x1b[2J\x1b[1;1HBroker: {broker}");
    }

    /// Appends what goes before a message of this topic.
    pub fn before(&mut self, topic: &str, out: &mut Vec<u8>) {
        let line = match self.lines.get(topic) {
            Some(line) => *line,
            None => self.add(topic),
        };
        let _ = write!(out, "\x1b[{line};1H");
        if self.erase {
            out.extend_from_slice(b"\x1b[2K");
        }
    }

    /// Appends what goes after a message.
    pub fn after(&self, out: &mut Vec<u8>) {
        let _ = writeln!(out, "\x1b[{};1H", self.last_line());
    }

    fn add(&mut self, topic: &str) -> u32 {
        if self.lines.len() < MAX_TOPICS {
            let line = self.last_line() + 1;
            self.lines.insert(topic.into(), line);
        }
        self.last_line()
    }

    /// The line of the topic that came up last.
    fn last_line(&self) -> u32 {
        FIRST_TOPIC_LINE - 1 + self.lines.len() as u32 // at most MAX_TOPICS
    }
}

/// `--message-rate`: counts messages, and says how many came since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageRate {
    count: u64,
}

impl MessageRate {
    /// Counts a message.
    pub fn count(&mut self) {
        self.count += 1;
    }

    /// Appends the line of the second that has passed, and begins the next.
    pub fn line(&mut self, out: &mut Vec<u8>) {
        let _ = writeln!(out, "{} msgs/s", std::mem::take(&mut self.count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_keeps_its_line() {
        let mut watch = Watch::new(false);
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
        let mut watch = Watch::new(true);
        for number in 0..MAX_TOPICS + 5 {
            watch.before(&number.to_string(), &mut Vec::new());
        }
        let mut out = Vec::new();
        watch.before("one more", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "\x1b[10001;1H\x1b[2K");
        assert_eq!(watch.lines.len(), MAX_TOPICS);
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
