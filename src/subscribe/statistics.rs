//! `--stats`: count, rate, bytes and last value of each topic, every second: a table on a terminal, one JSON object per
//! topic elsewhere.

use std::io::Write as _;
use std::time::{Duration, Instant};

use chrono::{DateTime, FixedOffset};
use unicode_width::UnicodeWidthChar as _;

use super::topic_numbers::TopicNumbers;
use crate::message_json::{JsonLayout, JsonWriter, put_rfc3339};
use crate::mqtt::wire::Publish;
use crate::terminal::number::{bytes, counted, grouped, rate};
use crate::terminal::{Size, escape, escape_bytes};

/// Bytes kept of a topic's last payload.
const MAX_VALUE: usize = 256;

/// Messages and the bytes of their payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    messages: u64,
    bytes: u64,
}

impl Amount {
    fn add(&mut self, payload: usize) {
        self.messages += 1;
        self.bytes += payload as u64;
    }

    const fn since(self, before: Self) -> Self {
        Self { messages: self.messages - before.messages, bytes: self.bytes - before.bytes }
    }
}

/// One topic.
#[derive(Debug, Default)]
struct Line {
    total: Amount,
    /// The total at the end of the last interval.
    before: Amount,
    /// The last payload, or its beginning.
    value: Vec<u8>,
    value_size: usize,
}

/// The figures of a run.
#[derive(Debug)]
pub(super) struct Statistics {
    interval: Duration,
    /// Where a table is drawn; without it there are JSON lines.
    size: Option<Size>,
    broker: String,
    begin: Instant,
    /// End of the last interval.
    last: Instant,
    topics: TopicNumbers,
    lines: Vec<Line>,
    total: Amount,
    /// Of topics that have no line, since there are too many.
    rest: Amount,
}

impl Statistics {
    /// Figures from now on.
    pub(super) fn new(interval: Duration, broker: &str, size: Option<Size>, now: Instant) -> Self {
        Self {
            interval,
            size,
            broker: broker.to_owned(),
            begin: now,
            last: now,
            topics: TopicNumbers::default(),
            lines: Vec::new(),
            total: Amount::default(),
            rest: Amount::default(),
        }
    }

    pub(super) const fn interval(&self) -> Duration {
        self.interval
    }

    /// Takes a message.
    pub(super) fn add(&mut self, publish: &Publish<'_>) {
        let size = publish.payload.len();
        self.total.add(size);
        let Some(number) = self.topics.number(publish.topic) else {
            self.rest.add(size);
            return;
        };
        if number == self.lines.len() {
            self.lines.push(Line::default());
        }
        let line = &mut self.lines[number];
        line.total.add(size);
        line.value.clear();
        line.value.extend_from_slice(&publish.payload[..size.min(MAX_VALUE)]);
        line.value_size = size;
    }

    /// Ends an interval: appends what is to be shown of it.
    pub(super) fn tick(&mut self, now: Instant, time: DateTime<FixedOffset>, size: Option<Size>, out: &mut Vec<u8>) {
        match &mut self.size {
            Some(own) => {
                *own = size.unwrap_or(*own);
                self.draw(now, self.last, out);
            }
            None => self.write_lines(now, time, out),
        }
        self.lines.iter_mut().for_each(|line| line.before = line.total);
        self.last = now;
    }

    /// Ends the run: the table once more, with the rates of the whole run, or the rest and an object with the totals.
    pub(super) fn finish(&mut self, now: Instant, time: DateTime<FixedOffset>, out: &mut Vec<u8>) {
        if self.size.is_some() {
            self.lines.iter_mut().for_each(|line| line.before = Amount::default());
            return self.draw(now, self.begin, out);
        }
        self.write_lines(now, time, out);
        let seconds = seconds(now, self.begin);
        let mut writer = begin_object(time, out);
        writer.key("totals");
        writer.verbatim(b"true");
        writer.key("seconds");
        let _ = write!(writer.verbatim_out(), "{seconds:.3}");
        writer.key("topics");
        writer.number(self.topics.len() as u64);
        put_amount(self.total, seconds, &mut writer);
        if self.topics.has_overflowed() {
            writer.key("messages_of_further_topics");
            writer.number(self.rest.messages);
        }
        writer.close_object();
        out.push(b'\n');
    }

    /// One object for each topic that had a message in the interval.
    fn write_lines(&self, now: Instant, time: DateTime<FixedOffset>, out: &mut Vec<u8>) {
        let seconds = seconds(now, self.last);
        for (number, line) in self.lines.iter().enumerate().filter(|(_, line)| line.total != line.before) {
            let mut writer = begin_object(time, out);
            writer.key("topic");
            writer.string(self.topics.name(number));
            put_amount(line.total.since(line.before), seconds, &mut writer);
            writer.key("total_messages");
            writer.number(line.total.messages);
            writer.key("total_bytes");
            writer.number(line.total.bytes);
            put_value(line, &mut writer);
            writer.close_object();
            out.push(b'\n');
        }
    }

    fn draw(&self, now: Instant, since: Instant, out: &mut Vec<u8>) {
        let Some(size) = self.size else { return };
        let elapsed = seconds(now, since);
        let run = seconds(now, self.begin);
        out.extend_from_slice(b"\x1b[H");
        let Amount { messages, bytes: total } = self.total;
        let head = format!(
            "{}  {run:.0} s  {}{}  {}  {}/s  {}",
            self.broker,
            if self.topics.has_overflowed() { "more than " } else { "" },
            counted(self.topics.len() as u64, "topic", "topics"),
            counted(messages, "message", "messages"),
            rate(messages as f64 / run),
            size_of(total),
        );
        put_row(&head, size, out);
        put_row(&row("Messages", "Rate/s", "Bytes", "Topic", "Last value", topic_width(size)), size, out);
        // Below the two lines of the heading, and above the one where the cursor rests.
        let room = size.lines.saturating_sub(3);
        let mut order: Vec<usize> = (0..self.lines.len()).collect();
        order.sort_unstable_by(|one, other| {
            let key = |number: usize| (std::cmp::Reverse(self.lines[number].total.messages), self.topics.name(number));
            key(*one).cmp(&key(*other))
        });
        let shown = if order.len() <= room { order.len() } else { room.saturating_sub(1) };
        for number in &order[..shown] {
            let line = &self.lines[*number];
            let now = line.total.since(line.before);
            let text = row(
                &grouped(line.total.messages),
                &rate(now.messages as f64 / elapsed),
                &size_of(line.total.bytes),
                &escape(self.topics.name(*number)),
                &escape_bytes(&line.value),
                topic_width(size),
            );
            put_row(&text, size, out);
        }
        if shown < order.len() {
            put_row(&format!("... and {} more topics", grouped((order.len() - shown) as u64)), size, out);
        }
        out.extend_from_slice(b"\x1b[J");
    }
}

/// Bytes are whole.
fn size_of(count: u64) -> String {
    if count < 1000 { format!("{count} B") } else { bytes(count as f64) }
}

fn seconds(now: Instant, since: Instant) -> f64 {
    // An interval is never so short; a run that ends at once may be.
    now.saturating_duration_since(since).as_secs_f64().max(0.001)
}

fn begin_object(time: DateTime<FixedOffset>, out: &mut Vec<u8>) -> JsonWriter<'_> {
    let mut writer = JsonWriter::new(out, JsonLayout::Line).escaping();
    writer.open_object();
    writer.key("time");
    writer.verbatim(b"\"");
    put_rfc3339(time, writer.verbatim_out());
    writer.verbatim(b"\"");
    writer
}

fn put_amount(amount: Amount, seconds: f64, writer: &mut JsonWriter<'_>) {
    writer.key("messages");
    writer.number(amount.messages);
    writer.key("rate");
    let _ = write!(writer.verbatim_out(), "{:.3}", amount.messages as f64 / seconds);
    writer.key("bytes");
    writer.number(amount.bytes);
}

/// The last payload as in the object of a message. Of a long one only the beginning was kept, and its size follows.
fn put_value(line: &Line, writer: &mut JsonWriter<'_>) {
    let is_cut = line.value_size > line.value.len();
    let text = match std::str::from_utf8(&line.value) {
        // The end of the kept part may be inside a character.
        Err(error) if is_cut && error.error_len().is_none() => std::str::from_utf8(&line.value[..error.valid_up_to()]),
        text => text,
    };
    match text {
        Ok(text) => {
            writer.key("payload");
            writer.string(text);
        }
        Err(_) => {
            writer.key("payload_b64");
            writer.base64(&line.value);
        }
    }
    if is_cut {
        writer.key("payload_size");
        writer.number(line.value_size as u64);
    }
}

/// Columns of a topic: half of what the figures leave.
fn topic_width(size: Size) -> usize {
    size.columns.saturating_sub(33) / 2
}

fn row(messages: &str, rate: &str, bytes: &str, topic: &str, value: &str, width: usize) -> String {
    let (topic, used) = fitted(topic, width);
    format!("{messages:>10} {rate:>9} {bytes:>9}  {topic}{:1$}  {value}", "", width - used)
}

/// As much of a text as fits into this many columns, with a mark where something is left out, and its columns.
fn fitted(text: &str, width: usize) -> (String, usize) {
    let columns = |character: char| character.width().unwrap_or(0);
    if text.chars().map(columns).sum::<usize>() <= width {
        return (text.to_owned(), text.chars().map(columns).sum());
    }
    let (mut fitted, mut used) = (String::new(), 0);
    for character in text.chars() {
        if used + columns(character) + 1 > width {
            break;
        }
        used += columns(character);
        fitted.push(character);
    }
    if width > 0 {
        fitted.push('…');
        used += 1;
    }
    (fitted, used)
}

/// Appends a line of the screen.
fn put_row(text: &str, size: Size, out: &mut Vec<u8>) {
    out.extend_from_slice(fitted(text, size.columns).0.as_bytes());
    out.extend_from_slice(b"\x1b[K\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::Message;

    const SECOND: Duration = Duration::from_secs(1);

    fn time() -> DateTime<FixedOffset> {
        DateTime::parse_from_rfc3339("2026-11-21T04:00:42+00:00").unwrap()
    }

    fn add(statistics: &mut Statistics, topic: &str, payload: &[u8]) {
        let message = Message { topic: topic.into(), payload: payload.to_vec().into(), ..Message::default() };
        statistics.add(&Publish::of(&message, 0, false));
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_pipe_gets_an_object_per_topic_and_interval_and_the_totals() {
        let start = Instant::now();
        let mut statistics = Statistics::new(SECOND, "h", None, start);
        for payload in ["1", "22", "\u{9b}"] {
            add(&mut statistics, "a", payload.as_bytes());
        }
        add(&mut statistics, "b", b"\xff");
        let mut out = Vec::new();
        statistics.tick(start + SECOND * 2, time(), None, &mut out);
        let time_text = "2026-11-21T04:00:42.000000+00:00";
        assert_eq!(
            text(out),
            format!(
                "{{\"time\":\"{time_text}\",\"topic\":\"a\",\"messages\":3,\"rate\":1.500,\"bytes\":5,\"total_messages\":3,\
                 \"total_bytes\":5,\"payload\":\"\\u009b\"}}\n{{\"time\":\"{time_text}\",\"topic\":\"b\",\"messages\":1,\
                 \"rate\":0.500,\"bytes\":1,\"total_messages\":1,\"total_bytes\":1,\"payload_b64\":\"/w==\"}}\n"
            )
        );
        add(&mut statistics, "b", "é".repeat(200).as_bytes());
        let mut out = Vec::new();
        statistics.finish(start + SECOND * 3, time(), &mut out);
        let out = text(out);
        let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{out}");
        assert_eq!((&lines[0]["topic"], &lines[0]["messages"]), (&"b".into(), &1.into()));
        assert_eq!((&lines[0]["payload"], &lines[0]["payload_size"]), (&"é".repeat(128).into(), &400.into()));
        assert_eq!(
            lines[1],
            serde_json::json!({"time": time_text, "totals": true, "seconds": 3.0, "topics": 2, "messages": 5,
                               "rate": 1.667, "bytes": 406})
        );
    }

    #[test]
    fn a_terminal_gets_a_table_that_fits() {
        let start = Instant::now();
        let size = Size { lines: 6, columns: 60 };
        let mut statistics = Statistics::new(SECOND, "h", Some(size), start);
        for number in 0..9 {
            (0..=number).for_each(|_| add(&mut statistics, &format!("t{number}/日本日本日本日本"), b"\x1b[31mred"));
        }
        let mut out = Vec::new();
        statistics.tick(start + SECOND, time(), None, &mut out);
        assert_eq!(
            text(out).replace("\x1b[K", ""),
            "\x1b[Hh  1 s  9 topics  45 messages  45.0/s  360 B\n\
             \x20 Messages    Rate/s     Bytes  Topic          Last value\n\
             \x20        9      9.00      72 B  t8/日本日本…   \\u{1b}[31mred\n\
             \x20        8      8.00      64 B  t7/日本日本…   \\u{1b}[31mred\n\
             ... and 7 more topics\n\x1b[J"
        );
        // The end shows the rates of the whole run.
        let mut out = Vec::new();
        statistics.finish(start + SECOND * 10, time(), &mut out);
        assert!(text(out).contains("    0.900      72 B  t8"));
        for size in [Size { lines: 0, columns: 0 }, Size { lines: 3, columns: 1 }, Size { lines: 4, columns: 40 }] {
            let mut out = Vec::new();
            statistics.tick(start + SECOND * 11, time(), Some(size), &mut out);
            let out = text(out);
            let widths =
                out.split('\n').map(|line| line.replace("\x1b[K", "").replace("\x1b[H", "").replace("\x1b[J", ""));
            assert!(widths.into_iter().all(|line| fitted(&line, 999).1 <= size.columns), "{size:?}: {out:?}");
        }
    }

    #[test]
    fn topics_without_end_are_counted_together() {
        let start = Instant::now();
        let mut statistics = Statistics::new(SECOND, "h", None, start);
        for number in 0..super::super::topic_numbers::MAX_TOPICS + 5 {
            add(&mut statistics, &number.to_string(), b"x");
        }
        let mut out = Vec::new();
        statistics.finish(start + SECOND, time(), &mut out);
        let out = text(out);
        let last: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
        assert_eq!((&last["topics"], &last["messages"]), (&100_000.into(), &100_005.into()));
        assert_eq!(last["messages_of_further_topics"], 5);
    }
}
