//! `--silent-exec`: the command that is run for each topic that falls silent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::command::CommandTemplate;
use super::process::{CommandEnd, GRACE, Invocation, Process, cannot_run, killed};
use super::topic_numbers::MAX_TOPICS;
use crate::client::Diagnostics;
use crate::exit_status::Signal;
use crate::mqtt::Message;
use crate::mqtt::wire::Publish;
use crate::terminal::number::counted;
use crate::terminal::quoted;

/// Most commands at a time; a broker that stops may silence thousands of topics at once.
const MOST_RUNNING: u64 = 16;
/// How soon the next command is tried where that many run.
const RETRY: Duration = Duration::from_millis(50);

/// Runs the commands.
#[derive(Debug)]
pub(super) struct SilenceCommand {
    template: CommandTemplate,
    /// The time without a message, for the environment.
    after: Duration,
    diagnostics: Diagnostics,
    waiting: VecDeque<Option<Arc<str>>>,
    running: Vec<Process>,
    /// Each command that runs has a sender; nothing is ever sent.
    ends: (mpsc::Sender<Infallible>, mpsc::Receiver<Infallible>),
    counts: Arc<Counts>,
    begun: u64,
    not_run: u64,
}

#[derive(Debug, Default)]
struct Counts {
    running: AtomicU64,
    failed: AtomicU64,
}

impl SilenceCommand {
    pub(super) fn new(template: CommandTemplate, after: Duration, diagnostics: Diagnostics) -> Self {
        Self {
            template,
            after,
            diagnostics,
            waiting: VecDeque::new(),
            running: Vec::new(),
            ends: mpsc::channel(1),
            counts: Arc::default(),
            begun: 0,
            not_run: 0,
        }
    }

    /// A topic has fallen silent, or everything, which has no name.
    pub(super) fn push(&mut self, silent: Option<Arc<str>>) {
        if self.waiting.len() < MAX_TOPICS {
            self.waiting.push_back(silent);
        } else {
            self.not_run += 1;
        }
    }

    /// When to call [`SilenceCommand::advance`] again.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        (!self.waiting.is_empty()).then(|| now + RETRY)
    }

    /// Starts what may be started.
    pub(super) fn advance(&mut self) {
        self.running.retain(|process| !process.is_over());
        while self.counts.running.load(Ordering::SeqCst) < MOST_RUNNING {
            let Some(silent) = self.waiting.pop_front() else { return };
            let topic = silent.as_deref().unwrap_or_default();
            if let Err(why) = self.start(topic) {
                self.not_run += 1;
                if self.not_run == 1 {
                    let topic = quoted(topic);
                    self.diagnostics.warning(format_args!("--silent-exec: no command was run for {topic}: {why}"));
                }
            }
        }
    }

    fn start(&mut self, topic: &str) -> Result<(), String> {
        let message = Message { topic: topic.to_owned(), ..Message::default() };
        let words = self.template.fill(&Publish::of(&message, 0, false))?;
        let seconds = self.after.as_secs_f64().to_string();
        let variables = vec![("MQTT_TOPIC", topic.to_owned()), ("MQTT_SILENT_SECONDS", seconds)];
        let (counts, alive) = (Arc::clone(&self.counts), self.ends.0.clone());
        counts.running.fetch_add(1, Ordering::SeqCst);
        // stdout has the messages alone.
        let started = Process::start(Invocation { words: &words, variables, input: None, prints: false }, move |end| {
            if !matches!(end, Ok(CommandEnd::Status(0))) {
                counts.failed.fetch_add(1, Ordering::SeqCst);
            }
            counts.running.fetch_sub(1, Ordering::SeqCst);
            drop(alive);
        });
        match started {
            Ok(process) => {
                self.running.push(process);
                self.begun += 1;
                Ok(())
            }
            Err(error) => {
                self.counts.running.fetch_sub(1, Ordering::SeqCst);
                Err(cannot_run(words.first().map_or("", String::as_str), &error))
            }
        }
    }

    /// The end of a run by a signal, which is passed on: what goes on in spite of it is killed.
    pub(super) async fn stop(mut self, signal: Signal) {
        self.running.iter().for_each(|process| process.signal(signal));
        let (sender, mut ends) = self.ends;
        drop(sender);
        if timeout(GRACE, ends.recv()).await.is_err() {
            self.running.retain(|process| !process.is_over());
            let running = self.running.len() as u64;
            let commands = counted(running, "command", "commands");
            self.diagnostics.warning(format_args!("--silent-exec: {commands} {}", killed(running)));
            self.running.iter().for_each(Process::kill);
        }
    }

    /// The end of the run: what has failed, if anything has.
    pub(super) fn failure(&self) -> Option<String> {
        let (failed, not_run) = (self.counts.failed.load(Ordering::SeqCst), self.not_run + self.waiting.len() as u64);
        let commands = counted(self.begun + not_run, "command", "commands");
        (failed + not_run > 0)
            .then(|| format!("--silent-exec: of {commands} {failed} failed and {not_run} could not be run"))
    }
}
