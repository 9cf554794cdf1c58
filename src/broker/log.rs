//! The lines of mqbroker: a thread writes them, the broker never waits for it. When the terminal is slower than the
//! clients, lines are dropped and counted.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use super::BrokerError;
use super::core::{Cause, Event, Log};
use super::driver::Notice;
use super::log_entry::{Entry, Text};
use super::log_output::LogOutput;
use super::log_rules::{LineKind, LogRules, Tone, kind_of, tone_of};
use super::words::{Words, notice_words};

/// Most lines that wait to be written.
const MAX_WAITING: usize = 10_000;
/// Most bytes of text among them: topics are up to 64 KiB, and they are the network's.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;

/// Where lines go in.
#[derive(Clone)]
pub(super) struct EventLog {
    queue: Arc<Queue>,
    rules: LogRules,
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
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Lines dropped since the last entry.
    left_out: u64,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn note_left_out(&mut self, time: SystemTime) {
        if self.left_out > 0 {
            let text = Text::LeftOut(std::mem::take(&mut self.left_out));
            self.entries.push_back(Entry { time, kind: LineKind::Warning, tone: Tone::Problem, text });
        }
    }
}

impl EventLog {
    /// Starts the thread that writes to `output` what `rules` let through.
    pub(super) fn start(output: LogOutput, rules: LogRules) -> Result<(Self, LogWriter), BrokerError> {
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
        Ok((Self { queue: Arc::clone(&queue), rules }, LogWriter { queue, done }))
    }

    /// The same log with other rules, to give to the broker in place of this one.
    pub(super) fn with_rules(&self, rules: LogRules) -> Self {
        Self { rules, ..self.clone() }
    }

    /// Adds our own line. It is never dropped: there are few of them.
    pub(super) fn line(&self, kind: LineKind, text: String) {
        if self.rules.allow(kind) {
            let is_problem = matches!(kind, LineKind::Error | LineKind::Warning);
            self.push(kind, if is_problem { Tone::Problem } else { Tone::Plain }, text, false);
        }
    }

    /// Adds an event of the loop.
    pub(super) fn notice(&self, notice: &Notice<'_>) {
        let kind = match notice {
            Notice::Accepted { .. } | Notice::Denied { .. } if !self.rules.connection_messages => return,
            Notice::Accepted { .. } | Notice::Denied { .. } => LineKind::Notice,
            Notice::AcceptFailed(_) => LineKind::Error,
        };
        let tone = if kind == LineKind::Notice { Tone::Plain } else { Tone::Problem };
        if self.rules.allow(kind) {
            self.push(kind, tone, notice_words(notice), true);
        }
    }

    fn push(&self, kind: LineKind, tone: Tone, text: String, may_leave_out: bool) {
        let time = SystemTime::now();
        let mut waiting = self.queue.lock();
        let is_full = waiting.entries.len() >= MAX_WAITING || waiting.bytes + text.len() > MAX_WAITING_BYTES;
        if may_leave_out && is_full {
            waiting.left_out += 1;
            return; // the writer has enough to do, it need not be woken
        }
        waiting.note_left_out(time);
        waiting.bytes += text.len();
        waiting.entries.push_back(Entry { time, kind, tone, text: Text::Line(text) });
        drop(waiting);
        self.queue.changed.notify_one();
    }
}

impl Log for EventLog {
    fn event(&mut self, event: &Event<'_>) {
        let (kind, tone) = (kind_of(event), tone_of(event));
        let is_of_a_connection = matches!(event, Event::Connected { .. } | Event::Disconnected { .. });
        let is_of_the_end = matches!(event, Event::Disconnected { cause: Cause::Shutdown, .. });
        if !self.rules.allow(kind) || (is_of_a_connection && !self.rules.connection_messages) || is_of_the_end {
            return;
        }
        for (index, line) in Words(event).to_string().lines().enumerate() {
            // What follows the first line of a connection is about its will: details.
            let kind = if index > 0 && matches!(event, Event::Connected { .. }) { LineKind::Debug } else { kind };
            if self.rules.allow(kind) {
                self.push(kind, tone, line.to_owned(), true);
            }
        }
    }

    fn wants_packets(&self) -> bool {
        self.rules.allow(LineKind::Debug)
    }

    fn wants_bytes(&self) -> bool {
        self.rules.bytes
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
fn write_all(queue: &Queue, mut output: LogOutput) {
    loop {
        let mut waiting = queue.lock();
        while waiting.entries.is_empty() && waiting.left_out == 0 && !waiting.closed {
            waiting = queue.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.note_left_out(SystemTime::now());
        let entries = std::mem::take(&mut waiting.entries);
        waiting.bytes = 0;
        let closed = waiting.closed;
        drop(waiting);
        for entry in &entries {
            output.write(entry);
        }
        output.flush();
        if closed && entries.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// An output that takes nothing until it is opened, then keeps everything.
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
    fn a_blocked_output_blocks_no_client_and_every_line_is_accounted_for() {
        let (open, opener) = mpsc::channel();
        let text = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate { open: opener, opened: false, text: Arc::clone(&text) };
        let (log, writer) = EventLog::start(LogOutput::to(Box::new(gate)), LogRules::VERBOSE).unwrap();
        const EVENTS: usize = 100_000;
        for number in 0..EVENTS {
            log.push(LineKind::Debug, Tone::Plain, format!("'{number}'"), true);
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
        assert!(text.contains("lines dropped"));
    }

    #[test]
    fn long_topics_do_not_fill_the_memory() {
        let (open, opener) = mpsc::channel();
        let text = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate { open: opener, opened: false, text: Arc::clone(&text) };
        let (log, writer) = EventLog::start(LogOutput::to(Box::new(gate)), LogRules::VERBOSE).unwrap();
        let topic = "t".repeat(60_000);
        for _ in 0..1_000 {
            log.push(LineKind::Debug, Tone::Plain, topic.clone(), true);
            assert!(log.queue.lock().bytes <= MAX_WAITING_BYTES);
        }
        open.send(()).unwrap();
        writer.finish(Duration::from_secs(60));
        // Only the written lines show it: the writer may take the count away at any time.
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        assert!(text.contains("lines dropped"), "{} lines", text.lines().count());
    }
}
