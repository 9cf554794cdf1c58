//! The lines of mqbroker: a thread writes them, the broker never waits for it. When the terminal is slower than the
//! clients, lines are left out and their number is said.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::io::{BufWriter, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::BrokerError;
use super::core::{Event, Log};
use super::driver::Notice;
use super::words::{Words, notice_words};

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

impl EventLog {
    /// Adds a line about what a client does; it is left out where too many wait.
    fn add(&self, text: String) {
        let now = unix_seconds();
        let mut waiting = self.queue.lock();
        if waiting.entries.len() >= MAX_WAITING || waiting.bytes + text.len() > MAX_WAITING_BYTES {
            waiting.left_out += 1;
            return; // the writer has enough to do, it need not be told
        }
        waiting.note_left_out(now);
        waiting.bytes += text.len();
        waiting.entries.push_back((now, Entry::Line(text)));
        drop(waiting);
        self.queue.changed.notify_one();
    }

    /// Adds what the loop has to say.
    pub(super) fn notice(&self, notice: &Notice<'_>) {
        self.add(notice_words(notice));
    }
}

impl Log for EventLog {
    fn event(&mut self, event: &Event<'_>) {
        for line in Words(event).to_string().lines() {
            self.add(line.to_owned());
        }
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
            Self::LeftOut(1) => formatter.write_str("(1 line left out: they came faster than they could be written)"),
            Self::LeftOut(count) => {
                write!(formatter, "({count} lines left out: they came faster than they could be written)")
            }
        }
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
    use super::*;

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
            log.add(format!("'{number}'"));
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
            log.add(topic.clone());
            assert!(log.queue.lock().bytes <= MAX_WAITING_BYTES);
        }
        open.send(()).unwrap();
        writer.finish(Duration::from_secs(60));
        // Only what was written tells: the writer takes the count away with what waits, whenever it gets to run.
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        assert!(text.contains("lines left out"), "{} lines", text.lines().count());
    }
}
