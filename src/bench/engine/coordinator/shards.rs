//! The threads of a run: commands to them, reports from them, and their end.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::super::shard::{Command, Report};
use super::super::shared::Shared;
use crate::transport::TlsClient;

/// How long the threads may take to disconnect their clients.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts a shard: [`super::super::shard::on_thread`], or what a test uses instead.
pub(super) type StartShard = fn(
    usize,
    Arc<Shared>,
    Option<TlsClient>,
    UnboundedReceiver<Command>,
    UnboundedSender<Report>,
) -> io::Result<Option<JoinHandle<()>>>;

struct Shard {
    commands: UnboundedSender<Command>,
    /// None where it is a task.
    thread: Option<JoinHandle<()>>,
}

/// The threads of a run.
pub(super) struct Shards {
    shards: Vec<Shard>,
    reports: UnboundedReceiver<Report>,
    /// Threads that ended without a command.
    ended: usize,
}

impl Shards {
    pub(super) fn start(shared: &Arc<Shared>, tls: Option<&TlsClient>, start_shard: StartShard) -> io::Result<Self> {
        let (sender, reports) = unbounded_channel();
        let mut shards = Vec::new();
        for shard in 0..shared.plan.threads {
            let (commands, receiver) = unbounded_channel();
            let thread = start_shard(shard, shared.clone(), tls.cloned(), receiver, sender.clone())?;
            shards.push(Shard { commands, thread });
        }
        Ok(Self { shards, reports, ended: 0 })
    }

    pub(super) const fn count(&self) -> usize {
        self.shards.len()
    }

    /// Threads that have not ended.
    pub(super) const fn running(&self) -> usize {
        self.shards.len() - self.ended
    }

    /// A thread ended without a command.
    pub(super) const fn note_ended(&mut self) {
        self.ended += 1;
    }

    /// Sends a command to all threads.
    pub(super) fn send(&self, command: &Command) {
        for shard in &self.shards {
            // A thread that has ended needs no command.
            let _ = shard.commands.send(command.clone());
        }
    }

    /// The next report; none when all threads have ended.
    pub(super) async fn report(&mut self) -> Option<Report> {
        self.reports.recv().await
    }

    /// Ends all threads; `on_report` gets their last reports.
    pub(super) async fn end(mut self, mut on_report: impl FnMut(Report)) {
        self.send(&Command::End);
        let mut running = self.running();
        let deadline = Instant::now() + END_TIMEOUT;
        while running > 0 {
            match tokio::time::timeout_at(deadline, self.reports.recv()).await {
                Ok(Some(Report::Ended)) => running -= 1,
                Ok(Some(report)) => on_report(report),
                // A thread that hangs ends with the process.
                Ok(None) | Err(_) => return,
            }
        }
        for thread in self.shards.into_iter().filter_map(|shard| shard.thread) {
            // Its outcome was reported.
            let _ = thread.join();
        }
    }
}
