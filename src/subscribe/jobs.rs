//! `--run`: commands of messages, a limited number at a time, in the order of the messages; and what becomes of them.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::file_error::FileError;
use super::process::{CommandEnd, GRACE, Invocation, Process, cannot_run, killed};
use crate::client::Diagnostics;
use crate::exit_status::Signal;
use crate::mqtt::QoS;
use crate::mqtt::wire::Publish;
use crate::session::Receipt;
use crate::terminal::number::counted;
use crate::terminal::quoted;

/// Most failures that are reported one by one; the rest are counted.
const NAMED: u64 = 5;
/// While this many messages, or this many bytes, wait for a command nothing is read from the broker.
const MOST_WAITING: usize = 64;
const MOST_WAITING_BYTES: usize = 256 * 1024;

/// A message that waits for its command.
#[derive(Debug)]
pub(crate) struct Job {
    topic: String,
    /// The command, or why there is none.
    words: Result<Vec<String>, String>,
    variables: Vec<(&'static str, String)>,
    payload: Vec<u8>,
    receipt: Option<Receipt>,
}

impl Job {
    pub(super) fn new(message: &Publish<'_>, words: Result<Vec<String>, String>, receipt: Receipt) -> Self {
        let retain = if message.retain { "1" } else { "0" };
        Self {
            topic: message.topic.to_owned(),
            words,
            variables: vec![
                ("MQTT_TOPIC", message.topic.to_owned()),
                ("MQTT_QOS", message.qos.number().to_string()),
                ("MQTT_RETAIN", retain.to_owned()),
            ],
            payload: message.payload.to_vec(),
            receipt: (message.qos != QoS::AtMostOnce).then_some(receipt),
        }
    }

    /// A message without a command, which is acknowledged in its turn.
    pub(super) fn passing(receipt: Receipt) -> Self {
        let (words, variables, payload) = (Ok(Vec::new()), Vec::new(), Vec::new());
        Self { topic: String::new(), words, variables, payload, receipt: Some(receipt) }
    }

    /// Bytes that it takes.
    pub(super) const fn len(&self) -> usize {
        self.topic.len() + self.payload.len()
    }
}

/// The end of a command, with the number of its message.
pub(crate) type JobEnd = (u64, io::Result<CommandEnd>);

/// A message whose command was begun.
#[derive(Debug)]
struct Begun {
    number: u64,
    receipt: Receipt,
    has_ended: bool,
}

/// Runs them.
#[derive(Debug)]
pub(super) struct Jobs {
    most: usize,
    diagnostics: Diagnostics,
    waiting: VecDeque<Job>,
    waiting_bytes: usize,
    running: BTreeMap<u64, (String, Process)>,
    /// The number of the next message that is begun.
    next: u64,
    /// Messages that are to be acknowledged, in their order. One of QoS 0 is not here: behind a command that hangs there
    /// would be any number of them.
    unacknowledged: VecDeque<Begun>,
    ends: mpsc::UnboundedReceiver<JobEnd>,
    sender: mpsc::UnboundedSender<JobEnd>,
    is_stopped: bool,
    succeeded: u64,
    failed: BTreeMap<CommandEnd, u64>,
    not_run: u64,
}

impl Jobs {
    /// At most `most` at a time.
    pub(super) fn new(most: usize, diagnostics: Diagnostics) -> Self {
        let (sender, ends) = mpsc::unbounded_channel();
        Self {
            most,
            diagnostics,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            running: BTreeMap::new(),
            next: 0,
            unacknowledged: VecDeque::new(),
            ends,
            sender,
            is_stopped: false,
            succeeded: 0,
            failed: BTreeMap::new(),
            not_run: 0,
        }
    }

    /// Takes messages up.
    pub(super) fn push(&mut self, jobs: impl IntoIterator<Item = Job>) {
        for job in jobs {
            self.waiting_bytes += job.len();
            self.waiting.push_back(job);
        }
    }

    /// Starts what may be started. Appends the receipts of what is done to `done`, in the order of the messages.
    ///
    /// # Errors
    /// There is no such program.
    pub(super) fn advance(&mut self, done: &mut Vec<Receipt>) -> Result<(), FileError> {
        while !self.is_stopped && self.running.len() < self.most {
            let Some(job) = self.waiting.pop_front() else { break };
            self.waiting_bytes -= job.len();
            self.start(job)?;
        }
        while self.unacknowledged.front().is_some_and(|message| message.has_ended) {
            done.extend(self.unacknowledged.pop_front().map(|message| message.receipt));
        }
        Ok(())
    }

    fn start(&mut self, job: Job) -> Result<(), FileError> {
        let Job { topic, words, variables, payload, receipt } = job;
        let number = self.next;
        let sender = self.sender.clone();
        let words = match words {
            Ok(words) if words.is_empty() => {
                self.note_begun(receipt, true);
                return Ok(());
            }
            Ok(words) => words,
            Err(why) => {
                self.leave_out(&topic, &why, receipt);
                return Ok(());
            }
        };
        let invocation = Invocation { words: &words, variables, input: Some(payload), prints: true };
        match Process::start(invocation, move |end| drop(sender.send((number, end)))) {
            Ok(process) => {
                self.running.insert(number, (topic, process));
                self.note_begun(receipt, false);
                Ok(())
            }
            // No message will find it.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
                Err(FileError { text: format!("--run: {}", cannot_run(&words[0], &error)), hint: None })
            }
            Err(error) => {
                self.leave_out(&topic, &error.to_string(), receipt);
                Ok(())
            }
        }
    }

    /// A message whose command is not run.
    fn leave_out(&mut self, topic: &str, why: &str, receipt: Option<Receipt>) {
        self.not_run += 1;
        self.report(topic, &format!("was not run: {why}"));
        self.note_begun(receipt, true);
    }

    fn note_begun(&mut self, receipt: Option<Receipt>, has_ended: bool) {
        let number = self.next;
        self.next += 1;
        self.unacknowledged.extend(receipt.map(|receipt| Begun { number, receipt, has_ended }));
    }

    /// Waits for the end of a command. Nothing is lost when the future is dropped.
    pub(super) async fn ended(&mut self) -> JobEnd {
        match self.ends.recv().await {
            Some(end) => end,
            // There is a sender, ours.
            None => std::future::pending().await,
        }
    }

    /// Takes what [`Jobs::ended`] returned.
    pub(super) fn on_ended(&mut self, (number, end): JobEnd) {
        let Some((topic, _)) = self.running.remove(&number) else { return };
        if let Ok(place) = self.unacknowledged.binary_search_by_key(&number, |message| message.number) {
            self.unacknowledged[place].has_ended = true;
        }
        // Nothing is known of a command that cannot be waited for.
        match end.unwrap_or(CommandEnd::Status(u8::MAX)) {
            CommandEnd::Status(0) => self.succeeded += 1,
            end => {
                *self.failed.entry(end).or_default() += 1;
                self.report(&topic, &format!("has ended with {end}"));
            }
        }
    }

    fn report(&self, topic: &str, what: &str) {
        let failures = self.failures();
        if failures <= NAMED {
            let more = if failures == NAMED { "; further ones are counted" } else { "" };
            self.diagnostics.warning(format_args!("--run: the command for {} {what}{more}", quoted(topic)));
        }
    }

    fn failures(&self) -> u64 {
        self.not_run + self.failed.values().sum::<u64>()
    }

    /// Whether there is room for more.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < MOST_WAITING.max(self.most) && self.waiting_bytes < MOST_WAITING_BYTES
    }

    /// Whether nothing waits and nothing runs.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty() && self.unacknowledged.is_empty()
    }

    /// The end of a run: what waits is left; what runs gets the signal, if there is one, and is waited for. What goes on
    /// in spite of the signal is killed.
    pub(super) async fn stop(&mut self, signal: Option<Signal>, done: &mut Vec<Receipt>) {
        self.is_stopped = true;
        match signal {
            None => self.all_ended().await,
            Some(signal) => {
                self.running.values().for_each(|(_, process)| process.signal(signal));
                if timeout(GRACE, self.all_ended()).await.is_err() {
                    let running = self.running.len() as u64;
                    let commands = counted(running, "command", "commands");
                    self.diagnostics.warning(format_args!("--run: {commands} {}", killed(running)));
                    self.running.values().for_each(|(_, process)| process.kill());
                    // A process that has left the group may hold its stdin.
                    let _ = timeout(GRACE, self.all_ended()).await;
                }
            }
        }
        let _ = self.advance(done);
    }

    async fn all_ended(&mut self) {
        while !self.running.is_empty() {
            let end = self.ended().await;
            self.on_ended(end);
        }
    }

    /// What has failed, if anything has.
    pub(super) fn failure(&self) -> Option<String> {
        let failures = self.failures();
        if failures == 0 {
            return None;
        }
        let all = counted(self.succeeded + failures, "command", "commands");
        let ends = self.failed.iter().map(|(end, count)| format!("{count} with {end}"));
        let not_run = (self.not_run > 0).then(|| format!("{} not run", self.not_run));
        let list: Vec<String> = ends.chain(not_run).collect();
        Some(format!("--run: {failures} of {all} failed: {}", list.join(", ")))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn job(words: &[&str]) -> Job {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let (variables, payload) = (Vec::new(), Vec::new());
        Job { topic: "t".into(), words: Ok(words), variables, payload, receipt: None }
    }

    #[tokio::test]
    async fn behind_a_command_that_hangs_nothing_piles_up() {
        let mut jobs = Jobs::new(2, Diagnostics::silent());
        let mut done = Vec::new();
        jobs.push([job(&["sleep", "1000"])]);
        for _ in 0..5 {
            jobs.push([job(&["true"])]);
            jobs.advance(&mut done).unwrap();
            let end = jobs.ended().await;
            jobs.on_ended(end);
        }
        assert_eq!((jobs.succeeded, jobs.unacknowledged.len(), jobs.running.len()), (5, 0, 1));
        assert!(!jobs.is_idle());
        jobs.stop(Some(Signal::Terminate), &mut done).await;
        assert!(jobs.is_idle() && done.is_empty());
    }
}
