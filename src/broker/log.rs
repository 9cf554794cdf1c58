//! The lines of mqbroker: a thread writes them, the broker never waits for it. When the terminal is slower than the
//! clients, lines are left out and their number is said.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::io::{BufWriter, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{BrokerError, BrokerEvent, ConnectDetails, EventSink};
use crate::mqtt::ProtocolVersion;

/// Most lines that wait to be written.
const MAX_WAITING: usize = 10_000;
/// Most bytes of text among them: topics are up to 64 KiB, and they are the network's.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;

/// Where lines go in.
#[derive(Clone)]
pub(super) struct EventLog {
    queue: Arc<Queue>,
}

/// The thread that writes them.
pub(super) struct LogWriter {
    queue: Arc<Queue>,
    done: mpsc::Receiver<()>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    entries: VecDeque<(u64, Entry)>,
    bytes: usize,
    /// Lines left out since the last entry.
    left_out: u64,
    closed: bool,
}

enum Entry {
    Line(String),
    Event(BrokerEvent),
    LeftOut(u64),
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn note_left_out(&mut self, now: u64) {
        if self.left_out > 0 {
            let count = std::mem::take(&mut self.left_out);
            self.entries.push_back((now, Entry::LeftOut(count)));
        }
    }
}

impl EventLog {
    /// Starts the thread that writes to `output`.
    pub(super) fn start(output: Box<dyn Write + Send>) -> Result<(Self, LogWriter), BrokerError> {
        let queue = Arc::new(Queue::default());
        let (finished, done) = mpsc::channel();
        let source = Arc::clone(&queue);
        std::thread::Builder::new()
            .name("broker log".to_owned())
            .spawn(move || {
                write_all(&source, output);
                let _ = finished.send(());
            })
            .map_err(BrokerError::Thread)?;
        Ok((Self { queue: Arc::clone(&queue) }, LogWriter { queue, done }))
    }

    /// Adds a line of our own. It is never left out: there are few of them.
    pub(super) fn line(&self, text: String) {
        let now = unix_seconds();
        let mut waiting = self.queue.lock();
        waiting.note_left_out(now);
        waiting.bytes += text.len();
        waiting.entries.push_back((now, Entry::Line(text)));
        drop(waiting);
        self.queue.changed.notify_one();
    }
}

impl EventSink for EventLog {
    fn take(&self, event: BrokerEvent) {
        let now = unix_seconds();
        let weight = event.weight();
        let mut waiting = self.queue.lock();
        if waiting.entries.len() >= MAX_WAITING || waiting.bytes + weight > MAX_WAITING_BYTES {
            waiting.left_out += 1;
            return; // the writer has enough to do, it need not be told
        }
        waiting.note_left_out(now);
        waiting.bytes += weight;
        waiting.entries.push_back((now, Entry::Event(event)));
        drop(waiting);
        self.queue.changed.notify_one();
    }
}

impl LogWriter {
    /// Writes what waits and ends, or gives up after `limit`: a terminal that is stopped must not stop the end.
    pub(super) fn finish(self, limit: Duration) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_one();
        let _ = self.done.recv_timeout(limit);
    }
}

/// The thread: takes all that waits, writes it, flushes. An output that is gone changes nothing for the clients.
fn write_all(queue: &Queue, output: Box<dyn Write + Send>) {
    let mut output = BufWriter::with_capacity(64 * 1024, output);
    let mut line = String::new();
    loop {
        let mut waiting = queue.lock();
        while waiting.entries.is_empty() && waiting.left_out == 0 && !waiting.closed {
            waiting = queue.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.note_left_out(unix_seconds());
        let entries = std::mem::take(&mut waiting.entries);
        waiting.bytes = 0;
        let closed = waiting.closed;
        drop(waiting);
        for (seconds, entry) in &entries {
            line.clear();
            // Writing to a String does not fail.
            let _ = writeln!(line, "{seconds}: {entry}");
            let _ = output.write_all(line.as_bytes());
        }
        let _ = output.flush();
        if closed && entries.is_empty() {
            return;
        }
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(text) => formatter.write_str(text),
            Self::Event(event) => write_event(formatter, event),
            Self::LeftOut(1) => formatter.write_str("(1 line left out: they came faster than they could be written)"),
            Self::LeftOut(count) => {
                write!(formatter, "({count} lines left out: they came faster than they could be written)")
            }
        }
    }
}

/// One event as one line, in the shape that mosquitto's users know.
fn write_event(formatter: &mut fmt::Formatter<'_>, event: &BrokerEvent) -> fmt::Result {
    match event {
        BrokerEvent::Connected(details) => {
            write!(formatter, "New client connected from {}.", Coming(details))
        }
        BrokerEvent::Refused(details) => {
            write!(formatter, "Client refused from {}: allow_anonymous is false.", Coming(details))
        }
        BrokerEvent::Subscribed { client_id, filters } => {
            write!(formatter, "Received SUBSCRIBE from {}", Plain(client_id))?;
            for (index, grant) in filters.iter().enumerate() {
                let (start, end) = (if index == 0 { ": " } else { ", " }, if grant.granted { "" } else { ", refused" });
                write!(formatter, "{start}'{}' (QoS {}{end})", Plain(&grant.filter), grant.qos.number())?;
            }
            Ok(())
        }
        BrokerEvent::Unsubscribed { client_id, filters } => {
            write!(formatter, "Received UNSUBSCRIBE from {}", Plain(client_id))?;
            for (index, filter) in filters.iter().enumerate() {
                write!(formatter, "{}'{}'", if index == 0 { ": " } else { ", " }, Plain(filter))?;
            }
            Ok(())
        }
        BrokerEvent::Published(details) => write!(
            formatter,
            "Received PUBLISH from {} (q{}, r{}, m{}, '{}', {} byte{})",
            Plain(&details.client_id),
            details.qos.number(),
            u8::from(details.retain),
            details.packet_identifier,
            Plain(&details.topic),
            details.size,
            if details.size == 1 { "" } else { "s" },
        ),
        BrokerEvent::Disconnected { client_id, unexpected: false, .. } => {
            write!(formatter, "Client {} disconnected.", Plain(client_id))
        }
        BrokerEvent::Disconnected { client_id, reason, .. } => {
            write!(formatter, "Client {} is gone without a DISCONNECT: {reason}.", Plain(client_id))
        }
        BrokerEvent::Warning(text) => write!(formatter, "Broker: {}", Plain(text)),
    }
}

/// Who comes from where and how: `127.0.0.1:40000 as id (p5, c1, k60, u'name')`.
struct Coming<'a>(&'a ConnectDetails);

impl fmt::Display for Coming<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = self.0;
        // mosquitto's numbers: p1 is 3.1, p2 is 3.1.1, p5 is 5.0.
        let version = match details.version {
            ProtocolVersion::V31 => 1,
            ProtocolVersion::V311 => 2,
            ProtocolVersion::V5 => 5,
        };
        write!(
            formatter,
            "{} as {} (p{version}, c{}, k{}",
            details.address,
            Plain(&details.client_id),
            u8::from(details.clean_start),
            details.keep_alive
        )?;
        if let Some(name) = &details.user_name {
            write!(formatter, ", u'{}'", Plain(name))?;
        }
        formatter.write_str(")")
    }
}

/// Text from the network, for a terminal: control characters, and those that turn or hide text, are written out.
pub(super) struct Plain<'a>(pub(super) &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            let hidden = matches!(character,
                '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
            if character.is_control() || hidden {
                write!(formatter, "{}", character.escape_default())?;
            } else {
                formatter.write_char(character)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FilterGrant, PublishDetails};
    use super::*;
    use crate::mqtt::{QoS, ReasonCode};

    fn published(topic: &str, size: usize) -> BrokerEvent {
        BrokerEvent::Published(PublishDetails {
            client_id: "x".into(),
            qos: QoS::AtLeastOnce,
            retain: true,
            packet_identifier: 7,
            topic: topic.into(),
            size,
        })
    }

    fn text(event: BrokerEvent) -> String {
        Entry::Event(event).to_string()
    }

    #[test]
    fn events_read_like_mosquitto_s_lines() {
        let details = ConnectDetails {
            client_id: "x".into(),
            address: "127.0.0.1:40000".parse().unwrap(),
            version: ProtocolVersion::V5,
            clean_start: true,
            keep_alive: 60,
            user_name: Some("joe".to_owned()),
        };
        let connected = text(BrokerEvent::Connected(details.clone()));
        assert_eq!(connected, "New client connected from 127.0.0.1:40000 as x (p5, c1, k60, u'joe').");
        let plain = ConnectDetails { version: ProtocolVersion::V311, clean_start: false, user_name: None, ..details };
        assert_eq!(
            text(BrokerEvent::Refused(plain)),
            "Client refused from 127.0.0.1:40000 as x (p2, c0, k60): allow_anonymous is false."
        );
        assert_eq!(text(published("a/b", 1)), "Received PUBLISH from x (q1, r1, m7, 'a/b', 1 byte)");
        let grant = |filter: &str, granted| FilterGrant { filter: filter.into(), qos: QoS::ExactlyOnce, granted };
        let filters = vec![grant("a/#", true), grant("b", false)];
        assert_eq!(
            text(BrokerEvent::Subscribed { client_id: "x".into(), filters }),
            "Received SUBSCRIBE from x: 'a/#' (QoS 2), 'b' (QoS 2, refused)"
        );
        assert_eq!(
            text(BrokerEvent::Unsubscribed { client_id: "x".into(), filters: vec!["a".into(), "b".into()] }),
            "Received UNSUBSCRIBE from x: 'a', 'b'"
        );
        let gone = |unexpected| BrokerEvent::Disconnected {
            client_id: "x".into(),
            reason: ReasonCode::UNSPECIFIED_ERROR,
            unexpected,
        };
        assert_eq!(text(gone(false)), "Client x disconnected.");
        assert_eq!(text(gone(true)), "Client x is gone without a DISCONNECT: Unspecified error (0x80).");
    }

    #[test]
    fn text_from_the_network_cannot_drive_the_terminal() {
        let line = text(published("a\u{1b}[2J\n\u{9b}\u{202e}ü", 0));
        assert_eq!(line, "Received PUBLISH from x (q1, r1, m7, 'a\\u{1b}[2J\\n\\u{9b}\\u{202e}ü', 0 bytes)");
    }

    /// An output that takes nothing until it is told to, then keeps all.
    struct Gate {
        open: mpsc::Receiver<()>,
        opened: bool,
        text: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if !self.opened {
                self.open.recv().map_err(std::io::Error::other)?;
                self.opened = true;
            }
            self.text.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_output_blocks_nobody_and_every_line_is_accounted_for() {
        let (open, opener) = mpsc::channel();
        let text = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate { open: opener, opened: false, text: Arc::clone(&text) };
        let (log, writer) = EventLog::start(Box::new(gate)).unwrap();
        const EVENTS: usize = 100_000;
        for number in 0..EVENTS {
            log.take(published(&number.to_string(), 0));
            // Bounded at every moment, also by the size of what the network sends.
            assert!(log.queue.lock().entries.len() <= MAX_WAITING + 1);
        }
        open.send(()).unwrap();
        writer.finish(Duration::from_secs(60));
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        let mut accounted = 0;
        for line in text.lines() {
            let (_, line) = line.split_once(": ").unwrap();
            match line.strip_prefix('(') {
                Some(left_out) => accounted += left_out.split_once(' ').unwrap().0.parse::<usize>().unwrap(),
                None => {
                    assert!(line.contains(&format!("'{accounted}'")), "{line}: expected {accounted}");
                    accounted += 1;
                }
            }
        }
        assert_eq!(accounted, EVENTS);
        assert!(text.contains("lines left out"));
    }

    #[test]
    fn long_topics_do_not_fill_the_memory() {
        let (open, opener) = mpsc::channel();
        let text = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate { open: opener, opened: false, text: Arc::clone(&text) };
        let (log, writer) = EventLog::start(Box::new(gate)).unwrap();
        let topic = "t".repeat(60_000);
        for _ in 0..1_000 {
            log.take(published(&topic, 0));
            assert!(log.queue.lock().bytes <= MAX_WAITING_BYTES);
        }
        open.send(()).unwrap();
        writer.finish(Duration::from_secs(60));
        // Only what was written tells: the writer takes the count away with what waits, whenever it gets to run.
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        assert!(text.contains("lines left out"), "{} lines", text.lines().count());
    }
}
